"""`tapecourse grade`: whose a notebook is, and what becomes of it; with a mock of nbgrader."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from conftest import ROOT
from filelock import FileLock

from tapecourse.support.errors import ClearError
from tapecourse.tools import grade as grading
from tapecourse.tools.command import main
from tapecourse.tools.findings import Finding
from tapecourse.tools.nbgrader_engine import reason, student_id
from tapecourse.tools.submissions import find_submissions

ASSIGNMENTS = sorted(path.name for path in (ROOT / "exercises").iterdir())
FIRST, SECOND, *_, WORKSHOP = ASSIGNMENTS


def notebook(*names, text=""):
    """Return a notebook of few cells, named as nbgrader names them."""
    cells = [
        {"cell_type": "code", "source": text, "metadata": {"nbgrader": {"grade_id": name}}}
        for name in names
    ]
    return json.dumps({"cells": cells, "nbformat": 4, "nbformat_minor": 5, "metadata": {}})


def fill(folder, files):
    """Write files, by their paths below a folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


# --- whose a notebook is, and of which assignment


@pytest.mark.parametrize(
    "file, learner",
    [
        ("ada.ipynb", "ada"),
        (f"ada_{FIRST}.ipynb", "ada"),
        (f"{FIRST} - Ada Lovelace.ipynb", "Ada Lovelace"),
        (f"{FIRST}_ada_final (1).ipynb", "ada_final (1)"),
        (f"ada-{FIRST.upper()} (1).ipynb", "ada"),
        (f"{FIRST}.ipynb", FIRST),
        (f"{FIRST}_...ipynb", f"{FIRST}_.."),
        (f"{FIRST}_12345678.ipynb", "12345678"),
        (f"{FIRST}-12345678.ipynb", "12345678"),
        (f"group_12_3_{FIRST}.ipynb", "group_12_3"),
        (f"lovelaceada_123_456_{FIRST}-1.ipynb", "lovelaceada_123"),
        (f"lovelaceada_LATE_123_457_{FIRST}-2.ipynb", "lovelaceada_123"),
        ("lovelaceada_123_456_Untitled.ipynb", "lovelaceada_123"),
        (f"Ada Lovelace_12_assignsubmission_file_{FIRST}.ipynb", "Ada Lovelace_12"),
        (f"Ada Lovelace_12_assignsubmission_file_/{FIRST}.ipynb", "Ada Lovelace_12"),
        (f"ada/{FIRST}/deep/Untitled.ipynb", "ada"),
        (f"{FIRST}/ada.ipynb", "ada"),
        (f"{FIRST}/ada/Untitled.ipynb", "ada"),
        ('Zoe\u0308 O\'Neil, "Jr." + 1/x.IPYNB', 'Zoë O\'Neil, "Jr." + 1'),
    ],
)
def test_the_learner(tmp_path, file, learner):
    [found], ignored = find_submissions(fill(tmp_path, {file: notebook("check-1-1")}), ASSIGNMENTS)
    assert (found.learner, found.assignment, found.problem) == (learner, FIRST, "")
    assert ignored == 0 and (tmp_path / found.path).is_file()


@pytest.mark.parametrize(
    "file, content, assignment",
    [
        ("ada.ipynb", notebook("check-2-1"), SECOND),
        ("ada.ipynb", notebook("answer-5-6"), ASSIGNMENTS[4]),
        (f"ada/{FIRST}.ipynb", notebook("answer-2-1"), SECOND),  # what is in it counts
        ("ada.ipynb", notebook("check-1-1", "answer-2-1", "check-2-1"), SECOND),  # most of it
        (f"{SECOND}.ipynb", notebook("check-1-1", "check-2-1"), SECOND),
        (f"ada/{SECOND}.ipynb", notebook(), SECOND),
        (f"ada/{SECOND}/x.ipynb", notebook("check-99-1"), SECOND),
        ("ada.ipynb", '{"cells": [{"id": "task-2-1"}]}', SECOND),  # without nbgrader's metadata
        (f"{SECOND}.ipynb", notebook("mine", text='"grade_id": "check-1-1"'), SECOND),
        ("ada.ipynb", notebook("check-W-1", "answer-W-2"), WORKSHOP),
        (f"ada/{WORKSHOP.lower()}.ipynb", notebook(), WORKSHOP),
    ],
)
def test_the_assignment(tmp_path, file, content, assignment):
    [found], _ = find_submissions(fill(tmp_path, {file: content}), ASSIGNMENTS)
    assert (found.assignment, found.problem) == (assignment, "")


