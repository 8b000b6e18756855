"""The checks of the workshop, in which learners build an engine from an empty cell.

A step's check takes the earlier steps from where the answer finds them, the learner's notebook;
`tapecourse.feedback.core.standing_in` has put the right ones there in place of those not solved.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from functools import cache, wraps
from typing import Any

import numpy as np
from IPython import get_ipython
from threadpoolctl import threadpool_limits

from tapecourse.feedback.checking import Odd, is_stub
from tapecourse import tape
from tapecourse.feedback.build_a_tape import SHAPES, softmax
from tapecourse.feedback.core import NotRight, Parts, exercise, exercises, mistake
from tapecourse.support.data import read_arrays

Random = np.random.Generator

# --- the learner's engine


def names_of(answer: Callable) -> dict[str, Any]:
    """Return the names among which a function finds others: in a notebook, all of its names."""
    return getattr(inspect.unwrap(answer), "__globals__", {})


def own(answer: Callable, name: str) -> Any:
    """Return what an answer finds under a name: the learner's, or the right one.

    What stands for a fault of a cell with several functions brings them as `parts`.
    """
    found = getattr(answer, "parts", {}).get(name, names_of(answer).get(name))
    return globals()[name] if found is None or is_stub(found) else found


def with_parts(answer: Callable, **parts: Callable) -> Callable:
    """Make an answer that stands in a cell with these functions."""

    @wraps(answer)
    def variant(*arguments: Any) -> Any:
        return answer(*arguments)

    vars(variant)["parts"] = parts
    return variant


@contextmanager
def replaced(answer: Callable, name: str, value: Any) -> Iterator[None]:
    """Let an answer find something else under a name."""
    names = names_of(answer)
    before = names.get(name)
    names[name] = value
    try:
        yield
    finally:
        names[name] = before
        if before is None:
            del names[name]


def attribute(node: Any, name: str) -> Any:
    """Return an attribute of a node that a learner's code has made."""
    if node is None:
        raise NotRight("no_return", "None came back, where a node belongs.")
    if not hasattr(node, name):
        fact = f"There is a {type(node).__name__} without `{name}`, where a node belongs."
        raise NotRight("no_node", fact, "What does the exercise ask a node to hold?")
    return getattr(node, name)


def wrong_in(found: list[Parts], right: list[Parts]) -> set[str]:
    """Return the names of the parts in which something is wrong."""
    return {
        name
        for a, b in zip(found, right)
        for name, value in b.items()
        if not np.array_equal(a[name], value)
        and (value.dtype.kind != "f" or not np.allclose(a[name], value, equal_nan=True))
    }


NAME = mistake(
    "operation_name",
    "All is right but the text in `operation`.",
    "Which text does the exercise ask for?",
    seen=lambda found, right: all(
        name.startswith(("the operation of", "its operation")) for name in wrong_in(found, right)
    ),
)


def edges_of(node: Any) -> list[tuple[Any, Callable]]:
    """Return the edges of a node, if each is a pair of a parent and a pull-back."""
    edges = attribute(node, "edges")
    for edge in edges:
        if not isinstance(edge, tuple | list) or len(edge) != 2:
            fact = f"An edge is {edge!r}: a pair of a parent and a pull-back belongs there."
            raise NotRight("no_pair", fact)
        if callable(edge[0]) and hasattr(edge[1], "edges"):
            fact = "An edge holds its pull-back first: the parent comes first, then the pull-back."
            raise NotRight("pair_order", fact, "In which order does the exercise name the two?")
        if not callable(edge[1]):
            fact = "An edge holds a number where its pull-back belongs, a function of bar."
            raise NotRight("slope", fact, "What must be done with bar, and when is it known?")
    return list(edges)


def draw_record(program: Callable, **numbers: Any) -> None:
    """Show what a program records on the learner's nodes, and the way back, step by step."""
    shell = get_ipython()
    names = {} if shell is None else shell.user_ns
    for name in ("Node", "add", "multiply", "gradient", *program.__code__.co_names):
        if name in globals() and (name not in names or is_stub(names[name])):
            print(f"There is nothing to draw yet: `{name}` isn't written.")
            return
    from tapecourse.support.graph_steps import show_nodes  # here: checks need no Altair

    nodes = {name: names["Node"](number) for name, number in numbers.items()}
    show_nodes(program(**nodes), names["gradient"], "What your engine recorded", **nodes)


# --- W.1


def look_at_node(answer: Callable, value: Any) -> dict:
    """Make nodes of a value, with and without edges, and look at all that they hold."""

    def double(bar: np.ndarray) -> np.ndarray:
        return 2 * bar

    parent, given = answer(1.0), [("a parent", double)]
    value = value.copy() if isinstance(value, np.ndarray) else value
    node, computed = answer(value), answer(value, tuple(given), "double")
    from_list, alone = answer(value, given, "double"), answer(value)
    held = attribute(node, "value")
    kind = held.dtype.name if isinstance(held, np.ndarray | np.generic) else type(held).__name__
    seen = {
        "the type of its value": kind,
        "the shape of its value": str(np.shape(held)),
        "its value": np.array(held, "float64"),
        "the number of edges of a node that was given none": len(attribute(node, "edges")),
        "the number of edges of a node that was given one": len(attribute(computed, "edges")),
        "its operation": attribute(computed, "operation"),
        "its operation where none was given": repr(attribute(node, "operation")),
        "the type of its edges": type(computed.edges).__name__,
        "what node + node calls": "Operators" if hasattr(answer, "__radd__") else "nothing",
    }
    seen["its edge is the one that was given"] = list(computed.edges[:1]) == given
    given.clear()
    seen["the number of its edges after the list that was given is emptied"] = len(from_list.edges)
    shared = 0
    if isinstance(node.edges, list):
        node.edges.append((parent, double))
        shared = len(alone.edges)
        node.edges.pop()
    try:
        two = len({answer(1.0), answer(1.0)})
    except (TypeError, ValueError):
        two = 0
    seen["the number of edges of another node, after one was added to the first,"] = shared
    seen["how many of two nodes with the value 1 are found in a set of them"] = two
    if isinstance(value, np.ndarray) and value.ndim:
        value += 100
        seen["its value, after the array that was given has changed,"] = np.array(node.value)
    return seen


class Missing:
    """What a class doesn't have."""

    def __get__(self, node: Any, kind: Any) -> None:
        raise AttributeError


def node_class(
    keep: Callable = lambda value: np.array(value, "float64"),
    bundle: Callable = tuple,
    default: Any = (),
    operations: Callable = lambda text: text,
    **methods: Any,
) -> type:
    """Make a class of nodes, right or with faults."""

    def __init__(self: Any, value: Any, edges: Any = default, operation: str = "") -> None:
        self.value, self.edges = keep(value), bundle(edges)
        self.operation = operations(operation)

    given = {name: None for name in ("__add__", "__radd__")}  # as from Operators
    return type("Node", (), {"__init__": __init__} | given | methods)


class Node:
    """A value, and what it came from."""

    __array_ufunc__ = None

    def __init__(self, value: Any, edges: Any = (), operation: str = ""):
        self.value = np.array(value, "float64")
        self.edges, self.operation = tuple(edges), operation

    def __add__(self, other: Any) -> "Node":
        return add(self, other)

    def __radd__(self, other: Any) -> "Node":
        return add(other, self)

    def __mul__(self, other: Any) -> "Node":
        return multiply(self, other)

    def __rmul__(self, other: Any) -> "Node":
        return multiply(other, self)

    def __matmul__(self, other: Any) -> "Node":
        return matmul(self, other)

    def __rmatmul__(self, other: Any) -> "Node":
        return matmul(other, self)


