"""Answers to the exercises of chapter 02."""

import functools
import math
from dataclasses import replace

import numpy as np
from answers import right, wrong

# 2.1: with y held still, and with y following


@right("2.1")
def with_x_alone(x):
    return x**2, 3 * x**2 + 4 * x**3


@right("2.1")
def chain_rule(x):
    y, y_by_x = np.float32(x**2), np.float32(2 * x)
    return np.array([y, y + x * y_by_x + 2 * y * y_by_x])


for misconception, pair in [
    ("order", lambda x: (3 * x**2 + 4 * x**3, x**2)),
    ("y_held", lambda x: (x**2, x**2)),
    ("y_moves", lambda x: (3 * x**2 + 4 * x**3, 3 * x**2 + 4 * x**3)),
    ("no_direct_path", lambda x: (x**2, (x + 2 * x**2) * 2 * x)),
    ("inner", lambda x: (x**2, x**2 + x + 2 * x**2)),
    ("counterexample", lambda x: (x**2, 4 * x**3)),
    ("constant", lambda x: (1.0, 3 * x**2 + 4 * x**3)),
    ("slope_of_y", lambda x: (2 * x, 3 * x**2 + 4 * x**3)),
    ("one_term", lambda x: (x**2, 3 * x**2)),
    ("other_partial", lambda x: (x + 2 * x**2, 3 * x**2 + 4 * x**3)),
    ("by_y", lambda x: (3 * x**2, 3 * x**2 + 4 * x**3)),
    ("subtracted", lambda x: (x**2, x**2 - (x + 2 * x**2) * 2 * x)),
    ("value_of_z", lambda x: (x**2, x**3 + x**4)),
    ("sizes", lambda x: (x * abs(x), 3 * x**2 + 4 * x**3)),
    ("count", lambda x: 3 * x**2 + 4 * x**3),
]:
    wrong("2.1", misconception)(pair)


# 2.2: both sweeps on paper


@right("2.2")
def formulas(x1, x2):
    known = {"v4": 1, "v3": -1, "v2": 1, "v1": 1}
    return known | {"x1": x2 + 1 / x1, "x2": x1 - math.cos(x2)}


@right("2.2")
def walked_back(x1, x2):
    bar = dict.fromkeys(["x1", "x2", "v1", "v2", "v3", "v4"], np.float64(0))
    bar["v4"] += 1
    bar["v3"] -= 1
    for operand in ("v1", "v2"):
        bar[operand] += bar["v4"]
    bar["x2"] += bar["v3"] * np.cos(x2)
    bar["x1"] += bar["v2"] * x2
    bar["x2"] += bar["v2"] * x1
    bar["x1"] += bar["v1"] / x1
    return bar


def but(**entries):
    """Make an answer that is right but for some entries."""
    return lambda x1, x2: formulas(x1, x2) | {k: f(x1, x2) for k, f in entries.items()}


wrong("2.2", "one_path")(but(x2=lambda x1, x2: x1))
wrong("2.2", "one_path")(but(x2=lambda x1, x2: -math.cos(x2)))
wrong("2.2", "one_path")(but(x1=lambda x1, x2: x2))
wrong("2.2", "one_path")(but(x1=lambda x1, x2: 1 / x1))
wrong("2.2", "sign")(but(x2=lambda x1, x2: x1 + math.cos(x2)))
wrong("2.2", "sign")(but(v3=lambda x1, x2: 1.0))
wrong("2.2", "counterexample")(but(x1=lambda x1, x2: x2 - 1 / x1))
wrong("2.2", "local")(but(v2=lambda x1, x2: x1))
wrong("2.2", "own_factor")(but(x1=lambda x1, x2: x1 + 1 / x1, x2=lambda x1, x2: x2 - math.cos(x2)))
wrong("2.2", "slope")(but(x2=lambda x1, x2: x1 - math.sin(x2)))
wrong("2.2", "multiplied")(but(x1=lambda x1, x2: x2 / x1))
wrong("2.2", "factor")(but(x1=lambda x1, x2: (x2 + 1 / x1) / 2))


@wrong("2.2", "values")
def forward_sweep(x1, x2):
    v1, v2, v3 = math.log(x1), x1 * x2, math.sin(x2)
    return {"x1": x1, "x2": x2, "v1": v1, "v2": v2, "v3": v3, "v4": v1 + v2}


@wrong("2.2", "no_dict")
def a_list(x1, x2):
    return [1, -1, 1, 1, x1 - math.cos(x2), x2 + 1 / x1]


