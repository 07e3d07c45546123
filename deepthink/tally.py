"""What became of many jobs."""

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Tally:
    """Jobs done here, jobs found done and read, jobs that failed and the reasons, in one line each.

    A reason may stand for several jobs. unsent: results that Weights & Biases is to have and could
    not be given; the next command that reads their records sends them.
    """

    done: int = 0
    read: int = 0
    failed: int = 0
    reasons: tuple[str, ...] = field(default_factory=tuple)
    unsent: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.done + other.done,
            self.read + other.read,
            self.failed + other.failed,
            self.reasons + other.reasons,
            self.unsent + other.unsent,
        )

    @property
    def jobs(self) -> int:
        """All of them."""
        return self.done + self.read + self.failed

    def __str__(self) -> str:
        return f"{self.done} done, {self.read} read, {self.failed} failed"


def grouped(reasons: Iterable[str]) -> tuple[str, ...]:
    """What several are said to have in common, "a: …" and "b: …", told once: "a, b: …"."""
    names: dict[str, list[str]] = {}
    for reason in dict.fromkeys(reasons):
        name, colon, said = reason.partition(": ")
        whole = not colon or " " in name  # a sentence, not a name
        names.setdefault(reason if whole else said, []).extend([] if whole else [name])
    told = []
    for said, several in names.items():
        others = f" and {len(several) - 3} more" if len(several) > 3 else ""
        told.append(f"{', '.join(several[:3])}{others}: {said}" if several else said)
    return tuple(told)
