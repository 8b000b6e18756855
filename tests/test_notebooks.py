"""Hygiene of committed notebooks: executed cleanly; chapters: read by papermill, in the style."""

import ast
import re
import statistics

import nbformat
import papermill
import pytest
from conftest import CHAPTERS, ROOT, SOLUTIONS, read

HEADINGS = (
    "After this chapter you can",
    "**Time:**",
    "## Summary",
    "## Exercises",
    "## Further reading",
)
ABSOLUTE_PATH = re.compile(r"(?<![\w.:/])/(?:home|root|Users|tmp|work|usr|var|opt)/|\b[A-Z]:\\")
HOT_LINK = re.compile(r"!\[[^]]*\]\(\s*https?:|<img[^>]+src=.?https?:", re.IGNORECASE)
EXEMPT = "nbval-ignore-output"
REASON = "nbval_reason"
NO_PROSE = re.compile(r"\$\$?[^$]*\$\$?|`[^`]*`|\]\([^)]*\)")
LESSONS = [path for path in CHAPTERS if path.stem != "B_training_run"]  # which is a report


@pytest.fixture(params=LESSONS, ids=lambda path: path.stem)
def lesson(request) -> nbformat.NotebookNode:
    """Each notebook in turn that teaches."""
    return read(request.param)


def code_cells(chapter: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in chapter.cells if cell.cell_type == "code"]


def tagged(chapter: nbformat.NotebookNode, tag: str) -> list[nbformat.NotebookNode]:
    return [cell for cell in chapter.cells if tag in cell.metadata.get("tags", [])]


def test_there_are_chapters():
    assert CHAPTERS


def test_executed_from_top_to_bottom(executed):
    counts = [cell.execution_count for cell in code_cells(executed)]
    assert counts == list(range(1, len(counts) + 1))


def test_kernelspec(executed):
    assert executed.metadata.kernelspec.name == "python3"


def test_cell_ids_are_valid_and_unique(executed):
    nbformat.validate(executed)
    ids = [cell.id for cell in executed.cells]
    assert len(ids) == len(set(ids))


def test_papermill_reads_all_parameters(chapter):
    [cell] = tagged(chapter, "parameters")
    read = papermill.inspect_notebook(str(chapter.metadata.path))
    lines = cell.source.splitlines()
    assert list(read) == [line.split(":")[0] for line in lines]
    for name, parameter in read.items():
        assert parameter["inferred_type_name"] in ("str", "int", "float"), name
        assert parameter["help"], f"{name} has no meaning in a comment"


def test_no_stderr_and_no_error(executed):
    for cell in code_cells(executed):
        for output in cell.outputs:
            assert output.output_type != "error", cell.id
            assert output.get("name") != "stderr", f"{cell.id}: {output.text}"


def test_no_absolute_path(executed):
    for cell in executed.cells:
        texts = [cell.source]
        for output in cell.get("outputs", []):
            texts.append(output.get("text", ""))
            data = output.get("data", {})
            texts += [str(data[kind]) for kind in data if not kind.startswith("image/")]
        for text in texts:
            assert not ABSOLUTE_PATH.search(text), f"{cell.id}: {ABSOLUTE_PATH.search(text)}"


def test_no_hot_linked_picture(executed):
    for cell in executed.cells:
        assert not HOT_LINK.search(cell.source), cell.id


def test_each_figure_is_described_below(chapter):
    number = 0
    for cell, below in zip(chapter.cells, [*chapter.cells[1:], None]):
        if any("image/png" in output.get("data", {}) for output in cell.get("outputs", [])):
            number += 1
            described = below is not None and below.source.startswith(f"*Figure {number}: ")
            assert described, f"{cell.id} is followed by no '*Figure {number}: ...*'"


def test_size(executed):
    assert executed.metadata.path.stat().st_size < 1_000_000


def test_house_style(lesson):
    text = "\n".join(cell.source for cell in lesson.cells if cell.cell_type == "markdown")
    assert text.startswith(f"# {lesson.metadata.path.stem.split('_')[0]} · ")
    for heading in HEADINGS:
        assert heading in text, heading
    assert "TODO" not in text


def test_outputs_show_no_bare_object(executed):
    for cell in code_cells(executed):
        for output in cell.outputs:
            text = output.get("text", "") + str(output.get("data", {}).get("text/plain", ""))
            assert not re.search(r"<[\w.]+ (object )?at 0x", text), cell.id


def test_each_exempted_cell_says_why(chapter, capsys):
    """In its metadata, where it is out of a reader's way."""
    exempted = tagged(chapter, EXEMPT)
    for cell in code_cells(chapter):
        assert (cell in exempted) == bool(cell.metadata.get(REASON)), f"{cell.id}: {REASON}?"
        assert "NBVAL" not in cell.source, f"{cell.id}: exempt by tag, so that the reason is read"
    with capsys.disabled():
        name, total = chapter.metadata.path.name, len(code_cells(chapter))
        print(f"\n{name}: nbval compares {total - len(exempted)} of {total} cells, and not")
        for cell in exempted:
            print(f"  {cell.id}: {cell.metadata[REASON]}")


