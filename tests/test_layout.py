"""The folders: who may import what, whether README's tree is right, and where links lead."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

TAUGHT = "taught modules"
MAY_IMPORT = {
    TAUGHT: {TAUGHT, "support"},
    "support": {"support"},
    "feedback": {TAUGHT, "support", "feedback"},
    "tools": {"support", "tools"},
}
MODULES = [
    path
    for path in sorted((ROOT / "tapecourse").rglob("*.py"))
    if path.name not in ("__init__.py", "__main__.py")
]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


def imported_modules(source: str, package: str) -> Iterator[str]:
    """Name the modules of the course that code in `package` imports, such as `tapecourse.tape`.

    ``import_module("tapecourse.tape")`` counts as well: each text that begins like a module does.
    """
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: 1 - node.level or None] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])  # `from ..` has no module
            inside = base == "tapecourse"  # the names that are imported are modules
            names = [f"{base}.{alias.name}" for alias in node.names] if inside else [base]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names = re.findall(r"^tapecourse\.[\w.]+", node.value)
        yield from (name for name in names if name.startswith("tapecourse."))


@pytest.mark.parametrize(
    "source, found",
    [
        ("import tapecourse.tape as t", ["tapecourse.tape"]),
        ("def f():\n    from tapecourse.tools.run import run", ["tapecourse.tools.run"]),
        ("from tapecourse import tools, tape", ["tapecourse.tools", "tapecourse.tape"]),
        ("from .core import check", ["tapecourse.feedback.core"]),
        ("from ..tools import run", ["tapecourse.tools"]),
        ("from .. import tools", ["tapecourse.tools"]),
        ("import_module(f'tapecourse.tools.{name}')", ["tapecourse.tools."]),
        ("import tapecourse, numpy", []),
    ],
)
def test_each_way_to_import_is_seen(source, found):
    assert list(imported_modules(source, "tapecourse.feedback")) == found


def package_of(path: Path) -> str:
    return ".".join(path.parent.relative_to(ROOT).parts)


def part_of(module: str) -> str:
    """Return which part of the package a module belongs to."""
    folder = module.split(".")[1]
    return folder if folder in MAY_IMPORT else TAUGHT


def chapter_of(taught: Path) -> str:
    return taught.read_text().splitlines()[0].rsplit("/", 1)[-1]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path):
    here = part_of(f"{package_of(path)}.{path.stem}")
    for module in imported_modules(path.read_text(), package_of(path)):
        there = part_of(module)
        assert there in MAY_IMPORT[here], f"{here} may not import {module}"
        if here == there == TAUGHT:
            earlier = chapter_of(ROOT / f"{module.replace('.', '/')}.py") < chapter_of(path)
            assert earlier, f"{module} is not from an earlier chapter"


def test_notebooks_import_no_tools(executed):
    for cell in executed.cells:
        assert cell.cell_type != "code" or "tapecourse.tools" not in cell.source, cell.id


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_of_a_page_lead_to_files(page):
    for link in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if not link.startswith("https://"):
            assert (page.parent / link).exists(), link


def test_the_tree_in_the_readme_is_right():
    readme = (ROOT / "README.md").read_text()
    [tree] = re.findall(r"^```text\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)
    named = {line.split()[0] for line in tree.splitlines()}
    for name in named - {"runs/"}:
        found = list(ROOT.glob(name.replace("NN_topic", "*")))
        assert found, f"{name} is in the tree, and not in the repository"
    for path in MODULES:
        part = package_of(path).replace(".", "/")
        assert {f"{part}/", f"{part}/*.py"} & named, f"{part} is not in the tree"
