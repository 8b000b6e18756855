"""The drawings of graphs: the layout, what stands where, and what is refused."""

import itertools
import random
from typing import NamedTuple

import matplotlib.pyplot as plt
import networkx as nx
import numpy as np
import pytest
from helpers import THOROUGH
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.transforms import Bbox

from tapecourse.graph import Node
from tapecourse.support.errors import ClearError, GraphError
from tapecourse.support.graph_drawing import (
    arrange,
    crossings,
    draw_graph,
    node_lines,
    show_value,
)

SLIVER = 2 / 72  # inches: a text's extent has some 2 points of air above and below its digits


# --- the graphs


def random_graph(count: int, seed: int) -> list[Node]:
    """A program as a course might draw it: every value is used, and mostly soon.

    No two numbers in it are the same, so that each text in the drawing is known by itself.
    """
    rng = random.Random(seed)
    digits = rng.sample(range(100, 1000), 6 * count)

    def number():
        return rng.choice((-1, 1)) * digits.pop() / 100 * 10.0 ** rng.choice((-2, 0, 0, 1))

    inputs = max(1, count // 3)
    nodes = [Node(f"x{i + 1}", value=number(), adjoint=number()) for i in range(inputs)]
    unused = [node.name for node in nodes]
    for i in range(inputs, count):
        first = unused.pop(0)
        recent = [node.name for node in nodes[-8:] if node.name != first]
        fan_in = min(rng.choice((1, 2, 2, 3)), 1 + len(recent))
        parents = (first, *rng.sample(recent, fan_in - 1))
        operation = rng.choice({1: ("exp", "tanh", "square"), 2: "+−·/", 3: ("sum",)}[fan_in])
        partials = tuple(number() for _ in parents)
        nodes.append(Node(f"v{i + 1}", operation, parents, number(), partials, number()))
        unused.append(f"v{i + 1}")
    return nodes


def filled(nodes: list[Node]) -> list[Node]:
    """Give each node a value, partials and an adjoint; no two of them are the same."""
    numbers = itertools.count(1.01, 0.37)
    for node in nodes:
        node.value, node.adjoint = next(numbers), -next(numbers)
        node.partials = tuple(next(numbers) for _ in node.parents)
    return nodes


def dense_layer(name: str, operands: tuple[str, ...]) -> list[Node]:
    """Three neurons that take all operands, and their activations."""
    neurons = [Node(f"{name}{i}", "neuron", operands) for i in "123"]
    return neurons + [Node(f"h{n.name}", "tanh", (n.name,)) for n in neurons]


def perceptron() -> list[Node]:
    """22 nodes."""
    inputs = [Node(name) for name in ("x1", "x2", "x3")]
    hidden = dense_layer("a", ("x1", "x2", "x3")) + dense_layer("b", ("ha1", "ha2", "ha3"))
    last = [Node(f"c{i}", "neuron", ("hb1", "hb2", "hb3")) for i in "123"]
    loss = [
        Node("out", "mean", ("c1", "c2", "c3")),
        Node("y"),
        Node("e", "−", ("y", "out")),
        Node("loss", "square", ("e",)),
    ]
    return filled(inputs + hidden + last + loss)


def linear_model() -> list[Node]:
    """The program of chapter 02, whose w and x are vectors."""
    w, x = np.array([0.5, -1.0, 2.0]), np.array([2.0, 1.0, -1.0])
    return [
        Node("w", value=w, adjoint=-5 * x),
        Node("x", value=x, adjoint=-5 * w),
        Node("b", value=1.0, adjoint=-5.1),
        Node("y", value=1.5, adjoint=5.2),
        Node("p", "·", ("w", "x"), -2.0, (x, w), -5.3),
        Node("z", "+", ("p", "b"), -1.0, (1.01, 1.02), -5.4),
        Node("e", "−", ("y", "z"), 2.5, (1.03, -1.04), 5.5),
        Node("cost", "square", ("e",), 6.25, (5.0,), 1.0),
    ]


def triangle() -> list[Node]:
    """y = a · a², where an arrow skips a layer."""
    return filled([Node("a"), Node("b", "square", ("a",)), Node("y", "*", ("a", "b"))])


def unconnected(count: int) -> list[Node]:
    return filled([Node(f"x{i}") for i in range(count)])


def doubling() -> list[Node]:
    return filled([Node("a"), Node("b", "+", ("a", "a"))])


GRAPHS = {
    "one": unconnected(1),
    "doubling": doubling(),
    "chain": filled([Node("a"), Node("b", "exp", ("a",)), Node("c", "log", ("b",))]),
    "triangle": triangle(),
    "linear": linear_model(),
    "perceptron": perceptron(),
} | {
    f"{count} nodes, seed {seed}": random_graph(count, seed)
    for count, seeds in [(2, 1), (3, 3), (8, 10), (12, 10), (22, 10), (30, 6)]
    for seed in range(seeds if THOROUGH else min(seeds, 3))
}
every_graph = pytest.mark.parametrize("nodes", GRAPHS.values(), ids=GRAPHS)


def test_perceptron_has_22_nodes():
    assert len(GRAPHS["perceptron"]) == 22


# --- the layout


@every_graph
def test_operands_stand_in_earlier_layers(nodes):
    places, _, _ = arrange(nodes)
    for node in nodes:
        assert all(places[parent][0] < places[node.name][0] for parent in node.parents)


@every_graph
def test_inputs_stand_right_before_their_first_use(nodes):
    places, _, _ = arrange(nodes)
    for node in nodes:
        users = [places[user.name][0] for user in nodes if node.name in user.parents]
        if users and not node.parents:
            assert places[node.name][0] == min(users) - 1


@every_graph
def test_edges_bend_once_in_each_layer_that_they_skip(nodes):
    places, routes, _ = arrange(nodes)
    assert set(routes) == {(parent, node.name) for node in nodes for parent in node.parents}
    for (start, end), route in routes.items():
        assert (route[0], route[-1]) == (start, end)
        layers = [places[stop][0] for stop in route]
        assert layers == list(range(places[start][0], places[end][0] + 1))


@every_graph
def test_each_node_has_a_slot_and_each_bend_half_a_slot(nodes):
    places, routes, _ = arrange(nodes)
    bends = [stop for route in routes.values() for stop in route[1:-1]]
    assert set(places) == {node.name for node in nodes} | set(bends)
    by_layer = {}
    for name, (layer, slot) in places.items():
        by_layer.setdefault(layer, []).append((slot, 0.5 if name in bends else 1.0))
    for slots in by_layer.values():
        ordered = sorted(slots)
        for (slot, room), (next_slot, next_room) in itertools.pairwise(ordered):
            assert next_slot - slot == pytest.approx((room + next_room) / 2)
        assert ordered[0][0] - ordered[0][1] / 2 == pytest.approx(
            -(ordered[-1][0] + ordered[-1][1] / 2)  # centred
        )


@every_graph
def test_layers_list_each_place_once_and_in_order(nodes):
    places, _, layers = arrange(nodes)
    assert sorted(map(str, itertools.chain(*layers))) == sorted(map(str, places))
    for depth, names in enumerate(layers):
        assert {places[name][0] for name in names} == {depth}
        slots = [places[name][1] for name in names]
        assert slots in (sorted(slots), sorted(slots, reverse=True))


def test_crossings_are_counted():
    graph = nx.DiGraph([("a", "d"), ("b", "c"), ("b", "d"), ("c", "e")])
    layer = {"a": 0, "b": 0, "c": 1, "d": 1, "e": 2}
    slot = {"a": 0, "b": 1, "c": 0, "d": 1, "e": 0}
    assert crossings(graph, layer, slot) == 1
    assert crossings(graph, layer, slot | {"a": 1, "b": 0}) == 0


def test_order_within_layers_avoids_crossings():
    pairs = [("a", "z"), ("b", "y"), ("c", "x")]
    nodes = [Node(start) for start, _ in pairs]
    nodes += [Node(end, "exp", (start,)) for start, end in reversed(pairs)]
    places, _, _ = arrange(nodes)
    starts, ends = ([places[name][1] for name in names] for names in zip(*pairs))
    assert np.argsort(starts).tolist() == np.argsort(ends).tolist()


# --- the drawing, measured in inches


class Drawing(NamedTuple):
    nodes: list[Node]
    figure: Figure
    boxes: dict[str, Bbox]
    texts: list[tuple[str, Bbox]]
    labels: list[tuple[str, Bbox]]
    arrows: dict[tuple[str, str], list[np.ndarray]]


def frames_of(figure: Figure) -> list[FancyBboxPatch]:
    return [patch for patch in figure.axes[0].patches if isinstance(patch, FancyBboxPatch)]


def measure(nodes: list[Node], figure: Figure) -> Drawing:
    """Find out from the drawing alone where everything is."""
    [axis] = figure.axes
    renderer = figure.canvas.get_renderer()
    to_inches = figure.dpi_scale_trans.inverted()

    def extent(artist):
        return artist.get_window_extent(renderer).transformed(to_inches)

    frames = [extent(frame) for frame in frames_of(figure)]
    texts = [(text.get_text(), extent(text)) for text in axis.texts]
    labels = [(text.get_text(), extent(text)) for text in axis.texts if text.get_bbox_patch()]
    boxes = {}
    for node in nodes:
        [expression] = [box for text, box in texts if text == node_lines(node)[0]]
        [boxes[node.name]] = [frame for frame in frames if frame.contains(*center(expression))]
    assert len(frames) == len(nodes)
    arrows = {}
    for patch in axis.patches:
        if isinstance(patch, FancyArrowPatch):
            pieces = patch.get_path().to_polygons(axis.transData, closed_only=False)
            curve = to_inches.transform(pieces[0])  # and then comes the head
            ends = nearest_box(boxes, curve[0]), nearest_box(boxes, curve[-1])
            arrows.setdefault(ends, []).append(resample(curve))
    return Drawing(nodes, figure, boxes, texts, labels, arrows)


def resample(curve: np.ndarray, step: float = 0.01) -> np.ndarray:
    """Points on a polygon, a hundredth of an inch apart."""
    travelled = np.cumsum([0, *np.linalg.norm(np.diff(curve, axis=0), axis=1)])
    stops = np.linspace(0, travelled[-1], int(travelled[-1] / step) + 2)
    return np.column_stack([np.interp(stops, travelled, side) for side in curve.T])


def center(box: Bbox) -> np.ndarray:
    return (box.min + box.max) / 2


def nearest_box(boxes: dict[str, Bbox], point: np.ndarray) -> str:
    def distance(name):
        outside = np.maximum(boxes[name].min - point, point - boxes[name].max)
        return np.linalg.norm(np.maximum(outside, 0))

    return min(boxes, key=distance)


def overlap(a: Bbox, b: Bbox) -> float:
    """How far one of two boxes would have to move; negative: how far they are apart."""
    return (np.minimum(a.max, b.max) - np.maximum(a.min, b.min)).min()


def distance_to_curves(box: Bbox, curves: list[np.ndarray]) -> list[float]:
    return [np.linalg.norm(curve - center(box), axis=1).min() for curve in curves]


@pytest.fixture(scope="module", autouse=True)
def look():
    """As in the chapters, but never in a window."""
    backend = plt.get_backend()
    plt.switch_backend("agg")
    with plt.style.context("tapecourse.support.course"):
        yield
    plt.switch_backend(backend)


@pytest.fixture(scope="module", params=GRAPHS.values(), ids=GRAPHS)
def drawing(request, look) -> Drawing:
    figure = draw_graph(request.param, title="A computational graph")
    yield measure(request.param, figure)
    plt.close(figure)


def test_boxes_do_not_overlap(drawing):
    touching = [
        (a, b)
        for a, b in itertools.combinations(drawing.boxes, 2)
        if overlap(drawing.boxes[a], drawing.boxes[b]) > 0
    ]
    assert touching == []


def test_labels_do_not_overlap_each_other(drawing):
    touching = [
        (a, b)
        for (a, box_a), (b, box_b) in itertools.combinations(drawing.labels, 2)
        if overlap(box_a, box_b) > SLIVER
    ]
    assert touching == []


def test_labels_do_not_overlap_boxes(drawing):
    touching = [
        (text, name)
        for text, label in drawing.labels
        for name, box in drawing.boxes.items()
        if overlap(label, box) > SLIVER
    ]
    assert touching == []


def test_arrows_do_not_run_behind_other_boxes(drawing):
    hidden = []
    for ends, curves in drawing.arrows.items():
        points = np.concatenate(curves)
        for name in drawing.boxes.keys() - ends:
            box = drawing.boxes[name].padded(-SLIVER)
            if ((box.min < points) & (points < box.max)).all(axis=1).any():
                hidden.append((ends, name))
    assert hidden == []


def test_texts_are_inside_the_figure(drawing):
    size = drawing.figure.get_size_inches()
    cut = [text for text, box in drawing.texts if min(*box.min, *(size - box.max)) < 0]
    assert cut == []


def test_expression_value_and_adjoint_fit_in_their_box(drawing):
    """That each is found at all means that it is there."""
    for node in drawing.nodes:
        frame = drawing.boxes[node.name]
        for line in filter(None, node_lines(node)):
            [box] = [b for text, b in drawing.texts if text == line and frame.contains(*center(b))]
            assert frame.x0 <= box.x0 and box.x1 <= frame.x1, line
            assert frame.y0 <= box.y0 and box.y1 <= frame.y1, line


def test_each_arrow_carries_its_partial(drawing):
    """A label's center is on its arrow, to 0.02 inches, since a polygon stands for the curve."""
    assert len(drawing.labels) == sum(len(node.partials) for node in drawing.nodes)
    for node in drawing.nodes:
        for parent, partial in zip(node.parents, node.partials):
            [label] = [box for text, box in drawing.labels if text == show_value(partial)]
            distances = distance_to_curves(label, drawing.arrows[parent, node.name])
            assert min(distances) < 0.02, (parent, node.name)


def test_there_is_an_arrow_for_each_operand(drawing):
    wanted = [(parent, node.name) for node in drawing.nodes for parent in node.parents]
    drawn = [ends for ends, curves in drawing.arrows.items() for _ in curves]
    assert sorted(drawn) == sorted(wanted)


def test_texts_are_large_enough_to_read(drawing):
    assert min(text.get_fontsize() for text in drawing.figure.axes[0].texts) >= 9


def test_the_graph_runs_right_or_down(drawing):
    centers = {name: center(box) for name, box in drawing.boxes.items()}
    for direction in ([1, 0], [0, -1]):
        steps = [
            (centers[node.name] - centers[parent]) @ direction
            for node in drawing.nodes
            for parent in node.parents
        ]
        if all(step > 0 for step in steps):
            return
    raise AssertionError("some arrows point back")


@pytest.mark.parametrize("name", [name for name, nodes in GRAPHS.items() if len(nodes) <= 8])
def test_small_graphs_are_not_wider_than_a_page(name):
    figure = draw_graph(GRAPHS[name])
    plt.close(figure)
    assert figure.get_size_inches()[0] <= 10.7


def test_operand_that_is_used_twice_has_two_arrows():
    nodes = doubling()
    figure = draw_graph(nodes)
    drawing = measure(nodes, figure)
    plt.close(figure)
    first, second = drawing.arrows["a", "b"]
    assert min(np.linalg.norm(first[end] - second[end]) for end in (0, -1)) > 0.1
    nearest = [np.argmin(distance_to_curves(box, [first, second])) for _, box in drawing.labels]
    assert sorted(nearest) == [0, 1]


@pytest.mark.parametrize("highlight", [(), ["w"], {"e", "cost"}])
def test_highlighted_nodes_are_marked(highlight):
    nodes = linear_model()
    figure = draw_graph(nodes, highlight)
    plt.close(figure)
    plain = draw_graph(nodes)
    plt.close(plain)
    marked = [
        node.name
        for node, frame, usual in zip(nodes, frames_of(figure), frames_of(plain))
        if frame.get_edgecolor() != usual.get_edgecolor()
        and frame.get_linewidth() > usual.get_linewidth()
    ]
    assert marked == [node.name for node in nodes if node.name in highlight]


def test_title_stands_above_the_boxes():
    nodes = linear_model()
    figure = draw_graph(nodes, title="The title")
    drawing = measure(nodes, figure)
    plt.close(figure)
    [title] = [box for text, box in drawing.texts if text == "The title"]
    assert title.y0 > max(box.y1 for box in drawing.boxes.values())


@pytest.mark.parametrize(
    "title", ["The arrow a → y carries ∂y/∂a; the adjoint of a is dy/da", "i" * 80]
)
def test_long_titles_fit(title):
    nodes = unconnected(1)
    figure = draw_graph(nodes, title=title)
    drawing = measure(nodes, figure)
    plt.close(figure)
    [box] = [box for text, box in drawing.texts if text == title]
    assert box.x0 >= 0 and box.x1 <= figure.get_size_inches()[0]


def test_nodes_are_drawn_before_any_sweep():
    nodes = [Node("a"), Node("b", "exp", ("a",))]
    figure = draw_graph(nodes)
    drawing = measure(nodes, figure)
    plt.close(figure)
    assert [text for text, _ in drawing.texts if text] == ["a", "b = exp(a)"]
    assert list(drawing.arrows) == [("a", "b")]


def test_drawing_changes_no_node():
    nodes = random_graph(8, seed=0)
    before = repr(nodes)
    plt.close(draw_graph(nodes))
    assert repr(nodes) == before


@pytest.mark.parametrize("count", [2, 3, 4, 5, 8])
def test_inputs_alone_can_be_drawn(count):
    figure = draw_graph(unconnected(count))
    frames = [frame.get_window_extent() for frame in frames_of(figure)]
    plt.close(figure)
    assert len(frames) == count
    assert max(overlap(a, b) for a, b in itertools.combinations(frames, 2)) <= 0


# --- the texts


@pytest.mark.parametrize(
    "value, text",
    [
        (None, ""),
        (2.0, "2"),
        (-2.0, "−2"),
        (3.14159, "3.14"),
        (0.00123456, "0.00123"),
        (123.456, "123"),
        (-1234.5, "−1234"),
        (-1.5e-5, "−1.5e−05"),
        (np.float32(0.1), "0.1"),
        (np.array(2.5), "2.5"),
        (np.inf, "inf"),
        (-np.inf, "−inf"),
        (np.nan, "nan"),
        (7, "7"),
        (np.int64(-7), "−7"),
        (True, "1"),
        (np.False_, "0"),
        (np.array([1.5, -2.0]), "[1.5, −2]"),
        ([1, 2, 3, 4], "[1, 2, 3, 4]"),
        (np.array([True, False]), "[1, 0]"),
        (np.zeros(5), "shape 5"),
        (np.zeros((64, 10)), "shape 64×10"),
        (np.ones((1, 1)), "shape 1×1"),
        (np.zeros(0), "[]"),
        (np.zeros((0, 3)), "shape 0×3"),
    ],
    ids=repr,
)
def test_values_are_short(value, text):
    assert show_value(value) == text


@pytest.mark.parametrize(
    "node, lines",
    [
        (Node("x"), ["x", "", ""]),
        (Node("x", value=0.5, adjoint=-2.0), ["x", "0.5", "adjoint −2"]),
        (Node("p", "·", ("w", "x"), value=3.0), ["p = w · x", "3", ""]),
        (Node("c", "square", ("e",), adjoint=0.0), ["c = square(e)", "", "adjoint 0"]),
        (Node("n", "−", ("a",)), ["n = −(a)", "", ""]),
        (Node("s", "sum", ("a", "b", "c")), ["s = sum(a, b, c)", "", ""]),
    ],
)
def test_lines_of_a_box(node, lines):
    assert node_lines(node) == lines


# --- what is refused


@pytest.mark.parametrize(
    "nodes, message",
    [
        ([], "there are no nodes to draw"),
        ([Node("a"), Node("a")], "two nodes are called 'a'"),
        (
            [Node("a"), Node("b", "exp", ("a",)), Node("b", "log", ("a",))],
            "two nodes are called 'b'",
        ),
        (
            [Node("b"), Node("z", "+", ("p", "b"))],
            "node 'z' uses 'p', which is not among the nodes before it",
        ),
        (
            [Node("y", "exp", ("x",)), Node("x")],
            "node 'y' uses 'x', which is not among the nodes before it",
        ),
        (
            [Node("a"), Node("p", "+", ("a", "q")), Node("q", "exp", ("p",))],
            "node 'p' uses 'q', which is not among the nodes before it",
        ),
        ([Node("z", "exp", ("z",))], "node 'z' uses 'z', which is not among the nodes before it"),
    ],
    ids=["empty", "two inputs", "two results", "unknown", "wrong order", "cycle", "itself"],
)
def test_what_is_no_graph_is_refused(nodes, message):
    figures = plt.get_fignums()
    with pytest.raises(GraphError, match=message):
        draw_graph(nodes)
    assert plt.get_fignums() == figures
    assert issubclass(GraphError, ClearError)


def test_boxes_stay_in_their_place_where_there_is_room_for_other_values():
    def program(value):
        return [Node("w", value=value), Node("p", "square", ("w",), value, (value,), value)]

    small, large = program(1.0), program(-123.456)
    first, second = (measure(nodes, draw_graph(nodes, room_for=large)) for nodes in (small, large))
    for name in ("w", "p"):
        np.testing.assert_allclose(first.boxes[name].bounds, second.boxes[name].bounds)
    plt.close("all")
