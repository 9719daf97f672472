"""A mirror, its upstream and the truth about the files, for tests of whole pulls.

A ``Stand`` is one mirror whose catalog names one file on one host of an embedded
upstream. ``Lane`` says which host, how large, and what is promised: everything that
decides how the bytes are fetched, resumed and judged.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any

from mirror.api import Mirror
from mirror.upstream.objects import Validators
from mirror.upstream.server import Server
from mirror.upstream.world import World
from tests.catalogs import catalog, file, http, hub, model

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from mirror.sync.outcome import Outcome
    from mirror.upstream.journal import Exchange

REPO = "owner/bert"
COMMIT = "30b0a37ccaaa32f332884b96992754e246e48c5f"
TOKEN = "hf_the_token_that_must_not_travel"  # gitleaks:allow - opens nothing
MIB = 1 << 20
LARGE = 2 * MIB + 4321
SMALL = 40_000


class Word(StrEnum):
    """What is known of a file beforehand, or from the reply that brings it."""

    STRONG = "strong"  # a sha256 or a git blob id, before the first byte
    HEADERS = "headers"  # md5 and CRC in the reply's own headers, and a strong ETag
    NOTHING = "nothing"  # not even a validator


@dataclass(frozen=True, slots=True)
class Lane:
    """One way that a file comes.

    Attributes:
        host: Role of the host.
        size: Bytes; up to 1 MiB they are fetched into memory.
        word: What is promised.
        sized: Whether the size is known beforehand.
    """

    name: str
    host: str
    size: int
    word: Word
    sized: bool = True
    validators: Validators = Validators.NONE

    @property
    def large(self) -> bool:
        """Whether the file goes through a partial."""
        return self.size > MIB or not self.sized

    @property
    def resumes(self) -> bool:
        """Whether bytes of two requests may be joined."""
        return self.large and self.word is not Word.NOTHING

    @property
    def path(self) -> str:
        """Where the file stands in its artifact."""
        return "weights.bin"

    @property
    def data(self) -> bytes:
        """The file."""
        return noise(self.size)


LANES = {
    lane.name: lane
    for lane in (
        Lane("hub-large", "hub", LARGE, Word.STRONG),
        Lane("hub-small", "hub", SMALL, Word.STRONG),
        Lane("google-large", "google", LARGE, Word.HEADERS, sized=False),
        Lane("google-small", "google", SMALL, Word.HEADERS),
        Lane("pinned-large", "plain", LARGE, Word.STRONG),
        Lane("plain-large", "plain", LARGE, Word.NOTHING, sized=False),
        Lane("plain-small", "plain", SMALL, Word.NOTHING),
        Lane("plain-weak", "plain", LARGE, Word.NOTHING, validators=Validators.WEAK),
    )
}


@cache
def noise(size: int, seed: int = 7) -> bytes:
    """Return bytes in which no two neighbourhoods are alike."""
    return random.Random(seed).randbytes(size)


def sha256(data: bytes) -> str:
    """Return the digest, hex."""
    return hashlib.sha256(data).hexdigest()


def changed(data: bytes) -> bytes:
    """Return the file's next version, as the upstream makes it."""
    return data.translate(bytes(value ^ 0x55 for value in range(256)))


@dataclass(slots=True)
class Stand:
    """A mirror folder and the upstream that its catalog names.

    Attributes:
        options: Of every pull.
        more: Variables of its environment.
    """

    root: Path
    server: Server
    lane: Lane
    options: dict[str, Any] = field(default_factory=dict)
    more: dict[str, str] = field(default_factory=dict)

    @property
    def environ(self) -> dict[str, str]:
        """The environment of a pull: a hub, and a token that nobody else may see."""
        return {"HF_ENDPOINT": self.server.url("hub"), "HF_TOKEN": TOKEN, **self.more}

    @property
    def mirror(self) -> Mirror:
        """The mirror, newly opened as another process would."""
        return Mirror.open(self.root, environ=self.environ)

    def pull(self, **options: Any) -> Outcome:
        """Pull everything, with short pauses."""
        quick = {"retries": 3, "retry_pause": 0.002, "stall": 0.3, "jobs": 4}
        return self.mirror.sync(everything=True, **{**quick, **self.options, **options})

    def strike(self, *steps: Mapping[str, Any]) -> None:
        """Let faults strike the next requests for the file, and no others."""
        self.server.faults.clear()
        for step in steps:
            self.server.faults.add(f"*{self.lane.path}", [step])

    def requests(self) -> list[Exchange]:
        """Return every request for the file that was answered with bytes of it, or should have been."""
        return [one for one in self.server.requests() if "/api/" not in one.path and one.status not in {302, 307}]

    def sent(self) -> int:
        """Return the bytes of the file that went over the wire."""
        return sum(one.sent for one in self.requests() if one.status in {200, 206})


