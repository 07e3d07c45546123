"""The page as one file: content, style, scripts and the charting library, all inside it."""

import base64
import hashlib
import json
from functools import cache
from pathlib import Path

from deepthink.report.site.content import Content

ASSETS = Path(__file__).resolve().parent / "assets"
LIBRARY = ("vendor/d3.min.js", "vendor/plot.umd.min.js")
"""The charting library and what it needs; `assets/vendor/README.md` says where they come from."""

SCRIPTS = (
    "state.js", "parts.js", "cells.js", "table.js", "charts.js", "curves.js", "compare.js",
    "costs.js", "examples.js", "main.js",
)  # fmt: skip
"""The page's own scripts, which are joined in this order into one module."""

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; script-src {scripts}"
)
"""What a browser may do: no request to anywhere, and no script but those of the page."""


def page(content: Content) -> str:
    """The whole page. The same content gives the same bytes.

    The places of a text in the template are comments, such as `<!--style-->`.
    """
    scripts = [_asset(name) for name in LIBRARY]
    module = "\n".join(_asset(name) for name in SCRIPTS)
    allowed = " ".join(f"'sha256-{_hash(script)}'" for script in (*scripts, module))
    parts = {
        "policy": _POLICY.format(scripts=allowed),
        "style": _asset("style.css"),
        "data": data(content),
        "library": "\n".join(f"<script>{script}</script>" for script in scripts),
        "module": f'<script type="module">{module}</script>',
    }
    before, *places = _asset("index.html").split("<!--")
    written = [before]
    for place in places:
        name, _, rest = place.partition("-->")
        written += [parts[name], rest]
    return "".join(written)


def data(content: Content) -> str:
    """The content as JSON that no text in it can end, whatever stands in a name."""
    text = json.dumps(content.json, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", r"\u003c")


@cache
def _asset(name: str) -> str:
    text = (ASSETS / name).read_text(encoding="utf-8")
    assert name.endswith(".html") or "</script" not in text.lower(), name
    return text


def _hash(script: str) -> str:
    """The SHA-256 of a script, as a content security policy names it."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
