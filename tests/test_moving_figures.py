"""Figures that move, by their specifications: numbers, places, what each step shows, refusals."""

import csv
import io
import json
import re

import altair as alt
import numpy as np
import pandas as pd
import pytest
from answers import build_your_own_tape as engine

from tapecourse.graph import Node, forward_sweep, reverse_sweep, worked_example
from tapecourse.support import graph_steps, moving_curves, moving_figures
from tapecourse.support.errors import GraphError
from tapecourse.support.graph_drawing import node_lines, show_value
from tapecourse.support.moving_figures import MIME, show_chart, slider
from tapecourse.tape import Tape, Variable, exp


@pytest.fixture
def shown(monkeypatch):
    """Specifications of what was shown; none is drawn."""
    specs = []
    monkeypatch.setattr(
        moving_figures, "display", lambda bundle, **more: specs.append(bundle[MIME])
    )
    monkeypatch.setattr(moving_figures, "picture_of", lambda spec: bytes(24))
    return specs


def sweep_of(program, count):
    """The states of a program after 0, 1, 2, ... steps back."""
    sweep = []
    for steps in range(count + 1):
        nodes = forward_sweep(program())
        reverse_sweep(nodes, steps)
        sweep.append(nodes)
    return sweep


def diamond():
    u, v = Node("u", "square", ("a",)), Node("v", "triple", ("a",))
    return [Node("a", value=2.0), u, v, Node("y", "*", ("u", "v"))]


def table(text):
    """The rows of a CSV text; numbers are numbers, and what is empty is left out."""
    rows = csv.DictReader(io.StringIO(text))
    numbers = "xyaznpd"
    return [
        {name: float(v) if name in numbers else v for name, v in row.items() if v} for row in rows
    ]


def rows_at(spec, number):
    """The rows that a stepper shows at a step."""
    rows = table(spec["datasets"]["table1"])
    return [row for row in rows if row["a"] <= number <= row["z"]]


def texts_at(spec, number, kind):
    """The texts of a kind, by the name of the box that they stand in."""
    rows = rows_at(spec, number)
    boxes = {row["s"].split(" = ")[0]: row for row in rows if row["k"] == "name"}
    return {
        name: row["s"]
        for name, box in boxes.items()
        for row in rows
        if row["k"] == kind and row["x"] == box["x"] and 0 <= row["y"] - box["y"] < 40
    }


@pytest.mark.parametrize("program, count", [(worked_example, 4), (diamond, 3)])
def test_the_stepper_shows_what_the_sweeps_computed(shown, program, count):
    sweep = sweep_of(program, count)
    graph_steps.show_sweeps(sweep, "Both sweeps")
    [spec] = shown
    operations = [node.name for node in sweep[0] if node.operation]
    for number in range(2 * count + 2):
        ran = operations[:number]
        known = {n.name: n for n in sweep[0] if not n.operation or n.name in ran}
        assert texts_at(spec, number, "value") == {
            name: show_value(node.value) for name, node in known.items()
        }
        slopes = sorted(row["s"] for row in rows_at(spec, number) if row["k"] == "slope")
        assert slopes == sorted(show_value(p) for n in known.values() for p in n.partials)
        walked = number - count - 1
        state = sweep[walked] if walked >= 0 else []
        assert texts_at(spec, number, "adjoint") == {n.name: node_lines(n)[2] for n in state}


def test_each_step_says_and_marks_something_and_nothing_moves(shown):
    graph_steps.show_sweeps(sweep_of(worked_example, 4), "Both sweeps")
    [spec] = shown
    places = []
    for number in range(10):
        rows = rows_at(spec, number)
        said = [row["s"] for row in rows if row["k"] == "says"]
        assert said[0].startswith(f"Step {number}, ")
        assert len([row for row in rows if row["k"] == "marked"]) == (number > 0)
        places.append([row for row in rows if row["k"] in ("name", "input", "operation", "arrow")])
    assert all(each == places[0] for each in places)
    assert [row["s"] for row in rows_at(spec, 7) if row["k"] == "says"] == [
        "Step 7, back through e = y − z",
        "adjoint of y: 0 + 5 × 1 = 5",
        "adjoint of z: 0 + 5 × (−1) = −5",
    ]
    [bind] = [parameter["bind"] for parameter in spec["params"]]
    assert (bind["min"], bind["max"], bind["step"]) == (0, 9, 1)


