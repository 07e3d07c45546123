"""Where files come from: the hub, if there is one, and the caches on this machine."""

import os
from functools import cache
from pathlib import Path

from huggingface_hub import constants, snapshot_download
from huggingface_hub.utils import disable_progress_bars

from deepthink.network import reachable


@cache
def settle() -> None:
    """Switch the hub's client to offline mode where its host cannot be reached.

    By itself it would retry for most of a minute before it looks into its cache.
    """
    if not constants.HF_HUB_OFFLINE and not reachable(constants.ENDPOINT):
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
