"""`make train`: the runner around papermill, and the Makefile's own care."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import nbformat
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from jupyter_client.provisioning.local_provisioner import LocalPortCache

from tapecourse.support.errors import InputError
from tapecourse.tools.run import RunFailed, read_results, run_notebook, typed_parameters

CHAPTER = str(ROOT / "notebooks" / "05_training_loop.ipynb")


def run(*arguments, cwd=ROOT):
    command = [sys.executable, "-m", "tapecourse.run", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd)


def small_notebook(path, *sources):
    parameters = nbformat.v4.new_code_cell(
        "size: int = 1  # a size", metadata={"tags": ["parameters"]}
    )
    cells = [parameters, *map(nbformat.v4.new_code_cell, sources)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), path)
    return path


# --- parameters


def test_values_get_the_notebooks_types():
    given = [("epochs", "3"), ("learning_rate", "1"), ("dataset", "5"), ("seed", "0")]
    typed = typed_parameters(CHAPTER, given)
    assert typed == {"epochs": 3, "learning_rate": 1.0, "dataset": "5", "seed": 0}
    assert list(map(type, typed.values())) == [int, float, str, int]


@pytest.mark.parametrize(
    "name, value, message",
    [
        ("epoch", "3", "parameter = 'epoch': one of dataset, epochs, .* is needed"),
        ("epochs", "3.5", "epochs = '3.5': int is needed: passes over the training images"),
        ("learning_rate", "fast", "learning_rate = 'fast': float is needed"),
        ("run_dir", "x", "parameter = 'run_dir': one of"),
    ],
)
def test_wrong_names_and_types_are_refused(name, value, message):
    with pytest.raises(InputError, match=f"^{message}"):
        typed_parameters(CHAPTER, [(name, value)])


def test_a_missing_notebook_is_refused():
    with pytest.raises(InputError, match="^notebook = 'nowhere.ipynb': there is no such file"):
        typed_parameters("nowhere.ipynb", [])


def test_refusal_is_one_line_and_runs_nothing(tmp_path):
    result = run(CHAPTER, tmp_path / "out", "-p", "epoch", "3")
    assert result.returncode == 1
    assert result.stderr.startswith("parameter = 'epoch': one of dataset, epochs")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_notebook_itself_is_never_overwritten(tmp_path):
    notebook = small_notebook(tmp_path / "small.ipynb")
    before = notebook.read_bytes()
    result = run(notebook, tmp_path)
    assert result.returncode == 1 and "another folder" in result.stderr
    assert notebook.read_bytes() == before


# --- runs


def test_a_failing_cell_is_told_in_two_lines(tmp_path):
    notebook = small_notebook(tmp_path / "small.ipynb", "raise ValueError(f'size {size}')")
    result = run(notebook, tmp_path / "out", "-p", "size", "7")
    assert result.returncode == 1
    assert "ValueError: size 7\nThe notebook up to there: " in result.stderr
    assert "Traceback" not in result.stderr
    assert (tmp_path / "out" / "small.ipynb").exists()


def test_a_dying_kernel_is_told(tmp_path):
    notebook = small_notebook(tmp_path / "small.ipynb", "import os\nos._exit(1)")
    result = run(notebook, tmp_path / "out")
    assert result.returncode == 1
    assert "Kernel died" in result.stderr and "Traceback" not in result.stderr


@pytest.fixture
def take_ports_of(monkeypatch):
    """Return a function: the next so many kernels get a port that another process has."""
    other = socket.create_server(("127.0.0.1", 0))
    find = LocalPortCache.find_available_port

    def take(kernels):
        ports = iter([other.getsockname()[1]] * kernels * 5)  # a kernel has five
        monkeypatch.setattr(
            LocalPortCache,
            "find_available_port",
            lambda cache, ip: next(ports, None) or find(cache, ip),
        )

    with other:
        yield take


def test_a_kernel_that_could_not_start_is_tried_again(tmp_path, take_ports_of):
    notebook = small_notebook(tmp_path / "small.ipynb", "size + 1")
    take_ports_of(kernels=2)
    executed = run_notebook(str(notebook), str(tmp_path / "out"), {"size": 7})
    assert executed.cells[-1].outputs[0].data["text/plain"] == "8"


def test_kernels_that_never_start_are_told(tmp_path, take_ports_of):
    notebook = small_notebook(tmp_path / "small.ipynb")
    take_ports_of(kernels=3)
    with pytest.raises(RunFailed, match="(?s)^Kernel died before .* Address already"):
        run_notebook(str(notebook), str(tmp_path / "out"), {})


def test_an_interrupted_run_is_one_message(tmp_path):
    write = "from pathlib import Path\nPath(run_dir, 'begun').touch()"
    notebook = small_notebook(tmp_path / "small.ipynb", write, "import time\ntime.sleep(60)")
    cells = nbformat.read(notebook, as_version=4)
    cells.cells[0].source += '\nrun_dir: str = ""  # a folder'
    nbformat.write(cells, notebook)
    process = subprocess.Popen(
        [sys.executable, "-m", "tapecourse.run", notebook, tmp_path / "out"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell may ignore it
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "out" / "begun").exists():
        assert time.monotonic() < deadline, "the run did not begin"
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"Interrupted. What was recorded is in {tmp_path / 'out'}." in errors
    assert "Traceback" not in errors


def test_an_unwritable_folder_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    result = run(CHAPTER, tmp_path / "file" / "out")
    assert result.returncode == 1
    assert "can't be written" in result.stderr and result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "stem, options",
    [
        ("01_differentiation", "-p x0 0.3 -p swell_depth 4 -p most_inputs 30"),
        ("02_computational_graph", "-p target -2 -p bias 0 -p chain_length 50"),
        ("03_build_a_tape", "-p hidden 8 -p epochs 2 -p batch_size 100 -p seed 3"),
        ("04_gradient_tape", "-p x0 0.75 -p clip_norm 10 -p seed 5"),
        ("A_original_notebook", "-p seed 5"),
    ],
)
def test_the_theory_chapters_run_with_other_parameters(tmp_path, stem, options):
    """With values that change every number, so that an assertion tied to the defaults shows."""
    result = run(ROOT / "notebooks" / f"{stem}.ipynb", tmp_path / "out", *options.split())
    assert result.returncode == 0, result.stderr


def test_the_chapter_runs_with_other_data_and_hyperparameters(tmp_path):
    """From another folder, by a relative path, with a partial batch, XLA and an old figure."""
    random = np.random.default_rng(0)
    labels = np.arange(150) % 10
    images = random.integers(0, 64, (150, 28, 28), dtype=np.uint8)
    images[np.arange(150), labels * 2] += 190  # a bright row tells the class
    np.savez(
        tmp_path / "rows.npz",
        x_train=images[:120], y_train=labels[:120], x_test=images[120:], y_test=labels[120:],
    )  # fmt: skip
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "loss.png").write_text("of an earlier run")
    options = (
        "-p dataset rows.npz -p epochs 2 -p batch_size 25 -p execution xla -p schedule constant"
    )
    result = run(CHAPTER, "out", *options.split(), cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "epoch 2/2:" in result.stdout and "Test accuracy: " in result.stdout
    assert "out/loss.png" in result.stdout

    executed = nbformat.read(tmp_path / "out" / "05_training_loop.ipynb", as_version=4)
    results = read_results(executed)
    assert results == json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert results["parameters"] == dict(
        dataset="rows.npz", epochs=2, batch_size=25, learning_rate=3e-3, schedule="constant",
        dropout=0.5, seed=0, execution="xla", run_dir="out",
    )  # fmt: skip
    metrics = results["metrics"]
    assert 0 <= metrics["test_accuracy"] <= 1 and metrics["test_loss"] > 0
    assert metrics["images_per_second"] == pytest.approx(2 * 107 / metrics["train_seconds"])

    history = pd.read_csv(tmp_path / "out" / "history.csv")
    assert history[history.kind == "step"].batch_size.tolist() == [25, 25, 25, 25, 7] * 2
    assert (tmp_path / "out" / "loss.png").read_bytes().startswith(b"\x89PNG")
    for cell in executed.cells:
        for output in cell.get("outputs", []):
            assert output.get("name") != "stderr", output.text


# --- the Makefile, with stand-ins for Python, so that nothing is installed


@pytest.fixture
def course(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "requirements.txt").write_text("")
    return tmp_path


def stand_in(course, name, script):
    path = course / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return f"./{name}"


def make(course, *arguments):
    environment = {name: value for name, value in os.environ.items() if "MAKE" not in name}
    return subprocess.run(
        ["make", *arguments], capture_output=True, text=True, cwd=course, env=environment
    )


def test_make_help_lists_the_targets(course):
    listed = make(course, "help").stdout
    for target in ("train", "sweep", "test", "lab", "export", "exercises", "bench", "lock"):
        assert f"make {target} " in listed


def test_a_wrong_python_is_one_line_before_anything_is_installed(course):
    old = stand_in(course, "old", '[ "$1" = --version ] && echo Python 3.9.1 && exit; exit 1')
    for python, found in [(old, "'./old' is Python 3.9.1"), ("./nowhere", "not one that runs")]:
        result = make(course, "train", f"PYTHON={python}")
        assert result.returncode != 0
        first = result.stderr.splitlines()[0]
        assert first.startswith("Python 3.11, 3.12 or 3.13 is needed, and ") and found in first
        assert "make train PYTHON=python3.12" in first
        assert not (course / ".venv").exists()


def test_a_python_without_venv_is_one_line(course):
    bare = stand_in(course, "bare", 'case "$*" in *venv*) exit 1;; esac')
    result = make(course, "test", f"PYTHON={bare}")
    assert result.returncode != 0
    assert result.stderr.splitlines()[0].startswith("'./bare' has no venv module.")
    assert not (course / ".venv").exists()


def test_an_install_that_was_cut_off_is_completed_by_the_next_call(course):
    """The stand-in's `venv` makes a Python whose pip fails while the file `offline` exists."""
    inner = 'case "$*" in *pip*) test ! -e offline;; esac'
    makes = f'mkdir -p .venv/bin; printf "#!/bin/sh\\n%s\\n" {inner!r} > .venv/bin/python'
    python = stand_in(
        course, "python", f'case "$*" in *--clear*) {makes}; chmod +x .venv/bin/python;; esac'
    )
    (course / "offline").write_text("")
    assert make(course, "train", f"PYTHON={python}").returncode != 0
    assert not (course / ".venv/.installed").exists()

    (course / "offline").unlink()
    again = make(course, "train", f"PYTHON={python}")
    assert again.returncode == 0, again.stderr
    assert "An earlier install was cut off: starting again." in again.stdout
    assert (course / ".venv/.installed").exists()
    assert "Installing" not in make(course, "train", f"PYTHON={python}").stdout
