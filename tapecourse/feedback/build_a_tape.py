"""The checks of the exercises of chapter 03."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tapecourse.feedback.core import NotRight, Parts, exercise, letters, letters_seen, mistake
from tapecourse.tape import Operation, Tape, Tensor, Variable, multiply

Random = np.random.Generator

# --- 3.1

EXPRESSIONS: dict[str, Callable] = {
    "x + w": lambda x, w, b: x + w,
    "x * w": lambda x, w, b: x * w,
    "(x * w) * b": lambda x, w, b: x * w * b,
    "x * x": lambda x, w, b: x * x,
    "x + x": lambda x, w, b: x + x,
    "(x * b, x * w)[1]": lambda x, w, b: (x * b, x * w)[1],
    "(x * w, x * b)[0]": lambda x, w, b: (x * w, x * b)[0],
    "x * w + x": lambda x, w, b: x * w + x,
    "(x + w) * (x * w)": lambda x, w, b: (x + w) * (x * w),
    "(y := x * w) * y + y * b": lambda x, w, b: (y := x * w) * y + y * b,
    "((x * x + w) * x + b) * (x + b)": lambda x, w, b: ((x * x + w) * x + b) * (x + b),
}


def try_tape(answer: Callable, *numbers: float) -> dict:
    """Compute all expressions with a learner's numbers, and differentiate each."""
    seen = {}
    for text, expression in EXPRESSIONS.items():
        inputs = dict(zip("xwb", map(answer, numbers)))
        if any(value is None for value in inputs.values()):
            raise NotRight("no_scalar", "`Scalar(2.0)` is None.")
        y = expression(*inputs.values())
        if not hasattr(y, "value"):
            fact = f"{text} must be a Scalar too, and is of the type {type(y).__name__}."
            raise NotRight("no_scalar", fact, "What does each operation return?")
        seen[text] = y.value
        of_text = f"the derivative of {text} with respect to"
        for name, number in list(inputs.items())[: 3 if len(text) > 15 else 1]:
            seen[f"{of_text} {name}"] = y.gradient(number)
            if text == "x * w":
                seen[f"{of_text} x, asked again,"] = y.gradient(number)
                seen[f"{of_text} a Scalar that isn't in it"] = y.gradient(answer(2.0))
    seen["the derivative of a Scalar with respect to itself"] = y.gradient(y)  # pyright: ignore[reportPossiblyUnboundVariable]
    return seen


def scalar(
    slopes: Callable = lambda a, b: (b, a),
    of_sum: Callable = lambda a, b: (1.0, 1.0),
    share: Callable = lambda bar, slope: bar * slope,
    join: Callable = lambda before, share: before + share,
    seed: Callable = lambda number: 1.0,
    start: Callable = lambda number, notes: number,
    order: Callable = reversed,
    inputs_of: Callable = list,
    nothing: Any = 0.0,
    fresh: bool = True,
    spreads: bool = False,
    forgets: bool = False,
) -> type:
    """Make a class of numbers with a list of notes, right or with faults."""

    class Scalar:
        notes: list = []
        adjoints: dict = {}

        def __init__(self, value: float):
            self.value = value

        def note(self, value: float, *inputs: tuple) -> "Scalar":
            result = Scalar(value)
            self.notes.append((result, inputs_of(inputs)))
            return result

        def __add__(self, other: "Scalar") -> "Scalar":
            by_self, by_other = of_sum(self.value, other.value)
            return self.note(self.value + other.value, (self, by_self), (other, by_other))

        def __mul__(self, other: "Scalar") -> "Scalar":
            by_self, by_other = slopes(self.value, other.value)
            return self.note(self.value * other.value, (self, by_self), (other, by_other))

        def gradient(self, source: "Scalar") -> Any:
            adjoints: dict = {} if fresh else self.adjoints
            adjoints.setdefault(start(self, self.notes), seed(self))
            for output, inputs in order(self.notes):
                if output in adjoints or spreads:
                    bar = adjoints.get(output, 0.0)
                    for number, slope in inputs:
                        part = share(bar, slope)
                        known = number in adjoints
                        adjoints[number] = join(adjoints[number], part) if known else part
            if forgets:
                self.notes.clear()
            return adjoints.get(source, nothing)

    return Scalar


exercise(
    "3.1",
    "A tape for numbers",
    3,
    mistake(
        "own_factor",
        "In a * b a factor's derivative is taken to be that factor.",
        "If a changes a little, by how many times as much does a·b change?",
        scalar(slopes=lambda a, b: (a, b)),
        scalar(slopes=lambda a, b: (a, a)),
        scalar(slopes=lambda a, b: (b, b)),
    ),
    mistake(
        "replaced",
        "Where a number is used twice, one of its two paths is lost.",
        "What happens to the contributions of paths that meet?",
        scalar(join=lambda before, share: share),
        scalar(join=lambda before, share: share, spreads=True),
        scalar(join=lambda before, share: before),
        scalar(inputs_of=lambda inputs: list(dict(inputs).items())),
    ),
    mistake(
        "no_chain",
        "One operation is right, two in a row are not.",
        "In which order are the notes walked, and what is an inner derivative multiplied by?",
        scalar(share=lambda bar, slope: slope),
        scalar(order=list),
        scalar(order=list, spreads=True),
    ),
    mistake(
        "added",
        "The derivative of an operation and the adjoint of its result are added.",
        "If y changes twice as fast with the result, how fast does it change with the inputs?",
        scalar(share=lambda bar, slope: bar + slope),
        scalar(share=lambda bar, slope: bar + slope, spreads=True),
    ),
    mistake(
        "slopes",
        "The derivatives of the sum or of the product are wrong.",
        "If a changes a little, how much do a + b and a·b change?",
        scalar(slopes=lambda a, b: (1.0, 1.0)),
        scalar(slopes=lambda a, b: (a * b, a * b)),
        scalar(of_sum=lambda a, b: (b, a)),
        scalar(of_sum=lambda a, b: (a, b)),
        scalar(of_sum=lambda a, b: (1.0, -1.0)),
        scalar(of_sum=lambda a, b: (1.0, 2.0)),
    ),
    mistake(
        "one_input",
        "Only one of the two inputs of an operation is noted.",
        "Which Scalars can move the result?",
        scalar(inputs_of=lambda inputs: list(inputs[:1])),
        scalar(inputs_of=lambda inputs: list(inputs[1:])),
    ),
    mistake(
        "seed",
        "The walk doesn't begin with 1 at the Scalar that is asked.",
        "How much does y change with itself?",
        scalar(seed=lambda y: y.value),
        scalar(seed=lambda y: 0.0),
    ),
    mistake(
        "last_note",
        "The walk begins at the last note of all, not at the Scalar that is asked.",
        "What if more is computed after y, before y is asked?",
        scalar(start=lambda y, notes: notes[-1][0], spreads=True),
        scalar(start=lambda y, notes: notes[-1][0]),
    ),
    mistake(
        "unconnected",
        "Where the result doesn't depend on a Scalar, the derivative must be 0.0, and is None.",
        "What does `get` return for a key that isn't there?",
        scalar(nothing=None),
        scalar(nothing=None, spreads=True),
    ),
    mistake(
        "again",
        "Calls of `gradient` change what later calls return.",
        "What of the first walk remains, when the second begins?",
        scalar(fresh=False),
        scalar(forgets=True),
    ),
    cases=lambda random: (
        [(3.0, 2.0, 5.0)]
        + [
            tuple(float(n) for n in random.uniform(0.5, 2, 3) * random.choice([-1, 1], 3))
            for _ in range(2)
        ]
    ),
    question="Draw the graph of this program, and follow every path.",
    probe=try_tape,
    inputs=("x", "w", "b"),
)(scalar())


