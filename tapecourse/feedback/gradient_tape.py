"""The checks of the exercises of chapter 04."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import numpy as np

import tensorflow as tf

from tapecourse.feedback.core import NotRight, as_letters, as_numbers, call, exercise, expect

PROGRAMS = "abcdefgh"
NONE = set("acefg")


@exercise(
    "4.1",
    "Which are None?",
    points=2,
    hints={
        "complement": "These are the ones that return numbers. Name those that return None.",
        "half_a_path": "One that you named has a second path to y, through the other factor.\n"
        "The number may be wrong, but it isn't None.",
        "watch": "a and b differ in one line. What does it do?",
        "integers": "Look at the type of each variable: can a whole number move a little?",
        "trainable": "Does a tape follow every variable by itself? Look at the arguments of each.",
        "rebinding": "In one function, x is not a variable any more when the block begins.",
        "steps": "Which operation is flat almost everywhere, and gets no gradient at all?",
    },
)
def which_are_none(answer: Callable) -> None:
    """() -> letters of the programs that return None."""
    found = as_letters(call(answer), PROGRAMS)
    if found == set(PROGRAMS) - NONE:
        raise NotRight("complement")
    if "b" in found or "a" not in found:
        raise NotRight("watch")
    if found & set("dh"):
        raise NotRight("half_a_path")
    for letter, misconception in zip("cefg", ("integers", "trainable", "rebinding", "steps")):
        if letter not in found:
            raise NotRight(misconception)


@exercise(
    "4.2",
    "Repair a slope",
    points=2,
    hints={
        "none": "The gradient is still None. Does the tape follow x?",
        "integer": "For a float it is right, for the integer 3 it is None: what has derivatives?",
        "numpy_path": "A number, and a wrong one: this is 2x·sin(x).\n"
        "Which factor does the tape take for a constant?",
        "summed": "This is the sum of all derivatives. Return one for each number of the list.",
        "value": "It is not the derivative of x²·sin(x). Compare with a central difference.",
    },
)
def slope(answer: Callable) -> None:
    """X -> derivative of x²·sin(x), element by element."""
    for x in (3.0, 3, [0.5, 2.0], np.array([1, 2, -1]), np.ones((2, 2), "float32")):
        result = call(answer, x)
        if result is None:
            raise NotRight("integer" if x == 3 and isinstance(x, int) else "none")
        at = np.asarray(x, "float64")
        right = 2 * at * np.sin(at) + at**2 * np.cos(at)
        if at.size > 1 and np.size(result) == 1 and np.isclose(result, right.sum()):
            raise NotRight("summed")
        found = as_numbers(result, at.shape, "the answer")
        expect(found, right, [("numpy_path", 2 * at * np.sin(at))])


def curved(x: tf.Tensor) -> tf.Tensor:
    """Map 3 numbers to 2."""
    return tf.stack([x[0] * x[1] + tf.sin(x[2]), tf.square(x[0]) * x[2]])


@exercise(
    "4.3",
    "A Jacobian, row by row",
    points=2,
    hints={
        "none": "It is None, or a row is. Does the function end in `return`?\n"
        "Does the tape follow x? Was the splitting into outputs recorded, inside the block?",
        "summed": "This is the sum of the rows: one call differentiates the sum of all outputs.",
        "transposed": "The Jacobian is transposed: row i belongs to output i.",
        "diagonal": "Only the diagonal is right. Output i depends on other inputs too.",
        "shape_of_jacobian": "For 3 inputs and 2 outputs the shape must be (2, 3), not {found}.",
        "value": "The shape is right, the numbers are not. Compare with central differences.",
    },
)
def jacobian(answer: Callable) -> None:
    """(f, x) -> its Jacobian."""
    x = np.array([0.5, -1.5, 2.0])
    right = np.array([[x[1], x[0], np.cos(x[2])], [2 * x[0] * x[2], 0, x[0] ** 2]])
    found = read_tensors(call(answer, curved, tf.constant(x, "float32")))
    if found.shape in ((3,), (1, 3)) and np.allclose(found, right.sum(axis=0), rtol=1e-4):
        raise NotRight("summed")
    if found.shape == (3, 2) and np.allclose(found, right.T, rtol=1e-4):
        raise NotRight("transposed")
    if found.shape != (2, 3):
        raise NotRight("shape_of_jacobian", found=found.shape)
    expect(found, right, [("diagonal", np.eye(2, 3) * right)])

    x = np.array([0.3, -0.4, 1.0])  # 3 outputs, in the other type
    found = read_tensors(call(answer, tf.exp, tf.constant(x, "float64")))
    expect(as_numbers(found, (3, 3), "the Jacobian of exp"), np.diag(np.exp(x)))


def read_tensors(result: Any) -> np.ndarray:
    """Read a tensor, or a list of tensors, as one array."""
    if result is None or (isinstance(result, list | tuple) and any(row is None for row in result)):
        raise NotRight("none")
    array = np.array(result, dtype=object) if isinstance(result, list | tuple) else result
    return np.asarray(array, "float64")


def with_gradient(function: Callable, x: Any, bar: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return a learner's function of x, and the adjoint of x when that of the result is `bar`."""
    x, bar = tf.constant(x), tf.constant(bar)
    with tf.GradientTape() as tape:
        tape.watch(x)
        result = call(function, x)
    value = as_numbers(result, tuple(x.shape), "the result")
    if not tf.is_tensor(result):
        raise NotRight("no_path")
    gradient = call(tape.gradient, result, x, bar)
    if gradient is None:
        raise NotRight("no_path")
    dense = tf.convert_to_tensor(gradient)  # it may be tf.IndexedSlices
    return value, as_numbers(dense, tuple(x.shape), "the gradient")


