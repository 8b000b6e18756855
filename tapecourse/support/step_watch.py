"""Watches a training step of somebody's from outside, and leaves everything as it was.

A step calls a few functions of TensorFlow and Keras, whoever wrote it. While it runs, these are
replaced by ones that write down what they are given, and then do the same as before.
"""

import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, NamedTuple
from unittest.mock import patch

import keras
import numpy as np
import tensorflow as tf

from tapecourse.support.errors import reason

__all__ = [
    "Applied",
    "Differentiated",
    "Seen",
    "Watched",
    "examine",
    "judge",
    "key",
    "kept",
    "named",
    "norms_of",
    "not_zero",
    "watch",
]


class Differentiated(NamedTuple):
    """What one call of ``tape.gradient`` was asked, and what it said."""

    target: Any
    sources: list
    gradients: list
    followed: set  # references of the variables that the tape watched
    penalised: list  # models whose losses are part of the target
    symbolic: bool  # whether a graph was being traced


class Applied(NamedTuple):
    """What an optimizer was given to apply."""

    optimizer: Any
    gradients: list
    variables: list


@dataclass
class Watched:
    """What was seen of one or several calls of a step."""

    differentiated: list[Differentiated] = field(default_factory=list)
    applied: list[Applied] = field(default_factory=list)
    modes: list[tuple[Any, bool]] = field(default_factory=list)  # layers, and whether training
    error: Exception | None = None


@dataclass
class Seen:
    """What was seen of a step: some calls in a row, and three experiments."""

    models: list
    optimizers: list
    calls: list[Watched]  # in a row, each as plain Python
    moved: set[int]  # keys of the variables that had changed after them
    broken: list  # variables that were not finite then
    doubled: Watched  # one call with each example twice
    scaled: list[Watched]  # a call with the loss scale 256, one with 128; none without a scale
    compiled: Watched  # the third of three calls as the step is

    def gradients(self) -> dict[int, list]:
        """Return what each variable got, by its key: gradients, and the calls of a tape."""
        found: dict[int, list] = {}
        for note in (note for call in self.calls for note in call.differentiated):
            for source, gradient in zip(note.sources, note.gradients):
                found.setdefault(key(source), []).append((gradient, note))
        return found


def key(variable: Any) -> int:
    """Return a number for a variable, the same for Keras's and the one of TensorFlow inside."""
    return id(variable.value if isinstance(variable, keras.Variable) else variable)


def examine(
    step: Callable, batch: tuple, models: Sequence, optimizers: Sequence, calls: int
) -> Seen:
    """Run a step some times, and experiment; then everything is as it was.

    Parameters
    ----------
    step : callable
    batch : tuple
        What the step is called with.
    models : sequence of keras.Model
    optimizers : sequence of keras.Optimizer
    calls : int
        How many calls in a row; up to 20 more until all gradients are finite, as a loss scale may
        have to come down first.
    """
    variables = [each for model in models for each in model.variables]

    def everything() -> list:  # an optimizer has more once it is built
        return variables + [each for optimizer in optimizers for each in optimizer.variables]

    def run(batch: tuple, *, eagerly: bool = True) -> Watched:
        with watch(models, eagerly=eagerly) as seen, warnings.catch_warnings(action="ignore"):
            try:
                step(*batch)
            except Exception as error:  # whatever a stranger's step raises
                seen.error = error
        return seen

    with kept(everything()):  # all in all; what is assigned in a graph was assigned before
        with kept(everything()):
            before, seen = values_of(variables), [run(batch)]
            while not seen[-1].error and (
                len(seen) < calls or (not gradients_finite(seen[-1]) and len(seen) < calls + 20)
            ):
                seen.append(run(batch))
            after = values_of(variables)
        with kept(everything()):
            doubled = run(twice(batch))
        scaled = []
        for scale in (256.0, 128.0):
            with kept(everything()):
                for optimizer in optimizers:
                    if hasattr(optimizer, "dynamic_scale"):
                        optimizer.dynamic_scale.assign(scale)
                        scaled.append(run(batch))
        for _ in range(2):
            run(batch, eagerly=False)
        compiled = run(tf.nest.map_structure(next_number, batch), eagerly=False)
    changed = [not np.array_equal(old, new) for old, new in zip(before, after)]
    moved = {key(variable) for variable, change in zip(variables, changed) if change}
    broken = [v for v, new in zip(variables, after) if not np.isfinite(new).all()]
    return Seen([*models], [*optimizers], seen, moved, broken, doubled, scaled, compiled)


def gradients_finite(seen: Watched) -> bool:
    """Return whether all gradients that tapes returned are finite."""
    return bool(np.isfinite(norms_of(seen)).all())


def norms_of(seen: Watched) -> np.ndarray:
    """Return the norm of the gradients that each call of a tape returned."""

    def norm(gradients: list) -> float:
        known = [tf.cast(each, "float32") for each in gradients if each is not None]
        return float(tf.linalg.global_norm(known)) if known else 0.0

    return np.array([norm(note.gradients) for note in seen.differentiated])


