"""The grid of `tapecourse sweep`: what is refused before anything starts, and the runs' names."""

from pathlib import Path

import pytest
from helpers import make_notebook, run
from hypothesis import given
from hypothesis import strategies as st
from sweeps import begun, sweep, tiny

from tapecourse.support.errors import InputError
from tapecourse.tools import cluster
from tapecourse.tools.grid import file_name, make_runs, read_grid, run_name, type_grid

KNOWN = "learning_rate, seed, label, layers"


@pytest.mark.parametrize(
    "grid, message",
    [
        ([], "-p = '': at least one parameter is needed: -p NAME VALUE,VALUE,..."),
        ([("", "1")], f"parameter = '': one of {KNOWN} is needed"),
        ([("seed", "")], "-p = 'seed ': a value is missing: VALUE,VALUE,..."),
        ([("seed", "1,,2")], "-p = 'seed 1,,2': a value is missing: VALUE,VALUE,..."),
        ([("seed", "1"), ("seed", "2")], "-p = 'seed': this parameter is given twice"),
        ([("speed", "1")], f"parameter = 'speed': one of {KNOWN} is needed"),
        ([("run_dir", "x")], f"parameter = 'run_dir': one of {KNOWN} is needed"),
        ([("layers", "1")], "layers = '1': only parameters declared as str, int, float can be"),
        ([("seed", "1,1.5")], "seed = '1.5': an integer is needed: a seed, 0 or more"),
        ([("learning_rate", "1e-3,fast")], "learning_rate = 'fast': a number is needed: a rate"),
        ([("learning_rate", "1e-3,0.001")], "learning_rate = [0.001, 0.001]: a value comes twice"),
        ([("label", "\udcff")], "label = '\\udcff': this is not UTF-8"),
    ],
)
def test_bad_grids_are_refused_in_one_line(tmp_path, capsys, grid, message):
    options = [part for pair in grid for part in ("-p", *pair)]
    assert sweep(tiny(tmp_path), *options, "--out", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert error.startswith(message) and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "text, message",
    [
        ("seed: [1", "this is not YAML: "),
        ("seed: []", "seed = []: at least one value is needed"),
        ("seed: [null]", "seed = 'null': an integer is needed"),
        ("seed: [[1]]", "lines 'NAME: [VALUE, VALUE]' are needed; line 1 is none"),
        ("7: [1]", f"parameter = '7': one of {KNOWN} is needed"),
        ("learning_rate: [1e-3, 0.001]", "learning_rate = [0.001, 0.001]: a value comes twice"),
    ],
)
def test_bad_grid_files_are_refused_in_one_line(tmp_path, capsys, text, message):
    path = tmp_path / "grid.yaml"
    path.write_text(text)
    assert sweep(tiny(tmp_path), "--grid-file", path, "--out", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_grid_file_and_options_are_merged(tmp_path):
    path = tmp_path / "grid.yaml"
    path.write_text('learning_rate: [1e-3, 2, .5]\nlabel: ["yes", a/b]')  # YAML: 1e-3 is a text
    grid = type_grid(read_grid([("seed", "3, 1")], str(path)), str(tiny(tmp_path)))
    assert grid == {"learning_rate": [1e-3, 2.0, 0.5], "label": ["yes", "a/b"], "seed": [3, 1]}
    assert all(type(value) is float for value in grid["learning_rate"])
    assert [each.parameters["seed"] for each in make_runs(grid)] == [3, 1] * 6

    path.write_text("seed: [0]")
    with pytest.raises(InputError, match="given twice"):
        read_grid([("seed", "1")], str(path))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"notebook": "nowhere.ipynb"}, "notebook = 'nowhere.ipynb': there is no such file"),
        (
            {"notebook": "broken.ipynb"},
            "notebook = 'broken.ipynb': this is not a Jupyter notebook",
        ),
        ({"out": ""}, "--out = '': a folder is needed"),
        ({"notebook": "file"}, "notebook = 'file': a file whose name ends in .ipynb is needed"),
        ({"--threads": "2", "out": "run"}, "this folder holds other files, and no sweep"),
        ({"out": "single"}, "/single': this folder holds other files, and no sweep"),
        ({"out": "circle/out"}, "--out = 'circle/out': this can't be a folder's path"),
        ({"out": "x" * 300}, "this can't be a folder's path (File name too long"),
        ({"--scheduler": ""}, "--scheduler = '': no scheduler answers"),
        ({"out": "file"}, "/file': this folder can't be written: it is a file"),
        ({"out": "file/out"}, "--out = 'file/out': this folder can't be written"),
        ({"out": "."}, "this folder holds other files, and no sweep"),
        ({"out": "file", "dry": True}, "this folder can't be written: it is a file"),
        ({"--workers": "0"}, "--workers = 0: an integer of 1 or more is needed"),
        ({"--grid-file": "nowhere.yaml"}, "--grid-file = 'nowhere.yaml': there is no such file"),
        ({"--scheduler": "tcp://127.0.0.1:9"}, "no scheduler answers"),
    ],
)
def test_other_mistakes_are_refused_in_one_line(tmp_path, monkeypatch, capsys, change, message):
    monkeypatch.setattr(cluster, "ANSWER", 1)
    monkeypatch.chdir(tmp_path)
    tiny(tmp_path)
    Path("broken.ipynb").write_text('{"cells": 3}')
    Path("file").write_text("")
    Path("circle").symlink_to("circle")
    for file in ("run/run.json", "single/.unfinished/a.lock"):
        Path(file).parent.mkdir(parents=True)
        Path(file).touch()
    before = sorted(tmp_path.iterdir())
    arguments = {"notebook": "tiny.ipynb", "out": "new"} | change
    notebook, out = arguments.pop("notebook"), arguments.pop("out")
    options = ["--dry-run"] if arguments.pop("dry", False) else []
    options += [part for pair in arguments.items() for part in pair]
    assert sweep(notebook, "-p", "seed", "0", "--out", out, *options) == 2
    output = capsys.readouterr()
    assert message in output.err and output.err.count("\n") == 1 and not output.out
    assert not begun(tmp_path)
    assert "--scheduler" in change or sorted(tmp_path.iterdir()) == before


