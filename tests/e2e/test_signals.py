"""Ctrl-C and SIGTERM at every kind of moment: exit 130 within two seconds, nothing lost, nothing wrong."""

from __future__ import annotations

import random
import signal
import socket
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.faults.fleet import sailing
from tests.faults.processes import Running
from tests.faults.pulling import LANES, LARGE, MIB, Stand, assert_nothing_left, assert_sound, standing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.command import Command

HUB = LANES["hub-large"]
BOTH = pytest.mark.parametrize(
    "number",
    [pytest.param(signal.SIGINT, id="Ctrl-C"), pytest.param(signal.SIGTERM, id="SIGTERM", marks=pytest.mark.slow)],
)
PROMPT = 2.0


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    with standing(tmp_path / "mirror", HUB) as stand:
        yield stand


@contextmanager
def pulling(stand: Stand, *options: str) -> Iterator[Running]:
    with Running(stand.root, "pull", "--all", *options, environ=stand.environ) as process:
        yield process


def stop(process: Running, *numbers: signal.Signals) -> None:
    """Send the signals; the process must end soon, with the right code and word."""
    begun = time.monotonic()
    for number in numbers:
        process.send(number)
        time.sleep(0.003)
    code = process.end(within=10)
    elapsed = time.monotonic() - begun
    assert (code, elapsed < PROMPT) == (130, True), f"{code} after {elapsed:.2f} s: {process.err}"
    assert "every partial is kept" in process.err
    assert "Traceback" not in process.err


def held(stand: Stand) -> int:
    """Return the bytes that partials hold."""
    return sum(state.held for state in stand.mirror.store.iter_partials())


def asked(stand: Stand, count: int = 1, *, path: str = "") -> Callable[[], bool]:
    """Return whether so many requests for the file, or another path, have come."""
    return lambda: (
        sum(
            one.path.endswith(path or stand.lane.path) or (not path and one.host == "cdn")
            for one in stand.server.requests(settle=0)
        )
        >= count
    )


def sent(stand: Stand, count: int) -> Callable[[], bool]:
    """Return whether so many bytes of the file are on their way."""
    return lambda: sum(one.sent for one in stand.server.requests(settle=0) if "/api/" not in one.path) >= count


def assert_goes_on(stand: Stand, *, wire: int) -> None:
    """Nothing wrong is visible, and a second run brings the rest with so many bytes on the wire in total."""
    assert_sound(stand, [stand.lane.data])
    stand.server.faults.clear()
    with pulling(stand) as process:
        assert process.end() == 0, process.err
    assert_sound(stand, [stand.lane.data])
    assert_nothing_left(stand.mirror)
    assert stand.sent() <= wire


@BOTH
def test_a_stalled_body(stand: Stand, number: signal.Signals) -> None:
    stand.strike({"fault": "stall_after", "bytes": MIB + 12345})
    with pulling(stand) as process:
        process.until(sent(stand, MIB + 12345))
        time.sleep(0.2)
        stop(process, number)
    assert held(stand) == MIB + 12345
    assert_goes_on(stand, wire=LARGE)


@BOTH
def test_a_slow_drip(stand: Stand, number: signal.Signals) -> None:
    stand.strike({"fault": "slow_drip", "rate": 400_000.0, "times": "always"})
    with pulling(stand) as process:
        process.until(sent(stand, 150_000))
        stop(process, number)
    assert held(stand) > 50_000
    assert_goes_on(stand, wire=LARGE + MIB)


@BOTH
def test_the_pause_after_a_failure(stand: Stand, number: signal.Signals) -> None:
    stand.strike({"fault": "cut_after", "bytes": 70_000})
    with pulling(stand, "--retry-pause", "60") as process:
        process.until(lambda: held(stand) == 70_000)
        time.sleep(0.1)
        stop(process, number)
    assert held(stand) == 70_000
    assert_goes_on(stand, wire=LARGE)


@pytest.mark.slow
def test_the_pause_that_a_host_asks_for(stand: Stand) -> None:
    stand.strike({"fault": "status", "code": 429, "retry_after": 120, "host": "hub"})
    with pulling(stand) as process:
        process.until(asked(stand))
        time.sleep(0.1)
        stop(process, signal.SIGINT)
    assert_goes_on(stand, wire=LARGE)


@pytest.mark.parametrize("fault", ["stall_before_headers", pytest.param("stall_after", marks=pytest.mark.slow)])
@BOTH
def test_a_hub_that_does_not_say_what_it_has(stand: Stand, number: signal.Signals, fault: str) -> None:
    stand.server.faults.add("/api/models/*", [{"fault": fault}])
    with pulling(stand) as process:
        process.until(asked(stand, path="30b0a37ccaaa32f332884b96992754e246e48c5f"))
        time.sleep(0.3)
        stop(process, number)
    assert_goes_on(stand, wire=LARGE)


