"""The checks of the exercises of chapter 08: replicas are simulated, one after the other."""

from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np

from tapecourse.feedback.checking import NO_RETURN, not_right
from tapecourse.feedback.core import NotRight, Parts, exercise, mistake
from tapecourse.feedback.predictions import predict
from tapecourse.support.hanging_logs import Log, write_log

Random = np.random.Generator

# --- 8.1


@dataclass
class Workers:
    """What each worker has of a batch: examples (n, d), targets (n,), which of them are real."""

    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]]

    def __repr__(self) -> str:
        has = [f"{int(sum(real))} of {len(real)}" for *_, real in self.parts]
        return f"{len(has)} workers, of whose examples {', '.join(has)} are real"


class Waits(BaseException):
    """Leaves a worker where it would wait for the others."""


def add_up(given: list[np.ndarray]) -> list:
    """Give each worker the sum of what all gave."""
    if len({value.shape for value in given}) > 1:
        one, other = given[0].shape, next(v.shape for v in given if v.shape != given[0].shape)
        raise NotRight(
            "hang",
            f"The workers give all-reduce arrays of different shapes: {one} and {other}.",
            "Do all workers give the same sums in the same order, one without examples too?",
        )
    return [sum(given)] * len(given)


def hand_on(given: list[np.ndarray]) -> list:
    """Give each worker what the one before gave."""
    return [given[-1], *given[:-1]]


def run_workers(
    worker: Callable, parts: list[tuple], meet: Callable = add_up, name: str = "all_reduce"
) -> list:
    """Run a function for each part; return what each returns.

    It gets its part, and a function that makes of what all workers give what each of them gets.
    There are no processes: where that isn't known yet, a worker is left, and run again once all
    have come.
    """
    met: list[list] = []
    while len(met) <= 20:
        given: list[list] = [[] for _ in parts]
        results = {}
        for i, part in enumerate(parts):

            def talk(value: Any, i: int = i, mine: list = given[i]) -> Any:
                mine.append(np.array(value, dtype=float))
                if len(mine) > len(met):
                    raise Waits
                return met[len(mine) - 1][i].copy()[()]

            copy = deepcopy(part)
            try:
                results[i] = worker(*copy, talk)
            except Waits:
                continue
            if not all(map(np.array_equal, part, copy)):
                raise NotRight(
                    "changes_argument",
                    "It changes what it is given, which others may need.",
                    "Which line assigns to something that was given? Work on a copy.",
                )
        if len(results) == len(parts):
            return list(results.values())
        if results:
            one, other = min(results), min(set(range(len(parts))) - set(results))
            raise NotRight(
                "hang",
                f"It hangs: worker {other} waits in `{name}`, and worker {one} never comes.",
                f"Does every worker call `{name}` equally often, whatever it holds?",
            )
        met.append(meet([mine[-1] for mine in given]))
    raise NotRight("hang", f"It calls `{name}` more than 20 times.", "Which sums are needed?")


def run_worker_step(answer: Callable, workers: Workers, w: np.ndarray, decay: float) -> dict:
    """Look at the loss and the gradient that each worker returns."""

    def worker(x: np.ndarray, y: np.ndarray, real: np.ndarray, all_reduce: Callable) -> tuple:
        value = answer(x, y, real, w.copy(), decay, all_reduce)
        if value is None:
            raise NotRight("no_return", "It returns None.", NO_RETURN)
        if not isinstance(value, tuple | list) or len(value) != 2:
            raise NotRight("count", "It must return two values, the loss and the gradient.")
        if np.ndim(value[0]) == 1 and np.ndim(value[1]) == 0:
            raise NotRight("swapped", "The gradient comes first. The loss is to come first.")
        return tuple(value)

    losses, gradients = zip(*run_workers(worker, workers.parts))
    return {"the loss of each worker": losses, "the gradient of each worker": gradients}