exercise(
    "W.1",
    "A node",
    1,
    mistake(
        "type",
        "The value of a node must be an array of the type float64, whatever was given.",
        "What is the type of `np.array(3)`? And what does a list times 2 give?",
        node_class(keep=lambda value: value),
        node_class(keep=np.array),
        node_class(keep=lambda value: np.array(value, "float32")),
        node_class(keep=lambda value: np.array(value) if isinstance(value, list) else value),
    ),
    mistake(
        "not_copied",
        "The node holds the very array that it was given: whoever changes that changes the node.",
        "Which of NumPy's `array` and `asarray` makes a copy?",
        node_class(keep=lambda value: np.asarray(value, "float64")),
    ),
    mistake(
        "edges_not_copied",
        "The node holds the very list of edges that it was given, or that all nodes share.",
        "What can't be changed, and so can be shared: a list, or a tuple?",
        node_class(bundle=lambda edges: edges),
        node_class(bundle=lambda edges: edges, default=[]),
    ),
    mistake(
        "list_of_edges",
        "The edges are in a list: whoever gets it can change it.",
        "Which of Python's types can't be changed?",
        node_class(bundle=list),
    ),
    mistake(
        "no_edges",
        "The edges that were given are lost.",
        "Where does the node keep what it came from?",
        node_class(bundle=lambda edges: ()),
    ),
    mistake(
        "operation_lost",
        'The text `operation` is lost, or isn\'t "" where none was given.',
        'What does `Node(3).operation` give, and what `Node(3, (), "add").operation`?',
        node_class(operations=lambda text: ""),
        node_class(operations=lambda text: text or None),
    ),
    mistake(
        "no_operators",
        "It doesn't inherit from `Operators`: Python won't know what node + node is.",
        "What stands in parentheses after the name of the class?",
        node_class(__radd__=Missing()),
    ),
    mistake(
        "own_shape",
        "A number doesn't stay a number: its value has an axis.",
        "What is the shape of `np.array(3.0)`?",
        node_class(keep=lambda value: np.atleast_1d(np.array(value, "float64"))),
    ),
    mistake(
        "by_value",
        "Two nodes are taken for one if their values are equal, or can't be put into a set.",
        "What does `==` of two nodes compare? What should it?",
        node_class(__eq__=lambda a, b: bool(np.all(a.value == b.value)), __hash__=None),
        node_class(__eq__=lambda a, b: True, __hash__=lambda a: 1),
    ),
    cases=lambda random: [
        (3,),
        ([1, 2],),
        (random.normal(0, 2, 3),),
        (random.integers(-5, 5, (2, 2)),),
        (random.normal(0, 2, (2, 3)).astype("float32"),),
        (float(random.normal()),),
    ],
    question="Make one by hand, and print its three attributes.",
    probe=look_at_node,
    inputs=("value",),
    by_part=True,
)(Node)


# --- W.2

BOTH, LEFT, RIGHT, SAME = "two nodes", "only b is a node", "only a is a node", "a twice"


def operate(answer: Callable, a: np.ndarray, b: np.ndarray, given: str) -> dict:
    """Add and multiply; look at the results, and at what each node gets back."""
    seen, bar = {}, np.full(np.shape(a), 3.0)
    for symbol, operation in {"+": own(answer, "add"), "*": answer}.items():
        text = f"a {symbol} {'a' if given == SAME else 'b'}"
        seen |= record(answer, operation, text, given, bar, "bar = 3", a=a, b=b)
    return seen


def record(
    answer: Callable,
    operation: Callable,
    text: str,
    given: str,
    bar: Any,
    told: str,
    **inputs: Any,
) -> dict:
    """Run an operation, and look at the result and at what each node gets back, also later."""
    plain = {LEFT: "a", RIGHT: "b"}.get(given)
    node = own(answer, "Node")
    used = {name: x if name == plain else node(x) for name, x in inputs.items()}
    arguments = [used["a"], used["a"]] if given == SAME else list(used.values())
    result = operation(*arguments)
    edges = edges_of(result)
    seen = {
        f"the value of {text}": np.array(attribute(result, "value"), "float64"),
        f"the operation of {text}": attribute(result, "operation"),
    }
    if given == SAME:
        seen[f"the number of edges of {text}"] = len(edges)
    nodes: dict[str, Any] = {
        name: x for name, x in used.items() if name != plain and any(x is y for y in arguments)
    }
    for when in ("", " after the nodes have got other values,"):
        for name, each in nodes.items():
            seen[f"what {text} hands back to {name}{when} for {told}"] = handed(edges, each, bar)
        for each in nodes.values():
            each.value = each.value + 100
    return seen


def handed(edges: list[tuple[Any, Callable]], parent: Any, bar: np.ndarray) -> Any:
    """Return what a node's edges to a parent hand back."""
    try:
        shares = [pull_back(bar) for each, pull_back in edges if each is parent]
    except ValueError:
        fact = "{what} can't be computed: the shapes of two arrays don't fit each other."
        return Odd("no_fit", fact, "Write down the shapes of bar and of both factors.")
    if not shares:
        fact = "{what} isn't known: no edge leads there."
        return Odd("no_edge", fact, "How many nodes went into the operation?")
    return np.sum(shares, axis=0)


def as_node(value: Any) -> Any:
    """Make a node of a number or an array."""
    return value if hasattr(value, "edges") else Node(value)


def add(a: Any, b: Any) -> Node:
    """Return a + b, recorded."""
    a, b = as_node(a), as_node(b)
    return Node(a.value + b.value, ((a, lambda bar: bar), (b, lambda bar: bar)), "add")


def times(
    back: Callable = lambda x, y, bar: bar * y,
    late: bool = False,
    edges: Callable = lambda first, second: (first, second),
) -> Callable:
    """Make a multiplication, right or with faults: `back` takes the factor, the other, and bar."""

    def multiply(a: Any, b: Any) -> Node:
        """Return a * b, recorded."""
        a, b = as_node(a), as_node(b)
        x, y = a.value, b.value
        if late:
            first = (a, lambda bar: back(a.value, b.value, bar))
            second = (b, lambda bar: back(b.value, a.value, bar))
        else:
            first, second = (a, lambda bar: back(x, y, bar)), (b, lambda bar: back(y, x, bar))
        return Node(x * y, edges(first, second), "multiply")

    return multiply


multiply = times()


def adding(to_a: Callable, to_b: Callable) -> Callable:
    """Make an addition with these pull-backs."""

    def add(a: Any, b: Any) -> Node:
        a, b = as_node(a), as_node(b)
        return Node(a.value + b.value, ((a, to_a), (b, to_b)), "add")

    return add


def once_alone(a: Any, b: Any) -> Node:
    """Return a + b, with one edge if both are the same node."""
    a, b = as_node(a), as_node(b)
    if a is b:
        return Node(a.value + b.value, ((a, lambda bar: 2 * bar),), "add")
    return add(a, b)


exercise(
    "W.2",
    "Two operations, recorded",
    2,
    mistake(
        "own_factor",
        "In a * b each factor is handed back itself, times bar: the other one belongs there.",
        "If a grows a little, by how many times as much does a·b grow?",
        times(lambda x, y, bar: bar * x),
    ),
    mistake(
        "no_bar",
        "What a * b hands back doesn't depend on bar.",
        "What does the chain rule do with bar?",
        times(lambda x, y, bar: y + 0 * bar),
    ),
    mistake(
        "late",
        "The pull-back looks up a value when it is called: by then the node may have another one.",
        "When did the operation run, and what were the values then?",
        times(late=True),
    ),
    mistake(
        "same_pull_back",
        "Both factors hand back the same: one pull-back serves for both.",
        "A function made in a loop looks its names up when it is called: which are they then?",
        times(edges=lambda first, second: ((first[0], second[1]), second)),
        times(edges=lambda first, second: (first, (second[0], first[1]))),
    ),
    mistake(
        "slope_of_a_sum",
        "`a * b` hands back bar alone, as a + b does.",
        "If a grows a little, by how many times as much does a·b grow?",
        times(lambda x, y, bar: bar),
    ),
    mistake(
        "slope_of_add",
        "a + b doesn't hand back bar to both sides.",
        "If b grows a little, by how much does a + b grow?",
        with_parts(times(), add=adding(lambda bar: bar, lambda bar: -bar)),
        with_parts(times(), add=adding(lambda bar: bar, lambda bar: 2 * bar)),
        with_parts(times(), add=adding(np.ones_like, np.ones_like)),
    ),
    mistake(
        "joined",
        "Where one node stands on both sides, two edges must lead to it, and there is one.",
        "How often is the node used?",
        with_parts(times(), add=once_alone),
        times(edges=lambda first, second: tuple(dict([first, second]).items())),
        with_parts(
            times(edges=lambda first, second: tuple(dict([first, second]).items())), add=once_alone
        ),
    ),
    mistake(
        "summed",
        "What is handed back is summed: it must have the shape of the node.",
        "What is the shape of a's value?",
        times(lambda x, y, bar: np.sum(bar * y)),
    ),
    NAME,
    mistake(
        "not_recorded",
        "The product has no edges: nothing tells what it came from.",
        "What does a node take beside its value?",
        times(edges=lambda first, second: ()),
    ),
    mistake(
        "one_edge",
        "The product has an edge to one of its factors only.",
        "How many numbers does a product depend on?",
        times(edges=lambda first, second: (first,)),
        times(edges=lambda first, second: (second,)),
    ),
    cases=lambda random: [
        (np.array(2.0), np.array(-3.0), BOTH),
        *[
            (random.normal(0, 2, shape), random.normal(0, 2, shape), given)
            for shape, given in [((), RIGHT), ((), LEFT), ((), SAME), ((2,), BOTH), ((3,), LEFT)]
        ],
    ],
    question="Write down what each parent gets of bar, and print what your edges return.",
    probe=operate,
    inputs=("a", "b", ""),
    also=(add,),
    builds_on=("W.1",),
)(multiply)


