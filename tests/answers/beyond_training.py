"""Answers to the exercises of chapter 10."""

import numpy as np
from answers import right, with_odds, wrong
from scipy.stats import rankdata, spearmanr

import tensorflow as tf

# 10.1: does the map know the network?


@right("10.1")
def by_spearman(way, trained, randomized, images):
    found = [
        spearmanr(np.abs(way(trained, image)).ravel(), np.abs(way(randomized, image)).ravel())[0]
        for image in images
    ]
    return np.mean(found)


@right("10.1")
def by_ranks(way, trained, randomized, images):
    total = 0.0
    for image in images:
        ranks = [rankdata(np.abs(way(net, image))) for net in (trained, randomized)]
        a, b = (rank - rank.mean() for rank in ranks)
        total += (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())
    return total / len(images)


def agreement(
    change=np.abs, correlate=lambda a, b: spearmanr(a, b)[0], collect=np.mean, network=1
):
    def answer(way, trained, randomized, images):
        networks, found = (trained, randomized), []
        for image in images:
            pair = way(trained, image), way(networks[network], image)
            found.append(correlate(*(change(each).ravel() for each in pair)))
        return collect(found)

    return answer


def by_double_argsort(a, b):
    return np.corrcoef(a.argsort().argsort(), b.argsort().argsort())[0, 1]


wrong("10.1", "signs")(agreement(np.array))
wrong("10.1", "values")(agreement(correlate=lambda a, b: np.corrcoef(a, b)[0, 1]))
wrong("10.1", "ties")(agreement(correlate=by_double_argsort))
wrong("10.1", "sum")(agreement(collect=sum))
wrong("10.1", "not_averaged")(agreement(collect=list))
wrong("10.1", "exchanged")(
    lambda way, *others: by_ranks(lambda network, image: way(image, network), *others)
)
wrong("10.1", "one_image")(agreement(collect=lambda found: found[0]))
wrong("10.1", "one_network")(agreement(network=0))
wrong("10.1", "distance")(agreement(collect=lambda found: 1 - np.mean(found)))
wrong("10.1", "median")(agreement(collect=np.median))
wrong("10.1", "size")(agreement(collect=lambda found: np.abs(found).mean()))
wrong("10.1", "argsort")(
    agreement(correlate=lambda a, b: np.corrcoef(a.argsort(), b.argsort())[0, 1])
)
wrong("10.1", "ties")(
    agreement(correlate=lambda a, b: np.corrcoef(rankdata(a, "min"), rankdata(b, "min"))[0, 1])
)
wrong("10.1", "counterexample")(agreement(collect=lambda found: abs(np.mean(found)) + 0.1))


@wrong("10.1", "together")
def all_at_once(way, trained, randomized, images):
    a, b = ([np.abs(way(net, image)) for image in images] for net in (trained, randomized))
    return spearmanr(np.ravel(a), np.ravel(b))[0]


@wrong("10.1", "mean_map")
def maps_averaged(way, trained, randomized, images):
    a, b = (sum(np.abs(way(net, image)) for image in images) for net in (trained, randomized))
    return spearmanr(a.ravel(), b.ravel())[0]


@wrong("10.1", "in_lines")
def ranked_in_columns(way, trained, randomized, images):
    found = []
    for image in images:
        ranks = (rankdata(np.abs(way(net, image)), axis=0) for net in (trained, randomized))
        found.append(np.corrcoef(*(each.ravel() for each in ranks))[0, 1])
    return np.mean(found)


# 10.2: spot the edge detector

right("10.2")(lambda: {"b", "e"})
right("10.2")(lambda: "eb")
right("10.2")(lambda: ["b", "e"])
wrong("10.2", "half")(lambda: {"b"})
wrong("10.2", "half")(lambda: "e")
wrong("10.2", "covered")(lambda: {"a", "b", "e"})
wrong("10.2", "noise")(lambda: {"c", "d"})
wrong("10.2", "none")(lambda: set())
wrong("10.2", "no_letters")(lambda: {"edges"})
wrong("10.2", "no_letters")(lambda: 2)


