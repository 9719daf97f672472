"""Requests parsed and conditions judged, without a socket."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.upstream.conditions import Entity, asked_span, serve
from mirror.upstream.content import Content
from mirror.upstream.http import Answer, BadRequestError, Headers, Request, body_length, parse_head

BODY = b"0123456789"


def described(content: Content) -> Headers:
    return (("ETag", '"a"'), ("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT"), ("Content-Type", "x/y"))


def weakly(content: Content) -> Headers:
    return (("ETag", 'W/"a"'),)


def ask(method: str = "GET", describe: object = described, **headers: str) -> Answer:
    lines = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    entity = Entity(Content(BODY), describe)  # type: ignore[arg-type] # one of the two above
    return serve(entity, Request(method, "/x", "", "h", lines))


@pytest.mark.parametrize(
    ("value", "size", "span"),
    [
        ("bytes=0-4", 10, (0, 5)),
        ("bytes=4-", 10, (4, 10)),
        ("bytes=-3", 10, (7, 10)),
        ("bytes=-30", 10, (0, 10)),
        ("bytes=0-99", 10, (0, 10)),
        ("Bytes= 9-9 ", 10, (9, 10)),
        ("bytes=10-", 10, (10, 10)),
        ("bytes=-0", 10, (10, 10)),
        ("bytes=0-", 0, (0, 0)),
        ("bytes=0-1,4-5", 10, None),
        ("bytes=5-4", 10, None),
        ("items=0-4", 10, None),
        ("bytes=a-b", 10, None),
        ("bytes=-", 10, None),
        (None, 10, None),
    ],
)
def test_a_range_header_names_a_span_or_is_ignored(value: str | None, size: int, span: tuple[int, int] | None) -> None:
    assert asked_span(value, size) == span


@given(st.text(max_size=40), st.integers(0, 1000))
def test_no_range_header_leaves_the_file(value: str, size: int) -> None:
    for text in (value, f"bytes={value}"):
        span = asked_span(text, size)
        assert span is None or 0 <= span[0] <= span[1] <= size or span[0] == size


def test_a_satisfiable_range_is_answered_by_206_with_its_place() -> None:
    answer = ask(range="bytes=2-5")
    assert (answer.status, bytes(answer.body)) == (206, b"2345")
    assert answer.header("content-range") == "bytes 2-5/10"
    assert answer.header("content-length") == "4"


def test_a_range_past_the_end_is_answered_by_416_with_the_size() -> None:
    answer = ask(range="bytes=10-")
    assert (answer.status, answer.body.nbytes) == (416, 0)
    assert answer.header("content-range") == "bytes */10"


def test_several_ranges_bring_the_whole_file() -> None:
    assert (ask(range="bytes=0-1,3-4").status, ask(range="bytes=0-1,3-4").body.nbytes) == (200, 10)


def test_a_range_counts_only_for_get() -> None:
    assert ask("HEAD", range="bytes=0-1").status == 200


@pytest.mark.parametrize(
    ("if_range", "status"),
    [('"a"', 206), ('"b"', 200), ('W/"a"', 200), ("Mon, 01 Jan 2024 00:00:00 GMT", 206), ("yesterday", 200)],
)
def test_if_range_is_compared_strongly(if_range: str, status: int) -> None:
    assert ask(range="bytes=0-1", if_range=if_range).status == status


def test_if_range_never_matches_a_weak_etag() -> None:
    assert ask(describe=weakly, range="bytes=0-1", if_range='W/"a"').status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"if_none_match": '"a"'}, 304),
        ({"if_none_match": '"z", W/"a"'}, 304),
        ({"if_none_match": "*"}, 304),
        ({"if_none_match": '"b"'}, 200),
        ({"if_match": '"b"'}, 412),
        ({"if_match": '"a"'}, 200),
        ({"if_modified_since": "Tue, 02 Jan 2024 00:00:00 GMT"}, 304),
        ({"if_modified_since": "Sun, 31 Dec 2023 00:00:00 GMT"}, 200),
        ({"if_modified_since": "Tue, 02 Jan 2024 00:00:00 GMT", "if_none_match": '"b"'}, 200),
    ],
)
def test_conditions_follow_the_standard_order(headers: dict[str, str], status: int) -> None:
    assert ask(**headers).status == status


def test_an_absolute_target_names_the_host() -> None:
    request = parse_head(b"GET http://Storage.googleapis.com:80/a%2Fb?c=d HTTP/1.1\r\nHost: elsewhere", scheme="http")
    assert (request.host, request.path, request.query) == ("storage.googleapis.com", "/a%2Fb", "c=d")
    assert request.segments == ["a/b"]


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"GET /",
        b"GET  / HTTP/1.1\r\nHost: a",
        b"get / HTTP/1.1\r\nHost: a",
        b"GET / HTTP/2.0\r\nHost: a",
        b"GET / HTTP/1.1",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b",
        b"GET / HTTP/1.1\r\nHost: a\r\nno colon",
        b"GET / HTTP/1.1\r\nHost: a\r\nspaced name: x",
        b"GET nowhere HTTP/1.1\r\nHost: a",
        b"GET http:///x HTTP/1.1\r\nHost: a",
        b"GET http://[::1/x HTTP/1.1\r\nHost: a",
    ],
)
def test_what_is_no_request_is_refused(head: bytes) -> None:
    with pytest.raises(BadRequestError):
        parse_head(head, scheme="http")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_refused(head: bytes) -> None:
    for data in (head, b"GET " + head + b" HTTP/1.1\r\nHost: a", b"GET / HTTP/1.1\r\nHost: " + head):
        try:
            assert parse_head(data, scheme="http").method
        except BadRequestError as error:
            assert error.status == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ((("content-length", "x"),), 400),
        ((("content-length", "1"), ("content-length", "1")), 400),
        ((("content-length", "11"),), 413),
        ((("transfer-encoding", "chunked"),), 411),
    ],
)
def test_a_body_without_a_sound_length_is_refused(headers: Headers, status: int) -> None:
    with pytest.raises(BadRequestError) as caught:
        body_length(Request("POST", "/", "", "h", headers), limit=10)
    assert caught.value.status == status


def test_a_connection_is_kept_unless_somebody_says_otherwise() -> None:
    assert Request("GET", "/", "", "h", ()).keeps_alive
    assert not Request("GET", "/", "", "h", (("connection", "Close"),)).keeps_alive
    assert not Request("GET", "/", "", "h", (), version="HTTP/1.0").keeps_alive
    assert Request("GET", "/", "", "h", (("connection", "keep-alive"),), version="HTTP/1.0").keeps_alive


def test_setting_a_header_leaves_one_of_it_in_its_place() -> None:
    answer = Answer(200, (("A", "1"), ("B", "2"), ("a", "3"), ("C", "4")))
    assert answer.setting("A", "9").headers == (("A", "9"), ("B", "2"), ("C", "4"))
    assert answer.setting("D", "9").headers[-1] == ("D", "9")
