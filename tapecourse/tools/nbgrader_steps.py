"""What grading adds to nbgrader, so that one broken answer costs its own points and no others.

nbgrader by itself stops where a kernel dies, gives full points to a check that never ran, and
fails where cells were deleted or pasted a second time. Both `tapecourse.tools.grade` and
nbgrader_config.py, for nbgrader's own commands, take the settings from here.
"""

import copy
import os
import sys
import warnings
from pathlib import Path
from typing import Any

from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbconvert.preprocessors import TagRemovePreprocessor
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_output
from nbgrader.api import Gradebook, Notebook
from nbgrader.converters import Autograde, GenerateAssignment
from nbgrader.preprocessors import Execute, NbGraderPreprocessor, OverwriteCells
from nbgrader.utils import is_grade

from tapecourse.tools.isolation import IsolatedKernelManager

__all__ = ["ExecuteEach", "RestoreCells", "configure"]


def configure(c: Any) -> None:
    """Set in a configuration of nbgrader how this course is released and graded: all but folders.

    Parameters
    ----------
    c : traitlets.config.Config
        What nbgrader's classes take, and what nbgrader_config.py gets.
    """
    # nbgrader calls alembic by name, which is found beside Python also where no .venv is active.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    # SQLAlchemy warns about nbgrader's own code, which no reader here can mend.
    warnings.filterwarnings("ignore", module="nbgrader")
    c.CourseDirectory.course_id = "tapecourse"
    # What a learner gets: no solutions, no explanations.
    usual = GenerateAssignment.preprocessors.default() or []
    c.GenerateAssignment.preprocessors = [TagRemovePreprocessor, *usual]
    c.TagRemovePreprocessor.enabled = True
    c.TagRemovePreprocessor.remove_cell_tags = ["explanation"]
    c.ClearSolutions.code_stub = {"python": "raise NotImplementedError  # your code here"}
    # One broken answer costs its own points and no others.
    replaced = {Execute: ExecuteEach, OverwriteCells: RestoreCells}
    for step in ("sanitize_preprocessors", "autograde_preprocessors"):
        usual = getattr(Autograde, step).default()
        c.Autograde[step] = [replaced.get(preprocessor, preprocessor) for preprocessor in usual]
    c.Execute.kernel_name = "python3"  # whatever a submission names
    c.Execute.kernel_manager_class = IsolatedKernelManager
    c.Execute.timeout = 60  # seconds a cell; the slowest solution takes about ten


LONGEST_OUTPUT = 1_000_000  # characters a cell; a large figure has some 200,000


class RestoreCells(NbGraderPreprocessor):
    """Makes all but the answers what was released: changed cells, deleted ones, and metadata.

    It stands in for nbgrader's OverwriteCells, which trusts a submission's metadata.
    """

    def preprocess(
        self, nb: NotebookNode, resources: dict[str, Any]
    ) -> tuple[NotebookNode, dict[str, Any]]:
        """Restore a submitted notebook."""
        where = resources["nbgrader"]
        with Gradebook(where["db_url"]) as gradebook:
            released = released_cells(
                gradebook.find_notebook(where["notebook"], where["assignment"])
            )
        found = set()
        for number, cell in enumerate(nb.cells):
            name = cell.metadata.pop("nbgrader", {}).get("grade_id")
            if name in released:
                found.add(name)
                original = released[name]
                if original.metadata.nbgrader.solution:
                    original.source = cell.source
                nb.cells[number] = original
        for name in reversed(released):  # of those put on top, the last one stays there
            if name not in found and released[name].metadata.nbgrader.locked:
                put_back(nb, name, released[name])
        return nb, resources


def released_cells(notebook: Notebook) -> dict[str, NotebookNode]:
    """Make the cells of a released notebook that nbgrader knows, by name, in their order."""
    points = {check.name: check.max_score for check in notebook.grade_cells}
    answers = {answer.name for answer in notebook.solution_cells}
    cells = {}
    for source in notebook.source_cells:
        metadata = {
            "cell_type": source.cell_type,
            "checksum": source.checksum,
            "grade": source.name in points,
            "grade_id": source.name,
            "locked": source.locked,
            "schema_version": 3,
            "solution": source.name in answers,
            "task": False,
        }
        if source.name in points:
            metadata["points"] = points[source.name]
        cells[source.name] = new_code_cell(
            source.source, id=source.name, metadata={"nbgrader": metadata}
        )
    return cells


