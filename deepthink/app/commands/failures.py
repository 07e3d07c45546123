"""Jobs of a results folder that failed and have not succeeded since, and broken records set aside.

A failure goes by itself when its job succeeds, or with --clear. No record that counts is touched.
"""

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from deepthink.app import streams
from deepthink.errors import UserError
from deepthink.files import at_home
from deepthink.installation import called
from deepthink.report import commands, experiments
from deepthink.report.words import printable
from deepthink.store import failures
from deepthink.store.failures import Failure


def main(words: Sequence[str]) -> None:
    """Print the failures, or clear them; UserError if that cannot be done."""
    parser = argparse.ArgumentParser(
        prog=f"{called()} failures",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    usual = experiments.own_results()
    parser.add_argument("results", nargs="?", help=f"the folder of results; {usual} if left out")
    parser.add_argument("--clear", action="store_true", help="delete what is listed")
    given = [word.removeprefix("results=") for word in words]
    options = parser.parse_args(given)
    results = Path(at_home(options.results)) if options.results else usual
    if not results.is_dir():
        raise UserError(f"{results} is no folder: {called()} failures FOLDER names another")
    if options.clear:
        _clear(results)
        return
    for failure in (found := failures.every(results)):
        tell(failure)
    for path in (aside := failures.set_aside(results)):
        streams.tell(f"set aside: {printable(path)} (its job was done again, or will be)")
    if not found and not aside:
        streams.tell(f"{results}: no failures")
        return
    streams.tell(
        f"{results}: {len(found)} failed, {len(aside)} files set aside; "
        f"{called()} failures {results} --clear deletes these files"
    )


def tell(failure: Failure) -> None:
    """Print which job failed, when and why, and the command that runs it again."""
    config = failure.config or {}
    when = f" ({failure.when})" if failure.when else ""
    streams.tell(f"{_name(failure)}{when}: {failure.reason}")
    typed = commands.words_for(config) if config else None
    if typed is None:
        streams.tell("  again: the command that it was part of")
    else:
        streams.tell(f"  again: {called()} {shlex.join(typed)}")
    streams.tell(f"  traceback: {printable(failure.path)}")


def _name(failure: Failure) -> str:
    """The job, by the folders and the name of its file."""
    *_, method, file = failure.path.parts
    task = failure.path.parts[failure.path.parts.index("failures") + 1 : -2]
    return " ".join([*map(str, task), method, file.rpartition("-")[0]])


def _clear(results: Path) -> None:
    try:
        gone = list(failures.clear_all(results))
    except OSError as error:
        raise UserError(f"{error.filename} cannot be deleted ({error.strerror})") from error
    streams.tell(f"{results}: {len(gone)} files deleted")
