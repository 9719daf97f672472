"""Every fault does on the wire what it says, seen through a bare socket."""

from __future__ import annotations

import gzip
import json
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mirror.upstream.content import Content
from mirror.upstream.mischief import FAULTS
from tests.upstream_world import (
    COMMIT,
    REPO,
    WEIGHTS,
    Wire,
    exchange,
    resolve,
    serving,
    small_world,
    unchunked,
)

if TYPE_CHECKING:
    from mirror.upstream.server import Server

SIZE = len(WEIGHTS)
OTHER = bytes(Content(WEIGHTS).variant().data)
RANGE = {"Range": "bytes=1000-1999"}
PART = WEIGHTS[1000:2000]


def struck(fault: str, *, headers: dict[str, str] | None = None, method: str = "GET", **parameters: Any) -> Wire:
    """Return the wire of one request struck by ``fault``, once the next one proved sound."""
    patience = parameters.pop("patience", 5.0)
    limit = parameters.pop("limit", None)
    with serving(faults={"/weights.bin": [{"fault": fault, "method": method, **parameters}]}) as server:
        url = server.url("plain", "/weights.bin")
        got = exchange(url, method=method, headers=headers, patience=patience, limit=limit)
        assert exchange(url).body == WEIGHTS
        first, second = server.requests()
        assert (first.faults, second.faults) == ((fault,), ())
        return got


def sent(faults: list[dict[str, Any]]) -> int:
    """Return how many body bytes the server says it sent under ``faults``."""
    with serving(faults={"/weights.bin": faults}) as server:
        exchange(server.url("plain", "/weights.bin"))
        return server.requests()[0].sent


def test_a_sound_step_uses_up_a_turn() -> None:
    assert struck("sound").body == WEIGHTS


@pytest.mark.parametrize("kept", [0, 1, 65535, 65536, 65537, SIZE - 1])
def test_a_cut_sends_exactly_so_many_bytes_and_closes(kept: int) -> None:
    got = struck("cut_after", bytes=kept)
    assert (got.status, got.body, got.ending) == (200, WEIGHTS[:kept], "closed")
    assert got.header("content-length") == str(SIZE)
    assert sent([{"fault": "cut_after", "bytes": kept}]) == kept


@pytest.mark.parametrize("kept", [0, 1, 70_000])
def test_a_reset_sends_exactly_so_many_bytes_and_an_rst(kept: int) -> None:
    got = struck("reset_after", bytes=kept)
    assert (got.body, got.ending) == (WEIGHTS[:kept], "reset")


def test_a_stall_sends_so_many_bytes_and_falls_silent() -> None:
    got = struck("stall_after", bytes=100, patience=1.0)
    assert (got.body, got.ending) == (WEIGHTS[:100], "open")


def test_a_stall_before_the_headers_is_silent_from_the_start() -> None:
    got = struck("stall_before_headers", patience=1.0)
    assert (got.raw, got.ending) == (b"", "open")


def test_a_drip_keeps_its_rate() -> None:
    begin = time.monotonic()
    got = struck("slow_drip", rate=1_000_000)
    assert got.body == WEIGHTS
    assert 0.25 < time.monotonic() - begin < 3


def test_a_delay_comes_before_the_headers() -> None:
    begin = time.monotonic()
    assert struck("delay", seconds=0.2).body == WEIGHTS
    assert time.monotonic() - begin >= 0.2


def test_an_ignored_range_brings_the_whole_file() -> None:
    got = struck("ignore_range", headers=RANGE)
    assert (got.status, got.body, got.header("content-range")) == (200, WEIGHTS, None)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("shifted", f"bytes 1001-2000/{SIZE + 1}"),
        ("size", f"bytes 1000-1999/{SIZE + 1000}"),
        ("unknown", "bytes 1000-1999/*"),
        ("unit", f"items 1000-1999/{SIZE}"),
        ("backwards", f"bytes 1999-1000/{SIZE}"),
        ("garbage", "bytes all of them"),
        ("missing", None),
    ],
)
def test_a_content_range_can_be_wrong_in_many_ways(kind: str, said: str | None) -> None:
    got = struck("wrong_content_range", headers=RANGE, kind=kind)
    assert (got.status, got.body, got.header("content-range")) == (206, PART, said)


