"""One large file over several connections, and what goes wrong with some of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.pulling import MIB, Lane, Stand, Word, assert_nothing_left, assert_sound, standing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SIZE = 14 * MIB + 321
WIDE = Lane("hub-wide", "hub", SIZE, Word.STRONG)
#: Weak, but enough to resume: md5 and CRC come with every reply.
WEAK = Lane("google-wide", "google", SIZE, Word.HEADERS, sized=False)
#: What a connection gets, in bytes a second: the server's limit makes more of them pay.
RATE = 6_000_000.0

FAULTS: dict[str, tuple[Mapping[str, Any], bool]] = {
    "cut": ({"fault": "cut_after", "bytes": 300_000, "times": 3}, True),
    "cut at once": ({"fault": "cut_after", "bytes": 0, "times": 3}, True),
    "reset": ({"fault": "reset_after", "bytes": 70_000, "times": 2}, True),
    "stalled": ({"fault": "stall_after", "bytes": 200_000, "times": 2}, True),
    "refused": ({"fault": "status", "code": 503, "times": 4}, True),
    "gone": ({"fault": "status", "code": 404, "times": 2}, True),
    "whole file instead": ({"fault": "ignore_range", "times": 2}, False),
    "another place": ({"fault": "wrong_content_range", "kind": "shifted", "times": 2}, False),
    "no place": ({"fault": "wrong_content_range", "kind": "missing", "times": 2}, False),
    "misplaced": ({"fault": "misplaced_range"}, False),
    "shorter": ({"fault": "shorter_range", "bytes": 5000, "times": 2}, False),
    "one bit": ({"fault": "flip_bit", "offset": SIZE - 70_000, "times": 1}, False),
    "a page": ({"fault": "html_login", "times": 2}, True),
    "compressed": ({"fault": "gzip", "times": 1}, False),
}


@pytest.fixture(params=[WIDE, WEAK], ids=lambda lane: lane.name)
def stand(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stand]:
    with standing(tmp_path / "mirror", request.param, stall=0.5) as stand:
        yield stand


def slow_down(stand: Stand, *steps: Mapping[str, Any]) -> None:
    """Hold every connection to the rate, and strike requests for a part of the file with ``steps``."""
    stand.server.faults.clear()
    stand.server.faults.add("*weights.bin", [{"fault": "slow_drip", "rate": RATE, "times": "always"}])
    for step in steps:
        stand.server.faults.add("*weights.bin", [{**step, "range": True}])


def ranges(stand: Stand) -> int:
    """Return how many requests asked for a part of the file."""
    return sum(one.range is not None for one in stand.requests())


def assert_right(stand: Stand) -> None:
    assert_sound(stand, [stand.lane.data])
    assert [state.state for state in stand.mirror.files()] == ["held"]
    assert_nothing_left(stand.mirror)


def test_a_slow_host_is_asked_for_several_parts_at_once(stand: Stand) -> None:
    slow_down(stand)
    assert stand.pull().problems == []
    assert ranges(stand) >= 2
    assert_right(stand)
    assert stand.sent() <= SIZE + MIB * ranges(stand)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_some_of_several_connections_fail(stand: Stand, name: str) -> None:
    step, interrupts = FAULTS[name]
    slow_down(stand, step)
    outcome = stand.pull()
    assert outcome.problems == []
    assert any(step["fault"] in one.faults for one in stand.requests()), "nothing was struck"
    assert_right(stand)
    if interrupts:
        assert stand.sent() <= SIZE + MIB * len(stand.requests())


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["etag_change", "etag_change_mid", "other_revision"])
def test_the_file_changes_while_its_parts_are_fetched(stand: Stand, fault: str) -> None:
    """Some parts are of another version: the digests tell, or the validators before them."""
    slow_down(stand, {"fault": fault, "times": 3})
    outcome = stand.pull()
    assert_sound(stand, [stand.lane.data])
    stand.server.faults.clear()
    assert stand.pull().problems == []
    assert_right(stand)
    assert not outcome.problems or outcome.problems[0].error.exit_code in {4, 5}


@pytest.mark.slow
def test_a_pull_that_was_given_up_goes_on_with_every_part(stand: Stand) -> None:
    dead = {"fault": "status", "code": 500, "times": "always"}
    stand.server.faults.clear()
    stand.server.faults.add("*weights.bin", [{"fault": "slow_drip", "rate": RATE, "times": "always"}])
    stand.server.faults.add("*weights.bin", [{"fault": "cut_after", "bytes": 6 * MIB}, {**dead, "range": False}])
    stand.server.faults.add(
        "*weights.bin", [{"fault": "cut_after", "bytes": 500_000, "range": True, "times": 3}, {**dead, "range": True}]
    )
    assert len(stand.pull(retries=0).problems) == 1
    held = sum(state.held for state in stand.mirror.store.iter_partials())
    assert held > 6 * MIB
    stand.server.faults.clear()
    assert stand.pull().problems == []
    assert_right(stand)
    assert stand.sent() <= SIZE + MIB * len(stand.requests())
