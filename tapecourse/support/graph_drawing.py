"""Draws a computational graph: nodes in layers, values in boxes, derivatives on arrows.

networkx sorts the nodes into layers. An edge that skips layers gets a bend in each, so that it
passes between the boxes; each layer is then sorted so that its nodes are near their neighbours,
which leaves few crossings.
"""

import itertools
from collections.abc import Collection, Sequence
from functools import cache
from typing import Any, NamedTuple, Protocol

import matplotlib.pyplot as plt
import networkx as nx
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path
from matplotlib.textpath import TextPath

from tapecourse.support.errors import GraphError

__all__ = [
    "HEIGHT",
    "GraphNode",
    "Layout",
    "bezier",
    "draw_graph",
    "expression_of",
    "lay_out",
    "node_lines",
    "place_label",
    "require_graph",
    "show_value",
    "table_of",
]

HEIGHT = 0.7  # of a box, in inches, as all lengths below


class GraphNode(Protocol):
    """What is drawn: the `Node` that chapter 02 teaches, or anything with its attributes."""

    name: str
    operation: str  # empty for an input
    parents: tuple[str, ...]  # the names of the operands, in order
    value: float | np.ndarray | None
    partials: tuple[float | np.ndarray | None, ...]  # of the value, one for each operand
    adjoint: float | np.ndarray | None


def require_graph(nodes: Sequence[GraphNode], highlight: Collection[str]) -> None:
    """Refuse what can't be drawn.

    Raises
    ------
    GraphError
        There are no nodes, two have one name, an operand is not among the nodes before, partials
        are missing, or a highlighted node doesn't exist.
    """
    if not nodes:
        raise GraphError("there are no nodes to draw.")
    known: set[str] = set()
    for node in nodes:
        for parent in node.parents:
            if parent not in known:
                problem = f"node {node.name!r} uses {parent!r}"
                raise GraphError(f"{problem}, which is not among the nodes before it.")
        if node.partials and len(node.partials) != len(node.parents):
            counts = f"{len(node.parents)} operands and {len(node.partials)} partial derivatives"
            raise GraphError(f"node {node.name!r} has {counts}.")
        if node.name in known:
            raise GraphError(f"two nodes are called {node.name!r}.")
        known.add(node.name)
    for name in highlight:
        if name not in known:
            raise GraphError(f"no node to highlight is called {name!r}.")


def arrange(nodes: Sequence[GraphNode]) -> tuple[dict, dict, list]:
    """Find the place of each node.

    Returns
    -------
    places : dict
        (layer, slot) of each node and of each bend of an edge.
    routes : dict
        For each pair of operand and node the places that the edge runs through, by name.
    layers : list of lists of names
    """
    graph = nx.DiGraph()
    graph.add_nodes_from(node.name for node in nodes)
    graph.add_edges_from((parent, node.name) for node in nodes for parent in node.parents)
    layer = {}
    for depth, names in enumerate(nx.topological_generations(graph)):
        layer |= dict.fromkeys(names, depth)
    for name in graph:  # an input stands just before its first use
        if graph.in_degree(name) == 0 and graph.out_degree(name) > 0:
            layer[name] = min(layer[child] for child in graph[name]) - 1
    routes = {}
    for start, end in list(graph.edges):
        bends = [(start, end, depth) for depth in range(layer[start] + 1, layer[end])]
        layer |= {bend: bend[-1] for bend in bends}
        routes[start, end] = [start, *bends, end]
        graph.remove_edge(start, end)
        nx.add_path(graph, routes[start, end])
    layers = sort_layers(graph, layer)
    places = {}
    for depth, names in enumerate(layers):
        room = np.array([0.5 if isinstance(name, tuple) else 1.0 for name in names])  # bends: half
        slots = np.cumsum(room) - room / 2 - room.sum() / 2  # the layer is centred
        places |= {name: (depth, slot) for name, slot in zip(names, slots)}
    return places, routes, layers


