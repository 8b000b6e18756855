"""The checks of the exercises of chapter 05."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

import tensorflow as tf
import keras

from tapecourse.feedback.checking import matched, not_right, seed_weights, two_exchanged
from tapecourse.feedback.core import NotRight, Parts, exercise, mistake
from tapecourse.feedback.predictions import predict

Random = np.random.Generator

# --- 5.1


def epoch_mean(losses: np.ndarray, sizes: np.ndarray) -> float:
    """Return the mean over all images."""
    return np.sum(losses * sizes) / np.sum(sizes)


exercise(
    "5.1",
    "The mean of an epoch",
    1,
    mistake(
        "unweighted",
        "Every batch counts the same, however few images it has.",
        "Which batch should count more?",
        lambda losses, sizes: np.mean(losses),
    ),
    mistake(
        "total",
        "This is the sum over all images.",
        "How many images are there?",
        lambda losses, sizes: np.dot(losses, sizes),
    ),
    mistake(
        "sum_of_means",
        "This is the sum of the batches' means.",
        "How many images does each batch have?",
        lambda losses, sizes: np.sum(losses),
    ),
    mistake(
        "largest",
        "It divides as if all batches were as large as the largest, or the first.",
        "How many images were seen?",
        lambda losses, sizes: np.dot(losses, sizes) / (len(sizes) * max(sizes)),
        lambda losses, sizes: np.dot(losses, sizes) / (len(sizes) * sizes[0]),
    ),
    mistake(
        "all_but_last",
        "It takes every batch but the last to be as large as the first.",
        "Which sizes are given?",
        lambda losses, sizes: np.average(
            losses, weights=[*[sizes[0]] * (len(sizes) - 1), sizes[-1]]
        ),
    ),
    mistake(
        "by_steps",
        "The sum over all images is divided by the number of steps.",
        "How many images were there?",
        lambda losses, sizes: np.dot(losses, sizes) / len(sizes),
    ),
    cases=lambda random: (
        [(np.array([1.0, 4.0]), np.array([64, 32])), (np.array([-1.0, 0.5]), np.array([3, 1]))]
        + [
            (random.uniform(-1, 3, n).astype(kind), random.integers(1, 100, n))
            for n, kind in [(1, "float64"), (3, "float64"), (5, "float32"), (8, "float64")]
        ]
    ),
    question="What is the sum of the losses over the images of each batch?",
)(epoch_mean)


# --- 5.2

Sizes = list[int]


def placed(name: str, *places_of: Callable) -> list[Callable]:
    """Make answers that are right but for one of the three lists."""

    def make(wrong: Callable) -> Callable:
        names = "steps", "means", "validations"

        def answer(sizes: Sizes, epochs: int) -> tuple:
            right = places(sizes, epochs)
            return tuple(
                wrong(np.array(sizes), epochs) if name == each else part
                for each, part in zip(names, right)
            )

        return answer

    return list(map(make, places_of))


def count(sizes: np.ndarray, epochs: int) -> np.ndarray:
    """Number all steps."""
    return np.arange(len(sizes) * epochs)


def before(sizes: np.ndarray, epochs: int) -> np.ndarray:
    """Return the right places of the steps."""
    return np.asarray(places(list(sizes), epochs)[0])


def places(sizes: Sizes, epochs: int) -> tuple:
    """Return the places of steps, means and validations."""
    seen_before = np.cumsum([0, *sizes[:-1]]) / np.sum(sizes)
    numbers = np.arange(epochs)
    return np.add.outer(numbers, seen_before).ravel(), numbers + 0.5, numbers + 1.0


exercise(
    "5.2",
    "Where each point belongs",
    2,
    mistake(
        "after",
        "each loss is drawn after its own step.",
        "A loss is measured before its step's update. How many images had the model learnt from?",
        *placed("steps", lambda s, e: np.cumsum(np.tile(s, e)) / s.sum()),
    ),
    mistake(
        "equal_steps",
        "the steps are taken to be equally long.",
        "The batches aren't equally large. What does the axis count?",
        *placed(
            "steps", lambda s, e: count(s, e) / len(s), lambda s, e: (count(s, e) + 1) / len(s)
        ),
    ),
    mistake(
        "first_size",
        "every step is taken to be as long as the first.",
        "Which sizes are given?",
        *placed(
            "steps",
            lambda s, e: np.add.outer(np.arange(e), np.arange(len(s)) * s[0] / s.sum()).ravel(),
        ),
    ),
    mistake(
        "middle",
        "each loss is drawn in the middle of its step.",
        "A loss is measured before its step's update. How many images had the model learnt from?",
        *placed("steps", lambda s, e: before(s, e) + np.tile(s, e) / s.sum() / 2),
    ),
    mistake(
        "images",
        "All places are numbers of images, not of epochs.",
        "Where is 1 on the axis?",
        lambda sizes, epochs: tuple(sum(sizes) * each for each in places(sizes, epochs)),
    ),
    mistake(
        "not_in_epochs",
        "these are steps or images, not epochs.",
        "Where is 1 on the axis?",
        *placed("steps", count, lambda s, e: count(s, e) + 1, lambda s, e: before(s, e) * s.sum()),
    ),
    mistake(
        "first_epoch_only",
        "every epoch begins at 0 again.",
        "What must be added from the second epoch on?",
        *placed(
            "steps",
            lambda s, e: np.tile((np.cumsum(s) - s) / s.sum(), e),
            lambda s, e: np.tile(np.cumsum(s) / s.sum(), e),
        ),
    ),
    mistake(
        "mean_of_steps",
        "the mean is drawn at the mean of the places of its steps.",
        "The last step ends when the epoch ends. Where is the middle of an epoch?",
        *placed("means", lambda s, e: before(s, e).reshape(e, -1).mean(axis=1)),
    ),
    mistake(
        "mean_at_end",
        "the mean is drawn at an end of its epoch.",
        "It is collected over the whole epoch. Which moment does it stand for?",
        *placed("means", lambda s, e: np.arange(e) + 1, lambda s, e: np.arange(e)),
    ),
    mistake(
        "validation",
        "the validation isn't drawn where it was measured.",
        "How many epochs has the model seen when it is validated?",
        *placed("validations", lambda s, e: np.arange(e), lambda s, e: np.arange(e) + 0.5),
    ),
    cases=lambda random: (
        [([2, 2, 1], 1), ([64, 64, 22], 3), ([3, 1, 2], 2)]
        + [(list(map(int, random.integers(1, 70, n))), n) for n in (1, 4, 2)]
    ),
    question="When was each of these numbers measured?",
    parts=("steps", "means", "validations"),
    by_part=True,
)(places)


# --- 5.3 and 5.4


def small_model(shape: tuple, classes: int) -> keras.Sequential:
    """Build a network with batch normalization; logits out."""
    layers = keras.layers
    seed_weights(3)
    hidden = [layers.Dense(6, activation="tanh"), layers.BatchNormalization(momentum=0.9)]
    flat = [layers.Flatten()] if len(shape) > 1 else []
    return keras.Sequential([keras.Input(shape), *flat, *hidden, layers.Dense(classes)])


def batches(shape: tuple, classes: int, *sizes: int) -> list[tuple]:
    """Return batches of images and labels."""
    random = np.random.default_rng(len(shape))
    return [
        (
            tf.constant(random.normal(1.0, 2.0, (size, *shape)).astype("float32")),
            tf.constant(random.integers(0, classes, size)),
        )
        for size in sizes
    ]


def run_steps(
    make_step: Callable, shape: tuple, classes: int, rate: float, decay: float | None
) -> dict:
    """Make a step for a small model, run it twice, and look at losses and weights."""
    model = small_model(shape, classes)
    weights = [weights_of(model)]
    step = make_step(model, keras.optimizers.SGD(rate, 0.9, weight_decay=decay))
    if not callable(step):
        key, kind = ("no_return", "None") if step is None else ("no_step", type(step).__name__)
        raise NotRight(key, f"It must return a function of (images, labels), and returns {kind}.")
    seen = {}
    for which, (images, labels) in zip(("first", "second"), batches(shape, classes, 8, 5)):
        loss = step(images, labels)
        if loss is None:
            raise NotRight(
                "no_return", "The step returns None.", "Does the inner function end in `return`?"
            )
        loss = np.asarray(loss)
        if loss.size != 1:
            fact = f"The step must return one number, not an array of the shape {loss.shape}."
            raise NotRight("no_number", fact, "What is asked for, the losses or their mean?")
        seen[f"the loss of the {which} step"] = loss
        weights.append(weights_of(model))
        for name, after in weights[-1].items():
            seen[f"the change of the {name} in the {which} step"] = after - weights[-2][name]
    return seen


WATCHED_STEPS: dict[str, Any] = dict(  # how the steps of 5.3 and 5.4 are judged
    probe=run_steps,
    tolerance=2e-4,
    again=1,
    inputs=("images of the shape", "classes", "the rate", "the decay"),
    allowed=("load_data", "build_model", "make_batches", "compile_step", "differentiation"),
)


def weights_of(model: keras.Sequential) -> dict[str, np.ndarray]:
    """Return the weights, in groups."""
    *below, average, variance, kernel, bias = map(np.ravel, model.get_weights())
    return {
        "moving averages": np.concatenate([average, variance]),
        "weights below the last layer": np.concatenate(below),
        "last layer's kernel": kernel,
        "last layer's bias": bias,
    }


def mean_loss(
    model: Any, images: Any, labels: Any, training: bool = True, logits: bool | str = True
) -> Any:
    """Return the mean cross-entropy of a batch, right or wrong."""
    outputs = model(images, training=training)
    outputs = tf.nn.softmax(outputs) if logits == "softmax" else outputs
    loss_function: Any = keras.losses.sparse_categorical_crossentropy
    losses = loss_function(labels, outputs, from_logits=bool(logits))
    return tf.reduce_mean(losses)


def step_with(
    training: bool = True,
    logits: bool | str = True,
    weigh: Callable = lambda n: 1.0,
    update: str = "given",
    report: str = "loss",
    choose: Callable = lambda model: model.trainable_variables,
) -> Callable:
    """Make an answer, right or with faults."""

    def make_step(model: Any, optimizer: Any) -> Callable:
        variables, losses = choose(model), []

        def step(images: Any, labels: Any) -> Any:
            n, opt = len(labels), optimizer
            if report == "inference before":
                reported = mean_loss(model, images, labels, False)
            with tf.GradientTape() as tape:
                loss = mean_loss(model, images, labels, training, logits)
                weighted = weigh(n) * loss
            gradients = tape.gradient(weighted, variables)
            losses.append(loss)
            if report in ("training again", "inference between"):
                reported = mean_loss(model, images, labels, report.startswith("training"))
            if update.startswith("by hand"):
                rate = 0.1 if update.endswith("0.1") else opt.learning_rate
                for variable, gradient in zip(variables, gradients):
                    variable.assign_sub(rate * gradient)
            elif update != "none":
                if update == "new":
                    opt = type(opt).from_config(opt.get_config())
                opt.apply(gradients, variables)
            if report.endswith("after"):
                reported = mean_loss(model, images, labels, report.startswith("training"))
            if report == "sum":
                reported = n * loss
            if report == "running mean":
                reported = tf.reduce_mean(losses)
            return loss if report == "loss" else reported  # pyright: ignore[reportPossiblyUnboundVariable]

        return step

    return make_step


FAULTS = {  # of the step to repair: the option, what is seen, what to ask
    "training": ("the model runs in inference mode", "In which mode does `model(images)` run?"),
    "logits": (
        "the loss takes the model's outputs for probabilities",
        "What does the model return, and what does the loss function expect?",
    ),
    "summed_gradient": (
        "the tape differentiates the sum of the losses, not their mean",
        "What does a tape do with a target that has several elements?",
    ),
}


def left_over() -> list:
    """Make a mistake for each selection of the three faults."""
    found = []
    for flags in list(product([False, True], repeat=3))[1:]:
        keys = [key for key, flag in zip(FAULTS, flags) if flag]
        fact, question = FAULTS[keys[0]]
        if len(keys) > 1:
            fact = (
                f"{'two' if len(keys) == 2 else 'all three'} faults are left; one is that {fact}"
            )
        answer = step_with(
            not flags[0], not flags[1], (lambda n: n) if flags[2] else lambda n: 1.0
        )
        found.append(mistake(keys[0], f"{fact[0].upper()}{fact[1:]}.", question, answer))
    return found


def last(model: Any) -> list:
    """Return the variables of the last layer."""
    return model.layers[-1].trainable_variables


STEPS = [((4,), 3, 0.1), ((3, 2, 1), 4, 0.05)]


def make_step(model: Any, optimizer: Any) -> Callable:
    """Make a training step."""
    return step_with()(model, optimizer)


exercise(
    "5.3",
    "Repair a training step",
    3,
    *left_over(),
    mistake(
        "mode_of_loss",
        "The loss that is returned is that of inference mode.",
        "Which loss do you differentiate?",
        step_with(report="inference before"),
        step_with(report="inference between"),
        step_with(report="inference after"),
    ),
    mistake(
        "late_loss",
        "The loss that is returned was measured after the update.",
        "Which loss do you differentiate?",
        step_with(report="training after"),
    ),
    mistake(
        "summed_loss",
        "The loss must be the mean over the batch: yours is its sum.",
        "How many images does the batch have?",
        step_with(weigh=lambda n: n, report="sum"),
        step_with(report="sum"),
    ),
    mistake(
        "uphill",
        "The weights move uphill.",
        "What is the sign of the gradient that the optimizer gets?",
        step_with(weigh=lambda n: -1.0),
    ),
    mistake(
        "no_update",
        "The loss is right, but no weight is trained.",
        "What does the optimizer get?",
        step_with(update="none"),
    ),
    mistake(
        "averages",
        "The moving averages of batch normalization move twice in each step.",
        "How often does the model run in training mode?",
        step_with(report="training again"),
    ),
    mistake(
        "memory",
        "The first step is right, the second is not: momentum is lost.",
        "An optimizer remembers. Is it the one that was given, and does it make every update?",
        step_with(update="by hand"),
        step_with(update="new"),
    ),
    mistake(
        "divided_twice",
        "The gradient is divided by the number of images once more.",
        "Which loss do you differentiate? Is it a mean already?",
        step_with(weigh=lambda n: 1 / n),
    ),
    mistake(
        "softmax_twice",
        "The softmax is taken twice: the loss function, told that it gets logits, takes its own.",
        "What must a loss function with `from_logits=True` be given?",
        step_with(logits="softmax"),
    ),
    mistake(
        "last_layer",
        "Only the last layer is trained.",
        "Which variables does the optimizer get?",
        step_with(choose=last),
    ),
    mistake(
        "later_loss",
        "The first loss is right; the second is the mean of both.",
        "Does anything collect losses from step to step?",
        step_with(report="running mean"),
    ),
    cases=lambda random: [(*how, None) for how in STEPS],
    question="Which loss is differentiated, in which mode, and who makes the update?",
    **WATCHED_STEPS,
)(make_step)


def changes(what: str) -> Callable:
    """Make what a `Mistake` has `seen`: something changes that must not."""

    def seen(found: list[Parts], right: list[Parts]) -> bool:
        return any(
            np.any(value)
            for parts in found
            for name, value in parts.items()
            if name.startswith(f"the change of the {what}") and isinstance(value, np.ndarray)
        )

    return seen


def make_last_layer_step(model: Any, optimizer: Any) -> Callable:
    """Make a step of the last layer."""
    return step_with(training=False, choose=last)(model, optimizer)


exercise(
    "5.4",
    "Train only the last layer",
    2,
    mistake(
        "others",
        "A layer below the last has changed too.",
        "Which variables does the optimizer get? Weight decay alone changes each of them.",
        seen=changes("weights below"),
    ),
    mistake(
        "statistics",
        "The weights below are as before, but the moving averages are not.",
        "What moves them, if not the optimizer?",
        seen=changes("moving averages"),
    ),
    mistake(
        "mode_of_loss",
        "The layers below run in training mode.",
        "They are to extract features only: in which mode do they run in use?",
        seen=lambda found, right: as_with(found, step_with(choose=last)),
    ),
    mistake(
        "no_update",
        "The last layer has not changed.",
        "Which variables does the optimizer get, with which gradients?",
        step_with(training=False, update="none", choose=last),
    ),
    mistake(
        "one_variable",
        "Only one of the last layer's two variables is trained.",
        "Which two variables does a dense layer have?",
        step_with(training=False, choose=lambda model: last(model)[:1]),
        step_with(training=False, choose=lambda model: last(model)[1:]),
    ),
    mistake(
        "logits",
        "The loss takes the model's outputs for probabilities.",
        "What does the model return, and what does the loss function expect?",
        step_with(training=False, logits=False, choose=last),
    ),
    mistake(
        "summed_gradient",
        "The tape differentiates the sum of the losses, not their mean.",
        "What does a tape do with a target that has several elements?",
        step_with(training=False, weigh=lambda n: n, choose=last),
        step_with(training=False, weigh=lambda n: n, report="sum", choose=last),
    ),
    mistake(
        "late_loss",
        "The loss that is returned was measured after the update.",
        "Which loss do you differentiate?",
        step_with(training=False, report="inference after", choose=last),
    ),
    mistake(
        "memory",
        "The given optimizer doesn't make every update.",
        "Where are its momentum and its weight decay?",
        step_with(training=False, update="by hand", choose=last),
        step_with(training=False, update="by hand, 0.1", choose=last),
        step_with(training=False, update="new", choose=last),
    ),
    cases=lambda random: [(*how, decay) for how, decay in zip(STEPS, (0.1, None))],
    question="Is the loss the mean, before the update? Who makes every update?",
    **WATCHED_STEPS,
)(make_last_layer_step)


def as_with(found: list[Parts], answer: Callable) -> bool:
    """Tell whether the losses and the last layer are those of another answer."""
    others = run_steps(answer, *STEPS[0], decay=0.1)
    return all(
        isinstance(found[0].get(name), np.ndarray)
        and np.shape(found[0][name]) == np.shape(value)
        and np.allclose(found[0][name], value, rtol=1e-3, atol=1e-6)
        for name, value in others.items()
        if "loss" in name or "last layer's" in name
    )


# --- 5.5


class Reader(keras.Model):
    """Reads an image's digit from its first pixel; in training mode it reads the next one."""

    def __init__(self):
        super().__init__()
        self.most_images = tf.Variable(tf.constant(0), trainable=False)  # in a call so far
        self.has_trained = False  # whether any call was in training mode

    def call(self, images: Any, training: bool = False) -> Any:
        """Return logits (n, 10) of images (n, 28, 28, 1)."""
        self.most_images.assign(tf.maximum(self.most_images, tf.shape(images)[0]))
        self.has_trained = self.has_trained or bool(training)
        digits = tf.cast(tf.round(images[:, 0, 0, 0] * 10), tf.int32) + int(bool(training))
        return tf.one_hot(digits % 10, 10) - 3.0  # the largest is no probability, and below 0


