"""The checks of the exercises of chapter 02."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tapecourse.feedback.core import NotRight, exercise, mistake
from tapecourse.graph import Node
from tapecourse.support.variants import own_number

Random = np.random.Generator


def signed(random: Random, low: float, high: float) -> float:
    """Draw a number of either sign, whose size is between two."""
    return float(random.uniform(low, high) * random.choice([-1, 1]))


# --- 2.1


def partial_and_total(x: float) -> tuple:
    """Return ∂z/∂x and dz/dx of z = x·y + n·y² with y = x²."""
    y, n = x**2, own_number("2.1")
    return y, y + (x + 2 * n * y) * 2 * x


exercise(
    "2.1",
    "With y held still, and with y following",
    1,
    mistake(
        "order",
        "Both are right, but in the wrong order: first the partial derivative, then the total.",
        "Which of them holds y still?",
        lambda x: partial_and_total(x)[::-1],
    ),
    mistake(
        "y_held",
        "the total derivative is the same as the partial one: y is held still in it.",
        "In the total derivative y moves too: what does that add?",
        lambda x: (x**2, x**2),
    ),
    mistake(
        "y_moves",
        "the partial derivative is the total one: y moves in it.",
        "What is the derivative of x·c + c² by x, if c is a plain number?",
        lambda x: (partial_and_total(x)[1], partial_and_total(x)[1]),
    ),
    mistake(
        "no_direct_path",
        "only the way through y is counted.",
        "In how many ways does x move z?",
        lambda x: (x**2, partial_and_total(x)[1] - x**2),
    ),
    mistake(
        "inner",
        "the way through y lacks a factor.",
        "y follows x, but not one to one: how fast does x² change?",
        lambda x: (x**2, x**2 + x + 2 * own_number("2.1") * x**2),
    ),
    cases=lambda random: [(1.0,), (2,)] + [(signed(random, 0.3, 2),) for _ in range(6)],
    question="Write z with x alone, and differentiate. For the partial one, put a number for y.",
    parts=("∂z/∂x", "dz/dx"),
    allowed=("differentiation", "tape"),
    by_part=True,
)(partial_and_total)


# --- 2.2


def but(**entries: Callable) -> Callable:
    """Make an answer that is right but for some adjoints."""
    return lambda x1, x2: adjoints(x1, x2) | {k: f(x1, x2) for k, f in entries.items()}


def adjoints(x1: float, x2: float) -> dict:
    """Return the adjoints of y = ln(x1) + n·x1·x2 − sin(x2)."""
    right, n = {"v4": 1.0, "v3": -1.0, "v2": 1.0, "v1": 1.0}, own_number("2.2")
    return right | {"x2": n * x1 - math.cos(x2), "x1": n * x2 + 1 / x1}


exercise(
    "2.2",
    "Both sweeps on paper",
    2,
    mistake(
        "values",
        "this is the value of the forward sweep, not the adjoint.",
        "An adjoint says how y reacts to it. If it grows by a little, by how much does y?",
        lambda x1, x2: {
            "v4": math.log(x1) + own_number("2.2") * x1 * x2,
            "v3": math.sin(x2),
            "v2": own_number("2.2") * x1 * x2,
            "v1": math.log(x1),
            "x2": x2,
            "x1": x1,
        },
    ),
    mistake(
        "sign",
        "the sign of y = v4 − v3 is lost.",
        "Which sign does v3 get, and hand on to x2?",
        lambda x1, x2: (
            adjoints(x1, x2) | {"v3": 1.0, "x2": adjoints(x1, x2)["x2"] + 2 * math.cos(x2)}
        ),
    ),
    mistake(
        "one_path",
        "it reaches y along two arrows, and only one of them is counted.",
        "Which two nodes use it? What does each of them hand back?",
        but(x2=lambda x1, x2: own_number("2.2") * x1, x1=lambda x1, x2: own_number("2.2") * x2),
        but(x2=lambda x1, x2: -math.cos(x2), x1=lambda x1, x2: 1 / x1),
    ),
    cases=lambda random: (
        [(2.0, 5.0)] + [(float(random.uniform(0.3, 3)), signed(random, 0.3, 3)) for _ in range(7)]
    ),
    question="Move it a little, let what is computed from it follow: how does y change?",
    probe=lambda answer, x1, x2: named_adjoints(answer(x1, x2)),
    allowed=("differentiation", "graph.Node", "tape"),
    by_part=True,
)(adjoints)


def named_adjoints(result: object) -> object:
    """Call each entry of a dict an adjoint."""
    if not isinstance(result, dict):
        return result
    return {f"the adjoint of {name}": value for name, value in result.items()}


# --- 2.3 and 2.4


def program(*lines: tuple) -> list[Node]:
    """Make nodes of (name, parents, partials); the values don't matter to a sweep."""
    return [
        Node(name, "op" if parents else "", parents, 2.0 + i, partials)
        for i, (name, parents, partials) in enumerate(lines)
    ]


