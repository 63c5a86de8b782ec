#!/usr/bin/env python3
"""Fits what PAVA's measures mean, and writes it as C: edge/pava/pava_weights.inc.

MEASURES.tsv is what `voxlock spoof-report FOLDER --measures` wrote for a laboratory of the training speakers. Kinds that
are held out are not looked at. The recordings of a quarter of the speakers, those that models/train_countermeasure.py
leaves out (its --calibration-share), are used here: a network is too sure of what it was trained on.

A layer is a logistic regression on its measures, as edge/pava/likelihood.h says, against the attacks that it is there
for; living voices and attacks weigh the same, and so does each kind among its own. Its reliability is 2 AUC - 1 where
neither the speaker nor the kind of attack was fitted to; where its 95 % interval (bootstrap over speakers) holds zero, the
layer gets none and has no say. The risk is a logistic regression on the layers' ratios (each predicted by a model that did
not see the speaker), held towards the weights of the specification.

What comes of it is printed as EER, with what is missing counted as the lock counts it, exact repeats left out: of the
recordings that it was fitted to, each by a model that did not see its speaker, and of a laboratory of dev speakers with
--dev DEV.tsv, by group: kinds that were fitted to, then those that are held out. --without-network fits again
without the network's logits; --lacked 1 with the measures that many of the living lack. Both then write no weights. Needs
numpy.
"""

import argparse
import csv
import sys

import numpy as np

LAYERS = {  # in the order of vx_pava_layer: what it is there for
    "replay": {"repeat"},
    "synthetic": {"synthetic", "vocoder"},
    "playback": {"replay"},
    "conversion": {"conversion"},
    "liveness": {"synthetic", "vocoder", "conversion"},
    "deepfake": {"synthetic", "vocoder", "conversion", "splice"},
    "physics": {"replay", "conversion", "synthetic"},
}
# In the order of vx_risk: its layers, and its weight in the specification.
RISKS = (
    ("replay", ("replay",), 0.25),
    ("synthetic", ("synthetic", "conversion", "deepfake"), 0.20),
    ("playback", ("playback",), 0.15),
    ("physics", ("physics",), 0.25),
    ("liveness", ("liveness",), 0.15),
)
MEASURES = 12  # VX_PAVA_MEASURES
LIMIT, LLR_LIMIT = 4.0, 12.0  # of likelihood.c
RIDGE, MAX_RIDGE = 0.02, 1e6  # of a layer's weights
HOLD = 0.02  # how firmly the risk's weights are held to the specification's
FOLDS = 5
# A measure that more of the living lack gets no weight: what is missing keeps a recording from being acquitted
# (edge/pava/likelihood.h), and without them layers tell no worse.
LACKED = 0.05
# Missing with speakers of whom nothing was learned yet, which says nothing about recordings.
OF_SPEAKER = {"tract_deviation_cm", "pitch_deviation_semitones", "room_distance"}
# Shown to tell nothing of what they are there for (tests/bench/bench_reverb.c, bench_movement.c): what a regression makes
# of them is something else. Decays of two slopes are rarer in a second room than in one, so that more of them acquitted.
# How often somebody breathes changed nothing (EER 14.1 %, with and without), and breath is easily added.
TELLS_NOTHING = {"double_slope", "comb_drift", "breaths_per_s"}
ACCUSED = 0.65  # VX_PAVA_ACCUSED
NETWORK = "_log_odds"  # how its measures end


# ---- the table -------------------------------------------------------------------------------------------------------


