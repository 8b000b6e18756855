"""Answers to the workshop; each finds the earlier steps in this module, as in a notebook."""

from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any, NamedTuple

import numpy as np
from answers import right, wrong

# W.1: a node


class Node:
    def __init__(self, value, edges=(), operation=""):
        self.value = np.array(value, dtype=float)
        self.edges = tuple(edges)
        self.operation = operation


def lift(value):
    return value if isinstance(value, Node) else Node(value)


right("W.1")(Node)


@right("W.1")
@dataclass(eq=False)
class Node:  # noqa: F811  learners' names are all alike
    value: Any
    edges: tuple = ()
    operation: str = ""

    def __post_init__(self):
        self.value = np.asarray(self.value).astype(float)
        self.edges = tuple(self.edges)


@right("W.1")
class FrozenNode:
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
class ComparedByValue:
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


@wrong("W.1", "counterexample")
class ForgetsEdges(Node):
    def __init__(self, value, edges=(), operation=""):
        super().__init__(value, (), operation)


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


@wrong("W.2", "counterexample")
def one_pull_back_for_both(a, b):
    parents, edges = [lift(a), lift(b)], []
    for i in (0, 1):
        factor = parents[1 - i].value
        edges.append((parents[i], lambda bar: bar * factor))  # noqa: B023  the fault
    return Node(parents[0].value * parents[1].value, edges, "multiply")


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
            bars[parent] = bars.get(parent, 0) + pull_back(np.ones_like(node.value))
    bars[result] = np.ones_like(result.value)
    return [bars.get(each, np.zeros_like(each.value)) for each in sources]


@wrong("W.3", "paths")
def every_path(result, sources):
    bars, left = {each: np.zeros_like(each.value) for each in sources}, [(result, 1.0)]
    while left:
        node, bar = left.pop()
        if node in bars:
            bars[node] = bars[node] + bar
        left += [(parent, pull_back(bar)) for parent, pull_back in node.edges]
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


@wrong("W.3", "counterexample")
def without_the_seed(result, sources):
    return [2 * bar for bar in gradient(result, sources)]


@wrong("W.3", "raises")
def asks_for_all(result, sources):
    bars = {result: np.ones_like(result.value)}
    for node in sorted_back(result):
        for parent, pull_back in node.edges:
            bars[parent] = bars.get(parent, 0) + pull_back(bars[node])
    return [bars[each] for each in sources]
