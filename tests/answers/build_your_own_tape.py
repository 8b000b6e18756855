"""Answers to the workshop; each finds the earlier steps in this module, as in a notebook."""

from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any, NamedTuple

import numpy as np
from answers import right, wrong

from tapecourse.feedback.build_your_own_tape import with_parts

# W.1: a node


class Operators:
    """As the notebook gives it; here nobody writes node + node."""

    __add__: Any = None
    __radd__: Any = None


class Node(Operators):
    def __init__(self, value, edges=(), operation=""):
        self.value = np.array(value, dtype=float)
        self.edges = tuple(edges)
        self.operation = operation


def lift(value):
    return value if isinstance(value, Node) else Node(value)


right("W.1")(Node)


@right("W.1")
@dataclass(eq=False)
class Node(Operators):  # noqa: F811  learners' names are all alike
    value: Any
    edges: tuple = ()
    operation: str = ""

    def __post_init__(self):
        self.value = np.asarray(self.value).astype(float)
        self.edges = tuple(self.edges)


@right("W.1")
class FrozenNode(Operators):
    __slots__ = ("value", "edges", "operation")

    def __init__(self, value, edges=None, operation=""):
        self.value = np.copy(value).astype(np.float64)
        self.edges = () if edges is None else (*edges,)
        self.operation = operation


@wrong("W.1", "type")
class AsGiven(Node):
    def __init__(self, value, edges=(), operation=""):
        self.value, self.edges, self.operation = value, tuple(edges), operation


@wrong("W.1", "type")
class Integers(Node):
    def __init__(self, value, edges=(), operation=""):
        super().__init__(0.0, edges, operation)
        self.value = np.array(value)


@wrong("W.1", "not_copied")
class NotCopied(Node):
    def __init__(self, value, edges=(), operation=""):
        super().__init__(0.0, edges, operation)
        self.value = np.asarray(value, float)


@wrong("W.1", "edges_not_copied")
class OneListForAll(Node):
    def __init__(self, value, edges=[], operation=""):  # noqa: B006
        super().__init__(value, (), operation)
        self.edges = edges


@wrong("W.1", "edges_not_copied")
class TheListItself(Node):
    def __init__(self, value, edges=None, operation=""):
        super().__init__(value, (), operation)
        self.edges = [] if edges is None else edges


@wrong("W.1", "by_value")
@dataclass
class ComparedByValue(Operators):
    value: Any
    edges: tuple = ()
    operation: str = ""

    def __post_init__(self):
        self.value, self.edges = np.array(self.value, float), tuple(self.edges)


@wrong("W.1", "type")
class TooNamed(NamedTuple):
    value: Any
    edges: tuple = ()
    operation: str = ""


@wrong("W.1", "no_node")
class Misspelt:
    def __init__(self, value, edges=(), operation=""):
        self.data, self.edges, self.operation = np.array(value, float), tuple(edges), operation


@wrong("W.1", "raises")
class WithoutOperation:
    def __init__(self, value, edges=()):
        self.value, self.edges = np.array(value, float), tuple(edges)


@wrong("W.1", "no_edges")
class ForgetsEdges(Node):
    def __init__(self, value, edges=(), operation=""):
        super().__init__(value, (), operation)


@wrong("W.1", "list_of_edges")
class ListOfEdges(Node):
    def __init__(self, value, edges=(), operation=""):
        super().__init__(value, edges, operation)
        self.edges = list(edges)


@wrong("W.1", "operation_lost")
class NoneForNothing(Node):
    def __init__(self, value, edges=(), operation=None):
        super().__init__(value, edges, operation)


@wrong("W.1", "own_shape")
class AlwaysWithAnAxis(Node):
    def __init__(self, value, edges=(), operation=""):
        super().__init__(np.atleast_1d(value), edges, operation)


@wrong("W.1", "no_operators")
class NoOperators:
    def __init__(self, value, edges=(), operation=""):
        self.value, self.edges = np.array(value, float), tuple(edges)
        self.operation = operation


# W.2: two operations, recorded


def add(a, b):
    a, b = lift(a), lift(b)
    return Node(a.value + b.value, ((a, lambda bar: bar), (b, lambda bar: bar)), "add")


@right("W.2")
def multiply(a, b):
    a, b = lift(a), lift(b)
    x, y = a.value, b.value
    return Node(x * y, ((a, lambda bar: bar * y), (b, lambda bar: bar * x)), "multiply")


