"""Zip and tar.gz archives with fixed times and owners, so that the same members give the same bytes."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_WHEN = (2020, 2, 20, 20, 20, 20)
_STAMP = 1582230020


def zipped(members: Mapping[str, bytes], *, folder: str = "", deflate: bool = True) -> bytes:
    """Return a zip of ``members`` by path; ``folder`` also gets an entry of its own.

    Deflated bytes depend on the machine's zlib, as a publisher's do on theirs.
    """
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        if folder:
            archive.writestr(_info(f"{folder}/", 0o40755), b"")
        for path, data in members.items():
            info = _info(f"{folder}/{path}" if folder else path, 0o100644)
            info.compress_type = zipfile.ZIP_DEFLATED if deflate else zipfile.ZIP_STORED
            archive.writestr(info, data, compresslevel=1 if deflate else None)
    return stream.getvalue()


def _info(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _WHEN)
    info.create_system = 3
    info.external_attr = mode << 16
    return info


def tar_gz(members: Mapping[str, bytes], folder: str) -> bytes:
    """Return a gzipped tar of ``members`` below ``folder``."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        top = tarfile.TarInfo(folder)
        top.type, top.mode, top.mtime = tarfile.DIRTYPE, 0o755, _STAMP
        archive.addfile(top)
        for path, data in members.items():
            info = tarfile.TarInfo(f"{folder}/{path}")
            info.size, info.mode, info.mtime = len(data), 0o644, _STAMP
            archive.addfile(info, io.BytesIO(data))
    return gzip.compress(stream.getvalue(), compresslevel=1, mtime=_STAMP)
