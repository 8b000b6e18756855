"""The checks of the exercises of chapter 02."""

import math
import operator
from collections.abc import Callable

import numpy as np

from tapecourse.feedback.core import NotRight, as_numbers, call, exercise, expect, returned
from tapecourse.graph import Node


@exercise(
    "2.1",
    "With y held still, and with y following",
    points=1,
    hints={
        "order": "Right, but in the wrong order: first the partial derivative, then the total.",
        "y_held": "In the total derivative y moves too: what does that add to the partial one?",
        "y_moves": "In the partial derivative y is held still: treat it as a plain number.",
        "no_direct_path": "The total derivative has two parts: x moves z itself, and through y.",
        "inner": "y follows x, but not one to one: how fast does x² change?",
        "partial": "The partial derivative is not right. Put a number in the place of y first.",
        "value": "The total derivative is not right.\n"
        "Write z with x alone, and differentiate that, for comparison.",
    },
)
def partial_and_total(answer: Callable) -> None:
    """x -> ∂z/∂x and dz/dx of z = x·y + y² with y = x²."""
    x = np.array([0.5, -1.2, 2.0])
    found = np.array([as_numbers(call(answer, float(value)), (2,), "the answer") for value in x])
    y = x**2
    partial, through_y = y, (x + 2 * y) * 2 * x
    total = partial + through_y
    pairs = [
        ("order", total, partial),
        ("y_held", partial, partial),
        ("y_moves", total, total),
        ("no_direct_path", partial, through_y),
        ("inner", partial, partial + x + 2 * y),
    ]
    mistakes = [(misconception, np.stack(pair, axis=1)) for misconception, *pair in pairs]
    otherwise = "value" if np.allclose(found[:, 0], partial) else "partial"
    expect(found, np.stack([partial, total], axis=1), mistakes, otherwise)


@exercise(
    "2.2",
    "Both sweeps on paper",
    points=2,
    hints={
        "no_dict": "The answer must be a dict with the adjoints of v4, v3, v2, v1, x2 and x1.",
        "missing": "The adjoint of {name} is missing.",
        "values": "These are the values of the forward sweep. An adjoint says how y reacts to it.",
        "sign": "y = v4 − v3: which sign does v3 get, and hand on to x2?",
        "one_path": "{name} reaches y along two arrows. What comes along the other one?",
        "value": "The adjoint of {name} is not right.\n"
        "Move {name} a little, and let what is computed from it follow: how does y change?",
    },
)
def adjoints(answer: Callable) -> None:
    """(x1, x2) -> dict of adjoints."""
    points = [(2.0, 5.0), (0.7, -1.3)]
    results = [call(answer, *point) for point in points]
    if not all(isinstance(result, dict) for result in results):
        raise NotRight("no_dict")
    x1, x2 = np.array(points).T
    one, log, product, sine = np.ones(2), np.log(x1), x1 * x2, np.sin(x2)
    table = {  # name: right, mistakes
        "v4": (one, [("values", log + product)]),
        "v3": (-one, [("sign", one), ("values", sine)]),
        "v2": (one, [("values", product)]),
        "v1": (one, [("values", log)]),
        "x2": (
            x1 - np.cos(x2),
            [("one_path", x1), ("one_path", -np.cos(x2)), ("sign", x1 + np.cos(x2))],
        ),
        "x1": (x2 + 1 / x1, [("one_path", x2), ("one_path", 1 / x1)]),
    }
    for name, (right, mistakes) in table.items():
        if any(name not in result for result in results):
            raise NotRight("missing", name=name)
        found = [as_numbers(result[name], (), f"the adjoint of {name}") for result in results]
        expect(np.array(found), right, mistakes, name=name)


def chain() -> list[Node]:
    """Return the program y = (3x)² at x = 2."""
    return [
        Node("x", value=2.0),
        Node("e", "triple", ("x",), 6.0, (3.0,)),
        Node("y", "square", ("e",), 36.0, (12.0,)),
    ]


def fan_out() -> list[Node]:
    """Return the program loss = sin(x)·exp(sin(x)) + z·x at x = 0.5, z = 2, and a node aside."""
    s, c = math.sin(0.5), math.cos(0.5)
    e = math.exp(s)
    return [
        Node("x", value=0.5),
        Node("s", "sin", ("x",), s, (c,)),
        Node("e", "exp", ("s",), e, (e,)),
        Node("p", "*", ("s", "e"), e * s, (e, s)),
        Node("z", value=2.0),  # an input may stand anywhere before its use
        Node("q", "*", ("z", "x"), 1.0, (0.5, 2.0)),
        Node("aside", "+", ("s", "q"), s + 1.0, (1.0, 1.0)),
        Node("loss", "+", ("p", "q"), e * s + 1.0, (1.0, 1.0)),
    ]


