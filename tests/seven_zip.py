"""Writes 7z archives, good ones and others: every part of the directory can be another than it should be."""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DICTIONARY = 1 << 20
LZMA2 = (b"\x21", b"\x10")  # 2 << (16 / 2 + 11) is the dictionary's size
LZMA = (bytes.fromhex("030101"), b"\x5d" + struct.pack("<I", DICTIONARY))
BZIP2 = (bytes.fromhex("040202"), b"")
COPY = (b"\x00", b"")
METHODS = {"lzma2": LZMA2, "lzma": LZMA, "bzip2": BZIP2, "copy": COPY}


def number(value: int) -> bytes:
    for more in range(9):
        if value < 1 << 7 * (more + 1) or more == 8:
            high = 0xFF if more == 8 else (0xFF00 >> more) & 0xFF | value >> 8 * more
            return bytes([high]) + (value & (1 << 8 * more) - 1).to_bytes(more, "little")
    raise AssertionError


def bits(values: list[bool]) -> bytes:
    text = "".join("01"[value] for value in values).ljust(-(-len(values) // 8) * 8, "0")
    return bytes(int(text[at : at + 8], 2) for at in range(0, len(text), 8))


def packed(data: bytes, method: tuple[bytes, bytes]) -> bytes:
    if method == COPY:
        return data
    if method == BZIP2:
        return bz2.compress(data)
    which = lzma.FILTER_LZMA2 if method == LZMA2 else lzma.FILTER_LZMA1
    filters = [{"id": which, "preset": 1, "dict_size": DICTIONARY, "lc": 3, "lp": 0, "pb": 2}]
    return lzma.compress(data, lzma.FORMAT_RAW, filters=filters)


def coder(method: tuple[bytes, bytes]) -> bytes:
    name, properties = method
    flags = len(name) | (0x20 if properties else 0)
    return bytes([flags]) + name + (number(len(properties)) + properties if properties else b"")


def crcs(values: list[int]) -> bytes:
    return b"\x0a\x01" + b"".join(struct.pack("<I", value) for value in values)


@dataclass
class Writer:
    """One archive.

    Attributes:
        files: Name to bytes; a name that ends with a slash is a directory.
        method: Of every folder.
        named: The method that the directory names instead.
        solid: Whether all files are packed together.
        attributes: Of some entries, as Windows and 7-Zip write them.
        pack_directory: Whether the directory is packed, too.
        change: Changes the directory before it is sealed.
    """

    files: Mapping[str, bytes]
    method: tuple[bytes, bytes] = LZMA2
    named: tuple[bytes, bytes] | None = None
    solid: bool = True
    attributes: Mapping[str, int] = field(default_factory=dict)
    pack_directory: bool = True
    change: Callable[[bytes], bytes] = bytes

    def data(self) -> bytes:
        full = [data for data in self.files.values() if data]
        groups = [full] if self.solid and full else [[data] for data in full]
        streams = [packed(b"".join(group), self.method) for group in groups]
        body = b"".join(streams)
        directory = self.change(b"\x01" + self._streams(groups, streams) + self._entries() + b"\0")
        if self.pack_directory:
            small = packed(directory, LZMA)
            body, directory = body + small, (
                b"\x17\x06" + number(len(body)) + number(1) + b"\x09" + number(len(small)) + b"\0"
                b"\x07\x0b\x01\x00\x01" + coder(LZMA) + b"\x0c" + number(len(directory)) + crcs([zlib.crc32(directory)])
                + b"\0\0"
            )  # fmt: skip
        return sealed(body, directory)

    def _streams(self, groups: list[list[bytes]], streams: list[bytes]) -> bytes:
        if not groups:
            return b""
        counts = b"\x0d" + b"".join(number(len(group)) for group in groups)
        cut = [number(len(data)) for group in groups for data in group[:-1]]
        sizes = b"\x09" + b"".join(cut) if cut else b""
        return (
            b"\x04\x06" + number(0) + number(len(streams)) + b"\x09" + b"".join(number(len(one)) for one in streams)
            + b"\0\x07\x0b" + number(len(groups)) + b"\0" + (b"\x01" + coder(self.named or self.method)) * len(groups)
            + b"\x0c" + b"".join(number(sum(map(len, group))) for group in groups) + b"\0"
            + b"\x08" + counts + sizes + crcs([zlib.crc32(data) for group in groups for data in group]) + b"\0\0"
        )  # fmt: skip

    def _entries(self) -> bytes:
        empty = [not data for data in self.files.values()]
        files = [not name.endswith("/") for name, data in self.files.items() if not data]
        names = b"".join(name.rstrip("/").encode("utf-16-le", "surrogatepass") + b"\0\0" for name in self.files)
        values = b"".join(struct.pack("<I", self.attributes.get(name, 0)) for name in self.files)
        sections = [(0x0E, bits(empty)), (0x0F, bits(files)), (0x11, b"\0" + names), (0x15, b"\x01\0" + values)]
        inside = b"".join(bytes([kind]) + number(len(data)) + data for kind, data in sections)
        return b"\x05" + number(len(self.files)) + inside + b"\0"


def sealed(body: bytes, directory: bytes) -> bytes:
    """Return the archive of these packed bytes and this directory."""
    start = struct.pack("<QQI", len(body), len(directory), zlib.crc32(directory))
    return b"7z\xbc\xaf\x27\x1c\x00\x04" + struct.pack("<I", zlib.crc32(start)) + start + body + directory


def seven_zipped(files: Mapping[str, bytes]) -> bytes:
    return Writer(files).data()
