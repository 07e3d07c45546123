"""The rule, the refinement, the readout and the calibration that a job's identity names."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deepthink.store.identity import Identity

_PLAIN = {"refinement": "iterate", "readout": "candidates", "calibration": "none"}
"""The names that an identity leaves out."""


@dataclass(frozen=True)
class Part:
    """A rule, a refinement, a readout or a calibration by its name, with its options.

    source: the SHA-256 of its file; None for a file of this package.
    """

    name: str
    options: tuple[tuple[str, Any], ...] = ()
    source: str | None = None

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> "Part":
        """From an identity's {"name": …, "source": …} with the options beside them."""
        others = {key: value for key, value in described.items() if key not in ("name", "source")}
        return cls(str(described["name"]), tuple(sorted(others.items())), described.get("source"))

    def __str__(self) -> str:
        words = [f"{key}={value}" for key, value in self.options]
        words += [f"file {self.source[:8]}"] if self.source else []
        return f"{self.name} ({', '.join(words)})" if words else self.name


@dataclass(frozen=True)
class Method:
    """The four parts of a method that may come from a file of their own."""

    rule: Part
    refinement: Part
    readout: Part
    calibration: Part

    @classmethod
    def of(cls, identity: Identity) -> "Method":
        """From a job's identity. At T = 1 it names no refinement, since none is used."""
        plain = {kind: {"name": name} for kind, name in _PLAIN.items()}
        return cls(
            Part.of(identity.selector),
            Part.of(identity.thinking.refinement or plain["refinement"]),
            Part.of(identity.readout or plain["readout"]),
            Part.of(identity.calibration or plain["calibration"]),
        )

    @property
    def iterates(self) -> bool:
        """Whether the memory is refined by the paper's iteration."""
        return self.refinement.name == _PLAIN["refinement"]

    @property
    def calibrates(self) -> bool:
        """Whether the model's scores were calibrated when the job ran."""
        return self.calibration.name != _PLAIN["calibration"]
