"""Figures that move through a graph: a sweep step by step, a tape's record, a path that is cut."""

import copy
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import altair as alt
import numpy as np

from tapecourse.support.errors import GraphError
from tapecourse.support.graph_drawing import (
    HEIGHT,
    GraphNode,
    Layout,
    bezier,
    expression_of,
    lay_out,
    node_lines,
    place_label,
    require_graph,
    show_value,
)
from tapecourse.support.moving_figures import (
    GREEN,
    GREY,
    ORANGE,
    show_chart,
    slider,
)

__all__ = ["graph_chart", "show_cuts", "show_nodes", "show_record", "show_sweeps", "steps_of"]

MOST_OPERATIONS = 15
INCH = 76  # pixels; letters of 12 pixels then fit where those of draw_graph do
WIDEST = 10.0  # inches; a wider graph runs down
LINE = 18  # pixels
ALWAYS = 10_000  # no figure has so many steps


class Step(NamedTuple):
    """What a figure says at one step, and what it marks."""

    says: list[str]
    node: str = ""  # whose box is marked
    gets: tuple[str, ...] = ()  # the operands to which an adjoint flows


@dataclass
class RecordedNode:
    """A note of chapter 03's tape, or a tensor that went into one, as a `GraphNode`."""

    name: str
    operation: str
    parents: tuple[str, ...]
    value: np.ndarray
    adjoint: np.ndarray | None = None
    partials: tuple = ()


# --- what is said at each step


def in_brackets(value: Any) -> str:
    """Write a value so that a minus sign doesn't follow another sign."""
    text = show_value(value)
    return f"({text})" if text.startswith("−") else text


def forward_step(node: GraphNode, values: Mapping[str, Any]) -> Step:
    """Say how an operation got its value, and its derivatives where it has any."""
    expression = node_lines(node)[0]
    operands = [in_brackets(values[parent]) for parent in node.parents]
    numbers = expression_of(node.operation, operands)
    says = [f"forward: {expression} = {numbers} = {show_value(node.value)}"]
    if node.partials:
        pairs = zip(node.parents, node.partials)
        slopes = [f"∂{node.name}/∂{parent} = {show_value(slope)}" for parent, slope in pairs]
        says.append("its derivatives: " + ",  ".join(slopes))
    return Step(says, node.name)


def back_step(
    node: GraphNode, before: Mapping[str, GraphNode], after: Mapping[str, GraphNode]
) -> Step:
    """Say what the operands of an operation get when a sweep walks back through it."""
    bar = before[node.name].adjoint
    says = [f"back through {node_lines(node)[0]}"]
    if bar is None:
        return Step([*says, "the result doesn't depend on it: nothing to hand on"], node.name)
    gets = []
    for parent in dict.fromkeys(node.parents):
        old, new = before[parent].adjoint, after[parent].adjoint
        if new is None:
            says.append(f"{parent} is a constant for the tape: it gets nothing")
            continue
        gets.append(parent)
        slopes = [p for name, p in zip(node.parents, node.partials) if name == parent]
        shares = [f"{in_brackets(bar)} × {in_brackets(slope)}" for slope in slopes]
        if not slopes and old is not None:
            shares = [in_brackets(np.subtract(new, old))]
        terms = shares if old is None else [show_value(old), *shares]
        says.append(
            f"adjoint of {parent}: "
            + " = ".join(filter(None, [" + ".join(terms), show_value(new)]))
        )
    return Step(says, node.name, tuple(gets))


def steps_of(sweep: Sequence[Sequence[GraphNode]]) -> list[Step]:
    """Return the steps of both sweeps; for `sweep` see `show_sweeps`."""
    operations = [node for node in sweep[0] if node.operation]
    values = {node.name: node.value for node in sweep[0]}
    steps = [Step(["before anything is run: only the inputs have values"])]
    steps += [forward_step(node, values) for node in operations]
    by_name = [{node.name: node for node in nodes} for nodes in sweep]
    for node in sweep[0]:
        if node.adjoint is not None and np.any(node.adjoint):
            start = f"the way back starts with {show_value(node.adjoint)} at {node.name}"
            steps.append(Step([start], node.name))
    for node, before, after in zip(reversed(operations), by_name, by_name[1:]):
        steps.append(back_step(node, before, after))
    return steps


