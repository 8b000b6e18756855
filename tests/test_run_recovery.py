"""`tapecourse run` when something breaks: kills, interrupts, time limits, the disk."""

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path
from textwrap import indent

import nbformat
import pytest
from helpers import (
    THOROUGH,
    command,
    end_of,
    having,
    make_notebook,
    run,
    run_here,
    start,
    wait_for,
    waits,
)


PARAMETERS = """\
size: int = 1  # a size
run_dir: str = ""  # a folder"""
GO_ON = "To continue, run the same command again.\n"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a finished run of size 1."""
    made = tmp_path_factory.mktemp("finished")
    assert run_here(notebook_at(made), "--out", made / "out") == 0
    return made / "out"


@pytest.fixture
def here(tmp_path):
    return tmp_path


@pytest.fixture
def place(here, finished):
    """A run's folder, with an earlier run."""
    return shutil.copytree(finished, here / "out")


def notebook_at(here, *cells):
    """A notebook that leaves a file of its size, and does `cells` in between."""
    first = f"""\
import os, signal, subprocess, sys, time
from pathlib import Path
here = Path({str(here)!r})
Path(run_dir, "one").write_text(str(size))"""
    last = 'Path(run_dir, "two").write_text(str(size))\nprint(size)'
    return make_notebook(here / "small.ipynb", first, *cells, last, parameters=PARAMETERS)


def content(place):
    """Return all files of a run, which must be whole: those of one run, and of no other."""
    files = {path.name: path.read_bytes() for path in place.iterdir()}
    record = json.loads(files["run.json"])
    size = str(record["parameters"].get("size", 1))
    assert record["status"] == "done" and set(files) == {*record["files"], *files}
    assert set(files) >= {"small.ipynb", "one", "two", "run.json"}
    assert files["one"].decode() == files["two"].decode() == size
    executed = nbformat.reads(files["small.ipynb"].decode(), as_version=4)
    assert executed.cells[-1].outputs[0].text == f"{size}\n"
    return files


def child(word, options="start_new_session=True"):
    """Return code that starts a process which the word is on the command line of."""
    program = f"['/bin/sh', '-c', '/bin/sleep 600; true', '{word}']"
    return f"subprocess.Popen({program}, stdout=subprocess.DEVNULL, {options})"


# --- an earlier run stays as it was


FAULTS = [
    ("raise ValueError", 1),
    ("os._exit(1)", 1),
    ("sys.exit()", 1),
    ("from tapecourse.support.errors import InputError; raise InputError('size', 2, '')", 2),
    ("import shutil; shutil.rmtree(run_dir)", 1),
    ("Path(run_dir, 'metrics.json').write_text('{')", 1),
    ("Path(run_dir, 'run.json').mkdir()", 1),
]


def test_a_rerun_that_fails_leaves_the_earlier_run(here, place, capfd):
    before = content(place)
    for fault, status in FAULTS:
        assert run_here(notebook_at(here, fault), "-p", "size", 2, "--out", place) == status, fault
        assert content(place) == before
        assert "Traceback" not in capfd.readouterr().err
        assert not (here / ".unfinished" / "out").exists()
        assert (here / "failed" / "out" / "run.json").exists() == (status == 1)
        shutil.rmtree(here / "failed", ignore_errors=True)

    (place / "notes").write_text("mine")
    assert run_here(notebook_at(here, "raise ValueError"), "--out", place) == 1
    assert run_here(notebook_at(here), "-p", "size", 3, "--out", place) == 0
    assert content(place)["one"] == b"3" and (place / "notes").read_text() == "mine"
    assert not (here / "failed").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_rerun_leaves_the_earlier_run_and_says_a_word(here, place, number):
    notebook = notebook_at(here, "(here / 'begun').touch()", waits())
    before = content(place)
    process = start("run", notebook, "-p", "size", 2, "--out", place)
    wait_for((here / "begun").exists, process)
    assert run_here(notebook, "--out", place) == 2, "a second run into the folder is refused"
    process.send_signal(number)
    output, errors = end_of(process)
    assert process.returncode == 1 and "Traceback" not in errors
    word = "Interrupted" if number == signal.SIGINT else "Ended by SIGTERM"
    failed = here / "failed" / "out"
    assert f"What was recorded is in {failed}.\n{word}. {GO_ON}" in errors
    assert json.loads((failed / "run.json").read_text())["error"] == "interrupted"
    assert (failed / "one").read_text() == "2" and not (failed / "two").exists()
    assert content(place) == before and not having(str(here / ".unfinished"))


