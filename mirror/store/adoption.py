"""One writer per partial, without locks: exclusive renames, and owners that can be judged.

A claim is the directory ``partial/<key>`` and the ``owner.json`` in it. It is made
aside and renamed into place, which fails where another stands; that holds between
hosts, too, where a ``flock`` would need a lock daemon. A dead owner's claim is lifted
into a directory of ours, looked at again, signed and put back, so that of two who
try, one finds nothing to lift.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from mirror.errors import BusyError, StoreError
from mirror.store import disk
from mirror.store.claims import Claim, is_same, read_owner
from mirror.store.layout import ADOPT, LIFTED, OWNER, Layout
from mirror.store.owner import SILENCE, Owner
from mirror.store.rooms import drop_lifted, is_abandoned, is_silent, workroom

if TYPE_CHECKING:
    from pathlib import Path

#: Each round but the last ends because another process was faster at one rename.
_ROUNDS = 20


def take(layout: Layout, key: str) -> Claim:
    """Claim a partial: a new one, or one whose owner has died or given it up.

    Raises:
        BusyError: A live process has it.
        DiskFullError: There is no room for the claim.
        ReadOnlyStoreError: The store, or the dead owner's partial, cannot be written.
        StoreError: Anything else that the system says.
    """
    path = layout.claim(key)
    with disk.our_errors(layout.partial):
        for _ in range(_ROUNDS):
            # An empty directory is nobody's: a rename replaces it.
            there = path if disk.names(path) else _stranded(layout, key)
            if there is None:
                claim = _make(layout, key)
            else:
                found = read_owner(there)
                if not is_free(layout, there, found):
                    raise BusyError(key, owner=str(found or "an unknown process"))
                claim = _adopt(layout, key, there, found)
            if claim is not None:
                return claim
    raise BusyError(key, owner="several processes that are just taking it over")


def is_free(layout: Layout, directory: Path, owner: Owner | None) -> bool:
    """Whether nobody has the claim in ``directory`` any more.

    An owner that cannot be judged from here is judged by its heartbeat, the time of
    its ``owner.json`` on the file system's own clock. In a store that we cannot write
    there is no such clock, and it counts as alive.
    """
    gone = owner.gone() if owner is not None else None
    if gone is not None:
        return gone
    signed = directory / OWNER
    return is_silent(layout, signed if signed.exists() else directory, silence=SILENCE)


def discard(layout: Layout, key: str, owner: Owner | None) -> bool:
    """Delete the claim of an owner that was judged free; whether it was still that owner's.

    Raises:
        ReadOnlyStoreError: The store cannot be written.
        StoreError: Anything else that the system says.
    """
    path = layout.claim(key)
    with disk.our_errors(path), workroom(layout, f"{ADOPT}{key}-", key) as room:
        if not _lift(path, owner, room):
            return False
        drop_lifted(room)
        return True


def _make(layout: Layout, key: str) -> Claim | None:
    """Make a new claim; None when another process was faster."""
    me = Owner.me()
    with workroom(layout) as room:
        disk.write_new(room / OWNER, me.to_json())
        # Once more, as late as can be: what somebody has lifted needs its name back.
        if _stranded(layout, key) is not None:
            return None
        return _place(layout, Claim(layout, key, me, disk.open_directory(room)), room)


def _adopt(layout: Layout, key: str, there: Path, owner: Owner | None) -> Claim | None:
    """Take over the claim in ``there``; None when it is no longer the one that was judged."""
    me = Owner.me().inheriting(owner)
    with workroom(layout, f"{ADOPT}{key}-", key) as room:
        if not _lift(there, owner, room):
            return None
        claim = Claim(layout, key, me, disk.open_directory(room / LIFTED))
        try:
            claim.sign(me)
        except StoreError:
            claim.close()
            raise
        return _place(layout, claim, room / LIFTED)


def _lift(there: Path, owner: Owner | None, room: Path) -> bool:
    """Move a claim into our ``room``; whether it was there and is still ``owner``'s."""
    if not _is_of(there, owner):
        return False  # seen in time: lifting a live claim disturbs others
    try:
        there.rename(room / LIFTED)
    except FileNotFoundError:
        return False
    if there.name == LIFTED:
        with suppress(OSError):
            there.parent.rmdir()
    return _is_of(room / LIFTED, owner)


def _is_of(directory: Path, owner: Owner | None) -> bool:
    found = read_owner(directory)
    return (found and found.nonce) == (owner and owner.nonce)


def _place(layout: Layout, claim: Claim, source: Path) -> Claim | None:
    """Rename a claim to its name, unless there is one."""
    try:
        source.rename(layout.claim(claim.key))
    except OSError as error:
        # A network file system may have renamed and lost the answer: ask for the outcome.
        if is_same(layout.claim(claim.key), claim.directory):
            return claim
        claim.close()
        if error.errno in disk.OCCUPIED:
            drop_lifted(source.parent)
            return None
        raise
    return claim


def _stranded(layout: Layout, key: str) -> Path | None:
    """Return the claim that a process was taking over: it died between two renames, or is just at it.

    Raises:
        BusyError: It is just at it.
    """
    for room in layout.partial.glob(f"{ADOPT}{key}-*"):
        if disk.names(room / LIFTED):
            if not is_abandoned(layout, room, silence=SILENCE):
                raise BusyError(key, owner="a process that is just taking it over")
            return room / LIFTED
    return None
