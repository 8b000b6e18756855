"""The gradient checker of chapter 03: it finds whatever is broken, and accepts what is right."""

from collections.abc import Callable

import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given

from tapecourse import tape
from tapecourse.support.gradient_check import slope_and_doubt
from tapecourse.tape import Operation, Tape, TapeError, Tensor, Variable, check_gradients

# --- it finds whatever is broken

RNG = np.random.default_rng(0)
MATRIX, ROW, COLUMN = RNG.uniform(1, 2, (2, 3)), RNG.uniform(1, 2, 3), RNG.uniform(1, 2, (2, 1))
CASES = {  # for each primitive operation a function that uses it, and inputs
    "read": (tape.as_tensor, [MATRIX]),
    "add": (tape.add, [MATRIX, ROW]),
    "subtract": (tape.subtract, [ROW, MATRIX]),
    "multiply": (tape.multiply, [MATRIX, COLUMN]),
    "divide": (tape.divide, [COLUMN, MATRIX]),
    "negative": (tape.negative, [MATRIX]),
    "power": (tape.power, [MATRIX, ROW]),
    "maximum": (tape.maximum, [MATRIX, ROW]),
    **{name: (getattr(tape, name), [MATRIX]) for name in ("exp", "log", "tanh", "sigmoid")},
    **{name: (getattr(tape, name), [MATRIX]) for name in ("sin", "cos")},
    "relu": (tape.relu, [MATRIX - 1.5]),
    "reshape": (lambda x: tape.reshape(x, (3, 2)), [MATRIX]),
    "reduce_sum": (lambda x: tape.reduce_sum(x, 1), [MATRIX]),
    "transpose": (tape.transpose, [MATRIX]),
    "getitem": (lambda x: x[[0, 0, 1], 1:], [MATRIX]),
    "scatter": (lambda x: tape.scatter(x, [0, 2, 0], (4,)), [ROW]),
    "matmul": (tape.matmul, [MATRIX, RNG.normal(size=(3, 4))]),
    "softmax_cross_entropy": (lambda x: tape.softmax_cross_entropy([2, 0], x), [MATRIX]),
}


EDGES = [(name, number) for name, (_, inputs) in CASES.items() for number in range(len(inputs))]
WRONG = {
    "doubled": lambda gradient: gradient * 2.0,
    "negated": lambda gradient: -gradient,
    "dropped": lambda gradient: gradient * 0.0,
    "1 % too large": lambda gradient: gradient * 1.01,
}


PRIMITIVES = {each.name: each for each in vars(tape).values() if isinstance(each, Operation)}


def test_every_primitive_operation_has_a_case():
    assert set(PRIMITIVES) == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_a_case_uses_its_operation_on_its_inputs(name):
    function, inputs = CASES[name]
    with Tape() as recording:
        function(*map(Variable, inputs))
    found = [note for note in recording.notes if note.operation.name == name]
    assert len(found[0].inputs) == len(inputs)


@pytest.mark.parametrize("name", CASES)
def test_checker_calls_right_what_is_right(name):
    check = check_gradients(*CASES[name])
    assert check.ok and check.error <= check.tolerance
    assert str(check).startswith("right")


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("name, number", EDGES)
def test_checker_finds_any_broken_pull_back(monkeypatch, name, number, wrong):
    pull_backs = list(PRIMITIVES[name].pull_backs)
    whole = pull_backs[number]
    pull_backs[number] = lambda *arguments: WRONG[wrong](whole(*arguments))
    monkeypatch.setattr(PRIMITIVES[name], "pull_backs", pull_backs)
    check = check_gradients(*CASES[name])
    assert not check.ok and check.error > check.tolerance
    assert check.input == number
    assert str(check).startswith(f"WRONG: at input {number}, element ")


def first_along(bar: Tensor, shape: tuple[int, ...], is_broken: Callable[[int, int], bool]):
    """Take the first element along some of the repeated axes, where `sum_to` sums."""
    new = bar.ndim - len(shape)
    repeated = [i for i in range(bar.ndim) if i < new or shape[i - new] == 1]
    broken = [i for i in repeated if is_broken(i, new)]
    for i in broken:
        bar = tape.getitem(bar, (slice(None),) * i + (slice(0, 1),))
    summed = tuple(set(repeated) - set(broken))
    return tape.reshape(tape.reduce_sum(bar, summed), shape)


BROKEN_SUMS = {
    "new axes are not summed": lambda bar, shape: first_along(bar, shape, lambda i, new: i < new),
    "axes of length 1 are not summed": (
        lambda bar, shape: first_along(bar, shape, lambda i, new: i >= new)
    ),
    "only the first axis is summed": lambda bar, shape: first_along(bar, shape, lambda i, _: i),
    "the mean in place of the sum": (
        lambda bar, shape: WHOLE_SUM_TO(bar, shape) * (np.prod(shape) / bar.value.size)
    ),
    "the wrong axis is summed": (
        lambda bar, shape: (
            WHOLE_SUM_TO(tape.matrix_transpose(bar), shape)
            if bar.ndim == 2 and bar.shape != shape
            else WHOLE_SUM_TO(bar, shape)
        )
    ),
}
WHOLE_SUM_TO = tape.sum_to
SQUARE = RNG.uniform(1, 2, (3, 3))
BROADCASTS = [  # both ways, with new axes and with axes of length 1
    (tape.multiply, [SQUARE, ROW]),
    (tape.multiply, [ROW[:, None], SQUARE]),
    (tape.multiply, [SQUARE[None, :, :1], SQUARE[:, None]]),
]