# 10.3: repair integrated gradients


def gradient_of(score, points):
    with tf.GradientTape() as tape:
        tape.watch(points)
        scores = score(points)
    return tape.gradient(scores, points)


@right("10.3")
def in_a_loop(score, images, baselines, steps):
    way, total = images - baselines, 0.0
    for k in range(steps):
        total += gradient_of(score, baselines + (k + 0.5) / steps * way)
    parts = way * total / steps
    return parts, tf.reduce_sum(parts, axis=1) - (score(images) - score(baselines))


@right("10.3")
def in_one_batch(score, images, baselines, steps):
    """All points of all paths at once."""
    middles = tf.cast((tf.range(steps) * 2 + 1) / (2 * steps), images.dtype)[:, None, None]
    points = baselines + middles * (images - baselines)
    slopes = gradient_of(score, tf.reshape(points, (-1, images.shape[1])))
    parts = (images - baselines) * tf.reduce_mean(tf.reshape(slopes, points.shape), axis=0)
    return parts.numpy(), (tf.reduce_sum(parts, axis=1) + score(baselines) - score(images)).numpy()


def path(place=0.5, end=lambda x, b: x - b, factor=lambda x, b: x - b, gap=None):
    def answer(score, images, baselines, steps):
        total = 0.0
        for k in range(steps):
            points = baselines + (k + place) / steps * end(images, baselines)
            total += gradient_of(score, points)
        parts = factor(images, baselines) * total / steps
        change = score(images) - score(baselines)
        total = tf.reduce_sum(parts, axis=1)
        return parts, gap(total, change, score(images)) if gap else total - change

    return answer


def image_only(image, baseline):
    return image


wrong("10.3", "left")(path(place=0.0))
wrong("10.3", "path")(path(end=image_only))
wrong("10.3", "factor")(path(factor=image_only))
wrong("10.3", "factor")(path(place=0.0, factor=image_only))
wrong("10.3", "path")(
    path(0.0, image_only, image_only, lambda total, change, after: total - after)
)
wrong("10.3", "path")(path(0.5, image_only, image_only))
wrong("10.3", "gap_of_image")(path(gap=lambda total, change, after: total - after))
wrong("10.3", "gap_sign")(path(gap=lambda total, change, after: change - total))
wrong("10.3", "gap_size")(path(gap=lambda total, change, after: abs(total - change)))
wrong("10.3", "no_gap")(path(gap=lambda total, change, after: total))
wrong("10.3", "gap_plus")(path(gap=lambda total, change, after: total + change - 2 * after))
wrong("10.3", "change")(path(gap=lambda total, change, after: change))
wrong("10.3", "right")(path(place=1.0))
wrong("10.3", "mean_score")(
    lambda score, x, b, steps: (
        in_a_loop(score, x, b, steps)[0] / len(x),
        tf.reduce_sum(in_a_loop(score, x, b, steps)[0], axis=1) / len(x) - score(x) + score(b),
    )
)


def with_total(add):
    """Make an answer whose loop keeps another total of the gradients."""

    def answer(score, images, baselines, steps):
        total = tf.zeros_like(images)
        for k in range(steps):
            t = (k + 0.5) / steps
            total = add(total, gradient_of(score, baselines + t * (images - baselines)), t)
        parts = (images - baselines) * total / steps
        return parts, tf.reduce_sum(parts, axis=1) - score(images) + score(baselines)

    return answer


wrong("10.3", "last_gradient")(with_total(lambda total, slope, t: slope))
wrong("10.3", "by_images")(with_total(lambda total, slope, t: total + t * slope))
wrong("10.3", "no_factor")(path(factor=lambda image, baseline: 1.0))
wrong("10.3", "reversed")(path(factor=lambda image, baseline: baseline - image))
wrong("10.3", "count")(lambda *arguments: in_a_loop(*arguments)[0])


# 10.4: the derivative of a root


