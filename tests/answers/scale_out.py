"""Answers to the exercises of chapter 08."""

import numpy as np
from answers import right, with_odds, wrong

# 8.1: one worker's part


@right("8.1")
def three_sums(x, y, real, w, decay, all_reduce):
    errors = x @ w - y
    count = all_reduce(real.sum())
    loss = all_reduce((real * errors**2).sum() / count)
    gradient = all_reduce(2 * x.T @ (real * errors) / count)
    return loss + decay * w @ w, gradient + 2 * decay * w


@right("8.1")
def one_sum(x, y, real, w, decay, all_reduce):
    """All that is to be summed in one array, and only the rows that are real."""
    x, y = x[real == 1], y[real == 1]
    errors = x @ w - y
    sums = all_reduce(np.concatenate([[len(y), errors @ errors], 2 * errors @ x]))
    return [sums[1] / sums[0] + decay * np.sum(w * w), sums[2:] / sums[0] + 2 * decay * w]


@right("8.1")
def shared_penalty(x, y, real, w, decay, all_reduce):
    """Each worker adds its share of the penalty."""
    workers, count = all_reduce(1), all_reduce(np.sum(real))
    loss = np.sum(real * (x @ w - y) ** 2) / count + decay * np.sum(w**2) / workers
    gradient = sum((2 * m * (a @ w - b) * a for a, b, m in zip(x, y, real)), np.zeros(len(w)))
    return all_reduce(loss), all_reduce(gradient / count + 2 * decay * w / workers)


def worker(divide, penalty_in_sum=False, reduce_loss=True, factor=2):
    """Make an answer; `divide` takes what is real, all_reduce, and the sums of two kinds."""

    def step(x, y, real, w, decay, all_reduce):
        errors = x @ w - y
        loss, gradient = np.sum(real * errors**2), factor * x.T @ (real * errors)
        loss, gradient = (divide(part, real, all_reduce) for part in (loss, gradient))
        if penalty_in_sum:
            loss, gradient = loss + decay * np.sum(w**2), gradient + 2 * decay * w
        loss, gradient = all_reduce(loss) if reduce_loss else loss, all_reduce(gradient)
        if not penalty_in_sum:
            loss, gradient = loss + decay * np.sum(w**2), gradient + 2 * decay * w
        return loss, gradient

    return step


def by_all(part, real, all_reduce):
    return part / all_reduce(np.sum(real))


wrong("8.1", "mean_of_means")(worker(lambda part, real, add: part / real.sum() / add(1)))
wrong("8.1", "sum_of_means")(worker(lambda part, real, add: part / max(1, real.sum())))
wrong("8.1", "padding")(worker(lambda part, real, add: part / add(len(real))))
wrong("8.1", "penalty_of_each")(worker(by_all, penalty_in_sum=True))
wrong("8.1", "own_loss")(worker(by_all, reduce_loss=False))
wrong("8.1", "no_division")(worker(lambda part, real, add: part))
wrong("8.1", "factor")(worker(by_all, factor=1))
wrong("8.1", "sign")(worker(by_all, factor=-2))


@wrong("8.1", "own_means")
def as_given(x, y, real, w, decay, all_reduce):
    if np.sum(real) == 0:
        return 0.0, np.zeros_like(w)
    errors = x @ w - y
    loss = np.sum(real * errors**2) / np.sum(real) + decay * np.sum(w**2)
    gradient = 2 * (real * errors) @ x / np.sum(real) + 2 * decay * w
    return loss, all_reduce(gradient)


@wrong("8.1", "own_means")
def as_given_and_guarded(x, y, real, w, decay, all_reduce):
    errors, count = x @ w - y, max(np.sum(real), 1)
    loss = np.sum(real * errors**2) / count + decay * np.sum(w**2)
    return loss, all_reduce(2 * (real * errors) @ x / count + 2 * decay * w)


