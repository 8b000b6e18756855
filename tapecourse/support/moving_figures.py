"""Figures that move without a kernel: Altair's charts, with sliders and tick boxes of their own.

JupyterLab and the site draw them with Vega-Lite; where nothing draws that, a picture stands in.
"""

import csv
import json
from io import BytesIO, StringIO
from typing import Any

import altair as alt
import numpy as np
import vl_convert
from IPython.display import display
from PIL import Image

__all__ = [
    "BLUE",
    "GREEN",
    "GREY",
    "ORANGE",
    "picture_of",
    "rounded",
    "show_chart",
    "slider",
    "spec_of",
    "tick_box",
]

MIME = "application/vnd.vegalite.v5+json"
SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#B34700", "#006B4F", "#595959"  # dark enough for text
SCALE = 1.5  # pixels of the picture for one of the figure
# Vega hands these on to the slider's element, except if it is declared a "range". JupyterLab
# would take the arrow keys away from it for its own commands. Its value is then a text: in an
# expression, compare it with a number, or write toNumber(...).
RANGE = {
    "input": "number",
    "type": "range",
    "data-lm-suppress-shortcuts": "true",
    "style": "width: 18em; vertical-align: middle",
}


def slider(
    name: str, label: str, most: float, least: float = 0, start: float = 0
) -> alt.Parameter:
    """Make a parameter of a chart that the reader moves, with the arrow keys as well."""
    bind = alt.binding_range(min=least, max=most, step=1, name=f"{label} ")
    return alt.param(name=name, value=start, bind=bind)


def tick_box(name: str, label: str) -> alt.Parameter:
    """Make a parameter of a chart that is true or false, at first false."""
    return alt.param(name=name, value=False, bind=alt.binding_checkbox(name=f"{label} "))


def rounded(values: Any, digits: int = 4) -> list:
    """Round numbers to some significant digits, so that machines agree on them; nan is None."""

    def one(value: Any) -> float | None:
        return float(f"{value:.{digits}g}") if np.isfinite(value) else None

    return np.vectorize(one, otypes=[object])(np.asarray(values, "float64")).tolist()


def share_data(spec: dict) -> None:
    """Move each table of a specification to its top, once, called table1, table2, ..., as CSV."""
    tables: dict[str, dict] = {}
    spec["datasets"] = {}
    waiting: list[Any] = [spec]
    while waiting:
        part = waiting.pop(0)
        if isinstance(part, list):
            waiting += part
        elif isinstance(part, dict):
            if "values" in (table := part.get("data", {})):
                text, types = as_csv(table["values"])
                if text not in tables:
                    name = f"table{len(tables) + 1}"
                    tables[text] = {"name": name, "format": {"type": "csv", "parse": types}}
                    spec["datasets"][name] = text
                part["data"] = tables[text]
            waiting += [value for name, value in part.items() if name not in ("data", "datasets")]


def as_csv(rows: list[dict]) -> tuple[str, dict[str, str]]:
    """Write rows as CSV, which is a fraction of the JSON; return the types of the columns too."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    numeric = {n: all(not isinstance(row.get(n), str) for row in rows) for n in names}
    return text.getvalue(), {n: "number" if numeric[n] else "string" for n in names}


def spec_of(chart: Any, sentence: str) -> dict:
    """Return a chart's Vega-Lite specification, the same each time that it is made."""
    with alt.data_transformers.enable(consolidate_datasets=False, max_rows=None):
        spec = chart.to_dict()
    share_data(spec)
    for parameter in spec["params"]:
        if parameter.get("bind", {}).get("input") == "range":
            parameter["bind"] |= RANGE
    spec |= {"$schema": SCHEMA, "description": sentence}
    spec["background"] = "white"
    legend = spec["config"].get("legend", {})
    spec["config"] = {
        "view": {"stroke": None},
        "axis": {
            "labelFontSize": 12,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "labelFlush": False,
        },
        "legend": legend
        | {"labelFontSize": 12, "titleFontSize": 12, "symbolStrokeWidth": 2, "labelLimit": 0},
        "title": {"fontSize": 14, "fontWeight": "normal", "anchor": "start"},
    }
    spec["usermeta"] = {"embedOptions": {"actions": False, "renderer": "svg"}}
    return spec


def picture_of(spec: dict) -> bytes:
    """Draw a specification, with the values that its parameters start with, as a small PNG."""
    large = vl_convert.vegalite_to_png(json.dumps(spec), vl_version="5.20", scale=SCALE)
    picture = Image.open(BytesIO(large)).convert("RGB").quantize(32, dither=Image.Dither.NONE)
    small = BytesIO()
    picture.save(small, "PNG", optimize=True)
    return small.getvalue()


def show_chart(chart: Any, sentence: str) -> None:
    """Show an Altair chart that moves without a kernel.

    Parameters
    ----------
    chart : altair chart
        Of Vega-Lite 5, with bound parameters: see `slider` and `tick_box`. Give each parameter a
        name, and round the data with `rounded`, since the tests compare them exactly.
    sentence : str
        Says what is to be seen, for those who don't see it.
    """
    spec = spec_of(chart, sentence)
    picture = picture_of(spec)
    width, height = (round(int.from_bytes(picture[at : at + 4], "big") / SCALE) for at in (16, 20))
    display(
        {MIME: spec, "image/png": picture, "text/plain": sentence},
        raw=True,
        metadata={"image/png": {"width": width, "height": height}},
    )
