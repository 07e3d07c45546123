"""The opening of the page: the question, the answer for each model, and what was not tested.

Every number is one of `tables/central.csv`, `tables/authors.csv` or `tables/mechanism.csv`, and
every word about a difference follows from its corrected test.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from deepthink.installation import IN_CHECKOUT
from deepthink.report import central_tables, mechanism_tables, untested
from deepthink.report.authors import BEST, HALVES, Protocol
from deepthink.report.central import (
    ACROSS,
    BOTH,
    DECIDING,
    DESCENT,
    ORDERS,
    RAW,
    Block,
    Compared,
)
from deepthink.report.layout import Line
from deepthink.report.mechanism import ALIGNED, LATE, Curves
from deepthink.report.rival_claims import SETTINGS
from deepthink.report.words import bold, interval, number

MOST = 3
"""How many models have a line of their own: with the other seven it makes ten."""

QUESTION = (
    "**The question.** Is a frozen language model more often right if it reads its demonstrations "
    "t times before it answers (*thinking*) than if it reads them once (*vanilla*)? Differences "
    "are in points of accuracy: means over five tasks with 95 % intervals, bold where significant "
    "after correction. A way to think is a setting and a t, fixed beforehand or chosen on dev."
)


@dataclass(frozen=True)
class Way:
    """A way to think, in the block that has its comparisons."""

    block: Block
    line: Line

    def over_vanilla(self, calibrated: tuple[bool, bool]) -> Compared:
        """Its comparison with vanilla: whether its own scores are calibrated, and vanilla's."""
        return self.block.find(self.line, calibrated, self.block.plain)


@dataclass(frozen=True)
class Answer:
    """What there is on one model.

    fixed: the block over most test rows, which has thinking at a fixed t. deciding: the block with
        all rivals, None if none was run. protocol: the authors' setting on one subject. explained:
        the label bias over t of every setting of that subject.
    """

    model: str
    fixed: Block
    deciding: Block | None
    protocol: Protocol | None
    explained: tuple[Curves, ...]

    @property
    def ways(self) -> list[Way]:
        """Every way to think: t fixed beforehand, and t chosen on dev where that was run."""
        ways = [Way(self.fixed, line) for line in self.fixed.fixed]
        if self.deciding is not None:
            ways += [Way(self.deciding, line) for line in self.deciding.by_dev]
        return ways

    @property
    def best(self) -> Way | None:
        """The way with the largest mean gain over vanilla: a choice that favours thinking."""
        gains = [
            (average.mean, way)
            for way in self.ways
            if (average := way.over_vanilla(RAW).comparison.average)
        ]
        return max(gains, key=lambda pair: pair[0], default=(0.0, None))[1]

    @property
    def shown(self) -> list[Way]:
        """The paper's setting, and the best way where it is another."""
        papers = self.ways[0]
        return [papers] if self.best in (papers, None) else [papers, self.best]

    @property
    def draws(self) -> int | None:
        """The number of draws of what is shown over vanilla; None where it is not one."""
        rows = (way.over_vanilla(scores) for way in self.shown for scores in (RAW, BOTH))
        counts = {e.seeds for row in rows if (e := row.comparison.average)}
        return counts.pop() if len(counts) == 1 else None


def answers(
    blocks: Sequence[Block], protocols: Sequence[Protocol], explained: Sequence[Curves]
) -> list[Answer]:
    """One answer for each model of the blocks, those with most draws first."""
    found = []
    for model in dict.fromkeys(block.subject.model for block in blocks):
        of = [block for block in blocks if block.subject.model == model]
        deciding = next((block for block in of if block.design == DECIDING), None)
        fixed = max(of, key=_rows)
        subject = (deciding or fixed).subject
        protocol = next((one for one in protocols if one.subject == subject), None)
        curves = tuple(one for one in explained if one.subject == subject)
        found.append(Answer(model, fixed, deciding, protocol, curves))
    return sorted(found, key=lambda one: (-_draws(one.fixed), one.model))


