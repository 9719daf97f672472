"""A pull under every fault, fresh and resumed: the right bytes or an error of ours, and never a wrong file.

And whatever happened: once the fault is gone, the next pull ends right and leaves nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mirror.upstream.server import Server, dead_port
from tests.faults.matrix import FAULTS, RIGHT, Fault, cannot_tell
from tests.faults.pulling import LANES, MIB, Lane, Stand, assert_nothing_left, assert_sound, changed, standing
from tests.upstream_world import self_signed, small_world

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from mirror.errors import MirrorError
    from mirror.sync.outcome import Outcome

#: Where the first of two pulls is cut.
CUT = {True: MIB + 5000, False: 10_000}
#: The default run: every fault once through a partial, on a resumed pull, and some through memory, on a fresh one.
THROUGH_PARTIAL, THROUGH_MEMORY = "hub-large", "google-small"
SOME = {
    "cut-4095", "reset-20000", "stall-20000", "short-body", "long-body-declared", "endless-body", "no-length-cut",
    "content-length-small", "content-length-twice", "status-500", "login-page", "lfs-pointer", "no-bytes", "gzip",
    "bit-flipped", "zeros", "changed", "changed-while-sent",
}  # fmt: skip


@pytest.fixture(scope="module")
def places() -> Iterator[dict[str, str]]:
    """Addresses that a redirect can lead to: one that refuses, and one that nobody trusts."""
    context, _ = self_signed()
    with Server(small_world(), tls=context) as server:
        yield {"{dead}": f"http://127.0.0.1:{dead_port()}", "{untrusted}": server.url("plain")}


def placed(step: Mapping[str, Any], places: Mapping[str, str]) -> dict[str, Any]:
    """Return the step with its address filled in."""
    url = step.get("url", "")
    for name, address in places.items():
        url = url.replace(name, address)
    return {**step, "url": url} if url else dict(step)


def cases(*lanes: str) -> list[Any]:
    """Return every fault on each of ``lanes``, all by default."""
    return [
        pytest.param(fault, LANES[lane], id=f"{fault.name}-{lane}")
        for fault in FAULTS.values()
        for lane in lanes or LANES
        if fault.only is None or lane in fault.only
    ]


#: Seconds that a busy machine gets to answer where no fault is to be found out.
PATIENT = 20.0
RESUMED = pytest.mark.parametrize("resumed", [False, True], ids=["fresh", "resumed"])


def cut_short(stand: Stand) -> None:
    """Leave behind what an earlier pull leaves that was cut."""
    dead = {"fault": "status", "code": 500, "times": "always"}
    cut = {"fault": "cut_after", "bytes": CUT[stand.lane.large]}
    stand.server.faults.add(f"*{stand.lane.path}", [cut, dead])
    outcome = stand.pull(retries=0, stall=PATIENT)
    assert len(outcome.problems) == 1
    if stand.lane.resumes:
        assert [state.held for state in stand.mirror.store.iter_partials()] == [CUT[True]]
    stand.server.faults.clear()


def truth(stand: Stand) -> list[bytes]:
    """Return what the file may be: where nobody promises anything, a later version is as good."""
    return [stand.lane.data, changed(stand.lane.data)]


def assert_as_good_as_can_be(stand: Stand, fault: Fault, outcome: Outcome) -> bool:
    """Hold what is visible against the truth; whether the file came."""
    if not cannot_tell(fault, stand.lane):
        assert_sound(stand, truth(stand))
        return not outcome.problems
    (state,) = stand.mirror.files()
    if state.state == "held":
        assert state.level == "first-seen", "nothing is known of this file, and nothing may be said of it"
    return state.state == "held"


def assert_goes_on(stand: Stand, fault: Fault) -> None:
    """The fault is gone: the next pull ends right, and nothing is left behind."""
    stand.server.faults.clear()
    again = stand.pull(stall=PATIENT)
    assert again.problems == []
    assert_as_good_as_can_be(stand, fault, again)
    assert_nothing_left(stand.mirror)


def assert_thrifty(stand: Stand) -> None:
    """No byte came twice but for the last block before each interruption."""
    requests = [one for one in stand.requests() if one.status in {200, 206}]
    lane = stand.lane
    if lane.resumes:
        assert stand.sent() <= lane.size + MIB * (len(requests) - 1)
        assert sum(one.range is None for one in requests if one.sent) <= 1, "the beginning came twice"
    else:
        assert stand.sent() <= lane.size * len(requests)


def ended(outcome: Outcome) -> type[MirrorError] | None:
    """Return how a pull of one file ended."""
    assert len(outcome.problems) <= 1
    return next((type(problem.error) for problem in outcome.problems), RIGHT)


def pull_through(stand: Stand, fault: Fault, places: Mapping[str, str], *, resumed: bool) -> None:
    if resumed:
        cut_short(stand)
    stand.strike(*(placed(step, places) for step in fault.steps))
    outcome = stand.pull()
    came = assert_as_good_as_can_be(stand, fault, outcome)
    if not cannot_tell(fault, stand.lane):
        assert came is (not outcome.problems)
        assert ended(outcome) in fault.endings(stand.lane), outcome.problems
    if fault.interrupts:
        assert_thrifty(stand)
    assert_goes_on(stand, fault)


@pytest.mark.parametrize(("fault", "lane"), cases(THROUGH_PARTIAL))
def test_a_fault_strikes_once_while_a_pull_goes_on(
    tmp_path: Path, places: dict[str, str], fault: Fault, lane: Lane
) -> None:
    with standing(tmp_path / "mirror", lane) as stand:
        pull_through(stand, fault, places, resumed=True)


@pytest.mark.parametrize(("fault", "lane"), [case for case in cases(THROUGH_MEMORY) if case.values[0].name in SOME])
def test_a_fault_strikes_a_small_file_once(tmp_path: Path, places: dict[str, str], fault: Fault, lane: Lane) -> None:
    with standing(tmp_path / "mirror", lane) as stand:
        pull_through(stand, fault, places, resumed=False)


@pytest.mark.slow
@RESUMED
@pytest.mark.parametrize(("fault", "lane"), cases())
def test_a_fault_strikes_once(tmp_path: Path, places: dict[str, str], fault: Fault, lane: Lane, resumed: bool) -> None:
    with standing(tmp_path / "mirror", lane) as stand:
        pull_through(stand, fault, places, resumed=resumed)


@pytest.mark.slow
@RESUMED
@pytest.mark.parametrize(("fault", "lane"), cases())
def test_a_fault_strikes_every_request(
    tmp_path: Path, places: dict[str, str], fault: Fault, lane: Lane, resumed: bool
) -> None:
    if fault.name in {"cut-1", "reset-1"} and lane.resumes:
        pytest.skip("a byte a request is progress: it takes two million of them")
    with standing(tmp_path / "mirror", lane) as stand:
        if resumed:
            cut_short(stand)
        stand.strike(*({**placed(step, places), "times": "always"} for step in fault.steps))
        outcome = stand.pull()
        assert_as_good_as_can_be(stand, fault, outcome)
        how = ended(outcome)
        assert how in fault.always or (how is RIGHT and cannot_tell(fault, lane)), outcome.problems
        assert_goes_on(stand, fault)
