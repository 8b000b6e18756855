"""Runs a notebook over a grid: ``tapecourse sweep NOTEBOOK --grid NAME=VALUE,VALUE --out FOLDER``.

papermill executes each run, in a worker process of dask.distributed: on this machine, or on any
cluster whose workers see the same files. The folder of a sweep holds::

    summary.csv    a row a run: parameters, metrics, seconds, status, error
    NAME/          a finished run: the executed notebook, what it wrote to run_dir, and run.json
    failed/NAME/   the last attempt at a run that failed, in the same form
    report.ipynb   the report, where the notebook has one beside it
    sweep.json     whose runs these are
    sweep.log      what dask had to say

Two rules keep the runs whole. Every attempt has a new folder below ``.unfinished``, and becomes
``NAME`` by being renamed when it is complete. And only the process that holds ``sweep.lock``
renames: what a killed sweep left running can't touch a later one's runs.
"""

import argparse
import csv
import hashlib
import io
import itertools
import json
import os
import re
import shutil
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import dask
import nbformat
import yaml
from dask.system import CPU_COUNT
from distributed import Client, Future, KilledWorker, LocalCluster, as_completed
from filelock import FileLock, Timeout
from tqdm import tqdm

from tapecourse.checks import ClearError, InputError, check_folder
from tapecourse.run import Value, known_parameters, run_notebook, stderr_into, typed_value

__all__ = ["Run", "attempt", "main", "make_runs", "read_grid", "sweep", "type_grid"]

REPORT = "09_compare_runs.ipynb"
UNFINISHED = ".unfinished"
THREADS = (
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
)
TRIES = 3  # of a run whose worker dies
ANSWER = 10  # seconds in which a scheduler must answer, and have a worker
PLAIN = re.compile(r"[a-z0-9_+-]([a-z0-9_.+-]{0,38}[a-z0-9_])?")
ONE_AT_A_TIME = threading.Lock()  # in a worker with several threads; see run_notebook


class Run(NamedTuple):
    """A point of the grid, and the name of its folder."""

    name: str
    parameters: dict[str, Value]


# --- the grid


def read_grid(given: list[str], path: str | None = None) -> dict[str, list]:
    """Read the grid from ``NAME=VALUE,VALUE`` texts and a YAML file; their names may not overlap.

    Raises
    ------
    InputError
        A text or the file is not of that form, a name comes twice, or there is none at all.
    """
    grid = read_grid_file(path) if path else {}
    for text in given:
        name, _, values = text.partition("=")
        if not name or not values:
            raise InputError("--grid", text, "NAME=VALUE,VALUE,... is needed.")
        if name in grid:
            raise InputError("--grid", name, "this parameter is given twice.")
        grid[name] = [value.strip() for value in values.split(",")]
        if "" in grid[name]:
            raise InputError("--grid", text, "there is nothing between two of the commas.")
    if not grid:
        raise InputError("--grid", "", "at least one parameter is needed: NAME=VALUE,VALUE,...")
    return grid


def read_grid_file(path: str) -> dict[str, list]:
    """Read ``name: [value, value]`` from a YAML file."""
    try:
        text = Path(path).read_text(encoding="utf-8")
        grid, node = yaml.safe_load(text), yaml.compose(text)
    except OSError as error:
        raise InputError("--grid-file", path, f"it can't be read ({error.strerror}).") from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        problem = " ".join(str(error).split())
        raise InputError("--grid-file", path, f"this is no YAML: {problem}.") from None
    if not isinstance(grid, dict) or not all(isinstance(value, list) for value in grid.values()):
        raise InputError("--grid-file", path, "lines 'NAME: [VALUE, VALUE]' are needed.")
    if len(node.value) > len(grid):  # YAML itself would keep the last
        raise InputError("--grid-file", path, "a parameter is given twice.")
    return grid


def type_grid(grid: dict[str, list], notebook: str) -> dict[str, list[Value]]:
    """Give the values the types that the notebook's parameters cell declares.

    Raises
    ------
    InputError
        The notebook or a parameter doesn't exist, or a value is of the wrong type or comes twice.
    """
    known = known_parameters(notebook)
    typed = {}
    for name, values in grid.items():
        typed[name] = [typed_value(name, as_text(name, value, known), known) for value in values]
        if not values:
            raise InputError(name, values, "at least one value is needed.")
        if len({file_name(value) for value in typed[name]}) < len(values):
            raise InputError(name, typed[name], "a value comes twice.")
    return typed


