"""The folder of a sweep, or of single runs: what it holds, and how it is written.

::

    summary.csv    a row a run: its folder, parameters, metrics, seconds, status, error
    NAME/          a finished run: the executed notebook, what it wrote to run_dir, and run.json
    failed/NAME/   the last attempt at a run that failed, in the same form
    report.ipynb   the report, where the notebook has one beside it
    sweep.json     whose runs these are
    sweep.log      what dask had to say

Two rules keep the runs whole. Every attempt has a new folder below ``.unfinished``, and becomes
``NAME`` by being renamed when it is complete and on the disk. And only the process that holds the
lock renames: what a killed one left running can't touch a later one's runs. A sweep locks
``sweep.lock``; a single run ``.unfinished/NAME.lock``, and there are no summary and report.
"""

import csv
import io
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tapecourse.support.errors import ClearError, InputError, reason, require_utf8
from tapecourse.tools.grid import ENDS, Run
from tapecourse.tools.origin import difference

__all__ = [
    "UNFINISHED",
    "as_text",
    "check_same_sweep",
    "check_whole",
    "clear_earlier",
    "clear_stale",
    "clear_write_errors",
    "find_folder",
    "flatten",
    "keep",
    "read_json",
    "read_records",
    "remove_failed",
    "write_summary",
    "write_whole",
]

UNFINISHED = ".unfinished"
DESCRIPTION: dict[str, type] = {  # what sweep.json holds
    "notebook": str,
    "code": str,
    "modules": dict,
    "versions": dict,
    "data": dict,
    "threads": int,
    "parameters": list,
}


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
    sync(part)
    os.replace(part, path)


def check_same_sweep(out: Path, ours: dict, repeat: bool) -> dict:
    """Refuse a folder that holds other things; return what goes into `sweep.json`.

    That is `ours`, with the parameters in the folder's order. A folder without a finished run may
    become any sweep's, and with `repeat` so may one whose runs are of something else.
    """
    if out.exists() and not out.is_dir():
        raise InputError("--out", str(out), "this folder can't be written: it is a file.")
    if not (out / "sweep.json").exists():
        own = {"sweep.json", "sweep.lock", "sweep.log", UNFINISHED}
        others = out.is_dir() and any(path.name not in own for path in out.iterdir())
        if others or any(out.glob(f"{UNFINISHED}/*.lock")):  # a single run's
            problem = "this folder holds other files, and no sweep. Name another."
            raise InputError("--out", str(out), problem)
        return ours
    if not any(out.glob("*/run.json")):
        return ours
    try:
        theirs = read_json((out / "sweep.json").read_text(encoding="utf-8"), DESCRIPTION)
    except ValueError as error:
        problem = f"its sweep.json is broken ({error}): another folder is needed."
        raise InputError("--out", str(out), problem) from None
    if set(ours["parameters"]) != set(theirs["parameters"]):
        names = ", ".join(theirs["parameters"])
        problem = f"the grid of its runs is over {names}: another folder is needed."
        raise InputError("--out", str(out), problem)
    problem = difference(ours, theirs)
    if problem and not repeat:
        problem = f"its runs are {problem}. Name another folder, or repeat them with --repeat."
        raise InputError("--out", str(out), problem)
    data = ours["data"] if problem else theirs["data"] | ours["data"]
    return ours | {"parameters": theirs["parameters"], "data": data}


def clear_stale(out: Path, ours: dict) -> None:
    """Remove failed runs of another grid or notebook, and the runs that are to be repeated."""
    path = out / "sweep.json"
    if not path.exists() or path.read_text(encoding="utf-8") == as_text(ours):
        return
    shutil.rmtree(out / "failed", ignore_errors=True)
    finished = list(out.glob("*/run.json"))
    if finished and difference(ours, json.loads(path.read_text(encoding="utf-8"))):
        stale = out / UNFINISHED / "stale"
        for record in finished:
            os.rename(record.parent, stale)  # first, so that a kill leaves no half of a run
            shutil.rmtree(stale)


def as_text(description: dict) -> str:
    return json.dumps(description, indent=2) + "\n"