@right("W.2")
def by_default_arguments(a, b):
    parents = [each if hasattr(each, "edges") else None for each in (a, b)]
    x, y = (np.asarray(getattr(each, "value", each)) for each in (a, b))
    factors = zip(parents, (y, x))
    edges = [(node, lambda bar, f=factor: f * bar) for node, factor in factors if node is not None]
    return Node(x * y, edges, "multiply")


@wrong("W.2", "own_factor")
def own_factor(a, b):
    a, b = lift(a), lift(b)
    x, y = a.value, b.value
    return Node(x * y, [(a, lambda bar: x * bar), (b, lambda bar: y * bar)], "multiply")


@wrong("W.2", "late")
def late(a, b):
    a, b = lift(a), lift(b)
    edges = [(a, lambda bar: bar * b.value), (b, lambda bar: bar * a.value)]
    return Node(a.value * b.value, edges, "multiply")


@wrong("W.2", "no_bar")
def no_bar(a, b):
    a, b = lift(a), lift(b)
    x, y = a.value, b.value
    return Node(x * y, [(a, lambda bar: y), (b, lambda bar: x)], "multiply")


@wrong("W.2", "not_recorded")
def value_only(a, b):
    return Node(lift(a).value * lift(b).value, operation="multiply")


@wrong("W.2", "one_edge")
def left_only(a, b):
    product = multiply(a, b)
    return Node(product.value, product.edges[:1], "multiply")


@wrong("W.2", "slope")
def slopes(a, b):
    a, b = lift(a), lift(b)
    return Node(a.value * b.value, [(a, b.value), (b, a.value)], "multiply")


@wrong("W.2", "raises")
def nodes_only(a, b):
    x, y = a.value, b.value
    return Node(x * y, [(a, lambda bar: bar * y), (b, lambda bar: bar * x)], "multiply")


@wrong("W.2", "same_pull_back")
def one_pull_back_for_both(a, b):
    parents, edges = [lift(a), lift(b)], []
    for i in (0, 1):
        factor = parents[1 - i].value
        edges.append((parents[i], lambda bar: bar * factor))  # noqa: B023  the fault
    return Node(parents[0].value * parents[1].value, edges, "multiply")


def product_with(back, named="multiply", joined=False):
    def multiply(a, b):
        a, b = lift(a), lift(b)
        x, y = a.value, b.value
        edges = [(a, lambda bar: back(bar, y)), (b, lambda bar: back(bar, x))]
        return Node(x * y, list(dict(edges).items()) if joined else edges, named)

    return multiply


wrong("W.2", "slope_of_a_sum")(product_with(lambda bar, other: bar))
wrong("W.2", "summed")(product_with(lambda bar, other: np.sum(bar * other)))
wrong("W.2", "operation_name")(product_with(lambda bar, other: bar * other, named="mul"))
wrong("W.2", "joined")(product_with(lambda bar, other: bar * other, joined=True))


def doubled(a, b):
    a, b = lift(a), lift(b)
    if a is b:
        return Node(2 * a.value, [(a, lambda bar: 2 * bar)], "add")
    return add(a, b)


wrong("W.2", "joined")(with_parts(multiply, add=doubled))


def subtracted(a, b):
    a, b = lift(a), lift(b)
    return Node(a.value + b.value, [(a, lambda bar: bar), (b, lambda bar: -bar)], "add")


wrong("W.2", "slope_of_add")(with_parts(multiply, add=subtracted))


@wrong("W.2", "pair_order")
def pull_back_first(a, b):
    product = multiply(a, b)
    return Node(product.value, [edge[::-1] for edge in product.edges], "multiply")


@wrong("W.2", "counterexample")
def sums(a, b):
    product = multiply(a, b)
    return Node(lift(a).value + lift(b).value, product.edges, "multiply")


@wrong("W.2", "no_node")
def plain(a, b):
    return lift(a).value * lift(b).value


# W.3: the way back


def fit(bar, shape):
    while bar.ndim > len(shape):
        bar = bar.sum(0)
    for axis, n in enumerate(shape):
        bar = bar.sum(axis, keepdims=True) if n == 1 else bar
    return bar


def sorted_back(result):
    graph, left = {}, [result]
    while left:
        node = left.pop()
        if node not in graph:
            graph[node] = [parent for parent, _ in node.edges]
            left += graph[node]
    return reversed([*TopologicalSorter(graph).static_order()])


@right("W.3")
def gradient(result, sources):
    bars = {result: np.ones(result.value.shape)}
    for node in sorted_back(result):
        for parent, pull_back in node.edges:
            share = fit(pull_back(bars[node]), parent.value.shape)
            bars[parent] = bars[parent] + share if parent in bars else share
    return [bars.get(each, np.zeros(each.value.shape)) for each in sources]


