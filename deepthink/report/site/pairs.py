"""The difference between two variants on the same test examples, task by task and on average."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product

from deepthink.report.comparisons import Comparison, compare, corrected
from deepthink.report.layouts import TASKS
from deepthink.report.readings import BY_DEV
from deepthink.report.site.methods import OWN, Method
from deepthink.report.site.variants import Variant

CALIBRATIONS = ("none", "batch_dev")
"""The calibrations under which any two methods are compared."""


def stated(variant: Variant) -> bool:
    """Whether any other such variant is compared with it: read as a row of the tables is."""
    read = variant.reading.name.partition(", ")[0]
    return variant.calibration in CALIBRATIONS and read in _of_tables(variant.method)


def _of_tables(method: Method) -> set[str]:
    """The names of the readings of t under which a method has rows in the tables."""
    own = method.readings[OWN].name
    return {own, BY_DEV.name} if method.steps else {own}


def baseline(variant: Variant) -> bool:
    """Whether everything is compared with it: vanilla, an ensemble of orders, gradient descent."""
    own = variant.method.readings[OWN].name == variant.reading.name.partition(", ")[0]
    name = variant.method.axes.get("method", "")
    compared = name in ("permutations", "kv_tuning") or variant.method.label == "Vanilla"
    return own and compared and variant.calibration in CALIBRATIONS


@dataclass(frozen=True)
class Pairs:
    """Every two variants of a subject that the page compares."""

    variants: Sequence[Variant]

    def every(self) -> Iterator[tuple[Variant, Variant, Comparison]]:
        """Every comparison that the page shows, each in one direction."""
        for first, second in combinations(self.variants, 2):
            if (stated(first) and stated(second)) or baseline(first) or baseline(second):
                yield first, second, self.less(first, second)

    def less(self, first: Variant, second: Variant) -> Comparison:
        """How far the first is ahead of the second, in points, as the tables test it.

        p is corrected over all tests of its question, as by `rivals.less`: both methods, each with
        its scores, on every task and their mean, under all readings of t that tables have. A pair
        with another reading, or of one method, is a question of its own.
        """
        pairs, readings = [(first, second)], 1
        alike = _scores(first) == _scores(second)
        if stated(first) and stated(second) and not alike:
            pairs = [*product(self._readings[_scores(first)], self._readings[_scores(second)])]
            readings = len(_of_tables(first.method)) * len(_of_tables(second.method))
        found = [self._alone(a, b) for a, b in pairs]
        place = next(
            i for i, (a, b) in enumerate(pairs) if (a.key, b.key) == (first.key, second.key)
        )
        return corrected(found, readings * (len(TASKS) + 1))[place]

    @cached_property
    def _readings(self) -> dict[tuple[str, str], list[Variant]]:
        """The stated variants of each method with raw or calibrated scores."""
        found: dict[tuple[str, str], list[Variant]] = {}
        for each in filter(stated, self.variants):
            found.setdefault(_scores(each), []).append(each)
        return found

    @cached_property
    def _alone(self) -> Callable[[Variant, Variant], Comparison]:
        """The comparison of a pair with the p of this pair alone, computed once."""
        known: dict[tuple[str, str], Comparison] = {}

        def alone(first: Variant, second: Variant) -> Comparison:
            pair = first.key, second.key
            if pair not in known:
                known[pair] = _less(first, second)
            return known[pair]

        return alone


def _scores(variant: Variant) -> tuple[str, str]:
    return variant.method.key, variant.calibration


def _less(first: Variant, second: Variant) -> Comparison:
    """Not tested if t was chosen on test."""
    bound = first.reading.upper_bound or second.reading.upper_bound
    own = first.method.chooses or second.method.chooses
    paired = not own or first.method == second.method
    return compare(first.key, first.parts, second.parts, tested=not bound, paired=paired)
