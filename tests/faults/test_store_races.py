from __future__ import annotations

import hashlib
import shutil
import time
from typing import TYPE_CHECKING

from mirror.store import Store, partial_key
from tests.store_process import Worker, pattern, two_workers

if TYPE_CHECKING:
    from pathlib import Path

DATA = pattern(20_000)


def race(one: Worker, two: Worker, key: str) -> list[str]:
    """Let both take the same key at the same moment; return their answers."""
    moment = time.monotonic() + 0.01
    one.send("take", key, moment)
    two.send("take", key, moment)
    return [one.answer(), two.answer()]


def test_of_two_processes_one_gets_a_new_key_and_its_blob(tmp_path: Path) -> None:
    store = Store(tmp_path / "cache")
    sha256 = hashlib.sha256(DATA).hexdigest()
    with two_workers(store.root) as workers:
        for number in range(20):
            key = partial_key("new", str(number))
            answers = race(*workers, key)
            assert sorted(answers) == ["busy", "won 0"]
            winner = workers[answers.index("won 0")]
            assert winner.ask("pour", key, len(DATA)) == "pouring"
            assert winner.answer() == "poured"
            assert winner.ask("commit", key, sha256) == "committed"
            assert winner.ask("forget", key) == "forgotten"
            blob = store.find(sha256)
            assert blob is not None
            assert blob.path.read_bytes() == DATA
            assert not any((store.root / "partial").iterdir())
            blob.path.unlink()


def test_of_two_processes_one_adopts_what_a_dead_one_left(tmp_path: Path) -> None:
    store = Store(tmp_path / "cache")
    keys = [partial_key("left", str(number)) for number in range(20)]
    with Worker(store.root) as dead:
        dead.ask("take", keys[0], 0)
        dead.ask("pour", keys[0], len(DATA))
        assert dead.answer() == "poured"
        dead.kill()
    left = store.root / "partial" / keys[0]
    for key in keys[1:]:
        shutil.copytree(left, left.with_name(key))
    with two_workers(store.root) as workers:
        for key in keys:
            assert sorted(race(*workers, key)) == ["busy", f"won {len(DATA)}"]
        assert sorted(path.name for path in (store.root / "partial").iterdir()) == sorted(keys)
    for key in keys:
        with store.partial(key) as partial:
            assert partial.path.read_bytes() == DATA


def test_two_processes_publishing_the_same_blobs_disturb_each_other_in_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "cache")
    names = [hashlib.sha256(b"%d" % number).hexdigest() for number in range(200)]
    with two_workers(store.root) as workers:
        for worker in workers:
            worker.send("publish", *names)
        assert [worker.answer() for worker in workers] == ["published", "published"]
    assert {blob.sha256: blob.path.read_bytes() for blob in store.iter_blobs()} == {n: n.encode() for n in names}
    assert not any((store.root / "partial").iterdir())