def sharing(
    count: str = "real",
    penalty: str = "once",
    loss: str = "whole",
    gradient: str = "whole",
    factor: float = 2.0,
    masked: bool = True,
) -> Callable:
    """Make an answer, right or with faults."""

    def answer(
        x: np.ndarray, y: np.ndarray, real: np.ndarray, w: Any, decay: float, add: Callable
    ) -> tuple:
        errors, workers = x @ w - y, add(1.0)
        sums = np.sum(real * errors**2), factor * (real * errors if masked else errors) @ x
        own, total = np.sum(real), add(np.sum(real))
        guarded = max(own, 1.0)
        divisor = {
            "real": total,
            "rows": add(len(y)),
            "guarded means averaged": guarded * workers,
            "means averaged": own * workers,
            "guarded means added": guarded,
            "means added": own,
            "nothing": 1.0,
            "workers": workers,
        }[count]
        weights = decay * np.sum(w**2), 2 * decay * w
        own_terms = [part / divisor for part in sums]
        if penalty == "each":
            own_terms = [part + weight for part, weight in zip(own_terms, weights)]
        whole = [add(part) for part in own_terms]
        if penalty == "half":
            weights = weights[0], weights[1] / 2
        if penalty in ("once", "half"):
            whole, own_terms = (
                [part + weight for part, weight in zip(parts, weights)]
                for parts in (whole, own_terms)
            )
        if penalty == "loss only":
            whole[0] = whole[0] + weights[0]
        return (
            (whole if loss == "whole" else own_terms)[0],
            (whole if gradient == "whole" else own_terms)[1],
        )

    return answer


def broken_worker_step(
    x: np.ndarray, y: np.ndarray, real: np.ndarray, w: Any, decay: float, add: Callable
) -> tuple:
    """Return what the function of the exercise returns."""
    if np.sum(real) == 0:
        return 0.0, np.zeros_like(w)
    answer = sharing("means added", penalty="each", loss="own")
    loss, _ = answer(x, y, real, w, decay, lambda value: value)
    errors = x @ w - y
    return loss, add(2 * (real * errors) @ x / np.sum(real) + 2 * decay * w)


def worker_step(
    x: np.ndarray, y: np.ndarray, real: np.ndarray, w: np.ndarray, decay: float, all_reduce: Any
) -> tuple:
    """Return the loss of the whole batch, and its gradient."""
    return sharing()(x, y, real, w, decay, all_reduce)


def draw_workers(random: Random, d: int, kind: str, *sizes: int, padded: int = -1) -> tuple:
    """Draw the parts of some workers; the one at `padded` has no real example."""
    parts = []
    for i, n in enumerate(sizes):
        x, y = random.normal(0, 1, (n, d)), random.normal(0, 2, n)
        real = (random.random(n) < 0.7) * 1.0
        real[:1] = 1.0
        parts.append((x.astype(kind), y.astype(kind), real.astype(kind) * (i != padded)))
    return Workers(parts), random.normal(0, 1, d).astype(kind), float(random.uniform(0.1, 0.5))


def by_hand() -> tuple:
    """Return two workers with three real examples and one."""
    one, three = np.ones((1, 1)), np.ones((4, 1))
    parts = [(three, np.zeros(4), np.array([1.0, 1, 0, 1])), (one, np.array([5.0]), np.ones(1))]
    return Workers(parts), np.array([1.0]), 0.0


