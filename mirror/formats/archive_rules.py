"""What every archive must keep to, whatever its format: names, counts, sizes; and the one reading of a member.

Whatever could harm those who unpack the archive later is refused: paths that lead
elsewhere, two members of one name, bombs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, Protocol

from mirror.digests import MultiDigest
from mirror.errors import ArchiveError
from mirror.model import safe_path

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    #: Path and size of a member, to what takes its bytes.
    Take = Callable[[str, int], Callable[[bytes], object] | None]

#: One read of a member.
PIECE = 1 << 18
#: Ratios are judged only above this size: a small file of spaces compresses well.
RATIO_FROM = 1 << 20
#: What leads to another drive where it is unpacked on Windows.
_DRIVE = re.compile(r"[A-Za-z]:")


class Readable(Protocol):
    """What gives bytes."""

    def read(self, size: int, /) -> bytes:
        """Return up to so many bytes; none at the end."""


class Limits(NamedTuple):
    """What an archive may be at the most.

    Attributes:
        members: Number of members.
        total: Bytes of all members, unpacked.
        ratio: How many times larger than its packed form a member, or a tar, may be. Weights
            compress by a tenth, word lists by three; deflate can do 1032.
        names: Bytes of a directory, of which the list of members is made.
        memory: Bytes that unpacking may take, which LZMA leaves to the archive to say.
    """

    members: int = 100_000
    total: int = 64 << 30
    ratio: int = 200
    names: int = 8 << 20
    memory: int = 272 << 20  # 7-Zip's best setting has a dictionary of 256 MiB


class Member(NamedTuple):
    """One file in an archive.

    Attributes:
        path: Relative, POSIX, without ``..``.
        size: Bytes, unpacked.
        crc32: Eight hexadecimal digits where the archive states one and it is right; None in a tar.
        sha256: Of the unpacked bytes.
        git_sha1: Likewise, git's object id, if it was asked for.
    """

    path: str
    size: int
    crc32: str | None
    sha256: str
    git_sha1: str | None = None


class Pass(NamedTuple):
    """What the one reading of every member is good for, besides its digest."""

    git_ids: Collection[str]
    take: Take | None


def read_member(packed: Readable, name: str, size: int, crc32: str | None, reading: Pass) -> Member:
    """Read a member, which must have exactly ``size`` bytes, and return what is known of it then."""
    as_git = name in reading.git_ids
    digest = MultiDigest({"sha256", "git-sha1"} if as_git else {"sha256"}, size=size)
    write = reading.take(name, size) if reading.take is not None else None
    done = 0
    while piece := packed.read(PIECE):
        done += len(piece)
        digest.update(piece)
        if write is not None:
            write(piece)
    if done != size:
        raise ArchiveError(f"{done} of {size} bytes", member=name)
    found = digest.result()
    return Member(name, size, crc32, found["sha256"].hex, found["git-sha1"].hex if as_git else None)


def check_names(files: Iterable[str], directories: Iterable[str]) -> None:
    """Refuse paths that lead elsewhere, and names that stand for two things."""
    seen: set[str] = set()
    parents: set[str] = set()
    for name in files:
        _check_path(name)
        if name in seen:
            raise ArchiveError("there twice", member=name)
        seen.add(name)
        parents.update(_parents(name))
    for name in directories:
        path = name.rstrip("/")
        _check_path(path)
        parents.update({path, *_parents(path)})
    if both := seen & parents:
        raise ArchiveError("a file and a directory", member=min(both))


def check_count(count: int, limits: Limits) -> None:
    """Refuse more members than are ever needed."""
    if count > limits.members:
        raise ArchiveError(f"more than {limits.members} members")


def check_total(total: int, limits: Limits) -> None:
    """Refuse more bytes than are ever needed."""
    if total > limits.total:
        raise ArchiveError(f"unpacks to {total} bytes, more than {limits.total}")


def check_ratio(size: int, packed: int, limits: Limits, name: str = "") -> None:
    """Refuse what unpacks to far more than weights and word lists do."""
    if size > RATIO_FROM and size > limits.ratio * packed:
        raise ArchiveError(f"unpacks from {packed} to {size} bytes", member=name)


def _parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _check_path(path: str) -> None:
    if not safe_path(path) or _DRIVE.match(path):
        raise ArchiveError("a path that would not stay where it is put", member=ascii(path))
