"""Answers to the exercises of chapter 05."""

import numpy as np
import pandas as pd
from answers import right, with_odds, wrong

import keras
import tensorflow as tf

CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

# 5.1: the mean of an epoch


@right("5.1")
def average(losses, sizes):
    return np.average(losses, weights=sizes)


@right("5.1")
def by_operators(losses, sizes):
    return (losses * sizes).sum() / sizes.sum()


@right("5.1")
def in_a_loop(losses, sizes):
    total = images = 0
    for loss, size in zip(losses, sizes):
        total += loss * size
        images += size
    return total / images


@right("5.1")
def as_tensors(losses, sizes):
    weights = tf.cast(sizes, tf.float32) / float(np.sum(sizes))
    return tf.tensordot(tf.cast(losses, tf.float32), weights, 1)


wrong("5.1", "unweighted")(lambda losses, sizes: np.mean(losses))
wrong("5.1", "total")(lambda losses, sizes: np.dot(losses, sizes))
wrong("5.1", "sum_of_means")(lambda losses, sizes: sum(losses))
wrong("5.1", "largest")(lambda losses, sizes: np.dot(losses, sizes) / (len(sizes) * max(sizes)))
wrong("5.1", "by_steps")(lambda losses, sizes: np.mean(np.multiply(losses, sizes)))
wrong("5.1", "all_but_last")(
    lambda losses, sizes: (
        (sizes[0] * losses[:-1].sum() + sizes[-1] * losses[-1])
        / (sizes[0] * (len(sizes) - 1) + sizes[-1])
    )
)
wrong("5.1", "counterexample")(lambda losses, sizes: np.median(losses) * 1.1)


# 5.2: where each point belongs


@right("5.2")
def in_loops(sizes, epochs):
    steps, means, validations, seen, n = [], [], [], 0, sum(sizes)
    for epoch in range(epochs):
        for size in sizes:
            steps.append(seen / n)
            seen += size
        means.append((epoch + epoch + 1) / 2)
        validations.append(epoch + 1)
    return steps, means, validations


@right("5.2")
def in_arrays(sizes, epochs):
    all_sizes = np.tile(sizes, epochs)
    steps = (np.cumsum(all_sizes) - all_sizes) / np.sum(sizes)
    return [steps, np.arange(epochs) + np.float32(0.5), np.arange(1, epochs + 1)]


def placed(steps=None, means=None, validations=None):
    """Make an answer that is right but for some of its lists."""

    def answer(sizes, epochs):
        parts = in_arrays(sizes, epochs)
        for i, part in enumerate((steps, means, validations)):
            parts[i] = part(np.array(sizes), epochs) if part else parts[i]
        return parts

    return answer


def after_each_step(sizes, epochs):
    return np.cumsum(np.tile(sizes, epochs)) / sizes.sum()


def counted_steps(sizes, epochs):
    return np.arange(len(sizes) * epochs) / len(sizes)


wrong("5.2", "after")(placed(steps=after_each_step))
wrong("5.2", "equal_steps")(placed(steps=counted_steps))
wrong("5.2", "not_in_epochs")(placed(steps=lambda s, e: np.arange(len(s) * e)))
wrong("5.2", "not_in_epochs")(placed(steps=lambda s, e: in_arrays(s, e)[0] * s.sum()))
wrong("5.2", "first_epoch_only")(
    placed(steps=lambda s, e: np.tile((np.cumsum(s) - s) / s.sum(), e))
)
wrong("5.2", "counterexample")(placed(steps=lambda s, e: (np.cumsum(s)[:-1] - s[:-1]) / s.sum()))
wrong("5.2", "middle")(placed(steps=lambda s, e: in_arrays(s, e)[0] + np.tile(s, e) / s.sum() / 2))
wrong("5.2", "images")(lambda s, e: [sum(s) * part for part in in_arrays(s, e)])
wrong("5.2", "mean_of_steps")(
    placed(means=lambda s, e: [part.mean() for part in np.split(in_arrays(s, e)[0], e)])
)
wrong("5.2", "first_size")(
    placed(
        steps=lambda s, e: np.add.outer(np.arange(e), np.arange(len(s)) * s[0] / s.sum()).ravel()
    )
)
wrong("5.2", "counterexample")(placed(steps=lambda s, e: in_arrays(s, e)[0].reshape(e, -1)))
wrong("5.2", "counterexample")(placed(means=lambda s, e: 0.5 if e == 1 else np.arange(e) + 0.5))
wrong("5.2", "mean_at_end")(placed(means=lambda s, e: np.arange(1, e + 1)))
wrong("5.2", "mean_at_end")(placed(means=lambda s, e: np.arange(e)))
wrong("5.2", "validation")(placed(validations=lambda s, e: np.arange(e)))
wrong("5.2", "validation")(placed(validations=lambda s, e: np.arange(e) + 0.5))
wrong("5.2", "offset")(placed(steps=lambda s, e: in_arrays(s, e)[0] + 0.25))
wrong("5.2", "count")(lambda sizes, epochs: in_arrays(sizes, epochs)[0])
wrong("5.2", "count")(lambda sizes, epochs: in_arrays(sizes, epochs)[:2])