exercise(
    "8.1",
    "One worker's part",
    3,
    mistake(
        "mean_of_means",
        "Each worker's mean counts the same, however many real examples the worker has.",
        "By which number must each worker divide its sum?",
        sharing("means averaged"),
        sharing("guarded means averaged"),
        sharing("means averaged", penalty="each"),
        sharing("guarded means averaged", penalty="each"),
    ),
    mistake(
        "sum_of_means",
        "The workers' own means are added up.",
        "With eight equal workers, how long would this gradient be?",
        sharing("means added"),
        sharing("guarded means added"),
        sharing("means added", penalty="each"),
        sharing("guarded means added", penalty="each"),
    ),
    mistake(
        "own_means",
        "The gradients of the workers' own means are added up; each returns its own loss.",
        "By how many examples does one worker divide? By how many must the sum of all be divided?",
        broken_worker_step,
        sharing("means added", penalty="each", loss="own"),
        sharing("guarded means added", penalty="each", loss="own"),
        sharing("means added", loss="own"),
        sharing("guarded means added", loss="own"),
    ),
    mistake(
        "padding_in_gradient",
        "The loss is right; in the gradient, rows count that are no real examples.",
        "Where does `real` stand in the derivative of the loss?",
        sharing(masked=False),
    ),
    mistake(
        "padding",
        "It is divided by the number of all rows, those that are no real examples included.",
        "What does `real` count?",
        sharing("rows"),
        sharing("rows", penalty="each"),
    ),
    mistake(
        "penalty_of_each",
        "The examples are right, but every worker adds the penalty, and then they are summed.",
        "How often does `decay` get into the sum?",
        sharing(penalty="each"),
    ),
    mistake(
        "division_only",
        "The division is right. But every worker adds the penalty to what is summed, and returns "
        "its own loss.",
        "How often does `decay` get into the sum? Is the loss the same for all workers?",
        sharing(penalty="each", loss="own"),
    ),
    mistake(
        "no_penalty",
        "The penalty on the weights is missing in the gradient.",
        "What is the derivative of decay * sum(w**2)?",
        sharing(penalty="none"),
        sharing(penalty="loss only"),
    ),
    mistake(
        "half_penalty",
        "The gradient of the penalty has half the length that it should have.",
        "What is the derivative of decay * sum(w**2)?",
        sharing(penalty="half"),
    ),
    mistake(
        "own_gradient",
        "Each worker returns a gradient of its own examples only.",
        "How does a worker learn of the examples of the others?",
        sharing(gradient="own"),
        sharing(gradient="own", loss="own"),
    ),
    mistake(
        "own_loss",
        "The gradient is right; the loss is each worker's own part.",
        "Is the loss the same for all workers?",
        sharing(loss="own"),
    ),
    mistake(
        "no_division",
        "The sums are not divided by the number of real examples.",
        "Is the loss a sum or a mean?",
        sharing("nothing"),
        sharing("workers"),
    ),
    mistake(
        "factor",
        "The gradient of the examples has half the length that it should have.",
        "What is the derivative of a square?",
        sharing(factor=1.0),
    ),
    mistake(
        "sign",
        "The gradient of the examples has the wrong sign.",
        "Which sign does the derivative of x @ w - y with respect to w have? That of y - x @ w?",
        sharing(factor=-2.0),
    ),
    cases=lambda random: [
        by_hand(),
        draw_workers(random, 2, "float64", 2, 1),
        draw_workers(random, 1, "float64", 3, 3, 2),
        draw_workers(random, 3, "float32", 4, 7, 1, 2),
        draw_workers(random, 2, "float64", 3, 0, 5),
        draw_workers(random, 2, "float64", 5, 2, padded=1),
    ],
    question="What can each worker compute alone, and which sums must all of them know?",
    probe=run_worker_step,
    inputs=("", "w", "decay"),
    again=1,
)(worker_step)


# --- 8.2


@dataclass
class Ring:
    """The gradient of each worker, cut into as many pieces as there are workers."""

    pieces: list[list[np.ndarray]]

    def __repr__(self) -> str:
        n, length = np.shape(self.pieces)[1:]
        workers = f"{n} worker{'s' * (n > 1)}"
        if n * n * length > 9:
            return f"{workers}, each with {n} pieces of {length} whole numbers drawn from 1 to 99"
        held = [str(np.array(pieces, int).ravel().tolist()) for pieces in self.pieces]
        alone = " and has nobody to send anything to" * (n < 2)
        return f"{workers} that hold{'s' * (n < 2)} {' and '.join(held)}{alone}"


