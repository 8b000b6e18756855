"""environment.yml, pyproject.toml, the lock, the Makefile and the imports agree."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import nbformat
import pytest
import yaml
from conftest import CHAPTERS, ROOT, SOLUTIONS
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
SHARED = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
DIRECT = [
    Requirement(line) for line in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]
]
LOCK = [
    Requirement(line)
    for line in (ROOT / "requirements.txt").read_text().splitlines()
    if line and not line.lstrip().startswith("#")
]
PYTHONS = ("3.11", "3.12", "3.13")


@pytest.mark.parametrize("direct", DIRECT, ids=lambda requirement: requirement.name)
def test_each_direct_dependency_is_locked_once_to_an_allowed_version(direct):
    locked = [pin for pin in LOCK if canonicalize_name(pin.name) == canonicalize_name(direct.name)]
    assert len(locked) == 1, f"locked {len(locked)} times: run make lock"
    [pin] = locked
    [specifier] = pin.specifier
    assert specifier.operator == "=="
    assert direct.specifier.contains(specifier.version), f"{pin} is not {direct}: run make lock"
    assert pin.marker is None, f"{pin} is not for every system"


def test_every_pin_is_exact():
    for pin in LOCK:
        assert [specifier.operator for specifier in pin.specifier] == ["=="], pin


def test_gpu_extra_is_the_same_tensorflow():
    [gpu] = map(Requirement, PROJECT["optional-dependencies"]["gpu"])
    [plain] = [requirement for requirement in DIRECT if requirement.name == "tensorflow"]
    assert (gpu.name, gpu.extras) == ("tensorflow", {"and-cuda"})
    assert gpu.specifier == plain.specifier


def test_conda_installs_the_same_lock_and_package():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    [pip] = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    assert pip == ["--requirement requirements.txt", "--editable ."]
    conda = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    [python] = [entry.removeprefix("python=") for entry in conda if entry.startswith("python=")]
    assert conda == [f"python={python}", "pip"]
    assert python in PYTHONS


def test_the_python_versions_agree():
    allowed = SpecifierSet(PROJECT["requires-python"])
    everywhere = ["3.10", *PYTHONS, "3.14"]
    assert tuple(version for version in everywhere if allowed.contains(f"{version}.1")) == PYTHONS
    assert "(3, 11) <= sys.version_info[:2] <= (3, 13)" in (ROOT / "Makefile").read_text()
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    assert tuple(workflow["jobs"]["test"]["strategy"]["matrix"]["python"]) == PYTHONS


def test_the_workflow_names_files_that_exist():
    """Those of the runs on macOS and Windows, where there is no `make test`."""
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    named = re.findall(r"\b(?:notebooks|tests)/\w+\.\w+", workflow)
    assert len(named) >= 3
    for name in named:
        assert (ROOT / name).exists(), name


def test_the_site_is_published_only_if_all_other_jobs_succeed():
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]
    site = jobs.pop("site")
    assert sorted(site["needs"]) == sorted(jobs)
    assert not re.search(r"always|failure|cancelled", site["if"])  # would run it all the same
    assert not [job for job in jobs.values() if "continue-on-error" in str(job)]


def test_the_changelog_ends_at_the_version():
    """The version itself stands in pyproject.toml, and nowhere else."""
    changelog = (ROOT / "CHANGELOG.md").read_text()
    unreleased, latest, *_ = re.findall(r"^## \[(.+?)\]", changelog, re.MULTILINE)
    assert (unreleased, latest) == ("Unreleased", PROJECT["version"])


@pytest.mark.parametrize("source, target", SHARED.items())
def test_jupyters_settings_are_installed_as_they_stand_here(source, target):
    installed = Path(sys.prefix, target)
    repair = f"{installed} is not {source}: run {sys.executable} -m pip install --no-deps -e ."
    assert installed.exists() and installed.read_text() == (ROOT / source).read_text(), repair


def imported_by(source: str) -> set[str]:
    """Names of the top-level modules that a piece of Python imports."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module.split(".")[0])
    return names


def imports_of_everything() -> set[str]:
    sources = [path.read_text() for path in sorted((ROOT / "tapecourse").rglob("*.py"))]
    sources.append((ROOT / "nbgrader_config.py").read_text())
    for folder in ("docs", "tests"):
        sources += [path.read_text() for path in sorted((ROOT / folder).rglob("*.py"))]
    for path in [*CHAPTERS, *SOLUTIONS]:
        cells = nbformat.read(path, as_version=4).cells
        code = [cell.source for cell in cells if cell.cell_type == "code"]
        sources += [re.sub(r"^%.*$", "", source, flags=re.MULTILINE) for source in code]
    return set().union(*map(imported_by, sources))


def test_each_imported_package_is_declared():
    ours = {path.stem for folder in ("docs", "tests") for path in (ROOT / folder).rglob("*.py")}
    timed = {Requirement(line).name for line in PROJECT["optional-dependencies"]["bench"]}
    own = {"tapecourse", "conftest", "answers", *ours, *timed, *sys.stdlib_module_names}
    declared = {canonicalize_name(requirement.name) for requirement in DIRECT}
    owners = packages_distributions()
    for module in sorted(imports_of_everything() - own):
        distributions = {canonicalize_name(name) for name in owners[module]}
        assert distributions & declared, f"{module} comes from {distributions}, not declared"
