"""The parts of the site's own pages that are made from the chapters, and the checks of the rest.

A page asks for such a part by a block of code whose language is the part's name in braces.
"""

import re
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import NamedTuple

import nbformat
from course_reader import SiteError, plain, read_chapters, sections, slug
from sphinx.application import Sphinx

BLOCK = re.compile(r"^```\{(chapter-map|parameters|terms)\}\n(.*?)^```$", re.M | re.DOTALL)
PARAMETER = re.compile(r"^(\w+): (\w+) = (.+?)  # (.+)$", re.MULTILINE)
MARKS = re.compile(r"^(?:[-*]|\d+\.) |<[^>]+>|\[([^]]+)\]\([^)]*\)")  # of items, HTML, links
NUMBER = re.compile(r"[-−]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")


def complete(app: Sphinx, docname: str, source: list[str]) -> None:
    """Put the parts made from chapters into a page of the site, before Sphinx parses it."""
    if docname == "bugs":
        check_bugs(source[0])
    if not docname.startswith(("notebooks/", "exercises/", "api/")):
        page = source[0].replace("](../", "](")  # docs/ is the site's root
        source[0] = BLOCK.sub(lambda block: PARTS[block[1]](block[2]), page)


# --- the map of the chapters


def chapter_map(_: str) -> str:
    """Draw the path through the chapters: a row each, and a line from what it builds on."""
    chapters = read_chapters()
    rows = {name: row + 0.5 for row, name in enumerate(chapters)}
    lines = "".join(
        map_line(rows[needed], rows[chapter.name])
        for chapter in chapters.values()
        for needed in chapter.needs
    )
    items = "".join(map_row(chapter) for chapter in chapters.values())
    return (
        f'<div class="chapter-map"><svg viewBox="0 0 100 {len(rows)}" preserveAspectRatio="none" '
        f'aria-hidden="true">{lines}</svg><ol>{items}</ol></div>'
    )


def map_line(start: float, end: float) -> str:
    left = 100 - min(120, 20 + 25 * (end - start))
    return f'<path d="M100,{start} C{left:g},{start} {left:g},{end} 100,{end}"/>'


def map_row(chapter) -> str:
    chapters = read_chapters()
    needed = ", ".join(
        f'<a href="{chapters[name].address}" title="{escape(chapters[name].title)}">{name}</a>'
        for name in chapter.needs
    )
    facts = [
        f"{chapter.minutes} minutes",
        f"builds on {needed or escape(plain(chapter.builds_on).rstrip('.'))}",
    ]
    if chapter.exercises:
        address = f"exercises/{chapter.stem}/{chapter.stem}.html"
        facts.append(f'<a href="{address}">{chapter.exercises} exercises</a>')
    return (
        f'<li><span class="number" aria-hidden="true">{chapter.name}</span><div>'
        f'<a class="title" href="{chapter.address}">'
        f'<span class="visually-hidden">{chapter.kind} {chapter.name}: </span>'
        f"{escape(chapter.title)}</a>"
        f'<p>{escape(chapter.question)}</p><p class="facts">{" · ".join(facts)}</p></div></li>'
    )


# --- the parameters of all chapters


def parameter_list(_: str) -> str:
    """List the parameters of each chapter, from its own comments."""
    lines = []
    for chapter in read_chapters().values():
        lines += ["", f"[{chapter.name} · {chapter.title}](notebooks/{chapter.stem}.ipynb)", ""]
        for cell in chapter.cells:
            if "parameters" in cell.metadata.get("tags", []):
                for name, _, default, meaning in PARAMETER.findall(cell.source):
                    lines.append(f"- `{name}` = `{default}`: {meaning}")
    return "\n".join(lines) + "\n"


# --- the index of terms and symbols


class Term(NamedTuple):
    name: str
    chapter: str
    phrase: str  # as it stands in the chapter where the term is defined
    with_before: bool  # whether the definition begins with the sentence before

    @property
    def anchor(self) -> str:
        return "term-" + re.sub(r"\W+", "-", plain(self.name)).strip("-").lower()

    def found_in(self, source: str) -> re.Match | None:
        """Find the phrase, wherever lines are broken."""
        return re.search(r"\s+".join(map(re.escape, self.phrase.split())), source)


def read_terms(block: str) -> list[Term]:
    """Read lines such as "adjoint | 02 | This is the node's **adjoint**".

    A phrase after "<" is shown with the sentence before it.
    """
    terms = []
    for line in filter(str.strip, block.splitlines()):
        name, chapter, phrase = (part.strip() for part in line.split("|", 2))
        terms.append(Term(name, chapter, phrase.removeprefix("< "), phrase.startswith("< ")))
    return terms