@wrong("2.2", "missing")
def inputs_only(x1, x2):
    return {"x1": x2 + 1 / x1, "x2": x1 - math.cos(x2)}


# 2.3: repair a reverse sweep


@right("2.3")
def by_name(nodes):
    adjoints = {}
    adjoints[nodes[-1].name] = 1
    for i in range(len(nodes) - 1, -1, -1):
        bar = adjoints.setdefault(nodes[i].name, 0)
        for j in range(len(nodes[i].parents)):
            parent = nodes[i].parents[j]
            adjoints[parent] = adjoints.get(parent, 0) + bar * nodes[i].partials[j]
    return adjoints


@right("2.3")
def sum_over_the_users(nodes):
    @functools.cache
    def adjoint(name):
        if name == nodes[-1].name:
            return np.float32(1)
        return sum(
            adjoint(node.name) * partial
            for node in nodes
            for parent, partial in zip(node.parents, node.partials)
            if parent == name
        )

    return {node.name: adjoint(node.name) for node in nodes}


@right("2.3")
def by_matrix(nodes):
    place = {node.name: i for i, node in enumerate(nodes)}
    local = np.zeros((len(nodes), len(nodes)))
    for node in nodes:
        for parent, partial in zip(node.parents, node.partials):
            local[place[node.name], place[parent]] += partial
    total = np.linalg.inv(np.eye(len(nodes)) - local)
    return dict(zip(place, total[-1]))


@wrong("2.3", "direction")
def as_given(nodes):
    adjoints = {node.name: 0.0 for node in nodes}
    adjoints[nodes[-1].name] = 1.0
    for node in nodes:
        for parent, partial in zip(node.parents, node.partials):
            adjoints[parent] = adjoints[node.name] * partial
    return adjoints


@wrong("2.3", "direction")
def adds_but_forwards(nodes):
    adjoints = {node.name: 0.0 for node in nodes}
    adjoints[nodes[-1].name] = 1.0
    for node in nodes:
        for parent, partial in zip(node.parents, node.partials):
            adjoints[parent] += adjoints[node.name] * partial
    return adjoints


@wrong("2.3", "overwrites")
def one_fault_left(nodes):
    adjoints = {node.name: 0.0 for node in nodes}
    adjoints[nodes[-1].name] = 1.0
    for node in reversed(nodes):
        for parent, partial in zip(node.parents, node.partials):
            adjoints[parent] = adjoints[node.name] * partial
    return adjoints


@wrong("2.3", "counterexample")
def first_use_only(nodes):
    adjoints = {nodes[-1].name: 1.0}
    for node in reversed(nodes):
        for parent, partial in zip(node.parents, node.partials):
            adjoints.setdefault(parent, adjoints.get(node.name, 0.0) * partial)
    return adjoints


def breadth_first(visits_once):
    """Make a sweep from the last node along the arrows, which visits a node once or each time."""

    def adjoints_of(nodes):
        known = {node.name: node for node in nodes}
        adjoints = {node.name: 0.0 for node in nodes}
        adjoints[nodes[-1].name] = 1.0
        seen, queue = set(), [nodes[-1]]
        while queue:
            node = queue.pop(0)
            if visits_once and node.name in seen:
                continue
            seen.add(node.name)
            for parent, partial in zip(node.parents, node.partials):
                adjoints[parent] += adjoints[node.name] * partial
                queue.append(known[parent])
        return adjoints

    return adjoints_of


wrong("2.3", "incomplete")(breadth_first(visits_once=True))
wrong("2.3", "incomplete")(breadth_first(visits_once=False))


@wrong("2.3", "seed")
def seed_by_name(nodes):
    adjoints = {node.name: 0.0 for node in nodes}
    adjoints["y"] = 1.0
    for node in reversed(nodes):
        for parent, partial in zip(node.parents, node.partials):
            adjoints[parent] += adjoints[node.name] * partial
    return adjoints


@wrong("2.3", "same_operand")
def place_of_the_first(nodes):
    adjoints = {node.name: 0.0 for node in nodes}
    adjoints[nodes[-1].name] = 1.0
    for node in reversed(nodes):
        for parent in node.parents:
            partial = node.partials[node.parents.index(parent)]
            adjoints[parent] += adjoints[node.name] * partial
    return adjoints


