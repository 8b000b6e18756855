"""Chapter 09 on sweeps of all sizes, whose truth is known because it was made up."""

import itertools
import json
import re

import numpy as np
import pandas as pd
import pytest
from cells import run_cells
from conftest import ROOT

from tapecourse.support.errors import InputError

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
    return run_cells(CHAPTER, {"sweep_dir": str(sweep)} | parameters)


def by_rate(learning_rate, **_):
    return {1e-3: 0.30, 3e-3: 0.10, 1e-2: 0.11}[learning_rate]


def test_twelve_runs_tell_what_is_worse_from_what_is_not(tmp_path):
    grid = {"learning_rate": [1e-3, 3e-3, 1e-2], "seed": [0, 1, 2, 3]}
    texts = report(make_sweep(tmp_path / "sweep", grid, by_rate, noise=0.02))
    rows = {line.split("  ")[0]: line for line in texts["compare"].splitlines()}
    assert rows["0.001"].endswith("worse")
    other = {"0.003", "0.01"} & rows.keys()
    assert rows[other.pop()].endswith("can't be told apart")
    assert "12 runs with a result, 0 without" in texts["settings"]
    assert "3 settings, 3 pairs" in texts["compare"]


def test_the_direction_of_the_metric_counts(tmp_path):
    grid = {"learning_rate": [1e-3, 3e-3], "seed": [0, 1, 2]}
    sweep = make_sweep(tmp_path / "sweep", grid, by_rate)
    for parameters in ({}, {"metric": "val_accuracy", "better": "higher"}):
        assert "chosen: 0.003 (learning_rate)" in report(sweep, **parameters)["choice"]
    texts = report(sweep, metric="train_seconds", better="higher", color_by="learning_rate")
    assert "seconds, mean of 3 seeds" in texts["choice"]


def test_sixty_runs_with_failures_texts_and_three_parameters(tmp_path):
    grid = {"epochs": [1], "learning_rate": [1e-3, 3e-3, 1e-2], "batch_size": [32, 128]}
    grid |= {"schedule": ["constant", "cosine"], "seed": [0, 1, 2, 3, 4]}
    sweep = make_sweep(tmp_path / "sweep", grid, by_rate, failing=(7, 31))
    texts = report(sweep)
    assert "58 runs with a result, 2 without" in texts["settings"]
    assert "a setting is: learning_rate · batch_size · schedule" in texts["settings"]
    assert "the same in all runs: epochs 1" in texts["settings"]
    assert texts["failures"].count("LossNotFinite") == 2
    assert "58 of 58 runs with a history" in texts["read-curves"]
    assert texts["scores"].count("no candidate:") == 2


def test_two_runs_of_one_setting(tmp_path):
    texts = report(make_sweep(tmp_path / "sweep", {"seed": [0, 1]}, lambda seed: 0.2))
    assert "1 setting, 2 seeds" in texts["settings"]
    assert "chosen: the only one" in texts["choice"]
    assert "takes two settings with two seeds each" in texts["one-each"]


def test_one_run(tmp_path):
    texts = report(make_sweep(tmp_path / "sweep", {"learning_rate": [0.1]}, lambda **_: 0.2))
    assert "1 run with a result, 0 without\n1 setting, 1 seed" in texts["settings"]
    assert "the same in all runs: learning_rate 0.1" in texts["settings"]
    assert "There is one setting only" in texts["compare-figure"]


def test_two_runs_without_seeds_or_curves_say_that_nobody_knows(tmp_path):
    grid = {"learning_rate": [1e-3, 3e-3]}
    texts = report(make_sweep(tmp_path / "sweep", grid, by_rate, curves=False))
    assert "one seed: nobody knows" in texts["compare"]
    assert "0 of 2 runs with a history" in texts["read-curves"]
    assert "there are no curves to draw" in texts["curves"]
    assert "takes two settings with two seeds each" in texts["one-each"]


