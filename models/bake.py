#!/usr/bin/env python3
"""Bakes a model folder: every form of the network that voxlock runs, each measured by voxlock itself on real speech.

SOURCE is a model folder, or a SpeechBrain checkpoint folder. OUT gets the weights unchanged, the network as TorchScript
and as ONNX, clips with what PyTorch computes for them, and a manifest that states each file's digest, cosine to PyTorch
and times (docs/models.md). OUT changes only after all of it has passed `voxlock-cloud bake-check`, the manifest last.
Needs torch and numpy (Debian: python3-torch, python3-numpy) and the programs (make).
"""

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

# Sums in another order differ in the last bits: one thread, so that the same files come out again. Before torch is
# loaded, since OpenBLAS and OpenMP read their numbers then. What is measured gets the environment as it was, but for
# settings of voxlock.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("VOXLOCK_", "ECAPA_"))}
os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

import numpy as np  # noqa: E402
import torch  # noqa: E402

MODELS = Path(__file__).resolve().parent
sys.path.insert(1, str(MODELS / "train"))
from ecapa import fbank_of, load_model  # noqa: E402
from ecapa_folder import (  # noqa: E402
    COHORT,
    MANIFEST,
    WEIGHTS,
    FolderError,
    entry_of,
    print_entry,
    read_manifest,
    safetensors_pieces,
    write_file,
    write_manifest,
)
from halve import halved_tensors  # noqa: E402
from import_speechbrain import CHECKPOINT, DEFAULT_THRESHOLD, import_checkpoint  # noqa: E402
from quantise import quantised_tensors  # noqa: E402
from self_test import self_test  # noqa: E402

ROOT = MODELS.parent
PARITY = "parity.safetensors"
# Besides what is made here: the terms that the weights came with, and what is known of them.
COMPANIONS = ("LICENSE", "README.md", "report.json")
RECORDINGS = (".wav", ".flac", ".ogg", ".opus", ".mp3")
OWN_CLIPS = ("tests/data/audio", "tests/data/golden")
OWN_CLIPS_SOURCE = "LibriSpeech (Panayotov et al., 2015), CC BY 4.0; see tests/data/audio/README.md"

# ---- the network in other forms --------------------------------------------------------------------------------------

# Batch and frames that an export is made with, and others that it must be right for.
TRACED, CHECKED = (2, 301), ((1, 31), (3, 101), (2, 301), (1, 1001))
MAX_DIFFERENCE = 1e-4


def random_features(shape, bands):
    """Mean-normalised features of speech have a standard deviation of about 14 dB."""
    return 14.0 * torch.randn(*shape, bands, generator=torch.Generator().manual_seed(1))


def strip_debug(source, target):
    """Copies a TorchScript archive without its source ranges, which name folders of this machine."""
    reader, writer = torch._C.PyTorchFileReader(str(source)), torch._C.PyTorchFileWriter(str(target))
    writer.set_min_version(int(reader.get_record("version")))
    for name in reader.get_all_records():
        if name != "version" and not name.startswith(".data/") and not name.endswith(".debug_pkl"):
            record = reader.get_record(name)
            writer.write_record(name, record, len(record))
    writer.write_end_of_file()


def export_jit(model, bands, path, *_):
    traced = torch.jit.freeze(torch.jit.trace(model, random_features(TRACED, bands), check_trace=False))
    full = path.with_suffix(".full")
    traced.save(str(full))
    strip_debug(full, path)
    full.unlink()
    loaded = torch.jit.load(str(path))
    for shape in CHECKED:
        features = random_features(shape, bands)
        expected = model(features)
        difference = float((loaded(features) - expected).abs().max() / expected.abs().max())
        if not difference <= MAX_DIFFERENCE:
            raise FolderError(f"{path.name} differs by {difference:g} at {shape[0]} x {shape[1]} frames")


def export_onnx(model, bands, path, *_):
    torch.onnx.export(
        model,
        random_features(TRACED, bands),
        str(path),
        opset_version=14,
        input_names=["features"],
        output_names=["embedding"],
        dynamic_axes={"features": {0: "clips", 1: "frames"}, "embedding": {0: "clips"}},
    )


def export_halved(model, _, path, *__):
    write_file(str(path), safetensors_pieces(*halved_tensors(model)))


def export_quantised(model, _, path, fbank, clips):
    write_file(str(path), safetensors_pieces(*quantised_tensors(model, fbank, [as_floats(clip) for clip in clips])))


# strategy: file, how it is made (from network, bands, path, front end, clips), the precisions to choose from
EXPORTS = {
    "half": ("model_bf16.safetensors", export_halved, ("bf16",)),
    "quantized": ("model_int8.safetensors", export_quantised, ("int8",)),
    "jit": ("ecapa_jit_traced.pt", export_jit, ("f32", "bf16")),
    "onnx": ("ecapa_model.onnx", export_onnx, ("f32",)),
}

# ---- clips -----------------------------------------------------------------------------------------------------------


