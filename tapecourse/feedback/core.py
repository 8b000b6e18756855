"""What learners call: `check` judges an answer in the notebook, `show_progress` sums up.

A chapter's module registers its exercises by `exercise`, which decorates the right answer;
`tapecourse.feedback.checking` judges. `check` makes an `Outcome` of it: a learner reads its lines,
nbgrader its points.
"""

import html
import importlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import FunctionType
from typing import Any

from IPython import get_ipython

from tapecourse.feedback.checking import (
    Exercise,
    Mistake,
    NotRight,
    Parts,
    is_stub,
    judge,
    letters,
    letters_seen,
    mistake,
    new_letters_of,
    shorten,
)
from tapecourse.support.errors import ClearError, InputError

__all__ = [
    "Exercise",
    "NotRight",
    "Outcome",
    "Parts",
    "Progress",
    "check",
    "check_answer",
    "exercise",
    "exercise_of",
    "exercises_of",
    "letters",
    "letters_seen",
    "mistake",
    "record_while_grading",
    "show_progress",
]

MODULES = {
    "1": "differentiation",
    "2": "computational_graph",
    "3": "build_a_tape",
    "4": "gradient_tape",
    "5": "training_loop",
    "6": "fast_loops",
    "7": "loops_for_real_work",
    "8": "scale_out",
    "9": "compare_runs",
    "10": "beyond_training",
    "W": "build_your_own_tape",
}

RECORDS = "application/vnd.tapecourse+json"  # what `tapecourse grade` reads of an output


def is_grading() -> bool:
    """Tell whether nbgrader runs the notebook."""
    return os.environ.get("NBGRADER_EXECUTION") == "autograde"


def record_while_grading(**record: Any) -> dict[str, dict]:
    """Make what an output holds beside what is shown, for the report of a class."""
    return {RECORDS: record} if is_grading() else {}


@dataclass(frozen=True)
class Outcome:
    """What a check found: "solved", "untried" or "wrong"; a fact, a question, a counterexample.

    `shown` of the hints are told: one more each time that the same is found.
    """

    exercise: Exercise
    state: str
    hints: tuple[str, ...]
    misconception: str = ""
    picture: str = ""
    shown: int = 1
    note: str = ""  # what else to say, below the hints

    @property
    def points(self) -> int:
        """All or nothing."""
        return self.exercise.points if self.state == "solved" else 0

    @property
    def lines(self) -> tuple[str, ...]:
        """The hints that are told, cut into lines that fit below a cell."""
        told = [line for hint in self.hints[: self.shown] for line in hint.splitlines()]
        told += [self.note] if self.note else []
        return tuple(map(shorten, told))

    def __repr__(self) -> str:
        return str(self.points)  # nbgrader reads the points of a cell from its plain text

    def __str__(self) -> str:
        return "\n".join(self.lines)

    def _repr_mimebundle_(self, **_: object) -> dict[str, dict]:
        key = self.misconception
        named = key in [each.key for each in self.exercise.mistakes]
        return record_while_grading(state=self.state, key=key, named=named, hints=self.hints)

    def _repr_html_(self) -> str:
        color = {"solved": "#2e8540", "untried": "#888888", "wrong": "#c05600"}[self.state]
        lines = "<br>".join(map(as_html, self.lines))
        left = len(self.hints) - self.shown
        if left > 0:
            more = "more: a question, then an example" if left > 1 else "another hint"
            lines += f"<br><i>Run this cell again for {more}.</i>"
        elif self.picture:
            lines += f"<br>{self.picture}"
        return f'<div style="border-left: 4px solid {color}; padding: 2px 10px">{lines}</div>'


def as_html(line: str) -> str:
    """Escape a line, and set what stands between backticks as code."""
    return re.sub("`(.+?)`", r"<code>\1</code>", html.escape(line))


exercises: dict[str, Exercise] = {}  # by number
latest: dict[str, Outcome] = {}  # of each exercise that was checked, by number
told: dict[tuple[str, str], int] = {}  # how often a hint has been told, by exercise and its fact


def exercise(
    number: str, title: str, points: int, *mistakes: Mistake, **settings: Any
) -> Callable[[Callable], Callable]:
    """Register an exercise by its right answer; for `settings` see `Exercise`."""

    def register(right: Callable) -> Callable:
        exercises[number] = Exercise(number, title, points, right, mistakes=mistakes, **settings)
        return right

    return register


def exercises_of(chapter: str) -> list[Exercise]:
    """Return the exercises of a chapter, such as "1", or of the workshop, "W", in their order.

    Raises
    ------
    InputError
        There is no such chapter.
    """
    if chapter not in MODULES:
        raise InputError("chapter", chapter, f"one of {', '.join(MODULES)} is needed.")
    importlib.import_module(f"tapecourse.feedback.{MODULES[chapter]}")
    return [found for number, found in exercises.items() if number.split(".")[0] == chapter]


def exercise_of(number: str) -> Exercise:
    """Return the exercise of a number, such as "1.2".

    Raises
    ------
    InputError
        There is no exercise of this number.
    """
    known = {each.number: each for each in exercises_of(number.split(".")[0])}
    if number not in known:
        raise InputError("number", number, f"one of {', '.join(known)} is needed.")
    return known[number]