@BOTH
def test_a_host_that_never_answers(stand: Stand, number: signal.Signals) -> None:
    stand.strike({"fault": "stall_before_headers"})
    with pulling(stand) as process:
        process.until(asked(stand, 2))
        time.sleep(0.1)
        stop(process, number)
    assert_goes_on(stand, wire=LARGE)


@contextmanager
def full_backlog() -> Iterator[int]:
    """A port where connections are neither accepted nor refused."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        waiting = []
        for _ in range(4):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(address)
            waiting.append(sock)
        yield address[1]
        for sock in waiting:
            sock.close()


@pytest.mark.slow
def test_a_host_that_does_not_take_the_connection(stand: Stand) -> None:
    with full_backlog() as port, pulling(stand) as process:
        stand.strike({"fault": "redirect_to", "url": f"http://127.0.0.1:{port}/x", "host": "hub"})
        process.until(asked(stand))
        time.sleep(0.3)
        stop(process, signal.SIGINT)
    assert_goes_on(stand, wire=LARGE)


@pytest.mark.slow
def test_a_limited_rate(stand: Stand) -> None:
    with pulling(stand, "--limit-rate", "100k") as process:
        process.until(lambda: held(stand) > 20_000)
        stop(process, signal.SIGINT)
    assert held(stand) > 20_000
    assert_goes_on(stand, wire=2 * LARGE)


@pytest.mark.slow
def test_another_process_has_the_file(stand: Stand) -> None:
    stand.strike({"fault": "stall_after", "bytes": 100_000})
    with pulling(stand) as owner:
        owner.until(sent(stand, 100_000))
        with pulling(stand) as waiting:
            time.sleep(1.0)
            assert waiting.process.poll() is None
            stop(waiting, signal.SIGINT)
        assert owner.process.poll() is None
        stop(owner, signal.SIGINT)
    assert held(stand) == 100_000
    assert_goes_on(stand, wire=LARGE)


def test_a_demo_in_a_temporary_folder_promises_nothing(command: Command, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    process = command.at(tmp_path, TMPDIR=str(scratch)).start("demo")
    deadline = time.monotonic() + 30
    while not list(scratch.glob("*/cache/blobs")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert (process.returncode, list(scratch.iterdir())) == (130, [])
    assert err.splitlines()[-1] == ("stopped; the demo's temporary folder is removed, and the same command begins anew")


@BOTH
def test_an_impatient_person(stand: Stand, number: signal.Signals) -> None:
    stand.strike({"fault": "stall_after", "bytes": MIB + 1})
    with pulling(stand) as process:
        process.until(sent(stand, MIB + 1))
        time.sleep(0.2)
        stop(process, *[number] * 60)
    assert_goes_on(stand, wire=LARGE)


@pytest.mark.slow
def test_any_moment_of_the_start(stand: Stand) -> None:
    stand.strike({"fault": "stall_before_headers", "times": "always"})
    ready = "import os; from mirror.interrupt import answer_signals; answer_signals(); os.write(1, b'.')"
    program = (sys.executable, "-c", f"{ready}; from mirror.__main__ import main; main()")
    for number in range(60):
        with Running(stand.root, "pull", "--all", environ=stand.environ, program=program) as process:
            assert process.process.stdout is not None
            assert process.process.stdout.read(1) == "."
            time.sleep(number * 0.005)
            stop(process, signal.SIGINT)
            assert "Exception ignored" not in process.err


@pytest.mark.slow
def test_any_moment_of_a_pull_of_many_files(tmp_path: Path) -> None:
    moments = random.Random(5)
    stopped = 0
    for number in range(20):
        with sailing(tmp_path / str(number)) as fleet:
            fleet.slow_down(moments.choice([800_000.0, 3_000_000.0, 0.0]))
            with Running(fleet.root, "pull", "--all", "--jobs", "8", environ=fleet.environ) as process:
                process.until(lambda: bool(fleet.server.requests(settle=0)))
                time.sleep(moments.uniform(0, 0.6))
                begun = time.monotonic()
                process.send(moments.choice([signal.SIGINT, signal.SIGTERM]))
                code = process.end(within=10)
                assert (code in {0, 130}, time.monotonic() - begun < PROMPT) == (True, True), process.err
                assert "Traceback" not in process.err
                stopped += code == 130
            fleet.assert_sound()
            assert all(state.live is not True for state in fleet.mirror.store.iter_partials())
            fleet.slow_down(0)
            assert fleet.mirror.sync(everything=True).problems == []
            fleet.assert_complete()
    assert stopped >= 10
