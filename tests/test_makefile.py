"""The Makefile's own care, with stand-ins for Python, so that nothing is installed."""

import os
import shutil
import subprocess

import pytest
from conftest import ROOT


@pytest.fixture
def course(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "requirements.txt").write_text("")
    return tmp_path


def stand_in(course, name, script):
    path = course / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return f"./{name}"


def make(course, *arguments):
    environment = {name: value for name, value in os.environ.items() if "MAKE" not in name}
    return subprocess.run(
        ["make", *arguments], capture_output=True, text=True, cwd=course, env=environment
    )


def test_make_help_lists_the_targets(course):
    listed = make(course, "help").stdout
    targets = "train sweep test lab site site-open export exercises bench lock"
    for target in targets.split():
        assert f"make {target} " in listed


def test_a_wrong_python_is_one_line_before_anything_is_installed(course):
    old = stand_in(course, "old", '[ "$1" = --version ] && echo Python 3.9.1 && exit; exit 1')
    for python, found in [(old, "'./old' is Python 3.9.1"), ("./nowhere", "not one that runs")]:
        result = make(course, "train", f"PYTHON={python}")
        assert result.returncode != 0
        first = result.stderr.splitlines()[0]
        assert first.startswith("Python 3.11, 3.12 or 3.13 is needed, and ") and found in first
        assert "make train PYTHON=python3.12" in first
        assert not (course / ".venv").exists()


def test_a_python_without_venv_is_one_line(course):
    bare = stand_in(course, "bare", 'case "$*" in *venv*) exit 1;; esac')
    result = make(course, "test", f"PYTHON={bare}")
    assert result.returncode != 0
    assert result.stderr.splitlines()[0].startswith("'./bare' has no venv module.")
    assert not (course / ".venv").exists()


def test_an_install_that_was_cut_off_is_completed_by_the_next_call(course):
    """The stand-in's `venv` makes a Python whose pip fails while the file `offline` exists."""
    inner = 'case "$*" in *pip*) test ! -e offline;; esac'
    makes = f'mkdir -p .venv/bin; printf "#!/bin/sh\\n%s\\n" {inner!r} > .venv/bin/python'
    python = stand_in(
        course, "python", f'case "$*" in *--clear*) {makes}; chmod +x .venv/bin/python;; esac'
    )
    (course / "offline").write_text("")
    assert make(course, "train", f"PYTHON={python}").returncode != 0
    assert not (course / ".venv/.installed").exists()

    (course / "offline").unlink()
    again = make(course, "train", f"PYTHON={python}")
    assert again.returncode == 0, again.stderr
    assert "An earlier install was cut off: starting again." in again.stdout
    assert (course / ".venv/.installed").exists()
    assert "Installing" not in make(course, "train", f"PYTHON={python}").stdout
