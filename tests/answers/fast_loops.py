"""Answers to the exercises of chapter 06."""

import math
from fractions import Fraction

import numpy as np
from answers import right, with_odds, wrong

import tensorflow as tf

# 6.1: how many traces?

COUNTS = {"a": 2, "b": 3, "c": 1, "d": 2, "e": 1, "f": 3}


@right("6.1")
def counts_as_a_dict():
    return dict(COUNTS)


@right("6.1")
def counts_as_an_array():
    return dict(zip("abcdef", np.array([2, 3, 1, 2, 1, 3])))


wrong("6.1", "calls")(lambda: {"a": 6, "b": 4, "c": 4, "d": 4, "e": 2, "f": 4})
wrong("6.1", "global")(lambda: COUNTS | {"e": 2})
wrong("6.1", "several")(lambda: COUNTS | {"e": 2, "c": 4})
wrong("6.1", "one")(lambda: COUNTS | {"b": 4})
wrong("6.1", "missing")(lambda: {"a": 2, "b": 3})
wrong("6.1", "no_dict")(lambda: [2, 3, 1, 2, 1, 3])


# 6.2: traced again and again


@right("6.2")
def with_a_signature(weight, loss_of, batches, rates):
    features = tf.TensorSpec([None, weight.shape[0]])

    @tf.function(input_signature=[features, tf.TensorSpec([None]), tf.TensorSpec([])])
    def step(x, y, rate):
        with tf.GradientTape() as tape:
            loss = loss_of(weight, x, y)
        weight.assign_sub(rate * tape.gradient(loss, weight))
        return loss

    return [float(step(x, y, rate)) for (x, y), rate in zip(batches, rates)]


@right("6.2")
def the_rate_in_a_variable(weight, loss_of, batches, rates):
    rate = tf.Variable(0.0)

    def step(x, y):
        with tf.GradientTape() as tape:
            loss = loss_of(weight, x, y)
        weight.assign_sub(rate * tape.gradient(loss, weight))
        return loss

    step, losses = tf.function(step, reduce_retracing=True), []
    for (x, y), number in zip(batches, rates):
        rate.assign(number)
        losses.append(step(x, y).numpy())
    return np.array(losses)


@right("6.2")
def the_gradient_compiled(weight, loss_of, batches, rates):
    @tf.function(reduce_retracing=True)
    def loss_and_gradient(x, y):
        with tf.GradientTape() as tape:
            loss = loss_of(weight, x, y)
        return loss, tape.gradient(loss, weight)

    losses = []
    for (x, y), rate in zip(batches, rates):
        loss, gradient = loss_and_gradient(x, y)
        weight.assign_sub(rate * gradient)
        losses.append(loss)
    return losses


def trains_with(convert=tf.constant, anew=False, first=False, sign=1.0, **options):
    """Make an answer with a compiled step that takes a rate."""

    def train(weight, loss_of, batches, rates):
        def step(x, y, rate):
            with tf.GradientTape() as tape:
                loss = loss_of(weight, x, y)
            weight.assign_sub(sign * rate * tape.gradient(loss, weight))
            return loss

        compiled = tf.function(step, **options)
        losses = []
        for (x, y), rate in zip(batches, rates):
            compiled = tf.function(step, **options) if anew else compiled
            losses.append(compiled(x, y, convert(rates[0] if first else rate)))
        return losses

    return train


wrong("6.2", "made_anew")(trains_with(anew=True))
wrong("6.2", "made_anew")(trains_with(anew=True, convert=float, reduce_retracing=True))
wrong("6.2", "sizes")(trains_with())
wrong("6.2", "rates_and_sizes")(trains_with(convert=float))
wrong("6.2", "first_rate")(trains_with(first=True, reduce_retracing=True))
wrong("6.2", "uphill")(trains_with(sign=-1.0, reduce_retracing=True))
wrong("6.2", "not_trained")(
    lambda weight, loss_of, batches, rates: with_a_signature(
        tf.Variable(weight), loss_of, batches, rates
    )
)
wrong("6.2", "no_list")(lambda *run: with_a_signature(*run)[-1])


