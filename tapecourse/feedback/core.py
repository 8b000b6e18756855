"""What the checks of all chapters share: exercises, outcomes, and calls of a learner's code.

A chapter's module holds one test for each exercise. The test is named as the function that the
learner writes, and takes it as its argument. It returns when the answer is right, however it is
written, and else raises `NotRight` with the misconception that the answer shows; the exercise has
a hint for each. `check` makes an `Outcome` of it: a learner reads its lines, nbgrader its points.
"""

import html
import importlib
import inspect
import linecache
import re
import sysconfig
import textwrap
import traceback
import warnings
from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from IPython import get_ipython

from tapecourse.support.errors import ClearError, InputError

__all__ = [
    "Exercise",
    "NotRight",
    "NotTried",
    "Outcome",
    "Progress",
    "as_letters",
    "as_numbers",
    "call",
    "check",
    "check_answer",
    "exercise",
    "exercises_of",
    "expect",
    "is_close",
    "returned",
    "show_progress",
]

MODULES = {
    "1": "differentiation",
    "2": "computational_graph",
    "3": "build_a_tape",
    "4": "gradient_tape",
    "5": "training_loop",
}
NOT_OWN = Path(__file__).parent.parent, Path(sysconfig.get_path("stdlib"))
LONGEST_LINE = 110  # characters: what fits into a line below a cell


class NotTried(Exception):
    """The stub is still in its place."""


class NotRight(Exception):
    """An answer is wrong.

    Parameters
    ----------
    misconception : str
        What the learner probably thinks: a key of the exercise's hints.
    details : str
        What the hint has fields for.
    """

    def __init__(self, misconception: str, **details: object):
        super().__init__(misconception, details)
        self.misconception, self.details = misconception, details


COMMON_HINTS = {
    "no_function": "`{name}` is no function any more, but {value!r}. Define it again.",
    "raises": "`{name}` raised {error}\n{where}",
    "no_return": "{what} is None. Does the function end in `return`?",
    "no_numbers": "{what} must be numbers, and is of the type {kind}.",
    "unusable": "What `{name}` returned can't be judged ({error}).\n"
    "Does it return what its docstring says?",
    "no_letters": "The answer must be a set of letters from {letters}.",
    "shape": "{what} has the shape {found}, and should have {needed}.",
}


@dataclass(frozen=True)
class Exercise:
    """An exercise.

    Parameters
    ----------
    answer : str
        The name of the function that the learner writes.
    hints : dict
        For each misconception at most three lines that say what to look at, but not the answer.
    test : callable
        Takes the answer; raises NotTried or NotRight.
    """

    number: str
    title: str
    points: int
    answer: str
    hints: dict[str, str]
    test: Callable[[Any], None]


@dataclass(frozen=True)
class Outcome:
    """What a check found: "solved", "untried" or "wrong", and the lines that say so."""

    exercise: Exercise
    state: str
    lines: tuple[str, ...]
    misconception: str = ""

    @property
    def points(self) -> int:
        """All or nothing."""
        return self.exercise.points if self.state == "solved" else 0

    def __repr__(self) -> str:
        return str(self.points)  # nbgrader reads the points of a cell from its plain text

    def __str__(self) -> str:
        return "\n".join(self.lines)

    def _repr_html_(self) -> str:
        color = {"solved": "#2e8540", "untried": "#888888", "wrong": "#c05600"}[self.state]
        lines = "<br>".join(map(as_html, self.lines))
        return f'<div style="border-left: 4px solid {color}; padding: 2px 10px">{lines}</div>'


def as_html(line: str) -> str:
    """Escape a line, and set what stands between backticks as code."""
    return re.sub("`(.+?)`", r"<code>\1</code>", html.escape(line))


exercises: dict[str, Exercise] = {}  # by number
latest: dict[str, Outcome] = {}  # of each exercise that was checked, by number


