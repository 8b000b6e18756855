"""The chapters' parameters: each is checked, before any work is done."""

import subprocess
import sys

import nbformat
import numpy as np
import pytest
from cells import open_shell, run_cell, run_cells
from conftest import CHAPTERS, ROOT
from helpers import TRAINING_RUN

from tapecourse.support.errors import InputError

NAN = float("nan")
THEORY = [
    ("01_differentiation", "x0", [0.49, 0.71, "0.5", True]),
    ("01_differentiation", "swell_depth", [3, 11, 8.0]),
    ("01_differentiation", "most_inputs", [9, 1001, "100"]),
    ("02_computational_graph", "target", [-10.1, 10.1, NAN]),
    ("02_computational_graph", "bias", [-10.1, 10.1, None]),
    ("02_computational_graph", "chain_length", [15, 4097, 100.0]),
    ("03_build_a_tape", "hidden", [0, 1001, 64.0]),
    ("03_build_a_tape", "epochs", [0, 101, "10"]),
    ("03_build_a_tape", "batch_size", [0, 4501, 2.5]),
    ("03_build_a_tape", "learning_rate", [0, 1.1, NAN]),
    ("03_build_a_tape", "seed", [-1, 2**32, 0.0]),
    ("04_gradient_tape", "x0", [0.4, 5.1, None]),
    ("04_gradient_tape", "clip_norm", [0, 101, NAN]),
    ("04_gradient_tape", "seed", [-1, 2**32, "0"]),
    ("05_training_loop", "epochs", [0, 101, 2.5]),
    ("05_training_loop", "batch_size", [0, 4001, "64"]),
    ("05_training_loop", "learning_rate", [0, 1.1, NAN]),
    ("05_training_loop", "seed", [-1, 2**32, 0.0]),
    ("10_beyond_training", "epochs", [0, 101, 2.5]),
    ("10_beyond_training", "seed", [-1, 2**32, 0.0]),
    ("07_loops_for_real_work", "gan_epochs", [0, 1001, "20"]),
    ("07_loops_for_real_work", "seed", [-1, 2**32, None]),
    ("08_scale_out", "batch_size", [15, 161, 64.0]),
    ("08_scale_out", "learning_rate", [0, 1.1, NAN]),
    ("08_scale_out", "seed", [-1, 2**32, "0"]),
    ("A_original_notebook", "seed", [-1, 2**32, None]),
]


@pytest.mark.parametrize("stem", sorted({stem for stem, _, _ in THEORY}))
def test_each_theory_parameter_is_checked(stem):
    """By the one cell that checks them all, which runs anew for each value."""
    cells = nbformat.read(ROOT / "notebooks" / f"{stem}.ipynb", as_version=4).cells
    source = {cell.id: cell.source for cell in cells}
    with open_shell() as shell:
        for cell in ("setup", "parameters", "check-parameters"):  # the defaults pass
            run_cell(shell, source[cell])
        for name, values in [row[1:] for row in THEORY if row[0] == stem]:
            default = shell.user_ns[name]
            for value in values:
                shell.push({name: value})
                with pytest.raises(InputError, match=f"^{name} = "):
                    run_cell(shell, source["check-parameters"])
            shell.push({name: default})


@pytest.mark.parametrize(
    "name, value, message",
    [
        ("epochs", 0, "epochs = 0: an integer from 1 to 1000 is needed."),
        ("epochs", "5", "epochs = '5': an integer from 1 to 1000 is needed."),
        ("epochs", 2.5, "epochs = 2.5: an integer from 1 to 1000 is needed."),
        ("batch_size", 0, "batch_size = 0: an integer from 1 to 4096 is needed."),
        ("batch_size", 4001, "batch_size = 4001: an integer from 1 to 4000 is needed."),
        ("learning_rate", -0.1, "learning_rate = -0.1: a number above 0 and at most 1 is needed."),
        ("learning_rate", NAN, "learning_rate = nan: a number above 0 and at most 1 is needed."),
        ("schedule", "linear", "schedule = 'linear': one of 'cosine', 'constant'"),
        ("dropout", 1.0, "dropout = 1.0: a number of at least 0 and below 1 is needed."),
        ("seed", -1, "seed = -1: an integer from 0 to 4294967295 is needed."),
        ("execution", "swift", "execution = 'swift': one of 'fast', 'graph', 'eager', 'xla'"),
        ("resume", "maybe", "resume = 'maybe': one of 'yes', 'no' is needed."),
        ("run_dir", "file/below", "run_dir = 'file/below': this folder can't be written"),
        ("dataset", 5, "dataset = 5: a text in quotes is needed."),
        ("dataset", "mnist5k", "dataset = 'mnist5k': one of 'mnist_5k', 'mnist'"),
        ("dataset", "nowhere.npz", "dataset = 'nowhere.npz': there is no such file"),
        ("dataset", "bad.npz", "dataset = 'bad.npz': the file lacks the array x_train"),
    ],
)
def test_the_training_run_refuses_before_training(tmp_path, monkeypatch, name, value, message):
    """Where the data is loaded at the latest: the cells behind are not run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    np.savez("bad.npz", x=np.zeros(3))
    with pytest.raises(InputError) as error:
        run_cells(TRAINING_RUN, {name: value}, last="data")
    assert str(error.value).startswith(message)


def test_a_download_without_a_network_ends_the_run_before_training(tmp_path, monkeypatch):
    """Keras finds nothing in its cache, and nobody answers."""
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    for proxy in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:9")  # the discard port
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(InputError, match="^dataset = 'mnist': it could not be downloaded"):
        run_cells(TRAINING_RUN, {"dataset": "mnist"}, last="data")


# --- all chapters


REFUSE = """
import sys
from pathlib import Path
from cells import run_cells
for path, name in zip(sys.argv[1::2], sys.argv[2::2]):
    try:
        run_cells(Path(path), {name: []}, last="check-parameters")
    except ValueError as error:
        print(error)
    print([module for module in ("tensorflow", "keras") if module in sys.modules])
"""


def test_a_wrong_parameter_is_refused_before_tensorflow_is_loaded():
    """All chapters in one process, each with a parameter that is an empty list."""
    names = []
    for path in CHAPTERS:
        cells = {cell.id: cell.source for cell in nbformat.read(path, as_version=4).cells}
        names.append(cells["parameters"].partition(":")[0])
    pairs = [word for pair in zip(map(str, CHAPTERS), names) for word in pair]
    result = subprocess.run(
        [sys.executable, "-c", REFUSE, *pairs], capture_output=True, text=True, cwd=ROOT / "tests"
    )
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[1::2] == ["[]"] * len(CHAPTERS)
    for name, line in zip(names, lines[::2], strict=True):
        assert line.startswith(f"{name} = []: ")


@pytest.mark.parametrize(
    "stem, parameters",
    [
        ("01_differentiation", dict(x0=0.5, swell_depth=4, most_inputs=30)),
        ("02_computational_graph", dict(target=-2.0, bias=0.0, chain_length=50)),
        ("03_build_a_tape", dict(hidden=8, epochs=2, batch_size=100, seed=3)),
        ("04_gradient_tape", dict(x0=0.75, clip_norm=10.0, seed=5)),
        ("A_original_notebook", dict(seed=5)),
    ],
)
def test_the_theory_chapters_run_with_other_parameters(stem, parameters):
    """With values that change every number, so that an assertion tied to the defaults shows."""
    twice = stem[:2] in ("01", "02", "03")  # each cell, which must then say the same again
    run_cells(ROOT / "notebooks" / f"{stem}.ipynb", parameters, twice=twice)
