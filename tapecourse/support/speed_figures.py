"""The figures of chapter 06: what a machine can do, the roofline, bars of times."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

__all__ = ["draw_bars", "draw_machine", "draw_roofline"]

MARKERS = "os^Dvhp"


def draw_machine(products: pd.Series, additions: pd.Series) -> Figure:
    """Draw the speed of matrix products, by their size, beside that of additions.

    Parameters
    ----------
    products : Series
        GFLOP/s, by the side of the matrices.
    additions : Series
        GB/s, by the megabytes of the arrays.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.4))
    left.plot(products.index, products, "o-", color="C0")
    left.set(xlabel="side of the matrices", ylabel="GFLOP/s", ylim=0)
    left.set_title("Large products compute fastest")
    right.plot(additions.index, additions, "s--", color="C1")
    right.set(xlabel="megabytes of each array", ylabel="GB/s", ylim=0)
    right.set_title("Arrays of medium size are added fastest")
    for ax in (left, right):
        ax.set_xscale("log", base=2)
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    return figure


def draw_roofline(
    groups: Mapping[str, pd.DataFrame], peak: float, bandwidth: float, title: str
) -> Figure:
    """Draw operations under the two limits of the machine.

    Parameters
    ----------
    groups : mapping
        Tables by the name of their group, with columns ``gflop``, ``mb`` and ``ms``.
    peak, bandwidth : float
        The limits, in GFLOP/s and GB/s.
    title : str
    """
    figure, ax = plt.subplots(figsize=(8, 5))
    lowest, highest = np.inf, 0.0
    for number, (name, table) in enumerate(groups.items()):
        intensity = 1e3 * table.gflop / table.mb
        speed = 1e3 * table.gflop / table.ms
        ax.plot(intensity, speed, MARKERS[number], color=f"C{number % 6}", label=name, alpha=0.8)
        lowest, highest = min(lowest, intensity.min()), max(highest, intensity.max())
    x = np.geomspace(lowest / 2, highest * 2, 200)
    ax.plot(x, np.minimum(peak, bandwidth * x), "k", lw=2)
    ridge = peak / bandwidth
    ax.axvline(ridge, color="0.5", lw=1, ls=":")
    ax.text(ridge * 1.1, peak * 1.12, f"arithmetic: {peak:.0f} GFLOP/s", va="bottom")
    ax.text(
        ridge / 1.1, peak * 1.12, f"memory: {bandwidth:.0f} GB/s", ha="right", va="bottom"
    )  # fmt: skip
    ax.set(xscale="log", yscale="log", title=title)
    ax.set_ylim(top=peak * 2.2)
    ax.set(xlabel="intensity: operations for each byte (log scale)", ylabel="GFLOP/s (log scale)")
    ax.legend(loc="lower right")
    return figure


def shown(value: float) -> str:
    """Write a number with three digits, or as an integer where it has more."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def draw_bars(values: pd.Series, title: str, xlabel: str, limit: float | None = None) -> Figure:
    """Draw a bar for each value, with its number, the first on top.

    Parameters
    ----------
    values : Series
    title, xlabel : str
    limit : float, optional
        Where to draw a line: the best that is possible.
    """
    figure, ax = plt.subplots(figsize=(8, 1.3 + 0.36 * len(values)))
    bars = ax.barh([str(name) for name in values.index], values, color="C0", height=0.65)
    ax.bar_label(bars, labels=[shown(value) for value in values], padding=4)
    ax.invert_yaxis()
    ax.grid(visible=False, axis="y")
    ax.set(title=title, xlabel=xlabel)
    ax.margins(x=0.12)
    if limit is not None:
        ax.axvline(limit, color="C1", ls="--", label=f"limit: {shown(limit)}")
        ax.legend(loc="lower right", bbox_to_anchor=(1, 1))  # above the bars
    return figure
