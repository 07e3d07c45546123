"""What a record says of a job that was done."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from deepthink.config.job import Config
from deepthink.engine.flops import Costs, scoring_flops
from deepthink.models import loading
from deepthink.selection.pool import Pool
from deepthink.structures import Splits
from deepthink.study.prompting import Prompts


def operations(
    lm: loading.LM, groups: Sequence[Prompts], thinking: list[int], pool: Pool
) -> dict[str, int | list[int]]:
    """A record's operations: of selection, of each iteration, of scoring dev and test once.

    thinking: of each iteration, as they were counted.

    Selection counts the linear layers of every token its answers took, also of those that were
    known from before; attention is left out there. Of several groups it is the sum.
    """
    costs = Costs.of(lm.model)
    lengths = [len(group.encoded.demonstrations) for group in groups]
    parts = [(n, group.encoded) for n, group in zip(lengths, groups, strict=True)]
    return {
        "selection": costs.token * sum(stage.tokens for stage in pool.stages),
        "thinking": thinking,
        "scoring": sum(scoring_flops(costs, n, e.queries, e.candidates) for n, e in parts),
    }


def chosen_how(groups: Sequence[Prompts], pool: Pool) -> dict[str, Any]:
    """A record's account of the choice; of several groups, values and log are the groups' own."""
    choices = [group.selection for group in groups]
    several = len(choices) > 1
    return {
        "values": [c.values for c in choices] if several else choices[0].values,
        "log": {"groups": [c.log for c in choices]} if several else choices[0].log,
        "stages": [asdict(stage) for stage in pool.stages],
    }


def what_was_read(splits: Splits, config: Config, groups: Sequence[Prompts]) -> dict[str, Any]:
    """A record's account of demonstrations, data and tokens."""
    encoded = [group.encoded for group in groups]
    unusual = {
        "beginnings": sum(part.beginnings for part in encoded),
        "looks_special": sum(part.looks_special for part in encoded),
    }
    return {
        "demonstrations": _shown(groups),
        "data": {
            "repository": splits.repository,
            "commit": splits.commit,
            "rows": {name: len(getattr(splits, name)) for name in ("pool", "dev", "test")},
            "read_rows": splits.read_rows,
            "left_out": splits.left_out,
            "overlap": splits.overlap,
            "told": list(splits.told),
            "published_rows": config.task.rows,
        },
        "tokens": {
            "queries": sum(len(query) for part in encoded for query in part.queries),
            "candidates": sum(
                len(ids) for part in encoded for row in part.candidates for ids in row
            ),
            **{name: count for name, count in unusual.items() if count},
        },
    }


def _shown(groups: Sequence[Prompts]) -> dict[str, Any]:
    """What was shown; of several groups all different ones, by place in the pool, and who saw what.

    Of several groups, kept and copies are the fewest, tokens the most, and truncated says whether
    any was.
    """
    labels = {
        index: example.label
        for group in groups
        for index, example in zip(group.selection.indices, group.shown, strict=True)
    }
    several = len(groups) > 1
    indices = sorted(labels) if several else groups[0].selection.indices
    encoded = [group.encoded for group in groups]
    told = [{"indices": g.selection.indices, "queries": list(g.queries)} for g in groups]
    return {
        "indices": indices,
        "labels": [labels[index] for index in indices],
        "kept": min(part.kept for part in encoded),
        "truncated": any(part.truncated for part in encoded),
        "copies": min(part.copies for part in encoded),
        "tokens": max(len(part.demonstrations) for part in encoded),
        **({"groups": told} if several else {}),
    }
