"""The site: built as `make site` does, then read as files, and in a browser as readers do."""

import html
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from axe_core_python.base import AXE_SCRIPT
from conftest import CHAPTERS, ROOT, read
from playwright.sync_api import Page

sys.path.append(str(ROOT / "docs"))

import course_notebooks
import course_pages
import course_reader

EXERCISES = sorted((ROOT / "exercises").glob("*/*.ipynb"))
FORMULAS_DONE = "async () => { await window.MathJax?.startup?.promise }"
# Answers are unfolded; formulas, thousands of elements, are taken out before axe looks. Coloured
# code stays once for each colour.
CLEAR = """() => {
  document.querySelectorAll("details").forEach(each => each.open = true);
  document.querySelectorAll("mjx-container").forEach(each => each.replaceChildren());
  const still = "<style>* { transition: none !important }</style>";
  document.head.insertAdjacentHTML("beforeend", still);
  const seen = new Set();
  for (const each of document.querySelectorAll("pre span, .sig span")) {
    const kind = each.className + (each.closest(".output") ? " output" : "");
    if (each.id || !seen.has(kind)) seen.add(kind);
    else each.replaceWith(...each.childNodes);
  }
}"""
# Elements of a kind have the same colours: those of the same name, classes and style, in elements
# of the same kinds, in an odd or even row, scrolling or not. All pages share their style sheets.
# So one of each kind stays, where it first occurs; the browser remembers kinds between pages.
KINDS = """() => {
  document.querySelectorAll("svg > *").forEach(each => each.remove());
  const numbers = new Map(JSON.parse(localStorage.kinds || "[]")), kinds = new Map();
  const again = [...document.querySelectorAll("body *")].filter(each => {
    const row = each.matches("tr, li, dd") && [...each.parentNode.children].indexOf(each) % 2;
    const kind = [kinds.get(each.parentNode), each.tagName, each.getAttribute("class"),
      each.getAttribute("style"), row, each.scrollWidth > each.clientWidth].join(" ");
    const seen = numbers.has(kind);
    if (!seen) numbers.set(kind, numbers.size);
    kinds.set(each, numbers.get(kind));
    return seen && !each.id.startsWith("pst");  // which the theme's scripts would miss
  });
  again.reverse().forEach(each => each.children.length || each.remove());
  localStorage.kinds = JSON.stringify([...numbers]);
}"""
AXE = """async options => {
  const found = await axe.run(document, {resultTypes: ["violations"], preload: false, ...options});
  return found.violations.filter(each => ["critical", "serious"].includes(each.impact))
    .map(each => [each.id, each.nodes[0].html, each.nodes[0].failureSummary]);
}"""
COLOURS = {"runOnly": ["color-contrast"]}
# Where one of each kind is left, labels and lists aren't whole.
OF_KINDS = {"rules": {rule: {"enabled": False} for rule in ("region", "label", "definition-list")}}
ALL_BUT_COLOURS = {"rules": {rule: {"enabled": False} for rule in ("region", "color-contrast")}}


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("site") / "site"
    command = [sys.executable, ROOT / "docs" / "build.py", "--out", out]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return out


@cache
def pages_of(site: Path) -> dict[str, str]:
    """Return the pages by their addresses."""
    files = sorted(site.rglob("*.html"))
    pages = {str(file.relative_to(site)): file.read_text() for file in files}
    return {name: text for name, text in pages.items() if not name.startswith("_static")}


# --- the files


def test_each_notebook_has_its_page_and_is_offered_unchanged(site):
    for path in [*CHAPTERS, *EXERCISES]:
        name = path.relative_to(ROOT)
        assert str(name.with_suffix(".html")) in pages_of(site)
        assert (site / "_sources" / name).read_bytes() == path.read_bytes(), name
    assert not [name for name in pages_of(site) if "solutions" in name]