@exercise(
    "4.4",
    "A gradient of your own",
    points=2,
    hints={
        "no_path": "No gradient arrives at all. Is the result a tensor, computed from x?\n"
        "Does the function that limits the adjoint return it?",
        "clips_value": "The value must pass unchanged. Only the adjoint is limited.",
        "no_effect": "The adjoint passes unchanged too: 5 must become 1.",
        "zero": "An adjoint that is too large becomes 0 here. It must become 1, or -1.",
        "whole": "All elements were made smaller together. Limit each of them by itself.",
        "only_sign": "Small adjoints must pass unchanged: 0.3 stays 0.3.",
        "one_side": "Adjoints below -1 must be limited too.",
        "value": "The adjoints 5, -3, 0.3 and -0.2 must become 1, -1, 0.3 and -0.2.",
    },
)
def clip_adjoint(answer: Callable) -> None:
    """Tensor -> itself, with its adjoint limited."""
    x, bar = np.array([2.0, -1.5, 0.5, 3.0], "float32"), np.array([5, -3, 0.3, -0.2], "float32")
    value, adjoint = with_gradient(answer, x, bar)
    expect(value, x, otherwise="clips_value")
    mistakes = [
        ("no_effect", bar),
        ("zero", np.where(abs(bar) <= 1, bar, 0)),
        ("whole", bar / np.linalg.norm(bar)),
        ("whole", bar / abs(bar).max()),
        ("only_sign", np.sign(bar)),
        ("one_side", np.minimum(bar, 1)),
    ]
    expect(adjoint, np.clip(bar, -1, 1), mistakes)


@exercise(
    "4.5",
    "Both branches",
    points=2,
    hints={
        "no_path": "No gradient arrives at all: the result must be a tensor, computed from p.",
        "result": "The values are not right: −p·ln(p), and exactly 0 where p is 0.",
        "not_finite": "Where p = 0 the gradient is not finite: 0, for the branch not chosen,\n"
        "times infinity is NaN. What does the logarithm get to see there?",
        "no_bar": "Your pull-back ignores the adjoint that it is given.",
        "leaks": "Where p = 0 the gradient is finite, but not 0.",
        "changed": "Where p is positive, however small, the gradient must be exactly −ln(p) − 1.",
    },
)
def entropy_terms(answer: Callable) -> None:
    """Tensor of probabilities -> -p·ln(p), 0 where p is 0."""
    p = np.array([[0.0, 1.0, 0.5], [1e-6, 1e-12, 1e-18]], "float32")  # below what one might add
    bar = np.array([[2.0, 1.0, -3.0], [0.5, 4.0, 1.0]], "float32")
    value, gradient = with_gradient(answer, p, bar)
    positive = p > 0
    right = -p[positive] * np.log(p[positive])
    if value[0, 0] != 0 or not np.allclose(value[positive], right, rtol=1e-4, atol=1e-10):
        raise NotRight("result")
    if not np.isfinite(gradient).all():
        raise NotRight("not_finite")
    if gradient[0, 0] != 0:
        raise NotRight("leaks")
    slope = -np.log(p[positive]) - 1
    expect(gradient[positive], bar[positive] * slope, [("no_bar", slope)], "changed")


