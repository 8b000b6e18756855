"""Hygiene of committed notebooks: executed cleanly; chapters: read by papermill, in the style."""

import ast
import re

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


def test_house_style(chapter):
    text = "\n".join(cell.source for cell in chapter.cells if cell.cell_type == "markdown")
    assert text.startswith(f"# {chapter.metadata.path.stem.split('_')[0]} · ")
    for heading in HEADINGS if chapter.metadata.path.stem != "B_training_run" else ():
        assert heading in text, heading  # the report of a run teaches nothing
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
    assert call.value.func.id == "check_parameters"
    rules = [keyword.arg for keyword in call.value.keywords]
    assert rules == [line.split(":")[0] for line in parameters.source.splitlines()]


def test_most_cells_are_short(chapter):
    lengths = sorted(len(cell.source.splitlines()) for cell in code_cells(chapter))
    assert lengths[len(lengths) // 2] <= 12, "the median code cell has more than 12 lines"


@pytest.mark.parametrize("forbidden", ["execute_time", "widgets", "papermill"])
def test_no_metadata_of_a_run(executed, forbidden):
    assert forbidden not in executed.metadata
    for cell in executed.cells:
        assert forbidden not in cell.metadata, cell.id


def test_each_claim_about_the_original_has_its_evidence():
    """Each row of appendix A's table links to a section of its own, whose cell asserts it."""
    chapter = nbformat.read(ROOT / "notebooks" / "A_original_notebook.ipynb", as_version=4)
    cells = {cell.id: cell for cell in chapter.cells}
    rows = re.findall(
        r"^\| (\d+) \|.*\| \[row (\d+)\]\(#Row-(\d+)\) \|", cells["table"].source, re.M
    )
    assert len(rows) >= 17
    assert [row[0] for row in rows] == [str(i + 1) for i in range(len(rows))]
    for number, *links in rows:
        assert links == [number, number]
        assert cells[f"claim-{int(number):02}"].source.startswith(f"### Row {number}\n")
        evidence = cells[f"row-{int(number):02}"]
        assert evidence.execution_count and re.search(r"^ *assert ", evidence.source, re.M)
        assert (
            chapter.cells.index(evidence)
            == chapter.cells.index(cells[f"claim-{int(number):02}"]) + 1
        )


def test_readme_lists_the_chapters():
    readme = (ROOT / "README.md").read_text()
    for path in CHAPTERS:
        assert f"(notebooks/{path.name})" in readme, path.name


def test_chapters_with_solutions_link_to_their_exercises():
    for path in SOLUTIONS:
        chapter = (ROOT / "notebooks" / path.name).read_text()
        assert f"(../exercises/{path.stem}/{path.name})" in chapter


def test_solutions_are_compared_strictly():
    for path in SOLUTIONS:
        assert not tagged(read(path), EXEMPT), path.name