@pytest.mark.parametrize(
    "files, assignment, problem",
    [
        ({"ada.ipynb": notebook("mine")}, "", "neither its cells nor its name tell which"),
        ({"ada.ipynb": "x"}, "", "this file is not a Jupyter notebook"),
        ({f"ada/{FIRST}.ipynb": ""}, FIRST, "this file is not a Jupyter notebook"),
        ({f"ada/{FIRST}.ipynb": '["cells"]'}, FIRST, "this file is not a Jupyter notebook"),
        ({f"ada/{FIRST}.ipynb": '{"cells": 1}'}, FIRST, "this file is not a Jupyter notebook"),
        ({f"ada/{FIRST}.ipynb": "[" * 100_000}, FIRST, "this file is not a Jupyter notebook"),
        (
            {"ada/1.ipynb": notebook("check-1-1"), "ada.ipynb": notebook("check-1-2")},
            FIRST,
            "2 notebooks for one assignment: leave only one",
        ),
    ],
)
def test_what_cannot_be_graded_says_why(tmp_path, files, assignment, problem):
    [found], _ = find_submissions(fill(tmp_path, files), ASSIGNMENTS)
    assert (found.learner, found.assignment) == ("ada", assignment)
    assert found.problem.startswith(problem)
    assert found.file == "; ".join(files)


def test_a_file_that_cannot_be_read_says_why(tmp_path):
    (tmp_path / "ada.ipynb").symlink_to(tmp_path / "ada.ipynb")
    [found], _ = find_submissions(tmp_path, ASSIGNMENTS)
    assert found.problem.startswith("this file can't be read (")


def test_what_is_ignored_is_counted_and_who_has_nothing_else_is_named(tmp_path):
    ignored = {
        f"ada/.ipynb_checkpoints/{FIRST}-checkpoint.ipynb": notebook("check-1-1"),
        "__MACOSX/ada/._x.ipynb": "",
        ".DS_Store": "",
        "ada/scan.pdf": "",
        "bob/scan.pdf": "",
        f"{SECOND}/eve/scan.pdf": "",
    }
    fill(tmp_path, ignored | {"ada/x.ipynb": notebook("check-1-1")})
    (tmp_path / "cem").mkdir()
    found, count = find_submissions(tmp_path, ASSIGNMENTS)
    assert count == len(ignored)
    assert {each.learner: each.problem for each in found} == {"ada": ""} | dict.fromkeys(
        ("bob", "cem", "eve"), "there is no notebook in this folder"
    )


def test_students_of_nbgrader_have_safe_and_unlike_names():
    names = ["Jörg", "Jorg", "J+rg", "J rg", "李", "王", "..", "x" * 300, "x" * 301]
    ids = [student_id(name) for name in names]
    assert len(set(ids)) == len(names)
    assert all(name.isascii() and name.replace("-", "").isalnum() for name in ids)
    assert max(map(len, ids)) < 60


def test_the_reason_is_the_end_of_the_last_traceback_or_the_error_itself():
    logged = [
        "a warning",
        "Traceback (most recent call last):\n  File\nOops: so\n  why\n",
        "sorry",
    ]
    assert reason([*logged, "Error: it failed"]) == "Oops: so"
    assert reason(["a warning", "Error: it failed"]) == "Error: it failed"


# --- what becomes of it


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder for the course; a notebook's text is its score, or says what happens to it."""
    (tmp_path / "in").mkdir()

    def grade_notebook(course, learner, assignment, path):
        text = json.loads(path.read_text())["cells"][0]["source"]
        if text == "interrupt":
            raise KeyboardInterrupt
        if text == "fail":
            raise RuntimeError("first \udcff line\nsecond line")
        page = tmp_path / "page.html"
        page.write_text(text)
        return [
            Finding("1.1", float(text), 11.0, "wrong", "order", True, ["✗ Not yet: so."])
        ], page

    monkeypatch.setattr(grading, "grade_notebook", grade_notebook)
    monkeypatch.setattr(grading, "release", lambda *arguments: None)
    return tmp_path


def hand_in(place, **texts):
    """Hand in a notebook of the first assignment for each learner."""
    fill(
        place / "in", {f"{name}.ipynb": notebook("check-1-1", text=t) for name, t in texts.items()}
    )


def run(place, capsys):
    """Run the command; return its exit status, what it printed, and the scores and states."""
    status = main(["grade", str(place / "in"), "--out", str(place / "out")])
    grades = pd.read_csv(place / "out" / "grades.csv", dtype=str, keep_default_na=False)
    said = capsys.readouterr()
    return status, said.out + said.err, dict(zip(grades.learner, zip(grades.score, grades.status)))


