"""The fused batch normalization does what Keras's does."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tapecourse.support.layers import FusedBatchNormalization


def train_once(layer_class, inputs, dtype="float32"):
    """Return outputs, gradients and moving averages of one training call."""
    layer = layer_class(momentum=0.9, dtype=dtype)
    inputs = tf.constant(inputs, dtype)
    layer.build(inputs.shape)
    layer.gamma.assign(np.linspace(0.5, 2, inputs.shape[-1]))
    weights = tf.cast(tf.random.stateless_normal(inputs.shape, seed=(1, 2)), dtype)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs, training=True)
        loss = tf.reduce_sum(outputs * weights)
    gradients = tape.gradient(loss, [inputs, layer.gamma.value, layer.beta.value])
    return [outputs, *gradients, layer.moving_mean.numpy(), layer.moving_variance.numpy()]


@pytest.mark.parametrize("shape", [(64, 7, 7, 3), (5, 4, 4, 2), (64, 8), (2, 8), (1, 3, 3, 2)])
def test_equal_to_keras_in_training(shape):
    inputs = 3 + 2 * np.random.default_rng(0).normal(size=shape)
    for ours, keras_own in zip(
        train_once(FusedBatchNormalization, inputs),
        train_once(keras.layers.BatchNormalization, inputs),
    ):
        np.testing.assert_allclose(ours, keras_own, rtol=1e-3, atol=1e-4)


def test_one_example_stays_finite():
    for result in train_once(FusedBatchNormalization, np.ones((1, 3))):
        assert np.isfinite(result).all()


def test_inference_uses_the_moving_averages():
    layer = FusedBatchNormalization()
    layer.build((None, 2))
    layer.moving_mean.assign([1.0, 2.0])
    layer.moving_variance.assign([4.0, 9.0])
    outputs = layer(tf.constant([[3.0, 5.0]]), training=False)
    np.testing.assert_allclose(outputs, [[1.0, 1.0]], atol=1e-3)


def test_float64_is_left_to_keras():
    inputs = np.random.default_rng(0).normal(size=(8, 3))
    for ours, keras_own in zip(
        train_once(FusedBatchNormalization, inputs, "float64"),
        train_once(keras.layers.BatchNormalization, inputs, "float64"),
    ):
        np.testing.assert_array_equal(ours, keras_own)


def test_a_frozen_layer_stays_as_it_is():
    inputs = tf.constant(np.random.default_rng(0).normal(size=(8, 3)), tf.float32)
    outputs = []
    for layer in (FusedBatchNormalization(), keras.layers.BatchNormalization()):
        layer.build(inputs.shape)
        layer.trainable = False
        before = layer.get_weights()
        outputs.append(layer(inputs, training=True))
        np.testing.assert_array_equal(layer.get_weights(), before)
    np.testing.assert_array_equal(*outputs)