def judge_reader(answer: Callable, labels: np.ndarray, read: np.ndarray, batch_size: int) -> dict:
    """Ask for the accuracy of a model that reads these digits."""
    images = np.zeros((len(labels), 28, 28, 1), "float32")
    images[:, 0, 0, 0] = read / 10
    model = Reader()
    share = answer(model, images, labels, batch_size)
    return {
        "the accuracy": share,
        "whether the model runs in training mode": model.has_trained,
        "whether a call has more images than allowed": bool(model.most_images > batch_size),
    }


def of_hits(combine: Callable, **how: Any) -> Callable:
    """Make an answer that combines the hits of the batches, arrays of True and False."""

    def answer(model: Any, images: np.ndarray, labels: np.ndarray, batch_size: int) -> Any:
        hits = []
        for start in range(0, len(images), batch_size):
            batch = slice(start, start + batch_size)
            logits = model(images[batch], training=how.get("training", False))
            hits.append(np.argmax(logits, axis=-1) == labels[batch])
        return combine(hits, batch_size)

    return answer


def full_ones(hits: list, size: int) -> list:
    """Return the full batches."""
    return [each for each in hits if len(each) == size]


def whole(hits: list, size: int) -> float:
    """Return the share of all."""
    return float(np.mean(np.concatenate(hits)))


