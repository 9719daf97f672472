"""What differs between two catalogs, entry by entry."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from mirror.catalog.write import plain_values

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mirror.catalog.values import Catalog


class Change(NamedTuple):
    """One difference between two catalogs.

    Attributes:
        kind: ``added``, ``removed`` or ``changed``.
        where: Path into the catalog, ids in place of numbers.
        before: Value in the old catalog; None when added.
        after: Value in the new catalog; None when removed.
    """

    kind: str
    where: str
    before: Any
    after: Any

    def __str__(self) -> str:
        if self.kind == "changed":
            return f"~ {self.where}: {_short(self.before)} -> {_short(self.after)}"
        sign, value = ("+", self.after) if self.kind == "added" else ("-", self.before)
        return f"{sign} {self.where}" + ("" if isinstance(value, dict) else f": {_short(value)}")


def diff(old: Catalog, new: Catalog) -> list[Change]:
    """Return every difference between two catalogs; the order of entries does not count."""
    return list(_differences(plain_values(old.data), plain_values(new.data), []))


def _differences(old: Any, new: Any, path: list[str]) -> Iterator[Change]:
    where = "/".join(path)
    if isinstance(old, list) and isinstance(new, list):
        keyed_old, keyed_new = _keyed(old), _keyed(new)
        if keyed_old is not None and keyed_new is not None:
            old, new = keyed_old, keyed_new
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            at = [*path, key]
            if key not in new:
                yield Change("removed", "/".join(at), old[key], None)
            elif key not in old:
                yield Change("added", "/".join(at), None, new[key])
            else:
                yield from _differences(old[key], new[key], at)
    elif old != new:
        yield Change("changed", where, old, new)


def _keyed(items: list[Any]) -> dict[str, Any] | None:
    """Return a list of entries by what identifies each; None for any other list."""
    keyed: dict[str, Any] = {}
    for item in items:
        names = [name for name in ("id", "path", "what") if name in item] if isinstance(item, dict) else []
        if not names or item[names[0]] in keyed:
            return None
        keyed[item[names[0]]] = item
    return keyed


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else f"{text[:97]}..."