@wrong("2.3", "same_operand")
def dict_of_operands(nodes):
    adjoints = {node.name: 0.0 for node in nodes}
    adjoints[nodes[-1].name] = 1.0
    for node in reversed(nodes):
        for parent, partial in dict(zip(node.parents, node.partials)).items():
            adjoints[parent] += adjoints[node.name] * partial
    return adjoints


@wrong("2.3", "unused")
def leaves_out_the_unused(nodes):
    return {name: bar for name, bar in by_name(nodes).items() if bar != 0}


@wrong("2.3", "unused")
def starts_at_every_end(nodes):
    used = {parent for node in nodes for parent in node.parents}
    adjoints = by_name(nodes)
    return adjoints | {node.name: 1.0 for node in nodes if node.name not in used}


def swept(nodes, share, seed=0.0, stops=False):
    adjoints = {node.name: seed for node in nodes} | {nodes[-1].name: 1.0}
    for node in reversed(nodes):
        if stops and not adjoints[node.name]:
            break
        for parent, partial in zip(node.parents, node.partials):
            adjoints[parent] += share(adjoints[node.name], partial)
    return adjoints


wrong("2.3", "added")(lambda nodes: swept(nodes, lambda bar, partial: bar + partial))
wrong("2.3", "stops")(lambda nodes: swept(nodes, lambda bar, partial: bar * partial, stops=True))
wrong("2.3", "seed_everywhere")(lambda nodes: swept(nodes, lambda bar, d: bar * d, seed=1.0))


@wrong("2.3", "one_operand")
def first_operand_only(nodes):
    return by_name([replace(n, parents=n.parents[:1], partials=n.partials[:1]) for n in nodes])


@wrong("2.3", "incomplete")
def each_path_with_the_total(nodes):
    known = {node.name: node for node in nodes}
    adjoints = {node.name: 0.0 for node in nodes} | {nodes[-1].name: 1.0}

    def visit(node):
        for parent, partial in zip(node.parents, node.partials):
            adjoints[parent] += adjoints[node.name] * partial
            visit(known[parent])

    visit(nodes[-1])
    return adjoints


@wrong("2.3", "stops")
def stops_at_the_first_input(nodes):
    adjoints = {node.name: 0.0 for node in nodes}
    adjoints[nodes[-1].name] = 1.0
    for node in reversed(nodes):
        if not node.parents:
            break
        for parent, partial in zip(node.parents, node.partials):
            adjoints[parent] += adjoints[node.name] * partial
    return adjoints


@wrong("2.3", "seed")
def no_seed(nodes):
    adjoints = {node.name: 0.0 for node in nodes}
    for node in reversed(nodes):
        for parent, partial in zip(node.parents, node.partials):
            adjoints[parent] += adjoints[node.name] * partial
    return adjoints


@wrong("2.3", "seed")
def seed_is_the_value(nodes):
    return {name: bar * nodes[-1].value for name, bar in by_name(nodes).items()}


@wrong("2.3", "last_missing")
def leaves_out_the_last(nodes):
    adjoints = by_name(nodes)
    del adjoints[nodes[-1].name]
    return adjoints


@wrong("2.3", "last_missing")
def last_stays_0(nodes):
    adjoints = by_name(nodes)
    adjoints[nodes[-1].name] = 0.0
    return adjoints


@wrong("2.3", "no_dict")
def a_list_of_adjoints(nodes):
    return list(by_name(nodes).values())


# 2.4: the forward twin


@right("2.4")
def collected(nodes, source):
    dots = {}
    for node in nodes:
        dots[node.name] = 1 if node.name == source else 0
        for parent, partial in zip(node.parents, node.partials):
            dots[node.name] = dots[node.name] + dots[parent] * partial
    return dots


@right("2.4")
def recursive(nodes, source):
    by_name = {node.name: node for node in nodes}

    @functools.cache
    def dot(name):
        if name == source:
            return np.float32(1)
        node = by_name[name]
        return sum((p * dot(parent) for parent, p in zip(node.parents, node.partials)), 0.0)

    return {name: dot(name) for name in by_name}


@wrong("2.4", "no_seed")
def nothing_moves(nodes, source):
    dots = {}
    for node in nodes:
        dots[node.name] = sum(p * dots[parent] for parent, p in zip(node.parents, node.partials))
    return dots


@wrong("2.4", "adjoints")
def backwards(nodes, source):
    return by_name(nodes)