@wrong("6.2", "eager")
def losses_apart(weight, loss_of, batches, rates):
    @tf.function(reduce_retracing=True)
    def step(x, y, rate):
        with tf.GradientTape() as tape:
            loss = loss_of(weight, x, y)
        weight.assign_sub(rate * tape.gradient(loss, weight))

    losses = []
    for (x, y), rate in zip(batches, rates):
        losses.append(float(loss_of(weight, x, y)))
        step(x, y, tf.constant(rate))
    return losses


@wrong("6.2", "rates")
def rates_from_python(weight, loss_of, batches, rates):
    signature = [tf.TensorSpec([None, weight.shape[0]]), tf.TensorSpec([None])]
    steps, losses = {}, []
    for (x, y), rate in zip(batches, rates):
        if rate not in steps:

            def step(x, y, rate=rate):
                with tf.GradientTape() as tape:
                    loss = loss_of(weight, x, y)
                weight.assign_sub(rate * tape.gradient(loss, weight))
                return loss

            steps[rate] = tf.function(step, input_signature=signature)
        losses.append(steps[rate](x, y))
    return losses


@wrong("6.2", "eager")
def without_a_graph(weight, loss_of, batches, rates):
    losses = []
    for (x, y), rate in zip(batches, rates):
        with tf.GradientTape() as tape:
            losses.append(loss_of(weight, x, y))
        weight.assign_sub(rate * tape.gradient(losses[-1], weight))
    return losses


@wrong("6.2", "symbolic")
def as_given(weight, loss_of, batches, rates):
    losses = []
    for (x, y), rate in zip(batches, rates):

        @tf.function
        def step(x, y, rate):
            with tf.GradientTape() as tape:
                loss = loss_of(weight, x, y)
            weight.assign_sub(rate * tape.gradient(loss, weight))
            losses.append(loss)

        step(x, y, rate)
    return losses


@wrong("6.2", "counterexample")
def another_loss(weight, loss_of, batches, rates):
    @tf.function(reduce_retracing=True)
    def step(x, y, rate):
        with tf.GradientTape() as tape:
            loss = loss_of(weight, x, y)
        weight.assign_sub(rate * tape.gradient(loss, weight))
        return loss - rate

    return [step(x, y, tf.constant(rate)) for (x, y), rate in zip(batches, rates)]


@wrong("6.2", "late_loss")
def losses_after_the_steps(weight, loss_of, batches, rates):
    @tf.function(reduce_retracing=True)
    def step(x, y, rate):
        with tf.GradientTape() as tape:
            loss = loss_of(weight, x, y)
        weight.assign_sub(rate * tape.gradient(loss, weight))
        return loss_of(weight, x, y)

    return [step(x, y, tf.constant(rate)) for (x, y), rate in zip(batches, rates)]


@wrong("6.2", "no_return")
def trains_only(weight, loss_of, batches, rates):
    with_a_signature(weight, loss_of, batches, rates)


# 6.3: on which side of the ridge?


@right("6.3")
def by_a_fraction(inputs, units, size, ridge):
    numbers = Fraction(ridge) * size
    gain = 2 * inputs * units - numbers * (inputs + units)
    return max(1, math.ceil(numbers * inputs * units / gain)) if gain > 0 else math.inf


@right("6.3")
def by_trying(inputs, units, size, ridge):
    for n in range(1, 20_000):
        numbers = n * inputs + inputs * units + n * units
        if 2 * n * inputs * units >= ridge * size * numbers:
            return n
    return float("inf")


def solved_for(equation, round_up=math.ceil, never=math.inf):
    """Make an answer of (gain of an example, bytes at once), each in operations."""

    def answer(inputs, units, size, ridge):
        gain, once = equation(inputs, units, size, ridge)
        return max(1, round_up(once / gain)) if gain > 0 else never

    return answer


