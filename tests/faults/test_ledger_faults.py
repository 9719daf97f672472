"""Killed writers, full disks, and readers who may write nothing: the ledger stays sound."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mirror.errors import LedgerError
from mirror.ledger import Ledger
from tests.ledger_events import file, listed, open_ledger, sha256, stored

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
NOBODY = 65534
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")

WRITER = """
import itertools, sys
from pathlib import Path
from tests.ledger_events import file, listed, open_ledger, stored
clock = __import__("datetime").datetime
from datetime import UTC
with open_ledger(Path(sys.argv[1]), now=lambda: clock.now(UTC)) as ledger:
    for batch in itertools.count():
        artifact = f"{sys.argv[2]}-{batch}@x"
        ledger.record([listed(*(file(str(n)) for n in range(20)), artifact=artifact)])
        ledger.record([stored(str(n), artifact=artifact) for n in range(20)])
        print(ledger.head().seq, flush=True)
"""

# Another user may not reach the interpreter's own modules: everything is imported before.
BECOME = """
import json, os, sys
from pathlib import Path
import mirror.ledger.audit, mirror.ledger.migrations
from mirror.errors import LedgerError
from mirror.ledger import Ledger
from tests.ledger_events import open_ledger, stored
if len(sys.argv) > 2:
    os.setgroups([])
    os.setgid(int(sys.argv[2]))
    os.setuid(int(sys.argv[2]))
"""

READER = (
    BECOME
    + """
try:
    with Ledger.reader(Path(sys.argv[1])) as reader:
        audit = reader.verify()
        print(json.dumps({"events": audit.events, "files": sum(1 for _ in reader.files())}))
except LedgerError as error:
    print(json.dumps({"error": str(error), "hint": error.hint}))
