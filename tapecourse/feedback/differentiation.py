"""The checks of the exercises of chapter 01."""

from collections.abc import Callable
from typing import Any

import numpy as np
import sympy

from tapecourse.differentiation import Dual
from tapecourse.feedback.checking import shorten
from tapecourse.feedback.core import NotRight, Parts, exercise, mistake
from tapecourse.feedback.predictions import predict
from tapecourse.support.variants import own_number

Random = np.random.Generator


def signed(random: Random, low: float, high: float) -> float:
    """Draw a number of either sign, whose size is between two."""
    return float(random.uniform(low, high) * random.choice([-1, 1]))


def named(name: str, function: Callable, **more: Any) -> Callable:
    """Give a function the name by which a hint calls it."""
    function.__doc__ = name
    vars(function).update(more)
    return function


# --- 1.1


def with_parts(by_x: Callable | None = None, by_y: Callable | None = None) -> Callable:
    """Make an answer that is right but for some; each takes x, y, the front's slope, f itself."""

    def answer(x: float, y: float) -> tuple:
        right, n = gradient(x, y), own_number("1.1")
        seen = x, y, n * x ** (n - 1) * np.exp(x * y), x**n * np.exp(x * y)
        return (by_x(*seen) if by_x else right[0], by_y(*seen) if by_y else right[1])

    return answer


def gradient(x: float, y: float) -> tuple:
    """Return ∂f/∂x and ∂f/∂y of xⁿ·exp(x·y)."""
    e, n = np.exp(x * y), own_number("1.1")
    return n * x ** (n - 1) * e + x**n * y * e, x ** (n + 1) * e


exercise(
    "1.1",
    "Two partial derivatives by hand",
    1,
    mistake(
        "order",
        "Both are right, but in the wrong order: first ∂f/∂x, then ∂f/∂y.",
        "Which of your two formulas holds y still?",
        lambda x, y: gradient(x, y)[::-1],
    ),
    mistake(
        "product_rule",
        "x stands in two places, and the result counts only one of them.",
        "When x moves, both factors of f move: what is the rule for a product?",
        with_parts(lambda x, y, slope, f: slope),
        with_parts(lambda x, y, slope, f: y * f),
    ),
    mistake(
        "chain_rule",
        "the exponent's own derivative is missing.",
        "What is the derivative of exp(3t), and where does the 3 come from?",
        with_parts(lambda x, y, slope, f: slope + f, lambda x, y, slope, f: f),
        with_parts(by_y=lambda x, y, slope, f: f),
    ),
    mistake(
        "factor_in_front",
        "the x in front of the exponential is lost in one of the two terms.",
        "In u·v' the factor u stays as it is: what is u here?",
        with_parts(lambda x, y, slope, f: slope + y * np.exp(x * y)),
    ),
    mistake(
        "exponential_alone",
        "only the exponential is differentiated, and the factor in front of it is lost.",
        "Both factors contain x: what is the rule for a product?",
        with_parts(lambda x, y, slope, f: y * np.exp(x * y)),
    ),
    mistake(
        "sign",
        "the sign between the two terms, or in the exponent, is wrong.",
        "Is a minus in f, or in one of the rules that you used?",
        with_parts(lambda x, y, slope, f: slope - y * f),
        with_parts(
            lambda x, y, slope, f: (slope + y * f) * np.exp(-2 * x * y),
            lambda x, y, slope, f: x * f * np.exp(-2 * x * y),
        ),
    ),
    mistake(
        "not_held",
        "x is differentiated, too, where it should be held still.",
        "When only y moves, x is a constant: what becomes of a constant factor?",
        with_parts(by_y=lambda x, y, slope, f: f + x * slope),
        with_parts(by_y=lambda x, y, slope, f: slope + x * f),
    ),
    cases=lambda random: (
        [(1.0, 0.0), (2, -1)]
        + [(signed(random, 0.2, 1.5), signed(random, 0.2, 1.5)) for _ in range(8)]
    ),
    question="Compare each with a `central_difference`, with the other input held still.",
    parts=("∂f/∂x", "∂f/∂y"),
    allowed=("differentiation",),
    by_part=True,
)(gradient)


# --- 1.2

METHODS = "forward difference", "central difference", "dual numbers", "tape"


