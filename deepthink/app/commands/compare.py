"""Compare finished jobs, from their records alone.

    {called} compare 'task=sst2'
    {called} compare 'task=sst2 method=vanilla' 'task=sst2 method=deepthink'
    {called} compare results/local/records/…/vanilla results/local/records/…/deepthink

With one name it prints the table that a sweep over these jobs ends with. With two it compares one
setting with another, draw by draw and test row by test row, and says so where nothing pairs them. A
name is the words of the jobs in quotation marks, a folder, a record's path or its id.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from deepthink.app import closing_view, terminal
from deepthink.errors import UserError
from deepthink.files import at_home
from deepthink.installation import called
from deepthink.report import comparing, finding
from deepthink.report.closing import Closing
from deepthink.report.comparing import Side
from deepthink.report.groups import COLUMNS
from deepthink.report.statistics import FEWEST
from deepthink.report.words import probability


@dataclass(frozen=True)
class Named:
    """What a command line names: records, and the folder of results to look in."""

    sides: tuple[str, ...]
    results: Path | None


def parsed(command: str, about: str, words: Sequence[str], names: Sequence[str]) -> Named:
    """The names in a command line.

    names: of the arguments; those after the first may be left out.
    """
    parser = argparse.ArgumentParser(
        prog=f"{called()} {command}",
        description=about.replace("{called}", called()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for place, name in enumerate(names):
        parser.add_argument(name, nargs="?" if place else None)
    help = "the folder in which words and ids are looked for; results=RESULTS is the same"
    parser.add_argument("--results", help=help)
    flags = [f"--{word}" if word.startswith("results=") else word for word in words]
    options = parser.parse_intermixed_args(flags)
    sides = (getattr(options, name) for name in names)
    results = None if options.results is None else Path(at_home(options.results))
    return Named(tuple(side for side in sides if side is not None), results)


def main(words: Sequence[str]) -> None:
    """Print the table; UserError if the words name nothing, or what cannot be compared."""
    named = parsed("compare", __doc__ or "", words, ("first", "second"))
    found = [finding.find(side, named.results) for side in named.sides]
    console = terminal.console()
    pairs = zip(named.sides, found, strict=True)
    sides = [Side(name, one.runs) for name, one in pairs]
    if len(sides) == 1:
        closing_view.show(comparing.table(sides[0].runs), console, "differs")
    else:
        closing = comparing.compare(*_apart(*sides))
        closing_view.show(closing, console, "compared")
        for line in _tests(closing):
            console.print(line, highlight=False)
    for warning in dict.fromkeys(one.warning for one in found if one.warning):
        console.print(warning, highlight=False, soft_wrap=True)


def _apart(first: Side, second: Side) -> tuple[Side, Side]:
    """The sides; UserError if a record is on both, as where quotation marks were forgotten."""
    paths = [{run.path.resolve() for run in side.runs} for side in (first, second)]
    if both := paths[0] & paths[1]:
        what = "1 record is" if len(both) == 1 else f"{len(both)} records are"
        raise UserError(
            f"{what} on both sides, {first.name} and {second.name}: the words of one side stand "
            f"together in quotation marks, such as '{first.name} {second.name}'"
        )
    return first, second


def _tests(closing: Closing) -> Iterator[str]:
    """How sure the difference is in each column, where there are several draws."""
    shown = closing_view.columns_of(closing)
    for block in closing.blocks:
        _, second = block.lines
        for column, cell in zip(COLUMNS, second.cells, strict=True):
            if column not in shown or cell is None or cell.difference is None or cell.same:
                continue
            test = cell.difference
            draws = ""
            if test.wins is not None and test.seeds > 1:
                draws = f"ahead in {test.wins} of {test.seeds} draws, behind in {test.losses}, "
            place = block.tasks[0] if len(block.tasks) == 1 else "average"
            few = 1 < test.seeds < FEWEST
            p = f"no p with fewer than {FEWEST}" if few else f"{probability(test.p)} (uncorrected)"
            yield f"{place}, {column}: {draws}{p}"
