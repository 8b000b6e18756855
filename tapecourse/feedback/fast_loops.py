"""The checks of the exercises of chapter 06."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import tensorflow as tf

from tapecourse.feedback.checking import Parts, letters, letters_seen, not_right
from tapecourse.feedback.core import NotRight, exercise, mistake
from tapecourse.feedback.predictions import predict

Random = np.random.Generator

# --- 6.1


def trace_counts() -> dict:
    """Return how often each program is traced."""
    return {"a": 2, "b": 3, "c": 1, "d": 2, "e": 1, "f": 3}


exercise(
    "6.1",
    "How many traces?",
    2,
    mistake(
        "calls",
        "Each call is taken for a trace.",
        "What does a call do whose signature has been seen before?",
        lambda: {"a": 6, "b": 4, "c": 4, "d": 4, "e": 2, "f": 4},
    ),
    mistake(
        "global",
        "All but that of the program with the global are right.",
        "How does TensorFlow learn that a global variable of Python has changed?",
        seen=lambda found, right: not_right(found, right) == ["the count of program 'e'"],
    ),
    mistake(
        "several",
        "Several counts are wrong.",
        "Write down the signature of each call: what is a tensor there, and what is Python?",
        seen=lambda found, right: len(not_right(found, right)) > 1,
    ),
    mistake(
        "one",
        "All counts but one are right.",
        "Write down the signature of each call: what is a tensor there, and what is Python?",
        seen=lambda found, right: len(not_right(found, right)) == 1,
    ),
    cases=lambda random: [()],
    probe=lambda answer: by_program(answer()),
    lettered="abcdef",
    secret=True,
    tolerance=1e-6,
)(trace_counts)


def by_program(value: Any) -> Any:
    """Name the entries of a dict by their programs."""
    if isinstance(value, dict):
        return {f"the count of program '{key}'": each for key, each in value.items()}
    return value


# --- 6.2

RUNS = "how often Python runs loss_of (2 are allowed)"


def run_training(answer: Callable, sizes: tuple, rates: tuple, start: list) -> dict:
    """Let an answer train; count how often Python runs the loss, and where."""
    weight = tf.Variable(tf.constant(start))
    in_graph = []

    def loss_of(weight: Any, x: Any, y: Any) -> tf.Tensor:
        in_graph.append(not tf.executing_eagerly())
        return tf.reduce_mean((tf.linalg.matvec(x, weight) - y) ** 2)

    random = np.random.default_rng(len(sizes))
    batches = [
        tuple(
            tf.constant(random.normal(0.5, 1, shape).astype("float32"))
            for shape in [(size, len(start)), (size,)]
        )
        for size in sizes
    ]
    losses = answer(weight, loss_of, batches, [float(rate) for rate in rates])
    if losses is None:
        raise NotRight("no_return", "It returns None.", "Does the function end in `return`?")
    if isinstance(losses, int | float) or getattr(losses, "shape", None) == ():
        raise NotRight("no_list", "It must return a list of losses, and returns one value.")
    values = np.asarray([number(loss) for loss in losses], "float64")
    return {
        "the list of losses": values,
        "the weight at the end": weight.numpy(),
        "whether the loss is computed in a graph": bool(in_graph) and all(in_graph),
        RUNS: max(2, len(in_graph)),
    }


def number(loss: Any) -> float:
    """Read a loss; one of a graph has no value."""
    try:
        return float(loss)
    except (TypeError, ValueError, NotImplementedError):
        if not tf.is_tensor(loss) or hasattr(loss, "numpy"):
            raise
    raise NotRight(
        "symbolic",
        "A loss that is returned is a tensor of a graph, which has no value.",
        "`append` in a compiled function runs while it is traced. What does a call return?",
    )


def train(weight: Any, loss_of: Callable, batches: list, rates: list) -> list:
    """Train a weight."""
    losses = []

    @tf.function(reduce_retracing=True)
    def step(x: tf.Tensor, y: tf.Tensor, rate: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = loss_of(weight, x, y)
        weight.assign_sub(rate * tape.gradient(loss, weight))
        return loss

    for (x, y), rate in zip(batches, rates):
        losses.append(step(x, y, tf.constant(rate)))
    return losses


def train_on(how: Callable, late: bool = False) -> Callable:
    """Make an answer that trains eagerly, with a rate or losses that may be wrong."""

    def answer(weight: Any, loss_of: Callable, batches: list, rates: list) -> list:
        losses = []
        for (x, y), rate in zip(batches, rates):
            with tf.GradientTape() as tape:
                loss = loss_of(weight, x, y)
            weight.assign_sub(how(rate, rates) * tape.gradient(loss, weight))
            losses.append(loss_of(weight, x, y) if late else loss)
        return losses

    return answer


TRAININGS = [
    ((4, 4, 3, 4, 2, 5), (0.1, 0.2, 0.3, 0.1, 0.1, 0.3), [1.0, -2.0]),
    ((2, 6, 2, 3, 6), (0.3, 0.1, 0.3, 0.2, 0.1), [0.5, 1.5, -1.0]),
]


def runs_as(count: Callable) -> Callable:
    """Make what a `Mistake` has `seen`: all is right, but Python runs the loss so often."""

    def seen(found: list[Parts], right: list[Parts]) -> bool:
        numbers_right = all(
            np.allclose(a[name], b[name], rtol=1e-3, atol=1e-5)
            for a, b in zip(found, right)
            for name in list(b)[:3]
        )
        counts = [count(sizes, rates) for sizes, rates, _ in TRAININGS]
        return numbers_right and [int(each[RUNS]) for each in found] == counts

    return seen


exercise(
    "6.2",
    "Traced again and again",
    3,
    mistake(
        "made_anew",
        "Python runs `loss_of` in each step.",
        "How many compiled functions are made in a run, and is a call of one a single step?",
        seen=runs_as(lambda sizes, rates: len(sizes)),
    ),
    mistake(
        "rates",
        "Python runs `loss_of` once more for each new rate.",
        "What is the rate to the compiled function: a number of Python, or a tensor?",
        seen=runs_as(lambda sizes, rates: len(set(rates))),
    ),
    mistake(
        "sizes",
        "Python runs `loss_of` once more for each new batch size.",
        "How does one tell tf.function that the number of examples may be any?",
        seen=runs_as(lambda sizes, rates: len(set(sizes))),
    ),
    mistake(
        "rates_and_sizes",
        "Python runs `loss_of` once more for each new pair of a rate and a batch size.",
        "Which arguments of the compiled function are numbers of Python, and which shapes differ?",
        seen=runs_as(lambda sizes, rates: len(set(zip(sizes, rates)))),
    ),
    mistake(
        "first_rate",
        "Every step is made with the first rate.",
        "When does Python look up a variable that a compiled function only reads?",
        seen=lambda found, right: weights_as(found, lambda rate, rates: rates[0]),
    ),
    mistake(
        "late_loss",
        "The losses that are returned were measured after the steps.",
        "Which loss does the tape differentiate?",
        seen=lambda found, right: weights_as(found, lambda rate, rates: rate, late=True),
    ),
    mistake(
        "eager",
        "The numbers are right, but in each step `loss_of` runs eagerly, outside a graph.",
        "Is each call of `loss_of` inside a compiled function?",
        seen=lambda found, right: (
            not any(each["whether the loss is computed in a graph"] for each in found)
            and weights_as(found, lambda rate, rates: rate)
        ),
    ),
    mistake(
        "not_trained",
        "The weight that was given is at the end as it was at the start.",
        "Which variable does a step change, and by what?",
        seen=lambda found, right: all(
            np.allclose(each["the weight at the end"], start)
            for each, (*_, start) in zip(found, TRAININGS)
        ),
    ),
    mistake(
        "uphill",
        "The weight moves uphill.",
        "What is the sign of the step?",
        seen=lambda found, right: weights_as(found, lambda rate, rates: -rate),
    ),
    cases=lambda random: TRAININGS,
    question="What is made once, what comes as an argument, and of which type is each argument?",
    probe=run_training,
    tolerance=1e-3,
    again=0,
    inputs=("the batch sizes", "rates", "the weight at the start"),
)(train)


def weights_as(found: list[Parts], how: Callable, late: bool = False) -> bool:
    """Tell whether the losses and weights are those of an eager training."""
    return all(
        np.allclose(each[name], other[name], rtol=1e-3, atol=1e-5)
        for each, case in zip(found, TRAININGS)
        for other in [run_training(train_on(how, late), *case)]
        for name in list(other)[:2]
    )


# --- 6.3


def batch_at_ridge(
    factor: float = 2,
    kernel: bool = True,
    bytes_each: Callable = lambda size: size,
    inputs_move: bool = True,
    outputs_move: bool = True,
    whole: Callable = math.ceil,
    without_limit: Callable = lambda batch: math.inf,
) -> Callable:
    """Make an answer, right or with faults."""

    def answer(inputs: int, units: int, size: int, ridge: float) -> float:
        moved = bytes_each(size) * ridge
        for_each = factor * inputs * units - moved * (inputs * inputs_move + units * outputs_move)
        at_once = moved * inputs * units * kernel
        if for_each <= 0:
            return without_limit(math.floor(at_once / for_each) if for_each else math.inf)
        return max(1, whole(at_once / for_each))

    return answer


def smallest_batch(inputs: int, units: int, size: int, ridge: float) -> float:
    """Return the smallest batch that is limited by arithmetic."""
    return batch_at_ridge()(inputs, units, size, ridge)


exercise(
    "6.3",
    "On which side of the ridge?",
    3,
    mistake(
        "multiplications_only",
        "It counts the multiplications, and no additions.",
        "How many operations does a sum of products take?",
        batch_at_ridge(factor=1),
    ),
    mistake(
        "no_kernel",
        "It leaves out that the kernel is read.",
        "Which three arrays move?",
        batch_at_ridge(kernel=False),
    ),
    mistake(
        "numbers",
        "It counts numbers, not bytes.",
        "What is `size` for?",
        batch_at_ridge(bytes_each=lambda size: 1),
    ),
    mistake(
        "four_bytes",
        "It takes every number to have four bytes.",
        "What is `size` for?",
        batch_at_ridge(bytes_each=lambda size: 4),
    ),
    mistake(
        "kernel_only",
        "It leaves out the inputs and the outputs.",
        "Which three arrays move?",
        batch_at_ridge(inputs_move=False, outputs_move=False),
    ),
    mistake(
        "no_outputs",
        "It leaves out that the outputs are written.",
        "Which three arrays move?",
        batch_at_ridge(outputs_move=False),
    ),
    mistake(
        "no_inputs",
        "It leaves out that the inputs are read.",
        "Which three arrays move?",
        batch_at_ridge(inputs_move=False),
    ),
    mistake(
        "rounded_down",
        "It is rounded down: that batch is still too small.",
        "If 42.7 examples are needed, are 42 enough?",
        batch_at_ridge(whole=math.floor),
    ),
    mistake(
        "rounded",
        "It is rounded to the nearest whole number: where that is below, the batch is too small.",
        "If 42.3 examples are needed, are 42 enough?",
        batch_at_ridge(whole=round),
    ),
    mistake(
        "next_one",
        "Where a batch has exactly as many operations for a byte as asked, it takes the next one.",
        "Must there be more than `ridge` of them, or at least as many?",
        batch_at_ridge(whole=lambda batch: math.floor(batch) + 1),
    ),
    mistake(
        "gives_up",
        "It gives inf where there is a batch: close to the ridge it is large.",
        "How far must one search? Can the batch be computed?",
        seen=lambda found, right: (
            all(a["the answer"] in (b["the answer"], math.inf) for a, b in zip(found, right))
            and not all(np.isinf(each["the answer"]) for each in found)
        ),
    ),
    mistake(
        "not_whole",
        "It isn't a whole number.",
        "If 42.7 examples are needed, how large is the smallest batch?",
        batch_at_ridge(whole=lambda batch: batch),
    ),
    mistake(
        "no_limit",
        "Where every batch is too small, it still gives a number.",
        "To which value does the intensity tend as the batch grows?",
        batch_at_ridge(without_limit=lambda batch: batch),
        batch_at_ridge(without_limit=lambda batch: batch + 1),
        batch_at_ridge(without_limit=lambda batch: 1),
        batch_at_ridge(without_limit=lambda batch: 0),
    ),
    cases=lambda random: [
        (256, 256, 4, 16),
        (64, 64, 4, 16),  # at most 16 in the limit: no batch
        (24, 16, 4, 16),
        (1000, 10, 2, 8.5),
        (784, 128, 2, 40),
        (128, 128, 4, 16),  # exactly at the ridge
        (257, 259, 4, 64),  # close to it
        *[draw_layer(random) for _ in range(4)],
    ],
    question="Count the operations and the bytes for a batch of n. When is their ratio the ridge?",
    tolerance=1e-9,
)(smallest_batch)


def draw_layer(random: Random) -> tuple:
    """Draw a layer with a batch that isn't whole at the ridge, or none."""
    inputs, units = (int(n) for n in random.integers(20, 600, 2))
    return inputs, units, int(random.choice([2, 4, 8])), float(random.integers(10, 40)) + 0.37