# 5.3: repair a training step


def step_maker(step):
    """Make an answer of a function (model, optimizer, images, labels) -> loss."""

    def make_step(model, optimizer):
        optimizer.build(model.trainable_variables)
        return lambda images, labels: step(model, optimizer, images, labels)

    return make_step


@right("5.3")
@step_maker
def mean_of_the_function(model, optimizer, images, labels):
    with tf.GradientTape() as tape:
        logits = model(images, training=True)
        losses = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
        loss = tf.reduce_mean(losses)
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    return loss


@right("5.3")
def compiled(model, optimizer):
    optimizer.build(model.trainable_variables)

    @tf.function
    def step(images, labels):
        with tf.GradientTape() as tape:
            log = tf.nn.log_softmax(model(images, training=True))
            loss = -tf.reduce_mean(tf.gather(log, labels, batch_dims=1))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        return loss

    return step


@right("5.3")
@step_maker
def with_softmax(model, optimizer, images, labels):
    with tf.GradientTape() as tape:
        probabilities = tf.nn.softmax(model(images, training=True))
        loss = keras.losses.SparseCategoricalCrossentropy()(labels, probabilities)
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply(gradients, model.trainable_variables)
    return loss.numpy()


@wrong("5.3", "training")
@step_maker
def as_given(model, optimizer, images, labels):
    with tf.GradientTape() as tape:
        outputs = model(images)
        losses = keras.losses.sparse_categorical_crossentropy(labels, outputs)
    gradients = tape.gradient(losses, model.trainable_variables)
    optimizer.apply(gradients, model.trainable_variables)
    return tf.reduce_mean(losses)


@wrong("5.3", "logits")
@step_maker
def as_probabilities(model, optimizer, images, labels):
    with tf.GradientTape() as tape:
        loss_function = keras.losses.SparseCategoricalCrossentropy()
        loss = loss_function(labels, model(images, training=True))
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply(gradients, model.trainable_variables)
    return loss


@wrong("5.3", "training")
@step_maker
def without_training(model, optimizer, images, labels):
    with tf.GradientTape() as tape:
        loss = CROSS_ENTROPY(labels, model(images))
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply(gradients, model.trainable_variables)
    return loss


def variant(
    divide=1.0,
    of_loss=tf.reduce_mean,
    of_gradient=tf.reduce_mean,
    sign=1.0,
    late=False,
    mode_of_loss=None,
):
    """Make a step with faults in its loss or gradient."""

    @step_maker
    def step(model, optimizer, images, labels):
        with tf.GradientTape() as tape:
            logits = model(images, training=True)
            losses = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
            loss = of_gradient(losses) * sign
        if mode_of_loss is not None:
            losses = CROSS_ENTROPY(labels, model(images, training=mode_of_loss))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply([g / divide for g in gradients], model.trainable_variables)
        if late:
            return CROSS_ENTROPY(labels, model(images, training=False))
        return of_loss(losses)

    return step


wrong("5.3", "summed_loss")(variant(of_loss=tf.reduce_sum, of_gradient=tf.reduce_sum))
wrong("5.3", "summed_gradient")(variant(of_gradient=tf.reduce_sum))
wrong("5.3", "summed_gradient")(variant(of_gradient=tf.identity))
wrong("5.3", "uphill")(variant(sign=-1.0))
wrong("5.3", "factor")(variant(divide=3.0))
wrong("5.3", "no_number")(variant(of_loss=tf.identity))
wrong("5.3", "divided_twice")(
    variant(of_gradient=lambda losses: tf.reduce_mean(losses) / len(losses))
)


