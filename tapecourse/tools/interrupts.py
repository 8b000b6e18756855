"""When Ctrl-C may come, and SIGTERM, which batch systems send."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["GO_ON", "Terminated", "heed_signals", "interrupts"]

GO_ON = "To continue, run the same command again."  # after whatever ended a command early

HAS_MASKS = hasattr(signal, "pthread_sigmask")  # not on Windows
state = {"held back": False, "came": None}


class Interrupted(KeyboardInterrupt):
    """Ctrl-C. Of a plain KeyboardInterrupt Python may end with 130, though it was caught."""


class Terminated(KeyboardInterrupt):
    """SIGTERM came: an end is asked for, as by Ctrl-C."""


ENDS = {signal.SIGINT: Interrupted, signal.SIGTERM: Terminated}


@contextmanager
def heed_signals() -> Iterator[None]:
    """Let both raise what they mean, so that what was begun is ended in order."""

    def come(number: int, _: object) -> None:
        state["came"] = ENDS[signal.Signals(number)]
        raise_what_came()

    before = {number: signal.signal(number, come) for number in ENDS}
    mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDS) if HAS_MASKS else set()
    try:
        yield
    finally:
        state["held back"] = True  # from here on the outcome stands
        if HAS_MASKS:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in before.items():
            signal.signal(number, handler)
        state.update({"held back": False, "came": None})


def raise_what_came() -> None:
    came = state["came"]
    if came and not state["held back"]:
        state["came"] = None
        raise came


@contextmanager
def interrupts(allowed: bool) -> Iterator[None]:
    """Let both through, or hold them back: they come when they are allowed again.

    Threads and processes that are started while they are held back never get Ctrl-C. SIGTERM they
    get: it is how they are ended.
    """
    held_back = state["held back"]
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, []) if HAS_MASKS else set()
    try:
        state["held back"] = not allowed  # a mask alone fails: another thread may get the signal
        if HAS_MASKS:
            how = signal.SIG_UNBLOCK if allowed else signal.SIG_BLOCK
            signal.pthread_sigmask(how, [signal.SIGINT])
        raise_what_came()
        yield
    finally:
        state["held back"] = held_back
        if HAS_MASKS:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        raise_what_came()