def test_unchanged_is_kept_and_said_so(place, capsys):
    hand_in(place, ada="5", bob="6.5")
    assert run(place, capsys)[0] == 0
    hand_in(place, bob="7", cem="8")
    status, said, rows = run(place, capsys)
    assert "2 graded, 1 unchanged, 0 failed." in said and status == 0
    assert rows == {"ada": ("5", "graded"), "bob": ("7", "graded"), "cem": ("8", "graded")}
    assert (place / "out" / "feedback" / "bob" / f"{FIRST}.html").read_text() == "7"


def test_a_failure_has_its_row_and_its_line_and_stops_no_other(place, capsys):
    hand_in(place, ada="fail", bob="6", cem="7")
    (place / "in" / "cem.ipynb").write_text("broken")
    status, said, rows = run(place, capsys)
    assert status == 1 and "1 graded, 0 unchanged, 2 failed." in said
    assert rows["ada"] == ("", "failed: first \ufffd line") and rows["bob"] == ("6", "graded")
    assert f"failed: ada, {FIRST}: first \ufffd line\n" in said
    assert "failed: cem, cem.ipynb: this file is not a Jupyter notebook\n" in said
    assert "Traceback" not in said and "second line" in (place / "out/nbgrader.log").read_text()
    hand_in(place, ada="5", cem="7")
    assert run(place, capsys)[2] == {
        "ada": ("5", "graded"),
        "bob": ("6", "graded"),
        "cem": ("7", "graded"),
    }


OF_EARLIER = "stale: the score is of an earlier submission; now: "


def test_stale_is_a_score_whose_resubmission_cannot_be_graded(place, capsys):
    hand_in(place, ada="5", bob="6")
    run(place, capsys)
    hand_in(place, ada="fail")
    fill(place / "in", {"bob/x.ipynb": notebook("check-1-1", text="9")})
    status, said, rows = run(place, capsys)
    assert status == 1 and "0 graded, 0 unchanged, 2 failed." in said
    assert rows == {
        "ada": ("5", f"{OF_EARLIER}first \ufffd line"),
        "bob": ("6", f"{OF_EARLIER}2 notebooks for one assignment: leave only one"),
    }
    assert (place / "out" / "feedback" / "ada" / f"{FIRST}.html").read_text() == "5"
    hand_in(place, ada="5")  # the earlier one again
    assert run(place, capsys)[2]["ada"] == ("5", "graded")


def test_stale_is_a_score_whose_submission_is_gone(place, capsys):
    hand_in(place, ada="5", bob="6")
    run(place, capsys)
    (place / "in" / "ada.ipynb").unlink()
    status, said, rows = run(place, capsys)
    assert status == 0 and "0 graded, 1 unchanged, 0 failed, 1 no longer there." in said
    assert rows["ada"] == ("5", "stale: the score is of a submission that is no longer there")
    hand_in(place, bob="fail")
    run(place, capsys)
    assert not (place / "out" / "report.html").exists(), "of grades that are all stale"
    hand_in(place, ada="5")
    assert run(place, capsys)[2]["ada"] == ("5", "graded")


def test_a_changed_exercise_is_graded_anew_and_stale_until_then(place, capsys, monkeypatch):
    hand_in(place, ada="5")
    run(place, capsys)
    monkeypatch.setattr(grading, "digest_of", lambda assignment: "another")
    with monkeypatch.context() as patch:
        patch.setattr(grading, "grade_notebook", interrupt)
        status, _, rows = run(place, capsys)
    now = "now: not graded yet, run the same command again"
    of = "stale: the score is of an earlier version of the exercise"
    assert status == 1 and rows == {"ada": ("5", f"{of}; {now}")}
    assert "1 graded, 0 unchanged" in run(place, capsys)[1]


def interrupt(*arguments):
    raise KeyboardInterrupt


def test_what_a_score_depends_on(tmp_path, monkeypatch):
    """Its own solutions and all of the course's code, but no other tools."""
    ours = (f"solutions/{FIRST}/x.ipynb", "tapecourse/tape.py", "tapecourse/feedback/core.py")
    names = ("nbgrader_engine", "nbgrader_steps", "findings", "recount")
    steps = [f"tapecourse/tools/{name}.py" for name in names]
    others = (f"solutions/{SECOND}/x.ipynb", "tapecourse/tools/sweep.py")
    fill(tmp_path, dict.fromkeys((*ours, *steps, *others), "before"))
    monkeypatch.setattr(grading, "ROOT", tmp_path)
    digests = [grading.digest_of(FIRST)]
    for file in (*ours, *steps):
        (tmp_path / file).write_text("after")
        digests.append(grading.digest_of(FIRST))
    assert len(set(digests)) == len(digests)
    fill(tmp_path, dict.fromkeys(others, "after"))
    assert grading.digest_of(FIRST) == digests[-1]


