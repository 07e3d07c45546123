"""The models that configs name, and what takes the place of one: a GGUF file or a package."""

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

INSTALLED = "installed"
"""The revision of a package whose installed version is taken, whichever it is."""


@lru_cache
def named_model(name: str) -> dict[str, Any]:
    """The values in a model's file of conf/model; an empty dict if it has none."""
    path = CONF / "model" / f"{name}.yaml"
    return dict(yaml.safe_load(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def models_of(package: str) -> list[dict[str, Any]]:
    """The values of every model in conf/model whose weights a package holds."""
    models = [named_model(path.stem) for path in sorted((CONF / "model").glob("[!_]*.yaml"))]
    return [model for model in models if model.get("package") == package.replace("-", "_")]


def taken_place(model: dict[str, Any]) -> dict[str, Any]:
    """The values of a config's model without `gguf`: a file or package takes the named one's place.

    The model is then named after the file or the package, unless the user has named it.

    >>> model = {"name": "gpt2-large", "gguf": "x/tiny-Q4_0.gguf", "revision": "main"}
    >>> taken_place(model)["name"], taken_place(model)["hub_id"]
    ('tiny-Q4_0', 'x/tiny-Q4_0.gguf')

    Raises:
        UserError: `gguf` is no name of a GGUF file.
    """
    others = {key: value for key, value in model.items() if key != "gguf"}
    if (file := model.get("gguf")) is not None:
        others |= _of_file(file)
        name = gguf_name(file)
    elif _other_package(model):
        package = model["package"]
        if held := models_of(package):
            return {**held[0], "dtype": model.get("dtype")}
        others |= {"hub_id": package, "revision": INSTALLED}
        name = plain_name(package)
    else:
        return others
    if named_model(str(model.get("name"))):  # it belongs to the model whose place is taken
        others |= {"name": name, "parameters": None}
    return others


def _of_file(file: object) -> dict[str, Any]:
    if not isinstance(file, str) or not file.lower().endswith(".gguf"):
        raise UserError(
            f"model.gguf is {shown(file)}: it takes the path of a .gguf file (model.hub_id takes a "
            "folder, or an id of the hub)"
        )
    return {"hub_id": at_home(file), "revision": "main", "package": None}


def _other_package(model: dict[str, Any]) -> bool:
    """Whether the user gave a package of weights, and nothing else of the named model."""
    known, package = named_model(str(model.get("name"))), model.get("package")
    same = all(model.get(key) == known.get(key) for key in ("hub_id", "revision"))
    return isinstance(package, str) and same and package != known.get("package")


def gguf_name(file: str) -> str:
    """The name of a model after its GGUF file; the parts of a split file have one name.

    >>> gguf_name("/models/tiny-Q4_0-00001-of-00002.gguf")
    'tiny-Q4_0'
    """
    return plain_name(SPLIT.sub("", PurePath(file).stem))
