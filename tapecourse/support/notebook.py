"""What ``%load_ext tapecourse`` does: the look of figures, and no log of TensorFlow's start.

While it loads, TensorFlow's C++ code writes a dozen lines straight to the file descriptor of
stderr, past Python and past every setting; in a notebook they are a red box. They are held back
here, and shown after all when the import fails.
"""

import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import matplotlib.pyplot as plt
from threadpoolctl import threadpool_limits

from tapecourse.support.collection import without_collection

__all__ = ["QuietTensorFlow", "hold_back_stderr", "quiet_tensorflow", "set_up"]


def set_up(shell: Any) -> None:
    """Set the style and format of figures, and keep TensorFlow's start-up log out.

    Parameters
    ----------
    shell : IPython.InteractiveShell
    """
    plt.style.use(Path(__file__).with_name("course.mplstyle"))
    shell.run_line_magic("config", "InlineBackend.figure_format = 'retina'")
    threadpool_limits(1, user_api="blas")  # NumPy's matrices here are too small to be shared out
    quiet_tensorflow()


def quiet_tensorflow() -> None:
    """Keep the log of TensorFlow's start out of stderr, once it is imported."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # errors are Python exceptions as well
    if "tensorflow" not in sys.modules:
        sys.meta_path.insert(0, QuietTensorFlow())


class QuietTensorFlow(MetaPathFinder):
    """Steps in when TensorFlow is imported for the first time, by whatever module."""

    def find_spec(self, name: str, path: object, target: object = None) -> ModuleSpec | None:
        """Find TensorFlow where it is, and wrap its loading."""
        if name != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec and spec.loader:
            load = spec.loader.exec_module

            def load_quietly(module: ModuleType) -> None:
                with hold_back_stderr(), without_collection():
                    load(module)
                    module.constant(0.0)  # finds the devices, which logs as well

            spec.loader.exec_module = load_quietly
        return spec


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
