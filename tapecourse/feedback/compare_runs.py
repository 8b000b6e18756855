"""The checks of the exercises of chapter 09."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from tapecourse.feedback.core import NotRight, exercise, mistake
from tapecourse.feedback.predictions import predict

Random = np.random.Generator

# --- 9.1


COLUMNS: Any = ["seed", "setting", "loss"]


class Runs(pd.DataFrame):
    """A table of runs, which is written in short."""

    def __repr__(self) -> str:
        if len(self) > 8:
            failed = np.sum(np.isnan(self["loss"]))
            settings = self["setting"].nunique()
            return f"a table of {len(self)} runs of {settings} settings, of which {failed} failed"
        rows = zip(self["setting"], self["seed"], self["loss"])
        return "runs " + ", ".join(f"{name}{seed}: {loss:g}" for name, seed, loss in rows)


def judge_lead(answer: Callable, runs: Runs) -> tuple:
    """Put a plain table to an answer."""
    table = pd.DataFrame(runs).copy()
    value = answer(table)
    if not table.equals(pd.DataFrame(runs)):
        raise NotRight(
            "changes_argument",
            "It changes the table, which others may need.",
            "Which line assigns to something that was given? Work on a copy.",
        )
    return value


def paired(a: pd.Series, b: pd.Series) -> pd.Series:
    """Return the differences of two settings, seed by seed, where both have a result."""
    return (b - a).dropna()


def lead_by(
    winner: Callable = lambda table: table.mean().sort_values(kind="stable").index[:2],
    differences: Callable = paired,
    spread: Callable = lambda d, a, b: d.std(ddof=1) / np.sqrt(len(d)),
    lead: Callable = lambda d, a, b: d.mean(),
    keep: Callable = lambda table: table,
) -> Callable:
    """Make an answer, right or with faults."""

    def answer(runs: pd.DataFrame) -> tuple:
        table = keep(runs.pivot(index="seed", columns="setting", values="loss"))
        best, second = winner(table)
        a, b = table[best], table[second]
        d = differences(a, b)
        return best, second, lead(d, a, b), spread(d, a, b)

    return answer


def compare_two(runs: pd.DataFrame) -> tuple:
    """Return the winner, the second, the lead, and its standard error."""
    return lead_by()(runs)


def draw_runs(
    random: Random, settings: str, seeds: int, lost: int = 0, luck: float = 0.1, sign: float = 1
) -> tuple[Runs]:
    """Draw a table of runs in any order; some of them have no result."""
    names = list(settings)
    means = sign * random.uniform(0.3, 0.6, len(names))
    shared = luck * random.normal(0, 1, seeds)
    rows = [
        (seed, name, round(mean + shared[i] + random.normal(0, 0.03), 4))
        for name, mean in zip(names, means)
        for i, seed in enumerate(random.permutation(seeds))
    ]
    runs = Runs(rows, columns=COLUMNS)
    best, second = runs.pivot_table("loss", "setting").sort_values("loss").index[:2]
    for i in range(lost):  # in turns of the best and of the second
        of = runs["setting"] == (best, second)[i % 2]
        runs.loc[of & (runs["seed"] == i), "loss"] = np.nan
    order = random.permutation(len(runs))
    return (Runs(runs.iloc[order].reset_index(drop=True)),)


def in_rows(a: pd.Series, b: pd.Series) -> pd.Series:
    """Return differences of what isn't missing, in their order, whatever the seed."""
    a, b = a.dropna(), b.dropna()
    n = min(len(a), len(b))
    return pd.Series(b.to_numpy()[:n] - a.to_numpy()[:n])


def apart(a: pd.Series, b: pd.Series, ddof: int = 1) -> float:
    """Return the standard error of the difference of two means that share nothing."""
    a, b = a.dropna(), b.dropna()
    return np.hypot(*(np.std(each, ddof=ddof) / np.sqrt(len(each)) for each in (a, b)))


def shared_runs(a: pd.Series, b: pd.Series) -> tuple:
    """Return the results of two settings for the seeds that both have."""
    both = a.notna() & b.notna()
    return a[both], b[both]


def in_table_order(runs: pd.DataFrame, drop: bool = True) -> tuple:
    """Pair the runs of two settings as they stand in the table, whatever their seeds."""
    runs = runs.dropna() if drop else runs
    best, second = runs.pivot_table("loss", "setting").sort_values("loss").index[:2]
    a, b = (np.array(runs["loss"][runs["setting"] == name]) for name in (best, second))
    n = min(len(a), len(b))
    d = pd.Series(b[:n] - a[:n]).dropna()
    return best, second, d.mean(), d.sem()


