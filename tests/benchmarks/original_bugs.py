"""Trains the original's network with one bug at a time, for appendix A.

``python tests/benchmarks/original_bugs.py`` writes notebooks/A_bug_runs.csv: half an hour on one
core. It keeps to one thread, since the order of sums decides the last digits of a float.
"""

import os
from pathlib import Path

os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}

# ruff: noqa: E402
from tapecourse.support.notebook import quiet_tensorflow

quiet_tensorflow()  # before the first import of it

import keras
import numpy as np
import pandas as pd
from tqdm import tqdm

from tapecourse.original import train_with
from tapecourse.support.data import read_arrays

FILE = Path(__file__).parents[2] / "notebooks" / "A_bug_runs.csv"
BUGS = ["no training=True", "summed loss", "not shuffled", "last images left out"]
SLOW = "momentum 0.99"  # Keras's default
RECIPES = {"none": []} | {bug: [bug] for bug in BUGS} | {"all four": BUGS}
SLOW_RECIPES = {SLOW: [SLOW], "only training=True repaired": [*BUGS[1:], SLOW]}
EPOCHS, SEEDS = 5, 3


def runs() -> list[tuple[str, list[str], str, int, int]]:
    """Return each run's name, bugs, optimizer, seed and epochs."""
    todo = []
    for seed in range(SEEDS):
        for name, bugs in (RECIPES | SLOW_RECIPES).items():
            epochs = 2 * EPOCHS if name == SLOW and seed == 0 else EPOCHS
            todo.append((name, bugs, "Adam(0.001)", seed, epochs))
        for name in ("none", "summed loss"):
            todo.append((name, RECIPES[name], "SGD(0.1)", seed, EPOCHS))
    return todo


def main() -> None:
    arrays = read_arrays("mnist_5k")
    x_train, x_test = (
        x[..., None].astype("float32") / 255 for x in (arrays.x_train, arrays.x_test)
    )
    y_train, y_test = (keras.utils.to_categorical(y, 10) for y in (arrays.y_train, arrays.y_test))
    rows = []
    for name, bugs, optimizer, seed, epochs in tqdm(runs()):
        made = keras.optimizers.SGD(0.1) if optimizer[0] == "S" else keras.optimizers.Adam(1e-3)
        for epoch, model in enumerate(train_with(bugs, made, x_train, y_train, epochs, seed), 1):
            predicted = model(x_test, training=False).numpy()
            right = predicted.argmax(axis=-1) == y_test.argmax(axis=-1)
            loss = keras.losses.categorical_crossentropy(y_test, predicted)
            row = {"bugs": name, "optimizer": optimizer, "seed": seed, "epoch": epoch}
            rows.append(row | {"accuracy": np.mean(right), "loss": float(np.mean(loss))})
        pd.DataFrame(rows).round(5).to_csv(FILE, index=False)


if __name__ == "__main__":
    main()
