"""Shared by the tests: where things are, the chapters, the solutions, and how much is tried."""

import functools
import os
import shutil
import uuid
from pathlib import Path

import nbformat
import nbval.kernel
import pytest
from hypothesis import settings
from jupyter_client.manager import KernelManager
from jupyter_core.paths import jupyter_runtime_dir

from tapecourse.support.collection import without_collection

ROOT = Path(__file__).parent
CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SOLUTIONS = sorted((ROOT / "solutions").glob("*/*.ipynb"))

# There are more test processes than cores: one thread of TensorFlow's is enough in each.
for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ.setdefault(name, "1")

# `quick` is for each change; `thorough`, with more of everything, for once a week:
# pytest --hypothesis-profile=thorough, or HYPOTHESIS_PROFILE=thorough in the environment.
settings.register_profile("quick", derandomize=True, deadline=None)
settings.register_profile("thorough", derandomize=True, deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def manage_kernel(**options) -> KernelManager:
    """Meet a kernel of nbval's at files: a port that is free now may be taken when it listens."""
    file = Path(jupyter_runtime_dir(), f"kernel-{uuid.uuid4()}.json")
    return KernelManager(transport="ipc", connection_file=str(file), **options)


if os.name == "posix":
    nbval.kernel.KernelManager = manage_kernel


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Spare the garbage collector the objects of all modules."""
    with without_collection():
        return (yield)


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


@pytest.fixture
def light(monkeypatch) -> None:
    """Let runs start no kernel, and sweeps no process, where the folder is what is tested."""
    from helpers import execute_here
    from sweeps import client_here

    monkeypatch.setattr("tapecourse.tools.attempt.execute", execute_here)
    monkeypatch.setattr("tapecourse.tools.sweep.local_client", client_here)


@pytest.fixture(scope="session")
def alembic_once():
    """Let nbgrader ask alembic, a process of two seconds, for its first database and no other."""
    from nbgrader import api

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api, "get_alembic_version", functools.cache(api.get_alembic_version))
        yield


def cannot_test(reason: str) -> None:
    """Skip a test that this system lacks something for; in CI, fail."""
    pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)


@pytest.fixture(scope="module")
def browser():
    """A browser of this system; without one its tests are skipped, in CI they fail."""
    from playwright.sync_api import sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        cannot_test(f"No browser to test in: install one of {', '.join(names)}.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        yield browser
        browser.close()