def as_text(name: str, value: object, known: dict[str, dict]) -> str:
    """Return a value from YAML as it would stand on the command line."""
    declared = known.get(name, {}).get("inferred_type_name")
    if isinstance(value, str):
        return value
    if declared == "str":
        raise InputError(name, value, "str is needed: put it in quotes.")
    return str(value)


def make_runs(grid: dict[str, list[Value]]) -> list[Run]:
    """Return all combinations; the last parameter changes fastest."""
    points = [dict(zip(grid, values)) for values in itertools.product(*grid.values())]
    return [Run(run_name(point), point) for point in points]


def run_name(parameters: dict[str, Value]) -> str:
    """Return a run's name, such as ``learning_rate=0.001,seed=0``, that any file system takes."""
    name = ",".join(f"{key}={file_name(value)}" for key, value in parameters.items())
    return name if len(name.encode()) <= 200 else f"{name[:60]}...{short_hash(name)}"


def file_name(value: Value) -> str:
    """Return the value as text; one with odd or capital letters is replaced, and stays unique."""
    text = str(value)
    if PLAIN.fullmatch(text):
        return text
    return f"{re.sub('[^a-z0-9_.-]', '_', text.lower())[-30:]}-{short_hash(text)}"


def short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:10]


# --- the folder


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
    """Refuse a folder that holds other things; return the parameters in the folder's order."""
    if not (out / "sweep.json").exists():
        own = {"sweep.json", "sweep.lock", "sweep.log", UNFINISHED}
        if out.is_dir() and any(path.name not in own for path in out.iterdir()):
            raise InputError("--out", str(out), "this folder holds other files, and no sweep.")
        return ours["parameters"]
    theirs = json.loads((out / "sweep.json").read_text(encoding="utf-8"))
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


def read_records(out: Path) -> dict[str, dict]:
    """Read the `run.json` of each run in the folder, by name; a finished one hides a failed one."""
    records = {}
    for path in [*out.glob("failed/*/run.json"), *out.glob("*/run.json")]:
        try:
            records[path.parent.name] = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            raise ClearError(f"{path} is broken. Delete {path.parent} to run it again.") from None
    return records


def write_summary(out: Path, runs: list[Run], records: dict[str, dict]) -> None:
    """Write summary.csv: the runs of the grid in order, then others that the folder holds."""
    missing = {"metrics": {}, "seconds": None, "status": "missing", "error": ""}
    ours = [{"parameters": run.parameters} | records.get(run.name, missing) for run in runs]
    names = {run.name for run in runs}
    rows = []
    for record in ours + [records[name] for name in sorted(records.keys() - names)]:
        ends = {key: record[key] for key in ("seconds", "status", "error")}
        taken = record["parameters"] | ends
        metrics = {
            f"metrics.{key}" if key in taken else key: value
            for key, value in flatten(record["metrics"]).items()
        }
        rows.append((record["parameters"], metrics, ends))
    columns = [column for part in zip(*rows) for cells in part for column in cells]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(columns)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(parameters | metrics | ends for parameters, metrics, ends in rows)
    write_whole(out / "summary.csv", text.getvalue())


def flatten(metrics: dict, prefix: str = "") -> dict:
    """Return nested metrics as one mapping: ``{"a": {"b": 1}}`` becomes ``{"a.b": 1}``."""
    flat = {}
    for key, value in metrics.items():
        inner = isinstance(value, dict)
        flat |= flatten(value, f"{prefix}{key}.") if inner else {f"{prefix}{key}": value}
    return flat


def keep(out: Path, run: Run, folder: Path, record: dict) -> None:
    """Rename an attempt's folder to what it becomes: the run, or the failed run."""
    text = json.dumps(record, indent=2) + "\n"
    (folder / "run.json").write_text(text, encoding="utf-8")
    failed = out / "failed" / run.name
    if record["status"] == "failed":
        shutil.rmtree(failed, ignore_errors=True)
        failed.parent.mkdir(exist_ok=True)
        os.rename(folder, failed)
    else:
        os.rename(folder, out / run.name)
        remove_failed(out, run)


def remove_failed(out: Path, run: Run) -> None:
    """Remove the failed attempt at a run that is finished now."""
    shutil.rmtree(out / "failed" / run.name, ignore_errors=True)
    if (out / "failed").is_dir() and not any((out / "failed").iterdir()):
        (out / "failed").rmdir()


# --- the runs


