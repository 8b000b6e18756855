"""The checks of the exercises of chapter 10."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

import numpy as np
from scipy.ndimage import sobel
from scipy.optimize import fsolve
from scipy.stats import rankdata

import tensorflow as tf

from tapecourse.feedback.core import NotRight, exercise, letters, letters_seen, mistake
from tapecourse.feedback.predictions import predict

Random = np.random.Generator


@dataclass(frozen=True)
class Named:
    """A function with a name, by which hints speak of it."""

    name: str
    function: Callable

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)

    def __repr__(self) -> str:
        return self.name

    @property
    def __doc__(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.name


def left_over(faults: dict[str, tuple[str, str]], make: Callable, of_part: bool = False) -> list:
    """Make a mistake for each selection of the faults of a function that is to be repaired.

    `faults` has what is seen of each, and what to ask; `make` takes a flag for each.
    """
    found = []
    for flags in list(product([False, True], repeat=len(faults)))[1:]:
        keys = [key for key, flag in zip(faults, flags) if flag]
        fact, question = faults[keys[0]]
        if len(keys) > 1:
            number = {2: "two", 3: "three", 4: "four"}[len(keys)]
            fact = f"{number} faults are left; one is that {fact}"
        fact = fact if of_part else fact[0].upper() + fact[1:]
        found.append(mistake(keys[0], f"{fact}.", question, make(*flags)))
    return found


# --- 10.1

WAYS = [
    Named("a map of network + image", lambda network, image: network + image),
    Named("a map of network * image", lambda network, image: network * image),
    Named("a map of edges", lambda network, image: sobel(image, axis=0) + 0 * network),
    Named("a map of -2 * network", lambda network, image: -2.0 * network),
    Named("a map of network + image, rounded", lambda network, image: np.round(network + image)),
]


def agreement_by(
    prepare: Callable = abs,
    rank: Callable = rankdata,
    collect: Callable = np.mean,
    pairs: Callable = lambda ones, others: zip(ones, others),
    flat: bool = True,
    draw: Callable = lambda way, network, image: way(network, image),
) -> Callable:
    """Make an answer, right or with faults."""

    def answer(way: Callable, trained: Any, randomized: Any, images: np.ndarray) -> Any:
        networks = trained, randomized
        maps = [[np.asarray(draw(way, net, one)) for one in images] for net in networks]
        found = [
            np.corrcoef(
                *(rank(prepare(each).ravel() if flat else prepare(each)).ravel() for each in pair)
            )[0, 1]
            for pair in pairs(*maps)
        ]
        return collect(found)

    return answer


def survives(way: Callable, trained: Any, randomized: Any, images: np.ndarray) -> float:
    """Return how much the maps of two networks agree."""
    return agreement_by()(way, trained, randomized, images)


def places(values: np.ndarray) -> np.ndarray:
    """Rank values, equal ones in the order in which they come."""
    return np.argsort(np.argsort(values))


def draw_maps(random: Random, way: Named, n: int, side: int) -> tuple:
    """Draw two networks, which are arrays here, and images."""
    networks = random.normal(0, 1, (2, side, side)).round(1)
    return way, *networks, random.normal(0, 1, (n, side, side)).round(1)


exercise(
    "10.1",
    "Does the map know the network?",
    3,
    mistake(
        "signs",
        "Maps are compared with their signs.",
        "A map speaks for or against a class. Which part of it says how much?",
        agreement_by(lambda x: x),
    ),
    mistake(
        "values",
        "The values are correlated, not their ranks.",
        "What does a single very bright pixel do to a correlation of values?",
        agreement_by(rank=lambda x: x),
        agreement_by(lambda x: x, lambda x: x),
    ),
    mistake(
        "ties",
        "Equal values don't share the mean of their ranks.",
        "Which rank do two pixels get if they share the places 4 and 5?",
        agreement_by(rank=places),
        *[
            agreement_by(rank=lambda x, method=method: rankdata(x, method))
            for method in ("ordinal", "min", "max", "dense")
        ],
    ),
    mistake(
        "argsort",
        "What `argsort` returns is taken for ranks.",
        "Sort 30, 10, 20: where does each value end, and what does `argsort` return?",
        agreement_by(rank=np.argsort),
    ),
    mistake(
        "in_lines",
        "The pixels of each row, or of each column, are ranked among themselves.",
        "Among which pixels is the rank of a pixel asked for?",
        agreement_by(rank=lambda x: rankdata(x, axis=0), flat=False),
        agreement_by(rank=lambda x: rankdata(x, axis=-1), flat=False),
    ),
    mistake(
        "size",
        "The agreement has lost its sign.",
        "Which number do two maps get if each is the other's opposite?",
        agreement_by(collect=lambda found: np.mean(np.abs(found))),
        agreement_by(collect=lambda found: abs(np.mean(found))),
    ),
    mistake(
        "median",
        "This is the median over the images.",
        "Which of mean and median is asked for?",
        agreement_by(collect=np.median),
    ),
    mistake(
        "not_averaged",
        "It returns a number for each image, not their mean.",
        "How many numbers are asked for?",
        agreement_by(collect=np.array),
    ),
    mistake(
        "exchanged",
        "`way` gets the image in place of the network, and the network in place of the image.",
        "In which order does `way` take its arguments?",
        agreement_by(draw=lambda way, network, image: way(image, network)),
    ),
    mistake(
        "mean_map",
        "The maps of all images are averaged before they are compared.",
        "Of which numbers is the mean taken?",
        agreement_by(
            pairs=lambda a, b: [(np.mean(np.abs(a), axis=0), np.mean(np.abs(b), axis=0))]
        ),
        agreement_by(pairs=lambda a, b: [(np.mean(a, axis=0), np.mean(b, axis=0))]),
    ),
    mistake(
        "together",
        "All images are ranked together.",
        "Of which numbers is the mean taken?",
        agreement_by(pairs=lambda a, b: [(np.stack(a), np.stack(b))]),
    ),
    mistake(
        "sum",
        "The agreements of all images are added up.",
        "How large can a mean of correlations be?",
        agreement_by(collect=np.sum),
    ),
    mistake(
        "one_image",
        "Only one of the images counts.",
        "Does the loop go over all images before it returns?",
        agreement_by(collect=lambda found: found[0]),
        agreement_by(collect=lambda found: found[-1]),
    ),
    mistake(
        "one_network",
        "A map is compared with itself.",
        "Which network draws the second map?",
        agreement_by(pairs=lambda a, b: zip(a, a)),
        agreement_by(pairs=lambda a, b: zip(b, b)),
    ),
    mistake(
        "distance",
        "This is 1 minus the agreement.",
        "Which number do two equal maps get?",
        agreement_by(collect=lambda found: 1 - np.mean(found)),
    ),
    cases=lambda random: [
        draw_maps(random, way, n, side)
        for way, n, side in zip(
            [WAYS[0], WAYS[3], WAYS[1], WAYS[2], WAYS[4], WAYS[0]],
            [1, 2, 3, 2, 3, 4],
            [2, 2, 3, 4, 5, 4],
        )
    ],
    question="Rank the absolute values of both maps of an image, and correlate the ranks.",
    inputs=("", "trained", "randomized", "images"),
)(survives)


# --- 10.2


def blind_ways() -> set[str]:
    """Return the letters of the ways that don't ask the network."""
    return {"b", "e"}


