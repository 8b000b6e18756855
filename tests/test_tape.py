"""The tape of chapter 03, used in the same ways as TensorFlow's, and what it refuses."""

import ast
import io
import operator
import re
import tokenize
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT

from tapecourse import differentiation, tape
from tapecourse.tape import Tape, TapeError, Tensor, Variable, check_gradients

RNG = np.random.default_rng(0)
MATRIX, ROW = RNG.uniform(1, 2, (2, 3)), RNG.uniform(1, 2, 3)

# --- it behaves as TensorFlow's tape: each test runs with both

SAME_NAMES = ("reduce_sum", "maximum", "exp", "sin")
LIBRARIES = {
    "ours": SimpleNamespace(
        Tape=Tape,
        Variable=Variable,
        constant=Tensor,
        **{name: getattr(tape, name) for name in SAME_NAMES},
        relu=tape.relu,
        cross_entropy=tape.softmax_cross_entropy,
    ),
    "tensorflow": SimpleNamespace(
        Tape=tf.GradientTape,
        Variable=tf.Variable,
        constant=tf.constant,
        **{name: getattr(tf, name) for name in SAME_NAMES},
        relu=tf.nn.relu,
        cross_entropy=tf.nn.sparse_softmax_cross_entropy_with_logits,
    ),
}


@pytest.fixture(params=LIBRARIES)
def lib(request) -> SimpleNamespace:
    return LIBRARIES[request.param]


def test_persistent_tape_answers_many_times(lib):
    x = lib.Variable(3.0)
    with lib.Tape(persistent=True) as recording:
        y = x * x
        z = y * x
    for _ in range(2):
        assert recording.gradient(y, x).numpy() == 6
        assert recording.gradient(z, x).numpy() == 27
        assert recording.gradient(z, y).numpy() == 3


def test_unconnected_is_none(lib):
    x, y, constant = lib.Variable(3.0), lib.Variable(2.0), lib.constant(1.0)
    with lib.Tape() as recording:
        z, _ = x * constant, y * y
    gradients = recording.gradient(z, [x, y, constant, lib.Variable(0.0)])
    assert gradients[0].numpy() == 1
    assert gradients[1:] == [None, None, None]


def test_watched_from_the_call_on(lib):
    x = lib.constant(3.0)
    with lib.Tape(persistent=True) as recording:
        before = 5.0 * x
        recording.watch(x)
        after = x * x + before
    assert recording.gradient(after, x).numpy() == 6
    assert recording.gradient(after, before) is None


def test_what_is_computed_outside_is_a_constant(lib):
    x = lib.Variable(3.0)
    outside = x * x
    with lib.Tape() as recording:
        y = outside * x
    assert recording.gradient(y, x).numpy() == 9


class Pair(NamedTuple):
    first: Any
    second: Any


def test_structures_are_kept(lib):
    x, y = lib.Variable(3.0), lib.Variable(2.0)
    with lib.Tape(persistent=True) as recording:
        z = x * y
    assert recording.gradient(z, [x, x, y])[1].numpy() == 2
    assert isinstance(recording.gradient(z, (x, y)), tuple)
    nested = recording.gradient(z, {"first": [x, (y,)], "second": {"again": x}})
    assert nested["first"][0].numpy() == 2
    assert isinstance(nested["first"][1], tuple) and nested["first"][1][0].numpy() == 3
    assert nested["second"]["again"].numpy() == 2
    assert recording.gradient(z, Pair(x, y)).second.numpy() == 3
    assert recording.gradient(z, []) == []


def test_a_target_of_many_elements_is_summed(lib):
    x = lib.Variable([1.0, 2.0, 3.0])
    with lib.Tape(persistent=True) as recording:
        y = x * x
    assert recording.gradient(y, x).numpy().tolist() == [2, 4, 6]
    weighted = recording.gradient(y, x, output_gradients=lib.constant([1.0, 0.0, -1.0]))
    assert weighted.numpy().tolist() == [2, 0, -6]


def test_the_target_as_a_source(lib):
    x = lib.Variable([1.0, 2.0])
    with lib.Tape() as recording:
        y = x * x
    assert recording.gradient(y, y).numpy().tolist() == [1, 1]


def test_the_record_keeps_the_values_that_were_used(lib):
    x = lib.Variable(3.0)
    with lib.Tape(persistent=True) as recording:
        y = x * x
        x.assign(5.0)
        z = x * x
        x.assign_sub(1.0)
    assert x.numpy() == 4
    assert recording.gradient(y, x).numpy() == 6
    assert recording.gradient(z, x).numpy() == 10


