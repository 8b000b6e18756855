"""The checks of the exercises of chapter 04."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, cast
from unittest.mock import patch

import numpy as np

import tensorflow as tf

from tapecourse.feedback.checking import listed, matched, not_right, two_exchanged
from tapecourse.feedback.core import NotRight, Parts, exercise, letters, letters_seen, mistake
from tapecourse.feedback.predictions import predict

Random = np.random.Generator


def named(name: str, function: Callable) -> Callable:
    """Give a function the name by which a hint calls it."""
    function.__doc__ = name
    return function


def number(value: Any, what: str) -> np.ndarray:
    """Read a tensor, also one of some rows only."""
    if value is None:
        raise NotRight("none", f"{what} is None.", QUESTION_NONE)
    return np.asarray(tf.convert_to_tensor(value))


QUESTION_NONE = (
    "Does the function end in `return`? If it does: does the tape follow x all the way?"
)

# --- 4.1


def which_are_none() -> set:
    """Return the letters of the programs that return None."""
    return set("acefg")


exercise(
    "4.1",
    "Which are None?",
    2,
    mistake(
        "complement",
        "These are the ones that return numbers.",
        "For which is the question asked?",
        lambda: set("bdh"),
    ),
    mistake(
        "watch",
        "Two differ only in that one lacks a line; at least one of the two is judged wrongly.",
        "What does that line do?",
        seen=letters_seen(lambda found: "b" in found or "a" not in found),
    ),
    mistake(
        "half_a_path",
        "You named one that returns a number; it may be a wrong one.",
        "Is there a second path to y, through the other factor?",
        seen=letters_seen(lambda found: found & set("dh")),
    ),
    mistake(
        "integers",
        "One that returns None is missing.",
        "Look at the type of each variable: can a whole number move a little?",
        lambda: set("aefg"),
    ),
    mistake(
        "trainable",
        "One that returns None is missing.",
        "Does a tape follow every variable by itself? Look at the arguments of each.",
        lambda: set("acfg"),
    ),
    mistake(
        "rebinding",
        "One that returns None is missing.",
        "In one function, what is x when the block begins?",
        lambda: set("aceg"),
    ),
    mistake(
        "steps",
        "One that returns None is missing.",
        "Which operation is flat almost everywhere, and gets no gradient at all?",
        lambda: set("acef"),
    ),
    mistake(
        "several",
        "Several that return None are missing.",
        "Look at types, at arguments, at what x is when the block begins, and at what is flat.",
        seen=letters_seen(lambda found: found < set("acefg")),
    ),
    cases=lambda random: [()],
    probe=letters("abcdefgh"),
    lettered="abcdefgh",
    secret=True,
)(which_are_none)


# --- 4.2


def slope_of(y: Callable) -> Callable:
    """Make an answer of a formula for the derivative."""
    return lambda x: y(np.asarray(x, "float64"))


def is_whole(x: Any) -> bool:
    """Tell whether x is made of integers."""
    return np.asarray(x).dtype.kind == "i"


def slope(x: Any) -> np.ndarray:
    """Return the derivative of x²·sin(x), element by element."""
    x = np.asarray(x, "float64")
    return 2 * x * np.sin(x) + x**2 * np.cos(x)


exercise(
    "4.2",
    "Repair a slope",
    2,
    mistake(
        "none",
        "The result is None for every x.",
        QUESTION_NONE,
        lambda x: None,
    ),
    mistake(
        "numpy_path",
        "The result is 2x·sin(x): one of the two factors is taken for a constant.",
        "Which factor does the tape not see?",
        slope_of(lambda x: 2 * x * np.sin(x)),
    ),
    mistake(
        "other_path",
        "The result is x²·cos(x): one of the two factors is taken for a constant.",
        "Which factor does the tape not see?",
        slope_of(lambda x: x**2 * np.cos(x)),
    ),
    mistake(
        "numpy_and_integers",
        "For floats the result is 2x·sin(x), for integers it is None.",
        "Which factor does the tape not see? And can an integer move a little?",
        lambda x: None if is_whole(x) else 2 * np.asarray(x) * np.sin(x),
    ),
    mistake(
        "mean",
        "Each derivative is divided by the number of elements.",
        "What is averaged, and where? Does `tape.gradient` need that?",
        slope_of(lambda x: (2 * x * np.sin(x) + x**2 * np.cos(x)) / x.size),
    ),
    mistake(
        "summed",
        "It returns the sum of the derivatives, not one for each element.",
        "What is summed, and where? Does `tape.gradient` need that?",
        slope_of(lambda x: np.sum(2 * x * np.sin(x) + x**2 * np.cos(x))),
    ),
    mistake(
        "value_itself",
        "It returns x²·sin(x), the function itself.",
        "What does the tape have to be asked for?",
        slope_of(lambda x: x**2 * np.sin(x)),
    ),
    cases=lambda random: (
        [(3.0,), (3,), (-2,), ([0.5, 2.0],), ([1, -2],)]
        + [(np.array([1, 2, -1]),), (np.ones((2, 2), "float32"),), (np.float32(-1.5),)]
        + [(random.uniform(-3, 3, shape),) for shape in [(4,), (2, 3), ()]]
    ),
    question="Compare with a central difference. Is this x of the same type as those that work?",
    allowed=("differentiation",),
)(slope)


# --- 4.3

WEIGHTS = [[1.0, 2.0, 3.0], [-4.0, 5.0, -6.0]]
MAPS = [  # and the number of inputs
    (
        named(
            "(x₀·x₁ + sin x₂, x₀²·x₂)",
            lambda x: tf.stack([x[0] * x[1] + tf.sin(x[2]), x[0] ** 2 * x[2]]),
        ),
        3,
    ),
    (named("exp(x)", lambda x: tf.exp(x)), 3),
    (
        named(
            "(x₀·x₁, x₀, x₁ − x₀, x₁³)",
            lambda x: tf.stack([x[0] * x[1], x[0], x[1] - x[0], x[1] ** 3]),
        ),
        2,
    ),
    (named("W·x²", lambda x: tf.linalg.matvec(tf.constant(WEIGHTS, x.dtype), x**2)), 3),
    (named("(Σx³,)", lambda x: tf.reduce_sum(x**3, keepdims=True)), 4),
]


def as_rows(answer: Callable, f: Callable, x: tf.Tensor) -> Any:
    """Ask for a Jacobian; a row may not be None."""
    result = answer(f, x)
    if isinstance(result, list | tuple) and any(row is None for row in result):
        question = (
            "Was the splitting into outputs recorded, inside the block? Is the tape watching x?"
        )
        raise NotRight("none", "A row is None.", question)
    if result is None:
        raise NotRight("none", "It is None.", QUESTION_NONE)
    return np.asarray(listed(result))


def full(f: Callable, x: tf.Tensor) -> np.ndarray:
    """Return the Jacobian, by TensorFlow."""
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        outputs = tf.unstack(f(x))
    none = tf.UnconnectedGradients.ZERO
    rows: list[Any] = [tape.gradient(y, x, unconnected_gradients=none) for y in outputs]
    return np.stack(rows)


def jacobian(f: Callable, x: tf.Tensor) -> np.ndarray:
    """Return the Jacobian."""
    return full(f, x)


exercise(
    "4.3",
    "A Jacobian, row by row",
    2,
    mistake(
        "summed",
        "It returns the sum of the rows: one call differentiates the sum of all outputs.",
        "How many calls are needed, and of what?",
        lambda f, x: full(f, x).sum(axis=0),
        lambda f, x: full(f, x).sum(axis=0, keepdims=True),
    ),
    mistake(
        "transposed",
        "The Jacobian is transposed.",
        "To which output do the numbers of row i belong?",
        lambda f, x: full(f, x).T,
    ),
    mistake(
        "diagonal",
        "Only the diagonal is right; all else is 0.",
        "Does output i depend on input i alone?",
        lambda f, x: np.eye(*full(f, x).shape) * full(f, x),
    ),
    mistake(
        "same_rows",
        "Each row is the sum of all rows.",
        "Of which single output does a call have to be asked?",
        lambda f, x: np.ones_like(full(f, x)) * full(f, x).sum(axis=0),
    ),
    mistake(
        "twice",
        "Each number is twice what it must be.",
        "Was something added up two times?",
        lambda f, x: 2 * full(f, x),
    ),
    mistake(
        "flat",
        "The numbers are right, and stand in one long row.",
        "What is the shape of the Jacobian of 3 inputs and 2 outputs?",
        lambda f, x: full(f, x).ravel(),
    ),
    cases=lambda random: [
        (f, tf.constant(random.uniform(-2, 2, n), kind))
        for i, (f, n) in enumerate(MAPS)
        for kind in (("float32", "float64") if i < 1 else ("float32",))
    ],
    question="Compare with central differences: move one input, and look at all outputs.",
    probe=as_rows,
    inputs=("f", "x"),
    again=1,
    allowed=("differentiation",),
)(jacobian)


# --- 4.4

COMPILED = "inside `tf.function`"


def value_and_adjoint(answer: Callable, x: np.ndarray, bar: np.ndarray, how: str) -> dict:
    """Return a function's value and the adjoint of x, when that of the result is bar."""
    source, seed = tf.constant(x), cast(Any, tf.constant(bar))
    if getattr(answer, "__module__", "") == __name__:  # ours have no `if` to convert
        answer = tf.autograph.experimental.do_not_convert(answer)

    def run(source: tf.Tensor) -> tuple:
        with tf.GradientTape() as tape:
            tape.watch(source)
            result = answer(source)
        if isinstance(result, tuple):
            question = "Which decorator makes one operation of a value and a pull-back?"
            raise NotRight("no_tensor", "It must return a tensor, and returns a tuple.", question)
        if not tf.is_tensor(result):
            key, kind = (
                ("no_return", "None") if result is None else ("no_path", type(result).__name__)
            )
            raise NotRight(key, f"It must return a tensor, and returns {kind}.", QUESTION_NONE)
        if not result.shape.is_compatible_with(source.shape):
            fact = f"The result has the shape {result.shape}; right is {source.shape}."
            raise NotRight("shape", fact, "Is each element worked on by itself?")
        return result, tape.gradient(result, source, seed)

    value, adjoint = (tf.function(run) if how == COMPILED else run)(source)
    if adjoint is None:
        fact = "No gradient arrives at all."
        raise NotRight(
            "no_path",
            fact,
            "Is the result computed from x? Does each pull-back return an adjoint?",
        )
    return {"the value": value.numpy(), "the adjoint": tf.convert_to_tensor(adjoint).numpy()}


