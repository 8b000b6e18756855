"""The checks of the workshop, in which learners build an engine from an empty cell.

A step's check takes the earlier steps from where the answer finds them, the learner's notebook;
`tapecourse.feedback.core.standing_in` has put the right ones there in place of those not solved.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from IPython import get_ipython

from tapecourse.feedback.checking import is_stub
from tapecourse.feedback.core import NotRight, exercise, mistake

Random = np.random.Generator

# --- the learner's engine


def own(answer: Callable, name: str) -> Any:
    """Return what an answer finds under a name: the learner's, or the right one."""
    found = getattr(answer, "__globals__", {}).get(name)
    return globals()[name] if found is None or is_stub(found) else found


@contextmanager
def replaced(answer: Callable, name: str, value: Any) -> Iterator[None]:
    """Let an answer find something else under a name."""
    names = getattr(answer, "__globals__", {})
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


def edges_of(node: Any) -> list[tuple[Any, Callable]]:
    """Return the edges of a node, if each is a pair of a parent and a pull-back."""
    edges = attribute(node, "edges")
    for edge in edges:
        if not isinstance(edge, tuple | list) or len(edge) != 2:
            fact = f"An edge is {edge!r}: a pair of a parent and a pull-back belongs there."
            raise NotRight("no_pair", fact)
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
        "its value": np.array(held, "float64"),
        "the number of edges of a node that was given none": len(attribute(node, "edges")),
        "the number of edges of a node that was given one": len(attribute(computed, "edges")),
        "its operation": attribute(computed, "operation"),
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


def node_class(
    keep: Callable = lambda value: np.array(value, "float64"),
    bundle: Callable = tuple,
    default: Any = (),
    **methods: Any,
) -> type:
    """Make a class of nodes, right or with faults."""

    def __init__(self: Any, value: Any, edges: Any = default, operation: str = "") -> None:
        self.value, self.edges, self.operation = keep(value), bundle(edges), operation

    return type("Node", (), {"__init__": __init__} | methods)


class Node:
    """A value, and what it came from."""

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
        node_class(keep=lambda value: np.array(value) if isinstance(value, list) else value),
    ),
    mistake(
        "not_copied",
        "The node holds the very array that it was given: who changes that, changes the node.",
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

BOTH, LEFT, RIGHT, SAME = "two nodes", "b a node", "a a node", "a twice"


def operate(answer: Callable, a: np.ndarray, b: np.ndarray, given: str) -> dict:
    """Add and multiply; look at the results, and at what each node gets back."""
    node, seen = own(answer, "Node"), {}
    for symbol, operation in {"+": own(answer, "add"), "*": answer}.items():
        x = a if given == LEFT else node(a)
        y = x if given == SAME else b if given == RIGHT else node(b)
        text = f"a {symbol} a" if given == SAME else f"a {symbol} b"
        result, bar = operation(x, y), np.full(np.shape(a), 3.0)
        edges = edges_of(result)
        seen[f"the value of {text}"] = np.array(attribute(result, "value"), "float64")
        seen[f"the operation of {text}"] = attribute(result, "operation")
        nodes: dict[str, Any] = {"a": x, "b": y}
        nodes = {name: each for name, each in nodes.items() if hasattr(each, "edges")}
        for when in ("", " after the nodes have got other values,"):
            for name, each in list(nodes.items())[: 1 if given == SAME else 2]:
                shares = [pull_back(bar) for parent, pull_back in edges if parent is each]
                back = np.sum(shares, axis=0) if shares else None
                seen[f"what {text} hands back to {name}{when} for bar = 3"] = back
            for each in nodes.values():
                each.value = each.value + 100
    return seen


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
    """Run a program on a learner's nodes, and ask for the derivatives by all of them."""
    called: list = []
    add, multiply = operations(own(answer, "Node"), called)
    inputs = dict(zip("xwb", map(own(answer, "Node"), (x, w, b))))
    if program in PROGRAMS:
        result = PROGRAMS[program](add, multiply, *inputs.values())
    else:
        result = inputs["x"]
        for _ in range(CHAIN if program == LONG else DOUBLINGS):
            result = add(result, inputs["w"] if program == LONG else result)
    with replaced(answer, "fit", lambda bar, shape: bar):
        try:
            found = as_list(answer(result, list(inputs.values())))
        except RecursionError:
            fact = f"A program of {CHAIN} operations is too long for it: RecursionError."
            question = "Functions that call themselves go as deep as the program: what would not?"
            raise NotRight("recursion", fact, question) from None
        if program == DOUBLED and len(called) > 2 * DOUBLINGS:
            fact = f"{DOUBLINGS} operations have {2 * DOUBLINGS} edges, and it called "
            fact += f"{len(called)} pull-backs: it walks each path by itself."
            raise NotRight("paths", fact, "What must a node wait for before it hands anything on?")
        again = as_list(answer(result, list(inputs.values())))
    seen = {f"the derivative by {name}": bar for name, bar in zip(inputs, found)}
    more = {f"the derivative by {name}, asked again,": bar for name, bar in zip(inputs, again)}
    return seen | more


def as_list(found: Any) -> list:
    """Return the three derivatives that came back."""
    if not isinstance(found, list | tuple) or len(found) != 3:
        fact = "It must return a list with one array for each source."
        raise NotRight("no_list" if found is not None else "no_return", fact)
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


def walk(
    order: Callable = in_order,
    join: Callable = lambda before, share: before + share,
    nothing: Callable = lambda source: np.zeros_like(source.value),
    hand: Callable = lambda bar, pull_back: pull_back(bar),
    kept: bool = False,
) -> Callable:
    """Make a walk back, right or with faults."""

    def gradient(result: Any, sources: list) -> list:
        """Return the derivative of the result by each source."""
        adjoints = {result: np.ones_like(result.value)}
        if kept:
            adjoints = result.__dict__.setdefault("adjoints", adjoints)
        for node in order(result):
            for parent, pull_back in node.edges if node in adjoints else ():
                share = fit(hand(adjoints[node], pull_back), parent.value.shape)
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
        "kept",
        "Asked a second time, it adds to what it found the first time.",
        "Where do your adjoints live between two calls?",
        walk(kept=True),
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
        + [(LONG, 1.0, 0.5, 0.0), (DOUBLED, 1.0, 0.0, 0.0)]
    ),
    question="Draw the graph of this program, and number the nodes in the order of your walk.",
    probe=sweep_back,
    inputs=("result", "x", "w", "b"),
    builds_on=("W.1",),
)(gradient)