def total(hits: list) -> int:
    """Return the number of hits."""
    return int(sum(map(np.sum, hits)))


def accuracy(model: Any, images: np.ndarray, labels: np.ndarray, batch_size: int) -> float:
    """Return the share of right predictions."""
    return of_hits(whole)(model, images, labels, batch_size)


exercise(
    "5.5",
    "How good is it?",
    2,
    mistake(
        "training_mode",
        "The model runs in training mode.",
        "In which mode is a model judged?",
        of_hits(whole, training=True),
    ),
    mistake(
        "mean_of_batches",
        "This averages over the batches, and the last of them is smaller.",
        "Which images count more in it than others?",
        of_hits(lambda hits, size: np.mean([each.mean() for each in hits])),
    ),
    mistake(
        "last_batch",
        "The last, incomplete batch is missing.",
        "What do slices past the end of an array give?",
        of_hits(lambda hits, size: np.mean(np.concatenate(full_ones(hits, size)))),
        of_hits(lambda hits, size: total(full_ones(hits, size)) / sum(map(len, hits))),
    ),
    mistake(
        "one_batch",
        "This counts the hits of a single batch.",
        "What becomes of the others?",
        of_hits(lambda hits, size: hits[0].mean()),
        of_hits(lambda hits, size: hits[-1].mean()),
        of_hits(lambda hits, size: hits[0].sum() / sum(map(len, hits))),
        of_hits(lambda hits, size: hits[-1].sum() / sum(map(len, hits))),
    ),
    mistake(
        "full_batches",
        "It is divided as if all batches were full.",
        "How many images are there?",
        of_hits(lambda hits, size: total(hits) / (len(hits) * size)),
    ),
    mistake(
        "percent",
        "This is a percentage.",
        "Which range is asked for?",
        of_hits(lambda hits, size: 100 * whole(hits, size)),
    ),
    mistake(
        "number",
        "This is the number of images that were right.",
        "Of how many?",
        of_hits(lambda hits, size: total(hits)),
    ),
    mistake(
        "errors",
        "This is the share of errors.",
        "Is a perfect model's accuracy 0 or 1?",
        of_hits(lambda hits, size: 1 - whole(hits, size)),
    ),
    mistake(
        "too_many",
        "The accuracy is right, but the model got more images in one call than `batch_size`.",
        "Where is batch_size used?",
        seen=lambda found, right: (
            all(
                np.array_equal(a.get(name, ""), b[name])
                or np.allclose(a.get(name, np.nan), b[name])
                for a, b in zip(found, right)
                for name in list(b)[:2]
                if "" not in a
            )
            and not any("" in a for a in found)
        ),
    ),
    cases=lambda random: [
        (np.array([3, 1, 4, 1, 5, 9, 2, 6]), np.array([3, 1, 4, 1, 5, 8, 2, 0]), 3),
        *[draw_reader(random, n, size) for n, size in [(8, 4), (11, 4)]],
    ],
    question="Look at argmax and its axis, at the slices, and at what is divided by what.",
    probe=judge_reader,
    again=1,
    inputs=("the labels", "digits that are read", "batch_size"),
)(accuracy)


