"""The checks of the exercises of chapter 07."""

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

import tensorflow as tf
import keras

from tapecourse.feedback.checking import (
    letters,
    letters_seen,
    matched,
    not_right,
    seed_weights,
    two_exchanged,
)
from tapecourse.feedback.core import NotRight, exercise, mistake
from tapecourse.feedback.predictions import predict
from tapecourse.support.little_loop import LittleLoop

Random = np.random.Generator


class Watched(keras.Sequential):
    """Notes whether it has run in training mode, and the most examples of a call."""

    def __init__(self, layers: list):
        super().__init__(layers)
        self.seen = SimpleNamespace(training=False, most=0)

    def call(self, inputs: Any, training: Any = None, mask: Any = None, **options: Any) -> Any:
        """Run."""
        self.seen.training = self.seen.training or bool(training)
        self.seen.most = max(self.seen.most, inputs.shape[0] or 0)
        return super().call(inputs, training=training, mask=mask, **options)


# --- 7.1


def with_penalty(inputs: int, units: int, classes: int, penalty: float) -> Watched:
    """Build a network whose first layer has a penalty."""
    seed_weights(7)
    layers = keras.layers
    first = layers.Dense(units, "tanh", kernel_regularizer=keras.regularizers.L2(penalty))
    return Watched([keras.Input((inputs,)), first, layers.Dense(classes)])


def gather_gradients(answer: Callable, sizes: tuple, penalty: float) -> dict:
    """Hand parts of these sizes to an answer, and look at the gradients."""
    model, random = with_penalty(3, 4, 3, penalty), np.random.default_rng(len(sizes))
    parts = [
        (
            tf.constant(random.normal(0.3, 1, (size, 3)).astype("float32")),
            tf.constant(random.integers(0, 3, size)),
        )
        for size in sizes
    ]
    loss_function = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    before = flat_weights(model)
    gradients = answer(model, loss_function, parts)
    if np.any(flat_weights(model) != before):
        question = "What is asked for: gradients, or an update?"
        raise NotRight("changes_model", "It changes the weights of the model.", question)
    if model.seen.most > max(sizes):
        fact = "The model gets more examples in one call than the largest part has."
        raise NotRight("whole_batch", fact, "What are parts good for, if all come at once?")
    if gradients is None:
        raise NotRight("no_return", "It returns None.", "Does the function end in `return`?")
    gradients = list(gradients)
    if len(gradients) != 4:
        fact = f"It must return a gradient for each of 4 variables, not {len(gradients)} values."
        raise NotRight("count", fact)
    names = (
        "first layer's kernel",
        "first layer's bias",
        "last layer's kernel",
        "last layer's bias",
    )
    return {f"the gradient of the {name}": each for name, each in zip(names, gradients)}


def accumulating(
    weigh: Callable = lambda sizes: np.array(sizes) / sum(sizes),
    penalties: Callable = lambda sizes: 1.0,
    only: slice = slice(None),
) -> Callable:
    """Make an answer, right or with faults: the weight of each part, and of the penalty."""

    def answer(model: Any, loss_function: Callable, parts: list) -> list:
        sizes = [len(labels) for _, labels in parts]
        variables = model.trainable_variables
        with tf.GradientTape() as tape:
            losses = [loss_function(y, model(x, training=True)) for x, y in parts]
            weighted = list(zip(weigh(sizes), losses))[only]
            total: Any = sum(float(weight) * loss for weight, loss in weighted)
            total += float(penalties(sizes)) * sum(model.losses)
        return tape.gradient(total, variables)

    return answer


def accumulate(model: Any, loss_function: Callable, parts: list) -> list:
    """Return the gradients of the mean loss over all examples, with penalties."""
    return accumulating()(model, loss_function, parts)


def ones(sizes: list) -> np.ndarray:
    """Weigh each part by 1."""
    return np.ones(len(sizes))


exercise(
    "7.1",
    "Uneven parts",
    2,
    mistake(
        "equal_parts",
        "Each part counts the same, however few examples it has.",
        "Which part should count more?",
        accumulating(lambda sizes: ones(sizes) / len(sizes)),
        accumulating(lambda sizes: ones(sizes) / len(sizes), len),
    ),
    mistake(
        "sum_of_means",
        "The gradients of the parts' means are added, and not weighted.",
        "How much of the whole mean is the mean of a part?",
        accumulating(ones),
        accumulating(ones, len),
    ),
    mistake(
        "sum_of_all",
        "This is the gradient of the sum over all examples.",
        "By how many examples is a mean divided?",
        accumulating(np.array),
        accumulating(np.array, len),
        accumulating(np.array, sum),
    ),
    mistake(
        "no_penalty",
        "The data's gradient is right; the penalties are missing.",
        "What does `model.losses` hold?",
        accumulating(penalties=lambda sizes: 0),
    ),
    mistake(
        "penalty_each_time",
        "The data's gradient is right; the penalties are added once for each part.",
        "How often does the penalty occur in the loss of the whole batch?",
        accumulating(penalties=len),
    ),
    mistake(
        "penalty_divided",
        "The data's gradient is right; the penalties are divided by the number of examples.",
        "Is a penalty a mean over examples?",
        accumulating(penalties=lambda sizes: len(sizes) / sum(sizes)),
        accumulating(penalties=lambda sizes: 1 / sum(sizes)),
    ),
    mistake(
        "one_part",
        "Only one part is left of all.",
        "Is the gradient of a part added to the others, or does it replace them?",
        accumulating(ones, only=slice(-1, None)),
        accumulating(only=slice(-1, None)),
        accumulating(ones, only=slice(0, 1)),
    ),
    cases=lambda random: [
        ((4, 1), 0.2),
        (tuple(map(int, random.integers(2, 9, 4))), 0.3),
    ],
    question="Write the mean over all examples as a sum over the parts. What stands before each?",
    probe=gather_gradients,
    again=0,
    inputs=("parts of the sizes", "the penalty's factor"),
    allowed=("loops_for_real_work",),
)(accumulate)