@wrong("5.3", "softmax_twice")
@step_maker
def softmax_twice(model, optimizer, images, labels):
    with tf.GradientTape() as tape:
        probabilities = tf.nn.softmax(model(images, training=True))
        loss = CROSS_ENTROPY(labels, probabilities)
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply(gradients, model.trainable_variables)
    return loss


@wrong("5.3", "last_layer")
def only_the_last(model, optimizer):
    return last_layer_step(last_variables, training=True)(model, optimizer)


wrong("5.3", "mode_of_loss")(variant(late=True))
wrong("5.3", "mode_of_loss")(variant(mode_of_loss=False))


@wrong("5.3", "mode_of_loss")
@step_maker
def loss_first(model, optimizer, images, labels):
    loss = CROSS_ENTROPY(labels, model(images, training=False))
    mean_of_the_function(model, optimizer)(images, labels)
    return loss


wrong("5.3", "averages")(variant(mode_of_loss=True))


@wrong("5.3", "late_loss")
@step_maker
def loss_of_the_new_weights(model, optimizer, images, labels):
    mean_of_the_function(model, optimizer)(images, labels)
    return CROSS_ENTROPY(labels, model(images, training=True))


@wrong("5.3", "memory")
@step_maker
def by_hand(model, optimizer, images, labels):
    with tf.GradientTape() as tape:
        loss = CROSS_ENTROPY(labels, model(images, training=True))
    variables = model.trainable_variables
    for variable, gradient in zip(variables, tape.gradient(loss, variables)):
        variable.assign_sub(optimizer.learning_rate * gradient)
    return loss


@wrong("5.3", "memory")
@step_maker
def a_new_optimizer_each_time(model, optimizer, images, labels):
    new = type(optimizer).from_config(optimizer.get_config())
    return mean_of_the_function(model, new)(images, labels)


@wrong("5.3", "later_loss")
def running_mean(model, optimizer):
    step, mean = mean_of_the_function(model, optimizer), keras.metrics.Mean()

    def and_remember(images, labels):
        mean.update_state(step(images, labels))
        return mean.result()

    return and_remember


@wrong("5.3", "no_update")
@step_maker
def only_looks(model, optimizer, images, labels):
    return CROSS_ENTROPY(labels, model(images, training=True))


@wrong("5.3", "no_step")
def returns_a_loss(model, optimizer):
    return 0.5


@wrong("5.3", "no_return")
def step_without_return(model, optimizer):
    make = mean_of_the_function(model, optimizer)

    def step(images, labels):
        make(images, labels)

    return step


# 5.4: train only the last layer


@right("5.4")
def frozen(model, optimizer):
    for layer in model.layers[:-1]:
        layer.trainable = False
    variables = model.trainable_variables
    optimizer.build(variables)

    def step(images, labels):
        with tf.GradientTape() as tape:
            loss = CROSS_ENTROPY(labels, model(images))
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    return step


@right("5.4")
def features_first(model, optimizer):
    features = keras.Sequential(model.layers[:-1])
    last = model.layers[-1]
    optimizer.build(last.trainable_variables)

    def step(images, labels):
        inputs = features(images, training=False)
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, last(inputs))
            loss = tf.reduce_mean(losses)
        gradients = tape.gradient(loss, last.trainable_variables)
        optimizer.apply_gradients(zip(gradients, last.trainable_variables))
        return loss

    return step


def last_layer_step(choose, training=False, weight=1.0):
    """Make a step of the variables that `choose` takes from a model."""

    def make_step(model, optimizer):
        variables = choose(model)
        optimizer.build(variables)

        def step(images, labels):
            with tf.GradientTape() as tape:
                loss = CROSS_ENTROPY(labels, model(images, training=training))
                weighted = loss * weight
            optimizer.apply(tape.gradient(weighted, variables), variables)
            return loss

        return step

    return make_step


def last_variables(model):
    return model.layers[-1].trainable_variables


