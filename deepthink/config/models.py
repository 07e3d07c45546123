"""The models that configs name, and how `model.gguf=FILE` becomes a model of its own."""

import re
from functools import lru_cache
from pathlib import PurePath
from typing import Any

import yaml

from deepthink.config.checks import plain_name
from deepthink.errors import UserError, shown
from deepthink.files import at_home
from deepthink.installation import CONF

SPLIT = re.compile(r"-\d{5}-of-(\d{5})$")
"""What the names of the parts of a split GGUF file end with: which part of how many."""


@lru_cache
def named_model(name: str) -> dict[str, Any]:
    """The values in a model's file of conf/model; an empty dict if it has none."""
    path = CONF / "model" / f"{name}.yaml"
    return dict(yaml.safe_load(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def from_gguf(model: dict[str, Any]) -> dict[str, Any]:
    """The values of a config's model without `gguf`, whose file takes the named model's place.

    The model is then named after the file, unless the user has named it.

    >>> model = {"name": "gpt2-large", "gguf": "x/tiny-Q4_0.gguf", "revision": "main"}
    >>> from_gguf(model)["name"], from_gguf(model)["hub_id"]
    ('tiny-Q4_0', 'x/tiny-Q4_0.gguf')

    Raises:
        UserError: `gguf` is no name of a GGUF file.
    """
    others = {key: value for key, value in model.items() if key != "gguf"}
    file = model.get("gguf")
    if file is None:
        return others
    if not isinstance(file, str) or not file.lower().endswith(".gguf"):
        raise UserError(
            f"model.gguf is {shown(file)}: it takes the path of a .gguf file (model.hub_id takes a "
            "folder, or an id of the hub)"
        )
    others |= {"hub_id": at_home(file), "revision": "main", "package": None}
    if named_model(str(model.get("name"))):  # it belongs to the model whose place is taken
        others |= {"name": gguf_name(file), "parameters": None}
    return others


def gguf_name(file: str) -> str:
    """The name of a model after its GGUF file; the parts of a split file have one name.

    >>> gguf_name("/models/tiny-Q4_0-00001-of-00002.gguf")
    'tiny-Q4_0'
    """
    return plain_name(SPLIT.sub("", PurePath(file).stem))