def test_ties_and_kinks(lib):
    x, y = lib.Variable([1.0, 2.0, 0.0]), lib.Variable([1.0, 1.0, 1.0])
    with lib.Tape() as recording:
        z = lib.maximum(x, y)
    gradients = [gradient.numpy().tolist() for gradient in recording.gradient(z, [x, y])]
    assert gradients == [[1, 1, 0], [0, 0, 1]]
    with lib.Tape() as recording:
        z = lib.relu(x * y)
    assert recording.gradient(z, x).numpy().tolist() == [1, 1, 0]


def test_cross_entropy_of_huge_logits(lib):
    logits = lib.Variable([[1000.0, -1000.0, 0.0], [-1000.0, 1000.0, 1000.0]])
    with np.errstate(all="raise", under="ignore"), lib.Tape() as recording:
        losses = lib.cross_entropy(np.array([1, 2]), logits)
        gradient = recording.gradient(losses, logits)
    np.testing.assert_allclose(losses.numpy(), [2000, np.log(2)], rtol=1e-7)  # float32 in TF
    assert gradient.numpy().tolist() == [[1, -1, 0], [0, 0.5, -0.5]]


def test_derivatives_of_any_order(lib):
    x = lib.Variable(2.0)
    with lib.Tape() as third:
        with lib.Tape() as second:
            with lib.Tape() as first:
                y = x * x * x * x
            slope = first.gradient(y, x)
        curvature = second.gradient(slope, x)
    jerk = third.gradient(curvature, x)
    assert [d.numpy() for d in (slope, curvature, jerk)] == [32, 48, 48]


def test_a_persistent_tape_follows_its_own_gradient(lib):
    x = lib.Variable(2.0)
    with lib.Tape(persistent=True) as recording:
        y = x * x * x
        slope = recording.gradient(y, x)
    assert recording.gradient(slope, x).numpy() == 12
    assert recording.gradient(y, x).numpy() == 12


def test_the_gradient_of_a_pull_back_by_its_adjoint(lib):
    """The way to a forward derivative: J·v is the gradient of <Jᵀ·u, v> with respect to u."""
    x, u = lib.Variable([1.0, 2.0]), lib.Variable([1.0, 1.0])
    with lib.Tape() as outer:
        with lib.Tape() as inner:
            y = x * x
        pulled_back = inner.gradient(y, x, output_gradients=u + 0.0)
        product = lib.reduce_sum(pulled_back * lib.constant([3.0, 5.0]))
    assert outer.gradient(product, u).numpy().tolist() == [6, 20]


def test_a_tape_stops_when_its_block_raises(lib):
    x = lib.Variable(3.0)
    recording = lib.Tape(persistent=True)
    with pytest.raises(KeyError), recording:
        y = x * x
        raise KeyError
    z = y * x
    assert recording.gradient(y, x).numpy() == 6
    assert recording.gradient(z, x) is None


def wave(x, lib):
    return lib.exp(-(x**2)) * lib.sin(x**2)


def newton_root(a, _):
    """Chapter 01's."""
    guess, better = 1.0, (1.0 + a) / 2
    while better - guess > 1e-12 or guess - better > 1e-12:
        guess, better = better, (better + a / better) / 2
    return better


@pytest.mark.parametrize("function", [wave, newton_root])
def test_programs_of_chapter_01(lib, function):
    x = [lib.constant(np.float64(0.7))]
    with lib.Tape() as recording:
        recording.watch(x)
        y = function(x[0], lib)
    slope = differentiation.central_difference(lambda x: float(function(x, np)), 0.7)
    assert np.array(recording.gradient(y, x)) == pytest.approx([slope], rel=1e-8)


def test_comparisons(lib):
    x = lib.constant([1.0, 2.0, 3.0])
    for compare in (operator.lt, operator.le, operator.gt, operator.ge):
        for other in (2.0, lib.constant([2.0, 2.0, 2.0])):
            expected = compare(np.array([1, 2, 3]), 2).tolist()
            assert compare(x, other).numpy().tolist() == expected
    assert lib.constant(1.0) < 2.0 and not lib.constant(1.0) > 2.0 and 2.0 > lib.constant(1.0)


