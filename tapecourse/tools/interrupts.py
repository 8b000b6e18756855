"""When Ctrl-C may come, and SIGTERM, which batch systems send."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Terminated", "heed_terminate", "interrupts"]

terminate = {"held back": False, "came": False}


class Terminated(KeyboardInterrupt):
    """SIGTERM came: an end is asked for, as by Ctrl-C."""


@contextmanager
def heed_terminate() -> Iterator[None]:
    """Let SIGTERM raise `Terminated`, so that what was begun is ended in order."""

    def come(*_: object) -> None:
        terminate["came"] = True
        raise_terminated()

    before, mask = signal.signal(signal.SIGTERM, come), None
    if hasattr(signal, "pthread_sigmask"):  # not on Windows
        mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    try:
        yield
    finally:
        if mask is not None:  # it is held back again while Python ends, where it was before
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGTERM, before)


def raise_terminated() -> None:
    if terminate["came"] and not terminate["held back"]:
        terminate["came"] = False
        raise Terminated


@contextmanager
def interrupts(allowed: bool) -> Iterator[None]:
    """Let both through to this thread, or hold them back: they come when they are allowed again.

    Threads and processes that are started while they are held back never get Ctrl-C. SIGTERM they
    get: it is how they are ended.
    """
    held_back = terminate["held back"]
    masks = hasattr(signal, "pthread_sigmask")  # not on Windows
    before = signal.pthread_sigmask(signal.SIG_BLOCK, []) if masks else None
    try:
        terminate["held back"] = not allowed
        raise_terminated()
        if masks:
            how = signal.SIG_UNBLOCK if allowed else signal.SIG_BLOCK
            signal.pthread_sigmask(how, [signal.SIGINT])  # one that was held back comes here
        yield
    finally:
        terminate["held back"] = held_back
        if before is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        raise_terminated()
