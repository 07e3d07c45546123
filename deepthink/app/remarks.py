"""Lines that say what a user should know of a result besides its numbers."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from deepthink.app.journals import grouped
from deepthink.config.job import Config
from deepthink.config.models import named_model
from deepthink.store import curves
from deepthink.store.identity import Identity
from deepthink.store.schema import Record
from deepthink.store.settings import ModelSetting
from deepthink.study.requests import Results


def method(key: Identity) -> str:
    """How many demonstrations were shown, and how the memory was refined, in a few words."""
    thinking = key.thinking
    parts = [f"{key.demonstrations} demonstrations"]
    if key.copies > 1:
        parts.append(f"{key.copies} times over")
    if key.orders > 1:
        parts.append(f"in {key.orders} orders")
    if key.query == "twice":
        parts.append("queries twice")
    if key.direction == "channel":
        parts.append("texts scored behind labels")
    if key.groups > 1:
        parts.append(f"in {key.groups} groups")
    if key.prompt.chat:
        parts.append("as a chat")
    if key.labels != "gold":
        parts.append(f"{key.labels} labels")
    if thinking.refinement:
        parts.append(_options(thinking.refinement))
    elif thinking.iterations > 1:
        momentum = f", β {thinking.momentum:g}" if thinking.momentum else ""
        parts.append(f"η {thinking.step_size:g}{momentum}, {thinking.positions} positions")
    if key.readout:
        parts.append(f"read out by {_options(key.readout)}")
    if key.calibration:
        parts.append(f"scores corrected by {_options(key.calibration)}")
    return ", ".join(parts)


def _options(named: Mapping[str, Any]) -> str:
    """A refinement, readout or calibration with its options, and the digest of a plugin's file."""
    options = [f"{key} {value}" for key, value in named.items() if key not in ("name", "source")]
    options += [f"file {named['source'][:8]}"] if "source" in named else []
    return f"{named['name']} ({', '.join(options)})" if options else str(named["name"])


def of_job(record: Record) -> Iterator[str]:
    """Lines on what was unusual about a job, and the t that is best on dev."""
    shots, data = record.demonstrations, record.data
    yield from _another_model(record.config.model)
    chosen = curves.by_dev(record.curve)
    if chosen is not None and record.identity.thinking.iterations > 1:
        yield f"t chosen on dev: {chosen.step}, test accuracy {chosen.accuracy:.1%}"
    if shots.dropped:
        queries = "some queries" if shots.groups else "every query"
        first = "the first" if record.identity.groups == 1 else "at the front of their groups,"
        if record.identity.orders > 1:
            queries = "some queries or orders"
        yield (
            f"the context holds {shots.kept} of {shots.kept + shots.dropped} demonstrations at 2L "
            f"positions: {first} {shots.dropped} were dropped for {queries}"
        )
    if shots.truncated:
        yield f"the demonstrations were cut to their last {shots.tokens} tokens"
    if shots.copies < (copies := record.identity.copies):
        yield f"the context holds {shots.copies} of {copies} copies of the demonstrations"
    yield from _answers([record])
    if (read := data.read_rows) != (published := data.published_rows):
        yield (
            f"the data read has {read.pool:,} training and {read.test:,} test rows, the "
            f"published set {published.pool:,} and {published.test:,}"
        )
    yield from data.told or ()


def of_suite(jobs: Sequence[Config], results: Results) -> Iterator[str]:
    """Lines on what was unusual about a suite's members."""
    records = [outcome.record for outcome in results.outcomes.values()]
    if results.failures:
        yield (
            f"{len(records)} of {len(jobs)} members have a result; averages over a missing one are "
            "missing"
        )
    shots = [record.demonstrations for record in records]
    if fewer := sum(shot.dropped > 0 or shot.truncated for shot in shots):
        yield (
            f"at 2L positions the context does not hold all demonstrations of {fewer} "
            f"member{'s' * (fewer > 1)}: the first were dropped for every query"
        )
    if left_out := sum(record.data.left_out for record in records):
        plural = "s" * (left_out > 1)
        yield f"left out for an unusual number of options: {left_out:,} test row{plural}"
    other = [r for r in records if r.data.read_rows != r.data.published_rows]
    if other:
        names = ", ".join(record.identity.task.name for record in other)
        yield f"the data read differ in size from the published set: {names}"
    yield from grouped(
        f"{record.identity.task.name.rpartition('/')[2]}: {line}"
        for record in records
        for line in record.data.told or ()
    )
    if records:
        yield from _another_model(records[0].config.model)
        yield from _answers(records)
    job = jobs[0]
    if (seed := job.seed) != job.draw:
        how = "given" if job.task.given else f"those that {job.method.selector['name']} finds"
        yield f"seed={seed} changes nothing: the demonstrations are {how} (order=1, 2, … permutes)"


def _another_model(model: ModelSetting) -> Iterator[str]:
    """A line if the model has the name that conf/model gives to another model."""
    known = named_model(model.name)
    if known and (known["hub_id"], known["package"]) != (model.hub_id, model.package):
        yield (
            f"the model is {model.hub_id}, and its records lie under the name of another, "
            f"{model.name}: model.name=... gives it a name of its own"
        )


def _answers(records: Sequence[Record]) -> Iterator[str]:
    """Lines on answers that can never win, on special tokens, and on ties, summed over the jobs."""
    loser = {"sum": "longer", "probability": "shorter"}.get(records[0].identity.answer_score)
    if (
        loser
        and not records[0].open
        and (count := sum(record.tokens.beginnings for record in records))
    ):
        yield (
            f"in {count:,} queries the tokens of an answer begin those of another: of the two the "
            f"{loser} can never win (answer_score=mean compares them per token)"
        )
    if count := sum(record.tokens.looks_special for record in records):
        yield f"what is written like a special token in {count:,} examples was read as text"
    ties = Counter[tuple[str, int]]()
    for record in records:
        for point in record.curve:
            ties[point.split, point.step] += point.ties or 0
    (split, step), count = (ties.most_common(1) or [(("", 0), 0)])[0]
    if count:
        yield (
            f"the highest score was shared in {count:,} {split} queries at t = {step}, where most "
            "were: such answers are drawn by lot, alike for every t, seed and method"
        )
