"""The miniature's own catalog on disk: where it may be written, and how a demo begins afresh.

It replaces an earlier one of its own and nothing else: somebody's catalog, and the blobs
beside it, are worth more than a demo.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

from mirror.errors import StoreError, UsageError
from mirror.place import CACHE, CATALOG, LOCK, Place, prepare
from mirror.writing import replace_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: What ``conventions`` of such a catalog says; no other has it.
_SIGN = "demo"
_ELSEWHERE = "name another folder, or a new one"


def write_catalog(path: Path, catalog: Mapping[str, Any]) -> None:
    """Write the miniature's ``catalog`` at ``path``; as ``catalog.json`` it gets a cache beside it: a mirror.

    Raises:
        UsageError: Another catalog is there.
        StoreError: It cannot be written.
    """
    if not (path.is_fifo() or path.is_char_device()):  # nothing is kept in these, and reading one would wait for ever
        _earlier(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{path.parent}: {error.strerror}") from error
    if path.name == CATALOG:
        prepare(Place(path.parent, ""))
    replace_text(path, json.dumps(catalog, indent=1, ensure_ascii=False) + "\n")


def clear(folder: Path) -> bool:
    """Make ``folder`` ready for a demo; whether an earlier demo's files were removed from it.

    Raises:
        UsageError: It is somebody's mirror, or an earlier demo's with models that somebody added.
        StoreError: It cannot be written.
    """
    from mirror.catalog import builtin_catalog_text

    earlier, cache = _earlier(folder / CATALOG), folder / CACHE
    try:
        if earlier is None and cache.exists() and any(cache.iterdir()):
            raise UsageError(f"{folder} has a {CACHE}/ that is not a demo's", hint=_ELSEWHERE)
        if earlier is not None:
            if _models(earlier) - _models(json.loads(builtin_catalog_text())):
                raise UsageError(f"{folder}: models were added to this demo's mirror", hint=_ELSEWHERE)
            if cache.exists():
                shutil.rmtree(cache)
            (folder / LOCK).unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{folder}: {error.strerror or error}") from error
    prepare(Place(folder, ""))
    return earlier is not None


def _earlier(path: Path) -> dict[str, Any] | None:
    """Return an earlier catalog of the miniature; None when there is none at all.

    Raises:
        UsageError: Another one is there.
    """
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if _SIGN in found["conventions"]:
            return found
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        pass  # whatever it is, it is not ours
    raise UsageError(f"{path} is there already, and not the catalog of a demo: it is kept", hint=_ELSEWHERE)


def _models(catalog: Mapping[str, Any]) -> set[str]:
    return {model["id"] for model in catalog["models"]}
