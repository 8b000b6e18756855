"""Judges an answer by what it does: beside the right answer, and beside answers known to be wrong.

An exercise has cases, tuples of arguments: some by hand, the rest drawn from a seed. A *probe*
hands a case to a function and returns what is to be seen of it; by default, what came back. The
right answer, the learner's, and one for each misconception meet the same cases through the same
probe. A misconception is named only if its answer does on every case what the learner's does. Else
the learner hears what all results have in common, such as a wrong sign, and sees the shortest case
that fails: what went in, what came out, what is right.
"""

import contextlib
import inspect
import io
import linecache
import random
import re
import sys
import sysconfig
import textwrap
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, ValuesView
from copy import deepcopy
from dataclasses import dataclass
from functools import cache, wraps
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from tapecourse.support.variants import new_letters, variant

__all__ = [
    "Exercise",
    "Finding",
    "Mistake",
    "NO_RETURN",
    "NotRight",
    "Odd",
    "Parts",
    "is_stub",
    "judge",
    "letters",
    "letters_seen",
    "listed",
    "matched",
    "mistake",
    "new_letters_of",
    "not_right",
    "seed_weights",
    "shorten",
    "two_exchanged",
]

LONGEST_LINE = 110  # characters: what fits into a line below a cell
HIDDEN = "an array of the shape"  # what is said of one with too many numbers
NO_RETURN = "Does the function end in `return`? Printing a value doesn't return it."
COURSE = Path(__file__).parent.parent
NOT_OWN = COURSE, Path(sysconfig.get_path("stdlib"))
SEED = 18


class NotRight(Exception):
    """What a probe saw can't be compared: a key, a fact, and a question about it."""

    def __init__(self, key: str, fact: str, question: str = ""):
        super().__init__(key, fact, question)
        self.odd = Odd(key, fact, question)


@dataclass(frozen=True)
class Odd:
    """Stands for a value that can't be compared with the right one; `fact` speaks of {what}."""

    key: str
    fact: str
    question: str = ""


Parts = dict[str, Any]  # arrays, or `Odd`: what was seen in a case, by name; "" is the whole


@dataclass(frozen=True)
class Mistake:
    """A misconception: how it is told, what is asked, and answers that show it.

    Parameters
    ----------
    shown_by : tuple of functions
        Answers. If one does what the learner's does, in every case, the misconception is named.
    seen : callable, optional
        Takes what was seen of the learner's answer and of the right one, a list of `Parts` each,
        if all parts have the right shape; tells whether `fact` is true.
    """

    key: str
    fact: str
    question: str
    shown_by: tuple[Callable, ...]
    seen: Callable[[list[Parts], list[Parts]], bool] | None = None


def mistake(
    key: str, fact: str, question: str, *shown_by: Callable, seen: Callable | None = None
) -> Mistake:
    """Make a `Mistake`."""
    return Mistake(key, fact, question, shown_by, seen)


def call(function: Callable, *case: Any) -> Any:
    """Return what a function returns: the probe of most exercises."""
    return function(*case)


@dataclass(frozen=True)
class Exercise:
    """An exercise, and how answers to it are judged.

    Parameters
    ----------
    right : callable
        The right answer, under the name that learners give it.
    cases : callable
        Takes a random generator, and returns a list of tuples.
    question : str
        What to ask where no misconception explains an answer.
    probe : callable
        Takes an answer and a case, and returns what is compared: by default what it returns.
    allowed : tuple of str
        The modules of the course, or names in them, that an answer may call.
    tolerance : float
        Relative to the largest element that is right.
    within : callable, optional
        Takes a case, and returns the absolute tolerance for it, in place of the relative one.
    by_part : bool
        Whether each part of what is seen is a question by itself, for its own misconceptions.
    secret : bool
        Whether what is right is never told.
    again : int
        How many of the cases are put to an answer a second time.
    inputs : tuple of str
        What the elements of a case are called; by default as the parameters of `right`.
    parts : tuple of str
        What the values of a right answer that is a tuple are called.
    also : tuple of functions
        The right answers that stand in the same cell, under the names that learners give them.
    lettered : str
        The letters of the texts that change places from variant to variant.
    builds_on : tuple of str
        The numbers of the exercises whose answers this one may call; where one isn't solved, the
        right answer stands in for it.
    """

    number: str
    title: str
    points: int
    right: Callable
    cases: Callable[[np.random.Generator], list[tuple]]
    mistakes: tuple[Mistake, ...] = ()
    question: str = ""
    probe: Callable = call
    allowed: tuple[str, ...] = ()
    tolerance: float = 1e-4
    within: Callable[..., float] | None = None
    by_part: bool = False
    secret: bool = False
    again: int = 2
    inputs: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    also: tuple[Callable, ...] = ()
    lettered: str = ""
    builds_on: tuple[str, ...] = ()

    @property
    def answer(self) -> str:
        """The name of the function or class to write."""
        return self.right.__name__


