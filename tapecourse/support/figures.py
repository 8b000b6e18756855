"""Figures of more than one chapter: lines of a table; sliders, where someone can move them."""

import os
from collections.abc import Callable
from typing import Any

import pandas as pd
from ipywidgets import interact
from matplotlib.axes import Axes

__all__ = ["draw_columns", "offer_slider"]


def offer_slider(draw: Callable[..., None], **ranges: tuple[int, int]) -> None:
    """Show a slider for each argument of `draw` in JupyterLab; elsewhere say where it is.

    JupyterLab's server names the notebook in JPY_SESSION_NAME. Without it (nbval, papermill,
    nbconvert) there is nobody to move a slider, and the notebook's figures tell the same.
    """
    if "JPY_SESSION_NAME" in os.environ:
        interact(draw, **ranges)
    else:
        print("Run this cell in JupyterLab to get the slider.")


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
    for name, marker in zip(table, "os^Dvh"):
        axis.plot(
            table.index, table[name].astype("float64"), f"{marker}-", label=name, markersize=5
        )
    axis.set(**labels)