CHAIN = program(("x", (), ()), ("e", ("x",), (3.0,)), ("y", ("e",), (12.0,)))
SQUARE_PLUS = program(("x", (), ()), ("v", ("x", "x"), (3.0, 3.0)), ("y", ("v", "x"), (1.0, 1.0)))
POWER = program(("x", (), ()), ("y", ("x", "x"), (4.0, 2.7)))
ASIDE = program(
    ("x", (), ()),
    ("s", ("x",), (0.9,)),
    ("z", (), ()),
    ("q", ("z", "x"), (0.5, 2.0)),
    ("aside", ("s", "q"), (1.0, 1.0)),
    ("loss", ("s", "q"), (1.0, -1.0)),
)
FAN_OUT = program(
    ("x", (), ()),
    ("s", ("x",), (0.9,)),
    ("e", ("s",), (1.6,)),
    ("p", ("s", "e"), (1.5, 0.5)),
    ("z", (), ()),  # an input may stand anywhere before its use
    ("q", ("z", "x"), (0.5, 2.0)),
    ("loss", ("p", "q"), (1.0, 1.0)),
)
NAMES = "a b c d f g h k m n p q r s t u w z".split()


def draw_program(random: Random, size: int) -> list[Node]:
    """Draw a program: inputs anywhere, values used several times or not at all, any names."""
    names = [str(name) for name in random.permutation(NAMES)[:size]]
    lines: list[tuple] = [(names[0], (), ())]
    for i, name in enumerate(names[1:], 1):
        count = 0 if i < size - 1 and random.random() < 0.2 else int(random.integers(1, 4))
        parents = tuple(names[j] for j in random.integers(max(0, i - 4), i, count))
        lines.append((name, parents, tuple(signed(random, 0.5, 2) for _ in parents)))
    return program(*lines)


def by_node(result: object, what: str) -> dict:
    """Read a dict of the nodes' numbers; an entry None counts as a missing one."""
    if not isinstance(result, dict):
        kind = "None" if result is None else f"of the type {type(result).__name__}"
        question = "Does the function end in `return`?" if result is None else ""
        key = "no_return" if result is None else "no_dict"
        raise NotRight(
            key, f"It must return a dict, name of the node: number; it is {kind}.", question
        )
    return {f"{what} of {name}": value for name, value in result.items() if value is not None}


def show_program(nodes: list[Node]) -> str:
    """Write a program in a line."""
    return ", ".join(f"{n.name}({', '.join(n.parents)})" if n.parents else n.name for n in nodes)


class Program(list):
    """A list of nodes that says in a line what it is."""

    def __repr__(self) -> str:
        return show_program(self)


def programs(random: Random) -> list[list[Node]]:
    """Return programs by hand, and drawn."""
    drawn = [draw_program(random, size) for size in (3, 5, 6, 8, 10)]
    return [CHAIN, SQUARE_PLUS, POWER, FAN_OUT, ASIDE, *drawn]


def sweep(
    nodes: list[Node], join: Callable, seed: Callable = lambda nodes: {nodes[-1].name: 1.0}
) -> dict:
    """Go back; `join` makes one of what a node has got before (or None) and what comes."""
    found: dict[str, Any] = {node.name: 0.0 for node in nodes} | seed(nodes)
    met = set(seed(nodes))
    for node in reversed(nodes):
        for parent, partial in zip(node.parents, node.partials):
            share = found[node.name] * partial
            found[parent] = join(found[parent], share) if parent in met else share
            met.add(parent)
    return found


def forwards(nodes: list[Node], adds: bool) -> dict:
    """Go through the nodes in the wrong direction."""
    found: dict[str, Any] = {node.name: 0.0 for node in nodes}
    found[nodes[-1].name] = 1.0
    for node in nodes:
        for parent, partial in zip(node.parents, node.partials):
            found[parent] = adds * found[parent] + found[node.name] * partial
    return found


