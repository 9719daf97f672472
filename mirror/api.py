"""``Mirror``: what a program calls, and the command line too.

Opening a mirror reads nothing but where it is; the catalog, the ledger, the store and
the network are opened by the call that needs them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mirror import __version__, place
from mirror.catalog import Artifact, Catalog, builtin_catalog_text, parse, read, select
from mirror.errors import NoLedgerError, UsageError
from mirror.ledger import Ledger
from mirror.lock import Lock, pinned
from mirror.model import Event
from mirror.store import Store

if TYPE_CHECKING:
    from mirror.doctor import Finding
    from mirror.explain import Explanation
    from mirror.ledger import FileState, Reader
    from mirror.recheck import Rechecked
    from mirror.status import ArtifactStatus
    from mirror.stopping import Stop
    from mirror.store import GcItem, GcPlan, Usage
    from mirror.sync.outcome import Outcome, Planned
    from mirror.sync.parts import Parts
    from mirror.transfer.events import Progress

Watch = Callable[["Progress | Planned"], None]


class Mirror:
    """One mirror: a folder with a catalog and a cache.

    Args:
        where: Its paths.
        environ: ``HF_ENDPOINT``, ``HF_TOKEN``, proxies, CA bundles.
    """

    def __init__(self, where: place.Place, environ: Mapping[str, str]) -> None:
        self.place = where
        self._environ = environ

    @classmethod
    def open(cls, root: str | Path | None = None, *, environ: Mapping[str, str] | None = None) -> Mirror:
        """Return the mirror at ``root``, or the one that is found as the command line finds it.

        Args:
            root: The mirror's folder; None looks upwards from the working directory, then takes the user's own.
            environ: The environment; the process's own by default.

        Raises:
            UsageError: ``root`` is no mirror.
        """
        environ = dict(os.environ) if environ is None else environ
        named = None if root is None else Path(root)
        return cls(place.find(named, environ=environ, cwd=Path.cwd()), environ)

    def found(self) -> None:
        """Make the ledger, so that the first pull has none to make; one that is there stays.

        Raises:
            StoreError: The mirror cannot be written.
            LedgerError: Likewise, the ledger.
        """
        self._ledger().close()

    @cached_property
    def catalog(self) -> Catalog:
        """The mirror's catalog, or the built-in one.

        Raises:
            CatalogError: It is damaged.
        """
        if self.place.catalog.exists():
            return read(self.place.catalog)
        return parse(builtin_catalog_text(), where="the built-in catalog")

    @cached_property
    def store(self) -> Store:
        """The blobs."""
        return Store(self.place.cache)

    @cached_property
    def lock(self) -> Lock:
        """The pins of ``catalog.lock.json``.

        Raises:
            CatalogError: It is damaged.
        """
        return Lock.read(self.place.lock)

    def select(self, *selectors: str, everything: bool = False) -> tuple[Artifact, ...]:
        """Return the artifacts that ``selectors`` name, in catalog order; see ``docs/catalog.md``.

        Raises:
            SelectorError: A selector is malformed or names nothing.
        """
        return select(self.catalog, selectors, everything=everything)

    def sync(
        self,
        *selectors: str,
        everything: bool = False,
        formats: Sequence[str] = (),
        update: bool = False,
        offline: bool = False,
        locked: bool = False,
        peer: str | None = None,
        jobs: int = 32,
        limit_rate: float | None = None,
        stall: float = 60.0,
        retries: int = 5,
        retry_pause: float = 0.5,
        dry_run: bool = False,
        no_verify: bool = False,
        watch: Watch | None = None,
        stop: Stop | None = None,
    ) -> Outcome:
        """Pull what ``selectors`` name and say what came of it; a file's problem is not raised.

        Args:
            selectors: What to pull.
            everything: Every artifact of every model.
            formats: Narrow repositories to these formats.
            update: Ask the sources again what they have.
            offline: Open no socket.
            locked: Take only what is pinned.
            peer: Another mirror's address or folder, asked first.
            jobs: The most transfers at once.
            limit_rate: Bytes a second over all transfers.
            stall: Seconds without a byte after which a connection is given up.
            retries: Further tries in a row for a file that brings no new byte; then it is given up.
            retry_pause: Seconds before the first of them; each further pause is twice as long.
            dry_run: Stop after the plan.
            no_verify: Do not look inside archives.
            watch: Told of progress, from several threads.
            stop: Ends the pull when it is set; partials are kept.

        Raises:
            SelectorError: A selector is malformed or names nothing.
            SourceError: ``peer`` is no mirror.
            StoreError: The store cannot be written.
            LedgerError: The ledger cannot be read or written.
        """
        from mirror.stopping import Stop, abortable
        from mirror.sync.outcome import Request
        from mirror.sync.pull import pull

        request = Request(
            self.select(*selectors, everything=everything),
            formats=tuple(formats),
            update=update,
            offline=offline,
            locked=locked,
            peer=peer,
            jobs=jobs,
            dry_run=dry_run,
            limit_rate=limit_rate,
            stall=stall,
            retries=retries,
            retry_pause=retry_pause,
            look_inside=not no_verify,
        )
        stop = stop or Stop()
        with self._parts(stall=stall) as parts, abortable(stop, parts.openers.close):
            return pull(parts, request, watch=watch or _ignore, stop=stop)

    def pull(self, *selectors: str, **options: Any) -> Path:
        """Pull what ``selectors`` name and return the folder with it.

        Takes the options of ``sync``.

        Returns:
            The folder of the artifact, of the model, or of all models, whichever holds everything that was named.

        Raises:
            MirrorError: Something did not come; see ``sync`` to be told everything.
        """
        self.sync(*selectors, **options).raise_for_problems(strict=False)
        return self.path(*selectors)

    def path(self, *selectors: str) -> Path:
        """Return a folder with the held files of what ``selectors`` name, under their own names.

        The files are links to the blobs: read them, do not write them.

        Returns:
            ``cache/trees/<model>/<source>`` for one artifact, ``cache/trees/<model>`` for one model,
            ``cache/trees`` for several.

        Raises:
            SelectorError: A selector is malformed or names nothing.
            UsageError: Nothing of it is held.
            StoreError: The folder cannot be written.
        """
        from mirror.tree import lay_out

        artifacts = self.select(*selectors, everything=not selectors)
        with self.reader() as reader:
            held = [(a, reader.held(a.name)) for a in artifacts] if reader is not None else []
        found = [(artifact, files) for artifact, files in held if files]
        if not found:
            raise UsageError(
                f"nothing of {' '.join(selectors) or 'the catalog'} is held",
                hint=f"minibert-mirror pull {' '.join(selectors) or '--all'}",
            )
        return lay_out(
            self.store, found, one_model=len({a.model.name for a in artifacts}) == 1, one_artifact=len(artifacts) == 1
        )

    @contextmanager
    def reader(self) -> Iterator[Reader | None]:
        """Open the ledger for reading; None when nothing was ever recorded.

        Raises:
            LedgerError: It cannot be read.
        """
        try:
            opened = Ledger.reader(self.place.ledger)
        except NoLedgerError:
            yield None
            return
        with opened as reader:
            yield reader

    def status(self, *selectors: str) -> list[ArtifactStatus]:
        """Return what is held of every artifact that ``selectors`` name; of all without any.

        Raises:
            SelectorError: A selector is malformed or names nothing.
            LedgerError: The ledger cannot be read.
        """
        from mirror.status import ArtifactStatus

        artifacts = self._selected(selectors)
        counts = {
            a.name: ArtifactStatus(a.name, a.revision, waits=a.waits_for_person, url=a.url, code=a.code)
            for a in artifacts
        }
        with self.reader() as reader:
            for file in reader.files() if reader is not None else ():
                if (status := counts.get(file.artifact)) is not None:
                    status.add(file)
        return list(counts.values())

    def files(self, *selectors: str) -> Iterator[FileState]:
        """Yield the state of every file that the ledger knows of what ``selectors`` name; of all without any.

        Raises:
            SelectorError: A selector is malformed or names nothing.
            LedgerError: The ledger cannot be read.
        """
        with self.reader() as reader:
            if reader is None:
                return
            if not selectors:
                yield from reader.files()
            for artifact in self.select(*selectors) if selectors else ():
                yield from reader.files(artifact.name)

    def events(
        self,
        *,
        subject: str | None = None,
        kind: str | None = None,
        since: datetime | None = None,
        limit: int | None = None,
    ) -> Iterator[Event]:
        """Yield what happened, oldest first.

        Args:
            subject: Only what happened to this artifact, file or blob.
            kind: Only events of this kind; ``docs/ledger.md`` lists them.
            since: Only events at this time or later; aware.
            limit: Only the last so many of them.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        with self.reader() as reader:
            if reader is not None:
                yield from (entry.event for entry in reader.events(subject, kind, since, limit))

    def why(self, name: str) -> list[Explanation]:
        """Return everything that is known about the files that ``name`` means; see ``explain.find``.

        Raises:
            SelectorError: It means no file that the ledger knows.
            LedgerError: The ledger cannot be read.
        """
        from mirror.explain import find

        with self.reader() as reader:
            return find(name, self.catalog, reader)

    def verify(
        self, *selectors: str, level: str = "digest", stop: threading.Event | None = None
    ) -> Iterator[Rechecked]:
        """Judge again every blob that is held for what ``selectors`` name, and record the verdicts.

        An altered blob is moved to the quarantine, unless the store can only be read.

        Raises:
            SelectorError: A selector is malformed or names nothing.
            StoreError: A blob cannot be read.
            LedgerError: The ledger cannot be read or written.
        """
        from mirror.recheck import recheck
        from mirror.verify import VerifyLevel

        names = {a.name for a in self.select(*selectors)} if selectors else None
        with self.reader() as reader:
            if reader is not None:
                writable = os.access(self.place.cache, os.W_OK)
                ledger = self._ledger if writable else None
                yield from recheck(reader, self.store, names, VerifyLevel(level), ledger, stop or threading.Event())

    def lock_held(self, *selectors: str) -> dict[str, int]:
        """Pin everything that is held of what ``selectors`` name in ``catalog.lock.json``; other pins stay.

        Returns:
            How many files were pinned, by artifact.

        Raises:
            SelectorError: A selector is malformed or names nothing.
            StoreError: The lock cannot be written.
        """
        written: dict[str, int] = {}
        listings = dict(self.lock.listings)
        with self.reader() as reader:
            for artifact in self._selected(selectors):
                if reader is None:
                    break
                held = {
                    f.path: (f.sha256, f.size)
                    for f in reader.files(artifact.name)
                    if f.state == "held" and f.sha256 and f.size is not None
                }
                listing = reader.listing(artifact.name)
                if held and listing is not None:
                    listings[artifact.name] = pinned(listing, held)
                    written[artifact.name] = len(held)
        self.lock = Lock(listings)
        self.lock.write(self.place.lock)
        return written

    def plan_gc(self, *, quarantine: bool = False, partial_days: float | None = None) -> GcPlan:
        """Return what no artifact, and no pin of the lock, needs; nothing is deleted.

        Args:
            quarantine: Also the evidence of disputed files.
            partial_days: Also partials that nobody has touched for so many days.

        Raises:
            StoreError: The store cannot be read.
            LedgerError: The ledger cannot be read.
        """
        older = None if partial_days is None else partial_days * 86400
        return self.store.plan_gc(self._needed(), quarantine=quarantine, partial_older_than=older)

    def run_gc(self, plan: GcPlan) -> tuple[GcItem, ...]:
        """Delete what ``plan`` says and is still not needed; return what went.

        Raises:
            StoreError: The store cannot be written.
            LedgerError: The ledger cannot be written.
        """
        needed = self._needed()
        gone = self.store.run_gc(plan, is_needed=needed.__contains__)
        events = [
            Event("removed", f"sha256:{item.path.name}", {"sha256": item.path.name, "size": item.size, "why": item.why})
            for item in gone
            if item.kind == "blob"
        ]
        # Closing the ledger completes what a writer left that died on its way out.
        if events or (self.place.ledger.exists() and os.access(self.place.cache, os.W_OK)):
            with self._ledger() as ledger:
                ledger.record(events)
        return gone

    def du(self) -> Usage:
        """Measure the mirror's cache.

        Raises:
            StoreError: It cannot be read.
        """
        return self.store.du()

    def examine(self, *, offline: bool = False) -> Iterator[Finding]:
        """Yield what ``doctor`` finds on this machine."""
        from mirror.doctor import examine

        with self._parts(stall=60.0) as parts:
            client = None if offline else lambda: parts.openers.client
            hosts = list(
                {
                    urlsplit(f.urls[0]).netloc: f.urls[0] for a in self.catalog.artifacts() for f in a.files if f.urls
                }.values()
            )
            yield from examine(self.place.cache, hosts, environ=self._environ, client=client)

    def _selected(self, selectors: tuple[str, ...]) -> tuple[Artifact, ...]:
        return self.select(*selectors) if selectors else tuple(self.catalog.artifacts())

    def _needed(self) -> set[str]:
        pins = {file.sha256 for listing in self.lock.listings.values() for file in listing.files if file.sha256}
        with self.reader() as reader:
            return pins | reader.needed() if reader is not None else pins

    def _ledger(self) -> Ledger:
        place.prepare(self.place)
        return Ledger.open(self.place.ledger, tool=__version__, now=lambda: datetime.now(UTC))

    @contextmanager
    def _parts(self, *, stall: float) -> Iterator[Parts]:
        """Gather the rooms that a pull works with; close the network at the end."""
        from mirror.sources.opener import Openers
        from mirror.sync.parts import Parts

        with Openers.of(self._environ, stall=stall) as openers:
            yield Parts(self.catalog.refused, self.lock, self.store, self.reader, self._ledger, openers)


def _ignore(event: Progress | Planned) -> None:
    """Take no notice of ``event``."""
