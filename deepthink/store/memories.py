"""The memories of a job, if they are kept: `<record>-t<t>.safetensors` beside its record.

There is one for every scored iteration t. Where a job has several groups of demonstrations, or
several orders of them, each has its own, `<record>-group<g>-t<t>.safetensors`, counted from 0.
"""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from deepthink.errors import UserError

if TYPE_CHECKING:
    from deepthink.engine.memory import Memory


def place(record: Path, step: int, group: int | None = None) -> Path:
    """The path of a memory of the record at `record`; group: None where there is one group only.

    >>> place(Path("seed0-0a1b2c3d.json"), 5).name
    'seed0-0a1b2c3d-t5.safetensors'
    >>> place(Path("seed0-0a1b2c3d.json"), 5, 12).name
    'seed0-0a1b2c3d-group12-t5.safetensors'
    """
    which = "" if group is None else f"-group{group}"
    return record.with_name(f"{record.stem}{which}-t{step}.safetensors")


def exists(record: Path, step: int) -> bool:
    """Whether the memory of an iteration lies beside a record, of its first group at least.

    >>> exists(Path("nowhere/seed0-0a1b2c3d.json"), 5)
    False
    """
    return any(place(record, step, group).exists() for group in (None, 0))


class Keeper:
    """Writes the memories of a job as they are made.

    Args:
        record: the path of the job's record.
        lengths: L of each group of demonstrations.
        steps: the iterations whose memories are kept.
        tell: called with a line that says what will be written, before anything is.
    """

    def __init__(
        self,
        record: Path,
        lengths: Sequence[int],
        steps: Sequence[int],
        tell: Callable[[str], object],
    ) -> None:
        self._record, self._lengths, self._steps = record, lengths, steps
        self._tell, self._told = tell, False

    def keep(self, memory: "Memory", group: int) -> None:
        """Write a memory of the group with this index.

        Raises:
            UserError: the disk has no room for all memories of the job, or the file cannot be
                written.
        """
        if not self._told:
            self._announce(memory)
        memory.save(place(self._record, memory.step, group if len(self._lengths) > 1 else None))

    def _announce(self, memory: "Memory") -> None:
        """Say how much will be written: all memories of a job have the layers and dtype of this."""
        slot = sum(tensor.nbytes for tensor in memory.tensors) // memory.length
        size, folder = slot * sum(self._lengths) * len(self._steps), self._record.parent
        if size > (free := shutil.disk_usage(folder).free):
            raise UserError(
                f"the memories of this job take {size:,} bytes, but {folder} has {free:,} free: "
                "leave out keep_memory, or set results=FOLDER or method.scored=ends"
            )
        count = len(self._lengths) * len(self._steps)
        names = f"{self._record.stem}{'-group*' if len(self._lengths) > 1 else ''}-t*.safetensors"
        self._tell(f"keeping {count:,} memories, {size / 1e6:,.1f} MB in all, as {names}")
        self._told = True
