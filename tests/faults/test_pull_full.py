"""A disk without room: exit 6, nothing half done to be seen, and the same command goes on when there is room."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.faults.fleet import sailing
from tests.faults.processes import Running, run
from tests.faults.pulling import LANES, LARGE, MIB, Stand, assert_nothing_left, assert_sound, standing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Runs the program where no file may grow beyond a size, as a quota or an old file system has it.
LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)), resource.RLIM_INFINITY))
from mirror.cli import main
main()
"""


class Disk:
    """A file system of its own; only root has one to give."""

    def __init__(self, place: Path, size: int) -> None:
        self.place = place
        place.mkdir()
        self._mount("-t", "tmpfs", "-o", f"size={size},nr_inodes=4k", "tmpfs")

    def _mount(self, *words: str) -> None:
        done = subprocess.run(["mount", *words, str(self.place)], capture_output=True, check=False)
        if os.geteuid() != 0 or done.returncode:
            pytest.skip("only root may mount a small disk")

    def grow(self, size: int) -> None:
        self._mount("-o", f"remount,size={size}")

    def leave(self, room: int) -> Path:
        """Fill the disk with another's file until only ``room`` bytes are free."""
        stat = os.statvfs(self.place)
        other = self.place / "other"
        with other.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while (missing := stat.f_bavail * stat.f_frsize - room - file.tell()) > 0:
                file.write(bytes(min(missing, MIB)))
        return other


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(tmp_path / "disk", 24 * MIB)
    yield disk
    subprocess.run(["umount", "-l", str(disk.place)], check=True)


@contextlib.contextmanager
def stand_on(disk: Disk, lane: str) -> Iterator[Stand]:
    with standing(disk.place / "mirror", LANES[lane]) as stand:
        (stand.root / "cache" / "partial").mkdir()
        yield stand


def pull(stand: Stand) -> tuple[int, str]:
    code, _, said = run(stand.root, "pull", "--all", environ=stand.environ)
    return code, said


def assert_goes_on(stand: Stand, *, wire: int) -> None:
    code, said = pull(stand)
    assert code == 0, said
    assert_sound(stand, [stand.lane.data])
    assert_nothing_left(stand.mirror)
    assert [state.state for state in stand.mirror.files()] == ["held"]
    assert stand.sent() <= wire


@pytest.mark.slow
def test_what_cannot_fit_is_not_begun(disk: Disk) -> None:
    with stand_on(disk, "hub-large") as stand:
        other = disk.leave(MIB)
        code, said = pull(stand)
        assert code == 6, said
        assert "free space" in said
        assert stand.requests() == []
        assert list(stand.mirror.store.iter_blobs()) == []
        other.unlink()
        assert_goes_on(stand, wire=LARGE)


def test_a_disk_that_fills_up_under_a_transfer(disk: Disk) -> None:
    with stand_on(disk, "google-large") as stand:
        other = disk.leave(MIB + MIB // 2)
        code, said = pull(stand)
        assert code == 6, said
        assert "what has arrived is kept" in said
        assert "Traceback" not in said
        assert list(stand.mirror.store.iter_blobs()) == []
        held = sum(state.held for state in stand.mirror.store.iter_partials())
        assert held > MIB // 2
        assert pull(stand)[0] == 6, "still full"
        other.unlink()
        assert_sound(stand, [stand.lane.data])
        assert_goes_on(stand, wire=2 * LARGE)


@pytest.mark.slow
def test_a_disk_that_another_fills_up_meanwhile(disk: Disk) -> None:
    with stand_on(disk, "hub-large") as stand:
        stand.strike({"fault": "slow_drip", "rate": 2_000_000.0})
        with Running(stand.root, "pull", "--all", environ=stand.environ) as process:
            process.until(lambda: any(state.held for state in stand.mirror.store.iter_partials()))
            other = disk.leave(0)
            assert process.end() == 6, process.err
        assert "what has arrived is kept" in process.err
        assert list(stand.mirror.store.iter_blobs()) == []
        other.unlink()
        assert_goes_on(stand, wire=LARGE + MIB)


@pytest.mark.slow
def test_many_small_files_on_a_small_disk(disk: Disk) -> None:
    with sailing(disk.place / "mirror", copies=1, parts=60) as fleet:
        fleet.mirror.sync("bert-0@google")
        disk.leave(7 * MIB)  # what is promised would fit, and 30 MB of small files do not
        code, _, said = run(fleet.root, "pull", "--all", environ=fleet.environ)
        assert code == 6, said
        fleet.assert_sound()
        disk.grow(128 * MIB)
        fleet.assert_sound()
        code, _, said = run(fleet.root, "pull", "--all", environ=fleet.environ)
        assert code == 0, said
        fleet.assert_complete()


@pytest.mark.slow
def test_no_room_even_for_the_ledger(disk: Disk) -> None:
    with stand_on(disk, "hub-small") as stand:
        other = disk.leave(45_000)
        code, said = pull(stand)
        assert code in {6, 7}, said
        assert "free space" in said
        assert "Traceback" not in said
        other.unlink()
        assert_goes_on(stand, wire=2 * stand.lane.size)


def test_a_limit_on_the_size_of_files(tmp_path: Path) -> None:
    with standing(tmp_path / "mirror", LANES["hub-large"]) as stand:
        limited = (sys.executable, "-c", LIMITED, str(MIB))
        with Running(stand.root, "pull", "--all", environ=stand.environ, program=limited) as process:
            assert process.end() == 6, process.err
        assert "Traceback" not in process.err
        assert_sound(stand, [stand.lane.data])
        assert [state.held for state in stand.mirror.store.iter_partials()] == [MIB]
        assert_goes_on(stand, wire=2 * LARGE)