# --- W.3

PROGRAMS: dict[str, Callable] = {
    "x": lambda add, mul, x, w, b: x,
    "x * w": lambda add, mul, x, w, b: mul(x, w),
    "x * x": lambda add, mul, x, w, b: mul(x, x),
    "x + x": lambda add, mul, x, w, b: add(x, x),
    "(x * w) * b": lambda add, mul, x, w, b: mul(mul(x, w), b),
    "(x + w) + x": lambda add, mul, x, w, b: add(add(x, w), x),
    "x + (x + w)": lambda add, mul, x, w, b: add(x, add(x, w)),
    "x * w + x * b": lambda add, mul, x, w, b: add(mul(x, w), mul(x, b)),
    "y + y * b, where y = x * w": lambda add, mul, x, w, b: add(y := mul(x, w), mul(y, b)),
    "y * b + y, where y = x * w": lambda add, mul, x, w, b: add(mul(y := mul(x, w), b), y),
    "(y * b) * b + y, where y = x * w": lambda add, mul, x, w, b: add(
        mul(mul(y := mul(x, w), b), b), y
    ),
    "y + (y * b) * b, where y = x * w": lambda add, mul, x, w, b: add(
        y := mul(x, w), mul(mul(y, b), b)
    ),
}
CHAIN, DOUBLINGS = 3000, 12
LONG = f"y, where y = x and then {CHAIN} times y = y + w"
DOUBLED = f"y, where y = x and then {DOUBLINGS} times y = y + y"


def operations(node: Callable, called: list) -> tuple[Callable, Callable]:
    """Return addition and multiplication of a learner's nodes, which note each way back."""

    def share(bar: np.ndarray, factor: Any = None) -> np.ndarray:
        called.append(1)
        return bar if factor is None else bar * factor

    def add(a: Any, b: Any) -> Any:
        return node(a.value + b.value, ((a, share), (b, share)), "add")

    def multiply(a: Any, b: Any) -> Any:
        x, y = a.value, b.value
        edges = (a, lambda bar: share(bar, y)), (b, lambda bar: share(bar, x))
        return node(x * y, edges, "multiply")

    return add, multiply


def sweep_back(answer: Callable, program: str, x: Any, w: Any, b: Any) -> dict:
    """Run a program on a learner's nodes, and ask for all derivatives."""
    called: list = []
    add, multiply = operations(own(answer, "Node"), called)
    inputs = dict(zip("xwb", map(own(answer, "Node"), (x, w, b))))
    if program in PROGRAMS:
        result = PROGRAMS[program](add, multiply, *inputs.values())
    else:
        result = inputs["x"]
        for _ in range(CHAIN if program == LONG else DOUBLINGS):
            result = add(result, inputs["w"] if program == LONG else result)
    with replaced(answer, "fit", fit_if_repeated):
        try:
            found = as_list(answer(result, list(inputs.values())))
        except RecursionError:
            fact = f"A program of {CHAIN} operations is too long for it: RecursionError."
            question = "Functions that call themselves go as deep as the program: what would not?"
            raise NotRight("recursion", fact, question) from None
        if program == DOUBLED and len(called) > 2 * DOUBLINGS:
            fact = f"{DOUBLINGS} operations have {2 * DOUBLINGS} edges, and it called "
            fact += f"{len(called)} pull-backs."
            question = (
                "Is each called once? What must a node wait for before it hands anything on?"
            )
            raise NotRight("paths", fact, question)
        again = as_list(answer(result, list(inputs.values())))
    names = [f"the derivative with respect to {name}" for name in inputs]
    more = {f"{name}, asked again,": bar for name, bar in zip(names, again)}
    return dict(zip(names, found)) | more


def as_list(found: Any) -> list:
    """Return the three derivatives that came back."""
    if not isinstance(found, list | tuple) or len(found) != 3:
        fact = "It must return a list with one array for each source."
        raise NotRight("no_list" if found is not None else "no_return", fact)
    found = [None if isinstance(x, np.ndarray) and x.dtype == object else x for x in found]
    return [np.array(each) if isinstance(each, np.ndarray) else each for each in found]


def in_order(result: Any) -> list:
    """Return a node and all that it came from, each after all that use it."""
    order, seen, left = [], set(), [(result, False)]
    while left:
        node, done = left.pop()
        if done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            left += [(node, True), *((parent, False) for parent, _ in node.edges)]
    return order[::-1]


def as_met(take: int, turn: int = 1) -> Callable:
    """Make an order in which nodes are met: of those left, the first or the last one (-1) goes."""

    def order(result: Any) -> list:
        found, left = {}, [result]
        while left:
            node = left.pop(take)
            if node not in found:
                found[node] = True
                left += [parent for parent, _ in node.edges][::turn]
        return list(found)

    return order


def fit(bar: np.ndarray, shape: tuple) -> np.ndarray:
    """Sum an adjoint over the axes along which an array of this shape was repeated."""
    new = bar.ndim - len(shape)
    bar = bar.sum(axis=tuple(range(new)))
    return bar.sum(axis=tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True)


def fit_if_repeated(bar: np.ndarray, shape: tuple, undo: Callable = fit) -> np.ndarray:
    """Undo broadcasting, and hand on the array itself where there was none."""
    return bar if np.shape(bar) == shape else undo(np.asarray(bar), shape)


def walk(
    order: Callable = in_order,
    join: Callable = lambda before, share: before + share,
    nothing: Callable = lambda source: np.zeros_like(source.value),
    hand: Callable = lambda bar, pull_back: pull_back(bar),
    seed: Callable = np.ones_like,
    fitted: Callable | None = None,
    skips: Callable = lambda bar: False,
    kept: bool = False,
) -> Callable:
    """Make a walk back, right or with faults."""

    def gradient(result: Any, sources: list) -> list:
        """Return the derivative of the result for each source."""
        adjoints = {result: seed(result.value)}
        if kept:
            adjoints = result.__dict__.setdefault("adjoints", adjoints)
        for node in order(result):
            if node not in adjoints or skips(adjoints[node]):
                continue
            for parent, pull_back in node.edges:
                share = hand(adjoints[node], pull_back)  # below: the `fit` of where this runs
                share = fitted(share, node, parent) if fitted else fit(share, parent.value.shape)
                known = parent in adjoints
                adjoints[parent] = join(adjoints[parent], share) if known else share
        return [adjoints.get(each, nothing(each)) for each in sources]

    return gradient


