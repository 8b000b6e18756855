"""Chapter 09 on sweeps of all sizes, whose truth is known because it was made up."""

import itertools
import json
import re

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

from tapecourse.run import RunFailed, run_notebook

CHAPTER = ROOT / "notebooks" / "09_compare_runs.ipynb"


def make_sweep(folder, grid, quality, noise=0.01, failing=(), curves=True):
    """Write a sweep's folder; `quality` gives a run's mean validation loss from its parameters."""
    random = np.random.default_rng(0)
    rows = []
    for number, values in enumerate(itertools.product(*grid.values())):
        point = dict(zip(grid, values))
        name = ",".join(f"{key}={value}" for key, value in point.items())
        loss = quality(**point) + noise * random.normal()
        metrics = {"val_loss": loss, "val_accuracy": 1 - loss / 4, "test_accuracy": 1 - loss / 4.2}
        metrics["train_seconds"] = 3 + 100 / point.get("batch_size", 50) + random.uniform(0, 0.1)
        failed = number in failing
        ends = {"seconds": 40.0, "status": "failed" if failed else "done"}
        ends["error"] = "LossNotFinite: the loss is nan" if failed else ""
        rows.append({"run": name} | point | ({} if failed else metrics) | ends)
        if curves and not failed:
            steps = 4000 // point.get("batch_size", 50)
            epoch = np.arange(steps) / steps
            wiggles = np.exp(0.1 * random.normal(size=steps))
            history = pd.DataFrame({"kind": "step", "epoch": epoch})
            history["loss"] = (loss + 2.2 * np.exp(-6 * epoch)) * wiggles
            (folder / name).mkdir(parents=True)
            history.to_csv(folder / name / "history.csv", index=False)
    folder.mkdir(exist_ok=True)
    pd.DataFrame(rows).to_csv(folder / "summary.csv", index=False)
    (folder / "sweep.json").write_text(json.dumps({"parameters": list(grid)}))
    return folder


def report(sweep, **parameters):
    """Run the chapter on a sweep; return what its cells printed or showed as text, by cell."""
    parameters = {"sweep_dir": str(sweep)} | parameters
    executed = run_notebook(str(CHAPTER), str(sweep / "report"), parameters, show_progress=False)
    texts = {}
    for cell in executed.cells:
        for output in cell.get("outputs", []):
            assert output.get("name") != "stderr", output.text
            text = output.get("text", "") + output.get("data", {}).get("text/plain", "")
            texts[cell.id] = texts.get(cell.id, "") + text
    return texts


def by_rate(learning_rate, **_):
    return {1e-3: 0.30, 3e-3: 0.10, 1e-2: 0.11}[learning_rate]


def test_twelve_runs_tell_what_is_worse_from_what_is_not(tmp_path):
    grid = {"learning_rate": [1e-3, 3e-3, 1e-2], "seed": [0, 1, 2, 3]}
    texts = report(make_sweep(tmp_path / "sweep", grid, by_rate, noise=0.02))
    rows = {line.split("  ")[0]: line for line in texts["compare"].splitlines()}
    assert rows["0.001"].endswith("worse")
    other = {"0.003", "0.01"} & rows.keys()
    assert rows[other.pop()].endswith("can't be told apart")
    assert "12 runs done, 0 failed or missing" in texts["settings"]


def test_the_direction_of_the_metric_counts(tmp_path):
    grid = {"learning_rate": [1e-3, 3e-3], "seed": [0, 1, 2]}
    sweep = make_sweep(tmp_path / "sweep", grid, by_rate)
    for parameters in ({}, {"metric": "val_accuracy", "better": "higher"}):
        assert "chosen: 0.003 (learning_rate)" in report(sweep, **parameters)["choice"]
    texts = report(sweep, metric="val_accuracy", better="lower", color_by="learning_rate")
    assert "chosen: 0.001 (learning_rate)" in texts["choice"]


def test_sixty_runs_with_failures_texts_and_three_parameters(tmp_path):
    grid = {"epochs": [1], "learning_rate": [1e-3, 3e-3, 1e-2], "batch_size": [32, 128]}
    grid |= {"schedule": ["constant", "cosine"], "seed": [0, 1, 2, 3, 4]}
    sweep = make_sweep(tmp_path / "sweep", grid, by_rate, failing=(7, 31))
    texts = report(sweep)
    assert "58 runs done, 2 failed or missing" in texts["settings"]
    assert "a setting is: learning_rate · batch_size · schedule" in texts["settings"]
    assert "the same in all runs: epochs 1" in texts["settings"]
    assert texts["failures"].count("LossNotFinite") == 2
    assert "58 of 58 runs have a history" in texts["read-curves"]


def test_two_runs_of_one_setting(tmp_path):
    texts = report(make_sweep(tmp_path / "sweep", {"seed": [0, 1]}, lambda seed: 0.2))
    assert "1 settings, 2 seeds" in texts["settings"]
    assert "chosen: the only one" in texts["choice"]


def test_two_runs_without_seeds_or_curves_say_that_nobody_knows(tmp_path):
    grid = {"learning_rate": [1e-3, 3e-3]}
    texts = report(make_sweep(tmp_path / "sweep", grid, by_rate, curves=False))
    assert "one seed: nobody knows" in texts["compare"]
    assert "0 of 2 runs have a history" in texts["read-curves"]


def test_the_winners_curse_is_there_where_all_settings_are_equal(tmp_path):
    grid = {"dropout": [0.1, 0.2, 0.3, 0.4], "seed": [0, 1, 2, 3, 4, 5]}
    texts = report(make_sweep(tmp_path / "sweep", grid, lambda **_: 0.2, noise=0.03))
    assert texts["compare"].count("can't be told apart") == 3
    gain = re.search(r"better than its own mean by (\S+) on average", texts["one-seed-numbers"])
    assert float(gain[1]) > 0.01


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"metric": "accuracy"}, "metric = 'accuracy': one of 'val_loss', 'val_accuracy'"),
        ({"metric": "learning_rate"}, "metric = 'learning_rate': one of"),
        ({"better": "smaller"}, "better = 'smaller': one of 'lower', 'higher' is needed"),
        ({"color_by": "seed"}, "color_by = 'seed': one of 'learning_rate' is needed"),
    ],
)
def test_wrong_parameters_are_refused(tmp_path, parameters, message):
    grid = {"learning_rate": [1e-3, 3e-3], "seed": [0, 1]}
    with pytest.raises(RunFailed) as refusal:
        report(make_sweep(tmp_path / "sweep", grid, by_rate), **parameters)
    assert message in str(refusal.value)


def test_a_folder_that_is_no_sweep_is_refused(tmp_path):
    (tmp_path / "sweep").mkdir()
    with pytest.raises(RunFailed, match="a folder with sweep.json is needed"):
        report(tmp_path / "sweep")


def test_a_sweep_whose_runs_all_failed_is_refused(tmp_path):
    grid = {"seed": [0, 1]}
    sweep = make_sweep(tmp_path / "sweep", grid, lambda seed: 0.2, failing=(0, 1))
    with pytest.raises(RunFailed, match="none of its runs is done"):
        report(sweep)