@wrong("8.1", "division_only")
def divides_by_all(x, y, real, w, decay, all_reduce):
    errors, count = x @ w - y, all_reduce(np.sum(real))
    loss = np.sum(real * errors**2) / count + decay * np.sum(w**2)
    return loss, all_reduce(2 * (real * errors) @ x / count + 2 * decay * w)


@wrong("8.1", "padding_in_gradient")
def masks_the_loss_only(x, y, real, w, decay, all_reduce):
    count, errors = all_reduce(np.sum(real)), x @ w - y
    loss = all_reduce(np.sum(real * errors**2)) / count + decay * np.sum(w**2)
    return loss, all_reduce(2 * errors @ x) / count + 2 * decay * w


@wrong("8.1", "half_penalty")
def no_two_for_the_penalty(x, y, real, w, decay, all_reduce):
    loss, gradient = three_sums(x, y, real, w, decay, all_reduce)
    return loss, gradient - decay * w


@wrong("8.1", "swapped")
def gradient_first(x, y, real, w, decay, all_reduce):
    return three_sums(x, y, real, w, decay, all_reduce)[::-1]


@wrong("8.1", "hang")
def empty_leaves(x, y, real, w, decay, all_reduce):
    count = all_reduce(np.sum(real))
    if not np.sum(real):
        return decay * np.sum(w**2), 2 * decay * w
    errors = x @ w - y
    loss, gradient = np.sum(real * errors**2) / count, 2 * (real * errors) @ x / count
    return all_reduce(loss) + decay * np.sum(w**2), all_reduce(gradient) + 2 * decay * w


@wrong("8.1", "hang")
def rows_are_sent(x, y, real, w, decay, all_reduce):
    errors = all_reduce(x @ w - y)
    return np.mean(errors**2), 2 * errors @ x


@wrong("8.1", "no_penalty")
def without_penalty(x, y, real, w, decay, all_reduce):
    loss, gradient = three_sums(x, y, real, w, decay, all_reduce)
    return loss, gradient - 2 * decay * w


@wrong("8.1", "own_gradient")
def not_shared(x, y, real, w, decay, all_reduce):
    count, errors = all_reduce(np.sum(real)), real * (x @ w - y)
    loss = all_reduce(np.sum(errors**2) / count) + decay * np.sum(w**2)
    return loss, 2 * errors @ x / count + 2 * decay * w


@wrong("8.1", "count")
def gradient_only(x, y, real, w, decay, all_reduce):
    return three_sums(x, y, real, w, decay, all_reduce)[1:]


@wrong("8.1", "no_return")
def returns_nothing(x, y, real, w, decay, all_reduce):
    three_sums(x, y, real, w, decay, all_reduce)


@wrong("8.1", "changes_argument")
def overwrites(x, y, real, w, decay, all_reduce):
    y -= x @ w
    count = all_reduce(np.sum(real))
    loss = all_reduce(np.sum(real * y**2) / count)
    return loss + decay * np.sum(w**2), all_reduce(-2 * (real * y) @ x / count) + 2 * decay * w


# 8.2: around the ring


@right("8.2")
def two_trips(pieces, index, pass_on):
    n, sums = len(pieces), list(pieces)
    for r in range(n - 1):
        sums[index - r - 1] = sums[index - r - 1] + pass_on(sums[index - r])
    for r in range(n - 1):
        sums[(index - r) % n] = pass_on(sums[(index + 1 - r) % n])
    return sums


@right("8.2")
def one_message_after_the_other(pieces, index, pass_on):
    """Pass on what came, in one loop, and keep count of the piece."""
    n, sums, at = len(pieces), dict(enumerate(pieces)), (index + 2) % len(pieces)
    message = sums[at]
    for r in range(2 * (n - 1)):
        message, at = pass_on(message), (at - 1) % n
        if r < n - 1:
            message = message + pieces[at]
        sums[at] = message
    return [sums[i] for i in range(n)]


