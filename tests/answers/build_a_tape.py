"""Answers to the exercises of chapter 03."""

import copy

import numpy as np
from answers import right, wrong

from tapecourse.tape import Operation, Tensor, Variable, as_tensor, power, reduce_sum


def apply(function, edge, name="mine"):
    """Apply an operation of a pull-back that takes `bar` alone, and finds the rest itself."""
    x, pull_back = edge
    return Operation(name, function, lambda bar, y, x: pull_back(bar))(x)


# 3.1: a tape for numbers


class Noted:
    """A number with a list of notes for all; `found` adds up a walk's adjoints."""

    notes = []

    def __init__(self, value):
        self.value = value

    def note(self, value, *inputs):
        result = type(self)(value)
        self.notes.append((result, inputs))
        return result

    def __add__(self, other):
        return self.note(self.value + other.value, (self, 1.0), (other, 1.0))

    def __mul__(self, other):
        return self.note(self.value * other.value, (self, other.value), (other, self.value))

    def gradient(self, source):
        return self.walk({self: 1.0}).get(source, 0.0)

    def walk(self, adjoints):
        for output, inputs in reversed(self.notes):
            for number, slope in inputs:
                share = adjoints.get(output, 0.0) * slope
                adjoints[number] = adjoints.get(number, 0.0) + share
        return adjoints


right("3.1")(Noted)


@right("3.1")
class ByRecursion:
    def __init__(self, value, inputs=()):
        self.value, self.inputs = value, inputs

    def __add__(self, other):
        return ByRecursion(self.value + other.value, [(self, 1), (other, 1)])

    def __mul__(self, other):
        inputs = [(self, other.value), (other, self.value)]
        return ByRecursion(self.value * other.value, inputs)

    def gradient(self, source):
        if self is source:
            return 1
        return sum(slope * number.gradient(source) for number, slope in self.inputs)


@right("3.1")
class Forward(Noted):
    """Keeps the derivative for every number that it was made of."""

    def __init__(self, value, slopes=None):
        self.value, self.slopes = value, {self: 1.0} | (slopes or {})

    def note(self, value, *inputs):
        slopes = {}
        for number, slope in inputs:
            for other, inner in number.slopes.items():
                slopes[other] = slopes.get(other, 0.0) + slope * inner
        return Forward(value, slopes)

    def gradient(self, source):
        return self.slopes.get(source, 0.0)


@wrong("3.1", "replaced")
class Replaces(Noted):
    def walk(self, adjoints):
        for output, inputs in reversed(self.notes):
            for number, slope in inputs:
                if output in adjoints:
                    adjoints[number] = adjoints[output] * slope
        return adjoints


@wrong("3.1", "own_factor")
class OwnFactor(Noted):
    def __mul__(self, other):
        return self.note(self.value * other.value, (self, self.value), (other, other.value))


@wrong("3.1", "no_chain")
class NoChain(Noted):
    def walk(self, adjoints):
        for output, inputs in reversed(self.notes):
            for number, slope in inputs:
                if output in adjoints:
                    adjoints[number] = adjoints.get(number, 0.0) + slope
        return adjoints


@wrong("3.1", "unconnected")
class Raises(Noted):
    def gradient(self, source):
        return self.walk({self: 1.0}).get(source)


@wrong("3.1", "again")
class Remembers(Noted):
    adjoints = {}

    def gradient(self, source):
        if self not in self.adjoints:
            self.adjoints[self] = 1.0
        return self.walk(self.adjoints).get(source, 0.0)


class WalksFromTheLastNote(Noted):
    def gradient(self, source):
        notes = type(self).notes
        return Noted.gradient(notes[-1][0] if notes else self, source)


class NotesOneInput(Noted):
    def note(self, value, *inputs):
        return super().note(value, *inputs[:1])


class BeginsWithItsValue(Noted):
    def gradient(self, source):
        return super().gradient(source) * self.value


class OnceOnly(Noted):
    def gradient(self, source):
        found = super().gradient(source)
        self.notes.clear()
        return found


class Adds(Noted):
    def walk(self, adjoints):
        for output, inputs in reversed(self.notes):
            for number, slope in inputs if output in adjoints else ():
                adjoints[number] = adjoints.get(number, 0.0) + adjoints[output] + slope
        return adjoints


