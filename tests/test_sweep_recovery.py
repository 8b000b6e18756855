"""`tapecourse sweep` when something breaks: a worker, the sweep, files, the disk; and Ctrl-C."""

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from helpers import (
    THOROUGH,
    alive,
    command,
    end_of,
    having,
    make_notebook,
    run,
    start,
    wait_for,
    waits,
)
from sweeps import END, begun, folders, statuses, summary, sweep, times, tiny

from tapecourse.tools import folder as sweep_folder
from tapecourse.tools.sweep import REPORT
from tapecourse.tools.attempt import attempt, first_line
from tapecourse.tools.origin import origin_of

GO_ON = "Interrupted. To continue, run the same command again.\n"
TERMINATED = "Ended by SIGTERM. To continue, run the same command again.\n"


def seeds(values):
    return "-p", "seed", values


# --- kills


def test_a_killed_workers_run_is_tried_again(tmp_path):
    """Seed 1 kills its worker each time, seed 3 once; the other runs must not suffer for it.

    Nor for dask, which gives a worker up that takes too long to start again: here, each.
    """
    kills = """\
if seed == 1 or (seed == 3 and not (here / "killed").exists()):
    if seed == 3:
        (here / "killed").touch()
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(600)"""
    out = tmp_path / "out"
    impatient = os.environ | {"DASK_DISTRIBUTED__DEPLOY__LOST_WORKER_TIMEOUT": "100ms"}
    options = [*seeds("0,1,3"), "--out", out, "--workers", 1]
    result = run("sweep", tiny(tmp_path, kills), *options, env=impatient)
    assert result.returncode == 1
    assert "failed: seed=1: its worker process died 3 times" in result.stderr
    assert "Traceback" not in result.stderr and "distributed" not in result.stderr
    assert folders(out) == ["seed=0", "seed=3"]
    assert statuses(out) == ["done", "failed", "done"]
    assert (out / "failed" / "seed=1" / "tiny.ipynb").exists()
    assert begun(tmp_path) == [0, 1, 1, 1, 3, 3]


def test_a_killed_sweep_is_completed_by_the_same_command(tmp_path, capsys, light):
    """Killed while seed 1 goes on; meanwhile a second sweep into the folder was refused."""
    out = tmp_path / "out"
    notebook = tiny(tmp_path, waits("seed > 0"))
    options = [notebook, *seeds("0,1,2"), "--out", out, "--workers", 1]
    process = start("sweep", *options)
    wait_for(lambda: begun(tmp_path) == [0, 1], process)
    assert sweep(notebook, *seeds("0"), "--out", out) == 2
    process.kill()
    assert end_of(process) and process.returncode == -signal.SIGKILL
    error = capsys.readouterr().err
    assert "another sweep is writing to this folder" in error and error.count("\n") == 1

    pids = " ".join((tmp_path / "begun").read_text().splitlines()).split()
    kernels, workers = pids[1::3], pids[2::3]
    wait_for(lambda: not any(map(alive, kernels + workers)))
    assert any((out / ".unfinished").glob("seed=*/*/tiny.ipynb"))
    assert folders(out) == ["seed=0"]
    assert statuses(out) == ["done", "missing", "missing"]
    before = times(out)

    (tmp_path / "go").touch()
    (tmp_path / "begun").unlink()
    assert sweep(*options) == 0
    assert begun(tmp_path) == [1, 2]
    assert len(folders(out)) == 3 and before.items() <= times(out).items()
    assert not (out / ".unfinished").exists() and not (out / "failed").exists()


@pytest.mark.skipif(not THOROUGH, reason="50 kills: for the profile `thorough`")
def test_kills_of_a_sweep_at_random_moments(tmp_path):
    """After each all runs that are there are whole; in the end each is done, and none twice."""
    out, notebook, choice, goals = tmp_path / "out", tiny(tmp_path), random.Random(12), 0
    for kill in range(50):
        goals += kill % 3 == 0  # a new run each third time, and of them
        options = [*seeds(",".join(map(str, range(2 * goals)))), "--out", out, "--workers", 2]
        before = times(out) if out.exists() else {}
        process = start("sweep", notebook, *options)
        time.sleep(choice.uniform(0, 10))  # a sweep takes some 5; it only spreads the kills
        process.kill()
        end_of(process)
        marks = str(out / ".unfinished")
        wait_for(lambda marks=marks: not having(marks))
        if out.exists():
            done = folders(out)
            assert before.items() <= times(out).items() and len(done) <= 2 * goals
            assert all(json.loads((out / name / "run.json").read_text()) for name in done)
    assert run("sweep", notebook, *options).returncode == 0
    assert len(folders(out)) == 2 * goals and statuses(out) == ["done"] * 2 * goals
    assert not (out / ".unfinished").exists()


