"""The contenders of `training_steps.py` that use TensorFlow."""

import sys
import time
from collections.abc import Callable

from tapecourse.support.notebook import quiet_tensorflow

# ruff: noqa: E402
quiet_tensorflow()  # before the first import of it

import keras
import numpy as np
import tensorflow as tf
from turns import serve

from tapecourse.fast_loops import FastTrainer, train_epoch_fast
from tapecourse.original import original_model
from tapecourse.support.progress import progress_bar
from tapecourse.training import (
    CLASSES,
    History,
    Trainer,
    build_model,
    make_batches,
    make_schedule,
    train_epoch,
)

BATCH_SIZE = 64
RATE = 1e-3
SIDE = 2048  # of the matrices whose product is the peak
loss_function = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def original_recipe(x: np.ndarray, y: np.ndarray) -> Callable[[], None]:
    """The original's loop with today's API and its flaws: eager, inference mode, summed loss,
    slices in a fixed order, the last partial batch dropped, nothing recorded."""
    model = original_model()
    decay = keras.optimizers.schedules.InverseTimeDecay(RATE, decay_steps=1, decay_rate=RATE)
    optimizer = keras.optimizers.Adam(decay)  # what Adam(lr, decay) meant
    y = keras.utils.to_categorical(y, CLASSES)

    def step(images, labels):
        with tf.GradientTape() as tape:
            loss = keras.losses.categorical_crossentropy(labels, model(images))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))

    def epoch():
        for start in range(0, len(x) // BATCH_SIZE * BATCH_SIZE, BATCH_SIZE):
            step(x[start : start + BATCH_SIZE], y[start : start + BATCH_SIZE])

    return epoch


def our_loop(
    x: np.ndarray, y: np.ndarray, make_trainer: Callable, one_epoch: Callable
) -> Callable[[], None]:
    """One epoch of chapter 05 or 06, history and learning rate included, without validation."""
    batches = make_batches(x, y, BATCH_SIZE, seed=0)
    optimizer = keras.optimizers.Adam(make_schedule("cosine", RATE, steps=len(batches)))
    trainer = make_trainer(build_model(), optimizer, loss_function)

    def epoch():
        with progress_bar(len(x)) as bar:
            one_epoch(trainer, batches, History(len(x)), bar)

    return epoch


def xla_trainer(*parts: object) -> Trainer:
    return Trainer(*parts, execution="xla")


def keras_fit(x: np.ndarray, y: np.ndarray, steps: int) -> Callable[[], object]:
    """`model.fit` on the same model and data, with the accuracy that our step counts as well."""
    model = build_model()
    adam = keras.optimizers.Adam(RATE)
    model.compile(adam, loss_function, metrics=["accuracy"], steps_per_execution=steps)
    return lambda: model.fit(x, y, batch_size=BATCH_SIZE, verbose=0)


def matrix_product() -> Callable[[], float]:
    """The machine's peak: a product's seconds, the best of five."""
    matrix = tf.random.normal((SIDE, SIDE))

    def best():
        times = []
        for _ in range(5):
            start = time.perf_counter()
            (matrix @ matrix)[0, 0].numpy()
            times.append(time.perf_counter() - start)
        return min(times)

    return best


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    with np.load(sys.argv[1]) as file:
        data = file["x"], file["y"]
    serve(
        {
            "original recipe (eager)": original_recipe(*data),
            "chapter 05's loop": our_loop(*data, Trainer, train_epoch),
            "chapter 05's loop, XLA": our_loop(*data, xla_trainer, train_epoch),
            "fast loop": our_loop(*data, FastTrainer, train_epoch_fast),
            "model.fit": keras_fit(*data, steps=1),
            "model.fit, 50 steps per execution": keras_fit(*data, steps=50),
            "peak": matrix_product(),
        }
    )