@right("W.3")
def numbered(result, sources):
    """Gives each node the length of the longest path from it, and takes them by that."""
    depth, changed = {result: 0}, [result]
    while changed:
        node = changed.pop(0)
        for parent, _ in node.edges:
            if depth.get(parent, -1) < depth[node] + 1:
                depth[parent] = depth[node] + 1
                if parent.edges:
                    changed.append(parent)
    bars = {node: 0.0 * node.value for node in [*depth, *sources]}
    bars[result] = bars[result] + 1
    for node in sorted(depth, key=depth.get):
        for parent, pull_back in node.edges:
            bars[parent] = bars[parent] + fit(pull_back(bars[node]), parent.value.shape)
    return tuple(bars[each] for each in sources)


@right("W.3")
def on_the_nodes(result, sources):
    """Keeps adjoints on the nodes, in arrays of their own, and begins each time with zeros."""
    order = list(sorted_back(result))
    for node in [*order, *sources]:
        node.adjoint = np.zeros_like(node.value)
    result.adjoint += 1
    for node in order:
        for parent, pull_back in node.edges:
            parent.adjoint += fit(pull_back(node.adjoint), parent.value.shape)
    return [each.adjoint for each in sources]


def going_back(order, bars_of=lambda result: {}, add_up=lambda a, b: a + b):
    def gradient(result, sources):
        bars = bars_of(result)
        bars.setdefault(result, np.ones(result.value.shape))
        for node in order(result):
            for parent, pull_back in node.edges:
                share = fit(pull_back(bars[node]), parent.value.shape)
                bars[parent] = add_up(bars[parent], share) if parent in bars else share
        return [bars.get(each, np.zeros(each.value.shape)) for each in sources]

    return gradient


def level_by_level(result):
    order, level = {}, [result]
    while level:
        order |= dict.fromkeys(level)
        level = [parent for node in dict.fromkeys(level) for parent, _ in node.edges]
    return order


def in_its_place(a, b):
    a += b
    return a


wrong("W.3", "order")(going_back(level_by_level))
wrong("W.3", "replaced")(going_back(sorted_back, add_up=lambda a, b: b))
wrong("W.3", "shared")(going_back(sorted_back, add_up=in_its_place))
wrong("W.3", "kept")(going_back(sorted_back, lambda result: vars(result).setdefault("bars", {})))


@wrong("W.3", "unconnected")
def none_if_unconnected(result, sources):
    bars = dict(zip(sources, gradient(result, sources)))
    reached = set(sorted_back(result))
    return [bars[each] if each in reached else None for each in sources]


@wrong("W.3", "no_chain")
def slopes_alone(result, sources):
    bars = {}
    for node in sorted_back(result):
        for parent, pull_back in node.edges:
            share = pull_back(np.ones_like(node.value))
            bars[parent] = bars.get(parent, 0) + fit(share, parent.value.shape)
    bars[result] = np.ones_like(result.value)
    return [bars.get(each, np.zeros_like(each.value)) for each in sources]


@wrong("W.3", "paths")
def every_path(result, sources):
    bars = {each: np.zeros_like(each.value) for each in sources}
    left = [(result, np.ones_like(result.value))]
    while left:
        node, bar = left.pop()
        if node in bars:
            bars[node] = bars[node] + bar
        left += [(p, fit(pull_back(bar), p.value.shape)) for p, pull_back in node.edges]
    return list(bars.values())


@wrong("W.3", "recursion")
def recursive(result, sources):
    order = []

    def visit(node):
        if node not in order:
            for parent, _ in node.edges:
                visit(parent)
            order.append(node)

    visit(result)
    return going_back(lambda _: reversed(order))(result, sources)


@wrong("W.3", "no_list")
def first_only(result, sources):
    return gradient(result, sources)[0]


def walked(result, sources, seed=1.0, fitted=True, skips=False):
    bars = {result: seed * np.ones_like(result.value)}
    for node in sorted_back(result):
        for parent, pull_back in node.edges:
            share = pull_back(bars[node])
            share = fit(share, parent.value.shape) if fitted else share
            share = 0 * share if skips and not np.all(bars[node]) else share
            bars[parent] = bars.get(parent, 0.0) + share
    return [bars.get(each, np.zeros_like(each.value)) for each in sources]


wrong("W.3", "no_fit")(lambda result, sources: walked(result, sources, fitted=False))
wrong("W.3", "skips")(lambda result, sources: walked(result, sources, skips=True))
wrong("W.3", "seed")(lambda result, sources: walked(result, sources, seed=result.value))


