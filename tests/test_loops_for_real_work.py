"""Chapter 07: a run that is killed and goes on; the doctor."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from cells import run_cells
from conftest import ROOT
from helpers import TRAINING_RUN, run_here
from keras import layers
from test_run_recovery import notebook_at

from tiny_run import outcome, rows_of, save_often, tiny_run

from tapecourse import training
from tapecourse.feedback.checking import seed_weights
from tapecourse.loops_for_real_work import (
    CHECKPOINT,
    CheckpointError,
    Saver,
    diagnose,
    load_checkpoint,
    save_checkpoint,
    train_resumably,
)
from tapecourse.support.progress import progress_bar
from tapecourse.training import Trainer

cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


# --- save and resume


def test_killed_at_any_moment_it_ends_the_same(tmp_path):
    """By SIGKILL, before a random step and in the midst of a random save."""
    seed = int(np.random.SeedSequence().entropy % 2**32)
    random = np.random.default_rng(seed)
    kills = f"step,{random.integers(6, 36)}", f"save,{random.integers(0, 2)}", "never,0"
    command = [sys.executable, Path(__file__).with_name("tiny_run.py"), tmp_path / "run", *kills]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment)
    killed, said = f"ended by {-signal.SIGKILL}\n", ended.stdout
    assert ended.returncode == 0 and said.count(killed) == 2, (seed, said, ended.stderr)
    _, resumed, last = said.split(killed)
    assert "resuming at step" in last and last.endswith("the same\nended by 0\n"), (seed, said)


@pytest.mark.parametrize(
    "what, number, saved", [("step", 1, 0), ("step", 17, 66), ("step", 35, 132), ("steps", 5, 86)]
)
def test_stopped_at_any_step_it_ends_the_same(tmp_path, monkeypatch, what, number, saved):
    """Before one of 36 steps of chapter 05's loop, or one of 9 chunks of chapter 06's.

    The bar begins at the images of the last save.
    """

    def stop(*batch):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return step(*batch)

    save_often(monkeypatch.setattr)
    fast = what == "steps"
    run = tiny_run(tmp_path / "run", fast=fast)
    step, left = getattr(run["trainer"], what), iter(range(number))
    setattr(run["trainer"], what, stop)
    with pytest.raises(KeyboardInterrupt):
        train_resumably(**run)
    bars = []
    monkeypatch.setattr(training, "progress_bar", lambda *a: bars.append(a) or progress_bar(*a))
    resumed = outcome(tiny_run(tmp_path / "run", fast=fast))
    assert resumed == outcome(tiny_run(tmp_path / "other", fast=fast))
    assert bars == [(3 * 46, saved), (3 * 46, 0)]
    assert progress_bar(*bars[0]).n == saved


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    train_resumably(**tiny_run(tmp_path, {"rate": 0.1, "tensorflow": "2.21.0"}))
    with pytest.raises(CheckpointError, match=r"run with rate = 0.1, and this one has 0.2. Give"):
        train_resumably(**tiny_run(tmp_path, {"rate": 0.2, "tensorflow": "2.21.0"}))
    (tmp_path / "history.csv").write_text("kind")
    with pytest.raises(CheckpointError, match="history.csv is shorter than at the checkpoint"):
        train_resumably(**tiny_run(tmp_path, {"rate": 0.1}))


def test_a_broken_checkpoint_is_refused_and_changes_nothing(tmp_path):
    path = tmp_path / "state.npz"
    numbers = [tf.Variable([1.0, 2.0]), tf.Variable(3), tf.Variable([4.0], dtype=tf.bfloat16)]
    save_checkpoint(path, numbers, step=7, names=["ä"])
    whole = path.read_bytes()
    for variable in numbers:
        variable.assign(0 * variable)
    for size in range(0, len(whole), 10):
        path.write_bytes(whole[:size])
        with pytest.raises(CheckpointError, match="state.npz is no whole checkpoint"):
            load_checkpoint(path, numbers)
    path.write_bytes(whole)
    others = [tf.Variable([0.0]), tf.Variable([0, 0]), tf.Variable([0.0, 0.0], dtype=tf.float64)]
    for other in others:
        with pytest.raises(CheckpointError, match="3 variables of another model"):
            load_checkpoint(path, [other, *numbers[1:]])
    with pytest.raises(CheckpointError, match="3 variables of another model"):
        load_checkpoint(path, numbers[:2])
    assert [v.numpy().tolist() for v in numbers] == [[0, 0], 0, [0]]
    assert load_checkpoint(path, numbers) == {"step": 7, "names": ["ä"]}
    assert [v.numpy().tolist() for v in numbers] == [[1, 2], 3, [4]]


# --- the training run goes on


def test_the_training_run_goes_on(tmp_path, monkeypatch):
    """Stopped before its third save, after two epochs; the same cells again end as in one go."""
    digits = {name: np.zeros((112, 28, 28), np.uint8) for name in ("x_train", "x_test")}
    labels = {name: np.arange(112) % 10 for name in ("y_train", "y_test")}
    np.savez(tmp_path / "small.npz", **digits, **labels)
    values = dict(dataset=str(tmp_path / "small.npz"), epochs=3, batch_size=2)

    def stop(saver):
        if next(left, None) is None:
            stopped.append(saver.history.steps_done)
            raise KeyboardInterrupt
        save(saver)

    save, left, stopped = Saver.save, iter(range(2)), []
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Saver, "save", stop)
        run_cells(TRAINING_RUN, values | dict(run_dir=str(tmp_path / "a")), last="run")
    with pytest.raises(CheckpointError, match="epochs = 3, and this one has 5"):
        run_cells(TRAINING_RUN, values | dict(run_dir=str(tmp_path / "a"), epochs=5), last="run")
    texts = run_cells(TRAINING_RUN, values | dict(run_dir=str(tmp_path / "a")), last="results")
    assert "resuming at step 50 of 150\nepoch 2/3" in texts["run"]
    texts = run_cells(TRAINING_RUN, values | dict(run_dir=str(tmp_path / "b")), last="results")
    assert "resuming" not in texts["run"]
    assert rows_of(tmp_path / "a") == rows_of(tmp_path / "b")
    assert not (tmp_path / "a" / CHECKPOINT).exists()
    (tmp_path / "a" / CHECKPOINT).write_text("broken")
    anew = values | dict(run_dir=str(tmp_path / "a"), epochs=1, batch_size=50)
    with pytest.raises(CheckpointError, match="is no whole checkpoint"):
        run_cells(TRAINING_RUN, anew, last="run")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Saver, "save", stop)  # before its first step
        run_cells(TRAINING_RUN, anew | dict(resume="no"), last="run")
    assert stopped == [100, 0] and not (tmp_path / "a" / CHECKPOINT).exists()


GOES_ON = """\
went_on = Path(run_dir, "checkpoint.npz").exists() and Path(run_dir, "history.csv").exists()
Path(run_dir, "history.csv").write_text("rows")
Path(run_dir, "checkpoint.npz").write_text("state")"""


def test_the_same_command_goes_on_from_a_checkpoint(tmp_path):
    """After an error; after a kill of the kernel, at once. Another command starts anew."""

    def run_of(size, end):
        notebook = notebook_at(tmp_path, GOES_ON, once.format(end=end), last)
        return run_here(notebook, "-p", "size", size, "--out", tmp_path / "out")

    once = "(here / 'ended').exists() or ((here / 'ended').touch(), {end})"
    last = "(here / 'went on').write_text(f'{size} {went_on}')"
    assert run_of(2, "[][0]") == 1 and run_of(2, "[][0]") == 0
    assert (tmp_path / "went on").read_text() == "2 True"
    (tmp_path / "ended").unlink()
    assert run_of(2, "os.kill(os.getpid(), 9)") == 0
    assert (tmp_path / "went on").read_text() == "2 True"
    (tmp_path / "ended").unlink()
    assert run_of(2, "[][0]") == 1 and run_of(3, "[][0]") == 0
    assert (tmp_path / "went on").read_text() == "3 False"


# --- the doctor


def tiny_model(kind: str = "full") -> keras.Model:
    """4 x 4 pixels in, 3 logits out, with everything that has a training mode, and a penalty."""
    seed_weights(0)
    middle = [layers.Flatten(), layers.Dense(6, activation="tanh")]
    if kind != "plain":
        middle += [layers.BatchNormalization(), layers.Dropout(0.25)]
    last = layers.Dense(3, kernel_regularizer=None if kind == "plain" else "l2")
    return keras.Sequential([keras.Input((4, 4, 1)), *middle, last])


rng = np.random.default_rng(1)
IMAGES = tf.constant(rng.normal(size=(8, 4, 4, 1)), "float32")
LABELS = tf.constant(rng.integers(0, 3, 8))
CODES = tf.constant(rng.normal(size=(8, 2)), "float32")


class Loop:
    """A loop with a switch for each fault: three ways to write a step share these parts."""

    def __init__(self, fault: str = "", kind: str = "full", optimizer=None, compiled=None):
        scaled = kind == "scaled" or fault == "unscaled"
        self.fault, self.model = fault, tiny_model(kind)
        self.optimizer = optimizer or keras.optimizers.SGD(0.0 if fault == "no rate" else 0.1)
        if scaled:
            self.optimizer = keras.optimizers.LossScaleOptimizer(self.optimizer)
        self.trained = tiny_model(kind) if fault == "stale" else self.model
        self.compiled = fault in ("", "retraced") if compiled is None else compiled
        if fault == "other optimizer":
            self.optimizer.build(tiny_model("plain").trainable_variables)
        self.batch = (IMAGES, LABELS)

    def forward(self, images):
        outputs = self.trained(images, training=self.fault != "inference")
        if self.fault == "cut":
            outputs = tf.round(outputs) if self.compiled else tf.constant(outputs.numpy())
        if self.fault == "zero":
            outputs = tf.maximum(outputs, 1e9)
        if self.fault == "nan":
            outputs = outputs + tf.sqrt(tf.zeros_like(outputs) * outputs)
        return outputs

    def loss(self, labels, outputs):
        reduction = "sum" if self.fault == "sum" else "sum_over_batch_size"
        loss = keras.losses.SparseCategoricalCrossentropy(True, reduction=reduction)(
            labels, outputs
        )
        if self.fault == "vector":
            loss = keras.losses.sparse_categorical_crossentropy(labels, outputs, True)
        loss += 0 if self.fault == "penalties" else sum(self.trained.losses)
        return loss if self.fault == "unscaled" else self.optimizer.scale_loss(loss)

    def apply(self, gradients, variables):
        if self.fault == "not applied":
            gradients, variables = gradients[1:], variables[1:]
        if self.fault == "new optimizer":
            keras.optimizers.SGD(0.1).apply(gradients, variables)
        else:
            self.optimizer.apply(gradients, variables)
        if self.fault == "averages":
            normalize = self.model.layers[2]
            normalize.moving_mean.assign(tf.zeros(6))
            normalize.moving_variance.assign(tf.ones(6))

    def variables(self):
        variables = self.trained.trainable_variables
        return variables[1:] if self.fault == "left out" else variables

    def diagnose(self) -> list[str]:
        return diagnose(self.step, self.batch, self.model, self.optimizer)


class Ours(Loop):
    """As in chapter 05: one function, compiled."""

    def __init__(self, *given, **options):
        super().__init__(*given, **options)
        self.step = tf.function(self.train_step) if self.compiled else self.train_step
        if self.fault == "retraced":
            self.step = lambda *batch: tf.function(self.train_step)(*batch)

    def train_step(self, images, labels):
        with tf.GradientTape() as tape:
            loss = self.loss(labels, self.forward(images))
        self.apply(tape.gradient(loss, self.variables()), self.variables())
        return loss


class KerasGuide(Loop):
    """As in the guide of Keras: `train_step` of a model's own, on a pair, with a metric."""

    def __init__(self, *given, **options):
        super().__init__(*given, compiled=False, **options)
        self.metric, self.batch = keras.metrics.SparseCategoricalAccuracy(), ((IMAGES, LABELS),)

    def step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self.forward(x)
            loss = self.loss(y, y_pred)
        gradients = tape.gradient(loss, self.variables())
        if self.fault == "retraced":
            tf.function(lambda: self.retraced(x, y))()
        self.apply(gradients, self.variables())
        self.metric.update_state(y, y_pred)

    def retraced(self, x, y):
        with tf.GradientTape() as tape:
            loss = self.loss(y, self.forward(x))
        tape.gradient(loss, self.variables())


