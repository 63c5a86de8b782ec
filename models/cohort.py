#!/usr/bin/env python3
"""Gives a model folder its cohort: embeddings of strangers, against which scores of voiceprints are normalised.

MODEL_FOLDER is a model folder. DATA_FOLDER holds recordings and manifest.tsv: a heading line and the columns split,
source, speaker, path (more are ignored). Takes one recording of each speaker of the split, chosen by the seed; best the
speakers that the model was trained on, so that those it is measured on stay unseen. The embeddings are computed by the
program that trials are embedded with. Writes cohort.safetensors and the manifest's "cohort" (docs/models.md). A
calibration of scores that was fitted with another cohort is taken away: run calibrate.py afterwards.
Standard library only.
"""

import argparse
import csv
import json
import random
import struct
import subprocess
import sys
from pathlib import Path

from ecapa_folder import COHORT, FolderError, print_entry, read_manifest, safetensors_pieces, write_file, write_manifest

ROOT = Path(__file__).resolve().parent.parent
# A command line holds a few thousand paths.
FILES_AT_ONCE = 500


def choose(data, split, most, seed):
    """One path of each speaker; at most `most` of them, every source in proportion."""
    speakers = {}
    with open(data / "manifest.tsv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            if row["split"] == split:
                speakers.setdefault((row["source"], row["speaker"]), []).append(row["path"])
    rng = random.Random(seed)
    chosen = [rng.choice(sorted(paths)) for _, paths in sorted(speakers.items())]
    return chosen if len(chosen) <= most else [chosen[i * len(chosen) // most] for i in range(most)]


def embed(program, model, data, paths):
    """The unit vectors of the recordings, in order."""
    vectors = []
    for i in range(0, len(paths), FILES_AT_ONCE):
        command = [str(program), str(model.resolve()), *paths[i : i + FILES_AT_ONCE]]
        run = subprocess.run(command, cwd=data, capture_output=True, text=True)
        if run.returncode != 0:
            raise FolderError(run.stderr.strip() or f"{program} failed")
        vectors += [json.loads(line)["embedding"] for line in run.stdout.splitlines()]
    return vectors


def mean_of_nearest(vector, others, top):
    cosines = sorted((sum(a * b for a, b in zip(vector, other)) for other in others), reverse=True)
    return sum(cosines[:top]) / len(cosines[:top])


def usual(vectors, top):
    """How near its nearest `top` others are to a stranger: the median. Only what is nearer counts in a score."""
    means = sorted(mean_of_nearest(v, vectors[:i] + vectors[i + 1 :], top) for i, v in enumerate(vectors))
    return (means[(len(means) - 1) // 2] + means[len(means) // 2]) / 2


def write_cohort(folder, vectors, digest):
    rows = b"".join(struct.pack(f"<{len(vector)}f", *vector) for vector in vectors)
    tensors = {"cohort": ((len(vectors), len(vectors[0])), rows), "model": ((32,), bytes.fromhex(digest))}
    return write_file(str(folder / COHORT), safetensors_pieces(tensors, {"model": "U8"}))


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model_folder", metavar="MODEL_FOLDER", type=Path)
    parser.add_argument("data_folder", metavar="DATA_FOLDER", type=Path)
    parser.add_argument("--split", default="train", help="default: %(default)s")
    parser.add_argument(
        "--top", type=int, default=100, metavar="N", help="how many of the nearest are looked at (default: %(default)s)"
    )
    parser.add_argument("--most", type=int, default=400, metavar="N", help="speakers at most (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--program",
        type=Path,
        default=ROOT / "build/release/tools/utterances",
        help="default: build/release/tools/utterances (make tools)",
    )
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    try:
        manifest = read_manifest(arguments.model_folder)
        paths = choose(arguments.data_folder, arguments.split, arguments.most, arguments.seed)
        if len(paths) <= arguments.top:
            raise FolderError(f"{len(paths)} speakers of split '{arguments.split}', and {arguments.top} are looked at")
        vectors = embed(arguments.program.resolve(), arguments.model_folder, arguments.data_folder, paths)
        entry = write_cohort(arguments.model_folder, vectors, manifest["artefacts"]["native"]["sha256"])
        floor = round(usual(vectors, arguments.top), 4)
        scores = manifest["scores"]
        if scores.pop("voiceprint", None):
            print("cohort.py: took the calibration of scores away; run calibrate.py", file=sys.stderr)
        scores["cohort"] = entry | {"count": len(vectors), "top": arguments.top, "floor": floor}
        print_entry(entry)
        print_entry(write_manifest(arguments.model_folder, manifest))
    except (FolderError, OSError, KeyError) as error:
        print(f"cohort.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