def test_a_setting_with_failures_is_no_candidate_and_no_value_is_forgotten(tmp_path):
    """The first rate failed with all but one lucky seed, one schedule with all rates and seeds."""
    quality = {1e-3: 0.01, 3e-3: 0.10, 1e-2: 0.11}
    grid = {"learning_rate": list(quality), "schedule": ["constant", "steep"], "seed": [0, 1, 2]}
    sweep = tmp_path / "sweep"
    make_sweep(
        sweep,
        grid,
        lambda learning_rate, **_: quality[learning_rate],
        failing=(1, 2, 3, 4, 5, 9, 10, 11, 15, 16, 17),
    )
    texts = report(sweep)
    assert "7 runs with a result, 11 without" in texts["settings"]
    said = "a setting is: learning_rate · schedule\nthe same in all runs: nothing"
    assert said in texts["settings"]
    lost = "no result: learning_rate 0.01, schedule steep, seed 2 (failed LossNotFinite"
    assert lost in texts["failures"]
    assert "no candidate: 0.001 · constant, with a result for 1 of 3 seeds" in texts["scores"]
    assert "single run is of 0.001 · constant, whose mean is number 3 of 3" in texts["scores"]
    assert "chosen: 0.003 · constant (learning_rate · schedule)" in texts["choice"]


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_run_without_a_finite_metric_has_no_result(tmp_path, value):
    grid = {"learning_rate": [1e-3, 3e-3], "seed": [0, 1, 2]}
    sweep = make_sweep(tmp_path / "sweep", grid, by_rate)
    summary = pd.read_csv(sweep / "summary.csv", dtype=str)
    summary.loc[3, "val_loss"] = value
    summary.to_csv(sweep / "summary.csv", index=False)
    texts = report(sweep)
    assert "5 runs with a result, 1 without" in texts["settings"]
    said = f"no result: learning_rate 0.003, seed 0 (val_loss is {value})"
    assert said in texts["failures"]
    assert "no candidate: 0.003" in texts["scores"]


def test_texts_that_look_like_nothing_are_values(tmp_path):
    grid = {"schedule": ["None", "", "nan", "constant"], "seed": [0, 1, 2]}
    quality = {"None": 0.2, "": 0.3, "nan": 0.4, "constant": 0.5}
    sweep = make_sweep(tmp_path / "sweep", grid, lambda schedule, seed: quality[schedule])
    texts = report(sweep)
    assert "4 settings, 3 seeds" in texts["settings"]
    assert "chosen: None (schedule)" in texts["choice"]
    assert [line.split()[0] for line in texts["compare"].splitlines()[3:]] == [
        "''", "nan", "constant"
    ]  # fmt: skip


def test_values_that_look_alike_are_told_apart(tmp_path):
    grid = {"label": ["1", "01", "1.0"], "learning_rate": [0.1234561, 0.1234562], "seed": [0, 1]}
    quality = {"1": 0.1, "01": 0.2, "1.0": 0.3}
    sweep = tmp_path / "sweep"
    make_sweep(sweep, grid, lambda label, learning_rate, seed: quality[label], curves=False)
    texts = report(sweep)
    assert "6 settings, 2 seeds" in texts["settings"]
    assert "0.1234562" in texts["compare"] and "01 ·" in texts["compare"]


def test_an_effect_that_the_means_hide_is_in_the_crossed_table(tmp_path):
    grid = {"learning_rate": [1e-3, 1e-2], "batch_size": [32, 64], "seed": [0, 1, 2, 3]}

    def turns_round(learning_rate, batch_size, seed):
        return 0.2 + 0.05 * ((learning_rate < 5e-3) == (batch_size < 50))

    texts = report(make_sweep(tmp_path / "sweep", grid, turns_round, noise=0.001))
    largest = [float(line.split()[-1]) for line in texts["effects"].splitlines()[1:]]
    assert max(largest) < 0.005
    rows = [line.split() for line in texts["crossed"].splitlines()[2:]]
    small, large = ([float(number) for number in row[1:]] for row in rows)
    assert small[0] - small[1] > 0.04 and large[1] - large[0] > 0.04
    assert texts["compare"].count("worse") >= 2


