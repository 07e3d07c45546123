"""What an experiment still takes: done and missing jobs, tokens, operations, hours.

    make plan EXPERIMENT=table1
    make plan EXPERIMENT=table1 ARGS="model=smollm2-135m scale=cpu"
    make plan EXPERIMENT=table1 ARGS="model=smollm2-135m scale=cpu --jobs"

Nothing is loaded or run. Estimates are calibrated on the records under results.
"""

import argparse
import sys
from pathlib import Path

from rich import box
from rich.table import Table

from deepthink import display
from deepthink.errors import UserError
from deepthink.report import experiments, plan
from deepthink.report.runs import Runs
from deepthink.report.words import MISSING


def main() -> None:
    """Print the plan; exit code 1 with one line for what is wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("experiment", help=f"one of {', '.join(experiments.names())}")
    parser.add_argument("overrides", nargs="*", help="key=value, as for run.py")
    parser.add_argument("--results", type=Path, default=Path("results"), help="default: results")
    parser.add_argument("--jobs", action="store_true", help="list the missing jobs' commands only")
    options = parser.parse_intermixed_args()
    try:
        runs = Runs.load(options.results)
        works = plan.work(runs, options.experiment, options.overrides)
    except UserError as error:
        sys.exit(f"error: {error}")
    if options.jobs:
        for one in works:
            print(*one.commands, sep="\n", end="\n" * bool(one.commands))
        return
    command = " ".join([f"experiment={options.experiment}", *options.overrides])
    show(works, plan.rates(runs, {one.model for one in works}), command)


def show(works: list[plan.Work], rates: list[plan.Rate], command: str) -> None:
    """Print one line for each model, task and method, and the sum."""
    console = display.console()
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for heading in ("model", "task", "method"):
        table.add_column(heading, no_wrap=True)
    for heading in ("done", "missing", "tokens", "operations", f"hours, {rates[0].device}"):
        table.add_column(heading, justify="right", no_wrap=True)
    last = None
    for one in works:
        if last not in (None, one.model):
            table.add_section()
        last = one.model
        table.add_row(one.model, one.task, one.method, *_numbers(one, rates[0].flops))
    table.add_section()
    counted = [one for one in works if one.flops is not None]
    total = plan.Work(
        "all", "", "",
        sum(one.done for one in works),
        sum(one.missing for one in works),
        sum(one.tokens or 0 for one in counted),
        sum(one.flops or 0 for one in counted),
        all(one.known for one in works) and len(counted) == len(works),
    )  # fmt: skip
    table.add_row("all", "", "", *_numbers(total, rates[0].flops))
    console.print(table)
    for rate in rates:
        source = f"{rate.records} records" if rate.records else "35 % of its bf16 peak, assumed"
        console.print(
            f"{rate.device}: {rate.flops / 1e12:.2f} · 10¹² operations a second ({source}), "
            f"{(total.flops or 0) / rate.flops / 3600:.1f} hours",
            highlight=False,
        )
    if not total.known:
        console.print(
            "≥: no record yet says how much a selector that tries sets reads; –: none says how "
            "long the task's texts are, so run one job of it first",
            highlight=False,
        )
    if total.missing:
        console.print(f"python run.py {command}", highlight=False, soft_wrap=True)


def _numbers(one: plan.Work, rate: float) -> list[str]:
    if not one.missing:
        return [str(one.done), "0", "", "", ""]
    if one.tokens is None or one.flops is None:
        return [str(one.done), str(one.missing), MISSING, MISSING, MISSING]
    sign = "" if one.known else "≥ "
    return [
        str(one.done),
        str(one.missing),
        f"{sign}{one.tokens / 1e6:,.2f} M",
        f"{sign}{one.flops:.1e}",
        f"{sign}{one.flops / rate / 3600:.2f}",
    ]


if __name__ == "__main__":
    main()
