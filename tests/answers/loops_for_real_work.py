"""Answers to the exercises of chapter 07."""

import base64
import pickle

import numpy as np
from answers import right, with_odds, wrong

import keras
import tensorflow as tf

from tapecourse.support.little_loop import LittleLoop

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


@wrong("7.1", "whole_batch")
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
wrong("7.1", "penalty_divided")(in_parts(share, lambda size, total, parts: 1 / total))
wrong("7.1", "count")(lambda *batch: in_parts(share)(*batch)[:2])


@wrong("7.1", "changes_model")
def updates_as_well(model, loss_function, parts):
    gradients = in_parts(share)(model, loss_function, parts)
    for variable, gradient in zip(model.trainable_variables, gradients):
        variable.assign_sub(0.1 * gradient)
    return gradients


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


wrong("7.2", "exchanged")(lambda *parts: by_squares(*parts)[::-1])


@wrong("7.2", "mean_so_far")
def compared_on_the_way(sizes, means, variances):
    count, mean, total = 0, np.zeros_like(means[0]), np.zeros_like(means[0])
    for size, m, v in zip(sizes, means, variances):
        mean = (count * mean + size * m) / (count + size)
        count, total = count + size, total + size * (v + (m - mean) ** 2)
    return mean, total / count


@wrong("7.2", "deviation")
def spread_of_deviations(sizes, means, variances):
    mean, variance = by_squares(sizes, means, variances)
    return mean, np.sqrt(variance)


# 7.3: killed, and going on


def resumable(save, restore):
    """Make a class of two functions (loop) -> state and (loop, state)."""
    methods = {
        "state": lambda self: save(self),
        "restore": lambda self, state: restore(self, state),
    }
    return type("ResumableLoop", (LittleLoop,), methods)


NUMBERS = ("done", "total", "history")


def all_of_it(loop):
    found = {name: getattr(loop, name) for name in NUMBERS}
    found["order"] = [int(i) for i in loop.order]
    found["line"], found["velocity"] = loop.line.numpy().tolist(), loop.velocity.numpy().tolist()
    return found | {"random": loop.random.bit_generator.state}


def put_back(*names):
    def restore(loop, state):
        for name in names:
            if name == "random":
                loop.random.bit_generator.state = state[name]
            elif name in ("line", "velocity"):
                getattr(loop, name).assign(state[name])
            else:
                setattr(loop, name, state[name])

    return restore


EVERYTHING = ("line", "velocity", "order", *NUMBERS, "random")


def but(*names):
    return put_back(*(name for name in EVERYTHING if name not in names))


right("7.3")(resumable(all_of_it, put_back(*EVERYTHING)))


@right("7.3")
class Pickled(LittleLoop):
    def state(self):
        order = np.array(self.order, int).tolist()
        return [
            base64.b64encode(pickle.dumps(self.random)).decode(),
            [float(x) for x in self.line.numpy()],
            [float(x) for x in self.velocity.numpy()],
            {"order": order, "done": self.done, "total": self.total, "history": self.history[:]},
        ]

    def restore(self, state):
        random, line, velocity, rest = state
        self.random = pickle.loads(base64.b64decode(random))
        self.line, self.velocity = tf.Variable(line), tf.Variable(velocity)
        vars(self).update(rest)


wrong("7.3", "line_only")(resumable(all_of_it, put_back("line")))
wrong("7.3", "variables_only")(resumable(all_of_it, put_back("line", "velocity")))
wrong("7.3", "line")(resumable(all_of_it, but("line")))
wrong("7.3", "velocity")(resumable(all_of_it, but("velocity")))
wrong("7.3", "random")(resumable(all_of_it, but("random")))
wrong("7.3", "position")(resumable(all_of_it, but("order", "done")))
wrong("7.3", "position")(resumable(all_of_it, but("done")))
wrong("7.3", "total")(resumable(all_of_it, but("total")))
wrong("7.3", "history")(resumable(all_of_it, but("history")))
wrong("7.3", "total_and_history")(resumable(all_of_it, but("total", "history")))


wrong("7.3", "nothing")(resumable(lambda loop: {}, lambda loop, state: state))
wrong("7.3", "inexact")(
    resumable(
        lambda loop: all_of_it(loop) | {"line": loop.line.numpy().round(3).tolist()},
        put_back(*EVERYTHING),
    )
)