wrong("3.1", "added")(Adds)
wrong("3.1", "last_note")(WalksFromTheLastNote)
wrong("3.1", "one_input")(NotesOneInput)
wrong("3.1", "seed")(BeginsWithItsValue)
wrong("3.1", "again")(OnceOnly)


@wrong("3.1", "slopes")
class CountsTheSecondTermTwice(Noted):
    def __add__(self, other):
        return self.note(self.value + other.value, (self, 1.0), (other, 2.0))


@wrong("3.1", "counterexample")
class AddsForTimes(Noted):
    def __mul__(self, other):
        return self.note(self.value + other.value, (self, other.value), (other, self.value))


@wrong("3.1", "no_scalar")
class PlainNumbers(Noted):
    def note(self, value, *inputs):
        return value


@wrong("3.1", "no_scalar")
class ForgetsToReturn(Noted):
    def note(self, value, *inputs):
        super().note(value, *inputs)


@wrong("3.1", "raises")
class Misspelt(Noted):
    def gradient(self, source):
        return self.adjoint[source]


# 3.2: stop here


@right("3.2")
def around_a_copy(x):
    return Tensor(np.array(x))


@right("3.2")
def unwatched_variable_value(x):
    return Tensor(as_tensor(x).value)


@right("3.2")
def a_variable_of_its_own(x):
    return Variable(x.value)


@right("3.2")
def copied(x):
    return copy.deepcopy(x)


@wrong("3.2", "flows")
def itself(x):
    return x


@wrong("3.2", "flows")
def times_one(x):
    return x * 1.0


@wrong("3.2", "some")
def only_variables(x):
    return Tensor(x.numpy()) if isinstance(x, Variable) else x


@wrong("3.2", "connected")
def plus_zero(x):
    return x * 0.0 + x.value


@wrong("3.2", "connected")
def adjoint_of_zero(x):
    return apply(np.copy, (x, lambda bar: bar * 0.0))


@wrong("3.2", "other_shape")
def flattened(x):
    return Tensor(x.value.ravel())


@wrong("3.2", "no_tensor")
def plain_array(x):
    return x.numpy()


@wrong("3.2", "zero")
def zeros(x):
    return Tensor(np.zeros_like(x.numpy()))


@wrong("3.2", "no_return")
def nothing(x):
    Tensor(x.numpy())


# 3.3: a new operation


@right("3.3")
def by_the_result(x):
    x = as_tensor(x)
    y = apply(np.sqrt, (x, lambda bar: bar * 0.5 / y), name="sqrt")
    return y


@right("3.3")
def by_the_input(x):
    def pull_back(bar):
        return bar * power(x, -0.5) / 2.0

    return apply(lambda array: array**0.5, (x, pull_back))


@right("3.3")
def as_a_power(x):
    return x**0.5


@right("3.3")
def by_itself(x):
    return apply(np.sqrt, (x, lambda bar: bar / (2 * by_itself(x))))


def with_pull_back(pull_back):
    """Make a square root with a pull-back of (bar, x, y)."""

    def sqrt(x):
        y = apply(np.sqrt, (x, lambda bar: pull_back(bar, x, y)))
        return y

    return sqrt


wrong("3.3", "no_bar")(with_pull_back(lambda bar, x, y: 0.5 / y))
wrong("3.3", "rule")(with_pull_back(lambda bar, x, y: bar / y))
wrong("3.3", "rule")(with_pull_back(lambda bar, x, y: -bar / (2 * y)))
wrong("3.3", "rule")(with_pull_back(lambda bar, x, y: bar / (2 * x)))
wrong("3.3", "rule")(with_pull_back(lambda bar, x, y: bar * y))
wrong("3.3", "counterexample")(with_pull_back(lambda bar, x, y: bar * x))
wrong("3.3", "not_recordable")(with_pull_back(lambda bar, x, y: bar * (0.5 / np.sqrt(x.value))))
wrong("3.3", "not_recordable")(with_pull_back(lambda bar, x, y: Tensor(bar.value / (2 * y.value))))
wrong("3.3", "not_recordable")(with_pull_back(lambda bar, x, y: Tensor(bar.value) / (2 * y)))
wrong("3.3", "raises")(with_pull_back(lambda bar, x, y: bar / (2 * np.sqrt(x))))
wrong("3.3", "raises")(with_pull_back(lambda bar, x, y: None))


@wrong("3.3", "no_return")
def forgets_to_return(x):
    by_the_result(x)


@wrong("3.3", "not_recorded")
def around_numpy(x):
    return Tensor(np.sqrt(x.numpy()))