def but(method: str, *counts: Callable) -> list[Callable]:
    """Make answers that are right but for one method."""

    def make(count: Callable) -> Callable:
        return lambda asked, n, m: count(n, m) if asked == method else passes(asked, n, m)

    return [make(count) for count in counts]


def passes(method: str, inputs: int, outputs: int) -> int:
    """Count the passes that a method needs for a Jacobian."""
    counts = {
        "forward difference": inputs + 1,
        "central difference": 2 * inputs,
        "dual numbers": inputs,
        "tape": 1 + outputs,
    }
    return counts[method]


exercise(
    "1.2",
    "What a Jacobian costs",
    1,
    mistake(
        "base_value",
        "the value at the point itself isn't counted.",
        "From which value is every forward difference taken?",
        *but("forward difference", lambda n, m: n),
    ),
    mistake(
        "one_side",
        "each input moves to one side only, and one value is shared by all.",
        "Write down the forward difference for two inputs: at which points is f evaluated?",
        *but("forward difference", lambda n, m: 2 * n, lambda n, m: 2 * n + 1),
    ),
    mistake(
        "outputs_at_once",
        "the outputs are counted, and one run of f gives all of them.",
        "How many outputs does one run forwards give, and how many inputs does it move?",
        *but("forward difference", lambda n, m: (n + 1) * m, lambda n, m: n * m),
        *but("central difference", lambda n, m: 2 * n * m),
        *but("dual numbers", lambda n, m: n * m, lambda n, m: max(n, m)),
    ),
    mistake(
        "primal_comes_along",
        "no run apart is needed for the value at the point.",
        "What does a dual number carry beside its tangent?",
        *but("dual numbers", lambda n, m: n + 1),
    ),
    mistake(
        "one_direction",
        "the count doesn't depend on the number of inputs.",
        "How many inputs move in one pass with dual numbers?",
        *but("dual numbers", lambda n, m: 1, lambda n, m: 2),
    ),
    mistake(
        "forward_once",
        "the run forwards is counted once for each output.",
        "What does the tape still hold after the first pass back?",
        *but("tape", lambda n, m: 2 * m),
    ),
    mistake(
        "inputs_for_free",
        "the count grows with the number of inputs as well.",
        "One pass back serves how many inputs, and how many outputs?",
        *but("tape", lambda n, m: n + m, lambda n, m: n * m, lambda n, m: n + m + 1),
    ),
    mistake(
        "both_sides",
        "each input moves to both sides, and the point itself isn't used.",
        "Write down the central difference for two inputs: at which points is f evaluated?",
        *but("central difference", lambda n, m: n, lambda n, m: n + 1, lambda n, m: 2 * n + 1),
    ),
    mistake(
        "modes_swapped",
        "the count grows with the wrong number.",
        "Differences and dual numbers move one input, reverse mode follows one output. Which?",
        *but("dual numbers", lambda n, m: m, lambda n, m: m + 1),
        *but("tape", lambda n, m: n, lambda n, m: n + 1),
        *but("forward difference", lambda n, m: m + 1, lambda n, m: m),
        *but("central difference", lambda n, m: 2 * m),
    ),
    mistake(
        "forward_pass",
        "one pass is missing.",
        "What must a tape have done before it can run backwards?",
        *but("tape", lambda n, m: m),
    ),
    mistake(
        "one_output",
        "the count doesn't depend on the number of outputs.",
        "One pass back serves all inputs, but how many outputs?",
        *but("tape", lambda n, m: 2, lambda n, m: 1),
    ),
    cases=lambda random: (
        [(1, 1), (3, 1000), (1000, 1)]
        + [tuple(map(int, random.integers(1, 50, 2))) for _ in range(6)]
    ),
    question="Go through it on paper for 2 inputs and 3 outputs.",
    probe=lambda answer, n, m: {method: answer(method, n, m) for method in METHODS},
    inputs=("inputs", "outputs"),
    tolerance=1e-9,
    by_part=True,
)(passes)


# --- 1.3

CURVES = [  # with the exact second derivative, and a bound of how fast that bends near there
    named("x⁶", lambda x: x**6, second=lambda x: 30 * x**4),
    named("exp(x)", lambda x: np.exp(x), second=lambda x: np.exp(x)),
    named("sin(2x)", lambda x: np.sin(2 * x), second=lambda x: -4 * np.sin(2 * x)),
    named("3 − 2x + x²", lambda x: 3 - 2 * x + x**2, second=lambda x: 2.0),
]


