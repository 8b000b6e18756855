"""`tapecourse run`: the runner around papermill."""

import json
import signal
import socket

import nbformat
import numpy as np
import papermill
import pandas as pd
import pytest
from conftest import ROOT
from helpers import CHAPTER, end_of, make_notebook, run, start, wait_for, waits
from jupyter_client.provisioning.local_provisioner import LocalPortCache

from tapecourse.support.errors import InputError
from tapecourse.tools.command import main
from tapecourse.tools.run import RunFailed, read_results, run_notebook, typed_parameters


# --- parameters


def test_values_get_the_notebooks_types():
    given = [("epochs", "3"), ("learning_rate", "1"), ("dataset", "5"), ("seed", "0")]
    typed = typed_parameters(str(CHAPTER), given)
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
        typed_parameters(str(CHAPTER), [(name, value)])


def test_a_missing_notebook_is_refused():
    with pytest.raises(InputError, match="^notebook = 'nowhere.ipynb': there is no such file"):
        typed_parameters("nowhere.ipynb", [])


def run_here(notebook, *options):
    """Run a notebook in this process; return the exit status."""
    return main(["run", str(notebook), *map(str, options)])


def test_a_refusal_is_one_line_and_runs_nothing(tmp_path, capfd):
    assert run_here(CHAPTER, "-p", "epoch", 3, "--out", tmp_path / "out") == 2
    output = capfd.readouterr()
    assert output.err.startswith("parameter = 'epoch': one of dataset, epochs")
    assert output.err.count("\n") == 1 and not output.out
    assert not (tmp_path / "out").exists()


def test_the_notebook_itself_is_never_overwritten(tmp_path, capfd):
    notebook = make_notebook(tmp_path / "small.ipynb")
    before = notebook.read_bytes()
    assert run_here(notebook, "--out", tmp_path) == 2
    assert "another folder" in capfd.readouterr().err
    assert notebook.read_bytes() == before


def test_a_folder_that_cannot_be_written_is_told(tmp_path, capfd):
    (tmp_path / "file").write_text("")
    assert run_here(CHAPTER, "--out", tmp_path / "file" / "out") == 2
    error = capfd.readouterr().err
    assert "can't be written" in error and error.count("\n") == 1


# --- runs


def test_a_failing_cell_is_told_in_two_lines(tmp_path, capfd):
    notebook = make_notebook(tmp_path / "small.ipynb", "raise ValueError(f'size {size}')")
    assert run_here(notebook, "-p", "size", 7, "--out", tmp_path / "out") == 1
    error = capfd.readouterr().err
    assert "ValueError: size 7\nThe notebook up to there: " in error
    assert "Traceback" not in error
    assert (tmp_path / "out" / "small.ipynb").exists()


def test_a_parameter_that_the_notebook_refuses_was_given_wrong(tmp_path, capfd):
    check = """\
from tapecourse.support.parameters import Integer, check_parameters
check_parameters(globals(), size=Integer(1))"""
    notebook = make_notebook(tmp_path / "small.ipynb", check)
    assert run_here(notebook, "-p", "size", 0, "--out", tmp_path / "out") == 2
    error = capfd.readouterr().err
    assert error.endswith("size = 0: an integer of 1 or more is needed.\n")
    assert "InputError" not in error and "Traceback" not in error


def test_a_dying_kernel_is_told(tmp_path, capfd):
    notebook = make_notebook(tmp_path / "small.ipynb", "import os\nos._exit(1)")
    assert run_here(notebook, "--out", tmp_path / "out") == 1
    error = capfd.readouterr().err
    assert "Kernel died" in error and "Traceback" not in error


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
    notebook = make_notebook(tmp_path / "small.ipynb", "size + 1")
    take_ports_of(kernels=2)
    executed = run_notebook(str(notebook), str(tmp_path / "out"), {"size": 7})
    assert executed.cells[-1].outputs[0].data["text/plain"] == "8"


def test_a_kernel_that_hangs_while_it_starts_is_tried_again(tmp_path, monkeypatch):
    """As one does that finds another than its first port taken: after a minute, each time."""
    answers = [RuntimeError("Kernel didn't respond in 60 seconds")] * 2 + ["executed"]

    def execute(*_, **__):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    notebook = str(make_notebook(tmp_path / "small.ipynb"))
    monkeypatch.setattr(papermill, "execute_notebook", execute)
    assert run_notebook(notebook, str(tmp_path / "out"), {}) == "executed"


def test_kernels_that_never_start_are_told(tmp_path, take_ports_of):
    notebook = make_notebook(tmp_path / "small.ipynb")
    take_ports_of(kernels=3)
    with pytest.raises(RunFailed, match="(?s)^Kernel died before .* Address already"):
        run_notebook(str(notebook), str(tmp_path / "out"), {})


def test_an_interrupted_run_is_one_message(tmp_path):
    begins = f"""\
import time
from pathlib import Path
here = Path(run_dir)
(here / "begun").touch()
{waits()}"""
    run_dir = 'run_dir: str = ""  # a folder'
    notebook = make_notebook(tmp_path / "small.ipynb", begins, parameters=run_dir)
    process = start("run", notebook, "--out", tmp_path / "out")
    wait_for((tmp_path / "out" / "begun").exists, process)
    process.send_signal(signal.SIGINT)
    _, errors = end_of(process)
    assert process.returncode == 1
    assert f"What was recorded is in {tmp_path / 'out'}." in errors
    assert "Traceback" not in errors


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
    notebook = ROOT / "notebooks" / f"{stem}.ipynb"
    assert run_here(notebook, *options.split(), "--out", tmp_path / "out") == 0


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
    result = run("run", CHAPTER, "--out", "out", *options.split(), cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "epoch 2/2:" in result.stdout and "\ntest_accuracy: " in result.stdout
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