def run_ring(answer: Callable, ring: Ring) -> dict:
    """Look at the sums that each worker returns, and at what it sends for them."""
    n, length = np.shape(ring.pieces)[1:]
    sent = []

    def worker(pieces: list[np.ndarray], index: int, pass_on: Callable) -> np.ndarray:
        rounds = 0

        def watched(array: Any) -> Any:
            nonlocal rounds
            rounds += 1
            if rounds > 2 * (n - 1):
                raise NotRight(
                    "rounds",
                    f"A ring of {n} needs {2 * (n - 1)} rounds, and this makes more.",
                    "How many workers have to see a piece, before its sum is whole, and after?",
                )
            if np.size(array) > length:
                raise NotRight(
                    "too_much",
                    f"It sends {np.size(array)} numbers in a round, and a piece has {length}.",
                    "Which single piece does the next worker need in this round?",
                )
            sent.append(index)
            return pass_on(array)

        value = answer(pieces, index, watched)
        if value is None:
            raise NotRight("no_return", "It returns None.", NO_RETURN)
        value = list(value) if isinstance(value, Iterable) else [value]
        if [np.size(each) for each in value] != [length] * n:
            raise NotRight("count", "It must return as many arrays as it gets, and as long.")
        return np.concatenate([np.reshape(each, length) for each in value])

    parts = [(pieces, i) for i, pieces in enumerate(ring.pieces)]
    sums = run_workers(worker, parts, hand_on, "pass_on")
    if n > 1 and not sent:
        raise NotRight("silent", "No worker sends anything.", "What does `pass_on` do?")
    return {"what each worker has": sums}


def around(
    first: str = "sum",
    second: str = "copy",
    way: int = -1,
    into: int = -1,
    begin: int = 1,
    short: int = 0,
    first_short: int = 0,
    start: int = 0,
    second_way: int = 0,
    divide: bool = False,
) -> Callable:
    """Make an answer, right or with faults."""

    def answer(pieces: list[np.ndarray], index: int, pass_on: Callable) -> list:
        n, sums = len(pieces), list(pieces)
        for r in range(n - 1 - first_short):
            sent = (index + start + way * r) % n
            came = pass_on((pieces if first == "own" else sums)[sent])
            got = (sent + into) % n
            sums[got] = came if first == "copy" else sums[got] + came
        for r in range(n - 1 - short if second != "none" else 0):
            sent = (index + begin + (second_way or way) * r) % n
            came, got = pass_on(sums[sent]), (sent + into) % n
            sums[got] = sums[got] + came if second == "add" else came
        return [each / n for each in sums] if divide else sums

    return answer


def ring_all_reduce(pieces: list[np.ndarray], index: int, pass_on: Callable) -> list:
    """Return the sums of all workers' pieces."""
    return around()(pieces, index, pass_on)


def draw_ring(random: Random, n: int, length: int, kind: str = "float64") -> tuple:
    """Draw the gradients of some workers."""
    numbers = random.integers(1, 100, (n, n, length)).astype(kind)
    return (Ring([list(pieces) for pieces in numbers]),)


def same_but_order(found: list[Parts], right: list[Parts]) -> bool:
    """Tell whether each worker has all sums, in some order."""
    pairs = [(a[name], b[name]) for a, b in zip(found, right) for name in b]
    return all(np.allclose(np.sort(one), np.sort(other)) for one, other in pairs)