REACH = "how far from x it looks with h/2, relative to h,"


def watch_steps(answer: Callable, f: Callable, x: float, h: float) -> dict:
    """Take a second difference, and look how far from x it goes, for h and for h/2."""

    def try_step(step: float) -> tuple[Any, float]:
        points = [x]
        value = answer(lambda at: points.append(at) or f(at), x, step)
        return value, max(float(np.max(abs(point - x))) for point in points)

    (value, reach), (_, half) = try_step(h), try_step(h / 2)
    return {"the answer": value, REACH: round(half / reach, 3) if reach else 0.0}


def three_point(
    left: float, here: float, right: float, power: int = 2, factor: float = 1
) -> Callable:
    """Make a formula of three values, with these weights, over factor·h to a power."""
    return lambda f, x, h: (left * f(x - h) + here * f(x) + right * f(x + h)) / (factor * h**power)


def second_difference(f: Callable, x: float, h: float) -> float:
    """Approximate f''(x)."""
    return (f(x + h) - 2 * f(x) + f(x - h)) / h**2


exercise(
    "1.3",
    "A second derivative from three values",
    2,
    mistake(
        "h_not_squared",
        "It is a difference of differences, and is divided by the step only once.",
        "Each slope divides by its step. Does the difference of the two slopes, too?",
        three_point(1, -2, 1, 1),
        three_point(1, -2, 1, 1, 2),
    ),
    mistake(
        "two_h",
        "It divides by 2h where h is the distance.",
        "Over which distance was each slope taken, and how far apart are the two slopes?",
        three_point(1, -2, 1, 2, 2),
        three_point(1, -2, 1, 2, 4),
    ),
    mistake(
        "parentheses",
        "Not all of the formula is divided by h².",
        "In which order does Python compute your line? Look at the parentheses.",
        lambda f, x, h: f(x + h) - 2 * f(x) + f(x - h) / h**2,
        lambda f, x, h: f(x - h) - 2 * f(x) + f(x + h) / h**2,
        lambda f, x, h: (f(x + h) - 2 * f(x) + f(x - h)) / h * h,
    ),
    mistake(
        "first",
        "This is the slope, the first derivative.",
        "How fast does the slope itself change?",
        three_point(-1, 0, 1, 1, 2),
        three_point(0, -1, 1, 1),
        three_point(-1, 1, 0, 1),
    ),
    mistake(
        "middle",
        "For a constant f it isn't 0.",
        "How often, and with which sign, does each of the three values occur?",
        three_point(1, -1, 1),
        three_point(1, 2, 1),
        three_point(1, 0, 1),
        three_point(-1, -2, 1),
        three_point(1, -2, -1),
    ),
    mistake(
        "sign",
        "The sign is wrong: for a parabola that opens upwards the result is negative.",
        "Which of the two slopes comes first in a difference?",
        three_point(-1, 2, -1),
    ),
    mistake(
        "one_sided",
        "All points but x lie on one side of it, so the error falls with h only, not with h².",
        "Which three points lie evenly around x?",
        lambda f, x, h: (f(x + 2 * h) - 2 * f(x + h) + f(x)) / h**2,
        lambda f, x, h: (f(x - 2 * h) - 2 * f(x - h) + f(x)) / h**2,
    ),
    mistake(
        "twice_as_far",
        "It takes f at x ± 2h, and divides by h².",
        "How far apart are your points?",
        lambda f, x, h: 4 * three_point(1, -2, 1)(f, x, 2 * h),
    ),
    mistake(
        "of_the_slope",
        "It is a product of slopes, not a difference.",
        "Which two slopes are compared?",
        lambda f, x, h: three_point(-1, 0, 1, 1, 2)(f, x, h) ** 2,
        lambda f, x, h: three_point(0, -1, 1, 1)(f, x, h) * three_point(-1, 1, 0, 1)(f, x, h),
    ),
    mistake(
        "fixed_step",
        "With half the h it takes f at points just as far away from x.",
        "Is h used as it is given?",
        seen=lambda found, right: all(each[REACH] == 1 for each in found),
    ),
    cases=lambda random: [(f, signed(random, 0.5, 1.1), h) for f in CURVES for h in (0.1, 0.04)],
    within=lambda f, x, h: 5 * abs(three_point(1, -2, 1)(f, x, h) - f.second(x)) + 1e-8,
    question="Of which two slopes is it the difference? What does it give for x²?",
    probe=watch_steps,
    allowed=("differentiation",),
)(second_difference)


