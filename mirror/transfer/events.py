"""What a transfer tells while it works: small frozen events, cheap enough for every buffer.

They come from several threads. Silence is not an event: whoever shows progress
knows when the last ``Advanced`` came.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from mirror.errors import MirrorError
    from mirror.model import RemoteFile


class Started(NamedTuple):
    """A transfer begins, or goes on where an earlier one ended.

    Attributes:
        file: The file.
        size: Its bytes, where known by now.
        held: Bytes that are here already.
    """

    file: RemoteFile
    size: int | None
    held: int


class Advanced(NamedTuple):
    """So many more bytes of the file are here."""

    file: RemoteFile
    bytes: int


class Waiting(NamedTuple):
    """Nothing is asked for ``seconds``; ``why`` says what is waited for."""

    file: RemoteFile
    seconds: float
    why: str


class Restarted(NamedTuple):
    """The bytes that were here count no longer; ``why`` says what happened."""

    file: RemoteFile
    why: str


class Done(NamedTuple):
    """The bytes are whole and judged."""

    file: RemoteFile
    size: int


class Failed(NamedTuple):
    """The file does not come; the transfer raises the same error."""

    file: RemoteFile
    error: MirrorError


Progress = Started | Advanced | Waiting | Restarted | Done | Failed
Watch = Callable[[Progress], None]
