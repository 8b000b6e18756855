"""The ways of chapter 01: differences, the complex step, and dual numbers."""

import operator
import random
import warnings

import mpmath
import numpy as np
import pytest
from helpers import examples
from hypothesis import assume, given
from hypothesis import strategies as st

from tapecourse.support.errors import InputError
from tapecourse.differentiation import (
    Dual,
    as_dual,
    central_difference,
    complex_step,
    dual_gradient,
    forward_difference,
    relu,
)

EPSILON = 2.0**-52
METHODS = [forward_difference, central_difference, complex_step]

# Functions of one operation, right to an ulp, and their first three derivatives.
CURVES = {
    "sin": (np.sin, np.cos, lambda x: -np.sin(x), lambda x: -np.cos(x)),
    "exp": (np.exp, np.exp, np.exp, np.exp),
    "log": (np.log, lambda x: 1 / x, lambda x: -1 / x**2, lambda x: 2 / x**3),
    "1/x": (lambda x: 1 / x, lambda x: -1 / x**2, lambda x: 2 / x**3, lambda x: -6 / x**4),
    "x³": (lambda x: x * x * x, lambda x: 3 * x**2, lambda x: 6 * x, lambda x: 6.0),
}
curves = pytest.mark.parametrize("curve", CURVES.values(), ids=CURVES)
points = pytest.mark.parametrize("x", [0.3, 0.7, 1.0, 2.5])
methods = pytest.mark.parametrize("method", METHODS)


# --- differences and the complex step, of one input


def round_off(f, df, x, eps):
    """What the difference of two values can be off by: two ulps, and half an ulp of x."""
    return eps * (2 * abs(f(x)) + abs(x * df(x)) / 2)


@curves
@points
@pytest.mark.parametrize(
    "dtype, h",
    [("float64", h) for h in (2.0**-10, 2.0**-26, 1e-11)]
    + [("float32", h) for h in (2.0**-7, 2.0**-11, 2.0**-16)],
)
def test_errors_of_differences_are_within_the_theory(curve, x, dtype, h):
    """The truncation gets a tenth more, since f'' and f''' change within the step."""
    f, df, d2f, d3f = curve
    eps, x = np.finfo(dtype).eps, np.asarray(x, dtype)
    at = float(x)
    rounding = round_off(f, df, at, eps)
    dividing = eps * abs(df(at))
    error = abs(float(forward_difference(f, x, h)) - df(at))
    assert error <= 1.1 * h / 2 * abs(d2f(at)) + rounding / h + dividing
    error = abs(float(central_difference(f, x, h)) - df(at))
    assert error <= 1.1 * h**2 / 6 * abs(d3f(at)) + 1.5 * rounding / (2 * h) + dividing


@curves
@points
def test_default_steps_give_half_and_two_thirds_of_the_digits(curve, x):
    """The factors 4 and 20 cover f'', f''' and x of these curves."""
    f, df, d2f, d3f = curve
    scale = max(abs(g(x)) for g in curve)
    assert abs(forward_difference(f, x) - df(x)) < 4 * EPSILON ** (1 / 2) * scale
    assert abs(central_difference(f, x) - df(x)) < 20 * EPSILON ** (2 / 3) * scale


@curves
@points
@pytest.mark.parametrize("method, factor", [(forward_difference, 2), (central_difference, 4)])
def test_half_the_step_divides_the_truncation(curve, x, method, factor):
    """The steps are so large that truncation rules; the next term of the series is below 2 %."""
    f, df, *_ = curve
    coarse, fine = (abs(method(f, x, h) - df(x)) for h in (2.0**-9, 2.0**-10))
    assert coarse / fine == pytest.approx(factor, rel=0.02)


@curves
@points
@pytest.mark.parametrize("method", [forward_difference, central_difference])
def test_smaller_is_not_better(curve, x, method):
    f, df, *_ = curve
    default, tiny = (abs(method(f, x, *h) - df(x)) for h in ((), (1e-15,)))
    assert tiny > 1000 * default


@curves
@pytest.mark.parametrize("h", [1e-20, 1e-200])
def test_complex_step_is_right_to_rounding(curve, h):
    """Four ulps, for the complex operation, the division by h and `truth` itself."""
    f, df, *_ = curve
    for x in np.random.default_rng(0).uniform(0.1, 3, 200):
        truth = df(x)
        assert abs(complex_step(f, x, h) - truth) <= 4 * EPSILON * abs(truth)


