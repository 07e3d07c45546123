"""Write site/index.html, the page to question: every number of a results folder in one file.

Without --results, the folder is results, which holds the published study, or results/local where no
study is published. The page needs no server and no network. No model is loaded, and the same
records always give the same bytes.
"""

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from deepthink.app import terminal
from deepthink.app.commands.tables import folder, named_folder, writing
from deepthink.app.progress_bar import watching
from deepthink.report import page
from deepthink.report.site import content, html
from deepthink.report.words import printable
from deepthink.report.writer import Writer

NAME = "site/index.html"
"""The page, relative to the folder of results."""


def main(words: Sequence[str]) -> None:
    """Write the page and print where it is; UserError if that cannot be done."""
    write(folder(named_folder("site", __doc__, words)))


def write(results: Path) -> None:
    """Write the page of one folder; UserError if it cannot be written."""
    begin = perf_counter()
    with writing(results), watching(terminal.console()) as watch:
        watch.stage("reading records")
        runs = page.load(results)
        asked = page.studied(runs)
        *opening, _links = page.Found.of(asked).opening or ("",)
        text = html.page(content.build(asked, watch.stage, tuple(opening)))
        Writer(results).text(NAME, text)
    for path, why in runs.broken.items():
        print(f"left out: {printable(results / path)} {why}")
    size = len(text.encode()) / 1e6
    print(
        f"{results / NAME}: {size:.1f} MB in {perf_counter() - begin:.0f} s; open it in a browser"
    )