exercise(
    "10.2",
    "Spot the edge detector",
    2,
    mistake(
        "half",
        "That is one of two.",
        "Which map is a picture of the image? There are several ways to picture it.",
        seen=letters_seen(lambda found: found in ({"b"}, {"e"})),
    ),
    mistake(
        "covered",
        "Of one of these ways the map of the random network looks similar, but isn't the same.",
        "Which number does your function give for it, and which for the others?",
        seen=letters_seen(lambda found: "a" in found),
    ),
    mistake(
        "noise",
        "A noisy map can still be one that changes with the network.",
        "What is asked for: maps that look good, or maps that don't ask the network?",
        seen=letters_seen(lambda found: found & {"c", "d"}),
    ),
    mistake(
        "none",
        "No letter is given.",
        "Which maps of the two rows agree best?",
        seen=letters_seen(lambda found: not found),
    ),
    cases=lambda random: [()],
    probe=letters("abcde"),
    secret=True,
)(blind_ways)


# --- 10.3


def attribution_by(
    left: bool = False,
    path: bool = False,
    factor: bool = False,
    place: float = 0.5,
    add: Callable = lambda total, slope, t: total + slope,
    times: Callable = lambda images, baselines, mean: (images - baselines) * mean,
    gap: Callable = lambda total, after, before: total - (after - before),
) -> Callable:
    """Make an answer, right or with faults."""

    def answer(score: Callable, images: Any, baselines: Any, steps: int) -> tuple:
        images, baselines = map(tf.convert_to_tensor, (images, baselines))
        total = tf.zeros_like(images)
        for k in range(steps):
            t = (k + (0.0 if left else place)) / steps
            points = baselines + t * (images if path else images - baselines)
            with tf.GradientTape() as tape:
                tape.watch(points)
                scores = score(points)
            total = add(total, tape.gradient(scores, points), t)
        parts = images * total / steps if factor else times(images, baselines, total / steps)
        return parts, gap(tf.reduce_sum(parts, axis=1), score(images), score(baselines))

    return answer