def pulled_back(pull_back: Callable, value: Callable = tf.identity) -> Callable:
    """Make an identity, or what value says, with a pull-back."""
    return tf.custom_gradient(lambda x: (value(x), pull_back))


def limited(x: tf.Tensor) -> tf.Tensor:
    """Limit each element to the range from -1 to 1."""
    return tf.clip_by_value(x, -1.0, 1.0)


def float32(*numbers: float) -> np.ndarray:
    """Make an array."""
    return np.array(numbers, "float32")


def clip_adjoint(x: tf.Tensor) -> tf.Tensor:
    """Return x, with its adjoint limited."""
    return pulled_back(limited)(x)


exercise(
    "4.4",
    "A gradient of your own",
    2,
    mistake(
        "clips_value",
        "It limits the value, which must pass unchanged.",
        "On which way should it do something: forward, or back?",
        limited,
        pulled_back(limited, limited),
    ),
    mistake(
        "limits_x",
        "On the way back it limits x, not the adjoint.",
        "What is a pull-back given, and of what is that the adjoint?",
        tf.custom_gradient(lambda x: (tf.identity(x), lambda bar: limited(x))),
        tf.custom_gradient(lambda x: (tf.identity(x), lambda bar: bar * limited(x))),
    ),
    mistake(
        "ones",
        "The adjoint is 1 everywhere, whatever comes from above.",
        "What must a pull-back do with what it is given?",
        pulled_back(tf.ones_like),
    ),
    mistake(
        "no_effect",
        "The adjoint passes unchanged: 5 stays 5.",
        "Where is the pull-back that limits it, and is it returned?",
        tf.identity,
    ),
    mistake(
        "zero",
        "An adjoint that is too large becomes 0. It must become 1, or -1.",
        "What is the difference between limiting and leaving out?",
        pulled_back(lambda bar: tf.where(tf.abs(bar) <= 1, bar, 0.0)),
    ),
    mistake(
        "whole",
        "All elements are made smaller together.",
        "May the adjoint of one element depend on the others?",
        pulled_back(lambda bar: tf.clip_by_norm(bar, 1.0)),
        pulled_back(lambda bar: bar / tf.norm(bar)),
        pulled_back(lambda bar: bar / tf.reduce_max(tf.abs(bar))),
        pulled_back(lambda bar: bar / tf.maximum(1.0, tf.reduce_max(tf.abs(bar)))),
    ),
    mistake(
        "only_sign",
        "Every adjoint becomes 1, -1 or 0.",
        "What must become of 0.3?",
        pulled_back(tf.sign),
    ),
    mistake(
        "one_side",
        "Only one end of the range is limited.",
        "What must become of -3, and of 5?",
        pulled_back(lambda bar: tf.minimum(bar, 1.0)),
        pulled_back(lambda bar: tf.maximum(bar, -1.0)),
    ),
    mistake(
        "squashed",
        "Small adjoints are changed too: 0.3 becomes 0.29.",
        "Which function leaves numbers from -1 to 1 as they are?",
        pulled_back(tf.tanh),
    ),
    cases=lambda random: [
        (float32(2, -1.5, 0.5, 3), float32(5, -3, 0.3, -0.2), "eager"),
        *[
            (*(random.normal(0, scale, shape).astype("float32") for scale in (2, 3)), how)
            for shape, how in [((5,), "eager"), ((), "eager"), ((2, 3), "eager"), ((4,), COMPILED)]
        ],
    ],
    question="Adjoints 5, -3, 0.3 and -0.2 must become 1, -1, 0.3 and -0.2.",
    probe=value_and_adjoint,
    inputs=("x", "its adjoint", ""),
)(clip_adjoint)


