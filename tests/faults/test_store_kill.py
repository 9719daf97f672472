from __future__ import annotations

import hashlib
import random
import time
from typing import TYPE_CHECKING

import pytest

from mirror.errors import BusyError
from mirror.store import Store, partial_key
from tests.store_process import Worker, pattern

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 24 << 20
DATA = pattern(SIZE)
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


def test_a_process_killed_while_writing_loses_no_noted_byte(store: Store) -> None:
    key = partial_key("killed")
    rounds = random.Random(11)
    for number in range(8):
        with Worker(store.root) as worker:
            assert worker.ask("take", key, 0).startswith("won")
            assert worker.ask("pour", key, SIZE) == "pouring"
            with pytest.raises(BusyError):
                store.partial(key)
            time.sleep(rounds.uniform(0, 0.03))
            worker.kill()
        with store.partial(key) as partial:
            done = partial.contiguous
            assert done > 0, f"round {number}"
            assert partial.path.read_bytes()[:done] == DATA[:done]
            assert not partial.doubt
    with store.partial(key) as partial:
        partial.write(0, partial.contiguous, memoryview(DATA)[partial.contiguous :])
        assert partial.commit(SHA256).path.read_bytes() == DATA
        partial.forget()
    assert store.plan_gc({SHA256}, partial_older_than=0).items == ()


def test_a_process_killed_after_the_rename_leaves_word_of_its_blob(store: Store) -> None:
    key, data = partial_key("committed"), pattern(40_000)
    sha256 = hashlib.sha256(data).hexdigest()
    with Worker(store.root) as worker:
        worker.ask("take", key, 0)
        worker.ask("pour", key, len(data))
        assert worker.answer() == "poured"
        assert worker.ask("commit", key, sha256) == "committed"
        worker.kill()
    assert store.committed(key) == sha256
    assert store.plan_gc(set(), grace=0).items == ()
    with store.partial(key) as partial:
        assert partial.committed == sha256
        partial.forget()


def test_processes_killed_while_publishing_leave_whole_blobs_and_orphans_that_go(store: Store) -> None:
    names = [hashlib.sha256(b"%d" % number).hexdigest() for number in range(300)]
    moments = random.Random(5)
    for _ in range(6):
        with Worker(store.root) as worker:
            worker.ask("hello")
            worker.send("publish", *names)
            time.sleep(moments.uniform(0, 0.03))
            worker.kill()
        for blob in store.iter_blobs():
            assert blob.path.read_bytes() == blob.sha256.encode()
    store.run_gc(store.plan_gc(set(names)))
    assert list((store.root / "partial").iterdir()) == []
    store.publish((name, name.encode()) for name in names)
    assert sorted(names) == [blob.sha256 for blob in store.iter_blobs()]


@pytest.mark.slow
def test_processes_that_fight_and_die_over_the_same_keys_end_with_the_right_bytes(store: Store) -> None:
    data = pattern(200_000)
    sha256 = hashlib.sha256(data).hexdigest()
    moments = random.Random(2)
    workers = [Worker(store.root) for _ in range(3)]
    until = time.monotonic() + 2.0
    for worker in workers:
        worker.send("storm", 60, len(data))
    while time.monotonic() < until:
        time.sleep(moments.uniform(0.05, 0.2))
        victim = workers.pop(0)
        assert victim.process.poll() is None, "it fails by no error, only by the signal"
        victim.kill()
        workers.append(Worker(store.root))
        workers[-1].send("storm", 60, len(data))
    for worker in workers:
        assert worker.process.poll() is None
        worker.kill()
    with Worker(store.root) as last:
        won, lost = map(int, last.ask("storm", 0.5, len(data)).split())
        assert won > lost, "what the dead held is free again"
    blob = store.find(sha256)
    assert blob is not None
    assert blob.path.read_bytes() == data
    store.run_gc(store.plan_gc({sha256}, partial_older_than=0))
    assert list((store.root / "partial").iterdir()) == []
