#!/usr/bin/env python3
"""Writes a model folder's network as TorchScript and as ONNX: what the benchmark compares voxlock's engine with.

Makes ecapa_jit_traced.pt and ecapa_model.onnx in OUT_FOLDER. Both take features [1, T, 80] and give the embedding
[1, dim] before L2 normalisation. voxlock itself never reads them. Needs torch and numpy.
"""

import argparse
import os
import sys

import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "train"))
from ecapa import load_model  # noqa: E402

# Frame counts a trace must be right for, other than the one it was made with.
TRACED_FRAMES, CHECKED_FRAMES = 301, (30, 101, 301, 1001)
MAX_DIFFERENCE = 1e-4


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model_folder", metavar="MODEL_FOLDER")
    parser.add_argument("out_folder", metavar="OUT_FOLDER")
    arguments = parser.parse_args()
    model = load_model(arguments.model_folder)
    os.makedirs(arguments.out_folder, exist_ok=True)
    torch.manual_seed(1)
    bands = model.blocks[0].conv.conv.in_channels
    example = 14.0 * torch.randn(1, TRACED_FRAMES, bands)

    with torch.inference_mode():
        traced = torch.jit.freeze(torch.jit.trace(model, example))
        for frames in CHECKED_FRAMES:
            features = 14.0 * torch.randn(1, frames, bands)
            expected = model(features)
            difference = float((traced(features) - expected).abs().max() / expected.abs().max())
            if difference > MAX_DIFFERENCE:
                print(f"export_peers.py: the trace differs by {difference:g} at {frames} frames", file=sys.stderr)
                return 1
    path = os.path.join(arguments.out_folder, "ecapa_jit_traced.pt")
    traced.save(path)
    print(path, os.path.getsize(path), "bytes")

    path = os.path.join(arguments.out_folder, "ecapa_model.onnx")
    torch.onnx.export(
        model,
        example,
        path,
        opset_version=14,
        input_names=["features"],
        output_names=["embedding"],
        dynamic_axes={"features": {1: "frames"}},
    )
    print(path, os.path.getsize(path), "bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