def test_a_value_that_is_used_twice_gets_two_shares(shown):
    graph_steps.show_sweeps(sweep_of(diamond, 3), "Two paths")
    said = [row["s"] for row in rows_at(shown[0], 7) if row["k"] == "says"]
    assert said[1] == "adjoint of a: 12 + 6 × 4 = 36"


def test_what_is_no_sweep_is_refused(shown):
    with pytest.raises(GraphError, match="3 states were given for 4 operations"):
        graph_steps.show_sweeps(sweep_of(worked_example, 4)[:3], "")
    long = [Node("v0", value=1.0)]
    long += [Node(f"v{i}", "triple", (f"v{i - 1}",)) for i in range(1, 17)]
    with pytest.raises(GraphError, match="16 operations are too many .* room for 15"):
        graph_steps.show_sweeps(sweep_of(lambda: long, 16), "")
    assert not shown


# --- the record of a tape


def test_a_record_is_walked_by_the_tapes_own_gradient(shown):
    w, x = Variable([0.5, -1.0]), np.array([2.0, 3.0])
    with Tape() as tape:
        u = exp(w * x)
        loss = u * w + u / 2.0
    graph_steps.show_record(tape, loss, w=w, x=x, u=u, loss=loss)
    steps = 2 * len(tape.notes) + 1
    adjoints = texts_at(shown[0], steps, "adjoint")
    values = texts_at(shown[0], steps, "value")
    by_w, by_u = Tape.gradient(tape, loss, [w, u])  # it was not used up by the figure
    assert adjoints["w"] == f"adjoint {show_value(by_w.numpy())}"
    assert adjoints["u"] == f"adjoint {show_value(by_u.numpy())}"
    assert values["x"] == "[2, 3]" and values["loss"] == show_value(loss.numpy())
    assert "x" not in adjoints  # a constant for the tape


def test_a_constant_is_told_from_a_variable_of_the_same_value(shown):
    w, x = Variable(3.0), 3.0
    with Tape() as tape:
        y = (w * x) * x
    graph_steps.show_record(tape, y, w=w, x=x, y=y)
    names = {row["s"] for row in rows_at(shown[0], 0) if row["k"] == "name"}
    assert names == {"w", "v1 = read(w)", "x", "v2 = v1 * x", "y = v2 * x"}
    assert texts_at(shown[0], 99, "adjoint")["w"] == "adjoint 9"


def test_a_record_that_cannot_be_drawn_is_refused():
    x = Variable(1.0)
    with Tape() as tape:
        y = x * 2.0
    with pytest.raises(GraphError, match="no operation on this tape's record made the target"):
        graph_steps.show_record(tape, x)
    tape.gradient(y, x)
    with pytest.raises(GraphError, match="holds no notes. Show it before you call gradient"):
        graph_steps.show_record(tape, y)
    with Tape() as tape:
        for _ in range(8):
            y = y * x
    with pytest.raises(
        GraphError, match="16 operations are too many for this figure, which has room for 15"
    ):
        graph_steps.show_record(tape, y)


def test_nodes_are_walked_by_their_engines_own_gradient(shown):
    a, b = engine.Node([2.0, 3.0]), engine.Node(0.5)
    y = engine.multiply(a, b)
    result = engine.add(y, engine.multiply(y, b))  # in this order a walk level by level errs
    graph_steps.show_nodes(result, engine.gradient, a=a, b=b, y=y)
    adjoints = texts_at(shown[0], 99, "adjoint")
    for name, bar in zip("ab", engine.gradient(result, [a, b])):
        assert adjoints[name] == f"adjoint {show_value(bar)}"
    graph_steps.show_nodes(result, engine.gradient, v1=a, v3=y)  # names like those of numbers
    names = {row["s"].split(" = ")[0] for row in rows_at(shown[1], 0) if row["k"] == "name"}
    assert names == {"v1", "c1", "v3", "v2", "v4"}
    half_way = texts_at(shown[0], 5, "adjoint")  # back through the sum only
    assert half_way["y"] == "adjoint [1, 1]" and "a" not in half_way
    with pytest.raises(GraphError, match="no operation made the result"):
        graph_steps.show_nodes(a, engine.gradient)
    for _ in range(60):
        y = engine.add(y, y)  # 2**60 paths: each node is met once, and no gradient asked for
    with pytest.raises(GraphError, match="61 operations are too many"):
        graph_steps.show_nodes(y, engine.gradient)