# --- 3.2

COMPUTED = "stop_gradient of x·x, computed in the block"


def cut(answer: Callable, x: np.ndarray, given: str) -> dict:
    """Stop the gradient at a variable, and at a result; look at value, gradient and record."""
    source = Variable(x)
    with Tape(persistent=True) as tape:
        inner = multiply(source, source) if given == COMPUTED else source
        result = answer(inner)
        if not isinstance(result, Tensor):
            key, kind = (
                ("no_return", "None") if result is None else ("no_tensor", type(result).__name__)
            )
            raise NotRight(key, f"It must return a Tensor, and returns {kind}.")
        product = result * source
    followed = None
    if id(result) in tape.tracked and result is not source:
        followed = tape.gradient(result, source)
    return {
        "the value": result.numpy(),
        "the gradient of stop_gradient(x) * x": as_zeros(tape.gradient(product, source), x),
        "a recorded path from x to the result": result is source or followed is not None,
    }


def as_zeros(gradient: Any, x: np.ndarray) -> np.ndarray:
    """Make an array of a gradient, zeros of None."""
    return np.zeros_like(x) if gradient is None else gradient.numpy()


def stop_gradient(x: Tensor) -> Tensor:
    """Return the same value, cut off."""
    return Tensor(x.numpy())


exercise(
    "3.2",
    "Stop here",
    1,
    mistake(
        "flows",
        "The gradient still flows through it: a recorded operation leads from x to it.",
        "By what does a tape know a tensor?",
        lambda x: x,
        lambda x: x * 1.0,
    ),
    mistake(
        "connected",
        "No gradient flows, but a recorded operation still leads from x to the result.",
        "By what does a tape know a tensor?",
        lambda x: x * 0.0 + x.value,
    ),
    mistake(
        "some",
        "It works for one of Tensor and Variable, and for the other the gradient still flows.",
        "Is every x treated in the same way?",
        lambda x: Tensor(x.numpy()) if isinstance(x, Variable) else x,
        lambda x: x if isinstance(x, Variable) else Tensor(x.numpy()),
    ),
    mistake(
        "other_shape",
        "The gradient stops, and the shape is lost.",
        "What is the shape of x?",
        lambda x: Tensor(x.numpy().ravel()),
        lambda x: Tensor(x.numpy().sum()),
    ),
    cases=lambda random: [
        (random.normal(0, 2, shape).astype(kind), inner)
        for shape, kind in [((2, 1), "float64"), ((), "float64"), ((3,), "float32")]
        for inner in ("x a Variable", COMPUTED)
    ],
    question="Only the gradient should stop. What does the tape know of the result?",
    tolerance=1e-12,
    probe=cut,
    inputs=("x", ""),
    allowed=("tape",),
)(stop_gradient)


# --- 3.3 and 3.6

TENSOR = "x a watched Tensor"


def study(operation: Callable, x: np.ndarray, bar: np.ndarray, given: str) -> dict:
    """Return an operation's value, the adjoint of x, and second derivatives."""
    watched = given == TENSOR
    source, first, second = (Tensor(x) if watched else Variable(x) for _ in range(3))
    with Tape() as tape:
        if watched:
            tape.watch(source)
        result = operation(source)
    if not isinstance(result, Tensor):
        key, kind = (
            ("no_return", "None") if result is None else ("not_recorded", type(result).__name__)
        )
        raise NotRight(
            key, f"The result must be a Tensor that a tape has recorded, and is {kind}."
        )
    adjoint = tape.gradient(result, source, bar.astype(x.dtype))
    if adjoint is None:
        fact = "The tape knows nothing of the result: no recorded operation leads from x to it."
        raise NotRight(
            "not_recorded", fact, "Does it come from an `Operation`, called with x itself?"
        )
    return {
        "the value": result.numpy(),
        "the adjoint of x": adjoint.numpy(),
        "the second derivative of y": second_derivative(operation, first, lambda y: y, watched),
        "the second derivative of y·y": second_derivative(
            operation, second, lambda y: y * y, watched
        ),
    }


def second_derivative(
    operation: Callable, x: Tensor, target: Callable, watched: bool
) -> np.ndarray:
    """Return the second derivative of target(operation(x)), 0 where no tape could follow."""
    with Tape() as outer:
        with Tape() as inner:
            for tape in (outer, inner) if watched else ():
                tape.watch(x)
            result = target(operation(x))
        first = inner.gradient(result, x)
    if not isinstance(first, Tensor) or id(first) not in outer.tracked:
        return np.zeros_like(x.value)
    return as_zeros(outer.gradient(first, x), x.value)


def with_pull_back(function: Callable, pull_back: Callable) -> Callable:
    """Make an operation of NumPy's function and a pull-back of (bar, y, x)."""
    return lambda x: Operation("mine", function, pull_back)(x)


def arrays(random: Random, low: float, high: float, *shapes: tuple) -> list[tuple]:
    """Draw inputs and adjoints of some shapes, in both types, as Variables and Tensors."""
    kinds = ["float64", "float64", "float32"]
    return [
        (
            random.uniform(low, high, shape).astype(kinds[i % 3]),
            random.normal(0, 3, shape),
            TENSOR if i % 2 == 1 else "x a Variable",
        )
        for i, shape in enumerate(shapes)
    ]


def root(pull_back: Callable) -> Callable:
    """Make a square root with a pull-back."""
    return with_pull_back(np.sqrt, pull_back)


