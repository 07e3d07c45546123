"""What the page says first: thinking and calibration against plain learning, for each model."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from deepthink.report.comparisons import Comparison
from deepthink.report.layouts import PAPERS_STEP_SIZE
from deepthink.report.readings import FIVE
from deepthink.report.site.methods import Method
from deepthink.report.site.pairs import Pairs
from deepthink.report.site.variants import Variant
from deepthink.report.words import MISSING, interval

_THINKING = {"method": "deepthink_curve"}


@dataclass(frozen=True)
class Figure:
    """One number of the headline.

    sign: 1 or -1 if the mean difference is significant at the 95 % level, else 0; None where it is
    not known. first, second: the keys of the two variants.
    """

    says: str
    text: str
    sign: int | None
    first: str
    second: str


def figures(of: Pairs) -> list[Figure]:
    """The central numbers of one subject, those that were measured."""
    return [_figure(says, a, b, of.less(a, b)) for says, a, b in _wanted(of.variants)]


def _wanted(variants: Sequence[Variant]) -> Iterator[tuple[str, Variant, Variant]]:
    """What is said of each pair of variants."""

    def find(steps: bool, calibration: str, name: str = "") -> Variant | None:
        asked = name or FIVE.name
        found = (
            each
            for each in variants
            if each.calibration == calibration
            and is_central(each.method, steps)
            and (not steps or each.reading.name.partition(", ")[0] == asked)
        )
        return next((each for each in found if each.there), None)

    plain, thinking = find(False, "none"), find(True, "none")
    plain_calibrated, calibrated = find(False, "batch_dev"), find(True, "batch_dev")
    setting = f"{FIVE.name}, η = {PAPERS_STEP_SIZE}"
    for says, first, second in (
        (f"Rereading ({setting}) less reading once", thinking, plain),
        ("Reading once, calibrated from dev, less reading once", plain_calibrated, plain),
        (f"Rereading ({setting}) less reading once, both calibrated", calibrated, plain_calibrated),
    ):
        if first is not None and second is not None:
            yield says, first, second


def message(of_models: Mapping[str, Sequence[Figure]]) -> list[str]:
    """The central numbers in two sentences; none unless every model has all of them."""
    models = sorted(of_models)
    if not models or any(len(of_models[m]) < 3 for m in models):
        return []
    raw, calibration, calibrated = (
        _listed([of_models[model][place].text.partition(" ")[0] for model in models])
        for place in range(3)
    )
    return [
        f"Rereading in the paper's setting changes the mean accuracy of {_listed(models)} by "
        f"{raw} points. Calibrating the scores of a single reading changes it by {calibration} "
        f"points, and rereading then adds {calibrated}."
    ]


def _listed(words: Sequence[str]) -> str:
    """Words in a sentence.

    >>> _listed(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def is_central(method: Method, steps: bool) -> bool:
    """Whether it is the paper's setting of thinking, or with steps=False plain learning."""
    return method.axes == _THINKING and method.steps == steps


def _figure(says: str, first: Variant, second: Variant, comparison: Comparison) -> Figure:
    estimate = comparison.average
    if estimate is None:
        return Figure(says, MISSING, None, first.key, second.key)
    return Figure(says, interval(estimate, signed=True), _sign(comparison), first.key, second.key)


def _sign(comparison: Comparison) -> int | None:
    """See `Figure`; None if the difference was not tested."""
    tested = comparison.adjusted[-1] is not None
    return comparison.ahead(comparison.tasks[-1]) if tested else None
