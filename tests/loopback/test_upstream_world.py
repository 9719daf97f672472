"""The world's stock, its determinism, its own catalog, and worlds of other people's files."""

from __future__ import annotations

import hashlib
import json
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from mirror.catalog.check import check
from mirror.upstream.content import Content
from mirror.upstream.host import ROLE_OF
from mirror.upstream.server import Server
from mirror.upstream.stock import share_id, shipped_catalog
from mirror.upstream.world import World, build_world

if TYPE_CHECKING:
    from pathlib import Path

#: sha256 over path and bytes of one file of each container that does not depend on zlib.
DIGESTS = {
    (
        "google/bert_uncased_L-2_H-128_A-2",
        "pytorch_model.bin",
    ): "cbc0c8faf364a072805112555b66ef0946b68997950ac8b1010ae4d5c174c29f",
    (
        "google/bert_uncased_L-2_H-128_A-2",
        "model.safetensors",
    ): "3211c9081d69556d22efaff4f99e5fefbab2b6f64001e1e76cd6359834699c9b",
    ("albert/albert-base-v1", "spiece.model"): "ebd60b30775a2f33b3ee486953c2c51c27d6a22b32b6783a23f7788c5486b5a8",
    (
        "distilbert/distilbert-base-uncased",
        "tokenizer.json",
    ): "9fe0ae0919a615ce292f5bec52fcfbbf87d2f1833c291ddb236eda72bf386186",
}


def contents(world: World) -> dict[str, Content]:
    found = {
        f"{name}@{commit}/{path}": file.content
        for name, repository in world.hub.repositories.items()
        for commit, files in repository.revisions.items()
        for path, file in files.items()
    }
    for role in ("google", "baidu"):
        found |= {f"{role}{key}": stored.content for key, stored in world.stores[role].objects.items()}
    return found


@pytest.fixture(scope="module")
def world() -> World:
    return build_world()


def test_a_world_is_there_at_once_and_makes_files_when_asked() -> None:
    catalog = shipped_catalog()
    begin = time.monotonic()
    build_world(catalog=catalog)
    assert time.monotonic() - begin < 1


def test_the_same_seed_gives_the_same_bytes(world: World) -> None:
    other = build_world(0)
    mine, yours = contents(world), contents(other)
    assert mine.keys() == yours.keys()
    assert all(mine[name].sha256 == yours[name].sha256 for name in sorted(mine)[::4])
    assert 20e6 < sum(content.size for content in mine.values()) < 60e6


def test_another_seed_gives_other_weights_and_the_same_shapes(world: World) -> None:
    mine, yours = contents(world), contents(build_world(1, catalog=world.shipped))
    name = next(name for name in mine if name.startswith("google/bert_uncased_L-2") and name.endswith(".safetensors"))
    other = next(
        key for key in yours if key.partition("@")[0] == name.partition("@")[0] and key.endswith(".safetensors")
    )
    assert mine[name].size == yours[other].size
    assert mine[name].sha256 != yours[other].sha256


@pytest.mark.parametrize(("repo", "path"), DIGESTS)
def test_the_bytes_of_the_demo_never_change(world: World, repo: str, path: str) -> None:
    repository = world.hub.repositories[repo]
    held = repository.revisions[repository.refs["main"]][path].content
    assert held.sha256 == DIGESTS[repo, path]


def test_every_downloadable_source_of_the_shipped_catalog_is_in_stock(world: World) -> None:
    missing = []
    for entry in (*world.shipped["models"], *world.shipped["bundles"]):
        for source in entry["sources"]:
            if source["kind"] == "hub":
                held = world.hub.repositories[source["repo"]]
                commit = source["revision"] or held.refs["main"]
                missing += [file["path"] for file in source["files"] if file["path"] not in held.revisions[commit]]
            for url in [url for file in source["files"] for url in file.get("urls", ())]:
                parts = urlsplit(url)
                store = world.stores[ROLE_OF[parts.hostname or ""]]
                missing += [url] if store.prefix + parts.path not in store.objects else []
    assert missing == []


def test_every_repository_is_whole(world: World) -> None:
    for repository in world.hub.repositories.values():
        paths = set(repository.revisions[repository.refs["main"]])
        assert paths >= {".gitattributes", "README.md", "config.json", "model.safetensors", "pytorch_model.bin"}
        assert paths & {"vocab.txt", "spiece.model"}


def test_an_older_revision_differs(world: World) -> None:
    repository = world.hub.repositories["distilbert/distilbert-base-uncased"]
    assert len(repository.revisions) == 2
    assert repository.others("README.md", repository.refs["main"])


