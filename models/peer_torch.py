#!/usr/bin/env python3
"""PyTorch as a contender of tests/bench/bench_engine.c: TorchScript of bake.py, samples to embedding.

Answers the lines that bench_engine.c describes. The front end is the PyTorch code of training. Needs torch and numpy.
"""

import argparse
import json
import os
import sys
import time
import wave

import numpy as np
import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "train"))
from ecapa import SAMPLE_RATE, Fbank  # noqa: E402


class Stopwatch:
    """Milliseconds since the last call."""

    def __init__(self):
        self.at = time.perf_counter()

    def lap(self):
        before, self.at = self.at, time.perf_counter()
        return 1e3 * (self.at - before)


def read_wav(path):
    """[1, N] float samples of a 16-bit mono file."""
    with wave.open(path) as file:
        if file.getframerate() != SAMPLE_RATE or file.getnchannels() != 1 or file.getsampwidth() != 2:
            raise ValueError(f"{path}: not 16 kHz mono 16 bit")
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    return torch.from_numpy(samples.astype(np.float32) / 32768.0)[None]


def answer(fbank, network, path, bf16):
    cpu, watch = time.process_time(), Stopwatch()
    samples = read_wav(path)
    times = {"decode_ms": watch.lap()}
    features = fbank(samples)
    times["features_ms"] = watch.lap()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        raw = network(features)
    embedding = torch.nn.functional.normalize(raw.float(), dim=1)[0].tolist()
    times["network_ms"] = watch.lap()
    times["cpu_ms"] = 1e3 * (time.process_time() - cpu)
    return times | {"embedding": embedding}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peers_folder", metavar="PEERS_FOLDER", help="what bake.py wrote")
    parser.add_argument("threads", metavar="THREADS", type=int)
    parser.add_argument("--bf16", action="store_true", help="run the network under bf16 autocast")
    arguments = parser.parse_args()
    # The environment must pin OPENBLAS_NUM_THREADS as well: OpenBLAS does not listen to torch.
    torch.set_num_threads(arguments.threads)
    fbank = Fbank()
    network = torch.jit.load(os.path.join(arguments.peers_folder, "ecapa_jit_traced.pt"))
    precision = "bf16" if arguments.bf16 else "f32"
    print(json.dumps({"engine": f"libtorch {torch.__version__} TorchScript", "precision": precision}), flush=True)
    with torch.inference_mode():
        for line in sys.stdin:
            print(json.dumps(answer(fbank, network, line.rstrip("\n") + ".wav", arguments.bf16)), flush=True)


if __name__ == "__main__":
    main()
