"""`tapecourse sweep` with a scheduler and a worker in processes of their own."""

import asyncio
import json
import os
import signal
import subprocess
import sys

import pytest
from conftest import ROOT
from distributed import Client, Security
from distributed.comm import connect
from helpers import alive, end_of, run, start, wait_for, waits
from sweeps import begun, folders, statuses, sweep, tiny

from tapecourse.tools import cluster
from tapecourse.tools import sweep as sweep_module
from tapecourse.tools.origin import installed


def start_scheduler(tmp_path, *options):
    """Start a scheduler on loopback; return its address and its process."""
    file = tmp_path / "scheduler.json"
    process = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1"]
        + ["--port", "0", "--no-dashboard", "--scheduler-file", file, *options],
        stderr=subprocess.DEVNULL,
    )
    wait_for(lambda: file.exists() and file.read_text().endswith("}"), process)
    return json.loads(file.read_text())["address"], process


@pytest.fixture
def scheduler(tmp_path):
    address, process = start_scheduler(tmp_path)
    yield address, process
    process.kill()
    process.wait()


def start_worker(address, path, *options, threads=2):
    """A worker of two threads, as `dask worker` has more than one, that imports from `path`."""
    return subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_worker", address]
        + ["--no-nanny", "--nthreads", str(threads), "--no-dashboard", *options],
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

    worker = start_worker(address, old_course(tmp_path / "old"))
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


def old_course(folder):
    """Make a folder that holds a course as it was before there were sweeps."""
    (folder / "tapecourse").mkdir(parents=True)
    (folder / "tapecourse" / "__init__.py").write_text("")
    (folder / "tapecourse" / "tools.py").touch()  # or an editable install would fill it in
    return folder


def cannot_write(folder):
    """Make a folder with which a worker can't write to the folders of runs."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text("""\
import tempfile
real = tempfile.TemporaryFile
def refuse(*arguments, dir=None, **options):
    if dir and ".unfinished" in str(dir):
        raise OSError(30, "Read-only file system", dir)
    return real(*arguments, dir=dir, **options)
tempfile.TemporaryFile = refuse""")
    return f"{folder}{os.pathsep}{ROOT}"


@pytest.fixture
def workers(scheduler):
    """Return a function that starts a worker; they end with the test."""
    started = []

    def add(path=ROOT, threads=2):
        started.append(start_worker(scheduler[0], path, threads=threads))
        return started[-1]

    yield add
    for worker in started:
        worker.kill()
        worker.wait()


def test_a_late_worker_that_is_not_fit_is_refused_and_costs_no_run(
    tmp_path, scheduler, workers, monkeypatch
):
    """Nor is one refused that comes when the sweep is over."""
    out = tmp_path / "out"
    options = ["-p", "seed", "0,1,2", "--out", out, "--scheduler", scheduler[0]]
    workers()
    process = start("sweep", tiny(tmp_path, waits("seed > 0")), *options)
    wait_for(lambda: begun(tmp_path) == [0, 1], process)
    late = workers(old_course(tmp_path / "old"))
    wait_for(lambda: late.poll() is not None, process)
    (tmp_path / "go").touch()
    output, errors = end_of(process)
    assert process.returncode == 0 and "Traceback" not in errors
    assert "Refused: worker tcp://" in output and "lacks this version of the course" in output
    assert begun(tmp_path) == [0, 1, 2] and statuses(out) == ["done"] * 3

    workers(old_course(tmp_path / "older"))
    with Client(scheduler[0]) as client:
        client.wait_for_workers(2, timeout=600)


def test_a_worker_that_cannot_write_leaves_its_run_to_another(tmp_path, scheduler, workers):
    out = tmp_path / "out"
    options = ["-p", "seed", "0,1,2", "--out", out, "--scheduler", scheduler[0]]
    workers(cannot_write(tmp_path / "read-only"), threads=1)
    workers(threads=1)
    with Client(scheduler[0]) as client:
        client.wait_for_workers(2, timeout=600)
    process = start("sweep", tiny(tmp_path), *options)
    output, errors = end_of(process)
    assert process.returncode == 0 and "Traceback" not in errors, errors
    assert f"can't write {out}" in output and "(Read-only file system)" in output
    assert sorted(begun(tmp_path)) == [0, 1, 2] and statuses(out) == ["done"] * 3


@pytest.mark.parametrize(
    "fault, message",
    [("frozen", "has not answered for 1 s."), ("no workers", "has had no worker for 1 s.")],
)
def test_a_cluster_that_is_gone_is_told(
    tmp_path, scheduler, workers, monkeypatch, capfd, fault, message
):
    monkeypatch.setattr(cluster, "GONE", 1)
    first = cluster.first_done
    worker = workers()

    def break_first(*arguments):
        monkeypatch.setattr(cluster, "ANSWER", 1)
        wait_for(lambda: begun(tmp_path) == [0])
        if fault == "frozen":
            scheduler[1].send_signal(signal.SIGSTOP)
        else:
            worker.kill()
        return first(*arguments)

    monkeypatch.setattr(sweep_module, "first_done", break_first)
    options = ["-p", "seed", "0", "--out", tmp_path / "out", "--scheduler", scheduler[0]]
    assert sweep(tiny(tmp_path, waits()), *options) == 1
    error = capfd.readouterr().err
    assert f"dask's scheduler {message}" in error and "Traceback" not in error


def test_a_limit_holds_on_a_remote_worker_after_ctrl_c(tmp_path, scheduler, workers):
    """The run is in another folder tree, which the interrupted sweep can't end itself."""
    workers()
    mark = "os.environ['TAPECOURSE_RUN'] = ''"
    hang = f"child = __import__('subprocess').Popen(['sleep', '600'])\n{waits()}"
    out = tmp_path / "out"
    options = ["-p", "seed", 0, "--out", out, "--scheduler", scheduler[0], "--timeout", 5]
    process = start("sweep", tiny(tmp_path, f"{mark}\n{hang}"), *options)
    wait_for(lambda: begun(tmp_path) == [0], process)
    process.send_signal(signal.SIGINT)
    _, errors = end_of(process)
    assert process.returncode == 1 and errors.endswith("run the same command again.\n")
    kernel = int((tmp_path / "begun").read_text().split()[1])
    wait_for(lambda: not alive(kernel))


