"""The figures of a sweep's report (chapter 09), for few runs and for many."""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from tapecourse.support.sweep_results import Column, Sweep, Table, read_steps, shown, smooth

__all__ = ["draw_crossed", "draw_curves", "draw_runs", "draw_times", "draw_verdicts", "draw_wins"]

MARKERS = "os^Dvh"
DASHES = ["-", "--", "-.", ":", (0, (3, 1, 1, 1, 1, 1)), (0, (8, 2))]
MOST = 25  # settings in a figure
LOOKS = {
    "worse": ("C1", "s"),
    "can't tell": ("C0", "o"),
    "too few seeds": ("0.5", "x"),
}


def short(label: str, most: int = 28) -> str:
    """Leave out the middle of a label that is too long for a figure."""
    half = most // 2
    return label if len(label) <= most else f"{label[: half - 1]}…{label[-half:]}"


def shades(number: int) -> list[Any]:
    """Return colours for so many lines."""
    if number <= 6:
        return [f"C{i}" for i in range(number)]
    return list(plt.get_cmap("viridis")(np.linspace(0, 0.9, number)))


def _axes(places: Sequence[str], ylabel: str) -> Axes:
    """Open a figure with a row for each setting, the first on top."""
    _, ax = plt.subplots(figsize=(8, 2.2 + 0.3 * len(places)))
    ax.set_yticks(range(len(places)), [short(name) for name in places])
    ax.set_ylabel(short(ylabel, 26))
    ax.set_ylim(len(places) - 0.5, -0.5)
    return ax


def draw_runs(sweep: Sweep, order: Sequence[str], title: str) -> None:
    """Draw each run's metric, a row for each setting, a line for each seed."""
    order = list(order)[:MOST]
    scores = sweep.scores[order]
    ax = _axes(order, sweep.title)
    few = len(scores) <= 6
    for number, (seed, row) in enumerate(scores.iterrows()):
        look: dict[str, Any] = dict(lw=0.8, ms=6, alpha=0.8, color="0.6", marker="o")
        if few:
            look |= dict(color=f"C{number}", marker=MARKERS[number])
        label = f"seed {seed}" if few else None
        ax.plot(row.to_numpy(), range(len(order)), label=label, **look)
    ax.plot(scores.mean(), range(len(order)), "|k", ms=20, mew=3, label="mean")
    ax.set(xlabel=sweep.metric, title=title)
    if scores.min(axis=None) > 0 and scores.max(axis=None) > 10 * scores.min(axis=None):
        ax.set_xscale("log")
    ax.figure.legend(loc="outside lower center", ncols=7)
    plt.show()


def draw_wins(wins: Column, best: str, ylabel: str, title: str) -> None:
    """Draw how often each setting wins."""
    wins = wins[wins > 0].head(MOST)
    ax = _axes(list(wins.index), ylabel)
    colors = ["C0" if name == best else "0.7" for name in wins.index]
    bars = ax.barh(range(len(wins)), wins, color=colors)
    labels = [f"{share:.0%}" if share >= 0.005 else "<1%" for share in wins]
    ax.bar_label(bars, labels, padding=4)
    ax.set(
        xlabel="share of the trials that a setting wins", xlim=(0, 1.1 * wins.max()), title=title
    )
    ax.xaxis.set_major_formatter("{x:.0%}")
    ax.grid(axis="y", visible=False)
    plt.show()


def draw_verdicts(table: Table, best: str, sweep: Sweep, title: str) -> None:
    """Draw each setting's difference to the best, with its interval."""
    table = table.head(MOST)
    ax = _axes(list(table.index), sweep.title)
    for verdict, (color, marker) in LOOKS.items():
        chosen = np.flatnonzero(table.verdict == verdict)
        if len(chosen):
            rows = table.iloc[chosen]
            width = rows["give or take"].fillna(0)
            look: dict[str, Any] = dict(fmt=marker, color=color, capsize=4, label=verdict)
            ax.errorbar(rows["worse by"], chosen, xerr=width, **look)
    ax.axvline(0, color="k", lw=1)
    ax.set(xlabel=f"how much worse in {sweep.metric} than {short(best)}", title=title)
    limit = 4 * table["worse by"].max()
    if table["give or take"].max() > limit > 0:
        ax.set_xlim(-limit, limit)
    ax.figure.legend(loc="outside lower center", ncols=3)
    plt.show()


