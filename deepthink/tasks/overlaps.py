"""Rows that are in two splits, so that a demonstration would show a test question's answer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from unicodedata import normalize

from deepthink.config.tasks import TaskSpec
from deepthink.errors import UserError
from deepthink.structures import Example, Source


@dataclass(frozen=True)
class Overlap:
    """The indices of rows whose text is in another split too.

    pool: rows that may be demonstrations and are also in test or dev; of_dev: those of them that
    are in dev but not in test; dev: dev rows that are also in test; test: test rows that are also
    given demonstrations.
    """

    pool: frozenset[int]
    of_dev: frozenset[int]
    dev: frozenset[int]
    test: frozenset[int]

    @property
    def counts(self) -> dict[str, int]:
        """How many rows there are of each kind, as a record stores them."""
        return {
            "test": len(self.pool - self.of_dev) + len(self.test),
            "dev": len(self.of_dev),
            "dev_in_test": len(self.dev),
        }

    def told(self, overlap: str) -> Iterator[str]:
        """Lines for whoever reads the output, one for each kind of overlap."""
        action = "left out" if overlap == "drop" else "kept (pool.overlap=keep)"
        if self.pool:
            yield (
                f"pool rows whose text is also in test ({self.counts['test']}) or in dev "
                f"({self.counts['dev']}): {action}"
            )
        if self.dev:
            yield f"dev rows whose text is also in test ({len(self.dev)}): {action}"
        if self.test:
            yield f"test rows that are also demonstrations ({len(self.test)}): {action}"


def find(source: Source, free: Sequence[int], aside: Sequence[int], task: TaskSpec) -> Overlap:
    """Find the rows of two splits.

    free: indices of the training rows that may be demonstrations; aside: of those set aside for
    dev.

    Raises:
        UserError: a pool that holds nothing but test rows.
    """
    with_options = not task.labels and not task.open
    pool, test = ([_essence(e, with_options) for e in part] for part in (source.pool, source.test))
    if task.given:
        shown = set(pool)
        seen = frozenset(i for i, text in enumerate(test) if text in shown)
        return Overlap(frozenset(), frozenset(), frozenset(), seen)
    tested, set_aside = set(test), {pool[i] for i in aside}
    if set(pool) <= tested:
        raise UserError(
            f"{task.name}: all {len(pool)} pool rows of {source.repository} are test rows: "
            "demonstrations would show the test set's labels, choose another split as pool"
        )
    in_test = frozenset(i for i in free if pool[i] in tested)
    in_dev = frozenset(i for i in free if pool[i] in set_aside) - in_test
    dev = frozenset(i for i in aside if pool[i] in tested)
    return Overlap(in_test | in_dev, in_dev, dev, frozenset())


def _essence(example: Example, with_options: bool) -> tuple[str, ...]:
    """Equal for two examples of the same words, and the same options where they have their own.

    Case, spaces and the way in which Unicode writes a letter ("é" as one character or two) are
    ignored.
    """
    parts = (example.text, *(example.candidates if with_options else ()))
    return tuple(" ".join(normalize("NFKC", part).casefold().split()) for part in parts)
