"""Shared by the tests: where things are, the chapters, and the solutions."""

from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parent
CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SOLUTIONS = sorted((ROOT / "solutions").glob("*/*.ipynb"))


def read(path: Path) -> nbformat.NotebookNode:
    """Read a notebook, with its path in `metadata.path`."""
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata["path"] = path
    return notebook


@pytest.fixture(params=CHAPTERS, ids=lambda path: path.stem)
def chapter(request) -> nbformat.NotebookNode:
    """Each chapter in turn."""
    return read(request.param)


@pytest.fixture(params=[*CHAPTERS, *SOLUTIONS], ids=lambda path: f"{path.parent.name}-{path.stem}")
def executed(request) -> nbformat.NotebookNode:
    """Each notebook in turn that is committed executed: the chapters and the solutions."""
    return read(request.param)
