"""What experiments still take, in the terminal: a line for each setting, or for each model."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from deepthink.app import terminal
from deepthink.installation import called
from deepthink.report import device_rates
from deepthink.report.device_rates import Rate
from deepthink.report.plan import Work
from deepthink.report.words import MISSING

NOT_COUNTED = (
    "≥: no record yet says how much a selector that tries sets reads; –: none says how long the "
    "task's texts are, so run one job of it first"
)


def show(works: Sequence[Work], rates: Sequence[Rate], command: str) -> None:
    """Print one line for each model, task and method, the sum, and the command that does it.

    rates: of which the first has a column of hours.
    """
    console = terminal.console()
    table = _table(console, ("model", "task", "method"), rates[0])
    last = None
    for work in works:
        if last not in (None, work.model):
            table.add_section()
        last = work.model
        table.add_row(work.model, work.task, work.method, *_numbers(work, rates[0].hours(work)))
    table.add_section()
    whole = _summed("all", works)
    table.add_row("all", "", "", *_numbers(whole, _hours(works, rates[0])))
    console.print(table)
    _print_sources(console, works, rates)
    if whole.missing:
        console.print(f"{called()} {command}", highlight=False, soft_wrap=True)


def show_models(works: Sequence[Work], rates: Sequence[Rate]) -> None:
    """Print one line for each model, with hours of an A100, and the sum."""
    console, a100 = terminal.console(), device_rates.of_an_a100(rates)
    table = _table(console, ("model", "experiments"), a100)
    table.columns[1].no_wrap = False
    for model in dict.fromkeys(work.model for work in works):
        own = [work for work in works if work.model == model]
        names = dict.fromkeys(work.experiment for work in own if work.jobs)
        numbers = _numbers(_summed(model, own), _hours(own, a100))
        table.add_row(model, ", ".join(names), *numbers)
    table.add_section()
    table.add_row("all", "", *_numbers(_summed("all", works), _hours(works, a100)))
    console.print(table)
    _print_sources(console, works, rates)


def _table(console: Console, words: Sequence[str], rate: Rate) -> Table:
    numbers = ("done", "missing", "tokens", "operations", f"hours,\n{rate.device}")
    return terminal.plain_table(*words, *numbers, words=len(words), width=console.width)


def _print_sources(console: Console, works: Sequence[Work], rates: Sequence[Rate]) -> None:
    """Print what the hours of each device rest on, and what they leave out."""
    for rate in rates:
        console.print(
            f"{rate.device}: {rate.flops / 1e12:.2f} · 10¹² operations a second ({rate.source}), "
            f"{_hours(works, rate):.1f} hours",
            highlight=False,
        )
    if not _summed("all", works).known:
        console.print(NOT_COUNTED, highlight=False)


def _summed(name: str, works: Sequence[Work]) -> Work:
    """All works as one, of which those without an estimate have no part in the sums."""
    counted = [work for work in works if work.flops is not None]
    return Work(
        "", name, "", "",
        sum(work.done for work in works),
        sum(work.missing for work in works),
        sum(work.tokens or 0 for work in counted),
        sum(work.flops or 0 for work in counted),
        all(work.known for work in works) and len(counted) == len(works),
    )  # fmt: skip


def _hours(works: Sequence[Work], rate: Rate) -> float:
    return sum(rate.hours(work) or 0.0 for work in works)


def _numbers(work: Work, hours: float | None) -> list[str]:
    if not work.missing:
        return [str(work.done), "0", "", "", ""]
    if not work.tokens or not work.flops or hours is None:
        return [str(work.done), str(work.missing), MISSING, MISSING, MISSING]
    sign = "" if work.known else "≥ "
    return [
        str(work.done),
        str(work.missing),
        f"{sign}{work.tokens / 1e6:,.2f} M",
        f"{sign}{work.flops:.1e}",
        f"{sign}{hours:.2f}",
    ]
