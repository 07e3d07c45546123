"""What a command asks for: one job, or the jobs of a suite."""

from dataclasses import dataclass, replace

from deepthink.config.job import Config
from deepthink.config.tasks import SuiteSpec


@dataclass(frozen=True)
class Request:
    """The jobs of a command without sweeps.

    jobs: a single job, or a job for each chosen member of `suite`; these differ only in their task.
    suite: the suite whose members the jobs are; None for a plain task.
    verbosity: how much is printed, "quiet", "normal" or "verbose". No job and no record has it.
    """

    jobs: tuple[Config, ...]
    suite: SuiteSpec | None = None
    verbosity: str = "normal"

    def in_group(self, group: str) -> "Request":
        """The same request with this group for its W&B runs, unless the user named a group."""
        jobs = (
            replace(job, wandb=replace(job.wandb, group=job.wandb.group or group))
            for job in self.jobs
        )
        return replace(self, jobs=tuple(jobs))
