"""`tapecourse run`: the runner around papermill."""

import json
import os
import socket

import nbformat
import numpy as np
import papermill
import pandas as pd
import pytest
from cells import run_cells
from helpers import THOROUGH, TRAINING_RUN, make_notebook, run, run_here
from jupyter_client.provisioning.local_provisioner import LocalPortCache

from tapecourse.tools.attempt import results_of
from tapecourse.tools.parameters import typed_parameters
from tapecourse.training import build_model, load_data

# --- parameters


def test_values_get_the_notebooks_types():
    given = [("epochs", "3"), ("learning_rate", "1"), ("dataset", "5"), ("seed", "0")]
    typed = typed_parameters(str(TRAINING_RUN), given)
    assert typed == {"epochs": 3, "learning_rate": 1.0, "dataset": "5", "seed": 0}
    assert list(map(type, typed.values())) == [int, float, str, int]


def test_a_refusal_is_one_line_and_runs_nothing(tmp_path, capfd):
    assert run_here(TRAINING_RUN, "-p", "epoch", 3, "--out", tmp_path / "out") == 2
    output = capfd.readouterr()
    assert output.err.startswith("parameter = 'epoch': one of dataset, epochs")
    assert output.err.count("\n") == 1 and not output.out
    assert not (tmp_path / "out").exists()


def test_the_notebook_itself_is_never_overwritten(tmp_path, capfd):
    notebook = make_notebook(tmp_path / "small.ipynb")
    before = notebook.read_bytes()
    assert run_here(notebook, "--out", tmp_path) == 2
    assert "another folder than the notebook's own is needed" in capfd.readouterr().err
    assert notebook.read_bytes() == before


# --- runs


def test_a_failing_cell_is_told_in_two_lines(tmp_path, capfd):
    notebook = make_notebook(tmp_path / "small.ipynb", "raise ValueError(f'size {size}')")
    assert run_here(notebook, "-p", "size", 7, "--out", tmp_path / "out") == 1
    error = capfd.readouterr().err
    failed = tmp_path / "failed" / "out"
    assert error.endswith(f"ValueError: size 7\nThe notebook up to there is in {failed}\n")
    assert "Traceback" not in error
    record = json.loads((failed / "run.json").read_text())
    assert record["error"] == "ValueError: size 7" and record["parameters"] == {"size": 7}
    assert (failed / "small.ipynb").exists() and not (tmp_path / "out").exists()


def test_a_parameter_that_the_notebook_refuses_was_given_wrong(tmp_path, capfd):
    check = """\
from tapecourse.support.parameters import Integer, check_parameters
check_parameters(globals(), size=Integer(1))"""
    notebook = make_notebook(tmp_path / "small.ipynb", check)
    assert run_here(notebook, "-p", "size", 0, "--out", tmp_path / "out") == 2
    error = capfd.readouterr().err
    assert error.endswith("size = 0: an integer of 1 or more is needed.\n")
    assert "InputError" not in error and "Traceback" not in error


DIES = """\
import os, signal
with open({begun!r}, "a") as file:
    print("begun", file=file)
if open({begun!r}).read().count("begun") < 3:
    os.kill(os.getpid(), signal.SIGKILL)"""


def test_a_killed_kernel_is_tried_three_times(tmp_path, capfd):
    begun = tmp_path / "begun"
    notebook = make_notebook(tmp_path / "small.ipynb", DIES.format(begun=str(begun)))
    assert run_here(notebook, "--out", tmp_path / "out") == 0
    error = capfd.readouterr().err
    assert begun.read_text().count("begun") == 3
    assert "tried" not in error and "Traceback" not in error
    assert (tmp_path / "out").exists() and not (tmp_path / "failed").exists()


def test_the_cause_of_a_kernels_death_is_told_and_kept(tmp_path, capfd):
    crash = "import ctypes, faulthandler\nfaulthandler.enable()\nctypes.string_at(0)"
    notebook = make_notebook(tmp_path / "small.ipynb", crash)
    assert run_here(notebook, "--out", tmp_path / "out") == 1
    cause = "Kernel died: Fatal Python error: Segmentation fault (tried 3 times)\n"
    assert cause in capfd.readouterr().err
    assert "ctypes" in (tmp_path / "failed" / "out" / "kernel.log").read_text()


