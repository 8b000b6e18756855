"""The grid of a sweep: which runs it has, and the name of each.

A run's name is that of its folder, so that it depends on nothing but the run's own parameters.
"""

import hashlib
import itertools
import re
from pathlib import Path
from typing import NamedTuple

import yaml

from tapecourse.support.errors import InputError
from tapecourse.tools.parameters import Value, is_unicode, known_parameters, typed_value

__all__ = ["ENDS", "Run", "make_runs", "read_grid", "type_grid"]

PLAIN = re.compile(r"[a-z0-9_+-]([a-z0-9_.+-]{0,38}[a-z0-9_])?")
ENDS = "seconds", "status", "error"  # of a row of summary.csv: run, parameters, metrics, these


class Run(NamedTuple):
    """A point of the grid, and the name of its folder."""

    name: str
    parameters: dict[str, Value]


def read_grid(given: list[tuple[str, str]], path: str | None = None) -> dict[str, list]:
    """Read the grid from pairs of a NAME and ``VALUE,VALUE``, and from a YAML file.

    Raises
    ------
    InputError
        Values or the file are not of that form, a name comes twice, or there is none at all.
    """
    grid = read_grid_file(path) if path else {}
    for name, values in given:
        if not is_unicode(name + values):
            raise InputError("-p", f"{name} {values}", "this is no UTF-8.")
        if name in grid:
            raise InputError("-p", name, "this parameter is given twice.")
        grid[name] = [value.strip() for value in values.split(",")]
        if "" in grid[name]:
            raise InputError("-p", f"{name} {values}", "a value is missing: VALUE,VALUE,...")
    if not grid:
        raise InputError("-p", "", "at least one parameter is needed: -p NAME VALUE,VALUE,...")
    return grid


def read_grid_file(path: str) -> dict[str, list]:
    """Read ``name: [value, value]`` from a YAML file."""
    try:
        text = Path(path).read_text(encoding="utf-8")
        grid, node = yaml.safe_load(text), yaml.compose(text)
    except OSError as error:
        raise InputError("--grid-file", path, f"it can't be read ({error.strerror}).") from None
    except (ValueError, yaml.YAMLError) as error:
        problem = " ".join(str(error).split())
        raise InputError("--grid-file", path, f"this is no YAML: {problem}.") from None
    if not isinstance(grid, dict) or not all(isinstance(value, list) for value in grid.values()):
        raise InputError("--grid-file", path, "lines 'NAME: [VALUE, VALUE]' are needed.")
    if len(node.value) > len(grid):  # YAML itself would keep the last
        raise InputError("--grid-file", path, "a parameter is given twice.")
    return grid


def type_grid(grid: dict[str, list], notebook: str) -> dict[str, list[Value]]:
    """Give the values the types that the notebook's parameters cell declares.

    Raises
    ------
    InputError
        The notebook or a parameter doesn't exist or can't be swept, or a value is of the wrong
        type or comes twice.
    """
    known = known_parameters(notebook)
    typed = {}
    for name, values in grid.items():
        if name in ("run", *ENDS):
            raise InputError("parameter", name, "summary.csv has a column of this name already.")
        typed[name] = [typed_value(name, as_text(name, value, known), known) for value in values]
        if not values:
            raise InputError(name, values, "at least one value is needed.")
        if len({file_name(value) for value in typed[name]}) < len(values):
            raise InputError(name, typed[name], "a value comes twice.")
    return typed


def as_text(name: str, value: object, known: dict[str, dict]) -> str:
    """Return a value from YAML as it would stand on the command line."""
    declared = known.get(name, {}).get("inferred_type_name")
    if isinstance(value, str):
        return value
    if declared == "str":
        raise InputError(name, value, "str is needed: put it in quotes.")
    return str(value)


def make_runs(grid: dict[str, list[Value]]) -> list[Run]:
    """Return all combinations; the last parameter changes fastest."""
    points = [dict(zip(grid, values)) for values in itertools.product(*grid.values())]
    return [Run(run_name(point), point) for point in points]


def run_name(parameters: dict[str, Value]) -> str:
    """Return a run's name, such as ``learning_rate=0.001,seed=0``, that any file system takes."""
    name = ",".join(f"{key}={file_name(value)}" for key, value in parameters.items())
    return name if len(name.encode()) <= 200 else f"{name[:60]}...{short_hash(name)}"


def file_name(value: Value) -> str:
    """Return the value as text; one with odd or capital letters is replaced, and stays unique."""
    text = str(value)
    if PLAIN.fullmatch(text):
        return text
    return f"{re.sub('[^a-z0-9_.-]', '_', text.lower())[-30:]}-{short_hash(text)}"


def short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:10]
