"""Writes what is derived from the notebooks, modules and README's figure: ``make export``.

nbdev's own command would add an index module and an llms.txt, which nobody here reads.
"""

import base64
from pathlib import Path

import nbformat
from nbdev.export import nb_export

__all__ = ["export_all", "export_figure", "export_modules"]


def export_modules(root: Path) -> None:
    """Write `root`/tapecourse/*.py from the cells marked ``#| export`` in `root`/notebooks."""
    for notebook in sorted((root / "notebooks").glob("*.ipynb")):
        nb_export(notebook, lib_path=root / "tapecourse")


def export_figure(root: Path) -> None:
    """Write the training history that chapter 05 shows, for the README."""
    chapter = nbformat.read(root / "notebooks" / "05_training_loop.ipynb", as_version=4)
    [cell] = [cell for cell in chapter.cells if cell.id == "plot"]
    picture = base64.b64decode(cell.outputs[0].data["image/png"])
    (root / "notebooks" / "05_training_history.png").write_bytes(picture)


def export_all(root: Path) -> None:
    """Write every derived file below `root`."""
    export_modules(root)
    export_figure(root)


if __name__ == "__main__":
    export_all(Path(__file__).resolve().parent.parent)
