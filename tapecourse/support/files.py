"""Reads a file that someone else gave, of a size that memory can hold; writes one as a whole."""

import csv
import os
import stat
from pathlib import Path

from tapecourse.support.errors import InputError, reason

__all__ = ["read_file", "read_rows", "write_whole"]


def read_file(name: str, path: str, most_bytes: int) -> bytes:
    """Read a file whole, so that what happens to it later doesn't matter.

    Parameters
    ----------
    name : str
        What the path is for, as the message says it.
    path : str
        The file's path.
    most_bytes : int
        The largest size that is read.

    Raises
    ------
    InputError
        There is no such file, it can't be read, it is too large, or it is a folder or a pipe.
    """
    try:
        status = os.stat(path)  # first: to open a pipe is to wait for its other end
        if not stat.S_ISREG(status.st_mode):
            problem = "this is not a file, but a folder, a pipe or a device."
        elif status.st_size > most_bytes:
            problem = f"it has {status.st_size:,} bytes; at most {most_bytes:,} are read."
        else:
            with open(path, "rb") as file:
                return file.read(status.st_size)
    except FileNotFoundError:
        problem = f"there is no such file (looked in {os.getcwd()})."
    except (OSError, ValueError) as error:  # a ValueError: this can't be a path, with a NUL byte
        problem = f"it can't be read ({reason(error)})."
    raise InputError(name, path, problem)


def read_rows(path: str | Path) -> list[dict[str, str | int | float]]:
    """Read a table with numbers in all columns but `kind`; leave out what is empty.

    Parameters
    ----------
    path : str or Path
        Of a CSV file with a line of names.
    """

    def value(name: str, text: str) -> str | int | float:
        if name == "kind":
            return text
        return int(text) if text.isdigit() else float(text)

    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [{name: value(name, text) for name, text in row.items() if text} for row in rows]


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it is there with all of the text, or as it was.

    Parameters
    ----------
    path : Path
        Beside it, a file whose name ends in ``.part`` may be left of an attempt that failed.
    text : str
    """
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8", newline="")
    os.replace(part, path)
