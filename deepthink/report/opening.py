"""The opening of the page: the question, the answer for each model, and what was not tested.

Every number is one of `tables/central.csv`, `tables/authors.csv` or `tables/prices.csv`, and every
word about a difference follows from its corrected test.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from deepthink.installation import IN_CHECKOUT
from deepthink.report import central_tables, untested
from deepthink.report.authors import BEST, HALVES, Protocol
from deepthink.report.central import (
    ACROSS,
    BOTH,
    DECIDING,
    DESCENT,
    MANY_ROWS,
    ORDERS,
    RAW,
    Block,
    Compared,
)
from deepthink.report.layout import Line
from deepthink.report.rival_claims import SETTINGS
from deepthink.report.rival_tables import name
from deepthink.report.rivals import Standings, place
from deepthink.report.words import bold, difference, number

MOST = 4
"""How many models have a line of their own: with the other six it makes ten."""

QUESTION = (
    "**The question.** Is a frozen language model more often right if it reads its demonstrations "
    "t times before it answers (*thinking*) than if it reads them once (*vanilla*)? Differences "
    "are means over five text classification tasks in points, with 95 % intervals, bold where "
    "significant after correction. n counts draws of demonstrations. Calibrated scores are "
    "batch-calibrated from unlabelled dev rows."
)
FAVOURED = "Thinking is shown in its setting with the largest raw gain, which favours it."
ORACLE = (
    "The first number is what the authors' program gains over vanilla at the best t on test, the "
    "second its gain if t is chosen on one half of the test rows and read on the other."
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
        many = (block for block in of if block.design == MANY_ROWS)
        fixed = next((block for block in many if any(row.measured for row in block.rows)), of[0])
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
    yield f"**What decides it.** {FAVOURED} {' '.join(map(_calibration, shown))}"
    yield f"**Other ways.** {' '.join(map(_others, shown))}"
    yield f"**The best t on test.** {ORACLE} {' '.join(map(_oracle, shown))}"
    missing = untested.sentence([of.model for of in found], _blocks(found))
    yield f"**What was not tested.** {missing}"
    yield _links(len(found) - len(shown))


def _answer(of: Answer) -> str:
    """The answer for one model, and the differences behind it."""
    block = of.fixed
    pairs = {
        _setting(line): [block.find(line, treated, block.plain) for treated in (RAW, BOTH)]
        for line in block.fixed
    }
    counts = {e.seeds for rows in pairs.values() for row in rows if (e := row.comparison.average)}
    n = counts.pop() if len(counts) == 1 else None
    same = f", n={n}" if n else ""
    parts = (
        f"{name} raw {_brief(raw, n)}, calibrated {_brief(calibrated, n)}"
        for name, (raw, calibrated) in pairs.items()
    )
    return (
        f"**{of.model}: {_told(pairs)}.** {untested.rows(block.subject.scale)}{same}. "
        f"Less vanilla: {'; '.join(parts)}."
    )


def _told(pairs: Mapping[str, Sequence[Compared]]) -> str:
    """What the tests say of thinking against vanilla, both raw and both calibrated.

    pairs: by the name of a setting its comparisons with raw and with calibrated scores.
    """
    standings = {name: [row.standing for row in rows] for name, rows in pairs.items()}
    ahead, still, behind = (
        [name for name, found in standings.items() if found[at] == sign]
        for at, sign in ((0, 1), (1, 1), (0, -1))
    )
    tested, calibrated = (
        any(found[at] is not None for found in standings.values()) for at in (0, 1)
    )
    if not tested:
        return "nothing is tested yet"
    if still:
        told = f"thinking pays, on calibrated scores too ({'; '.join(still)})"
    elif ahead and calibrated:
        told = f"thinking pays only while scores are not calibrated ({'; '.join(ahead)})"
    elif ahead:
        told = (
            f"thinking pays on raw scores ({'; '.join(ahead)}), and no calibrated ones are tested"
        )
    else:
        told = "no setting of thinking is significantly ahead of vanilla"
    if behind:
        told += f". On raw scores it is significantly behind ({'; '.join(behind)})"
    return told


def _brief(row: Compared, n: int | None = None) -> str:
    """The mean over tasks with its interval, bold where it is significant.

    n: the number of draws that is told elsewhere.
    """
    estimate = row.comparison.average
    if estimate is None:
        return "not run on all five tasks"
    text = bold(estimate, row.comparison.adjusted[-1])
    return text if estimate.seeds == n else f"{text} n={estimate.seeds}"


def _setting(line: Line) -> str:
    """A way to think by its setting and t, such as "the paper's setting (t = 5)"."""
    label = line.label.removeprefix("Thinking, ")
    return f"{label.removesuffix(f', {line.reading.name}')} ({line.reading.name})"


def _calibration(of: Answer) -> str:
    """The four accuracies of vanilla and the best setting, and what the tests say of them."""
    block, line = of.fixed, of.best
    if line is None:
        return f"{of.model}: no number on all five tasks."
    four = [block.entry(one, way) for one in (block.plain, line) for way in (False, True)]
    if any(entry is None for entry in four):
        return f"{of.model}: no calibrated scores on all five tasks."
    plain, corrected, thought, both = (number(entry.estimate.mean) for entry in four if entry)
    across, last = (block.find(line, way, block.plain) for way in (ACROSS, BOTH))
    so = {
        None: "Too few draws to test whether thinking adds to calibration",
        1: "Thinking adds to calibration",
        -1: "Thinking takes away from what calibration gives",
        0: "Nothing is seen that thinking adds to calibration",
    }[last.standing]
    return (
        f"{of.model}: vanilla {plain} % raw, {corrected} % calibrated; thinking ({_setting(line)}) "
        f"{thought} % raw, {both} % calibrated. Raw thinking less calibrated vanilla "
        f"{_brief(across)}. {so}."
    )


def _others(of: Answer) -> str:
    """The same setting against the rivals, and what costs no more and is ahead of thinking."""
    parts = []
    if of.deciding is not None and of.best is not None:
        best = of.best
        line = next(one for one in of.deciding.fixed if _same_setting(one, best))
        rivals = {
            called: of.deciding.find(line, RAW, rival)
            for rival, called in ((ORDERS, "five orders averaged"), (DESCENT, "gradient descent"))
        }
        found = [f"less {called} {_brief(row)}" for called, row in rivals.items() if row.measured]
        if found:
            parts.append(f"thinking ({_setting(line)}), raw, {', '.join(found)}")
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
    found = place(best, standings)
    if found is None:
        return ""
    ahead = len(found.better)
    text = (
        f"Of {found.cheaper} ways that cost no more than {name(best)}, {ahead or 'none'} "
        f"{'are' if ahead > 1 else 'is'} significantly ahead of it"
    )
    if found.better:
        first, by = max(found.better, key=lambda pair: pair[1].mean)
        text += f", by most {name(first)}, {difference(by)}"
    return text


def _oracle(of: Answer) -> str:
    """What the best t on test shows in the authors' program, and what is left of it."""
    if of.protocol is None:
        return f"{of.model}: not run."
    shown, left = (of.protocol.mean(row) for row in (BEST, HALVES))
    if shown is None or left is None:
        return f"{of.model}: not run on all five tasks."
    return f"{of.model}: {difference(shown)} and {difference(left)}."


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
