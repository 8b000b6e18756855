"""Grading, run for real: the platform's folder -> nbgrader -> a CSV and pages of feedback."""

import copy
import re
import shutil
import subprocess
import sys

import nbformat
import pandas as pd
import pytest
from cells import run_cells
from conftest import ROOT, SOLUTIONS
from helpers import THOROUGH
from nbgrader.api import Gradebook
from nbgrader.utils import determine_grade

from tapecourse.feedback.core import exercises_of
from tapecourse.tools import nbgrader_engine
from tapecourse.tools.command import main
from tapecourse.tools.grade import grade
from tapecourse.tools.nbgrader_engine import student_id
from tapecourse.tools.nbgrader_steps import ExecuteEach, configure, put_back, settle

CHAPTERS = [path.stem for path in SOLUTIONS]
HOSTILE = "01_differentiation"
# The others are judged whole by nbval, which runs their solutions: see `test_full_marks_...`.
GRADED = CHAPTERS if THOROUGH else [HOSTILE, "04_gradient_tape", "W_build_your_own_tape"]
pytestmark = pytest.mark.filterwarnings("ignore:Non-unique cell id")  # of pasted cells
FULL = 'Jörg O\'Neil, "Jr." +_12'  # what Moodle calls a learner


def read(folder, chapter):
    return nbformat.read(folder / chapter / f"{chapter}.ipynb", as_version=4)


def executed(out, learner, chapter):
    """Return the notebook that nbgrader has executed."""
    return read(out / "nbgrader" / "autograded" / student_id(learner), chapter)


def table(out):
    grades = pd.read_csv(out / "grades.csv", dtype=str, keep_default_na=False)
    return grades.set_index(["learner", "assignment"]).sort_index()


def exercises_in(chapter):
    return exercises_of(chapter.split("_")[0].lstrip("0"))


def by_id(notebook):
    return {cell.id: cell for cell in notebook.cells}


def points(notebook):
    """Return the points of each check, by the number of its exercise."""
    return {
        cell.id.removeprefix("check-").replace("-", "."): cell.metadata.nbgrader.points
        for cell in notebook.cells
        if cell.metadata.get("nbgrader", {}).get("grade")
    }


def solve(exercises, solutions, *numbers):
    """Paste the solutions of some exercises into a copy of the released notebook."""
    solved, answers = copy.deepcopy(exercises), by_id(solutions)
    for number in numbers:
        name = f"answer-{number.replace('.', '-')}"
        by_id(solved)[name].source = answers[name].source
    return solved


def make_hostile(notebook):
    """Turn a solved notebook of chapter 01 into one at its worst, that keeps three answers."""
    cells = by_id(notebook)
    cells["answer-1-1"].source = "import os\n\nos._exit(1)"
    cells["answer-1-2"].source = (
        "import signal, time\n\n\ndef passes(method, inputs, outputs):\n"
        "    signal.signal(signal.SIGINT, signal.SIG_IGN)\n    while True:\n        time.sleep(9)"
    )
    cells["answer-1-3"].source = "import sys\n\nsys.exit()"
    cells["answer-1-4"].source = "def best_steps():\n    return 1.0, 1.0"
    cells["check-1-4"].source = "2"  # what a solved check prints
    cells["check-1-4"].metadata.nbgrader.points = 100
    notebook.cells.remove(cells["check-1-5"])
    [last] = [each.answer for each in exercises_in(HOSTILE) if each.number == "1.6"]
    cells["answer-1-6"].source += (
        f"\n\nright = {last}\n\n\ndef {last}(*arguments):\n"
        "    __import__('logging').warning('a line on stderr')\n    return right(*arguments)"
    )
    for code in ("check = lambda number: 100", "exit()"):
        place = notebook.cells.index(cells["answer-1-6"])
        notebook.cells.insert(place, nbformat.v4.new_code_cell(code))
    cells["answer-1-7"].source = (
        "from tapecourse.feedback import checking\n\nchecking.first_wrong = lambda *_: ''\n\n\n"
        "def derivation():\n    return []"
    )
    notebook.cells.append(nbformat.v4.new_code_cell("exit()"))
    return notebook


