"""Is there a hub? Asked once, so that a machine without a network goes straight to the cache."""

import os
import socket
from functools import cache
from urllib.parse import urlsplit

from huggingface_hub import constants

_SECONDS = 5.0


@cache
def settle() -> None:
    """Switch the hub's client to offline mode where its host cannot be reached.

    By itself it would retry for most of a minute before it looks into its cache. Behind a proxy,
    where names may not resolve here, nothing is assumed.
    """
    proxied = any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"))
    if constants.HF_HUB_OFFLINE or proxied:
        return
    address = urlsplit(constants.ENDPOINT)
    port = address.port or (80 if address.scheme == "http" else 443)
    try:
        socket.create_connection((address.hostname or "", port), timeout=_SECONDS).close()
    except OSError:
        constants.HF_HUB_OFFLINE = True
        os.environ["HF_HUB_OFFLINE"] = "1"  # for libraries that are imported later
