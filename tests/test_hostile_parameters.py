"""A value or a grid file is taken for what is written, or refused in one line."""

import os
import socket
from pathlib import Path

import pytest

from tapecourse.support.errors import InputError
from tapecourse.support.parameters import Choice, Folder, Integer, Number, Text, check_parameters
from tapecourse.tools import grid as grid_module
from tapecourse.tools.grid import make_runs, read_grid, type_grid
from tapecourse.tools.parameters import typed_value

KNOWN = {
    "seed": {"inferred_type_name": "int", "help": "a seed, 0 or more"},
    "rate": {"inferred_type_name": "float", "help": "a rate, above 0"},
    "label": {"inferred_type_name": "str", "help": "a text"},
    "layers": {"inferred_type_name": "list", "help": "a list"},
    "fast": {"inferred_type_name": "bool", "help": "true or false"},
    "free": {"inferred_type_name": "None", "help": ""},
}


def refusal(do, *arguments) -> str:
    """The one line that refuses something."""
    with pytest.raises(InputError) as caught:
        do(*arguments)
    line = str(caught.value)
    assert line.isprintable() and len(line) < 1500, line
    return line


# --- values as texts


@pytest.mark.parametrize(
    "name, text, value",
    [
        ("seed", "0", 0),
        ("seed", "-7", -7),
        ("seed", "+7", 7),
        ("seed", "010", 10),  # no octal
        ("seed", "9" * 4000, int("9" * 4000)),  # the notebook has its own bounds
        ("rate", "1", 1.0),
        ("rate", "1e-3", 0.001),
        ("rate", ".5", 0.5),
        ("rate", "-5.E+1", -50.0),
        ("rate", "1e-999", 0.0),
        ("label", "", ""),
        ("label", " yes ", " yes "),
        ("label", "1_000", "1_000"),
        ("label", "１\n\x1b[2J", "１\n\x1b[2J"),
    ],
)
def test_values_mean_what_is_written(name, text, value):
    typed = typed_value(name, text, KNOWN)
    assert typed == value and type(typed) is type(value)


@pytest.mark.parametrize(
    "name, needed", [("seed", "an integer is needed"), ("rate", "a number is needed")]
)
@pytest.mark.parametrize(
    "text",
    ["", " ", "1 ", " 1", "1\n", "1_000", "１２", "١", "²", "½", "0x1F", "0b1", "1:30", "1,5"]
    + ["nan", "inf", "-Infinity", "1e", "e1", "1e1e1", "--1", "+-1", ".", "1..2", "1.2.3", "True"]
    + ["yes", "null", "~", "[1]", "1;2", "\x1b[2J", "\0", "1\0", "-" * 10_000, "1." * 10_000],
)
def test_what_is_no_plain_number_is_refused(name, needed, text):
    assert needed in refusal(typed_value, name, text, KNOWN)


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("seed", "1.0", "seed = '1.0': an integer is needed: a seed, 0 or more."),
        ("seed", "1e3", "seed = '1e3': an integer is needed"),
        ("seed", "9" * 5000, "999': an integer is needed"),  # more digits than Python itself reads
        ("rate", "1e999", "rate = '1e999': a number is needed: a rate, above 0."),
        ("rate", "-1e999", "rate = '-1e999': a number is needed"),
        ("rate", "9" * 5000, "999': a number is needed"),
        ("label", "\udcff", r"label = '\udcff': this is not UTF-8."),
        ("layers", "[1]", "only parameters declared as str, int, float can be set."),
        ("fast", "true", "fast = 'true': only parameters declared as str, int, float can be set."),
        ("free", "1", "free = '1': only parameters declared as str, int, float can be set."),
        ("\x1b[2J\n", "1", r"parameter = '\x1b[2J\n': one of seed, rate, label,"),
    ],
)
def test_other_values_are_refused_in_a_line(name, text, message):
    assert message in refusal(typed_value, name, text, KNOWN)


# --- values in a notebook


class Sly:
    """Has a representation that must not reach a terminal."""

    def __repr__(self):
        return "\x1b[2J\r"


@pytest.mark.parametrize(
    "rule",
    [Integer(1, 9), Integer(1), Number(0, 1), Choice("a"), Text(), Folder()],
    ids=lambda rule: type(rule).__name__,
)
@pytest.mark.parametrize(
    "value",
    [None, True, -(10**5000), -(10**400), float("nan"), float("-inf")]
    + [[], [[]] * 100_000, {}, b"1", 1j, Sly(), object, range(10**9), lambda: 0],
    ids=lambda value: type(value).__name__,
)
def test_rules_refuse_any_other_object_in_a_line(rule, value):
    assert refusal(lambda: check_parameters({"x": value}, x=rule)).startswith("x = ")


def test_integers_of_any_size_are_compared():
    assert "an integer from 1 to 9 is needed" in refusal(Integer(1, 9).check, "x", 10**5000)
    assert "a number from 0 to 1 is needed" in refusal(Number(0, 1).check, "x", 10**5000)


