"""What the tape of chapter 03 refuses, and in which words."""

from typing import Any

import numpy as np

from tapecourse.support.errors import TapeError

__all__ = ["require_floats", "require_labels"]


def require_floats(user: str, tensor: Any) -> None:
    """Refuse what has no derivatives.

    Parameters
    ----------
    user : str
        Who asks; the message begins with it.
    tensor : object

    Raises
    ------
    TapeError
        It is no tensor of chapter 03, or not made of floats.
    """
    if not isinstance(getattr(tensor, "value", None), np.ndarray | np.generic):
        raise TapeError(f"{user}: a Tensor or Variable is needed, not a {type(tensor).__name__}.")
    if tensor.dtype.kind != "f":
        raise TapeError(f"{user}: {tensor.dtype} has no derivatives. Write 3.0, not 3.")


def require_labels(labels: np.ndarray, shape: tuple[int, ...]) -> None:
    """Refuse labels that are no classes, or not one for each example.

    Parameters
    ----------
    labels : array
    shape : tuple
        The shape of the logits; their last axis is that of the classes.

    Raises
    ------
    TapeError
        It says which labels are allowed.
    """
    if not shape or labels.shape != shape[:-1]:
        raise TapeError(f"cross-entropy: labels {labels.shape} don't fit logits {shape}.")
    classes = shape[-1]
    if labels.dtype.kind not in "iu" or not np.all((0 <= labels) & (labels < classes)):
        raise TapeError(f"cross-entropy: labels must be integers from 0 to {classes - 1}.")
