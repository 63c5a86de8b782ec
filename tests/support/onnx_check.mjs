// onnx_check.mjs - an exported network under npm's ONNX Runtime: the golden features in, the golden embeddings out.
// Usage:  node onnx_check.mjs NODE_MODULES NETWORK.onnx GOLDEN_FOLDER
// Says the cosine of each clip, alone and in a batch; exit status 1 when one is too low. Does not: export.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { resolve, join } from 'node:path';

process.env.ORT_DISABLE_TELEMETRY = '1'; // read when the library is loaded
const [modules, network, golden] = process.argv.slice(2);
const ort = createRequire(join(resolve(modules), 'x.js'))('onnxruntime-node');
const CLIPS = ['a', 'b', 'c'];
const LEAST = 0.99999;

// Little-endian float32, row-major, as tests/data/golden has them.
function readNpy(path) {
  const file = readFileSync(path);
  const start = 10 + file.readUInt16LE(8);
  const header = file.toString('latin1', 10, start);
  if (!header.includes("'<f4'") || !header.includes("'fortran_order': False")) throw new Error(`${path}: ${header}`);
  const shape = header.match(/'shape': \(([^)]*)\)/)[1].split(',').filter((s) => s.trim()).map(Number);
  return { shape, values: new Float32Array(file.buffer.slice(file.byteOffset + start, file.byteOffset + file.length)) };
}

function cosine(a, b) {
  const dot = (x, y) => x.reduce((sum, value, i) => sum + value * y[i], 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}

const session = await ort.InferenceSession.create(network, { intraOpNumThreads: 1, interOpNumThreads: 1 });
const [input, output] = [session.inputNames[0], session.outputNames[0]];
if (session.inputNames.length !== 1 || session.outputNames.length !== 1)
  throw new Error(`takes ${session.inputNames}, gives ${session.outputNames}`);

// Feature matrices of one length in, their embeddings out.
async function embed(clips, frames, bands) {
  const batch = new Float32Array(clips.length * frames * bands);
  clips.forEach((clip, i) => batch.set(clip.subarray(0, frames * bands), i * frames * bands));
  const { [output]: result } = await session.run({
    [input]: new ort.Tensor('float32', batch, [clips.length, frames, bands]),
  });
  const [rows, dim] = result.dims;
  if (result.dims.length !== 2 || rows !== clips.length) throw new Error(`gives [${result.dims}] for ${clips.length} clips`);
  return clips.map((_, i) => result.data.slice(i * dim, (i + 1) * dim));
}

let failed = false;
function judge(what, value) {
  console.log(`${what}: cosine ${value.toFixed(7)}`);
  failed ||= !(value >= LEAST);
}

const clips = CLIPS.map((name) => ({
  name,
  features: readNpy(join(golden, `${name}.features.npy`)),
  embedding: readNpy(join(golden, `${name}.embedding.npy`)).values,
}));
const bands = clips[0].features.shape[1];
for (const { name, features, embedding } of clips) {
  const [alone] = await embed([features.values], features.shape[0], bands);
  if (alone.length !== embedding.length) throw new Error(`gives ${alone.length} numbers, not ${embedding.length}`);
  judge(`clip ${name}, ${features.shape[0]} frames`, cosine(alone, embedding));
}

// The start of each clip, all as long as the shortest: together as alone.
const frames = Math.min(...clips.map(({ features }) => features.shape[0]));
const together = await embed(clips.map(({ features }) => features.values), frames, bands);
for (const [i, { name, features }] of clips.entries()) {
  const [alone] = await embed([features.values], frames, bands);
  judge(`clip ${name} among ${clips.length}, ${frames} frames`, cosine(together[i], alone));
}
process.exit(failed ? 1 : 0);