def test_a_target_that_depends_on_nothing(lib):
    x, c = lib.Variable(3.0), lib.constant(1.0)
    outside = x * x
    with lib.Tape(persistent=True) as recording:
        constant = c * c
    for target in (outside, constant, c):
        assert recording.gradient(target, {"x": x}) == {"x": None}
    assert recording.gradient(c, c).numpy() == 1


def test_arrays_are_copied(lib):
    numbers = np.array([1.0, 2.0])
    x, v = lib.constant(numbers), lib.Variable(numbers)
    with lib.Tape(persistent=True) as recording:
        recording.watch(x)
        y, z = x * x, v * v
    for array in (numbers, x.numpy(), v.numpy(), y.numpy(), np.asarray(x)):
        if array.flags.writeable:
            array[:] = 100.0
    assert recording.gradient(y, x).numpy().tolist() == [2, 4]
    assert recording.gradient(z, v).numpy().tolist() == [2, 4]
    assert y.numpy().tolist() == [1, 4]


def test_a_tape_can_go_on_in_a_second_block(lib):
    x, recording = lib.Variable(3.0), lib.Tape()
    with recording:
        y = x * x
    with recording:
        z = y * x
    assert recording.gradient(z, x).numpy() == 27


# --- ours alone: numbers, arrays and types


def test_only_what_depends_on_something_tracked_is_recorded():
    x, constant = Variable(3.0), Tensor(2.0)
    with Tape() as recording:
        _ = constant * constant + 1.0
        assert recording.notes == [] and recording.tracked == {}
        _ = (constant * constant) * x
    assert [note.operation.name for note in recording.notes] == ["read", "multiply"]


def test_both_of_two_tapes_record():
    x, y = Variable(3.0), Tensor(2.0)
    with Tape() as one, Tape() as other:
        other.watch(y)
        z = x * y
    assert one.gradient(z, [x, y])[1] is None
    assert [gradient.numpy() for gradient in other.gradient(z, [x, y])] == [2, 3]


def test_adjoints_are_forgotten_on_the_way_back():
    """Only those that were asked for are left; the sweep holds few at a time."""
    x = Variable(np.ones(2))
    with Tape(persistent=True) as recording:
        y = x * 2.0
        z = tape.exp(y) * y
    seed = Tensor(np.ones(2))
    left = tape.reverse_sweep(recording.notes, recording.tracked, z, seed, {id(x)})
    assert set(left) == {id(x)}


def test_the_record_is_dropped_after_the_only_gradient():
    x = Variable(3.0)
    with Tape() as recording:
        y = x * x
    recording.gradient(y, x)
    assert recording.notes == [] and recording.tracked == {}


OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow]


@pytest.mark.parametrize("partner", [2, 2.0, ROW, ROW.tolist(), np.float64(2), Tensor(ROW)])
@pytest.mark.parametrize("function", OPERATORS)
def test_operators_take_numbers_and_arrays_on_either_side(function, partner):
    plain = np.asarray(partner)
    for result, expected in [
        (function(partner, Tensor(MATRIX)), function(plain, MATRIX)),
        (function(Tensor(MATRIX), partner), function(MATRIX, plain)),
        (function(Variable(MATRIX), partner), function(MATRIX, plain)),
    ]:
        assert type(result) is Tensor
        np.testing.assert_array_equal(result.numpy(), expected)
    assert check_gradients(lambda x: function(partner, x), [MATRIX]).ok
    assert check_gradients(lambda x: function(x, partner), [MATRIX]).ok


def test_matrix_product_with_arrays_on_either_side():
    for result in [MATRIX.T @ Tensor(MATRIX), Tensor(MATRIX.T) @ MATRIX]:
        assert type(result) is Tensor
        np.testing.assert_array_equal(result.numpy(), MATRIX.T @ MATRIX)


def test_unpacking_and_iterating():
    x = Variable(MATRIX)
    assert len(x) == 2
    assert check_gradients(lambda x: sum(row * 2.0 for row in x), [MATRIX]).ok
    with pytest.raises(TypeError):
        iter(Tensor(1.0)).__next__()


def test_truth_is_the_values_and_not_the_lengths():
    assert not Tensor(0.0) and Tensor(2.0) and not Tensor([0.0])
    with pytest.raises(ValueError, match="ambiguous"):
        bool(Tensor([0.0, 0.0]))