class Table:
    def __init__(self, path, held_out=False, network=True):
        with open(path, encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file, delimiter="\t") if held_out or row["held_out"] == "0"]
        if not rows:
            sys.exit(f"fit_pava.py: {path} lists no recording that may be fitted to")
        self.network = network
        self.n = len(rows)
        self.columns = list(rows[0])
        self.kind = np.array([row["kind"] for row in rows])
        self.group = np.array([row["group"] for row in rows])
        self.spoof = np.array([row["spoof"] == "1" for row in rows])
        self.held_out = np.array([row["held_out"] == "1" for row in rows])
        speakers = sorted({(row["source"], row["speaker"]) for row in rows})
        number = {speaker: i for i, speaker in enumerate(speakers)}
        self.speaker = np.array([number[row["source"], row["speaker"]] for row in rows])
        self.n_speakers = len(speakers)
        self.rows = rows

    def measures(self, layer):
        """Names, and [n, measures] with NaN where there is none."""
        names = [c.split(".", 1)[1] for c in self.columns if c.startswith(layer + ".") and not c.endswith(".llr")]
        if not self.network:
            names = [name for name in names if not name.endswith(NETWORK)]
        values = [[float(row[f"{layer}.{m}"] or "nan") for m in names] for row in self.rows]
        return names, np.array(values).reshape(self.n, len(names))

    def valid(self, layer):
        return np.array([row[layer + ".llr"] != "" for row in self.rows])


def balanced(spoof, kind):
    """Weights: both sides one half, each kind of a side the same share of it."""
    weights = np.zeros(len(spoof))
    for side in (False, True):
        kinds = np.unique(kind[spoof == side])
        for k in kinds:
            members = (spoof == side) & (kind == k)
            weights[members] = 0.5 / len(kinds) / members.sum()
    return weights


# ---- a layer ---------------------------------------------------------------------------------------------------------


def standards(values, living):
    """Median and spread (half of what 68 % lie within) of each measure, of the living."""
    centre, spread = np.zeros(values.shape[1]), np.zeros(values.shape[1])
    for m in range(values.shape[1]):
        x = values[living, m]
        x = x[np.isfinite(x)]
        if len(x) >= 20:
            low, centre[m], high = np.percentile(x, [16, 50, 84])
            spread[m] = (high - low) / 2
            if spread[m] == 0:  # nearly always the same, as landmarks that agree by chance: any other value is odd
                spread[m] = max(x.std(), 1e-6)
    return centre, spread


def design(values, centre, spread):
    z = np.clip((values - centre) / np.where(spread > 0, spread, 1), -LIMIT, LIMIT)
    missing = ~np.isfinite(values) | (spread <= 0)
    return np.hstack([np.where(missing, 0, z), np.where(missing, 0, z * z - 1), np.ones((len(values), 1))])


def logistic(x, y, weights, ridge):
    """Newton's method. The last column is the bias, which is free."""
    beta = np.zeros(x.shape[1])
    penalty = np.full(x.shape[1], ridge)
    penalty[-1] = 1e-6
    for _ in range(60):
        p = 1 / (1 + np.exp(-np.clip(x @ beta, -30, 30)))
        gradient = x.T @ (weights * (p - y)) + penalty * beta
        hessian = (x * (weights * np.maximum(p * (1 - p), 1e-9))[:, None]).T @ x + np.diag(penalty)
        step = np.linalg.solve(hessian, gradient)
        size = np.abs(step).max()
        beta -= step / max(1, size)
        if size < 1e-8:
            break
    return beta


def auc(scores, positive, weights):
    """Weighted; ties count half."""
    order = np.argsort(scores, kind="stable")
    s, p, w = scores[order], positive[order], weights[order]
    negatives = np.concatenate([[0], np.cumsum(np.where(p, 0, w))])
    first, last = np.searchsorted(s, s, "left"), np.searchsorted(s, s, "right")
    below = (negatives[first] + negatives[last]) / 2
    total_p, total_n = w[p].sum(), w[~p].sum()
    return (below[p] * w[p]).sum() / (total_p * total_n) if total_p > 0 and total_n > 0 else np.nan


def most_of(linear, square):
    """The most that a measure can add: most_of of likelihood.c."""
    ends = np.abs(linear) * LIMIT + square * (LIMIT * LIMIT - 1)
    inside = (square < 0) & (np.abs(linear) < -2 * square * LIMIT)
    vertex = -linear * linear / (4 * np.where(inside, square, 1)) - square
    return np.where(inside, vertex, ends)


