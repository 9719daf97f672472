"""Archives: what they hold, listed without unpacking anything; and the zip among them.

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
from typing import IO, TYPE_CHECKING

from mirror.errors import ArchiveError, ArchiveMethodError
from mirror.formats.archive_7z import list_7z
from mirror.formats.archive_rules import (
    Limits,
    Member,
    Pass,
    check_count,
    check_names,
    check_ratio,
    check_total,
    read_member,
)
from mirror.formats.archive_tar import holds_tar, list_tar
from mirror.formats.reader import GuardedReader
from mirror.formats.sniff import HEAD, PACKED, archive_kind
from mirror.formats.zip_layout import check_covered, where_cut

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from mirror.formats.archive_rules import Take

__all__ = ["Limits", "Member", "is_packed_file", "list_members"]

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


def list_members(
    source: IO[bytes] | bytes,
    limits: Limits | None = None,
    *,
    git_ids: Collection[str] = (),
    take: Take | None = None,
) -> tuple[Member, ...] | None:
    """Return the files of a zip, a 7z or a tar, plain or packed, in the archive's order; None when it is none.

    Args:
        source: A file open for reading that can seek, or the bytes.
        limits: What is too much.
        git_ids: Paths of members whose git object id is wanted as well.
        take: Asked for each member, with its path and size, where its bytes should go as they are read;
            None for nowhere. What it got is worth nothing when an error follows.

    Raises:
        ArchiveError: It is damaged, or built to harm.
        OSError: The file cannot be read.

    Source: PKWARE APPNOTE 6.3; 7-Zip's ``7zFormat.txt``; RFC 1952 (gzip); the .xz format 1.2; POSIX pax(1),
    ustar and pax formats.
    """
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    limits = limits or Limits()
    file.seek(0)
    kind = archive_kind(file.read(HEAD))
    file.seek(0)
    if kind is None:
        return None
    reading = Pass(git_ids, take)
    with _our_errors():
        if kind == "zip":
            return _zip(file, limits, reading)
        if kind == "7z":
            return list_7z(file, limits, reading)
        return list_tar(file, kind, limits, reading)


def is_packed_file(source: IO[bytes] | bytes) -> bool:
    """Whether it is one file that was packed, and no archive: what ``gzip weights.bin`` makes.

    Raises:
        ArchiveError: It is damaged at its very beginning.
        OSError: The file cannot be read.
    """
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    file.seek(0)
    kind = archive_kind(file.read(HEAD))
    with _our_errors():
        return kind in PACKED and not holds_tar(file, kind, Limits())


def _zip(file: IO[bytes], limits: Limits, reading: Pass) -> tuple[Member, ...]:
    with _opened(file, limits) as archive:
        infos = archive.infolist()
        check_count(len(infos), limits)
        files = [info for info in infos if not _is_directory(info)]
        check_names(
            [info.orig_filename for info in files], [info.orig_filename for info in infos if _is_directory(info)]
        )
        for info in infos:
            _check_zip_member(info, limits)
        check_total(sum(info.file_size for info in infos), limits)
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
        raise ArchiveMethodError("encrypted", member=name)
    if info.compress_type not in _METHODS:
        raise ArchiveMethodError(f"packed by method {info.compress_type}, which is not read here", member=name)
    if _is_directory(info) and info.file_size:
        raise ArchiveError("a directory that has bytes", member=name)
    check_ratio(info.file_size, info.compress_size, limits, name)


def _zip_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, reading: Pass) -> Member:
    with archive.open(info) as packed:  # zipfile itself compares the CRC
        return read_member(packed, info.orig_filename, info.file_size, f"{info.CRC:08x}", reading)


@contextmanager
def _our_errors() -> Iterator[None]:
    """Turn what zipfile, tarfile and zlib raise for damaged archives into ours."""
    try:
        yield
    except _BROKEN as error:
        raise ArchiveError(str(error) or repr(error)) from error