@dataclass(frozen=True)
class Finding:
    """What is wrong with an answer: its key, and hints, each with at most three lines."""

    key: str
    hints: tuple[str, ...]
    picture: str = ""  # HTML, for the last hint


@dataclass(frozen=True)
class Seen:
    """What was seen in a case: its parts, an error with the learner's line, a changed argument."""

    parts: Parts
    error: str = ""
    changed: str = ""


# --- what a function does


@cache
def known(exercise: Exercise) -> tuple[list[tuple], list, list[Parts]]:
    """Return the cases, and what is right, as it came and as it was read."""
    cases = exercise.cases(np.random.default_rng(SEED))
    with quietly():
        raw = [exercise.probe(exercise.right, *deepcopy(case)) for case in cases]
        return cases, raw, [read(value, value, exercise.parts) for value in raw]


@cache
def shown(exercise: Exercise, answer: Callable, i: int) -> Parts:
    """Return what an answer that shows a misconception does in a case."""
    cases, raw, _ = known(exercise)
    with quietly():
        return observe(exercise, answer, cases[i], raw[i]).parts


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Keep what an answer prints or warns of out of the notebook."""
    with (
        warnings.catch_warnings(),
        np.errstate(all="ignore"),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield


def observe(exercise: Exercise, function: Callable, case: tuple, like: Any) -> Seen:
    """Put a copy of a case to a function, and read what is seen in the form of what is right."""
    arguments = deepcopy(case)
    try:
        parts = read(exercise.probe(function, *arguments), like, exercise.parts)
    except NotRight as wrong:
        return Seen({"": wrong.odd})
    except (Exception, SystemExit) as error:
        cause = error.__cause__ if isinstance(error, SystemError) else None  # raised under `Watch`
        told = f"`{exercise.answer}` raised {in_short(cause or error)}\n{where(error)}"
        return Seen({"": Odd("raises", told)}, error=told)
    changed = [
        name or "what it is given"
        for name, before, after in zip(inputs_of(exercise), case, arguments)
        if isinstance(before, np.ndarray | list | dict) and not alike(before, after)
    ]
    return Seen(parts, changed=", ".join(changed))


def alike(before: Any, after: Any) -> bool:
    """Tell whether an argument is what it was; the adjoints of a node may be filled in."""
    if isinstance(before, np.ndarray):
        same_kind = np.shape(before) == np.shape(after) and before.dtype == after.dtype
        return same_kind and bool(
            np.array_equal(before, after, equal_nan=before.dtype.kind == "f")
        )
    if isinstance(before, list | tuple):
        return len(before) == len(after) and all(map(alike, before, after))
    if isinstance(before, dict):
        return before.keys() == after.keys() and all(alike(before[k], after[k]) for k in before)
    if hasattr(before, "adjoint"):
        names = [name for name in vars(before) if name != "adjoint"]
        return all(alike(getattr(before, name), getattr(after, name)) for name in names)
    return before is after or bool(np.all(before == after))


def read(value: Any, like: Any, names: tuple[str, ...] = ()) -> Parts:
    """Read what came back in the form of what is right: its parts as arrays of numbers."""
    if isinstance(like, dict):
        if not isinstance(value, Mapping):
            kind = type(value).__name__
            return {
                "": odd_none()
                if value is None
                else Odd("no_dict", f"It must return a dict, not {kind}.")
            }
        missing = Odd("missing", "{what} is missing.")
        return {
            str(name): read_one(value[name], one) if name in value else missing
            for name, one in like.items()
        }
    if isinstance(like, tuple):
        if value is None:
            return {"": odd_none()}
        values = listed(value)
        if not isinstance(values, list | tuple | np.ndarray) or len(values) != len(like):
            found = len(values) if isinstance(values, list | tuple | np.ndarray) else "one value"
            return {"": Odd("count", f"It must return {len(like)} values, not {found}.")}
        names = names or tuple(f"value {i + 1}" for i in range(len(like)))
        return {name: read_one(*pair) for name, *pair in zip(names, values, like)}
    return {"the answer": read_one(value, like)}


def odd_none() -> Odd:
    """Make what stands for None."""
    return Odd("no_return", "{what} is None.", NO_RETURN)


def listed(value: Any) -> Any:
    """Make a list of what can be gone through only, and an array of what is an array elsewhere."""
    if isinstance(value, Iterator | ValuesView):
        return list(value)
    if hasattr(value, "__array__") and not isinstance(value, np.ndarray):
        value = np.asarray(value)
    return value.tolist() if isinstance(value, np.ndarray) and value.ndim == 0 else value


def read_one(value: Any, like: Any) -> np.ndarray | Odd:
    """Read a number, an array, a truth value or letters, by the kind of what is right."""
    kind = type(value).__name__
    if isinstance(value, Odd):
        return value
    if value is None:
        return np.array("None") if like is None else odd_none()
    if isinstance(like, bool | np.bool_):
        if not isinstance(value, bool | np.bool_):
            return Odd("no_bool", f"{{what}} must be True or False, and is of the type {kind}.")
        return np.array(bool(value))
    if isinstance(like, str):
        return (
            np.array(value)
            if isinstance(value, str)
            else Odd("no_text", f"{{what}} must be a text, and is of the type {kind}.")
        )
    if isinstance(like, set):
        return np.array("".join(sorted(value)))
    value = listed(value)
    try:
        if np.asarray(value).dtype.kind in "SUb" and np.asarray(like).dtype.kind != "b":
            raise TypeError  # NumPy would read a text as a number
        array = np.asarray(value, "float64")
    except (TypeError, ValueError):
        kind = (
            f"an array of {value.dtype}"
            if isinstance(value, np.ndarray)
            else f"of the type {kind}"
        )
        return Odd("no_numbers", f"{{what}} must be made of numbers, and is {kind}.")
    return array.reshape(()) if np.shape(like) == () and array.size == 1 else array


def seed_weights(seed: int) -> None:
    """Let Keras draw initial weights from a seed, by Python's generator, which it takes them from.

    `keras.utils.set_random_seed` also seeds TensorFlow, which then forgets all operations that it
    has prepared: a check that builds models would take twice as long.
    """
    random.seed(seed)


def letters(alphabet: str) -> Callable[[Callable], set]:
    """Make a probe of an answer that is a set of letters, however it is given."""

    def probe(answer: Callable) -> set:
        value = answer()
        found = list(value) if isinstance(value, Iterable) else [value]
        if isinstance(value, Mapping) or not all(each in list(alphabet) for each in found):
            fact = f"The answer must be a set of letters from {alphabet[0]} to {alphabet[-1]}."
            raise NotRight("no_letters", fact)
        return set(found)

    return probe


def matched(value: Any, what: str, last: int, alphabet: str, of: str = "") -> Any:
    """Name the letters of a dict by their numbers; say which number or letter there isn't."""
    if not isinstance(value, dict):
        return value
    for key, each in value.items():
        if str(key) not in map(str, range(1, last + 1)):
            fact = f"There is no {what} {key!r}: they are numbered from 1 to {last}."
            raise NotRight("no_number", fact)
        if isinstance(each, str) and each not in list(alphabet):
            fact = f"a letter from {alphabet[0]} to {alphabet[-1]} is asked for, not {each!r}."
            raise NotRight("no_letters", f"{what} {key}: ".capitalize() + fact)
    return {f"{of}{what} {key}": each for key, each in value.items()}