# --- 4.5


def log_terms(p: tf.Tensor, inside: Callable) -> tf.Tensor:
    """Return -p·ln(inside(p)), 0 where p is 0."""
    return tf.where(p > 0, -p * tf.math.log(inside(p)), 0.0)


def draw_probabilities(random: Random, *shape: int) -> np.ndarray:
    """Draw probabilities, some of them 0, some tiny."""
    p = random.uniform(0, 1, shape) ** random.integers(1, 40, shape)
    return np.where(random.random(shape) < 0.3, 0, p).astype("float32")


def entropy_terms(p: tf.Tensor) -> tf.Tensor:
    """Return -p·ln(p), 0 where p is 0."""
    return log_terms(p, lambda p: tf.where(p > 0, p, 1.0))


exercise(
    "4.5",
    "Both branches",
    2,
    mistake(
        "not_finite",
        "The values are right; where p = 0 the gradient is not finite.",
        "The branch not chosen gets 0, and 0·∞ is NaN. What does the logarithm get to see?",
        lambda p: log_terms(p, lambda p: p),
        lambda p: (lambda terms: tf.where(tf.math.is_nan(terms), 0.0, terms))(-p * tf.math.log(p)),
    ),
    mistake(
        "no_minus",
        "The sign is wrong.",
        "Is p·ln(p) positive or negative, for p from 0 to 1?",
        lambda p: tf.math.xlogy(p, p),
    ),
    mistake(
        "leaks",
        "Where p = 0 the gradient is finite, but not 0.",
        "What does the logarithm's branch hand back there?",
        seen=lambda found, right: (
            all(
                is_numbers(each)
                and np.allclose(each["the value"], b["the value"], rtol=1e-4, atol=1e-10)
                and np.isfinite(each["the adjoint"]).all()
                for each, b in zip(found, right)
            )
            and any(np.any(a["the adjoint"][b["the adjoint"] == 0]) for a, b in zip(found, right))
        ),
    ),
    mistake(
        "no_bar",
        "The pull-back ignores the adjoint that it is given.",
        "By what must the slope be multiplied?",
        lambda p: own_gradient(p, lambda bar, slope: slope),
    ),
    mistake(
        "held_still",
        "The gradient is −ln(p): a term is missing.",
        "p stands in two places. Does the tape follow both?",
        lambda p: -p * tf.stop_gradient(tf.math.log(tf.where(p > 0, p, 1.0))),
    ),
    mistake(
        "tiny",
        "For probabilities that are small, but not 0, the value or the gradient is changed.",
        "Is anything added to p, or is p limited, where it is positive?",
        *[
            lambda p, e=e, inside=inside: -p * tf.math.log(inside(p, e))
            for e in (1e-10, 1e-8, 1e-7)
            for inside in (lambda p, e: p + e, lambda p, e: tf.maximum(p, e))
        ],
        *[
            lambda p, e=e, inside=inside: log_terms(p, lambda p: inside(p, e))
            for e in (1e-12, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6)
            for inside in (lambda p, e: p + e, lambda p, e: tf.maximum(p, e))
        ],
        lambda p: -p * tf.math.log(tf.where(p > 1e-9, p, 1.0)),
    ),
    cases=lambda random: [
        (
            float32(0, 1, 0.5, 1e-6, 1e-18),
            float32(2, 1, -3, 0.5, 4),
            "eager",
        ),
        *[
            (draw_probabilities(random, *shape), random.normal(0, 2, shape).astype("float32"), how)
            for shape, how in [((6,), "eager"), ((2, 3), "eager"), ((5,), COMPILED)]
        ],
    ],
    question="Where p is positive, however small, the gradient must be −ln(p) − 1; at 0 it is 0.",
    probe=value_and_adjoint,
    tolerance=1e-5,
    inputs=("p", "the adjoint", ""),
)(entropy_terms)


