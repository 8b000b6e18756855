"""A training loop as small as can be, with all that a real one remembers."""

from typing import Any

import numpy as np

import tensorflow as tf

__all__ = ["LittleLoop"]


class LittleLoop:
    """Fits a line to five points, one point a step, with momentum and noisy inputs."""

    def __init__(self, seed: int):
        self.random = np.random.default_rng(seed)
        self.line = tf.Variable(tf.zeros(2))  # slope and intercept
        self.velocity = tf.Variable(tf.zeros(2))
        self.order: list = []  # in which the points of this epoch come
        self.done = 0  # how many of them have been trained on
        self.total = 0.0  # of their losses
        self.history: list = []  # the mean loss of each epoch that is over

    def step(self) -> float:
        """Train on the next point; return its loss before the update."""
        if self.done == len(self.order):
            self.order, self.done, self.total = list(self.random.permutation(5)), 0, 0.0
        x = 0.5 * self.order[self.done]
        with tf.GradientTape() as tape:
            noisy = x + 0.1 * self.random.normal()
            loss = (self.line[0] * noisy + self.line[1] - (2 * x - 1)) ** 2
        gradient: Any = tape.gradient(loss, self.line)
        self.velocity.assign(0.8 * self.velocity - 0.02 * gradient)
        self.line.assign_add(self.velocity)
        self.done, self.total = self.done + 1, self.total + float(loss)
        if self.done == len(self.order):
            self.history.append(self.total / self.done)
        return float(loss)
