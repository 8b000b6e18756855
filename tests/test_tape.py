"""The tape of chapter 03, against TensorFlow's tape, dual numbers and central differences."""

import ast
import io
import operator
import re
import tokenize
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT
from helpers import THOROUGH, examples
from hypothesis import given, seed, settings
from hypothesis.extra import numpy as hnp

from tapecourse import differentiation, tape
from tapecourse.differentiation import as_dual, dual_gradient
from tapecourse.support.gradient_check import slope_and_doubt
from tapecourse.tape import Operation, Tape, TapeError, Tensor, Variable, check_gradients

# --- random programs: a list of steps, and who can run them


class Step(NamedTuple):
    """One step; its operands are the numbers of earlier steps."""

    operation: str
    operands: tuple[int, ...] = ()
    options: tuple = ()


def take(x, axis, numbers):
    return tape.getitem(x, (slice(None),) * axis + (numbers,))


OPERATIONS = {  # ours, TensorFlow's; both take the operands, then the options
    "add": (tape.add, tf.add),
    "subtract": (tape.subtract, tf.subtract),
    "multiply": (tape.multiply, tf.multiply),
    "divide": (tape.divide, tf.divide),
    "power": (tape.power, tf.pow),
    "maximum": (tape.maximum, tf.maximum),
    "negative": (tape.negative, tf.negative),
    "exp": (tape.exp, tf.exp),
    "sin": (tape.sin, tf.sin),
    "cos": (tape.cos, tf.cos),
    "log": (tape.log, tf.math.log),
    "tanh": (tape.tanh, tf.tanh),
    "sigmoid": (tape.sigmoid, tf.sigmoid),
    "relu": (tape.relu, tf.nn.relu),
    "softmax": (tape.softmax, tf.nn.softmax),
    "softmax_cross_entropy": (
        lambda logits, labels: tape.softmax_cross_entropy(labels, logits),
        lambda logits, labels: tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits),
    ),
    "reduce_sum": (tape.reduce_sum, tf.reduce_sum),
    "reduce_mean": (tape.reduce_mean, tf.reduce_mean),
    "matmul": (tape.matmul, tf.experimental.numpy.matmul),
    "reshape": (tape.reshape, tf.reshape),
    "transpose": (tape.transpose, tf.transpose),
    "getitem": (tape.getitem, operator.getitem),
    "getitem, list": (take, lambda x, axis, numbers: tf.gather(x, numbers, axis=axis)),
    "getitem, arrays": (tape.getitem, lambda x, index: tf.gather_nd(x, np.stack(index, -1))),
    "getitem, mask": (tape.getitem, tf.boolean_mask),
    "x + number": (operator.add, operator.add),
    "x * number": (operator.mul, operator.mul),
    "x ** number": (operator.pow, operator.pow),
}
OURS = {name: functions[0] for name, functions in OPERATIONS.items()}
TENSORFLOW = {name: functions[1] for name, functions in OPERATIONS.items()}
DUAL = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "power": operator.pow,
    "negative": operator.neg,
    "exp": np.exp,
    "sin": np.sin,
    "cos": np.cos,
    "log": np.log,
    "relu": differentiation.relu,
    "x + number": operator.add,
    "x * number": operator.mul,
    "x ** number": operator.pow,
}
BROADCASTING = ("add", "subtract", "multiply", "divide", "power", "maximum")
LEAVES = ("variable", "watched", "constant")
MAKERS = {  # of leaves: ours, TensorFlow's
    "variable": (Variable, tf.Variable),
    "watched": (Tensor, tf.constant),
    "constant": (Tensor, tf.constant),
}


def execute(step: Step, values: list, operations: dict[str, Callable]) -> Any:
    return operations[step.operation](*(values[i] for i in step.operands), *step.options)


def run(steps: list[Step], operations: dict[str, Callable], leaf: Callable) -> list:
    """Run a program; `leaf` makes a value of a leaf's kind and array. Return all values."""
    values = []
    for step in steps:
        is_leaf = step.operation in LEAVES
        values.append(leaf(*step) if is_leaf else execute(step, values, operations))
    return values


