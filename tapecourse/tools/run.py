"""Runs a notebook once: ``tapecourse run NOTEBOOK -p NAME VALUE --out FOLDER``.

papermill alone only warns of a parameter that the notebook doesn't have, and shows a failure as a
long traceback. Here both are one clear message. `make train` is this.
"""

import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from tapecourse.support.errors import InputError, printable
from tapecourse.support.parameters import make_folder
from tapecourse.tools.attempt import CHECKPOINT, attempt, without_record
from tapecourse.tools.execute import Refused, RunFailed, end_processes
from tapecourse.tools.folder import (
    UNFINISHED,
    as_text,
    clear_earlier,
    clear_write_errors,
    find_folder,
    flatten,
    keep,
    read_json,
)
from tapecourse.tools.interrupts import interrupts
from tapecourse.tools.origin import origin_of
from tapecourse.tools.parameters import Value, typed_parameters

__all__ = ["run"]


def run(
    notebook: str,
    given: list[tuple[str, str]],
    out: str | None = None,
    *,
    threads: int = 1,
    timeout: float | None = None,
) -> bool:
    """Run a notebook once, print its metrics, and return True.

    Parameters
    ----------
    notebook : str
        Path of the notebook.
    given : pairs of a parameter's name and its value as text
    out : str, optional
        Folder for the executed notebook and all that it writes; by default runs/ and its name. An
        earlier run there stays as it is until this one is whole.
    threads : int
        How many threads TensorFlow may use.
    timeout : float, optional
        Seconds after which the run is ended.

    Raises
    ------
    InputError
        Something given is wrong; the notebook's own checks say so too.
    RunFailed
        A cell raised another error, or the kernel died.
    """
    parameters = typed_parameters(notebook, given)
    out = out or str(Path("runs", Path(notebook).stem))
    place = find_folder(out)
    check_place(place, Path(notebook).resolve())
    work = place.parent / UNFINISHED / place.name
    make_folder("--out", str(work))
    try:
        with FileLock(work.with_name(f"{place.name}.lock"), timeout=0):
            print(f"Running {notebook}. The bar counts its cells.", flush=True)
            record = locked_run(notebook, place, work, parameters, threads, timeout)
    except Timeout:
        raise InputError("--out", str(place), "another run is writing to this folder.") from None
    print_result(Path(out), record)
    return True


def check_place(place: Path, notebook: Path) -> None:
    """Refuse a folder whose files a run would mix with its own."""
    own = {UNFINISHED, "failed"} & {place.name, place.parent.name}
    if own:
        raise InputError("--out", str(place), f"a folder {min(own)} is where runs go themselves.")
    if place.is_file():
        raise InputError("--out", str(place), "this folder can't be written: it is a file.")
    if (place / notebook.name) == notebook:
        raise InputError("--out", str(place), "another folder than the notebook's own is needed.")
    if (place.parent / "sweep.json").exists():
        raise InputError("--out", str(place), "this is in the folder of a sweep. Name another.")
    if place.exists() and any(place.iterdir()) and not (place / "run.json").exists():
        problem = "this folder holds other files, and no run. Name another, or empty it."
        raise InputError("--out", str(place), problem)


def locked_run(
    notebook: str,
    place: Path,
    work: Path,
    parameters: dict[str, Value],
    threads: int,
    timeout: float | None,
) -> dict:
    """Do a run as the only one for its place, and return its record."""
    end_processes(work)  # what a killed run left
    clear_earlier(work / "earlier", place)
    grid = {name: [value] for name, value in parameters.items()}
    origin = {"origin": origin_of(notebook, grid, threads)}
    begun = work.with_name(f"{place.name}.begun")
    clear_unless_same(work, begun, failed_place(place), {"parameters": parameters} | origin)
    try:
        settings = {"cwd": os.getcwd(), "threads": threads, "timeout": timeout}
        record = attempt(notebook, str(work), parameters, **settings, show_progress=True)
        if record.pop("refused"):
            raise Refused(record["error"])
        record = keep_whole(place, record | origin)
    except KeyboardInterrupt:
        if not (work / "earlier").exists() and any(work.iterdir()):
            keep_whole(place, without_record(work, parameters, "interrupted") | origin)
            print(f"What was recorded is in {failed_place(place)}.", file=sys.stderr)
        raise
    finally:
        clear_earlier(work / "earlier", place)
        shutil.rmtree(work, ignore_errors=True)
        begun.unlink(missing_ok=True)
    if record["status"] == "failed":
        problem = f"{record['error']}\nThe notebook up to there is in {failed_place(place)}"
        raise RunFailed(problem)
    return record


def clear_unless_same(work: Path, begun: Path, failed: Path, ours: dict) -> None:
    """Clear what earlier attempts left, but for those at the very same run: it goes on from them.

    A killed one left its folder in `work`, and what it was in `begun`; one that failed or was
    interrupted is in `failed`.
    """
    text = as_text(ours)
    if not (begun.is_file() and begun.read_text(encoding="utf-8") == text):
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(exist_ok=True)
        begun.write_text(text, encoding="utf-8")
    with suppress(OSError, ValueError):  # there is none, or it is broken
        record = read_json((failed / "run.json").read_text(encoding="utf-8"), {"origin": dict})
        same = {name: record.get(name) for name in ours} == ours
        if same and (failed / CHECKPOINT).exists():
            os.rename(failed, work / "failed")


def keep_whole(place: Path, record: dict) -> dict:
    """Keep an attempt; an interrupt waits meanwhile."""
    with interrupts(allowed=False), clear_write_errors(place):
        return keep(place.parent, place.name, Path(record.pop("folder")), record)


def failed_place(place: Path) -> Path:
    return place.parent / "failed" / place.name


def print_result(place: Path, record: dict) -> None:
    """Print a run's metrics, and where everything is."""
    for name, value in flatten(record["metrics"]).items():
        text = f"{value:.4g}" if isinstance(value, float) else str(value)
        print(printable(f"{name}: {text}"))
    print("Look at:", *(printable(str(path)) for path in sorted(place.iterdir())), sep="\n  ")