NOT_RECORDED = mistake(
    "not_recordable",
    "The gradient is right, the second derivative is not.",
    "Are `bar` and all that it meets Tensors to the end, and all operations recorded ones?",
    root(lambda bar, y, x: bar * (0.5 / np.sqrt(x.value))),
    root(lambda bar, y, x: Tensor(bar.value / (2 * y.value))),
    root(lambda bar, y, x: Tensor(bar.value) / (2 * y)),
)


def sqrt(x: Tensor) -> Tensor:
    """Return the square root, recorded."""
    return Operation("sqrt", np.sqrt, lambda bar, y, x: bar / (2 * y))(x)


exercise(
    "3.3",
    "A new operation",
    2,
    mistake(
        "no_bar",
        "The adjoint of x doesn't depend on `bar`, the adjoint that the result has got.",
        "What does the chain rule do with bar?",
        root(lambda bar, y, x: 0.5 / y),
        root(lambda bar, y, x: Tensor(0.5 / y.value)),
    ),
    mistake(
        "rule",
        "The slope isn't that of the square root.",
        "d√x/dx = 1 / (2·√x): where do the 2, the root and the sign stand in yours?",
        root(lambda bar, y, x: bar / y),
        root(lambda bar, y, x: -bar / (2 * y)),
        root(lambda bar, y, x: bar / (2 * x)),
        root(lambda bar, y, x: bar * y),
        root(lambda bar, y, x: bar * y / 2),
        root(lambda bar, y, x: bar * 2 * y),
    ),
    NOT_RECORDED,
    cases=lambda random: arrays(random, 0.2, 5, (3,), (), (2, 3), (4,), (1, 2)),
    question="Check it with `tapecourse.tape.check_gradients`.",
    probe=study,
    inputs=("x", "bar", ""),
    allowed=("tape",),
)(sqrt)


# --- 3.4


def repeated(bar: np.ndarray, shape: tuple) -> tuple[tuple, tuple]:
    """Return the axes that were put in front, and those of length 1 along which it repeated."""
    new = bar.ndim - len(shape)
    return tuple(range(new)), tuple(i + new for i, n in enumerate(shape) if n == 1)


def reduced(
    reduce: Callable, front: bool = True, length_one: bool = True, keep: bool = True
) -> Callable:
    """Make an answer that reduces over some of the axes."""

    def answer(bar: np.ndarray, shape: tuple) -> np.ndarray:
        new, stretched = repeated(bar, shape)
        if length_one:
            bar = reduce(bar, axis=stretched, keepdims=keep)
        return reduce(bar, axis=new) if front else bar

    return answer


SHAPES = [((4, 3), (4, 3)), ((4, 3), (3,)), ((4, 3), ()), ((4, 3), (4, 1)), ((4, 3), (1, 3))]
SHAPES += [((2, 4, 3), (4, 1)), ((2, 4, 3), (1, 1)), ((2, 1, 3), (1, 3)), ((5,), (1,)), ((5,), ())]
SHAPES += [((3, 3), (3,)), ((3, 3), (3, 1)), ((2, 3, 4, 5), (3, 1, 5)), ((2, 2, 2), (2, 1, 2))]
SHAPES += [((1, 3), (3,)), ((3, 1), (1, 1))]


def undo_broadcasting(bar: np.ndarray, shape: tuple) -> np.ndarray:
    """Return bar, summed over what was repeated."""
    new, stretched = repeated(bar, shape)
    return bar.sum(axis=stretched, keepdims=True).sum(axis=new)


exercise(
    "3.4",
    "Broadcasting, undone",
    2,
    mistake(
        "mean",
        "It averages over the copies.",
        "Each copy has an influence of its own. Do influences average, or add?",
        reduced(np.mean),
    ),
    mistake(
        "one_copy",
        "It returns the adjoint of a single copy.",
        "What about the other copies?",
        lambda bar, shape: bar[(0,) * (bar.ndim - len(shape)) + tuple(slice(0, n) for n in shape)],
    ),
    mistake(
        "all_of_it",
        "Each element gets the sum of the whole adjoint.",
        "Which copies were made of this element?",
        lambda bar, shape: np.full(shape, bar.sum()),
        lambda bar, shape: bar if bar.shape == shape else np.full(shape, bar.sum()),
    ),
    mistake(
        "first_axis",
        "It sums over the first axis, whatever the shapes are.",
        "Which axes are new, and along which was something repeated?",
        lambda bar, shape: bar.sum(axis=0),
    ),
    mistake(
        "counted",
        "These are the numbers of copies: the adjoint doesn't come into it.",
        "What does each copy hand back?",
        lambda bar, shape: np.full(shape, bar.size / max(1, np.prod(shape))),
    ),
    mistake(
        "largest",
        "The largest of the copies' adjoints is returned.",
        "Each copy has an influence of its own. What do influences do?",
        reduced(np.max),
        lambda bar, shape: bar.max(axis=tuple(range(bar.ndim - len(shape)))).reshape(shape),
    ),
    mistake(
        "axes_lost",
        "Axes of length 1 are lost: the shape isn't the one that is asked for.",
        "Which option of `sum` keeps an axis that is summed over?",
        reduced(np.sum, keep=False),
        lambda bar, shape: np.squeeze(undo_broadcasting(bar, shape)),
    ),
    mistake(
        "length_one",
        "Only the axes that were put in front are summed over.",
        "From (4, 3) to (4, 1): along which axis was something repeated?",
        reduced(np.sum, length_one=False),
    ),
    mistake(
        "in_front",
        "The axes that were put in front are still there.",
        "From (4, 3) to (3,): along which axis was something repeated?",
        reduced(np.sum, front=False),
        lambda bar, shape: bar,
    ),
    cases=lambda random: [(random.normal(0, 2, before), shape) for before, shape in SHAPES],
    question="Which element was copied to where?",
)(undo_broadcasting)


# --- 3.5


def still_right() -> set:
    """Return the letters of the programs that stay right."""
    return set("adgh")


