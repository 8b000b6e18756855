"""Runs a notebook with papermill: ``tapecourse run NOTEBOOK -p NAME VALUE --out FOLDER``.

papermill alone only warns of a parameter that the notebook doesn't have, and shows a failure as a
long traceback. Here both are one clear message. `make train` is this.
"""

import io
import math
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO

import nbformat
import papermill
from papermill.exceptions import PapermillExecutionError
from tenacity import Retrying, retry_if_exception_message, stop_after_attempt
from tqdm.auto import tqdm

from tapecourse.support.errors import ClearError, InputError
from tapecourse.support.parameters import make_folder

__all__ = [
    "Refused",
    "RunFailed",
    "flatten",
    "known_parameters",
    "refuse_braces",
    "read_results",
    "run",
    "run_notebook",
    "stderr_into",
    "typed_parameters",
    "typed_value",
]

Value = str | int | float
TYPES = {"str": str, "int": int, "float": float}
NUMBER = re.compile(r"[-+.0-9eE]+")

# A kernel binds its ports a second after they are chosen; another process can take one meanwhile.
# By which it is, the kernel dies or hangs. Nothing has run then, so that a new one may be tried.
try_three_kernels = Retrying(
    retry=retry_if_exception_message(match="Kernel (died before replying|didn't respond in)"),
    stop=stop_after_attempt(3),
    reraise=True,
)


class RunFailed(ClearError):
    """A cell of the notebook raised an error, or its kernel died or never started."""


class Refused(InputError):
    """The notebook itself refused a parameter."""

    def __init__(self, message: str):
        ClearError.__init__(self, message)


def refuse_braces(name: str, path: str) -> None:
    """Refuse a path that papermill would fill something into.

    Raises
    ------
    InputError
        There is a brace in it.
    """
    if "{" in path or "}" in path:
        raise InputError(name, path, "no '{' or '}' is allowed: papermill would fill it in.")


def known_parameters(notebook: str) -> dict[str, dict]:
    """Return what papermill knows of each parameter that can be set: its type, default and help.

    Raises
    ------
    InputError
        There is no such notebook, or it can't be read.
    """
    if not Path(notebook).is_file():
        raise InputError("notebook", notebook, f"there is no such file (looked in {Path.cwd()}).")
    try:
        known = papermill.inspect_notebook(notebook)
    except Exception:  # nbformat raises many kinds, by what is wrong
        raise InputError("notebook", notebook, "this is no Jupyter notebook.") from None
    known.pop("run_dir", None)  # the run's folder, set by run_notebook
    return known


def typed_value(name: str, value: str, known: dict[str, dict]) -> Value:
    """Give a value the type that the notebook's parameters cell declares for its name.

    Raises
    ------
    InputError
        There is no such parameter in `known`, or the value can't be read as its type.
    """
    if name not in known:
        allowed = f"one of {', '.join(known)} is needed."
        raise InputError("parameter", name, allowed if known else "the notebook has none.")
    declared = known[name]["inferred_type_name"]
    if declared not in TYPES:
        problem = f"only parameters declared as {', '.join(TYPES)} can be set."
        raise InputError(name, value, problem)
    if not is_unicode(value):
        raise InputError(name, value, "this is no UTF-8.")
    try:
        return value if declared == "str" else as_number(TYPES[declared], value)
    except ValueError:
        raise InputError(name, value, f"{declared} is needed: {known[name]['help']}.") from None


def is_unicode(text: str) -> bool:
    """Tell whether a text can be written to a file: the command line lets other bytes through."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


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


class EpochLines(io.TextIOBase):
    """Shows a notebook's epoch lines in the terminal, above papermill's bar."""

    def write(self, text: str) -> int:
        for line in text.splitlines():
            if re.match(r"epoch \d+/\d+:", line):
                tqdm.write(line)
        return len(text)


@contextmanager
def stderr_into(log: BinaryIO) -> Iterator[TextIO]:
    """Send stderr into a file, that of processes started meanwhile too; yield the terminal."""
    with os.fdopen(os.dup(2), "w", buffering=1) as terminal:
        os.dup2(log.fileno(), 2)
        try:
            yield terminal
        finally:
            os.dup2(terminal.fileno(), 2)


@contextmanager
def kernel_log() -> Iterator[BinaryIO]:
    """Keep what the kernel's process writes to stderr off the terminal, in a file of its own."""
    ours = sys.stderr
    with tempfile.TemporaryFile() as log, stderr_into(log) as terminal:
        sys.stderr = terminal  # where papermill draws its bar
        try:
            yield log
        finally:
            sys.stderr = ours