@wrong("3.3", "not_recorded")
def numpy_alone(x):
    return np.sqrt(x.numpy())


@wrong("3.3", "offset")
def wrong_function(x):
    y = apply(np.sqrt, (x, lambda bar: bar / (2 * y)))
    return y + 1.0


# 3.4: broadcasting, undone


@right("3.4")
def summed_and_reshaped(bar, shape):
    padded = (1,) * (bar.ndim - len(shape)) + tuple(shape)
    axes = tuple(i for i in range(bar.ndim) if padded[i] == 1)
    return bar.sum(axis=axes, keepdims=True).reshape(shape)


@right("3.4")
def in_loops(bar, shape):
    result = np.zeros(shape)
    place = np.broadcast_to(np.arange(result.size).reshape(shape), bar.shape)
    for where, value in zip(place.ravel(), bar.ravel()):
        result.flat[where] += value
    return result


@right("3.4")
def with_the_jacobian(bar, shape):
    size = int(np.prod(shape))
    units = np.eye(size).reshape(size, *shape)
    return np.reshape([np.sum(np.broadcast_to(unit, bar.shape) * bar) for unit in units], shape)


@wrong("3.4", "mean")
def mean_for_sum(bar, shape):
    padded = (1,) * (bar.ndim - len(shape)) + tuple(shape)
    axes = tuple(i for i in range(bar.ndim) if padded[i] == 1)
    return bar.mean(axis=axes, keepdims=True).reshape(shape)


@wrong("3.4", "one_copy")
def first_copy(bar, shape):
    for _ in range(bar.ndim - len(shape)):
        bar = bar[0]
    return bar[tuple(slice(0, n) for n in shape)]


@wrong("3.4", "axes_lost")
def without_keepdims(bar, shape):
    bar = bar.sum(axis=tuple(range(bar.ndim - len(shape))))
    return bar.sum(axis=tuple(i for i, n in enumerate(shape) if n == 1))


@wrong("3.4", "length_one")
def only_in_front(bar, shape):
    return bar.sum(axis=tuple(range(bar.ndim - len(shape))))


@wrong("3.4", "in_front")
def only_length_one(bar, shape):
    new = bar.ndim - len(shape)
    return bar.sum(axis=tuple(i + new for i, n in enumerate(shape) if n == 1), keepdims=True)


@wrong("3.4", "in_front")
def nothing_summed(bar, shape):
    return bar


@wrong("3.4", "raises")
def axes_by_length(bar, shape):
    return bar.sum(tuple(i for i, n in enumerate(bar.shape) if n not in shape)).reshape(shape)


@wrong("3.4", "first_axis")
def always_the_first_axis(bar, shape):
    return bar.sum(axis=0)


@wrong("3.4", "counterexample")
def turned_round(bar, shape):
    return bar.T


wrong("3.4", "counted")(lambda bar, shape: np.full(shape, bar.size / np.prod(shape)))


@wrong("3.4", "largest")
def largest_copy(bar, shape):
    new = tuple(range(bar.ndim - len(shape)))
    stretched = tuple(i + len(new) for i, n in enumerate(shape) if n == 1)
    return bar.max(axis=stretched, keepdims=True).max(axis=new)


@wrong("3.4", "all_of_it")
def last_axes_for_first(bar, shape):
    total = bar.sum()
    return bar if bar.shape == shape else np.full(shape, total)


@wrong("3.4", "raises")
def only_reshaped(bar, shape):
    return bar.reshape(shape)


# 3.5: predict what a fault does


@right("3.5")
def a_list():
    return ["h", "g", "d", "a"]


@right("3.5")
def a_string():
    return "adgh"


for misconception, letters in [
    ("complement", set("bcef")),
    ("intermediate", set("adfgh")),
    ("constants", set("adg")),
    ("two_operands", {"h"}),
    ("two_operands", set("dh")),
    ("reused", set("abdgh")),
    ("reused", set("acdefgh")),
    ("reused", set("abcdefgh")),
    ("intermediate_too", set("afgh")),
    ("no_letters", {"x", "w"}),
    ("no_letters", [1, 4, 7, 8]),
    ("no_letters", True),
]:
    wrong("3.5", misconception)(lambda letters=letters: letters)


# 3.6: the pull-back of a running sum