def check(number: str) -> Outcome:
    """Judge the answer to an exercise that the notebook holds.

    The same finding again tells one hint more; nbgrader's pages tell all.

    Raises
    ------
    InputError
        There is no exercise of this number.
    ClearError
        Called outside a notebook.
    """
    shell = get_ipython()
    if shell is None:
        raise ClearError("check looks for your answer in a notebook: run it in one.")
    asked = exercise_of(number)
    with standing_in(asked, shell.user_ns) as note:
        outcome = check_answer(asked, shell.user_ns.get(asked.answer))
    outcome = replace(outcome, note="" if outcome.state == "untried" else note)
    if outcome.state == "wrong":
        key = number, outcome.hints[0]
        told[key] = told.get(key, 0) + 1
        outcome = replace(outcome, shown=3 if is_grading() else min(told[key], len(outcome.hints)))
    latest[number] = outcome
    return outcome


@contextmanager
def standing_in(exercise: Exercise, names: dict[str, Any]) -> Iterator[str]:
    """Put the right answers in place of those that this one builds on and that aren't solved."""
    before, unsolved = {}, []

    def put(name: str, value: Any) -> None:
        before.setdefault(name, names.get(name))
        names[name] = value

    try:
        for number in exercise.builds_on:
            earlier = exercises[number]
            if check_answer(earlier, names.get(earlier.answer)).state != "solved":
                unsolved.append(number)
                for each in (*earlier.also, earlier.right):
                    put(each.__name__, moved_to(names, each))
                    for name in lacking(names, each):
                        put(name, each.__globals__[name])
        told = " and ".join(filter(None, [", ".join(unsolved[:-1]), *unsolved[-1:]]))
        not_yet = f"{told} {'are' if len(unsolved) > 1 else 'is'} not solved yet"
        yield f"{not_yet}: here the course's own code stood in." if unsolved else ""
    finally:
        for name, own in before.items():
            names[name] = own
            if own is None:
                del names[name]


def moved_to(names: dict[str, Any], answer: Callable) -> Callable:
    """Let a function find others among these names, so that it works on the learner's nodes."""
    if not isinstance(answer, FunctionType):
        return answer
    code, name, defaults = answer.__code__, answer.__name__, answer.__defaults__
    return FunctionType(code, names, name, defaults, answer.__closure__)


def lacking(names: dict[str, Any], answer: Callable) -> list[str]:
    """Return what a function finds in its module, and not among these names."""
    if not isinstance(answer, FunctionType):
        return []
    there = answer.__globals__
    return [name for name in answer.__code__.co_names if name in there and name not in names]


def check_answer(exercise: Exercise, answer: Any) -> Outcome:
    """Judge an answer, a function or class, or None where there is none."""
    name = exercise.answer
    if answer is None or is_stub(answer):
        todo = f"write `{name}` in place of `raise NotImplementedError`, run its cell, then this."
        return Outcome(exercise, "untried", (f"○ Not tried yet: {todo}",))
    if not callable(answer):
        fact = f"✗ Not yet: `{name}` is no function any more, but {answer!r}. Define it again."
        return Outcome(exercise, "wrong", (fact,), "no_function")
    found = judge(exercise, answer)
    if found is None:
        points = f"{exercise.points} point{'s' if exercise.points > 1 else ''}"
        return Outcome(exercise, "solved", (f"✓ Solved: {points}.",))
    shown = new_letters_of(exercise)
    first, *rest = [
        re.sub("'(.)'", lambda m: f"'{shown.get(m[1], m[1])}'", hint) for hint in found.hints
    ]
    return Outcome(exercise, "wrong", (f"✗ Not yet: {first}", *rest), found.key, found.picture)


@dataclass(frozen=True)
class Progress:
    """The states of a chapter's exercises, as a table."""

    rows: tuple[tuple[str, str, int, str], ...]  # number, title, points, state

    def __repr__(self) -> str:
        table = "\n".join(
            f"{number}  {state:13}  {title}" for number, title, _, state in self.rows
        )
        return f"{table}\n{self.total()}"

    def _repr_html_(self) -> str:
        def row(tag: str, *cells: object) -> str:
            left = 'style="text-align: left"'
            return f"<tr>{''.join(f'<{tag} {left}>{cell}</{tag}>' for cell in cells)}</tr>"

        head = row("th", "exercise", "title", "points", "state")
        body = "".join(row("td", n, html.escape(t), p, state) for n, t, p, state in self.rows)
        return f"<table>{head}{body}</table><p>{self.total()}</p>"

    def total(self) -> str:
        """Say in a sentence what is done and what is left."""
        done = [row for row in self.rows if row[3] == STATES["solved"]]
        points = f"{sum(row[2] for row in done)} of {sum(row[2] for row in self.rows)} points"
        left = [row[0] for row in self.rows if row not in done]
        return f"{points}. " + (f"Left: {', '.join(left)}." if left else "All done.")


STATES = {"solved": "✓ solved", "untried": "○ not tried", "wrong": "✗ not yet"}


def show_progress(chapter: str) -> Progress:
    """Tell which exercises of a chapter are solved: of each, what its latest check found."""
    rows = []
    for each in exercises_of(chapter):
        outcome = latest.get(each.number)
        state = STATES[outcome.state] if outcome else "– not checked"
        rows.append((each.number, each.title, each.points, state))
    return Progress(tuple(rows))