def twice(batch: tuple) -> tuple:
    """Return a batch with each example twice; what isn't an array of examples stays as it is."""
    sizes = [len(part) for part in tf.nest.flatten(batch) if np.ndim(part)]

    def doubled(part: Any) -> Any:
        return tf.concat([part, part], 0) if np.ndim(part) and len(part) == sizes[0] else part

    return tf.nest.map_structure(doubled, batch)


def next_number(part: Any) -> Any:
    """Return the next number for one of Python's own, which makes a new trace; else the same."""
    return part + 1 if type(part) in (int, float) else part


def leaves_of(models: Sequence) -> list:
    """Return the layers of models that hold no other layers, each once."""
    layers = {id(layer): layer for model in models for layer in model._flatten_layers()}
    return [layer for layer in layers.values() if not layer._layers]


def values_of(variables: Sequence) -> list[np.ndarray]:
    """Return copies of the values of variables."""
    return [np.array(variable.numpy()) for variable in variables]


@contextmanager
def kept(variables: Sequence) -> Iterator[None]:
    """Put variables back at the end.

    So are those that are assigned meanwhile, such as metrics, and those that an optimizer makes
    when it is built in its first step.
    """
    saved = {id(each): (each, value) for each, value in zip(variables, values_of(variables))}
    assign = keras.Variable.assign

    def save(variable: Any) -> None:
        if id(variable) not in saved and tf.executing_eagerly():
            saved[id(variable)] = (variable, values_of([variable])[0])

    def saving_assign(variable: Any, value: Any, *rest: Any) -> Any:
        save(variable)
        return assign(variable, value, *rest)

    try:
        with patch.object(keras.Variable, "assign", saving_assign), saving_at_build(save):
            yield
    finally:
        for variable, value in saved.values():
            variable.assign(value)


@contextmanager
def saving_at_build(save: Callable[[Any], None]) -> Iterator[None]:
    """Build optimizers before their first step, and save what they are then."""

    def saving(apply: Callable) -> Callable:
        @wraps(apply)
        def saving_apply(optimizer: Any, grads: Any, trainable_variables: Any = None) -> Any:
            if not optimizer.built and trainable_variables is not None:
                trainable_variables = list(trainable_variables)
                optimizer.build(trainable_variables)
            for variable in optimizer.variables:
                save(variable)
            return apply(optimizer, grads, trainable_variables)

        return saving_apply

    with patched_apply(saving):
        yield


@contextmanager
def patched_apply(change: Callable[[Callable], Callable]) -> Iterator[None]:
    """Change how all optimizers apply gradients."""
    with ExitStack() as stack:
        for kind in (keras.optimizers.Optimizer, keras.optimizers.LossScaleOptimizer):
            owner = next(each for each in kind.__mro__ if "apply" in vars(each))
            stack.enter_context(patch.object(owner, "apply", change(owner.apply)))
        yield


@contextmanager
def watch(models: Sequence, *, eagerly: bool) -> Iterator[Watched]:
    """Watch what is differentiated and applied, and in which mode layers are called.

    Parameters
    ----------
    models : sequence of keras.Model
    eagerly : bool
        Whether compiled functions run as plain Python meanwhile, so that numbers can be seen.
    """
    seen, before = Watched(), tf.config.functions_run_eagerly()
    with ExitStack() as stack:
        penalties = stack.enter_context(watched_losses(models))
        stack.enter_context(watched_tapes(seen, penalties))
        stack.enter_context(watched_optimizers(seen))
        kinds = {type(layer) for layer in leaves_of(models) if has_modes(layer)}
        for owner in {next(k for k in kind.__mro__ if "call" in vars(k)) for kind in kinds}:
            stack.enter_context(watched_modes(seen, owner))
        stack.callback(tf.config.run_functions_eagerly, before)
        tf.config.run_functions_eagerly(eagerly)
        yield seen


@contextmanager
def watched_losses(models: Sequence) -> Iterator[list[tuple[Any, tf.Tensor]]]:
    """Write down what a step reads of ``model.losses``."""
    read, losses = [], vars(keras.layers.Layer)["losses"]

    def reading_losses(layer: Any) -> list:
        found = losses.fget(layer)
        read.extend((layer, loss) for loss in found)
        return found

    with patch.object(keras.layers.Layer, "losses", property(reading_losses)):
        yield read


@contextmanager
def watched_tapes(seen: Watched, penalties: list) -> Iterator[None]:
    """Write down what tapes are asked for; ask for derivatives with respect to penalties, too."""
    gradient = tf.GradientTape.gradient

    def watching_gradient(tape: Any, target: Any, sources: Any, *rest: Any, **options: Any) -> Any:
        eager = tf.executing_eagerly()
        flat = tf.nest.flatten(sources)
        extra = [loss for _, loss in penalties if tf.is_tensor(loss)] if eager else []
        followed = {variable.ref() for variable in tape.watched_variables()}
        found = gradient(tape, target, [*flat, *extra], *rest, **options)
        counted = [by is not None and bool(np.any(by)) for by in found[len(flat) :]]
        models = [model for (model, _), part in zip(penalties, counted) if part]
        penalties.clear()
        gradients = found[: len(flat)]
        note = Differentiated(target, flat, gradients, followed, models, not eager)
        seen.differentiated.append(note)
        return tf.nest.pack_sequence_as(sources, gradients)

    with patch.object(tf.GradientTape, "gradient", watching_gradient):
        yield


