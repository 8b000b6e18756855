"""Whatever is given as a data set is read, or refused in one line; and nothing it says is obeyed.

A file may be broken by accident or on purpose: no byte of it is believed before it was checked.
"""

import gzip
import io
import os
import pickle
import random
import re
import socket
import struct
import subprocess
import sys
import tarfile
import tracemalloc
import warnings
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tapecourse.support import data, files
from tapecourse.support.data import MOST_BYTES, MOST_IMAGES, Arrays, read_arrays
from tapecourse.support.errors import InputError

GOOD = Arrays(
    x_train=np.arange(4 * 784, dtype=np.uint8).reshape(4, 28, 28),
    y_train=np.array([0, 9, 0, 9]),
    x_test=np.ones((2, 28, 28), np.uint8),
    y_test=np.array([9, 3]),
)


def outcome(path: str | Path) -> Arrays | str:
    """What comes of a path: sound arrays, or the one line that refuses it."""
    try:
        arrays = read_arrays(str(path))
    except InputError as error:
        line = str(error)
        assert line.startswith("dataset = ") and line.isprintable() and len(line) < 1500, line
        return line
    for x, y in (arrays[:2], arrays[2:]):
        assert x.dtype == np.uint8 and x.shape == (len(y), 28, 28) and len(y)
        assert y.dtype == np.int64 and 0 <= y.min() and y.max() <= 9
    return arrays


