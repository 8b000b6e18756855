"""The report of a class: which misconceptions, how many learners, and an answer for each.

It knows no names: it gets a list of findings for each graded notebook. What comes from learners
may be made to deceive, so it is escaped, and never stands in a cell that could be run.
"""

import base64
import html
import io
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from statistics import mean, median

import nbformat
from nbformat.v4 import new_markdown_cell, new_notebook

from tapecourse.tools.findings import Finding

__all__ = ["report", "report_page"]

Notebooks = list[tuple[str, list[Finding]]]  # of each: the assignment, what was found
GENERAL = {
    "not_confirmed": "Solved in the notebook, but not when it was judged again by itself.",
    "counterexample": "A wrong value, and no known misconception explains it.",
    "raises": "The answer raises an error.",
    "no_answer": "The answer's own cell fails or ends the kernel, so that there is no answer.",
    "no_result": "The check came to no result: the kernel died, or it took too long.",
}
STATES = {
    "solved": "solved",
    "wrong": "not right",
    "untried": "not tried",
    "lost": "no result",
    "unconfirmed": "not confirmed",
}
FAILED = "wrong", "lost", "unconfirmed"
LONGEST = 40  # lines of an answer


def report(notebooks: Notebooks, titles: dict[str, str], left_out: int) -> nbformat.NotebookNode:
    """Make the report as a notebook.

    Parameters
    ----------
    titles : dict
        Of the exercises, by number.
    left_out : int
        How many submissions have no current grade.
    """
    groups = grouped(notebooks)
    parts = [
        opening(notebooks, left_out),
        what_was_found(groups, notebooks),
        "## An answer for each\n\nThe shortest one stands for all with the same finding. It is"
        " shown as it was handed in: a comment in it may hold a name.",
        *(an_answer(key, found, titles) for key, found in groups),
        by_exercise(notebooks, titles),
    ]
    cells = [new_markdown_cell(part) for part in parts]
    cells += [by_points(notebooks), new_markdown_cell(predictions(notebooks))]
    for number, cell in enumerate(cells):
        cell.id = f"part-{number}"  # the same report from the same grades
    return new_notebook(cells=[cell for cell in cells if cell.source])


def grouped(notebooks: Notebooks) -> list[tuple[tuple[str, str], list[Finding]]]:
    """Gather equal findings, by exercise and key: those of most learners first."""
    groups = defaultdict(list)
    for _, findings in notebooks:
        for each in findings:
            if each.state in FAILED:
                groups[each.exercise, each.key].append(each)
    return sorted(
        groups.items(), key=lambda group: (-len(group[1]), in_order(group[0][0]), group[0])
    )


def in_order(number: str) -> list[tuple]:
    """Sort 2.3 before 2.10, and the workshop's W.1 after all chapters."""
    return [(0, int(part)) if part.isdigit() else (1, part) for part in number.split(".")]


KINDS = {  # of what is wrong: in the table, and in a sentence about many
    "named": ("misconception", "show a misconception that the exercise knows"),
    "pattern": ("pattern", "are wrong in the same way throughout: by a sign, a factor, an order"),
    "counterexample": ("unexplained", "are wrong in a way that no known misconception explains"),
    "raises": ("error", "raise an error"),
    "form": (
        "form",
        "have another fault: they return nothing or the wrong form, change what they are given, or"
        " call the course's own function",
    ),
    "no_answer": ("no result", "come from a cell that fails"),
    "no_result": ("no result", "came to no result"),
    "not_confirmed": ("not confirmed", "were solved in the notebook, and not when judged again"),
}


PATTERNS = "constant zero opposite sizes places offset factor whole close transpose not_finite"


def kind(finding: Finding) -> str:
    """Return which of the kinds a finding is."""
    if finding.named:
        return "named"
    if finding.key in PATTERNS.split():
        return "pattern"
    return finding.key if finding.key in KINDS else "form"


