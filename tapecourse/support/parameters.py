"""The check of a notebook's parameters, made before any work is done.

A notebook says what it allows in one line, such as
``check_parameters(globals(), epochs=Integer(1, 100), rate=Number(0, 1, open_low=True))``.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from tapecourse.support.errors import InputError, reason

__all__ = [
    "Choice",
    "Folder",
    "Integer",
    "Number",
    "Rule",
    "Text",
    "check_parameters",
    "make_folder",
    "require_text",
]


class Rule(Protocol):
    """What a parameter must be."""

    def check(self, name: str, value: object) -> None:
        """Raise an InputError unless the parameter `name` may have this value."""


def check_parameters(values: Mapping[str, object], **rules: Rule) -> None:
    """Hold each named value to its rule.

    Parameters
    ----------
    values : mapping
        The parameters by name: a notebook's ``globals()``.
    rules : Rule
        What each parameter must be.

    Raises
    ------
    InputError
        A value breaks its rule; the message names the parameter, the value and what is allowed.
    """
    for name, rule in rules.items():
        rule.check(name, values[name])


class Integer:
    """An integer from `low` to `high` (None: no upper limit)."""

    def __init__(self, low: int, high: int | None = None):
        self.low, self.high = low, high

    def check(self, name: str, value: object) -> None:
        """Refuse anything else."""
        inside = (
            isinstance(value, int)
            and not isinstance(value, bool)
            and self.low <= value
            and (self.high is None or value <= self.high)
        )
        if not inside:
            limits = (
                f"of {self.low} or more"
                if self.high is None
                else f"from {self.low} to {self.high}"
            )
            raise InputError(name, value, f"an integer {limits} is needed.")


class Number:
    """A number from `low` to `high`; an open end is itself not allowed."""

    def __init__(
        self, low: float, high: float, *, open_low: bool = False, open_high: bool = False
    ):
        self.low, self.high, self.open_low, self.open_high = low, high, open_low, open_high

    def check(self, name: str, value: object) -> None:
        """Refuse anything else."""
        inside = (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and self.low <= value <= self.high  # false for NaN
        )
        at_low, at_high = value == self.low, value == self.high
        if not inside or (self.open_low and at_low) or (self.open_high and at_high):
            raise InputError(name, value, f"a number {self.limits()} is needed.")

    def limits(self) -> str:
        """Say what is allowed."""
        if not (self.open_low or self.open_high):
            return f"from {self.low} to {self.high}"
        lower = f"above {self.low}" if self.open_low else f"of at least {self.low}"
        upper = f"below {self.high}" if self.open_high else f"at most {self.high}"
        return f"{lower} and {upper}"


class Choice:
    """One of some texts."""

    def __init__(self, *choices: str):
        self.choices = choices

    def check(self, name: str, value: object) -> None:
        """Refuse anything else."""
        if not isinstance(value, str) or value not in self.choices:
            allowed = ", ".join(map(repr, self.choices))
            raise InputError(name, value, f"one of {allowed} is needed.")


class Text:
    """A string."""

    def check(self, name: str, value: object) -> None:
        """Refuse anything else."""
        require_text(name, value)


class Folder:
    """A folder that can be written, which is made if need be; or an empty text: no folder."""

    def check(self, name: str, value: object) -> None:
        """Refuse anything else."""
        if path := require_text(name, value):
            make_folder(name, path)


def require_text(name: str, value: object) -> str:
    """Return a value that is a string.

    Raises
    ------
    InputError
        The value is not a string.
    """
    if not isinstance(value, str):
        raise InputError(name, value, "a text in quotes is needed.")
    return value


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
    except (OSError, ValueError) as error:  # a ValueError: this can't be a path, with a NUL byte
        raise InputError(name, path, f"this folder can't be written ({reason(error)}).") from error
