from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from mirror.store import GcItem, Store, partial_key
from mirror.store.owner import SILENCE, signature
from mirror.store.sweep import ROOM_SILENCE

if TYPE_CHECKING:
    from pathlib import Path

A, B, C = (letter * 64 for letter in "abc")
KEY = partial_key("a file")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


def kinds(items: tuple[GcItem, ...]) -> list[str]:
    return [item.kind for item in items]


def abandon(store: Store, **owner: Any) -> Path:
    """Leave a partial with bytes behind."""
    with store.partial(KEY) as partial:
        partial.restart(10)
        partial.write(0, 0, b"12345")
    path = store.root / "partial" / KEY
    said = json.loads((path / "owner.json").read_text())
    (path / "owner.json").write_text(json.dumps(said | {"released": False} | owner))
    return path


@pytest.mark.parametrize("left", [[], ["owner.json"], ["owner.json", "spans"], ["journal.json", "owner.json", "spans"]])
def test_a_claim_without_bytes_goes_when_its_process_is_gone(store: Store, left: list[str]) -> None:
    path = abandon(store, started="1")
    with store.partial(partial_key("alive")):
        for file in path.iterdir():
            if file.name not in left:
                file.unlink()
        plan = store.plan_gc(set())
        assert [(item.kind, item.path) for item in plan.items] == [("orphan", path)]
        assert store.run_gc(plan) == plan.items
        assert [each.name for each in (store.root / "partial").iterdir()] == [partial_key("alive")]


def test_a_plan_deletes_nothing(store: Store) -> None:
    store.publish([(A, b"1"), (B, b"22")])
    store.quarantine(b"wrong", {})
    abandon(store, started="1")
    before = sorted(store.root.rglob("*"))
    plan = store.plan_gc({A}, quarantine=True, partial_older_than=0, grace=0)
    assert kinds(plan.items) == ["partial", "blob", "quarantine"]
    assert plan.size == sum(item.size for item in plan.items) > 2
    assert sorted(store.root.rglob("*")) == before


def test_only_what_nobody_needs_goes(store: Store) -> None:
    store.publish([(A, b"1"), (B, b"22"), (C, b"333")])
    plan = store.plan_gc({B}, grace=0)
    assert store.run_gc(plan) == plan.items
    assert [blob.sha256 for blob in store.iter_blobs()] == [B]
    assert store.plan_gc({B}, grace=0).items == ()


def test_a_blob_that_is_needed_by_now_stays(store: Store) -> None:
    store.publish([(A, b"1"), (B, b"22")])
    plan = store.plan_gc(set(), grace=0)
    assert [item.path.name for item in store.run_gc(plan, is_needed=lambda sha256: sha256 == A)] == [B]
    assert store.find(A)


def test_a_blob_that_was_just_published_stays_for_its_row(store: Store) -> None:
    (blob,) = store.publish([(A, b"1")])
    assert (store.plan_gc(set()).items, store.plan_gc(set()).new) == ((), 1)
    assert store.plan_gc({A}).new == 0
    os.utime(blob.path, (0, blob.path.stat().st_mtime - 61))
    assert (kinds(store.plan_gc(set()).items), store.plan_gc(set()).new) == (["blob"], 0)


def test_a_blob_whose_claim_waits_for_its_row_stays(store: Store) -> None:
    partial = store.partial(KEY)
    partial.restart(5)
    plan = store.plan_gc(set(), grace=0)
    partial.write(0, 0, b"12345")
    partial.commit(A)
    assert store.plan_gc(set(), grace=0).items == ()
    partial.release()
    assert store.plan_gc(set(), grace=0).items == ()
    assert store.run_gc(plan) == ()
    assert store.find(A)


def test_a_blob_committed_after_the_plan_stays(store: Store) -> None:
    (blob,) = store.publish([(A, b"12345")])
    plan = store.plan_gc(set(), grace=0)
    assert [item.path for item in plan.items] == [blob.path]
    partial = store.partial(KEY)
    partial.restart(5)
    partial.write(0, 0, b"12345")
    partial.commit(A)
    assert store.run_gc(plan) == ()
    assert store.find(A)


def test_a_claim_whose_row_is_written_is_an_orphan_once_its_process_is_gone(store: Store) -> None:
    partial = store.partial(KEY)
    partial.restart(5)
    partial.write(0, 0, b"12345")
    partial.commit(A)
    assert store.plan_gc({A}).items == ()
    partial.release()
    assert kinds(store.run_gc(store.plan_gc({A}))) == ["orphan"]
    assert list(store.iter_partials()) == []
    assert store.find(A)