def jacobian(residual, x, theta, by):
    """Return a Jacobian, row by row: `pfor` would trace a graph for each."""
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(by)
        value = residual(x, theta)
    return tape.jacobian(value, by, experimental_use_pfor=False)


def jacobians(residual, x, theta):
    return jacobian(residual, x, theta, x), jacobian(residual, x, theta, theta)


@right("10.4")
def by_solving(residual, x, theta):
    by_x, by_theta = jacobians(residual, x, theta)
    return -tf.linalg.solve(by_x, by_theta[:, tf.newaxis])[:, 0]


@right("10.4")
def with_one_jacobian(residual, x, theta):
    """As most would write it."""
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([x, theta])
        value = residual(x, theta)
    return -np.linalg.inv(tape.jacobian(value, x)) @ tape.jacobian(value, theta).numpy()


@right("10.4")
def by_forward_mode(residual, x, theta):
    with tf.autodiff.ForwardAccumulator(theta, tf.ones_like(theta)) as forward:
        value = residual(x, theta)
    by_theta = forward.jvp(value)
    by_x, _ = jacobians(residual, x, theta)
    return np.linalg.lstsq(by_x.numpy(), -by_theta.numpy(), rcond=None)[0]


def combined(combine):
    return lambda residual, x, theta: combine(
        *(part.numpy() for part in jacobians(residual, x, theta))
    )


wrong("10.4", "sign")(combined(lambda j, b: np.linalg.solve(j, b)))
wrong("10.4", "no_solve")(combined(lambda j, b: -b))
wrong("10.4", "transposed")(combined(lambda j, b: -np.linalg.inv(j).T @ b))
wrong("10.4", "product")(combined(lambda j, b: -j @ b))
wrong("10.4", "elementwise")(combined(lambda j, b: -b / j.diagonal()))
wrong("10.4", "fixed_point")(combined(lambda j, b: np.linalg.inv(np.eye(len(b)) - j) @ b))
wrong("10.4", "factor")(combined(lambda j, b: -2 * np.linalg.solve(j, b)))
wrong("10.4", "column")(combined(lambda j, b: -np.linalg.solve(j, b[:, None])))


@wrong("10.4", "elementwise")
def with_gradients(residual, x, theta):
    """The tape adds up the equations, for x; the right side is as it should be."""
    _, by_theta = jacobians(residual, x, theta)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = residual(x, theta)
    return -by_theta / tape.gradient(value, x)


@wrong("10.4", "summed")
def summed(residual, x, theta):
    by_x, _ = jacobians(residual, x, theta)
    with tf.GradientTape() as tape:
        tape.watch(theta)
        value = residual(x, theta)
    return -np.linalg.inv(by_x).sum(axis=1) * tape.gradient(value, theta).numpy()


wrong("10.4", "summed")(combined(lambda j, b: -np.sum(b) / np.sum(j, axis=0)))


# 10.5: make it read what you want


def losses_of(network, images, targets):
    log = tf.nn.log_softmax(network(images, training=False))
    return -tf.gather(log, targets, batch_dims=1)


def moves(change, put_back, follow=lambda moved, start: moved):
    """Make an answer from a change by the gradient, and a way to put pixels back."""

    def answer(network, images, targets, size, stride, steps):
        moved = images
        for _ in range(steps):
            at = follow(moved, images)
            with tf.GradientTape() as tape:
                tape.watch(at)
                losses = losses_of(network, at, targets)
            moved = moved + stride * change(tape.gradient(losses, at))
            moved = put_back(moved, images, size)
        return moved

    return answer


def both(moved, start, size):
    low, high = tf.maximum(start - size, 0.0), tf.minimum(start + size, 1.0)
    return tf.clip_by_value(moved, low, high)


def down(gradient):
    return -tf.sign(gradient)


def in_range(moved, start, size):
    return tf.clip_by_value(moved, 0.0, 1.0)


def in_ball(moved, start, size):
    return start + tf.clip_by_value(moved - start, -size, size)