# --- 1.4


def both_less(found: list, right: list) -> bool:
    """Tell whether both steps are far too small."""
    return all(
        name in found[0] and found[0][name] < right[0][name] - np.log10(5) for name in right[0]
    )


def logarithms(answer: Callable) -> tuple:
    """Return the orders of magnitude of the two steps."""
    steps = answer()
    if steps is None or np.shape(steps) != (2,) or np.asarray(steps).dtype.kind not in "fiu":
        raise NotRight("shape", f"It must return two numbers, not {steps!r}.")
    if not np.all(np.asarray(steps) > 0):
        raise NotRight("no_step", "A step is a positive number.", "What is f(x − h) for h = 0?")
    return tuple(np.log10(steps))


def best_steps() -> tuple:
    """Return the best steps of the second difference in float64 and in float32."""
    return (48 * 2.2e-16) ** 0.25, (48 * 1.2e-7) ** 0.25


exercise(
    "1.4",
    "The best step, before running it",
    2,
    mistake(
        "order",
        "Right, but in the wrong order: first float64, then float32.",
        "Which of the two types has the smaller ε?",
        lambda: best_steps()[::-1],
    ),
    mistake(
        "rule_of_slope",
        "These are the best steps of a slope, whose round-off is divided by h.",
        "By what is the round-off divided here?",
        lambda: (1.5e-8, 3.4e-4),
        lambda: (6e-6, 5e-3),
    ),
    mistake(
        "smaller_is_better",
        "Both are under a fifth of the best: round-off is over 600 times the truncation error.",
        "How large is ε·|f| / h² at your steps?",
        seen=both_less,
    ),
    mistake(
        "same_for_both",
        "In float32, ε is 5·10⁸ times as large, and your step is nearly the same.",
        "How does the best step depend on ε?",
        seen=lambda found, right: (
            "log₁₀ of the step for float32" in found[0]
            and bool(
                abs(
                    found[0]["log₁₀ of the step for float64"]
                    - found[0]["log₁₀ of the step for float32"]
                )
                < np.log10(2)
            )
        ),
    ),
    mistake(
        "float64_right",
        "The step for float64 is right, that for float32 is off by more than a factor of 5.",
        "Put the other ε into the same formula.",
        seen=lambda found, right: one_right(found, right, "log₁₀ of the step for float64"),
    ),
    mistake(
        "float32_right",
        "The step for float32 is right, that for float64 is off by more than a factor of 5.",
        "Put the other ε into the same formula.",
        seen=lambda found, right: one_right(found, right, "log₁₀ of the step for float32"),
    ),
    mistake(
        "neither",
        "Both steps are off by more than a factor of 5.",
        "At the best step, the truncation error and the round-off are equal. How large is each?",
        seen=lambda found, right: "log₁₀ of the step for float32" in found[0],
    ),
    cases=lambda random: [()],
    within=lambda: float(np.log10(5)),
    probe=logarithms,
    parts=("log₁₀ of the step for float64", "log₁₀ of the step for float32"),
    secret=True,
)(best_steps)


def one_right(found: list, right: list, name: str) -> bool:
    """Tell whether a step is right up to a factor of 5."""
    return name in found[0] and bool(abs(found[0][name] - right[0][name]) <= np.log10(5))


# --- 1.5


def parts_of_dual(answer: Callable, primal: float, tangent: float) -> dict:
    """Give a dual number to an answer, and take the result apart."""
    given = Dual(primal, tangent)
    result = answer(given)
    if (given.primal, given.tangent) != (primal, tangent):
        fact = "It changes the dual number that it is given, which others may need."
        raise NotRight("changes_argument", fact, "Which line assigns to a part of x?")
    if not isinstance(result, Dual):
        kind = type(result).__name__
        key = "no_return" if result is None else "no_dual"
        raise NotRight(
            key, f"It must return a `Dual`, and returns {kind}.", "Is there a `return Dual(...)`?"
        )
    return {"the primal": result.primal, "the tangent": result.tangent}