def draw_reader(random: Random, n: int, size: int) -> tuple:
    """Draw labels, digits that are read, some of them wrong, and a batch size."""
    labels = random.integers(0, 9, n)
    wrong = random.permutation(n) < n // 3
    return labels, np.where(wrong, (labels + 2) % 10, labels), size


# --- 5.6


def moving(before: Callable, after: Callable, reduce: Callable = np.mean) -> Callable:
    """Make a moving mean of some losses before and after each."""

    def answer(losses: np.ndarray, window: int) -> np.ndarray:
        ends = before(window), after(window) + 1
        pieces = [losses[max(0, i - ends[0]) : max(1, i + ends[1])] for i in range(len(losses))]
        return np.array([reduce(piece) if len(piece) else np.nan for piece in pieces])

    return answer


def half(window: int) -> int:
    """Return how many losses before, and how many after, are in a window."""
    return window // 2


def in_place(losses: np.ndarray, window: int) -> np.ndarray:
    """Write means over the losses that are still to be read."""
    losses = losses.copy()
    for i in range(len(losses)):
        losses[i] = losses[max(0, i - half(window)) : i + half(window) + 1].mean()
    return losses


def valid(losses: np.ndarray, window: int) -> np.ndarray:
    """Return the means of whole windows only."""
    return np.convolve(losses, np.ones(window) / window, "valid")


