"""The parts of a record that describe how a job was done."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from deepthink.config.job import Config
from deepthink.engine.flops import Costs
from deepthink.models import loading
from deepthink.selection.pool import Pool
from deepthink.store.chosen import Demonstrations, Selection, ShownGroup, Stage
from deepthink.store.schema import Data, Flops, Rows, Seconds, Sizes, Tokens
from deepthink.structures import Splits
from deepthink.study.asking import scored_flops
from deepthink.study.evaluation import Evaluated
from deepthink.study.prompting import Prompts
from deepthink.tasks.prompts import Encoded


def operations(
    lm: loading.LM, groups: Sequence[Prompts], evaluated: Evaluated, pool: Pool
) -> Flops:
    """The operations of selection, of each iteration, and of what each scored step takes."""
    return Flops(
        selection=Costs.of(lm.model).token * sum(stage.tokens for stage in pool.stages),
        thinking=evaluated.thinking,
        scoring=evaluated.spent.queries,
        anchors=evaluated.spent.anchors,
        texts=scoring(lm, [*(group.texts for group in groups), groups[0].alone]),
        left_out=evaluated.asking,
    )


def scoring(lm: loading.LM, asked: Iterable[Encoded]) -> int:
    """The operations of scoring queries once behind their demonstrations."""
    costs = Costs.of(lm.model)
    return sum(scored_flops(costs, part) for part in asked if part.queries)


def demonstrations(groups: Sequence[Prompts]) -> Demonstrations:
    """Which demonstrations were shown; of several groups all different ones, and those of each.

    Several orders of the same demonstrations are groups, too.
    """
    labels = {
        index: example.label
        for group in groups
        for index, example in zip(group.selection.indices, group.shown, strict=True)
    }
    several = len(groups) > 1
    indices = sorted(labels) if several else groups[0].selection.indices
    encoded = [group.encoded for group in groups]
    return Demonstrations(
        indices=tuple(indices),
        labels=tuple(labels[index] for index in indices),
        kept=min(part.kept for part in encoded),
        truncated=any(part.truncated for part in encoded),
        copies=min(part.copies for part in encoded),
        tokens=max(len(part.demonstrations) for part in encoded),
        groups=tuple(map(_group, groups)) if several else None,
    )


def _group(group: Prompts) -> ShownGroup:
    return ShownGroup(indices=tuple(group.selection.indices), queries=group.queries)


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


def tokens(groups: Sequence[Prompts], firsts: Sequence[Prompts]) -> Tokens:
    """How many tokens there were to score, besides the demonstrations.

    firsts: of each choice the group of its first order, by which queries and texts are counted.
    """
    encoded = [group.encoded for group in groups]
    once = [group.encoded for group in firsts]
    return Tokens(
        queries=sum(len(query) for part in encoded for query in part.queries),
        candidates=sum(len(ids) for part in encoded for row in part.candidates for ids in row),
        beginnings=sum(part.beginnings for part in once),
        looks_special=sum(part.looks_special for part in once),
    )


def selection(groups: Sequence[Prompts], pool: Pool) -> Selection:
    """The rule's values and notes, of each group if there are several, and its use of the model."""
    chosen = [group.selection for group in groups]
    values = [choice.values for choice in chosen]
    logs = [choice.log for choice in chosen]
    return Selection(
        values=None if len(chosen) > 1 or values[0] is None else tuple(values[0]),
        log={"groups": logs} if len(chosen) > 1 and any(logs) else logs[0],
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
        anchors=laps.get("anchors", 0.0),
        left_out=laps.get("left_out", 0.0),
    )