wrong("5.4", "others")(last_layer_step(lambda model: model.trainable_variables))
wrong("5.4", "others")(last_layer_step(lambda model: model.trainable_variables[2:]))
wrong("5.4", "statistics")(last_layer_step(last_variables, training=True))
wrong("5.4", "one_variable")(last_layer_step(lambda model: model.trainable_variables[-1:]))
wrong("5.4", "counterexample")(last_layer_step(last_variables, weight=8.0))
wrong("5.4", "no_update")(lambda m, o: lambda x, y: CROSS_ENTROPY(y, m(x, training=False)))
wrong("5.4", "no_return")(lambda model, optimizer: None)


@wrong("5.4", "others")
def zeros_for_the_rest(model, optimizer):
    variables = model.trainable_variables
    optimizer.build(variables)

    def step(images, labels):
        with tf.GradientTape() as tape:
            loss = CROSS_ENTROPY(labels, model(images, training=False))
        *below, kernel, bias = tape.gradient(loss, variables)
        optimizer.apply([*map(tf.zeros_like, below), kernel, bias], variables)
        return loss

    return step


@wrong("5.4", "memory")
def last_layer_by_hand(model, optimizer):
    def step(images, labels):
        with tf.GradientTape() as tape:
            loss = CROSS_ENTROPY(labels, model(images, training=False))
        last = last_variables(model)
        for variable, gradient in zip(last, tape.gradient(loss, last)):
            variable.assign_sub(0.1 * gradient)
        return loss

    return step


def of_losses(losses_of, reduce):
    """Make a step of the last layer, with a loss of its own."""

    def make_step(model, optimizer):
        variables = last_variables(model)

        def step(images, labels):
            with tf.GradientTape() as tape:
                losses = losses_of(labels, model(images, training=False))
                target = reduce(losses)
            optimizer.apply(tape.gradient(target, variables), variables)
            return tf.reduce_mean(losses)

        return step

    return make_step


sparse = keras.losses.sparse_categorical_crossentropy
wrong("5.4", "logits")(of_losses(sparse, tf.reduce_mean))
wrong("5.4", "summed_gradient")(
    of_losses(lambda y, z: sparse(y, z, from_logits=True), tf.identity)
)


@wrong("5.4", "memory")
def new_optimizer_each_time(model, optimizer):
    def step(images, labels):
        new = type(optimizer).from_config(optimizer.get_config())
        return last_layer_step(last_variables)(model, new)(images, labels)

    return step


@wrong("5.4", "mode_of_loss")
def averages_put_back(model, optimizer):
    step = last_layer_step(last_variables, training=True)(model, optimizer)
    averages = model.non_trainable_variables

    def and_back(images, labels):
        before = [average.numpy() for average in averages]
        loss = step(images, labels)
        for average, value in zip(averages, before):
            average.assign(value)
        return loss

    return and_back


@wrong("5.4", "late_loss")
def loss_after_the_update(model, optimizer):
    step = frozen(model, optimizer)

    def late(images, labels):
        step(images, labels)
        return CROSS_ENTROPY(labels, model(images))

    return late


# 5.5: how good is it?


@right("5.5")
def by_predict(model, images, labels, batch_size):
    logits = model.predict(images, batch_size=batch_size, verbose=0)
    return np.mean(logits.argmax(axis=1) == labels)


@right("5.5")
def by_dataset(model, images, labels, batch_size):
    right = tf.constant(0.0)
    for x, y in tf.data.Dataset.from_tensor_slices((images, labels)).batch(batch_size):
        right += tf.reduce_sum(tf.cast(tf.argmax(model(x), 1) == y, tf.float32))
    return right / len(labels)


@right("5.5")
def by_evaluate(model, images, labels, batch_size):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(loss=loss, metrics=["accuracy"])
    return model.evaluate(images, labels, batch_size, verbose=0)[1]


@right("5.5")
def compiled_by_xla(model, images, labels, batch_size):
    predict = tf.function(lambda x: tf.argmax(model(x, training=False), -1), jit_compile=True)
    found = [predict(batch) for batch, _ in batches_of(images, labels, batch_size)]
    return np.mean(np.concatenate(found) == labels)


@right("5.5")
def weighted(model, images, labels, batch_size):
    shares, sizes = [], []
    for i in range(0, len(images), batch_size):
        x, y = images[i : i + batch_size], labels[i : i + batch_size]
        shares.append(np.mean(model(x, training=False).numpy().argmax(-1) == y))
        sizes.append(len(y))
    return np.average(shares, weights=sizes)


