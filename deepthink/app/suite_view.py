"""A suite in the terminal: its members, their averages and the average curve."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from deepthink.app import remarks
from deepthink.app.terminal import NARROW, plain_table
from deepthink.config.request import Request
from deepthink.config.tasks import SuiteSpec
from deepthink.store import curves
from deepthink.study.jobs import Outcome
from deepthink.study.requests import Results


def show(request: Request, results: Results, console: Console) -> None:
    """Print a suite's members, its averages, the average curve, and what was unusual.

    Accuracies are those of the test split, at t = 1 (vanilla) and after the last step. An average
    is shown only if all of its members have a result.
    """
    suite, outcomes = request.suite, results.outcomes
    if suite is None or not outcomes:
        return
    first = next(iter(outcomes.values()))
    key = first.record.identity
    steps = sorted({1, key.thinking.iterations})
    parts = [request.jobs[0].model.name, suite.name]
    if suite.answer != "text":
        parts.append(f"answer by {suite.answer}")
    if key.order:
        parts.append(f"order {key.order}")
    title = " · ".join([*parts, f"{first.path.parent.name}, {remarks.method(key)}"])
    console.print(title, style="italic", highlight=False, soft_wrap=True)
    console.print(_members(suite, results, steps, console.width))
    console.print(_averages(suite, results, steps, console.width))
    if len(steps) > 1 and not results.failures:
        console.print(_average_curve(list(outcomes.values()), console.width))
    for line in remarks.of_suite(request.jobs, results):
        console.print(line, highlight=False)
    new = sum(outcome.scores is not None for outcome in outcomes.values())
    folder = first.path.parents[2]
    read = len(outcomes) - new
    console.print(
        f"{new} records written, {read} read and not run again, under {folder}",
        highlight=False,
        soft_wrap=True,
    )


def show_briefly(request: Request, results: Results, console: Console) -> None:
    """Print one line: the suite, its average over members at t = 1 and T, and the folder."""
    suite, outcomes = request.suite, list(results.outcomes.values())
    if suite is None or not outcomes:
        return
    first = outcomes[0]
    name = f"{request.jobs[0].model.name} {suite.name} {first.path.parent.name}"
    parts = [f"{len(outcomes)} of {len(request.jobs)} members"]
    if not results.failures:
        for step in dict.fromkeys((1, first.record.identity.thinking.iterations)):
            points = [curves.at_step(each.record.curve, "test", step) for each in outcomes]
            parts.append(f"t={step} {curves.macro(points)[0]:.1%} (macro)")
    line = f"{name}: {', '.join(parts)}; under {first.path.parents[2]}"
    console.print(line, highlight=False, soft_wrap=True)


def _at(step: int, width: int) -> str:
    return f"t={step} %\n[95 % interval]" if width >= NARROW else f"t={step} %"


def _estimate(estimate: curves.Estimate, width: int) -> str:
    """A mean in per cent and, unless the terminal is narrow, its interval."""
    mean, low, high = (f"{100 * value:.1f}" for value in estimate)
    return f"{mean:>5} [{low:>4}, {high:>5}]" if width >= NARROW else mean


def _members(suite: SuiteSpec, results: Results, steps: Sequence[int], width: int) -> Table:
    headings = ("member", "shots", "questions", *(_at(step, width) for step in steps))
    table = plain_table(*headings, width=width)
    for category, members in suite.chosen.items():
        if len(suite.categories) > 1:
            table.add_row(category, style="bold")
        for member in members:
            outcome = results.outcomes.get(suite.full_name(member))
            if outcome is None:
                table.add_row(member, "", "", "failed")
                continue
            points = [curves.at_step(outcome.record.curve, "test", step) for step in steps]
            table.add_row(
                member,
                _shots(outcome),
                str(points[0].count),
                *(_estimate(curves.accuracy(point), width) for point in points),
            )
        table.add_section()
    return table


def _shots(outcome: Outcome) -> str:
    """How many demonstrations fit into the context, and of how many if not all did."""
    shots = outcome.record.demonstrations
    kept, count = shots.kept, len(shots.indices)
    cut = " (cut)" if shots.truncated else ""
    return (str(kept) if kept == count else f"{kept} of {count}") + cut


def _averages(suite: SuiteSpec, results: Results, steps: Sequence[int], width: int) -> Table:
    headings = ("average", "members", "questions", *(_at(step, width) for step in steps))
    table = plain_table(*headings, width=width)
    groups = dict(suite.chosen)
    if len(groups) > 1:
        groups["all"] = [member for members in groups.values() for member in members]
    for group, members in groups.items():
        names = [suite.full_name(member) for member in members]
        outcomes = [results.outcomes[name] for name in names if name in results.outcomes]
        for kind, average in (("macro", curves.macro), ("micro", curves.micro)):
            cells = ["–"] * (1 + len(steps))
            if len(outcomes) == len(members):
                at = [
                    [curves.at_step(outcome.record.curve, "test", step) for outcome in outcomes]
                    for step in steps
                ]
                questions = sum(point.count for point in at[0])
                cells = [f"{questions:,}", *(_estimate(average(each), width) for each in at)]
            table.add_row(f"{group}, {kind}", str(len(members)), *cells)
        table.add_section()
    return table


def _average_curve(outcomes: Sequence[Outcome], width: int) -> Table:
    interval = "\n[95 % interval]" if width >= NARROW else ""
    table = plain_table("t", f"macro %{interval}", f"micro %{interval}", words=0, width=width)
    each = [curves.of_split(outcome.record.curve, "test") for outcome in outcomes]
    for points in zip(*each, strict=True):
        step = str(points[0].step)
        table.add_row(step, *(_estimate(f(points), width) for f in (curves.macro, curves.micro)))
    return table