def all_terms() -> list[Term]:
    page = (Path(__file__).parent / "terms.md").read_text()
    return [
        term
        for kind, block in BLOCK.findall(page)
        if kind == "terms"
        for term in read_terms(block)
    ]


def mark_terms(docname: str, cells: list[nbformat.NotebookNode]) -> None:
    """Give each place in a notebook where a term is defined an anchor."""
    for term in all_terms():
        if docname.startswith(f"notebooks/{term.chapter}_"):
            for cell in cells:
                found = term.found_in(cell.source) if cell.cell_type == "markdown" else None
                if found:
                    mark = f'<span id="{term.anchor}"></span>'
                    cell.source = (
                        cell.source[: found.start()] + mark + cell.source[found.start() :]
                    )
                    break


def term_list(block: str) -> str:
    """List terms, each with the sentence of the chapter that defines it."""
    entries = []
    for term in sorted(read_terms(block), key=lambda term: plain(term.name).casefold()):
        place, sentence = definition(term)
        indented = sentence.replace("\n", "\n  ")
        entries.append(f"{term.name}\n: {indented}\n\n  {place}\n")
    return "\n".join(entries)


def definition(term: Term) -> tuple[str, str]:
    """Return a link to the place where a term is defined, and the sentence that defines it."""
    chapter = read_chapters().get(term.chapter)
    if chapter is None:
        raise SiteError(f"docs/terms.md: there is no chapter {term.chapter}")
    heading = chapter.title
    for cell in chapter.cells:
        if cell.cell_type != "markdown":
            continue
        for paragraph, before, after in paragraphs(cell.source):
            if paragraph.startswith("##"):
                heading = plain(paragraph.lstrip("# ").splitlines()[0])
            if term.found_in(paragraph):
                address = f"{chapter.address}#{term.anchor}"
                place = f'<a href="{address}">{chapter.kind} {chapter.name}, {heading}</a>'
                return place, sentence_with(term, paragraph, before, after)
    raise SiteError(f"docs/terms.md: nothing in chapter {term.chapter} reads {term.phrase!r}")


def paragraphs(source: str) -> Iterator[tuple[str, str, str]]:
    """Yield each paragraph or item of a list, between what stands before and after it."""
    parts = re.split(r"\n\n+|\n(?=[-*] |\d+\. )", source)
    return zip(parts, ["", *parts], [*parts[1:], ""])


def sentence_with(term: Term, paragraph: str, before: str, after: str) -> str:
    """Return the sentence that has the phrase, and the formula that it leads to."""
    text = MARKS.sub(lambda mark: mark[1] or "", paragraph)
    sentences = re.split(r"(?:(?<=[.?!])|(?<=[.?!][\")]))\s+(?=[A-Z*$`(])", text)
    number = next((i for i, each in enumerate(sentences) if term.found_in(each)), 0)
    last = number == len(sentences) - 1
    formula = "\n\n" + after if last and after.startswith("$$") else ""
    sentence = sentences[number] if formula else re.sub("[;:]$", ".", sentences[number])
    sentence = sentence[0].upper() + sentence[1:] + formula
    if term.with_before:
        return f"{sentences[number - 1]} {sentence}" if number else f"{before}\n\n{sentence}"
    return sentence


# --- the gallery of silent bugs


def check_bugs(page: str) -> None:
    """Raise `SiteError` where the gallery quotes a number or code that its place lacks."""
    for entry in re.split(r"^### ", page, flags=re.MULTILINE)[1:]:
        title = entry.splitlines()[0]
        numbers = re.search(r"^\*\*Number\.\*\* (.+?)\n\n", entry, re.MULTILINE | re.DOTALL)
        place = re.search(
            r"^\*\*Where\.\*\* .+\]\(\.\./notebooks/(\w+)\.ipynb#(.+?)\)", entry, re.M
        )
        if not numbers or not place:
            raise SiteError(f"docs/bugs.md: {title!r} has no Number or no Where")
        chapter = read_chapters()[place[1].split("_")[0]]
        found = [part for part in sections(chapter) if slug(part.title) == place[2]]
        if not found:
            raise SiteError(f"docs/bugs.md: {title!r}: no section {place[2]} in {place[1]}")
        text = found[0].text
        there = set(map(as_number, NUMBER.findall(text)))
        lacking = [code for code in re.findall(r"`([^`]*)`", numbers[1]) if code not in text]
        for number in NUMBER.findall(re.sub(r"`[^`]*`", "", numbers[1])):
            if as_number(number) not in there:
                lacking.append(number)
        if lacking:
            raise SiteError(f"docs/bugs.md: {title!r}: {place[2]} doesn't have {lacking}")


def as_number(text: str) -> float:
    return float(text.replace(",", "").replace("−", "-"))


PARTS = {"chapter-map": chapter_map, "parameters": parameter_list, "terms": term_list}


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", complete)
    return {"parallel_read_safe": True}