def test_first_along_is_sum_to_where_nothing_is_broken():
    for shape in [(2, 3), (3,), (1, 3), (2, 1), (1, 1), ()]:
        whole = WHOLE_SUM_TO(Tensor(MATRIX), shape).numpy()
        mine = first_along(Tensor(MATRIX), shape, lambda i, new: False).numpy()
        np.testing.assert_array_equal(mine, whole)


@pytest.mark.parametrize("broken", BROKEN_SUMS)
def test_checker_finds_broken_broadcasting(monkeypatch, broken):
    assert all(check_gradients(*case).ok for case in BROADCASTS)
    monkeypatch.setattr(tape, "sum_to", BROKEN_SUMS[broken])
    assert not all(check_gradients(*case).ok for case in BROADCASTS)


def test_checker_names_the_worst_element():
    @tf.custom_gradient
    def wrong_at_one_element(x):
        return x * x, lambda bar: bar * (2 * x + [[0.0, 0.0, 0.0], [0.0, 0.5, 0.0]])

    check = check_gradients(wrong_at_one_element, [MATRIX], tf.GradientTape, tf.Variable)
    assert not check.ok
    assert check.input == 0 and tuple(check.index) == (1, 1)
    ratio = check.from_tape / check.from_differences
    assert ratio == pytest.approx(1 + 0.5 / (2 * MATRIX[1, 1]), rel=1e-6)  # differences' error


@pytest.mark.parametrize(
    "function, inputs",
    [
        (tf.matmul, [MATRIX, MATRIX.T]),
        (tf.nn.softmax, [MATRIX]),
        (lambda x, w: tf.reduce_sum(tf.tanh(x) * w, 0), [MATRIX, ROW]),
    ],
)
def test_checker_takes_tensorflow(function, inputs):
    assert check_gradients(function, inputs, tf.GradientTape, tf.Variable).ok


@pytest.mark.parametrize("factor, ok", [(1.0, True), (1 + 1e-4, False), (-1.0, False)])
def test_checker_finds_what_is_wrong_in_tensorflow(factor, ok):
    @tf.custom_gradient
    def my_exp(x):
        y = tf.exp(x)
        return y, lambda bar: factor * bar * y

    assert check_gradients(my_exp, [MATRIX], tf.GradientTape, tf.Variable).ok == ok


def test_checker_sees_a_missing_gradient():
    check = check_gradients(lambda x: tf.stop_gradient(x) * 2, [ROW], tf.GradientTape, tf.Variable)
    assert not check.ok and check.from_tape == 0
    assert check_gradients(lambda x, y: x * 2, [ROW, ROW], tf.GradientTape, tf.Variable).ok


def test_checker_weighs_the_outputs():
    """The outputs of a softmax add up to 1: their plain sum has the gradient 0."""

    @tf.custom_gradient
    def softmax_without_gradient(x):
        return tf.nn.softmax(x), lambda bar: tf.zeros_like(x)

    check = check_gradients(softmax_without_gradient, [MATRIX], tf.GradientTape, tf.Variable)
    assert not check.ok


def test_checker_calls_nan_wrong():
    @tf.custom_gradient
    def nan_behind(x):
        return x * x, lambda bar: bar * np.nan

    assert not check_gradients(nan_behind, [ROW], tf.GradientTape, tf.Variable).ok


# --- what a review found it to miss, and what it can't find


def operation(function: Callable, *pull_backs: Callable) -> Operation:
    return Operation("mine", function, *pull_backs)


TANH_IN_NUMPY = operation(np.tanh, lambda bar, y, x: bar * (1 - y.value**2))
MISSED = {
    "1.5 times, beside 1e7": (
        operation(lambda x: x**2 + 1e7, lambda bar, y, x: bar * 3 * x),
        operation(lambda x: x**2 + 1e7, lambda bar, y, x: bar * 2 * x),
    ),
    "a sign, beside a derivative of 1e7": (
        operation(lambda x: x * [1e7, 1, 1], lambda bar, y, x: bar * [1e7, -1, 1]),
        operation(lambda x: x * [1e7, 1, 1], lambda bar, y, x: bar * [1e7, 1, 1]),
    ),
    "relu from -0.1 on": (
        operation(tape.relu.function, lambda bar, y, x: bar * (x.value > -0.1)),
        tape.relu,
    ),
    "a second derivative": (
        lambda x: TANH_IN_NUMPY(x * x),
        lambda x: tape.tanh(x * x),
    ),
    "tiny values": (
        operation(lambda x: 1e-12 * np.sin(x), lambda bar, y, x: -1e-12 * bar * tape.cos(x)),
        operation(lambda x: 1e-12 * np.sin(x), lambda bar, y, x: 1e-12 * bar * tape.cos(x)),
    ),
}


