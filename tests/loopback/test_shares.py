"""One share, asked over a real socket: both ways, every fault, and nothing said to anybody else."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import pytest

from mirror.errors import (
    CaptchaError,
    ConnectionDroppedError,
    DeadShareError,
    MirrorError,
    SourceError,
    WrongCodeError,
)
from mirror.sources.client import make_client
from mirror.sources.direct import USER_AGENT, Direct
from mirror.sources.shares.limit import visitor
from mirror.sources.shares.link import Link
from mirror.sources.shares.pace import Pace
from mirror.sources.shares.routes import Shown, ask_share
from mirror.upstream.pan_tree import Habits
from mirror.upstream.server import dead_port
from tests.loopback.scripted import Asked, Peer, always, answer, scripted
from tests.shares_world import CODE, SIZES, FakeClock, share, shared, surl

if TYPE_CHECKING:
    from mirror.upstream.server import Server

ALWAYS: dict[str, Any] = {"times": "always", "method": "*", "host": "pan"}


def ask(where: Server | str, number: int = 0, *, code: str | None = CODE, time: FakeClock | None = None) -> Shown:
    url = where if isinstance(where, str) else where.url("pan", f"/s/1{surl(number)}")
    time = time or FakeClock()
    with make_client({}, Direct(ssl.create_default_context, stall=5.0)) as client:
        return ask_share(client, Link.of(url), code, Pace(time.monotonic, time.sleep))


def sizes(shown: Shown) -> dict[str, int]:
    return {file.path: file.size for file in shown.files or ()}


def paths(server: Server) -> list[str]:
    return [exchange.path for exchange in server.requests()]


def refused(server: Server, kind: type[MirrorError], number: int = 0, **more: Any) -> str:
    with pytest.raises(kind) as caught:
        ask(server, number, **more)
    assert type(caught.value) is kind
    return str(caught.value)


# --- the two ways --------------------------------------------------------------------------


def test_a_share_is_asked_as_its_page_asks_and_under_our_own_name() -> None:
    with shared(share()) as server:
        shown = ask(server)
        assert (shown.route, sizes(shown)) == ("web", SIZES)
        asked = server.requests()
    assert [one.path for one in asked] == [f"/s/1{surl(0)}", "/share/init", "/share/verify", *["/share/list"] * 4]
    assert {one.headers["user-agent"] for one in asked} == {USER_AGENT}
    assert all(f"shorturl={surl(0)}" in one.query for one in asked[3:5]), "without the leading 1"


def test_ids_beyond_a_floating_point_number_come_exact() -> None:
    mine = share()
    with shared(mine) as server:
        files = ask(server).files or ()
    nodes = [*(mine.folder("") or []), *(mine.folder("/模型/uncased_L-2_H-128_A-2") or [])]
    assert {file.fs_id for file in files} == {node.fs_id for node in nodes if node.tree is None}
    assert any(file.fs_id % 1024 for file in files if file.fs_id > 1 << 60), "a double would have lost the last bits"


@pytest.mark.parametrize(
    "habits",
    [
        Habits(numbers="text"),
        Habits(numbers="number"),
        Habits(wrapping="script"),
        Habits(wrapping="try"),
        Habits(file_list="object"),
        Habits(file_list="string"),
        Habits(page_size=1),
        Habits(ids=False),
        Habits(ids=False, wrapping="try", file_list="string"),
        Habits(sharelink=True),
        Habits(entities=False),
    ],
)
@pytest.mark.parametrize("code", [CODE, None])
def test_every_way_of_writing_it_down_is_read(habits: Habits, code: str | None) -> None:
    with shared(share(code=code, habits=habits)) as server:
        shown = ask(server, code=code)
        assert (shown.route, sizes(shown)) == ("web", SIZES)


def test_a_share_without_a_code_is_not_asked_for_one() -> None:
    with shared(share(code=None)) as server:
        ask(server)
        assert "/share/verify" not in paths(server)


def test_hostile_names_are_shown_harmless() -> None:
    tree = {"../../etc": {"pass\x1bwd": 1}, "a&b<c>.txt": 2, "..": 3}
    with shared(share(tree=tree)) as server:
        assert sizes(ask(server)) == {"..�..�etc/pass�wd": 1, "a&b<c>.txt": 2, "��": 3}


FAILURES: list[dict[str, Any]] = [
    {"fault": "json_error", "code": "2"},
    {"fault": "json_error", "code": "118"},
    {"fault": "json_error", "code": "987654"},
    {"fault": "json_error", "envelope": "error_code", "code": "31326"},
    {"fault": "json_error", "envelope": "error", "code": "authorization_pending"},
    {"fault": "status", "code": 500},
    {"fault": "cut_after", "bytes": 20},
    {"fault": "reset_after", "bytes": 20},
    {"fault": "gzip"},
    {"fault": "html_login"},
    {"fault": "empty_body"},
]


@pytest.mark.parametrize(
    ("where", "step"),
    [
        # Any page at this address means that a code is wanted; the last two are pages.
        *(("/share/init", step) for step in FAILURES[:-2]),
        *((where, step) for where in ("/share/verify", "/share/list") for step in FAILURES),
    ],
)
def test_the_mini_program_s_way_is_taken_where_the_page_s_fails(where: str, step: dict[str, Any]) -> None:
    with shared(share(), faults={where: [{**step, **ALWAYS}]}) as server:
        shown = ask(server)
        assert (shown.route, sizes(shown)) == ("wxlist", SIZES)


@pytest.mark.parametrize("step", [{"fault": "redirect_loop"}, {"fault": "redirect_loop", "growing": True}])
def test_a_page_that_leads_in_a_circle_is_left(step: dict[str, Any]) -> None:
    with shared(share(), faults={"/s/*": [{**step, **ALWAYS}]}) as server:
        assert ask(server).route == "wxlist"
        assert paths(server).count(f"/s/1{surl(0)}") == 5


def test_a_page_that_repeats_is_no_listing_and_nothing_of_it_is_kept() -> None:
    with shared(share(habits=Habits(repeats=True, page_size=1))) as server:
        assert "repeats" in refused(server, SourceError)
        assert "/share/wxlist" in paths(server)


def test_a_page_that_is_cut_mid_listing_leaves_nothing() -> None:
    faults = {
        f"/share/list/{surl(0)}/2": [{"fault": "cut_after", "bytes": 10, **ALWAYS}],
        "/share/wxlist": [{"fault": "status", "code": 500, **ALWAYS}],
    }
    with shared(share(habits=Habits(page_size=1)), faults=faults) as server:
        refused(server, SourceError)


def test_a_share_that_is_too_large_to_list_politely_lives() -> None:
    with shared(share(tree={f"f{n}": n for n in range(70)}, habits=Habits(page_size=1))) as server:
        assert ask(server) == Shown("web", None)
        assert len(paths(server)) < 70


# --- what is settled is settled ------------------------------------------------------------


@pytest.mark.parametrize("state", ["gone", "missing", "blocked"])
def test_a_dead_share_is_asked_once(state: str) -> None:
    with shared(share(state=state)) as server:
        assert surl(0) in refused(server, DeadShareError)
        assert paths(server) == [f"/s/1{surl(0)}"]


def test_an_unknown_share_is_dead() -> None:
    with shared() as server:
        refused(server, DeadShareError)


def test_a_wrong_code_is_tried_once() -> None:
    with shared(share()) as server:
        assert "0000" not in refused(server, WrongCodeError, code="0000")
        assert paths(server)[-1] == "/share/verify"
        assert "none" in refused(server, WrongCodeError, code=None)


CAPTCHA: dict[str, Any] = {"fault": "json_error", "code": "-62", **ALWAYS}


@pytest.mark.parametrize(
    ("faults", "last"),
    [
        ({"/share/verify": [CAPTCHA]}, "/share/verify"),
        ({f"/share/list/{surl(0)}/1": [CAPTCHA]}, "/share/list"),
        ({f"/share/list/{surl(0)}/3": [CAPTCHA]}, "/share/list"),
        ({"/share/list": [{**CAPTCHA, "code": "8001"}]}, "/share/list"),
        ({"/share/list": [{"fault": "status", "code": 403, **ALWAYS}]}, "/share/list"),
        ({"/share/list": [{"fault": "status", "code": 429, **ALWAYS}]}, "/share/list"),
        ({"/s/*": [{"fault": "status", "code": 403, **ALWAYS}]}, f"/s/1{surl(0)}"),
        ({"/share/init": [CAPTCHA]}, "/share/init"),
        ({"/share/init": [{"fault": "status", "code": 429, **ALWAYS}]}, "/share/init"),
        (
            {"/share/list": [{"fault": "status", "code": 500, **ALWAYS}], "/share/wxlist": [CAPTCHA]},
            "/share/wxlist",
        ),
    ],
)
def test_a_captcha_ends_it_wherever_it_comes(faults: dict[str, Any], last: str) -> None:
    with shared(share(habits=Habits(page_size=1)), faults=faults) as server:
        refused(server, CaptchaError)
        assert paths(server)[-1] == last


@pytest.mark.parametrize("state", ["captcha", "bounced"])
def test_a_page_that_wants_a_person_ends_it(state: str) -> None:
    with shared(share(state=state)) as server:
        refused(server, CaptchaError)
        assert paths(server) == [f"/s/1{surl(0)}"]


# --- the network ---------------------------------------------------------------------------


def test_nobody_there_is_asked_one_way_only() -> None:
    with pytest.raises(ConnectionDroppedError, match=surl(0)):
        ask(f"http://127.0.0.1:{dead_port()}/s/1{surl(0)}")


def test_a_reply_that_drips_for_ever_is_given_up() -> None:
    time = FakeClock(step=25.0)  # every look at the clock finds it 25 seconds later
    step = {"fault": "slow_drip", "rate": 2000.0, **ALWAYS}
    with shared(share(), faults={"/s*": [step]}) as server:
        assert "longer than 60 s" in refused(server, SourceError, time=time)


def test_a_head_that_drips_for_ever_is_given_up() -> None:
    def drip(peer: Peer) -> None:
        peer.request()
        while not peer.stopped.wait(0.02):
            peer.send(b"x")

    with scripted(drip) as server, visitor({}, longest=0.2) as client:
        time = FakeClock()
        with pytest.raises(ConnectionDroppedError):
            ask_share(client, Link.of(f"{server.url}/s/1abc"), CODE, Pace(time.monotonic, time.sleep))


def test_an_endless_reply_is_given_up() -> None:
    with shared(share(), faults={"/s*": [{"fault": "endless_body", **ALWAYS}]}) as server:
        assert "4 MiB" in refused(server, SourceError)


def test_a_captive_portal_is_no_verdict_on_the_share() -> None:
    with shared(share(), faults={"*": [{"fault": "html_login", **ALWAYS}]}) as server:
        refused(server, SourceError)


# --- what is said to whom ------------------------------------------------------------------


def test_a_redirect_to_another_host_is_not_followed() -> None:
    with shared(share(), faults={"/share/init": [{"fault": "redirect_to", "to": "plain", **ALWAYS}]}) as server:
        ask(server)
        assert {one.host for one in server.requests()} == {"pan"}


@pytest.mark.parametrize(
    "location", ["http://[", "//[::1", "javascript:alert(1)", "http://x:y/", "file:///etc/passwd", ""]
)
def test_a_redirect_to_nowhere_is_one_of_our_errors(location: str) -> None:
    script = always(answer(b"", f"Location: {location}", status="302 Found"))
    with scripted(script) as server, pytest.raises(SourceError):
        ask(f"{server.url}/s/1abc")


def cookies(asked: list[Asked]) -> list[str]:
    return [one.headers.get("cookie", "") for one in asked]


def test_only_two_cookies_are_kept_and_none_that_would_break_a_header() -> None:
    page = answer(
        b'{"shareid": 1, "uk": 2}',
        "Set-Cookie: BAIDUID=visitor:FG=1; path=/",
        "Set-Cookie: PANWEB=1",
        "Set-Cookie: STOKEN=x; path=/",
        "Set-Cookie: BDCLND=bad value",
        'Set-Cookie: BDCLND="quoted"',
    )
    with scripted(always(page, answer(b'{"errno": 0, "list": []}'))) as server:
        assert ask(f"{server.url}/s/1abc").files == ()
        assert cookies(server.asked) == ["", "BAIDUID=visitor:FG=1"]


def test_cookies_of_one_share_are_not_shown_for_another() -> None:
    with shared(share(0), share(1)) as server:
        ask(server, 0)
        ask(server, 1)
        first = [one for one in server.requests() if one.path == f"/s/1{surl(1)}"]
    assert [one.cookies for one in first] == [False]


def test_one_request_after_the_other_with_a_second_in_between() -> None:
    time = FakeClock()
    with shared(share()) as server:
        ask(server, time=time)
        asked = server.requests()
    assert time.slept == [1.0] * (len(asked) - 1)
