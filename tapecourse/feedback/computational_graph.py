"""The checks of the exercises of chapter 02."""

import itertools
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
        "What is the derivative of x·c + c² with respect to x, if c is a plain number?",
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
    mistake(
        "one_term",
        "y follows x in one of its two terms only.",
        "In which of its terms does y stand?",
        lambda x: (x**2, 3 * x**2),
        lambda x: (x**2, partial_and_total(x)[1] - 2 * x**2),
    ),
    mistake(
        "other_partial",
        "this is ∂z/∂y.",
        "Which of the two moves, and which is held still?",
        lambda x: (x + 2 * own_number("2.1") * x**2, partial_and_total(x)[1]),
    ),
    mistake(
        "by_y",
        "y² is differentiated, too, though y is held still.",
        "What is the derivative of x·c + c² with respect to x, if c is a plain number?",
        lambda x: (x**2 + 2 * own_number("2.1") * x**2, partial_and_total(x)[1]),
        lambda x: (partial_and_total(x)[1] - 2 * x**2, partial_and_total(x)[1]),
    ),
    mistake(
        "slope_of_y",
        "this is dy/dx, how fast y moves.",
        "How fast does z move, if y doesn't?",
        lambda x: (2 * x, partial_and_total(x)[1]),
    ),
    mistake(
        "subtracted",
        "the two ways are subtracted from each other.",
        "x moves z along two ways: what do they do together?",
        lambda x: (x**2, 2 * x**2 - partial_and_total(x)[1]),
    ),
    mistake(
        "value_of_z",
        "this is z itself.",
        "How much does z change, if x grows by a little?",
        lambda x: (x**2, x**3 + own_number("2.1") * x**4),
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
    mistake(
        "own_factor",
        "in the product x1·x2 it hands itself back, and the other factor belongs there.",
        "If x1 grows by a little, by how many times as much does x1·x2 grow?",
        but(
            x1=lambda x1, x2: own_number("2.2") * x1 + 1 / x1,
            x2=lambda x1, x2: own_number("2.2") * x2 - math.cos(x2),
        ),
    ),
    mistake(
        "slope",
        "the derivative of the logarithm or of the sine is wrong.",
        "What are the derivatives of ln and sin?",
        but(
            x1=lambda x1, x2: own_number("2.2") * x2 + math.log(x1),
            x2=lambda x1, x2: own_number("2.2") * x1 - math.sin(x2),
        ),
        but(
            x1=lambda x1, x2: own_number("2.2") * x2 + x1,
            x2=lambda x1, x2: own_number("2.2") * x1 + math.sin(x2),
        ),
    ),
    mistake(
        "local",
        "this is how the node reacts to an operand, not how y reacts to the node.",
        "If the node itself grows by a little, by how much does y grow?",
        but(
            v3=lambda x1, x2: math.cos(x2),
            v2=lambda x1, x2: own_number("2.2") * x2,
            v1=lambda x1, x2: 1 / x1,
        ),
        but(v2=lambda x1, x2: own_number("2.2") * x1),
    ),
    mistake(
        "multiplied",
        "what comes back along two arrows is multiplied.",
        "It moves y along two ways: what do they do together?",
        but(
            x1=lambda x1, x2: own_number("2.2") * x2 / x1,
            x2=lambda x1, x2: -own_number("2.2") * x1 * math.cos(x2),
        ),
    ),
    cases=lambda random: (
        [(2.0, 5.0)] + [(float(random.uniform(0.3, 3)), signed(random, 0.3, 3)) for _ in range(7)]
    ),
    question="Move it a little, let what is computed from it follow: how does y change?",
    probe=lambda answer, x1, x2: named_adjoints(answer(x1, x2)),
    allowed=("differentiation", "tape"),
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


def by_recursion(nodes: list[Node], once: bool) -> dict:
    """Go from the last node along one arrow to its end, then along the next."""
    known, seen = {node.name: node for node in nodes}, set()
    found: dict[str, Any] = {node.name: 0.0 for node in nodes} | {nodes[-1].name: 1.0}

    def visit(node: Node) -> None:
        if not (once and node.name in seen):
            seen.add(node.name)
            for parent, partial in zip(node.parents, node.partials):
                found[parent] += found[node.name] * partial
                visit(known[parent])

    visit(nodes[-1])
    return found


def back(nodes: list[Node], share: Callable, stop: Callable = lambda node, bar: False) -> dict:
    """Go back; `share` makes what is added of the adjoint and the partial, `stop` ends it."""
    found: dict[str, Any] = {node.name: 0.0 for node in nodes} | {nodes[-1].name: 1.0}
    for node in reversed(nodes):
        if stop(node, found[node.name]):
            break
        for parent, partial in zip(node.parents, node.partials):
            found[parent] += share(found[node.name], partial)
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
        lambda nodes: by_recursion(nodes, once=False),
        lambda nodes: by_recursion(nodes, once=True),
    ),
    mistake(
        "same_operand",
        "A node that has the same operand twice is wrong; all else is right.",
        "In xˣ one node uses x twice. Which partial does each of the two places have?",
        lambda nodes: by_operand(nodes, first_place),
        lambda nodes: by_operand(nodes, last_place),
    ),
    mistake(
        "one_operand",
        "Of the operands of a node only the first, or only the last, gets its share.",
        "How many pairs of a parent and a partial does a node hold?",
        lambda nodes: by_operand(nodes, lambda n: (n.parents[:1], n.partials[:1])),
        lambda nodes: by_operand(nodes, lambda n: (n.parents[-1:], n.partials[-1:])),
    ),
    mistake(
        "added",
        "The partial derivative is added to the adjoint, or stands alone: no product of the two.",
        "If the result changes twice as fast with a node, what becomes of its operands' adjoints?",
        lambda nodes: back(nodes, lambda bar, partial: bar + partial),
        lambda nodes: back(nodes, lambda bar, partial: partial),
    ),
    mistake(
        "stops",
        "It stops too early: at an input, or at a node that the result doesn't depend on.",
        "May nodes that matter stand before such a node?",
        lambda nodes: back(nodes, lambda bar, partial: bar * partial, lambda node, bar: bar == 0),
        lambda nodes: back(
            nodes, lambda bar, partial: bar * partial, lambda node, bar: not node.parents
        ),
    ),
    mistake(
        "seed_everywhere",
        "All nodes start with the adjoint 1, not only the last one.",
        "How much does the result change with a node before any arrow is walked?",
        lambda nodes: sweep(nodes, lambda a, b: a + b, lambda nodes: {n.name: 1.0 for n in nodes}),
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
        lambda nodes: sweep(nodes, lambda a, b: a + b, lambda nodes: {nodes[0].name: 1.0}),
        lambda nodes: dict.fromkeys([node.name for node in nodes], 0.0),
        lambda nodes: {k: v * (nodes[-1].value or 0) for k, v in reverse_sweep(nodes).items()},
    ),
    mistake(
        "last_missing",
        "All is right but the entry of the last node: it is missing, or 0.",
        "How much does a thing change with itself?",
        lambda nodes: {k: v for k, v in reverse_sweep(nodes).items() if k != nodes[-1].name},
        lambda nodes: reverse_sweep(nodes) | {nodes[-1].name: 0.0},
    ),
    cases=lambda random: [(Program(nodes),) for nodes in programs(random)],
    question="Do the sweep on paper for this program, and compare the adjoints one by one.",
    probe=lambda answer, nodes: by_node(answer(nodes), "the adjoint"),
    allowed=("differentiation", "tape"),
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
    """Return the derivative of each node with respect to the source."""
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
        "These are adjoints: the derivatives of the last node.",
        "You need those of each node, with respect to one input. Where does that walk start?",
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
        "It returns the derivatives with respect to the same node, whatever `source` is.",
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
        "same_operand",
        "A node that has the same operand twice gets one of the two shares only.",
        "In x·x one node uses x twice. Which partial does each of the two places have?",
        lambda nodes, source: tangents(
            [Node(n.name, "op", *split(*last_place(n))) for n in nodes], source
        ),
    ),
    mistake(
        "no_chain",
        "Only nodes that use the source itself are right: further on nothing arrives.",
        "Which of two nodes is visited first? And by what is a partial derivative multiplied?",
        lambda nodes, source: forth_in(nodes[::-1], source),
        lambda nodes, source: {
            n.name: sum(d for p, d in zip(n.parents, n.partials) if p == source)
            + float(n.name == source)
            for n in nodes
        },
    ),
    mistake(
        "added",
        "The partial derivative and the operand's own derivative are added, not multiplied.",
        "If an operand moves twice as fast, how fast does the node move?",
        lambda nodes, source: forth_in(nodes, source, lambda dot, partial: dot + partial),
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
    allowed=("differentiation", "tape"),
)(tangents)