def find_recordings(folders, most):
    """At most `most` paths, evenly spread over the sorted names so that every speaker and source has a share."""
    paths = sorted(p for folder in folders for p in Path(folder).rglob("*") if p.suffix.lower() in RECORDINGS)
    return [paths[i * len(paths) // most] for i in range(most)] if len(paths) > most else paths


def decode(program, path):
    """16-bit samples, as voxlock hears the recording; None, said aloud, when it cannot be used."""
    run = subprocess.run([program, "decode", path], capture_output=True, env=ENVIRONMENT)
    if run.returncode != 0:
        print(f"bake.py: left out: {run.stderr.decode(errors='replace').strip()}", file=sys.stderr)
        return None
    return np.clip(np.rint(np.frombuffer(run.stdout, "<f4") * 32768.0), -32768, 32767).astype("<i2")


def read_clips(program, folders, most):
    """Each different recording once: the same samples may lie there as WAV and as FLAC."""
    decoded = (decode(program, path) for path in find_recordings(folders, most))
    clips = list({clip.tobytes(): clip for clip in decoded if clip is not None}.values())
    if not clips:
        raise FolderError(f"no usable recording ({', '.join(RECORDINGS)}) in {', '.join(map(str, folders))}")
    return clips


def as_floats(clip):
    return torch.from_numpy(clip.astype(np.float32) / 32768.0)


def write_parity(path, clips, model, fbank, digest):
    """What shared/engine/parity.c reads."""
    embeddings = []
    for clip in clips:
        embeddings.append(torch.nn.functional.normalize(model(fbank(as_floats(clip)[None])), dim=1)[0].numpy())
    stacked = np.stack(embeddings).astype("<f4")
    samples, lengths = np.concatenate(clips), np.array([len(clip) for clip in clips], "<i4")
    tensors = {
        "embeddings": (stacked.shape, stacked.tobytes()),
        "lengths": (lengths.shape, lengths.tobytes()),
        "model": ((32,), bytes.fromhex(digest)),
        "samples": (samples.shape, samples.tobytes()),
    }
    pieces = safetensors_pieces(tensors, {"lengths": "I32", "model": "U8", "samples": "I16"})
    return write_file(str(path), pieces) | {"clips": len(clips)}


# ---- measuring -------------------------------------------------------------------------------------------------------


def bake_check(program, folder, strategy, precision):
    """The one row of `voxlock-cloud bake-check FOLDER --json` for a strategy."""
    command = [program, "bake-check", folder, "--json", "--strategy", strategy, "--precision", precision]
    run = subprocess.run(command, capture_output=True, env=ENVIRONMENT)
    try:
        return json.loads(run.stdout)["artefacts"][0]
    except (ValueError, LookupError):
        said = run.stderr.decode(errors="replace").strip() or f"exit status {run.returncode}"
        raise FolderError(f"bake-check of {strategy} in {precision}: {said}") from None


def measure(program, folder, strategy, precisions):
    """What the manifest states of an artefact: the fastest precision true to PyTorch. {} where none can be run."""
    best = {}
    for precision in precisions:
        row = bake_check(program, folder, strategy, precision)
        if row["verdict"] != "ok":
            print(f"{strategy} in {precision}: {row['verdict']}: {row['reason']}", flush=True)
            if row["verdict"] != "unavailable" and precision == "f32":
                raise FolderError(f"{row['file']} does not compute what PyTorch does")
            continue
        print(f"{strategy} in {precision}: cosine {row['cosine_min']:.6f}, {row['inference_ms']:.1f} ms", flush=True)
        if not best or row["inference_ms"] < best["inference_ms"]:
            # Rounded down: a cosine must not be stated better than it is.
            cosine = max(0.0, int(row["cosine_min"] * 1e6) / 1e6)
            times = {key: round(row[key], 3) for key in ("load_ms", "inference_ms")}
            best = {"precision": precision, "cosine_min": cosine} | times
    if not best:
        print(f"{strategy}: not measured, so auto will not take it", flush=True)
    return best


def machine():
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.machine()


# ---- folders ---------------------------------------------------------------------------------------------------------


def take_source(source, work):
    """Puts the weights and what belongs to them into `work`; returns the manifest."""
    if not (source / MANIFEST).exists():
        if not (source / CHECKPOINT).exists():
            raise FolderError(f"{source}: neither {MANIFEST} nor {CHECKPOINT} is there")
        model = {
            "name": source.resolve().name[:63],
            "source": "SpeechBrain checkpoint",
            "licence": "not stated",
        }
        import_checkpoint(str(source), str(work), model, {"threshold": DEFAULT_THRESHOLD})
        return read_manifest(work)
    manifest = read_manifest(source)
    stated = manifest["artefacts"].get("native", {})
    if stated.get("file") != WEIGHTS or entry_of(source / WEIGHTS)["sha256"] != stated.get("sha256"):
        raise FolderError(f"{source / WEIGHTS}: not the weights that the manifest states")
    cohort = manifest.get("scores", {}).get("cohort")
    if cohort:
        if cohort.get("file") != COHORT or entry_of(source / COHORT)["sha256"] != cohort.get("sha256"):
            raise FolderError(f"{source / COHORT}: not the cohort that the manifest states")
        shutil.copyfile(source / COHORT, work / COHORT)
    for name in (WEIGHTS, *COMPANIONS):
        if (source / name).exists():
            shutil.copyfile(source / name, work / name)
    return manifest


def publish(work, out):
    """From here on OUT has no manifest until everything else is in place."""
    (out / MANIFEST).unlink(missing_ok=True)
    for name in {COHORT, PARITY, *(export[0] for export in EXPORTS.values())} - set(os.listdir(work)):
        (out / name).unlink(missing_ok=True)
    for path in sorted(work.iterdir(), key=lambda path: path.name == MANIFEST):
        path.chmod(0o644)
        os.replace(path, out / path.name)


def bake(arguments, work):
    program = str(arguments.program)
    manifest = take_source(arguments.source, work)
    model, fbank = load_model(work), fbank_of(manifest["frontend"])
    artefacts = {"native": entry_of(work / WEIGHTS)}
    own_clips = read_clips(program, [ROOT / folder for folder in OWN_CLIPS], arguments.max_clips)
    clips = read_clips(program, [arguments.clips], arguments.max_clips) if arguments.clips else own_clips
    with torch.inference_mode():
        parity = write_parity(work / PARITY, clips, model, fbank, artefacts["native"]["sha256"])
        for strategy in arguments.strategies:
            file, export, _ = EXPORTS[strategy]
            # Calibrated on the project's clips in any case, so that --clips measures on speech that nothing was fitted to.
            export(model, manifest["frontend"]["bands"], work / file, fbank, own_clips)
            artefacts[strategy] = entry_of(work / file)
    if not arguments.clips:
        parity["_source"] = OWN_CLIPS_SOURCE
    for entry in (*artefacts.values(), parity):
        print_entry(entry)
    manifest |= {"artefacts": artefacts, "parity": parity}
    if "self_test" not in manifest:
        manifest["self_test"] = self_test(model, fbank)
    write_manifest(work, manifest)

    for strategy, artefact in artefacts.items():
        precisions = EXPORTS[strategy][2] if strategy in EXPORTS else ("f32",)
        artefact |= measure(program, work, strategy, precisions)
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    manifest["_baked"] = f"measured by {version} on {machine()}; exported by torch {torch.__version__}"
    write_manifest(work, manifest)
    if subprocess.run([program, "bake-check", work], env=ENVIRONMENT).returncode != 0:
        raise FolderError("the baked folder did not pass bake-check")


# ---- the command -----------------------------------------------------------------------------------------------------


def strategies(text):
    names = [name for name in text.split(",") if name]
    unknown = set(names) - set(EXPORTS)
    if unknown:
        raise argparse.ArgumentTypeError(f"'{min(unknown)}' is none of {', '.join(EXPORTS)}")
    return names


def positive(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return value


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", metavar="SOURCE", type=Path)
    parser.add_argument("out", metavar="OUT", type=Path, help="made if missing; may be SOURCE")
    parser.add_argument(
        "--clips",
        metavar="FOLDER",
        type=Path,
        help="recordings of speech to compare and time with, instead of the project's",
    )
    parser.add_argument("--max-clips", metavar="N", type=positive, default=64, help="default: %(default)s")
    parser.add_argument(
        "--strategies",
        metavar="LIST",
        type=strategies,
        default=list(EXPORTS),
        help=f"what to make beside native (default: {','.join(EXPORTS)})",
    )
    parser.add_argument(
        "--program",
        type=Path,
        default=ROOT / "build/release/voxlock-cloud",
        help="voxlock-cloud, with the plugins that are to be measured beside it (default: build/release/voxlock-cloud)",
    )
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    warnings.simplefilter("ignore")  # of the tracer, about branches on shapes that export_jit proves
    torch.set_num_threads(1)
    # A killed bake tidies up like an interrupted one.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    was_there = arguments.out.exists()
    try:
        if not arguments.program.exists():
            raise FolderError(f"{arguments.program}: not there; build it (make), or name it with --program")
        arguments.out.mkdir(parents=True, exist_ok=True)
        # In OUT, so that files move into place without being copied.
        with tempfile.TemporaryDirectory(dir=arguments.out, prefix=".bake-") as work:
            bake(arguments, Path(work))
            publish(Path(work), arguments.out)
        print(f"baked: {arguments.out}")
        return 0
    except (FolderError, OSError, subprocess.SubprocessError) as error:
        print(f"bake.py: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("bake.py: interrupted", file=sys.stderr)
    if not was_there and arguments.out.is_dir() and not os.listdir(arguments.out):
        arguments.out.rmdir()
    return 1


if __name__ == "__main__":
    sys.exit(main())