# --- 6.4


def fusing(
    alone: Callable | None = None,
    together: Callable | None = None,
    cost: Callable = lambda ridge: 1 / ridge,
    slower: Callable = max,
    size: int = 4,
    combine: Callable = lambda apart, fused: apart / fused,
) -> Callable:
    """Make an answer, right or with faults; `alone` and `together` count the arrays that move."""

    def answer(reads: list, ridge: float) -> float:
        def seconds(operations: int, arrays: int) -> float:
            return slower(operations * cost(ridge), size * arrays)

        moved = [number + (i > 0) + 1 for i, number in enumerate(reads)]
        moved = alone(reads) if alone else moved
        fused = together(reads) if together else sum(reads) + 1
        return combine(sum(seconds(1, each) for each in moved), seconds(len(reads), fused))

    return answer


def fusing_gain(reads: list, ridge: float) -> float:
    """Return how many times as fast the fused chain is."""
    return fusing()(reads, ridge)


exercise(
    "6.4",
    "What fusing saves",
    2,
    mistake(
        "no_limit",
        "It counts bytes only: the fused operation takes less time than its arithmetic needs.",
        "How many operations does the fused one make, and how long do they take?",
        fusing(cost=lambda ridge: 0),
    ),
    mistake(
        "one_operation",
        "It lets the fused operation make one calculation for each element.",
        "How many calculations of the chain are left when it is fused?",
        lambda reads, ridge: (
            sum(max(1 / ridge, 4 * (n + (i > 0) + 1)) for i, n in enumerate(reads))
            / max(1 / ridge, 4 * (sum(reads) + 1))
        ),
    ),
    mistake(
        "longer_of_sums",
        "It adds up all bytes apart, and all calculations, and takes the longer of the two sums.",
        "If one operation waits for bytes, and the next for arithmetic, how long do both take?",
        lambda reads, ridge: (
            max(len(reads) / ridge, 4 * (sum(reads) + 2 * len(reads) - 1))
            / max(len(reads) / ridge, 4 * (sum(reads) + 1))
        ),
    ),
    mistake(
        "added",
        "It adds the time of the bytes and the time of the calculations.",
        "Both go on at once: which of them decides?",
        fusing(slower=lambda *both: sum(both)),
    ),
    mistake(
        "one_byte",
        "It counts a byte for each number.",
        "How many bytes does a number in float32 take?",
        fusing(size=1),
    ),
    mistake(
        "ridge_upside_down",
        "It lets one calculation take as long as `ridge` bytes.",
        "How many calculations does the machine do in the time of one byte?",
        fusing(cost=lambda ridge: ridge),
    ),
    mistake(
        "first_reads_result",
        "It lets even the first operation read what one before it has written.",
        "Which operation comes before the first?",
        fusing(lambda r: [n + 2 for n in r]),
    ),
    mistake(
        "fused_writes_all",
        "It lets the fused operation write every result.",
        "Where do the results in between stay?",
        fusing(together=lambda r: sum(r) + len(r)),
    ),
    mistake(
        "operations",
        "It counts operations, not bytes.",
        "Which arrays does each operation read, and which does it write?",
        lambda reads, ridge: float(len(reads)),
    ),
    mistake(
        "no_writing",
        "It leaves out what is written.",
        "How many arrays does each operation write?",
        fusing(lambda r: [n + (i > 0) for i, n in enumerate(r)], sum),
    ),
    mistake(
        "no_results_read",
        "It leaves out that an operation reads what the one before has written.",
        "Where does the second operation get its input from?",
        fusing(lambda r: [n + 1 for n in r]),
    ),
    mistake(
        "two_a_piece",
        "It lets every operation read one array and write one.",
        "What is `reads` for?",
        fusing(lambda r: [2 for _ in r], lambda r: 2),
    ),
    mistake(
        "fused_reads_one",
        "It lets the fused operation read no more from outside than the first one does.",
        "Does fusing spare what comes from outside?",
        fusing(together=lambda r: 2),
        fusing(together=lambda r: r[0] + 1),
    ),
    mistake(
        "upside_down",
        "This is the time that is left, not the gain.",
        "Is a gain of 2 twice as fast or twice as slow?",
        fusing(combine=lambda apart, fused: fused / apart),
    ),
    mistake(
        "share_saved",
        "This is the share of the time that is saved.",
        "If half of the time is saved, how many times as fast is it?",
        fusing(combine=lambda apart, fused: 1 - fused / apart),
    ),
    cases=lambda random: (
        [([2, 1], 10.0), ([1, 0, 0], 10.0), ([1] + [0] * 19, 1.0), ([1], 0.1), ([1, 6, 0], 0.05)]
        + [
            (list(map(int, [1 + random.integers(0, 2), *random.integers(0, 3, n)])), ridge)
            for n, ridge in [(2, 5.5), (4, 0.15), (6, 0.22), (7, 8.0)]
        ]
    ),
    question="For each operation: which arrays move, and which takes longer, bytes or arithmetic?",
)(fusing_gain)