@wrong("2.4", "all_inputs")
def every_input(nodes, source):
    dots = {}
    for node in nodes:
        dots[node.name] = 0.0 if node.parents else 1.0
        for parent, partial in zip(node.parents, node.partials):
            dots[node.name] += dots[parent] * partial
    return dots


@wrong("2.4", "overwrites")
def last_operand_only(nodes, source):
    dots = {}
    for node in nodes:
        dots[node.name] = 1.0 if node.name == source else 0.0
        for parent, partial in zip(node.parents, node.partials):
            dots[node.name] = dots[parent] * partial
    return dots


@wrong("2.4", "product")
def product_of_shares(nodes, source):
    dots = {}
    for node in nodes:
        pairs = list(zip(node.parents, node.partials))
        start = 1.0 if node.name == source else 0.0
        dots[node.name] = math.prod(p * dots[parent] for parent, p in pairs) if pairs else start
    return dots


@wrong("2.4", "fixed_source")
def always_x(nodes, source):
    return collected(nodes, "x")


@wrong("2.4", "missing")
def only_what_moves(nodes, source):
    return {name: dot for name, dot in collected(nodes, source).items() if dot != 0}


@wrong("2.4", "seed_is_value")
def seed_is_the_input(nodes, source):
    value = {node.name: node.value for node in nodes}[source]
    return {name: dot * value for name, dot in collected(nodes, source).items()}


@wrong("2.4", "no_dict")
def the_result_alone(nodes, source):
    return collected(nodes, source)[nodes[-1].name]


def went_through(nodes, source, share=lambda dot, partial: dot * partial):
    dots = {node.name: float(node.name == source) for node in nodes}
    for node in nodes:
        for parent, partial in zip(node.parents, node.partials):
            dots[node.name] += share(dots[parent], partial)
    return dots


wrong("2.4", "no_chain")(lambda nodes, source: went_through(nodes[::-1], source))
wrong("2.4", "added")(lambda nodes, source: went_through(nodes, source, lambda dot, d: dot + d))


@wrong("2.4", "same_operand")
def one_place_of_each(nodes, source):
    pairs = [dict(zip(node.parents, node.partials)) for node in nodes]
    once = [replace(n, parents=tuple(p), partials=tuple(p.values())) for n, p in zip(nodes, pairs)]
    return went_through(once, source)


@wrong("2.4", "no_chain")
def direct_use_only(nodes, source):
    pairs = {n.name: [d for p, d in zip(n.parents, n.partials) if p == source] for n in nodes}
    return {name: sum(partials) for name, partials in pairs.items()} | {source: 1.0}


# 2.5: in which order to multiply


def from_the_inputs(sizes):
    return sum(sizes[0] * sizes[i] * sizes[i + 1] for i in range(1, len(sizes) - 1))


def from_the_outputs(sizes):
    return sum(sizes[i] * sizes[i + 1] * sizes[-1] for i in range(len(sizes) - 2))


@right("2.5")
def recursive_best(sizes):
    @functools.cache
    def best(i, j):
        costs = [best(i, m) + best(m, j) + sizes[i] * sizes[m] * sizes[j] for m in range(i + 1, j)]
        return min(costs, default=0)

    return from_the_inputs(sizes), from_the_outputs(sizes), best(0, len(sizes) - 1)


@right("2.5")
def every_order(sizes):
    def best(sizes):
        if len(sizes) <= 2:
            return 0
        return min(
            sizes[i - 1] * sizes[i] * sizes[i + 1] + best(sizes[:i] + sizes[i + 1 :])
            for i in range(1, len(sizes) - 1)
        )

    return np.array([from_the_inputs(sizes), from_the_outputs(sizes), best(list(sizes))])


@wrong("2.5", "swapped")
def swapped(sizes):
    forward, reverse, best = recursive_best(sizes)
    return reverse, forward, best


@wrong("2.5", "swapped")
def swapped_and_cheaper(sizes):
    forward, reverse, _ = recursive_best(sizes)
    return reverse, forward, min(forward, reverse)


@wrong("2.5", "one_split")
def one_split(sizes):
    def ends(sizes):
        return min(from_the_inputs(sizes), from_the_outputs(sizes))

    splits = [
        ends(sizes[: m + 1]) + ends(sizes[m:]) + sizes[0] * sizes[m] * sizes[-1]
        for m in range(1, len(sizes) - 1)
    ]
    return *recursive_best(sizes)[:2], min([ends(sizes), *splits])


