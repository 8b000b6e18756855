"""The loop of chapter 05: its step, batches, learning rates, history and plot."""

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

from tapecourse.training import (
    COLUMNS,
    Data,
    History,
    LossNotFinite,
    build_model,
    compile_step,
    evaluate,
    learning_rates,
    load_data,
    make_batches,
    make_train_step,
    plot_history,
    predict_logits,
    train,
)

loss_function = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@pytest.fixture(scope="module")
def data() -> Data:
    return load_data("mnist_5k")


def fresh_model(**options) -> keras.Model:
    keras.utils.set_random_seed(0)
    return build_model(**options)


def fresh_run(data: Data, images: int, path=None, **options):
    """Everything that `train` needs, for the first images, in batches of 32, for one epoch."""
    model, adam = fresh_model(**options), keras.optimizers.Adam()
    return model, dict(
        train_step=compile_step(make_train_step(model, adam, loss_function)),
        optimizer=adam,
        batches=make_batches(data.x_train[:images], data.y_train[:images], 32, seed=0),
        rates=learning_rates("constant", 1e-3, steps=math.ceil(images / 32)),
        epochs=1,
        validate=lambda: (0.5, 0.75),
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


def test_cosine_warms_up_then_falls():
    rates = learning_rates("cosine", 2.0, steps=100)
    assert len(rates) == 100
    assert rates.argmax() == 24 and rates.max() == 2.0
    np.testing.assert_allclose(np.diff(rates[:25]), 2.0 / 25)
    assert (np.diff(rates[24:]) < 0).all()
    assert 0 < rates[-1] < 0.01


@pytest.mark.parametrize("steps", [1, 2, 3, 7])
@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_short_runs_have_rates(schedule, steps):
    rates = learning_rates(schedule, 0.1, steps)
    assert rates.shape == (steps,)
    assert (rates > 0).all() and rates.max() == pytest.approx(0.1)


# --- the step


def test_first_loss_is_a_guess(data):
    loss, _ = evaluate(fresh_model(), loss_function, data.x_val, data.y_val)
    assert loss == pytest.approx(math.log(10), abs=1e-6)


def our_losses(data, loss):
    model, adam = fresh_model(dropout=0.0), keras.optimizers.Adam(1e-3)
    step = compile_step(make_train_step(model, adam, loss))
    batches = make_batches(data.x_train[:320], data.y_train[:320], 32, seed=0)
    return np.array([step(images, labels)[0].numpy() for images, labels in batches])


@pytest.fixture
def float64():
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_dtype_policy("float32")


def test_equal_to_fit(data, float64):
    """In float64, where ten steps amplify rounding to 1e-12; fit reports in float32 (6e-8)."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, dtype="float64")
    model = fresh_model(dropout=0.0)
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=loss)
    batches = make_batches(data.x_train[:320], data.y_train[:320], 32, seed=0)
    fitted = model.fit(batches, epochs=10, steps_per_epoch=1, shuffle=False, verbose=0)
    expected = np.array(fitted.history["loss"])
    np.testing.assert_allclose(our_losses(data, loss), expected, rtol=2e-7)

    def doubled(labels, logits):
        return 2 * loss(labels, logits)

    wrong = our_losses(data, doubled) / 2  # a step that differs is told apart
    assert abs(wrong / expected - 1).max() > 1e-5


def test_moving_statistics_move_and_the_weights_too(data):
    model, adam = fresh_model(), keras.optimizers.Adam()
    step = make_train_step(model, adam, loss_function)
    before = [weight.numpy().copy() for weight in model.weights]
    for _ in range(2):  # the last layer starts at zero, so the others move from the second step on
        step(data.x_train[:32], data.y_train[:32])
    for weight, old in zip(model.weights, before):
        if "seed" not in weight.path:
            assert np.abs(weight.numpy() - old).max() > 0, weight.path


def test_step_returns_the_mean_loss_and_the_number_right(data):
    images, labels = data.x_train[:50], data.y_train[:50]
    model = fresh_model(dropout=0.0)
    logits = model(images, training=True).numpy()
    step = make_train_step(fresh_model(dropout=0.0), keras.optimizers.Adam(), loss_function)
    loss, right = step(images, labels)
    assert float(loss) == pytest.approx(float(loss_function(labels, logits)), rel=1e-6)
    assert int(right) == (logits.argmax(-1) == labels).sum()


def test_a_step_trains_the_model_it_was_made_with(data):
    old, new = fresh_model(), fresh_model()
    step = compile_step(make_train_step(old, keras.optimizers.Adam(), loss_function))
    step(data.x_train[:32], data.y_train[:32])
    assert np.abs(old.layers[-1].kernel.numpy()).max() > 0
    assert np.abs(new.layers[-1].kernel.numpy()).max() == 0


@pytest.mark.parametrize("execution, sizes", [("graph", (32, 32, 7, 1)), ("xla", (8, 8, 1))])
def test_one_trace_serves_every_batch_size(data, execution, sizes):
    """XLA compiles for each size, which takes seconds."""
    step = make_train_step(fresh_model(), keras.optimizers.Adam(), loss_function)
    step = compile_step(step, execution)
    for size in sizes:
        loss, _ = step(tf.constant(data.x_train[:size]), tf.constant(data.y_train[:size]))
        assert math.isfinite(loss)
    assert step.experimental_get_tracing_count() == 1


def test_eager_step_is_left_as_it_is():
    assert compile_step(len, "eager") is len


def test_evaluate_weighs_every_image_alike(data):
    model = fresh_model()
    model.layers[-1].kernel.assign(np.random.default_rng(0).normal(size=(256, 10)))
    images, labels = data.x_train[:70], data.y_train[:70]
    whole = model(images, training=False).numpy()
    np.testing.assert_allclose(predict_logits(model, images, 32), whole, rtol=1e-3, atol=1e-3)
    loss, accuracy = evaluate(model, loss_function, images, labels)
    assert loss == pytest.approx(float(loss_function(labels, whole)), rel=1e-3)
    assert accuracy == pytest.approx((whole.argmax(-1) == labels).mean())


# --- the history


def hand_made_history(path=None) -> History:
    """Two epochs of 9 images in batches of 4, 4 and 1."""
    history = History(9, path)
    for loss, right, size in [(4.0, 1, 4), (4.0, 2, 4), (8.5, 0, 1)]:
        history.add_step(loss, right, size, learning_rate=0.1)
    history.end_epoch(val_loss=3.0, val_accuracy=0.25, seconds=1.5)
    for loss, right, size in [(1.0, 4, 4), (2.0, 3, 4), (0.0, 1, 1)]:
        history.add_step(loss, right, size, learning_rate=0.01)
    history.end_epoch(val_loss=1.0, val_accuracy=0.75, seconds=1.25)
    return history


def test_history_arithmetic():
    history = hand_made_history()
    assert history.steps.step.tolist() == [1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose(history.steps.epoch * 9, [0, 4, 8, 9, 13, 17])
    epochs = history.epochs
    assert epochs.step.tolist() == [3, 6]
    assert epochs.epoch.tolist() == [1.0, 2.0]
    np.testing.assert_allclose(epochs.train_loss, [(16 + 16 + 8.5) / 9, (4 + 8 + 0) / 9])
    np.testing.assert_allclose(epochs.train_accuracy, [3 / 9, 8 / 9])
    assert epochs.val_loss.tolist() == [3.0, 1.0]
    assert epochs.seconds.tolist() == [1.5, 1.25]


def test_history_file_holds_the_same(tmp_path):
    history = hand_made_history(tmp_path / "history.csv")
    table = pd.read_csv(tmp_path / "history.csv")
    assert table.columns.tolist() == COLUMNS
    assert table.kind.tolist() == 2 * ["step", "step", "step", "epoch"]
    for kind, rows in [("step", history.steps), ("epoch", history.epochs)]:
        written = table[table.kind == kind][rows.columns].reset_index(drop=True)
        pd.testing.assert_frame_equal(written, rows, check_dtype=False)


def test_train_records_every_step_and_epoch(data, capsys):
    _, run = fresh_run(data, images=100)
    run |= dict(epochs=2, rates=np.array([1e-3, 2e-3, 3e-3, 4e-3] * 2))
    train(**run)
    steps, epochs = run["history"].steps, run["history"].epochs
    assert steps.batch_size.tolist() == [32, 32, 32, 4] * 2
    np.testing.assert_allclose(steps.epoch, [0, 0.32, 0.64, 0.96, 1, 1.32, 1.64, 1.96])
    np.testing.assert_allclose(steps.learning_rate, run["rates"])
    assert float(run["optimizer"].learning_rate) == pytest.approx(4e-3)
    assert epochs.val_accuracy.tolist() == [0.75, 0.75]
    assert (epochs.seconds > 0).all()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"]


def test_an_interrupted_run_keeps_its_history(data, tmp_path):
    _, run = fresh_run(data, images=160, path=tmp_path / "history.csv")
    steps_done, whole_step = [], run["train_step"]

    def interrupted_step(images, labels):
        if len(steps_done) == 3:
            raise KeyboardInterrupt
        steps_done.append(1)
        return whole_step(images, labels)

    with pytest.raises(KeyboardInterrupt):
        train(**run | dict(train_step=interrupted_step))
    assert len(run["history"].steps) == 3
    assert len(pd.read_csv(tmp_path / "history.csv")) == 3
    assert len(run["history"].epochs) == 0
    plt.close(plot_history(run["history"]))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_the_run(data, tmp_path, value):
    _, run = fresh_run(data, images=160, path=tmp_path / "history.csv")
    losses = iter([1.0, value, 1.0])
    run["train_step"] = lambda images, labels: (next(losses), 0)
    with pytest.raises(LossNotFinite, match=f"loss is {value} at step 2 .*learning rate 0.001"):
        train(**run)
    assert len(pd.read_csv(tmp_path / "history.csv")) == 2


def digest(seed):
    """Train for five steps; return a digest of all weights."""
    keras.utils.set_random_seed(seed)
    model, adam = build_model(), keras.optimizers.Adam()
    step = compile_step(make_train_step(model, adam, loss_function))
    data = load_data("mnist_5k")
    for images, labels in make_batches(data.x_train[:320], data.y_train[:320], 64, seed):
        step(images, labels)
    return hashlib.sha256(b"".join(weight.numpy().tobytes() for weight in model.weights))


def test_same_seed_same_weights_in_two_processes():
    code = "from test_training import digest; print(digest(0).hexdigest())"
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parent,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert other.stdout.strip() == digest(0).hexdigest() != digest(1).hexdigest(), other.stderr


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
        history.add_step(float(number == 7) + 1, 0, 1, 0.1)
    figure = plot_history(history)
    x, y = line(figure.axes[0], "training, mean of 3 steps")
    plt.close(figure)
    assert np.flatnonzero(y > 1).tolist() == [6, 7, 8]
