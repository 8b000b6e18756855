"""The checks of the exercises of chapter 01."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tapecourse.differentiation import Dual
from tapecourse.feedback.core import (
    NotRight,
    as_numbers,
    call,
    exercise,
    expect,
    is_close,
    returned,
)


@exercise(
    "1.1",
    "Two partial derivatives by hand",
    points=1,
    hints={
        "order": "Right, but in the wrong order: first ∂f/∂x, then ∂f/∂y.",
        "product_rule": "x stands in front of the exponential and inside it.\n"
        "By x, this is a product of two things that both move.",
        "chain_rule": "An exponent that depends on the input brings its own derivative along.",
        "one_wrong": "The other one is right, but ∂f/∂{name} is not. Which rule does it need?",
        "value": "Neither of the two is right.\n"
        "Compare each with a `central_difference`, with the other input held still.",
    },
)
def gradient(answer: Callable) -> None:
    """(x, y) -> both partial derivatives of x·exp(x·y)."""
    points = [(0.5, 1.2), (-0.7, 0.4), (1.1, -0.3)]
    found = np.array([as_numbers(call(answer, *p), (2,), "the answer") for p in points])
    x, y = np.array(points).T
    e = np.exp(x * y)
    by_x, by_y = e * (1 + x * y), x * x * e
    pairs = [
        ("order", by_y, by_x),
        ("product_rule", e, by_y),
        ("product_rule", x * y * e, by_y),
        ("chain_rule", e + x * e, by_y),
        ("chain_rule", by_x, x * e),
        ("chain_rule", e + x * e, x * e),
    ]
    mistakes = [(misconception, np.stack(pair, axis=1)) for misconception, *pair in pairs]
    right = np.stack([by_x, by_y], axis=1)
    is_right = np.all(np.isclose(found, right, rtol=1e-4), axis=0)
    otherwise = "one_wrong" if is_right.any() else "value"
    expect(found, right, mistakes, otherwise, name="xy"[int(is_right[0])])


@exercise(
    "1.2",
    "What a Jacobian costs",
    points=1,
    hints={
        "base_value": "Every forward difference is taken from f at the point itself: count it.",
        "both_sides": "A central difference uses both sides of each input, not the point itself.",
        "modes_swapped": "{method!r}: forward mode follows one input through the program,\n"
        "reverse mode one output.",
        "forward_pass": "Before the tape can run backwards, it must have recorded a run forwards.",
        "one_output": "One pass back serves all inputs, but only one output.",
        "value": "The count for {method!r} is not right. Try 2 inputs and 3 outputs on paper.",
    },
)
def passes(answer: Callable) -> None:
    """(method, inputs, outputs) -> number of passes."""
    sizes = [(3, 1000), (1000, 1), (20, 7)]
    n, m = np.array(sizes).T
    counts = {
        "forward difference": (n + 1, [("base_value", n)]),
        "central difference": (2 * n, [("both_sides", wrong) for wrong in (n, n + 1, 2 * n + 1)]),
        "dual numbers": (n, [("modes_swapped", wrong) for wrong in (m, m + 1)]),
        "tape": (
            m + 1,
            [
                ("forward_pass", m),
                ("one_output", np.full(3, 1)),
                ("one_output", np.full(3, 2)),
                ("modes_swapped", n),
                ("modes_swapped", n + 1),
            ],
        ),
    }
    for method, (right, mistakes) in counts.items():
        what = f"the count for {method!r}"
        found = [as_numbers(call(answer, method, *size), (), what) for size in sizes]
        expect(np.array(found), right, mistakes, method=method)


@exercise(
    "1.3",
    "A second derivative from three values",
    points=2,
    hints={
        "h_not_squared": "This is a difference of differences: both of them divide by their step.",
        "two_h": "2h is the distance of the two outer points.\n"
        "Over which distance was each slope taken, and how far apart are the two slopes?",
        "first": "This is the slope. How fast does the slope itself change?",
        "parentheses": "Which part of your formula is divided by h²? Look at the parentheses.",
        "middle": "For a constant f it isn't 0. How often, and with which sign, does f(x) occur?",
        "sign": "The sign is wrong: for a parabola that opens upwards it must be positive.",
        "one_sided": "All its points but x lie on one side: so the error falls with h, not h².",
        "fixed_step": "With half the step, the error is not a quarter. Is h used as given?",
        "value": "For f = x⁶ at 0.8 it is far off. Of which two slopes is it the difference?",
    },
)
def second_difference(answer: Callable) -> None:
    """(f, x, h) -> f'' with an error that falls with h²."""

    def f(x: Any) -> Any:
        return x**6

    def measure(h: float) -> np.ndarray:
        return as_numbers(call(answer, f, x, h), (), "the answer")

    # the error of the three values is 19·h², of wider ones up to 200·h²; below 0.01·h² isn't of h
    x, h = 0.8, 0.1
    right, found = 30 * x**4, measure(h)
    error = abs(found - right)
    left, here, there = f(x - h), f(x), f(x + h)
    second = left - 2 * here + there
    mistakes = [
        ("h_not_squared", second / h),
        ("h_not_squared", second / h / 2),
        ("two_h", second / h**2 / 2),
        ("two_h", second / h**2 / 4),
        ("parentheses", there - 2 * here + left / h**2),
        ("parentheses", left - 2 * here + there / h**2),
        ("parentheses", second / h * h),
        ("first", (there - left) / h / 2),
        ("first", (there - here) / h),
        ("middle", (left - here + there) / h**2),
        ("middle", (left + 2 * here + there) / h**2),
        ("sign", -second / h**2),
        ("one_sided", (f(x + 2 * h) - 2 * there + here) / h**2),
        ("one_sided", (here - 2 * left + f(x - 2 * h)) / h**2),
    ]
    for misconception, wrong in mistakes:  # first: one may lie near the right value by chance
        if is_close(found, wrong, 1e-4):
            raise NotRight(misconception)
    if not error <= 200 * h**2:  # this way round, NaN is refused
        raise NotRight("value")
    if error < 0.01 * h**2 or not abs(measure(h / 2) - right) <= error / 3:
        raise NotRight("fixed_step")


@exercise(
    "1.4",
    "The best step, before running it",
    points=2,
    hints={
        "order": "Right, but in the wrong order: first float64, then float32.",
        "rule_of_slope": "This balances an error that is divided by h, as a slope's is.\n"
        "By what is the round-off divided here?",
        "smaller_is_better": "Much too small: round-off drowns the result there.\n"
        "How large is ε·|f| / h² at this step?",
        "same_for_both": "In float32, ε is 5·10⁸ times as large: the best step can't be the same.",
        "no_step": "A step is a positive number.",
        "value": "The step for {which} is off by more than a factor of 5.\n"
        "At the best step, the truncation error and the round-off are equal.",
    },
)
def best_steps(answer: Callable) -> None:
    """() -> the best h of the second difference in float64 and in float32."""
    found = as_numbers(call(answer), (2,), "the pair of steps")
    epsilon = np.array([np.finfo("float64").eps, np.finfo("float32").eps])
    right = (48 * epsilon) ** (1 / 4)

    def is_near(steps: np.ndarray) -> np.ndarray:
        return (steps / 5 <= found) & (found <= steps * 5)

    if is_near(right).all():
        return
    if not np.all(found > 0):
        raise NotRight("no_step")
    if is_near(right[::-1]).all():
        raise NotRight("order")
    if is_near(epsilon ** (1 / 2)).all() or is_near(epsilon ** (1 / 3)).all():
        raise NotRight("rule_of_slope")
    if np.all(found < right / 5):
        raise NotRight("smaller_is_better")
    if 0.5 < found[0] / found[1] < 2:
        raise NotRight("same_for_both")
    raise NotRight("value", which="float32" if is_near(right)[0] else "float64")


@exercise(
    "1.5",
    "Teach the dual numbers a function",
    points=2,
    hints={
        "no_dual": "The result must be a `Dual`, and is of the type {kind}.",
        "primal": "The primal is not tanh of the input's primal.",
        "chain_rule": "The new tangent needs two factors:\n"
        "the slope of tanh there, and how fast the input itself changes.",
        "wrong_place": "Where is the slope taken, and what does it multiply?\n"
        "1 − tanh² means the square of tanh; a tangent never goes through tanh itself.",
        "rule": "The derivative of tanh is 1 − tanh². Compare it with yours, letter by letter.",
        "value": "The tangent is not right.\nCompare it with `central_difference(np.tanh, x)`.",
    },
)
def tanh(answer: Callable) -> None:
    """A Dual -> a Dual."""
    inputs = [(0.3, 1.0), (-0.5, 2.5), (1.2, -0.7)]
    outputs = [returned(call(answer, Dual(*pair))) for pair in inputs]
    for output in outputs:
        if not isinstance(output, Dual):
            raise NotRight("no_dual", kind=type(output).__name__)
    a, b = np.array(inputs).T
    t = np.tanh(a)
    primal = np.array([as_numbers(output.primal, (), "the primal") for output in outputs])
    expect(primal, t, otherwise="primal")
    tangent = np.array([as_numbers(output.tangent, (), "the tangent") for output in outputs])
    mistakes = [
        ("chain_rule", 1 - t**2),
        ("chain_rule", b),
        ("wrong_place", b * (1 - a**2)),
        ("wrong_place", np.tanh(b)),
        ("rule", b * (1 - t)),
        ("rule", b * t * (1 - t)),
        ("rule", b * (1 + t**2)),
    ]
    expect(tangent, b * (1 - t**2), mistakes)


@exercise(
    "1.6",
    "A second derivative from nested dual numbers",
    points=3,
    hints={
        "still_dual": "The result is a `Dual` still: it has parts, and one of them is f''.",
        "first": "This is f'. Differentiate once more: take the tangent of the tangent,\n"
        "and let x move in both dual numbers.",
        "value_of_f": "This is f itself: the primal of the primal. Where did the tangents go?",
        "no_inner_tangent": "It is 0 throughout: nothing moves in the inner dual numbers.\n"
        "x moves in both of them.",
        "twice": "It is twice f'': how fast does x move in each of the two directions?",
        "differences": "It is close, but dual numbers have no error at all.\n"
        "Leave out the step h, and nest them.",
        "value": "It is not f''. What is the derivative of `f(Dual(x, 1.0)).tangent`?\n"
        "Put a `Dual` in place of x there.",
    },
)
def second_derivative(answer: Callable) -> None:
    """(f, x) -> f''(x), exactly."""
    e, s, c = np.exp(0.5), np.sin(1.5), np.cos(1.5)
    cases = [  # f, x, and there f, f' and f''
        (lambda x: x * x * x, 2.0, (8.0, 12.0, 12.0)),
        (lambda x: x * np.exp(x), 0.5, (0.5 * e, 1.5 * e, 2.5 * e)),
        (lambda x: x**2 * np.sin(x), 1.5, (2.25 * s, 3 * s + 2.25 * c, 6 * c - 0.25 * s)),
    ]
    results = [call(answer, f, x) for f, x, _ in cases]
    if any(isinstance(result, Dual) for result in results):
        raise NotRight("still_dual")
    found = np.array([as_numbers(result, (), "the answer") for result in results])
    value, first, second = np.array([derivatives for *_, derivatives in cases]).T
    mistakes = [
        ("first", first),
        ("value_of_f", value),
        ("no_inner_tangent", np.zeros(3)),
        ("twice", 2 * second),
    ]
    is_close = np.allclose(found, second, rtol=1e-2)
    expect(found, second, mistakes, "differences" if is_close else "value", tolerance=1e-13)
