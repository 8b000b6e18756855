"""What chapter 10 exports: attributions, the attack, curvature, implicit derivatives."""

import numpy as np
import pytest
import tensorflow as tf

from tapecourse.beyond_training import (
    attack,
    hessian_product,
    implicit_gradient,
    input_gradient,
    integrated_gradients,
    largest_eigenvalue,
    smooth_gradient,
)
from tapecourse.support.experiments import film_pendulum, rank_agreement
from tapecourse.support.traced_graph import bytes_kept

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.uniform(size=(3, 4, 5, 1))
WEIGHTS = RANDOM.normal(size=(4, 5, 1))


def power(exponent):
    """Return a score, images (n, 4, 5, 1) -> (n,): a weighted sum of powers of the pixels."""
    return lambda images: tf.reduce_sum(WEIGHTS * images**exponent, axis=[1, 2, 3])


def test_each_score_is_differentiated_by_its_own_image():
    np.testing.assert_allclose(input_gradient(power(3), IMAGES), 3 * WEIGHTS * IMAGES**2)


@pytest.mark.parametrize("baseline", [0.0, IMAGES[1]])
def test_integrated_gradients_are_complete(baseline):
    """Exact where the gradient is linear; else the error falls with the square of the steps."""
    start = np.broadcast_to(baseline, IMAGES[0].shape)
    exact = WEIGHTS * (IMAGES[0] ** 2 - start**2)
    found = integrated_gradients(power(2), IMAGES[0], baseline, steps=3)
    np.testing.assert_allclose(found, exact, atol=1e-12)
    change = np.sum(WEIGHTS * (IMAGES[0] ** 3 - start**3))
    errors = [
        abs(np.sum(integrated_gradients(power(3), IMAGES[0], baseline, steps=n)) - change)
        for n in (8, 16)
    ]
    assert errors[0] / errors[1] == pytest.approx(4, rel=1e-3)


def test_smoothing_averages_over_noise():
    linear, square = (smooth_gradient(power(n), IMAGES[0], noise=0.5, samples=400) for n in (1, 2))
    np.testing.assert_allclose(linear, WEIGHTS)
    exact = 2 * WEIGHTS * IMAGES[0]
    assert 0 < np.abs(square - exact).max() < 5 * 2 * np.abs(WEIGHTS).max() * 0.5 / np.sqrt(400)
    again, other = (smooth_gradient(power(2), IMAGES[0], 0.5, 400, seed=s) for s in (0, 1))
    assert np.array_equal(square, again) and not np.array_equal(square, other)


@pytest.mark.parametrize("steps", [1, 4, 10])
def test_an_attack_goes_as_far_uphill_as_it_may(steps):
    """A linear loss is largest in a corner of the cube of allowed images, which is in [0, 1]."""
    found = attack(power(1), IMAGES, 0.2, steps).numpy()
    np.testing.assert_allclose(found, np.clip(IMAGES + 0.2 * np.sign(WEIGHTS), 0, 1))


def test_several_steps_find_what_one_leaps_over():
    """The loss is largest half a size away."""
    start = np.full((1, 2), 0.5)
    loss = lambda x: -tf.reduce_sum((x - 0.6) ** 2, axis=1)  # noqa: E731
    one, several = (float(loss(attack(loss, start, 0.2, n))[0]) for n in (1, 20))
    assert one == pytest.approx(-0.02) and several > -0.002


def test_curvature_agrees_with_the_whole_hessian():
    flat = tf.Variable(RANDOM.normal(size=17))
    points, targets = RANDOM.normal(size=(9, 2)), RANDOM.normal(size=9)

    def parts():
        return tf.reshape(flat[:8], (2, 4)), flat[8:12], flat[12:16], flat[16]

    def error(w, b, v, c):
        return tf.reduce_mean((tf.linalg.matvec(tf.tanh(points @ w + b), v) + c - targets) ** 2)

    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            value = error(*parts())
        gradient = inner.gradient(value, flat)
    hessian = outer.jacobian(gradient, flat).numpy()
    variables = [tf.Variable(part) for part in parts()]
    vector = RANDOM.normal(size=17)
    shaped = np.split(vector, [8, 12, 16])
    shaped = [tf.reshape(part, v.shape) for part, v in zip(shaped, variables)]

    def product(vectors):
        return hessian_product(lambda: error(*variables), variables, vectors)

    found = np.concatenate([np.ravel(part) for part in product(shaped)])
    np.testing.assert_allclose(found, hessian @ vector, atol=1e-10)
    eigenvalues = np.linalg.eigvalsh(hessian)
    largest = eigenvalues[np.abs(eigenvalues).argmax()]
    assert largest_eigenvalue(product, shaped, 200) == pytest.approx(largest, rel=1e-6)