def test_an_abandoned_commit_that_nobody_recorded_goes_with_its_blob_when_asked(store: Store) -> None:
    partial = store.partial(KEY)
    partial.restart(5)
    partial.write(0, 0, b"12345")
    partial.commit(A)
    partial.release()
    plan = store.plan_gc(set(), partial_older_than=0, grace=0)
    assert kinds(store.run_gc(plan)) == ["partial", "blob"]


@pytest.mark.parametrize(("older_than", "goes"), [(None, False), (3600, False), (0, True)])
def test_an_abandoned_partial_goes_only_when_asked_and_old(
    store: Store, older_than: float | None, *, goes: bool
) -> None:
    path = abandon(store, started="1")
    store.run_gc(store.plan_gc(set(), partial_older_than=older_than))
    assert path.exists() != goes


def test_a_partial_that_lives_never_goes(store: Store) -> None:
    partial = store.partial(KEY)
    partial.restart(10)
    partial.write(0, 0, b"12345")
    assert store.plan_gc(set(), partial_older_than=0).items == ()
    partial.release()
    plan = store.plan_gc(set(), partial_older_than=0)
    assert kinds(plan.items) == ["partial"]
    again = store.partial(KEY)
    assert store.run_gc(plan) == ()
    again.write(0, 5, b"67890")
    assert again.commit(A).path.read_bytes() == b"1234567890"


@pytest.mark.parametrize(("silent", "goes"), [(SILENCE - 30, False), (SILENCE + 30, True)])
def test_another_hosts_partial_goes_only_after_its_silence(store: Store, silent: float, *, goes: bool) -> None:
    path = abandon(store, host="elsewhere")
    now = (path / "owner.json").stat().st_mtime
    os.utime(path / "owner.json", (now, now - silent))
    store.run_gc(store.plan_gc(set(), partial_older_than=0))
    assert path.exists() != goes


def left_half_done(store: Store, signed: str) -> None:
    for name in (f".new-{signed}", f".adopt-{KEY}-{signed}"):
        room = store.root / "partial" / name
        room.mkdir(parents=True)
        (room / A).write_bytes(b"a blob that got no name")


def test_what_a_dead_process_left_half_done_is_an_orphan(store: Store) -> None:
    abandon(store, started="1")
    pid, _, rest = signature().split("-", 2)
    left_half_done(store, f"{pid}-1-{rest}")
    plan = store.plan_gc(set())
    assert kinds(plan.items) == ["orphan", "orphan"]
    assert plan.size == 2 * len(b"a blob that got no name")
    store.run_gc(plan)
    assert [path.name for path in (store.root / "partial").iterdir()] == [KEY]


def test_what_a_live_process_is_doing_is_no_orphan(store: Store) -> None:
    left_half_done(store, signature())
    assert store.plan_gc(set(), partial_older_than=0).items == ()


@pytest.mark.parametrize(("silent", "goes"), [(ROOM_SILENCE - 60, False), (ROOM_SILENCE + 60, True)])
@pytest.mark.parametrize("signed", ["123-456-00000000-0123456789abcdef", "unsigned"])
def test_what_cannot_be_judged_is_an_orphan_only_after_a_long_silence(
    store: Store, signed: str, silent: float, *, goes: bool
) -> None:
    left_half_done(store, signed)
    for room in (store.root / "partial").iterdir():
        os.utime(room, (0, room.stat().st_mtime - silent))
    store.run_gc(store.plan_gc(set()))
    assert any((store.root / "partial").iterdir()) != goes


def test_a_live_claim_in_a_dead_adopters_hands_is_no_orphan(store: Store) -> None:
    partial = store.partial(KEY)
    partial.restart(5)
    pid, _, rest = signature().split("-", 2)
    room = store.root / "partial" / f".adopt-{KEY}-{pid}-1-{rest}"
    room.mkdir()
    (store.root / "partial" / KEY).rename(room / "was")
    assert store.plan_gc(set(), partial_older_than=0).items == ()
    partial.write(0, 0, b"12345")
    assert partial.commit(A).path.read_bytes() == b"12345"


def test_quarantine_goes_only_when_asked(store: Store) -> None:
    place = store.quarantine(b"wrong", {"why": "disputed"})
    assert store.plan_gc(set()).items == ()
    (item,) = store.run_gc(store.plan_gc(set(), quarantine=True))
    assert (item.kind, item.path) == ("quarantine", place)
    assert item.size >= 5
    assert list(store.iter_quarantine()) == []


def test_a_plan_can_be_carried_out_twice(store: Store) -> None:
    store.publish([(A, b"1")])
    store.quarantine(b"wrong", {})
    abandon(store, started="1")
    plan = store.plan_gc(set(), quarantine=True, partial_older_than=0, grace=0)
    assert len(store.run_gc(plan)) == 3
    assert store.run_gc(plan) == ()
    assert list((store.root / "partial").iterdir()) == []
