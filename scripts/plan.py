"""What an experiment still takes: done and missing jobs, tokens, operations, hours.

    make plan EXPERIMENT=table1
    make plan EXPERIMENT=table1 ARGS="model=smollm2-135m scale=cpu results=results"
    make plan EXPERIMENT=table1 ARGS="model=smollm2-135m scale=cpu --jobs"

The words are those of run.py: a job is done if its record is in the folder that results= names.
Nothing is loaded or run. Estimates rest on the records there and on the published study's.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

try:
    from rich import box
    from rich.table import Table

    from deepthink.app import streams, terminal
    from deepthink.errors import UserError
    from deepthink.files import at_home
    from deepthink.report import experiments, plan
    from deepthink.report.experiments import PUBLISHED
    from deepthink.report.runs import Runs
    from deepthink.report.words import MISSING
except KeyboardInterrupt:  # these take a second
    sys.exit("interrupted")


def main() -> None:
    """Print the plan; exit code 1 with one line for what is wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("experiment", help=f"one of {', '.join(experiments.names())}")
    parser.add_argument("overrides", nargs="*", help="key=value, as for run.py")
    parser.add_argument("--results", help="the same as results=")
    parser.add_argument("--jobs", action="store_true", help="list the missing jobs' commands only")
    options = parser.parse_intermixed_args()
    sys.stdout.reconfigure(errors="replace")
    words = list(options.overrides)
    if options.results is not None:
        words.append(f"results={options.results}")
    try:
        tell(options.experiment, words, options.jobs)
        sys.stdout.flush()
    except UserError as error:
        sys.exit(f"error: {error}")
    except BrokenPipeError:  # nobody reads on
        streams.abandon()
    except KeyboardInterrupt:
        sys.exit("interrupted")


def tell(experiment: str, words: Sequence[str], jobs: bool) -> None:
    """The plan as a table, or the commands of its missing jobs."""
    if again := [word for word in words if word.startswith("experiment=")]:
        raise UserError(f"{again[0]}: a plan is of one experiment, {experiment} here")
    folders = [experiments.values(word) for word in words if word.startswith("results=")]
    named = [one for found in folders for one in found]
    if len(named) > 1:
        raise UserError(f"results= names {len(named)} folders: a plan is of one")
    folder = Path(at_home(named[0])) if named else experiments.own_results()
    runs = Runs.load(folder)
    more = () if folder.resolve() == PUBLISHED.resolve() else Runs.load(PUBLISHED).all
    works = plan.work(runs, experiment, words, more)
    if jobs:
        for one in works:
            print(*one.commands, sep="\n", end="\n" * bool(one.commands))
        return
    rates = plan.rates(runs, {one.model for one in works}, more)
    show(works, rates, shlex.join([f"experiment={experiment}", *words]))


def show(works: list[plan.Work], rates: list[plan.Rate], command: str) -> None:
    """Print one line for each model, task and method, and the sum."""
    console = terminal.console()
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