def _rows(block: Block) -> int:
    """How many test rows of all draws the averages of a block rest on at most."""
    averages = (row.comparison.average for row in block.rows)
    return max((e.seeds * e.examples for e in averages if e), default=0)


def _draws(block: Block) -> int:
    return sum(e.seeds for row in block.rows for e in row.comparison.estimates if e)


def lines(found: Sequence[Answer]) -> Iterator[str]:
    """At most ten items of Markdown; none without answers."""
    if not found:
        return
    shown = found[:MOST]
    told = {about: _told_of(shown, *parts) for about, parts in _ITEMS.items()}
    yield QUESTION
    yield from map(_answer, shown)
    yield from filter(None, told.values())
    without = [about for about, text in told.items() if not text]
    missing = untested.sentence([of.model for of in found], _blocks(found), without)
    yield f"**What was not tested.** {missing}"
    yield _links(len(found) - len(shown))


def _told_of(shown: Sequence[Answer], *parts: str | Callable[[Answer], str]) -> str:
    """Words, with what a function tells of each model; empty if the first tells nothing of any."""
    texts = [part if isinstance(part, str) else _each(shown, part) for part in parts]
    return "".join(text or "not run" for text in texts) if texts[1] else ""


def _each(shown: Sequence[Answer], told: Callable[[Answer], str]) -> str:
    """What is told of each model, such as "+1.2 [0.4, 2.0] (gpt2-xl), +0.1 [...] (opt-125m)"."""
    return ", ".join(f"{text} ({of.model})" for of in shown if (text := told(of)))


def _answer(of: Answer) -> str:
    """The answer for one model: the paper's setting, and the way that gains most."""
    parts = []
    for way in of.shown:
        raw, both = (_brief(of, way.over_vanilla(scores)) for scores in (RAW, BOTH))
        other = way.block.subject != of.fixed.subject
        where = f" on {untested.rows(way.block.subject.scale)}" if other else ""
        calibrated = f", {both} calibrated" if both else ""
        parts.append(f"{_name(way.line)}{where} {raw or 'not run'} raw{calibrated}")
    same = f", n={of.draws}" if of.draws else ""
    return (
        f"**{of.model}: {_told(of.ways)}.** Thinking less vanilla on "
        f"{untested.rows(of.fixed.subject.scale)}{same}: {'; '.join(parts)}."
    )


def _told(ways: Sequence[Way]) -> str:
    """What the tests say of thinking against vanilla, both raw and both calibrated."""
    raw, calibrated = (
        [way.over_vanilla(scores).comparison.told("average") for way in ways]
        for scores in (RAW, BOTH)
    )
    counted = partial(_counted, of=f"of {len(ways)} ways to think")
    if not any(standing is not None for standing in raw):
        return "nothing is tested yet"
    if 1 in calibrated:
        told = f"{counted(calibrated.count(1), 'pays', 'pay')}, calibrated too"
    elif 1 not in raw:
        told = "no way to think is significantly ahead of vanilla"
    elif any(standing is not None for standing in calibrated):
        told = f"{counted(raw.count(1), 'pays', 'pay')}, and none once scores are calibrated"
    else:
        told = f"{counted(raw.count(1), 'pays', 'pay')}, and no calibrated scores are tested"
    behind = raw.count(-1)
    return f"{told}; {counted(behind, 'is', 'are')} behind" if behind else told


def _counted(count: int, one: str, several: str, of: str) -> str:
    return f"{count} {of} {one if count == 1 else several}"


def _brief(of: Answer, row: Compared) -> str:
    """The mean over tasks with its interval, bold where it is significant; empty without one.

    Its number of draws is told where it is another than that of the model's answer.
    """
    estimate = row.comparison.average
    if estimate is None:
        return ""
    text = bold(estimate, row.comparison.adjusted[-1])
    return text if estimate.seeds == of.draws else f"{text} n={estimate.seeds}"


def _name(line: Line) -> str:
    """A way to think by its setting and t, such as "the paper's setting (t = 5)"."""
    label = line.label.removeprefix("Thinking, ")
    return f"{label.removesuffix(f', {line.reading.name}')} ({line.reading.name})"