@contextmanager
def watched_optimizers(seen: Watched) -> Iterator[None]:
    """Write down what optimizers apply."""

    def watching(apply: Callable) -> Callable:
        @wraps(apply)
        def watching_apply(optimizer: Any, grads: Any, trainable_variables: Any = None) -> Any:
            gradients, variables = list(grads), list(trainable_variables or [])
            seen.applied.append(Applied(optimizer, gradients, variables))
            return apply(optimizer, gradients, variables or None)

        return watching_apply

    with patched_apply(watching):
        yield


def has_modes(layer: Any) -> bool:
    """Return whether a layer works in another way in training."""
    modes = "training" in inspect.signature(layer.call).parameters
    random = hasattr(layer, "seed_generator")  # a dropout layer whose rate is 0 has none
    return modes and (random or isinstance(layer, keras.layers.BatchNormalization))


@contextmanager
def watched_modes(seen: Watched, kind: type) -> Iterator[None]:
    """Write down whether layers of a kind are called for training."""
    call = kind.call

    @wraps(call)
    def watching_call(layer: Any, *inputs: Any, **options: Any) -> Any:
        given = inspect.signature(call).bind(layer, *inputs, **options).arguments
        seen.modes.append((layer, bool(given.get("training"))))
        return call(layer, *inputs, **options)

    with patch.object(kind, "call", watching_call):
        yield


def not_zero(got: list) -> bool:
    """Say whether a gradient that a variable got, in `Seen.gradients`, is not zero everywhere."""
    known = [tf.convert_to_tensor(gradient) for gradient, _ in got if gradient is not None]
    return any(np.any(gradient) for gradient in known)


def named(things: Sequence) -> str:
    """Name the first of some variables or layers, and say how many more there are."""
    name = getattr(things[0], "path", things[0].name)
    return f"{name} and {len(things) - 1} more" if len(things) > 1 else name


def check_updates(seen: Seen) -> Iterator[str]:
    """Find a step made for other things, and variables that don't move or aren't finite."""
    if seen.broken:
        yield f"Not finite after {len(seen.calls)} calls: {named(seen.broken)}."
    found, applied = seen.gradients(), [note for call in seen.calls for note in call.applied]
    used = {id(note.optimizer) for note in applied}
    for optimizer in seen.optimizers:
        if applied and id(optimizer) not in used:
            yield f"{optimizer.name} is never applied: the step uses another optimizer."
    given = {key(variable) for note in applied for variable in note.variables}
    for model in seen.models:
        variables = model.trainable_variables
        if found and variables and not any(key(v) in found for v in variables):
            yield f"The step trains no variable of {model.name}. Was it made for another model?"
            continue
        still = [v for v in variables if key(v) not in seen.moved]
        if outside := [v for v in still if key(v) not in found]:
            yield f"Not among the variables that the step differentiates: {named(outside)}."
        if kept_back := [v for v in still if key(v) in found and given and key(v) not in given]:
            yield f"A gradient that no optimizer applies: that of {named(kept_back)}."
        stuck = [v for v in still if key(v) in given and not_zero(found.get(key(v), []))]
        if stuck:
            yield f"A gradient is applied, and nothing moves: {named(stuck)}. Is the rate zero?"


def check_runs(seen: Seen) -> Iterator[str]:
    """Find errors, gradients that aren't finite, and a graph that is traced in each call."""
    error = seen.calls[-1].error or seen.compiled.error
    if error:
        stale = "Unknown variable" in str(error)  # in Keras's words
        hint = " The optimizer was built for other variables: make a new one." if stale else ""
        yield f"The step raises {type(error).__name__}: {reason(error)}.{hint}"
    elif not gradients_finite(seen.calls[-1]):
        yield "A gradient is not finite."
    if any(note.symbolic for note in seen.compiled.differentiated):
        yield "The step is traced in each call. Is a function made in it, or given Python numbers?"


def check_modes(seen: Seen) -> Iterator[str]:
    """Find layers that never ran in training mode, and averages that don't move."""
    modes = [mode for call in seen.calls for mode in call.modes]
    called = {id(layer) for layer, _ in modes}
    trained = {id(layer) for layer, training in modes if training}
    layers = [each for each in leaves_of(seen.models) if each.trainable and id(each) in called]
    if silent := [layer for layer in layers if id(layer) not in trained]:
        yield f"Only in inference mode: {named(silent)}. Call the model with training=True."
    averages = [layer.moving_mean for layer in layers if hasattr(layer, "moving_mean")]
    still = [average for average in averages if key(average) not in seen.moved]
    if still and not silent:
        yield f"Not moved, though the layer runs in training mode: {named(still)}."


def judge(seen: Seen) -> Iterator[str]:
    """Say in sentences what is wrong with a step, but for its gradients and its loss."""
    for check in (check_runs, check_modes, check_updates):
        yield from check(seen)