def twice() -> list[Node]:
    """Return the program y = x to the power of x at x = 2."""
    return [Node("x", value=2.0), Node("y", "**", ("x", "x"), 4.0, (4.0, 4 * math.log(2)))]


def partials_of(node: Node) -> list[float]:
    """Return the partial derivatives of a node; in the programs here they are plain numbers."""
    return [float(partial) for partial in node.partials if partial is not None]


def sweep_back(nodes: list[Node], join: Callable = operator.add) -> dict[str, float]:
    """Return all adjoints; `join` makes one of what a node has got before and what comes."""
    found = {nodes[-1].name: 1.0}
    for node in reversed(nodes):
        bar = found.setdefault(node.name, 0.0)
        for parent, partial in zip(node.parents, partials_of(node)):
            share = bar * partial
            found[parent] = join(found[parent], share) if parent in found else share
    return found


def sweep_forth(nodes: list[Node], sources: tuple[str, ...]) -> dict[str, float]:
    """Return the derivative of each node along the direction in which all sources move."""
    found: dict[str, float] = {}
    for node in nodes:
        found[node.name] = 1.0 if node.name in sources else 0.0
        for parent, partial in zip(node.parents, partials_of(node)):
            found[node.name] += partial * found[parent]
    return found


def read_dict(result: object, names: list[str]) -> np.ndarray:
    """Return the numbers that a dict holds for some nodes, NaN where it has none."""
    result = returned(result)
    if not isinstance(result, dict):
        raise NotRight("no_dict")
    values = [math.nan if result.get(name) is None else result[name] for name in names]
    return np.array([as_numbers(value, (), "an entry of the dict") for value in values])


@exercise(
    "2.3",
    "Repair a reverse sweep",
    points=3,
    hints={
        "no_dict": "The answer must be a dict: name of the node -> its adjoint.",
        "direction": "Even a chain is wrong: a node is visited before its own adjoint is known.\n"
        "Which node's adjoint is known at the start?",
        "overwrites": "A chain is right; a value that is used twice is not.\n"
        "What happens to its first contribution when the second one comes?",
        "incomplete": "A chain is right; a value that is used twice is not.\n"
        "Is an adjoint complete when it is handed on? Is every contribution counted once?",
        "same_operand": "In xˣ one node uses x twice, each time with a partial of its own.",
        "unused": "A node that doesn't lead to the last one has the adjoint 0, and must be there.",
        "seed": "The last node's adjoint is 1: how much does a thing change with itself?",
        "value": "For y = (3x)² at x = 2 it is not right. Do the sweep on paper, and compare.",
    },
)
def reverse_sweep(answer: Callable) -> None:
    """Nodes -> dict of adjoints."""
    found = read_dict(call(answer, chain()), ["x", "e", "y"])
    forwards = "direction", [0.0, 12.0, 1.0]
    mistakes = [forwards, ("seed", [0.0, 0.0, 0.0]), ("seed", [np.nan, np.nan, np.nan])]
    mistakes += [("seed", [36.0, 12.0, np.nan]), ("seed", [36.0, 12.0, 0.0])]
    expect(found, [36.0, 12.0, 1.0], mistakes)

    result = call(answer, fan_out())
    right = sweep_back(fan_out())
    names = [node.name for node in fan_out() if node.name != "aside"]
    overwritten = [
        sweep_back(fan_out(), lambda before, share: share),
        sweep_back(fan_out(), lambda before, share: before),
    ]
    mistakes = [("overwrites", [wrong[name] for name in names]) for wrong in overwritten]
    found = read_dict(result, names)
    expect(found[-1], 1.0, otherwise="seed")
    expect(found, [right[name] for name in names], mistakes, "incomplete")
    expect(read_dict(result, ["aside"]), [0.0], otherwise="unused")
    both = [sum(partials_of(twice()[-1]))]
    expect(read_dict(call(answer, twice()), ["x"]), both, otherwise="same_operand")


