"""What chapter 10's experiments use: lines, images, a small network, a pendulum's film."""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from scipy.integrate import solve_ivp
from scipy.stats import rankdata

import keras
import tensorflow as tf
from tapecourse.support.figures import draw_columns

__all__ = [
    "copy_of",
    "draw_lines",
    "film_pendulum",
    "half_size",
    "noisy",
    "random_like",
    "rank_agreement",
    "small_network",
]


def draw_lines(table: pd.DataFrame, **labels: Any) -> Axes:
    """Draw each column of a table as a line, in a figure of its own with a legend.

    Parameters
    ----------
    table : DataFrame
        Its index is the horizontal axis.
    labels
        What `Axes.set` takes: title, xlabel, yscale, ...
    """
    _, ax = plt.subplots(figsize=(4.8, 2.2))
    draw_columns(ax, table, **labels)
    ax.legend()
    return ax


def half_size(images: np.ndarray) -> np.ndarray:
    """Average squares of 2 by 2 pixels; return (n, 196).

    Parameters
    ----------
    images : array (n, 28, 28, 1)
    """
    return images.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(-1, 196)


def copy_of(network: keras.Model) -> keras.Model:
    """Return a network with the same weights, so that experiments leave the first as it is.

    Parameters
    ----------
    network : keras.Model
    """
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    return copy


def noisy(images: np.ndarray, seed: int, size: float = 0.1) -> np.ndarray:
    """Add normal noise to images.

    Parameters
    ----------
    images : array
    seed : int
        Of the noise.
    size : float
        Its standard deviation.
    """
    noise = np.random.default_rng(seed).normal(0, size, images.shape)
    return (images + noise).astype(images.dtype)


def random_like(variables: Sequence[Any], seed: int = 0) -> list[tf.Tensor]:
    """Draw a normal tensor of the shape and type of each variable.

    Parameters
    ----------
    variables : sequence of variables or tensors
    seed : int
        Of the numbers.
    """
    random = np.random.default_rng(seed)
    return [tf.constant(random.normal(size=v.shape), v.dtype) for v in variables]


def small_network(inputs: int, hidden: int, outputs: int) -> keras.Sequential:
    """Make a network with one hidden layer of tanh, always with the same random weights.

    Parameters
    ----------
    inputs, hidden, outputs : int
        How many numbers go in, are hidden, and come out.
    """
    keras.utils.set_random_seed(0)
    first = keras.layers.Dense(hidden, activation="tanh")
    return keras.Sequential([keras.Input((inputs,)), first, keras.layers.Dense(outputs)])


def rank_agreement(
    first: Sequence[np.ndarray],
    second: Sequence[np.ndarray],
    where: Sequence[np.ndarray] | None = None,
) -> float:
    """Correlate the ranks of the pixels in two maps (Spearman); return the mean over pairs.

    Parameters
    ----------
    first, second : sequence of arrays
        Maps of the same images, by two ways or from two networks.
    where : sequence of bool arrays, optional
        The pixels of each image that count; all, if left out.
    """
    kept = where if where is not None else [np.ones(np.shape(a), bool) for a in first]
    found = [
        np.corrcoef(rankdata(np.asarray(a)[mask]), rankdata(np.asarray(b)[mask]))[0, 1]
        for a, b, mask in zip(first, second, kept)
    ]
    return float(np.mean(found))


def film_pendulum(gravity: float, damping: float, start: float, frames: int) -> np.ndarray:
    """Film a pendulum of 1 m by a blurred dot; return (frames, 14, 24), 0.1 s apart, in [0, 1].

    It is solved by SciPy, so that whoever fits it with a simulation of their own has no advantage.

    Parameters
    ----------
    gravity : float
        In m/s².
    damping : float
        In 1/s.
    start : float
        The angle at which it is let go, in radians.
    frames : int
        How many frames.
    """
    solved = solve_ivp(
        lambda _, state: (state[1], -gravity * np.sin(state[0]) - damping * state[1]),
        (0.0, 0.1 * frames), (start, 0.0), t_eval=0.1 * np.arange(frames), rtol=1e-9, atol=1e-9,
    )  # fmt: skip
    angles = solved.y[0][:, np.newaxis, np.newaxis]
    across, down = np.linspace(-1.4, 1.4, 24), np.linspace(-0.2, 1.4, 14)[:, np.newaxis]
    squared = (np.sin(angles) - across) ** 2 + (np.cos(angles) - down) ** 2
    return np.exp(-squared / (2 * 0.2**2))