def test_the_verdicts_of_equal_settings_are_right_in_95_percent(tmp_path):
    """By the chapter's own cell, on sweeps of two sizes."""
    for settings, seeds in [(2, 2), (12, 6)]:
        grid = {"dropout": [i / 100 for i in range(settings)], "seed": list(range(seeds))}
        sweep = make_sweep(tmp_path / f"{settings}", grid, lambda **_: 0.2, curves=False)
        each, together = re.findall(r": (\d+)%", report(sweep)["check-verdicts"])
        assert int(together) <= 6 and (settings == 2 or int(each) >= 10)


def test_ties_are_shared_and_all_named(tmp_path):
    grid = {"learning_rate": [1e-3, 3e-3], "seed": [0, 1]}
    texts = report(make_sweep(tmp_path / "sweep", grid, lambda **_: 0.2, noise=0.0))
    assert texts["scores"].count("the best single run is of") == 2
    assert "seed 0: 0.001 and 0.003" in texts["one-each"]
    assert "wins 50% of the time" in texts["one-seed-numbers"]


def test_what_the_chapter_says_of_its_example():
    """Section 3: what batch size does at the smallest and at the largest learning rate."""
    summary = pd.read_csv(ROOT / "notebooks" / "09_example_sweep" / "summary.csv")
    losses = summary.pivot(
        index=["learning_rate", "seed"], columns="batch_size", values="val_loss"
    )
    worse_if_large = losses[64] - losses[32]
    assert (worse_if_large[0.001] > 0).all()
    assert worse_if_large[0.01].mean() < 0
    by_seed, by_size = (summary.groupby(name).val_loss.mean() for name in ("seed", "batch_size"))
    assert by_size.max() - by_size.min() < by_seed.max() - by_seed.min()


def test_the_winners_curse_is_there_where_all_settings_are_equal(tmp_path):
    grid = {"dropout": [0.1, 0.2, 0.3, 0.4], "seed": [0, 1, 2, 3, 4, 5]}
    texts = report(make_sweep(tmp_path / "sweep", grid, lambda **_: 0.2, noise=0.03))
    assert texts["compare"].count("can't be told apart") == 3
    shrinks = re.search(r"is worse by (\S+) on average", texts["one-seed-numbers"])
    assert float(shrinks[1]) > 0.02


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"metric": "accuracy"}, "metric = 'accuracy': one of 'val_loss', 'val_accuracy'"),
        ({"metric": "learning_rate"}, "metric = 'learning_rate': one of"),
        ({"better": "smaller"}, "better = 'smaller': one of 'lower', 'higher' is needed"),
        ({"better": "higher"}, "better = 'higher': 'lower' is needed: so is val_loss better"),
        ({"metric": "val_accuracy"}, "better = 'lower': 'higher' is needed: so is val_accuracy"),
        ({"color_by": "seed"}, "color_by = 'seed': one of 'learning_rate' is needed"),
    ],
)
def test_wrong_parameters_are_refused(tmp_path, parameters, message):
    grid = {"learning_rate": [1e-3, 3e-3], "seed": [0, 1]}
    with pytest.raises(InputError) as refusal:
        report(make_sweep(tmp_path / "sweep", grid, by_rate), **parameters)
    assert message in str(refusal.value)


def test_a_colour_where_only_the_seed_varies_is_refused(tmp_path):
    sweep = make_sweep(tmp_path / "sweep", {"seed": [0, 1]}, lambda seed: 0.2)
    with pytest.raises(InputError, match="color_by = 'seed': '' is needed: only the seed varies"):
        report(sweep, color_by="seed")


def test_a_metric_that_no_run_has_is_refused(tmp_path):
    sweep = make_sweep(tmp_path / "sweep", {"seed": [0, 1]}, lambda seed: float("nan"))
    with pytest.raises(InputError, match="metric = 'val_loss': it is a finite number in none"):
        report(sweep)


def test_a_folder_that_is_no_sweep_is_refused(tmp_path):
    (tmp_path / "sweep").mkdir()
    with pytest.raises(InputError, match="a folder with sweep.json is needed"):
        report(tmp_path / "sweep")


def test_a_sweep_whose_runs_all_failed_is_refused(tmp_path):
    grid = {"seed": [0, 1]}
    sweep = make_sweep(tmp_path / "sweep", grid, lambda seed: 0.2, failing=(0, 1))
    with pytest.raises(InputError, match="none of its runs is done"):
        report(sweep)
