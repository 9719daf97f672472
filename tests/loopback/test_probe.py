"""A probe of many shares: whom it asks, when it stops, what the ledger keeps, and what nobody ever sees."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Generator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from mirror.api import Mirror
from mirror.errors import BusyError, SelectorError, UsageError
from mirror.probe import Outcome, Probed
from mirror.probe.run import MOST
from mirror.upstream.pan_tree import Habits
from mirror.upstream.server import Server, dead_port
from mirror.upstream.world import World, build_world
from tests import catalogs
from tests.shares_world import CODE, SIZES, FakeClock, mirror_of, name, share, shared, surl

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mirror.upstream.host import Host, Place
    from mirror.upstream.http import Answer, Request

CAPTCHA = {"fault": "json_error", "code": "-62", "method": "*", "times": "always"}
SMALL = {"a.bin": 3}


def probed(mirror: Mirror, *selectors: str, again: bool = False, clock: FakeClock | None = None) -> list[Probed]:
    return list(mirror.probe(*selectors, again=again, clock=(clock or FakeClock()).clock))


def outcomes(found: list[Probed]) -> list[str]:
    return [one.outcome.value for one in found]


def events(mirror: Mirror) -> list[dict[str, Any]]:
    return [event.detail for event in mirror.events(kind="probed")]


# --- stopping ------------------------------------------------------------------------------


def test_a_captcha_at_share_5_of_49_ends_the_run_and_keeps_what_was_found(tmp_path: Path) -> None:
    numbers = range(1, 50)
    faults = {f"/share/verify/{surl(5)}": [CAPTCHA]}
    with shared(*(share(n, tree=SMALL) for n in numbers), faults=faults) as server:
        mirror = mirror_of(tmp_path / "m", server, numbers)
        found = probed(mirror)
        asked = {one.path for one in server.requests()}
    assert outcomes(found) == ["alive"] * 4 + ["captcha"] + ["not asked"] * 44
    assert all(one.sizes == SMALL for one in found[:4])
    assert "captcha" in found[-1].why
    assert [one["artifact"] for one in events(mirror)] == [name(n) for n in range(1, 6)]
    assert not any(surl(n) in path for n in range(6, 50) for path in asked)


def test_after_a_captcha_nobody_is_asked_for_a_quarter_of_an_hour_and_then_the_run_goes_on(tmp_path: Path) -> None:
    clock = FakeClock()
    with shared(
        *(share(n) for n in range(4)), faults={f"/share/verify/{surl(1)}": [{**CAPTCHA, "times": 1}]}
    ) as server:
        mirror = mirror_of(tmp_path / "m", server, range(4))
        assert outcomes(probed(mirror, clock=clock)) == ["alive", "captcha", "not asked", "not asked"]
        before = len(server.requests())
        clock.wait(minutes=10)
        assert outcomes(probed(mirror, clock=clock)) == ["alive", *["not asked"] * 3]
        assert len(server.requests()) == before
        clock.wait(minutes=6)
        found = probed(mirror, clock=clock)
    assert outcomes(found) == ["alive"] * 4
    assert [one.cached for one in found] == [True, False, False, False]


def test_whoever_insists_may_ask_at_once(tmp_path: Path) -> None:
    with shared(share(0), faults={"/share/verify": [{**CAPTCHA, "times": 1}]}) as server:
        mirror = mirror_of(tmp_path / "m", server, [0])
        assert outcomes(probed(mirror)) == ["captcha"]
        assert outcomes(probed(mirror, again=True)) == ["alive"]


def test_silence_three_times_in_a_row_ends_the_run(tmp_path: Path) -> None:
    with shared() as server:
        mirror = mirror_of(tmp_path / "m", server, range(6))
    found = probed(mirror)
    assert outcomes(found) == ["network"] * 3 + ["not asked"] * 3
    assert [one.files for one in found] == [None] * 6


def test_one_share_without_an_answer_does_not_end_the_run(tmp_path: Path) -> None:
    faults = {
        f"/s/1{surl(n)}": [{"fault": "close_before_headers", "times": "always", "host": "pan"}] for n in (0, 1, 3)
    }
    with shared(*(share(n) for n in range(5)), faults=faults) as server:
        found = probed(mirror_of(tmp_path / "m", server, range(5)))
    assert outcomes(found) == ["network", "network", "alive", "network", "alive"]


def test_sixty_shares_a_run_and_the_next_run_goes_on(tmp_path: Path) -> None:
    clock = FakeClock()
    with shared() as server:  # every share is unknown there: dead after one request
        mirror = mirror_of(tmp_path / "m", server, range(MOST + 2))
        first = outcomes(probed(mirror, clock=clock))
        assert first == ["dead"] * MOST + ["not asked"] * 2
        assert len(server.requests()) == MOST == 60
        planned = mirror.plan_probe(clock=clock.clock)
        assert [one.why for one in planned[-2:]] == ["would be asked"] * 2
        assert outcomes(probed(mirror, clock=clock)) == ["dead"] * (MOST + 2)
        assert len(server.requests()) == MOST + 2


# --- the day ---------------------------------------------------------------------------------


def test_a_settled_answer_holds_for_a_day(tmp_path: Path) -> None:
    clock = FakeClock()
    with shared(share(0), share(1, state="gone"), share(2, code="abcd")) as server:
        mirror = mirror_of(tmp_path / "m", server, range(3))
        first = probed(mirror, clock=clock)
        before = len(server.requests())
        clock.wait(hours=23, minutes=58)
        again = probed(mirror, clock=clock)
        assert len(server.requests()) == before
        assert outcomes(again) == outcomes(first) == ["alive", "dead", "wrong code"]
        assert [one.cached for one in again] == [True] * 3
        assert [one._replace(cached=False) for one in again] == first
        assert len(events(mirror)) == 3
        clock.wait(minutes=3)
        assert [one.cached for one in probed(mirror, clock=clock)] == [False] * 3
        assert [one.cached for one in probed(mirror, again=True, clock=clock)] == [False] * 3


def test_an_answer_that_settles_nothing_is_asked_for_again(tmp_path: Path) -> None:
    clock = FakeClock()
    faults = {"*": [{"fault": "status", "code": 500, "times": 2, "method": "*", "host": "pan"}]}
    with shared(share(0), faults=faults) as server:
        mirror = mirror_of(tmp_path / "m", server, [0])
        assert outcomes(probed(mirror, clock=clock)) == ["network"]
        assert outcomes(probed(mirror, clock=clock)) == ["alive"]


def test_an_answer_from_the_future_counts_as_none(tmp_path: Path) -> None:
    clock, earlier = FakeClock(), FakeClock()
    clock.wait(hours=5)
    with shared(share(0)) as server:
        mirror = mirror_of(tmp_path / "m", server, [0])
        probed(mirror, clock=clock)
        assert [one.cached for one in probed(mirror, clock=earlier)] == [False]


def test_one_link_of_two_artifacts_is_asked_once(tmp_path: Path) -> None:
    with shared(share(0)) as server:
        mirror = mirror_of(tmp_path / "m", server, [0, 0])
        catalog = json.loads((tmp_path / "m/catalog.json").read_text(encoding="utf-8"))
        catalog["models"][1]["id"] = "twin"
        (tmp_path / "m/catalog.json").write_text(json.dumps(catalog), encoding="utf-8")
        found = probed(mirror, again=True)
        assert [(one.artifact, one.cached) for one in found] == [(name(0), False), ("twin@baidu-pytorch", True)]
        assert [one.path for one in server.requests()].count(f"/s/1{surl(0)}") == 1


# --- the pace --------------------------------------------------------------------------------


def test_a_second_goes_by_between_two_runs_as_between_two_requests(tmp_path: Path) -> None:
    clock = FakeClock()
    with shared(share(0, state="gone"), share(1, state="gone")) as server:  # one request each
        mirror = mirror_of(tmp_path / "m", server, range(2))
        probed(mirror, name(0), clock=clock)
        assert clock.slept == []
        clock.wait(seconds=0.25)
        probed(mirror, name(0), again=True, clock=clock)
        assert clock.slept == [0.75]
        probed(mirror, name(1), clock=clock)  # another share of the same host
        assert clock.slept == [0.75, 1.0]
        clock.wait(seconds=1)
        probed(mirror, again=True, clock=clock)
        assert clock.slept == [0.75, 1.0, 1.0], "between its own two"
        assert outcomes(probed(mirror, clock=clock)) == ["dead"] * 2
        assert len(clock.slept) == 3, "nobody is asked, so nobody waits"


def test_what_settled_nothing_was_a_request_as_well(tmp_path: Path) -> None:
    clock = FakeClock()
    with shared() as server:
        mirror = mirror_of(tmp_path / "m", server, [0])
    for _ in range(2):
        assert outcomes(probed(mirror, clock=clock)) == ["network"]
    assert clock.slept == [1.0]


def test_a_clock_that_was_put_back_makes_nobody_wait_longer_than_a_second(tmp_path: Path) -> None:
    clock, earlier = FakeClock(), FakeClock()
    clock.wait(hours=5)
    with shared(share(0, state="gone")) as server:
        mirror = mirror_of(tmp_path / "m", server, [0])
        probed(mirror, clock=clock)
        probed(mirror, clock=earlier)
    assert earlier.slept == [1.0]


# --- what is kept ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("faults", "habits"),
    [
        ({f"/share/list/{surl(0)}/2": [CAPTCHA]}, Habits(page_size=1)),
        ({f"/share/list/{surl(0)}/2": [{**CAPTCHA, "code": "3"}], "/share/wxlist/*/2": [CAPTCHA]}, Habits(page_size=1)),
        (
            {
                f"/share/list/{surl(0)}/2": [{"fault": "cut_after", "bytes": 9, "times": "always"}],
                "/share/wxlist/*/2": [{"fault": "cut_after", "bytes": 9, "times": "always", "method": "*"}],
            },
            Habits(page_size=1),
        ),
        ({}, Habits(page_size=1, repeats=True)),
    ],
)
def test_half_a_listing_is_never_stored(tmp_path: Path, faults: dict[str, Any], habits: Habits) -> None:
    with shared(share(0, habits=habits), faults=faults) as server:
        mirror = mirror_of(tmp_path / "m", server, [0])
        (found,) = probed(mirror)
        assert found.outcome in {Outcome.CAPTCHA, Outcome.NETWORK}
        assert found.files is None
        assert [one["files"] for one in events(mirror)] == [None]
        assert mirror.listed_sizes(name(0)) is None


def test_ids_and_sizes_come_back_from_the_ledger_as_they_were(tmp_path: Path) -> None:
    clock = FakeClock()
    with shared(share(0)) as server:
        mirror = mirror_of(tmp_path / "m", server, [0])
        (found,) = probed(mirror, clock=clock)
        (kept,) = mirror.plan_probe(clock=clock.clock)
    assert kept.files == found.files
    assert max(file.fs_id for file in kept.files or ()) > 1 << 53
    assert mirror.listed_sizes(name(0)) == SIZES == found.sizes
    with mirror.reader() as reader:
        assert reader is not None
        assert reader.verify().events == 2


def test_a_handoff_knows_what_a_probe_found(tmp_path: Path) -> None:
    clock = FakeClock()
    with shared(share(0), share(1, state="gone"), share(2)) as server:
        mirror = mirror_of(tmp_path / "m", server, range(3))
        assert [one.probed for one in mirror.handoffs()] == [None] * 3
        probed(mirror, name(0), name(1), clock=clock)
        first, second, third = mirror.handoffs()
    assert third.probed is None
    assert first.probed is not None
    assert second.probed is not None
    assert (first.probed.outcome, first.probed.sizes) == (Outcome.ALIVE, SIZES)
    assert (second.probed.outcome, second.probed.at) == (Outcome.DEAD, clock.now())


def test_a_handoff_keeps_the_last_thing_that_was_settled(tmp_path: Path) -> None:
    clock = FakeClock()
    with shared(share(0)) as server:
        mirror = mirror_of(tmp_path / "m", server, [0])
        probed(mirror, clock=clock)
        clock.wait(days=2)
        server.faults.add("*", [CAPTCHA | {"host": "pan"}])
        assert outcomes(probed(mirror, clock=clock)) == ["captcha"]
        ((found),) = (one.probed for one in mirror.handoffs())
    assert found is not None
    assert found.outcome is Outcome.ALIVE
    assert clock.now() - (found.at or clock.now()) > timedelta(days=1)


# --- pace --------------------------------------------------------------------------------------


class Watched:
    """A host that notes how many of its requests are under way at once, and when each began."""

    def __init__(self, host: Host, clock: FakeClock) -> None:
        self._host, self._clock = host, clock
        self._lock = threading.Lock()
        self._now = 0
        self.most = 0
        self.times: list[float] = []

    def reply(self, request: Request, place: Place) -> Answer:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
            self.times.append(self._clock.monotonic())
        time.sleep(0.005)
        answer = self._host.reply(request, place)
        with self._lock:
            self._now -= 1
        return answer  # type: ignore[return-value] # the pages of shares are answers

    def names(self, request: Request) -> list[str]:
        return self._host.names(request)


class WatchedWorld:
    """A world whose share pages are watched."""

    def __init__(self, world: World, clock: FakeClock) -> None:
        self.pan = Watched(world.pan, clock)
        self.hosts: Mapping[str, Host] = {**world.hosts, "pan": self.pan}


def test_one_request_a_second_over_all_shares_and_one_at_a_time(tmp_path: Path) -> None:
    clock, world = FakeClock(), World()
    for number in range(6):
        world.pan.shares.add(share(number, state="gone" if number == 3 else "alive"))
    watched = WatchedWorld(world, clock)
    with Server(watched) as server:
        probed(mirror_of(tmp_path / "m", server, range(6)), clock=clock)
    assert watched.pan.most == 1
    assert len(watched.pan.times) > 30
    assert [later - earlier for earlier, later in zip(watched.pan.times, watched.pan.times[1:], strict=False)] == [
        1.0
    ] * (len(watched.pan.times) - 1)


def test_two_probes_of_one_mirror_do_not_run_at_once(tmp_path: Path) -> None:
    with shared(share(0), share(1)) as server:
        mirror = mirror_of(tmp_path / "m", server, range(2))
        first = mirror.probe(clock=FakeClock().clock)
        assert next(first).outcome is Outcome.ALIVE
        before = len(server.requests())
        with pytest.raises(BusyError):
            probed(mirror, again=True)
        assert len(server.requests()) == before
        assert outcomes(list(first)) == ["alive"]
        assert outcomes(probed(mirror, again=True)) == ["alive"] * 2
        assert list((tmp_path / "m/cache/partial").iterdir()) == []


def test_a_probe_that_nobody_reads_on_lets_the_next_one_work(tmp_path: Path) -> None:
    with shared(share(0), share(1)) as server:
        mirror = mirror_of(tmp_path / "m", server, range(2))
        first = mirror.probe(clock=FakeClock().clock)
        next(first)
        assert isinstance(first, Generator)
        first.close()
        assert outcomes(probed(mirror)) == ["alive"] * 2


# --- secrets -----------------------------------------------------------------------------------


def test_neither_the_proof_of_a_code_nor_a_code_is_in_ledger_logs_or_output(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    shares = [share(n) for n in range(3)]
    faults = {
        f"/share/list/{surl(1)}/1": [{"fault": "json_error", "code": "118", "times": "always"}],
        f"/share/wxlist/{surl(1)}": [{"fault": "status", "code": 500, "method": "*", "times": "always"}],
        f"/share/list/{surl(2)}/2": [CAPTCHA],
    }
    with caplog.at_level(logging.DEBUG), shared(*shares, faults=faults) as server:
        mirror = mirror_of(tmp_path / "m", server, range(3))
        found = probed(mirror)
        assert outcomes(found) == ["alive", "network", "captcha"]
    written = b"".join(path.read_bytes() for path in (tmp_path / "m/cache").rglob("*") if path.is_file())
    said = "\n".join([*map(repr, found), caplog.text, *capfd.readouterr()]).encode()
    secrets = [one.secret for one in shares]
    words = [word for secret in secrets for word in (secret.sekey, secret.randsk, secret.seckey)]
    for word in ["BDCLND", "BAIDUID", "randsk", "seckey", CODE, *words]:
        assert word.encode() not in written, word
        assert word.encode() not in said, word
    assert surl(0).encode() in written


# --- who is a share ------------------------------------------------------------------------------


def test_what_is_no_share_is_not_asked(tmp_path: Path) -> None:
    with shared(share(0)) as server:
        mirror = mirror_of(tmp_path / "m", server, [0])
        unpublished = catalogs.pan(id="baidu-tensorflow", url=None, code=None, status="unpublished")
        models = [catalogs.model("bert", catalogs.hub("o/bert"), unpublished)]
        (tmp_path / "m/catalog.json").write_text(json.dumps(catalogs.catalog(*models)), encoding="utf-8")
        for selector in ("bert", "bert@huggingface", "bert@baidu-tensorflow"):
            with pytest.raises(UsageError, match="share"):
                list(mirror.probe(selector))
        with pytest.raises(SelectorError):
            list(mirror.probe("nobody"))
        assert server.requests() == []


def test_sizes_are_of_one_share(tmp_path: Path) -> None:
    with shared() as server:
        mirror = mirror_of(tmp_path / "m", server, range(2))
        with pytest.raises(UsageError, match="2 shares"):
            mirror.listed_sizes("model-*")
        assert mirror.listed_sizes(name(0)) is None


def test_a_dead_port_is_the_network(tmp_path: Path) -> None:
    with shared() as server:
        mirror = mirror_of(tmp_path / "m", server, [0])
    text = (tmp_path / "m/catalog.json").read_text(encoding="utf-8")
    (tmp_path / "m/catalog.json").write_text(text.replace(str(server.port("pan")), str(dead_port())), encoding="utf-8")
    assert outcomes(probed(mirror)) == ["network"]


def test_every_share_of_the_demo_lives_and_is_listed(tmp_path: Path) -> None:
    world = build_world()
    with Server(world) as server:
        (tmp_path / "cache").mkdir()
        (tmp_path / "catalog.json").write_text(json.dumps(world.catalog(server)), encoding="utf-8")
        mirror = Mirror.open(tmp_path, environ={})
        found = probed(mirror)
        assert len(found) == 49
        for one in found:
            files = {path.rpartition("/")[2]: size for path, size in (one.sizes or {}).items()}
            assert files == {path: content.size for path, content in world.handoffs[one.share].items()}
        assert {one.host for one in server.requests()} == {"pan"}