class Layer:
    def __init__(self, table, name, rng, lacked):
        self.name, self.table, self.lacked = name, table, lacked
        self.names, values = table.measures(name)
        self.valid = table.valid(name)
        self.values = values
        targets = np.isin(table.group, list(LAYERS[name]))
        self.used = self.valid & (~table.spoof | targets)
        self.counted = self.is_of_use()
        self.fold = rng.permutation(table.n_speakers)[table.speaker] % FOLDS
        self.fit_all(rng)

    def is_of_use(self):
        """[measures]: whether few of the living lack it, and it tells something."""
        there, living = np.isfinite(self.values), self.valid & ~self.table.spoof
        of_speaker = np.isin(self.names, list(OF_SPEAKER))
        known = living & there[:, of_speaker].any(axis=1) if of_speaker.any() else living
        among = np.where(of_speaker[None, :], known[:, None], living[:, None])
        few = (among & ~there).sum(axis=0) <= self.lacked * among.sum(axis=0)
        return few & ~np.isin(self.names, list(TELLS_NOTHING))

    def model(self, members):
        t = self.table
        centre, spread = standards(self.values, members & ~t.spoof)
        spread[~self.counted] = 0  # as likelihood.c says of a measure that does not count
        beta = logistic(
            design(self.values[members], centre, spread),
            t.spoof[members].astype(float),
            balanced(t.spoof[members], t.kind[members]),
            RIDGE / 10,
        )
        return centre, spread, beta

    def llr(self, model, values):
        centre, spread, beta = model
        return np.clip(design(values, centre, spread) @ beta, -LLR_LIMIT, LLR_LIMIT)

    def missing(self, values):
        """By how much what is missing could raise the ratio: vx_layer_missing."""
        _, spread, beta = self.final
        m = len(spread)
        return (~np.isfinite(values) & (spread > 0)) @ most_of(beta[:m], beta[m : 2 * m])

    def fit_all(self, rng):
        t = self.table
        self.out = np.full(t.n, np.nan)  # where the speaker was not seen
        kinds = np.unique(t.kind[self.used & t.spoof])
        unseen = {kind: np.full(t.n, np.nan) for kind in kinds}  # where neither speaker nor kind was
        for fold in range(FOLDS):
            test, rest = self.valid & (self.fold == fold), self.used & (self.fold != fold)
            model = self.model(rest)
            self.out[test] = self.llr(model, self.values[test])
            for kind in kinds:
                others = model if len(kinds) == 1 else self.model(rest & (t.kind != kind))
                heard = test & (~t.spoof | (t.kind == kind))
                unseen[kind][heard] = self.llr(others, self.values[heard])

        def mean_auc(times):
            found = []
            for kind in kinds:
                known = np.isfinite(unseen[kind])
                weights = balanced(t.spoof[known], t.kind[known]) * times[t.speaker[known]]
                found.append(auc(unseen[kind][known], t.spoof[known], weights))
            return np.nanmean(found) if found else np.nan

        self.auc = mean_auc(np.ones(t.n_speakers))
        draws = [
            mean_auc(np.bincount(rng.integers(0, t.n_speakers, t.n_speakers), minlength=t.n_speakers))
            for _ in range(100)
        ]
        self.low, self.high = np.nanpercentile(draws, [2.5, 97.5])
        self.reliability = max(0.0, 2 * self.auc - 1) if self.low > 0.5 else 0.0
        self.final = self.model(self.used)


# ---- the risk --------------------------------------------------------------------------------------------------------


def risk_design(layers, ratios, n, usual):
    """[n, risks]: the strongest ratio of each group; usual where none judged. ratios: of a layer's name, NaN: abstained."""
    columns = []
    for r, (_, members, _) in enumerate(RISKS):
        chosen = [ratios[m] for m in members if layers[m].reliability > 0]
        if not chosen:
            columns.append(np.zeros(n))
            continue
        best = np.stack([np.where(np.isfinite(ratio), ratio, -np.inf) for ratio in chosen]).max(axis=0)
        columns.append(np.where(np.isfinite(best), best, usual[r]))
    return np.stack(columns, axis=1)


