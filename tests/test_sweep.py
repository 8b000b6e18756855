"""`tapecourse sweep`, on notebooks of a second instead of chapter 05's.

Each writes what chapter 05 writes, and adds a line to `begun` when a run of it begins.
"""

import csv
import errno
import importlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import nbformat
import papermill
import pytest
from conftest import ROOT
from dask.system import CPU_COUNT
from hypothesis import given
from hypothesis import strategies as st

import tapecourse.__main__
from tapecourse.tools import sweep
from tapecourse.tools import folder as sweep_folder
from tapecourse.tools.grid import file_name, make_runs, read_grid, run_name, type_grid
from tapecourse.tools.worker import attempt, first_line

PARAMETERS = """\
learning_rate: float = 0.5  # a rate, above 0
seed: int = 0  # a seed, 0 or more
label: str = "plain"  # a text
layers: list = [1, 2]  # a list
run_dir: str = ""  # folder of what it writes"""

BEGIN = """\
import json, os, random, signal, time
from pathlib import Path
here = Path({here!r})
with open(here / "begun", "a") as file:
    file.write(f"{{seed}} {{os.getpid()}} {{os.getppid()}}\\n")"""

END = """\
random.seed(seed)
losses = [learning_rate * random.random() for _ in range(5)]
lines = [f"step,{step},{loss}" for step, loss in enumerate(losses)]
Path(run_dir, "history.csv").write_text("\\n".join(["kind,step,loss", *lines]) + "\\n")
metrics = {"test_accuracy": 1 - losses[-1], "steps": {"all": 5}, "seed": -1}
threads = os.environ.get("TF_NUM_INTRAOP_THREADS")
results = {"parameters": dict(seed=seed), "metrics": metrics, "threads": threads}
Path(run_dir, "metrics.json").write_text(json.dumps(results))
print(losses)"""


def make_notebook(path, *sources, parameters=PARAMETERS):
    tagged = nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
    cells = [tagged, *map(nbformat.v4.new_code_cell, sources)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), path)
    return path


def tiny(folder, middle="", name="tiny.ipynb"):
    """A notebook whose runs do `middle` between their begin and their end."""
    return make_notebook(folder / name, BEGIN.format(here=str(folder)), middle, END)


def command(*arguments):
    return [sys.executable, "-m", "tapecourse", "sweep", *map(str, arguments)]


def run(*arguments, **options):
    return subprocess.run(command(*arguments), capture_output=True, text=True, **options)


