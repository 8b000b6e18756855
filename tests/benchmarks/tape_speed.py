"""Times the tape of chapter 03: ``make bench``.

First chains of operations, to see whether time grows in proportion to their length, with
Python's garbage collector and without: it looks through all living objects every now and then,
and a long record is many objects. Then the training step of a small network, with our tape and
with TensorFlow's, eager. The contenders take turns, and the tables show medians over the rounds.
"""

import argparse
import gc
from collections.abc import Callable
from pathlib import Path

from tapecourse.support.notebook import quiet_tensorflow

# ruff: noqa: E402
quiet_tensorflow()  # before the first import of it

import numpy as np
import pandas as pd
import tensorflow as tf
from threadpoolctl import threadpool_limits

from tapecourse import tape
from tapecourse.support.data import read_arrays
from tapecourse.support.step_timing import in_turns

LENGTHS = [1_000, 3_000, 10_000, 30_000, 100_000]
BATCH_SIZE = 64
HIDDEN = 64
RATE = 0.1


def chain(length: int, collect: bool) -> Callable[[], None]:
    x = tape.Variable(2.0)

    def record_and_differentiate():
        with tape.Tape() as recording:
            y = x
            for _ in range(length):
                y = y * 1.000001
        recording.gradient(y, x)

    def without_collector():
        gc.disable()
        record_and_differentiate()
        gc.enable()

    return record_and_differentiate if collect else without_collector


def slope(seconds: pd.Series) -> float:
    """Return the power of the length (the index) that the time grows with."""
    return np.polyfit(np.log(seconds.index), np.log(seconds), 1)[0]


def our_loss(images, labels, w1, b1, w2, b2):
    logits = tape.relu(images @ w1 + b1) @ w2 + b2
    return tape.reduce_mean(tape.softmax_cross_entropy(labels, logits))


def tensorflow_loss(images, labels, w1, b1, w2, b2):
    logits = tf.nn.relu(images @ w1 + b1) @ w2 + b2
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))


def batches_of_digits(dtype: str) -> list[tuple[np.ndarray, np.ndarray]]:
    arrays = read_arrays("mnist_5k")
    images = (arrays.x_train.reshape(-1, 28 * 28) / 255).astype(dtype)
    starts = range(0, len(images) - BATCH_SIZE + 1, BATCH_SIZE)
    return [(images[i : i + BATCH_SIZE], arrays.y_train[i : i + BATCH_SIZE]) for i in starts]


def initial_weights(dtype: str) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    w1 = rng.normal(size=(28 * 28, HIDDEN)) * np.sqrt(2 / 28**2)
    w2 = rng.normal(size=(HIDDEN, 10)) * np.sqrt(1 / HIDDEN)
    return [w.astype(dtype) for w in (w1, np.zeros(HIDDEN), w2, np.zeros(10))]


def epoch(loss_of: Callable, tape_class: type, weights: list, batches: list) -> Callable[[], None]:
    """Return a turn: a step of gradient descent on each batch."""

    def turn():
        for images, labels in batches:
            with tape_class() as recording:
                loss = loss_of(images, labels, *weights)
            for weight, gradient in zip(weights, recording.gradient(loss, weights)):
                weight.assign_sub(RATE * gradient)

    return turn


def time_chains(count: int) -> pd.DataFrame:
    """Return microseconds an operation: a row a length, a column with and without collector."""
    kinds = {"with collector": True, "without": False}
    chains = {(kind, n): chain(n, collect) for kind, collect in kinds.items() for n in LENGTHS}
    table = in_turns(chains, count)
    table.columns = pd.MultiIndex.from_tuples(chains)
    seconds = table.median().unstack(0)[list(kinds)]
    return (1e6 * seconds.div(seconds.index, axis="index")).rename_axis("operations")


def time_steps(count: int) -> pd.DataFrame:
    contenders, steps = {}, 0
    for dtype in ["float32", "float64"]:
        batches, weights = batches_of_digits(dtype), initial_weights(dtype)
        tensors = [tuple(map(tf.constant, batch)) for batch in batches]
        ours, theirs = list(map(tape.Variable, weights)), list(map(tf.Variable, weights))
        contenders[f"ours, {dtype}"] = epoch(our_loss, tape.Tape, ours, batches)
        contenders[f"tensorflow, {dtype}"] = epoch(
            tensorflow_loss, tf.GradientTape, theirs, tensors
        )
        steps = len(batches)
    seconds = in_turns(contenders, count) / steps
    ratios = pd.concat(
        seconds.rdiv(seconds[f"tensorflow, {dtype}"], axis="index").filter(like=dtype).median()
        for dtype in ["float32", "float64"]
    )
    table = pd.DataFrame(
        {"milliseconds": 1e3 * seconds.median(), "speed, times TensorFlow's": ratios}
    )
    return table.rename_axis("step")


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the tape of chapter 03.")
    parser.add_argument("--rounds", type=int, default=5, help="of the chains")
    parser.add_argument("--step-rounds", type=int, default=15, help="of the training steps")
    options = parser.parse_args()
    threadpool_limits(1, user_api="blas")  # as chapter 03 does
    chains, steps = time_chains(options.rounds), time_steps(options.step_rounds)
    print("microseconds an operation, in a chain of so many")
    print(chains.to_string(float_format="{:.2f}".format))
    for kind, each in chains.items():
        power = slope(each * each.index)
        print(f"{kind}: time grows with the length to the power of {power:.2f}")
    print(steps.to_string(float_format="{:.2f}".format))
    Path("runs").mkdir(exist_ok=True)
    both = pd.concat({"chain": chains, "step": steps}, names=["benchmark", "case"])
    both.to_csv("runs/bench_tape.csv")
    print("written to runs/bench_tape.csv")


if __name__ == "__main__":
    main()
