"""The linter, the formatter and the type checker find nothing."""

import subprocess
import sys

import pytest
from conftest import ROOT


@pytest.mark.parametrize(
    "tool",
    [
        ["ruff", "check", "--output-format=concise"],
        ["ruff", "format", "--check"],
        ["basedpyright", f"--pythonpath={sys.executable}"],
    ],
    ids=["ruff check", "ruff format", "basedpyright"],
)
def test_nothing_is_found(tool):
    command = [sys.executable, "-m", *tool]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