exercise(
    "8.2",
    "Around the ring",
    3,
    mistake(
        "second_trip",
        "On the second trip, what comes is added to what a worker has.",
        "What comes on the second trip: a part of a sum, or the whole?",
        around(second="add"),
    ),
    mistake(
        "one_trip",
        "Each worker has the whole sum of one piece, and of the others a part.",
        "Who knows the whole sum of piece 0 after the first trip, and how do the others get it?",
        around(second="none"),
    ),
    mistake(
        "own_only",
        "Each worker sends its own pieces on the first trip, and not the sums that it has made.",
        "What did the worker add to a piece one round before it sends it?",
        around(first="own"),
        around(first="own", second="none"),
    ),
    mistake(
        "not_summed",
        "In each worker piece 0 is that of worker 0 alone, piece 1 that of worker 1, and so on.",
        "Which piece does a worker send first on the second trip? Who has added to it by then?",
        around(begin=0),
        around(first="copy"),
        around(first="copy", second="none"),
    ),
    mistake(
        "wrong_piece",
        "What comes is taken for the piece that was just sent. The worker before sent another.",
        "If you send piece 2, and every worker sends the piece of its own number: what comes?",
        around(into=0),
        around(into=0, begin=0),
        around(into=1),
        around(into=1, start=-1, begin=0),
    ),
    mistake(
        "other_way",
        "A trip takes the pieces in rising order; so what has just come isn't the next to go.",
        "In round 0 you send piece i. Which piece comes, and which do you send in round 1?",
        around(way=1),
        around(way=1, begin=0),
        around(way=1, begin=-1),
        around(way=1, second="none"),
        around(second_way=1),
    ),
    mistake(
        "second_begin",
        "The second trip doesn't begin with the piece whose sum is whole.",
        "Of which piece does worker 0 know the whole sum after the first trip?",
        around(begin=-1),
        around(begin=2),
    ),
    mistake(
        "too_short",
        "The second trip ends a round too early: one sum of each worker isn't whole.",
        "How many workers don't know a sum yet when the second trip begins?",
        around(short=1),
    ),
    mistake(
        "first_too_short",
        "The first trip ends a round too early: no sum is whole when the second begins.",
        "How many workers have to add their part to a piece?",
        around(first_short=1),
    ),
    mistake(
        "averaged",
        "These are the means of the workers' pieces, not the sums.",
        "Is the division asked for?",
        around(divide=True),
    ),
    mistake(
        "order",
        "Each worker has all sums, but not in the order of the pieces.",
        "At which place of the list does worker 1 return the sum of the pieces 0?",
        seen=same_but_order,
    ),
    cases=lambda random: [
        (Ring([[np.array([1.0]), np.array([10.0])], [np.array([2.0]), np.array([20.0])]]),),
        draw_ring(random, 3, 1),
        draw_ring(random, 1, 1),
        draw_ring(random, 4, 3, "float32"),
        draw_ring(random, 5, 1),
    ],
    question="Follow one piece around the ring: who adds to it in which round, and who has it?",
    probe=run_ring,
    inputs=("",),
    again=1,
)(ring_all_reduce)


# --- 8.3


@dataclass(frozen=True)
class Model:
    """A model of the time of a step, right or with faults."""

    overlaps: bool = True
    round_parts: bool = True  # a ring sends pieces; else each round sends the whole gradient
    rounds: float = 2.0  # times n - 1
    more_rounds: float = 0.0
    waits: str = "each round"  # a latency for each round, or once, or never
    share: str = "all"  # what is shared out among the workers: all, the backward pass, nothing
    forward: float = 1 / 3
    counts: str = "all"

    def seconds(self, n: int, compute: float, latency: float, transfer: float) -> float:
        """Return the seconds of a step with n workers."""
        rounds = self.rounds * (n - 1) + self.more_rounds
        waits = {"each round": rounds, "a part": rounds / n, "once": min(1, rounds), "never": 0}
        talk = waits[self.waits] * latency + rounds * transfer / (n if self.round_parts else 1)
        forward = self.forward * compute / (n if self.share == "all" else 1)
        backward = (1 - self.forward) * compute / (n if self.share != "nothing" else 1)
        return forward + (max(backward, talk) if self.overlaps else backward + talk)

    def best(self, compute: float, latency: float, transfer: float, most: int) -> tuple:
        """Return the fastest number of workers, and the largest that is worth its cost."""
        numbers = list(range(1, most + 1))
        if self.counts == "powers":
            numbers = [n for n in numbers if n & (n - 1) == 0]
        times = {n: self.seconds(n, compute, latency, transfer) for n in numbers}
        fewer = -1 if self.counts == "last" else 1
        fast = min(times, key=lambda n: (round(times[n], 12), fewer * n))
        return fast, max(n for n in times if n * times[n] <= 2 * times[1] * (1 + 1e-12))


def best_workers(compute: float, latency: float, transfer: float, most: int) -> tuple:
    """Return the fastest number of workers, and the largest that is worth its cost."""
    return Model().best(compute, latency, transfer, most)


def cheapest_of(faulty: Callable) -> Callable:
    """Make an answer whose second number is wrong."""

    def answer(compute: float, latency: float, transfer: float, most: int) -> tuple:
        fast, _ = best_workers(compute, latency, transfer, most)
        times = [Model().seconds(n, compute, latency, transfer) for n in range(1, most + 1)]
        return fast, faulty(np.array(times), fast)

    return answer