def test_a_kill_while_old_runs_are_removed_leaves_no_half_of_one(tmp_path, monkeypatch, light):
    out = tmp_path / "out"
    options = [tiny(tmp_path), *seeds("0,1"), "--out", out]
    assert sweep(*options) == 0
    rmtree = shutil.rmtree

    def killed(path, **options):
        if Path(path).name == "stale":
            (path / "metrics.json").unlink()
            raise KeyboardInterrupt
        rmtree(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        assert sweep(*options, "--threads", 2, "--repeat") == 1
    assert len(folders(out)) == 1, "and that one is whole"
    assert sweep(*options) == 0 and len(folders(out)) == 2
    assert len(begun(tmp_path)) == 3


def test_a_limit_ends_a_run_of_a_sweep_alone(tmp_path, capfd):
    out = tmp_path / "out"
    hangs = tiny(tmp_path, waits("seed == 1"))
    assert sweep(hangs, *seeds("0,1"), "--out", out, "--timeout", 4, "--workers", 1) == 1
    assert "failed: seed=1: it took longer than --timeout 4, in seconds" in capfd.readouterr().err
    assert statuses(out) == ["done", "failed"] and begun(tmp_path) == [0, 1]


def test_what_a_killed_sweep_left_running_writes_nothing(tmp_path):
    """An attempt whose folder was cleared away by the next sweep."""
    record = attempt(str(tiny(tmp_path)), str(tmp_path / "gone"), {}, threads=1)
    assert record["status"] == "failed" and record["error"].startswith("FileNotFoundError")
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.ipynb"]


# --- interrupts


INTERRUPTS = [(os.killpg, signal.SIGINT, GO_ON), (os.kill, signal.SIGTERM, TERMINATED)]
if THOROUGH:
    INTERRUPTS += [(os.kill, signal.SIGINT, GO_ON), (os.killpg, signal.SIGTERM, TERMINATED)]


@pytest.mark.parametrize("to, number, word", INTERRUPTS)
def test_an_interrupted_sweep_is_one_message(tmp_path, to, number, word):
    """As from a terminal, and from a batch system. What a run has started ends with it."""
    out = tmp_path / "out"
    child = "__import__('subprocess').Popen(['sleep', '600'], start_new_session=True, stdout=-3)"
    notebook = tiny(tmp_path, f"{child}\n{waits('seed > 0')}")
    options = [notebook, *seeds("0,1"), "--out", out, "--workers", 1]
    process = start("sweep", *options)
    wait_for(lambda: begun(tmp_path) == [0, 1], process)
    to(process.pid, number)
    output, errors = end_of(process)
    wait_for(lambda: not having(str(out / ".unfinished")))
    assert process.returncode == 1
    assert errors.endswith(word) and "Traceback" not in errors and "distributed" not in errors
    assert "Runs: 1 done, 0 failed, 1 missing." in output
    assert folders(out) == ["seed=0"] and not (out / ".unfinished").exists()


def test_an_interrupt_while_libraries_are_loaded_is_one_line(tmp_path):
    """A stand-in for one of them waits until the interrupt was sent, and then loads it."""
    (tmp_path / "filelock.py").write_text(f"""\
import sys, time
from pathlib import Path
here = Path(__file__).parent
(here / "loading").touch()
{waits()}
sys.path.remove(str(here))
del sys.modules["filelock"]
import filelock""")
    options = [*seeds("0"), "--out", tmp_path / "out"]
    process = start("sweep", tiny(tmp_path), *options, path=tmp_path)
    wait_for((tmp_path / "loading").exists, process)
    process.send_signal(signal.SIGINT)
    (tmp_path / "go").touch()
    _, errors = end_of(process)
    assert process.returncode == 1 and errors == GO_ON
    assert not begun(tmp_path)


@pytest.mark.parametrize("when", ["dask starts", "its first process starts"])
def test_an_interrupt_while_dask_starts_waits_and_is_not_lost(tmp_path, when):
    """It goes to all processes, as from a terminal; the workers start after it was sent."""
    (tmp_path / "sitecustomize.py").write_text(f"""\
import sys, time
from pathlib import Path
here = Path(__file__).parent
is_worker = "--multiprocessing-fork" in sys.orig_argv
if is_worker:
    (here / "worker").touch()
{waits("is_worker")}""")
    out = tmp_path / "out"
    options = [*seeds("0"), "--out", out, "--workers", 1]
    process = start("sweep", tiny(tmp_path), *options, path=tmp_path)
    event = out / "sweep.log" if when == "dask starts" else tmp_path / "worker"
    wait_for(event.exists, process)
    os.killpg(process.pid, signal.SIGINT)
    (tmp_path / "go").touch()
    _, errors = end_of(process)
    assert process.returncode == 1 and errors.endswith(GO_ON)
    assert "Traceback" not in errors and not begun(tmp_path)


def test_an_interrupted_report_leaves_the_last_one(tmp_path, light):
    """The report waits if the sweep's folder holds `wait`."""
    out = tmp_path / "out"
    report = f"""\
import time
from pathlib import Path
here = Path({str(tmp_path)!r})
(here / "reporting").touch()
{waits('(here / "wait").exists()')}"""
    make_notebook(tmp_path / REPORT, report, parameters='sweep_dir: str = ""  # a folder')
    options = [tiny(tmp_path), *seeds("0"), "--out", out]
    assert sweep(*options) == 0
    before = (out / "report.ipynb").read_bytes()
    (tmp_path / "wait").touch()
    (tmp_path / "reporting").unlink()
    process = start("sweep", *options)
    wait_for((tmp_path / "reporting").exists, process)
    process.send_signal(signal.SIGINT)
    _, errors = end_of(process)
    assert process.returncode == 1
    assert GO_ON in errors and "Traceback" not in errors
    assert (out / "report.ipynb").read_bytes() == before


# --- runs and files that are not what they should be


@pytest.mark.parametrize(
    "text, error",
    [
        ("{", "metrics.json is broken: Expecting property name"),
        ("3", "metrics.json is broken: a mapping is needed"),
        ("{}", "metrics.json is broken: 'metrics' is needed, a dict"),
        ('{"metrics": [1]}', "metrics.json is broken: 'metrics' is needed, a dict"),
    ],
)
def test_broken_metrics_fail_their_run(tmp_path, monkeypatch, text, error):
    def execute(notebook, executed, *_, **__):
        (executed.parent / "metrics.json").write_text(text)

    monkeypatch.setattr("tapecourse.tools.attempt.execute", execute)
    record = attempt(str(tiny(tmp_path)), str(tmp_path), {}, threads=1)
    assert record["status"] == "failed" and record["error"].startswith(error)


def test_a_run_that_spoils_its_own_folder_fails_alone(tmp_path, capfd):
    """Seed 0 removes the folder, 1 and 3 take a file's place; 2 has an odd metric."""
    spoil = """\
if seed == 0:
    import shutil
    shutil.rmtree(run_dir)
    raise SystemExit
if seed == 1:
    Path(run_dir, "run.json").mkdir()
if seed == 3:
    Path(run_dir, "tiny.ipynb").unlink()
    Path(run_dir, "tiny.ipynb").mkdir()"""
    notebook = tiny(tmp_path, spoil, end=END.replace('"seed": -1', '"odd\\ud800": 1'))
    out = tmp_path / "out"
    assert sweep(notebook, *seeds("0,1,3,2"), "--out", out, "--workers", 1) == 1
    error = capfd.readouterr().err
    assert "failed: seed=1: its folder can't be kept: Is a directory (run.json)" in error
    assert "failed: seed=3: IsADirectoryError: [Errno 21]" in error and "Traceback" not in error
    assert statuses(out) == ["failed", "failed", "failed", "done"]
    assert summary(out)[3]["odd\\ud800"] == "1"
    assert {path.name for path in (out / "failed").iterdir()} == {"seed=0", "seed=1", "seed=3"}


def test_a_place_that_is_taken_is_told_before_anything_starts(tmp_path, capsys):
    out = tmp_path / "out"
    options = [tiny(tmp_path), *seeds("0,1"), "--out", out]
    fake_sweep(out, options[0])
    (out / "seed=1").mkdir()
    for dry in ([], ["--dry-run"]):
        assert sweep(*options, *dry) == 1
        said = f"{out / 'seed=1'} holds no run.json. Delete it to run it again.\n"
        assert capsys.readouterr().err == said
    assert not begun(tmp_path)


def fake_sweep(out, notebook):
    """Write what a sweep leaves that finished seed 0."""
    (out / "seed=0").mkdir(parents=True)
    record = {"parameters": {"seed": 0}, "metrics": {}, "status": "done", "error": ""}
    (out / "seed=0" / "run.json").write_text(json.dumps(record))
    description = origin_of(str(notebook), {"seed": [0]}, 1) | {"parameters": ["seed"]}
    (out / "sweep.json").write_text(json.dumps(description))


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", "null", '{"status": "done"}', "\udcff"])
def test_files_of_a_sweep_that_were_broken_are_told(tmp_path, capsys, text):
    out = tmp_path / "out"
    options = [tiny(tmp_path), *seeds("0"), "--out", out]
    fake_sweep(out, options[0])
    record, sweep_file = out / "seed=0" / "run.json", out / "sweep.json"
    good = sweep_file.read_text()
    sweep_file.write_bytes(text.encode(errors="surrogateescape"))
    assert sweep(*options) == 2
    error = capsys.readouterr().err
    assert "its sweep.json is broken (" in error and error.count("\n") == 1

    sweep_file.write_text(good)
    assert sweep(*options, "--dry-run") == 0
    record.write_bytes(text.encode(errors="surrogateescape"))
    capsys.readouterr()
    assert sweep(*options) == 1
    assert f"{record} is broken. Delete {record.parent}" in capsys.readouterr().err
    assert not begun(tmp_path)


def test_a_folder_without_a_finished_run_may_become_another_sweeps(tmp_path, light):
    out = tmp_path / "out"
    notebook = tiny(tmp_path, "raise ValueError")
    assert sweep(notebook, *seeds("0"), "--out", out) == 1
    tiny(tmp_path, "1")
    assert sweep(notebook, "-p", "learning_rate", 0.5, "--out", out) == 0
    assert [row["run"] for row in summary(out)] == ["learning_rate=0.5"]
    assert not (out / "failed").exists()


@pytest.mark.parametrize(
    "text, line",
    [("a\nb", "a"), ("\n  \n b \nc", "b"), ("x" * 1000, "x" * 300), (" \n", "no message")],
)
def test_an_error_is_one_line_of_a_table(text, line):
    assert first_line(text) == line


# --- disks


def test_a_full_disk_ends_the_sweep_with_what_is_finished(tmp_path, monkeypatch, capfd, light):
    out = tmp_path / "out"
    options = [tiny(tmp_path), *seeds("0,1"), "--out", out, "--workers", 1]
    real = sweep_folder.write_whole

    def full(path, text):
        if path.name == "summary.csv" and "done" in text:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(path, text)

    with monkeypatch.context() as patch:
        patch.setattr(sweep_folder, "write_whole", full)
        assert sweep(*options) == 1
    errors = capfd.readouterr().err
    assert f"{out} can't be written (No space left on device)." in errors
    assert "Traceback" not in errors
    assert folders(out) == ["seed=0"]
    assert statuses(out) == ["missing", "missing"]  # as it was: whole

    assert sweep(*options) == 0
    assert begun(tmp_path).count(0) == 1 and folders(out) == ["seed=0", "seed=1"]


def test_a_really_full_disk(tmp_path):
    """A file system of 300 kB, which the second run fills; copied, since it is gone then."""
    private = ["unshare", "--user", "--map-root-user", "--mount"]
    if not shutil.which("unshare") or subprocess.run([*private, "true"]).returncode:
        pytest.skip("this system doesn't let users mount a file system")
    notebook = tiny(tmp_path, "Path(run_dir, 'big').write_bytes(bytes(150_000))")
    (tmp_path / "disk").mkdir()
    script = 'mount -t tmpfs -o size=300k tmpfs disk; "$@"; code=$?; cp -r disk/out .; exit $code'
    options = [notebook, *seeds("0,1,2"), "--out", "disk/out", "--workers", 1]
    result = subprocess.run(
        [*private, "sh", "-c", script, "sh", *command("sweep", *options)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert result.returncode == 1
    assert "No space left on device" in result.stderr and "Traceback" not in result.stderr
    assert folders(tmp_path / "out") == ["seed=0"]
    assert len(summary(tmp_path / "out")) == 3


def test_a_file_is_written_whole_or_stays_as_it_was(tmp_path):
    (tmp_path / ".unfinished").mkdir()
    path = tmp_path / "summary.csv"
    sweep_folder.write_whole(path, "old")
    os.link(path, tmp_path / "reader")  # who has it open reads on in the old one
    sweep_folder.write_whole(path, "new")
    assert (path.read_text(), (tmp_path / "reader").read_text()) == ("new", "old")
    with pytest.raises(UnicodeEncodeError):
        sweep_folder.write_whole(path, "newer \ud800")  # what no file can hold
    assert path.read_text() == "new"
