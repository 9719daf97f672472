"""Quarantine: bytes that somebody disputes, kept as evidence, never offered.

Each case is a directory, ``<UTC time>-<first 12 digits of the sha256>``, with the
``bytes``, which only their owner may read, and ``evidence.json``. It appears in one step.
"""

from __future__ import annotations

import json
import os
import stat
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mirror.digests import MultiDigest, digest_file
from mirror.store import disk, rooms
from mirror.store.layout import BYTES, EVIDENCE, Layout

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Rights of the disputed bytes: no other user takes them for good.
MODE = 0o400


class Case(NamedTuple):
    """One directory of the quarantine.

    Attributes:
        path: The directory; its name is what the ledger refers to.
        size: Bytes that were disputed.
        evidence: Who expected what, what came, from where and when; empty when it cannot be read.
    """

    path: Path
    size: int
    evidence: dict[str, Any]


def seal(layout: Layout, source: bytes | Path, evidence: dict[str, Any]) -> Path:
    """Put bytes into the quarantine; return their directory.

    Args:
        layout: Of the store.
        source: The bytes, or the file that has them: moved when it is the store's own, a blob or
            a partial's data, and copied when it is somebody else's.
        evidence: JSON values; no secrets.

    Raises:
        DiskFullError: There is no room.
        ReadOnlyStoreError: The store cannot be written.
        StoreError: Anything else that the system says.
    """
    with disk.our_errors(layout.quarantine), rooms.workroom(layout) as room:
        case = room / "case"
        case.mkdir()
        layout.quarantine.mkdir(exist_ok=True)
        sha256 = _sha256(source)
        disk.write_new(case / EVIDENCE, json.dumps(evidence, indent=2, sort_keys=True).encode())
        _bring(layout, source, case / BYTES, _same_bytes(layout, sha256))
        disk.flush([case], [case / EVIDENCE, case / BYTES])
        place = _place(layout, case, f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{sha256[:12]}")
        disk.flush([layout.quarantine])
        return place


def iterate(layout: Layout) -> Iterator[Case]:
    """Yield every case, oldest first.

    Raises:
        StoreError: The store cannot be read.
    """
    with disk.our_errors(layout.quarantine, reading=True):
        for name in disk.names(layout.quarantine):
            path = layout.quarantine / name
            if (path / BYTES).is_file():
                yield Case(path, (path / BYTES).stat().st_size, _evidence(path))


def _sha256(source: bytes | Path) -> str:
    if isinstance(source, Path):
        return digest_file(source, {"sha256"})[0]["sha256"].hex
    digest = MultiDigest({"sha256"})
    digest.update(source)
    return digest.result()["sha256"].hex


def _same_bytes(layout: Layout, sha256: str) -> Path | None:
    """Return the bytes of an earlier case that are the same: a pull that is repeated disputes them every time."""
    for name in disk.names(layout.quarantine):
        path = layout.quarantine / name / BYTES
        if f"-{sha256[:12]}" in name and path.is_file() and _sha256(path) == sha256:
            return path
    return None


def _bring(layout: Layout, source: bytes | Path, target: Path, same: Path | None) -> None:
    """Give ``target`` the bytes; last what cannot be repeated, the move of the only copy."""
    if same is not None:
        with suppress(OSError):  # no links here, or it is gone
            os.link(same, target)
            if isinstance(source, Path) and source.resolve().is_relative_to(layout.root.resolve()):
                source.unlink()
            return
    if isinstance(source, bytes):
        disk.write_new(target, source, mode=MODE)
        return
    if source.resolve().is_relative_to(layout.root.resolve()):
        source.rename(target)
    else:
        import shutil

        shutil.copyfile(source, target)
    with suppress(PermissionError):  # another user's blob: it is read-only already
        target.chmod(stat.S_IMODE(target.stat().st_mode) & MODE)


def _place(layout: Layout, case: Path, name: str) -> Path:
    """Rename a case to the first free form of its name."""
    place, number = layout.quarantine / name, 1
    while True:
        try:
            return case.rename(place)
        except OSError as error:
            if error.errno not in disk.OCCUPIED:
                raise
        number += 1
        place = layout.quarantine / f"{name}-{number}"


def _evidence(path: Path) -> dict[str, Any]:
    try:
        value = json.loads((path / EVIDENCE).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
