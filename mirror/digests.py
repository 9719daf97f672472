"""Every digest of one stream of bytes, in one pass.

A CRC-32 of every 1 MiB block is kept beside them for large files. It only says
where damage lies; the sha256 of the whole still judges. No room above this one
hashes on its own. Where the library allows it, bytes are hashed without the
interpreter's lock, so that a thread of its own costs the others nothing.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Protocol

from mirror.model import HEX_LENGTH, Claim, Digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from typing_extensions import Buffer

#: Bytes of a block that has a CRC-32 of its own.
BLOCK = 1 << 20
#: Files above this many bytes have their block CRCs kept.
BLOCKS_FROM = 8 << 20
#: One read of ``digest_file``: small enough to stay in a core's cache until every algorithm has seen it.
_READ = 1 << 19


class MultiDigest:
    """All digests of one stream, computed as the bytes pass.

    Args:
        algorithms: Names out of ``model.HEX_LENGTH``.
        size: Bytes of the whole stream; ``git-sha1`` starts with it and needs it.
        blocks: Whether a CRC-32 of every ``BLOCK`` bytes is kept as well.

    Raises:
        ValueError: An algorithm is unknown, or ``git-sha1`` is wanted without a size.
    """

    def __init__(self, algorithms: Iterable[str], *, size: int | None = None, blocks: bool = False) -> None:
        self._hashes: dict[str, _Hash] = {name: _start(name, size) for name in sorted(set(algorithms))}
        self._blocks = _BlockCrcs() if blocks else None
        self._feeds: list[Callable[[Buffer], None]] = [each.update for each in self._hashes.values()]
        if self._blocks is not None:
            self._feeds.append(self._blocks.update)

    def update(self, data: Buffer) -> None:
        """Take in the next bytes of the stream."""
        for feed in self._feeds:
            feed(data)

    def result(self) -> dict[str, Digest]:
        """Return the digests of what has been taken in, by algorithm."""
        return {name: Digest(name, each.hexdigest()) for name, each in self._hashes.items()}

    def block_crcs(self) -> tuple[int, ...]:
        """Return the CRC-32 of every block, the last one maybe short; nothing unless asked for."""
        return self._blocks.result() if self._blocks is not None else ()


def digest_file(
    path: Path, algorithms: Iterable[str], *, blocks: bool = False, size: int | None = None
) -> tuple[dict[str, Digest], tuple[int, ...]]:
    """Return all digests of the file at ``path``, and its block CRCs.

    Args:
        path: A file that nobody is writing.
        algorithms: Names out of ``model.HEX_LENGTH``.
        blocks: Whether block CRCs are wanted; otherwise they are empty.
        size: Bytes to hash when only the beginning counts; by default all there are.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb", buffering=0) as file:
        whole = file.seek(0, 2)
        file.seek(0)
        left = whole if size is None else min(size, whole)
        digests = MultiDigest(algorithms, size=left, blocks=blocks)
        buffer = memoryview(bytearray(min(_READ, max(left, 1))))
        while left and (count := file.readinto(buffer[: min(left, len(buffer))])):
            digests.update(buffer[:count])
            left -= count
    return digests.result(), digests.block_crcs()


def algorithms_for(claims: Iterable[Claim]) -> frozenset[str]:
    """Return the algorithms needed to judge ``claims``: theirs, and the sha256 that names the blob."""
    return frozenset({"sha256"} | {claim.digest.algorithm for claim in claims})


class _Hash(Protocol):
    """What hashlib's objects and the CRCs below have in common."""

    def update(self, data: Buffer, /) -> None: ...

    def hexdigest(self) -> str: ...


class _Crc32:
    """CRC-32 of zip and zlib with hashlib's two methods (ISO 3309, polynomial 0xEDB88320)."""

    def __init__(self) -> None:
        self._crc32 = _fast_crc32()
        self._value = 0

    def update(self, data: Buffer) -> None:
        self._value = self._crc32(data, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:08x}"


class _Crc32c:
    """CRC-32C (Castagnoli) with hashlib's two methods (RFC 3720 §12.1)."""

    def __init__(self) -> None:
        import google_crc32c  # only files from Google's and Baidu's storage need it

        self._extend = google_crc32c.extend
        self._value = 0

    def update(self, data: Buffer) -> None:
        # The library takes nothing but bytes; the copy is cheap beside every other digest.
        self._value = self._extend(self._value, data if isinstance(data, bytes) else bytes(data))

    def hexdigest(self) -> str:
        return f"{self._value:08x}"


class _BlockCrcs:
    """One CRC-32 for every ``BLOCK`` bytes."""

    def __init__(self) -> None:
        self._crc32 = _fast_crc32()
        self._whole: list[int] = []
        self._value = 0
        self._filled = 0

    def update(self, data: Buffer) -> None:
        view = memoryview(data)
        at = 0
        while at < len(view):
            piece = view[at : at + BLOCK - self._filled]
            self._value = self._crc32(piece, self._value)
            self._filled += len(piece)
            at += len(piece)
            if self._filled == BLOCK:
                self._whole.append(self._value)
                self._value = self._filled = 0

    def result(self) -> tuple[int, ...]:
        return (*self._whole, self._value) if self._filled else tuple(self._whole)


def _fast_crc32() -> Callable[[Buffer, int], int]:
    """Return CRC-32 at tens of GB/s; the standard library's 2 to 5 would cost a large file a tenth of its time."""
    from zlib_ng.zlib_ng import crc32

    return crc32


def _start(algorithm: str, size: int | None) -> _Hash:
    """Return an empty hash; of ``git-sha1``, one that has taken in git's header.

    Source: Pro Git, §10.2 "Git Objects", Object Storage.
    """
    if algorithm not in HEX_LENGTH:
        raise ValueError(f"unknown digest algorithm {algorithm!r}")
    if algorithm == "crc32":
        return _Crc32()
    if algorithm == "crc32c":
        return _Crc32c()
    if algorithm == "git-sha1":
        if size is None:
            raise ValueError("git-sha1 starts with the size, which is not known")
        return hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    return hashlib.new(algorithm, usedforsecurity=False)