def leaf_maker(library: int, *recordings) -> Callable:
    """Make leaves for our tapes (library 0) or TensorFlow's (1), which watch what is `watched`."""

    def leaf(kind, _, options):
        value = MAKERS[kind][library](*options)
        if kind == "watched":
            for recording in recordings:
                recording.watch(value)
        return value

    return leaf


class Builder:
    """Writes a random program, and knows its values so far.

    The leaves are random numbers, so that kinks and ties have probability 0. Values of
    more than 4 are scaled down before they are used: further out tanh and sigmoid are so flat
    that their derivatives lose digits.
    """

    def __init__(self, draw: Callable, most_axes: int):
        self.draw, self.most_axes = draw, most_axes
        self.rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        self.steps: list[Step] = []
        self.values: list[Tensor] = []
        self.tracked: list[int] = []

    def shape(self, i: int) -> tuple[int, ...]:
        return self.values[i].shape

    def is_small(self, i: int) -> bool:
        return abs(self.values[i].value).max() <= 4

    def append(self, step: Step, value: Tensor, tracked: bool) -> int:
        self.steps.append(step)
        self.values.append(value)
        if tracked:
            self.tracked.append(len(self.steps) - 1)
        return len(self.steps) - 1

    def leaf(self, kind: str, shape: tuple[int, ...]) -> int:
        value = self.rng.uniform(-2, 2, shape)
        return self.append(Step(kind, (), (value,)), Tensor(value), kind != "constant")

    def add(self, operation: str, *operands: int, options: tuple = ()) -> int:
        step = Step(operation, operands, options)
        tracked = any(i in self.tracked for i in operands)
        return self.append(step, execute(step, self.values, OURS), tracked)

    def draw_shape(self, shape: tuple[int, ...] = (), most_axes: int | None = None) -> tuple:
        """Draw a shape that broadcasts together with the one given: smaller, larger or both."""
        most = self.most_axes if most_axes is None else most_axes
        axes = self.draw(st.integers(0, most))
        partners = ((1,) * most + shape)[len(shape) + most - axes :]
        lengths = [[1, 2, 3] if n == 1 else [1, n, n] for n in partners]
        return tuple(self.draw(st.sampled_from(choices)) for choices in lengths)

    def partner(self, shape: tuple[int, ...], fits: Callable[[tuple], bool]) -> int:
        """Choose an earlier value whose shape fits, or make a leaf of this shape."""
        known = [i for i in range(len(self.steps)) if fits(self.shape(i)) and self.is_small(i)]
        if known and self.draw(st.booleans()):
            return self.draw(st.sampled_from(known[::-1]))
        return self.leaf(self.draw(st.sampled_from(LEAVES)), shape)

    def positive(self, x: int) -> int:
        return self.add("x + number", self.add("x ** number", x, options=(2,)), options=(0.5,))

    def off_kinks(self, x: int) -> int:
        return self.add("add", x, self.leaf("constant", self.shape(x)))

    def several_classes(self, x: int) -> int:
        """Repeat a last axis of length 1, since the softmax of one number is always 1."""
        alone = self.shape(x)[-1:] in [(), (1,)]
        return self.add("add", x, self.leaf("constant", (3,))) if alone else x

    def grow(self, operation: str) -> None:
        """Add an operation on a value that a tape follows, rather the newest."""
        newest, *older = [i for i in self.tracked if self.is_small(i)][::-1]
        x = self.draw(st.sampled_from([newest] * (1 + 3 * len(older)) + older))
        if not self.shape(x) and operation in NEED_AN_AXIS:
            x = self.add("reshape", x, options=((1,),))
        y = GROW.get(operation, grow_unary)(self, operation, x)
        if not self.is_small(y):
            self.add("x * number", y, options=(float(3 / abs(self.values[y].value).max()),))


