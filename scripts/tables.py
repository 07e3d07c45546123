"""Regenerate tables, figures and README.md of a results folder from the records in it.

    make tables
    make tables ARGS="--results elsewhere"

Without a folder: of the published study in results, and of results/local if it has runs of an
experiment. Reads and writes these folders alone: no model, no network. Same records, same bytes.
"""

import argparse
import sys
from pathlib import Path
from time import perf_counter


def main() -> None:
    """Write everything and say what; exit code 1 with one line if that cannot be done."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, help="the folder that results= of run.py named")
    options = parser.parse_args()
    sys.stdout.reconfigure(errors="replace")
    try:
        from deepthink.app import streams

        redraw(options.results)
        sys.stdout.flush()
    except BrokenPipeError:  # nobody reads what is said: the files are written all the same
        streams.abandon()
    except KeyboardInterrupt:
        sys.exit("interrupted: the same command starts again")


def redraw(asked: Path | None) -> None:
    """Redraw the folder that was asked for, or the published study and one's own."""
    from deepthink.errors import UserError
    from deepthink.files import at_home
    from deepthink.report import experiments, page

    try:
        if asked is not None:
            asked = Path(at_home(str(asked)))
            if not (asked / "records").is_dir():
                raise UserError(f"{asked} has no records: run.py results={asked} makes some")
            write(asked)
        else:
            write(experiments.PUBLISHED)
            if page.load(own := experiments.own_results()).all:
                write(own)
    except UserError as error:
        sys.exit(f"error: {error}")


def write(results: Path) -> None:
    """Redraw one folder; an exit with one line if it cannot be written."""
    from rich.console import Console

    from deepthink.report import page, words

    console, begin = Console(), perf_counter()
    try:
        with console.status("") as status:
            status.update("reading records")
            runs = page.load(results)
            writer = page.write(results, runs, lambda text: status.update(text))
    except BrokenPipeError:
        raise
    except OSError as error:
        sys.exit(f"error: cannot write to {results} ({error.strerror or error})")
    kinds = sorted({path.suffix[1:] for path in writer.written})
    for path, why in runs.broken.items():
        print(f"left out: {words.printable(results / path)} {why}")
    counts = ", ".join(f"{sum(p.suffix[1:] == k for p in writer.written)} {k}" for k in kinds)
    print(
        f"{len(writer.written)} files ({counts}) in {perf_counter() - begin:.0f} s; begin with "
        f"{results / 'README.md'}"
    )


if __name__ == "__main__":
    main()
