"""Work in progress: directories under ``partial/`` that belong to one process for one step.

Their names say whose they are, so that what a process leaves that died in the
middle can be told from what another is just doing.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from mirror.store import disk
from mirror.store.layout import LIFTED, NEW, Layout
from mirror.store.owner import signature, signer_gone

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: What will go with the room.
_DROPPED = "dropped"


@contextmanager
def workroom(layout: Layout, prefix: str = NEW, key: str | None = None) -> Iterator[Path]:
    """A directory of ours for the duration.

    What is still lifted at the end, because it was not what we wanted or something
    failed, is put back under ``key``. Should a new claim stand there by then, the
    lifted bytes go, and who writes them is told so by ``Claim.check``.

    Raises:
        OSError: The store cannot be written.
    """
    room = layout.partial / f"{prefix}{signature()}"
    room.mkdir(parents=True)
    try:
        yield room
    finally:
        if key is not None:
            with suppress(OSError):
                (room / LIFTED).rename(layout.claim(key))
        drop_lifted(room)
        disk.remove_tree(room)


def drop_lifted(room: Path) -> None:
    """Let the end of ``room`` delete what it lifted. Half deleted, under its own name, it would pass for a claim."""
    with suppress(OSError):
        (room / LIFTED).rename(room / _DROPPED)


def is_abandoned(layout: Layout, room: Path, *, silence: float) -> bool:
    """Whether the process that made the room is gone, or cannot be seen and has been silent for so long."""
    gone = signer_gone(room.name)
    return is_silent(layout, room, silence=silence) if gone is None else gone


def is_silent(layout: Layout, path: Path, *, silence: float) -> bool:
    """Whether nobody has changed ``path`` for ``silence`` seconds of the file system's own clock.

    In a store that we cannot write there is no such clock, and nobody is silent.
    """
    changed = _time_of(path)
    if changed is None:
        return True
    now = clock(layout)
    return now is not None and now - changed > silence


def clock(layout: Layout) -> float | None:
    """Return the time by the file system's clock, the one that stamps files; None in a store we cannot write."""
    if not layout.partial.is_dir():
        return None
    try:
        with workroom(layout) as room:
            return _time_of(room)
    except OSError:
        return None


def _time_of(path: Path) -> float | None:
    """Return when ``path`` was changed; opened, so that a network file system asks its server."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        return os.fstat(fd).st_mtime
    finally:
        os.close(fd)