def not_right(found: list[Parts], right: list[Parts]) -> list[str]:
    """Return the names of the parts that are wrong, where there is one case."""
    return [name for name, value in right[0].items() if found[0][name] != value]


def two_exchanged(found: list[Parts], right: list[Parts]) -> bool:
    """Tell whether two parts have changed places, and all others are right."""
    given, asked = (sorted(map(str, parts[0].values())) for parts in (found, right))
    return len(not_right(found, right)) == 2 and given == asked


def letters_seen(condition: Callable[[set], object]) -> Callable:
    """Make what a `Mistake` has `seen` of a condition on the letters that were answered."""

    def seen(found: list[Parts], right: list[Parts]) -> bool:
        answer = found[0].get("the answer")
        return isinstance(answer, np.ndarray) and bool(condition(set(str(answer))))

    return seen


def same(
    found: np.ndarray | Odd, right: np.ndarray | Odd, tolerance: float, within: float | None
) -> bool:
    """Compare two values: of the same shape, and as close as is asked for."""
    if isinstance(found, Odd) or isinstance(right, Odd):
        return isinstance(found, Odd) and isinstance(right, Odd) and found == right
    if found.shape != right.shape or found.dtype.kind != right.dtype.kind:
        return False
    if found.dtype.kind in "bU":
        return bool(np.all(found == right))
    if within is None:
        within = tolerance * size_of(right)
    return bool(np.allclose(found, right, rtol=0, atol=within, equal_nan=True))


