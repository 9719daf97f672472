"""Another mirror as a source: its folder, and its ``cache/`` behind a web server."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from mirror import Mirror
from mirror.errors import NotFoundError
from mirror.upstream.server import Server
from mirror.upstream.world import World
from tests import catalogs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow  # whole runs over sockets: a fifth of a second and more each

COMMIT = "a" * 40
WEIGHTS = bytes(range(256)) * 8192  # 2 MiB: a large file, with a partial
FILES = {"config.json": b'{"hidden_size": 2}', "model.safetensors": WEIGHTS, "vocab.txt": b"[PAD]\nb\n"}


@dataclass
class Two:
    """A mirror that has everything, a fresh one, and the upstream of both."""

    server: Server
    old: Mirror
    folder: Path

    def fresh(self, name: str = "new") -> Mirror:
        return mirror(self.folder / name, self.server)

    def from_publishers(self) -> list[str]:
        """Return the paths that publishers gave the bytes of since the last call, and forget them."""
        found = [e.path for e in self.server.requests() if e.host != "plain" and "/api/" not in e.path and e.sent]
        self.server.journal.clear()
        return found


def mirror(folder: Path, server: Server) -> Mirror:
    hub = catalogs.hub("owner/name", revision=COMMIT)
    google = catalogs.http(catalogs.file("tiny.zip", server.url("google", "/tiny.bin")))
    google["files"][0]["path"] = "tiny.bin"
    (folder / "cache").mkdir(parents=True)
    (folder / "catalog.json").write_text(catalogs.text(catalogs.model("tiny", hub, google)))
    return Mirror.open(folder, environ={"HF_ENDPOINT": server.url("hub")})


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Two]:
    with upstream() as server:
        old = mirror(tmp_path / "old", server)
        old.pull("tiny")
        found = Two(server, old, tmp_path)
        found.from_publishers()
        yield found


@contextmanager
def upstream() -> Iterator[Server]:
    world = World()
    for path, data in FILES.items():
        world.add_hub_file("owner/name", COMMIT, path, data)
    world.add_object("google", "/tiny.bin", b"from google")
    with Server(world) as server:
        yield server


def served(two: Two, *, index: bool = True) -> str:
    """Serve the old mirror's ``cache/`` as any web server would; return its address."""
    world, cache = two.server.world, two.old.place.cache
    assert isinstance(world, World)
    for path in cache.rglob("*"):
        name = path.relative_to(cache).as_posix()
        if path.is_file() and (name.startswith("blobs/") or (index and name == "index.json")):
            world.add_object("plain", f"/mirror/{name}", path.read_bytes())
    return two.server.url("plain", "/mirror/")


def held(mirror: Mirror) -> dict[str, tuple[str, bytes]]:
    return {
        f"{file.artifact}/{file.path}": (str(file.level), mirror.store.blob_path(file.sha256).read_bytes())
        for file in mirror.files()
        if file.sha256 and file.state == "held"
    }


@pytest.mark.parametrize("how", ["mirror", "cache", "file", "http"])
def test_a_peer_gives_everything_and_no_publisher_is_asked(two: Two, how: str) -> None:
    peers = {
        "mirror": lambda: str(two.old.place.root),
        "cache": lambda: str(two.old.place.cache),
        "file": lambda: two.old.place.cache.as_uri(),
        "http": lambda: served(two),
    }
    new = two.fresh()
    outcome = new.sync("tiny", peer=peers[how]())
    assert not outcome.problems
    assert {name: data for name, (_, data) in held(new).items()} == {
        name: data for name, (_, data) in held(two.old).items()
    }
    assert [e for e in two.server.requests() if e.host != "plain"] == []
    # The peer's word is one mirror's word: better than nobody's, less than the publisher's.
    assert {level for level, _ in held(new).values()} == {"checked"}
    assert new.sync("tiny", peer=peers[how]()).stored == 0