def opening(notebooks: Notebooks, left_out: int) -> str:
    """Say what the report is of, and how much of what is wrong has a name."""
    failed = [each for _, found in notebooks for each in found if each.state in FAILED]
    count = Counter(map(kind, failed))
    told = [
        f"{count[name]} ({count[name] / len(failed):.0%}) {what}"
        for name, (_, what) in KINDS.items()
        if count[name]
    ]
    lines = [
        f"Graded notebooks: {len(notebooks)}.",
        *([f"Without a current grade, and not counted here: {left_out}."] if left_out else []),
        f"Answers that were tried and got no points: {len(failed)}"
        + (f"; of these {'; '.join(told)}." if told else "."),
    ]
    return f"# What a class found hard\n\n{' '.join(lines)}"


def what_was_found(groups: list, notebooks: Notebooks) -> str:
    """Make the table of findings."""
    tried = Counter(
        each.exercise for _, found in notebooks for each in found if each.state != "untried"
    )
    rows = []
    for (number, key), found in groups:
        link = f'<a href="#{number}-{key}">{key}</a>'
        share = f"{len(found)} of {tried[number]}"
        rows.append((number, link, KINDS[kind(found[0])][0], share, as_html(general(found))))
    head = "exercise", "finding", "kind", "learners, of those who tried", "what the check says"
    return "## Findings\n\n" + (table(head, rows) if rows else "Nothing wrong was found.")


def general(found: list[Finding]) -> str:
    """Say what is wrong in a way that is true for all who have a finding."""
    key, facts = found[0].key, {fact(each) for each in found}
    if key in GENERAL:
        return GENERAL[key]
    return fact(shortest(found)) if len(facts) == 1 else f"For example: {fact(shortest(found))}"


def fact(finding: Finding) -> str:
    """Return the first hint, without the check's mark."""
    return finding.hints[0].removeprefix("✗ Not yet: ") if finding.hints else ""


def shortest(found: list[Finding]) -> Finding:
    return min(found, key=lambda each: (len(each.answer), each.answer))


def an_answer(key: tuple[str, str], found: list[Finding], titles: dict[str, str]) -> str:
    """Show an answer with its finding."""
    number, name = key
    each = shortest(found)
    hints = "".join(f"<p>{as_html(hint)}</p>" for hint in (fact(each), *each.hints[1:2]) if hint)
    lines = each.answer.splitlines()
    if len(lines) > LONGEST:
        lines = [*lines[:LONGEST], f"# … {len(lines) - LONGEST} more lines"]
    fence = "`" * (1 + max([2, *map(len, re.findall("`+", each.answer))]))
    head = f'<h3 id="{number}-{name}">{number} · {as_html(titles.get(number, ""))}: {name}</h3>'
    code = "\n".join([f"{fence}python", *lines, fence])
    return f"{head}{hints}\n\n{code}"


def by_exercise(notebooks: Notebooks, titles: dict[str, str]) -> str:
    """Count what became of each exercise."""
    every = defaultdict(list)
    for _, findings in notebooks:
        for each in findings:
            every[each.exercise].append(each)
    rows = []
    for number in sorted(every, key=in_order):
        found = every[number]
        counts = Counter(each.state for each in found)
        points = f"{mean(each.points for each in found):.2f} of {found[0].most:g}"
        title = as_html(titles.get(number, ""))
        rows.append((number, title, *(counts[state] for state in STATES), points))
    head = "exercise", "title", *STATES.values(), "mean points"
    return f"## Exercises\n\n{table(head, rows)}"


def by_points(notebooks: Notebooks) -> nbformat.NotebookNode:
    """Draw how the points are spread, for each assignment."""
    points = defaultdict(list)
    for assignment, findings in notebooks:
        total = sum(each.points for each in findings), sum(each.most for each in findings)
        points[assignment].append(total)
    head = "assignment", "notebooks", "mean points", "median", "lowest", "highest"
    rows = []
    for assignment, totals in sorted(points.items()):
        got = [got for got, _ in totals]
        average = f"{mean(got):.1f} of {totals[0][1]:g}"
        spread = (f"{each:g}" for each in (median(got), min(got), max(got)))
        rows.append((assignment, len(got), average, *spread))
    text = (
        f"## Points\n\n{table(head, rows)}\n\n"
        "![How many notebooks have how many points](attachment:points.png)\n\n"
        "*How many notebooks have how many points. The dashed line is the mean.*"
    )
    return new_markdown_cell(text, attachments={"points.png": {"image/png": drawing(points)}})