def test_a_misplaced_range_lies_about_its_body_alone() -> None:
    got = struck("misplaced_range", headers=RANGE)
    assert (got.body, got.header("content-range")) == (WEIGHTS[:1000], f"bytes 1000-1999/{SIZE}")


def test_a_shorter_range_says_so() -> None:
    got = struck("shorter_range", headers=RANGE, bytes=10)
    assert (got.body, got.header("content-range")) == (PART[:10], f"bytes 1000-1009/{SIZE}")
    assert got.header("content-length") == "10"


def test_one_range_can_come_as_multipart() -> None:
    got = struck("multipart_range", headers=RANGE)
    assert (got.status, got.header("content-range")) == (206, None)
    assert (got.header("content-type") or "").startswith("multipart/byteranges; boundary=")
    assert got.body.startswith(b"--")
    assert PART in got.body
    assert got.header("content-length") == str(len(got.body))


def test_a_changed_file_has_new_bytes_and_a_new_etag() -> None:
    with serving() as server:
        old = exchange(server.url("plain", "/weights.bin")).header("etag")
    got = struck("etag_change")
    assert (got.body, len(got.body)) == (OTHER, SIZE)
    assert got.header("etag") not in {old, None}
    # A range conditioned on the old one brings the whole new file.
    again = struck("etag_change", headers={**RANGE, "If-Range": str(old)})
    assert (again.status, again.body) == (200, OTHER)


def test_a_file_changing_midway_has_the_old_etag_and_new_bytes() -> None:
    with serving() as server:
        old = exchange(server.url("plain", "/weights.bin")).header("etag")
    got = struck("etag_change_mid", headers={**RANGE, "If-Range": str(old)})
    assert (got.status, got.header("etag"), got.body) == (206, old, OTHER[1000:2000])


def test_a_stale_cache_serves_another_revision_under_this_ones_headers() -> None:
    world = small_world()
    world.add_hub_file(REPO, "d" * 40, "config.json", b"of another revision")
    with serving(world, {"*/config.json": [{"fault": "other_revision"}]}) as server:
        got = exchange(resolve(server, "config.json"))
        assert got.body == b"of another revision"
        assert got.header("x-repo-commit") == COMMIT
        assert got.header("etag") == exchange(resolve(server, "config.json")).header("etag")
    assert struck("other_revision").body == OTHER


def test_one_flipped_bit_is_one_flipped_bit() -> None:
    got = struck("flip_bit", offset=70_000, bit=3)
    different = [at for at in range(SIZE) if got.body[at] != WEIGHTS[at]]
    assert different == [70_000]
    assert got.body[70_000] ^ WEIGHTS[70_000] == 8
    assert struck("flip_bit", offset=70_000, headers=RANGE).body == PART


def test_zeros_are_as_long_as_the_file() -> None:
    assert struck("zeros").body == bytes(SIZE)


def test_a_weak_etag_is_the_strong_one_weakened() -> None:
    got = struck("weak_etag")
    assert (got.header("etag") or "").startswith('W/"')


def test_no_etag_leaves_no_validator() -> None:
    got = struck("no_etag")
    assert (got.header("etag"), got.header("last-modified"), got.body) == (None, None, WEIGHTS)


def test_no_digests_leaves_the_etag_alone() -> None:
    path = "/bert_models/2020_02_20/tiny.zip"
    with serving(faults={path: [{"fault": "no_digests", "method": "*"}]}) as server:
        got = exchange(server.url("google", path), method="HEAD")
        assert (got.header("x-goog-hash"), got.header("etag") is None) == (None, False)


@pytest.mark.parametrize(("headers", "body"), [({}, WEIGHTS), (RANGE, PART)])
def test_gzip_compresses_what_was_asked_for(headers: dict[str, str], body: bytes) -> None:
    got = struck("gzip", headers=headers)
    assert got.header("content-encoding") == "gzip"
    assert gzip.decompress(got.body) == body
    assert got.header("content-length") == str(len(got.body))


def test_a_short_body_is_cut_before_its_end() -> None:
    got = struck("short_body", missing=3)
    assert (got.header("content-length"), len(got.body), got.ending) == (str(SIZE), SIZE - 3, "closed")