# --- 6.5


def limited_by_memory() -> set:
    """Return the letters of what a wider memory would speed up."""
    return set("bcf")


exercise(
    "6.5",
    "Read a profile",
    2,
    mistake(
        "intensity_only",
        "It names all operations of low intensity, also those that are far from the roof.",
        "Which of these take more than twice what their bytes need?",
        lambda: set("bcdefh"),
    ),
    mistake(
        "most_bytes",
        "It names the operation that moves the most bytes.",
        "How long does its arithmetic take?",
        seen=letters_seen(lambda found: "g" in found),
    ),
    mistake(
        "slowest",
        "It names an operation that is limited by arithmetic.",
        "How long do its bytes take, and how long its arithmetic?",
        seen=letters_seen(lambda found: "a" in found),
    ),
    mistake(
        "far_from_roof",
        "It names an operation that takes more than twice what the roof allows.",
        "If its bytes took no time at all, would it be much faster?",
        seen=letters_seen(lambda found: set("deh") & found),
    ),
    mistake(
        "none",
        "No letter is given.",
        "How long does the fused normalization take, and how long do its bytes and arithmetic?",
        seen=letters_seen(lambda found: not found),
    ),
    mistake(
        "missing",
        "All those that it names are right; some are missing.",
        "For each one left: what do its bytes take, what its arithmetic, and what did it take?",
        seen=letters_seen(lambda found: found < set("bcf")),
    ),
    cases=lambda random: [()],
    probe=letters("abcdefgh"),
    lettered="abcdefgh",
    secret=True,
)(limited_by_memory)


