"""The head of a response, and where its body ends."""

from __future__ import annotations

import pytest

from mirror.errors import SourceError
from mirror.wire.message import END_OF_HEAD, Framing, framing, parse_head


def frame(head: bytes, method: str = "GET") -> Framing:
    return framing(parse_head(head), method)


def test_a_head_is_read_with_its_repeated_fields() -> None:
    head = parse_head(b'HTTP/1.1 200 OK\r\nETag: "a" \r\nX:1\r\nX: \t2\r\nEmpty:')
    assert (head.minor, head.status, head.reason) == (1, 200, "OK")
    assert list(head.fields) == [("etag", '"a"'), ("x", "1"), ("x", "2"), ("empty", "")]
    assert head.fields.all("x") == ["1", "2"]


@pytest.mark.parametrize("line", [b"HTTP/1.1 200", b"HTTP/1.1 200 ", b"HTTP/1.0 200 Fine enough", b"HTTP/1.1 200 \xff"])
def test_a_status_line_may_be_terse(line: bytes) -> None:
    assert parse_head(line).status == 200


def test_a_folded_line_is_joined() -> None:
    assert list(parse_head(b"HTTP/1.1 200 OK\r\nX: a\r\n  b").fields) == [("x", "a b")]


def test_bare_line_feeds_are_understood() -> None:
    data = b"HTTP/1.1 200 OK\nX: a\n\nbody"
    match = END_OF_HEAD.search(data)
    assert match is not None
    assert list(parse_head(data[: match.start()]).fields) == [("x", "a")]


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2",
        b"HTTP/2 200",
        b"HTTP/1.1 99 Low",
        b"HTTP/1.1 2000 OK",
        b"HTTP/1.1 200 OK\r\nno colon",
        b"HTTP/1.1 200 OK\r\n: no name",
        b"HTTP/1.1 200 OK\r\nbad name: x",
        b"HTTP/1.1 200 OK\r\n folded: first",
        b"HTTP/1.1 200 OK\r\nX: a\rY: b",
        b"HTTP/1.1 200 OK\r\nX: a\0",
        b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 101,
    ],
)
def test_what_is_no_head_is_refused(head: bytes) -> None:
    with pytest.raises(SourceError) as caught:
        parse_head(head)
    assert caught.value.transient


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5", Framing(5, chunked=False, keep_alive=True)),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: X, Close", Framing(5, chunked=False, keep_alive=False)),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5", Framing(5, chunked=False, keep_alive=False)),
        (
            b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive",
            Framing(5, chunked=False, keep_alive=True),
        ),
        (b"HTTP/1.1 200 OK", Framing(None, chunked=False, keep_alive=False)),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked", Framing(None, chunked=True, keep_alive=True)),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5",
            Framing(None, chunked=True, keep_alive=False),
        ),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5", Framing(0, chunked=False, keep_alive=True)),
        (b"HTTP/1.1 204 No Content", Framing(0, chunked=False, keep_alive=True)),
    ],
)
def test_the_end_of_a_body_is_known(head: bytes, expected: Framing) -> None:
    assert frame(head) == expected


def test_a_head_request_has_no_body() -> None:
    assert frame(b"HTTP/1.1 200 OK\r\nContent-Length: 5", "HEAD").length == 0


@pytest.mark.parametrize("coding", [b"gzip, chunked", b"chunked, chunked", b"identity"])
def test_an_unknown_transfer_coding_is_refused(coding: bytes) -> None:
    with pytest.raises(SourceError):
        frame(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: " + coding)


def test_two_lengths_are_refused() -> None:
    with pytest.raises(SourceError):
        frame(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6")
