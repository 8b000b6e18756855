"""The checks of the exercises: `check` judges an answer, `show_progress` tells what is left."""

from tapecourse.feedback.core import check, show_progress

__all__ = ["check", "show_progress"]
