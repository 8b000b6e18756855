"""Build the site from the notebooks, as they are committed, without running any of them."""

import argparse
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from sphinx.cmd.build import build_main

DOCS = Path(__file__).parent
ROOT = DOCS.parent
API = {
    "taught": ("What the chapters teach", "tapecourse/[a-z]*.py"),
    "support": ("What chapters use and do not teach", "tapecourse/support/[a-z]*.py"),
    "feedback": ("The checks of the exercises", "tapecourse/feedback/[a-z]*.py"),
    "tools": ("The command tapecourse", "tapecourse/tools/[a-z]*.py"),
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
    """Put together what Sphinx reads: pages of the site, notebooks, a page for each part of the API."""
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
    for name, (title, pattern) in API.items():
        (source / "api" / f"{name}.rst").write_text(api_page(title, sorted(ROOT.glob(pattern))))


def api_page(title: str, files: list[Path]) -> str:
    """Write a page that describes modules by their docstrings."""
    lines = [title, "=" * len(title), ""]
    for file in files:
        module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
        lines += [module, "-" * len(module), "", f".. automodule:: {module}", "   :members:", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "runs/site", help="where it goes")
    out = parser.parse_args().out
    build(out)
    print(f"The site is in {out}: make site-open shows it.")
