"""Answers to the exercises of chapter 09."""

import itertools

import numpy as np
import pandas as pd
from answers import right, with_odds, wrong
from scipy import special

# 9.1: is the lead larger than the luck?


@right("9.1")
def by_pivot(runs):
    table = runs.pivot_table(index="seed", columns="setting", values="loss")
    first, second = table.mean().nsmallest(2).index
    gap = (table[second] - table[first]).dropna()
    return first, second, gap.mean(), gap.sem()


@right("9.1")
def by_merge(runs):
    means = runs.groupby("setting").loss.mean().sort_values()
    a, b = (runs[runs.setting == name].dropna() for name in means.index[:2])
    gap = a.merge(b, on="seed").eval("loss_y - loss_x").to_numpy()
    return [*means.index[:2], np.mean(gap), np.std(gap, ddof=1) / len(gap) ** 0.5]


@right("9.1")
def in_loops(runs):
    losses = {}
    for seed, setting, loss in runs.itertuples(index=False):
        if not np.isnan(loss):
            losses.setdefault(setting, {})[seed] = loss
    first, second = sorted(losses, key=lambda name: np.mean(list(losses[name].values())))[:2]
    gaps = [losses[second][s] - losses[first][s] for s in losses[first] if s in losses[second]]
    mean = sum(gaps) / len(gaps)
    variance = sum((gap - mean) ** 2 for gap in gaps) / (len(gaps) - 1)
    return first, second, mean, np.sqrt(variance / len(gaps))


def changed(change):
    """Make an answer from the right one, the table, and the runs of the two."""

    def answer(runs):
        table = runs.pivot(index="seed", columns="setting", values="loss")
        first, second = table.mean().nsmallest(2).index
        gap = (table[second] - table[first]).dropna()
        parts = {"first": first, "second": second, "lead": gap.mean(), "error": gap.sem()}
        return tuple((parts | change(table[first], table[second], gap)).values())

    return answer


wrong("9.1", "unpaired")(
    changed(lambda a, b, gap: {"error": np.sqrt(a.var() / a.count() + b.var() / b.count())})
)
wrong("9.1", "unpaired")(
    changed(lambda a, b, gap: {"error": np.hypot(a[gap.index].sem(), b[gap.index].sem())})
)
wrong("9.1", "single_run")(changed(lambda a, b, gap: {"error": gap.std()}))
wrong("9.1", "ddof")(changed(lambda a, b, gap: {"error": np.std(gap) / np.sqrt(len(gap))}))
wrong("9.1", "all_seeds")(changed(lambda a, b, gap: {"error": gap.std() / np.sqrt(len(a))}))
wrong("9.1", "difference_of_means")(changed(lambda a, b, gap: {"lead": b.mean() - a.mean()}))
wrong("9.1", "sign")(changed(lambda a, b, gap: {"lead": -gap.mean()}))
wrong("9.1", "no_root")(changed(lambda a, b, gap: {"error": gap.std() / len(gap)}))
wrong("9.1", "sizes")(changed(lambda a, b, gap: {"lead": gap.abs().mean()}))
wrong("9.1", "median_lead")(changed(lambda a, b, gap: {"lead": gap.median()}))
wrong("9.1", "counterexample")(changed(lambda a, b, gap: {"error": gap.max() - gap.min()}))
wrong("9.1", "count")(lambda runs: by_pivot(runs)[0])


def with_pair(choose):
    """Make an answer that compares another pair."""

    def answer(runs):
        table = runs.pivot(index="seed", columns="setting", values="loss")
        first, second = choose(table)
        gap = (table[second] - table[first]).dropna()
        return first, second, gap.mean(), gap.sem()

    return answer


wrong("9.1", "best_run")(with_pair(lambda table: table.min().nsmallest(2).index))
wrong("9.1", "median")(with_pair(lambda table: table.median().nsmallest(2).index))
wrong("9.1", "highest")(with_pair(lambda table: table.mean().nlargest(2).index))
wrong("9.1", "worst")(with_pair(lambda table: [table.mean().idxmin(), table.mean().idxmax()]))


@wrong("9.1", "complete_seeds")
def only_seeds_without_failures(runs):
    table = runs.pivot(index="seed", columns="setting", values="loss").dropna()
    first, second = table.mean().nsmallest(2).index
    gap = table[second] - table[first]
    return first, second, gap.mean(), gap.sem()


