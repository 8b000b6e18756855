"""Makes up submissions from the stored answers: the notebooks of a class, of any size."""

import ast
import copy
import inspect
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from random import Random

import nbformat
from answers import with_odds
from conftest import ROOT

ANSWERS = Path(__file__).parent / "answers"


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
        return re.sub(rf"\b{value.name}\b", "NAME", source(text, value))
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
    return ast.get_source_segment(text, node)


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


def a_learner(
    chapter: str, answers: dict[str, list[tuple[str, str]]], random: Random
) -> tuple[nbformat.NotebookNode, dict[str, str]]:
    """Make up a notebook; return it with what must be found, by exercise: "" where it's solved."""
    notebook, found = released(chapter), {}
    for number, known in answers.items():
        kinds = {
            bool(key): [each for each in known if bool(each[1]) is bool(key)] for _, key in known
        }
        text, key = random.choice(kinds[random.choice(list(kinds))])
        found[number] = key
        if random.random() < 0.15:
            found[number] = "untried"
            continue
        notebook = answer(notebook, number, text)
    return notebook, found