@wrong("7.3", "kept_in_class")
class KeptInTheClass(LittleLoop):
    def state(self):
        KeptInTheClass.kept = all_of_it(self)
        return "see the class"

    def restore(self, state):
        put_back(*EVERYTHING)(self, KeptInTheClass.kept)


wrong("7.3", "no_json")(resumable(lambda loop: vars(loop), put_back(*EVERYTHING)))
wrong("7.3", "no_return")(resumable(lambda loop: None, put_back(*EVERYTHING)))
wrong("7.3", "no_class")(lambda seed: {})


@wrong("7.3", "disturbs")
class Emptied(LittleLoop):
    def state(self):
        found, self.history = all_of_it(self), []
        return found

    restore = put_back(*EVERYTHING)


@wrong("7.3", "disturbs")
class Reseeded(LittleLoop):
    def state(self):
        seed = int(self.random.integers(1000))  # draws a number that the loop misses
        self.random = np.random.default_rng(seed)
        return all_of_it(self) | {"seed": seed}

    def restore(self, state):
        but("random")(self, state)
        self.random = np.random.default_rng(state["seed"])


# 7.4: repair a step in half precision

CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def half_step(gradients_of, clips="global_clipnorm", compiled=False):
    """Make an answer of a function (model, optimizer, clip, images, labels) -> gradients, loss."""

    def make_half_step(model, rate, clip):
        inner = keras.optimizers.SGD(rate, **{clips: clip} if clips else {})
        optimizer = keras.optimizers.LossScaleOptimizer(inner)
        optimizer.build(model.trainable_variables)

        def step(images, labels):
            gradients, loss = gradients_of(model, optimizer, clip, images, labels)
            optimizer.apply(gradients, model.trainable_variables)
            return loss

        return tf.function(step, autograph=False) if compiled else step

    return make_half_step


def in_half(
    penalty=True, scale=True, late_penalty=False, clip_now=0.0, report="loss", training=True
):
    def gradients_of(model, optimizer, clip, images, labels):
        with tf.GradientTape() as tape:
            data = loss = CROSS_ENTROPY(labels, model(images, training=training))
            if penalty and not late_penalty:
                loss = data + sum(model.losses)
            scaled = optimizer.scale_loss(loss) if scale else loss
            if late_penalty:
                scaled += sum(model.losses)
                loss = data + sum(model.losses)
        gradients = tape.gradient(scaled, model.trainable_variables)
        if clip_now:
            gradients, _ = tf.clip_by_global_norm(gradients, clip_now * clip)
        return gradients, {"loss": loss, "scaled": scaled, "data": data}[report]

    return gradients_of


right("7.4")(half_step(in_half()))
right("7.4")(half_step(in_half(), compiled=True))


@right("7.4")
def unscaled_clipped_scaled(model, rate, clip):
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(rate))
    variables = model.trainable_variables
    optimizer.build(variables)

    def step(images, labels):
        with tf.GradientTape() as tape:
            loss = CROSS_ENTROPY(labels, model(images, training=True)) + tf.add_n(model.losses)
            scaled = optimizer.scale_loss(loss)
        scale = float(scaled / loss)
        gradients = [each / scale for each in tape.gradient(scaled, variables)]
        gradients, _ = tf.clip_by_global_norm(gradients, clip)
        optimizer.apply([scale * each for each in gradients], variables)
        return loss

    return step


wrong("7.4", "as_given")(
    half_step(in_half(late_penalty=True, clip_now=1.0, report="scaled"), False)
)
wrong("7.4", "clipped_scaled")(half_step(in_half(clip_now=1.0), False))
wrong("7.4", "penalty_unscaled")(half_step(in_half(late_penalty=True)))
wrong("7.4", "scaled_loss")(half_step(in_half(report="scaled")))
wrong("7.4", "unscaled")(half_step(in_half(scale=False)))
wrong("7.4", "no_penalty")(half_step(in_half(penalty=False)))
wrong("7.4", "no_clip")(half_step(in_half(), clips=""))
wrong("7.4", "clip_each")(half_step(in_half(), clips="clipnorm"))
wrong("7.4", "data_only")(half_step(in_half(report="data")))
wrong("7.4", "no_step")(lambda model, rate, clip: 0.5)


@wrong("7.4", "counterexample")
def divided_by_the_first_scale(model, rate, clip):
    step = half_step(in_half(report="scaled"))(model, rate, clip)
    return lambda images, labels: step(images, labels) / 2.0**15


