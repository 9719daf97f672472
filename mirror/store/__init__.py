"""The store: blobs, partials, claims and quarantine, on one file system.

A store may be shared by processes, users and hosts. There are no locks: a name
appears by a rename or not at all. Opening a store makes nothing, and one that can
only be read serves all the same. What only some calls need is imported by them: a pull
that finds everything here imports nothing but ``blobs``.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mirror.errors import BusyError
from mirror.store import blobs, disk
from mirror.store.layout import GRACE, Layout, partial_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from collections.abc import Set as AbstractSet
    from contextlib import AbstractContextManager

    from mirror.model import Blob
    from mirror.store.partials import Partial
    from mirror.store.quarantine import Case
    from mirror.store.sharing import Shared, Way
    from mirror.store.spans import Span
    from mirror.store.states import PartialState
    from mirror.store.sweep import GcItem, GcPlan
    from mirror.store.usage import Usage

#: Bytes up to which a blob is published from memory, in a batch, and has no partial.
SMALL = 1 << 20

__all__ = [
    "SMALL",
    "Case",
    "GcItem",
    "GcPlan",
    "Partial",
    "PartialState",
    "Shared",
    "Span",
    "Store",
    "Usage",
    "Way",
    "partial_key",
]


_ELSEWHERE = {
    "Case": "quarantine", "GcItem": "sweep", "GcPlan": "sweep", "Partial": "partials", "PartialState": "states",
    "Shared": "sharing", "Span": "spans", "Usage": "usage", "Way": "sharing",
}  # fmt: skip


def __getattr__(name: str) -> object:
    """Import a name of this room when it is first asked for."""
    if name in _ELSEWHERE:
        return getattr(import_module(f"mirror.store.{_ELSEWHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class Store:
    """The ``cache/`` directory, but for the ledger.

    Args:
        root: The directory; made by the first write.
        clock: Seconds that only grow; times the heartbeat of partials.
    """

    def __init__(self, root: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.root = root
        self._layout = Layout(root)
        self._clock = clock

    def find(self, sha256: str) -> Blob | None:
        """Return the blob of that name, without reading it; None when it is not here.

        Raises:
            StoreError: The store cannot be read.
            ValueError: ``sha256`` is not 64 lower-case hexadecimal digits.
        """
        return blobs.find(self._layout, sha256)

    def blob_path(self, sha256: str) -> Path:
        """Return where the blob of that name is, or would be; ValueError when it is no sha256."""
        return Path(self._layout.blob(sha256))

    def publish(self, batch: Iterable[tuple[str, bytes]]) -> list[Blob]:
        """Give small blobs, already judged, their names; all are durable at the return.

        Raises:
            DiskFullError: There is no room; what is visible by then is whole.
            ReadOnlyStoreError: The store cannot be written.
            StoreError: Anything else that the system says.
            ValueError: A name is not a sha256.
        """
        return blobs.publish(self._layout, batch)

    def shared(self, source: Path, way: Way) -> AbstractContextManager[Shared]:
        """Give a file that shares the bytes of ``source`` and may become a blob; see ``sharing.shared``.

        Raises:
            LinkError: The two cannot share them in that way.
            DiskFullError: There is no room.
            ReadOnlyStoreError: The store cannot be written.
            StoreError: Anything else that the system says.
        """
        from mirror.store import sharing

        return sharing.shared(self._layout, source, way)

    def partial(self, key: str) -> Partial:
        """Claim the partial of that key: a new one, or what a dead owner left.

        Raises:
            BusyError: A live process, or another thread, has it.
            DiskFullError: There is no room.
            ReadOnlyStoreError: The store, or what was left, cannot be written.
            StoreError: Anything else that the system says.
            ValueError: ``key`` is not made of hexadecimal digits; see ``partial_key``.
        """
        from mirror.store import adoption
        from mirror.store.partials import Partial

        return Partial(self._layout, adoption.take(self._layout, key), clock=self._clock)

    @contextmanager
    def alone(self, what: str) -> Iterator[Callable[[], None]]:
        """Be the only one on this store who does ``what``, until the end of the block.

        Gives a call that tells other hosts that we are still at it: every minute or so is often enough.

        Raises:
            BusyError: Another process, or another thread, is at it.
            DiskFullError: There is no room.
            ReadOnlyStoreError: The store cannot be written.
            StoreError: Anything else that the system says.
        """
        from mirror.store import adoption

        try:
            claim = adoption.take(self._layout, partial_key("alone", what))
        except BusyError as error:
            error.args = (f"{what}: {error.owner} is at it",)
            raise
        try:
            yield claim.beat
        finally:
            claim.remove()

    def committed(self, key: str) -> str | None:
        """Return the sha256 under which a partial's bytes are published though its claim is still there.

        A process that died between the rename and the ledger's row leaves such a
        claim; with the row written, ``partial(key).forget()`` ends it.

        Raises:
            StoreError: The store cannot be read.
        """
        from mirror.store import states

        sha256 = states.committed_in(self._layout.claim(key))
        return sha256 if sha256 is not None and self.find(sha256) is not None else None

    def quarantine(self, data: bytes | Path, evidence: dict[str, Any]) -> Path:
        """Keep disputed bytes as evidence, never to be offered; return their directory.

        A file of the store itself, such as a damaged blob, is moved; any other is copied.

        Raises:
            DiskFullError: There is no room.
            ReadOnlyStoreError: The store cannot be written.
            StoreError: Anything else that the system says.
        """
        from mirror.store import quarantine

        return quarantine.seal(self._layout, data, evidence)

    def write(self, name: str, lines: Iterable[str]) -> None:
        """Write a text file at the root, whole or not at all: what other mirrors read.

        Raises:
            DiskFullError: There is no room.
            ReadOnlyStoreError: The store cannot be written.
            StoreError: Anything else that the system says.
        """
        from mirror.store import rooms

        with disk.our_errors(self.root), rooms.workroom(self._layout) as room:
            with (room / name).open("w", encoding="utf-8") as file:
                file.writelines(lines)
            (room / name).replace(self.root / name)

    def first_line(self, name: str) -> str | None:
        """Return the first line of a text file at the root; None when it is not there. StoreError otherwise."""
        with disk.our_errors(self.root / name, reading=True):
            try:
                with (self.root / name).open(encoding="utf-8", errors="replace") as file:
                    return file.readline()
            except FileNotFoundError:
                return None

    def iter_blobs(self) -> Iterator[Blob]:
        """Yield every blob in the order of the names, in flat memory; StoreError when it cannot be read."""
        return blobs.iterate(self._layout)

    def iter_partials(self) -> Iterator[PartialState]:
        """Yield what stands under ``partial/``, claiming nothing; StoreError when it cannot be read."""
        from mirror.store import states

        return states.iterate(self._layout)

    def iter_quarantine(self) -> Iterator[Case]:
        """Yield what is in quarantine, oldest first; StoreError when it cannot be read."""
        from mirror.store import quarantine

        return quarantine.iterate(self._layout)

    def plan_gc(
        self,
        needed: AbstractSet[str],
        *,
        quarantine: bool = False,
        partial_older_than: float | None = None,
        grace: float = GRACE,
    ) -> GcPlan:
        """Say what may be deleted; see ``sweep.plan_gc``. StoreError when the store cannot be read."""
        from mirror.store import sweep

        return sweep.plan_gc(
            self._layout, needed, quarantine=quarantine, partial_older_than=partial_older_than, grace=grace
        )

    def run_gc(self, plan: GcPlan, *, is_needed: Callable[[str], bool] | None = None) -> tuple[GcItem, ...]:
        """Delete what the plan says and is still as it was; return what went.

        Raises:
            ReadOnlyStoreError: The store cannot be written.
            StoreError: Anything else that the system says.
        """
        from mirror.store import sweep

        return sweep.run_gc(self._layout, plan, is_needed=is_needed)

    def du(self) -> Usage:
        """Measure the store; StoreError when it cannot be read."""
        from mirror.store import usage

        return usage.du(self._layout)

    def free_bytes(self) -> int:
        """Return how many bytes still fit; a quota may allow less. StoreError when nobody knows."""
        from mirror.store import usage

        return usage.free_bytes(self._layout)

    def check_room(self, needed: int) -> None:
        """Refuse, before the first byte, what would not fit or could not be written.

        Raises:
            DiskFullError: ``needed`` bytes would not fit.
            ReadOnlyStoreError: The store belongs to somebody else.
            StoreError: Nobody knows.
        """
        from mirror.store import usage

        usage.check_room(self._layout, needed)
