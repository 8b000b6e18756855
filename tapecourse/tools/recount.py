"""Has points computed again: each answer by itself, on other data, judged outside its process.

What is started here is `tapecourse.feedback.recount`, which says how.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from tapecourse.tools.isolation import PACKAGE, wall, why_not_isolated

__all__ = ["SECONDS", "can_recount", "judge", "recount", "trials_of"]

Answer = tuple[str, list[list[str]]]  # the number of its exercise, and cells for each trial
SECONDS = 60  # for a cell, as in the notebook; the slowest solution takes about ten
RECOUNT = "feedback.recount"  # of the course; it is run, and never imported here


def can_recount() -> bool:
    """Tell whether processes can be forked safely, as the judge does, on this system."""
    return sys.platform == "linux"


def recount(
    released: Path, submitted: Path, numbers: list[str], seed: int, seconds: float = SECONDS
) -> dict[str, str]:
    """Judge some answers again; say of each that isn't right what it is, by a key.

    Where that can't be done (`can_recount`), nothing is judged.

    Parameters
    ----------
    released, submitted : Path
        The notebook as learners got it, and as it was handed in.
    numbers : list of str
        Of the exercises.
    """
    if not can_recount():
        return {}
    answers = [(number, trials_of(released, submitted, number)) for number in numbers]
    keys = judge(answers, seed, seconds)
    return {number: f"judged again: {key}" for number, key in zip(numbers, keys) if key}


def judge(answers: list[Answer], seed: int, seconds: float = SECONDS) -> list[str]:
    """Return of each answer the key of what is wrong, or ""; "no_result" where there is none."""
    keys: list[str] = []
    while len(keys) < len(answers):
        rest = answers[len(keys) :]
        keys += run({"seed": seed, "seconds": seconds, "answers": rest}, seconds * 3 * len(rest))
        if len(keys) < len(answers):
            keys.append("no_result")  # this one ended the process that judges
    return keys


def run(request: dict, seconds: float) -> list[str]:
    """Run the process; return the lines that it wrote, also where it ended before its time."""
    with tempfile.TemporaryDirectory() as folder:
        before = [] if why_not_isolated() else wall(folder)
        settings = {"MPLBACKEND": "agg", "TF_CPP_MIN_LOG_LEVEL": "3"}
        process = subprocess.Popen(
            [*before, sys.executable, "-m", f"{PACKAGE.name}.{RECOUNT}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | settings,
            cwd=folder,
            text=True,
        )
        try:
            told, _ = process.communicate(json.dumps(request), 60 + seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            told, _ = process.communicate()
    return [str(json.loads(line)) for line in told.splitlines()]


def trials_of(released: Path, submitted: Path, number: str) -> list[list[str]]:
    """Return two lists of cells for an answer.

    The first has what the course gave and the answer, the second also all cells of the learner
    that stand above it; but the checks and what follows the answer in neither.
    """
    name = f"answer-{number.replace('.', '-')}"
    given: list[NotebookNode] = []
    for cell in nbformat.read(released, as_version=4).cells:
        if name_of(cell) == name:
            break
        settings = cell.metadata.get("nbgrader", {})
        if settings.get("locked") and not settings.get("grade"):
            given.append(cell)
    handed_in = nbformat.read(submitted, as_version=4).cells
    own = [
        cell
        for cell in handed_in
        if cell.cell_type == "code" and not cell.metadata.get("nbgrader", {}).get("locked")
    ]
    place = max((i for i, cell in enumerate(own) if name_of(cell) == name), default=None)
    if place is None:
        return []
    alone = [*given, own[place]]
    return [[cell.source for cell in cells] for cells in (alone, [*given, *own[: place + 1]])]


def name_of(cell: NotebookNode) -> str:
    return cell.metadata.get("nbgrader", {}).get("grade_id", "")