def attribute(score: Callable, images: Any, baselines: Any, steps: int) -> tuple:
    """Return attributions, and what they lack to be complete."""
    return attribution_by()(score, images, baselines, steps)


SCORES = [
    Named("score = sum(x**3)", lambda x: tf.reduce_sum(x**3, axis=1)),
    Named("score = exp(x[:, 0]) * x[:, 1]", lambda x: tf.exp(x[:, 0]) * x[:, 1]),
    Named("score = log(1 + sum(exp(x)))", lambda x: tf.math.log(1 + tf.reduce_sum(tf.exp(x), 1))),
]
PATH_FAULTS = {
    "path": (
        "the path doesn't end at the images",
        "Put t = 1 into the formula of the points. Where is that?",
    ),
    "factor": (
        "the gradients are multiplied by the images",
        "How far does each pixel move along the path?",
    ),
    "left": (
        "the gradients are taken at the beginning of each step",
        "Which point of a step stands for all of it?",
    ),
}


def draw_path(random: Random, score: Named, kind: str, shape: tuple, steps: int) -> tuple:
    """Draw images, and a baseline for each."""
    images, baselines = np.round(random.uniform(-1, 1.5, (2, *shape)), 2).astype(kind)
    return score, images, baselines, steps


def judge_attribution(answer: Callable, score: Callable, *arguments: Any) -> Any:
    """Give tensors to an answer."""
    images, baselines, steps = arguments
    return answer(score, tf.constant(images), tf.constant(baselines), steps)


exercise(
    "10.3",
    "Repair integrated gradients",
    3,
    *left_over(
        PATH_FAULTS,
        lambda path, factor, left: attribution_by(left, path, factor),
        of_part=True,
    ),
    mistake(
        "right",
        "the gradients are taken at the end of each step.",
        "Which point of a step stands for all of it?",
        attribution_by(place=1.0),
    ),
    mistake(
        "last_gradient",
        "only the gradient of the last step counts.",
        "What becomes of the gradients of the other steps?",
        attribution_by(add=lambda total, slope, t: slope),
    ),
    mistake(
        "by_images",
        "it is differentiated with respect to the images, not to the points of the path.",
        "How much does a point of the path move when its image moves?",
        attribution_by(add=lambda total, slope, t: total + t * slope),
    ),
    mistake(
        "mean_score",
        "the mean of all scores is differentiated, not their sum.",
        "Does a score of one image depend on how many others there are?",
        attribution_by(times=lambda x, b, mean: (x - b) * mean / len(x)),
    ),
    mistake(
        "no_factor",
        "the gradients aren't multiplied by the way that each pixel moves.",
        "Which unit has a gradient, and which has a part of the score?",
        attribution_by(times=lambda images, baselines, mean: mean),
    ),
    mistake(
        "reversed",
        "it has the wrong sign.",
        "From where to where does the path lead?",
        attribution_by(times=lambda images, baselines, mean: (baselines - images) * mean),
    ),
    mistake(
        "gap_plus",
        "the score of the baselines has the wrong sign.",
        "What is the change of the score from the baseline to the image?",
        attribution_by(gap=lambda total, after, before: total - after - before),
    ),
    mistake(
        "change",
        "this is the change of the score; the sum of the attributions has no part in it.",
        "What is compared with that change?",
        attribution_by(gap=lambda total, after, before: after - before),
    ),
    mistake(
        "gap_of_image",
        "the score of the baselines is left out.",
        "What do the attributions add up to?",
        attribution_by(gap=lambda total, after, before: total - after),
    ),
    mistake(
        "gap_sign",
        "it has the wrong sign.",
        "What is subtracted from what?",
        attribution_by(gap=lambda total, after, before: after - before - total),
    ),
    mistake(
        "gap_size",
        "it has lost its sign.",
        "Do the attributions add up to too much, or to too little?",
        attribution_by(gap=lambda total, after, before: abs(total - (after - before))),
    ),
    mistake(
        "no_gap",
        "these are the sums of the attributions, and not what they lack or have too much.",
        "With which change are they to be compared?",
        attribution_by(gap=lambda total, after, before: total),
    ),
    cases=lambda random: [
        (SCORES[0], np.array([[2.0]]), np.array([[1.0]]), 1),
        draw_path(random, SCORES[0], "float64", (1, 2), 2),
        draw_path(random, SCORES[1], "float64", (2, 2), 3),
        draw_path(random, SCORES[2], "float32", (3, 4), 4),
        draw_path(random, SCORES[0], "float32", (2, 3), 8),
    ],
    question="Draw the way from a baseline to an image, and mark where you differentiate.",
    probe=judge_attribution,
    inputs=("", "images", "baselines", "steps"),
    parts=("the first array", "the second array"),
    by_part=True,
    again=1,
)(attribute)


