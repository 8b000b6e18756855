"""What several tests use: notebooks made up, commands in processes, cells in this process."""

import contextlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import MagicMock

import nbformat
import psutil
from conftest import ROOT
from hypothesis import settings
from IPython.core.inputtransformer2 import TransformerManager

from tapecourse.tools.command import main
from tapecourse.tools.execute import RunFailed, marks_of

TRAINING_RUN = ROOT / "notebooks" / "B_training_run.ipynb"
THOROUGH = settings.get_current_profile_name() == "thorough"  # see conftest.py


def examples(quick: int, thorough: int) -> settings:
    """Set how many examples Hypothesis tries."""
    return settings(max_examples=thorough if THOROUGH else quick)


def make_notebook(
    path: Path,
    *sources: str,
    parameters: str = "size: int = 1  # a size",
    results: int | None = None,
) -> Path:
    """Write a notebook of a parameters cell and these cells; tag one, by its number, `results`."""
    tagged = nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
    cells = [tagged, *map(nbformat.v4.new_code_cell, sources)]
    if results is not None:
        cells[1 + results].metadata["tags"] = ["results"]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), path)
    return path


def waits(condition: str = "True") -> str:
    """Return code that waits for the file `go` if a condition holds."""
    return f"while {condition} and not (here / 'go').exists():\n    time.sleep(0.05)"


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "tapecourse", *map(str, arguments)]


def run(*arguments: object, **options: object) -> subprocess.CompletedProcess:
    """Run `tapecourse` in a process of its own."""
    return subprocess.run(command(*arguments), capture_output=True, text=True, **options)


def run_here(notebook: Path | str, *options: object) -> int:
    """Run a notebook in this process; return the exit status."""
    return main(["run", str(notebook), *map(str, options)])


def execute_here(
    notebook: Path, executed: Path, parameters: dict, **_: object
) -> nbformat.NotebookNode:
    """Stand in for `execute`, without the kernel that takes a second.

    Cells print and leave files; magics do nothing.
    """
    made = nbformat.read(notebook, as_version=4)
    names = {"get_ipython": MagicMock()}
    try:
        for cell in made.cells:
            if cell.cell_type == "code":
                with contextlib.redirect_stdout(io.StringIO()) as said:
                    exec(TransformerManager().transform_cell(cell.source), names)
                cell.outputs = [nbformat.v4.new_output("stream", text=said.getvalue())]
                if "parameters" in cell.metadata.get("tags", []):
                    names.update(parameters)
    except Exception as error:
        raise RunFailed(f"{type(error).__name__}: {error}") from None
    finally:
        nbformat.write(made, executed)
    return made


def start(*arguments: object, path: Path = ROOT) -> subprocess.Popen:
    """Start `tapecourse`; its processes look for modules in `path` first."""
    return subprocess.Popen(
        command(*arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": f"{path}{os.pathsep}{ROOT}"},
        start_new_session=True,  # a group of its own, as from a terminal
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell may ignore it
    )


def wait_for(condition: Callable[[], object], process: subprocess.Popen | None = None) -> None:
    """Wait for an event that comes on a machine of any speed, unless a process ends before."""
    deadline = time.monotonic() + 600  # only so that what never comes is told at all
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.05)


def alive(pid: int | str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def having(word: str) -> list[int]:
    """Return the processes on whose command line a word is; or those of runs below a folder."""
    mark = marks_of(Path(word)).split()[0] if os.sep in word else word
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "environ", "status"]):
        words = [*(process.info["cmdline"] or []), *(process.info["environ"] or {}).values()]
        if process.info["status"] != "zombie" and any(mark in each for each in words):
            found.append(process.info["pid"])
    return found


def end_of(process: subprocess.Popen) -> tuple[str, str]:
    """Wait for a process to end; return what it wrote to stdout and stderr."""
    return process.communicate(timeout=600)
