"""Imports TensorFlow without its start-up log, for the ``import tensorflow`` that follows.

While it loads, TensorFlow's C++ code writes a dozen lines straight to the file descriptor of
stderr, past Python and past every setting; in a notebook they are a red box. They are held back
here, and shown after all when the import fails.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["hold_back_stderr"]


@contextmanager
def hold_back_stderr() -> Iterator[None]:
    """Catch what is written to file descriptor 2, and write it there only if the body raises."""
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        failed = True
        try:
            yield
            failed = False
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
            if failed:
                log.seek(0)
                os.write(2, log.read())


if "tensorflow" not in sys.modules:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # from now on: errors only
    with hold_back_stderr():
        import tensorflow as tf

        tf.constant(0.0)  # finds the devices, which logs as well
