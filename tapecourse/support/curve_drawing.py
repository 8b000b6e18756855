"""Figures of chapter 01: a tangent, a gradient, errors and costs."""

from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from tapecourse.support.figures import draw_columns

__all__ = ["draw_costs", "draw_errors", "draw_gradient", "draw_tangent"]


def draw_tangent(f: Callable, slope: float, x0: float) -> None:
    """Draw a curve and its tangent at x0, from afar and from close by."""
    _, (left, right) = plt.subplots(1, 2, width_ratios=[3, 2], figsize=(8, 3))
    wide, close = np.linspace(-0.2, 2, 300), np.linspace(x0 - 0.05, x0 + 0.05, 50)
    for axis, x in [(left, wide), (right, close)]:
        axis.plot(x, f(x), label="f")
        axis.plot(x, f(x0) + slope * (x - x0), "--", label="tangent")
        axis.plot(x0, f(x0), "ko")
    left.set(
        xlabel="x", ylabel="f(x)", ylim=(-0.1, 0.5), title="A curve and its tangent at x₀ ..."
    )
    right.set(xlabel="x", title="... and both from close by", xticks=[x0 - 0.05, x0, x0 + 0.05])
    left.legend(loc="upper right")


def draw_gradient(f: Callable, gradient: Callable) -> None:
    """Draw a function of two inputs from above, and its gradient as arrows."""
    fine = np.meshgrid(np.linspace(-1.6, 1.6, 200), np.linspace(-1.2, 1.2, 150))
    coarse = np.meshgrid(np.linspace(-1.5, 1.5, 11), np.linspace(-1.1, 1.1, 9))
    figure, axis = plt.subplots(figsize=(5.6, 3.2))
    contours = axis.contourf(*fine, f(*fine), levels=10, cmap="cividis")
    axis.quiver(*coarse, *gradient(*coarse), color="white")
    figure.colorbar(contours, label="f(x₁, x₂)")
    axis.set(xlabel="x₁", ylabel="x₂", aspect="equal")
    axis.set_title("The gradient points uphill, across the contours")
    axis.grid(False)


def draw_errors(steps: np.ndarray, errors: dict, truncation: dict, round_off: dict) -> None:
    """Draw relative errors against the step, measured and predicted.

    Parameters
    ----------
    steps : array
    errors, truncation, round_off : dicts of arrays
        A relative error for each step, by type and method, such as ("float32", "central").
    """
    figure, axes = plt.subplots(1, 2, sharey=True, figsize=(8, 3.5))
    looks = {"forward": ("C1", "o", dict(mfc="none", ms=10)), "central": ("C0", "s", {})}
    for axis, dtype in zip(axes, ("float32", "float64")):
        for method, (color, marker, look) in looks.items():
            key, label = (dtype, method), f"{method}, measured"
            axis.loglog(steps, errors[key], marker, color=color, label=label, **look)
            axis.loglog(steps, truncation[key], "-", color=color, lw=1)
            axis.loglog(steps, round_off[key], ":", color=color)
        axis.set(xlabel="step h", title=dtype, ylim=(1e-14, 30), xticks=steps[::2])
        axis.invert_xaxis()
    axes[0].set_ylabel("relative error of the derivative")
    axes[0].plot([], [], "k-", lw=1, label="truncation, predicted")
    axes[0].plot([], [], "k:", label="round-off, predicted")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    figure.suptitle("Smaller steps help, until they ruin everything", x=0.01, ha="left")


def draw_costs(times: pd.DataFrame, in_evaluations: pd.DataFrame) -> None:
    """Draw the cost of a gradient against the number of inputs, in seconds and in evaluations."""
    figure, axes = plt.subplots(1, 2, figsize=(8, 3.7))
    log = dict(xlabel="number of inputs n", xscale="log", yscale="log")
    draw_columns(axes[0], times, title="What one gradient takes, in seconds ...", **log)
    draw_columns(axes[1], in_evaluations, title="... and in evaluations of the function", **log)
    axes[0].set_ylabel("seconds")
    axes[1].set_ylabel("evaluations of f")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
