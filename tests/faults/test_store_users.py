"""A store of several users: only root can become them."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mirror.errors import BusyError, ReadOnlyStoreError, StoreError
from mirror.store import Store, partial_key
from mirror.store.layout import OWNER

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become other users")

ANN, BOB, GROUP = 60001, 60002, 60010
KEY = partial_key("shared")
DATA = b"0123456789" * 1000
SHA256 = hashlib.sha256(DATA).hexdigest()


@contextmanager
def being(user: int, *, umask: int = 0o002) -> Iterator[None]:
    groups, mask = os.getgroups(), os.umask(umask)
    os.setgroups([])
    os.setegid(GROUP)
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)
        os.umask(mask)


@pytest.fixture
def root() -> Iterator[Path]:
    """A directory that both may reach; pytest's own are closed to others."""
    place = Path(tempfile.mkdtemp(prefix="store-"))
    place.chmod(0o755)
    (place / "cache").mkdir()
    os.chown(place / "cache", ANN, GROUP)
    (place / "cache").chmod(0o2775)
    yield place / "cache"
    shutil.rmtree(place)


def test_another_users_store_can_be_read_and_not_written(root: Path) -> None:
    root.chmod(0o755)
    store = Store(root)
    with being(ANN, umask=0o022):
        store.publish([(SHA256, DATA)])
        with store.partial(KEY) as partial:
            partial.restart(len(DATA))
            partial.write(0, 0, DATA[:5000])
        store.quarantine(b"wrong", {"why": "disputed"})
        held = list(store.iter_blobs())
    with being(BOB):
        assert [store.find(SHA256)] == list(store.iter_blobs()) == held
        assert held[0].path.read_bytes() == DATA
        assert [state.held for state in store.iter_partials()] == [5000]
        assert [case.evidence for case in store.iter_quarantine()] == [{"why": "disputed"}]
        assert store.du().total > len(DATA) + 5000
        plan = store.plan_gc(set(), partial_older_than=0, grace=0)
        for attempt in (
            lambda: store.publish([("ab" * 32, b"x")]),
            lambda: store.partial(KEY),
            lambda: store.partial(partial_key("new")),
            lambda: store.quarantine(b"wrong", {}),
            lambda: store.run_gc(plan),
        ):
            with pytest.raises(ReadOnlyStoreError, match="cache"):
                attempt()
    assert list(store.iter_blobs()) == held


def test_a_store_that_may_not_even_be_read_says_so(root: Path) -> None:
    with being(ANN, umask=0o077):
        Store(root).publish([(SHA256, DATA)])
    with being(BOB), pytest.raises(StoreError, match="blobs"):
        Store(root).find(SHA256)
    with being(BOB), pytest.raises(StoreError, match="blobs"):
        list(Store(root).iter_blobs())


def test_a_colleague_goes_on_with_what_another_left_in_a_shared_store(root: Path) -> None:
    store = Store(root)
    with being(ANN), store.partial(KEY) as partial:
        partial.restart(len(DATA))
        partial.write(0, 0, DATA[:5000])
    with being(BOB):
        partial = store.partial(KEY)
        assert partial.contiguous == 5000
        partial.write(0, 5000, DATA[5000:])
        blob = partial.commit(SHA256)
        partial.forget()
    found = blob.path.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (BOB, GROUP, 0o444)
    assert blob.path.read_bytes() == DATA
    assert not any((root / "partial").iterdir())


def test_a_colleagues_live_claim_is_respected(root: Path) -> None:
    store = Store(root)
    with being(ANN):
        partial = store.partial(KEY)
    with being(BOB), pytest.raises(BusyError):
        store.partial(KEY)
    with being(ANN):
        partial.forget()


def test_what_a_colleague_closed_to_others_is_read_only_and_stays_whole(root: Path) -> None:
    store = Store(root)
    with being(ANN, umask=0o022), store.partial(KEY) as partial:
        partial.restart(len(DATA))
        partial.write(0, 0, DATA[:5000])
    with being(BOB), pytest.raises(ReadOnlyStoreError):
        store.partial(KEY)
    with being(ANN), store.partial(KEY) as partial:
        assert partial.contiguous == 5000
    assert (root / "partial" / KEY / OWNER).exists()