def draw_crossed(sweep: Sweep, rows: str, lines: str, title: str) -> None:
    """Draw the metric against one parameter, a line for each value of another."""
    levels, places = sorted(sweep.runs[lines].unique()), sorted(sweep.runs[rows].unique())
    _, ax = plt.subplots(figsize=(8, 4))
    for number, (level, color) in enumerate(zip(levels, shades(len(levels)))):
        runs = sweep.runs[sweep.runs[lines] == level]
        means = runs.groupby(rows)[sweep.metric].mean().reindex(places)
        style, marker = DASHES[number % 6], MARKERS[number % 6]
        label = short(f"{lines} {shown(level)}")
        ax.plot(range(len(places)), means, ls=style, color=color, marker=marker, label=label)
        at = [places.index(value) for value in runs[rows]]
        ax.plot(at, runs[sweep.metric], marker, color=color, ms=4, alpha=0.4)
    ax.set_xticks(range(len(places)), [short(shown(place), 16) for place in places])
    ax.set(xlabel=rows, ylabel=sweep.metric, title=title)
    ax.figure.legend(loc="outside lower center", ncols=min(len(levels), 3))
    plt.show()


def draw_curves(sweep: Sweep, color: str, column: str | None, title: str) -> bool:
    """Draw each setting's training loss, if the runs have histories; return whether they have.

    A line is the mean of the seeds, a band reaches from the lowest seed to the highest. `color`
    names the parameter that decides the colour, `column` the one that decides the panel.
    """
    steps = {run: read_steps(sweep, run) for run in sweep.runs.run}
    curves = {run: smooth(losses) for run, losses in steps.items() if losses is not None}
    runs = sweep.runs[sweep.runs.run.isin(list(curves))]
    if runs.empty:
        return False
    levels = sorted(runs[color].unique())
    palette = dict(zip(levels, zip(shades(len(levels)), DASHES * len(levels))))
    panels = list(runs.groupby(column)) if column else [("", runs)]
    shared: dict[str, Any] = dict(sharex=True, sharey=True, squeeze=False)
    figure, axes = plt.subplots(1, len(panels), figsize=(8, 4.4), **shared)
    for ax, (level, part) in zip(axes[0], panels):
        for _, group in part.groupby("setting"):
            value = group[color].iloc[0]
            shade, style = palette[value]
            seeds = pd.concat([curves[run] for run in group.run], axis=1).dropna()
            label = short(f"{color} {shown(value)}") if color != "setting" else "all seeds"
            ax.plot(seeds.mean(axis=1), color=shade, ls=style, label=label)
            low, high = seeds.min(axis=1), seeds.max(axis=1)
            ax.fill_between(seeds.index, low, high, color=shade, alpha=0.15, lw=0)
        ax.set(title=f"{column} {short(shown(level))}" if column else "", xlabel="epoch")
    axes[0, 0].set(ylabel="training loss, smoothed (log scale)", yscale="log")
    once = {label: line for ax in axes[0] for line, label in zip(*ax.get_legend_handles_labels())}
    figure.legend(once.values(), once.keys(), loc="outside lower center", ncols=min(len(once), 4))
    figure.suptitle(title, x=0.01, ha="left")
    plt.show()
    return True


def draw_times(times: Column, losses: Column, sweep: Sweep, title: str) -> list[str]:
    """Draw each setting's metric against its time; return those that no other beats in both.

    Parameters
    ----------
    times : Series
        Seconds by setting.
    losses : Series
        By setting; less is better.
    """
    losses = losses[times.sort_values().index]
    front = list(losses.index[losses == losses.cummin()])
    scores = sweep.scores.mean()
    _, ax = plt.subplots(figsize=(8, 4.4))
    ax.plot(times, scores[times.index], "o", color="0.5", label="a setting")
    ax.plot(
        times[front], scores[front], "s-", color="C1", label="no other is both faster and better"
    )
    for name in times.index if len(times) <= 12 else front:
        look: dict[str, Any] = dict(xytext=(6, 6), textcoords="offset points", fontsize=9)
        ax.annotate(short(name), (times[name], scores[name]), **look)
    ax.set(xscale="log", xlabel="time of a run, median of the seeds (s, log scale)")
    ax.set(ylabel=sweep.metric, title=title)
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter("{x:g}")
    ax.margins(0.15)
    ax.figure.legend(loc="outside lower center", ncols=2)
    plt.show()
    return front
