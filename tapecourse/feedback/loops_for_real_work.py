"""The checks of the exercises of chapter 07."""

from collections.abc import Callable
from typing import Any

import numpy as np

import tensorflow as tf
import keras

from tapecourse.feedback.core import NotRight, exercise, mistake

Random = np.random.Generator

# --- 7.1


def with_penalty(inputs: int, units: int, classes: int, penalty: float) -> keras.Sequential:
    """Build a network whose first layer has a penalty."""
    keras.utils.set_random_seed(7)
    layers = keras.layers
    first = layers.Dense(units, "tanh", kernel_regularizer=keras.regularizers.L2(penalty))
    return keras.Sequential([keras.Input((inputs,)), first, layers.Dense(classes)])


def gather_gradients(answer: Callable, sizes: tuple, penalty: float) -> dict:
    """Hand parts of these sizes to an answer, and look at the gradients."""
    model, random = with_penalty(3, 4, 3, penalty), np.random.default_rng(len(sizes))
    parts = [
        (
            tf.constant(random.normal(0.3, 1, (size, 3)).astype("float32")),
            tf.constant(random.integers(0, 3, size)),
        )
        for size in sizes
    ]
    loss_function = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    gradients = answer(model, loss_function, parts)
    if gradients is None:
        raise NotRight("no_return", "It returns None.", "Does the function end in `return`?")
    gradients = list(gradients)
    if len(gradients) != 4:
        fact = f"It must return a gradient for each of 4 variables, not {len(gradients)} values."
        raise NotRight("count", fact)
    names = (
        "first layer's kernel",
        "first layer's bias",
        "last layer's kernel",
        "last layer's bias",
    )
    return {f"the gradient of the {name}": each for name, each in zip(names, gradients)}


def accumulating(
    weigh: Callable = lambda sizes: np.array(sizes) / sum(sizes),
    penalties: Callable = lambda sizes: 1.0,
    only: slice = slice(None),
) -> Callable:
    """Make an answer, right or with faults: the weight of each part, and of the penalty."""

    def answer(model: Any, loss_function: Callable, parts: list) -> list:
        sizes = [len(labels) for _, labels in parts]
        variables = model.trainable_variables
        with tf.GradientTape() as tape:
            losses = [loss_function(y, model(x, training=True)) for x, y in parts]
            weighted = list(zip(weigh(sizes), losses))[only]
            total = sum(float(weight) * loss for weight, loss in weighted)
            total += float(penalties(sizes)) * sum(model.losses)
        return tape.gradient(total, variables)

    return answer


def accumulate(model: Any, loss_function: Callable, parts: list) -> list:
    """Return the gradients of the mean loss over all examples, with penalties."""
    return accumulating()(model, loss_function, parts)


def ones(sizes: list) -> np.ndarray:
    """Weigh each part by 1."""
    return np.ones(len(sizes))


exercise(
    "7.1",
    "Uneven parts",
    2,
    mistake(
        "equal_parts",
        "Each part counts the same, however few examples it has.",
        "Which part should count more?",
        accumulating(lambda sizes: ones(sizes) / len(sizes)),
    ),
    mistake(
        "sum_of_means",
        "The gradients of the parts' means are added, and not weighted.",
        "How much of the whole mean is the mean of a part?",
        accumulating(ones),
        accumulating(ones, len),
    ),
    mistake(
        "sum_of_all",
        "This is the gradient of the sum over all examples.",
        "By how many examples is a mean divided?",
        accumulating(np.array),
        accumulating(np.array, len),
        accumulating(np.array, sum),
    ),
    mistake(
        "no_penalty",
        "The data's gradient is right; the penalties are missing.",
        "What does `model.losses` hold?",
        accumulating(penalties=lambda sizes: 0),
    ),
    mistake(
        "penalty_each_time",
        "The data's gradient is right; the penalties are added once for each part.",
        "How often does the penalty occur in the loss of the whole batch?",
        accumulating(penalties=len),
    ),
    mistake(
        "one_part",
        "Only one part is left of all.",
        "Is the gradient of a part added to the others, or does it replace them?",
        accumulating(ones, only=slice(-1, None)),
        accumulating(only=slice(-1, None)),
        accumulating(ones, only=slice(0, 1)),
    ),
    cases=lambda random: [
        ((4, 1), 0.2),
        (tuple(map(int, random.integers(2, 9, 4))), 0.3),
    ],
    question="Write the mean over all examples as a sum over the parts. What stands before each?",
    probe=gather_gradients,
    again=1,
    inputs=("parts of the sizes", "the penalty's factor"),
    allowed=("loops_for_real_work",),
)(accumulate)


