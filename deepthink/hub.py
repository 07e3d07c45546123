"""Where files come from: the hub, if it can be reached, and the caches on this machine."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from hashlib import sha1
from http.client import HTTPException
from pathlib import Path
from re import fullmatch
from ssl import SSLError
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener, getproxies, proxy_bypass

from huggingface_hub import constants, get_token, hf_hub_download, snapshot_download
from huggingface_hub.utils.tqdm import disable_progress_bars

from deepthink import content
from deepthink.errors import UserError


@cache
def settle() -> None:
    """Switch the hub's client to offline mode where its host cannot be reached.

    By itself the client would retry for most of a minute before it looks into its cache. Where the
    user's token cannot be read, the hub is asked without one; see `token_trouble`.
    """
    if token_trouble() is not None:
        constants.HF_HUB_DISABLE_IMPLICIT_TOKEN = True
    if not constants.HF_HUB_OFFLINE and not reachable(constants.ENDPOINT):
        constants.HF_HUB_OFFLINE = True
        os.environ["HF_HUB_OFFLINE"] = "1"  # for libraries that are imported later


def token_trouble() -> str | None:
    """Why the user's token for the hub cannot be read; None if it can be, or if there is none."""
    try:
        get_token()
    except OSError as error:
        return f"the token in {error.filename} cannot be read ({error.strerror})"
    return None


@cache
def dataset_folder(repository: str, revision: str | None, patterns: tuple[str, ...]) -> Path:
    """A local copy of a dataset repository's files that match the patterns, named by its commit.

    The hub is asked once in a process. Offline, the copy is the one in its cache.
    """
    settle()
    disable_progress_bars()  # jobs have a bar of their own
    folder = snapshot_download(
        repository,
        repo_type="dataset",
        revision=revision,
        allow_patterns=list(patterns),
        local_files_only=constants.HF_HUB_OFFLINE,
    )
    return Path(folder)


def model_folder(repository: str, revision: str) -> Path:
    """The folder of a model repository's files in the hub's cache, named by its commit.

    It holds an adapter's config where there is one, otherwise the model's. The hub is asked once in
    a process. Offline, the commit is the one that the cache has for this revision.
    """
    settle()
    if constants.HF_HUB_OFFLINE:
        return _snapshot(repository, revision, offline=True)
    return _newest(repository, revision)


@cache
def _newest(repository: str, revision: str) -> Path:
    return _snapshot(repository, revision, offline=False)


def _snapshot(repository: str, revision: str, offline: bool) -> Path:
    config = hf_hub_download(repository, "config.json", revision=revision, local_files_only=offline)
    return Path(config).parent


def as_given(path: Path) -> bool:
    """Whether a file in the hub's cache is as the hub gave it, as far as its name can tell.

    The cache names files by their SHA-256 and small ones by git's SHA-1.
    """
    name = path.resolve().name
    if path.resolve().parent.name != "blobs" or not fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", name):
        return True
    if len(name) == 64:
        return content.digest(path) == name
    held = path.read_bytes()  # hosts other than the hub may use the SHA-1 of the file itself
    return name in (sha1(b"blob %d\0" % len(held) + held).hexdigest(), sha1(held).hexdigest())


def cache_folder() -> Path:
    """Where this package keeps files: $DEEPTHINK_CACHE, or `deepthink` in the user's cache."""
    default = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "deepthink"
    return Path(os.environ.get("DEEPTHINK_CACHE", default))


HELD = "in-use.lock"
"""The file in the cache that every process which uses the cache holds until it ends."""


@cache
def hold(folder: Path) -> None:
    """Keep `alone` from beginning until this process ends, and wait for one that has begun.

    Where the folder cannot be written, or the system has no such locks, it does nothing.
    """
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        # never closed, since the lock ends with that
        _lock(os.open(folder / HELD, os.O_RDONLY | os.O_CREAT, 0o644), shared=True)


@contextmanager
def alone() -> Iterator[None]:
    """While the block runs, no process may use the cache.

    Raises:
        UserError: a process uses it, this one included; or the system cannot tell.
    """
    folder = cache_folder()
    if not folder.is_dir():
        yield
        return
    try:
        with (folder / HELD).open("ab") as file:
            _lock(file.fileno(), shared=False)
            yield
    except BlockingIOError as error:
        raise UserError(f"{folder} is in use: try again when no job runs") from error
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{error.filename or folder} cannot be cleared ({reason})") from error


def _lock(number: int, shared: bool) -> None:
    """Lock an open file as long as it is open.

    Raises:
        BlockingIOError: not `shared`, and another process has a lock on the file.
        OSError: the system has no such locks.
    """
    try:
        import fcntl
    except ImportError as error:
        raise OSError(f"this system has no such locks, delete {cache_folder()} yourself") from error
    fcntl.flock(number, fcntl.LOCK_SH if shared else fcntl.LOCK_EX | fcntl.LOCK_NB)


_SECONDS = 5.0
_AWAY = (502, 503, 504)
"""What proxies answer for a host that does not respond, and hosts that are out of service."""


def reachable(url: str) -> bool:
    """Whether the host of a URL answers, through the proxy where there is one."""
    address = urlsplit(url)
    proxies = getproxies()
    proxy = proxies.get(address.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(address.netloc):
        return _answers(url, {})
    if urlsplit(proxy).scheme.startswith("socks"):  # it can only be asked whether it is there
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
    except HTTPError as error:  # the host is there, whatever it says of the request
        return error.code not in _AWAY
    except URLError as error:  # a certificate that is not trusted here is an answer too
        return isinstance(error.reason, SSLError)
    except TimeoutError:  # it accepted the connection and is slow
        return True
    except (OSError, HTTPException, ValueError):
        return False
    return True
