"""Variants: each learner's own letters and numbers, with solutions and checks that follow."""

import math
import os
import re
from ast import literal_eval

import nbformat
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, SOLUTIONS

from tapecourse.feedback import checking, predictions
from tapecourse.feedback.core import MODULES, check_answer, exercises_of
from tapecourse.feedback.predictions import reveal
from tapecourse.support.errors import InputError
from tapecourse.support.variants import NAME, NUMBERS, new_letters, own_number, variant
from tapecourse.tools.command import main
from tapecourse.tools.grade import grade
from tapecourse.tools.variants import ITEMS, in_variant, read_roster, write_variants

EXERCISES = {each.number: each for chapter in MODULES for each in exercises_of(chapter)}
LETTERED = [number for number, each in EXERCISES.items() if each.lettered]
OWN = [*LETTERED, *NUMBERS]


def cells_of(number, which=0):
    """Return the cells of an exercise in solutions/, from its task to the next heading."""
    chapter = number.split(".")[0]
    [path] = [each for each in SOLUTIONS if each.stem.split("_")[0].lstrip("0") == chapter]
    notebook = nbformat.read(path, as_version=4)
    if which:
        in_variant(notebook, which)
    names = [cell.id for cell in notebook.cells]
    start = names.index(f"task-{number.replace('.', '-')}")
    rest = [cell.source.startswith("## ") for cell in notebook.cells[start + 1 :]]
    return notebook.cells[start : start + 1 + rest.index(True)]


def answer_of(number, which=0):
    """Return the function that the solution of a variant defines."""
    [cell] = [cell for cell in cells_of(number, which) if cell.id.startswith("answer")]
    names = {"np": np, "math": math}
    exec(cell.source, names)
    return names[EXERCISES[number].answer]


@pytest.fixture
def in_a_variant(monkeypatch):
    """Let the checks work with another variant."""

    def forget():
        for each in (variant, checking.known, checking.shown):
            each.cache_clear()

    def switch(which):
        monkeypatch.setenv(NAME, str(which))
        forget()

    yield switch
    monkeypatch.undo()
    forget()


def test_the_checks_know_each_letter_of_the_exercises():
    assert f"In {len(OWN)} of the exercises" in (ROOT / "README.md").read_text()
    for number, exercise in EXERCISES.items():
        found = [
            "".join(letter for _, letter, _ in pattern.findall(cell.source))
            for cell in cells_of(number)
            for pattern in ITEMS
            if cell.id.split("-")[0] not in ("answer", "why", "check")
        ]
        assert "".join(each for each in found if len(each) > 1) == exercise.lettered, number


@pytest.mark.parametrize("number", NUMBERS)
def test_each_text_with_a_number_is_there(number):
    sources = [cell.source for cell in cells_of(number)]
    for text, _ in NUMBERS[number].texts:
        assert any(text in source for source in sources), text


@pytest.mark.parametrize("number", OWN)
def test_the_solution_of_a_variant_is_right_there_and_not_elsewhere(number, in_a_variant):
    exercise = EXERCISES[number]
    for which in (1, 2, 3):
        in_a_variant(which)
        own = answer_of(number, which)
        assert check_answer(exercise, own).state == "solved", f"{which}: {own()}"
        first = answer_of(number)
        if number in NUMBERS or number not in predictions.statements and own() != first():
            assert check_answer(exercise, first).state == "wrong"  # odds may be good by luck
    in_a_variant(0)
    assert check_answer(exercise, answer_of(number)).state == "solved"


def test_no_example_of_the_form_is_an_answer(in_a_variant):
    form = re.compile("Example of the form: (.+)")
    examples = [
        (number, literal_eval(example))
        for number in EXERCISES
        for cell in cells_of(number)
        for example in form.findall(cell.source)
    ]
    assert len(examples) >= 20
    for which in range(10):
        in_a_variant(which)
        for number, example in examples:
            outcome = check_answer(EXERCISES[number], lambda example=example: example)
            assert outcome.state == "wrong", f"{number} in variant {which}"


def test_variants_differ():
    orders = {tuple(new_letters("4.1", "abcdefgh", which).items()) for which in range(30)}
    assert len(orders) == 30
    assert new_letters("4.1", "abc", 0) == {"a": "a", "b": "b", "c": "c"}
    assert {own_number("1.1", which) for which in range(30)} == set(NUMBERS["1.1"].values)
    assert all(own_number("1.1", which) != 1 for which in range(1, 30))


@pytest.mark.parametrize("number", predictions.statements)
def test_what_is_revealed_is_what_was_asked(number):
    [task] = [cell.source for cell in cells_of(number) if cell.id.startswith("task")]
    asked = {letter: re.sub("[`$]", "", text) for _, letter, text in ITEMS[0].findall(task)}
    told = predictions.statements[number]
    assert {letter: f"** {text}" for letter, (_, text) in told.items()} == asked


