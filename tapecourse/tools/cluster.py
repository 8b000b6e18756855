"""The workers of a sweep: processes of this machine, or of a running dask scheduler."""

import os
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import dask.config
from distributed import Client, Future, LocalCluster, Worker, WorkerPlugin, get_worker, wait

from tapecourse.support.errors import ClearError, InputError
from tapecourse.tools.attempt import TRIES, attempt, first_line
from tapecourse.tools.interrupts import GO_ON, interrupts
from tapecourse.tools.origin import installed

__all__ = ["WorkerUnfit", "attempt_on_worker", "first_done", "local_client", "remote_client"]

ANSWER = 10  # seconds in which a scheduler must answer, and have a worker
UNFIT = "unfit"  # a topic of events
GONE = 60  # seconds without a worker, after which a sweep ends


class WorkerUnfit(ClearError):
    """A worker can't write the folder of a run."""

    def __init__(self, address: str, problem: str):
        super().__init__(address, problem)
        self.address, self.problem = address, problem


def attempt_on_worker(notebook: str, folder: str, parameters: dict, **settings: Any) -> dict:
    """Do what `attempt` does, on a worker.

    Raises
    ------
    WorkerUnfit
        It can't write the folder: another worker should do the run.
    """
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        problem = f"can't write {folder} ({error.strerror})"
        raise WorkerUnfit(get_worker().address, problem) from None
    return attempt(notebook, folder, parameters, **settings)


@contextmanager
def local_client(workers: int) -> Iterator[Client]:
    """Start worker processes of one thread each, which no other user can talk to.

    An interrupt while dask's processes start or end would muddle them: it waits.
    """
    settings = dask.config.set(
        {
            "distributed.scheduler.allowed-failures": TRIES - 1,
            # by default dask ends a worker that takes 15 s to start again, and starts no other
            "distributed.deploy.lost-worker-timeout": "1 hour",
        }
    )
    with settings, interrupts(allowed=False):
        cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            memory_limit=0,  # a run's memory is its kernel's
            dashboard_address="127.0.0.1:8787",
            protocol="tls://",
            security=True,  # certificates that only these processes have
        )
        with cluster, Client(cluster) as client, interrupts(allowed=True):
            yield client


@contextmanager
def remote_client(address: str, out: Path) -> Iterator[Client]:
    """Connect to a scheduler, and make sure that its workers can do what they are asked to."""
    try:
        client = Client(address, timeout=ANSWER)
    except Exception as error:  # dask raises many kinds, by what is wrong
        problem = f"no scheduler answers ({first_line(str(error))})."
        raise InputError("--scheduler", address, problem) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=ANSWER)
        except TimeoutError:
            problem = f"it has no worker. Start some: dask worker {address} --nthreads 1"
            raise InputError("--scheduler", address, problem) from None
        problem_here, plugin = problem_in(out), f"{UNFIT} {uuid.uuid4().hex}"
        for worker, problem in cast(dict, client.run(problem_here)).items():
            if problem:
                raise InputError("--scheduler", address, f"its worker {worker} {problem}")
        client.subscribe_topic(
            UNFIT, lambda event: print(f"Refused: worker {event[1]}", flush=True)
        )
        client.register_plugin(refuse_unfit(problem_here), name=plugin)
        try:
            yield client
        finally:  # or it would refuse those that come for other sweeps
            forget = cast(Any, client.scheduler).unregister_worker_plugin
            with suppress(OSError, TimeoutError, CancelledError):  # the scheduler is gone
                client.sync(forget, name=plugin, callback_timeout=ANSWER)


def problem_in(out: Path) -> Callable[[], str]:
    """Return a function that says what a worker lacks to work in `out`.

    It is an inner one because dask sends those whole: a worker without this package can run it.
    """
    marker, here = str(out / "sweep.json"), installed()

    def problem() -> str:
        try:
            from tapecourse.tools.origin import installed
        except ImportError as error:
            return f"lacks this version of the course ({error})."
        if not os.path.exists(marker):
            return f"doesn't see {marker}: a shared folder is needed."
        there = installed()
        differing = [name for name in here.keys() | there if here.get(name) != there.get(name)]
        return f"has another version of {min(differing)}." if differing else ""

    return problem


def refuse_unfit(problem: Callable[[], str]) -> WorkerPlugin:
    """Return what ends a worker that comes later and is not fit, before it gets a run."""

    class RefuseUnfit(WorkerPlugin):
        async def setup(self, worker: Worker) -> None:
            if text := problem():
                await worker.scheduler.log_event(topic=UNFIT, msg=f"{worker.address} {text}")
                await worker.close(reason=text)

    return RefuseUnfit()


def first_done(client: Client, futures: list[Future]) -> list[Future]:
    """Wait until one of the futures is done, and return those that are.

    Raises
    ------
    ClearError
        The scheduler doesn't answer any more, or has had no worker for a minute.
    """
    last_seen = time.monotonic()
    while True:
        try:
            done = cast(Any, wait(futures, timeout=1, return_when="FIRST_COMPLETED")).done
            return list(done)
        except TimeoutError:
            pass
        try:
            identity = cast(Any, client.scheduler).identity
            workers = cast(dict, client.sync(identity, callback_timeout=ANSWER))["workers"]
        except (TimeoutError, OSError):
            raise ClearError(
                f"dask's scheduler has not answered for {ANSWER} s. {GO_ON}"
            ) from None
        if workers:
            last_seen = time.monotonic()
        if time.monotonic() - last_seen > GONE:
            raise ClearError(f"dask's scheduler has had no worker for {GONE} s. {GO_ON}")
