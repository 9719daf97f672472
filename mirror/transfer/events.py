"""What a transfer tells while it works: small frozen events, cheap enough for every buffer.

They come from several threads. Silence is not an event: whoever shows progress
knows when the last ``Advanced`` came.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mirror.errors import MirrorError
    from mirror.model import RemoteFile


@dataclass(frozen=True, slots=True)
class Started:
    """A transfer begins, or goes on where an earlier one ended.

    Attributes:
        file: The file.
        size: Its bytes, where known by now.
        held: Bytes that are here already.
    """

    file: RemoteFile
    size: int | None
    held: int


@dataclass(frozen=True, slots=True)
class Advanced:
    """So many more bytes of the file are here."""

    file: RemoteFile
    bytes: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing is asked for ``seconds``; ``why`` says what is waited for."""

    file: RemoteFile
    seconds: float
    why: str


@dataclass(frozen=True, slots=True)
class Restarted:
    """The bytes that were here count no longer; ``why`` says what happened."""

    file: RemoteFile
    why: str


@dataclass(frozen=True, slots=True)
class Done:
    """The bytes are whole and judged."""

    file: RemoteFile
    size: int


@dataclass(frozen=True, slots=True)
class Failed:
    """The file does not come; the transfer raises the same error."""

    file: RemoteFile
    error: MirrorError


Progress = Started | Advanced | Waiting | Restarted | Done | Failed
Watch = Callable[[Progress], None]
