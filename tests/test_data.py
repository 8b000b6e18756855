"""Data sets: which are read and split. What is refused: see test_hostile_data.py, too."""

import keras
import numpy as np
import pytest

from tapecourse.support.data import DataSet, read_arrays
from tapecourse.support.errors import InputError
from tapecourse.training import load_data


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
    "another size": (dict(x_test=np.zeros((20, 32, 32), np.uint8)), r"\(n, 28, 28\) is needed"),
    "scaled images": (
        dict(x_train=np.zeros((60, 28, 28), np.float32)),
        "x_train is float32; uint8",
    ),
    "too few labels": (dict(y_train=np.zeros(59, int)), r"y_train has the shape \(59,\)"),
    "label 10": (dict(y_train=np.arange(60) % 11), "y_train has labels from 0 to 10; 0 to 9"),
    "label -1": (dict(y_test=np.arange(20) % 10 - 1), "y_test has labels from -1 to 8"),
    "no test images": (
        dict(x_test=np.zeros((0, 28, 28), np.uint8), y_test=np.zeros(0, int)),
        "x_test is empty",
    ),
}


@pytest.mark.parametrize("changes, problem", BROKEN.values(), ids=BROKEN)
def test_malformed_files_are_refused(tmp_path, changes, problem):
    with pytest.raises(InputError, match=f"^dataset = '.*digits.npz': .*{problem}"):
        load_data(write(tmp_path, **changes))


def test_a_download_is_checked_and_used(monkeypatch):
    a = good_arrays()
    loaded = (a["x_train"], a["y_train"]), (a["x_test"], a["y_test"])
    monkeypatch.setattr(keras.datasets.fashion_mnist, "load_data", lambda: loaded)
    data = load_data("fashion_mnist")
    assert len(data.x_train) == 50 and data.class_names[9] == "boot"


def test_the_rule_reads_files_and_downloads_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(keras.datasets.mnist, "load_data", None)
    for value in ("mnist_5k", "mnist", "fashion_mnist", write(tmp_path)):
        DataSet().check("dataset", value)
    for value in (5, "mnist5k", "nowhere.npz", write(tmp_path, y_test=None), ["mnist"]):
        with pytest.raises(InputError, match="^dataset = "):
            DataSet().check("dataset", value)
