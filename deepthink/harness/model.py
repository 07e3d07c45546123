"""The model `deepthink` of lm-evaluation-harness: it thinks over the demonstrations of any task."""

import logging
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from lm_eval.api.model import TemplateLM
from lm_eval.models.utils import configure_pad_token, resolve_max_length
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from tqdm import tqdm

from deepthink import __version__
from deepthink.engine.generation import continuations
from deepthink.engine.memory import Memory
from deepthink.engine.scoring import Scorer
from deepthink.engine.token_budget import TokenBudget
from deepthink.errors import UserError
from deepthink.harness import marks
from deepthink.harness.arguments import arguments
from deepthink.harness.marks import Shown
from deepthink.harness.memories import Group, grouped, thought_over, told
from deepthink.harness.prompts import Encoder, Prompt
from deepthink.harness.tasks import shown_by
from deepthink.harness.written import Written, written

LOG = logging.getLogger("lm_eval.deepthink")
Pair = tuple[tuple[str, str] | None, list[int], list[int]]
"""What the harness calls a request: its texts, and the ids of the context and the continuation."""


class DeepThinkLM(TemplateLM):
    """A frozen model that has thought over its demonstrations before a question comes.

    Prompts, tokens, truncation and results follow the harness's own model `hf`, so that with
    iterations=1 both give the same numbers.

    given: what `--model_args` says, see `deepthink.harness.arguments`; the harness adds its own
        options batch_size and device.

    Raises:
        UserError: a wrong argument, a model that cannot be loaded or cannot think, or several
            processes.
    """

    def __init__(self, **given: Any) -> None:
        super().__init__()
        self.arguments, self.thinking = arguments(given)
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise UserError("the model deepthink runs in one process: leave out accelerate launch")
        self.model, tokenizer = self.arguments.load()
        self._device = self.model.device
        self.tokenizer = configure_pad_token(tokenizer, model_config=self.model.config)
        first = str(self.tokenizer.decode(self.prefix_token_id))
        self._encoder = Encoder(self.tokenizer, self.arguments.add_bos_token, first)
        self._shown: dict[str, Shown] = {}
        budget = TokenBudget.of(self.model)
        if self.arguments.token_budget is not None:
            budget.tokens = self.arguments.token_budget
        self._budget = budget

    @property
    def eot_token_id(self) -> int:
        """The token that ends a text."""
        return int(self.tokenizer.eos_token_id)

    @property
    def prefix_token_id(self) -> int:
        """The token that stands for an empty context."""
        own = (self.arguments.prefix_token_id, self.tokenizer.bos_token_id)
        return int(next((token for token in own if token is not None), self.eot_token_id))

    @property
    def max_length(self) -> int:
        """How many positions a prompt may take."""
        known: int = resolve_max_length(self.model.config, self.tokenizer)
        return self.arguments.max_length or known

    @property
    def tokenizer_name(self) -> str:
        """The name under which the harness keeps requests."""
        return str(self.tokenizer.name_or_path).replace("/", "__")

    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, **_: Any
    ) -> list[int]:
        """The ids of a text."""
        return self._encoder.encode(string, add_special_tokens)

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """A chat as the model's own template writes it.

        UserError where the model has none, or its template refuses these turns.
        """
        try:
            return str(
                self.tokenizer.apply_chat_template(
                    chat_history,
                    tokenize=False,
                    add_generation_prompt=add_generation_prompt,
                    continue_final_message=not add_generation_prompt,
                )
            )
        except Exception as error:  # jinja's, and transformers' own
            raise UserError(
                f"the chat template of {self.arguments.pretrained} cannot write these turns "
                f"({error}): leave out --apply_chat_template or --system_instruction"
            ) from error

    def loglikelihood(
        self, requests: Sequence[Any], disable_tqdm: bool = False
    ) -> list[tuple[float, bool]]:
        """For each request, log p of its continuation and whether greedy decoding writes it."""
        self._shown = self._shown_in(requests)
        result: list[tuple[float, bool]] = super().loglikelihood(requests, disable_tqdm)
        return result

    def loglikelihood_rolling(
        self, requests: Sequence[Any], disable_tqdm: bool = False
    ) -> list[float]:
        """For each request, log p of its whole text, which shows no demonstrations."""
        texts = [request.args[0] for request in requests]
        windows: list[list[tuple[list[int], list[int]]]] = [
            [
                make_disjoint_window(window)
                for window in get_rolling_token_windows(
                    self.tok_encode(text), self.prefix_token_id, self.max_length, context_len=1
                )
            ]
            for text in texts
        ]
        LOG.warning("whole texts show no demonstrations: scores are those of a plain reading")
        pairs: list[Pair] = [(None, *window) for group in windows for window in group]
        scores = iter(self._loglikelihood_tokens(pairs, disable_tqdm=disable_tqdm))
        sums = [sum(next(scores)[0] for _ in group) for group in windows]
        for text, value in zip(texts, sums, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", (text,), value)
        return sums

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """For each request, what the model writes up to a stop string."""
        self._shown = self._shown_in(requests)
        end = str(self.tokenizer.decode(self.eot_token_id))
        asked = [written(*pair, end, self.max_length) for pair in map(_pair, requests)]
        prompts = [self._prompt(each.text, self.tok_encode(each.text), each.room) for each in asked]
        kinds: dict[str, list[int]] = defaultdict(list)
        for index, each in enumerate(asked):
            kinds[each.kind].append(index)
        texts: dict[int, str] = {}
        with tqdm(total=len(requests), desc="writing", disable=disable_tqdm) as bar:
            for places in kinds.values():
                for group in grouped(prompts, places):
                    for index, text in self._written(group, prompts, asked):
                        texts[index] = text
                        self.cache_hook.add_partial("generate_until", requests[index].args, text)
                        bar.update()
        return [texts[index] for index in range(len(requests))]

    def get_model_info(self) -> dict[str, Any]:
        """What the harness's results say about the model."""
        return {
            "model_num_parameters": self.model.num_parameters(),
            "model_dtype": str(self.model.dtype),
            "model_revision": self.arguments.revision or "",
            "deepthink_version": __version__,
            "deepthink_iterations": self.thinking.iterations,
            "deepthink_refinement": self.arguments.refinement,
            "deepthink_options": self.thinking.options,
        }

    def _loglikelihood_tokens(
        self, requests: Sequence[Pair], disable_tqdm: bool = False, **_: Any
    ) -> list[tuple[float, bool]]:
        prompts = [
            self._prompt(texts and texts[0].rstrip(), context, self.max_length + 1 - len(answer))
            for texts, context, answer in requests
        ]
        results: dict[int, tuple[float, bool]] = {}
        with tqdm(total=len(requests), desc="scoring", disable=disable_tqdm) as bar:
            for group in grouped(prompts, range(len(prompts))):
                for index, result in self._scored(group, prompts, requests):
                    results[index] = result
                    texts = requests[index][0]
                    if texts is not None:
                        self.cache_hook.add_partial("loglikelihood", texts, result)
                    bar.update()
        return [results[index] for index in range(len(requests))]

    def _prompt(self, text: str | None, ids: list[int], room: int) -> Prompt:
        """A context as the model reads it, cut from the left where it has no room.

        text: what the ids stand for; None where it shows no demonstrations.
        """
        dropped = max(0, len(ids) - room)
        shown = None if text is None else self._shown.get(text.rstrip())
        if text is None or shown is None or not shown.end or dropped >= len(ids):
            return Prompt((), tuple(ids[dropped:]))
        return self._encoder.cut(text, ids, shown, dropped)

    def _scored(
        self, group: Group, prompts: Sequence[Prompt], requests: Sequence[Pair]
    ) -> Iterator[tuple[int, tuple[float, bool]]]:
        """The results of requests that show the same demonstrations, each query read once."""
        memory = self._memory(group.first)
        queries: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for index in group.places:
            queries[prompts[index].query].append(index)
        answers = [[requests[i][2] for i in places] for places in queries.values()]
        scorer = Scorer(self.model, budget=self._budget)
        rows = scorer.with_greedy(memory, list(queries), answers)
        for places, row in zip(queries.values(), rows, strict=True):
            yield from zip(places, row, strict=True)

    def _written(
        self, group: Group, prompts: Sequence[Prompt], asked: Sequence[Written]
    ) -> Iterator[tuple[int, str]]:
        """The texts of requests with the same demonstrations and the same options."""
        memory = self._memory(group.first)
        queries = [prompts[index].query for index in group.places]
        options = {"tokenizer": self.tokenizer, **asked[group.places[0]].options}
        pad = self.tokenizer.pad_token_id
        for index, ids in zip(
            group.places, continuations(self.model, memory, queries, pad, **options), strict=True
        ):
            yield index, asked[index].cut(self.tokenizer.decode(ids, skip_special_tokens=True))

    def _memory(self, prompt: Prompt) -> Memory | None:
        seed = self.arguments.seed
        return thought_over(self.model, prompt, self.thinking, seed, self.max_length)

    def _shown_in(self, requests: Sequence[Any]) -> dict[str, Shown]:
        """Where the demonstrations stand in each context; what is thought over is told."""
        tasks: dict[str | None, list[Any]] = defaultdict(list)
        for request in requests:
            tasks[request.task_name].append(request)
        result: dict[str, Shown] = {}
        for name, own in tasks.items():
            shown = {request.args[0]: shown_by(request) for request in own}
            if None in shown.values():
                guess = marks.common(list(shown))
                shown = dict.fromkeys(shown, guess)
                LOG.warning(guessed(name, guess.end))
            found = {text: each for text, each in shown.items() if each is not None}
            for line in told(name, {text: text[: each.end] for text, each in found.items()}):
                LOG.warning(line)
            result.update({text.rstrip(): each for text, each in found.items()})
        return result


def _pair(request: Any) -> tuple[str, dict[str, Any]]:
    """The context of a request for text, and its options of generation."""
    context, options = request.args
    return context, options


def guessed(name: str | None, end: int) -> str:
    """The line for a task that does not say where its demonstrations stand."""
    return (
        f"{name or 'a task'} does not say where its demonstrations end: thinking over the "
        f"{end} characters with which all its prompts begin (deepthink-lm-eval loads tasks that "
        "say it)"
    )
