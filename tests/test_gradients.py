"""`explain_gradients` of chapter 04: right on the catalogue of None, and on a healthy CNN."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tapecourse.gradients import GradientError, explain_gradients, function_to_graph
from tapecourse.training import build_model

CUT = "the path is cut"
NOT_READ = "not read inside the block"
PLAIN = "a plain tensor: watch it"


def rebound() -> tf.Tensor:
    x = tf.Variable(3.0)
    return x + 1


def assigned(x: tf.Variable) -> tf.Tensor:
    return tf.Variable(0.0).assign_add(x**2) * 1.0


def predicted(_: tf.Variable) -> tf.Tensor:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    return tf.convert_to_tensor(model.predict(np.ones((1, 1)), verbose=0))


OUTSIDE = tf.Variable(2.0) ** 2
CATALOGUE = {  # program, source, what to look at
    "constant": (lambda x: x**2, lambda: tf.constant(3.0), PLAIN),
    "integer variable": (lambda x: x**2, lambda: tf.Variable(3), "only floats"),
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
    "outside": (lambda x: 2 * OUTSIDE, None, NOT_READ),
    "numpy": (lambda x: tf.constant(x.numpy()) ** 2, None, CUT),
    "argmax": (lambda x: tf.cast(tf.argmax([x, 1.0]), tf.float32), None, CUT),
    "round": (lambda x: tf.round(x), None, CUT),
    "assign": (assigned, None, CUT),
    "stop_gradient of a tensor": (lambda x: tf.stop_gradient(2 * x), None, CUT),
    "stop_gradient of a variable": (lambda x: tf.stop_gradient(x), None, "stop_gradient"),
    "predict": (predicted, None, NOT_READ),
}


def explain(program, source):
    with tf.GradientTape() as tape:
        target = program(source)
    return explain_gradients(target, [source], tape)


@pytest.mark.parametrize("name", CATALOGUE)
def test_each_cause_of_none_is_named(name):
    program, make_source, advice = CATALOGUE[name]
    row = explain(program, make_source() if make_source else tf.Variable(3.0)).iloc[0]
    assert row["shape"] is None and np.isnan(row["norm"] or np.nan)
    assert advice in row["look at"]


def test_a_healthy_source_beside_a_cut_one():
    healthy, cut = tf.Variable([3.0, 4.0]), tf.constant(1.0)
    with tf.GradientTape() as tape:
        target = tf.reduce_sum(healthy**2) * cut
    table = explain_gradients(target, {"a": healthy, "b": [cut]}, tape)
    assert table["shape"].tolist() == [(2,), None]
    assert table["norm"].iloc[0] == pytest.approx(10.0)
    assert table["look at"].iloc[0] == "" and PLAIN in table["look at"].iloc[1]


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
    assert all("trainable=False" in advice for advice in table["look at"].iloc[2:])


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
    found = explain(program, tf.Variable(value))["look at"].iloc[0]
    assert advice in found and bool(advice) == bool(found)


def test_sparse_gradients_have_a_norm():
    table = explain(lambda x: tf.gather(x, [0, 0]), tf.Variable([1.0, 2.0]))
    assert table["shape"].iloc[0] == (2,)
    assert table["norm"].iloc[0] == pytest.approx(2.0)


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
    assert table["shape"].tolist() == [tuple(v.shape) for v in model.trainable_variables]
    gradients = tape.gradient(loss, model.trainable_variables)
    np.testing.assert_allclose(table["norm"], [np.linalg.norm(g) for g in gradients], rtol=1e-5)
    assert (table["look at"] == "").all()


@pytest.mark.parametrize("source", [3.0, np.ones(2), None, "x"])
def test_what_is_no_tensor_is_refused(source):
    x = tf.Variable(3.0)
    with tf.GradientTape(persistent=True) as tape:
        y = x**2
    with pytest.raises(GradientError, match="a source is no tensor"):
        explain_gradients(y, [x, source], tape)
    with pytest.raises(GradientError, match="the target is no tensor"):
        explain_gradients(source, [x], tape)


def test_a_used_tape_is_refused():
    x = tf.Variable(3.0)
    with tf.GradientTape() as tape:
        y = x**2
    tape.gradient(y, x)
    with pytest.raises(GradientError, match="used up"):
        explain_gradients(y, [x], tape)


def sine_program(x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.sin(x) * x
    return y, tape.gradient(y, x)


def test_the_graph_of_a_function_with_a_tape():
    nodes = {node.name: node for node in function_to_graph(sine_program, 3.0)}
    forward = [(n.operation, n.parents) for name, n in nodes.items() if name.startswith("v")]
    assert forward == [("", ()), ("Sin", ("v1",)), ("Mul", ("v2", "v1"))]
    back = [node.operation for name, node in nodes.items() if name.startswith("g")]
    assert sorted(back) == ["", "AddN", "Cos", "Mul", "Mul", "Mul"]
    last = list(nodes.values())[-1]
    assert last.value == pytest.approx(np.sin(3.0) + 3 * np.cos(3.0), rel=1e-6)


def test_the_graph_of_a_function_without_a_tape():
    nodes = function_to_graph(lambda x: tf.exp(x) + 1.0, 0.0)
    assert [node.name for node in nodes if node.operation] == ["v2", "v4"]
    assert nodes[-1].value == 2.0
