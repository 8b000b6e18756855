"""Variants: the same exercises with other letters and numbers, so that no two learners' are equal.

The environment says which variant a notebook is, ``%env TAPECOURSE_VARIANT=3``. Where it says
nothing it is 0, the one in `exercises/`. In the others the texts that have letters have changed
places, and the exercises in `NUMBERS` have another number.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from zlib import crc32

import numpy as np

from tapecourse.support.errors import InputError

__all__ = ["NAME", "NUMBERS", "Number", "new_letters", "own_number", "variant"]

NAME = "TAPECOURSE_VARIANT"


@cache
def variant() -> int:
    """Return which variant this process works with: what the environment said at first.

    Raises
    ------
    InputError
        The environment holds no number.
    """
    text = os.environ.get(NAME, "0")
    if not text.isdecimal():
        raise InputError(NAME, text, "a whole number is needed, 0 or above.")
    return int(text)


def drawn(number: str, which: int) -> np.random.Generator:
    """Make the random numbers of an exercise in a variant."""
    return np.random.default_rng([which, crc32(number.encode())])


def new_letters(number: str, letters: str, which: int) -> dict[str, str]:
    """Return where the text of each letter stands in a variant.

    Parameters
    ----------
    number : str
        Of the exercise, such as "1.8".
    letters : str
        All that it has, such as "abcdef".
    which : int
        The variant; in 0 each is where it is.
    """
    if which == 0:
        return dict(zip(letters, letters))
    return dict(zip(letters, map(str, drawn(number, which).permutation(list(letters)))))


@dataclass(frozen=True)
class Number:
    """A number of an exercise that has another value in each variant.

    Parameters
    ----------
    values : tuple of int
        Those to draw from; the first is that of variant 0, and of no other.
    texts : tuple of pairs
        What stands in the exercise or in its solution, and a function that makes of the number
        what stands there in other variants.
    """

    values: tuple[int, ...]
    texts: tuple[tuple[str, Callable[[int], str]], ...]


def own_number(number: str, which: int | None = None) -> int:
    """Return the number that an exercise has in a variant, by default in this process's."""
    which = variant() if which is None else which
    values = NUMBERS[number].values
    return int(drawn(number, which).choice(values[1:])) if which else values[0]


NUMBERS = {
    "1.1": Number(
        (1, 3, 4, 5, 6),  # the power of the x in front
        (
            (r"x \, e^{x y}.", lambda n: rf"x^{n} \, e^{{x y}}."),
            ("x·exp(x·y)", lambda n: f"x{'⁰¹²³⁴⁵⁶'[n]}·exp(x·y)"),
            ("is (1.0, 1.0)", lambda n: f"is ({n:.1f}, 1.0)"),
            (
                "e + x * y * e, x * x * e",
                lambda n: f"{n} * x**{n - 1} * e + x**{n} * y * e, x**{n + 1} * e",
            ),
            (r"1 \cdot e^{xy}", lambda n: rf"{n} x^{{{n - 1}}} \cdot e^{{xy}}"),
            (r"$x \cdot y\,e^{xy}$", lambda n: rf"$x^{n} \cdot y\,e^{{xy}}$"),
            (r"$x \cdot x\, e^{xy}$", lambda n: rf"$x^{n} \cdot x\, e^{{xy}}$"),
        ),
    ),
    "1.7": Number(
        (1, 2, 3, 4, 5),  # the rate of the exponentials
        (
            (
                r"\frac{e^x - e^{-x}}{e^x + e^{-x}}, $$",
                lambda n: rf"\frac{{e^{{{n}x}} - e^{{-{n}x}}}}{{e^{{{n}x}} + e^{{-{n}x}}}}, $$",
            ),
            (
                '"((exp(x) + exp(-x))**2 - (exp(x) - exp(-x))**2) / (exp(x) + exp(-x))**2"',
                lambda n: (
                    f'"{n}*((exp({n}*x) + exp(-{n}*x))**2 - (exp({n}*x) - exp(-{n}*x))**2)'
                    f' / (exp({n}*x) + exp(-{n}*x))**2"'
                ),
            ),
            (
                '"(exp(2*x) + 2 + exp(-2*x) - exp(2*x) + 2 - exp(-2*x)) / (exp(x) + exp(-x))**2"',
                lambda n: f'"{n}*(2 + 2) / (exp({n}*x) + exp(-{n}*x))**2"',
            ),
            (
                '"4 / (exp(x) + exp(-x))**2"',
                lambda n: f'"{4 * n} / (exp({n}*x) + exp(-{n}*x))**2"',
            ),
            (
                "$u = e^x - e^{-x}$ and $v = e^x + e^{-x}$ we have $u' = v$ and $v' = u$, so the"
                " quotient rule gives $(v^2 - u^2)/v^2$",
                lambda n: (
                    f"$u = e^{{{n}x}} - e^{{-{n}x}}$ and $v = e^{{{n}x}} + e^{{-{n}x}}$ we have"
                    f" $u' = {n}v$ and $v' = {n}u$, so the quotient rule gives"
                    f" ${n}(v^2 - u^2)/v^2$"
                ),
            ),
            ("4 e^x e^{-x} = 4", lambda n: f"4 e^{{{n}x}} e^{{-{n}x}} = 4"),
        ),
    ),
    "2.1": Number(
        (1, 2, 3, 4, 5),  # the factor of y²
        (
            (r"x\,y + y^2", lambda n: rf"x\,y + {n} y^2"),
            ("x·y + y²", lambda n: f"x·y + {n}·y²"),
            ("is (1.0, 7.0)", lambda n: f"is (1.0, {3 + 4 * n:.1f})"),
            ("(x + 2 * y)", lambda n: f"(x + {2 * n} * y)"),
            ("(x + 2y)", lambda n: f"(x + {2 * n}y)"),
            ("$z = x^3 + x^4$", lambda n: f"$z = x^3 + {n}x^4$"),
            ("$3x^2 + 4x^3$", lambda n: f"$3x^2 + {4 * n}x^3$"),
        ),
    ),
    "2.2": Number(
        (1, 2, 3, 4, 5),  # the factor in v₂
        (
            (r"\ln x_1 + x_1 x_2", lambda n: rf"\ln x_1 + {n} x_1 x_2"),
            ("v_2 = x_1 x_2", lambda n: f"v_2 = {n} x_1 x_2"),
            ('["x1"] is 5.5', lambda n: f'["x1"] is {5 * n + 0.5}'),
            ("v2 * x1 + v3", lambda n: f"{n} * v2 * x1 + v3"),
            ("v2 * x2 + v1", lambda n: f"{n} * v2 * x2 + v1"),
            (r"$\bar v_2 \cdot x_1$", lambda n: rf"$\bar v_2 \cdot {n} x_1$"),
            (r"\bar v_2 x_2", lambda n: rf"{n} \bar v_2 x_2"),
        ),
    ),
}