def start(*arguments):
    return subprocess.Popen(
        command(*arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a group of its own, as from a terminal
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell may ignore it
    )


def begun(folder):
    """The seeds of the runs that began, each as often as it did."""
    path = folder / "begun"
    return (
        [int(line.split()[0]) for line in path.read_text().splitlines()] if path.exists() else []
    )


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def summary(out):
    with open(out / "summary.csv", newline="") as file:
        return list(csv.DictReader(file))


def folders(out):
    """The names of the finished runs' folders, each of which must be whole."""
    names = sorted(path.name for path in out.iterdir() if "=" in path.name)
    for name in names:
        files = {path.name for path in (out / name).iterdir()}
        assert files >= {"tiny.ipynb", "history.csv", "metrics.json", "run.json"}, name
        executed = nbformat.read(out / name / "tiny.ipynb", as_version=4)
        assert executed.cells[-1].outputs, "the last cell printed the losses"
    return names


def times(out):
    return {path: path.stat().st_mtime_ns for path in sorted(out.glob("*=*/*"))}


# --- grids that are refused, before anything starts


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "--grid = '': at least one parameter is needed: NAME=VALUE,VALUE,..."),
        (["seed"], "--grid = 'seed': NAME=VALUE,VALUE,... is needed"),
        (["=1"], "--grid = '=1': NAME=VALUE,VALUE,... is needed"),
        (["seed="], "--grid = 'seed=': NAME=VALUE,VALUE,... is needed"),
        (["seed=1,,2"], "--grid = 'seed=1,,2': there is nothing between two of the commas"),
        (["seed=1", "seed=2"], "--grid = 'seed': this parameter is given twice"),
        (["speed=1"], "parameter = 'speed': one of learning_rate, seed, label, layers is needed"),
        (["run_dir=x"], "parameter = 'run_dir': one of learning_rate, seed, label, layers is"),
        (["layers=1"], "layers = '1': only parameters declared as str, int, float can be set"),
        (["seed=1,1.5"], "seed = '1.5': int is needed: a seed, 0 or more"),
        (["learning_rate=1e-3,fast"], "learning_rate = 'fast': float is needed: a rate, above 0"),
        (["learning_rate=1e-3,0.001"], "learning_rate = [0.001, 0.001]: a value comes twice"),
    ],
)
def test_bad_grids_are_refused_in_one_line(tmp_path, capsys, arguments, message):
    notebook = tiny(tmp_path)
    grid = [part for argument in arguments for part in ("--grid", argument)]
    assert sweep.main(["sweep", str(notebook), *grid, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith(message) and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "text, message",
    [
        ("seed: [1", "this is no YAML: "),
        ("", "lines 'NAME: [VALUE, VALUE]' are needed"),
        ("- seed", "lines 'NAME: [VALUE, VALUE]' are needed"),
        ("seed: 1", "lines 'NAME: [VALUE, VALUE]' are needed"),
        ("seed: [1]\nseed: [2]", "a parameter is given twice"),
        ("{}", "at least one parameter is needed"),
        ("seed: []", "seed = []: at least one value is needed"),
        ("seed: [true]", "seed = 'True': int is needed"),
        ("seed: [1, 2.0]", "seed = '2.0': int is needed"),
        ("seed: [null]", "seed = 'None': int is needed"),
        ("seed: [[1]]", "seed = '[1]': int is needed"),
        ("label: [yes]", "label = True: str is needed: put it in quotes"),
        ("seed: [0x_]", "this is no YAML: "),
        ("label: [2020-13-45]", "this is no YAML: "),
        ("7: [1]", "parameter = 7: one of learning_rate, seed, label, layers is needed"),
        ("learning_rate: [1e-3, 0.001]", "learning_rate = [0.001, 0.001]: a value comes twice"),
    ],
)
def test_bad_grid_files_are_refused_in_one_line(tmp_path, capsys, text, message):
    notebook, path = tiny(tmp_path), tmp_path / "grid.yaml"
    path.write_text(text)
    arguments = ["--grid-file", str(path), "--out", str(tmp_path / "out")]
    assert sweep.main(["sweep", str(notebook), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_grid_file_and_options_are_merged(tmp_path):
    path = tmp_path / "grid.yaml"
    path.write_text('learning_rate: [1e-3, 2, .5]\nlabel: ["yes", a/b]')  # YAML: 1e-3 is a text
    grid = type_grid(read_grid(["seed=3, 1"], str(path)), str(tiny(tmp_path)))
    assert grid == {"learning_rate": [1e-3, 2.0, 0.5], "label": ["yes", "a/b"], "seed": [3, 1]}
    assert all(type(value) is float for value in grid["learning_rate"])
    assert [run.parameters["seed"] for run in make_runs(grid)] == [3, 1] * 6

    path.write_text("seed: [0]")
    with pytest.raises(sweep.InputError, match="given twice"):
        read_grid(["seed=1"], str(path))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"notebook": "nowhere.ipynb"}, "notebook = 'nowhere.ipynb': there is no such file"),
        ({"notebook": "broken.ipynb"}, "notebook = 'broken.ipynb': this is no Jupyter notebook"),
        ({"out": ""}, "--out = '': a folder is needed"),
        ({"out": "{out}"}, "/{out}': no '{' or '}' is allowed"),
        ({"out": "a}b"}, "/a}b': no '{' or '}' is allowed"),
        ({"notebook": "{x}.ipynb"}, "notebook = '{x}.ipynb': no '{' or '}' is allowed"),
        ({"out": "circle/out"}, "--out = 'circle/out': this is no path of a folder"),
        ({"out": "x" * 300}, "this is no path of a folder ([Errno 36] File name too long"),
        ({"--grid": "label=\udcff"}, "--grid = 'label=\\udcff': this is no UTF-8"),
        ({"--scheduler": ""}, "--scheduler = '': no scheduler answers"),
        ({"out": "file"}, "/file': this folder can't be written: it is a file"),
        ({"out": "file/out"}, "--out = 'file/out': this folder can't be written"),
        ({"out": "."}, "this folder holds other files, and no sweep"),
        ({"out": "file", "dry": True}, "this folder can't be written: it is a file"),
        ({"--workers": "0"}, "--workers = 0: an integer is needed, 1 or more"),
        ({"--grid-file": "nowhere.yaml"}, "--grid-file = 'nowhere.yaml': it can't be read (No su"),
        ({"--scheduler": "tcp://127.0.0.1:9"}, "no scheduler answers"),
    ],
)
def test_other_mistakes_are_refused_in_one_line(tmp_path, monkeypatch, capsys, change, message):
    monkeypatch.setattr(sweep, "ANSWER", 1)
    monkeypatch.chdir(tmp_path)
    tiny(tmp_path)
    Path("broken.ipynb").write_text('{"cells": 3}')
    Path("file").write_text("")
    Path("circle").symlink_to("circle")
    before = sorted(tmp_path.iterdir())
    arguments = {"notebook": "tiny.ipynb", "out": "new", "--grid": "seed=0"} | change
    notebook, out = arguments.pop("notebook"), arguments.pop("out")
    options = ["--dry-run"] if arguments.pop("dry", False) else []
    options += [part for pair in arguments.items() for part in pair]
    assert sweep.main(["sweep", notebook, "--out", out, *options]) == 2
    output = capsys.readouterr()
    assert message in output.err and output.err.count("\n") == 1 and not output.out
    assert not begun(tmp_path)
    assert "--scheduler" in change or sorted(tmp_path.iterdir()) == before


