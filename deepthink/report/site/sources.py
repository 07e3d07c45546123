"""Where a number comes from: the paths of its records, and the command that makes them again."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from deepthink.report.experiments import as_run, command, merged, scored_on
from deepthink.report.measurements import Measured

_OF_THIS_MACHINE = ("data_root", "results")
"""Keys whose values are folders of the machine that ran the jobs."""


@dataclass(frozen=True)
class Source:
    """records: paths relative to the folder of results. command: as it is typed in a shell."""

    records: tuple[str, ...]
    command: str


@dataclass
class Sources:
    """Every source once, in the order in which they were first asked for."""

    places: dict[Source, int] = field(default_factory=dict)

    def add(self, parts: Sequence[Measured]) -> int:
        """The place of the source of a number, which is of one or several tasks."""
        return self.places.setdefault(source(parts), len(self.places))


def source(parts: Sequence[Measured]) -> Source:
    """The source of a number. Its command names no folder of the machine that ran the jobs.

    A command asks for every draw that the experiment has. What has a record is not run again.
    """
    runs = [run for part in parts for members in part.runs.values() for run in members]
    return Source(tuple(run.path.as_posix() for run in runs), commands(parts))


def commands(parts: Sequence[Measured]) -> str:
    """The command, or several on lines of their own, that asks for all draws of these parts."""
    first = parts[0]
    subject, experiment = first.subject, first.setting.experiment
    suite = first.setting.configs[0].task.name.partition("/")[0]
    how = [
        word
        for word in as_run(subject.runs, subject.model, subject.scale, suite)
        if not word.lstrip("'").startswith(tuple(f"{key}=" for key in _OF_THIS_MACHINE))
    ]
    scored = {
        run.record.config.method.scored
        for part in parts
        for members in part.runs.values()
        for run in members
    }
    usual = scored_on(subject.scale)
    other = scored.pop() if len(scored) == 1 and usual is not None else usual
    return "\n".join(
        command(
            experiment, swept, draws, subject.model, subject.scale, how,
            None if other == usual else other,
        )
        for swept, draws in merged((part.setting, part.wanted) for part in parts)
    )  # fmt: skip
