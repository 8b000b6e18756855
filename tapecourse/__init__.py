"""What the chapters teach, a module a chapter; `support`, `feedback` and `tools` around it."""

from typing import Any


def load_ipython_extension(shell: Any) -> None:
    """Set up a notebook: what ``%load_ext tapecourse`` does."""
    from tapecourse.support.notebook import set_up

    set_up(shell)