# --- where it is drawn


def dots(vertices: np.ndarray) -> np.ndarray:
    """Return points on a smooth curve, eight for each piece."""
    t = np.linspace(0, 1, 9)[:, None]
    pieces = [vertices[i : i + 4] for i in range(0, len(vertices) - 1, 3)]
    weights = np.hstack([(1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t**2, t**3])
    return np.concatenate([weights @ piece for piece in pieces])


class Canvas:
    """Turns inches, upwards, into pixels, downwards; collects the rows of a figure's data."""

    def __init__(self, layout: Layout, top: int):
        sizes = {name: np.array([layout.width.get(name, 0), HEIGHT]) for name in layout.position}
        corners = [(place, sizes[name] / 2) for name, place in layout.position.items()]
        self.low = np.min([place - half for place, half in corners], axis=0) - 0.1
        self.high = np.max([place + half for place, half in corners], axis=0) + 0.1
        self.layout, self.top, self.rows = layout, top, []
        self.width, height = ((self.high - self.low) * INCH).round().astype(int).tolist()
        self.width, self.height = max(self.width, 480), height + top

    def pixels(self, place: np.ndarray) -> dict[str, float]:
        """Return where a place is, to a tenth of a pixel."""
        x, y = place[0] - self.low[0], self.high[1] - place[1]
        return {"x": round(float(x * INCH), 1), "y": round(float(y * INCH) + self.top, 1)}

    def add(self, kind: str, place: np.ndarray, **more: Any) -> None:
        """Add a row of data."""
        self.rows.append({"k": kind, **self.pixels(place), **more})

    def add_box(self, kind: str, name: str, **more: Any) -> None:
        """Add a node's box."""
        half = np.array([self.layout.width[name], HEIGHT]) / 2
        place = self.layout.position[name]
        low = self.pixels(place - half)
        self.add(kind, place + half, x2=low["x"], y2=low["y"], **more)

    def add_lines(self, texts: Mapping[str, str], name: str, **more: Any) -> None:
        """Add texts to a node's box, at the line that each kind has."""
        for kind, text in texts.items():
            line = {"name": 1, "value": 0, "adjoint": -1}[kind]
            place = self.layout.position[name] + np.array([0, 0.22 * line])
            if text:
                self.add(kind, place, s=text, **more)

    def add_arrow(self, kind: str, vertices: np.ndarray, edge: int, **more: Any) -> None:
        """Add a smooth line with a head at its end, or at its start if it leads back."""
        points = dots(vertices)
        if kind == "back":
            points = points[::-1]
        if np.ptp(points @ [self.layout.along[1], self.layout.along[0]]) < 0.01:
            points = points[[0, -1]]  # it is straight
        for order, point in enumerate(points):
            self.add(kind, point, e=edge, o=order, **more)
        x, y = points[-1] - points[-2]
        inward = points[-1] - 0.05 * np.array([x, y]) / np.hypot(x, y)
        angle = round(float(np.degrees(np.arctan2(x, y))))  # clockwise, from upwards
        self.add(f"{kind} head", inward, g=angle, **more)


def graph_chart(canvas: Canvas, parameter: alt.Parameter, title: str) -> Any:
    """Make a figure of the rows: those whose range, from a to z, holds the parameter's number."""
    shown = f"datum.a <= {parameter.name} && {parameter.name} <= datum.z"
    x = alt.X("x:Q", axis=None, scale=alt.Scale(domain=[0, canvas.width], nice=False))
    y = alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[canvas.height, 0], nice=False))
    base = alt.Chart().encode(x, y)

    def rows(*kinds: str) -> alt.Chart:
        chosen = " || ".join(f"datum.k == '{kind}'" for kind in kinds)
        return base.transform_filter(f"({chosen}) && {shown}")

    def lines(kind: str, **look: Any) -> alt.Chart:
        return (
            rows(kind)
            .mark_line(interpolate="catmull-rom", **look)
            .encode(detail="e:N", order="o:Q")
        )

    def heads(kind: str, color: str, size: int) -> alt.Chart:
        look: dict[str, Any] = dict(shape="triangle", filled=True, opacity=1)
        angle = alt.Angle("g:Q", scale=None)
        return rows(f"{kind} head").mark_point(color=color, size=size, **look).encode(angle=angle)

    def boxes(*kinds: str, **look: Any) -> alt.Chart:
        return rows(*kinds).mark_rect(cornerRadius=6, **look).encode(x2="x2:Q", y2="y2:Q")

    def texts(kind: str, color: str, **look: Any) -> alt.Chart:
        look = {"fontSize": 12, "baseline": "middle"} | look
        return rows(kind).mark_text(color=color, **look).encode(text="s:N")

    layers = [
        lines("arrow", color=GREY, strokeWidth=1.2),
        heads("arrow", GREY, 60),
        lines("cut", color=ORANGE, strokeWidth=2, strokeDash=[4, 4]),
        lines("forth", color=ORANGE, strokeWidth=3),
        heads("forth", ORANGE, 130),
        lines("back", color=ORANGE, strokeWidth=3, strokeDash=[7, 3]),
        heads("back", ORANGE, 130),
        boxes("input", fill="#EAF3FA", stroke=GREY),
        boxes("operation", fill="white", stroke=GREY),
        boxes("lost", fill="white", stroke=ORANGE, strokeDash=[4, 4], strokeWidth=2),
        boxes("marked", stroke=ORANGE, strokeWidth=3.5, fillOpacity=0),
        texts("name", "black", fontWeight="bold"),
        texts("value", "black"),
        texts("adjoint", ORANGE),
        texts("slope", "white", fontSize=11, stroke="white", strokeWidth=7),
        texts("slope", GREEN, fontSize=11),
        texts("cross", ORANGE, fontSize=24, fontWeight="bold"),
        texts("says", "black", align="left", fontSize=13),
    ]
    present = {row["k"] for row in canvas.rows}
    layers = [layer for layer in layers if any(f"'{k}'" in str(layer.transform) for k in present)]
    size = {"width": canvas.width, "height": canvas.height}
    chart = alt.layer(*layers, data=alt.Data(values=canvas.rows)).properties(title=title, **size)
    return chart.add_params(parameter)


