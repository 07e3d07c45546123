"""How many operations a second each device does, and how many hours work takes at that rate."""

from collections.abc import Sequence
from dataclasses import dataclass

from deepthink.report import experiments, gpu_rates
from deepthink.report.gpu_rates import Utilisation
from deepthink.report.plan import Work
from deepthink.report.runs import Run, Runs

A100 = "NVIDIA A100"
A100_PEAK = 312e12
"""bf16 operations per second of an A100's matrix units."""
A100_SHARE = 0.35
"""Of that, what is assumed until a record was made on one, or `make gpu` has measured a share."""


@dataclass(frozen=True)
class Rate:
    """Operations per second of a device, from so many records; 0 records: it is estimated.

    flops: of the mean model. utilisation: what an estimate rests on; None: an assumed share.
    """

    device: str
    flops: float
    records: int
    utilisation: Utilisation | None = None

    def hours(self, work: Work) -> float | None:
        """Hours that the missing jobs take; None where their operations are not known."""
        if work.flops is None:
            return None
        if self.utilisation is None:
            return work.flops / self.flops / 3600
        share = self.utilisation.near(experiments.parameters(work.model))
        return work.flops / (A100_PEAK * share) / 3600

    @property
    def source(self) -> str:
        """In words, what the rate rests on."""
        if self.records:
            return f"{self.records} records"
        if self.utilisation is None:
            return f"an estimate at an assumed MFU of {A100_SHARE:.0%}".replace("%", " %")
        low, high = (100 * f(self.utilisation.shares.values()) for f in (min, max))
        return (
            f"an estimate at the MFU that `make gpu` measured on {self.utilisation.gpu}, "
            f"{low:.0f} to {high:.0f} % by the model"
        )


def rates(runs: Runs, models: set[str], more: Sequence[Run] = ()) -> list[Rate]:
    """The rate of an A100, estimated if no record was made on one, and of devices with records.

    The device with most records of these models comes first.
    """
    made: dict[str, list[Run]] = {}
    for run in (*runs.all, *more):
        if run.record.seconds.think + run.record.seconds.score > 0:
            made.setdefault(run.record.execution.device, []).append(run)
    found = [_rate(device, those) for device, those in sorted(made.items())]
    if not any("A100" in rate.device for rate in found):
        found.insert(0, _estimated(gpu_rates.measured()))
    of_models = {d: sum(run.model in models for run in those) for d, those in made.items()}
    return sorted(found, key=lambda rate: -of_models.get(rate.device, 0))


def of_an_a100(rates: Sequence[Rate]) -> Rate:
    """The rate of an A100, which `rates` always has: of records, or an estimate."""
    return next(rate for rate in rates if "A100" in rate.device)


def _estimated(utilisation: Utilisation | None) -> Rate:
    share = A100_SHARE if utilisation is None else utilisation.near(None)
    return Rate(A100, A100_PEAK * share, 0, utilisation)


def _rate(device: str, made: Sequence[Run]) -> Rate:
    total = clock = 0.0
    for run in made:
        seconds, flops = run.record.seconds, run.record.flops
        total += sum(flops.thinking) + flops.scoring * len(run.steps)
        total -= run.record.execution.reused
        clock += seconds.think + seconds.score
    return Rate(device, total / clock, len(made))
