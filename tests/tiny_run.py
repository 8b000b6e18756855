"""A tiny training run that can be killed: `python tiny_run.py FOLDER EVENT,NUMBER ...`.

Each EVENT is a process that goes on with the run: it is killed before the "step", or in the midst
of the "save", with this number; or "never", and then compares what it ends with. The processes are
forked by one that has loaded TensorFlow, and has computed nothing with it.
"""

import gc
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

if __name__ == "__main__":
    gc.disable()  # or it would look at all of TensorFlow's objects again and again as they come

import keras
import numpy as np
from keras import layers

from tapecourse import fast_loops, loops_for_real_work
from tapecourse.fast_loops import FastTrainer, train_epoch_fast
from tapecourse.loops_for_real_work import train_epoch_in_chunks, train_resumably
from tapecourse.training import Trainer, make_batches

cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def save_often(set_in: Callable = setattr) -> None:
    """Take chunks of 5 steps, not 50, and save after each."""
    for module in (loops_for_real_work, fast_loops):
        set_in(module, "READ_EVERY", 5)
    set_in(loops_for_real_work, "SAVE_SECONDS", 0.0)


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


def go_on(folder: str, event: str, number: str) -> None:
    """Go on with the run, until it is killed or ends; then compare it with one in one go."""
    run = tiny_run(Path(folder))
    if event != "never":
        kill_within(run, event, int(number))
    assert outcome(run) == outcome(tiny_run(Path(folder + "-in-one-go")))
    print("the same", flush=True)


if __name__ == "__main__":
    save_often()
    for each in sys.argv[2:]:
        child = os.fork()
        if child == 0:
            go_on(sys.argv[1], *each.split(","))
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print("ended by", status, flush=True)