def within(exercise: Exercise, i: int) -> float | None:
    """Return the absolute tolerance for a case, or None where the relative one counts."""
    return exercise.within(*known(exercise)[0][i]) if exercise.within else None


def size_of(array: np.ndarray) -> float:
    """Return the size of the largest element, and not less than 0.01."""
    return max(0.01, float(np.max(abs(array), initial=0.0, where=np.isfinite(array))))


# --- what is wrong with it


@dataclass(frozen=True)
class Look:
    """What was seen of an answer: in all cases, in some of them again, and what it borrowed."""

    seen: list[Seen]
    again: Callable[[], list[Parts]]
    borrowed: str = ""


def judge(exercise: Exercise, answer: Callable) -> Finding | None:
    """Return what is wrong with an answer, or None if it is right."""
    return verdict(exercise, look_at(exercise, answer))


def look_at(exercise: Exercise, answer: Callable) -> Look:
    """Put the cases to an answer; this alone runs a learner's code."""
    cases, raw, _ = known(exercise)
    pairs = list(zip(cases, raw))
    answer = in_first_letters(exercise, answer)

    def again() -> list[Parts]:
        with quietly():
            return [observe(exercise, answer, *pair).parts for pair in pairs[: exercise.again]]

    with quietly():
        with Watch(exercise) as watch:
            seen = [observe(exercise, answer, *pairs[0])]
        if not watch.borrowed:
            seen += [observe(exercise, answer, *pair) for pair in pairs[1:]]
    return Look(seen, again, watch.borrowed)


def in_first_letters(exercise: Exercise, answer: Callable) -> Callable:
    """Let an answer give the letters of variant 0: those are what the checks know."""
    back = {new: old for old, new in new_letters_of(exercise).items()}
    if not exercise.lettered or variant() == 0:
        return answer

    @wraps(answer)
    def translated(*arguments: Any) -> Any:
        return replaced(answer(*arguments), back)

    return translated


def new_letters_of(exercise: Exercise) -> dict[str, str]:
    """Return which letter each text has in this variant."""
    return new_letters(exercise.number, exercise.lettered, variant())


def replaced(value: Any, letters: dict[str, str]) -> Any:
    """Replace letters wherever they stand in an answer: in texts, lists, sets and dicts."""
    if isinstance(value, str):
        return "".join(letters.get(each, each) for each in value)
    if isinstance(value, Mapping):
        return {replaced(k, letters): replaced(v, letters) for k, v in value.items()}
    if isinstance(value, tuple):
        return tuple(replaced(each, letters) for each in value)
    if isinstance(value, list | set | frozenset | np.ndarray | Iterator):
        return [replaced(each, letters) for each in value]
    return value


def verdict(exercise: Exercise, look: Look) -> Finding | None:
    """Return what is wrong with an answer by what was seen of it, or None if it is right."""
    if look.borrowed:
        return borrowed(look.borrowed)
    cases, _, rights = known(exercise)
    found = [each.parts for each in look.seen]
    failing = [i for i in range(len(cases)) if first_wrong(exercise, i, found[i], rights[i])]
    explanation = explain(exercise, found, rights, failing) if failing else None
    if explanation:
        return explanation
    for i, (first, second) in enumerate(zip(found, look.again())):
        if first_wrong(exercise, i, second, first) and not isinstance(first.get(""), Odd):
            fact = "Two equal calls gave different results."
            question = "What does it keep from one call to the next? Is anything in it random?"
            return Finding("not_again", levels(with_case(fact, exercise, cases[i]), question))
    if failing:
        general = in_general(exercise, found, rights, failing)
        return general or by_example(exercise, found, rights, failing)
    for case, each in zip(cases, look.seen):
        if each.changed:
            fact = f"The results are right, but it changes {each.changed}, which others may need."
            question = "Which line assigns to something that was given? Work on a copy."
            return Finding("changes_argument", levels(with_case(fact, exercise, case), question))
    return None