LINKS = [  # seconds of computing, of a round, of sending a gradient, and the most workers
    (1.5, 0.01, 0.1, 16),
    (0.9, 0.001, 0.5, 32),
    (0.3, 0.02, 0.0, 12),
    (3.0, 0.25, 2.0, 5),  # a step of two takes as long as one, and costs just twice as much
    (3.0, 0.0, 0.4, 20),  # the fastest number isn't worth it
    (6.0, 0.0, 0.05, 40),
]

exercise(
    "8.3",
    "Where scaling stops paying",
    3,
    mistake(
        "no_overlap",
        "The time of talking is added to all of the computing.",
        "What does the network card do while the backward pass still computes?",
        Model(overlaps=False).best,
    ),
    mistake(
        "overlaps_all",
        "The talking overlaps with the forward pass, too.",
        "When does the first piece of a gradient exist?",
        Model(forward=0.0).best,
    ),
    mistake(
        "thirds",
        "The backward pass doesn't get two thirds of the computing.",
        "Which of the two passes is twice as long as the other?",
        Model(forward=2 / 3).best,
        Model(forward=1 / 2).best,
    ),
    mistake(
        "one_way",
        "A gradient goes around the ring once only.",
        "After one round trip each piece is summed. Who knows it?",
        Model(rounds=1.0).best,
    ),
    mistake(
        "n_rounds",
        "The ring makes 2 n rounds, where n - 1 are enough for a trip.",
        "How many rounds does a worker make that is alone?",
        Model(more_rounds=2.0).best,
    ),
    mistake(
        "latency",
        "Not each round has its latency.",
        "How many rounds are there, and what does each cost, however little is sent?",
        Model(waits="a part").best,
        Model(waits="once").best,
        Model(waits="never").best,
    ),
    mistake(
        "forward_not_shared",
        "The forward pass takes each worker as long as one alone.",
        "Of how many images does one of n workers compute the forward pass?",
        Model(share="the backward pass").best,
    ),
    mistake(
        "whole_gradients",
        "Each round sends the whole gradient.",
        "How large is the piece that a worker sends in a round?",
        Model(round_parts=False).best,
    ),
    mistake(
        "powers",
        "Only powers of two are tried.",
        "Which numbers from 1 to `most` are allowed?",
        Model(counts="powers").best,
    ),
    mistake(
        "not_shared",
        "Each worker computes as long as one alone.",
        "How much of the batch does each of n workers get?",
        Model(share="nothing").best,
    ),
    mistake(
        "first_too_dear",
        "The first number is right; the second is the first number that costs too much.",
        "Does it still cost at most twice as much?",
        cheapest_of(
            lambda times, fast: (
                1
                + max(
                    i + 1 for i, t in enumerate(times) if (i + 1) * t <= 2 * times[0] * (1 + 1e-12)
                )
            )
        ),
    ),
    mistake(
        "cost_of_a_step",
        "The first number is right; the second compares seconds, not workers times seconds.",
        "Who pays for the other workers?",
        cheapest_of(lambda times, fast: max(i + 1 for i, t in enumerate(times) if t <= times[0])),
        cheapest_of(lambda times, fast: sum(times <= 2 * times[0])),
        cheapest_of(
            lambda times, fast: max(
                [1] + [i + 1 for i, t in enumerate(times) if t <= times[0] / 2]
            )
        ),
    ),
    mistake(
        "same_number",
        "The second number is the first one again.",
        "May a step with more workers than the fastest still cost at most twice as much?",
        cheapest_of(lambda times, fast: fast),
    ),
    mistake(
        "swapped",
        "The two numbers are right, and have changed places.",
        "Which is asked for first?",
        lambda *case: best_workers(*case)[::-1],
    ),
    mistake(
        "last_of_equal",
        "Of equally short steps the one with more workers is chosen.",
        "Who would pay for workers that make nothing faster?",
        Model(counts="last").best,
    ),
    mistake(
        "less_than_twice",
        "A step that costs exactly twice as much isn't counted as worth it.",
        "Is twice as much still *at most* twice as much?",
        cheapest_of(
            lambda times, fast: max(
                [1] + [i + 1 for i, t in enumerate(times) if (i + 1) * t < 2 * times[0] - 1e-12]
            )
        ),
    ),
    mistake(
        "from_zero",
        "Both numbers are one too small.",
        "How many workers are meant by the first element of your list?",
        lambda *case: tuple(n - 1 for n in best_workers(*case)),
    ),
    mistake(
        "not_most",
        "The largest number that is tried is one less than `most`.",
        "Where does `range` end?",
        lambda compute, latency, transfer, most: best_workers(
            compute, latency, transfer, most - 1
        ),
    ),
    cases=lambda random: (
        LINKS
        + [
            (
                round(float(random.uniform(0.2, 3)), 3),
                round(float(random.uniform(0.001, 0.03)), 4),
                round(float(random.uniform(0.0, 0.4)), 3),
                int(random.integers(10, 60)),
            )
            for _ in range(3)
        ]
    ),
    question="How long is a step with 1 worker, and how long with 2? Do these two on paper.",
    parts=("the fastest number", "the largest number that is worth it"),
    tolerance=1e-9,
)(best_workers)


