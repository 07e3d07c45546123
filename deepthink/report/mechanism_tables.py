"""Why thinking changes accuracy: the table, and what follows from it in words."""

import csv
from collections.abc import Callable, Iterator, Sequence
from io import StringIO

from deepthink.report import measurements, mechanism, memory_gain, verdicts
from deepthink.report.cells import fill
from deepthink.report.layouts import TASKS
from deepthink.report.measurements import Subject
from deepthink.report.mechanism import EARLY, LATE, Curves
from deepthink.report.readings import BY_DEV, LAST
from deepthink.report.render import Grid, latex, markdown
from deepthink.report.runs import Runs
from deepthink.report.statistics import FEWEST, Estimate
from deepthink.report.words import MISSING, difference, interval, number

NAME = "mechanism"
TITLE = "Mechanism: label bias and accuracy, raw and calibrated"
NOTE = (
    "The label bias is the total variation distance between how often each label is predicted and "
    "how often it is gold on the test rows, in points: the least error that predictions with these "
    f"numbers of labels must make. Changes are from t = {EARLY} to t = {LATE}, in points, as means "
    "over tasks. Calibrated accuracies are those of batch calibration from dev. r and the slope "
    "relate the fall of the bias to the gain in raw accuracy over draws and tasks. The last column "
    "is the part of the raw change that is gone after calibration; it is left out where the "
    "interval of the raw change holds zero. Intervals of accuracies are over draws and test rows, "
    "those of the bias over draws, and those of r, slope and part from a bootstrap of the draws."
)
_QUESTION = (
    "Does thinking remove a bias towards labels, as a calibration does, or does it add something? "
    "The label bias is the least error, in points, that predictions must make because some labels "
    "are predicted more often than they are gold. In the figure its curve stands above raw "
    "accuracy (hollow marks) and accuracy calibrated from dev (filled marks). A cause is named by "
    f"the signs of the changes from t = {EARLY} to t = {LATE}, where they are significant after "
    "Holm's correction over all settings of the model. "
    f"[The table of every task](tables/{NAME}.md) defines each number."
)
_HEADER = (
    "setting", f"label bias at t = {EARLY}", "its change", "raw accuracy", "calibrated accuracy",
    "r", "slope", "gone, %", "tasks", "n",
)  # fmt: skip


def grid(found: Sequence[Curves]) -> Grid:
    """One row for each setting of a subject."""
    rows = (
        (
            each.setting,
            interval(each.bias_at(EARLY)),
            _signed(each.bias_change),
            *map(_signed, (each.raw_change, each.calibrated_change)),
            *(_digits(e, 2) for e in (each.correlation, each.slope)),
            _digits(None if each.gone is None else measurements.percent(each.gone), 0),
            ", ".join(TASKS[task] for task in each.tasks),
            str(each.seeds),
        )
        for each in found
    )
    return Grid(_HEADER, tuple(rows))


def _signed(estimate: Estimate | None) -> str:
    return interval(estimate, signed=True)


def _digits(estimate: Estimate | None, digits: int) -> str:
    """As `interval`, with so many digits."""
    if estimate is None:
        return MISSING
    mean, low, high = (
        number(value, digits=digits) for value in (estimate.mean, estimate.low, estimate.high)
    )
    return f"{mean} [{low}, {high}]"


REMOVED, MADE = "a label bias removed", "a label bias made"
ADDED, LOST = "something added", "something lost"
NOTHING, OPEN = "no change of accuracy", "undecided"

RULE = {
    REMOVED: "Raw accuracy rises as the label bias falls.",
    MADE: "Raw accuracy falls as the label bias rises.",
    ADDED: "Calibrated accuracy rises, which a removed bias would not do.",
    LOST: "Calibrated accuracy falls: calibration does not bring back what is lost.",
    NOTHING: "Neither raw nor calibrated accuracy changes significantly.",
    OPEN: "Raw accuracy changes, but neither the bias nor calibrated accuracy says why.",
}
"""What was seen where a cause is named, in a sentence."""
_NOTHING_ELSE = "Calibrated accuracy does not change significantly, so nothing else was seen."


