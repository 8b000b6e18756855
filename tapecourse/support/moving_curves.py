"""Curves that move: a secant, a mean that looks back, a walk down a valley, the luck of seeds."""

from collections.abc import Callable, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from tapecourse.support.graph_drawing import show_value
from tapecourse.support.moving_figures import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    rounded,
    show_chart,
    slider,
    tick_box,
)

__all__ = ["show_losses", "show_luck", "show_secant", "show_valley"]

STEEP = 12  # the valley of chapter 05: so much steeper across than along
LIMIT = 4.0  # beyond it, a walk down the valley is out of sight


def axis_x(field: str, title: str, low: float, high: float, **axis: Any) -> alt.X:
    """Make a horizontal axis with fixed ends, which don't move with the figure."""
    scale = alt.Scale(domain=[low, high], nice=False, type=axis.pop("type", "linear"))
    return alt.X(f"{field}:Q", title=title, scale=scale, axis=alt.Axis(**axis))


def axis_y(field: str, title: str, low: float, high: float, **axis: Any) -> alt.Y:
    """Make a vertical axis with fixed ends."""
    scale = alt.Scale(domain=[low, high], nice=False, type=axis.pop("type", "linear"))
    return alt.Y(f"{field}:Q", title=title, scale=scale, axis=alt.Axis(**axis))


def points_of(**columns: Any) -> alt.Data:
    """Make data of columns of numbers and texts, rounded."""
    kept = {
        name: rounded(values) if np.asarray(values).dtype.kind == "f" else list(values)
        for name, values in columns.items()
    }
    return alt.Data(values=[dict(zip(kept, row)) for row in zip(*kept.values())])


def labels(texts: Sequence[tuple], x: str = "x", y: str = "y") -> alt.Chart:
    """Write beside lines what they are."""
    rows = [{x: place[0], y: place[1], "s": place[2], "c": place[3]} for place in texts]
    mark = alt.Chart(alt.Data(values=rows)).mark_text(align="left", fontSize=12)
    return mark.encode(x=f"{x}:Q", y=f"{y}:Q", text="s:N", color=alt.Color("c:N", scale=None))


def panel(layers: list, width: int, head: str, said: str) -> Any:
    """Put layers on each other; below the head stands what an expression says."""
    text = alt.ExprRef(f"['{head}', {said}]")
    title = alt.TitleParams(text, fontSize=12, lineHeight=17, frame="group")
    return alt.layer(*layers).properties(width=width, height=240, title=title)


# --- chapter 01


def short(number: float) -> str:
    """Write an error with two digits."""
    return f"{number:.1e}".replace("-", "−")


