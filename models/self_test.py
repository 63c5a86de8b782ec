#!/usr/bin/env python3
"""Puts the self-test embedding into a model folder's manifest: what the PyTorch reference computes for a test signal.

A service compares its own result with it before it takes requests. Needs torch and numpy (Debian: python3-torch,
python3-numpy). The signal is defined in whole numbers; shared/engine/self_test.c holds the other copy.
"""

import argparse
import os
import sys

import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "train"))
from ecapa import fbank_of, load_model  # noqa: E402

from ecapa_folder import MANIFEST, FolderError, read_manifest, write_manifest  # noqa: E402

SIGNAL, SAMPLES = "voxlock-1", 16000


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


def self_test(network, fbank):
    """The manifest's entry."""
    with torch.inference_mode():
        embedding = torch.nn.functional.normalize(network(fbank(signal()[None]))[0], dim=0)
    return {"signal": SIGNAL, "embedding": embedding.tolist()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model_folder", metavar="MODEL_FOLDER")
    folder = parser.parse_args().model_folder
    try:
        manifest = read_manifest(folder)
        manifest["self_test"] = self_test(load_model(folder), fbank_of(manifest["frontend"]))
        write_manifest(folder, manifest)
    except (FolderError, OSError) as error:
        print(f"self_test.py: {error}", file=sys.stderr)
        return 1
    print(f"{os.path.join(folder, MANIFEST)}: self-test embedding of {len(manifest['self_test']['embedding'])} numbers")
    return 0


if __name__ == "__main__":
    sys.exit(main())
