"""``kill -9`` at any moment of a pull: the next pull ends right, and nothing is left of the dead one."""

from __future__ import annotations

import random
import re
import signal
import subprocess
import sys
import time
from itertools import islice
from typing import TYPE_CHECKING

import pytest

from tests.faults.fleet import Fleet, sailing
from tests.faults.processes import Running

if TYPE_CHECKING:
    from pathlib import Path

#: Bytes a second of every body: from a crawl, where transfers are hit, to full speed, where publishing is.
RATES = (600_000.0, 2_000_000.0, 8_000_000.0, 0.0, 0.0)
#: Up to this rate, bytes that were sent and are lost are the program's: faster, the kernel alone holds
#: megabytes for a process that waits for a core.
_COUNTED = 2_000_000.0
MIB = 1 << 20
DYING = (sys.executable, "-m", "tests.faults.dying")


def start_and_kill(fleet: Fleet, moment: float) -> bool:
    """Pull with eight threads, kill the process ``moment`` seconds after its first request; whether it still ran."""
    with Running(fleet.root, "pull", "--all", "--jobs", "8", "--quiet", environ=fleet.environ) as process:
        process.until(lambda: bool(fleet.server.requests(settle=0)))
        time.sleep(moment)
        running = process.process.poll() is None
        process.kill()
        return running


def assert_the_next_pull_ends_right(fleet: Fleet) -> None:
    fleet.assert_sound()
    fleet.slow_down(0)
    outcome = fleet.mirror.sync(everything=True)
    assert outcome.problems == []
    fleet.assert_complete()


def kill_once(root: Path, seed: int, *, copies: int = 2) -> bool:
    moments = random.Random(seed)
    rate = RATES[seed % len(RATES)]
    with sailing(root, copies=copies) as fleet:
        fleet.slow_down(rate)
        running = start_and_kill(fleet, moments.uniform(0, 0.6 * copies if rate else 0.2 * copies))
        before = {name: (fleet.bodies(name), fleet.kept(name)) for name in fleet.resumable}
        for bodies, kept in before.values() if 0 < rate <= _COUNTED else ():
            assert sum(one.sent for one in bodies) <= kept + MIB
        assert_the_next_pull_ends_right(fleet)
        for name, (bodies, kept) in before.items():
            assert all(one.range for one in fleet.bodies(name)[len(bodies) :] if kept)
        return running


@pytest.mark.slow
def test_five_kills(tmp_path: Path) -> None:
    assert sum(kill_once(tmp_path / str(seed), seed, copies=1) for seed in range(5)) >= 2


@pytest.mark.slow
def test_fifty_kills(tmp_path: Path) -> None:
    # A moment that comes after the end of its pull is none: another is drawn.
    moments = (kill_once(tmp_path / str(seed), seed) for seed in range(100, 200))
    assert sum(islice(filter(None, moments), 50)) == 50


@pytest.mark.slow
def test_kill_after_kill_of_the_same_mirror(tmp_path: Path) -> None:
    moments = random.Random(3)
    with sailing(tmp_path / "mirror") as fleet:
        for _ in range(12):
            fleet.slow_down(moments.choice(RATES))
            start_and_kill(fleet, moments.uniform(0, 0.3))
            fleet.assert_sound()
        assert_the_next_pull_ends_right(fleet)


def die_at(fleet: Fleet, change: int | None) -> tuple[int, str]:
    """Pull until the given change of the file system is about to be made; return exit code and stderr."""
    environ = {**fleet.environ, **({} if change is None else {"DIE_AT": str(change)})}
    with Running(fleet.root, "pull", "--all", "--jobs", "1", "--quiet", environ=environ, program=DYING) as process:
        return process.end(), process.err


@pytest.fixture(scope="module")
def changes(tmp_path_factory: pytest.TempPathFactory) -> int:
    """How often one undisturbed pull changes the file system."""
    with sailing(tmp_path_factory.mktemp("whole") / "mirror", copies=1, parts=2) as fleet:
        code, said = die_at(fleet, None)
        assert code == 0, said
        fleet.assert_complete()
    found = re.search(r"changes: (\d+)", said)
    assert found is not None
    return int(found[1])


def die_and_go_on(root: Path, change: int) -> None:
    with sailing(root, copies=1, parts=2) as fleet:
        code, said = die_at(fleet, change)
        assert code in {-signal.SIGKILL, 0}, said
        assert_the_next_pull_ends_right(fleet)


@pytest.mark.parametrize("place", [0.3, 0.8])
def test_death_before_some_changes_of_the_file_system(tmp_path: Path, changes: int, place: float) -> None:
    die_and_go_on(tmp_path / "mirror", 1 + int(place * changes))


@pytest.mark.slow
def test_death_before_every_change_of_the_file_system(tmp_path: Path, changes: int) -> None:
    assert changes > 50
    for change in range(1, changes + 1):
        die_and_go_on(tmp_path / str(change), change)


#: Fills a transaction beyond its cache, so that the file itself is half written, and dies.
HALF_WRITTEN = """
import os, signal, sqlite3, sys
ledger = sqlite3.connect(sys.argv[1], isolation_level=None)
ledger.execute("PRAGMA journal_mode = delete")
ledger.execute("PRAGMA cache_size = 2")
ledger.execute("BEGIN IMMEDIATE")
ledger.execute("CREATE TABLE half (text)")
ledger.executemany("INSERT INTO half VALUES (?)", [("x" * 500,)] * 3000)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_transaction_cut_short_on_a_disk_without_write_ahead_log_is_rolled_back(tmp_path: Path) -> None:
    with sailing(tmp_path / "mirror", copies=1, parts=2) as fleet:
        fleet.mirror.sync("bert-0@google")
        ledger = fleet.mirror.place.ledger
        subprocess.run([sys.executable, "-c", HALF_WRITTEN, str(ledger)], check=False)
        assert ledger.with_name("ledger.db-journal").stat().st_size > 0
        assert [state.state for state in fleet.mirror.files()] == ["held"]
        assert_the_next_pull_ends_right(fleet)


def test_gc_completes_what_a_writer_left_that_died_on_its_way_out(tmp_path: Path) -> None:
    with sailing(tmp_path / "mirror", copies=1, parts=2) as fleet:
        fleet.mirror.sync(everything=True)
        cache = fleet.mirror.place.cache
        head = (cache / "ledger.head").read_bytes()
        (cache / "ledger.head").unlink()
        (cache / ".ledger.head.new").write_bytes(head[:20])
        mirror = fleet.mirror
        mirror.run_gc(mirror.plan_gc())
        assert (cache / "ledger.head").read_bytes() == head
        fleet.assert_complete()