@pytest.mark.parametrize("f, truth, found", [(np.abs, -1, 0), (np.real, 1, 0), (np.conj, 1, -1)])
def test_complex_step_is_silently_wrong_without_analyticity(f, truth, found):
    """Documented in chapter 01 as the method's trap."""
    assert central_difference(f, -2.0) == pytest.approx(truth)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert complex_step(f, -2.0) == found


# --- arrays, types, and counts


def weighted_sines(x):
    """A function whose gradient differs from element to element, in the type of x."""
    weights = np.arange(1, x.size + 1, dtype=x.dtype).reshape(x.shape)
    return np.sum(weights * np.sin(x))


def gradient_of_weighted_sines(x):
    return np.arange(1, x.size + 1).reshape(x.shape) * np.cos(x.astype("float64"))


shapes = pytest.mark.parametrize("shape", [(), (1,), (5,), (2, 3), (3, 1, 2), (0,), (2, 0)])


@methods
@shapes
@pytest.mark.parametrize("dtype", ["float32", "float64", "longdouble"])
def test_gradient_has_shape_and_type_of_x(method, shape, dtype):
    """Tolerance: the best that a method can do, times 10 for its step, times |f|, up to 21."""
    x = np.random.default_rng(0).uniform(0.5, 1, shape).astype(dtype)
    eps = max(np.finfo(dtype).eps, EPSILON)
    power = {forward_difference: 1 / 2, central_difference: 2 / 3, complex_step: 1}[method]
    steps = {forward_difference: eps ** (1 / 2), central_difference: eps ** (1 / 3)}
    gradient = method(weighted_sines, x, steps.get(method, 1e-20))
    assert gradient.shape == shape and gradient.dtype == dtype
    truth = gradient_of_weighted_sines(x)
    np.testing.assert_allclose(gradient.astype("float64"), truth, rtol=0, atol=210 * eps**power)


@methods
def test_number_in_number_out(method):
    assert isinstance(method(np.sin, 0.5), np.float64)
    assert isinstance(method(np.sin, np.float32(0.5), 2.0**-9), np.float32)


@methods
def test_x_is_left_alone(method):
    x = np.array([[0.5, 1.0], [1.5, 2.0]])
    x.setflags(write=False)  # so that even a change that is undone is refused
    method(weighted_sines, x)
    assert x.tolist() == [[0.5, 1.0], [1.5, 2.0]]


@pytest.mark.parametrize("order", ["C", "F"])
@methods
def test_memory_order_does_not_matter(method, order):
    """1e-5: the order in which f adds changes its last bits, which are divided by the step."""
    x = np.random.default_rng(0).uniform(0.5, 1, (4, 6))[::2, ::-1]
    gradient = method(weighted_sines, np.array(x, order=order))
    np.testing.assert_allclose(gradient, method(weighted_sines, x), rtol=0, atol=1e-5)


@shapes
@pytest.mark.parametrize(
    "method, evaluations",
    [
        (forward_difference, lambda n: n + 1),
        (central_difference, lambda n: 2 * n),
        (complex_step, lambda n: n),
    ],
)
def test_number_of_evaluations(method, evaluations, shape):
    x, calls = np.ones(shape), []

    def counted(x):
        assert np.shape(x) == shape
        calls.append(x)
        return weighted_sines(x)

    method(counted, x)
    assert len(calls) == evaluations(x.size)


@methods
@pytest.mark.parametrize(
    "x",
    [
        3,
        True,
        [1, 2],
        (1, 2, 3),
        [[1], [0]],
        np.array([1, -2], "int8"),
        np.array([200, 0], "uint8"),
        np.array([True, False]),
    ],
    ids=repr,
)
def test_integers_are_taken_as_floats(method, x):
    floats = np.asarray(x, "float64")
    gradient = method(weighted_sines, x)
    assert gradient.dtype == "float64"
    np.testing.assert_array_equal(gradient, method(weighted_sines, floats))


def test_integers_by_example():
    assert central_difference(np.sin, 1) == pytest.approx(np.cos(1), rel=1e-9)
    assert forward_difference(np.square, 3) == pytest.approx(6, rel=1e-7)
    assert complex_step(np.square, 3) == 6


@methods
def test_lists_of_floats(method):
    x = [[0.5, 1.0], [1.5, 2.0]]
    np.testing.assert_array_equal(method(weighted_sines, x), method(weighted_sines, np.array(x)))


@methods
@pytest.mark.parametrize("x, h", [(1.0, 0.0), (np.float32(1), 1e-50), (np.ones(2), 0)])
def test_a_step_of_zero_is_refused(method, x, h):
    with pytest.raises(InputError, match=f"^h = {h!r}: .* float(32|64)"):
        method(weighted_sines, x, h)


