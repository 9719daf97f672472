"""Listing a hub repository: one commit, every file, who vouches for it, and what a hub refuses."""

from __future__ import annotations

import json
import logging
import threading
from typing import TYPE_CHECKING, Any

import huggingface_hub
import pytest

from mirror.catalog import parse
from mirror.errors import (
    AccessError,
    CatalogError,
    ChangedError,
    ConnectionDroppedError,
    NotFoundError,
    RateLimitedError,
    SourceError,
    StalledError,
)
from mirror.model import Authority, Claim, Digest, Listing, Refused
from mirror.sources.access import HubAccess
from mirror.sources.listing import list_artifact
from mirror.sources.opener import Openers
from tests import catalogs
from tests.artifacts import REPO, Artifact, File
from tests.loopback.scripted import Peer, Script, Scripted, always, answer, routes, scripted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mirror.sources.published import Promised

COMMIT = "c" * 40
REVISION = f"/api/models/{REPO}/revision/main?blobs=true"
SHA256, BLOB = "a" * 64, "b" * 40


def repo_json(**changes: Any) -> bytes:
    siblings = [
        {"rfilename": "config.json", "size": 382, "blobId": BLOB},
        {
            "rfilename": "model.safetensors",
            "size": 17,
            "blobId": "d" * 40,
            "lfs": {"sha256": SHA256, "size": 17, "pointerSize": 130},
        },
        {"rfilename": "pytorch_model.bin", "size": 18, "blobId": "e" * 40},
    ]
    value = {"id": REPO, "sha": COMMIT, "siblings": siblings, "private": False, **changes}
    return answer(json.dumps(value).encode(), "Content-Type: application/json")


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)


def listed(server: Scripted, artifact: Promised | None = None, token: str | None = None, **more: Any) -> Listing:
    access = HubAccess(server.url, token)
    with Openers.of({}, stall=more.pop("stall", 5), hub=access) as openers:
        return list_artifact(artifact or Artifact(), openers, **more)


def test_a_ref_becomes_a_commit_with_sizes_and_digests() -> None:
    with scripted(routes({REVISION: repo_json()})) as server:
        found = listed(server)
        assert (found.artifact, found.revision) == ("bert-tiny@huggingface", COMMIT)
        config, weights, _ = found.files
        assert (config.path, config.size, config.revision) == ("config.json", 382, COMMIT)
        assert config.urls == (f"{server.url}/{REPO}/resolve/{COMMIT}/config.json",)
        where = f"127.0.0.1 API at {COMMIT}"
        assert config.claims == (Claim(Digest("git-sha1", BLOB), Authority.PUBLISHER, where),)
        assert weights.sha256 == SHA256
        assert [asked.target for asked in server.asked] == [REVISION]  # one question, and none about who asks


def test_a_pinned_commit_is_asked_for_by_name() -> None:
    with scripted(routes({REVISION.replace("main", COMMIT): repo_json()})) as server:
        assert listed(server, Artifact(revision=COMMIT)).revision == COMMIT


def test_a_hub_that_answers_for_another_commit_is_refused() -> None:
    with scripted(routes({REVISION.replace("main", "d" * 40): repo_json()})) as server, pytest.raises(ChangedError):
        listed(server, Artifact(revision="d" * 40))


def test_pins_are_merged_and_a_pinned_path_that_is_gone_stays() -> None:
    pin = Claim(Digest("sha256", "f" * 64), Authority.CATALOG, "catalog.json")
    artifact = Artifact(files=(File("config.json", pins=(pin,)), File("gone.txt", promised_size=5, pins=(pin,))))
    with scripted(routes({REVISION: repo_json()})) as server:
        files = {file.path: file for file in listed(server, artifact).files}
        assert [claim.authority for claim in files["config.json"].claims] == [Authority.CATALOG, Authority.PUBLISHER]
        assert (files["gone.txt"].size, files["gone.txt"].claims) == (5, (pin,))
        assert files["gone.txt"].urls == (f"{server.url}/{REPO}/resolve/{COMMIT}/gone.txt",)


def test_a_path_that_the_catalog_saw_at_another_revision_is_not_expected_at_this_one() -> None:
    files = [
        catalogs.file("config.json", git_sha1=BLOB, size=382),
        catalogs.file("pytorch_model.bin", revision="refs/pr/1", sha256="f" * 64, size=5),
        catalogs.file("old.bin", revision="refs/pr/1"),
        catalogs.file("gone.txt"),
    ]
    known = parse(catalogs.text(catalogs.model("m", catalogs.hub(REPO, *files, revision=COMMIT))))
    with scripted(routes({REVISION.replace("main", COMMIT): repo_json()})) as server:
        found = {file.path: file for file in listed(server, known.artifact("m@huggingface")).files}
    assert list(found) == ["config.json", "gone.txt", "model.safetensors", "pytorch_model.bin"]
    # The commit's own list still has the other's path: what it says of it counts, and nothing else.
    assert [claim.authority for claim in found["pytorch_model.bin"].claims] == [Authority.PUBLISHER]
    assert found["pytorch_model.bin"].size == 18


