"""Open tasks: the model writes an answer of its own, and reference answers are scored."""

from dataclasses import asdict, dataclass
from typing import Any

from pydantic import with_config

from deepthink.config.checks import STRICT, check_at_least, check_choice, check_text
from deepthink.errors import UserError

METRICS = ("exact_match", "bleu")
GENERATED = ("none", "ends", "all")
MOST_NEW_TOKENS = 4096


@with_config(STRICT)
@dataclass(frozen=True)
class OpenSpec:
    """How the answers of an open task are measured.

    final: the words behind which a reference has its final answer, such as "####" in GSM8K; null
        where the whole text is the answer. The last of them counts.
    metric: how written answers are judged: "exact_match" of the final answer, or "bleu" (BLEU and
        chrF) against all references.
    generate: after which t answers are written: "none", "ends" (t = 1 and T), or "all" scored ones.
    max_new_tokens: an answer is cut there.
    stop: texts at which an answer ends.

    Raises:
        UserError: a value that does not exist, or exact match without a final answer.

    >>> OpenSpec(final="####", metric="exact_match").generate
    'none'
    """

    final: str | None
    metric: str
    generate: str = "none"
    max_new_tokens: int = 256
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_choice("task.open.metric", self.metric, METRICS)
        check_choice("task.open.generate", self.generate, GENERATED)
        check_at_least("task.open.max_new_tokens", self.max_new_tokens, 1)
        if self.max_new_tokens > MOST_NEW_TOKENS:
            raise UserError(
                f"task.open.max_new_tokens is {self.max_new_tokens}: it must be "
                f"{MOST_NEW_TOKENS:,} or less"
            )
        if self.final is not None and not self.final.strip():
            raise UserError("task.open.final is empty: write the words, or null for none")
        if self.metric == "exact_match" and self.final is None:
            raise UserError(
                "task.open.metric=exact_match compares final answers: set task.open.final to the "
                "words in front of them"
            )
        for text in self.stop:
            check_text("task.open.stop", text)
            if not text:
                raise UserError("task.open.stop has an empty text, at which every answer ends")

    @property
    def known(self) -> dict[str, Any]:
        """What the numbers depend on. How answers are written counts only where any are."""
        values = asdict(self)
        if self.generate == "none":
            return {"final": self.final}
        return {**values, "stop": list(self.stop)}

    def steps(self, scored: list[int]) -> list[int]:
        """After which of the scored t answers are written.

        >>> OpenSpec(None, "bleu", generate="ends").steps([1, 2, 3])
        [1, 3]
        """
        ways = {"none": [], "ends": sorted({scored[0], scored[-1]}), "all": scored}
        return ways[self.generate]


def check_job(
    name: str, calibration: str, answer_score: str, labels: str, dev_size: int | None
) -> None:
    """Raise UserError for a setting that compares given answers, of which an open task has none.

    name: the task's. The others are the values of the job's config.
    """
    if calibration != "none":
        raise UserError(
            f"calibration {calibration} compares label words, and {name} has open answers: leave "
            "out calibration and readings"
        )
    if answer_score != "sum":
        raise UserError(
            f"answer_score is {answer_score}, but {name} has open answers, which are always "
            "measured per token: leave it out"
        )
    if labels != "gold":
        raise UserError(
            f"demonstrations.labels is {labels}, but {name} has open answers and no other labels: "
            "leave it out"
        )
    if dev_size:
        raise UserError(
            f"dev_size is {dev_size}, but {name} has open answers, and t is not chosen on dev rows "
            "there: leave it out (scale=cpu_suite and test_size=100 take a part of the test rows)"
        )
