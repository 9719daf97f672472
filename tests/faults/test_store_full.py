from __future__ import annotations

import hashlib
import os
import resource
import signal
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from mirror.errors import DiskFullError
from mirror.store import Store, partial_key
from tests.store_process import pattern

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = partial_key("large")
DATA = pattern(3 << 20)
SHA256 = hashlib.sha256(DATA).hexdigest()
PIECE = 1 << 16


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m,nr_inodes=1k", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def pour(store: Store) -> None:
    """Write what is missing, in pieces."""
    with store.partial(KEY) as partial:
        if not partial.spans:
            partial.restart(len(DATA))
        while not partial.spans[0].whole:
            at = partial.contiguous
            partial.write(0, at, DATA[at : at + PIECE])


def test_a_full_disk_keeps_the_bytes_and_goes_on_when_there_is_room(small_disk: Path) -> None:
    store = Store(small_disk / "cache")
    (small_disk / "other").write_bytes(bytes(2 << 20))
    with pytest.raises(DiskFullError, match=KEY):
        pour(store)
    (state,) = store.iter_partials()
    assert state.held > 1 << 20
    assert list(store.iter_blobs()) == []
    assert store.free_bytes() < PIECE
    with pytest.raises(DiskFullError):
        store.check_room(len(DATA) - state.held)
    (small_disk / "other").unlink()
    pour(store)
    with store.partial(KEY) as partial:
        assert partial.path.read_bytes() == DATA
        partial.commit(SHA256)
        partial.forget()
    assert store.find(SHA256) is not None


def test_a_full_disk_shows_no_half_published_blob(small_disk: Path) -> None:
    store = Store(small_disk / "cache")
    batch = [(hashlib.sha256(data).hexdigest(), data) for data in (pattern(900_000, seed) for seed in range(6))]
    with pytest.raises(DiskFullError):
        store.publish(batch)
    assert list(store.iter_blobs()) == []
    assert not any((store.root / "partial").iterdir())
    assert len(store.publish(batch[:3])) == 3


def test_disputed_bytes_that_do_not_fit_stay_where_they_are(small_disk: Path) -> None:
    store = Store(small_disk / "cache")
    pour(store)
    with store.partial(KEY) as partial:
        (small_disk / "other").write_bytes(bytes(store.free_bytes()))
        with pytest.raises(DiskFullError):
            partial.quarantine({"why": "disputed"})
    with pytest.raises(DiskFullError):
        store.partial(KEY)
    (small_disk / "other").unlink()
    with store.partial(KEY) as partial:
        assert partial.path.read_bytes() == DATA


@contextmanager
def limited(size: int) -> Iterator[None]:
    """Let no file grow beyond ``size``: EFBIG instead of a signal."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


def test_a_limit_on_file_sizes_is_a_full_disk(tmp_path: Path) -> None:
    store = Store(tmp_path / "cache")
    with limited(1_000_001), pytest.raises(DiskFullError):
        pour(store)
    (state,) = store.iter_partials()
    assert state.held == 1_000_001, "what fitted of the last piece is noted, too"
    pour(store)
    with store.partial(KEY) as partial:
        assert partial.commit(SHA256).path.read_bytes() == DATA
