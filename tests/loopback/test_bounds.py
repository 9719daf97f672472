"""Answers without an end, a bottom or a pace: refused before they take memory or time that nobody has."""

from __future__ import annotations

import gzip
import json
import time
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from mirror.bounds import Bounds
from mirror.errors import SourceError, StalledError
from mirror.sources.access import HubAccess
from mirror.sources.bounds import gathered
from mirror.sources.hub_client import LISTING
from mirror.sources.listing import list_artifact
from mirror.sources.opener import Openers
from mirror.sources.peer import list_peer
from tests.artifacts import REPO, Artifact
from tests.loopback.scripted import Peer, Script, always, answer, scripted

if TYPE_CHECKING:
    from collections.abc import Callable

    from mirror.model import Listing

pytestmark = pytest.mark.slow  # whole commands, one after the other: seconds each

COMMIT = "c" * 40
MIB = 1 << 20
STALL = 0.2


def endless(head: bytes, piece: bytes, pause: float = 0.0) -> Script:
    """Send ``head``, then ``piece`` again and again until the client goes."""

    def script(peer: Peer) -> None:
        while peer.request() is not None:
            peer.sock.sendall(head)
            while not peer.stopped.wait(pause):
                peer.sock.sendall(piece)

    return script


def listed(url: str) -> Listing:
    with Openers.of({}, stall=STALL, hub=HubAccess(url)) as openers:
        return list_artifact(Artifact(), openers)


def offered(url: str) -> object:
    with Openers.of({}, stall=STALL) as openers:
        return list_peer(url, openers)


ASKED = [pytest.param(listed, id="a hub"), pytest.param(offered, id="a peer")]


@pytest.mark.parametrize("ask", ASKED)
def test_an_answer_without_an_end_is_not_read_to_it(ask: Callable[[str], object]) -> None:
    begun = answer(b'{"id": "', "Content-Type: application/json", length=None)
    tracemalloc.start()
    try:
        with scripted(endless(begun, b"a" * MIB)) as server, pytest.raises(SourceError, match="an answer of more than"):
            ask(server.url)
        assert tracemalloc.get_traced_memory()[1] < 700 * MIB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(answer(b'{"id": "', length=None), id="body"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: ", id="head"),
        pytest.param(answer(b"", "Transfer-Encoding: chunked", length=None), id="size of a chunk"),
        pytest.param(answer(b"0\r\nX: ", "Transfer-Encoding: chunked", length=None), id="trailer"),
    ],
)
@pytest.mark.parametrize("ask", ASKED)
def test_an_answer_that_drips_is_not_waited_for(ask: Callable[[str], object], head: bytes) -> None:
    began = time.monotonic()
    with scripted(endless(head, b"0", STALL / 10)) as server, pytest.raises(StalledError):
        ask(server.url)
    assert time.monotonic() - began < 15  # a busy machine's; without a bound it is for ever


def test_an_answer_that_unpacks_to_far_more_is_refused() -> None:
    packed = gzip.compress(b'{"id": "' + bytes(LISTING.size))
    sent = answer(packed, "Content-Encoding: gzip", "Content-Type: application/json")
    with scripted(always(sent)) as server, pytest.raises(SourceError, match="an answer of more than"):
        listed(server.url)
    assert len(packed) < MIB


@pytest.mark.parametrize("coding", ["gzip, gzip", "br", "zstd", "deflate"])
def test_a_coding_that_nobody_asked_for_is_refused(coding: str) -> None:
    sent = answer(gzip.compress(b"{}"), f"Content-Encoding: {coding}")
    with scripted(always(sent)) as server, pytest.raises(SourceError, match="nobody asked for"):
        listed(server.url)


@pytest.mark.parametrize("ask", ASKED)
def test_an_answer_of_nothing_but_lists_is_refused_before_it_is_read(ask: Callable[[str], object]) -> None:
    sent = answer(b'{"id": [' + b"[]," * MIB + b"0]}")
    with scripted(always(sent)) as server, pytest.raises(SourceError, match="more than anybody has a use for"):
        ask(server.url)


def test_pages_without_an_end_are_not_turned_for_ever() -> None:
    bare = {"id": REPO, "sha": COMMIT, "siblings": [{"rfilename": "config.json"}]}

    def script(peer: Peer) -> None:
        while (asked := peer.request()) is not None:
            if "/tree/" in asked.target:
                following = f"{server.url}/api/models/{REPO}/tree/{COMMIT}?cursor={len(server.asked)}"
                peer.send(answer(b"[]", f'Link: <{following}>; rel="next"'))
            else:
                peer.send(answer(json.dumps(bare).encode()))

    with scripted(script) as server, pytest.raises(SourceError, match="a listing of more than 200 pages"):
        listed(server.url)


def test_time_goes_to_what_comes_at_a_rate_that_ends() -> None:
    ticks = iter(range(1000))
    chunks = [bytes(65536)] * 100
    bounds = Bounds(100 << 16, 0, 0, 0)
    assert len(gathered(chunks, bounds, stall=1, clock=lambda: float(next(ticks)))) == bounds.size
    ticks = iter(range(1000))
    with pytest.raises(StalledError, match="only drips: 6 B in 6 s"):
        gathered([b"a"] * 100, bounds, stall=1, clock=lambda: float(next(ticks)))