class Opponents(Loop):
    """A GAN: the faults are the discriminator's; a generator learns beside it."""

    def __init__(self, *given, **options):
        super().__init__(*given, **options)
        self.generator = keras.Sequential(
            [keras.Input((2,)), layers.Dense(16), layers.Reshape((4, 4, 1))]
        )
        self.second, self.batch = keras.optimizers.Adam(), (IMAGES, LABELS, CODES)
        self.step = tf.function(self.train_step) if self.compiled else self.train_step
        if self.fault == "retraced":
            self.step = lambda *batch: tf.function(self.train_step)(*batch)

    def train_step(self, images, labels, codes):
        with tf.GradientTape() as first, tf.GradientTape() as second:
            loss = self.loss(labels, self.forward(images))
            drawn = self.trained(self.generator(codes), training=self.fault != "inference")
            own = tf.reduce_mean(drawn**2)
        self.apply(first.gradient(loss, self.variables()), self.variables())
        variables = self.generator.trainable_variables
        self.second.apply(second.gradient(own, variables), variables)

    def diagnose(self):
        optimizers = [self.optimizer, self.second]
        return diagnose(self.step, self.batch, [self.model, self.generator], optimizers)


FAULTS = {
    "cut": "is None",
    "zero": "is zero in each call",
    "penalties": "ignores the penalties of sequential",
    "unscaled": "The loss is not scaled",
    "averages": "Not moved, though the layer runs in training mode: sequential",
    "inference": "Only in inference mode: sequential",
    "sum": "the loss is a sum",
    "vector": "the loss is a sum",
    "stale": "trains no variable of sequential",
    "other optimizer": "The optimizer was built for other variables",
    "new optimizer": "is never applied: the step uses another optimizer",
    "not applied": "A gradient that no optimizer applies: that of sequential",
    "left out": "Not among the variables that the step differentiates: sequential",
    "no rate": "A gradient is applied, and nothing moves: sequential",
    "nan": "Not finite after 23 calls",
    "retraced": "is traced in each call",
}