def _lift(of: Answer) -> str:
    """How far calibration lifts vanilla."""
    raw, calibrated = (of.fixed.entry(of.fixed.plain, way) for way in (False, True))
    if raw is None or calibrated is None:
        return ""
    return f"from {number(raw.estimate.mean)} to {number(calibrated.estimate.mean)} %"


def _across(of: Answer) -> str:
    """Raw thinking less calibrated vanilla."""
    return _brief(of, of.best.over_vanilla(ACROSS)) if of.best else ""


def _less(of: Answer, rival: Line) -> str:
    """Raw thinking in the way that gains most, less a rival of the deciding comparison."""
    if of.deciding is None or of.best is None:
        return ""
    line = of.best.line
    if of.best.block != of.deciding:
        line = next(one for one in of.deciding.fixed if _same_setting(one, line))
    return _brief(of, of.deciding.find(line, RAW, rival))


def _same_setting(one: Line, other: Line) -> bool:
    """Whether two lines think in one setting, whatever their t."""
    return any(name in one.label and name in other.label for name in SETTINGS)


def _of_protocol(of: Answer, row: str) -> str:
    """A row's mean over tasks in the authors' program."""
    mean = of.protocol and of.protocol.mean(row)
    return interval(mean, signed=True) if mean else ""


def _cause(of: Answer) -> str:
    """The change of the label bias by aligned thinking, and what it explains."""
    causes = mechanism_tables.causes(of.explained)
    curves = next((one for one in of.explained if one.setting == ALIGNED), None)
    if curves is None or curves.bias_change is None:
        return ""
    seen = [_clause(mechanism_tables.RULE[cause]) for cause in causes.get(ALIGNED, ())]
    told = f", where {' and '.join(seen)}" if seen else ", too few draws to test"
    return f"{interval(curves.bias_change, signed=True)}{told}"


def _clause(sentence: str) -> str:
    """A sentence as a part of another: "Raw accuracy falls." as "raw accuracy falls"."""
    return sentence[0].lower() + sentence[1:].removesuffix(".")


_ITEMS: dict[str, tuple[str | Callable[[Answer], str], ...]] = {
    "calibrated scores": (
        "**What decides it.** Calibrating scores from unlabelled dev rows takes vanilla ",
        _lift,
        ". Raw thinking, in the way that gains most on test, less calibrated vanilla: ",
        _across,
        ".",
    ),
    "rivals with the same demonstrations": (
        "**Rivals.** Raw thinking in that way less the mean over five orders of the "
        "demonstrations: ",
        partial(_less, rival=ORDERS),
        ". Less gradient descent on the memory (CT-KV): ",
        partial(_less, rival=DESCENT),
        ".",
    ),
    "the authors' program": (
        "**The best t on test**, which the authors' program reports, gains ",
        partial(_of_protocol, row=BEST),
        ". Chosen on one half of the test rows and read on the other, it gains ",
        partial(_of_protocol, row=HALVES),
        ".",
    ),
    "label biases": (
        f"**Why.** Thinking ({ALIGNED}, t = {LATE}) changes the label bias, which is the error "
        "from predicting some labels too often, by ",
        _cause,
        ".",
    ),
}
"""What else is told, by what it is about: words, and what they say of each model. An item without
its first number is left out."""


def _blocks(found: Sequence[Answer]) -> list[Block]:
    """The blocks that the answers rest on."""
    both = (block for of in found for block in (of.fixed, of.deciding) if block is not None)
    return [*{block.subject: block for block in both}.values()]


def _links(others: int) -> str:
    more = f"{others} further models stand there. " if others else ""
    site = "make site" if IN_CHECKOUT else "deepthink site"
    return (
        f"**Further.** [Task by task](tables/{central_tables.NAME}.md), with the command of every "
        f"missing run. {more}`{site}` makes a page to question. "
        "[How the numbers are made](#how-the-numbers-are-made) ends this one."
    )
