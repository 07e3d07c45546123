"""A group of demonstrations and queries as token ids."""

from collections.abc import Sequence
from dataclasses import dataclass

from deepthink.config.job import Config
from deepthink.models import loading
from deepthink.selection.balance import Selection
from deepthink.selection.choosing import Group
from deepthink.structures import Example
from deepthink.tasks import prompts
from deepthink.tasks.labels import relabelled


@dataclass(frozen=True)
class Prompts:
    """A group as the model reads it.

    selection: the choice of its demonstrations. shown: the demonstrations with the labels that they
    show. queries: the places of its queries among all scored examples, dev first. encoded: the
    token ids of its demonstrations, of its queries, and after these of the calibration's texts.
    """

    selection: Selection
    shown: tuple[Example, ...]
    queries: tuple[int, ...]
    encoded: prompts.Encoded


def prompted(
    lm: loading.LM,
    group: Group,
    pool: Sequence[Example],
    scored: Sequence[Example],
    asked: Sequence[Example],
    config: Config,
) -> Prompts:
    """Encode a group for a model.

    pool, scored: the examples to which the group's indices and its queries refer. asked: the texts
    of the calibration as examples, which follow the queries.

    Raises:
        UserError: as `prompts.encode`.
    """
    shown = tuple(
        relabelled(pool[i], config.demonstrations.labels, config.draw, i)
        for i in group.selection.indices
    )
    queries = [*(scored[place] for place in group.queries), *asked]
    encoded = prompts.encode(
        lm.tokenizer,
        config.task.parsed.prompt,
        shown,
        queries,
        config.prompt.seam,
        config.prompt.overflow,
        lm.positions,
        config.method.copies,
        config.method.iterations > 1,
        config.task.delimiter,
    )
    return Prompts(group.selection, shown, group.queries, encoded)