# --- 7.2


def merged(mean: Callable | None = None, variance: Callable | None = None) -> Callable:
    """Make an answer that is right but for one of both."""

    def answer(sizes: np.ndarray, means: np.ndarray, variances: np.ndarray) -> tuple:
        right = merge(sizes, means, variances)
        parts = sizes, means, variances
        return mean(*parts) if mean else right[0], variance(*parts) if variance else right[1]

    return answer


def merge(sizes: np.ndarray, means: np.ndarray, variances: np.ndarray) -> tuple:
    """Return mean and variance of the whole batch."""
    mean = np.average(means, axis=0, weights=sizes)
    spread = np.average((means - mean) ** 2, axis=0, weights=sizes)
    return mean, np.average(variances, axis=0, weights=sizes) + spread


def within(sizes: np.ndarray, means: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Return the weighted mean of the variances."""
    return np.average(variances, axis=0, weights=sizes)


def spread_so_far(sizes: np.ndarray, means: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Return a variance with the spread about the mean of the parts up to each."""
    so_far = np.cumsum(sizes[:, None] * means, axis=0) / np.cumsum(sizes)[:, None]
    return np.average(variances + (means - so_far) ** 2, axis=0, weights=sizes)


exercise(
    "7.2",
    "What normalization would need",
    2,
    mistake(
        "unweighted_mean",
        "each part's mean counts the same.",
        "Which part should count more?",
        merged(lambda sizes, means, variances: means.mean(axis=0)),
    ),
    mistake(
        "within_only",
        "this is the mean of the variances. It leaves out how far the parts' means lie apart.",
        "Two parts have the variance 0, and the means 0 and 10. What is the variance of all?",
        merged(variance=within),
        merged(variance=lambda sizes, means, variances: variances.mean(axis=0)),
    ),
    mistake(
        "unweighted_spread",
        "in the spread of the means each part counts the same.",
        "Which part's mean should count more?",
        merged(
            variance=lambda sizes, means, variances: (
                within(sizes, means, variances) + means.var(axis=0)
            )
        ),
        merged(
            variance=lambda sizes, means, variances: variances.mean(axis=0) + means.var(axis=0)
        ),
    ),
    mistake(
        "between_only",
        "this is the spread of the parts' means. It leaves out what varies within the parts.",
        "There is a single part. What is the variance?",
        merged(variance=lambda s, m, v: merge(s, m, 0 * v)[1]),
        merged(variance=lambda s, m, v: m.var(axis=0)),
    ),
    mistake(
        "deviation",
        "this is the standard deviation.",
        "Which of the two is the square of the other?",
        merged(variance=lambda s, m, v: np.sqrt(merge(s, m, v)[1])),
    ),
    mistake(
        "mean_so_far",
        "each part's mean is compared with the mean so far, not with that of all.",
        "When is the mean of all known? What happens to the spread when it moves?",
        merged(variance=spread_so_far),
    ),
    mistake(
        "exchanged",
        "Mean and variance are returned in the other order.",
        "Which of them comes first?",
        lambda sizes, means, variances: merge(sizes, means, variances)[::-1],
    ),
    mistake(
        "one_less",
        "it is divided by one less than the number of examples.",
        "By what does batch normalization divide?",
        merged(variance=lambda s, m, v: merge(s, m, v)[1] * s.sum() / (s.sum() - 1)),
    ),
    mistake(
        "no_square",
        "the mean of the squares is left as it is.",
        "What must be taken off the mean of the squares?",
        merged(variance=lambda s, m, v: np.average(v + m**2, axis=0, weights=s)),
    ),
    cases=lambda random: (
        [(np.array([3, 1]), np.array([[0.0], [4.0]]), np.array([[0.0], [0.0]]))]
        + [
            (
                random.integers(1, 9, parts),
                random.normal(0, 2, (parts, features)),
                random.uniform(0, 3, (parts, features)),
            )
            for parts, features in [(2, 3), (4, 2), (1, 2), (3, 1)]
        ]
    ),
    question="What is the sum of the squares over the examples of a part, and over all?",
    parts=("the mean", "the variance"),
    by_part=True,
)(merge)


# --- 7.3


def kill_and_resume(answer: Callable, seed: int, killed: int, more: int) -> dict:
    """Save a loop after some steps, let it go on, and go on in a new one from what was saved."""
    loop = answer(seed)
    if not isinstance(loop, LittleLoop):
        raise NotRight(
            "no_class", "`ResumableLoop` must be a class that inherits from LittleLoop."
        )
    for _ in range(killed):
        loop.step()
    state = loop.state()  # pyright: ignore[reportAttributeAccessIssue]
    if state is None:
        question = "Does it end in `return`?"
        raise NotRight("no_return", "`state` returns None.", question)
    try:
        text = json.dumps(state)
    except (TypeError, ValueError) as error:
        fact = f"JSON can't write what `state` returns. {str(error)[:1].upper()}{str(error)[1:]}."
        raise NotRight(
            "no_json",
            fact,
            "JSON writes numbers, texts, lists and dicts. How does one make these of it?",
        ) from None
    on = [loop.step() for _ in range(2)]
    epochs = len(loop.history)
    answer(seed + 50).state()  # whatever the class kept of the first is that of another now
    resumed = answer(seed + 100)
    resumed.restore(json.loads(text))
    losses = [resumed.step() for _ in range(more)]
    means = [*map(float, resumed.history)]
    return {
        "the next loss of the loop that was saved": on[-1],
        "the number of epochs in the history of the loop that was saved": epochs,
        "the list of losses after the resume": np.array(losses),
        "the line at the end": resumed.line.numpy(),
        "the list of epochs' means at the end": np.array(means),
    }


class ResumableLoop(LittleLoop):
    """A loop that can be saved."""

    def state(self) -> dict:
        """Return all that the next step depends on."""
        return {
            "variables": [each.numpy().tolist() for each in (self.line, self.velocity)],
            "random": self.random.bit_generator.state,
            "rest": [[*map(int, self.order)], self.done, self.total, self.history],
        }

    def restore(self, state: dict) -> None:
        """Go on where the state was taken."""
        for variable, value in zip((self.line, self.velocity), state["variables"]):
            variable.assign(value)
        self.random.bit_generator.state = state["random"]
        self.order, self.done, self.total, self.history = state["rest"]


def forgetful(*names: str) -> type:
    """Make a loop that forgets some of its attributes."""

    class Forgetful(ResumableLoop):
        def restore(self, state: dict) -> None:
            kept = {name: getattr(self, name) for name in names}
            kept = {k: v.numpy() if isinstance(v, tf.Variable) else v for k, v in kept.items()}
            random = self.random.bit_generator.state
            super().restore(state)
            for name, value in kept.items():
                if name == "random":
                    self.random.bit_generator.state = random
                elif name in ("line", "velocity"):
                    getattr(self, name).assign(value)
                else:
                    setattr(self, name, value)

    return Forgetful


class KeptInTheClass(ResumableLoop):
    """Keeps in the class what should be in the state."""

    kept: dict = {}

    def state(self) -> dict:
        """Keep all."""
        KeptInTheClass.kept = super().state()
        return {}

    def restore(self, state: dict) -> None:
        """Take what is kept."""
        super().restore(KeptInTheClass.kept)


exercise(
    "7.3",
    "Killed, and going on",
    3,
    mistake(
        "nothing",
        "Nothing is restored.",
        "Does `restore` change the loop that it is called on?",
        forgetful("line", "velocity", "random", "order", "done", "total", "history"),
    ),
    mistake(
        "kept_in_class",
        "It goes on with what the class kept of another loop, not with the state it is given.",
        "In a new process nothing of this one is left. What has `restore` got?",
        KeptInTheClass,
    ),
    mistake(
        "disturbs",
        "`state` changes the loop that it saves: this one goes on in another way, too.",
        "Does `state` draw a number, or assign to an attribute?",
        seen=lambda found, right: any(
            not np.isclose(a[name], b[name], rtol=1e-6)
            for a, b in zip(found, right)
            for name in list(b)[:2]
        ),
    ),
    mistake(
        "line_only",
        "Only the line is restored.",
        "Read `step` again: what does it read that an earlier step has written?",
        forgetful("velocity", "random", "order", "done", "total", "history"),
    ),
    mistake(
        "variables_only",
        "Of what decides the next step, only the two variables are restored.",
        "Which point comes next, and with which noise?",
        forgetful("random", "order", "done", "total", "history"),
        forgetful("random", "order", "done", "total"),
    ),
    mistake(
        "line",
        "All is restored but the line.",
        "What is trained?",
        forgetful("line"),
    ),
    mistake(
        "velocity",
        "All is restored but the velocity: momentum begins anew.",
        "What does an update depend on, beside the gradient?",
        forgetful("velocity"),
    ),
    mistake(
        "random",
        "All is restored but the random numbers.",
        "Where in its sequence is `random`? Its `bit_generator` has a state.",
        forgetful("random"),
    ),
    mistake(
        "position",
        "The epoch begins anew: its order, or the place in it, is lost.",
        "Which points of the epoch have been trained on, and which are to come?",
        forgetful("order", "done"),
        forgetful("order", "done", "total"),
        forgetful("done"),
        forgetful("done", "total"),
    ),
    mistake(
        "total",
        "All is restored but the running sum: the mean of the epoch that was killed is wrong.",
        "Of which losses is an epoch's mean made?",
        forgetful("total"),
    ),
    mistake(
        "history",
        "The history is lost.",
        "Where are the means of the epochs that were over?",
        forgetful("history"),
    ),
    mistake(
        "total_and_history",
        "The line goes on as it should, but the history doesn't.",
        "Which attributes are only there to be written down?",
        forgetful("total", "history"),
    ),
    mistake(
        "inexact",
        "What is restored is close to what was saved, but not equal to it.",
        "Which digits are lost on the way?",
        seen=lambda found, right: all(
            np.allclose(a[name], b[name], rtol=0.02, atol=0.01)
            for a, b in zip(found, right)
            for name in b
        ),
    ),
    cases=lambda random: [
        (0, 3, 9),
        (1, 5, 6),
        (2, 0, 6),
        (3, int(random.integers(6, 10)), 8),
    ],
    question="Go through the attributes, one by one: who writes it, and who reads it later?",
    probe=kill_and_resume,
    again=0,
    tolerance=1e-7,
    inputs=("seed", "steps before the kill", "steps after it"),
)(ResumableLoop)


# --- 7.4


def half_model(inputs: int, classes: int, policy: str) -> Watched:
    """Build a network that computes in a precision, with a penalty; logits out."""
    seed_weights(5)
    layers = keras.layers
    penalty = keras.regularizers.L2(0.3)
    first = layers.Dense(5, "relu", kernel_regularizer=penalty, dtype=policy)
    return Watched([keras.Input((inputs,)), first, layers.Dense(classes, dtype="float32")])


def run_half_steps(
    make: Callable, inputs: int, classes: int, policy: str, rate: float, clip: float, steps: int
) -> dict:
    """Make a step for a small model, run it, and once more on a batch that overflows."""
    model, random = half_model(inputs, classes, policy), np.random.default_rng(inputs)
    step = make(model, rate, clip)
    if not callable(step):
        key, kind = ("no_return", "None") if step is None else ("no_step", type(step).__name__)
        raise NotRight(key, f"It must return a function of (images, labels), and returns {kind}.")
    seen, before = {}, flat_weights(model)
    ordinary = [("first", 1.0), ("second", 1.0)][:steps]
    for which, largest in [*ordinary, ("overflowing", 6e4), ("last", 1.0)]:
        images = tf.constant(largest * random.uniform(0.2, 1, (6, inputs)).astype("float32"))
        loss = step(images, tf.constant(random.integers(0, classes, 6)))
        if loss is None:
            question = "Does the inner function end in `return`?"
            raise NotRight("no_return", "The step returns None.", question)
        after = flat_weights(model)
        seen[f"the loss of the {which} step"] = np.asarray(loss)
        seen[f"the change of the weights in the {which} step"] = after - before
        before = after
    del seen["the loss of the overflowing step"]
    change = seen.pop("the change of the weights in the overflowing step")
    return seen | {
        OVERFLOW: not np.any(change),
        "whether the model runs in training mode": model.seen.training,
    }


OVERFLOW = "whether a step whose gradients overflow leaves the weights"


def only_wrong(*names: str) -> Callable:
    """Make what a `Mistake` has `seen`: all is right but these parts."""

    def seen(found: list, right: list) -> bool:
        return all(
            np.allclose(a[name], b[name], rtol=0.01, atol=1e-4)
            for a, b in zip(found, right)
            for name in b
            if name not in names
        )

    return seen


def flat_weights(model: keras.Model) -> np.ndarray:
    """Return all weights in a row."""
    return np.concatenate([np.ravel(each) for each in model.get_weights()])


def half_step(
    scaled: str = "all", clip: str = "inside", report: str = "loss", penalty: bool = True
) -> Callable:
    """Make an answer, right or with faults."""

    def make(model: Any, rate: float, limit: float) -> Callable:
        clips: Any = {
            "inside": {"global_clipnorm": limit},
            "each": {"clipnorm": limit},
            "value": {"clipvalue": limit},
        }
        inner = keras.optimizers.SGD(rate, **clips.get(clip, {}))
        optimizer: Any = keras.optimizers.LossScaleOptimizer(inner)
        variables = model.trainable_variables
        optimizer.build(variables)
        loss_function = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

        def step(images: Any, labels: Any) -> Any:
            with tf.GradientTape() as tape:
                data: Any = loss_function(labels, model(images, training=True))
                penalties = sum(model.losses) if penalty else 0.0
                loss = data + penalties
                target: Any = loss
                if scaled == "all":
                    target = optimizer.scale_loss(loss)
                if scaled == "data":
                    target = optimizer.scale_loss(data) + penalties
            gradients = tape.gradient(target, variables)
            if clip.startswith("outside"):
                scale = optimizer.initial_scale if clip.endswith("scaled") else 1.0
                gradients, _ = tf.clip_by_global_norm(gradients, limit * scale)
            optimizer.apply(gradients, variables)
            return {"loss": loss, "scaled": target, "data": data}[report]

        return step

    return make


def make_half_step(model: Any, rate: float, clip: float) -> Callable:
    """Make a training step in half precision."""
    return half_step()(model, rate, clip)


exercise(
    "7.4",
    "Repair a step in half precision",
    3,
    mistake(
        "still",
        "The weights don't move at all.",
        "Are the gradients of the scaled loss finite? Does the optimizer get them?",
        seen=lambda found, right: (
            not any(
                np.any(value)
                for each in found
                for name, value in each.items()
                if name.startswith("the change")
            )
        ),
    ),
    mistake(
        "as_given",
        "All faults are left; one is that the gradient is clipped while it is still scaled.",
        "When is the scale taken off the gradient, and when is it clipped?",
        half_step("data", "outside", "scaled"),
    ),
    mistake(
        "clipped_scaled",
        "The gradient is clipped while it is still scaled.",
        "When is the scale taken off the gradient, and when is it clipped?",
        half_step(clip="outside"),
        half_step(clip="outside", report="scaled"),
        half_step("data", clip="outside"),
    ),
    mistake(
        "penalty_unscaled",
        "The penalties are added to the loss after it was scaled.",
        "By what will the optimizer divide all gradients?",
        half_step("data"),
        half_step("data", report="scaled"),
    ),
    mistake(
        "scaled_loss",
        "The updates are right; the loss that is returned is the scaled one.",
        "Which loss would you draw?",
        half_step(report="scaled"),
    ),
    mistake(
        "unscaled",
        "The loss is not scaled, and the optimizer divides all the same.",
        "Which of the optimizer's methods does the step call?",
        half_step("none"),
    ),
    mistake(
        "no_penalty",
        "The penalties are missing.",
        "What does `model.losses` hold?",
        half_step(penalty=False),
    ),
    mistake(
        "no_clip",
        "The gradient isn't clipped.",
        "Which argument of the inner optimizer clips?",
        half_step(clip="none"),
    ),
    mistake(
        "clip_each",
        "The gradient of each variable is clipped by itself.",
        "Which argument of the inner optimizer clips the whole?",
        half_step(clip="each"),
    ),
    mistake(
        "clip_value",
        "Each number of the gradient is clipped by itself.",
        "Which argument of the inner optimizer clips the whole?",
        half_step(clip="value"),
    ),
    mistake(
        "first_scale",
        "The limit is multiplied by the first scale, which a step that overflows halves.",
        "Where does the optimizer itself clip, with the scale taken off?",
        half_step(clip="outside, scaled"),
    ),
    mistake(
        "not_skipped",
        "A step whose gradients overflow changes the weights.",
        "What must a step do where a gradient isn't finite? Which optimizer looks?",
        seen=lambda found, right: (
            not all(each[OVERFLOW] for each in found)
            and only_wrong(
                OVERFLOW, "the loss of the last step", "the change of the weights in the last step"
            )(found, right)
        ),
    ),
    mistake(
        "inference",
        "The model runs in inference mode.",
        "In which mode is a model trained?",
        seen=only_wrong("whether the model runs in training mode"),
    ),
    mistake(
        "data_only",
        "The updates are right; the loss that is returned is without its penalties.",
        "Which loss is differentiated?",
        half_step(report="data"),
    ),
    cases=lambda random: [
        (4, 3, "mixed_float16", 0.1, 0.5, 2),
        (3, 4, "mixed_float16", 0.3, 0.2, 1),
    ],
    question="In which order: sum, scale, gradient, take off the scale, clip, update?",
    probe=run_half_steps,
    tolerance=1e-2,
    again=0,
    inputs=("inputs", "classes", "the policy", "rate", "clip", "steps"),
)(make_half_step)


# --- 7.5


def hand_over(answer: Callable, gradients: list, limit: float) -> dict:
    """Hand gradients to an answer: arrays, None, and rows of a lookup."""
    made = [as_gradient(each) for each in gradients]
    given = list(made)
    found = answer(given, limit)
    if len(given) != len(made) or any(a is not b for a, b in zip(given, made)):
        question = "Which line assigns to something that was given? Make a new list."
        raise NotRight("changes_argument", "It changes the list that it is given.", question)
    if found is None:
        raise NotRight("no_return", "It returns None.", "Does the function end in `return`?")
    if not isinstance(found, list | tuple) or len(found) != 2:
        raise NotRight("count", "It must return two values: the list of gradients, and the norm.")
    clipped, norm = found
    if not isinstance(clipped, list | tuple):
        kind = type(clipped).__name__
        fact = f"The first value must be the list of gradients, and is of the type {kind}."
        raise NotRight("no_list", fact, "Which two values are asked for, in which order?")
    if len(clipped) != len(gradients):
        fact = "The first value must be a list that is as long as the one that was given."
        raise NotRight("length", fact, "What becomes of a gradient that is None?")
    seen = {"the norm": norm}
    for i, each in enumerate(clipped):
        dense = tf.convert_to_tensor(each) if isinstance(each, tf.IndexedSlices) else each
        seen[f"gradient {i}"] = dense
    return seen


def single(numbers: list) -> np.ndarray:
    """Make an array in single precision."""
    return np.array(numbers, "float32")


def as_gradient(spec: Any) -> Any:
    """Make a tensor of an array, and the gradient of a lookup of rows, values and shape."""
    if isinstance(spec, tuple):
        rows, values, shape = spec
        return tf.IndexedSlices(tf.constant(values), tf.constant(rows), tf.constant(shape))
    return None if spec is None else tf.constant(spec)


def dense(gradient: Any) -> Any:
    """Make a tensor of a gradient."""
    return None if gradient is None else tf.convert_to_tensor(gradient)


def norm_of(gradients: list) -> float:
    """Return the norm of all that is there."""
    there = [np.ravel(dense(each)) for each in gradients if each is not None]
    return float(np.linalg.norm(np.concatenate(there))) if there else 0.0


def clipping(
    factor: Callable,
    norm: Callable = norm_of,
    each: Callable | None = None,
) -> Callable:
    """Make an answer of a factor that depends on norm and limit, or a rule for each."""

    def answer(gradients: list, limit: float) -> tuple:
        size = norm(gradients)
        rule = each or (lambda gradient, limit: gradient * np.float32(factor(size, limit)))
        return [None if g is None else rule(dense(g), limit) for g in gradients], size

    return answer


def clip_gradients(gradients: list, limit: float) -> tuple:
    """Clip by the global norm."""
    return clipping(shorter)(gradients, limit)


def shorter(norm: float, limit: float) -> float:
    """Return the right factor."""
    return limit / norm if norm > limit else 1.0


def norm_of_values(gradients: list) -> float:
    """Return the norm of tensors and of the values of lookups, row for row."""
    there = [each.values if isinstance(each, tf.IndexedSlices) else each for each in gradients]
    return norm_of(there)


exercise(
    "7.5",
    "Clip, whatever comes",
    2,
    mistake(
        "each",
        "The gradient of each variable is clipped by itself.",
        "Does the direction of the whole stay the same?",
        clipping(shorter, each=lambda g, limit: tf.clip_by_norm(g, limit)),
    ),
    mistake(
        "value",
        "Each number is clipped.",
        "Does the direction of the whole stay the same?",
        clipping(shorter, each=lambda g, limit: tf.clip_by_value(g, -limit, limit)),
    ),
    mistake(
        "always",
        "Short gradients are made longer.",
        "What is to become of a gradient whose norm is below the limit?",
        clipping(lambda norm, limit: limit / norm if norm else 1.0),
        clipping(lambda norm, limit: np.float64(limit) / norm),
    ),
    mistake(
        "rows",
        "The norm is wrong where a lookup's gradient has the same row twice.",
        "What do two entries for the same row mean? What is the norm of the dense gradient?",
        clipping(shorter, norm_of_values),
    ),
    mistake(
        "sum_of_norms",
        "The norms of the variables are added.",
        "What is the norm of (3, 4)?",
        clipping(shorter, lambda gradients: sum(norm_of([each]) for each in gradients)),
    ),
    mistake(
        "squared",
        "This is the square of the norm.",
        "What is the norm of (3, 4)?",
        clipping(shorter, lambda gradients: norm_of(gradients) ** 2),
    ),
    mistake(
        "norm_after",
        "The gradients are right; the norm is the one after clipping.",
        "Which norm tells that something was clipped?",
        lambda gradients, limit: (
            clip_gradients(gradients, limit)[0],
            min(norm_of(gradients), limit),
        ),
    ),
    cases=lambda random: [
        ([single([3.0, 4.0]), None], 1.0),
        ([single([0.3]), single([[0.4]])], 1.0),
        ([single([0.0, 0.0]), single([0.0])], 0.5),
        ([([1, 1], single([[3.0], [1.0]]), [3, 1]), single([3.0])], 2.0),
        (
            [
                random.normal(0, 2, (2, 3)).astype("float32"),
                None,
                ([2, 0, 2], random.normal(0, 3, (3, 2)).astype("float32"), [4, 2]),
                random.normal(0, 1, 4).astype("float32"),
            ],
            1.5,
        ),
    ],
    question="One norm of everything that is there, and one factor for everything.",
    probe=hand_over,
    inputs=("gradients", "limit"),
)(clip_gradients)


# --- 7.6


def play(make: Callable, size: int, momentum: float, steps: int) -> dict:
    """Let an answer make a step of a small game, and play it once or twice."""
    seed_weights(size)
    layers = keras.layers
    generator = Watched([keras.Input((2,)), layers.Dense(4, "tanh"), layers.Dense(size)])
    discriminator = Watched([keras.Input((size,)), layers.Dense(5, "tanh"), layers.Dense(1)])
    sgd = keras.optimizers.SGD
    step = make(generator, discriminator, (sgd(0.3, momentum), sgd(0.1, momentum / 2)))
    if not callable(step):
        key, kind = ("no_return", "None") if step is None else ("no_step", type(step).__name__)
        raise NotRight(key, f"It must return a function of (noise, real), and returns {kind}.")
    random, seen = np.random.default_rng(size), {}
    for which in ("first", "second")[:steps]:
        before = [flat_weights(each) for each in (generator, discriminator)]
        losses = step(
            tf.constant(random.normal(0, 1, (6, 2)).astype("float32")),
            tf.constant(random.normal(1, 0.5, (6, size)).astype("float32")),
        )
        if not isinstance(losses, list | tuple) or len(losses) != 2:
            fact = "The step must return two losses, the generator's and the discriminator's."
            raise NotRight("no_return" if losses is None else "count", fact)
        after = [flat_weights(each) for each in (generator, discriminator)]
        for name, loss, old, new in zip(("generator", "discriminator"), losses, before, after):
            seen[f"the {name}'s loss in the {which} step"] = np.asarray(loss)
            seen[f"the change of the {name} in the {which} step"] = new - old
    trains = generator.seen.training and discriminator.seen.training
    return seen | {"whether both networks run in training mode": trains}


def game(
    of: Callable = lambda own, other: own,
    swapped: bool = False,
    cut: bool = False,
    later: int | None = None,
    labels: tuple = (1.0, 0.0),
    half: bool = True,
    order: int = 1,
    summed: bool = False,
    after: bool = False,
    own: Callable | None = None,
) -> Callable:
    """Make an answer, right or with faults."""

    def make(generator: Any, discriminator: Any, optimizers: tuple) -> Callable:
        binary: Any = keras.losses.BinaryCrossentropy(from_logits=True)
        networks = generator, discriminator
        lists = [
            of(own.trainable_variables, other.trainable_variables)
            for own, other in (networks, networks[::-1])
        ]
        given = optimizers[::-1] if swapped else optimizers

        def losses_of(noise: Any, real: Any) -> tuple:
            drawn = generator(noise, training=True)
            drawn = tf.stop_gradient(drawn) if cut else drawn
            on_drawn = discriminator(drawn, training=True)
            on_real = discriminator(real, training=True)
            yes, no = (tf.fill(tf.shape(on_real), label) for label in labels)
            theirs = binary(yes, on_real) + binary(no, on_drawn)
            ours = own(binary(no, on_drawn)) if own else binary(yes, on_drawn)
            return ours, theirs / 2 if half else theirs

        def step(noise: Any, real: Any) -> tuple:
            with tf.GradientTape(persistent=True) as tape:
                losses = list(losses_of(noise, real))
                targets: Any = [sum(losses)] * 2 if summed else losses
            gradients = [tape.gradient(*pair) for pair in zip(targets, lists)]
            for i in (0, 1) if later == 1 else (1, 0):
                if later == i:
                    with tf.GradientTape() as new:
                        losses[i] = losses_of(noise, real)[i]
                    gradients[i] = new.gradient(losses[i], lists[i])
                pairs = [p for p in zip(gradients[i], lists[i]) if p[0] is not None]
                if pairs:
                    given[i].apply(*map(list, zip(*pairs)))
            return tuple(losses_of(noise, real) if after else losses)[::order]

        return step

    return make


def make_game_step(generator: Any, discriminator: Any, optimizers: tuple) -> Callable:
    """Make a step of two networks."""
    return game()(generator, discriminator, optimizers)


def still(name: str) -> Callable:
    """Make what a `Mistake` has `seen`: a network doesn't move."""

    def seen(found: list, right: list) -> bool:
        changes = [v for parts in found for k, v in parts.items() if k.startswith(name)]
        return not any(map(np.any, changes))

    return seen


exercise(
    "7.6",
    "Two networks, two optimizers",
    3,
    mistake(
        "still_generator",
        "The generator doesn't move.",
        "Does a path lead from its loss to its variables, and does an optimizer get them?",
        seen=still("the change of the generator"),
    ),
    mistake(
        "still_discriminator",
        "The discriminator doesn't move.",
        "Does an optimizer get its gradients?",
        seen=still("the change of the discriminator"),
    ),
    mistake(
        "both",
        "Each loss moves the variables of both networks.",
        "Which variables should the generator's loss move?",
        game(lambda own, other: own + other),
    ),
    mistake(
        "other",
        "Each loss moves the variables of the other network.",
        "Which variables should the generator's loss move?",
        game(lambda own, other: other),
    ),
    mistake(
        "swapped",
        "Each optimizer has the other network's variables.",
        "In which order do the optimizers come?",
        game(swapped=True),
    ),
    mistake(
        "later",
        "The generator's loss is measured after the discriminator's update.",
        "At which weights are the two losses to be taken?",
        game(later=0),
    ),
    mistake(
        "later_discriminator",
        "The discriminator's loss is measured after the generator's update.",
        "At which weights are the two losses to be taken?",
        game(later=1),
    ),
    mistake(
        "after",
        "The updates are right; the losses that are returned are measured after them.",
        "At which weights are the two losses to be taken?",
        game(after=True),
    ),
    mistake(
        "one_loss",
        "Both networks are trained on the sum of the two losses.",
        "What does the generator gain if the discriminator's loss falls?",
        game(summed=True),
    ),
    mistake(
        "as_drawn",
        "The generator is trained to be taken for drawn.",
        "What is the generator to be taken for? Which label says so?",
        game(own=lambda loss: loss),
    ),
    mistake(
        "minus",
        "The generator's loss is minus the discriminator's loss of what is drawn.",
        "Which loss does the step that is given have for its generator?",
        game(own=lambda loss: -loss),
        game(own=lambda loss: -loss / 2),
    ),
    mistake(
        "inference",
        "A network runs in inference mode.",
        "In which mode is a network trained?",
        seen=only_wrong("whether both networks run in training mode"),
    ),
    mistake(
        "labels",
        "The labels of real and drawn are exchanged.",
        "What should the discriminator say of a real one?",
        game(labels=(0.0, 1.0)),
    ),
    mistake(
        "exchanged",
        "The updates are right; the two losses are returned in the other order.",
        "Which of them comes first?",
        game(order=-1),
    ),
    mistake(
        "sum",
        "The discriminator's loss is twice as large as asked.",
        "Is it a sum or a mean?",
        game(half=False),
    ),
    cases=lambda random: [(3, 0.8, 2), (2, 0.5, 1)],
    question="For each network: which loss, which variables, which optimizer, at which weights?",
    probe=play,
    tolerance=1e-3,
    again=0,
    inputs=("numbers in a picture", "momentum", "steps"),
)(make_game_step)


# --- 7.7


def causes() -> dict:
    """Return the cause behind each message."""
    return {1: "e", 2: "b", 3: "d", 4: "a", 5: "f", 6: "c"}


exercise(
    "7.7",
    "Six messages, six causes",
    3,
    mistake(
        "optimizers",
        "The two messages about an optimizer's variables are exchanged.",
        "Which optimizer has got no gradient, and which has never seen this variable?",
        lambda: causes() | {2: "d", 3: "b"},
    ),
    mistake(
        "two_swapped",
        "Two causes are exchanged, all others are right.",
        "For each: which object complains, and of what?",
        seen=two_exchanged,
    ),
    mistake(
        "several",
        "Several messages have a wrong cause.",
        "For each: which object complains, and of what?",
        seen=lambda found, right: len(not_right(found, right)) > 1,
    ),
    mistake(
        "one",
        "One message has a wrong cause, and one cause is named twice.",
        "Which cause did you give to two messages?",
        seen=lambda found, right: len(not_right(found, right)) == 1,
    ),
    cases=lambda random: [()],
    probe=lambda answer: matched(answer(), "message", 6, "abcdef", "the cause of "),
    lettered="abcdef",
    secret=True,
)(causes)


# --- 7.8


def true_of_the_night() -> set:
    """Return the letters of what the log proves."""
    return set("aef")


exercise(
    "7.8",
    "The log of a night",
    2,
    mistake(
        "same_run",
        "It takes the resumed run to be the one that was killed.",
        "Compare the two lines of step 300.",
        seen=letters_seen(lambda found: "c" in found),
    ),
    mistake(
        "anew",
        "It takes the weights to have begun anew.",
        "What was the loss of step 100, and what is the first loss after the resume?",
        seen=letters_seen(lambda found: "d" in found),
    ),
    mistake(
        "moved",
        "It takes the update that halved the scale to have moved the weights.",
        "What does a loss scale do where gradients aren't finite?",
        seen=letters_seen(lambda found: "b" in found),
    ),
    mistake(
        "none",
        "No letter is given.",
        "When is a loss scale halved? Look at the column of the scale.",
        seen=letters_seen(lambda found: not found),
    ),
    mistake(
        "missing",
        "All that it names is right; something is missing.",
        "Look at the column of the scale, and at the numbers of the steps.",
        seen=letters_seen(lambda found: found < set("aef")),
    ),
    cases=lambda random: [()],
    probe=letters("abcdef"),
    lettered="abcdef",
    secret=True,
)(true_of_the_night)


# --- 7.9


predict(
    "7.9",
    "odds_of_real_work",
    2,
    a=(False, "A batch in four parts moves batch normalization's averages once."),
    b=(True, "Clipping by the global norm keeps the direction of the gradient."),
    c=(False, "Batch normalization that is left out of the tape's list computes as before."),
    d=(
        True,
        "With SGD, a forgotten scale_loss makes the first update thousands of times too small.",
    ),
    e=(True, "An optimizer that hasn't been built has no momentum to restore into."),
    f=(
        False,
        "A run that goes on with its saved weights and optimizer, and with its first seed again, "
        "is the same run.",
    ),
)
