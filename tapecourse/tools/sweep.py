"""Runs a notebook over a grid: ``tapecourse sweep NOTEBOOK -p NAME VALUE,VALUE --out FOLDER``.

papermill executes each run, in a worker process of dask.distributed: on this machine, or on any
cluster whose workers see the same files. `tapecourse.tools.folder` says what it leaves where.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, cast

from dask.system import CPU_COUNT
from distributed import Client, Future, KilledWorker
from filelock import FileLock, Timeout
from tqdm import tqdm

from tapecourse.support.errors import ClearError, InputError, printable
from tapecourse.support.parameters import make_folder
from tapecourse.tools.attempt import first_line, without_record
from tapecourse.tools.cluster import (
    WorkerUnfit,
    attempt_on_worker,
    first_done,
    local_client,
    remote_client,
)
from tapecourse.tools.execute import Refused, RunFailed, end_processes, execute, stderr_into
from tapecourse.tools.folder import (
    UNFINISHED,
    as_text,
    check_same_sweep,
    check_whole,
    clear_stale,
    clear_write_errors,
    find_folder,
    keep,
    read_records,
    remove_failed,
    write_summary,
    write_whole,
)
from tapecourse.tools.grid import Run, make_runs, type_grid
from tapecourse.tools.interrupts import GO_ON
from tapecourse.tools.origin import origin_of

__all__ = ["sweep"]

REPORT = "09_compare_runs.ipynb"


def result_of(future: Future, folder: Path, run: Run) -> dict:
    """Return what `attempt` returned, or a record that says why it never did."""
    try:
        return future.result()
    except KilledWorker as error:
        problem = f"its worker process died {error.allowed_failures + 1} times"
        return without_record(folder, run.parameters, problem)
    except (OSError, CancelledError, WorkerUnfit):
        raise
    except Exception as error:  # such as one that can't be sent
        problem = first_line(f"{type(error).__name__}: {error}")
        return without_record(folder, run.parameters, problem)
    finally:
        future.release()  # or dask would repeat the run if this worker dies later


def run_all(
    client: Client, notebook: Path, runs: list[Run], out: Path, **settings: Any
) -> Iterator[tuple[Run, dict]]:
    """Run on the workers, as many at once as there are; yield each run with its record.

    No more are handed out than can start at once: dask blames a worker's death on all runs that
    it holds.
    """
    waiting, running = list(reversed(runs)), {}
    while waiting or running:
        free = max(1, len(cast(dict[str, int], client.nthreads()))) - len(running)
        for run in [waiting.pop() for _ in range(min(free, len(waiting)))]:
            folder = out / UNFINISHED / run.name
            with clear_write_errors(out):
                folder.mkdir(exist_ok=True)  # a run that an earlier sweep left behind may make it
            arguments = (str(notebook), str(folder), run.parameters)
            future = client.submit(attempt_on_worker, *arguments, **settings, pure=False)
            running[future] = folder, run
        for future in first_done(client, list(running)):
            folder, run = running.pop(future)
            try:
                yield run, result_of(future, folder, run)
            except WorkerUnfit as error:
                if len(cast(dict[str, int], client.nthreads())) < 2:
                    yield run, without_record(folder, run.parameters, error.problem)
                else:  # the others may be able to do what this one can't
                    tqdm.write(f"Refused: worker {error.address} {error.problem}")
                    client.retire_workers([error.address])
                    waiting.append(run)


def do_runs(
    connect: AbstractContextManager[Client],
    notebook: Path,
    runs: list[Run],
    records: dict[str, dict],
    out: Path,
    **settings: Any,
) -> None:
    """Do the runs that are not done; put what comes of them into the folder and `records`."""
    to_do = not_done(runs, records)
    counts = {"total": len(runs), "initial": len(runs) - len(to_do), "desc": "runs"}
    with open(out / "sweep.log", "ab") as log, stderr_into(log) as terminal, connect as client:
        if "dashboard" in client.scheduler_info()["services"]:
            print(f"Dashboard: {client.dashboard_link}", flush=True)
        with tqdm(**counts, unit="run", file=terminal, postfix={"failed": 0}) as bar:
            failed = 0
            try:
                for run, record in run_all(client, notebook, to_do, out, **settings):
                    with clear_write_errors(out):
                        record.pop("refused", None)
                        record = keep(out, run.name, Path(record.pop("folder")), record)
                        records[run.name] = record
                        write_summary(out, runs, records)
                    if record["status"] == "failed":
                        failed += 1
                        bar.write(
                            f"failed: {run.name}: {printable(record['error'])}", file=terminal
                        )
                    bar.set_postfix(failed=failed, refresh=False)
                    bar.update()
            except (OSError, CancelledError) as error:
                problem = "The connection to dask's scheduler is lost."
                raise ClearError(f"{problem} {GO_ON}") from error


def not_done(runs: list[Run], records: dict[str, dict]) -> list[Run]:
    return [run for run in runs if records.get(run.name, {}).get("status") != "done"]


def write_report(notebook: str, out: Path) -> None:
    """Run the report notebook beside the swept one, if there is one, into report.ipynb.

    A report that fails is told, and no more: the runs are what they are. It fails where they have
    none of the numbers that it compares by default.
    """
    report, executed = Path(notebook).with_name(REPORT), out / UNFINISHED / REPORT
    if not report.is_file():
        return
    print("Writing the report. The bar counts its cells.", flush=True)
    with clear_write_errors(out):
        try:
            execute(report, executed, {"sweep_dir": str(out)}, threads=1, show_progress=True)
        except (RunFailed, Refused) as error:
            print(f"The report failed: {first_line(str(error))}", file=sys.stderr)
        if executed.exists():
            os.replace(executed, out / "report.ipynb")


# --- the command


def sweep(
    notebook: str,
    grid: dict[str, list],
    out: str,
    *,
    threads: int = 1,
    timeout: float | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    dry_run: bool = False,
    repeat: bool = False,
) -> bool:
    """Do the runs of a grid that the folder `out` doesn't hold yet; return whether all are done.

    Parameters
    ----------
    notebook : str
    grid : dict
        The values of each parameter.
    out : str
        The folder.
    threads : int
        How many threads TensorFlow may use in each run.
    timeout : float, optional
        Seconds after which a run is ended.
    workers : int, optional
        How many runs go on at once; by default as many as there are cores for their threads.
    scheduler : str, optional
        The address of a running dask scheduler.
    dry_run : bool
        Only print the runs.
    repeat : bool
        Repeat the runs of the folder, if they are of something else.

    Raises
    ------
    InputError
        Something given is wrong; nothing has been started.
    ClearError
        The folder can't be written any more, or the scheduler is gone.
    """
    workers = max(1, CPU_COUNT // threads) if workers is None else workers
    if workers < 1:
        raise InputError("--workers", workers, "an integer of 1 or more is needed.")
    folder = find_folder(out)
    grid = type_grid(grid, notebook)
    plan = make_plan(notebook, grid, folder, threads, repeat)  # before anything is written there
    if dry_run:
        print_runs(plan[1], read_records(folder))
        return True
    make_folder("--out", out)
    try:
        with FileLock(folder / "sweep.lock", timeout=0):
            plan = make_plan(notebook, grid, folder, threads, repeat)
            settings = {"cwd": os.getcwd(), "threads": threads, "timeout": timeout}
            return locked_sweep(notebook, *plan, folder, workers, scheduler, settings)
    except Timeout:
        raise InputError("--out", out, "another sweep is writing to this folder.") from None


def make_plan(
    notebook: str, grid: dict[str, list], out: Path, threads: int, repeat: bool
) -> tuple[dict, list[Run]]:
    """Return what goes into `sweep.json`, and the runs; refuse a folder with no place for them."""
    origin = origin_of(notebook, grid, threads)
    description = check_same_sweep(out, origin | {"parameters": list(grid)}, repeat)
    runs = make_runs({name: grid[name] for name in description["parameters"]})
    check_whole(out, runs)
    return description, runs


def locked_sweep(
    notebook: str,
    description: dict,
    runs: list[Run],
    out: Path,
    workers: int,
    scheduler: str | None,
    settings: dict,
) -> bool:
    """Do the runs, as the only sweep in `out`."""
    copy = out / UNFINISHED / Path(notebook).name  # the notebook may be edited meanwhile
    clear_unfinished(out)
    with clear_write_errors(out):
        copy.parent.mkdir(exist_ok=True)
        clear_stale(out, description)
        records = read_records(out)
        for name in [name for name, record in records.items() if record["status"] == "done"]:
            remove_failed(out, name)
        shutil.copyfile(notebook, copy)
        write_whole(out / "sweep.json", as_text(description))
        write_summary(out, runs, records)
    try:
        if to_do := not_done(runs, records):
            connect = (
                local_client(min(workers, len(to_do)))
                if scheduler is None
                else remote_client(scheduler, out)
            )
            do_runs(connect, copy, runs, records, out, **settings)
        if any(record["status"] == "done" for record in records.values()):
            write_report(notebook, out)
    finally:
        clear_unfinished(out)
        if records:
            print_result(out, runs, records)
    return not not_done(runs, records)


def clear_unfinished(out: Path) -> None:
    """Remove what was begun; and end it, where a killed or interrupted sweep left it running."""
    end_processes(out / UNFINISHED)
    shutil.rmtree(out / UNFINISHED, ignore_errors=True)


def print_runs(runs: list[Run], records: dict[str, dict]) -> None:
    """Print what a sweep would do."""
    states = [records.get(run.name, {"status": "missing"})["status"] for run in runs]
    for run, state in zip(runs, states):
        print(f"{state:8}{run.name}")
    print(f"Runs: {len(runs)}, {states.count('done')} of them done already. Nothing was started.")


def print_result(out: Path, runs: list[Run], records: dict[str, dict]) -> None:
    """Print how many runs are done, and where everything is."""
    states = [records.get(run.name, {"status": "missing"})["status"] for run in runs]
    counts = ", ".join(f"{states.count(state)} {state}" for state in ("done", "failed", "missing"))
    print(f"Runs: {counts}.")
    if set(states) != {"done"}:
        print("To do what is missing, run the same command again.")
    places = [out / "summary.csv", out / "report.ipynb", out / "failed"]
    print("Look at:", *(f"{place}" for place in places if place.exists()), sep="\n  ")
