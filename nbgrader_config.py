"""How nbgrader releases and grades this course: solutions/ -> exercises/, grading in runs/."""

import os
import sys
import warnings
from pathlib import Path

from nbconvert.preprocessors import TagRemovePreprocessor
from nbgrader.converters import Autograde, GenerateAssignment
from nbgrader.preprocessors import Execute, OverwriteCells
from tapecourse.tools.nbgrader_steps import ExecuteEach, RestoreCells

c = get_config()  # noqa: F821  nbgrader defines it

# nbgrader calls alembic by name, which is found beside Python also where no one activated .venv.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

# SQLAlchemy warns about nbgrader's own code, which no reader here can mend.
warnings.filterwarnings("ignore", module="nbgrader")

grading = Path("runs/grading")
grading.mkdir(parents=True, exist_ok=True)  # SQLite makes a file, but no folder

c.CourseDirectory.course_id = "tapecourse"
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "exercises"
c.CourseDirectory.submitted_directory = str(grading / "submitted")
c.CourseDirectory.autograded_directory = str(grading / "autograded")
c.CourseDirectory.feedback_directory = str(grading / "feedback")
c.CourseDirectory.db_url = f"sqlite:///{grading}/gradebook.db"

# What a learner gets: no solutions, no explanations.
c.GenerateAssignment.preprocessors = [
    TagRemovePreprocessor,
    *GenerateAssignment.preprocessors.default(),
]
c.TagRemovePreprocessor.enabled = True
c.TagRemovePreprocessor.remove_cell_tags = ["explanation"]
c.ClearSolutions.code_stub = {"python": "raise NotImplementedError  # your code here"}

# One broken answer costs its own points and no others.
replaced = {Execute: ExecuteEach, OverwriteCells: RestoreCells}
for step in ("sanitize_preprocessors", "autograde_preprocessors"):
    usual = getattr(Autograde, step).default()
    c.Autograde[step] = [replaced.get(preprocessor, preprocessor) for preprocessor in usual]
c.Execute.timeout = 60  # seconds a cell; the slowest solution takes about ten
