"""The embedded hub and its CDN answer as the real ones."""

from __future__ import annotations

import hashlib
import json
import urllib.parse
from typing import TYPE_CHECKING, Any

import pytest

from mirror.upstream.world import World
from tests.upstream_world import COMMIT, CONFIG, REPO, WEIGHTS, Wire, exchange, resolve, serving, small_world

if TYPE_CHECKING:
    from mirror.upstream.server import Server

LATER = "b" * 40
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
GIT = hashlib.sha1(b"blob %d\0" % len(CONFIG) + CONFIG).hexdigest()
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{SHA256}\nsize {len(WEIGHTS)}\n".encode()
POINTER_GIT = hashlib.sha1(b"blob %d\0" % len(POINTER) + POINTER).hexdigest()


def api(server: Server, path: str, **headers: str) -> tuple[Wire, Any]:
    got = exchange(server.url("hub", f"/api/models/{path}"), headers=headers)
    return got, json.loads(got.body)


def test_the_repository_names_its_commit_and_files() -> None:
    with serving() as server:
        for path in (REPO, f"{REPO}/revision/main", f"{REPO}/revision/{COMMIT}"):
            got, said = api(server, path)
            assert (got.status, said["id"], said["sha"]) == (200, REPO, COMMIT)
            assert said["siblings"] == [{"rfilename": "config.json"}, {"rfilename": "model.safetensors"}]


@pytest.mark.parametrize("true", ["true", "True", "1"])
def test_blobs_adds_sizes_and_digests(true: str) -> None:
    with serving() as server:
        _, said = api(server, f"{REPO}?blobs={true}")
        assert said["siblings"] == [
            {"rfilename": "config.json", "size": len(CONFIG), "blobId": GIT},
            {
                "rfilename": "model.safetensors",
                "size": len(WEIGHTS),
                "blobId": POINTER_GIT,
                "lfs": {"sha256": SHA256, "size": len(WEIGHTS), "pointerSize": len(POINTER)},
            },
        ]


def test_the_tree_gives_the_sha256_as_the_lfs_oid_and_never_speaks_of_xet() -> None:
    with serving() as server:
        got, said = api(server, f"{REPO}/tree/main?recursive=true&expand=false")
        assert got.header("x-repo-commit") == COMMIT
        assert said[0] == {"type": "file", "oid": GIT, "size": len(CONFIG), "path": "config.json"}
        assert said[1]["lfs"] == {"oid": SHA256, "size": len(WEIGHTS), "pointerSize": len(POINTER)}
        assert b"xet" not in got.raw.lower()


def test_folders_are_listed_when_asked_for() -> None:
    world = small_world()
    for path in ("a/b/c.txt", "a/d.txt", "e.txt"):
        world.add_hub_file(REPO, COMMIT, path, path.encode())
    with serving(world) as server:

        def paths(query: str) -> list[tuple[str, str]]:
            return [(one["type"][0], one["path"]) for one in api(server, f"{REPO}/tree/main{query}")[1]]

        top = [("d", "a"), ("f", "config.json"), ("f", "e.txt"), ("f", "model.safetensors")]
        assert paths("") == top
        assert paths("/a") == [("d", "a/b"), ("f", "a/d.txt")]
        below = [("d", "a"), ("d", "a/b"), ("f", "a/b/c.txt"), ("f", "a/d.txt")]
        assert paths("?recursive=True") == [*below, *top[1:]]
        missing = exchange(server.url("hub", f"/api/models/{REPO}/tree/main/additional_chat_templates"))
        assert (missing.status, missing.header("x-error-code")) == (404, "EntryNotFound")


def test_a_long_tree_comes_in_pages() -> None:
    world = small_world()
    for number in range(25):
        world.add_hub_file(REPO, COMMIT, f"part-{number:02}.txt", b"x")
    world.hub.page = 10
    with serving(world) as server:
        url, seen = server.url("hub", f"/api/models/{REPO}/tree/{COMMIT}?recursive=true"), []
        while url:
            got = exchange(url)
            seen += [entry["path"] for entry in json.loads(got.body)]
            link = got.header("link") or ""
            url = link.partition("<")[2].partition(">")[0]
            assert not link or link.endswith('; rel="next"')
        assert len(seen) == len(set(seen)) == 27
        assert len(server.requests()) == 3


@pytest.mark.parametrize("kind", ["form", "json"])
def test_paths_info_describes_the_paths_that_exist(kind: str) -> None:
    bodies = {
        "form": ("application/x-www-form-urlencoded", "paths=config.json&paths=nothing&expand=false"),
        "json": ("application/json", json.dumps({"paths": ["config.json", "nothing"]})),
    }
    import urllib.request

    with serving() as server:
        content_type, body = bodies[kind]
        request = urllib.request.Request(
            server.url("hub", f"/api/models/{REPO}/paths-info/main"), body.encode(), {"Content-Type": content_type}
        )
        with urllib.request.urlopen(request) as reply:
            assert [entry["path"] for entry in json.load(reply)] == ["config.json"]


