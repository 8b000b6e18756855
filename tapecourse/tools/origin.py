"""What decides the result of a run, besides its parameters.

Two runs can be compared if all of this is the same: the notebook's code, the modules that it
imports from files of ours or of the user's, TensorFlow, Keras and NumPy, the number of threads
(sums of floats depend on their order), and the data.
"""

import hashlib
import json
import re
import sys
import warnings
from importlib.machinery import PathFinder
from importlib.metadata import PackageNotFoundError, version
from modulefinder import ModuleFinder
from pathlib import Path
from typing import Any

from IPython.core.inputtransformer2 import TransformerManager

from tapecourse.support.data import data_digest
from tapecourse.tools.parameters import known_parameters, read_notebook

__all__ = ["difference", "installed", "origin_of"]

COURSE = Path(__file__).resolve().parents[2]
PACKAGES = ("tensorflow", "keras", "numpy")
EMPTY, FOLDER = 3, 5  # what `ModuleFinder` calls a module without Python code, and a package


def origin_of(notebook: str, grid: dict[str, list], threads: int) -> dict:
    """Describe where results come from.

    Parameters
    ----------
    notebook : str
    grid : dict
        The values of each parameter that is set.
    threads : int
    """
    cells = read_notebook(notebook).cells
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    values = {name: [known["default"]] for name, known in known_parameters(notebook).items()}
    texts = {str(value).strip("'\"") for each in (values | grid).values() for value in each}
    digests = {text: data_digest(text) for text in sorted(texts)}
    return {
        "notebook": Path(notebook).name,
        "code": digest(json.dumps(code).encode()),
        "modules": modules_of(code, [Path.cwd(), Path(notebook).resolve().parent]),
        "versions": versions(),
        "data": {name: found for name, found in digests.items() if found},
        "threads": threads,
    }


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def installed() -> dict[str, str]:
    """Digest all modules of the course, and tell the versions of what computes."""
    course = COURSE / "tapecourse"
    files = {str(path.relative_to(course)): path for path in course.rglob("*.py")}
    return versions() | {name: digest(path.read_bytes()) for name, path in files.items()}


def versions() -> dict[str, str]:
    """Return the versions of the packages that compute."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # a sweep may need none of them
            found[package] = "none"
    return found


class Finder(ModuleFinder):
    """Finds this course wherever it is installed; of other packages only those in the folders."""

    def find_module(self, name: str, path: Any, parent: Any = None) -> Any:
        """Return what `ModuleFinder` loads a module from; it knows no package without __init__."""
        if parent is None and path is None:
            path = [str(COURSE)] if name == "tapecourse" else self.path
            if name in sys.builtin_module_names:
                raise ImportError(name)
        spec = PathFinder.find_spec(name, path)
        if spec is None and name == "__init__":
            return None, None, ("", "", EMPTY)
        if spec and spec.origin is None and spec.submodule_search_locations:
            return None, next(iter(spec.submodule_search_locations)), ("", "", FOLDER)
        return super().find_module(name, path, parent)


def modules_of(code: list[str], folders: list[Path]) -> dict[str, str]:
    """Digest the modules in `folders` that some cells import, directly or through others.

    One that a cell names in another way, such as ``%run helper.py``, is taken for imported.
    """
    finder = Finder(path=[str(folder) for folder in folders])
    main = finder.add_module("__main__")
    words = set(re.findall(r"\w+", "\n".join(code)))
    beside = {path.stem for folder in folders for path in folder.glob("*.py")}
    imports = [f"import {name}" for name in sorted(words & beside) if name.isidentifier()]
    with warnings.catch_warnings(action="ignore"):  # of the syntax
        for cell in [*code, *imports]:
            try:
                plain = TransformerManager().transform_cell(cell)
                finder.scan_code(compile(plain, "cell", "exec"), main)
            except (SyntaxError, ValueError, RecursionError):  # no Python: the run will tell
                continue
    files = {name: getattr(module, "__file__", None) for name, module in finder.modules.items()}
    return {name: digest(Path(file).read_bytes()) for name, file in sorted(files.items()) if file}


def difference(ours: dict, theirs: dict) -> str:
    """Say in words what the runs of a folder, `theirs`, have that ours would not; "" if nothing.

    Both may have data that the other doesn't use.
    """
    if ours["notebook"] != theirs["notebook"]:
        return f"of {theirs['notebook']}"
    if ours["code"] != theirs["code"]:
        return f"of another version of {ours['notebook']}"
    if ours["threads"] != theirs["threads"]:
        return f"with --threads {theirs['threads']}, not {ours['threads']}"
    for package, known in theirs["versions"].items():
        if ours["versions"].get(package) != known:
            return f"with {package} {known}, not {ours['versions'].get(package)}"
    for name in sorted(ours["modules"].keys() | theirs["modules"].keys()):
        if ours["modules"].get(name) != theirs["modules"].get(name):
            return f"with another version of the module {name}"
    for name in sorted(ours["data"].keys() & theirs["data"].keys()):
        if ours["data"][name] != theirs["data"][name]:
            return f"with other data in {name}"
    return ""
