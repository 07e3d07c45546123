"""Regenerate tables, figures and README.md of a results folder from the records in it.

Without --results, the folders are results, which holds the published study, results/small-pools,
which holds the one before it, and results/local if it has runs. No model is loaded and no network
is used. The same records always give the same bytes.
"""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

from deepthink.app import terminal
from deepthink.app.progress_bar import watching
from deepthink.errors import UserError
from deepthink.files import at_home
from deepthink.installation import called
from deepthink.report import experiments, page
from deepthink.report.words import printable


def main(words: Sequence[str]) -> None:
    """Redraw the folders and print what was written; UserError if that cannot be done."""
    for results in folders(named_folder("tables", __doc__, words)):
        redraw(results)


def named_folder(command: str, about: str, words: Sequence[str]) -> Path | None:
    """The folder of results that the words of a command name; None if they name none."""
    parser = argparse.ArgumentParser(
        prog=f"{called()} {command}",
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    help = "the folder that results= of a job named; results=RESULTS is the same"
    parser.add_argument("--results", type=Path, help=help)
    flags = [f"--{word}" if word.startswith("results=") else word for word in words]
    named: Path | None = parser.parse_args(flags).results
    return named


@contextmanager
def writing(results: Path) -> Iterator[None]:
    """Turn the error of a folder that cannot be written into one line for the user."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UserError(f"cannot write to {results} ({error.strerror or error})") from error


def folder(named: Path | None) -> Path:
    """The folder that was named, else the published study's, else the user's.

    Raises:
        UserError: it has no records.
    """
    if named is not None:
        named = Path(at_home(str(named)))
        if not _has_records(named):
            raise UserError(f"{named} has no records: {called()} results={named} makes some")
        return named
    published, local = experiments.PUBLISHED, experiments.own_results()
    for found in (published, local):
        if _has_records(found):
            return found
    raise UserError(
        f"neither {published} nor {local} has records: {called()} makes some, "
        "--results names another folder"
    )


def folders(named: Path | None) -> list[Path]:
    """The folders to redraw: the one that was named, else the published studies' and the user's.

    The user's is left out if it has no runs, unless no study is published.

    Raises:
        UserError: no folder has records.
    """
    first = folder(named)
    if named is not None or first != experiments.PUBLISHED:
        return [first]
    earlier = [experiments.EARLIER] if _has_records(experiments.EARLIER) else []
    local = experiments.own_results()
    return [first, *earlier, *([local] if page.load(local).all else [])]


def _has_records(folder: Path) -> bool:
    return (folder / "records").is_dir()


def redraw(results: Path) -> None:
    """Redraw one folder; UserError if it cannot be written."""
    begin = perf_counter()
    with writing(results), watching(terminal.console()) as watch:
        watch.stage("reading records")
        runs = page.load(results)
        writer = page.write(results, runs, watch.stage)
    kinds = sorted({path.suffix[1:] for path in writer.written})
    for path, why in runs.broken.items():
        print(f"left out: {printable(results / path)} {why}")
    counts = ", ".join(f"{sum(p.suffix[1:] == k for p in writer.written)} {k}" for k in kinds)
    print(
        f"{len(writer.written)} files ({counts}) in {perf_counter() - begin:.0f} s; begin with "
        f"{results / 'README.md'}"
    )
