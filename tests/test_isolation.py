"""What a submission's code can reach while it is graded, and what is flagged in it."""

import os
import socket

import nbformat
import pytest
from conftest import ROOT, SOLUTIONS, cannot_test
from jupyter_client.manager import AsyncKernelManager

from tapecourse.tools import isolation
from tapecourse.tools.flags import flags_in, flags_of
from tapecourse.tools.isolation import IsolatedKernelManager, why_not_isolated
from tapecourse.tools.nbgrader_steps import LONGEST_OUTPUT, ExecuteEach

PROBES = """\
open(r"{secret}").read()
open(r"{root}/pyproject.toml")
open(r"{root}/tapecourse/__init__.py", "a")
import os; os.listdir(r"{root}/solutions")
import os; os.environ["GRADERS_TOKEN"]
import os; os.kill({pid}, 0)
import socket; socket.create_connection(("127.0.0.1", {port}), timeout=60)""".splitlines()


def run(sources, folder, manager):
    """Run cells in a kernel that starts in a folder; return their outputs."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    execute = ExecuteEach(kernel_name="python3", kernel_manager_class=manager)
    notebook = nbformat.v4.new_notebook(cells=cells)
    execute.preprocess(notebook, {"metadata": {"path": str(folder)}})
    return [cell.outputs for cell in cells]


@pytest.mark.parametrize("manager", [IsolatedKernelManager, AsyncKernelManager])
def test_what_code_reaches(tmp_path, manager, monkeypatch):
    if (isolated := manager is IsolatedKernelManager) and (reason := why_not_isolated()):
        cannot_test(reason)
    work, secret = tmp_path / "work", tmp_path / "gradebook.db"
    work.mkdir()
    monkeypatch.setenv("GRADERS_TOKEN", "key")
    secret.write_text("marks")
    with socket.create_server(("127.0.0.1", 0)) as server:
        known = {"pid": os.getpid(), "port": server.getsockname()[1]}
        probes = [probe.format(secret=secret, root=ROOT, **known) for probe in PROBES]
        own = "open('own', 'w').write('x'); import tapecourse"
        *outcomes, last = run([*probes, own], work, manager)
    failed = [any(each.output_type == "error" for each in outputs) for outputs in outcomes]
    assert failed == [isolated] * len(PROBES)
    assert [each.output_type for each in last] == ["execute_result"] or not last
    assert (work / "own").read_text() == "x"
    assert secret.read_text() == "marks"


def test_where_nothing_can_be_isolated_the_reason_is_told(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert "sudo apt install bubblewrap" in why_not_isolated.__wrapped__()
    monkeypatch.undo()
    monkeypatch.setattr(isolation, "wall", lambda: ["sh", "-c", "echo no wall here >&2; exit 3"])
    monkeypatch.setattr(isolation.shutil, "which", lambda name: name)
    assert why_not_isolated.__wrapped__() == "bubblewrap doesn't work here (no wall here)"


def test_long_output_is_cut_and_the_result_kept(tmp_path):
    source = "for _ in range(300):\n    print('x' * 9_999)\n7"
    [outputs] = run([source], tmp_path, AsyncKernelManager)
    text = "".join(each.text for each in outputs if each.output_type == "stream")
    assert LONGEST_OUTPUT / 2 < len(text) <= LONGEST_OUTPUT + 100
    assert f"Cut here: the output has more than {LONGEST_OUTPUT:,} characters." in text
    assert outputs[-1].data["text/plain"] == "7"


@pytest.mark.parametrize(
    "source, flags",
    [
        ("import sys\nsys.modules['tapecourse.feedback'] = None", {"sys", "tapecourse.feedback"}),
        ("from tapecourse.feedback import core", {"tapecourse.feedback"}),
        ("import numpy, os, sys", {"os", "sys"}),
        ("import tapecourse.feedback.checking as c", {"tapecourse.feedback.checking"}),
        ("import numpy\nnumpy.allclose = lambda *x: True", {"numpy.allclose = …"}),
        ("np.allclose = print", {"np.allclose = …"}),
        ("!cat ../solutions/01/01.ipynb", {"get_ipython", "solutions/"}),
        ("open('gradebook.db')", {"open", "gradebook"}),
        ("def f(x):\n    return f.__globals__['check']", {"__globals__"}),
        ("from subprocess import run", {"subprocess"}),
        ("__import__('os')", {"__import__"}),
        ("from tapecourse.feedback import check, show_progress", set()),
        ("%load_ext tapecourse", {"get_ipython"}),
        ("def broken(:", set()),
    ],
)
def test_flags(source, flags):
    assert flags_in(source) == flags


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_no_solution_is_flagged(path):
    assert flags_of(path) == ""
