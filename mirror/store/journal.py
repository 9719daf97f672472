"""The journal of a partial: a small JSON object beside the bytes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mirror.store.layout import is_sha256

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The sha256 that the bytes get as a blob, written right before they do.
COMMITTED = "committed"


def parse(raw: bytes | None) -> dict[str, Any]:
    """Return the journal; an empty one when there is none or it is damaged."""
    try:
        value = json.loads(raw or b"{}")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def encode(facts: Mapping[str, Any]) -> bytes:
    """Return the content of a ``journal.json``."""
    return json.dumps(facts, sort_keys=True).encode()


def committed(facts: Mapping[str, Any]) -> str | None:
    """Return the sha256 that the bytes were published under, or were about to be; None before that."""
    value = facts.get(COMMITTED)
    return value if isinstance(value, str) and is_sha256(value) else None
