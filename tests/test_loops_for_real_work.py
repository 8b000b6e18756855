"""Chapter 07: a run that is killed and goes on."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import nbformat
import numpy as np
import pytest
import tensorflow as tf
from cells import run_cells
from conftest import ROOT
from helpers import TRAINING_RUN, run_here
from keras import layers
from test_run_recovery import notebook_at

from tapecourse import loops_for_real_work
from tapecourse.loops_for_real_work import (
    CHECKPOINT,
    CheckpointError,
    load_checkpoint,
    save_checkpoint,
    train_resumably,
)
from tapecourse.training import Trainer, make_batches

cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


# --- save and resume


def tiny_run(folder: Path, run: dict | None = None, epochs: int = 3) -> dict:
    """Everything that `train_resumably` needs: 3 epochs of 12 steps, with dropout, and saves."""
    keras.utils.set_random_seed(0)
    middle = [layers.Flatten(), layers.BatchNormalization(), layers.Dropout(0.5)]
    model = keras.Sequential([keras.Input((4, 4, 1)), *middle, layers.Dense(10)])
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(46, 4, 4, 1)).astype("float32"), rng.integers(0, 10, 46)
    trainer = Trainer(model, keras.optimizers.Adam(0.01), cross_entropy)
    folder.mkdir(exist_ok=True)
    return dict(
        trainer=trainer, batches=make_batches(x, y, 4, seed=0), epochs=epochs,
        validation=(x[:9], y[:9]), images=46, folder=str(folder), run=run, save_every=5,
    )  # fmt: skip


def rows_of(folder: str | Path) -> list[str]:
    """Return the lines of a history's file without its last column, the seconds."""
    lines = Path(folder, "history.csv").read_text().splitlines()
    assert lines[0].endswith(",seconds")
    return [line.rpartition(",")[0] for line in lines]


def outcome(run: dict) -> tuple[list[bytes], list[str]]:
    """Train to the end; return all variables, and the rows of the history."""
    train_resumably(**run)
    variables = [*run["trainer"].model.variables, *run["trainer"].optimizer.variables]
    return [variable.numpy().tobytes() for variable in variables], rows_of(run["folder"])


def kill_within(run: dict, event: str, number: int) -> None:
    """Let SIGKILL come before the step, or in the midst of the save, with this number."""
    target, name = {"step": (run["trainer"], "step"), "save": (os, "fsync")}[event]
    original, left = getattr(target, name), iter(range(number))

    def killed(*arguments):
        if next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments)

    setattr(target, name, killed)


def train_in_a_process(folder: str, event: str = "", number: str = "0") -> None:
    """Go on with a run, until it is killed or ends; then compare it with one in one go."""
    run = tiny_run(Path(folder))
    if event:
        kill_within(run, event, int(number))
    assert outcome(run) == outcome(tiny_run(Path(folder + "-in-one-go")))
    print("the same")


def test_killed_at_any_moment_it_ends_the_same(tmp_path):
    """By SIGKILL, before a random step and in the midst of a random save."""
    seed = int(np.random.SeedSequence().entropy % 2**32)
    random = np.random.default_rng(seed)
    kills = [["step", random.integers(6, 36)], ["save", random.integers(0, 2)], []]
    code = "import sys, test_loops_for_real_work as test; test.train_in_a_process(*sys.argv[1:])"
    for kill in kills:
        ended = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "run"), *map(str, kill)],
            capture_output=True, text=True, cwd=Path(__file__).parent,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert ended.returncode == (-signal.SIGKILL if kill else 0), (seed, ended.stderr)
    assert "resuming at step" in ended.stdout and ended.stdout.endswith("the same\n"), seed


@pytest.mark.parametrize("steps", [1, 17, 35])
def test_stopped_at_any_step_it_ends_the_same(tmp_path, steps):
    def stop(*batch):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return step(*batch)

    run = tiny_run(tmp_path / "run")
    step, left, run["trainer"].step = run["trainer"].step, iter(range(steps)), stop
    with pytest.raises(KeyboardInterrupt):
        train_resumably(**run)
    assert outcome(tiny_run(tmp_path / "run")) == outcome(tiny_run(tmp_path / "other"))


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    train_resumably(**tiny_run(tmp_path, {"rate": 0.1, "tensorflow": "2.21.0"}))
    with pytest.raises(CheckpointError, match=r"run with rate = 0.1, and this one has 0.2. Give"):
        train_resumably(**tiny_run(tmp_path, {"rate": 0.2, "tensorflow": "2.21.0"}))
    (tmp_path / "history.csv").write_text("kind")
    with pytest.raises(CheckpointError, match="history.csv is shorter than at the checkpoint"):
        train_resumably(**tiny_run(tmp_path, {"rate": 0.1}))


