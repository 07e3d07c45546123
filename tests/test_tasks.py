"""Reading, splitting and subsetting data."""

from pathlib import Path

import numpy as np
import pytest

from deepthink.config.overrides import compose
from deepthink.config.tasks import TaskSpec
from deepthink.errors import UserError
from deepthink.tasks.sources import fingerprint, load, read
from deepthink.tasks.splitting import stratified_order

TASKS = ["sst2", "sst5", "trec", "mr", "agnews"]
# where the mirror holds less than the hub: SST2's training phrases, most of AG News
PARTIAL = {("sst2", "pool"), ("agnews", "pool"), ("agnews", "test")}


def spec(name: str) -> TaskSpec:
    return compose([f"task={name}"]).task


@pytest.mark.parametrize("split", ["pool", "test"])
@pytest.mark.parametrize("name", TASKS)
def test_counts_of_table_4(name: str, split: str, mirror: Path) -> None:
    if (name, split) in PARTIAL:
        pytest.skip(f"the mirror holds only part of {name}'s {split} split")
    assert len(getattr(read(spec(name), str(mirror)), split)) == spec(name).rows[split]


@pytest.mark.parametrize("name", TASKS)
def test_every_label_occurs(name: str, mirror: Path) -> None:
    source = read(spec(name), str(mirror))
    for examples in (source.pool, source.test):
        assert {e.label for e in examples} == set(range(len(spec(name).labels)))


def test_trec_sources_agree(mirror: Path) -> None:
    """The label words are mapped by name in one source and by number in the other."""
    task = spec("trec")
    first, second = (
        read(TaskSpec(**{**vars(task), "sources": [source]}), str(mirror))
        for source in task.sources
    )
    assert first.test == second.test
    assert first.repository != second.repository


def test_the_bundled_task_is_balanced_and_whole() -> None:
    task = spec("verdicts")
    source = read(task, None)
    for name, examples in (("pool", source.pool), ("test", source.test)):
        assert len(examples) == task.rows[name]
        assert np.bincount([e.label for e in examples]).tolist() == [len(examples) // 2] * 2
    texts = [e.text for split in (source.pool, source.test) for e in split]
    assert len(set(texts)) == len(texts)


def test_splits_are_disjoint_and_fixed(data_root: Path) -> None:
    splits = load(spec("sst2"), str(data_root))
    pool, dev, test = ({e.text for e in s} for s in (splits.pool, splits.dev, splits.test))
    assert len(dev) == len(test) == 24
    assert len(pool) == 36
    assert not pool & dev
    assert splits == load(spec("sst2"), str(data_root))


def test_sizes_change_neither_pool_nor_the_beginning(data_root: Path) -> None:
    task, root = spec("sst2"), str(data_root)
    full, half, few = (load(task, root, n) for n in (None, 12, 6))
    assert full.pool == half.pool == few.pool
    assert set(few.test) < set(half.test) < set(full.test)
    assert set(few.dev) < set(half.dev) < set(full.dev)
    assert load(task, root, 6, dev_size=0).dev == ()
    assert fingerprint(half, task) != fingerprint(few, task)


def test_subsets_are_stratified() -> None:
    labels = [0] * 90 + [1] * 30
    order = stratified_order(labels, np.random.default_rng(0))
    assert sorted(order) == list(range(120))
    for size in (4, 20, 41, 100):
        ones = sum(labels[i] for i in order[:size])
        assert abs(ones - size / 4) <= 1


def test_texts_are_stripped_and_labels_checked(data_root: Path) -> None:
    file = data_root / "stanfordnlp" / "sst2" / "validation.jsonl"
    file.write_text('{"idx": 0, "sentence": "  fine ", "label": 1}\n')
    assert read(spec("sst2"), str(data_root)).test[0].text == "fine"
    file.write_text('{"idx": 0, "sentence": "fine", "label": -1}\n')
    with pytest.raises(UserError, match="-1"):
        read(spec("sst2"), str(data_root))
