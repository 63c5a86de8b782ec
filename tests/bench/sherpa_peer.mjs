// sherpa_peer.mjs - sherpa-onnx as a contender of bench_engine.c: the network of bake.py in its speaker-embedding extractor.
// Usage:  node sherpa_peer.mjs NODE_MODULES PEERS_FOLDER THREADS
// Answers the lines that bench_engine.c describes. The extractor computes features of its own (Kaldi's), which this network
// was not made for: its times are right and its embeddings mean nothing, so they are marked as not comparable.
import { createRequire } from 'node:module';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { resolve, join } from 'node:path';
import { createInterface } from 'node:readline';

const [modules, peers, threads] = process.argv.slice(2);
const require = createRequire(join(resolve(modules), 'x.js'));
const sherpa = require('sherpa-onnx-node');
const { version } = require('sherpa-onnx-node/package.json');

// What the extractor wants to be told, as metadata of the model. Field 14 of ModelProto is a list of pairs, and a list of
// protobuf may be continued at the end of the message.
const METADATA = {
  framework: 'wespeaker',
  language: 'English',
  url: 'none',
  comment: 'benchmark',
  sample_rate: '16000',
  output_dim: '192',
  normalize_samples: '1',
  feature_normalize_type: 'global-mean',
};
const field = (number, bytes) => Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes]);
function withMetadata(model) {
  const pairs = Object.entries(METADATA).map(([key, value]) =>
    field(14, Buffer.concat([field(1, Buffer.from(key)), field(2, Buffer.from(value))])),
  );
  return Buffer.concat([model, ...pairs]);
}

const model = join(peers, 'ecapa_sherpa.onnx');
const unfinished = `${model}.${process.pid}`;
writeFileSync(unfinished, withMetadata(readFileSync(join(peers, 'ecapa_model.onnx'))));
renameSync(unfinished, model);
const extractor = new sherpa.SpeakerEmbeddingExtractor({ model, numThreads: Number(threads), debug: false });

function say(value) {
  process.stdout.write(JSON.stringify(value) + '\n');
}

function answer(clip) {
  const start = performance.now();
  const wave = sherpa.readWave(`${clip}.wav`);
  const decodeMs = performance.now() - start;
  const cpu = process.cpuUsage();
  const begin = performance.now();
  const stream = extractor.createStream();
  stream.acceptWaveform({ sampleRate: wave.sampleRate, samples: wave.samples });
  stream.inputFinished();
  const featuresMs = performance.now() - begin;
  const embedding = extractor.compute(stream);
  const networkMs = performance.now() - begin - featuresMs;
  const used = process.cpuUsage(cpu);
  const raw = Array.from(embedding);
  const length = Math.hypot(...raw);
  return {
    decode_ms: decodeMs,
    features_ms: featuresMs,
    network_ms: networkMs,
    cpu_ms: (used.user + used.system) / 1e3,
    embedding: raw.map((x) => x / length),
  };
}

say({ engine: `sherpa-onnx ${version}`, precision: 'f32', comparable: false });
for await (const line of createInterface({ input: process.stdin })) say(answer(line));
