"""Tars, plain or packed by gzip, bzip2 or xz: read forward, once, without a header of more than a piece."""

from __future__ import annotations

import gzip
import io
import tarfile
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, cast

from mirror.errors import ArchiveError
from mirror.formats.archive_rules import (
    PIECE,
    RATIO_FROM,
    Limits,
    Member,
    Pass,
    check_count,
    check_names,
    check_total,
    read_member,
)
from mirror.formats.packed import bunzip2, unxz
from mirror.formats.reader import ForwardReader

if TYPE_CHECKING:
    from collections.abc import Iterator

_BLOCK = 512


def list_tar(file: IO[bytes], kind: str, limits: Limits, reading: Pass) -> tuple[Member, ...]:
    """Return the files of a tar, in its order; ``kind`` is how it is packed, as ``sniff.kind_of`` says."""
    length = file.seek(0, io.SEEK_END)
    most = max(RATIO_FROM, limits.ratio * length)
    members: list[Member] = []
    directories: list[str] = []
    with _stream(file, kind, limits) as stream:
        reader = ForwardReader(stream, most=most, piece=PIECE)
        with tarfile.open(fileobj=reader, mode="r:") as archive:
            total = 0
            while (info := archive.next()) is not None:
                archive.members = []  # type: ignore[attr-defined] # it would keep every header otherwise
                check_count(len(members) + len(directories) + 1, limits)
                name = info.name.removeprefix("./")
                if info.size < 0:
                    raise ArchiveError(f"{info.size} bytes", member=name)
                if info.isdir():
                    directories += [name] if name not in {"", "."} else []
                    continue
                total += info.size
                check_total(total, limits._replace(total=min(limits.total, most)))
                members.append(_member(archive, info, name, reading))
            reader.expect_padding()
    check_names([member.path for member in members], directories)
    return tuple(members)


def holds_tar(file: IO[bytes], kind: str, limits: Limits) -> bool:
    """Whether a packed file begins as a tar does, by the checksum of its first header; an empty tar does."""
    with _stream(file, kind, limits) as stream:
        block = stream.read(_BLOCK)
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return len(block) == _BLOCK and not any(block)  # zeros: a tar that is empty
    return True


@contextmanager
def _stream(file: IO[bytes], kind: str, limits: Limits) -> Iterator[IO[bytes]]:
    file.seek(0)
    if kind == "tar":
        yield file
    elif kind == "gzip":
        with gzip.GzipFile(fileobj=file) as stream:
            yield cast("IO[bytes]", stream)
    else:
        with bunzip2(file) if kind == "bzip2" else unxz(file, limits.memory) as unpacked:
            yield unpacked


def _member(archive: tarfile.TarFile, info: tarfile.TarInfo, name: str, reading: Pass) -> Member:
    packed = archive.extractfile(info) if info.isreg() and not info.issparse() else None
    if packed is None:
        raise ArchiveError("neither a plain file nor a directory, but a link, a device or a sparse file", member=name)
    with packed:
        return read_member(packed, name, info.size, None, reading)