def with_tangent(tangent: Callable) -> Callable:
    """Make a tanh whose tangent is a function of (a, b, tanh a)."""
    return lambda x: Dual(np.tanh(x.primal), tangent(x.primal, x.tangent, np.tanh(x.primal)))


def tanh(x: Dual) -> Dual:
    """Return the tanh of a dual number."""
    t = np.tanh(x.primal)
    return Dual(t, x.tangent * (1 - t**2))


exercise(
    "1.5",
    "Teach the dual numbers a function",
    2,
    mistake(
        "primal",
        "The primal is still that of the input.",
        "What is the value of tanh there?",
        lambda x: Dual(x.primal, tanh(x).tangent),
        lambda x: Dual(x.primal, 1 - np.tanh(x.primal) ** 2),
    ),
    mistake(
        "chain_rule",
        "The new tangent needs two factors, and one of them is missing.",
        "What is the slope of tanh there, and how fast does the input itself change?",
        with_tangent(lambda a, b, t: 1 - t**2),
        with_tangent(lambda a, b, t: b),
    ),
    mistake(
        "wrong_place",
        "The slope isn't that of tanh at the primal.",
        "1 − tanh² means the square of what? And does a tangent ever go through tanh itself?",
        with_tangent(lambda a, b, t: b * (1 - a**2)),
        with_tangent(lambda a, b, t: np.tanh(b)),
        with_tangent(lambda a, b, t: b * (1 - np.tanh(b) ** 2)),
        with_tangent(lambda a, b, t: 1 - np.tanh(b) ** 2),
    ),
    mistake(
        "parts_swapped",
        "Primal and tangent have changed places.",
        "Which part of a `Dual` comes first?",
        lambda x: Dual(tanh(x).tangent, tanh(x).primal),
    ),
    mistake(
        "added",
        "The slope and the tangent of the input are added, not multiplied.",
        "If the input changes twice as fast, how fast does the result change?",
        with_tangent(lambda a, b, t: 1 - t**2 + b),
    ),
    mistake(
        "other_function",
        "The primal is that of another function: of tan, sinh or the sigmoid.",
        "What is tanh, written with exponentials?",
        lambda x: Dual(np.tan(x.primal), x.tangent * (1 + np.tan(x.primal) ** 2)),
        lambda x: Dual(np.tan(x.primal), x.tangent * (1 - np.tan(x.primal) ** 2)),
        lambda x: Dual(np.sinh(x.primal), x.tangent * np.cosh(x.primal)),
        lambda x: (np.exp(x) - np.exp(-x)) / 2,
        lambda x: 1 / (1 + np.exp(-x)),
    ),
    mistake(
        "rule",
        "The tangent is multiplied by something else than 1 − tanh².",
        "Is your slope 1 at 0, and near 0 far away from it? Compare it letter by letter.",
        with_tangent(lambda a, b, t: b * (1 - t)),
        with_tangent(lambda a, b, t: b * t * (1 - t)),
        with_tangent(lambda a, b, t: b * (1 + t**2)),
        with_tangent(lambda a, b, t: b * t**2),
        with_tangent(lambda a, b, t: -b * (1 - t**2)),
        with_tangent(lambda a, b, t: b * np.cosh(a) ** 2),
        with_tangent(lambda a, b, t: b / np.sinh(a) ** 2),
    ),
    cases=lambda random: (
        [(0.0, 3.0), (0.7, 0.0)]
        + [(signed(random, 0.2, 2), signed(random, 0.5, 3)) for _ in range(8)]
    ),
    question="Compare it with `central_difference(np.tanh, x)`, for a tangent of 1.",
    probe=parts_of_dual,
    inputs=("x.primal", "x.tangent"),
    allowed=("differentiation",),
)(tanh)


# --- 1.6


def nested(x: float) -> Any:
    """Make the dual number of a dual number, x moving in both."""
    number: Any = Dual  # takes more than floats
    return number(number(x, 1.0), number(1.0, 0.0))


