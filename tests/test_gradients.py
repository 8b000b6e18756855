"""`explain_gradients` of chapter 04: right on the catalogue of None, and on a healthy CNN."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tapecourse.gradients import GradientError, explain_gradients
from tapecourse.training import build_model

CUT = "the path is cut"
UNREAD = "not followed"
PLAIN = "a plain tensor: not watched"


def rebound() -> tf.Tensor:
    x = tf.Variable(3.0)
    return x + 1


def assigned(x: tf.Variable) -> tf.Tensor:
    return tf.Variable(0.0).assign_add(x**2) * 1.0


def predicted(_: tf.Variable) -> tf.Tensor:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    return tf.convert_to_tensor(model.predict(np.ones((1, 1)), verbose=0))


OUTSIDE = tf.Variable(2.0) ** 2
CATALOGUE = {  # program, source, note
    "constant": (lambda x: x**2, lambda: tf.constant(3.0), PLAIN),
    "integer variable": (lambda x: x**2, lambda: tf.Variable(3), "the target is int32: only"),
    "integer source": (
        lambda x: tf.cast(x, tf.float32) ** 2,
        lambda: tf.Variable(3),
        "it is int32",
    ),
    "integer target": (
        lambda x: tf.cast(x, tf.int32),
        lambda: tf.Variable(3.0),
        "target is int32",
    ),
    "cast": (lambda x: 2.0 * tf.cast(tf.cast(x, tf.int32), tf.float32), None, CUT),
    "frozen": (lambda x: x**2, lambda: tf.Variable(3.0, trainable=False), "trainable=False"),
    "rebound": (lambda x: x**2, rebound, PLAIN),
    "outside": (lambda x: 2 * OUTSIDE, None, UNREAD),
    "numpy": (lambda x: tf.constant(x.numpy()) ** 2, None, CUT),
    "text": (lambda x: tf.constant(1.0), lambda: tf.constant("a"), "it is string: only floats"),
    "complex constant": (lambda x: x**2, lambda: tf.constant(3j), PLAIN),
    "complex and cut": (lambda x: tf.constant(x.numpy()), lambda: tf.Variable(3j), CUT),
    "argmax": (lambda x: tf.cast(tf.argmax([x, 1.0]), tf.float32), None, CUT),
    "round": (lambda x: tf.round(x), None, CUT),
    "assign": (assigned, None, CUT),
    "stop_gradient of a tensor": (lambda x: tf.stop_gradient(2 * x), None, CUT),
    "stop_gradient of a variable": (lambda x: tf.stop_gradient(x), None, "stop_gradient"),
    "predict": (predicted, None, UNREAD),
}


def explain(program, source):
    with tf.GradientTape() as tape:
        target = program(source)
    return explain_gradients(target, [source], tape)


@pytest.mark.parametrize("name", CATALOGUE)
def test_each_cause_of_none_is_named(name):
    program, make_source, advice = CATALOGUE[name]
    row = explain(program, make_source() if make_source else tf.Variable(3.0)).iloc[0]
    assert row["gradient"] == "None" and np.isnan(row["norm"] or np.nan)
    assert advice in row["note"]


def test_a_healthy_source_beside_a_cut_one():
    healthy, cut = tf.Variable([3.0, 4.0]), tf.constant(1.0)
    with tf.GradientTape() as tape:
        target = tf.reduce_sum(healthy**2) * cut
    table = explain_gradients(target, {"a": healthy, "b": [cut]}, tape)
    assert table["gradient"].tolist() == ["shape (2,)", "None"]
    assert table["norm"].iloc[0] == pytest.approx(10.0)
    assert table["note"].iloc[0] == "" and PLAIN in table["note"].iloc[1]


def test_keras_variables_are_told_apart():
    layer = keras.layers.BatchNormalization()
    data = tf.ones((4, 3))
    layer(data)
    with tf.GradientTape() as tape:
        target = tf.reduce_sum(layer(data, training=False) ** 2)
    table = explain_gradients(target, layer.weights, tape)
    assert [path.split("/")[-1] for path in table.index] == [
        "gamma", "beta", "moving_mean", "moving_variance"
    ]  # fmt: skip
    assert table["norm"].notna().tolist() == [True, True, False, False]
    assert all("trainable=False" in advice for advice in table["note"].iloc[2:])


@pytest.mark.parametrize(
    "program, value, advice",
    [
        (lambda x: tf.math.log(1 + tf.exp(x)), 100.0, "not finite"),
        (lambda x: tf.sqrt(x), 0.0, "not finite"),
        (lambda x: tf.sign(x), 3.0, "zero everywhere"),
        (lambda x: x**2, 3.0, ""),
    ],
)
def test_suspicious_numbers_are_pointed_out(program, value, advice):
    found = explain(program, tf.Variable(value))["note"].iloc[0]
    assert advice in found and bool(advice) == bool(found)


def test_a_variable_that_the_tape_was_told_not_to_follow():
    x = tf.Variable(3.0)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        target = x**2
    assert UNREAD in explain_gradients(target, x, tape)["note"].iloc[0]


@pytest.mark.parametrize("size", [1e-30, 1e30], ids=str)
def test_norms_of_very_small_and_very_large_gradients(size):
    """Whose squares don't fit into float32."""
    row = explain(lambda x: size * x, tf.Variable(3.0)).iloc[0]
    assert row["norm"] == pytest.approx(size) and row["note"] == ""


