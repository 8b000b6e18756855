"""What a training run says while it runs, and when it ends."""

import json
import math
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from IPython.display import display
from tqdm import tqdm

from tapecourse.support.errors import CheckpointError, LossNotFinite

__all__ = [
    "check_same_run",
    "epoch_line",
    "progress_bar",
    "show_results",
    "stop_unless_finite",
    "threads",
    "versions",
]


def progress_bar(images: int, seen: int = 0) -> tqdm:
    """Make a bar for someone who watches, in a terminal or a Jupyter server; it doesn't stay.

    Parameters
    ----------
    images : int
        How many the whole run trains on, those of each epoch counted anew.
    seen : int
        How many of them it has trained on before it was resumed.
    """
    watched = sys.stdout.isatty() or "JPY_SESSION_NAME" in os.environ  # a Jupyter server sets it
    return tqdm(
        total=images,
        initial=seen,
        unit=" images",
        bar_format="{percentage:3.0f}% |{bar}| {rate_fmt}, {remaining} left{postfix}",
        ncols=80,
        file=sys.stdout,
        leave=False,
        disable=not watched,
    )


def epoch_line(row: Mapping[str, Any], epochs: int) -> str:
    """Say in one line what an epoch brought.

    Parameters
    ----------
    row : mapping
        The epoch's row of a history.
    epochs : int
        How many epochs the run has.
    """
    return (
        f"epoch {row['epoch']:.0f}/{epochs}:"
        f"  training loss {row['train_loss']:.4f}, accuracy {row['train_accuracy']:.1%}"
        f"  validation loss {row['val_loss']:.4f}, accuracy {row['val_accuracy']:.1%}"
        f"  ({row['seconds']:.1f} s)"
    )


def stop_unless_finite(rows: Sequence[Mapping[str, Any]]) -> None:
    """Stop a run whose loss is NaN or infinite: all later steps are worthless.

    Parameters
    ----------
    rows : sequence of mappings
        Of a history.

    Raises
    ------
    LossNotFinite
        The message names the first such step, and says why that may be.
    """
    for row in rows:
        if row["kind"] == "step" and not math.isfinite(row["loss"]):
            raise LossNotFinite(
                f"the loss is {row['loss']} at step {row['step']} (epoch {row['epoch']:.2f}), with"
                f" the learning rate {row['learning_rate']:.2g}. Likely causes: a learning rate"
                " that is too high (try a third of it); a loss that is summed, not averaged; the"
                " logarithm of a probability that became 0 (train on logits)."
            )


def show_results(
    parameters: Mapping[str, Any], metrics: Mapping[str, float], device: str, folder: str = ""
) -> None:
    """Show a run's results as JSON, for a program that reads the notebook.

    Parameters
    ----------
    parameters, metrics : mapping
    device : str
        Where it was trained, such as ``"CPU"``.
    folder : str
        Where to write them as well, into ``metrics.json``; empty to write nothing.
    """
    results = {
        "parameters": dict(parameters),
        "metrics": dict(metrics),
        "versions": {"python": platform.python_version()} | versions(),
        "device": device,
        "threads": threads(),
    }
    text = json.dumps(results, indent=2)
    if folder:
        Path(folder, "metrics.json").write_text(f"{text}\n")
    display({"application/json": results, "text/plain": text}, raw=True)


def versions() -> dict[str, str]:
    """Return the versions of what computes."""
    return {package: version(package) for package in ("tensorflow", "keras", "numpy")}


def threads() -> int:
    """Return how many threads an operation of TensorFlow may use."""
    return int(os.environ.get("TF_NUM_INTRAOP_THREADS") or os.cpu_count() or 1)


def check_same_run(path: Path, theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
    """Refuse to go on from the checkpoint of a run with other parameters.

    Parameters
    ----------
    path : Path
        Of the checkpoint.
    theirs, ours : mapping
        The parameters, and what else decides the result: the checkpoint's, and this run's.

    Raises
    ------
    CheckpointError
        The message names the first difference.
    """
    for name, value in ours.items():
        if theirs.get(name) != value:
            problem = f"{path} is of a run with {name} = {theirs.get(name)!r}, and this one has"
            remedy = "Give the same, or start anew: resume = 'no', or delete the file."
            raise CheckpointError(f"{problem} {value!r}. {remedy}")