exercise(
    "3.5",
    "Predict what a fault does",
    2,
    mistake(
        "complement",
        "These are the programs that go wrong.",
        "For which is the question asked?",
        lambda: set("bcef"),
    ),
    mistake(
        "intermediate",
        "One is too many.",
        "Can only an input be used twice?",
        lambda: set("adfgh"),
    ),
    mistake(
        "constants",
        "One is missing.",
        "Which tensors get an adjoint at all, and does a plain 2.0?",
        lambda: set("adg"),
    ),
    mistake(
        "reused",
        "You named a program in which an input is used twice.",
        "It gets two shares. Which one is left?",
        seen=letters_seen(lambda found: found & set("bce")),
    ),
    mistake(
        "two_operands",
        "A program is missing in which every tensor is used once.",
        "Are two operands of one operation a problem, if they are two different tensors?",
        seen=letters_seen(lambda found: not found & set("bcef") and set("adg") - found),
    ),
    mistake(
        "intermediate_too",
        "At least one is too many, and one is missing.",
        "How often is each tensor used, inputs and intermediate results?",
        seen=letters_seen(lambda found: found & set("bcef")),
    ),
    cases=lambda random: [()],
    probe=letters("abcdefgh"),
    lettered="abcdefgh",
    secret=True,
)(still_right)


# --- 3.6


def running(pull_back: Callable) -> Callable:
    """Make a running sum with a pull-back of an array."""
    return with_pull_back(np.cumsum, lambda bar, y, x: Tensor(pull_back(bar.value)))


def recorded(weights: Callable) -> Callable:
    """Make a running sum whose pull-back multiplies by a matrix, recorded."""
    return with_pull_back(np.cumsum, lambda bar, y, x: weights(len(x.value)).astype(x.dtype) @ bar)


def upper(n: int) -> np.ndarray:
    """Return the transposed Jacobian of a running sum."""
    return np.triu(np.ones((n, n)))


def both_ways(weights: Callable) -> list[Callable]:
    """Make a running sum with a wrong pull-back, once recorded and once not."""
    return [recorded(weights), running(lambda bar: weights(len(bar)) @ bar)]


def cumsum(x: Tensor) -> Tensor:
    """Return the running sum, recorded."""
    return Operation("cumsum", np.cumsum, lambda bar, y, x: cumsum(bar[::-1])[::-1])(x)


exercise(
    "3.6",
    "The pull-back of a running sum",
    3,
    mistake(
        "not_transposed",
        "It sums the adjoint in the same direction as the values.",
        "Which results does the first input reach, and which the last?",
        *both_ways(lambda n: upper(n).T),
    ),
    mistake(
        "not_turned_back",
        "The right numbers, in the opposite order.",
        "What must be done after the sum?",
        *both_ways(lambda n: upper(n)[::-1]),
    ),
    mistake(
        "identity",
        "Each input gets only the adjoint of its own place.",
        "Which other results does it reach?",
        *both_ways(np.eye),
    ),
    mistake(
        "turned",
        "The adjoint is turned round, and nothing is summed.",
        "Which results does the first input reach?",
        *both_ways(lambda n: np.eye(n)[::-1]),
    ),
    mistake(
        "turned_after",
        "It is summed in the direction of the values, and then turned round.",
        "Which results does the last input reach: all, or one?",
        *both_ways(lambda n: upper(n).T[::-1]),
    ),
    mistake(
        "inverse",
        "It takes differences: it undoes the sum, and isn't its transpose.",
        "If x1 grows by a little, which elements of the result grow?",
        *both_ways(lambda n: np.eye(n) - np.eye(n, k=-1)),
        *both_ways(lambda n: np.eye(n) - np.eye(n, k=1)),
    ),
    mistake(
        "times_count",
        "Each adjoint is multiplied by how many results its input reaches.",
        "Are the adjoints of those results all equal?",
        *both_ways(lambda n: np.diag(np.arange(n, 0.0, -1.0))),
    ),
    mistake(
        "no_bar",
        "The adjoint of x doesn't depend on `bar`.",
        "What does the chain rule do with bar?",
        running(lambda bar: np.arange(len(bar), 0.0, -1.0)),
        running(lambda bar: np.ones(len(bar))),
    ),
    mistake(
        "all_the_same",
        "Each input gets the sum of all.",
        "Does the last input reach all results?",
        *both_ways(lambda n: np.ones((n, n))),
    ),
    mistake(
        "off_by_one",
        "A term is missing.",
        "Does an input reach the result of its own place?",
        *both_ways(lambda n: upper(n) - np.eye(n)),
    ),
    mistake(
        "not_recordable",
        "The gradient is right, the second derivative is not.",
        "Is `bar` a Tensor to the end? Are all operations on it recorded, with right pull-backs?",
        running(lambda bar: upper(len(bar)) @ bar),
    ),
    cases=lambda random: arrays(random, -2, 2, (3,), (1,), (4,), (6,), (5,)),
    question="Write down the Jacobian for 3 elements, and multiply by its transpose.",
    probe=study,
    inputs=("x", "bar", ""),
    allowed=("tape",),
)(cumsum)


# --- 3.7


def matrix(n: int) -> np.ndarray:
    """Return a square matrix."""
    return np.random.default_rng(n).normal(size=(n, n))


def changed(array: np.ndarray, index: int, factor: float) -> np.ndarray:
    """Multiply an element of an array."""
    array = np.array(array)
    array[index] *= factor
    return array


def sin_back(x: np.ndarray, bar: np.ndarray) -> np.ndarray:
    """Pull back through the sine."""
    return bar * np.cos(x)


def times(x: np.ndarray) -> np.ndarray:
    """Multiply by a square matrix."""
    return matrix(len(x)) @ x


def unit_back(x: np.ndarray, bar: np.ndarray) -> np.ndarray:
    """Pull back through x / |x|, which doesn't change along x, nor bar along the result."""
    size = np.linalg.norm(x)
    return bar / size - x * (x @ bar) / size**3


