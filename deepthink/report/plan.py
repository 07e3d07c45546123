"""How much work an experiment still is: done and missing jobs, tokens, operations, hours.

A job is done if its record is in the folder that `results=` names. What the other jobs take is
estimated from records: tokens per example and per demonstration of the same task (by the same model
where it has records), operations per token, and operations per second of the machines they ran on.
"""

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import mean

from deepthink.config.job import Config
from deepthink.config.overrides import axes, values
from deepthink.installation import called
from deepthink.report import experiments
from deepthink.report.experiments import Setting
from deepthink.report.programme import Part
from deepthink.report.runs import Draw, Run, Runs
from deepthink.store.chosen import Stage
from deepthink.store.identity import answered, asked


@dataclass(frozen=True)
class Work:
    """The jobs of one experiment, model, task and method.

    tokens, flops: of the missing jobs; None where no record of the task says how long its texts
        are.
    known: whether all that the selector reads is counted, not the pool's signals alone.
    jobs: the words of each job, of a suite as a whole, and whether any of it is missing.
    """

    experiment: str
    model: str
    task: str
    method: str
    done: int
    missing: int
    tokens: float | None
    flops: float | None
    known: bool
    jobs: Mapping[tuple[str, ...], bool] = field(default_factory=dict)

    @property
    def commands(self) -> tuple[str, ...]:
        """One for each missing job, or for each draw of which a suite lacks members."""
        called_as = shlex.split(called())
        return tuple(shlex.join([*called_as, *words]) for words, left in self.jobs.items() if left)


def work(
    runs: Runs, experiment: str, overrides: Sequence[str], more: Sequence[Run] = ()
) -> list[Work]:
    """One line for each model and setting, suites as a whole. UserError as the command line's.

    runs: the runs of the folder that the jobs are for; their jobs are done. more: further runs that
    the estimates rest on.
    """
    models = next(
        (values(o) for o in overrides if o.startswith("model=")),
        axes(experiment)["model"],
    )
    others = tuple(o for o in overrides if not o.startswith("model="))
    return of_parts(runs, [Part(experiment, model, others) for model in models], more)


def of_parts(runs: Runs, parts: Sequence[Part], more: Sequence[Run] = ()) -> list[Work]:
    """As `work`, of several experiments. A job that several of them have counts in the first."""
    finished: dict[str, set[str]] = {}
    for run in (*runs.all, *runs.open):
        request = answered(run.record.identity, run.record.config)
        finished.setdefault(request, set()).add(run.scale.dtype)
    known = [*runs.all, *runs.open, *more]
    signals: set[tuple[str, str]] = set()
    counted: set[str] = set()
    found = []
    for part in parts:
        for setting in experiments.settings(part.experiment, f"model={part.model}", *part.words):
            found.append(_work(known, finished, setting, signals, counted, part))
    return found


def _work(
    runs: Sequence[Run],
    finished: Mapping[str, set[str]],
    setting: Setting,
    signals: set[tuple[str, str]],
    counted: set[str],
    part: Part,
) -> Work:
    first = setting.configs[0]
    done = missing = 0
    draws: dict[Draw, bool] = {}
    tokens: float | None = 0.0
    flops: float | None = 0.0
    known = True
    for config in setting.configs:
        every = (replace(config, seed=seed, order=order) for seed, order in setting.draws)
        jobs = {request: job for job in every if (request := asked(job)) not in counted}
        counted.update(jobs)
        left = [job for job in jobs.values() if not _done(job, finished)]
        done += len(jobs) - len(left)
        missing += len(left)
        asks = {(job.seed, job.order): False for job in jobs.values()}
        asks |= {(job.seed, job.order): True for job in left}
        draws.update({draw: draws.get(draw, False) or new for draw, new in asks.items()})
        if left:
            estimate = _estimate(runs, config, len(left), signals)
            if estimate is None or tokens is None or flops is None:
                tokens = flops = None
            else:
                tokens, flops = tokens + estimate[0], flops + estimate[1]
                known &= estimate[2]
    return Work(
        part.experiment,
        first.model.name,
        first.task.name.partition("/")[0],
        ", ".join(value for key, value in setting.axes.items() if key != "task") or first.label,
        done,
        missing,
        tokens,
        flops,
        known,
        {_words(part, setting, draw): left for draw, left in draws.items()},
    )


