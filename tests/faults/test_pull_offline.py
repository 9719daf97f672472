"""What needs no network opens no socket: proven by Python's own audit events, and in a namespace without any."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.faults.fleet import Fleet, sailing
from tests.faults.processes import PROGRAM, Running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Runs the program and ends it, with a code that it never has itself, at the first thing a socket is used for.
SOCKETLESS = """
import os, sys

def refuse(event, args):
    if event.startswith("socket."):
        os.write(2, f"{event} {args}".encode())
        os._exit(99)

sys.addaudithook(refuse)
from mirror.cli import main
main()
"""


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with sailing(tmp_path / "mirror", copies=1, parts=2) as fleet:
        yield fleet


def without_socket(fleet: Fleet, *words: str) -> tuple[int, str, str]:
    """Run a command that may not touch a socket; return exit code, stdout and stderr."""
    program = (sys.executable, "-c", SOCKETLESS)
    with Running(fleet.root, *words, environ=fleet.environ, program=program) as process:
        return process.end(), process.out, process.err


def test_the_proof_would_find_a_socket(fleet: Fleet) -> None:
    code, _, said = without_socket(fleet, "pull", "--all")
    assert code == 99, said


def test_offline_and_everything_held(fleet: Fleet) -> None:
    fleet.mirror.sync(everything=True)
    assert without_socket(fleet, "pull", "--all", "--offline")[0] == 0


def test_offline_and_nothing_was_ever_listed(fleet: Fleet) -> None:
    code, _, said = without_socket(fleet, "pull", "--all", "--offline")
    assert code == 5, said
    assert "--offline" in said
    assert not fleet.mirror.place.ledger.exists()


def test_offline_names_what_is_missing_and_takes_what_is_here(fleet: Fleet) -> None:
    fleet.mirror.sync(everything=True)
    mirror = fleet.mirror
    gone = next(state for state in mirror.files("bert-0@google") if state.sha256)
    mirror.store.blob_path(gone.sha256 or "").unlink()
    code, _, said = without_socket(fleet, "pull", "--all", "--offline")
    assert code == 5, said
    assert "bert-0@google/bert-0.zip" in said
    assert "part-1" not in said


def test_a_pull_with_nothing_to_do_asks_nobody(fleet: Fleet) -> None:
    fleet.mirror.sync(everything=True)
    before = len(fleet.server.requests()), fleet.server.journal.connections
    code, out, said = without_socket(fleet, "pull", "--all")
    assert (code, "nothing to do" in out) == (0, True), said
    assert (len(fleet.server.requests()), fleet.server.journal.connections) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("ls",),
        ("path", "bert-0"),
        ("why", "bert-0@google/bert-0.zip"),
        ("verify",),
        ("urls", "--all"),
        ("catalog", "list"),
        ("lock",),
        ("gc", "--yes"),
        ("du",),
        ("ledger", "verify"),
        ("pull", "--all", "--dry-run"),
        ("pull", "--all", "--locked"),
    ],
    ids=" ".join,
)
def test_commands_about_what_is_held_open_no_socket(fleet: Fleet, words: tuple[str, ...]) -> None:
    fleet.mirror.sync(everything=True)
    fleet.mirror.lock_held()
    code, _, said = without_socket(fleet, *words)
    assert code == 0, said


def test_offline_works_where_there_is_no_network_at_all(fleet: Fleet) -> None:
    if os.geteuid() != 0 or subprocess.run(["unshare", "-n", "true"], capture_output=True, check=False).returncode:
        pytest.skip("only root may leave the network")
    fleet.mirror.sync(everything=True)
    for options in ((), ("--offline",)):
        program = ("unshare", "-n", *PROGRAM)
        with Running(fleet.root, "pull", "--all", *options, environ=fleet.environ, program=program) as process:
            assert process.end() == 0, process.err
