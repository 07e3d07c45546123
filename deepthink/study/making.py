"""The work of one job: its model is loaded, demonstrations are chosen, thought over and scored."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

import pandas as pd

from deepthink import hub
from deepthink.engine.memory import Memory
from deepthink.engine.out_of_memory import fitting
from deepthink.engine.token_budget import TokenBudget
from deepthink.models import loading
from deepthink.models.devices import resolve_devices
from deepthink.plugins import READOUTS, REFINEMENTS, RULES
from deepthink.progress import Watcher
from deepthink.selection.balance import check_count
from deepthink.selection.choosing import choose
from deepthink.selection.pool import Pool
from deepthink.selection.signals import ModelReader
from deepthink.store import curves, memories, records
from deepthink.store.schema import SCHEMA, Execution, Gold, Record
from deepthink.store.settings import Settings
from deepthink.study import accounts, provenance
from deepthink.study.evaluation import Evaluated, evaluate
from deepthink.study.jobs import Job
from deepthink.study.points import in_words
from deepthink.study.prompting import Prompts, prompted
from deepthink.study.reading import Readings
from deepthink.study.reading_out import check_readout
from deepthink.study.texts import Corpus
from deepthink.tasks.prediction import gold
from deepthink.tasks.written_answers import libraries


def check(job: Job) -> None:
    """Raise UserError for mistakes that would otherwise show after minutes of work."""
    records.check_writable(job.path.parent)
    libraries(job.config.task.open)
    RULES.load(job.config.method.selector, job.config.plugins)
    check_count(len(job.splits.pool), job.config.count)
    _readings(job)
    REFINEMENTS.load(job.config.method.refining(job.config.plugins), job.config.plugins)
    READOUTS.load(job.config.method.readout, job.config.plugins)
    check_readout(job.config, job.splits)


def make(job: Job, watch: Watcher) -> tuple[Record, pd.DataFrame]:
    """Load, choose, encode, think, score: a record that is not stored yet, and every score.

    Raises:
        UserError: as in `jobs.run`.
    """
    config, splits = job.config, job.splits
    devices = resolve_devices(config.device)
    watch.stage(job.model.stage)
    clock = provenance.Clock(*devices)
    lm = loading.load(job.model, *devices, tell=watch.tell)
    clock.lap("load")
    budget = TokenBudget.of(lm.model)
    if config.token_budget is not None:
        budget.tokens = config.token_budget
    for line in _about(lm, budget, clock.laps["load"]):
        watch.detail(line)
    watch.stage(f"{config.task.name}: {config.method.selector['name']} demonstrations")
    reader = ModelReader(lm, config, job.key, budget)
    scored = [example for _, part in splits.scored() for example in part]
    pool = Pool(splits.pool, splits.dev, reader, watch, [example.text for example in scored])
    with fitting("the demonstrations the selector tried do not fit"):
        chosen = choose(pool, config)
    clock.lap("select")
    readings = _readings(job)
    groups = prompted(lm, chosen, splits.pool, scored, readings, config)
    clock.lap("tokenise")
    longest = max((group.encoded for group in groups), key=lambda part: len(part.demonstrations))
    watch.stage(f"{config.task.name}: {longest.kept} demonstrations")
    tokens = f"{longest.kept} demonstrations of {len(longest.demonstrations)} tokens"
    keep = _keeping(job, groups, watch) if config.keep_memory else None
    with fitting(f"{tokens} do not fit"):
        evaluated = evaluate(lm, groups, splits, config, readings, budget, clock, watch, keep)
    if evaluated.reused:
        watch.detail("the scores at t = 1 were known from an earlier job of this process")
    return _record(job, lm, pool, groups, evaluated, budget, clock), evaluated.scores


def _readings(job: Job) -> Readings:
    """The job's calibrations; UserError if one cannot be asked about its rows."""
    pool = tuple(example.text for example in job.splits.pool)
    readings = Readings.of(job.config, Corpus(pool, job.config.task.parsed))
    readings.check([example for _, part in job.splits.scored() for example in part])
    return readings


def _keeping(
    job: Job, groups: Sequence[Prompts], watch: Watcher
) -> Callable[[Memory, int], object]:
    """What writes each memory beside the job's record."""
    lengths = [len(group.encoded.demonstrations) for group in groups]
    return memories.Keeper(job.path, lengths, job.config.method.steps, watch.tell).keep


def _about(lm: loading.LM, budget: TokenBudget, seconds: float) -> Iterator[str]:
    """Lines on the model that was loaded, for those who want to know more."""
    device, dtype = provenance.device_name(*lm.devices), str(lm.model.dtype).removeprefix("torch.")
    yield f"{lm.resolved.spec.name} on {device}, {dtype}, loaded in {seconds:.1f} s"
    if lm.resolved.gguf:
        yield f"its weights were converted before: {lm.model.config.name_or_path}"
    yield f"token budget: {budget.tokens:,} tokens in a forward"
    yield f"signals and converted weights are kept in {hub.cache_folder()}"


def _record(
    job: Job,
    lm: loading.LM,
    pool: Pool,
    groups: Sequence[Prompts],
    evaluated: Evaluated,
    budget: TokenBudget,
    clock: provenance.Clock,
) -> Record:
    """The record of a job that was done."""
    best = curves.by_dev(evaluated.curve)
    firsts = groups[:: job.config.method.orders]  # of each choice the group of the first order
    return Record(
        schema=SCHEMA,
        identity=job.key,
        config=Settings.of(job.config.resolved()),
        demonstrations=accounts.demonstrations(groups),
        data=accounts.data(job.splits, job.config),
        tokens=accounts.tokens(groups, firsts),
        selection=accounts.selection(firsts, pool),
        gold=Gold(
            dev=in_words([*map(gold, job.splits.dev)]),
            test=in_words([*map(gold, job.splits.test)]),
        ),
        curve=evaluated.curve,
        step_by_dev=best.step if best else None,
        drift=evaluated.drift,
        flops=accounts.operations(lm, groups, evaluated, pool),
        seconds=accounts.seconds(clock.laps),
        peak_memory_bytes=clock.peak_memory(),
        execution=Execution(
            device=provenance.device_name(*lm.devices),
            token_budget=budget.tokens,
            reused=accounts.scoring(lm, evaluated.reused),
        ),
        model_commit=job.model.commit,
        versions={**provenance.versions(), **libraries(job.config.task.open)},
        code=provenance.code(),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        open=evaluated.open,
        readout=evaluated.notes,
        left_out=evaluated.left_out,
    )