def grow_unary(program: Builder, operation: str, x: int) -> int:
    if operation == "softmax":
        x = program.several_classes(x)
    if operation == "log":
        x = program.positive(x)
    if operation == "relu":
        x = program.off_kinks(x)
    return program.add(operation, x)


def broadcast(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return all(m == n or 1 in (m, n) for m, n in zip(a[::-1], b[::-1]))


def grow_broadcasting(program: Builder, operation: str, x: int) -> int:
    shape = program.shape(x)
    y = program.partner(program.draw_shape(shape), lambda other: broadcast(shape, other))
    a, b = program.draw(st.permutations((x, y)))
    if operation == "divide":
        b = program.positive(b)
    if operation == "power":
        a = program.positive(a)
    if operation == "maximum":
        b = program.off_kinks(b)
    return program.add(operation, a, b)


def grow_matmul(program: Builder, operation: str, x: int) -> int:
    shape, is_left = program.shape(x), program.draw(st.booleans())
    inner = shape[-1] if is_left or len(shape) == 1 else shape[-2]
    other = program.draw(st.integers(1, 3))
    matrix = (inner, other) if is_left else (other, inner)
    is_vector = program.draw(st.integers(0, 3)) == 0
    full = (inner,) if is_vector else program.draw_shape(shape[:-2], most_axes=2) + matrix
    y = program.partner(full, lambda other: other == full)
    return program.add(operation, *((x, y) if is_left else (y, x)))


def grow_reduction(program: Builder, operation: str, x: int) -> int:
    axes, n = st.none(), len(program.shape(x))
    if n:
        axes |= st.integers(-n, n - 1) | hnp.valid_tuple_axes(n, min_size=1)
    return program.add(operation, x, options=program.draw(st.tuples(axes, st.booleans())))


def grow_reshape(program: Builder, operation: str, x: int) -> int:
    shape = program.shape(x)
    shapes = [(-1,), shape[::-1]]
    if len(shape) < 4:
        shapes += [(1, *shape), (*shape, 1)]
    if len(shape) > 1:
        shapes += [(shape[0], -1), (-1, *shape[2:])]
    return program.add(operation, x, options=(program.draw(st.sampled_from(shapes)),))


def grow_transpose(program: Builder, operation: str, x: int) -> int:
    orders = st.none() | st.permutations(range(len(program.shape(x))))
    return program.add(operation, x, options=(program.draw(orders),))


def grow_cross_entropy(program: Builder, operation: str, x: int) -> int:
    x = program.several_classes(x)
    classes = program.shape(x)[-1]
    logits = program.add("reshape", x, options=((-1, classes),))
    labels = program.rng.integers(classes, size=program.shape(logits)[0])
    return program.add(operation, logits, options=(labels,))


def grow_getitem(program: Builder, operation: str, x: int) -> int:
    shape = program.shape(x)
    indices = hnp.basic_indices(shape, allow_newaxis=True, max_dims=4)
    index = program.draw(indices.filter(lambda index: np.empty(shape)[index].size > 0))
    return program.add(operation, x, options=(index,))


def grow_getitem_list(program: Builder, operation: str, x: int) -> int:
    axis = program.draw(st.integers(0, len(program.shape(x)) - 1))
    numbers = st.integers(0, program.shape(x)[axis] - 1)
    numbers = program.draw(st.lists(numbers, min_size=1, max_size=4))
    return program.add(operation, x, options=(axis, numbers))


def grow_getitem_arrays(program: Builder, operation: str, x: int) -> int:
    result = hnp.array_shapes(max_dims=2, max_side=3)
    index = program.draw(hnp.integer_array_indices(program.shape(x), result_shape=result))
    shape = np.reshape(program.shape(x), (-1,) + (1,) * index[0].ndim)
    index = tuple(np.array(index) % shape)  # gather_nd knows no negative numbers
    return program.add(operation, x, options=(index,))


def grow_getitem_mask(program: Builder, operation: str, x: int) -> int:
    axes = program.draw(st.integers(1, len(program.shape(x))))
    mask = program.rng.random(program.shape(x)[:axes]) < 0.5
    mask[(0,) * axes] = True  # so that something is left
    return program.add(operation, x, options=(mask,))


GROW = {
    **dict.fromkeys(BROADCASTING, grow_broadcasting),
    **dict.fromkeys(("reduce_sum", "reduce_mean"), grow_reduction),
    "matmul": grow_matmul,
    "reshape": grow_reshape,
    "transpose": grow_transpose,
    "softmax_cross_entropy": grow_cross_entropy,
    "getitem": grow_getitem,
    "getitem, list": grow_getitem_list,
    "getitem, arrays": grow_getitem_arrays,
    "getitem, mask": grow_getitem_mask,
}
GROWN = [name for name in OPERATIONS if "number" not in name]  # those are fed in where needed
GROWN += ["matmul", "matmul"]  # it has the most cases
NEED_AN_AXIS = {"matmul", *(name for name in OPERATIONS if "," in name)}


@st.composite
def programs(draw: Callable, operations: list[str] = GROWN, most_axes: int = 4) -> list[Step]:
    """Programs of some operations, whose last value depends on a variable."""
    builder = Builder(draw, most_axes)
    for _ in range(draw(st.integers(1, 3))):
        builder.leaf("variable", builder.draw_shape())
    for operation in draw(st.lists(st.sampled_from(operations), min_size=4, max_size=9)):
        builder.grow(operation)
    return builder.steps


def array_of(gradient: Any) -> np.ndarray | None:
    if isinstance(gradient, tf.IndexedSlices):
        gradient = tf.convert_to_tensor(gradient)
    return None if gradient is None else gradient.numpy()


def largest_of(gradients: list) -> float:
    return max(float(abs(gradient).max()) for gradient in gradients if gradient is not None)


def passed(gradient: np.ndarray | None) -> bool:
    """Say whether a gradient came here, and is more than rounding."""
    return gradient is not None and abs(gradient).max() > 1e-9


def operations_passed(steps: list[Step], gradients: list) -> set[str]:
    return {step.operation for step, gradient in zip(steps, gradients) if passed(gradient)}


def assert_equal(ours: list, theirs: list, tolerance: float, largest: float = 0.0) -> None:
    """Compare gradients, source by source, relative to the source's largest element.

    Element by element would be too strict, since an element may be the small difference of large
    ones. Where a whole gradient cancels (that of a sum of probabilities is 0, whatever goes into
    them) rounding is all that is left: up to 1e-13 of the largest gradient in the program.
    """
    largest = max(largest, largest_of(theirs))
    for our, their in zip(ours, theirs, strict=True):
        assert (our is None) == (their is None)
        if our is not None:
            assert our.shape == their.shape and our.dtype == their.dtype == np.float64
            limit = tolerance * abs(their).max() + 1e-13 * largest
            assert (abs(our - their) <= limit).all()  # False for NaN, too


# --- random programs: first derivatives

BOTH = [(Tape, OURS), (tf.GradientTape, TENSORFLOW)]
SEEN = Counter()  # what the random programs had in them, where a gradient passed
LEAST = 20 if THOROUGH else 1  # programs that must have had each thing in them


def values_and_gradients(steps: list[Step], library: int) -> tuple[list, list]:
    """Return all values of a program, and the gradients of the last with respect to all.

    The last value's elements count with weights from 1 to 2: with equal ones more cancels.
    """
    tape_class, operations = BOTH[library]
    with tape_class() as recording:
        values = run(steps, operations, leaf_maker(library, recording))
    weights = np.random.default_rng(0).uniform(1, 2, values[-1].shape)
    gradients = recording.gradient(values[-1], values, output_gradients=weights)
    return [value.numpy() for value in values], [array_of(gradient) for gradient in gradients]


@examples(quick=400, thorough=3000)
@given(programs())
def test_random_programs(steps):
    """1e-10 is far above rounding, some 1e-15, and far below what any wrong formula does."""
    values, ours = values_and_gradients(steps, 0)
    their_values, theirs = values_and_gradients(steps, 1)
    assert_equal(values, their_values, 1e-10)
    assert_equal(ours, theirs, 1e-10)
    SEEN.update(program_features(steps, values, ours))


def program_features(steps: list[Step], values: list, gradients: list) -> list[str]:
    """Say what a program tests: only what a gradient that is not 0 passed through counts."""
    through = [passed(gradient) for gradient in gradients]
    labels, uses = ["program"], Counter()
    for i, step in enumerate(steps):
        if step.operation in LEAVES:
            labels.append(f"{step.operation}: {'None' if gradients[i] is None else 'gradient'}")
        elif through[i] and any(through[j] for j in step.operands):
            labels += step_features(step, [values[j].shape for j in step.operands])
            uses.update(step.operands)
    leaves = [i for i, step in enumerate(steps) if step.operation in LEAVES and through[i]]
    found = {
        "several variables": len(leaves) > 1,
        "fan-out": any(uses[i] > 1 and through[i] for i in uses),
    }
    return labels + [label for label in found if found[label]]


def step_features(step: Step, shapes: list[tuple[int, ...]]) -> list[str]:
    name, options = step.operation, step.options
    labels = [name, *(f"{len(shape)} axes" for shape in shapes)]
    found = {}
    if name in BROADCASTING:
        result = np.broadcast_shapes(*shapes)
        for side, shape in zip(["left", "right"], shapes):
            found[f"{side} repeated, new axis"] = len(shape) < len(result)
            found[f"{side} repeated, length 1"] = shape != result[len(result) - len(shape) :]
    if name == "matmul":
        kinds = {1: "vector", 2: "matrix"}
        labels.append(" @ ".join(kinds.get(len(shape), "stack") for shape in shapes))
        stacks = [shape[:-2] for shape in shapes]
        for side, stack in zip(["left", "right"], stacks):
            found[f"{side} stack repeated"] = stack != np.broadcast_shapes(*stacks)
    if name.startswith("reduce"):
        axis, keepdims = options
        labels += [f"axis {type(axis).__name__}", f"keepdims {keepdims}"]
        found["axis negative"] = isinstance(axis, int) and axis < 0
    if name == "getitem":
        parts = options[0] if isinstance(options[0], tuple) else options
        labels += [f"index {type(part).__name__}" for part in parts]
    if name == "getitem, list":
        found["repeated number"] = len(set(options[1])) < len(options[1])
    if name == "transpose":
        labels.append(f"order {type(options[0]).__name__}")
    return labels + [label for label in found if found[label]]


FEATURES = [
    *OPERATIONS,
    *(f"{n} axes" for n in range(5)),
    *("left repeated, new axis", "left repeated, length 1"),
    *("right repeated, new axis", "right repeated, length 1"),
    *(f"{a} @ {b}" for a in ["vector", "matrix", "stack"] for b in ["vector", "matrix", "stack"]),
    *("left stack repeated", "right stack repeated"),
    *("axis NoneType", "axis int", "axis negative", "axis tuple"),
    *("keepdims True", "keepdims False"),
    *("index int", "index slice", "index NoneType", "index ellipsis", "repeated number"),
    *("order NoneType", "order list"),
    *("variable: gradient", "variable: None", "watched: gradient", "watched: None"),
    *("constant: None", "fan-out", "several variables"),
]


def never_drawn(features: list[str], counts: Counter, drawn: Any, *tests: Callable) -> list[str]:
    """Return what too few programs have had, after more draws by each test, if need be.

    Hypothesis also draws constants of the modules that are loaded: a new one changes all draws.
    """

    def missing():
        return [feature for feature in features if counts[feature] < LEAST]

    for number in range(50):
        if missing():
            for test in tests:
                more = given(drawn)(test.hypothesis.inner_test)
                seed(number)(settings(max_examples=50)(more))()
    return missing()


def test_random_programs_cover_everything():
    assert never_drawn(FEATURES, SEEN, programs(), test_random_programs) == []
    assert SEEN["program"] >= (3000 if THOROUGH else 400)


# --- random programs: second derivatives


def variables_of(steps: list[Step]) -> list[int]:
    return [i for i, step in enumerate(steps) if step.operation in ("variable", "watched")]


def filled(gradients: list, steps: list[Step]) -> list[np.ndarray]:
    """Return those of the variables, with zeros for None.

    Others don't tell the two apart: dual numbers don't, nor does the second derivative of relu in
    TensorFlow.
    """
    return [
        np.zeros_like(steps[i].options[0]) if gradients[i] is None else gradients[i]
        for i in variables_of(steps)
    ]


def second_gradients(steps: list[Step], library: int) -> tuple[list, list]:
    """Return the first gradients, and those of the sum of the first gradients' squares."""
    tape_class, operations = BOTH[library]
    sources = variables_of(steps)
    with tape_class() as outer:
        with tape_class() as inner:
            values = run(steps, operations, leaf_maker(library, outer, inner))
            bent = operations["tanh"](values[-1])  # so that no second derivative is missing
            weights = np.random.default_rng(0).uniform(1, 2, bent.shape)
            target = operations["reduce_sum"](bent * weights)
        first = inner.gradient(target, values)
        if library == 1:  # as IndexedSlices have no square
            first = [None if g is None else tf.convert_to_tensor(g) for g in first]
        squares = [
            operations["reduce_sum"](first[i] ** 2) for i in sources if first[i] is not None
        ]
        total = sum(squares[1:], start=squares[0])
    second = outer.gradient(total, values)
    return [array_of(gradient) for gradient in first], [array_of(gradient) for gradient in second]


BENT = Counter()  # as SEEN


@examples(quick=150, thorough=3000)
@given(programs())
def test_second_derivatives(steps):
    """1e-9, since a second derivative adds some ten times as many terms as a first."""
    first, ours = second_gradients(steps, 0)
    their_first, theirs = second_gradients(steps, 1)
    assert_equal(first, their_first, 1e-9)
    ours, theirs = (filled(gradients, steps) for gradients in (ours, theirs))
    assert_equal(ours, theirs, 1e-9, largest_of(their_first))
    if any(map(passed, theirs)):
        BENT.update(["program", *operations_passed(steps, first)])


def test_second_derivatives_cover_everything():
    assert never_drawn(OPERATIONS, BENT, programs(), test_second_derivatives) == []
    assert BENT["program"] >= (2500 if THOROUGH else 100)


# --- random programs: dual numbers

SCALAR = [name for name in DUAL if "number" not in name]
WEIGHT = np.random.default_rng(0).uniform(1, 2)  # what values_and_gradients gives a number
DUALS = Counter()  # as SEEN


def run_duals(steps: list[Step], variables: list) -> Any:
    """Run a program of numbers on these values of its leaves that are no constants."""
    given_values = iter(variables)

    def leaf(kind, _, options):
        return float(options[0]) if kind == "constant" else next(given_values)

    return run(steps, DUAL, leaf)[-1]


@examples(quick=120, thorough=600)
@given(programs(SCALAR, most_axes=0))
def test_dual_numbers_agree_with_both_tapes(steps):
    """1e-10 as above: dual numbers take powers as exp(b·log(a)), but that costs only a digit."""
    numbers = [float(steps[i].options[0]) for i in variables_of(steps)]
    duals = list(WEIGHT * dual_gradient(lambda variables: run_duals(steps, variables), numbers))
    for library in range(2):
        _, gradients = values_and_gradients(steps, library)
        assert_equal(duals, filled(gradients, steps), 1e-10, largest_of(gradients))
    DUALS.update(["program", *operations_passed(steps, gradients)])


@examples(quick=60, thorough=200)
@given(programs(SCALAR, most_axes=0))
def test_nested_dual_numbers_agree_with_nested_tapes(steps):
    """1e-9 as for the second derivatives above."""
    steps = [*steps, Step("x ** number", (len(steps) - 1,), (2,))]  # so that none is missing
    places = variables_of(steps)
    numbers = [float(steps[i].options[0]) for i in places]
    for number, place in enumerate(places):

        def slope(variables, number=number):
            return as_dual(dual_gradient(lambda v: run_duals(steps, v), variables)[number])

        with Tape() as outer:
            with Tape() as inner:
                values = run(steps, OURS, leaf_maker(0, outer, inner))
            gradients = inner.gradient(values[-1], values)
        if gradients[place] is not None:
            row = outer.gradient(gradients[place], values)
            row = filled([array_of(gradient) for gradient in row], steps)
            scale = largest_of([array_of(gradient) for gradient in gradients])
            assert_equal(list(dual_gradient(slope, numbers)), row, 1e-9, scale)
            DUALS["second derivative"] += any(map(passed, row))


def test_dual_programs_cover_everything():
    tests = [test_dual_numbers_agree_with_both_tapes]
    tests += [test_nested_dual_numbers_agree_with_nested_tapes]
    assert never_drawn(DUAL, DUALS, programs(SCALAR, most_axes=0), *tests) == []
    assert DUALS["program"] >= 100
    assert DUALS["second derivative"] >= 50


# --- the gradient checker finds whatever is broken

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


# --- the checker: what a review found it to miss, and what it can't find


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
    """A fault beyond the points where it asks; the chapter says so."""
    clip = operation(lambda x: np.clip(x, 0, 6), lambda bar, y, x: bar * (x.value > 0))
    assert check_gradients(clip, [ROW]).ok and not check_gradients(clip, [10 * ROW]).ok


def test_checker_weighs_a_single_number_with_1():
    check = check_gradients(operation(np.sin, lambda bar, y, x: 2 * bar * tape.cos(x)), [1.0])
    assert check.from_tape == pytest.approx(2 * np.cos(1.0), rel=1e-12)


# --- it behaves as TensorFlow's tape: each test runs with both

LIBRARIES = {
    "ours": SimpleNamespace(
        Tape=Tape,
        Variable=Variable,
        constant=Tensor,
        **{name: OURS[name] for name in ("reduce_sum", "maximum", "relu", "exp", "sin")},
        cross_entropy=OURS["softmax_cross_entropy"],
    ),
    "tensorflow": SimpleNamespace(
        Tape=tf.GradientTape,
        Variable=tf.Variable,
        constant=tf.constant,
        **{name: TENSORFLOW[name] for name in ("reduce_sum", "maximum", "relu", "exp", "sin")},
        cross_entropy=TENSORFLOW["softmax_cross_entropy"],
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
        losses = lib.cross_entropy(logits, np.array([1, 2]))
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


@pytest.mark.parametrize("name", BROADCASTING)
def test_shapes_that_do_not_broadcast_are_named(name):
    with pytest.raises(TapeError, match=rf"^{name} .*\(2, 3\) and \(4,\)"):
        OURS[name](np.ones((2, 3)), np.ones(4))


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
        OURS[name](Tensor(MATRIX), *options)


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
    assert lib.cross_entropy(masked, np.array([0])).numpy().tolist() == [0]


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


def test_checker_takes_zeros_an_empty_input_and_sparse_gradients():
    assert check_gradients(tape.relu, [-ROW]).ok
    assert check_gradients(lambda x, y: tape.reduce_sum(x) + y, [np.zeros(0), 1.0]).ok
    sparse = (lambda x: tf.gather(x, [0, 0, 1])), [MATRIX], tf.GradientTape, tf.Variable
    assert check_gradients(*sparse).ok


def test_checker_refuses_a_gradient_of_another_shape(monkeypatch):
    monkeypatch.setattr(tape, "sum_to", lambda bar, shape: bar)
    with pytest.raises(TapeError, match=r"has the shape \(2, 3\), its source \(3,\)"):
        check_gradients(tape.multiply, [MATRIX, ROW])


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
