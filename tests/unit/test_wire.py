"""What headers mean: ranges, lengths, validators, waits, errors, addresses."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mirror.errors import (
    AccessError,
    ChangedError,
    MirrorError,
    NotFoundError,
    OversizeError,
    RangeError,
    RateLimitedError,
    SourceError,
    StatusError,
)
from mirror.wire import (
    BodySpan,
    Validator,
    body_span,
    check_commit,
    content_length,
    explain,
    fields,
    hub_error,
    is_secure,
    looks_like_login_page,
    origin,
    range_header,
    redact,
    resolve_url,
    retry_after,
    status_error,
)

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def test_names_are_compared_without_case_and_repeats_are_kept() -> None:
    got = fields([("ETag", '"a"'), ("etag", '"b"'), ("X-One", "1"), ("x-one", "1")])
    assert got.all("etag") == ['"a"', '"b"']
    assert got.only("etag") is None
    assert got.only("x-one") == "1"
    assert fields(got) is got


# --- ranges


@pytest.mark.parametrize(
    ("asked", "size", "stated", "span"),
    [
        ((100, None), 1000, "bytes 100-999/1000", BodySpan(100, 1000, 1000)),
        ((100, 200), 1000, "bytes 100-199/1000", BodySpan(100, 200, 1000)),
        ((100, None), None, "bytes 100-999/1000", BodySpan(100, 1000, 1000)),
        ((100, 200), None, "bytes 100-199/*", BodySpan(100, 200, None)),
        ((100, 200), 1000, "Bytes  100-199/*", BodySpan(100, 200, 1000)),
        ((100, 5000), None, "bytes 100-999/1000", BodySpan(100, 1000, 1000)),  # past the end, of which nobody knew
        ((100, None), None, "bytes 100-199/*", BodySpan(100, 200, None)),
    ],
)
def test_a_206_that_holds_what_was_asked_for_is_taken(
    asked: tuple[int, int | None], size: int | None, stated: str, span: BodySpan
) -> None:
    assert body_span(206, {"Content-Range": stated}, asked=asked, size=size) == span


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ([], RangeError),
        ([("Content-Range", "bytes 0-999/1000")], RangeError),
        ([("Content-Range", "bytes 101-999/1000")], RangeError),
        ([("Content-Range", "bytes 100-998/1000")], RangeError),
        ([("Content-Range", "bytes 100-99/1000")], RangeError),
        ([("Content-Range", "bytes 100-1000/1000")], RangeError),
        ([("Content-Range", "items 100-999/1000")], RangeError),
        ([("Content-Range", "bytes 100-999")], RangeError),
        ([("Content-Range", "bytes ١٠٠-999/1000")], RangeError),
        ([("Content-Range", "bytes 100-999/1000"), ("Content-Range", "bytes 0-9/1000")], RangeError),
        ([("Content-Range", "bytes 100-999/1000"), ("Content-Length", "899")], RangeError),
        ([("Content-Range", "bytes 100-999/1000"), ("Content-Type", "multipart/byteranges; boundary=x")], RangeError),
        ([("Content-Range", "bytes 100-1999/2000")], ChangedError),
        ([("Content-Range", "bytes 100-999/1000"), ("Content-Length", "9e2")], SourceError),
    ],
)
def test_a_206_that_holds_anything_else_is_refused(headers: list[tuple[str, str]], error: type[SourceError]) -> None:
    with pytest.raises(error) as caught:
        body_span(206, headers, asked=(100, None), size=1000)
    assert caught.value.transient


def test_a_200_is_the_whole_file() -> None:
    assert body_span(200, {"Content-Length": "1000"}, asked=(100, None), size=1000) == BodySpan(0, 1000, 1000)
    assert body_span(200, {"Content-Length": "7"}, asked=(0, None), size=None) == BodySpan(0, 7, 7)
    assert body_span(200, {}, asked=(0, None), size=None) == BodySpan(0, None, None)
    assert body_span(200, {}, asked=(0, None), size=9) == BodySpan(0, 9, 9)


def test_a_transfer_coding_makes_the_length_say_nothing() -> None:
    headers = {"Content-Length": "3", "Transfer-Encoding": "chunked"}
    assert body_span(200, headers, asked=(0, None), size=9) == BodySpan(0, 9, 9)


def test_a_200_of_another_size_is_refused_before_its_body() -> None:
    with pytest.raises(OversizeError):
        body_span(200, {"Content-Length": "1001"}, asked=(0, None), size=1000)
    with pytest.raises(ChangedError):
        body_span(200, {"Content-Length": "999"}, asked=(0, None), size=1000)


def test_a_416_at_the_end_means_that_everything_is_here() -> None:
    headers = {"Content-Range": "bytes */1000"}
    assert body_span(416, headers, asked=(1000, None), size=None) == BodySpan(1000, 1000, 1000)
    assert body_span(416, {"Content-Range": "bytes */0"}, asked=(0, 1), size=0) == BodySpan(0, 0, 0)


@pytest.mark.parametrize(
    ("stated", "start", "size", "error"),
    [
        ("bytes */900", 1000, None, ChangedError),  # shorter than what we hold
        ("bytes */1200", 1000, 1000, ChangedError),  # another size than promised
        ("bytes */1200", 1000, None, RangeError),  # it has the bytes and will not give them
        ("bytes 0-1/2", 1000, None, RangeError),
        ("", 1000, 1000, RangeError),
    ],
)
def test_any_other_416_is_an_error(stated: str, start: int, size: int | None, error: type[SourceError]) -> None:
    with pytest.raises(error) as caught:
        body_span(416, {"Content-Range": stated}, asked=(start, None), size=size)
    assert caught.value.status == 416


def test_another_status_is_no_body() -> None:
    with pytest.raises(NotFoundError):
        body_span(404, {}, asked=(0, None), size=None)
    with pytest.raises(StatusError):
        body_span(204, {}, asked=(0, None), size=None)


def test_a_range_is_asked_for_only_where_one_is_needed() -> None:
    assert range_header(0, None) is None
    assert range_header(5, None) == "bytes=5-"
    assert range_header(0, 10) == "bytes=0-9"


# --- lengths


@pytest.mark.parametrize(("values", "length"), [(["5"], 5), (["5, 5"], 5), (["5", "5"], 5), ([], None), (["0"], 0)])
def test_equal_lengths_count_as_one(values: list[str], length: int | None) -> None:
    assert content_length([("Content-Length", value) for value in values]) == length


@pytest.mark.parametrize("values", [["5", "6"], ["-1"], ["+5"], ["1_0"], ["0x10"], ["٥"], [""], ["9" * 5000], ["5,"]])
def test_a_length_that_makes_no_sense_is_refused(values: list[str]) -> None:
    with pytest.raises(SourceError) as caught:
        content_length([("Content-Length", value) for value in values])
    assert caught.value.transient


# --- validators


@pytest.mark.parametrize(
    ("etag", "strong"),
    [('"abc"', True), ('W/"abc"', False), ("abc", False), ('""', True), ('"a b"', False), ('"a", "b"', False)],
)
def test_only_a_strong_tag_goes_into_if_range(etag: str, strong: bool) -> None:
    validator = Validator.of({"ETag": etag, "Last-Modified": "Sun, 01 Mar 2026 12:00:00 GMT"})
    assert validator.strong is strong
    assert validator.if_range == (etag if strong else None)


def test_a_date_alone_is_no_condition() -> None:
    assert Validator(last_modified="Sun, 01 Mar 2026 12:00:00 GMT").if_range is None


def test_versions_contradict_each_other_only_where_both_speak() -> None:
    one, other = Validator('"1"', "Mon"), Validator('"2"', "Mon")
    assert one.contradicts(other)
    assert not one.contradicts(Validator('W/"1"', "Tue"))
    assert not one.contradicts(Validator())
    assert Validator(last_modified="Mon").contradicts(Validator(last_modified="Tue"))


# --- waits and errors


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "Sun, 01 Mar 2026 12:00:30 GMT"}, 30),
        ({"Retry-After": "Sun, 01 Mar 2026 12:00:30 -0000"}, 30),
        ({"Retry-After": "Sun, 01 Mar 2026 11:00:00 GMT"}, 0),
        ({"Retry-After": "Sun, 01 Mar 2099 11:00:00 GMT"}, 3600),
        ({"Retry-After": "9" * 400}, 3600),
        ({"Retry-After": "-5"}, 0),
        ({"Retry-After": "soon"}, 0),
        ({"ratelimit": '"api";r=0;t=55'}, 55),
        ({"ratelimit": '"api";r=12;t=55'}, 0),
        ({"ratelimit": '"pages";r=3;t=9, "api";r=0;t=20', "Retry-After": "2"}, 20),
        ({}, 0),
    ],
)
def test_a_wait_is_read_in_every_form(headers: dict[str, str], seconds: float) -> None:
    assert retry_after(headers, now=NOW) == seconds


@pytest.mark.parametrize(
    ("status", "error", "transient"),
    [
        (400, StatusError, False),
        (401, AccessError, False),
        (403, AccessError, False),
        (404, NotFoundError, False),
        (408, StatusError, True),
        (410, NotFoundError, False),
        (429, RateLimitedError, True),
        (451, AccessError, False),
        (500, StatusError, True),
        (501, StatusError, False),
        (502, StatusError, True),
        (503, RateLimitedError, True),
        (504, StatusError, True),
    ],
)
def test_a_status_has_its_error(status: int, error: type[SourceError], transient: bool) -> None:
    got = status_error(status, {"Retry-After": "5"}, "https://u:p@host/f?key=secret", now=NOW)
    assert type(got) is error
    assert got.transient is transient
    assert got.status == status
    assert "secret" not in str(got)
    assert ":p@" not in str(got)
    if error is RateLimitedError:
        assert got.retry_after == 5
    # What passes is waited for, what lasts is not.
    assert ("later" in got.hint) is transient
    assert got.hint


@pytest.mark.parametrize(
    ("status", "code", "error", "word"),
    [
        (404, "EntryNotFound", NotFoundError, "no such file"),
        (404, "RevisionNotFound", NotFoundError, "no such revision"),
        (401, "RepoNotFound", NotFoundError, "private"),
        (403, "GatedRepo", AccessError, "gated"),
    ],
)
def test_a_hub_explains_itself(status: int, code: str, error: type[MirrorError], word: str) -> None:
    got = hub_error(status, {"X-Error-Code": code, "X-Error-Message": "because"}, "https://huggingface.co/a/b")
    assert type(got) is error
    assert got is not None
    assert word in str(got)
    assert "(because)" in str(got)
    assert "{" not in got.hint


def test_a_disabled_repository_is_named() -> None:
    got = hub_error(403, {"X-Error-Message": "Access to this resource is disabled."}, "https://huggingface.co/a")
    assert "disabled" in str(got)


def test_a_plain_host_is_not_told_about_hub_tokens() -> None:
    assert "HF_TOKEN" not in status_error(403, {}, "https://bj.bcebos.com/x").hint
    assert "HF_TOKEN" in status_error(403, {"X-Error-Message": "no"}, "https://huggingface.co/x").hint
    assert "hf auth" in status_error(401, {"X-Error-Message": "no"}, "https://huggingface.co/x").hint
    assert "hf auth" in status_error(403, {"X-Error-Code": "GatedRepo"}, "https://huggingface.co/x").hint


@pytest.mark.parametrize(
    ("content_type", "body", "said"),
    [
        ("application/json", b'{"error":"Invalid rev id"}', "Invalid rev id"),
        (
            "application/xml",
            b"<Error><Code>NoSuchKey</Code><Message>No such object</Message></Error>",
            "No such object",
        ),
        ("text/plain", b"gone\r\nfor\x00 ever", "gone for ever"),
        ("text/html", b"<h1>404</h1>", ""),
        ("application/json", b"{", ""),
        ("application/json", b'{"error":{"deep":1}}', ""),
        (None, b"\xff\xfe", ""),
    ],
)
def test_a_host_s_own_words_are_kept_short_and_printable(content_type: str | None, body: bytes, said: str) -> None:
    assert explain(content_type, body) == said


# --- impostors


@pytest.mark.parametrize(
    ("content_type", "first", "path", "impostor"),
    [
        ("text/html; charset=utf-8", b"<!DOCTYPE html><title>Log in", "model.bin", True),
        ("application/octet-stream", b"\n <html><body>", "model.bin", True),
        ("text/html", b"", "vocab.txt", True),
        ("text/html", b"[PAD]\n[unused0]", "vocab.txt", False),  # a host that calls everything HTML
        ("text/html", b"<!doctype html>", "docs/index.html", False),
        ("text/plain", b'<p align="center">', "README.md", False),
        ("application/octet-stream", b"PK\x03\x04", "model.zip", False),
        (None, b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "model.safetensors", True),
        (None, b"", "model.bin", False),
    ],
)
def test_a_page_or_a_pointer_in_place_of_a_file_is_seen(
    content_type: str | None, first: bytes, path: str, impostor: bool
) -> None:
    assert looks_like_login_page(content_type, first, path) is impostor


def test_a_body_of_nothing_but_comments_is_looked_at_once() -> None:
    # 128 of them would be tried in 2^128 ways by a rule that may change its mind about each.
    assert not looks_like_login_page(None, b"<!---->" * 128 + b"x", "model.bin")
    assert looks_like_login_page(None, b"<!-- a --> <!---->\n<html>", "model.bin")
    assert not looks_like_login_page(None, b"<!-- <html>", "model.bin")


def test_a_reply_of_another_commit_is_refused() -> None:
    url = f"https://huggingface.co/a/b/resolve/{'1' * 40}/config.json"
    check_commit(fields({"X-Repo-Commit": "1" * 40}), url)
    check_commit(fields({}), url)
    check_commit(fields({"X-Repo-Commit": "2" * 40}), "https://huggingface.co/a/b/resolve/main/config.json")
    with pytest.raises(ChangedError):
        check_commit(fields({"X-Repo-Commit": "2" * 40}), url)


# --- addresses


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:word@host:8443/a/b?X-Amz-Signature=1#x", "https://host:8443/a/b"),
        ("https://HOST/a", "https://host/a"),
        ("http://[::1]:80/a", "http://[::1]:80/a"),
        ("/api/resolve-cache/x?token=1", "/api/resolve-cache/x"),
        ("file:///srv/a b", "file:///srv/a b"),
        ("http://[::1/a", "(malformed address)"),
        ("http://host:port/a", "(malformed address)"),
    ],
)
def test_an_address_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert redact(url) == shown


def test_an_origin_is_scheme_host_and_port() -> None:
    assert origin("https://Hub.example/x") == ("https", "hub.example", 443)
    assert origin("http://h:81") != origin("http://h")
    assert origin("nonsense") is None
    assert origin("http://[") is None


def test_a_malformed_address_is_not_secure() -> None:
    assert not is_secure("http://[")
    assert is_secure("http://127.0.0.9:1/x")
    assert not is_secure("http://mirror.example/x")


def test_a_revision_is_one_segment_and_a_path_keeps_its_slashes() -> None:
    assert (
        resolve_url("https://huggingface.co/", "org/name", "refs/pr/1", "a b/c#.bin")
        == "https://huggingface.co/org/name/resolve/refs%2Fpr%2F1/a%20b/c%23.bin"
    )
