"""What `--model_args` may say, checked before a model is loaded."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from deepthink.errors import UserError, unknown
from deepthink.models.by_name import load
from deepthink.options import Option
from deepthink.plugins import REFINEMENTS
from deepthink.settings import THINKING, check_iterations


@dataclass(frozen=True)
class Arguments:
    """The arguments of the model `deepthink` that are not a refinement's options.

    pretrained, revision, dtype, device: as `deepthink.load` takes them. Without a GPU, cuda is
        "auto", since cuda:0 is what the harness asks for by default.
    iterations: T. refinement, plugins: as in the suite. seed: for refinements that draw at random.
    token_budget: tokens of a forward that scores; by default what fits.
    batch_size, max_batch_size: the harness's own, which nothing uses: batches hold as many tokens
        as fit.
    max_length, add_bos_token, prefix_token_id: as those of the harness's model `hf`.
    """

    pretrained: str
    revision: str | None = None
    dtype: str = "auto"
    device: str = "auto"
    batch_size: int | str = 1
    max_batch_size: int | None = None
    iterations: int = THINKING.iterations
    refinement: str = "iterate"
    plugins: str | None = None
    seed: int = 0
    token_budget: int | None = None
    max_length: int | None = None
    add_bos_token: bool | None = None
    prefix_token_id: int | None = None

    def load(self) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        """The model and its tokenizer; UserError as `deepthink.load`."""
        device = self.device
        if device.startswith("cuda") and not torch.cuda.is_available():
            device = "auto"
        return load(self.pretrained, device, self.dtype, self.revision)


@dataclass(frozen=True)
class Thinking:
    """How often and how demonstrations are thought over.

    refine: the refinement with its options bound. options: these, with its defaults.
    """

    iterations: int
    refine: Callable[..., Any]
    options: dict[str, Any]

    @property
    def doubles(self) -> bool:
        """Whether thinking reaches twice as many positions as the demonstrations have tokens."""
        return self.iterations > 1 and self.options.get("positions", "aligned") != "aligned"


def arguments(given: Mapping[str, Any]) -> tuple[Arguments, Thinking]:
    """The checked arguments of the model, and how it thinks.

    >>> ours, thinking = arguments({"pretrained": "gpt2-large", "iterations": 3, "step_size": 0.1})
    >>> ours.pretrained, thinking.iterations, thinking.options["step_size"]
    ('gpt2-large', 3, 0.1)

    Raises:
        UserError: an argument that does not exist, or a value that it does not take.
    """
    kinds = {field.name: field for field in fields(Arguments)}
    own = {name: value for name, value in given.items() if name in kinds}
    further = {name: value for name, value in given.items() if name not in kinds}
    if "pretrained" not in own:
        raise UserError(
            "pretrained is missing in --model_args: pretrained=smollm2-135m names a model of "
            "conf/model, or it is a folder, a GGUF file, or an id of the hub"
        )
    if further.pop("trust_remote_code", False):
        raise UserError("trust_remote_code: code from a model's repository is never run")
    own["pretrained"] = str(own["pretrained"])
    for name, value in own.items():
        annotation = kinds[name].type
        own[name] = Option(f"{name} of --model_args", annotation, None).taken(value)
    ours = Arguments(**own)
    check_iterations(ours.iterations)
    valid = REFINEMENTS.options(ours.refinement, ours.plugins)
    for name in further:
        if name not in valid:
            raise unknown("name in --model_args", name, [*kinds, *valid])
    refine = REFINEMENTS.load({"name": ours.refinement, **further}, ours.plugins)
    defaults = {name: option.default for name, option in valid.items()}
    return ours, Thinking(ours.iterations, refine, {**defaults, **further})