def last_words(log: BinaryIO, folder: str) -> str:
    """Return the line of a dead kernel's log that tells most, and keep all of it in the folder."""
    log.seek(0)
    lines = log.read().decode(errors="replace").splitlines()
    lines = [line for line in lines if line.strip() and "[IPKernelApp]" not in line]
    if not lines:
        return "it wrote no message. Did code crash outside Python, or did memory run out?"
    Path(folder, "kernel.log").write_text("\n".join(lines) + "\n", encoding="utf-8")
    fatal = [line for line in lines if line.startswith("Fatal Python error")]
    return (fatal or lines)[-1]


def run_notebook(
    notebook: str,
    folder: str,
    parameters: dict[str, Value],
    *,
    cwd: str | None = None,
    show_progress: bool = True,
) -> nbformat.NotebookNode:
    """Execute a notebook into `folder`, which is also its `run_dir`, where it has one.

    Its kernel starts in `cwd`, by default the caller's folder. Not for threads: stderr and the
    working directory are changed meanwhile, for the whole process.

    Raises
    ------
    InputError
        The folder can't be written, or holds the notebook itself.
    Refused
        The notebook's own check refused a parameter.
    RunFailed
        A cell raised another error, or the kernel died; the executed copy shows where.
    """
    make_folder("folder", folder)
    executed = Path(folder, Path(notebook).name)
    if executed.resolve() == Path(notebook).resolve():
        raise InputError("folder", folder, "another folder than the notebook's own is needed.")
    if "run_dir" in papermill.inspect_notebook(notebook):
        parameters = parameters | {"run_dir": folder}
    with kernel_log() as log:
        try:
            return try_three_kernels(
                papermill.execute_notebook,
                notebook,
                executed,
                parameters,
                kernel_name="python3",
                cwd=cwd,
                progress_bar=show_progress,
                stdout_file=EpochLines() if show_progress else None,
            )
        except PapermillExecutionError as error:
            if error.ename == "InputError":  # of the notebook's check of its parameters
                raise Refused(error.evalue) from None
            problem = f"{error.ename}: {error.evalue.strip()}"
        except RuntimeError as error:  # of nbclient: its kernel died, or never answered
            problem = f"{error}: {last_words(log, folder)}"
    raise RunFailed(f"{problem}\nThe notebook up to there: {executed}")


def read_results(executed: nbformat.NotebookNode) -> dict:
    """Return what the cell tagged `results` emitted as JSON; nothing without such a cell."""
    for cell in executed.cells:
        if "results" in cell.metadata.get("tags", []):
            for output in cell.get("outputs", []):
                found = output.get("data", {}).get("application/json")
                if isinstance(found, dict):
                    return found
    return {}


def flatten(metrics: dict, prefix: str = "") -> dict:
    """Return nested metrics as one mapping: ``{"a": {"b": 1}}`` becomes ``{"a.b": 1}``."""
    flat = {}
    for key, value in metrics.items():
        inner = isinstance(value, dict)
        flat |= flatten(value, f"{prefix}{key}.") if inner else {f"{prefix}{key}": value}
    return flat


def print_metrics(results: dict) -> None:
    """Print the numbers below ``metrics``, where the notebook has them."""
    metrics = results.get("metrics")
    for name, value in flatten(metrics if isinstance(metrics, dict) else {}).items():
        print(f"{name}: {value:.4g}" if isinstance(value, float) else f"{name}: {value}")


def run(notebook: str, given: list[tuple[str, str]], folder: str | None = None) -> bool:
    """Run a notebook once, print its metrics, and return True.

    Parameters
    ----------
    notebook : str
        Path of the notebook.
    given : pairs of a parameter's name and its value as text
    folder : str, optional
        For the executed notebook and all that it writes; by default runs/ and its name.

    Raises
    ------
    InputError
        Something given is wrong; the notebook's own checks say so too.
    RunFailed
        A cell raised another error, or the kernel died.
    """
    folder = folder or str(Path("runs", Path(notebook).stem))
    refuse_braces("notebook", notebook)
    refuse_braces("--out", folder)
    parameters = typed_parameters(notebook, given)
    print(f"Running {notebook}. The bar counts its cells.", flush=True)
    try:
        executed = run_notebook(notebook, folder, parameters)
    except KeyboardInterrupt:
        print(f"\nWhat was recorded is in {folder}.", file=sys.stderr)
        raise
    print_metrics(read_results(executed))
    print("Look at:", *sorted(map(str, Path(folder).iterdir())), sep="\n  ")
    return True
