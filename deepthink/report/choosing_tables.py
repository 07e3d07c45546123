"""Which step size and which t: the tables, and what follows from them in words."""

import csv
from collections.abc import Iterator, Sequence
from io import StringIO

from deepthink.report import choosing, choosing_answers, measurements, verdicts
from deepthink.report.cells import fill
from deepthink.report.choosing import EXPERIMENT, RULES, SIZES, Choices, Chosen
from deepthink.report.layouts import POSITIONS, TASKS
from deepthink.report.measurements import Subject
from deepthink.report.readings import LAST
from deepthink.report.render import Grid, latex, markdown
from deepthink.report.runs import Runs
from deepthink.report.statistics import Estimate
from deepthink.report.words import MISSING, interval, number

NAME = "step_sizes"
TITLE = "Step sizes: rules that choose η and t"
NOTE = (
    "Every rule takes one η and one t ≤ 15 for each job; of equals the smallest t, then the "
    "smallest η. Leave-one-out takes those behind whose memory the demonstrations' own answers are "
    "likeliest, each without its own slots. Evenness takes those at which the mean label "
    "distribution over the unlabelled dev rows has the largest entropy, and mutual information "
    "those at which the labels say most about these rows (Sorensen et al. 2022). These three see "
    "raw scores alone; dev accuracy and the oracle see the scores that are counted, raw or "
    "calibrated from dev. Numbers are means over tasks; gains are over t = 1, treated alike, in "
    "points, with 95 % intervals over draws and test rows. The oracle is never tested."
)
_QUESTION = (
    "Can η and t be chosen without labels, and does one rule serve two models? A rule serves every "
    "model if its gain over vanilla is significant on each and no task is significantly behind; it "
    "does not if a model or a task is significantly behind; else this is undecided. "
    f"[The tables](tables/{NAME}.md) define the rules and have the gain at every η and t."
)
_HEADER = (
    "rule", "labels it sees", "raw", "less vanilla", "calibrated", "less vanilla, calibrated",
    "chosen on raw scores",
)  # fmt: skip


def grid(raw: Choices, calibrated: Choices) -> Grid:
    """One row for each rule of a subject at one kind of positions."""
    rows = []
    for rule in RULES:
        pair = (raw.of(rule), calibrated.of(rule))
        cells = (text for each in pair for text in _numbers(each))
        rows.append(
            (rule.name, rule.sees, *cells, MISSING if pair[0] is None else _places(pair[0]))
        )
    return Grid(_HEADER, tuple(rows))


def _numbers(chosen: Chosen | None) -> tuple[str, str]:
    if chosen is None:
        return MISSING, MISSING
    return interval(chosen.accuracy), interval(chosen.gain, signed=True)


def _places(chosen: Chosen, most: int = 3) -> str:
    """The most frequent η and t, with the part of the jobs that got them."""
    counts = chosen.counts.most_common()
    total = sum(count for _, count in counts)

    def part(count: int) -> str:
        return f"{number(100 * count / total, digits=0)} %"

    words = [f"{place_name(size, t)} ({part(count)})" for (size, t), count in counts[:most]]
    others = sum(count for _, count in counts[most:])
    return ", ".join([*words, *([f"others ({part(others)})"] if others else [])])


def place_name(size: str, t: int) -> str:
    """A place in words.

    >>> place_name("0.1", 5), place_name("", 1)
    ('η 0.1 t 5', 't 1')
    """
    return f"η {size} t {t}" if size else f"t {t}"


def fixed_grid(of: Choices) -> Grid:
    """The gain at every fixed η and t, bold where significant after correction over all of them."""
    signs = dict(zip(of.grid, _signs(of), strict=True))
    steps = sorted({t for _, t in of.grid})
    rows = []
    for size in of.sizes:
        cells = []
        for t in steps:
            mean, rest = interval(of.grid[size, t].gain, signed=True).split(" ", 1)
            cells.append(f"**{mean}** {rest}" if signs[size, t] else f"{mean} {rest}")
        rows.append((f"η = {size}", *cells))
    return Grid(("", *(f"t = {t}" for t in steps)), tuple(rows))


def _signs(of: Choices) -> list[int]:
    return verdicts.significant_signs(each.gain for each in of.grid.values())


def where(of: Choices) -> str:
    """At which η and t accuracy is significantly above and below that of t = 1."""
    signs = dict(zip(of.grid, _signs(of), strict=True))
    words = []
    for sign, verb in ((1, "gains"), (-1, "loses")):
        by_size = {
            size: [t for s, t in of.grid if s == size and signs[s, t] == sign] for size in of.sizes
        }
        places = [
            f"η = {size} (t = {', '.join(map(str, steps))})"
            for size, steps in by_size.items()
            if steps
        ]
        if places:
            words.append(f"{verb} significantly at {' and '.join(places)}")
    scores = "Calibrated" if of.calibrated else "Raw"
    if of.grid and all(each.gain.p is None for each in of.grid.values()):
        words = ["is not tested against t = 1, since there are too few draws"]
    found = "; it ".join(words) or "is not told apart from t = 1 at any η and t"
    return f"{scores} accuracy with {of.positions} positions {found}."