"""
)


def python(script: str, *words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)


def read_as(path: Path, *user: int) -> dict[str, object]:
    output, error = python(READER, path, *user).communicate(timeout=60)
    assert output, error
    return dict(json.loads(output))


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that other users can reach, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("seed", [0, *[pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6)]])
def test_killed_at_any_moment_two_writers_leave_a_sound_ledger(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "ledger.db"
    chance = random.Random(seed)
    for _ in range(5):
        said = 0
        writers = [python(WRITER, path, name) for name in ("one", "two")]
        for writer in writers:
            assert writer.stdout is not None
            said = max(said, int(writer.stdout.readline()))
            # Somewhere in the middle of a batch: a batch takes about a millisecond.
            with pytest.raises(subprocess.TimeoutExpired):
                writer.wait(chance.random() * 0.01)
            writer.kill()
        for writer in writers:
            writer.communicate()
        with Ledger.reader(path) as reader:
            assert reader.verify().events >= said, "what was committed is there"
            assert {one.state for one in reader.files()} <= {"listed", "held"}
    with open_ledger(path) as ledger:
        ledger.record([stored("after")])
        assert ledger.verify().events == ledger.head().seq


def test_a_writer_that_is_killed_while_it_makes_the_ledger_does_no_harm(tmp_path: Path) -> None:
    chance = random.Random(3)
    for number in range(6):
        path = tmp_path / f"{number}" / "ledger.db"
        writer = python(WRITER, path, "one")
        with pytest.raises(subprocess.TimeoutExpired):
            writer.wait(0.1 + chance.random() * 0.3)
        writer.kill()
        writer.communicate()
        with open_ledger(path) as ledger:
            ledger.record([stored("after")])
            ledger.verify()


def test_a_file_that_may_not_grow_is_an_error_and_the_next_run_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    script = textwrap.dedent(
        """
        import resource, sys
        from pathlib import Path
        from mirror.errors import DiskFullError
        from tests.ledger_events import open_ledger, stored
        with open_ledger(Path(sys.argv[1])) as ledger:
            ledger.record([stored("before")])
            resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
            try:
                for batch in range(100):
                    ledger.record([stored(f"{batch}/{n}") for n in range(20)])
            except DiskFullError as error:
                print(error.hint)
        """
    )
    output, _ = python(script, path).communicate(timeout=60)
    assert "free space" in output
    with open_ledger(path) as ledger:
        ledger.record([stored("after")])
        ledger.verify()
        assert {"before", "after"} <= {one.path for one in ledger.files()}


@AS_ROOT
def test_another_user_reads_a_closed_ledger_and_leaves_nothing_behind(shared: Path) -> None:
    path = shared / "ledger.db"
    with open_ledger(path) as ledger:
        ledger.record([listed(file("a")), stored("a")])
    before = sorted(p.name for p in shared.iterdir())
    assert read_as(path, NOBODY) == {"events": 3, "files": 1}
    assert sorted(p.name for p in shared.iterdir()) == before


@AS_ROOT
def test_another_user_leaves_no_lock_files_even_where_the_folder_is_open_to_all(shared: Path) -> None:
    path = shared / "ledger.db"
    with open_ledger(path) as ledger:
        ledger.record([stored("a")])
    shared.chmod(0o777)
    assert read_as(path, NOBODY) == {"events": 2, "files": 1}
    assert sorted(p.name for p in shared.iterdir()) == ["ledger.db", "ledger.head"]


@AS_ROOT
def test_another_user_reads_while_the_owner_writes(shared: Path) -> None:
    path = shared / "ledger.db"
    with open_ledger(path) as ledger:
        ledger.record([stored("a")])
        assert read_as(path, NOBODY) == {"events": 2, "files": 1}
        ledger.record([stored("b")])
        assert read_as(path, NOBODY) == {"events": 3, "files": 2}


@AS_ROOT
def test_another_user_reads_what_a_killed_writer_left(shared: Path) -> None:
    path = shared / "ledger.db"
    writer = python(WRITER, path, "one")
    assert writer.stdout is not None
    said = int(writer.stdout.readline())
    writer.kill()
    writer.communicate()
    assert (shared / "ledger.db-wal").stat().st_size
    found = read_as(path, NOBODY)
    assert isinstance(found["events"], int)
    assert found["events"] >= said


@AS_ROOT
def test_a_log_that_cannot_be_read_is_an_error_not_an_older_answer(shared: Path) -> None:
    path = shared / "ledger.db"
    with open_ledger(path) as ledger:
        ledger.record([stored("a")])
        copy = shared / "copy"
        copy.mkdir()
        for name in ("ledger.db", "ledger.db-wal"):  # without the -shm, as a backup may be
            shutil.copy(shared / name, copy / name)
    found = read_as(copy / "ledger.db", NOBODY)
    assert "unfinished work" in str(found["error"])
    assert "owner" in str(found["hint"])
    assert read_as(copy / "ledger.db") == {"events": 2, "files": 1}


@AS_ROOT
def test_another_user_cannot_write_and_is_told_so(shared: Path) -> None:
    path = shared / "ledger.db"
    with open_ledger(path) as ledger:
        ledger.record([stored("a")])
    script = BECOME + textwrap.dedent(
        """
        try:
            open_ledger(Path(sys.argv[1])).record([stored("b")])
        except LedgerError as error:
            print(error.hint)
        """
    )
    output, error = python(script, path, NOBODY).communicate(timeout=60)
    assert "belongs to somebody else" in output, error


def test_a_lost_head_file_and_a_lost_ledger_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with open_ledger(path) as ledger:
        ledger.record([stored("a")])
    path.with_suffix(".head").write_text("garbage")
    with pytest.raises(LedgerError, match="not the number and hash"):
        open_ledger(path)
    path.with_suffix(".head").unlink()
    with open_ledger(path) as ledger:
        assert ledger.held("bert-tiny@huggingface") == {"a": sha256("a")}


def test_writers_that_make_the_ledger_at_the_same_moment_wait_for_each_other(tmp_path: Path) -> None:
    writers, rounds = 4, 25
    start = threading.Barrier(writers)

    def write(name: int) -> None:
        for number in range(rounds):
            start.wait(30)
            with open_ledger(tmp_path / str(number) / "ledger.db") as ledger:
                ledger.record([stored(f"by-{name}")])

    with ThreadPoolExecutor(writers) as pool:
        for done in [pool.submit(write, name) for name in range(writers)]:
            done.result()
    for number in range(rounds):
        with Ledger.reader(tmp_path / str(number) / "ledger.db") as reader:
            assert reader.verify().events == 2 * writers


ONE_MORE = """
import sys
from pathlib import Path
from tests.ledger_events import open_ledger, stored
with open_ledger(Path(sys.argv[1])) as ledger:
    ledger.record([stored(sys.argv[2])])
"""


def test_a_writer_beside_our_own_reader_loses_nothing_to_another_process_that_closes(tmp_path: Path) -> None:
    """Closing any descriptor of the file drops all its POSIX locks of the process (sqlite.org/howtocorrupt.html §2.2).

    The other process then thinks that it was the last one, and deletes the log that we go on to write to.
    """
    path = tmp_path / "ledger.db"
    with open_ledger(path) as ledger:
        ledger.record([stored("first")])
    with Ledger.reader(path) as reader:
        assert reader.head().seq == 2
        with open_ledger(path) as ledger:
            ledger.record([stored("ours")])
            for name in ("theirs", "and more of theirs"):
                _, error = python(ONE_MORE, path, name).communicate(timeout=60)
                assert not error
                ledger.record([stored(f"after {name}")])
    with open_ledger(path) as ledger:
        assert ledger.verify().events == ledger.head().seq
        assert set(ledger.held("bert-tiny@huggingface")) == {
            "first", "ours", "theirs", "after theirs", "and more of theirs", "after and more of theirs",
        }  # fmt: skip
