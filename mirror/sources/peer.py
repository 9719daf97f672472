"""Another mirror: its blobs by sha256, over HTTP or from its folder, and its listings.

Any web server over an exported ``cache/`` is a peer: blobs are at ``blobs/sha256/ab/…``,
listings in ``index.json``. A peer is an authority of its own kind, never the publisher.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from mirror.bounds import Bounds
from mirror.errors import NotFoundError, SourceError
from mirror.model import LARGEST, Authority, Claim, Digest, Listing, Refused, RemoteFile, path_fault, safe_path
from mirror.sources.bounds import NONSENSE, NonsenseError, gathered, in_words, pieces
from mirror.sources.failures import located
from mirror.sources.folder import file_path
from mirror.wire import is_secure, redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mirror.sources.opener import Openers

SCHEMA = "minibert-mirror/peer/1"
#: Where a mirror says what it holds, beside its blobs.
INDEX = "index.json"
#: Of an index; a million files of ten thousand artifacts fit.
_BOUNDS = Bounds(1 << 28, objects=1 << 21, lists=1 << 18, values=1 << 23)
_COMMIT = re.compile(r"[0-9a-f]{40}")


class HeldFile(Protocol):
    """One file of an artifact, as the ledger has it."""

    @property
    def path(self) -> str:
        """Where it stands in the artifact."""
        ...

    @property
    def size(self) -> int | None:
        """Bytes, where known."""
        ...

    @property
    def state(self) -> str:
        """``held``, or anything else."""
        ...

    @property
    def sha256(self) -> str | None:
        """What is, or was, held under its name."""
        ...


class Holding(Protocol):
    """One artifact, as the ledger has it."""

    @property
    def artifact(self) -> str:
        """Its name."""
        ...

    @property
    def revision(self) -> str | None:
        """Full commit, where there are revisions."""
        ...

    @property
    def narrowed(self) -> tuple[str, ...] | None:
        """Formats that were listed alone; None for all."""
        ...

    @property
    def files(self) -> Sequence[HeldFile]:
        """Its files."""
        ...


def peer_base(text: str) -> str:
    """Return the base address of a peer given as an http address, a mirror's folder or its ``cache/``.

    Raises:
        NotFoundError: The folder holds no blobs.
        SourceError: A ``file://`` address that makes no sense.
    """
    if text.lower().startswith(("http://", "https://")):
        return text.rstrip("/")
    folder = file_path(text).resolve()
    for cache in (folder, folder / "cache"):
        if (cache / "blobs").is_dir():
            return cache.as_uri()
    raise NotFoundError(f"{folder}: not a mirror: there is no cache/blobs", hint="name another mirror's folder")


def peer_url(base: str, sha256: str) -> str:
    """Return the address of one blob at a peer."""
    return f"{base}/blobs/sha256/{sha256[:2]}/{sha256}"


class Offer(NamedTuple):
    """What a peer says of one artifact.

    Attributes:
        listing: All its files at that revision; those that the peer holds have its address and its word.
        narrowed: Formats that the peer's listing leaves everything else out for; None for the whole artifact.
    """

    listing: Listing
    narrowed: tuple[str, ...] | None

    @property
    def held(self) -> tuple[RemoteFile, ...]:
        """The files that the peer holds."""
        return tuple(file for file in self.listing.files if file.urls)


def promised(file: RemoteFile, base: str, sha256: str) -> RemoteFile:
    """Return ``file`` with the word of the peer at ``base`` on its sha256, and with its address there in front.

    Raises:
        ValueError: ``sha256`` is none.
    """
    claim = Claim(Digest("sha256", sha256), Authority.PEER, f"{redact(base)} index", is_secure(base))
    return replace(file, urls=(peer_url(base, sha256), *file.urls), claims=(*file.claims, claim))


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


def index_lines(holdings: Iterable[Holding], event: int) -> Iterator[str]:
    """Yield the lines of a peer's ``index.json``, one an artifact, so that a large mirror needs no memory for it.

    Args:
        holdings: Every artifact that was listed, as the ledger has it.
        event: Number of the ledger's last event; stands in the first line, so that a stale index is known by it.
    """
    yield f'{{"schema": "{SCHEMA}", "event": {event}, "listings": [\n'
    comma = ""
    for holding in holdings:
        files = [
            {"path": file.path, "size": file.size, "sha256": file.sha256 if file.state == "held" else None}
            for file in holding.files
        ]
        narrowed = None if holding.narrowed is None else list(holding.narrowed)
        entry = {"artifact": holding.artifact, "revision": holding.revision, "narrowed": narrowed, "files": files}
        yield comma + json.dumps(entry, ensure_ascii=False)
        comma = ",\n"
    yield "\n]}\n"


def read_index(data: bytes, base: str) -> tuple[Offer, ...]:
    """Return what the peer at ``base`` offers, from the text of its ``index.json``.

    Raises:
        SourceError: This is no index.
    """
    try:
        return _offers(json.loads(data), base)
    except NONSENSE as error:
        raise SourceError(f"{redact(base)}: not the index of a mirror: {in_words(error)}") from error


def _offers(value: dict[str, Any], base: str) -> tuple[Offer, ...]:
    if value["schema"] != SCHEMA:
        raise NonsenseError(f"its schema is {str(value['schema'])[:60]!a}")
    return tuple(_offer(each, base) for each in value["listings"])


def _offer(value: dict[str, Any], base: str) -> Offer:
    artifact, revision, narrowed = str(value["artifact"]), value["revision"], value["narrowed"]
    if not (revision is None or _COMMIT.fullmatch(revision)):
        raise NonsenseError("a revision is no full commit")
    if not (narrowed is None or (isinstance(narrowed, list) and all(isinstance(name, str) for name in narrowed))):
        raise NonsenseError("what a listing was narrowed to is no list of formats")
    files: list[RemoteFile] = []
    refused: list[Refused] = []
    for entry in value["files"]:
        path = str(entry["path"])
        if safe_path(path):
            files.append(_file(entry, artifact, revision, base))
        else:
            refused.append(Refused(path, path_fault(path)))
    listing = Listing(artifact, revision, tuple(sorted(files, key=lambda file: file.path)), tuple(refused))
    return Offer(listing, None if narrowed is None else tuple(narrowed))


def _file(entry: dict[str, Any], artifact: str, revision: str | None, base: str) -> RemoteFile:
    size, sha256 = entry["size"], entry["sha256"]
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= LARGEST):
        raise NonsenseError("a size is none")
    file = RemoteFile(artifact, str(entry["path"]), (), size, (), revision)
    return file if sha256 is None else promised(file, base, str(sha256))


def list_peer(base: str, openers: Openers) -> tuple[Offer, ...]:
    """Ask the peer at ``base`` what it offers.

    Raises:
        SourceError: It has no index, is not reached, or answers with something else; see ``Openers.open``.
        ImpostorError: It answers with a web page.
    """
    url = f"{base}/{INDEX}"
    with openers.open(url) as reply:
        try:
            data = gathered(pieces(reply), _BOUNDS, stall=openers.stall)
        except SourceError as error:
            raise located(error, url) from error
    return read_index(data, base)
