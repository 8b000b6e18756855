"""Chapter 06: its normalization layer, its loop beside chapter 05's, and its measurements."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tapecourse.fast_loops import BatchNormalization, FastTrainer, fuse, train_epoch_fast
from tapecourse.support.errors import LossNotFinite
from tapecourse.support.progress import progress_bar
from tapecourse.training import (
    History,
    Trainer,
    build_model,
    load_data,
    make_batches,
    train,
    train_epoch,
)

random = np.random.default_rng(0)


def outputs_and_gradients(layer: layers.Layer, x: np.ndarray, training: bool) -> list:
    x, weights = tf.constant(x), tf.constant(np.sin(np.arange(x.size)).reshape(x.shape), x.dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=training)
        loss = tf.reduce_sum(weights * tf.cast(y, x.dtype))
    return [y, *tape.gradient(loss, [x, *layer.trainable_variables])]


CASES = [  # shape of the inputs, options of the layer
    ((6, 5, 4, 3), {}),
    ((7, 3), {}),
    ((1, 3), {}),  # a batch of one row, whose variance is 0
    ((4, 2, 3), {"momentum": 0.5, "epsilon": 0.1}),
    ((4, 5, 3), {"axis": 1}),  # from here on Keras's own call does it
    ((4, 5, 3), {"scale": False}),
    ((4, 3), {"dtype": "float64"}),
    ((4, 3), {"dtype": "mixed_float16"}),
]


@pytest.mark.parametrize("shape, options", CASES)
def test_the_fused_layer_is_keras_layer(shape, options):
    """Outputs, gradients and averages, in training, inference and frozen, to 1e-5."""
    x = random.normal(3, 0.5, shape).astype(options.get("dtype", "float32").replace("mixed_", ""))
    pair = layers.BatchNormalization(**options), BatchNormalization(**options)
    for layer in pair:
        layer.build(shape)
        for number, weight in enumerate(layer.trainable_variables):
            weight.assign(np.linspace(0.5, 2 + number, weight.shape[0]))
    for training, trainable in [(True, True), (False, True), (True, False)]:
        for layer in pair:
            layer.trainable = trainable
        expected, found = (outputs_and_gradients(layer, x, training) for layer in pair)
        for theirs, ours in zip(expected, found, strict=True):
            assert theirs.dtype == ours.dtype
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
        for theirs, ours in zip(*(layer.get_weights() for layer in pair), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert np.abs(pair[1].moving_mean.numpy()).min() > 0.01  # they have moved


def test_a_fused_model_shares_all_variables_and_its_files(tmp_path):
    model = build_model()
    model.layers[1].trainable = False
    twin = fuse(model)
    assert [type(layer).__name__ for layer in twin.layers] == [
        type(layer).__name__ for layer in model.layers
    ]
    assert sum(type(layer) is BatchNormalization for layer in twin.layers) == 7
    for name in ("weights", "trainable_variables"):
        mine, its = (getattr(each, name) for each in (model, twin))
        assert len(mine) == len(its) and all(a is b for a, b in zip(mine, its))
    images = random.random((8, 28, 28, 1)).astype("float32")
    twin(images, training=True)
    model.layers[-1].kernel.assign(random.normal(size=(256, 10)))
    np.testing.assert_allclose(model(images), twin(images), rtol=1e-4, atol=1e-5)
    for source, other in [(twin, build_model()), (model, fuse(build_model()))]:
        source.save_weights(tmp_path / "a.weights.h5")
        other.load_weights(tmp_path / "a.weights.h5")
        np.testing.assert_allclose(other(images), source(images), rtol=1e-4, atol=1e-5)


def test_other_graphs_of_layers_are_fused_too():
    inputs = keras.Input((8, 8, 3))
    inner = layers.BatchNormalization()(inputs)
    model = keras.Model(inputs, layers.BatchNormalization()(layers.Add()([inputs, inner])))
    images = random.random((4, 8, 8, 3)).astype("float32")
    twin = fuse(model)
    assert len(twin.weights) == len(model.weights) == 8
    for training in (True, False):
        np.testing.assert_allclose(
            model(images, training=training), twin(images, training=training), atol=1e-5
        )


@pytest.fixture(scope="module")
def images_and_labels() -> tuple[np.ndarray, np.ndarray]:
    data = load_data("mnist_5k")
    return data.x_train[:300], data.y_train[:300]


def small_trainer(kind: type[Trainer], rate: float = 0.1) -> Trainer:
    keras.utils.set_random_seed(0)
    middle = [layers.Dense(8, "relu"), layers.BatchNormalization(), layers.Dropout(0.5)]
    model = [keras.Input((28, 28, 1)), layers.Flatten(), *middle, layers.Dense(10)]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return kind(keras.Sequential(model), keras.optimizers.SGD(rate), loss)


def trained(kind: type[Trainer], one_epoch, data, epochs: int = 2) -> tuple[Trainer, History]:
    """Train in batches of 4, 75 an epoch, so that an epoch is more than a chunk."""
    trainer, history = small_trainer(kind), History(300)
    batches = make_batches(*data, 4, seed=0)
    train(trainer, batches, epochs, data, history, one_epoch)
    return trainer, history


@pytest.mark.parametrize("policy, tolerance", [("float64", 1e-10), ("float32", 1e-3)])
def test_the_fast_loop_is_chapter_05s_loop(images_and_labels, policy, tolerance):
    """In float32 other roundings of the fused operation grow over 150 steps of training."""
    keras.config.set_floatx(policy)
    keras.config.set_dtype_policy(policy)
    try:
        slow, expected = trained(Trainer, train_epoch, images_and_labels)
        fast, found = trained(FastTrainer, train_epoch_fast, images_and_labels)
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")
    for kind in ("step", "epoch"):
        ours, theirs = found.table(kind), expected.table(kind)
        for column in set(theirs.columns) - {"seconds"}:
            np.testing.assert_allclose(ours[column], theirs[column], rtol=tolerance)
    for ours, theirs in zip(fast.model.weights, slow.model.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)
    assert fast.steps.experimental_get_tracing_count() == 1


def test_an_epoch_that_was_begun_goes_on(images_and_labels):
    """What follows a chunk may stop the epoch; the rows up to there are written."""
    trainer, history = small_trainer(FastTrainer), History(300)

    def stop():
        raise KeyboardInterrupt

    with progress_bar(300) as bar:
        batches = make_batches(*images_and_labels, 4, seed=0)
        with pytest.raises(KeyboardInterrupt):
            train_epoch_fast(trainer, batches, history, bar, after_chunk=stop)
        assert history.steps_done == 50
        batches = make_batches(*images_and_labels, 4, seed=0)  # as another process would
        train_epoch_fast(trainer, batches, history, bar)
    _, whole = trained(FastTrainer, train_epoch_fast, images_and_labels, epochs=1)
    np.testing.assert_array_equal(history.table("step").loss, whole.table("step").loss)


def test_a_loss_that_is_not_finite_stops_the_fast_loop(images_and_labels):
    trainer, history = small_trainer(FastTrainer, rate=1e30), History(300)
    batches = make_batches(*images_and_labels, 4, seed=0)
    with pytest.raises(LossNotFinite), progress_bar(300) as bar:
        train_epoch_fast(trainer, batches, history, bar)
    assert history.steps_done == 50
