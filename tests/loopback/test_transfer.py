"""Transfers over real sockets: faults, stops, limits, and several connections for one file."""

from __future__ import annotations

import hashlib
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from mirror.errors import ImpostorError, MirrorError, RedirectError, StalledError
from mirror.model import Authority, Claim, Digest, RemoteFile
from mirror.sources.opener import Openers
from mirror.stopping import Stop, TransferStopped
from mirror.store import Store
from mirror.transfer import Advanced, Policy, RateLimit, account_of, transfer
from tests.loopback.scripted import Asked, Peer, Scripted, scripted
from tests.upstream_world import WEIGHTS, serving, small_world

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mirror.transfer import Progress, Receipt
    from mirror.transfer.events import Watch

MIB = 1 << 20
PATH = "/weights.bin"
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()


def promised(url: str, data: bytes, *, strong: bool = True) -> RemoteFile:
    claims = (Claim(Digest("sha256", hashlib.sha256(data).hexdigest()), Authority.CATALOG, "catalog"),)
    return RemoteFile("m@s", "weights.bin", (url,), len(data), claims if strong else ())


def quick(**fields: Any) -> Policy:
    return Policy(**{"small": 0, "backoff": 0.01, "max_ranges": 1, **fields})


class Here:
    """A store and openers."""

    def __init__(self, root: Path, openers: Openers) -> None:
        self.store = Store(root)
        self.openers = openers
        self.stop = Stop()
        self.events: list[Progress] = []

    def fetch(self, file: RemoteFile, policy: Policy | None = None, watch: Watch | None = None) -> Receipt:
        receipt = transfer(
            file, self.openers, self.store, policy=policy or quick(), watch=watch or self.events.append, stop=self.stop
        )
        if receipt.partial is not None:
            receipt.partial.forget()
        return receipt

    def visible(self) -> list[bytes]:
        return [blob.path.read_bytes() for blob in self.store.iter_blobs()]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    with Openers.of({}, connect=2.0, stall=0.4) as openers:
        yield Here(tmp_path / "cache", openers)


def hold(here: Here, file: RemoteFile, count: int) -> None:
    """Leave a partial with the first bytes, as an earlier process would."""

    def stop_soon(event: Progress) -> None:
        if isinstance(event, Advanced):
            here.stop.set()

    with pytest.raises(TransferStopped):
        here.fetch(file, quick(rate=RateLimit(10.0 * count)), stop_soon)
    here.stop = Stop()


