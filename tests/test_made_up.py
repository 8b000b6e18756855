"""A class made up from the stored answers: the points, and what the report says of it.

Here are few submissions, each with several faults at once; tests/hundred_submissions.py grades a
hundred, and so does this with the profile `thorough`.
"""

import json
from random import Random

import hundred_submissions
import nbformat
import pytest
from helpers import THOROUGH
from made_up import KINDS, a_learner, differences, reported, to_report

from tapecourse.tools.grade import grade

CHAPTER = "02_computational_graph"
FAULTS = ("rewritten", "pasted", "moved"), ("deleted", "exit", "patcher"), ("loud", "thief")
pytestmark = pytest.mark.filterwarnings("ignore:Non-unique cell id")  # of pasted cells


def make_few(folder):
    """Make a submission for each group of faults."""
    random, expected = Random(1), {}
    for kinds in FAULTS:
        notebook, found = a_learner(CHAPTER, random)
        notebook.metadata["chapter"] = CHAPTER
        for kind in kinds:
            KINDS[kind](notebook, found)
        expected["-".join(kinds)] = found
        nbformat.write(notebook, folder / f"{'-'.join(kinds)}.ipynb")
    return expected


def test_a_class_gets_its_points_and_a_true_report(tmp_path, alembic_once):
    made, out = tmp_path / "submissions", tmp_path / "grading"
    made.mkdir()
    expected = hundred_submissions.make(made, 99) if THOROUGH else make_few(made)
    grade(str(made), str(out))
    assert differences(json.loads((out / "grades.json").read_text()), expected) == []
    assert reported((out / "report.html").read_text()) == to_report(expected) != {}
