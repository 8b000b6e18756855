"""The contender of `training_steps.py` that uses JAX, in whose environment this runs."""

import sys
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from turns import serve

BATCH_SIZE = 64
SHAPES = [(1, 16), (16, 32), (32, 32), (32, 64), (64, 64), (64, 64)]  # channels in and out
POOLED = (0, 2, 5)  # after these convolutions


def start(key: jax.Array) -> tuple[dict, dict]:
    """Make the weights of chapter 05's network, and its moving averages."""
    weights, averages = {}, {}
    sizes = [(3, 3, *channels) for channels in SHAPES] + [(576, 256), (256, 10)]
    for number, shape in enumerate(sizes):
        key, own = jax.random.split(key)
        limit = np.sqrt(6 / (np.prod(shape[:-2]) * (shape[-2] + shape[-1])))
        weights[f"kernel{number}"] = jax.random.uniform(own, shape, minval=-limit, maxval=limit)
        weights[f"bias{number}"] = jnp.zeros(shape[-1])
        if shape[-1] != 10:
            weights[f"gamma{number}"] = jnp.ones(shape[-1])
            weights[f"beta{number}"] = jnp.zeros(shape[-1])
            averages[number] = jnp.zeros(shape[-1]), jnp.ones(shape[-1])
    return weights, averages


def normalize(x: jax.Array, weights: dict, averages: dict, number: int) -> jax.Array:
    axes = tuple(range(x.ndim - 1))
    mean, variance = x.mean(axes), x.var(axes)
    old = averages[number]
    averages[number] = tuple(0.9 * a + 0.1 * b for a, b in zip(old, (mean, variance)))
    scale = weights[f"gamma{number}"] * jax.lax.rsqrt(variance + 1e-3)
    return (x - mean) * scale + weights[f"beta{number}"]


def loss_of(weights, averages, key, images, labels):
    x, averages = images, dict(averages)
    for number in range(6):
        kernel = weights[f"kernel{number}"]
        form = ("NHWC", "HWIO", "NHWC")
        x = jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=form)
        x = normalize(jax.nn.relu(x + weights[f"bias{number}"]), weights, averages, number)
        if number in POOLED:
            windows = (1, 2, 2, 1)
            x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, windows, windows, "VALID")
    x = x.reshape(len(x), -1) @ weights["kernel6"] + weights["bias6"]
    x = normalize(jax.nn.relu(x), weights, averages, 6)
    x = jnp.where(jax.random.bernoulli(key, 0.5, x.shape), 2 * x, 0)
    logits = x @ weights["kernel7"] + weights["bias7"]
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
    return loss, (averages, (logits.argmax(1) == labels).sum())


def epoch_of(x: np.ndarray, y: np.ndarray) -> Callable[[], None]:
    """An epoch in shuffled batches; each loss and the number of right answers are kept."""
    random, adam = np.random.default_rng(0), optax.adam(1e-3)
    weights, averages = start(jax.random.key(0))
    state = [weights, averages, adam.init(weights), jax.random.key(1)]

    @jax.jit
    def step(weights, averages, moments, key, images, labels):
        key, own = jax.random.split(key)
        differentiate = jax.value_and_grad(loss_of, has_aux=True)
        (loss, (averages, right)), gradients = differentiate(
            weights, averages, own, images, labels
        )
        updates, moments = adam.update(gradients, moments)
        return [optax.apply_updates(weights, updates), averages, moments, key], (loss, right)

    def epoch():
        nonlocal state
        order, measured = random.permutation(len(x)), []
        for begin in range(0, len(x), BATCH_SIZE):
            batch = order[begin : begin + BATCH_SIZE]
            state, numbers = step(*state, x[batch], y[batch])
            measured.append(numbers)
        jax.device_get(measured)

    return epoch


if __name__ == "__main__":
    with np.load(sys.argv[1]) as file:
        serve({"JAX": epoch_of(file["x"], file["y"])})