def batches_of(images, labels, batch_size):
    for i in range(0, len(images), batch_size):
        yield images[i : i + batch_size], labels[i : i + batch_size]


def hits(model, batch, training=False, axis=-1):
    x, y = batch
    return np.argmax(model(x, training=training), axis=axis) == y


@wrong("5.5", "mean_of_batches")
def mean_of_means(model, *data):
    return np.mean([hits(model, batch).mean() for batch in batches_of(*data)])


@wrong("5.5", "training_mode")
def in_training_mode(model, *data):
    return np.concatenate(
        [hits(model, batch, training=True) for batch in batches_of(*data)]
    ).mean()


@wrong("5.5", "last_batch")
def full_batches_only(model, images, labels, batch_size):
    n = len(images) // batch_size * batch_size
    return by_predict(model, images[:n], labels[:n], batch_size)


@wrong("5.5", "last_batch")
def divided_by_all(model, images, labels, batch_size):
    n = len(images) // batch_size * batch_size
    return full_batches_only(model, images, labels, batch_size) * n / len(images)


@wrong("5.5", "full_batches")
def divided_by_steps(model, images, labels, batch_size):
    found = [
        hits(model, batch).sum() / batch_size for batch in batches_of(images, labels, batch_size)
    ]
    return np.mean(found)


wrong("5.5", "percent")(lambda *data: 100 * by_predict(*data))
wrong("5.5", "number")(lambda *data: by_predict(*data) * len(data[2]))
wrong("5.5", "errors")(lambda *data: 1 - by_predict(*data))


@wrong("5.5", "one_batch")
def first_batch_only(model, *data):
    return hits(model, next(batches_of(*data))).mean()


@wrong("5.5", "one_batch")
def overwritten(model, *data):
    for batch in batches_of(*data):
        accuracy = hits(model, batch).mean()
    return accuracy


@wrong("5.5", "counterexample")
def the_rest_apart(model, images, labels, batch_size):
    """Where the sizes fit, the rest is empty, and images[-0:] is everything."""
    n = len(images) // batch_size * batch_size
    right = by_predict(model, images[:n], labels[:n], batch_size) * n
    rest = len(images) % batch_size
    return (right + hits(model, (images[-rest:], labels[-rest:])).sum()) / len(images)


@wrong("5.5", "counterexample")
def above_one_half(model, images, labels, batch_size):
    right = 0
    for x, y in batches_of(images, labels, batch_size):
        logits = model(x, training=False).numpy()
        right += np.sum(logits[np.arange(len(y)), y] > 0.5)
    return right / len(labels)


@wrong("5.5", "one_batch")
def assigned_for_added(model, *data):
    for batch in batches_of(*data):
        right = hits(model, batch).sum()
    return right / len(data[1])


@wrong("5.5", "one_batch")
def returns_in_the_loop(model, *data):
    for batch in batches_of(*data):
        return hits(model, batch).sum() / len(data[1])


@wrong("5.5", "too_many")
def evaluated(model, images, labels, batch_size):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(loss=loss, metrics=["accuracy"])
    return model.evaluate(images, labels, verbose=0)[1]


@wrong("5.5", "too_many")
def all_at_once(model, images, labels, batch_size):
    return hits(model, (images, labels)).mean()


@wrong("5.5", "too_many")
def batches_of_keras(model, images, labels, batch_size):
    return np.mean(model.predict(images, verbose=0).argmax(axis=1) == labels)


# 5.6: a mean that doesn't lag


@right("5.6")
def with_pandas(losses, window):
    return pd.Series(losses).rolling(window, center=True, min_periods=1).mean()


@right("5.6")
def by_convolution(losses, window):
    ones = np.ones(window)
    return np.convolve(losses, ones, "same") / np.convolve(np.ones(len(losses)), ones, "same")


@right("5.6")
def in_float32(losses, window):
    half, losses = window // 2, np.asarray(losses, "float32")
    starts = [max(0, i - half) for i in range(len(losses))]
    return [losses[start : i + half + 1].mean() for i, start in enumerate(starts)]


@wrong("5.6", "lags")
def trailing(losses, window):
    return pd.Series(losses).rolling(window, min_periods=1).mean()


@wrong("5.6", "leads")
def leading(losses, window):
    return trailing(losses[::-1], window)[::-1]


