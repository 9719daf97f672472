"""Replies of status 200 that hold something else than the file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mirror.errors import ChangedError

if TYPE_CHECKING:
    from mirror.wire.headers import Fields

# Comments are taken for good: a body that is nothing else would be tried in 2^n ways.
_PAGE = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:(?><!--.*?-->)\s*)*+<(?:!doctype\s+html|html|head|body)\b",
    re.I | re.S,
)
_POINTER = b"version https://git-lfs.github.com/spec/v1\n"
_PAGES = (".html", ".htm", ".xhtml")
_PINNED = re.compile(r"/resolve/([0-9a-f]{40})/")


def looks_like_login_page(content_type: str | None, first_bytes: bytes, path: str) -> bool:
    """Whether a body is a page or a Git LFS pointer where a file was expected.

    Args:
        content_type: The reply's ``Content-Type``, None without one.
        first_bytes: The body's first bytes, a few hundred; empty when none has come yet.
        path: Name of the file that was asked for; a page is expected of ``.html``.

    Returns:
        True when the bytes begin as a page or a pointer does, or, while there are none, when the type says page.
    """
    if first_bytes.startswith(_POINTER):
        return True
    if path.lower().endswith(_PAGES):
        return False
    says_page = (content_type or "").split(";")[0].strip().lower() in {"text/html", "application/xhtml+xml"}
    if not first_bytes:
        return says_page
    return _PAGE.match(first_bytes[:1024]) is not None or (says_page and first_bytes.lstrip()[:1] == b"<")


def check_commit(headers: Fields, url: str) -> None:
    """Refuse a hub's reply that belongs to another commit than the one its address names.

    Raises:
        ChangedError: ``X-Repo-Commit`` is not the revision in ``url``: a mixed-up cache on the way.
    """
    commit = headers.only("x-repo-commit")
    asked = _PINNED.search(url) if commit else None
    if commit and asked and commit != asked[1]:
        raise ChangedError(f"asked for revision {asked[1]}, the hub answers with {commit[:40]}")
