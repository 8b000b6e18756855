"""The command line: its help, what it refuses, its exit statuses."""

import importlib
import subprocess
import sys
import tomllib

import pytest
from conftest import ROOT
from helpers import make_notebook

import tapecourse.__main__
from tapecourse.support.errors import ClearError, InputError
from tapecourse.tools import command
from tapecourse.tools.command import main, make_parser, take_parameters

COMMANDS = ["run", "sweep", "grade", "export"]


def usage_error(capsys, *arguments):
    """Return what argparse says of wrong arguments."""
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("usage: tapecourse")
    return error.splitlines()[-1]


def test_the_command_is_installed_by_its_name():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module, _, function = project["scripts"]["tapecourse"].partition(":")
    assert getattr(importlib.import_module(module), function) is tapecourse.__main__.main


def test_the_module_is_the_same_command():
    words = [sys.executable, "-m", "tapecourse", "export", "-p", "seed", "0"]
    result = subprocess.run(words, capture_output=True, text=True)
    assert result.returncode == 2 and not result.stdout
    assert result.stderr == "-p = 'seed': export takes no parameters.\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_each_help_has_an_example_that_is_read(capsys, name):
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0
    example = capsys.readouterr().out.splitlines()[-1].split()
    assert example[:2] == ["tapecourse", name]
    given, rest = take_parameters(example[1:])
    assert make_parser().parse_args(rest).command == name
    assert ("-p" in example) == bool(given)


def test_the_help_lists_the_commands(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    listed = capsys.readouterr().out
    assert [name for name in COMMANDS if f"\n    {name} " not in listed] == []


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "the following arguments are required: COMMAND"),
        (["train"], "invalid choice: 'train'"),
        (["run"], "the following arguments are required: notebook"),
        (["run", "x.ipynb", "--fast"], "unrecognized arguments: --fast"),
        (["run", "x.ipynb", "-p"], "argument -p: expected 2 arguments"),
        (["run", "x.ipynb", "-p", "seed"], "argument -p: expected 2 arguments"),
        (["run", "-p", "seed", "--out", "out", "x.ipynb"], "argument -p: expected 2 arguments"),
        (["run", "-p", "--out", "out", "x.ipynb"], "argument -p: expected 2 arguments"),
        (["sweep", "x.ipynb", "-p", "seed", "0"], "the following arguments are required: --out"),
        (["sweep", "x", "--out", "o", "--workers", "two"], "invalid int value: 'two'"),
        (["sweep", "x", "--out", "o", "--workers", "2", "--scheduler", "a"], "not allowed with"),
        (["grade"], "the following arguments are required: submissions, --out"),
        (["export", "figures"], "invalid choice: 'figures'"),
    ],
)
def test_what_is_no_command_is_told_with_its_usage(capsys, arguments, message):
    assert message in usage_error(capsys, *arguments)


@pytest.mark.parametrize("value", ["-1e-3", "-1", "-x", "", "a b", "-p"])
def test_any_value_can_be_given(value):
    words = ["run", "x.ipynb", "-p", "learning_rate", value, "--out", "out", "-p", "seed", "0"]
    given, rest = take_parameters(words)
    assert given == [("learning_rate", value), ("seed", "0")]
    assert rest == ["run", "x.ipynb", "--out", "out"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["grade", "x", "--out", "o", "-p", "a", "1"], "-p = 'a': grade takes no parameters."),
        (["run", "x", "-p", "a", "1", "-p", "a", "2"], "-p = 'a': this parameter is given twice."),
        (["run", "nowhere.ipynb"], "notebook = 'nowhere.ipynb': there is no such file"),
    ],
)
def test_what_is_given_wrong_is_refused_in_one_line(
    tmp_path, monkeypatch, capsys, arguments, message
):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    output = capsys.readouterr()
    assert output.err.startswith(message) and output.err.count("\n") == 1
    assert not output.out and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "outcome, status, message",
    [
        (True, 0, ""),
        (False, 1, ""),
        (InputError("a", 1, "2 is needed."), 2, "a = 1: 2 is needed.\n"),
        (ClearError("It failed."), 1, "It failed.\n"),
        (OSError(28, "No space left on device"), 1, "[Errno 28] No space left on device\n"),
        (KeyboardInterrupt(), 1, "Interrupted. To continue, run the same command again.\n"),
    ],
)
def test_the_exit_status_and_the_message(monkeypatch, capsys, outcome, status, message):
    def do(options):
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    monkeypatch.setattr(command, "do_run", do)
    assert main(["run", "x.ipynb"]) == status
    assert capsys.readouterr().err == message


# --- `tapecourse run` on notebooks other than the chapters


def test_what_is_printed_of_a_run(tmp_path, monkeypatch, capfd):
    """The metrics of the cell tagged `results`, which may print first; into runs/NAME."""
    monkeypatch.chdir(tmp_path)
    emit = """\
from IPython.display import JSON, display
print("first")
display(JSON({"metrics": {"loss": 0.123456, "steps": {"all": 5}, "name": "x"}, "more": [1]}))"""
    make_notebook(tmp_path / "other.ipynb", emit, results=0)
    assert main(["run", "other.ipynb"]) == 0
    output = capfd.readouterr().out.splitlines()
    assert output == [
        "Running other.ipynb. The bar counts its cells.",
        *("loss: 0.1235", "steps.all: 5", "name: x", "Look at:"),
        *("  runs/other/other.ipynb", "  runs/other/run.json"),
    ]
