"""The checks of the exercises of chapter 03."""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from tapecourse.feedback.core import (
    NotRight,
    as_letters,
    as_numbers,
    call,
    exercise,
    expect,
    is_close,
    returned,
)
from tapecourse.tape import Tape, Tensor, Variable, multiply


@exercise(
    "3.1",
    "A tape for numbers",
    points=3,
    hints={
        "no_scalar": "{what} must be a Scalar too, and is of the type {kind}.",
        "result": "The value of {what} is wrong.",
        "own_factor": "If a changes a little, by how many times as much does a·b change?\n"
        "It doesn't depend on a.",
        "replaced": "x is used twice in {what}, and one of its two paths is lost.\n"
        "What happens to the contributions of paths that meet?",
        "no_chain": "One operation is right, two in a row are not.\n"
        "What is the derivative of the inner one multiplied by?",
        "unconnected": "Where the result doesn't depend on a Scalar, the derivative is 0.",
        "again": "The second call of `gradient` gives another answer than the first.\n"
        "Does something of the first walk remain?",
        "value": "The derivative of {what} is not right. Draw its graph, and follow every path.",
    },
)
def Scalar(answer: Callable) -> None:
    """Number -> an object with value, +, * and gradient(source)."""
    x, w, b = (returned(call(answer, number)) for number in (3.0, 2.0, 5.0))

    def computed(function: Callable, what: str, right: float, *numbers: Any) -> Any:
        result = call(function, *numbers)
        if not hasattr(result, "value"):
            raise NotRight("no_scalar", what=what, kind=type(result).__name__)
        expect(as_numbers(result.value, (), what), right, otherwise="result", what=what)
        return result

    def derivative(result: Any, source: Any) -> Any:
        found = call(result.gradient, source)
        return found if found is None else as_numbers(found, (), "the derivative")

    def expect_derivative(result: Any, right: float, mistakes: list, what: str) -> None:
        found = as_numbers(derivative(result, x), (), "the derivative")
        expect(found, right, mistakes, what=what)

    total = computed(operator.add, "x + w", 5.0, x, w)
    product = computed(operator.mul, "x * w", 6.0, x, w)
    expect_derivative(total, 1.0, [], "x + w")
    if not is_close(as_numbers(derivative(total, x), (), "the derivative"), 1.0, 1e-4):
        raise NotRight("again")
    expect_derivative(product, 2.0, [("own_factor", 3.0)], "x * w")
    chain = computed(operator.mul, "(x * w) * b", 30.0, product, b)
    expect_derivative(chain, 10.0, [("no_chain", 2.0)], "(x * w) * b by x")
    square = computed(operator.mul, "x * x", 9.0, x, x)
    expect_derivative(square, 6.0, [("replaced", 3.0)], "x * x")
    both = computed(operator.add, "x * w + x", 9.0, product, x)
    expect_derivative(both, 3.0, [("replaced", 1.0), ("replaced", 2.0)], "x * w + x")
    diamond = computed(operator.mul, "(x + w) * (x * w)", 30.0, total, product)
    expect_derivative(diamond, 16.0, [("replaced", 6.0), ("replaced", 10.0)], "(x + w) * (x * w)")
    if not is_close(as_numbers(derivative(diamond, w), (), "the derivative"), 21.0, 1e-4):
        raise NotRight("value", what="(x + w) * (x * w) by w")
    apart = derivative(product, call(answer, 1.0))
    if apart is None or not is_close(apart, 0.0, 1e-4):
        raise NotRight("unconnected")


@exercise(
    "3.2",
    "Stop here",
    points=1,
    hints={
        "no_tensor": "The result must be a Tensor, and is of the type {kind}.",
        "flows": "The gradient still flows through it: a recorded operation leads from x to it.\n"
        "By what does a tape know a tensor?",
        "connected": "No gradient flows, but a recorded operation still leads from x to it.\n"
        "By what does a tape know a tensor?",
        "value": "Only the gradient should stop. The value must stay the same.",
    },
)
def stop_gradient(answer: Callable) -> None:
    """Tensor -> the same value, cut off."""
    x = Variable([[1.5], [-2.0]])
    with Tape(persistent=True) as tape:
        squared = multiply(x, x)
        stopped = [returned(call(answer, squared)), returned(call(answer, x))]
        for result in stopped:
            if not isinstance(result, Tensor):
                raise NotRight("no_tensor", kind=type(result).__name__)
        products = [result * x for result in stopped]
    for result, right, product in zip(stopped, [squared.numpy(), x.numpy()], products):
        expect(as_numbers(result, (2, 1), "the answer"), right)
        gradient = as_numbers(tape.gradient(product, x), (2, 1), "the gradient")
        expect(gradient, right, otherwise="flows")
        # a copy that is a Variable is tracked by itself, but nothing leads to it from x
        if id(result) in tape.tracked and tape.gradient(result, x) is not None:
            raise NotRight("connected")


