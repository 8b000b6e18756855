"""`function_to_graph`: a traced function as nodes, with adjoints as far as they come."""

import numpy as np
import pytest
import tensorflow as tf

from tapecourse.support.traced_graph import function_to_graph


def by_name(*arguments, **options):
    return {node.name: node for node in function_to_graph(*arguments, **options)}


def sine_program(x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.sin(x) * x
    return y, tape.gradient(y, x)


def test_a_function_with_a_tape():
    nodes = by_name(sine_program, 3.0)
    forward = [(n.name, n.operation, n.parents) for n in nodes.values() if n.name[0] != "g"]
    assert forward == [("x", "", ()), ("v1", "Sin", ("x",)), ("y", "Mul", ("v1", "x"))]
    back = [node.operation for name, node in nodes.items() if name[0] == "g"]
    assert sorted(back) == ["", "AddN", "Cos", "Mul", "Mul", "Mul"]
    last = list(nodes.values())[-1]
    assert last.value == pytest.approx(np.sin(3.0) + 3 * np.cos(3.0), rel=1e-6)
    assert all(node.adjoint is None for node in nodes.values())


def test_a_function_without_a_tape():
    nodes = by_name(lambda x: tf.exp(tf.identity(x)) + 1.0, 0.0)  # a copy is no step of its own
    assert list(nodes) == ["x", "v1", "v2", "y"]
    assert nodes["v1"].parents == ("x",) and nodes["y"].value == 2.0


def test_an_input_that_is_the_target():
    [node] = function_to_graph(lambda x: x, 2.0, adjoints=True)
    assert (node.name, node.value, node.adjoint) == ("x", 2.0, 1.0)


def test_adjoints_come_back_to_the_cut():
    nodes = by_name(lambda x, w: w * tf.sin(tf.round(x)), 2.9, 5.0, adjoints=True)
    found = {node.operation or name: node.adjoint for name, node in nodes.items()}
    assert found.pop("x") is None
    expected = {"Round": 5 * np.cos(3), "Sin": 5.0, "w": np.sin(3), "Mul": 1.0}
    assert found == pytest.approx(expected, rel=1e-6)


def test_adjoints_by_the_paths_that_are_left():
    def half_cut(x):
        return tf.numpy_function(np.sin, [x], tf.float64) * x + 2.0 * x

    nodes = by_name(half_cut, np.float64(3.0), adjoints=True)
    assert nodes["x"].adjoint == pytest.approx(np.sin(3.0) + 2)
    assert [n.adjoint for n in nodes.values() if n.operation == "PyFunc"] == [3.0]
    constants = [n for name, n in nodes.items() if not n.operation and name != "x"]
    assert constants and all(constant.adjoint is None for constant in constants)
