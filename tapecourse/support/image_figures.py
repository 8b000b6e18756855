"""Figures of images and their classes: examples, a confusion matrix, mistakes."""

from collections.abc import Collection, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from scipy.special import softmax

__all__ = ["draw_confusion", "draw_examples", "draw_images", "draw_mistakes"]


def draw_examples(
    images: np.ndarray, labels: np.ndarray, names: Sequence[str], rows: int = 4
) -> Figure:
    """Draw the first images of each class, a column for each.

    Parameters
    ----------
    images, labels : array (n, height, width, 1) and (n,)
    names : sequence of str
        The names of the classes.
    rows : int
        How many images of each class.
    """
    size = (0.8 * len(names), 0.8 * rows + 0.5)
    figure, axes = plt.subplots(rows, len(names), figsize=size, squeeze=False)
    for label, column in enumerate(axes.T):
        column[0].set_title(names[label], loc="center", fontsize=10)
        for ax in column:
            ax.axis("off")
        for ax, image in zip(column, images[labels == label]):
            ax.imshow(image)
    figure.suptitle("The first training images of each class", x=0.01, ha="left")
    return figure


def draw_images(
    rows: Mapping[str, Sequence[np.ndarray]],
    title: str,
    titles: Sequence[str] = (),
    signed: Collection[str] = (),
    size: float = 1.0,
) -> Figure:
    """Draw rows of images, each row with its name at the left.

    Parameters
    ----------
    rows : mapping
        From the name of a row to its images, each (height, width) or (height, width, 1).
    title : str
        What the figure shows.
    titles : sequence of str
        What stands above each column; may be left out.
    signed : collection of str
        The rows whose numbers have a sign: orange is negative, purple positive, and each image
        has its own scale. In other rows white is 0 and black is 1.
    size : float
        The width of an image, in inches.
    """
    columns = max(map(len, rows.values()))
    name_width = 0.11 * max(map(len, rows))
    shapes = [np.shape(image) for images in rows.values() for image in images]
    row_height = size * max(shape[0] / shape[1] for shape in shapes) + 0.05
    height = row_height * len(rows) + 0.5 + 0.25 * bool(titles)
    figure, axes = plt.subplots(
        len(rows), columns, figsize=(size * columns + name_width, height), squeeze=False
    )
    for (name, images), line in zip(rows.items(), axes):
        line[0].set_ylabel(name, rotation=0, ha="right", va="center")
        for ax, image in zip(line, images):
            image = np.reshape(image, np.shape(image)[:2])
            largest = np.abs(image).max() or 1.0
            if name in signed:
                ax.imshow(image, cmap="PuOr", vmin=-largest, vmax=largest)
            else:
                ax.imshow(image, vmin=0, vmax=1)
        for ax in line:
            ax.set(xticks=[], yticks=[])
            ax.grid(False)
            ax.spines[:].set_visible(False)
    for ax, text in zip(axes[0], titles):
        ax.set_title(text, fontsize=10, loc="center")
    figure.suptitle(title, x=0.01, ha="left")
    return figure


def draw_confusion(labels: np.ndarray, predicted: np.ndarray, names: Sequence[str]) -> Figure:
    """Draw how often each class was taken for which; the colour counts errors only.

    Parameters
    ----------
    labels, predicted : array (n,)
        True and predicted classes.
    names : sequence of str
        The names of the classes.
    """
    counts = np.zeros((len(names), len(names)), int)
    np.add.at(counts, (labels, predicted), 1)
    errors = counts - np.diag(np.diag(counts))
    figure, ax = plt.subplots(figsize=(5.6, 5))
    ax.imshow(errors, cmap="Oranges", vmin=0, vmax=max(1, 1.5 * errors.max()))
    for true, guess in zip(*np.nonzero(counts)):
        color = "0.6" if true == guess else "black"
        ax.text(guess, true, str(counts[true, guess]), ha="center", va="center", color=color)
    ax.set(title=f"{errors.sum():,} of {len(labels):,} test images are classified wrongly")
    ax.set(xlabel="predicted class", ylabel="true class")
    upright = max(map(len, names)) > 2
    ax.set_xticks(range(len(names)), names, rotation=90 if upright else 0)
    ax.set_yticks(range(len(names)), names)
    ax.grid(False)
    return figure


def draw_mistakes(
    images: np.ndarray, labels: np.ndarray, logits: np.ndarray, names: Sequence[str]
) -> Figure:
    """Draw up to ten images that were classified wrongly, the surest mistake first.

    Parameters
    ----------
    images, labels : array (n, height, width, 1) and (n,)
    logits : array (n, classes)
        What the network said.
    names : sequence of str
        The names of the classes.
    """
    probabilities = softmax(logits, axis=-1)
    predicted, sure = probabilities.argmax(axis=-1), probabilities.max(axis=-1)
    wrong = np.flatnonzero(predicted != labels)
    wrong = wrong[(-sure[wrong]).argsort()]
    figure, axes = plt.subplots(2, 5, figsize=(8, 4))
    for ax in axes.flat:
        ax.axis("off")
    for ax, index in zip(axes.flat, wrong):
        true, guess = names[int(labels[index])], names[int(predicted[index])]
        ax.imshow(images[index])
        ax.set_title(f"{true}, read as {guess}\n{sure[index]:.0%} sure", fontsize=10, loc="center")
    figure.suptitle("Mistakes on the test images, the surest first", x=0.01, ha="left")
    return figure