def sort_layers(graph: nx.DiGraph, layer: dict) -> list[list]:
    """Sort each layer by the mean slot of its neighbours, back and forth."""
    layers = [[name for name in graph if layer[name] == i] for i in range(max(layer.values()) + 1)]
    slot = {name: i - len(names) / 2 for names in layers for i, name in enumerate(names)}
    tried = []
    for sweep in range(24):
        forward = sweep % 2 == 0
        neighbours = graph.predecessors if forward else graph.successors
        for names in layers if forward else reversed(layers):
            pull = {n: np.mean([slot[m] for m in neighbours(n)] or [slot[n]]) for n in names}
            names.sort(key=pull.__getitem__)
            slot |= {name: i - len(names) / 2 for i, name in enumerate(names)}
        tried.append((crossings(graph, layer, slot), [list(names) for names in layers]))
    return min(tried, key=lambda pair: pair[0])[1]


def crossings(graph: nx.DiGraph, layer: dict, slot: dict) -> int:
    """Count the pairs of edges between the same two layers that cross."""
    pairs = itertools.combinations(graph.edges, 2)
    return sum(
        layer[a] == layer[c] and (slot[a] - slot[c]) * (slot[b] - slot[d]) < 0
        for (a, b), (c, d) in pairs
    )


def show_value(value: float | np.ndarray | None) -> str:
    """Write a number or a short vector; of a larger array only the shape."""
    if value is None:
        return ""
    array = np.asarray(value)
    if array.ndim == 0:
        number = float(array) + 0.0  # which makes -0.0 plain
        digits = ".0f" if 1000 <= abs(number) < 1e6 else ".3g"
        return f"{number:{digits}}".replace("-", "−")
    if array.ndim == 1 and array.size <= 4:
        return "[" + ", ".join(map(show_value, array)) + "]"
    return "shape " + "×".join(map(str, array.shape))


@cache
def text_width(text: str, size: float = 10, weight: str = "normal") -> float:
    """Measure a text in inches."""
    if not text.strip():
        return 0.0
    path = TextPath((0, 0), text, prop=FontProperties(size=size, weight=weight))
    return 1.08 * path.get_extents().width / 72  # on the screen each letter takes whole pixels


def expression_of(operation: str, operands: Sequence[str]) -> str:
    """Write an operation as a formula: a + b, or exp(a)."""
    if len(operation) == 1 and len(operands) == 2:
        return f"{operands[0]} {operation} {operands[1]}"
    return f"{operation}({', '.join(operands)})"


def node_lines(node: GraphNode) -> list[str]:
    """Write what stands in a node's box: expression, value, adjoint."""
    expression = node.name
    if node.operation:
        expression = f"{node.name} = {expression_of(node.operation, node.parents)}"
    adjoint = "" if node.adjoint is None else f"adjoint {show_value(node.adjoint)}"
    return [expression, show_value(node.value), adjoint]


