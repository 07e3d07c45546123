"""What a command asks for: one job, or the jobs of a suite."""

from dataclasses import dataclass, replace

from deepthink.config.job import Config
from deepthink.config.tasks import SuiteSpec


@dataclass(frozen=True)
class Request:
    """The jobs of one command without sweeps.

    jobs: one, or one for each chosen member of `suite`; these differ in their task alone.
    suite: the suite that the jobs are members of; None for the job of a plain task.
    """

    jobs: tuple[Config, ...]
    suite: SuiteSpec | None = None

    def in_group(self, group: str) -> "Request":
        """The same request; its W&B runs are in this group unless the user named one."""
        jobs = (
            replace(job, wandb=replace(job.wandb, group=job.wandb.group or group))
            for job in self.jobs
        )
        return replace(self, jobs=tuple(jobs))