#: Faults that strike one request, and what becomes of the transfer: None is the right bytes.
FAULTS: dict[str, tuple[dict[str, Any], type[MirrorError] | None]] = {
    "cut at the first byte": ({"fault": "cut_after", "bytes": 0}, None),
    "cut within": ({"fault": "cut_after", "bytes": 123_457}, None),
    "cut before the last": ({"fault": "cut_after", "bytes": len(WEIGHTS) - 1}, None),
    "reset": ({"fault": "reset_after", "bytes": 100_000}, None),
    "stall": ({"fault": "stall_after", "bytes": 50_000}, None),
    "short": ({"fault": "short_body", "missing": 10}, None),
    "long": ({"fault": "long_body", "extra": 10}, None),
    "long and said so": ({"fault": "long_body", "extra": 10, "declared": True}, None),
    "endless": ({"fault": "endless_body", "cap": MIB}, None),
    "chunked": ({"fault": "chunked"}, None),
    "chunked and cut": ({"fault": "truncated_chunked", "bytes": 9000}, None),
    "no length": ({"fault": "no_length"}, None),
    "length too big": ({"fault": "lying_content_length", "kind": "big"}, None),
    "length too small": ({"fault": "lying_content_length", "kind": "small"}, None),
    "length negative": ({"fault": "lying_content_length", "kind": "negative"}, None),
    "length garbage": ({"fault": "lying_content_length", "kind": "garbage"}, None),
    "two lengths": ({"fault": "duplicate_headers"}, None),
    "two etags": ({"fault": "duplicate_headers", "header": "etag"}, None),
    "no answer": ({"fault": "close_before_headers"}, None),
    "reset for an answer": ({"fault": "close_before_headers", "reset": True}, None),
    "stalled before the answer": ({"fault": "stall_before_headers"}, None),
    "garbage for a status": ({"fault": "garbage_status_line"}, None),
    "half a header": ({"fault": "truncated_headers"}, None),
    "too many headers": ({"fault": "header_bomb"}, None),
    "200 on a range": ({"fault": "ignore_range"}, None),
    "flipped bit": ({"fault": "flip_bit", "offset": 250_000}, None),
    "zeros": ({"fault": "zeros"}, None),
    "other version": ({"fault": "etag_change"}, None),
    "other version from the middle": ({"fault": "etag_change_mid"}, None),
    "other revision": ({"fault": "other_revision"}, None),
    "weak etag": ({"fault": "weak_etag"}, None),
    "no etag": ({"fault": "no_etag"}, None),
    "range shifted": ({"fault": "wrong_content_range", "kind": "shifted"}, None),
    "range of another size": ({"fault": "wrong_content_range", "kind": "size"}, None),
    "range without a place": ({"fault": "wrong_content_range", "kind": "missing"}, None),
    "range of garbage": ({"fault": "wrong_content_range", "kind": "garbage"}, None),
    "range misplaced": ({"fault": "misplaced_range"}, None),
    "range too short": ({"fault": "shorter_range"}, None),
    "range in parts": ({"fault": "multipart_range"}, None),
    "gzip": ({"fault": "gzip"}, None),
    "429": ({"fault": "status", "code": 429, "retry_after": 0}, None),
    "503": ({"fault": "status", "code": 503}, None),
    "500": ({"fault": "status", "code": 500}, None),
    "416": ({"fault": "status", "code": 416}, None),
    "404": ({"fault": "status", "code": 404}, MirrorError),
    "403": ({"fault": "status", "code": 403}, MirrorError),
    "login page": ({"fault": "html_login"}, ImpostorError),
    "redirects in a circle": ({"fault": "redirect_loop"}, RedirectError),
}