def put_back(nb: NotebookNode, name: str, original: NotebookNode) -> None:
    """Insert a deleted cell: a check below its answer or else at the end, all else on top."""
    names = [cell.get("id") for cell in nb.cells]
    answer = name.replace("check", "answer")
    if not original.metadata.nbgrader.grade:
        place = 0
    elif answer in names:
        place = names.index(answer) + 1
    else:
        place = len(names)
    nb.cells.insert(place, original)


class ExecuteEach(Execute):
    """Executes every cell, in a new kernel after one has died or can't be interrupted.

    The new kernel runs again what stands above, but for the cells that ended a kernel.

    Of a cell's output it keeps the first million characters, and of what comes later the result.
    """

    def output(
        self,
        outs: list[NotebookNode],
        msg: dict[str, Any],
        display_id: str | None,
        cell_index: int,
    ) -> NotebookNode | None:
        """Keep what a kernel sent, as far as there is room."""
        size, room = len(repr(msg["content"])), LONGEST_OUTPUT - self.heard
        is_result = msg["msg_type"] in ("execute_result", "error") and size <= LONGEST_OUTPUT
        self.heard += size
        if size <= room or is_result:
            return super().output(outs, msg, display_id, cell_index)
        if room > 0:
            start = msg["content"].get("text", "")[:room]
            note = f"Cut here: the output has more than {LONGEST_OUTPUT:,} characters."
            outs.append(new_output("stream", text=f"{start}\n{note}\n"))
        return None

    def preprocess(
        self, nb: NotebookNode, resources: Any = None, km: Any = None
    ) -> tuple[NotebookNode, dict[str, Any]]:
        """Execute a notebook."""
        self.fatal: set[int] = set()  # the cells that ended a kernel
        return super().preprocess(nb, resources, km)

    def preprocess_cell(
        self, cell: NotebookNode, resources: dict[str, Any], index: int
    ) -> tuple[NotebookNode, dict[str, Any]]:
        """Execute a cell; a check that tells no points gets an error, and so none."""
        if problem := self.try_cell(cell, index):
            cell.outputs = [*cell.outputs, error_output(problem)]
            self.restart(index)
        if is_grade(cell):
            settle(cell)
        return cell, resources

    def try_cell(self, cell: NotebookNode, index: int) -> str:
        """Execute a cell; return how it ended the kernel, or "" if it didn't."""
        self.heard, self.left = 0, False  # characters of output; whether the kernel ends
        try:
            self.execute_cell(cell, index, store_history=True)
        except DeadKernelError:
            cell.outputs = []
            return "The kernel died in this cell."
        except CellTimeoutError:
            cell.outputs = []
            return "It could not be interrupted."
        return "This cell ended the kernel." if self.left else ""

    def on_cell_executed(self, **told: Any) -> None:
        """Hear whether a cell has asked the kernel to end, as `exit()` does."""
        super().on_cell_executed(**told)
        asked = told["execute_reply"]["content"].get("payload", [])
        self.left = any(
            each.get("source") == "ask_exit" and not each.get("keepkernel") for each in asked
        )

    def restart(self, index: int) -> None:
        """Start a new kernel, and run again what stands before `index`, without the checks."""
        problem, number = "a new kernel", index
        while problem:
            self.fatal.add(number)
            self.start_anew()
            problem = ""
            for number, cell in enumerate(self.nb.cells[:index]):
                if cell.cell_type == "code" and not is_grade(cell) and number not in self.fatal:
                    problem = self.try_cell(copy.deepcopy(cell), number)
                    self.nb.cells[number] = cell  # with what it put out the first time
                    if problem:
                        break

    def start_anew(self) -> None:
        """Start a new kernel in place of the old one."""
        self._cleanup_kernel()
        self.km = self.create_kernel_manager()
        self.start_new_kernel(cwd=self.resources["metadata"]["path"])
        self.start_new_kernel_client()


def error_output(problem: str) -> NotebookNode:
    """Make the output that nbgrader takes for a failure."""
    return new_output("error", ename="Stopped", evalue=problem, traceback=[problem])


def settle(check: NotebookNode) -> None:
    """Let a check's points be what `tapecourse.feedback` said, and nothing else.

    nbgrader gives full points to a check without a result, and none to one that logged to stderr.
    """
    for output in check.outputs:
        if output.get("name") == "stderr":
            output.name = "stdout"
    if not any(output.output_type in ("execute_result", "error") for output in check.outputs):
        check.outputs.append(error_output("The check came to no result."))