def bowl(x: tf.Tensor) -> tf.Tensor:
    """Map 3 numbers to one."""
    return tf.square(x[0]) * x[1] + tf.sin(x[1] * x[2]) + tf.exp(x[0])


def cube_of_sum(x: tf.Tensor) -> tf.Tensor:
    """Map n numbers to one; all elements of its Hessian are 6·Σx."""
    return tf.reduce_sum(x) ** 3


@exercise(
    "4.6",
    "A Hessian without the matrix",
    points=3,
    hints={
        "none": "The result is None. Does the function end in `return`?\n"
        "Did the outer tape see how the gradient was computed?",
        "first": "This is made of the gradient alone. The second derivative is missing.",
        "diagonal": "This takes the diagonal of the Hessian only. Inputs act on each other too.",
        "no_v": "This is the Hessian times a vector of ones. Where does v come in?",
        "hessian_itself": "This is the Hessian. Return its product with v, which is a vector.",
        "matrix": "The product is right, but H was built for it, row by row.\n"
        "Of which single number is H·v the gradient?",
        "twice": "This is twice the product. Was something added up two times?",
        "value": "It is not H·v. Check: move x a little along v. How does the gradient change?",
    },
)
def hessian_times(answer: Callable) -> None:
    """(f, x, v) -> H·v."""
    x, v = np.array([0.5, -1.2, 0.8]), np.array([2.0, -1.0, 0.5])
    result = call(answer, bowl, tf.constant(x), tf.constant(v))
    if result is None:
        raise NotRight("none")
    s, c = np.sin(x[1] * x[2]), np.cos(x[1] * x[2])
    gradient = np.array([2 * x[0] * x[1] + np.exp(x[0]), x[0] ** 2 + x[2] * c, x[1] * c])
    hessian = np.array(
        [
            [2 * x[1] + np.exp(x[0]), 2 * x[0], 0],
            [2 * x[0], -(x[2] ** 2) * s, c - x[1] * x[2] * s],
            [0, c - x[1] * x[2] * s, -(x[1] ** 2) * s],
        ]
    )
    if np.shape(result) == (3, 3) and np.allclose(result, hessian, rtol=1e-4):
        raise NotRight("hessian_itself")
    mistakes = [
        ("first", gradient),
        ("first", gradient * v),
        ("diagonal", np.diag(hessian) * v),
        ("no_v", hessian.sum(axis=1)),
        ("no_v", hessian.sum(axis=1) * v),
        ("twice", 2 * hessian @ v),
    ]
    expect(as_numbers(result, (3,), "the answer"), hessian @ v, mistakes)

    x, v = np.linspace(-0.5, 1, 10), np.linspace(2, 1, 10)
    with ExitStack() as stack:
        gradients, *others = [stack.enter_context(spy(*place)) for place in MATRIX_MAKERS]
        result = call(answer, cube_of_sum, tf.constant(x), tf.constant(v))
    expect(as_numbers(result, (10,), "the answer"), np.full(10, 6 * x.sum() * v.sum()))
    if gradients.call_count >= 10 or any(other.called for other in others):
        raise NotRight("matrix")


MATRIX_MAKERS = [  # the first, if it is called once for each row
    (tf.GradientTape, "gradient"),
    (tf.GradientTape, "jacobian"),
    (tf.GradientTape, "batch_jacobian"),
    (tf, "hessians"),
    (tf, "vectorized_map"),
]


def spy(owner: Any, name: str) -> Any:
    """Return a context that counts the calls of a function, which works as ever."""
    return patch.object(owner, name, autospec=True, side_effect=getattr(owner, name))
