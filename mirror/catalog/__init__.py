"""The catalog: what is promised, by whom, and how to name it.

``catalog.json`` is edited by hand; this room reads it, checks it, selects from it
and writes it back. It touches that file and nothing else.
"""

from __future__ import annotations

from mirror.catalog.provenance import Provenance
from mirror.catalog.read import builtin_catalog_text, parse, read
from mirror.catalog.select import select
from mirror.catalog.values import Artifact, Catalog, Model, PinnedFile, Shape
from mirror.catalog.write import to_text, write

__all__ = [
    "Artifact",
    "Catalog",
    "Model",
    "PinnedFile",
    "Provenance",
    "Shape",
    "builtin_catalog_text",
    "parse",
    "read",
    "select",
    "to_text",
    "write",
]
