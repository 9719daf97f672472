"""The host that the hub redirects to: it knows blobs, signatures and nothing else.

Source: the ``Location`` of the Hub's replies for LFS files: an object store behind
CloudFront, addressed by repository and sha256, with a signature in the query.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, urlencode

from mirror.upstream.conditions import Entity
from mirror.upstream.http import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mirror.upstream.content import Content
    from mirror.upstream.host import Place
    from mirror.upstream.http import Answer, Headers, Request
    from mirror.upstream.repository import Repository

_MODIFIED = "Mon, 01 Jan 2024 00:00:00 GMT"
_SECRET = b"the CDN refuses addresses that nobody signed"
_DENIED = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code><Message>Access denied</Message></Error>'
)


@dataclass(slots=True)
class Cdn:
    """The hub's blobs, by repository and sha256."""

    repositories: Mapping[str, Repository]

    def reply(self, request: Request, place: Place) -> Entity | Answer:
        """Answer one request to the CDN."""
        query = dict(parse_qsl(request.query))
        if not hmac.compare_digest(query.get("Signature", ""), _signature(request.path)):
            return plain(403, _DENIED, "application/xml")
        found = self._find(request)
        if found is None:
            return plain(403, _DENIED, "application/xml")
        repository, path, commit = found
        content = repository.revisions[commit][path].content
        disposition = query.get("response-content-disposition", "attachment")
        return Entity(content, _CdnFile(disposition), repository.others(path, commit))

    def names(self, request: Request) -> list[str]:
        """Return the blob's path and the ``/owner/name/resolve/…`` addresses it stands for."""
        found = self._find(request)
        if found is None:
            return [request.path]
        repository, path, commit = found
        refs = [ref for ref, at in repository.refs.items() if at == commit]
        return [request.path, *(f"/{repository.name}/resolve/{rev}/{path}" for rev in (commit, *refs))]

    def _find(self, request: Request) -> tuple[Repository, str, str] | None:
        """Return repository, path and newest commit of the blob that the path names."""
        parts = request.segments
        if len(parts) < 4 or parts[0] != "repos":
            return None
        repository = self.repositories.get("/".join(parts[1:-2]))
        path = dict(parse_qsl(request.query)).get("path", "")
        for commit, files in reversed(repository.revisions.items()) if repository else ():
            if path in files and files[path].lfs and files[path].content.sha256 == parts[-1]:
                return repository, path, commit  # type: ignore[return-value] # no commits without a repository
        return None


@dataclass(frozen=True, slots=True)
class _CdnFile:
    """Headers of a blob; its ETag is an S3 multipart one, which is no digest of the bytes."""

    disposition: str

    def __call__(self, content: Content) -> Headers:
        etag = hashlib.md5(content.sha256.encode()).hexdigest()
        return (
            ("Content-Type", "binary/octet-stream"),
            ("ETag", f'"{etag}-{1 + content.size // (16 << 20)}"'),
            ("Last-Modified", _MODIFIED),
            ("Accept-Ranges", "bytes"),
            ("Content-Disposition", self.disposition),
            ("Cache-Control", "public, max-age=604800, immutable"),
            ("X-Cache", "Hit from cloudfront"),
        )


def cdn_address(name: str, path: str, content: Content) -> str:
    """Return path and query under which the CDN offers a blob of repository ``name``."""
    key = f"/repos/{quote(name)}/{content.sha256[:2]}/{content.sha256}"
    query = {
        "response-content-disposition": disposition(path.rpartition("/")[2]),
        "path": path,
        "Expires": "4102444800",
        "Signature": _signature(key),
        "Key-Pair-Id": "MINIATURE",
    }
    return f"{key}?{urlencode(query)}"


def _signature(key: str) -> str:
    return hmac.new(_SECRET, key.encode(), "sha256").hexdigest()


def disposition(name: str) -> str:
    """Return the Content-Disposition of a file called ``name``."""
    return f"inline; filename*=UTF-8''{quote(name)}; filename=\"{name}\";"