def explained(bias: int, raw: int, calibrated: int) -> list[str]:
    """What the signs of the three changes say; 0 where a change is not significant.

    >>> explained(-1, 1, 0), explained(0, 1, 0), explained(-1, 0, 0)
    (['a label bias removed'], ['undecided'], ['no change of accuracy'])
    >>> explained(1, -1, -1)
    ['a label bias made', 'something lost']
    """
    causes = []
    if raw and bias == -raw:
        causes.append(REMOVED if raw > 0 else MADE)
    if calibrated:
        causes.append(ADDED if calibrated > 0 else LOST)
    return causes or [OPEN if raw else NOTHING]


def causes(found: Sequence[Curves]) -> dict[str, list[str]]:
    """What explains the changes of each setting of a subject, by the setting's name.

    Signs are significant at the 95 % level after Holm's correction over the three changes of all
    settings of the subject. A setting with too few draws to test is left out.
    """
    changes = {
        each.setting: (each.bias_change, each.raw_change, each.calibrated_change)
        for each in found
        if each.bias_change is not None and each.seeds >= FEWEST
    }
    signs = iter(verdicts.significant_signs([e for three in changes.values() for e in three]))
    return {setting: explained(next(signs), next(signs), next(signs)) for setting in changes}


def sentences(found: Sequence[Curves]) -> Iterator[str]:
    """What each setting of a subject changes, and what explains it, see `causes`."""
    of_settings = causes(found)
    for each in found:
        if each.setting not in of_settings:
            yield f"**{each.setting}**: too few draws to test (n={each.seeds})."
            continue
        said = of_settings[each.setting]
        bias, raw, calibrated = map(
            _signed, (each.bias_change, each.raw_change, each.calibrated_change)
        )
        reasons = [RULE[cause] for cause in said]
        if said in ([REMOVED], [MADE]):
            reasons.append(_NOTHING_ELSE)
        if each.correlation is not None:
            reasons.append(f"Fall and gain have r = {_digits(each.correlation, 2)}.")
        yield (
            f"**{each.setting}: {' and '.join(said)}.** Label bias {bias}, raw accuracy {raw}, "
            f"calibrated accuracy {calibrated} (n={each.seeds}). {' '.join(reasons)}"
        )


def on_gain(subject: Subject) -> str:
    """Whether a heavier memory does what thinking does; what runs it where it was not run."""
    found = memory_gain.measured(subject)
    if found is None:
        missing = fill(memory_gain.parts(subject, "gain", BY_DEV))
        commands = "; ".join(f"`{command}`" for command, _ in missing)
        return (
            "Whether a heavier memory does the same is not known, since the method `gain` was not "
            f"run: {commands}."
        )
    total = found.factors.total()
    chosen = ", ".join(
        f"{factor:g} ({number(100 * count / total, digits=0)} %)"
        for factor, count in sorted(found.factors.items())
    )
    words = {
        1: "Thinking is ahead of it",
        -1: "Thinking is behind it",
        0: "Not told apart",
        None: "Too few draws to test",
    }
    task = found.thinking_less.tasks[-1]
    return (
        "**Is it attention to the memory?** A factor on the memory's weight in attention, chosen "
        f"on dev, is {difference(found.over_vanilla.estimates[-1])} points ahead of vanilla. "
        f"{words[found.thinking_less.told(task)]}: aligned thinking with t by dev less this is "
        f"{difference(found.thinking_less.estimates[-1])}. Dev chose the factor {chosen}."
    )


def section(found: Sequence[Curves], images: Callable[[Subject], Iterator[str]]) -> Iterator[str]:
    """The part of the page: for each subject the sentences, the figure and the table."""
    if not found:
        return
    yield "## What thinking changes\n"
    yield f"{_QUESTION}\n"
    for scale in dict.fromkeys(each.subject.scale for each in found):
        if text := on_models([each for each in found if each.subject.scale == scale]):
            yield f"{text}\n"
    for subject in dict.fromkeys(each.subject for each in found):
        mine = [each for each in found if each.subject == subject]
        yield f"### {subject}\n"
        lines = [*sentences(mine), on_gain(subject)]
        yield "\n".join(f"- {line}" for line in lines) + "\n"
        yield from images(subject)
        yield markdown(grid(mine)) + "\n"


