#!/usr/bin/env python3
"""Writes small TorchScript and ONNX files for tests: one of each that is right, and others that are wrong in one way.

All are made from one model folder (the tests' is tests/data/golden/model), seeded, so that a test knows what each must
be refused for. Files in OUT_FOLDER:

  self_test.json   what the PyTorch reference computes for the self-test's signal: a list of numbers
  jit_*.pt         good, and see TORCHSCRIPT below
  onnx_*.onnx      good, and see ONNX below

Needs torch and numpy.
"""

import argparse
import json
import sys
import warnings
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent / "train"))
from ecapa import ECAPA, Fbank, load_model  # noqa: E402
from self_test import signal  # noqa: E402

TRACED_FRAMES = 301
# What a clip must exceed for the file that fails late: above the self-test's second, below the golden clip of 7 s.
LATE_FRAMES = 400


class Wrapped(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network


class Narrow(Wrapped):
    """One number less than the manifest says."""

    def forward(self, features):
        return self.network(features)[:, :-1]


class NotANumber(Wrapped):
    def forward(self, features):
        return self.network(features) * float("nan")


class TwoInputs(Wrapped):
    def forward(self, features, lengths):
        return self.network(features) * lengths.unsqueeze(1)


class TwoResults(Wrapped):
    def forward(self, features):
        embedding = self.network(features)
        return embedding, embedding.sum(1)


class OneClip(Wrapped):
    """Takes a batch, and makes one long row of it."""

    def forward(self, features):
        return self.network(features).reshape(1, -1)


class FlatInput(Wrapped):
    """Features of one clip without the dimension of the batch."""

    def forward(self, features):
        return self.network(features.unsqueeze(0))


class Throws(nn.Module):
    def forward(self, features):
        raise RuntimeError("this network always fails")
        return features


class ThrowsLate(Wrapped):
    """Passes for sound at load, since it only fails on clips longer than the self-test's."""

    def __init__(self, network):
        super().__init__(network)
        self.limit = LATE_FRAMES

    def forward(self, features):
        if features.shape[1] > self.limit:
            raise RuntimeError("this network fails on long clips")
        return self.network(features)


class NoForward(nn.Module):
    @torch.jit.export
    def embed(self, features):
        return features.mean(1)


def random_features(bands, frames=TRACED_FRAMES):
    return 14.0 * torch.randn(1, frames, bands)


def traced(network, *example):
    return torch.jit.freeze(torch.jit.trace(network.eval(), example, check_trace=False))


def other_network(network, **changes):
    """The same sizes, or some changed, and weights of another seed."""
    sizes = {
        "channels": network.blocks[0].conv.conv.out_channels,
        "mfa": network.mfa.conv.conv.out_channels,
        "attention": network.asp.tdnn.conv.conv.out_channels,
        "se": network.blocks[1].se_block.conv1.conv.out_channels,
        "dim": network.fc.conv.out_channels,
        "bands": network.blocks[0].conv.conv.in_channels,
    }
    return ECAPA(**(sizes | changes)).eval()


def forge_torchscript(network, bands, folder):
    features = random_features(bands)
    half = other_network(network, bands=bands // 2)
    files = {
        "good": traced(network, features),
        "other_weights": traced(other_network(network), features),
        "dimension": traced(Narrow(network), features),
        "bands": traced(half, random_features(bands // 2)),
        "two_inputs": traced(TwoInputs(network), features, torch.ones(1)),
        "two_results": traced(TwoResults(network), features),
        "one_clip": traced(OneClip(network), features),
        "nan": traced(NotANumber(network), features),
        "throws": torch.jit.script(Throws()),
        "throws_late": torch.jit.script(ThrowsLate(torch.jit.trace(network, features))),
        "no_forward": torch.jit.script(NoForward()),
    }
    for name, module in files.items():
        module.save(str(folder / f"jit_{name}.pt"))
    whole = (folder / "jit_good.pt").read_bytes()
    (folder / "jit_truncated.pt").write_bytes(whole[: len(whole) // 2])
    (folder / "jit_text.pt").write_text("This is not a network.\n")
    # What torch.save writes is a zip file too.
    torch.save(network.state_dict(), folder / "jit_weights_only.pt")


def export_onnx(network, inputs, path, dynamic=True):
    """inputs: name -> example."""
    axes = {name: {0: "clips", 1: "frames"} for name, value in inputs.items() if value.dim() == 3}
    if dynamic:
        axes["embedding"] = {0: "clips"}
    torch.onnx.export(
        network,
        tuple(inputs.values()),
        str(path),
        opset_version=14,
        input_names=list(inputs),
        output_names=["embedding"],
        dynamic_axes=axes if dynamic else None,
    )


def forge_onnx(network, bands, folder):
    features = random_features(bands)
    files = {
        "good": (network, {"features": features}),
        "input_name": (network, {"loudness": features}),
        "other_weights": (other_network(network), {"features": features}),
        "dimension": (Narrow(network), {"features": features}),
        "bands": (other_network(network, bands=bands // 2), {"features": random_features(bands // 2)}),
        "rank": (FlatInput(network), {"features": features[0]}),
        "two_inputs": (TwoInputs(network), {"features": features, "lengths": torch.ones(1)}),
        "nan": (NotANumber(network), {"features": features}),
    }
    for name, (module, inputs) in files.items():
        export_onnx(module.eval(), inputs, folder / f"onnx_{name}.onnx")
    export_onnx(network, {"features": features}, folder / "onnx_fixed.onnx", dynamic=False)
    whole = (folder / "onnx_good.onnx").read_bytes()
    (folder / "onnx_truncated.onnx").write_bytes(whole[: len(whole) // 2])
    (folder / "onnx_text.onnx").write_text("This is not a network.\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model_folder", metavar="MODEL_FOLDER")
    parser.add_argument("out_folder", metavar="OUT_FOLDER", type=Path)
    arguments = parser.parse_args()
    network = load_model(arguments.model_folder)
    bands = network.blocks[0].conv.conv.in_channels
    folder = arguments.out_folder
    folder.mkdir(parents=True, exist_ok=True)
    # The exporter speaks of constants that it could not fold.
    warnings.filterwarnings("ignore", category=UserWarning)
    torch.manual_seed(1)
    torch.set_num_threads(1)  # the matrices are so small that threads only wait for each other
    with torch.inference_mode():
        forge_torchscript(network, bands, folder)
        expected = torch.nn.functional.normalize(network(Fbank()(signal()[None]))[0], dim=0)
    forge_onnx(network, bands, folder)
    (folder / "self_test.json").write_text(json.dumps([round(v, 9) for v in expected.tolist()]) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
