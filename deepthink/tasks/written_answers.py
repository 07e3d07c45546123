"""How good written answers are: exact match of final numbers, or BLEU and chrF."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import numpy as np

from deepthink.config.open_tasks import OpenSpec
from deepthink.errors import UserError
from deepthink.structures import Example
from deepthink.tasks import extraction
from deepthink.tasks.final_answers import final_answer

WAYS = ("strict", "flexible")
"""The ways to find a final answer in a text; see `deepthink.tasks.extraction`."""


@dataclass(frozen=True)
class Judged:
    """Written answers with what was found of them.

    metrics: of all answers, as `deepthink.store.open_points` has them. extracted: for each way to
    find a final answer, what it found in each text, None where it found nothing. correct: for each
    such way, whether each text is right.
    """

    metrics: dict[str, float]
    extracted: dict[str, list[str | None]] = field(default_factory=dict)
    correct: dict[str, list[bool]] = field(default_factory=dict)


def libraries(spec: OpenSpec | None) -> dict[str, str]:
    """The version of the library by which the written answers of a job are judged, by its name.

    Raises:
        UserError: it is not installed.
    """
    if spec is None or spec.generate == "none" or spec.metric != "bleu":
        return {}
    return {"sacrebleu": str(_sacrebleu().__version__)}


def judged(texts: Sequence[str], examples: Sequence[Example], spec: OpenSpec) -> Judged:
    r"""Judge a written answer to each example.

    >>> spec = OpenSpec(final="####", metric="exact_match")
    >>> asked = [Example("6 + 6?", ("It is 12.\n#### 12",), 0)]
    >>> judged([" So 12 it is."], asked, spec).metrics
    {'strict': 0.0, 'flexible': 1.0}

    Raises:
        UserError: sacrebleu is wanted and not installed.
    """
    if spec.metric == "exact_match" and spec.final is not None:
        return _matched(texts, examples, spec.final)
    library = _sacrebleu()
    written = [text.strip() for text in texts]
    streams = [*zip_longest(*(example.candidates for example in examples))]
    bleu, chrf = (
        float(score(written, streams).score) for score in (library.corpus_bleu, library.corpus_chrf)
    )
    return Judged({"bleu": bleu, "chrf": chrf})


def _matched(texts: Sequence[str], examples: Sequence[Example], mark: str) -> Judged:
    """Exact match of final numbers; with several references, any of them is right."""
    right = [
        {extraction.normal(final_answer(reference, mark)) for reference in example.candidates}
        for example in examples
    ]
    found = [(extraction.strict(text, mark), extraction.flexible(text)) for text in texts]
    extracted = {way: [pair[at] for pair in found] for at, way in enumerate(WAYS)}
    correct = {
        way: [answer in known for answer, known in zip(answers, right, strict=True)]
        for way, answers in extracted.items()
    }
    metrics = {way: float(np.mean(hits)) for way, hits in correct.items()}
    return Judged(metrics, extracted, correct)


def _sacrebleu() -> Any:
    """The library, whose defaults are taken; UserError where it is not installed."""
    try:
        import sacrebleu
    except ImportError as error:
        raise UserError(
            "BLEU and chrF need sacrebleu: run 'make bleu' in a checkout or 'pip install "
            "sacrebleu', or leave out task.open.generate"
        ) from error
    return sacrebleu