# --- 6.6

EPOCHS = 2
MANY = 150  # images of a case in which a buffer of 100 is too small
AHEAD = 100  # places; of all orders of so many, one in 61,000 brings no image so far ahead
ANOTHER_ORDER = "whether the order is another one in each epoch"
LONG_BEFORE = "whether an image can come long before its old place"


def feed(answer: Callable, images: int, batch_size: int) -> dict:
    """Look at a pipeline, with a seed; without one if it brings the same order again.

    With a seed, `tf.random.shuffle` inside a dataset begins anew in each epoch.
    """
    tf.random.set_seed(18)
    seen = feed_once(answer, images, batch_size)
    if not seen[ANOTHER_ORDER]:
        no_seed: Any = None  # which TensorFlow takes, and its type hints don't
        tf.random.set_seed(no_seed)
        try:
            seen = feed_once(answer, images, batch_size)
        finally:
            tf.random.set_seed(18)
    return seen


def feed_once(answer: Callable, images: int, batch_size: int) -> dict:
    """Let an answer build a pipeline, go through it twice, and look at what comes and when."""
    calls, single = {"decode": 0, "augment": 0}, []

    def count(kind: str, result: Callable) -> Callable:
        def counted(value: Any) -> np.ndarray:
            calls[kind] += 1
            return np.asarray(result(value), "float32")

        def function(value: Any) -> tf.Tensor:
            shape = tf.TensorShape(value.shape)
            if kind == "augment":
                single.append(shape.rank == 1)
            found: Any = tf.numpy_function(counted, [value], tf.float32)
            found.set_shape(shape if shape.rank == 2 else [2])
            return found

        return function

    decode = count("decode", lambda name: [int(name), 0])
    augment = count("augment", lambda image: image + (0, calls["augment"]))
    names = np.array([str(i) for i in range(images)])
    dataset = answer(names, 10 * np.arange(images), decode, augment, batch_size)
    if not isinstance(dataset, tf.data.Dataset):
        key, kind = ("no_return", "None") if dataset is None else ("no_data", type(dataset))
        kind = getattr(kind, "__name__", kind)
        raise NotRight(key, f"It must return a tf.data.Dataset, not {kind}.")
    spec: Any = dataset.element_spec
    ranks = [each.shape.rank for each in spec] if isinstance(spec, tuple) else []
    if len(ranks) != 2 or None not in ranks and ranks[0] <= ranks[1]:
        raise NotRight("no_pairs", "A batch must be a pair: images, labels, in this order.")
    ahead = AHEAD if images == MANY else batch_size
    epochs = []
    for _ in range(EPOCHS):
        epochs.append([(np.asarray(x), np.asarray(y)) for x, y in dataset.take(3 * images)])
    sizes = [np.size(labels) for _, labels in epochs[-1]] or [0]
    orders = [np.concatenate([y.ravel() // 10 for _, y in e] or [[]]) for e in epochs]
    return {
        "whether `augment` gets single images": all(single),
        "the number of batches in an epoch": len(sizes),
        "the size of the largest batch": max(sizes),
        "the size of the smallest batch": min(sizes),
        f"the number of decodings in {EPOCHS} epochs": calls["decode"],
        f"the number of augmentations in {EPOCHS} epochs": calls["augment"],
        "whether each image has its label": all(
            np.array_equal(10 * x[..., 0], y) for batches in epochs for x, y in batches
        ),
        "whether each image comes once an epoch, augmented": all(
            is_whole(batches, images) for batches in epochs
        ),
        ANOTHER_ORDER: differ([np.arange(images), *orders]),
        LONG_BEFORE: any(np.any(order >= np.arange(len(order)) + ahead) for order in orders),
        "whether other images make up a batch in each epoch": differ(
            [sorted(tuple(np.sort(y.ravel())) for _, y in batches) for batches in epochs]
        ),
        "whether neighbours come apart": any(
            np.sum(np.diff(order) == 1) < images / 2 for order in orders
        ),
        "whether the next batch is prepared ahead": is_prefetched(dataset),
    }


def is_whole(batches: list, images: int) -> bool:
    """Tell whether all images are there, each augmented."""
    if not all(np.shape(x) == (*np.shape(y), 2) for x, y in batches):
        return False
    pixels = np.concatenate([x.reshape(-1, 2) for x, _ in batches])
    return np.array_equal(np.sort(pixels[:, 0]), np.arange(images)) and bool(
        np.all(pixels[:, 1] > 0)
    )


def differ(orders: list) -> bool:
    """Tell whether no two are the same."""
    return len({tuple(each) for each in orders}) == len(orders)


def is_prefetched(dataset: Any) -> bool:
    """Tell whether a pipeline ends in prefetch, options aside."""
    while type(dataset).__name__ in ("_OptionsDataset", "_ModelDataset"):
        [dataset] = dataset._inputs()
    return "Prefetch" in type(dataset).__name__ and int(dataset._buffer_size) != 0


def make_pipeline(
    names: np.ndarray, labels: np.ndarray, decode: Callable, augment: Callable, batch_size: int
) -> tf.data.Dataset:
    """Make a pipeline."""
    data = tf.data.Dataset.from_tensor_slices((names, labels))
    data = data.map(lambda name, label: (decode(name), label)).cache().shuffle(len(names))
    data = data.map(lambda image, label: (augment(image), label))
    return data.batch(batch_size).prefetch(1)


def part_is(start: str, value: Callable) -> Callable:
    """Make what a `Mistake` has `seen`: a part is this in every case, given what is right."""

    def seen(found: list[Parts], right: list[Parts]) -> bool:
        [name] = [each for each in right[0] if each.startswith(start)]
        return all(
            a[name] != b[name] and np.array_equal(a[name], value(b[name]))
            for a, b in zip(found, right)
        )

    return seen


def more_batches(found: list[Parts], right: list[Parts]) -> bool:
    """Tell whether an epoch has more batches, as large as they should be."""
    return all(
        a["the number of batches in an epoch"] > b["the number of batches in an epoch"]
        and a["the size of the largest batch"] == b["the size of the largest batch"]
        for a, b in zip(found, right)
    )


exercise(
    "6.6",
    "A starved pipeline",
    3,
    mistake(
        "batch_augmented",
        "`augment` is given a whole batch; it is written for a single image.",
        "Which is applied first, `batch` or the map with `augment`?",
        seen=part_is("whether `aug", np.logical_not),
    ),
    mistake(
        "no_batches",
        "The images come one by one, not in batches.",
        "Which stage makes batches?",
        seen=part_is("the size of the largest", lambda right: 1),
    ),
    mistake(
        "left_out",
        "The last, smaller batch is missing.",
        "What does `drop_remainder` do?",
        seen=part_is("the number of batches", lambda right: right - 1),
    ),
    mistake(
        "repeated",
        "An epoch has too many batches: the images come more than once.",
        "What does `repeat` do? Who counts the epochs?",
        seen=more_batches,
    ),
    mistake(
        "not_augmented",
        "No image is augmented.",
        "Which stage calls `augment`?",
        seen=part_is("the number of aug", lambda right: 0),
    ),
    mistake(
        "other_labels",
        "An image comes with the label of another one.",
        "Are images and labels shuffled together?",
        seen=part_is("whether each image has", np.logical_not),
    ),
    mistake(
        "frozen_augmentation",
        "Each image is augmented in the first epoch only; later epochs get the same copy.",
        "What does `cache` keep: what stands before it, or what stands after it?",
        seen=part_is("the number of aug", lambda right: right / EPOCHS),
    ),
    mistake(
        "decoded_again",
        "Each image is decoded in every epoch.",
        "Which stage can keep what is the same in each epoch?",
        seen=part_is("the number of dec", lambda right: EPOCHS * right),
    ),
    mistake(
        "same_order",
        "The order isn't drawn anew in each epoch.",
        "Where does `shuffle` stand, and what comes after it?",
        seen=part_is("whether the order", np.logical_not),
    ),
    mistake(
        "small_buffer",
        "An image never comes long before its old place: `shuffle` looks at a few at a time.",
        "How many images must its buffer hold, so that any of them may come first?",
        seen=lambda found, right: (
            part_is("whether an image can", np.logical_not)(found, right)
            and not part_is("whether other images", np.logical_not)(found, right)
        ),
    ),
    mistake(
        "fixed_buffer",
        f"Of {MANY} images, none comes {AHEAD} places or more before its old one: the "
        "buffer of `shuffle` is too small.",
        "How many images must its buffer hold, so that any of them may come first?",
        seen=lambda found, right: (
            not found[-1][LONG_BEFORE]
            and not part_is("whether other images", np.logical_not)(found, right)
        ),
    ),
    mistake(
        "whole_batches",
        "Batches are shuffled, not images: the same images meet in each epoch.",
        "Which is applied first, `shuffle` or `batch`?",
        seen=lambda found, right: (
            part_is("whether other images", np.logical_not)(found, right)
            or part_is("whether neighbours", np.logical_not)(found, right)
        ),
    ),
    mistake(
        "not_ahead",
        "No batch is prepared while the step works.",
        "Which stage prepares the next element, and of what should it be an element?",
        seen=part_is("whether the next", np.logical_not),
    ),
    cases=lambda random: [(13, 4), (int(random.integers(16, 20)), 6), (MANY, 8)],
    question="Go through the stages in their order: what is kept, what is drawn anew?",
    probe=feed,
    again=0,
    inputs=("the number of images", "batch_size"),
)(make_pipeline)


# --- 6.7


predict(
    "6.7",
    "odds_of_speed",
    2,
    a=(True, "The intensity of a product of square matrices doubles with their side."),
    b=(False, "The intensity of an addition of two arrays doubles with their length."),
    c=(False, "With half the batch size, a dense layer moves half as many bytes."),
    d=(True, "In bfloat16 a product of matrices moves half as many bytes as in float32."),
    e=(False, "print in a compiled function prints in each call."),
    f=(
        True,
        "With an input signature [None, 4], batches of 64, 32 and 16 share a trace.",
    ),
)