# --- dual numbers: each operation by itself

UNARY = {
    "exp": (np.exp, mpmath.exp),
    "log": (np.log, mpmath.log),
    "sin": (np.sin, mpmath.sin),
    "cos": (np.cos, mpmath.cos),
    "neg": (operator.neg, operator.neg),
    "relu": (relu, lambda x: x if x > 0 else 0 * x),
}
BINARY = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "**": operator.pow,
}
COMPARISONS = {"<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge}

positive = st.floats(0.1, 5)
signed = positive | positive.map(operator.neg)
small_integers = st.integers(1, 5)
PLAIN = [float, int, np.float64, np.int64]
search, search_long = examples(quick=25, thorough=200), examples(quick=100, thorough=1000)


def check_operation(operation, exact, *operands, ulps=2):
    """Compare with the chain rule in 30 digits, in ulps of the terms that it adds up.

    Two ulps leave room for four roundings: no rule here takes more.
    """
    found, duals = operation(*operands), [as_dual(operand) for operand in operands]
    with mpmath.workdps(30):
        point = tuple(mpmath.mpf(float(dual.primal)) for dual in duals)
        terms = [
            mpmath.diff(exact, point, tuple(row)) * float(dual.tangent)
            for row, dual in zip(np.eye(len(duals), dtype=int).tolist(), duals)
            if dual.tangent
        ]
        value = exact(*point)
        assert isinstance(found, Dual)
        assert abs(float(found.primal) - value) <= ulps * EPSILON * abs(value)
        allowed = ulps * EPSILON * sum(map(abs, terms))
        assert abs(float(found.tangent) - sum(terms)) <= allowed


@pytest.mark.parametrize("name", UNARY)
@given(data=st.data())
@search
def test_function_of_a_dual_number(name, data):
    number = data.draw(st.sampled_from([float, np.float64]))
    x = data.draw(positive if name == "log" else signed)
    check_operation(*UNARY[name], Dual(number(x), data.draw(signed)))


def draw_operand(data, kind, numbers):
    if kind is Dual:
        return Dual(data.draw(numbers), data.draw(signed))
    return kind(data.draw(small_integers if kind in (int, np.int64) else numbers))


SIDES = [(Dual, Dual)] + [pair for kind in PLAIN for pair in ((Dual, kind), (kind, Dual))]


@pytest.mark.parametrize("left, right", SIDES)
@pytest.mark.parametrize("symbol", BINARY)
@given(data=st.data())
@search
def test_operator_from_both_sides(symbol, left, right, data):
    """In a power, e^(y·log x) multiplies the exponent's rounding by the exponent's size."""
    x = draw_operand(data, left, positive if symbol == "**" else signed)
    y = draw_operand(data, right, signed)
    ulps = 2
    if symbol == "**":
        ulps = 4 * (1 + abs(float(as_dual(y).primal) * np.log(float(as_dual(x).primal))))
    check_operation(BINARY[symbol], BINARY[symbol], x, y, ulps=ulps)


class WrongQuotient(Dual):
    """With the sign that is easily got wrong."""

    def __truediv__(x, y):
        y = as_dual(y)
        quotient = x.primal / y.primal
        return Dual(quotient, (x.tangent + quotient * y.tangent) / y.primal)


def test_a_wrong_sign_in_the_quotient_rule_is_told_apart():
    check_operation(operator.truediv, operator.truediv, Dual(3.0, 1.0), Dual(2.0, 1.0))
    with pytest.raises(AssertionError):
        check_operation(
            operator.truediv, operator.truediv, WrongQuotient(3.0, 1.0), Dual(2.0, 1.0)
        )


@pytest.mark.parametrize("exponent", [-3, -1, 0, 1, 2, 3, 2.0, np.float64(3)], ids=repr)
@pytest.mark.parametrize("base", [-2.5, -0.5, np.float64(-1.7)])
def test_negative_base(base, exponent):
    """Four ulps: a power, two products."""
    power = Dual(base, 0.5) ** exponent
    truth = 0.5 * exponent * mpmath.mpf(float(base)) ** (float(exponent) - 1)
    assert power.primal == pytest.approx(float(base) ** exponent, rel=4 * EPSILON, abs=0)
    assert power.tangent == pytest.approx(float(truth), rel=4 * EPSILON, abs=0)


@pytest.mark.parametrize("zero", [0.0, np.float64(0), 0])
@pytest.mark.parametrize("exponent, value, slope", [(0, 1, 0), (1, 0, 1), (2, 0, 0), (3, 0, 0)])
def test_base_of_zero(zero, exponent, value, slope):
    power = Dual(zero, 0.5) ** exponent
    assert (power.primal, power.tangent) == (value, slope * 0.5)


@pytest.mark.parametrize("x, y", [(1.0, 2.0), (2.0, 1.0), (2.0, 2.0), (-0.0, 0.0)])
@pytest.mark.parametrize("kind", [float, np.float64, int])
@pytest.mark.parametrize("symbol", COMPARISONS)
def test_comparisons_compare_values(symbol, kind, x, y):
    compare, truth = COMPARISONS[symbol], COMPARISONS[symbol](x, y)
    assert compare(Dual(x, 5.0), Dual(y, -5.0)) == truth
    assert compare(Dual(x, 5.0), kind(y)) == truth
    assert compare(kind(x), Dual(y, -5.0)) == truth


# --- dual numbers: whole programs


def guarded(function, *conditions):
    """Have hypothesis look for another example where a condition on the operands fails."""

    def checked(*operands):
        for condition in conditions:
            assume(condition(*operands))
        return function(*operands)

    return checked


def away_from_kink(x, y=0):
    return abs(x - y) > 1e-6


EXACT = {name: exact for name, (_, exact) in UNARY.items()} | BINARY
EXACT |= {name: guarded(compare, away_from_kink) for name, compare in COMPARISONS.items()}
EXACT |= {
    "number": mpmath.mpf,
    "log": guarded(mpmath.log, lambda x: x > 0.01),
    "relu": guarded(UNARY["relu"][1], away_from_kink),
    "/": guarded(operator.truediv, lambda x, y: abs(y) > 0.01),
    "**": guarded(
        operator.pow,
        lambda x, y: abs(x) > 0.01 and (x > 0 or y == int(y)) and abs(y) < 20,
    ),
}
DUAL = {name: ours for name, (ours, _) in UNARY.items()} | BINARY | COMPARISONS
DUAL |= {"number": lambda number: number}

variable = st.just("x")
constant = positive | small_integers | positive.map(np.float64)
trees = st.recursive(
    st.one_of(4 * [variable] + [constant]),
    lambda tree: st.one_of(
        st.tuples(st.sampled_from(list(UNARY)), tree),
        st.tuples(st.sampled_from(list(BINARY)), tree, tree),
        st.tuples(st.just("**"), tree, st.integers(-2, 3)),
        st.tuples(st.sampled_from(list(COMPARISONS)), tree, tree, tree, tree),
    ),
    max_leaves=8,
)


def evaluate(tree, x, functions, touch=lambda operand: operand):
    """Run a tree of operations on x; `touch` sees every operand on its way in."""
    if isinstance(tree, str):
        return x
    if not isinstance(tree, tuple):
        return functions["number"](tree)
    name, *branches = tree
    if name in COMPARISONS:
        left, right, if_true, if_false = branches
        operands = (evaluate(branch, x, functions, touch) for branch in (left, right))
        chosen = if_true if functions[name](*operands) else if_false
        return evaluate(chosen, x, functions, touch)
    operands = [touch(evaluate(branch, x, functions, touch)) for branch in branches]
    return functions[name](*operands)


def exact_value_and_derivative(tree, x, seed=None):
    """In 30 digits; with a seed, every operand is off by about 1e-10 of it, at random."""

    def f(x):
        noise = random.Random(seed)

        def touch(operand):
            assume(abs(operand) < 1e4)
            return operand * (1 + noise.uniform(-1e-10, 1e-10)) if seed is not None else operand

        return evaluate(tree, x, EXACT, touch)

    with mpmath.workdps(30):
        return np.array(mpmath.taylor(f, mpmath.mpf(x), 1))


@given(tree=trees, x=signed, number=st.sampled_from([float, np.float64]))
@search_long
def test_programs_of_dual_numbers(tree, x, number):
    """How ill-conditioned a program is, shows in what small errors of all operands do to it.

    Thirty times rounding is allowed: some ten operations, a few roundings each, against the
    largest of four samples. And a few ulps, for operations that swallow their operands' errors.
    """
    truth = exact_value_and_derivative(tree, x)
    assume(truth[1] != 0)  # constants are dull
    spread = [abs(exact_value_and_derivative(tree, x, seed) - truth) for seed in range(4)]
    allowed = 30 * EPSILON / 1e-10 * np.max(spread, axis=0) + 8 * EPSILON * abs(truth)
    found = as_dual(evaluate(tree, Dual(number(x), 1.0), DUAL))
    assert (abs(np.array([found.primal, found.tangent]) - truth) <= allowed).all()


def newton_root(a):
    """The square root, by a loop whose length depends on its values."""
    guess, better = 0.0, 1.0
    while better - guess > 1e-12 or guess - better > 1e-12:
        guess, better = better, (better + a / better) / 2
    return better


def huber(x):
    if x > 1 or x < -1:
        return (x if x > 0 else -x) - 0.5
    return x**2 / 2


@pytest.mark.parametrize("a", [0.1, 2.0, 30.0])
def test_loops(a):
    """The last step of Newton's method squares an error of at most 1e-12."""
    root = newton_root(Dual(a, 1.0))
    assert root.primal == pytest.approx(np.sqrt(a), rel=4 * EPSILON)
    assert root.tangent == pytest.approx(0.5 / np.sqrt(a), rel=1e-14)


@pytest.mark.parametrize("x, slope", [(-3.0, -1.0), (-0.5, -0.5), (0.25, 0.25), (4.0, 1.0)])
def test_branches(x, slope):
    assert huber(Dual(x, 1.0)).tangent == slope


# --- dual numbers inside dual numbers

TWICE = {
    "sin": (np.sin, mpmath.sin),
    "cos": (np.cos, mpmath.cos),
    "exp": (np.exp, mpmath.exp),
    "log": (np.log, mpmath.log),
    "product": (lambda x: x * np.sin(x), lambda x: x * mpmath.sin(x)),
    "quotient": (lambda x: np.sin(x) / x, lambda x: mpmath.sin(x) / x),
    "x⁵": (lambda x: x**5, lambda x: x**5),
    "x⁻²": (lambda x: x**-2, lambda x: x**-2),
    "2ˣ": (lambda x: 2**x, lambda x: 2**x),
    "xˣ": (lambda x: x**x, lambda x: x**x),
    "relu": (lambda x: relu(x - 1) ** 3, lambda x: (x - 1) ** 3 if x > 1 else 0 * x),
    "chain": (
        lambda x: np.exp(-(x**2)) * np.sin(x**2),
        lambda x: mpmath.exp(-(x**2)) * mpmath.sin(x**2),
    ),
}


@pytest.mark.parametrize("x", [0.3, 0.7, 1.9, 2.5])
@pytest.mark.parametrize("inner_tangent", [1.0, Dual(1.0, 0.0)], ids=["1", "1 + 0ε"])
@pytest.mark.parametrize("ours, exact", TWICE.values(), ids=TWICE)
def test_nested_duals_give_second_derivatives(ours, exact, inner_tangent, x):
    """Some twenty roundings, where terms of up to ten times the sum cancel: 1e-13."""
    nested = ours(Dual(Dual(x, 1.0), inner_tangent))
    with mpmath.workdps(30):
        value, first, half_second = map(float, mpmath.taylor(exact, x, 2))
    found = nested.primal.primal, nested.primal.tangent, nested.tangent.primal
    assert found == pytest.approx((value, first, first), rel=1e-13)
    assert nested.tangent.tangent == pytest.approx(2 * half_second, rel=1e-13)


# --- gradients by dual numbers


def program(x):
    total = 0.0
    for i, element in enumerate(x):
        if element > 1:
            total = total + np.exp(-element) * (i + 1)
        else:
            total = relu(element) * 3 - total / (2 + np.sin(element) ** 2)
    return total * x[0]


@pytest.mark.parametrize("make", [list, tuple, np.array])
@pytest.mark.parametrize("n", [1, 2, 7])
def test_gradient_by_dual_numbers(n, make):
    """Central differences are good to ε^(2/3), 4e-11; some twenty times that for f''' and |f|."""
    x = make(np.random.default_rng(n).uniform(0.5, 1.5, n).tolist())
    gradient = dual_gradient(program, x)
    assert isinstance(gradient, np.ndarray)
    assert gradient.shape == (n,) and gradient.dtype == "float64"
    np.testing.assert_allclose(gradient, central_difference(program, x), rtol=0, atol=1e-9)


def test_gradient_by_dual_numbers_has_no_truncation():
    gradient = dual_gradient(lambda x: x[0] ** 2 * x[1] - x[1] / x[0], [3.0, 5.0])
    np.testing.assert_allclose(gradient, [30 + 5 / 9, 9 - 1 / 3], rtol=4 * EPSILON)


def test_an_input_that_is_not_used_has_derivative_zero():
    assert dual_gradient(lambda x: x[1] * 2, [1.0, 2.0, 3.0]).tolist() == [0.0, 2.0, 0.0]
