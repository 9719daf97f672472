"""Pins: written whole, read back, and what they say of a file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from mirror.errors import CatalogError
from mirror.lock import Lock, pinned
from mirror.model import Authority, Listing, RemoteFile

if TYPE_CHECKING:
    from pathlib import Path

LISTING = Listing("m@s", "e" * 40, (
    RemoteFile("m@s", "a.bin", ("https://host/a.bin",), 3, (), "e" * 40),
    RemoteFile("m@s", "b.bin", ("https://host/b.bin",), None, (), "e" * 40),
))  # fmt: skip


def test_a_lock_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "catalog.lock.json"
    Lock({"m@s": pinned(LISTING, {"a.bin": ("a" * 64, 3)})}).write(path)
    lock = Lock.read(path)
    (file,) = lock.listings["m@s"].files
    assert (file.path, file.size, file.sha256, file.urls) == ("a.bin", 3, "a" * 64, ("https://host/a.bin",))
    assert lock.listings["m@s"].revision == "e" * 40


def test_only_the_locked_revision_is_pinned(tmp_path: Path) -> None:
    lock = Lock({"m@s": pinned(LISTING, {"a.bin": ("a" * 64, 3)})})
    (claim,) = lock.claims(LISTING.files[0])
    assert (claim.authority, claim.digest.hex) == (Authority.LOCK, "a" * 64)
    assert lock.claims(RemoteFile("m@s", "a.bin", (), 3, (), "f" * 40)) == ()
    assert lock.claims(LISTING.files[1]) == ()


def test_no_lock_pins_nothing(tmp_path: Path) -> None:
    assert Lock.read(tmp_path / "none.json").listings == {}


@pytest.mark.parametrize(
    "text",
    ["", pytest.param("[" * 100_000, id="deep"), "[]", "{}",
     '{"schema": "other/1", "artifacts": {}}', '{"schema": "minibert-mirror/lock/1"}',
     json.dumps({"schema": "minibert-mirror/lock/1", "artifacts": {"m@s": {"revision": None, "files": {
         "../x": {"urls": [], "size": 1, "sha256": "a" * 64}}}}}),
     json.dumps({"schema": "minibert-mirror/lock/1", "artifacts": {"m@s": {"revision": None, "files": {
         "x": {"urls": [], "size": 1, "sha256": "zz"}}}}}),
     json.dumps({"schema": "minibert-mirror/lock/1", "artifacts": {"m@s": {"revision": None, "files": {
         "x": {"urls": [5], "size": 1, "sha256": "a" * 64}}}}}),
     json.dumps({"schema": "minibert-mirror/lock/1", "artifacts": {"m@s": {"revision": 5, "files": {}}}})],
)  # fmt: skip
def test_what_is_no_lock_is_a_catalog_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "catalog.lock.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CatalogError) as caught:
        Lock.read(path)
    # `catalog check` looks at another file.
    assert "catalog check" not in caught.value.hint
    assert "`minibert-mirror lock`" in caught.value.hint


def test_a_lock_that_cannot_be_read_is_not_called_damaged(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="Is a directory") as caught:
        Lock.read(tmp_path)
    assert "may read" in caught.value.hint