def by_shared_runs(runs: pd.DataFrame) -> tuple:
    """Say of two settings which is the winner by the seeds that both have."""
    table = runs.pivot(index="seed", columns="setting", values="loss")
    both: Any = table[table.mean().sort_values(kind="stable").index[:2]].dropna()
    best, second = both.mean().sort_values(kind="stable").index
    d = paired(both[best], both[second])
    return best, second, d.mean(), d.sem()


turned = Runs(  # C has the lowest median, A the lowest mean; B is better where both have a result
    [(0, "A", 0.5), (1, "A", 0.52), (2, "A", 0.1), (3, "A", 0.12)]
    + [(0, "B", 0.4), (1, "B", 0.45), (2, "B", np.nan), (3, "B", np.nan)]
    + [(0, "C", 0.2), (1, "C", 0.3), (2, "C", 0.2), (3, "C", 2.0)],
    columns=COLUMNS,
)
by_hand = Runs(
    [(0, "B", 0.6), (1, "A", 0.4), (0, "A", 0.5), (1, "B", 0.46)],
    columns=COLUMNS,
)

exercise(
    "9.1",
    "Is the lead larger than the luck?",
    3,
    mistake(
        "best_run",
        "The winner is the setting of the best single run.",
        "Which setting would be the best with an average seed?",
        lead_by(lambda table: table.min().sort_values(kind="stable").index[:2]),
    ),
    mistake(
        "median",
        "The settings are put in order by their medians.",
        "By what are they to be compared?",
        lead_by(lambda table: table.median().sort_values(kind="stable").index[:2]),
    ),
    mistake(
        "shared_winner",
        "Winner and second change places where the shared seeds alone would have it so.",
        "Over which runs is the mean that decides who wins? And may a lead be negative?",
        by_shared_runs,
    ),
    mistake(
        "failed_is_zero",
        "A run that failed counts as a loss of 0.",
        "What is known about the loss of a run that failed?",
        lead_by(keep=lambda table: table.fillna(0.0)),
    ),
    mistake(
        "highest",
        "The winner is the setting with the largest losses.",
        "Which losses are better?",
        lead_by(lambda table: table.mean().sort_values(ascending=False).index[:2]),
    ),
    mistake(
        "worst",
        "The winner is compared with the worst setting.",
        "Which setting would you use if the winner didn't exist?",
        lead_by(lambda table: table.mean().sort_values(kind="stable").index[[0, -1]]),
    ),
    mistake(
        "unpaired",
        "The standard error is that of two settings with nothing in common.",
        "Both ran with the same seeds. Which luck cancels if you subtract seed by seed?",
        lead_by(spread=lambda d, a, b: apart(a, b)),
        lead_by(spread=lambda d, a, b: apart(a, b, 0)),
        lead_by(spread=lambda d, a, b: apart(*shared_runs(a, b))),
        lead_by(spread=lambda d, a, b: apart(a, b), lead=lambda d, a, b: b.mean() - a.mean()),
        lead_by(spread=lambda d, a, b: apart(a, b, 0), lead=lambda d, a, b: b.mean() - a.mean()),
    ),
    mistake(
        "single_run",
        "The last number is the spread of one difference, not of their mean.",
        "How many differences were averaged?",
        lead_by(spread=lambda d, a, b: d.std(ddof=1)),
        lead_by(spread=lambda d, a, b: d.std(ddof=0)),
    ),
    mistake(
        "no_root",
        "The standard deviation is divided by the number of differences, not by its root.",
        "How much smaller does a standard error get with four times as many seeds?",
        lead_by(spread=lambda d, a, b: d.std(ddof=1) / len(d)),
        lead_by(spread=lambda d, a, b: d.std(ddof=0) / len(d)),
    ),
    mistake(
        "sizes",
        "The lead is the mean of the differences' sizes: their signs are lost.",
        "What if the second is better with one of the seeds?",
        lead_by(differences=lambda a, b: abs(paired(a, b))),
        lead_by(lead=lambda d, a, b: abs(d).mean()),
    ),
    mistake(
        "median_lead",
        "The lead is the median of the differences.",
        "Which of mean and median is asked for?",
        lead_by(lead=lambda d, a, b: d.median()),
    ),
    mistake(
        "ddof",
        "The standard deviation is divided by the number of differences, and not by one less.",
        "Of n differences, how many are still free once their mean is known?",
        lead_by(spread=lambda d, a, b: d.std(ddof=0) / np.sqrt(len(d))),
    ),
    mistake(
        "all_seeds",
        "The root is taken of the number of all seeds, those without a result included.",
        "For how many seeds do both have a result?",
        lead_by(spread=lambda d, a, b: d.std(ddof=1) / np.sqrt(len(a))),
    ),
    mistake(
        "difference_of_means",
        "The lead is a difference of two means over different seeds, where a run was lost.",
        "Which seeds do both of them have?",
        lead_by(lead=lambda d, a, b: b.mean() - a.mean()),
    ),
    mistake(
        "complete_seeds",
        "A seed is left out as soon as any setting failed with it.",
        "Which runs are needed to compare two settings?",
        lead_by(keep=lambda table: table.dropna()),
    ),
    mistake(
        "set_aside",
        "A setting is left out as soon as one of its runs failed.",
        "The machine failed, not the setting. What of it can still be compared?",
        lead_by(keep=lambda table: table.dropna(axis=1)),
    ),
    mistake(
        "in_rows",
        "Runs with different seeds are subtracted from each other.",
        "In which order do the runs stand, and what does a missing one do to it?",
        lead_by(differences=in_rows),
        in_table_order,
        lambda runs: in_table_order(runs, drop=False),
    ),
    mistake(
        "sign",
        "The lead has the wrong sign.",
        "How much worse is the second? A larger loss is worse.",
        lead_by(lead=lambda d, a, b: -d.mean()),
    ),
    cases=lambda random: [
        (by_hand,),
        (turned,),
        draw_runs(random, "AB", 4),
        draw_runs(random, "xyz", 5),
        draw_runs(random, "ABCD", 6, lost=3),
        draw_runs(random, "pqr", 4, lost=1, luck=0.3),
        draw_runs(random, "uvwxyz", 8, lost=4, sign=-1.0),
    ],
    question="Make a table with a row for each seed. Which of its rows can be compared?",
    probe=judge_lead,
    inputs=("",),
    parts=("the winner", "the second", "the lead", "its standard error"),
)(compare_two)