@wrong("W.3", "number")
def plain_zeros(result, sources):
    reached = set(sorted_back(result))
    return [bar if s in reached else 0.0 for s, bar in zip(sources, gradient(result, sources))]


@wrong("W.3", "kept")
def edges_used_up(result, sources):
    found = gradient(result, sources)
    for node in sorted_back(result):
        node.edges = ()
    return found


@wrong("W.3", "factor")
def without_the_seed(result, sources):
    return [2 * bar for bar in gradient(result, sources)]


@wrong("W.3", "raises")
def asks_for_all(result, sources):
    bars = {result: np.ones_like(result.value)}
    for node in sorted_back(result):
        for parent, pull_back in node.edges:
            bars[parent] = bars.get(parent, 0) + pull_back(bars[node])
    return [bars[each] for each in sources]


# W.4: arrays of different shapes

right("W.4")(fit)


@right("W.4")
def by_reshaping(bar, shape):
    padded = (1,) * (bar.ndim - len(shape)) + tuple(shape)
    axes = [i for i, n in enumerate(padded) if n == 1]
    return np.add.reduce(bar, tuple(axes), keepdims=True).reshape(shape)


@wrong("W.4", "mean")
def averages(bar, shape):
    return by_reshaping(bar, shape) * max(np.prod(shape), 1) / bar.size


@wrong("W.4", "one_copy")
def takes_one(bar, shape):
    while bar.ndim > len(shape):
        bar = bar[0]
    return bar[tuple(slice(n) for n in shape)]


@wrong("W.4", "axes_lost")
def without_keepdims(bar, shape):
    while bar.ndim > len(shape):
        bar = bar.sum(0)
    return bar.sum(tuple(i for i, n in enumerate(shape) if n == 1))


wrong("W.4", "all_of_it")(lambda bar, shape: np.full(shape, bar.sum()))
wrong("W.4", "first_axis")(lambda bar, shape: bar.sum(0))
wrong("W.4", "counted")(lambda bar, shape: np.full(shape, bar.size / np.prod(shape)))


@wrong("W.4", "largest")
def largest_copy(bar, shape):
    padded = (1,) * (bar.ndim - len(shape)) + tuple(shape)
    axes = tuple(i for i, n in enumerate(padded) if n == 1)
    return bar.max(axes, keepdims=True).reshape(shape)


@wrong("W.4", "length_one")
def front_only(bar, shape):
    return bar.sum(tuple(range(bar.ndim - len(shape))))


@wrong("W.4", "in_front")
def unchanged(bar, shape):
    return bar


def gradient_without_fit(result, sources):
    bars = {result: np.ones(result.value.shape)}
    for node in sorted_back(result):
        for parent, pull_back in node.edges:
            bars[parent] = bars.get(parent, 0) + pull_back(bars[node])
    return [bars[each] for each in sources]


wrong("W.4", "not_called")(with_parts(fit, gradient=gradient_without_fit))


# W.5: the matrix product


@right("W.5")
def matmul(a, b):
    a, b = lift(a), lift(b)
    x, y = a.value.copy(), b.value.copy()
    back = [lambda bar: np.einsum("nm,km->nk", bar, y), lambda bar: np.einsum("nk,nm->km", x, bar)]
    return Node(x @ y, zip((a, b), back), "matmul")


@right("W.5")
def by_transposing_twice(a, b):
    a, b = lift(a), lift(b)
    x, y = a.value, b.value
    return Node(
        np.dot(x, y), [(a, lambda bar: (y @ bar.T).T), (b, lambda bar: (bar.T @ x).T)], "matmul"
    )


def product(by_a, by_b=lambda x, y, bar: x.T @ bar):
    def matmul(a, b):
        a, b = lift(a), lift(b)
        x, y = a.value, b.value
        edges = [(a, lambda bar: by_a(x, y, bar)), (b, lambda bar: by_b(x, y, bar))]
        return Node(x @ y, edges, "matmul")

    return matmul


wrong("W.5", "not_transposed")(product(lambda x, y, bar: bar @ y))
wrong("W.5", "order")(product(lambda x, y, bar: y.T @ bar))
wrong("W.5", "order")(product(lambda x, y, bar: bar @ y.T, lambda x, y, bar: bar @ x.T))
wrong("W.5", "no_bar")(product(lambda x, y, bar: y.T, lambda x, y, bar: x.T))
wrong("W.5", "other_factor")(product(lambda x, y, bar: bar @ x.T, lambda x, y, bar: y.T @ bar))
wrong("W.5", "elements")(product(lambda x, y, bar: bar * y, lambda x, y, bar: bar * x))