def table_of(nodes: Sequence[GraphNode]) -> pd.DataFrame:
    """Write a row for each node: operation, value, and the partial derivative for each operand."""
    rows = {}
    for node in nodes:
        partials = [
            f"∂{node.name}/∂{parent} = {show_value(partial)}"
            for parent, partial in zip(node.parents, node.partials)
        ]
        operation = f"{node.operation} of {', '.join(node.parents)}" if node.parents else "input"
        rows[node.name] = operation, show_value(node.value), ",  ".join(partials)
    columns = ["operation", "value", "local partial derivatives"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def draw_node(axis: Axes, node: GraphNode, center: np.ndarray, size: tuple, marked: bool) -> None:
    """Draw a node's box with its texts."""
    edge = dict(ec="#D55E00", lw=2.2) if marked else dict(ec="0.35", lw=1)
    face = "#EAF3FA" if not node.operation else "white"
    style = "round,pad=0,rounding_size=0.08"
    left, bottom = center - np.array(size) / 2
    box = FancyBboxPatch((left, bottom), *size, boxstyle=style, fc=face, zorder=2, **edge)
    axis.add_patch(box)
    looks = [{"weight": "bold"}, {}, {"color": "#B34700"}]
    lines = [(text, look) for text, look in zip(node_lines(node), looks) if text]
    for i, (text, look) in enumerate(lines):
        y = center[1] + 0.2 * ((len(lines) - 1) / 2 - i)
        axis.text(center[0], y, text, ha="center", va="center", fontsize=10, zorder=3, **look)


def bezier(stops: Sequence[np.ndarray], along: np.ndarray) -> np.ndarray:
    """Return the corners of a smooth curve through the stops: 1, and 3 for each piece."""
    vertices = [stops[0]]
    for start, end in itertools.pairwise(stops):
        reach = (end - start) @ along / 2 * along
        vertices += [start + reach, end - reach, end]
    return np.array(vertices)


def draw_edge(axis: Axes, vertices: np.ndarray) -> None:
    """Draw a smooth arrow."""
    codes = [Path.MOVETO, *(len(vertices) - 1) * [Path.CURVE4]]
    look: dict[str, Any] = dict(arrowstyle="-|>", mutation_scale=12, color="0.35", lw=1.1)
    path = Path(vertices, codes)
    axis.add_patch(FancyArrowPatch(path=path, shrinkA=0, shrinkB=0, zorder=1, **look))


def place_label(curve: np.ndarray, text: str, taken: list) -> np.ndarray:
    """Find a place on the last piece of a curve where no label is yet; add it to `taken`."""
    size = np.array([text_width(text, size=9) + 0.06, 0.18])

    def point(t: float) -> np.ndarray:
        return (
            np.array([(1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t**2, t**3]) @ curve[-4:]
        )

    def overlap(place: np.ndarray) -> float:
        return sum(np.prod(np.maximum((size + s) / 2 - abs(place - p), 0)) for p, s in taken)

    place = min(map(point, (0.5, 0.4, 0.6, 0.3, 0.7, 0.22, 0.78)), key=overlap)
    taken.append((place, size))
    return place


def draw_label(axis: Axes, place: np.ndarray, text: str) -> None:
    """Write on an arrow."""
    look: dict[str, Any] = dict(ha="center", va="center", fontsize=9, color="#006B4F", zorder=4)
    x, y = place
    axis.text(x, y, text, bbox=dict(fc="white", ec="none", pad=0.6), **look)


def box_width(node: GraphNode) -> float:
    """Find how wide a node's box must be."""
    expression, *rest = node_lines(node)
    return max(0.8, 0.2 + max(text_width(expression, weight="bold"), *map(text_width, rest)))


def spread(
    nodes: Sequence[GraphNode], places: dict, layers: list, width: dict[str, float], limit: float
) -> tuple[dict, np.ndarray]:
    """Turn layers and slots into inches; return them and the graph's direction.

    It runs to the right where `limit` inches suffice, else down.
    """
    widest = [max((width[name] for name in names if name in width), default=0) for names in layers]
    gaps = [0.7] * len(layers)  # before each layer, with room for the labels on its arrows
    for node in nodes:
        layer = places[node.name][0]
        labels = [text_width(show_value(partial), size=9) for partial in node.partials]
        gaps[layer] = max([gaps[layer], *(0.4 + label for label in labels)])
    starts = np.cumsum([0, *(w + gap for w, gap in zip(widest, gaps[1:]))])
    if starts[-1] + widest[-1] <= limit:
        centers = starts + np.array(widest) / 2
        across = -(HEIGHT + 0.3)
        inches = {name: np.array([centers[i], across * j]) for name, (i, j) in places.items()}
        return inches, np.array([1.0, 0.0])
    gap = 0.7 if any(node.partials for node in nodes) else 0.45  # for labels, or for arrows only
    across, down = max(widest) + 0.25, -(HEIGHT + gap)
    inches = {name: np.array([across * j, down * i]) for name, (i, j) in places.items()}
    return inches, np.array([0.0, -1.0])


class Layout(NamedTuple):
    """Where everything of a graph is, in inches."""

    position: dict  # the centre of each node, and of each bend of an edge
    width: dict[str, float]  # of each node's box
    along: np.ndarray  # the direction in which the graph runs
    edges: list[tuple[GraphNode, int, list[np.ndarray]]]  # to a node, from which operand, by where


def lay_out(
    nodes: Sequence[GraphNode], room_for: Sequence[GraphNode] = (), limit: float = 10.5
) -> Layout:
    """Find a place for each node, and a way for each edge; for the arguments see `draw_graph`."""
    places, routes, layers = arrange(nodes)
    width = {node.name: box_width(node) for node in nodes}
    for node in room_for:
        width[node.name] = max(width[node.name], box_width(node))
    position, along = spread([*nodes, *room_for], places, layers, width, limit)
    across = np.array([-along[1], -along[0]])
    half = {name: abs(along @ [width[name], HEIGHT]) / 2 for name in width}  # along the direction
    reach = [max(half.get(name, 0) for name in names) for names in layers]  # of a layer's boxes
    edges = []
    for node in nodes:
        into = [routes[parent, node.name] for parent in node.parents]
        arrivals = sorted(range(len(into)), key=lambda i: position[into[i][-2]] @ across)
        for rank, i in enumerate(arrivals):
            first, *bends, last = into[i]
            shift = (rank - (len(into) - 1) / 2) * 0.24 * across
            start = position[first] + half[first] * along + (node.parents.count(first) > 1) * shift
            end = position[last] - half[last] * along + shift
            sides = [position[b] + s * reach[b[-1]] * along for b in bends for s in (-1, 1)]
            edges.append((node, i, [start, *sides, end]))
    return Layout(position, width, along, edges)


def make_canvas(position: dict, width: dict[str, float], title: str) -> tuple[Figure, Axes]:
    """Make a figure with axes in inches that hold all boxes and bends, and the title above."""
    sizes = {name: np.array([width.get(name, 0), HEIGHT]) for name in position}
    low = np.min([place - sizes[name] / 2 for name, place in position.items()], axis=0) - 0.1
    high = np.max([place + sizes[name] / 2 for name, place in position.items()], axis=0) + 0.1
    if title:
        high[1] += 0.35
    high[0] = max(high[0], low[0] + 0.2 + text_width(title, size=12))
    figure = plt.figure(figsize=high - low, layout="none")
    axis = figure.add_axes((0, 0, 1, 1), xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    axis.axis("off")
    axis.text(low[0] + 0.1, high[1] - 0.25, title, fontsize=12)
    return figure, axis


def draw_graph(
    nodes: Sequence[GraphNode],
    highlight: Collection[str] = (),
    title: str = "",
    room_for: Sequence[GraphNode] = (),
) -> Figure:
    """Draw a computational graph.

    Each box shows a node's operation, its value and, in orange, its adjoint; each arrow, in green,
    the derivative of its end with respect to its start. The graph runs to the right where 10.5
    inches suffice, else down.

    Parameters
    ----------
    nodes : sequence of GraphNode
        In an order of evaluation: operands before what is computed from them.
    highlight : names of nodes to mark
    title : str
    room_for : sequence of GraphNode
        The same graph with other values, for which the boxes have room too: so that boxes stay
        where they are from one drawing to the next.

    Raises
    ------
    GraphError
        See `require_graph`.
    """
    highlight = [highlight] if isinstance(highlight, str) else highlight
    require_graph(nodes, highlight)
    position, width, along, edges = lay_out(nodes, room_for)
    figure, axis = make_canvas(position, width, title)
    for node in nodes:
        size = width[node.name], HEIGHT
        draw_node(axis, node, position[node.name], size, node.name in highlight)
    taken = []
    for node, i, stops in edges:
        curve = bezier(stops, along)
        draw_edge(axis, curve)
        if node.partials and node.partials[i] is not None:
            text = show_value(node.partials[i])
            draw_label(axis, place_label(curve, text, taken), text)
    return figure
