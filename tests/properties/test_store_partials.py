"""Whatever happens on the way, the bytes are the same: writes, cuts, splits, crashes, new owners."""

from __future__ import annotations

import hashlib
import random
import tempfile
from itertools import pairwise
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from mirror.store import Partial, Store, partial_key

KEY = partial_key("a file")
DATA = random.Random(3).randbytes(5000)
SHA256 = hashlib.sha256(DATA).hexdigest()

Steps = list[tuple[str, int, int]]
steps = st.lists(
    st.tuples(
        st.sampled_from(["write", "write", "write", "again", "split", "reopen", "crash", "lost", "restart"]),
        st.integers(0, 5),
        st.integers(1, 2000),
    ),
    max_size=25,
)


def write(partial: Partial, index: int, amount: int) -> None:
    span = partial.spans[index]
    partial.write(index, span.next, DATA[span.next : span.next + amount])


def crash(path: Path, store: Store, partial: Partial, junk: int) -> Partial:
    """Die between writing bytes and noting them."""
    with path.open("ab") as file:
        file.write(b"\xee" * junk)
    partial.release()
    return store.partial(KEY)


def lose(path: Path, store: Store, partial: Partial, amount: int) -> Partial:
    """Lose the end of the file, as a power cut may."""
    with path.open("r+b") as file:
        file.truncate(max(0, path.stat().st_size - amount))
    partial.release()
    return store.partial(KEY)


def step(store: Store, partial: Partial, what: str, number: int, amount: int) -> Partial:
    if not partial.spans:
        partial.restart(len(DATA))
    index = number % len(partial.spans)
    span = partial.spans[index]
    match what:
        case "write":
            write(partial, index, amount)
        case "again" if span.done:
            at = max(span.start, span.next - amount)
            partial.write(index, at, DATA[at : at + amount])
        case "split" if span.stop is not None and span.next + amount < span.stop:
            partial.split(index, span.next + amount)
        case "reopen":
            partial.release()
            return store.partial(KEY)
        case "crash":
            return crash(partial.path, store, partial, amount)
        case "lost":
            return lose(partial.path, store, partial, amount)
        case "restart":
            cuts = sorted({0, len(DATA), amount, amount * number % len(DATA)})
            partial.restart(len(DATA), list(pairwise(cuts)))
    return partial


def finish(partial: Partial) -> None:
    if not partial.spans:
        partial.restart(len(DATA))
    for index in range(len(partial.spans)):
        while not partial.spans[index].whole:
            write(partial, index, 1000)
    # Junk that a crash left after the end is written over, except beyond the file's own end.
    if partial.path.stat().st_size > len(DATA):
        partial.restart(len(DATA))
        partial.write(0, 0, DATA)


@settings(max_examples=80, deadline=None)
@given(steps)
def test_any_sequence_of_writes_cuts_and_owners_gives_the_same_bytes(sequence: Steps) -> None:
    with tempfile.TemporaryDirectory() as directory:
        store = Store(Path(directory))
        partial = store.partial(KEY)
        for what, number, amount in sequence:
            partial = step(store, partial, what, number, amount)
            held = partial.path.read_bytes()
            for span in partial.spans:
                assert held[span.start : span.next] == DATA[span.start : span.next]
            assert partial.contiguous <= len(held)
        finish(partial)
        assert partial.commit(SHA256).path.read_bytes() == DATA
        partial.forget()
        assert [path.name for path in (store.root / "partial").iterdir()] == []
