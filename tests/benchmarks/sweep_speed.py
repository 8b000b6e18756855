"""Times a sweep of training runs on 2 workers and the same runs one after another: ``make bench``.

A round is the four runs of one seed, done both ways, in alternating order, so that a slow minute
of the machine hits both alike. Each run has one thread in both, since the metrics must be the same
and depend on it. Times are those of the whole command.
"""

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
from dask.system import CPU_COUNT
from tqdm import tqdm

TRAINING_RUN = Path(__file__).parents[2] / "notebooks" / "B_training_run.ipynb"
GRID = ["epochs 1", "learning_rate 1e-3,3e-3", "batch_size 32,64"]
WORKERS = 2
RUNS = Path("runs")
FOLDER = RUNS / "bench_sweep"
TIMES = ["train_seconds", "images_per_second", "seconds"]  # what may differ


def seconds_of_sweep(notebook: Path, seed: int, workers: int) -> float:
    """Return the seconds of one round, done by `workers` workers."""
    grid = [part for axis in [*GRID, f"seed {seed}"] for part in ("-p", *axis.split())]
    out = ["--out", FOLDER / f"{workers}_workers", "--workers", str(workers)]
    command = [sys.executable, "-m", "tapecourse", "sweep", notebook, *grid, *out]
    begun = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - begun


def metrics(workers: int) -> pd.DataFrame:
    """Read all metrics of the runs, except the times."""
    table = pd.read_csv(FOLDER / f"{workers}_workers" / "summary.csv").drop(columns=TIMES)
    return table.sort_values(["seed", "learning_rate", "batch_size"], ignore_index=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Time a sweep on one worker and on two.")
    parser.add_argument("--seeds", type=int, default=3, help="rounds of four runs")
    options = parser.parse_args()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    notebook = shutil.copy(TRAINING_RUN, FOLDER)  # away from the report, which isn't timed
    rounds = []
    for seed in tqdm(range(options.seeds), desc="rounds"):
        order = (1, WORKERS) if seed % 2 == 0 else (WORKERS, 1)
        seconds = {workers: seconds_of_sweep(notebook, seed, workers) for workers in order}
        rounds.append({"one after another": seconds[1], f"{WORKERS} workers": seconds[WORKERS]})
    pd.testing.assert_frame_equal(metrics(1), metrics(WORKERS), check_exact=True)
    table = pd.DataFrame(rounds)
    table.loc["all"] = table.sum()
    table["ratio"] = table[f"{WORKERS} workers"] / table["one after another"]
    print(table.to_string(float_format="{:.2f}".format))
    print(f"{4 * options.seeds} runs, the same metrics, {CPU_COUNT} cores; times in seconds")
    table.to_csv(RUNS / "bench_sweep.csv", index_label="round")
    print("written to runs/bench_sweep.csv")


if __name__ == "__main__":
    main()
