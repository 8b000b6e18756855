"""How the site shows a notebook: folded set-up, described figures, figures that move, links.

Sphinx reads each notebook through `prepare`, which changes what is shown and never the file.
"""

import json
import re
import shutil
from collections.abc import Collection
from html import escape
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import nbformat
import vl_convert
from course_pages import mark_terms
from sphinx.application import Sphinx

VEGA = "application/vnd.vegalite.v5+json"
VEGA_FIGURE = 'class="vega-figure"'
VEGA_SCRIPT = "vega_figures.js"
DRAW = """
const silent = {aria: false};  // a picture with one description, and not a list of its marks
const options = {actions: false, renderer: "svg", config: {mark: silent, title: silent}};
for (const figure of document.querySelectorAll(".vega-figure")) {
  const drawing = JSON.parse(figure.querySelector("script").textContent);
  vegaEmbed(figure.querySelector("div"), drawing, options).then(() => {
    const picture = figure.querySelector("svg");
    picture.setAttribute("role", "img");
    picture.setAttribute("aria-label", drawing.description);
    window.dispatchEvent(new Event("resize"));  // the theme looks again for what scrolls
  });
}
"""
WIDE = 560  # pixels; wider figures scroll on a narrow screen, rather than become illegible
FOLDED = {
    "setup": "Set-up: imports",
    "parameters": "Set-up: the parameters of this notebook",
    "check-parameters": "Set-up: checks of the parameters",
    "imports": "Imports",
}
FIGURE = re.compile(r"\*(Figure \d+: .+?)\*(?:\n\n|\Z)", re.DOTALL)
FORMULA = re.compile(r"(```.*?```|`[^`]*`|\$\$.*?\$\$)|(\(?\$[^$]+\$[.,;:?!)]*)", re.DOTALL)
NUMBER = re.compile(r"<td>(?=[-−]?\d[\d.,e+%−-]*</td>)")
SOLUTION = re.compile(r"\[([^]]+)\]\((?:\.\./)+(solutions/[^)]+)\)")


def prepare(app: Sphinx, docname: str, source: list[str]) -> None:
    """Change a notebook before Sphinx parses it."""
    if not docname.startswith(("notebooks/", "exercises/")):
        return
    notebook = nbformat.reads(source[0], as_version=4)
    for cell, below in zip(notebook.cells, [*notebook.cells[1:], None]):
        if cell.cell_type == "code":
            fold(cell)
            show_figures(cell, below.source if below else "")
        else:
            cell.source = link_solutions(cell.source, app.config.course_repository)
    mark_terms(docname, notebook.cells)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = FORMULA.sub(keep_together, cell.source)
    source[0] = nbformat.writes(notebook)


def fold(cell: nbformat.NotebookNode) -> None:
    """Fold code that isn't taught: the set-up, and cells of nothing but imports."""
    name = "parameters" if "parameters" in cell.metadata.get("tags", []) else cell.id
    code = [line for line in cell.source.splitlines() if line and line[0] not in " )#%"]
    if name not in FOLDED and code and all(re.match("import |from ", line) for line in code):
        name = "imports"
    if name in FOLDED:
        cell.metadata.tags = [*cell.metadata.get("tags", []), "hide-input"]
        shown = {"code_prompt_show": FOLDED[name], "code_prompt_hide": FOLDED[name]}
        cell.metadata.mystnb = shown


def show_figures(cell: nbformat.NotebookNode, below: str) -> None:
    """Describe the figure of a cell by the sentence below it; let a figure of Vega-Lite move."""
    found = FIGURE.match(below)
    sentence = " ".join(re.sub(r"[*`]", "", found[1]).split()) if found else ""
    if sentence:
        cell.metadata.mystnb = cell.metadata.get("mystnb", {}) | {"image": {"alt": sentence}}
    for output in cell.outputs:
        data = output.get("data", {})
        if output.get("metadata", {}).get("image/png", {}).get("width", 0) > WIDE:
            cell.metadata.tags = [*cell.metadata.get("tags", []), "wide-figure"]
        data.pop("application/json", None)  # for programs
        if "text/html" in data:
            data["text/html"] = NUMBER.sub('<td class="number">', data["text/html"])
        if VEGA in data:
            output.data = {"text/html": vega_figure(data, sentence)}