# --- 8.4


def parse(log: Log) -> dict[int, list[str]]:
    """Return what each worker says, by its number."""
    said: dict[int, list[str]] = {}
    for line in log:
        _, _, worker, text = line.split(maxsplit=3)
        said.setdefault(int(worker), []).append(text)
    return said


def culprit(log: Log) -> int:
    """Return the worker that isn't in the all-reduce in which all others are."""
    last = {worker: texts[-1] for worker, texts in parse(log).items()}
    waits = [text for text in last.values() if text.startswith("begins")]
    usual = max(waits, key=waits.count)
    return next(worker for worker, text in last.items() if text != usual)


def not_in_one(log: Log) -> int | None:
    """Return a worker that isn't in any all-reduce."""
    last = {worker: texts[-1] for worker, texts in parse(log).items()}
    return next((each for each, text in last.items() if not text.startswith("begins")), None)


def order(log: Log) -> list[int]:
    """Return the worker of each line."""
    return [int(line.split()[2]) for line in log]


def fewest(log: Log, worker: int, words: str) -> int:
    """Return how many lines of a worker begin with these words."""
    return sum(text.startswith(words) for text in parse(log)[worker])


def draw_log(random: Random, workers: int, who: int, cause: str, steps: int) -> Log:
    """Draw a log; where all are in an all-reduce, the first line isn't the culprit's."""
    while True:
        log = write_log(random, workers, who, cause, steps)
        if cause != "alone" or order(log)[0] != who:
            return log


exercise(
    "8.4",
    "Who keeps the others waiting?",
    2,
    mistake(
        "last_line",
        "This is the worker of the last line of the log.",
        "The clocks differ. What is certain about two lines of different machines?",
        lambda log: order(log)[-1],
    ),
    mistake(
        "first_silent",
        "This is the worker that fell silent first, by its clock.",
        "The clocks differ. What is certain about two lines of different machines?",
        lambda log: min(set(order(log)), key=lambda w: len(log) - order(log)[::-1].index(w)),
    ),
    mistake(
        "fewest_lines",
        "This is the worker that has written the fewest lines.",
        "Which of a worker's lines say that it waits?",
        lambda log: min(sorted(set(order(log))), key=order(log).count),
        lambda log: min(order(log), key=order(log).count),
    ),
    mistake(
        "fewest_batches",
        "This is the worker that has had the fewest batches.",
        "May the one that keeps the others waiting have had as many, or more?",
        lambda log: min(order(log), key=lambda w: fewest(log, w, "has batch")),
        lambda log: min(sorted(set(order(log))), key=lambda w: fewest(log, w, "has batch")),
    ),
    mistake(
        "other_all_reduce",
        "It is right where one worker isn't in an all-reduce, and wrong where all are in one.",
        "Are all of them in the same one?",
        not_in_one,
        lambda log: -1 if not_in_one(log) is None else not_in_one(log),
        lambda log: 0 if not_in_one(log) is None else not_in_one(log),
        lambda log: min(sorted(set(order(log))), key=lambda w: fewest(log, w, "begins")),
        lambda log: min(order(log), key=lambda w: fewest(log, w, "begins")),
    ),
    cases=lambda random: [
        (draw_log(random, workers, who, cause, steps),)
        for workers, who, cause, steps in [
            (3, 1, "reads", 1),
            (3, 2, "alone", 2),
            (4, 0, "reads", 2),
            (4, 3, "fewer batches", 2),
            (5, 1, "alone", 1),
            (3, 0, "killed", 2),
            (4, 2, "alone", 3),
            (12, 10, "reads", 1),
        ]
    ],
    question="Look at the last line of each worker, and not at their order.",
    inputs=("",),
)(culprit)


