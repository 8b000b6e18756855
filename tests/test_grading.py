"""Release and grading with nbgrader, run for real: solutions/ -> exercises/ -> a CSV of grades."""

import copy
import shutil
import subprocess
import sys

import nbformat
import pandas as pd
import pytest
from conftest import ROOT, SOLUTIONS
from nbgrader.utils import determine_grade

from tapecourse.feedback.core import exercises_of
from tapecourse.tools.nbgrader_steps import put_back, settle

CHAPTERS = [path.stem for path in SOLUTIONS]
HOSTILE = "01_differentiation"


def nbgrader(course, *arguments):
    """Run a command of nbgrader in a course's folder."""
    command = [sys.executable, "-m", "nbgrader", *arguments]
    done = subprocess.run(command, cwd=course, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stderr


def read(course, folder, chapter):
    return nbformat.read(course / folder / chapter / f"{chapter}.ipynb", as_version=4)


def exercises_in(chapter):
    return exercises_of(str(int(chapter[:2])))


def by_id(notebook):
    return {cell.id: cell for cell in notebook.cells}


def points(notebook):
    """Return the points of each check, by the number of its exercise."""
    return {
        cell.id.removeprefix("check-").replace("-", "."): cell.metadata.nbgrader.points
        for cell in notebook.cells
        if cell.metadata.get("nbgrader", {}).get("grade")
    }


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A copy of solutions/ with exercises/ generated from it."""
    root = tmp_path_factory.mktemp("course")
    shutil.copytree(ROOT / "solutions", root / "solutions")
    shutil.copy(ROOT / "nbgrader_config.py", root)
    for chapter in CHAPTERS:
        nbgrader(root, "generate_assignment", chapter)
    return root


def solve(exercises, solutions, *numbers):
    """Paste the solutions of some exercises into a copy of the released notebook."""
    solved, answers = copy.deepcopy(exercises), by_id(solutions)
    for number in numbers:
        name = f"answer-{number.replace('.', '-')}"
        by_id(solved)[name].source = answers[name].source
    return solved


def make_hostile(notebook):
    """Turn a solved notebook of chapter 01 into one that does its worst, and keeps 1.5 and 1.6."""
    cells = by_id(notebook)
    cells["answer-1-1"].source = "import os\n\nos._exit(1)"
    cells["answer-1-2"].source = (
        "import signal\n\n\ndef passes(method, inputs, outputs):\n"
        "    signal.signal(signal.SIGINT, signal.SIG_IGN)\n    while True:\n        pass"
    )
    cells["answer-1-3"].source = "import sys\n\nsys.exit()"
    cells["answer-1-4"].source = "def best_steps():\n    return 1.0, 1.0"
    cells["check-1-4"].source = "2"  # what a solved check prints
    cells["check-1-4"].metadata.nbgrader.points = 100
    notebook.cells.remove(cells["check-1-5"])
    scratch = nbformat.v4.new_code_cell("check = lambda number: 100\nexit()")
    notebook.cells.insert(notebook.cells.index(cells["answer-1-6"]), scratch)
    return notebook


def make_gaps(notebook):
    """Delete the setup, an answer with its check, and a check; paste a cell a second time."""
    gone = ("setup", "answer-1-2", "check-1-2", "check-1-3")
    notebook.cells = [cell for cell in notebook.cells if cell.id not in gone]
    notebook.cells.append(copy.deepcopy(notebook.cells[-1]))  # pasted a second time
    notebook.cells[-1].id = "pasted"
    return notebook


@pytest.fixture(scope="module")
def graded(course):
    """The course, with submissions of every chapter graded; and the grades."""

    def submit(student, chapter, notebook):
        folder = course / "runs" / "grading" / "submitted" / student / chapter
        folder.mkdir(parents=True)
        nbformat.write(notebook, folder / f"{chapter}.ipynb")

    for chapter in CHAPTERS:
        exercises, solutions = (
            read(course, "exercises", chapter),
            read(course, "solutions", chapter),
        )
        submit("unsolved", chapter, exercises)
        submit("full", chapter, solve(exercises, solutions, *points(solutions)))
        if chapter == HOSTILE:
            submit("half", chapter, solve(exercises, solutions, "1.1", "1.3", "1.6"))
            solved = solve(exercises, solutions, *points(solutions))
            submit("hostile", chapter, make_hostile(copy.deepcopy(solved)))
            submit("gaps", chapter, make_gaps(solved))
        limit = 8 if chapter == HOSTILE else 60  # seconds a cell
        nbgrader(course, "autograde", chapter, f"--Execute.timeout={limit}")
    nbgrader(course, "generate_feedback", HOSTILE)
    nbgrader(course, "export", "--to", "runs/grading/grades.csv")
    grades = pd.read_csv(course / "runs" / "grading" / "grades.csv")
    return course, grades.set_index(["student_id", "assignment"])


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_exercises_are_fresh(course, chapter):
    name = f"exercises/{chapter}/{chapter}.ipynb"
    assert (ROOT / name).read_bytes() == (course / name).read_bytes(), (
        f"{name} is stale: run make exercises"
    )


def test_nothing_else_is_in_exercises():
    committed = {path.name for path in (ROOT / "exercises").iterdir()}
    assert committed == set(CHAPTERS)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_released_without_solutions(course, chapter):
    released, solutions = read(course, "exercises", chapter), read(course, "solutions", chapter)
    text = nbformat.writes(released)
    assert "SOLUTION" not in text and "**Solution.**" not in text
    stubs = [cell for cell in released.cells if "raise NotImplementedError" in cell.source]
    assert len([cell for cell in stubs if cell.cell_type == "code"]) == len(points(solutions))
    assert points(released) == points(solutions)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_notebook_and_checks_agree(chapter):
    """Numbers, titles and points stand in the headings, the metadata and the checks."""
    solutions = read(ROOT, "solutions", chapter)
    cells, exercises = by_id(solutions), exercises_in(chapter)
    assert points(solutions) == {each.number: each.points for each in exercises}
    for each in exercises:
        task = cells[f"task-{each.number.replace('.', '-')}"].source
        assert task.startswith(f"## Exercise {each.number} · {each.title}\n")
        plural = "s" if each.points > 1 else ""
        assert f" minutes · {each.points} point{plural}*" in task and "*Section" in task
        answer = cells[f"answer-{each.number.replace('.', '-')}"].source
        assert f"def {each.answer}(" in answer and "Example" in answer
    total = sum(each.points for each in exercises)
    assert f"**Points:** {total}." in cells["title"].source
    assert "*No points and no check" in cells["project"].source


def test_readme_counts_the_exercises():
    every = [each for chapter in CHAPTERS for each in exercises_in(chapter)]
    total = sum(each.points for each in every)
    claim = f"{len(every)} in number, are nbgrader assignments: {total} points"
    assert claim in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_unsolved_runs_to_its_end(graded, chapter):
    course, grades = graded
    assert grades.loc["unsolved", chapter].score == 0
    executed = read(course, "runs/grading/autograded/unsolved", chapter)
    for cell in executed.cells:
        for output in cell.get("outputs", []):
            assert output.output_type != "error" and output.get("name") != "stderr", cell.source
            if cell.id.startswith("check-"):
                assert "Not tried yet" in output.data["text/html"]
    summary = by_id(executed)["progress"].outputs[0].data["text/plain"]
    assert f"0 of {sum(points(executed).values()):g} points." in summary


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_full_marks_with_the_solutions(graded, chapter):
    course, grades = graded
    total = sum(points(read(course, "solutions", chapter)).values())
    assert grades.loc["full", chapter].score == grades.loc["full", chapter].max_score == total


def test_half(graded):
    _, grades = graded
    assert grades.loc["half", HOSTILE].score == 1 + 2 + 3


def test_a_hostile_answer_loses_its_own_points_only(graded):
    course, grades = graded
    assert grades.loc["hostile", HOSTILE].score == 2 + 3  # of 1.5 and 1.6
    assert grades.loc["hostile", HOSTILE].max_score == 11
    cells = by_id(read(course, "runs/grading/autograded/hostile", HOSTILE))
    assert cells["answer-1-1"].outputs[0].evalue == "The kernel died in this cell."
    assert "could not be interrupted" in cells["check-1-2"].outputs[0].evalue


def test_deleted_cells(graded):
    _, grades = graded
    assert grades.loc["gaps", HOSTILE].score == 11 - 1  # the setup and both checks are put back


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
    course, _ = graded
    [page] = (course / "runs" / "grading" / "feedback" / "hostile").rglob("*.html")
    assert "the best step can" in page.read_text()
