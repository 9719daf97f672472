"""What a file is, by its first and last bytes; never by its name.

What is no weight file but often lies where one should be, such as a page or a Git LFS
pointer, is named, so that whoever has it knows what went wrong. A kind is a promise
of nothing: its reader looks at every byte.

Source: each format's own reader here; RFC 1952 (gzip), PKWARE APPNOTE 4.3.7 (zip),
POSIX pax(1) (tar), 7-Zip's ``7zFormat.txt``, Git LFS ``docs/spec.md``.
"""

from __future__ import annotations

import re

from mirror.errors import FormatError

#: How many bytes of a file's beginning and end tell what it is.
HEAD = 4096
TAIL = 48

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_ZIP_NAME_LENGTH, _ZIP_NAME = 26, 30
#: What PyTorch may put first into its zip, below a folder of any name.
_TORCH_FIRST = re.compile(rb"[^/]+/(?:data\.pkl|byteorder|version|\.[a-z_]+|\.data/serialization_id)")
_PICKLE = re.compile(rb"\x80[\x02-\x05](?:\x95.{8})?", re.DOTALL)
_LEGACY = bytes.fromhex("8a0a 6cfc9c46f9206aa85019")
_GZIP = b"\x1f\x8b\x08"
_HDF5 = b"\x89HDF\r\n\x1a\n"
_TABLE = bytes.fromhex("57fb808b247547db")
#: A map that is not empty, and the text that is its first key.
_MAP = re.compile(rb"(?:[\x81-\x8f]|\xde..|\xdf....)[\xa0-\xbf\xd9-\xdb]", re.DOTALL)
_MAX_HEADER = 1 << 40

# Atomic groups: without them a page of comments can be cut up in exponentially many ways.
_PAGE = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?><\?xml[^>]*>\s*)?(?>(?><!--.*?-->)\s*)*<(?:!doctype\s+html|html|head|body|script)\b",
    re.IGNORECASE | re.DOTALL,
)
_XML = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:\?xml\b|error>)", re.IGNORECASE)
_JSON = re.compile(rb"(?:\xef\xbb\xbf)?\s*[\[{]\s*[\"\]}{\[]")
_JSON_ERROR = re.compile(rb"\"(?:error|errors|errno|error_code|message|detail)\"\s*:", re.IGNORECASE)
_POINTER = b"version https://git-lfs"
_OTHERS = {b"Rar!\x1a\x07": "a RAR archive", b"\x28\xb5\x2f\xfd": "a Zstandard file"}
_TAR, _TAR_AT = b"ustar", 257
#: How archives begin, and what may be packed as a whole.
_ARCHIVES = {
    "zip": re.compile(rb"PK(?:\x03\x04|\x05\x06)"),
    "gzip": re.compile(_GZIP),
    "bzip2": re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)"),
    "xz": re.compile(rb"\xfd7zXZ\x00"),
    "7z": re.compile(rb"7z\xbc\xaf\x27\x1c"),
}
#: Kinds of a whole file that was packed: a tar, or any other.
PACKED = frozenset({"gzip", "bzip2", "xz"})
#: Every kind that may have weights inside.
ARCHIVES = PACKED | {"zip", "tar", "7z"}


def kind(data: memoryview) -> str:
    """Return what a whole file is; see ``kind_of``.

    Raises:
        FormatError: It is nothing of ours.
    """
    return kind_of(bytes(data[:HEAD]), bytes(data[-TAIL:]), len(data))


def kind_of(head: bytes, tail: bytes, size: int) -> str:
    """Return what a file is: the kind of its weights, or one of ``ARCHIVES`` for an archive around them.

    Args:
        head: Its first bytes: ``HEAD`` of them, or all where there are fewer.
        tail: Its last bytes, ``TAIL`` of them or all.
        size: Bytes it has.

    Returns:
        ``torch-zip``, ``torch-legacy``, ``paddle``, ``safetensors``, ``flax``, ``hdf5``, ``tensorflow``
        (the index of a checkpoint), or one of ``ARCHIVES``.

    Raises:
        FormatError: It is none of them; the error says what it is instead, where that can be known.
    """
    if head.startswith(_ZIP):
        return "torch-zip" if _torch_comes_first(head) else "zip"
    if pickle := _PICKLE.match(head):
        return "torch-legacy" if head.startswith(_LEGACY, pickle.end()) else "paddle"
    if head.startswith(_HDF5):
        return "hdf5"
    if (archive := archive_kind(head)) is not None:
        return archive
    if is_table(tail):
        return "tensorflow"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < _MAX_HEADER:
        return "safetensors"
    if _MAP.match(head):
        return "flax"
    said = impostor(head, size)
    if said is None:
        said = f"unknown: begins with {head[:8].hex(' ')}, which no weight file does, ends with {tail[-8:].hex(' ')}"
    raise FormatError(said)


def is_table(tail: bytes) -> bool:
    """Whether a file is a table, as the index of a TensorFlow checkpoint is one, by its last bytes."""
    return tail.endswith(_TABLE)


def archive_kind(head: bytes) -> str | None:
    """Return which of ``ARCHIVES`` begins so; None for anything else."""
    if head.startswith(_TAR, _TAR_AT):
        return "tar"
    return next((kind for kind, signature in _ARCHIVES.items() if signature.match(head)), None)


def impostor(head: bytes, size: int) -> str | None:
    """Return what a file is that is often found where weights should be; None when it is nothing of the kind.

    Args:
        head: Its first bytes: ``HEAD`` of them, or all where there are fewer.
        size: Bytes it has.
    """
    if not size:
        return "an empty file"
    if head.startswith(_POINTER):
        return "a Git LFS pointer: the file that it names was not fetched"
    if _PAGE.match(head):
        return "an HTML page: a login, a consent or an error, where the file should be"
    if _XML.match(head):
        return "an XML document: mostly a store's error message"
    if _JSON.match(head):
        return "a JSON error message" if _JSON_ERROR.search(head) else "a JSON document"
    for signature, said in _OTHERS.items():
        if head.startswith(signature):
            return f"{said}: unpack it first"
    if not any(head):
        return f"zeros, {len(head)} bytes at least: a download that was laid out and never filled"
    return None


def _torch_comes_first(head: bytes) -> bool:
    length = int.from_bytes(head[_ZIP_NAME_LENGTH : _ZIP_NAME_LENGTH + 2], "little")
    return _TORCH_FIRST.fullmatch(head[_ZIP_NAME : _ZIP_NAME + length]) is not None
