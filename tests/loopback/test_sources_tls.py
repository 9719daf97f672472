"""TLS and proxies: who is trusted, what goes through a proxy and what does not."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING

import pytest
import trustme

from mirror.errors import ConnectionDroppedError, RedirectError, SourceError, StalledError, TlsError
from mirror.sources.access import HubAccess
from mirror.sources.opener import Openers
from tests.loopback.scripted import Peer, always, answer, routes, scripted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mirror.sources.reply import Reply

FILE = b"abcdefgh" * 20000


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost", "files.example").configure_cert(context)
    return context


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def body_of(reply: Reply) -> bytes:
    got, buffer = bytearray(), memoryview(bytearray(1 << 16))
    while count := reply.readinto(buffer):
        got += buffer[:count]
    return bytes(got)


# --- TLS


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_private_ca_is_trusted_where_a_variable_names_it(
    server_tls: ssl.SSLContext, bundle: str, variable: str
) -> None:
    with (
        scripted(always(answer(FILE)), server_tls) as server,
        Openers.of({variable: bundle}) as openers,
    ):
        for _ in range(2):
            with openers.open(f"{server.url}/f") as reply:
                assert body_of(reply) == FILE
        assert {asked.connection for asked in server.asked} == {0}  # TLS connections are kept as well


@pytest.mark.parametrize("variable", ["SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"])
def test_a_folder_of_cas_is_trusted(
    server_tls: ssl.SSLContext, authority: trustme.CA, tmp_path: Path, variable: str
) -> None:
    import subprocess

    pem = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(pem))
    hashed = subprocess.run(
        ["openssl", "x509", "-hash", "-noout", "-in", str(pem)], check=True, capture_output=True, text=True
    ).stdout.strip()
    pem.rename(tmp_path / f"{hashed}.0")
    with (
        scripted(always(answer(FILE)), server_tls) as server,
        Openers.of({variable: str(tmp_path)}) as openers,
        openers.open(server.url) as reply,
    ):
        assert body_of(reply) == FILE


def test_an_unknown_ca_is_a_tls_error_and_final(server_tls: ssl.SSLContext) -> None:
    with scripted(always(answer(FILE)), server_tls) as server, Openers.of({}) as openers:
        with pytest.raises(TlsError, match="not trusted") as caught:
            openers.open(server.url)
        assert not caught.value.transient
        assert server.asked == []


def test_a_certificate_of_another_name_is_a_tls_error(authority: trustme.CA, bundle: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("other.example").configure_cert(context)
    with (
        scripted(always(answer(FILE)), context) as server,
        Openers.of({"SSL_CERT_FILE": bundle}) as openers,
        pytest.raises(TlsError),
    ):
        openers.open(server.url)


def test_a_bundle_that_is_not_there_is_named(tmp_path: Path, server_tls: ssl.SSLContext) -> None:
    with (
        scripted(always(answer(FILE)), server_tls) as server,
        Openers.of({"SSL_CERT_FILE": str(tmp_path / "gone.pem")}) as openers,
        pytest.raises(TlsError, match=r"TLS failed: SSL_CERT_FILE \(.*gone.pem\) cannot be read: No such"),
    ):
        openers.open(server.url)


def test_plain_http_on_a_tls_port_is_a_tls_error() -> None:
    def script(peer: Peer) -> None:
        peer.sock.recv(10)
        peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with scripted(script) as server, Openers.of({}) as openers, pytest.raises(TlsError, match="TLS failed"):
        openers.open(server.url.replace("http:", "https:"))


def test_a_handshake_that_is_cut_is_a_dropped_connection(bundle: str) -> None:
    def script(peer: Peer) -> None:
        peer.sock.recv(10)
        peer.reset()

    with (
        scripted(script) as server,
        Openers.of({"SSL_CERT_FILE": bundle}) as openers,
        pytest.raises(ConnectionDroppedError),
    ):
        openers.open(server.url.replace("http:", "https:"))


def test_a_tls_body_that_is_cut_stalled_or_aborted_is_an_error(server_tls: ssl.SSLContext, bundle: str) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(answer(FILE[:10], length=len(FILE)))
        if peer.number:
            peer.hang()

    with (
        scripted(script, server_tls) as server,
        Openers.of({"SSL_CERT_FILE": bundle}, stall=0.5) as openers,
    ):
        with openers.open(server.url) as reply, pytest.raises(ConnectionDroppedError):
            body_of(reply)
        with openers.open(server.url) as reply, pytest.raises(StalledError):
            body_of(reply)
        with openers.open(server.url) as reply:
            timer = threading.Timer(0.1, reply.abort)
            timer.start()
            before = time.monotonic()
            with pytest.raises(ConnectionDroppedError):
                body_of(reply)
            assert time.monotonic() - before < 0.4
            timer.join()


def test_https_never_becomes_http(server_tls: ssl.SSLContext, bundle: str) -> None:
    with scripted(always(answer(FILE))) as plain:
        moved = answer(b"", f"Location: {plain.url}/f", status="302 Found")
        with (
            scripted(always(moved), server_tls) as server,
            Openers.of({"SSL_CERT_FILE": bundle}) as openers,
            pytest.raises(RedirectError, match="from https to"),
        ):
            openers.open(server.url)
        assert plain.asked == []


# --- proxies


class Proxy:
    """A proxy that knows one place: whatever is asked for, it is found at ``port``."""

    def __init__(self, port: int) -> None:
        self.lines: list[str] = []
        self.authorizations: list[str | None] = []
        self._port = port

    def script(self, peer: Peer) -> None:
        asked = peer.request()
        if asked is None:
            return
        self.lines.append(asked.line)
        self.authorizations.append(asked.headers.get("proxy-authorization"))
        with socket.create_connection(("127.0.0.1", self._port)) as there:
            if asked.line.startswith("CONNECT "):
                peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                head = [f"GET {'/' + asked.target.split('/', 3)[3]} HTTP/1.1"]
                head += [f"{name}: {value}" for name, value in asked.headers.items()]
                there.sendall("\r\n".join([*head, "Connection: close", "", ""]).encode())
            _pass_on(peer.sock, there)


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    while True:
        ready, _, _ = select.select([one, other], [], [], 5)
        if not ready:
            return
        for sock in ready:
            data = sock.recv(65536)
            if not data:
                return
            (other if sock is one else one).sendall(data)


@contextlib.contextmanager
def proxied(port: int) -> Iterator[tuple[Proxy, str]]:
    proxy = Proxy(port)
    with scripted(proxy.script) as server:
        yield proxy, f"127.0.0.1:{server.port}"


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
def test_http_goes_through_the_proxy(variable: str) -> None:
    with (
        scripted(routes({"/f": answer(FILE, 'ETag: "1"')})) as server,
        proxied(server.port) as (proxy, at),
        Openers.of({variable: f"http://me:word@{at}"}) as openers,
    ):
        with openers.open("http://files.example/f", size=len(FILE)) as reply:
            assert body_of(reply) == FILE
            assert reply.validator.etag == '"1"'
            assert reply.url == "http://files.example/f"
        assert proxy.lines == ["GET http://files.example/f HTTP/1.1"]
        assert proxy.authorizations == ["Basic bWU6d29yZA=="]
        assert server.asked[0].headers["host"] == "files.example"


def test_https_goes_through_a_tunnel(server_tls: ssl.SSLContext, bundle: str) -> None:
    with (
        scripted(always(answer(FILE)), server_tls) as server,
        proxied(server.port) as (proxy, at),
        Openers.of({"https_proxy": at, "SSL_CERT_FILE": bundle}) as openers,
    ):
        with openers.open("https://files.example/f") as reply:
            assert body_of(reply) == FILE
        assert proxy.lines == ["CONNECT files.example:443 HTTP/1.1"]


def test_a_token_goes_through_the_tunnel_and_not_to_the_proxy(server_tls: ssl.SSLContext, bundle: str) -> None:
    with (
        scripted(always(answer(FILE)), server_tls) as server,
        proxied(server.port) as (proxy, at),
        Openers.of(
            {"https_proxy": at, "SSL_CERT_FILE": bundle}, hub=HubAccess("https://files.example", "hf_secret")
        ) as openers,
    ):
        with openers.open("https://files.example/f") as reply:
            body_of(reply)
        assert server.asked[0].headers["authorization"] == "Bearer hf_secret"
        assert proxy.lines == ["CONNECT files.example:443 HTTP/1.1"]


def test_this_machine_is_never_asked_through_a_proxy() -> None:
    with scripted(always(answer(FILE))) as server, Openers.of({"ALL_PROXY": "http://127.0.0.1:9"}) as openers:
        with openers.open(f"{server.url}/f") as reply:
            assert body_of(reply) == FILE
        with openers.open(f"{server.url.replace('127.0.0.1', 'localhost')}/f") as reply:
            assert body_of(reply) == FILE


def test_a_short_body_through_a_proxy_is_a_dropped_connection() -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(answer(FILE[:10], length=len(FILE)))

    with (
        scripted(script) as server,
        proxied(server.port) as (_, at),
        Openers.of({"http_proxy": at}) as openers,
        openers.open("http://files.example/f") as reply,
        pytest.raises(ConnectionDroppedError),
    ):
        body_of(reply)


@pytest.mark.parametrize("by", ["reply", "openers"])
def test_a_reply_through_a_proxy_can_be_stopped(by: str) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(answer(FILE[:10], length=len(FILE)))
        peer.hang()

    with (
        scripted(script) as server,
        proxied(server.port) as (_, at),
        Openers.of({"http_proxy": at}, stall=5) as openers,
        openers.open("http://files.example/f") as reply,
    ):
        timer = threading.Timer(0.1, reply.abort if by == "reply" else openers.close)
        timer.start()
        before = time.monotonic()
        with pytest.raises(ConnectionDroppedError):
            body_of(reply)
        assert time.monotonic() - before < 1.5
        timer.join()


@pytest.mark.parametrize("url", ["http://files.example/f", "https://files.example/f"])
@pytest.mark.parametrize("proxy", ["127.0.0.1:9", "no.such.name.invalid:3128"])
def test_a_proxy_that_is_not_there_is_named_without_its_password(url: str, proxy: str) -> None:
    with Openers.of({"ALL_PROXY": f"http://me:word@{proxy}"}) as openers:
        with pytest.raises(ConnectionDroppedError, match=f"{url}: the proxy {proxy} gives no connection: ") as caught:
            openers.open(url)
        assert "word" not in str(caught.value)
        assert "HTTPS_PROXY" in caught.value.hint


def test_a_proxy_that_refuses_is_named() -> None:
    denied = always(answer(b"", "Proxy-Authenticate: Basic", status="407 Proxy Authentication Required"))
    with scripted(denied) as proxy, Openers.of({"https_proxy": f"127.0.0.1:{proxy.port}"}) as openers:
        with pytest.raises(SourceError, match=f"the proxy 127.0.0.1:{proxy.port} refuses: 407") as caught:
            openers.open("https://files.example/f")
        assert "NO_PROXY" in caught.value.hint


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "gopher://127.0.0.1:9", "http://[::1", "127.0.0.1:9"])
def test_a_proxy_that_cannot_be_used_is_our_error(proxy: str) -> None:
    with Openers.of({"http_proxy": proxy}) as openers, pytest.raises(SourceError):
        openers.open("http://files.example/f")
