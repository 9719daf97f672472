from __future__ import annotations

import json
import os
import shutil
import threading
from typing import TYPE_CHECKING, Any

import pytest

from mirror.errors import BusyError, StoreError
from mirror.store import Store, partial_key
from mirror.store.owner import SILENCE, signature

if TYPE_CHECKING:
    from pathlib import Path

KEY = partial_key("a file")
DATA = b"0123456789" * 100


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


def claim(store: Store) -> Path:
    return store.root / "partial" / KEY


def leave(store: Store, *, silent: float = 0.0, **owner: Any) -> None:
    """Leave a partial with 300 bytes behind, as the owner described would."""
    partial = store.partial(KEY)
    partial.restart(len(DATA))
    partial.write(0, 0, DATA[:300])
    rewrite(store, silent=silent, **owner)
    # The object forgets; the directory stays.
    shutil.copytree(claim(store), claim(store).with_name("kept"))
    times = (claim(store) / "owner.json").stat()
    partial.forget()
    claim(store).with_name("kept").rename(claim(store))
    os.utime(claim(store) / "owner.json", ns=(times.st_atime_ns, times.st_mtime_ns))


def rewrite(store: Store, *, silent: float = 0.0, **owner: Any) -> None:
    path = claim(store) / "owner.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | owner))
    now = path.stat().st_mtime
    os.utime(path, (now, now - silent))


def test_a_live_claim_is_refused_to_everybody_else(store: Store) -> None:
    partial = store.partial(KEY)
    with pytest.raises(BusyError) as refused:
        Store(store.root).partial(KEY)
    assert str(os.getpid()) in refused.value.owner
    partial.forget()
    store.partial(KEY).forget()


