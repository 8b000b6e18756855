"""Answers to the exercises of chapter 04."""

import numpy as np
from answers import right, with_odds, wrong
from scipy.special import xlogy

import tensorflow as tf

# 4.1: which are None?


@right("4.1")
def a_list():
    return ["g", "f", "e", "c", "a"]


@right("4.1")
def a_string():
    return "acefg"


@right("4.1")
def a_generator():
    return (letter for letter in "abcdefgh" if letter not in "bdh")


for misconception, letters in [
    ("complement", "bdh"),
    ("half_a_path", "acdefg"),
    ("half_a_path", "acefgh"),
    ("watch", "abcefg"),
    ("watch", "cefg"),
    ("watch", ""),
    ("integers", "aefg"),
    ("trainable", "acfg"),
    ("rebinding", "aceg"),
    ("steps", "acef"),
    ("several", "aef"),
    ("no_letters", [True, False]),
    ("no_letters", {"a": True, "b": False}),
    ("no_letters", 5),
    ("no_letters", ["a", "c", "ef", "g"]),
    ("no_letters", ["a", "c", "e", "f", "g", ""]),
]:
    wrong("4.1", misconception)(lambda letters=letters: letters)


# 4.2: repair a slope


@right("4.2")
def with_a_variable(x):
    x = tf.Variable(tf.cast(x, tf.float32))
    with tf.GradientTape() as tape:
        y = tf.square(x) * tf.math.sin(x)
    return tape.gradient(y, x).numpy()


@right("4.2")
def one_at_a_time(x):
    x = np.array(x, float)
    slopes = np.empty_like(x)
    for index in np.ndindex(x.shape):
        at = tf.constant(x[index])
        with tf.GradientTape() as tape:
            tape.watch(at)
            y = at * at * tf.sin(at)
        slopes[index] = tape.gradient(y, at)
    return slopes


@wrong("4.2", "none")
def as_given(x):
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        y = x**2 * np.sin(x)
    return tape.gradient(y, x)


@wrong("4.2", "none")
def watched_too_late(x):
    x = tf.constant(np.asarray(x, float))
    with tf.GradientTape() as tape:
        y = x**2 * tf.sin(x)
        tape.watch(x)
    return tape.gradient(y, x)


@wrong("4.2", "numpy_path")
def only_watched(x):
    x = tf.constant(np.asarray(x, float))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = x**2 * np.sin(x)
    return tape.gradient(y, x)


@wrong("4.2", "other_path")
def square_held_still(x):
    x = tf.Variable(tf.cast(x, tf.float32))
    with tf.GradientTape() as tape:
        y = tf.stop_gradient(x * x) * tf.sin(x)
    return tape.gradient(y, x)


@wrong("4.2", "no_return")
def floats_only(x):
    if isinstance(x, int):
        x = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = x * x
        return tape.gradient(y, x)
    return with_a_variable(x)


@wrong("4.2", "numpy_and_integers")
def watched_as_it_comes(x):
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = x**2 * np.sin(x)
    return tape.gradient(y, x)


@wrong("4.2", "mean")
def mean_of_all(x):
    x = tf.Variable(tf.cast(x, tf.float32))
    with tf.GradientTape() as tape:
        y = tf.reduce_mean(x**2 * tf.sin(x))
    return tape.gradient(y, x)


@wrong("4.2", "summed")
def sum_of_slopes(x):
    return tf.reduce_sum(with_a_variable(x))


@wrong("4.2", "value_itself")
def returns_the_value(x):
    x = tf.cast(x, tf.float32)
    return x**2 * tf.sin(x)


# 4.3: a Jacobian, row by row


