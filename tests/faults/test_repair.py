"""A damaged blob of twenty megabytes, mended over real sockets, and killed in the middle of it."""

from __future__ import annotations

import json
import random
import re
import shutil
import signal
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import pytest

from mirror.errors import StatusError
from mirror.upstream.objects import Validators
from tests.faults.processes import Running, run
from tests.faults.pulling import MIB, Lane, Stand, Word, assert_nothing_left, assert_sound, standing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIZE = 20 * MIB + 4321
LANES = {
    "hub": Lane("hub", "hub", SIZE, Word.STRONG),
    "google": Lane("google", "google", SIZE, Word.HEADERS, sized=False),
    "plain": Lane("plain", "plain", SIZE, Word.NOTHING, sized=False, validators=Validators.STRONG),
    "silent": Lane("silent", "plain", SIZE, Word.NOTHING),
}
#: One byte of the eighth block, and the request for it.
PLACE = 7 * MIB + 99
BLOCK = f"bytes={7 * MIB}-{8 * MIB - 1}"
DYING = (sys.executable, "-m", "tests.faults.dying")
#: Bytes that the kernel may hold for a reader that was killed.
IN_FLIGHT = 4 * MIB


@pytest.fixture(params=[name if name == "hub" else pytest.param(name, marks=pytest.mark.slow) for name in LANES])
def stand(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stand]:
    with standing(tmp_path / "mirror", LANES[request.param]) as made:
        yield made


def spoil(stand: Stand, *places: int) -> None:
    """Pull, and change a bit of the blob at every place."""
    assert stand.pull().problems == []
    (state,) = stand.mirror.files()
    blob = stand.mirror.store.blob_path(state.sha256 or "")
    data = bytearray(blob.read_bytes())
    for place in places:
        data[place] ^= 4
    blob.chmod(0o644)
    blob.write_bytes(data)


def damage(stand: Stand, *places: int) -> None:
    """Spoil the blob and let verify find it; forget what was asked for until then."""
    spoil(stand, *places)
    assert [found.verdict.ok for found in stand.mirror.verify()] == [False]
    assert_sound(stand, [stand.lane.data])
    stand.server.journal.clear()


def assert_mended(stand: Stand) -> None:
    assert_sound(stand, [stand.lane.data])
    assert_nothing_left(stand.mirror)
    assert [state.state for state in stand.mirror.files()] == ["held"]
    assert [found.verdict.ok for found in stand.mirror.verify()] == [True]


def test_one_changed_bit_of_twenty_megabytes_costs_one_block(stand: Stand) -> None:
    before = stand.mirror
    damage(stand, PLACE)
    outcome = stand.mirror.repair()
    assert outcome.problems == []
    assert [one.headers.get("range") for one in stand.requests()] == [BLOCK]
    assert (stand.sent(), outcome.wire_bytes) == (MIB, MIB)
    assert_mended(stand)
    levels = {event.detail["level"] for event in before.events(kind="stored")}
    assert len(levels) == 1, "mended bytes are known as well as they were"


def test_a_source_without_ranges_sends_the_whole_file(stand: Stand) -> None:
    damage(stand, PLACE)
    stand.strike({"fault": "ignore_range", "times": "always"})
    (mended,) = stand.mirror.repair(retry_pause=0.002).mended
    assert (mended.kept, mended.size) == (0, SIZE)
    assert stand.sent() >= SIZE
    assert_mended(stand)


@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "cut_after", "bytes": 300_000},
        {"fault": "reset_after", "bytes": 300_000},
        {"fault": "status", "code": 503},
        {"fault": "html_login"},
        {"fault": "misplaced_range"},
        {"fault": "wrong_content_range"},
    ],
    ids=lambda fault: str(fault["fault"]),
)
def test_what_goes_wrong_on_the_way_does_not_reach_the_blob(tmp_path: Path, fault: dict[str, object]) -> None:
    with standing(tmp_path / "mirror", LANES["plain"]) as stand:
        damage(stand, PLACE, 0)
        stand.strike(fault)
        outcome = stand.mirror.repair(retry_pause=0.002)
        # A page in place of the file is an answer, and there is no other address.
        again = stand.mirror.repair(retry_pause=0.002) if outcome.problems else outcome
        assert again.problems == []
        assert_mended(stand)


@pytest.mark.slow
def test_wrong_bytes_of_a_block_are_fetched_again(tmp_path: Path) -> None:
    with standing(tmp_path / "mirror", LANES["plain"]) as stand:
        damage(stand, PLACE)
        stand.strike({"fault": "flip_bit", "offset": PLACE + 1})
        assert stand.mirror.repair(retry_pause=0.002).problems == []
        assert_mended(stand)


def test_a_source_that_is_gone_is_a_problem_and_nothing_is_lost(tmp_path: Path) -> None:
    with standing(tmp_path / "mirror", LANES["plain"]) as stand:
        damage(stand, PLACE)
        stand.strike({"fault": "status", "code": 404, "times": "always"})
        (problem,) = stand.mirror.repair(retry_pause=0.002).problems
        assert isinstance(problem.error, StatusError)
        assert_sound(stand, [stand.lane.data])
        stand.strike()
        assert stand.mirror.repair().wire_bytes == MIB
        assert_mended(stand)


def test_a_pull_goes_on_with_what_a_repair_left(tmp_path: Path) -> None:
    with standing(tmp_path / "mirror", LANES["plain"]) as stand:
        damage(stand, PLACE)
        stand.strike({"fault": "status", "code": 404, "times": "always"})
        stand.mirror.repair(retry_pause=0.002)
        stand.strike()
        assert stand.pull().problems == []
        assert stand.sent() == MIB
        assert_mended(stand)