def forth(nodes: list[Node], source: str, join: Callable) -> dict:
    """Go through the nodes from the source."""
    return sweep_forth(nodes, lambda node: float(node.name == source), join)


def forth_in(
    order: list[Node], source: str, share: Callable = lambda dot, partial: dot * partial
) -> dict:
    """Go through the nodes in an order."""
    found = {node.name: float(node.name == source) for node in order}
    for node in order:
        for parent, partial in zip(node.parents, node.partials):
            found[node.name] += share(found[parent], partial)
    return found


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
        "It always makes the product that looks best at the moment: together they may cost more.",
        "Which product is made last, and what do its two factors cost by themselves?",
        with_best(lambda sizes: greedy(sizes, lambda p, q, r: p * q * r)),
        with_best(lambda sizes: greedy(sizes, lambda p, q, r: p * r)),
        with_best(lambda sizes: greedy(sizes, lambda p, q, r: -q)),
    ),
    mistake(
        "one_split",
        "Only orders are tried that grow from one place, or meet at one.",
        "May a part of the chain be split as the whole is?",
        with_best(lambda sizes: split_once(sizes, lambda left, right: (left[0], right[1]))),
        with_best(lambda sizes: split_once(sizes, lambda left, right: (min(left), min(right)))),
        with_best(
            lambda sizes: min(
                min(multiplications(sizes)[:2]),
                split_once(sizes, lambda left, right: (left[0], right[1])),
            )
        ),
    ),
    mistake(
        "no_product",
        "For one Jacobian alone something is multiplied.",
        "How many products does a single Jacobian need?",
        lambda sizes: multiplications(sizes) if len(sizes) > 2 else (sizes[0] * sizes[1],) * 3,
    ),
    mistake(
        "neighbours",
        "Each product is counted as if it were one of two neighbouring Jacobians.",
        "After the first product, how many columns, or rows, does the result have?",
        lambda sizes: (*(neighbouring(sizes),) * 2, multiplications(sizes)[2]),
        lambda sizes: (neighbouring(sizes),) * 3,
    ),
    mistake(
        "end_forgotten",
        "The entries of the Jacobians are counted: the size of the end is no factor.",
        "A Jacobian is multiplied by a matrix: how many columns, or rows, does that one have?",
        lambda sizes: (*from_ends(sizes, lambda e, p, q: p * q), multiplications(sizes)[2]),
        lambda sizes: (
            from_ends(sizes, lambda e, p, q: p * q)[0],
            *multiplications(sizes)[1:],
        ),
        lambda sizes: (sum(p * q for p, q in zip(sizes, sizes[1:])),) * 3,
    ),
    mistake(
        "dearest",
        "The dearer of forward and reverse is taken for the best.",
        "Does best mean the most multiplications, or the fewest?",
        with_best(lambda sizes: max(multiplications(sizes)[:2])),
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


def neighbouring(sizes: list[int]) -> int:
    """Count the products of neighbouring Jacobians."""
    return sum(p * q * r for p, q, r in zip(sizes, sizes[1:], sizes[2:]))


def split_once(sizes: list[int], parts: Callable) -> int:
    """Count for the best place to split; `parts` takes (forward, reverse) of both sides."""
    return min(
        (
            sum(parts(multiplications(sizes[: m + 1])[:2], multiplications(sizes[m:])[:2]))
            + sizes[0] * sizes[m] * sizes[-1]
            for m in range(1, len(sizes) - 1)
        ),
        default=0,
    )


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
    mistake(
        "one_for_many",
        "It is 1 wherever there is a path: it tells whether there is one, not how many.",
        "What must be added, where two arrows meet?",
        lambda nodes, source: int(paths(nodes, source) > 0),
    ),
    mistake(
        "nodes",
        "It counts nodes that are reached, not paths.",
        "In x, v = x·x, y = v + x: which three paths lead from x to y?",
        lambda nodes, source: len(reached(nodes, source)) - 1,
        lambda nodes, source: len(reached(nodes, source)),
    ),
    mistake(
        "arrows",
        "It counts the arrows along the paths, not the paths.",
        "What does each path count, however long it is?",
        lambda nodes, source: arrows(nodes, source, sum),
        lambda nodes, source: arrows(nodes, source, lambda ways: max(ways, default=0)),
    ),
    mistake(
        "inputs_alone",
        "It is right for inputs, and not for other nodes.",
        "May a path start in the middle of the program?",
        lambda nodes, source: paths(nodes, source) if not by_name(nodes)[source].parents else 0,
    ),
    mistake(
        "all_inputs",
        "Paths that start at other inputs are counted too.",
        "Which node alone starts with the number 1?",
        lambda nodes, source: sum(paths(nodes, n.name) for n in nodes if not n.parents),
    ),
    mistake(
        "multiplied",
        "The numbers of paths that meet in a node are multiplied.",
        "If 2 paths lead to one operand and 3 to the other, how many lead to the node?",
        lambda nodes, source: products(nodes, source, 1),
        lambda nodes, source: products(nodes, source, 0),
    ),
    cases=lambda random: [
        (Program(nodes), node.name) for nodes in programs(random) for node in nodes
    ],
    question="Draw this program, and follow all arrows from the node with a finger.",
    tolerance=1e-9,
)(paths)