WRONG_FOR_SOME_ADJOINTS = {
    "a scalar output's adjoint is ignored": (
        operation(lambda x: np.sum(x * x), lambda bar, y, x: 2 * x),
        operation(lambda x: np.sum(x * x), lambda bar, y, x: bar * 2 * x),
    ),
    "negative adjoints are dropped": (
        operation(np.sin, lambda bar, y, x: tape.relu(bar) * tape.cos(x)),
        tape.sin,
    ),
    "adjoints lose their sign": (
        operation(np.sin, lambda bar, y, x: (bar * bar) ** 0.5 * tape.cos(x)),
        tape.sin,
    ),
}


@pytest.mark.parametrize("what", WRONG_FOR_SOME_ADJOINTS)
def test_checker_sends_adjoints_of_both_signs(what):
    wrong, right = WRONG_FOR_SOME_ADJOINTS[what]
    assert check_gradients(right, [ROW]).ok
    assert ", for adjoints below 0, the tape says" in str(check_gradients(wrong, [ROW]))


def test_checker_sends_tensorflow_adjoints_of_both_signs():
    @tf.custom_gradient
    def my_exp(x):
        y = tf.exp(x)
        return y, lambda bar: tf.nn.relu(bar) * y

    check = check_gradients(my_exp, [MATRIX], tf.GradientTape, tf.Variable)
    assert not check.ok and check.from_tape == 0


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("what", MISSED)
def test_checker_finds_small_faults_and_accepts_what_is_right(what, seed):
    wrong, right = MISSED[what]
    inputs = [np.random.default_rng(seed).normal(size=3)]
    assert not check_gradients(wrong, inputs).ok
    check = check_gradients(right, inputs)
    assert check.ok, str(check)


def test_checker_says_at_which_point_and_of_which_order():
    second = str(check_gradients(MISSED["a second derivative"][0], [ROW]))
    assert "(second derivative) the tape says" in second
    assert "of the inputs times " in str(check_gradients(MISSED["relu from -0.1 on"][0], [ROW]))


def test_checker_accepts_any_slope_between_those_of_a_kink():
    for x in (0.0, 1e-4, -1e-4):
        assert check_gradients(tape.relu, [np.full(3, x)]).ok
    assert check_gradients(tape.maximum, [ROW, ROW]).ok


@given(st.floats(-2.5, 2.5), st.floats(-3, 3), st.floats(-3, 3))
def test_the_doubt_covers_a_kink(place, left, right):
    """A kink anywhere within 2.5 h: the slope at 0 is off by no more than the doubt."""
    h = 1e-3

    def broken_line(x):
        return (right if x > place * h else left) * (x - place * h)

    slope, doubt = slope_and_doubt(broken_line, h)
    assert abs(slope - (right if place < 0 else left)) <= doubt + 1e-9


def test_checker_leaves_out_points_where_a_function_is_not_defined():
    assert check_gradients(tape.log, [ROW]).ok
    assert not check_gradients(tape.log, [-ROW]).ok  # at the inputs themselves it must be


def test_what_the_checker_cannot_find():
    """A fault beyond the points where it asks, or the adjoints; the chapter says so."""
    clip = operation(lambda x: np.clip(x, 0, 6), lambda bar, y, x: bar * (x.value > 0))
    assert check_gradients(clip, [ROW]).ok and not check_gradients(clip, [10 * ROW]).ok
    cut = operation(np.sin, lambda bar, y, x: tape.cos(x) * tape.maximum(bar, -4.0))
    assert check_gradients(cut, [ROW]).ok


def test_checker_weighs_a_single_number_with_1():
    check = check_gradients(operation(np.sin, lambda bar, y, x: 2 * bar * tape.cos(x)), [1.0])
    assert check.from_tape == pytest.approx(2 * np.cos(1.0), rel=1e-12)


def test_checker_takes_zeros_an_empty_input_and_sparse_gradients():
    assert check_gradients(tape.relu, [-ROW]).ok
    assert check_gradients(lambda x, y: tape.reduce_sum(x) + y, [np.zeros(0), 1.0]).ok
    sparse = (lambda x: tf.gather(x, [0, 0, 1])), [MATRIX], tf.GradientTape, tf.Variable
    assert check_gradients(*sparse).ok


def test_checker_refuses_a_gradient_of_another_shape(monkeypatch):
    monkeypatch.setattr(tape, "sum_to", lambda bar, shape: bar)
    with pytest.raises(TapeError, match=r"has the shape \(2, 3\), its source \(3,\)"):
        check_gradients(tape.multiply, [MATRIX, ROW])