@right("3.6")
def total_minus_what_was_before(x):
    def pull_back(bar):
        return reduce_sum(bar) - total_minus_what_was_before(bar) + bar

    return apply(np.cumsum, (x, pull_back))


@right("3.6")
def by_the_transposed_triangle(x):
    ones = np.tril(np.ones((len(x), len(x))))
    return apply(np.cumsum, (x, lambda bar: ones.T @ bar))


@right("3.6")
def triangle(x):
    return np.tril(np.ones((len(x), len(x)))) @ x


@right("3.6")
def turned(x):
    return apply(np.cumsum, (as_tensor(x), lambda bar: turned(bar[::-1])[::-1]), name="cumsum")


def running_sum(pull_back):
    """Make a running sum with a pull-back of an array."""
    return lambda x: apply(np.cumsum, (x, lambda bar: Tensor(pull_back(bar.value))))


wrong("3.6", "not_transposed")(running_sum(np.cumsum))
wrong("3.6", "not_turned_back")(running_sum(lambda bar: np.cumsum(bar[::-1])))
wrong("3.6", "identity")(running_sum(lambda bar: bar))
wrong("3.6", "all_the_same")(running_sum(lambda bar: np.full(bar.shape, bar.sum())))
wrong("3.6", "off_by_one")(running_sum(lambda bar: np.cumsum(bar[::-1])[::-1] - bar))
wrong("3.6", "counterexample")(running_sum(lambda bar: np.cumsum(bar)[::-1] * 2))
wrong("3.6", "turned_after")(running_sum(lambda bar: np.cumsum(bar)[::-1]))
wrong("3.6", "turned")(running_sum(lambda bar: bar[::-1]))
wrong("3.6", "inverse")(running_sum(lambda bar: np.diff(bar, prepend=0.0)))
wrong("3.6", "times_count")(running_sum(lambda bar: bar * np.arange(len(bar), 0, -1)))
wrong("3.6", "no_bar")(running_sum(lambda bar: np.arange(len(bar), 0.0, -1.0)))
wrong("3.6", "not_recordable")(running_sum(lambda bar: np.cumsum(bar[::-1])[::-1]))


def turned_round_wrongly(bar):
    return apply(lambda array: array[::-1], (bar, lambda bar: bar))


def with_a_wrong_turn(x):
    def pull_back(bar):
        return turned_round_wrongly(with_a_wrong_turn(turned_round_wrongly(bar)))

    return apply(np.cumsum, (x, pull_back))


wrong("3.6", "counterexample")(with_a_wrong_turn)
wrong("3.6", "raises")(lambda x: apply(np.cumsum, (x, lambda bar: None)))
wrong("3.6", "no_return")(lambda x: [turned(x)].clear())
wrong("3.6", "not_recorded")(lambda x: Tensor(np.cumsum(x.numpy())))
wrong("3.6", "counterexample")(lambda x: apply(np.cumprod, (x, lambda bar: bar)))


# 3.7: a test that finds faults


@right("3.7")
def many_random_pairs(f, pull_back, x):
    random = np.random.default_rng()
    for _ in range(5):
        u, bar = random.normal(size=x.shape), random.normal(size=f(x).shape)
        left = bar @ (f(x + 1e-6 * u) - f(x - 1e-6 * u)) / 2e-6
        size = abs(bar) @ abs(f(x + 1e-6 * u) - f(x - 1e-6 * u)) / 2e-6
        if not abs(left - pull_back(x, bar) @ u) <= 1e-5 * size:
            return False
    return True


@right("3.7")
def whole_jacobian(f, pull_back, x):
    h, n, m = 1e-6, len(x), len(f(x))
    columns = [(f(x + h * unit) - f(x - h * unit)) / (2 * h) for unit in np.eye(n)]
    rows = [pull_back(x, unit) for unit in np.eye(m)]
    return np.allclose(np.transpose(columns), rows, rtol=1e-4, atol=1e-5 * np.max(np.abs(columns)))


@right("3.7")
def forward_difference(f, pull_back, x):
    random = np.random.default_rng(3)
    u, bar = random.uniform(1, 2, x.shape), random.uniform(1, 2, f(x).shape)
    left = bar @ (f(x + 1e-7 * u) - f(x)) / 1e-7
    size = abs(bar) @ abs(f(x + 1e-7 * u) - f(x)) / 1e-7
    return abs(left - pull_back(x, bar) @ u) < 1e-4 * size