def show_sweeps(sweep: Sequence[Sequence[GraphNode]], title: str) -> None:
    """Show both sweeps through a graph, step by step, with a slider; at first, the first one back.

    Parameters
    ----------
    sweep : sequence of sequences of GraphNode
        The graph, with all values, after 0, 1, 2, ... operations of the way back, which begins
        at the last one. Every number of the figure is read from these.
    title : str
        Says what to see.

    Raises
    ------
    GraphError
        A state is no graph in an order of evaluation, or there are too many operations.
    """
    for nodes in sweep:
        require_graph(nodes, ())
    operations = [node.name for node in sweep[0] if node.operation]
    require_room(len(operations))
    if len(sweep) != len(operations) + 1:
        problem = f"{len(sweep)} states were given for {len(operations)} operations"
        raise GraphError(f"{problem}: give one before the way back, and one after each operation.")
    steps = steps_of(sweep)
    start = min(len(operations) + 2, len(steps) - 1)
    canvas = sweep_rows(sweep, steps)
    step = slider("step", "step", most=len(steps) - 1, start=start)
    sentence = (
        f"{title}: a computational graph in {len(steps)} steps, first forward, then back. "
        f"At step {start}: {'; '.join(steps[start].says)}."
    )
    show_chart(graph_chart(canvas, step, title), sentence)


def require_room(operations: int) -> None:
    """Raise GraphError if a figure has no room for so many operations."""
    if operations > MOST_OPERATIONS:
        problem = f"{operations} operations are too many for this figure"
        raise GraphError(
            f"{problem}, which has room for {MOST_OPERATIONS}: take a smaller program."
        )


