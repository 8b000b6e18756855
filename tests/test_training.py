"""The loop of chapter 05: its step, batches, schedule, history and plot."""

import hashlib
import math
import os
import subprocess
import sys
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from conftest import ROOT
from keras import layers

from tapecourse.support.errors import LossNotFinite
from tapecourse.training import (
    COLUMNS,
    Data,
    History,
    Trainer,
    build_model,
    load_data,
    make_batches,
    make_schedule,
    plot_history,
    train,
)

loss_function = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@pytest.fixture(scope="module")
def data() -> Data:
    return load_data("mnist_5k")


def fresh_model(**options) -> keras.Model:
    keras.utils.set_random_seed(0)
    return build_model(**options)


def small_trainer(optimizer: keras.Optimizer | None = None, execution="graph") -> Trainer:
    """A trainer of a small network with everything that training mode changes."""
    keras.utils.set_random_seed(0)
    dense, normalize = layers.Dense(8, activation="relu"), layers.BatchNormalization()
    middle = [layers.Flatten(), dense, normalize, layers.Dropout(0.5)]
    model = keras.Sequential([keras.Input((28, 28, 1)), *middle, layers.Dense(10)])
    return Trainer(model, optimizer or keras.optimizers.Adam(), loss_function, execution)


def small_run(data: Data, images: int, path=None) -> dict:
    """Everything that `train` needs, for the first images, in batches of 32, for one epoch."""
    return dict(
        trainer=small_trainer(),
        batches=make_batches(data.x_train[:images], data.y_train[:images], 32, seed=0),
        epochs=1,
        validation=(data.x_val[:50], data.y_val[:50]),
        history=History(images, path),
    )


# --- data and batches


def test_bundled_split_is_stratified_and_disjoint(data):
    parts = [(data.x_train, data.y_train), (data.x_val, data.y_val), (data.x_test, data.y_test)]
    assert [len(x) for x, _ in parts] == [4000, 500, 500]
    for x, y in parts:
        assert x.dtype == np.float32 and x.shape[1:] == (28, 28, 1)
        assert x.min() == 0 and x.max() == 1
        assert y.dtype == np.int64
        assert len(set(np.bincount(y))) == 1
    digests = [{hashlib.sha1(image).digest() for image in x} for x, _ in parts]
    repeated = 5000 - len(set().union(*digests))
    assert sum(map(len, digests)) - len(set().union(*digests)) == 0, f"{repeated} repeated"


@pytest.mark.parametrize("size, batch_size", [(10, 4), (64, 64), (65, 64), (3, 1)])
def test_each_example_is_seen_once_an_epoch(size, batch_size):
    batches = make_batches(np.arange(size), np.arange(size), batch_size, seed=0)
    for _ in range(3):
        seen = [batch.numpy() for batch, _ in batches]
        assert sorted(np.concatenate(seen)) == list(range(size))
        assert all(len(batch) == batch_size for batch in seen[:-1])


def test_images_stay_with_their_labels():
    for x, y in make_batches(np.arange(50), 2 * np.arange(50), 8, seed=0):
        np.testing.assert_array_equal(2 * x, y)


def test_batches_are_shuffled_anew_and_by_the_seed():
    def orders(seed):
        batches = make_batches(np.arange(50), np.arange(50), 50, seed)
        return [next(iter(batches))[0].numpy().tolist() for _ in range(2)]

    first, second = orders(seed=0)
    assert first != second != list(range(50))
    assert orders(seed=0) == [first, second]
    assert orders(seed=1)[0] != first


# --- learning rates


def rates_of(schedule: str, peak: float, steps: int) -> np.ndarray:
    rate = make_schedule(schedule, peak, steps)
    return np.array([float(rate(step)) if callable(rate) else rate for step in range(steps)])


def test_cosine_warms_up_then_falls():
    rates = rates_of("cosine", 2.0, steps=100)
    assert rates.argmax() == 25 and rates.max() == 2.0 and rates[0] == pytest.approx(2 / 25)
    assert np.ptp(np.diff(rates[:26])) < 1e-6 and (np.diff(rates[25:]) < 0).all()
    assert 0 < rates[-1] < 0.01


@pytest.mark.parametrize("steps", [1, 2, 3, 7])
@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_short_runs_have_rates(schedule, steps):
    rates = rates_of(schedule, 0.1, steps)
    assert (rates > 0).all() and rates.max() == pytest.approx(0.1)