def world_of(lane: Lane) -> World:
    """Return the hosts, with the lane's file on one of them."""
    world = World()
    world.hub.tokens.add(TOKEN)
    world.add_object("plain", "/elsewhere/other.bin", lane.data)
    if lane.host == "hub":
        world.add_hub_file(REPO, COMMIT, lane.path, lane.data, lfs=lane.large)
    else:
        world.add_object(lane.host, f"/files/{lane.path}", lane.data, validators=lane.validators)
    return world


def catalog_of(lane: Lane, server: Server) -> str:
    """Return the catalog that names the lane's file on ``server``."""
    if lane.host == "hub":
        return json.dumps(catalog(model("bert", hub(REPO, revision=COMMIT, revision_provenance=["named"]))))
    promised = file(
        lane.path,
        server.url(lane.host, f"/files/{lane.path}"),
        size=lane.size if lane.sized else None,
        sha256=sha256(lane.data) if lane.word is Word.STRONG else None,
    )
    return json.dumps(catalog(model("bert", http(promised, id="files"))))


def place_mirror(root: Path, catalog_text: str) -> Path:
    """Make ``root`` a mirror."""
    (root / "cache").mkdir(parents=True)
    (root / "catalog.json").write_text(catalog_text, encoding="utf-8")
    return root


@contextlib.contextmanager
def standing(root: Path, lane: Lane, **options: Any) -> Iterator[Stand]:
    """Run an upstream and make a mirror for one lane."""
    with Server(world_of(lane)) as server:
        yield Stand(place_mirror(root, catalog_of(lane, server)), server, lane, options)


def assert_sound(stand: Stand, truth: Sequence[bytes]) -> None:
    """Hold whatever is visible against ``truth``; see ``assert_mirror_sound``. And no token went astray."""
    name = "bert@huggingface/" if stand.lane.host == "hub" else "bert@files/"
    assert_mirror_sound(stand.mirror, {name + stand.lane.path: truth})
    for one in stand.server.requests():
        assert not one.cookies
        assert one.host == "hub" or not one.authorized, f"the token went to {one.host}"


def assert_mirror_sound(mirror: Mirror, truth: Mapping[str, Sequence[bytes]]) -> None:
    """No wrong byte is visible: blobs, ledger and trees say nothing but ``truth``, and the ledger holds together."""
    allowed = {name: {sha256(data) for data in versions} for name, versions in truth.items()}
    everything = set().union(*allowed.values())
    for blob in mirror.store.iter_blobs():
        assert sha256(blob.path.read_bytes()) == blob.sha256
        assert blob.sha256 in everything, f"{blob.path} is visible, and nobody published that"
        assert blob.path.stat().st_mode & 0o222 == 0
    with mirror.reader() as reader:
        if reader is None:
            return
        reader.verify()
        for state in reader.files():
            if state.state == "held":
                assert state.sha256 in allowed[f"{state.artifact}/{state.path}"]
                assert mirror.store.find(state.sha256 or "") is not None


#: Everything that a mirror at rest may have in its cache.
AT_REST = frozenset(
    {
        "blobs",
        "index.json",
        "ledger.db",
        "ledger.head",
        "partial",
        "quarantine",
        "trees",
    }
)


def assert_nothing_left(mirror: Mirror) -> None:
    """No partial, no work in progress, no temporary file is left."""
    cache = mirror.place.cache
    left = sorted(str(path.relative_to(cache)) for path in (cache / "partial").rglob("*"))
    left += sorted({path.name for path in cache.iterdir()} - AT_REST)
    left += sorted(path.name for path in (cache / "blobs").rglob("*") if path.is_file() and len(path.name) != 64)
    assert left == [], f"left behind: {left}"