FUNCTIONS = [
    (named("x·x·x", lambda x: x * x * x), 2.0),
    (named("x·exp(x)", lambda x: x * np.exp(x)), 0.5),
    (named("x²·sin(x)", lambda x: x**2 * np.sin(x)), -1.5),
    (named("1/x", lambda x: 1 / x), -0.8),
    (named("log(x)/x", lambda x: np.log(x) / x), 1.7),
    (named("cos(2x) − (x − 1)⁴", lambda x: np.cos(2 * x) - (x - 1) ** 4), 0.3),
    (named("3x − 2", lambda x: 3 * x - 2), 1.2),
]


def nearly(found: list[Parts], right: list[Parts]) -> bool:
    """Tell whether all numbers are close to what is right."""
    pairs = [(a.get("the answer"), b["the answer"]) for a, b in zip(found, right)]
    return all(
        isinstance(a, np.ndarray) and np.allclose(a, b, rtol=1e-2, atol=1e-2) for a, b in pairs
    )


def second_derivative(f: Callable, x: float) -> float:
    """Return f''(x), exact up to rounding."""
    return f(nested(x)).tangent.tangent


exercise(
    "1.6",
    "A second derivative from nested dual numbers",
    3,
    mistake(
        "still_dual",
        "The result is still a `Dual`: it has parts.",
        "Which of its parts is f''?",
        lambda f, x: f(nested(x)).tangent,
        lambda f, x: f(nested(x)),
    ),
    mistake(
        "first",
        "This is f', the first derivative.",
        "What is the tangent of the tangent, if x moves in both dual numbers?",
        lambda f, x: f(Dual(x, 1.0)).tangent,
    ),
    mistake(
        "value_of_f",
        "This is f itself: the primal of the primal.",
        "Where did the tangents go?",
        lambda f, x: f(Dual(x, 1.0)).primal,
    ),
    mistake(
        "no_inner_tangent",
        "It is 0 for every f.",
        "In which of the two dual numbers does x move?",
        lambda f, x: 0.0,
    ),
    mistake(
        "both",
        "It is f' + f'': the tangent of the tangent, and something more.",
        "How fast does the speed of x itself change? Which part of your number says so?",
        lambda f, x: f(Dual(x, 1.0)).tangent + second_derivative(f, x),
    ),
    mistake(
        "squared",
        "It is the square of f', not the derivative of f'.",
        "What must be differentiated a second time?",
        lambda f, x: f(Dual(x, 1.0)).tangent ** 2,
    ),
    mistake(
        "twice",
        "It is twice f''.",
        "How fast does x move in each of the two directions?",
        lambda f, x: 2 * second_derivative(f, x),
    ),
    mistake(
        "differences",
        "It is close to f'', but not exact, and dual numbers have no error but rounding.",
        "Is there a step h in it?",
        seen=nearly,
    ),
    cases=lambda random: (
        FUNCTIONS + [(f, float(x + random.uniform(0.05, 0.2))) for f, x in FUNCTIONS]
    ),
    question="What is the derivative of `f(Dual(x, 1.0)).tangent`? Put a `Dual` for x there.",
    tolerance=1e-11,
    allowed=("differentiation",),
)(second_derivative)


# --- 1.7


def quotient(x: Any, sign: float = -1.0, power: int = 2, only_top: bool = False) -> Any:
    """Return the derivative of (eⁿˣ − e⁻ⁿˣ)/(eⁿˣ + e⁻ⁿˣ) by the quotient rule, right or wrong."""
    n = own_number("1.7")
    top, bottom = np.exp(n * x) - np.exp(-n * x), np.exp(n * x) + np.exp(-n * x)
    if only_top:
        return bottom / top
    return n * (bottom * bottom + sign * top * top) / bottom**power


WRONG_RULES = {
    "The two products are added.": lambda x: quotient(x, sign=1.0),
    "The denominator isn't squared.": lambda x: quotient(x, power=1),
    "The two products are subtracted the wrong way round.": lambda x: -quotient(x),
    "Numerator and denominator are differentiated each by itself.": lambda x: quotient(
        x, only_top=True
    ),
    "It is 0 for every x. Is the derivative of exp(-x) taken to be exp(-x)?": lambda x: 0 * x,
}
COMPUTE = "simplify", "factor", "expand", "cancel", "together", "apart", "radsimp"
POINTS = np.array([0.3, -0.8, 1.7])