right("10.5")(moves(down, both))


@right("10.5")
def with_change(network, images, targets, size, stride, steps):
    """Keep the change apart from the images, and take the mean loss."""
    change = tf.Variable(tf.zeros_like(images))
    for _ in range(steps):
        with tf.GradientTape() as tape:
            logits = network(images + change)
            loss = tf.reduce_mean(
                tf.keras.losses.sparse_categorical_crossentropy(targets, logits, from_logits=True)
            )
        change.assign_sub(stride * np.sign(tape.gradient(loss, change)))
        change.assign(np.clip(change, -size, size))
        change.assign(np.clip(images + change, 0, 1) - images)
    return (images + change).numpy()


wrong("10.5", "uphill")(moves(tf.sign, both))
wrong("10.5", "uphill")(moves(lambda gradient: gradient, lambda moved, start, size: moved))
wrong("10.5", "plain")(moves(lambda gradient: -gradient, both))
wrong("10.5", "plain")(moves(lambda gradient: -gradient, in_range))
wrong("10.5", "ball")(moves(down, in_range))
wrong("10.5", "ball")(moves(down, lambda moved, start, size: moved))
wrong("10.5", "scale")(moves(down, in_ball))
wrong("10.5", "no_slope")(moves(lambda gradient: np.where(gradient > 0, -1.0, 1.0), both))
wrong("10.5", "scaled")(moves(lambda gradient: -gradient / np.linalg.norm(gradient), both))
wrong("10.5", "stale")(moves(down, both, lambda moved, start: start))
wrong("10.5", "counterexample")(moves(lambda gradient: -2 * tf.sign(gradient), both))
wrong("10.5", "no_return")(lambda *arguments: None)


@wrong("10.5", "late")
def put_back_at_the_end(network, images, targets, size, stride, steps):
    free = moves(down, lambda moved, start, size: moved)
    return both(free(network, images, targets, size, stride, steps), images, size)


def with_network(change):
    """Make an answer from the right one: in each step the network is changed."""
    return lambda network, *others: moves(down, both)(change(network), *others)


def with_steps(more):
    """Make an answer from the right one that takes more steps, or fewer."""
    return lambda *case: moves(down, both)(*case[:-1], case[-1] + more)


wrong("10.5", "one_step_more")(with_steps(1))
wrong("10.5", "one_step_less")(with_steps(-1))
wrong("10.5", "softmaxed")(
    with_network(lambda network: lambda images, training: tf.nn.softmax(network(images)))
)


wrong("10.5", "change")(lambda network, x, *how: moves(down, both)(network, x, *how) - x)


@wrong("10.5", "stops")
def until_it_is_read_so(network, images, targets, size, stride, steps):
    moved = images
    for _ in range(steps):
        if np.array_equal(np.argmax(network(moved), axis=1), targets):
            break
        moved = both(moves(down, in_range)(network, moved, targets, size, stride, 1), images, size)
    return moved


@wrong("10.5", "own_class")
def away_from_what_it_is(network, images, targets, *how):
    return moves(tf.sign, both)(network, images, tf.argmax(network(images), axis=1), *how)


@wrong("10.5", "logit")
def towards_the_logit(network, images, targets, size, stride, steps):
    moved = images
    for _ in range(steps):
        with tf.GradientTape() as tape:
            tape.watch(moved)
            logits = tf.gather(network(moved, training=False), targets, batch_dims=1)
        moved = both(moved + stride * tf.sign(tape.gradient(logits, moved)), images, size)
    return moved


@wrong("10.5", "before")
def around_the_step_before(network, images, targets, size, stride, steps):
    moved = images
    for _ in range(steps):
        moved = moves(down, both)(network, moved, targets, size, stride, 1)
    return moved


@wrong("10.5", "training")
def in_training_mode(network, images, targets, size, stride, steps):
    def trained(images, training):
        return network(images, training=True)

    return moves(down, both)(trained, images, targets, size, stride, steps)


# 10.6: the trace of a Hessian