def test_an_address_that_is_none_is_refused_in_one_line(tmp_path):
    options = ["-p", "seed", 0, "--out", tmp_path / "out", "--scheduler", "nonsense"]
    result = run("sweep", tiny(tmp_path), *options)
    assert result.returncode == 2 and result.stderr.count("\n") == 1
    assert "--scheduler = 'nonsense': no scheduler answers" in result.stderr


@pytest.mark.parametrize("name", ["run", "seconds", "status", "error"])
def test_a_parameter_that_summary_csv_has_no_place_for_is_refused(tmp_path, capsys, name):
    notebook = make_notebook(tmp_path / "tiny.ipynb", parameters=f"{name}: int = 1  # a number")
    assert sweep(notebook, "-p", name, "1,2", "--out", tmp_path / "out") == 2
    assert f"parameter = '{name}': summary.csv has a column" in capsys.readouterr().err


# --- names of folders


def test_names_are_the_parameters():
    assert run_name({"learning_rate": 1e-3, "seed": 0}) == "learning_rate=0.001,seed=0"
    plain = ["mnist_5k", "cosine", -1, 1e-05, 2.0]
    assert [file_name(value) for value in plain] == ["mnist_5k", "cosine", "-1", "1e-05", "2.0"]


@given(st.lists(st.text(), unique=True))
def test_any_text_gives_a_safe_name_of_its_own(texts):
    texts = {"A", "a", "a/b", "a_b", "..", "", "x" * 300, *texts}
    names = [file_name(text) for text in texts]
    assert len(set(names)) == len(texts)
    assert all(name == name.lower() for name in names)  # some file systems ignore case
    for name in names:
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_.+-") and len(name) <= 45
        assert name[-1] not in ". "


def test_a_long_name_is_cut_and_stays_unique():
    names = [run_name({f"parameter_{i}": 0 for i in range(40)} | {"z": z}) for z in (0, 1)]
    assert len(set(names)) == 2 and all(len(name) < 100 for name in names)