def by_name(nodes: list[Node]) -> dict[str, Node]:
    """Return the nodes by their names."""
    return {node.name: node for node in nodes}


def reached(nodes: list[Node], source: str) -> set[str]:
    """Return the names of all nodes that depend on one, and its own."""
    found = {source}
    for node in nodes:
        found |= {node.name} if found & set(node.parents) else set()
    return found


def arrows(nodes: list[Node], source: str, join: Callable) -> int:
    """Count the arrows of all ways on from a node, as a sum or as the longest way."""
    ways = [1 + arrows(nodes, n.name, join) for n in nodes for p in n.parents if p == source]
    return join(ways)


def products(nodes: list[Node], source: str, start: int) -> int:
    """Go through the nodes, and multiply; other inputs start with a number."""
    found: dict[str, int] = {}
    for n in nodes:
        first = 1 if n.name == source or n.parents else start
        found[n.name] = math.prod([found[p] for p in n.parents if n.name != source], start=first)
    return found[nodes[-1].name]


# --- 2.7


def first_fault(nodes: list[Node], adjoints: dict) -> str | None:
    """Return the first node of the walk whose adjoint doesn't follow from those of its users."""
    return fault_by(nodes, adjoints)


def fault_by(
    nodes: list[Node],
    adjoints: dict,
    differ: Callable = lambda found, right: not abs(found - right) <= 1e-9,
    order: Callable = lambda nodes: nodes[::-1],
    uses: Callable = sum,
) -> str | None:
    """Look for a fault in an order; `differ` compares, `uses` joins what users hand back."""
    for node in order(nodes):
        shares = [
            adjoints[user.name] * partial
            for user in nodes
            for parent, partial in zip(user.parents, user.partials)
            if parent == node.name
        ]
        right = (uses(shares) if shares else 0.0) + (node.name == nodes[-1].name)
        if differ(adjoints[node.name], right):
            return node.name
    return None


