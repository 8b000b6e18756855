"""The report of a class: what is counted, what is shown, and what a hostile notebook can't do."""

import inspect
import re

import nbformat
import pytest

from tapecourse.feedback import checking
from tapecourse.tools.class_report import PATTERNS, as_html, report, report_page
from tapecourse.tools.findings import RECORDS, Finding, findings_in

TITLES = {"1.1": "Two partial derivatives", "1.10": "Ten"}


def wrong(key="order", named=True, answer="def f(): pass", fact="Both.", number="1.1"):
    return Finding(number, 0, 2, "wrong", key, named, [f"✗ Not yet: {fact}", "Why?"], answer)


SOLVED = Finding("1.1", 2, 2, "solved")
UNTRIED = Finding("1.1", 0, 2, "untried")
LOST = Finding("1.1", 0, 2, "lost", "no_result", False, ["The kernel died in this cell."], "x")


def made(*findings, left_out=0):
    """Make a report, one notebook for each finding; return it, and its text."""
    notebook = report([("01_first", [each]) for each in findings], TITLES, left_out)
    nbformat.validate(notebook)
    return notebook, "\n\n".join(cell.source for cell in notebook.cells)


def test_what_is_counted():
    others = [wrong("counterexample", False), wrong("raises", False), wrong("no_return", False)]
    _, text = made(SOLVED, UNTRIED, LOST, *[wrong()] * 4, *others, left_out=3)
    first, table, *_ = text.split("## ")
    assert "Graded notebooks: 10. Without a current grade, and not counted here: 3." in first
    assert "got no points: 8; of these 4 (50%) show a misconception" in first
    assert all(f"1 (12%) {verb}" in first for verb in ("are", "raise", "have", "came"))
    assert table.index(">order<") < table.index(">counterexample<")
    assert "<td>misconception</td><td>4 of 9</td><td>Both.</td>" in table
    assert "<td>unexplained</td><td>1 of 9</td><td>A wrong value, and no known" in table
    counts = "".join(f"<td>{n}</td>" for n in (1, 7, 1, 1, 0, "0.20 of 2"))
    assert f"<td>1.1</td><td>Two partial derivatives</td>{counts}" in text


def test_a_wrong_sign_is_a_pattern_where_no_misconception_has_that_name():
    _, text = made(wrong("opposite", False), wrong("factor"))
    assert "1 (50%) are wrong in the same way throughout" in text and "<td>pattern</td>" in text


def test_each_pattern_of_the_checks_is_known_as_one():
    keys = re.findall(r'yield \(?\s*"(\w+)"', inspect.getsource(checking.common))
    assert set(keys) == set(PATTERNS.split()) and len(keys) >= 10


def test_an_answer_for_each_and_the_shortest():
    _, text = made(wrong(answer="def f(): return 1"), wrong(answer="f = 1"), wrong("sign"))
    assert "```python\nf = 1\n```" in text and "return 1" not in text
    assert text.count("<h3") == 2 and text.count("```python") == 2
    for name in re.findall('href="#(.+?)"', text):
        assert f'<h3 id="{name}">' in text


def test_facts_that_differ_are_an_example():
    _, text = made(wrong(fact="∂f/∂x is."), wrong(fact="∂f/∂y is.", answer="long" * 9))
    assert "<td>For example: ∂f/∂y is.</td>" not in text and "For example: ∂f/∂x is." in text


def test_exercises_stand_in_their_order_and_without_any_failure():
    notebook = report([("01", [wrong(number="1.10"), SOLVED])], TITLES, 0)
    text = notebook.cells[-2].source
    assert text.index("<td>1.1</td>") < text.index("<td>1.10</td>")
    assert "Nothing wrong was found." in made(SOLVED)[1]


def test_predictions_are_compared_with_the_truth():
    odds = {"a": [1.0, 1.0], "b": [0.9, 0.0], "c": [0.1, 0.0]}
    _, text = made(Finding("1.1", 2, 2, "solved", odds=odds))
    assert "1 predictions with 3 statements. The mean score is 0.273" in text
    assert "<td>80% to 100%</td><td>2</td><td>50%</td>" in text
    assert "Predictions" not in made(SOLVED)[1]


EVIL = "<script>alert(1)</script>$x$ ![](http://evil) | `<b>` \\(y\\)\n\n# no"


def test_what_a_learner_wrote_stays_text():
    answer = f"'''\n````\n{EVIL}\n'''"
    notebook, text = made(wrong("sign", answer=answer, fact=EVIL))
    page = report_page(notebook)
    assert "<script" not in page and "<b>" not in page and 'src="http' not in page
    assert page.count("<h1") == 1 and "`````python" in text
    assert as_html("$a$ `x_1`") == "&#36;a&#36; <code>x&#95;1</code>"


def test_the_page_asks_for_nothing(browser, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(report_page(made(wrong(), SOLVED)[0]))
    asked, page = [], browser.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]
    assert page.evaluate("document.querySelector('img').naturalWidth") > 0
    page.close()


# --- what is read from an executed notebook


def executed(path, record, points=(0.0, 2.0), of_answer=()):
    """Write a notebook with a check whose output has a record; read what was found."""
    result = nbformat.v4.new_output("execute_result", {"text/plain": "0", RECORDS: record})
    cells = [
        nbformat.v4.new_code_cell(
            source, metadata={"nbgrader": {"grade_id": name}}, outputs=[*outputs]
        )
        for name, source, outputs in [
            ("answer-1-1", "mine", of_answer),
            ("check-1-1", "", [result]),
        ]
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    [found] = findings_in(path, {"check-1-1": points}, {})
    return found


def test_a_record_is_read(tmp_path):
    record = {"state": "wrong", "key": "order", "named": True, "hints": ["a", "b"]}
    found = executed(tmp_path / "x.ipynb", record)
    assert found == Finding("1.1", 0, 2, "wrong", "order", True, ["a", "b"], "mine")
    assert executed(tmp_path / "x.ipynb", record, points=(2.0, 2.0)).state == "solved"
    assert executed(tmp_path / "x.ipynb", {"state": "untried", "key": ""}).state == "untried"


@pytest.mark.parametrize(
    "record",
    [
        [],
        {},
        {"state": "wrong"},
        {"state": "wrong", "key": "<b>", "hints": ["x"]},
        {"state": "solved", "key": "order", "hints": "x"},
        {"state": ["wrong"], "key": {}, "hints": {}},
        {"state": "wrong", "key": ["order"]},
    ],
)
def test_a_record_that_is_none_is_lost(tmp_path, record):
    found = executed(tmp_path / "x.ipynb", record)
    assert (found.state, found.key, found.named) == ("lost", "no_result", False)


def test_an_answer_whose_cell_fails_was_tried(tmp_path):
    error = nbformat.v4.new_output("error", ename="SyntaxError", evalue="no", traceback=[])
    found = executed(tmp_path / "x.ipynb", {"state": "untried"}, of_answer=[error])
    assert (found.state, found.key, found.hints) == ("lost", "no_answer", ["SyntaxError: no"])


def test_a_record_is_cut(tmp_path):
    record = {"state": "wrong", "key": "order", "hints": ["x" * 9_999] * 9}
    found = executed(tmp_path / "x.ipynb", record)
    assert [len(hint) for hint in found.hints] == [500] * 3
