"""Rows that stand in two splits: what would show a question with its answer before it is asked."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from unicodedata import normalize

from deepthink.config.tasks import TaskSpec
from deepthink.errors import UserError
from deepthink.structures import Example, Source


@dataclass(frozen=True)
class Overlap:
    """Rows by index whose text is in another split too.

    pool: those that may be demonstrations, of which `of_dev` are only in dev; dev: those also in
    test; test: those that are given demonstrations.
    """

    pool: frozenset[int]
    of_dev: frozenset[int]
    dev: frozenset[int]
    test: frozenset[int]

    @property
    def counts(self) -> dict[str, int]:
        """What a record says of them."""
        return {
            "test": len(self.pool - self.of_dev) + len(self.test),
            "dev": len(self.of_dev),
            "dev_in_test": len(self.dev),
        }

    def told(self, overlap: str) -> Iterator[str]:
        """What a reader of the output should know, a line each."""
        done = "left out" if overlap == "drop" else "kept (pool.overlap=keep)"
        if self.pool:
            yield (
                f"pool rows whose text is also in test ({self.counts['test']}) or in dev "
                f"({self.counts['dev']}): {done}"
            )
        if self.dev:
            yield f"dev rows whose text is also in test ({len(self.dev)}): {done}"
        if self.test:
            yield f"test rows that are also demonstrations ({len(self.test)}): {done}"


def find(source: Source, free: Sequence[int], aside: Sequence[int], task: TaskSpec) -> Overlap:
    """The rows to tell of: among those free to be pool, those set aside for dev, and the test's.

    Raises:
        UserError: a pool that holds nothing but test rows.
    """
    own = not task.labels
    pool, test = ([_essence(e, own) for e in part] for part in (source.pool, source.test))
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


def _essence(example: Example, own: bool) -> tuple[str, ...]:
    """What makes two examples one: the words, and its own options, whatever case and spaces.

    Nor does it matter how Unicode writes a letter: "é" is one character or two.
    """
    parts = (example.text, *(example.candidates if own else ()))
    return tuple(" ".join(normalize("NFKC", part).casefold().split()) for part in parts)