@wrong("W.5", "operation_name")
def at_sign(a, b):
    return Node(lift(a).value @ lift(b).value, matmul(a, b).edges, "@")


@wrong("W.5", "counterexample")
def element_by_element(a, b):
    return Node(lift(a).value * lift(b).value, matmul(a, b).edges, "matmul")


@wrong("W.5", "late")
def late_product(a, b):
    a, b = lift(a), lift(b)
    edges = [(a, lambda bar: bar @ b.value.T), (b, lambda bar: a.value.T @ bar)]
    return Node(a.value @ b.value, edges, "matmul")


# W.6: three functions and a loss


def of_one_element(name, function, slope, with_bar=True):
    def operation(x):
        y, factor = function(x.value), slope(x.value)
        return Node(y, [(x, lambda bar: bar * factor if with_bar else factor)], name)

    return operation


def ramp(x):
    return np.where(x > 0, x, 0.0)


relu = of_one_element("relu", ramp, lambda x: np.where(x > 0, 1.0, 0.0))
exp = of_one_element("exp", np.exp, np.exp)
log = of_one_element("log", np.log, lambda x: 1 / x)


@right("W.6")
def cross_entropy(logits, labels):
    z = add(logits, -np.max(logits.value, axis=1, keepdims=True))
    n, k = z.value.shape
    sums = log(matmul(exp(z), np.ones((k, 1))))
    chosen = matmul(multiply(z, np.eye(k)[labels]), -np.ones((k, 1)))
    return matmul(np.ones((1, n)) / n, add(sums, chosen))


@right("W.6")
def in_one_node(logits, labels):
    rows, z = np.arange(len(labels)), logits.value
    logarithms = z - np.logaddexp.reduce(z, axis=1, keepdims=True)
    slope = np.exp(logarithms)
    slope[rows, labels] -= 1
    edge = logits, lambda bar: bar * slope / len(labels)
    return Node(-logarithms[rows, labels].mean(), [edge], "loss")


def logarithms_of(z):
    return z - np.logaddexp.reduce(z, axis=1, keepdims=True)


def mean_of(z, truth):
    return -np.mean((logarithms_of(z) * truth).sum(1))


def one_node(loss, slope):
    def cross_entropy(logits, labels):
        z, truth = logits.value, np.eye(logits.value.shape[1])[labels]
        factor = slope(z, truth)
        return Node(loss(z, truth), [(logits, lambda bar: factor * bar)], "loss")

    return cross_entropy


def unstable(logits, labels):
    k = logits.value.shape[1]
    sums = log(matmul(exp(logits), np.ones((k, 1))))
    chosen = matmul(multiply(logits, np.eye(k)[labels]), -np.ones((k, 1)))
    return matmul(np.ones((1, len(labels))) / len(labels), add(sums, chosen))


def probabilities_first(logits, labels):
    z = logits.value - logits.value.max(1, keepdims=True)
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    loss = -np.log(p[np.arange(len(labels)), labels]).mean()
    return Node(loss, in_one_node(logits, labels).edges, "loss")


def sum_of_losses(logits, labels):
    return multiply(cross_entropy(logits, labels), len(labels))


def over_the_batch(logits, labels):
    z = logits.value
    logarithms = z - np.logaddexp.reduce(z, axis=0)
    loss = -logarithms[np.arange(len(labels)), labels].mean()
    slope = (np.exp(logarithms) - np.eye(z.shape[1])[labels]) / len(labels)
    return Node(loss, [(logits, lambda bar: bar * slope)], "loss")


def upside_down(logits, labels):
    return multiply(cross_entropy(logits, labels), -1.0)


def without_bar(logits, labels):
    loss = in_one_node(logits, labels)
    [(parent, pull_back)] = loss.edges
    return Node(loss.value, [(parent, lambda bar: pull_back(1.0))], "loss")


