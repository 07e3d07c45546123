"""Where files come from: the hub, if there is one, and the caches on this machine."""

import os
import socket
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from huggingface_hub import constants, snapshot_download
from huggingface_hub.utils import disable_progress_bars

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


@cache
def dataset_folder(repository: str, revision: str | None, patterns: tuple[str, ...]) -> Path:
    """A local copy of a dataset repository's files that match the patterns, named by its commit.

    Asks the hub once in a process; offline, the copy is the one in its cache.
    """
    settle()
    disable_progress_bars("huggingface_hub.snapshot_download")  # jobs have a bar of their own
    folder = snapshot_download(
        repository,
        repo_type="dataset",
        revision=revision,
        allow_patterns=list(patterns),
        local_files_only=constants.HF_HUB_OFFLINE,
    )
    return Path(folder)


def cache_folder() -> Path:
    """Where this package keeps files: $DEEPTHINK_CACHE, or deepthink in the user's cache."""
    default = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "deepthink"
    return Path(os.environ.get("DEEPTHINK_CACHE", default))