def test_formats_narrow_the_weights_and_keep_the_rest() -> None:
    with scripted(routes({REVISION: repo_json()})) as server:
        paths = [file.path for file in listed(server, formats=["safetensors"]).files]
        assert paths == ["config.json", "model.safetensors"]


def test_a_hub_without_metadata_is_asked_for_its_tree() -> None:
    tree = f"/api/models/{REPO}/tree/{COMMIT}?recursive=true&expand=false"
    first = [
        {"type": "directory", "path": "onnx", "oid": "1" * 40, "size": 0},
        {"type": "file", "path": "config.json", "size": 382, "oid": BLOB},
    ]
    second = [
        {
            "type": "file",
            "path": "onnx/model.onnx",
            "size": 17,
            "oid": "d" * 40,
            "lfs": {"oid": SHA256, "size": 17, "pointerSize": 130},
        }
    ]

    def script(peer: Peer) -> None:
        pages = {
            REVISION: repo_json(siblings=[{"rfilename": "config.json"}]),
            tree: answer(json.dumps(first).encode(), f'Link: <{server.url}{tree}&cursor=2>; rel="next"'),
            f"{tree}&cursor=2": answer(json.dumps(second).encode()),
        }
        routes(pages)(peer)

    with scripted(script) as server:
        found = listed(server)
        assert [(file.path, file.size) for file in found.files] == [("config.json", 382), ("onnx/model.onnx", 17)]
        assert found.files[1].sha256 == SHA256


@pytest.mark.parametrize("token", [None, "hf_secret"])
def test_the_token_is_sent_when_there_is_one(token: str | None) -> None:
    with scripted(routes({REVISION: repo_json()})) as server:
        listed(server, token=token)
        assert server.asked[0].headers.get("authorization") == (f"Bearer {token}" if token else None)


def test_a_renamed_repository_is_followed_without_the_token_leaving() -> None:
    with scripted(routes({"/api/models/new/name": repo_json()})) as other:
        moved = answer(b"", f"Location: {other.url}/api/models/new/name", status="307 Moved")
        with scripted(routes({REVISION: moved})) as server:
            assert listed(server, token="hf_secret").revision == COMMIT
            assert "authorization" in server.asked[0].headers
            assert "authorization" not in other.asked[0].headers


@pytest.mark.parametrize(
    ("status", "headers", "error", "word"),
    [
        ("404 Not Found", ["X-Error-Code: RepoNotFound"], NotFoundError, "private"),
        ("401 Unauthorized", ["X-Error-Code: RepoNotFound"], NotFoundError, "private"),
        ("404 Not Found", ["X-Error-Code: RevisionNotFound"], NotFoundError, "no such revision"),
        ("403 Forbidden", ["X-Error-Code: GatedRepo", "X-Error-Message: ask"], AccessError, "gated"),
        ("401 Unauthorized", ["X-Error-Message: Invalid credentials in Authorization header"], AccessError, "Invalid"),
        ("429 Too Many", ['ratelimit: "api";r=0;t=55'], RateLimitedError, "429"),
        ("500 Oops", [], SourceError, "500"),
    ],
)
def test_a_refusal_is_explained(status: str, headers: list[str], error: type[SourceError], word: str) -> None:
    sent = answer(b"{}", *headers, status=status)
    with scripted(routes({REVISION: sent})) as server, pytest.raises(error, match=word) as caught:
        listed(server)
    assert type(caught.value).__mro__.index(error) <= 1
    assert REPO in str(caught.value)
    assert caught.value.hint or error not in {NotFoundError, AccessError}
    if error is RateLimitedError:
        assert caught.value.retry_after == 55


@pytest.mark.parametrize("code", ["RepoNotFound", "GatedRepo", ""])
def test_a_token_that_was_kept_back_is_not_asked_for(code: str) -> None:
    refusal = always(answer(b"", f"X-Error-Code: {code}", status="401 Unauthorized"))
    with scripted(refusal) as proxy:
        for token, words in (("hf_secret", "HF_TOKEN is set and was not sent"), (None, "")):
            access = HubAccess("http://hub.example", token)
            with Openers.of({"HTTP_PROXY": proxy.url}, stall=5, hub=access) as openers:
                with pytest.raises(SourceError) as listing:
                    list_artifact(Artifact(), openers)
                with pytest.raises(SourceError) as file:
                    openers.open(f"http://hub.example/{REPO}/resolve/main/config.json")
            for caught in (listing, file):
                assert caught.value.hint.startswith(words)
                assert bool(words) == ("was not sent" in caught.value.hint)
        assert all("authorization" not in asked.headers for asked in proxy.asked)


