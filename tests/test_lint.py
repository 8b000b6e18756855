"""ruff finds nothing in the code and the notebooks."""

import subprocess
import sys

from conftest import ROOT


def test_ruff():
    command = [sys.executable, "-m", "ruff", "check", "--output-format=concise", ROOT]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