def add_in_place(before: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Add to the array itself, which others may hold."""
    before += share
    return before


gradient = walk()

exercise(
    "W.3",
    "The way back",
    3,
    mistake(
        "replaced",
        "Where a node is used twice, one of its two contributions is lost.",
        "What happens to the contributions of paths that meet?",
        walk(join=lambda before, share: share),
        walk(join=lambda before, share: before),
    ),
    mistake(
        "order",
        "A node hands its adjoint on before all contributions to it have come in.",
        "In `y + y * b`, which operations use y? Which of them runs last on the way back?",
        walk(order=as_met(0)),
        walk(order=as_met(-1)),
        walk(order=as_met(-1, -1)),
        walk(order=lambda result: in_order(result)[::-1]),
    ),
    mistake(
        "number",
        "Where the result doesn't depend on a source, the derivative must be zeros of its shape.",
        "What is the shape of the source?",
        walk(nothing=lambda source: 0.0),
    ),
    mistake(
        "shared",
        "Two nodes share one array as their adjoint: what one of them gets, the other gets too.",
        "`a += b` changes an array in its place. Who else holds it?",
        walk(join=add_in_place),
    ),
    mistake(
        "no_chain",
        "One operation is right, two in a row are not: a pull-back is asked with 1, not with bar.",
        "With which adjoint does the inner operation begin?",
        walk(hand=lambda bar, pull_back: pull_back(np.ones_like(bar))),
    ),
    mistake(
        "no_fit",
        "A share isn't passed through `fit`, or not with the shape of the parent's value.",
        "Which shape must the share of a parent have?",
        walk(fitted=lambda share, node, parent: share),
        walk(fitted=lambda share, node, parent: fit(share, node.value.shape)),
    ),
    mistake(
        "seed",
        "The way back doesn't begin with ones of the result's shape.",
        "By how much does the sum of the result's elements change with each of them?",
        walk(seed=lambda value: value),
        walk(seed=lambda value: np.ones_like(value) / value.size),
        walk(seed=lambda value: 1.0),
    ),
    mistake(
        "skips",
        "A node whose adjoint has an element 0 hands nothing on.",
        "What about its other elements?",
        walk(skips=lambda bar: not np.all(bar)),
    ),
    mistake(
        "kept",
        "Asked a second time, it says something else than the first time.",
        "Where do your adjoints live between two calls? What becomes of the edges?",
        walk(kept=True),
        seen=lambda found, right: all(
            name.endswith("asked again,") for name in wrong_in(found, right)
        ),
    ),
    mistake(
        "unconnected",
        "Where the result doesn't depend on a source, the derivative must be zeros, and is None.",
        "What does `get` return for a key that isn't there?",
        walk(nothing=lambda source: None),
    ),
    cases=lambda random: (
        [(program, *(random.integers(-4, 5, 3) / 2 + 0.25).tolist()) for program in PROGRAMS]
        + [(program, *random.normal(0, 2, (3, 2))) for program in PROGRAMS]
        + [("x * w", np.array([1.0, 2.0]), 3.0, 0.5)]
        + [("(x * w) * b", np.array([1.0, 2.0]), np.array([3.0, 4.0]), np.array([0.0, 2.0]))]
        + [(LONG, 1.0, 0.5, 0.0), (DOUBLED, 1.0, 0.0, 0.0)]
    ),
    question="Draw the graph of this program, and number the nodes in the order of your walk.",
    probe=sweep_back,
    inputs=("result", "x", "w", "b"),
    builds_on=("W.1",),
)(gradient)


# --- W.4


def fit_both_ways(answer: Callable, bar: np.ndarray, shape: tuple) -> dict:
    """Undo broadcasting by the function itself, and in a walk back through a product."""
    share = answer(bar.copy(), shape)
    x = own(answer, "Node")(np.ones(shape))
    with replaced(answer, "fit", answer):
        [by_x] = own(answer, "gradient")(own(answer, "multiply")(bar, x), [x])
    if np.shape(share) == shape != np.shape(by_x):
        fact = f"`fit` returns the shape {shape}, but `gradient` the shape {np.shape(by_x)}."
        raise NotRight("not_called", fact, "Does `gradient` pass each share through `fit`?")
    of_x = "the derivative of bar * x with respect to an x of this shape"
    return {"what fit returns": share, of_x: by_x}


def here(answer: Callable) -> Callable:
    """Let an answer find this module's engine."""
    return lambda bar, shape: answer(bar, shape)


exercise(
    "W.4",
    "Arrays of different shapes",
    2,
    *[
        replace(each, shown_by=tuple(map(here, each.shown_by)))
        for each in exercises["3.4"].mistakes
    ],
    cases=lambda random: [(random.normal(0, 2, before), shape) for before, shape in SHAPES],
    question="To which places was one element copied?",
    probe=fit_both_ways,
    builds_on=("W.1", "W.2", "W.3"),
)(fit)


# --- W.5


def study_product(answer: Callable, a: Any, b: Any, bar: Any, given: str) -> dict:
    """Multiply two matrices; look at the result, and at what each of them gets back."""
    return record(answer, answer, "a @ b", given, bar, "this bar", a=a, b=b)


def matrix_product(
    by_a: Callable = lambda x, y, bar: bar @ y.T,
    by_b: Callable = lambda x, y, bar: x.T @ bar,
) -> Callable:
    """Make a matrix product, right or with faults."""

    def matmul(a: Any, b: Any) -> Node:
        """Return the matrix product a @ b, recorded."""
        a, b = as_node(a), as_node(b)
        x, y = a.value, b.value
        edges = (a, lambda bar: by_a(x, y, bar)), (b, lambda bar: by_b(x, y, bar))
        return Node(x @ y, edges, "matmul")

    return matmul


matmul = matrix_product()


def late_product(a: Any, b: Any) -> Node:
    """Look the values up when the pull-back is called."""
    a, b = as_node(a), as_node(b)
    edges = (a, lambda bar: bar @ b.value.T), (b, lambda bar: a.value.T @ bar)
    return Node(a.value @ b.value, edges, "matmul")


def product_cases(random: Random) -> list[tuple]:
    """Draw matrices and adjoints; where all are square, each order and transpose fits."""
    shapes = [(2, 2, 2, BOTH), (2, 3, 4, BOTH), (3, 3, 3, LEFT), (4, 1, 2, LEFT), (1, 5, 1, RIGHT)]
    return [
        (random.normal(0, 2, (n, k)), random.normal(0, 2, (k, m)), random.normal(0, 2, (n, m)), s)
        for n, k, m, s in shapes
    ]


exercise(
    "W.5",
    "The matrix product",
    2,
    mistake(
        "not_transposed",
        "A factor is used on the way back as it is: transposed it would be right.",
        "a has n rows and k columns, bar has n and m. What must bar be multiplied by?",
        matrix_product(by_a=lambda x, y, bar: bar @ y),
        matrix_product(by_b=lambda x, y, bar: x @ bar),
        matrix_product(lambda x, y, bar: bar @ y, lambda x, y, bar: x @ bar),
    ),
    mistake(
        "order",
        "On the way back the factors stand in the wrong order.",
        "Write dY = dA B + A dB. On which side of bar does each factor belong?",
        matrix_product(by_a=lambda x, y, bar: y.T @ bar),
        matrix_product(by_b=lambda x, y, bar: bar @ x.T),
        matrix_product(lambda x, y, bar: y.T @ bar, lambda x, y, bar: bar @ x.T),
    ),
    mistake(
        "late",
        "The pull-back looks up a value when it is called: by then the node may have another one.",
        "When did the operation run, and what were the values then?",
        late_product,
    ),
    mistake(
        "other_factor",
        "Each factor stands in its own pull-back: the other one belongs there.",
        "In dY = dA B + A dB, what stands beside dA?",
        matrix_product(lambda x, y, bar: bar @ x.T, lambda x, y, bar: y.T @ bar),
        matrix_product(lambda x, y, bar: x.T @ bar, lambda x, y, bar: bar @ y.T),
    ),
    mistake(
        "no_bar",
        "What is handed back doesn't depend on bar.",
        "What does the chain rule do with bar?",
        matrix_product(by_a=lambda x, y, bar: np.ones_like(bar) @ y.T),
        matrix_product(by_b=lambda x, y, bar: x.T @ np.ones_like(bar)),
        matrix_product(
            lambda x, y, bar: np.ones_like(bar) @ y.T, lambda x, y, bar: x.T @ np.ones_like(bar)
        ),
        matrix_product(by_a=lambda x, y, bar: y.T),
        matrix_product(by_b=lambda x, y, bar: x.T),
        matrix_product(lambda x, y, bar: y.T, lambda x, y, bar: x.T),
    ),
    mistake(
        "elements",
        "On the way back elements are multiplied, not matrices.",
        "Which elements of Y does an element of A reach?",
        matrix_product(lambda x, y, bar: bar * y, lambda x, y, bar: bar * x),
        matrix_product(lambda x, y, bar: bar * y, lambda x, y, bar: x * bar),
    ),
    NAME,
    cases=product_cases,
    question="Write dY in terms of dA and dB, and put it into ⟨bar, dY⟩: what multiplies each?",
    probe=study_product,
    inputs=("a", "b", "bar", ""),
    builds_on=("W.1", "W.2"),
)(matmul)


# --- W.6


def elementwise(name: str, function: Callable, back: Callable) -> Callable:
    """Make a function of one element; `back` takes bar, the result and the input."""

    def operation(x: Any) -> Node:
        x = as_node(x)
        before, after = x.value, function(x.value)
        return Node(after, ((x, lambda bar: back(bar, after, before)),), name)

    operation.__name__ = name
    return operation


def ramp(x: np.ndarray) -> np.ndarray:
    """Return the larger of x and 0."""
    return np.maximum(x, 0)


relu = elementwise("relu", ramp, lambda bar, y, x: bar * (x > 0))
exp = elementwise("exp", np.exp, lambda bar, y, x: bar * y)
log = elementwise("log", np.log, lambda bar, y, x: bar / x)


def cross_entropy(logits: Any, labels: np.ndarray) -> Node:
    """Return the mean loss of some examples, a node with one element."""
    n = len(labels)
    powers = softmax(logits.value)
    z = logits.value - logits.value.max(axis=1, keepdims=True)
    losses = np.log(np.exp(z).sum(axis=1)) - z[np.arange(n), labels]
    slope = (powers - np.eye(powers.shape[1])[labels]) / n
    return Node(losses.mean(), ((logits, lambda bar: bar * slope),), "cross_entropy")


def loss_by(losses: Callable, slopes: Callable) -> Callable:
    """Make a loss with faults, of functions of logits and one-hot labels."""

    def cross_entropy(logits: Any, labels: np.ndarray) -> Node:
        z, truth = logits.value, np.eye(logits.value.shape[1])[labels]
        slope = slopes(z, truth)
        return Node(losses(z, truth), ((logits, lambda bar: bar * slope),), "cross_entropy")

    return cross_entropy


def mean_loss(z: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the mean loss."""
    z = z - z.max(axis=1, keepdims=True)
    return np.mean(np.log(np.exp(z).sum(axis=1)) - (z * truth).sum(axis=1))


def mean_slope(z: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return its derivative with respect to the logits."""
    return (softmax(z) - truth) / len(z)


def loss_over_examples(z: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return a loss whose probabilities add up to 1 over the examples."""
    return -np.mean((truth * (z - np.logaddexp.reduce(z, axis=0, keepdims=True))).sum(axis=1))


def unshifted(z: np.ndarray) -> np.ndarray:
    """Return a softmax that overflows."""
    return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)


def try_function(answer: Callable, function: str, x: np.ndarray, labels: Any) -> dict:
    """Run one of the four functions, and differentiate it."""
    node = own(answer, "Node")
    if function != "cross_entropy":
        operation = own(answer, function)
        return record(answer, operation, f"{function}(a)", BOTH, 3.0 + 0 * x, "bar = 3", a=x)
    logits = node(x)
    loss = answer(logits, labels)
    if np.size(attribute(loss, "value")) != 1:
        fact = f"The loss has the shape {np.shape(loss.value)}: one number is needed, the mean."
        raise NotRight("no_mean", fact, "How is the mean of n numbers made of them?")
    three = own(answer, "multiply")(loss, 3.0)
    [slope], [threefold] = (own(answer, "gradient")(each, [logits]) for each in (loss, three))
    return {
        "the loss": np.array(loss.value).reshape(()),
        "the derivative of the loss with respect to the logits": slope,
        "the derivative of 3 times the loss": threefold,
    }


NO_LABELS = "none"


def function_cases(random: Random) -> list[tuple]:
    """Draw inputs of all four functions; logits that only a stable one can take come last."""
    cases: list[tuple] = [
        ("relu", np.array([2.0, -1.0, 0.0]), NO_LABELS),
        ("exp", np.array([1.0, -2.0]), NO_LABELS),
        ("log", np.array([0.5, 4.0]), NO_LABELS),
        ("cross_entropy", np.array([[1.0, 0.0, -1.0]]), np.array([2])),
        ("cross_entropy", np.array([[800.0, 0.0, -800.0]]), np.array([0])),
        ("cross_entropy", np.array([[800.0, 0.0, -800.0]]), np.array([2])),
        ("cross_entropy", np.array([[800.0, 0.0], [-901.0, -900.0]]), np.array([0, 1])),
    ]
    for n, k in [(2, 2), (4, 3), (3, 5)]:
        cases += [(f, random.normal(0, 2, (n, k)), NO_LABELS) for f in ("relu", "exp")]
        cases += [("log", random.uniform(0.1, 3, (n, k)), NO_LABELS)]
        logits = random.normal(0, 2, (n, k))
        cases += [("cross_entropy", logits, random.integers(0, k, n))]
    return [*cases, ("cross_entropy", cases[-1][1] - 900, cases[-1][2])]


def loss_without_bar(logits: Any, labels: np.ndarray) -> Node:
    """Hand back the same, whatever bar is."""
    loss = cross_entropy(logits, labels)
    [(_, pull_back)] = loss.edges
    return Node(loss.value, ((logits, lambda bar: pull_back(1.0)),), "cross_entropy")


def spoils_itself(logits: Any, labels: np.ndarray) -> Node:
    """Subtract the labels again at each call."""
    right, n = cross_entropy(logits, labels), len(labels)
    probabilities = softmax(logits.value)

    def pull_back(bar: np.ndarray) -> np.ndarray:
        probabilities[np.arange(n), labels] -= 1
        return bar * probabilities / n

    return Node(right.value, ((logits, pull_back),), "cross_entropy")


def wrong_cases(found: list[Parts], right: list[Parts]) -> set[int]:
    """Return in which cases something is wrong."""
    pairs = enumerate(zip(found, right))
    return {i for i, pair in pairs if wrong_in([pair[0]], [pair[1]])}


def large_alone(found: list[Parts], right: list[Parts], *cases: int) -> bool:
    """Tell whether only in these cases something isn't finite, and nothing else is wrong."""
    return all(
        np.allclose(value, right[i][name], atol=1e-4 * max(1, abs(right[i][name]).max()))
        if value.dtype.kind == "f" and np.all(np.isfinite(value))
        else str(value) == str(right[i][name]) or i in [each % len(found) for each in cases]
        for i, parts in enumerate(found)
        for name, value in parts.items()
    )


exercise(
    "W.6",
    "Three functions and a loss",
    3,
    mistake(
        "relu_hands_all_on",
        "`relu` hands bar on everywhere, also where its input is negative.",
        "If a negative input grows a little, does the result of relu move?",
        with_parts(cross_entropy, relu=elementwise("relu", ramp, lambda bar, y, x: bar)),
    ),
    mistake(
        "relu_at_zero",
        "`relu` hands bar on where its input is 0.",
        "What does the exercise say of 0? Is it `>` or `>=`?",
        with_parts(
            cross_entropy, relu=elementwise("relu", ramp, lambda bar, y, x: bar * (x >= 0))
        ),
    ),
    mistake(
        "relu_slope",
        "`relu` is another function, or hands back the value in place of a mask.",
        "What comes out for -1, and how fast does it change there?",
        with_parts(cross_entropy, relu=elementwise("relu", ramp, lambda bar, y, x: bar * y)),
        with_parts(cross_entropy, relu=elementwise("relu", abs, lambda bar, y, x: bar * (x > 0))),
        with_parts(
            cross_entropy, relu=elementwise("relu", abs, lambda bar, y, x: bar * np.sign(x))
        ),
        with_parts(
            cross_entropy,
            relu=elementwise(
                "relu", lambda x: np.where(x > 0, x, 0.01 * x), lambda bar, y, x: bar * (x > 0)
            ),
        ),
    ),
    mistake(
        "exp_slope",
        "`exp` hands back something else than bar times the derivative of exp.",
        "What is the derivative of exp(x)?",
        with_parts(cross_entropy, exp=elementwise("exp", np.exp, lambda bar, y, x: bar * x)),
        with_parts(cross_entropy, exp=elementwise("exp", np.exp, lambda bar, y, x: bar)),
        with_parts(cross_entropy, exp=elementwise("exp", np.exp, lambda bar, y, x: bar * x * y)),
        with_parts(cross_entropy, exp=elementwise("exp", np.exp, lambda bar, y, x: bar / y)),
    ),
    NAME,
    mistake(
        "late",
        "A pull-back looks up a value when it is called: by then the node may have another one.",
        "When did the operation run, and what were the values then?",
        seen=lambda found, right: all(
            "after the nodes have got other values" in name for name in wrong_in(found, right)
        ),
    ),
    mistake(
        "slope_without_bar",
        "What one of relu, exp and log hands back doesn't depend on bar.",
        "What does the chain rule do with bar?",
        with_parts(cross_entropy, relu=elementwise("relu", ramp, lambda bar, y, x: 1.0 * (x > 0))),
        with_parts(cross_entropy, exp=elementwise("exp", np.exp, lambda bar, y, x: y)),
        with_parts(cross_entropy, log=elementwise("log", np.log, lambda bar, y, x: 1 / x)),
    ),
    mistake(
        "loss_without_bar",
        "What the loss hands back to the logits doesn't depend on bar.",
        "What would 3 times the loss hand back?",
        loss_without_bar,
    ),
    mistake(
        "log_slope",
        "`log` hands back bar multiplied by something, or bar alone.",
        "What is the derivative of ln(x)?",
        with_parts(cross_entropy, log=elementwise("log", np.log, lambda bar, y, x: bar * x)),
        with_parts(cross_entropy, log=elementwise("log", np.log, lambda bar, y, x: bar * y)),
        with_parts(cross_entropy, log=elementwise("log", np.log, lambda bar, y, x: bar)),
    ),
    mistake(
        "log_slope_inverted",
        "`log` divides by log x, or has another base.",
        "What is the derivative of ln(x)?",
        with_parts(cross_entropy, log=elementwise("log", np.log, lambda bar, y, x: bar / y)),
        with_parts(cross_entropy, log=elementwise("log", np.log10, lambda bar, y, x: bar / x)),
        with_parts(cross_entropy, log=elementwise("log", np.log2, lambda bar, y, x: bar / x)),
    ),
    mistake(
        "log_of_zero",
        "A probability that rounds to 0 makes the loss infinite; the rest is right.",
        "The loss is log Σ exp z − z[label]. Why divide first, and take the logarithm only then?",
        seen=lambda found, right: large_alone(found, right, 5),
    ),
    mistake(
        "overflow",
        "Logits around 800, or all around -900, make it NaN or infinite; for others it is right.",
        "What is exp(800)? By what may all logits of an example be shifted?",
        loss_by(
            lambda z, truth: np.mean(np.log(np.exp(z).sum(axis=1)) - (z * truth).sum(axis=1)),
            lambda z, truth: (unshifted(z) - truth) / len(z),
        ),
        seen=lambda found, right: (
            large_alone(found, right, 4, 5, 6, -1) and not large_alone(found, right, 6)
        ),
    ),
    mistake(
        "one_shift",
        "One shift serves all examples: beside logits of 800, those around -900 all become 0.",
        "By what may the logits of one example be shifted? And those of another?",
        seen=lambda found, right: large_alone(found, right, 6),
    ),
    mistake(
        "cut_off",
        "Where a probability is very small, the loss is cut off; the rest is right.",
        "The loss is log Σ exp z − z[label]. Why divide first, and take the logarithm only then?",
        seen=lambda found, right: wrong_cases(found, right) == {5},
    ),
    mistake(
        "sum_slope",
        "The loss is the mean, and its derivative that of the sum.",
        "By what is each example's loss multiplied in a mean?",
        loss_by(mean_loss, lambda z, truth: mean_slope(z, truth) * len(z)),
    ),
    mistake(
        "no_truth",
        "What comes back doesn't depend on the labels.",
        "In log Σ exp z − z[label], what does the second term hand back?",
        loss_by(mean_loss, lambda z, truth: softmax(z) / len(z)),
        loss_by(mean_loss, lambda z, truth: softmax(z)),
    ),
    mistake(
        "unshifted_logit",
        "The logits are shifted in the sum alone, and not where the label's is chosen.",
        "Which two terms must be shifted by the same?",
        loss_by(
            lambda z, truth: mean_loss(z, truth) - np.mean(z.max(axis=1)),
            mean_slope,
        ),
    ),
    mistake(
        "largest_chosen",
        "The largest logit is subtracted, not that of the label.",
        "Which logit must be large for the loss to be small?",
        loss_by(
            lambda z, truth: np.mean(np.logaddexp.reduce(z, axis=1) - z.max(axis=1)), mean_slope
        ),
    ),
    mistake(
        "changed_in_place",
        "The pull-back of the loss hands back something else each time it is called.",
        "What does it change? Work on a copy.",
        spoils_itself,
    ),
    mistake(
        "sum",
        "It is the sum over the examples, not the mean.",
        "If you took twice as many examples, should the step be twice as long?",
        loss_by(
            lambda z, truth: mean_loss(z, truth) * len(z),
            lambda z, truth: mean_slope(z, truth) * len(z),
        ),
    ),
    mistake(
        "wrong_axis",
        "The probabilities add up to 1 over the examples, not over the classes.",
        "Which axis counts the classes?",
        loss_by(loss_over_examples, lambda z, truth: (softmax(z.T).T - truth) / len(z)),
        loss_by(
            loss_over_examples,
            lambda z, truth: (softmax(z.T).T * truth.sum(axis=0) - truth) / len(z),
        ),
    ),
    mistake(
        "sign",
        "Loss or derivative has the opposite sign.",
        "Is the loss of a sure and right answer large or small?",
        loss_by(
            lambda z, truth: -mean_loss(z, truth),
            lambda z, truth: -mean_slope(z, truth),
        ),
        loss_by(lambda z, truth: -mean_loss(z, truth), mean_slope),
        loss_by(mean_loss, lambda z, truth: -mean_slope(z, truth)),
    ),
    cases=function_cases,
    question="Which value, or which derivative, does it get wrong? Compute it by hand for this x.",
    probe=try_function,
    inputs=("function", "x", "labels"),
    also=(relu, exp, log),
    builds_on=("W.1", "W.2", "W.3", "W.4", "W.5"),
)(cross_entropy)


# --- W.7


def take_step(answer: Callable, w: np.ndarray, b: np.ndarray, rate: float) -> dict:
    """Let an answer take a step, and look at the nodes, the list, and an earlier record."""
    node, multiply, add = (own(answer, name) for name in ("Node", "multiply", "add"))
    nodes = node(w), node(b)
    before = multiply(multiply(nodes[0], nodes[1]), nodes[0])
    parameters = list(nodes)

    def loss_of(w: Any, b: Any) -> Any:
        """The loss (w·b + b)²."""
        error = add(multiply(w, b), b)
        square = multiply(error, error)
        if not np.ndim(square.value):
            return square
        edges = ((square, lambda bar: bar * np.ones_like(square.value)),)
        return node(square.value.sum(), edges, "sum")

    loss = answer(loss_of, parameters, rate)
    [by_w] = own(answer, "gradient")(before, [nodes[0]])
    same = len(parameters) == 2 and all(map(lambda a, b: a is b, parameters, nodes))
    return {
        "the new value of w": np.array(attribute(nodes[0], "value"), "float64"),
        "the new value of b": np.array(attribute(nodes[1], "value"), "float64"),
        "that the list holds the same nodes as before": same,
        "the number of edges of w": len(edges_of(nodes[0])),
        "the loss that it returns": getattr(loss, "value", loss),
        "the derivative of w·b·w with respect to w, recorded before the step and asked for "
        "after it,": by_w,
    }


def stepping(
    update: Callable = lambda value, change: value - change,
    scale: Callable = lambda slope, rate: rate * slope,
    together: bool = True,
    again: bool = False,
    moves: Callable = lambda i: True,
) -> Callable:
    """Make a step of gradient descent, right or with faults."""

    def step(loss_of: Callable, parameters: list, rate: float) -> float:
        """Take a step of gradient descent; return the loss before it."""
        loss = loss_of(*parameters)
        slopes = gradient(loss, parameters)
        for i, parameter in enumerate(parameters):
            if not moves(i):
                continue
            if not together:
                slopes = gradient(loss_of(*parameters), parameters)
            parameter.value = update(parameter.value, scale(slopes[i], rate))
        return (loss_of(*parameters) if again else loss).value.item()

    return step


def subtract_in_place(value: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Change the array that the record holds."""
    value -= change
    return value


step = stepping()

exercise(
    "W.7",
    "A step downhill",
    2,
    mistake(
        "uphill",
        "The step goes uphill: the loss grows.",
        "In which direction does the gradient point?",
        stepping(scale=lambda slope, rate: -rate * slope),
    ),
    mistake(
        "rate",
        "The length of the step doesn't depend on the rate as it should.",
        "By what is the gradient multiplied?",
        stepping(scale=lambda slope, rate: slope),
        stepping(scale=lambda slope, rate: slope / rate),
        stepping(scale=lambda slope, rate: 0.125 * slope),
        stepping(scale=lambda slope, rate: 0.5 * slope),
        stepping(scale=lambda slope, rate: 0.1 * slope),
        stepping(scale=lambda slope, rate: 0.01 * slope),
    ),
    mistake(
        "direction_alone",
        "How steep the loss is doesn't matter to the step: it counts the direction alone.",
        "By what is the rate multiplied?",
        stepping(scale=lambda slope, rate: rate * np.sign(slope)),
        stepping(scale=lambda slope, rate: rate * slope / (np.linalg.norm(slope) + 1e-12)),
    ),
    mistake(
        "averaged",
        "All elements of a parameter move by the same: the mean, or the sum, of the derivatives.",
        "Which derivative belongs to each element?",
        stepping(scale=lambda slope, rate: rate * np.mean(slope)),
        stepping(scale=lambda slope, rate: rate * np.sum(slope)),
    ),
    mistake(
        "one_alone",
        "Only one of the parameters moves.",
        "How many parameters does the list hold? Where does the loop end?",
        stepping(moves=lambda i: i == 0),
        stepping(moves=lambda i: i == 1),
    ),
    mistake(
        "multiplied",
        "The parameter is multiplied by something; the change must be subtracted.",
        "What if the parameter is 0?",
        stepping(update=lambda value, change: value * (1 - change)),
        stepping(update=lambda value, change: value * change),
    ),
    mistake(
        "edges_left",
        "A parameter has edges after the step: it has become the result of an operation.",
        "Which attribute of the node gets something new? Only `value` should.",
        seen=lambda found, right: wrong_in(found, right) == {"the number of edges of w"},
    ),
    mistake(
        "in_place",
        "The step changes an array that an earlier record holds: its derivatives are now wrong.",
        "What is the difference between `a -= b` and `a = a - b` for an array?",
        stepping(update=subtract_in_place),
    ),
    mistake(
        "one_by_one",
        "The later parameter's derivative is taken where the earlier one has moved already.",
        "At which point must all derivatives be taken?",
        stepping(together=False),
    ),
    mistake(
        "loss_after",
        "The parameters are right, but the loss that it returns is the one after the step.",
        "Which loss did you differentiate?",
        stepping(again=True),
    ),
    mistake(
        "nodes_replaced",
        "The nodes that were given keep their values: the list holds others afterwards.",
        "Who else holds these nodes? What may change in a node, so that all of them see it?",
        seen=lambda found, right: (
            not any(each["that the list holds the same nodes as before"] for each in found)
        ),
    ),
    mistake(
        "nothing_changes",
        "The nodes that were given keep their values.",
        "`parameter = ...` gives a name to something else. What belongs to the node itself?",
        stepping(update=lambda value, change: value),
    ),
    cases=lambda random: [
        (np.array(1.0), np.array(2.0), 0.125),
        *[(*random.normal(0, 1, 2), float(random.uniform(0.05, 0.5))) for _ in range(3)],
        (*random.normal(0, 1, (2, 2)), 0.125),
    ],
    question="Write down loss, derivatives and new values for w = 1 and b = 2.",
    probe=take_step,
    inputs=("w", "b", "rate"),
    builds_on=("W.1", "W.2", "W.3", "W.4"),
)(step)


# --- W.8

ENOUGH, FEW = 0.90, 0.80  # of the test digits, from 4,500 and from 1,000 training digits
FEWEST = 20  # steps
ALL_DIGITS = "4,500 training digits"
RENAMED = "1,000 training digits, each with the label 9 minus what it shows"


@cache
def digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return images (n, 784), from 0 to 1, and labels: to train on, and to test on."""
    arrays = read_arrays("mnist_5k")
    train, test = (each.reshape(-1, 784) / 255 for each in (arrays.x_train, arrays.x_test))
    return train, arrays.y_train, test, arrays.y_test


def train_and_test(answer: Callable, given: str) -> dict:
    """Let an answer train, and count how many test digits it reads."""
    images, labels, test_images, truth = digits()
    if given == RENAMED:
        images, labels, truth = images[:1000], 9 - labels[:1000], 9 - truth
    calls, back = [], own(answer, "gradient")

    def counted(*arguments: Any) -> Any:
        calls.append(1)
        return back(*arguments)

    with replaced(answer, "gradient", counted), threadpool_limits(1, user_api="blas"):
        read = answer(images.copy(), labels.copy())
    if not callable(read):
        key, kind = "no_return" if read is None else "no_function", type(read).__name__
        raise NotRight(key, f"It must return a function that reads digits, and returns {kind}.")
    if not calls:
        fact = "It doesn't call `gradient`, so your engine hasn't learned anything."
        raise NotRight("no_engine", fact, "Which of your functions asks for the derivatives?")
    found = np.asarray(getattr(said := read(test_images.copy()), "value", said))
    if found.shape != truth.shape:
        fact = f"For {len(truth)} images the function returns the shape {found.shape}."
        raise NotRight("shape", fact, "Which digit has the largest logit in each row?")
    share, needed = np.mean(found == truth), FEW if given == RENAMED else ENOUGH
    if share >= needed and len(calls) < FEWEST:
        fact = f"It takes {len(calls)} of your engine's steps: so few teach no network to read."
        raise NotRight("no_engine", fact, "What else has learned?")
    if share >= needed:
        return {"it reads enough": True}
    told = f"It reads {share:.1%} of {len(truth)} test digits; {needed:.0%} are needed."
    if len(np.unique(found)) == 1:
        question = "Are its logits NaN, or all zero?"
        raise NotRight(
            "always_one", f"It reads the same digit, {found[0]}, in every image.", question
        )
    if share < 0.2:
        question = "Does the loss go down? Are images and labels shuffled in the same way?"
        raise NotRight("guesses", f"{told} That is hardly better than guessing.", question)
    question = "What is too small: the number of steps, the step, the hidden layer?"
    raise NotRight("too_few", told, question)


def train(images: np.ndarray, labels: np.ndarray) -> Callable:
    """Train a network of two layers; return a function that reads digits."""
    random = np.random.default_rng(0)
    w1, w2 = random.normal(0, 0.05, (784, 32)), random.normal(0, 0.2, (32, 10))
    parameters = [Node(w1), Node(np.zeros(32)), Node(w2), Node(np.zeros(10))]

    def logits(x: Any, w1: Any, b1: Any, w2: Any, b2: Any) -> Node:
        return relu(x @ w1 + b1) @ w2 + b2

    for _ in range(5):
        order = random.permutation(len(images))
        for batch in np.split(order, range(32, len(order), 32)):
            x, truth = images[batch], labels[batch]
            step(lambda *p, x=x, truth=truth: cross_entropy(logits(x, *p), truth), parameters, 0.2)
    return lambda x: logits(x, *parameters).value.argmax(axis=1)


exercise(
    "W.8",
    "It reads digits",
    3,
    cases=lambda random: [(RENAMED,), (ALL_DIGITS,)],
    question="Print the loss of each hundredth step.",
    probe=train_and_test,
    inputs=("",),
    again=0,
    builds_on=("W.1", "W.2", "W.3", "W.4", "W.5", "W.6", "W.7"),
)(train)


# --- W.9


def forward(
    x: Any, labels: Any, w1: Any, gamma: Any, beta: Any, w2: Any, b2: Any, m: Any = np
) -> dict[str, Any]:
    """Return all values of the network that the notebook shows, in arrays or in m's tensors."""
    n, mean_of = len(labels), m.mean if m is np else m.reduce_mean
    sum_of = m.sum if m is np else m.reduce_sum
    hidden = x @ w1
    mean = mean_of(hidden, axis=0)
    centered = hidden - mean
    variance = mean_of(centered**2, axis=0)
    inverse = (variance + 1e-5) ** -0.5
    normal = centered * inverse
    scaled = gamma * normal + beta
    active = m.maximum(scaled, 0) if m is np else m.relu(scaled)
    logits = active @ w2 + b2
    shifted = logits - np.asarray(logits).max(axis=1, keepdims=True)
    powers = m.exp(shifted)
    sums = sum_of(powers, axis=1, keepdims=True)
    logs = shifted - m.log(sums)
    loss = -sum_of(logs[np.arange(n), labels]) / n
    values = dict(locals())
    return {name: values[name] for name in values if name not in ("m", "mean_of", "sum_of")}


def one_hot(v: dict) -> np.ndarray:
    """Return a 1 in each row, at the label."""
    return np.eye(v["logs"].shape[1])[v["labels"]]


LINES: dict[str, Callable[[dict, dict], np.ndarray]] = {
    "logs": lambda v, a: -one_hot(v) / v["n"],
    "sums": lambda v, a: -a["logs"].sum(axis=1, keepdims=True) / v["sums"],
    "powers": lambda v, a: a["sums"] * np.ones_like(v["powers"]),
    "shifted": lambda v, a: a["logs"] + a["powers"] * v["powers"],
    "logits": lambda v, a: a["shifted"],
    "b2": lambda v, a: a["logits"].sum(axis=0),
    "w2": lambda v, a: v["active"].T @ a["logits"],
    "active": lambda v, a: a["logits"] @ v["w2"].T,
    "scaled": lambda v, a: a["active"] * (v["scaled"] > 0),
    "beta": lambda v, a: a["scaled"].sum(axis=0),
    "gamma": lambda v, a: (a["scaled"] * v["normal"]).sum(axis=0),
    "normal": lambda v, a: a["scaled"] * v["gamma"],
    "inverse": lambda v, a: (a["normal"] * v["centered"]).sum(axis=0),
    "variance": lambda v, a: a["inverse"] * -0.5 * v["inverse"] ** 3,
    "centered": lambda v, a: (
        a["normal"] * v["inverse"] + a["variance"] * 2 * v["centered"] / v["n"]
    ),
    "mean": lambda v, a: -a["centered"].sum(axis=0),
    "hidden": lambda v, a: a["centered"] + a["mean"] / v["n"],
    "w1": lambda v, a: v["x"].T @ a["hidden"],
}
PARAMETERS = ("w1", "gamma", "beta", "w2", "b2")


def backward(v: dict) -> dict:
    """Return the adjoints of all values."""
    adjoints: dict = {}
    for name, line in LINES.items():
        adjoints[name] = line(v, adjoints)
    return adjoints


def but(name: str, line: Callable[[dict, dict], np.ndarray]) -> Callable:
    """Make a way back in which one line is wrong."""

    def changed(v: dict) -> dict:
        adjoints = backward(v)
        return adjoints | {name: line(v, adjoints)}

    return changed


class Values(dict):
    """What `forward` returns, written in short."""

    def __repr__(self) -> str:
        (inputs, units), classes = self["w1"].shape, len(self["b2"])
        return f"those of {self['n']} examples, {inputs} inputs, {units} units, {classes} classes"


def network_values(random: Random, n: int, inputs: int, units: int, classes: int) -> Values:
    """Draw a batch and parameters, and return all values."""
    x, labels = random.normal(0, 1, (n, inputs)), random.integers(0, classes, n)
    gamma, beta = random.uniform(0.5, 2, units), random.normal(0, 0.5, units)
    w1, w2 = random.normal(0, 1, (inputs, units)), random.normal(0, 1, (units, classes))
    return Values(forward(x, labels, w1, gamma, beta, w2, random.normal(0, 1, classes)))


def go_back(answer: Callable, values: Values) -> dict:
    """Ask for all adjoints, and train ten steps with them."""
    x, labels, parameters = map(deepcopy, (values["x"], values["labels"], subset(values)))
    adjoints = answer(values)
    if not isinstance(adjoints, dict):
        key = "no_return" if adjoints is None else "no_dict"
        raise NotRight(key, f"It must return a dict, and returns {type(adjoints).__name__}.")
    fits = all(np.shape(adjoints.get(name, 0.0)) == values[name].shape for name in LINES)
    loss = None
    for _ in range(10 if fits else 0):
        found = answer(forward(x, labels, **parameters))
        parameters = {name: p - 0.1 * found[name] for name, p in parameters.items()}
        loss = forward(x, labels, **parameters)["loss"]
    named = {f"the adjoint of {name}": value for name, value in adjoints.items()}
    return {**named, "the loss after ten steps with the rate 0.1": loss}


def subset(values: dict) -> dict:
    """Return the parameters among the values."""
    return {name: values[name] for name in PARAMETERS}


exercise(
    "W.9",
    "Backpropagate by hand",
    4,
    mistake(
        "not_divided",
        "the mean is over n examples, but what comes back isn't divided by n.",
        "A mean is a sum, divided by n: how much does it move, if one of n numbers moves by 1?",
        but("logs", lambda v, a: -one_hot(v)),
        but(
            "centered",
            lambda v, a: a["normal"] * v["inverse"] + a["variance"] * 2 * v["centered"],
        ),
        but("hidden", lambda v, a: a["centered"] + a["mean"]),
    ),
    mistake(
        "square",
        "the derivative of the square is wrong: its factor 2, or what it is divided by.",
        "In the mean of n squares, what does one of them hand back?",
        but(
            "centered",
            lambda v, a: a["normal"] * v["inverse"] + a["variance"] * v["centered"] / v["n"],
        ),
        but(
            "centered",
            lambda v, a: (
                a["normal"] * v["inverse"] + a["variance"] * 2 * v["centered"] / (v["n"] - 1)
            ),
        ),
    ),
    mistake(
        "power",
        "the derivative of (variance + 1e-5)^(-1/2) is wrong.",
        "By how much is the exponent lowered, and which factor comes down?",
        but("variance", lambda v, a: a["inverse"] * -0.5 * v["inverse"]),
        but("variance", lambda v, a: a["inverse"] * -0.5 * v["inverse"] ** 2),
        but("variance", lambda v, a: -a["inverse"] * v["inverse"] ** 3),
        but("variance", lambda v, a: a["inverse"] * -0.5 * (v["variance"] + 1e-5) ** 0.5),
        but("variance", lambda v, a: a["inverse"] * -0.5 * v["variance"] ** 0.5),
        but("variance", lambda v, a: a["inverse"] * -0.5 / v["variance"]),
    ),
    mistake(
        "value_for_mask",
        "it is multiplied by a value, or masked where the adjoint is negative, not relu's input.",
        "How fast does relu change with its input, where that is 3?",
        but("scaled", lambda v, a: a["active"] * v["active"]),
        but("scaled", lambda v, a: a["active"] * v["scaled"]),
        but("scaled", lambda v, a: a["active"] * (a["active"] > 0)),
    ),
    mistake(
        "value_for_slope",
        "it is multiplied by the value of the node itself.",
        "Which of the nodes at hand stands on the right, in `forward`?",
        but("active", lambda v, a: a["logits"] @ v["w2"].T * v["active"]),
        but("active", lambda v, a: a["active"] * v["active"]),
    ),
    mistake(
        "sign",
        "the sign is wrong.",
        "Does the result grow or shrink, if this grows?",
        *[
            but(name, lambda v, a, name=name: -a[name])
            for name in ("logs", "sums", "variance", "mean")
        ],
    ),
    mistake(
        "not_summed",
        "it was repeated on the way there, and nothing is summed on the way back.",
        "Which axis did NumPy repeat it along?",
        but("sums", lambda v, a: -a["logs"] / v["sums"]),
        but("b2", lambda v, a: a["logits"]),
        but("beta", lambda v, a: a["scaled"]),
        but("gamma", lambda v, a: a["scaled"] * v["normal"]),
        but("inverse", lambda v, a: a["normal"] * v["centered"]),
        but("mean", lambda v, a: -a["centered"]),
    ),
    mistake(
        "averaged",
        "it was repeated on the way there, and what comes back is averaged, not summed.",
        "Each copy has an influence of its own. Do influences average, or add?",
        *[
            but(name, lambda v, a, name=name: a[name] / v["n"])
            for name in ("b2", "beta", "gamma", "inverse", "mean")
        ],
    ),
    mistake(
        "one_path",
        "it is used in two places, and only one of its two contributions is there.",
        "In which lines of `forward` does it stand on the right?",
        but("shifted", lambda v, a: a["logs"]),
        but("shifted", lambda v, a: a["powers"] * v["powers"]),
        but("centered", lambda v, a: a["normal"] * v["inverse"]),
        but("centered", lambda v, a: a["variance"] * 2 * v["centered"] / v["n"]),
        but("hidden", lambda v, a: a["centered"]),
    ),
    mistake(
        "constant",
        "it is taken for a constant, but it depends on every example of the batch.",
        "If one number of `hidden` changes, do mean and variance stay?",
        but("mean", lambda v, a: 0 * v["mean"]),
        but("variance", lambda v, a: 0 * v["variance"]),
    ),
    mistake(
        "no_mask",
        "relu hands the adjoint on where its input was negative.",
        "If a negative input grows a little, does the result of relu move?",
        but("scaled", lambda v, a: a["active"]),
    ),
    mistake(
        "factor",
        "a factor of the product on the way there is missing on the way back.",
        "By what is it multiplied in `forward`?",
        but("normal", lambda v, a: a["scaled"]),
        but("gamma", lambda v, a: a["scaled"].sum(axis=0)),
        but("inverse", lambda v, a: a["normal"].sum(axis=0)),
        but("shifted", lambda v, a: a["logs"] + a["powers"]),
    ),
    cases=lambda random: [
        (network_values(random, *size),)
        for size in [(3, 2, 2, 2), (5, 3, 4, 3), (4, 4, 4, 4), (2, 5, 3, 6)]
    ],
    question="Nudge one number of it by hand in `forward`: how much does the loss move?",
    probe=go_back,
    inputs=("v",),
    by_part=True,
)(backward)


def true_adjoints(values: dict) -> dict[str, np.ndarray]:
    """Return the adjoints that the tape of chapter 03 finds."""
    variables = {name: tape.Variable(value) for name, value in subset(values).items()}
    with tape.Tape() as record:
        found = forward(values["x"], values["labels"], **variables, m=tape)
    names = list(LINES)
    sources = [found[name] for name in names]
    return {n: g.numpy() for n, g in zip(names, record.gradient(found["loss"], sources))}


def compare(backward: Callable, values: dict) -> None:
    """Print for each value whether its adjoint is exact, close, or off, and by how much."""
    if is_stub(backward):
        print("There is nothing to compare yet: `backward` isn't written.")
        return
    found = backward(values)
    for name, right in true_adjoints(values).items():
        print(f"{name:10}{verdict(found.get(name), right)}")


def verdict(found: Any, right: np.ndarray) -> str:
    """Say how far an array is from what is right."""
    if found is None:
        return "missing"
    if np.shape(found) != right.shape:
        return f"off: its shape is {np.shape(found)}, and must be {right.shape}"
    part = np.max(abs(found - right)) / np.max(abs(right))
    if part < 1e-12:
        return "exact, up to rounding"
    return f"{'close' if part < 1e-3 else 'off'}, by {part:.1g} of the largest element"


def try_training(train: Callable, backward: Callable) -> None:
    """Train by a function that takes a way back, and print some of the losses it returns."""
    if is_stub(backward):
        print("There is nothing to train with yet: `backward` isn't written.")
        return
    losses = train(backward)
    for number in range(0, len(losses), max(1, len(losses) // 5)):
        print(f"step {number:3}: loss {losses[number]:.2f}")
