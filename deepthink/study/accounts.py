"""What a record says of a job that was done."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from deepthink.config.job import Config
from deepthink.engine.flops import Costs, scoring_flops, thinking_flops
from deepthink.models import loading
from deepthink.selection import balance
from deepthink.selection.pool import Pool
from deepthink.store.schema import (
    Data,
    Demonstrations,
    Flops,
    Rows,
    Seconds,
    Selection,
    Sizes,
    Stage,
    Tokens,
)
from deepthink.structures import Example, Splits
from deepthink.tasks import prompts


def operations(lm: loading.LM, encoded: prompts.Encoded, config: Config, pool: Pool) -> Flops:
    """The operations of selection, of each iteration, and of scoring dev and test once."""
    costs = Costs.of(lm.model)
    length = len(encoded.demonstrations)
    steps = range(1, config.method.iterations + 1)
    return Flops(
        selection=costs.token * sum(stage.tokens for stage in pool.stages),
        thinking=tuple(thinking_flops(costs, length, step) for step in steps),
        scoring=scoring_flops(costs, length, encoded.queries, encoded.candidates),
    )


def demonstrations(
    chosen: balance.Selection, shown: Sequence[Example], encoded: prompts.Encoded
) -> Demonstrations:
    """Which demonstrations were shown."""
    return Demonstrations(
        indices=tuple(chosen.indices),
        labels=tuple(example.label for example in shown),
        kept=encoded.kept,
        truncated=encoded.truncated,
        copies=encoded.copies,
        tokens=len(encoded.demonstrations),
    )


def data(splits: Splits, config: Config) -> Data:
    """Where the examples came from, and how many there were."""
    return Data(
        repository=splits.repository,
        commit=splits.commit,
        rows=Rows(pool=len(splits.pool), dev=len(splits.dev), test=len(splits.test)),
        read_rows=_sizes(splits.read_rows),
        left_out=splits.left_out,
        overlap=splits.overlap,
        told=splits.told,
        published_rows=_sizes(config.task.rows),
    )


def _sizes(rows: Mapping[str, int]) -> Sizes:
    return Sizes(pool=rows["pool"], test=rows["test"])


def tokens(encoded: prompts.Encoded) -> Tokens:
    """What there was to read, besides the demonstrations."""
    return Tokens(
        queries=sum(map(len, encoded.queries)),
        candidates=sum(len(ids) for row in encoded.candidates for ids in row),
        beginnings=encoded.beginnings,
        looks_special=encoded.looks_special,
    )


def selection(chosen: balance.Selection, pool: Pool) -> Selection:
    """What the rule noted, and what it read of the model."""
    return Selection(
        values=None if chosen.values is None else tuple(chosen.values),
        log=chosen.log,
        stages=tuple(Stage(**asdict(stage)) for stage in pool.stages),
    )


def seconds(laps: Mapping[str, float]) -> Seconds:
    """How long each part of the job took."""
    return Seconds(
        load=laps["load"],
        select=laps["select"],
        tokenise=laps["tokenise"],
        think=laps["think"],
        score=laps["score"],
    )
