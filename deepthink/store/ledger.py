"""Which records were sent to Weights & Biases: one file, a line for each.

    results/sent                             <checksum of the record> <its path in results>

A line is added once the run was sent. A record that was made to be sent and has no line is still to
be sent; so is one that was made anew, since its checksum is another one.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from deepthink.files import append


def sent(results: Path) -> set[str]:
    """The checksums of the records that were sent; OSError as it comes."""
    path = _ledger(results)
    if not path.is_file():
        return set()
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return {line.partition(" ")[0] for line in lines}


@contextmanager
def noting(results: Path, records: Mapping[str, Path]) -> Iterator[None]:
    """Note records as sent, paths by checksum, unless what is done meanwhile raises.

    Raises OSError before anything is done if the file cannot be written: what could not be noted is
    not sent, and so not sent twice.
    """
    path = _ledger(results)
    if path.exists() and not path.is_file():  # to open a pipe would wait for its reader
        raise FileExistsError(None, "is in the way, and no file", str(path))
    lines = [f"{checksum} {place.relative_to(results)}\n" for checksum, place in records.items()]
    path.open("ab").close()
    yield
    append(path, "".join(lines).encode(errors="backslashreplace"))


def _ledger(results: Path) -> Path:
    return results / "sent"
