"""A catalog back to text, in one stable layout, and onto the disk in one step.

What fits a line stands on one line, so that a file of a source is one row to edit.
Reading what was written and writing it again gives the same bytes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mirror.writing import replace_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mirror.catalog.values import Catalog, PinnedFile

WIDTH = 120
_INDENT = 2


def to_text(catalog: Catalog) -> str:
    """Return the text of ``catalog``, in the stable layout."""
    return layout(catalog.data)


def layout(data: Mapping[str, Any]) -> str:
    """Return JSON values as text: lines of at most ``WIDTH`` columns where values allow, two spaces of indent."""
    return _render(data, 0, 0) + "\n"


def write(catalog: Catalog, path: Path) -> None:
    """Replace ``path`` by the text of ``catalog``, all or nothing.

    Raises:
        StoreError: It cannot be written.
    """
    replace_text(path, to_text(catalog))


def plain_values(value: Any) -> Any:
    """Return ``value``, an entry of a catalog, as JSON values only: the objects of files are made again."""
    if isinstance(value, dict):
        if isinstance(value.get("files"), tuple):  # a source: reading made values of its files
            urls = value["kind"] != "hub"
            return value | {"files": [file_entry(file, urls=urls) for file in value["files"]]}
        return {key: plain_values(item) for key, item in value.items()}
    return [plain_values(item) for item in value] if isinstance(value, list) else value


def file_entry(file: PinnedFile, *, urls: bool) -> dict[str, Any]:
    """Return the JSON object of ``file``; ``urls`` is False where they follow from repository and revision."""
    entry: dict[str, Any] = {"path": file.path}
    if file.elsewhere is not None:
        entry["revision"] = file.elsewhere
    if urls:
        entry["urls"] = list(file.urls)
    entry |= {"size": file.size, "sha256": file.sha256, "git_sha1": file.git_sha1, "md5": file.md5}
    entry |= file.extra
    if file.members is not None:
        entry["members"] = [file_entry(member, urls=False) for member in file.members]
    entry["provenance"] = list(file.provenance)
    return entry


def _render(value: Any, indent: int, used: int) -> str:
    """Return ``value`` as text that begins at column ``used`` of a line indented by ``indent``."""
    if isinstance(value, dict):
        if isinstance(value.get("files"), tuple):
            value = plain_values(value)
        parts = [(json.dumps(key, ensure_ascii=False) + ": ", item) for key, item in value.items()]
        return _block("{}", parts, indent, used)
    if isinstance(value, list):
        return _block("[]", [("", item) for item in value], indent, used)
    return json.dumps(value, ensure_ascii=False)


def _block(brackets: str, parts: list[tuple[str, Any]], indent: int, used: int) -> str:
    inner = indent + _INDENT
    texts = [key + _render(item, inner, inner + len(key)) for key, item in parts]
    flat = brackets[0] + ", ".join(texts) + brackets[1]
    # One column is left for the comma that may follow.
    if not texts or ("\n" not in flat and used + len(flat) < WIDTH):
        return flat
    pad = " " * inner
    return f"{brackets[0]}\n{pad}" + f",\n{pad}".join(texts) + f"\n{' ' * indent}{brackets[1]}"