def exercise(number: str, title: str, points: int, hints: dict[str, str]) -> Callable:
    """Register a test. Its name is that of the function to write, its argument this function."""

    def register(test: Callable[[Any], None]) -> Callable[[Any], None]:
        exercises[number] = Exercise(
            number, title, points, test.__name__, COMMON_HINTS | hints, test
        )
        return test

    return register


def exercises_of(chapter: str) -> list[Exercise]:
    """Return the exercises of a chapter, "1" to "5", in their order.

    Raises
    ------
    InputError
        There is no such chapter.
    """
    if chapter not in MODULES:
        raise InputError("chapter", chapter, f"one of {', '.join(MODULES)} is needed.")
    importlib.import_module(f"tapecourse.feedback.{MODULES[chapter]}")
    return [found for number, found in exercises.items() if number.split(".")[0] == chapter]


def check(number: str) -> Outcome:
    """Judge the answer to an exercise that the notebook holds.

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
    known = {each.number: each for each in exercises_of(number.split(".")[0])}
    if number not in known:
        raise InputError("number", number, f"one of {', '.join(known)} is needed.")
    outcome = check_answer(known[number], shell.user_ns.get(known[number].answer))
    latest[number] = outcome
    return outcome


def check_answer(exercise: Exercise, answer: Any) -> Outcome:
    """Judge an answer, a function or class, or None where there is none."""
    name = exercise.answer
    try:
        if answer is None:
            raise NotTried
        if not callable(answer):
            raise NotRight("no_function", name=name, value=answer)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # of a wrong answer: the outcome says what is wrong
            exercise.test(answer)
    except NotTried:
        todo = f"write `{name}` in place of `raise NotImplementedError`, run its cell, then this."
        return Outcome(exercise, "untried", (f"○ Not tried yet: {todo}",))
    except Exception as error:
        if isinstance(error, NotRight):
            wrong = error
        else:  # what came back is not what a test can work with
            wrong = NotRight("unusable", name=name, error=f"{type(error).__name__}: {error}")
        hint = exercise.hints[wrong.misconception].format(**wrong.details)
        first, *rest = (shorten(line) for line in hint.splitlines())
        return Outcome(exercise, "wrong", (f"✗ Not yet: {first}", *rest), wrong.misconception)
    points = f"{exercise.points} point{'s' if exercise.points > 1 else ''}"
    return Outcome(exercise, "solved", (f"✓ Solved: {points}.",))


def shorten(line: str) -> str:
    """Cut a line that quotes too much of a learner's code or error."""
    return textwrap.shorten(line, LONGEST_LINE, placeholder=" …") or "…"


def call(function: Callable, *arguments: Any, **options: Any) -> Any:
    """Call a learner's function, with copies of the arrays that it gets.

    Raises
    ------
    NotTried
        The function is still the stub.
    NotRight
        It raised an error, or left Python: "raises".
    """
    try:
        return function(*(copy_of(argument) for argument in arguments), **options)
    except NotImplementedError as error:
        raise NotTried from error
    except (Exception, SystemExit) as error:
        name = getattr(function, "__name__", "your code")
        place = where(error) if takes(function, *arguments, **options) else MISFIT
        raise NotRight("raises", name=name, error=in_short(error), where=place) from error


MISFIT = "It must take the arguments that the exercise names."


def takes(function: Callable, *arguments: Any, **options: Any) -> bool:
    """Tell whether a function has the parameters for these arguments."""
    try:
        inspect.signature(function).bind(*arguments, **options)
    except TypeError:
        return False
    except ValueError:  # a builtin may not tell
        pass
    return True


def in_short(error: BaseException) -> str:
    """Return an error's type and text in a line, without what TensorFlow puts around the text."""
    text = re.sub(r"\{\{.*?\}\}", "", str(error))
    account = r"in user code:.*\n    \w+: |Graph execution error:.*\n\n"  # of a compiled function
    text = " ".join(re.split(account, text, flags=re.DOTALL)[-1].split())
    return f"{type(error).__name__}: {text}".removesuffix(": ")