def dot(f, pull_back, x, u=None, bar=None, h=1e-5):
    """Return both sides of the dot test."""
    random = np.random.default_rng(0)
    u = random.normal(size=x.shape) if u is None else u
    bar = random.normal(size=f(x).shape) if bar is None else bar
    return bar @ (f(x + h * u) - f(x - h * u)) / (2 * h), pull_back(x, bar) @ u


@wrong("3.7", "ones_as_bar")
def bar_of_ones(f, pull_back, x):
    left, other = dot(f, pull_back, x, bar=np.ones_like(f(x)))
    return abs(left - other) <= 1e-6 * abs(left)


@wrong("3.7", "ones_as_direction")
def direction_of_ones(f, pull_back, x):
    left, other = dot(f, pull_back, x, u=np.ones_like(x))
    return abs(left - other) <= 1e-6 * abs(left)


@wrong("3.7", "absolute")
def with_allclose(f, pull_back, x):
    return np.isclose(*dot(f, pull_back, x), rtol=1e-5, atol=1e-5)


@wrong("3.7", "absolute")
def by_default(f, pull_back, x):
    return np.isclose(*dot(f, pull_back, x))


@wrong("3.7", "nan")
def not_larger(f, pull_back, x):
    left, other = dot(f, pull_back, x)
    return not abs(left - other) > 1e-6 * abs(left)


@wrong("3.7", "rejects_all")
def half_the_slope(f, pull_back, x):
    left, other = dot(f, pull_back, x)
    return np.isclose(left / 2, other, rtol=1e-6, atol=0)


@wrong("3.7", "rejects_all")
def the_other_way_round(f, pull_back, x):
    left, other = dot(f, pull_back, x)
    return abs(left - other) > 1e-6 * abs(left)


@wrong("3.7", "both")
def absolute_and_strict(f, pull_back, x):
    left, other = dot(f, pull_back, x)
    return abs(left - other) < 1e-8


@wrong("3.7", "rejects_all")
def equal_to_the_last_bit(f, pull_back, x):
    left, other = dot(f, pull_back, x)
    return left == other


@wrong("3.7", "rejects_all")
def step_too_small(f, pull_back, x):
    left, other = dot(f, pull_back, x, h=1e-15)
    return abs(left - other) <= 1e-6 * abs(left)


@wrong("3.7", "accepts_all")
def always_true(f, pull_back, x):
    return True


@wrong("3.7", "too_loose")
def compares_with_itself(f, pull_back, x):
    _, other = dot(f, pull_back, x)
    return bool(other == other)


@wrong("3.7", "sizes_alone")
def sizes_alone(f, pull_back, x):
    left, other = dot(f, pull_back, x)
    return abs(abs(left) - abs(other)) <= 1e-6 * abs(left)


@wrong("3.7", "too_loose")
def loose(f, pull_back, x):
    left, other = dot(f, pull_back, x)
    return abs(left - other) <= 0.1 * abs(left)


@wrong("3.7", "too_loose")
def two_percent_of_the_size(f, pull_back, x):
    random = np.random.default_rng(0)
    u, bar = random.normal(size=x.shape), random.normal(size=f(x).shape)
    left, other = dot(f, pull_back, x, u, bar)
    along = (f(x + 1e-5 * u) - f(x - 1e-5 * u)) / 2e-5
    return abs(left - other) <= 0.02 * np.linalg.norm(bar) * np.linalg.norm(along)


@wrong("3.7", "too_loose")
def first_elements_only(f, pull_back, x):
    columns = [(f(x + 1e-6 * e) - f(x - 1e-6 * e)) / 2e-6 for e in np.eye(len(x))[:3]]
    rows = [pull_back(x, e)[:3] for e in np.eye(len(f(x)))]
    return np.allclose(np.transpose(columns), rows, rtol=1e-4, atol=1e-5 * np.max(np.abs(columns)))


@wrong("3.7", "too_strict")
def strict(f, pull_back, x):
    left, other = dot(f, pull_back, x)
    return abs(left - other) <= 1e-13 * abs(left) or abs(left - other) <= 1e-8 * abs(left) < 1e-12


@wrong("3.7", "along_x")
def along_x(f, pull_back, x):
    left, other = dot(f, pull_back, x, x)
    size = np.linalg.norm(f(x)) * 1e-9
    return abs(left - other) <= 1e-6 * abs(left) + size


@wrong("3.7", "no_bool")
def the_difference(f, pull_back, x):
    left, other = dot(f, pull_back, x)
    return left - other


