"""How a source's rows are divided into pool, dev and test, with one seed for all jobs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from deepthink.config.tasks import TaskSpec
from deepthink.errors import UserError
from deepthink.structures import Example, Source, Splits
from deepthink.tasks import overlaps

_SEED = 20240811


@dataclass(frozen=True)
class _Part:
    """The rows that a split may have, before it is cut to its size."""

    name: str
    size: int | None
    rows: Sequence[int]
    what: str
    may_be_empty: bool = False

    def check(self, task: TaskSpec) -> None:
        """Raise UserError for fewer rows than the size asks for, or for none."""
        if not self.rows and not self.may_be_empty:
            raise UserError(
                f"{task.name} has no {self.what} whose text is not in another split too: choose "
                "other splits, or keep them with pool.overlap=keep"
            )
        if self.size is not None and self.size > len(self.rows):
            raise UserError(
                f"{self.name}_size is {self.size}, but {task.name} has {len(self.rows)} {self.what}"
            )


def divide(
    source: Source,
    task: TaskSpec,
    test_size: int | None = None,
    dev_size: int | None = None,
    pool_size: int | None = None,
    overlap: str = "drop",
) -> Splits:
    """The source's rows as splits; `sources.load` says by which rules.

    Raises:
        UserError: fewer rows than a size asks for, or a test split or a pool without any.
    """
    pool, test = source.pool, source.test
    order, tested = _order(pool), _order(test)
    reserved = 0 if task.given or task.open else min(len(test), len(pool) // 2)
    free, aside = order[reserved:], order[:reserved]
    overlapping = overlaps.find(source, free, aside, task)
    if overlap == "drop":
        free = [i for i in free if i not in overlapping.pool]
        aside = [i for i in aside if i not in overlapping.dev]
        tested = [i for i in tested if i not in overlapping.test]
    _Part("test", test_size, tested, "test examples").check(task)
    _Part("pool", pool_size, free, "examples to choose from").check(task)
    _Part("dev", dev_size, aside, "dev examples", may_be_empty=True).check(task)
    wanted = len(tested[:test_size]) if dev_size is None else dev_size
    splits = Splits(
        pool=tuple(pool[i] for i in sorted(free[:pool_size])),
        dev=tuple(pool[i] for i in sorted(aside[:wanted])),
        test=tuple(test[i] for i in sorted(tested[:test_size])),
        repository=source.repository,
        commit=source.commit,
        read_rows={"pool": len(pool), "test": len(test)},
        left_out=source.left_out,
        overlap=overlapping.counts,
    )
    told = (*source.told, *overlapping.told(overlap), *_told_of_classes(splits, task))
    return replace(splits, told=told)


def _order(examples: Sequence[Example]) -> list[int]:
    return stratified_order([e.label for e in examples], np.random.default_rng(_SEED))


def stratified_order(labels: Sequence[int], rng: np.random.Generator) -> list[int]:
    """A shuffled order in which every beginning holds the classes in nearly their proportions.

    >>> stratified_order([0, 0, 0, 1, 1, 1], np.random.default_rng(0))
    [3, 2, 5, 0, 4, 1]
    """
    shuffled = rng.permutation(len(labels))
    totals = np.bincount(labels)
    seen = np.zeros_like(totals)
    keys = np.empty(len(labels))
    for place, index in enumerate(shuffled):
        label = labels[index]
        keys[place] = (seen[label] + 0.5) / totals[label]
        seen[label] += 1
    return [int(i) for i in shuffled[np.argsort(keys, kind="stable")]]


def _told_of_classes(splits: Splits, task: TaskSpec) -> Iterator[str]:
    """A line for each split of a single class, and for classes that no pool row has."""
    for name in () if task.open else ("pool", "dev", "test"):
        examples: tuple[Example, ...] = getattr(splits, name)
        labels = {example.label for example in examples}
        lacking = [word for label, word in enumerate(task.labels) if label not in labels]
        if len(labels) == 1 and len(examples) > 1:
            (label,) = labels
            answer = f"the label {task.labels[label]}" if task.labels else f"option {label + 1}"
            yield f"the right answer of all {len(examples)} {name} rows is {answer}"
        elif name == "pool" and lacking:
            yield f"no pool row has the label {', '.join(lacking)}"
