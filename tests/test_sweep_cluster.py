"""`tapecourse sweep` with a scheduler and a worker in processes of their own."""

import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT
from distributed import Client
from helpers import end_of, start, wait_for, waits
from sweeps import begun, folders, sweep, tiny

from tapecourse.tools import cluster


@pytest.fixture
def scheduler(tmp_path):
    """Start a scheduler on loopback; yield its address and its process."""
    file = tmp_path / "scheduler.json"
    options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", file]
    process = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_scheduler", *options],
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: file.exists() and file.read_text().endswith("}"), process)
        yield json.loads(file.read_text())["address"], process
    finally:
        process.kill()
        process.wait()


def start_worker(address, path):
    """A worker of two threads, as `dask worker` has more than one, that imports from `path`."""
    return subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_worker", address]
        + ["--no-nanny", "--nthreads", "2", "--no-dashboard"],
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=os.environ | {"PYTHONPATH": str(path)},
    )


def test_a_running_scheduler_serves_as_the_cluster(tmp_path, scheduler, monkeypatch, capfd):
    address, process = scheduler
    monkeypatch.setattr(cluster, "ANSWER", 600)  # a machine may be slow
    monkeypatch.chdir(tmp_path)
    notebook = tiny(tmp_path, f"{waits('seed > 1')}\nopen('here', 'w').close()")
    out = tmp_path / "out"
    options = [notebook, "--out", out, "--scheduler", address, "-p", "seed"]
    wait_for_workers = Client.wait_for_workers

    def wait_a_second(client, number, timeout):
        wait_for_workers(client, number, timeout=1)

    with monkeypatch.context() as patch:  # since there is none, however long it waits
        patch.setattr(Client, "wait_for_workers", wait_a_second)
        assert sweep(*options, "0,1") == 2
    assert f"it has no worker. Start some: dask worker {address}" in capfd.readouterr().err

    old = tmp_path / "old" / "tapecourse"
    old.mkdir(parents=True)
    (old / "__init__.py").write_text('"""As it was before there were sweeps."""')
    (old / "tools.py").touch()  # or an editable install would fill in what is missing here
    worker = start_worker(address, old.parent)
    try:
        assert sweep(*options, "0,1") == 2
        assert "lacks this version of the course (No module named" in capfd.readouterr().err
    finally:
        worker.kill()
        worker.wait()

    worker = start_worker(address, ROOT)
    try:
        assert sweep(*options, "0,1") == 0
        assert folders(out) == ["seed=0", "seed=1"]
        lines = (tmp_path / "begun").read_text().splitlines()
        assert {int(line.split()[2]) for line in lines} == {worker.pid}
        assert (tmp_path / "here").exists(), "runs start in the folder of the command"

        second = start("sweep", *options, "1,2")
        wait_for(lambda: begun(tmp_path) == [0, 1, 2], second)
        process.kill()
        _, errors = end_of(second)
        assert second.returncode == 1 and "To continue, run the same command again." in errors
        assert "scheduler" in errors and "Traceback" not in errors
        assert len(folders(out)) == 2
    finally:
        worker.kill()
        worker.wait()
