"""Finds code in a submission that reaches for what no answer needs.

A flag is a reason to look, no verdict: whoever wants to can hide from it.
"""

import ast
import json
import re
from pathlib import Path

from IPython.core.inputtransformer2 import TransformerManager

__all__ = ["flags_in", "flags_of"]

MODULES = {"ctypes", "gc", "importlib", "inspect", "nbformat", "nbgrader", "os", "pathlib"}
MODULES |= {"builtins", "shutil", "signal", "socket", "sqlite3", "subprocess", "sys", "urllib"}
NAMES = {"compile", "eval", "exec", "get_ipython", "globals", "open", "setattr", "vars"}
NAMES |= {"__import__", "__builtins__"}
ATTRIBUTES = {"__class__", "__closure__", "__code__", "__dict__", "__globals__", "__subclasses__"}
WORDS = re.compile(r"gradebook|solutions/|tapecourse[./]feedback")
CHECKS = {"check", "show_progress"}  # what the exercises themselves import of the checks


def flags_of(notebook: Path) -> str:
    """Say in a line what the cells that learners may edit reach for; "" if for nothing."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    sources = [
        "".join(each["source"])  # a text, or a list of lines
        for each in cells
        if each["cell_type"] == "code"
        and not each.get("metadata", {}).get("nbgrader", {}).get("locked")
    ]
    return ", ".join(sorted({flag for source in sources for flag in flags_in(source)}))


def flags_in(source: str) -> set[str]:
    """Return what a cell's code reaches for; nothing where it is no Python that could run."""
    try:
        tree = ast.parse(TransformerManager().transform_cell(source))
    except SyntaxError:
        return set()
    modules = {name for node in ast.walk(tree) for name in names_of_modules(node)}
    return {flag for node in ast.walk(tree) for flag in flags_of_node(node, modules)}


def names_of_modules(node: ast.AST) -> list[str]:
    """Return the names that an `import` gives to modules."""
    if not isinstance(node, ast.Import):
        return []
    return [each.asname or each.name.split(".")[0] for each in node.names]


def flags_of_node(node: ast.AST, modules: set[str]) -> list[str]:
    """Return what one node of the code reaches for."""
    match node:
        case ast.Import(names=names):
            return [each.name for each in names if is_flagged(each.name)]
        case ast.ImportFrom(module=str(module), names=names):
            usual = is_of_checks(module) and {each.name for each in names} <= CHECKS
            return [module] if is_flagged(module) and not usual else []
        case ast.Name(id=name) if name in NAMES:
            return [name]
        case ast.Attribute(attr=name) if name in ATTRIBUTES:
            return [name]
        case ast.Attribute(value=ast.Name(id=name), attr=attribute, ctx=ast.Store()):
            return [f"{name}.{attribute} = …"] if name in {*modules, "np", "tf", "keras"} else []
        case ast.Constant(value=str(text)):
            return [found[0]] if (found := WORDS.search(text)) else []
    return []


def is_flagged(module: str) -> bool:
    return module.split(".")[0] in MODULES or is_of_checks(module)


def is_of_checks(module: str) -> bool:
    return module.split(".")[:2] == ["tapecourse", "feedback"]
