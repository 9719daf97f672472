"""Archives, unpacked while they are checked, into one file that has no name."""

from __future__ import annotations

import tempfile
from typing import IO, TYPE_CHECKING, cast

from mirror.errors import FULL, ArchiveError, DiskFullError, StoreError
from mirror.formats.archive import list_members
from mirror.formats.reader import ViewReader
from mirror.load.opening import mapped_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: Each member begins at a multiple of this, as numbers in memory do.
_ALIGNED = 64


def unpacked(
    path: Path, wanted: Callable[[str], bool], scratch: Path, *, data: memoryview | None = None
) -> dict[str, memoryview]:
    """Return the wanted members of a zip or gzipped tar, by path.

    All lie behind each other in one file: however many there are, only one is open.

    Args:
        path: The archive.
        data: Its bytes, where it has no path of its own: then that is only for people.
        wanted: Whether a member's path is.
        scratch: A directory with room for them; nothing in it has a name, and all of it goes with the last user.

    Raises:
        ArchiveError: It is damaged, built to harm, or no archive at all.
        StoreError: It cannot be read, or there is no room.
    """
    spans: dict[str, tuple[int, int]] = {}
    try:
        # Without a buffer: what is left in one would be written when an error closes the file.
        with tempfile.TemporaryFile(dir=scratch, buffering=0) as file:

            def take(name: str, size: int) -> Callable[[bytes], object] | None:
                if not wanted(name):
                    return None
                start = -(-file.seek(0, 2) // _ALIGNED) * _ALIGNED
                file.seek(start)
                spans[name] = start, start + size
                return lambda piece: _write(file, piece)

            with path.open("rb") if data is None else cast("IO[bytes]", ViewReader(data)) as archive:
                members = list_members(archive, take=take)
            if members is None:
                raise ArchiveError("neither a zip, a 7z nor a tar")
            held = mapped_file(file)
    except OSError as error:
        kind = DiskFullError if error.errno in FULL else StoreError
        raise kind(f"{path}, unpacked in {scratch}: {error.strerror or error}") from error
    return {name: held[start:stop] for name, (start, stop) in spans.items()}


def _write(file: IO[bytes], piece: bytes) -> None:
    """Write all of a piece: a file without a buffer takes what there is room for, and says how much that was."""
    rest = memoryview(piece)
    while rest:
        rest = rest[file.write(rest) :]
