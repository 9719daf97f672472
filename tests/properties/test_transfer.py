"""Whatever a source does: the promised bytes, or a typed error, and nothing wrong ever visible."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from mirror.digests import MultiDigest
from mirror.errors import MirrorError, NotFoundError, RateLimitedError, SourceError
from mirror.transfer.board import Board, Run
from mirror.transfer.hashing import Hashing
from tests.transfer_world import Act, Bench, promise

SIZES = st.one_of(st.integers(1, 40), st.integers(1000, 40_000))


@st.composite
def contents(draw: st.DrawFn) -> bytes:
    size, seed = draw(SIZES), draw(st.integers(0, 250))
    return bytes((value * 7 + seed) % 251 for value in range(size))


CUTS = st.builds(
    Act,
    cut=st.one_of(st.none(), st.integers(0, 40_000)),
    ignore_range=st.booleans(),
    step=st.sampled_from([1, 7, 1000, 1 << 20]),
    stated=st.booleans(),
)
MISCHIEF = st.builds(
    Act,
    cut=st.one_of(st.none(), st.integers(0, 40_000)),
    refuse=st.one_of(
        st.none(),
        st.sampled_from([SourceError("x", transient=True), NotFoundError("404"), RateLimitedError("429")]),
    ),
    ignore_range=st.booleans(),
    flip=st.one_of(st.none(), st.integers(0, 40_000)),
    shift=st.sampled_from([0, 0, 0, -1, 1, 500]),
    extra=st.sampled_from([0, 0, 0, 1, 5000]),
    etag=st.sampled_from([None, '"v1"', '"v2"', 'W/"v1"', "garbage"]),
    step=st.sampled_from([1000, 1 << 20]),
    stated=st.booleans(),
    page=st.sampled_from([b"", b"", b"", b"<html>"]),
)


@settings(deadline=None)
@given(
    data=contents(),
    acts=st.lists(CUTS, max_size=5),
    promised=st.sampled_from([(), ("sha256",), ("git-sha1",), ("md5",)]),
    sized=st.booleans(),
    etag=st.sampled_from(['"v1"', 'W/"v1"', None]),
)
def test_any_cuts_and_rewinds_give_the_same_blob(
    data: bytes, acts: list[Act], promised: tuple[str, ...], sized: bool, etag: str | None
) -> None:
    with tempfile.TemporaryDirectory() as root:
        bench = Bench(Path(root), data, acts, etag=etag)
        receipt = bench.fetch(bench.file(*promised, size=-1 if sized else None))
        assert bench.got(receipt) == data
        assert receipt.sha256 == promise(data, "sha256")[0].digest.hex
        assert [blob.sha256 for blob in bench.store.iter_blobs()] == [receipt.sha256]
        assert not list(bench.store.iter_partials())


@settings(deadline=None)
@given(
    data=contents(),
    acts=st.lists(MISCHIEF, max_size=12),
    promised=st.sampled_from(["sha256", "git-sha1"]),
    sized=st.booleans(),
    small=st.sampled_from([0, 1 << 20]),
)
def test_a_promised_digest_is_kept_or_nothing_becomes_visible(
    data: bytes, acts: list[Act], promised: str, sized: bool, small: int
) -> None:
    with tempfile.TemporaryDirectory() as root:
        bench = Bench(Path(root), data, acts)
        try:
            bench.fetch(bench.file(promised, size=-1 if sized else None), policy=bench.policy(small=small))
        except MirrorError:
            assert not list(bench.store.iter_blobs())
        else:
            (blob,) = bench.store.iter_blobs()
            assert blob.path.read_bytes() == data


@settings(deadline=None)
@given(data=contents(), first=st.lists(MISCHIEF, min_size=1, max_size=6))
def test_after_any_failure_a_sound_source_gives_the_bytes(data: bytes, first: list[Act]) -> None:
    with tempfile.TemporaryDirectory() as root:
        bench = Bench(Path(root), data, first)
        try:
            bench.fetch(bench.file("sha256"))
        except MirrorError:
            bench.origin.acts.clear()
            bench.fetch(bench.file("sha256"))
        (blob,) = bench.store.iter_blobs()
        assert blob.path.read_bytes() == data


class Partial:
    """Cuts spans as a partial does: the new one is last."""

    def __init__(self) -> None:
        self.spans = 1

    def cut(self, index: int, at: int) -> int:
        self.spans += 1
        return self.spans - 1


@given(size=st.integers(1, 200 << 20), data=st.data())
def test_whatever_connections_do_every_byte_is_fetched_exactly_once(size: int, data: st.DataObject) -> None:
    board = Board([(0, size, 0)], size=size, cut=Partial().cut)
    fetched: list[tuple[int, int]] = []
    runs: list[Run] = []
    for _ in range(200):
        if board.whole:
            break
        choice = data.draw(st.sampled_from(["take", "take last", "advance", "advance", "advance", "leave", "split"]))
        if choice.startswith("take") or not runs:
            run = board.take(last=choice == "take last")
            runs += [run] if run is not None else []
            continue
        run = data.draw(st.sampled_from(runs))
        if choice == "advance" and run.missing:
            count = min(run.missing, data.draw(st.sampled_from([1, 1 << 19, 1 << 22, 1 << 27])))
            fetched.append((run.next, run.next + count))
            board.advance(run, count)
        elif choice == "split":
            board.split(run, 8)
        elif choice == "leave":
            board.leave(run)
            runs.remove(run)
    for run in runs:
        board.leave(run)
    while (rest := board.take()) is not None:
        assert rest.missing
        fetched.append((rest.next, rest.next + rest.missing))
        board.advance(rest, rest.missing)
        board.leave(rest)
    assert board.whole
    assert board.contiguous == board.held == size
    fetched.sort()
    assert [start for start, _ in fetched] == [0, *(stop for _, stop in fetched[:-1])]


@settings(deadline=None, max_examples=30)
@given(
    size=st.integers(1, 3 << 20),
    order=st.lists(st.tuples(st.integers(0, 3 << 20), st.booleans()), max_size=12),
)
def test_digests_do_not_depend_on_which_bytes_passed_in_order(size: int, order: list[tuple[int, bool]]) -> None:
    data = bytes(value % 253 for value in range(997)) * (size // 997 + 1)
    data = data[:size]
    with tempfile.TemporaryDirectory() as root:
        path = Path(root) / "data"
        path.write_bytes(data)
        hashing = Hashing(path, {"sha256", "crc32c", "git-sha1"}, size=size)
        at = 0
        for step, passes in order:
            buffer = hashing.buffer()
            count = min(step, size - at, len(buffer))
            buffer[:count] = data[at : at + count]
            # A buffer that is not given in turn stands for bytes that another connection wrote.
            hashing.give(buffer, at if passes else at + 1, count)
            at += count
            hashing.follow(at)
        digests, _ = hashing.finish(size)
        straight = MultiDigest({"sha256", "crc32c", "git-sha1"}, size=size)
        straight.update(data)
        assert digests == straight.result()