@pytest.mark.parametrize(
    "leave, error",
    [
        ("import sys; sys.exit(0)", "cell 2 ended the run: SystemExit(0)"),
        ("exit()", "cell 2 ended the run: exit()"),
        ("import os; os._exit(0)", "Kernel died: it wrote no message. Did code crash"),
    ],
)
def test_a_run_that_left_before_its_last_cell_has_failed(tmp_path, capfd, leave, error):
    notebook = make_notebook(tmp_path / "small.ipynb", leave, "1")
    assert run_here(notebook, "--out", tmp_path / "out") == 1
    said = capfd.readouterr().err
    assert error in said and "Traceback" not in said
    assert not (tmp_path / "out").exists()


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
    assert run_here(notebook, "-p", "size", 7, "--out", tmp_path / "out") == 0
    executed = nbformat.read(tmp_path / "out" / "small.ipynb", as_version=4)
    assert executed.cells[-1].outputs[0].data["text/plain"] == "8"


def test_a_kernel_that_hangs_while_it_starts_is_tried_again(tmp_path, monkeypatch):
    """As one does that finds another than its first port taken: after a minute, each time."""
    answers = [RuntimeError("Kernel didn't respond in 60 seconds")] * 2
    real = papermill.execute_notebook

    def execute(*arguments, **options):
        if answers:
            raise answers.pop()
        return real(*arguments, **options)

    monkeypatch.setattr(papermill, "execute_notebook", execute)
    assert run_here(make_notebook(tmp_path / "small.ipynb"), "--out", tmp_path / "out") == 0
    assert not answers


def test_kernels_that_never_start_are_told(tmp_path, take_ports_of, capfd):
    notebook = make_notebook(tmp_path / "small.ipynb")
    take_ports_of(kernels=3)
    assert run_here(notebook, "--out", tmp_path / "out") == 1
    error = capfd.readouterr().err
    assert "Kernel died before " in error and "Address already" in error
    assert "(tried 3 times)\n" in error and "Traceback" not in error


