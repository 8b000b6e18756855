"""The folder of a sweep: what it holds, and how it is written.

::

    summary.csv    a row a run: its folder, parameters, metrics, seconds, status, error
    NAME/          a finished run: the executed notebook, what it wrote to run_dir, and run.json
    failed/NAME/   the last attempt at a run that failed, in the same form
    report.ipynb   the report, where the notebook has one beside it
    sweep.json     whose runs these are
    sweep.log      what dask had to say

Two rules keep the runs whole. Every attempt has a new folder below ``.unfinished``, and becomes
``NAME`` by being renamed when it is complete. And only the process that holds ``sweep.lock``
renames: what a killed sweep left running can't touch a later one's runs.
"""

import csv
import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat

from tapecourse.support.errors import ClearError, InputError
from tapecourse.tools.grid import ENDS, Run
from tapecourse.tools.run import flatten

__all__ = [
    "UNFINISHED",
    "check_same_sweep",
    "check_whole",
    "clear_write_errors",
    "describe",
    "keep",
    "read_json",
    "read_records",
    "remove_failed",
    "write_summary",
    "write_whole",
]

UNFINISHED = ".unfinished"


@contextmanager
def clear_write_errors(out: Path) -> Iterator[None]:
    """Say in one line that the sweep's own files can't be written: the disk is full, perhaps."""
    try:
        yield
    except OSError as error:
        problem = f"{out} can't be written ({error.strerror or error})."
        raise ClearError(f"{problem} What is finished is kept.") from error


def write_whole(path: Path, text: str) -> None:
    """Write a file of the sweep so that it is there with all of the text, or as it was."""
    part = path.parent / UNFINISHED / path.name
    part.write_text(text, encoding="utf-8", newline="")
    os.replace(part, path)


def describe(notebook: str, grid: dict) -> dict:
    """Return what all runs of a folder must have in common."""
    cells = nbformat.read(notebook, as_version=4).cells
    code = json.dumps([cell.source for cell in cells if cell.cell_type == "code"])
    digest = hashlib.sha256(code.encode()).hexdigest()
    return {"notebook": Path(notebook).name, "code_sha256": digest, "parameters": list(grid)}


def check_same_sweep(out: Path, ours: dict) -> list[str]:
    """Refuse a folder that holds other things; return the parameters in the folder's order.

    A folder without a finished run may become any sweep's.
    """
    if out.exists() and not out.is_dir():
        raise InputError("--out", str(out), "this folder can't be written: it is a file.")
    if not (out / "sweep.json").exists():
        own = {"sweep.json", "sweep.lock", "sweep.log", UNFINISHED}
        if out.is_dir() and any(path.name not in own for path in out.iterdir()):
            raise InputError("--out", str(out), "this folder holds other files, and no sweep.")
        return ours["parameters"]
    if not any(out.glob("*/run.json")):
        return ours["parameters"]
    try:
        form = {"notebook": str, "code_sha256": str, "parameters": list}
        theirs = read_json(out / "sweep.json", form)
    except ValueError as error:
        problem = f"its sweep.json is broken ({error}): another folder is needed."
        raise InputError("--out", str(out), problem) from None
    problem = None
    if ours["notebook"] != theirs["notebook"]:
        problem = f"its runs are of {theirs['notebook']}"
    elif ours["code_sha256"] != theirs["code_sha256"]:
        problem = f"its runs are of another version of {ours['notebook']}"
    elif set(ours["parameters"]) != set(theirs["parameters"]):
        problem = f"the grid of its runs is over {', '.join(theirs['parameters'])}"
    if problem:
        raise InputError("--out", str(out), f"{problem}: another folder is needed.")
    return theirs["parameters"]


def read_json(path: Path, form: dict[str, type]) -> dict:
    """Read a mapping that has these keys, with values of these types.

    Raises
    ------
    ValueError
        The file is no JSON, or not of that form.
    """
    found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise ValueError("a mapping is needed")
    for key, kind in form.items():
        if not isinstance(found.get(key), kind):
            raise ValueError(f"{key!r} is needed, a {kind.__name__}")
    return found


def read_records(out: Path) -> dict[str, dict]:
    """Read each run's `run.json`, by name; a finished run hides a failed attempt at it."""
    records = {}
    form = {"parameters": dict, "metrics": dict, "status": str, "error": str}
    for path in [*out.glob("failed/*/run.json"), *out.glob("*/run.json")]:  # in this order
        try:
            records[path.parent.name] = {"seconds": None} | read_json(path, form)
        except ValueError:
            raise ClearError(f"{path} is broken. Delete {path.parent} to run it again.") from None
    return records


def check_whole(out: Path, runs: list[Run]) -> None:
    """Refuse a folder in which a run's place is taken by something that is no run."""
    for run in runs:
        place = out / run.name
        if place.exists() and not (place / "run.json").exists():
            raise ClearError(f"{place} holds no run.json. Delete it to run it again.")


def write_summary(out: Path, runs: list[Run], records: dict[str, dict]) -> None:
    """Write summary.csv: the runs of the grid in order, then others that the folder holds."""
    missing = {"metrics": {}, "seconds": None, "status": "missing", "error": ""}
    ours = {
        run.name: {"parameters": run.parameters} | records.get(run.name, missing) for run in runs
    }
    rest = {name: records[name] for name in sorted(records.keys() - ours.keys())}
    rows = []
    for name, record in (ours | rest).items():
        parameters = {"run": name} | record["parameters"]
        ends = {key: record[key] for key in ENDS}
        taken = parameters | ends
        metrics = {
            f"metrics.{key}" if key in taken else key: value
            for key, value in flatten(record["metrics"]).items()
        }
        rows.append((parameters, metrics, ends))
    columns = [column for part in zip(*rows) for cells in part for column in cells]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(columns)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(parameters | metrics | ends for parameters, metrics, ends in rows)
    readable = text.getvalue().encode("utf-8", "backslashreplace").decode()  # no lone surrogates
    write_whole(out / "summary.csv", readable)


def keep(out: Path, run: Run, folder: Path, record: dict) -> dict:
    """Keep an attempt, and return its record; one whose own folder is unusable has failed."""
    try:
        move(out, run, folder, record)
        return record
    except OSError as error:
        problem = f"its folder can't be kept: {error.strerror} ({Path(str(error.filename)).name})"
        failed = record | {"metrics": {}, "status": "failed", "error": problem}
        move(out, run, folder.with_name("unusable"), failed)  # a full disk ends the sweep here
        return failed


def move(out: Path, run: Run, folder: Path, record: dict) -> None:
    """Rename an attempt's folder to what it becomes: the run, or the failed run."""
    text = json.dumps(record, indent=2) + "\n"
    folder.mkdir(parents=True, exist_ok=True)  # where the run itself removed it
    (folder / "run.json").write_text(text, encoding="utf-8")
    failed = out / "failed" / run.name
    if record["status"] == "failed":
        shutil.rmtree(failed, ignore_errors=True)
        failed.parent.mkdir(exist_ok=True)
        os.rename(folder, failed)
    else:
        os.rename(folder, out / run.name)
        remove_failed(out, run.name)


def remove_failed(out: Path, name: str) -> None:
    """Remove the failed attempt at a run that is finished now."""
    shutil.rmtree(out / "failed" / name, ignore_errors=True)
    if (out / "failed").is_dir() and not any((out / "failed").iterdir()):
        (out / "failed").rmdir()
