from __future__ import annotations

import hashlib
import json
import threading
from typing import TYPE_CHECKING

import pytest

from mirror.errors import BusyError, StoreError
from mirror.store import Partial, Span, Store, partial_key
from mirror.store.content import NOTED_EVERY, WRITEBACK
from mirror.store.spans import decode

if TYPE_CHECKING:
    from pathlib import Path

KEY = partial_key("bert-tiny@huggingface", "model.safetensors")
DATA = bytes(range(256)) * 40
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


def begun(store: Store, size: int | None = len(DATA), key: str = KEY) -> Partial:
    partial = store.partial(key)
    partial.restart(size)
    return partial


def test_a_key_is_the_same_for_the_same_parts_only() -> None:
    assert partial_key("a", "bc") == partial_key("a", "bc")
    assert len({partial_key("a", "bc"), partial_key("ab", "c"), partial_key("abc"), partial_key("a", "b", "c")}) == 4


@pytest.mark.parametrize("key", ["", "ab", "../../etc", "G" * 64, "ab/cd" * 4])
def test_only_hexadecimal_digits_make_a_key(store: Store, key: str) -> None:
    with pytest.raises(ValueError, match="key"):
        store.partial(key)


def test_bytes_written_in_order_become_the_blob(store: Store) -> None:
    partial = begun(store)
    for offset in range(0, len(DATA), 1000):
        assert partial.write(0, offset, memoryview(DATA)[offset : offset + 1000]) == min(1000, len(DATA) - offset)
    assert partial.contiguous == len(DATA)
    blob = partial.commit(SHA256)
    assert blob.path.read_bytes() == DATA
    assert store.find(SHA256) == blob
    assert partial.committed == store.committed(KEY) == SHA256
    partial.forget()
    assert store.committed(KEY) is None
    assert not any((store.root / "partial").iterdir())


def test_a_file_of_unknown_size_and_an_empty_one_commit(store: Store) -> None:
    partial = begun(store, None)
    partial.write(0, 0, DATA)
    assert partial.spans == [Span(0, None, len(DATA))]
    assert partial.commit(SHA256).size == len(DATA)
    empty = begun(store, 0, partial_key("empty"))
    assert empty.spans[0].whole
    assert empty.commit(hashlib.sha256(b"").hexdigest()).size == 0


def test_a_released_partial_goes_on_where_it_was(store: Store) -> None:
    with begun(store) as partial:
        partial.remember(etag='"1"', url="https://host/file")
        partial.write(0, 0, DATA[:3000])
    with store.partial(KEY) as again:
        assert again.contiguous == 3000
        assert again.journal == {"etag": '"1"', "url": "https://host/file"}
        assert again.path.read_bytes() == DATA[:3000]
        assert not again.doubt
        again.write(0, 3000, DATA[3000:])
        assert again.commit(SHA256).path.read_bytes() == DATA


def test_a_release_without_bytes_leaves_nothing(store: Store) -> None:
    with begun(store):
        pass
    assert not any((store.root / "partial").iterdir())


def test_releasing_twice_or_after_forgetting_does_nothing(store: Store) -> None:
    partial = begun(store)
    partial.write(0, 0, b"x")
    partial.release()
    partial.release()
    other = store.partial(KEY)
    other.forget()
    other.release()
    assert list(store.iter_partials()) == []


def test_a_restart_forgets_bytes_spans_and_journal(store: Store) -> None:
    partial = begun(store)
    partial.write(0, 0, DATA[:3000])
    partial.remember(etag='"1"')
    partial.restart(10, [(0, 5), (5, 10)])
    assert partial.spans == [Span(0, 5), Span(5, 10)]
    assert partial.journal == {}
    assert partial.path.read_bytes() == b""


def test_several_spans_fill_one_file(store: Store) -> None:
    partial = store.partial(KEY)
    partial.restart(len(DATA), [(0, 4000), (4000, 9000), (9000, len(DATA))])
    partial.write(2, 9000, DATA[9000:])
    assert partial.contiguous == 0
    partial.write(0, 0, DATA[:4000])
    assert partial.contiguous == 4000
    partial.release()
    partial = store.partial(KEY)
    assert [span.done for span in partial.spans] == [4000, 0, len(DATA) - 9000]
    partial.write(1, 4000, DATA[4000:9000])
    assert partial.commit(SHA256).path.read_bytes() == DATA


