"""Executes a notebook with papermill, in a kernel that leaves nothing behind."""

import hashlib
import io
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import nbformat
import papermill
import psutil
from papermill.exceptions import PapermillExecutionError
from tqdm.auto import tqdm

from tapecourse.support.errors import ClearError, InputError, printable
from tapecourse.tools.parameters import Value

__all__ = ["KernelDied", "Refused", "RunFailed", "end_processes", "execute", "stderr_into"]

MARKS = "TAPECOURSE_RUN"  # in the environment of all processes of a run: see marks_of
THREADS = (
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
)


class RunFailed(ClearError):
    """A cell of the notebook raised an error, or the run didn't reach its last cell."""


class KernelDied(RunFailed):
    """The kernel was killed, or crashed, or never started.

    A kernel binds its ports a second after they are chosen; another process can take one first,
    and the kernel dies or hangs. That is worth another try, as a lack of memory is.
    """


class Refused(InputError):
    """The notebook itself refused a parameter."""

    def __init__(self, message: str):
        ClearError.__init__(self, message)


def execute(
    notebook: Path,
    executed: Path,
    parameters: dict[str, Value],
    *,
    threads: int,
    timeout: float | None = None,
    cwd: str | None = None,
    show_progress: bool = False,
) -> nbformat.NotebookNode:
    """Execute a notebook into the file `executed`, whose folder is this execution's own.

    Its kernel starts in `cwd`, by default the caller's folder. Not for threads of one process:
    stderr, the environment and the working directory are changed meanwhile.

    Parameters
    ----------
    notebook, executed : Path
    parameters : dict
    threads : int
        How many threads TensorFlow may use, and NumPy unless the notebook loads `tapecourse`.
    timeout : float, optional
        Seconds after which the run is ended.
    cwd : str, optional
    show_progress : bool
        Whether to show papermill's bar and the notebook's epoch lines.

    Raises
    ------
    Refused
        The notebook's own check refused a parameter.
    RunFailed
        Another error; what is in `executed` shows where.
    KernelDied
        The kernel died, for no reason that the run itself gave.
    """
    folder = executed.parent
    with kernel_log() as log, environment(folder, threads), time_limit(folder, timeout) as overdue:
        try:
            return papermill.execute_notebook(
                papermills_path(notebook),
                papermills_path(executed),
                parameters,
                kernel_name="python3",
                language="python",
                cwd=cwd,
                progress_bar=show_progress,
                stdout_file=EpochLines() if show_progress else None,
                on_cell_executed=check_goes_on,
            )
        except (PapermillExecutionError, RuntimeError) as error:
            if overdue.is_set():
                raise RunFailed(f"it took longer than --timeout {timeout:g}, in seconds") from None
            if isinstance(error, RuntimeError):  # of nbclient: its kernel died, or never answered
                raise KernelDied(f"{error}: {last_words(log, folder)}") from None
            if error.ename == "InputError":  # of the notebook's check of its parameters
                raise Refused(error.evalue) from None
            raise RunFailed(f"{error.ename}: {error.evalue.strip()}") from None


def papermills_path(path: Path) -> str:
    """Double the braces of a path, which papermill would fill in."""
    return str(path).replace("{", "{{").replace("}", "}}")


def check_goes_on(cell_index: int, execute_reply: dict[str, Any], **_: object) -> None:
    """Refuse a run that leaves Python before its end, which papermill may call done."""
    reply = execute_reply["content"]
    asked = any(each["source"] == "ask_exit" for each in reply.get("payload", []))
    if asked or reply.get("ename") == "SystemExit":
        how = "exit()" if asked else f"SystemExit({reply['evalue']})"
        raise RunFailed(f"cell {cell_index + 1} ended the run: {how}")


def marks_of(folder: Path) -> str:
    """Return a word for a folder and for each one above it."""
    folder = folder.absolute()
    paths = map(os.fsencode, [folder, *folder.parents])
    return " ".join(hashlib.sha256(path).hexdigest()[:16] for path in paths)


@contextmanager
def environment(folder: Path, threads: int) -> Iterator[None]:
    """Set the number of threads; mark the run's processes, and end those that outlive it."""
    outer = os.environ.get(MARKS, "")  # of a run that runs a notebook itself
    ours = dict.fromkeys(THREADS, str(threads)) | {MARKS: f"{marks_of(folder)} {outer}"}
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
        end_processes(folder)


def end_processes(folder: Path) -> None:
    """Kill what executions in this folder, or below it, have started and not ended."""
    mark = marks_of(folder).split()[0]
    for process in psutil.process_iter(["environ"]):
        if mark in (process.info["environ"] or {}).get(MARKS, "").split():
            for each in [*children_of(process), process]:
                with suppress(psutil.Error):  # it has just ended
                    each.kill()


def children_of(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:  # it has just ended
        return []


@contextmanager
def time_limit(folder: Path, seconds: float | None) -> Iterator[threading.Event]:
    """End an execution's processes after some seconds; yield an event that tells of it."""
    overdue, over = threading.Event(), threading.Event()

    def watch(pause: float) -> None:
        while not over.wait(pause):
            overdue.set()
            end_processes(folder)
            pause = 0.5  # and again: the kernel may only have been about to start

    if seconds is not None:
        pause = min(seconds, threading.TIMEOUT_MAX)
        threading.Thread(target=watch, args=[pause], daemon=True).start()
    try:
        yield overdue
    finally:
        over.set()


class EpochLines(io.TextIOBase):
    """Shows a notebook's epoch lines in the terminal, above papermill's bar."""

    def write(self, text: str) -> int:
        for line in text.splitlines():
            if re.match(r"epoch \d+/\d+:|resuming at step ", line):
                tqdm.write(printable(line))
        return len(text)


@contextmanager
def stderr_into(log: BinaryIO) -> Iterator[TextIO]:
    """Send stderr into a file, that of processes started meanwhile too; yield the terminal."""
    with os.fdopen(os.dup(2), "w", buffering=1, errors="backslashreplace") as terminal:
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


def last_words(log: BinaryIO, folder: Path) -> str:
    """Return the line of a dead kernel's log that tells most, and keep all of it in the folder."""
    log.seek(0)
    lines = log.read().decode(errors="replace").splitlines()
    lines = [line for line in lines if line.strip() and "[IPKernelApp]" not in line]
    if not lines:
        return "it wrote no message. Did code crash outside Python, or did memory run out?"
    with suppress(OSError):  # of a run that removed its folder
        (folder / "kernel.log").write_text("\n".join(lines) + "\n", encoding="utf-8")
    fatal = [line for line in lines if line.startswith("Fatal Python error")]
    return (fatal or lines)[-1]
