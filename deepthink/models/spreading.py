"""Models bigger than one card: their layers over several GPUs, and over the host's memory.

accelerate says which device holds which layer. It fills the GPUs evenly, then the host's memory. A
layer that waits there is brought to a GPU whenever a forward comes to it.
"""

from collections.abc import Sequence
from typing import Any

import torch
from accelerate import infer_auto_device_map
from accelerate.utils import get_balanced_memory, has_offloaded_params
from torch import nn
from transformers import PreTrainedModel

from deepthink.config.job import ModelSpec
from deepthink.errors import UserError
from deepthink.models.free_memory import room, weight_bytes

Placement = dict[str, int | str]
"""The name of a module to the number of the GPU that holds it, or to "cpu", the host's memory."""


def placement(
    spec: ModelSpec, empty: PreTrainedModel, devices: Sequence[torch.device]
) -> Placement:
    """Where each module of a model goes, so that its weights fit and no layer is split.

    empty: the model on the meta device, in the dtype in which it will be loaded. devices: GPUs by
    number, and the CPU for the host's memory.

    Raises:
        UserError: the weights do not fit, or the embeddings, where token ids go in, are not on one
            GPU that has room for the layers that wait in the host's memory.
    """
    whole = sorted(empty._no_split_modules or ())
    if not whole:
        raise UserError(
            f"transformers does not say which layers of {type(empty).__name__} must stay whole: "
            "leave out device=spread"
        )
    sizes = {device: room(device) for device in devices}
    known = {_as_accelerate_says(device): size for device, size in sizes.items()}
    balanced = get_balanced_memory(empty, max_memory=known, no_split_module_classes=whole)
    placed: Placement = dict(
        infer_auto_device_map(empty, max_memory=balanced, no_split_module_classes=whole)
    )
    if "disk" in placed.values():
        listed = ", ".join(f"{device} {size:,}" for device, size in sizes.items())
        raise UserError(
            f"{spec.name} needs {weight_bytes(empty.parameters()):,} bytes for its weights in "
            f"{str(empty.dtype)[6:]}, and {_largest(empty, whole):,} at once for its largest "
            f"layer; there is room for {sum(sizes.values()):,} ({listed}): use more GPUs, a "
            "smaller model or model.dtype=bfloat16"
        )
    # what waits in the host's memory is brought to the GPU that is filled first
    hosted, embeddings = "cpu" in placed.values(), _of_embeddings(empty, placed)
    if len(embeddings) > 1 or (hosted and embeddings != {devices[0].index}):
        raise UserError(
            f"the first GPU has no room for the embeddings of {spec.name} beside its largest "
            f"layer, of {_largest(empty, whole):,} bytes: free some of its memory, hide it by "
            "CUDA_VISIBLE_DEVICES, or use a smaller model"
        )
    return placed


def _as_accelerate_says(device: torch.device) -> int | str:
    return "cpu" if device.type == "cpu" else device.index


def _of_embeddings(model: PreTrainedModel, placed: Placement) -> set[int | str]:
    """Where the embeddings go: each module goes where it is sent itself, or the one it is in."""
    holders = set()
    for name, module in model.named_modules():
        if isinstance(module, nn.Embedding):
            while name not in placed:
                name = name.rpartition(".")[0]
            holders.add(placed[name])
    return holders


def _largest(model: PreTrainedModel, whole: Sequence[str]) -> int:
    """Bytes of the largest module that must stay on one device: a layer, or an embedding."""
    return max(
        weight_bytes(module.parameters(recurse=type(module).__name__ in whole))
        for module in model.modules()
    )


def keep_own_copies(model: PreTrainedModel) -> None:
    """Copy the weights that wait in the host's memory out of the files they are mapped from.

    Otherwise they would follow their files, should these be written again.
    """
    for module in model.modules():
        if has_offloaded_params(module):
            hook: Any = module._hf_hook
            names = [name for name, _ in module.named_parameters(recurse=False)]
            hook.weights_map = {name: hook.weights_map[name].clone() for name in names}


def devices_of(model: PreTrainedModel) -> tuple[torch.device, ...]:
    """The devices that hold a model's weights, the host's memory last.

    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> devices_of(GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=11)))
    (device(type='cpu'),)
    """
    places = dict.fromkeys(getattr(model, "hf_device_map", {"": model.device}).values())
    devices = [torch.device("cuda", x) if isinstance(x, int) else torch.device(x) for x in places]
    return tuple(sorted(devices, key=lambda device: (device.type == "cpu", device.index or 0)))
