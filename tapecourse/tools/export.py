"""Writes what is derived from notebooks: the taught modules, the exercises, README's figure.

nbdev's own command would add an index module and an llms.txt, which nobody here reads.
"""

import base64
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
from nbdev.export import nb_export

from tapecourse.support.errors import ClearError, InputError

__all__ = [
    "copy_course",
    "export",
    "export_exercises",
    "export_figure",
    "export_modules",
    "stale_files",
]

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("notebooks", "solutions", "nbgrader_config.py")


def export(what: str | None = None, root: Path = ROOT) -> bool:
    """Write what is derived, and return True.

    Parameters
    ----------
    what : "modules" or "exercises", optional
        By default all, README's figure too.
    root : Path
        The folder of the course.

    Raises
    ------
    InputError
        `root` is not the folder of the course.
    ClearError
        nbgrader refused a notebook in solutions/.
    """
    for source in SOURCES:
        if not (root / source).exists():
            raise InputError("folder", str(root), f"it has no {source}: this is not the course.")
    if what in (None, "modules"):
        export_modules(root)
    if what in (None, "exercises"):
        export_exercises(root)
    if what is None:
        export_figure(root)
    return True


def export_modules(root: Path) -> None:
    """Write tapecourse/*.py from the cells marked ``#| export`` in notebooks/."""
    for notebook in sorted((root / "notebooks").glob("*.ipynb")):
        nb_export(str(notebook), lib_path=str(root / "tapecourse"))


def export_figure(root: Path) -> None:
    """Write the training history that chapter 05 shows, for the README."""
    chapter = nbformat.read(root / "notebooks" / "05_training_loop.ipynb", as_version=4)
    [cell] = [cell for cell in chapter.cells if cell.id == "plot"]
    picture = base64.b64decode(cell.outputs[0].data["image/png"])
    (root / "notebooks" / "05_training_history.png").write_bytes(picture)


def export_exercises(root: Path) -> None:
    """Write exercises/ from solutions/, with nbgrader."""
    for folder in sorted(path for path in (root / "solutions").iterdir() if path.is_dir()):
        command = [sys.executable, "-m", "nbgrader", "generate_assignment", folder.name]
        done = subprocess.run(
            [*command, "--force", "--log-level", "WARN"], cwd=root, capture_output=True, text=True
        )
        if done.returncode:
            raise ClearError(f"nbgrader refused solutions/{folder.name}:\n{done.stderr}")


def stale_files(root: Path = ROOT) -> list[str]:
    """Return the derived files that are not what `export` would write now."""
    with tempfile.TemporaryDirectory() as name:
        fresh = Path(name)
        copy_course(root, fresh)
        export(root=fresh)
        shutil.rmtree(fresh / "runs")  # nbgrader's gradebook
        files = sorted(path.relative_to(fresh) for path in fresh.rglob("*") if path.is_file())
        return [str(file) for file in files if not same(root / file, fresh / file)]


def copy_course(root: Path, copy: Path) -> None:
    """Copy what `export` reads and writes into the folder `copy`."""
    skipped = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
    for source in (*SOURCES, "tapecourse"):
        if (root / source).is_dir():
            shutil.copytree(root / source, copy / source, ignore=skipped)
        else:
            shutil.copy(root / source, copy / source)


def same(a: Path, b: Path) -> bool:
    return a.is_file() and a.read_bytes() == b.read_bytes()


def report_stale() -> bool:
    """Print the stale files and what to do; return whether there are none."""
    stale = stale_files()
    if stale:
        print("Stale:", *stale, "Run `make export`, and commit them.", sep="\n  ")
    return not stale
