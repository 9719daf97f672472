"""The bytes of one file and every digest that a publisher gives of them.

Bytes are made when first asked for, once, and kept: a world of several hundred files
starts in no time and the same seed gives the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import mmap
import threading
import zlib
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Content:
    """One file's bytes, given or made on first use."""

    def __init__(self, source: bytes | memoryview | Path | Callable[[], bytes]) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._data: memoryview | None = None

    @property
    def data(self) -> memoryview:
        """The bytes; a file on disk is mapped, not read."""
        if self._data is None:
            with self._lock:
                if self._data is None:
                    self._data = self._make()
        return self._data

    def _make(self) -> memoryview:
        if isinstance(self._source, Path):
            return _mapped(self._source)
        if isinstance(self._source, bytes | memoryview):
            return memoryview(self._source)
        return memoryview(self._source())

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self.data.nbytes

    @cached_property
    def sha256(self) -> str:
        """SHA-256, hex."""
        return hashlib.sha256(self.data).hexdigest()

    @cached_property
    def git_sha1(self) -> str:
        r"""Git's object id: sha1 of ``"blob <size>\\0"`` and the bytes."""
        digest = hashlib.sha1(b"blob %d\0" % self.size)
        digest.update(self.data)
        return digest.hexdigest()

    @cached_property
    def md5(self) -> bytes:
        """MD5, sixteen bytes."""
        return hashlib.md5(self.data).digest()

    @cached_property
    def crc32(self) -> int:
        """CRC-32 as zip and Baidu count it."""
        return zlib.crc32(self.data)

    @cached_property
    def crc32c(self) -> int:
        """CRC-32C (Castagnoli)."""
        return crc32c(self.data)

    @property
    def md5_base64(self) -> str:
        """MD5 as ``Content-MD5`` and ``x-goog-hash`` write it."""
        return base64.b64encode(self.md5).decode()

    @property
    def crc32c_base64(self) -> str:
        """CRC-32C, most significant byte first, as ``x-goog-hash`` writes it."""
        return base64.b64encode(self.crc32c.to_bytes(4, "big")).decode()

    @property
    def pointer(self) -> bytes:
        """The Git LFS pointer that stands for the bytes in a repository.

        Source: git-lfs ``docs/spec.md``, "The Pointer".
        """
        text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {self.size}\n"
        return text.encode()

    def variant(self) -> Content:
        """Return other bytes of the same length: what a changed file looks like."""
        # The end is changed as well as the start, so that a range anywhere can be told apart.
        return Content(lambda: bytes(self.data).translate(_FLIPPED))


_FLIPPED = bytes(value ^ 0x55 for value in range(256))


def crc32c(data: bytes | memoryview) -> int:
    """Return the CRC-32C of ``data``."""
    import google_crc32c

    return int(google_crc32c.value(bytes(data)))


def _mapped(path: Path) -> memoryview:
    """Return the file's bytes without reading them; mmap refuses an empty file."""
    if path.stat().st_size == 0:
        return memoryview(b"")
    with path.open("rb") as stream:
        return memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