@wrong("2.5", "two_orders")
def cheaper_of_two(sizes):
    forward, reverse, _ = recursive_best(sizes)
    return forward, reverse, min(forward, reverse)


def greedy(first):
    """Make an answer that always takes the product with the largest `first(left, i)`."""

    def answer(sizes):
        left, total = list(sizes), 0
        while len(left) > 2:
            i = max(range(1, len(left) - 1), key=lambda i: first(left, i))
            total += left[i - 1] * left[i] * left[i + 1]
            left.pop(i)
        return *recursive_best(sizes)[:2], total

    return answer


wrong("2.5", "greedy")(greedy(lambda left, i: left[i]))
wrong("2.5", "greedy")(greedy(lambda left, i: -left[i - 1] * left[i + 1]))
wrong("2.5", "greedy")(greedy(lambda left, i: -left[i - 1] * left[i] * left[i + 1]))


@wrong("2.5", "constant")
def splits_without_the_last_product(sizes):
    def best(i, j):
        return min((best(i, m) + best(m, j) for m in range(i + 1, j)), default=0)

    return *recursive_best(sizes)[:2], best(0, len(sizes) - 1)


@wrong("2.5", "counts_first")
def first_jacobian_too(sizes):
    forward = sum(sizes[0] * p * q for p, q in zip(sizes, sizes[1:]))
    reverse = sum(sizes[-1] * p * q for p, q in zip(sizes, sizes[1:]))
    return forward, reverse, min(forward, reverse)


@wrong("2.5", "outer_only")
def entries_only(sizes):
    forward = sum(sizes[0] * n for n in sizes[2:])
    reverse = sum(sizes[-1] * n for n in sizes[:-2])
    return forward, reverse, min(forward, reverse)


@wrong("2.5", "end_forgotten")
def neighbours_only(sizes):
    total = sum(p * q for p, q in zip(sizes, sizes[1:]))
    return total, total, total


@wrong("2.5", "no_product")
def one_jacobian_is_a_product(sizes):
    return recursive_best(sizes) if len(sizes) > 2 else (sizes[0] * sizes[1],) * 3


@wrong("2.5", "neighbours")
def three_neighbours(sizes):
    total = sum(p * q * r for p, q, r in zip(sizes, sizes[1:], sizes[2:]))
    return total, total, recursive_best(sizes)[2]


@wrong("2.5", "dearest")
def largest(sizes):
    forward, reverse, _ = recursive_best(sizes)
    return forward, reverse, max(forward, reverse)


@wrong("2.5", "factor")
def additions_too(sizes):
    return [2 * count for count in recursive_best(sizes)]


# 2.6: count the paths


@right("2.6")
def paths_forwards(nodes, source):
    counts = {}
    for node in nodes:
        counts[node.name] = sum(counts[parent] for parent in node.parents)
        counts[node.name] += node.name == source
    return counts[nodes[-1].name]


@right("2.6")
def paths_by_recursion(nodes, source):
    if source == nodes[-1].name:
        return 1
    return sum(
        node.parents.count(source) * paths_by_recursion(nodes, node.name)
        for node in nodes
        if source in node.parents
    )


@wrong("2.6", "uses")
def direct_uses(nodes, source):
    return sum(parent == source for node in nodes for parent in node.parents)


@wrong("2.6", "same_operand")
def each_user_once(nodes, source):
    if source == nodes[-1].name:
        return 1
    return sum(each_user_once(nodes, node.name) for node in nodes if source in node.parents)


@wrong("2.6", "self")
def needs_an_arrow(nodes, source):
    return paths_forwards(nodes, source) if source != nodes[-1].name else 0


@wrong("2.6", "all_ends")
def to_any_end(nodes, source):
    users = [(node.name, node.parents.count(source)) for node in nodes if source in node.parents]
    return sum(count * to_any_end(nodes, name) for name, count in users) if users else 1


@wrong("2.6", "derivative")
def adjoint_of_it(nodes, source):
    return by_name(nodes)[source]


@wrong("2.6", "one_for_many")
def whether_there_is_one(nodes, source):
    return int(paths_forwards(nodes, source) > 0)


@wrong("2.6", "nodes")
def nodes_behind(nodes, source):
    behind = {source}
    for node in nodes:
        behind |= {node.name} if behind.intersection(node.parents) else set()
    return len(behind) - 1


@wrong("2.6", "arrows")
def arrows_behind(nodes, source):
    return sum(1 + arrows_behind(nodes, n.name) for n in nodes for p in n.parents if p == source)


