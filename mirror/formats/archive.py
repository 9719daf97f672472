"""Zips and gzipped tars: what they hold, listed without unpacking anything.

Every member is read once, in pieces, for its digest. Whatever could harm those who
unpack the archive later is refused: paths that lead elsewhere, links, two members
of one name, encryption, members that overlap, and bombs. Memory does not grow with
the members' sizes, and is bounded for the lists of names.
"""

from __future__ import annotations

import gzip
import io
import stat
import struct
import tarfile
import zipfile
import zlib
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, NamedTuple, cast

from mirror.digests import MultiDigest
from mirror.errors import ArchiveError
from mirror.formats.reader import ForwardReader, GuardedReader
from mirror.formats.zip_layout import check_covered, where_cut
from mirror.model import safe_path

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    #: Path and size of a member, to what takes its bytes.
    Take = Callable[[str, int], Callable[[bytes], object] | None]

_PIECE = 1 << 18
#: Ratios are judged only above this size: a small file of spaces compresses well.
_RATIO_FROM = 1 << 20
#: The others are rare, and some need as much memory as their writer wishes (lzma).
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_ENCRYPTED = 0x1 | 0x40 | 0x2000  # APPNOTE 4.4.4, bits 0, 6 and 13
_BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    gzip.BadGzipFile,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
    struct.error,
)


class Limits(NamedTuple):
    """What an archive may be at the most.

    Attributes:
        members: Number of members.
        total: Bytes of all members, unpacked.
        ratio: How many times larger than its packed form a member, or a tar, may be. Weights
            compress by a tenth, word lists by three; deflate can do 1032.
        names: Bytes of a zip's directory, of which the list of members is made.
    """

    members: int = 100_000
    total: int = 64 << 30
    ratio: int = 200
    names: int = 8 << 20


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


def list_members(
    source: IO[bytes] | bytes,
    limits: Limits | None = None,
    *,
    git_ids: Collection[str] = (),
    take: Take | None = None,
) -> tuple[Member, ...] | None:
    """Return the files of a zip or a gzipped tar, in the archive's order; None when it is neither.

    Args:
        source: A file open for reading that can seek, or the bytes.
        limits: What is too much.
        git_ids: Paths of members whose git object id is wanted as well.
        take: Asked for each member, with its path and size, where its bytes should go as they are read;
            None for nowhere. What it got is worth nothing when an error follows.

    Raises:
        ArchiveError: It is damaged, or built to harm.
        OSError: The file cannot be read.

    Source: PKWARE APPNOTE 6.3; RFC 1952 (gzip); POSIX pax(1), ustar and pax formats.
    """
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    limits = limits or Limits()
    file.seek(0)
    magic = file.read(4)
    file.seek(0)
    if magic in {b"PK\x03\x04", b"PK\x05\x06"}:
        with _our_errors():
            return _zip(file, limits, _Pass(git_ids, take))
    if magic[:3] == b"\x1f\x8b\x08":
        with _our_errors():
            return _tar(file, limits, _Pass(git_ids, take))
    return None


class _Pass(NamedTuple):
    """What the one reading of every member is good for, besides its digest."""

    git_ids: Collection[str]
    take: Take | None


def _zip(file: IO[bytes], limits: Limits, reading: _Pass) -> tuple[Member, ...]:
    with _opened(file, limits) as archive:
        infos = archive.infolist()
        _check_count(len(infos), limits)
        files = [info for info in infos if not _is_directory(info)]
        _check_names(
            [info.orig_filename for info in files], [info.orig_filename for info in infos if _is_directory(info)]
        )
        for info in infos:
            _check_zip_member(info, limits)
        _check_total(sum(info.file_size for info in infos), limits)
        check_covered(file, infos, archive.start_dir, archive.comment)
        return tuple(_zip_member(archive, info, reading) for info in files)


def _opened(file: IO[bytes], limits: Limits) -> zipfile.ZipFile:
    try:
        # It reads the directory in one piece, however long that says it is.
        return zipfile.ZipFile(GuardedReader(file, limits.names))
    except zipfile.BadZipFile as error:
        if zipfile.is_zipfile(file):
            raise
        raise ArchiveError(where_cut(file)) from error


def _is_directory(info: zipfile.ZipInfo) -> bool:
    return info.orig_filename.endswith("/")  # as written; the other name ends at the first NUL


