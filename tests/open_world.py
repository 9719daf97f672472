"""A user's disk at Baidu, an app of theirs, and a mirror that fetches from it, on loopback.

``opened`` runs the embedded open platform with a clock that only tests move, so that an
hour passes in no time and nobody waits.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from mirror.api import Mirror
from mirror.upstream.modelfiles import ModelFiles
from mirror.upstream.server import Server
from mirror.upstream.stock import shipped_catalog
from mirror.upstream.world import World
from tests.upstream_world import Clock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from mirror.sources.baidu_open.oauth import DeviceCode
    from mirror.upstream.journal import Exchange
    from mirror.upstream.pan_open import OpenPlatform
    from mirror.upstream.pan_open_oauth import App

KEY, SECRET, NAME = "KeyOfTheApp00000", "SecretOfTheApp99", "demo"
FOLDER = f"/apps/{NAME}"
XPAN = "/rest/2.0/xpan/multimedia"


@cache
def weights(scale: int = 1) -> dict[str, bytes]:
    """Return what a share of BERT-Tiny brings: 17 MiB of weights, with what stands beside them."""
    model = ModelFiles.of(shipped_catalog()["models"][0], seed=0, scale=scale)
    return {"config.json": model.config_json(), "pytorch_model.bin": model.torch(), "vocab.txt": model.vocab()}


@dataclass
class Stand:
    """A mirror beside an open platform."""

    root: Path
    server: Server
    clock: Clock
    home: Path
    app: App
    more: dict[str, str] = field(default_factory=dict)

    @property
    def platform(self) -> OpenPlatform:
        assert isinstance(self.server.world, World)
        return self.server.world.open

    @property
    def environ(self) -> dict[str, str]:
        return {
            "XDG_CONFIG_HOME": str(self.home),
            "MINIBERT_MIRROR_BAIDU_APP_KEY": KEY,
            "MINIBERT_MIRROR_BAIDU_SECRET_KEY": SECRET,
            "MINIBERT_MIRROR_BAIDU_APP_NAME": NAME,
            "MINIBERT_MIRROR_BAIDU_PAN_BASE": self.server.url("pan"),
            "MINIBERT_MIRROR_BAIDU_OPENAPI_BASE": self.server.url("openapi"),
            **self.more,
        }

    @property
    def tokens(self) -> Path:
        return self.home / "minibert-mirror/baidu-openapi/tokens.json"

    @property
    def mirror(self) -> Mirror:
        """The mirror as a new process would open it, with the platform's clock."""
        mirror = Mirror.open(self.root, environ=self.environ)
        mirror.now, mirror.sleep = self.clock, self.clock.sleep
        return mirror

    def login(self) -> None:
        """Log in as a user who types the code at once."""
        self.mirror.baidu_login(self.approve)

    def approve(self, device: DeviceCode) -> None:
        self.platform.grants.approve(device.user_code)

    def put(self, files: Mapping[str, bytes], folder: str = "share") -> None:
        """Save files into a folder of the app's."""
        for name, data in files.items():
            self.platform.put(f"{FOLDER}/{folder}/{name}", data)

    def strike(self, pattern: str, *steps: Mapping[str, Any]) -> None:
        self.server.faults.add(pattern, steps)

    def asked(self, host: str) -> list[Exchange]:
        return [one for one in self.server.requests() if one.host == host]

    def ranges(self) -> list[str]:
        """Return every range that a storage node was asked for, in order."""
        return [one.range or "none" for one in self.asked("baidupcs")]

    def held(self) -> dict[str, str]:
        """Return level of every held file, by name."""
        states = self.mirror.files()
        return {f"{one.artifact}/{one.path}": str(one.level) for one in states if one.state == "held"}

    def secrets(self) -> list[str]:
        """Return every secret there ever was: of the app, codes, tokens, signatures of links."""
        grants = self.platform.grants
        found = [SECRET, *grants._access, *grants._refresh, *grants._devices]
        for one in self.server.requests():
            for name in ("access_token=", "refresh_token=", "sign=", "xcode=", "code=", "client_secret="):
                found += [part.removeprefix(name) for part in one.query.split("&") if part.startswith(name)]
        return sorted({secret for secret in found if len(secret) > 8})


@contextmanager
def opened(tmp_path: Path, *, faults: Mapping[str, Sequence[Mapping[str, Any]]] | None = None) -> Iterator[Stand]:
    """Run an open platform with an app, and make a mirror beside it; nobody is logged in."""
    from mirror.catalog import builtin_catalog_text

    world, clock = World(), Clock()
    world.open.clock = clock
    app = world.open.grants.register(KEY, SECRET, NAME)
    root = tmp_path / "mirror"
    (root / "cache").mkdir(parents=True)
    (root / "catalog.json").write_text(builtin_catalog_text(), encoding="utf-8")
    home = tmp_path / "config"
    home.mkdir()
    with Server(world, faults=faults) as server:
        yield Stand(root, server, clock, home, app)


def known_tokens(stand: Stand) -> dict[str, Any]:
    """Return what the file with the tokens says."""
    found: dict[str, Any] = json.loads(stand.tokens.read_text(encoding="utf-8"))
    return found
