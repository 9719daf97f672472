"""Several processes with the same work at the same time: one copy, no error, nobody waits for ever."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import pytest

from mirror.sync.outcome import Planned
from tests.faults.fleet import Fleet, sailing
from tests.faults.processes import Running
from tests.faults.pulling import LANES, standing

if TYPE_CHECKING:
    from pathlib import Path


def pull_together(fleet: Fleet, count: int) -> list[Running]:
    """Let ``count`` processes pull everything; return them, ended."""
    with contextlib.ExitStack() as stack:
        processes = [
            stack.enter_context(Running(fleet.root, "pull", "--all", "--jobs", "8", environ=fleet.environ))
            for _ in range(count)
        ]
        for process in processes:
            assert process.end() == 0, process.err
        return processes


def assert_fetched_once(fleet: Fleet) -> None:
    """No byte of a large file was sent twice."""
    for name in fleet.resumable:
        size = next(len(data) for full, data in fleet.truth.items() if full.endswith(name))
        assert fleet.sent(name) == size, name


def test_two_processes_with_the_same_work(tmp_path: Path) -> None:
    with sailing(tmp_path / "mirror") as fleet:
        fleet.slow_down(6_000_000.0)
        pull_together(fleet, 2)
        fleet.assert_complete()
        assert_fetched_once(fleet)


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.0, 1_500_000.0])
def test_four_processes_with_the_same_work(tmp_path: Path, rate: float) -> None:
    with sailing(tmp_path / "mirror", copies=4) as fleet:
        fleet.slow_down(rate)
        pull_together(fleet, 4)
        fleet.assert_complete()
        assert_fetched_once(fleet)


@pytest.mark.slow
def test_a_process_goes_on_with_what_a_killed_one_was_at(tmp_path: Path) -> None:
    with sailing(tmp_path / "mirror", copies=1) as fleet:
        fleet.slow_down(1_000_000.0)
        with Running(fleet.root, "pull", "--all", environ=fleet.environ) as first:
            first.until(lambda: any(state.held for state in fleet.mirror.store.iter_partials()))
            with Running(fleet.root, "pull", "--all", environ=fleet.environ) as second:
                time.sleep(0.5)
                first.kill()
                fleet.slow_down(0)
                assert second.end() == 0, second.err
        fleet.assert_complete()


@pytest.mark.slow
def test_a_second_process_asks_nobody_for_what_the_first_one_brings(tmp_path: Path) -> None:
    with sailing(tmp_path / "mirror", copies=1, parts=2) as fleet:
        pull_together(fleet, 1)
        before = len(fleet.server.requests())
        (again,) = pull_together(fleet, 1)
        assert "nothing to do" in again.out
        assert len(fleet.server.requests()) == before


def test_a_slow_process_fetches_nothing_that_a_fast_one_has_brought_meanwhile(tmp_path: Path) -> None:
    with sailing(tmp_path / "mirror") as fleet:
        fleet.slow_down(3_000_000.0)
        with Running(fleet.root, "pull", "--all", "--jobs", "1", environ=fleet.environ) as slow:
            slow.until(lambda: any(one.host == "cdn" for one in fleet.server.requests(settle=0)))
            with Running(fleet.root, "pull", "--all", "--jobs", "8", environ=fleet.environ) as fast:
                assert fast.end() == 0, fast.err
            assert slow.end() == 0, slow.err
        fleet.assert_complete()
        assert_fetched_once(fleet)


def test_what_another_process_brought_meanwhile_keeps_its_evidence(tmp_path: Path) -> None:
    with standing(tmp_path / "mirror", LANES["google-large"]) as stand:

        def let_the_other_go_first(event: object) -> None:
            if isinstance(event, Planned):
                assert stand.pull().levels == {"checked": 1}

        late = stand.pull(watch=let_the_other_go_first)
        (file,) = stand.mirror.files()
        assert (late.stored, late.adopted, late.levels) == (0, 1, {"checked": 1})
        assert file.level == "checked"
        assert [event.detail["how"] for event in stand.mirror.events(kind="stored")] == ["fetched"]


@pytest.mark.slow
def test_processes_with_different_work_share_the_bytes_that_both_need(tmp_path: Path) -> None:
    with sailing(tmp_path / "mirror", parts=2) as fleet, contextlib.ExitStack() as stack:
        fleet.slow_down(1_500_000.0)
        for process in [
            stack.enter_context(Running(fleet.root, "pull", f"bert-{number}@huggingface", environ=fleet.environ))
            for number in range(2)
        ]:
            assert process.end() == 0, process.err
        fleet.assert_sound()
        assert fleet.sent("shared.safetensors") == len(fleet.truth["bert-0@huggingface/shared.safetensors"])