# --- 9.2


def best_by(chance: Callable) -> Callable:
    """Make an answer: `chance` that the best of n is not among the first k of N, in order."""

    def answer(losses: np.ndarray, n: int) -> float:
        ordered, k = np.sort(losses), np.arange(len(losses) + 1)
        left = np.array([chance(len(losses), i, n) for i in k], dtype=float)
        return float(np.sum(ordered * (left[:-1] - left[1:])))

    return answer


def without_replacement(runs: int, k: int, n: int) -> float:
    """Return the chance that n different runs are all among the worst."""
    factors = [(runs - k - i) / (runs - i) for i in range(min(n, runs))]
    return float(np.prod(np.maximum(factors, 0)))


def expected_best(losses: np.ndarray, n: int) -> float:
    """Return the mean of the best of n runs drawn from some."""
    return best_by(lambda runs, k, n: ((runs - k) / runs) ** n)(losses, n)


def unsorted(losses: np.ndarray, n: int) -> float:
    """Use the right chances in the wrong order."""
    k = np.arange(len(losses))
    chances = ((len(losses) - k) / len(losses)) ** n - ((len(losses) - k - 1) / len(losses)) ** n
    return float(np.sum(losses * chances))


exercise(
    "9.2",
    "What is the best of n worth?",
    3,
    mistake(
        "best_of_all",
        "This is the best of all runs, whatever n is.",
        "Is the best run always among the n that are drawn?",
        lambda losses, n: np.min(losses),
    ),
    mistake(
        "mean",
        "This is the mean of all runs, whatever n is.",
        "With n = 2, which of the two runs is reported?",
        lambda losses, n: np.mean(losses),
    ),
    mistake(
        "largest",
        "This is the expected *largest* loss of n.",
        "Which loss is the best?",
        lambda losses, n: -expected_best(-losses, n),
    ),
    mistake(
        "without_replacement",
        "Here no run can be drawn twice.",
        "Each draw is a new training. Can two of them end with equal losses?",
        best_by(without_replacement),
    ),
    mistake(
        "unsorted",
        "The chances belong to sorted losses.",
        "Which run is the best of n if it is drawn at all? And which one only if no other is?",
        unsorted,
    ),
    mistake(
        "one_more",
        "This is the best of n + 1 runs.",
        "With n = 1, what is the mean of the best?",
        lambda losses, n: expected_best(losses, n + 1),
    ),
    mistake(
        "one_less",
        "This is the best of n - 1 runs.",
        "With n = 2, in how many of four cases is the worse of two runs the best?",
        lambda losses, n: expected_best(losses, n - 1) if n > 1 else np.mean(losses),
    ),
    mistake(
        "capped",
        "It is right as long as n isn't larger than the number of losses.",
        "May several runs end with the same loss?",
        lambda losses, n: expected_best(losses, min(n, len(losses))),
    ),
    mistake(
        "each_once",
        "Equal losses count once.",
        "If two of three runs ended with the same loss, how likely is that loss?",
        lambda losses, n: expected_best(np.unique(losses), n),
    ),
    mistake(
        "at_least",
        "A loss is weighted with the chance that no run is better, not that it is the best.",
        "What do the chances of all losses have to add up to?",
        lambda losses, n: np.sort(losses) @ (1 - np.arange(len(losses)) / len(losses)) ** n,
    ),
    mistake(
        "lowest_n",
        "This is the mean of the n lowest losses.",
        "Which runs might have been drawn instead?",
        lambda losses, n: np.sort(losses)[:n].mean(),
    ),
    mistake(
        "first_n",
        "This is the best of the first n runs.",
        "Which runs might have been drawn instead?",
        lambda losses, n: np.min(losses[:n]),
    ),
    mistake(
        "simulated",
        "It is within 0.1 of what is right, and not exact.",
        "Is there a random number in it? With the chances on paper none is needed.",
        seen=lambda found, right: all(
            abs(a["the answer"] - b["the answer"]) < 0.1 for a, b in zip(found, right)
        ),
    ),
    cases=lambda random: [
        (np.array([1.0, 2.0]), 2),
        (np.array([3.0, -1.0, 2.0]), 1),
        *[
            (np.round(random.uniform(-1, 1, size), 2), n)
            for size, n in [(3, 2), (4, 3), (5, 2), (6, 12), (1, 3)]
        ],
        (np.array([0.5, 0.2, 0.5, 0.5]), 3),
        (random.uniform(0, 1, 40).astype("float32"), 20),
    ],
    question="What is the chance that all n draws are among the k worst runs?",
)(expected_best)


