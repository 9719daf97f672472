"""What is still good of a damaged blob: put into its partial, so that only the rest is fetched."""

from __future__ import annotations

from contextlib import suppress
from itertools import groupby
from typing import TYPE_CHECKING

from mirror.digests import BLOCK, digest_file
from mirror.stopping import TransferStopped
from mirror.store.layout import BYTES
from mirror.transfer import key_of

if TYPE_CHECKING:
    import threading
    from pathlib import Path

    from mirror.repair.bad import Task
    from mirror.store import Partial, Store

#: The journal's word for the bytes that quarantined copies gave; a transfer that starts over forgets it.
KEPT = "kept"
_READ = 1 << 20


def salvage(store: Store, task: Task, stop: threading.Event) -> None:
    """Put the good blocks of quarantined copies into the file's partial, unless it has as much already.

    Raises:
        BusyError: Another process is fetching the file.
        StoreError: The store cannot be written.
        TransferStopped: A stop was wanted.
    """
    key = key_of(task.file)
    good = _good_blocks(store, task) if store.committed(key) is None else {}
    runs = [(copy, list(numbers)) for copy, numbers in groupby(range(len(task.blocks)), key=good.get)]
    spans = [(numbers[0] * BLOCK, min((numbers[-1] + 1) * BLOCK, task.size)) for _, numbers in runs]
    kept = sum(stop - start for (copy, _), (start, stop) in zip(runs, spans, strict=True) if copy is not None)
    if not kept:
        return
    with store.partial(key) as partial:
        if sum(span.done for span in partial.spans) >= kept and not partial.doubt:
            return
        partial.restart(task.size, spans)
        partial.remember(**{KEPT: kept})
        for index, (copy, _) in enumerate(runs):
            if copy is not None:
                with suppress(OSError):  # what cannot be read after all is fetched
                    _copy(copy, partial, index, spans[index], stop)


def _good_blocks(store: Store, task: Task) -> dict[int, Path]:
    """Return the blocks that a quarantined copy still has, by number, and which one; the newest first."""
    good: dict[int, Path] = {}
    if not task.blocks:
        return good
    for case in reversed(list(store.iter_quarantine())):
        expected = case.evidence.get("expected")
        if not isinstance(expected, dict) or expected.get("sha256") != task.file.sha256:
            continue
        with suppress(OSError):
            _, found = digest_file(case.path / BYTES, (), blocks=True, size=task.size)
            for number, (kept, crc) in enumerate(zip(task.blocks, found, strict=False)):
                if kept == crc:
                    good.setdefault(number, case.path / BYTES)
    return good


def _copy(copy: Path, partial: Partial, index: int, span: tuple[int, int], stop: threading.Event) -> None:
    """Write a span of a copy into the same span of the partial."""
    at, end = span
    buffer = memoryview(bytearray(min(_READ, end - at)))
    with copy.open("rb", buffering=0) as file:
        file.seek(at)
        while at < end and (count := file.readinto(buffer[: end - at])):
            if stop.is_set():
                raise TransferStopped
            partial.write(index, at, buffer[:count])
            at += count
