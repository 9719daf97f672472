"""The transport for direct connections: keep-alive, bodies, and everything that can break them."""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from typing import TYPE_CHECKING

import httpx2
import pytest

from mirror.errors import ConnectionDroppedError, SourceError, StalledError
from mirror.sources.direct import Answer, Direct
from mirror.sources.transport import ANSWER, DirectTransport
from tests.loopback.scripted import Peer, Scripted, always, answer, scripted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mirror.sources.body import SocketBody


@pytest.fixture
def client() -> Iterator[httpx2.Client]:
    with httpx2.Client(
        transport=DirectTransport(Direct(ssl.create_default_context)), timeout=httpx2.Timeout(5.0), trust_env=False
    ) as made:
        yield made


def body_of(response: httpx2.Response) -> SocketBody:
    answer = response.extensions[ANSWER]
    assert isinstance(answer, Answer)
    return answer.body


def test_httpx2_reads_a_body_as_usual(client: httpx2.Client) -> None:
    with scripted(always(answer(b"hello", "X-A: 1", "X-A: 2", status="200 Fine"))) as server:
        got = client.get(server.url)
        assert (got.status_code, got.reason_phrase, got.http_version) == (200, "Fine", "HTTP/1.1")
        assert got.content == b"hello"
        assert got.headers.get_list("x-a") == ["1", "2"]


def test_requests_share_a_connection(client: httpx2.Client) -> None:
    with scripted(always(answer(b"x" * 100000), answer(b""), answer(b"y"))) as server:
        assert [len(client.get(server.url).content) for _ in range(4)] == [100000, 0, 1, 1]
        assert {asked.connection for asked in server.asked} == {0}


def test_parallel_requests_have_a_connection_each_and_keep_them(client: httpx2.Client) -> None:
    with scripted(always(answer(b"x"))) as server:
        with client.stream("GET", server.url), client.stream("GET", server.url) as second:
            second.read()
        client.get(server.url)
        assert [asked.connection for asked in server.asked] == [0, 1, 1]


def test_a_body_that_was_not_read_costs_the_connection(client: httpx2.Client) -> None:
    with scripted(always(answer(b"x" * 10))) as server:
        with client.stream("GET", server.url):
            pass
        client.get(server.url)
        assert [asked.connection for asked in server.asked] == [0, 1]


@pytest.mark.parametrize("header", ["Connection: close", "Connection: foo, Close"])
def test_close_is_obeyed(client: httpx2.Client, header: str) -> None:
    with scripted(always(answer(b"x", header))) as server:
        client.get(server.url)
        client.get(server.url)
        assert [asked.connection for asked in server.asked] == [0, 1]


def test_a_connection_that_was_closed_while_idle_is_not_used(client: httpx2.Client) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(answer(b"x"))  # and closes

    with scripted(script) as server:
        client.get(server.url)
        time.sleep(0.05)
        assert client.get(server.url).content == b"x"
        assert [asked.connection for asked in server.asked] == [0, 1]


def test_a_connection_that_dies_with_the_request_on_it_is_replaced_once(client: httpx2.Client) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(answer(b"x"))
        peer.request()
        if peer.number:
            peer.send(answer(b"y"))
        else:
            peer.reset()  # the server's keep-alive ran out just as the request was on its way

    with scripted(script) as server:
        client.get(server.url)
        assert client.get(server.url).content == b"x"  # the first answer of the second connection
        assert [asked.connection for asked in server.asked] == [0, 0, 1]


def test_a_fresh_connection_that_dies_is_not_replaced(client: httpx2.Client) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.reset()

    with scripted(script) as server:
        with pytest.raises((httpx2.NetworkError, httpx2.RemoteProtocolError)):
            client.get(server.url)
        assert len(server.asked) == 1


def test_an_answer_that_breaks_off_is_not_asked_for_again(client: httpx2.Client) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(answer(b"x"))
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-")

    with scripted(script) as server:
        client.get(server.url)
        with pytest.raises(httpx2.NetworkError):
            client.get(server.url)
        assert len(server.asked) == 2


