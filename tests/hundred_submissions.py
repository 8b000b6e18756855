"""Grades a hundred made-up submissions in one call: the time, and whether each is as it must be.

``python tests/hundred_submissions.py [--number 100] [--out FOLDER]``. They are made from the
stored answers, right and wrong, of all chapters, and from faulty solutions of the workshop; some
are blank, broken or hostile.
"""

import argparse
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random

import nbformat
from made_up import KINDS, ROOT, a_submission, differences, reported, to_report

from tapecourse.tools.grade import grade

FAST = "01_differentiation", "02_computational_graph", "03_build_a_tape"  # without TensorFlow


def make(folder: Path, number: int) -> dict[str, dict[str, str]]:
    """Write submissions; return what must be found, by learner."""
    random, expected = Random(18), {}
    chapters = sorted(path.name for path in (ROOT / "exercises").glob("*_*"))
    kinds = [*KINDS, *["usual"] * 20]
    for i in range(number):
        kind = kinds[i % len(kinds)]
        chapter = chapters[i % len(chapters)] if kind == "usual" else FAST[i % len(FAST)]
        learner = f"{kind}{i}"
        notebook, expected[learner] = a_submission(chapter, kind, random)
        nbformat.write(notebook, folder / f"{learner}.ipynb")
    (folder / "text.ipynb").write_text("no notebook")
    return expected | {"text": {}}


def main() -> None:
    """Make, grade, compare, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=99)
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "hundred")
    options = parser.parse_args()
    made, out = options.out / "submissions", options.out / "grading"
    made.mkdir(parents=True)
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    expected = make(made, options.number)
    begun = time.monotonic()
    grade(str(made), str(out))
    seconds = time.monotonic() - begun
    grades = json.loads((out / "grades.json").read_text())
    states = Counter(found["state"] for each in grades for found in each["findings"])
    print(f"{len(expected)} submissions in {seconds:.0f} s: {dict(states)}")
    told = differences(grades, expected)
    if reported((out / "report.html").read_text()) != to_report(expected):
        told.append("The report counts otherwise.")
    print(*(told or ["All is as expected, and the report counts it so."]), sep="\n")


if __name__ == "__main__":
    main()