def by_operand(nodes: list[Node], pairs: Callable) -> dict:
    """Go back, with the operands of a node as `pairs` tells them."""
    return reverse_sweep([Node(n.name, "op", *split(*pairs(n))) for n in nodes])


def split(parents: tuple, partials: tuple) -> tuple[tuple, None, tuple]:
    """Put the value, which a sweep doesn't need, in between."""
    return parents, None, partials


def first_place(node: Node) -> tuple:
    """Take for each operand the partial of its first place."""
    return node.parents, tuple(node.partials[node.parents.index(p)] for p in node.parents)


def last_place(node: Node) -> tuple:
    """Count each operand once, with the partial of its last place."""
    pairs = dict(zip(node.parents, node.partials))
    return tuple(pairs), tuple(pairs.values())


def along_arrows(nodes: list[Node], once: bool) -> dict:
    """Go from the last node along the arrows, and visit a node once, or each time it is met."""
    known, seen, queue = {node.name: node for node in nodes}, set(), [nodes[-1]]
    found: dict[str, Any] = {node.name: 0.0 for node in nodes} | {nodes[-1].name: 1.0}
    while queue and len(seen) < 10_000:
        node = queue.pop(0)
        if not (once and node.name in seen):
            seen.add(node.name)
            for parent, partial in zip(node.parents, node.partials):
                found[parent] += found[node.name] * partial
                queue.append(known[parent])
    return found


def reverse_sweep(nodes: list[Node]) -> dict:
    """Return the adjoint of each node."""
    found: dict[str, Any] = {node.name: 0.0 for node in nodes}
    found[nodes[-1].name] = 1.0
    for node in reversed(nodes):
        for parent, partial in zip(node.parents, node.partials):
            found[parent] += found[node.name] * partial
    return found


exercise(
    "2.3",
    "Repair a reverse sweep",
    3,
    mistake(
        "direction",
        "Nodes are visited before their own adjoints are known: even a chain is wrong.",
        "Which node's adjoint is known at the start, and in which direction do you go from it?",
        lambda nodes: forwards(nodes, adds=False),
        lambda nodes: forwards(nodes, adds=True),
    ),
    mistake(
        "overwrites",
        "A value that is used several times keeps only one of its contributions.",
        "What happens to its first contribution when the second one comes?",
        lambda nodes: sweep(nodes, lambda before, share: share),
        lambda nodes: sweep(nodes, lambda before, share: before),
    ),
    mistake(
        "incomplete",
        "Adjoints are handed on before all contributions have come, or more than once.",
        "When is an adjoint complete? In which order are the nodes listed?",
        lambda nodes: along_arrows(nodes, once=True),
        lambda nodes: along_arrows(nodes, once=False),
    ),
    mistake(
        "same_operand",
        "A node that has the same operand twice is wrong; all else is right.",
        "In xˣ one node uses x twice. Which partial does each of the two places have?",
        lambda nodes: by_operand(nodes, first_place),
        lambda nodes: by_operand(nodes, last_place),
    ),
    mistake(
        "unused",
        "What doesn't lead to the last node must be in the dict, with the adjoint 0.",
        "How much does the result change with a thing that it doesn't depend on?",
        lambda nodes: {k: v for k, v in reverse_sweep(nodes).items() if v != 0},
        lambda nodes: sweep(nodes, lambda a, b: a + b, ends),
        lambda nodes: reverse_sweep(nodes) | ends(nodes),
    ),
    mistake(
        "seed",
        "The walk doesn't start with the adjoint 1 of the last node.",
        "How much does a thing change with itself? And is the last node always called y?",
        lambda nodes: sweep(nodes, lambda a, b: a + b, lambda nodes: {"y": 1.0}),
        lambda nodes: dict.fromkeys([node.name for node in nodes], 0.0),
        lambda nodes: {k: v * (nodes[-1].value or 0) for k, v in reverse_sweep(nodes).items()},
        lambda nodes: {k: v for k, v in reverse_sweep(nodes).items() if k != nodes[-1].name},
        lambda nodes: reverse_sweep(nodes) | {nodes[-1].name: 0.0},
    ),
    cases=lambda random: [(Program(nodes),) for nodes in programs(random)],
    question="Do the sweep on paper for this program, and compare the adjoints one by one.",
    probe=lambda answer, nodes: by_node(answer(nodes), "the adjoint"),
    allowed=("Node", "differentiation", "tape"),
)(reverse_sweep)


