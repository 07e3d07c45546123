"""Keys, storage and readings of results."""

import dataclasses
import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
from made_records import made, put
from pydantic import ValidationError
from scipy.stats import binomtest

from deepthink.config.job import Config
from deepthink.config.overrides import compose, requested
from deepthink.errors import UserError
from deepthink.installation import CONF
from deepthink.report import experiments
from deepthink.settings import scored_steps
from deepthink.store import curves, records
from deepthink.store import identity as identities
from deepthink.store.curves import Hits, Point
from deepthink.store.identity import Identity
from deepthink.store.schema import SCHEMA, Record, parse


def key(*overrides: str) -> str:
    return identities.record_id(identities.identity(compose(overrides), "float32", "data"))


def test_keys_are_stable() -> None:
    """A key changes only on purpose: then raise PROTOCOL or a version, and these with it."""
    assert key() == "46beb221"
    assert key("method=vanilla", "task=trec", "seed=3") == "1513101f"
    assert key("model=gpt2-large", "task=sst2", "method.momentum=0.9") == "6477898b"
    assert key("method=graph_cut", "task=sst2") == "4627e00c"
    assert key("method=lens", "task=trec", "seed=1") == "a2c44e24"
    assert key("method=repeat", "demonstrations.labels=flipped") == "dcd6ebcb"


@pytest.mark.parametrize(
    "override",
    [
        "seed=1",
        "order=1",
        "task=mr",
        "model=gpt2-large",
        "method.step_size=0.1",
        "method.iterations=6",
        "method.momentum=0.9",
        "method.positions=aligned",
        "method.memory_dtype=model",
        "method.selector.balance=none",
        "demonstrations.count=4",
        "demonstrations.labels=flipped",
        "demonstrations.labels=random",
        "method.copies=2",
        "method.groups=2",
        "method.orders=2",
        "method.query=twice",
        "method.direction=channel",
        "method=graph_cut",
        "prompt.seam=joint",
        "prompt.overflow=truncate",
        "prompt.chat=true",
        "answer_score=mean",
        "task.template='Text: {text} Mood:'",
        "task.labels=[poor,fine]",
    ],
)
def test_what_can_change_a_number_changes_the_key(override: str) -> None:
    assert key(override) != key()


def leaves(value: Any, inside: str = "") -> dict[str, object]:
    """Every field of a config that is no dataclass itself, by its dotted name."""
    found: dict[str, object] = {}
    for field in dataclasses.fields(value):
        at, name = getattr(value, field.name), f"{inside}{field.name}"
        found |= leaves(at, f"{name}.") if dataclasses.is_dataclass(at) else {name: at}
    return found


MATTERS = {
    "model.hub_id": "model.hub_id=a/b",
    "model.revision": "model.revision=other",
    "model.package": "model.package=null",
    "model.dtype": "model.dtype=bfloat16",
    "task.name": "task.name=other",
    "task.version": "task.version=9",
    "task.template": "task.template='Text: {text} Mood:'",
    "task.labels": "task.labels=[poor,fine]",
    "task.demonstrations": "task.demonstrations=4",
    "task.answer": "task.answer=letter",
    "task.delimiter": "task.delimiter=''",
    "task.open": "task.open.generate=ends",
    "task.harness": "task.lm_eval=boolq",
    "method.selector": "method.selector.balance=none",
    "method.copies": "method.copies=2",
    "method.groups": "method.groups=2",
    "method.orders": "method.orders=2",
    "method.query": "method.query=twice",
    "method.direction": "method.direction=channel",
    "method.scored": "method.scored=ends",
    "method.iterations": "method.iterations=6",
    "method.step_size": "method.step_size=0.1",
    "method.momentum": "method.momentum=0.9",
    "method.positions": "method.positions=aligned",
    "method.memory_dtype": "method.memory_dtype=model",
    "demonstrations.count": "demonstrations.count=4",
    "demonstrations.labels": "demonstrations.labels=flipped",
    "prompt.seam": "prompt.seam=joint",
    "prompt.overflow": "prompt.overflow=error",
    "prompt.chat": "prompt.chat=true",
    "answer_score": "answer_score=mean",
    "calibration": "calibration=batch",
    "readings": "readings=[contextual]",
    "method.refinement": "method.refinement.name=gradient",
    "method.readout": "method.readout.name=knn_prompting",
    "seed": "seed=1",
    "order": "order=1",
}
"""Every field of a config that is in the identity, and an override that changes it."""


