"""Six short training runs, each with one fault, for an exercise that reads their curves."""

from collections.abc import Iterator
from functools import cache

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from scipy.special import log_softmax, softmax

from tapecourse.support.data import Arrays, read_arrays

__all__ = ["draw_faulty_runs"]

RATE, BATCH, EPOCHS = 0.2, 25, 4
RUNS = [  # in the order of the panels: what is wrong
    {"shuffled_labels": True, "epochs": 15, "rate": 0.15},
    {"rate": -0.05},
    {"rate": 60.0},
    {"images": 50, "epochs": 40, "rate": 0.5},
    {"rate": 0.0005},
    {"sorted_by_label": True, "rate": 0.2},
]


@cache
def digits() -> Arrays:
    """Read the bundled digits once."""
    return read_arrays("mnist_5k")


def train(
    rate: float = RATE,
    images: int = 500,
    epochs: int = EPOCHS,
    shuffled_labels: bool = False,
    sorted_by_label: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Train one layer on digits; return the loss of each step, and of validation by epoch."""
    random, arrays = np.random.default_rng(0), digits()
    pixels = arrays.x_train.reshape(len(arrays.x_train), -1) / 255
    x, y = pixels[:images], arrays.y_train[:images].copy()
    x_val, y_val = pixels[-500:], arrays.y_train[-500:]
    if shuffled_labels:
        random.shuffle(y)
    weights, losses, validation = np.zeros((x.shape[1], 10)), [], []
    for _ in range(epochs):
        for batch in batches_of(y, sorted_by_label, random):
            scores = x[batch] @ weights
            losses.append(mean_loss(scores, y[batch]))
            error = softmax(scores, axis=1) - np.eye(10)[y[batch]]
            weights -= rate * x[batch].T @ error / len(batch)
        validation.append(mean_loss(x_val @ weights, y_val))
    return np.array(losses), np.array(validation)


def batches_of(y: np.ndarray, in_order: bool, random: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield the places of each batch, newly shuffled or sorted by label."""
    order = np.argsort(y, kind="stable") if in_order else random.permutation(len(y))
    yield from np.array_split(order, max(1, len(y) // BATCH))


def mean_loss(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean cross-entropy."""
    return float(-np.mean(np.take_along_axis(log_softmax(scores, axis=1), labels[:, None], 1)))


def draw_faulty_runs() -> Figure:
    """Draw the losses of the six runs, training by step and validation by epoch."""
    figure, axes = plt.subplots(2, 3, figsize=(10, 5.5), layout="constrained")
    for number, (ax, run) in enumerate(zip(axes.flat, RUNS), 1):
        losses, validation = train(**run)
        steps = len(losses) // len(validation)
        ax.plot(np.arange(len(losses)) / steps, losses, color="C0", lw=1, label="training")
        ax.plot(np.arange(len(validation)) + 1, validation, "s--", color="C1", label="validation")
        ax.axhline(np.log(10), color="grey", ls=":", lw=1, label="ln 10: guessing")
        ax.set(title=f"curve {number}", xlabel="epoch", ylabel="loss")
        ax.set_ylim(0, 1.05 * max(2.6, *losses, *validation))
    axes.flat[0].legend(fontsize=8)
    figure.suptitle("Six runs of the same network, each with one fault")
    return figure