def explain(
    exercise: Exercise, found: list[Parts], rights: list[Parts], failing: list[int]
) -> Finding | None:
    """Find the misconception that alone gives all that was found, or all of a part."""
    i = simplest(exercise, failing)
    name = first_wrong(exercise, i, found[i], rights[i])
    everywhere = range(len(found))

    def gives(answer: Callable, *names: str) -> bool:
        return not any(
            first_wrong(exercise, j, found[j], shown(exercise, answer, j), *names)
            for j in everywhere
        )

    def is_wrong(answer: Callable) -> bool:
        return any(
            first_wrong(exercise, j, shown(exercise, answer, j), rights[j], name)
            for j in everywhere
        )

    comparable = all(
        isinstance(part(a, key), np.ndarray) and np.shape(part(a, key)) == np.shape(value)
        for a, b in zip(found, rights)
        for key, value in b.items()
    )
    explaining = [
        each
        for each in exercise.mistakes
        if (each.seen and comparable and each.seen(found, rights))
        or any(map(gives, each.shown_by))
    ][:1]
    if not explaining and exercise.by_part:
        explaining = [
            each
            for each in exercise.mistakes
            if any(gives(answer, name) and is_wrong(answer) for answer in each.shown_by)
        ]
    if len(explaining) != 1:
        return None
    [each] = explaining
    example = counterexample(exercise, i, found[i], rights[i])
    hints = levels(tell(each, name), each.question, example)
    return Finding(each.key, hints, picture(exercise, i, found[i], rights[i]))


