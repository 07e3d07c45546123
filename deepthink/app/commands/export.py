"""Write the records of a folder in a format that others read.

    {called} export eee results=results/local to=FOLDER organization='Your group'
    {called} export parquet results=results/local to=FILE.parquet

eee: the exchange format Every Eval Ever, a JSON file for each record with a result for each t and
metric, and beside it a file with a line for each t and test row. Rows are named by their place, and
no sentence of a data set is written. organization= says who ran the jobs, relationship= how they
stand to the developer of the model. samples=false leaves the files of rows out.

parquet: one table with a row for each record, split and t, and a column for each setting.

No model is loaded and no network is used. The same records always give the same bytes.
"""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from deepthink.app import streams, terminal
from deepthink.app.progress_bar import watching
from deepthink.errors import UserError
from deepthink.files import at_home
from deepthink.installation import called
from deepthink.report import experiments
from deepthink.report.exchange import eee, parquet
from deepthink.report.exchange.logs import Evaluator
from deepthink.report.runs import Runs
from deepthink.report.words import printable

_KEYS = ("results", "to", "organization", "relationship", "samples")
_RELATIONSHIPS = ("first_party", "third_party", "collaborative", "other")
_USUAL = {"eee": "build/eee", "parquet": "build/results.parquet"}


def main(words: Sequence[str]) -> None:
    """Write the files and print what was written; UserError if that cannot be done."""
    parser = argparse.ArgumentParser(
        prog=f"{called()} export",
        description=(__doc__ or "").replace("{called}", called()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("format", choices=(*_USUAL,))
    usual = str(experiments.own_results())
    parser.add_argument("--results", default=usual, help=f"the folder of results; {usual} if none")
    places = " or ".join(_USUAL.values())
    parser.add_argument("--to", help=f"where to write; {places} if none")
    parser.add_argument("--organization", default="unknown", help="who ran the jobs")
    parser.add_argument("--relationship", choices=_RELATIONSHIPS, default="third_party")
    parser.add_argument("--samples", choices=("true", "false"), default="true")
    keys = "|".join(_KEYS)
    flags = [f"--{word}" if re.match(f"({keys})=", word) else word for word in words]
    options = parser.parse_args(flags)
    results = Path(at_home(options.results))
    to = Path(at_home(options.to or _USUAL[options.format]))
    try:
        if options.format == "parquet":
            _parquet(results, to)
        else:
            by = Evaluator(options.organization, options.relationship)
            _eee(results, to, by, options.samples == "true")
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UserError(f"cannot write to {to} ({error.strerror or error})") from error


def _parquet(results: Path, to: Path) -> None:
    frame = parquet.write(results, to)
    size = to.stat().st_size / 1e6
    streams.tell(f"{to}: {len(frame)} rows, {len(frame.columns)} columns, {size:.1f} MB")


def _eee(results: Path, to: Path, by: Evaluator, rows: bool) -> None:
    runs = Runs.load(results)
    every = sorted((*runs.all, *runs.open), key=lambda run: run.path)
    if not every:
        raise UserError(f"{results} has no records: results=FOLDER names another folder")
    if to.exists() and any(to.rglob("*.json")):
        raise UserError(f"{to} holds files already: name an empty folder with to=FOLDER")
    with watching(terminal.console()) as watch:
        written = eee.write(every, to, by, rows, watch.stage)
    for path, why in runs.broken.items():
        streams.tell(f"left out: {printable(results / path)} {why}")
    streams.tell(
        f"{to}: {written.logs} records, {written.lines} rows in {written.samples} files; by "
        f"{by.organization} ({by.relationship})"
    )
    if by.organization == "unknown":
        streams.tell("organization='YOUR GROUP' says who ran the jobs")
