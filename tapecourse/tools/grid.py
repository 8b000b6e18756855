"""The grid of a sweep: which runs it has, and the name of each.

A run's name is that of its folder, so that it depends on nothing but the run's own parameters.
"""

import hashlib
import itertools
import math
import re
from collections.abc import Iterator
from typing import NamedTuple

import yaml

from tapecourse.support.errors import InputError, reason
from tapecourse.support.files import read_file
from tapecourse.tools.parameters import Value, known_parameters, typed_value

__all__ = ["ENDS", "Run", "make_runs", "read_grid", "type_grid"]

PLAIN = re.compile(r"[a-z0-9_+-]([a-z0-9_.+-]{0,38}[a-z0-9_])?")
ENDS = "seconds", "status", "error"  # of a row of summary.csv: run, parameters, metrics, these
MOST_BYTES = 100_000  # of a grid file, which PyYAML takes a second to read
MOST_RUNS = 10_000  # of a sweep, whose folder holds one for each


class Run(NamedTuple):
    """A point of the grid, and the name of its folder."""

    name: str
    parameters: dict[str, Value]


def read_grid(given: list[tuple[str, str]], path: str | None = None) -> dict[str, list[str]]:
    """Read the grid from pairs of a NAME and ``VALUE,VALUE``, and from a YAML file.

    Raises
    ------
    InputError
        Values or the file are not of that form, a name comes twice, or there is none at all.
    """
    grid = read_grid_file(path) if path else {}
    for name, values in given:
        if name in grid:
            raise InputError("-p", name, "this parameter is given twice.")
        grid[name] = [value.strip() for value in values.split(",")]
        if "" in grid[name]:
            raise InputError("-p", f"{name} {values}", "a value is missing: VALUE,VALUE,...")
    if not grid:
        raise InputError("-p", "", "at least one parameter is needed: -p NAME VALUE,VALUE,...")
    return grid


def read_grid_file(path: str) -> dict[str, list[str]]:
    """Read ``NAME: [VALUE, VALUE]`` from a YAML file."""
    try:
        return parse_grid(path, read_file("--grid-file", path, MOST_BYTES))
    except InputError:
        raise
    except Exception as error:  # PyYAML lets errors of Python's own through
        raise InputError("--grid-file", path, f"this is not YAML: {reason(error)}.") from None


def parse_grid(path: str, content: bytes) -> dict[str, list[str]]:
    """Take YAML for texts, which mean what they do on the command line: 010 is ten, yes a word.

    Its events come one by one, so that what is no grid ends it, however deep or large that is.
    """
    events = yaml.parse(content, Loader=yaml.BaseLoader)

    def expect(*kinds: type[yaml.Event]) -> yaml.Event:
        event = next(events)
        marked = getattr(event, "anchor", None) or getattr(event, "tag", None)
        if marked or not isinstance(event, kinds):
            line = event.start_mark.line + 1
            problem = f"lines 'NAME: [VALUE, VALUE]' are needed; line {line} is none."
            raise InputError("--grid-file", path, problem)
        return event

    def texts(end: type[yaml.Event]) -> Iterator[str]:
        while isinstance(event := expect(yaml.ScalarEvent, end), yaml.ScalarEvent):
            yield event.value

    grid = {}
    for kind in (yaml.StreamStartEvent, yaml.DocumentStartEvent, yaml.MappingStartEvent):
        expect(kind)
    for name in texts(yaml.MappingEndEvent):
        if name in grid:
            raise InputError("--grid-file", path, f"a parameter is given twice: {name}.")
        expect(yaml.SequenceStartEvent)
        grid[name] = list(texts(yaml.SequenceEndEvent))
    for kind in (yaml.DocumentEndEvent, yaml.StreamEndEvent):
        expect(kind)
    return grid


def type_grid(grid: dict[str, list[str]], notebook: str) -> dict[str, list[Value]]:
    """Give the values the types that the notebook's parameters cell declares.

    Raises
    ------
    InputError
        The notebook or a parameter doesn't exist or can't be swept, or a value is of the wrong
        type or comes twice, or there are too many runs.
    """
    known = known_parameters(notebook)
    typed = {}
    for name, values in grid.items():
        if name in ("run", *ENDS):
            raise InputError("parameter", name, "summary.csv has a column of this name already.")
        typed[name] = [typed_value(name, value, known) for value in values]
        if not values:
            raise InputError(name, values, "at least one value is needed.")
        if len({file_name(value) for value in typed[name]}) < len(values):
            raise InputError(name, typed[name], "a value comes twice.")
    count = math.prod(map(len, typed.values()))
    if count > MOST_RUNS:
        raise InputError("runs", count, f"at most {MOST_RUNS:,} are allowed. Give fewer values.")
    return typed


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
