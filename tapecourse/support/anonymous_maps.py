"""Five ways to draw a map of what a network looks at, two of which don't ask the network."""

from collections.abc import Callable
from functools import cache

import numpy as np
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter, sobel
from scipy.special import softmax

from tapecourse.support.data import read_arrays
from tapecourse.support.image_figures import draw_images

__all__ = ["draw_anonymous_maps", "make_ways"]

Network = tuple[np.ndarray, np.ndarray]  # two matrices, with tanh between them


def logits(network: Network, images: np.ndarray) -> np.ndarray:
    """Return logits (n, 10) of images (n, 196)."""
    return np.tanh(images @ network[0]) @ network[1]


def slope(network: Network, images: np.ndarray) -> np.ndarray:
    """Return the gradient (n, 196) of each image's largest logit."""
    hidden = np.tanh(images @ network[0])
    last = network[1].T[logits(network, images).argmax(axis=1)]
    return ((1 - hidden**2) * last) @ network[0].T


@cache
def prepare() -> tuple[Network, Network, np.ndarray]:
    """Train a small network; return it, one with random weights, and three noisy digits."""
    random, arrays = np.random.default_rng(0), read_arrays("mnist_5k")
    images = arrays.x_train[:300].reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(-1, 196)
    images, truth = images / images.max(), np.eye(10)[arrays.y_train[:300]]

    def draw() -> Network:
        return random.normal(0, 0.1, (196, 32)), random.normal(0, 0.3, (32, 10))

    (first, last), randomized = draw(), draw()
    for _ in range(80):
        hidden = np.tanh(images @ first)
        errors = (softmax(hidden @ last, axis=1) - truth) / len(images)
        below = images.T @ (errors @ last.T * (1 - hidden**2))
        first, last = first - 2 * below, last - 2 * hidden.T @ errors
    shown = [np.flatnonzero(arrays.y_train[:300] == digit)[0] for digit in (2, 5, 8)]
    digits = images[shown] + random.normal(0, 0.05, (3, 196))
    return (first, last), randomized, digits.reshape(3, 14, 14)


def edges(network: Network, image: np.ndarray) -> np.ndarray:
    """Draw where neighbouring pixels differ."""
    return np.hypot(sobel(image, axis=0), sobel(image, axis=1))


def plain(network: Network, image: np.ndarray) -> np.ndarray:
    """Draw the gradient."""
    return slope(network, image.reshape(1, 196)).reshape(14, 14)


def smoothed(network: Network, image: np.ndarray) -> np.ndarray:
    """Draw the mean gradient of noisy copies."""
    noise = np.random.default_rng(0).normal(0, 0.3, (50, 196))
    return slope(network, image.reshape(1, 196) + noise).mean(axis=0).reshape(14, 14)


def blurred(network: Network, image: np.ndarray) -> np.ndarray:
    """Draw the blurred image, as bright as the gradient is long."""
    return gaussian_filter(image, 1.0) * np.linalg.norm(plain(network, image))


def covered(network: Network, image: np.ndarray) -> np.ndarray:
    """Draw by how much the largest logit falls where a square of 3 by 3 is covered."""
    whole = logits(network, image.reshape(1, 196))[0]
    fall = np.zeros((14, 14))
    for i in range(14):
        for j in range(14):
            copy = image.copy()
            copy[max(0, i - 1) : i + 2, max(0, j - 1) : j + 2] = 0
            fall[i, j] = whole.max() - logits(network, copy.reshape(1, 196))[0, whole.argmax()]
    return fall


def make_ways() -> tuple[dict[str, Callable], Network, Network, np.ndarray]:
    """Return five ways (network, image) -> map by their letters, two networks, three images."""
    ways = {"a": covered, "b": edges, "c": plain, "d": smoothed, "e": blurred}
    return ways, *prepare()


def draw_anonymous_maps() -> Figure:
    """Draw the maps of one image by the five ways, of a trained and a random network."""
    ways, trained, randomized, images = make_ways()
    rows = {
        name: [abs(way(network, images[0])) for way in ways.values()]
        for name, network in [("trained", trained), ("random", randomized)]
    }
    rows = {name: [one / one.max() for one in row] for name, row in rows.items()}
    return draw_images(rows, "Which maps change with the network?", list(ways), size=1.1)