def test_no_link_is_dead_and_nothing_is_loaded_from_elsewhere(site):
    pages = pages_of(site)
    anchors = {
        name: {html.unescape(each) for each in re.findall(r'\bid="([^"]*)"', text)}
        for name, text in pages.items()
    }
    for name, text in pages.items():
        for loaded in re.findall(
            r'<(?:script|img|link|iframe)\b[^>]*\b(?:src|href)="([^"]*)"', text
        ):
            assert not loaded.startswith(("http", "//")), f"{name} loads {loaded}"
        for link in re.findall(r'\b(?:href|src)="([^"]*)"', text):
            parts = urlsplit(html.unescape(link))
            if parts.scheme or link == "#":
                continue
            target = (site / name).parent / unquote(parts.path) if parts.path else site / name
            assert target.is_file(), f"{name}: {link}"
            there = anchors.get(str(target.resolve().relative_to(site.resolve())))
            found = not parts.fragment or there is None or unquote(parts.fragment) in there
            assert found, f"{name}: no {link}"


def test_each_picture_says_what_it_shows(site):
    for path in CHAPTERS:
        text = pages_of(site)[f"notebooks/{path.stem}.html"]
        described = [
            html.unescape(each) for each in re.findall(r'<img alt="(Figure [^"]*)"', text)
        ]
        cells = read(path).cells
        kinds = [
            kind
            for cell in cells
            for out in cell.get("outputs", [])
            for kind in out.get("data", {})
        ]
        assert len(described) == kinds.count("image/png"), path.name
        assert all(len(each) > 30 for each in described)
    for name, text in pages_of(site).items():
        for picture in re.findall(r"<img\b[^>]*>", text):
            assert re.search(r'\balt="[^"]', picture), f"{name}: {picture}"


def test_set_up_is_folded_and_taught_code_is_not(site):
    text = pages_of(site)["notebooks/05_training_loop.html"]
    folded = "".join(re.findall(r'<details class="admonition hide.*?</details>', text, re.DOTALL))
    for code in ("load_ext", "check_parameters", "learning_rate"):
        assert code in folded
    assert "GradientTape" in text and "GradientTape" not in folded


def test_the_map_says_what_the_chapters_say(site):
    front = pages_of(site)["index.html"]
    rows = re.findall(r"<li><span class=\"number\".*?</li>", front, re.DOTALL)
    assert len(rows) == len(CHAPTERS)
    for path, row in zip(CHAPTERS, rows):
        header = read(path).cells[0].source
        assert f'href="notebooks/{path.stem}.html"' in row
        assert f"{re.search(r'Time:.. (.+?) minutes', header)[1]} minutes" in row
    assert course_reader.read_chapters()["03"].needs == ("01", "02")
    assert course_reader.chapters_named("chapters 01 to 03 and 09") == ("01", "02", "03", "09")


def test_links_to_the_repository_need_its_address():
    pages = ["exercises/02_graph/02_graph"]
    without = course_notebooks.bar_links("notebooks/02_graph", pages, "")
    assert without == {
        "Exercises": "../exercises/02_graph/02_graph.html",
        "Download this notebook": "../_sources/notebooks/02_graph.ipynb",
    }
    named = course_notebooks.bar_links("notebooks/02_graph", pages, "https://github.com/me/it")
    assert (
        named["View it on GitHub"] == "https://github.com/me/it/blob/HEAD/notebooks/02_graph.ipynb"
    )
    assert named["Run it on Binder"].startswith(
        "https://mybinder.org/v2/gh/me/it/HEAD?labpath=note"
    )
    link = "the [solutions](../../solutions/02/02.ipynb)"
    assert course_notebooks.link_solutions(link, "") == "the solutions (`solutions/02/02.ipynb`)"
    assert "/blob/HEAD/solutions/" in course_notebooks.link_solutions(
        link, "https://github.com/me/it"
    )


def test_what_no_chapter_says_is_refused():
    [term] = course_pages.read_terms("adjoint | 02 | This is the node's **adjective**")
    with pytest.raises(course_reader.SiteError, match="adjective"):
        course_pages.definition(term)
    bugs = (ROOT / "docs" / "bugs.md").read_text()
    assert bugs.count("\n### ") > 20
    for right, wrong, said in [
        ("0.141", "0.142", "doesn't have .'0.142'"),
        ("`scale_loss`", "`scale_gain`", "doesn't have .'scale_gain'"),
        ("#5.-Fan-out:", "#6.-Fan-out:", "no section"),
        ("**Where.** [Chapter 02", "**There.** [Chapter 02", "no Where"),
    ]:
        assert right in bugs
        with pytest.raises(course_reader.SiteError, match=said):
            course_pages.check_bugs(bugs.replace(right, wrong))


