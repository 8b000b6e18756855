"""The checks of the exercises of chapter 05."""

from collections.abc import Callable
from typing import Any

import numpy as np

import tapecourse.quiet  # noqa: F401  first, so that TensorFlow starts without its log
import tensorflow as tf
import keras

from tapecourse.exercises.core import NotRight, as_numbers, call, exercise, expect, returned


@exercise(
    "5.1",
    "The mean of an epoch",
    points=1,
    hints={
        "unweighted": "Every batch counts the same here, however few images it has.",
        "total": "This is the sum over all images. How many are there?",
        "largest": "You divide as if all batches were full. How many images were seen?",
        "weights_only": "This is divided by the number of steps. How many images were there?",
        "value": "For losses 1 and 4 of batches of 64 and 32 it must be 2.\n"
        "What is the sum of the losses over the images of each batch?",
    },
)
def epoch_mean(answer: Callable) -> None:
    """(losses, sizes) -> the mean over images."""
    for losses, sizes in [([1.0, 4.0], [64, 32]), ([2.0, 0.5, 0.25, 3.0], [100, 100, 100, 7])]:
        loss, size = np.array(losses), np.array(sizes)
        total = (loss * size).sum()
        mistakes = [
            ("unweighted", loss.mean()),
            ("total", total),
            ("total", loss.sum()),
            ("largest", total / (size.max() * len(size))),
            ("weights_only", total / len(size)),
        ]
        for pair in ((losses, sizes), (loss, size)):
            found = as_numbers(call(answer, *pair), (), "the answer")
            expect(found, total / size.sum(), mistakes)


@exercise(
    "5.2",
    "Where each point belongs",
    points=2,
    hints={
        "three_lists": "The answer must be three lists: of the steps, the means, the validations.",
        "counted": "{what}: {found} places are returned, {needed} are needed.",
        "after": "Steps: a loss is measured before its step's update.\n"
        "How many images had the model learnt from by then?",
        "equal_steps": "Steps: the batches aren't equally large; count images, not steps.",
        "not_in_epochs": "The axis counts epochs, neither steps nor images.",
        "first_epoch_only": "Steps: from the second epoch on, the epochs before must be added.",
        "mean_at_end": "Means: such a mean is collected over the whole epoch.\n"
        "Which moment does it stand for?",
        "validation": "Validations: how many epochs has the model seen when it is validated?",
        "value": "{what}: the places are not right. When was each of these numbers measured?",
    },
)
def places(answer: Callable) -> None:
    """(sizes, epochs) -> places of steps, means and validations."""
    for sizes, epochs in [([2, 2, 1], 1), ([64, 64, 22], 3)]:
        result = returned(call(answer, sizes, epochs))
        if not isinstance(result, list | tuple) or len(result) != 3:
            raise NotRight("three_lists")
        n, steps_per_epoch = sum(sizes), len(sizes)
        ends = np.cumsum(sizes) / n
        starts = ends - np.array(sizes) / n
        epoch = np.repeat(np.arange(epochs), steps_per_epoch)
        step, number = np.arange(steps_per_epoch * epochs), np.arange(epochs)
        steps = np.tile(starts, epochs) + epoch
        table = {  # what: right, mistakes
            "steps": (
                steps,
                [
                    ("first_epoch_only", np.tile(starts, epochs)),
                    ("after", np.tile(ends, epochs) + epoch),
                    ("equal_steps", step / steps_per_epoch),
                    ("equal_steps", (step + 1) / steps_per_epoch),
                    ("not_in_epochs", step),
                    ("not_in_epochs", step + 1),
                    ("not_in_epochs", steps * n),
                ],
            ),
            "means": (
                number + 0.5,
                [("mean_at_end", number + 1), ("mean_at_end", number)],
            ),
            "validations": (
                number + 1,
                [("validation", number), ("validation", number + 0.5)],
            ),
        }
        for found, (what, (right, mistakes)) in zip(result, table.items()):
            if np.shape(found) != right.shape:
                needed = len(right)
                raise NotRight("counted", what=what, found=np.size(found), needed=needed)
            found = as_numbers(found, right.shape, what)
            expect(found, right, mistakes, what=what)


def small_model() -> keras.Sequential:
    """Build a network with batch normalization: (n, 4) in, 3 logits out."""
    layers = keras.layers
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(6, activation="tanh"),
            layers.BatchNormalization(momentum=0.9),
            layers.Dense(3),
        ]
    )