wrong("W.6", "overflow")(unstable)
wrong("W.6", "log_of_zero")(probabilities_first)
wrong("W.6", "sum")(sum_of_losses)
wrong("W.6", "wrong_axis")(over_the_batch)
wrong("W.6", "sign")(upside_down)
wrong("W.6", "loss_without_bar")(without_bar)
one = np.ones_like
wrong("W.6", "relu_hands_all_on")(
    with_parts(cross_entropy, relu=of_one_element("relu", ramp, one))
)
wrong("W.6", "slope_without_bar")(
    with_parts(cross_entropy, exp=of_one_element("exp", np.exp, np.exp, with_bar=False))
)
wrong("W.6", "log_slope")(
    with_parts(cross_entropy, log=of_one_element("log", np.log, lambda x: x))
)
wrong("W.6", "counterexample")(
    with_parts(cross_entropy, exp=of_one_element("exp", np.exp, lambda x: x**2 * np.exp(x)))
)
for misconception, name, function, slope in [
    ("exp_slope", "exp", np.exp, lambda x: x * np.exp(x)),
    ("exp_slope", "exp", np.exp, one),
    ("log_slope_inverted", "log", np.log, lambda x: 1 / np.log(x)),
    ("relu_at_zero", "relu", ramp, lambda x: 1.0 * (x >= 0)),
    ("relu_slope", "relu", abs, lambda x: 1.0 * (x > 0)),
]:
    changed = of_one_element(name, function, slope)
    wrong("W.6", misconception)(with_parts(cross_entropy, **{name: changed}))
wrong("W.6", "operation_name")(with_parts(cross_entropy, exp=of_one_element("", np.exp, np.exp)))


def late_log(x):
    return Node(np.log(x.value), [(x, lambda bar: bar / x.value)], "log")


wrong("W.6", "late")(with_parts(cross_entropy, log=late_log))


def loss_with(shift=lambda z: z.max(1, keepdims=True), smallest=0.0):
    """Make a loss by probabilities, after a shift."""

    def loss(logits, labels):
        rows, z = np.arange(len(labels)), logits.value - shift(logits.value)
        p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
        slope = (p - np.eye(z.shape[1])[labels]) / len(labels)
        losses = np.log(np.exp(z).sum(1)) - z[rows, labels]
        losses = -np.log(np.maximum(p[rows, labels], smallest)) if smallest else losses
        return Node(losses.mean(), [(logits, lambda bar: bar * slope)], "loss")

    return loss


wrong("W.6", "one_shift")(loss_with(shift=np.max))
wrong("W.6", "cut_off")(loss_with(smallest=1e-7))
wrong("W.6", "sum_slope")(one_node(mean_of, lambda z, truth: np.exp(logarithms_of(z)) - truth))
wrong("W.6", "no_truth")(one_node(mean_of, lambda z, truth: np.exp(logarithms_of(z)) / len(z)))
wrong("W.6", "unshifted_logit")(
    one_node(
        lambda z, truth: mean_of(z, truth) - z.max(1).mean(),
        lambda z, truth: (np.exp(logarithms_of(z)) - truth) / len(z),
    )
)
wrong("W.6", "largest_chosen")(
    one_node(
        lambda z, truth: -logarithms_of(z).max(1).mean(),
        lambda z, truth: (np.exp(logarithms_of(z)) - truth) / len(z),
    )
)


@wrong("W.6", "changed_in_place")
def spoils(logits, labels):
    p = np.exp(logits.value - np.logaddexp.reduce(logits.value, axis=1, keepdims=True))

    def pull_back(bar):
        p[np.arange(len(labels)), labels] -= 1
        return bar * p / len(labels)

    return Node(in_one_node(logits, labels).value, [(logits, pull_back)], "loss")


@wrong("W.6", "no_mean")
def each_loss(logits, labels):
    z = logits.value - logits.value.max(1, keepdims=True)
    losses = np.log(np.exp(z).sum(1)) - z[np.arange(len(z)), labels]
    return Node(np.append(losses, 0.0), in_one_node(logits, labels).edges, "loss")


# W.7: a step downhill


@right("W.7")
def step(loss_of, parameters, rate):
    loss = loss_of(*parameters)
    for node, bar in zip(parameters, gradient(loss, parameters)):
        node.value = node.value - rate * bar
    return float(loss.value.sum())


@right("W.7")
def with_new_arrays(loss_of, parameters, rate):
    loss = loss_of(*parameters)
    new = [p.value - bar * rate for p, bar in zip(parameters, gradient(loss, parameters))]
    for node, value in zip(parameters, new):
        node.value = value
    return loss.value


def stepping(update):
    def step(loss_of, parameters, rate):
        loss = loss_of(*parameters)
        for node, bar in zip(parameters, gradient(loss, parameters)):
            update(node, rate, bar)
        return loss.value

    return step


def add_step(node, rate, bar):
    node.value = node.value + rate * bar


def whole_step(node, rate, bar):
    node.value = node.value - bar


def step_in_place(node, rate, bar):
    node.value -= rate * bar


def forgets(node, rate, bar):
    node = Node(node.value - rate * bar)