def test_a_section_ends_where_the_next_begins():
    for chapter in course_reader.read_chapters().values():
        for section in course_reader.sections(chapter):
            cells = [cell for cell in section.cells if cell.cell_type == "markdown"]
            found = [each for cell in cells for each in course_reader.headings(cell.source)]
            below = found[found.index((section.level, section.title)) + 1 :]
            assert all(level > section.level for level, _ in below), section.title


# --- in a browser


@pytest.fixture(scope="module")
def url(site) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=site))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.fixture(scope="module")
def page(browser, url) -> Iterator[Page]:
    page = browser.new_page()
    page.set_default_timeout(600_000)  # only says when to give up
    page.complaints = []
    page.on("console", lambda said: said.type == "error" and page.complaints.append(said.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on(
        "request",
        lambda asked: asked.url.startswith((url, "data:")) or page.complaints.append(asked.url),
    )
    yield page
    page.close()


def show(page: Page, width: int, mode: str) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=mode)


def test_each_page_is_sound_at_both_widths_and_in_both_modes(site, url, page):
    wrong = []
    for name in pages_of(site):
        show(page, 1280, "light")
        page.goto(url + name)
        page.evaluate(FORMULAS_DONE)
        unread = page.locator(".math:not(:has(> mjx-container)), mjx-merror")
        wrong += [(name, "a formula", each) for each in unread.all_inner_texts()]
        move_figures(page)
        page.evaluate(CLEAR)
        page.evaluate(AXE_SCRIPT)
        wrong += [(name, *found) for found in page.evaluate(AXE, ALL_BUT_COLOURS)]
        for width, mode in [(1280, "light"), (390, "dark")]:
            show(page, width, mode)
            if page.evaluate("document.documentElement.scrollWidth") > width:
                wrong.append((name, width, "scrolls sideways"))
        page.evaluate(KINDS)
        for width, mode in [(390, "dark"), (390, "light"), (1280, "light"), (1280, "dark")]:
            show(page, width, mode)
            page.wait_for_selector(f"html[data-theme={mode}]")
            rules = OF_KINDS if (width, mode) == (390, "light") else COLOURS
            wrong += [(name, width, mode, *found) for found in page.evaluate(AXE, rules)]
        wrong += [(name, said) for said in page.complaints]
        page.complaints.clear()
    assert not wrong, "\n".join(map(str, wrong))


def move_figures(page: Page) -> None:
    """Move each figure's slider by a key, and wait until the figure changes."""
    for figure in page.locator(".vega-figure").all():
        slider, picture = figure.locator("input[type=range]").first, figure.locator("svg")
        before = picture.inner_html()
        slider.focus()
        last = slider.input_value() == slider.get_attribute("max")
        page.keyboard.press("ArrowLeft" if last else "ArrowRight")
        page.wait_for_function(
            "([svg, old]) => svg.innerHTML !== old", arg=[picture.element_handle(), before]
        )


@pytest.mark.parametrize(
    "term, found",
    [
        ("adjoint", "notebooks/02_computational_graph.html"),
        ("cancellation", "notebooks/01_differentiation.html"),
        ("dropout", "notebooks/05_training_loop.html"),
    ],
)
def test_search_finds(url, page, term, found):
    page.goto(f"{url}search.html?q={term}")
    page.wait_for_selector(f'#search-results a[href^="{found}"]')
    assert not page.complaints


def test_on_paper_all_is_open_and_light_and_nothing_is_in_the_way(url, page):
    page.goto(f"{url}notebooks/02_computational_graph.html")
    show(page, 1280, "dark")
    folded, html = page.locator("details:not([open])"), page.locator("html")
    before = folded.count(), html.get_attribute("data-theme")
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert (folded.count(), html.get_attribute("data-theme")) == (0, "light")
    for away in (".notebook-bar", ".bd-sidebar-primary", ".prev-next-footer", ".vega-bindings"):
        assert page.locator(away).count() and not page.locator(away).first.is_visible(), away
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen")
    assert before[0] and (folded.count(), html.get_attribute("data-theme")) == before