def test_every_field_of_a_config_is_in_the_identity_or_known_not_to_matter() -> None:
    """A new field is in none of the three until somebody decides where it belongs."""
    told = identities.THROUGH_DATA | identities.IRRELEVANT
    names = {"wandb" if name.startswith("wandb.") else name for name in leaves(compose([]))}
    assert names == {*MATTERS, *told}
    assert not set(MATTERS) & told
    assert not identities.THROUGH_DATA & identities.IRRELEVANT


@pytest.mark.parametrize("name", MATTERS)
def test_fields_of_the_identity_change_it_and_what_is_asked_for(name: str) -> None:
    base = ["task=mmlu", "task.members=[astronomy]"] if name == "task.answer" else []
    base += ["task=e2e"] if name == "task.open" else []
    base += ["task=lm_eval/arc_easy"] if name == "task.harness" else []
    base += [f"plugins={CONF.parent / 'examples' / 'plugins'}"] if "refinement" in name else []
    before, after = (requested(words).jobs[0] for words in (base, [*base, MATTERS[name]]))

    def identity(config: Config) -> Identity:
        return identities.identity(config, config.model.dtype, "data")

    assert identity(before) != identity(after)
    assert identities.request(before) != identities.request(after)


@pytest.mark.parametrize(
    ("override", "same"),
    [
        ("test_size=5", False),
        ("dev_size=5", False),
        ("pool_size=5", False),
        ("pool.overlap=keep", False),
        ("data_root=/elsewhere", True),
        ("results=elsewhere", True),
        ("force=true", True),
        ("device=cpu", True),
    ],
)
def test_what_is_asked_for_counts_sizes_and_not_where_data_lie(override: str, same: bool) -> None:
    assert (identities.request(compose([override])) == identities.request(compose([]))) is same


def test_a_family_is_an_identity_without_draw_place_and_steps() -> None:
    def family(*overrides: str, thinking: bool = True) -> dict[str, Any]:
        config = compose(overrides)
        return identities.family(identities.identity(config, "float32", "data"), thinking)

    same = ["seed=3", "order=2", "model=gpt2-large", "method.iterations=9", "method.scored=ends"]
    same += ["readings=[contextual]"]
    assert all(family(override) == family() for override in same)
    others = [MATTERS[n] for n in MATTERS if n.startswith(("task.", "prompt.", "demonstrations."))]
    others += ["answer_score=mean", "method.copies=2", "method.groups=2", "method=graph_cut"]
    others.remove(MATTERS["task.answer"])  # matters where rows have options of their own
    others.remove(MATTERS["task.open"])  # of open tasks
    others.remove(MATTERS["task.harness"])  # of lm-evaluation-harness's tasks
    assert all(family(override) != family() for override in others)
    how = [MATTERS[f"method.{n}"] for n in ("step_size", "momentum", "positions", "memory_dtype")]
    assert all(family(override) != family() for override in how)
    assert all(family(o, thinking=False) == family(thinking=False) for o in how)


@pytest.mark.parametrize(
    "override",
    [
        "token_budget=7",
        "device=cpu",
        "wandb.mode=online",
        "results=elsewhere",
        "force=true",
        "demonstrations.count=8",  # what the task says anyway
        "demonstrations.labels=gold",
        "pool_size=30",  # through the data's fingerprint only
    ],
)
def test_what_cannot_change_a_number_leaves_the_key(override: str) -> None:
    assert key(override) == key()