def test_two_runs_into_one_folder(here, capfd):
    """The second is refused in one line, by whichever path; one beside it is not."""
    notebook, place = notebook_at(here, "(here / 'begun').touch()", waits()), here / "out"
    (here / "link").symlink_to(here)
    process = start("run", notebook, "--out", place)
    wait_for((here / "begun").exists, process)
    assert run_here(notebook, "--out", here / "link" / "out") == 2
    error = capfd.readouterr().err
    assert "another run is writing to this folder" in error and error.count("\n") == 1
    (here / "go").touch()
    assert run_here(notebook, "--out", here / "beside") == 0
    end_of(process)
    assert process.returncode == 0 and content(place) and content(here / "beside")


def test_an_interrupt_while_a_run_is_kept_waits(here, place, monkeypatch, capfd, light):
    """It comes between the two renames, at which the earlier run is in no place of its own."""
    rename = os.rename

    def interrupted(source, target):
        rename(source, target)
        if Path(target).name == "earlier":
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(os, "rename", interrupted)
    assert run_here(notebook_at(here), "-p", "size", 2, "--out", place) == 1
    assert capfd.readouterr().err.endswith(f"Interrupted. {GO_ON}")
    assert content(place)["one"] == b"2"


@pytest.mark.parametrize("target", ["earlier", "out"])
def test_a_rename_that_the_disk_refuses_leaves_the_earlier_run(
    here, place, monkeypatch, capfd, light, target
):
    before = content(place)
    rename, unfinished = os.rename, here / ".unfinished" / "out"

    def refuse(source, name):
        places = {"earlier": unfinished / "earlier", "out": place}
        if name == places[target] and source != places["earlier"]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(name))
        rename(source, name)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", refuse)
        assert run_here(notebook_at(here), "-p", "size", 2, "--out", place) == 1
    error = capfd.readouterr().err
    assert "its folder can't be kept: No space left on device" in error
    assert content(place) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_while_python_ends_comes_too_late(here, number):
    (here / "sitecustomize.py").write_text(f"""\
import atexit, sys, time
from pathlib import Path
here = Path(__file__).parent
def end():
    (here / "ending").touch()
{indent(waits(), "    ")}
if "tapecourse" in sys.orig_argv:
    atexit.register(end)""")
    process = start("run", notebook_at(here), "--out", here / "out", path=here)
    wait_for((here / "ending").exists, process)
    process.send_signal(number)
    (here / "go").touch()
    _, errors = end_of(process)
    assert process.returncode == 0 and "Traceback" not in errors
    assert content(here / "out")


# --- kills


def test_a_killed_run_leaves_no_kernel_and_the_next_ends_what_it_started(here):
    """Its kernel has a child, which outlives it until the same command is run again."""
    word = f"tapecourse-test-{os.getpid()}"
    begin = f"(here / 'go').exists() or {child(word)}\n(here / 'begun').touch()"
    notebook, place = notebook_at(here, begin, waits()), here / "out"
    process = start("run", notebook, "--out", place)
    wait_for((here / "begun").exists, process)
    process.kill()
    end_of(process)
    wait_for(lambda: len(having(word)) <= 1)
    assert not place.exists() and any((here / ".unfinished" / "out").iterdir())
    (here / "go").touch()
    assert run_here(notebook, "--out", place) == 0
    assert content(place) and not having(word)
    assert not (here / ".unfinished" / "out").exists()