def padded(losses: np.ndarray, window: int, *how: Any, **options: Any) -> np.ndarray:
    """Add half a window at both ends."""
    return np.pad(losses, half(window), *how, **options)


def ends_kept(losses: np.ndarray, window: int) -> np.ndarray:
    """Leave the ends as they are."""
    smoothed = np.array(losses)
    smoothed[half(window) : len(losses) - half(window)] = valid(losses, window)
    return smoothed


def smooth(losses: np.ndarray, window: int) -> np.ndarray:
    """Return the centred moving mean."""
    return moving(half, half)(losses, window)


exercise(
    "5.6",
    "A mean that doesn't lag",
    2,
    mistake(
        "lags",
        "This is the mean of the last losses: where the loss falls, it lags behind.",
        "How many losses before, and how many after, belong in the window?",
        moving(lambda w: w - 1, lambda w: 0),
    ),
    mistake(
        "leads",
        "This is the mean of the next losses.",
        "How many losses before, and how many after, belong in the window?",
        moving(lambda w: 0, lambda w: w - 1),
    ),
    mistake(
        "short",
        "Only whole windows have a point.",
        "How many points are asked for? What is the mean over near the ends?",
        valid,
        lambda losses, window: padded(valid(losses, window), window, constant_values=np.nan),
    ),
    mistake(
        "padded",
        "In the middle it is right; at the ends it takes losses that there aren't.",
        "Which losses does the window really hold there? What does padding add?",
        lambda losses, window: valid(padded(losses, window, "edge"), window),
        lambda losses, window: valid(padded(losses, window, "reflect"), window),
    ),
    mistake(
        "shrinks",
        "In the middle it is right; near an end the window is cut on the other side, too.",
        "Which losses of the window exist there? May any of them be left out?",
        lambda losses, window: np.array(
            [
                np.mean(losses[i - k : i + k + 1])
                for i in range(len(losses))
                for k in [min(half(window), i, len(losses) - 1 - i)]
            ]
        ),
    ),
    mistake(
        "as_they_are",
        "These are the losses themselves.",
        "Of which losses is each point to be the mean?",
        lambda losses, window: losses,
    ),
    mistake(
        "exponential",
        "This is an exponential moving mean, of the losses so far.",
        "How many losses before, and how many after, belong in the window?",
        lambda losses, window: pd.Series(losses).ewm(span=window).mean(),
        lambda losses, window: pd.Series(losses).ewm(span=window, adjust=False).mean(),
    ),
    mistake(
        "zeros",
        "In the middle it is right; at the ends it is divided by `window` as well.",
        "How many losses does the window really hold there?",
        lambda losses, window: moving(half, half, np.sum)(losses, window) / window,
    ),
    mistake(
        "ends",
        "In the middle it is right; the ends are left as they were.",
        "What is the mean over those losses of the window that exist?",
        ends_kept,
    ),
    mistake(
        "negative_start",
        "In the middle and at the right end it is right, at the left end it is not.",
        "What does Python do with a negative start of a slice?",
        lambda losses, window: np.array(
            [np.mean(losses[i - half(window) : i + half(window) + 1]) for i in range(len(losses))]
        ),
    ),
    mistake(
        "sums",
        "These are sums.",
        "By how many losses is each to be divided?",
        moving(half, half, np.sum),
    ),
    mistake(
        "in_place",
        "These are means of means.",
        "Is `losses` changed while it is still being read?",
        in_place,
    ),
    mistake(
        "width",
        "The window has the wrong width, or its middle is off by one.",
        "With window = 3, which losses belong to the point of losses[5]?",
        moving(half, lambda w: half(w) - 1),
        moving(lambda w: half(w) - 1, half),
        moving(lambda w: half(w) + 1, lambda w: half(w) + 1),
        moving(lambda w: w, lambda w: w),
        moving(lambda w: w, lambda w: w - 1),
        moving(lambda w: 1, lambda w: 1),
    ),
    mistake(
        "median",
        "These are medians.",
        "What is asked for, the mean or the middle one?",
        moving(half, half, np.median),
    ),
    cases=lambda random: (
        [(np.array([3.0, 0.0, 0.0, 6.0]), 3), (np.array([-3.0, -1.0, 2.0]), 3)]
        + [
            (random.uniform(-2, 5, n).astype(kind), window)
            for n, window, kind in [
                (9, 3, "float64"),
                (9, 5, "float64"),
                (8, 7, "float32"),
                (5, 1, "float64"),
                (7, 7, "float64"),
            ]
        ]
    ),
    question="Each point is the mean of its own loss, and of as many before as after.",
)(smooth)


