"""Whether a host answers, found out in seconds."""

import os
import socket
from urllib.parse import urlsplit

_SECONDS = 5.0
_PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


def reachable(url: str) -> bool:
    """Whether the host of a URL accepts connections.

    Behind a proxy, where names may not resolve here, it is taken to.
    """
    if any(os.environ.get(name) for name in _PROXIES):
        return True
    address = urlsplit(url)
    port = address.port or (80 if address.scheme == "http" else 443)
    try:
        socket.create_connection((address.hostname or "", port), timeout=_SECONDS).close()
    except OSError:
        return False
    return True
