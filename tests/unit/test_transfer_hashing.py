"""The ring of buffers and the threads behind it."""

from __future__ import annotations

import hashlib
import threading
import zlib
from typing import TYPE_CHECKING

import pytest

from mirror.digests import BLOCK
from mirror.errors import StoreError
from mirror.transfer.cores import Cores
from mirror.transfer.hashing import Hashing
from mirror.transfer.ring import BUFFER, RING

if TYPE_CHECKING:
    from pathlib import Path

DATA = bytes(value * 7 % 251 for value in range(BUFFER)) * 48


def pour(hashing: Hashing, data: bytes) -> None:
    for at in range(0, len(data), BUFFER):
        piece = data[at : at + BUFFER]
        buffer = hashing.buffer()
        buffer[: len(piece)] = piece
        hashing.give(buffer, at, len(piece))


def test_bytes_that_pass_are_hashed_in_threads_and_need_no_file(tmp_path: Path) -> None:
    hashing = Hashing(tmp_path / "absent", {"md5"}, size=len(DATA))
    pour(hashing, DATA)
    digests, blocks = hashing.finish(len(DATA))
    assert digests["sha256"].hex == hashlib.sha256(DATA).hexdigest()
    assert digests["md5"].hex == hashlib.md5(DATA).hexdigest()
    assert blocks == tuple(zlib.crc32(DATA[at : at + BLOCK]) for at in range(0, len(DATA), BLOCK))
    assert "hash" not in {thread.name for thread in threading.enumerate()}


def test_bytes_that_were_there_before_are_read_back(tmp_path: Path) -> None:
    file = tmp_path / "data"
    file.write_bytes(DATA)
    hashing = Hashing(file, (), size=len(DATA))
    hashing.follow(len(DATA) - 5)
    digests, blocks = hashing.finish(len(DATA))
    assert digests["sha256"].hex == hashlib.sha256(DATA).hexdigest()
    assert len(blocks) == 12


def test_a_file_that_is_shorter_than_was_noted_is_a_store_error(tmp_path: Path) -> None:
    file = tmp_path / "data"
    file.write_bytes(DATA[:-1])
    with pytest.raises(StoreError, match="bytes are there"):
        Hashing(file, (), size=len(DATA)).finish(len(DATA))


def test_a_small_file_starts_no_thread(tmp_path: Path) -> None:
    before = threading.active_count()
    hashing = Hashing(tmp_path / "absent", (), size=BUFFER)
    pour(hashing, DATA[:BUFFER])
    assert threading.active_count() == before
    assert hashing.finish(BUFFER)[1] == ()


def test_a_buffer_that_was_not_given_back_is_lent_again(tmp_path: Path) -> None:
    hashing = Hashing(tmp_path / "absent", (), size=None)
    assert hashing.buffer() is hashing.buffer()


def test_what_transfers_share_is_given_back_at_the_end(tmp_path: Path) -> None:
    spare = threading.Semaphore(RING)
    hashing = Hashing(tmp_path / "absent", (), size=len(DATA), spare=spare)
    pour(hashing, DATA)
    hashing.finish(len(DATA))
    hashing.close()
    free = 0
    while spare.acquire(blocking=False):
        free += 1
    assert free == RING


def test_a_transfer_gets_on_when_nothing_is_left_to_share(tmp_path: Path) -> None:
    hashing = Hashing(tmp_path / "absent", (), size=len(DATA), spare=threading.Semaphore(0))
    pour(hashing, DATA)
    assert hashing.finish(len(DATA))[0]["sha256"].hex == hashlib.sha256(DATA).hexdigest()


def test_bytes_that_nobody_wants_any_more_keep_nobody_waiting(tmp_path: Path) -> None:
    hashing = Hashing(tmp_path / "absent", (), size=len(DATA))
    pour(hashing, DATA[: 20 * BUFFER])
    hashing.abandon()
    assert "hash" not in {thread.name for thread in threading.enumerate()}


def test_only_files_that_find_an_idle_core_are_hashed_in_threads(tmp_path: Path) -> None:
    cores = Cores(2)
    first, second = (Hashing(tmp_path / "absent", (), size=len(DATA), cores=cores) for _ in range(2))
    before = threading.active_count()
    pour(first, DATA[:BUFFER])
    assert threading.active_count() == before + 1
    pour(second, DATA)
    assert threading.active_count() == before + 1
    assert second.finish(len(DATA))[0]["sha256"].hex == hashlib.sha256(DATA).hexdigest()
    first.abandon()
    assert cores.enter(), "both have left"
