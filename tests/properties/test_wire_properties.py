"""Whatever a host sends, the rules give a value or one of our errors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from hypothesis import given
from hypothesis import strategies as st

from mirror.errors import ChangedError, SourceError
from mirror.wire import (
    Validator,
    body_span,
    check_commit,
    content_length,
    explain,
    fields,
    looks_like_login_page,
    origin,
    published_digests,
    redact,
    retry_after,
    status_error,
)
from mirror.wire.message import framing, parse_head

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
NAMES = [
    "Content-Range",
    "Content-Length",
    "Content-Type",
    "ETag",
    "Last-Modified",
    "Retry-After",
    "ratelimit",
    "Transfer-Encoding",
    "Connection",
    "x-goog-hash",
    "Content-MD5",
    "X-Linked-Etag",
    "X-Repo-Commit",
    "x-bce-content-crc32",
    "x-bce-content-crc32c",
    "x-bce-request-id",
    "Digest",
    "Repr-Digest",
    "X-Error-Code",
    "X-Error-Message",
    "Location",
    "Content-Encoding",
]
LIKELY = [
    *("bytes 0-9/10", "bytes */10", "bytes 5-9/*", "10", "0", "-1", "9" * 22, "chunked", "gzip", "close", "keep-alive"),
    *('"abc"', 'W/"abc"', "a" * 64, "b" * 40, '"' + "c" * 32 + '"', "EntryNotFound", "GatedRepo", '"api";r=0;t=55'),
    *("md5=1B2M2Y8AsgTpgAmY7PhCfg==", "crc32c=AAAAAA==", "1B2M2Y8AsgTpgAmY7PhCfg==", "multipart/byteranges"),
    "SHA-256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
    *("Sun, 01 Mar 2026 12:00:30 GMT", "Sun, 99 Mar 99999 99:99:99 +9999"),
]
values = st.sampled_from(LIKELY) | st.text(st.characters(max_codepoint=255), max_size=60) | st.text(max_size=20)
headers = st.lists(st.tuples(st.sampled_from(NAMES) | st.text(max_size=10), values), max_size=12)
sizes = st.none() | st.integers(0, 20) | st.integers(0, 2**63)


@given(st.integers(0, 999), headers, st.integers(0, 20), st.none() | st.integers(1, 20), sizes)
def test_any_reply_gives_a_span_or_our_error(
    status: int, got: list[tuple[str, str]], start: int, length: int | None, size: int | None
) -> None:
    stop = None if length is None else start + length
    try:
        span = body_span(status, got, asked=(start, stop), size=size)
    except SourceError:
        return
    assert status in {200, 206, 416}
    assert span.stop is None or span.start <= span.stop
    if size is not None:
        assert span.size == size
    if status == 206:
        assert span.start == start
        assert stop is None or (span.stop is not None and span.stop <= stop)


@given(st.integers(1, 10**12), st.data())
def test_a_true_206_is_always_taken_and_a_shifted_one_never(size: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, size - 1))
    stop = data.draw(st.integers(start + 1, size))
    stated = {"Content-Range": f"bytes {start}-{stop - 1}/{size}", "Content-Length": str(stop - start)}
    for known in (size, None):
        span = body_span(206, stated, asked=(start, stop), size=known)
        assert (span.start, span.stop, span.size) == (start, stop, size)
    shift = data.draw(st.integers(-start, size).filter(bool))
    try:
        body_span(206, stated, asked=(start + shift, stop + shift), size=size)
    except SourceError:
        return
    raise AssertionError("a shifted range was taken")


@given(headers)
def test_any_headers_give_a_wait_of_at_most_an_hour(got: list[tuple[str, str]]) -> None:
    assert 0 <= retry_after(got, now=NOW) <= 3600


@given(st.integers(-(10**6), 10**6))
def test_both_forms_of_a_wait_agree(seconds: int) -> None:
    then = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    expected = min(max(seconds, 0), 3600)
    assert retry_after({"Retry-After": then}, now=NOW) == expected
    if seconds >= 0:
        assert retry_after({"Retry-After": str(seconds)}, now=NOW) == expected


@given(st.integers(0, 999), headers, st.text(max_size=80), st.binary(max_size=80))
def test_any_error_reply_has_an_error(status: int, got: list[tuple[str, str]], url: str, body: bytes) -> None:
    words = explain(dict(got).get("Content-Type"), body)
    error = status_error(status, got, url, now=NOW, explanation=words)
    assert error.status == status
    assert str(error).isprintable()
    assert 0 <= error.retry_after <= 3600


@given(headers, st.text(max_size=80) | st.sampled_from(["https://bj.bcebos.com/x", "http://h/x"]))
def test_any_headers_give_claims_or_none(got: list[tuple[str, str]], url: str) -> None:
    for claim in published_digests(got, url):
        assert claim.where


@given(headers)
def test_any_headers_give_a_length_or_our_error(got: list[tuple[str, str]]) -> None:
    try:
        length = content_length(got)
    except SourceError:
        return
    assert length is None or length >= 0


@given(headers, st.text(max_size=60))
def test_a_commit_is_checked_without_a_crash(got: list[tuple[str, str]], url: str) -> None:
    try:
        check_commit(fields(got), url)
    except ChangedError:
        return


@given(headers, headers)
def test_validators_contradict_each_other_both_ways(one: list[tuple[str, str]], other: list[tuple[str, str]]) -> None:
    left, right = Validator.of(one), Validator.of(other)
    assert left.contradicts(right) == right.contradicts(left)
    assert not left.contradicts(left)
    assert left.if_range is None or left.strong


@given(st.none() | st.text(max_size=30), st.binary(max_size=80), st.text(max_size=20))
def test_any_first_bytes_are_judged(content_type: str | None, first: bytes, path: str) -> None:
    assert looks_like_login_page(content_type, first, path) in {True, False}


@given(st.text(max_size=100))
def test_any_text_is_redacted(url: str) -> None:
    shown = redact(url)
    assert "?" not in shown
    assert "#" not in shown
    assert shown.isprintable()
    origin(url)


@given(st.sampled_from(["http", "https"]), st.text("abc:@/?#%&=[]", max_size=20), st.text("xyz?#=/", max_size=20))
def test_no_secret_survives_redaction(scheme: str, noise: str, tail: str) -> None:
    assert "s3cret" not in redact(f"{scheme}://user:s3cret@host/{noise}?{tail}")
    assert "s3cret" not in redact(f"{scheme}://host/path?{tail}&token=s3cret")


@given(st.binary(max_size=300) | st.builds(lambda rest: b"HTTP/1.1 200 OK\r\n" + rest, st.binary(max_size=200)))
def test_any_bytes_are_a_head_or_our_error(data: bytes) -> None:
    try:
        head = parse_head(data)
        frame = framing(head, "GET")
    except SourceError:
        return
    assert 100 <= head.status <= 999
    assert not (frame.chunked and frame.length is not None)
    assert not any("\r" in value or "\n" in value for _, value in head.fields)
