#!/usr/bin/env python3
"""Trains the voice activity detector and writes its weights as C: edge/capture/vad_weights.inc.

SPEECH_FOLDER holds manifest.tsv (split, source, speaker, path) and the 16 kHz mono files it names; the split "train" is
used. NOISE_FOLDER holds ESC-10's layout, CLASS/FOLD-RECORDING-TAKE.flac: fold 5 and the classes of --unseen are left
for measuring. The features here and in edge/capture/vad_net.c are the same; tests/unit/test_vad.c compares them on what
--golden writes. Needs torch, numpy, soundfile; some ten minutes on one core.
"""

import argparse
import csv
import glob
import math
import os
import sys
import time

import numpy as np
import soundfile
import torch
from torch import nn

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "train"))
from augment import colour, convolve, room_responses, uniform  # noqa: E402

RATE, HOP, WINDOW = 16000, 160, 400
BANDS, F_MIN, F_MAX = 24, 80.0, 8000.0
POWER_FLOOR = 1e-13  # of a band, full scale 1: below the rounding noise of 16 bits
DELAY = 10  # frames that are heard behind the one that is judged: VX_VAD_DELAY
FRAMES = 400  # of one training example
FLOOR_RISE, PEAK_FALL = 0.01, 0.01  # nepers a frame: what follows the quietest and the loudest of a band, of all bands
INPUT, FIRST, SECOND = 32, 40, 32
FEATURES = 2 * BANDS + 2
TELEPHONE, TELEPHONE_HZ = "wuw2", 3800  # a source whose recordings went over a telephone


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("speech_folder", metavar="SPEECH_FOLDER")
    parser.add_argument("noise_folder", metavar="NOISE_FOLDER")
    parser.add_argument("output", metavar="WEIGHTS.inc")
    parser.add_argument("--unseen", default="dog_bark,helicopter", help="classes left out (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=1800, help="default: %(default)s")
    parser.add_argument("--batch", type=int, default=32, help="default: %(default)s")
    parser.add_argument("--lr", type=float, default=4e-3, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--dev", type=int, default=0, metavar="N", help="clips of dev to measure on, as a rough check")
    parser.add_argument("--golden", nargs=2, metavar=("CLIP", "NPY"), help="write the probabilities of a recording")
    return parser.parse_args()


# ---- features --------------------------------------------------------------------------------------------------------


def mel(hz):
    return 2595 * math.log10(1 + hz / 700)


def band_weights():
    """[201, BANDS] triangles on the mel scale; bins 0 and 1 (below 80 Hz, where a constant lies) count nowhere."""
    edges = np.linspace(mel(F_MIN), mel(F_MAX), BANDS + 2)
    at = np.array([mel(k * RATE / WINDOW) for k in range(WINDOW // 2 + 1)])
    rise = (at[:, None] - edges[None, :-2]) / np.diff(edges)[0]
    fall = (edges[None, 2:] - at[:, None]) / np.diff(edges)[0]
    weights = np.maximum(0, np.minimum(rise, fall))
    weights[:2] = 0
    return torch.tensor(weights, dtype=torch.float32)


class Spectrum:
    def __init__(self):
        self.window = torch.hann_window(WINDOW, periodic=True)
        self.weights = band_weights()
        self.scale = 2 / (WINDOW * float(self.window.square().sum()))

    def powers(self, x):
        """[B, N] -> [B, T, 201]: power of the window that ends with each frame, as a mean square."""
        x = torch.nn.functional.pad(x, (WINDOW - HOP, 0))
        frames = x.unfold(1, WINDOW, HOP) * self.window
        return torch.fft.rfft(frames).abs().square() * self.scale

    def bands(self, powers):
        return torch.log(powers @ self.weights + POWER_FLOOR)


def follow(bands):
    """Above the floor of each band, below the peak of the mean; both start with the first frame."""
    mean = bands.mean(2)
    floor, peak = bands[:, 0], mean[:, 0]
    above, below = [], []
    for t in range(bands.shape[1]):
        floor = torch.minimum(floor + FLOOR_RISE, bands[:, t])
        peak = torch.maximum(peak - PEAK_FALL, mean[:, t])
        above.append(bands[:, t] - floor)
        below.append(mean[:, t] - peak)
    return torch.stack(above, 1), torch.stack(below, 1)


def features_of(bands):
    """[B, T, FEATURES]. No gain changes them: shape, height over the floor, step, depth under the peak."""
    mean = bands.mean(2, keepdim=True)
    step = torch.cat([torch.zeros_like(mean[:, :1]), mean[:, 1:] - mean[:, :-1]], 1)
    above, below = follow(bands)
    return torch.cat([(bands - mean) / 2, above / 4, step, below[:, :, None] / 4], 2)


# ---- labels ----------------------------------------------------------------------------------------------------------


def close_gaps(mask, value, longest):
    """Runs of `value` up to `longest` frames that have the other value on both sides are turned over."""
    t = 0
    while t < len(mask):
        end = t
        while end < len(mask) and mask[end] == mask[t]:
            end += 1
        if mask[t] == value and end - t <= longest and t > 0 and end < len(mask):
            mask[t:end] = not value
        t = end
    return mask


def label(levels):
    """docs/vad.md states the rule: what lies within 30 dB of the loud frames of the clean recording and 6 dB over its
    quiet ones; pauses up to 80 ms belong to the speech around them, bursts up to 40 ms are none."""
    loud, quiet = np.percentile(levels, 95), np.percentile(levels, 10)
    mask = levels >= max(loud - 30, min(quiet + 6, loud - 20))
    return close_gaps(close_gaps(mask, False, 8), True, 4)


# ---- recordings ------------------------------------------------------------------------------------------------------


def read(path):
    samples, rate = soundfile.read(path, dtype="float32")
    if rate != RATE or samples.ndim != 1:
        raise SystemExit(f"train_vad.py: {path} is not mono audio at {RATE} Hz")
    return samples


def read_speech(folder, split, spectrum):
    clips = []
    with open(os.path.join(folder, "manifest.tsv"), newline="") as manifest:
        for row in csv.DictReader(manifest, delimiter="\t"):
            if row["split"] != split:
                continue
            samples = read(os.path.join(folder, row["path"]))
            samples = samples[: len(samples) // HOP * HOP]
            powers = spectrum.powers(torch.tensor(samples)[None])[0, :, 2:].sum(1)
            # The window that ends with frame t + 1 is the one around frame t.
            levels = 10 * torch.log10(torch.cat([powers[1:], powers[-1:]]) + 1e-12).numpy()
            mask = label(levels)
            if mask.any():
                level = 10 ** (levels[mask] / 10)
                clips.append((samples / math.sqrt(level.mean()), mask, row["source"]))
    return clips


def read_noise(folder, unseen, held_out):
    clips = []
    for path in sorted(glob.glob(os.path.join(folder, "*", "*-*-*.flac"))):
        is_held_out = os.path.basename(path)[0] == "5" or os.path.basename(os.path.dirname(path)) in unseen
        samples = read(path)
        if is_held_out == held_out and samples.any():
            clips.append(samples[: np.flatnonzero(samples)[-1] + 1])
    return clips


# ---- mixtures --------------------------------------------------------------------------------------------------------


def stretch_of(clip, n, rng, speed):
    """n samples from a random place of a clip that repeats, at another speed."""
    at = rng.integers(len(clip)) + np.arange(n) * speed
    low = at.astype(np.int64)
    part = (at - low).astype(np.float32)
    return clip[low % len(clip)] * (1 - part) + clip[(low + 1) % len(clip)] * part


def tones(n, rng):
    length = int(rng.uniform(0.05, 0.6) * RATE)
    notes = rng.uniform(100, 3000, n // length + 1) * (rng.random(n // length + 1) < 0.7)
    phase = 2 * np.pi * np.cumsum(np.repeat(notes, length)[:n]) / RATE
    return np.sin(phase) + rng.uniform(0, 0.5) * np.sin(2 * phase) + rng.uniform(0, 0.3) * np.sin(3 * phase)


def clicks(n, rng):
    at = rng.standard_normal(n) * (rng.random(n) < rng.uniform(1, 10) / RATE)
    decay = np.exp(-np.arange(800) / rng.uniform(2, 200)) * np.cos(np.arange(800) * rng.uniform(0, 2))
    return np.convolve(at, decay)[:n]


def calls(n, rng):
    """Harmonic sounds of a falling pitch, with breath in them: what animals and squeaking doors give."""
    x = np.zeros(n)
    for at in rng.integers(0, n, rng.integers(1, 12)):
        length = min(n - at, int(rng.uniform(0.05, 0.5) * RATE))
        u = np.arange(length) / max(length, 1)
        phase = 2 * np.pi * np.cumsum(rng.uniform(200, 1500) * (1 + rng.uniform(-0.4, 0.4) * u)) / RATE
        voice = sum(np.sin(k * phase) / k ** rng.uniform(0, 1.5) for k in range(1, 8))
        shape = np.minimum(1, 20 * u) * np.exp(-rng.uniform(0, 5) * u) * (1 - u)
        x[at : at + length] += shape * (voice + rng.uniform(0, 1) * rng.standard_normal(length))
    return x


def invented(n, rng):
    """Noise, hum, throbbing, tones that come and go, clicks, or calls."""
    t = np.arange(n) / RATE
    kind = rng.integers(6)
    if kind == 0:
        return rng.standard_normal(n)
    if kind == 1:
        base = rng.choice([50, 60, 100, 120]) * (1 + 0.01 * rng.standard_normal())
        return sum(np.sin(2 * np.pi * base * k * t + rng.uniform(0, 7)) / k ** rng.uniform(0, 2) for k in range(1, 16))
    if kind == 2:
        beat = 0.5 + 0.5 * np.sin(2 * np.pi * rng.uniform(1, 25) * t)
        return rng.standard_normal(n) * beat ** rng.uniform(0.5, 6)
    return (tones, clicks, calls)[kind - 3](n, rng)


def example(speech, noises, rng):
    """(speech, noise, mask) of one example; the noise is silent in a fifth of them, the speech in a tenth."""
    n = FRAMES * HOP
    voice, mask = np.zeros(n, np.float32), np.zeros(FRAMES, bool)
    at = int(rng.integers(0, 150)) if rng.random() < 0.8 else 0
    samples, marks, source = speech[rng.integers(len(speech))]
    while at < FRAMES and rng.random() >= 0.1:
        start = int(rng.integers(0, max(1, len(marks) - 100)))
        count = min(FRAMES - at, len(marks) - start, int(rng.integers(60, 350)))
        voice[at * HOP : (at + count) * HOP] = samples[start * HOP : (start + count) * HOP]
        mask[at : at + count] = marks[start : start + count]
        at += count + int(rng.integers(10, 150))
    if rng.random() < 0.65:
        noise = stretch_of(noises[rng.integers(len(noises))], n, rng, rng.uniform(0.8, 1.25))
        if rng.random() < 0.3:
            noise = noise + stretch_of(noises[rng.integers(len(noises))], n, rng, 1)
    else:
        noise = invented(n, rng)
    if source == TELEPHONE and rng.random() < 0.7:
        # Else its missing treble would tell the speech from the noise.
        spectrum = np.fft.rfft(noise)
        spectrum[int(TELEPHONE_HZ * n / RATE) :] = 0
        noise = np.fft.irfft(spectrum, n)
    noise = noise / max(math.sqrt(np.mean(noise**2)), 1e-4)
    loudness = 0 if rng.random() < 0.2 else 10 ** (-rng.uniform(-4, 25) / 20)
    return voice, (loudness * noise).astype(np.float32), mask


def hisses(count):
    """[count, N] of noise that falls with frequency as steeply as chance wants: rooms and amplifiers."""
    n = FRAMES * HOP
    x = torch.randn(count, n)
    slope = torch.arange(1, n // 2 + 2).float().pow(-uniform(count, 0, 1, x))
    x = torch.fft.irfft(torch.fft.rfft(x) * slope, n)
    return x / x.norm(dim=1, keepdim=True) * math.sqrt(n)


def batch_of(speech, noises, hiss, size, rng):
    examples = [example(speech, noises, rng) for _ in range(size)]
    voice, noise, mask = (torch.tensor(np.stack(part)) for part in zip(*examples))
    n = voice.shape[1]
    far = max(1, size * 3 // 10)
    rooms = convolve(voice[:far], room_responses(far, voice))
    voice[:far] = rooms * (voice[:far].norm(dim=1, keepdim=True) / rooms.norm(dim=1, keepdim=True).clamp(min=1e-6))
    x = colour(voice + torch.cat([noise[: size // 2], colour(noise[size // 2 :])]))
    x = x + hiss[torch.randint(len(hiss), (size,))] * 10 ** (uniform(size, -60, -30, x) / 20)
    x = (x * 10 ** (uniform(size, -55, -5, x) / 20)).clamp(-1, 1)
    # A stream may begin or end in digital silence.
    silent = torch.arange(n)[None] < (uniform(size, -2, 0.7, x) * RATE)
    silent |= torch.arange(n)[None] > n - (uniform(size, -2, 0.3, x) * RATE)
    x = torch.where(silent, torch.zeros_like(x), torch.round(x * 32768) / 32768)
    return x, mask & ~silent[:, HOP // 2 :: HOP]


# ---- network ---------------------------------------------------------------------------------------------------------


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.input = nn.Linear(FEATURES, INPUT)
        self.first = nn.GRU(INPUT, FIRST, batch_first=True)
        self.second = nn.GRU(FIRST, SECOND, batch_first=True)
        self.output = nn.Linear(SECOND, 1)

    def forward(self, features):
        x, _ = self.first(torch.tanh(self.input(features)))
        x, _ = self.second(x)
        return self.output(x)[:, :, 0]


def judge(net, spectrum, x):
    """[B, T] logits, each of the frame it belongs to; the last DELAY frames are heard against silence."""
    x = torch.nn.functional.pad(x, (0, DELAY * HOP))
    return net(features_of(spectrum.bands(spectrum.powers(x))))[:, DELAY:]


def train(net, spectrum, speech, noises, arguments):
    rng = np.random.default_rng(arguments.seed)
    optimiser = torch.optim.AdamW(net.parameters(), lr=arguments.lr, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, arguments.lr, total_steps=arguments.steps, pct_start=0.1)
    hiss = hisses(64)
    start, total = time.time(), 0.0
    for step in range(1, arguments.steps + 1):
        x, mask = batch_of(speech, noises, hiss, arguments.batch, rng)
        with torch.no_grad():
            features = features_of(spectrum.bands(spectrum.powers(x)))
        # Judged DELAY windows late; what the crop cuts off is not asked for.
        logits = net(features)[:, DELAY:]
        loss = nn.functional.binary_cross_entropy_with_logits(logits, mask[:, :-DELAY].float())
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        total += float(loss)
        if step % 100 == 0:
            print(f"step {step}  loss {total / 100:.4f}  {time.time() - start:.0f} s", flush=True)
            total = 0.0


# ---- weights as C ----------------------------------------------------------------------------------------------------


def matrices(net):
    """(name, [n_out, n_in] weights, biases) in the order of the C code."""
    yield "input", net.input.weight, net.input.bias
    for name, unit in (("first", net.first), ("second", net.second)):
        yield name + "_x", unit.weight_ih_l0, unit.bias_ih_l0
        yield name + "_h", unit.weight_hh_l0, unit.bias_hh_l0


def round_weights(net):
    """To eight bits and a scale for each output, in place: what is measured here is then what C computes with."""
    scales = {}
    with torch.no_grad():
        for name, weight, _ in matrices(net):
            scales[name] = weight.abs().amax(1) / 127
            weight.copy_(torch.round(weight / scales[name][:, None]) * scales[name][:, None])
    return scales


def array(declaration, texts):
    lines, line = [], "   "
    for text in texts:
        if len(line) + len(text) + 2 > 120:
            lines.append(line)
            line = "   "
        line += " " + text + ","
    return "\n".join([f"static const {declaration} = {{", *lines, line, "};", ""])


def write_weights(path, net, scales, remark):
    def floats(values):
        return [f"{value:.8e}F" for value in values.tolist()]

    with open(path, "w") as out:
        out.write(f"/* vad_weights.inc - written by models/train_vad.py; {remark}. */\n")
        out.write(f"enum {{ BANDS = {BANDS}, INPUT = {INPUT}, FIRST = {FIRST}, SECOND = {SECOND} }};\n")
        for name, weight, bias in matrices(net):
            rounded = torch.round(weight / scales[name][:, None]).int().t().flatten()
            out.write(array(f"int8_t {name}_weights[{len(rounded)}]", [str(value) for value in rounded.tolist()]))
            out.write(array(f"float {name}_scales[{len(scales[name])}]", floats(scales[name])))
            out.write(array(f"float {name}_biases[{len(bias)}]", floats(bias)))
        out.write(array(f"float output_weights[{SECOND}]", floats(net.output.weight[0])))
        out.write(f"static const float output_bias = {float(net.output.bias):.8e}F;\n")


def write_golden(path, net, spectrum, clip):
    """Probabilities of each frame of a recording, as the C code has to give them."""
    samples = read(clip)
    samples = samples[: len(samples) // HOP * HOP]
    np.save(path, torch.sigmoid(judge(net, spectrum, torch.tensor(samples)[None]))[0].float().numpy())


# ---- a rough measure; tests/bench/bench_vad.c is the real one --------------------------------------------------------


def area(scores, mask):
    """Of the ROC curve: the rank sum."""
    ranks = np.empty(len(scores))
    ranks[np.argsort(scores)] = np.arange(1, len(scores) + 1)
    n = mask.sum()
    return (ranks[mask].sum() - n * (n + 1) / 2) / (n * (len(mask) - n))


def measure(net, spectrum, speech, noises, count, snr_db, seed):
    rng = np.random.default_rng(seed)
    scores, masks = [], []
    for index in rng.permutation(len(speech))[:count]:
        voice, mask, _ = speech[index]
        voice = np.concatenate([np.zeros(RATE), voice, np.zeros(RATE)]).astype(np.float32)
        noise = stretch_of(noises[rng.integers(len(noises))], len(voice), rng, 1)
        noise = noise / max(math.sqrt(np.mean(noise**2)), 1e-4)
        x = torch.tensor(0.05 * (voice + 10 ** (-snr_db / 20) * noise), dtype=torch.float32)[None]
        with torch.no_grad():
            scores.append(judge(net, spectrum, x)[0].numpy())
        masks.append(np.concatenate([np.zeros(100, bool), mask, np.zeros(100, bool)]))
    scores, masks = np.concatenate(scores), np.concatenate(masks)
    return area(scores, masks), np.mean((scores > 0) != masks)


def main():
    arguments = parse_arguments()
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(1)
    spectrum, net = Spectrum(), Net()
    speech = read_speech(arguments.speech_folder, "train", spectrum)
    noises = read_noise(arguments.noise_folder, arguments.unseen.split(","), False)
    size = sum(p.numel() for p in net.parameters())
    print(f"{len(speech)} recordings, {len(noises)} noises, {size} parameters", flush=True)
    train(net, spectrum, speech, noises, arguments)
    scales = round_weights(net)
    write_weights(arguments.output, net, scales, f"--steps {arguments.steps} --seed {arguments.seed}")
    if arguments.golden:
        with torch.no_grad():
            write_golden(arguments.golden[1], net, spectrum, arguments.golden[0])
    if arguments.dev > 0:
        dev = read_speech(arguments.speech_folder, "dev", spectrum)
        for name, held_out in (("seen in training", False), ("held out", True)):
            noises = read_noise(arguments.noise_folder, arguments.unseen.split(","), held_out)
            for snr_db in (20, 10, 5, 0):
                auc, error = measure(net, spectrum, dev, noises, arguments.dev, snr_db, 1)
                print(f"noises {name}, {snr_db} dB: AUC {auc:.4f}, frames wrong {100 * error:.1f} %")


if __name__ == "__main__":
    main()
