"""Files: what is no record, is there twice, or does not belong to a folder of records."""

import os
from collections.abc import Iterator
from pathlib import Path

from deepthink.errors import UserError
from deepthink.report.checking.findings import Finding
from deepthink.report.runs import Run, Runs
from deepthink.store import records, scores
from deepthink.store.identity import digest
from deepthink.store.schema import Record

_BROKEN = "put back the file that was written, or delete this one and run its job again"


def check(results: Path, runs: Runs) -> Iterator[Finding]:
    """Everything under `records` that is no record or no file of scores, in the order of paths."""
    first = {digest(run.record.identity.stored()): run for run in (*runs.all, *runs.open)}
    for path, why in runs.broken.items():
        try:
            record = records.read(results / path)
        except UserError:
            yield Finding(path, why, _BROKEN)
        else:  # it is whole, so another record has its identity
            yield _twin(path, record, first[digest(record.identity.stored())])
    known = {run.path for run in first.values()} | {*runs.broken}
    yield from _others(results, known)


def _twin(path: Path, record: Record, other: Run) -> Finding:
    if (record.curve, record.open) == (other.record.curve, other.record.open):
        todo = "delete one of the two"
        return Finding(path, f"is a copy of {other.path}, with equal numbers", todo, error=False)
    wrong = f"is a second record of the job of {other.path}, with other numbers"
    return Finding(path, wrong, "find out which of the two is right, and delete the other")


def _others(results: Path, known: set[Path]) -> Iterator[Finding]:
    for parent, folders, files in os.walk(results / "records"):
        folders.sort()
        for name in sorted((*folders, *files)):
            path = Path(parent, name)
            place = path.relative_to(results)
            if path.is_symlink():
                todo = "put the files themselves there"
                yield Finding(place, "is a link, and may lead elsewhere in a copy", todo, False)
            elif name in folders or place in known:
                continue
            elif path.suffix == ".parquet" and ".json.broken" not in name:
                if scores.place(place).with_suffix(".json") not in known:
                    yield Finding(
                        place, "holds scores of no record", "add the record, or delete it"
                    )
            elif ".json.broken" in name:
                yield Finding(place, "was set aside as broken", "delete it", error=False)
            else:
                todo = "move it out of the folder of records"
                yield Finding(place, "is no file of this program", todo, error=False)
