"""How a run becomes a number: after which t, and with which calibration of its scores."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from deepthink.report.runs import Run
from deepthink.store import curves


@dataclass(frozen=True)
class Calibration:
    """A calibration that is applied to stored scores, without a model.

    name: how a table's row names it, such as "batch calibration (transductive)".
    apply: returns the same run with the curve that its calibrated scores give, or None if no
        scores are stored beside the run.
    """

    name: str
    apply: Callable[[Run], Run | None]
    dev: bool = False


@dataclass(frozen=True)
class Reading:
    """Which t of a curve counts: a fixed one, the best on dev, or the best on test itself.

    calibration: applied to the scores before t is chosen; None leaves the scores as they are.
    """

    name: str
    fixed: int | None = None
    dev: bool = False
    calibration: Calibration | None = None

    @property
    def chooses(self) -> bool:
        """Whether t is chosen."""
        return self.fixed is None

    @property
    def left_out(self) -> bool:
        """Whether by leave-one-out."""
        return False

    @property
    def upper_bound(self) -> bool:
        """Whether t is chosen on test itself. Such a number is shown, but never tested."""
        return self.fixed is None and not self.dev

    def step(self, run: Run) -> int:
        """The t after which a run counts. The run is already calibrated."""
        if self.fixed is not None:
            return self.fixed
        curve = run.record.curve
        point = curves.by_dev(curve) if self.dev else curves.oracle(curve)
        assert point is not None
        return point.step

    def calibrated(self, run: Run) -> Run | None:
        """The run as this reading sees it; None if its calibration has no stored scores."""
        return self.calibration.apply(run) if self.calibration else run

    def after(self, calibration: Calibration) -> "Reading":
        """The same choice of t after a calibration, with the calibration in its name."""
        name = f"{self.name}, {calibration.name}"
        return replace(self, name=name, calibration=calibration)


def at(step: int) -> Reading:
    """The reading at a fixed t."""
    return Reading(f"t = {step}", step)


VANILLA, FIVE = at(1), at(5)
LAST = at(15)
"""The last t of the curves that the paper's figures show."""
BY_DEV = Reading("t by dev", dev=True)
ORACLE = Reading("oracle t")
"""The best t on test: an upper bound, never a result."""

TESTED = (FIVE, BY_DEV)
READINGS = (*TESTED, ORACLE)
"""A fixed t, t by dev, and the upper bound, which is never tested."""