wrong("6.3", "multiplications_only")(
    solved_for(lambda m, k, s, r: (m * k - r * s * (m + k), r * s * m * k))
)
wrong("6.3", "no_kernel")(solved_for(lambda m, k, s, r: (2 * m * k - r * s * (m + k), 0)))
wrong("6.3", "numbers")(solved_for(lambda m, k, s, r: (2 * m * k - r * (m + k), r * m * k)))
wrong("6.3", "four_bytes")(
    solved_for(lambda m, k, s, r: (2 * m * k - 4 * r * (m + k), 4 * r * m * k))
)
wrong("6.3", "kernel_only")(solved_for(lambda m, k, s, r: (2 * m * k, r * s * m * k)))
wrong("6.3", "no_outputs")(solved_for(lambda m, k, s, r: (2 * m * k - r * s * m, r * s * m * k)))
wrong("6.3", "no_inputs")(solved_for(lambda m, k, s, r: (2 * m * k - r * s * k, r * s * m * k)))
WHOLE = lambda m, k, s, r: (2 * m * k - r * s * (m + k), r * s * m * k)  # noqa: E731
wrong("6.3", "rounded_down")(solved_for(WHOLE, round_up=int))
wrong("6.3", "rounded")(solved_for(WHOLE, round_up=round))
wrong("6.3", "next_one")(solved_for(WHOLE, round_up=lambda n: int(n) + 1))


@wrong("6.3", "gives_up")
def up_to_ten_thousand(inputs, units, size, ridge):
    batch = by_trying(inputs, units, size, ridge)
    return batch if batch < 10_000 else math.inf


wrong("6.3", "not_whole")(solved_for(WHOLE, round_up=float))
wrong("6.3", "no_limit")(solved_for(WHOLE, never=0))
wrong("6.3", "counterexample")(solved_for(WHOLE, round_up=lambda n: math.ceil(n) + 1))
wrong("6.3", "constant")(lambda inputs, units, size, ridge: 64)


# 6.4: what fusing saves


@right("6.4")
def in_a_loop(reads, ridge):
    apart = 0
    for i, outside in enumerate(reads):
        arrays = outside + 1 if i == 0 else outside + 2
        apart += max(1 / ridge, 4 * arrays)
    return apart / max(len(reads) / ridge, 4 * (sum(reads) + 1))


@right("6.4")
def in_arrays(reads, ridge):
    moved = 4 * (np.array(reads) + 2)
    moved[0] -= 4
    fused = 4 + 4 * np.sum(reads)
    return np.maximum(moved, 1 / ridge).sum() / np.maximum(fused, len(reads) / ridge)


wrong("6.4", "no_limit")(lambda reads, ridge: (sum(reads) + 2 * len(reads) - 1) / (sum(reads) + 1))
wrong("6.4", "operations")(lambda reads, ridge: len(reads))
wrong("6.4", "no_writing")(
    lambda reads, ridge: (
        sum(max(1 / ridge, 4 * (n + (i > 0))) for i, n in enumerate(reads))
        / max(len(reads) / ridge, 4 * sum(reads))
    )
)
wrong("6.4", "no_results_read")(
    lambda reads, ridge: (
        sum(max(1 / ridge, 4 * (n + 1)) for n in reads)
        / max(len(reads) / ridge, 4 * (sum(reads) + 1))
    )
)
wrong("6.4", "two_a_piece")(
    lambda reads, ridge: len(reads) * max(1 / ridge, 8) / max(len(reads) / ridge, 8)
)
wrong("6.4", "fused_reads_one")(
    lambda reads, ridge: (
        sum(max(1 / ridge, 4 * (n + 1 + (i > 0))) for i, n in enumerate(reads))
        / max(len(reads) / ridge, 8)
    )
)
wrong("6.4", "one_operation")(
    lambda reads, ridge: (
        in_a_loop(reads, ridge)
        * max(len(reads) / ridge, 4 * (sum(reads) + 1))
        / max(1 / ridge, 4 * (sum(reads) + 1))
    )
)
wrong("6.4", "longer_of_sums")(
    lambda reads, ridge: (
        max(len(reads) / ridge, 4 * (sum(reads) + 2 * len(reads) - 1))
        / max(len(reads) / ridge, 4 * (sum(reads) + 1))
    )
)
wrong("6.4", "added")(
    lambda reads, ridge: (
        (len(reads) / ridge + 4 * (sum(reads) + 2 * len(reads) - 1))
        / (len(reads) / ridge + 4 * (sum(reads) + 1))
    )
)
wrong("6.4", "one_byte")(lambda reads, ridge: in_a_loop(reads, ridge / 4))
wrong("6.4", "ridge_upside_down")(lambda reads, ridge: in_a_loop(reads, 1 / ridge))
wrong("6.4", "first_reads_result")(
    lambda reads, ridge: (
        sum(max(1 / ridge, 4 * (n + 2)) for n in reads)
        / max(len(reads) / ridge, 4 * (sum(reads) + 1))
    )
)
wrong("6.4", "fused_writes_all")(
    lambda reads, ridge: (
        sum(max(1 / ridge, 4 * (n + 1 + (i > 0))) for i, n in enumerate(reads))
        / max(len(reads) / ridge, 4 * (sum(reads) + len(reads)))
    )
)
wrong("6.4", "upside_down")(lambda reads, ridge: 1 / in_a_loop(reads, ridge))
wrong("6.4", "share_saved")(lambda reads, ridge: 1 - 1 / in_a_loop(reads, ridge))
wrong("6.4", "counterexample")(
    lambda reads, ridge: 2 * len(reads) / (sum(reads) + 1)  # two for each, whatever it reads
)


