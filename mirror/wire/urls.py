"""Addresses: what may be shown of one, whom it belongs to, and those of a hub.

No function here trusts an address to be well-formed: a catalog, a redirect and a
command line all bring their own.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import quote, urlsplit

from mirror import evidence

_BASE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
#: An address with nothing to redact: most are, and splitting one costs more than the rest of its reply's rules.
_PLAIN = re.compile(r"https?://[a-z0-9.-]+(?::[1-9][0-9]{0,4})?/[\w./%+~-]*", re.ASCII)
_DEFAULT_PORT = {"http": 80, "https": 443}


def redact(url: str) -> str:
    """Return ``url`` as it may be shown and stored: without user info, query and fragment.

    A query may be a signature that opens a private object; user info is a password.
    """
    if _PLAIN.fullmatch(url):
        return url
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "(malformed address)"
    if ":" in host:
        host = f"[{host}]"
    where = host if port is None else f"{host}:{port}"
    scheme = f"{parts.scheme}:" if parts.scheme else ""
    shown = f"{scheme}//{where}{parts.path}" if scheme or where else parts.path
    return shown if shown.isprintable() else "".join(sign if sign.isprintable() else "�" for sign in shown)


def origin(url: str) -> tuple[str, str, int] | None:
    """Return scheme, host and port of ``url``; None when it has no host.

    Source: RFC 6454 §4 (the origin of a URI).
    """
    return _origin(_base(url))


def host(url: str) -> str:
    """Return whom politeness towards ``url`` is owed to: host and port as they are written, without user info."""
    return _base(url).rpartition("/")[2].rpartition("@")[2]


def is_secure(url: str) -> bool:
    """Whether nobody between ``url`` and us can change what is said; a malformed address is not secure."""
    return _is_secure(_base(url))


def _base(url: str) -> str:
    """Return the part of ``url`` before its path, so that all files of a host share one entry of the caches."""
    match = _BASE.match(url)
    return match[0] if match else url


@lru_cache(maxsize=256)
def _origin(base: str) -> tuple[str, str, int] | None:
    try:
        parts = urlsplit(base)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host:
        return None
    return parts.scheme, host, port or _DEFAULT_PORT.get(parts.scheme, 0)


@lru_cache(maxsize=256)
def _is_secure(base: str) -> bool:
    try:
        return evidence.is_secure(base)
    except ValueError:
        return False


def resolve_url(endpoint: str, repo: str, revision: str, path: str) -> str:
    """Return the address of one file of a hub repository.

    A revision is one percent-encoded segment (``refs%2Fpr%2F1``), a path keeps its slashes.

    Source: ``huggingface_hub.hf_hub_url``.
    """
    return f"{endpoint.rstrip('/')}/{repo}/resolve/{quote(revision, safe='')}/{quote(path)}"