def fit_risk(x, spoof, weights, prior):
    """Not negative; by projected gradient with a step that halves when it does not help."""
    y = spoof.astype(float)

    def cost(w, b):
        z = x @ w + b
        return (weights * (np.logaddexp(0, z) - y * z)).sum() + HOLD * ((w - prior) ** 2).sum()

    w, b, step = prior.copy(), 0.0, 1.0
    for _ in range(5000):
        r = weights * (1 / (1 + np.exp(-np.clip(x @ w + b, -40, 40))) - y)
        gw, gb = x.T @ r + 2 * HOLD * (w - prior), r.sum()
        while step > 1e-9:
            nw, nb = np.maximum(w - step * gw, 0), b - step * gb
            if cost(nw, nb) <= cost(w, b):
                break
            step /= 2
        if np.abs(nw - w).max() + abs(nb - b) < 1e-9:
            break
        w, b, step = nw, nb, step * 1.3
    return w, b


class Fit:
    """All layers and the risk, of one table."""

    def __init__(self, table, seed, lacked):
        rng = np.random.default_rng(seed)
        self.table = table
        self.layers = {name: Layer(table, name, rng, lacked) for name in LAYERS}
        ratios = {name: layer.out for name, layer in self.layers.items()}
        living = ~table.spoof
        unknown = risk_design(self.layers, ratios, table.n, np.full(len(RISKS), np.nan))
        self.usual = np.nanmedian(unknown[living], axis=0)
        x = risk_design(self.layers, ratios, table.n, self.usual)
        prior = np.array([5 * share for _, _, share in RISKS])
        self.w, self.b = fit_risk(x, table.spoof, balanced(table.spoof, table.kind), prior)
        for r, (_, members, _) in enumerate(RISKS):
            if not any(self.layers[m].reliability > 0 for m in members):
                self.w[r] = 0

    def judge(self, table, ratios):
        """The risk by what was measured, and as vx_pava_conclude gives it: what is missing counts, but accuses nobody."""
        worse = {}
        for name, layer in self.layers.items():
            worse[name] = ratios[name] + layer.missing(table.measures(name)[1])
        measured, worst = (
            1 / (1 + np.exp(-(risk_design(self.layers, r, table.n, self.usual) @ self.w + self.b)))
            for r in (ratios, worse)
        )
        return measured, np.maximum(measured, np.minimum(worst, ACCUSED))

    def cross_validated(self):
        return self.judge(self.table, {name: layer.out for name, layer in self.layers.items()})

    def of(self, table):
        ratios = {}
        for name, layer in self.layers.items():
            valid = table.valid(name)
            ratios[name] = np.full(table.n, np.nan)
            ratios[name][valid] = layer.llr(layer.final, table.measures(name)[1][valid])
        return self.judge(table, ratios)


# ---- what comes of it ------------------------------------------------------------------------------------------------


def eer(risk, spoof):
    """As edge/report/rates.c draws it: between two thresholds that recordings tie at, any mixture of the two."""
    bounds = np.unique(risk)[::-1]
    living, attacks = np.sort(risk[~spoof]), np.sort(risk[spoof])
    bpcer = np.concatenate([[0], 1 - np.searchsorted(living, bounds, "left") / len(living)])
    apcer = np.concatenate([[1], np.searchsorted(attacks, bounds, "left") / len(attacks)])
    i = int(np.argmax(apcer <= bpcer))
    above, below = apcer[i - 1] - bpcer[i - 1], bpcer[i] - apcer[i]
    return bpcer[i] if above + below == 0 else bpcer[i - 1] + above / (above + below) * (bpcer[i] - bpcer[i - 1])


