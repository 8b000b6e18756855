"""Shared by the tests: where things are, and the chapters."""

from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parent
CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(params=CHAPTERS, ids=lambda path: path.stem)
def chapter(request) -> nbformat.NotebookNode:
    """Each chapter in turn, with its path in `metadata.path`."""
    notebook = nbformat.read(request.param, as_version=4)
    notebook.metadata["path"] = request.param
    return notebook