@pytest.mark.parametrize("declared", [True, False])
def test_a_long_body_has_more_than_the_file(declared: bool) -> None:
    got = struck("long_body", extra=5, declared=declared, headers={"Connection": "keep-alive"})
    assert (len(got.body), got.body[:SIZE], got.ending) == (SIZE + 5, WEIGHTS, "closed")
    assert got.header("content-length") == str(SIZE + 5 * declared)


def test_an_endless_body_ends_only_with_patience_or_its_cap() -> None:
    got = struck("endless_body", cap=SIZE + 1_000_000)
    body, ended = unchunked(got.body)
    assert (body[:SIZE], len(body), got.header("content-length")) == (WEIGHTS, SIZE + 1_000_000, None)
    assert (got.header("transfer-encoding"), ended) == ("chunked", True)
    assert len(struck("endless_body", limit=1 << 20).raw) >= 1 << 20


def test_an_endless_body_stops_when_the_client_leaves() -> None:
    with serving(faults={"*": [{"fault": "endless_body", "cap": 1 << 40}]}) as server:
        exchange(server.url("plain", "/weights.bin"), limit=1000)
        assert server.requests()[0].finished


def test_a_chunked_body_is_sound() -> None:
    got = struck("chunked", size=1000)
    assert (unchunked(got.body), got.header("content-length")) == ((WEIGHTS, True), None)


def test_a_truncated_chunked_body_has_no_last_chunk() -> None:
    got = struck("truncated_chunked", bytes=100)
    assert (unchunked(got.body), got.ending) == ((WEIGHTS[:100], False), "closed")


def test_no_length_ends_with_the_connection() -> None:
    got = struck("no_length", headers={"Connection": "keep-alive"})
    assert (got.header("content-length"), got.body, got.ending) == (None, WEIGHTS, "closed")


@pytest.mark.parametrize(
    ("kind", "said"), [("big", str(SIZE + 100)), ("small", str(SIZE - 100)), ("negative", "-1"), ("garbage", "many")]
)
def test_a_content_length_can_lie(kind: str, said: str) -> None:
    got = struck("lying_content_length", kind=kind, headers={"Connection": "keep-alive"})
    assert (got.header("content-length"), got.body, got.ending) == (said, WEIGHTS, "closed")


@pytest.mark.parametrize("header", ["content-length", "content-range", "etag"])
def test_a_header_can_come_twice_with_two_values(header: str) -> None:
    got = struck("duplicate_headers", header=header, headers=RANGE)
    values = [value for name, value in got.headers if name.lower() == header]
    assert len(values) == len(set(values)) == 2


@pytest.mark.parametrize(("reset", "ending"), [(False, "closed"), (True, "reset")])
def test_a_connection_can_end_before_the_status_line(reset: bool, ending: str) -> None:
    got = struck("close_before_headers", reset=reset)
    assert (got.raw, got.ending) == (b"", ending)


def test_garbage_is_no_http() -> None:
    assert struck("garbage_status_line").raw == b"220 smtp.example.org ESMTP ready\r\n"


def test_headers_can_be_cut_in_the_middle() -> None:
    got = struck("truncated_headers")
    assert got.raw.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\n\r\n" not in got.raw


def test_a_header_bomb_comes_before_the_body() -> None:
    got = struck("header_bomb", count=300, size=50)
    assert (len([name for name, _ in got.headers if name.startswith("X-Filler")]), got.body) == (300, WEIGHTS)


@pytest.mark.parametrize("code", [401, 403, 404, 410, 418, 429, 500, 502, 503, 504])
def test_any_status_can_come_instead(code: int) -> None:
    got = struck("status", code=code, retry_after=2, ratelimit=55, error_code="GatedRepo")
    assert (got.status, got.header("retry-after")) == (code, "2")
    assert (got.header("ratelimit"), got.header("x-error-code")) == ('"api";r=0;t=55', "GatedRepo")
    assert WEIGHTS not in got.body


def test_retry_after_can_be_a_date() -> None:
    said = struck("status", code=429, retry_date=30).header("retry-after") or ""
    assert 25 < (parsedate_to_datetime(said) - datetime.now(UTC)).total_seconds() <= 30


