"""Makes up submissions from the stored answers: the notebooks of a class, of any size."""

import ast
import copy
import inspect
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from random import Random

import nbformat
from answers import with_odds

ROOT = Path(__file__).parents[1]
ANSWERS = ROOT / "tests" / "answers"


def stored_answers(path: Path) -> dict[str, list[tuple[str, str]]]:
    """Return by exercise what can stand in a cell of a chapter's stored answers.

    Each answer is its source and the misconception that it shows, "" for a right one. The source
    has the functions and imports that it needs from its module; the answer's own name is left
    as `NAME`. Answers that are registered in a loop are left out.
    """
    text = path.read_text()
    given = {}
    for node in ast.parse(text).body:
        for name in names_given(node):
            given.setdefault(name, node)
    answers = defaultdict(list)
    for node in ast.parse(text).body:
        for mark, value in registered(node):
            names = needs(value, given, {getattr(value, "name", "")})
            if not any(map(is_of_tests, names)):
                number, *misconception = map(ast.literal_eval, mark.args)
                parts = [*(source(text, each) for each in names), named(text, value)]
                answers[number].append(("\n\n".join(parts), "".join(misconception)))
    return answers


def registered(node: ast.stmt) -> Iterator[tuple[ast.Call, ast.AST]]:
    """Go through the answers that a statement registers: by which call, and what."""
    for mark in getattr(node, "decorator_list", []):
        if is_mark(mark):
            yield mark, node
    match node:
        case ast.Expr(value=ast.Call(func=mark, args=[value])) if is_mark(mark):
            yield mark, value


def is_mark(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Name(id="right" | "wrong"), args=args):
            return all(isinstance(each, ast.Constant) for each in args)
    return False


def named(text: str, value: ast.AST) -> str:
    """Write an answer under the name `NAME`."""
    if isinstance(value, ast.FunctionDef | ast.ClassDef):
        return re.sub(rf"(?<![.\w]){value.name}\b", "NAME", source(text, value))
    return f"NAME = ({source(text, value)})"


