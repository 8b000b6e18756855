"""Answers to the exercises of chapter 01."""

import cmath
import math

import numpy as np
from answers import right, with_odds, wrong

from tapecourse.differentiation import Dual, dual_gradient

# 1.1: two partial derivatives by hand


@right("1.1")
def with_math(x, y):
    return [math.exp(x * y) * (1 + x * y), x**2 * math.exp(x * y)]


@right("1.1")
def by_dual_numbers(x, y):
    return dual_gradient(lambda v: v[0] * np.exp(v[0] * v[1]), [x, y])


@right("1.1")
def in_float32(x, y):
    x, y = np.float32(x), np.float32(y)
    return np.array([np.exp(x * y) * (1 + x * y), x**2 * np.exp(x * y)])


@wrong("1.1", "order")
def by_y_first(x, y):
    return x**2 * np.exp(x * y), np.exp(x * y) * (1 + x * y)


@wrong("1.1", "product_rule")
def x_in_front_only(x, y):
    return np.exp(x * y), x**2 * np.exp(x * y)


@wrong("1.1", "product_rule")
def x_inside_only(x, y):
    return x * y * np.exp(x * y), x**2 * np.exp(x * y)


@wrong("1.1", "chain_rule")
def no_inner_derivative(x, y):
    return np.exp(x * y) + x * np.exp(x * y), x * np.exp(x * y)


@wrong("1.1", "chain_rule")
def no_inner_derivative_by_x(x, y):
    return np.exp(x * y) + x * np.exp(x * y), x**2 * np.exp(x * y)


@wrong("1.1", "chain_rule")
def no_inner_derivative_by_y(x, y):
    return np.exp(x * y) * (1 + x * y), x * np.exp(x * y)


@wrong("1.1", "sign")
def wrong_sign(x, y):
    return np.exp(x * y) * (1 - x * y), x**2 * np.exp(x * y)


@wrong("1.1", "counterexample")
def both_wrong(x, y):
    return y, x


@wrong("1.1", "factor_in_front")
def x_of_the_second_term_lost(x, y):
    return (1 + y) * np.exp(x * y), x**2 * np.exp(x * y)


@wrong("1.1", "exponential_alone")
def factor_in_front_not_kept(x, y):
    return y * np.exp(x * y), x**2 * np.exp(x * y)


@wrong("1.1", "not_held")
def power_differentiated(x, y):
    return np.exp(x * y) * (1 + x * y), 2 * x * np.exp(x * y)


@wrong("1.1", "constant")
def as_in_the_example(x, y):
    return 1.0, 1.0


@wrong("1.1", "close")
def with_a_large_step(x, y, h=1e-3):
    f = with_math(x, y)[0] * 0 + x * np.exp(x * y)
    return ((x + h) * np.exp((x + h) * y) - f) / h, (x * np.exp(x * (y + h)) - f) / h


@wrong("1.1", "count")
def one_number(x, y):
    return np.exp(x * y) * (1 + x * y) + x**2 * np.exp(x * y)


@wrong("1.1", "no_return")
def printed(x, y):
    print(np.exp(x * y) * (1 + x * y), x**2 * np.exp(x * y))


@wrong("1.1", "raises")
def misspelt(x, y):
    return np.exponential(x * y), x


# 1.2: what a Jacobian costs


@right("1.2")
def by_cases(method, inputs, outputs):
    if method == "forward difference":
        return 1 + inputs
    if method == "central difference":
        return inputs + inputs
    return inputs if method == "dual numbers" else outputs + 1


@right("1.2")
def counted(method, n, m):
    passes = 1 if method in ("forward difference", "tape") else 0
    for _ in range(m if method == "tape" else n):
        passes += 2 if method.startswith("central") else 1
    return np.int64(passes)


def wrong_count(method, count):
    """Make an answer that is right but for one method."""
    return lambda asked, n, m: count(n, m) if asked == method else by_cases(asked, n, m)


for method, misconception, count in [
    ("forward difference", "base_value", lambda n, m: n),
    ("forward difference", "outputs_at_once", lambda n, m: n * m),
    ("forward difference", "one_side", lambda n, m: 2 * n),
    ("central difference", "both_sides", lambda n, m: n),
    ("central difference", "both_sides", lambda n, m: n + 1),
    ("central difference", "both_sides", lambda n, m: 2 * n + 1),
    ("dual numbers", "modes_swapped", lambda n, m: m),
    ("dual numbers", "modes_swapped", lambda n, m: m + 1),
    ("dual numbers", "primal_comes_along", lambda n, m: n + 1),
    ("dual numbers", "one_direction", lambda n, m: 1),
    ("tape", "forward_once", lambda n, m: 2 * m),
    ("tape", "inputs_for_free", lambda n, m: n + m),
    ("tape", "forward_pass", lambda n, m: m),
    ("tape", "one_output", lambda n, m: 2),
    ("tape", "one_output", lambda n, m: 1),
    ("tape", "modes_swapped", lambda n, m: n),
    ("tape", "modes_swapped", lambda n, m: n + 1),
]:
    wrong("1.2", misconception)(wrong_count(method, count))