@wrong("9.1", "set_aside")
def only_settings_without_failures(runs):
    return by_pivot(runs[runs.groupby("setting").loss.transform("count") == runs.seed.nunique()])


@wrong("9.1", "set_aside")
def as_in_the_chapter(runs):
    table = runs.pivot(index="seed", columns="setting", values="loss")
    table = table.loc[:, table.count() == table.count().max()].dropna()
    first, second = table.mean().nsmallest(2).index
    gap = table[second] - table[first]
    return first, second, gap.mean(), gap.sem()


@wrong("9.1", "in_rows")
def one_after_the_other(runs):
    runs = runs.sort_values("seed").dropna()
    first, second = runs.groupby("setting").loss.mean().nsmallest(2).index
    a, b = (runs.loss[runs.setting == name].to_numpy() for name in (first, second))
    gap = b[: len(a)] - a[: len(b)]
    return first, second, gap.mean(), gap.std(ddof=1) / np.sqrt(len(gap))


@wrong("9.1", "failed_is_zero")
def filled_with_zeros(runs):
    return by_pivot(runs.fillna(0.0))


@wrong("9.1", "shared_winner")
def only_seeds_of_both(runs):
    table = runs.pivot(index="seed", columns="setting", values="loss")
    table = table[table.mean().nsmallest(2).index].dropna()
    first, second = table.mean().nsmallest(2).index
    gap = table[second] - table[first]
    return first, second, gap.mean(), gap.sem()


@wrong("9.1", "in_rows")
def as_they_stand(runs):
    names = runs.groupby("setting").loss.mean().nsmallest(2).index
    a, b = (runs.loss[runs.setting == name].to_numpy() for name in names)
    gap = pd.Series(b - a)
    return *names, gap.mean(), gap.sem()


@wrong("9.1", "changes_argument")
def drops(runs):
    runs.dropna(inplace=True)
    return by_pivot(runs)


# 9.2: what is the best of n worth?


@right("9.2")
def by_chances(losses, n):
    worse = np.arange(len(losses), -1, -1) / len(losses)
    return np.sort(losses) @ (worse[:-1] ** n - worse[1:] ** n)


@right("9.2")
def one_by_one(losses, n):
    total, runs = 0.0, len(losses)
    for i, loss in enumerate(sorted(losses)):
        total += loss * (((runs - i) / runs) ** n - ((runs - i - 1) / runs) ** n)
    return total


wrong("9.2", "best_of_all")(lambda losses, n: min(losses))
wrong("9.2", "mean")(lambda losses, n: losses.mean())
wrong("9.2", "first_n")(lambda losses, n: losses[:n].min())
wrong("9.2", "one_more")(lambda losses, n: one_by_one(losses, n + 1))
wrong("9.2", "one_less")(lambda losses, n: one_by_one(losses, max(n - 1, 1)))
wrong("9.2", "capped")(lambda losses, n: one_by_one(losses, min(n, len(losses))))
wrong("9.2", "each_once")(lambda losses, n: one_by_one(set(losses.tolist()), n))
wrong("9.2", "lowest_n")(lambda losses, n: np.mean(sorted(losses)[:n]))
wrong("9.2", "at_least")(
    lambda losses, n: sum(x * (1 - i / len(losses)) ** n for i, x in enumerate(sorted(losses)))
)
wrong("9.2", "largest")(lambda losses, n: -one_by_one(-losses, n))
wrong("9.2", "no_return")(lambda losses, n: print(one_by_one(losses, n)))
wrong("9.2", "counterexample")(lambda losses, n: np.median(losses))


@wrong("9.2", "without_replacement")
def all_choices(losses, n):
    if len(losses) < 10:
        return np.mean(list(map(min, itertools.combinations(losses, min(n, len(losses))))))
    left = [special.comb(len(losses) - k, n) for k in range(len(losses) + 1)]
    return np.sort(losses) @ -np.diff(left) / left[0]


@wrong("9.2", "unsorted")
def not_in_order(losses, n):
    worse = np.arange(len(losses), -1, -1) / len(losses)
    return losses @ (worse[:-1] ** n - worse[1:] ** n)