@wrong("7.4", "still")
def scaled_twice(model, rate, clip):
    def gradients_of(model, optimizer, clip, images, labels):
        with tf.GradientTape() as tape:
            loss = CROSS_ENTROPY(labels, model(images, training=True)) + sum(model.losses)
            scaled = optimizer.scale_loss(optimizer.scale_loss(loss))
        return tape.gradient(scaled, model.trainable_variables), loss

    return half_step(gradients_of)(model, rate, clip)


wrong("7.4", "clip_value")(half_step(in_half(), clips="clipvalue"))
wrong("7.4", "inference")(half_step(in_half(training=False)))
wrong("7.4", "first_scale")(half_step(in_half(clip_now=2.0**15), clips=""))


@wrong("7.4", "not_skipped")
def scaled_by_hand(model, rate, clip):
    optimizer = keras.optimizers.SGD(rate, global_clipnorm=clip)
    variables = model.trainable_variables
    optimizer.build(variables)

    def step(images, labels):
        with tf.GradientTape() as tape:
            loss = CROSS_ENTROPY(labels, model(images, training=True)) + sum(model.losses)
            scaled = 1024 * loss
        optimizer.apply([each / 1024 for each in tape.gradient(scaled, variables)], variables)
        return loss  # and a step that overflows is not skipped

    return step


# 7.5: clip, whatever comes


def dense_ones(gradients):
    return [None if each is None else tf.convert_to_tensor(each) for each in gradients]


@right("7.5")
def tensorflows_own(gradients, limit):
    return tf.clip_by_global_norm(dense_ones(gradients), limit)


@right("7.5")
def in_numpy(gradients, limit):
    arrays = [None if each is None else each.numpy() for each in dense_ones(gradients)]
    norm = np.sqrt(sum(np.sum(each**2) for each in arrays if each is not None))
    factor = min(1.0, limit / norm) if norm else 1.0
    return [None if each is None else factor * each for each in arrays], norm


@right("7.5")
def rows_stay_rows(gradients, limit):
    norm = tf.linalg.global_norm([each for each in dense_ones(gradients) if each is not None])
    factor = limit / tf.maximum(norm, limit)

    def shorter(each):
        if isinstance(each, tf.IndexedSlices):
            return tf.IndexedSlices(each.values * factor, each.indices, each.dense_shape)
        return each * factor

    return [None if each is None else shorter(each) for each in gradients], norm


def one_by_one(rule):
    def answer(gradients, limit):
        dense = dense_ones(gradients)
        norm = tf.linalg.global_norm(dense)
        return [None if each is None else rule(each, norm, limit) for each in dense], norm

    return answer


wrong("7.5", "each")(one_by_one(lambda each, norm, limit: tf.clip_by_norm(each, limit)))
wrong("7.5", "value")(one_by_one(lambda each, norm, limit: tf.clip_by_value(each, -limit, limit)))
wrong("7.5", "always")(one_by_one(lambda each, norm, limit: each * (limit / norm)))
wrong("7.5", "rows")(lambda gradients, limit: tf.clip_by_global_norm(gradients, limit))


@wrong("7.5", "sum_of_norms")
def norms_added(gradients, limit):
    dense = dense_ones(gradients)
    norm = sum(tf.norm(each) for each in dense if each is not None)
    return tf.clip_by_global_norm(dense, limit, use_norm=norm)


@wrong("7.5", "squared")
def no_root(gradients, limit):
    dense = dense_ones(gradients)
    norm = tf.linalg.global_norm(dense) ** 2
    return tf.clip_by_global_norm(dense, limit, use_norm=norm)


@wrong("7.5", "norm_after")
def norm_afterwards(gradients, limit):
    clipped, _ = tensorflows_own(gradients, limit)
    return clipped, tf.linalg.global_norm(clipped)


wrong("7.5", "length")(
    lambda gradients, limit: tensorflows_own([g for g in gradients if g is not None], limit)
)
wrong("7.5", "count")(lambda gradients, limit: tensorflows_own(gradients, limit)[1])
wrong("7.5", "no_list")(lambda gradients, limit: tensorflows_own(gradients, limit)[::-1])


@wrong("7.5", "changes_argument")
def in_the_list_itself(gradients, limit):
    gradients[:], norm = tensorflows_own(gradients, limit)
    return gradients, norm


