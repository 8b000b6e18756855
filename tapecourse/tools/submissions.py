"""Finds the submissions in a folder, as learning platforms hand them out.

Whose a notebook is:

- Where it lies in folders, the topmost one's name says it, without what Moodle appends. Folders
  named as an assignment don't count.
- Else the notebook's own name says it: of Canvas's names the learner and the learner's number, of
  others what is left without the assignment's name (all of it, where nothing is left).

Which assignment it is: its cells say it, by the names they got in the exercises, such as
``check-1-1``; the chapter of most of them counts. Where they say nothing, its path does.
"""

import hashlib
import json
import re
import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

from tapecourse.support.errors import InputError
from tapecourse.support.variants import NAME

__all__ = ["Submission", "assignment_of", "find_submissions", "learner_of", "readable"]

CELL_NAME = re.compile(r'"(?:grade_)?id"\s*:\s*"(?:answer|check|task)-(\d+|[A-Z])-\d+')
MOODLE = re.compile(r"_assignsubmission_.*")
CANVAS = re.compile(r"([^_]+)_(?:LATE_)?(\d{3,})_\d{3,}_")  # name, learner's and file's numbers
COPY = r"(?:-\d{1,2}(?!\d)| ?\(\d{1,2}\))?"  # what Canvas and browsers append to a second file
BETWEEN = " _-"
VARIANT = re.compile(rf"{NAME}=(\d+)")


@dataclass(frozen=True)
class Submission:
    """What a learner handed in for an assignment.

    Parameters
    ----------
    assignment : str
        Empty where none is known.
    file : str
        Where it is, below the folder of all submissions, in a form that can be shown.
    path : Path
        The same, to read it.
    digest : str
        It changes with the notebook's content.
    problem : str
        Why it can't be graded, or empty.
    says_variant, variant : int
        Which variant of the exercises the notebook says that it is, and by which it is graded.
    """

    learner: str
    assignment: str
    file: str
    path: Path
    digest: str = ""
    problem: str = ""
    says_variant: int = 0
    variant: int = 0


def find_submissions(folder: Path, assignments: list[str]) -> tuple[list[Submission], int]:
    """Return what every learner handed in, and the number of files that are no notebooks.

    Raises
    ------
    InputError
        There is no notebook.
    """
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir())
    notebooks = [file for file in files if is_notebook(file)]
    if not notebooks:
        raise InputError("SUBMISSIONS", str(folder), "there is no notebook in this folder.")
    read = [read_submission(folder, file, assignments) for file in notebooks]
    found = one_each(read) + without_notebook(folder, {each.learner for each in read}, assignments)
    found.sort(key=lambda each: (each.learner.casefold(), each.assignment, each.file))
    return found, len(files) - len(notebooks)


def is_notebook(file: Path) -> bool:
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in file.parts)
    return file.suffix.lower() == ".ipynb" and not hidden


def read_submission(folder: Path, file: Path, assignments: list[str]) -> Submission:
    """Read whose a notebook is, and of which assignment."""
    learner, shown = learner_of(file, assignments), readable(file.as_posix())
    content, problem = read_content(folder / file)
    text = "" if problem else content.decode(errors="replace")
    assignment = assignment_of(text, file, assignments)
    if not (problem or assignment):
        problem = "neither its cells nor its name tell which assignment this notebook is"
    digest = hashlib.sha256(content).hexdigest()
    said = VARIANT.search(text)
    says_variant = int(said[1]) if said else 0
    return Submission(learner, assignment, shown, file, digest, problem, says_variant)


def read_content(path: Path) -> tuple[bytes, str]:
    """Return what is in a file, and why it is no notebook, or "" if it is one."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return b"", f"this file can't be read ({error.strerror})"
    try:
        notebook = json.loads(content)
    except (ValueError, RecursionError):
        notebook = None
    is_one = isinstance(notebook, dict) and isinstance(notebook.get("cells"), list)
    return content, "" if is_one else "this file is not a Jupyter notebook"


def learner_of(file: Path, assignments: list[str]) -> str:
    """Return the name of the learner whose notebook has this path, below all submissions."""
    names = {name.lower() for name in assignments}
    for part in file.parts[:-1]:
        if part.lower() not in names:
            return readable(MOODLE.sub("", part) or part)
    stem = MOODLE.sub("", file.stem)
    if canvas := CANVAS.match(stem):
        return readable(f"{canvas[1]}_{canvas[2]}")
    pieces = re.split(f"(?:{'|'.join(map(re.escape, assignments))}){COPY}", stem, flags=re.I)
    left = "_".join(piece.strip(BETWEEN) for piece in pieces if piece.strip(BETWEEN))
    return readable(left if left.strip(".") else file.stem)


def assignment_of(text: str, file: Path, assignments: list[str]) -> str:
    """Return the assignment of a notebook's text and path, or "" where both say nothing."""
    chapters = {name.split("_")[0].lstrip("0"): name for name in assignments}
    said = Counter(found for found in CELL_NAME.findall(text) if found in chapters)
    most = [chapter for chapter, count in said.items() if count == max(said.values())]
    if len(most) == 1:
        return chapters[most[0]]
    names = {name.lower(): name for name in assignments}
    named = re.findall("|".join(map(re.escape, names)), file.as_posix().lower())
    return names[named[-1]] if named else ""


def readable(text: str) -> str:
    """Write a text in one way: umlauts as one character, what is no text with a backslash."""
    return unicodedata.normalize("NFC", text.encode("utf-8", "backslashreplace").decode())


def one_each(read: list[Submission]) -> list[Submission]:
    """Make one of several notebooks of a learner for one assignment: nobody knows which counts."""
    together = defaultdict(list)
    for each in read:
        together[each.learner, each.assignment or each.file].append(each)
    found = []
    for (learner, assignment), same in together.items():
        if len(same) > 1:
            files = "; ".join(each.file for each in same)
            problem = f"{len(same)} notebooks for one assignment: leave only one"
            same = [Submission(learner, assignment, files, same[0].path, problem=problem)]
        found += same
    return found


def without_notebook(folder: Path, known: set[str], assignments: list[str]) -> list[Submission]:
    """Return a submission that can't be graded for each learner's folder without a notebook."""
    top = [path for path in folder.iterdir() if path.is_dir()]
    names = {name.lower() for name in assignments}
    inside = [path for path in top if path.name.lower() in names]
    below = [path for place in inside for path in place.iterdir() if path.is_dir()]
    missing = {}
    for path in sorted({*top, *below} - {*inside}):
        path = path.relative_to(folder)
        learner = learner_of(path / "any.ipynb", assignments)
        if is_notebook(path / "any.ipynb") and learner not in known:
            missing[learner] = path
    problem = "there is no notebook in this folder"
    return [
        Submission(learner, "", readable(path.as_posix()), path, problem=problem)
        for learner, path in missing.items()
    ]
