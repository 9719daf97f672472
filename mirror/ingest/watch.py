"""A folder that is looked at again and again: what changed in it, once it stands still.

A download grows, or has a name of its own until it is whole; so what is new is given out
only when nothing below it has changed for a while. The system wakes us when something
happens; where it cannot, as on a network's disk, we look every few seconds.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from mirror.errors import StoreError
from mirror.model import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Seconds between two looks where the system says nothing.
_PERIOD = 10.0
#: Relative path, size and time of change of every file below an entry.
Seen = frozenset[tuple[str, int, int]]


def settled(folder: Path, stop: threading.Event, *, settle: float) -> Iterator[list[Path]]:
    """Yield the entries of a folder that are new or changed, together, once they stand still; until ``stop`` is set.

    Args:
        folder: What is watched; everything that is in it already counts as new.
        stop: Ends it.
        settle: Seconds for which nothing below an entry may change.

    Raises:
        StoreError: The folder is not there any more, or cannot be read.
    """
    done: dict[Path, Seen] = {}
    standing: dict[Path, tuple[Seen, float]] = {}
    with _woken(folder) as news:
        while not stop.is_set():
            news.clear()
            now = time.monotonic()
            ready = []
            for entry, seen in _entries(folder):
                if done.get(entry) == seen:
                    continue
                before, since = standing.get(entry, (None, now))
                standing[entry] = (seen, since if before == seen else now)
                if now - standing[entry][1] >= settle:
                    ready.append(entry)
                    done[entry] = seen
                    del standing[entry]
            if ready:
                yield ready
            else:
                _wait(news, stop, settle / 4 if standing else _PERIOD)


def _entries(folder: Path) -> list[tuple[Path, Seen]]:
    try:
        return [(entry, _seen(entry)) for entry in sorted(folder.iterdir())]
    except OSError as error:
        raise StoreError(
            f"{printable(str(folder))} cannot be watched any more: {error.strerror or error}",
            hint="put it back, or name where it is now, and run the command again: what was taken in stays",
        ) from error


def _seen(entry: Path) -> Seen:
    if not entry.is_dir():
        return frozenset(_facts(entry, entry))
    found = (Path(top, name) for top, _, names in os.walk(entry) for name in names)
    return frozenset(fact for path in found for fact in _facts(path, entry))


def _facts(path: Path, entry: Path) -> Iterator[tuple[str, int, int]]:
    try:
        stat = path.stat()
    except OSError:  # gone, or a link to nowhere
        return
    yield (str(path.relative_to(entry)), stat.st_size, stat.st_mtime_ns)


def _wait(news: threading.Event, stop: threading.Event, seconds: float) -> None:
    """Wait for news, no longer than so long, and for no news after a stop."""
    until = time.monotonic() + seconds
    while not stop.is_set() and (left := until - time.monotonic()) > 0:
        if news.wait(min(left, 0.5)):
            return


class _Bell(FileSystemEventHandler):
    def __init__(self, news: threading.Event) -> None:
        self._news = news

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Ring, whatever happened, but for mere looks."""
        if event.event_type not in {"opened", "closed_no_write"}:
            self._news.set()


@contextmanager
def _woken(folder: Path) -> Iterator[threading.Event]:
    """Give an event that is set whenever something changes below a folder, as far as the system says so."""
    news = threading.Event()
    observer = Observer()
    try:
        observer.schedule(_Bell(news), str(folder), recursive=True)
        observer.start()
    except OSError:  # too many watches, or a disk that cannot
        yield news
        return
    try:
        yield news
    finally:
        observer.stop()
        observer.join()
