from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import pytest

from mirror.errors import StoreError
from mirror.store import Store, disk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def named(*contents: bytes) -> list[tuple[str, bytes]]:
    return [(hashlib.sha256(data).hexdigest(), data) for data in contents]


def names_under(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*")}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


@pytest.fixture
def umask() -> Iterator[None]:
    old = os.umask(0o022)
    yield
    os.umask(old)


def test_opening_and_asking_creates_nothing(store: Store, tmp_path: Path) -> None:
    assert store.find("ab" * 32) is None
    assert [*store.iter_blobs(), *store.iter_partials(), *store.iter_quarantine()] == []
    assert store.du().total == 0
    assert store.plan_gc(set()).items == ()
    assert store.committed("ab" * 32) is None
    assert store.free_bytes() > 0
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("count", [1, 3, 40])
def test_what_is_published_is_found_under_its_digest(store: Store, count: int) -> None:
    batch = named(*(b"%d" % number for number in range(count)))
    blobs = store.publish(batch)
    assert [(blob.sha256, blob.path.read_bytes()) for blob in blobs] == batch
    assert [store.find(name) for name, _ in batch] == blobs
    assert sorted(blobs, key=lambda blob: blob.sha256) == list(store.iter_blobs())
    assert blobs[0].path == store.root / "blobs/sha256" / blobs[0].sha256[:2] / blobs[0].sha256


def test_publication_leaves_nothing_but_blobs(store: Store) -> None:
    (blob,) = store.publish(named(b"x"))
    sha256 = blob.sha256
    assert names_under(store.root) == {
        "partial", "blobs", "blobs/sha256", f"blobs/sha256/{sha256[:2]}", f"blobs/sha256/{sha256[:2]}/{sha256}"
    }  # fmt: skip


def test_the_same_bytes_twice_in_a_batch_are_one_blob(store: Store) -> None:
    assert len(store.publish(named(b"x", b"x"))) == 1


def test_an_empty_batch_and_an_empty_blob_are_fine(store: Store) -> None:
    assert store.publish([]) == []
    (blob,) = store.publish(named(b""))
    assert blob.size == 0
    assert store.find(blob.sha256) == blob


def test_a_blob_of_the_right_size_is_never_replaced(store: Store) -> None:
    (blob,) = store.publish(named(b"same"))
    before = blob.path.stat()
    store.publish(named(b"same"))
    assert blob.path.stat().st_ino == before.st_ino


def test_a_blob_of_the_wrong_size_is_replaced(store: Store) -> None:
    (blob,) = store.publish(named(b"whole"))
    blob.path.unlink()
    blob.path.write_bytes(b"who")
    store.publish(named(b"whole"))
    assert blob.path.read_bytes() == b"whole"


@pytest.mark.parametrize(("mask", "blob_mode", "directory_mode"), [
    (0o022, 0o444, 0o755), (0o027, 0o440, 0o750), (0o077, 0o400, 0o700), (0o002, 0o444, 0o775)
])  # fmt: skip
@pytest.mark.usefixtures("umask")
def test_the_umask_is_respected(store: Store, mask: int, blob_mode: int, directory_mode: int) -> None:
    os.umask(mask)
    blobs = store.publish(named(b"small"))
    partial = store.partial("ab" * 4)
    partial.restart(5)
    partial.write(0, 0, b"large")
    blobs.append(partial.commit(hashlib.sha256(b"large").hexdigest()))
    for blob in blobs:
        assert blob.path.stat().st_mode & 0o7777 == blob_mode
        assert blob.path.parent.stat().st_mode & 0o777 == directory_mode


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a directory to a group it is not in")
@pytest.mark.usefixtures("umask")
def test_a_setgid_store_belongs_to_its_group_throughout(store: Store) -> None:
    os.umask(0o002)
    store.root.mkdir()
    os.chown(store.root, -1, 4242)
    store.root.chmod(0o2775)
    store.publish(named(b"small"))
    with store.partial("ab" * 4) as partial:
        partial.restart(5)
        partial.write(0, 0, b"large")
    paths = list(store.root.rglob("*"))
    assert len(paths) > 6
    assert {path.stat().st_gid for path in paths} == {4242}
    assert all(path.stat().st_mode & 0o2070 == 0o2070 for path in paths if path.is_dir())


@pytest.mark.parametrize("name", ["", "ab", "AB" * 32, "../" * 21 + "x", "ab" * 32 + "\n"])
def test_only_a_sha256_names_a_blob(store: Store, name: str) -> None:
    with pytest.raises(ValueError, match="not a sha256"):
        store.find(name)
    with pytest.raises(ValueError, match="not a sha256"):
        store.publish([(name, b"")])


def test_strangers_among_the_blobs_are_passed_over(store: Store) -> None:
    (blob,) = store.publish(named(b"x"))
    (blob.path.parent / "README").write_text("hello")
    (store.root / "blobs/sha256/README").write_text("hello")
    (blob.path.parent / ("00" * 32 if not blob.sha256.startswith("00") else "11" * 32)).write_text("misplaced")
    assert list(store.iter_blobs()) == [blob]


def test_a_store_that_is_a_file_is_a_store_error_naming_it(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("not a directory")
    store = Store(tmp_path / "cache")
    assert store.find("ab" * 32) is None
    with pytest.raises(StoreError, match="cache"):
        store.publish(named(b"x"))


def test_flushing_works_with_and_without_a_call_for_the_whole_file_system(tmp_path: Path) -> None:
    paths = [tmp_path / str(number) for number in range(9)]
    for path in paths:
        path.write_bytes(b"x")
    disk.flush([tmp_path], paths[:1])
    disk.flush([tmp_path], paths)