def test_an_address_that_is_none_is_refused_in_one_line(tmp_path):
    out = tmp_path / "out"
    result = run(tiny(tmp_path), "--grid", "seed=0", "--out", out, "--scheduler", "nonsense")
    assert result.returncode == 2 and result.stderr.count("\n") == 1
    assert "--scheduler = 'nonsense': no scheduler answers" in result.stderr


def test_the_command_is_installed_by_its_name():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module, _, function = project["scripts"]["tapecourse"].partition(":")
    assert getattr(importlib.import_module(module), function) is tapecourse.__main__.main


@pytest.mark.parametrize("name", ["run", "seconds", "status", "error"])
def test_a_parameter_that_summary_csv_has_no_place_for_is_refused(tmp_path, capsys, name):
    notebook = make_notebook(tmp_path / "tiny.ipynb", parameters=f"{name}: int = 1  # a number")
    arguments = ["sweep", str(notebook), "--grid", f"{name}=1,2", "--out", str(tmp_path / "out")]
    assert sweep.main(arguments) == 2
    assert f"parameter = '{name}': summary.csv has a column" in capsys.readouterr().err


# --- names of folders


def test_names_are_the_parameters():
    assert run_name({"learning_rate": 1e-3, "seed": 0}) == "learning_rate=0.001,seed=0"
    plain = ["mnist_5k", "cosine", -1, 1e-05, 2.0]
    assert [file_name(value) for value in plain] == ["mnist_5k", "cosine", "-1", "1e-05", "2.0"]


@given(st.lists(st.text(), unique=True))
def test_any_text_gives_a_safe_name_of_its_own(texts):
    names = [file_name(text) for text in ["A", "a", "a/b", "a_b", "..", "", "x" * 300, *texts]]
    assert len(set(names)) == len({"A", "a", "a/b", "a_b", "..", "", "x" * 300, *texts})
    assert all(name == name.lower() for name in names)  # some file systems ignore case
    for name in names:
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_.+-") and len(name) <= 45
        assert name[-1] not in ". "


def test_a_long_name_is_cut_and_stays_unique():
    names = [run_name({f"parameter_{i}": 0 for i in range(40)} | {"z": z}) for z in (0, 1)]
    assert len(set(names)) == 2 and all(len(name) < 100 for name in names)


