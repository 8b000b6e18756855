"""Predictions with odds: kept when they are checked, revealed afterwards, and scored.

The score is Brier's: the mean square of odds minus truth (1 or 0). Whoever always says one half
gets 0.25, and 0 is perfect.
"""

import html
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tapecourse.feedback.checking import NotRight, mistake, new_letters_of
from tapecourse.feedback.core import exercise, exercise_of, record_while_grading

__all__ = ["Revealed", "predict", "reveal"]

ENOUGH = 0.2  # the largest score that solves an exercise

statements: dict[str, dict[str, tuple[bool, str]]] = {}  # by number and letter
kept: dict[str, dict[str, float]] = {}  # by number: the first prediction that was checked


def predict(number: str, name: str, points: int, **told: tuple[bool, str]) -> None:
    """Register a prediction by the name of the function that learners write.

    `told` has for each letter whether it is true, and what it says.
    """
    statements[number] = told

    def probe(answer: Callable) -> dict:
        odds = as_odds(answer(), number)
        if answer is not right:
            kept.setdefault(number, odds)
        return {"the score": score(number, odds)}

    def right() -> dict:
        return {letter: float(is_true) for letter, (is_true, _) in told.items()}

    right.__name__ = name
    exercise(
        number,
        "Predict, with odds",
        points,
        mistake(
            "coin",
            "The score is about 0.25: one half for each statement would have done as well.",
            "Which of them could you decide on paper?",
            seen=lambda found, right: abs(found[0]["the score"] - 0.25) < 0.01,
        ),
        mistake(
            "worse_than_coin",
            "The score is above 0.25: one half for each statement would have done better.",
            "On which statements were you on the wrong side? Try them.",
            seen=lambda found, right: found[0]["the score"] > 0.25,
        ),
        mistake(
            "not_enough",
            "The score is better than a coin's 0.25, but above 0.2.",
            "Were you very sure of something wrong, or too careful with all? Try them.",
            seen=lambda found, right: found[0]["the score"] > ENOUGH,
        ),
        cases=lambda random: [()],
        within=lambda: ENOUGH,
        lettered="".join(told),
        probe=probe,
        secret=True,
    )(right)


def as_odds(value: Any, number: str) -> dict[str, float]:
    """Read odds from 0 to 1 for each statement."""
    letters = list(statements[number])
    if not isinstance(value, dict) or sorted(map(str, value)) != letters:
        fact = f"The answer must be a dict with the keys {letters[0]} to {letters[-1]}."
        raise NotRight("no_dict" if value is not None else "no_return", fact)
    try:
        odds = {letter: float(value[letter]) for letter in letters}
    except (TypeError, ValueError):
        raise NotRight("no_numbers", "The odds must be numbers.") from None
    if not all(0 <= each <= 1 for each in odds.values()):
        raise NotRight("no_odds", "Odds are numbers from 0 (surely false) to 1 (surely true).")
    return odds


def score(number: str, odds: dict[str, float]) -> float:
    """Return Brier's score."""
    truths = [is_true for is_true, _ in statements[number].values()]
    return float(np.mean((np.array(list(odds.values())) - truths) ** 2))


@dataclass(frozen=True)
class Revealed:
    """A prediction beside the truth."""

    number: str

    def lines(self) -> list[str]:
        """Return a line for each statement, and the score."""
        odds = kept.get(self.number)
        if odds is None:
            return ["Nothing is kept yet: predict, and run the check above."]
        shown = new_letters_of(exercise_of(self.number))
        told = sorted(
            f"{shown[letter]}  {odds[letter]:4.0%}  {'true ' if is_true else 'false'}  {text}"
            for letter, (is_true, text) in statements[self.number].items()
        )
        sure = [letter for letter in odds if abs(odds[letter] - 0.5) >= 0.3]
        hits = [
            letter for letter in sure if statements[self.number][letter][0] == (odds[letter] > 0.5)
        ]
        summary = f"Score {score(self.number, odds):.3f} (0 is perfect, 0.25 is a coin's)."
        if sure:
            summary += f" Of {len(sure)} that you were sure of, you were right about {len(hits)}."
        return [*told, summary]

    def __repr__(self) -> str:
        return "\n".join(self.lines())

    def _repr_mimebundle_(self, **_: object) -> dict[str, dict]:
        truths = {letter: told[0] for letter, told in statements[self.number].items()}
        return record_while_grading(odds=kept.get(self.number, {}), truths=truths)

    def _repr_html_(self) -> str:
        style = "white-space: pre-wrap; padding-left: 16ch; text-indent: -16ch"
        lines = "".join(f'<div style="{style}">{html.escape(line)}</div>' for line in self.lines())
        return f"<pre>{lines}</pre>"


def reveal(number: str) -> Revealed:
    """Show the prediction that was checked first beside the truth."""
    return Revealed(number)
