"""Judge a folder of records, your own or somebody else's, by what it holds.

    {called} check results/local
    {called} check FOLDER complete=true

It prints one line for each finding: the file, what is wrong, and what to do. An error fails the
folder, and a note does not. Each record must be whole, lie in its place, and be there once; its
accuracies must follow from its predictions, and these from its file of scores; the draws of one
number must come from one model, dtype, data set, protocol and version, and from committed code; and
each CSV file in tables/ must be what the records give, so that no t was chosen otherwise. Draws
that an experiment asks for and that are missing are notes, with complete=true they are errors.

The exit code is 0 if there is no error, 1 if there is one, and 2 for words that are wrong. No model
is loaded, no network is used, and nothing is written.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from deepthink.app import streams, terminal
from deepthink.app.progress_bar import watching
from deepthink.files import at_home
from deepthink.installation import called
from deepthink.report import checking
from deepthink.report.checking import Judgement


def main(words: Sequence[str]) -> None:
    """Print what was found; SystemExit with the exit code unless all is well."""
    parser = argparse.ArgumentParser(
        prog=f"{called()} check",
        description=(__doc__ or "").replace("{called}", called()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("results", metavar="FOLDER", help="a folder of results; results=FOLDER too")
    parser.add_argument("--complete", choices=("true", "false"), default="false", help="see above")
    flags = [f"--{word}" if word.startswith("complete=") else word for word in words]
    options = parser.parse_args([word.removeprefix("results=") for word in flags])
    results = Path(at_home(options.results))
    if not results.is_dir():
        parser.error(f"{results} is no folder")
    begin = perf_counter()
    with watching(terminal.console()) as watch:
        judgement = checking.judge(results, options.complete == "true", watch.stage)
    for finding in judgement.findings:
        streams.tell(str(finding))
    streams.tell(f"{results}: {_summary(judgement)}, in {perf_counter() - begin:.0f} s")
    if judgement.errors:
        sys.exit(1)


def _summary(judgement: Judgement) -> str:
    found = f"{_counted(judgement.errors, 'error')}, "
    found += _counted(len(judgement.findings) - judgement.errors, "note")
    of_scores = f"{judgement.scored or 'none'} with scores"
    verdict = "it fails" if judgement.errors else "it passes"
    return f"{verdict}: {_counted(judgement.records, 'record')}, {of_scores}, {found}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