def write(path: Path, **changes) -> Path:
    """Write GOOD with other arrays, or with other bytes in place of some array's file."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (GOOD._asdict() | changes).items():
            archive.writestr(
                f"{name}.npy", content if isinstance(content, bytes) else npy(content)
            )
    return path


def npy(array: np.ndarray, version: tuple[int, int] | None = None) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version=version)
    return file.getvalue()


def headed(header: str, version: int = 1, length: int | None = None) -> bytes:
    """The file of an array with any header at all, and a thousand bytes behind it."""
    text = header.encode("latin1")
    form = "<H" if version == 1 else "<I"
    size = struct.pack(form, len(text) if length is None else length)
    return b"\x93NUMPY" + bytes([version, 0]) + size + text + bytes(1000)


def described(descr: str = "'|u1'", shape: str = "(4, 28, 28)", order: str = "False") -> bytes:
    return headed(f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}}}\n")


def frugal_outcome(path: str | Path) -> Arrays | str:
    """What comes of a path, within a few MB of memory."""
    tracemalloc.start()
    try:
        result = outcome(path)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()
    return result


# --- damage


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_random_damage_is_survived(tmp_path, save):
    """A flipped bit, a cut, bytes put in, bytes written over: read all the same, or one line."""
    path = tmp_path / "damaged.npz"
    save(path, **GOOD._asdict())
    whole, chance, refused = path.read_bytes(), random.Random(0), 0
    for trial in range(1000):
        content = bytearray(whole)
        at = chance.randrange(len(content))
        if trial % 5 == 0:
            del content[at:]
        elif trial % 5 == 1:
            content[at:at] = chance.randbytes(chance.randint(1, 40))
        elif trial % 5 == 2:
            content[at : at + 4] = chance.choice([b"\xff\xff\xff\xff", bytes(4), b"PK\1\2"])
        else:
            content[at] ^= 1 << chance.randrange(8)
        path.write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = outcome(path)
        refused += isinstance(result, str)
        if not isinstance(result, str):
            np.testing.assert_array_equal(result.x_train, GOOD.x_train)
            np.testing.assert_array_equal(result.y_test, GOOD.y_test)
    assert refused > 400


def test_every_bit_of_a_header_may_be_wrong(tmp_path):
    """zip's checksum is right here: it is the header's own reader that must notice."""
    good = npy(GOOD.y_train)
    for at in range(8 * 128):
        content = bytearray(good)
        content[at // 8] ^= 1 << at % 8
        outcome(write(tmp_path / "header.npz", y_train=bytes(content)))


# --- headers


HEADERS = {
    "a trillion images": (described(shape="(1000000000000, 28, 28)"), "1,000,000,000,000 images"),
    "a few too many": (described(shape=f"({MOST_IMAGES + 1}, 28, 28)"), "at most 300,000"),
    "more than there are": (described(shape="(300000, 28, 28)"), r"\(300000,\) is needed"),
    "fewer than there are": (described(shape="(1, 28, 28)"), r"y_train has the shape \(4,\)"),
    "an absurd number": (described(shape=f"({'9' * 900}, 28, 28)"), "at most 300,000 are"),
    "less than none": (described(shape="(-1, 28, 28)"), "n, 28, 28. is needed"),
    "negative sides": (described(shape="(4, -28, -28)"), "n, 28, 28. is needed"),
    "no dimension": (described(shape="()"), "n, 28, 28. is needed"),
    "thousands": (described(shape=f"({'1,' * 400})"), "n, 28, 28. is needed"),
    "no images": (described(shape="(0, 28, 28)"), "x_train is empty"),
    "a real size": (described(shape="(4.0, 28, 28)"), "shape is not valid"),
    "a size that is true": (described(shape="(True, 28, 28)"), r"y_train has the shape \(4,\)"),
    "a shape that is a list": (described(shape="[4, 28, 28]"), "shape is not valid"),
    "signed images": (described("'|i1'"), "x_train is int8; uint8"),
    "images of booleans": (described("'|b1'"), "x_train is bool; uint8"),
    "objects": (described("'|O'"), "x_train is object; uint8"),
    "dates": (described("'<M8[s]'"), r"x_train is datetime64\[s\]; uint8"),
    "texts": (described("'<U1000000000'"), "not a valid dtype"),
    "records": (described("[('\\x1b[31m', '|u1')]"), "x_train is .*; uint8"),
    "arrays of arrays": (described("('|u1', (1000000, 1000000))"), "readable .npz file"),
    "no type": (described("'no such type'"), "not a valid dtype"),
    "an order": (described(order="'F'"), "fortran_order is not a valid bool"),
    "code": (headed("__import__('os').system('touch ran')"), "malformed node"),
    "control characters": (headed("\x1b[2J\r\n\a"), "readable .npz file"),
    "no dictionary": (headed("3"), "Header is not a dictionary"),
    "no keys": (headed("{}"), "correct keys"),
    "nothing": (b"", "EOF: reading magic string"),
    "another magic": (b"\x93NUMPO\1\0" + bytes(200), "magic string is not correct"),
    "another version": (headed("", version=3), r"version \(3, 0\)"),
    "a version of the future": (headed("", version=255), r"version \(255, 0\)"),
    "cut": (npy(GOOD.x_train)[:50], "EOF: reading array header"),
    "cut numbers": (npy(GOOD.x_train)[:-1], "another size than its header says"),
    "numbers left": (npy(GOOD.x_train) + b"1", "another size than its header says"),
    "4 GB of a header": (headed("", version=2, length=2**32 - 1), "EOF: reading array header"),
    "brackets": (headed("(" * 900), "readable .npz file"),
    "signs": (headed("-" * 900 + "1"), "readable .npz file"),
    "a long number": (headed("9" * 900), "Header is not a dictionary"),
    "bytes of zero": (headed("\0" * 100), "readable .npz file"),
}


@pytest.mark.parametrize("content, message", HEADERS.values(), ids=HEADERS)
def test_headers_that_lie_are_refused(tmp_path, monkeypatch, recwarn, content, message):
    monkeypatch.chdir(tmp_path)
    line = frugal_outcome(write(tmp_path / "lies.npz", x_train=content))
    assert isinstance(line, str) and "lies.npz': " in line
    assert re.search(message, line), line
    assert os.listdir() == ["lies.npz"] and not recwarn


def test_arrays_that_agree_with_each_other_must_be_there_too(tmp_path):
    """A directory may tell the same lie: then no more is read than there is."""
    images, labels = described(shape="(300000, 28, 28)"), described("'<i8'", "(300000,)")
    path = write(tmp_path / "lies.npz", x_train=images, y_train=labels)
    assert "x_train.npy has another size than its header says" in frugal_outcome(path)
    patched(path, 24, len(images) - 1000 + 300_000 * 784, "<I")
    assert "cannot reshape array of size 1000" in frugal_outcome(path)


LABELS = {
    "lists": (np.zeros((4, 1), int), r"y_train has the shape \(4, 1\); \(4,\) is needed"),
    "a number": (np.array(0), r"y_train has the shape \(\)"),
    "booleans": (np.zeros(4, bool), "y_train is bool; integers"),
    "durations": (np.zeros(4, "m8[s]"), r"y_train is timedelta64\[s\]; integers"),
    "dates": (np.zeros(4, "M8[D]"), r"y_train is datetime64\[D\]; integers"),
    "reals": (np.zeros(4), "y_train is float64; integers"),
    "texts": (np.array(["0"] * 4), "y_train is <U1; integers"),
    "objects": (np.array([0] * 4, object), "y_train is object; integers"),
    "records": (np.zeros(4, [("a", int)]), "y_train is .*; integers"),
    "a large one": (np.array([0, 0, 0, 2**64 - 1], np.uint64), "from 0 to 18446744073709551615"),
    "a small one": (np.array([0, 0, 0, -(2**63)]), "from -9223372036854775808 to 0"),
    "one alone": (np.array([0, 0, 0, 1], np.uint64), "label 1 occurs only once"),
}


@pytest.mark.parametrize("labels, message", LABELS.values(), ids=LABELS)
def test_labels_of_another_kind_are_refused(tmp_path, labels, message):
    with pytest.raises(InputError, match=message):
        read_arrays(str(write(tmp_path / "labels.npz", y_train=labels)))


@pytest.mark.parametrize("kind", ["<i8", ">i8", "<u8", ">u2", "|u1", "|i1"])
def test_any_integers_are_labels(tmp_path, kind):
    path = write(tmp_path / "labels.npz", y_train=GOOD.y_train.astype(kind))
    read = read_arrays(str(path))
    assert read.y_train.tolist() == [0, 9, 0, 9] and read.y_train.dtype == np.dtype(np.int64)


def test_other_ways_to_write_the_same_are_read(tmp_path):
    path = tmp_path / "ways.npz"
    first = npy(GOOD.x_train, version=(2, 0))
    python_2 = described("'<i8'", "(2L,)")[:-1000] + npy(GOOD.y_test)[-16:]
    changes = dict(x_train=first, x_test=np.asfortranarray(GOOD.x_train[:2]), y_test=python_2)
    write(path, **changes, class_names=np.array(["ignored", None]), more=b"\x80\x04 ignored")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        arrays = outcome(path)
    np.testing.assert_array_equal(arrays.x_train, GOOD.x_train)
    np.testing.assert_array_equal(arrays.x_test, GOOD.x_train[:2])
    assert arrays.y_test.tolist() == [9, 3]
    arrays.x_train[0] = 0  # as any array


def test_nothing_is_executed(tmp_path):
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    trap = np.array([Trap()] * 4)
    assert "object" in outcome(write(tmp_path / "a.npz", y_train=npy(trap)))
    (tmp_path / "b.npz").write_bytes(pickle.dumps(Trap()))
    assert "readable .npz file" in outcome(tmp_path / "b.npz")
    content = npy(np.array([None] * 4))
    header = content[: content.index(b"\n") + 1].replace(b"'|O'", b"'|u1'").replace(b" \n", b"\n")
    outcome(write(tmp_path / "c.npz", y_train=header + pickle.dumps(Trap())))
    assert not (tmp_path / "ran").exists()


# --- archives


def zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("x_train.npy"))
    return file.getvalue()


FORMATS = {
    "nothing": b"",
    "a byte": b"P",
    "text": b"this is no zip \x1b[2J\n" * 100,
    "png": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
    "gzip": gzip.compress(b"x" * 1000),
    "tar": tarred(),
    "npy": npy(GOOD.x_train),
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(1000),
    "an end of a zip": b"PK\5\6" + bytes(18),
    "a start of a zip": b"PK\3\4 cut off",
    "an end that lies": b"PK\5\6" + b"\xff" * 16 + bytes(2),
    "zip of text": zipped(text=b"one"),
    "zip in a zip": zipped(**{"x_train.npz": zipped(x=b"")}),
    "zeros": bytes(100_000),
}


@pytest.mark.parametrize("content", FORMATS.values(), ids=FORMATS)
def test_other_formats_are_refused(tmp_path, content):
    path = tmp_path / "other.npz"
    path.write_bytes(content)
    line = outcome(path)
    assert "readable .npz file" in line or "lacks the array x_train" in line or "empty" in line


def test_the_members_must_be_the_arrays_once(tmp_path):
    names = ["/x_train.npy", "../x_train.npy", "./x_train.npy", "X_TRAIN.NPY", "x_train", "a\n"]
    path = write(tmp_path / "members.npz")
    content = path.read_bytes()
    for name in names:
        members = {f"{each}.npy": npy(array) for each, array in GOOD._asdict().items()}
        members[name] = members.pop("x_train.npy")
        path.write_bytes(zipped(**members))
        assert outcome(path).endswith("the file lacks the array x_train."), name

    path.write_bytes(content)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("y_test.npy", npy(GOOD.y_test))
    assert "y_test.npy is in it more than once" in outcome(path)

    path.write_bytes(zipped(**{f"m{i}": b"" for i in range(101)}))
    assert "it has more than 100 members" in outcome(path)

    path.write_bytes(b"a program that unpacks itself" + content)
    assert isinstance(outcome(path), Arrays)


def patched(path: Path, at: int, value: int, size: str = "<H") -> Path:
    """Change a field of the first member, in zip's directory and in front of the member."""
    content = bytearray(path.read_bytes())
    struct.pack_into(size, content, content.index(b"PK\1\2") + at, value)
    if size == "<H":
        struct.pack_into(size, content, content.index(b"PK\3\4") + at - 2, value)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "at, value, message",
    [
        (8, 1, "'x_train.npy' is encrypted"),
        (8, 0x41, "strong encryption"),
        (8, 0x20, "compressed patched data"),
        (10, 12, "compressed in another way"),
        (10, 99, "compressed in another way"),
        (6, 99, "zip file version 9.9"),
    ],
)
def test_members_that_zipfile_or_numpy_cannot_read_are_refused(tmp_path, at, value, message):
    assert message in outcome(patched(write(tmp_path / "member.npz"), at, value))


