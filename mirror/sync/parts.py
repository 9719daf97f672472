"""The rooms that a pull works with; each is opened only when it is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from mirror.catalog import Artifact, Model
    from mirror.ledger import Ledger, Reader
    from mirror.lock import Lock
    from mirror.sources.opener import Openers
    from mirror.store import Store


class Parts(NamedTuple):
    """One mirror's rooms, and the ways to open the ones that cost something.

    Attributes:
        artifact: Gives the catalog's artifact of that name; None when there is none.
        refused: Gives the sha256 of look-alikes that must never pass for a model, and what they are.
        lock: The pins that ``lock`` wrote.
        store: The blobs.
        reader: Opens the ledger for reading; gives None when there is no ledger yet.
        ledger: Opens the ledger for writing, in the thread that will write.
        openers: Opens addresses; makes a connection when one is first asked for.
    """

    artifact: Callable[[str], Artifact | None]
    refused: Callable[[Model], Mapping[str, str]]
    lock: Lock
    store: Store
    reader: Callable[[], AbstractContextManager[Reader | None]]
    ledger: Callable[[], Ledger]
    openers: Openers
