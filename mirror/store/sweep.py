"""What may be deleted, said first and done later.

A plan changes nothing. Carrying it out asks again, right before each deletion,
whether the blob is needed and the partial's owner still gone. A blob that a claim
has just published, and whose row the ledger may still lack, counts as needed.
"""

from __future__ import annotations

import stat
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

from mirror.store import adoption, blobs, claims, disk, quarantine, rooms, states
from mirror.store.layout import ADOPT, DATA, GRACE, LIFTED, NEW, OWNER, Layout, is_key
from mirror.store.usage import walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from mirror.store.owner import Owner

#: Seconds after which a room of another host is an orphan; no step takes that long, and rooms have no heartbeat.
ROOM_SILENCE = 3600.0


class GcItem(NamedTuple):
    """One thing that may be deleted.

    Attributes:
        kind: What it is; an ``orphan`` is what a process left that died in the middle of a step.
        path: A blob's file, or the directory of anything else.
        size: Bytes in it.
        why: The reason, for people.
    """

    kind: Literal["blob", "partial", "orphan", "quarantine"]
    path: Path
    size: int
    why: str


@dataclass(frozen=True, slots=True)
class GcPlan:
    """What ``run_gc`` will delete.

    Attributes:
        items: In the order in which they go.
        needed: The blobs that must stay.
        new: How many blobs nobody needs and stay for now, since their process may just be recording them.
    """

    items: tuple[GcItem, ...]
    needed: AbstractSet[str] = field(repr=False)
    new: int = 0

    @property
    def size(self) -> int:
        """Bytes of all items."""
        return sum(item.size for item in self.items)


def plan_gc(
    layout: Layout,
    needed: AbstractSet[str],
    *,
    quarantine: bool = False,
    partial_older_than: float | None = None,
    grace: float = GRACE,
) -> GcPlan:
    """Say what may go; delete nothing.

    Args:
        layout: Of the store.
        needed: sha256 of every blob that must stay.
        quarantine: Whether disputed bytes may go as well.
        partial_older_than: Seconds since the last byte after which an abandoned partial may go; None keeps all.
        grace: Seconds since its last byte during which a blob stays even when nobody needs it.

    Raises:
        StoreError: The store cannot be read.
    """
    now = rooms.clock(layout) or time.time()
    claimed = [*_claimed(layout, needed, now, partial_older_than)]
    keep = set(needed) | _pending(layout, {item.path for item in claimed})
    unneeded = [blob for blob in blobs.iterate(layout) if blob.sha256 not in keep]
    old = [
        GcItem("blob", blob.path, blob.size, "nothing in the catalog or the ledger needs it")
        for blob in unneeded
        if _age(blob.path, now) >= grace
    ]
    cases = _cases(layout) if quarantine else ()
    return GcPlan((*claimed, *_orphans(layout), *old, *cases), needed, len(unneeded) - len(old))


def run_gc(layout: Layout, plan: GcPlan, *, is_needed: Callable[[str], bool] | None = None) -> tuple[GcItem, ...]:
    """Delete what the plan says and what is still as it was; return what went.

    Args:
        layout: Of the store.
        plan: Of ``plan_gc``.
        is_needed: Asked with a blob's sha256 right before it goes; by default the plan's own set answers.

    Raises:
        ReadOnlyStoreError: The store cannot be written.
        StoreError: Anything else that the system says.
    """
    needed = is_needed or plan.needed.__contains__
    gone = [item for item in plan.items if item.kind != "blob" and _remove_directory(layout, item)]
    pending = _pending(layout, set())
    for item in plan.items:
        if item.kind == "blob" and item.path.name not in pending and not needed(item.path.name):
            with disk.our_errors(item.path), suppress(FileNotFoundError):
                item.path.unlink()
                gone.append(item)
    return tuple(gone)


def _claimed(layout: Layout, needed: AbstractSet[str], now: float, older_than: float | None) -> Iterator[GcItem]:
    """Yield the partials that nobody works on and nobody will miss."""
    for state in states.iterate(layout):
        if not _is_free(layout, state.path, state.owner):
            continue
        age = min(_age(state.path / DATA, now), _age(state.path / OWNER, now))
        if state.committed in needed:
            yield GcItem("orphan", state.path, _size(state.path), "its bytes are published and recorded")
        elif state.committed is None and not state.held:
            # A process that died just before its first byte, or just after the row of its blob.
            yield GcItem("orphan", state.path, _size(state.path), "not one byte is left in it")
        elif older_than is not None and age >= older_than:
            why = f"nobody has worked on it for {age / 86400:.1f} days"
            yield GcItem("partial", state.path, _size(state.path), why)


def _orphans(layout: Layout) -> Iterator[GcItem]:
    """Yield what processes left that died in the middle of a step."""
    for path in _entries(layout.partial):
        if path.name.startswith((NEW, ADOPT)) and _abandoned(layout, path):
            yield GcItem("orphan", path, _size(path), "its process died in the middle of a step")


def _cases(layout: Layout) -> Iterator[GcItem]:
    for case in quarantine.iterate(layout):
        yield GcItem("quarantine", case.path, _size(case.path), "disputed bytes, kept as evidence")


def _abandoned(layout: Layout, room: Path) -> bool:
    """Whether neither the room's process lives nor the owner of a claim that it lifted."""
    lifted = room / LIFTED
    return rooms.is_abandoned(layout, room, silence=ROOM_SILENCE) and (
        not disk.names(lifted) or adoption.is_free(layout, lifted, claims.read_owner(lifted))
    )


def _remove_directory(layout: Layout, item: GcItem) -> bool:
    """Delete an item that is a directory; whether it was still nobody's."""
    if is_key(item.path.name):
        owner = claims.read_owner(item.path)
        free = _is_free(layout, item.path, owner)
        return free and adoption.discard(layout, item.path.name, owner)
    if item.kind == "orphan" and not _abandoned(layout, item.path):
        return False
    with disk.our_errors(item.path), rooms.workroom(layout) as room:
        try:
            item.path.rename(room / item.path.name)
        except FileNotFoundError:
            return False
    return True


def _is_free(layout: Layout, path: Path, owner: Owner | None) -> bool:
    """Whether nobody has the claim any more; an empty directory is no claim."""
    return not _entries(path) or adoption.is_free(layout, path, owner)


def _pending(layout: Layout, without: AbstractSet[Path]) -> set[str]:
    """Return the blobs that a claim has published, or is about to publish."""
    found = set()
    for path in _entries(layout.partial):
        place = path / LIFTED if path.name.startswith(ADOPT) else path
        if place not in without and (sha256 := states.committed_in(place)):
            found.add(sha256)
    return found


def _entries(path: Path) -> list[Path]:
    with disk.our_errors(path, reading=True):
        return [path / name for name in disk.names(path)]


def _age(path: Path, now: float) -> float:
    """Return the seconds since a file's last byte, by the file system's clock; endless when there is none."""
    with disk.our_errors(path, reading=True):
        try:
            return now - path.stat().st_mtime
        except FileNotFoundError:
            return float("inf")


def _size(path: Path) -> int:
    return sum(found.st_size for _, found in walk(path) if not stat.S_ISDIR(found.st_mode))