def test_the_request_is_one_write_with_its_host(client: httpx2.Client) -> None:
    with scripted(always(answer())) as server:
        client.get(f"{server.url}/a%20b?c=d#e", headers={"X": "y"})
        (asked,) = server.asked
        assert asked.line == "GET /a%20b?c=d HTTP/1.1"
        assert asked.headers["host"] == f"127.0.0.1:{server.port}"
        assert asked.headers["x"] == "y"


def test_a_head_request_reads_no_body(client: httpx2.Client) -> None:
    with scripted(always(answer(b"", length=1000))) as server:
        assert client.head(server.url).headers["content-length"] == "1000"
        client.head(server.url)
        assert {asked.connection for asked in server.asked} == {0}


def test_a_method_that_nobody_here_needs_is_not_sent(client: httpx2.Client) -> None:
    with scripted(always(answer())) as server, pytest.raises(httpx2.LocalProtocolError):
        client.put(server.url, content=b"x")


def test_a_post_goes_over_a_new_connection_since_it_may_not_be_repeated(client: httpx2.Client) -> None:
    with scripted(always(answer(b"x"))) as server:
        for method in ("GET", "POST", "GET"):
            client.request(method, server.url, content=b"pwd=a1b2" if method == "POST" else None)
        assert [asked.connection for asked in server.asked][:2] == [0, 1]
        assert server.asked[1].headers["content-length"] == "8"


def test_a_post_that_gets_no_answer_is_not_sent_again(client: httpx2.Client) -> None:
    def script(peer: Peer) -> None:
        asked = peer.request()
        if asked is not None and asked.line.startswith("GET"):
            peer.send(answer(b"x"))

    with scripted(script) as server:
        client.get(server.url)
        with pytest.raises(httpx2.NetworkError):
            client.post(server.url, content=b"x")
        assert [asked.line.split()[0] for asked in server.asked] == ["GET", "POST"]


# --- bodies

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("piece", [1, 3, 7, 100000])
@pytest.mark.parametrize("room", [1, 4, 65536])
def test_a_chunked_body_is_the_same_however_it_is_cut(client: httpx2.Client, piece: int, room: int) -> None:
    wire = CHUNKED + b"5;ext=1\r\nhello\r\n00001\r\n \r\nA\r\nworld12345\r\n0\r\nTrailer: x\r\n\r\n"

    def script(peer: Peer) -> None:
        while peer.request() is not None:
            for at in range(0, len(wire), piece):
                peer.send(wire[at : at + piece])

    with scripted(script) as server:
        for _ in range(2):
            with client.stream("GET", server.url) as response:
                stream, body = body_of(response), b""
                buffer = memoryview(bytearray(room))
                while count := stream.readinto(buffer):
                    body += bytes(buffer[:count])
                assert body == b"hello world12345"
                assert stream.readinto(buffer) == 0
        assert {asked.connection for asked in server.asked} == {0}


@pytest.mark.parametrize(
    "rest",
    [
        b"5\r\nhel",
        b"5\r\nhelloXX\r\n0\r\n\r\n",
        b"-5\r\n",
        b"\r\n",
        b"G\r\n",
        b"5_0\r\n",
        b"9" * 16 + b"\r\n",
        b"5" * 70000,
    ],
)
def test_a_chunked_body_that_makes_no_sense_is_an_error(client: httpx2.Client, rest: bytes) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(CHUNKED + rest)

    with scripted(script) as server, pytest.raises((httpx2.NetworkError, httpx2.RemoteProtocolError)):
        client.get(server.url)


def test_a_body_without_a_length_ends_with_the_connection(client: httpx2.Client) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(answer(b"to the end", length=None))

    with scripted(script) as server:
        assert client.get(server.url).content == b"to the end"


def test_a_body_longer_than_stated_is_cut_and_the_connection_not_reused(client: httpx2.Client) -> None:
    with scripted(always(answer(b"exactlyEXTRA", length=7))) as server:
        assert client.get(server.url).content == b"exactly"
        assert client.get(server.url).content == b"exactly"
        assert [asked.connection for asked in server.asked] == [0, 1]


def test_a_large_body_comes_straight_into_the_buffer(client: httpx2.Client) -> None:
    body = bytes(range(256)) * 40000
    with scripted(always(answer(body))) as server, client.stream("GET", server.url) as response:
        stream, got = body_of(response), bytearray()
        buffer = memoryview(bytearray(1 << 19))
        while count := stream.readinto(buffer):
            got += buffer[:count]
        assert got == body