def test_a_416_by_script_tells_the_size() -> None:
    assert struck("status", code=416, headers=RANGE).header("content-range") == f"bytes */{SIZE}"


def test_a_login_page_comes_with_200() -> None:
    got = struck("html_login")
    assert (got.status, got.header("content-type")) == (200, "text/html; charset=utf-8")
    assert b"password" in got.body


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({}, {"errno": -62}),
        ({"code": "-130", "errtype": "mispwd-9"}, {"errno": -130, "errtype": "mispwd-9"}),
        ({"code": "31326", "envelope": "error_code", "status": 403}, {"error_code": 31326}),
        ({"code": "expired_token", "envelope": "error"}, {"error": "expired_token"}),
    ],
)
def test_an_error_in_json_comes_with_200_unless_told_otherwise(
    parameters: dict[str, Any], said: dict[str, Any]
) -> None:
    got = struck("json_error", **parameters)
    assert got.status == parameters.get("status", 200)
    assert json.loads(got.body) == {**said, "request_id": 1}


def test_an_empty_body_comes_with_the_files_own_etag() -> None:
    got = struck("empty_body", headers=RANGE)
    assert (got.status, got.body, got.header("content-length"), got.header("content-range")) == (200, b"", "0", None)
    assert got.header("etag") is not None


def test_a_pointer_stands_where_the_file_should() -> None:
    got = struck("lfs_pointer")
    assert (got.status, got.body) == (200, Content(WEIGHTS).pointer)


@pytest.mark.parametrize("growing", [False, True])
def test_a_redirect_loop_never_ends(growing: bool) -> None:
    faults = [{"fault": "redirect_loop", "growing": growing, "times": "always"}]
    with serving(faults={"*": faults}) as server:
        seen, path = [], "/weights.bin"
        for _ in range(5):
            got = exchange(server.url("plain", path))
            assert got.status == 302
            path = got.header("location") or ""
            seen.append(path)
        assert len(set(seen)) == (5 if growing else 1)


def test_a_redirect_can_lead_anywhere() -> None:
    assert struck("redirect_to", url="ftp://x/y").header("location") == "ftp://x/y"
    with serving(
        faults={"/weights.bin": [{"fault": "redirect_to", "to": "google", "path": "/b", "code": 307}]}
    ) as server:
        got = exchange(server.url("plain", "/weights.bin"))
        assert (got.status, got.header("location")) == (307, server.url("google", "/b"))


def location(server: Server) -> str:
    return exchange(resolve(server, "model.safetensors", revision="main")).header("location") or ""


@pytest.mark.parametrize("pattern", ["*/model.safetensors", f"/{REPO}/resolve/*", f"*/{COMMIT}/model.safetensors"])
def test_a_rule_for_a_large_hub_file_strikes_at_the_cdn(pattern: str) -> None:
    with serving(faults={pattern: [{"fault": "cut_after", "bytes": 7}]}) as server:
        assert exchange(location(server)).body == WEIGHTS[:7]
        assert exchange(location(server)).body == WEIGHTS


def test_a_rule_that_names_the_hub_strikes_its_redirect() -> None:
    step: dict[str, Any] = {"fault": "status", "code": 503, "host": "hub"}
    with serving(faults={"*/model.safetensors": [step]}) as server:
        assert exchange(resolve(server, "model.safetensors")).status == 503
        assert exchange(location(server)).body == WEIGHTS


def test_faults_of_several_rules_strike_together() -> None:
    rules: dict[str, Any] = {
        "*": [{"fault": "no_etag", "times": "always"}],
        "/weights.bin": [{"fault": "cut_after", "bytes": 5}],
    }
    with serving(faults=rules) as server:
        got = exchange(server.url("plain", "/weights.bin"))
        assert (got.body, got.header("etag")) == (WEIGHTS[:5], None)
        assert server.requests()[0].faults == ("no_etag", "cut_after")


def test_head_can_be_struck_too() -> None:
    assert struck("status", method="HEAD", code=429).status == 429
    assert struck("close_before_headers", method="HEAD").raw == b""


def test_every_fault_is_tried_in_this_module_or_beside_it() -> None:
    pages = (Path(__file__), Path(__file__).with_name("test_upstream_open.py"))
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    assert {name for name in FAULTS if f'"{name}"' not in text} == set()