@wrong("5.6", "zeros")
def zero_padded(losses, window):
    return np.convolve(losses, np.ones(window) / window, "same")


@wrong("5.6", "short")
def whole_windows_only(losses, window):
    return np.convolve(losses, np.ones(window) / window, "valid")


@wrong("5.6", "ends")
def ends_as_they_are(losses, window):
    half, smoothed = window // 2, np.array(losses)
    for i in range(half, len(losses) - half):
        smoothed[i] = np.mean(losses[i - half : i + half + 1])
    return smoothed


@wrong("5.6", "negative_start")
def negative_start(losses, window):
    half = window // 2
    return [np.mean(losses[i - half : i + half + 1]) for i in range(len(losses))]


@wrong("5.6", "width")
def last_one_left_out(losses, window):
    half = window // 2
    return [np.mean(losses[max(0, i - half) : max(1, i + half)]) for i in range(len(losses))]


@wrong("5.6", "width")
def twice_as_wide(losses, window):
    return [np.mean(losses[max(0, i - window) : i + window + 1]) for i in range(len(losses))]


@wrong("5.6", "short")
def nothing_at_the_ends(losses, window):
    return pd.Series(losses).rolling(window, center=True).mean()


@wrong("5.6", "padded")
def ends_repeated(losses, window):
    repeated = np.pad(losses, window // 2, mode="edge")
    return np.convolve(repeated, np.ones(window) / window, "valid")


@wrong("5.6", "shrinks")
def smaller_near_the_ends(losses, window):
    found = []
    for i in range(len(losses)):
        k = min(window // 2, i, len(losses) - 1 - i)
        found.append(losses[i - k : i + k + 1].mean())
    return found


@wrong("5.6", "width")
def always_three(losses, window):
    return pd.Series(losses).rolling(3, center=True, min_periods=1).mean()


@wrong("5.6", "exponential")
def exponential(losses, window):
    return pd.Series(losses).ewm(span=window).mean()


@wrong("5.6", "median")
def medians(losses, window):
    return pd.Series(losses).rolling(window, center=True, min_periods=1).median()


@wrong("5.6", "as_they_are")
def as_they_are(losses, window):
    return losses


@wrong("5.6", "sums")
def not_divided(losses, window):
    return pd.Series(losses).rolling(window, center=True, min_periods=1).sum()


@wrong("5.6", "in_place")
def written_over(losses, window):
    half = window // 2
    for i in range(len(losses)):
        losses[i] = np.mean(losses[max(0, i - half) : i + half + 1])
    return losses


@wrong("5.6", "counterexample")
def pooled(losses, window):
    return np.array(with_pandas(losses, window))[None, :, None]


# 5.7: six curves, six faults

FAULTS = {1: "c", 2: "f", 3: "a", 4: "e", 5: "b", 6: "d"}
right("5.7")(lambda: FAULTS)
right("5.7")(lambda: dict(enumerate("cfaebd", 1)))
wrong("5.7", "rates")(lambda: FAULTS | {3: "b", 5: "a"})
wrong("5.7", "validation")(lambda: FAULTS | {1: "e", 4: "c"})
wrong("5.7", "one")(lambda: FAULTS | {6: "f"})
wrong("5.7", "several")(lambda: dict(enumerate("abcdef", 1)))
wrong("5.7", "two_swapped")(lambda: FAULTS | {1: "b", 5: "c"})
wrong("5.7", "no_letters")(lambda: FAULTS | {6: "D"})
wrong("5.7", "no_number")(lambda: dict(enumerate("cfaebd")))
wrong("5.7", "missing")(lambda: {1: "c"})


# 5.8: who is taken for whom?


@right("5.8")
def counted_one_by_one(labels, predictions, classes):
    counts = [[0] * classes for _ in range(classes)]
    for label, prediction in zip(labels, predictions):
        counts[label][prediction] += 1
    return counts


@right("5.8")
def by_tensorflow(labels, predictions, classes):
    return tf.math.confusion_matrix(labels, predictions, classes)


@right("5.8")
def by_products(labels, predictions, classes):
    return np.eye(classes)[labels].T @ np.eye(classes)[predictions]


wrong("5.8", "transposed")(lambda y, p, n: tf.math.confusion_matrix(p, y, n))
wrong("5.8", "errors_only")(lambda y, p, n: by_products(y, p, n) * (1 - np.eye(n)))
wrong("5.8", "shares")(lambda y, p, n: by_products(y, p, n) / len(y))
wrong("5.8", "classes_seen")(lambda y, p, n: tf.math.confusion_matrix(y, p))
wrong("5.8", "right_only")(lambda y, p, n: np.diag(np.diag(by_products(y, p, n))))
wrong("5.8", "no_numbers")(lambda y, p, n: by_products(y, p, n) > 0)


@wrong("5.8", "shares")
def shares_of_a_row(labels, predictions, classes):
    counts = by_products(labels, predictions, classes)
    return counts / counts.sum(axis=1, keepdims=True)


@wrong("5.8", "one_row")
def one_row_n_times(labels, predictions, classes):
    counts = [[0] * classes] * classes
    for label, prediction in zip(labels, predictions):
        counts[label][prediction] += 1
    return counts


@wrong("5.8", "once")
def added_at_once(labels, predictions, classes):
    counts = np.zeros((classes, classes))
    counts[labels, predictions] += 1
    return counts


# 5.9: when to stop


@right("5.9")
def counting(losses, patience):
    best, best_epoch, waited = float("inf"), 0, 0
    for epoch, loss in enumerate(losses, 1):
        waited += 1
        if loss < best:
            best, best_epoch, waited = loss, epoch, 0
        if waited == patience:
            break
    return epoch, best_epoch


@right("5.9")
def by_running_minimum(losses, patience):
    for end in range(1, len(losses) + 1):
        best = int(np.argmin(losses[:end])) + 1
        if end - best >= patience:
            break
    return np.array([end, best])


@wrong("5.9", "from_zero")
def counted_from_zero(losses, patience):
    end, best = counting(losses, patience)
    return end - 1, best - 1


@wrong("5.9", "last_loss")
def against_the_last(losses, patience):
    waited = 0
    for i in range(1, len(losses)):
        waited = 0 if losses[i] < losses[i - 1] else waited + 1
        if waited == patience:
            return i + 1, int(np.argmin(losses[: i + 1])) + 1
    return len(losses), int(np.argmin(losses)) + 1


wrong("5.9", "off_by_one")(lambda losses, patience: counting(losses, patience + 1))


@wrong("5.9", "best_of_all")
def best_of_the_whole_list(losses, patience):
    return counting(losses, patience)[0], int(np.argmin(losses)) + 1


@wrong("5.9", "ties")
def equal_is_better(losses, patience):
    best, best_epoch, waited = float("inf"), 0, 0
    for epoch, loss in enumerate(losses, 1):
        waited += 1
        if loss <= best:
            best, best_epoch, waited = loss, epoch, 0
        if waited == patience:
            break
    return epoch, best_epoch


wrong("5.9", "never")(lambda losses, patience: (len(losses), int(np.argmin(losses)) + 1))
wrong("5.9", "exchanged")(lambda losses, patience: counting(losses, patience)[::-1])


@wrong("5.9", "no_new_count")
def added_up(losses, patience):
    best, waited = 0, 0
    for i in range(1, len(losses)):
        if losses[i] < losses[best]:
            best = i
        else:
            waited += 1
            if waited == patience:
                return i + 1, best + 1
    return len(losses), best + 1


@wrong("5.9", "counterexample")
def best_from_ten(losses, patience):
    best, best_epoch, waited = 10.0, 0, 0
    for epoch, loss in enumerate(losses, 1):
        waited += 1
        if loss < best:
            best, best_epoch, waited = loss, epoch, 0
        if waited == patience:
            return epoch, best_epoch
    return len(losses), best_epoch


wrong("5.9", "count")(lambda losses, patience: counting(losses, patience)[0])


# 5.10: predict, with odds

TRUE = {"a": True, "b": False, "c": True, "d": False, "e": True, "f": False}

right("5.10")(with_odds(TRUE, 1))
right("5.10")(with_odds(TRUE, 0.8, d=0.7))
wrong("5.10", "coin")(with_odds(TRUE, 0.5))
wrong("5.10", "worse_than_coin")(with_odds(TRUE, 0.2))
wrong("5.10", "not_enough")(with_odds(TRUE, 0.95, a=0.05, b=0.6))
wrong("5.10", "no_return")(lambda: print(TRUE))
