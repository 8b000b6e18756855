"""Figures of more than one chapter: lines of a table."""

from itertools import cycle
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

__all__ = ["draw_columns"]


def draw_columns(axis: Axes, table: pd.DataFrame, **labels: Any) -> None:
    """Draw each column of a table as a line with a marker of its own.

    Parameters
    ----------
    axis : matplotlib.axes.Axes
    table : DataFrame
        Its index is the horizontal axis.
    labels
        What `Axes.set` takes: title, xlabel, yscale, ...
    """
    for name, marker in zip(table, cycle("os^Dvh")):
        axis.plot(
            table.index, table[name].astype("float64"), f"{marker}-", label=name, markersize=5
        )
    axis.set(**labels)