def attempt(notebook: str, folder: str, parameters: dict[str, Value], cwd: str) -> dict:
    """Run the notebook once, in a new folder below `folder`: what a worker does.

    Returns the new folder and what goes into `run.json`. Raises nothing: whatever goes wrong is
    the run's error, and the other runs go on.
    """
    made = Path(folder, uuid.uuid4().hex)  # the attempt of a killed worker has its own
    metrics, error = {}, ""
    with ONE_AT_A_TIME:
        begun = time.perf_counter()
        try:
            made.mkdir()
            run_notebook(notebook, str(made), parameters, cwd=cwd, show_progress=False)
            metrics = read_metrics(made)
        except ClearError as problem:
            error = first_line(str(problem))
        except Exception as problem:
            error = first_line(f"{type(problem).__name__}: {problem}")
        seconds = round(time.perf_counter() - begun, 3)
    record = {"parameters": parameters, "metrics": metrics, "seconds": seconds}
    return record | {"status": "failed" if error else "done", "error": error, "folder": str(made)}


def first_line(text: str) -> str:
    return text.strip().splitlines()[0]


def read_metrics(folder: Path) -> dict:
    """Read the `metrics` that a notebook left in metrics.json; none, where it writes no file."""
    path = folder / "metrics.json"
    return json.loads(path.read_text(encoding="utf-8"))["metrics"] if path.exists() else {}


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
    except CancelledError:
        raise ClearError("The scheduler is gone. The same command goes on.") from None
    except Exception as error:  # such as a worker that can't import tapecourse
        return killed(folder, run, first_line(f"{type(error).__name__}: {error}"))


def run_all(client: Client, notebook: Path, runs: list[Run], out: Path) -> Iterator:
    """Run on the workers, as many at once as there are; yield each run with its record.

    No more are handed out than can start at once: dask blames a worker's death on all runs that
    it holds.
    """
    waiting, completed, running = iter(runs), as_completed(), {}

    def hand_out() -> None:
        free = len(client.nthreads()) - completed.count()
        for run in itertools.islice(waiting, max(free, 0 if completed.count() else 1)):
            folder = out / UNFINISHED / run.name
            folder.mkdir()
            arguments = (str(notebook), str(folder), run.parameters, os.getcwd())
            future = client.submit(attempt, *arguments, pure=False)
            running[future.key] = folder, run
            completed.add(future)

    hand_out()
    for future in completed:
        folder, run = running[future.key]
        yield run, result_of(future, folder, run)
        hand_out()