@pytest.mark.skipif(not THOROUGH, reason="30 kills: for the profile `thorough`")
def test_kills_at_random_moments(here):
    """Whatever was there is whole after each; the same command completes what was killed."""
    kills, after_its_end = 30, 0
    notebook, place, unfinished = notebook_at(here), here / "out", here / ".unfinished" / "out"
    choice = random.Random(0)
    begun = time.perf_counter()
    assert run("run", notebook, "-p", "size", 0, "--out", place).returncode == 0
    whole = time.perf_counter() - begun  # how long a run takes here; it only spreads the kills
    for size in range(1, kills + 1):
        options = ["run", notebook, "-p", "size", size, "--out", place]
        before = content(place)
        process = start(*options)
        time.sleep(choice.uniform(0, whole))
        process.kill()
        end_of(process)
        wait_for(lambda: not having(str(unfinished)))
        found = content(place if place.exists() else unfinished / "earlier")
        assert found == before or found["one"] == str(size).encode()
        after_its_end += found != before
        if size % 3 == 0:
            assert run(*options).returncode == 0
            assert content(place)["one"] == str(size).encode() and not unfinished.exists()
    print(f"{kills} kills; {after_its_end} runs were complete")


def test_a_run_killed_between_its_renames_is_finished_by_the_next(here, place, capfd, light):
    before = content(place)
    earlier = here / ".unfinished" / "out" / "earlier"
    earlier.parent.mkdir(parents=True)
    place.rename(earlier)
    assert run_here(notebook_at(here, "raise ValueError"), "--out", place) == 1
    assert content(place) == before


# --- time limits


def test_a_run_that_hangs_is_ended_with_all_its_children(here, capfd):
    word = f"tapecourse-test-{os.getpid()}"
    hang = f"""\
{child(word)}
{child(word, "env={}")}
signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True:
    time.sleep(600)"""
    assert run_here(notebook_at(here, hang), "--timeout", "4", "--out", here / "out") == 1
    error = capfd.readouterr().err
    assert "it took longer than --timeout 4, in seconds" in error and "Traceback" not in error
    wait_for(lambda: not having(word))
    assert json.loads((here / "failed" / "out" / "run.json").read_text())["status"] == "failed"


def test_a_limit_that_ends_before_the_kernel_has_started_holds_too(here, capfd):
    notebook = notebook_at(here, waits())
    assert run_here(notebook, "--timeout", "1e-3", "--out", here / "out") == 1
    error = capfd.readouterr().err
    assert "it took longer than --timeout 0.001" in error and "tried" not in error


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_limit_beyond_what_a_clock_can_count_is_none(here, capfd):
    """And what a run has started ends with it."""
    word = f"tapecourse-test-{os.getpid()}"
    notebook = notebook_at(here, child(word))
    assert run_here(notebook, "--timeout", "1e300", "--out", here / "out") == 0
    assert "Traceback" not in capfd.readouterr().err
    wait_for(lambda: not having(word))


# --- disks


def test_a_really_full_disk_leaves_the_earlier_run(here):
    private = ["unshare", "--user", "--map-root-user", "--mount"]
    if not shutil.which("unshare") or subprocess.run([*private, "true"]).returncode:
        pytest.skip("this system doesn't let users mount a file system")
    (here / "disk").mkdir()
    big = "Path(run_dir, 'big').write_bytes(bytes(150_000 if size == 1 else 300_000))"
    options = command("run", notebook_at(here, big), "--out", "disk/out")
    script = """\
mount -t tmpfs -o size=300k tmpfs disk
"$@" && cp -r disk/out first
"$@" -p size 2
code=$?
cp -r disk/out second
exit $code"""
    result = subprocess.run(
        [*private, "sh", "-c", script, "sh", *options], capture_output=True, text=True, cwd=here
    )
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert "No space left on device" in result.stderr
    assert content(here / "first") == content(here / "second")


def test_odd_files_of_a_run_are_kept_as_they_are(here, light):
    odd = "os.mkfifo(Path(run_dir, 'pipe'))\nos.symlink('nowhere', Path(run_dir, 'link'))"
    assert run_here(notebook_at(here, odd), "--out", here / "out") == 0
    assert {"pipe", "link"} < set(os.listdir(here / "out"))
