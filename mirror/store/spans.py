"""Which bytes of a partial are there: spans, and their fixed binary form.

The ``spans`` file is an array of little-endian records of three 64-bit numbers:
start, stop (all ones while unknown) and done. Only ``done`` changes while bytes
come, by one write of eight bytes after the bytes themselves, so that a process
killed between the two has more than it says, never less.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_RECORD = struct.Struct("<QQQ")
_NUMBER = struct.Struct("<Q")
_UNKNOWN = 2**64 - 1
_LARGEST = 2**63 - 1  # of an offset, off_t


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of the file that one stream of bytes fills from its beginning.

    Attributes:
        start: Offset of its first byte in the file.
        stop: Offset after its last byte; None while unknown.
        done: Bytes of it that are there, counted from ``start``.
    """

    start: int
    stop: int | None
    done: int = 0

    def __post_init__(self) -> None:
        end = _LARGEST if self.stop is None else self.stop
        if not 0 <= self.start <= self.start + self.done <= end <= _LARGEST or self.done < 0:
            raise ValueError(f"no such span: {self.start}, {self.stop}, {self.done}")

    @property
    def next(self) -> int:
        """Offset, in the file, of the first byte that is missing."""
        return self.start + self.done

    @property
    def whole(self) -> bool:
        """Whether nothing is missing; an unknown end never is."""
        return self.next == self.stop


def encode(spans: Iterable[Span]) -> bytes:
    """Return the content of a ``spans`` file."""
    return b"".join(_RECORD.pack(s.start, _UNKNOWN if s.stop is None else s.stop, s.done) for s in spans)


def decode(raw: bytes, *, held: int) -> list[Span]:
    """Return the spans of a ``spans`` file; none when it is damaged.

    Args:
        raw: Its content; an incomplete record at the end was never in force.
        held: Length of the data file. What a crash of the machine took away is not there, whatever was noted.
    """
    spans: list[Span] = []
    for start, stop, done in _RECORD.iter_unpack(raw[: len(raw) - len(raw) % _RECORD.size]):
        there = min(done, max(held - start, 0))
        try:
            spans.append(Span(start, None if stop == _UNKNOWN else stop, there))
        except ValueError:
            return []
    return spans


def record_at(index: int) -> int:
    """Return the offset of a span's record in the ``spans`` file."""
    return index * _RECORD.size


def stop_field(index: int, stop: int) -> tuple[bytes, int]:
    """Return a new value of ``stop``, and where it belongs in the ``spans`` file."""
    return _NUMBER.pack(stop), record_at(index) + 8


def done_field(index: int, done: int) -> tuple[bytes, int]:
    """Return a new value of ``done``, and where it belongs in the ``spans`` file."""
    return _NUMBER.pack(done), record_at(index) + 16


def prefix(spans: Sequence[Span]) -> int:
    """Return the length of the file's beginning that is there without a gap."""
    end = 0
    for span in sorted(spans, key=lambda s: s.start):
        if span.start > end:
            break
        end = max(end, span.next)
    return end
