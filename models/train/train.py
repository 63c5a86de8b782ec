#!/usr/bin/env python3
"""Trains an ECAPA-TDNN on a folder of recordings and writes a model folder.

SPEECH_FOLDER holds manifest.tsv (a heading line and the columns split, source, speaker, path) and the 16 kHz mono
files it names; clips of the split "train" are used. Each speaker at each of three speeds is a class of its own.
Score the result with score_trials.py, which also gives threshold and calibration. Needs torch, numpy, soundfile.
"""

import argparse
import csv
import json
import math
import os
import time

import numpy as np
import soundfile
import torch
import torch.nn.functional as F
from torch import nn

from augment import SAMPLE_RATE, augment, margin_loss, mask_features
from ecapa import ECAPA, Fbank, tensors_of
from ecapa_folder import write_folder

SPEEDS = (1.0, 0.9, 1.1)
WARM_UP_STEPS = 250
# The last part trains on longer, unmasked crops with a larger margin, as the network will be used.
FINE_TUNE_FROM = 0.85
FINE_TUNE_MARGIN = 0.15


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("speech_folder", metavar="SPEECH_FOLDER")
    parser.add_argument("model_folder", metavar="MODEL_FOLDER")
    parser.add_argument("--noise", metavar="FOLDER", help="16 kHz mono recordings of noise (searched recursively)")
    parser.add_argument("--name", default="voxlock-trained", help="default: %(default)s")
    parser.add_argument("--source", default="trained with models/train", help="default: %(default)s")
    parser.add_argument("--licence", default="not stated", help="of the weights; follows from that of the recordings")
    parser.add_argument("--channels", type=int, default=256, help="default: %(default)s")
    parser.add_argument("--steps", type=int, default=3000, help="default: %(default)s")
    parser.add_argument("--batch", type=int, default=64, help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=1.5, help="length of a crop (default: %(default)s)")
    parser.add_argument("--lr", type=float, default=2e-3, help="default: %(default)s")
    parser.add_argument("--weight-decay", type=float, default=0.05, help="default: %(default)s")
    parser.add_argument("--margin", type=float, default=0.2, help="default: %(default)s")
    parser.add_argument("--scale", type=float, default=30.0, help="default: %(default)s")
    parser.add_argument("--dropout", type=float, default=0.05, help="on the embedding (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    return parser.parse_args()


# ---- recordings ------------------------------------------------------------------------------------------------------


def read_clip(path):
    samples, rate = soundfile.read(path, dtype="int16")
    if rate != SAMPLE_RATE or samples.ndim != 1:
        raise SystemExit(f"train.py: {path} is not mono audio at {SAMPLE_RATE} Hz")
    return samples


class Clips:
    """Recordings end to end in one tensor on the device, each with its start and length."""

    def __init__(self, clips, device):
        self.length = np.array([len(c) for c in clips])
        self.start = np.concatenate([[0], np.cumsum(self.length)[:-1]]).astype(np.int64)
        self.samples = torch.from_numpy(np.concatenate(clips)).to(device)

    def read(self, positions):
        return self.samples[positions].float() / 32768.0


class Speech:
    """Speaker-balanced random crops of the training split."""

    def __init__(self, folder, device, rng):
        with open(os.path.join(folder, "manifest.tsv"), encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file, delimiter="\t") if row["split"] == "train"]
        if not rows:
            raise SystemExit(f"train.py: {folder}/manifest.tsv names no clip of the split 'train'")
        rows.sort(key=lambda row: (row["source"], row["speaker"], row["path"]))
        speakers = [(row["source"], row["speaker"]) for row in rows]
        self.clips = Clips([read_clip(os.path.join(folder, row["path"])) for row in rows], device)
        self.speakers = sorted(set(speakers))
        self.n_classes = len(self.speakers) * len(SPEEDS)
        self.first = np.array([speakers.index(s) for s in self.speakers])
        self.count = np.diff(np.append(self.first, len(rows)))
        seconds = np.add.reduceat(self.clips.length, self.first) / SAMPLE_RATE
        self.hours = float(seconds.sum()) / 3600
        # Between one share a speaker and one share a second: much-recorded speakers neither dominate nor starve.
        self.weight = np.sqrt(seconds) / np.sqrt(seconds).sum()
        self.device, self.rng = device, rng

    def crop(self, batch, n):
        """[batch, n] samples and [batch] classes; clips shorter than a crop are repeated."""
        speaker = self.rng.choice(len(self.speakers), batch, p=self.weight)
        other = self.rng.integers(0, len(SPEEDS), batch)
        speed = np.where(self.rng.random(batch) < 0.4, 0, other)
        clip = self.first[speaker] + (self.rng.random(batch) * self.count[speaker]).astype(np.int64)
        rate = np.array(SPEEDS)[speed]
        need = np.round(n * rate).astype(np.int64)
        room = np.maximum(self.clips.length[clip] - need, 0)
        start = self.clips.start[clip] + (self.rng.random(batch) * room).astype(np.int64)
        span = np.minimum(self.clips.length[clip], need)

        start, span, rate = (torch.as_tensor(v, device=self.device)[:, None] for v in (start, span, rate))
        # Linear interpolation suffices: what it does to the top of the band, colour() does more of.
        position = torch.arange(n, device=self.device, dtype=torch.float64)[None] * rate
        whole = position.long()
        before, after = self.clips.read(start + whole % span), self.clips.read(start + (whole + 1) % span)
        x = before + (after - before) * (position - whole).float()
        return x, torch.as_tensor(speaker * len(SPEEDS) + speed, device=self.device)


