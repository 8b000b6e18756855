"""Checks of what finite differences are given: points and steps."""

import numpy as np

from tapecourse.support.errors import InputError

__all__ = ["as_floats", "as_steps"]


def as_floats(x: object) -> np.ndarray:
    """Make an array of floats: a small step added to an integer would be lost.

    Raises
    ------
    InputError
        `x` is not made of finite real numbers.
    """
    array = np.asarray(x)
    if array.dtype.kind not in "fiub" or not np.all(np.isfinite(array)):
        raise InputError("x", x, "finite real numbers are needed.")
    return array if array.dtype.kind == "f" else array.astype("float64")


def as_steps(x: np.ndarray, h: float | None, power: float) -> np.ndarray:
    """Return a step for each element of `x`.

    Parameters
    ----------
    x : array of floats
    h : float or None
        The step; None is ε to a power, times the size of the element if that is above 1.
    power : float

    Raises
    ------
    InputError
        The step is not a finite number, or so small that it is 0 in the type of `x`.
    """
    best = np.finfo(x.dtype).eps ** power * np.maximum(1, abs(x))
    steps = np.broadcast_to(best if h is None else h, x.shape).astype(x.dtype)
    if not np.all(np.isfinite(steps) & (steps != 0)):
        raise InputError("h", h, f"a finite step is needed that is not 0 in {x.dtype}.")
    return steps