def test_the_local_scheduler_and_its_workers_accept_no_stranger():
    """Neither without a certificate nor with another one.

    By connections alone: a `Client` that fails is cleaned up by the garbage collector, which may
    come while dask holds the lock that this needs.
    """

    def call(address, own):
        return asyncio.run(connect(address, timeout=2, **own.get_connection_args("client")))

    with cluster.local_client(1) as client:
        assert client.submit(abs, -1).result() == 1
        for address in [client.scheduler.address, *client.nthreads()]:
            assert address.startswith("tls://")
            call(address, client.security).abort()  # ours is let in
            for own in (Security(), Security.temporary()):
                with pytest.raises((OSError, TypeError)):
                    call(address, own)


def test_a_cluster_of_ones_own_certificates(tmp_path):
    """By the options and variables that the README names."""
    made = Security.temporary()
    pem, key = tmp_path / "sweep.pem", tmp_path / "sweep.key"
    pem.write_text(made.tls_client_cert)
    key.write_text(made.tls_client_key)
    tls = ["--tls-ca-file", pem, "--tls-cert", pem, "--tls-key", key]
    address, process = start_scheduler(tmp_path, "--protocol", "tls", *tls)
    worker = start_worker(address, ROOT, *tls)
    prefix = "DASK_DISTRIBUTED__COMM__TLS__"
    variables = {"CA_FILE": pem, "CLIENT__CERT": pem, "CLIENT__KEY": key}
    ours = {f"{prefix}{name}": str(path) for name, path in variables.items()}
    options = ["-p", "seed", 0, "--out", tmp_path / "out", "--scheduler", address]
    try:
        assert address.startswith("tls://")
        stranger = run("sweep", tiny(tmp_path), *options)
        assert stranger.returncode == 2 and stranger.stderr.count("\n") == 1
        assert "no scheduler answers (TLS expects" in stranger.stderr
        result = run("sweep", tiny(tmp_path), *options, env=os.environ | ours)
        assert result.returncode == 0, result.stderr
        assert statuses(tmp_path / "out") == ["done"]
    finally:
        for each in (worker, process):
            each.kill()
            each.wait()


def test_what_a_worker_lacks_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "installed", lambda: installed() | {"run.py": "another"})
    (tmp_path / "sweep.json").touch()
    differs = cluster.problem_in(tmp_path)
    monkeypatch.undo()
    assert differs() == "has another version of run.py."
    assert cluster.problem_in(tmp_path)() == ""
    assert "doesn't see" in cluster.problem_in(tmp_path / "elsewhere")()