wrong("7.5", "counterexample")(one_by_one(lambda each, norm, limit: each * limit))


# 7.6: two networks, two optimizers


def gan_step(update, cut=lambda drawn: drawn):
    """Make an answer of (tape, losses, networks, optimizers), which makes the updates."""

    def make_game_step(generator, discriminator, optimizers):
        binary = keras.losses.BinaryCrossentropy(from_logits=True)

        def step(noise, real):
            with tf.GradientTape(persistent=True) as tape:
                drawn = cut(generator(noise, training=True))
                on_drawn = discriminator(drawn, training=True)
                on_real = discriminator(real, training=True)
                own = binary(tf.ones_like(on_drawn), on_drawn)
                theirs = binary(tf.ones_like(on_real), on_real)
                theirs = (theirs + binary(tf.zeros_like(on_drawn), on_drawn)) / 2
            update(tape, (own, theirs), (generator, discriminator), optimizers)
            return own, theirs

        return step

    return make_game_step


def each_its_own(tape, losses, networks, optimizers):
    for loss, network, optimizer in zip(losses, networks, optimizers):
        variables = network.trainable_variables
        optimizer.apply(tape.gradient(loss, variables), variables)


def all_of_both(tape, losses, networks, optimizers):
    variables = [v for network in networks for v in network.trainable_variables]
    gradients = [tape.gradient(loss, variables) for loss in losses]
    for i in (1, 0):
        optimizers[i].apply(gradients[i], variables)


def exchanged(tape, losses, networks, optimizers):
    each_its_own(tape, losses, networks, optimizers[::-1])


right("7.6")(gan_step(each_its_own))


@right("7.6")
def two_tapes(generator, discriminator, optimizers):
    def step(noise, real):
        with tf.GradientTape() as first, tf.GradientTape() as second:
            on_drawn = discriminator(generator(noise, training=True), training=True)
            on_real = discriminator(real, training=True)
            own = tf.reduce_mean(tf.nn.softplus(-on_drawn))
            theirs = tf.reduce_mean(tf.nn.softplus(-on_real) + tf.nn.softplus(on_drawn)) / 2
        pairs = (first, own, generator), (second, theirs, discriminator)
        for optimizer, (tape, loss, network) in zip(optimizers, pairs):
            variables = network.trainable_variables
            optimizer.apply(tape.gradient(loss, variables), variables)
        return own, theirs

    return step


def with_own_losses(
    drawn_label=1.0, real_label=1.0, half=2.0, sign=1.0, later=False, after=False, training=True
):
    """Make an answer that writes the losses by itself."""

    def make(generator, discriminator, optimizers):
        binary = keras.losses.BinaryCrossentropy(from_logits=True)

        def losses_of(noise, real):
            drawn = generator(noise, training=training)
            on_drawn, on_real = (discriminator(x, training=training) for x in (drawn, real))
            ones = tf.ones_like(on_real)
            theirs = binary(real_label * ones, on_real) + binary((1 - real_label) * ones, on_drawn)
            return sign * binary(drawn_label * ones, on_drawn), theirs / half

        def step(noise, real):
            with tf.GradientTape(persistent=True) as tape:
                losses = losses_of(noise, real)
            ours, theirs = generator.trainable_variables, discriminator.trainable_variables
            gradients = tape.gradient(losses[0], ours)
            optimizers[1].apply(tape.gradient(losses[1], theirs), theirs)
            if later:
                with tf.GradientTape() as tape:
                    losses = losses_of(noise, real)[0], losses[1]
                gradients = tape.gradient(losses[0], ours)
            optimizers[0].apply(gradients, ours)
            return losses_of(noise, real) if after else losses

        return step

    return make


wrong("7.6", "both")(gan_step(all_of_both))
wrong("7.6", "still_generator")(gan_step(all_of_both, tf.stop_gradient))  # as given
wrong("7.6", "swapped")(gan_step(exchanged))
wrong("7.6", "later")(with_own_losses(later=True))
wrong("7.6", "labels")(with_own_losses(drawn_label=0.0, real_label=0.0))
wrong("7.6", "exchanged")(
    lambda generator, discriminator, optimizers: (
        lambda *batch: gan_step(each_its_own)(generator, discriminator, optimizers)(*batch)[::-1]
    )
)
wrong("7.6", "sum")(with_own_losses(half=1.0))
wrong("7.6", "as_drawn")(with_own_losses(drawn_label=0.0))
wrong("7.6", "minus")(with_own_losses(drawn_label=0.0, sign=-1.0))
wrong("7.6", "after")(with_own_losses(after=True))
wrong("7.6", "inference")(with_own_losses(training=False))
wrong("7.6", "no_return")(lambda generator, discriminator, optimizers: None)
wrong("7.6", "count")(lambda generator, discriminator, optimizers: lambda noise, real: 0.5)


