"""Chapter 08: a batch shared out among workers; how workers start, meet, fail and end."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT
from helpers import alive, end_of, run, start, wait_for

from tapecourse.loops_for_real_work import load_checkpoint
from tapecourse.scale_out import (
    CHECKPOINT,
    batches_of,
    check_batches,
    make_parts,
    make_strategy,
    train_together,
)
from tapecourse.scale_out import main as worker_main
from tapecourse.support.errors import CheckpointError, ClearError, InputError
from tapecourse.support.workers import (
    Cluster,
    Workers,
    WorkersFailed,
    free_addresses,
    last_words,
    meet,
    read_cluster,
    slurm_cluster,
    start_workers,
)
from tapecourse.tools.command import main

ALONE = tf.distribute.get_strategy()


def config(workers=("one:2222", "two:2222"), index=1, kind="worker") -> str:
    return json.dumps({"cluster": {kind: workers}, "task": {"type": kind, "index": index}})


# --- batches, and training


@pytest.mark.parametrize("images, batch_size", [(10, 4), (8, 4), (3, 5)])
def test_each_image_is_in_one_batch_of_an_epoch(images, batch_size):
    batches = batches_of(images, batch_size, epochs=2, seed=0)
    half = len(batches) // 2
    epochs = [np.concatenate(batches[:half]), np.concatenate(batches[half:])]
    assert all(sorted(epoch) == list(range(images)) for epoch in epochs)
    assert all(len(batch) <= batch_size for batch in batches)
    assert images == 3 or not np.array_equal(*epochs)


@pytest.mark.parametrize(
    "images, batch_size, replicas, smallest",
    [(4001, 100, 2, 1), (4000, 3, 4, 1), (5, 100, 8, 5), (10, 4, 3, 2)],
)
def test_a_batch_that_cannot_be_shared_is_refused(images, batch_size, replicas, smallest):
    check_batches(images, batch_size, smallest)
    with pytest.raises(InputError, match=f"a batch with {smallest} can't be shared by {replicas}"):
        check_batches(images, batch_size, replicas)


def test_two_processes_train_as_one(tmp_path):
    """Twelve batches of 333 images, which two can't halve, and one of 4."""
    words = ["--batch_size", 333, "--learning_rate", 0.05, "--out", tmp_path / "two"]
    launched = run("launch", "--processes", 2, "tapecourse.scale_out", *words, cwd=ROOT)
    assert launched.returncode == 0, launched.stderr
    said = [line.partition(": ")[::2] for line in launched.stdout.splitlines()]
    of_each = [[line for who, line in said if who == f"worker {index}"] for index in (0, 1)]
    assert of_each[0] == of_each[1] and of_each[0][-1].startswith("step 13, loss")

    one, losses = train_together(
        ALONE, tmp_path / "one", batch_size=333, learning_rate=0.05, say=lambda line: None
    )
    two, optimizer = make_parts(ALONE, 0.05, 1, "none")  # another seed: all must be loaded
    variables = [*two.variables, *optimizer.variables]
    notes = load_checkpoint(tmp_path / "two" / CHECKPOINT, variables)
    np.testing.assert_allclose(notes["losses"], losses, rtol=1e-3)
    for ours, theirs in zip(two.get_weights(), one.get_weights()):
        np.testing.assert_allclose(ours, theirs, rtol=1e-2, atol=1e-4)
    moved = two.get_weights()[-2] - make_parts(ALONE, 0.05, 0, "none")[0].get_weights()[-2]
    assert np.abs(moved).max() > 0.05  # a hundred times what is tolerated


