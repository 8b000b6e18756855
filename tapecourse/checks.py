"""Checks of a notebook's parameters, made before any work is done.

Each check returns nothing, or raises an `InputError` that names the parameter, its value and what
is allowed.
"""

from collections.abc import Sequence
from pathlib import Path

__all__ = [
    "ClearError",
    "InputError",
    "check_choice",
    "check_folder",
    "check_integer",
    "check_number",
    "check_text",
]


class ClearError(Exception):
    """An error whose message says all. A notebook shows it without the traceback."""

    def _render_traceback_(self) -> list[str]:  # what IPython calls to show an exception
        return [f"{type(self).__name__}: {self}"]


class InputError(ClearError, ValueError):
    """Something that the user gave is wrong; the message says what, and what is allowed."""

    def __init__(self, name: str, value: object, allowed: str):
        super().__init__(f"{name} = {value!r}: {allowed}")


def check_integer(name: str, value: int, low: int, high: int | None = None) -> None:
    """Refuse anything but an integer from `low` to `high` (None: no upper limit)."""
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    if not is_integer or value < low or (high is not None and value > high):
        limits = f"{low} or more" if high is None else f"{low} to {high}"
        raise InputError(name, value, f"an integer is needed, {limits}.")


def check_number(
    name: str,
    value: float,
    low: float,
    high: float,
    *,
    open_low: bool = False,
    open_high: bool = False,
) -> None:
    """Refuse anything but a number from `low` to `high`; an open end is itself not allowed."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    inside = is_number and low <= value <= high  # false for NaN
    if not inside or (open_low and value == low) or (open_high and value == high):
        lower = f"above {low}" if open_low else f"from {low}"
        upper = f"below {high}" if open_high else f"to {high}"
        raise InputError(name, value, f"a number is needed, {lower}, {upper}.")


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Refuse anything but one of `choices`."""
    if not isinstance(value, str) or value not in choices:
        raise InputError(name, value, f"one of {', '.join(map(repr, choices))} is needed.")


def check_text(name: str, value: str) -> None:
    """Refuse anything but a string."""
    if not isinstance(value, str):
        raise InputError(name, value, "a text in quotes is needed.")


def check_folder(name: str, value: str) -> None:
    """Make the folder `value` if need be; refuse one that can't be written. Empty: no folder."""
    check_text(name, value)
    if not value:
        return
    probe = Path(value) / ".writable"
    try:
        probe.parent.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        problem = f"this folder can't be written ({error.strerror})."
        raise InputError(name, value, problem) from error