# --- a sweep with a failing run, and what comes after it


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A sweep of 2 x 3 runs, of which seed 1 fails; with a report, for whose sake seeds are 2."""
    folder = tmp_path_factory.mktemp("finished")
    fails = "if seed == 1 and not (here / 'mended').exists():\n    raise ValueError('one\\ntwo')"
    notebook = tiny(folder, fails)
    make_notebook(
        folder / "09_compare_runs.ipynb",
        "import os\nprint(sorted(os.listdir(sweep_dir)))",
        "assert not os.path.exists(sweep_dir + '/break')",
        parameters='sweep_dir: str = ""  # the folder',
    )
    grid = ["--grid", "seed=2,1,0", "--grid", "learning_rate=1e-3,1"]
    options = [notebook, *grid, "--out", folder / "out"]
    return folder, options, run(*options, "--workers", 2)


def test_a_failing_run_does_not_stop_the_others(finished):
    folder, _, result = finished
    out = folder / "out"
    assert result.returncode == 1
    assert "6 runs: 4 done, 2 failed, 0 missing." in result.stdout
    assert "Dashboard: http://127.0.0.1:" in result.stdout
    assert f"{out}/summary.csv\n" in result.stdout and f"{out}/failed\n" in result.stdout
    assert "failed: seed=1,learning_rate=0.001: ValueError: one\n" in result.stderr
    assert "6/6" in result.stderr and "failed=2" in result.stderr
    assert "Traceback" not in result.stderr and "distributed" not in result.stderr

    rates = ["0.001", "1.0"]
    assert folders(out) == sorted(f"seed={s},learning_rate={r}" for s in (0, 2) for r in rates)
    failed = out / "failed" / "seed=1,learning_rate=1.0"
    outputs = nbformat.read(failed / "tiny.ipynb", as_version=4).cells[-2].outputs
    assert outputs[0].ename == "ValueError"
    assert sorted(begun(folder)) == [0, 0, 1, 1, 2, 2]
    left = {path.name for path in out.iterdir() if "=" not in path.name}
    files = {"summary.csv", "sweep.json", "sweep.log", "sweep.lock", "report.ipynb", "failed"}
    assert left == files


def test_the_summary_has_a_row_a_run_in_the_order_of_the_grid(finished):
    rows = summary(finished[0] / "out")
    columns = "run seed learning_rate test_accuracy steps.all metrics.seed seconds status error"
    assert list(rows[0]) == columns.split()
    points = [(row["seed"], row["learning_rate"]) for row in rows]
    assert points == [(seed, rate) for seed in "210" for rate in ("0.001", "1.0")]
    assert [row["status"] for row in rows] == ["done"] * 2 + ["failed"] * 2 + ["done"] * 2
    assert [row["error"] for row in rows] == [""] * 2 + ["ValueError: one"] * 2 + [""] * 2
    for row in rows:
        assert 0.1 < float(row["seconds"]) < 60
        name = f"seed={row['seed']},learning_rate={row['learning_rate']}"
        assert row["run"] == name
        if row["status"] == "done":
            results = json.loads((finished[0] / "out" / name / "metrics.json").read_text())
            assert float(row["test_accuracy"]) == results["metrics"]["test_accuracy"]
            assert results["threads"] == str(max(1, CPU_COUNT // 2))
        else:
            assert row["test_accuracy"] == ""


def test_the_results_are_plain_papermills(finished, tmp_path):
    folder, (notebook, *_), _ = finished
    for rate in (0.001, 1.0):
        out = tmp_path / str(rate)
        out.mkdir()
        parameters = {"seed": 2, "learning_rate": rate, "run_dir": str(out)}
        plain = papermill.execute_notebook(
            notebook, out / "plain.ipynb", parameters, kernel_name="python3", progress_bar=False
        )
        swept = folder / "out" / f"seed=2,learning_rate={rate}"
        assert (swept / "history.csv").read_bytes() == (out / "history.csv").read_bytes()
        metrics = [json.loads((at / "metrics.json").read_text())["metrics"] for at in (swept, out)]
        assert metrics[0] == metrics[1]
        executed = nbformat.read(swept / "tiny.ipynb", as_version=4)
        assert [cell.get("outputs") for cell in executed.cells] == [
            cell.get("outputs") for cell in plain.cells
        ]


def test_the_report_is_run_at_the_end(finished):
    report = nbformat.read(finished[0] / "out" / "report.ipynb", as_version=4)
    assert "'seed=2,learning_rate=1.0', 'summary.csv'" in report.cells[-2].outputs[0].text


def test_a_dry_run_prints_the_runs_and_starts_nothing(finished, tmp_path, capsys):
    folder, (notebook, *options), _ = finished
    before = times(folder / "out")
    assert sweep.main(["sweep", *map(str, [notebook, *options, "--dry-run"])]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "done    seed=2,learning_rate=0.001"
    assert lines[2] == "failed  seed=1,learning_rate=0.001"
    assert lines[-1] == "6 runs, 4 of them done already. Nothing was started."
    assert times(folder / "out") == before

    new = ["sweep", str(notebook), "--grid", "seed=5", "--out", str(tmp_path / "new"), "--dry-run"]
    assert sweep.main(new) == 0
    assert capsys.readouterr().out.startswith("missing seed=5\n")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "name, middle, grid, message",
    [
        ("other.ipynb", "", ["seed=0"], "its runs are of tiny.ipynb"),
        ("tiny.ipynb", "1", ["seed=0"], "its runs are of another version of tiny.ipynb"),
        (None, None, ["seed=0"], "the grid of its runs is over seed, learning_rate"),
    ],
)
@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_runs_of_something_else_are_refused(
    finished, tmp_path, capsys, name, middle, grid, message, dry
):
    folder, (notebook, *_), _ = finished
    notebook = tiny(tmp_path, middle, name) if name else notebook
    before = times(folder / "out")
    grid = [part for argument in grid for part in ("--grid", argument)]
    arguments = ["sweep", str(notebook), *grid, "--out", str(folder / "out"), *dry]
    assert sweep.main(arguments) == 2
    error = capsys.readouterr().err
    assert f"{message}: another folder is needed." in error and error.count("\n") == 1
    assert times(folder / "out") == before


def test_the_same_command_does_only_what_is_missing(finished, capfd):
    """With the parameters in another order, more seeds, and prose of the notebook changed."""
    folder, (notebook, *_), _ = finished
    out = folder / "out"
    before = times(out)
    (folder / "mended").touch()
    (folder / "begun").unlink()
    cells = nbformat.read(notebook, as_version=4)
    cells.cells.insert(0, nbformat.v4.new_markdown_cell("A note."))
    nbformat.write(cells, notebook)
    grid = ["--grid", "learning_rate=1e-3,1", "--grid", "seed=1,2,3"]
    again = ["sweep", str(notebook), *grid, "--out", str(out), "--workers", "2"]
    assert sweep.main(again) == 0
    assert sorted(begun(folder)) == [1, 1, 3, 3]
    after = times(out)
    assert before.items() <= after.items()
    assert len(folders(out)) == 8 and not (out / "failed").exists()
    rows = [(row["seed"], row["status"]) for row in summary(out)]
    assert rows == [(seed, "done") for seed in "11223300"]  # this grid's, then the rest

    capfd.readouterr()
    (out / "break").touch()  # what the report stumbles on
    assert sweep.main(again) == 0, "all runs are done, and that is what the status says"
    output = capfd.readouterr()
    assert "The report failed: AssertionError" in output.err and "Dashboard" not in output.out
    assert "AssertionError" in (out / "report.ipynb").read_text()
    assert sorted(begun(folder)) == [1, 1, 3, 3] and times(out) == after


# --- kills


def test_a_killed_workers_run_is_tried_again(tmp_path):
    """Seed 1 kills its worker each time, seed 3 once; the other runs must not suffer for it."""
    kills = """\