def recorded(node, rate, bar):
    new = add(node, -rate * bar)
    node.value, node.edges = new.value, new.edges


def moved_by(change):
    def update(node, rate, bar):
        node.value = change(node.value, rate, bar)

    return stepping(update)


def with_edges(node, rate, bar):
    new = add(Node(node.value), -rate * bar)
    node.value, node.edges = new.value, new.edges


wrong("W.7", "direction_alone")(moved_by(lambda value, rate, bar: value - rate * np.sign(bar)))
wrong("W.7", "direction_alone")(
    moved_by(lambda value, rate, bar: value - rate * bar / np.linalg.norm(bar))
)
wrong("W.7", "averaged")(moved_by(lambda value, rate, bar: value - rate * np.mean(bar)))
wrong("W.7", "multiplied")(moved_by(lambda value, rate, bar: value * (1 - rate * bar)))
wrong("W.7", "edges_left")(stepping(with_edges))


@wrong("W.7", "one_alone")
def first_alone(loss_of, parameters, rate):
    loss = loss_of(*parameters)
    parameters[0].value = parameters[0].value - rate * gradient(loss, parameters)[0]
    return loss.value


wrong("W.7", "uphill")(stepping(add_step))
wrong("W.7", "rate")(stepping(whole_step))
wrong("W.7", "in_place")(stepping(step_in_place))
wrong("W.7", "nothing_changes")(stepping(forgets))
wrong("W.7", "raises")(stepping(recorded))


@wrong("W.7", "one_by_one")
def one_after_the_other(loss_of, parameters, rate):
    loss = loss_of(*parameters)
    for node in parameters:
        [bar] = gradient(loss_of(*parameters), [node])
        node.value = node.value - rate * bar
    return loss.value


@wrong("W.7", "loss_after")
def tells_the_new_loss(loss_of, parameters, rate):
    step(loss_of, parameters, rate)
    return loss_of(*parameters).value


@wrong("W.7", "nodes_replaced")
def new_nodes(loss_of, parameters, rate):
    loss = loss_of(*parameters)
    bars = gradient(loss, parameters)
    parameters[:] = [Node(p.value - rate * bar) for p, bar in zip(parameters, bars)]
    return loss.value


# W.8: it reads digits