def in_general(
    exercise: Exercise, found: list[Parts], rights: list[Parts], failing: list[int]
) -> Finding | None:
    """Say what all that was seen of the wrong part has in common, such as a wrong sign."""
    i = simplest(exercise, failing)
    name = first_wrong(exercise, i, found[i], rights[i])
    alone = all(name in right for right in rights)  # else all parts together
    triples = [
        (j, part(a, key), value)
        for j, (a, right) in enumerate(zip(found, rights))
        for key, value in right.items()
        if key == name or not alone
    ]
    if exercise.secret or not all(isinstance(a, np.ndarray) for _, a, _ in triples):
        return None

    def always(change: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> bool:
        """Tell whether an answer is what a change makes of it and of the right one, each time."""
        return all(
            same(a, change(a, b), exercise.tolerance, within(exercise, j)) for j, a, b in triples
        )

    for key, fact, question in common(
        [a for _, a, _ in triples], [b for _, _, b in triples], always
    ):
        whole = not alone or name == "the answer"
        first = fact.replace("{what}", "It" if whole else capital(name))
        example = counterexample(exercise, i, found[i], rights[i])
        return Finding(
            key, levels(first, question, example), picture(exercise, i, found[i], rights[i])
        )
    return None


def common(
    found: list[np.ndarray], rights: list[np.ndarray], always: Callable[..., bool]
) -> Iterator[tuple[str, str, str]]:
    """Yield key, fact and question of what results that are wrong have in common."""
    different = {(b.shape, b.tobytes()) for b in rights}
    if len(different) > 2 and len({(a.shape, a.tobytes()) for a in found}) == 1:
        value = show(found[0]) if found[0].size == 1 else "the same"
        question = "Where does the function use what it is given?"
        yield "constant", f"{{what}} is {value}, whatever the function is given.", question
    if any(a.dtype.kind != "f" or b.dtype.kind != "f" for a, b in zip(found, rights)):
        return
    if any(b.ndim == 2 for b in rights) and always(lambda a, b: b.T):
        question = "Which index counts the rows of the result?"
        yield "transpose", "{what} is the transpose of what is right.", question
    if any(a.shape != b.shape for a, b in zip(found, rights)):
        return
    a, b = (np.concatenate([each.ravel() for each in those]) for those in (found, rights))
    enough = len(np.unique(np.round(b, 9))) > 2
    if not np.all(np.isfinite(a)):
        if always(lambda a, b: np.where(np.isfinite(a), b, a)):
            question = "What is divided by 0 there, or which exponential is too large?"
            yield (
                "not_finite",
                "{what} is NaN or infinite for some inputs, and else right.",
                question,
            )
        return
    if not enough:
        return
    if always(lambda a, b: 0 * b):
        yield "zero", "{what} is 0 throughout.", "What should make it differ from 0?"
        return
    if always(lambda a, b: -b):
        question = "Where is a minus missing, or one too many?"
        yield "opposite", "{what} has the wrong sign, and is right otherwise.", question
    if always(lambda a, b: np.where(a * b < 0, -b, b)):
        yield "sizes", "{what} is right but for some signs.", "For which inputs is the sign wrong?"
    if always(lambda a, b: np.sort(b, None)[np.argsort(np.argsort(a, None))].reshape(b.shape)):
        question = "Which number belongs to which place?"
        yield "places", "The numbers are right, but some stand in wrong places.", question
    by = float(np.mean(a - b))
    if always(lambda a, b: b + by):
        more = "too large" if by > 0 else "too small"
        question = "What is counted that shouldn't be, or is left out?"
        yield "offset", f"{{what}} is always {abs(by):.4g} {more}.", question
    factor = float(a @ b / (b @ b))
    if f"{factor:.3g}" != "1" and always(lambda a, b: factor * b):
        question = "Where does the factor come from? Go through the smallest input by hand."
        yield "factor", f"{{what}} is always {factor:.3g} times what is right.", question
    if always(lambda a, b: np.trunc(b)) or always(lambda a, b: np.round(b)):
        question = "What is the type of the numbers in your result?"
        yield "whole", "{what} is cut to whole numbers.", question
    off = max(float(np.max(abs(x - y), initial=0)) / size_of(y) for x, y in zip(found, rights))
    if off < 0.01 and np.any(b != np.round(b)):
        question = "What is rounded, left out, or taken with a step?"
        yield (
            "close",
            f"{{what}} is close to what is right, but off by up to {100 * off:.2g} %.",
            question,
        )


def by_example(
    exercise: Exercise, found: list[Parts], rights: list[Parts], failing: list[int]
) -> Finding:
    """Show the simplest case that fails, and on asking another one."""
    i = simplest(exercise, failing)
    name = first_wrong(exercise, i, found[i], rights[i])
    odd = part(found[i], name)
    if isinstance(odd, Odd):
        fact = odd.fact.replace("{what}", "It" if name == "the answer" else capital(name))
        first = with_case(fact, exercise, known(exercise)[0][i])
        return Finding(odd.key, levels(first, odd.question or exercise.question))
    first = counterexample(exercise, i, found[i], rights[i])
    right = len(found) - len(failing)
    if right:
        first += f"\nIt is right for {right} of the {len(found)} inputs that were tried."
    others = [counterexample(exercise, j, found[j], rights[j]) for j in failing if j != i]
    hints = levels(first, exercise.question, *others[:1])
    return Finding("counterexample", hints, picture(exercise, i, found[i], rights[i]))


def simplest(exercise: Exercise, failing: list[int]) -> int:
    """Return the failing case whose inputs take the fewest letters, if they can all be shown."""
    texts = [with_inputs(exercise, case) for case in known(exercise)[0]]
    hidden = [HIDDEN in text or len(text) > LONGEST_LINE for text in texts]
    return min(failing, key=lambda i: (hidden[i], len(texts[i]), i))


def with_case(fact: str, exercise: Exercise, case: tuple) -> str:
    """Add to a fact the inputs with which it was seen."""
    inputs = with_inputs(exercise, case)
    return f"{fact}\nThat is {inputs[:1].lower()}{inputs[1:]}." if inputs else fact


def picture(exercise: Exercise, i: int, found: Parts, right: Parts) -> str:
    """Draw the part that is wrong, if it can be drawn."""
    name = first_wrong(exercise, i, found, right)
    return "" if exercise.secret else draw(part(found, name), right[name], exercise.tolerance)


def tell(mistake: Mistake, name: str) -> str:
    """Say the fact; one that begins with a small letter is about a part."""
    return f"{capital(name)}: {mistake.fact}" if mistake.fact[0].islower() else mistake.fact


def first_wrong(exercise: Exercise, i: int, found: Parts, right: Parts, *names: str) -> str:
    """Return the name of the first part (of some) in which two answers differ in a case, or ""."""
    close = exercise.tolerance, within(exercise, i)
    for name in names or right or found:
        if not same(part(found, name), part(right, name), *close):
            return name or "the answer"
    return ""


def part(parts: Parts, name: str) -> Any:
    """Return a part of what was seen, or what stands for the whole."""
    return parts.get(name, parts.get("", Odd("missing", "{what} is missing.")))


def levels(*hints: str) -> tuple[str, ...]:
    """Leave out hints that say nothing."""
    return tuple(hint for hint in hints if hint)


def borrowed(name: str) -> Finding:
    """Say that the answer is the course's own."""
    if name.endswith(".__init__"):
        fact = (
            f"It works with `{name.split('.')[0]}` of the course, which belongs to no answer here."
        )
        return Finding("borrowed", (fact, "Which lines need it? Write them without."))
    fact = f"It gets its result from `{name}` of the course, which is what you are to write here."
    return Finding("borrowed", (fact, f"What does `{name}` do? Close the chapter, and write it."))


def counterexample(exercise: Exercise, i: int, found: Parts, right: Parts) -> str:
    """Say in two lines what went in and came out, and what is right."""
    case = known(exercise)[0][i]
    name = first_wrong(exercise, i, found, right)
    a, b = part(found, name), right[name]
    if exercise.secret:
        told = without_answer(name, a, b)  # a score that is to be low is nothing to look at
        return told.removesuffix(" Look at it again.") if exercise.within else told
    verb = "it returns" if name == "the answer" else f"{name} is"
    if isinstance(a, Odd):
        it = "it" if name == "the answer" else name
        said = a.fact.replace("{what}", it).removesuffix(".")
        if a.key == "raises":
            said = f"it raises {shorten(a.fact.split(' raised ')[1].splitlines()[0])}"
        said = f"{said.replace('it is ', 'it returns ')}; right is {show(b)}."
    elif a.shape != b.shape:
        it = "it" if name == "the answer" else name
        said = f"{it} has the shape {a.shape}; right is {b.shape}."
    else:
        if len(show(b)) > 40 or show(b).startswith(HIDDEN):
            index = first_off(a, b, within(exercise, i), exercise.tolerance)
            verb = "its" if name == "the answer" else f"{name} has an"
            verb, a, b = f"{verb} element {list(index)} is", a[index], b[index]
            verb = verb.replace("has an element", "is off: element")
        pairs = [(show(a, digits), show(b, digits)) for digits in (4, 7, 16)]
        shown, needed = next((pair for pair in pairs if pair[0] != pair[1]), pairs[-1])
        said = f"{verb} {shown}; right is {needed}."
    inputs = with_inputs(exercise, case)
    if not inputs:
        return capital(said)
    return f"{inputs}:{' ' if len(inputs + said) < LONGEST_LINE - 15 else chr(10)}{said}"


def without_answer(name: str, found: Any, right: Any) -> str:
    """Say which part is wrong, and not what is right."""
    if isinstance(found, Odd) or name == "the answer" and found.dtype.kind != "U":
        return ""
    if name != "the answer":
        value = repr(str(found)) if found.dtype.kind == "U" else show(found)
        return f"{capital(name)} is {value}. Look at it again."
    letters = sorted(set(str(found)) ^ set(str(right)))
    return f"{letters[0]!r} is judged wrongly. Look at it again."


def first_off(a: np.ndarray, b: np.ndarray, within: float | None, tolerance: float) -> tuple:
    """Return the place of the first element that is wrong."""
    size = tolerance * size_of(b) if within is None else within
    off = ~np.isclose(a, b, rtol=0, atol=size, equal_nan=True)
    return tuple(map(int, np.argwhere(off)[0]))


def with_inputs(exercise: Exercise, case: tuple) -> str:
    """Name the inputs of a case: 'with x = 2, y = -1'; what has no name speaks for itself."""
    names = inputs_of(exercise)
    pairs = [f"{name} = {show(v)}" if name else show(v) for name, v in zip(names, case)]
    return f"With {', '.join(pairs)}" if pairs else ""


def inputs_of(exercise: Exercise) -> tuple[str, ...]:
    """Return what the elements of a case are called."""
    return exercise.inputs or tuple(inspect.signature(exercise.right).parameters)


def show(value: Any, digits: int = 4) -> str:
    """Write a value in short."""
    if isinstance(value, np.ndarray | np.generic) or hasattr(value, "numpy"):
        array = np.asarray(value)
        if array.dtype.kind == "U" or array.dtype.kind == "b":
            return str(array) or "''"
        if array.ndim == 0:
            return f"{array.item():.{digits}g}"
        text = np.array2string(array, precision=digits, separator=", ", max_line_width=1000)
        text = re.sub(r"\s+", " ", text)
        return text if len(text) <= 70 else f"{HIDDEN} {array.shape}"
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    if callable(value):
        return (value.__doc__ or value.__name__).splitlines()[0]
    if type(value) in (list, tuple):
        ends = "[]" if isinstance(value, list) else "()"
        text = ", ".join(show(each, digits) for each in value)
        text += "," if type(value) is tuple and len(value) == 1 else ""
        return f"{ends[0]}{text}{ends[1]}"
    return str(value) if isinstance(value, str | int) else repr(value)


def capital(text: str) -> str:
    """Begin a text with a capital letter, if it begins with a word: `dz/dx` and `b2` stay."""
    first = text.split(" ")[0]
    return text[:1].upper() + text[1:] if len(first) > 1 and first.isalpha() else text


def draw(found: np.ndarray | Odd, right: np.ndarray | Odd, tolerance: float) -> str:
    """Draw a small matrix beside the right one, wrong entries marked, in HTML."""
    if isinstance(found, Odd) or isinstance(right, Odd) or right.ndim != 2 or right.size > 40:
        return ""
    if found.ndim != 2 or found.size > 40:
        return ""
    size = tolerance * size_of(right)

    def table(title: str, array: np.ndarray, other: np.ndarray) -> str:
        rows = ""
        for i, row in enumerate(array):
            cells = ""
            for j, value in enumerate(row):
                inside = i < other.shape[0] and j < other.shape[1]
                off = not inside or not np.isclose(value, other[i, j], rtol=0, atol=size)
                style = "background:#f8d7da;color:#000;font-weight:bold" if off else ""
                cells += (
                    f'<td style="text-align:right;{style}">{value:.3g}{" ✗" if off else ""}</td>'
                )
            rows += f"<tr>{cells}</tr>"
        style, caption = "display:inline-table;margin:4px 16px 0 0", "text-align:left"
        head = f'<caption style="{caption}">{title}</caption>'
        return f'<table style="{style}">{head}{rows}</table>'

    return table("yours", found, right) + table("right", right, right)


# --- how the learner's code is looked at


class Watch:
    """Notes whether the learner's own code calls a function of the chapters that isn't allowed."""

    def __init__(self, exercise: Exercise):
        self.allowed, self.borrowed = exercise.allowed, ""

    def __enter__(self) -> "Watch":
        self.before = sys.getprofile()
        sys.setprofile(self.look)
        return self

    def __exit__(self, *exception: object) -> None:
        sys.setprofile(self.before)

    def look(self, frame: FrameType, event: str, argument: object) -> None:
        """Look at a call."""
        name = frame.f_code.co_qualname
        more = not self.borrowed or self.borrowed.endswith("__init__") and "__" not in name
        if event != "call" or not more or not is_taught(frame.f_code.co_filename):
            return
        names = {Path(frame.f_code.co_filename).stem, name.split(".")[0]}
        if not names & set(self.allowed) and "<" not in name and is_called_by_own(frame.f_back):
            self.borrowed = name


@cache
def is_taught(filename: str) -> bool:
    """Tell whether a file is a module that the chapters teach."""
    return Path(filename).parent == COURSE


def is_called_by_own(frame: FrameType | None) -> bool:
    """Tell whether the nearest caller, libraries aside, is the learner's code."""
    while frame is not None:
        if Path(frame.f_code.co_filename).is_relative_to(COURSE):
            return False
        if is_own(frame.f_code.co_filename):
            return True
        frame = frame.f_back
    return False


@cache
def is_own(filename: str) -> bool:
    """Tell whether a file is a learner's: no library's, nor Python's or this package's."""
    path = Path(filename)
    made = "site-packages" in path.parts or path.name.startswith("__autograph_generated_file")
    inner = filename.startswith(("<frozen", "<__array_function__", "<string>"))
    return not made and not inner and not any(path.is_relative_to(folder) for folder in NOT_OWN)


def is_stub(answer: Any) -> bool:
    """Tell whether an answer is what learners get: only `raise NotImplementedError`.

    What a class makes of its arguments may be given, so `__init__` counts only if it is alone.
    """

    def untouched(function: Any) -> bool:
        code = getattr(function, "__code__", None)
        return code is not None and (code.co_code, code.co_names) == STUB

    if not isinstance(answer, type):
        return untouched(answer)
    methods = {name: each for name, each in vars(answer).items() if callable(each)}
    given = methods.pop("__init__", None)
    return all(map(untouched, methods.values() or [given]))


def stub() -> None:
    raise NotImplementedError


STUB = stub.__code__.co_code, stub.__code__.co_names


def in_short(error: BaseException) -> str:
    """Return an error's type and text in a line, without what TensorFlow puts around the text."""
    if isinstance(error, NotImplementedError) and not str(error):
        return "NotImplementedError: a line of the exercise is still in its place,"
    text = re.sub(r"\{\{.*?\}\}", "", str(error))
    account = r"in user code:.*\n    \w+: |Graph execution error:.*\n\n"  # of a compiled function
    text = re.split(account, text, flags=re.DOTALL)[-1].split("Traceback (most recent")[0]
    text = " ".join(text.split())
    return f"{type(error).__name__}: {text}".removesuffix(": ")


def where(error: BaseException) -> str:
    """Quote the last line of the learner's own code that an error passed through."""
    frames = [
        (each.filename, each.lineno or 0) for each in traceback.extract_tb(error.__traceback__)
    ]
    frames += re.findall(r'File "(.+)", line (\d+), in', str(error))  # of a compiled function
    own = [frame for frame in frames if is_own(frame[0])]
    if not own:
        if isinstance(error, TypeError) and "argument" in str(error):
            return "It must take the arguments that the exercise names."
        return "in none of your lines: what does a library get from them?"
    line = linecache.getline(own[-1][0], int(own[-1][1])).strip()
    return f"in the line `{shorten(line)}`"


def shorten(line: str) -> str:
    """Cut a line that quotes too much of a learner's code or error."""
    return textwrap.shorten(line, LONGEST_LINE, placeholder=" …") or "…"
