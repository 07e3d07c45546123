"""Demonstrations are thought over once for all requests that begin with them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from transformers import PreTrainedModel

from deepthink.engine.demonstrations import Demonstrations
from deepthink.engine.memory import Memory
from deepthink.engine.thinking import refined
from deepthink.errors import UserError
from deepthink.harness.arguments import Thinking
from deepthink.harness.prompts import Prompt


@dataclass(frozen=True)
class Group:
    """Requests with the same demonstrations.

    first: the prompt of one of them. places: which requests they are.
    """

    first: Prompt
    places: list[int]


def grouped(prompts: Sequence[Prompt], places: Iterable[int]) -> list[Group]:
    """Some of the prompts by their demonstrations, in the order in which these first appear.

    >>> prompts = [Prompt((1, 2), (3,)), Prompt((), (4,)), Prompt((1, 2), (5,))]
    >>> [group.places for group in grouped(prompts, range(3))]
    [[0, 2], [1]]
    """
    groups: dict[tuple[int, ...], Group] = {}
    for index in places:
        groups.setdefault(prompts[index].shown, Group(prompts[index], [])).places.append(index)
    return list(groups.values())


def thought_over(
    model: PreTrainedModel, prompt: Prompt, thinking: Thinking, seed: int, limit: int
) -> Memory | None:
    """The memory K̃_T, Ṽ_T of a prompt's demonstrations; None where it has none.

    limit: the positions that the model knows. UserError where thinking reaches beyond them, and as
    `deepthink.engine.thinking.refined`.
    """
    length = len(prompt.shown)
    if not length:
        return None
    if thinking.doubles and 2 * length > limit:
        raise UserError(
            f"thinking over {length} tokens of demonstrations reaches {2 * length} positions, but "
            f"the model knows {limit}: take positions=aligned in --model_args, or a smaller "
            "--num_fewshot"
        )
    shown = Demonstrations(model, prompt.shown, prompt.spans or None, prompt.answers or None, seed)
    *_, memory = refined(shown, thinking.refine, thinking.iterations)
    return memory


def told(name: str | None, beginnings: Mapping[str, str]) -> Iterator[str]:
    """Lines on what is thought over in a task.

    beginnings: from each of its prompts to its demonstrations.

    >>> list(told("moods", {"fine: good, dull:": "fine: good,", "fine: good, hot:": "fine: good,"}))
    []
    """
    different = {text for text in beginnings.values() if text}
    if not different:
        yield (
            f"{name or 'a task'}: no demonstrations, so there is nothing to think over and scores "
            "are those of a plain reading (--num_fewshot 5 shows some)"
        )
    elif len(different) > max(1, len(beginnings) // 2):
        yield (
            f"{name or 'a task'}: {len(beginnings)} prompts have {len(different)} different sets "
            "of demonstrations, each of which is thought over by itself: --first_n shows all "
            "questions the same"
        )