# --- the step


def test_first_loss_is_a_guess(data):
    logits = fresh_model()(data.x_val[:50], training=False)
    assert float(loss_function(data.y_val[:50], logits)) == pytest.approx(math.log(10), abs=1e-6)


class AddsLoss(layers.Layer):
    """Adds a loss of its own, as a variational autoencoder does."""

    def call(self, inputs):
        self.add_loss(0.01 * keras.ops.mean(keras.ops.square(inputs)))
        return inputs


def compared_model(case: str) -> keras.Model:
    keras.utils.set_random_seed(0)
    penalties = {}
    if case == "scaled":  # fit itself can't add an activity's penalty, which has half precision
        penalties = dict(kernel_regularizer="l2")
    if case == "penalties":
        penalties = dict(kernel_regularizer="l2", bias_regularizer="l1", activity_regularizer="l1")
    first = layers.Dense(16, activation="relu", **penalties)
    normalize = layers.BatchNormalization()
    first.trainable = normalize.trainable = case != "frozen"
    middle = [first, normalize, layers.Dropout(0.3, seed=1)]
    middle += [AddsLoss(), layers.Dense(8, kernel_regularizer="l1"), AddsLoss()]
    ends = [keras.Input((28, 28, 1)), layers.Flatten()]
    return keras.Sequential(
        [*ends, *(middle if case == "losses" else middle[:3]), layers.Dense(10)]
    )


def make_loss(case: str):
    """Make the loss in the precision that is set; in one case it is the sum of two."""
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    if case != "losses":
        return cross_entropy
    return lambda labels, logits: cross_entropy(labels, logits) + keras.ops.mean(logits**2)


CASES = [  # what is compared, policy, tolerance: of fit's losses, over 20 steps
    ("penalties", "float64", 1e-10),
    ("frozen", "float64", 1e-10),
    ("losses", "float64", 1e-10),
    ("scaled", "mixed_float16", 1e-2),  # numbers of 11 bits
]


