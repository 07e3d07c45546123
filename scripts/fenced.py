"""For make docs: the examples of docstrings, which begin with >>>, are shown as code.

Docstrings are Markdown on the site, where a line that begins with > would be a quotation. This is
an extension of griffe, which reads them; mkdocs.yml names it.
"""

import re
from typing import Any

import griffe

EXAMPLE = re.compile(r"^( *)>>> .*(?:\n *\S.*)*", re.MULTILINE)
"""A first line and all that follow it up to an empty one."""


def fenced(text: str) -> str:
    """A docstring with a fence around every example."""
    return EXAMPLE.sub(lambda match: f"{match[1]}```pycon\n{match[0]}\n{match[1]}```", text)


class Fenced(griffe.Extension):
    """Fences the examples of every docstring that is read."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change an object's docstring once it is read."""
        if obj.docstring:
            obj.docstring.value = fenced(obj.docstring.value)
