"""The check of a notebook's parameters, made before any work is done.

A notebook says what it allows in one line, such as
``check_parameters(globals(), epochs=integer(1, 100), rate=number(0, 1, open_low=True))``.
"""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from tapecourse.support.errors import InputError

__all__ = [
    "Rule",
    "check_parameters",
    "choice",
    "folder",
    "integer",
    "make_folder",
    "number",
    "text",
]

Rule = Callable[[str, object], None]  # takes a name and a value, raises an InputError


def check_parameters(values: Mapping[str, object], **rules: Rule) -> None:
    """Hold each named value to its rule.

    Parameters
    ----------
    values : mapping
        The parameters by name: a notebook's ``globals()``.
    rules : Rule
        What each parameter must be: `integer`, `number`, `choice`, `text`, `folder`, or another.

    Raises
    ------
    InputError
        A value breaks its rule; the message names the parameter, the value and what is allowed.
    """
    for name, rule in rules.items():
        rule(name, values[name])


def integer(low: int, high: int | None = None) -> Rule:
    """Allow an integer from `low` to `high` (None: no upper limit)."""

    def check(name: str, value: object) -> None:
        is_integer = isinstance(value, int) and not isinstance(value, bool)
        if not is_integer or value < low or (high is not None and value > high):
            limits = f"{low} or more" if high is None else f"{low} to {high}"
            raise InputError(name, value, f"an integer is needed, {limits}.")

    return check


def number(low: float, high: float, *, open_low: bool = False, open_high: bool = False) -> Rule:
    """Allow a number from `low` to `high`; an open end is itself not allowed."""

    def check(name: str, value: object) -> None:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        inside = is_number and low <= value <= high  # false for NaN
        if not inside or (open_low and value == low) or (open_high and value == high):
            lower = f"above {low}" if open_low else f"from {low}"
            upper = f"below {high}" if open_high else f"to {high}"
            raise InputError(name, value, f"a number is needed, {lower}, {upper}.")

    return check


def choice(*choices: str) -> Rule:
    """Allow one of `choices`."""

    def check(name: str, value: object) -> None:
        if not isinstance(value, str) or value not in choices:
            raise InputError(name, value, f"one of {', '.join(map(repr, choices))} is needed.")

    return check


def text() -> Rule:
    """Allow a string."""

    def check(name: str, value: object) -> None:
        if not isinstance(value, str):
            raise InputError(name, value, "a text in quotes is needed.")

    return check


def folder() -> Rule:
    """Allow a folder that can be written, and make it if need be; or an empty text: no folder."""

    def check(name: str, value: object) -> None:
        text()(name, value)
        if value:
            make_folder(name, str(value))

    return check


def make_folder(name: str, path: str) -> None:
    """Make a folder if need be, and make sure that it can be written.

    Raises
    ------
    InputError
        It can't; `name` says what the path is for.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):  # it has no name, so that a kill leaves none
            pass
    except OSError as error:
        problem = f"this folder can't be written ({error.strerror})."
        raise InputError(name, path, problem) from error
