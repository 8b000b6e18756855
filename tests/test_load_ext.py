"""What ``%load_ext tapecourse`` does, in one process that has not loaded TensorFlow."""

import subprocess
import sys

import pytest
from conftest import ROOT

# A broken TensorFlow is imported before the real one; what goes to stderr stands between marks.
SCRIPT = """
import atexit, gc, os, sys
atexit.register(lambda: print(len(gc.get_objects()) < 10_000))  # runs last: what is still followed
import matplotlib.pyplot as plt
from cells import open_shell

def mark(text):
    os.write(2, f"-- {text}\\n".encode())

with open_shell() as shell:
    shell.run_line_magic("load_ext", "tapecourse")
    from matplotlib_inline.config import InlineBackend
    from tapecourse.support.notebook import QuietTensorFlow
    print(plt.rcParams["axes.spines.top"], InlineBackend.instance().figure_format)

    mark("a broken TensorFlow")
    sys.path.insert(0, sys.argv[1])
    try:
        import tensorflow
    except ImportError as error:
        print(error)
    sys.path.pop(0)

    mark("the real one, of Keras")
    shell.run_line_magic("reload_ext", "tapecourse")
    shell.run_line_magic("reload_ext", "tapecourse")
    import keras
    import tapecourse.training
    tapecourse.training.build_model()
    import tensorflow as tf
    assert float(tf.constant(2.0) * 3) == 6

    mark("once more")
    shell.run_line_magic("reload_ext", "tapecourse")
    print(sum(isinstance(finder, QuietTensorFlow) for finder in sys.meta_path))
    print(gc.isenabled(), gc.get_freeze_count() > 100_000)
    os.write(2, b"heard\\n")
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """The output of SCRIPT."""
    folder = tmp_path_factory.mktemp("broken")
    (folder / "tensorflow.py").write_text(
        "import os\nos.write(2, b'what it logged\\n')\nraise ImportError('it is broken')\n"
    )
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, folder], capture_output=True, text=True, cwd=ROOT / "tests"
    )


def test_figures_have_the_style_and_the_format(loaded):
    assert loaded.stdout.splitlines()[0] == "False retina", loaded.stderr


def test_a_failing_import_shows_what_tensorflow_logged(loaded):
    assert loaded.stdout.splitlines()[1] == "it is broken"
    assert loaded.stderr.startswith("-- a broken TensorFlow\nwhat it logged\n-- the real one")


def test_tensorflow_is_loaded_without_a_word(loaded):
    """Also by Keras, and up to its first model; a second load of the extension does no harm."""
    assert loaded.returncode == 0, loaded.stderr
    assert "-- the real one, of Keras\n-- once more\n" in loaded.stderr
    assert loaded.stdout.splitlines()[2] == "0"


def test_the_garbage_collector_leaves_tensorflow_alone(loaded):
    """While it works on all else, and when Python ends."""
    assert loaded.stdout.splitlines()[3:] == ["True True", "True"]


def test_stderr_is_heard_again(loaded):
    assert loaded.stderr.endswith("-- once more\nheard\n")
