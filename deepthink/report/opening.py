"""The opening of the page: the question, the answer for each model, and what was not tested.

Every number is one of `tables/central.csv`, `tables/authors.csv` or `tables/prices.csv`, and every
word about a difference follows from its corrected test.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from deepthink.config import overrides
from deepthink.installation import IN_CHECKOUT
from deepthink.report import central_tables, experiments
from deepthink.report.authors import Protocol, share
from deepthink.report.central import (
    ACROSS,
    BOTH,
    DECIDING,
    DESCENT,
    MANY_ROWS,
    ORDERS,
    RAW,
    Block,
)
from deepthink.report.layout import Line
from deepthink.report.rival_claims import SETTINGS
from deepthink.report.rival_tables import name
from deepthink.report.rivals import Standings, place
from deepthink.report.runs import Scale
from deepthink.report.words import difference, interval

MOST = 4
"""How many models have a line of their own: with the other six it makes ten."""

QUESTION = (
    "**The question.** A frozen language model may read its demonstrations several times before it "
    "answers (*thinking*, t readings). Is it more often right than if it reads them once "
    "(*vanilla*, t = 1)? Every number is a mean over five text classification tasks, in % or in "
    "points, with its 95 % interval; n counts draws of demonstrations."
)


@dataclass(frozen=True)
class Answer:
    """What there is on one model.

    fixed: the block with most test rows, which has thinking at a fixed t. deciding: the block with
        all rivals, None if none was run. protocol: the authors' setting on one subject.
    """

    model: str
    fixed: Block
    deciding: Block | None
    protocol: Protocol | None
    standings: Standings | None

    @property
    def best(self) -> Line | None:
        """The setting with the largest mean gain over vanilla: a choice that favours thinking."""
        gains = {
            line.label: average.mean
            for line in self.fixed.fixed
            if (average := self.fixed.find(line, RAW, self.fixed.plain).comparison.average)
        }
        return max(
            (line for line in self.fixed.fixed if line.label in gains),
            key=lambda line: gains[line.label],
            default=None,
        )


def answers(
    blocks: Sequence[Block], protocols: Sequence[Protocol], standings: Sequence[Standings]
) -> list[Answer]:
    """One answer for each model of the blocks, those with most draws first."""
    found = []
    for model in dict.fromkeys(block.subject.model for block in blocks):
        of = [block for block in blocks if block.subject.model == model]
        deciding = next((block for block in of if block.design == DECIDING), None)
        fixed = next((block for block in of if block.design == MANY_ROWS), of[0])
        subject = (deciding or fixed).subject
        protocol = next((one for one in protocols if one.subject == subject), None)
        places = next((one for one in standings if one.subject == subject), None)
        found.append(Answer(model, fixed, deciding, protocol, places))
    return sorted(found, key=lambda one: (-_draws(one.fixed), one.model))


def _draws(block: Block) -> int:
    return sum(e.seeds for row in block.rows for e in row.comparison.estimates if e)


def lines(found: Sequence[Answer]) -> Iterator[str]:
    """At most ten items of Markdown; none without answers."""
    if not found:
        return
    shown = found[:MOST]
    yield QUESTION
    yield from map(_answer, shown)
    yield f"**Thinking and calibration.** {' '.join(map(_calibration, shown))}"
    yield f"**Other ways.** {' '.join(map(_others, shown))}"
    yield f"**The best t on test.** {' '.join(map(_oracle, shown))}"
    yield f"**Not tested.** {_untested(found)}"
    yield _links(len(found) - len(shown))


def _answer(of: Answer) -> str:
    """The answer for one model, and the differences behind it."""
    raw, calibrated = (
        {
            _setting(line): of.fixed.find(line, treated, of.fixed.plain)
            for line in of.fixed.fixed
        }
        for treated in (RAW, BOTH)
    )  # fmt: skip
    ahead, still = (
        [name for name, row in rows.items() if row.standing == 1] for rows in (raw, calibrated)
    )
    tested = [any(row.standing is not None for row in rows.values()) for rows in (raw, calibrated)]
    if still:
        told = f"thinking pays, on calibrated scores too ({', '.join(still)})"
    elif ahead and tested[1]:
        told = f"thinking pays only while scores are not calibrated ({', '.join(ahead)})"
    elif ahead:
        told = f"thinking pays on raw scores ({', '.join(ahead)}); calibrated ones are not tested"
    elif all(tested):
        told = "no setting of thinking is significantly ahead of vanilla, raw or calibrated"
    elif tested[0]:
        told = "no setting of thinking is significantly ahead of vanilla on raw scores"
    else:
        told = "nothing is tested yet"
    parts = (
        f"{words}: {'; '.join(f'{name} {row.in_words()}' for name, row in rows.items())}"
        for words, rows in (
            ("Thinking less vanilla, raw", raw),
            ("Both calibrated", calibrated),
        )
    )
    return f"**{of.model}: {told}.** On {_rows(of.fixed.subject.scale)}. {'. '.join(parts)}."


def _setting(line: Line) -> str:
    """A way to think by its setting and t, such as "the paper's setting (t = 5)"."""
    label = line.label.removeprefix("Thinking, ")
    return f"{label.removesuffix(f', {line.reading.name}')} ({line.reading.name})"


def _rows(scale: Scale) -> str:
    if scale.test < 0:
        return "all test rows of each task"
    return f"{scale.test} test rows of each task"


def _calibration(of: Answer) -> str:
    """The four accuracies of vanilla and the best setting, and what the tests say of them."""
    block, line = of.fixed, of.best
    if line is None:
        return f"{of.model}: no number on all five tasks."
    four = [block.entry(one, way) for one in (block.plain, line) for way in (False, True)]
    if any(entry is None for entry in four):
        return f"{of.model}: no calibrated scores on all five tasks."
    plain, calibrated, thought, both = (interval(entry.estimate) for entry in four if entry)
    across, last = (block.find(line, way, block.plain) for way in (ACROSS, BOTH))
    if last.standing is None:
        so = "Too few draws to say more"
    elif last.standing > 0:
        so = "Thinking adds to calibration"
    elif last.standing < 0:
        so = "Thinking takes away from what calibration gives"
    else:
        so = "Nothing is seen that thinking adds to calibration"
    return (
        f"{of.model}: vanilla has {plain} raw and {calibrated} calibrated from unlabelled dev "
        f"rows; thinking has {thought} and {both} ({_setting(line)}, the setting with the largest "
        "gain, which favours thinking). "
        f"Raw thinking less calibrated vanilla: {across.in_words()}. {so}."
    )


def _others(of: Answer) -> str:
    """The same setting against the rivals, and what costs no more and is ahead of thinking."""
    parts = []
    if of.deciding is not None and of.best is not None:
        block = of.deciding
        line = next(one for one in block.fixed if _same_setting(one, of.best))
        for rival, called in ((ORDERS, "five orders averaged"), (DESCENT, "gradient descent")):
            row = block.find(line, RAW, rival)
            if row.comparison.average is not None:
                parts.append(f"less {called} {row.in_words()}")
        if parts:
            parts = [f"{_setting(line)}, raw, {' and '.join(parts)}"]
    if of.standings is not None and (text := _cheaper(of.standings)):
        parts.append(text)
    return f"{of.model}: {'. '.join(parts) if parts else 'no rival was run on all five tasks'}."


def _same_setting(one: Line, other: Line) -> bool:
    """Whether two lines think in one setting, whatever their t."""
    return any(name in one.label and name in other.label for name in SETTINGS)


def _cheaper(standings: Standings) -> str:
    """What costs no more than the best of thinking and is significantly ahead of it."""
    thinking = [e for e in standings.entries if e.line.label.startswith("Thinking")]
    if not thinking:
        return ""
    best = max(thinking, key=lambda entry: entry.estimate.mean)
    found = place(best, standings.entries)
    if found is None:
        return ""
    text = f"Of {found.cheaper} ways that cost no more than {name(best)}, "
    text += f"{len(found.better) or 'none'} {'are' if len(found.better) > 1 else 'is'} ahead of it"
    if found.better:
        first = max(found.better, key=lambda pair: pair[1].mean)
        text += f", by most {name(first[0])} ({difference(first[1])})"
    return f"{text}, and it is ahead of {found.worse}"


def _oracle(of: Answer) -> str:
    """What the best t on test shows in the authors' program, and how much is the choice."""
    text = share(of.protocol) if of.protocol else ""
    return f"{of.model}: {text[0].lower()}{text[1:]}" if text else f"{of.model}: not run."


