#!/usr/bin/env python3
"""Fits the map from speeds of falls to the decay time of a room, and writes it as C: edge/pava/reverb_weights.inc.

    make build/release/bench/bench_reverb
    build/release/bench/bench_reverb SPEECH_FOLDER --split train --features > falls.tsv
    models/fit_reverb.py falls.tsv edge/pava/reverb_weights.inc

The regression is ln T = w0 + w1 ln v50 + w2 ln v80 + w3 ln v95, least squares. What it says of speakers that it was not
fitted on is printed: ten folds by speaker. Needs numpy; a second.
"""

import argparse
import csv

import numpy as np

COLUMNS = ("fall_50", "fall_80", "fall_95")
FOLDS = 10


def read(path):
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    falls = np.log([[float(row[column]) for column in COLUMNS] for row in rows])
    truth = np.log([float(row["rt60_s"]) for row in rows])
    return [row["speaker"] for row in rows], np.column_stack([np.ones(len(rows)), falls]), truth


def fit(inputs, truth):
    return np.linalg.lstsq(inputs, truth, rcond=None)[0]


def errors_of_unseen(speakers, inputs, truth):
    """Relative errors, each speaker judged by a fit without him."""
    fold = {speaker: i % FOLDS for i, speaker in enumerate(sorted(set(speakers)))}
    folds = np.array([fold[speaker] for speaker in speakers])
    errors = np.empty(len(truth))
    for i in range(FOLDS):
        weights = fit(inputs[folds != i], truth[folds != i])
        errors[folds == i] = np.abs(np.exp(inputs[folds == i] @ weights - truth[folds == i]) - 1)
    return errors


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("falls", metavar="falls.tsv")
    parser.add_argument("output", metavar="WEIGHTS.inc")
    arguments = parser.parse_args()
    speakers, inputs, truth = read(arguments.falls)
    errors = errors_of_unseen(speakers, inputs, truth)
    remark = f"{len(truth)} recordings of {len(set(speakers))} speakers, median error {100 * np.median(errors):.1f} %"
    print(f"{remark}, 90 % below {100 * np.quantile(errors, 0.9):.1f} %")
    weights = fit(inputs, truth)
    with open(arguments.output, "w") as out:
        out.write(f"/* reverb_weights.inc - written by models/fit_reverb.py; {remark}. */\n")
        out.write(", ".join(f"{weight:.6f}" for weight in weights) + ",\n")


if __name__ == "__main__":
    main()
