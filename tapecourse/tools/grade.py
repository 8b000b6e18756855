"""Grades submitted exercises with nbgrader: ``tapecourse grade SUBMISSIONS --out FOLDER``.

What it leaves in the folder::

    grades.csv                        a row for each learner and assignment
    report.html, report.ipynb         which misconceptions the class has, without names
    feedback/LEARNER/ASSIGNMENT.html  the learner's notebook with points and hints
    grades.json                       the scores, and of which submissions and exercises they are
    nbgrader/, nbgrader.log           what nbgrader made and said in the last run

A score holds as long as the submission, the solutions and the checks are what they were; else the
submission is graded anew. `tapecourse.tools.submissions` says whose a notebook is.
"""

import csv
import hashlib
import io
import json
import os
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import nbformat
from filelock import FileLock, Timeout
from tqdm import tqdm

from tapecourse.support.errors import InputError
from tapecourse.support.files import write_whole
from tapecourse.support.parameters import make_folder
from tapecourse.support.variants import NAME
from tapecourse.tools.class_report import report, report_page
from tapecourse.tools.findings import Finding
from tapecourse.tools.flags import flags_of
from tapecourse.tools.isolation import why_not_isolated
from tapecourse.tools.nbgrader_engine import grade_notebook, release
from tapecourse.tools.execute import stderr_into
from tapecourse.tools.recount import can_recount
from tapecourse.tools.submissions import Submission, find_submissions, readable
from tapecourse.tools.attempt import first_line
from tapecourse.tools.variants import read_variants

__all__ = ["grade"]

ROOT = Path(__file__).resolve().parents[2]
COLUMNS: list[str] = [
    "learner",
    "assignment",
    "score",
    "max_score",
    "status",
    "recount",
    "flags",
    "file",
]
LOCK = "grade.lock"
TITLE = re.compile(r"## Exercise (\w+\.\d+) · (.+?)\\n")
NOT_YET = "not graded yet, run the same command again"


@dataclass(frozen=True)
class Grade:
    """A score, and what it is a score of.

    Parameters
    ----------
    file : str
        The notebook's path below SUBMISSIONS.
    submission, exercise : str
        Digests of the notebook, and of the exercises with their checks.
    flags : str
        What the learner's code reaches for that no answer needs.
    findings : list of Finding
        What was found of each exercise.
    """

    learner: str
    assignment: str
    score: float
    max_score: float
    file: str
    submission: str
    exercise: str
    flags: str = ""
    findings: list[Finding] = field(default_factory=list)


@dataclass
class Grading:
    """All that is known while a folder of submissions is graded; keys: learner, assignment."""

    submissions: list[Submission]
    exercises: dict[str, str]  # the digest of each assignment
    grades: dict[tuple[str, str], Grade]
    failures: dict[tuple[str, str], str] = field(default_factory=dict)  # of this run, and why

    def is_graded(self, submission: Submission) -> bool:
        """Tell whether the score is of this submission, and by these exercises and checks."""
        known = self.grades.get(key(submission))
        ours = submission.digest, self.exercises.get(submission.assignment)
        return known is not None and (known.submission, known.exercise) == ours

    def to_do(self) -> list[Submission]:
        """Return what can be graded, and isn't."""
        return [each for each in self.submissions if not (each.problem or self.is_graded(each))]

    def problem(self, submission: Submission) -> str:
        """Return why a submission isn't graded."""
        return submission.problem or self.failures.get(key(submission), NOT_YET)

    def status(self, submission: Submission) -> str:
        """Say what a score is worth, or why there is none."""
        if self.is_graded(submission):
            return "graded"
        known = self.grades.get(key(submission))
        if known is None:
            return f"failed: {self.problem(submission)}"
        same = known.submission == submission.digest
        of = "an earlier version of the exercise" if same else "an earlier submission"
        return f"stale: the score is of {of}; now: {self.problem(submission)}"

    def gone(self) -> list[Grade]:
        """Return the grades whose submissions are no longer there."""
        there = {key(each) for each in self.submissions}
        return [each for place, each in self.grades.items() if place not in there]

    def rows(self) -> list[dict[str, str]]:
        """Return the table of grades."""
        gone = "stale: the score is of a submission that is no longer there"
        rows = [
            row(each, self.grades.get(key(each)), self.status(each)) for each in self.submissions
        ]
        rows += [row(each, each, gone) for each in self.gone()]
        return sorted(rows, key=lambda row: (row["learner"].casefold(), row["assignment"]))


def key(each: Submission | Grade) -> tuple[str, str]:
    return each.learner, each.assignment


def row(each: Submission | Grade, known: Grade | None, status: str) -> dict[str, str]:
    """Make a row of the table; `known` is the grade, if there is one."""
    scores = {"score": "", "max_score": "", "recount": "", "flags": ""}
    if known:
        scores = {"score": f"{known.score:g}", "max_score": f"{known.max_score:g}"}
        taken = [each for each in known.findings if each.state == "unconfirmed"]
        scores["recount"] = "; ".join(f"{each.exercise}: {each.hints[0]}" for each in taken)
        scores["flags"] = known.flags
    names = {"learner": each.learner, "assignment": each.assignment, "file": each.file}
    return names | scores | {"status": status}