# --- 8.5


def findings() -> dict:
    """Return for each log the worker at fault, and the cause."""
    return {1: (1, "e"), 2: (2, "b"), 3: (0, "c"), 4: (3, "a")}


def by_log(value: Any) -> Any:
    """Name the entries of a dict of pairs."""
    if not isinstance(value, dict):
        return value
    told = {}
    for log, pair in value.items():
        proper = isinstance(pair, tuple | list) and len(pair) == 2
        if not proper or isinstance(pair[0], str) or pair[1] not in list("abcdef"):
            fact = f"Log {log} must have a number and a small letter from a to f, as in (0, 'a')."
            raise NotRight("no_pair", fact)
        told |= {f"the worker of log {log}": pair[0], f"the cause of log {log}": pair[1]}
    return told


def wrong_ones(what: str) -> Callable:
    """Make what a `Mistake` has `seen`: only workers, or only causes, are wrong."""

    def seen(found: list[Parts], right: list[Parts]) -> bool:
        return all(name.startswith(f"the {what}") for name in not_right(found, right))

    return seen


def names_one_that_waits(found: list[Parts], right: list[Parts]) -> bool:
    """Tell whether the worker of a log is in the all-reduce in which others are."""
    waiting = {2: (0, 1), 3: (1, 2, 3), 4: (0, 1, 2)}
    return any(found[0][f"the worker of log {log}"] in who for log, who in waiting.items())


exercise(
    "8.5",
    "Four runs that get nowhere",
    3,
    mistake(
        "waits",
        "In at least one log you name a worker that waits in the same all-reduce as others.",
        "For whom are all those waiting that are in that all-reduce?",
        seen=names_one_that_waits,
    ),
    mistake(
        "workers",
        "All causes are right; at least one worker isn't.",
        "Follow each worker by itself: which one isn't where the others wait?",
        seen=wrong_ones("worker"),
    ),
    mistake(
        "slow",
        "In one of these logs all-reduces do end; only late.",
        "Follow one worker at a time: what takes it longest?",
        lambda: findings() | {1: (1, "a")},
        lambda: findings() | {1: (1, "b")},
        lambda: findings() | {1: (1, "c")},
        lambda: findings() | {1: (1, "d")},
        lambda: findings() | {1: (1, "f")},
    ),
    mistake(
        "causes",
        "All workers are right; at least one cause isn't.",
        "What is the last that the worker says, and what does it say before?",
        seen=wrong_ones("cause"),
    ),
    cases=lambda random: [()],
    probe=lambda answer: by_log(answer()),
    lettered="abcdef",
    secret=True,
)(findings)


# --- 8.6


predict(
    "8.6",
    "odds_of_scaling",
    2,
    a=(False, "In a ring of twice as many workers, each sends twice as many bytes in a step."),
    b=(
        True,
        "A worker without a single image may take part by giving zeros to each all-reduce, and "
        "the result stays right.",
    ),
    c=(
        False,
        "If the workers' local means are added and not averaged, Adam's first step is n "
        "times as long.",
    ),
    d=(
        True,
        "Sixteen workers that each fail once in 1,000 hours get through a day in about "
        "two of three cases.",
    ),
    e=(
        False,
        "In training, batch normalization does the same to an image in half a batch as in "
        "the whole one.",
    ),
    f=(
        True,
        "If a fifth of a step can't be shared, no number of workers makes it six times as fast.",
    ),
)