if seed == 1 or (seed == 3 and not (here / "killed").exists()):
    if seed == 3:
        (here / "killed").touch()
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(30)"""
    out = tmp_path / "out"
    notebook = tiny(tmp_path, kills)
    result = run(notebook, "--grid", "seed=0,1,2,3,4", "--out", out, "--workers", 1)
    assert result.returncode == 1
    assert "failed: seed=1: its worker process died 3 times" in result.stderr
    assert "Traceback" not in result.stderr and "distributed" not in result.stderr
    assert folders(out) == ["seed=0", "seed=2", "seed=3", "seed=4"]
    assert [row["status"] for row in summary(out)] == ["done", "failed"] + ["done"] * 3
    assert (out / "failed" / "seed=1" / "tiny.ipynb").exists()
    assert begun(tmp_path) == [0, 1, 1, 1, 2, 3, 3, 4]


def test_a_killed_sweep_is_completed_by_the_same_command(tmp_path):
    """Killed while runs go on; meanwhile a second sweep into the folder was refused."""
    out = tmp_path / "out"
    notebook = tiny(tmp_path, "time.sleep(0 if (here / 'quick').exists() else 1.5)")
    options = [notebook, "--grid", "seed=0,1,2,3,4,5", "--out", out, "--workers", 2]
    process = start(*options)
    wait_for(lambda: len(list(out.glob("*=*"))) >= 2 and len(begun(tmp_path)) >= 4)
    second = run(*options)
    process.kill()
    output = process.communicate()
    assert process.returncode == -signal.SIGKILL, output
    assert second.returncode == 2 and second.stderr.count("\n") == 1
    assert "another sweep is writing to this folder" in second.stderr

    pids = " ".join((tmp_path / "begun").read_text().splitlines()).split()
    kernels, workers = pids[1::3], pids[2::3]
    wait_for(lambda: not any(map(alive, kernels + workers)), seconds=20)
    assert any((out / ".unfinished").glob("seed=*/*/tiny.ipynb"))
    done, before = folders(out), times(out)
    assert 2 <= len(done) <= 5
    assert {row["status"] for row in summary(out)} == {"done", "missing"}

    (tmp_path / "quick").touch()
    first = begun(tmp_path)
    result = run(*options)
    assert result.returncode == 0, result.stderr
    repeated = begun(tmp_path)[len(first) :]
    assert sorted(repeated) == [n for n in range(6) if f"seed={n}" not in done]
    assert len(folders(out)) == 6 and before.items() <= times(out).items()
    assert not (out / ".unfinished").exists() and not (out / "failed").exists()


def test_an_interrupted_sweep_is_one_message(tmp_path):
    out = tmp_path / "out"
    notebook = tiny(tmp_path, "time.sleep(60 * (seed > 0))")
    process = start(notebook, "--grid", "seed=0,1", "--out", out, "--workers", 1)
    wait_for(lambda: begun(tmp_path) == [0, 1])
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Interrupted. The same command goes on." in errors
    assert "Traceback" not in errors and "distributed" not in errors
    assert "2 runs: 1 done, 0 failed, 1 missing." in output
    assert folders(out) == ["seed=0"] and not (out / ".unfinished").exists()


def test_what_a_killed_sweep_left_running_writes_nothing(tmp_path):
    """An attempt whose folder was cleared away by the next sweep."""
    record = attempt(str(tiny(tmp_path)), str(tmp_path / "gone"), {}, str(tmp_path))
    assert record["status"] == "failed" and record["error"].startswith("FileNotFoundError")
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.ipynb"]


def test_an_interrupt_while_libraries_are_loaded_is_one_line(tmp_path):
    process = start(tiny(tmp_path), "--grid", "seed=0", "--out", tmp_path / "out")
    modules = Path(f"/proc/{process.pid}/maps")
    wait_for(lambda: "site-packages" in modules.read_text())  # the first library with a part in C
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1 and errors == "Interrupted. The same command goes on.\n"
    assert not begun(tmp_path)


@pytest.mark.parametrize("when", ["dask starts", "its first process starts"])
def test_an_interrupt_while_dask_starts_waits_and_is_not_lost(tmp_path, when):
    """It goes to all processes, as from a terminal."""
    out = tmp_path / "out"
    notebook = tiny(tmp_path, "time.sleep(60)")
    process = start(notebook, "--grid", "seed=0", "--out", out, "--workers", 1)
    wait_for((out / "sweep.log").exists)
    if when != "dask starts":
        wait_for(lambda: children_of(process.pid))
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1 and errors.endswith("Interrupted. The same command goes on.\n")
    assert "Traceback" not in errors and not begun(tmp_path)


def children_of(pid):
    def parent(stat):
        try:
            return int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended meanwhile
            return None

    return [stat.parent for stat in Path("/proc").glob("[0-9]*/stat") if parent(stat) == pid]


def test_an_interrupted_report_leaves_the_last_one(finished_once):
    folder, arguments = finished_once
    out = folder / "out"
    before = (out / "report.ipynb").read_bytes()
    (out / "wait").touch()
    (folder / "reporting").unlink()
    process = start(*arguments)
    wait_for(lambda: (folder / "reporting").exists())
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Interrupted. The same command goes on." in errors and "Traceback" not in errors
    assert (out / "report.ipynb").read_bytes() == before


@pytest.fixture
def finished_once(tmp_path):
    """A sweep of one run with a report, which waits if the sweep's folder holds `wait`."""
    waits = f"""\
import time
from pathlib import Path
Path({str(tmp_path)!r}, "reporting").touch()
time.sleep(60 * Path(sweep_dir, "wait").exists())"""
    make_notebook(tmp_path / sweep.REPORT, waits, parameters='sweep_dir: str = ""  # a folder')
    arguments = [str(tiny(tmp_path)), "--grid", "seed=0", "--out", str(tmp_path / "out")]
    assert sweep.main(["sweep", *arguments]) == 0
    return tmp_path, arguments