# 6.5: read a profile


@right("6.5")
def waiting_as_a_set():
    return {"b", "c", "f"}


@right("6.5")
def waiting_as_a_text():
    return "fcb"


wrong("6.5", "intensity_only")(lambda: set("bcdefh"))
wrong("6.5", "most_bytes")(lambda: {"b", "c", "f", "g"})
wrong("6.5", "slowest")(lambda: {"a", "c"})
wrong("6.5", "far_from_roof")(lambda: {"b", "c", "e", "f"})
wrong("6.5", "none")(lambda: set())
wrong("6.5", "missing")(lambda: {"c", "f"})
wrong("6.5", "no_letters")(lambda: {"max pooling"})


# 6.6: a starved pipeline


def stages(*names):
    """Make an answer of stages in this order."""

    def make_pipeline(files, labels, decode, augment, batch_size):
        apply = {
            "decode": lambda data: data.map(lambda file, label: (decode(file), label)),
            "augment": lambda data: data.map(lambda image, label: (augment(image), label)),
            "cache": lambda data: data.cache(),
            "shuffle": lambda data: data.shuffle(len(files)),
            "fixed shuffle": lambda data: data.shuffle(99, reshuffle_each_iteration=False),
            "shuffle 100": lambda data: data.shuffle(100),
            "shuffle 10": lambda data: data.shuffle(10),
            "small shuffle": lambda data: data.shuffle(batch_size),
            "augment and twist": lambda data: tf.data.Dataset.zip(
                data.map(lambda image, label: augment(image)),
                data.map(lambda image, label: label).shuffle(len(files)),
            ),
            "labels first": lambda data: data.map(lambda images, labels: (labels, images)),
            "without labels": lambda data: data.map(lambda image, label: image),
            "batch": lambda data: data.batch(batch_size),
            "full batches": lambda data: data.batch(batch_size, drop_remainder=True),
            "unbatch": lambda data: data.unbatch(),
            "prefetch": lambda data: data.prefetch(tf.data.AUTOTUNE),
            "prefetch none": lambda data: data.prefetch(0),
            "twice": lambda data: data.repeat(2),
        }
        data = tf.data.Dataset.from_tensor_slices((files, labels))
        for name in names:
            data = apply[name](data)
        return data

    return make_pipeline


right("6.6")(stages("decode", "cache", "shuffle", "augment", "batch", "prefetch"))


@right("6.6")
def indices_and_images_in_memory(names, labels, decode, augment, batch_size):
    images = tf.stack([decode(name) for name in names])
    data = tf.data.Dataset.range(len(labels)).shuffle(len(labels))
    data = data.map(
        lambda i: (augment(images[i]), tf.gather(labels, i)), num_parallel_calls=2
    ).batch(batch_size)
    options = tf.data.Options()
    options.deterministic = True
    return data.prefetch(2).with_options(options)


def in_flat_map(order):
    """Make an answer that shuffles in a flat_map; `order` of n makes what draws n rows."""

    def make_pipeline(names, labels, decode, augment, batch_size):
        draw = order(len(names))

        def shuffled(images, labels):
            rows = draw()
            return tf.data.Dataset.from_tensor_slices(
                (tf.gather(images, rows), tf.gather(labels, rows))
            )

        data = tf.data.Dataset.from_tensor_slices((names, labels))
        data = data.map(lambda name, label: (decode(name), label)).cache()
        data = data.batch(len(names)).flat_map(shuffled)
        data = data.map(lambda image, label: (augment(image), label))
        return data.batch(batch_size).prefetch(1)

    return make_pipeline


