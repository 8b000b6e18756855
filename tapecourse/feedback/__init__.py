"""The checks of the exercises: `check` judges an answer, `show_progress` tells what is left."""

from tapecourse.feedback.core import check, show_progress
from tapecourse.feedback.predictions import reveal

__all__ = ["check", "reveal", "show_progress"]
