"""What the processes of `training_steps.py` say to each other; it needs no more than Python.

A worker writes the names of its contenders, a JSON list in one line. Then it reads a name a line,
lets that contender take a turn, and writes how many seconds it took.
"""

import json
import os
import sys
import time
from collections.abc import Callable


def serve(contenders: dict[str, Callable[[], object]]) -> None:
    """Let each contender warm up, then take turns when asked to.

    A contender that times itself returns seconds, a float; any other is timed here.
    """
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a framework prints goes to the log
    for work in contenders.values():
        work()
    print(json.dumps(list(contenders)), file=answers)
    for line in sys.stdin:
        start = time.perf_counter()
        own = contenders[line.strip()]()
        seconds = own if isinstance(own, float) else time.perf_counter() - start
        print(json.dumps(seconds), file=answers)