def show_secant(
    f: Callable, x: float, exact: float, slopes: pd.DataFrame, truncation: np.ndarray
) -> None:
    """Show a secant that turns into the tangent, and its error, for a step that is halved.

    Parameters
    ----------
    f : callable
    x, exact : float
        Where the tangent touches, and its slope.
    slopes : DataFrame
        The columns "forward" and "central", a row for each step, which is the index.
    truncation : array
        The relative error of the forward difference in exact arithmetic, with its sign.
    """
    h, forward = slopes.index.to_numpy(), slopes["forward"].to_numpy()
    error, number = forward / exact - 1, np.arange(1, len(h) + 1)
    halved = [
        f"h = {show_value(step)}, slope {slope:.8f}, off by {short(e)}"
        for step, slope, e in zip(h, forward, error)
    ]
    parts = [f"truncation {short(t)}, round-off {short(e - t)}" for e, t in zip(error, truncation)]
    end = f(x) + forward * (2 - x), f(x) - forward * x
    rows = points_of(
        n=number,
        h=h,
        forward=abs(error),
        central=abs(slopes["central"] / exact - 1),
        t=abs(truncation),
        left=end[1],
        right=end[0],
        above=x + h,
        f=f(x + h),
    )
    chosen = "datum.n == k"
    wide = np.linspace(0, 2, 41) ** 2 / 2  # closer where the curve bends
    curve = points_of(x=wide, y=f(wide), t=f(x) + exact * (wide - x))
    plane = axis_x("x", "x", 0, 2), axis_y("y", "√x", 0, 1.8)
    base = alt.Chart(curve).encode(*plane)
    line = alt.Chart(rows).transform_filter(chosen).transform_calculate(zero="0", two="2")
    left = [
        base.mark_line(color="black"),
        base.mark_line(color=ORANGE, strokeDash=[6, 4], clip=True).encode(y="t:Q"),
        line.mark_rule(color=BLUE, strokeWidth=2.5, clip=True).encode(
            x=alt.X("zero:Q"), y="left:Q", x2="two:Q", y2="right:Q"
        ),
        line.mark_point(color=BLUE, filled=True, size=70, opacity=1).encode(x="above:Q", y="f:Q"),
        alt.Chart(points_of(x=[x], y=[f(x)]))
        .mark_point(color="black", filled=True, size=70, opacity=1)
        .encode(*plane),
        labels(
            [
                (0.85, 1.68, "tangent (dashed)", ORANGE),
                (1.6, 1.12, "√x", "black"),
                (0.05, 0.15, "secant (blue)", BLUE),
            ]
        ),
    ]
    tenths: dict[str, Any] = {
        "type": "log",
        "format": ".0e",
        "values": [10.0**-i for i in range(0, 17, 4)],
    }
    steps = axis_x("h", "step h (smaller to the right)", 1, 1e-16, **tenths)
    size = axis_y("forward", "relative error of the slope", 1e-12, 10, **tenths)
    logs = alt.Chart(rows).encode(steps, size)
    right = [
        logs.mark_line(color=GREY, strokeWidth=1.2, clip=True).encode(y="t:Q"),
        logs.mark_point(shape="square", color=GREEN, size=25, clip=True).encode(y="central:Q"),
        logs.mark_point(color=BLUE, size=35, clip=True),
        logs.mark_rule(color=BLUE, strokeWidth=1, strokeDash=[2, 2])
        .encode(y=alt.value(0), y2=alt.value(240))
        .transform_filter(chosen),
        logs.mark_point(color=BLUE, filled=True, size=130, opacity=1).transform_filter(chosen),
        labels(
            [
                (2e-11, 3e-10, "truncation", GREY),
                (3e-11, 2, "forward ○", BLUE),
                (1e-1, 1e-9, "central □", GREEN),
            ],
            "h",
            "forward",
        ),
    ]
    k = slider("k", "halve h, so many times", most=len(h), least=1, start=2)
    title = "The secant turns into the tangent, and then away from it"
    chart = alt.hconcat(
        panel(left, 300, "The slope ...", "halved[toNumber(k) - 1]"),
        panel(right, 300, "... and how wrong it is", "parts[toNumber(k) - 1]"),
        title=title,
    ).add_params(k, alt.param(name="halved", value=halved), alt.param(name="parts", value=parts))
    show_chart(
        chart,
        f"{title}. Left, the curve, its tangent and the secant for the step h; right, the "
        "relative errors of forward and central differences against h, both logarithmic.",
    )


# --- chapter 05


def show_losses(losses: np.ndarray, sizes: np.ndarray, at_end: float, validation: float) -> None:
    """Show the losses of an epoch's steps, and means that look back, over so many steps.

    Parameters
    ----------
    losses, sizes : arrays
        Of each step, in training mode: the mean loss of its batch, and how many images it has.
    at_end, validation : float
        Of training and validation images, when the epoch is over.
    """
    count, at = len(losses), np.arange(len(losses))
    low, high = max(0.8 * min(*losses, at_end, validation), 1e-6), 1.2 * max(losses)
    place = (
        axis_x("x", "epoch", 0, 1.04, tickCount=6),
        axis_y("loss", "loss (log scale)", low, high, type="log"),
    )
    base = alt.Chart(points_of(i=at, x=at / count, loss=losses)).encode(*place)
    n, half = "toNumber(n)", "floor(toNumber(n) / 2)"
    mean = base.transform_calculate(
        a=f"both ? max(0, datum.i - {half}) : max(0, datum.i + 1 - {n})",
        z=f"both ? min({count}, datum.i - {half} + {n}) : datum.i + 1",
    ).transform_calculate(
        loss="(sums[datum.z] - sums[datum.a]) / (images[datum.z] - images[datum.a])"
    )
    kinds = ["training images, evaluated again", "validation images"]
    ends = points_of(x=[1.0, 1.0], loss=[at_end, validation], s=kinds)

    def legend(colours_or_shapes: list[str]) -> dict[str, Any]:
        scale = alt.Scale(domain=kinds, range=colours_or_shapes)
        return {"title": "when the epoch is over", "scale": scale}

    layers = [
        base.mark_point(color=BLUE, size=18, opacity=0.5),
        mean.mark_line(color=BLUE, strokeWidth=3),
        alt.Chart(ends)
        .mark_point(filled=True, size=130, opacity=1)
        .encode(
            *place,
            shape=alt.Shape("s:N", **legend(["diamond", "square"])),
            color=alt.Color("s:N", **legend([GREEN, ORANGE])),
        ),
    ]
    looked = f"min({n}, {count})"
    last = f"(both ? ceil({n} / 2) : {looked})"
    both_sums = [f"({name}[{count}] - {name}[{count} - {last}])" for name in ("sums", "images")]
    end = f"format({' / '.join(both_sums)}, '.3f')"
    said = f"'the mean of ' + {last} + ' steps at the end is ' + {end}"
    said += f" + ', evaluated again it is {at_end:.3f}, validation {validation:.3f}'"
    window = slider("n", "how many steps the mean covers", most=count, least=1, start=count)
    both = tick_box("both", "let it look to both sides")
    title = "The longer a mean looks back, the older the network that it judges"
    chart = panel(layers, 620, title, said).properties(height=280)
    chart = chart.configure_legend(orient="top-right")
    lists = {"sums": sums_of(losses * sizes), "images": sums_of(sizes)}
    chart = chart.add_params(window, both, *(alt.param(name=n, value=v) for n, v in lists.items()))
    show_chart(
        chart,
        "The loss of each step of an epoch, and a line through means of them. The mean of all is "
        f"{np.average(losses, weights=sizes):.3f}. When the epoch is over, the network has "
        f"{at_end:.3f} on training images, and {validation:.3f} on validation images.",
    )


