"""What is promised changes, or what was known is lost: pins, look-alikes, narrowings, addresses, the ledger."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from mirror.api import Mirror
from mirror.errors import DisputedError, IntegrityError, LedgerError, TamperedError, UsageError
from mirror.upstream.server import Server
from mirror.upstream.world import World
from tests.catalogs import catalog, file, http, hub, model
from tests.faults.pulling import COMMIT, REPO, assert_mirror_sound, noise, place_mirror, sha256

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mirror.sync.outcome import Outcome

DATA, OTHER = noise(40_000), noise(40_000, seed=8)
WEIGHTS = {"config.json": b"{}", "model.safetensors": DATA, "pytorch_model.bin": OTHER}


class Stage:
    """A mirror whose catalog a test rewrites, and the hosts that it names."""

    def __init__(self, root: Path, server: Server, world: World) -> None:
        self.root = place_mirror(root, "")
        self.server = server
        self.world = world

    def promise(self, *sources: dict[str, Any], **more: Any) -> None:
        """Write a catalog of one model."""
        text = json.dumps(catalog(model("bert", *sources, **more)))
        (self.root / "catalog.json").write_text(text, encoding="utf-8")

    @property
    def mirror(self) -> Mirror:
        """The mirror, newly opened as another process would."""
        return Mirror.open(self.root, environ={"HF_ENDPOINT": self.server.url("hub")})

    def pull(self, *selectors: str, **options: Any) -> Outcome:
        """Pull, everything by default."""
        return self.mirror.sync(*selectors, everything=not selectors, retry_pause=0.002, **options)

    def levels(self) -> dict[str, str | None]:
        """Return the level of every held file."""
        return {file.path: file.level for file in self.mirror.files() if file.state == "held"}

    def address(self, path: str = "/files/weights.bin") -> str:
        """Return an address of the plain host."""
        return self.server.url("plain", path)

    def lose_the_ledger(self) -> None:
        """Delete every file of it."""
        for path in (self.root / "cache").glob("ledger.*"):
            path.unlink()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    world = World()
    world.add_object("plain", "/files/weights.bin", DATA)
    world.add_object("google", "/files/model.zip", OTHER)
    for path, data in WEIGHTS.items():
        world.add_hub_file(REPO, COMMIT, path, data, lfs=path != "config.json")
    world.repository(REPO).move("main", COMMIT)
    with contextlib.ExitStack() as stack:
        yield Stage(tmp_path / "mirror", stack.enter_context(Server(world)), world)


def weights(stage: Stage, **known: Any) -> dict[str, Any]:
    return http(file("weights.bin", known.pop("url", stage.address()), **known), id="files")


def test_a_pin_that_denies_what_is_held_makes_it_disputed_and_never_delivered(stage: Stage) -> None:
    stage.promise(weights(stage))
    assert stage.pull().levels == {"first-seen": 1}
    stage.promise(weights(stage, sha256="b" * 64))
    (problem,) = stage.pull().problems
    assert isinstance(problem.error, DisputedError)
    assert [state.state for state in stage.mirror.files()] == ["disputed"]
    with pytest.raises(UsageError, match="nothing of bert is held"):
        stage.mirror.path("bert")
    assert len(list(stage.mirror.store.iter_quarantine())) == 1


def test_without_a_network_a_pin_denies_what_is_held_all_the_same(stage: Stage) -> None:
    stage.promise(weights(stage))
    stage.pull()
    stage.promise(weights(stage, sha256="b" * 64))
    (problem,) = stage.pull(offline=True).problems
    assert isinstance(problem.error, DisputedError)
    assert [state.state for state in stage.mirror.files()] == ["disputed"]


def test_a_pin_of_what_the_source_has_now_brings_it(stage: Stage) -> None:
    stage.promise(weights(stage))
    stage.pull()
    stage.world.add_object("plain", "/files/weights.bin", OTHER)
    stage.promise(weights(stage, sha256=sha256(OTHER), size=len(OTHER)))
    outcome = stage.pull()
    assert (outcome.problems, outcome.levels) == ([], {"pinned": 1})
    assert_mirror_sound(stage.mirror, {"bert@files/weights.bin": [DATA, OTHER]})


def test_a_pin_that_agrees_with_what_is_held_makes_it_pinned_without_asking_anybody(stage: Stage) -> None:
    stage.promise(weights(stage))
    stage.pull()
    before = len(stage.server.requests())
    stage.promise(weights(stage, sha256=sha256(DATA), size=len(DATA)))
    assert stage.pull(offline=True).problems == []
    assert stage.levels() == {"weights.bin": "pinned"}
    assert len(stage.server.requests()) == before
    events = len(list(stage.mirror.events()))
    stage.pull(offline=True)
    assert len(list(stage.mirror.events())) == events


def test_asking_the_sources_and_asking_nobody_is_a_contradiction(stage: Stage) -> None:
    stage.promise(weights(stage))
    with pytest.raises(UsageError, match="--offline forbids"):
        stage.pull(update=True, offline=True)


def test_a_lock_makes_what_is_held_pinned(stage: Stage) -> None:
    stage.promise(weights(stage))
    stage.pull()
    assert stage.mirror.lock_held() == {"bert@files": 1}
    assert stage.levels() == {"weights.bin": "pinned"}


def test_a_look_alike_is_refused_whatever_it_is_called(stage: Stage) -> None:
    known = {"what": "somebody else's", "members": {"x": sha256(DATA)}, "provenance": ["named"]}
    stage.promise(weights(stage), lookalikes=[known])
    (problem,) = stage.pull().problems
    assert isinstance(problem.error, IntegrityError)
    assert "look-alike: somebody else's" in str(problem.error)
    assert stage.levels() == {}
    assert len(list(stage.mirror.store.iter_quarantine())) == 1


def test_a_look_alike_that_is_held_for_another_model_is_not_adopted(stage: Stage) -> None:
    known = {"what": "somebody else's", "members": {"x": sha256(DATA)}, "provenance": ["named"]}
    pinned = weights(stage, sha256=sha256(DATA))
    text = json.dumps(catalog(model("good", pinned), model("bad", pinned, lookalikes=[known])))
    (stage.root / "catalog.json").write_text(text, encoding="utf-8")
    assert stage.pull("good").problems == []
    assert [problem.subject for problem in stage.pull("bad").problems] == ["bad@files/weights.bin"]


def test_one_narrowing_after_another_keeps_what_both_brought(stage: Stage) -> None:
    stage.promise(hub(REPO))
    assert stage.pull(formats=["safetensors"]).stored == 2
    assert stage.pull(formats=["pytorch"]).stored == 1
    assert sorted(stage.levels()) == ["config.json", "model.safetensors", "pytorch_model.bin"]
    assert stage.pull(formats=["safetensors"]).stored == 0
    assert stage.pull(formats=["pytorch"], update=True).changes == []
    assert stage.pull().stored == 0


def test_an_update_of_one_format_forgets_nothing_of_a_whole_repository(stage: Stage) -> None:
    stage.promise(hub(REPO))
    stage.pull()
    before = len(stage.server.requests())
    stage.pull(formats=["pytorch"], update=True)
    assert stage.pull().stored == 0
    assert all("/api/" in one.path for one in stage.server.requests()[before:])
    assert len(stage.levels()) == 3


def test_a_secret_in_an_address_reaches_no_ledger_and_still_opens_it(stage: Stage) -> None:
    stage.promise(weights(stage, url=f"{stage.address()}?token=SECRET"))
    stage.server.faults.add("*weights.bin", [{"fault": "status", "code": 404}])
    assert len(stage.pull().problems) == 1
    assert stage.pull().problems == []
    assert stage.pull(update=True).stored == 0
    assert stage.server.requests()[-1].query == "token=SECRET"
    stage.mirror.lock_held()
    for path in [*(stage.root / "cache").glob("ledger.*"), stage.root / "catalog.lock.json"]:
        assert b"SECRET" not in path.read_bytes(), path


def everything(stage: Stage) -> None:
    """Promise files of every kind of word, without a digest in the catalog."""
    google = http(file("model.bin", stage.server.url("google", "/files/model.zip")), id="google")
    stage.promise(hub(REPO), google, weights(stage))


def test_a_lost_ledger_is_written_again_from_the_blobs(stage: Stage) -> None:
    everything(stage)
    stage.pull()
    before = len(stage.server.requests())
    stage.lose_the_ledger()
    outcome = stage.pull("bert@files", "bert@google")
    assert (outcome.stored, outcome.problems) == (0, [])
    assert "hashed and recorded" in outcome.notes[0]
    assert len(stage.server.requests()) == before
    again = stage.pull()
    assert (again.stored, again.adopted) == (0, 3)
    assert all("/api/" in one.path for one in stage.server.requests()[before:])
    assert_mirror_sound(
        stage.mirror,
        {
            "bert@files/weights.bin": [DATA],
            "bert@google/model.bin": [OTHER],
            **{f"bert@huggingface/{path}": [data] for path, data in WEIGHTS.items()},
        },
    )


def test_nothing_is_unneeded_while_the_ledger_does_not_know_what_is_held(stage: Stage) -> None:
    everything(stage)
    stage.pull()
    stage.lose_the_ledger()
    with pytest.raises(LedgerError, match="does not know what the store holds"):
        stage.mirror.plan_gc()
    stage.pull("bert@files")
    assert [item for item in stage.mirror.plan_gc().items if item.kind == "blob"] == []
    assert len(list(stage.mirror.store.iter_blobs())) == 3


@pytest.mark.parametrize(
    "damage", ["DELETE FROM files", "UPDATE files SET sha256 = NULL, claims = '[]'", "DELETE FROM listings"]
)
def test_nothing_is_unneeded_while_the_state_is_not_what_the_events_say(stage: Stage, damage: str) -> None:
    everything(stage)
    stage.pull()
    blobs = [blob.path for blob in stage.mirror.store.iter_blobs()]
    stage.mirror.store.publish([("e" * 64, b"needed by nobody")])
    for path in [*blobs, stage.mirror.store.blob_path("e" * 64)]:
        os.utime(path, (0, 0))
    plan = stage.mirror.plan_gc()
    assert [item.path.name for item in plan.items] == ["e" * 64]
    with contextlib.closing(sqlite3.connect(stage.mirror.place.ledger)) as ledger, ledger:
        ledger.execute(damage)
    with pytest.raises(TamperedError, match="nothing can be said to be unneeded") as refused:
        stage.mirror.plan_gc()
    assert "is missing" in str(refused.value) or "the events say" in str(refused.value)
    assert "ledger.db" in (refused.value.hint or "")
    assert all(path.exists() for path in blobs)


def test_a_blob_that_was_altered_is_not_recorded_again(stage: Stage) -> None:
    stage.promise(weights(stage))
    stage.pull()
    blob = stage.mirror.store.blob_path(sha256(DATA))
    blob.chmod(0o644)
    blob.write_bytes(OTHER)
    stage.lose_the_ledger()
    stage.pull(offline=True)
    assert stage.levels() == {}
