"""The sources against the embedded upstream, which answers as the real hosts do."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from mirror.errors import NotFoundError
from mirror.model import Authority
from mirror.sources.access import HubAccess
from mirror.sources.listing import list_artifact
from mirror.sources.opener import Openers
from tests.artifacts import Artifact
from tests.upstream_world import COMMIT, CONFIG, WEIGHTS, resolve, serving

if TYPE_CHECKING:
    from mirror.sources.reply import Reply


def body_of(reply: Reply) -> bytes:
    got, buffer = bytearray(), memoryview(bytearray(1 << 16))
    while count := reply.readinto(buffer):
        got += buffer[:count]
    return bytes(got)


def test_a_repository_is_listed_and_fetched_and_its_digests_agree() -> None:
    with serving() as server:
        access = HubAccess(server.url("hub", ""))
        with Openers.of({}, hub=access) as openers:
            listing = list_artifact(Artifact(), openers)
            assert listing.revision == COMMIT
            bodies = {}
            for file in listing.files:
                with openers.open(file.urls[0], size=file.size) as reply:
                    bodies[file.path] = body_of(reply)
                    assert {claim.digest for claim in file.claims} <= {claim.digest for claim in reply.claims}
                    assert dict(reply.hops[0].headers)["x-repo-commit"] == COMMIT
    assert bodies["config.json"] == CONFIG
    assert bodies["model.safetensors"] == WEIGHTS


def test_the_rest_of_a_file_is_fetched_from_the_cdn() -> None:
    with serving() as server, Openers.of({}) as openers:
        url = resolve(server, "model.safetensors")
        with openers.open(url, size=len(WEIGHTS)) as reply:
            validator = reply.validator
        with openers.open(url, start=1000, validator=validator, size=len(WEIGHTS)) as reply:
            assert reply.span.start == 1000
            assert body_of(reply) == WEIGHTS[1000:]


@pytest.mark.parametrize(
    ("role", "path", "algorithms"),
    [
        ("google", "/bert_models/2020_02_20/tiny.zip", {"md5", "crc32c"}),
        ("baidu", "/paddlenlp/models/tiny.pdparams", {"md5", "crc32"}),
    ],
)
def test_a_store_s_digests_are_those_of_its_bytes(role: str, path: str, algorithms: set[str]) -> None:
    with serving() as server, Openers.of({}) as openers, openers.open(server.url(role, path)) as reply:
        assert body_of(reply) == WEIGHTS
        found = {claim.digest.algorithm: claim.digest.hex for claim in reply.claims}
        assert set(found) >= algorithms
        assert found["md5"] == hashlib.md5(WEIGHTS).hexdigest()
        assert {claim.authority for claim in reply.claims} == {Authority.PUBLISHER}


def test_what_is_not_there_is_not_found() -> None:
    with serving() as server:
        access = HubAccess(server.url("hub", ""))
        with Openers.of({}, hub=access) as openers:
            with pytest.raises(NotFoundError, match="no such file"):
                openers.open(resolve(server, "gone.bin"))
            with pytest.raises(NotFoundError, match="no such revision"):
                list_artifact(Artifact(revision="f" * 40), openers)
            with pytest.raises(NotFoundError, match="private"):
                list_artifact(Artifact(repo="nobody/nothing"), openers)
