"""What a check found: where, what is wrong, and what to do about it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from deepthink.report.words import printable


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or that a reader of the numbers should know.

    path: relative to the folder of results. error: whether the folder fails because of it; a note
    changes no verdict.

    >>> print(Finding(Path("records/a.json"), "is cut", "run its job again"))
    error: records/a.json is cut: run its job again
    """

    path: Path
    wrong: str
    todo: str
    error: bool = True

    def __str__(self) -> str:
        kind = "error" if self.error else "note"
        return f"{kind}: {printable(self.path)} {self.wrong}: {self.todo}"


def notes(findings: Iterable[Finding]) -> Iterator[Finding]:
    """The same findings, none of which is an error."""
    return (replace(finding, error=False) for finding in findings)
