"""Regenerate results/tables, results/figures and results/README.md from the stored records.

    make tables
    make tables ARGS="--results /elsewhere/results"

Reads and writes that folder alone: no model, no network, no torch. Same records, same bytes.
"""

import argparse
import sys
from pathlib import Path
from time import perf_counter

from rich.console import Console

from deepthink.errors import UserError
from deepthink.report import page
from deepthink.report.runs import Runs


def main() -> None:
    """Write everything and say what; exit code 1 with one line if that cannot be done."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=Path("results"), help="default: results")
    options = parser.parse_args()
    console, begin = Console(), perf_counter()
    try:
        with console.status("") as status:
            status.update("reading records")
            runs = Runs.load(options.results)
            writer = page.write(options.results, runs, lambda text: status.update(text))
    except UserError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        sys.exit(f"error: cannot write to {options.results} ({error.strerror or error})")
    kinds = sorted({path.suffix[1:] for path in writer.written})
    for path, why in runs.broken.items():
        console.print(f"left out: {options.results / path} {why}", highlight=False, soft_wrap=True)
    counts = ", ".join(f"{sum(p.suffix[1:] == k for p in writer.written)} {k}" for k in kinds)
    console.print(
        f"{len(writer.written)} files ({counts}) in {perf_counter() - begin:.0f} s; begin with "
        f"{options.results / 'README.md'}",
        highlight=False,
        soft_wrap=True,
    )


if __name__ == "__main__":
    main()
