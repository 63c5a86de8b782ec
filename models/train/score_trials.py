#!/usr/bin/env python3
"""EER and minDCF of a model folder on a trial list, by the PyTorch reference, and the calibration that fits it.

TRIALS is a TSV file with a heading line and the columns same (1 or 0), source, enroll, test; the last two are paths
below SPEECH_FOLDER. Needs torch, numpy and soundfile.
"""

import argparse
import csv
import json
import os

import numpy as np
import soundfile
import torch
import torch.nn.functional as F

from ecapa import SAMPLE_RATE, Fbank, load_model

# minDCF with a target prior of 0.01, as in NIST's evaluations.
TARGET_PRIOR = 0.01


def rates(target, nontarget):
    """EER, minDCF and the threshold where both error rates meet."""
    scores = np.concatenate([target, nontarget])
    order = np.argsort(scores, kind="stable")
    is_target = np.concatenate([np.ones(len(target)), np.zeros(len(nontarget))])[order]
    miss = np.cumsum(is_target) / len(target)
    false_alarm = 1 - np.cumsum(1 - is_target) / len(nontarget)
    meet = np.argmin(np.abs(miss - false_alarm))
    cost = np.min(TARGET_PRIOR * miss + (1 - TARGET_PRIOR) * false_alarm) / TARGET_PRIOR
    return {
        "eer": round(float(miss[meet] + false_alarm[meet]) / 2, 5),
        "mindcf_p01": round(float(cost), 5),
        "threshold": round(float(scores[order][meet]), 4),
        "target": len(target),
        "nontarget": len(nontarget),
        "mean_target": round(float(np.mean(target)), 4),
        "mean_nontarget": round(float(np.mean(nontarget)), 4),
    }


def fit_calibration(target, nontarget):
    """Slope and offset of a logistic regression on the cosine, by Newton's method.

    Both classes count the same whatever their number, so the probability is that of even odds before listening.
    """
    x = np.concatenate([target, nontarget])
    y = np.concatenate([np.ones(len(target)), np.zeros(len(nontarget))])
    weight = np.concatenate([np.full(len(target), 0.5 / len(target)), np.full(len(nontarget), 0.5 / len(nontarget))])
    design = np.stack([x, np.ones_like(x)], 1)
    beta = np.zeros(2)
    for _ in range(50):
        p = 1 / (1 + np.exp(-design @ beta))
        gradient = design.T @ (weight * (y - p))
        hessian = design.T @ (design * (weight * p * (1 - p))[:, None])
        step = np.linalg.solve(hessian, gradient)
        beta += step
        if np.max(np.abs(step)) < 1e-10:
            break
    return {"slope": round(float(beta[0]), 3), "offset": round(float(beta[1]), 3)}


def embed_files(model, folder, paths):
    """path -> L2-normalised embedding."""
    fbank, embeddings = Fbank(), {}
    with torch.inference_mode():
        for path in paths:
            samples, rate = soundfile.read(os.path.join(folder, path), dtype="float32")
            if rate != SAMPLE_RATE or samples.ndim != 1:
                raise SystemExit(f"score_trials.py: {path} is not mono audio at {SAMPLE_RATE} Hz")
            features = fbank(torch.from_numpy(samples)[None])
            embeddings[path] = F.normalize(model(features), dim=1)[0].numpy()
    return embeddings


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model_folder", metavar="MODEL_FOLDER")
    parser.add_argument("speech_folder", metavar="SPEECH_FOLDER")
    parser.add_argument("trials", metavar="TRIALS")
    parser.add_argument("--json", metavar="FILE", help="write the results there as well")
    arguments = parser.parse_args()

    with open(arguments.trials, encoding="utf-8", newline="") as file:
        trials = list(csv.DictReader(file, delimiter="\t"))
    paths = sorted({t["enroll"] for t in trials} | {t["test"] for t in trials})
    embeddings = embed_files(load_model(arguments.model_folder), arguments.speech_folder, paths)
    scores = [(t["source"], t["same"] == "1", float(embeddings[t["enroll"]] @ embeddings[t["test"]])) for t in trials]

    results = {}
    for source in sorted({t["source"] for t in trials}) + ["all"]:
        chosen = [(same, score) for origin, same, score in scores if source in ("all", origin)]
        target = np.array([score for same, score in chosen if same])
        nontarget = np.array([score for same, score in chosen if not same])
        results[source] = rates(target, nontarget)
        print(source, results[source])
    results["calibration"] = fit_calibration(target, nontarget)
    print("calibration", results["calibration"])
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    main()
