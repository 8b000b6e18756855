"""Chapter 07: a run that is killed and goes on."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from cells import run_cells
from conftest import ROOT
from helpers import TRAINING_RUN, run_here
from keras import layers
from test_run_recovery import notebook_at

from tapecourse import fast_loops, loops_for_real_work
from tapecourse.fast_loops import FastTrainer, train_epoch_fast
from tapecourse.loops_for_real_work import (
    CHECKPOINT,
    CheckpointError,
    load_checkpoint,
    save_checkpoint,
    train_epoch_in_chunks,
    train_resumably,
)
from tapecourse.training import Trainer, make_batches

cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


# --- save and resume


def save_often(patch: pytest.MonkeyPatch) -> None:
    """Take chunks of 5 steps, not 50, and save after each."""
    for module in (loops_for_real_work, fast_loops):
        patch.setattr(module, "READ_EVERY", 5)
    patch.setattr(loops_for_real_work, "SAVE_SECONDS", 0.0)


def tiny_run(folder: Path, run: dict | None = None, fast: bool = False) -> dict:
    """Everything that `train_resumably` needs: 3 epochs of 12 steps, with dropout."""
    keras.utils.set_random_seed(0)
    middle = [layers.Flatten(), layers.BatchNormalization(), layers.Dropout(0.5)]
    model = keras.Sequential([keras.Input((4, 4, 1)), *middle, layers.Dense(10)])
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(46, 4, 4, 1)).astype("float32"), rng.integers(0, 10, 46)
    kind, train_epoch = Trainer, train_epoch_in_chunks
    if fast:
        kind, train_epoch = FastTrainer, train_epoch_fast
    trainer = kind(model, keras.optimizers.Adam(0.01), cross_entropy)
    folder.mkdir(exist_ok=True)
    return dict(
        trainer=trainer, batches=make_batches(x, y, 4, seed=0), epochs=3, images=46,
        validation=(x[:9], y[:9]), folder=str(folder), run=run, train_epoch=train_epoch,
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
    save_often(pytest.MonkeyPatch())
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


@pytest.mark.parametrize("what, number", [("step", 1), ("step", 17), ("step", 35), ("steps", 5)])
def test_stopped_at_any_step_it_ends_the_same(tmp_path, monkeypatch, what, number):
    """Before one of 36 steps of chapter 05's loop, or one of 9 chunks of chapter 06's."""

    def stop(*batch):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return step(*batch)

    save_often(monkeypatch)
    fast = what == "steps"
    run = tiny_run(tmp_path / "run", fast=fast)
    step, left = getattr(run["trainer"], what), iter(range(number))
    setattr(run["trainer"], what, stop)
    with pytest.raises(KeyboardInterrupt):
        train_resumably(**run)
    resumed = outcome(tiny_run(tmp_path / "run", fast=fast))
    assert resumed == outcome(tiny_run(tmp_path / "other", fast=fast))


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
    """Stopped at the end of its third epoch; the same cells again end as in one go."""
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
    assert "resuming at step 100 of 200\nepoch 3/4" in texts["run"]
    texts = run_cells(TRAINING_RUN, values | dict(run_dir=str(tmp_path / "b")), last="results")
    assert "resuming" not in texts["run"]
    assert rows_of(tmp_path / "a") == rows_of(tmp_path / "b")
    assert not (tmp_path / "a" / CHECKPOINT).exists()
    (tmp_path / "a" / CHECKPOINT).write_text("broken")
    anew = values | dict(run_dir=str(tmp_path / "a"), epochs=1, batch_size=50)
    with pytest.raises(CheckpointError, match="is no whole checkpoint"):
        run_cells(TRAINING_RUN, anew, last="run")
    texts = run_cells(TRAINING_RUN, anew | dict(resume="no"), last="run")
    assert texts["run"].startswith("epoch 1/1")


GOES_ON = """\
went_on = Path(run_dir, "checkpoint.npz").exists() and Path(run_dir, "history.csv").exists()
Path(run_dir, "history.csv").write_text("rows")
Path(run_dir, "checkpoint.npz").write_text("state")"""


def test_the_same_command_goes_on_from_a_checkpoint(tmp_path):
    """After an error; after a kill of the kernel, at once. Another command starts anew."""

    def run_of(size, end):
        notebook = notebook_at(tmp_path, GOES_ON, once.format(end=end), last)
        return run_here(notebook, "-p", "size", size, "--out", tmp_path / "out")

    once = "(here / 'ended').exists() or ((here / 'ended').touch(), {end})"
    last = "(here / 'went on').write_text(f'{size} {went_on}')"
    assert run_of(2, "[][0]") == 1 and run_of(2, "[][0]") == 0
    assert (tmp_path / "went on").read_text() == "2 True"
    (tmp_path / "ended").unlink()
    assert run_of(2, "os.kill(os.getpid(), 9)") == 0
    assert (tmp_path / "went on").read_text() == "2 True"
    (tmp_path / "ended").unlink()
    assert run_of(2, "[][0]") == 1 and run_of(3, "[][0]") == 0
    assert (tmp_path / "went on").read_text() == "3 False"
