#!/usr/bin/env python3
"""Puts the self-test embedding into a model folder's manifest: what the PyTorch reference computes for a test signal.

A service compares its own result with it before it takes requests. Needs torch and numpy (Debian: python3-torch,
python3-numpy). The signal is defined in whole numbers; shared/engine/self_test.c holds the other copy.
"""

import argparse
import json
import os
import sys

import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "train"))
from ecapa import Fbank, load_model  # noqa: E402

SIGNAL, SAMPLES = "voxlock-1", 16000
MANIFEST = ".optimization_manifest.json"


def signal():
    """One second: a 130 Hz sawtooth whose level moves, and noise."""
    noise, phase, samples = 1, 0, []
    for n in range(SAMPLES):
        noise = (noise * 1664525 + 1013904223) & 0xFFFFFFFF
        phase = (phase + 532) & 0xFFFF
        saw = ((phase - 32768) * (1000 + n % 4000)) >> 14
        hiss = ((noise >> 20) - 2048) >> 2
        samples.append(saw + hiss)
    return torch.tensor(samples, dtype=torch.float32) / 32768


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model_folder", metavar="MODEL_FOLDER")
    folder = parser.parse_args().model_folder
    with torch.inference_mode():
        raw = load_model(folder)(Fbank()(signal()[None]))[0]
        embedding = torch.nn.functional.normalize(raw, dim=0)
    path = os.path.join(folder, MANIFEST)
    with open(path, encoding="utf-8") as file:
        manifest = json.load(file)
    manifest["self_test"] = {"signal": SIGNAL, "embedding": "VECTOR"}
    # The vector on one line: the rest of the manifest is for people.
    vector = "[" + ", ".join(f"{v:.9g}" for v in embedding.tolist()) + "]"
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(json.dumps(manifest, indent=2).replace('"VECTOR"', vector) + "\n")
    os.replace(path + ".new", path)
    print(f"{path}: self-test embedding of {len(embedding)} numbers")
    return 0


if __name__ == "__main__":
    sys.exit(main())
