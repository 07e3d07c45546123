"""Whether a host answers, found out in seconds."""

import socket
from http.client import HTTPException
from ssl import SSLError
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener, getproxies, proxy_bypass

_SECONDS = 5.0
_AWAY = (502, 503, 504)
"""What proxies answer for a host that does not, and hosts that are not at work."""


def reachable(url: str) -> bool:
    """Whether the host of a URL answers, through the proxy where there is one."""
    address = urlsplit(url)
    proxies = getproxies()
    proxy = proxies.get(address.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(address.netloc):
        return _answers(url, {})
    if urlsplit(proxy).scheme.startswith("socks"):  # whether it is there is all that can be asked
        return _accepts(proxy)
    return _answers(url, {address.scheme: proxy})


def _accepts(url: str) -> bool:
    address = urlsplit(url)
    try:
        socket.create_connection((address.hostname or "", address.port or 1080), _SECONDS).close()
    except (OSError, ValueError):
        return False
    return True


def _answers(url: str, proxies: dict[str, str]) -> bool:
    try:
        opener = build_opener(ProxyHandler(proxies))
        opener.open(Request(url, method="HEAD"), timeout=_SECONDS).close()
    except HTTPError as error:  # it does not like the question
        return error.code not in _AWAY
    except URLError as error:  # a certificate that only the clients know is an answer too
        return isinstance(error.reason, SSLError)
    except TimeoutError:  # it accepted, and is slow
        return True
    except (OSError, HTTPException, ValueError):
        return False
    return True