@right("8.2")
def in_place(pieces, index, pass_on):
    """Work on a copy, as one array, and give the pieces as numbers."""
    sums = np.array(pieces, "float64")
    there = [(index - r) % len(sums) for r in range(len(sums) + 1)]
    for sent, got in zip(there, there[1:-1]):
        sums[got] += pass_on(sums[sent].tolist())
    for sent, got in zip([there[-2], *there], there[: len(sums) - 1]):
        sums[got] = pass_on(sums[sent])
    return sums


def trips(pieces, index, pass_on, first, second):
    """Go around twice; `first` and `second` say what a worker makes of what it has and gets."""
    n, sums = len(pieces), [1 * piece for piece in pieces]
    for begin, make in ((0, first), (1, second)):
        for r in range(n - 1):
            sent = (index + begin - r) % n
            sums[sent - 1] = make(sums[sent - 1], pass_on(sums[sent]))
    return sums


@wrong("8.2", "second_trip")
def adds_twice(pieces, index, pass_on):
    return trips(pieces, index, pass_on, np.add, np.add)


@wrong("8.2", "not_summed")
def only_hands_on(pieces, index, pass_on):
    return trips(pieces, index, pass_on, lambda own, came: came, lambda own, came: came)


@wrong("8.2", "one_trip")
def once_around(pieces, index, pass_on):
    n, sums = len(pieces), list(pieces)
    for r in range(n - 1):
        sums[index - r - 1] = sums[index - r - 1] + pass_on(sums[index - r])
    return sums


@wrong("8.2", "own_only")
def sends_what_was_given(pieces, index, pass_on):
    n, sums = len(pieces), list(pieces)
    for r in range(n - 1):
        sums[index - r - 1] = sums[index - r - 1] + pass_on(pieces[index - r])
    for r in range(n - 1):
        sums[(index - r) % n] = pass_on(sums[(index + 1 - r) % n])
    return sums


@wrong("8.2", "wrong_piece")
def adds_to_what_it_sends(pieces, index, pass_on):
    n, sums = len(pieces), list(pieces)
    for r in range(n - 1):
        i = (index - r) % n
        sums[i] = sums[i] + pass_on(sums[i])
    for r in range(n - 1):
        i = (index + 1 - r) % n
        sums[i] = pass_on(sums[i])
    return sums


@wrong("8.2", "other_way")
def rising(pieces, index, pass_on):
    n, sums = len(pieces), list(pieces)
    for r in range(n - 1):
        sent, got = (index + r) % n, (index + r - 1) % n
        sums[got] = sums[got] + pass_on(sums[sent])
    for r in range(n - 1):
        sent, got = (index + r + 1) % n, (index + r) % n
        sums[got] = pass_on(sums[sent])
    return sums


@wrong("8.2", "not_summed")
def begins_with_its_own_number(pieces, index, pass_on):
    n, sums = len(pieces), list(pieces)
    for r in range(2 * (n - 1)):
        sent, r = (index - r % (n - 1)) % n, r // (n - 1)
        came = pass_on(sums[sent])
        sums[sent - 1] = came if r else sums[sent - 1] + came
    return sums


@wrong("8.2", "second_begin")
def begins_with_what_it_sent_last(pieces, index, pass_on):
    n, sums = len(pieces), list(pieces)
    for r in range(n - 1):
        sums[index - r - 1] = sums[index - r - 1] + pass_on(sums[index - r])
    for r in range(n - 1):
        sums[(index + 1 - r) % n] = pass_on(sums[(index + 2 - r) % n])
    return sums


@wrong("8.2", "too_short")
def one_round_less(pieces, index, pass_on):
    n, sums = len(pieces), list(pieces)
    for r in range(max(0, 2 * n - 3)):
        sent, got = (index - r) % n, (index - r - 1) % n
        came = pass_on(sums[sent])
        sums[got] = sums[got] + came if r < n - 1 else came
    return sums


@wrong("8.2", "first_too_short")
def one_round_less_at_first(pieces, index, pass_on):
    n, sums = len(pieces), list(pieces)
    for r in range(n - 2):
        sums[index - r - 1] = sums[index - r - 1] + pass_on(sums[index - r])
    for r in range(n - 1):
        sums[(index - r) % n] = pass_on(sums[(index + 1 - r) % n])
    return sums


