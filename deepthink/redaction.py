"""Tokens and passwords are starred out of whatever is told, stored or sent."""

import netrc
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_HUB_TOKEN", "WANDB_API_KEY")
_SHAPES = re.compile(r"hf_[A-Za-z0-9]{20,}|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)")
"""A token of the hub, and the user and password of an address, wherever they come from."""


def without_secrets(text: str) -> str:
    """A text without this user's tokens, and without what looks like one."""
    for secret in sorted(_known(), key=len, reverse=True):
        text = text.replace(secret, "***")
    return _SHAPES.sub("***", text)


def redacted(value: Any) -> Any:
    """The same for every text of nested lists and dicts."""
    if isinstance(value, str):
        return without_secrets(value)
    if isinstance(value, dict):
        return {key: redacted(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(one) for one in value]
    return value


def _known() -> set[str]:
    return {secret for secret in _secrets() if secret}


def _secrets() -> Iterator[str | None]:
    from huggingface_hub import get_token  # slow to import: only what fails needs it

    with suppress(OSError):  # a token of somebody else's, or no home: it was not read
        yield get_token()
    yield from map(os.environ.get, _VARIABLES)
    try:
        hosts = netrc.netrc(os.environ.get("NETRC")).hosts.items()
    except (OSError, netrc.NetrcParseError):  # there is none
        return
    yield from (login[2] for host, login in hosts if "wandb" in host)