# --- the folder


def find_folders(submissions: str, out: str) -> tuple[Path, Path]:
    """Return the whole paths of the two folders; refuse what nothing can be read from or put into.

    Raises
    ------
    InputError
        One is missing, or lies in the other, or nbgrader can't work with its name.
    """
    if not submissions or not Path(submissions).is_dir():
        problem = (
            f"this is not a folder (looked in {Path.cwd()}): that of all submissions is needed."
        )
        raise InputError("SUBMISSIONS", submissions, problem)
    if not out:
        raise InputError("--out", out, "a folder is needed.")
    source, folder = Path(submissions).resolve(), Path(out).resolve()
    if source.is_relative_to(folder) or folder.is_relative_to(source):
        problem = "this folder and SUBMISSIONS must be two, and neither in the other."
        raise InputError("--out", out, problem)
    if set("*?[") & set(str(folder)):
        problem = f"no '*', '?' or '[' is allowed in its path: nbgrader can't read {folder}."
        raise InputError("--out", out, problem)
    return source, folder


@contextmanager
def locked(folder: Path, out: str) -> Iterator[None]:
    """Make the folder, and be the only one who grades into it.

    Raises
    ------
    InputError
        It can't be written, holds other things, or is in use.
    """
    make_folder("--out", out)
    others = [path for path in folder.iterdir() if path.name != LOCK]
    if others and not (folder / "grades.json").is_file():
        raise InputError("--out", out, "this folder holds other files, and no grades.")
    try:
        with FileLock(folder / LOCK, timeout=0):
            yield
    except Timeout:
        raise InputError("--out", out, "another command is grading into this folder.") from None


def page_of(folder: Path, each: Submission | Grade) -> Path:
    return folder / "feedback" / each.learner / f"{each.assignment}.html"


def read_grades(folder: Path) -> dict[tuple[str, str], Grade]:
    """Read the grades that the folder holds; one without its page is none.

    Raises
    ------
    InputError
        grades.json is broken.
    """
    path = folder / "grades.json"
    if not path.exists():
        return {}
    try:
        grades = [as_grade(each) for each in json.loads(path.read_text(encoding="utf-8"))]
    except (ValueError, TypeError):
        problem = f"{path} is broken: another folder is needed, to grade all anew."
        raise InputError("--out", str(folder), problem) from None
    return {key(each): each for each in grades if page_of(folder, each).is_file()}


def as_grade(stored: dict[str, Any]) -> Grade:
    """Read a grade as grades.json holds it."""
    findings = [Finding(**each) for each in stored.pop("findings", [])]
    return Grade(**stored, findings=findings)


def write_grades(folder: Path, grading: Grading) -> None:
    """Write grades.json and grades.csv."""
    grades = [asdict(each) for each in grading.grades.values()]
    write_whole(folder / "grades.json", json.dumps(grades, indent=2) + "\n")
    table = io.StringIO()
    writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(grading.rows())
    write_whole(folder / "grades.csv", table.getvalue())


def write_report(folder: Path, grading: Grading) -> None:
    """Write the report of the class, of all grades that are current."""
    graded = [each for each in grading.submissions if grading.is_graded(each)]
    if not graded:
        for name in ("report.ipynb", "report.html"):
            (folder / name).unlink(missing_ok=True)  # it was of other submissions
        return
    found = [(each.assignment, grading.grades[key(each)].findings) for each in graded]
    titles = {}
    for path in (ROOT / "solutions").glob("*/*.ipynb"):
        titles |= dict(TITLE.findall(path.read_text(encoding="utf-8")))
    left_out = len(grading.submissions) - len(graded)
    notebook = report(sorted(found, key=repr), titles, left_out)  # in no order of names
    write_whole(folder / "report.ipynb", nbformat.writes(notebook) + "\n")
    write_whole(folder / "report.html", report_page(notebook))


# --- the command


def grade(submissions: str, out: str, variants: str | None = None) -> bool:
    """Grade what isn't graded yet; return whether every submission is graded now.

    Parameters
    ----------
    submissions : str
        The folder of all submissions: a notebook or a folder for each learner.
    out : str
        The folder for the grades.
    variants : str, optional
        The table of `tapecourse variants`, where learners have exercises of their own.

    Raises
    ------
    InputError
        A folder or the table is wrong, or there is no notebook.
    ClearError
        nbgrader refused a solution of the course.
    """
    source, folder = find_folders(submissions, out)
    assignments = sorted(path.name for path in (ROOT / "solutions").iterdir() if path.is_dir())
    found, ignored = find_submissions(source, assignments)
    table = read_variants("--variants", variants) if variants is not None else None
    found = [with_variant(each, table) for each in found]
    with locked(folder, out):
        exercises = {assignment: digest_of(assignment) for assignment in assignments}
        grading = Grading(found, exercises, read_grades(folder))
        to_do = grading.to_do()
        write_grades(folder, grading)
        if ignored:
            print(f"Files ignored because they are hidden or no notebooks: {ignored}.")
        if to_do and (reason := why_not_isolated()):
            print(f"Submissions run without isolation: {reason}.")
            print("Their code can read and change whatever you can, the grades included.")
        if to_do and not can_recount():
            print("Points are counted once: to judge answers again, Linux is needed.")
        try:
            if to_do:
                grade_all(source, folder, grading, to_do)
        finally:
            write_report(folder, grading)
            print_result(folder, grading, to_do)
    return all(map(grading.is_graded, found))


