"""How nbgrader's own commands release and grade: solutions/ -> exercises/, all else in runs/."""

from pathlib import Path

from tapecourse.tools.nbgrader_steps import configure

c = get_config()  # noqa: F821  nbgrader defines it
configure(c)

grading = Path("runs/nbgrader")
grading.mkdir(parents=True, exist_ok=True)  # SQLite makes a file, but no folder

c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "exercises"
c.CourseDirectory.submitted_directory = str(grading / "submitted")
c.CourseDirectory.autograded_directory = str(grading / "autograded")
c.CourseDirectory.feedback_directory = str(grading / "feedback")
c.CourseDirectory.db_url = f"sqlite:///{grading}/gradebook.db"
