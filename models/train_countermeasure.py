#!/usr/bin/env python3
"""Trains the countermeasure and writes its weights as C: edge/pava/countermeasure_weights.inc.

LAB_FOLDER is what the spoof laboratory wrote of the split "train" (tests/bench/spoof): manifest.tsv and the clips. More
of them, of other seeds, are more to learn from. Not trained on are kinds that are held out, and a share of the speakers,
since a network is too sure of what it was trained on: what PAVA makes of the logits is fitted to those speakers
(models/fit_pava.py). They are also what it is measured on here; --leave keeps kinds of attacks away besides, and shows
what becomes of attacks that nobody knew. Features, network and training were chosen that way. --dev measures on a
laboratory of the split "dev".

What the network is shown comes from the C code itself, through the program countermeasure_features. Needs torch, numpy;
some ten minutes on one core.
"""

import argparse
import csv
import hashlib
import os
import shutil
import subprocess
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

BANDS, ROWS = 64, 160  # VX_TRACE_BANDS, VX_TRACE_ROWS
FRAMES = 200  # of one training example
CHANNELS, POOLED, ATTENTION, HIDDEN = 96, 128, 32, 48
LAYERS = ((1, 1), (3, 1), (3, 2))  # taps, dilation
HEADS = ("synthetic", "playback", "converted", "any")
STD_FLOOR = 1e-4


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labs", metavar="LAB_FOLDER", nargs="+")
    parser.add_argument("--weights", metavar="FILE.inc", help="write them there")
    parser.add_argument("--features", default="build/release/tools/countermeasure_features", metavar="PROGRAM")
    parser.add_argument("--cache", metavar="FOLDER", help="keep features there between runs")
    parser.add_argument("--steps", type=int, default=2500, help="default: %(default)s")
    parser.add_argument("--batch", type=int, default=48, help="default: %(default)s")
    parser.add_argument("--lr", type=float, default=3e-3, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--calibration-share", type=float, default=0.25, help="of the speakers; default: %(default)s")
    parser.add_argument("--calibration", metavar="FOLDER", help="copy their clips of the first LAB_FOLDER there")
    parser.add_argument("--leave", default="", metavar="KIND,...", help="kinds not trained on, but measured")
    parser.add_argument("--dev", metavar="LAB_FOLDER", help="measure on its split dev, too")
    parser.add_argument("--golden", nargs="+", metavar="FILE", help="FILE.npy CLIP...: write the logits of recordings")
    return parser.parse_args()


# ---- the laboratory --------------------------------------------------------------------------------------------------


class Clip:
    """A row of the manifest, and what was measured of it: speech [n], rows [n, ROWS]."""

    def __init__(self, row, table):
        self.row, self.spoof, self.held_out = row, row["spoof"] == "1", row["held_out"] == "1"
        self.group, self.kind, self.source = row["group"], row["kind"], row["source"]
        self.speech, self.rows = table[:, 0], table[:, 1:]
        self.wanted, self.weight = labels(row)


def labels(row):
    """What each head should say of a clip, and whether it is asked. A head learns its own traces against living voices;
    of other attacks it is only told, at a fifth of the weight, that they are not its own."""
    spoof, group = row["spoof"] == "1", row["group"]
    played = "delivery=" in row["parameters"] and "delivery=injected" not in row["parameters"]
    wanted = [group in ("synthetic", "vocoder"), group == "replay" or played, group == "conversion", spoof]
    weight = [1.0 if is_so or not spoof else 0.2 for is_so in wanted]
    return np.array(wanted, np.float32), np.array(weight, np.float32)


def measure(program, paths):
    """One array [n, 1 + ROWS] a path, of no frames where a clip is unusable."""
    # Names go in while features come out: a pipe of either would fill up.
    answer = subprocess.run([program], input="".join(path + "\n" for path in paths).encode(), stdout=subprocess.PIPE,
                            check=True).stdout
    tables, at = [], 0
    for _ in paths:
        frames = int(np.frombuffer(answer, np.uint32, 1, at)[0])
        table = np.frombuffer(answer, np.float32, frames * (1 + ROWS), at + 4).reshape(frames, 1 + ROWS)
        tables.append(table.astype(np.float16))
        at += 4 + 4 * table.size
    return tables


def measure_once(program, paths, cache):
    if not cache:
        return measure(program, paths)
    key = hashlib.sha256("\n".join(paths).encode()).hexdigest()[:16]
    name = os.path.join(cache, f"countermeasure-{key}.npz")
    if not os.path.exists(name):
        tables = measure(program, paths)
        np.savez(name, all=np.concatenate(tables), lengths=[len(table) for table in tables])
    with np.load(name) as kept:
        return np.split(kept["all"], np.cumsum(kept["lengths"])[:-1])


def read_manifest(folder, split):
    with open(os.path.join(folder, "manifest.tsv"), newline="") as manifest:
        return [row for row in csv.DictReader(manifest, delimiter="\t") if row["split"] == split]


def read_lab(arguments, folder, split):
    """Exact repeats are left out: the fingerprint finds them, and they sound like the living voices that they were."""
    rows = [row for row in read_manifest(folder, split) if row["group"] != "repeat"]
    paths = [os.path.join(folder, row["path"]) for row in rows]
    tables = measure_once(arguments.features, paths, arguments.cache)
    return [Clip(row, table) for row, table in zip(rows, tables) if len(table) > 0]


def is_calibration(row, share):
    """By a hash of the speaker, so that it is the same in every laboratory."""
    digest = hashlib.sha256(f"{row['source']}/{row['speaker']}".encode()).hexdigest()
    return int(digest[:8], 16) < share * 2**32


def gather_calibration(arguments):
    lab = arguments.labs[0]
    rows = [row for row in read_manifest(lab, "train") if is_calibration(row, arguments.calibration_share)]
    for row in rows:
        source, target = (os.path.join(folder, row["path"]) for folder in (lab, arguments.calibration))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copyfile(source, target)
    with open(os.path.join(arguments.calibration, "manifest.tsv"), "w", newline="") as manifest:
        out = csv.DictWriter(manifest, rows[0].keys(), delimiter="\t", lineterminator="\n")
        out.writeheader()
        out.writerows(rows)


# ---- examples --------------------------------------------------------------------------------------------------------


class Sampler:
    """Draws clips so that no share of the laboratory is a cue: first the source, then living or spoof, then the group,
    then the kind, each with equal chances."""

    def __init__(self, clips, rng):
        self.rng, self.tree = rng, {}
        for clip in clips:
            groups = self.tree.setdefault(clip.source, {}).setdefault(clip.spoof, {})
            groups.setdefault(clip.group, {}).setdefault(clip.kind, []).append(clip)

    def one_of(self, choices):
        return choices[self.rng.integers(len(choices))]

    def draw(self):
        branch = self.tree
        for _ in range(4):
            branch = branch[self.one_of(list(branch))]
        return self.one_of(branch)

    def crop(self, clip):
        """FRAMES of it; a shorter one is heard again from its start."""
        first = int(self.rng.integers(max(1, len(clip.rows) - FRAMES + 1)))
        at = (first + np.arange(FRAMES)) % len(clip.rows)
        return clip.speech[at], clip.rows[at]

    def batch(self, size):
        clips = [self.draw() for _ in range(size)]
        speech, rows = (np.stack(part).astype(np.float32) for part in zip(*(self.crop(clip) for clip in clips)))
        wanted, weight = (np.stack([getattr(clip, name) for clip in clips]) for name in ("wanted", "weight"))
        return tuple(torch.tensor(part) for part in (speech, rows, wanted, weight))


def mask(rows):
    """SpecAugment: up to an eighth of the bands unheard, twice."""
    index = torch.arange(BANDS)
    for _ in range(2):
        width = torch.randint(0, BANDS // 8 + 1, (len(rows), 1))
        first = (torch.rand(len(rows), 1) * (BANDS - width)).long()
        hidden = (index >= first) & (index < first + width)
        rows[..., :BANDS].masked_fill_(hidden[:, None], 0)
    return rows


def level(speech, rows):
    """vx_trace_level_bands."""
    weight = speech[..., None] / speech.sum(1).clamp(min=1)[:, None, None]
    mean = (rows[..., :BANDS] * weight).sum(1, keepdim=True)
    return torch.cat([rows[..., :BANDS] - mean, rows[..., BANDS:]], 2)


# ---- network ---------------------------------------------------------------------------------------------------------


class Layer(nn.Module):
    def __init__(self, n_in, n_out, taps=1, dilation=1):
        super().__init__()
        reach = taps // 2 * dilation
        self.conv = nn.Conv1d(n_in, n_out, taps, dilation=dilation, padding=reach, padding_mode="reflect")
        self.norm = nn.BatchNorm1d(n_out)

    def forward(self, x):
        return self.norm(torch.relu(self.conv(x)))


class Net(nn.Module):
    """A time-delay network over rows, attentive mean and deviation over time, a dense layer, one logit a head."""

    def __init__(self):
        super().__init__()
        sizes = [ROWS] + [CHANNELS] * len(LAYERS)
        self.layers = nn.ModuleList([Layer(sizes[i], sizes[i + 1], *shape) for i, shape in enumerate(LAYERS)])
        self.layers.append(Layer(CHANNELS, POOLED))
        self.attend_in = nn.Conv1d(POOLED, ATTENTION, 1)
        self.attend_out = nn.Conv1d(ATTENTION, POOLED, 1)
        self.norm = nn.BatchNorm1d(2 * POOLED)
        self.drop = nn.Dropout(0.3)
        self.hidden = nn.Linear(2 * POOLED, HIDDEN)
        self.output = nn.Linear(HIDDEN, len(HEADS))

    def forward(self, rows):
        x = rows.transpose(1, 2)
        for layer in self.layers:
            x = layer(x)
        attention = torch.softmax(self.attend_out(torch.tanh(self.attend_in(x))), 2)
        mean = (attention * x).sum(2)
        std = (attention * (x - mean[:, :, None]).square()).sum(2).clamp(min=STD_FLOOR).sqrt()
        x = self.drop(self.norm(torch.cat([mean, std], 1)))
        return self.output(torch.relu(self.hidden(x)))


def train(net, clips, arguments):
    sampler = Sampler(clips, np.random.default_rng(arguments.seed))
    optimiser = torch.optim.AdamW(net.parameters(), lr=arguments.lr, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, arguments.lr, total_steps=arguments.steps, pct_start=0.15)
    start, total = time.time(), 0.0
    for step in range(1, arguments.steps + 1):
        speech, rows, wanted, weight = sampler.batch(arguments.batch)
        rows = mask(level(speech, rows))
        # Targets short of certain, because some clips hold nothing that tells.
        loss = F.binary_cross_entropy_with_logits(net(rows), 0.95 * wanted + 0.025, weight=weight)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        total += float(loss)
        if step % 250 == 0:
            print(f"step {step}  loss {total / 250:.4f}  {time.time() - start:.0f} s", flush=True)
            total = 0.0
    net.eval()


def judge(net, speech, rows):
    """Logits of one clip, as vx_countermeasure_run gives them."""
    with torch.no_grad():
        speech, rows = (torch.tensor(np.asarray(part, np.float32))[None] for part in (speech, rows))
        return net(level(speech, rows))[0].numpy()


# ---- weights as C ----------------------------------------------------------------------------------------------------


def fold_norm(net):
    """The norm in front of the dense layer becomes part of it."""
    norm = net.norm
    with torch.no_grad():
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        net.hidden.bias.add_(net.hidden.weight @ (norm.bias - norm.running_mean * scale))
        net.hidden.weight.mul_(scale)
        norm.running_mean.zero_(), norm.bias.zero_(), norm.weight.fill_(1), norm.running_var.fill_(1 - norm.eps)


def matrices(net):
    """(name, layer with weight and bias, norm behind it or None) in the order of the C code."""
    for i, layer in enumerate(net.layers):
        yield f"layer{i + 1}", layer.conv, layer.norm
    yield "attend_in", net.attend_in, None
    yield "attend_out", net.attend_out, None
    yield "hidden", net.hidden, None
    yield "output", net.output, None


def round_weights(net):
    """To eight bits and a scale for each output, in place: what is measured here is then what C computes with."""
    fold_norm(net)
    scales = {}
    with torch.no_grad():
        for name, unit, _ in matrices(net):
            scales[name] = unit.weight.flatten(1).abs().amax(1) / 127
            per_row = scales[name].view(-1, *[1] * (unit.weight.dim() - 1))
            unit.weight.copy_(torch.round(unit.weight / per_row) * per_row)
    return scales


def array(declaration, texts):
    lines, line = [], "   "
    for text in texts:
        if len(line) + len(text) + 2 > 120:
            lines.append(line)
            line = "   "
        line += " " + text + ","
    return "\n".join([f"static const {declaration} = {{", *lines, line, "};", ""])


def floats(name, values):
    return array(f"float {name}[{len(values)}]", [f"{value:.8e}F" for value in values.tolist()])


def write_weights(path, net, scales, remark):
    table = []
    with open(path, "w") as out:
        out.write(f"/* countermeasure_weights.inc - written by models/train_countermeasure.py; {remark}. */\n")
        for name, unit, norm in matrices(net):
            rounded = torch.round(unit.weight.flatten(1) / scales[name][:, None]).int().flatten()
            out.write(array(f"int8_t {name}_weights[{len(rounded)}]", [str(value) for value in rounded.tolist()]))
            out.write(floats(f"{name}_scales", scales[name]))
            out.write(floats(f"{name}_biases", unit.bias))
            after = ["NULL", "NULL"]
            if norm:
                scale = norm.weight / (norm.running_var + norm.eps).sqrt()
                out.write(floats(f"{name}_norm_scales", scale))
                out.write(floats(f"{name}_norm_shifts", norm.bias - norm.running_mean * scale))
                after = [f"{name}_norm_scales", f"{name}_norm_shifts"]
            shape = unit.weight.shape
            taps, dilation = (shape[2], unit.dilation[0]) if len(shape) == 3 else (1, 1)
            table.append(", ".join([f"    {{{shape[0]}, {shape[1]}, {taps}, {dilation}", f"{name}_weights",
                                    f"{name}_scales", f"{name}_biases", *after]) + "},\n")
        widest = max(ROWS, CHANNELS, POOLED, ATTENTION, HIDDEN)
        out.write(f"enum {{ CONVOLUTIONS = {len(net.layers)}, MATRICES = {len(table)}, WIDEST = {widest} }};\n")
        out.write("static const matrix matrices[MATRICES] = {\n" + "".join(table) + "};\n")


# ---- measuring -------------------------------------------------------------------------------------------------------


def equal_error_rate(living, spoof):
    """Where as many living voices are above the threshold as attacks are below it."""
    scores = np.concatenate([living, spoof])
    is_spoof = np.concatenate([np.zeros(len(living)), np.ones(len(spoof))])[np.argsort(-scores, kind="stable")]
    missed = 1 - np.cumsum(is_spoof) / len(spoof)
    accused = np.cumsum(1 - is_spoof) / len(living)
    at = np.argmin(np.abs(missed - accused))
    return (missed[at] + accused[at]) / 2


def report(net, clips, title):
    """Each kind of attack against all living voices; of each living kind, how many lie above what 5 % of all exceed."""
    logits = np.array([judge(net, clip.speech, clip.rows) for clip in clips])
    spoof, kinds = np.array([clip.spoof for clip in clips]), np.array([clip.kind for clip in clips])
    living = logits[~spoof]
    limit = np.quantile(living, 0.95, axis=0)
    print(f"{title}: {len(living)} living, {spoof.sum()} spoof. EER of attacks, accused of the living, in % by head")
    print(f"{'':24s} clips " + " ".join(f"{head:>10s}" for head in HEADS))
    for kind in sorted(set(kinds), key=lambda kind: (spoof[kinds == kind].any(), kind)):
        mine = logits[kinds == kind]
        if spoof[kinds == kind].any():
            rates = [equal_error_rate(living[:, head], mine[:, head]) for head in range(len(HEADS))]
        else:
            rates = (mine > limit).mean(0)
        print(f"{kind:24s} {len(mine):5d} " + " ".join(f"{100 * rate:10.1f}" for rate in rates), flush=True)


def write_golden(path, net, arguments, clips):
    np.save(path, np.array([judge(net, t[:, 0], t[:, 1:]) for t in measure(arguments.features, clips)], np.float32))


def main():
    arguments = parse_arguments()
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(1)
    if arguments.calibration:
        gather_calibration(arguments)
    share = arguments.calibration_share
    clips = [clip for lab in arguments.labs for clip in read_lab(arguments, lab, "train") if not clip.held_out]
    left_kinds = set(arguments.leave.split(","))
    left_out = [clip for clip in clips if is_calibration(clip.row, share)]
    seen = [clip for clip in clips if not is_calibration(clip.row, share) and clip.kind not in left_kinds]
    net = Net()
    print(f"{len(seen)} clips, {sum(p.numel() for p in net.parameters())} parameters", flush=True)
    train(net, seen, arguments)
    scales = round_weights(net)
    if arguments.weights:
        remark = f"--steps {arguments.steps} --batch {arguments.batch} --lr {arguments.lr} --seed {arguments.seed}"
        write_weights(arguments.weights, net, scales, remark)
    if arguments.golden:
        write_golden(arguments.golden[0], net, arguments, arguments.golden[1:])
    if left_out:
        report(net, left_out, "speakers left out; kinds left out: " + (arguments.leave or "none"))
    if arguments.dev:
        dev = read_lab(arguments, arguments.dev, "dev")
        report(net, [clip for clip in dev if not clip.held_out], "dev, kinds of attacks that were trained on")
        report(net, [clip for clip in dev if clip.held_out or not clip.spoof], "dev, kinds that were held out")


if __name__ == "__main__":
    main()