class Noise:
    """Random pieces of noise recordings; white noise where there are none."""

    def __init__(self, folder, device, rng):
        paths = [os.path.join(root, name) for root, _, names in os.walk(folder or os.devnull) for name in names]
        paths = sorted(p for p in paths if p.lower().endswith((".flac", ".wav", ".ogg")))
        self.clips = Clips([read_clip(p) for p in paths], device) if paths else None
        self.device, self.rng = device, rng

    def crop(self, batch, n):
        if self.clips is None:
            return torch.randn(batch, n, device=self.device)
        clip = self.rng.integers(0, len(self.clips.length), batch)
        start = self.clips.start[clip] + (self.rng.random(batch) * self.clips.length[clip]).astype(np.int64)
        positions = torch.as_tensor(start, device=self.device)[:, None] + torch.arange(n, device=self.device)[None]
        # Running into the next recording does no harm to noise; only the very end wraps.
        return self.clips.read(positions % len(self.clips.samples))


# ---- training --------------------------------------------------------------------------------------------------------


class Average:
    """Exponential moving average of weights and batch-norm statistics: what is scored and written."""

    def __init__(self, model):
        self.model = model
        self.values = {k: v.clone() for k, v in model.state_dict().items()}

    def update(self, step):
        decay = min(0.999, (1 + step) / (10 + step))
        for name, value in self.model.state_dict().items():
            if value.is_floating_point():
                self.values[name].lerp_(value, 1 - decay)

    def apply(self):
        self.model.load_state_dict(self.values)


def make_optimizer(modules, arguments):
    """AdamW; biases and batch-norm gains do not decay."""
    parameters = [p for module in modules for p in module.parameters()]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": arguments.weight_decay},
        {"params": [p for p in parameters if p.ndim == 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=arguments.lr, betas=(0.9, 0.98))


def train(model, speech, noise, arguments, device):
    fbank = Fbank().to(device)
    centres = nn.Linear(model.fc.conv.out_channels, speech.n_classes, bias=False).to(device)
    optimizer = make_optimizer((model, centres), arguments)
    average = Average(model)
    n, started = int(arguments.seconds * SAMPLE_RATE), time.monotonic()

    model.train()
    for step in range(arguments.steps):
        done = step / arguments.steps
        fine_tune = done > FINE_TUNE_FROM
        for group in optimizer.param_groups:
            cosine_decay = 0.5 * (1 + math.cos(math.pi * done)) + 1e-3
            group["lr"] = arguments.lr * min(1.0, (step + 1) / WARM_UP_STEPS) * cosine_decay
        margin = arguments.margin * min(1.0, max(0.0, (done - 0.05) / 0.25))
        if fine_tune:
            margin += FINE_TUNE_MARGIN

        size = (max(2, arguments.batch // 2), 2 * n) if fine_tune else (arguments.batch, n)
        with torch.no_grad():
            x, label = speech.crop(*size)
            features = fbank(augment(x, noise.crop(*size)))
            if not fine_tune:
                features = mask_features(features)
        with torch.autocast(device, dtype=torch.bfloat16):
            embedding = model(features)
        embedding = F.dropout(embedding.float(), arguments.dropout)
        cosine = F.linear(F.normalize(embedding), F.normalize(centres.weight))
        loss = margin_loss(cosine, label, margin, arguments.scale)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        average.update(step)
        if (step + 1) % 50 == 0 or step + 1 == arguments.steps:
            right = (cosine.argmax(1) == label).float().mean()
            seconds = time.monotonic() - started
            print(f"step {step + 1}  {seconds:.0f} s  loss {loss:.3f}  right {right:.3f}", flush=True)
    average.apply()


def main():
    arguments = parse_arguments()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(arguments.seed)
    rng = np.random.default_rng(arguments.seed)
    speech = Speech(arguments.speech_folder, device, rng)
    noise = Noise(arguments.noise, device, rng)
    print(f"{len(speech.speakers)} speakers, {speech.hours:.2f} h, {speech.n_classes} classes, on {device}", flush=True)

    model = ECAPA(arguments.channels).to(device)
    train(model, speech, noise, arguments, device)
    described = {"name": arguments.name, "source": arguments.source, "licence": arguments.licence}
    # SpeechBrain's threshold until score_trials.py has measured a better one.
    write_folder(arguments.model_folder, tensors_of(model), described, {"threshold": 0.25})
    report = {"speakers": len(speech.speakers), "hours": speech.hours, "arguments": vars(arguments)}
    with open(os.path.join(arguments.model_folder, "report.json"), "w", encoding="utf-8") as file:
        json.dump(report, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
