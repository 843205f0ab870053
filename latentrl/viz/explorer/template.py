"""The page as one file: template, style, script and document."""

from __future__ import annotations

import html
from importlib import resources
from typing import Any

from latentrl.viz.explorer.encoding import to_json

SCRIPTS = ("engine", "data", "charts", "factors", "sliders", "strip", "map", "upload", "page")
"""Parts of the script, in order."""
NETWORKS = ("decoder", "encoder")
"""Items of the document that are JSON texts already."""


def page(document: dict[str, Any]) -> str:
    """Return the HTML of a document; without ``decoder`` and ``encoder`` it has neither."""
    texts = {name: document.get(name) or "null" for name in NETWORKS}
    rest = {name: item for name, item in document.items() if name not in NETWORKS}
    parts = {
        "title": html.escape(document["title"]),
        "style": _source("page.css"),
        "script": "\n".join(_source(f"{name}.js") for name in SCRIPTS),
        "document": _inert(to_json(rest)),
        **texts,
    }
    return _filled(_source("page.html"), parts)


def _source(name: str) -> str:
    return resources.files("latentrl.viz.explorer").joinpath(name).read_text(encoding="utf-8")


def _inert(text: str) -> str:
    # "</script>" or "<!--" inside a string would end the element.
    return text.replace("<", "\\u003c")


def _filled(template: str, parts: dict[str, str]) -> str:
    # From left to right, so that no part is searched for the names of others.
    head, *rest = template.split("{{")
    pieces = [head]
    for piece in rest:
        name, tail = piece.split("}}", 1)
        pieces += [parts[name], tail]
    return "".join(pieces)