def sweep_rows(sweep: Sequence[Sequence[GraphNode]], steps: Sequence[Step]) -> Canvas:
    """Put the states of a sweep on a canvas."""
    everything = [node for nodes in sweep for node in nodes]
    layout = lay_out(sweep[0], room_for=everything, limit=WIDEST)
    canvas = Canvas(layout, top=LINE * max(len(step.says) for step in steps) + 12)
    operations = [node.name for node in sweep[0] if node.operation]
    ran = {name: number for number, name in enumerate(operations, 1)}  # at which step
    turn = len(operations) + 1
    for number, step in enumerate(steps):
        now = {"a": number, "z": number}
        if step.node:
            canvas.add_box("marked", step.node, **now)
        for line, text in enumerate(step.says):
            said = f"Step {number}, {text}" if line == 0 else text
            canvas.rows.append({"k": "says", "x": 4, "y": LINE * line + 8, "s": said, **now})
    for node in sweep[0]:
        kind = "operation" if node.operation else "input"
        canvas.add_box(kind, node.name, a=0, z=ALWAYS)
        name, value, _ = node_lines(node)
        canvas.add_lines({"name": name}, node.name, a=0, z=ALWAYS)
        canvas.add_lines({"value": value}, node.name, a=ran.get(node.name, 0), z=ALWAYS)
        states = [
            node_lines(other)[2] for nodes in sweep for other in nodes if other.name == node.name
        ]
        begin = turn
        for text, same in itertools.groupby(states):
            end = begin + len(list(same))
            last = ALWAYS if end == turn + len(sweep) else end - 1
            canvas.add_lines({"adjoint": text}, node.name, a=begin, z=last)
            begin = end
    taken: list = []
    for edge, (node, operand, stops) in enumerate(layout.edges):
        vertices, forward = bezier(stops, layout.along), ran[node.name]
        canvas.add_arrow("arrow", vertices, edge, a=0, z=ALWAYS)
        canvas.add_arrow("forth", vertices, edge, a=forward, z=forward)
        for number, step in enumerate(steps):
            if step.node == node.name and node.parents[operand] in step.gets:
                canvas.add_arrow("back", vertices, edge, a=number, z=number)
        if node.partials and node.partials[operand] is not None:
            text = show_value(node.partials[operand])
            place = place_label(vertices, text, taken)
            canvas.add("slope", place, s=text, a=forward, z=ALWAYS)
    return canvas


# --- chapter 03: what a tape recorded


SYMBOLS = {"add": "+", "subtract": "−", "multiply": "*", "divide": "/", "matmul": "@"}


def show_record(tape: Any, target: Any, title: str = "", **names: Any) -> None:
    """Show what a tape recorded, and the way back through it, step by step, with a slider.

    Call it outside the tape's block, and before `gradient` if the tape isn't persistent.

    Parameters
    ----------
    tape : Tape
        The tape of chapter 03, or one with `notes` and a `gradient` like its. Its own `gradient`
        makes all adjoints: each step back asks a copy of it that has only so many notes.
    target : Tensor
        Where the way back starts.
    title : str
    names
        What the values of the program are called, such as w=w; others are numbered.

    Raises
    ------
    GraphError
        The record is empty or too long, or doesn't hold the target.
    """
    notes = list(tape.notes)
    if not notes:
        raise GraphError(
            "the tape holds no notes. Show it before you call gradient, or make it with "
            "Tape(persistent=True); and see that the program uses a variable or a watched tensor."
        )
    require_room(len(notes))
    if not any(note.output is target for note in notes):
        raise GraphError("no operation on this tape's record made the target: give its result.")
    named = name_tensors(notes, names)
    tracked = [name for name, tensors in named.items() if id(tensors[0]) in tape.tracked]
    sweep = []
    for walked in range(len(notes) + 1):
        shorter = copy.copy(tape)
        shorter.notes = notes[len(notes) - walked :]
        found = shorter.gradient(target, [named[name][0] for name in tracked])
        adjoints = {name: np.asarray(bar) for name, bar in zip(tracked, found) if bar is not None}
        sweep.append(record_nodes(notes, named, adjoints))
    show_sweeps(sweep, title or "What the tape recorded, and the way back through it")


