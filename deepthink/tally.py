"""What became of many jobs."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Tally:
    """Jobs done here, jobs found done and read, jobs that failed and the reasons, in one line each.

    A reason may stand for several jobs.
    """

    done: int = 0
    read: int = 0
    failed: int = 0
    reasons: tuple[str, ...] = field(default_factory=tuple)

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.done + other.done,
            self.read + other.read,
            self.failed + other.failed,
            self.reasons + other.reasons,
        )

    @property
    def jobs(self) -> int:
        """All of them."""
        return self.done + self.read + self.failed

    def __str__(self) -> str:
        return f"{self.done} done, {self.read} read, {self.failed} failed"