def formula(line: str) -> Any:
    """Read a formula as SymPy does, e as its number."""
    reader: Any = sympy.sympify
    return reader(line, {"e": sympy.E})


def read_lines(answer: Callable) -> dict:
    """Judge a derivation line by line, and say which is the first that is wrong."""
    lines = answer()
    if lines is None or isinstance(lines, str) or not all(isinstance(x, str) for x in lines):
        fact = "The answer must be a list of texts, one for each line."
        raise NotRight("no_lines", fact, "Does each line stand in quotes, and a comma after it?")
    previous = "f'(x) itself"
    for number, line in enumerate(lines, 1):
        if any(name in line for name in COMPUTE):
            fact = f"In line {number}, `{line}`, SymPy would do the work: write its result."
            raise NotRight("computed", fact, "Which rule does the step use?")
        try:
            expression = formula(line)
            values = [complex(expression.subs("x", point)) for point in POINTS]
        except Exception as error:
            fact = (
                f"Line {number}, `{shorten(line)}`, is no formula in x alone that SymPy can read."
            )
            raise NotRight("unreadable", fact, what_is_odd(line, error)) from None
        if not np.allclose(values, quotient(POINTS)):
            rules = [
                fact for fact, rule in WRONG_RULES.items() if np.allclose(values, rule(POINTS))
            ]
            fact = f"Line {number}, `{shorten(line)}`, is not equal to {previous}."
            right = quotient(POINTS)[0]
            at = f"At x = {POINTS[0]} it is {values[0].real:.4g}; right is {right:.4g}."
            raise NotRight("wrong_line", f"{fact}\n{at}", *rules[:1])
        previous = f"line {number}"
    different = len({line.replace(" ", "") for line in lines})
    if different < 3:
        fact = f"At least 3 different lines are asked for, and there {are(different)}."
        raise NotRight("too_short", fact, "What stands between the rule and the result?")
    if formula(lines[-1]).count_ops() > 9:
        fact = "All lines are right; the last can be made shorter."
        raise NotRight("not_simple", fact, "What do the squares give, and what cancels?")
    return {"the derivation": True}


def are(number: int) -> str:
    """Say how many there are."""
    return "is 1" if number == 1 else f"are {number}"


def what_is_odd(line: str, error: Exception) -> str:
    """Say why a line can't be read: what Python says of it, or SymPy."""
    try:
        compile(line.replace("^", "**"), "", "eval")
    except SyntaxError as syntax:
        return f"Python says of it: {syntax.msg}."
    odd = sorted(
        {str(each) for each in getattr(formula_or_none(line), "free_symbols", ())} - {"x"}
    )
    if odd:
        return f"It contains {', '.join(odd)}: put a formula in x for it."
    return f"{type(error).__name__}: {error}".splitlines()[0]


def formula_or_none(line: str) -> Any:
    """Read a formula, if SymPy can."""
    try:
        return formula(line)
    except Exception:
        return None


def derivation() -> list:
    """Return the lines of a derivation."""
    n = own_number("1.7")
    u, v = f"(exp({n}*x) - exp(-{n}*x))", f"(exp({n}*x) + exp(-{n}*x))"
    return [f"{n}*({v}**2 - {u}**2) / {v}**2", f"{n}*(2 + 2) / {v}**2", f"{4 * n} / {v}**2"]


exercise(
    "1.7",
    "A derivation, line by line",
    2,
    cases=lambda random: [()],
    question="Which rule leads from the line before to this one? Write it with u and v first.",
    probe=read_lines,
)(derivation)


# --- 1.8


predict(
    "1.8",
    "odds_of_differences",
    2,
    a=(False, "A complex step with h = 1e-20 has lost all digits to round-off."),
    b=(True, "For exp at 1, a central difference errs a quarter as much at h = 0.005 as at 0.01."),
    c=(True, "The central difference of |x| at 0 is 0, for every h."),
    d=(False, "The derivative of x² at 3 by dual numbers is off in its last digit."),
    e=(True, "The forward difference of sin at 1 with h = 1e-16 is exactly 0."),
    f=(False, "A complex step differentiates np.abs at -2 rightly."),
)