def name_tensors(notes: Sequence[Any], names: Mapping[str, Any]) -> dict[str, list]:
    """Name all tensors of a record, in an order of evaluation; return those of each name.

    A tensor is known by its identity, what was no tensor in the program by its value: each use
    of such a constant has made a tensor of its own, and they share a name.
    """
    outputs = {id(note.output) for note in notes}
    tensors = {id(t): t for note in notes for t in (*note.inputs, note.output)}
    plain = {name: value for name, value in names.items() if not hasattr(value, "numpy")}
    free = {letter: free_names(letter, names) for letter in "vc"}
    named: dict[str, list] = {}
    for key, tensor in tensors.items():
        chosen = [name for name, value in names.items() if value is tensor]
        if not chosen and key not in outputs:
            chosen = [name for name, value in plain.items() if np.array_equal(value, tensor)]
        name = chosen[0] if chosen else next(free["v" if key in outputs else "c"])
        named.setdefault(name, []).append(tensor)
    return named


def free_names(letter: str, names: Mapping[str, Any]) -> Iterator[str]:
    """Number names, such as v1, v2, ..., and leave out those that are taken."""
    return (name for n in itertools.count(1) if (name := f"{letter}{n}") not in names)


def record_nodes(
    notes: Sequence[Any], named: Mapping[str, list], adjoints: Mapping[str, np.ndarray]
) -> list[RecordedNode]:
    """Return a record as nodes of a graph, with the adjoints that are known."""
    makers = {id(note.output): note for note in notes}
    names = {id(tensor): name for name, tensors in named.items() for tensor in tensors}
    read = {id(n.inputs[0]): n.output for n in notes if n.operation.name == "read"}
    nodes = []
    for name, (tensor, *_) in named.items():
        note = makers.get(id(tensor))
        operation, parents = "", ()
        if note is not None:
            written = str(note.operation.name)
            operation = SYMBOLS.get(written, written)
            parents = tuple(names[id(source)] for source in note.inputs)
        value = np.asarray(read.get(id(tensor), tensor))  # of a variable the one that was used
        nodes.append(RecordedNode(name, operation, parents, value, adjoints.get(name)))
    return nodes


def in_order(result: Any) -> list[Any]:
    """Return the nodes that lead to a result, each once and after its parents."""
    order: dict[int, Any] = {}
    left = [(result, False)]
    while left:
        node, done = left.pop()
        if done:
            order[id(node)] = node
        elif id(node) not in order:
            left += [(node, True), *((parent, False) for parent, _ in node.edges)]
    return list(order.values())


def show_nodes(result: Any, gradient: Callable, title: str = "", **names: Any) -> None:
    """Show the record that an engine of nodes keeps, and its way back, as `show_record` does.

    Parameters
    ----------
    result : node
        Where the way back starts. A node has `value`, `operation`, and `edges`, pairs of a parent
        and its pull-back.
    gradient : callable
        Takes a result and a list of nodes, and returns the derivative for each. It makes all
        adjoints: each step back asks for those of a record in which only so many nodes have edges.
    title : str
    names
        What the nodes are called, such as w=w; others are numbered.

    Raises
    ------
    GraphError
        The result has no edges, or too many operations lead to it.
    """
    order = in_order(result)
    operations = [node for node in order if node.edges]
    if not operations:
        raise GraphError("no operation made the result: its node has no edges.")
    require_room(len(operations))
    called = name_nodes(order, names)
    sweep = []
    for walked in range(len(operations) + 1):
        behind = {id(node) for node in operations[len(operations) - walked :]}
        adjoints = adjoints_behind(order, behind, gradient)
        sweep.append(
            [
                RecordedNode(
                    called[id(node)],
                    SYMBOLS.get(node.operation) or str(node.operation),
                    tuple(called[id(parent)] for parent, _ in node.edges),
                    np.asarray(node.value),
                    adjoints.get(id(node)),
                )
                for node in order
            ]
        )
    show_sweeps(sweep, title or "What the nodes recorded, and the way back through it")


def name_nodes(order: Sequence[Any], names: Mapping[str, Any]) -> dict[int, str]:
    """Name all nodes, by their identity: those without a name are numbered."""
    free = {letter: free_names(letter, names) for letter in "vc"}
    called = {id(node): name for name, node in names.items()}
    for node in order:
        if id(node) not in called:
            called[id(node)] = next(free["v" if node.edges else "c"])
    return called