def test_a_run_that_was_cut_off_ends_the_same(tmp_path):
    def stop(line):
        if line.startswith("step 8,"):
            raise KeyboardInterrupt

    settings = dict(batch_size=333, say=lambda line: None)
    _, whole = train_together(ALONE, tmp_path / "whole", **settings)
    with pytest.raises(KeyboardInterrupt):
        train_together(ALONE, tmp_path / "cut", **settings | {"say": stop})
    said = []
    _, resumed = train_together(ALONE, tmp_path / "cut", **settings | {"say": said.append})
    assert said[0] == "begins at step 8 of 13"
    assert resumed == whole
    with pytest.raises(CheckpointError, match="learning_rate = 0.05, and this one has 0.1"):
        train_together(ALONE, tmp_path / "cut", **settings, learning_rate=0.1)
    statistics = dict(settings, normalization="local")
    train_together(ALONE, tmp_path / "own", **statistics)
    with pytest.raises(CheckpointError, match="= 'local', and this one has 'synchronized'"):
        train_together(ALONE, tmp_path / "own", **statistics | {"normalization": "synchronized"})


def test_options_that_cannot_be_are_refused(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        worker_main(["--out", "x", "--normalization", "synchronised"])
    assert "invalid choice: 'synchronised'" in capsys.readouterr().err
    with pytest.raises(InputError, match="batch_size = 0: of 4000 images, a batch with 0 can't"):
        check_batches(4000, 0, 1)
    monkeypatch.setenv("TF_CONFIG", config())
    with pytest.raises(InputError, match="devices = 2: 1 is needed where TF_CONFIG names"):
        make_strategy(devices=2)


# --- TF_CONFIG


def test_a_right_tf_config_is_read_and_written():
    cluster = read_cluster(config())
    assert cluster == Cluster(("one:2222", "two:2222"), 1)
    assert read_cluster(cluster.tf_config()) == cluster


@pytest.mark.parametrize(
    "text, problem",
    [
        ("", "this is not such JSON"),
        ("[" * 100_000, "this is not such JSON"),
        ("[1]", "this is not such JSON"),
        ('{"task": {}}', "it lacks 'cluster'"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker"}}', "it lacks 'index'"),
        (config(kind="chief"), "it lacks 'worker'"),
        (config(workers=[]), '"worker" must be a list of addresses'),
        (config(workers="one:2222"), '"worker" must be a list of addresses'),
        (config(workers=["one:2222", "two"]), "'two' is no HOST:PORT"),
        (config(workers=["one:2222", "two:70000"]), "'two:70000' is no HOST:PORT"),
        (config(workers=["one:2222", ":1"]), "':1' is no HOST:PORT"),
        (config(workers=["one:2222", 3]), "3 is no HOST:PORT"),
        (config(workers=["one:2222", "one:2222"]), "an address is in it twice"),
        (config(index=2), '"index" must be an integer from 0 to 1'),
        (config(index="1"), '"index" must be an integer from 0 to 1'),
        (config(index=True), '"index" must be an integer from 0 to 1'),
    ],
)
def test_a_wrong_tf_config_is_refused(text, problem):
    with pytest.raises(InputError) as error:
        read_cluster(text)
    assert problem in str(error.value) and "It must be like" in str(error.value)


@pytest.mark.parametrize(
    "nodes, tasks, index, addresses",
    [
        ("node[8-10]", "1(x3)", 2, "node8:20017 node9:20017 node10:20017"),
        (
            "a07,b[1,03-04]-x",
            "2,1(x3)",
            0,
            "a07:20017 a07:20018 b1-x:20017 b03-x:20017 b04-x:20017",
        ),
        ("r[1-2]n[1-2]", "1(x4)", 1, "r1n1:20017 r1n2:20017 r2n1:20017 r2n2:20017"),
    ],
)
def test_slurm_says_who_takes_part(monkeypatch, nodes, tasks, index, addresses):
    step = dict(JOB_ID="12017", PROCID=str(index))
    step |= dict(STEP_NODELIST=nodes, STEP_TASKS_PER_NODE=tasks)
    for name, value in step.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    assert slurm_cluster() == Cluster(tuple(addresses.split()), index)


# --- the meeting before TensorFlow is loaded


def meet_all(*clusters: Cluster, within: float = 60) -> list[str]:
    """Let each worker meet the others, all at once; return what went wrong for each."""

    def problem(cluster):
        try:
            meet(cluster, within)
        except ClearError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor() as pool:
        return list(pool.map(problem, clusters))


def test_workers_meet_in_any_order_and_strangers_are_ignored():
    addresses = tuple(free_addresses(3))
    host, port = addresses[0].split(":")

    def disturb():
        for words in (b"GET / HTTP/1.1\r\n\r\n", b"", b"[1]\n", b"{}" * 10_000):
            with socket.create_connection((host, int(port))) as stranger:
                stranger.sendall(words)

    with ThreadPoolExecutor() as pool:
        early = pool.submit(meet_all, Cluster(addresses, 2), Cluster(addresses, 0))
        while not early.done():  # until worker 0 listens
            try:
                disturb()
                break
            except ConnectionError:
                time.sleep(0.01)
        assert meet_all(Cluster(addresses, 1)) == [""]
        assert early.result() == ["", ""]
    assert meet_all(Cluster(addresses[:1], 0)) == [""]  # alone; and the port is free again


def test_a_worker_that_never_comes_is_named_to_all():
    addresses = tuple(free_addresses(3))
    problems = meet_all(Cluster(addresses, 0), Cluster(addresses, 1), within=1)
    assert all(f"worker 2 ({addresses[2]}) did not come within 1 s" in each for each in problems)
    [problem] = meet_all(Cluster(addresses, 2), within=0.2)
    assert problem == f"worker 0 ({addresses[0]}) did not answer, after 0.2 s."


def test_workers_that_disagree_are_told():
    addresses = tuple(free_addresses(3))
    other = (addresses[0], addresses[2])
    problems = meet_all(Cluster(addresses[:2], 0), Cluster(other, 1))
    assert all("worker 1 has another list of workers in its TF_CONFIG" in p for p in problems)


def test_two_with_one_index_are_both_told():
    addresses = tuple(free_addresses(3))
    host, port = addresses[0].split(":")

    def call():
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                with socket.create_connection((host, int(port))) as line:
                    line.sendall(json.dumps([1, addresses]).encode() + b"\n")
                    return json.loads(line.makefile().readline())

    with ThreadPoolExecutor() as pool:
        first, second = pool.submit(call), pool.submit(call)
        [problem] = meet_all(Cluster(addresses, 0))
        assert first.result() == second.result() == problem
    assert problem.startswith('a worker with "index": 1 has called twice')


def test_a_taken_port_is_told_at_once():
    cluster = Cluster(tuple(free_addresses(2)), 0)
    with socket.create_server(("", int(cluster.addresses[0].split(":")[1]))):
        with pytest.raises(WorkersFailed, match="worker 0 can't take the port of 127.0.0.1:.*use"):
            meet(cluster, within=600)


# --- workers seen from outside: made-up modules, without TensorFlow


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Return a function that makes a module, with these lines as its `main`."""
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")

    def make(*lines: str) -> str:
        body = ["import json, os, sys, time", "def main(words):"]
        body += ["    index = json.loads(os.environ['TF_CONFIG'])['task']['index']"]
        body += ["    print('here', flush=True)", *(f"    {line}" for line in lines)]
        (tmp_path / "made_up.py").write_text("\n".join(body))
        return "made_up"

    return make


def outcome(workers: Workers, **limits) -> tuple[list, str]:
    """Return what workers said, and what went wrong; all have ended then."""
    heard = []
    with workers:
        try:
            heard += workers.lines(**limits)
            problem = ""
        except WorkersFailed as error:
            problem = str(error)
        assert all(process.poll() is not None for process in workers.processes)
    return heard, problem


def test_what_workers_say_is_handed_on(module):
    name = module("print(f'{words[0]} of {index}')")
    heard, problem = outcome(start_workers(name, "words", processes=2))
    assert not problem
    assert sorted(heard) == [(i, line) for i in (0, 1) for line in ("here", f"words of {i}")]


def test_one_that_fails_ends_the_others(module):
    talk = "for _ in range(100): print('on', flush=True); time.sleep(0.1)"  # and so not silent
    name = module("if index: raise ValueError('no such file')", talk)
    _, problem = outcome(start_workers(name, processes=2), grace=0.5)
    assert problem == (
        "worker 1 failed: ValueError: no such file"
        " 0.5 s later, worker 0 still waited, and had to be ended."
    )


def test_one_that_is_killed_is_told_first(module):
    name = module("time.sleep(600 if index == 0 else 0)")
    workers = start_workers(name, processes=2)
    for index, _ in workers.lines():
        if index == 0:
            workers.kill(0)
            break
    assert outcome(workers)[1] == "worker 0 was killed by SIGKILL."


def test_silence_is_ended(module):
    name = module("sys.stdin = None", "time.sleep(600)")
    _, problem = outcome(start_workers(name, processes=2), patience=5)
    assert "no worker said anything for 5 s. The last words: worker 0: " in problem


def test_workers_end_with_the_one_that_started_them(module):
    code = (
        "import sys; from tapecourse.support.workers import start_workers\n"
        "workers = start_workers(sys.argv[1], processes=2)\n"
        "for index, line in workers.lines(): print(workers.processes[index].pid, flush=True)"
    )
    command = [sys.executable, "-c", code, module("time.sleep(600)")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as starter:
        pids = [starter.stdout.readline().strip() for _ in range(2)]
        assert all(map(alive, pids))
        starter.kill()
    wait_for(lambda: not any(map(alive, pids)))


def test_the_last_words_are_the_error():
    log = ["I0000 00:00 port.cc:153] oneDNN", "Traceback (most recent call last):"]
    log += [
        "tensorflow.python.framework.errors_impl.UnavailableError: {{node x}} gone",
        "\t [[x]]",
    ]
    assert last_words(log) == "UnavailableError: gone"
    graph = ["a.b.UnavailableError: Graph execution error:", "", "Detected at node x defined at:"]
    graph += ["<stack traces unavailable>", "Collective ops is aborted by: y", "\t [[x]]"]
    assert last_words(graph) == "UnavailableError: Collective ops is aborted by: y"
    assert last_words(log[:1]) == log[0]
    assert last_words([]) == "it wrote no message"


# --- the command


def test_launch_refuses_before_anything_starts(monkeypatch, capsys):
    monkeypatch.setenv("TF_CONFIG", config(index=7))
    assert main(["launch", "nothing"]) == 2
    monkeypatch.setenv("TF_CONFIG", config())
    assert main(["launch", "--processes", "2", "nothing"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert '"index" must be an integer from 0 to 1' in first
    assert second.startswith("--processes = 2: TF_CONFIG already says which workers there are")


def test_the_words_for_the_module_are_its_own(module, capsys):
    words = ["--processes", "2", module("print(list(words))"), "-p", "8080", "x"]
    assert main(["launch", *words]) == 0
    assert "worker 1: ['-p', '8080', 'x']" in capsys.readouterr().out


def test_launch_tells_of_a_module_that_is_missing(capsys):
    assert main(["launch", "no_such_module"]) == 1
    assert capsys.readouterr().err == (
        "worker 0 failed: ModuleNotFoundError: No module named 'no_such_module'\n"
    )


def test_launch_starts_the_one_worker_that_tf_config_names(module, monkeypatch):
    """Two launches, as on two machines, and an interrupt of one of them."""
    addresses = free_addresses(2)
    name = module("time.sleep(600)")
    launched = []
    for index in (0, 1):
        monkeypatch.setenv("TF_CONFIG", config(addresses, index))
        path = os.environ["PYTHONPATH"].split(os.pathsep)[0]
        launched.append(start("launch", name, path=path))
    lines = [process.stdout.readline() for process in launched]
    assert lines == ["worker 0: here\n", "worker 1: here\n"]
    for process in launched:
        process.send_signal(signal.SIGINT)
        assert "Interrupted." in end_of(process)[1]
        assert process.returncode == 1