def drawn_once(n):
    rows = tf.random.shuffle(tf.range(n))
    return lambda: rows


right("6.6")(in_flat_map(lambda n: lambda: tf.random.shuffle(tf.range(n))))
wrong("6.6", "same_order")(in_flat_map(drawn_once))
wrong("6.6", "frozen_augmentation")(
    stages("decode", "augment", "cache", "shuffle", "batch", "prefetch")
)
wrong("6.6", "frozen_augmentation")(
    stages("decode", "augment", "batch", "shuffle", "cache")  # as given
)
wrong("6.6", "decoded_again")(stages("decode", "shuffle", "augment", "batch", "prefetch"))
wrong("6.6", "same_order")(stages("decode", "shuffle", "cache", "augment", "batch", "prefetch"))
wrong("6.6", "same_order")(stages("decode", "cache", "augment", "batch", "prefetch"))
wrong("6.6", "same_order")(
    stages("decode", "cache", "fixed shuffle", "augment", "batch", "prefetch")
)
wrong("6.6", "whole_batches")(stages("decode", "cache", "augment", "batch", "shuffle", "prefetch"))
wrong("6.6", "whole_batches")(
    stages("decode", "cache", "batch", "shuffle", "unbatch", "augment", "batch", "prefetch")
)
wrong("6.6", "not_ahead")(stages("decode", "cache", "shuffle", "augment", "batch"))
wrong("6.6", "not_ahead")(stages("decode", "cache", "shuffle", "augment", "prefetch", "batch"))
wrong("6.6", "not_ahead")(
    stages("decode", "cache", "shuffle", "augment", "batch", "prefetch none")
)
wrong("6.6", "left_out")(
    stages("decode", "cache", "shuffle", "augment", "full batches", "prefetch")
)
wrong("6.6", "repeated")(
    stages("decode", "cache", "shuffle", "augment", "batch", "twice", "prefetch")
)
wrong("6.6", "not_augmented")(stages("decode", "cache", "shuffle", "batch", "prefetch"))
wrong("6.6", "small_buffer")(
    stages("decode", "cache", "small shuffle", "augment", "batch", "prefetch")
)
wrong("6.6", "fixed_buffer")(
    stages("decode", "cache", "shuffle 100", "augment", "batch", "prefetch")
)
wrong("6.6", "fixed_buffer")(
    stages("decode", "cache", "shuffle 10", "augment", "batch", "prefetch")
)
wrong("6.6", "batch_augmented")(
    stages("decode", "cache", "shuffle", "batch", "augment", "prefetch")
)
wrong("6.6", "other_labels")(
    stages("decode", "cache", "shuffle", "augment and twist", "batch", "prefetch")
)
wrong("6.6", "no_batches")(stages("decode", "cache", "shuffle", "augment", "prefetch"))
wrong("6.6", "no_pairs")(
    stages("decode", "cache", "shuffle", "augment", "batch", "labels first", "prefetch")
)
wrong("6.6", "no_pairs")(
    stages("decode", "cache", "shuffle", "augment", "without labels", "batch", "prefetch")
)
wrong("6.6", "no_return")(lambda names, labels, decode, augment, batch_size: None)
wrong("6.6", "no_data")(lambda names, labels, decode, augment, batch_size: list(names))


# 6.7: predict, with odds

TRUE = {"a": True, "b": False, "c": False, "d": True, "e": False, "f": True}
right("6.7")(with_odds(TRUE, 0.9))
right("6.7")(with_odds(TRUE, 0.7, c=0.6))
wrong("6.7", "coin")(lambda: dict.fromkeys("abcdef", 0.5))
wrong("6.7", "worse_than_coin")(with_odds(TRUE, 0.9, c=1.0, f=0.1))
wrong("6.7", "not_enough")(with_odds(TRUE, 0.77, c=1.0))
wrong("6.7", "no_dict")(lambda: TRUE.keys())
wrong("6.7", "no_odds")(with_odds(TRUE, 7))
wrong("6.7", "no_numbers")(lambda: dict.fromkeys("abcdef", "sure"))