# --- 5.7


def faults() -> dict:
    """Return the fault behind each curve."""
    return {1: "c", 2: "f", 3: "a", 4: "e", 5: "b", 6: "d"}


exercise(
    "5.7",
    "Six curves, six faults",
    3,
    mistake(
        "rates",
        "The curves of the two wrong learning rates are exchanged.",
        "Which of them hardly moves, and which can't settle?",
        lambda: faults() | {5: "a", 3: "b"},
    ),
    mistake(
        "validation",
        "The two curves on which training goes on falling, and validation doesn't, are exchanged.",
        "In which of them can nothing be learnt from the training images that holds elsewhere?",
        lambda: faults() | {1: "e", 4: "c"},
    ),
    mistake(
        "two_swapped",
        "Two curves are exchanged, all others are right.",
        "For each: which way does it go, does it jump, and where is validation?",
        seen=two_exchanged,
    ),
    mistake(
        "several",
        "Several curves are matched wrongly.",
        "For each: which way does it go, does it jump, and where is validation?",
        seen=lambda found, right: len(not_right(found, right)) > 1,
    ),
    mistake(
        "one",
        "One curve is matched wrongly, and one fault is named twice.",
        "Which fault did you give to two curves?",
        seen=lambda found, right: len(not_right(found, right)) == 1,
    ),
    cases=lambda random: [()],
    probe=lambda answer: matched(answer(), "curve", 6, "abcdef"),
    lettered="abcdef",
    secret=True,
)(faults)


