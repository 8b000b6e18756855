"""Nested lists, tuples and dicts, as TensorFlow's tape takes them for its sources."""

from collections.abc import Callable
from typing import Any

__all__ = ["leaves", "map_leaves"]


def map_leaves(function: Callable, structure: Any) -> Any:
    """Apply a function to each leaf of nested lists, tuples and dicts."""
    if isinstance(structure, dict):
        return {key: map_leaves(function, part) for key, part in structure.items()}
    if isinstance(structure, list | tuple):
        parts = [map_leaves(function, part) for part in structure]
        named = hasattr(structure, "_fields")  # a named tuple takes its parts one by one
        return type(structure)(*parts) if named else type(structure)(parts)
    return function(structure)


def leaves(structure: Any) -> list:
    """Return the leaves of nested lists, tuples and dicts."""
    found = []
    map_leaves(found.append, structure)
    return found
