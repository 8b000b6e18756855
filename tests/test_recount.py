"""Points computed again: what still counts, and what a learner's code can't gain by."""

import sys

import nbformat
import pytest
from conftest import ROOT
from made_up import answer, cell_of, released

from tapecourse.feedback.checking import SEED, known
from tapecourse.feedback.core import exercises_of
from tapecourse.tools.recount import judge, trials_of

CHAPTER = "01_differentiation"
SETUP = cell_of(released(CHAPTER), "setup").source
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="where processes can be forked")

RIGHT = """
def gradient(x, y):
    e = np.exp(x * y)
    return e * (1 + x * y), x**2 * e
"""
WRONG = "def gradient(x, y):\n    return 1.0, 1.0\n"
FORGED = """
import json, os
def gradient(x, y):
    for pipe in range(3, 60):
        try:
            os.write(pipe, b'\\n{"of": ""}\\n{"look": {"seen": [], "again": [], "borrowed": ""}}')
        except OSError:
            pass
    os._exit(0)
"""
PATCHED = """
np.allclose = np.array_equal = lambda *arguments, **more: True
import sys
for module in [*sys.modules.values()]:
    if hasattr(module, "first_wrong"):
        module.first_wrong = lambda *arguments: ""
"""
CASES, _, RESULTS = known(next(each for each in exercises_of("1") if each.number == "1.1"))
BY_HEART = f"""
def gradient(x, y):
    table = {dict(zip(CASES, ([float(v) for v in each.values()] for each in RESULTS)))!r}
    return table.get((x, y), (1.0, 1.0))
"""
ENDLESS = "while True: __import__('time').sleep(9)"
HOSTILE = {  # of 1.1: the cells, and what must come of them
    "right": ([RIGHT], ""),
    "with a helper above": (
        ["def square(x): return x**2", RIGHT.replace("x**2", "square(x)")],
        "",
    ),
    "below cells that end the process": (["exit()", "import os; os._exit(1)", RIGHT], ""),
    "below a cell without an end": ([ENDLESS, RIGHT], ""),
    "that prints much": (["print('x' * 100_000_000)\n" + RIGHT], ""),
    "wrong": ([WRONG], "constant"),
    "that ends the process": ([RIGHT + "import os; os._exit(0)"], "no_result"),
    "that has no end": ([f"def gradient(x, y):\n    {ENDLESS}"], "no_result"),
    "with patched modules": ([PATCHED + WRONG], "constant"),
    "that patches when called": (
        [
            "def gradient(x, y):\n    "
            + PATCHED.strip().replace("\n", "\n    ")
            + "\n    return 1, 1"
        ],
        "constant",
    ),
    "learned by heart": ([BY_HEART], "counterexample"),
    "that forges messages": ([FORGED], "no_result"),
    "from the checks": (
        ["from tapecourse.feedback.differentiation import gradient"],
        "no_answer",
    ),
    "that ends the judge": (
        [f"import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\n{RIGHT}"],
        "no_result",
    ),
    "without a definition": (["gradient"], "no_answer"),
    "right after all of these": ([RIGHT], ""),
}


def test_what_counts():
    answers = [("1.1", [[SETUP, *cells]]) for cells, _ in HOSTILE.values()]
    found = judge(answers, seed=1, seconds=5)
    assert dict(zip(HOSTILE, found)) == {name: key for name, (_, key) in HOSTILE.items()}
    assert judge([("1.1", [[SETUP, BY_HEART]])], seed=SEED) == [""]  # the notebook's own seed


def test_an_answer_is_tried_alone_and_with_what_stands_above(tmp_path):
    notebook = answer(released(CHAPTER), "1.1", "ANSWER")
    notebook.cells.insert(0, nbformat.v4.new_code_cell("MINE"))
    cell_of(notebook, "check-1-1").source = "FORGED"
    notebook.cells.insert(0, notebook.cells.pop(notebook.cells.index(cell_of(notebook, "setup"))))
    path = tmp_path / "x.ipynb"
    nbformat.write(notebook, path)
    alone, above = trials_of(ROOT / "exercises" / CHAPTER / f"{CHAPTER}.ipynb", path, "1.1")
    assert alone == [SETUP, "ANSWER"] and above == [SETUP, "MINE", "ANSWER"]
    assert trials_of(ROOT / "exercises" / CHAPTER / f"{CHAPTER}.ipynb", path, "9.9") == []