@right("4.3")
def of_the_library(f, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = f(x)
    return tape.jacobian(y, x)


@right("4.3")
def by_columns(f, x):
    columns = []
    for unit in tf.eye(len(x), dtype=x.dtype):
        with tf.autodiff.ForwardAccumulator(x, unit) as forward:
            y = f(x)
        columns.append(forward.jvp(y).numpy())
    return np.transpose(columns)


@right("4.3")
def by_seeds(f, x):
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = f(x)
    return [tape.gradient(y, x, unit) for unit in tf.eye(len(y), dtype=y.dtype)]


@wrong("4.3", "summed")
def one_gradient(f, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = f(x)
    return tape.gradient(y, x)


@wrong("4.3", "transposed")
def columns_as_rows(f, x):
    return tf.transpose(of_the_library(f, x))


@wrong("4.3", "counterexample")
def own_input_only(f, x):
    return tf.linalg.diag_part(of_the_library(f, x))[:, None] * np.eye(len(f(x)), len(x))


@wrong("4.3", "diagonal")
def diagonal_alone(f, x):
    matrix = of_the_library(f, x).numpy()
    return matrix * np.eye(*matrix.shape)


@wrong("4.3", "none")
def indexed_outside(f, x):
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = f(x)
    return [tape.gradient(y[i], x) for i in range(len(y))]


@wrong("4.3", "none")
def not_watched(f, x):
    with tf.GradientTape() as tape:
        y = f(x)
    return tape.jacobian(y, x)


@wrong("4.3", "none")
def forgets_to_return(f, x):
    of_the_library(f, x)


@wrong("4.3", "raises")
def stacked_none(f, x):
    return tf.stack(indexed_outside(f, x))


@wrong("4.3", "raises")
def not_persistent(f, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = tf.unstack(f(x))
    return [tape.gradient(output, x) for output in outputs]


@wrong("4.3", "flat")
def flat(f, x):
    return tf.reshape(of_the_library(f, x), [-1])


@wrong("4.3", "same_rows")
def the_sum_in_each_row(f, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = f(x)
    return tf.stack([tape.gradient(y, x)] * len(y))


@wrong("4.3", "twice")
def twice_the_jacobian(f, x):
    return 2 * of_the_library(f, x)


# 4.4: a gradient of your own


@right("4.4")
def decorated(x):
    @tf.custom_gradient
    def operation(x):
        def pull_back(bar):
            return tf.maximum(tf.minimum(bar, 1.0), -1.0)

        return x, pull_back

    return operation(x)


@tf.custom_gradient
def made_before(x):
    return x * 1.0, lambda bar: tf.sign(bar) * tf.minimum(tf.abs(bar), 1.0)


right("4.4")(made_before)


def pulled_back(pull_back):
    """Make an identity with a pull-back."""

    @tf.custom_gradient
    def operation(x):
        return tf.identity(x), pull_back

    return operation


wrong("4.4", "no_effect")(pulled_back(lambda bar: bar))
wrong("4.4", "no_effect")(tf.identity)
wrong("4.4", "zero")(pulled_back(lambda bar: tf.where(tf.abs(bar) <= 1, bar, 0.0)))
wrong("4.4", "whole")(pulled_back(lambda bar: tf.clip_by_norm(bar, 1.0)))
wrong("4.4", "whole")(pulled_back(lambda bar: bar / tf.reduce_max(tf.abs(bar))))
wrong("4.4", "only_sign")(pulled_back(tf.sign))
wrong("4.4", "one_side")(pulled_back(lambda bar: tf.minimum(bar, 1.0)))
wrong("4.4", "squashed")(pulled_back(tf.tanh))
wrong("4.4", "clips_value")(lambda x: tf.clip_by_value(x, -1.0, 1.0))
wrong("4.4", "no_path")(tf.stop_gradient)
wrong("4.4", "no_tensor")(lambda x: (x, lambda bar: tf.clip_by_value(bar, -1.0, 1.0)))
wrong("4.4", "ones")(pulled_back(tf.ones_like))


@wrong("4.4", "clips_value")
@tf.custom_gradient
def clips_both_ways(x):
    return tf.clip_by_value(x, -1.0, 1.0), lambda bar: tf.clip_by_value(bar, -1.0, 1.0)


@wrong("4.4", "limits_x")
@tf.custom_gradient
def limits_x(x):
    return tf.identity(x), lambda bar: tf.clip_by_value(x, -1.0, 1.0)


wrong("4.4", "no_path")(lambda x: x.numpy())


wrong("4.4", "no_path")(pulled_back(lambda bar: None))


@wrong("4.4", "raises")
def only_the_value(x):
    return tf.custom_gradient(lambda x: x)(x)


# 4.5: both branches


@right("4.5")
def guarded_by_ones(p):
    guarded = tf.where(p == 0, tf.ones_like(p), p)
    return -p * tf.math.log(guarded) * tf.cast(p > 0, p.dtype)


@right("4.5")
def by_xlogy(p):
    return -tf.math.xlogy(p, p)


@right("4.5")
def own_gradient(p):
    @tf.custom_gradient
    def operation(p):
        log = tf.where(p > 0, tf.math.log(p), -1.0)
        return tf.where(p > 0, -p * log, 0.0), lambda bar: bar * (-log - 1)

    return operation(p)


@right("4.5")
def of_the_positive_ones(p):
    where = tf.where(p > 0)
    positive = tf.gather_nd(p, where)
    return tf.scatter_nd(where, -positive * tf.math.log(positive), tf.shape(p, out_type=tf.int64))


@wrong("4.5", "tiny")
def clipped_inside(p):
    clipped = tf.clip_by_value(p, 1e-7, 1.0)
    return tf.where(p > 0, -p * tf.math.log(clipped), 0.0)


@wrong("4.5", "tiny")
def epsilon_and_where(p):
    return tf.where(p > 0, -p * tf.math.log(p + 1e-9), 0.0)


@wrong("4.5", "no_bar")
def slope_without_bar(p):
    @tf.custom_gradient
    def operation(p):
        log = tf.math.log(tf.where(p > 0, p, 1.0))
        return -p * log, lambda bar: tf.where(p > 0, -log - 1, 0.0)

    return operation(p)


@wrong("4.5", "tiny")
def the_smallest_number_inside(p):
    return tf.where(p > 0, -p * tf.math.log(tf.maximum(p, 1e-12)), 0.0)


@wrong("4.5", "raises")
def one_dimension_only(p):
    return tf.stack([-q * tf.math.log(q) if q > 0 else 0.0 * q for q in p])


@wrong("4.5", "tiny")
def threshold(p):
    return -p * tf.math.log(tf.where(p > 1e-9, p, 1.0))


@wrong("4.5", "not_finite")
def obvious(p):
    return tf.where(p > 0, -p * tf.math.log(p), 0.0)


@wrong("4.5", "not_finite")
def mended_outside(p):
    terms = -p * tf.math.log(p)
    return tf.where(tf.math.is_nan(terms), 0.0, terms)


@wrong("4.5", "tiny")
def limited_from_below(p):
    p = tf.maximum(p, 1e-7)
    return -p * tf.math.log(p)


wrong("4.5", "tiny")(lambda p: -p * tf.math.log(p + 1e-7))
wrong("4.5", "shape")(lambda p: tf.reduce_sum(-p * tf.math.log(tf.where(p > 0, p, 1.0))))


@wrong("4.5", "no_minus")
def no_minus(p):
    return tf.math.xlogy(p, p)


@wrong("4.5", "leaks")
def with_an_epsilon(p):
    return -p * tf.math.log(p + 1e-12)


@wrong("4.5", "leaks")
def limited_inside(p):
    return -p * tf.math.log(tf.maximum(p, 1e-12))


@wrong("4.5", "held_still")
def logarithm_held_still(p):
    return -p * tf.stop_gradient(tf.math.log(tf.where(p > 0, p, 1.0)))


@wrong("4.5", "no_path")
def in_numpy(p):
    return -xlogy(p, p)


# 4.6: a Hessian without the matrix


@right("4.6")
def forward_over_reverse(f, x, v):
    with tf.autodiff.ForwardAccumulator(x, v) as forward:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = f(x)
        gradient = tape.gradient(y, x)
    return forward.jvp(gradient)


@right("4.6")
def by_output_gradients(f, x, v):
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = f(x)
        gradient = inner.gradient(y, x)
    return outer.gradient(gradient, x, output_gradients=v)


@right("4.6")
def by_differences(f, x, v, h=1e-5):
    return (one_gradient(f, x + h * v) - one_gradient(f, x - h * v)) / (2 * h)


@wrong("4.6", "matrix")
def with_the_matrix(f, x, v):
    return tf.linalg.matvec(hessian(f, x), v)


@wrong("4.6", "matrix")
def row_by_row(f, x, v):
    with tf.GradientTape(persistent=True) as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = f(x)
        slopes = tf.unstack(inner.gradient(y, x))
    return tf.stack([tf.reduce_sum(outer.gradient(slope, x) * v) for slope in slopes])


@wrong("4.6", "matrix")
def all_rows_at_once(f, x, v):
    with tf.GradientTape(persistent=True) as outer:
        outer.watch(x)
        slopes = one_gradient(f, x)

    def row(unit):
        return outer.gradient(slopes, x, unit)

    rows = tf.vectorized_map(row, tf.eye(len(x), dtype=x.dtype))
    return tf.linalg.matvec(rows, v)


@wrong("4.6", "matrix")
@tf.function
def by_the_library(f, x, v):
    return tf.linalg.matvec(tf.hessians(f(x), x)[0], v)


def hessian(f, x):
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = f(x)
        gradient = inner.gradient(y, x)
    return outer.jacobian(gradient, x)


wrong("4.6", "hessian_itself")(lambda f, x, v: hessian(f, x))


@wrong("4.6", "none")
def gradient_outside(f, x, v):
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = f(x)
    return outer.gradient(inner.gradient(y, x), x, output_gradients=v)


@wrong("4.6", "none")
def forgets_to_return_it(f, x, v):
    by_output_gradients(f, x, v)


@wrong("4.6", "first")
def gradient_times_v(f, x, v):
    return one_gradient(f, x) * v


@wrong("4.6", "no_v")
def without_v(f, x, v):
    return by_output_gradients(f, x, tf.ones_like(v))


@wrong("4.6", "mean")
def mean_of_the_products(f, x, v):
    with tf.GradientTape() as outer:
        outer.watch(x)
        average = tf.reduce_mean(one_gradient(f, x) * v)
    return outer.gradient(average, x)


@wrong("4.6", "late_v")
def v_afterwards(f, x, v):
    return by_output_gradients(f, x, tf.ones_like(v)) * v


@wrong("4.6", "diagonal")
def diagonal_times_v(f, x, v):
    return tf.linalg.diag_part(hessian(f, x)) * v


@wrong("4.6", "twice")
def both_halves(f, x, v):
    matrix = hessian(f, x)
    return tf.linalg.matvec(matrix + tf.transpose(matrix), v)


@wrong("4.6", "counterexample")
def squared_gradient(f, x, v):
    gradient = one_gradient(f, x)
    return gradient * tf.reduce_sum(gradient * v)


@wrong("4.6", "quadratic_form")
def quadratic_form(f, x, v):
    return tf.reduce_sum(v * by_output_gradients(f, x, v))


# 4.7: what the message says

CAUSES = {1: "d", 2: "a", 3: "f", 4: "b", 5: "e"}
right("4.7")(lambda: CAUSES)
right("4.7")(lambda: dict(zip(range(1, 6), "dafbe")))
wrong("4.7", "two_swapped")(lambda: CAUSES | {3: "e", 5: "f"})
wrong("4.7", "one")(lambda: CAUSES | {1: "c"})
wrong("4.7", "several")(lambda: dict.fromkeys(CAUSES, "a"))
wrong("4.7", "missing")(lambda: {1: "d"})
wrong("4.7", "no_number")(lambda: CAUSES | {6: "c"})
wrong("4.7", "no_letters")(lambda: CAUSES | {3: "z"})
wrong("4.7", "no_dict")(lambda: "dafbe")
wrong("4.7", "no_text")(lambda: CAUSES | {2: 1})


# 4.8: predict, with odds

TRUE = {"a": True, "b": False, "c": False, "d": True, "e": False, "f": True}

right("4.8")(with_odds(TRUE, 1))
right("4.8")(with_odds(TRUE, 0.6))
wrong("4.8", "coin")(with_odds(TRUE, 0.5))
wrong("4.8", "worse_than_coin")(with_odds(TRUE, 0))
wrong("4.8", "not_enough")(with_odds(TRUE, 0.95, a=0.05, b=0.6))
wrong("4.8", "no_odds")(lambda: dict.fromkeys("abcdef", -1))


# 4.9: round, and train through it


@right("4.9")
@tf.custom_gradient
def handed_through(x):
    return tf.round(x), lambda bar: bar


right("4.9")(lambda x: tf.stop_gradient(tf.round(x) - x) + x)
wrong("4.9", "not_rounded")(lambda x: tf.custom_gradient(lambda x: (x * 1.0, lambda bar: bar))(x))
wrong("4.9", "other_rounding")(lambda x: x + tf.stop_gradient(tf.floor(x) - x))
wrong("4.9", "zero")(lambda x: tf.round(x) + 0.0 * x)
wrong("4.9", "twice")(lambda x: x + x + tf.stop_gradient(tf.round(x) - x - x))
wrong("4.9", "no_path")(lambda x: tf.round(x))
wrong("4.9", "no_path")(lambda x: np.round(x))
wrong("4.9", "raises")(
    lambda x: x + tf.constant(np.round(x.numpy()) - x.numpy())
)  # not inside tf.function
wrong("4.9", "half_up")(lambda x: x + tf.stop_gradient(tf.floor(x + 0.5) - x))
wrong("4.9", "sign")(lambda x: tf.stop_gradient(tf.round(x) + x) - x)


@wrong("4.9", "ones")
@tf.custom_gradient
def always_one(x):
    return tf.round(x), lambda bar: tf.ones_like(bar)


@wrong("4.9", "clipped")
@tf.custom_gradient
def only_near_zero(x):
    return tf.round(x), lambda bar: bar * tf.cast(tf.abs(x) <= 1, bar.dtype)


wrong("4.9", "other_rounding")(
    lambda x: x + tf.stop_gradient(tf.cast(tf.cast(x, tf.int32), x.dtype) - x)
)