def product(loss, variables, vector):
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            value = loss()
        gradients = inner.gradient(value, variables, unconnected_gradients="zero")
        along = tf.add_n([tf.reduce_sum(g * v) for g, v in zip(gradients, vector)])
    return outer.gradient(along, variables, unconnected_gradients="zero")


@right("10.6")
def probe_by_probe(loss, variables, probes):
    total = 0.0
    for vector in probes:
        total += sum(
            tf.reduce_sum(v * h) for v, h in zip(vector, product(loss, variables, vector))
        )
    return total / len(probes)


@right("10.6")
def forward_over_reverse(loss, variables, probes):
    found = []
    for vector in probes:
        with tf.autodiff.ForwardAccumulator(variables, vector) as forward:
            with tf.GradientTape() as tape:
                value = loss()
            gradients = tape.gradient(value, variables)
        moved = [forward.jvp(g) if g is not None else None for g in gradients]
        found.append(sum(np.sum(v * m) for v, m in zip(vector, moved) if m is not None))
    return np.mean(found)


def traced(of_probe, collect=np.mean):
    def answer(loss, variables, probes):
        return collect(
            [float(of_probe(vector, product(loss, variables, vector))) for vector in probes]
        )

    return answer


def times(one, other):
    return sum(np.sum(a * b) for a, b in zip(one, other))


wrong("10.6", "sum")(traced(times, np.sum))
wrong("10.6", "not_averaged")(traced(times, list))
wrong("10.6", "one_probe")(traced(times, lambda found: found[0]))
wrong("10.6", "not_dotted")(traced(lambda v, h: sum(np.sum(each) for each in h)))
wrong("10.6", "length")(traced(lambda v, h: times(h, h)))
wrong("10.6", "half")(traced(lambda v, h: times(v, h) / 2))
wrong("10.6", "per_element")(traced(lambda v, h: times(v, h) / times(v, v)))
wrong("10.6", "first_variable")(traced(lambda v, h: times(v[:1], h[:1])))
wrong("10.6", "sizes")(traced(lambda v, h: abs(times(v, h))))


@wrong("10.6", "gradient")
def first_derivative(loss, variables, probes):
    with tf.GradientTape() as tape:
        value = loss()
    gradients = tape.gradient(value, variables)
    return np.mean([times(vector, gradients) for vector in probes])


@wrong("10.6", "exact")
def element_by_element(loss, variables, probes):
    total, sizes = 0.0, [int(tf.size(x)) for x in variables]
    for row in np.eye(sum(sizes), dtype="float32"):
        parts = np.split(row, np.cumsum(sizes)[:-1])
        vector = [part.reshape(x.shape) for part, x in zip(parts, variables)]
        total += times(vector, product(loss, variables, vector))
    return total


@wrong("10.6", "blocks")
def one_by_one(loss, variables, probes):
    found = []
    for vector in probes:
        parts = [(product(loss, [x], [v])[0], v) for x, v in zip(variables, vector)]
        found.append(sum(np.sum(h * v) for h, v in parts))
    return np.mean(found)


@wrong("10.6", "raises")
def without_zeros(loss, variables, probes):
    found = []
    for vector in probes:
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                value = loss()
            gradients = inner.gradient(value, variables)
        products = outer.gradient(gradients, variables, output_gradients=vector)
        found.append(sum(tf.reduce_sum(v * h) for v, h in zip(vector, products)))
    return np.mean(found)


# 10.7: predict, with odds

STATEMENTS = {"a": True, "b": False, "c": True, "d": False, "e": False, "f": True}

right("10.7")(with_odds(STATEMENTS, 0.9))
right("10.7")(with_odds(STATEMENTS, 0.8, c=0.5))
wrong("10.7", "coin")(with_odds(STATEMENTS, 0.5))
wrong("10.7", "worse_than_coin")(with_odds(STATEMENTS, 0.2))
wrong("10.7", "not_enough")(with_odds(STATEMENTS, 0.9, a=0.1, f=0.4))
