"""The embedded upstream's sockets: what is right when no fault is asked for."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time

import pytest

from mirror.upstream.content import Content
from mirror.upstream.server import Server, dead_port
from mirror.upstream.world import World
from tests.upstream_world import WEIGHTS, exchange, self_signed, serving, small_world

ZIP = "/bert_models/2020_02_20/tiny.zip"


def test_one_connection_serves_many_requests() -> None:
    with serving() as server:
        client = http.client.HTTPConnection("127.0.0.1", server.port("plain"))
        for _ in range(50):
            client.request("GET", "/weights.bin", headers={"Range": "bytes=0-9"})
            assert client.getresponse().read() == WEIGHTS[:10]
        client.close()
        assert server.journal.connections == 1
        assert [one.sent for one in server.requests()] == [10] * 50


def test_small_answers_are_not_held_back_by_nagle() -> None:
    # 40 ms a request is what two small writes without TCP_NODELAY cost; 50 of them would be 2 s.
    with serving() as server:
        client = http.client.HTTPConnection("127.0.0.1", server.port("hub"))
        begin = time.monotonic()
        for _ in range(50):
            client.request("GET", "/api/agent-harnesses")
            client.getresponse().read()
        client.close()
        assert time.monotonic() - begin < 1.5


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 3_000_001])
def test_a_body_of_any_size_arrives_whole_and_is_counted(size: int) -> None:
    data = bytes(size)
    world = World()
    world.add_object("plain", "/x", data)
    with serving(world) as server:
        got = exchange(server.url("plain", "/x"))
        assert (got.status, got.body, got.ending) == (200, data, "closed")
        assert got.header("content-length") == str(size)
        assert server.requests()[0].sent == size


def test_head_has_the_headers_of_get_and_no_body() -> None:
    with serving() as server:
        head, get = (exchange(server.url("google", ZIP), method=method) for method in ("HEAD", "GET"))
        assert (head.body, get.body) == (b"", WEIGHTS)
        assert [name for name, _ in head.headers] == [name for name, _ in get.headers]
        assert head.header("content-length") == str(len(WEIGHTS))
        assert (head.header("date"), head.header("server")) != (None, None)


def test_a_connection_is_closed_when_the_client_asks_for_it() -> None:
    with serving() as server:
        kept = exchange(server.url("plain", "/weights.bin"), headers={"Connection": "keep-alive"}, patience=0.3)
        assert (kept.ending, kept.header("connection")) == ("open", None)
        got = exchange(server.url("plain", "/weights.bin"))
        assert (got.ending, got.header("connection")) == ("closed", "close")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"HELLO\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 70_000, 431),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n", 413),
        (b"DELETE / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    ],
)
def test_a_bad_request_gets_its_status(sent: bytes, status: int) -> None:
    with serving() as server, socket.create_connection(("127.0.0.1", server.port("plain")), timeout=5) as sock:
        sock.sendall(sent)
        assert sock.recv(65536).startswith(b"HTTP/1.1 %d " % status)


def test_a_request_in_pieces_is_one_request() -> None:
    with serving() as server, socket.create_connection(("127.0.0.1", server.port("plain")), timeout=5) as sock:
        for piece in (b"GET /weigh", b"ts.bin HTTP/1.1\r", b"\nHost: a\r\nRange: bytes=0-3\r\n\r", b"\n"):
            sock.sendall(piece)
            time.sleep(0.01)
        assert sock.recv(65536).endswith(WEIGHTS[:4])


def test_pipelined_requests_are_answered_in_order() -> None:
    with serving() as server, socket.create_connection(("127.0.0.1", server.port("plain")), timeout=5) as sock:
        sock.sendall(
            b"GET /weights.bin HTTP/1.1\r\nHost: a\r\nRange: bytes=0-3\r\n\r\n"
            b"GET /weights.bin HTTP/1.1\r\nHost: a\r\nRange: bytes=4-7\r\nConnection: close\r\n\r\n"
        )
        received = b""
        while data := sock.recv(65536):
            received += data
        assert received.index(WEIGHTS[:4]) < received.index(WEIGHTS[4:8])


def test_every_port_answers_as_a_proxy_for_the_real_names() -> None:
    with serving() as server, socket.create_connection(("127.0.0.1", server.port("hub")), timeout=5) as sock:
        sock.sendall(
            f"HEAD http://storage.googleapis.com{ZIP} HTTP/1.1\r\nHost: storage.googleapis.com\r\n\r\n".encode()
        )
        assert b"x-goog-hash" in sock.recv(65536)
        assert server.requests()[0].host == "google"


def test_the_host_header_alone_chooses_the_host_as_well() -> None:
    with serving() as server:
        got = exchange(server.url("hub", "/models/tiny.pdparams"), headers={"X": "y"})
        assert got.status == 404
        with socket.create_connection(("127.0.0.1", server.port("hub")), timeout=5) as sock:
            sock.sendall(b"HEAD /models/tiny.pdparams HTTP/1.1\r\nHost: paddlenlp.bj.bcebos.com\r\n\r\n")
            assert b"x-bce-content-crc32" in sock.recv(65536)


def test_real_addresses_are_rewritten_to_the_ports() -> None:
    with serving() as server:
        assert server.rewrite("https://storage.googleapis.com/a/b?c=d") == server.url("google", "/a/b?c=d")
        assert server.rewrite("https://elsewhere.example/a") == "https://elsewhere.example/a"
        assert server.host_map["bj.bcebos.com"] == ("127.0.0.1", server.port("baidu"))


def test_tls_is_spoken_with_the_callers_certificate() -> None:
    context, pem = self_signed()
    trusting = ssl.create_default_context(cadata=pem.decode())
    with serving(tls=context) as server:
        client = http.client.HTTPSConnection("127.0.0.1", server.port("plain"), context=trusting)
        client.request("GET", "/weights.bin")
        assert client.getresponse().read() == WEIGHTS
        client.close()
        doubting = http.client.HTTPSConnection("127.0.0.1", server.port("plain"))
        with pytest.raises(ssl.SSLCertVerificationError):
            doubting.request("GET", "/weights.bin")
        doubting.close()
        assert len(server.requests()) == 1


def test_credentials_are_noted_and_never_kept() -> None:
    with serving() as server:
        exchange(server.url("hub", "/api/agent-harnesses"), headers={"Authorization": "Bearer secret", "Cookie": "a=b"})
        noted = server.requests()[0]
        assert (noted.authorized, noted.cookies) == (True, True)
        assert "secret" not in repr(noted)


def test_a_dead_port_refuses() -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", dead_port()), timeout=5)


def test_closing_ends_connections_and_threads() -> None:
    before = set(threading.enumerate())
    server = Server(small_world(), faults={"*": [{"fault": "stall_after", "bytes": 5, "times": "always"}]}).start()
    idle = socket.create_connection(("127.0.0.1", server.port("hub")))
    stalled = socket.create_connection(("127.0.0.1", server.port("plain")))
    stalled.sendall(b"GET /weights.bin HTTP/1.1\r\nHost: a\r\n\r\n")
    assert stalled.recv(9) == b"HTTP/1.1 "
    begin = time.monotonic()
    server.close()
    assert time.monotonic() - begin < 2
    assert idle.recv(1) == b""
    idle.close()
    stalled.close()
    assert {thread for thread in threading.enumerate() if thread not in before} == set()


def test_a_client_that_leaves_is_no_failure() -> None:
    with serving() as server:
        with socket.create_connection(("127.0.0.1", server.port("plain"))) as sock:
            sock.sendall(b"GET /weights.bin HTTP/1.1\r\nHost: a\r\n\r\n")
        assert exchange(server.url("plain", "/weights.bin")).body == WEIGHTS
        assert all(one.finished for one in server.requests())


def test_a_port_can_be_chosen_for_the_hub() -> None:
    port = dead_port()
    with Server(small_world(), port=port) as server:
        assert server.url("hub") == f"http://127.0.0.1:{port}"


def test_many_clients_are_served_at_once() -> None:
    world = World()
    content = Content(lambda: bytes(200_000))
    world.add_object("plain", "/big", lambda: bytes(content.data))
    sizes: list[int] = []
    with serving(world) as server:
        threads = [
            threading.Thread(target=lambda: sizes.append(len(exchange(server.url("plain", "/big")).body)))
            for _ in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sizes == [200_000] * 20
