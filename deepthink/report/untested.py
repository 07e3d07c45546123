"""What the central comparison leaves untested, in one sentence."""

from collections.abc import Iterator, Sequence

from deepthink.config import overrides
from deepthink.report import experiments
from deepthink.report.central import Block
from deepthink.report.runs import Scale


def sentence(models: Sequence[str], blocks: Sequence[Block], without: Sequence[str] = ()) -> str:
    """The paper's models without a record, larger sizes, further rows, and missing draws.

    models: those that were run. blocks: the comparisons that the page rests on. without: what else
        has no number, in words.
    """
    parts = [*without]
    papers = {m for t in ("table1", "table2", "table3") for m in overrides.axes(t)["model"]}
    if absent := sorted(papers - {*models}):
        parts.append(
            f"{len(absent)} of the paper's {len(papers)} models, of up to {_largest(absent)} "
            f"parameters (here: up to {_largest(models)})"
        )
    if any(not block.subject.scale.whole for block in blocks):
        parts.append("whole test sets")
    parts += [gap for block in blocks for gap in _gaps(block)]
    text = ", ".join(parts)
    return f"{text[0].upper()}{text[1:]}." if parts else "Nothing that the comparison asks for."


def rows(scale: Scale) -> str:
    """How many rows were tested.

    >>> rows(Scale(100, 50, 300, "float32")), rows(Scale(-1, -1, -1, "bfloat16"))
    ('100 test rows of each task', 'all test rows of each task')
    """
    return f"{'all' if scale.test < 0 else scale.test} test rows of each task"


def _largest(models: Sequence[str]) -> str:
    """The most parameters of these models, such as "0.27·10⁹"."""
    return f"{max(experiments.parameters(model) or 0 for model in models) / 1e9:.2g}·10⁹"


def _gaps(block: Block) -> Iterator[str]:
    """How many runs of a comparison are missing."""
    asked = {id(part.setting): part for part in block.parts}.values()
    wanted, missing = (
        sum(map(len, draws))
        for draws in ([part.wanted for part in asked], [part.missing for part in asked])
    )
    if missing:
        yield f"{missing} of {wanted} runs of {block.subject.model}"