@pytest.mark.parametrize("case, policy, tolerance", CASES)
def test_equal_to_fit(data, case, policy, tolerance):
    """Penalties, frozen layers, several losses, a scaled loss: 20 steps of each, with dropout."""

    def optimizer():
        adam = keras.optimizers.Adam(make_schedule("cosine", 1e-2, steps=20))
        return keras.optimizers.LossScaleOptimizer(adam) if policy == "mixed_float16" else adam

    batches = tf.data.Dataset.from_tensor_slices((data.x_train, data.y_train)).batch(32).take(20)
    keras.config.set_floatx("float64" if policy == "float64" else "float32")
    keras.config.set_dtype_policy(policy)
    try:
        model = compared_model(case)
        model.compile(optimizer(), make_loss(case))
        fitted = model.fit(
            batches.repeat(), epochs=20, steps_per_epoch=1, shuffle=False, verbose=0
        )
        ours = compared_model(case)
        trainer = Trainer(ours, optimizer(), make_loss(case))
        losses = [float(trainer.step(*batch)["loss"]) for batch in batches]
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")
    np.testing.assert_allclose(losses, fitted.history["loss"], rtol=tolerance)
    assert losses[-1] < 0.95 * losses[0]  # it has learned, and so compared more than a start
    for weight, other in zip(ours.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(weight, other, rtol=tolerance, atol=tolerance)


def test_step_moves_all_weights_and_says_what_it_measured(data):
    """The CNN; its last layer starts at zero, so the others move from the second step on."""
    images, labels = data.x_train[:30], data.y_train[:30]
    model = fresh_model(dropout=0.0)
    before = [weight.numpy().copy() for weight in model.weights]
    logits = fresh_model(dropout=0.0)(images, training=True).numpy()
    trainer = Trainer(model, keras.optimizers.Adam(0.25), loss_function, "eager")
    measured = trainer.step(images, labels)
    assert float(measured["loss"]) == pytest.approx(float(loss_function(labels, logits)), rel=1e-6)
    assert int(measured["right"]) == (logits.argmax(-1) == labels).sum()
    assert float(measured["learning_rate"]) == 0.25
    assert trainer.train_means.read() == pytest.approx(
        (float(measured["loss"]), float(measured["right"]) / 30)
    )
    trainer.step(images, labels)
    for weight, old in zip(model.weights, before):
        if "seed" not in weight.path:
            assert np.abs(weight.numpy() - old).max() > 0, weight.path


def test_an_optimizer_of_another_model_is_refused(data):
    """A step can't train with an optimizer that doesn't belong to its model."""
    adam = keras.optimizers.Adam()
    small_trainer(adam)
    with pytest.raises(ValueError, match="optimizer"):
        trainer = small_trainer(adam)
        trainer.step(data.x_train[:8], data.y_train[:8])


@pytest.mark.parametrize("execution, sizes", [("graph", (32, 32, 7, 1)), ("xla", (8, 8, 1))])
def test_one_trace_serves_every_batch_size(data, execution, sizes):
    """XLA compiles for each size."""
    trainer = small_trainer(execution=execution)
    for size in sizes:
        trainer.test(data.x_train[:size], data.y_train[:size])
        assert math.isfinite(trainer.step(data.x_train[:size], data.y_train[:size])["loss"])
    assert trainer.step.experimental_get_tracing_count() == 1
    assert trainer.test.experimental_get_tracing_count() == 1


def test_evaluate_weighs_every_image_alike_and_includes_penalties(data):
    keras.utils.set_random_seed(0)
    last = layers.Dense(10, kernel_regularizer="l2")
    model = keras.Sequential([keras.Input((28, 28, 1)), layers.Flatten(), last])
    images, labels = data.x_train[:701], data.y_train[:701]
    loss, accuracy = Trainer(model, keras.optimizers.SGD(), loss_function).evaluate(images, labels)
    model.compile(loss=loss_function, metrics=["accuracy"])
    assert (loss, accuracy) == pytest.approx(model.evaluate(images, labels, verbose=0), rel=1e-4)


# --- the history


def hand_made_history(path=None) -> History:
    """Two epochs of 9 images in batches of 4, 4 and 1."""
    history = History(9, path)
    for loss, right, size in [(4.0, 1, 4), (4.0, 2, 4), (8.5, 0, 1)]:
        history.add_step(size, loss=loss, right=right, learning_rate=0.1)
    history.end_epoch(
        train_loss=4.5, train_accuracy=3 / 9, val_loss=3.0, val_accuracy=0.25, seconds=1.5
    )
    for loss, right, size in [(1.0, 4, 4), (2.0, 3, 4), (0.0, 1, 1)]:
        history.add_step(size, loss=tf.constant(loss), right=right, learning_rate=0.01)
    history.end_epoch(
        train_loss=12 / 9, train_accuracy=8 / 9, val_loss=1.0, val_accuracy=0.75, seconds=1.25
    )
    return history


def test_steps_lie_where_they_began():
    history = hand_made_history()
    steps, epochs = history.table("step"), history.table("epoch")
    assert steps.step.tolist() == [1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose(steps.epoch * 9, [0, 4, 8, 9, 13, 17])
    assert epochs.step.tolist() == [3, 6] and epochs.epoch.tolist() == [1.0, 2.0]
    assert epochs.val_loss.tolist() == [3.0, 1.0] and epochs.seconds.tolist() == [1.5, 1.25]


def test_history_file_holds_the_same(tmp_path):
    history = hand_made_history(tmp_path / "history.csv")
    table = pd.read_csv(tmp_path / "history.csv")
    assert table.columns.tolist() == COLUMNS
    assert table.kind.tolist() == 2 * ["step", "step", "step", "epoch"]
    for kind in ("step", "epoch"):
        rows = history.table(kind)
        written = table[table.kind == kind][rows.columns].reset_index(drop=True)
        pd.testing.assert_frame_equal(written, rows, check_dtype=False)


def test_train_records_every_step_and_epoch(data, capsys):
    adam = keras.optimizers.Adam(make_schedule("cosine", 0.01, steps=8))
    run = small_run(data, images=100) | dict(epochs=2, trainer=small_trainer(adam))
    train(**run)
    steps, epochs = run["history"].table("step"), run["history"].table("epoch")
    assert steps.batch_size.tolist() == [32, 32, 32, 4] * 2
    np.testing.assert_allclose(steps.epoch, [0, 0.32, 0.64, 0.96, 1, 1.32, 1.64, 1.96])
    np.testing.assert_allclose(steps.learning_rate, rates_of("cosine", 0.01, 8), rtol=1e-6)
    for number, epoch in enumerate(epochs.itertuples()):
        own = steps[4 * number : 4 * number + 4]
        assert epoch.train_loss == pytest.approx(np.average(own.loss, weights=own.batch_size))
        assert epoch.train_accuracy == pytest.approx(own.right.sum() / 100)
    assert run["trainer"].evaluate(*run["validation"]) == tuple(
        epochs.iloc[-1][["val_loss", "val_accuracy"]]
    )
    assert (epochs.seconds > 0).all()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"]


def replace_step(run: dict, change) -> None:
    """Let `change(number of the step, what it measured)` stand in for what steps measure."""
    step, numbers = run["trainer"].step, iter(range(1, 1000))
    run["trainer"].step = lambda *batch: change(next(numbers), step(*batch))


def test_an_interrupted_run_keeps_its_history(data, tmp_path):
    run = small_run(data, images=160, path=tmp_path / "history.csv")

    def interrupt(number, measured):
        if number == 4:
            raise KeyboardInterrupt
        return measured

    replace_step(run, interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(**run)
    assert len(run["history"].table("step")) == len(pd.read_csv(tmp_path / "history.csv")) == 3
    assert len(run["history"].table("epoch")) == 0
    plt.close(plot_history(run["history"]))


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("bad", [2, 60])
def test_a_loss_that_is_not_finite_stops_the_run(data, tmp_path, value, bad):
    """Within 50 steps; in the second epoch, too."""
    run = small_run(data, images=1600, path=tmp_path / "history.csv") | dict(epochs=10)
    replace_step(run, lambda n, measured: measured | ({"loss": value} if n == bad else {}))
    with pytest.raises(
        LossNotFinite, match=f"loss is {value} at step {bad} .*learning rate 0.001"
    ):
        train(**run)
    assert bad <= len(run["history"].table("step")) < bad + 50


def digest(seed):
    """Train for five steps; return a digest of all weights."""
    keras.utils.set_random_seed(seed)
    data, model = load_data("mnist_5k"), build_model()
    trainer = Trainer(model, keras.optimizers.Adam(), loss_function)
    for batch in make_batches(data.x_train[:320], data.y_train[:320], 64, seed):
        trainer.step(*batch)
    return hashlib.sha256(b"".join(weight.numpy().tobytes() for weight in model.weights))


def test_same_seed_same_weights_in_two_processes():
    code = "from tapecourse.support.notebook import quiet_tensorflow; quiet_tensorflow()\n"
    code += "from test_training import digest; print(digest(0).hexdigest())"
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parent,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert other.stdout.strip() == digest(0).hexdigest(), other.stderr


# --- the plot


@pytest.fixture
def drawn():
    figure = plot_history(hand_made_history())
    yield figure
    plt.close(figure)


def line(axis, label):
    [found] = [line for line in axis.lines if line.get_label().startswith(label)]
    return found.get_xdata(), found.get_ydata()


def test_plot_puts_each_point_where_it_was_measured(drawn):
    top, bottom = drawn.axes
    x, y = line(top, "training, each step")
    np.testing.assert_allclose(x * 9, [0, 4, 8, 9, 13, 17])
    assert y.tolist() == [4.0, 4.0, 8.5, 1.0, 2.0, 0.0]
    x, y = line(top, "training, mean of the epoch")
    assert x.tolist() == [0.5, 1.5]
    np.testing.assert_allclose(y, [4.5, 12 / 9])
    x, y = line(top, "validation")
    assert (x.tolist(), y.tolist()) == ([1.0, 2.0], [3.0, 1.0])
    x, y = line(bottom, "validation")
    assert (x.tolist(), y.tolist()) == ([1.0, 2.0], [0.25, 0.75])
    x, y = line(bottom, "training, mean of the epoch")
    assert x.tolist() == [0.5, 1.5]
    assert top.get_shared_x_axes().joined(top, bottom)
    assert bottom.get_xlabel() == "epoch"


def test_smoothing_is_centred():
    history = History(images_per_epoch=15)
    for number in range(15):
        history.add_step(1, loss=float(number == 7) + 1, right=0, learning_rate=0.1)
    figure = plot_history(history)
    x, y = line(figure.axes[0], "training, mean of 3 steps")
    plt.close(figure)
    assert np.flatnonzero(y > 1).tolist() == [6, 7, 8]