@contextmanager
def local_client(workers: int, runs: int) -> Iterator[Client]:
    """Start worker processes of one thread each, whose kernels share out the cores."""
    threads = max(1, CPU_COUNT // workers)  # not by `runs`: a rest must equal the whole in this
    environment = {name: os.environ.get(name, str(threads)) for name in THREADS}
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": TRIES - 1}),
        LocalCluster(
            n_workers=min(workers, runs),
            threads_per_worker=1,
            memory_limit=0,  # a run's memory is its kernel's
            dashboard_address="127.0.0.1:8787",
            env=environment,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@contextmanager
def remote_client(address: str, out: Path) -> Iterator[Client]:
    """Connect to a scheduler, and make sure that its workers can do what they are asked to."""
    try:
        client = Client(address, timeout=ANSWER)
    except (OSError, ValueError) as error:
        problem = f"no scheduler answers ({first_line(str(error))})."
        raise InputError("--scheduler", address, problem) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=ANSWER)
        except TimeoutError:
            problem = f"it has no worker. Start some: dask worker {address} --nthreads 1"
            raise InputError("--scheduler", address, problem) from None
        for worker, sees in client.run(os.path.exists, str(out / "sweep.json")).items():
            if not sees:
                problem = f"its worker {worker} doesn't see {out}: a shared folder is needed."
                raise InputError("--scheduler", address, problem)
        yield client


def write_report(notebook: str, out: Path) -> None:
    """Run the report notebook beside the swept one, if there is one, into report.ipynb."""
    report = Path(notebook).with_name(REPORT)
    if not report.is_file():
        return
    print("Writing the report. The bar counts its cells.")
    run_notebook(str(report), str(out / UNFINISHED), {"sweep_dir": str(out)})
    os.replace(out / UNFINISHED / REPORT, out / "report.ipynb")


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
        The folder can't be written any more, the scheduler is gone, or the report failed.
    """
    if workers is not None and workers < 1:
        raise InputError("--workers", workers, "an integer is needed, 1 or more.")
    if not out:
        raise InputError("--out", out, "a folder is needed.")
    grid = type_grid(grid, notebook)
    folder = Path(out).resolve()
    if dry_run:
        order = check_same_sweep(folder, describe(notebook, grid))
        print_runs(make_runs({name: grid[name] for name in order}), read_records(folder))
        return True
    check_same_sweep(folder, describe(notebook, grid))  # before anything is written there
    check_folder("--out", out)
    try:
        with FileLock(folder / "sweep.lock", timeout=0):
            return locked_sweep(notebook, grid, folder, workers or CPU_COUNT, scheduler)
    except Timeout:
        raise InputError("--out", out, "another sweep is writing to this folder.") from None


def locked_sweep(
    notebook: str, grid: dict[str, list], out: Path, workers: int, scheduler: str | None
) -> bool:
    """Do the runs, as the only sweep in `out`."""
    description = describe(notebook, grid)
    description["parameters"] = order = check_same_sweep(out, description)
    runs = make_runs({name: grid[name] for name in order})
    records = read_records(out)
    to_do = [run for run in runs if records.get(run.name, {}).get("status") != "done"]
    copy = out / UNFINISHED / Path(notebook).name  # the notebook may be edited meanwhile
    with clear_write_errors(out):
        shutil.rmtree(out / UNFINISHED, ignore_errors=True)
        copy.parent.mkdir(exist_ok=True)
        shutil.copyfile(notebook, copy)
        write_whole(out / "sweep.json", json.dumps(description, indent=2) + "\n")
        write_summary(out, runs, records)
    try:
        if to_do:
            do_runs(copy, runs, to_do, records, out, workers, scheduler)
        if any(record["status"] == "done" for record in records.values()):
            write_report(notebook, out)
    finally:
        shutil.rmtree(out / UNFINISHED, ignore_errors=True)
        print_result(out, runs, records)
    return all(records[run.name]["status"] == "done" for run in runs)


def do_runs(
    notebook: Path,
    runs: list[Run],
    to_do: list[Run],
    records: dict[str, dict],
    out: Path,
    workers: int,
    scheduler: str | None,
) -> None:
    """Do the runs `to_do`, and put what comes of them into `records` and the folder."""
    with open(out / "sweep.log", "ab") as log, stderr_into(log) as terminal:
        connect = remote_client(scheduler, out) if scheduler else local_client(workers, len(to_do))
        done = len(runs) - len(to_do)
        with connect as client:
            print(f"Dashboard: {client.dashboard_link}")
            bar = tqdm(total=len(runs), initial=done, desc="runs", unit="run", file=terminal)
            with bar:
                bar.set_postfix(failed=0)
                failed = 0
                for run, record in run_all(client, notebook, to_do, out):
                    with clear_write_errors(out):
                        keep(out, run, Path(record.pop("folder")), record)
                        records[run.name] = record
                        write_summary(out, runs, records)
                    if record["status"] == "failed":
                        failed += 1
                        bar.write(f"failed: {run.name}: {record['error']}", file=terminal)
                    bar.set_postfix(failed=failed, refresh=False)
                    bar.update()


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
        print("The same command does what is not done.")
    places = [out / "summary.csv", out / "report.ipynb", out / "failed"]
    print("Look at:", *(f"{place}" for place in places if place.exists()), sep="\n  ")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return 0 if all succeeded, 1 if not, and 2 if what was given is wrong."""
    parser = argparse.ArgumentParser(prog="tapecourse", description="Tools of the course.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("sweep", help="run a notebook over a grid of parameters")
    command.add_argument("notebook", help="path of the notebook")
    command.add_argument(
        "--grid",
        action="append",
        default=[],
        metavar="NAME=VALUE,VALUE",
        help="a parameter and its values; once for each parameter",
    )
    command.add_argument("--grid-file", metavar="FILE", help="YAML lines NAME: [VALUE, VALUE]")
    command.add_argument("--out", required=True, metavar="FOLDER", help="folder for all runs")
    where = command.add_mutually_exclusive_group()
    where.add_argument("--workers", type=int, help="runs at once, by default one for each core")
    where.add_argument("--scheduler", metavar="ADDRESS", help="a running dask scheduler")
    command.add_argument("--dry-run", action="store_true", help="only print the runs")
    options = parser.parse_args(arguments)
    try:
        succeeded = sweep(
            options.notebook,
            read_grid(options.grid, options.grid_file),
            options.out,
            workers=options.workers,
            scheduler=options.scheduler,
            dry_run=options.dry_run,
        )
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    except ClearError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted. The same command goes on.", file=sys.stderr)
        return 1
    return 0 if succeeded else 1
