"""The checks accept right answers, and name the misconception of wrong ones."""

import importlib
import itertools
import math
import statistics
import sys
from collections import Counter
from dataclasses import replace
from types import FunctionType, SimpleNamespace

import numpy as np
import pytest
from answers import RIGHT, WRONG
from answers import build_your_own_tape as workshop
from made_up import FAULTS, number_in, workshop_solved

import keras
import tensorflow as tf

from tapecourse import graph, tape, training
from tapecourse.feedback import build_your_own_tape as feedback
from tapecourse.feedback import core

from tapecourse.feedback.checking import LONGEST_LINE, first_wrong, known, shown
from tapecourse.feedback.core import MODULES, Exercise, check_answer, exercises_of

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
    assert len(outcome.hints) <= 3 and all(outcome.hints)
    for hint in outcome.hints:
        assert len(hint.splitlines()) <= 3
    for line in replace(outcome, shown=3).lines:
        assert len(line) <= LONGEST_LINE + len("✗ Not yet: "), line


def test_a_compiled_answer_is_seen_through_again():
    answers = [each for key, each in WRONG["4.6"] if key == "matrix"]
    compiled = [each for each in answers if hasattr(each, "python_function")]
    assert compiled
    for each in [*compiled, *compiled]:
        assert check_answer(EXERCISES["4.6"], each).misconception == "matrix"


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


def test_a_stub_in_a_part_of_an_answer_is_wrong():
    def half_done(x, y):
        if x > 0:
            return math.exp(x * y) * (1 + x * y), x * x * math.exp(x * y)
        raise NotImplementedError  # your code here

    class HalfDone:
        def __init__(self, value):
            self.value = value

        def __add__(self, other):
            return HalfDone(self.value + other.value)

        def gradient(self, source):
            raise NotImplementedError

    for number, answer in [("1.1", half_done), ("3.1", HalfDone)]:
        assert check_answer(EXERCISES[number], answer).misconception == "raises"


def test_each_misconception_is_told_from_right_and_from_the_others():
    """By what its answers do: else a hint could be false for the answer that gets it."""
    for exercise in EXERCISES.values():
        does = [
            (each.key, [shown(exercise, answer, i) for i in range(len(known(exercise)[0]))])
            for each in exercise.mistakes
            for answer in each.shown_by
        ] + [("right", known(exercise)[2])]
        for (key, one), (other_key, other) in itertools.combinations(does, 2):
            same = not any(
                first_wrong(exercise, i, *pair) for i, pair in enumerate(zip(one, other))
            )
            assert key == other_key or not same, f"{exercise.number}: {key} is {other_key}"


# --- what is seen of an answer beside its results


def counts_its_calls(losses, sizes, calls=[]):  # noqa: B006
    calls.append(1)
    return (losses * sizes).sum() / sizes.sum() * len(calls)


def changes_what_it_gets(losses, sizes):
    losses *= sizes
    return losses.sum() / sizes.sum()


def keeps_the_first(losses, sizes, kept=[]):  # noqa: B006
    kept.append(np.average(losses, weights=sizes))
    return kept[-1] if len(kept) < 6 else 0.0


def prints_it(losses, sizes):
    print(np.average(losses, weights=sizes))


def borrows(nodes):
    by_name = graph.reverse_sweep(nodes)
    return {node.name: node.adjoint for node in nodes} if by_name else {}


def borrows_the_trainer(model, optimizer):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    trainer = training.Trainer(model, optimizer, loss, "eager")
    return lambda images, labels: trainer.train_step(images, labels)["loss"]


@pytest.mark.parametrize(
    "number, key, answer",
    [
        ("5.1", "not_again", counts_its_calls),
        ("5.1", "changes_argument", changes_what_it_gets),
        ("5.1", "not_again", keeps_the_first),
        ("5.1", "no_return", prints_it),
        ("2.3", "borrowed", borrows),
        ("3.4", "borrowed", lambda bar, shape: tape.sum_to(tape.Tensor(bar), shape).numpy()),
        ("5.3", "borrowed", borrows_the_trainer),
    ],
    ids=name,
)
def test_what_is_seen_beside_the_results(number, key, answer, capsys):
    outcome = check_answer(EXERCISES[number], answer)
    assert (outcome.misconception, outcome.points) == (key, 0), str(outcome)
    assert not capsys.readouterr().out


def test_a_hint_more_each_time(monkeypatch):
    shell = SimpleNamespace(user_ns={"epoch_mean": lambda losses, sizes: np.mean(losses)})
    monkeypatch.setattr(core, "get_ipython", lambda: shell)
    monkeypatch.setattr(core, "told", {})
    told = [len(core.check("5.1").lines) for _ in range(4)]
    assert told == [1, 2, 3, 3]
    shell.user_ns["epoch_mean"] = lambda losses, sizes: np.sum(losses)  # another finding
    assert len(core.check("5.1").lines) == 1
    shell.user_ns["epoch_mean"] = lambda losses, sizes: losses.mean()  # the cell was run again
    assert len(core.check("5.1").lines) == 3
    monkeypatch.setattr(core, "told", {})
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    assert len(core.check("5.1").lines) == 3


