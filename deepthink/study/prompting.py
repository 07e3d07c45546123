"""A group of demonstrations and queries as token ids."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from deepthink.config.job import Config
from deepthink.config.tasks import TaskSpec
from deepthink.models import loading
from deepthink.selection.balance import Selection
from deepthink.selection.choosing import Group
from deepthink.structures import Example
from deepthink.tasks import prompts
from deepthink.tasks.final_answers import beginnings
from deepthink.tasks.labels import relabelled


@dataclass(frozen=True)
class Prompts:
    """A group as the model reads it.

    selection: the choice of its demonstrations. shown: the demonstrations with the labels that they
    show. queries: the places of its queries among all scored examples, dev first. encoded: the
    token ids of its demonstrations, of its queries, and after these of the calibration's texts.
    fronts: where references have final answers, for each query and reference how many of its tokens
    stand in front of the final answer; empty elsewhere.
    """

    selection: Selection
    shown: tuple[Example, ...]
    queries: tuple[int, ...]
    encoded: prompts.Encoded
    fronts: tuple[tuple[int, ...], ...] = ()

    @cached_property
    def asked(self) -> prompts.Encoded:
        """What is scored: `encoded`, and behind a query's references these without final answers.

        The difference of the two scores is that of the final answer, and costs no forward.
        """
        if not self.fronts:
            return self.encoded
        pairs = zip(self.encoded.candidates, self.fronts, strict=True)
        candidates = [
            [*row, *(ids[:front] for ids, front in zip(row, fronts, strict=True))]
            for row, fronts in pairs
        ]
        return replace(self.encoded, candidates=candidates)


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
    encoded = _encoded(lm, shown, queries, config, lm.positions, config.method.copies)
    fronts = _fronts(lm, queries, encoded, config.task)
    return Prompts(group.selection, shown, group.queries, encoded, fronts)


def further(
    lm: loading.LM, group: Prompts, examples: Sequence[Example], config: Config
) -> prompts.Encoded:
    """Further queries behind a group's demonstrations, whether they fit there or not.

    Raises:
        UserError: as `prompts.encode`.
    """
    shown = group.shown[len(group.shown) - group.encoded.kept :]
    return _encoded(lm, shown, examples, config, None, group.encoded.copies)


def _encoded(
    lm: loading.LM,
    shown: Sequence[Example],
    queries: Sequence[Example],
    config: Config,
    limit: int | None,
    copies: int,
) -> prompts.Encoded:
    """As `prompts.encode`, in the way of a job."""
    return prompts.encode(
        lm.tokenizer,
        config.task.parsed.prompt,
        shown,
        queries,
        config.prompt.seam,
        config.prompt.overflow,
        limit,
        copies,
        config.method.iterations > 1,
        config.task.delimiter,
        config.prompt.chat,
    )


def _fronts(
    lm: loading.LM, queries: Sequence[Example], encoded: prompts.Encoded, task: TaskSpec
) -> tuple[tuple[int, ...], ...]:
    """As in `Prompts`."""
    if task.open is None or (mark := task.open.final) is None:
        return ()
    rows = [
        dict(zip(example.candidates, ids, strict=True))
        for example, ids in zip(queries, encoded.candidates, strict=True)
    ]
    prompt = task.parsed.prompt
    return tuple(tuple(beginnings(lm.tokenizer, prompt, row, mark)) for row in rows)
