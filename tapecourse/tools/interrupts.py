"""When Ctrl-C may come."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["interrupts"]


@contextmanager
def interrupts(allowed: bool) -> Iterator[None]:
    """Let Ctrl-C through to this thread, or hold it back: it comes when it is allowed again.

    Threads and processes that are started while it is held back never get it.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    how = signal.SIG_UNBLOCK if allowed else signal.SIG_BLOCK
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    try:
        signal.pthread_sigmask(how, [signal.SIGINT])  # one that was held back comes here
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
