"""What only a person can fetch: which shares wait, and what was brought, taken in by content."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mirror.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mirror.handoffs import Waiting
    from mirror.ingest import Ingested, Plan, Rooms

from mirror.api.base import Base


class Receiving(Base):
    """The mirror as something that people bring files to."""

    def handoffs(self, *selectors: str) -> list[Waiting]:
        """Return what waits for a person of what ``selectors`` name; everything without any, bundles too.

        Raises:
            SelectorError: A selector is malformed or names nothing.
            LedgerError: The ledger cannot be read.
        """
        from mirror.handoffs import corroborated, waiting

        with self.reader() as reader:
            return corroborated(list(waiting(self._selected(selectors), reader)), self.catalog, reader)

    def _still_wait(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return those of ``names`` that wait for a person: nothing of them has come, if they were ever published."""
        if not names:
            return ()
        from mirror.handoffs import waiting

        with self.reader() as reader:
            found = waiting(map(self.catalog.artifact, names), reader)
            return tuple(one.artifact for one in found if one.is_open or one.url is None)

    def look_through(self, *paths: str | Path, named: str | None = None) -> Plan:
        """Return what ``ingest`` would do with these files and folders; nothing is changed.

        Args:
            paths: Files and folders; archives in them are opened.
            named: The artifact that all of it is, where a person knows.

        Raises:
            UsageError: A path is neither a file nor a folder, or ``named`` is more than one artifact.
            SelectorError: ``named`` names nothing.
            StoreError: There is no room to unpack an archive.
            LedgerError: The ledger cannot be read.
        """
        with self._rooms() as rooms:
            return self._look(rooms, paths, named)

    def ingest(
        self,
        *paths: str | Path,
        named: str | None = None,
        link: str = "auto",
        stop: threading.Event | None = None,
    ) -> Ingested:
        """Take in what a person fetched, by its content, whatever it is called; see ``mirror.ingest``.

        The person's files are only read. Everything that ``look_through`` raises, and:

        Args:
            paths: Files and folders; archives in them are opened.
            named: The artifact that all of it is, where a person knows.
            link: How the bytes come in: ``auto`` (a reflink where the file system can, else a copy), ``reflink``,
                ``copy``, or ``hardlink``, which makes the person's own file read-only.
            stop: Ends it between two artifacts.

        Raises:
            LinkError: A file cannot be linked in the way that was asked for.
            StoreError: The store cannot be written.
            LedgerError: The ledger cannot be written.
        """
        from mirror.ingest import Link, ingest
        from mirror.sync.peers import tell

        with self._rooms() as rooms:
            done = ingest(self._look(rooms, paths, named), rooms, stop or threading.Event(), Link(link))
        if done.taken:
            with self._parts(stall=60.0) as parts:
                tell(parts, [])
        return done

    def watch(
        self,
        folder: str | Path,
        *,
        named: str | None = None,
        link: str = "auto",
        settle: float = 5.0,
        stop: threading.Event | None = None,
    ) -> Iterator[Ingested]:
        """Keep looking at a folder, and ingest what comes once it has stopped growing; until ``stop`` is set.

        Args:
            folder: What is looked at; first what is there already.
            named: As ``ingest`` has it.
            link: Likewise.
            settle: Seconds for which nothing may change in what is taken.
            stop: Ends it.

        Raises:
            UsageError: ``folder`` is none.
            StoreError: It is not there any more; and all that ``ingest`` raises.
        """
        from mirror.ingest.watch import settled

        where, stop = Path(folder), stop or threading.Event()
        if not where.is_dir():
            raise UsageError(f"{where} is no folder")
        for entries in settled(where, stop, settle=settle):
            if there := [entry for entry in entries if entry.is_file() or entry.is_dir()]:
                yield self.ingest(*there, named=named, link=link, stop=stop)

    def _look(self, rooms: Rooms, paths: tuple[str | Path, ...], named: str | None) -> Plan:
        from mirror.ingest import look

        artifact = None
        if named is not None:
            found = self.select(named)
            if len(found) != 1:
                raise UsageError(
                    f"{named!r} is {len(found)} artifacts", hint="name one, such as bert-tiny@baidu-pytorch"
                )
            artifact = found[0]
        return look([Path(path) for path in paths], rooms, artifact)

    @contextmanager
    def _rooms(self) -> Iterator[Rooms]:
        from mirror.ingest import Rooms

        with self.reader() as reader:
            yield Rooms(self.catalog, reader, self.store, self.lock, self._scratch, self._ledger)
