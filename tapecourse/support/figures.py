"""Sliders, where there is a person to move them."""

import os
from collections.abc import Callable

from ipywidgets import interact

__all__ = ["offer_slider"]


def offer_slider(draw: Callable[..., None], **ranges: tuple[int, int]) -> None:
    """Show a slider for each argument of `draw` in JupyterLab; elsewhere show nothing.

    JupyterLab's server names the notebook in JPY_SESSION_NAME. Without it (nbval, papermill,
    nbconvert) there is nobody to move a slider, and the notebook's figures tell the same.
    """
    if "JPY_SESSION_NAME" in os.environ:
        interact(draw, **ranges)