def test_the_training_run_takes_other_data_and_hyperparameters(tmp_path):
    """From another folder, by a relative path, with a partial batch."""
    random = np.random.default_rng(0)
    labels = np.arange(150) % 10
    images = random.integers(0, 64, (150, 28, 28), dtype=np.uint8)
    images[np.arange(150), labels * 2] += 190  # a bright row tells the class
    np.savez(
        tmp_path / "rows.npz",
        x_train=images[:120], y_train=labels[:120], x_test=images[120:], y_test=labels[120:],
    )  # fmt: skip
    execution = "xla" if THOROUGH else "graph"  # to compile takes half a minute
    options = "-p dataset rows.npz -p epochs 2 -p batch_size 25 -p schedule constant"
    options += f" -p execution {execution}"
    result = run("run", TRAINING_RUN, "--out", "out", *options.split(), cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "epoch 2/2:" in result.stdout and "\ntest_accuracy: " in result.stdout
    assert "out/loss.png" in result.stdout

    executed = nbformat.read(tmp_path / "out" / "B_training_run.ipynb", as_version=4)
    results = results_of(executed)
    assert results == json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert results["parameters"] == dict(
        dataset="rows.npz", epochs=2, batch_size=25, learning_rate=3e-3, schedule="constant",
        dropout=0.5, seed=0, execution=execution,
    )  # fmt: skip
    metrics = results["metrics"]
    assert 0 <= metrics["test_accuracy"] <= 1 and metrics["test_loss"] > 0
    assert metrics["images_per_second"] == pytest.approx(2 * 107 / metrics["train_seconds"])

    history = pd.read_csv(tmp_path / "out" / "history.csv")
    assert history[history.kind == "step"].batch_size.tolist() == [25, 25, 25, 25, 7] * 2
    assert (tmp_path / "out" / "loss.png").read_bytes().startswith(b"\x89PNG")
    again, rows = build_model(), load_data(str(tmp_path / "rows.npz"))
    again.load_weights(tmp_path / "out" / "model.weights.h5")
    right = again.predict(rows.x_test, verbose=0).argmax(axis=-1) == rows.y_test
    assert right.mean() == metrics["test_accuracy"]
    for cell in executed.cells:
        for output in cell.get("outputs", []):
            assert output.get("name") != "stderr", output.text


@pytest.mark.parametrize("execution, jit", [("graph", False), ("xla", True)])
def test_the_training_run_compiles_its_step_as_it_is_told(monkeypatch, execution, jit):
    given = []
    instead = "tapecourse.loops_for_real_work.train_resumably"
    monkeypatch.setattr(instead, lambda trainer, *_, **__: given.append(trainer))
    run_cells(TRAINING_RUN, {"execution": execution}, last="run")
    assert given[0].step._jit_compile is jit


# --- what a run is given, and what it leaves


def test_the_record_says_what_a_run_was(tmp_path, capfd):
    (tmp_path / "mine.py").write_text("SIZE = 1")
    notebook = make_notebook(
        tmp_path / "small.ipynb",
        f"import os, sys\nsys.path.insert(0, {str(tmp_path)!r})\nimport mine",
        "print(sorted(v for k, v in os.environ.items() if k.endswith('_THREADS')))",
    )
    options = ["-p", "size", "-3", "--threads", 2, "--out", tmp_path / "out"]
    assert run_here(notebook, *options) == 0
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["parameters"] == {"size": -3} and record["threads"] == 2
    assert record["status"] == "done" and record["seconds"] > 0
    assert record["files"] == ["run.json", "small.ipynb"]
    origin = record["origin"]
    assert origin["threads"] == 2 and list(origin["modules"]) == ["mine"]
    assert set(origin["versions"]) == {"tensorflow", "keras", "numpy"}
    executed = nbformat.read(tmp_path / "out" / "small.ipynb", as_version=4)
    assert executed.cells[-1].outputs[0].text == f"{['2'] * 5}\n"


@pytest.mark.parametrize(
    "name, folder",
    [("{size} b.ipynb", "ö}{0}\nf"), ("x.ipynb", "-p {b}")],
)
def test_odd_paths_are_paths(tmp_path, monkeypatch, name, folder):
    monkeypatch.chdir(tmp_path)
    write = "from pathlib import Path\nPath(run_dir, 'x').touch()"
    make_notebook(tmp_path / name, write, parameters='run_dir: str = ""  # a folder')
    assert run_here(name, f"--out={folder}") == 0
    assert {path.name for path in (tmp_path / folder).iterdir()} == {name, "x", "run.json"}


@pytest.mark.parametrize("where", ["out", "notebook", "folder"])
def test_bytes_that_are_no_text_are_told_in_one_line(tmp_path, monkeypatch, capfd, where):
    odd = os.fsdecode(b"caf\xe9")
    (tmp_path / odd).mkdir()
    if where == "folder":
        monkeypatch.chdir(tmp_path / odd)
    notebook = make_notebook(tmp_path / "small.ipynb")
    given = {"notebook": notebook, "out": "out"} | ({} if where == "folder" else {where: odd})
    assert run_here(given["notebook"], "--out", given["out"]) == 2
    error = capfd.readouterr().err
    assert "not UTF-8" in error and error.count("\n") == 1


@pytest.mark.parametrize("metadata", [{}, {"kernelspec": {"name": "ir", "display_name": "R"}}])
def test_a_notebook_may_name_no_kernel_or_another(tmp_path, metadata):
    notebook = make_notebook(tmp_path / "small.ipynb", "print(size)")
    cells = nbformat.read(notebook, as_version=4)
    cells.metadata = nbformat.from_dict(metadata)
    nbformat.write(cells, notebook)
    assert run_here(notebook, "-p", "size", 3, "--out", tmp_path / "out") == 0


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", '{"cells": [{"cell_type": "code"}], "metadata": {}, "nbformat": 4}', "\0"],
)
def test_a_broken_notebook_is_told_in_one_line(tmp_path, capfd, text):
    (tmp_path / "broken.ipynb").write_text(text)
    assert run_here(tmp_path / "broken.ipynb", "--out", tmp_path / "out") == 2
    error = capfd.readouterr().err
    assert error.endswith("this is not a Jupyter notebook.\n") and error.count("\n") == 1