def cut(how: Callable[[Peer], object], sent: bytes = b"half") -> Callable[[Peer], None]:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(answer(sent, length=1000))
        how(peer)

    return script


def test_a_short_body_is_a_dropped_connection(client: httpx2.Client) -> None:
    with scripted(cut(lambda peer: None)) as server, pytest.raises(httpx2.NetworkError, match="996 B"):
        client.get(server.url)


def test_a_reset_body_is_a_dropped_connection(client: httpx2.Client) -> None:
    def late(peer: Peer) -> None:
        time.sleep(0.05)  # a reset overtakes bytes that the client has not read yet
        peer.reset()

    with scripted(cut(late)) as server, pytest.raises(httpx2.NetworkError):
        client.get(server.url)


@pytest.mark.parametrize("sent", [b"", answer(b"half", length=1000)])
def test_silence_is_a_timeout(client: httpx2.Client, sent: bytes) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(sent)
        peer.hang()

    with scripted(script) as server:
        before = time.monotonic()
        with pytest.raises(httpx2.ReadTimeout) as caught:
            client.get(server.url, timeout=0.2)
        assert isinstance(caught.value.__cause__, StalledError)
        assert time.monotonic() - before < 2


# --- heads


def test_informational_responses_are_skipped(client: httpx2.Client) -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
    with scripted(always(early + answer(b"x"))) as server:
        assert client.get(server.url).content == b"x"


@pytest.mark.parametrize(
    "sent",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 30,
        b"",
    ],
)
def test_what_is_no_response_is_a_protocol_error(client: httpx2.Client, sent: bytes) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(sent)

    with scripted(script) as server, pytest.raises((httpx2.NetworkError, httpx2.RemoteProtocolError)):
        client.get(server.url)


# --- nobody there, and stopping


def test_a_refused_port_is_an_error_of_httpx2_with_ours_as_its_cause(client: httpx2.Client) -> None:
    with scripted(always(answer())) as server:
        url = server.url
    with pytest.raises(httpx2.NetworkError, match="refused") as caught:
        client.get(url)
    assert isinstance(caught.value.__cause__, ConnectionDroppedError)
    assert isinstance(caught.value.__cause__.__cause__, ConnectionRefusedError)


def stopped_within(seconds: float, wait: Callable[[], object], stop: Callable[[], object]) -> BaseException | None:
    """Call ``wait`` in a thread, ``stop`` it from here, and return what it raised."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            wait()
        except (httpx2.HTTPError, SourceError) as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    time.sleep(0.1)
    stop()
    thread.join(seconds)
    assert not thread.is_alive()
    return raised[0] if raised else None


@contextlib.contextmanager
def silent(after: bytes) -> Iterator[Scripted]:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(after)
        peer.hang()

    with scripted(script) as server:
        yield server


def test_abort_wakes_whoever_waits_for_a_byte(client: httpx2.Client) -> None:
    with silent(answer(b"half", length=1000)) as server, client.stream("GET", server.url) as response:
        stream = body_of(response)
        stream.readinto(memoryview(bytearray(4)))
        error = stopped_within(1, lambda: stream.readinto(memoryview(bytearray(10))), stream.abort)
        assert isinstance(error, ConnectionDroppedError)


def test_closing_the_transport_wakes_whoever_waits_for_an_answer() -> None:
    transport = DirectTransport(Direct(ssl.create_default_context))
    client = httpx2.Client(transport=transport, trust_env=False)
    with silent(b"") as server:
        error = stopped_within(1, lambda: client.get(server.url, timeout=30), transport.close)
        assert isinstance(error, httpx2.HTTPError)
        with pytest.raises(httpx2.NetworkError):
            client.get(server.url)
    client.close()


def test_closing_the_transport_closes_what_is_idle() -> None:
    ended = threading.Event()

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(answer(b"x"))
        if peer.request() is None:
            ended.set()

    with scripted(script) as server:
        with httpx2.Client(transport=DirectTransport(Direct(ssl.create_default_context)), trust_env=False) as client:
            client.get(server.url)
        assert ended.wait(2)