def network(images, labels, passes, rate=0.5, scale=0.05, batch=50):
    random = np.random.default_rng(1)
    first, second = random.normal(0, scale, (784, 24)), random.normal(0, 4 * scale, (24, 10))
    layers = [Node(first), Node(np.zeros((1, 24))), Node(second), Node(np.zeros((1, 10)))]

    def logits(x, a, b, c, d):
        return add(matmul(relu(add(matmul(x, a), b)), c), d)

    for _ in range(passes):
        for some in np.array_split(random.permutation(len(images)), len(images) // batch):
            x, t = images[some], labels[some]
            step(lambda *p, x=x, t=t: in_one_node(logits(x, *p), t), layers, rate)
    return lambda x: logits(x, *layers).value.argmax(1)


@right("W.8")
def train(images, labels):
    return network(images, labels, 7)


@right("W.8")
def by_a_convex_loss_on_random_features(images, labels):
    random = np.random.default_rng(2)
    features = random.normal(0, 0.1, (784, 300))
    weights = Node(np.zeros((300, 10)))

    def seen(x):
        return np.maximum(x @ features, 0)

    data = seen(images)
    for _ in range(6):
        for some in np.array_split(random.permutation(len(data)), len(data) // 50):
            slope = gradient(in_one_node(matmul(data[some], weights), labels[some]), [weights])[0]
            weights.value = weights.value - 0.2 * slope
    return lambda x: (seen(x) @ weights.value).argmax(1)


@wrong("W.8", "too_few")
def three_steps(images, labels):
    return network(images[:150], labels[:150], 3)


@wrong("W.8", "guesses")
def shuffled_apart(images, labels):
    return network(images, np.random.default_rng(0).permutation(labels), 1)


@wrong("W.8", "always_one")
def all_weights_zero(images, labels):
    return network(images[:100], labels[:100], 1, scale=0.0)


@wrong("W.8", "no_engine")
def nearest(images, labels):
    def read(x):
        distances = (images**2).sum(1) - 2 * x @ images.T
        return labels[distances.argmin(1)]

    return read


@wrong("W.8", "no_engine")
def nearest_after_one_call(images, labels):
    gradient(Node(1.0), [])
    return nearest(images, labels)


@wrong("W.8", "no_function")
def answers_at_once(images, labels):
    return network(images[:100], labels[:100], 1)(images)


@wrong("W.8", "shape")
def gives_logits(images, labels):
    read = network(images[:100], labels[:100], 1)
    return lambda x: np.eye(10)[read(x)]


# W.9: backpropagate by hand


@right("W.9")
def backward(v):
    n, rows, bars = len(v["labels"]), np.arange(len(v["labels"])), {}
    bars["logs"] = np.zeros_like(v["logs"])
    bars["logs"][rows, v["labels"]] = -1 / n
    bars["sums"] = 1 / n / v["sums"]
    bars["powers"] = np.repeat(bars["sums"], v["powers"].shape[1], axis=1)
    bars["shifted"] = bars["powers"] * v["powers"] + bars["logs"]
    bars["logits"] = bars["shifted"].copy()
    bars["b2"] = np.einsum("nk->k", bars["logits"])
    bars["w2"] = np.einsum("nu,nk->uk", v["active"], bars["logits"])
    bars["active"] = np.einsum("uk,nk->nu", v["w2"], bars["logits"])
    bars["scaled"] = np.where(v["active"] > 0, bars["active"], 0.0)
    bars["beta"] = bars["scaled"].sum(0)
    bars["gamma"] = np.einsum("nu,nu->u", bars["scaled"], v["normal"])
    bars["normal"] = bars["scaled"] * v["gamma"]
    bars["inverse"] = np.einsum("nu,nu->u", bars["normal"], v["centered"])
    bars["variance"] = bars["inverse"] * -0.5 / (v["variance"] + 1e-5) ** 1.5
    bars["centered"] = bars["normal"] * v["inverse"] + 2 / n * v["centered"] * bars["variance"]
    bars["mean"] = -np.add.reduce(bars["centered"])
    bars["hidden"] = bars["centered"] + bars["mean"] / n
    bars["w1"] = np.einsum("ni,nu->iu", v["x"], bars["hidden"])
    return bars


@right("W.9")
def by_formulas(v):
    """Takes the whole of softmax, and of batch normalization, in a line each."""
    n, bars = v["n"], backward(v)
    bars["logits"] = (v["powers"] / v["sums"] - np.eye(len(v["b2"]))[v["labels"]]) / n
    along = bars["gamma"] * v["normal"] + bars["beta"]
    bars["hidden"] = v["gamma"] * v["inverse"] * (bars["scaled"] - along / n)
    return {name: bars[name] for name in reversed(bars)}


def with_line(name, line):
    """Makes a way back in which one line differs, and all after it build on that."""

    def backward_(v):
        true = backward(v)
        bars = true | {name: line(v, true)}
        return bars if name in ("w1", "b2", "beta", "gamma") else bars | {"w1": bars["w1"] + 1}

    return backward_


wrong("W.9", "not_divided")(with_line("logs", lambda v, a: a["logs"] * v["n"]))
wrong("W.9", "sign")(with_line("sums", lambda v, a: -a["sums"]))
wrong("W.9", "not_summed")(with_line("gamma", lambda v, a: a["scaled"] * v["normal"]))
wrong("W.9", "averaged")(with_line("b2", lambda v, a: a["logits"].mean(0)))
wrong("W.9", "one_path")(with_line("centered", lambda v, a: a["normal"] * v["inverse"]))
wrong("W.9", "one_path")(with_line("shifted", lambda v, a: a["powers"] * v["powers"]))
wrong("W.9", "constant")(with_line("mean", lambda v, a: np.zeros_like(a["mean"])))
wrong("W.9", "no_mask")(with_line("scaled", lambda v, a: a["active"]))
wrong("W.9", "factor")(with_line("normal", lambda v, a: a["scaled"]))
wrong("W.9", "value_for_slope")(with_line("active", lambda v, a: a["active"] * v["active"]))
wrong("W.9", "value_for_mask")(with_line("scaled", lambda v, a: a["active"] * (a["active"] > 0)))
wrong("W.9", "square")(
    with_line(
        "centered",
        lambda v, a: a["normal"] * v["inverse"] + a["variance"] * v["centered"] / v["n"],
    )
)
wrong("W.9", "power")(
    with_line("variance", lambda v, a: a["inverse"] * -0.5 * np.sqrt(v["variance"]))
)


@wrong("W.9", "missing")
def so_far(v):
    bars = backward(v)
    return {name: bars[name] for name in list(bars)[:5]}


@wrong("W.9", "changes_argument")
def in_place_of_v(v):
    bars = backward(v)
    v["shifted"] -= 1
    return bars


@wrong("W.9", "no_dict")
def as_a_list(v):
    return list(backward(v).values())