def test_the_set_up_is_one_line(executed):
    """What else a notebook needs to look right, `%load_ext tapecourse` does."""
    first, *rest = code_cells(executed)
    assert first.source.startswith("%load_ext tapecourse\n")
    for cell in rest:
        assert not re.search(r"^%|style\.use|threadpool_limits", cell.source, re.MULTILINE), (
            cell.id
        )


def test_parameters_are_checked_before_anything_else(chapter):
    """In one call that has a rule for each of them, before TensorFlow is imported."""
    _, parameters, check, *_ = code_cells(chapter)
    assert parameters in tagged(chapter, "parameters") and check.id == "check-parameters"
    [call] = ast.parse(check.source).body
    assert ast.unparse(call.value).startswith("check_parameters(globals(), ")
    rules = [keyword.arg for keyword in call.value.keywords]
    assert rules == [line.split(":")[0] for line in parameters.source.splitlines()]


def lines_of_code(cell: nbformat.NotebookNode) -> int:
    return sum(bool(line.strip()) for line in cell.source.splitlines())


def words_of_prose(chapter: nbformat.NotebookNode) -> int:
    """Count the words, without formulas, code and addresses."""
    text = " ".join(cell.source for cell in chapter.cells if cell.cell_type == "markdown")
    return len(re.findall(r"[A-Za-z][A-Za-z'’-]*", NO_PROSE.sub("", text)))


def before_section_1(chapter: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """Return the cells before the first section that has a number, or the first one of all."""
    heads = [i for i, cell in enumerate(chapter.cells) if re.search("^## ", cell.source, re.M)]
    numbered = [i for i in heads if re.search("^## 1", chapter.cells[i].source, re.M)]
    return chapter.cells[: (numbered or heads)[0]]


def test_ideas_come_before_machinery(lesson):
    lengths = [lines_of_code(cell) for cell in code_cells(lesson)]
    before = [cell for cell in before_section_1(lesson) if cell.cell_type == "code"]
    assert lengths[0] <= 8, "the first code cell is longer than 8 lines"
    assert sum(map(lines_of_code, before)) <= 20, "more than 20 lines before the first section"
    assert statistics.median(lengths) <= 6, "the median code cell is longer than 6 lines"
    assert max(lengths) <= 35, "a code cell is longer than 35 lines"
    assert words_of_prose(lesson) >= 5 * sum(lengths), "fewer than 5 words for a line of code"


def test_the_time_is_what_reading_takes(lesson):
    """At 150 words and 10 lines of code a minute; README says the same."""
    minutes = words_of_prose(lesson) / 150 + sum(map(lines_of_code, code_cells(lesson))) / 10
    [said] = re.findall(r"\*\*Time:\*\* (\d+) minutes\.", lesson.cells[0].source)
    assert abs(int(said) - minutes) <= 2, f"{minutes:.0f} minutes"
    [row] = re.findall(
        rf"^\| \[.*\(notebooks/{lesson.metadata.path.name}\).*$",
        (ROOT / "README.md").read_text(),
        re.MULTILINE,
    )
    assert f" | {said} | " in row, "README says another time"


@pytest.mark.parametrize("forbidden", ["execute_time", "widgets", "papermill"])
def test_no_metadata_of_a_run(executed, forbidden):
    assert forbidden not in executed.metadata
    for cell in executed.cells:
        assert forbidden not in cell.metadata, cell.id


def test_each_claim_about_the_original_has_its_evidence():
    """Each row of appendix A is in one group of its overview, and a cell below it asserts it."""
    chapter = nbformat.read(ROOT / "notebooks" / "A_original_notebook.ipynb", as_version=4)
    cells = {cell.id: cell for cell in chapter.cells}
    rows = [cell for cell in chapter.cells if cell.source.startswith("### Row ")]
    linked = re.findall(r"\[(\d+)\]\(#Row-(\d+)\)", cells["overview"].source)
    assert sorted(int(number) for number, _ in linked) == list(range(1, len(rows) + 1))
    assert all(number == link for number, link in linked)
    assert f"Of {len(rows)} claims" in cells["summary"].source
    for number, row in enumerate(rows, 1):
        assert row.id == f"claim-{number:02}" and row.source.startswith(f"### Row {number}\n")
        assert re.search(r"\*It says:\*.*\*In fact:\*.*\(Chapter", row.source, re.S), row.id
        evidence = chapter.cells[chapter.cells.index(row) + 1]
        assert evidence.id == f"row-{number:02}" and evidence.execution_count
        assert re.search(r"^ *assert ", evidence.source, re.M), evidence.id


def test_readme_lists_the_chapters():
    readme = (ROOT / "README.md").read_text()
    for path in CHAPTERS:
        assert f"(notebooks/{path.name})" in readme, path.name


def test_chapters_with_solutions_link_to_their_exercises():
    for path in SOLUTIONS:
        name = "03_build_a_tape.ipynb" if path.name.startswith("W_") else path.name
        chapter = (ROOT / "notebooks" / name).read_text()
        assert f"(../exercises/{path.stem}/{path.name})" in chapter


def test_solutions_are_compared_strictly():
    for path in SOLUTIONS:
        assert not tagged(read(path), EXEMPT), path.name
