"""Times the training loops side by side: ``make bench``.

Each framework has a process of its own. They take turns, round after round, so that a slow minute
of the machine hits all of them alike; and while one works the others are stopped, so that none of
their threads spins. The table shows medians over the rounds. A turn trains on the bundled training
images once, after a first turn that traces, compiles, and isn't counted.

PyTorch and JAX are timed where they are installed: beside TensorFlow (the extra ``bench``), or in
an environment of their own, ``make bench ARGS="--python PATH"``, or BENCH_PYTHON=PATH.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
import psutil
from tqdm import tqdm

from tapecourse.support.data import read_arrays

HERE = Path(__file__).parent
OURS = {"tensorflow": "tensorflow_steps.py"}
OTHERS = {"torch": "pytorch_steps.py", "jax": "jax_steps.py"}
STEP_MFLOP = 44.70  # an image, forward and backward: chapter 06 counts them
PEAK_GFLOP = 2e-9 * 2048**3
ORIGINAL, LOOP, FAST, FIT = (
    "original recipe (eager)",
    "chapter 05's loop",
    "fast loop",
    "model.fit",
)


class Worker:
    """A process with contenders; it is stopped while it has no turn."""

    def __init__(self, python: str, script: str, data: Path, log: Path):
        self.log = log
        with open(log, "w") as errors:
            self.process = subprocess.Popen(
                [python, HERE / script, data],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
            )  # fmt: skip
        self.control = psutil.Process(self.process.pid)
        self.names: list[str] = self.answer()
        self.control.suspend()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"A worker ended. The end of its log:\n{self.log.read_text()[-2000:]}")
        return json.loads(line)

    def turns(self) -> Iterator[tuple[str, float]]:
        """Let each contender take a turn; yield its name and seconds."""
        self.control.resume()
        for name in self.names:
            self.process.stdin.write(f"{name}\n")
            self.process.stdin.flush()
            yield name, self.answer()
        self.control.suspend()


def installed(python: str, package: str) -> bool:
    code = f"import importlib.util as u; raise SystemExit(u.find_spec('{package}') is None)"
    return subprocess.run([python, "-c", code]).returncode == 0


def scripts(python: str) -> Iterator[tuple[str, str]]:
    """Yield the interpreters and scripts of all frameworks that are there."""
    yield from ((sys.executable, script) for script in OURS.values())
    for package, script in OTHERS.items():
        if installed(python, package):
            yield python, script
        else:
            print(f"{package} is not timed: {python} doesn't have it.")


def table_of(seconds: pd.DataFrame, images: int) -> pd.DataFrame:
    """Return speed and ratios of each contender: medians over the rounds, a row each."""
    peak = PEAK_GFLOP / seconds.pop("peak")  # GFLOP/s of each round
    speed = images / seconds
    ratios = {
        f"times {name}": speed.div(speed[name], axis="index").median()
        for name in (ORIGINAL, LOOP, FIT)
    }
    share = (1e-3 * STEP_MFLOP * speed).div(peak, axis="index").median()
    table = pd.DataFrame({"images/s": speed.median(), **ratios, "share of the peak": share})
    return table.sort_values("images/s")


def markdown(table: pd.DataFrame) -> str:
    """Return the table as README shows it."""
    rows = [
        "| loop | " + " | ".join(table.columns) + " |",
        "|---" * (len(table.columns) + 1) + "|",
    ]
    for name, row in table.iterrows():
        speed, *ratios, share = row
        cells = [f"{speed:,.0f}", *(f"{ratio:.2f}" for ratio in ratios), f"{share:.0%}"]
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the training loops side by side.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--images", type=int, default=4000, help="images in a turn, at most 4500")
    parser.add_argument(
        "--python", default=os.environ.get("BENCH_PYTHON", sys.executable),
        help="the Python that has PyTorch and JAX",
    )  # fmt: skip
    options = parser.parse_args()
    digits = read_arrays("mnist_5k")
    chosen = np.random.default_rng(0).permutation(len(digits.x_train))[: options.images]
    x = (digits.x_train[chosen, ..., np.newaxis] / 255).astype("float32")
    workers: list[Worker] = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "data.npz")
        np.savez(file, x=x, y=digits.y_train[chosen])
        try:
            for python, script in tqdm(list(scripts(options.python)), desc="warm-up"):
                workers.append(Worker(python, script, file, Path(folder, f"{script}.log")))
            rounds = [
                dict(turn for worker in workers for turn in worker.turns())
                for _ in tqdm(range(options.rounds), desc="rounds")
            ]
        finally:
            for worker in workers:
                worker.process.kill()
    seconds = pd.DataFrame(rounds)
    peak = PEAK_GFLOP / median(seconds["peak"])
    table = table_of(seconds, len(x))
    print(markdown(table))
    others = table.drop(index=[name for name in table.index if not name.startswith(("Py", "JAX"))])
    if len(others):
        best = others["images/s"].idxmax()
        ratio = (seconds[best] / seconds[FAST]).median()
        print(f"\nThe fast loop is {ratio:.2f} times as fast as the best other framework, {best}.")
    print(f"\nPeak of a matrix product: {peak:,.0f} GFLOP/s; a step: {STEP_MFLOP} MFLOP an image.")
    Path("runs").mkdir(exist_ok=True)
    table.to_csv("runs/bench.csv", index_label="loop")
    print("Written to runs/bench.csv")


if __name__ == "__main__":
    main()
