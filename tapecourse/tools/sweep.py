"""Runs a notebook over a grid: ``tapecourse sweep NOTEBOOK -p NAME VALUE,VALUE --out FOLDER``.

papermill executes each run, in a worker process of dask.distributed: on this machine, or on any
cluster whose workers see the same files. `tapecourse.tools.folder` says what it leaves where.
"""

import itertools
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import cast

import dask.config
from dask.system import CPU_COUNT
from distributed import Client, Future, KilledWorker, LocalCluster, as_completed
from filelock import FileLock, Timeout
from tqdm import tqdm

from tapecourse.support.errors import ClearError, InputError
from tapecourse.support.parameters import make_folder
from tapecourse.tools.run import Refused, RunFailed, run_notebook, stderr_into
from tapecourse.tools.folder import (
    UNFINISHED,
    check_same_sweep,
    check_whole,
    clear_write_errors,
    describe,
    keep,
    read_records,
    remove_failed,
    write_summary,
    write_whole,
)
from tapecourse.tools.grid import Run, make_runs, type_grid
from tapecourse.tools.interrupts import interrupts
from tapecourse.tools.worker import attempt, first_line

__all__ = ["sweep"]

REPORT = "09_compare_runs.ipynb"
THREADS = (
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
)
TRIES = 3  # of a run whose worker dies
ANSWER = 10  # seconds in which a scheduler must answer, and have a worker


def killed(folder: Path, run: Run, problem: str) -> dict:
    """Return the record of a run that ended without one, with the folder of its last attempt."""
    attempts = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime)
    record = {"parameters": run.parameters, "metrics": {}, "seconds": None}
    last = attempts[-1] if attempts else folder
    return record | {"status": "failed", "error": problem, "folder": str(last)}


def result_of(future: Future, folder: Path, run: Run) -> dict:
    """Return what `attempt` returned, or a record that says why it never did."""
    try:
        return future.result()
    except KilledWorker as error:
        return killed(folder, run, f"its worker process died {error.allowed_failures + 1} times")
    except (OSError, CancelledError):
        raise
    except Exception as error:  # such as a worker that can't import tapecourse
        return killed(folder, run, first_line(f"{type(error).__name__}: {error}"))
    finally:
        future.release()  # or dask would repeat the run if this worker dies later


# --- all runs


def run_all(client: Client, notebook: Path, runs: list[Run], out: Path) -> Iterator:
    """Run on the workers, as many at once as there are; yield each run with its record.

    No more are handed out than can start at once: dask blames a worker's death on all runs that
    it holds.
    """
    waiting, completed, running = iter(runs), as_completed(), {}

    def hand_out() -> None:
        workers = cast(dict[str, int], client.nthreads())  # threads of each, by address
        free = len(workers) - completed.count()
        for run in itertools.islice(waiting, max(free, 0 if completed.count() else 1)):
            folder = out / UNFINISHED / run.name
            with clear_write_errors(out):
                folder.mkdir(exist_ok=True)  # a run that an earlier sweep left behind may make it
            arguments = (str(notebook), str(folder), run.parameters, os.getcwd())
            future = client.submit(attempt, *arguments, pure=False)
            running[future.key] = folder, run
            completed.add(future)

    hand_out()
    for future in completed:
        folder, run = running.pop(future.key)
        yield run, result_of(future, folder, run)
        hand_out()


@contextmanager
def local_client(workers: int, runs: int) -> Iterator[Client]:
    """Start worker processes of one thread each, whose kernels share out the cores.

    An interrupt while dask's processes start or end would muddle them: it waits.
    """
    threads = max(1, CPU_COUNT // workers)  # not by `runs`: a rest must equal the whole in this
    environment = {name: os.environ.get(name, str(threads)) for name in THREADS}
    settings = dask.config.set({"distributed.scheduler.allowed-failures": TRIES - 1})
    with settings, interrupts(allowed=False):
        cluster = LocalCluster(
            n_workers=min(workers, runs),
            threads_per_worker=1,
            memory_limit=0,  # a run's memory is its kernel's
            dashboard_address="127.0.0.1:8787",
            env=environment,
        )
        with cluster, Client(cluster) as client, interrupts(allowed=True):
            yield client


@contextmanager
def remote_client(address: str, out: Path) -> Iterator[Client]:
    """Connect to a scheduler, and make sure that its workers can do what they are asked to."""
    try:
        client = Client(address, timeout=ANSWER)
    except Exception as error:  # dask raises many kinds, by what is wrong
        problem = f"no scheduler answers ({first_line(str(error))})."
        raise InputError("--scheduler", address, problem) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=ANSWER)
        except TimeoutError:
            problem = f"it has no worker. Start some: dask worker {address} --nthreads 1"
            raise InputError("--scheduler", address, problem) from None
        problems = cast(dict[str, str], client.run(worker_problem_in(out)))
        for worker, problem in problems.items():
            if problem:
                raise InputError("--scheduler", address, f"its worker {worker} {problem}")
        yield client


def worker_problem_in(out: Path) -> Callable[[], str]:
    """Return a function that says what a worker lacks to work in `out`.

    It is an inner one because dask sends those whole: a worker without this package can run it.
    """
    marker = str(out / "sweep.json")

    def problem() -> str:
        try:
            import tapecourse.tools.worker  # noqa: F401
        except ImportError as error:
            return f"lacks this version of the course ({error})."
        return (
            "" if os.path.exists(marker) else f"doesn't see {marker}: a shared folder is needed."
        )

    return problem


