"""Which requests go straight to the host, and that they say what httpx2 would say."""

from __future__ import annotations

import subprocess
import sys

import httpx2
import pytest

from mirror.sources.access import HubAccess
from mirror.sources.asking import Asker
from mirror.sources.direct import Direct
from mirror.sources.opener import Openers
from tests.loopback.scripted import always, answer, scripted

PLAIN = [
    "/",
    "/a/b.bin",
    "/.gitattributes",
    "/a..b/...",
    "/a%20b%2Fc+~-_",
    "/f?sig=a%2Bb&t=1:2@3/4".replace("@", "."),
    "/f?",
]
ODD = ["", "/a b", "/ä", "/%zz", "/a/../b", "/a/./b", "/a/..", "/a'b", "/f#part", "/f?q=ä", "/[x]"]


class NoClientError(Exception):
    """The client was asked for."""


def no_client() -> httpx2.Client:
    raise NoClientError


def tls_is_not_needed() -> object:
    raise AssertionError("plain http")


@pytest.mark.parametrize("target", PLAIN)
def test_a_plain_address_stands_on_the_wire_as_httpx2_would_write_it(target: str) -> None:
    with scripted(always(answer(b"x"))) as server:
        direct = Direct(tls_is_not_needed)  # type: ignore[arg-type] # never called
        url = f"{server.url}{target}"
        Asker(HubAccess(), no_client, direct).ask(url, [("Range", "bytes=5-")]).body.close()
        direct.close()
        (asked,) = server.asked
        there = httpx2.URL(url)
        assert asked.target == there.raw_path.decode()
        assert asked.headers["host"] == there.netloc.decode()
        assert asked.headers["range"] == "bytes=5-"


@pytest.mark.parametrize("target", ODD)
@pytest.mark.parametrize("base", ["http://127.0.0.1:1", "http://host.example"])
def test_an_odd_address_is_left_to_the_client(base: str, target: str) -> None:
    with pytest.raises(NoClientError):
        Asker(HubAccess(), no_client, Direct(tls_is_not_needed)).ask(f"{base}{target}", ())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "url", ["http://me:word@host/f", "http://HOST/f", "http://h\u00f6st/f", "http://[::1]/f", "http://host:70000/f"]
)
def test_an_odd_host_is_left_to_the_client(url: str) -> None:
    with pytest.raises(NoClientError):
        Asker(HubAccess(), no_client, Direct(tls_is_not_needed)).ask(url, ())  # type: ignore[arg-type]


@pytest.mark.parametrize("target", ODD[1:])
def test_odd_addresses_are_asked_all_the_same(target: str) -> None:
    with scripted(always(answer(b"x"))) as server, Openers.of({}) as openers:
        openers.open(f"{server.url}{target}").__exit__(None, None, None)
        assert server.asked[0].target == httpx2.URL(f"{server.url}{target}").raw_path.decode()


def test_plain_http_never_imports_httpx2() -> None:
    program = (
        "import sys; from mirror.sources.opener import Openers; openers = Openers.of({});"
        "reply = openers.open(sys.argv[1]); reply.readinto(memoryview(bytearray(9))); openers.close();"
        "assert 'httpx2' not in sys.modules and 'ssl' not in sys.modules"
    )
    with scripted(always(answer(b"x"))) as server:
        subprocess.run([sys.executable, "-c", program, f"{server.url}/f"], check=True, timeout=30)