def by_own_sweep(
    nodes: list[Node],
    adjoints: dict,
    differ: Callable = lambda found, right: not abs(found - right) <= 1e-9,
) -> list[str]:
    """Return the nodes, from the end, whose adjoint differs from a right sweep's."""
    right = reverse_sweep(nodes)
    return [n.name for n in reversed(nodes) if differ(adjoints[n.name], right[n.name])]


def by_both(differ: Callable) -> list[Callable]:
    """Make tests with a comparison of their own: with the users' adjoints, or a right sweep's."""

    def by_sweep(nodes: list[Node], adjoints: dict) -> str | None:
        return next(iter(by_own_sweep(nodes, adjoints, differ)), None)

    return [lambda nodes, adjoints: fault_by(nodes, adjoints, differ), by_sweep]


def spoilt(random: Random) -> list[tuple]:
    """Make programs with adjoints in which one value is wrong, and is handed on; or none is.

    Wrong is a value, a sign, or a little; what isn't wrong is so up to its last digits.
    """
    found = []
    kinds = itertools.cycle(WRONG_BY)
    for nodes in programs(random):
        for place, kind in zip(random.permutation(len(nodes))[:2], kinds):
            adjoints: dict[str, Any] = {node.name: 0.0 for node in nodes} | {nodes[-1].name: 1.0}
            for i in range(len(nodes) - 1, -1, -1):
                node = nodes[i]
                if i == place:
                    adjoints[node.name] = kind(adjoints[node.name])
                for parent, partial in zip(node.parents, node.partials):
                    adjoints[parent] += adjoints[node.name] * partial
            found.append((Program(nodes), adjoints))
        right = reverse_sweep(nodes)
        last = right.pop(nodes[-1].name)
        found.append(
            (
                Program(nodes),
                {k: v * (1 + 4e-16) for k, v in right.items()} | {nodes[-1].name: last},
            )
        )
    return found


