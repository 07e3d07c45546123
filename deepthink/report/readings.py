"""How a run becomes a number: after which t, and with which calibration of its scores."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from deepthink.report.runs import Run
from deepthink.store import curves
from deepthink.store.curves import Point


@dataclass(frozen=True)
class Calibration:
    """A calibration that is applied to stored scores, without a model.

    name: how a table's row names it, such as "batch calibration (transductive)".
    apply: returns the same run with the curve that its calibrated scores give, or None if no
        scores are stored beside the run.
    dev: whether it looks at the dev rows.
    """

    name: str
    apply: Callable[[Run], Run | None]
    dev: bool = False


Rule = Callable[[Run], int | None]
"""A run to the t after which it counts; None if the run lacks what the rule looks at."""


@dataclass(frozen=True)
class Reading:
    """Which t of a curve counts: a rule with a name. Two readings of one name are equal.

    choose: the rule. It sees a run that is already calibrated.
    fixed: the t of a rule that chooses the same for all runs; None for one that looks at the run.
    upper_bound: whether t is chosen on test itself. Such a number is shown, but never tested.
    later: whether the rule looks at what earlier records do not have. Such a run has to be made
        again.
    dev: whether the rule looks at the dev rows after every scored t.
    calibration: applied to the scores before t is chosen; None leaves the scores as they are.
    """

    name: str
    choose: Rule = field(compare=False)
    fixed: int | None = None
    upper_bound: bool = False
    later: bool = False
    dev: bool = False
    calibration: Calibration | None = None

    def step(self, run: Run) -> int:
        """The t after which a run counts; the run is one that `seen` returned."""
        step = self.choose(run)
        assert step is not None
        return step

    def seen(self, run: Run) -> Run | None:
        """The run as this reading sees it, calibrated; None if it lacks what the reading needs."""
        calibrated = self.calibration.apply(run) if self.calibration else run
        return None if calibrated is None or self.choose(calibrated) is None else calibrated

    def after(self, calibration: Calibration) -> "Reading":
        """The same choice of t after a calibration, with the calibration in its name."""
        name = f"{self.name}, {calibration.name}"
        return replace(self, name=name, calibration=calibration)


def at(step: int) -> Reading:
    """The reading at a fixed t."""
    return Reading(f"t = {step}", lambda _: step, fixed=step)


def _of_curve(find: Callable[[Sequence[Point]], Point | None]) -> Rule:
    """The rule that takes the t of the test point which is found in a curve."""

    def choose(run: Run) -> int | None:
        point = find(run.record.curve)
        return None if point is None else point.step

    return choose


VANILLA, FIVE = at(1), at(5)
LAST = at(15)
"""The last t of the curves that the paper's figures show."""
BY_DEV = Reading("t by dev", _of_curve(curves.by_dev), dev=True)
BY_LIKELIHOOD = Reading(
    "t by dev log-likelihood", _of_curve(curves.by_log_likelihood), later=True, dev=True
)
"""The t that makes the gold candidates of dev likeliest; see `curves.by_log_likelihood`."""
BY_LEFT_OUT = Reading(
    "t by leave-one-out", lambda run: curves.by_left_out(run.record.left_out), later=True
)
"""The t behind whose memory the demonstrations' own answers are likeliest, each without its own
slots: it needs no dev set, and no label but theirs."""
ORACLE = Reading("oracle t", _of_curve(curves.oracle), upper_bound=True)
"""The best t on test: an upper bound, never a result."""

TESTED = (FIVE, BY_DEV)
READINGS = (*TESTED, ORACLE)
"""A fixed t, t by dev, and the upper bound, which is never tested."""
STOPPING = (VANILLA, FIVE, BY_DEV, BY_LIKELIHOOD, BY_LEFT_OUT)
"""The ways to choose t that are held against the oracle, from none to those that look."""
