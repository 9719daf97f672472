"""The recorder: whole batches, nothing lost, nobody left waiting when it fails."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from mirror.errors import LedgerError
from mirror.ledger import Ledger
from mirror.model import Event
from mirror.store import Store
from mirror.sync.recorder import BATCH, PENDING_BYTES, Entry, Recorder

if TYPE_CHECKING:
    from pathlib import Path


def opened(path: Path) -> Ledger:
    return Ledger.open(path, tool="test", now=lambda: datetime.now(UTC))


def test_what_many_threads_put_is_recorded_once_and_published(tmp_path: Path) -> None:
    store, each = Store(tmp_path), BATCH // 2 + 3
    recorder = Recorder(store, lambda: opened(tmp_path / "ledger.db"), stop=threading.Event())

    def put(thread: int) -> None:
        for number in range(each):
            data = b"%d %d" % (thread, number)
            recorder.put(Entry(Event("noted", f"{thread}/{number}"), sha256(data).hexdigest(), data))

    threads = [threading.Thread(target=put, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recorder.close()
    with Ledger.reader(tmp_path / "ledger.db") as reader:
        subjects = [entry.subject for entry in reader.events() if entry.kind == "noted"]
    assert sorted(subjects) == sorted(f"{t}/{n}" for t in range(4) for n in range(each))
    for thread_number in range(4):
        mine = [subject for subject in subjects if subject.startswith(f"{thread_number}/")]
        assert mine == [f"{thread_number}/{n}" for n in range(each)]
    assert sum(1 for _ in store.iter_blobs()) == 4 * each


def test_what_is_put_together_stays_together(tmp_path: Path) -> None:
    recorder = Recorder(Store(tmp_path), lambda: opened(tmp_path / "ledger.db"), stop=threading.Event())
    recorder.put(Entry(Event("noted", "one")), Entry(Event("noted", "two")))
    recorder.close()
    with Ledger.reader(tmp_path / "ledger.db") as reader:
        assert [entry.subject for entry in reader.events() if entry.kind == "noted"] == ["one", "two"]


def test_nobody_waits_for_a_recorder_that_failed(tmp_path: Path) -> None:
    def refuse() -> Ledger:
        raise LedgerError("full")

    stop = threading.Event()
    recorder = Recorder(Store(tmp_path), refuse, stop=stop)
    data = bytes(PENDING_BYTES)
    for number in range(3):
        recorder.put(Entry(Event("noted", str(number)), "0" * 64, data))
    with pytest.raises(LedgerError):
        recorder.close()
    assert stop.is_set()
