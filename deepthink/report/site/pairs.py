"""The difference between two variants on the same test examples, task by task and on average."""

from collections.abc import Iterator, Sequence
from itertools import combinations

from deepthink.report.comparisons import Comparison, compare
from deepthink.report.readings import BY_DEV
from deepthink.report.site.methods import OWN
from deepthink.report.site.variants import Variant

CALIBRATIONS = ("none", "batch_dev")
"""The calibrations under which any two methods are compared."""


def stated(variant: Variant) -> bool:
    """Whether any other such variant is compared with it: read as a row of the tables is."""
    read = variant.reading.name.partition(", ")[0]
    own = variant.method.readings[OWN].name
    tables = (own, BY_DEV.name) if variant.method.steps else (own,)
    return variant.calibration in CALIBRATIONS and read in tables


def baseline(variant: Variant) -> bool:
    """Whether everything is compared with it: vanilla, an ensemble of orders, gradient descent."""
    own = variant.method.readings[OWN].name == variant.reading.name.partition(", ")[0]
    name = variant.method.axes.get("method", "")
    compared = name in ("permutations", "kv_tuning") or variant.method.label == "Vanilla"
    return own and compared and variant.calibration in CALIBRATIONS


def every(variants: Sequence[Variant]) -> Iterator[tuple[Variant, Variant, Comparison]]:
    """Every comparison that the page shows, each in one direction."""
    for first, second in combinations(variants, 2):
        if (stated(first) and stated(second)) or baseline(first) or baseline(second):
            yield first, second, less(first, second)


def less(first: Variant, second: Variant) -> Comparison:
    """How far the first is ahead of the second, in points; tested unless t was chosen on test."""
    bound = first.reading.upper_bound or second.reading.upper_bound
    own = first.method.chooses or second.method.chooses
    paired = not own or first.method == second.method
    return compare(first.key, first.parts, second.parts, tested=not bound, paired=paired)
