"""What GGUF files say of themselves: whether one is whole, and what transformers reads of it.

gguf is slow to import, and only needed where a file is converted.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import PreTrainedModel

from deepthink.errors import UserError, first_line
from deepthink.models.faults import part_of_several

if TYPE_CHECKING:
    from gguf import GGUFReader

_ADVICE = "name a folder that save_pretrained wrote"


def opened(source: Path) -> "GGUFReader":
    """The reader of a whole GGUF file that holds a model and its tokenizer.

    Raises:
        UserError: the file is none, was cut, is one of several that belong together, or holds
            something else.
    """
    from gguf import GGUFReader

    with source.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise UserError(f"{source} is no GGUF file: it does not begin with the letters GGUF")
    try:
        reader = GGUFReader(source)
    except Exception as error:  # numpy's and struct's, for whatever is missing first
        raise UserError(
            f"{source} is no whole GGUF file, it may have been cut ({first_line(error)}): fetch it "
            "again"
        ) from error
    if (count := _value(reader, "split.count")) is not None and int(count) > 1:
        raise part_of_several(source, int(count))
    if _value(reader, "tokenizer.ggml.tokens") is None:
        raise UserError(
            f"{source} holds no tokenizer: take a file that holds the model and its tokenizer, or "
            f"{_ADVICE}"
        )
    return reader


def check_read(source: Path, reader: "GGUFReader", model: PreTrainedModel) -> None:
    """Raise UserError if a file says or holds something that transformers ignored.

    It ignores scaled rotary positions, which such files keep as keys of their header or as a tensor
    of factors, and tensors that it does not know.
    """
    ropes = (model.config.get_text_config().to_dict().get("rope_parameters") or {}).items()
    known = {value for key, value in ropes if key == "rope_type"}
    for key, field in reader.fields.items():
        if key.endswith(".rope.scaling.type") and {field.contents()} - {"none"} - known:
            raise UserError(
                f"{source} has rotary positions of type '{field.contents()}', which transformers "
                f"does not read from GGUF files: {_ADVICE}"
            )
    # an output layer may be stored although it is the embedding
    ends: list[Any] = [model.get_input_embeddings(), model.get_output_embeddings()]
    apart = {end.weight.data_ptr() for end in ends if end is not None}
    sizes = {weight.data_ptr(): weight.numel() for weight in model.state_dict().values()}
    wanted = sum(size for place, size in sizes.items() if place not in apart)
    held = {
        tensor.name: int(tensor.n_elements)
        for tensor in reader.tensors
        if tensor.name not in ("token_embd.weight", "output.weight")
    }
    if sum(held.values()) != wanted:
        ropes_held = ", ".join(name for name in held if name.startswith("rope_"))
        raise UserError(
            f"{source} holds {sum(held.values()):,} weights beside the embedding, of which "
            f"transformers knows {wanted:,}{f' (not {ropes_held})' if ropes_held else ''}: "
            f"{_ADVICE}"
        )


def _value(reader: "GGUFReader", key: str) -> Any:
    """The value of a key of the header; None where there is none."""
    field = reader.fields.get(key)
    return None if field is None else field.contents()