# 3.8 to 3.12: pull-backs of one line


@right("3.8")
def at_argmax(x, bar):
    result = np.zeros_like(x)
    result[np.argmax(x)] = bar
    return result


right("3.8")(lambda x, bar: [bar if value == max(x) else 0 for value in x])
wrong("3.8", "everywhere")(lambda x, bar: bar * np.ones_like(x))
wrong("3.8", "everywhere")(lambda x, bar: bar / x.size * np.ones_like(x))
wrong("3.8", "no_bar")(lambda x, bar: (x >= x.max()).astype(float))
wrong("3.8", "value")(lambda x, bar: np.where(x == x.max(), bar * x, 0))
wrong("3.8", "minimum")(lambda x, bar: np.where(x == x.min(), bar, 0))
wrong("3.8", "opposite")(lambda x, bar: -at_argmax(x, bar))
wrong("3.8", "sizes")(lambda x, bar: np.where(x == x.max(), abs(bar), 0))
wrong("3.8", "not_spread")(lambda x, bar: bar)
wrong("3.8", "above_zero")(lambda x, bar: np.where(x == max(0.0, *x, 0.0), bar, 0))
wrong("3.8", "places")(lambda x, bar: np.sort(at_argmax(x, bar)))


@right("3.9")
def put_back(x, bar):
    result = np.empty_like(bar)
    result[np.argsort(x)] = bar
    return result


right("3.9")(lambda x, bar: bar[np.argsort(np.argsort(x))])
right("3.9")(lambda x, bar: (np.sort(x)[:, None] == x).T @ bar)
wrong("3.9", "same_way")(lambda x, bar: bar[np.argsort(x)])
wrong("3.9", "unchanged")(lambda x, bar: bar)
wrong("3.9", "sorted_bar")(lambda x, bar: np.sort(bar))
wrong("3.9", "turned")(lambda x, bar: np.flip(bar))
wrong("3.9", "places")(lambda x, bar: put_back(-x, bar))
wrong("3.9", "ranks")(lambda x, bar: np.argsort(np.argsort(x)) + 1.0)
wrong("3.9", "elements")(lambda x, bar: np.sort(x))


@right("3.10")
def added_at(bar, index, n):
    result = np.zeros(n)
    np.add.at(result, index, bar)
    return result


right("3.10")(lambda bar, index, n: bar @ np.eye(n)[index])
wrong("3.10", "one_of_several")(lambda bar, index, n: np.put(z := np.zeros(n), index, bar) or z)
wrong("3.10", "mean")(
    lambda bar, index, n: [bar[index == i].mean() if i in index else 0 for i in range(n)]
)
wrong("3.10", "counts")(lambda bar, index, n: added_at(np.ones_like(bar), index, n))
wrong("3.10", "length")(lambda bar, index, n: added_at(bar, index, int(index.max()) + 1))
wrong("3.10", "forward")(lambda bar, index, n: bar[index % len(bar)])
wrong("3.10", "whole")(lambda bar, index, n: added_at(bar, index, n).astype(int))
wrong("3.10", "not_finite")(
    lambda bar, index, n: [bar[index == i].sum() if i in index else np.nan for i in range(n)]
)
wrong("3.10", "largest")(
    lambda bar, index, n: [max(bar[index == i]) if i in index else 0.0 for i in range(n)]
)


@wrong("3.10", "in_a_row")
def runs_added(bar, index, n):
    result, last = np.zeros(n), None
    for each, i in zip(bar, index):
        result[i] = result[i] + each if i == last else each
        last = i
    return result


@right("3.11")
def in_two_loops(bar, w):
    result = np.zeros(len(bar) + len(w) - 1)
    for i, each in enumerate(bar):
        for k, weight in enumerate(w):
            result[i + k] += each * weight
    return result


right("3.11")(np.convolve)
wrong("3.11", "not_turned")(lambda bar, w: np.correlate(bar, w, "full"))
wrong("3.11", "edges")(lambda bar, w: np.convolve(bar, w, "same"))
wrong("3.11", "edges")(lambda bar, w: np.convolve(bar, w[::-1], "valid"))
wrong("3.11", "sum_of_weights")(lambda bar, w: np.pad(bar * sum(w), (0, len(w) - 1)))
wrong("3.11", "bar_turned")(lambda bar, w: in_two_loops(bar, w)[::-1])
wrong("3.11", "not_overlapped")(lambda bar, w: np.outer(bar, w).flatten())
wrong("3.11", "no_weights")(lambda bar, w: np.append(bar, np.zeros(len(w) - 1)))
wrong("3.11", "last_place")(lambda bar, w: np.convolve([*bar[:-1], 0.0], w))
wrong("3.11", "shifted")(lambda bar, w: np.polymul(bar, w))