@wrong("8.2", "wrong_piece")
def sends_what_it_should_add_to(pieces, index, pass_on):
    n, sums = len(pieces), list(pieces)
    for r in range(n - 1):
        sums[index - r] = sums[index - r] + pass_on(sums[index - r - 1])
    for r in range(n - 1):
        sums[(index + 1 - r) % n] = pass_on(sums[(index - r) % n])
    return sums


@wrong("8.2", "other_way")
def second_trip_rising(pieces, index, pass_on):
    n, sums = len(pieces), list(pieces)
    for r in range(n - 1):
        sums[index - r - 1] = sums[index - r - 1] + pass_on(sums[index - r])
    for r in range(n - 1):
        sums[(index + r) % n] = pass_on(sums[(index + 1 + r) % n])
    return sums


wrong("8.2", "silent")(lambda pieces, index, pass_on: [len(pieces) * piece for piece in pieces])


@wrong("8.2", "averaged")
def means(pieces, index, pass_on):
    return [each / len(pieces) for each in two_trips(pieces, index, pass_on)]


@wrong("8.2", "order")
def begins_with_its_last(pieces, index, pass_on):
    return list(np.roll(two_trips(pieces, index, pass_on), -index - 1, axis=0))


@wrong("8.2", "too_much")
def all_to_the_next(pieces, index, pass_on):
    message = total = np.array(pieces)
    for _ in pieces[1:]:
        message = pass_on(message)
        total = total + message
    return total


@wrong("8.2", "rounds")
def piece_by_piece(pieces, index, pass_on):
    sums = []
    for piece in pieces:
        message = total = piece
        for _ in pieces[1:]:
            message = pass_on(message)
            total = total + message
        sums.append(total)
    return sums


@wrong("8.2", "hang")
def first_worker_is_special(pieces, index, pass_on):
    return pieces if index == 0 else two_trips(pieces, index, pass_on)


@wrong("8.2", "changes_argument")
def adds_in_place(pieces, index, pass_on):
    for r in range(len(pieces) - 1):
        pieces[index - r - 1] += pass_on(pieces[index - r])
    for r in range(len(pieces) - 1):
        pieces[(index - r) % len(pieces)] = pass_on(pieces[(index + 1 - r) % len(pieces)])
    return pieces


@wrong("8.2", "count")
def whole_piece_only(pieces, index, pass_on):
    return two_trips(pieces, index, pass_on)[(index + 1) % len(pieces)]


@wrong("8.2", "no_return")
def prints_sums(pieces, index, pass_on):
    print(two_trips(pieces, index, pass_on))


# 8.3: where scaling stops paying


def step_seconds(n, compute, latency, transfer):
    forward, backward = compute / (3 * n), 2 * compute / (3 * n)
    piece = transfer / n
    return forward + max(backward, (latency + piece) * 2 * (n - 1))


@right("8.3")
def in_a_loop(compute, latency, transfer, most):
    alone = step_seconds(1, compute, latency, transfer)
    shortest, fastest, worth = alone, 1, 1
    for n in range(2, most + 1):
        seconds = step_seconds(n, compute, latency, transfer)
        if seconds < shortest:
            shortest, fastest = seconds, n
        if n * seconds <= 2 * alone:
            worth = n
    return fastest, worth


@right("8.3")
def in_arrays(compute, latency, transfer, most):
    n = np.arange(1, most + 1)
    talk = 2 * (n - 1) * latency + 2 * (n - 1) / n * transfer
    seconds = compute / n / 3 + np.maximum(2 / 3 * compute / n, talk)
    return n[np.argmin(seconds)], n[n * seconds <= 2 * compute][-1]


def by_seconds(seconds, numbers=lambda most: range(1, most + 1), last=0):
    """Make an answer from a model of the seconds (n, compute, latency, transfer)."""

    def answer(compute, latency, transfer, most):
        times = {n: seconds(n, compute, latency, transfer) for n in numbers(most)}
        worth = max(n for n in times if n * times[n] <= 2 * times[1])
        return min(times, key=times.get), worth + last

    return answer