def pulled_back(operation: Callable, x: np.ndarray, bar: np.ndarray) -> np.ndarray:
    """Return the adjoint that a learner's operation gives x when its result has `bar`.

    Raises
    ------
    NotRight
        "not_recorded" where the tape knows nothing of the result.
    """
    variable = Variable(x)
    with Tape() as tape:
        result = returned(call(operation, variable))
    if not isinstance(result, Tensor):
        raise NotRight("not_recorded")
    try:
        gradient = call(tape.gradient, result, variable, bar)
    except NotRight as error:
        raise NotRight("pull_back", **error.details) from None
    if gradient is None:
        raise NotRight("not_recorded")
    return as_numbers(gradient, x.shape, "the adjoint of x")


PULL_BACK_FAILS = "Its pull-back fails: {error}\n{where}\nDoes it return the adjoint of x?"


def second_derivative(operation: Callable, x: np.ndarray, target: Callable) -> np.ndarray:
    """Return the second derivative of target(operation(x)), 0 where no tape could follow."""
    variable = Variable(x)
    with Tape() as outer:
        with Tape() as inner:
            result = target(call(operation, variable))
        first = call(inner.gradient, result, variable)
    second = None
    if isinstance(first, Tensor) and id(first) in outer.tracked:
        second = call(outer.gradient, first, variable)
    return np.zeros(x.shape) if second is None else as_numbers(second, x.shape, "the answer")


@exercise(
    "3.3",
    "A new operation",
    points=2,
    hints={
        "not_recorded": "The tape knows nothing of the result: it must come from an `Operation`.",
        "pull_back": PULL_BACK_FAILS,
        "result": "The value of the result is not the square root.",
        "no_bar": "The pull-back ignores `bar`, the adjoint that the result has got.",
        "rule": "d√x/dx = 1 / (2·√x). Compare it with your slope, letter by letter.",
        "not_recordable": "The gradient is right, the second derivative is not.\n"
        "Are `bar` and the slope Tensors to the end, and all operations recorded ones?",
        "value": "The adjoint of x is not right. Check it with `check_gradients`.",
    },
)
def sqrt(answer: Callable) -> None:
    """Tensor -> its square root, recorded."""
    x, bar = np.array([4.0, 0.25, 2.0]), np.array([1.0, -3.0, 10.0])
    found = pulled_back(answer, x, bar)
    result = as_numbers(call(answer, Variable(x)), (3,), "the result")
    expect(result, np.sqrt(x), otherwise="result")
    slope = 0.5 / np.sqrt(x)
    mistakes = [
        ("no_bar", slope),
        ("rule", 2 * bar * slope),
        ("rule", -bar * slope),
        ("rule", bar / (2 * x)),
        ("rule", bar * np.sqrt(x)),
        ("rule", bar * np.sqrt(x) / 2),
    ]
    expect(found, bar * slope, mistakes)

    for target, second in [(identity, -(x**-1.5) / 4), (square, np.zeros(3))]:
        expect(second_derivative(answer, x, target), second, otherwise="not_recordable")


def identity(y: Tensor) -> Tensor:
    """Return y itself."""
    return y


def square(y: Tensor) -> Tensor:
    """Return y·y; the adjoint that y gets then depends on x."""
    return multiply(y, y)


