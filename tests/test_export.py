"""The derived files are fresh: they are what the notebooks say."""

import shutil

import pytest
from conftest import ROOT

from tapecourse.tools.export import export_all


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A copy of the sources, with everything exported anew."""
    root = tmp_path_factory.mktemp("course")
    for folder in ("notebooks", "tapecourse"):
        ignored = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
        shutil.copytree(ROOT / folder, root / folder, ignore=ignored)
    export_all(root)
    return root


def test_nothing_is_stale(exported):
    for path in sorted(path for path in exported.rglob("*.*") if path.is_file()):
        committed = ROOT / path.relative_to(exported)
        assert committed.exists(), f"{committed} is missing: run make export"
        fresh = committed.read_bytes() == path.read_bytes()
        assert fresh, f"{committed} is stale: run make export"


@pytest.mark.parametrize(
    "module, cell",
    [
        ("differentiation", "01_differentiation.ipynb #dual"),
        ("graph", "02_computational_graph.ipynb #draw-graph"),
        ("tape", "03_build_a_tape.ipynb #reverse-sweep"),
        ("gradients", "04_gradient_tape.ipynb #explain-gradients"),
        ("training", "05_training_loop.ipynb #make-train-step"),
        ("original", "A_original_notebook.ipynb #network"),
    ],
)
def test_the_taught_module_comes_from_the_chapter(exported, module, cell):
    taught = (exported / "tapecourse" / f"{module}.py").read_text()
    assert f"# %% ../notebooks/{cell}\n" in taught
