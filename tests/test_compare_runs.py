"""The judgement of chapter 09, and its report, on sweeps whose truth is known: it was made up."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from cells import run_cells
from conftest import ROOT
from helpers import THOROUGH
from scipy import stats

from tapecourse.compare_runs import (
    at_the_edge,
    best_of_each,
    compare,
    draw_single_runs,
    is_uneven,
    is_worse,
    keep_complete,
    noise_of,
    noise_spread,
    pooled_error,
    separate_errors,
    tukey_range,
)
from tapecourse.support.errors import InputError
from tapecourse.support.sweep_results import read_steps, read_sweep, smooth

CHAPTER = ROOT / "notebooks" / "09_compare_runs.ipynb"
SWEEPS = 100_000 if THOROUGH else 10_000
NAN = float("nan")


def made_up(seeds, settings, sweeps=SWEEPS, seed=5):
    return np.random.default_rng(seed).normal(size=(sweeps, seeds, settings))


# --- noise


def test_noise_is_what_settings_and_seeds_dont_explain():
    setting, luck = np.array([1.0, 5.0, 9.0]), np.array([[0.1], [0.2], [0.3], [0.4]])
    assert np.allclose(noise_of(setting + luck), 0)
    noise = noise_of(made_up(4, 3, 2) + setting + luck)
    assert np.allclose(noise.mean(axis=-1), 0) and np.allclose(noise.mean(axis=-2), 0)


def test_the_noise_has_the_spread_that_it_was_made_with():
    squares = noise_spread(0.3 * made_up(3, 4) + 7 * made_up(3, 1)) ** 2
    assert abs(np.sqrt(squares.mean()) - 0.3) < 0.003


@pytest.mark.parametrize(
    "settings, freedom, table", [(6, 15, 4.595), (3, 10, 3.877), (10, 20, 5.008), (2, 9, 3.199)]
)
def test_tukeys_range_is_that_of_printed_tables(settings, freedom, table):
    assert abs(tukey_range(settings, freedom) - table) < 0.001


def test_two_settings_are_compared_as_by_students_paired_test():
    losses = made_up(5, 2, 1)[0]
    better, worse = sorted(losses.T, key=np.mean)
    interval = stats.ttest_rel(worse, better).confidence_interval(0.95)
    width = (interval.high - interval.low) / 2
    assert np.isclose(pooled_error(losses), width)
    assert np.isclose(separate_errors(losses).max(), width)
    assert not is_uneven(losses)


def test_separate_errors_are_students_with_bonferronis_share():
    losses = made_up(4, 6, 1)[0]
    best = losses.mean(axis=0).argmin()
    for error, column in zip(separate_errors(losses), losses.T):
        if not np.array_equal(column, losses[:, best]):
            interval = stats.ttest_rel(column, losses[:, best]).confidence_interval(1 - 0.05 / 15)
            assert np.isclose(error, (interval.high - interval.low) / 2)


# --- how often a verdict is wrong, and how often it helps


@pytest.mark.parametrize("seeds, settings", [(2, 2), (4, 6), (6, 12)])
def test_equal_settings_get_a_false_verdict_in_5_percent(seeds, settings):
    luck = 3 * made_up(seeds, 1, seed=6)
    rate = {
        method: is_worse(made_up(seeds, settings) + luck, method).any(axis=-1).mean()
        for method in ("pooled", "separate", "checked")
    }
    assert abs(rate["pooled"] - 0.05) < 0.008
    assert rate["separate"] < 0.058 and rate["checked"] < 0.058


def test_uneven_noise_is_found_and_false_verdicts_become_fewer():
    even, uneven = made_up(4, 6), made_up(4, 6) * [1, 1, 1, 1, 1, 4]
    assert abs(is_uneven(even).mean() - 0.2) < 0.02
    assert is_uneven(uneven).mean() > 0.7
    rate = {name: is_worse(uneven, name).any(axis=-1).mean() for name in ("pooled", "checked")}
    assert rate["pooled"] > 0.10 and rate["checked"] < 0.08


def test_one_spread_finds_more_than_twice_as_much_where_the_noise_is_even():
    losses = made_up(4, 6) + np.array([0, 0.1, 0.8, 1.9, 3.4, 6.6])
    found = {
        method: is_worse(losses, method).sum(axis=-1).mean()
        for method in ("pooled", "separate", "checked")
    }
    assert found["pooled"] > 2 * found["separate"]
    assert found["checked"] > 0.85 * found["pooled"]


def test_the_report_and_the_count_of_errors_judge_alike():
    for losses in made_up(4, 5, 40) + np.array([0, 0.5, 1, 2, 4]):
        table = compare(pd.DataFrame(losses, columns=list("abcde")))
        worse = {"abcde"[place] for place in np.flatnonzero(is_worse(losses))}
        assert set(table.index[table.verdict == "worse"]) == worse


def test_one_spread_is_used_only_where_nothing_speaks_against_it():
    even = pd.DataFrame(made_up(4, 6, 1, seed=7)[0])
    uneven = even * [1, 1, 1, 1, 1, 30]
    assert compare(even)["give or take"].nunique() == 1
    assert compare(uneven)["give or take"].nunique() == 5


@pytest.mark.parametrize("losses", [{"a": [0.1], "b": [0.2]}, {"a": [0.1, 0.2]}])
def test_without_seeds_or_settings_there_is_no_verdict(losses):
    assert set(compare(pd.DataFrame(losses)).verdict) <= {"too few seeds"}


def test_settings_that_tie_cant_be_told_apart():
    table = compare(pd.DataFrame({"a": [0.1, 0.2], "b": [0.1, 0.2], "c": [0.3, 0.4]}))
    assert table.loc["b", "verdict"] == "can't tell"
    assert table.loc["c", "verdict"] == "worse"


def test_a_setting_with_failures_is_set_aside():
    losses = pd.DataFrame({"a": [0.1, NAN, 0.1], "b": [0.2, 0.3, 0.2], "c": [0.3, 0.4, 0.3]})
    assert list(keep_complete(losses)) == ["b", "c"] and len(keep_complete(losses)) == 3
    assert keep_complete(losses[["b", "c"]]).equals(losses[["b", "c"]])
    alone = pd.DataFrame({"a": [0.3, NAN], "b": [NAN, 0.2]})  # no seed in common
    assert list(keep_complete(alone)) == ["b"] and len(keep_complete(alone)) == 1


# --- single runs


def test_single_runs_win_as_often_as_counting_all_of_them_says():
    losses = pd.DataFrame({"a": [1, 4, 6], "b": [2, 3, 9], "c": [5, 5, 4]})
    count, curse = dict.fromkeys(losses, 0.0), 0.0
    for drawn in itertools.product(*(losses[name] for name in losses)):
        winners = [name for name, loss in zip(losses, drawn) if loss == min(drawn)]
        for name in winners:
            count[name] += 1 / len(winners) / 27
            others = (losses[name].sum() - min(drawn)) / 2
            curse += (others - min(drawn)) / len(winners) / 27
    wins, worse = draw_single_runs(losses)
    assert np.allclose(wins, pd.Series(count), atol=0.01)
    assert abs(worse - curse) < 0.03


def test_the_winners_curse_is_there_where_all_settings_are_equal():
    losses = pd.DataFrame(made_up(6, 8, 1)[0])
    few, many = (draw_single_runs(losses[range(n)], trials=10_000)[1] for n in (2, 8))
    assert many > few + 0.3 > 0.5


# --- tuning


def test_each_value_gets_its_best_setting():
    losses = pd.DataFrame({"1 · x": [3.0, 1.0], "1 · y": [1.5, 1.5], "2 · x": [4.0, 5.0]})
    values = pd.Series([1, 1, 2], losses.columns)
    assert best_of_each(losses, values).to_dict() == {1: "1 · y", 2: "2 · x"}


def test_values_at_the_edge_are_named():
    tried = pd.DataFrame({"rate": [0.1, 0.2, 0.3], "size": [1, 2, 2], "kind": ["a", "b", "c"]})
    assert at_the_edge(tried, tried.iloc[0]) == [
        "rate 0.1 is the smallest value that was tried",
        "size 1 is the smallest value that was tried",
    ]
    assert at_the_edge(tried, tried.iloc[1]) == ["size 2 is the largest value that was tried"]


# --- a sweep's folder


def make_sweep(folder, grid, quality, noise=0.01, failing=(), curves=False):
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
            history = pd.DataFrame({"kind": "step", "epoch": np.arange(steps) / steps})
            history["loss"] = loss + 2.2 * np.exp(-6 * history.epoch)
            (folder / name).mkdir(parents=True)
            history.to_csv(folder / name / "history.csv", index=False)
    folder.mkdir(exist_ok=True)
    pd.DataFrame(rows).to_csv(folder / "summary.csv", index=False)
    (folder / "sweep.json").write_text(json.dumps({"parameters": list(grid)}))
    return folder


def by_rate(learning_rate, **_):
    return {1e-3: 0.30, 3e-3: 0.10, 1e-2: 0.11}[learning_rate]


def read(folder, metric="val_loss", better="lower", **others):
    return read_sweep(str(folder), metric, better, **others)


def test_what_was_run_is_described(tmp_path, capsys):
    grid = {"epochs": [1], "learning_rate": [1e-3, 3e-3], "batch_size": [32, 64], "seed": [0, 1]}
    sweep = read(
        make_sweep(tmp_path / "sweep", grid, by_rate, failing=[3]), "test_accuracy", "higher"
    )
    sweep.describe()
    assert capsys.readouterr().out.splitlines()[:6] == [
        "7 runs with a result, 1 without",
        "4 settings, 2 seeds",
        "a setting is: learning_rate · batch_size",
        "the same in all runs: epochs 1",
        "no result: epochs 1, learning_rate 0.001, batch_size 64, seed 1 "
        "(failed LossNotFinite: the loss is nan)",
        "Warning: test_accuracy comes from the test images. If you choose by it, no",
    ]
    assert sweep.scores.shape == (2, 4) and sweep.scores["0.001 · 64"].isna()[1]


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_run_without_a_finite_metric_has_no_result(tmp_path, capsys, value):
    grid = {"learning_rate": [1e-3, 3e-3], "seed": [0, 1, 2]}
    sweep = make_sweep(tmp_path / "sweep", grid, by_rate)
    summary = pd.read_csv(sweep / "summary.csv", dtype=str)
    summary.loc[3, "val_loss"] = value
    summary.to_csv(sweep / "summary.csv", index=False)
    read(sweep).describe()
    said = capsys.readouterr().out
    assert "5 runs with a result, 1 without" in said
    assert f"no result: learning_rate 0.003, seed 0 (val_loss is {value})" in said


def test_texts_that_look_like_nothing_are_values(tmp_path):
    grid = {"schedule": ["None", "", "nan", "constant"], "seed": [0, 1]}
    sweep = read(make_sweep(tmp_path / "sweep", grid, lambda **_: 0.2))
    assert set(sweep.scores) == {"None", "''", "nan", "constant"}


def test_values_that_look_alike_are_different(tmp_path):
    grid = {"label": ["1", "01", "1.0"], "learning_rate": [0.1234561, 0.1234562], "seed": [0, 1]}
    sweep = read(make_sweep(tmp_path / "sweep", grid, lambda **_: 0.2))
    assert sweep.scores.shape == (2, 6)
    assert {"01 · 0.1234562", "1.0 · 0.1234561"} < set(sweep.scores)


def test_a_curve_has_a_value_where_there_are_enough_steps(tmp_path):
    grid = {"learning_rate": [1e-3], "batch_size": [40]}
    sweep = read(make_sweep(tmp_path / "sweep", grid, by_rate, curves=True))
    [run] = sweep.runs.run
    steps = read_steps(sweep, run)
    assert len(steps) == 100 and len(smooth(steps)) == 91
    assert np.isclose(smooth(steps).iloc[0], steps.iloc[:10].mean())
    assert read_steps(sweep, "elsewhere") is None


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"metric": "accuracy"}, "metric = 'accuracy': one of 'val_loss', 'val_accuracy'"),
        ({"metric": "learning_rate"}, "metric = 'learning_rate': one of"),
        ({"better": "higher"}, "better = 'higher': 'lower' is needed: so is val_loss better"),
        ({"metric": "val_accuracy"}, "better = 'lower': 'higher' is needed: so is val_accuracy"),
        ({"color_by": "seed"}, "color_by = 'seed': one of 'learning_rate' is needed"),
    ],
)
def test_wrong_parameters_are_refused(tmp_path, arguments, message):
    grid = {"learning_rate": [1e-3, 3e-3], "seed": [0, 1]}
    with pytest.raises(InputError) as refusal:
        read(make_sweep(tmp_path / "sweep", grid, by_rate), **arguments)
    assert message in str(refusal.value)


def test_folders_with_nothing_to_compare_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="a folder with sweep.json is needed"):
        read(tmp_path / "empty")
    seeds = {"seed": [0, 1]}
    failed = make_sweep(tmp_path / "failed", seeds, lambda seed: 0.2, failing=(0, 1))
    with pytest.raises(InputError, match="none of its runs is done"):
        read(failed)
    with pytest.raises(InputError, match="metric = 'val_loss': it is a finite number in none"):
        read(make_sweep(tmp_path / "nan", seeds, lambda seed: NAN))
    with pytest.raises(InputError, match="color_by = 'seed': '' is needed: only the seed varies"):
        read(make_sweep(tmp_path / "seeds", seeds, lambda seed: 0.2), color_by="seed")


# --- the report


def report(sweep, **parameters):
    """Run the chapter on a sweep; return what its cells printed or showed as text, by cell."""
    return run_cells(CHAPTER, {"sweep_dir": str(sweep)} | parameters)


def test_a_report_of_sixty_runs_with_failures_texts_and_three_parameters(tmp_path):
    grid = {"learning_rate": [1e-3, 3e-3, 1e-2], "batch_size": [32, 128]}
    grid |= {"schedule": ["constant", "cosine"], "seed": [0, 1, 2, 3, 4]}
    sweep = make_sweep(tmp_path / "sweep", grid, by_rate, failing=(7, 31), curves=True)
    texts = report(sweep, metric="val_accuracy", better="higher", color_by="schedule")
    assert texts["complete"].count("set aside:") == 2
    assert "10 settings to compare, 5 seeds each" in texts["complete"]
    worse = [line for line in texts["compare"].splitlines() if line.endswith(" worse")]
    assert len(worse) == 3 and all(line.startswith("0.001") for line in worse)
    assert "chosen: 0.003" in texts["choice"] and "test_accuracy, mean of 5" in texts["choice"]
    assert "<Figure" in texts["curves"] and "learning_rate" not in texts["edges"]


def test_a_report_of_two_runs_without_seeds_or_curves(tmp_path):
    texts = report(make_sweep(tmp_path / "sweep", {"learning_rate": [1e-3, 3e-3]}, by_rate))
    assert "too few seeds" in texts["compare"]
    assert "takes two settings with two seeds each" in texts["one-seed"]
    assert "there are no curves to draw" in texts["curves"]
    assert "learning_rate 0.003 is the largest value that was tried" in texts["edges"]


def test_a_report_of_one_setting(tmp_path):
    sweep = make_sweep(tmp_path / "sweep", {"seed": [0, 1]}, lambda seed: 0.2, curves=True)
    texts = report(sweep)
    assert "There is one setting only" in texts["compare-figure"]
    assert "chosen: the only one" in texts["choice"]
    assert "0 of 0 other settings" in texts["not-told"]


def test_what_the_chapter_says_of_its_example():
    sweep = read("")
    losses = sweep.scores
    assert (losses.idxmin(axis=1) == ["0.01 · 64"] * 2 + ["0.003 · 32"] * 2).all()
    assert (losses.idxmin() == 0).sum() == 5  # seed 0 was kind to five settings
    assert (losses["0.001 · 64"] > losses["0.001 · 32"]).all()
    assert (losses["0.01 · 64"] < losses["0.01 · 32"]).sum() == 3
    wins, worse = draw_single_runs(losses)
    means = losses.mean().sort_values()
    assert wins[means.index[0]] <= wins[means.index[1]] + 0.005
    assert worse > 2 * (means.iloc[2] - means.iloc[0])
    table = losses.to_numpy()
    spreads = noise_of(table).std(axis=0)
    assert list(losses)[spreads.argmax()] == "0.01 · 32" and spreads.max() > 7 * spreads.min()
    behind, limit = means["0.01 · 32"] - means.iloc[0], pooled_error(table)
    assert limit < behind < separate_errors(table)[list(losses).index("0.01 · 32")]
    assert list(compare(losses).query("verdict == 'worse'").index) == ["0.001 · 64"]