# 1.3: a second derivative from three values


@right("1.3")
def in_one_formula(f, x, h):
    return (f(x + h) - 2 * f(x) + f(x - h)) / h**2


@right("1.3")
def slope_of_central_slopes(f, x, h):
    def slope(x):
        return (f(x + h / 2) - f(x - h / 2)) / h

    return (slope(x + h / 2) - slope(x - h / 2)) / h


@right("1.3")
def wider(f, x, h):
    return (f(x + 2 * h) - 2 * f(x) + f(x - 2 * h)) / (4 * h * h)


@right("1.3")
def of_fourth_order(f, x, h):
    values = np.array([f(x + i * h) for i in (-2, -1, 0, 1, 2)])
    return values @ [-1, 16, -30, 16, -1] / (12 * h**2)


@right("1.3")
def all_three_at_once(f, x, h):
    return np.diff(f(np.array([x - h, x, x + h])), 2)[0] / h**2


@wrong("1.3", "h_not_squared")
def divided_by_h(f, x, h):
    return (f(x + h) - 2 * f(x) + f(x - h)) / h


@wrong("1.3", "h_not_squared")
def divided_by_2h(f, x, h):
    return (f(x + h) - 2 * f(x) + f(x - h)) / (2 * h)


@wrong("1.3", "two_h")
def divided_by_2h_twice(f, x, h):
    return (f(x + h) - 2 * f(x) + f(x - h)) / (2 * h) ** 2


@wrong("1.3", "two_h")
def divided_by_twice_h_squared(f, x, h):
    return (f(x + h) - 2 * f(x) + f(x - h)) / (2 * h**2)


@wrong("1.3", "parentheses")
def last_term_divided(f, x, h):
    return f(x + h) - 2 * f(x) + f(x - h) / h**2


@wrong("1.3", "parentheses")
def divided_and_multiplied(f, x, h):
    return (f(x + h) - 2 * f(x) + f(x - h)) / h * h


@wrong("1.3", "first")
def central_slope(f, x, h):
    return (f(x + h) - f(x - h)) / (2 * h)


@wrong("1.3", "first")
def forward_slope(f, x, h):
    return (f(x + h) - f(x)) / h


@wrong("1.3", "middle")
def middle_once(f, x, h):
    return (f(x + h) - f(x) + f(x - h)) / h**2


@wrong("1.3", "middle")
def middle_added(f, x, h):
    return (f(x + h) + 2 * f(x) + f(x - h)) / h**2


@wrong("1.3", "sign")
def left_minus_right(f, x, h):
    return ((f(x) - f(x - h)) / h - (f(x + h) - f(x)) / h) / h


@wrong("1.3", "one_sided")
def to_the_right(f, x, h):
    return (f(x + 2 * h) - 2 * f(x + h) + f(x)) / h**2


@wrong("1.3", "one_sided")
def to_the_left(f, x, h):
    return (f(x) - 2 * f(x - h) + f(x - 2 * h)) / h**2


@wrong("1.3", "fixed_step")
def step_of_its_own(f, x, h):
    return in_one_formula(f, x, 0.1)


@wrong("1.3", "fixed_step")
def best_step_of_its_own(f, x, h):
    return in_one_formula(f, x, 3.2e-4)


@wrong("1.3", "twice_as_far")
def two_steps_away(f, x, h):
    return (f(x + 2 * h) - 2 * f(x) + f(x - 2 * h)) / h**2


@wrong("1.3", "constant")
def not_a_number(f, x, h):
    return float("nan")


@wrong("1.3", "of_the_slope")
def slope_squared(f, x, h):
    return central_slope(f, x, h) ** 2


# 1.4: the best step, before running it


@right("1.4")
def powers_of_ten():
    return 1e-4, 1e-2


@right("1.4")
def balanced():
    return [(48 * np.finfo(kind).eps) ** 0.25 for kind in ("float64", "float32")]


@right("1.4")
def fourth_root():
    return np.array([2.2e-16, 1.2e-7]) ** (1 / 4)


