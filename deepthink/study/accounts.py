"""What a record says of a job that was done."""

from collections.abc import Sequence
from typing import Any

from deepthink.config.job import Config
from deepthink.engine.flops import Costs, scoring_flops
from deepthink.models import loading
from deepthink.selection.balance import Selection
from deepthink.selection.pool import Pool
from deepthink.structures import Example, Splits
from deepthink.tasks import prompts


def operations(
    lm: loading.LM, encoded: prompts.Encoded, thinking: list[int], pool: Pool
) -> dict[str, int | list[int]]:
    """A record's operations: of selection, of each iteration, of scoring dev and test once.

    thinking: of each iteration, as they were counted.

    Selection counts the linear layers of every token its answers took, also of those that were
    known from before; attention is left out there.
    """
    costs = Costs.of(lm.model)
    length = len(encoded.demonstrations)
    return {
        "selection": costs.token * sum(stage.tokens for stage in pool.stages),
        "thinking": thinking,
        "scoring": scoring_flops(costs, length, encoded.queries, encoded.candidates),
    }


def what_was_read(
    splits: Splits,
    config: Config,
    chosen: Selection,
    shown: Sequence[Example],
    encoded: prompts.Encoded,
) -> dict[str, Any]:
    """A record's account of demonstrations, data and tokens."""
    unusual = {"beginnings": encoded.beginnings, "looks_special": encoded.looks_special}
    return {
        "demonstrations": {
            "indices": chosen.indices,
            "labels": [example.label for example in shown],
            "kept": encoded.kept,
            "truncated": encoded.truncated,
            "copies": encoded.copies,
            "tokens": len(encoded.demonstrations),
        },
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
            "queries": sum(map(len, encoded.queries)),
            "candidates": sum(len(ids) for row in encoded.candidates for ids in row),
            **{name: count for name, count in unusual.items() if count},
        },
    }
