"""Times the training steps side by side: ``make bench``.

The contenders take turns, so that a slow minute of the machine hits all of them alike; the table
shows the median over the rounds. One turn trains on as many images as the bundled training set
has, after a warm-up turn that traces and is not counted. With longer turns, where starting an
epoch weighs less: ``make bench ARGS="--dataset mnist --images 20000 --rounds 3"``.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tapecourse.support.notebook import quiet_tensorflow

# ruff: noqa: E402
quiet_tensorflow()  # before the first import of it

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from keras import layers
from tqdm import tqdm

from tapecourse.original import original_model
from tapecourse.support.progress import progress_bar
from tapecourse.training import (
    CLASSES,
    Data,
    History,
    Trainer,
    build_model,
    load_data,
    make_batches,
    make_schedule,
    train_epoch,
)

BATCH_SIZE = 64
RATE = 1e-3
loss_function = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def original_recipe(data: Data) -> Callable[[], None]:
    """The original's loop with today's API and its flaws: eager, inference mode, summed loss,
    slices in a fixed order, the last partial batch dropped, nothing recorded."""
    model = original_model()
    decay = keras.optimizers.schedules.InverseTimeDecay(RATE, decay_steps=1, decay_rate=RATE)
    optimizer = keras.optimizers.Adam(decay)  # what Adam(lr, decay) meant
    x, y = data.x_train, keras.utils.to_categorical(data.y_train, CLASSES)

    def step(images, labels):
        with tf.GradientTape() as tape:
            loss = keras.losses.categorical_crossentropy(labels, model(images))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))

    def epoch():
        for start in range(0, len(x) // BATCH_SIZE * BATCH_SIZE, BATCH_SIZE):
            step(x[start : start + BATCH_SIZE], y[start : start + BATCH_SIZE])

    return epoch


def our_loop(data: Data, execution: str) -> Callable[[], None]:
    """One epoch of chapter 05, history and learning rate included, without validation."""
    batches = make_batches(data.x_train, data.y_train, BATCH_SIZE, seed=0)
    optimizer = keras.optimizers.Adam(make_schedule("cosine", RATE, steps=len(batches)))
    trainer = Trainer(build_model(), optimizer, loss_function, execution)

    def epoch():
        images = len(data.x_train)
        with progress_bar(images) as bar:
            train_epoch(trainer, batches, History(images), bar)

    return epoch


def keras_fit(data: Data) -> Callable[[], None]:
    """`model.fit` on the same model and data, with the accuracy that our step counts as well."""
    model = build_model()
    model.compile(keras.optimizers.Adam(RATE), loss_function, metrics=["accuracy"])
    return lambda: model.fit(data.x_train, data.y_train, batch_size=BATCH_SIZE, verbose=0)


def seconds_of(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def matmul_peak(size: int = 2048) -> float:
    """Measure the machine's float32 matrix product in GFLOP/s: the best of five."""
    matrix = tf.random.normal((size, size))
    product = tf.function(lambda: tf.reduce_sum(matrix @ matrix))
    product()
    return 2e-9 * size**3 / min(seconds_of(lambda: float(product())) for _ in range(5))


def step_gflop_per_image() -> float:
    """Count the multiplications and additions of a training step: forward once, backward twice."""
    flop = 0
    for layer in build_model().layers:
        if isinstance(layer, layers.Conv2D | layers.Dense):
            positions = np.prod(layer.output.shape[1:-1], dtype=int)  # 1 for a dense layer
            flop += 2 * positions * np.prod(layer.kernel.shape)
    return 3e-9 * flop


def subset(data: Data, images: int) -> Data:
    return data._replace(x_train=data.x_train[:images], y_train=data.y_train[:images])


def rounds(contenders: dict[str, Callable], count: int) -> Iterator[dict[str, float]]:
    """Let the contenders take turns, and yield each round's seconds."""
    for work in tqdm(contenders.values(), desc="warm-up"):
        work()
    for _ in tqdm(range(count), desc="rounds"):
        yield {name: seconds_of(work) for name, work in contenders.items()}


def times(seconds: pd.DataFrame, reference: str) -> pd.Series:
    """Say how many times as fast as `reference` each is: the median of the rounds' ratios."""
    return (1 / seconds.div(seconds[reference], axis="index")).median()


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the training steps side by side.")
    parser.add_argument("--dataset", default="mnist_5k", help="as in chapter 05")
    parser.add_argument("--images", type=int, default=4000, help="images in a turn")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    data = subset(load_data(options.dataset), options.images)
    keras.utils.set_random_seed(0)
    contenders = {
        "original recipe (eager)": original_recipe(data),
        "our step, eager": our_loop(data, "eager"),
        "our step, graph": our_loop(data, "graph"),
        "our step, xla": our_loop(data, "xla"),
        "model.fit": keras_fit(data),
    }
    seconds = pd.DataFrame(rounds(contenders, options.rounds))  # a row a round
    speed = len(data.x_train) / seconds.median()
    gflop, peak = step_gflop_per_image(), matmul_peak()
    table = pd.DataFrame(
        {
            "images/s": speed,
            "times the original": times(seconds, "original recipe (eager)"),
            "times model.fit": times(seconds, "model.fit"),
            "share of matmul peak": speed * gflop / peak,
        }
    )
    layouts = ["{:,.0f}".format, "{:.2f}".format, "{:.2f}".format, "{:.1%}".format]
    print(table.to_string(formatters=layouts))
    print(f"matmul peak: {peak:,.0f} GFLOP/s; a step: {1e3 * gflop:.1f} MFLOP an image")
    Path("runs").mkdir(exist_ok=True)
    table.to_csv("runs/bench.csv", index_label="step")
    print("written to runs/bench.csv")


if __name__ == "__main__":
    main()