def test_indices_that_tensorflow_has_no_name_for():
    for index in [
        ([0, -1, 0],),
        (slice(None), [0, 0, -1]),
        ([0, 1, 0], None, [2, 2, 2]),
        MATRIX > 1.5,
        np.array([True, False]),
        (..., [[0, 1], [1, 2]]),
    ]:
        assert check_gradients(lambda x, index=index: x[index] * x[index], [MATRIX]).ok


FLOAT32 = {
    "x * 2": lambda x: x * 2,
    "2.5 - x": lambda x: 2.5 - x,
    "1 / x": lambda x: 1 / x,
    "x ** 2": lambda x: x**2,
    "2.0 ** x": lambda x: 2.0**x,
    "-x": lambda x: -x,
    "maximum": lambda x: tape.maximum(x, 1.5),
    "exp": tape.exp,
    "log": tape.log,
    "tanh": tape.tanh,
    "sigmoid": tape.sigmoid,
    "relu": tape.relu,
    "reduce_sum": lambda x: tape.reduce_sum(x, -1),
    "reduce_mean": tape.reduce_mean,
    "softmax": tape.softmax,
    "softmax_cross_entropy": lambda x: tape.softmax_cross_entropy([0, 1], x),
    "matmul": lambda x: x @ tape.transpose(x),
    "getitem": lambda x: x[:, [0, 0]],
}


@pytest.mark.parametrize("name", FLOAT32)
def test_float32_stays_float32(name):
    x = Variable(MATRIX.astype("float32"))
    with Tape() as outer:
        with Tape() as inner:
            y = FLOAT32[name](x)
            total = tape.reduce_sum(tape.tanh(y))
        slope = inner.gradient(total, x)
    second = outer.gradient(slope, x)
    assert {tensor.dtype for tensor in (y, slope, second)} == {np.dtype("float32")}


# --- ours alone: errors that say what is wrong


def test_a_second_gradient_is_refused():
    x = Variable(3.0)
    with Tape() as recording:
        y = x * x
    recording.gradient(y, x)
    with pytest.raises(TapeError, match=r"used up by its first call.*Tape\(persistent=True\)"):
        recording.gradient(y, x)


@pytest.mark.parametrize("value", [3, [1, 2], True, 1j, "three"])
def test_only_floats_can_be_differentiated(value):
    with pytest.raises(TapeError, match="^Variable: .* no derivative"):
        Variable(value)
    with pytest.raises(TapeError, match="^watch: .* no derivative"):
        Tape().watch(Tensor(value))


@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "divide", "power", "maximum"])
def test_shapes_that_do_not_broadcast_are_named(name):
    with pytest.raises(TapeError, match=rf"^{name} of \(2, 3\) and \(4,\): .*\)\.$"):
        getattr(tape, name)(np.ones((2, 3)), np.ones(4))


@pytest.mark.parametrize(
    "a, b", [((2, 3), (2, 3)), ((2, 2, 3), (4, 3, 2)), ((2, 3), (4,)), ((4,), (2, 3))]
)
def test_matrices_that_do_not_fit_are_named(a, b):
    with pytest.raises(TapeError, match="^matmul ") as error:
        Tensor(np.ones(a)) @ np.ones(b)
    assert f"{a} and {b}" in str(error.value)


@pytest.mark.parametrize(
    "name, options",
    [
        ("reshape", ((4,),)),
        ("reduce_sum", (2,)),
        ("transpose", ((0, 1, 2),)),
        ("transpose", ((0, 0),)),
        ("getitem", (5,)),
        ("getitem", ((0, 0, 0),)),
    ],
)
def test_options_that_do_not_fit_are_refused(name, options):
    with pytest.raises(TapeError, match=rf"^{name} .*\(2, 3\)"):
        getattr(tape, name)(Tensor(MATRIX), *options)


def test_what_is_no_tensor_is_refused():
    x = Variable(3.0)
    with Tape() as recording:
        y = x * x
    for source in [3.0, None, [x, np.ones(2)], {"x": "x"}]:
        with pytest.raises(TapeError, match="a Tensor or Variable is needed"):
            recording.gradient(y, source)
    for target in (9.0, [y, y]):
        with pytest.raises(TapeError, match="a Tensor or Variable is needed"):
            recording.gradient(target, x)
    assert recording.gradient(y, x).numpy() == 6  # an error uses no tape up
    for value in (3.0, ROW):
        with pytest.raises(TapeError):
            recording.watch(value)