def batch(size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Return images (n, 4) and labels (n,)."""
    random = np.random.default_rng(size)
    images = random.normal(1.0, 2.0, (size, 4)).astype("float32")
    return tf.constant(images), tf.constant(random.integers(0, 3, size))


def after_a_step(
    training: bool = True, from_logits: bool = True, summed: bool = False
) -> tuple[float, list[np.ndarray]]:
    """Return the loss, and all weights of the small model after one step, right or wrong."""
    model, optimizer = small_model(), keras.optimizers.SGD(0.1)
    images, labels = batch(8)
    with tf.GradientTape() as tape:
        outputs = model(images, training=training)
        losses = keras.losses.sparse_categorical_crossentropy(labels, outputs, from_logits)
        loss = tf.reduce_sum(losses) if summed else tf.reduce_mean(losses)
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply(gradients, model.trainable_variables)
    return float(tf.reduce_mean(losses)), model.get_weights()


def run_step(make_step: Callable, model: keras.Model) -> float:
    """Make a learner's step for a model, run it once, and return the loss."""
    step = call(make_step, model, keras.optimizers.SGD(0.1))
    if not callable(step):
        raise NotRight("no_step", kind=type(step).__name__)
    return float(as_numbers(call(step, *batch(8)), (), "the loss"))


def same_weights(found: list[np.ndarray], right: list[np.ndarray]) -> bool:
    """Compare the weights of two models."""
    return all(np.allclose(a, b, rtol=1e-3, atol=1e-5) for a, b in zip(found, right))


@exercise(
    "5.3",
    "Repair a training step",
    points=3,
    hints={
        "no_step": "The answer must be a function of (images, labels), and is of the type {kind}.",
        "training": "In which mode does the model run inside your tape?\n"
        "After a step, the moving averages of batch normalization have not moved.",
        "logits": "The loss takes the model's outputs for something that they are not.\n"
        "What does the model return, and what does the loss function expect?",
        "summed_loss": "The loss must be the mean over the batch: yours is its sum.",
        "summed_gradient": "The loss is right, the update is too large: the tape differentiates\n"
        "the sum of all that you hand to it.",
        "no_update": "The loss is right, but no weight has changed.",
        "uphill": "The weights move uphill.",
        "loss": "The loss is not the mean cross-entropy of the batch before the update.",
        "value": "The loss is right, the weights after the step are not.\n"
        "Which variables are updated, with which gradients?",
    },
)
def make_step(answer: Callable) -> None:
    """(model, optimizer) -> a step."""
    model = small_model()
    before = model.get_weights()
    loss = run_step(answer, model)
    after = model.get_weights()
    right_loss, right = after_a_step()
    if np.isclose(loss, right_loss, rtol=1e-4) and same_weights(after, right):
        return
    for training in (True, False):
        if np.isclose(loss, after_a_step(training, from_logits=False)[0], rtol=1e-4):
            raise NotRight("logits")
    averages = slice(4, 6)  # of batch normalization, which training mode moves
    if same_weights(after[averages], before[averages]) and not same_weights(after, before):
        raise NotRight("training")
    if np.isclose(loss, 8 * right_loss, rtol=1e-4):
        raise NotRight("summed_loss")
    if not np.isclose(loss, right_loss, rtol=1e-4):
        raise NotRight("loss")
    if same_weights(after[:4] + after[6:], before[:4] + before[6:]):
        raise NotRight("no_update")
    if same_weights(after, after_a_step(summed=True)[1]):
        raise NotRight("summed_gradient")
    if same_weights([2 * old - new for old, new in zip(before, after)][:4], right[:4]):
        raise NotRight("uphill")
    raise NotRight("value")


@exercise(
    "5.4",
    "Train only the last layer",
    points=2,
    hints={
        "no_step": "The answer must be a function of (images, labels), and is of the type {kind}.",
        "no_update": "The last layer has not changed.",
        "others": "A layer below the last has been trained too.",
        "statistics": "The weights below are as before, but the moving averages are not:\n"
        "what moves them, if not the optimizer?",
        "one_variable": "Only one of the last layer's two variables has changed.",
        "loss": "The loss is not the mean cross-entropy of the batch before the update.",
        "value": "The right variables change, but not by the right amount.\nIs the loss a mean?",
    },
)
def make_last_layer_step(answer: Callable) -> None:
    """(model, optimizer) -> a step of the last layer."""
    model = small_model()
    before = model.get_weights()
    images, labels = batch(8)
    last = model.layers[-1].trainable_variables
    with tf.GradientTape() as tape:
        logits = model(images, training=False)
        losses = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
        right_loss = tf.reduce_mean(losses)
    gradients = [gradient.numpy() for gradient in tape.gradient(right_loss, last)]

    loss = run_step(answer, model)
    after = model.get_weights()
    *below, kernel, bias = [new - old for old, new in zip(before, after)]
    if any(np.any(change != 0) for change in below[:4]):
        raise NotRight("others")
    if any(np.any(change != 0) for change in below[4:]):
        raise NotRight("statistics")
    changed = [bool(np.any(change != 0)) for change in (kernel, bias)]
    if not any(changed):
        raise NotRight("no_update")
    if not all(changed):
        raise NotRight("one_variable")
    if not np.isclose(loss, float(right_loss), rtol=1e-4):
        raise NotRight("loss")
    if not same_weights([kernel, bias], [-0.1 * gradient for gradient in gradients]):
        raise NotRight("value")


class Reader(keras.Model):
    """Reads an image's digit from its first pixel; in training mode it reads the next one."""

    def call(self, images: Any, training: bool = False) -> Any:
        """Return logits (n, 10) of images (n, 28, 28, 1)."""
        digits = tf.cast(tf.round(images[:, 0, 0, 0] * 10), tf.int32) + int(bool(training))
        return tf.one_hot(digits % 10, 10)


@exercise(
    "5.5",
    "How good is it?",
    points=2,
    hints={
        "mean_of_batches": "This averages over the batches, and the last of them is smaller.",
        "training_mode": "In which mode does the model run? It must not be the one for training.",
        "last_batch": "The last, incomplete batch is missing.",
        "full_batches": "It is divided by the size of full batches. How many images are there?",
        "percent": "A share from 0 to 1 is asked for, not a percentage.",
        "number": "This is the number of images that were right. Of how many?",
        "errors": "This is the share of errors.",
        "value": "5 of 8 images are right here, in batches of 3; yours says {got:.3g}.\n"
        "Look at argmax and its axis, and at the slices.",
    },
)
def accuracy(answer: Callable) -> None:
    """(model, images, labels, batch size) -> share of right predictions."""
    labels = np.array([3, 1, 4, 1, 5, 9, 2, 6])
    read = np.array([3, 1, 4, 1, 6, 8, 0, 6])  # right: 3 of 3, 1 of 3, 1 of 2
    images = np.zeros((8, 28, 28, 1), "float32")
    images[:, 0, 0, 0] = read / 10
    found = as_numbers(call(answer, Reader(), images, labels, 3), (), "the accuracy")
    mistakes = [
        ("mean_of_batches", (3 / 3 + 1 / 3 + 1 / 2) / 3),
        ("training_mode", np.mean((read + 1) % 10 == labels)),
        ("last_batch", 4 / 6),
        ("last_batch", 4 / 8),
        ("full_batches", 5 / 9),
        ("percent", 500 / 8),
        ("number", 5),
        ("errors", 3 / 8),
    ]
    expect(found, 5 / 8, mistakes, got=found)
    found = as_numbers(call(answer, Reader(), images, labels, 8), (), "the accuracy")
    expect(found, 5 / 8, got=found)


@exercise(
    "5.6",
    "A mean that doesn't lag",
    points=2,
    hints={
        "lags": "This is the mean of the last losses: where the loss falls, it lags behind.",
        "leads": "This is the mean of the next losses. As many before as after are asked for.",
        "short": "There must be a point for each loss: {needed}, not {found}.",
        "zeros": "In the middle it is right; at the ends it is pulled towards 0.\n"
        "How many losses does the window really hold there?",
        "ends": "In the middle it is right, at the ends it is not.\n"
        "There the mean is over those losses of the window that exist.",
        "width": "The window has the wrong width, or its middle is off by one.",
    },
)
def smooth(answer: Callable) -> None:
    """(losses, window) -> the centred moving mean."""
    losses = np.array([8.0, 5.0, 7.0, 2.0, 4.0, 1.0, 3.0, 0.5, 2.5])
    n = len(losses)
    for window in (3, 5, 1):
        half = window // 2

        def mean(before, after):
            return np.array([losses[max(0, i - before) : i + after + 1].mean() for i in range(n)])

        right = mean(half, half)
        result = returned(call(answer, losses, window))
        if np.shape(result) != (n,):
            raise NotRight("short", needed=n, found=np.size(result))
        found = as_numbers(result, (n,), "the answer")
        zeros = np.convolve(losses, np.ones(window) / window, "same")
        mistakes = [
            ("lags", mean(window - 1, 0)),
            ("leads", mean(0, window - 1)),
            ("zeros", zeros),
        ]
        is_right_inside = np.allclose(found[half : n - half], right[half : n - half])
        expect(found, right, mistakes, "ends" if is_right_inside else "width")
