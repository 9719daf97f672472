"""The values that pass from room to room: small, frozen, checked once.

Sizes and offsets are bytes, durations seconds, times aware UTC. Nothing here does
I/O. A value is checked in ``__post_init__`` and trusted ever after.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

#: Hexadecimal digits of each digest we know.
HEX_LENGTH = {"sha256": 64, "git-sha1": 40, "md5": 32, "crc32": 8, "crc32c": 8}
#: Digests for which nobody can craft a second file (of git-sha1: with git's collision check).
STRONG = frozenset({"sha256", "git-sha1"})
#: Bytes of a file at the most: a ledger's number has 63 bits.
LARGEST = (1 << 63) - 1
_HEX = re.compile(r"[0-9a-f]+")
#: Spaces of other scripts: nothing that a terminal would obey, and common in names.
_SPACES = frozenset("\u00a0\u2002\u2003\u2009\u202f\u3000")


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """An algorithm and lower-case hex, written ``sha256:…``.

    ``git-sha1`` is the sha1 of ``"blob <size>"``, a zero byte and the bytes, git's object id.
    CRCs are eight digits, most significant byte first.
    """

    algorithm: str
    hex: str

    def __post_init__(self) -> None:
        length = HEX_LENGTH.get(self.algorithm)
        if length is None:
            raise ValueError(f"unknown digest algorithm {self.algorithm!r}")
        if len(self.hex) != length or not _HEX.fullmatch(self.hex):
            raise ValueError(f"{self.hex!r} is not a {self.algorithm}")

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Return the digest written as ``algorithm:hex``; ValueError when it is none."""
        algorithm, _, hexdigits = text.partition(":")
        return cls(algorithm, hexdigits.lower())


class Authority(StrEnum):
    """Who says what a digest should be."""

    CATALOG = "catalog"  # a pin in catalog.json
    LOCK = "lock"  # a pin in catalog.lock.json
    PUBLISHER = "publisher"  # the source's own API or header
    MEMBER = "member"  # the CRC-32 that a zip holds for its own members
    PEER = "peer"  # another mirror
    CARRIER = "carrier"  # a disk of the user's that only carried the bytes: it vouches for the way, not for them
    LEDGER = "ledger"  # what we saw at first contact


class Claim(NamedTuple):
    """One authority's word on one digest of one file.

    Attributes:
        digest: The digest that the bytes should have.
        authority: Who says so.
        where: Host, header or provenance, for people: ``"storage.googleapis.com x-goog-hash"``.
        secure: Whether nobody on the way could have changed the word: TLS, loopback, a local file.
    """

    digest: Digest
    authority: Authority
    where: str
    secure: bool = True

    def __str__(self) -> str:
        return f"{self.authority} ({self.where}) says {self.digest}"


class Level(StrEnum):
    """What is known about one blob; see ``evidence.judge``."""

    PINNED = "pinned"
    ATTESTED = "attested"
    CHECKED = "checked"
    FIRST_SEEN = "first-seen"
    DISPUTED = "disputed"


def printable(text: str) -> str:
    """Return ``text``, such as a host's word or a file's name, with what a terminal would obey as Python escapes it."""
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() or sign in _SPACES else sign.encode("unicode_escape", "surrogatepass").decode()
        for sign in text
    )


def safe_path(path: str) -> bool:
    """Whether ``path`` is relative, POSIX, printable and stays where it is put.

    Signs that Windows has other uses for (``:``, ``?`` …) are signs like any other; the backslash is not, since
    what leads nowhere here would lead elsewhere there.
    """
    return (
        0 < len(path) <= 1024
        and path.isprintable()  # asked first: half a surrogate could not be encoded
        and all(part not in {"", ".", ".."} and len(part.encode()) <= 255 for part in path.split("/"))
        and "\\" not in path
    )


def path_fault(path: str) -> str:
    """Return in words why ``path`` is not safe."""
    if path and not path.isprintable():
        return "its path holds signs that cannot be printed"
    if any(part in {"", ".", ".."} for part in path.split("/")):
        return "its path leads elsewhere"
    return "its path holds a backslash" if "\\" in path else "its path is too long"


def file_and_folder(paths: Iterable[str]) -> str | None:
    """Return the first path that others stand below, as if it were a folder; None when every one can be a file."""
    files = set(paths)
    above = {"/".join(parts[:end]) for parts in (path.split("/") for path in files) for end in range(1, len(parts))}
    return min(files & above, default=None)


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One path of an artifact, and what is promised of it.

    Attributes:
        artifact: Name of the artifact, ``bert-tiny@huggingface``.
        path: Where it stands in the artifact: relative, POSIX, without ``..``.
        urls: Addresses that offer the same bytes, best first.
        size: Bytes, where known beforehand.
        claims: Every digest that is promised beforehand.
        revision: Full commit that the file belongs to, where the source has such a thing.
    """

    artifact: str
    path: str
    urls: tuple[str, ...]
    size: int | None = None
    claims: tuple[Claim, ...] = ()
    revision: str | None = None

    def __post_init__(self) -> None:
        if not safe_path(self.path):
            raise ValueError(f"unsafe path {self.path!r}")
        if self.size is not None and self.size < 0:
            raise ValueError(f"{self.path}: negative size")
        if self.size is not None and self.size > LARGEST:
            raise ValueError(f"{self.path}: no file is as large as that")

    @property
    def sha256(self) -> str | None:
        """The sha256 (hex) that is promised; None when nobody promises one or two differ."""
        known = {claim.digest.hex for claim in self.claims if claim.digest.algorithm == "sha256"}
        return known.pop() if len(known) == 1 else None

    def __str__(self) -> str:
        return f"{self.artifact}/{self.path}"


class Refused(NamedTuple):
    """One file that a source lists and that cannot be taken.

    Attributes:
        path: What the source calls it; not safe to print.
        why: The reason, for people.
    """

    path: str
    why: str

    def __str__(self) -> str:
        return f"{self.path[:80]!a}: {self.why}"


class Listing(NamedTuple):
    """What one artifact consists of, as its source says, at one revision.

    Attributes:
        artifact: Name of the artifact.
        revision: Full commit, or None where the source has no revisions.
        files: The files, sorted by path.
        refused: Files that are listed so that they cannot be taken; the others come without them.
    """

    artifact: str
    revision: str | None
    files: tuple[RemoteFile, ...]
    refused: tuple[Refused, ...] = ()


class Blob(NamedTuple):
    """Whole bytes in the store, named by their sha256."""

    sha256: str
    size: int
    path: Path


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened; a row of the ledger once it is recorded.

    Attributes:
        kind: A word of the ledger's list: ``listed``, ``stored``, ``failed`` …
        subject: What it happened to: an artifact's file, a blob, an artifact.
        detail: JSON values only; no secrets.
        at: When, as ISO 8601 in UTC with microseconds; the ledger sets it when empty.
    """

    kind: str
    subject: str
    detail: dict[str, Any] = field(default_factory=dict)
    at: str = ""
