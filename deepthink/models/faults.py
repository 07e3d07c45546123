"""Errors on the way to a model's files, each said in one line."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError

from deepthink import hub
from deepthink.config.job import ModelSpec
from deepthink.config.models import named_model
from deepthink.errors import UserError, first_line
from deepthink.installation import called


@contextmanager
def in_one_line(spec: ModelSpec) -> Iterator[None]:
    """Turn any error in resolving or loading a model into a UserError of one line."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(explain(error, spec)) from error


_FULL = (errno.ENOSPC, errno.EDQUOT)
_UNREADABLE = (errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EROFS, errno.EIO, errno.ELOOP)


def explain(error: Exception, spec: ModelSpec) -> str:
    """What went wrong in resolving or loading a model, in one line that says what to do."""
    chain = [*_chain(error)]
    text = " ".join(f"{type(cause).__name__}: {cause}" for cause in chain)
    trouble = f" ({why})" if (why := hub.token_trouble()) else ""
    if "GatedRepo" in text or "gated repo" in text:
        return (
            f"{spec.hub_id} is gated: accept its licence on the hub, then run 'hf auth login' "
            f"or set HF_TOKEN{trouble}"
        )
    if "RepositoryNotFound" in text or "RevisionNotFound" in text:
        return f"the hub has no model '{spec.hub_id}' at revision '{spec.revision}'{trouble}"
    if "RemoteEntryNotFound" in text:
        return f"{spec.hub_id} on the hub is no model of transformers: it lacks config.json"
    for cause in chain:
        if isinstance(cause, OSError) and cause.errno in _FULL:
            return f"no space is left for {spec.hub_id} (HF_HOME says where the hub's files go)"
        if isinstance(cause, OSError) and cause.errno in _UNREADABLE:
            return f"{cause.filename or spec.hub_id} cannot be used ({cause.strerror})"
    if any(word in text for word in ("Offline", "ConnectionError", "ConnectError", "LocalEntry")):
        return (
            f"{spec.hub_id} is no folder here, not cached, and the hub cannot be reached: run "
            f"'{called()} prefetch {asked_by(spec)}' where there is a network"
        )
    if isinstance(error, UnpicklingError):
        return f"the weights of {spec.hub_id} hold pickled objects that are not tensors: refused"
    what = f"{type(error).__name__}: {first_line(error)}"
    return f"{spec.hub_id} cannot be loaded, a file may be incomplete or of another kind ({what})"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, its cause, the cause of that, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def asked_by(spec: ModelSpec) -> str:
    """The command-line words that ask for a model."""
    known = named_model(spec.name)
    if (known.get("hub_id"), known.get("package")) == (spec.hub_id, spec.package):
        return f"model={spec.name}"
    return f"model.hub_id={spec.hub_id} model.revision={spec.revision} model.package=null"


def part_of_several(source: Path, count: int) -> UserError:
    """The error for one of several files that a model was split into."""
    return UserError(
        f"{source} is one of {count} files that hold a model together: join them by llama.cpp's "
        "llama-gguf-split --merge, and name the file that it writes"
    )
