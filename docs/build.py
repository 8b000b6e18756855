"""Build the site from the notebooks, as they are committed, without running any of them."""

import argparse
import re
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import tapecourse  # noqa: F401  (before Sphinx: it spares jsonschema's grammar, a second and more)
from sphinx.cmd.build import build_main

DOCS = Path(__file__).parent
ROOT = DOCS.parent
API = {  # pages that describe modules by their docstrings
    "taught": ("Modules that chapters teach", "tapecourse"),
    "support": ("Modules that chapters use", "tapecourse/support"),
    "tools": ("The command tapecourse", "tapecourse/tools"),
}


def build(out: Path) -> None:
    """Build the site into a folder; an earlier site there stays until the new one is whole."""
    with TemporaryDirectory() as folder:
        source, pages = Path(folder, "source"), Path(folder, "html")
        gather(source)
        arguments = ["-q", "-W", "-b", "html", "-c", DOCS, "-d", Path(folder, "trees")]
        if build_main([*map(str, [*arguments, source, pages])]):
            sys.exit("The site was not built: see the warnings above.")
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(out, ignore_errors=True)
        shutil.move(pages, out)


def gather(source: Path) -> None:
    """Put together what Sphinx reads: the site's pages, the notebooks, the pages of the API."""
    source.mkdir()
    for page in [*DOCS.glob("*.md"), ROOT / "README.md"]:
        shutil.copy(page, source)
    for notebook in [*ROOT.glob("notebooks/*.ipynb"), *ROOT.glob("exercises/*/*.ipynb")]:
        target = source / notebook.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(notebook, target)
    for picture in ROOT.glob("notebooks/*.png"):
        shutil.copy(picture, source / "notebooks")
    (source / "api").mkdir()
    for name, (title, package) in API.items():
        (source / "api" / f"{name}.rst").write_text(api_page(title, package))


def api_page(title: str, package: str) -> str:
    """Describe the modules of a package; those from chapters in the order of the chapters."""
    lines = [title, "=" * len(title)]
    for chapter, module in sorted(map(chapter_and_module, ROOT.glob(f"{package}/[a-z]*.py"))):
        lines += ["", module, "-" * len(module), ""]
        if chapter:
            lines += [f"Made from :doc:`/notebooks/{chapter}`.", ""]
        lines += [f".. automodule:: {module}", "   :members:"]
    return "\n".join(lines) + "\n"


def chapter_and_module(file: Path) -> tuple[str, str]:
    """Return the chapter that a module was made from, if any, and the module's name."""
    first = file.read_text().partition("\n")[0]
    found = re.search(r"File to edit: .*notebooks/(\w+)\.ipynb", first)
    return found[1] if found else "", ".".join(file.relative_to(ROOT).with_suffix("").parts)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "runs/site", help="where it goes")
    out = parser.parse_args().out
    build(out)
    print(f"The site is in {out}: make site-open shows it.")
