"""The stored runs of appendix A: all are there, and none is there twice."""

import itertools

import pandas as pd
from conftest import ROOT

FOUR = ["no training=True", "summed loss", "not shuffled", "last images left out"]
SLOW = "momentum 0.99"


def test_each_run_of_the_original_with_its_bugs_is_stored_once():
    runs = pd.read_csv(ROOT / "notebooks" / "A_bug_runs.csv")
    adam = ["none", *FOUR, "all four", SLOW, "only training=True repaired"]
    expected = [*itertools.product(adam, ["Adam(0.001)"]), ("none", "SGD(0.1)")]
    expected += [("summed loss", "SGD(0.1)")]
    rows = {(*run, seed, epoch) for run in expected for seed in range(3) for epoch in range(1, 6)}
    rows |= {(SLOW, "Adam(0.001)", 0, epoch) for epoch in range(6, 11)}
    stored = list(runs[["bugs", "optimizer", "seed", "epoch"]].itertuples(index=False, name=None))
    assert len(stored) == len(rows) and set(stored) == rows
    assert runs.accuracy.between(0, 1).all()
    diverged = (runs.bugs == "summed loss") & (runs.optimizer == "SGD(0.1)")
    assert (runs.loss.isna() == diverged).all()