def section(found: Sequence[Choices]) -> Iterator[str]:
    """The part of the page: the answers in words, then for each subject where η and t gain."""
    if not found:
        return
    yield "## Which step size, and when to stop\n"
    yield f"{_QUESTION}\n"
    yield from choosing_answers.section(found)
    for subject, mine in _by_subject(found):
        yield f"### {subject}\n"
        yield "\n".join(f"- {where(each)}" for each in mine) + "\n"
        for raw, calibrated in _pairs(mine):
            yield f"{heading(raw)}\n"
            yield markdown(grid(raw, calibrated)) + "\n"


def _by_subject(found: Sequence[Choices]) -> Iterator[tuple[Subject, list[Choices]]]:
    """The choices of each subject, in their order."""
    for subject in dict.fromkeys(each.subject for each in found):
        yield subject, [each for each in found if each.subject == subject]


def _pairs(found: Sequence[Choices]) -> Iterator[tuple[Choices, Choices]]:
    """The raw and the calibrated choices of each kind of positions."""
    for positions in POSITIONS:
        pair = [each for each in found if each.positions == positions]
        if len(pair) == 2:
            yield pair[0], pair[1]


def heading(of: Choices) -> str:
    """What the rules choose from, and what the numbers are means of."""
    tasks = ", ".join(TASKS[task] for task in of.tasks)
    gain: Estimate = of.chosen[0].gain
    missing = [size for size in SIZES if size not in of.sizes]
    lacking = f" Not run, or on too few draws: η = {', '.join(missing)}." if missing else ""
    return (
        f"{of.positions.capitalize()} positions, η = {', '.join(of.sizes)}; {tasks}; "
        f"n = {gain.seeds}.{lacking}"
    )


_COLUMNS = (
    "model", "scale", "positions", "step_sizes", "scores", "rule", "sees", "task", "accuracy",
    "accuracy_low", "accuracy_high", "gain", "low", "high", "p", "draws", "examples", "chosen",
)  # fmt: skip


def long_form(found: Sequence[Choices]) -> str:
    """As CSV, one line for each rule, or fixed η and t, and task, then for the average."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for of in found:
        scores = "batch_dev" if of.calibrated else "raw"
        place = (of.subject.model, of.subject.scale, of.positions, " ".join(of.sizes), scores)
        named = {each.rule: each for each in (*of.grid.values(), *of.chosen)}
        for rule, each in named.items():
            accuracies = (*(measurements.average([task]) for task in each.chosen), each.accuracy)
            gains = (*each.gains, each.gain)
            for task, level, gain in zip((*of.tasks, "average"), accuracies, gains, strict=True):
                numbers = (level.mean, level.low, level.high, gain.mean, gain.low, gain.high)
                p = "" if gain.p is None else f"{gain.p:.3g}"
                chosen = _counts(each) if task == "average" else ""
                ends = [f"{value:.4f}" for value in numbers]
                line = (*place, rule.name, rule.sees, task, *ends, p, gain.seeds, gain.examples)
                writer.writerow([*line, chosen])
    return out.getvalue()


def _counts(chosen: Chosen) -> str:
    """Every chosen place with the number of jobs, the most frequent first."""
    ordered = sorted(chosen.counts.items(), key=lambda item: (-item[1], item[0]))
    return "; ".join(f"{place_name(*place)}: {count}" for place, count in ordered)


def texts(runs: Runs, found: Sequence[Choices]) -> Iterator[tuple[str, str]]:
    """The table as Markdown, LaTeX and CSV, by the file's name."""
    of_subject = dict(_by_subject(found))
    text = f"## {TITLE}\n\n{NOTE}\n"
    grids = []
    for subject in measurements.subjects(runs, EXPERIMENT):
        text += f"\n### {subject}\n"
        mine = of_subject.get(subject, [])
        for raw, calibrated in _pairs(mine):
            grids.append((f"{subject}; {heading(raw)}", grid(raw, calibrated)))
            text += f"\n{heading(raw)}\n\n{markdown(grids[-1][1])}\n"
            for of in (raw, calibrated):
                text += f"\n{where(of)}\n\n{markdown(fixed_grid(of))}\n"
        if commands := [line for line, _ in fill(_parts(subject))]:
            text += "\n" + "\n".join(f"- missing: `{line}`" for line in commands) + "\n"
    yield f"tables/{NAME}.md", text
    yield f"tables/{NAME}.tex", latex(NAME, TITLE, (NOTE,), _HEADER, grids)
    yield f"tables/{NAME}.csv", long_form(found)


def _parts(subject: Subject) -> Iterator[measurements.Measured]:
    for size in SIZES:
        for positions in POSITIONS:
            yield from choosing.parts(subject, size, positions, LAST).values()