@exercise(
    "3.4",
    "Broadcasting, undone",
    points=2,
    hints={
        "mean": "Each copy has an influence of its own. Do influences average, or add?",
        "one_copy": "This is the influence of a single copy. What about the others?",
        "axes_lost": "From {before} to {shape}: an axis of length 1 is still an axis.",
        "length_one": "Axes that were put in front are right.\n"
        "From {before} to {shape}: along which other axis was something repeated?",
        "in_front": "From {before} to {shape}: the axes that were put in front must vanish.",
        "value": "From {before} to {shape} it is wrong. Which element was copied to where?",
    },
)
def undo_broadcasting(answer: Callable) -> None:
    """(bar, shape) -> bar, summed over what was repeated."""
    cases = [((4, 3), (4, 3)), ((4, 3), (3,)), ((4, 3), ()), ((4, 3), (4, 1)), ((4, 3), (1, 3))]
    cases += [((2, 4, 3), (4, 1)), ((2, 4, 3), (1, 1)), ((2, 1, 3), (1, 3)), ((5,), (1,))]
    cases += [((3, 3), (3,)), ((3, 3), (3, 1))]  # lengths alone don't tell the axes
    for before, shape in cases:
        bar = np.random.default_rng(0).normal(size=before)
        copies = bar.size // max(1, int(np.prod(shape)))
        new = len(before) - len(shape)
        stretched = [i + new for i, n in enumerate(shape) if n == 1 and before[i + new] != 1]
        right = bar.sum(axis=(*range(new), *stretched)).reshape(shape)
        found = returned(call(answer, bar, shape))
        details = {"before": before, "shape": shape}
        if np.shape(found) != shape:
            if np.shape(found) == tuple(n for n in shape if n != 1):
                raise NotRight("axes_lost", **details)
            if np.shape(found) == before[new:]:
                raise NotRight("length_one", **details)
            if new and np.ndim(found) > len(shape):
                raise NotRight("in_front", **details)
        one_copy = bar[(0,) * new + tuple(slice(0, n) for n in shape)]
        mistakes = [("mean", right / copies), ("one_copy", one_copy)]
        found = as_numbers(found, shape, f"the adjoint from {before} to {shape}")
        expect(found, right, mistakes, **details)


PROGRAMS = "abcdefgh"
STILL_RIGHT = set("adgh")


@exercise(
    "3.5",
    "Predict what a fault does",
    points=2,
    hints={
        "complement": "These are the programs that go wrong. The question asks for the others.",
        "intermediate": "One is too many: also an intermediate result can be used twice.",
        "constants": "One is missing: which tensors get an adjoint at all, and does a plain 2.0?",
        "two_operands": "An operation with two operands is no problem by itself.\n"
        "Its two shares go to two different tensors, unless these are the same one.",
        "reused": "A tensor that is used twice gets two shares, and one of them is lost.\n"
        "Count the uses of each tensor in every program that you named.",
        "value": "{number} of the 8 programs are judged wrongly. Draw the graph of each.",
    },
)
def still_right(answer: Callable) -> None:
    """() -> letters of the programs that stay right."""
    found = as_letters(call(answer), PROGRAMS)
    if found == STILL_RIGHT:
        return
    missing, extra = STILL_RIGHT - found, found - STILL_RIGHT
    if found == set(PROGRAMS) - STILL_RIGHT:
        raise NotRight("complement")
    if extra == {"f"} and not missing:
        raise NotRight("intermediate")
    if missing == {"h"} and not extra:
        raise NotRight("constants")
    if missing & set("adg") and not extra:
        raise NotRight("two_operands")
    if extra & set("bce"):
        raise NotRight("reused")
    raise NotRight("value", number=len(missing | extra))


@exercise(
    "3.6",
    "The pull-back of a running sum",
    points=3,
    hints={
        "not_recorded": "The tape knows nothing of the result: it must come from an `Operation`.",
        "pull_back": PULL_BACK_FAILS,
        "result": "The value of the result is not the running sum.",
        "not_transposed": "This sums the adjoint in the same direction as the values.\n"
        "Which results does the first input reach, and which the last?",
        "not_turned_back": "Nearly: the right numbers, in the wrong order.",
        "identity": "Each input gets only the adjoint of its own place.\n"
        "Which other results does it reach?",
        "all_the_same": "Each input gets the sum of all. Does the last one reach all results?",
        "not_recordable": "The gradient is right, the second derivative is not.\n"
        "Is `bar` a Tensor to the end? Are all operations on it recorded, with right pull-backs?",
        "off_by_one": "A term is missing: does an input reach the result of its own place?",
        "value": "The adjoint of x is not right.\n"
        "Write down the Jacobian for 3 elements, and multiply by its transpose.",
    },
)
def cumsum(answer: Callable) -> None:
    """Tensor (n,) -> its running sum, recorded."""
    x, bar = np.array([0.5, -1.0, 2.0, 3.0]), np.array([1.0, 10.0, 100.0, 1000.0])
    found = pulled_back(answer, x, bar)
    result = as_numbers(call(answer, Variable(x)), (4,), "the result")
    expect(result, np.cumsum(x), otherwise="result")
    right = np.cumsum(bar[::-1])[::-1]
    mistakes = [
        ("not_transposed", np.cumsum(bar)),
        ("not_turned_back", right[::-1]),
        ("identity", bar),
        ("all_the_same", np.full(4, bar.sum())),
        ("off_by_one", right - bar),
    ]
    expect(found, right, mistakes, tolerance=1e-6)
    second = 2 * np.cumsum(np.cumsum(np.ones(4))[::-1])[::-1]
    expect(second_derivative(answer, x, square), second, otherwise="not_recordable")


