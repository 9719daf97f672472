"""Fixtures of the end-to-end tests: the command, and an outside world that it can reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mirror.upstream.server import Server
from mirror.upstream.world import build_world
from tests.command import Command, fresh_command, in_mirror

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """The command in an empty folder."""
    return fresh_command(tmp_path)


@pytest.fixture(scope="module")
def outside() -> Iterator[Server]:
    """The whole outside world at demo scale; nothing in it may be changed by a test."""
    with Server(build_world()) as server:
        yield server


@pytest.fixture
def here(command: Command, outside: Server, tmp_path: Path) -> Command:
    """The command in a fresh mirror whose catalog names the embedded upstream."""
    return in_mirror(command, tmp_path / "mirror", outside)
