"""Tokens and passwords: refused in a config, replaced by stars in what is printed, kept or sent."""

import netrc
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from deepthink.errors import UserError

_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_HUB_TOKEN", "WANDB_API_KEY")
_SECRETIVE = re.compile(
    r"(^|_)(TOKEN|API_?KEY|ACCESS_KEY|SECRET|SECRET_KEY|PASSWORD|PASSWD)$", re.IGNORECASE
)
"""Names of other programs' environment variables whose values are secrets too."""

_SHAPES = re.compile(
    r"hf_[A-Za-z0-9]{20,}"
    r"|wandb_v\d+_[A-Za-z0-9_]{20,}"
    r"|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}"
    r"|(?<=://)[^/\s:@]*:[^/\s]+(?=@)"
    r"|(?<=://)[^/\s:@]{20,}(?=@)"
    r"|(?<=[?&])(?i:(?:access_|auth_)?token|api_?key|passw(?:or)?d|secret|(?:x-amz-)?signature|sig)"
    r"=[^&\s]+"
)
"""What a token of the hub, W&B or GitHub looks like, and a password or token in an address."""

_TELLING = 8
"""A shorter secret may be part of an innocent word, so it only counts as a whole text."""


def without_secrets(text: str) -> str:
    """A text in which this user's secrets, and what looks like one, are replaced by stars.

    >>> without_secrets("https://me:hunter2@host/data")
    'https://***@host/data'
    """
    for secret in sorted(_known(), key=len, reverse=True):
        text = text.replace(secret, "***")
    return _SHAPES.sub("***", text)


def redacted(value: Any) -> Any:
    """Nested lists and dicts with `without_secrets` applied to every text, keys included."""
    if isinstance(value, str):
        return without_secrets(value)
    if isinstance(value, dict):
        return {redacted(key): redacted(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(inner) for inner in value]
    return value


def refuse_secrets(settings: Iterable[tuple[str, str]]) -> None:
    """Raise UserError for the first setting, a key and its text, that holds a secret.

    Settings are stored with every result and sent to Weights & Biases.
    """
    known = _known()
    for key, text in settings:
        if (
            text in known
            or any(len(secret) >= _TELLING and secret in text for secret in known)
            or _SHAPES.search(text)
        ):
            raise UserError(
                f"{without_secrets(key)} holds a token or a password, which would be stored with "
                "every result: leave it out; tokens belong in HF_TOKEN and WANDB_API_KEY"
            )


def _known() -> set[str]:
    return {secret.strip() for secret in _secrets() if secret and secret.strip()}


def _secrets() -> Iterator[str | None]:
    for name, value in os.environ.items():
        if name in _VARIABLES or (_SECRETIVE.search(name) and len(value) >= _TELLING):
            yield value
    with suppress(OSError, RuntimeError, ValueError):  # no token, or none that this user may read
        from huggingface_hub import get_token  # slow to import

        yield get_token()
    with suppress(OSError, RuntimeError, netrc.NetrcParseError, ValueError):
        hosts = netrc.netrc(os.environ.get("NETRC")).hosts.items()
        yield from (login[2] for host, login in hosts if "wandb" in host)
