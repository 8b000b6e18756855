"""What the site takes from the notebooks: the headers of chapters, their sections, their words."""

import copy
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import nbformat
from sphinx.errors import SphinxError

ROOT = Path(__file__).parents[1]
HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


class SiteError(SphinxError):
    """A page of the site says what no chapter says, or a chapter lacks what the site shows."""

    category = "The site"


@dataclass(frozen=True)
class Section:
    """A heading, its level, and the cells from the one that holds it to the next such heading."""

    title: str
    level: int
    cells: tuple[nbformat.NotebookNode, ...]

    @property
    def text(self) -> str:
        """Its prose, code and text outputs, as one text."""
        return "\n".join([cell.source for cell in self.cells] + [*map(output_text, self.cells)])


@dataclass(frozen=True)
class Chapter:
    """A chapter or an appendix, as its first cell describes it."""

    stem: str
    name: str  # 01 or A
    title: str
    question: str
    minutes: int
    builds_on: str
    needs: tuple[str, ...]  # names of other chapters
    exercises: int
    cells: list[nbformat.NotebookNode] = field(repr=False, compare=False)

    @property
    def kind(self) -> str:
        return "Chapter" if self.name.isdigit() else "Appendix"

    @property
    def address(self) -> str:
        """Its page, seen from the front page."""
        return f"notebooks/{self.stem}.html"


@cache
def read_chapters() -> dict[str, Chapter]:
    """Return all chapters by their names, numbers first."""
    chapters = [read_chapter(path) for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]
    return {chapter.name: chapter for chapter in chapters}


def read_chapter(path: Path) -> Chapter:
    """Read a chapter; raise `SiteError` where its first cell lacks a part."""
    cells = nbformat.read(path, as_version=4).cells
    header = cells[0].source
    title = find(r"^# \w+ · (.+)$", header, path)
    question = plain(find(r"^\*\*(.+)\*\*$", header, path))
    minutes = find(r"\*\*Time:\*\* (\d+) minutes", header, path)
    builds_on = re.search(r"\*\*Builds on:\*\* (.+?)(?:\n\n|\Z)", header, re.DOTALL)
    needs = chapters_named(builds_on[1] if builds_on else header)
    return Chapter(
        stem=path.stem,
        name=path.stem.split("_")[0],
        title=plain(title),
        question=question,
        minutes=int(minutes),
        builds_on=" ".join(builds_on[1].split()) if builds_on else "",
        needs=needs,
        exercises=count_exercises(path.stem),
        cells=cells,
    )


def find(pattern: str, header: str, path: Path) -> str:
    found = re.search(pattern, header, re.MULTILINE)
    if not found:
        raise SiteError(f"The first cell of {path.name} has nothing like {pattern}")
    return found[1]


def chapters_named(text: str) -> tuple[str, ...]:
    """Return which chapters a text names, as in "chapter 03" or "chapters 01 to 05 and 09"."""
    named = set()
    for numbers in re.findall(r"\bchapters? ((?:\d\d(?:, | and | to )?)+)", text):
        named.update(re.findall(r"\d\d", numbers))
        for first, last in re.findall(r"(\d\d) to (\d\d)", numbers):
            named.update(f"{number:02}" for number in range(int(first), int(last) + 1))
    there = {path.name.split("_")[0] for path in (ROOT / "notebooks").glob("*.ipynb")}
    return tuple(sorted(named & there))


def count_exercises(stem: str) -> int:
    """Count the exercises of a chapter that check themselves."""
    path = ROOT / "exercises" / stem / f"{stem}.ipynb"
    return path.read_text().count('"## Exercise ') if path.exists() else 0


def plain(markdown: str) -> str:
    """Return a line of Markdown without links, emphasis and marks of code."""
    return re.sub(r"\*\*|[*`]", "", re.sub(r"\[([^]]+)\]\([^)]*\)", r"\1", markdown))


def headings(source: str) -> list[tuple[int, str]]:
    """Return level and text of each heading of a cell."""
    outside = FENCED.sub("", source)
    return [(len(marks), plain(text)) for marks, text in HEADING.findall(outside)]


def sections(chapter: Chapter) -> list[Section]:
    """Return the sections of a chapter, at all levels."""
    found = [
        (number, level, title)
        for number, cell in enumerate(chapter.cells)
        if cell.cell_type == "markdown"
        for level, title in headings(cell.source)
    ]
    result = []
    for i, (start, level, title) in enumerate(found):
        ends = [(number, name) for number, other, name in found[i + 1 :] if other <= level]
        end, next_title = ends[0] if ends else (len(chapter.cells), "")
        cells = chapter.cells[start:end]
        if ends:  # a heading may stand in the middle of a cell
            cells.append(above(chapter.cells[end], next_title))
        result.append(Section(title, level, tuple(cells)))
    return result


def above(cell: nbformat.NotebookNode, title: str) -> nbformat.NotebookNode:
    """Return the part of a cell that stands above one of its headings."""
    lines = cell.source.splitlines()
    titles = [[text for _, text in headings(line)] for line in lines]
    part = copy.copy(cell)
    part.source = "\n".join(lines[: titles.index([title])])
    return part


def output_text(cell: nbformat.NotebookNode) -> str:
    """Return what a code cell printed and showed as text."""
    texts = []
    for output in cell.get("outputs", []):
        texts.append(output.get("text", ""))
        texts.append(output.get("data", {}).get("text/plain", ""))
        texts.append(re.sub(r"<[^>]+>", " ", output.get("data", {}).get("text/html", "")))
    return "\n".join(texts)


def slug(heading: str) -> str:
    """Return the anchor that JupyterLab gives to a heading, so that links serve both."""
    return heading.replace(" ", "-")
