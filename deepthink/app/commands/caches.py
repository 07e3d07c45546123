"""The caches on this machine: what each holds, how large it is, where it lies, how to move it.

--clear deletes those of this package, unless a process uses them. Records and results are in no
cache. What is deleted is made or fetched again when it is next needed.
"""

import argparse
from collections.abc import Sequence

from deepthink.app import caches, streams
from deepthink.installation import called


def main(words: Sequence[str]) -> None:
    """Print the caches, or clear those of this package; UserError if that cannot be done."""
    parser = argparse.ArgumentParser(
        prog=f"{called()} caches",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--clear", action="store_true", help="delete the caches of this package")
    parser.add_argument(
        "--only",
        choices=[name.split()[-1] for name in caches.OURS],
        help="with --clear: this one alone",
    )
    options = parser.parse_args(words)
    if options.only and not options.clear:
        parser.error("--only says what --clear deletes: add --clear")
    if options.clear:
        kinds = [name for name in caches.OURS if options.only in (None, name.split()[-1])]
        streams.tell(f"{_bytes(caches.clear(kinds))} freed ({', '.join(kinds)})")
        return
    for cache in caches.every():
        size = _bytes(cache.size) if cache.places else "empty"
        ours = "--clear deletes it" if cache.ours else "used by other programs too"
        streams.tell(f"{cache.name}: {size}, {cache.holds}")
        streams.tell(f"  in {cache.folder} ({cache.moved} names another place; {ours})")


def _bytes(size: int) -> str:
    """A size in words, such as "1.2 GB"."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:,.1f} {unit}"
    return f"{size} bytes"
