"""The metrics of a record as results of the exchange format, each with its unit and bounds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any

from deepthink.store import curves
from deepthink.store.curves import Point
from deepthink.store.open_points import OpenPoint
from deepthink.tasks.metrics import BINS

Bound = float | str
"""A number, or "-Infinity", as the format writes it."""


@dataclass(frozen=True)
class Metric:
    """What a number means. name: as a reader calls it. kind: the family that it belongs to."""

    id: str
    name: str
    kind: str
    unit: str
    low: Bound
    high: Bound
    lower_is_better: bool = False
    parameters: tuple[tuple[str, int | str], ...] = ()

    def config(self) -> dict[str, Any]:
        """The `metric_config` of a result."""
        return {
            "metric_id": self.id,
            "metric_name": self.name,
            "metric_kind": self.kind,
            "metric_unit": self.unit,
            **({"metric_parameters": dict(self.parameters)} if self.parameters else {}),
            "lower_is_better": self.lower_is_better,
            "score_type": "continuous",
            "min_score": self.low,
            "max_score": self.high,
        }


ACCURACY = Metric("accuracy", "accuracy", "accuracy", "proportion", 0.0, 1.0)
_OF_CURVES = {
    "macro_f1": Metric("f1_macro", "macro-F1", "f1", "proportion", 0.0, 1.0),
    "log_likelihood": Metric(
        "deepthink.log_likelihood",
        "mean log-likelihood of the gold candidate",
        "log_likelihood",
        "nats",
        "-Infinity",
        0.0,
    ),
    "calibration_error": Metric(
        "expected_calibration_error",
        "expected calibration error",
        "calibration_error",
        "proportion",
        0.0,
        1.0,
        lower_is_better=True,
        parameters=(("bins", BINS),),
    ),
}
_OF_OPEN_TASKS = {
    "log_p": Metric(
        "deepthink.reference_log_p",
        "mean log-probability of a reference's token",
        "log_likelihood",
        "nats",
        "-Infinity",
        0.0,
    ),
    "final_log_p": Metric(
        "deepthink.final_answer_log_p",
        "mean log-probability of the final answer",
        "log_likelihood",
        "nats",
        "-Infinity",
        0.0,
    ),
    "strict": Metric(
        "exact_match",
        "exact match",
        "exact_match",
        "proportion",
        0.0,
        1.0,
        parameters=(("extraction", "strict"),),
    ),
    "flexible": Metric(
        "exact_match",
        "exact match",
        "exact_match",
        "proportion",
        0.0,
        1.0,
        parameters=(("extraction", "flexible"),),
    ),
    "bleu": Metric("bleu", "BLEU", "bleu", "points", 0.0, 100.0),
    "chrf": Metric("chrf", "chrF", "chrf", "points", 0.0, 100.0),
}


@dataclass(frozen=True)
class Value:
    """A metric's number after t.

    name: the metric's in records. score_details: as the format has them.
    """

    name: str
    metric: Metric
    score_details: Mapping[str, Any]


def of_point(point: Point) -> Iterator[Value]:
    """The values of a point of the curve; of accuracy with Wilson's interval over the rows.

    >>> point = Point(step=1, split="test", correct=3, count=4, predicted="0 1 1 0")
    >>> [(value.name, value.score_details["score"]) for value in of_point(point)]
    [('accuracy', 0.75)]
    """
    share, low, high = curves.accuracy(point)
    uncertainty = {
        "standard_error": {
            "value": sqrt(share * (1 - share) / point.count),
            "method": "sqrt(p (1 - p) / n)",
        },
        "confidence_interval": {
            "lower": low,
            "upper": high,
            "confidence_level": 0.95,
            "method": "Wilson",
        },
        "num_samples": point.count,
    }
    counted = {"correct": point.correct, "ties": point.ties, "followed": point.followed}
    details = {name: str(number) for name, number in counted.items() if number is not None}
    whole = {"score": share, "details": details, "uncertainty": uncertainty}
    yield Value("accuracy", ACCURACY, whole)
    for name, metric in _OF_CURVES.items():
        if (number := getattr(point, name)) is not None:
            yield Value(name, metric, _counted(number, point.count))


def of_open(point: OpenPoint) -> Iterator[Value]:
    """The values of a point of an open task."""
    numbers = {"log_p": point.log_p, "final_log_p": point.final_log_p, **(point.metrics or {})}
    for name, number in numbers.items():
        if number is not None:
            yield Value(name, _OF_OPEN_TASKS[name], _counted(number, point.count))


def _counted(number: float, count: int) -> dict[str, Any]:
    return {"score": number, "uncertainty": {"num_samples": count}}