def test_threads_may_write_different_spans_at_once(store: Store) -> None:
    data = DATA * 40
    step = len(data) // 4
    partial = store.partial(KEY)
    partial.restart(len(data), [(start, start + step) for start in range(0, len(data), step)])

    def pour(index: int) -> None:
        for offset in range(index * step, (index + 1) * step, 512):
            partial.write(index, offset, data[offset : offset + 512])

    threads = [threading.Thread(target=pour, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert partial.commit(hashlib.sha256(data).hexdigest()).path.read_bytes() == data


def lost_by_a_kill(store: Store, partial: Partial) -> int:
    """Return how many written bytes a process that is killed now would leave unnoted."""
    raw = (store.root / "partial" / KEY / "spans").read_bytes()
    noted = decode(raw, held=partial.path.stat().st_size)
    return sum(span.done for span in partial.spans) - sum(span.done for span in noted)


def test_of_all_spans_together_a_kill_loses_half_a_mebibyte_or_half_a_second(tmp_path: Path) -> None:
    now = [0.0]
    store = Store(tmp_path / "cache", clock=lambda: now[0])
    partial, step, piece = store.partial(KEY), 4 << 20, bytes(100_000)
    partial.restart(8 * step, [(start, start + step) for start in range(0, 8 * step, step)])
    for turn in range(20):
        for index in range(8):
            partial.write(index, index * step + turn * len(piece), piece)
            assert lost_by_a_kill(store, partial) < NOTED_EVERY
    now[0] += 10
    for index in range(8):
        partial.write(index, index * step + 20 * len(piece), b"some")
    assert lost_by_a_kill(store, partial) == 7 * 4
    now[0] += 0.6
    partial.write(0, 20 * len(piece) + 4, b"more")
    assert lost_by_a_kill(store, partial) == 0
    partial.forget()


def test_a_span_may_be_cut_while_it_is_being_written(store: Store) -> None:
    partial = begun(store)
    partial.write(0, 0, DATA[:1000])
    assert partial.split(0, 6000) == 1
    assert partial.spans == [Span(0, 6000, 1000), Span(6000, len(DATA))]
    assert partial.write(0, 1000, DATA[1000:8000]) == 5000  # the rest belongs to the other span now
    assert partial.write(0, 6000, DATA[6000:]) == 0
    partial.release()
    partial = store.partial(KEY)
    partial.write(1, 6000, DATA[6000:])
    assert all(span.whole for span in partial.spans)
    assert partial.commit(SHA256).path.read_bytes() == DATA


@pytest.mark.parametrize("at", [0, 999, len(DATA), len(DATA) + 1])
def test_a_span_is_only_cut_where_bytes_are_missing(store: Store, at: int) -> None:
    partial = begun(store)
    partial.write(0, 0, DATA[:1000])
    with pytest.raises(ValueError, match="cannot cut"):
        partial.split(0, at)


def test_a_gap_is_refused_and_a_repetition_is_not(store: Store) -> None:
    partial = begun(store)
    partial.write(0, 0, DATA[:100])
    with pytest.raises(ValueError, match="gap"):
        partial.write(0, 101, b"x")
    partial.write(0, 50, DATA[50:80])
    assert partial.contiguous == 100


def test_bytes_with_a_gap_do_not_become_a_blob(store: Store) -> None:
    partial = store.partial(KEY)
    partial.restart(10, [(0, 5), (5, 10)])
    partial.write(1, 5, b"67890")
    with pytest.raises(ValueError, match="0 of 10"):
        partial.commit(SHA256)
    assert store.find(SHA256) is None


def test_a_blob_that_came_from_elsewhere_meanwhile_is_kept(store: Store) -> None:
    partial = begun(store)
    partial.write(0, 0, DATA)
    (blob,) = store.publish([(SHA256, DATA)])
    inode = blob.path.stat().st_ino
    assert partial.commit(SHA256) == blob
    assert blob.path.stat().st_ino == inode
    partial.forget()


def test_large_files_reach_the_disk_while_they_are_written(store: Store) -> None:
    piece = bytes(WRITEBACK // 4)
    partial = begun(store, 10 * len(piece))
    for number in range(10):
        partial.write(0, number * len(piece), piece)
    sha256 = hashlib.sha256(piece * 10).hexdigest()
    assert partial.commit(sha256).size == 10 * len(piece)


def test_what_is_held_can_be_seen_without_claiming(store: Store) -> None:
    partial = begun(store)
    partial.write(0, 0, DATA[:3000])
    (state,) = store.iter_partials()
    assert (state.key, state.held, state.size, state.live) == (KEY, 3000, len(DATA), True)
    partial.release()
    (state,) = store.iter_partials()
    assert (state.held, state.live, state.committed) == (3000, False, None)


@pytest.mark.parametrize("damage", [b"", b"\0" * 23, b"\xff" * 48])
def test_damaged_spans_are_no_spans(store: Store, damage: bytes) -> None:
    with begun(store) as partial:
        partial.write(0, 0, DATA[:3000])
    (store.root / "partial" / KEY / "spans").write_bytes(damage)
    with store.partial(KEY) as partial:
        assert partial.spans == []
        assert partial.contiguous == 0
        partial.restart(len(DATA))
        partial.write(0, 0, DATA)
        assert partial.commit(SHA256).path.read_bytes() == DATA


@pytest.mark.parametrize("damage", ["", "[]", "nonsense", '{"committed": 7}'])
def test_a_damaged_journal_remembers_nothing(store: Store, damage: str) -> None:
    with begun(store) as partial:
        partial.write(0, 0, DATA[:3000])
    (store.root / "partial" / KEY / "journal.json").write_text(damage)
    with store.partial(KEY) as partial:
        assert partial.committed is None
        assert partial.contiguous == 3000


def test_bytes_that_a_crash_of_the_machine_took_are_not_there(store: Store) -> None:
    with begun(store) as partial:
        partial.write(0, 0, DATA[:3000])
        path = partial.path
    with path.open("r+b") as file:
        file.truncate(1234)
    with store.partial(KEY) as partial:
        assert partial.contiguous == 1234
    with path.open("ab") as file:
        file.write(bytes(5000))
    with store.partial(KEY) as partial:
        assert partial.contiguous == 1234, "a longer file does not bring them back"


def test_a_crash_right_before_the_rename_is_healed(store: Store) -> None:
    with begun(store) as partial:
        partial.write(0, 0, DATA)
        partial.path.chmod(0o400)
    directory = store.root / "partial" / KEY
    (directory / "journal.json").write_text(json.dumps({"committed": SHA256, "etag": "1"}))
    assert store.committed(KEY) is None
    with store.partial(KEY) as partial:
        assert partial.committed is None
        assert partial.journal == {"etag": "1"}
        assert partial.contiguous == len(DATA)
        assert partial.commit(SHA256).path.read_bytes() == DATA


def test_a_crash_between_rename_and_row_is_known_until_it_is_recorded(store: Store) -> None:
    partial = begun(store)
    partial.write(0, 0, DATA)
    partial.commit(SHA256)
    partial.release()  # as a dead process does
    assert store.committed(KEY) == SHA256
    with store.partial(KEY) as healing:
        assert healing.committed == SHA256
        assert healing.spans == []
    with pytest.raises(BusyError):
        store.partial(KEY)
    healing.forget()  # the row is written
    assert store.committed(KEY) is None


def test_a_claim_with_a_commit_is_released_when_something_fails(store: Store) -> None:
    partial = begun(store)
    partial.write(0, 0, DATA)
    with pytest.raises(RuntimeError), partial:
        partial.commit(SHA256)
        raise RuntimeError
    with store.partial(KEY) as healing:
        assert healing.committed == SHA256
        healing.forget()


def test_a_restart_forgets_a_commit_that_did_not_do(store: Store) -> None:
    partial = begun(store)
    partial.write(0, 0, DATA)
    partial.commit(SHA256)
    partial.release()
    with store.partial(KEY) as again:
        again.restart(len(DATA))
        assert again.committed is None
        again.write(0, 0, DATA[:100])
    with store.partial(KEY) as again:
        assert again.contiguous == 100


def test_a_committed_blob_that_is_gone_again_is_a_partial_from_the_start(store: Store) -> None:
    partial = begun(store)
    partial.write(0, 0, DATA)
    partial.commit(SHA256).path.unlink()
    partial.release()
    assert store.committed(KEY) is None
    with store.partial(KEY) as partial:
        assert partial.committed is None
        assert partial.contiguous == 0


def test_a_lost_claim_writes_and_commits_nothing(store: Store) -> None:
    partial = begun(store)
    partial.write(0, 0, DATA)
    owner = store.root / "partial" / KEY / "owner.json"
    owner.write_text(owner.read_text().replace(json.loads(owner.read_text())["nonce"], "somebody-else"))
    with pytest.raises(BusyError):
        partial.commit(SHA256)
    with pytest.raises(BusyError):
        partial.restart(1)
    with pytest.raises(BusyError):
        partial.remember(etag="1")
    with pytest.raises(BusyError):
        partial.quarantine({})
    with pytest.raises(BusyError):
        partial.forget()
    partial.release()
    assert store.find(SHA256) is None
    assert "somebody-else" in owner.read_text()


def test_disputed_bytes_go_to_quarantine_and_the_claim_ends(store: Store) -> None:
    partial = begun(store)
    partial.write(0, 0, DATA)
    place = partial.quarantine({"expected": "other"})
    assert (place / "bytes").read_bytes() == DATA
    assert list(store.iter_partials()) == []
    assert store.find(SHA256) is None


def test_a_partial_that_was_given_up_takes_no_more(store: Store) -> None:
    partial = begun(store)
    partial.write(0, 0, b"x")
    partial.release()
    with pytest.raises(StoreError):
        partial.write(0, 1, b"y")
    with pytest.raises(BusyError):
        partial.commit(SHA256)