@pytest.mark.parametrize("held", [0, pytest.param(64 << 10, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", FAULTS)
def test_after_any_fault_the_right_bytes_or_a_typed_error_and_never_a_wrong_file(
    here: Here, name: str, held: int
) -> None:
    fault, error = FAULTS[name]
    with serving() as server:
        file = promised(server.url("plain", PATH), WEIGHTS)
        if held:
            hold(here, file, held)
        before = sum(exchange.sent for exchange in server.requests())
        server.faults.add(PATH, [fault])
        if error is None:
            assert here.fetch(file).sha256 == SHA256
            assert here.visible() == [WEIGHTS]
        else:
            with pytest.raises(error) as caught:
                here.fetch(file)
            assert account_of(caught.value).attempts
            assert here.visible() == []
        wire = sum(exchange.sent for exchange in server.requests()) - before
        assert wire <= len(WEIGHTS) + MIB


@pytest.mark.parametrize("name", [name for name, (_, error) in FAULTS.items() if error is None])
def test_a_fault_that_never_ends_is_a_typed_error_or_the_right_bytes(here: Here, name: str) -> None:
    fault, _ = FAULTS[name]
    with serving(faults={PATH: [{**fault, "times": "always"}]}) as server:
        file = promised(server.url("plain", PATH), WEIGHTS)
        try:
            here.fetch(file, quick(attempts=3))
        except MirrorError as error:
            assert type(error) is not MirrorError
            assert here.visible() == []
        else:
            assert here.visible() == [WEIGHTS]


def test_bytes_on_the_wire_are_the_file_and_little_more_for_each_interruption(here: Here) -> None:
    data = WEIGHTS * 30
    world = small_world()
    world.add_object("plain", "/big.bin", data)
    cuts = [{"fault": fault, "bytes": 2 * MIB} for fault in ("cut_after", "reset_after", "cut_after")]
    with serving(world, {"/big.bin": cuts}) as server:
        here.fetch(promised(server.url("plain", "/big.bin"), data, strong=False))
        requests = server.requests()
    assert here.visible() == [data]
    assert len(requests) == 4
    assert sum(request.sent for request in requests) <= len(data) + 3 * MIB
    assert all(request.if_range for request in requests[1:])


def test_a_stop_answers_at_once_while_a_read_waits_and_keeps_the_bytes(here: Here) -> None:
    with (
        Openers.of({}, stall=30.0) as patient,
        serving(faults={PATH: [{"fault": "stall_after", "bytes": 100_000}]}) as server,
    ):
        here.openers = patient
        file = promised(server.url("plain", PATH), WEIGHTS)
        threading.Timer(0.3, here.stop.set).start()
        began = time.monotonic()
        with pytest.raises(TransferStopped):
            here.fetch(file)
        assert time.monotonic() - began < 1.3
        (partial,) = here.store.iter_partials()
        assert partial.held == 100_000
        here.stop = Stop()
        assert here.fetch(file).wire_bytes == len(WEIGHTS) - 100_000


def test_a_stop_answers_at_once_while_an_answer_is_waited_for(here: Here) -> None:
    with Openers.of({}, stall=30.0) as patient, serving(faults={PATH: [{"fault": "stall_before_headers"}]}) as server:
        here.openers = patient
        here.stop.abort_with(patient.close)
        threading.Timer(0.3, here.stop.set).start()
        began = time.monotonic()
        with pytest.raises(TransferStopped):
            here.fetch(promised(server.url("plain", PATH), WEIGHTS))
        assert time.monotonic() - began < 1.3


def test_a_source_that_only_stalls_is_given_up(here: Here) -> None:
    with (
        serving(faults={PATH: [{"fault": "stall_before_headers", "times": "always"}]}) as server,
        pytest.raises(StalledError),
    ):
        here.fetch(promised(server.url("plain", PATH), WEIGHTS), quick(attempts=2))


def test_the_rate_is_kept(here: Here) -> None:
    with serving() as server:
        began = time.monotonic()
        here.fetch(promised(server.url("plain", PATH), WEIGHTS), quick(rate=RateLimit(600_000)))
    assert 0.35 < time.monotonic() - began < 2.0


# --- several connections ---

BIG = bytes(value * 7 % 251 for value in range(MIB)) * 16


class Capped:
    """A server that gives each connection so many bytes a second, in small bursts.

    Args:
        rate: Bytes a second of one connection.
        spoil: Answers some requests otherwise; returns whether it did.
    """

    def __init__(self, rate: float, spoil: Callable[[Peer, Asked, int], bool] | None = None) -> None:
        self.rate = rate
        self.sent = 0
        self.most_at_once = 0
        self._spoil = spoil
        self._open = self._requests = 0
        self._lock = threading.Lock()

    def __call__(self, peer: Peer) -> None:
        while (asked := peer.request()) is not None:
            with self._lock:
                number = self._requests
                self._requests += 1
                self._open += 1
                self.most_at_once = max(self.most_at_once, self._open)
            try:
                if self._spoil is None or not self._spoil(peer, asked, number):
                    self._answer(peer, asked)
            finally:
                with self._lock:
                    self._open -= 1

    def _answer(self, peer: Peer, asked: Asked) -> None:
        first, last, status = 0, len(BIG), "200 OK"
        lines = ['ETag: "v1"', "Accept-Ranges: bytes"]
        if (wanted := asked.headers.get("range")) is not None:
            start, _, stop = wanted.removeprefix("bytes=").partition("-")
            first, last = int(start), int(stop) + 1 if stop else len(BIG)
            status = "206 Partial Content"
            lines.append(f"Content-Range: bytes {first}-{last - 1}/{len(BIG)}")
        lines.append(f"Content-Length: {last - first}")
        peer.send("\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode())
        burst = int(self.rate * 0.01)
        for at in range(first, last, burst):
            if peer.stopped.is_set() or peer.sock.fileno() < 0:
                return
            piece = BIG[at : min(at + burst, last)]
            try:
                peer.sock.sendall(piece)
            except OSError:
                return
            with self._lock:
                self.sent += len(piece)
            time.sleep(0.01)


def serve(capped: Capped) -> Any:
    return scripted(capped)


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[Here]:
    with Openers.of({}, stall=10.0) as openers:
        yield Here(tmp_path / "cache", openers)


def url_of(server: Scripted) -> str:
    return f"{server.url}/weights.bin"


@pytest.mark.parametrize("strong", [True, False])
def test_where_each_connection_is_capped_several_are_used(patient: Here, strong: bool) -> None:
    # So slow that a first try to widen, spoilt by a busy machine, is followed by another one.
    capped = Capped(3e6)
    with serve(capped) as server:
        receipt = patient.fetch(promised(url_of(server), BIG, strong=strong), quick(max_ranges=8))
    assert patient.visible() == [BIG]
    assert capped.most_at_once > 2
    assert len(receipt.blocks) == 16
    assert capped.sent <= len(BIG) + MIB


def test_a_fast_source_gets_one_connection(patient: Here) -> None:
    capped = Capped(4e9)
    with serve(capped) as server:
        patient.fetch(promised(url_of(server), BIG), quick(max_ranges=8))
    assert patient.visible() == [BIG]
    assert len(server.asked) == 1


def test_one_connection_is_all_that_is_used_where_no_more_are_allowed(patient: Here) -> None:
    capped = Capped(40e6)
    with serve(capped) as server:
        patient.fetch(promised(url_of(server), BIG), quick(max_ranges=1))
    assert capped.most_at_once == 1


def refuse_others(peer: Peer, asked: Asked, number: int) -> bool:
    """Refuse every request but the first while that one is served."""
    if number == 0 or number > 4:
        return False
    peer.send(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
    return True


def start_over(peer: Peer, asked: Asked, number: int) -> bool:
    """Answer every range with the whole file."""
    asked.headers.pop("range", None)
    return False


def cut_others(peer: Peer, asked: Asked, number: int) -> bool:
    """Cut the second and third connection after some bytes."""
    if number not in {1, 2}:
        return False
    start = int(asked.headers["range"].removeprefix("bytes=").partition("-")[0])
    stop = int(asked.headers["range"].partition("-")[2] or len(BIG) - 1) + 1
    head = f'HTTP/1.1 206 P\r\nETag: "v1"\r\nContent-Range: bytes {start}-{stop - 1}/{len(BIG)}\r\n'
    peer.send(f"{head}Content-Length: {stop - start}\r\n\r\n".encode() + BIG[start : start + 300_000])
    peer.reset()
    return True


def other_version(peer: Peer, asked: Asked, number: int) -> bool:
    """Answer the second request from another version of the file, without heeding If-Range."""
    if number != 1:
        return False
    start = int(asked.headers["range"].removeprefix("bytes=").partition("-")[0])
    stop = int(asked.headers["range"].partition("-")[2] or len(BIG) - 1) + 1
    head = f'HTTP/1.1 206 P\r\nETag: "v2"\r\nContent-Range: bytes {start}-{stop - 1}/{len(BIG)}\r\n'
    peer.send(f"{head}Content-Length: {stop - start}\r\n\r\n".encode() + bytes(stop - start))
    return True


@pytest.mark.parametrize("spoil", [refuse_others, start_over, cut_others, other_version])
def test_what_goes_wrong_with_one_connection_leaves_the_others_alone(
    patient: Here, spoil: Callable[[Peer, Asked, int], bool]
) -> None:
    capped = Capped(20e6, spoil)
    with serve(capped) as server:
        receipt = patient.fetch(promised(url_of(server), BIG, strong=False), quick(max_ranges=4))
        assert len(server.asked) > 1
    assert patient.visible() == [BIG]
    assert len([attempt for attempt in receipt.attempts if attempt.offset == 0]) == 0


def test_a_stop_ends_every_connection_and_another_run_goes_on(patient: Here) -> None:
    capped = Capped(6e6)
    with serve(capped) as server:
        file = promised(url_of(server), BIG)
        threading.Timer(0.5, patient.stop.set).start()
        with pytest.raises(TransferStopped):
            patient.fetch(file, quick(max_ranges=4))
        assert capped.most_at_once > 1
        (partial,) = patient.store.iter_partials()
        assert partial.held > MIB
        assert threading.active_count() < 10
        patient.stop = Stop()
        capped.rate = 4e9
        receipt = patient.fetch(file, quick(max_ranges=4))
    assert patient.visible() == [BIG]
    assert receipt.wire_bytes == len(BIG) - partial.held
