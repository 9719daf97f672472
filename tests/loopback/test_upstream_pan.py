"""The embedded share pages have the real ones' rules, the odd ones too."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import pytest

from mirror.upstream.http import Answer, Request, plain
from mirror.upstream.pan_tree import Habits, PanShare
from tests.shares_world import CODE, TREE, share, shared, surl
from tests.upstream_world import exchange

if TYPE_CHECKING:
    from mirror.upstream.host import Place
    from mirror.upstream.server import Server
    from tests.upstream_world import Wire

ME = share()


def verified(server: Server, name: str = ME.surl, code: str = CODE, referer: str = "/share/init?surl=x") -> Wire:
    headers = {"Referer": server.url("pan", referer)}
    url = server.url("pan", f"/share/verify?surl={name}")
    return exchange(url, method="POST", headers=headers, body=urlencode({"pwd": code}).encode())


def wxlist(server: Server, **form: Any) -> dict[str, Any]:
    body = urlencode({"shorturl": f"1{ME.surl}", "pwd": CODE, "root": "1", **form}).encode()
    found: dict[str, Any] = json.loads(exchange(server.url("pan", "/share/wxlist"), method="POST", body=body).body)
    return found


def listing(server: Server, cookie: str = "", **query: Any) -> dict[str, Any]:
    asked = urlencode({"shorturl": ME.surl, "root": "1", **query})
    found: dict[str, Any] = json.loads(
        exchange(server.url("pan", f"/share/list?{asked}"), headers={"Cookie": cookie}).body
    )
    return found


def proof(of: PanShare = ME) -> str:
    return f"a=b; BDCLND={of.secret.randsk}"


def test_the_code_gives_a_cookie_that_opens_this_share_alone() -> None:
    other = share(1)
    with shared(ME, other) as server:
        got = verified(server)
        cookies = [value for name, value in got.headers if name == "Set-Cookie"]
        assert json.loads(got.body)["randsk"] == ME.secret.randsk
        assert cookies == [f"BDCLND={ME.secret.randsk}; domain=.baidu.com; path=/"]
        assert listing(server, proof())["errno"] == 0
        assert listing(server, proof(other))["errno"] == -9
        assert listing(server)["errno"] == -9


@pytest.mark.parametrize(("code", "errno"), [("0000", -9), ("zq9X", -9), ("zq9", -12), ("", -12)])
def test_a_wrong_code_and_an_odd_one_have_numbers_of_their_own(code: str, errno: int) -> None:
    with shared(ME) as server:
        assert json.loads(verified(server, code=code).body)["errno"] == errno


def test_which_interface_wants_the_leading_1() -> None:
    with shared(ME) as server:
        assert json.loads(verified(server, f"1{ME.surl}").body)["errno"] == 105
        assert listing(server, proof(), shorturl=f"1{ME.surl}")["errno"] == 105
        assert wxlist(server, shorturl=ME.surl)["errtype"] == "mis_105"
        assert wxlist(server)["errno"] == 0


def test_a_request_of_another_page_is_not_understood() -> None:
    with shared(ME) as server:
        assert json.loads(verified(server, referer="/").body)["errno"] == 2


def test_folders_are_listed_by_numbers_and_ids_are_numbers_there() -> None:
    with shared(ME) as server:
        root = listing(server, proof())
        folder = next(one for one in root["list"] if one["isdir"] == "1")
        assert (root["uk"], root["share_id"]) == (ME.uk, ME.shareid)
        below = listing(server, proof(), shorturl="", root="", uk=ME.uk, shareid=ME.shareid, dir=folder["path"])
        assert [(one["server_filename"], one["size"]) for one in below["list"]] == [
            ("pytorch_model.bin", 17_756_393),
            ("vocab.txt", 231_508),
        ]
        assert listing(server, proof(), shorturl="", root="", uk=ME.uk, shareid=ME.shareid, dir="/no")["errno"] == -9
        assert listing(server, proof(), shorturl="", root="", uk=1, shareid=ME.shareid, dir="/no")["errno"] == 105


def test_the_mini_program_needs_one_call_and_says_whether_there_is_more() -> None:
    with shared(share(tree={f"f{n}": n for n in range(3)})) as server:
        first, second = wxlist(server, num=2), wxlist(server, num=2, page=2)
        assert [one["server_filename"] for one in first["data"]["list"]] == ["f0", "f1"]
        assert [first["data"]["has_more"], second["data"]["has_more"]] == [True, False]
        assert first["data"]["seckey"] == ME.secret.seckey
        assert wxlist(server, pwd="0000")["errtype"] == "mispwd-9"
        assert wxlist(server, root="0", dir="/nowhere")["errtype"] == "mis_2"


@pytest.mark.parametrize(
    ("state", "mark", "errno", "errtype"),
    [
        ("gone", "platform-non-found", -21, "0"),
        ("missing", "error-404", 105, "mis_105"),
        ("captcha", "change-code", -62, "mis_62"),
        ("blocked", '"errortype": 3', -1, "3"),
    ],
)
def test_every_state_shows_everywhere(state: str, mark: str, errno: int, errtype: str) -> None:
    with shared(share(state=state)) as server:
        assert mark in exchange(server.url("pan", f"/s/1{ME.surl}")).body.decode()
        assert json.loads(verified(server).body)["errno"] == errno
        assert listing(server, proof())["errno"] == errno
        assert wxlist(server)["errtype"] == errtype


def test_a_robot_is_sent_to_the_login() -> None:
    with shared(share(state="bounced")) as server:
        got = exchange(server.url("pan", f"/s/1{ME.surl}"))
        assert (got.status, (got.header("location") or "").partition("/v2")[0]) == (302, "https://passport.baidu.com")


def test_a_page_shows_its_data_to_whoever_proved_the_code() -> None:
    with shared(ME) as server:
        url = server.url("pan", f"/s/1{ME.surl}")
        assert exchange(url).header("location") == server.url("pan", f"/share/init?surl={ME.surl}")
        shown = exchange(url, headers={"Cookie": proof()}).body.decode()
        assert f'"share_uk": "{ME.uk}"' in shown
        assert "verify-form" in exchange(server.url("pan", f"/share/init?surl={ME.surl}")).body.decode()


def test_paths_may_begin_with_a_made_up_segment() -> None:
    with shared(share(habits=Habits(sharelink=True))) as server:
        paths = [one["path"] for one in listing(server, proof())["list"]]
        assert all(path.startswith(f"/sharelink{ME.uk}-{ME.shareid}/") for path in paths)
        below = listing(server, proof(), shorturl="", root="", uk=ME.uk, shareid=ME.shareid, dir=paths[0])
        assert below["errno"] == 0


def test_a_fault_script_knows_a_request_by_its_share_and_page() -> None:
    faults = {
        f"/share/verify/{surl(1)}": [{"fault": "json_error", "code": "-62", "method": "POST"}],
        f"/share/list/{surl(0)}/2": [{"fault": "json_error", "code": "-19"}],
        f"/share/wxlist/{surl(0)}/*": [{"fault": "json_error", "envelope": "error", "code": "x", "method": "POST"}],
    }
    with shared(ME, share(1), faults=faults) as server:
        assert json.loads(verified(server).body)["errno"] == 0
        assert json.loads(verified(server, surl(1)).body)["errno"] == -62
        assert [listing(server, proof(), page=n)["errno"] for n in (1, 2, 2)] == [0, -19, 0]
        assert wxlist(server, page=1)["error"] == "x"


def test_a_fault_script_knows_a_folder_s_listing_by_its_share() -> None:
    faults = {f"/share/list/{ME.surl}/1": [{"fault": "json_error", "code": "-62", "times": "always"}]}
    query = f"uk={ME.uk}&shareid={ME.shareid}&dir={quote('/模型/uncased_L-2_H-128_A-2')}&page=1"
    with shared(ME, faults=faults) as server:
        got = exchange(server.url("pan", f"/share/list?{query}"), headers={"Cookie": proof()})
        assert json.loads(got.body)["errno"] == -62


def test_another_interface_can_be_added_to_the_host() -> None:
    class Hello:
        def reply(self, request: Request, place: Place) -> Answer | None:
            return plain(200, "hello") if request.path == "/hello" else None

        def names(self, request: Request) -> list[str]:
            return [f"{request.path}#1"]

    with shared(ME, faults={"/hello#1": [{"fault": "json_error", "code": "5"}]}) as server:
        server.world.hosts["pan"].parts.append(Hello())  # type: ignore[attr-defined] # it is a Pan
        assert json.loads(exchange(server.url("pan", "/hello")).body)["errno"] == 5
        assert exchange(server.url("pan", "/hello")).body == b"hello"
        assert exchange(server.url("pan", "/other")).status == 404


def test_a_tree_is_there_as_it_was_given() -> None:
    (folder, note) = share(tree=TREE).folder("") or []
    assert (folder.name, folder.size, note.size) == ("uncased_L-2_H-128_A-2", 0, 12)
    assert share().folder("/nowhere") is None
