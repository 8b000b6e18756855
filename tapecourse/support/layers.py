"""Layers that compute what Keras's do, faster."""

from typing import Any

import keras
import tensorflow as tf

__all__ = ["FusedBatchNormalization"]


class FusedBatchNormalization(keras.layers.BatchNormalization):
    """`BatchNormalization` over the last axis, as one operation of TensorFlow while training.

    Keras's layer trains in a dozen operations, and their gradients in as many again; this one's
    is a single one, with a single gradient. Outputs, gradients and moving averages are the same.
    Inference, also of a frozen layer, masks and any type but float32 are left to Keras.
    """

    def call(
        self, inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None
    ) -> Any:
        """Normalize (n, channels) or (n, height, width, channels)."""
        fast = training and self.trainable and mask is None and inputs.dtype == tf.float32
        if not fast:
            return super().call(inputs, training=training, mask=mask)
        images = inputs if inputs.shape.rank == 4 else inputs[:, tf.newaxis, tf.newaxis, :]
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            images, self.gamma, self.beta, epsilon=self.epsilon, is_training=True
        )
        count = tf.cast(tf.size(images) // images.shape[-1], tf.float32)
        variance *= (count - 1) / count  # the operation divides by count - 1, Keras by count
        self._move(self.moving_mean, mean)
        self._move(self.moving_variance, variance)
        return tf.reshape(outputs, tf.shape(inputs))

    def _move(self, average: keras.Variable, batch: tf.Tensor) -> None:
        average.assign(average * self.momentum + batch * (1 - self.momentum))