@wrong("2.6", "inputs_alone")
def from_inputs(nodes, source):
    counts = {}
    for node in nodes:
        counts[node.name] = sum(counts[p] for p in node.parents) if node.parents else 0
        counts[node.name] += not node.parents and node.name == source
    return counts[nodes[-1].name]


@wrong("2.6", "all_inputs")
def from_all_inputs(nodes, source):
    return sum(paths_forwards(nodes, node.name) for node in nodes if not node.parents)


@wrong("2.6", "multiplied")
def product_of_operands(nodes, source):
    counts = {}
    for node in nodes:
        counts[node.name] = math.prod(counts[p] for p in node.parents if node.name != source)
    return counts[nodes[-1].name]


@wrong("2.6", "offset")
def one_too_many(nodes, source):
    return paths_forwards(nodes, source) + 1


@wrong("2.6", "no_return")
def paths_printed(nodes, source):
    print(paths_forwards(nodes, source))


# 2.7: a test that names the first fault


@right("2.7")
def walked_again(nodes, adjoints):
    known = by_name(nodes)
    for node in nodes[::-1]:
        if not math.isclose(adjoints[node.name], known[node.name], abs_tol=1e-9):
            return node.name


@right("2.7")
def collected_from_users(nodes, adjoints):
    for node in reversed(nodes):
        total = 1.0 if node is nodes[-1] else 0.0
        for user in nodes:
            for parent, partial in zip(user.parents, user.partials):
                total += (parent == node.name) * adjoints[user.name] * partial
        if abs(total - adjoints[node.name]) > 1e-6:
            return node.name
    return None


@wrong("2.7", "last_one")
def from_the_inputs_on(nodes, adjoints):
    known = by_name(nodes)
    for node in nodes:
        if abs(adjoints[node.name] - known[node.name]) > 1e-9:
            return node.name


@wrong("2.7", "accepts_all")
def finds_nothing(nodes, adjoints):
    return None


@wrong("2.7", "no_seed")
def trusts_the_last_node(nodes, adjoints):
    return walked_again(nodes, adjoints | {nodes[-1].name: 1.0}) and collected_from_users(
        nodes, adjoints | {nodes[-1].name: 1.0}
    )


@wrong("2.7", "one_use")
def each_pair_once(nodes, adjoints):
    for node in reversed(nodes):
        total = 1.0 if node is nodes[-1] else 0.0
        for user in nodes:
            total += adjoints[user.name] * dict(zip(user.parents, user.partials)).get(node.name, 0)
        if abs(total - adjoints[node.name]) > 1e-6:
            return node.name


def compared(differ, order=reversed):
    """Make a test that compares with a right sweep in its own way."""

    def answer(nodes, adjoints):
        known = by_name(nodes)
        off = [n.name for n in order(nodes) if differ(adjoints[n.name], known[n.name])]
        return off[0] if off else None

    return answer


def off(a, b):
    return abs(a - b) > 1e-9


for misconception, test in [
    ("round_off", compared(lambda a, b: a != b)),
    ("signs", compared(lambda a, b: off(abs(a), abs(b)))),
    ("one_side", compared(lambda a, b: a - b > 1e-9)),
    ("tolerance", compared(lambda a, b: abs(a - b) > 0.1)),
    ("tolerance", compared(lambda a, b: not math.isclose(a, b, rel_tol=0.01, abs_tol=0.01))),
    ("no_inputs", compared(off, lambda nodes: [n for n in nodes[::-1] if n.parents])),
]:
    wrong("2.7", misconception)(test)


@wrong("2.7", "overwrites")
def last_user_alone(nodes, adjoints):
    for node in reversed(nodes):
        total = 1.0 if node is nodes[-1] else 0.0
        for user in nodes:
            for parent, partial in zip(user.parents, user.partials):
                total = adjoints[user.name] * partial if parent == node.name else total
        if off(total, adjoints[node.name]):
            return node.name


@wrong("2.7", "largest")
def most_wrong(nodes, adjoints):
    known = by_name(nodes)
    name = max(adjoints, key=lambda name: abs(adjoints[name] - known[name]))
    return name if off(adjoints[name], known[name]) else None


@wrong("2.7", "no_name")
def tells_whether(nodes, adjoints):
    return walked_again(nodes, adjoints) is None


@wrong("2.7", "counterexample")
def any_small_value(nodes, adjoints):
    return min(adjoints, key=lambda name: abs(adjoints[name]))