def test_hints_and_the_reveal_speak_in_the_learners_letters(in_a_variant, monkeypatch):
    in_a_variant(3)
    where = new_letters("6.1", "abcdef", 3)
    counts = answer_of("6.1", 3)()
    hints = check_answer(EXERCISES["6.1"], lambda: counts | {where["c"]: 4}).hints
    assert where["c"] != "c" and any(f"program '{where['c']}' is 4" in hint for hint in hints)
    curves, right = new_letters("5.7", "abcdef", 3), answer_of("5.7", 3)()
    hints = check_answer(EXERCISES["5.7"], lambda: right | {6: curves["a"]}).hints
    assert curves["a"] != "a" and f"Curve 6 is '{curves['a']}'. Look at it again." in hints
    monkeypatch.setattr(predictions, "kept", {})
    odds = answer_of("1.8", 3)()
    assert check_answer(EXERCISES["1.8"], lambda: odds).state == "solved"
    lines = reveal("1.8").lines()[:-1]
    [task] = [cell.source for cell in cells_of("1.8", 3) if cell.id == "task-1-8"]
    for line, (letter, text) in zip(lines, re.findall(r"^- \*\*(\w)\*\* (.+)$", task, re.M)):
        assert line.startswith(f"{letter}  {odds[letter]:4.0%}"), line
        assert line.endswith(text.replace("`", ""))


@pytest.mark.parametrize(
    "answer, solved",
    [
        (lambda right: "".join(right), True),
        (lambda right: iter(right), True),
        (lambda right: np.array(sorted(right)), True),
        (lambda right: tuple(right), True),
        (lambda right: 3.0, False),
        (lambda right: None, False),
        (lambda right: [[1], [2, 3]], False),
    ],
)
def test_letters_are_read_in_each_form(answer, solved, in_a_variant):
    in_a_variant(2)
    right = answer_of("4.1", 2)()
    outcome = check_answer(EXERCISES["4.1"], lambda: answer(right))
    assert outcome.state == ("solved" if solved else "wrong")


def test_an_environment_without_a_number_is_refused(in_a_variant):
    in_a_variant("three")
    with pytest.raises(InputError, match=f"{NAME} = 'three': a whole number is needed"):
        variant()


# --- the command


@pytest.mark.parametrize(
    "text, problem",
    [
        ("", "there is no name in it"),
        ("ada\ngrace\nada\n", "'ada': this name stands there twice"),
        ("ada\n../solutions\n", "this can't be a folder's name"),
        (b"\xff\xfe", "this is not UTF-8"),
    ],
)
def test_a_wrong_list_is_refused(text, problem, tmp_path):
    path = tmp_path / "learners.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=problem):
        read_roster(str(path))


def test_who_has_a_variant_keeps_it(tmp_path, capsys):
    roster, out = tmp_path / "learners.txt", tmp_path / "variants"
    roster.write_text("ada\n\n  grace \n", encoding="utf-8")
    assert write_variants(str(roster), str(out))
    roster.write_text("Jörg\ngrace\n", encoding="utf-8")
    assert main(["variants", str(roster), "--out", str(out)]) == 0
    assert "Learners: 2, 1 of them new." in capsys.readouterr().out
    table = pd.read_csv(out / "variants.csv")
    assert dict(zip(table.learner, table.variant)) == {"ada": 1, "grace": 2, "Jörg": 3}
    for kind in ("exercises", "solutions"):
        for path in (ROOT / kind).glob("*/*.ipynb"):
            own = nbformat.read(out / kind / "Jörg" / path.relative_to(ROOT / kind), 4)
            assert f"%env {NAME}=3\n" in next(c for c in own.cells if c.id == "setup").source
    (out / "variants.csv").write_text("")
    assert main(["variants", str(roster), "--out", str(out)]) == 2
    assert "variants.csv': a table that `tapecourse variants` wrote" in capsys.readouterr().err
    (out / "variants.csv").unlink()
    assert main(["variants", str(roster), "--out", str(out)]) == 2
    assert "this folder holds other files, and no variants.csv" in capsys.readouterr().err


def test_each_is_graded_by_the_own_variant(tmp_path, capsys):
    """Ada hands in her solution, Grace and Eve the same, and Eve is on no list."""
    chapter = "02_computational_graph"
    roster, out, grades = (tmp_path / name for name in ("learners.txt", "variants", "grades"))
    roster.write_text("ada\ngrace\n", encoding="utf-8")
    write_variants(str(roster), str(out))
    submissions = tmp_path / "submissions"
    submissions.mkdir()
    for learner, whose in [("ada", "ada"), ("grace", "ada"), ("eve", "ada")]:
        own = (out / "solutions" / whose / chapter / f"{chapter}.ipynb").read_bytes()
        (submissions / f"{learner}.ipynb").write_bytes(own)
    assert main(["grade", str(submissions), "--out", str(grades)]) == 1
    assert "this notebook is of variant 1: --variants is needed" in capsys.readouterr().out
    assert not grade(str(submissions), str(grades), str(out / "variants.csv"))
    table = pd.read_csv(grades / "grades.csv", keep_default_na=False).set_index("learner")
    most = sum(each.points for each in exercises_of("2"))
    own = sum(EXERCISES[number].points for number in OWN if number.startswith("2."))
    assert table.score["ada"] == f"{most}" and not table["flags"]["ada"]
    assert table.score["grace"] == f"{most - own}"
    assert table["flags"]["grace"] == "variant 1 of the exercises, not 2"
    assert table.status["eve"].startswith("failed: the table of variants has no learner")
    assert NAME not in os.environ
    for other in ("ada\ngrace\n", "learner,points\nada,3\n"):
        roster.write_text(other, encoding="utf-8")
        words = ["grade", str(submissions), "--out", str(grades), "--variants", str(roster)]
        assert main(words) == 2
        assert "a table that `tapecourse variants` wrote is needed" in capsys.readouterr().err
