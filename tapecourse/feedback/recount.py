"""Judges answers once more, and never in a process in which a learner's code has run.

``python -m tapecourse.feedback.recount`` is started by `tapecourse grade` behind its wall. This
process imports the checks, and runs nothing else. For each answer it forks two others: one runs
the learner's cells, puts the cases of the check to the answer, and writes down what came back;
the other, where no learner's code runs, compares that with what is right. The cases are drawn
from another seed than in the notebook.

On stdin is a JSON object: `seed`; `seconds`, the limit for a cell; and `answers`, each the number
of an exercise and lists of cells. An answer is right if it is after one of these lists has been
run; its own cell is the last one. On stdout is a line for each answer: the key of what is wrong,
or "", in JSON.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Generator, Iterator
from importlib.abc import MetaPathFinder
from types import ModuleType
from typing import Any, NoReturn

import numpy as np
from IPython.core.interactiveshell import InteractiveShell
from matplotlib_inline.backend_inline import configure_inline_support
from traitlets.config import Config

import tapecourse
from tapecourse.feedback import checking
from tapecourse.feedback.checking import Exercise, Look, Odd, Parts, Seen, is_stub
from tapecourse.feedback.core import exercise_of, standing_in
from tapecourse.support.collection import without_collection
from tapecourse.support.variants import variant

__all__ = ["main"]

LONGEST = 50_000_000  # bytes that an answer's process may send
HIDDEN = "tapecourse.feedback"


def main() -> None:
    """Do what is asked for on stdin."""
    request = json.load(sys.stdin)
    checking.SEED = request["seed"]
    keep_out()
    variant()  # kept from now on, whatever the learner's code makes of the environment
    with without_collection():  # also in each fork
        exercises = [exercise_of(number) for number, _ in request["answers"]]
    for exercise, (_, trials) in zip(exercises, request["answers"]):
        problem = "no_result"
        for cells in trials:
            if problem:
                problem = judge_again(exercise, cells, request["seconds"])
        print(json.dumps(problem), flush=True)


def keep_out() -> None:
    """Let no other process of this user read or change the memory of this one, on Linux."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE


def judge_again(exercise: Exercise, cells: list[str], seconds: float) -> str:
    """Run cells, and judge the answer; a cell that ends the process is left out the next time."""
    left_out: set[int] = set()
    while True:
        last, seen = -1, None
        with contextlib.closing(
            messages(lambda send: look(exercise, cells, left_out, send), seconds)
        ) as told:
            for each in told:
                last, seen = each.get("cell", last), each.get("look")
                if seen:
                    break
        if seen:
            return judge_what(exercise, seen, 10 * seconds)
        if last in left_out or last not in range(len(cells) - 1):
            return "no_result"
        left_out.add(last)


def judge_what(exercise: Exercise, seen: object, seconds: float) -> str:
    """Judge what was seen, in a process of its own: TensorFlow, once at work, can't be forked."""
    told = messages(lambda send: send(of=verdict(exercise, seen)), seconds)
    with contextlib.closing(told):
        return str(next(told, {}).get("of", "no_result"))


# --- a process of its own


def messages(do: Callable, seconds: float) -> Generator[dict[str, Any], None, None]:
    """Call a function in a forked process; go through what it sends, while it goes on sending."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        be_child(do, writer)
    os.close(writer)
    try:
        for line in lines_from(reader, seconds):
            with contextlib.suppress(ValueError):
                message = json.loads(line)
                if isinstance(message, dict):
                    yield message
    finally:
        os.close(reader)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)  # it may not have made its group yet
        os.waitpid(child, 0)


def be_child(do: Callable, writer: int) -> NoReturn:
    """Call a function where nothing of the parent's can be written to; never return."""
    try:
        os.setsid()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        os.closerange(3, writer)
        os.closerange(writer + 1, 1024)

        def send(**message: object) -> None:
            rest = memoryview(json.dumps(message).encode() + b"\n")
            while rest:
                rest = rest[os.write(writer, rest) :]

        do(send)
    finally:
        os._exit(0)


def lines_from(reader: int, seconds: float) -> Iterator[bytes]:
    """Go through the lines that come from a pipe, each in time and all of them not too long."""
    heard, begun, deadline = bytearray(), 0, time.monotonic() + seconds
    while len(heard) < LONGEST:
        ready, _, _ = select.select([reader], [], [], max(0, deadline - time.monotonic()))
        part = os.read(reader, 1 << 16) if ready else b""
        if not part:
            return
        heard += part
        *whole, _ = heard[begun:].split(b"\n")
        for line in whole:
            begun += len(line) + 1
            deadline = time.monotonic() + seconds
            yield bytes(line)


# --- where the learner's code runs


def look(exercise: Exercise, cells: list[str], left_out: set[int], send: Callable) -> None:
    """Run cells, and send what is seen of the answer."""
    hide_the_checks()
    shell = InteractiveShell.instance(
        config=Config(HistoryManager={"enabled": False}), user_module=ModuleType("__main__")
    )
    configure_inline_support(shell, "agg")
    for i, cell in enumerate(cells):
        if i not in left_out:
            send(cell=i)
            shell.run_cell(cell)
    answer = shell.user_ns.get(exercise.answer)
    if answer is None or is_stub(answer) or not callable(answer):
        send(look={"missing": True})
        return
    with standing_in(exercise, shell.user_ns):
        seen = checking.look_at(exercise, answer)
        again = [] if seen.borrowed else [as_json(parts) for parts in seen.again()]
    every = [[as_json(each.parts), each.error, each.changed] for each in seen.seen]
    send(look={"seen": every, "again": again, "borrowed": seen.borrowed})


def hide_the_checks() -> None:
    """Make it hard to import the checks, and with them the right answers."""
    for name in [name for name in sys.modules if name.startswith(HIDDEN)]:
        del sys.modules[name]
    delattr(tapecourse, "feedback")
    sys.meta_path.insert(0, NoChecks())


class NoChecks(MetaPathFinder):
    """Finds no checks."""

    def find_spec(self, name: str, path: object, target: object = None) -> None:
        """Refuse to look for a module of the checks."""
        if name.startswith(HIDDEN):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


# --- where it is judged


def verdict(exercise: Exercise, sent: Any) -> str:
    """Return the key of what is wrong, or "" if the answer is right."""
    try:
        if sent.get("missing"):
            return "no_answer"
        again = [from_json(parts) for parts in sent["again"]]
        seen = [Seen(from_json(parts), *map(str, told)) for parts, *told in sent["seen"]]
        finding = checking.verdict(exercise, Look(seen, lambda: again, str(sent["borrowed"])))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return "no_result"  # what was sent isn't what `look` sends
    return finding.key if finding else ""


def as_json(parts: Parts) -> dict[str, list]:
    """Write arrays, and what stands for them, so that no code has to be trusted to read it."""
    return {
        name: [part.key, part.fact, part.question]
        if isinstance(part, Odd)
        else [part.dtype.str, part.shape, part.ravel().tolist()]
        for name, part in parts.items()
    }


def from_json(written: dict[str, list]) -> Parts:
    """Read what `as_json` wrote."""
    return {
        name: Odd(str(one), str(two), three)
        if isinstance(three, str)
        else np.array(three, dtype=one).reshape(two)
        for name, (one, two, three) in written.items()
    }


if __name__ == "__main__":
    main()