def test_the_commands_say_what_to_do_and_what_it_cost(tmp_path: Path) -> None:
    with standing(tmp_path / "mirror", LANES["plain"]) as stand:
        spoil(stand, PLACE)
        code, out, err = run(stand.root, "verify", "bert", environ=stand.environ)
        assert code == 4
        assert f"altered  bert@files/weights.bin, damaged bytes {7 * MIB}–{8 * MIB}" in out
        assert "hint: `minibert-mirror repair bert` fetches what is bad, and only that" in err
        code, out, err = run(stand.root, "repair", "bert", environ=stand.environ)
        assert (code, out) == (0, "mended  bert@files/weights.bin: 1.0 MiB fetched, 19.0 MiB kept of a damaged copy\n")
        assert err.endswith("1 blob mended: 1.0 MiB of 20.0 MiB fetched\n")
        code, out, err = run(stand.root, "repair", "--json", environ=stand.environ)
        assert (code, out) == (0, "")
        assert run(stand.root, "repair", environ=stand.environ)[2].startswith("nothing is known to be bad")


@pytest.mark.slow
def test_the_command_tells_of_problems_too(tmp_path: Path) -> None:
    with standing(tmp_path / "mirror", LANES["plain"]) as stand:
        damage(stand, PLACE)
        stand.strike({"fault": "status", "code": 404, "times": "always"})
        code, out, _ = run(stand.root, "repair", "--json", environ=stand.environ)
        assert (code, json.loads(out)["error"]) == (5, "NotFoundError")
        code, _, err = run(stand.root, "repair", environ=stand.environ)
        assert code == 5
        assert "failed bert@files/weights.bin" in err
        stand.strike()
        code, out, _ = run(stand.root, "repair", "--json", environ=stand.environ)
        assert (code, json.loads(out)["fetched"]) == (0, MIB)


class Ward(NamedTuple):
    """A damaged mirror, to be copied for every patient, and how often one undisturbed repair changes the disk."""

    stand: Stand
    changes: int

    def patient(self, root: Path) -> Stand:
        """Return a copy of the damaged mirror."""
        shutil.copytree(self.stand.root, root)
        self.stand.server.faults.clear()
        self.stand.server.journal.clear()
        return replace(self.stand, root=root)


def die_at(stand: Stand, change: int | None) -> tuple[int, str]:
    """Repair until the given change of the file system is about to be made; return exit code and stderr."""
    environ = {**stand.environ, **({} if change is None else {"DIE_AT": str(change)})}
    with Running(stand.root, "repair", "--jobs", "1", "--quiet", environ=environ, program=DYING) as process:
        return process.end(), process.err


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    with standing(tmp_path_factory.mktemp("ward") / "mirror", LANES["plain"]) as stand:
        damage(stand, PLACE, 3 * MIB)
        whole = Ward(stand, 0).patient(stand.root.with_name("whole"))
        code, said = die_at(whole, None)
        assert code == 0, said
        assert_mended(whole)
        found = re.search(r"changes: (\d+)", said)
        assert found is not None
        yield Ward(stand, int(found[1]))


def die_and_go_on(ward: Ward, root: Path, change: int) -> None:
    patient = ward.patient(root)
    code, said = die_at(patient, change)
    assert code in {-signal.SIGKILL, 0}, said
    go_on(patient)
    assert patient.sent() <= 3 * MIB  # of a block that was just coming, some was on its way
    shutil.rmtree(root)


def go_on(patient: Stand) -> None:
    """Whatever was left: nothing wrong is visible, and another repair ends right."""
    assert_sound(patient, [patient.lane.data])
    assert patient.mirror.repair().problems == []
    mirror = patient.mirror
    mirror.run_gc(mirror.plan_gc())
    assert_mended(patient)


@pytest.mark.parametrize(
    "place", [0.4, *(pytest.param(place, marks=pytest.mark.slow) for place in (0.2, 0.6, 0.8, 0.9))]
)
def test_death_before_some_changes_of_the_file_system(tmp_path: Path, ward: Ward, place: float) -> None:
    die_and_go_on(ward, tmp_path / "mirror", 1 + int(place * ward.changes))


@pytest.mark.slow
def test_death_before_every_change_of_the_file_system(tmp_path: Path, ward: Ward) -> None:
    assert ward.changes > 20
    for change in range(1, ward.changes + 1):
        die_and_go_on(ward, tmp_path / str(change), change)


@pytest.mark.slow
def test_kill_after_kill_in_the_middle_of_the_bytes(tmp_path: Path, ward: Ward) -> None:
    patient, moments = ward.patient(tmp_path / "mirror"), random.Random(1)
    for _ in range(3):
        patient.strike({"fault": "slow_drip", "rate": 1_000_000.0, "times": "always"})
        with Running(patient.root, "repair", "--quiet", environ=patient.environ) as process:
            process.until(lambda: bool(patient.server.requests(settle=0)))
            time.sleep(moments.uniform(0.0, 0.7))
            process.kill()
        assert_sound(patient, [patient.lane.data])
        assert not list(patient.mirror.store.iter_blobs()) or patient.mirror.repair().wire_bytes == 0
    patient.server.faults.clear()
    go_on(patient)
    assert patient.sent() <= 2 * MIB + IN_FLIGHT, "twenty would be the whole"