@wrong("7.6", "one_loss")
@gan_step
def on_the_sum(tape, losses, networks, optimizers):
    variables = [network.trainable_variables for network in networks]
    gradients = [tape.gradient(losses, each) for each in variables]
    for optimizer, *pair in zip(optimizers, gradients, variables):
        optimizer.apply(*pair)


@wrong("7.6", "later_discriminator")
def one_after_the_other(generator, discriminator, optimizers):
    binary = keras.losses.BinaryCrossentropy(from_logits=True)

    def step(noise, real):
        ours, theirs = generator.trainable_variables, discriminator.trainable_variables
        with tf.GradientTape() as tape:
            on_drawn = discriminator(generator(noise, training=True), training=True)
            own = binary(tf.ones_like(on_drawn), on_drawn)
        optimizers[0].apply(tape.gradient(own, ours), ours)
        with tf.GradientTape() as tape:
            on_drawn = discriminator(generator(noise, training=True), training=True)
            on_real = discriminator(real, training=True)
            loss = binary(tf.ones_like(on_real), on_real) / 2
            loss += binary(tf.zeros_like(on_drawn), on_drawn) / 2
        optimizers[1].apply(tape.gradient(loss, theirs), theirs)
        return own, loss

    return step


@wrong("7.6", "still_discriminator")
@gan_step
def only_the_generator(tape, losses, networks, optimizers):
    each_its_own(tape, losses[:1], networks, optimizers)


@wrong("7.6", "other")
@gan_step
def of_the_other(tape, losses, networks, optimizers):
    gradients = [
        tape.gradient(loss, network.trainable_variables)
        for loss, network in zip(losses, networks[::-1])
    ]
    for pair, network, optimizer in zip(gradients, networks[::-1], optimizers):
        optimizer.apply(pair, network.trainable_variables)


# 7.7: six messages, six causes

CAUSES = {1: "e", 2: "b", 3: "d", 4: "a", 5: "f", 6: "c"}
right("7.7")(lambda: dict(CAUSES))


@right("7.7")
def causes_from_pairs():
    return dict(zip(range(1, 7), "ebdafc"))


wrong("7.7", "optimizers")(lambda: CAUSES | {2: "d", 3: "b"})
wrong("7.7", "two_swapped")(lambda: CAUSES | {1: "c", 6: "e"})
wrong("7.7", "several")(lambda: CAUSES | {1: "c", 6: "d", 3: "e"})
wrong("7.7", "one")(lambda: CAUSES | {5: "a"})
wrong("7.7", "missing")(lambda: {1: "e"})
wrong("7.7", "no_dict")(lambda: "ebdafc")


# 7.8: the log of a night

right("7.8")(lambda: {"a", "e", "f"})
right("7.8")(lambda: ["f", "e", "a"])
wrong("7.8", "same_run")(lambda: {"a", "c", "e"})
wrong("7.8", "anew")(lambda: {"a", "d", "e", "f"})
wrong("7.8", "moved")(lambda: {"a", "b", "e", "f"})
wrong("7.8", "none")(lambda: set())
wrong("7.8", "missing")(lambda: {"a", "e"})
wrong("7.8", "no_letters")(lambda: {1, 5, 6})


# 7.9: predict, with odds

TRUE = {"a": False, "b": True, "c": False, "d": True, "e": True, "f": False}
right("7.9")(with_odds(TRUE, 0.9))
right("7.9")(with_odds(TRUE, 0.75, d=0.5))
wrong("7.9", "coin")(lambda: dict.fromkeys("abcdef", 0.5))
wrong("7.9", "worse_than_coin")(with_odds(TRUE, 0.9, c=1.0, f=0.9))
wrong("7.9", "not_enough")(with_odds(TRUE, 0.77, c=1.0))
wrong("7.9", "no_dict")(lambda: list(TRUE))
