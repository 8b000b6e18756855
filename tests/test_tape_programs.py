"""The tape of chapter 03 on random programs, against TensorFlow's tape and dual numbers."""

import operator
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import hypothesis.strategies as st
import numpy as np
import tensorflow as tf
from helpers import THOROUGH, examples
from hypothesis import given, seed, settings
from hypothesis.extra import numpy as hnp

from tapecourse import differentiation, tape
from tapecourse.differentiation import as_dual, dual_gradient
from tapecourse.tape import Tape, Tensor, Variable

# --- a program is a list of steps; who can run them


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


# --- first derivatives

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


# --- second derivatives


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


# --- dual numbers

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