def test_only_what_is_not_scored_changes_the_key() -> None:
    assert key("method.scored=sparse") == key()  # of five steps all are scored
    assert key("method.scored=ends") != key()
    longer = [key("method.iterations=15", f"method.scored={s}") for s in ("all", "sparse", "ends")]
    assert len(set(longer)) == 3
    vanilla = key("method=vanilla")
    assert {key("method=vanilla", f"method.scored={s}") for s in ("sparse", "ends")} == {vanilla}


@pytest.mark.parametrize(
    ("scored", "iterations", "steps"),
    [
        ("all", 3, [1, 2, 3]),
        ("sparse", 15, [1, 2, 3, 4, 5, 7, 10, 15]),
        ("sparse", 6, [1, 2, 3, 4, 5, 6]),
        ("sparse", 40, [1, 2, 3, 4, 5, 7, 10, 15, 22, 33, 40]),
        ("ends", 9, [1, 9]),
        ("ends", 1, [1]),
        ("sparse", 1, [1]),
    ],
)
def test_scored_steps_by_hand(scored: str, iterations: int, steps: list[int]) -> None:
    assert scored_steps(scored, iterations) == steps


def test_settings_of_thinking_do_not_matter_for_vanilla() -> None:
    vanilla = key("method=vanilla")
    assert key("method=vanilla", "method.step_size=0.5", "method.positions=aligned") == vanilla
    assert key("method=deepthink", "method.iterations=1") == vanilla


def test_selectors_and_their_options_are_part_of_the_key() -> None:
    keys = {
        key(f"method={name}", *more)
        for name in ("graph_cut", "craig", "repeat", "random")
        for more in ((), ("method.iterations=5",))
    }
    assert len(keys) == 8
    assert key("method=vanilla", "method.iterations=5") == key("method=vanilla")
    assert key("method=graph_cut", "method.selector.lam=2") != key("method=graph_cut")
    assert key("method=random") == key("method=vanilla")
    assert key("method=deepthink_dev", "method.iterations=1") == key("method=best_random")


def test_data_and_dtype_are_part_of_the_key() -> None:
    config = compose([])
    ids = {
        identities.record_id(identities.identity(config, dtype, data))
        for dtype in ("float32", "bfloat16")
        for data in ("a", "b")
    }
    assert len(ids) == 4


@pytest.fixture
def stored(tmp_path: Path) -> tuple[Path, Record]:
    path = put(tmp_path, compose([]), {1: 3, 5: 4}, {1: 3, 5: 4}, unknown=(("note", "η"),))
    record = records.write(path, records.read(path), pd.DataFrame({"score": np.zeros(1)}))
    return path, record


def test_a_record_comes_back(stored: tuple[Path, Record], tmp_path: Path) -> None:
    path, record = stored
    assert records.read(path) == record
    assert records.load_all(tmp_path).records == [(path, record)]
    assert pd.read_parquet(path.with_suffix(".parquet"))["score"].tolist() == [0.0]
    assert sorted(p.suffix for p in path.parent.iterdir()) == [".json", ".parquet"]


def published() -> list[Path]:
    studies = (experiments.PUBLISHED, experiments.EARLIER)
    return sorted(p for s in studies for p in (CONF.parent / s / "records").rglob("*.json"))


def test_every_published_record_is_read_and_written_again_as_the_same_bytes() -> None:
    assert len(published()) > 1000
    for path in published():
        record = records.read(path)
        assert records.as_text(record) == path.read_text(encoding="utf-8"), path
        assert path.stem.endswith(identities.record_id(record.identity)), path


