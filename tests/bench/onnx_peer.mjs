// onnx_peer.mjs - ONNX Runtime as a contender of bench_engine.c: the network of bake.py, features to embedding.
// Usage:  node onnx_peer.mjs NODE_MODULES PEERS_FOLDER THREADS
// Answers the lines that bench_engine.c describes. Does not: decode, or compute features (it reads them).
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { resolve, join } from 'node:path';
import { createInterface } from 'node:readline';

process.env.ORT_DISABLE_TELEMETRY = '1'; // read when the library is loaded
const BANDS = 80;
const [modules, peers, threads] = process.argv.slice(2);
const require = createRequire(join(resolve(modules), 'x.js'));
const ort = require('onnxruntime-node');
const { version } = require('onnxruntime-node/package.json');

// One thread pool of the given size and nothing beside it.
const session = await ort.InferenceSession.create(join(peers, 'ecapa_model.onnx'), {
  intraOpNumThreads: Number(threads),
  interOpNumThreads: 1,
  executionMode: 'sequential',
  graphOptimizationLevel: 'all',
});

function say(value) {
  process.stdout.write(JSON.stringify(value) + '\n');
}

async function answer(clip) {
  const file = readFileSync(`${clip}.f32`);
  const values = new Float32Array(file.buffer.slice(file.byteOffset, file.byteOffset + file.byteLength));
  const features = new ort.Tensor('float32', values, [1, values.length / BANDS, BANDS]);
  const cpu = process.cpuUsage();
  const start = performance.now();
  const { embedding } = await session.run({ features });
  const networkMs = performance.now() - start;
  const used = process.cpuUsage(cpu);
  const raw = Array.from(embedding.data);
  const length = Math.hypot(...raw);
  return {
    decode_ms: null,
    features_ms: null,
    network_ms: networkMs,
    cpu_ms: (used.user + used.system) / 1e3,
    embedding: raw.map((x) => x / length),
  };
}

say({ engine: `ONNX Runtime ${version}`, precision: 'f32' });
for await (const line of createInterface({ input: process.stdin })) say(await answer(line));