@exercise(
    "2.4",
    "The forward twin",
    points=2,
    hints={
        "no_dict": "The answer must be a dict: name of the node -> its derivative by the source.",
        "no_seed": "All is 0: how fast does the source change with itself?",
        "adjoints": "These are adjoints: the derivative of the last node by each.\n"
        "Asked is the other way round: of each node by one input.",
        "all_inputs": "All inputs move at once here; only the source shall.",
        "fixed_source": "Asked for the derivatives by z, it returns those by x.",
        "overwrites": "A chain is right. A node with two operands gets a share from each of them.",
        "missing": "There must be an entry for every node, 0 where the source has no influence.",
        "value": "For y = (3x)² at x = 2 it is not right. Go along it on paper, and compare.",
    },
)
def tangents(answer: Callable) -> None:
    """(nodes, source) -> dict of derivatives by the source."""
    found = read_dict(call(answer, chain(), "x"), ["x", "e", "y"])
    mistakes = [("no_seed", [0.0, 0.0, 0.0]), ("adjoints", [36.0, 12.0, 1.0])]
    expect(found, [1.0, 3.0, 36.0], mistakes)
    for source in ("x", "z"):
        right = sweep_forth(fan_out(), (source,))
        found = read_dict(call(answer, fan_out(), source), list(right))
        if np.isnan(found).any():
            raise NotRight("missing")
        together = list(sweep_forth(fan_out(), ("x", "z")).values())
        by_x = list(sweep_forth(fan_out(), ("x",)).values())
        mistakes = [("all_inputs", together), ("fixed_source", by_x)]
        expect(found, list(right.values()), mistakes, "overwrites")
    both = [sum(partials_of(twice()[-1]))]
    expect(read_dict(call(answer, twice(), "x"), ["y"]), both, otherwise="overwrites")


CHAINS = [
    [2, 3, 4],
    [4, 3, 2, 6, 1, 5],
    [10, 1000, 10, 1000, 10],
    [1, 1, 3, 1, 1, 2],  # at best J₃·J₂ first: from the middle
    [1, 1, 3, 5, 2],  # not by always making the smallest matrix
    [5, 7],
]


@exercise(
    "2.5",
    "In which order to multiply",
    points=3,
    hints={
        "swapped": "Forward and reverse are swapped: forward mode starts with J₂·J₁.",
        "two_orders": "Forward and reverse are right.\n"
        "For the best, look at 10, 1000, 10, 1000, 10: must each product contain the last one?",
        "counts_first": "One Jacobian alone needs no multiplication. Count the products.",
        "outer_only": "A product of p×q and q×r has p·r entries; how much work is each of them?",
        "best": "Forward and reverse are right, but the best is not: {got} for {sizes}.\n"
        "Which product is made last, and what do its two factors cost by themselves?",
        "value": "The {which} count is not right for {sizes}. Write down each product's shapes.",
    },
)
def multiplications(answer: Callable) -> None:
    """Sizes -> multiplications forward, reverse, best."""
    for place, sizes in enumerate(CHAINS):
        found = as_numbers(call(answer, sizes), (3,), "the answer")
        forward, reverse, best = count_multiplications(sizes)
        n0, nk = sizes[0], sizes[-1]
        pairs = list(zip(sizes, sizes[1:]))
        cheaper = min(forward, reverse)
        mistakes = [("swapped", (reverse, forward, last)) for last in (best, cheaper)]
        if place < 3:  # who takes the cheaper of the two has failed by then
            mistakes.insert(0, ("two_orders", (forward, reverse, cheaper)))  # where both are equal
        is_right = found[:2] == (forward, reverse)
        with_first = [sum(end * p * q for p, q in pairs) for end in (n0, nk)]
        if not is_right.all() and np.allclose(found[:2], with_first):
            raise NotRight("counts_first")
        entries = n0 * sum(sizes[2:]), nk * sum(sizes[:-2])
        if not is_right.all() and np.allclose(found[:2], entries):
            raise NotRight("outer_only")
        details = {
            "which": "forward" if not is_right[0] else "reverse",
            "sizes": sizes,
            "got": int(found[2]),
        }
        otherwise = "best" if is_right.all() else "value"
        expect(found, (forward, reverse, best), mistakes, otherwise, tolerance=1e-9, **details)


def count_multiplications(sizes: list[int]) -> tuple[int, int, int]:
    """Count the multiplications of a chain of Jacobians, from both ends and at best."""
    pairs = list(zip(sizes, sizes[1:]))
    forward = sum(sizes[0] * p * q for p, q in pairs[1:])
    reverse = sum(p * q * sizes[-1] for p, q in pairs[:-1])
    return forward, reverse, cheapest(tuple(sizes))


def cheapest(sizes: tuple[int, ...]) -> int:
    """Count the multiplications of the best order: try every product as the last one."""
    if len(sizes) == 2:
        return 0
    return min(
        cheapest(sizes[: m + 1]) + cheapest(sizes[m:]) + sizes[0] * sizes[m] * sizes[-1]
        for m in range(1, len(sizes) - 1)
    )