@pytest.mark.parametrize("place", [(), ("identity", "thinking"), ("data", "rows"), ("curve", 0)])
def test_what_another_version_wrote_is_kept(
    stored: tuple[Path, Record], place: tuple[int | str, ...]
) -> None:
    values = json.loads(records.as_text(stored[1]))
    del values["checksum"]
    part = values
    for key in place:
        part = part[key]
    part |= {"later": {"a": [1, None]}, "last": 0.5}
    assert parse(values).stored() == values


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("seconds", "think"), "0.5"),
        (("demonstrations", "truncated"), 0),
        (("curve", 0, "correct"), 3.0),
        (("curve", 0, "split"), "train"),
        (("identity", "task", "labels"), "negative"),
        (("step_by_dev",), True),
        (("config", "pool", "overlap"), None),
        (("unknown",), {"a": 1}),
    ],
)
def test_a_value_of_another_kind_is_no_record(
    stored: tuple[Path, Record], place: tuple[int | str, ...], value: Any
) -> None:
    values = json.loads(records.as_text(stored[1]))
    part = values
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    with pytest.raises(ValidationError):
        parse(values)


def test_what_was_added_later_is_not_written_back(stored: tuple[Path, Record]) -> None:
    """An old record has no ties, no overlap and no notes; that it has none is said of it."""
    record = stored[1]
    assert {point.ties for point in record.curve} == {None}
    assert (record.data.overlap, record.data.told, record.tokens.beginnings) == (None, None, 0)
    text = records.as_text(record)
    assert not {"ties", "overlap", "told", "beginnings"} & {*json.loads(text)["data"]}
    values = json.loads(text)
    del values["checksum"], values["config"]["pool"]
    old = parse(values)
    assert old.config.pool.overlap == "keep"
    assert old.stored() == values


def test_every_field_of_a_record_is_explained_in_the_docs() -> None:
    page = runpy.run_path(str(CONF.parent / "scripts" / "schema.py"))
    assert page["PAGE"].read_text(encoding="utf-8") == page["page"](), "python scripts/schema.py"


def test_an_edited_record_is_refused(stored: tuple[Path, Record]) -> None:
    path, _ = stored
    path.write_text(json.dumps({**json.loads(path.read_text()), "curve": [1]}))
    with pytest.raises(UserError, match="changed after"):
        records.read(path)


@pytest.mark.parametrize("text", ['{"checksum": "\\ud800", "schema": "\\ud800"}', "[" * 10_000])
def test_a_file_that_no_program_here_wrote_does_not_count(tmp_path: Path, text: str) -> None:
    path = tmp_path / "records" / "seed0-00000000.json"
    path.parent.mkdir()
    head = '{"checksum": "", "schema": 2, "identity": {"protocol": 1}, "x": "\\ud800"}'
    path.write_text(head if "ud800" in text else text)
    assert records.load_all(tmp_path).broken == {path: "is not a complete record"}