def ends(nodes: list[Node]) -> dict:
    """Return the seed 1 for each node that no other uses."""
    used = {parent for node in nodes for parent in node.parents}
    return {node.name: 1.0 for node in nodes if node.name not in used}


def sweep_forth(nodes: list[Node], start: Callable, join: Callable = lambda a, b: a + b) -> dict:
    """Go through the nodes; `start` tells what a node starts with, `join` adds the shares."""
    found: dict[str, Any] = {}
    for node in nodes:
        shares = [found[p] * partial for p, partial in zip(node.parents, node.partials)]
        total = shares[0] if shares else 0.0
        for share in shares[1:]:
            total = join(total, share)
        found[node.name] = start(node) + total
    return found


def tangents(nodes: list[Node], source: str) -> dict:
    """Return the derivative of each node by the source."""
    return forth(nodes, source, lambda a, b: a + b)


exercise(
    "2.4",
    "The forward twin",
    2,
    mistake(
        "no_seed",
        "All is 0: nothing moves.",
        "How fast does the source change with itself?",
        lambda nodes, source: dict.fromkeys([node.name for node in nodes], 0.0),
    ),
    mistake(
        "adjoints",
        "These are adjoints: the derivative of the last node by each.",
        "Asked is the other way round: of each node by one input. Where does the walk start?",
        lambda nodes, source: reverse_sweep(nodes),
    ),
    mistake(
        "all_inputs",
        "All inputs move at once.",
        "Which input moves, and what do the others start with?",
        lambda nodes, source: sweep_forth(nodes, lambda node: float(not node.parents)),
    ),
    mistake(
        "fixed_source",
        "It returns the derivatives by the same node, whatever `source` is.",
        "Where is `source` used?",
        lambda nodes, source: tangents(nodes, "x"),
        lambda nodes, source: tangents(nodes, nodes[0].name),
    ),
    mistake(
        "overwrites",
        "A node with several operands gets the share of one of them only.",
        "What happens to the share of the first operand when the second one comes?",
        lambda nodes, source: forth(nodes, source, lambda a, b: b),
        lambda nodes, source: forth(nodes, source, lambda a, b: a),
    ),
    mistake(
        "product",
        "The shares of a node's operands are multiplied with each other.",
        "If both operands move, are their influences multiplied, or added?",
        lambda nodes, source: forth(nodes, source, lambda a, b: a * b),
    ),
    mistake(
        "missing",
        "Nodes on which the source has no influence are missing: their entry is 0.",
        "How fast does a node change that doesn't depend on the source?",
        lambda nodes, source: {k: v for k, v in tangents(nodes, source).items() if v != 0},
    ),
    mistake(
        "seed_is_value",
        "The source starts with its value.",
        "How fast does a thing change with itself?",
        lambda nodes, source: {
            k: v * next(n.value or 0 for n in nodes if n.name == source)
            for k, v in tangents(nodes, source).items()
        },
    ),
    cases=lambda random: [
        (Program(nodes), node.name)
        for nodes in programs(random)
        for node in nodes
        if not node.parents
    ],
    question="Go along this program on paper, and compare the derivatives one by one.",
    probe=lambda answer, nodes, source: by_node(answer(nodes, source), "the derivative"),
    allowed=("Node", "differentiation", "tape"),
)(tangents)


def forth(nodes: list[Node], source: str, join: Callable) -> dict:
    """Go through the nodes from the source."""
    return sweep_forth(nodes, lambda node: float(node.name == source), join)


# --- 2.5

CHAINS = [[2, 3, 4], [4, 3, 2, 6, 1, 5], [10, 1000, 10, 1000, 10], [5, 7]]
CHAINS += [[1, 1, 3, 1, 1, 2], [1, 1, 3, 5, 2]]  # from the middle; not the smallest product first


def from_ends(sizes: list[int], cost: Callable, skip: int = 1) -> tuple:
    """Count from both ends: `cost` of an end's size and of a Jacobian's two sizes."""
    pairs = list(zip(sizes, sizes[1:]))
    forward = sum(cost(sizes[0], p, q) for p, q in pairs[skip:])
    reverse = sum(cost(sizes[-1], q, p) for p, q in pairs[: len(pairs) - skip])
    return forward, reverse


