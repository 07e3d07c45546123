"""What an experiment still takes: done and missing jobs, tokens, operations, hours.

    {called} plan table1 model=gpt2-xl
    {called} plan paper

The words are those of a job: it is done if its record is in the folder that results= names.
Nothing is loaded or run. Estimates rest on the records there and on the published study's. `paper`
stands for all experiments of the paper, model by model, as `{called} paper` runs them.
"""

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from deepthink.app import plan_view
from deepthink.config.overrides import values
from deepthink.errors import UserError
from deepthink.files import at_home
from deepthink.installation import called
from deepthink.report import device_rates, experiments, plan, programme
from deepthink.report.experiments import PUBLISHED
from deepthink.report.runs import Run, Runs


def main(words: Sequence[str]) -> None:
    """Print the plan; UserError for words that are wrong."""
    parser = argparse.ArgumentParser(
        prog=f"{called()} plan",
        description=(__doc__ or "").replace("{called}", called()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = (programme.NAME, *experiments.names())
    parser.add_argument("experiment", help=f"one of {', '.join(names)}")
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
    whole = experiment == programme.NAME
    if not whole and (again := [word for word in words if word.startswith("experiment=")]):
        raise UserError(f"{again[0]}: a plan is of one experiment, {experiment} here")
    runs, others = known_runs(words)
    if whole:
        works = plan.of_parts(runs, programme.programme(words).parts, others)
    else:
        works = plan.work(runs, experiment, words, others)
    if jobs:
        for work in works:
            print(*work.commands, sep="\n", end="\n" * bool(work.commands))
        return
    rates = device_rates.rates(runs, {work.model for work in works}, others)
    if whole:
        plan_view.show_models(works, rates)
    else:
        plan_view.show(works, rates, shlex.join([f"experiment={experiment}", *words]))


def known_runs(words: Sequence[str]) -> tuple[Runs, Sequence[Run]]:
    """The runs of `folder_of` these words, and those of the published study beside them."""
    folder = folder_of(words)
    published = folder.resolve() == PUBLISHED.resolve()
    return Runs.load(folder), () if published else Runs.load(PUBLISHED).all


def folder_of(words: Sequence[str]) -> Path:
    """The folder that results= names, the user's by default; UserError if it names several."""
    named = [folder for word in words if word.startswith("results=") for folder in values(word)]
    if len(named) > 1:
        raise UserError(f"results= names {len(named)} folders: one command has one")
    return Path(at_home(named[0])) if named else experiments.own_results()
