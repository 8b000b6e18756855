"""The two networks of chapter 07's generative adversarial network."""

import keras
from keras import layers

__all__ = ["NOISE", "build_discriminator", "build_generator"]

NOISE = 32  # random numbers for a picture


def build_generator() -> keras.Sequential:
    """Build a network: noise (n, 32) in, pictures (n, 28, 28, 1) out, from 0 to 1."""
    steps = [keras.Input((NOISE,)), layers.Dense(7 * 7 * 32), layers.Reshape((7, 7, 32))]
    for filters in (16, 1):
        steps += [layers.BatchNormalization(momentum=0.9), layers.ReLU()]
        steps += [layers.Conv2DTranspose(filters, 4, strides=2, padding="same")]
    return keras.Sequential([*steps, layers.Activation("sigmoid")])


def build_discriminator() -> keras.Sequential:
    """Build a network: pictures (n, 28, 28, 1) in, a logit (n, 1) out, large for real ones."""
    steps = [keras.Input((28, 28, 1))]
    for filters in (16, 32):
        steps += [layers.Conv2D(filters, 4, strides=2, padding="same"), layers.LeakyReLU(0.2)]
    return keras.Sequential([*steps, layers.Flatten(), layers.Dropout(0.3), layers.Dense(1)])