def sums_of(numbers: np.ndarray) -> list:
    """Return the sums of the first 0, 1, 2, ... numbers; that of a stretch is a difference."""
    return rounded(np.cumsum([0, *numbers]), 8)


RATES = [round(0.02 * i, 2) for i in range(1, 11)]
MOMENTA = [round(0.1 * i, 1) for i in range(10)]


def walks(momentum: float, steps: int = 30) -> np.ndarray:
    """Walk down the valley with Keras's SGD, once with each rate; return (rates, steps, 2).

    One optimizer does it for all rates: to walk with a rate is to walk with the rate 1 and a
    slope that is multiplied by it.
    """
    import keras

    place = keras.Variable(np.tile([-2.0, 1.0], (len(RATES), 1)), dtype="float64")
    slope = np.outer(RATES, [1.0, STEEP])
    optimizer = keras.optimizers.SGD(1.0, momentum=momentum)
    places = [np.array(keras.ops.convert_to_numpy(place))]
    for _ in range(steps):
        optimizer.apply([keras.ops.multiply(slope, place)], [place])
        places.append(np.array(keras.ops.convert_to_numpy(place)))
    return np.stack(places, axis=1)


def show_valley() -> None:
    """Show walks down the valley (x² + 12 y²) / 2, with sliders for learning rate and momentum."""
    paths, texts, heights = [], [], []
    found = np.array([walks(momentum) for momentum in MOMENTA]).swapaxes(0, 1)
    for i, j in np.ndindex(len(RATES), len(MOMENTA)):
        places = found[i, j]
        gone = np.flatnonzero(abs(places).max(axis=1) > LIMIT)
        seen = places[: gone[0] + 1] if len(gone) else places
        x, y = (" ".join(f"{number:g}" for number in rounded(side, 3)) for side in seen.T)
        paths.append({"i": i, "j": j, "x": x, "y": y})  # in one text each, which is shorter
        height = (places[-1, 0] ** 2 + STEEP * places[-1, 1] ** 2) / 2
        texts.append(f"learning rate {RATES[i]:.2f}, momentum {MOMENTA[j]:.1f}")
        heights.append(f"after {len(places) - 1} steps: height {show_value(height)}")
    chosen = alt.Chart(alt.Data(values=paths))
    chosen = chosen.transform_filter("datum.i == rate && datum.j == momentum")
    texts_of = {side: f"split(datum.{side}, ' ')" for side in ("x", "y")}
    numbers = {side: f"toNumber(datum.{side})" for side in ("x", "y")}
    points = (
        chosen.transform_calculate(**texts_of)
        .transform_flatten(["x", "y"])
        .transform_window(number="row_number()")
        .transform_calculate(**numbers, t="datum.number - 1")
        .transform_calculate(height=f"(datum.x * datum.x + {STEEP} * datum.y * datum.y) / 2")
    )
    plane = axis_x("x", "along the valley", -2.6, 2.6), axis_y("y", "across", -1.3, 1.3)
    path = points.encode(*plane, order="t:Q")
    dots: dict[str, Any] = dict(color=BLUE, filled=True, size=22, opacity=1, clip=True)
    left = [
        alt.Chart(rings())
        .mark_line(color="#BBBBBB", strokeWidth=1, clip=True)
        .encode(*plane, detail="c:N", order="o:Q"),
        path.mark_line(color=BLUE, strokeWidth=1.5, clip=True),
        path.mark_point(**dots),
        labels([(-2.15, 1.13, "start", BLUE), (0.05, -0.2, "lowest point", "black")]),
        alt.Chart(points_of(x=[0.0], y=[0.0]))
        .mark_point(shape="cross", color="black", size=60)
        .encode(*plane),
    ]
    powers: dict[str, Any] = {"type": "log", "format": ".0e", "values": [1e-4, 1e-2, 1, 100]}
    falls = points.encode(
        axis_x("t", "step", 0, found.shape[2] - 1),
        axis_y("height", "height", 1e-4, 100, **powers),
        order="t:Q",
    )
    right = [falls.mark_line(color=BLUE, clip=True), falls.mark_point(**dots)]
    at = f"[{len(MOMENTA)} * toNumber(rate) + toNumber(momentum)]"
    span = f"learning rate, from {RATES[0]:.2f} to {RATES[-1]:.2f}"
    rate = slider("rate", span, most=len(RATES) - 1, start=len(RATES) // 2)
    span = f"momentum, from {MOMENTA[0]:.1f} to {MOMENTA[-1]:.1f}"
    momentum = slider("momentum", span, most=len(MOMENTA) - 1)
    title = "Small steps creep, large ones bounce; momentum carries along the valley"
    chart = alt.hconcat(
        panel(left, 300, "Seen from above", f"texts{at}"),
        panel(right, 300, "How far down", f"heights{at}"),
        title=title,
    )
    lists = [alt.param(name="texts", value=texts), alt.param(name="heights", value=heights)]
    show_chart(
        chart.add_params(rate, momentum, *lists),
        f"{title}. Left, a walk down a narrow valley from above; right, its height at each step, "
        "on a logarithmic axis.",
    )


def rings() -> alt.Data:
    """Return the valley's lines of equal height."""
    around = np.linspace(0, 2 * np.pi, 49)
    rows = []
    for level in (0.02, 0.2, 0.8, 2, 4, 8):
        x = np.sqrt(2 * level) * np.cos(around)
        y = np.sqrt(2 * level / STEEP) * np.sin(around)
        for order, place in enumerate(zip(x.round(3).tolist(), y.round(3).tolist())):
            rows.append({"x": place[0], "y": place[1], "c": level, "o": order})
    return alt.Data(values=rows)


# --- chapter 09


def show_luck(wrong: pd.DataFrame) -> None:
    """Show how often the worse of two settings looks better, with a slider for their difference.

    Parameters
    ----------
    wrong : DataFrame
        For each true difference (the index, from 0 and evenly spaced, in units of the noise) and
        number of seeds, in this order, a share of the trials for each way to compare.
    """
    ways = list(wrong.columns)
    differences = sorted(set(wrong.index.get_level_values(0)))
    gap = float(differences[1])
    rows = [
        {"n": n, "d": round(difference / gap), "w": way, "p": float(f"{share:.4g}")}
        for difference, n in wrong.index
        for way, share in wrong.loc[(difference, n)].items()
    ]
    bells = alt.Chart(points_of(x=np.linspace(-3, 6, 91)))
    shift = f"(toNumber(d) * {gap:g})"

    def bell(middle: str, color: str, dash: list[int]) -> alt.Chart:
        height = f"exp(-pow(datum.x - {middle}, 2) / 2) / sqrt(2 * PI)"
        return (
            bells.transform_calculate(y=height)
            .mark_line(color=color, strokeDash=dash)
            .encode(
                axis_x("x", "loss of one run, in units of the noise", -3, 6),
                axis_y("y", "how often", 0, 0.5),
            )
        )

    left = [
        bell("0", BLUE, [1, 0]),
        bell(shift, ORANGE, [6, 4]),
        labels([(-2.8, 0.45, "better (solid)", BLUE), (2.6, 0.45, "worse (dashed)", ORANGE)]),
    ]
    shares = (
        alt.Chart(alt.Data(values=rows))
        .transform_filter("datum.d == d")
        .encode(
            axis_x("n", "seeds of each setting", 0, max(row["n"] for row in rows) + 0.5),
            axis_y("p", "the worse setting looks better", 0, 0.7, format="%"),
            color=alt.Color(
                "w:N", legend=None, scale=alt.Scale(domain=ways, range=[ORANGE, BLUE])
            ),
        )
    )
    shapes = alt.Scale(domain=ways, range=["square", "circle"])
    right = [
        shares.mark_line(),
        shares.mark_point(filled=True, size=45, opacity=1).encode(
            shape=alt.Shape("w:N", legend=None, scale=shapes)
        ),
        labels([(9, 0.66, f"□ {ways[0]}", ORANGE), (9, 0.6, f"○ {ways[1]}", BLUE)], "n", "p"),
    ]
    move = slider("d", "true difference", most=len(differences) - 1, start=len(differences) // 4)
    title = "Every extra seed makes a mean safer; the best run stays a lottery"
    said = f"'the worse is worse by ' + format({shift}, '.2f') + ' times the noise'"
    chart = alt.hconcat(
        panel(left, 300, "Two settings", said),
        panel(
            right, 300, "How often you are misled", "'two best runs are compared, or two means'"
        ),
        title=title,
    )
    show_chart(
        chart.add_params(move),
        f"{title}. Left, the losses of two settings as bell curves; right, the share of trials in "
        "which the worse one looks better, against the number of seeds.",
    )
