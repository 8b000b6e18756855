"""Logs of workers of which one keeps the others waiting, for exercises that read them."""

import numpy as np

__all__ = ["Log", "show_log", "write_log"]

LOGS = [  # what `show_log` shows: seed, workers, whose fault, what it is
    (1, 3, 1, "slow"),
    (2, 3, 2, "fewer batches"),
    (3, 4, 0, "alone"),
    (4, 4, 3, "killed"),
]


class Log(list):
    """The lines of a log; in short, the last line of each worker."""

    def __repr__(self) -> str:
        last = {line.split()[2]: line.split(maxsplit=3)[3] for line in self}
        short = ", ".join(f"{worker} {last[worker]}" for worker in sorted(last))
        return f"the last lines {short.replace('all-reduce ', '')}"


def write_log(
    random: np.random.Generator, workers: int, culprit: int, cause: str, steps: int = 3
) -> Log:
    """Write the log of a run of some steps, and of what happens then.

    Parameters
    ----------
    random : Generator
        Decides the times, and how far the clocks of the machines are off.
    workers : int
        How many there are, 3 or more.
    culprit : int
        The one for which the others wait.
    cause : str
        "slow", "fewer batches", "alone", "killed" or "reads".
    steps : int
        How many all-reduces all of them have done.
    """
    clocks = random.uniform(-2.5, 2.5, workers)
    late = 4.0 if cause == "slow" else 0.0
    events, now = [], float(random.integers(36000, 80000))

    def say(worker: int, text: str, after: float = 0.0) -> None:
        events.append((now + after + clocks[worker], len(events), worker, text))

    for step in range(1, steps + 2):
        everyone = step <= steps or cause == "slow"
        for worker in range(workers):
            is_culprit = worker == culprit
            say(worker, f"has batch {step}", random.uniform(0, 0.1) + late * is_culprit)
            if is_culprit and cause == "killed":
                say(worker, f"uses {15.9 - 4.2 * (steps + 1 - step):.1f} of 16.0 GB", 0.15)
            elif random.random() < 0.2:
                say(worker, f"uses {random.uniform(2, 3):.1f} of 16.0 GB", 0.15)
            if everyone or not is_culprit:
                begins = random.uniform(0.2, 0.5) + late * is_culprit
                say(worker, f"begins all-reduce {step} (gradients)", begins)
        now += 0.6 + late
        if everyone:
            for worker in range(workers):
                say(worker, f"ends all-reduce {step} (gradients)", random.uniform(0, 0.05))
            now += 0.1
    last = {
        "fewer batches": [f"ends epoch 1 after {steps} batches"],
        "alone": ["saves a checkpoint", f"begins all-reduce {steps + 1} (moving averages)"],
        "reads": [f"reads images-{random.integers(10, 99)}.npz"] * int(random.integers(1, 3)),
    }
    if cause == "fewer batches":  # it never had another batch
        events = [each for each in events if each[2:] != (culprit, f"has batch {steps + 1}")]
    for after, text in enumerate(last.get(cause, [])):
        say(culprit, text, after / 10)
    return Log(f"{clock(when)} worker {worker} {text}" for when, _, worker, text in sorted(events))


def clock(seconds: float) -> str:
    """Write a time of day."""
    return f"{int(seconds // 3600)}:{int(seconds // 60 % 60):02}:{seconds % 60:04.1f}"


def show_log(number: int) -> None:
    """Print one of four logs, 1 to 4.

    Parameters
    ----------
    number : int
    """
    seed, workers, culprit, cause = LOGS[number - 1]
    log = write_log(np.random.default_rng(seed), workers, culprit, cause, steps=2)
    print(*log, sep="\n")
