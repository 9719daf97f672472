from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from mirror.store import Partial, Store, partial_key

NAMES = [hashlib.sha256(b"%d" % number).hexdigest() for number in range(12)]
some = st.sets(st.sampled_from(NAMES))


def commit(store: Store, sha256: str, *, alive: bool) -> Partial:
    partial = store.partial(partial_key(sha256))
    partial.restart(64)
    partial.write(0, 0, sha256.encode())
    partial.commit(sha256)
    if not alive:
        partial.release()
    return partial


@settings(max_examples=60, deadline=None)
@given(small=some, live=some, dead=some, needed=some, needed_later=some, age=st.sampled_from([None, 0.0]))
def test_a_needed_blob_never_goes_and_an_unneeded_one_does(
    small: set[str], live: set[str], dead: set[str], needed: set[str], needed_later: set[str], age: float | None
) -> None:
    dead -= live
    with tempfile.TemporaryDirectory() as directory:
        store = Store(Path(directory))
        store.publish((name, name.encode()) for name in sorted(small))
        claims = [commit(store, name, alive=name in live) for name in sorted(live | dead)]
        plan = store.plan_gc(needed, partial_older_than=age, grace=0)
        store.run_gc(plan, is_needed=(needed | needed_later).__contains__)
        left = {blob.sha256 for blob in store.iter_blobs()}
        there = small | live | dead
        assert left >= there & (needed | live), "needed, or its row is still to come"
        assert left >= there & needed_later
        waiting = dead if age is None else set()
        assert left == there & (needed | needed_later | live | waiting)
        for claim in claims:
            claim.release()
