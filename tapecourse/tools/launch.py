"""Runs a training loop in several processes: ``tapecourse launch --processes 2 MODULE ...``.

On one machine it starts all of them. On several, and under Slurm, it is started on each, and
starts the one worker that TF_CONFIG or Slurm says. See `tapecourse.support.workers`.
"""

import os
from collections.abc import Sequence

from tapecourse.support.errors import InputError, printable
from tapecourse.support.workers import cluster_here, start_workers

__all__ = ["launch"]


def launch(
    module: str, arguments: Sequence[str], *, processes: int = 1, threads: int, patience: float
) -> bool:
    """Start workers, print what they say, and return True when all have ended well.

    Parameters
    ----------
    module : str
        Each worker calls its ``main(arguments)``.
    arguments : sequence of str
    processes : int
        How many workers to start on this machine; one if others are started elsewhere.
    threads : int
        Of TensorFlow, in each.
    patience : float
        Seconds in which at least one of them must say something.

    Raises
    ------
    InputError
        TF_CONFIG is wrong, or there are two answers to how many workers there are.
    WorkersFailed
        A worker ended badly, never came, or stood still.
    """
    cluster = cluster_here()
    if processes > 1 and cluster:
        who = "TF_CONFIG" if "TF_CONFIG" in os.environ else "Slurm"
        problem = f"{who} already says which workers there are: leave this option out."
        raise InputError("--processes", processes, problem)
    first = cluster.index if cluster else 0
    start = start_workers(
        module, *arguments, processes=processes, cluster=cluster, threads=threads
    )
    with start as workers:
        for index, line in workers.lines(patience):
            print(printable(f"worker {first + index}: {line}"), flush=True)
    return True
