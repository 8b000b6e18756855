"""Writes exercises of their own for each learner: ``tapecourse variants ROSTER --out FOLDER``.

What it leaves in the folder::

    variants.csv          which variant each learner has: what `tapecourse grade --variants` reads
    exercises/LEARNER/    what the learner gets in place of the course's exercises/
    solutions/LEARNER/    the solutions to it, without outputs
"""

import copy
import csv
import io
import re
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from tapecourse.support.errors import InputError
from tapecourse.support.files import read_file, write_whole
from tapecourse.support.parameters import make_folder
from tapecourse.support.variants import NAME, NUMBERS, new_letters, own_number
from tapecourse.tools.submissions import readable

__all__ = ["in_variant", "read_variants", "write_variants"]

ROOT = Path(__file__).resolve().parents[2]
LARGEST = 1_000_000  # bytes of a list of learners
HEADER = ("learner", "variant")  # of the table
TITLE = re.compile(r"## (?:Exercise (\w+\.\d+) · )?")
ITEMS = [  # what has a letter, a pattern for each form: what is before it, the letter, the text
    re.compile(pattern, re.MULTILINE)
    for pattern in (
        r"^(- \*\*)(\w)(\*\* .+)$",
        r'^( +")(\w)(": lambda .+)$',
        r'^( +\(")(\w)(", .+)$',
        r"^(def )(\w)(\(\):(?:\n    .+)+)",
    )
]
LETTER = {  # where a solution names one
    "answer": re.compile('(")([a-z])(")'),
    "why": re.compile(r'(\*\*|"|# )([a-z])(\*\*|"|$)', re.MULTILINE),
}


def write_variants(roster: str, out: str) -> bool:
    """Write a variant of all exercises and solutions for each learner, and return True.

    Who has a variant in the folder already keeps it.

    Parameters
    ----------
    roster : str
        A text file with a name in each line, as `tapecourse grade` will find it.
    out : str
        The folder.

    Raises
    ------
    InputError
        The list or the folder is wrong.
    """
    names, folder = read_roster(roster), Path(out)
    make_folder("--out", out)
    table = folder / "variants.csv"
    others = {path.name for path in folder.iterdir()} - {"variants.csv.part"}  # of write_whole
    if others and not table.is_file():
        raise InputError("--out", out, "this folder holds other files, and no variants.csv.")
    known = read_variants("--out", table) if table.is_file() else {}
    first = max(known.values(), default=0) + 1
    new = [name for name in names if name not in known]
    known |= {name: first + i for i, name in enumerate(new)}
    write_table(table, known)  # first: whoever is in it keeps the variant, whatever comes between
    for kind in ("exercises", "solutions"):
        for path in sorted((ROOT / kind).glob("*/*.ipynb")):
            notebook = nbformat.read(path, as_version=4)
            for name in names:
                own = copy.deepcopy(notebook)
                in_variant(own, known[name])
                place = folder / kind / name / path.relative_to(ROOT / kind)
                place.parent.mkdir(parents=True, exist_ok=True)
                nbformat.write(own, place)
    print(f"Learners: {len(names)}, {len(new)} of them new. Look at:", folder, sep="\n  ")
    return True


# --- the notebooks


def in_variant(notebook: NotebookNode, which: int) -> None:
    """Make of the exercises or solutions of a chapter those of a variant, in place."""
    number, letters = "", {}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.update(outputs=[], execution_count=None)
        elif title := TITLE.match(cell.source):
            number, letters = title[1] or "", {}
        kind = cell.get("id", "").split("-")[0]
        if kind == "setup":
            load = "%load_ext tapecourse\n"
            cell.source = cell.source.replace(load, f"{load}%env {NAME}={which}\n", 1)
        elif number and kind in LETTER:
            cell.source = with_new_letters(cell.source, kind, letters)
        elif number and not letters:
            cell.source, letters = with_moved_texts(cell.source, number, which)
        if number in NUMBERS:
            own = own_number(number, which)
            for old, new in NUMBERS[number].texts:
                cell.source = cell.source.replace(old, new(own))


def with_moved_texts(source: str, number: str, which: int) -> tuple[str, dict[str, str]]:
    """Let the texts that have letters change places; return also which letter each has now."""
    for pattern in ITEMS:
        texts = {letter: text for _, letter, text in pattern.findall(source)}
        if len(texts) > 1:
            letters = new_letters(number, "".join(texts), which)
            moved = {new: texts[old] for old, new in letters.items()}
            return with_texts(source, pattern, moved), letters
    return source, {}


def with_texts(source: str, pattern: re.Pattern[str], texts: dict[str, str]) -> str:
    """Put at each letter the text that it has now."""
    return pattern.sub(lambda found: found[1] + found[2] + texts[found[2]], source)


def with_new_letters(source: str, kind: str, letters: dict[str, str]) -> str:
    """Replace the letters that a solution or an explanation names."""
    given, mark, solution = source.partition("### BEGIN SOLUTION")
    if kind == "why":
        given, mark, solution = "", "", source
    new = LETTER[kind].sub(lambda m: m[1] + letters.get(m[2], m[2]) + m[3], solution)
    return given + mark + new


# --- who has which


def read_roster(path: str) -> list[str]:
    """Read the names of learners, one a line.

    Raises
    ------
    InputError
        There is none, or one comes twice, or can't be the name of a folder.
    """
    try:
        lines = read_file("ROSTER", path, LARGEST).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise InputError("ROSTER", path, "this is not UTF-8: a text file is needed.") from None
    names = [readable(line.strip()) for line in lines if line.strip()]
    if not names:
        raise InputError("ROSTER", path, "there is no name in it: one a line is needed.")
    for i, name in enumerate(names):
        if name in names[:i]:
            raise InputError("ROSTER", name, "this name stands there twice.")
        if set(name) & set('/\\:*?"<>|') or name.startswith(".") or not name.isprintable():
            problem = "this can't be a folder's name: name learners as submissions will."
            raise InputError("ROSTER", name, problem)
    return names


def read_variants(name: str, path: str | Path) -> dict[str, int]:
    """Read which variant each learner has.

    Parameters
    ----------
    name : str
        What the command line calls the file.
    path : str or Path

    Raises
    ------
    InputError
        The file isn't one that `tapecourse variants` wrote.
    """
    text = read_file(name, str(path), LARGEST).decode("utf-8", "replace")
    try:
        header, *rows = csv.reader(io.StringIO(text))
        if tuple(header) == HEADER:
            return {learner: int(variant) for learner, variant in rows}
    except (ValueError, csv.Error):  # it is empty, or holds something else
        pass
    problem = "a table that `tapecourse variants` wrote is needed."
    raise InputError(name, str(path), problem)


def write_table(path: Path, known: dict[str, int]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([HEADER, *known.items()])
    write_whole(path, text.getvalue())
