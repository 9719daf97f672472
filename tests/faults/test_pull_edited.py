"""A pull goes by the catalog of today: what was added to it by hand, taken out, or pinned since."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from mirror.api import Mirror
from mirror.errors import OfflineError, UnpinnedError
from mirror.upstream.server import Server
from mirror.upstream.world import World
from tests import catalogs
from tests.faults.pulling import place_mirror, sha256
from tests.held import command, holding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ARTIFACT = "base1@files"
ONE, TWO, THREE = b"first", b"second", b"third"


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    """A mirror that has pulled one artifact of two files; a third is beside them."""
    mirror = holding(tmp_path, {"base1": {"files": {"one.json": ONE, "two.json": TWO}}})
    (tmp_path / "outside" / "base1" / "files" / "three.json").write_bytes(THREE)
    return mirror


def edit(mirror: Mirror, change: Callable[[list[dict[str, Any]]], object]) -> Mirror:
    """Change the list of files in the catalog as a person would; return the mirror opened again."""
    path = mirror.place.catalog
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document["models"][0]["sources"][0]["files"])
    path.write_text(json.dumps(document), encoding="utf-8")
    return Mirror.open(mirror.place.root, environ={})


def add_three(files: list[dict[str, Any]]) -> None:
    folder = files[0]["urls"][0].rpartition("/")[0]
    files.append(catalogs.file("three.json", f"{folder}/three.json"))


def events(mirror: Mirror) -> int:
    return len(list(mirror.events()))


def test_what_is_added_to_the_catalog_comes_with_the_next_pull(mirror: Mirror) -> None:
    mirror = edit(mirror, add_three)
    before = events(mirror)
    offline = mirror.sync(everything=True, offline=True)
    assert [str(problem.error) for problem in offline.problems] == [
        f"{ARTIFACT}/three.json is not held, and --offline forbids to ask for it"
    ]
    planned = mirror.sync(everything=True, dry_run=True).plan
    assert planned is not None
    assert [str(task.file) for task in planned.fetch] == [f"{ARTIFACT}/three.json"]
    outcome = mirror.sync(everything=True)
    assert (outcome.problems, outcome.stored) == ([], 1)
    (status,) = mirror.status()
    assert (status.held, status.files) == (3, 3)
    (stored,) = [one for one in mirror.events(kind="stored") if one.subject.endswith("three.json")]
    assert stored.detail["sha256"] == sha256(THREE)
    with mirror.reader() as reader:
        assert reader is not None
        listing = reader.listing(ARTIFACT)
        assert listing is not None
        assert all(file.urls for file in listing.files)
        reader.verify()
    assert before < events(mirror)
    once = events(mirror)
    assert mirror.sync(everything=True).changes == []
    assert events(mirror) == once


def test_the_command_says_what_was_added_and_what_was_taken_out(mirror: Mirror) -> None:
    edit(mirror, add_three)
    said = command(mirror, "pull", "--all").output
    assert f"{ARTIFACT}: 1 added, 0 changed, 0 removed" in said
    assert "1 file came" in said
    edit(mirror, lambda files: files.pop(0))
    said = command(mirror, "pull", "--all").output
    assert f"{ARTIFACT}: 0 added, 0 changed, 1 removed" in said
    assert "nothing to do: 2 files are held" in said
    assert [state.path for state in mirror.files()] == ["three.json", "two.json"]
    assert command(mirror, "pull", "--all").output.count("removed") == 0
    with mirror.reader() as reader:
        assert reader is not None
        assert sha256(ONE) not in reader.needed(), "gc may delete it"
        reader.verify()


def test_a_file_without_an_address_is_a_problem_of_its_artifact(mirror: Mirror) -> None:
    mirror = edit(mirror, lambda files: files.append({**files[0], "path": "four.json", "urls": []}))
    (problem,) = mirror.sync(everything=True).problems
    assert "no address for four.json" in str(problem.error)


def test_what_a_pull_of_one_format_left_out_comes_when_all_are_asked_for(tmp_path: Path) -> None:
    with Server(World()) as server:
        assert isinstance(server.world, World)
        server.world.add_object("plain", "/m.pdparams", b"weights")
        server.world.add_object("plain", "/m.json", b"{}")
        files = [catalogs.file(name, server.url("plain", f"/{name}")) for name in ("m.json", "m.pdparams")]
        root = place_mirror(tmp_path / "mirror", catalogs.text(catalogs.model("base1", catalogs.http(*files))))
        mirror = Mirror.open(root, environ={})
        assert mirror.sync("base1", formats=["safetensors"], no_verify=True).stored == 1
        assert mirror.sync("base1", formats=["safetensors"], no_verify=True).stored == 0
        outcome = mirror.sync("base1", no_verify=True)
        assert (outcome.stored, outcome.changes) == (1, [])
        assert mirror.sync("base1", offline=True, no_verify=True).problems == []


@pytest.fixture
def narrowed(tmp_path: Path) -> Iterator[Mirror]:
    """A mirror that has pulled a repository in one of two formats, and an archive whole."""
    world = World()
    for name in ("config.json", "model.safetensors", "pytorch_model.bin"):
        world.add_hub_file("o/r", "main", name, name.encode())
    world.add_object("plain", "/m.zip", b"zip")
    with Server(world) as server:
        sources = (catalogs.hub("o/r"), catalogs.http(catalogs.file("m.zip", server.url("plain", "/m.zip"))))
        root = place_mirror(tmp_path / "mirror", catalogs.text(catalogs.model("base1", *sources)))
        mirror = Mirror.open(root, environ={"HF_ENDPOINT": server.url("hub")})
        assert mirror.sync("base1", formats=["safetensors"], no_verify=True).problems == []
        yield mirror


def test_offline_after_a_narrowed_pull(narrowed: Mirror) -> None:
    assert narrowed.sync("base1@google", offline=True, no_verify=True).problems == []
    assert narrowed.sync("base1", formats=["safetensors"], offline=True, no_verify=True).problems == []
    (problem,) = narrowed.sync("base1", offline=True, no_verify=True).problems
    assert isinstance(problem.error, OfflineError)
    assert str(problem.error) == ("base1@huggingface is held only in safetensors, and --offline forbids to ask for it")


@pytest.mark.parametrize("update", [False, True])
def test_what_is_held_without_a_pin_is_no_more_locked_than_what_is_not(mirror: Mirror, update: bool) -> None:
    outcome = mirror.sync(everything=True, locked=True, update=update)
    assert [type(problem.error) for problem in outcome.problems] == [UnpinnedError] * 2
    assert outcome.stored == 0
    mirror = edit(mirror, lambda files: files[0].update(sha256=sha256(ONE)))
    (problem,) = mirror.sync(everything=True, locked=True, update=update).problems
    assert str(problem.error) == f"{ARTIFACT}/two.json has no pin, and --locked was asked for"
    mirror.lock_held()
    mirror = Mirror.open(mirror.place.root, environ={})
    assert mirror.sync(everything=True, locked=True, update=update).problems == []


def test_what_was_added_and_has_no_pin_is_not_taken_by_a_locked_pull(mirror: Mirror) -> None:
    mirror.lock_held()
    mirror = edit(mirror, add_three)
    assert mirror.sync(everything=True, locked=True).problems == [], "the lock is the list"
    assert mirror.sync(everything=True).stored == 1
