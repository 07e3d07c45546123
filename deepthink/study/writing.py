"""Answers of the model's own to the questions of an open task, behind a memory."""

from deepthink.config.open_tasks import OpenSpec
from deepthink.engine.generation import generate
from deepthink.engine.memory import Memory
from deepthink.models import loading
from deepthink.study.prompting import Prompts


def answers(lm: loading.LM, spec: OpenSpec, memory: Memory, group: Prompts) -> list[str]:
    """The model's answer to each question of a group, at every place the most likely token.

    An answer ends before the end-of-text token or a stop text, after `max_new_tokens`, or where the
    model's positions end.

    Raises:
        UserError: the model cannot generate behind a memory.
    """
    queries = group.encoded.queries
    most = spec.max_new_tokens
    if lm.positions is not None:
        taken = len(group.encoded.demonstrations) + max(map(len, queries))
        most = min(most, lm.positions - taken)
    stops = {"stop_strings": list(spec.stop)} if spec.stop else {}
    return generate(
        lm.model,
        lm.tokenizer,
        memory,
        queries,
        do_sample=False,
        num_beams=1,
        max_new_tokens=max(1, most),
        **stops,
    )
