"""Shares for tests: a world that has some, a mirror whose catalog names them, and a clock that needs no time."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from mirror.api import Mirror
from mirror.probe import Clock
from mirror.upstream.pan_tree import PanShare
from mirror.upstream.server import Server
from mirror.upstream.world import World
from tests import catalogs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from mirror.upstream.pan_tree import Tree

CODE = "zq9x"
TREE: Tree = {"uncased_L-2_H-128_A-2": {"pytorch_model.bin": 17_756_393, "vocab.txt": 231_508}, "read me.txt": 12}
#: What a probe should say of it.
SIZES = {
    "read me.txt": 12,
    "uncased_L-2_H-128_A-2/pytorch_model.bin": 17_756_393,
    "uncased_L-2_H-128_A-2/vocab.txt": 231_508,
}


def surl(number: int) -> str:
    """Return the id of a share; some begin with the signs that real ones begin with."""
    return f"{'-_a1'[number % 4]}share{number:03}"


def share(number: int = 0, /, **more: Any) -> PanShare:
    """Return a share with a code and a small tree."""
    given: dict[str, Any] = {"code": CODE, "uk": 1100 + number, "shareid": 4000 + number, "tree": TREE, **more}
    return PanShare(surl(number), **given)


@dataclass
class FakeClock:
    """A clock that only goes on while somebody sleeps; ``step`` seconds go by whenever it is read.

    Attributes:
        slept: Every sleep, in seconds.
    """

    step: float = 0.0
    slept: list[float] = field(default_factory=list)
    _at: float = 1000.0

    @property
    def clock(self) -> Clock:
        return Clock(self.now, self.monotonic, self.sleep)

    def now(self) -> datetime:
        return datetime(2026, 11, 21, 12, tzinfo=UTC) + timedelta(seconds=self._at)

    def monotonic(self) -> float:
        self._at += self.step
        return self._at

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._at += seconds

    def wait(self, **time: float) -> None:
        """Let time go by."""
        self._at += timedelta(**time).total_seconds()


@contextmanager
def shared(*shares: PanShare, faults: Any = None) -> Iterator[Server]:
    """Run an upstream with these shares."""
    world = World()
    for one in shares:
        world.pan.shares.add(one)
    with Server(world, faults=faults) as server:
        yield server


def name(number: int) -> str:
    """Return the name of the artifact of a share."""
    return f"model-{number:03}@baidu-pytorch"


def mirror_of(folder: Path, server: Server, numbers: Sequence[int], code: str | None = CODE) -> Mirror:
    """Return a new mirror in ``folder`` whose catalog has these shares of ``server``."""
    models = [
        catalogs.model(f"model-{n:03}", catalogs.pan(url=server.url("pan", f"/s/1{surl(n)}"), code=code))
        for n in numbers
    ]
    (folder / "cache").mkdir(parents=True)
    (folder / "catalog.json").write_text(json.dumps(catalogs.catalog(*models)), encoding="utf-8")
    return Mirror.open(folder, environ={})
