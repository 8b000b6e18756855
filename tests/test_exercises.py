"""The checks accept right answers, and name the misconception of wrong ones."""

import importlib
import statistics
import sys

import pytest
from answers import RIGHT, WRONG

import tensorflow as tf

from tapecourse.feedback.core import (
    COMMON_HINTS,
    LONGEST_LINE,
    MODULES,
    Exercise,
    call,
    check_answer,
    exercises_of,
)

for module in MODULES.values():
    importlib.import_module(f"answers.{module}")

EXERCISES = {each.number: each for chapter in MODULES for each in exercises_of(chapter)}


def name(value):
    return getattr(value, "__name__", value)


RIGHT_ONES = [(number, answer) for number in RIGHT for answer in RIGHT[number]]
WRONG_ONES = [(number, *pair) for number in WRONG for pair in WRONG[number]]


def stub(*arguments):
    raise NotImplementedError  # your code here


@pytest.mark.parametrize("number, answer", RIGHT_ONES, ids=name)
def test_right(number, answer):
    outcome = check_answer(EXERCISES[number], answer)
    assert outcome.state == "solved", f"{outcome.misconception}: {outcome}"
    assert outcome.points == EXERCISES[number].points
    assert len(outcome.lines) == 1


@pytest.mark.parametrize("number, misconception, answer", WRONG_ONES, ids=name)
def test_wrong(number, misconception, answer):
    outcome = check_answer(EXERCISES[number], answer)
    assert outcome.state == "wrong"
    assert outcome.misconception == misconception, str(outcome)
    assert outcome.points == 0
    assert len(outcome.lines) <= 3
    for line in outcome.lines:
        assert len(line) <= LONGEST_LINE + len("✗ Not yet: "), line


@pytest.mark.parametrize("number", EXERCISES)
def test_untried(number):
    for nothing in (stub, None):
        outcome = check_answer(EXERCISES[number], nothing)
        assert outcome.state == "untried"
        assert len(outcome.lines) == 1 and EXERCISES[number].answer in outcome.lines[0]


@pytest.mark.parametrize("number", EXERCISES)
@pytest.mark.parametrize("nonsense", [3.0, lambda: None, lambda *_: "text", lambda *_: None])
def test_nonsense_is_wrong_and_no_crash(number, nonsense):
    outcome = check_answer(EXERCISES[number], nonsense)
    assert outcome.state == "wrong" and len(outcome.lines) <= 3


# --- what is told of an answer that raises an error


def square(x):
    return statistics.mean(x) ** 2


@tf.function
def compiled(x):
    return tf.matmul(x, x)


@tf.function
def compiled_and_out_of_range(x):
    return x[tf.cast(x[0], tf.int32)]


@tf.custom_gradient
def handed_on(x):
    return x  # and no pull-back


def leaves(x):
    sys.exit()


@pytest.mark.parametrize(
    "answer, lines",
    [
        (
            square,
            ["raised TypeError: 'int' object", "in the line `return statistics.mean(x) ** 2`"],
        ),
        (lambda: 1, ["raised TypeError", "It must take the arguments that the exercise names."]),
        (compiled, ["raised ValueError: Shape must be rank 2", "line `return tf.matmul(x, x)`"]),
        (
            compiled_and_out_of_range,
            ["Error: slice index 5", "`return x[tf.cast(x[0], tf.int32)]`"],
        ),
        (handed_on, ["raised TypeError: ", "in none of your lines: what does a library get"]),
        (leaves, ["raised SystemExit", "in the line `sys.exit()`"]),
    ],
    ids=name,
)
def test_an_error_is_told_with_the_learners_own_line(answer, lines):
    x = 5 if answer is square else tf.constant([5.0, 1.0])
    outcome = check_answer(a_call_with(x), answer)
    assert outcome.misconception == "raises" and len(outcome.lines) == 2
    for line, part in zip(outcome.lines, lines):
        assert part in line and "{" not in line


def a_call_with(x):
    def answer(function):
        call(function, x)

    return Exercise("0.0", "A call", 1, "answer", COMMON_HINTS, answer)


def test_there_are_enough_and_each_hint_is_proved(capsys):
    assert len(EXERCISES) >= 25
    for chapter in MODULES:
        assert len(exercises_of(chapter)) >= 5
    for number, exercise in EXERCISES.items():
        assert len(RIGHT[number]) >= 2, f"{number} has too few right answers"
        assert len(WRONG[number]) >= 3, f"{number} has too few wrong answers"
        proved = {misconception for misconception, _ in WRONG[number]}
        own = set(exercise.hints) - set(COMMON_HINTS)
        assert own <= proved, f"{number}: no wrong answer shows {sorted(own - proved)}"
    with capsys.disabled():
        kinds = {(number, misconception) for number, misconception, _ in WRONG_ONES}
        print(
            f"\n{len(EXERCISES)} exercises: {len(RIGHT_ONES)} right answers accepted,"
            f" {len(WRONG_ONES)} wrong ones rejected by {len(kinds)} different hints"
        )
