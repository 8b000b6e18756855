"""The operators of a number-like class that follow from a few: -x, x + y, x * y, x / y and exp."""

from typing import Any

import numpy as np

__all__ = ["OtherOperators"]


def value_of(number: Any) -> Any:
    """Return what a number is compared by."""
    return getattr(number, "primal", number)


class OtherOperators:
    """Subtraction, a plain number on the left, and comparisons, which compare values only.

    A subclass has -x, x + y, x * y, x / y, exp, an attribute `primal`, and can be made of
    a number.
    """

    def __sub__(self: Any, other: Any) -> Any:
        return self + -other

    def __rsub__(self: Any, other: Any) -> Any:
        return -self + other

    def __radd__(self: Any, other: Any) -> Any:
        return self + other

    def __rmul__(self: Any, other: Any) -> Any:
        return self * other

    def __rtruediv__(self: Any, other: Any) -> Any:
        return type(self)(other) / self

    def __rpow__(self: Any, other: Any) -> Any:
        return np.exp(self * np.log(other))

    def __lt__(self: Any, other: Any) -> bool:
        return self.primal < value_of(other)

    def __le__(self: Any, other: Any) -> bool:
        return self.primal <= value_of(other)

    def __gt__(self: Any, other: Any) -> bool:
        return self.primal > value_of(other)

    def __ge__(self: Any, other: Any) -> bool:
        return self.primal >= value_of(other)

    def __eq__(self: Any, other: object) -> bool:
        return self.primal == value_of(other)