def test_complex_gradients():
    row = explain(lambda z: tf.math.real(z * tf.math.conj(z)), tf.Variable(3 + 4j)).iloc[0]
    assert row["norm"] == pytest.approx(10) and row["note"] == ""  # of |z|²: 2|z|


def test_sparse_gradients_have_a_norm():
    table = explain(lambda x: tf.gather(x, [0, 0]), tf.Variable([1.0, 2.0]))
    assert table["gradient"].iloc[0] == "shape (2,)"
    assert table["norm"].iloc[0] == pytest.approx(2.0)


@pytest.mark.parametrize("shape", [(2,), (None,), None], ids=str)
def test_inside_a_function(shape):
    frozen, tables = tf.Variable(3.0, trainable=False), []

    @tf.function(input_signature=[tf.TensorSpec(shape)])
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            target = frozen * tf.reduce_sum(tf.gather(x, [0, 0]) + tf.round(x))
        tables.append(explain_gradients(target, [x, frozen], tape))
        return target

    assert step([1.0, 2.0]) == 15.0
    [table] = tables
    assert table["gradient"].tolist() == [f"shape {tf.TensorShape(shape)}", "None"]
    assert table["norm"].isna().all()
    assert "tracing" in table["note"].iloc[0] and "trainable=False" in table["note"].iloc[1]


def test_a_healthy_cnn():
    keras.utils.set_random_seed(0)
    model = build_model()
    model.layers[-1].kernel.assign(np.random.default_rng(0).normal(size=(256, 10)))
    images = np.random.default_rng(0).uniform(size=(8, 28, 28, 1)).astype("float32")
    with tf.GradientTape(persistent=True) as tape:
        logits = model(images, training=True)
        loss = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(tf.range(8) % 10, logits)
        )
    table = explain_gradients(loss, model.trainable_variables, tape)
    assert table.index.tolist() == [variable.path for variable in model.trainable_variables]
    assert table["gradient"].tolist() == [f"shape {v.shape}" for v in model.trainable_variables]
    gradients = tape.gradient(loss, model.trainable_variables)
    np.testing.assert_allclose(table["norm"], [np.linalg.norm(g) for g in gradients], rtol=1e-5)
    assert (table["note"] == "").all()


@pytest.mark.parametrize("source", [3.0, np.ones(2), None, "x"])
def test_what_is_no_tensor_is_refused(source):
    x = tf.Variable(3.0)
    with tf.GradientTape(persistent=True) as tape:
        y = x**2
    with pytest.raises(GradientError, match="a source is of type"):
        explain_gradients(y, [x, source], tape)
    with pytest.raises(GradientError, match="the target is of type"):
        explain_gradients(source, [x], tape)


def test_a_used_tape_is_refused():
    x = tf.Variable(3.0)
    with tf.GradientTape() as tape:
        y = x**2
    tape.gradient(y, x)
    with pytest.raises(GradientError, match="used before"):
        explain_gradients(y, [x], tape)
