"""Execute the notebooks and write them beside their text: NAME.py to NAME.ipynb.

    make notebooks
    make notebooks ARGS=tour

The .py files are the sources. The .ipynb files hold the same cells with their outputs. Each takes
about a minute.
"""

import argparse
from functools import partial
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

from deepthink.files import atomically

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"


def names() -> list[str]:
    """The names of all notebooks."""
    return sorted(path.stem for path in FOLDER.glob("*.py"))


def executed(name: str) -> NotebookNode:
    """A notebook with its outputs; nbclient's CellExecutionError names a cell that fails."""
    notebook: NotebookNode = jupytext.read(FOLDER / f"{name}.py")
    for place, cell in enumerate(notebook.cells):
        cell.id = f"cell-{place}"
    NotebookClient(notebook, timeout=600, kernel_name="python3").execute(cwd=str(FOLDER.parent))
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # the clock
    notebook.metadata.pop("language_info", None)  # the Python that happened to run it
    return notebook


def main() -> None:
    """Write the notebooks that are asked for, or all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", nargs="*", help=f"{', '.join(names())}; all if left out")
    for name in parser.parse_args().name or names():
        path = FOLDER / f"{name}.ipynb"
        notebook = executed(name)
        atomically(path, partial(nbformat.write, notebook))
        print(path)


if __name__ == "__main__":
    main()
