"""What an experiment still takes: done and missing jobs, tokens, operations, hours.

The words are those of a job: it is done if its record is in the folder that results= names.
Nothing is loaded or run. Estimates rest on the records there and on the published study's.
"""

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from deepthink.app import terminal
from deepthink.config.overrides import values
from deepthink.errors import UserError
from deepthink.files import at_home
from deepthink.installation import called
from deepthink.report import experiments, plan
from deepthink.report.experiments import PUBLISHED
from deepthink.report.runs import Runs
from deepthink.report.words import MISSING


def main(words: Sequence[str]) -> None:
    """Print the plan; UserError for words that are wrong."""
    parser = argparse.ArgumentParser(
        prog=f"{called()} plan",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("experiment", help=f"one of {', '.join(experiments.names())}")
    parser.add_argument("overrides", nargs="*", help="key=value, as for a job")
    parser.add_argument("--results", help="the same as results=")
    parser.add_argument("--jobs", action="store_true", help="list the missing jobs' commands only")
    options = parser.parse_intermixed_args(words)
    overrides = list(options.overrides)
    if options.results is not None:
        overrides.append(f"results={options.results}")
    tell(options.experiment, overrides, options.jobs)


def tell(experiment: str, words: Sequence[str], jobs: bool) -> None:
    """Print the plan as a table, or the commands of its missing jobs.

    words: overrides, as for a job; jobs: whether the commands are wanted.

    Raises:
        UserError: the words name several experiments or folders, or are no overrides.
    """
    if again := [word for word in words if word.startswith("experiment=")]:
        raise UserError(f"{again[0]}: a plan is of one experiment, {experiment} here")
    named = [folder for word in words if word.startswith("results=") for folder in values(word)]
    if len(named) > 1:
        raise UserError(f"results= names {len(named)} folders: a plan is of one")
    folder = Path(at_home(named[0])) if named else experiments.own_results()
    runs = Runs.load(folder)
    others = () if folder.resolve() == PUBLISHED.resolve() else Runs.load(PUBLISHED).all
    works = plan.work(runs, experiment, words, others)
    if jobs:
        for work in works:
            print(*work.commands, sep="\n", end="\n" * bool(work.commands))
        return
    rates = plan.rates(runs, {work.model for work in works}, others)
    show(works, rates, shlex.join([f"experiment={experiment}", *words]))


def show(works: list[plan.Work], rates: list[plan.Rate], command: str) -> None:
    """Print one line for each model, task and method, and the sum."""
    console = terminal.console()
    hours = f"hours,\n{rates[0].device}"
    headings = ("model", "task", "method", "done", "missing", "tokens", "operations", hours)
    table = terminal.plain_table(*headings, words=3, width=console.width)
    last = None
    for work in works:
        if last not in (None, work.model):
            table.add_section()
        last = work.model
        numbers = _numbers(work, rates[0].hours(work))
        table.add_row(work.model, work.task, work.method, *numbers)
    table.add_section()
    counted = [work for work in works if work.flops is not None]
    total = plan.Work(
        "all", "", "",
        sum(work.done for work in works),
        sum(work.missing for work in works),
        sum(work.tokens or 0 for work in counted),
        sum(work.flops or 0 for work in counted),
        all(work.known for work in works) and len(counted) == len(works),
    )  # fmt: skip
    table.add_row("all", "", "", *_numbers(total, _hours(counted, rates[0])))
    console.print(table)
    for rate in rates:
        console.print(
            f"{rate.device}: {rate.flops / 1e12:.2f} · 10¹² operations a second ({rate.source}), "
            f"{_hours(counted, rate):.1f} hours",
            highlight=False,
        )
    if not total.known:
        console.print(
            "≥: no record yet says how much a selector that tries sets reads; –: none says how "
            "long the task's texts are, so run one job of it first",
            highlight=False,
        )
    if total.missing:
        console.print(f"{called()} {command}", highlight=False, soft_wrap=True)


def _hours(works: Sequence[plan.Work], rate: plan.Rate) -> float:
    return sum(rate.hours(work) or 0.0 for work in works)


def _numbers(work: plan.Work, hours: float | None) -> list[str]:
    if not work.missing:
        return [str(work.done), "0", "", "", ""]
    if work.tokens is None or work.flops is None or hours is None:
        return [str(work.done), str(work.missing), MISSING, MISSING, MISSING]
    sign = "" if work.known else "≥ "
    return [
        str(work.done),
        str(work.missing),
        f"{sign}{work.tokens / 1e6:,.2f} M",
        f"{sign}{work.flops:.1e}",
        f"{sign}{hours:.2f}",
    ]
