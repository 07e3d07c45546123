"""A group of demonstrations and queries as token ids, and the texts of calibrations beside them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from deepthink.config.job import Config
from deepthink.config.tasks import TaskSpec
from deepthink.models import loading
from deepthink.selection.balance import Selection
from deepthink.selection.choosing import Group
from deepthink.structures import Example
from deepthink.study.reading import Readings
from deepthink.study.texts import Corpus
from deepthink.tasks import prompts
from deepthink.tasks.final_answers import beginnings
from deepthink.tasks.labels import relabelled


@dataclass(frozen=True)
class Prompts:
    """A group as the model reads it.

    selection: the choice of its demonstrations. shown: the demonstrations with the labels that they
    show. queries: the places of its queries among all scored examples, dev first. encoded: the
    token ids of its demonstrations and of its queries. texts: of the same demonstrations, and of
    the texts that calibrations ask about behind them. alone: of what they ask about without
    demonstrations, which is the same in all groups.
    fronts: where references have final answers, for each query and reference how many of its tokens
    stand in front of the final answer; empty elsewhere.
    """

    selection: Selection
    shown: tuple[Example, ...]
    queries: tuple[int, ...]
    encoded: prompts.Encoded
    texts: prompts.Encoded
    alone: prompts.Encoded
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
    groups: Iterable[Group],
    pool: Sequence[Example],
    scored: Sequence[Example],
    readings: Readings,
    config: Config,
) -> list[Prompts]:
    """Encode groups for a model.

    pool, scored: the examples to which the groups' indices and their queries refer. readings: their
    texts have the candidates of the scored examples, which are the same for all.

    Raises:
        UserError: as `prompts.encode`.
    """
    corpus = Corpus(tuple(example.text for example in pool), config.task.parsed)
    candidates = scored[0].candidates
    asked = [Example(corpus.written(text), candidates, 0) for text in readings.behind]
    alone = _alone(lm, readings, candidates, config)
    return [_prompts(lm, group, pool, scored, asked, alone, config) for group in groups]


def _prompts(
    lm: loading.LM,
    group: Group,
    pool: Sequence[Example],
    scored: Sequence[Example],
    asked: Sequence[Example],
    alone: prompts.Encoded,
    config: Config,
) -> Prompts:
    shown = tuple(
        relabelled(pool[i], config.demonstrations.labels, config.draw, i)
        for i in group.selection.indices
    )
    queries = [scored[place] for place in group.queries]
    template, query = config.task.parsed.prompt, config.method.query
    how = config, query, lm.positions, config.method.copies
    whole = _encoded(lm, template, shown, [*queries, *asked], *how)
    encoded, texts = _part(whole, slice(len(queries))), _part(whole, slice(len(queries), None))
    fronts = _fronts(lm, queries, encoded, config.task)
    return Prompts(group.selection, shown, group.queries, encoded, texts, alone, fronts)


def further(
    lm: loading.LM, group: Prompts, examples: Sequence[Example], config: Config
) -> prompts.Encoded:
    """Further queries behind a group's demonstrations, whether they fit there or not.

    Raises:
        UserError: as `prompts.encode`.
    """
    shown = group.shown[len(group.shown) - group.encoded.kept :]
    template, copies = config.task.parsed.prompt, group.encoded.copies
    return _encoded(lm, template, shown, examples, config, config.method.query, None, copies)


def _encoded(
    lm: loading.LM,
    template: str,
    shown: Sequence[Example],
    queries: Sequence[Example],
    config: Config,
    query: str,
    limit: int | None,
    copies: int,
) -> prompts.Encoded:
    """As `prompts.encode`, in the way of a job."""
    return prompts.encode(
        lm.tokenizer,
        template,
        shown,
        queries,
        config.prompt.seam,
        config.prompt.overflow,
        limit,
        copies,
        config.method.iterations > 1,
        config.task.delimiter,
        config.prompt.chat,
        groups=config.method.groups if shown else 1,
        query=query,
        direction=config.method.direction,
    )


def _part(whole: prompts.Encoded, part: slice) -> prompts.Encoded:
    """The same demonstrations with a part of the queries."""
    return replace(whole, queries=whole.queries[part], candidates=whole.candidates[part])


def _alone(
    lm: loading.LM, readings: Readings, candidates: tuple[str, ...], config: Config
) -> prompts.Encoded:
    """What stands alone, behind special tokens: as queries in a template that holds its words."""
    queries: list[list[int]] = []
    answers: list[list[list[int]]] = []
    for asked in readings.alone:
        template = f"{{text}}{asked.query}"
        query = [Example("", candidates, 0)]
        how = config, "once", lm.positions, config.method.copies
        one = _encoded(lm, template, (), query, *how)
        queries.append([*one.demonstrations, *one.queries[0]])
        answers.append(one.candidates[0])
    return prompts.Encoded([], queries, answers, kept=0, truncated=False, copies=1)


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
