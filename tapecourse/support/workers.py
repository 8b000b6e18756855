"""Starts the workers of a distributed run, and sees to it that none waits forever.

TensorFlow itself waits for an hour if a worker never comes, or another program answers in its
place, and without a limit if a worker stands still. So each worker begins here::

    python -m tapecourse.support.workers MODULE ARGUMENT ...

It checks TF_CONFIG, takes its port, and meets the other workers, all in a stated time and before
TensorFlow is loaded; then it calls the module's ``main(arguments)``. `start_workers` starts the
workers of one machine, hears what they say, and ends them all when one has ended badly, or none
says anything any more.
"""

import json
import os
import queue
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from importlib import import_module
from itertools import product
from typing import IO

from tapecourse.support.errors import ClearError, InputError, printable

__all__ = [
    "Cluster",
    "Workers",
    "WorkersFailed",
    "cluster_here",
    "free_addresses",
    "meet",
    "read_cluster",
    "start_workers",
]

MEET_WITHIN = 60.0  # seconds that the first worker waits for the last
PATIENCE = 120.0  # seconds in which at least one worker must say something
GRACE = 20.0  # seconds in which the others may end by themselves once one has ended badly
PORTS = range(10_000, 32_768)  # systems give those above to any program that asks for one
LONGEST_GREETING = 10_000  # bytes
STARTED = "TAPECOURSE_WORKER"  # in the environment of one that `start_workers` started
THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
ERROR = re.compile(r"^(?:\w+\.)*(\w*(?:Error|Exception|Failed)): (?:{{.*?}} )?")
IN_A_GRAPH = "Graph execution error:"
EXAMPLE = (
    '{"cluster": {"worker": ["one:2222", "two:2222"]}, "task": {"type": "worker", "index": 0}}'
)


class WorkersFailed(ClearError):
    """A worker ended badly, never came, or stood still; the others were ended."""


@dataclass(frozen=True)
class Cluster:
    """The addresses, HOST:PORT, of all workers, and which of them this one is."""

    addresses: tuple[str, ...]
    index: int

    def tf_config(self) -> str:
        """Return the text that TensorFlow reads from the environment."""
        task = {"type": "worker", "index": self.index}
        return json.dumps({"cluster": {"worker": list(self.addresses)}, "task": task})


# --- before TensorFlow is loaded