def make_gaps(notebook):
    """Delete the setup, an answer with its check, and a check; paste a cell a second time."""
    gone = ("setup", "answer-1-2", "check-1-2", "check-1-3")
    notebook.cells = [cell for cell in notebook.cells if cell.id not in gone]
    notebook.cells.append(copy.deepcopy(notebook.cells[-1]))  # pasted a second time
    notebook.cells[-1].id = "pasted"
    return notebook


def make_unusable(notebook):
    """Leave metadata that nbgrader itself stumbles over."""
    notebook.cells[-1].metadata["nbgrader"] = {"grade": True}
    return notebook


def limit_the_endless_loop(config):
    """Set a short time limit for the only cell that runs forever: all others may be slow."""
    configure(config)
    config.Execute.timeout_func = lambda cell: 5 if cell.id == "check-1-2" else 300


def submit(notebook, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)


@pytest.fixture(scope="module")
def graded(tmp_path_factory, alembic_once):
    """A folder with grades of several chapters, and what the command returned."""
    folder, out = tmp_path_factory.mktemp("submissions"), tmp_path_factory.mktemp("out") / "grades"
    for chapter in GRADED:
        exercises, solutions = read(ROOT / "exercises", chapter), read(ROOT / "solutions", chapter)
        full = solve(exercises, solutions, *points(solutions))
        submit(full, folder / f"{FULL}_assignsubmission_file_" / f"{chapter}.ipynb")
        if chapter == HOSTILE:
            submit(exercises, folder / "unsolved.ipynb")
            hostile = make_hostile(copy.deepcopy(full))
            submit(hostile, folder / f"hostile_111_222_{chapter}-1.ipynb")
            submit(make_unusable(full), folder / "early" / "mine.ipynb")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nbgrader_engine, "configure", limit_the_endless_loop)
        returned = grade(str(folder), str(out))
    return out, table(out), returned


def test_nothing_else_is_in_exercises():
    committed = {path.name for path in (ROOT / "exercises").iterdir()}
    assert committed == set(CHAPTERS)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_released_without_solutions(chapter):
    released, solutions = read(ROOT / "exercises", chapter), read(ROOT / "solutions", chapter)
    text = nbformat.writes(released)
    assert "SOLUTION" not in text and "**Solution.**" not in text
    stubs = [cell for cell in released.cells if "raise NotImplementedError" in cell.source]
    assert len([cell for cell in stubs if cell.cell_type == "code"]) == len(points(solutions))
    assert points(released) == points(solutions)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_notebook_and_checks_agree(chapter):
    """Numbers, titles and points stand in the headings, the metadata and the checks."""
    solutions = read(ROOT / "solutions", chapter)
    cells, exercises = by_id(solutions), exercises_in(chapter)
    assert points(solutions) == {each.number: each.points for each in exercises}
    for each in exercises:
        task = cells[f"task-{each.number.replace('.', '-')}"].source
        assert task.startswith(f"## Exercise {each.number} · {each.title}\n")
        plural = "s" if each.points > 1 else ""
        assert f" minutes · {each.points} point{plural}*" in task and "*Section" in task
        answer = cells[f"answer-{each.number.replace('.', '-')}"].source
        assert re.search(rf"^(def|class) {each.answer}\b", answer, re.M) and "Example" in answer
    total = sum(each.points for each in exercises)
    assert f"**Points:** {total}." in cells["title"].source
    if chapter[0].isdigit():  # the workshop's time is in hours
        minutes = sum(map(int, re.findall(r"· (\d+) minutes · ", nbformat.writes(solutions))))
        assert f"**Time:** about {minutes} minutes" in cells["title"].source
        page = (ROOT / "notebooks" / f"{chapter}.ipynb").read_text()
        assert f"**, in about {minutes} minutes, and a project: " in page
    assert "*No points and no check" in cells["project"].source


