"""Answers that a host may make as long, as slow and as deep as it likes: read as far as anybody has a use for."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from mirror.errors import SourceError, StalledError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mirror.bounds import Bounds
    from mirror.sources.reply import Body, Reply

#: An answer may take so many times the patience for one byte, and the time that its bytes need at the slowest rate.
_GRACE = 5
_SLOWEST = 65536  # bytes per second; 64 MiB then take 17 minutes
_PIECE = 65536


#: What whoever reads an answer may come upon, a library of others too.
NONSENSE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, MemoryError)


class NonsenseError(ValueError):
    """What is wrong with an answer, in words."""


def gathered(
    chunks: Iterable[bytes], bounds: Bounds, *, stall: float, clock: Callable[[], float] = time.monotonic
) -> bytes:
    """Return a whole answer.

    Args:
        chunks: Its bytes.
        bounds: What is too much.
        stall: Seconds that one byte may take.
        clock: A steady clock, in seconds.

    Raises:
        SourceError: It has more than ``bounds`` allow.
        StalledError: It drips.
    """
    data, began = bytearray(), clock()
    for chunk in chunks:
        data += chunk
        if len(data) > bounds.size:
            raise SourceError(f"an answer of more than {bounds.size} B", hint="no host has a use for one so long")
        seconds = clock() - began
        if seconds > _GRACE * stall + len(data) / _SLOWEST:
            raise StalledError(f"the answer only drips: {len(data)} B in {seconds:.0f} s")
    if (excess := bounds.excess(data)) is not None:
        count, kind = excess
        raise SourceError(f"an answer of {count} {kind}, more than anybody has a use for")
    return bytes(data)


def pieces(body: Body | Reply) -> Iterator[bytes]:
    """Yield the bytes of a body or a reply; raises as its ``readinto``."""
    buffer = memoryview(bytearray(_PIECE))
    while count := body.readinto(buffer):
        yield bytes(buffer[:count])


def in_words(error: BaseException) -> str:
    """Return what one of ``NONSENSE`` says of the answer that was read."""
    if isinstance(error, NonsenseError):
        return str(error)
    if isinstance(error, KeyError):
        return f"it lacks {str(error.args[0])[:60]!a}"
    kinds = {
        json.JSONDecodeError: "it is no JSON",
        UnicodeError: "it is no UTF-8",
        RecursionError: "it is nested too deeply",
        MemoryError: "it does not fit in memory",
    }
    return next((text for kind, text in kinds.items() if isinstance(error, kind)), "its values are of other kinds")