def with_variant(each: Submission, table: dict[str, int] | None) -> Submission:
    """Say which variant of the exercises a submission is to be graded by, or that none is known.

    `table` has the variant of each learner; without it there are no variants.
    """
    if each.problem:
        return each
    if table is None:
        if each.says_variant:
            problem = f"this notebook is of variant {each.says_variant}: --variants is needed"
            return replace(each, problem=problem)
        return each
    if each.learner not in table:
        return replace(each, problem="the table of variants has no learner of this name")
    which = table[each.learner]
    return replace(each, variant=which, digest=f"{each.digest}, variant {which}")


def other_variant(each: Submission) -> str:
    """Say that a notebook is of another variant than the learner's; "" if it isn't."""
    if each.says_variant == each.variant:
        return ""
    return f"variant {each.says_variant} of the exercises, not {each.variant}"


@contextmanager
def environment(name: str, value: str) -> Iterator[None]:
    """Set a variable for the processes that are started meanwhile."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


def digest_of(assignment: str) -> str:
    """Return a digest of all that a score depends on, but for the submission.

    That is the assignment's solutions and all code of the course, without the other tools.
    """
    tools = ROOT / "tapecourse" / "tools"
    code = [path for path in (ROOT / "tapecourse").rglob("*.py") if path.parent != tools]
    names = ("nbgrader_engine", "nbgrader_steps", "findings", "recount")
    ours = [tools / f"{name}.py" for name in names]
    files = [*code, *ours, *(ROOT / "solutions" / assignment).glob("*")]
    digest = hashlib.sha256()
    for path in sorted(path for path in files if path.is_file()):
        digest.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def grade_all(source: Path, folder: Path, grading: Grading, to_do: list[Submission]) -> None:
    """Grade one submission after the other; after each, all that is finished is in the folder."""
    course = folder / "nbgrader"
    settings = {"total": len(to_do), "desc": "graded", "unit": "notebook"}
    with open(folder / "nbgrader.log", "wb", buffering=0) as log, stderr_into(log) as terminal:
        release(course, ROOT / "solutions", sorted({each.assignment for each in to_do}))
        for each in tqdm(to_do, **settings, file=terminal):
            try:
                notebook = source / each.path
                with environment(NAME, str(each.variant)):
                    findings, page = grade_notebook(
                        course, each.learner, each.assignment, notebook
                    )
                flags = filter(None, [flags_of(notebook), other_variant(each)])
            except Exception as error:  # nbgrader raises many kinds, by what is wrong
                log.write(readable("".join(traceback.format_exception(error))).encode())
                grading.failures[key(each)] = readable(first_line(str(error)))
            else:
                keep(page, page_of(folder, each))
                grading.grades[key(each)] = Grade(
                    learner=each.learner,
                    assignment=each.assignment,
                    score=sum(found.points for found in findings),
                    max_score=sum(found.most for found in findings),
                    file=each.file,
                    submission=each.digest,
                    exercise=grading.exercises[each.assignment],
                    flags=", ".join(flags),
                    findings=findings,
                )
            write_grades(folder, grading)


def keep(page: Path, place: Path) -> None:
    """Put a page of feedback where its learner's pages are."""
    place.parent.mkdir(parents=True, exist_ok=True)
    os.replace(page, place)


def print_result(folder: Path, grading: Grading, to_do: list[Submission]) -> None:
    """Print what came of it: numbers, each failure with its reason, and where everything is."""
    graded = [each for each in grading.submissions if grading.is_graded(each)]
    rest = [each for each in grading.submissions if each not in graded]
    left = [each for each in rest if grading.problem(each) == NOT_YET]
    now = [each for each in to_do if each in graded]
    counts = {
        "graded": len(now),
        "unchanged": len(graded) - len(now),
        "failed": len(rest) - len(left),
        "not graded yet": len(left),
        "no longer there": len(grading.gone()),
    }
    always = ("graded", "unchanged", "failed")
    print(", ".join(f"{n} {what}" for what, n in counts.items() if n or what in always) + ".")
    for each in rest:
        if each not in left:
            name = f"{each.learner}, {each.assignment or each.file}"
            print(f"failed: {name}: {grading.problem(each)}")
    taken = sum(f.state == "unconfirmed" for g in grading.grades.values() for f in g.findings)
    if taken:
        print(f"Points taken away again: {taken} times; the column `recount` says where and why.")
    flagged = sum(bool(each.flags) for each in grading.grades.values())
    if flagged:
        print(f"Flagged: {flagged}; the column `flags` says what their code reaches for.")
    places = [folder / "grades.csv", folder / "report.html", folder / "feedback"]
    print("Look at:", *(f"{place}" for place in places if place.exists()), sep="\n  ")