def own_gradient(p: tf.Tensor, pull_back: Callable) -> Any:
    """Return the terms, with a pull-back of (bar, slope)."""
    log = tf.math.log(tf.where(p > 0, p, 1.0))
    slope = tf.where(p > 0, -log - 1, 0.0)
    return tf.custom_gradient(lambda p: (-p * log, lambda bar: pull_back(bar, slope)))(p)


def is_numbers(parts: Parts) -> bool:
    """Tell whether value and adjoint were seen."""
    return all(isinstance(parts.get(name), np.ndarray) for name in ("the value", "the adjoint"))


# --- 4.6


def bowl(x: tf.Tensor) -> tf.Tensor:
    """x₀²·x₁ + sin(x₁·x₂) + exp(x₀)"""
    return tf.square(x[0]) * x[1] + tf.sin(x[1] * x[2]) + tf.exp(x[0])


def cube_of_sum(x: tf.Tensor) -> tf.Tensor:
    """(Σx)³"""
    return tf.reduce_sum(x) ** 3


def quartic(x: tf.Tensor) -> tf.Tensor:
    """Σx⁴ + x₀·Σx²"""
    return tf.reduce_sum(x**4) + x[0] * tf.reduce_sum(x**2)


def gradient_of(f: Callable, x: tf.Tensor) -> Any:
    """Return the gradient."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = f(x)
    return tape.gradient(y, x)


def hessian(f: Callable, x: tf.Tensor) -> tf.Tensor:
    """Return the Hessian."""
    return tf.constant(full(lambda x: gradient_of(f, x), x))


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


def product_and_rows(answer: Callable, f: Callable, x: tf.Tensor, v: tf.Tensor) -> dict:
    """Ask for a product, and watch whether the matrix is built."""
    if traced := getattr(answer, "python_function", None):
        answer = tf.function(traced)  # anew: a second call of a compiled one shows nothing
    with ExitStack() as stack:
        gradients, *others = [stack.enter_context(spy(*place)) for place in MATRIX_MAKERS]
        result = answer(f, x, v)
    built = (
        len(x) >= 10 and gradients.call_count >= len(x) or any(other.called for other in others)
    )
    return {"the product": number(result, "The product"), "whether the matrix is built": built}


def hessian_times(f: Callable, x: tf.Tensor, v: tf.Tensor) -> Any:
    """Return H·v."""
    with tf.GradientTape() as outer:
        outer.watch(x)
        slope_along_v = tf.reduce_sum(gradient_of(f, x) * v)
    return outer.gradient(slope_along_v, x)


exercise(
    "4.6",
    "A Hessian without the matrix",
    3,
    mistake(
        "hessian_itself",
        "It returns the Hessian.",
        "What is the shape of its product with v?",
        lambda f, x, v: hessian(f, x),
    ),
    mistake(
        "first",
        "It is made of the gradient alone: the second derivative is missing.",
        "Of what must the second tape take the gradient?",
        lambda f, x, v: gradient_of(f, x),
        lambda f, x, v: gradient_of(f, x) * v,
        lambda f, x, v: tf.reduce_sum(gradient_of(f, x) * v),
    ),
    mistake(
        "diagonal",
        "It takes the diagonal of the Hessian only.",
        "Do inputs act on each other too?",
        lambda f, x, v: tf.linalg.diag_part(hessian(f, x)) * v,
    ),
    mistake(
        "no_v",
        "It is the Hessian times a vector of ones.",
        "Where does v come in?",
        lambda f, x, v: tf.reduce_sum(hessian(f, x), 1),
    ),
    mistake(
        "late_v",
        "It is the Hessian times a vector of ones, and that times v, element by element.",
        "H mixes the elements of v. Must v come in before the second gradient, or after it?",
        lambda f, x, v: tf.reduce_sum(hessian(f, x), 1) * v,
    ),
    mistake(
        "mean",
        "The product is divided by the number of inputs.",
        "Is g·v a sum or a mean?",
        lambda f, x, v: tf.linalg.matvec(hessian(f, x), v) / len(x),
    ),
    mistake(
        "twice",
        "It is twice the product.",
        "Was something added up two times?",
        lambda f, x, v: 2 * tf.linalg.matvec(hessian(f, x), v),
    ),
    mistake(
        "quadratic_form",
        "It is v·H·v, one number.",
        "H·v is a vector: of which number, made of the gradient g and v, is it the gradient?",
        lambda f, x, v: tf.tensordot(v, tf.linalg.matvec(hessian(f, x), v), 1),
    ),
    mistake(
        "matrix",
        "The product is right, but the whole of H was built for it.",
        "Of which single number is H·v the gradient?",
        seen=lambda found, right: (
            any(built(each) for each in found)
            and all(
                "" not in a and np.allclose(a["the product"], b["the product"], rtol=1e-4)
                for a, b in zip(found, right)
            )
        ),
    ),
    cases=lambda random: [
        (f, tf.constant(random.uniform(-1, 1, n)), tf.constant(random.uniform(-2, 2, n)))
        for f, n in [(bowl, 3), (bowl, 3), (quartic, 4), (cube_of_sum, 10)]
    ],
    question="Move x a little along v. How does the gradient change?",
    probe=product_and_rows,
    allowed=("differentiation",),
    by_part=True,
    again=1,
)(hessian_times)


def built(parts: Parts) -> bool:
    """Tell whether the matrix was built."""
    return bool(parts.get("whether the matrix is built") == np.array(True))


# --- 4.7


def causes() -> dict:
    """Return the cause of each message."""
    return {1: "d", 2: "a", 3: "f", 4: "b", 5: "e"}


exercise(
    "4.7",
    "What the message says",
    2,
    mistake(
        "two_swapped",
        "Two causes are exchanged, all others are right.",
        "Which message speaks of a shape, which of a type, and which of None?",
        seen=two_exchanged,
    ),
    mistake(
        "several",
        "Several causes are wrong.",
        "Read the last line first: which kind of error, which operation, which types or shapes?",
        seen=lambda found, right: len(not_right(found, right)) > 1,
    ),
    mistake(
        "one",
        "Four causes are right, one is not.",
        "Read the last line of each: which kind of error, which operation, which types or shapes?",
        seen=lambda found, right: len(not_right(found, right)) == 1,
    ),
    cases=lambda random: [()],
    probe=lambda answer: matched(answer(), "message", 5, "abcdefg"),
    lettered="abcdefg",
    secret=True,
)(causes)


# --- 4.8


predict(
    "4.8",
    "odds_of_tapes",
    2,
    a=(True, "tape.gradient(y, [x, x]) returns two equal gradients."),
    b=(False, "The gradient of tf.reduce_max at (2, 2) is (1, 1)."),
    c=(False, "The gradient of tf.abs at 0 is 1."),
    d=(True, "The gradient of tf.sqrt at 0 is infinite."),
    e=(False, "x.assign(10.0) after y = x * x, in the block, changes the gradient of y to 20."),
    f=(True, "A tape that is not persistent answers one call of gradient only."),
)


# --- 4.9


def through(rounded: Callable) -> Callable:
    """Make an answer that rounds, and hands the adjoint through unchanged."""
    return lambda x: x + tf.stop_gradient(rounded(x) - x)


def round_through(x: tf.Tensor) -> tf.Tensor:
    """Round, and hand the adjoint through unchanged."""
    return through(tf.round)(x)


exercise(
    "4.9",
    "Round, and train through it",
    2,
    mistake(
        "not_rounded",
        "The value isn't rounded.",
        "What does the next layer see?",
        tf.identity,
    ),
    mistake(
        "other_rounding",
        "It rounds down, up, or towards 0, not to the nearest.",
        "Which whole numbers are nearest to 0.7 and to -0.8?",
        *map(through, (tf.floor, tf.math.ceil, lambda x: tf.cast(tf.cast(x, tf.int32), x.dtype))),
    ),
    mistake(
        "half_up",
        "It rounds halves up, or away from 0: 0.5 becomes 1. tf.round takes the even one, 0.",
        "Which function rounds as tf.round does?",
        through(lambda x: tf.floor(x + 0.5)),
        through(lambda x: tf.sign(x) * tf.floor(tf.abs(x) + 0.5)),
    ),
    mistake(
        "sign",
        "The adjoint comes back with the wrong sign.",
        "With which sign does x stand in the result, where the tape sees it?",
        lambda x: tf.stop_gradient(tf.round(x) + x) - x,
    ),
    mistake(
        "ones",
        "The adjoint is 1 everywhere, whatever comes from above.",
        "What must a pull-back do with what it is given?",
        pulled_back(tf.ones_like, tf.round),
    ),
    mistake(
        "clipped",
        "Where x is above 1, or below -1, the adjoint is 0.",
        "For which x is the adjoint to pass?",
        tf.custom_gradient(
            lambda x: (tf.round(x), lambda bar: tf.where(tf.abs(x) <= 1, bar, 0.0))
        ),
    ),
    mistake(
        "zero",
        "No adjoint gets through: it is 0.",
        "Which part of the result should the tape see as x itself?",
        lambda x: 0.0 * x + tf.stop_gradient(tf.round(x)),
    ),
    mistake(
        "twice",
        "The adjoint is doubled on its way.",
        "Along how many paths does it come back?",
        lambda x: 2 * x + tf.stop_gradient(tf.round(x) - 2 * x),
    ),
    cases=lambda random: [
        (float32(0.7, -1.2, 2.4), float32(1, -3, 0.5), "eager"),
        (float32(0.5, -1.5, 2.5), float32(1, 2, 3), "eager"),
        *[
            (*(random.normal(0, 3, shape).astype("float32") for _ in range(2)), how)
            for shape, how in [((), "eager"), ((2, 3), "eager"), ((5,), COMPILED)]
        ],
    ],
    question="The value must be tf.round(x), the adjoint must pass as it is.",
    probe=value_and_adjoint,
    inputs=("x", "the result's adjoint", ""),
)(round_through)
