"""Counts what is done: operations with a number, calls and seconds of a function."""

import operator
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

__all__ = ["Tally", "count_calls", "seconds"]


def counted(function: Callable) -> Callable:
    """Make a method of `Tally` that counts itself."""

    def method(*numbers: Any) -> "Tally":
        Tally.operations += 1
        return Tally(function(*(getattr(number, "value", number) for number in numbers)))

    return method


class Tally:
    """A number that counts the operations made with it and its like."""

    operations = 0

    def __init__(self, value: float):
        self.value = value

    def __float__(self) -> float:  # to print it
        return float(self.value)

    __neg__, __add__, __sub__ = map(counted, (operator.neg, operator.add, operator.sub))
    __mul__, __pow__ = map(counted, (operator.mul, operator.pow))
    __radd__, __rmul__ = __add__, __mul__
    exp, sin, cos = map(counted, (np.exp, np.sin, np.cos))


def count_calls(way: Callable, function: Callable, *arguments: Any) -> tuple[int, Any]:
    """Return how often `way(function, ...)` calls the function, and its result."""
    calls = 0

    def counting(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        return function(*arguments)

    result = way(counting, *arguments)
    return calls, result


def seconds(function: Callable, *arguments: Any, repeats: int = 3) -> float:
    """Return the median time of some calls, in seconds; of fewer once they take half a second."""
    times = []
    while len(times) < repeats and sum(times) < 0.5:
        start = time.perf_counter()
        function(*arguments)
        times.append(time.perf_counter() - start)
    return median(times)
