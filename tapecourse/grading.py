"""What grading adds to nbgrader, so that one broken answer costs its own points and no others.

nbgrader by itself stops where a kernel dies, gives full points to a check that never ran, and puts
back a deleted check only below cells that still exist. See nbgrader_config.py.
"""

from typing import Any

from jupyter_core.utils import run_sync
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbgrader.preprocessors import Execute, OverwriteCells
from nbgrader.utils import is_grade, is_locked

__all__ = ["ExecuteEach", "RestoreChecks"]


class RestoreChecks(OverwriteCells):
    """Restores changed checks, as nbgrader does, and puts a deleted one below its answer."""

    def add_missing_grade_cells(
        self, nb: NotebookNode, resources: dict[str, Any]
    ) -> tuple[NotebookNode, dict[str, Any]]:
        """Add each check that the submission lacks, below its answer or else at the end."""
        released = self.gradebook.find_notebook(self.notebook_id, self.assignment_id)
        sources = {cell.name: cell for cell in released.source_cells}
        for check in released.grade_cells:
            names = [cell.metadata.get("nbgrader", {}).get("grade_id") for cell in nb.cells]
            if check.name not in names:
                answer = check.name.replace("check", "answer")
                place = names.index(answer) + 1 if answer in names else len(names)
                cell = self.missing_cell_transform(sources[check.name], check.max_score)
                cell.id = check.name
                cell.source = sources[check.name].source  # without a notice: it is a check as ever
                nb.cells.insert(place, cell)
        return nb, resources


class ExecuteEach(Execute):
    """Executes every cell, in a new kernel after one has died or can't be interrupted."""

    def preprocess_cell(
        self, cell: NotebookNode, resources: dict[str, Any], index: int
    ) -> tuple[NotebookNode, dict[str, Any]]:
        """Execute a cell; a check that tells no points gets an error, and so none."""
        problem = self.try_cell(cell, resources, index)
        if problem == DIED:  # perhaps of the cell before: exit() takes effect a moment later
            problem = self.try_cell(cell, resources, index)
        if problem:
            cell.outputs = [error_output(problem)]
        if is_grade(cell):
            settle(cell)
        return cell, resources

    def try_cell(self, cell: NotebookNode, resources: dict[str, Any], index: int) -> str:
        """Execute a cell; where that ends the kernel, start another one and return the reason."""
        try:
            super().preprocess_cell(cell, resources, index)
            return ""
        except DeadKernelError:
            problem = DIED
        except CellTimeoutError:
            problem = "The cell ran too long, and could not be interrupted."
        self.restart(index)
        return problem

    def restart(self, index: int) -> None:
        """Start a new kernel, and run what the course gave in the cells before `index`."""
        run_sync(self._async_cleanup_kernel)()
        self.km = self.create_kernel_manager()
        self.start_new_kernel(cwd=self.resources["metadata"]["path"])
        self.start_new_kernel_client()
        for number, cell in enumerate(self.nb.cells[:index]):
            if is_locked(cell) and not is_grade(cell):
                self.execute_cell(cell, number)


DIED = "The kernel died in this cell."


def error_output(problem: str) -> NotebookNode:
    """Make the output that nbgrader takes for a failure."""
    return new_output("error", ename="Stopped", evalue=problem, traceback=[problem])


def settle(check: NotebookNode) -> None:
    """Let a check's points be what `tapecourse.exercises` said, and nothing else.

    nbgrader gives full points to a check without a result, and none to one that logged to stderr.
    """
    for output in check.outputs:
        if output.get("name") == "stderr":
            output.name = "stdout"
    if not any(output.output_type in ("execute_result", "error") for output in check.outputs):
        check.outputs.append(error_output("The check came to no result."))