def test_every_share_has_what_a_person_finds_behind_it(world: World) -> None:
    urls = [
        source["url"]
        for entry in (*world.shipped["models"], *world.shipped["bundles"])
        for source in entry["sources"]
        if source["kind"] == "baidu-pan" and source["url"]
    ]
    assert {share_id(url) for url in urls} == set(world.handoffs) == set(world.pan.shares.by_id)
    assert all(files for files in world.handoffs.values())


def test_the_demos_catalog_says_what_it_is_and_points_here(world: World) -> None:
    with Server(world) as server:
        catalog = world.catalog(server)
    assert "demo" in catalog["conventions"]["demo"]
    assert len(catalog["models"]) == 48
    hosts = {urlsplit(url).hostname for url in addresses(catalog)}
    assert hosts == {"127.0.0.1"}
    tiny = catalog["models"][0]
    assert (tiny["shape"]["hidden"], tiny["shape"]["layers"]) == (4, 2)
    assert (tiny["glue"], tiny["parameters"]["printed"]) == (None, None)


def test_the_demos_pins_are_the_demos_bytes(world: World) -> None:
    with Server(world) as server:
        catalog = world.catalog(server)
    pinned = [
        (source, file)
        for entry in catalog["models"]
        for source in entry["sources"]
        for file in source["files"]
        if file["sha256"] is not None
    ]
    assert 5 <= len(pinned) <= 40
    real = {file["sha256"] for _, file in files_of(world.shipped)}
    for source, file in pinned:
        held = world.hub.repositories[source["repo"]].revisions[source["revision"]][file["path"]].content
        assert (file["sha256"], file["size"]) == (held.sha256, held.size)
        assert file["sha256"] not in real


def files_of(catalog: dict[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    return [(source, file) for entry in catalog["models"] for source in entry["sources"] for file in source["files"]]


def addresses(catalog: dict[str, Any]) -> list[str]:
    found = []
    for entry in (*catalog["models"], *catalog["bundles"]):
        for source in entry["sources"]:
            found += [source["url"]] if source.get("url") else []
            found += [url for file in source["files"] for url in file.get("urls", ())]
    return found


def test_the_demos_catalog_is_a_catalog(world: World) -> None:
    with Server(world) as server:
        text, shares = json.dumps(world.catalog(server)), server.url("pan", "/s/1")
    # The schema may insist on the real host of shares; nothing else is to be found.
    assert [str(problem) for problem in check(text) if shares not in problem.what] == []


def test_a_tree_of_files_is_a_world(tmp_path: Path) -> None:
    commit = "a" * 40
    for path, data in {
        f"huggingface.co/org/name/{commit}/config.json": b"{}",
        f"huggingface.co/org/name/{commit}/sub/model.safetensors": b"weights",
        "storage.googleapis.com/bucket/a.zip": b"zip",
        "paddlenlp.bj.bcebos.com/models/x.pdparams": b"paddle",
        "files.example.org/empty": b"",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    world = World.from_tree(tmp_path)
    files = world.hub.repositories["org/name"].revisions[commit]
    assert {path: (bytes(file.content.data), file.lfs) for path, file in files.items()} == {
        "config.json": (b"{}", False),
        "sub/model.safetensors": (b"weights", True),
    }
    assert world.hub.repositories["org/name"].refs["main"] == commit
    assert set(world.stores["baidu"].objects) == {"/paddlenlp/models/x.pdparams"}
    assert world.stores["plain"].objects["/empty"].content.size == 0


def test_a_file_of_an_unknown_host_is_refused() -> None:
    with pytest.raises(ValueError, match=r"elsewhere\.example"):
        World().add_url("https://elsewhere.example/a", b"")


@pytest.mark.parametrize("path", ["huggingface.co/org/name/config.json", "elsewhere.example/a"])
def test_a_tree_with_a_file_of_nobody_is_refused(tmp_path: Path, path: str) -> None:
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_bytes(b"")
    with pytest.raises(ValueError, match=r"huggingface\.co|elsewhere"):
        World.from_tree(tmp_path)


def test_content_knows_every_digest_of_its_bytes() -> None:
    content = Content(b"123456789")
    assert content.crc32 == 0xCBF43926
    assert content.crc32c == 0xE3069283
    assert content.git_sha1 == hashlib.sha1(b"blob 9\x00123456789").hexdigest()
    assert content.md5.hex() == hashlib.md5(b"123456789").hexdigest()
    assert content.variant().size == 9
    assert all(a != b for a, b in zip(content.variant().data, content.data, strict=True))
