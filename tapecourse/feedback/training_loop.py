"""The checks of the exercises of chapter 05."""

from collections.abc import Callable
from typing import Any

import numpy as np

import tensorflow as tf
import keras

from tapecourse.feedback.core import NotRight, as_numbers, call, exercise, expect, returned


@exercise(
    "5.1",
    "The mean of an epoch",
    points=1,
    hints={
        "unweighted": "Every batch counts the same here, however few images it has.",
        "total": "This is the sum over all images. How many are there?",
        "sum_of_means": "This is the sum of the batches' means. How many images has each?",
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
            ("sum_of_means", loss.sum()),
            ("largest", total / (size.max() * len(size))),
            ("weights_only", total / len(size)),
        ]
        found = as_numbers(call(answer, loss, size), (), "the answer")
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
    for sizes, epochs in [([2, 2, 1], 1), ([64, 64, 22], 3), ([3, 1, 2], 2)]:
        result = returned(call(answer, sizes, epochs))
        three = isinstance(result, list | tuple) and len(result) == 3
        if not three or np.ndim(result[0]) == 0:
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
            if np.size(found) != right.size:
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


BATCHES = batch(8), batch(5)
Steps = tuple[list[float], list[list[np.ndarray]]]  # the loss of each, and all weights after it


def run_steps(make_step: Callable, weight_decay: float | None = None) -> Steps:
    """Make a step for the small model, and run it twice: an optimizer with momentum remembers."""
    model = small_model()
    step = call(make_step, model, keras.optimizers.SGD(0.1, 0.9, weight_decay=weight_decay))
    if not callable(step):
        raise NotRight("no_step", kind=type(step).__name__)
    losses, weights = [], []
    for images, labels in BATCHES:
        losses.append(float(as_numbers(call(step, images, labels), (), "the loss")))
        weights.append(model.get_weights())
    return losses, weights


def mean_loss(
    model: keras.Model,
    images: tf.Tensor,
    labels: tf.Tensor,
    training: bool = True,
    from_logits: bool = True,
) -> Any:
    """Return the mean cross-entropy of a batch, right or wrong."""
    outputs = model(images, training=training)
    losses = keras.losses.sparse_categorical_crossentropy(labels, outputs, from_logits)
    return keras.ops.mean(losses)


def answer_with(weight: float = 1.0, last_only: bool = False, **how: bool) -> Callable:
    """Make an answer, right or wrong: `weight` multiplies its gradient, `how` is for the loss."""

    def make_step(model: keras.Model, optimizer: keras.Optimizer) -> Callable:
        variables = (model.layers[-1] if last_only else model).trainable_variables

        def step(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape() as tape:
                loss = mean_loss(model, images, labels, **how)
                weighted = weight * loss
            optimizer.apply(tape.gradient(weighted, variables), variables)
            return loss

        return step

    return make_step


def loss_in_use(weights: list[np.ndarray]) -> float:
    """Return the loss of the first batch in inference mode."""
    model = small_model()
    model.set_weights(weights)
    return float(mean_loss(model, *BATCHES[0], training=False))


def same_loss(found: float, right: float) -> bool:
    """Compare two losses."""
    return bool(np.isclose(found, right, rtol=1e-4))


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
        "mode_of_loss": "The loss is of the other mode. Return the one that you differentiate.",
        "summed_loss": "The loss must be the mean over the batch: yours is its sum.",
        "summed_gradient": "The loss is right, the update is too large: the tape differentiates\n"
        "the sum of all that you hand to it.",
        "no_update": "The loss is right, but no weight has changed.",
        "uphill": "The weights move uphill.",
        "loss": "The loss is not the mean cross-entropy of the batch before the update.",
        "averages": "The moving averages of batch normalization are not right, all else is:\n"
        "how often does the model run in training mode?",
        "value": "The loss is right, the weights after the step are not.\n"
        "Which variables are updated, with which gradients?",
        "memory": "The first step is right, the second is not: an optimizer remembers.\n"
        "Is it the one that was given, and does it make every update?",
        "later_loss": "The first loss is right, the second is not: it must be of its batch alone.",
    },
)
def make_step(answer: Callable) -> None:
    """(model, optimizer) -> a step."""
    before = small_model().get_weights()
    losses, (after, later) = run_steps(answer)
    right_losses, (right, right_later) = run_steps(answer_with())
    loss, right_loss = losses[0], right_losses[0]
    if same_loss(loss, right_loss) and same_weights(after, right):
        if not same_weights(later, right_later):
            raise NotRight("memory")
        if not same_loss(losses[1], right_losses[1]):
            raise NotRight("later_loss")
        return
    for training in (True, False):
        faulty = answer_with(training=training, from_logits=False)
        if same_loss(loss, run_steps(faulty)[0][0]):
            raise NotRight("logits")
    averages = slice(4, 6)  # of batch normalization, which training mode moves
    if same_weights(after[averages], before[averages]) and not same_weights(after, before):
        raise NotRight("training")
    if same_loss(loss, 8 * right_loss):
        raise NotRight("summed_loss")
    moved = [*before[:4], *after[averages], *before[6:]]  # its averages only, by the forward pass
    if any(same_loss(loss, loss_in_use(weights)) for weights in (before, moved)):
        raise NotRight("mode_of_loss")
    if not same_loss(loss, right_loss):
        raise NotRight("loss")
    trained, right_trained = after[:4] + after[6:], right[:4] + right[6:]
    if same_weights(trained, before[:4] + before[6:]):
        raise NotRight("no_update")
    if same_weights(trained, right_trained):
        raise NotRight("averages")
    if same_weights(after, run_steps(answer_with(weight=8))[1][0]):
        raise NotRight("summed_gradient")
    if same_weights(after, run_steps(answer_with(weight=-1))[1][0]):
        raise NotRight("uphill")
    raise NotRight("value")