def on_models(found: Sequence[Curves]) -> str:
    """What tells models of one scale that aligned thinking helps from those that it does not.

    Empty with one model, or where the models differ in their numbers of draws.
    """
    alike = [each for each in found if each.setting == mechanism.ALIGNED]
    first = mechanism.across(alike, mechanism.start)
    fall = mechanism.across(alike, lambda each: each.fall)
    if first is None or fall is None:
        return ""
    models = (
        f"{each.subject.model} {interval(each.bias_at(EARLY))}, then {_signed(each.bias_change)} "
        f"(raw accuracy {_signed(each.raw_change)}, calibrated {_signed(each.calibrated_change)}; "
        f"demonstrations of {each.tokens.min()} to {each.tokens.max()} tokens)"
        for each in alike
    )
    return (
        f"**Why one model gains and another loses.** {mechanism.ALIGNED}, label bias at "
        f"t = {EARLY} and its change to t = {LATE}: {'; '.join(models)}. Over draws, tasks and "
        f"models the fall of the bias and the gain have r = {_digits(fall, 2)}, the bias at "
        f"t = {EARLY} and the gain r = {_digits(first, 2)}: {_more_to_remove(first)}"
    )


def _more_to_remove(r: Estimate) -> str:
    if r.low > 0:
        return "where there is more bias to remove, thinking gains more."
    if r.high < 0:
        return "where there is more bias to remove, thinking gains less."
    return "how much bias there is to remove does not tell where thinking gains."


_COLUMNS = (
    "model", "scale", "setting", "task", "quantity", "t", "value", "low", "high", "draws",
)  # fmt: skip


def long_form(found: Sequence[Curves]) -> str:
    """As CSV, one line for each task, quantity and t, then for the average over tasks.

    t is "1-5" for a change and for what relates changes. Biases are in points, accuracies in per
    cent, sizes in nats. What has no interval, such as a bias of one draw, is left out.
    """
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for each in found:
        for task, part in (*_by_task(each), ("average", each)):
            place = (each.subject.model, each.subject.scale, each.setting, task)
            for quantity, t, e in _quantities(part):
                if e is not None:
                    ends = (f"{value:.4f}" for value in (e.mean, e.low, e.high))
                    writer.writerow([*place, quantity, t, *ends, e.seeds])
    return out.getvalue()


def _by_task(each: Curves) -> Iterator[tuple[str, Curves]]:
    return ((task, each.of_task(place)) for place, task in enumerate(each.tasks))


def _quantities(each: Curves) -> Iterator[tuple[str, object, Estimate | None]]:
    for t in each.steps:
        yield "label bias", t, each.bias_at(t)
        yield "size of the bias vector", t, each.size_at(t)
        yield "raw accuracy", t, each.accuracy_at(each.raw, t)
        yield "calibrated accuracy", t, each.accuracy_at(each.calibrated, t)
    changes = {
        "change of label bias": each.bias_change,
        "change of raw accuracy": each.raw_change,
        "change of calibrated accuracy": each.calibrated_change,
        "r": each.correlation,
        "slope": each.slope,
        "part gone after calibration": each.gone,
    }
    for quantity, e in changes.items():
        yield quantity, f"{EARLY}-{LATE}", e


def texts(runs: Runs, found: Sequence[Curves]) -> Iterator[tuple[str, str]]:
    """The table as Markdown, LaTeX and CSV, by the file's name."""
    by_subject = {
        subject: [each for each in found if each.subject == subject]
        for subject in dict.fromkeys(each.subject for each in found)
    }
    grids = [(str(subject), grid(mine)) for subject, mine in by_subject.items()]
    text = f"## {TITLE}\n\n{NOTE}\n"
    for subject in measurements.subjects(runs, mechanism.EXPERIMENT):
        text += f"\n### {subject}\n\n"
        if subject in by_subject:
            mine = by_subject[subject]
            alone = [part for each in mine for _, part in _by_task(each)]
            text += f"{markdown(grid(mine))}\n\nTask by task:\n\n{markdown(grid(alone))}\n"
        if commands := [line for line, _ in fill(_parts(subject))]:
            text += "\n" + "\n".join(f"- missing: `{line}`" for line in commands) + "\n"
    yield f"tables/{NAME}.md", text
    yield f"tables/{NAME}.tex", latex(NAME, TITLE, (NOTE,), _HEADER, grids)
    yield f"tables/{NAME}.csv", long_form(found)


def _parts(subject: Subject) -> Iterator[measurements.Measured]:
    """The runs of the experiment, whether they have stored scores or not."""
    for experiment, axes in mechanism.SETTINGS.values():
        if experiment == mechanism.EXPERIMENT:
            yield from subject.measure_tasks(experiment, LAST, TASKS, **axes)