# --- 9.3


def report_by(honest: Callable, claim: Callable = lambda x: x.mean(axis=0).min()) -> Callable:
    """Make an answer, right or with faults."""
    return lambda losses: (claim(losses), honest(losses))


def leave_one_out(
    losses: np.ndarray, chosen_by: Callable = lambda others: others.mean(axis=0)
) -> float:
    """Choose by all other seeds, and judge by the one left out; return the mean."""
    found = []
    for i, row in enumerate(losses):
        choice = np.argmin(chosen_by(np.delete(losses, i, axis=0)))
        found.append(row[choice])
    return float(np.mean(found))


def claimed_and_honest(losses: np.ndarray) -> tuple:
    """Return what is claimed of the winner, and what holds for a new seed."""
    return report_by(leave_one_out)(losses)


def in_turn(losses: np.ndarray) -> float:
    """Choose by one seed, and judge by the others."""
    choices = losses.argmin(axis=1)
    left = [np.delete(losses[:, choice], i).mean() for i, choice in enumerate(choices)]
    return float(np.mean(left))


exercise(
    "9.3",
    "What the winner does next time",
    3,
    mistake(
        "axes",
        "Seeds and settings are taken for each other.",
        "Which axis of the array belongs to the seeds?",
        lambda losses: claimed_and_honest(losses.T),
    ),
    mistake(
        "swapped",
        "The two losses have changed places.",
        "Which is asked for first?",
        lambda losses: claimed_and_honest(losses)[::-1],
    ),
    mistake(
        "same_seeds",
        "the winner is judged by the seeds that chose it.",
        "Which numbers had no part in the choice?",
        report_by(lambda x: x.mean(axis=0).min()),
    ),
    mistake(
        "best_of_each",
        "this is the mean of each seed's best setting.",
        "Does anybody know, before a seed has run, which setting it will favour?",
        report_by(lambda x: x.min(axis=1).mean()),
    ),
    mistake(
        "mean_of_all",
        "this is the mean of all settings.",
        "Which setting is judged with the seed that is left out?",
        report_by(lambda x: x.mean()),
    ),
    mistake(
        "one_chooses",
        "one seed chooses, and the others judge.",
        "Which should be many, the seeds that choose, or those that judge?",
        report_by(in_turn),
    ),
    mistake(
        "own_means",
        "this is a mean over the seeds that choose, not the loss with the other one.",
        "Which loss had no part in the choice?",
        report_by(lambda x: np.mean([np.delete(x, i, 0).mean(0).min() for i in range(len(x))])),
    ),
    mistake(
        "one_seed",
        "only one seed is left out.",
        "Which seeds are to be left out in turn?",
        report_by(lambda x: x[0, x[1:].mean(axis=0).argmin()]),
        report_by(lambda x: x[-1, x[:-1].mean(axis=0).argmin()]),
    ),
    mistake(
        "added",
        "the losses are added up, not averaged.",
        "How large is the sum with twice as many seeds?",
        report_by(lambda x: leave_one_out(x) * len(x)),
    ),
    mistake(
        "worst",
        "the other seeds choose the setting with the largest mean.",
        "Which losses are better?",
        report_by(lambda x: leave_one_out(x, lambda others: -others.mean(axis=0))),
    ),
    mistake(
        "median",
        "the other seeds choose by the median.",
        "By what are the settings to be compared?",
        report_by(lambda x: leave_one_out(x, lambda others: np.median(others, axis=0))),
    ),
    mistake(
        "left_out_setting",
        "a setting is left out, not a seed.",
        "Which axis of the array belongs to the seeds?",
        report_by(
            lambda x: np.mean([np.delete(x, i, 1).mean(0).min() for i in range(x.shape[1])])
        ),
    ),
    mistake(
        "best_run",
        "settings are chosen by their best run.",
        "What did section 2 of the chapter say about best runs?",
        report_by(lambda x: leave_one_out(x, lambda others: others.min(axis=0))),
    ),
    mistake(
        "claims_best_run",
        "this is the best single run.",
        "What is claimed of a setting, one run or its mean?",
        report_by(leave_one_out, np.min),
    ),
    mistake(
        "claims_best_of_each",
        "this is the mean of each seed's best setting.",
        "Of how many settings is the loss claimed?",
        report_by(leave_one_out, lambda x: x.min(axis=1).mean()),
    ),
    mistake(
        "claims_mean",
        "this is the mean of all settings.",
        "Of which setting is the loss claimed?",
        report_by(leave_one_out, np.mean),
    ),
    mistake(
        "claims_seed",
        "this is the lowest of the seeds' means, not of the settings'.",
        "Which axis of the array belongs to the seeds?",
        report_by(leave_one_out, lambda x: x.mean(axis=1).min()),
    ),
    mistake(
        "claims_number",
        "this is the number of the winner, not its loss.",
        "What does `argmin` return?",
        report_by(leave_one_out, lambda x: x.mean(axis=0).argmin()),
    ),
    cases=lambda random: [
        (np.array([[1.0, 2.0], [3.0, 1.0]]),),
        (np.array([[1.0, 2.0], [3.0, 1.0], [2.0, 2.0]]),),
        *[
            (np.round(random.normal(0, 1, shape) + random.normal(0, 1, shape[0])[:, None], 2),)
            for shape in [(2, 3), (4, 2), (3, 5), (6, 4), (5, 2)]
        ],
        (random.uniform(0, 1, (8, 6)).astype("float32"),),
    ],
    question="Leave out the first seed. Which setting do the others choose? How did that one do?",
    parts=("the claimed loss", "the honest loss"),
    by_part=True,
)(claimed_and_honest)


# --- 9.4


predict(
    "9.4",
    "odds_of_sweeps",
    2,
    a=(
        True,
        "The best of ten equal settings, with a run each, lies on average more than one s "
        "below their true mean.",
    ),
    b=(
        False,
        "If all settings run with the same seeds, the winner's loss is no longer too good "
        "on average.",
    ),
    c=(True, "To halve the standard error of a mean takes four times as many seeds."),
    d=(
        False,
        "If the 95 % intervals of two means overlap, the difference is no larger than "
        "what luck explains.",
    ),
    e=(
        True,
        "If 20 equal settings are each compared with the known truth at a level of 5 %, a "
        "false alarm somewhere is more likely than none.",
    ),
    f=(
        False,
        "With 16 seeds each, and one setting truly worse by half an s, it is about as "
        "safe to compare the best runs as the means.",
    ),
)
