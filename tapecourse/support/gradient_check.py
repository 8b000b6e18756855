"""Compares the derivatives of a tape, of chapter 03 or TensorFlow's, with differences.

At h and 2h on both sides of a point, the function gives a slope and a doubt: how far off the slope
may be, by truncation, a kink nearby, or rounding. Only what is further from it counts as a fault.
Where the first derivatives are right, they can be differenced in their turn; that checks the
second.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tapecourse.support.errors import TapeError

__all__ = ["GradientCheck", "compare_with_differences", "slope_and_doubt"]

FACTORS = (1, 0.05, -0.05)  # of the inputs


@dataclass(frozen=True)
class GradientCheck:
    """The element where a tape and differences disagree most."""

    order: int  # of the derivative
    factor: float  # of the inputs
    scale: float  # of the function, and so of the adjoints that go into it
    tolerance: float
    input: int  # counted from 0
    index: tuple[int, ...]
    error: float  # relative
    from_tape: float
    from_differences: float

    @property
    def ok(self) -> bool:
        """Whether the error is within the tolerance."""
        return self.error <= self.tolerance

    def __str__(self) -> str:
        if self.ok:
            return f"right: every element agrees with central differences to {self.tolerance:.0e}"
        values = f"the tape says {self.from_tape:.4g}, differences say {self.from_differences:.4g}"
        where = "" if self.factor == 1 else f" of the inputs times {self.factor}"
        where += "" if self.scale > 0 else ", for adjoints below 0,"
        what = "" if self.order == 1 else " (second derivative)"
        return f"WRONG: at input {self.input}, element {self.index}{where}{what} {values}"


def slope_and_doubt(f: Callable, h: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the slope of f at 0, from differences, and how far off it may be."""
    far_left, left, here, right, far_right = [f(step * h) for step in (-2, -1, 0, 1, 2)]
    narrow, wide = (right - left) / (2 * h), (far_right - far_left) / (4 * h)
    narrow_bend, wide_bend = (right - 2 * here + left) / h, (far_right - 2 * here + far_left) / h
    kink = wide_bend / 2 - 2 * narrow_bend  # 0 if smooth: then wide_bend is 4 times narrow_bend
    rounding = 10 * np.finfo("float64").eps * (abs(far_left) + abs(far_right)) / h
    return (4 * narrow - wide) / 3, abs(narrow - wide) + abs(kink) + rounding


def weights_for(array: np.ndarray) -> np.ndarray:
    """Return fixed random numbers from 1 to 2 in the shape of an array; for one number 1."""
    shape = np.shape(array)
    return np.random.default_rng(0).uniform(1, 2, shape) if shape else np.ones(())


def gradients_of(
    f: Callable, point: list, tape: Callable, variable: Callable, directions: list | None = None
) -> list[np.ndarray]:
    """Return the gradient of f's weighted outputs, or its derivative along directions."""
    variables = [variable(x) for x in point]
    with tape(persistent=True) as outer:
        with tape() as inner:
            outputs = f(*variables)
        weights = weights_for(outputs.numpy())
        first = inner.gradient(outputs, variables, output_gradients=weights)
    if directions is None:
        return [dense(gradient, x) for gradient, x in zip(first, point)]
    result = [np.zeros_like(x) for x in point]
    for gradient, along in zip(first, directions):
        if gradient is not None:
            if hasattr(gradient, "indices"):  # TensorFlow's after a lookup: some rows only
                gradient, along = gradient.values, along[gradient.indices.numpy()]
            second = outer.gradient(gradient, variables, output_gradients=along)
            result = [known + dense(part, known) for known, part in zip(result, second)]
    return result


def dense(gradient: Any, x: np.ndarray) -> np.ndarray:
    """Return the gradient for x as an array: zeros for None, all rows of a sparse one."""
    array = np.zeros_like(x)
    if hasattr(gradient, "indices"):
        np.add.at(array, gradient.indices.numpy(), gradient.values.numpy())
    elif gradient is not None:
        array = gradient.numpy()
    if array.shape != x.shape:
        problem = f"the gradient has the shape {array.shape}, its source {x.shape}"
        raise TapeError(f"check_gradients: {problem}.")
    return array