def tell_dev(table, risk):
    """EER of each group of attacks against all living recordings: kinds that were fitted to / held out."""
    wanted = (table.group != "repeat") & table.spoof
    groups = [(g, wanted & (table.group == g)) for g in dict.fromkeys(table.group[wanted])] + [("all", wanted)]
    for name, members in groups:
        cells = []
        for held_out in (False, True):
            chosen = members & (table.held_out == held_out)
            used = chosen | ~table.spoof
            cells.append(f"{100 * eer(risk[used], table.spoof[used]):.1f}" if chosen.any() else "-")
        print(f"    {name:12} {' / '.join(cells)}")


# ---- out -------------------------------------------------------------------------------------------------------------


def number(value):
    return f"{value:.6g}"


def write(path, layers, w, b, usual):
    lines = ["/* Written by models/fit_pava.py; do not edit. */", f".bias = {number(b)},"]
    lines.append(".risks = {" + ", ".join(number(v) for v in w) + "},")
    lines.append(".usual = {" + ", ".join(number(v) for v in usual) + "},")
    lines.append(".layers = {")
    for name, layer in layers.items():
        centre, spread, beta = layer.final
        m = len(layer.names)
        lines.append(f"    {{ /* {name} */")
        lines.append(f"     .reliability = {number(layer.reliability)}, .bias = {number(beta[-1])},")
        lines.append("     .measures = {")
        for i, measure in enumerate(layer.names):
            row = (centre[i], spread[i], beta[i], beta[m + i])
            lines.append("         {" + ", ".join(number(v) for v in row) + f"}}, /* {measure} */")
        lines.append("     }},")
    lines.append("},")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def tell(fit):
    print("layer        judged  AUC on unseen kinds and speakers  reliability")
    for name, layer in fit.layers.items():
        print(
            f"{name:12} {layer.valid.mean():6.1%}  {layer.auc:.3f} ({layer.low:.3f} to {layer.high:.3f})"
            f"             {layer.reliability:.3f}"
        )
        centre, spread, beta = layer.final
        for i, measure in enumerate(layer.names):
            print(f"    {measure:24} {centre[i]:10.4g} {spread[i]:10.4g} {beta[i]:8.3f} {beta[len(layer.names) + i]:8.3f}")
    weights = ", ".join(f"{name} {value:.3f}" for (name, _, _), value in zip(RISKS, fit.w))
    print(f"risk weights: {weights} bias {fit.b:.3f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measures", metavar="MEASURES.tsv")
    parser.add_argument("output", metavar="WEIGHTS.inc", nargs="?", help="default: nothing is written")
    parser.add_argument("--dev", metavar="DEV.tsv", help="and say what comes of these, which nothing is fitted to")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--without-network", action="store_true", help="to compare")
    parser.add_argument("--lacked", type=float, default=LACKED, help="to compare; default: %(default)s of the living")
    args = parser.parse_args()
    compared = args.without_network or args.lacked != LACKED
    if args.output and compared:
        parser.error("weights are written of the fit that the program uses: without --without-network and --lacked")
    table = Table(args.measures, network=not args.without_network)
    print(f"{table.n} recordings of {table.n_speakers} speakers, {int(table.spoof.sum())} of them attacks")
    fit = Fit(table, args.seed, args.lacked)
    tell(fit)
    used = table.group != "repeat"
    measured, told = (100 * eer(risk[used], table.spoof[used]) for risk in fit.cross_validated())
    print(f"EER on speakers that were not fitted to, %: {told:.1f}; by what was measured alone: {measured:.1f}")
    if args.dev:
        dev = Table(args.dev, held_out=True, network=not args.without_network)
        print(f"EER on {dev.n_speakers} speakers of {args.dev}, %, kinds fitted to / held out")
        tell_dev(dev, fit.of(dev)[1])
    if args.output:
        write(args.output, fit.layers, fit.w, fit.b, fit.usual)


if __name__ == "__main__":
    main()