@pytest.mark.parametrize(
    "sent",
    [
        answer(b"<!doctype html>log in", "Content-Type: text/html"),
        answer(b"[]"),
        answer(b'{"id": "x"}'),
        repo_json(sha="main"),
        repo_json(siblings=[]),
        repo_json(siblings=None),
        answer(json.dumps({"id": REPO, "sha": COMMIT}).encode(), "Content-Type: application/json"),
        repo_json(siblings=[{"rfilename": 5, "size": 1, "blobId": BLOB}]),
        repo_json(siblings=[{"rfilename": "x", "size": 1, "blobId": BLOB, "lfs": {"sha256": SHA256}}]),
        repo_json(siblings=[{"rfilename": f"{number}/..", "size": 1, "blobId": BLOB} for number in range(1001)]),
    ],
)
def test_an_answer_that_is_no_hub_s_is_a_source_error(sent: bytes) -> None:
    with scripted(routes({REVISION: sent})) as server, pytest.raises(SourceError):
        listed(server)


DEEP = answer(b"[" * 100_000, "Content-Type: application/json")


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (answer(b"<!doctype html>log in", "Content-Type: text/html"), "it is no JSON"),
        (answer(b"[]"), "its values are of other kinds"),
        (answer(b'{"siblings": []}'), "it lacks 'id'"),
        (answer(b'{"id": "\xff"}'), "it is no UTF-8"),
        (DEEP, "it is nested too deeply"),
        (answer(b'{"id": ' + b"[" * 100_000), "it is nested too deeply"),
        (answer(b'{"id": ' + b"9" * 5000 + b"}"), "its values are of other kinds"),
        (repo_json(sha="main"), "it names no full commit"),
        (repo_json(siblings=["x"]), "its values are of other kinds"),
    ],
)
def test_what_is_wrong_with_an_answer_is_said_in_words(sent: bytes, words: str) -> None:
    with scripted(routes({REVISION: sent})) as server, pytest.raises(SourceError, match="not a hub's: ") as caught:
        listed(server)
    assert str(caught.value).endswith(f"the answer is not a hub's: {words}")


@pytest.mark.parametrize("status", ["200 OK", "404 Not Found", "401 Unauthorized", "500 Oops", "302 Found"])
def test_no_answer_is_deep_enough_to_end_more_than_the_question(status: str) -> None:
    sent = answer(b"[" * 100_000, "Content-Type: application/json", status=status)
    with scripted(routes({REVISION: sent})) as server, pytest.raises(SourceError):
        listed(server)


@pytest.mark.parametrize(
    ("path", "change", "why"),
    [
        ("../../etc/passwd", {}, "its path leads elsewhere"),
        ("/etc/passwd", {}, "its path leads elsewhere"),
        ("", {}, "its path leads elsewhere"),
        ("a\\b", {}, "its path holds a backslash"),
        ("a\0b", {}, "its path holds signs that cannot be printed"),
        ("\ud800", {}, "its path holds signs that cannot be printed"),
        ("x" * 256, {}, "its path is too long"),
        ("config.json/x", {}, "its path leads through another file"),
        ("x", {"size": -1}, "its size is none"),
        ("x", {"size": True}, "its size is none"),
        ("x", {"size": 10**25}, "its size is none"),
        ("x", {"blobId": "nonsense"}, "'nonsense' is not a git-sha1"),
    ],
)
def test_a_file_that_cannot_be_taken_is_refused_and_the_others_come(path: str, change: Any, why: str) -> None:
    siblings = [
        {"rfilename": "config.json", "size": 382, "blobId": BLOB},
        {"rfilename": path, "size": 1, "blobId": BLOB, **change},
        {"rfilename": 'odd: ? " * | < >.txt', "size": 1, "blobId": BLOB},
    ]
    with scripted(routes({REVISION: repo_json(siblings=siblings)})) as server:
        found = listed(server)
        assert [file.path for file in found.files] == ["config.json", 'odd: ? " * | < >.txt']
        assert found.files[1].urls[0].endswith("/odd%3A%20%3F%20%22%20%2A%20%7C%20%3C%20%3E.txt")
        assert found.refused == (Refused(path, why),)


def cut(peer: Peer) -> None:
    peer.request()
    peer.send(repo_json()[:-20])


def silent(peer: Peer) -> None:
    peer.request()
    peer.hang()


@pytest.mark.parametrize(("script", "error"), [(cut, ConnectionDroppedError), (silent, StalledError)])
def test_a_hub_that_breaks_off_is_not_waited_for(script: Script, error: type[SourceError]) -> None:
    with scripted(script) as server, pytest.raises(error):
        listed(server, stall=0.3)


def test_a_name_that_is_no_repository_is_refused() -> None:
    with scripted(routes({})) as server:
        with pytest.raises(SourceError, match="not the name of a repository"):
            listed(server, Artifact(repo="a/b/c"))
        with pytest.raises(CatalogError):
            listed(server, Artifact(repo=None))
        assert server.asked == []


def test_several_threads_list_at_once_and_the_library_is_itself_again() -> None:
    with scripted(routes({REVISION: repo_json()})) as server:
        access = HubAccess(server.url)
        found: list[str | None] = []
        with Openers.of({}, hub=access) as openers:

            def run() -> None:
                found.append(list_artifact(Artifact(), openers).revision)

            threads = [threading.Thread(target=run) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert found == [COMMIT] * 8
        session = huggingface_hub.get_session()
        assert session.event_hooks["request"]  # huggingface_hub's own, with its offline switch
        huggingface_hub.close_session()