PULL_BACKS: dict[str, tuple[bool, Callable, Callable]] = {  # whether it is right, f, pull-back
    "the sine's": (True, np.sin, sin_back),
    "a matrix product's": (True, times, lambda x, bar: matrix(len(x)).T @ bar),
    "that of x / |x|": (True, lambda x: x / np.linalg.norm(x), lambda x, bar: unit_back(x, bar)),
    "a wide matrix product's": (
        True,
        lambda x: matrix(len(x))[:2] @ x,
        lambda x, bar: matrix(len(x))[:2].T @ bar,
    ),
    "a sum's": (True, lambda x: x.sum(keepdims=True), lambda x, bar: np.full(len(x), bar[0])),
    "10⁶·exp's": (True, lambda x: 1e6 * np.exp(x), lambda x, bar: bar * 1e6 * np.exp(x)),
    "10⁻¹²·cumsum's": (
        True,
        lambda x: 1e-12 * np.cumsum(x),
        lambda x, bar: 1e-12 * np.cumsum(bar[::-1])[::-1],
    ),
    "the sine's with the sign turned": (False, np.sin, lambda x, bar: -sin_back(x, bar)),
    "three times the sine's": (False, np.sin, lambda x, bar: 3 * sin_back(x, bar)),
    "the sine's, 1 % too large": (False, np.sin, lambda x, bar: 1.01 * sin_back(x, bar)),
    "the sine's without bar": (False, np.sin, lambda x, bar: np.cos(x)),
    "the sine's turned into NaN": (False, np.sin, lambda x, bar: np.nan * bar),
    "the sine's, first element forgotten": (
        False,
        np.sin,
        lambda x, bar: changed(sin_back(x, bar), 0, 0),
    ),
    "the sine's, last element forgotten": (
        False,
        np.sin,
        lambda x, bar: changed(sin_back(x, bar), -1, 0),
    ),
    "the sine's, the sign of one element turned": (
        False,
        np.sin,
        lambda x, bar: changed(sin_back(x, bar), len(x) // 2, -1),
    ),
    "a matrix product's, right if all of bar is equal": (
        False,
        times,
        lambda x, bar: matrix(len(x)).sum(axis=0) * bar,
    ),
    "a matrix product's, its elements reversed": (
        False,
        times,
        lambda x, bar: (matrix(len(x)).T @ bar)[::-1],
    ),
    "a matrix product's, not transposed": (False, times, lambda x, bar: matrix(len(x)) @ bar),
    "a matrix product's, the last output forgotten": (
        False,
        times,
        lambda x, bar: matrix(len(x)).T @ changed(bar, -1, 0),
    ),
    "three times that of x / |x|": (
        False,
        lambda x: x / np.linalg.norm(x),
        lambda x, bar: 3 * unit_back(x, bar),
    ),
    "10⁻¹²·sin's with the sign turned": (
        False,
        lambda x: 1e-12 * np.sin(x),
        lambda x, bar: -1e-12 * sin_back(x, bar),
    ),
}


def verdicts(answer: Callable, x: np.ndarray) -> dict:
    """Ask for a verdict on all pull-backs."""
    return {f"the verdict on {name}": answer(*pair, x) for name, (_, *pair) in PULL_BACKS.items()}


def sides(f: Callable, pull_back: Callable, x: np.ndarray) -> tuple:
    """Return both sides of the dot test, and the size of what was compared."""
    random, h = np.random.default_rng(1), 1e-5
    u = random.normal(size=x.shape)
    along = (f(x + h * u) - f(x - h * u)) / (2 * h)
    bar = random.normal(size=along.shape)
    size = np.linalg.norm(bar) * np.linalg.norm(along)
    return bar @ along, pull_back(x, bar) @ u, size


def test_by(verdict: Callable) -> Callable:
    """Make a test that judges by both sides and the size."""

    def answer(f: Callable, pull_back: Callable, x: np.ndarray) -> bool:
        return bool(verdict(*sides(f, pull_back, x)))

    return answer


def only(name: str, *also: str) -> Callable:
    """Make what a `Mistake` has `seen`: this verdict is wrong, and no other one but `also`."""

    def seen(found: list[Parts], right: list[Parts]) -> bool:
        wrong = {key for a, b in zip(found, right) for key in b if a[key] != b[key]}
        names = [f"the verdict on {each}" for each in (name, *also)]
        return names[0] in wrong and wrong <= set(names)

    return seen


def wrong_verdicts(found: list[Parts], right: list[Parts]) -> set[bool]:
    """Return which verdicts are wrong: True where a wrong one is accepted."""
    return {bool(a[key]) for a, b in zip(found, right) for key in b if a[key] != b[key]}


def close(left: float, other: float, size: float) -> bool:
    """Tell whether two numbers are close."""
    return bool(abs(left - other) <= 1e-6 * size)


def dot_test(f: Callable, pull_back: Callable, x: np.ndarray) -> bool:
    """Tell whether a pull-back fits its function at x."""
    return close(*sides(f, pull_back, x))


exercise(
    "3.7",
    "A test that finds faults",
    3,
    mistake(
        "accepts_all",
        "It accepts every pull-back, whatever it returns.",
        "Which two numbers do you compare? Print them for a wrong sign.",
        lambda f, pull_back, x: True,
    ),
    mistake(
        "rejects_all",
        "It rejects all right pull-backs, that of the sine too.",
        "Print the two numbers that you compare: do they nearly agree?",
        seen=lambda found, right: (
            not any(
                each[f"the verdict on {name}"]
                for each in found
                for name, (is_right, *_) in PULL_BACKS.items()
                if is_right
            )
        ),
    ),
    mistake(
        "ones_as_bar",
        "It accepts what is right only if all elements of bar are 1 or equal, and finds all else.",
        "Which bar do you try?",
        seen=only("a matrix product's, right if all of bar is equal", "the sine's without bar"),
    ),
    mistake(
        "ones_as_direction",
        "It accepts a pull-back with its elements in the wrong order, and finds all else.",
        "In which direction do you move x?",
        seen=only("a matrix product's, its elements reversed"),
    ),
    mistake(
        "along_x",
        "It accepts 3 times the pull-back of x / |x|, and finds all else.",
        "Is your direction drawn at random, or x itself? Is bar drawn, or the result?",
        seen=only("three times that of x / |x|"),
    ),
    mistake(
        "absolute",
        "It accepts whatever is as small as 10⁻¹², and finds all else.",
        "How large is your tolerance, compared with the numbers themselves?",
        seen=only("10⁻¹²·sin's with the sign turned"),
    ),
    mistake(
        "nan",
        "It accepts a pull-back that returns NaN, and finds all else.",
        "What is every comparison with NaN?",
        seen=only("the sine's turned into NaN"),
    ),
    mistake(
        "sizes_alone",
        "It accepts a pull-back with the wrong sign.",
        "Do you compare the numbers, or only their sizes?",
        test_by(lambda a, b, size: close(abs(a), abs(b), size)),
    ),
    mistake(
        "too_strict",
        "It rejects some right pull-backs, and accepts no wrong one.",
        "How exact is your difference, and how strict is your tolerance beside it?",
        seen=lambda found, right: wrong_verdicts(found, right) == {False},
    ),
    mistake(
        "too_loose",
        "It accepts some wrong pull-backs, and rejects no right one.",
        "Which faults are too small for your tolerance, or hidden from your u and bar?",
        seen=lambda found, right: wrong_verdicts(found, right) == {True},
    ),
    mistake(
        "both",
        "It accepts some wrong pull-backs, and rejects some right ones.",
        "Print both sides for a right one: how far apart are they? Is the tolerance relative?",
        seen=lambda found, right: wrong_verdicts(found, right) == {True, False},
    ),
    cases=lambda random: [(random.uniform(-1.2, 1.2, n),) for n in (4, 3, 6)],
    question="What is special about the pull-backs on which it is wrong?",
    probe=verdicts,
    inputs=("x",),
    allowed=("differentiation",),
)(dot_test)


# --- 3.8 to 3.12: pull-backs of one line


def max_back(x: np.ndarray, bar: float) -> np.ndarray:
    """Pull back through the largest element."""
    return bar * (x == x.max())


exercise(
    "3.8",
    "Pull back: the maximum",
    1,
    mistake(
        "everywhere",
        "Every element gets an adjoint, or a share of it.",
        "If an element that isn't the largest moves a little, does the maximum move?",
        lambda x, bar: np.full(x.shape, bar),
        lambda x, bar: np.full(x.shape, bar / len(x)),
        lambda x, bar: logsumexp_back(x, bar),
    ),
    mistake(
        "not_spread",
        "It returns one number, and not an adjoint for each element of x.",
        "What is the shape of x?",
        lambda x, bar: bar,
        lambda x, bar: np.argmax(x),
    ),
    mistake(
        "no_bar",
        "The adjoint of the result doesn't come into it.",
        "What does the chain rule do with bar?",
        lambda x, bar: 1.0 * (x == x.max()),
    ),
    mistake(
        "value",
        "The element itself comes into it: as a factor, or in the place of bar.",
        "How fast does the maximum change with its element?",
        lambda x, bar: bar * x * (x == x.max()),
        lambda x, bar: x * (x == x.max()),
    ),
    mistake(
        "above_zero",
        "If all elements are negative, none gets the adjoint.",
        "What is the maximum of (-2, -5)?",
        lambda x, bar: bar * (x == max(0, x.max())),
    ),
    mistake(
        "minimum",
        "The smallest element gets the adjoint, or the one that is largest without its sign.",
        "For (-5, 2, 1), which element is the maximum?",
        lambda x, bar: bar * (x == x.min()),
        lambda x, bar: bar * (abs(x) == abs(x).max()),
    ),
    cases=lambda random: [
        (random.normal(-2, 3, n), float(random.normal(0, 3))) for n in (4, 1, 3, 6, 5)
    ],
    question="Which element moves the result, and how fast?",
)(max_back)


def sort_back(x: np.ndarray, bar: np.ndarray) -> np.ndarray:
    """Pull back through np.sort."""
    return bar[np.argsort(np.argsort(x))]


exercise(
    "3.9",
    "Pull back: sorting",
    2,
    mistake(
        "same_way",
        "The adjoint is put into the order of the result once more, not back.",
        "Where did the first element of the result come from?",
        lambda x, bar: bar[np.argsort(x)],
    ),
    mistake(
        "unchanged",
        "Each adjoint stays at its place.",
        "Where did the first element of the result come from?",
        lambda x, bar: bar,
    ),
    mistake(
        "sorted_bar",
        "The adjoints are sorted by their own size.",
        "What decides the order, x or bar?",
        lambda x, bar: np.sort(bar),
    ),
    mistake(
        "ranks",
        "These are the ranks of the elements of x: where each of them goes.",
        "Which adjoint stands at that place?",
        lambda x, bar: np.argsort(np.argsort(x)),
        lambda x, bar: np.argsort(np.argsort(x)) + 1,
    ),
    mistake(
        "elements",
        "These are elements of x, and no adjoints.",
        "What comes back: values, or influences?",
        lambda x, bar: np.sort(x),
        lambda x, bar: x[np.argsort(bar)],
    ),
    mistake(
        "turned",
        "The adjoint is turned round.",
        "Where did the first element of the result come from?",
        lambda x, bar: bar[::-1],
    ),
    cases=lambda random: [
        (random.normal(-1, 3, n), random.normal(0, 3, n)) for n in (4, 1, 6, 5, 8)
    ],
    question="Sorting is a permutation. What is its transpose?",
)(sort_back)


def gather_back(bar: np.ndarray, index: np.ndarray, n: int) -> np.ndarray:
    """Pull back through x[index]."""
    return np.bincount(index, bar, n)


def assigned(bar: np.ndarray, index: np.ndarray, n: int) -> np.ndarray:
    """Assign the adjoints, so that the last one stays."""
    result = np.zeros(n)
    result[index] = bar
    return result


def neighbours_added(bar: np.ndarray, index: np.ndarray, n: int) -> np.ndarray:
    """Add adjoints that follow each other, and let later ones replace earlier ones."""
    result = np.zeros(n)
    for k, i in enumerate(index):
        result[i] = bar[k] + (result[i] if k and index[k - 1] == i else 0.0)
    return result


exercise(
    "3.10",
    "Pull back: picking elements",
    2,
    mistake(
        "one_of_several",
        "An element that was picked several times keeps one of its adjoints.",
        "What does NumPy do with `result[[0, 0]] += 1`? And what with `np.add.at`?",
        assigned,
        lambda bar, index, n: assigned(bar[::-1], index[::-1], n),
    ),
    mistake(
        "mean",
        "An element that was picked several times gets the mean of its adjoints.",
        "Do influences average, or add?",
        lambda bar, index, n: (
            gather_back(bar, index, n) / np.maximum(np.bincount(index, None, n), 1)
        ),
    ),
    mistake(
        "forward",
        "This picks elements of bar: it is the way there, not the way back.",
        "Which element of x became y[0]? What must that one get?",
        lambda bar, index, n: bar[index % len(bar)],
    ),
    mistake(
        "length",
        "The result is as long as bar, or ends with the last element that was picked.",
        "How many elements does x have?",
        lambda bar, index, n: np.bincount(index, bar),
        lambda bar, index, n: np.bincount(index, bar, len(bar))[: len(bar)],
    ),
    mistake(
        "largest",
        "An element that was picked several times gets the largest of its adjoints.",
        "Do influences add?",
        lambda bar, index, n: np.array([max([0.0, *bar[index == i]]) for i in range(n)]),
        lambda bar, index, n: np.array([max(bar[index == i], default=0.0) for i in range(n)]),
    ),
    mistake(
        "in_a_row",
        "Adjoints are added only where the same element was picked twice in a row.",
        "In which order are the elements picked?",
        lambda bar, index, n: neighbours_added(bar, index, n),
    ),
    mistake(
        "counts",
        "This is how often each element was picked.",
        "Where does bar come in?",
        lambda bar, index, n: np.bincount(index, None, n),
    ),
    cases=lambda random: (
        [(np.array([1.0, 10.0, 100.0]), np.array([2, 0, 2]), 4)]
        + [
            (random.normal(0, 3, m), random.integers(0, n, m), n)
            for n, m in [(3, 5), (6, 3), (1, 4)]
        ]
    ),
    question="Which results does x[0] reach?",
)(gather_back)


def conv_back(bar: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Pull back through the sliding products y[i] = Σ w[k]·x[i + k]."""
    return np.convolve(bar, w)


def laid(bar: np.ndarray, w: np.ndarray, join: Callable) -> np.ndarray:
    """Lay a share on each place of the filter; `join` makes one of what was there and comes."""
    result = np.zeros(len(bar) + len(w) - 1)
    for i, each in enumerate(bar):
        place = slice(i, i + len(w))
        result[place] = join(result[place], each * w)
    return result


exercise(
    "3.11",
    "Pull back: a convolution",
    2,
    mistake(
        "not_turned",
        "The weights stand the wrong way round.",
        "Which weight leads from x[0] to y[0], and which from x[1] to y[0]?",
        lambda bar, w: np.convolve(bar, w[::-1]),
    ),
    mistake(
        "edges",
        "The edges of x are missing: the result is too short.",
        "How many elements does x have, if y has m and w has k of them?",
        lambda bar, w: np.convolve(bar, w, "same"),
        lambda bar, w: np.convolve(bar, w, "valid"),
        lambda bar, w: np.convolve(bar, w[::-1], "same"),
        lambda bar, w: np.convolve(bar, w[::-1], "valid"),
    ),
    mistake(
        "sum_of_weights",
        "Each adjoint is multiplied by the sum of all weights.",
        "To which elements of x does y[0] lead back, and by which weight to each?",
        lambda bar, w: np.append(bar * w.sum(), np.zeros(len(w) - 1)),
    ),
    mistake(
        "overwrites",
        "Where two places of the filter overlap, only the later share is kept.",
        "Which results does x[1] reach, and what does each of them hand back?",
        lambda bar, w: laid(bar, w, lambda before, share: share),
    ),
    mistake(
        "not_overlapped",
        "Each result gets elements of x of its own.",
        "By how much does the filter move from y[0] to y[1]?",
        lambda bar, w: np.outer(bar, w).ravel(),
        lambda bar, w: np.outer(bar, w).ravel()[: len(bar) + len(w) - 1],
    ),
    mistake(
        "bar_turned",
        "The adjoint or the result is turned round.",
        "To which elements of x does y[0] lead back: the first, or the last?",
        lambda bar, w: np.convolve(bar[::-1], w),
        lambda bar, w: np.convolve(bar, w)[::-1],
    ),
    mistake(
        "no_weights",
        "The weights don't come into it.",
        "By what is x[0] multiplied in y[0]?",
        lambda bar, w: np.append(bar, np.zeros(len(w) - 1)),
        lambda bar, w: np.convolve(bar, np.ones(len(w))),
    ),
    mistake(
        "last_place",
        "The last place of the filter is left out.",
        "How many elements does bar have, and how many times do you add?",
        lambda bar, w: np.convolve(np.append(bar[:-1], 0.0), w),
    ),
    mistake(
        "shifted",
        "A 0 too many stands at an end, or zeros at the beginning are dropped.",
        "How many elements does x have, if y has m and w has k of them?",
        lambda bar, w: np.append(np.convolve(bar, w), 0.0),
        lambda bar, w: np.polymul(bar, w),
    ),
    cases=lambda random: (
        [(np.array([1.0, 10.0, 100.0]), np.array([2.0, 3.0]))]
        + [(np.array([0.0, 5.0]), np.array([2.0, 1.0, 0.0]))]
        + [
            (random.normal(0, 3, m), random.normal(0, 2, k))
            for m, k in [(4, 3), (5, 1), (3, 4), (6, 2)]
        ]
    ),
    question="Write down the Jacobian for 4 inputs and 2 weights, and transpose it.",
)(conv_back)


def logsumexp_back(x: np.ndarray, bar: float) -> np.ndarray:
    """Pull back through log Σ exp(x)."""
    powers = np.exp(x - x.max())
    return bar * powers / powers.sum()


exercise(
    "3.12",
    "Pull back: log of a sum of exponentials",
    2,
    mistake(
        "overflow",
        "If one element is far above 0, or all are far below, it has NaNs; else it is right.",
        "What are exp(1000) and exp(-1000)? Does the result change if all x are shifted?",
        lambda x, bar: bar * np.exp(x) / np.exp(x).sum(),
    ),
    mistake(
        "no_bar",
        "The adjoint of the result doesn't come into it.",
        "What does the chain rule do with bar?",
        lambda x, bar: logsumexp_back(x, 1.0),
    ),
    mistake(
        "not_divided",
        "The exponentials aren't divided by their sum.",
        "What is the derivative of ln(s)?",
        lambda x, bar: bar * np.exp(x - x.max()),
        lambda x, bar: bar * np.exp(x),
    ),
    mistake(
        "wrong_shift",
        "The shift isn't the largest element: for some x all powers are 0, or one is infinite.",
        "By how much must x be shifted, so that the largest power is just 1?",
        *[
            lambda x, bar, shift=shift: bar * over(x, -1, shift(x))
            for shift in (np.min, np.mean, np.median, lambda x: max(0.0, x.max()))
        ],
        lambda x, bar: bar * over(x, -1, abs(x).max()),
    ),
    mistake(
        "half_shifted",
        "The exponentials are shifted, but their sum is not.",
        "Which shift leaves the quotient as it is?",
        lambda x, bar: bar * np.exp(x - x.max()) / np.exp(x).sum(),
    ),
    mistake(
        "hidden",
        "Elements that are too large, or too small, are cut off or made 0.",
        "Which shift changes nothing, and leaves nothing to cut off?",
        lambda x, bar: bar * over(np.clip(x, -500, 500), -1),
        lambda x, bar: bar * over(np.clip(x, -700, 700), -1),
        lambda x, bar: bar * over(np.clip(x, -100, 100), -1),
        lambda x, bar: np.nan_to_num(bar * over(x, -1)),
    ),
    mistake(
        "subtracted",
        "Something is subtracted, or subtracted from: it belongs to another pull-back.",
        "What is the derivative of ln(s), and what is that of s with respect to x?",
        lambda x, bar: bar * (logsumexp_back(x, 1.0) - 1),
        lambda x, bar: bar * (1 - logsumexp_back(x, 1.0)),
        lambda x, bar: bar * logsumexp_back(x, 1.0) * (1 - logsumexp_back(x, 1.0)),
    ),
    mistake(
        "largest_alone",
        "Only the largest element gets something: that is the maximum's pull-back.",
        "If another element grows, does the sum of the exponentials grow?",
        lambda x, bar: bar * (x == x.max()),
        lambda x, bar: bar * (x == x.max()) / (x == x.max()).sum(),
    ),
    mistake(
        "shared",
        "All elements get the same.",
        "Does each element move the sum equally?",
        lambda x, bar: np.full(len(x), bar / len(x)),
        lambda x, bar: np.full(len(x), bar / np.exp(x - x.max()).sum()),
    ),
    mistake(
        "one_by_one",
        "Each element is looked at by itself: that is the sigmoid.",
        "By what is each exponential divided?",
        lambda x, bar: bar / (1 + np.exp(-x)),
    ),
    mistake(
        "value",
        "This is the value, or the logarithm of the derivative.",
        "What is the derivative of ln(s)?",
        lambda x, bar: bar * (x - np.logaddexp.reduce(x)),
        lambda x, bar: bar * np.logaddexp.reduce(x),
    ),
    mistake(
        "no_exponential",
        "It is x over the sum of x.",
        "What is the derivative of exp(x)?",
        lambda x, bar: bar * x / x.sum(),
    ),
    cases=lambda random: [
        (np.array([1000.0, 1000.0, -1000.0, -1000.0]), 2.0),
        *[(random.normal(0, 2, n), float(random.normal(0, 3))) for n in (3, 1, 5)],
        (random.normal(-900, 2, 4), 1.5),
    ],
    question="Differentiate ln(s), then s = Σ exp(x). What do the results add up to?",
)(logsumexp_back)


# --- 3.13


def softmax(x: np.ndarray) -> np.ndarray:
    """Return probabilities along the last axis."""
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def over(x: np.ndarray, axis: int | None, shift: Any = 0.0) -> np.ndarray:
    """Return a softmax over an axis, after a shift."""
    powers = np.exp(x - shift)
    return powers / powers.sum(axis=axis, keepdims=True)


def writes_into(x: np.ndarray) -> np.ndarray:
    """Return a softmax, and spoil x."""
    x -= x.max(axis=-1, keepdims=True)
    return softmax(x)


def along_second(x: np.ndarray) -> np.ndarray:
    """Return a softmax along the second axis, which is the last one where there are two."""
    axis = min(1, x.ndim - 1)
    return over(x, axis, x.max(axis=axis, keepdims=True))


SOFTMAXES: dict[str, tuple[bool, Callable]] = {
    "a right one": (True, softmax),
    "a right one by logarithms": (
        True,
        lambda x: np.exp(x - np.logaddexp.reduce(x, axis=-1, keepdims=True)),
    ),
    "one that overflows": (False, lambda x: over(x, -1)),
    "one along the first axis": (False, lambda x: over(x, 0, x.max())),
    "one along the second axis of three": (False, along_second),
    "one that writes into x": (False, writes_into),
    "one that returns logarithms": (False, lambda x: np.log(softmax(x))),
    "one that isn't divided by the sum": (False, lambda x: np.exp(x - x.max(-1, keepdims=True))),
    "one that takes -x": (False, lambda x: softmax(-x)),
    "one with base 2": (False, lambda x: softmax(x * np.log(2))),
    "one that takes |x|": (False, lambda x: softmax(abs(x))),
    "one that rounds to 3 digits": (False, lambda x: np.round(softmax(x), 3)),
}


def kill(answer: Callable) -> dict:
    """Ask for a verdict on all candidates."""
    return {f"the verdict on {name}": answer(each) for name, (_, each) in SOFTMAXES.items()}


def judge_softmax(candidate: Callable) -> bool:
    """Tell whether a softmax is right."""
    small = np.array([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0]])
    for x in (small, small.reshape(1, 2, 3), np.array([[1000.0, 999.0]])):
        before, found = x.copy(), candidate(x)
        if not (np.array_equal(x, before) and np.allclose(found, softmax(before))):
            return False
    return True


def verdicts_of(*right: str) -> Callable:
    """Make what a `Mistake` has `seen`: these faults are found wanting, and at most the axes."""

    def seen(found: list[Parts], rights: list[Parts]) -> bool:
        wrong = {name for name in rights[0] if found[0][name] != rights[0][name]}
        names = {f"the verdict on {each}" for each in right}
        return names <= wrong <= names | {"the verdict on one along the second axis of three"}

    return seen


exercise(
    "3.13",
    "The test that finds ten faults",
    3,
    mistake(
        "accepts_all",
        "It accepts everything.",
        "Does the function return the result of a comparison?",
        lambda candidate: True,
    ),
    mistake(
        "rejects_all",
        "It rejects everything, the right ones too.",
        "What does your test say about a softmax that you trust?",
        lambda candidate: False,
    ),
    mistake(
        "sums_to_one",
        "It accepts one that takes -x, and one with base 2: positive numbers that add up to 1.",
        "Which of the numbers should be larger, and by which factor? Does an x of yours show it?",
        seen=lambda found, right: (
            all(
                found[0][f"the verdict on {name}"]
                for name in ("one that takes -x", "one with base 2")
            )
            and all(
                found[0][f"the verdict on {name}"] for name, (ok, _) in SOFTMAXES.items() if ok
            )
            and not found[0]["the verdict on one along the first axis"]
        ),
    ),
    mistake(
        "overflow",
        "The one that overflows passes unseen.",
        "Which x does your test try?",
        seen=verdicts_of("one that overflows"),
    ),
    mistake(
        "writes",
        "The one that changes x passes unseen.",
        "What is in x after the call?",
        seen=verdicts_of("one that writes into x"),
    ),
    mistake(
        "axes",
        "Only the one along the second axis of three axes passes unseen.",
        "How many axes does each x of your test have?",
        seen=verdicts_of("one along the second axis of three"),
    ),
    mistake(
        "both_hidden",
        "The one that overflows and the one that changes x pass unseen.",
        "Which x does your test try, and what is in it after the call?",
        seen=verdicts_of("one that overflows", "one that writes into x"),
    ),
    mistake(
        "rejects_right",
        "It rejects a right one.",
        "Does your tolerance allow rounding? Does your own reference overflow?",
        seen=lambda found, right: (
            not all(
                found[0][f"the verdict on {name}"] for name, (ok, _) in SOFTMAXES.items() if ok
            )
        ),
    ),
    mistake(
        "accepts_some",
        "It accepts the right ones, and some of the wrong ones.",
        "What does every right softmax do for an x of which you know the answer?",
        seen=lambda found, right: found[0] != right[0],
    ),
    cases=lambda random: [()],
    question="What does every right softmax do for an x of which you know the answer?",
    probe=kill,
)(judge_softmax)