# --- 5.8


def confusion(labels: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """Count: row for the label, column for the prediction."""
    counts = np.zeros((classes, classes), int)
    np.add.at(counts, (labels, predictions), 1)
    return counts


def overwritten(labels: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """Count each pair once."""
    return np.minimum(confusion(labels, predictions, classes), 1)


exercise(
    "5.8",
    "Who is taken for whom?",
    2,
    mistake(
        "transposed",
        "Rows and columns are exchanged.",
        "What stands in row 3: the images of a 3, or what was taken for a 3?",
        lambda labels, predictions, classes: confusion(predictions, labels, classes),
    ),
    mistake(
        "once",
        "Pairs that occur several times are counted once.",
        "What does NumPy do with `counts[[0, 0], [1, 1]] += 1`?",
        overwritten,
    ),
    mistake(
        "errors_only",
        "The diagonal is empty.",
        "Where are the images that were read rightly?",
        lambda labels, predictions, classes: (
            confusion(labels, predictions, classes) * (1 - np.eye(classes, dtype=int))
        ),
    ),
    mistake(
        "shares",
        "These are shares, not counts.",
        "What is asked for?",
        lambda labels, predictions, classes: confusion(labels, predictions, classes) / len(labels),
        lambda labels, predictions, classes: (
            confusion(labels, predictions, classes)
            / np.maximum(confusion(labels, predictions, classes).sum(1, keepdims=True), 1)
        ),
        lambda labels, predictions, classes: (
            confusion(labels, predictions, classes)
            / confusion(labels, predictions, classes).sum(1, keepdims=True)
        ),
    ),
    mistake(
        "right_only",
        "Only the diagonal is filled.",
        "Where are the images that were read wrongly?",
        lambda labels, predictions, classes: (
            confusion(labels, predictions, classes) * np.eye(classes, dtype=int)
        ),
    ),
    mistake(
        "one_row",
        "All rows are the same, and hold the images of all labels.",
        "What does `[[0] * n] * n` make: n rows, or one row n times?",
        lambda labels, predictions, classes: np.tile(
            np.bincount(predictions, minlength=classes), (classes, 1)
        ),
    ),
    mistake(
        "classes_seen",
        "Classes that don't occur are missing.",
        "How many rows are asked for?",
        lambda labels, predictions, classes: confusion(
            labels, predictions, int(max(labels.max(), predictions.max())) + 1
        ),
    ),
    cases=lambda random: (
        [(np.array([0, 0, 1, 2, 2]), np.array([0, 1, 1, 2, 0]), 3)]
        + [
            (random.integers(0, most, n), random.integers(0, most, n), classes)
            for n, most, classes in [(20, 3, 3), (9, 3, 5), (30, 4, 4)]
        ]
    ),
    question="Go through the images one by one, and make a mark for each.",
)(confusion)


# --- 5.9


def stopping(losses: list, patience: int) -> tuple:
    """Return after how many epochs training stops, and which epoch was the best."""
    best = 0
    for epoch, loss in enumerate(losses):
        if loss < losses[best]:
            best = epoch
        if epoch - best >= patience:
            return epoch + 1, best + 1
    return len(losses), best + 1


def by_last(losses: list, patience: int) -> tuple:
    """Compare each loss with the one before, not with the best."""
    worse = 0
    for epoch in range(1, len(losses)):
        worse = worse + 1 if losses[epoch] >= losses[epoch - 1] else 0
        if worse >= patience:
            return epoch + 1, int(np.argmin(losses[: epoch + 1])) + 1
    return len(losses), int(np.argmin(losses)) + 1


def added_up(losses: list, patience: int) -> tuple:
    """Count all epochs without an improvement."""
    best = worse = 0
    for epoch in range(1, len(losses)):
        if losses[epoch] < losses[best]:
            best = epoch
        else:
            worse += 1
        if worse >= patience:
            return epoch + 1, best + 1
    return len(losses), best + 1


def shifted(by: int) -> Callable:
    """Make an answer that is too patient."""
    return lambda losses, patience: stopping(losses, patience + by)


exercise(
    "5.9",
    "When to stop",
    2,
    mistake(
        "from_zero",
        "Epochs are counted from 0.",
        "What is the first epoch called?",
        lambda losses, patience: tuple(n - 1 for n in stopping(losses, patience)),
    ),
    mistake(
        "last_loss",
        "Each loss is compared with the one before, not with the best so far.",
        "With losses 3, 1, 2, 1.5, 1.2: which of them is an improvement?",
        by_last,
    ),
    mistake(
        "off_by_one",
        "It stops an epoch too late, or too early.",
        "With a patience of 1, how many epochs without improvement are allowed?",
        shifted(1),
        lambda losses, patience: stopping(losses, patience - 1) if patience > 1 else (1, 1),
    ),
    mistake(
        "no_new_count",
        "Epochs without an improvement are added up, also with improvements between them.",
        "How many of them are in a row? What must an improvement do to their number?",
        added_up,
    ),
    mistake(
        "never",
        "It never stops before the end.",
        "What is `patience` for?",
        lambda losses, patience: (len(losses), int(np.argmin(losses)) + 1),
    ),
    mistake(
        "exchanged",
        "The two epochs are returned in the other order.",
        "Which of them comes first?",
        lambda losses, patience: stopping(losses, patience)[::-1],
    ),
    mistake(
        "best_of_all",
        "The best epoch is looked for in all losses, also those after the stop.",
        "Which epochs has the run really seen?",
        lambda losses, patience: (stopping(losses, patience)[0], int(np.argmin(losses)) + 1),
    ),
    mistake(
        "ties",
        "A loss that is only equal to the best counts as an improvement.",
        "Is 1.0 better than 1.0?",
        lambda losses, patience: stopping(
            [loss - 1e-9 * i for i, loss in enumerate(losses)], patience
        ),
    ),
    cases=lambda random: [
        ([3.0, 2.0, 2.5, 2.1, 1.0], 2),
        ([3.0, 1.0, 1.0, 1.0, 0.5], 2),
        ([3.0, 1.0, 2.0, 1.5, 1.2, 0.9], 3),
        ([1.0, 2.0, 3.0], 1),
        ([1.0, 1.0, 2.0], 5),
        ([2.0], 3),
        ([3.0, 2.0, 1.0], 2),
        ([40.0, 30.0, 0.0, 0.5, 0.4], 2),
        *[([round(float(x), 2) for x in random.uniform(0, 3, 9)], k) for k in (1, 2, 3, 4)],
    ],
    question="Go through them with a finger on the best one so far. When does patience end?",
    parts=("the last epoch", "the best epoch"),
    tolerance=1e-9,
)(stopping)


# --- 5.10


predict(
    "5.10",
    "odds_of_training",
    2,
    a=(True, "If all ten logits are 0, the cross-entropy is ln 10, whatever the label."),
    b=(False, "With training=False, batch normalization uses the mean of the batch."),
    c=(
        True,
        "Adam's first step changes a weight whose gradient isn't tiny by about the learning rate.",
    ),
    d=(False, "If the loss is multiplied by 1000, Adam's first step is 1000 times as large."),
    e=(
        True,
        "If the loss is multiplied by 1000, the first step of plain SGD is 1000 times as large.",
    ),
    f=(False, "Dropout in training mode gives the same output twice."),
)