def names_given(node: ast.stmt) -> list[str]:
    """Return the names that a statement at the top of a module gives."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [(each.asname or each.name).split(".")[0] for each in node.names]
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    is_assignment = isinstance(node, ast.Assign | ast.AnnAssign)
    return [each.id for each in ast.walk(node) if is_assignment and is_name(each, ast.Store)]


def is_loaded(node: ast.AST) -> bool:
    return is_name(node, ast.Load)


def is_name(node: ast.AST, use: type) -> bool:
    return isinstance(node, ast.Name) and isinstance(node.ctx, use)


def needs(node: ast.stmt, given: dict[str, ast.stmt], known: set[str]) -> list[ast.stmt]:
    """Return the statements that one needs, each after what it needs itself."""
    parts = [each for each in ast.iter_child_nodes(node) if not is_mark(each)]
    loaded = [each for part in parts for each in ast.walk(part) if is_loaded(each)]
    names = {each.id for each in [*loaded, *filter(is_loaded, [node])]}
    found = []
    for name in sorted(names & set(given) - known):
        known.add(name)
        for each in (*needs(given[name], given, known), given[name]):
            if each not in found:
                found.append(each)
    return found


def is_of_tests(node: ast.stmt) -> bool:
    """Tell whether a statement registers answers."""
    return any(map(is_mark, ast.walk(node)))


def source(text: str, node: ast.AST) -> str:
    """Return the source of a statement; of an import of `with_odds`, what it is."""
    if isinstance(node, ast.ImportFrom) and node.module == "answers":
        return inspect.getsource(with_odds).replace(": Callable", "").replace(" -> Callable", "")
    marks = [each for each in getattr(node, "decorator_list", []) if not is_mark(each)]
    parts = [*(f"@{source(text, each)}" for each in marks), ast.get_source_segment(text, node)]
    return "\n".join(parts)


def released(chapter: str) -> nbformat.NotebookNode:
    return nbformat.read(ROOT / "exercises" / chapter / f"{chapter}.ipynb", as_version=4)


def cell_of(notebook: nbformat.NotebookNode, name: str) -> nbformat.NotebookNode:
    [found] = [cell for cell in notebook.cells if cell.id == name]
    return found


def answer(notebook: nbformat.NotebookNode, number: str, text: str) -> nbformat.NotebookNode:
    """Put an answer into a copy of a notebook."""
    notebook = copy.deepcopy(notebook)
    cell = cell_of(notebook, f"answer-{number.replace('.', '-')}")
    name = re.search(r"^(?:def|class) (\w+)", cell.source, re.M)[1]
    cell.source = text.replace("NAME", name)
    return notebook


Expected = dict[str, str]  # by exercise: a finding's key, "untried", or "" if it is solved


def a_learner(chapter: str, random: Random) -> tuple[nbformat.NotebookNode, Expected]:
    """Make up a notebook of right, wrong and missing answers; say what must be found of each."""
    if chapter == WORKSHOP:
        return at_the_workshop(random)
    notebook, expected = released(chapter), {}
    for number, known in answers_of(chapter).items():
        expected[number] = "untried"
        if random.random() < 0.85:
            right = random.random() < 0.5
            some = [each for each in known if bool(each[1]) is not right] or known
            text, expected[number] = random.choice(some)
            notebook = answer(notebook, number, text)
    for cell in notebook.cells:
        if cell.id.startswith("check"):
            expected.setdefault(number_in(cell), "untried")
    return notebook, expected


WORKSHOP = "W_build_your_own_tape"
FAULTS = {  # of its steps: what is changed in the solution, and what must be found
    "W.1": ("tuple(edges)", "edges", "edges_not_copied"),
    "W.2": ("* y), (b, lambda bar: bar * x", "* b.value), (b, lambda bar: bar * a.value", "late"),
    "W.3": ("if users[parent] == 0", "if True", "counterexample"),
    "W.4": ("keepdims=True", "keepdims=False", "axes_lost"),
    "W.5": ("bar @ y.T", "bar @ y", "not_transposed"),
    "W.6": (" + -logits.value.max(axis=1, keepdims=True)", "", "overflow"),
    "W.7": ("- rate", "+ rate", "uphill"),
    "W.8": ("range(6)", "range(0)", "no_engine"),
    "W.9": (' * (v["scaled"] > 0)', "", "no_mask"),
}


def at_the_workshop(random: Random) -> tuple[nbformat.NotebookNode, Expected]:
    """Make up a notebook of right, faulty and missing steps, which build on each other."""
    notebook, expected = released(WORKSHOP), {}
    for cell in workshop_solved():
        if (number := number_in(cell)) in FAULTS:
            old, new, key = FAULTS[number]
            expected[number] = random.choice(["", "", key, "untried"])
            if expected[number] != "untried":
                source = cell.source.replace(old, new) if expected[number] else cell.source
                notebook = answer(notebook, number, source)
    return notebook, expected


@cache
def workshop_solved() -> list[nbformat.NotebookNode]:
    """Return the cells of the workshop's engine, with the solutions."""
    path = ROOT / "solutions" / WORKSHOP / f"{WORKSHOP}.ipynb"
    engine = "operators", "as-node", *(f"answer-{each.replace('.', '-')}" for each in FAULTS)
    return [each for each in nbformat.read(path, as_version=4).cells if each.id in engine]


@cache
def answers_of(chapter: str) -> dict[str, list[tuple[str, str]]]:
    return stored_answers(ANSWERS / f"{chapter.partition('_')[2]}.py")


def number_in(cell: nbformat.NotebookNode) -> str:
    return cell.id.partition("-")[2].replace("-", ".")


def scratch(*sources: str) -> Callable:
    """Make a kind of submission with more cells in its middle."""

    def change(notebook: nbformat.NotebookNode, expected: Expected) -> None:
        middle = len(notebook.cells) // 2
        notebook.cells[middle:middle] = map(nbformat.v4.new_code_cell, sources)

    return change


def last_answer(source: str, key: str) -> Callable:
    """Make a kind of submission with this as its last answer, and what must be found of it."""

    def change(notebook: nbformat.NotebookNode, expected: Expected) -> None:
        cell = [each for each in notebook.cells if each.id.startswith("answer")][-1]
        name = re.search(
            r"^(?:def|class) (\w+)", cell_of(released_as(notebook), cell.id).source, re.M
        )
        cell.source = source.replace("NAME", name[1])
        expected[number_in(cell)] = key

    return change