def greedy(sizes: list[int], first: Callable) -> int:
    """Always make the product that comes first by a rule."""
    left, total = list(sizes), 0
    while len(left) > 2:
        i = min(range(1, len(left) - 1), key=lambda i: first(*left[i - 1 : i + 2]))
        total += left[i - 1] * left[i] * left[i + 1]
        left.pop(i)
    return total


def with_best(best: Callable) -> Callable:
    """Make an answer that is right but for the best order."""
    return lambda sizes: (*multiplications(sizes)[:2], best(sizes))


def multiplications(sizes: list[int]) -> tuple:
    """Count the multiplications from both ends, and in the best order."""
    return *from_ends(sizes, lambda e, p, q: e * p * q), cheapest(tuple(sizes))


exercise(
    "2.5",
    "In which order to multiply",
    3,
    mistake(
        "swapped",
        "Forward and reverse are swapped.",
        "Forward mode starts at the inputs: which of J₁ and J₂ stands on the right of J₂·J₁?",
        lambda sizes: (*multiplications(sizes)[1::-1], multiplications(sizes)[2]),
        lambda sizes: (*multiplications(sizes)[1::-1], min(multiplications(sizes)[:2])),
    ),
    mistake(
        "two_orders",
        "The best order is taken to be the cheaper of forward and reverse.",
        "Look at 10, 1000, 10, 1000, 10: must each product contain the last one?",
        with_best(lambda sizes: min(multiplications(sizes)[:2])),
    ),
    mistake(
        "greedy",
        "The best order is taken to make always the product that looks best now.",
        "Which product is made last, and what do its two factors cost by themselves?",
        with_best(lambda sizes: greedy(sizes, lambda p, q, r: p * q * r)),
        with_best(lambda sizes: greedy(sizes, lambda p, q, r: p * r)),
        with_best(lambda sizes: greedy(sizes, lambda p, q, r: -q)),
    ),
    mistake(
        "counts_first",
        "One product too many is counted from each end.",
        "How many products do two Jacobians need? And one?",
        lambda sizes: (*from_ends(sizes, lambda e, p, q: e * p * q, 0), multiplications(sizes)[2]),
        lambda sizes: (
            *from_ends(sizes, lambda e, p, q: e * p * q, 0),
            min(from_ends(sizes, lambda e, p, q: e * p * q, 0)),
        ),
    ),
    mistake(
        "outer_only",
        "The entries of the products are counted, not the multiplications for them.",
        "A product of p×q and q×r has p·r entries; how much work is each of them?",
        lambda sizes: (*from_ends(sizes, lambda e, p, q: e * q), multiplications(sizes)[2]),
        lambda sizes: (
            *from_ends(sizes, lambda e, p, q: e * q),
            min(from_ends(sizes, lambda e, p, q: e * q)),
        ),
    ),
    cases=lambda random: (
        [(sizes,) for sizes in CHAINS]
        + [(list(map(int, random.integers(1, 30, length))),) for length in (2, 3, 4, 5, 6, 7)]
    ),
    question="Write down the shapes of all products for these sizes.",
    parts=("forward", "reverse", "best"),
    tolerance=1e-9,
)(multiplications)


def cheapest(sizes: tuple[int, ...]) -> int:
    """Count the multiplications of the best order: try every product as the last one."""
    return min(
        (
            cheapest(sizes[: m + 1]) + cheapest(sizes[m:]) + sizes[0] * sizes[m] * sizes[-1]
            for m in range(1, len(sizes) - 1)
        ),
        default=0,
    )


# --- 2.6


def paths(nodes: list[Node], source: str) -> int:
    """Count the paths from a node to the last one."""
    ones = [Node(n.name, "op", n.parents, None, (1.0,) * len(n.parents)) for n in nodes]
    return int(reverse_sweep(ones)[source])


def edges(nodes: list[Node], source: str) -> int:
    """Count how often a node is used."""
    return sum(node.parents.count(source) for node in nodes)


