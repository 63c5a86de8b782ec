#!/usr/bin/env python3
"""Fits what a model's scores of voiceprints mean, and shows how well it holds on speakers that it was not fitted on.

MODEL_FOLDER is a model folder, best with a cohort (cohort.py). DATA_FOLDER holds recordings of speakers that the model
has never heard, and manifest.tsv: a heading line and the columns split, source, speaker, path (more are ignored).
Embeds the recordings, makes trials of voiceprints of 1, 3, 5 and 10 of them (voiceprint_trials.py), and prints what
tests/tools/score_edge says: rates before and after normalisation and calibration, cross-validated by speaker. Writes
the logistic that was fitted to all trials as the manifest's "voiceprint" (docs/models.md).
Standard library only; needs the tools (make tools).
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from ecapa_folder import FolderError, print_entry, read_manifest, write_manifest

MODELS = Path(__file__).resolve().parent
# Of the plot, in pixels: the square, and room for what is written around it.
SIDE, LEFT, TOP, RIGHT, BOTTOM = 360, 56, 40, 16, 52
CURVES = (
    ("reliability_cosine", "#b3541e", "cosine of the best exemplar"),
    ("reliability", "#1f5fa8", "normalised, cross-validated"),
)

# ---- trials ----------------------------------------------------------------------------------------------------------


def run(command, **options):
    done = subprocess.run([str(part) for part in command], **options)
    if done.returncode != 0:
        raise FolderError(f"{Path(command[0]).name} failed")
    return done


def embed(tools, model, data, split, out):
    with open(data / "manifest.tsv", encoding="utf-8", newline="") as file:
        paths = [row["path"] for row in csv.DictReader(file, delimiter="\t") if row["split"] == split]
    with open(out, "wb") as file:
        for i in range(0, len(paths), 500):
            run([tools / "utterances", model.resolve(), *paths[i : i + 500]], cwd=data, stdout=file)


def score(tools, model, data, split, work):
    """What score_edge found; its tables go to standard output."""
    embeddings, trials, report = (work / name for name in ("embeddings", "trials", "report"))
    embed(tools, model, data, split, embeddings)
    with open(trials, "wb") as file:
        run([sys.executable, MODELS / "voiceprint_trials.py", data, "--split", split], stdout=file)
    with open(embeddings, "rb") as file:
        run([tools / "score_edge", trials, model, "--json", report], stdin=file)
    return json.loads(report.read_text(encoding="utf-8"))


# ---- plot ------------------------------------------------------------------------------------------------------------


def place(x, y):
    return f"{LEFT + SIDE * x:.1f}", f"{TOP + SIDE * (1 - y):.1f}"


def text(x, y, words, anchor="middle", turn=""):
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}"{turn}>{words}</text>'


def axes():
    lines = [f'<rect x="{LEFT}" y="{TOP}" width="{SIDE}" height="{SIDE}" fill="none" stroke="#888"/>']
    (x0, y0), (x1, y1) = place(0, 0), place(1, 1)
    lines.append(f'<line x1="{x0}" y1="{y0}" x2="{x1}" y2="{y1}" stroke="#888" stroke-dasharray="4 4"/>')
    for tick in range(0, 11, 2):
        x, _ = place(tick / 10, 0)
        _, y = place(0, tick / 10)
        lines += [text(x, TOP + SIDE + 18, f"{tick / 10:g}"), text(LEFT - 8, float(y) + 4, f"{tick / 10:g}", "end")]
    lines.append(text(LEFT + SIDE / 2, TOP + SIDE + 40, "probability that was said"))
    middle = TOP + SIDE / 2
    lines.append(text(16, middle, "share of trials of one speaker", turn=f' transform="rotate(-90 16 {middle})"'))
    return lines


def plot(report):
    """A point for each tenth of probability, as large as its share of the trials: on the diagonal, it holds."""
    size = f'width="{LEFT + SIDE + RIGHT}" height="{TOP + SIDE + BOTTOM}"'
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">']
    lines.append('<rect width="100%" height="100%" fill="#fff"/>')
    lines.append(text(LEFT + SIDE / 2, 22, f"{report['model']}: what a probability is worth"))
    lines += axes()
    for i, (key, colour, name) in enumerate(CURVES):
        points = [(*place(bin["said"], bin["same"]), bin["share"]) for bin in report[key]]
        path = " ".join(f"{x},{y}" for x, y, _ in points)
        lines.append(f'<polyline points="{path}" fill="none" stroke="{colour}"/>')
        for x, y, share in points:
            lines.append(f'<circle cx="{x}" cy="{y}" r="{2 + 12 * share**0.5:.1f}" fill="{colour}" fill-opacity="0.5"/>')
        lines.append(f'<circle cx="{LEFT + 14}" cy="{TOP + 16 + 18 * i}" r="5" fill="{colour}"/>')
        lines.append(text(LEFT + 26, TOP + 20 + 18 * i, name, "start"))
    return "\n".join(lines) + "\n</svg>\n"


# ---- the command -----------------------------------------------------------------------------------------------------


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model_folder", metavar="MODEL_FOLDER", type=Path)
    parser.add_argument("data_folder", metavar="DATA_FOLDER", type=Path)
    parser.add_argument("--split", default="dev", help="default: %(default)s")
    parser.add_argument("--plot", metavar="FILE.svg", type=Path, help="draw probabilities against what came true")
    parser.add_argument("--dry-run", action="store_true", help="measure, and leave the manifest as it is")
    parser.add_argument(
        "--tools",
        metavar="FOLDER",
        type=Path,
        default=MODELS.parent / "build/release/tools",
        help="where utterances and score_edge lie (default: build/release/tools)",
    )
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    try:
        manifest = read_manifest(arguments.model_folder)
        with tempfile.TemporaryDirectory() as work:
            tools, model, data = arguments.tools.resolve(), arguments.model_folder, arguments.data_folder
            report = score(tools, model, data, arguments.split, Path(work))
        fitted = {key: round(v, 3) if isinstance(v, float) else v for key, v in report["fitted"].items()}
        if arguments.plot:
            arguments.plot.write_text(plot(report), encoding="utf-8")
        if not arguments.dry_run:
            manifest["scores"]["voiceprint"] = fitted
            print_entry(write_manifest(arguments.model_folder, manifest))
    except (FolderError, OSError, KeyError) as error:
        print(f"calibrate.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
