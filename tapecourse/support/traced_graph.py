"""Reads the graph that TensorFlow writes of a function, for `draw_graph`."""

import inspect
import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import tensorflow as tf

__all__ = ["TracedNode", "bytes_kept", "function_to_graph"]


@dataclass
class TracedNode:
    """An operation of a traced function, with what `draw_graph` needs of it."""

    name: str
    operation: str  # empty for an input or a constant
    parents: tuple[str, ...]
    value: np.ndarray
    adjoint: np.ndarray | None = None
    partials: tuple[np.ndarray | None, ...] = ()


def function_to_graph(
    function: Callable, *arguments: Any, adjoints: bool = False
) -> list[TracedNode]:
    """Trace a function of tensors, and return its operations as nodes.

    An input is called as the function's parameter, the target y, and what else it needs v1, v2,
    ... What only the gradient needs is called g1, g2, ...

    Parameters
    ----------
    function : callable
        Takes tensors, returns a target or a pair (target, gradient).
    arguments : numbers or arrays
        Where the function is run for the values of the nodes.
    adjoints : bool
        Give each node that depends on an input the gradient of the target with respect to it, or
        None where no gradient comes through.
    """
    inputs = [tf.convert_to_tensor(argument) for argument in arguments]
    specs = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in inputs]
    traced = tf.compat.v1.wrap_function(function, specs)
    results = [origin(result) for result in tf.nest.flatten(traced.structured_outputs)]
    starts = [tensor.op for tensor in traced.inputs]
    names = name_operations(results, dict(zip(starts, inspect.signature(function).parameters)))
    tensors = [operation.outputs[0] for operation in names]
    gradients = [None] * len(tensors)
    if adjoints:
        with traced.graph.as_default():
            for i, tensor in enumerate(tensors):
                if needed_by([tensor.op]).intersection(starts):
                    [gradients[i]] = tf.gradients(results[0].outputs[0], tensor)
    arrived = [gradient for gradient in gradients if gradient is not None]
    values = iter(traced.prune(traced.inputs, [*tensors, *arrived])(*inputs))
    nodes = [
        TracedNode(
            name,
            "" if operation.type in ("Placeholder", "Const") else operation.type,
            tuple(names[origin(source)] for source in operation.inputs),
            next(values).numpy(),
        )
        for operation, name in names.items()
    ]
    for node, gradient in zip(nodes, gradients):
        node.adjoint = None if gradient is None else next(values).numpy()
    return nodes


def bytes_kept(function: Callable, *arguments: Any) -> int:
    """Count the bytes that a function makes on its way forward and reads on the way back.

    Parameters
    ----------
    function : callable
        Takes tensors, returns a pair (target, gradient).
    arguments : numbers or arrays
        Where the function is run.
    """
    nodes = {node.name: node for node in function_to_graph(function, *arguments)}
    back = {name for name in nodes if re.fullmatch(r"g\d+", name)}
    read = {parent for name in back for parent in nodes[name].parents} - back
    return sum(nodes[name].value.nbytes for name in read)


def name_operations(results: Sequence[tf.Operation], names: dict) -> dict[tf.Operation, str]:
    """Name all operations that lead to a target and its gradient, in the order of the graph."""
    names = names | {results[0]: names.get(results[0], "y")}
    forward, everything = needed_by(results[:1]), needed_by(results)
    numbers = {"v": itertools.count(1), "g": itertools.count(1)}
    named = {}
    for operation in results[0].graph.get_operations():
        if operation in everything and operation.type != "Identity":
            letter = "v" if operation in forward else "g"
            named[operation] = names.get(operation) or f"{letter}{next(numbers[letter])}"
    return named


def origin(tensor: tf.Tensor) -> tf.Operation:
    """Return the operation that made a tensor, or what it is a mere copy of."""
    while tensor.op.type == "Identity":
        tensor = tensor.op.inputs[0]
    return tensor.op


def needed_by(operations: Sequence[tf.Operation]) -> set[tf.Operation]:
    """Return the operations that lead to some others, which are included."""
    found, waiting = set(), list(operations)
    while waiting:
        operation = waiting.pop()
        if operation not in found:
            found.add(operation)
            waiting += [source.op for source in operation.inputs]
    return found
