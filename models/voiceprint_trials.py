#!/usr/bin/env python3
"""Trials of voiceprints of 1, 3, 5 and 10 recordings, as tests/tools/score_edge reads them.

DATA_FOLDER holds manifest.tsv: a heading line and the columns split, source, speaker, path (more are ignored). Prints
the columns same (1 or 0), source, enroll (paths separated by commas), test. Trials are within a source, so that a
stranger comes with the same kind of microphone. Each voiceprint is part of the next larger one, which shows what more
recordings change. Standard library only.
"""

import argparse
import csv
import random
import signal
import sys
from collections import defaultdict
from pathlib import Path

SIZES = (1, 3, 5, 10)
# Sources whose file names start with the telephone call: whoever is enrolled in a call is tried in another one.
CALLS = ("wuw2",)


def session_of(source, path):
    """Recordings of one session are never on both sides of a same-speaker trial."""
    return Path(path).name.split("_")[0] if source in CALLS else path


def read_speakers(folder, split):
    """source -> speaker -> sorted paths"""
    sources = defaultdict(lambda: defaultdict(list))
    with open(folder / "manifest.tsv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            if row["split"] == split:
                sources[row["source"]][row["speaker"]].append(row["path"])
    return sources


def enrolment(source, paths, most, rng):
    """At most `most` paths in the order in which they are enrolled: session after session, as a user would."""
    sessions = defaultdict(list)
    for path in paths:
        sessions[session_of(source, path)].append(path)
    order = sorted(sessions)
    rng.shuffle(order)
    return [path for session in order for path in rng.sample(sessions[session], len(sessions[session]))][:most]


def some(paths, most, rng):
    return rng.sample(paths, min(most, len(paths)))


def trials_of(source, speakers, speaker, rng, arguments):
    """Those of one voiceprint, growing."""
    paths = sorted(speakers[speaker])
    enrolled = enrolment(source, paths, max(SIZES), rng)
    others = [other for other in sorted(speakers) if other != speaker]
    strangers = [path for other in others for path in some(sorted(speakers[other]), arguments.strangers, rng)]
    for size in SIZES:
        if len(enrolled) < size:
            continue
        used = {session_of(source, path) for path in enrolled[:size]}
        own = [path for path in paths if session_of(source, path) not in used]
        for same, tests in ((1, some(own, arguments.own, rng)), (0, strangers)):
            for test in tests:
                yield same, source, ",".join(enrolled[:size]), test


def trials(sources, arguments):
    for source, speakers in sorted(sources.items()):
        for speaker in sorted(speakers):
            for draw in range(arguments.draws):
                rng = random.Random(f"{arguments.seed} {source} {speaker} {draw}")
                yield from trials_of(source, speakers, speaker, rng, arguments)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_folder", metavar="DATA_FOLDER", type=Path)
    parser.add_argument("--split", default="dev", help="default: %(default)s")
    for name, default, what in (
        ("draws", 4, "voiceprints of each speaker and size"),
        ("own", 20, "recordings of the speaker tried with each, at most"),
        ("strangers", 5, "recordings of each stranger tried with each, at most"),
        ("seed", 1, "of the choice"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=f"{what} (default: %(default)s)")
    arguments = parser.parse_args()
    try:
        sources = read_speakers(arguments.data_folder, arguments.split)
    except (OSError, KeyError) as error:
        print(f"voiceprint_trials.py: {arguments.data_folder / 'manifest.tsv'}: {error}", file=sys.stderr)
        return 1
    if not sources:
        print(f"voiceprint_trials.py: no recordings of split '{arguments.split}'", file=sys.stderr)
        return 1
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    print("same", "source", "enroll", "test", sep="\t")
    for trial in trials(sources, arguments):
        print(*trial, sep="\t")
    return 0


if __name__ == "__main__":
    sys.exit(main())
