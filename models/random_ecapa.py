#!/usr/bin/env python3
"""Writes a model folder with seeded random weights: the size of a real model for benchmarks, without a download.

The defaults are the sizes of SpeechBrain's public ECAPA-TDNN (20.8 million parameters). The embeddings mean nothing.
Standard library only; the same arguments give the same bytes.
"""

import argparse
import array
import math
import random
import statistics
import sys

from ecapa_folder import RES2_SCALE, FolderError, ecapa_shapes, write_folder

# Mean-normalised log-mel features of speech have a standard deviation of about this many dB.
FEATURE_STD = 14.0
# 16 random bits index a table of normal quantiles: 20.8 million values in 2 s, where random.gauss takes 20.
QUANTILES = [statistics.NormalDist().inv_cdf((i + 0.5) / 65536) for i in range(65536)]


def normals(rng, n, mean, std):
    """n float32 values of a normal distribution, as bytes."""
    table = array.array("f", (mean + std * q for q in QUANTILES)).tolist() if n > 4096 else None
    index = array.array("H", rng.randbytes(2 * n))
    if table:
        return array.array("f", map(table.__getitem__, index)).tobytes()
    return array.array("f", (mean + std * QUANTILES[i] for i in index)).tobytes()


def fill(rng, name, shape):
    """He initialisation keeps the second moment of activations at 1 through conv and ReLU; the batch-norm statistics
    are those that such activations have: mean 1/sqrt(pi), variance 1 - 1/pi."""
    n = math.prod(shape)
    # Only the first layer sees features; its batch norm brings them to 1.
    scale = FEATURE_STD if name.startswith("blocks.0.norm") else 1.0
    if name.endswith("conv.weight"):
        return normals(rng, n, 0.0, math.sqrt(2.0 / (shape[1] * shape[2])))
    if name.endswith("running_mean"):
        return normals(rng, n, scale / math.sqrt(math.pi), 0.1 * scale)
    if name.endswith("running_var"):
        variance = scale * scale * (1.0 - 1.0 / math.pi)
        return array.array("f", (variance * rng.uniform(0.7, 1.4) for _ in range(n))).tobytes()
    if name.endswith("norm.weight"):
        return normals(rng, n, 1.0, 0.1)
    return normals(rng, n, 0.0, 0.05)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model_folder", metavar="MODEL_FOLDER")
    parser.add_argument("--channels", type=int, default=1024, help=f"a multiple of {RES2_SCALE} (default: %(default)s)")
    parser.add_argument("--mfa", type=int, help="channels before pooling (default: 3 * channels)")
    parser.add_argument("--attention", type=int, default=128, help="default: %(default)s")
    parser.add_argument("--se", type=int, default=128, help="squeeze-excitation width (default: %(default)s)")
    parser.add_argument("--dim", type=int, default=192, help="numbers in an embedding (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    return parser.parse_args()


def main():
    a = parse_arguments()
    try:
        if sys.byteorder != "little":
            raise FolderError("this program needs a little-endian machine")
        if a.channels % RES2_SCALE or min(a.channels, a.attention, a.se, a.dim, a.mfa or 1) < 1:
            raise FolderError(f"sizes must be 1 or more, and --channels a multiple of {RES2_SCALE}")
        shapes = ecapa_shapes(a.channels, a.mfa or 3 * a.channels, a.attention, a.se, a.dim, bands=80)
        rng = random.Random(a.seed)
        tensors = {name: (shape, fill(rng, name, shape)) for name, shape in shapes.items()}
        model = {
            "name": f"random-ecapa-{a.channels}",
            "source": f"random weights, seed {a.seed}, for benchmarks",
            "licence": "same as voxlock",
            "accuracy": "none: the weights are random",
        }
        write_folder(a.model_folder, tensors, model, {"threshold": 0.25})
        print(f"{sum(math.prod(shape) for shape in shapes.values())} values, batch-norm statistics included")
    except (FolderError, OSError) as error:
        print(f"random_ecapa.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