WRONG_BY: list[Callable[[float], float]] = [
    lambda right: 0.5 - right,
    lambda right: -right or 0.5,
    lambda right: right * 1.002 or 0.002,
]


def name_or_none(answer: Callable, nodes: list[Node], adjoints: dict) -> dict:
    """Ask for the first fault; "none" stands for None."""
    name = answer(nodes, adjoints)
    if name is not None and not isinstance(name, str):
        raise NotRight("no_name", f"It must return a name or None, not {type(name).__name__}.")
    return {"the first fault": "none" if name is None else name or "an empty text"}


exercise(
    "2.7",
    "A test that names the first fault",
    3,
    mistake(
        "last_one",
        "It names the fault that comes last in the walk.",
        "In which direction does the sweep walk, and so which fault came first?",
        lambda nodes, adjoints: next(iter(by_own_sweep(nodes, adjoints)[::-1]), None),
    ),
    mistake(
        "signs",
        "A wrong sign is overlooked.",
        "Do you compare the numbers, or only their sizes?",
        *by_both(lambda a, b: abs(abs(a) - abs(b)) > 1e-9),
    ),
    mistake(
        "one_side",
        "Adjoints that are too large, or those that are too small, pass unseen.",
        "What about a difference that is negative?",
        *by_both(lambda a, b: a - b > 1e-9),
        *by_both(lambda a, b: b - a > 1e-9),
    ),
    mistake(
        "tolerance",
        "A fault of 0.2 % passes unseen.",
        "How large can round-off be, and how large is what you let pass?",
        *[
            answer
            for size in (0.01, 0.05, 0.1, 0.5, 1.0)
            for answer in (
                *by_both(lambda a, b, size=size: abs(a - b) > size),
                *by_both(lambda a, b, size=size: abs(a - b) > size * max(0.01, abs(b))),
            )
        ],
        *by_both(lambda a, b: round(a, 2) != round(b, 2)),
        *by_both(lambda a, b: round(a, 1) != round(b, 1)),
        *by_both(lambda a, b: round(a) != round(b)),
    ),
    mistake(
        "round_off",
        "It finds faults where only the last digit differs.",
        "Does `==` let round-off pass?",
        *by_both(lambda a, b: a != b),
    ),
    mistake(
        "no_inputs",
        "Inputs are never suspected, or they alone are.",
        "Which nodes have an adjoint?",
        lambda nodes, adjoints: fault_by(
            nodes, adjoints, order=lambda nodes: [n for n in nodes[::-1] if n.parents]
        ),
        lambda nodes, adjoints: next(
            (n for n in by_own_sweep(nodes, adjoints) if not by_name(nodes)[n].parents), None
        ),
    ),
    mistake(
        "largest",
        "It names the node whose adjoint is off most, not the first that is off.",
        "What becomes of a fault on its way through large partial derivatives?",
        lambda nodes, adjoints: max(
            by_own_sweep(nodes, adjoints)[::-1],
            key=lambda n: abs(adjoints[n] - reverse_sweep(nodes)[n]),
            default=None,
        ),
    ),
    mistake(
        "overwrites",
        "A node that several others use is judged by one of them only.",
        "What is the adjoint of a node that is used twice?",
        lambda nodes, adjoints: fault_by(nodes, adjoints, uses=lambda shares: shares[-1]),
        lambda nodes, adjoints: fault_by(nodes, adjoints, uses=lambda shares: shares[0]),
        lambda nodes, adjoints: next(
            (
                n.name
                for n in nodes[::-1]
                if abs(adjoints[n.name] - sweep(nodes, lambda a, b: b)[n.name]) > 1e-9
            ),
            None,
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
)(first_fault)