def test_the_publishers_word_comes_with_an_update_and_no_weights_are_fetched_again(two: Two) -> None:
    new = two.fresh()
    new.sync("tiny@huggingface", peer=str(two.old.place.root))
    outcome = new.sync("tiny@huggingface", update=True)
    assert outcome.changes == []
    assert {level for level, _ in held(new).values()} == {"attested"}
    assert not [path for path in two.from_publishers() if path.endswith("model.safetensors")]


@pytest.mark.parametrize("how", ["folder", "http"])
def test_what_a_peer_gave_of_a_publisher_who_lists_nothing_is_held_against_its_digests(two: Two, how: str) -> None:
    new = two.fresh()
    new.sync("tiny@google", peer=str(two.old.place.root) if how == "folder" else served(two))
    outcome = new.sync("tiny@google", update=True)
    # Google gives md5 and crc32c, which nobody had computed; a peer's ETag means nothing to anybody else.
    assert (outcome.changes, outcome.stored, outcome.problems) == ([], 0, [])
    assert [e.range for e in two.server.requests() if e.host == "google"] == ["bytes=0-0"]
    world = two.server.world
    assert isinstance(world, World)
    world.add_object("google", "/tiny.bin", b"FROM GOOGLE")
    outcome = new.sync("tiny@google", update=True)
    assert [change.changed for change in outcome.changes] == [("tiny.bin",)]
    assert held(new)["tiny@google/tiny.bin"][1] == b"FROM GOOGLE"


def test_an_update_fetches_nothing_again_that_is_promised_as_before(two: Two) -> None:
    outcome = two.old.sync("tiny", update=True)
    assert (outcome.stored, outcome.adopted, outcome.changes) == (0, 0, [])
    # An object store lists nothing: one byte is asked for, and its digests come with it.
    assert [(e.host, e.range) for e in two.server.requests() if "/api/" not in e.path] == [("google", "bytes=0-0")]


def test_an_update_finds_an_object_that_changed_though_nothing_lists_it(two: Two) -> None:
    world = two.server.world
    assert isinstance(world, World)
    world.add_object("google", "/tiny.bin", b"FROM GOOGLE")
    assert two.old.sync("tiny@google").stored == 0
    outcome = two.old.sync("tiny@google", update=True)
    assert [change.changed for change in outcome.changes] == [("tiny.bin",)]
    assert held(two.old)["tiny@google/tiny.bin"][1] == b"FROM GOOGLE"
    assert two.old.sync("tiny@google", update=True).changes == []