def copy_of(argument: Any) -> Any:
    """Copy an array or a list, which a learner's function may change."""
    return deepcopy(argument) if isinstance(argument, np.ndarray | list | dict) else argument


def where(error: BaseException) -> str:
    """Quote the last line of the learner's own code that an error passed through."""
    frames = [
        (each.filename, each.lineno or 0) for each in traceback.extract_tb(error.__traceback__)
    ]
    frames += re.findall(r'File "(.+)", line (\d+), in', str(error))  # of a compiled function
    own = [frame for frame in frames if is_own(Path(frame[0]))]
    if not own:
        return "in none of your lines: what does a library get from them?"
    line = linecache.getline(own[-1][0], int(own[-1][1])).strip()
    return f"in the line `{shorten(line)}`"


def is_own(path: Path) -> bool:
    """Tell whether a file is a learner's: no library's, nor Python's or this package's."""
    made = "site-packages" in path.parts or path.name.startswith("__autograph_generated_file")
    return not made and not any(path.is_relative_to(folder) for folder in NOT_OWN)


def returned(value: Any, what: str = "the answer") -> Any:
    """Return a learner's result, and refuse None: "no_return"."""
    if value is None:
        raise NotRight("no_return", what=what)
    return value


def as_letters(value: Any, letters: str) -> set[str]:
    """Read an answer as a set of some letters, and refuse anything else: "no_letters"."""
    found = list(value) if isinstance(value, Iterable) else [value]
    if not all(letter in list(letters) for letter in found):
        raise NotRight("no_letters", letters=f"{letters[0]} to {letters[-1]}")
    return set(found)


def as_numbers(value: Any, shape: tuple[int, ...], what: str) -> np.ndarray:
    """Read an answer as an array of float64.

    Parameters
    ----------
    value : number, list, array or tensor of NumPy, TensorFlow or chapter 03
    shape : tuple
        The one needed; a single number may have any.
    what : str
        A name for the value in a hint.

    Raises
    ------
    NotRight
        "no_return", "no_numbers" or "shape".
    """
    try:
        if np.asarray(returned(value, what)).dtype.kind in "SU":
            raise TypeError  # NumPy would read the text as a number
        array = np.asarray(value, "float64")
    except (TypeError, ValueError):
        raise NotRight("no_numbers", what=what, kind=type(value).__name__) from None
    if shape == () and array.size == 1:
        return array.reshape(())
    if array.shape != shape:
        raise NotRight("shape", what=what, found=array.shape, needed=shape)
    return array


def expect(
    found: np.ndarray,
    right: Any,
    mistakes: Iterable[tuple[str, Any]] = (),
    otherwise: str = "value",
    tolerance: float = 1e-4,
    **details: object,
) -> None:
    """Compare what was found with what is right, and with what misconceptions give.

    Parameters
    ----------
    found : array
    right : array of the same shape
    mistakes : pairs of a misconception and its value
    otherwise : str
        The misconception to name when the value is none of these.
    tolerance : float
        Relative to the largest element, or to 1 if that is larger.

    Raises
    ------
    NotRight
        With the first misconception whose value was found, and `details`.
    """
    if is_close(found, right, tolerance):
        return
    for misconception, wrong in mistakes:
        if is_close(found, wrong, tolerance):
            raise NotRight(misconception, **details)
    raise NotRight(otherwise, **details)


def is_close(a: Any, b: Any, tolerance: float) -> bool:
    """Compare two arrays, with a tolerance relative to the second's largest element, or to 1."""
    b = np.asarray(b, "float64")
    size = max(1.0, np.max(abs(b), initial=0.0, where=np.isfinite(b)))
    return bool(np.allclose(a, b, rtol=0, atol=tolerance * size, equal_nan=True))


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