@pytest.mark.parametrize(
    "text, error",
    [
        ("{", "metrics.json is broken: Expecting property name"),
        ("3", "metrics.json is broken: a mapping is needed"),
        ("{}", "metrics.json is broken: 'metrics' is needed, a dict"),
        ('{"metrics": [1]}', "metrics.json is broken: 'metrics' is needed, a dict"),
    ],
)
def test_broken_metrics_fail_their_run(tmp_path, monkeypatch, text, error):
    def run_notebook(notebook, folder, *_, **__):
        Path(folder, "metrics.json").write_text(text)

    monkeypatch.setattr("tapecourse.tools.worker.run_notebook", run_notebook)
    record = attempt("tiny.ipynb", str(tmp_path), {}, ".")
    assert record["status"] == "failed" and record["error"].startswith(error)


# --- runs and files that are not what they should be


def test_a_run_that_spoils_its_own_folder_fails_alone(tmp_path, capfd):
    """Seed 0 removes the folder, seed 1 takes the place of run.json; 2 has an odd metric."""
    spoil = """\
if seed == 0:
    import shutil
    shutil.rmtree(run_dir)
    raise SystemExit
if seed == 1:
    Path(run_dir, "run.json").mkdir()"""
    notebook = make_notebook(
        tmp_path / "tiny.ipynb",
        BEGIN.format(here=str(tmp_path)),
        spoil,
        END.replace('"seed": -1', '"odd\\ud800": 1'),
    )
    out = tmp_path / "out"
    arguments = ["sweep", str(notebook), "--grid", "seed=0,1,2", "--out", str(out)]
    assert sweep.main(arguments) == 1
    error = capfd.readouterr().err
    assert "failed: seed=1: its folder can't be kept: Is a directory (run.json)" in error
    assert [row["status"] for row in summary(out)] == ["failed", "failed", "done"]
    assert summary(out)[2]["odd\\ud800"] == "1"
    assert sorted(path.name for path in (out / "failed").iterdir()) == ["seed=0", "seed=1"]