def test_a_record_cut_anywhere_is_refused_and_does_not_count(
    stored: tuple[Path, Record], tmp_path: Path
) -> None:
    path, _ = stored
    text = path.read_bytes()
    ends = np.random.default_rng(0).choice(len(text) - 1, 50, replace=False)
    for end in (0, *map(int, ends), len(text) - 2):  # the last byte is a line's end
        path.write_bytes(text[:end])
        with pytest.raises(records.BrokenRecord, match=f"^{path} is not a complete record$"):
            records.read(path)
        found = records.load_all(tmp_path)
        assert (found.records, found.broken) == ([], {path: "is not a complete record"})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schema": SCHEMA + 1}, "has schema 3, this version reads 2"),
        ({"schema": 1}, "has schema 1, this version reads 2"),
        ({"curve": [1]}, "was changed after it was written"),
    ],
)
def test_records_of_other_versions_do_not_count(
    stored: tuple[Path, Record], tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    path, _ = stored
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert records.load_all(tmp_path).broken == {path: reason}


def test_records_of_another_protocol_do_not_count(
    stored: tuple[Path, Record], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path, _ = stored
    monkeypatch.setattr(records, "protocol_of", lambda dtype: 9)
    assert records.load_all(tmp_path).broken == {path: "has protocol 1, this version reads 9"}


def test_what_is_set_aside_is_kept(stored: tuple[Path, Record]) -> None:
    path, _ = stored
    text = path.read_text()
    first = records.set_aside(path)
    path.write_text("later")
    second = records.set_aside(path)
    assert (first.read_text(), second.read_text()) == (text, "later")
    assert first.with_name(f"{first.name}.parquet").exists()
    assert not path.exists()


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = dataclasses.replace(compose([]), results=str(tmp_path))
    record = made(config, {1: 3})
    path = records.path_of(config, record.identity)

    def full(*_args: object, **_kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(path), "write_text", full)
    with pytest.raises(UserError, match="No space left"):
        records.write(path, record, pd.DataFrame({"score": [0.5]}))
    assert not path.exists()
    assert not list(path.parent.glob(".*"))


def point(step: int, split: Literal["dev", "test"], correct: int) -> Point:
    return Point(step=step, split=split, correct=correct, count=10, predicted=" ".join("0" * 10))


CURVE = [
    *(point(step, "dev", correct) for step, correct in enumerate([5, 8, 8], start=1)),
    *(point(step, "test", correct) for step, correct in enumerate([4, 6, 9], start=1)),
]


def test_dev_chooses_the_earliest_best_step() -> None:
    assert curves.by_dev(CURVE) == point(2, "test", 6)
    assert curves.by_dev([p for p in CURVE if p.split == "test"]) is None


def points(*pairs: tuple[int, int]) -> list[Hits]:
    return [Hits(hits, n) for hits, n in pairs]


def test_the_oracle_is_the_earliest_best_on_test() -> None:
    assert curves.oracle(CURVE).step == 3
    assert curves.oracle([point(t, "test", 4) for t in (2, 1, 3)]).step == 1


def test_averages_by_hand() -> None:
    several = points((1, 2), (90, 100))
    assert curves.micro(several)[0] == pytest.approx(91 / 102)
    assert curves.macro(several)[0] == pytest.approx(0.7)
    for average in (curves.micro, curves.macro):
        assert average(points((5, 10))) == pytest.approx(curves.accuracy(Hits(5, 10)))
    # each half of ten varies by 0.25 / 9, so their mean by 0.25 / 18
    assert curves.macro(points((5, 10), (5, 10))) == pytest.approx(curves.wilson(0.5, 18))
    assert curves.macro(points((9, 9), (4, 4))) == pytest.approx(curves.wilson(1.0, 13))


@pytest.mark.parametrize("average", [curves.micro, curves.macro])
def test_intervals_of_averages_hold_the_truth_as_often_as_they_say(
    average: Callable[..., Any],
) -> None:
    """22 tasks of 5 to 40 questions whose true accuracies differ."""
    rng = np.random.default_rng(0)
    counts, truths = rng.integers(5, 40, 22), rng.uniform(0.1, 0.7, 22)
    truth = np.average(truths, weights=counts if average is curves.micro else None)
    held = 0
    for _ in range(1000):
        drawn = points(*zip(rng.binomial(counts, truths).tolist(), counts.tolist(), strict=True))
        _, low, high = average(drawn)
        held += low <= truth <= high
    assert 0.94 <= held / 1000 <= 0.98  # pooling ignores that the tasks differ: a little wide


def test_intervals_by_hand() -> None:
    # Wilson for 5 of 10 at z = 1.96: 0.5 ± 0.2634
    share, low, high = curves.accuracy(Hits(5, 10))
    assert share == 0.5
    assert low == pytest.approx(0.2366, abs=1e-4)
    assert high == pytest.approx(0.7634, abs=1e-4)


@pytest.mark.parametrize(("correct", "count"), [(0, 10), (10, 10), (1, 3), (371, 1534)])
def test_intervals_are_wilsons(correct: int, count: int) -> None:
    _, low, high = curves.accuracy(Hits(correct, count))
    expected = binomtest(correct, count).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)