wrong("8.3", "no_overlap")(
    by_seconds(lambda n, c, latency, t: c / n + 2 * (n - 1) * (latency + t / n))
)
wrong("8.3", "overlaps_all")(
    by_seconds(lambda n, c, latency, t: max(c / n, 2 * (n - 1) * (latency + t / n)))
)
wrong("8.3", "thirds")(
    by_seconds(
        lambda n, c, latency, t: 2 / 3 * c / n + max(c / n / 3, 2 * (n - 1) * (latency + t / n))
    )
)
wrong("8.3", "one_way")(
    by_seconds(
        lambda n, c, latency, t: c / n / 3 + max(2 / 3 * c / n, (n - 1) * (latency + t / n))
    )
)
wrong("8.3", "whole_gradients")(
    by_seconds(
        lambda n, c, latency, t: c / n / 3 + max(2 / 3 * c / n, 2 * (n - 1) * (latency + t))
    )
)
wrong("8.3", "powers")(
    by_seconds(step_seconds, lambda most: [2**k for k in range(10) if 2**k <= most])
)
wrong("8.3", "not_shared")(
    by_seconds(lambda n, c, latency, t: c / 3 + max(2 / 3 * c, 2 * (n - 1) * (latency + t / n)))
)
wrong("8.3", "first_too_dear")(by_seconds(step_seconds, last=1))
wrong("8.3", "latency")(
    by_seconds(
        lambda n, c, latency, t: (
            c / n / 3 + max(2 / 3 * c / n, 2 * (n - 1) * (latency / n + t / n))
        )
    )
)


wrong("8.3", "n_rounds")(
    by_seconds(lambda n, c, latency, t: c / n / 3 + max(2 / 3 * c / n, 2 * n * latency + 2 * t))
)
wrong("8.3", "forward_not_shared")(
    by_seconds(lambda n, c, latency, t: step_seconds(n, c, latency, t) + c / 3 * (1 - 1 / n))
)
wrong("8.3", "from_zero")(lambda *case: np.array(in_a_loop(*case)) - 1)
wrong("8.3", "swapped")(lambda *case: in_arrays(*case)[::-1])
wrong("8.3", "not_most")(
    lambda compute, latency, transfer, most: in_a_loop(compute, latency, transfer, most - 1)
)
wrong("8.3", "same_number")(lambda *case: (in_a_loop(*case)[0],) * 2)
wrong("8.3", "counterexample")(
    lambda *case: (in_a_loop(*case)[0], min(in_a_loop(*case)))  # once taken for seconds
)


def chosen(choose):
    """Make an answer from the seconds of a step of 1, 2, 3, ... workers."""
    return lambda compute, latency, transfer, most: choose(
        [step_seconds(n, compute, latency, transfer) for n in range(1, most + 1)]
    )


@wrong("8.3", "cost_of_a_step")
@chosen
def at_most_twice_the_seconds(seconds):
    return 1 + np.argmin(seconds), np.sum(np.array(seconds) <= 2 * seconds[0])


@wrong("8.3", "less_than_twice")
@chosen
def cheaper_than_twice(seconds):
    costs = np.arange(1, 1 + len(seconds)) * seconds
    return 1 + np.argmin(seconds), np.flatnonzero(costs < 2 * costs[0])[-1] + 1


@wrong("8.3", "last_of_equal")
@chosen
def later_if_equal(seconds):
    costs = np.arange(1, 1 + len(seconds)) * seconds
    fast = len(seconds) - np.argmin(seconds[::-1])
    return fast, np.flatnonzero(costs <= 2 * costs[0])[-1] + 1


# 8.4: who keeps the others waiting?


@right("8.4")
def last_lines(log):
    last = {line.split()[2]: line.split()[3:] for line in log}
    texts = list(last.values())
    return [int(worker) for worker, text in last.items() if texts.count(text) == 1][0]


