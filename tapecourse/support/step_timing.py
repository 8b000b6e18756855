"""Times functions in turns, profiles the operations inside a compiled one, and measures memory."""

import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path

import pandas as pd
import psutil

__all__ = ["in_turns", "memory_mb", "operation_times"]


def in_turns(contenders: Mapping[Hashable, Callable[[], object]], rounds: int) -> pd.DataFrame:
    """Time some functions, each once a round: a slow second of the machine hits them alike.

    Parameters
    ----------
    contenders : mapping
        Functions without arguments, by name. Each is called once before the first round.
    rounds : int

    Returns
    -------
    DataFrame
        Seconds, a row a round, a column a contender.
    """
    for function in contenders.values():
        finish(function)
    times = []
    for _ in range(rounds):
        times.append({})
        for name, function in contenders.items():
            start = time.perf_counter()
            finish(function)
            times[-1][name] = time.perf_counter() - start
    return pd.DataFrame(times)


def finish(function: Callable[[], object]) -> None:
    """Call a function, and wait until the devices are done."""
    import tensorflow as tf

    function()
    tf.test.experimental.sync_devices()


def operation_times(function: Callable[[], object], steps: int) -> pd.DataFrame:
    """Profile a compiled function: what each operation in its graph takes.

    Parameters
    ----------
    function : callable
        It has no argument, and was called before.
    steps : int
        How often it is called.

    Returns
    -------
    DataFrame
        A row for each operation, by its name in the graph: the kernel that ran, the seconds in a
        call (the mean of the calls), and how often it ran in a call.
    """
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    options = tf.profiler.experimental.ProfilerOptions(host_tracer_level=2, python_tracer_level=0)
    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder, options=options):
            for _ in range(steps):
                finish(function)
        [file] = Path(folder).rglob("*.xplane.pb")
        recorded = xplane_pb2.XSpace()  # pyright: ignore[reportAttributeAccessIssue]
        recorded.ParseFromString(file.read_bytes())
    durations: dict[tuple[str, str], list[int]] = defaultdict(list)
    for plane in recorded.planes:
        for line in plane.lines:
            for event in line.events:
                name, _, kernel = plane.event_metadata[event.metadata_id].name.rpartition(":")
                if name and name[-1] != ":" and kernel.isidentifier():  # else it is no operation
                    durations[name, kernel].append(event.duration_ps)
    rows = [
        {"operation": name, "kernel": kernel, "seconds": 1e-12 * sum(each) / steps,
         "count": len(each) / steps}
        for (name, kernel), each in durations.items()
    ]  # fmt: skip
    return pd.DataFrame(rows).set_index("operation")


def memory_mb() -> float:
    """Return how much memory this process holds, in MB."""
    return psutil.Process(os.getpid()).memory_info().rss / 1e6
