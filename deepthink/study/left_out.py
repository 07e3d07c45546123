"""How likely the demonstrations' own answers are behind the memory of the others.

It chooses t without a dev set, and without a label but those that the demonstrations show. Each
demonstration is read as a query: behind the memory, and at a query's positions. Its own slots are
hidden from it, as in leave-one-out cross-validation. Slots of other demonstrations may still know
of it, since they were computed beside it: at t = 1 those behind it, later all.
"""

from collections.abc import Sequence
from math import isfinite

import torch
from transformers import PreTrainedModel

from deepthink.config.job import Config
from deepthink.engine.demonstrations import Demonstrations
from deepthink.engine.memory import Memory
from deepthink.store.curves import LeftOut
from deepthink.study.points import rounded
from deepthink.study.prompting import Prompts


class OwnAnswers:
    """Asks a model for the answers of the demonstrations that it is shown, after every memory.

    Copies of a demonstration are one: all of them are hidden, and the first is asked. One whose
    beginning was cut off is not asked.

    model: in eval mode. prompts: a group with at least two different demonstrations. asked: the
    answers that are asked for, as ranges of tokens. See `of`.

    Attributes:
        operations: floating-point operations of asking once.
    """

    def __init__(self, model: PreTrainedModel, prompts: Prompts, asked: Sequence[range]) -> None:
        encoded = prompts.encoded
        self._shown = Demonstrations(
            model, encoded.demonstrations, encoded.spans, asked, sequences=encoded.sequences
        )
        texts = _texts(prompts) * encoded.copies
        firsts = torch.tensor([*map(texts.index, texts), -1], device=model.device)
        owners = firsts[self._shown.span_of]
        self._own = (owners[:, None] == owners[None]) & (owners[:, None] >= 0)
        self._found: list[tuple[int, float]] = []
        self.operations = 0

    @classmethod
    def of(
        cls, model: PreTrainedModel, groups: Sequence[Prompts], config: Config
    ) -> "OwnAnswers | None":
        """For the groups of a job; None where there is no t to choose, or nothing to ask.

        At T = 1 there is no choice, an open task is scored by other means, and several groups have
        several memories. Where one demonstration is shown, leaving it out leaves no memory. Which
        are left of groups that do not fit is not known.
        """
        if config.method.iterations == 1 or config.task.open or len(groups) > 1:
            return None
        encoded = groups[0].encoded
        if encoded.sequences and encoded.kept < len(groups[0].shown):
            return None
        places = [*zip(encoded.spans, encoded.answers, strict=True)]
        whole = places[int(encoded.truncated) : encoded.kept]
        asked = [answer for span, answer in whole if answer and span.start < answer.start]
        if not asked or len({*_texts(groups[0])}) < 2:
            return None
        return cls(model, groups[0], asked)

    def ask(self, memory: Memory) -> None:
        """Note how likely the answers are behind a memory."""
        before = self._shown.operations
        answers = self._shown.answers
        loss = self._shown.loss(memory, hide=self._own, targets=answers, apart=True)
        self.operations = self._shown.operations - before
        self._found.append((memory.step, -float(loss)))

    @property
    def all(self) -> tuple[LeftOut, ...]:
        """What was found after every memory; nothing if an answer had the probability zero."""
        if not all(isfinite(log_p) for _, log_p in self._found):
            return ()
        return tuple(LeftOut(step=step, log_p=rounded(log_p)) for step, log_p in self._found)


def _texts(prompts: Prompts) -> list[str]:
    """The texts of the demonstrations that are kept, in reading order, each once."""
    first = len(prompts.shown) - prompts.encoded.kept
    return [example.text for example in prompts.shown[first:]]
