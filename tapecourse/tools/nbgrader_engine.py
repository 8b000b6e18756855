"""Releases and grades with nbgrader, in this process and in a folder made for one run.

nbgrader's own programming interface would take an interrupt for a failed submission, and its
command line would start Python three times for each one.
"""

import hashlib
import logging.handlers
import re
import shutil
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any

from nbgrader.api import Gradebook, SubmittedNotebook
from nbgrader.converters import Autograde, GenerateAssignment, GenerateFeedback
from nbgrader.converters.base import BaseConverter
from nbgrader.coursedir import CourseDirectory

from tapecourse.support.errors import ClearError
from tapecourse.tools.findings import Finding, findings_in, number_of
from tapecourse.tools.nbgrader_steps import configure
from tapecourse.tools.recount import recount

__all__ = ["grade_notebook", "release"]


def release(course: Path, solutions: Path, assignments: list[str]) -> None:
    """Make nbgrader's folder anew, with these assignments released in it from solutions/.

    Raises
    ------
    ClearError
        nbgrader refused a solution.
    """
    shutil.rmtree(course, ignore_errors=True)
    for assignment in assignments:
        shutil.copytree(solutions / assignment, course / "source" / assignment)
        try:
            take_step(GenerateAssignment, course, assignment)
        except ClearError as error:
            raise ClearError(f"nbgrader refused solutions/{assignment}: {error}") from error


def grade_notebook(
    course: Path, learner: str, assignment: str, notebook: Path
) -> tuple[list[Finding], Path]:
    """Grade a notebook; return what was found of each exercise, and the page of feedback.

    Raises
    ------
    ClearError
        nbgrader can't grade it.
    """
    student = student_id(learner)
    place = course / "submitted" / student / assignment / f"{assignment}.ipynb"
    place.parent.mkdir(parents=True)
    shutil.copyfile(notebook, place)
    take_step(Autograde, course, assignment, student)
    below = Path(student, assignment, assignment)
    executed = (course / "autograded" / below).with_suffix(".ipynb")
    with Gradebook(f"sqlite:///{course}/gradebook.db", "tapecourse") as gradebook:
        [graded] = gradebook.find_submission(assignment, student).notebooks
        scores = {each.name: (each.score, each.max_score) for each in graded.grades}
        solved = [number_of(name) for name, (score, _) in scores.items() if score]
        released = course / "release" / assignment / f"{assignment}.ipynb"
        seed = int(hashlib.sha256(notebook.read_bytes()).hexdigest()[:8], 16)
        unconfirmed = recount(released, executed, solved, seed) if solved else {}
        take_away(graded, unconfirmed)
        gradebook.db.commit()
    take_step(GenerateFeedback, course, assignment, student)
    found = findings_in(executed, scores, unconfirmed)
    return found, (course / "feedback" / below).with_suffix(".html")


def take_away(graded: SubmittedNotebook, unconfirmed: dict[str, str]) -> None:
    """Take the points of some exercises away again, and say so on the learner's page."""
    for each in graded.grades:
        if number_of(each.name) in unconfirmed:
            each.manual_score = 0
    for each in graded.comments:
        if why := unconfirmed.get(number_of(each.name)):
            each.manual_comment = f"{NOT_CONFIRMED} ({why})"


NOT_CONFIRMED = (
    "No points: the check above passed, but by itself, on other data, the answer isn't right."
    " Ask your teacher if you don't see why."
)


def student_id(learner: str) -> str:
    """Make of any name one that nbgrader takes, and that is no other learner's."""
    plain = unicodedata.normalize("NFKD", learner).encode("ascii", "ignore").decode()
    digest = hashlib.sha256(learner.encode()).hexdigest()
    return f"{re.sub('[^A-Za-z0-9]+', '-', plain)[:40]}-{digest[:8]}"


@cache
def configuration(course: Path) -> Any:
    """Make nbgrader's configuration for a folder."""
    config = CourseDirectory().config  # an empty one
    configure(config)
    config.CourseDirectory.root = str(course)
    return config


def take_step(
    step: type[BaseConverter], course: Path, assignment: str, student: str = "*"
) -> None:
    """Do one of nbgrader's steps; an error says in a line why, with nbgrader's log as a note."""
    config = configuration(course)
    folder = CourseDirectory(config=config, assignment_id=assignment, student_id=student)
    app = step(coursedir=folder, config=config)
    heard = logging.handlers.BufferingHandler(capacity=10_000)
    app.log.addHandler(heard)
    try:
        app.start()
    except Exception as error:
        texts = [record.getMessage() for record in heard.buffer]
        clear = ClearError(reason([*texts, f"{type(error).__name__}: {error}"]))
        clear.add_note("\n".join(texts))
        raise clear from error
    finally:
        app.log.removeHandler(heard)


def reason(texts: list[str]) -> str:
    """Return in a line why nbgrader failed: the end of the traceback that it logged, if it did."""
    told = [text for text in texts if text.startswith("Traceback")] or texts[-1:]
    lines = [line for line in told[-1].splitlines() if line and not line[0].isspace()]
    return lines[-1][:300]
