"""Where a number comes from: the paths of its records, and the command that makes them again."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from deepthink.installation import usual
from deepthink.report.commands import words_of
from deepthink.report.experiments import DRAWS, as_run, asks_for, command, merged, scored_on
from deepthink.report.measurements import Measured
from deepthink.report.runs import Draw, Run

_OF_THIS_MACHINE = ("data_root=", "results=")
"""How words begin that name folders of the machine that ran the jobs."""

_LEFT_OUT = (*_OF_THIS_MACHINE, *(f"{name}=" for name in DRAWS))


@dataclass(frozen=True)
class Source:
    """records: paths relative to the folder of results. command: as it is typed in a shell."""

    records: tuple[str, ...]
    command: str


@dataclass
class Sources:
    """Every source once, in the order in which they were first asked for."""

    places: dict[Source, int] = field(default_factory=dict)

    def add(self, parts: Sequence[Measured], draws: Sequence[Draw]) -> int:
        """The place of the source of a number of one or several tasks, from these draws."""
        return self.places.setdefault(source(parts, draws), len(self.places))


def source(parts: Sequence[Measured], draws: Sequence[Draw]) -> Source:
    """The source of a number. Its command names no folder of the machine that ran the jobs.

    A command asks for every draw that the experiment has. What has a record is not run again.
    """
    reached = (part.runs[part.setting.reached(draw)] for part in parts for draw in draws)
    runs = dict.fromkeys(run.path for members in reached for run in members)
    return Source(tuple(path.as_posix() for path in runs), commands(parts))


def commands(parts: Sequence[Measured]) -> str:
    """The command, or several on lines of their own, that asks for all draws of these parts.

    Where another experiment made the runs, these are the words of the jobs themselves.
    """
    names = frozenset([parts[0].setting.experiment])
    runs = [run for part in parts for members in part.runs.values() for run in members]
    if all(asks_for(names, run) for run in runs):
        return _of_experiment(parts)
    return "\n".join(dict.fromkeys(_of_jobs(runs)))


def _of_jobs(runs: Sequence[Run]) -> Iterator[str]:
    """One command for each task and setting of these jobs, with all their draws."""
    alike: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        kept = (word for word in words_of(run.record) if not word.startswith(_LEFT_OUT))
        alike.setdefault(tuple(kept), []).append(run)
    for words, found in alike.items():
        draws = [
            f"{name}={','.join(map(str, values))}"
            for at, name in enumerate(DRAWS)
            if (values := sorted({run.draw[at] for run in found})) != [0]
        ]
        several = ["-m"] if len(found) > 1 else []
        yield " ".join([usual(), *several, *map(shlex.quote, words), *draws])


def _of_experiment(parts: Sequence[Measured]) -> str:
    """The command that sweeps the experiment of these parts."""
    first = parts[0]
    subject, experiment = first.subject, first.setting.experiment
    suite = first.setting.configs[0].task.name.partition("/")[0]
    how = [
        word
        for word in as_run(subject.runs, subject.model, subject.scale, suite)
        if not word.lstrip("'").startswith(_OF_THIS_MACHINE)
    ]
    scored = {
        run.record.config.method.scored
        for part in parts
        for members in part.runs.values()
        for run in members
    }
    of_scale = scored_on(subject.scale)
    other = scored.pop() if len(scored) == 1 and of_scale is not None else of_scale
    return "\n".join(
        command(
            experiment, swept, draws, subject.model, subject.scale, how,
            None if other == of_scale else other,
        )
        for swept, draws in merged((part.setting, part.wanted) for part in parts)
    )  # fmt: skip