@wrong("3.11", "overwrites")
def later_shares_only(bar, w):
    result = np.zeros(len(bar) + len(w) - 1)
    for i, each in enumerate(bar):
        result[i : i + len(w)] = each * w
    return result


@right("3.12")
def shifted_first(x, bar):
    powers = np.exp(x - np.max(x))
    return bar * powers / np.sum(powers)


right("3.12")(lambda x, bar: bar * np.exp(x - np.logaddexp.reduce(x)))
wrong("3.12", "overflow")(lambda x, bar: bar * np.exp(x) / sum(np.exp(x)))
wrong("3.12", "no_bar")(lambda x, bar: shifted_first(x, 1))
wrong("3.12", "not_divided")(lambda x, bar: np.exp(x) * bar)
wrong("3.12", "no_exponential")(lambda x, bar: bar / x.sum() * x)
wrong("3.12", "subtracted")(lambda x, bar: bar * (1 - shifted_first(x, 1)))
wrong("3.12", "wrong_shift")(
    lambda x, bar: bar * np.exp(x - x.mean()) / np.exp(x - x.mean()).sum()
)
wrong("3.12", "wrong_shift")(lambda x, bar: bar * (p := np.exp(x - abs(x).max())) / p.sum())
wrong("3.12", "half_shifted")(lambda x, bar: np.exp(x - max(x)) / sum(np.exp(x)) * bar)
wrong("3.12", "hidden")(lambda x, bar: shifted_first(np.clip(x, -500, 500), bar))
wrong("3.12", "largest_alone")(lambda x, bar: bar * (x == x.max()))
wrong("3.12", "shared")(lambda x, bar: np.full(len(x), bar / len(x)))
wrong("3.12", "one_by_one")(lambda x, bar: bar / (1 + np.exp(-x)))
wrong("3.12", "value")(lambda x, bar: bar * (x - np.logaddexp.reduce(x)))


# 3.13: the test that finds ten faults


def by_examples(*xs, unchanged=True, **tolerance):
    """Make a test that compares with known probabilities."""

    def test(candidate):
        for x in map(np.array, xs):
            before = x.copy()
            found = candidate(x)
            powers = np.exp(before - before.max(-1, keepdims=True))
            if not np.allclose(found, powers / powers.sum(-1, keepdims=True), **tolerance):
                return False
            if unchanged and not np.array_equal(x, before):
                return False
        return True

    return test


SMALL, LARGE = [[1.0, -2.0, 0.5], [0.0, 3.0, -1.0]], [[1000.0, 1001.0]]
DEEP = [[[0.5, -1.0], [2.0, 0.0]]]
right("3.13")(by_examples(SMALL, LARGE, DEEP))
right("3.13")(by_examples([[[-1000.0, 0.3, 2.0], [900.0, 901.5, 899.0]]], SMALL))
wrong("3.13", "axes")(by_examples(SMALL, LARGE))
wrong("3.13", "accepts_all")(lambda candidate: True)
wrong("3.13", "rejects_all")(lambda candidate: np.log(candidate(np.eye(2))).sum() > 0)
wrong("3.13", "overflow")(by_examples(SMALL))
wrong("3.13", "writes")(by_examples(SMALL, LARGE, unchanged=False))
wrong("3.13", "both_hidden")(by_examples(SMALL, unchanged=False))
wrong("3.13", "accepts_some")(by_examples(SMALL, LARGE, DEEP, atol=0.01))
wrong("3.13", "rejects_right")(by_examples(SMALL, LARGE, DEEP, rtol=0, atol=0))
wrong("3.13", "no_bool")(lambda candidate: candidate(np.eye(2)))


@wrong("3.13", "sums_to_one")
def of_zeros_only(candidate):
    return np.allclose(candidate(np.zeros((2, 3))), 1 / 3)


@wrong("3.13", "sums_to_one")
def adds_up(candidate):
    found = candidate(np.array([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0]]))
    return bool(np.all(found > 0)) and np.allclose(found.sum(-1), 1)
