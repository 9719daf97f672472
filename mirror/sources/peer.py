"""Another mirror: its blobs by sha256, over HTTP or from its folder, and its listings.

Any web server over an exported ``cache/`` is a peer: blobs are at ``blobs/sha256/ab/…``,
listings in ``index.json``. A peer is an authority of its own kind, never the publisher.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mirror.errors import NotFoundError, SourceError
from mirror.model import Authority, Claim, Digest, Listing, RemoteFile
from mirror.sources.folder import file_path
from mirror.wire import is_secure, redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mirror.sources.opener import Openers

SCHEMA = "minibert-mirror/peer/1"
_INDEX = "index.json"
#: Bytes of an index that are read; a million files fit.
_LARGEST_INDEX = 1 << 29


def peer_base(text: str) -> str:
    """Return the base address of a peer given as an http address, a mirror's folder or its ``cache/``.

    Raises:
        NotFoundError: The folder holds no blobs.
        SourceError: A ``file://`` address that makes no sense.
    """
    if text.lower().startswith(("http://", "https://")):
        return text.rstrip("/")
    folder = file_path(text).absolute()
    for cache in (folder, folder / "cache"):
        if (cache / "blobs").is_dir():
            return cache.as_uri()
    raise NotFoundError(f"{folder}: not a mirror: there is no cache/blobs", hint="name another mirror's folder")


def peer_url(base: str, sha256: str) -> str:
    """Return the address of one blob at a peer."""
    return f"{base}/blobs/sha256/{sha256[:2]}/{sha256}"


def with_peers(file: RemoteFile, bases: Sequence[str], *, first: bool = True) -> RemoteFile:
    """Return ``file`` with the peers' addresses added; unchanged when no sha256 is promised.

    Args:
        file: A file of any source.
        bases: From ``peer_base``.
        first: Whether the peers are asked before the publisher, else after it.
    """
    if file.sha256 is None or not bases:
        return file
    peers = tuple(peer_url(base, file.sha256) for base in bases)
    return replace(file, urls=(*peers, *file.urls) if first else (*file.urls, *peers))


def peer_index(listings: Iterable[tuple[Listing, dict[str, str]]]) -> dict[str, Any]:
    """Return the JSON value of a peer's ``index.json``.

    Args:
        listings: Each listing, with the sha256 (hex) of every path that is held.
    """
    return {
        "schema": SCHEMA,
        "listings": [
            {
                "artifact": listing.artifact,
                "revision": listing.revision,
                "files": [
                    {"path": file.path, "size": file.size, "sha256": held[file.path]}
                    for file in listing.files
                    if file.path in held
                ],
            }
            for listing, held in listings
        ],
    }


def read_index(data: bytes, base: str) -> tuple[Listing, ...]:
    """Return the listings of the peer at ``base``, from the text of its ``index.json``.

    Raises:
        SourceError: This is no index.
    """
    try:
        return _listings(json.loads(data), base)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SourceError(f"{redact(base)}: not the index of a mirror: {error!r}"[:300]) from error


def _listings(value: dict[str, Any], base: str) -> tuple[Listing, ...]:
    if value["schema"] != SCHEMA:
        raise ValueError(f"schema {value['schema']!r}")
    return tuple(_listing(each, base) for each in value["listings"])


def _listing(value: dict[str, Any], base: str) -> Listing:
    artifact, revision = str(value["artifact"]), value["revision"]
    if not (revision is None or isinstance(revision, str)):
        raise TypeError("revision")
    where, secure = f"{redact(base)} index", is_secure(base)
    files = []
    for entry in value["files"]:
        digest = Digest("sha256", str(entry["sha256"]))
        size = entry["size"]
        if not isinstance(size, int) or isinstance(size, bool):
            raise TypeError("size")
        claim = Claim(digest, Authority.PEER, where, secure)
        url = peer_url(base, digest.hex)
        files.append(RemoteFile(artifact, str(entry["path"]), (url,), size, (claim,), revision))
    return Listing(artifact, revision, tuple(sorted(files, key=lambda file: file.path)))


def list_peer(base: str, openers: Openers) -> tuple[Listing, ...]:
    """Ask the peer at ``base`` what it holds.

    Raises:
        SourceError: It has no index, is not reached, or answers with something else; see ``Openers.open``.
        ImpostorError: It answers with a web page.
    """
    url = f"{base}/{_INDEX}"
    data = bytearray()
    buffer = memoryview(bytearray(1 << 16))
    with openers.open(url) as reply:
        while count := reply.readinto(buffer):
            data += buffer[:count]
            if len(data) > _LARGEST_INDEX:
                raise SourceError(f"{redact(url)}: an index of more than {_LARGEST_INDEX} B")
    return read_index(bytes(data), base)