@pytest.mark.parametrize("path", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("how", ["folder", "http"])
def test_wrong_bytes_of_a_peer_are_refused_and_the_publisher_is_asked(two: Two, path: str, how: str) -> None:
    state = next(file for file in two.old.files("tiny@huggingface") if file.path == path)
    assert state.sha256 is not None
    blob = two.old.store.blob_path(state.sha256)
    blob.chmod(0o644)
    blob.write_bytes(blob.read_bytes()[:-1] + b"?")
    new = two.fresh()
    outcome = new.sync("tiny", peer=served(two) if how == "http" else str(two.old.place.root))
    assert not outcome.problems
    assert held(new)[f"tiny@huggingface/{path}"][1] == FILES[path]
    # Now the publisher's own word is there as well.
    assert held(new)[f"tiny@huggingface/{path}"][0] == "attested"
    assert [asked.rpartition("/")[2] for asked in two.from_publishers() if "/resolve/" in asked] == [path]
    (case,) = new.store.iter_quarantine()
    assert case.evidence["against"][0]["authority"] == "peer"
    assert [event.subject for event in new.events(kind="disputed")] == [f"tiny@huggingface/{path}"]
    (note,) = outcome.notes
    assert path in note


def test_a_peer_that_lies_about_a_digest_is_refused_as_well(two: Two) -> None:
    index = two.old.place.cache / "index.json"
    value = json.loads(index.read_text())
    files = next(e for e in value["listings"] if e["artifact"] == "tiny@huggingface")["files"]
    by_path: dict[str, Any] = {file["path"]: file for file in files}
    by_path["config.json"]["sha256"] = by_path["vocab.txt"]["sha256"]
    index.write_text(json.dumps(value))
    # A mirror that knows the hub's own list does not fall for it: its word is among the claims.
    new = two.fresh()
    two.server.faults.add("*/resolve/*", [{"fault": "status", "code": 404, "times": "always"}])
    assert new.sync("tiny@huggingface").gravest() is not None
    two.server.faults.clear()
    outcome = new.sync("tiny@huggingface", peer=str(two.old.place.root))
    assert not outcome.problems
    assert held(new)["tiny@huggingface/config.json"] == ("attested", FILES["config.json"])
    (note,) = outcome.notes
    assert "config.json" in note


def test_a_peer_without_an_index_is_asked_for_known_digests(two: Two) -> None:
    new = two.fresh()
    outcome = new.sync("tiny", peer=served(two, index=False))
    assert not outcome.problems
    assert "index.json" in outcome.notes[0]
    # Only the weights have a sha256 in the hub's own list.
    asked = two.from_publishers()
    assert not [path for path in asked if path.endswith("model.safetensors")]
    assert [path for path in asked if path.endswith("config.json")]
    assert held(new)["tiny@huggingface/model.safetensors"][0] == "attested"


def test_a_peer_that_is_gone_is_noted_and_everything_comes_from_the_publishers(two: Two) -> None:
    new = two.fresh()
    outcome = new.sync("tiny", peer="http://127.0.0.1:1/cache")
    assert not outcome.problems
    assert len(outcome.notes) == 1
    assert len(held(new)) == 4
    with pytest.raises(NotFoundError):
        two.fresh("other").sync("tiny", peer=str(two.folder / "nothing"))


def test_what_the_peer_lacks_comes_from_the_publisher(two: Two) -> None:
    part = two.fresh("part")
    part.sync("tiny@google")
    two.from_publishers()
    new = two.fresh()
    outcome = new.sync("tiny", peer=str(part.place.root))
    assert not outcome.problems
    assert not outcome.notes
    assert "/tiny.bin" not in two.from_publishers()
    assert len(held(new)) == 4


def test_a_narrowed_peer_does_not_pass_for_the_whole_repository(two: Two) -> None:
    narrow = two.fresh("narrow")
    narrow.sync("tiny@huggingface", formats=["pytorch"])
    assert "tiny@huggingface/model.safetensors" not in held(narrow)
    new = two.fresh()
    new.sync("tiny@huggingface", peer=str(narrow.place.root))
    assert set(held(new)) == {f"tiny@huggingface/{path}" for path in FILES}


def test_a_peer_may_be_an_artifact_of_the_catalog(two: Two) -> None:
    from mirror.catalog.edit import add
    from mirror.catalog.write import write

    new = two.fresh()
    write(add(new.catalog, [f"peer:{two.old.place.cache.as_uri()}"], name="head"), new.place.catalog)
    new = Mirror.open(new.place.root)
    folder = new.pull("head")
    assert (folder / "tiny@huggingface" / "config.json").read_bytes() == FILES["config.json"]


def test_the_index_is_of_the_ledgers_last_event_even_after_a_pull_with_nothing_to_do(two: Two) -> None:
    index = two.old.place.cache / "index.json"
    before = index.read_bytes()
    assert two.old.sync("tiny").plan is not None
    assert index.read_bytes() == before
    index.unlink()  # as after a death between the ledger's last row and the index
    two.old.sync("tiny")
    assert index.read_bytes() == before
    assert [one.verdict.ok for one in two.old.verify()] == [True] * 4
    two.old.sync("tiny")
    assert index.read_bytes() != before
    assert json.loads(index.read_text())["listings"] == json.loads(before)["listings"]


def test_a_ledger_that_is_just_being_made_counts_as_none(two: Two) -> None:
    new = two.fresh()
    new.place.ledger.touch()
    with new.reader() as reader:
        assert reader is None
    assert new.status()
    assert new.pull("tiny").is_dir()