# --- 7.2


def merged(mean: Callable | None = None, variance: Callable | None = None) -> Callable:
    """Make an answer that is right but for one of both."""

    def answer(sizes: np.ndarray, means: np.ndarray, variances: np.ndarray) -> tuple:
        right = merge(sizes, means, variances)
        parts = sizes, means, variances
        return mean(*parts) if mean else right[0], variance(*parts) if variance else right[1]

    return answer


def merge(sizes: np.ndarray, means: np.ndarray, variances: np.ndarray) -> tuple:
    """Return mean and variance of the whole batch."""
    mean = np.average(means, axis=0, weights=sizes)
    spread = np.average((means - mean) ** 2, axis=0, weights=sizes)
    return mean, np.average(variances, axis=0, weights=sizes) + spread


def within(sizes: np.ndarray, means: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Return the weighted mean of the variances."""
    return np.average(variances, axis=0, weights=sizes)


exercise(
    "7.2",
    "What normalization would need",
    2,
    mistake(
        "unweighted_mean",
        "each part's mean counts the same.",
        "Which part should count more?",
        merged(lambda sizes, means, variances: means.mean(axis=0)),
    ),
    mistake(
        "within_only",
        "this is the mean of the variances. It leaves out how far the parts' means lie apart.",
        "Two parts have the variance 0, and the means 0 and 10. What is the variance of all?",
        merged(variance=within),
        merged(variance=lambda sizes, means, variances: variances.mean(axis=0)),
    ),
    mistake(
        "unweighted_spread",
        "in the spread of the means each part counts the same.",
        "Which part's mean should count more?",
        merged(
            variance=lambda sizes, means, variances: (
                within(sizes, means, variances) + means.var(axis=0)
            )
        ),
        merged(
            variance=lambda sizes, means, variances: variances.mean(axis=0) + means.var(axis=0)
        ),
    ),
    mistake(
        "between_only",
        "this is the spread of the parts' means. It leaves out what varies within the parts.",
        "There is a single part. What is the variance?",
        merged(variance=lambda s, m, v: merge(s, m, 0 * v)[1]),
        merged(variance=lambda s, m, v: m.var(axis=0)),
    ),
    mistake(
        "one_less",
        "it is divided by one less than the number of examples.",
        "By what does batch normalization divide?",
        merged(variance=lambda s, m, v: merge(s, m, v)[1] * s.sum() / (s.sum() - 1)),
    ),
    mistake(
        "no_square",
        "the mean of the squares is left as it is.",
        "What must be taken off the mean of the squares?",
        merged(variance=lambda s, m, v: np.average(v + m**2, axis=0, weights=s)),
    ),
    cases=lambda random: (
        [(np.array([3, 1]), np.array([[0.0], [4.0]]), np.array([[0.0], [0.0]]))]
        + [
            (
                random.integers(1, 9, parts),
                random.normal(0, 2, (parts, features)),
                random.uniform(0, 3, (parts, features)),
            )
            for parts, features in [(2, 3), (4, 2), (1, 2), (3, 1)]
        ]
    ),
    question="What is the sum of the squares over the examples of a part, and over all?",
    parts=("the mean", "the variance"),
    by_part=True,
)(merge)