def read_json(text: str, form: dict[str, type]) -> dict:
    """Read a mapping that has these keys, with values of these types.

    Raises
    ------
    ValueError
        The text is no JSON, or not of that form.
    """
    found = json.loads(text)
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
            records[path.parent.name] = {"seconds": None} | read_json(
                path.read_text(encoding="utf-8"), form
            )
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


def flatten(metrics: dict, prefix: str = "") -> dict:
    """Return nested metrics as one mapping: ``{"a": {"b": 1}}`` becomes ``{"a.b": 1}``."""
    flat = {}
    for key, value in metrics.items():
        inner = isinstance(value, dict)
        flat |= flatten(value, f"{prefix}{key}.") if inner else {f"{prefix}{key}": value}
    return flat


def find_folder(out: str) -> Path:
    """Return the whole path of a folder that need not exist."""
    if not out:
        raise InputError("--out", out, "a folder is needed.")
    try:
        folder = Path(out).resolve()
        folder.exists()
    except (OSError, RuntimeError, ValueError) as error:  # too long, links in a circle, a zero
        raise InputError(
            "--out", out, f"this can't be a folder's path ({reason(error)})."
        ) from None
    require_utf8("--out", str(folder))
    return folder


def keep(out: Path, name: str, folder: Path, record: dict) -> dict:
    """Keep an attempt, and return its record; one whose own folder is unusable has failed."""
    try:
        move(out, name, folder, record)
        return record
    except OSError as error:
        problem = (
            f"its folder can't be kept: {error.strerror} ({Path(error.filename or name).name})"
        )
        failed = record | {"metrics": {}, "status": "failed", "error": problem}
        move(out, name, folder.with_name("unusable"), failed)  # a full disk ends the sweep here
        return failed


def move(out: Path, name: str, folder: Path, record: dict) -> None:
    """Rename an attempt's folder to what it becomes: the run, or the failed run."""
    folder.mkdir(parents=True, exist_ok=True)  # where the run itself removed it
    record["files"] = sorted({path.name for path in folder.iterdir()} | {"run.json"})
    text = json.dumps(record, indent=2) + "\n"
    (folder / "run.json").write_text(text, encoding="utf-8")
    sync(*folder.rglob("*"), folder)
    failed = out / "failed" / name
    if record["status"] == "failed":
        shutil.rmtree(failed, ignore_errors=True)
        failed.parent.mkdir(exist_ok=True)
        os.rename(folder, failed)
    else:
        put(folder, out / name)
        remove_failed(out, name)


def put(folder: Path, place: Path) -> None:
    """Put a run's folder in its place; what an earlier run left there goes, and nothing else."""
    earlier = folder.with_name("earlier")
    if place.exists():
        os.rename(place, earlier)
    os.rename(folder, place)
    sync(place.parent)
    clear_earlier(earlier, place)


def clear_earlier(earlier: Path, place: Path) -> None:
    """Finish what `put` began, also where it was killed."""
    if not earlier.exists():
        return
    if not place.exists():
        os.rename(earlier, place)
        return
    try:
        written = read_json((earlier / "run.json").read_text(encoding="utf-8"), {"files": list})
        known = written["files"]
    except (OSError, ValueError):
        known = []
    for path in earlier.iterdir():
        if path.name not in known and not (place / path.name).exists():
            os.rename(path, place / path.name)
    shutil.rmtree(earlier)


def sync(*paths: Path) -> None:
    """Wait until files and folders are on the disk: a rename must not come before its files.

    Windows flushes no folders, and no files that are open for reading only: there it's left out.
    """
    whole = [path for path in paths if not path.is_symlink() and (path.is_file() or path.is_dir())]
    for path in whole if os.name != "nt" else []:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove_failed(out: Path, name: str) -> None:
    """Remove the failed attempt at a run that is finished now."""
    shutil.rmtree(out / "failed" / name, ignore_errors=True)
    if (out / "failed").is_dir() and not any((out / "failed").iterdir()):
        (out / "failed").rmdir()