def rewritten(notebook: nbformat.NotebookNode, expected: Expected) -> None:
    """Rewrite the checks, their points, and what they seem to have put out."""
    result = nbformat.v4.new_output("execute_result", {"text/plain": "3"})
    for cell in notebook.cells:
        if cell.id.startswith("check"):
            cell.source, cell.outputs = "3", [result]
            cell.metadata.nbgrader.points = 100
    scratch("check = lambda number: 3")(notebook, expected)


def deleted(notebook: nbformat.NotebookNode, expected: Expected) -> None:
    """Delete the setup, a check, and an answer."""
    answers = [each for each in notebook.cells if each.id.startswith("answer")]
    gone = "setup", answers[0].id.replace("answer", "check"), answers[1].id
    expected[number_in(answers[1])] = "untried"
    notebook.cells = [cell for cell in notebook.cells if cell.id not in gone]


def pasted(notebook: nbformat.NotebookNode, expected: Expected) -> None:
    """Paste all answers and checks a second time, with the ids that they have."""
    graded = [each for each in notebook.cells if each.id.startswith(("answer", "check"))]
    notebook.cells += copy.deepcopy(graded)


def moved(notebook: nbformat.NotebookNode, expected: Expected) -> None:
    """Move all tasks to the end, so that answers and checks follow each other."""
    notebook.cells.sort(key=lambda cell: cell.cell_type == "markdown")


def broken(notebook: nbformat.NotebookNode, expected: Expected) -> None:
    """Leave metadata that nbgrader stumbles over."""
    notebook.cells[-1].metadata["nbgrader"] = {"grade": True}
    expected.clear()


def blank(notebook: nbformat.NotebookNode, expected: Expected) -> None:
    """Hand in what was handed out."""
    notebook.cells = released_as(notebook).cells
    expected.update(dict.fromkeys(expected, "untried"))


def released_as(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    return released(notebook.metadata["chapter"])


STEAL = """
import json, pathlib, tapecourse
course = pathlib.Path(tapecourse.__file__).parents[1]
for place in [*course.glob("solutions/*/*.ipynb"), *course.rglob("gradebook.db")]:
    print(place.read_bytes())
raise SystemExit("nothing found")
"""
PATCH = """
from tapecourse.feedback import checking
checking.first_wrong = lambda *arguments: ""
def NAME(*arguments):
    return None
"""
KINDS: dict[str, Callable] = {
    "blank": blank,
    "rewritten": rewritten,
    "deleted": deleted,
    "pasted": pasted,
    "moved": moved,
    "broken": broken,
    "exit": scratch("exit()", "1 / 0", "import os\nos._exit(1)"),
    "endless": scratch("while True:\n    pass"),
    "loud": scratch("print('x' * 100_000_000)"),
    "thief": last_answer(STEAL, "no_answer"),
    "patcher": last_answer(PATCH, "not_confirmed"),
    "usual": lambda notebook, expected: None,
}


def a_submission(
    chapter: str, kind: str, random: Random
) -> tuple[nbformat.NotebookNode, Expected]:
    """Make up a submission of a kind; what must be found is empty where it can't be graded."""
    notebook, expected = a_learner(chapter, random)
    notebook.metadata["chapter"] = chapter
    KINDS[kind](notebook, expected)
    return notebook, expected


def differences(grades: list[dict], expected: dict[str, Expected]) -> list[str]:
    """Say of each finding that isn't what was expected, in stored grades, what it is."""
    told = []
    for grade in grades:
        for found in grade["findings"]:
            kind = {"solved": "", "untried": "untried"}.get(found["state"], found["key"])
            right = expected[grade["learner"]][found["exercise"]]
            if kind != right or found["points"] != (0 if right else found["most"]):
                told.append(f"{grade['learner']} {found['exercise']}: {kind!r}, not {right!r}")
    graded = {grade["learner"] for grade in grades}
    must = {learner for learner, findings in expected.items() if findings}
    return told + [f"graded or not: {learner}" for learner in graded ^ must]


def reported(page: str) -> Counter:
    """Read from the report of a class how many have which finding, by exercise and key."""
    row = r'<td>([\w.]+)</td><td><a href="#[^"]+">(\w+)</a></td><td>[\w ]+</td><td>(\d+) of'
    return Counter({(number, key): int(count) for number, key, count in re.findall(row, page)})


def to_report(expected: dict[str, Expected]) -> Counter:
    """Return what the report must say."""
    pairs = [pair for findings in expected.values() for pair in findings.items()]
    return Counter(pair for pair in pairs if pair[1] not in ("", "untried"))