def test_of_many_threads_one_gets_the_claim(store: Store) -> None:
    for _ in range(10):
        start = threading.Barrier(6)
        won: list[Any] = []

        def take(start: threading.Barrier = start, won: list[Any] = won) -> None:
            start.wait()
            try:
                won.append(store.partial(KEY))
            except BusyError:
                return

        threads = [threading.Thread(target=take) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        assert [path.name for path in (store.root / "partial").iterdir()] == [KEY]
        won[0].forget()


@pytest.mark.parametrize("owner", [{"started": "1"}, {"pid": 2**22 + 1}, {"released": True, "host": "elsewhere"}])
def test_a_dead_owners_bytes_are_adopted(store: Store, owner: dict[str, Any]) -> None:
    leave(store, **owner)
    with store.partial(KEY) as partial:
        assert partial.contiguous == 300
        assert partial.adopted_from_other_host == ("host" in owner)
    assert [path.name for path in (store.root / "partial").iterdir()] == [KEY]


def test_another_hosts_claim_is_respected_while_its_heart_beats(store: Store) -> None:
    leave(store, host="elsewhere", silent=SILENCE - 30)
    with pytest.raises(BusyError, match="elsewhere"):
        store.partial(KEY)
    assert (claim(store) / "data").read_bytes() == DATA[:300]
    (state,) = store.iter_partials()
    assert state.live is None


def test_a_silent_host_loses_its_claim_and_its_bytes_are_in_doubt(store: Store) -> None:
    leave(store, host="elsewhere", silent=SILENCE + 30)
    with store.partial(KEY) as partial:
        assert partial.contiguous == 300
        assert partial.adopted_from_other_host
    with store.partial(KEY) as partial:
        assert partial.adopted_from_other_host, "doubt outlives the one who adopted"
        partial.restart(len(DATA))
        assert not partial.doubt
        partial.write(0, 0, b"x")
    with store.partial(KEY) as partial:
        assert not partial.doubt


@pytest.mark.parametrize(("silent", "free"), [(SILENCE - 30, False), (SILENCE + 30, True)])
def test_a_claim_that_names_nobody_is_judged_by_its_age(store: Store, silent: float, *, free: bool) -> None:
    leave(store)
    (claim(store) / "owner.json").write_text("{}")
    rewrite(store, silent=silent)
    if free:
        with store.partial(KEY) as partial:
            assert partial.doubt == "host"
    else:
        with pytest.raises(BusyError, match="unknown"):
            store.partial(KEY)


def test_a_claim_without_an_owner_is_judged_by_its_directory(store: Store) -> None:
    claim(store).mkdir(parents=True)
    (claim(store) / "data").write_bytes(b"x")
    with pytest.raises(BusyError):
        store.partial(KEY)
    now = claim(store).stat().st_mtime
    os.utime(claim(store), (now, now - SILENCE - 30))
    store.partial(KEY).forget()


def test_an_empty_directory_is_nobodys_claim(store: Store) -> None:
    claim(store).mkdir(parents=True)
    store.partial(KEY).forget()


def test_an_owner_that_lost_its_claim_learns_it_with_the_next_heartbeat(tmp_path: Path) -> None:
    now = [0.0]
    store = Store(tmp_path / "cache", clock=lambda: now[0])
    lost = store.partial(KEY)
    lost.restart(len(DATA))
    lost.write(0, 0, DATA[:300])
    rewrite(store, host="elsewhere", silent=SILENCE + 30)
    adopted = Store(store.root).partial(KEY)
    now[0] = 11.0
    with pytest.raises(BusyError):
        lost.write(0, 300, b"late")
    lost.release()
    assert adopted.contiguous == 300
    adopted.write(0, 300, DATA[300:])
    assert adopted.path.read_bytes() == DATA
    adopted.forget()


def test_writing_keeps_the_heart_beating_every_ten_seconds(tmp_path: Path) -> None:
    now = [0.0]
    store = Store(tmp_path / "cache", clock=lambda: now[0])
    partial = store.partial(KEY)
    partial.restart(len(DATA))
    rewrite(store, silent=100)
    stale = (claim(store) / "owner.json").stat().st_mtime
    now[0] = 9.9
    partial.write(0, 0, b"0")
    assert (claim(store) / "owner.json").stat().st_mtime == stale
    now[0] = 10.0
    partial.write(0, 1, b"1")
    assert (claim(store) / "owner.json").stat().st_mtime > stale
    partial.forget()


def strand(store: Store, *, adopter: str) -> None:
    """Stop an adoption between its two renames: the claim stands inside the adopter's directory."""
    leave(store, started="1")
    room = store.root / "partial" / f".adopt-{KEY}-{adopter}"
    room.mkdir()
    claim(store).rename(room / "was")


def dead_signature() -> str:
    pid, _, rest = signature().split("-", 2)
    return f"{pid}-1-{rest}"  # its process id belongs to another by now


def test_an_adoption_that_died_half_way_loses_no_byte(store: Store) -> None:
    strand(store, adopter=dead_signature())
    with store.partial(KEY) as partial:
        assert partial.contiguous == 300
    assert [path.name for path in (store.root / "partial").iterdir()] == [KEY]


def test_an_adoption_under_way_is_left_alone(store: Store) -> None:
    strand(store, adopter=signature())
    with pytest.raises(BusyError):
        store.partial(KEY)
    assert store.run_gc(store.plan_gc(set())) == ()


def test_an_owner_that_forgets_while_it_is_lifted_leaves_no_claim(store: Store) -> None:
    partial = store.partial(KEY)
    room = store.root / "partial" / f".adopt-{KEY}-{dead_signature()}"
    room.mkdir()
    claim(store).rename(room / "was")
    partial.forget()
    store.partial(KEY).forget()
    store.run_gc(store.plan_gc(set()))
    assert not any((store.root / "partial").iterdir())


def test_a_lifted_owner_goes_on_undisturbed(store: Store) -> None:
    partial = store.partial(KEY)
    partial.restart(len(DATA))
    aside = claim(store).with_name(".adopt-by-mistake")
    claim(store).rename(aside)
    partial.write(0, 0, DATA)
    partial.beat()
    partial.remember(etag="1")
    blob = partial.commit("ab" * 32)
    assert blob.path.read_bytes() == DATA
    partial.forget()
    assert list(aside.iterdir()) == []


def test_a_partial_whose_name_is_taken_by_a_file_is_a_store_error(store: Store) -> None:
    (store.root / "partial").mkdir(parents=True)
    claim(store).write_text("not a directory")
    with pytest.raises(StoreError, match="partial"):
        store.partial(KEY)
    assert [path.name for path in (store.root / "partial").iterdir()] == [KEY]


# --- without bytes ------------------------------------------------------------


def test_only_one_does_what_it_does_alone(store: Store) -> None:
    with store.alone("probe") as still_here:
        still_here()
        with pytest.raises(BusyError, match="probe: "), Store(store.root).alone("probe"):
            pass
        with store.alone("something else"):
            pass
    with store.alone("probe"):
        pass
    assert list((store.root / "partial").iterdir()) == []


def test_whoever_fails_alone_is_in_nobody_s_way(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.alone("probe"):
        raise ZeroDivisionError
    with store.alone("probe"):
        pass


def test_whoever_was_taken_for_dead_learns_it(store: Store) -> None:
    with pytest.raises(BusyError), store.alone("probe") as still_here:
        shutil.rmtree(store.root / "partial" / partial_key("alone", "probe"))
        still_here()
