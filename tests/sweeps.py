"""What the tests of `tapecourse sweep` share: runs of a second instead of a training run's.

Each writes what a training run writes, and adds a line to `begun` when it begins.
"""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
from distributed import Client
from helpers import make_notebook

from tapecourse.tools.command import main

PARAMETERS = """\
learning_rate: float = 0.5  # a rate, above 0
seed: int = 0  # a seed, 0 or more
label: str = "plain"  # a text
layers: list = [1, 2]  # a list
run_dir: str = ""  # folder of what it writes"""

BEGIN = """\
import json, os, random, signal, time
from pathlib import Path
here = Path({here!r})
with open(here / "begun", "a") as file:
    file.write(f"{{seed}} {{os.getpid()}} {{os.getppid()}}\\n")"""

END = """\
random.seed(seed)
losses = [learning_rate * random.random() for _ in range(5)]
lines = [f"step,{step},{loss}" for step, loss in enumerate(losses)]
Path(run_dir, "history.csv").write_text("\\n".join(["kind,step,loss", *lines]) + "\\n")
metrics = {"test_accuracy": 1 - losses[-1], "steps": {"all": 5}, "seed": -1}
threads = os.environ.get("TF_NUM_INTRAOP_THREADS")
results = {"parameters": dict(seed=seed), "metrics": metrics, "threads": threads}
Path(run_dir, "metrics.json").write_text(json.dumps(results))
print(losses)"""


def tiny(folder: Path, middle: str = "", name: str = "tiny.ipynb", end: str = END) -> Path:
    """Write a notebook whose runs do `middle` between their begin and their end."""
    cells = [BEGIN.format(here=str(folder)), middle, end]
    return make_notebook(folder / name, *cells, parameters=PARAMETERS)


@contextmanager
def client_here(_: int) -> Iterator[Client]:
    """Stand in for `local_client`: one worker, which is a thread of this process."""
    with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None) as it:
        yield it


def sweep(notebook: Path | str, *options: object) -> int:
    """Sweep in this process; return the exit status."""
    return main(["sweep", str(notebook), *map(str, options)])


def begun(folder: Path) -> list[int]:
    """Return the seeds of the runs that began, each as often as it did."""
    path = folder / "begun"
    lines = path.read_text().splitlines() if path.exists() else []
    return [int(line.split()[0]) for line in lines]


def summary(out: Path) -> list[dict[str, str]]:
    with open(out / "summary.csv", newline="") as file:
        return list(csv.DictReader(file))


def statuses(out: Path) -> list[str]:
    return [row["status"] for row in summary(out)]


def folders(out: Path) -> list[str]:
    """Return the names of the finished runs' folders, each of which must be whole."""
    names = sorted(path.name for path in out.iterdir() if "=" in path.name)
    for name in names:
        files = {path.name for path in (out / name).iterdir()}
        assert files >= {"tiny.ipynb", "history.csv", "metrics.json", "run.json"}, name
        executed = nbformat.read(out / name / "tiny.ipynb", as_version=4)
        assert executed.cells[-1].outputs, "the last cell printed the losses"
    return names


def times(out: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in sorted(out.glob("*=*/*"))}
