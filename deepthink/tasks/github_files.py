"""Single files of public GitHub repositories: downloaded once, at a commit, checked by hash."""

from pathlib import Path, PurePosixPath

import pooch
from requests import ConnectionError

from deepthink import hub
from deepthink.errors import UserError, first_line
from deepthink.installation import called
from deepthink.tasks.split_files import Absent

HOST = "https://raw.githubusercontent.com"


def folder_of(repository: str, commit: str) -> Path:
    """Where the files of a repository's commit are kept on this machine."""
    return hub.cache_folder() / repository / commit


def fetched(repository: str, commit: str, file: str, sha256: str, kept: str, what: str) -> Path:
    """The path of a file on this machine, which is downloaded if need be.

    Args:
        repository: owner/name on GitHub.
        commit: 40 hexadecimal digits.
        file: its path in the repository.
        sha256: of its content, which is checked.
        kept: its path in `folder_of`.
        what: the word for the file in messages, in the plural.

    Raises:
        Absent: it is not kept and GitHub cannot be reached.
        UserError: it cannot be fetched, or has another hash.
    """
    url = f"{HOST}/{repository}/{commit}/{file}"
    place = PurePosixPath(kept)
    folder = folder_of(repository, commit) / place.parent
    hub.hold(hub.cache_folder())
    pooch.get_logger().setLevel("ERROR")
    try:
        return Path(pooch.retrieve(url, f"sha256:{sha256}", fname=place.name, path=folder))
    except ConnectionError as error:
        raise Absent(
            f"the {what} of {repository} are not cached and {HOST} cannot be reached: set "
            f"data_root to a local mirror, or run '{called()} prefetch' where there is a network"
        ) from error
    except (OSError, ValueError) as error:
        raise UserError(f"{url} cannot be fetched ({first_line(error)})") from error