# --- a path that is cut


def test_the_arrow_is_cut_where_the_gradient_ends(shown):
    def program(by_v, by_x):
        return [
            Node("x", value=3.0, adjoint=by_x),
            Node("v", "round", ("x",), value=3.0, adjoint=by_v),
            Node("y", "square", ("v",), value=9.0, adjoint=1.0),
        ]

    graph_steps.show_cuts({"whole": program(6.0, 6.0), "cut": program(6.0, None)}, "Which?")
    for number, marks, gradient in [(0, 0, "6"), (1, 1, "None")]:
        rows = rows_at(shown[0], number)
        assert len([row for row in rows if row["k"] == "cross"]) == marks
        assert f"gradient of y for x: {gradient}" in [row["s"] for row in rows if "s" in row]
        assert texts_at(shown[0], number, "adjoint")["x"].endswith(gradient)


# --- curves


def test_the_walks_in_the_valley_are_gradient_descent_with_momentum():
    walked = moving_curves.walks(0.5, steps=3)
    for rate, places in zip(moving_curves.RATES, walked):
        place, speed = np.array([-2.0, 1.0]), 0.0
        for found in places[1:]:
            speed = 0.5 * speed - rate * place * [1, 12]
            place = place + speed
            np.testing.assert_allclose(found, place, rtol=1e-12)


def test_means_are_differences_of_sums():
    losses = np.random.default_rng(0).uniform(0.1, 2, 63)
    sums = moving_curves.sums_of(losses)
    assert len(sums) == 64
    np.testing.assert_allclose((sums[60] - sums[50]) / 10, losses[50:60].mean(), rtol=1e-5)


def test_shares_of_misled_trials_are_the_tables(shown):
    wrong = pd.DataFrame({(d, n): {"a": d / 10, "b": n / 100} for d in (0, 0.5) for n in (1, 2)})
    moving_curves.show_luck(wrong.T)
    [rows] = [table(text) for text in shown[0]["datasets"].values() if text.startswith("n,d,w,p")]
    found = {(row["d"] * 0.5, row["n"], row["w"]): row["p"] for row in rows}
    assert found == {(d, n, w): p for (d, n), shares in wrong.items() for w, p in shares.items()}


# --- what all have in common


def test_numbers_are_rounded_so_that_machines_agree():
    assert moving_figures.rounded([1 / 3, 2e-17, np.nan, np.inf]) == [0.3333, 2e-17, None, None]


def chart():
    rows = alt.Data(values=[{"x": 1, "n": 0}, {"x": 2, "n": 1}])
    base = alt.Chart(rows).transform_filter("datum.n == n").encode(x="x:Q")
    return alt.layer(base.mark_point(), base.mark_rule()).add_params(slider("n", "turns", most=1))


def test_a_specification_has_nothing_that_changes():
    spec = moving_figures.spec_of(chart(), "A point.")
    text = json.dumps(spec)
    assert json.dumps(moving_figures.spec_of(chart(), "A point.")) == text
    assert spec["$schema"].endswith("/v5.json")
    assert list(spec["datasets"]) == ["table1"]  # shared by both layers
    assert not re.search(r"view_\d|param_\d|data-[0-9a-f]{8}", text)


def test_a_figure_has_a_picture_and_a_sentence(monkeypatch):
    found = []
    monkeypatch.setattr(moving_figures, "display", lambda data, **more: found.append((data, more)))
    show_chart(chart(), "A point that moves.")
    [(bundle, more)] = found
    assert bundle["text/plain"] == "A point that moves." == bundle[MIME]["description"]
    assert bundle["image/png"].startswith(b"\x89PNG")
    assert all(0 < side < 1000 for side in more["metadata"]["image/png"].values())
