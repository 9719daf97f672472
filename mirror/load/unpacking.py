"""Archives, unpacked while they are checked, into files that have no name."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING, cast

from mirror.errors import FULL, ArchiveError, DiskFullError, StoreError
from mirror.formats.archive import list_members
from mirror.formats.reader import ViewReader
from mirror.load.opening import mapped_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def unpacked(
    path: Path, wanted: Callable[[str], bool], scratch: Path, *, data: memoryview | None = None
) -> dict[str, memoryview]:
    """Return the wanted members of a zip or gzipped tar, by path.

    Args:
        path: The archive.
        data: Its bytes, where it has no path of its own: then that is only for people.
        wanted: Whether a member's path is.
        scratch: A directory with room for them; nothing in it has a name, and all of it goes with the last user.

    Raises:
        ArchiveError: It is damaged, built to harm, or no archive at all.
        StoreError: It cannot be read, or there is no room.
    """
    with ExitStack() as open_files:
        files: dict[str, IO[bytes]] = {}

        def take(name: str, _: int) -> Callable[[bytes], object] | None:
            if not wanted(name):
                return None
            files[name] = open_files.enter_context(tempfile.TemporaryFile(dir=scratch))
            return files[name].write

        try:
            with path.open("rb") if data is None else cast("IO[bytes]", ViewReader(data)) as archive:
                members = list_members(archive, take=take)
            for file in files.values():
                file.flush()
            views = {name: mapped_file(file) for name, file in files.items()}
        except OSError as error:
            kind = DiskFullError if error.errno in FULL else StoreError
            raise kind(f"{path}, unpacked in {scratch}: {error.strerror or error}") from error
    if members is None:
        raise ArchiveError("neither a zip nor a gzipped tar")
    return views