for misconception, *steps in [
    ("rule_of_slope", 1.5e-8, 3.4e-4),
    ("rule_of_slope", 6e-6, 5e-3),
    ("smaller_is_better", 1e-15, 1e-7),
    ("smaller_is_better", 1e-10, 1e-4),
    ("order", 5e-2, 3e-4),
    ("same_for_both", 3e-4, 3e-4),
    ("float64_right", 3e-4, 5.0),
    ("float32_right", 2e-5, 0.05),
    ("float64_right", 3e-4, 2e-3),
    ("neither", 3e-2, 5.0),
    ("shape", "3e-4", "5e-2"),
    ("no_step", 0.0, 0.05),
    ("shape", 3e-4),
]:
    wrong("1.4", misconception)(lambda steps=steps: steps)


# 1.5: teach the dual numbers a function


@right("1.5")
def by_cosh(x):
    return Dual(np.tanh(x.primal), x.tangent / np.cosh(x.primal) ** 2)


@right("1.5")
def of_known_operations(x):
    return 1 - 2 / (np.exp(2 * x) + 1)


@wrong("1.5", "chain_rule")
def slope_alone(x):
    return Dual(np.tanh(x.primal), 1 - np.tanh(x.primal) ** 2)


@wrong("1.5", "chain_rule")
def tangent_alone(x):
    return Dual(np.tanh(x.primal), x.tangent)


@wrong("1.5", "wrong_place")
def square_of_the_input(x):
    return Dual(np.tanh(x.primal), x.tangent * (1 - x.primal**2))


@wrong("1.5", "wrong_place")
def tanh_of_the_tangent(x):
    return Dual(np.tanh(x.primal), np.tanh(x.tangent))


@wrong("1.5", "rule")
def not_squared(x):
    return Dual(np.tanh(x.primal), x.tangent * (1 - np.tanh(x.primal)))


@wrong("1.5", "rule")
def rule_of_the_sigmoid(x):
    t = np.tanh(x.primal)
    return Dual(t, x.tangent * t * (1 - t))


@wrong("1.5", "primal")
def primal_unchanged(x):
    return Dual(x.primal, x.tangent * (1 - np.tanh(x.primal) ** 2))


@wrong("1.5", "no_dual")
def plain_number(x):
    return np.tanh(x.primal)


@wrong("1.5", "rule")
def plus_for_minus(x):
    return Dual(np.tanh(x.primal), x.tangent * (1 + np.tanh(x.primal) ** 2))


@wrong("1.5", "changes_argument")
def in_its_place(x):
    t = np.tanh(x.primal)
    x.primal, x.tangent = t, x.tangent * (1 - t**2)
    return x


@wrong("1.5", "parts_swapped")
def tangent_first(x):
    return Dual(x.tangent * (1 - np.tanh(x.primal) ** 2), np.tanh(x.primal))


@wrong("1.5", "added")
def slope_plus_tangent(x):
    return Dual(np.tanh(x.primal), 1 - np.tanh(x.primal) ** 2 + x.tangent)


@wrong("1.5", "other_function")
def tangent_of_the_angle(x):
    return np.sin(x) / np.cos(x)


@wrong("1.5", "rule")
def divided_by_sinh(x):
    return Dual(np.tanh(x.primal), x.tangent / np.sinh(x.primal) ** 2)


@wrong("1.5", "no_return")
def forgets_to_return(x):
    Dual(np.tanh(x.primal), x.tangent * (1 - np.tanh(x.primal) ** 2))


@wrong("1.5", "raises")
def numpy_alone(x):
    return np.tanh(x)


# 1.6: a second derivative from nested dual numbers


@right("1.6")
def derivative_of_the_derivative(f, x):
    def slope(x):
        return f(Dual(x, 1.0)).tangent

    return slope(Dual(x, 1.0)).tangent


@right("1.6")
def nested(f, x):
    result = f(Dual(Dual(x, 1), Dual(1)))
    return np.float64(result.tangent.tangent)


@wrong("1.6", "first")
def only_once(f, x):
    return f(Dual(x, 1.0)).tangent


@wrong("1.6", "first")
def primal_of_the_tangent(f, x):
    return f(Dual(Dual(x, 1.0), Dual(1.0, 0.0))).tangent.primal


@wrong("1.6", "first")
def inner_number_in_the_tangent(f, x):
    return f(Dual(x, Dual(1.0, 1.0))).tangent.tangent


@wrong("1.6", "value_of_f")
def value(f, x):
    return f(Dual(Dual(x, 1.0), Dual(1.0, 0.0))).primal.primal