def test_a_broken_checkpoint_is_refused_and_changes_nothing(tmp_path):
    path = tmp_path / "state.npz"
    numbers = [tf.Variable([1.0, 2.0]), tf.Variable(3), tf.Variable([4.0], dtype=tf.bfloat16)]
    save_checkpoint(path, numbers, step=7, names=["ä"])
    whole = path.read_bytes()
    for variable in numbers:
        variable.assign(0 * variable)
    for size in range(0, len(whole), 10):
        path.write_bytes(whole[:size])
        with pytest.raises(CheckpointError, match="state.npz is no whole checkpoint"):
            load_checkpoint(path, numbers)
    path.write_bytes(whole)
    others = [tf.Variable([0.0]), tf.Variable([0, 0]), tf.Variable([0.0, 0.0], dtype=tf.float64)]
    for other in others:
        with pytest.raises(CheckpointError, match="3 variables of another model"):
            load_checkpoint(path, [other, *numbers[1:]])
    with pytest.raises(CheckpointError, match="3 variables of another model"):
        load_checkpoint(path, numbers[:2])
    assert [v.numpy().tolist() for v in numbers] == [[0, 0], 0, [0]]
    assert load_checkpoint(path, numbers) == {"step": 7, "names": ["ä"]}
    assert [v.numpy().tolist() for v in numbers] == [[1, 2], 3, [4]]


# --- the training run goes on


def test_the_training_run_goes_on(tmp_path, monkeypatch):
    """Stopped at step 150 of 4 times 50; the same cells again end as in one go."""
    digits = {name: np.zeros((112, 28, 28), np.uint8) for name in ("x_train", "x_test")}
    labels = {name: np.arange(112) % 10 for name in ("y_train", "y_test")}
    np.savez(tmp_path / "small.npz", **digits, **labels)
    values = dict(dataset=str(tmp_path / "small.npz"), epochs=4, batch_size=2)

    def stop(*epoch):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return end_epoch(*epoch)

    end_epoch, left = loops_for_real_work.end_epoch, iter(range(2))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loops_for_real_work, "end_epoch", stop)
        run_cells(TRAINING_RUN, values | dict(run_dir=str(tmp_path / "a")), last="run")
    with pytest.raises(CheckpointError, match="epochs = 4, and this one has 5"):
        run_cells(TRAINING_RUN, values | dict(run_dir=str(tmp_path / "a"), epochs=5), last="run")
    texts = run_cells(TRAINING_RUN, values | dict(run_dir=str(tmp_path / "a")), last="results")
    assert "resuming at step 150 of 200\nepoch 3/4" in texts["run"]
    texts = run_cells(TRAINING_RUN, values | dict(run_dir=str(tmp_path / "b")), last="results")
    assert "resuming" not in texts["run"]
    assert rows_of(tmp_path / "a") == rows_of(tmp_path / "b")
    assert not (tmp_path / "a" / CHECKPOINT).exists()


def test_resume_no_starts_anew(tmp_path):
    values = dict(run_dir=str(tmp_path), resume="no", epochs=1, batch_size=2000)
    (tmp_path / CHECKPOINT).write_text("broken")
    texts = run_cells(TRAINING_RUN, values, last="run")
    assert texts["run"].startswith("epoch 1/1")


LEAVES = """\
assert size != 2 or Path(run_dir, "history.csv").exists() == (here / "again").exists()
Path(run_dir, "history.csv").write_text("rows")
Path(run_dir, "checkpoint.npz").write_text("state")"""


@pytest.mark.parametrize("end, status", [("raise KeyError", 1), ("os.kill(os.getpid(), 9)", 0)])
def test_the_same_command_goes_on_from_a_checkpoint(tmp_path, end, status):
    """And only the same: with another size, it starts anew."""
    fail = f"(here / 'again').exists() or ((here / 'again').touch(), {end})"
    fail = fail.replace("raise KeyError", "{}[0]")
    notebook, out = notebook_at(tmp_path, LEAVES, fail), ["--out", tmp_path / "out"]
    assert run_here(notebook, "-p", "size", 2, *out) == status
    if status:
        cells = nbformat.read(tmp_path / "failed" / "out" / notebook.name, as_version=4).cells
        assert "KeyError" in str(cells)
        assert run_here(notebook, "-p", "size", 2, *out) == 0
    (tmp_path / "again").unlink()
    assert run_here(notebook, "-p", "size", 3, *out) == 1