def do_runs(
    connect: AbstractContextManager[Client],
    notebook: Path,
    runs: list[Run],
    records: dict[str, dict],
    out: Path,
) -> None:
    """Do the runs that are not done; put what comes of them into the folder and `records`."""
    to_do = not_done(runs, records)
    settings = {"total": len(runs), "initial": len(runs) - len(to_do), "desc": "runs"}
    with open(out / "sweep.log", "ab") as log, stderr_into(log) as terminal, connect as client:
        if "dashboard" in client.scheduler_info()["services"]:
            print(f"Dashboard: {client.dashboard_link}", flush=True)
        with tqdm(**settings, unit="run", file=terminal, postfix={"failed": 0}) as bar:
            failed = 0
            try:
                for run, record in run_all(client, notebook, to_do, out):
                    with clear_write_errors(out):
                        record = keep(out, run, Path(record.pop("folder")), record)
                        records[run.name] = record
                        write_summary(out, runs, records)
                    if record["status"] == "failed":
                        failed += 1
                        bar.write(f"failed: {run.name}: {record['error']}", file=terminal)
                    bar.set_postfix(failed=failed, refresh=False)
                    bar.update()
            except (OSError, CancelledError) as error:
                problem = "The connection to dask's scheduler is lost."
                raise ClearError(f"{problem} To continue, run the same command again.") from error


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
            run_notebook(str(report), str(executed.parent), {"sweep_dir": str(out)})
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
    workers: int | None = None,
    scheduler: str | None = None,
    dry_run: bool = False,
) -> bool:
    """Do the runs of a grid that the folder `out` doesn't hold yet; return whether all are done.

    Raises
    ------
    InputError
        Something given is wrong; nothing has been started.
    ClearError
        The folder can't be written any more, or the scheduler is gone.
    """
    if workers is not None and workers < 1:
        raise InputError("--workers", workers, "an integer is needed, 1 or more.")
    folder = find_folder(out)
    for name, path in [("notebook", notebook), ("--out", str(folder))]:
        if "{" in path or "}" in path:
            raise InputError(name, path, "no '{' or '}' is allowed: papermill would fill it in.")
    grid = type_grid(grid, notebook)
    _, runs = plan(notebook, grid, folder)  # before anything is written there
    if dry_run:
        print_runs(runs, read_records(folder))
        return True
    make_folder("--out", out)
    try:
        with FileLock(folder / "sweep.lock", timeout=0):
            return locked_sweep(notebook, grid, folder, workers or CPU_COUNT, scheduler)
    except Timeout:
        raise InputError("--out", out, "another sweep is writing to this folder.") from None


def find_folder(out: str) -> Path:
    """Return the whole path of a folder that need not exist."""
    if not out:
        raise InputError("--out", out, "a folder is needed.")
    try:
        folder = Path(out).resolve()
        folder.exists()
    except (OSError, RuntimeError) as error:  # too long, or links in a circle
        raise InputError("--out", out, f"this is no path of a folder ({error}).") from None
    return folder


def plan(notebook: str, grid: dict[str, list], out: Path) -> tuple[dict, list[Run]]:
    """Return what goes into `sweep.json`, and the runs; refuse a folder with no place for them."""
    description = describe(notebook, grid)
    order = description["parameters"] = check_same_sweep(out, description)
    runs = make_runs({name: grid[name] for name in order})
    check_whole(out, runs)
    return description, runs


def locked_sweep(
    notebook: str, grid: dict[str, list], out: Path, workers: int, scheduler: str | None
) -> bool:
    """Do the runs, as the only sweep in `out`."""
    description, runs = plan(notebook, grid, out)
    described = json.dumps(description, indent=2) + "\n"
    known = out / "sweep.json"
    if known.exists() and known.read_bytes() != described.encode():
        shutil.rmtree(out / "failed", ignore_errors=True)  # of another grid or notebook
    records = read_records(out)
    copy = out / UNFINISHED / Path(notebook).name  # the notebook may be edited meanwhile
    with clear_write_errors(out):
        shutil.rmtree(out / UNFINISHED, ignore_errors=True)
        for name in [name for name, record in records.items() if record["status"] == "done"]:
            remove_failed(out, name)
        copy.parent.mkdir(exist_ok=True)
        shutil.copyfile(notebook, copy)
        write_whole(out / "sweep.json", described)
        write_summary(out, runs, records)
    try:
        if to_do := not_done(runs, records):
            connect = (
                local_client(workers, len(to_do))
                if scheduler is None
                else remote_client(scheduler, out)
            )
            do_runs(connect, copy, runs, records, out)
        if any(record["status"] == "done" for record in records.values()):
            write_report(notebook, out)
    finally:
        shutil.rmtree(out / UNFINISHED, ignore_errors=True)
        if records:
            print_result(out, runs, records)
    return not not_done(runs, records)


def print_runs(runs: list[Run], records: dict[str, dict]) -> None:
    """Print what a sweep would do."""
    states = [records.get(run.name, {"status": "missing"})["status"] for run in runs]
    for run, state in zip(runs, states):
        print(f"{state:8}{run.name}")
    print(f"{len(runs)} runs, {states.count('done')} of them done already. Nothing was started.")


def print_result(out: Path, runs: list[Run], records: dict[str, dict]) -> None:
    """Print how many runs are done, and where everything is."""
    states = [records.get(run.name, {"status": "missing"})["status"] for run in runs]
    counts = ", ".join(f"{states.count(state)} {state}" for state in ("done", "failed", "missing"))
    print(f"{len(runs)} runs: {counts}.")
    if set(states) != {"done"}:
        print("To do what is missing, run the same command again.")
    places = [out / "summary.csv", out / "report.ipynb", out / "failed"]
    print("Look at:", *(f"{place}" for place in places if place.exists()), sep="\n  ")
