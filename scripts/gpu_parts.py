"""Parts of a measurement that is done within a time, kept as each ends, and resumed."""

import json
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from deepthink.files import atomically

ROOT = Path(__file__).resolve().parent.parent
Result = dict[str, Any]


class Skip(Exception):
    """Why a part cannot be done on this machine."""


@dataclass
class Parts:
    """Results by name in one JSON file, of one machine and one state of the code.

    path: the file, which is read when the measurement is resumed.
    signature: what made the results; those of another signature are left aside.
    deadline: when no further part is begun, by time.monotonic.
    """

    path: Path
    signature: dict[str, str]
    deadline: float
    results: dict[str, Result] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.path.exists():
            stored = json.loads(self.path.read_text(encoding="utf-8"))
            if stored["signature"] == self.signature:
                self.results = stored["parts"]

    def left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - time.monotonic()

    def do(self, name: str, seconds: float, make: Callable[[], Result]) -> Result:
        """The result of a part: made now, or read if it was done before.

        A part that may take more seconds than are left is skipped with that reason, and one that
        fails says how. Both are tried again by the next call. Each result has `seconds`, or instead
        `skipped` or `failed`.
        """
        before = self.results.get(name)
        if before is not None and done(before):
            print(f"{name}: done before", flush=True)
            return before
        if self.left() < seconds:
            reason = f"it may take {seconds:.0f} s, and {max(self.left(), 0):.0f} s were left"
            return self._keep(name, {"skipped": reason})
        begin = time.monotonic()
        try:
            result = make()
        except Skip as reason:
            return self._keep(name, {"skipped": str(reason)})
        except Exception as error:  # whatever it is, the other parts are still worth having
            traceback.print_exc()
            return self._keep(name, {"failed": f"{type(error).__name__}: {error}"})
        return self._keep(name, {**result, "seconds": round(time.monotonic() - begin, 1)})

    def _keep(self, name: str, result: Result) -> Result:
        self.results[name] = result
        whole = {"signature": self.signature, "parts": self.results}
        text = json.dumps(whole, indent=1, ensure_ascii=False) + "\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        atomically(self.path, partial(Path.write_text, data=text, encoding="utf-8"))
        print(f"{name}: {state(result)}", flush=True)
        return result


def done(result: Result) -> bool:
    """Whether a part has a result, and was neither skipped nor failed."""
    return "seconds" in result


def state(result: Result) -> str:
    """In words, how a part ended."""
    if done(result):
        return f"{result['seconds']} s"
    return next(f"{how}: {result[how]}" for how in ("skipped", "failed") if how in result)


def code_digest() -> str:
    """SHA-256 of the package's and these scripts' sources."""
    digest = sha256()
    for path in sorted([*(ROOT / "deepthink").rglob("*.py"), *(ROOT / "scripts").glob("gpu*.py")]):
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