@exercise(
    "5.4",
    "Train only the last layer",
    points=2,
    hints={
        "no_step": "The answer must be a function of (images, labels), and is of the type {kind}.",
        "no_update": "The last layer has not changed.",
        "others": "A layer below the last has changed too. What is the optimizer given?",
        "statistics": "The weights below are as before, but the moving averages are not:\n"
        "what moves them, if not the optimizer?",
        "one_variable": "Only one of the last layer's two variables has changed.",
        "mode_of_loss": "The loss is that of training mode: the layers below must run as in use.",
        "loss": "The loss is not the mean cross-entropy of the batch before the update.",
        "value": "The right variables change, but not by the right amount.\n"
        "Is the loss a mean? Does the given optimizer make every update?",
    },
)
def make_last_layer_step(answer: Callable) -> None:
    """(model, optimizer) -> a step of the last layer."""
    decay = 0.1  # shows which variables the optimizer gets
    before = small_model().get_weights()
    losses, weights = run_steps(answer, decay)
    *below, kernel, bias = [np.any(new != old) for old, new in zip(before, weights[-1])]
    if any(below[:4]):
        raise NotRight("others")
    if any(below[4:]):
        raise NotRight("statistics")
    if not kernel and not bias:
        raise NotRight("no_update")
    if not (kernel and bias):
        raise NotRight("one_variable")
    right_losses, right = run_steps(answer_with(last_only=True, training=False), decay)
    if same_loss(losses[0], run_steps(answer_with())[0][0]):
        raise NotRight("mode_of_loss")
    if not all(map(same_loss, losses, right_losses)):
        raise NotRight("loss" if same_weights(weights[0], right[0]) else "value")
    if not all(map(same_weights, weights, right)):
        raise NotRight("value")


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
        return tf.one_hot(digits % 10, 10)


@exercise(
    "5.5",
    "How good is it?",
    points=2,
    hints={
        "mean_of_batches": "This averages over the batches, and the last of them is smaller.",
        "training_mode": "In which mode does the model run? It must not be the one for training.",
        "last_batch": "The last, incomplete batch is missing.",
        "one_batch": "This is the accuracy of a single batch. What becomes of the others?",
        "full_batches": "It is divided by the size of full batches. How many images are there?",
        "percent": "A share from 0 to 1 is asked for, not a percentage.",
        "number": "This is the number of images that were right. Of how many?",
        "errors": "This is the share of errors.",
        "value": "6 of 8 images are right here, in batches of {size}; yours says {got:.3g}.\n"
        "Look at argmax and its axis, and at the slices.",
        "too_many": "The model got {most} images in one call, and {size} are the most.",
    },
)
def accuracy(answer: Callable) -> None:
    """(model, images, labels, batch size) -> share of right predictions."""
    labels = np.array([3, 1, 4, 1, 5, 9, 2, 6])
    read = np.array([3, 1, 4, 1, 5, 8, 2, 0])  # right: 3 of 3, 2 of 3, 1 of 2
    images = np.zeros((8, 28, 28, 1), "float32")
    images[:, 0, 0, 0] = read / 10
    mistakes = [
        ("mean_of_batches", (3 / 3 + 2 / 3 + 1 / 2) / 3),
        ("last_batch", 5 / 6),
        ("last_batch", 5 / 8),
        *[("one_batch", share) for share in (3 / 3, 1 / 2, 3 / 8, 1 / 8)],
        ("full_batches", 6 / 9),
        ("percent", 600 / 8),
        ("number", 6),
        ("errors", 2 / 8),
    ]
    for size in (3, 8):
        reader = Reader()
        found = as_numbers(call(answer, reader, images, labels, size), (), "the accuracy")
        if reader.has_trained:
            raise NotRight("training_mode")
        expect(found, 6 / 8, mistakes if size == 3 else (), size=size, got=found)
        if reader.most_images > size:
            raise NotRight("too_many", most=int(reader.most_images), size=size)


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
        "sums": "These are sums. By how many losses is each to be divided?",
        "in_place": "Some of these are means of means: is `losses` changed while it is read?",
        "width": "The window has the wrong width, or its middle is off by one.",
        "value": "For window = {window} the middle is not right either.\n"
        "Each point there is the mean of its own loss, and of as many before as after.",
    },
)
def smooth(answer: Callable) -> None:
    """(losses, window) -> the centred moving mean."""
    losses = np.array([8.0, 5.0, 7.0, 2.0, 4.0, 1.0, 3.0, 0.5, 2.5])
    n = len(losses)
    for window in (3, 5, 1):
        half = window // 2

        def around(before: int, after: int, reduce: Callable = np.mean) -> np.ndarray:
            return np.array([reduce(losses[max(0, i - before) : i + after + 1]) for i in range(n)])

        right, in_place = around(half, half), losses.copy()
        for i in range(n):
            in_place[i] = in_place[max(0, i - half) : i + half + 1].mean()
        result = returned(call(answer, losses, window))
        if np.size(result) != n:
            raise NotRight("short", needed=n, found=np.size(result))
        found = as_numbers(result, (n,), "the answer")
        mistakes = [
            ("lags", around(window - 1, 0)),
            ("leads", around(0, window - 1)),
            ("zeros", around(half, half, np.sum) / window),
            ("sums", around(half, half, np.sum)),
            ("in_place", in_place),
            ("width", around(half, half - 1)),
            ("width", around(half - 1, half)),
            ("width", around(half + 1, half + 1)),
            ("width", around(window, window)),
        ]
        is_right_inside = np.allclose(found[half : n - half], right[half : n - half])
        expect(found, right, mistakes, "ends" if is_right_inside else "value", window=window)
