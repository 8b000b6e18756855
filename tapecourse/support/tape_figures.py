"""Figures of chapter 03: nested tapes, broadcasting and its adjoint, digits."""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

__all__ = [
    "draw_broadcasting",
    "draw_digits",
    "draw_nested",
]

OLD, NEW = "#EAF3FA", "#F7C59F"


def _box(axis: Axes, x: float, y: float, text: str, color: str) -> None:
    look = dict(boxstyle="round,pad=0.35", fc=color, ec="0.35")
    axis.text(x, y, text, ha="center", va="center", fontsize=10, bbox=look)


def draw_nested(inner: Sequence[Any], outer: Sequence[Any]) -> None:
    """Draw the notes of two nested tapes, in the order in which they were made, a row a tape."""
    _, axis = plt.subplots(figsize=(10, 2.3))
    for column, note in enumerate(outer):
        heard = any(note.output is each.output for each in inner)
        _box(axis, column, 0, note.operation.name, OLD if heard else NEW)
        if heard:
            _box(axis, column, 1, note.operation.name, OLD)
    border = len(inner) - 0.5
    axis.axvline(border, color="0.35", ls="--", lw=1)
    axis.text(border - 0.1, 1.75, "y is computed", ha="right", va="center")
    axis.text(border + 0.1, 1.75, "inner.gradient walks back", ha="left", va="center")
    axis.text(-0.75, 1, "inner", ha="right", va="center", weight="bold")
    axis.text(-0.75, 0, "outer", ha="right", va="center", weight="bold")
    axis.set(xlim=(-1.5, len(outer) - 0.3), ylim=(-0.6, 2.1))
    axis.axis("off")
    axis.set_title("The outer tape notes the inner tape's way back as well (orange)")


def _grid(axis: Axes, numbers: np.ndarray, title: str, color: str) -> None:
    rows = np.atleast_2d(numbers)
    for (i, j), number in np.ndenumerate(rows):
        cell = Rectangle((j, -i - 1), 1, 1, fc=color, ec="0.35")
        axis.add_patch(cell)
        axis.text(j + 0.5, -i - 0.5, f"{number:g}", ha="center", va="center", fontsize=12)
    axis.set(xlim=(-0.05, 3.05), ylim=(-2.05, 0.05), aspect="equal")
    axis.axis("off")
    axis.set_title(f"{title}\nshape {numbers.shape}", fontsize=11, loc="center")


def draw_broadcasting(row: np.ndarray, bar: np.ndarray) -> None:
    """Draw how a row is repeated to the shape of `bar`, and how the adjoint `bar` is summed.

    Parameters
    ----------
    row : array (3,)
    bar : array (2, 3)
    """
    figure, axes = plt.subplots(1, 4, figsize=(10, 2.7))
    _grid(axes[0], row, "a row …", OLD)
    _grid(axes[1], np.broadcast_to(row, bar.shape), "… is repeated", OLD)
    _grid(axes[2], bar, "the adjoint of each copy …", NEW)
    _grid(axes[3], bar.sum(axis=0), "… is summed for the row", NEW)
    figure.suptitle("Forward, broadcasting repeats; backward, its adjoint sums", x=0.01, ha="left")


def draw_digits(
    images: np.ndarray, labels: np.ndarray, predictions: np.ndarray, title: str, count: int = 7
) -> None:
    """Draw digits that were read right in a row, and digits that were read wrong below.

    Parameters
    ----------
    images : array (n, 28, 28)
    labels, predictions : arrays (n,)
    title : str
    count : int
        Digits a row, where there are as many.
    """
    figure, axes = plt.subplots(2, count, figsize=(10, 3.6))
    right, wrong = (np.flatnonzero((predictions == labels) == kind) for kind in (True, False))
    for row, chosen in zip(axes, (right, wrong)):
        for axis in row:
            axis.axis("off")
        for axis, number in zip(row, chosen):
            axis.imshow(images[number])
            read, label = predictions[number], labels[number]
            mistake = "" if read == label else f"\nis {label}"
            axis.set_title(f"read {read}{mistake}", fontsize=10, loc="center")
    figure.suptitle(title, x=0.01, ha="left")
