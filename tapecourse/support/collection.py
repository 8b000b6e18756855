"""Keeps the garbage collector off what stays."""

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["without_collection"]


@contextmanager
def without_collection() -> Iterator[None]:
    """Spare the garbage collector objects that come in millions and stay to the end.

    It would look through all of them again and again: while they come, later, and when Python
    ends; that is a second each time a kernel stops.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        atexit.register(gc.freeze)
        if was_on:
            gc.enable()
