"""Wrong parameters and broken data: one clear error, with the value and what is allowed."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import keras
import nbformat
import numpy as np
import pytest
from conftest import ROOT

from tapecourse import checks
from tapecourse.support.errors import InputError
from tapecourse.support.data import read_arrays
from tapecourse.training import load_data

CHAPTER = ROOT / "notebooks" / "05_training_loop.ipynb"

# --- the checks by themselves


@pytest.mark.parametrize("value", [0, -1, "5", 5.0, True, None, float("nan"), [5]])
def test_integers_refused(value):
    with pytest.raises(InputError, match="^epochs = .*: an integer is needed, 1 or more.$"):
        checks.check_integer("epochs", value, low=1)


def test_integer_limits():
    checks.check_integer("batch_size", 1, low=1, high=9)
    checks.check_integer("batch_size", 9, low=1, high=9)
    with pytest.raises(InputError, match="^batch_size = 10: an integer is needed, 1 to 9.$"):
        checks.check_integer("batch_size", 10, low=1, high=9)


@pytest.mark.parametrize(
    "value", [0, -0.1, 1.01, float("nan"), float("inf"), -float("inf"), "0.1", True, None]
)
def test_numbers_refused(value):
    with pytest.raises(InputError, match="^rate = .*: a number is needed, above 0, to 1.$"):
        checks.check_number("rate", value, low=0, high=1, open_low=True)


@pytest.mark.parametrize("value", [1, 1.0, -0.1])
def test_numbers_refused_at_an_open_upper_end(value):
    with pytest.raises(InputError, match="^dropout = .*: a number is needed, from 0, below 1.$"):
        checks.check_number("dropout", value, low=0, high=1, open_high=True)


def test_numbers_allowed():
    checks.check_number("dropout", 0, low=0, high=1, open_high=True)
    checks.check_number("rate", 1, low=0, high=1, open_low=True)
    checks.check_number("rate", 1e-9, low=0, high=1, open_low=True)


@pytest.mark.parametrize("value", ["Graph", "", 1, None, ["graph"]])
def test_choices_refused(value):
    with pytest.raises(InputError, match="^execution = .*: one of 'graph', 'xla' is needed.$"):
        checks.check_choice("execution", value, ["graph", "xla"])


def test_text_refused():
    with pytest.raises(InputError, match="^dataset = 5: "):
        checks.check_text("dataset", 5)


def test_folder_is_made_and_left_clean(tmp_path):
    checks.check_folder("run_dir", str(tmp_path / "a" / "b"))
    assert list((tmp_path / "a" / "b").iterdir()) == []
    checks.check_folder("run_dir", "")


def test_folder_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="^run_dir = .*file.*can't be written"):
        checks.check_folder("run_dir", str(tmp_path / "file" / "below"))
    with pytest.raises(InputError, match="^run_dir = 5: "):
        checks.check_folder("run_dir", 5)


def test_a_notebook_shows_the_message_alone():
    error = InputError("epochs", 0, "an integer is needed, 1 or more.")
    assert error._render_traceback_() == [
        "InputError: epochs = 0: an integer is needed, 1 or more."
    ]


# --- data sets


def good_arrays(train=60, test=20) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return dict(
        x_train=random.integers(0, 256, (train, 28, 28), dtype=np.uint8),
        y_train=(np.arange(train) % 10).astype(np.uint8),
        x_test=random.integers(0, 256, (test, 28, 28), dtype=np.uint8),
        y_test=(np.arange(test) % 10).astype(np.uint8),
    )


def write(tmp_path, **changes) -> str:
    path = str(tmp_path / "digits.npz")
    arrays = good_arrays() | changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def test_a_good_file_is_read(tmp_path):
    arrays = good_arrays()
    read = read_arrays(write(tmp_path))
    for name, array in arrays.items():
        np.testing.assert_array_equal(getattr(read, name), array)
    data = load_data(str(tmp_path / "digits.npz"))
    assert (len(data.x_train), len(data.x_val), len(data.x_test)) == (50, 10, 20)
    assert data.y_train.dtype == np.int64


def test_two_images_a_class_are_enough(tmp_path):
    few = dict(x_train=np.zeros((12, 28, 28), np.uint8), y_train=np.arange(12) % 6)
    data = load_data(write(tmp_path, **few))
    assert sorted(data.y_train) == sorted(data.y_val) == list(range(6))


BROKEN = {
    "a missing array": (dict(y_test=None), "the file lacks the array y_test"),
    "flat images": (
        dict(x_train=np.zeros((60, 784), np.uint8)),
        r"x_train has the shape \(60, 784\)",
    ),
    "another size": (dict(x_test=np.zeros((20, 32, 32), np.uint8)), r"\(n, 28, 28\) is needed"),
    "scaled images": (
        dict(x_train=np.zeros((60, 28, 28), np.float32)),
        "x_train is float32; uint8",
    ),
    "one-hot labels": (dict(y_train=np.zeros((60, 10), int)), r"\(60,\) is needed"),
    "too few labels": (dict(y_train=np.zeros(59, int)), r"y_train has the shape \(59,\)"),
    "real labels": (dict(y_test=np.zeros(20)), "y_test is float64; integers"),
    "label 10": (dict(y_train=np.arange(60) % 11), "y_train has labels from 0 to 10; 0 to 9"),
    "label -1": (dict(y_test=np.arange(20) % 10 - 1), "y_test has labels from -1 to 8"),
    "no test images": (
        dict(x_test=np.zeros((0, 28, 28), np.uint8), y_test=np.zeros(0, int)),
        "x_test is empty",
    ),
    "no training images": (
        dict(x_train=np.zeros((0, 28, 28), np.uint8), y_train=np.zeros(0, int)),
        "x_train is empty",
    ),
    "a lonely label": (dict(y_train=np.r_[np.zeros(59, int), 1]), "label 1 occurs only once"),
    "pickled objects": (dict(y_train=np.array([None] * 60)), "no readable .npz file"),
}


@pytest.mark.parametrize("changes, problem", BROKEN.values(), ids=BROKEN)
def test_malformed_files_are_refused(tmp_path, changes, problem):
    with pytest.raises(InputError, match=f"^dataset = '.*digits.npz': .*{problem}"):
        load_data(write(tmp_path, **changes))


@pytest.mark.parametrize("content", [b"", b"not a zip file", b"PK\x03\x04 cut off"])
def test_unreadable_files_are_refused(tmp_path, content):
    (tmp_path / "broken.npz").write_bytes(content)
    with pytest.raises(InputError, match="no readable .npz file"):
        load_data(str(tmp_path / "broken.npz"))


def test_a_truncated_file_is_refused(tmp_path):
    path = write(tmp_path)
    whole = open(path, "rb").read()
    (tmp_path / "half.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="no readable .npz file"):
        load_data(str(tmp_path / "half.npz"))


def test_missing_files_and_unknown_names_are_refused():
    with pytest.raises(InputError, match="^dataset = 'nowhere.npz': there is no such file"):
        load_data("nowhere.npz")
    with pytest.raises(
        InputError, match="^dataset = 'mnist5k': one of 'mnist_5k', 'mnist', 'fash"
    ):
        load_data("mnist5k")


def test_a_download_is_checked_and_used(monkeypatch):
    a = good_arrays()
    loaded = (a["x_train"], a["y_train"]), (a["x_test"], a["y_test"])
    monkeypatch.setattr(keras.datasets.fashion_mnist, "load_data", lambda: loaded)
    data = load_data("fashion_mnist")
    assert len(data.x_train) == 50 and data.class_names[9] == "boot"


@pytest.mark.parametrize(
    "error", [Exception("URL fetch failure on x: refused"), EOFError("ended early"), OSError("")]
)
def test_a_failed_download_says_what_to_do(monkeypatch, error):
    def fail():
        raise error

    monkeypatch.setattr(keras.datasets.mnist, "load_data", fail)
    with pytest.raises(InputError, match="^dataset = 'mnist': .*downloaded.*'mnist_5k'"):
        load_data("mnist")


# --- the parameters of the theory chapters

THEORY_PARAMETERS = [
    ("01_differentiation", "x0", [0.19, 0.71, "0.5", True]),
    ("01_differentiation", "swell_depth", [3, 11, 8.0]),
    ("01_differentiation", "most_inputs", [9, 1001, "100"]),
    ("02_computational_graph", "target", [-10.1, 10.1, float("nan")]),
    ("02_computational_graph", "bias", [-10.1, 10.1, None]),
    ("02_computational_graph", "chain_length", [15, 4097, 100.0]),
    ("03_build_a_tape", "hidden", [0, 1001, 64.0]),
    ("03_build_a_tape", "epochs", [0, 101, "10"]),
    ("03_build_a_tape", "batch_size", [0, 4501, 2.5]),
    ("03_build_a_tape", "learning_rate", [0, 1.1, float("nan")]),
    ("03_build_a_tape", "seed", [-1, 2**32, 0.0]),
    ("04_gradient_tape", "x0", [0.4, 5.1, None]),
    ("04_gradient_tape", "clip_norm", [0, 101, float("nan")]),
    ("04_gradient_tape", "seed", [-1, 2**32, "0"]),
    ("A_original_notebook", "seed", [-1, 2**32, None]),
]


@pytest.mark.parametrize("stem, name, values", THEORY_PARAMETERS)
def test_each_theory_parameter_is_checked(stem, name, values):
    chapter = nbformat.read(ROOT / "notebooks" / f"{stem}.ipynb", as_version=4)
    source = {cell.id: cell.source for cell in chapter.cells}
    for value in values:
        namespace = vars(checks).copy()
        exec(source["parameters"], namespace)
        exec(source["check-parameters"], namespace)  # the defaults pass
        namespace[name] = value
        with pytest.raises(InputError, match=f"^{name} = "):
            exec(source["check-parameters"], namespace)


# --- through papermill, as an instructor would

THROUGH_PAPERMILL = {
    "epochs 0": ("-p epochs 0", "epochs = 0: an integer is needed, 1 or more."),
    "epochs as text": ("-r epochs 5", "epochs = '5': an integer is needed, 1 or more."),
    "epochs 2.5": ("-p epochs 2.5", "epochs = 2.5: an integer is needed, 1 or more."),
    "batch_size 0": ("-p batch_size 0", "batch_size = 0: an integer is needed, 1 or more."),
    "batch larger than the data": (
        "-p batch_size 4001",
        "batch_size = 4001: an integer is needed, 1 to 4000.",
    ),
    "negative rate": (
        "-p learning_rate -0.1",
        "learning_rate = -0.1: a number is needed, above 0, to 1.",
    ),
    "rate NaN": (
        "-p learning_rate nan",
        "learning_rate = nan: a number is needed, above 0, to 1.",
    ),
    "schedule": ("-p schedule linear", "schedule = 'linear': one of 'cosine', 'constant'"),
    "dropout 1": ("-p dropout 1.0", "dropout = 1.0: a number is needed, from 0, below 1."),
    "seed -1": ("-p seed -1", "seed = -1: an integer is needed, 0 to 4294967295."),
    "execution": ("-p execution fast", "execution = 'fast': one of 'graph', 'eager', 'xla'"),
    "run_dir": ("-p run_dir {folder}/file/below", "below': this folder can't be written"),
    "dataset as number": ("-p dataset 5", "dataset = 5: a text in quotes is needed."),
    "unknown data set": ("-p dataset mnist5k", "dataset = 'mnist5k': one of 'mnist_5k', 'mnist'"),
    "missing file": ("-p dataset nowhere.npz", "dataset = 'nowhere.npz': there is no such file"),
    "malformed file": (
        "-p dataset {folder}/bad.npz",
        "bad.npz': the file lacks the array x_train",
    ),
    "failed download": ("-p dataset mnist", "dataset = 'mnist': it could not be downloaded"),
}


@pytest.fixture(scope="module")
def refusals(tmp_path_factory):
    """Run papermill with every wrong parameter, two at a time, without a network."""
    folder = tmp_path_factory.mktemp("refusals")
    (folder / "file").write_text("")
    np.savez(folder / "bad.npz", x=np.zeros(3))
    nowhere = "http://127.0.0.1:9"  # the discard port: nothing answers
    environment = os.environ | dict(
        KERAS_HOME=str(folder), http_proxy=nowhere, https_proxy=nowhere, no_proxy=""
    )

    def refuse(name, options):
        executed = folder / f"{name.replace(' ', '_')}.ipynb"
        command = [sys.executable, "-m", "papermill", CHAPTER, executed, "-k", "python3"]
        command += options.format(folder=folder).split()
        command += ["--no-progress-bar"]
        for _ in range(3):  # a kernel may not start; see try_three_kernels of tapecourse.run
            result = subprocess.run(command, capture_output=True, text=True, env=environment)
            if "Kernel died before replying" not in result.stderr:
                break
        return result, nbformat.read(executed, as_version=4)

    with ThreadPoolExecutor(2) as pool:
        runs = {name: pool.submit(refuse, name, row[0]) for name, row in THROUGH_PAPERMILL.items()}
    return {name: run.result() for name, run in runs.items()}


@pytest.mark.parametrize("name", THROUGH_PAPERMILL)
def test_papermill_fails_before_training_with_one_clear_error(refusals, name):
    result, executed = refusals[name]
    assert result.returncode != 0
    outputs = [output for cell in executed.cells for output in cell.get("outputs", [])]
    errors = [output for output in outputs if output.output_type == "error"]
    assert len(errors) == 1, result.stderr
    [error] = errors
    assert error.ename == "InputError"
    assert THROUGH_PAPERMILL[name][1] in error.evalue
    assert error.traceback == [f"InputError: {error.evalue}"]
    [training] = [cell for cell in executed.cells if cell.id == "run"]
    assert training.execution_count is None