@pytest.mark.parametrize(
    "path, message",
    [
        ("a\0b", "can't be written (embedded null byte)"),
        ("\ud800", "can't be written ('utf-8' codec can't encode"),
        ("a" * 300, "can't be written (File name too long)"),
        ("a/" * 5000, "can't be written (File name too long)"),
        ("circle/below", "can't be written (Too many levels of symbolic links)"),
        ("file", "can't be written (File exists)"),
        ("file/\x1b[2J", "can't be written (Not a directory)"),
        ("pipe", "can't be written (File exists)"),
    ],
)
def test_folders_that_cannot_be_are_refused(tmp_path, monkeypatch, path, message):
    monkeypatch.chdir(tmp_path)
    Path("circle").symlink_to("circle")
    Path("file").touch()
    os.mkfifo("pipe")
    assert message in refusal(Folder().check, "run_dir", path)


# --- grid files


def read_text(tmp_path: Path, text: str | bytes) -> dict[str, list[str]]:
    path = tmp_path / "grid.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_grid([], str(path))


TAKEN = {
    "flow": ("seed: [1, 2]\nlabel: [a]", {"seed": ["1", "2"], "label": ["a"]}),
    "block": ("seed:\n  - 1\n  # first\n  - 2\n", {"seed": ["1", "2"]}),
    "all in one": ("{seed: [1], label: [a, b]}", {"seed": ["1"], "label": ["a", "b"]}),
    "octal": ("seed: [010, 0o17]", {"seed": ["010", "0o17"]}),
    "hexadecimal": ("seed: [0x1F, 0b1]", {"seed": ["0x1F", "0b1"]}),
    "underscores": ("seed: [1_000, 0x_]", {"seed": ["1_000", "0x_"]}),
    "sexagesimal": ("seed: [1:30, 190:20:30.15]", {"seed": ["1:30", "190:20:30.15"]}),
    "reals": ("rate: [1e-3, .5, .inf, -.INF, .nan]", {"rate": "1e-3 .5 .inf -.INF .nan".split()}),
    "booleans": ("label: [yes, No, on, OFF, true]", {"label": "yes No on OFF true".split()}),
    "nulls": ("label: [~, null, Null]", {"label": ["~", "null", "Null"]}),
    "dates": ("label: [2020-13-45, 2020-01-01]", {"label": ["2020-13-45", "2020-01-01"]}),
    "merge": ("<<: [1]\n=: [2]", {"<<": ["1"], "=": ["2"]}),
    "quotes": ("label: ['yes', \"1\\n\"]", {"label": ["yes", "1\n"]}),
    "commas": ("label: ['a,b', ' a ', '']", {"label": ["a,b", " a ", ""]}),
    "names": ("7: [1]\nyes: [1]\n010: [1]", {"7": ["1"], "yes": ["1"], "010": ["1"]}),
    "one document": ("%YAML 1.2\n---\nseed: [1]\n...\n", {"seed": ["1"]}),
    "byte order mark": ("\ufeffseed: [1]", {"seed": ["1"]}),
    "UTF-16": ("seed: [1]".encode("utf-16"), {"seed": ["1"]}),
    "Windows": ("seed: [1]\r\nlabel: [a]\r\n", {"seed": ["1"], "label": ["a"]}),
}


@pytest.mark.parametrize("text, values", TAKEN.values(), ids=TAKEN)
def test_a_grid_file_holds_texts(tmp_path, text, values):
    assert read_text(tmp_path, text) == values


NO_GRID = "lines 'NAME: [VALUE, VALUE]' are needed; line "
REFUSED = {
    "nothing": ("", NO_GRID),
    "a comment": ("# seed: [1]", NO_GRID),
    "no parameter": ("{}", "at least one parameter is needed"),
    "a word": ("seed", NO_GRID),
    "a list": ("- seed", NO_GRID),
    "a value": ("label: [a]\nseed: 1", NO_GRID + "2 is none."),
    "no value": ("seed:", NO_GRID),
    "lists in a list": ("seed: [[1]]", NO_GRID),
    "a mapping in a list": ("seed: [a: 1]", NO_GRID),
    "a list as a name": ("? [seed]\n: [1]", NO_GRID),
    "a mapping": ("seed: {a: [1]}", NO_GRID),
    "the same name": ("seed: [1]\nseed: [2]", "a parameter is given twice: seed."),
    "the same name in quotes": ("seed: [1]\n'seed': [2]", "a parameter is given twice: seed."),
    "two documents": ("seed: [1]\n---\nlabel: [a]", NO_GRID + "2 is none."),
    "an anchor": ("seed: &a [1]", NO_GRID),
    "a laugh": ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]", NO_GRID),
    "an alias": ("seed: [1]\nrate: *a", NO_GRID),
    "an anchored value": ("seed: [&a 1, *a]", NO_GRID),
    "itself": ("&a [*a]", NO_GRID),
    "merged": ("<<: {seed: [1]}", NO_GRID),
    "tagged": ("seed: !!set [1]", NO_GRID),
    "a tagged value": ("seed: [!!float 1]", NO_GRID),
    "Python": ("label: [!!python/object/apply:os.system ['touch ran']]", NO_GRID),
    "Python above": ("!!python/object/apply:os.system\n- touch ran", NO_GRID),
    "Python's name": ("label: [!!python/name:os.system ]", NO_GRID),
    "open": ("seed: [1", "this is not YAML: while parsing a flow sequence"),
    "open quotes": ("label: ['a", "this is not YAML: while scanning a quoted scalar"),
    "a tab": ("\tseed: [1]", "this is not YAML: "),
    "a colour": ("label: [\x1b[31m]", "this is not YAML: unacceptable character #x001b"),
    "a zero": ("label: [\0]", "this is not YAML: unacceptable character #x0000"),
    "Latin 1": ("label: [é]".encode("latin1"), "this is not YAML: unacceptable character #x00e9"),
    "half of UTF-16": ("seed: [1]".encode("utf-16")[:-1], "this is not YAML: "),
    "a character that is none": (r'label: ["\UFFFFFFFF"]', "this is not YAML: "),
    "an escape that is none": (r'label: ["\q"]', "this is not YAML: "),
    "YAML 3": ("%YAML 3.0\n---\nseed: [1]", "this is not YAML: found incompatible"),
    "deep": ("seed: " + "[" * 90_000, NO_GRID),
    "deep and whole": ("seed: " + "[" * 10_000 + "]" * 10_000, NO_GRID),
    "deep mappings": ("{a: " * 10_000, NO_GRID),
    "deep lines": ("- " * 40_000, NO_GRID),
    "large": ("#" * 100_001, "it has 100,001 bytes; at most 100,000 are read."),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(100), "this is not YAML: "),
}


