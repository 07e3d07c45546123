"""Calls of transformers that read a model's files: without its own messages, errors in one line."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from logging import CRITICAL, INFO, getLogger

import torch
from transformers.utils import logging as transformers_logging

from deepthink.config.job import ModelSpec
from deepthink.engine.out_of_memory import allocating
from deepthink.errors import UserError
from deepthink.models.faults import in_one_line


@contextmanager
def reading(spec: ModelSpec) -> Iterator[None]:
    """Turn any error in reading a model into a UserError of one line, and show nothing else."""
    with in_one_line(spec), _fitting(spec), _quietly():
        yield


@contextmanager
def _fitting(spec: ModelSpec) -> Iterator[None]:
    try:
        with allocating():
            yield
    except torch.OutOfMemoryError as error:
        raise UserError(f"{spec.name} does not fit into the device's memory") from error


@contextmanager
def _quietly() -> Iterator[None]:
    """Silence what transformers and accelerate print by themselves. What matters is raised.

    Their messages, but no progress bars, are let through if the logger "deepthink" shows INFO.
    """
    transformers_logging.disable_progress_bar()
    if getLogger("deepthink").isEnabledFor(INFO):
        yield
        return
    before, accelerate = transformers_logging.get_verbosity(), getLogger("accelerate")
    level = accelerate.level
    transformers_logging.set_verbosity(CRITICAL)
    accelerate.setLevel(CRITICAL)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        transformers_logging.set_verbosity(before)
        accelerate.setLevel(level)