def test_a_small_file_is_answered_at_once() -> None:
    with serving() as server:
        got = exchange(resolve(server, "config.json", revision="main"))
        assert (got.status, got.body) == (200, CONFIG)
        assert (got.header("etag"), got.header("x-repo-commit")) == (f'"{GIT}"', COMMIT)


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_a_large_file_is_redirected_to_the_cdn_with_its_digest(method: str) -> None:
    with serving() as server:
        got = exchange(resolve(server, "model.safetensors"), method=method)
        assert got.status == 302
        assert got.header("x-repo-commit") == COMMIT
        assert got.header("x-linked-etag") == f'"{SHA256}"'
        assert got.header("x-linked-size") == str(len(WEIGHTS))
        location = got.header("location") or ""
        assert location.startswith(server.url("cdn", "/"))
        there = exchange(location, headers={"Range": "bytes=5-9"})
        assert (there.status, there.body) == (206, WEIGHTS[5:10])
        assert there.header("x-repo-commit") is None
        assert SHA256 not in (there.header("etag") or "")


def test_the_cdn_wants_its_signature() -> None:
    with serving() as server:
        location = exchange(resolve(server, "model.safetensors")).header("location") or ""
        assert exchange(location.replace("Signature=", "Signature=0")).status == 403
        assert exchange(location.partition("?")[0]).status == 403
        wrong = urllib.parse.urlsplit(location)._replace(path="/repos/x/y/aa/bb").geturl()
        assert exchange(wrong).status == 403


def test_what_is_missing_says_what_is_missing() -> None:
    with serving() as server:
        entry = exchange(resolve(server, "nothing"))
        assert (entry.status, entry.header("x-error-code")) == (404, "EntryNotFound")
        assert entry.header("x-repo-commit") == COMMIT
        revision = exchange(resolve(server, "config.json", revision="dev"))
        assert (revision.status, revision.header("x-error-code")) == (404, "RevisionNotFound")
        stranger = exchange(resolve(server, "config.json", repo="no/body"))
        assert (stranger.status, stranger.header("x-error-code")) == (401, "RepoNotFound")
        got, _ = api(server, f"{REPO}/revision/dev")
        assert (got.status, got.header("x-error-code")) == (404, "RevisionNotFound")


def test_a_moving_ref_serves_the_commit_it_points_at() -> None:
    world = small_world()
    world.add_hub_file(REPO, LATER, "config.json", b"later")
    with serving(world) as server:
        assert exchange(resolve(server, "config.json", revision="main")).body == CONFIG
        world.repository(REPO).move("main", LATER)
        assert exchange(resolve(server, "config.json", revision="main")).body == b"later"
        assert exchange(resolve(server, "config.json")).body == CONFIG
        _, said = api(server, f"{REPO}/refs")
        assert said["branches"] == [{"name": "main", "ref": "refs/heads/main", "targetCommit": LATER}]
    with pytest.raises(ValueError, match="no revision"):
        world.repository(REPO).move("main", "c" * 40)


def test_a_revision_is_one_encoded_segment() -> None:
    world = small_world()
    world.add_hub_file(REPO, "refs/pr/1", "config.json", b"proposed")
    with serving(world) as server:
        assert exchange(resolve(server, "config.json", revision="refs%2Fpr%2F1")).body == b"proposed"
        assert api(server, f"{REPO}/revision/refs%2Fpr%2F1")[1]["sha"] != COMMIT


def test_a_ref_can_be_pinned_by_a_redirect() -> None:
    world = small_world()
    world.hub.pins_refs = True
    with serving(world) as server:
        got = exchange(resolve(server, "config.json", revision="main"), method="HEAD")
        assert (got.status, got.header("location")) == (307, f"/{REPO}/resolve/{COMMIT}/config.json")
        assert got.header("x-repo-commit") == COMMIT


def statuses(server: Server, token: str | None) -> tuple[int, int]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    url = resolve(server, "config.json")
    return exchange(url, headers=headers).status, api(server, REPO, **headers)[0].status


def test_a_gated_repository_is_listed_for_all_and_read_by_those_let_in() -> None:
    world = small_world()
    world.hub.tokens = {"somebody"}
    world.repository(REPO).gated = True
    world.repository(REPO).tokens = {"friend"}
    with serving(world) as server:
        assert statuses(server, None) == (401, 200)
        assert statuses(server, "somebody") == (403, 200)
        assert statuses(server, "friend") == (200, 200)
        assert exchange(resolve(server, "config.json")).header("x-error-code") == "GatedRepo"


def test_a_private_repository_is_hidden_from_all_others() -> None:
    world = small_world()
    world.hub.tokens = {"somebody"}
    world.repository(REPO).private = True
    world.repository(REPO).tokens = {"friend"}
    with serving(world) as server:
        assert statuses(server, None) == (401, 401)
        assert statuses(server, "somebody") == (404, 404)
        assert statuses(server, "friend") == (200, 200)
        assert statuses(server, "stolen") == (401, 401)


def test_a_client_that_used_the_real_name_is_redirected_to_a_real_name() -> None:
    import socket

    with serving(scheme="https") as server, socket.create_connection(("127.0.0.1", server.port("hub"))) as sock:
        sock.sendall(f"HEAD /{REPO}/resolve/main/model.safetensors HTTP/1.1\r\nHost: huggingface.co\r\n\r\n".encode())
        assert b"Location: https://cdn-lfs.huggingface.co/repos/" in sock.recv(65536)


def test_a_canonical_repository_has_no_owner() -> None:
    world = World()
    world.add_hub_file("bert-base-uncased", "main", "config.json", CONFIG)
    with serving(world) as server:
        assert exchange(resolve(server, "config.json", repo="bert-base-uncased", revision="main")).body == CONFIG
        for path in ("bert-base-uncased", "bert-base-uncased/revision/main"):
            assert api(server, path)[1]["id"] == "bert-base-uncased"
        assert len(api(server, "bert-base-uncased/tree/main")[1]) == 1
