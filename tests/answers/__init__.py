"""Answers that learners give: for each exercise several right ones, and wrong ones with the
misconception that the check must name. One module for each chapter."""

from collections import defaultdict
from collections.abc import Callable

RIGHT: dict[str, list[Callable]] = defaultdict(list)  # by the number of the exercise
WRONG: dict[str, list[tuple[str, Callable]]] = defaultdict(list)  # misconception, answer


def right(number: str) -> Callable:
    """Register a right answer to an exercise."""

    def register(answer: Callable) -> Callable:
        RIGHT[number].append(answer)
        return answer

    return register


def wrong(number: str, misconception: str) -> Callable:
    """Register a wrong answer, and the misconception that its hint is about."""

    def register(answer: Callable) -> Callable:
        WRONG[number].append((misconception, answer))
        return answer

    return register


def with_odds(true: dict[str, bool], sure: float, **changed: float) -> Callable:
    """Make an answer that predicts what is true, this sure, but for some."""
    odds = {letter: sure if is_true else 1 - sure for letter, is_true in true.items()}
    return lambda: odds | changed
