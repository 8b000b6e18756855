"""One attempt at a run: what a single run does, and each worker of a sweep."""

import os
import shutil
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import nbformat

from tapecourse.support.errors import ClearError, printable
from tapecourse.tools.execute import KernelDied, Refused, execute
from tapecourse.tools.folder import read_json
from tapecourse.tools.parameters import RUN_DIR, Value, known_parameters

__all__ = ["CHECKPOINT", "TRIES", "attempt", "first_line", "without_record"]

ONE_AT_A_TIME = threading.Lock()  # in a worker with several threads; see execute
TRIES = 3  # of a run whose kernel or worker dies
CHECKPOINT, HISTORY = "checkpoint.npz", "history.csv"  # with which a later attempt goes on


def attempt(notebook: str, folder: str, parameters: dict[str, Value], **settings: Any) -> dict:
    """Run the notebook once, in a new folder below `folder`; again where its kernel is killed.

    Whatever goes wrong is the run's error; only an interrupt is raised.

    Parameters
    ----------
    notebook, folder : str
    parameters : dict
    settings
        Of `execute`: cwd, threads, timeout, show_progress.

    Returns
    -------
    dict
        The record, which goes into ``run.json``; the attempt's ``folder``; and whether the
        notebook ``refused`` a parameter.
    """
    with ONE_AT_A_TIME:
        begun = time.perf_counter()
        record: dict[str, Any] = {"kernel_died": True}
        tries = 0
        while record["kernel_died"] and tries < TRIES:
            made = Path(folder, uuid.uuid4().hex)  # the attempt of a killed worker has its own
            record, tries = one_try(notebook, made, parameters, settings), tries + 1
        if record.pop("kernel_died"):
            record["error"] += f" (tried {tries} times)"
        return record | {"seconds": round(time.perf_counter() - begun, 3)}


def one_try(notebook: str, made: Path, parameters: dict[str, Value], settings: dict) -> dict:
    """Run the notebook in the new folder `made`; return the record of this try."""
    known = known_parameters(notebook)
    inputs = parameters | ({RUN_DIR: str(made)} if RUN_DIR in known else {})
    metrics, problem = {}, None
    try:
        made.mkdir()
        take_over(made)
        executed = execute(Path(notebook), made / Path(notebook).name, inputs, **settings)
        metrics = read_metrics(made, executed)
    except Exception as error:
        problem = error
    return {
        "parameters": parameters,
        "metrics": metrics,
        "threads": settings["threads"],
        "status": "failed" if problem else "done",
        "error": in_a_line(problem),
        "folder": str(made),
        "refused": isinstance(problem, Refused),
        "kernel_died": isinstance(problem, KernelDied),
    }


def take_over(made: Path) -> None:
    """Copy the newest checkpoint that an attempt at the same run left: this one goes on from it.

    The history, if there is one, only grows, and is copied after it: that attempt may be a lost
    worker's, and still run. The checkpoint gets its name last: this one may be killed, too.
    """
    found = sorted(made.parent.glob(f"*/{CHECKPOINT}"), key=lambda path: path.stat().st_mtime)
    if found:
        part = shutil.copy2(found[-1], made / "part")
        if (history := found[-1].with_name(HISTORY)).is_file():
            shutil.copy2(history, made / HISTORY)
        os.replace(part, made / CHECKPOINT)


def in_a_line(problem: Exception | None) -> str:
    """Say what went wrong; of a ClearError the message says all."""
    if problem is None:
        return ""
    name = "" if isinstance(problem, ClearError) else f"{type(problem).__name__}: "
    return first_line(f"{name}{problem}")


def without_record(folder: Path, parameters: dict[str, Value], problem: str) -> dict:
    """Return the record of a run that ended without one, with the folder of its last attempt."""
    attempts = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime)
    record = {"parameters": parameters, "metrics": {}, "seconds": None}
    last = attempts[-1] if attempts else folder / "none"
    return record | {"status": "failed", "error": problem, "folder": str(last)}


def read_metrics(folder: Path, executed: nbformat.NotebookNode) -> dict:
    """Read the ``metrics`` of metrics.json, or else of the cell tagged ``results``, if there.

    Raises
    ------
    ClearError
        metrics.json is no JSON, or not of that form.
    """
    path = folder / "metrics.json"
    if not path.exists():
        found = results_of(executed)
        metrics = found.get("metrics") if isinstance(found, dict) else None
        return metrics if isinstance(metrics, dict) else {}
    try:
        return read_json(path.read_text(encoding="utf-8"), {"metrics": dict})["metrics"]
    except (ValueError, OSError) as error:
        raise ClearError(f"metrics.json is broken: {error}") from None


def results_of(executed: nbformat.NotebookNode) -> object:
    """Return what the cell tagged ``results`` shows as JSON; None without such a cell."""
    for cell in executed.cells:
        if "results" in cell.metadata.get("tags", []):
            for output in cell.get("outputs", []):
                if "application/json" in output.get("data", {}):
                    return output.data["application/json"]
    return None


def first_line(text: str) -> str:
    """Return the first line of an error that says something, cut to what fits into a table."""
    lines = (line.strip() for line in text.splitlines())
    return printable(next(filter(None, lines), "no message")[:300])