def drawing(points: dict[str, list[tuple[float, float]]]) -> str:
    """Draw a histogram for each assignment, as PNG in base64."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8, 2.2 * len(points)), layout="constrained")
    panels = figure.subplots(len(points), squeeze=False)[:, 0]
    for axes, (assignment, totals) in zip(panels, sorted(points.items())):
        got, most = [got for got, _ in totals], int(totals[0][1])
        edges = [number - 0.5 for number in range(most + 2)]
        axes.hist(got, edges, color="#4477aa", edgecolor="white")
        axes.axvline(mean(got), color="black", linestyle="--")
        axes.set_title(f"{assignment}: {mean(got):.1f} of {most} points on average", fontsize=10)
        axes.set(xlabel="points", ylabel="notebooks", xlim=(-0.6, most + 0.6))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(integer=True))
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=120, metadata={"Software": None})
    return base64.b64encode(picture.getvalue()).decode()


BINS = (0, 0.2), (0.2, 0.4), (0.4, 0.6), (0.6, 0.8), (0.8, 1)


def predictions(notebooks: Notebooks) -> str:
    """Compare how sure learners were with how often they were right; "" without predictions."""
    given = [each.odds for _, findings in notebooks for each in findings if each.odds]
    pairs = [tuple(pair) for odds in given for pair in odds.values()]
    if not pairs:
        return ""
    rows = []
    for low, high in BINS:
        truths = [true for odd, true in pairs if low <= odd < high or odd == high == 1]
        share = f"{mean(truths):.0%}" if truths else "–"
        rows.append((f"{low:.0%} to {high:.0%}", len(truths), share))
    score = mean((odd - true) ** 2 for odd, true in pairs)
    return (
        "## Predictions\n\n"
        f"{len(given)} predictions with {len(pairs)} statements. The mean score is {score:.3f}:"
        " 0 is perfect, and 0.25 is what one half for each gets. These are the odds as handed in:"
        " a learner may have changed them after the truth was shown.\n\n"
        + table(("how sure that it is true", "statements", "of these are true"), rows)
    )


# --- how it is written


def as_html(text: str) -> str:
    """Escape what markdown, HTML or TeX would take for theirs; backticks make code."""
    text = html.escape(" ".join(text.split()))
    for sign in "\\$*_[]~":
        text = text.replace(sign, f"&#{ord(sign)};")
    return re.sub("`(.+?)`", r"<code>\1</code>", text).replace("`", "&#96;")


def table(head: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    """Make a table in HTML: it stands in markdown as it is, with no blank line in it."""
    cells = [*(f'<th scope="col">{each}</th>' for each in head)]
    lines = ["".join(cells), *("".join(f"<td>{each}</td>" for each in row) for row in rows)]
    lines = [f"<tr>{line}</tr>" for line in lines]
    return "\n".join(["<table>", *lines, "</table>"])


STYLE = """
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; font: 16px/1.5 sans-serif }
body { color: #222; background: #fff }
table { border-collapse: collapse; margin: 1rem 0 }
td, th { border-bottom: 1px solid #ccc; padding: 0.3rem 0.7rem; text-align: left }
td, th { vertical-align: top }
pre { background: #f5f5f5; padding: 0.7rem; overflow-x: auto; line-height: 1.35 }
code { background: #f5f5f5 }
h3 { margin-bottom: 0.3rem }
h3 ~ p { margin: 0.2rem 0 }
img { max-width: 100% }
"""


def report_page(notebook: nbformat.NotebookNode) -> str:
    """Make a page of the report that needs nothing else, no network either."""
    from nbconvert import HTMLExporter

    body, _ = HTMLExporter(template_name="basic", exclude_anchor_links=True).from_notebook_node(
        notebook
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>What a class found hard</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body><main>\n{body}\n</main></body>\n</html>\n"
    )