def test_output_gradients_of_another_shape_are_refused():
    x = Variable([1.0, 2.0])
    with Tape() as recording:
        y = x * x
    for weights in [1.0, np.ones(3), np.ones((2, 1)), np.ones((1, 2))]:
        with pytest.raises(TapeError, match="^output_gradients: "):
            recording.gradient(y, x, output_gradients=weights)


@pytest.mark.parametrize("labels", [[0, 3], [-1, 0], [0.0, 1.0], [True, False], ["0", "1"]])
def test_labels_out_of_range_are_refused(labels):
    with pytest.raises(TapeError, match="labels must be integers from 0 to 2"):
        tape.softmax_cross_entropy(labels, Tensor(MATRIX))


@pytest.mark.parametrize("labels, logits", [([[0], [1]], MATRIX), ([0], MATRIX), (0, 1.0)])
def test_labels_of_another_shape_are_refused(labels, logits):
    with pytest.raises(TapeError):
        tape.softmax_cross_entropy(labels, Tensor(logits))


@pytest.mark.parametrize("value", [1.0, [1.0, 2.0], np.ones((1, 3)), np.ones((3, 1))])
def test_assigning_another_shape_is_refused(value):
    x = Variable([1.0, 2.0, 3.0])
    with pytest.raises(TapeError, match=r"^assign: .* is given, \(3,\) is needed"):
        x.assign(value)
    assert x.numpy().tolist() == [1, 2, 3]


def test_a_variable_keeps_its_type_and_its_own_copy():
    value = np.array([1.0, 2.0], "float32")
    x, y = Variable(value), Variable(np.zeros(2, "float32"))
    y.assign(value)
    value[0] = 5
    assert x.numpy().tolist() == y.numpy().tolist() == [1, 2]
    y.assign(np.array([3.0, 4.0]))
    y.assign_sub(np.float64(1.0))
    assert y.dtype == np.float32 and y.numpy().tolist() == [2, 3]


# --- the longest chain


def test_a_chain_of_100_000_operations():
    """The value to 1e-9: each of the multiplications rounds by some 1e-16."""
    x = Variable(2.0)
    with Tape() as recording:
        y = x
        for _ in range(100_000):
            y = y * 1.000001
    expected = np.exp(100_000 * np.log1p(1e-6))
    assert recording.gradient(y, x).numpy() == pytest.approx(expected, rel=1e-9)


# --- found by trying to break it


def test_transpose_by_negative_axes():
    weights = MATRIX.T[:2] + np.eye(2, 2)
    assert check_gradients(lambda x: tape.transpose(x, (-1, 0)) * weights, [weights[::-1]]).ok


def test_minus_infinity_as_an_input(lib):
    """As TensorFlow's: relu gives 0, and a logit of minus infinity masks a class."""
    assert lib.relu(lib.constant([-np.inf, 1.0])).numpy().tolist() == [0, 1]
    masked = lib.constant([[0.0, -np.inf]])
    assert lib.cross_entropy(np.array([0]), masked).numpy().tolist() == [0]


def test_the_record_keeps_the_values_of_arrays():
    """TensorFlow's may not: where memory allows, it shares the array with its caller."""
    x, factor = Variable(1.0), np.ones(2)
    with Tape() as recording:
        y = x * factor
    factor[:] = 5
    assert recording.gradient(y, x).numpy() == 2


def test_a_tape_in_its_own_block_is_refused():
    with Tape() as recording, pytest.raises(TapeError), recording:
        pass


def test_output_gradients_take_on_the_type(lib):
    x = lib.Variable(np.ones(2, "float32"))
    with lib.Tape() as recording:
        y = x * x
    gradient = recording.gradient(y, x, output_gradients=[1.0, 2.0])
    assert np.dtype(gradient.numpy().dtype) == np.float32


def test_the_engine_is_small():
    """Code without comments, docstrings, blank lines and nbdev's list of names."""
    source = (ROOT / "tapecourse" / "tape.py").read_text()
    tree = ast.parse(source)
    layout = {tokenize.NL, tokenize.NEWLINE, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT}
    lines = {
        line
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type not in layout and token.string
        for line in range(token.start[0], token.end[0] + 1)
    }
    for node in ast.walk(tree):
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        is_names = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        if is_docstring or is_names:
            lines -= set(range(node.lineno, node.end_lineno + 1))
    print(f"{len(lines)} lines of code")
    assert 150 <= len(lines) <= 220
    assert "setattr" not in source and not re.search(r"^Tensor\.", source, re.MULTILINE)
