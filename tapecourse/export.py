"""Writes the package's taught modules from the notebooks: ``make export``.

nbdev's own command would add an index module and an llms.txt, which nobody here reads.
"""

from pathlib import Path

from nbdev.export import nb_export

__all__ = ["export_notebooks"]


def export_notebooks(root: Path) -> None:
    """Write `root`/tapecourse/*.py from the cells marked ``#| export`` in `root`/notebooks."""
    for notebook in sorted((root / "notebooks").glob("*.ipynb")):
        nb_export(notebook, lib_path=root / "tapecourse")


if __name__ == "__main__":
    export_notebooks(Path(__file__).resolve().parent.parent)