@wrong("1.6", "no_inner_tangent")
def inner_stands_still(f, x):
    return f(Dual(Dual(x, 0.0), Dual(1.0, 0.0))).tangent.tangent


@wrong("1.6", "twice")
def two_for_one(f, x):
    return f(Dual(Dual(x, 1.0), Dual(2.0, 0.0))).tangent.tangent


@wrong("1.6", "still_dual")
def half_unpacked(f, x):
    return f(Dual(Dual(x, 1.0), Dual(1.0, 0.0))).tangent


@wrong("1.6", "differences")
def by_differences(f, x, h=1e-4):
    return (f(x + h) - 2 * f(x) + f(x - h)) / h**2


@wrong("1.6", "differences")
def difference_of_dual_slopes(f, x, h=1e-6):
    return (f(Dual(x + h, 1.0)).tangent - f(Dual(x - h, 1.0)).tangent) / (2 * h)


@wrong("1.6", "both")
def speed_changes_too(f, x):
    return f(Dual(Dual(x, 1.0), Dual(1.0, 1.0))).tangent.tangent


@wrong("1.6", "factor")
def coefficient_of_taylor(f, x):
    return nested(f, x) / 2


@wrong("1.6", "squared")
def slope_squared_again(f, x):
    return f(Dual(x, 1.0)).tangent ** 2


@wrong("1.6", "no_numbers")
def complex_step(f, x):
    return f(cmath.rect(x, 0.0) + 1e-20j)


# 1.7: a derivation, line by line

U, V = "(exp(x) - exp(-x))", "(exp(x) + exp(-x))"


def lines(*texts):
    """Make an answer of some lines."""
    return lambda: list(texts)


right("1.7")(lines(f"({V}*{V} - {U}*{U})/{V}**2", f"1 - {U}**2/{V}**2", f"4/{V}**2"))
right("1.7")(lines("diff(tanh(x), x)", "1 - tanh(x)**2", "1/cosh(x)**2", "sech(x)**2"))
right("1.7")(lambda: (f"1 - ({U}/{V})**2", f"({V}**2 - {U}**2)/{V}**2", f"(2/{V})**2"))
wrong("1.7", "wrong_line")(lines(f"({V}*{V} + {U}*{U})/{V}**2", f"4/{V}**2", f"4/{V}**2"))
wrong("1.7", "wrong_line")(lines(f"({V}*{V} - {U}*{U})/{V}", f"4/{V}**2", f"4/{V}**2"))
wrong("1.7", "wrong_line")(lines(f"({V}**2 - {U}**2)/{V}**2", f"2/{V}**2", f"4/{V}**2"))
wrong("1.7", "wrong_line")(lines(f"{V}/{U}", f"4/{V}**2", f"4/{V}**2"))
wrong("1.7", "too_short")(lines(f"4/{V}**2"))
wrong("1.7", "not_simple")(
    lines(f"({V}**2 - {U}**2)/{V}**2", f"1 - {U}**2/{V}**2", f"1 - ({U}/{V})**2")
)
wrong("1.7", "too_short")(lines(*[f"4/{V}**2"] * 3))
wrong("1.7", "wrong_line")(lines(f"({U}*{V} - {U}*{V})/{V}**2", "0*x", "0"))
wrong("1.7", "computed")(lines("diff(tanh(x), x)", "simplify(diff(tanh(x), x))", f"4/{V}**2"))
wrong("1.7", "unreadable")(lines("4/(e^x + ", "4", "4"))
wrong("1.7", "unreadable")(lines("4*y", "4*y", "4*y"))
wrong("1.7", "no_lines")(lambda: f"4/{V}**2")

# 1.8: predict, with odds

TRUE = {"a": False, "b": True, "c": True, "d": False, "e": True, "f": False}

right("1.8")(with_odds(TRUE, 1))
right("1.8")(with_odds(TRUE, 0.7))
right("1.8")(with_odds(TRUE, 0.9, a=0.6))
wrong("1.8", "coin")(with_odds(TRUE, 0.5))
wrong("1.8", "worse_than_coin")(with_odds(TRUE, 0.1))
wrong("1.8", "not_enough")(with_odds(TRUE, 0.95, a=0.95, b=0.4))
wrong("1.8", "no_odds")(lambda: dict.fromkeys("abcdef", 90))
wrong("1.8", "no_dict")(lambda: {"a": 1.0})
wrong("1.8", "no_numbers")(lambda: dict.fromkeys("abcdef", "yes"))
