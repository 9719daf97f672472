"""Files over HTTP, as the transfer sees them: replies, redirects, credentials, refusals."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from mirror.errors import (
    AccessError,
    ChangedError,
    ConnectionDroppedError,
    ImpostorError,
    MirrorError,
    NameResolutionError,
    NotFoundError,
    OversizeError,
    RangeError,
    RateLimitedError,
    RedirectError,
    SourceError,
    StalledError,
    StatusError,
)
from mirror.model import Authority
from mirror.sources.access import HubAccess
from mirror.sources.opener import Openers
from mirror.wire import BodySpan, Validator
from tests.loopback.scripted import Peer, Scripted, always, answer, routes, scripted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mirror.sources.reply import Reply

FILE = bytes(range(256)) * 40
COMMIT = "c" * 40


@pytest.fixture
def openers() -> Iterator[Openers]:
    with Openers.of({}, stall=5) as made:
        yield made


def body_of(reply: Reply, room: int = 1000) -> bytes:
    got, buffer = bytearray(), memoryview(bytearray(room))
    while count := reply.readinto(buffer):
        got += buffer[:count]
    return bytes(got)


def kept(reply: Reply, hop: int = -1) -> dict[str, str]:
    return dict(reply.hops[hop].headers)


def test_a_reply_says_what_it_holds(openers: Openers) -> None:
    sent = answer(FILE, 'ETag: "1"', "Content-Type: application/zip", "Content-MD5: 1B2M2Y8AsgTpgAmY7PhCfg==")
    with scripted(always(sent)) as server, openers.open(f"{server.url}/f?key=1", size=len(FILE)) as reply:
        assert reply.span == BodySpan(0, len(FILE), len(FILE))
        assert reply.validator == Validator('"1"')
        assert reply.content_type == "application/zip"
        assert reply.url == f"{server.url}/f"
        assert [(str(c.digest), c.authority, c.secure) for c in reply.claims] == [
            ("md5:d41d8cd98f00b204e9800998ecf8427e", Authority.PUBLISHER, True)
        ]
        assert body_of(reply) == FILE
        assert body_of(reply) == b""
        assert server.asked[0].headers["accept-encoding"] == "identity"
        assert server.asked[0].headers["user-agent"].startswith("minibert-mirror/")
        assert "range" not in server.asked[0].headers


def test_a_range_is_asked_for_with_its_strong_tag_only(openers: Openers) -> None:
    part = answer(FILE[100:], f"Content-Range: bytes 100-{len(FILE) - 1}/{len(FILE)}", status="206 Partial Content")
    with scripted(always(part)) as server:
        for validator in (Validator('"1"'), Validator('W/"1"', "Mon"), None):
            with openers.open(f"{server.url}/f", start=100, validator=validator, size=len(FILE)) as reply:
                assert reply.span.start == 100
                assert body_of(reply) == FILE[100:]
        assert [asked.headers["range"] for asked in server.asked] == ["bytes=100-"] * 3
        assert [asked.headers.get("if-range") for asked in server.asked] == ['"1"', None, None]


def test_a_span_in_the_middle_is_asked_for_by_its_last_byte(openers: Openers) -> None:
    part = answer(FILE[100:200], f"Content-Range: bytes 100-199/{len(FILE)}", status="206 Partial Content")
    with scripted(always(part)) as server, openers.open(server.url, start=100, stop=200, size=len(FILE)) as reply:
        assert body_of(reply) == FILE[100:200]
        assert server.asked[0].headers["range"] == "bytes=100-199"


def test_a_source_that_ignores_ranges_starts_over(openers: Openers) -> None:
    with scripted(always(answer(FILE))) as server, openers.open(server.url, start=100, size=len(FILE)) as reply:
        assert reply.span.start == 0


def test_a_range_at_the_very_end_is_an_empty_body(openers: Openers) -> None:
    past = answer(b"<h1>416</h1>", f"Content-Range: bytes */{len(FILE)}", status="416 Range Not Satisfiable")
    with scripted(always(past)) as server, openers.open(server.url, start=len(FILE)) as reply:
        assert reply.span == BodySpan(len(FILE), len(FILE), len(FILE))
        assert body_of(reply) == b""


PART = "206 Partial Content"


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (answer(FILE[99:], f"Content-Range: bytes 99-{len(FILE) - 1}/{len(FILE)}", status=PART), RangeError),
        (answer(FILE[100:], status=PART), RangeError),
        (answer(FILE[100:], f"Content-Range: bytes 100-{len(FILE) - 1}/99999", status=PART), ChangedError),
        (answer(FILE[100:], "Content-Range: bytes 100-10340/10341", status=PART), ChangedError),
        (
            answer(FILE[100:], f"Content-Range: bytes 100-{len(FILE) - 1}/{len(FILE)}", 'ETag: "2"', status=PART),
            ChangedError,
        ),
        (answer(FILE[:50]), ChangedError),
        (answer(FILE + b"x"), OversizeError),
        (answer(FILE, "Content-Encoding: gzip"), SourceError),
        (answer(FILE, f"Content-Length: {len(FILE) + 1}"), SourceError),
        (answer(b"", status="416 Range Not Satisfiable"), RangeError),
        (answer(b"", "Content-Range: bytes */50", status="416 Range Not Satisfiable"), ChangedError),
    ],
)
def test_a_reply_with_other_bytes_is_refused_before_its_body(
    openers: Openers, sent: bytes, error: type[SourceError]
) -> None:
    with scripted(always(sent)) as server, pytest.raises(error) as caught:
        openers.open(f"{server.url}/f?key=secret", start=100, validator=Validator('"1"'), size=len(FILE))
    assert caught.value.transient
    assert f"{server.url}/f" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_page_of_another_size_is_an_impostor(openers: Openers) -> None:
    page = answer(b"<!doctype html>log in", "Content-Type: text/html")
    with scripted(always(page)) as server, pytest.raises(ImpostorError):
        openers.open(f"{server.url}/model.bin", size=len(FILE))


def test_a_hub_s_reply_of_another_commit_is_refused(openers: Openers) -> None:
    with scripted(always(answer(FILE, f"X-Repo-Commit: {'d' * 40}"))) as server, pytest.raises(ChangedError):
        openers.open(f"{server.url}/a/b/resolve/{COMMIT}/f")


# --- bodies


def body_error(openers: Openers, server: Scripted, size: int | None = None) -> MirrorError:
    with openers.open(f"{server.url}/f", size=size) as reply, pytest.raises(SourceError) as caught:
        body_of(reply)
    return caught.value


def test_a_short_body_is_a_dropped_connection(openers: Openers) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(answer(FILE[:10], length=len(FILE)))

    with scripted(script) as server:
        assert type(body_error(openers, server)) is ConnectionDroppedError


def test_a_reset_body_is_a_dropped_connection(openers: Openers) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(answer(FILE[:10], length=len(FILE)))
        time.sleep(0.05)
        peer.reset()

    with scripted(script) as server:
        assert type(body_error(openers, server)) is ConnectionDroppedError


@pytest.mark.parametrize("length", [None, 0])
def test_a_body_without_length_is_held_against_the_promise(openers: Openers, length: int | None) -> None:
    headers = [] if length is None else ["Transfer-Encoding: chunked"]
    short, long = FILE[:-1], FILE + b"x"

    def script(peer: Peer) -> None:
        asked = peer.request()
        body = short if asked is not None and peer.number == 0 else long
        if length is not None:
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        peer.send(answer(body, *headers, length=None))

    with scripted(script) as server:
        assert type(body_error(openers, server, len(FILE))) is ConnectionDroppedError
        assert type(body_error(openers, server, len(FILE))) is OversizeError


def test_an_endless_body_ends_at_the_promise(openers: Openers) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(answer(b"", length=None))
        for _ in range(1000):
            peer.send(FILE)

    with scripted(script) as server:
        assert type(body_error(openers, server, len(FILE))) is OversizeError


def test_silence_is_a_stall(openers: Openers) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(answer(FILE[:10], length=len(FILE)))
        peer.hang()

    with scripted(script) as server, Openers.of({}, stall=0.2) as impatient:
        assert type(body_error(impatient, server)) is StalledError


def test_a_stall_before_the_answer_is_a_stall() -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.hang()

    with scripted(script) as server, Openers.of({}, stall=0.2) as impatient, pytest.raises(StalledError):
        impatient.open(server.url)


@pytest.mark.parametrize("by", ["reply", "openers"])
def test_abort_answers_at_once(openers: Openers, by: str) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(answer(FILE[:10], length=len(FILE)))
        peer.hang()

    raised: list[BaseException] = []

    def wait(reply: Reply) -> None:
        try:
            body_of(reply)
        except SourceError as error:
            raised.append(error)

    with scripted(script) as server, openers.open(server.url) as reply:
        thread = threading.Thread(target=wait, args=(reply,))
        thread.start()
        time.sleep(0.1)
        before = time.monotonic()
        reply.abort() if by == "reply" else openers.close()
        thread.join(2)
        assert time.monotonic() - before < 1
        assert isinstance(raised[0], ConnectionDroppedError)


def test_closed_openers_open_nothing(openers: Openers) -> None:
    with scripted(always(answer(FILE))) as server:
        with openers.open(server.url) as reply:
            body_of(reply)
        openers.close()
        with pytest.raises(ConnectionDroppedError):
            openers.open(server.url)
        assert len(server.asked) == 1


# --- redirects


def moved(location: str, *headers: str, status: str = "302 Found") -> bytes:
    return answer(b"moved", f"Location: {location}", *headers, status=status)


@pytest.mark.parametrize("status", ["301 M", "302 F", "303 S", "307 T", "308 P"])
def test_redirects_are_followed_and_every_hop_kept(openers: Openers, status: str) -> None:
    table = {
        "/a": moved("/b?sig=secret", f"X-Repo-Commit: {COMMIT}", f'X-Linked-Etag: "{"e" * 64}"', status=status),
        "/b?sig=secret": moved("c", "Set-Cookie: id=1", status=status),
        "/c": answer(FILE, 'ETag: "cdn"'),
    }
    with scripted(routes(table)) as server, openers.open(f"{server.url}/a") as reply:
        assert body_of(reply) == FILE
        assert [(hop.url, hop.status) for hop in reply.hops] == [
            (f"{server.url}/a", int(status[:3])),
            (f"{server.url}/b", int(status[:3])),
            (f"{server.url}/c", 200),
        ]
        assert kept(reply, 0)["location"] == f"{server.url}/b"
        assert kept(reply, 0)["x-repo-commit"] == COMMIT
        assert "set-cookie" not in kept(reply, 1)
        assert [str(claim.digest) for claim in reply.claims] == ["sha256:" + "e" * 64]
        assert reply.validator == Validator('"cdn"')
        assert "secret" not in repr(reply.hops)
        assert {asked.connection for asked in server.asked} == {0}


def test_a_range_survives_a_redirect(openers: Openers) -> None:
    part = answer(FILE[5:], f"Content-Range: bytes 5-{len(FILE) - 1}/{len(FILE)}", status=PART)
    with scripted(routes({"/a": moved("/b"), "/b": part})) as server:
        with openers.open(f"{server.url}/a", start=5, size=len(FILE)) as reply:
            assert body_of(reply) == FILE[5:]
        assert [asked.headers["range"] for asked in server.asked] == ["bytes=5-"] * 2


@pytest.mark.parametrize(
    "location", ["/a", "ftp://host/x", "file:///etc/passwd", "http://[::1/x", "http://h:port/", "", "//"]
)
def test_a_redirect_that_must_not_be_followed_is_refused(openers: Openers, location: str) -> None:
    with scripted(routes({"/a": moved(location)})) as server, pytest.raises(SourceError) as caught:
        openers.open(f"{server.url}/a")
    assert not caught.value.transient


def test_a_loop_of_two_is_seen(openers: Openers) -> None:
    with scripted(routes({"/a": moved("/b"), "/b": moved("/a")})) as server:
        with pytest.raises(RedirectError, match="circle"):
            openers.open(f"{server.url}/a")
        assert len(server.asked) == 2


def test_redirects_come_to_an_end(openers: Openers) -> None:
    def script(peer: Peer) -> None:
        while (asked := peer.request()) is not None:
            peer.send(moved(f"{asked.target}x"))

    with scripted(script) as server:
        with pytest.raises(RedirectError, match="more than 10"):
            openers.open(f"{server.url}/a")
        assert len(server.asked) == 11


# --- credentials


def authorizations(server: Scripted) -> list[str | None]:
    return [asked.headers.get("authorization") for asked in server.asked]


def test_a_token_stays_with_its_origin() -> None:
    with scripted(always(answer(FILE))) as cdn:
        table = {"/a": moved("/b"), "/b": moved(f"{cdn.url}/c")}
        with scripted(routes(table)) as hub:
            access = HubAccess(hub.url, "hf_secret")
            with Openers.of({}, hub=access) as openers, openers.open(f"{hub.url}/a") as reply:
                assert body_of(reply) == FILE
                assert "hf_secret" not in repr(reply.hops)
            assert authorizations(hub) == ["Bearer hf_secret"] * 2
            assert authorizations(cdn) == [None]


def test_a_token_goes_to_no_other_host_and_not_over_plain_http() -> None:
    access = HubAccess("http://hub.example:8090", "hf_secret")
    assert access.token_for("http://hub.example:8090/a") is None
    secure = HubAccess("https://hub.example", "hf_secret")
    assert secure.token_for("https://hub.example/a/b") == "hf_secret"
    assert secure.token_for("https://hub.example:444/a") is None
    assert secure.token_for("http://hub.example/a") is None
    assert secure.token_for("https://hub.example.evil/a") is None
    assert secure.token_for("https://hub.example@evil/a") is None
    assert "hf_secret" not in repr(secure)


def test_user_info_in_an_address_is_sent_and_never_shown(openers: Openers) -> None:
    with scripted(always(answer(b"no", status="403 Forbidden"))) as server:
        url = server.url.replace("://", "://me:word@")
        with pytest.raises(AccessError) as caught:
            openers.open(url)
        assert "word" not in str(caught.value)
        assert authorizations(server)[0] is not None


# --- refusals


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("401 Unauthorized", AccessError),
        ("403 Forbidden", AccessError),
        ("404 Not Found", NotFoundError),
        ("410 Gone", NotFoundError),
        ("429 Too Many Requests", RateLimitedError),
        ("500 Internal Server Error", StatusError),
        ("503 Service Unavailable", RateLimitedError),
        ("204 No Content", StatusError),
        ("304 Not Modified", StatusError),
        ("418 Teapot", StatusError),
    ],
)
def test_a_refusal_is_typed_and_leaves_the_connection_usable(
    openers: Openers, status: str, error: type[SourceError]
) -> None:
    empty = status[:3] in {"204", "304"}
    headers = ("Content-Type: text/plain", "Retry-After: 3")
    sent = answer(status=status, length=None) if empty else answer(b"because", *headers, status=status)
    with scripted(always(sent, answer(FILE))) as server:
        with pytest.raises(error) as caught:
            openers.open(server.url)
        assert type(caught.value) is error
        assert caught.value.status == int(status[:3])
        assert empty or "because" in str(caught.value)
        if error is RateLimitedError:
            assert caught.value.retry_after == 3
        openers.open(server.url).__exit__(None, None, None)
        assert {asked.connection for asked in server.asked} == {0}


def test_of_a_long_refusal_only_the_beginning_is_read(openers: Openers) -> None:
    sent = answer(b"w" * 10**7, "Content-Type: text/plain", status="404 Not Found")
    with scripted(always(sent)) as server, pytest.raises(NotFoundError) as caught:
        openers.open(server.url)
    assert len(str(caught.value)) < 400


def test_a_missing_file_of_a_hub_is_named(openers: Openers) -> None:
    sent = answer(b"{}", "X-Error-Code: EntryNotFound", "X-Error-Message: Entry not found", status="404 Not Found")
    with scripted(always(sent)) as server, pytest.raises(NotFoundError, match="no such file"):
        openers.open(f"{server.url}/a/b/resolve/main/x")


def test_a_date_in_retry_after_is_held_against_the_clock(openers: Openers) -> None:
    late = "Retry-After: Wed, 01 Jan 2200 00:00:00 GMT"
    with scripted(always(answer(b"", late, status="429 Slow down"))) as server:
        with pytest.raises(RateLimitedError) as caught:
            openers.open(server.url)
        assert caught.value.retry_after == 3600


# --- nobody there


def test_a_name_without_an_address_is_told_apart(openers: Openers) -> None:
    with pytest.raises(NameResolutionError) as caught:
        openers.open("http://no-such-host.invalid/x")
    assert caught.value.transient


def test_a_name_that_cannot_be_one_is_refused(openers: Openers) -> None:
    with pytest.raises(SourceError):
        openers.open(f"http://{'a' * 70}.invalid/x")


def test_a_refused_port_is_a_dropped_connection(openers: Openers) -> None:
    with scripted(always(answer())) as server:
        url = server.url
    with pytest.raises(ConnectionDroppedError, match="refused"):
        openers.open(url)


@pytest.mark.parametrize("sent", [b"", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 200 OK\r\nbroken\r\n\r\n"])
def test_what_is_no_answer_is_worth_another_try(openers: Openers, sent: bytes) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(sent)

    with scripted(script) as server, pytest.raises(SourceError) as caught:
        openers.open(server.url)
    assert caught.value.transient


@pytest.mark.parametrize(
    "url", ["ftp://host/x", "http://", "gopher:x", "", "http:///x", "http://[::1/x", "http://h:99999999/x"]
)
def test_an_address_that_cannot_be_asked_is_refused(openers: Openers, url: str) -> None:
    with pytest.raises(SourceError) as caught:
        openers.open(url)
    assert not caught.value.transient