@pytest.mark.parametrize("loop", [Ours, KerasGuide, Opponents])
@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_found_in_each_loop(loop, fault):
    found = loop(fault).diagnose()
    assert any(FAULTS[fault] in sentence for sentence in found), found


def test_a_sentence_says_what_to_do():
    [sentence] = Ours("inference").diagnose()
    assert sentence.startswith("Only in inference mode: sequential") and sentence.endswith(
        "with training=True."
    )


class Accumulating(Ours):
    """Updates in every second call."""

    def __init__(self):
        super().__init__(compiled=False)
        self.optimizer = keras.optimizers.Adam(gradient_accumulation_steps=2)


def frozen_loop() -> Loop:
    loop = Ours()
    for layer in loop.model.layers[:3]:
        layer.trainable = False
    return loop


def chapter_05_loop() -> Loop:
    loop = Ours(optimizer=keras.optimizers.Adam())
    loop.step = Trainer(loop.model, loop.optimizer, cross_entropy).step
    return loop


adam = keras.optimizers.Adam
HEALTHY = {
    "sgd": Ours,
    "plain": lambda: Ours(kind="plain"),
    "eager": lambda: Ours(compiled=False),
    "adam": lambda: Ours(optimizer=adam()),
    "momentum": lambda: Ours(optimizer=keras.optimizers.SGD(0.1, momentum=0.9)),
    "clipped": lambda: Ours(optimizer=adam(global_clipnorm=1.0)),
    "averaged": lambda: Ours(optimizer=adam(use_ema=True)),
    "warmed up": lambda: Ours(
        optimizer=adam(keras.optimizers.schedules.PolynomialDecay(0.0, 9, 0.1))
    ),
    "scaled": lambda: Ours(kind="scaled"),
    "scaled adam": lambda: Ours(kind="scaled", optimizer=adam()),
    "guide": KerasGuide,
    "guide, scaled": lambda: KerasGuide(kind="scaled"),
    "guide, plain": lambda: KerasGuide(kind="plain"),
    "guide, adam": lambda: KerasGuide(optimizer=adam()),
    "gan": Opponents,
    "gan, eager": lambda: Opponents(compiled=False),
    "gan, scaled": lambda: Opponents(kind="scaled"),
    "accumulating": Accumulating,
    "frozen": frozen_loop,
    "chapter 05": chapter_05_loop,
}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_loop_gets_no_alarm_and_stays_as_it_is(name):
    loop = HEALTHY[name]()
    variables = [*loop.model.variables, *loop.optimizer.variables]
    before = [variable.numpy() for variable in variables]
    assert loop.diagnose() == []
    for variable, old in zip(variables, before):
        np.testing.assert_array_equal(variable.numpy(), old)
    assert not tf.config.functions_run_eagerly()
    built = [v for v in loop.optimizer.variables if "momentum" in v.path or "velocity" in v.path]
    assert not any(np.any(variable.numpy()) for variable in built)


def test_metrics_are_put_back():
    loop = KerasGuide()
    loop.metric.update_state([1], [[0.0, 1.0, 0.0]])
    assert loop.diagnose() == [] and float(loop.metric.count) == 1
