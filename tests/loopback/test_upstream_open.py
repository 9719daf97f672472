"""The embedded open platform: logins, the hour's calls, links and what storage nodes refuse."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from mirror.upstream.content import Content
from mirror.upstream.pan_open_links import AGENT, disguised, listed_md5
from mirror.upstream.server import Server
from mirror.upstream.world import World
from tests.upstream_world import Clock, Wire, exchange

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = bytes(value * 7 % 251 for value in range(9 << 20))
PATH = "/apps/demo/sub/模型.bin"


class Client:
    """A program that uses the platform through a bare socket."""

    def __init__(self, server: Server, world: World, clock: Clock) -> None:
        self.server, self.world, self.clock = server, world, clock
        self.app = world.open.grants.register("key", "secret", "demo")
        self.token = world.open.grants.grant(self.app)["access_token"]

    def said(self, role: str, path: str, /, **query: object) -> dict[str, Any]:
        got = exchange(self.server.url(role, f"{path}?{urlencode(query)}"))
        found: dict[str, Any] = json.loads(got.body)
        return found

    def oauth(self, **query: object) -> dict[str, Any]:
        return self.said("openapi", "/oauth/2.0/token", client_id="key", client_secret="secret", **query)

    def device(self) -> dict[str, Any]:
        query = {"response_type": "device_code", "client_id": "key", "scope": "basic,netdisk"}
        return self.said("openapi", "/oauth/2.0/device/code", **query)

    def list(self, **query: object) -> dict[str, Any]:
        asked = {"method": "list", "dir": "/apps/demo", "access_token": self.token, **query}
        return self.said("pan", "/rest/2.0/xpan/file", **asked)

    def multimedia(self, **query: object) -> dict[str, Any]:
        return self.said("pan", "/rest/2.0/xpan/multimedia", **{"access_token": self.token, **query})

    def link(self) -> str:
        (held,) = self.world.open._disk.values()
        (item,) = self.multimedia(method="filemetas", fsids=f"[{held.fs_id}]", dlink=1)["list"]
        return f"{item['dlink']}&access_token={self.token}"

    def node(self) -> str:
        location = self.get(self.link()).header("location")
        assert location is not None
        return location

    def get(self, url: str, range_: str | None = "bytes=0-9", agent: str = AGENT) -> Wire:
        return exchange(url, headers={"User-Agent": agent, **({"Range": range_} if range_ else {})})


@pytest.fixture
def client() -> Iterator[Client]:
    world, clock = World(), Clock()
    world.open.clock = clock
    world.open.put(PATH, DATA)
    with Server(world) as server:
        yield Client(server, world, clock)


def code(wire: Wire) -> tuple[int, int]:
    return wire.status, json.loads(wire.body)["error_code"]


# --- logins ------------------------------------------------------------------------------


def test_a_device_gets_its_tokens_when_the_user_has_said_yes(client: Client) -> None:
    device = client.device()
    assert client.oauth(grant_type="device_token", code=device["device_code"])["error"] == "authorization_pending"
    assert client.oauth(grant_type="device_token", code=device["device_code"])["error"] == "slow_down"
    client.clock.now += 10
    client.world.open.grants.approve(device["user_code"])
    tokens = client.oauth(grant_type="device_token", code=device["device_code"])
    assert (tokens["expires_in"], tokens["scope"]) == (2592000, "basic netdisk")
    assert client.oauth(grant_type="device_token", code=device["device_code"])["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("verdict", "wait", "error"), [("no", 0, "authorization_declined"), ("", 300, "expired_token")]
)
def test_a_login_that_is_refused_or_too_late_ends(client: Client, verdict: str, wait: int, error: str) -> None:
    device = client.device()
    client.world.open.grants.approve(device["user_code"], verdict=verdict)
    client.clock.now += wait
    assert client.oauth(grant_type="device_token", code=device["device_code"])["error"] == error


def test_a_refresh_token_is_good_once(client: Client) -> None:
    first = client.world.open.grants.grant(client.app)
    second = client.oauth(grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert second["access_token"] != first["access_token"]
    assert client.oauth(grant_type="refresh_token", refresh_token=first["refresh_token"])["error"] == "expired_token"
    assert client.list(access_token=first["access_token"])["errno"] == 0  # until it ends, or the next login


def test_a_new_login_ends_the_old_token_and_time_does_too(client: Client) -> None:
    old, client.token = client.token, client.world.open.grants.grant(client.app)["access_token"]
    assert client.list(access_token=old)["errno"] == -6
    client.clock.now += 2592000
    assert client.list()["errno"] == -6


# --- listings ----------------------------------------------------------------------------


def test_a_folder_is_listed_and_everything_below_it_at_once(client: Client) -> None:
    (folder,) = client.list()["list"]
    assert (folder["isdir"], folder["path"]) == (1, "/apps/demo/sub")
    got = client.multimedia(method="listall", path="/apps/demo", recursion=1)
    (item,) = got["list"]
    assert (item["path"], item["size"], item["server_filename"], got["has_more"]) == (PATH, len(DATA), "模型.bin", 0)
    assert item["fs_id"] > 1 << 53


def test_pages_say_whether_more_follows(client: Client) -> None:
    client.world.open.put("/apps/demo/z", b"z")
    first = client.multimedia(method="listall", path="/apps/demo", recursion=1, limit=1)
    assert (len(first["list"]), first["has_more"], first["cursor"]) == (1, 1, 1)
    last = client.multimedia(method="listall", path="/apps/demo", recursion=1, limit=1, start=1)
    assert (last["list"][0]["path"], last["has_more"]) == ("/apps/demo/z", 0)


@pytest.mark.parametrize("path", ["/", "/apps", "/apps/other", "/apps/demo2", "/apps/demo/../other"])
def test_an_app_sees_its_own_folder_only(client: Client, path: str) -> None:
    assert client.list(dir=path)["errno"] == 20020


def test_the_eleventh_call_of_an_hour_is_refused(client: Client) -> None:
    assert [client.list()["errno"] for _ in range(11)] == [0] * 10 + [20012]
    client.clock.now += 3600
    assert client.list()["errno"] == 0


def test_no_more_than_a_hundred_files_are_asked_at_once(client: Client) -> None:
    assert client.multimedia(method="filemetas", fsids=json.dumps(list(range(1, 102))))["errno"] == 2


@pytest.mark.parametrize(
    ("content", "listed"),
    [
        (b"", "8e23f7635tb64136eddb0719602bc477"),
        (b"hello", "bd686f11dkea8dc5113480f530da507e"),
        (b"minibert", "4baa98ee6n9db4a55b6cf034add46de8"),
    ],
)
def test_an_md5_is_listed_in_disguise(content: bytes, listed: str) -> None:
    assert disguised(hashlib.md5(content).hexdigest()) == listed == listed_md5(Content(content))


def test_what_has_several_blocks_is_not_listed_by_its_md5() -> None:
    assert listed_md5(Content(DATA)) != disguised(hashlib.md5(DATA).hexdigest())


# --- links and nodes ---------------------------------------------------------------------


def test_a_link_leads_to_a_node_that_gives_ranges_and_digests_of_the_whole(client: Client) -> None:
    first = client.get(client.link())
    location = first.header("location") or ""
    assert first.status == 302
    assert location.startswith(client.server.url("baidupcs"))
    got = client.get(location, "bytes=5-14")
    assert (got.status, got.body) == (206, DATA[5:15])
    md5 = hashlib.md5(DATA).hexdigest()
    assert (got.header("content-md5"), got.header("etag")) == (md5, md5)
    assert got.header("x-bs-file-size") == str(len(DATA))
    assert got.header("x-bs-meta-crc32") == str(Content(DATA).crc32)


def test_another_agent_is_refused_by_both_hosts(client: Client) -> None:
    assert code(client.get(client.link(), agent="curl/8")) == (403, 31326)
    assert code(client.get(client.node(), agent="curl/8")) == (403, 31326)


def test_a_link_ends_and_so_does_the_node_s_address(client: Client) -> None:
    link, node = client.link(), client.node()
    client.clock.now += 8 * 3600
    assert code(client.get(link)) == (403, 31360)
    assert code(client.get(node)) == (403, 31360)


@pytest.mark.parametrize("part", ["fid=", "rt=", "sign=FDtAERV-", "expires=", "dstime=", "r=", "file_type="])
def test_one_changed_byte_of_a_link_is_noticed(client: Client, part: str) -> None:
    link = client.link()
    at = link.index(f"{part}") + len(part)
    changed = link[:at] + ("8" if link[at] != "8" else "9") + link[at + 1 :]
    status, number = code(client.get(changed))
    # Another file's number leads to no file at all.
    assert (status, number) in {(403, 31362), (404, 31066)}
    assert part == "fid=" or number == 31362


def test_a_link_without_a_valid_token_is_refused(client: Client) -> None:
    link = client.link()
    assert code(client.get(link.partition("&access_token=")[0])) == (403, 31045)
    client.world.open.grants.revoke()
    assert code(client.get(link)) == (403, 31045)


@pytest.mark.parametrize(
    ("range_", "status"),
    [
        ("bytes=0-4194303", 206),
        ("bytes=0-4194304", 403),
        ("bytes=0-", 403),
        ("bytes=-5", 403),
        ("bytes=0-1,4-5", 403),
        (None, 403),
    ],
)
def test_a_strict_node_wants_short_ranges_with_both_ends(client: Client, range_: str | None, status: int) -> None:
    client.world.open.storage.strict_range = True
    assert client.get(client.node(), range_).status == status


def test_a_one_shot_node_gives_one_range_to_a_connection(client: Client) -> None:
    client.world.open.storage.one_shot = True
    target = client.node().removeprefix(client.server.url("baidupcs"))
    with socket.create_connection(("127.0.0.1", client.server.port("baidupcs")), timeout=5) as sock:
        statuses = []
        for _ in range(2):
            head = f"GET {target} HTTP/1.1\r\nHost: a\r\nUser-Agent: {AGENT}\r\nRange: bytes=0-9\r\n\r\n"
            sock.sendall(head.encode())
            statuses.append(sock.recv(65536)[:12])
    assert statuses == [b"HTTP/1.1 206", b"HTTP/1.1 403"]


# --- faults ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "body"),
    [
        ({"code": "31326", "envelope": "error_code"}, {"error_code": 31326}),
        ({"code": "-99999", "envelope": "errno", "status": 500}, {"errno": -99999}),
        ({"code": "slow_down", "envelope": "error", "status": 400}, {"error": "slow_down"}),
    ],
)
def test_an_error_comes_in_any_envelope_with_any_status(
    client: Client, more: dict[str, Any], body: dict[str, Any]
) -> None:
    node = client.node()
    client.server.faults.add(PATH, [{"fault": "json_error", "host": "baidupcs", **more}])
    got = client.get(node)
    assert got.status == more.get("status", 200)
    assert json.loads(got.body).items() >= body.items()
    assert client.get(node).status == 206


def test_a_refusal_may_be_empty(client: Client) -> None:
    node = client.node()
    client.server.faults.add(PATH, [{"fault": "empty_refusal", "host": "baidupcs"}])
    got = client.get(node)
    assert (got.status, got.body) == (403, b"")


def test_a_notice_stands_in_the_place_of_a_file(client: Client) -> None:
    node = client.node()
    client.server.faults.add(PATH, [{"fault": "placeholder", "host": "baidupcs"}])
    got = client.get(node)
    assert (got.status, len(got.body), got.header("content-range")) == (206, 120, "bytes 0-119/120")
    assert got.header("content-md5") == "6c1b84914588d09a6e5ec43605557457"


def test_a_digest_of_the_whole_may_be_missing_odd_or_wrong(client: Client) -> None:
    node, md5 = client.node(), hashlib.md5(DATA)
    steps = [{"fault": "content_md5", "kind": kind, "host": "baidupcs"} for kind in ("missing", "base64", "wrong")]
    changing = {"fault": "content_md5", "kind": "changing", "times": 2, "host": "baidupcs"}
    client.server.faults.add(PATH, [*steps, changing])
    told = [client.get(node).header("content-md5") for _ in range(3)]
    assert told[:2] == [None, base64.b64encode(md5.digest()).decode()]
    assert told[2] not in {None, md5.hexdigest()}
    ranges = [client.get(node, each).header("content-md5") for each in ("bytes=0-9", "bytes=10-19")]
    assert ranges[0] != ranges[1]