exercise(
    "2.6",
    "Count the paths",
    2,
    mistake(
        "uses",
        "It counts how often the node is used, not the paths to the end.",
        "What happens to a path at a node that is itself used twice?",
        edges,
    ),
    mistake(
        "same_operand",
        "A node that uses the same operand twice counts once: there are two arrows.",
        "How many arrows lead from x to x·x?",
        lambda nodes, source: paths(
            [Node(n.name, "op", tuple(dict.fromkeys(n.parents))) for n in nodes], source
        ),
    ),
    mistake(
        "self",
        "From the last node to itself there is one path, of no arrow.",
        "Which number must the walk start with?",
        lambda nodes, source: 0 if source == nodes[-1].name else paths(nodes, source),
    ),
    mistake(
        "all_ends",
        "Paths that end elsewhere are counted too.",
        "Which node is the end?",
        lambda nodes, source: sum(
            paths(nodes[: i + 1], source)
            for i, n in enumerate(nodes)
            if n.name in ends(nodes) and source in [m.name for m in nodes[: i + 1]]
        ),
    ),
    mistake(
        "derivative",
        "This is the adjoint: each path is weighted with its partial derivatives.",
        "What must stand on each arrow, so that the adjoint counts?",
        lambda nodes, source: reverse_sweep(nodes)[source],
    ),
    cases=lambda random: [
        (Program(nodes), node.name) for nodes in programs(random) for node in nodes
    ],
    question="Draw this program, and follow all arrows from the node with a finger.",
    tolerance=1e-9,
    allowed=("Node",),
)(paths)


# --- 2.7


def first_fault(nodes: list[Node], adjoints: dict) -> str | None:
    """Return the first node of the walk whose adjoint doesn't follow from those of its users."""
    for node in reversed(nodes):
        shares = [
            adjoints[user.name] * partial
            for user in nodes
            for parent, partial in zip(user.parents, user.partials)
            if parent == node.name
        ]
        right = sum(shares) + (node.name == nodes[-1].name)
        if not abs(adjoints[node.name] - right) <= 1e-9:
            return node.name
    return None


def by_own_sweep(nodes: list[Node], adjoints: dict) -> str | None:
    """Return the first node of the walk whose adjoint differs from a right sweep's."""
    right = reverse_sweep(nodes)
    wrong = [n.name for n in reversed(nodes) if not abs(adjoints[n.name] - right[n.name]) <= 1e-9]
    return wrong[0] if wrong else None


def spoilt(random: Random) -> list[tuple]:
    """Make programs with adjoints in which one value is wrong, and is handed on; or none is."""
    found = []
    for nodes in programs(random):
        for place in random.permutation(len(nodes))[:2]:
            adjoints: dict[str, Any] = {node.name: 0.0 for node in nodes} | {nodes[-1].name: 1.0}
            for i in range(len(nodes) - 1, -1, -1):
                node = nodes[i]
                if i == place:
                    adjoints[node.name] = -adjoints[node.name] + 0.5
                for parent, partial in zip(node.parents, node.partials):
                    adjoints[parent] += adjoints[node.name] * partial
            found.append((Program(nodes), adjoints))
        found.append((Program(nodes), reverse_sweep(nodes)))
    return found


def name_or_none(answer: Callable, nodes: list[Node], adjoints: dict) -> dict:
    """Ask for the first fault; "none" stands for None."""
    name = answer(nodes, adjoints)
    if name is not None and not isinstance(name, str):
        raise NotRight("no_name", f"It must return a name or None, not {type(name).__name__}.")
    return {"the first fault": "none" if name is None else name}


exercise(
    "2.7",
    "A test that names the first fault",
    3,
    mistake(
        "last_one",
        "It names the fault that comes last in the walk.",
        "In which direction does the sweep walk, and so which fault came first?",
        lambda nodes, adjoints: (
            by_own_sweep(nodes, adjoints)
            and next(
                n.name
                for n in nodes
                if abs(adjoints[n.name] - reverse_sweep(nodes)[n.name]) > 1e-9
            )
        ),
    ),
    mistake(
        "accepts_all",
        "It never finds a fault.",
        "What does the adjoint of a node have to be equal to?",
        lambda nodes, adjoints: None,
    ),
    mistake(
        "no_seed",
        "The last node is never suspected, or always.",
        "What must its adjoint be?",
        lambda nodes, adjoints: first_fault(nodes, adjoints | {nodes[-1].name: 1.0}),
    ),
    mistake(
        "one_use",
        "A node that is used twice by one other is judged by one of its uses only.",
        "How many arrows lead from x to x·x?",
        lambda nodes, adjoints: first_fault(
            [Node(n.name, "op", *split(*last_place(n))) for n in nodes], adjoints
        ),
    ),
    cases=spoilt,
    question="Walk from the end. Which adjoint doesn't follow from those of its users?",
    probe=name_or_none,
    allowed=("Node",),
)(first_fault)