def first_sides(f: Callable, point: list, tape: Callable, variable: Callable) -> tuple:
    """Return the gradient that the tape gives, that of differences, and their doubt."""
    x, pairs = flat(point), []
    for i in range(x.size):

        def outputs(step: float, i: int = i) -> np.ndarray:
            moved = np.array([x[j] + step * (i == j) for j in range(x.size)])
            return f(*map(variable, parts(moved, point))).numpy()

        pairs.append(slope_and_doubt(outputs, 1e-3 * (abs(x[i]) or 1)))
    sums = [[np.sum(weights_for(side) * side) for side in pair] for pair in pairs]
    return flat(gradients_of(f, point, tape, variable)), *np.transpose(sums)


def second_sides(f: Callable, point: list, tape: Callable, variable: Callable) -> tuple:
    """Return the same of the gradient's derivative along a random direction."""
    x, rng = flat(point), np.random.default_rng(0)
    along = np.where(x == 0, 1, abs(x)) * rng.uniform(1, 2, x.size) * rng.choice([-1, 1], x.size)

    def gradient(step: float) -> np.ndarray:
        return flat(gradients_of(f, parts(x + step * along, point), tape, variable))

    found = flat(gradients_of(f, point, tape, variable, parts(along, point)))
    return found, *slope_and_doubt(gradient, 5e-4)


def flat(arrays: list) -> np.ndarray:
    """Put all elements of some arrays in a row."""
    return np.concatenate([np.ravel(array) for array in arrays])


def parts(row: np.ndarray, like: list) -> list:
    """Undo `flat`: cut a row into arrays of the shapes of others."""
    ends = np.cumsum([x.size for x in like])[:-1]
    return [part.reshape(x.shape) for part, x in zip(np.split(row, ends), like)]


def compare(found: np.ndarray, expected: np.ndarray, doubt: np.ndarray, inputs: list) -> tuple:
    """Find the worst element: its input, its index, its error beyond doubt, and both sides."""
    unit = abs(expected) + abs(expected).max() / 1000 + np.finfo("float64").tiny
    errors = np.maximum(abs(found - expected) - doubt, 0) / unit
    errors = np.nan_to_num(errors, nan=np.inf)
    worst = errors.argmax()
    places = [(i, index) for i, x in enumerate(inputs) for index in np.ndindex(x.shape)]
    return *places[worst], float(errors[worst]), float(found[worst]), float(expected[worst])


def compare_with_differences(
    f: Callable,
    inputs: Sequence[Any],
    tape: Callable,
    variable: Callable,
    tolerance: float = 1e-6,
) -> GradientCheck:
    """Compare first and second derivatives of a tape with differences, in float64.

    `f` is asked at the inputs and near 0, since most kinks are there, but only where it is finite.
    At the inputs, -1.5·f is asked as well.

    Parameters
    ----------
    f : callable
        Takes a variable for each input, and returns one tensor of any shape.
    inputs : sequence of arrays
    tape, variable : classes
        Of chapter 03, or ``tf.GradientTape`` and ``tf.Variable``.
    tolerance : float
        The largest relative error that is called right.

    Returns
    -------
    GradientCheck
        The worst element at the first point where one is wrong, or of all if none is. The second
        derivatives are tried where all the first ones are right.

    Raises
    ------
    TapeError
        A gradient has another shape than its source.
    """
    inputs = [np.array(x, "float64") for x in inputs]
    asked = [(1, factor, 1.0) for factor in FACTORS]
    asked += [(1, 1, -1.5)]  # finds what is right for positive adjoints only
    asked += [(2, factor, 1.0) for factor in FACTORS]
    checks = []
    for order, factor, scale in asked:
        scaled = f if scale == 1 else lambda *variables, scale=scale: scale * f(*variables)
        point = [factor * x for x in inputs]
        sides = first_sides if order == 1 else second_sides
        with np.errstate(all="ignore"):
            found, expected, doubt = sides(scaled, point, tape, variable)
        if factor == 1 or np.all(np.isfinite(expected + doubt)):
            worst = compare(found, expected, doubt, inputs)
            checks.append(GradientCheck(order, factor, scale, tolerance, *worst))
            if not checks[-1].ok:  # differences of a wrong gradient say nothing
                return checks[-1]
    return max(checks, key=lambda check: check.error)