def adjoints_behind(
    order: Sequence[Any], behind: set[int], gradient: Callable
) -> dict[int, np.ndarray]:
    """Ask for all adjoints of a record in which only some nodes have edges; return those reached.

    Nodes are known by their identity; the last one in order is the result.
    """
    copies = {id(node): copy.copy(node) for node in order}
    reached = {id(order[-1])}
    for node in reversed(order):
        edges = node.edges if id(node) in behind else ()
        copies[id(node)].edges = tuple((copies[id(parent)], back) for parent, back in edges)
        if id(node) in reached:
            reached |= {id(parent) for parent, _ in edges}
    found = gradient(copies[id(order[-1])], list(copies.values()))
    return {key: np.asarray(bar) for key, bar in zip(copies, found) if key in reached}


# --- chapter 04: which path is cut


def show_cuts(graphs: Mapping[str, Sequence[GraphNode]], title: str) -> None:
    """Show graphs with the gradients that come back through them, one at each place of a slider.

    An arrow is cut where its end has a gradient and its start has none. The second graph is shown
    first.

    Parameters
    ----------
    graphs : dict
        By its name, each graph; an adjoint is None where no gradient arrives.
    title : str

    Raises
    ------
    GraphError
        One of them is no graph in an order of evaluation.
    """
    for nodes in graphs.values():
        require_graph(nodes, ())
    everything = [node for nodes in graphs.values() for node in nodes]
    layouts = []
    for nodes in graphs.values():  # what all have in common stays in its place
        names = {node.name for node in nodes}
        layouts.append(lay_out(nodes, [n for n in everything if n.name in names], WIDEST))
    canvases = [Canvas(layout, top=3 * LINE + 12) for layout in layouts]
    says = [[name, *cut_says(nodes)] for name, nodes in graphs.items()]
    for number, (canvas, nodes) in enumerate(zip(canvases, graphs.values())):
        cut_rows(canvas, nodes, says[number], number)
    largest = max(canvases, key=lambda canvas: canvas.width)
    largest.height = max(canvas.height for canvas in canvases)
    largest.rows = [row for canvas in canvases for row in canvas.rows]
    choice = slider("choice", "program", most=len(graphs) - 1, start=1)
    sentence = f"{title}: {len(graphs)} graphs. " + " ".join(
        f"{'; '.join(each)}." for each in says
    )
    show_chart(graph_chart(largest, choice, title), sentence)


def cut_says(nodes: Sequence[GraphNode]) -> list[str]:
    """Say which gradients the inputs get, and which operations cut a path."""
    inputs = [node for node in nodes if not node.operation]
    gradients = [f"for {node.name}: {show_value(node.adjoint) or 'None'}" for node in inputs]
    cutting = [node_lines(node)[0] for node in nodes if cut_operands(node, nodes)]
    where = f"cut at {', '.join(cutting)}" if cutting else "no path is cut"
    return [f"gradient of {nodes[-1].name} " + ", ".join(gradients), where]


def cut_operands(node: GraphNode, nodes: Sequence[GraphNode]) -> list[int]:
    """Return which operands of a node get no gradient, though the node has one."""
    adjoints = {other.name: other.adjoint for other in nodes}
    if node.adjoint is None:
        return []
    return [i for i, parent in enumerate(node.parents) if adjoints[parent] is None]


def cut_rows(canvas: Canvas, nodes: Sequence[GraphNode], says: Sequence[str], number: int) -> None:
    """Put one of the graphs on its canvas."""
    now = {"a": number, "z": number}
    for line, text in enumerate(says):
        canvas.rows.append({"k": "says", "x": 4, "y": LINE * line + 8, "s": text, **now})
    for node in nodes:
        kind = "operation" if node.operation else "input"
        canvas.add_box("lost" if node.adjoint is None else kind, node.name, **now)
        name, value, adjoint = node_lines(node)
        texts = {"name": name, "value": value, "adjoint": adjoint or "None"}
        canvas.add_lines(texts, node.name, **now)
    for edge, (node, operand, stops) in enumerate(canvas.layout.edges):
        vertices = bezier(stops, canvas.layout.along)
        if operand in cut_operands(node, nodes):
            canvas.add_arrow("cut", vertices, 100 * number + edge, **now)
            canvas.add("cross", dots(vertices)[4], s="×", **now)
        else:
            canvas.add_arrow("arrow", vertices, 100 * number + edge, **now)