def test_a_place_that_is_taken_is_told_before_anything_starts(tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["sweep", str(tiny(tmp_path)), "--grid", "seed=0,1", "--out", str(out)]
    assert sweep.main(arguments) == 0
    (out / "seed=1" / "run.json").unlink()
    capsys.readouterr()
    for dry in ([], ["--dry-run"]):
        assert sweep.main([*arguments, *dry]) == 1
        said = f"{out / 'seed=1'} holds no run.json. Delete it to run it again.\n"
        assert capsys.readouterr().err == said
    assert sorted(begun(tmp_path)) == [0, 1]


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", "null", '{"status": "done"}', "\udcff"])
def test_files_of_a_sweep_that_were_broken_are_told(tmp_path, capsys, text):
    out = tmp_path / "out"
    arguments = ["sweep", str(tiny(tmp_path)), "--grid", "seed=0", "--out", str(out)]
    (out / "seed=0").mkdir(parents=True)
    good = {"parameters": {"seed": 0}, "metrics": {}, "status": "done", "error": ""}
    record, sweep_file = out / "seed=0" / "run.json", out / "sweep.json"
    record.write_text(json.dumps(good))
    sweep_file.write_bytes(text.encode(errors="surrogateescape"))
    assert sweep.main(arguments) == 2
    error = capsys.readouterr().err
    assert "its sweep.json is broken (" in error and error.count("\n") == 1

    sweep_file.write_text(json.dumps(sweep_folder.describe(arguments[1], {"seed": [0]})))
    assert sweep.main([*arguments, "--dry-run"]) == 0
    record.write_bytes(text.encode(errors="surrogateescape"))
    capsys.readouterr()
    assert sweep.main(arguments) == 1
    assert f"{record} is broken. Delete {record.parent}" in capsys.readouterr().err
    assert not begun(tmp_path)


def test_a_folder_without_a_finished_run_may_become_another_sweeps(tmp_path):
    out = tmp_path / "out"
    notebook = tiny(tmp_path, "raise ValueError")
    assert sweep.main(["sweep", str(notebook), "--grid", "seed=0", "--out", str(out)]) == 1
    tiny(tmp_path, "1")
    options = ["--grid", "learning_rate=0.5", "--out", str(out)]
    assert sweep.main(["sweep", str(notebook), *options]) == 0
    assert [row["run"] for row in summary(out)] == ["learning_rate=0.5"]
    assert not (out / "failed").exists()


def test_the_cause_of_a_kernels_death_is_told_and_kept(tmp_path, capfd):
    out = tmp_path / "out"
    crash = "import ctypes, faulthandler\nseed and faulthandler.enable()\nctypes.string_at(0)"
    arguments = ["sweep", str(tiny(tmp_path, crash)), "--grid", "seed=0,1", "--out", str(out)]
    assert sweep.main(arguments) == 1
    cause = "Kernel died: Fatal Python error: Segmentation fault"
    assert f"failed: seed=1: {cause}" in capfd.readouterr().err
    assert summary(out)[0]["error"].startswith("Kernel died: it left no word. Did code crash")
    assert summary(out)[1]["error"] == cause
    assert "ctypes" in (out / "failed" / "seed=1" / "kernel.log").read_text()


@pytest.mark.parametrize(
    "text, line",
    [("a\nb", "a"), ("\n  \n b \nc", "b"), ("x" * 1000, "x" * 300), (" \n", "no message")],
)
def test_an_error_is_one_line_of_a_table(text, line):
    assert first_line(text) == line


# --- disks


def test_a_run_whose_notebook_cannot_be_written_fails_alone(tmp_path):
    """The limit stands for a full disk: the system refuses what papermill writes."""
    size = 200_000
    out = tmp_path / "out"
    result = run(
        tiny(tmp_path, f"print('x' * {size} if seed == 1 else '')"),
        *("--grid", "seed=0,1,2", "--out", out, "--workers", 2),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
    )
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert "failed: seed=1: OSError: [Errno 27] File too large" in result.stderr
    assert folders(out) == ["seed=0", "seed=2"]
    assert [row["status"] for row in summary(out)] == ["done", "failed", "done"]


def test_a_full_disk_ends_the_sweep_with_what_is_finished(tmp_path, monkeypatch, capfd):
    out = tmp_path / "out"
    arguments = ["sweep", str(tiny(tmp_path)), "--grid", "seed=0,1", "--out", str(out)]
    real = sweep_folder.write_whole

    def full(path, text):
        if path.name == "summary.csv" and "done" in text:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(path, text)

    with monkeypatch.context() as patch:
        patch.setattr(sweep_folder, "write_whole", full)
        assert sweep.main([*arguments, "--workers", "1"]) == 1
    errors = capfd.readouterr().err
    assert f"{out} can't be written (No space left on device)." in errors
    assert "Traceback" not in errors
    assert folders(out) == ["seed=0"]
    assert [row["status"] for row in summary(out)] == ["missing", "missing"]  # as it was: whole

    assert sweep.main(arguments) == 0
    assert begun(tmp_path).count(0) == 1 and folders(out) == ["seed=0", "seed=1"]


def test_a_really_full_disk(tmp_path):
    """A file system of 300 kB, which the third run or so fills; copied, since it is gone then."""
    private = ["unshare", "--user", "--map-root-user", "--mount"]
    if not shutil.which("unshare") or subprocess.run([*private, "true"]).returncode:
        pytest.skip("this system doesn't let users mount a file system")
    notebook = tiny(tmp_path, "Path(run_dir, 'big').write_bytes(bytes(80_000))")
    (tmp_path / "disk").mkdir()
    script = 'mount -t tmpfs -o size=300k tmpfs disk; "$@"; code=$?; cp -r disk/out .; exit $code'
    options = [notebook, "--grid", "seed=0,1,2,3,4", "--out", "disk/out", "--workers", 1]
    result = subprocess.run(
        [*private, "sh", "-c", script, "sh", *command(*options)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert result.returncode == 1
    assert "No space left on device" in result.stderr and "Traceback" not in result.stderr
    assert 1 <= len(folders(tmp_path / "out")) <= 3
    assert len(summary(tmp_path / "out")) == 5


def test_a_file_is_written_whole_or_stays_as_it_was(tmp_path):
    (tmp_path / ".unfinished").mkdir()
    path = tmp_path / "summary.csv"
    sweep_folder.write_whole(path, "old")
    with pytest.raises(UnicodeEncodeError):
        sweep_folder.write_whole(path, "new \ud800")  # what no file can hold
    assert path.read_text() == "old"


# --- a scheduler and a worker in processes of their own


@pytest.fixture
def scheduler(tmp_path):
    """Start a scheduler on loopback; yield its address and its process."""
    file = tmp_path / "scheduler.json"
    options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", file]
    process = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_scheduler", *options],
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: file.exists() and file.read_text().endswith("}"))
        yield json.loads(file.read_text())["address"], process
    finally:
        process.kill()
        process.wait()


def start_worker(address, path):
    """A worker of two threads, as `dask worker` has more than one, that imports from `path`."""
    return subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_worker", address]
        + ["--no-nanny", "--nthreads", "2", "--no-dashboard"],
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=os.environ | {"PYTHONPATH": str(path)},
    )


def test_a_running_scheduler_serves_as_the_cluster(tmp_path, scheduler, monkeypatch, capfd):
    address, process = scheduler
    monkeypatch.setattr(sweep, "ANSWER", 1)
    monkeypatch.chdir(tmp_path)
    notebook = tiny(tmp_path, "time.sleep(60 * (seed > 2)); open('here', 'w').close()")
    out = tmp_path / "out"
    options = ["sweep", str(notebook), "--out", str(out), "--scheduler", address, "--grid"]
    assert sweep.main([*options, "seed=0,1,2"]) == 2
    assert f"it has no worker. Start some: dask worker {address}" in capfd.readouterr().err

    old = tmp_path / "old" / "tapecourse"
    old.mkdir(parents=True)
    (old / "__init__.py").write_text('"""As it was before there were sweeps."""')
    (old / "sweeps.py").touch()  # or an editable install would fill in what is missing here
    worker = start_worker(address, old.parent)
    try:
        monkeypatch.setattr(sweep, "ANSWER", 20)
        assert sweep.main([*options, "seed=0,1,2"]) == 2
        assert "lacks this version of the course (No module named" in capfd.readouterr().err
    finally:
        worker.kill()
        worker.wait()

    worker = start_worker(address, ROOT)
    try:
        assert sweep.main([*options, "seed=0,1,2"]) == 0
        assert folders(out) == ["seed=0", "seed=1", "seed=2"]
        lines = (tmp_path / "begun").read_text().splitlines()
        assert {int(line.split()[2]) for line in lines} == {worker.pid}
        assert (tmp_path / "here").exists(), "runs start in the folder of the command"

        second = start(*options[1:], "seed=2,3")
        wait_for(lambda: begun(tmp_path) == [0, 1, 2, 3])
        process.kill()
        _, errors = second.communicate(timeout=60)
        assert second.returncode == 1 and "The same command goes on." in errors
        assert "scheduler" in errors and "Traceback" not in errors
        assert len(folders(out)) == 3
    finally:
        worker.kill()
        worker.wait()