def _check_zip_member(info: zipfile.ZipInfo, limits: Limits) -> None:
    name = info.orig_filename
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        raise ArchiveError("neither a file nor a directory, but a link or a device", member=name)
    if info.flag_bits & _ENCRYPTED:
        raise ArchiveError("encrypted", member=name)
    if info.compress_type not in _METHODS:
        raise ArchiveError(f"packed by method {info.compress_type}, which is not read here", member=name)
    if _is_directory(info) and info.file_size:
        raise ArchiveError("a directory that has bytes", member=name)
    _check_ratio(info.file_size, info.compress_size, limits, name)


def _zip_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, reading: _Pass) -> Member:
    with archive.open(info) as packed:  # zipfile itself compares the CRC
        return _member(packed, info.orig_filename, info.file_size, f"{info.CRC:08x}", reading)


def _tar(file: IO[bytes], limits: Limits, reading: _Pass) -> tuple[Member, ...]:
    length = file.seek(0, io.SEEK_END)
    file.seek(0)
    most = max(_RATIO_FROM, limits.ratio * length)
    members: list[Member] = []
    directories: list[str] = []
    with gzip.GzipFile(fileobj=file) as unpacked:
        reader = ForwardReader(cast("IO[bytes]", unpacked), most=most, piece=_PIECE)
        with tarfile.open(fileobj=reader, mode="r:") as archive:
            total = 0
            while (info := archive.next()) is not None:
                archive.members = []  # type: ignore[attr-defined] # it would keep every header otherwise
                _check_count(len(members) + len(directories) + 1, limits)
                name = info.name.removeprefix("./")
                if info.size < 0:
                    raise ArchiveError(f"{info.size} bytes", member=name)
                if info.isdir():
                    directories += [name] if name not in {"", "."} else []
                    continue
                total += info.size
                _check_total(total, limits._replace(total=min(limits.total, most)))
                members.append(_tar_member(archive, info, name, reading))
            reader.expect_padding()
    _check_names([member.path for member in members], directories)
    return tuple(members)


def _tar_member(archive: tarfile.TarFile, info: tarfile.TarInfo, name: str, reading: _Pass) -> Member:
    packed = archive.extractfile(info) if info.isreg() and not info.issparse() else None
    if packed is None:
        raise ArchiveError("neither a plain file nor a directory, but a link, a device or a sparse file", member=name)
    with packed:
        return _member(packed, name, info.size, None, reading)


def _member(packed: IO[bytes], name: str, size: int, crc32: str | None, reading: _Pass) -> Member:
    """Read a member, which must have exactly ``size`` bytes, and return what is known of it then."""
    as_git = name in reading.git_ids
    digest = MultiDigest({"sha256", "git-sha1"} if as_git else {"sha256"}, size=size)
    write = reading.take(name, size) if reading.take is not None else None
    done = 0
    while piece := packed.read(_PIECE):
        done += len(piece)
        digest.update(piece)
        if write is not None:
            write(piece)
    if done != size:
        raise ArchiveError(f"{done} of {size} bytes", member=name)
    found = digest.result()
    return Member(name, size, crc32, found["sha256"].hex, found["git-sha1"].hex if as_git else None)


def _check_names(files: Iterable[str], directories: Iterable[str]) -> None:
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


def _parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _check_path(path: str) -> None:
    if not safe_path(path):
        raise ArchiveError("a path that would not stay where it is put", member=ascii(path))


def _check_count(count: int, limits: Limits) -> None:
    if count > limits.members:
        raise ArchiveError(f"more than {limits.members} members")


def _check_total(total: int, limits: Limits) -> None:
    if total > limits.total:
        raise ArchiveError(f"unpacks to {total} bytes, more than {limits.total}")


def _check_ratio(size: int, packed: int, limits: Limits, name: str) -> None:
    if size > _RATIO_FROM and size > limits.ratio * packed:
        raise ArchiveError(f"unpacks from {packed} to {size} bytes", member=name)


@contextmanager
def _our_errors() -> Iterator[None]:
    """Turn what zipfile, tarfile and zlib raise for damaged archives into ours."""
    try:
        yield
    except _BROKEN as error:
        raise ArchiveError(str(error) or repr(error)) from error