@pytest.mark.parametrize("at", [20, 24, 42], ids=["packed size", "size", "place"])
@pytest.mark.parametrize("value", [0, 1, 2**31, 2**32 - 2])
def test_a_directory_that_lies_is_refused(tmp_path, at, value):
    path = patched(write(tmp_path / "lies.npz"), at, value, "<I")
    result = frugal_outcome(path)
    if at == 42 and value == 0:  # no lie: the first member's place
        assert isinstance(result, Arrays)
    elif at != 20 or value < 2:  # more than all is all, says zipfile up to Python 3.11.7
        assert isinstance(result, str)


@pytest.mark.parametrize("way", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_only_numpys_ways_to_compress_are_read(tmp_path, way):
    """The others unpack a whole block at once, be it a gigabyte."""
    path = tmp_path / "packed.npz"
    with zipfile.ZipFile(path, "w", way) as archive:
        for name, array in GOOD._asdict().items():
            archive.writestr(f"{name}.npy", npy(array))
    assert "x_train.npy is compressed in another way than NumPy's" in frugal_outcome(path)


@pytest.mark.parametrize("content", [npy(GOOD.x_train), headed("", 2, 2**32 - 1)], ids="ab")
def test_a_bomb_stays_packed(tmp_path, content):
    """20 MB of zeros follow, of which the directory may tell or not."""
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x_train.npy", content + bytes(20_000_000))
        for name in Arrays._fields[1:]:
            archive.writestr(f"{name}.npy", npy(getattr(GOOD, name)))
    told = path.read_bytes()
    for lie in (False, True):
        path.write_bytes(told)
        if lie:
            patched(path, 24, len(content), "<I")
        assert "readable .npz file" in frugal_outcome(path)


# --- paths


def fifo(path: Path) -> None:
    os.mkfifo(path)
    os.open(path, os.O_RDWR)  # or who opens it to read would wait here, and the test with it


def listen(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


PLACES = {
    "a folder": (Path.mkdir, "this is not a file, but a folder, a pipe or a device"),
    "a pipe": (fifo, "this is not a file, but a folder, a pipe or a device"),
    "a socket": (listen, "this is not a file, but a folder, a pipe or a device"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "this is not a file, but a folder"),
    "a terminal": (lambda path: path.symlink_to("/dev/tty"), "dataset = "),
    "a file of the system": (lambda path: path.symlink_to("/proc/self/mem"), "readable .npz"),
    "a dangling link": (lambda path: path.symlink_to("nowhere"), "there is no such file"),
    "a circle": (lambda path: path.symlink_to(path), "it can't be read (Too many levels"),
    "a large file": (
        lambda path: path.write_bytes(b"") or os.truncate(path, 10**12),
        f"it has 1,000,000,000,000 bytes; at most {MOST_BYTES:,} are read",
    ),
}


@pytest.mark.parametrize("make, message", PLACES.values(), ids=PLACES)
def test_what_is_no_file_is_refused(tmp_path, monkeypatch, make, message):
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    make(Path("x.npz"))
    line = frugal_outcome("x.npz")
    assert line.startswith("dataset = 'x.npz': ") and message in line


@pytest.mark.parametrize(
    "path, message",
    [
        ("nowhere.npz", "there is no such file (looked in /"),
        ("~/nowhere.npz", "there is no such file"),
        ("x.npz/y.npz", "it can't be read (Not a directory)"),
        ("a" * 300 + ".npz", "it can't be read (File name too long)"),
        ("a/" * 5000 + ".npz", "it can't be read (File name too long)"),
        ("a\0b.npz", "it can't be read (embedded null byte)"),
        ("\ud800.npz", "it can't be read ('utf-8' codec can't encode"),
        ("\x1b[2J\r\n\u202e.npz", r"'\x1b[2J\r\n\u202e.npz': there is no such file"),
        ("", "one of 'mnist_5k', 'mnist', 'fashion_mnist' or the path of an .npz file"),
        (".", "or the path of an .npz file is needed"),
        ("\x1b[2J", r"'\x1b[2J': one of 'mnist_5k'"),
        ("x" * 10_000, "or the path of an .npz file is needed"),
    ],
)
def test_paths_that_lead_nowhere_are_refused(tmp_path, monkeypatch, path, message):
    monkeypatch.chdir(tmp_path)
    Path("x.npz").touch()
    assert message in outcome(path)


def test_a_file_that_may_not_be_read_is_refused(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    path = write(tmp_path / "secret.npz")
    monkeypatch.setattr(files, "open", refuse, raising=False)  # as root may read everything
    assert "secret.npz': it can't be read (Permission denied)" in outcome(path)


@pytest.mark.parametrize("change", [Path.unlink, lambda path: os.truncate(path, 1000), Path.touch])
def test_a_file_may_change_while_it_is_read(tmp_path, monkeypatch, change):
    path = write(tmp_path / "restless.npz")

    def is_regular(_):
        change(path)
        return True

    monkeypatch.setattr(files.stat, "S_ISREG", is_regular)
    result = outcome(path)
    assert isinstance(result, Arrays) == (change is Path.touch)


def test_memory_that_runs_out_is_told(tmp_path, monkeypatch):
    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(data, "_numbers", fail)
    path = write(tmp_path / "large.npz")
    assert outcome(path).endswith("large.npz': this is not a readable .npz file (MemoryError).")


# --- downloads, by a Keras that counts them


FAKE_KERAS = """\
import os, sys, time, types
import numpy as np
from pathlib import Path

def load_data():
    cache = Path(os.environ["KERAS_HOME"], "datasets", "mnist.npz")
    if not cache.exists():
        with open(cache.with_suffix(".log"), "a") as log:
            log.write("downloaded\\n")
        for part in range(20):
            with open(cache, "ab") as file:
                file.write(bytes(100))
            time.sleep(0.01)
    if cache.stat().st_size < 2000:
        raise EOFError("half a file")
    half = np.zeros((2, 28, 28), np.uint8), np.zeros(2, np.uint8)
    return half, half

datasets = types.SimpleNamespace(mnist=types.SimpleNamespace(load_data=load_data))
sys.modules["keras"] = types.SimpleNamespace(datasets=datasets)
"""

DOWNLOAD = """
from tapecourse.support.data import read_arrays
print("ready", flush=True)
input()
print(len(read_arrays("mnist").x_train))
"""


def test_several_processes_download_once(tmp_path):
    environment = os.environ | {"KERAS_HOME": str(tmp_path / "home")}
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    command = [sys.executable, "-c", FAKE_KERAS + DOWNLOAD]
    processes = [subprocess.Popen(command, env=environment, **pipes) for _ in range(3)]
    for process in processes:
        process.stdout.readline()
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        output, errors = process.communicate()
        assert output == "2\n", errors
    assert (tmp_path / "home/datasets/mnist.log").read_text() == "downloaded\n"


@pytest.fixture
def keras(tmp_path, monkeypatch):
    """Return a fake Keras with a cache of its own."""
    fake = SimpleNamespace(datasets=SimpleNamespace(mnist=SimpleNamespace()))
    monkeypatch.setitem(sys.modules, "keras", fake)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    return fake


@pytest.mark.parametrize(
    "error", [Exception("URL fetch\nfailure \x1b[2J"), EOFError(), OSError(28, "No space left")]
)
def test_a_download_that_fails_tells_what_to_delete(tmp_path, keras, error):
    def fail():
        raise error

    keras.datasets.mnist.load_data = fail
    line = outcome("mnist")
    assert line.startswith("dataset = 'mnist': it could not be downloaded or read (")
    assert f"delete what is left of it in {tmp_path / 'home' / 'datasets'}; or work off" in line


def test_a_download_may_take_too_long_for_the_others(tmp_path, keras, monkeypatch):
    from filelock import FileLock

    monkeypatch.setattr(data, "LONGEST_DOWNLOAD", 0.01)
    (tmp_path / "home" / "datasets").mkdir(parents=True)
    with FileLock(tmp_path / "home" / "datasets" / "mnist.lock"):
        assert "mnist.lock' could not be acquired" in outcome("mnist")


def test_what_was_downloaded_is_checked(keras):
    keras.datasets.mnist.load_data = lambda: ((GOOD.x_train, GOOD.y_test), GOOD[2:])
    assert "y_train has the shape (2,); (4,) is needed" in outcome("mnist")
    keras.datasets.mnist.load_data = lambda: (GOOD[:2], GOOD[2:])
    assert isinstance(outcome("mnist"), Arrays)


def test_a_cache_that_cannot_be_written_is_told(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "file"))
    with pytest.raises(InputError) as caught:
        read_arrays("mnist")
    assert str(caught.value) == (
        f"KERAS_HOME = '{tmp_path}/file/datasets': this folder can't be written (Not a directory)."
    )
