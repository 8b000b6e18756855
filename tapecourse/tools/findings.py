"""What a graded notebook says of each exercise: its points, what was found, and the answer.

`tapecourse.feedback` leaves a record in the output of each check while nbgrader runs it. The
learner's code ran in the same process, so a record may hold anything: it is cut to size here, and
made safe where it is shown.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

__all__ = ["Finding", "findings_in", "number_of"]

RECORDS = "application/vnd.tapecourse+json"  # the name that tapecourse.feedback.core gives them
LONGEST_HINT, LONGEST_ANSWER = 500, 4_000  # characters
KEY = re.compile(r"\w{1,40}")


@dataclass(frozen=True)
class Finding:
    """What was found of a learner's answer to an exercise.

    Parameters
    ----------
    state : str
        "solved", "wrong", "untried", "lost" if the answer's cell or the check failed, or
        "unconfirmed" if points that the notebook gave were taken away again.
    key : str
        The name of what is wrong.
    named : bool
        Whether that is a misconception which the exercise knows.
    odds : dict
        Of a prediction: how sure the learner was of each statement, and whether it is true.
    """

    exercise: str
    points: float
    most: float
    state: str
    key: str = ""
    named: bool = False
    hints: list[str] = field(default_factory=list)
    answer: str = ""
    odds: dict[str, list[float]] = field(default_factory=dict)


def findings_in(
    notebook: Path, scores: dict[str, tuple[float, float]], unconfirmed: dict[str, str]
) -> list[Finding]:
    """Read what was found from an executed notebook.

    Parameters
    ----------
    scores : dict
        The points, and the most that there are, by the names of the checks.
    unconfirmed : dict
        Why points were taken away again, by the numbers of the exercises.
    """
    cells = {
        name: cell
        for cell in nbformat.read(notebook, as_version=4).cells
        if (name := cell.metadata.get("nbgrader", {}).get("grade_id"))
    }
    found = [finding_of(name, cells, *points) for name, points in scores.items()]
    return [
        replace(
            each, points=0.0, state="unconfirmed", key="not_confirmed", hints=[why], named=False
        )
        if (why := unconfirmed.get(each.exercise))
        else each
        for each in found
    ]


def number_of(cell: str) -> str:
    """Return the number of the exercise that a check's or an answer's name has."""
    return cell.partition("-")[2].replace("-", ".")


def finding_of(name: str, cells: dict[str, NotebookNode], points: float, most: float) -> Finding:
    """Read what was found of an exercise from the outputs of its cells."""
    number = number_of(name)
    check, answer, reveal = (
        cells.get(name.replace("check", kind), NotebookNode()) for kind in KINDS
    )
    found = next(records(check), {})
    hints = found.get("hints")
    hints = [str(hint)[:LONGEST_HINT] for hint in hints[:3]] if isinstance(hints, list) else []
    state, key, named = found.get("state"), str(found.get("key", "")), found.get("named") is True
    if points == most:
        state, key, named, hints = "solved", "", False, []
    elif state == "wrong" and KEY.fullmatch(key):
        pass
    elif state == "untried" and reason(answer):
        state, key, named, hints = "lost", "no_answer", False, [reason(answer)]
    elif state == "untried":
        key, named = "", False
    else:
        problem = reason(check) or "The check is missing."
        state, key, named, hints = "lost", "no_result", False, [problem]
    source = answer.get("source", "")[:LONGEST_ANSWER]
    odds = {} if state == "untried" else odds_of(next(records(reveal), {}))
    return Finding(number, points, most, state, key, named, hints, source, odds)


KINDS = "check", "answer", "reveal"


def records(cell: NotebookNode) -> Iterator[dict[str, Any]]:
    """Go through the records in a cell's outputs."""
    for output in cell.get("outputs", []):
        record = output.get("data", {}).get(RECORDS)
        if isinstance(record, dict):
            yield record


def reason(cell: NotebookNode) -> str:
    """Return the error with which a cell ended, or ""."""
    errors = [each for each in cell.get("outputs", []) if each.output_type == "error"]
    return f"{errors[-1].ename}: {errors[-1].evalue}"[:LONGEST_HINT] if errors else ""


def odds_of(record: dict[str, Any]) -> dict[str, list[float]]:
    """Read a prediction; nothing from one that is no pairs of numbers."""
    odds, truths = record.get("odds"), record.get("truths")
    if not (isinstance(odds, dict) and isinstance(truths, dict)):
        return {}
    pairs = {str(letter)[:1]: [odds[letter], truths.get(letter)] for letter in odds}
    good = all(
        isinstance(each, int | float) and 0 <= each <= 1 for p in pairs.values() for each in p
    )
    return (
        {letter: [float(each) for each in pair] for letter, pair in pairs.items()} if good else {}
    )