def vega_figure(data: dict, sentence: str) -> str:
    """Return what the script of `DRAW` draws, with the picture for readers without scripts."""
    drawing = json.dumps({"description": sentence} | data[VEGA]).replace("</", r"<\/")
    picture = data.get("image/png", "").replace("\n", "")
    return (
        f'<div {VEGA_FIGURE}><div></div><script type="application/json">{drawing}</script>'
        f'<noscript><img alt="{escape(sentence)}" src="data:image/png;base64,{picture}">'
        "</noscript></div>"
    )


def keep_together(found: re.Match) -> str:
    """Keep a line from ending between a formula and the full stop or bracket beside it."""
    return found[1] or f'<span class="together">{found[2]}</span>'


def link_solutions(source: str, repository: str) -> str:
    """Link solutions, which the site doesn't hold, to the repository, or only name them."""
    if repository:
        return SOLUTION.sub(rf"[\1]({repository}/blob/HEAD/\2)", source)
    return SOLUTION.sub(r"\1 (`\2`)", source)


def bar_links(docname: str, pages: Collection[str], repository: str) -> dict[str, str]:
    """Return what the line below a notebook's title links to."""
    up = "../" * docname.count("/")
    links = {"Download this notebook": f"{up}_sources/{docname}.ipynb"}
    exercises = docname.replace("notebooks", "exercises") + "/" + docname.split("/")[-1]
    if exercises in pages:
        links = {"Exercises": f"{up}{exercises}.html"} | links
    if repository:
        owner_and_name = "/".join(repository.rstrip("/").split("/")[-2:])
        binder = f"https://mybinder.org/v2/gh/{owner_and_name}/HEAD"
        links["View it on GitHub"] = f"{repository}/blob/HEAD/{docname}.ipynb"
        links["Run it on Binder"] = f"{binder}?labpath={quote(docname, safe='')}.ipynb"
    return links


def add_bar(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    """Put a line of links below the title of a notebook."""
    if page.startswith(("notebooks/", "exercises/")):
        links = bar_links(page, app.env.found_docs, app.config.course_repository)
        items = "".join(
            f'<a href="{address}"{" download" * ("_sources" in address)}>{name}</a>'
            for name, address in links.items()
        )
        bar = f'<nav class="notebook-bar" aria-label="This notebook">{items}</nav>'
        context["body"] = context["body"].replace("</h1>", f"</h1>\n{bar}", 1)


def add_vega(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    """Load Vega on pages that have a figure that moves, and on no others."""
    if VEGA_FIGURE in context.get("body", ""):
        script = Path(app.outdir, "_static", VEGA_SCRIPT)
        if not script.exists():
            script.write_text(vl_convert.javascript_bundle(DRAW, vl_version="5.20"))
        app.add_js_file(VEGA_SCRIPT, type="module")


def copy_mathjax(app: Sphinx, error: Exception | None) -> None:
    """Copy what formulas need of MathJax: a twentieth of its package."""
    if error is None:
        spec = find_spec("sphinx-mathjax-offline")
        source = Path(spec.origin).parent / "static/mathjax"
        target = Path(app.outdir, "_static/mathjax")
        for part in ("input/tex/extensions", "output/chtml/fonts/woff-v2"):
            shutil.copytree(source / part, target / part, dirs_exist_ok=True)
        shutil.copy(source / "tex-chtml.js", target)


def escape_bars(
    app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]
) -> None:
    """Keep |x| in a docstring from being read as a substitution of reStructuredText."""
    lines[:] = [re.sub(r"(`.*?`)|\|", lambda found: found[1] or r"\|", line) for line in lines]


def leave_out(
    app: Sphinx, what: str, name: str, thing: object, skipped: bool, options: object
) -> bool | None:
    """Leave out what Python itself writes of the fields of a named tuple."""
    return True if str(thing.__doc__).startswith("Alias for field number") else None


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_config_value("course_repository", "", "html", str)
    app.connect("source-read", prepare)
    app.connect("html-page-context", add_bar)
    app.connect("html-page-context", add_vega)
    app.connect("build-finished", copy_mathjax)
    app.connect("autodoc-process-docstring", escape_bars)
    app.connect("autodoc-skip-member", leave_out)
    return {"parallel_read_safe": True}