def test_readme_counts_the_exercises():
    every = [each for chapter in CHAPTERS for each in exercises_in(chapter)]
    total = sum(each.points for each in every)
    claim = f"{len(every)} in number, are nbgrader assignments: {total} points"
    readme = (ROOT / "README.md").read_text()
    assert claim in readme
    for chapter in filter(lambda name: name[0].isdigit(), CHAPTERS):  # the workshop has no row
        assert f"[{len(exercises_in(chapter))}](exercises/{chapter}/{chapter}.ipynb) |" in readme


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_unsolved_runs_to_its_end(chapter):
    """Without an error or a word on stderr, which `run_cells` would raise."""
    texts = run_cells(ROOT / "exercises" / chapter / f"{chapter}.ipynb", {})
    exercises = exercises_in(chapter)
    for each in exercises:
        assert texts[f"check-{each.number.replace('.', '-')}"] == "0\n"
        assert f"{each.number}  ○ not tried  " in texts["progress"]
    assert f"0 of {sum(each.points for each in exercises)} points." in texts["progress"]


def test_unsolved_gets_no_points(graded):
    out, grades, _ = graded
    assert grades.loc["unsolved", HOSTILE].score == "0"
    for cell in executed(out, "unsolved", HOSTILE).cells:
        for output in cell.get("outputs", []):
            assert output.output_type != "error" and output.get("name") != "stderr", cell.source
            if cell.id.startswith("check-"):
                assert "Not tried yet" in output.data["text/html"]


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_full_marks_with_the_solutions(chapter):
    """In the notebook of solutions: what it put out, which nbval runs anew and compares.

    It holds what learners get, the solutions pasted into it, and cells that explain them.
    """
    exercises, solutions = read(ROOT / "exercises", chapter), read(ROOT / "solutions", chapter)
    cells = by_id(solutions)
    for number, most in points(solutions).items():
        check = cells[f"check-{number.replace('.', '-')}"]
        assert [each.output_type for each in check.outputs] == ["execute_result"]
        assert check.outputs[0].data["text/plain"] == str(most), number
        assert not set(check.metadata.get("tags", [])) & {"nbval-skip", "nbval-ignore-output"}
    solved = solve(exercises, solutions, *points(solutions))
    own = [cell for cell in solutions.cells if "explanation" not in cell.metadata.get("tags", [])]
    assert code_in(solved.cells) == code_in(own)


def code_in(cells):
    return [(cell.id, cell.source) for cell in cells if cell.cell_type == "code"]


@pytest.mark.parametrize("chapter", GRADED)
def test_full_marks_by_the_command(graded, chapter):
    """Judged twice: in a kernel of nbgrader's, and again, alone and on other data."""
    _, grades, _ = graded
    total = sum(points(read(ROOT / "solutions", chapter)).values())
    full = grades.loc[FULL, chapter]
    assert full.score == full.max_score == f"{total:g}" and full.status == "graded"


def test_a_hostile_answer_loses_its_own_points_only(graded):
    out, grades, _ = graded
    row = grades.loc["hostile_111", HOSTILE]
    assert row.score == str(2 + 3 + 2) and row.max_score == "15"  # of 1.5, 1.6 and 1.8
    assert row.recount == "1.7: judged again: no_answer"
    assert grades.loc[FULL, HOSTILE].recount == ""
    cells = by_id(executed(out, "hostile_111", HOSTILE))
    assert cells["answer-1-1"].outputs[0].evalue == "The kernel died in this cell."
    assert "could not be interrupted" in cells["check-1-2"].outputs[0].evalue


def test_what_nbgrader_cannot_grade_says_why_and_stops_no_other(graded):
    out, grades, returned = graded
    row = grades.loc["early", HOSTILE]
    assert row.status == "failed: KeyError: 'grade_id'" and row.score == row.max_score == ""
    assert list(grades.status).count("graded") == len(grades) - 1 == len(GRADED) + 2
    assert returned is False
    assert "in preprocess_cell" in (out / "nbgrader.log").read_text()  # the whole story


def test_deleted_cells_return_in_their_order():
    cells = {
        name: nbformat.v4.new_code_cell(name, id=name) for name in ("setup", "given", "check")
    }
    for name, cell in cells.items():
        cell.metadata["nbgrader"] = {"grade": name == "check"}
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x", id="answer")])
    for name in reversed(cells):
        put_back(notebook, name, cells[name])
    assert [cell.id for cell in notebook.cells] == ["setup", "given", "answer", "check"]


