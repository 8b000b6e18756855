"""Runs a notebook with papermill: ``python -m tapecourse.run NOTEBOOK FOLDER -p NAME VALUE ...``.

papermill alone only warns of a parameter that the notebook doesn't have, and shows a failure as a
long traceback. Here both are one clear message. `make train` is this.
"""

import argparse
import io
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

from tapecourse.checks import ClearError, InputError, check_folder

__all__ = [
    "RunFailed",
    "known_parameters",
    "main",
    "read_results",
    "run_notebook",
    "stderr_into",
    "typed_parameters",
    "typed_value",
]

Value = str | int | float
TYPES = {"str": str, "int": int, "float": float}

# A kernel binds its ports a second after they are chosen; another process can take one meanwhile.
# Nothing has run then, so that a new kernel may simply be tried.
try_three_kernels = Retrying(
    retry=retry_if_exception_message(message="Kernel died before replying to kernel_info"),
    stop=stop_after_attempt(3),
    reraise=True,
)


class RunFailed(ClearError):
    """A cell of the notebook raised an error, or its kernel died or never started."""


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
    try:
        return TYPES[declared](value)
    except ValueError:
        raise InputError(name, value, f"{declared} is needed: {known[name]['help']}.") from None


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
        return "it left no word. Did code crash outside Python, or did memory run out?"
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
    RunFailed
        A cell raised an error, or the kernel died; the executed copy shows where.
    """
    check_folder("folder", folder)
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
            problem = f"{error.ename}: {error.evalue.strip()}"
        except RuntimeError as error:  # of nbclient: its kernel died, or never answered
            problem = f"{error}: {last_words(log, folder)}"
    raise RunFailed(f"{problem}\nThe notebook up to there: {executed}")


def read_results(executed: nbformat.NotebookNode) -> dict | None:
    """Return what the cell tagged `results` emitted as JSON, or None without such a cell."""
    for cell in executed.cells:
        if "results" in cell.metadata.get("tags", []):
            return cell.outputs[0].data["application/json"]
    return None


def main(arguments: list[str] | None = None) -> int:
    """Run a notebook from the command line; return 0, or 1 after one clear message."""
    parser = argparse.ArgumentParser(prog="tapecourse.run", description="Run a notebook.")
    parser.add_argument("notebook", help="path of the notebook")
    parser.add_argument("folder", help="folder for the executed notebook and all that it writes")
    parser.add_argument(
        "-p",
        dest="given",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        help="set a parameter of the notebook",
    )
    options = parser.parse_args(arguments)
    try:
        parameters = typed_parameters(options.notebook, options.given)
        print(f"Running {options.notebook}. The bar counts its cells.")
        executed = run_notebook(options.notebook, options.folder, parameters)
    except ClearError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\nInterrupted. What was recorded is in {options.folder}.", file=sys.stderr)
        return 1
    results = read_results(executed)
    if results:
        print(f"Test accuracy: {results['metrics']['test_accuracy']:.2%}")
    print("Look at:", *sorted(map(str, Path(options.folder).iterdir())), sep="\n  ")
    return 0


if __name__ == "__main__":
    sys.exit(main())
