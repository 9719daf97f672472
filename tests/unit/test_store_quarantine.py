from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

import pytest

from mirror.store import Store

if TYPE_CHECKING:
    from pathlib import Path

EVIDENCE = {"expected": ["catalog says sha256:00"], "url": "https://host/file", "hops": [{"status": 200}]}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


def test_disputed_bytes_are_kept_with_their_evidence(store: Store) -> None:
    place = store.quarantine(b"wrong", EVIDENCE)
    digest = hashlib.sha256(b"wrong").hexdigest()
    assert re.fullmatch(rf"\d{{8}}T\d{{6}}Z-{digest[:12]}", place.name)
    assert (place / "bytes").stat().st_mode & 0o7777 == 0o400
    (case,) = store.iter_quarantine()
    assert (case.path, case.size, case.evidence) == (place, 5, EVIDENCE)


def test_disputed_bytes_are_never_offered(store: Store) -> None:
    store.quarantine(b"wrong", EVIDENCE)
    assert store.find(hashlib.sha256(b"wrong").hexdigest()) is None
    assert list(store.iter_blobs()) == []
    assert store.du().quarantine > 5


def test_the_same_bytes_twice_in_a_second_are_two_cases(store: Store) -> None:
    places = {store.quarantine(b"wrong", {"number": number}) for number in range(4)}
    assert len(places) == 4
    assert {case.evidence["number"] for case in store.iter_quarantine()} == {0, 1, 2, 3}


def test_the_same_bytes_again_take_no_room_again(store: Store) -> None:
    first = store.quarantine(b"wrong" * 9999, EVIDENCE)
    (blob,) = store.publish([("ab" * 32, b"wrong" * 9999)])
    before = store.du()
    again = [store.quarantine(b"wrong" * 9999, EVIDENCE), store.quarantine(blob.path, EVIDENCE)]
    assert all((place / "bytes").samefile(first / "bytes") for place in again)
    assert store.du().quarantine - before.quarantine < 1000
    assert not blob.path.exists()


def test_a_damaged_blob_is_moved(store: Store) -> None:
    (blob,) = store.publish([("ab" * 32, b"damaged")])
    place = store.quarantine(blob.path, EVIDENCE)
    assert (place / "bytes").read_bytes() == b"damaged"
    assert store.find("ab" * 32) is None


def test_somebody_elses_file_is_copied(store: Store, tmp_path: Path) -> None:
    theirs = tmp_path / "download.bin"
    theirs.write_bytes(b"wrong")
    place = store.quarantine(theirs, EVIDENCE)
    assert theirs.read_bytes() == (place / "bytes").read_bytes() == b"wrong"
    assert theirs.stat().st_ino != (place / "bytes").stat().st_ino


@pytest.mark.parametrize("text", ["", "[]", "nonsense", pytest.param("[" * 100_000, id="deep")])
def test_a_case_whose_evidence_is_damaged_is_still_listed(store: Store, text: str) -> None:
    (store.quarantine(b"wrong", EVIDENCE) / "evidence.json").write_text(text)
    (case,) = store.iter_quarantine()
    assert case.evidence == {}


def test_nothing_is_left_aside(store: Store) -> None:
    store.quarantine(b"wrong", EVIDENCE)
    assert list((store.root / "partial").iterdir()) == []