@right("8.4")
def the_rare_one(log):
    last = {}
    for line in reversed(log):
        words = line.split(" ", 3)
        last.setdefault(words[2], words[3])
    texts = list(last.values())
    return int(min(last, key=lambda worker: texts.count(last[worker])))


wrong("8.4", "last_line")(lambda log: int(log[-1].split()[2]))
wrong("8.4", "counterexample")(lambda log: 1 + int(log[-1].split()[2]))
wrong("8.4", "changes_argument")(lambda log: last_lines([log.pop(0) for _ in range(len(log))]))
wrong("8.4", "no_return")(lambda log: print(log[-1]))


@wrong("8.4", "first_silent")
def silent_first(log):
    last = {line.split()[2]: i for i, line in enumerate(log)}
    return int(min(last, key=last.get))


@wrong("8.4", "fewest_lines")
def fewest(log):
    workers = [int(line.split()[2]) for line in log]
    return min(sorted(set(workers)), key=workers.count)


@wrong("8.4", "fewest_lines")
def fewest_by_place(log):
    workers = [int(line.split()[2]) for line in log]
    return min(workers, key=workers.count)


@wrong("8.4", "fewest_batches")
def lowest_batch(log):
    batches = {line.split()[2]: int(line.split()[5]) for line in log if "has batch" in line}
    return int(min(batches, key=batches.get))


@wrong("8.4", "other_all_reduce")
def fewest_begun(log):
    begun = {}
    for line in log:
        worker = int(line.split()[2])
        begun[worker] = begun.get(worker, 0) + ("begins" in line)
    return min(begun, key=begun.get)


@wrong("8.4", "other_all_reduce")
def outside(log):
    last = {line.split()[2]: line.split()[3] for line in log}
    return next((int(worker) for worker in last if last[worker] != "begins"), None)


# 8.5: four runs that get nowhere

TRUE = {1: (1, "e"), 2: (2, "b"), 3: (0, "c"), 4: (3, "a")}

right("8.5")(lambda: TRUE)
right("8.5")(lambda: {log: list(pair) for log, pair in TRUE.items()})
wrong("8.5", "workers")(lambda: TRUE | {1: (0, "e")})
wrong("8.5", "waits")(lambda: TRUE | {4: (1, "a"), 2: (0, "b")})
wrong("8.5", "waits")(lambda: TRUE | {3: (1, "d")})
wrong("8.5", "slow")(lambda: TRUE | {1: (1, "a")})
wrong("8.5", "causes")(lambda: TRUE | {3: (0, "d")})
wrong("8.5", "causes")(lambda: TRUE | {2: (2, "a"), 4: (3, "b")})
wrong("8.5", "counterexample")(lambda: TRUE | {1: (0, "c")})
wrong("8.5", "missing")(lambda: {log: TRUE[log] for log in (1, 2, 3)})
wrong("8.5", "no_pair")(lambda: dict.fromkeys(TRUE, 1))
wrong("8.5", "no_pair")(lambda: {log: (who, cause.upper()) for log, (who, cause) in TRUE.items()})
wrong("8.5", "no_dict")(lambda: list(TRUE.values()))


# 8.6: predict, with odds

STATEMENTS = {"a": False, "b": True, "c": False, "d": True, "e": False, "f": True}

right("8.6")(with_odds(STATEMENTS, 0.9))
right("8.6")(with_odds(STATEMENTS, 0.8, d=0.5))
wrong("8.6", "worse_than_coin")(  # the example of the exercise
    lambda: {"a": 0.5, "b": 0.2, "c": 0.9, "d": 0.5, "e": 0.5, "f": 0.3}
)
wrong("8.6", "coin")(with_odds(STATEMENTS, 0.5))
wrong("8.6", "worse_than_coin")(with_odds(STATEMENTS, 0.2))
wrong("8.6", "not_enough")(with_odds(STATEMENTS, 0.9, c=0.9, f=0.4))
