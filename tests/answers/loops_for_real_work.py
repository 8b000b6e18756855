"""Answers to the exercises of chapter 07."""

import numpy as np
from answers import right, wrong

import tensorflow as tf

# 7.1: uneven parts


def in_parts(weight, penalty=lambda size, total, parts: size / total, join=None):
    """Make an answer that weighs the gradient of each part by its (size, total, parts)."""

    def accumulate(model, loss_function, parts):
        total, sums = sum(len(y) for _, y in parts), None
        for x, y in parts:
            how = len(y), total, len(parts)
            with tf.GradientTape() as tape:
                loss = weight(*how) * loss_function(y, model(x, training=True))
                loss += penalty(*how) * sum(model.losses)
            gradients = tape.gradient(loss, model.trainable_variables)
            if sums is None or join == "last":
                sums = gradients
            else:
                sums = [a + b for a, b in zip(sums, gradients)]
        return sums

    return accumulate


def share(size, total, parts):
    return size / total


def each(size, total, parts):
    return 1.0


right("7.1")(in_parts(share))
right("7.1")(in_parts(share, lambda size, total, parts: 1 / parts))


@right("7.1")
def penalty_at_the_end(model, loss_function, parts):
    variables = model.trainable_variables
    sums, count = [tf.zeros_like(variable) for variable in variables], 0
    for x, y in parts:
        with tf.GradientTape() as tape:
            loss = loss_function(y, model(x))
        count += int(y.shape[0])
        gradients = tape.gradient(loss, variables)
        sums = [a + int(y.shape[0]) * b for a, b in zip(sums, gradients)]
    with tf.GradientTape() as tape:
        penalty = tf.add_n(model.losses)
    gradients = tape.gradient(penalty, variables)
    gradients = [0.0 if b is None else b for b in gradients]
    return [(a / count + b).numpy() for a, b in zip(sums, gradients)]


@right("7.1")
def all_at_once(model, loss_function, parts):
    with tf.GradientTape() as tape:
        images, labels = (tf.concat(each, axis=0) for each in zip(*parts))
        loss = loss_function(labels, model(images, training=True)) + sum(model.losses)
    return tape.gradient(loss, model.trainable_variables)


wrong("7.1", "equal_parts")(in_parts(lambda size, total, parts: 1 / parts))
wrong("7.1", "sum_of_means")(in_parts(each, each))
wrong("7.1", "sum_of_all")(in_parts(lambda size, total, parts: size, each))
wrong("7.1", "no_penalty")(in_parts(share, lambda *how: 0.0))
wrong("7.1", "penalty_each_time")(in_parts(share, each))
wrong("7.1", "one_part")(in_parts(each, each, "last"))
wrong("7.1", "counterexample")(in_parts(lambda size, total, parts: 2 * size / total))
wrong("7.1", "count")(
    lambda model, loss_function, parts: all_at_once(model, loss_function, parts)[:2]
)
wrong("7.1", "no_return")(lambda model, loss_function, parts: None)


# 7.2: what normalization would need


@right("7.2")
def by_squares(sizes, means, variances):
    share = (sizes / sizes.sum())[:, None]
    mean = (share * means).sum(axis=0)
    return mean, (share * (variances + means**2)).sum(axis=0) - mean**2


@right("7.2")
def part_by_part(sizes, means, variances):
    count, mean, total = 0, np.zeros_like(means[0]), np.zeros_like(means[0])
    for size, m, v in zip(sizes, means, variances):
        new = mean + (m - mean) * size / (count + size)
        total = total + size * v + size * (m - mean) * (m - new)
        mean, count = new, count + size
    return [mean, total / count]


def changed(mean=None, variance=None):
    def answer(sizes, means, variances):
        found = list(by_squares(sizes, means, variances))
        parts = sizes[:, None] / sizes.sum(), means, variances
        found[0] = mean(*parts) if mean else found[0]
        found[1] = variance(*parts) if variance else found[1]
        return found

    return answer


wrong("7.2", "unweighted_mean")(changed(lambda p, m, v: m.mean(axis=0)))
wrong("7.2", "within_only")(changed(variance=lambda p, m, v: (p * v).sum(axis=0)))
wrong("7.2", "unweighted_spread")(
    changed(variance=lambda p, m, v: (p * v).sum(axis=0) + np.var(m, axis=0))
)
wrong("7.2", "between_only")(
    changed(variance=lambda p, m, v: (p * m**2).sum(axis=0) - (p * m).sum(axis=0) ** 2)
)
wrong("7.2", "no_square")(changed(variance=lambda p, m, v: (p * (v + m**2)).sum(axis=0)))
wrong("7.2", "count")(lambda sizes, means, variances: by_squares(sizes, means, variances)[1])


@wrong("7.2", "one_less")
def sample_variance(sizes, means, variances):
    mean, variance = by_squares(sizes, means, variances)
    return mean, variance * sizes.sum() / (sizes.sum() - 1)


@wrong("7.2", "unweighted_mean")
def plain_means(sizes, means, variances):
    return means.mean(axis=0), variances.mean(axis=0)


@wrong("7.2", "counterexample")
def spread_of_deviations(sizes, means, variances):
    mean, variance = by_squares(sizes, means, variances)
    return mean, np.sqrt(variance)
