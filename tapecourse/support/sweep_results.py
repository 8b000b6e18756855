"""What `tapecourse sweep` left in a folder, read for its report (chapter 09)."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from tapecourse.support.errors import InputError
from tapecourse.support.parameters import Choice

__all__ = [
    "EXAMPLE",
    "Column",
    "Sweep",
    "Table",
    "count",
    "read_steps",
    "read_sweep",
    "shown",
    "smooth",
]

Table: TypeAlias = Any  # a DataFrame, as Column is a Series: by pandas's own hints, what
Column: TypeAlias = Any  # one takes from them may be almost anything

EXAMPLE = Path(__file__).parents[2] / "notebooks" / "09_example_sweep"
GOOD = {"loss": "lower", "accuracy": "higher"}  # by a part of a metric's name
NOT_METRICS = ("run", "status", "error")


@dataclass
class Sweep:
    """A sweep, and which number decides.

    Attributes
    ----------
    folder : Path
    parameters : list of str
        All parameters of the sweep, the seed too.
    varied : list of str
        Those with more than one value, without the seed.
    metric : str
    runs : DataFrame
        The runs with a finite metric, with the columns ``seed`` and ``setting``: the values of
        the varied parameters, as a text.
    lost : DataFrame
        The other runs.
    """

    folder: Path
    parameters: list[str]
    varied: list[str]
    metric: str
    runs: Table
    lost: Table

    @property
    def title(self) -> str:
        """What the parts of a setting's name are."""
        return " · ".join(self.varied) or "setting"

    @property
    def scores(self) -> Table:
        """The metric: a row for each seed, a column for each setting."""
        return self.runs.pivot_table(index="seed", columns="setting", values=self.metric)

    def describe(self) -> None:
        """Print what was run, and what has no result."""
        runs, every = self.runs, pd.concat([self.runs, self.lost])
        fixed = [name for name in self.parameters if name not in [*self.varied, "seed"]]
        same = [f"{name} {shown(every[name].iloc[0])}" for name in fixed]
        print(f"{count(len(runs), 'run')} with a result, {len(self.lost)} without")
        print(f"{count(runs.setting.nunique(), 'setting')}, {count(runs.seed.nunique(), 'seed')}")
        print("a setting is:", self.title if self.varied else "the same for all, but for the seed")
        print("the same in all runs:", ", ".join(same) or "nothing")
        for _, row in self.lost.iterrows():
            values = ", ".join(f"{name} {shown(row[name])}" for name in self.parameters)
            done = row.status == "done"
            why = f"{self.metric} is {row[self.metric]}" if done else f"{row.status} {row.error}"
            print(f"no result: {values} ({why.strip()})")
        if self.metric.startswith("test"):
            print(f"Warning: {self.metric} comes from the test images. If you choose by it, no")
            print("number is left that tells how well the choice does on new images.")


def shown(value: object) -> str:
    """Return a parameter's value as a text that no other value has."""
    if isinstance(value, float) and float(f"{value:g}") == value:
        return f"{value:g}"
    return str(value) or "''"


def count(number: int, noun: str) -> str:
    """Return such as "1 run" or "2 runs"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def read_sweep(sweep_dir: str, metric: str, better: str, color_by: str = "") -> Sweep:
    """Read a sweep's folder; an empty text names the example of the course.

    Raises
    ------
    InputError
        One of the arguments doesn't fit; the message says what does.
    """
    folder = Path(sweep_dir) if sweep_dir else EXAMPLE
    for file in ("sweep.json", "summary.csv"):
        if not (folder / file).is_file():
            raise InputError(
                "sweep_dir", sweep_dir, f"a folder with {file} is needed, of a sweep."
            )
    try:
        parameters = json.loads((folder / "sweep.json").read_bytes())["parameters"]
    except (ValueError, KeyError, TypeError):
        raise InputError("sweep_dir", sweep_dir, "its sweep.json is broken.") from None
    table = _read_summary(folder / "summary.csv", parameters)
    if "done" not in set(table.status):
        raise InputError(
            "sweep_dir", sweep_dir, "none of its runs is done: there is nothing to read."
        )
    Choice(*table.columns.drop([*parameters, *NOT_METRICS])).check("metric", metric)
    for part, good in GOOD.items():
        if part in metric and better != good:
            raise InputError("better", better, f"{good!r} is needed: so is {metric} better.")
    has_result = (table.status == "done") & np.isfinite(table[metric])
    if not has_result.any():
        raise InputError("metric", metric, "it is a finite number in none of the runs.")
    names = [name for name in parameters if name != "seed"]
    varied = [name for name in names if table[name].nunique() > 1]
    if color_by and not varied:
        raise InputError("color_by", color_by, "'' is needed: only the seed varies in this sweep.")
    if color_by:
        Choice(*varied).check("color_by", color_by)
    runs = table[has_result].copy()
    runs["setting"] = [
        " · ".join(shown(value) for value in row) for row in zip(*(runs[name] for name in varied))
    ] or "the only one"
    if "seed" not in runs:
        runs["seed"] = 0
    return Sweep(folder, parameters, varied, metric, runs, table[~has_result])


def _read_summary(path: Path, parameters: list[str]) -> Table:
    texts = pd.read_csv(path, dtype=str, keep_default_na=False)
    metrics = texts.columns.drop([*parameters, *NOT_METRICS])
    table = texts.assign(**{name: _typed(texts[name]) for name in parameters})
    table[metrics] = texts[metrics].apply(pd.to_numeric, errors="coerce")
    return table


def _typed(column: Column) -> Column:
    """Return a column of numbers as numbers, if none of them would be written otherwise."""
    numbers: Column = pd.to_numeric(column, errors="coerce")
    for kind in ("float64", "int64"):
        if np.isfinite(numbers).all() and (numbers.astype(kind).astype(str) == column).all():
            return numbers.astype(kind)
    return column


def read_steps(sweep: Sweep, run: str) -> Column:
    """Return a run's training losses, one a step, by epoch; or None if it has no history."""
    file = sweep.folder / run / "history.csv"
    if not file.is_file():
        return None
    history = pd.read_csv(file)
    return history[history.kind == "step"].set_index("epoch").loss


def smooth(steps: Column) -> Column:
    """Replace each value by the mean of the tenth of the run around it, where there is so much."""
    return steps.rolling(max(1, len(steps) // 10), center=True).mean().dropna()
