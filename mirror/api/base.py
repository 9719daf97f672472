"""One mirror: where it is, and its rooms, each opened by the call that needs it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from mirror import __version__, place
from mirror.catalog import Artifact, Catalog, builtin_catalog_text, parse, read, select
from mirror.errors import NoLedgerError
from mirror.ledger import Ledger
from mirror.lock import Lock
from mirror.store import Store

if TYPE_CHECKING:
    from mirror.ledger import Reader
    from mirror.sync.outcome import Planned
    from mirror.sync.parts import Parts
    from mirror.transfer.events import Progress


Watch = Callable[["Progress | Planned"], None]


class Base:
    """A folder with a catalog and a cache.

    Args:
        where: Its paths.
        environ: ``HF_ENDPOINT``, ``HF_TOKEN``, proxies, CA bundles.
    """

    def __init__(self, where: place.Place, environ: Mapping[str, str]) -> None:
        self.place = where
        self._environ = environ

    @classmethod
    def open(cls, root: str | Path | None = None, *, environ: Mapping[str, str] | None = None) -> Self:
        """Return the mirror at ``root``, or the one that is found as the command line finds it.

        Args:
            root: The mirror's folder; None looks upwards from the working directory, then takes the user's own.
            environ: The environment; the process's own by default.

        Raises:
            UsageError: ``root`` is no mirror.
        """
        environ = dict(os.environ) if environ is None else environ
        named = None if root is None else Path(root)
        return cls(place.find(named, environ=environ, cwd=Path.cwd), environ)

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

    def _selected(self, selectors: tuple[str, ...]) -> tuple[Artifact, ...]:
        return self.select(*selectors) if selectors else tuple(self.catalog.artifacts())

    def _ledger(self) -> Ledger:
        place.prepare(self.place)
        return Ledger.open(self.place.ledger, tool=__version__, now=lambda: datetime.now(UTC))

    @property
    def _is_ours(self) -> bool:
        """Whether the cache can be written."""
        return os.access(self.place.cache, os.W_OK)

    @property
    def _ledger_if_ours(self) -> Callable[[], Ledger] | None:
        """What opens the ledger for writing; None where the mirror is somebody else's."""
        return self._ledger if self._is_ours else None

    @property
    def _scratch(self) -> Path:
        """A directory for what has no name: the cache, or the system's where that is not ours to write."""
        if self._is_ours:
            return self.place.cache
        import tempfile  # 3 ms, for who uses a mirror that is not theirs

        return Path(tempfile.gettempdir())

    @contextmanager
    def _parts(self, *, stall: float) -> Iterator[Parts]:
        """Gather the rooms that a pull works with; close the network at the end."""
        from mirror.sources.opener import Openers
        from mirror.sync.parts import Parts

        with Openers.of(self._environ, stall=stall) as openers:
            yield Parts(
                self.catalog.by_artifact.get,
                self.catalog.refused,
                self.lock,
                self.store,
                self.reader,
                self._ledger,
                openers,
            )


def ignore(event: Progress | Planned) -> None:
    """Take no notice of ``event``."""