@wrong("9.2", "simulated")
def drawn(losses, n):
    return np.random.default_rng(0).choice(losses, (2000, n)).min(axis=1).mean()


# 9.3: what the winner does next time


@right("9.3")
def left_out(losses):
    seeds = np.arange(len(losses))
    choices = [losses[seeds != seed].mean(axis=0).argmin() for seed in seeds]
    return losses.mean(axis=0).min(), losses[seeds, choices].mean()


@right("9.3")
def by_sums(losses):
    others = losses.sum(axis=0) - losses
    chosen = np.take_along_axis(losses, others.argmin(axis=1)[:, None], axis=1)
    return float(np.min(losses.mean(0))), float(chosen.mean())


@right("9.3")
def with_pandas(losses):
    table = pd.DataFrame(losses)
    found = [row[table.drop(seed).mean().idxmin()] for seed, row in table.iterrows()]
    return table.mean().min(), np.mean(found)


def honest_by(honest):
    return lambda losses: (losses.mean(axis=0).min(), honest(losses))


wrong("9.3", "same_seeds")(honest_by(lambda x: x[:, x.mean(axis=0).argmin()].mean()))
wrong("9.3", "best_of_each")(honest_by(lambda x: x.min(axis=1).mean()))
wrong("9.3", "mean_of_all")(honest_by(np.mean))
wrong("9.3", "own_means")(
    honest_by(lambda x: ((x.sum(axis=0) - x).min(axis=1) / (len(x) - 1)).mean())
)
wrong("9.3", "one_seed")(honest_by(lambda x: x[0, x[1:].mean(axis=0).argmin()]))
wrong("9.3", "added")(honest_by(lambda x: left_out(x)[1] * len(x)))
wrong("9.3", "worst")(honest_by(lambda x: -left_out(-x)[1]))
wrong("9.3", "median")(
    honest_by(
        lambda x: np.mean(
            [row[np.median(np.delete(x, i, 0), 0).argmin()] for i, row in enumerate(x)]
        )
    )
)
wrong("9.3", "left_out_setting")(
    honest_by(lambda x: np.mean([np.delete(x, i, 1).mean(0).min() for i in range(len(x[0]))]))
)
wrong("9.3", "axes")(lambda losses: by_sums(losses.T))
wrong("9.3", "swapped")(lambda losses: left_out(losses)[::-1])
wrong("9.3", "claims_mean")(lambda losses: (losses.mean(), left_out(losses)[1]))
wrong("9.3", "claims_seed")(lambda losses: (losses.mean(axis=1).min(), left_out(losses)[1]))
wrong("9.3", "claims_number")(lambda losses: (losses.mean(axis=0).argmin(), left_out(losses)[1]))
wrong("9.3", "claims_best_run")(lambda losses: (losses.min(), left_out(losses)[1]))
wrong("9.3", "claims_best_of_each")(
    lambda losses: (losses.min(axis=1).mean(), left_out(losses)[1])
)
wrong("9.3", "counterexample")(honest_by(lambda x: np.median(x)))
wrong("9.3", "count")(lambda losses: left_out(losses)[1])


@wrong("9.3", "one_chooses")
def judged_by_the_others(losses):
    found = []
    for i, row in enumerate(losses):
        found.append(np.delete(losses, i, axis=0)[:, row.argmin()].mean())
    return losses.mean(axis=0).min(), np.mean(found)


@wrong("9.3", "best_run")
def chosen_by_the_best_run(losses):
    seeds = np.arange(len(losses))
    choices = [losses[seeds != seed].min(axis=0).argmin() for seed in seeds]
    return losses.mean(axis=0).min(), losses[seeds, choices].mean()


# 9.4: predict, with odds

STATEMENTS = {"a": True, "b": False, "c": True, "d": False, "e": True, "f": False}

right("9.4")(with_odds(STATEMENTS, 0.9))
right("9.4")(with_odds(STATEMENTS, 0.8, d=0.5))
wrong("9.4", "coin")(with_odds(STATEMENTS, 0.5))
wrong("9.4", "worse_than_coin")(with_odds(STATEMENTS, 0.2))
wrong("9.4", "not_enough")(with_odds(STATEMENTS, 0.9, b=0.9, d=0.6))
