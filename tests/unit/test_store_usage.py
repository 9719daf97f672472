from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from mirror.errors import DiskFullError
from mirror.store import Store, partial_key

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(shutil.which("du") is None, reason="compares with du(1)")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Something in every room, on the disk, so that blocks are allocated."""
    store = Store(tmp_path / "cache")
    blobs = store.publish([("ab" * 32, b"x" * 5000), ("cd" * 32, b"y" * 70000), ("ef" * 32, b"")])
    os.link(blobs[0].path, blobs[0].path.with_name("link"))
    store.quarantine(b"wrong", {"why": "disputed"})
    with store.partial(partial_key("part")) as partial:
        partial.restart(100_000)
        partial.write(0, 0, b"z" * 30_000)
    (store.root / "ledger.db").write_bytes(b"l" * 4096)
    fd = os.open(store.root, os.O_RDONLY)
    for path in store.root.rglob("*"):
        if path.is_file():
            other = os.open(path, os.O_RDONLY)
            os.fsync(other)
            os.close(other)
    os.fsync(fd)
    os.close(fd)
    return store


def run(*command: str, text: str | None = None) -> int:
    out = subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout
    return int(out.splitlines()[-1].split()[0])


def test_the_total_is_what_du_says_of_the_files(store: Store) -> None:
    files = "\0".join(str(path) for path in store.root.rglob("*") if path.is_file())
    total = run("du", "--apparent-size", "--block-size=1", "--total", "--files0-from=-", text=files)
    assert store.du().total == total


def test_what_is_allocated_is_what_du_says(store: Store) -> None:
    assert store.du().allocated == run("du", "--block-size=1", "--summarize", str(store.root))


def test_every_room_has_its_share(store: Store) -> None:
    usage = store.du()
    assert usage.blobs == 75_000, "a blob with two names counts once"
    assert usage.partial > 30_000
    assert usage.quarantine > 5
    assert usage.other == 4096
    assert usage.total == usage.blobs + usage.partial + usage.quarantine + usage.other


def test_a_store_that_does_not_exist_yet_knows_its_room(tmp_path: Path) -> None:
    store = Store(tmp_path / "not" / "yet")
    assert abs(store.free_bytes() - shutil.disk_usage(tmp_path).free) < 1 << 30
    store.check_room(1)
    assert not (tmp_path / "not").exists()


def test_what_cannot_fit_is_refused_before_the_first_byte(store: Store) -> None:
    with pytest.raises(DiskFullError, match="are needed"):
        store.check_room(1 << 60)