MATRIX = np.random.default_rng(1).normal(size=(4, 4))
RIGHT_PULL_BACKS = {  # what it is: f, its pull-back
    "sin": (np.sin, lambda x, bar: bar * np.cos(x)),
    "a matrix product": (lambda x: MATRIX @ x, lambda x, bar: MATRIX.T @ bar),
    "a sum": (lambda x: x.sum(keepdims=True), lambda x, bar: np.full(4, bar[0])),
    "10⁶·exp": (lambda x: 1e6 * np.exp(x), lambda x, bar: bar * 1e6 * np.exp(x)),
    "10⁻¹²·cumsum": (
        lambda x: 1e-12 * np.cumsum(x),
        lambda x, bar: 1e-12 * np.cumsum(bar[::-1])[::-1],
    ),
}
WRONG_PULL_BACKS = [  # the misconception that lets it pass, f, its wrong pull-back
    ("accepts_all", np.sin, lambda x, bar: -bar * np.cos(x)),
    ("accepts_all", np.sin, lambda x, bar: 3 * bar),
    ("ones_as_bar", lambda x: MATRIX @ x, lambda x, bar: MATRIX.sum(axis=0) * bar),
    ("ones_as_direction", lambda x: MATRIX @ x, lambda x, bar: (MATRIX.T @ bar)[::-1]),
    ("absolute", lambda x: 1e-12 * np.sin(x), lambda x, bar: -1e-12 * bar * np.cos(x)),
    ("too_loose", np.sin, lambda x, bar: 1.01 * bar * np.cos(x)),
    ("some_elements", np.sin, lambda x, bar: bar * np.cos(x) * [1, 1, 1, 0]),
    ("nan", np.sin, lambda x, bar: np.nan * bar),
]


@exercise(
    "3.7",
    "A test that finds faults",
    points=3,
    hints={
        "no_answer": "The answer must be True or False, and is of the type {kind}.",
        "rejects_all": "It rejects all right pull-backs, that of the sine too.\n"
        "Print the two numbers that you compare: do they nearly agree?",
        "rejects_right": "It rejects a right pull-back, of {what}.\n"
        "Differences have an error: how large, compared with the numbers themselves?",
        "accepts_all": "It accepts even a pull-back with the wrong sign or slope.",
        "ones_as_bar": "It accepts a pull-back that is right only if all adjoints are equal.\n"
        "Which bar do you try?",
        "ones_as_direction": "It accepts a pull-back whose elements are in the wrong order:\n"
        "their sum is right. In which direction do you move x?",
        "absolute": "For an f of size 10⁻¹² it accepts a wrong sign. Is the tolerance relative?",
        "too_loose": "It accepts a slope that is wrong by 1 %. How exact is a central difference?",
        "some_elements": "It accepts a pull-back that forgets one element. Are all of them tried?",
        "nan": "It accepts a pull-back that returns NaN: every comparison with NaN is False.",
    },
)
def dot_test(answer: Callable) -> None:
    """(f, pull_back, x) -> whether they fit."""
    x = np.array([0.3, -0.8, 1.1, 0.6])

    def accepts(f: Callable, pull_back: Callable) -> bool:
        result = call(answer, f, pull_back, x)
        if not isinstance(result, bool | np.bool_):
            raise NotRight("no_answer", kind=type(result).__name__)
        return bool(result)

    rejected = [what for what, pair in RIGHT_PULL_BACKS.items() if not accepts(*pair)]
    if rejected:
        all_of_them = len(rejected) == len(RIGHT_PULL_BACKS)
        raise NotRight("rejects_all" if all_of_them else "rejects_right", what=rejected[0])
    for misconception, *pair in WRONG_PULL_BACKS:
        if accepts(*pair):
            raise NotRight(misconception)