def test_an_interrupt_loses_nothing_and_the_same_command_continues(place, capsys):
    hand_in(place, ada="5", bob="interrupt", cem="7")
    status, said, rows = run(place, capsys)
    assert status == 1 and "1 graded, 0 unchanged, 0 failed, 2 not graded yet." in said
    assert said.endswith("Interrupted. To continue, run the same command again.\n")
    not_yet = "", "failed: not graded yet, run the same command again"
    assert rows == {"ada": ("5", "graded"), "bob": not_yet, "cem": not_yet}
    hand_in(place, bob="6")
    status, said, _ = run(place, capsys)
    assert status == 0 and "2 graded, 1 unchanged, 0 failed." in said


def test_a_solution_that_nbgrader_refuses_ends_it_in_one_line(place, capsys, monkeypatch):
    def refuse(*arguments):
        raise ClearError("nbgrader refused it")

    hand_in(place, ada="5")
    monkeypatch.setattr(grading, "release", refuse)
    status, said, rows = run(place, capsys)
    assert status == 1 and said.endswith("\nnbgrader refused it\n")
    assert rows == {"ada": ("", "failed: not graded yet, run the same command again")}


def test_the_table_is_written_after_each_submission(place, capsys, monkeypatch):
    hand_in(place, ada="5", bob="6")
    seen, grade_notebook = [], grading.grade_notebook

    def look(*arguments):
        seen.append((place / "out" / "grades.csv").read_text())
        return grade_notebook(*arguments)

    monkeypatch.setattr(grading, "grade_notebook", look)
    run(place, capsys)
    assert [f"ada,{FIRST},5,11,graded" in table for table in seen] == [False, True]


def test_the_report_is_of_all_current_grades_and_of_no_names(place, capsys):
    hand_in(place, lovelace="5", hopper="6", noether="fail")
    run(place, capsys)
    hand_in(place, hopper="fail")
    run(place, capsys)
    page = (place / "out" / "report.html").read_text()
    assert "Graded notebooks: 1. Without a current grade, and not counted here: 2." in page
    text = page + (place / "out" / "report.ipynb").read_text()
    assert not any(name in text for name in ("lovelace", "hopper", "noether"))


def test_a_lost_page_is_made_anew(place, capsys):
    hand_in(place, ada="5")
    run(place, capsys)
    shutil.rmtree(place / "out" / "feedback")
    assert "1 graded, 0 unchanged" in run(place, capsys)[1]


# --- wrong arguments


@pytest.mark.parametrize(
    "submissions, out, message",
    [
        ("nowhere", "out", "SUBMISSIONS = 'nowhere': this is not a folder (looked in "),
        ("", "out", "SUBMISSIONS = '': this is not a folder"),
        ("in/ada.ipynb", "out", "SUBMISSIONS = 'in/ada.ipynb': this is not a folder"),
        ("empty", "out", "there is no notebook in this folder."),
        ("in", "", "--out = '': a folder is needed."),
        ("in", "in", "--out = 'in': this folder and SUBMISSIONS must be two"),
        ("in", "in/out", "--out = 'in/out': this folder and SUBMISSIONS must be two"),
        ("in", ".", "--out = '.': this folder and SUBMISSIONS must be two"),
        ("in", "file", "--out = 'file': this folder can't be written (File exists)."),
        ("in", "file/out", "--out = 'file/out': this folder can't be written (Not a dir"),
        ("in", "out[1]", "--out = 'out[1]': no '*', '?' or '[' is allowed in its path"),
        ("in", "other", "--out = 'other': this folder holds other files, and no grades."),
        ("in", "broken", "is broken: another folder is needed"),
        ("in", "busy", "--out = 'busy': another command is grading into this folder."),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(
    place, capsys, monkeypatch, submissions, out, message
):
    monkeypatch.chdir(place)
    hand_in(place, ada="5")
    fill(place, {"file": "", "empty/x.pdf": "", "other/grades.csv": "mine", "busy/grade.lock": ""})
    fill(place, {"broken/grades.json": '[{"learner": "ada"}]'})
    with FileLock("busy/grade.lock"):
        assert main(["grade", submissions, "--out", out]) == 2
    said = capsys.readouterr()
    assert message in said.err and said.err.count("\n") == 1 and said.out == ""
    assert not Path("out").exists() and Path("other/grades.csv").read_text() == "mine"


def test_where_points_are_counted_once_it_is_said(place, capsys, monkeypatch):
    monkeypatch.setattr("tapecourse.tools.recount.sys.platform", "darwin")
    hand_in(place, ada="5")
    assert "Points are counted once: to judge answers again, Linux is" in run(place, capsys)[1]
