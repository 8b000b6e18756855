"""Rules of parameters: what each refuses, and what it says."""

import pytest

from tapecourse.support.errors import InputError
from tapecourse.support.parameters import Choice, Folder, Integer, Number, Text, check_parameters

NAN, INFINITY = float("nan"), float("inf")
INTEGER, NUMBER = "an integer of 1 or more is needed.", "a number above 0 and at most 1 is needed."
BELOW_ONE, CHOICE = (
    "a number of at least 0 and below 1 is needed.",
    "one of 'graph', 'xla' is needed.",
)
TEXT = "a text in quotes is needed."


@pytest.mark.parametrize(
    "rule, values, message",
    [
        (Integer(1), [0, -1, "5", 5.0, True, None, NAN, [5]], INTEGER),
        (Integer(1, 9), [0, 10], "an integer from 1 to 9 is needed."),
        (Number(2, 3), [1.9, 3.1, NAN], "a number from 2 to 3 is needed."),
        (
            Number(0, 1, open_low=True),
            [0, -0.1, 1.01, NAN, INFINITY, -INFINITY, "0.1", True, None],
            NUMBER,
        ),
        (Number(0, 1, open_high=True), [1, 1.0, -0.1], BELOW_ONE),
        (
            Number(0, 1, open_low=True, open_high=True),
            [0, 1],
            "a number above 0 and below 1 is needed.",
        ),
        (Choice("graph", "xla"), ["Graph", "", 1, None, ["graph"]], CHOICE),
        (Text(), [5, None, ["a"]], TEXT),
        (Folder(), [5, None], TEXT),
    ],
)
def test_what_breaks_a_rule_is_refused(rule, values, message):
    for value in values:
        with pytest.raises(InputError) as error:
            check_parameters({"other": 1, "it": value}, it=rule)
        assert str(error.value) == f"it = {value!r}: {message}"


def test_what_keeps_to_the_rules_is_allowed():
    for rule, values in [
        (Integer(1), [1, 10**9]),
        (Integer(1, 9), [1, 9]),
        (Number(2, 3), [2, 3, 2.5]),
        (Number(0, 1, open_low=True), [1, 1e-9]),
        (Number(0, 1, open_high=True), [0, 0.999]),
        (Choice("graph", "xla"), ["graph", "xla"]),
        (Text(), ["", "a"]),
        (Folder(), [""]),
    ]:
        for value in values:
            check_parameters({"other": 1, "it": value}, it=rule)


def test_each_parameter_is_held_to_its_own_rule():
    with pytest.raises(InputError, match="^b = 2: "):
        check_parameters({"a": 2, "b": 2}, a=Integer(2), b=Integer(3))


def test_a_folder_is_made_and_left_clean(tmp_path):
    Folder().check("run_dir", str(tmp_path / "a" / "b"))
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="^run_dir = .*file.*can't be written"):
        Folder().check("run_dir", str(tmp_path / "file" / "below"))


def test_a_notebook_shows_the_message_alone():
    error = InputError("epochs", 0, "an integer of 1 or more is needed.")
    assert error._render_traceback_() == [f"InputError: {error}"]