def test_power_iteration_finds_a_negative_eigenvalue():
    matrix = np.diag([1.0, -3.0, 2.0])
    found = largest_eigenvalue(lambda v: [tf.linalg.matvec(matrix, v[0])], [tf.ones(3, "float64")])
    assert found == pytest.approx(-3, rel=1e-6)


def step(x, weights):
    return tf.tanh(tf.linalg.matvec(weights, x) + 0.5)


def fixed_point(weights, iterations=100):
    x = tf.zeros(3, "float64")
    for _ in range(iterations):
        x = step(x, weights)
    return x


def test_the_implicit_derivative_agrees_with_differences_and_unrolling():
    weights = tf.constant(RANDOM.uniform(-0.4, 0.4, (3, 3)))
    adjoint = tf.constant(RANDOM.normal(size=3))
    found = implicit_gradient(step, fixed_point(weights), weights, adjoint, 100)
    with tf.GradientTape() as tape:
        tape.watch(weights)
        target = tf.tensordot(adjoint, fixed_point(weights), 1)
    np.testing.assert_allclose(found, tape.gradient(target, weights), atol=1e-12)
    for place in np.ndindex(3, 3):
        shift = np.zeros((3, 3))
        shift[place] = 1e-5
        ends = [np.dot(adjoint, fixed_point(weights + s)) for s in (shift, -shift)]
        assert found[place].numpy() == pytest.approx((ends[0] - ends[1]) / 2e-5, abs=1e-8)


def test_unrolling_keeps_all_iterations_and_the_implicit_derivative_none():
    def unrolled(weights, iterations):
        with tf.GradientTape() as tape:
            tape.watch(weights)
            total = tf.reduce_sum(fixed_point(weights, iterations))
        return total, tape.gradient(total, weights)

    def implicit(weights, iterations):
        x = fixed_point(weights, iterations)
        return tf.reduce_sum(x), implicit_gradient(step, x, weights, tf.ones_like(x), 5)

    kept = {
        way: [bytes_kept(lambda w, way=way, n=n: way(w, n), np.eye(3) / 2) for n in (10, 20, 30)]
        for way in (unrolled, implicit)
    }
    assert np.ptp(np.diff(kept[unrolled])) == 0 and np.diff(kept[unrolled])[0] >= 10 * 3 * 8
    assert np.ptp(kept[implicit]) == 0 < kept[implicit][0] < kept[unrolled][0]


def test_what_a_sine_keeps():
    """Its input, for the cosine; the shape of what is summed is known."""

    def sine_of_sine(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(tf.sin(tf.sin(x)))
        return y, tape.gradient(y, x)

    assert bytes_kept(sine_of_sine, np.ones(100)) == 2 * 100 * 8


def test_agreement_of_maps():
    maps = [np.arange(6.0), np.arange(6.0) ** 3]
    assert rank_agreement(maps, maps[::-1]) == pytest.approx(1)
    assert rank_agreement(maps, [-m for m in maps]) == pytest.approx(-1)
    last_two = np.arange(6) >= 4
    turned = [np.array([0, 1, 2, 3, 5, 4.0])] * 2
    assert rank_agreement(maps, turned, [last_two] * 2) == pytest.approx(-1)
    assert 0 < rank_agreement(maps, turned) < 1


def test_the_film_shows_the_pendulum_where_physics_says():
    """Without damping, small swings have the period 2π √(1 m / g)."""
    gravity = (2 * np.pi) ** 2  # a period of one second, ten frames
    film = film_pendulum(gravity, 0.0, start=0.05, frames=21)
    assert film.shape == (21, 14, 24) and film.min() >= 0 and film.max() <= 1
    np.testing.assert_allclose(film[0], film[10], atol=1e-3)
    np.testing.assert_allclose(film[0], film[5][:, ::-1], atol=1e-3)  # on the other side
    aside = film_pendulum(gravity, 0.0, start=np.pi / 2, frames=1)[0]
    row, column = np.unravel_index(aside.argmax(), aside.shape)
    assert np.linspace(-1.4, 1.4, 24)[column] == pytest.approx(1, abs=0.07)
    assert np.linspace(-0.2, 1.4, 14)[row] == pytest.approx(0, abs=0.07)
    damped, at_rest = film_pendulum(9.8, 2.0, 1.0, 100)[-1], film_pendulum(9.8, 2.0, 0.0, 1)[0]
    np.testing.assert_allclose(damped, at_rest, atol=0.01)