def _untested(found: Sequence[Answer]) -> str:
    """The paper's models without a record, the sizes, the rows and the draws that are missing."""
    papers = {m for t in ("table1", "table2", "table3") for m in overrides.axes(t)["model"]}
    models = [of.model for of in found]
    absent = sorted(papers - {*models})
    parts = []
    if absent:
        parts.append(
            f"{len(absent)} of the paper's {len(papers)} models ({', '.join(absent)}): the largest "
            f"model here has {_largest(models)} parameters, the largest of those {_largest(absent)}"
        )
    if any(not of.fixed.subject.scale.whole for of in found):
        parts.append("whole test sets and pools: the rows are subsets")
    for of in found:
        blocks = [block for block in (of.fixed, of.deciding) if block is not None]
        for block in {block.subject: block for block in blocks}.values():
            parts += _gaps(block)
    return f"{'; '.join(parts)}." if parts else "Nothing that the comparison asks for."


def _largest(models: Sequence[str]) -> str:
    """The most parameters of these models, such as "0.27·10⁹"."""
    return f"{max(experiments.parameters(model) or 0 for model in models) / 1e9:.2g}·10⁹"


def _gaps(block: Block) -> Iterator[str]:
    """How many jobs of a block are missing."""
    asked = {id(part.setting): part for part in block.parts}.values()
    wanted, missing = (
        sum(map(len, lists))
        for lists in ([p.wanted for p in asked], [p.missing for p in asked])
    )  # fmt: skip
    if missing:
        yield f"{missing} of {wanted} runs of {block.subject.model} on {_rows(block.subject.scale)}"


def _links(others: int) -> str:
    more = f"{others} further models stand there. " if others else ""
    site = "make site" if IN_CHECKOUT else "deepthink site"
    return (
        f"**Further.** [Task by task](tables/{central_tables.NAME}.md), with the command of every "
        f"missing run. {more}`{site}` makes a page to question. "
        "[How the numbers are made](#how-the-numbers-are-made) ends this one."
    )