# --- 10.4


@cache
def jacobians(residual: Named, x: tuple, theta: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the derivatives of a residual with respect to x, (n, n), and theta, (n,)."""
    at, parameter = tf.constant(x, "float64"), tf.constant(theta, "float64")
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([at, parameter])
        values = tf.unstack(residual(at, parameter))
    found = [[tape.gradient(value, source) for value in values] for source in (at, parameter)]
    return np.array(found[0]), np.array(found[1])


def derivative_by(combine: Callable) -> Callable:
    """Make an answer, right or with faults, of the two Jacobians."""

    def answer(residual: Any, x: Any, theta: Any) -> Any:
        return combine(*jacobians(residual, tuple(map(float, x)), float(theta)))

    return answer


def root_derivative(residual: Callable, x: Any, theta: Any) -> Any:
    """Return the derivative of a root with respect to a parameter."""
    return derivative_by(lambda j, b: -np.linalg.solve(j, b))(residual, x, theta)


MATRIX = np.array([[2.0, 1.0, 0.0], [-0.5, 1.5, 0.3], [0.2, -1.0, 3.0]])
SIDE = np.array([1.0, -2.0, 0.5])


def cubic(x: Any, theta: Any) -> Any:
    """Return a residual whose variables are coupled, in neither order alike."""
    matrix, side = (tf.constant(each, x.dtype) for each in (MATRIX, SIDE))
    return tf.linalg.matvec(matrix, x) + x**3 - tf.sin(theta) * side


def mixed(x: Any, theta: Any) -> Any:
    """Return a residual of two variables in which the parameter stands in both equations."""
    return tf.stack([x[0] ** 2 + theta * x[1] - 2.0, x[0] - theta * x[1] ** 3])


RESIDUALS = [
    Named("residual = x**2 - theta", lambda x, theta: x**2 - theta),
    Named("residual = x - theta * sin(x) - 1", lambda x, theta: x - theta * tf.sin(x) - 1.0),
    Named("residual = A x + x**3 - sin(theta) b", cubic),
    Named("residual = (x0**2 + theta x1 - 2, x0 - theta x1**3)", mixed),
]


def with_root(residual: Named, start: list, theta: float, kind: str) -> tuple:
    """Return a case: a residual, its root near `start`, and the parameter."""

    def values(x: np.ndarray) -> np.ndarray:
        return residual(tf.constant(x), tf.constant(theta, "float64")).numpy()

    root = np.asarray(fsolve(values, start, xtol=1e-13))
    return residual, root.astype(kind), np.array(theta, kind)


def judge_derivative(answer: Callable, residual: Named, x: np.ndarray, theta: np.ndarray) -> Any:
    """Ask for the derivative of a root."""
    derivative = answer(residual, tf.constant(x), tf.constant(theta))
    if np.shape(derivative) == (len(x), 1):
        raise NotRight(
            "column",
            f"It is a column, of the shape ({len(x)}, 1), and must be of the shape ({len(x)},).",
            "With which index do you get the first column of a matrix?",
        )
    return derivative


exercise(
    "10.4",
    "The derivative of a root",
    3,
    mistake(
        "sign",
        "It has the wrong sign.",
        "When theta moves, x must move so that the residual stays what it is. Which is that?",
        derivative_by(lambda j, b: np.linalg.solve(j, b)),
    ),
    mistake(
        "no_solve",
        "This says, sign aside, how the residual changes with theta while x stays where it is.",
        "By how much must x move to undo that change?",
        derivative_by(lambda j, b: b),
        derivative_by(lambda j, b: -b),
    ),
    mistake(
        "transposed",
        "The Jacobian is transposed.",
        "Does the derivative go forward, from theta to x, or back?",
        derivative_by(lambda j, b: -np.linalg.solve(j.T, b)),
    ),
    mistake(
        "product",
        "It is multiplied by the Jacobian.",
        "Which vector, times the Jacobian, gives minus the derivative with respect to theta?",
        derivative_by(lambda j, b: -j @ b),
        derivative_by(lambda j, b: j @ b),
    ),
    mistake(
        "elementwise",
        "It divides element by element, where a system of equations is to be solved.",
        "Does each equation hold one x, or several?",
        derivative_by(lambda j, b: -b / np.diag(j)),
        derivative_by(lambda j, b: -b / j.sum(axis=0)),
        derivative_by(lambda j, b: -b / j.sum(axis=1)),
    ),
    mistake(
        "fixed_point",
        "This is the formula for a fixed point, x = g(x, theta).",
        "What is zero here?",
        derivative_by(lambda j, b: np.linalg.solve(np.eye(len(j)) - j, b)),
    ),
    mistake(
        "summed",
        "The derivatives of all equations with respect to theta are added up.",
        "What does `tape.gradient` do with a target of several elements?",
        derivative_by(lambda j, b: -np.linalg.solve(j, np.full(len(j), b.sum()))),
        derivative_by(lambda j, b: -b.sum() / j.sum(axis=0)),
    ),
    cases=lambda random: [
        with_root(RESIDUALS[0], [1.0, -1.0], 4.0, "float64"),
        with_root(RESIDUALS[1], [1.0], 0.6, "float32"),
        with_root(RESIDUALS[2], [0.1] * 3, round(float(random.uniform(0.3, 1.2)), 2), "float64"),
        with_root(RESIDUALS[3], [1.0, 1.0], 0.8, "float64"),
    ],
    question="Differentiate residual(x(theta), theta) = 0 with respect to theta, on paper first.",
    probe=judge_derivative,
    inputs=("", "x", "theta"),
    tolerance=1e-3,
    again=1,
)(root_derivative)


# --- 10.5


def steering(
    uphill: bool = False,
    plain: bool = False,
    ball: bool = False,
    scale: bool = False,
    stale: bool = False,
    last: bool = False,
    way_by: Callable = tf.sign,
    before: bool = False,
    training: bool = False,
    more: int = 0,
    loss: str = "of the target",
) -> Callable:
    """Make an answer, right or with faults."""

    def answer(
        network: Callable, images: Any, targets: Any, size: float, stride: float, steps: int
    ) -> Any:
        start = moved = tf.convert_to_tensor(images)
        if loss == "of what is read":
            targets = tf.argmax(network(images), axis=1)
        for k in range(steps + more):
            at = start if stale else moved
            with tf.GradientTape() as tape:
                tape.watch(at)
                logits = network(at, training=training)
                logits = tf.nn.softmax(logits) if loss == "softmaxed" else logits
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
                if loss == "logit":
                    losses = -tf.gather(logits, targets, batch_dims=1)
            slope: Any = tape.gradient(losses, at)
            way = slope if plain else way_by(slope)
            middle = moved if before else start
            moved = moved + (stride if uphill else -stride) * way
            if not ball and (not last or k == steps - 1):
                moved = tf.clip_by_value(moved, middle - size, middle + size)
            if not scale and (not last or k == steps - 1):
                moved = tf.clip_by_value(moved, 0.0, 1.0)
        return moved

    return answer


def steer(
    network: Callable, images: Any, targets: Any, size: float, stride: float, steps: int
) -> Any:
    """Move images so that they are read as targets."""
    return steering()(network, images, targets, size, stride, steps)


def stopping(
    network: Callable, images: Any, targets: Any, size: float, stride: float, steps: int
) -> Any:
    """Stop when the images are read as their targets."""
    moved = images
    for k in range(steps + 1):
        moved = steer(network, images, targets, size, stride, k)
        if np.all(np.argmax(network(moved), axis=1) == targets):
            break
    return moved


ATTACK_FAULTS = {
    "uphill": (
        "the images move away from their targets",
        "Should the loss of the target grow or fall?",
    ),
    "plain": (
        "steps are as long as the gradient, not the same for each pixel",
        "By how much does each pixel move in a step?",
    ),
    "ball": (
        "pixels end more than `size` away from where they started",
        "From where is `size` measured, and when is it checked?",
    ),
    "scale": (
        "pixels leave the range from 0 to 1",
        "What are the smallest and the largest value of a pixel?",
    ),
}


def make_reader(pixels: int, seed: int) -> Callable:
    """Make a small network, images (n, h, w, 1) in, logits (n, 3) out."""
    random = np.random.default_rng(seed)
    first, last = random.normal(0, 2, (pixels, 5)), random.normal(0, 2, (5, 3))
    first[2::5] = 0.0  # pixels that the network doesn't see

    def network(images: Any, training: bool = False) -> Any:
        flat = tf.reshape(images, (-1, pixels)) + 10.0 * float(training)
        hidden = tf.tanh(flat @ tf.constant(first, images.dtype))
        return hidden @ tf.constant(last, images.dtype)

    return network


def judge_steering(answer: Callable, images: np.ndarray, targets: list, *how: Any) -> Any:
    """Attack a small network."""
    pixels = int(np.prod(images.shape[1:]))
    return answer(make_reader(pixels, pixels), tf.constant(images), tf.constant(targets), *how)


def draw_attack(random: Random, shape: tuple, *how: Any) -> tuple:
    """Draw images, and the classes they shall be read as."""
    images = np.round(random.uniform(0, 1, (*shape, 1)), 2).astype("float32")
    return images, list(map(int, random.integers(0, 3, len(images)))), *how


exercise(
    "10.5",
    "Make it read what you want",
    3,
    *left_over(ATTACK_FAULTS, steering),
    mistake(
        "stale",
        "Every step follows the gradient at the first image.",
        "Where are the images when the second step begins?",
        steering(stale=True),
    ),
    mistake(
        "late",
        "Pixels are put back after the last step only.",
        "At which images are the gradients of the steps in between taken?",
        steering(last=True),
    ),
    mistake(
        "no_slope",
        "A pixel moves even where the loss has no slope.",
        "What is the sign of 0?",
        steering(way_by=lambda slope: tf.where(slope > 0, 1.0, -1.0)),
        steering(way_by=lambda slope: tf.where(slope < 0, -1.0, 1.0)),
    ),
    mistake(
        "scaled",
        "The gradient is scaled as a whole: pixels move by different amounts in a step.",
        "By how much does each pixel move in a step?",
        steering(way_by=lambda slope: slope / tf.norm(slope)),
        steering(way_by=lambda slope: slope / tf.norm(slope, axis=(1, 2), keepdims=True)),
        steering(way_by=lambda slope: slope / tf.reduce_max(abs(slope))),
    ),
    mistake(
        "before",
        "`size` is measured from the images before the step, not from those at the beginning.",
        "How far can a pixel get in this way, with many steps?",
        steering(before=True),
    ),
    mistake(
        "training",
        "The network runs in training mode.",
        "With which argument do you call a network that is used, and not trained?",
        steering(training=True),
    ),
    mistake(
        "change",
        "It returns the change of the images, not the images.",
        "Which is asked for?",
        lambda network, images, *how: steer(network, images, *how) - images,
    ),
    mistake(
        "stops",
        "It stops as soon as all images are read as their targets.",
        "How many steps are asked for?",
        stopping,
    ),
    mistake(
        "one_step_more",
        "It takes one step too many.",
        "How often does the loop run?",
        steering(more=1),
    ),
    mistake(
        "one_step_less",
        "It takes one step too few.",
        "How often does the loop run?",
        steering(more=-1),
    ),
    mistake(
        "own_class",
        "The targets have no part in it: it follows the class that was read at first.",
        "Of which class does the loss fall in a step?",
        steering(uphill=True, loss="of what is read"),
        steering(loss="of what is read"),
    ),
    mistake(
        "softmaxed",
        "The outputs of the network are logits, and here they pass through two softmaxes.",
        "What does a cross entropy expect: logits, or chances?",
        steering(loss="softmaxed"),
    ),
    mistake(
        "logit",
        "It raises the logit of the target, and doesn't look at the others.",
        "What does the cross entropy depend on, beside the target's logit?",
        steering(loss="logit"),
    ),
    cases=lambda random: [
        draw_attack(random, (1, 2, 1), 0.25, 0.25, 1),
        draw_attack(random, (3, 4, 3), 0.3, 0.15, 4),
        draw_attack(random, (4, 3, 5), 0.1, 0.25, 2),
        draw_attack(random, (3, 3, 6), 0.6, 0.4, 4),
    ],
    question="Write down for one pixel: where it starts, where a step takes it, where it may be.",
    probe=judge_steering,
    inputs=("images", "targets", "size", "stride", "steps"),
    again=1,
)(steer)


# --- 10.6

ZERO = tf.UnconnectedGradients.ZERO


def products(loss: Callable, variables: list, vectors: list, by_block: bool = False) -> list:
    """Multiply the Hessian by vectors, or only its blocks on the diagonal."""
    found = []
    for group in [[i] for i in range(len(variables))] if by_block else [range(len(variables))]:
        some = [variables[i] for i in group]
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                value = loss()
            slopes = inner.gradient(value, some, unconnected_gradients=ZERO)
            along = tf.add_n([tf.reduce_sum(g * vectors[i]) for g, i in zip(slopes, group)])
        found += outer.gradient(along, some, unconnected_gradients=ZERO)
    return found


def dot(one: list, other: list) -> Any:
    """Multiply two lists of tensors."""
    return sum(tf.reduce_sum(a * b) for a, b in zip(one, other))


def trace_by(
    of_probe: Callable = lambda v, hv, g: dot(v, hv),
    by_block: bool = False,
    collect: Callable = np.mean,
) -> Callable:
    """Make an answer, right or with faults."""

    def answer(loss: Callable, variables: list, probes: list) -> Any:
        with tf.GradientTape() as tape:
            value = loss()
        slopes = tape.gradient(value, variables, unconnected_gradients=ZERO)
        found = [
            float(of_probe(v, products(loss, variables, v, by_block), slopes)) for v in probes
        ]
        return collect(found)

    return answer


def estimate_trace(loss: Callable, variables: list, probes: list) -> float:
    """Estimate the trace of the Hessian of a loss."""
    return trace_by()(loss, variables, probes)


def exact_trace(loss: Callable, variables: list, probes: list) -> float:
    """Return the trace of the Hessian, by a vector for each element."""
    total = 0.0
    for i, variable in enumerate(variables):
        for k in range(variable.shape.num_elements()):
            vector = [np.zeros(each.shape, "float32") for each in variables]
            vector[i].flat[k] = 1.0
            total += dot(vector, products(loss, variables, vector))
    return float(total)


LOSSES = [
    Named("loss = w0**2 * w1, w = [3, 2]", lambda w: w[0] ** 2 * w[1]),
    Named("loss = sum(a**3) * b + 4 * c", lambda a, b, c: tf.reduce_sum(a**3) * b + 4 * c),
    Named(
        "loss = mean(tanh(X W) v)**2 of a small network",
        lambda w, v: tf.reduce_mean(tf.tanh(tf.constant([[1.0, -0.5], [0.3, 2.0]]) @ w) @ v) ** 2,
    ),
]
SHAPES = {1: [(3,), (), ()], 2: [(2, 3), (3, 1)]}


def judge_trace(answer: Callable, loss: Named, values: list, probes: list) -> Any:
    """Make variables, and ask for the trace."""
    variables = [tf.Variable(value) for value in values]
    vectors = [[tf.constant(part) for part in probe] for probe in probes]
    trace = answer(lambda: loss(*variables), variables, vectors)
    if any(np.any(v.numpy() != value) for v, value in zip(variables, values)):
        raise NotRight(
            "changes_argument",
            "It changes the variables, which others may need.",
            "Which line assigns to something that was given?",
        )
    return trace


def draw_probes(random: Random, which: int, number: int) -> tuple:
    """Draw the values of variables, and vectors of signs."""
    shapes = SHAPES[which]
    values = [random.normal(0, 1, shape).astype("float32") for shape in shapes]
    probes = [
        [random.choice([-1.0, 1.0], shape).astype("float32") for shape in shapes]
        for _ in range(number)
    ]
    return LOSSES[which], values, probes


W = [np.array([3.0, 2.0], "float32")]

exercise(
    "10.6",
    "The trace of a Hessian",
    3,
    mistake(
        "sum",
        "The probes are added up, not averaged.",
        "How does the estimate change if each probe is given twice?",
        trace_by(collect=np.sum),
    ),
    mistake(
        "not_averaged",
        "It returns a number for each probe, not their mean.",
        "How many numbers are asked for?",
        trace_by(collect=np.array),
    ),
    mistake(
        "one_probe",
        "Only one probe counts.",
        "Does the loop go over all probes before it returns?",
        trace_by(collect=lambda found: found[0]),
        trace_by(collect=lambda found: found[-1]),
    ),
    mistake(
        "gradient",
        "This is a product with the gradient: no second derivative is in it.",
        "What is the gradient of (gradient times v)?",
        trace_by(lambda v, hv, g: dot(v, g)),
    ),
    mistake(
        "not_dotted",
        "The elements of the product H v are added up, without v.",
        "What is v times (H v)?",
        trace_by(lambda v, hv, g: dot([tf.ones_like(one) for one in v], hv)),
    ),
    mistake(
        "length",
        "This is the length of H v, or its square: the product with v is missing.",
        "What is v times (H v)?",
        trace_by(lambda v, hv, g: dot(hv, hv)),
        trace_by(lambda v, hv, g: dot(hv, hv) ** 0.5),
    ),
    mistake(
        "blocks",
        "Each variable is taken by itself: the mixed derivatives are missing.",
        "What does the gradient for one variable depend on?",
        trace_by(by_block=True),
    ),
    mistake(
        "exact",
        "This is the trace itself, whatever the probes are.",
        "Which Hessian can't be written down, and what do the probes give in its place?",
        exact_trace,
    ),
    mistake(
        "half",
        "It is half of what is asked for.",
        "Is there a half in v . (H v)?",
        trace_by(lambda v, hv, g: dot(v, hv) / 2),
    ),
    mistake(
        "per_element",
        "It is divided by the number of elements of v.",
        "Is a trace a sum or a mean?",
        trace_by(lambda v, hv, g: dot(v, hv) / dot(v, v)),
    ),
    mistake(
        "first_variable",
        "Only the first variable counts.",
        "Whose Hessian is it?",
        trace_by(lambda v, hv, g: dot(v[:1], hv[:1])),
        trace_by(lambda v, hv, g: dot(v[:1], hv[:1]), by_block=True),
    ),
    mistake(
        "sizes",
        "The products lose their signs before the mean is taken.",
        "May v . (H v) be negative?",
        trace_by(lambda v, hv, g: abs(dot(v, hv))),
    ),
    cases=lambda random: [
        (LOSSES[0], W, [[np.array([1.0, 1.0], "float32")]]),
        (LOSSES[0], W, [[np.array(v, "float32")] for v in ([1.0, -1.0], [1.0, 1.0])]),
        draw_probes(random, 1, 3),
        draw_probes(random, 2, 2),
    ],
    question="For one probe v: what is H v, and what is its product with v?",
    probe=judge_trace,
    inputs=("", "variables", "probes"),
    tolerance=1e-3,
    again=1,
)(estimate_trace)


# --- 10.7


predict(
    "10.7",
    "odds_of_gradients",
    2,
    a=(
        True,
        "The integrated gradients of an untrained network add up to the change of its "
        "output, too.",
    ),
    b=(
        False,
        "A penalty on the gradient with respect to 784 pixels makes a training step at least "
        "100 times the work.",
    ),
    c=(True, "Newton's steps on x^4 - x^2 lead from 0.1 to a maximum."),
    d=(False, "To differentiate a fixed point, all iterations that found it must be kept."),
    e=(
        False,
        "A network that withstands one large adversarial step withstands ten small ones as well.",
    ),
    f=(
        True,
        "Gradient descent with the rate 0.1, started near the minimum of a parabola of "
        "curvature 21, moves away from it.",
    ),
)
