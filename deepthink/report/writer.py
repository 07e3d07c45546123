"""Writes the files of a report atomically, and removes generated files that are stale."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.figure import Figure

from deepthink.files import atomically

_FOLDERS = {"tables": (".md", ".tex", ".csv"), "figures": (".pdf", ".png", ".md")}
"""The folders of generated files, and the endings of their names."""


@dataclass
class Writer:
    """Writes files under `results`, and knows as stale the generated files it did not write."""

    results: Path
    written: list[Path] = field(default_factory=list)

    def text(self, name: str, content: str) -> None:
        """Write a text file."""
        self._put(name, lambda path: path.write_text(content, encoding="utf-8"))

    def figure(self, name: str, drawn: Figure) -> None:
        """Write a figure as PDF and as PNG. The same figure gives the same bytes."""
        metadata = {"pdf": {"CreationDate": None, "Producer": None}, "png": {"Software": None}}
        for kind, about in metadata.items():

            def save(path: Path, kind: str = kind, about: dict[str, None] = about) -> None:
                drawn.savefig(path, format=kind, metadata=about, dpi=150)

            self._put(f"figures/{name}.{kind}", save)

    def _put(self, name: str, write_to: Callable[[Path], object]) -> None:
        path = self.results / name
        path.parent.mkdir(parents=True, exist_ok=True)
        atomically(path, write_to)
        self.written.append(path)

    def sweep(self) -> None:
        """Remove generated files that were not written this time."""
        for folder, endings in _FOLDERS.items():
            for path in (self.results / folder).glob("*"):
                ours = path.suffix in endings and path.is_file()
                if ours and path not in self.written:
                    path.unlink()