def test_a_check_without_result_gets_no_points():
    check = nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output("stream", text="2")])
    settle(check)
    assert check.outputs[-1].output_type == "error"


def test_a_log_line_costs_no_points():
    result = nbformat.v4.new_output("execute_result", {"text/plain": "2"})
    log = nbformat.v4.new_output("stream", name="stderr", text="a warning")
    check = nbformat.v4.new_code_cell(outputs=[log, result])
    check.metadata["nbgrader"] = {"grade": True, "solution": False, "points": 2}
    settle(check)
    assert determine_grade(check) == (2, 2)


def test_feedback_shows_the_hint(graded):
    out, _, _ = graded
    page = out / "feedback" / "hostile_111" / f"{HOSTILE}.html"
    text = page.read_text()
    assert "your step is nearly the same" in text  # the fact, and the question after it
    assert "How does the best step depend on" in text
    assert "the check above passed" in text and "(Score: 0.0 / 2.0)" in text


def test_the_report_names_what_was_found(graded):
    out, _, _ = graded
    page = (out / "report.html").read_text()
    row = "<td>misconception</td><td>1 of 2</td><td>In float32, ε is 5"
    assert f"Graded notebooks: {len(GRADED) + 2}." in page and row in page
    assert page.count("<td>no result</td>") == 3  # of 1.1 to 1.3: os._exit, no end, sys.exit


def test_each_graded_submission_has_a_page(graded):
    out, grades, _ = graded
    pages = {(path.parent.name, path.stem) for path in (out / "feedback").rglob("*.html")}
    assert pages == set(grades[grades.status == "graded"].index)


def test_a_resubmission_is_graded_anew_also_after_an_interrupt(
    tmp_path, capsys, monkeypatch, alembic_once
):
    """The score is never of another submission without saying so."""
    place, out = tmp_path / "all" / "ada.ipynb", tmp_path / "out"
    command = ["grade", str(tmp_path / "all"), "--out", str(out)]
    exercises = read(ROOT / "exercises", HOSTILE)
    submit(exercises, place)
    assert main(command) == 0
    assert "1 graded, 0 unchanged, 0 failed." in capsys.readouterr().out
    submit(solve(exercises, read(ROOT / "solutions", HOSTILE), "1.6"), place)
    with monkeypatch.context() as patch:
        patch.setattr(ExecuteEach, "preprocess_cell", interrupt)
        assert main(command) == 1
    said = capsys.readouterr()
    assert said.err.endswith("Interrupted. To continue, run the same command again.\n")
    assert "0 graded, 0 unchanged, 0 failed, 1 not graded yet." in said.out
    row = table(out).loc["ada", HOSTILE]
    assert row.score == "0" and row.status.startswith("stale: the score is of an earlier subm")
    assert main(command) == 0
    assert tuple(table(out).loc["ada", HOSTILE][["score", "status"]]) == ("3", "graded")
    assert "✓ Solved: 3 points." in (out / "feedback" / "ada" / f"{HOSTILE}.html").read_text()


def interrupt(*arguments):
    raise KeyboardInterrupt


def test_nbgraders_own_commands_grade_in_the_same_way(tmp_path):
    """nbgrader_config.py serves those who use them."""
    shutil.copytree(ROOT / "solutions" / HOSTILE, tmp_path / "solutions" / HOSTILE)
    shutil.copy(ROOT / "nbgrader_config.py", tmp_path)
    exercises, solutions = read(ROOT / "exercises", HOSTILE), read(ROOT / "solutions", HOSTILE)
    gaps = make_gaps(solve(exercises, solutions, *points(solutions)))
    submit(gaps, tmp_path / "runs/nbgrader/submitted/gaps" / HOSTILE / f"{HOSTILE}.ipynb")
    for step in ("generate_assignment", "autograde"):
        command = [sys.executable, "-m", "nbgrader", step, HOSTILE]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    with Gradebook(f"sqlite:///{tmp_path}/runs/nbgrader/gradebook.db", "tapecourse") as gradebook:
        assert gradebook.find_submission(HOSTILE, "gaps").score == 15 - 1