def test_earlier_steps_that_are_not_solved_are_stood_in_for(monkeypatch):
    names = {"np": np}
    names["lift"] = rebound(workshop.lift, names)

    def checked(number, **written):  # as in a notebook: functions find each other in its names
        names.update({name: rebound(answer, names) for name, answer in written.items()})
        monkeypatch.setattr(core, "get_ipython", lambda: SimpleNamespace(user_ns=names))
        before = dict(names)
        outcome = core.check(number)
        assert names == before
        return outcome.state, "\n".join(outcome.lines)

    state, said = checked("W.2", add=workshop.add, multiply=workshop.multiply)
    assert state == "solved" and "W.1 is not solved yet: here the course's own code" in said
    assert checked("W.2", Node=stub)[0] == "solved"
    assert checked("W.2", Node=workshop.Node) == ("solved", "✓ Solved: 2 points.")
    assert checked("W.2", Node=workshop.ForgetsEdges)[1].endswith("own code stood in.")
    state, said = checked("W.2", multiply=workshop.late)
    assert state == "wrong" and "The pull-back looks up a value when it is called" in said
    assert "W.1" not in checked("W.2", multiply=stub)[1]


@pytest.mark.parametrize("wrong", [number for number in FAULTS if number < "W.8"])
def test_a_wrong_step_costs_no_other(wrong, monkeypatch):
    """The course's own code works with the learner's nodes, and with the steps that are right."""
    names = {"np": np}
    for cell in workshop_solved():
        fault = FAULTS[wrong][:2] if number_in(cell) == wrong else ("", "")
        exec(cell.source.replace(*fault), names)
    monkeypatch.setattr(core, "get_ipython", lambda: SimpleNamespace(user_ns=names))
    assert core.check(wrong).misconception == FAULTS[wrong][2]
    for each in exercises_of("W"):
        if wrong in each.builds_on and (each.number != "W.8" or wrong == "W.7"):  # W.8 is slow
            assert core.check(each.number).state == "solved", each.number
    for number in EXERCISES[wrong].builds_on:  # the same is found if nothing else is written
        for each in (*EXERCISES[number].also, EXERCISES[number].right):
            del names[each.__name__]
    assert core.check(wrong).misconception == FAULTS[wrong][2]


def test_by_hand_is_what_the_tape_says(capsys):
    values = feedback.network_values(np.random.default_rng(1), 6, 3, 4, 5)
    true = workshop.backward(values)
    feedback.compare(workshop.backward, values)
    assert capsys.readouterr().out.count("exact, up to rounding") == len(true) == 18
    nearly = true | {"w1": true["w1"] * (1 + 3e-5), "mean": true["mean"] * 3, "b2": true["logits"]}
    del nearly["beta"]
    feedback.compare(lambda v: nearly, values)
    told = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert told["w1"] == "close, by 3e-05 of the largest element"
    assert told["mean"] == "off, by 2 of the largest element"
    assert told["b2"] == "off: its shape is (6, 5), and must be (5,)"
    assert told["beta"] == "missing" and told["gamma"] == "exact, up to rounding"


def rebound(answer, names):
    """Let a function find its names in these."""
    return FunctionType(answer.__code__, names) if isinstance(answer, FunctionType) else answer


def test_a_matrix_is_drawn_beside_the_right_one():
    outcome = check_answer(EXERCISES["4.3"], lambda f, x: np.zeros((2, 3)))
    page = replace(outcome, shown=3)._repr_html_()
    assert "✗</td>" in page and page.count("<table") == 2


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
    assert outcome.misconception == "raises" and len(outcome.lines) == 3
    for line, part in zip(outcome.lines, lines):
        assert part in line and "{" not in line


def a_call_with(x):
    def answer(x):
        return 0.0

    return Exercise("0.0", "A call", 1, answer, lambda random: [(x,)])


def test_there_are_enough_and_each_hint_is_proved(capsys):
    assert len(EXERCISES) >= 25
    found = Counter()
    for number, exercise in EXERCISES.items():
        assert len(RIGHT[number]) >= 2, f"{number} has too few right answers"
        assert len(WRONG[number]) >= 3, f"{number} has too few wrong answers"
        proved = {misconception for misconception, _ in WRONG[number]}
        own = {each.key for each in exercise.mistakes}
        assert own <= proved, f"{number}: no wrong answer shows {sorted(own - proved)}"
        found.update("named" if key in own else key for key, _ in WRONG[number])
    with capsys.disabled():
        print(
            f"\n{len(EXERCISES)} exercises: {len(RIGHT_ONES)} right answers accepted,"
            f" {len(WRONG_ONES)} wrong ones rejected: {dict(found)}"
        )
