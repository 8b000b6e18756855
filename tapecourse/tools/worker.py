"""What a worker of a sweep does: one attempt at one run."""

import threading
import time
import uuid
from pathlib import Path

from tapecourse.support.errors import ClearError
from tapecourse.tools.run import Value, run_notebook
from tapecourse.tools.folder import read_json

__all__ = ["attempt", "first_line"]

ONE_AT_A_TIME = threading.Lock()  # in a worker with several threads; see run_notebook


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
    """Return the first line of an error that says something, cut to what fits into a table."""
    lines = (line.strip() for line in text.splitlines())
    return next(filter(None, lines), "no message")[:300]


def read_metrics(folder: Path) -> dict:
    """Read the `metrics` that a notebook left in metrics.json; none, where it writes no file.

    Raises
    ------
    ClearError
        The file is no JSON, or is not of that form.
    """
    path = folder / "metrics.json"
    if not path.exists():
        return {}
    try:
        return read_json(path, {"metrics": dict})["metrics"]
    except ValueError as error:
        raise ClearError(f"metrics.json is broken: {error}") from None
