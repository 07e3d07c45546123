"""Parts of an identity: the model, how its memory was refined, and how text became tokens."""

from dataclasses import dataclass
from typing import Any

from pydantic import StrictBool, StrictFloat, StrictInt, StrictStr

from deepthink.store.parts import Part


@dataclass(frozen=True, kw_only=True)
class ModelIdentity(Part):
    """The model that gave the numbers: a repository's, a package's, or files of this machine."""

    weights: StrictStr = ""
    """SHA-256 of the files of a local model. It takes the place of the next three."""
    hub_id: StrictStr = ""
    """The repository on the hub."""
    revision: StrictStr = ""
    """The commit on the hub, or the name of the revision where no commit is known."""
    package: StrictStr | None = ""
    """The installed package that holds the weights. It is null for a model of the hub."""
    dtype: StrictStr
    """The dtype of the computation: "float32", "bfloat16" or "float16"."""


@dataclass(frozen=True, kw_only=True)
class Thinking(Part):
    """How the memory was refined. At T = 1 it was not, and only `iterations` is written."""

    iterations: StrictInt
    """T: how often the demonstrations are read."""
    refinement: dict[str, Any] | None = None
    """A refinement other than `iterate`: its `name`, the values of its options, and `source`, the
    SHA-256 of its file if it is a plugin's. The next four are then left out."""
    step_size: StrictFloat | None = None
    """η of Eq. 5."""
    momentum: StrictFloat | None = None
    """β: the factor by which the last step is repeated."""
    positions: StrictStr | None = None
    """The positions of rereading: "continued" takes L…2L, "aligned" takes 0…L."""
    memory_dtype: StrictStr | None = None
    """The dtype of the memory between two iterations: "float32" or "model"."""


@dataclass(frozen=True, kw_only=True)
class Prompt(Part):
    """How text became tokens; see `deepthink.tasks.prompts`."""

    seam: StrictStr
    """How demonstrations and query are tokenised: "apart" or "joint"."""
    overflow: StrictStr
    """What happens to demonstrations that do not fit: "drop", "truncate" or "error"."""
    chat: StrictBool = False
    """Whether the prompt is a chat, written by the tokenizer's chat template."""