@pytest.mark.parametrize("text, message", REFUSED.values(), ids=REFUSED)
def test_what_is_no_grid_is_refused_in_a_line(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    assert message in refusal(read_text, tmp_path, text)
    assert os.listdir() == ["grid.yaml"]


def listen(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def fifo(path: Path) -> None:
    os.mkfifo(path)
    os.open(path, os.O_RDWR)  # or who opens it to read would wait here, and the test with it


@pytest.mark.parametrize(
    "make, message",
    [
        (Path.mkdir, "this is not a file, but a folder, a pipe or a device."),
        (fifo, "this is not a file, but a folder, a pipe or a device."),
        (listen, "this is not a file, but a folder, a pipe or a device."),
        (lambda path: path.symlink_to("/dev/zero"), "this is not a file, but a folder"),
        (lambda path: path.symlink_to(path), "it can't be read (Too many levels"),
        (lambda path: path.symlink_to("nowhere"), "there is no such file (looked in /"),
        (lambda path: path.touch() or os.truncate(path, 10**12), "at most 100,000 are read."),
    ],
)
def test_a_grid_must_be_in_a_file(tmp_path, monkeypatch, make, message):
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    make(Path("x.yaml"))
    line = refusal(read_grid, [], "x.yaml")
    assert line.startswith("--grid-file = 'x.yaml': ") and message in line


@pytest.mark.parametrize("path", ["\0", "\ud800", "a" * 300, "\x1b[2J\n"])
def test_paths_that_are_none_are_refused(path):
    assert refusal(read_grid, [], path).startswith("--grid-file = ")


def test_a_file_and_the_command_line_mean_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(grid_module, "known_parameters", lambda _: KNOWN)
    texts = {"seed": ["010", "7"], "rate": ["1e-3", ".5", "2"], "label": ["yes", "1:30", "~"]}
    lines = [f"{name}: [{', '.join(values)}]" for name, values in texts.items()]
    given = [(name, ",".join(values)) for name, values in texts.items()]
    typed = type_grid(read_text(tmp_path, "\n".join(lines)), "")
    assert typed == type_grid(read_grid(given), "")
    assert typed["seed"] == [10, 7] and typed["rate"] == [0.001, 0.5, 2.0]

    for text in ("1_000", "0x1F", "1:30", "yes", "~", "2020-01-01", "é", "'7 '"):
        line = refusal(lambda text=text: type_grid(read_text(tmp_path, f"seed: [{text}]"), ""))
        assert line.endswith("': an integer is needed: a seed, 0 or more.")
    text = r'label: ["\ud800"]'
    assert "not UTF-8" in refusal(lambda: type_grid(read_text(tmp_path, text), ""))


def test_a_grid_has_a_size_that_a_folder_can_hold(monkeypatch):
    monkeypatch.setattr(grid_module, "known_parameters", lambda _: KNOWN)
    hundred = list(map(str, range(100)))
    grid = {"seed": hundred, "rate": hundred}
    assert len(make_runs(type_grid(grid, ""))) == 10_000
    line = refusal(type_grid, grid | {"label": hundred + ["a"]}, "")
    assert line == "runs = 1010000: at most 10,000 are allowed. Give fewer values."
    many = {f"p{i}": {"inferred_type_name": "int", "help": "a number"} for i in range(5000)}
    monkeypatch.setattr(grid_module, "known_parameters", lambda _: many)
    assert "runs = " in refusal(type_grid, {name: ["1", "2", "3"] for name in many}, "")
