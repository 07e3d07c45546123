"""All that the page shows, as one value that becomes its JSON."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from deepthink.errors import UserError
from deepthink.report import calibrated
from deepthink.report.layouts import TASKS
from deepthink.report.measurements import Subject, subjects
from deepthink.report.rivals import ANSWERS
from deepthink.report.runs import Runs
from deepthink.report.site import head
from deepthink.report.site.examples import ROWS
from deepthink.report.site.methods import GROUPS, OWN, READINGS, Method, calibrations, methods, slug
from deepthink.report.site.sources import Source, Sources
from deepthink.report.site.subject import SubjectContent, content
from deepthink.report.site.variants import METRICS

NONE = "none: scores as the model gave them"
SHORT = {
    name: f"calibrated ({'batch, from dev' if name == 'batch_dev' else name})"
    for name in calibrated.NAMES
}
"""The calibrations as parts of a method's name."""


@dataclass(frozen=True)
class Content:
    """The page. message: what it says first. opening: further sentences, if there are any."""

    message: list[str]
    opening: tuple[str, ...]
    tasks: dict[str, str]
    choices: list[dict[str, Any]]
    calibrations: list[dict[str, str]]
    metrics: list[dict[str, Any]]
    groups: dict[str, str]
    methods: list[dict[str, Any]]
    subjects: list[SubjectContent]
    sources: list[Source]
    counts: dict[str, int]

    @property
    def json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def build(runs: Runs, stage: Callable[[str], object], opening: tuple[str, ...] = ()) -> Content:
    """The content of the page of these runs.

    stage: called with the name of what comes next.

    Raises:
        UserError: no run is of an experiment that the page shows.
    """
    stage("experiments")
    shown, corrections, sources = methods(), calibrations(), Sources()
    of: dict[Subject, None] = {}
    for name in GROUPS:
        of |= dict.fromkeys(subjects(runs, name))
    if not of:
        raise UserError(
            f"no record is of experiment={', '.join(GROUPS)}, which the page shows: make tables "
            "shows records of any kind"
        )
    built = []
    for subject in sorted(of, key=lambda each: (each.model, each.scale.rank)):
        stage(str(subject))
        built.append(content(subject, shown, corrections, sources))
    used = {key.rpartition("|")[2] for each in built for key in each.variants}
    return Content(
        message=head.message({each.model: each.figures for each in reversed(built)}),
        opening=opening,
        tasks=TASKS,
        choices=_choices(),
        calibrations=[
            {"key": key, "label": calibrated.NAMES.get(key, NONE), "short": SHORT.get(key, NONE)}
            for key in corrections
            if key in used
        ],
        metrics=[
            {"key": key, "label": each.label, "unit": each.unit, "digits": each.digits}
            for key, each in METRICS.items()
        ],
        groups=GROUPS,
        methods=[_method(each) for each in shown],
        subjects=built,
        sources=[*sources.places],
        counts={
            "records": len({path for each in sources.places for path in each.records}),
            "rows": ROWS,
            "answers": ANSWERS,
        },
    )


def _choices() -> list[dict[str, Any]]:
    """The ways to choose t."""
    own = {"key": OWN, "label": "each method's own t", "bound": False}
    return [
        own,
        *(
            {
                "key": slug(each.name),
                "label": each.name + (" (upper bound)" if each.upper_bound else ""),
                "bound": each.upper_bound,
            }
            for each in READINGS
        ),
    ]


def _method(method: Method) -> dict[str, Any]:
    """readings: the reading's key and name behind each choice of t."""
    return {
        "key": method.key,
        "label": method.label,
        "group": method.experiment,
        "steps": method.steps,
        "own": method.own.name,
        "readings": {
            choice: [slug(reading.name), reading.name]
            for choice, reading in method.readings.items()
        },
    }
