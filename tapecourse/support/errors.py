"""Errors whose message says all: a notebook shows it without a traceback."""

__all__ = [
    "CheckpointError",
    "ClearError",
    "GradientError",
    "GraphError",
    "InputError",
    "LossNotFinite",
    "TapeError",
    "printable",
    "reason",
    "require_utf8",
]


class ClearError(Exception):
    """An error whose message says all. A notebook shows it without the traceback."""

    def _render_traceback_(self) -> list[str]:  # what IPython calls to show an exception
        return [f"{type(self).__name__}: {self}"]


class InputError(ClearError, ValueError):
    """Something that the user gave is wrong; the message says what, and what is allowed."""

    def __init__(self, name: str, value: object, allowed: str):
        super().__init__(printable(f"{name} = {shown(value)}: {allowed}"))


class GraphError(ClearError):
    """A list of nodes is not a graph in an order of evaluation. Chapter 02."""


class TapeError(ClearError):
    """A tape or an operation was used in a way that has no gradient. Chapter 03."""


class GradientError(ClearError):
    """A gradient can't be computed as asked. Chapter 04."""


class CheckpointError(ClearError):
    """A checkpoint is broken, or belongs to another run. Chapter 07."""


class LossNotFinite(ClearError):
    """A training loss became infinite or not a number."""


def printable(text: str) -> str:
    """Replace what a terminal would not show but obey, and bytes that are no text."""
    harmless = "\n\t\xa0"
    return "".join(c if c.isprintable() or c in harmless else "\ufffd" for c in text)


def require_utf8(name: str, text: str) -> None:
    """Refuse bytes that are no text, which a command line lets through.

    Raises
    ------
    InputError
        The text can't be written to a file.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(name, text, "this is not UTF-8.") from None


def shown(value: object) -> str:
    """Return a value as code would write it; of a long one, both ends."""
    try:
        text = repr(value)
    except Exception:  # such as Python's own limit for integers of thousands of digits
        return f"<{type(value).__name__} that can't be shown>"
    return text if len(text) <= 300 else f"{text[:150]} ... {text[-100:]}"


def reason(error: Exception) -> str:
    """Return what an exception says, in one line of a sensible length."""
    text = getattr(error, "strerror", None) or str(error)  # an OSError's, without its number
    return " ".join(text.split())[:300] or type(error).__name__