def test_code_that_no_parser_takes_fails_its_run_alone(tmp_path, capfd):
    notebook = make_notebook(tmp_path / "small.ipynb", "'\\d'", "(" * 500, "a b\n  c '")
    assert run_here(notebook, "--out", tmp_path / "out") == 1
    error = capfd.readouterr().err
    assert "SyntaxError" in error and "Traceback" not in error and "invalid escape" not in error


@pytest.mark.parametrize(
    "data, tagged, said",
    [
        ({"metrics": {"loss": 0.1234567, "a": {"b": "text"}}}, 0, ["loss: 0.1235", "a.b: text"]),
        (
            {"metrics": {"x\x1b[2J": "\x1b[31m", "y": float("nan")}},
            0,
            ["x\ufffd[2J: \ufffd[31m", "y: nan"],
        ),
        ({"metrics": {}}, 0, []),
        ({"metrics": [1]}, 0, []),
        ({"other": 1}, 0, []),
        ([{"metrics": {"a": 1}}], 0, []),
        (None, 0, []),
        ({"metrics": {"a": 1}}, None, []),
    ],
)
def test_what_the_results_cell_shows_is_told(tmp_path, monkeypatch, capfd, data, tagged, said):
    """A run without metrics is all right."""

    def execute(notebook, executed, *_, **__):
        shown = nbformat.read(notebook, as_version=4)
        json_or_text = {"text/plain": "1"} if data is None else {"application/json": data}
        output = nbformat.v4.new_output("display_data", json_or_text)
        shown.cells[-1].outputs = [nbformat.v4.new_output("stream", text="first"), output]
        nbformat.write(shown, executed)
        return shown

    monkeypatch.setattr("tapecourse.tools.attempt.execute", execute)
    notebook = make_notebook(tmp_path / "small.ipynb", "", results=tagged)
    assert run_here(notebook, "--out", tmp_path / "out") == 0
    files = [f"  {tmp_path / 'out' / name}" for name in ("run.json", "small.ipynb")]
    assert capfd.readouterr().out.splitlines()[1:] == [*said, "Look at:", *files]


def test_a_run_that_prints_escape_codes_or_removes_its_folder_harms_itself_alone(tmp_path, capfd):
    spoil = """\
import shutil
shutil.rmtree(run_dir)
print("epoch 1/1: \\x1b[2J")
raise ValueError("\\x1b[2J")"""
    run_dir = 'run_dir: str = ""  # a folder'
    notebook = make_notebook(tmp_path / "small.ipynb", spoil, parameters=run_dir)
    assert run_here(notebook, "--out", tmp_path / "out") == 1
    output = capfd.readouterr()
    assert "\x1b[2J" not in output.out + output.err and "Traceback" not in output.err
    assert json.loads((tmp_path / "failed" / "out" / "run.json").read_text())["metrics"] == {}


@pytest.mark.parametrize(
    "out, message",
    [
        ("full", "this folder holds other files, and no run. Name another, or empty it."),
        ("failed", "a folder failed is where runs go themselves."),
        ("failed/x", "a folder failed is where runs go themselves."),
        (".unfinished", "a folder .unfinished is where runs go themselves."),
        ("sweep/x", "this is in the folder of a sweep. Name another."),
        ("file/x", "this folder can't be written"),
    ],
)
def test_folders_of_others_are_refused_in_one_line(tmp_path, capfd, out, message):
    for name in ("full/x", "sweep/sweep.json"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    (tmp_path / "file").touch()
    before = sorted(tmp_path.rglob("*"))
    notebook = make_notebook(tmp_path / "small.ipynb")
    assert run_here(notebook, "--out", tmp_path / out) == 2
    error = capfd.readouterr().err
    assert message in error and error.count("\n") == 1
    assert set(before) == set(tmp_path.rglob("*")) - {notebook}