def _words(part: Part, setting: Setting, draw: Draw) -> tuple[str, ...]:
    """The words of the job of one draw, of a suite as a whole."""
    own = (*setting.axes, *experiments.DRAWS)
    return (
        f"experiment={part.experiment}",
        f"model={part.model}",
        *(word for word in part.words if word.partition("=")[0] not in own),
        *(f"{key}={value}" for key, value in setting.axes.items()),
        *(f"{key}={number}" for key, number in zip(experiments.DRAWS, draw, strict=True)),
    )


def _done(config: Config, finished: Mapping[str, set[str]]) -> bool:
    """Whether a record answers this job; which dtype "auto" is depends on the device."""
    dtypes = finished.get(asked(config), set())
    return bool(dtypes) if config.model.dtype == "auto" else config.model.dtype in dtypes


def _estimate(
    runs: Sequence[Run], config: Config, jobs: int, signals: set[tuple[str, str]]
) -> tuple[float, float, bool] | None:
    """Tokens and operations of so many jobs, and whether the selection is counted in full."""
    alike = _alike(runs, config)
    parameters = config.model.parameters
    if not alike or parameters is None:
        return None
    per_query = mean(_per_query(run) for run in alike)
    per_shot = mean(_per_shot(run) for run in alike)
    rows = config.task.rows
    test = min(config.test_size or rows["test"], rows["test"])
    dev = 0 if config.task.given else test if config.dev_size is None else config.dev_size
    method = config.method
    scored = (test + dev) * per_query * len(method.steps) * _readings_of_a_query(config)
    read = per_shot * config.count * method.copies * method.iterations * method.orders
    chosen, known = _selection(runs, config, per_query, signals)
    tokens = jobs * (scored + read + chosen[0]) + chosen[1]
    per_token = mean(_per_token(run) for run in alike)
    return tokens, tokens * per_token * parameters, known


def _readings_of_a_query(config: Config) -> int:
    """How often the text of a query is read after one step."""
    method = config.method
    behind = len(config.task.labels) if method.direction == "channel" else 1
    return method.orders * behind * (2 if method.query == "twice" else 1)


def _alike(runs: Sequence[Run], config: Config) -> list[Run]:
    """Runs that say how long a task's texts are: of the model, else of any, else of its suite."""
    suite = config.task.name.partition("/")[0]
    nearer: tuple[Callable[[Run], bool], ...] = (
        lambda run: run.task == config.task.name and run.model == config.model.name,
        lambda run: run.task == config.task.name,
        lambda run: run.task.partition("/")[0] == suite,
    )
    for same in nearer:
        found = [
            run
            for run in runs
            if same(run) and experiments.parameters(run.model) and _reads_once(run)
        ]
        if found:
            return found
    return []


def _reads_once(run: Run) -> bool:
    """Whether the run's tokens are those of queries that are read once."""
    key = run.record.identity
    return key.orders == 1 and key.query == "once" and key.direction == "direct"


def _per_query(run: Run) -> float:
    rows = run.record.data.rows
    return run.record.tokens.all / (rows.dev + rows.test)


def _per_shot(run: Run) -> float:
    shots = run.record.demonstrations
    return shots.tokens / (shots.kept * shots.copies)


def _per_token(run: Run) -> float:
    """Operations for each token and parameter: about two."""
    known = experiments.parameters(run.model)
    assert known is not None
    return run.record.flops.scoring / (run.record.tokens.all * known)


def _selection(
    runs: Sequence[Run], config: Config, per_query: float, signals: set[tuple[str, str]]
) -> tuple[tuple[float, float], bool]:
    """Tokens of selection, per job and once for all jobs, and whether that is all of them."""
    name = config.method.selector["name"]
    if name == "random" or config.task.given:
        return (0.0, 0.0), True
    tried = [
        run
        for run in runs
        if run.task == config.task.name
        and run.record.identity.selector == config.method.selector
        and run.scale.pool == (-1 if config.pool_size is None else config.pool_size)
        and run.record.selection.stages
    ]
    if tried and any(stage.name != "zero-shot signals" for stage in _stages(tried[:1])):
        return (mean(sum(s.tokens for s in _stages([run])) for run in tried), 0.0), True
    known = name not in ("lens", "best_random")
    read = (config.model.name, config.task.name)
    if read in signals:
        return (0.0, 0.0), known
    signals.add(read)
    pool = min(config.pool_size or config.task.rows["pool"], config.task.rows["pool"])
    return (0.0, pool * per_query), known


def _stages(runs: Iterable[Run]) -> list[Stage]:
    return [stage for run in runs for stage in run.record.selection.stages]