def read_cluster(text: str) -> Cluster:
    """Read TF_CONFIG, and refuse what TensorFlow would wait for.

    Parameters
    ----------
    text : str

    Raises
    ------
    InputError
        The message says what is wrong with it.
    """

    def refuse(problem: str) -> InputError:
        return InputError("TF_CONFIG", text, f"{problem} It must be like {EXAMPLE}")

    try:
        config = json.loads(text)
        jobs, task = config["cluster"], config["task"]
        addresses, kind, index = jobs["worker"], task["type"], task["index"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        missing = isinstance(error, KeyError)
        raise refuse(f"it lacks {error}." if missing else "this is not such JSON.") from None
    if list(jobs) != ["worker"] or kind != "worker":
        raise refuse('each task must be a "worker"; here no other types are used.')
    if not isinstance(addresses, list) or not addresses:
        raise refuse('"worker" must be a list of addresses.')
    for address in addresses:
        host, _, port = address.rpartition(":") if isinstance(address, str) else ("", "", "")
        if not (host and port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536):
            raise refuse(f"{address!r} is no HOST:PORT.")
    if len(set(addresses)) < len(addresses):
        raise refuse("an address is in it twice.")
    if type(index) is not int or not 0 <= index < len(addresses):
        raise refuse(f'"index" must be an integer from 0 to {len(addresses) - 1}.')
    return Cluster(tuple(addresses), index)


def free_addresses(count: int) -> list[str]:
    """Return addresses of this machine whose ports are free.

    Parameters
    ----------
    count : int
    """
    addresses = []
    with ExitStack() as tried:
        for port in random.SystemRandom().sample(PORTS, len(PORTS)):
            if len(addresses) == count:
                break
            with suppress(OSError):  # it is taken
                tried.enter_context(socket.create_server(("127.0.0.1", port)))
                addresses.append(f"127.0.0.1:{port}")
    return addresses


def meet(cluster: Cluster, within: float = MEET_WITHIN) -> None:
    """Wait until all workers of a cluster are there, and agree on who is in it.

    Parameters
    ----------
    cluster : Cluster
    within : float
        Seconds.

    Raises
    ------
    WorkersFailed
        This worker's port is taken, a worker did not come in time, or two disagree.
    """
    deadline = time.monotonic() + within
    with closing(take_port(cluster)) as port:
        if cluster.index == 0:
            receive_all(cluster, port, deadline, within)
        else:
            call_first(cluster, deadline, within)


def take_port(cluster: Cluster) -> socket.socket:
    """Listen on this worker's port."""
    address = cluster.addresses[cluster.index]
    port = socket.socket()
    port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        port.bind(("", int(address.rpartition(":")[2])))
        port.listen(len(cluster.addresses))
    except OSError as error:
        port.close()
        problem = f"worker {cluster.index} can't take the port of {address} ({error.strerror})."
        raise WorkersFailed(
            f"{problem} Another program has it, or an earlier worker that still runs: end that, or"
            " name another port in TF_CONFIG, for all workers."
        ) from None
    return port


def receive_all(cluster: Cluster, port: socket.socket, deadline: float, within: float) -> None:
    """Wait for all other workers, and give them the answer: empty if all is well."""
    answer, calls, missing = "", [], set(range(1, len(cluster.addresses)))
    while missing and not answer:
        try:
            call, index, theirs = receive(port, deadline)
        except TimeoutError:
            names = ", ".join(f"worker {i} ({cluster.addresses[i]})" for i in sorted(missing))
            answer = (
                f"{names} did not come within {within:g} s. Is it started, with its own index in"
                " TF_CONFIG? What does its log say? Does a firewall block the port?"
            )
            break
        if theirs != list(cluster.addresses):
            answer = f"worker {index} has another list of workers in its TF_CONFIG: {theirs}"
        elif index not in missing:
            answer = (
                f'a worker with "index": {index} has called twice. If two have it in their'
                " TF_CONFIG, mend one; if one was started again, start all of them again."
            )
        calls.append(call)
        missing.discard(index)
    for call in calls:
        with suppress(OSError), closing(call):
            call.sendall(json.dumps(answer).encode() + b"\n")
    if answer:
        raise WorkersFailed(answer)


def receive(port: socket.socket, deadline: float) -> tuple[socket.socket, int, list[str]]:
    """Return the next call, and what it says; strangers are sent away."""
    while True:
        port.settimeout(max(0.001, deadline - time.monotonic()))
        call, _ = port.accept()
        try:
            call.settimeout(max(0.001, min(5, deadline - time.monotonic())))
            index, addresses = json.loads(call.makefile().readline(LONGEST_GREETING))
            return call, int(index), list(addresses)
        except (OSError, ValueError, TypeError, RecursionError):
            call.close()


def call_first(cluster: Cluster, deadline: float, within: float) -> None:
    """Tell worker 0 that this one is there, and wait for its answer."""
    host, _, port = cluster.addresses[0].rpartition(":")
    answer, there = None, False
    while answer is None and time.monotonic() < deadline:
        try:
            rest = max(0.001, deadline - time.monotonic())
            with closing(socket.create_connection((host, int(port)), rest)) as call:
                there = True
                call.settimeout(rest + 1)  # its answer may be that its own time is over
                greeting = json.dumps([cluster.index, cluster.addresses])
                call.sendall(greeting.encode() + b"\n")
                answer = json.loads(call.makefile().readline())
        except (OSError, ValueError):  # not there yet, or something else that answers there
            time.sleep(0.1)
    if answer is None:
        problem = "is there, and others are missing" if there else "did not answer"
        raise WorkersFailed(f"worker 0 ({cluster.addresses[0]}) {problem}, after {within:g} s.")
    if answer:
        raise WorkersFailed(f"worker 0 says: {answer}")


# --- the workers of this machine, from outside


class Workers:
    """Workers that run; leaving the ``with`` block ends them."""

    def __init__(self, command: Sequence[str], environments: Sequence[Mapping[str, str]]):
        self.ended: dict[int, int] = {}
        self.words: list[list[str]] = [[] for _ in environments]  # what each said on stderr
        self.heard: queue.Queue[tuple[int, str | None]] = queue.Queue()
        self.processes = [
            subprocess.Popen(
                command,
                stdin=subprocess.PIPE,  # it closes when this process ends: see `end_with_starter`
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                env=environment,
            )
            for environment in environments
        ]
        self.readers = [
            threading.Thread(target=self._read, args=[index, process.stdout], daemon=True)
            for index, process in enumerate(self.processes)
        ]
        self.readers += [
            threading.Thread(target=self._keep, args=[index, process.stderr], daemon=True)
            for index, process in enumerate(self.processes)
        ]
        for reader in self.readers:
            reader.start()

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def _read(self, index: int, stream: IO[str]) -> None:
        for line in stream:
            self.heard.put((index, line.rstrip("\n")))
        self.heard.put((index, None))

    def _keep(self, index: int, stream: IO[str]) -> None:
        for line in stream:
            self.words[index] = [*self.words[index][-200:], line.rstrip("\n")]

    def kill(self, index: int) -> None:
        """Kill a worker at once, as a crash or a lack of memory would.

        Parameters
        ----------
        index : int
        """
        self.processes[index].kill()

    def end(self) -> None:
        """End all that still run."""
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()
        for reader in self.readers:
            reader.join()
        for process in self.processes:
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream:
                    stream.close()

    def lines(self, patience: float = PATIENCE, grace: float = GRACE) -> Iterator[tuple[int, str]]:
        """Yield each line that a worker says, with the worker's index, until all have ended.

        Parameters
        ----------
        patience : float
            Seconds in which at least one of them must say something.
        grace : float
            Seconds in which the others may end by themselves once one has ended badly.

        Raises
        ------
        WorkersFailed
            One ended badly, or none said anything for too long. All are ended then.
        """
        last = [""] * len(self.processes)
        limit, failed_at = patience, None
        while len(self.ended) < len(self.processes):
            if failed_at is not None:
                limit = failed_at + grace - time.monotonic()
            try:
                index, line = self.heard.get(timeout=max(0.0, limit))
            except queue.Empty:
                break
            if line is not None:
                last[index] = line
                yield index, line
                continue
            status = self.processes[index].wait()
            self.ended[index] = status
            if status and failed_at is None:
                failed_at = time.monotonic()
        waited = grace if failed_at is not None else patience
        still = [i for i in range(len(self.processes)) if i not in self.ended]
        self.end()
        if any(self.ended.values()) or still:
            raise WorkersFailed(self._what_happened(last, still, waited))

    def _what_happened(self, last: list[str], still: list[int], waited: float) -> str:
        """Tell who ended how, in the order in which they did."""
        sentences = []
        for index, status in self.ended.items():
            if status < 0:
                sentences.append(f"worker {index} was killed by {signal.Signals(-status).name}.")
            elif status:
                sentences.append(f"worker {index} failed: {last_words(self.words[index])}")
        if not self.ended or not any(self.ended.values()):
            said = "; ".join(f"worker {i}: {last[i] or 'nothing yet'!r}" for i in still)
            sentences.append(f"no worker said anything for {waited:g} s. The last words: {said}.")
            sentences.append("All were ended.")
        elif still:
            names = " and ".join(f"worker {index}" for index in still)
            sentences.append(f"{waited:g} s later, {names} still waited, and had to be ended.")
        return " ".join(sentences)


def last_words(lines: Sequence[str]) -> str:
    """Return the line of a failed worker's stderr that tells most.

    Parameters
    ----------
    lines : sequence of str
    """
    errors = [number for number, line in enumerate(lines) if ERROR.match(line)]
    if not errors:
        told = [line for line in lines if line.strip()]
        return printable(told[-1] if told else "it wrote no message")[:500]
    words = ERROR.sub(r"\1: ", lines[errors[-1]])
    if words.endswith(IN_A_GRAPH):  # what happened comes below, and where it did
        rest = [line for line in lines[errors[-1] + 1 :] if line.strip()]
        told = [line for line in rest if not line.startswith((" ", "\t", "Detected at", "<stack"))]
        words = words.removesuffix(IN_A_GRAPH) + "".join(told[:1])
    return printable(words)[:500]


def start_workers(
    module: str,
    *arguments: object,
    processes: int = 1,
    cluster: Cluster | None = None,
    threads: int = 1,
) -> Workers:
    """Start workers on this machine; each calls a module's ``main``.

    Parameters
    ----------
    module : str
        Such as ``"tapecourse.scale_out"``.
    arguments
        The words that it gets.
    processes : int
        How many; of several, each gets a port that is free.
    cluster : Cluster, optional
        Start only this one worker, whose others are started elsewhere.
    threads : int
        How many threads TensorFlow may use in each.
    """
    command = [sys.executable, "-m", __name__, module, *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if name != "TF_CONFIG"}
    environment |= dict.fromkeys(THREADS, str(threads))
    environment |= {STARTED: "1", "PYTHONUNBUFFERED": "1"}  # each line is heard when it is said
    clusters = [cluster] if cluster else []
    if processes > 1:
        addresses = tuple(free_addresses(processes))
        clusters = [Cluster(addresses, index) for index in range(processes)]
        environment["CUDA_VISIBLE_DEVICES"] = "-1"  # they would all take the same GPU
    configs = [{"TF_CONFIG": each.tf_config()} for each in clusters] or [{}]
    return Workers(command, [environment | config for config in configs])


# --- a worker, from inside


def end_with_starter() -> None:
    """End this process as soon as the one that started it has ended, however that ended."""

    def wait() -> None:
        while os.read(0, 1):  # not sys.stdin, whose lock Python wants at its end
            pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def cluster_here() -> Cluster | None:
    """Return the cluster in which TF_CONFIG or Slurm puts this process, or None if it is alone."""
    if "TF_CONFIG" in os.environ:
        return read_cluster(os.environ["TF_CONFIG"])
    return slurm_cluster() if int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) > 1 else None


