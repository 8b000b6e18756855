"""Parameters given as texts get the types that the notebook declares."""

import math
import re
from pathlib import Path

import nbformat
import papermill

from tapecourse.support.errors import InputError, require_utf8

__all__ = [
    "RUN_DIR",
    "Value",
    "known_parameters",
    "read_notebook",
    "typed_parameters",
    "typed_value",
]

Value = str | int | float
KERNEL = {"name": "python3", "language": "python", "display_name": "Python 3"}
RUN_DIR = "run_dir"  # is set by what runs the notebook
NUMBER = re.compile(r"[-+.0-9eE]+")
TYPES = {"str": str, "int": int, "float": float}


def known_parameters(notebook: str) -> dict[str, dict]:
    """Return what papermill knows of each parameter: its type, default and help.

    Raises
    ------
    InputError
        As `read_notebook`.
    """
    return papermill.inspect_notebook(read_notebook(notebook))


def read_notebook(notebook: str) -> nbformat.NotebookNode:
    """Read a notebook of Python, whatever kernel it names or doesn't.

    Raises
    ------
    InputError
        There is no such notebook, or it can't be read.
    """
    require_utf8("notebook", notebook)
    if not Path(notebook).is_file():
        raise InputError("notebook", notebook, f"there is no such file (looked in {Path.cwd()}).")
    if Path(notebook).suffix != ".ipynb":
        raise InputError("notebook", notebook, "a file whose name ends in .ipynb is needed.")
    try:
        found = nbformat.read(notebook, as_version=4)
        nbformat.validate(found)
    except Exception:  # nbformat raises many kinds, by what is wrong
        raise InputError("notebook", notebook, "this is not a Jupyter notebook.") from None
    found.metadata["kernelspec"] = KERNEL
    return found


def typed_value(name: str, value: str, known: dict[str, dict]) -> Value:
    """Give a value the type that the notebook's parameters cell declares for its name.

    Raises
    ------
    InputError
        There is no such parameter in `known`, or the value can't be read as its type.
    """
    free = [each for each in known if each != RUN_DIR]
    if name not in free:
        allowed = f"one of {', '.join(free)} is needed."
        raise InputError("parameter", name, allowed if free else "the notebook has none.")
    declared = known[name]["inferred_type_name"]
    if declared not in TYPES:
        problem = f"only parameters declared as {', '.join(TYPES)} can be set."
        raise InputError(name, value, problem)
    require_utf8(name, value)
    try:
        return value if declared == "str" else as_number(TYPES[declared], value)
    except ValueError:
        needed = "an integer is needed" if declared == "int" else "a number is needed"
        said = known[name]["help"]  # what the notebook says of it
        raise InputError(name, value, f"{needed}: {said}." if said else f"{needed}.") from None


def as_number(kind: type[int] | type[float], text: str) -> int | float:
    """Read a number as one writes it; by themselves, int and float also read 1_000, nan and １.

    Raises
    ------
    ValueError
        It is none of this kind, or larger than any float.
    """
    number = kind(text)
    if not NUMBER.fullmatch(text) or abs(number) == math.inf:
        raise ValueError(f"{text} is no finite number in plain digits")
    return number


def typed_parameters(notebook: str, given: list[tuple[str, str]]) -> dict[str, Value]:
    """Give each value its type, as `typed_value` does."""
    known = known_parameters(notebook)
    return {name: typed_value(name, value, known) for name, value in given}
