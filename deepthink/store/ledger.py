"""Which records were sent to Weights & Biases: one file, with a line for each record.

    results/sent                             <checksum of the record> <its path in results>

A line is added after the run was sent. A record without a line that was made with W&B on remains
to be sent. So does a record that was made again, since its checksum is new.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from deepthink.files import append


def sent(results: Path) -> set[str]:
    """The checksums of the records that were sent; OSError if the file cannot be read."""
    path = _ledger(results)
    if not path.is_file():
        return set()
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return {line.partition(" ")[0] for line in lines}


@contextmanager
def noting(results: Path, records: Mapping[str, Path]) -> Iterator[None]:
    """Note records as sent when the block ends without an error.

    records: checksum → path.

    Raises:
        OSError: the file cannot be written. It is raised before the block runs, so that nothing is
            sent that could not be noted, and nothing is sent twice.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     results = Path(folder)
    ...     with noting(results, {"d17b": results / "records" / "seed0.json"}):
    ...         pass  # send it
    ...     sent(results)
    {'d17b'}
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