def slurm_cluster() -> Cluster:
    """Return this worker's place in a step of Slurm, which starts one for each of its tasks.

    TensorFlow's SlurmClusterResolver does the same; but it sorts the machines by name, node10
    before node9, while Slurm numbers the tasks in the order of its list.
    """
    first_port = 20_000 + int(os.environ.get("SLURM_JOB_ID", 0)) % 12_000  # see PORTS
    counts = []
    for count, times in re.findall(
        r"(\d+)(?:\(x(\d+)\))?", os.environ["SLURM_STEP_TASKS_PER_NODE"]
    ):
        counts += [int(count)] * int(times or 1)
    hosts = zip(expand_hosts(os.environ["SLURM_STEP_NODELIST"]), counts, strict=True)
    addresses = [f"{host}:{first_port + task}" for host, count in hosts for task in range(count)]
    return Cluster(tuple(addresses), int(os.environ["SLURM_PROCID"]))


def expand_hosts(text: str) -> list[str]:
    """Write out Slurm's short form of a list of machines.

    Parameters
    ----------
    text : str
        Such as ``"login1,node[07-10,12]"``.
    """
    hosts = []
    for word in re.findall(r"(?:[^,\[]|\[[^\]]*\])+", text):
        pieces = [[piece] for piece in re.split(r"\[([^\]]*)\]", word)]
        for place in range(1, len(pieces), 2):  # what stood in brackets
            ranges = [each.partition("-") for each in pieces[place][0].split(",")]
            pieces[place] = [
                f"{number:0{len(first)}}"
                for first, _, last in ranges
                for number in range(int(first), int(last or first) + 1)
            ]
        hosts += map("".join, product(*pieces))
    return hosts


def main(module: str, *arguments: str) -> None:
    """Begin a worker: check its place in the cluster, meet the others, run the module.

    Parameters
    ----------
    module : str
    arguments : str
    """
    if STARTED in os.environ:
        end_with_starter()
    if cluster := cluster_here():
        os.environ["TF_CONFIG"] = cluster.tf_config()
        meet(cluster)
    import_module(module).main(arguments)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except ClearError as error:
        sys.exit(f"{type(error).__name__}: {error}")
