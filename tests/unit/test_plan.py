"""Promises and holdings to what must be done."""

from __future__ import annotations

from mirror.model import Authority, Claim, Digest, RemoteFile
from mirror.plan import identity, make_plan

SHA, GIT, MD5 = Digest("sha256", "a" * 64), Digest("git-sha1", "b" * 40), Digest("md5", "c" * 32)


def file(name: str, *digests: Digest, size: int | None = 10) -> RemoteFile:
    claims = tuple(Claim(digest, Authority.PUBLISHER, "api") for digest in digests)
    return RemoteFile(name, "vocab.txt", (f"https://host/{name}",), size, claims)


def nowhere(digest: Digest) -> None:
    return None


def test_files_with_the_same_strong_digest_are_fetched_once_from_any_of_their_addresses() -> None:
    plan = make_plan(
        [file("a", GIT), file("b", GIT), file("c", MD5), file("d", MD5)], held_files=0, held_bytes=0, locate=nowhere
    )
    assert [(task.file.artifact, [twin.artifact for twin in task.twins]) for task in plan.fetch] == [
        ("a", ["b"]),
        ("c", []),
        ("d", []),
    ]
    assert plan.fetch[0].file.urls == ("https://host/a", "https://host/b")


def test_bytes_that_are_here_are_adopted_not_fetched() -> None:
    plan = make_plan([file("a", GIT)], held_files=3, held_bytes=30, locate=lambda digest: "f" * 64)
    assert [adoption.sha256 for adoption in plan.adopt] == ["f" * 64]
    assert not plan.fetch
    assert not plan.empty


def test_only_a_strong_digest_is_looked_for() -> None:
    asked: list[Digest] = []
    make_plan([file("a", MD5), file("b", GIT, SHA)], held_files=0, held_bytes=0, locate=asked.append)
    assert asked == [SHA]


def test_unknown_sizes_are_counted_apart() -> None:
    plan = make_plan([file("a", size=None), file("b", size=7)], held_files=0, held_bytes=0, locate=nowhere)
    assert (plan.bytes_to_fetch, plan.unknown_sizes) == (7, 1)


def test_a_twin_whose_size_is_known_lends_it() -> None:
    plan = make_plan([file("a", SHA, size=None), file("b", SHA, size=7)], held_files=0, held_bytes=0, locate=nowhere)
    assert plan.fetch[0].file.size == 7


def test_nothing_wanted_is_an_empty_plan() -> None:
    assert make_plan([], held_files=1, held_bytes=1, locate=nowhere, waiting=["x@baidu"]).empty


def test_the_strongest_digest_identifies() -> None:
    assert identity(file("a", MD5, GIT, SHA).claims) == SHA
    assert identity(file("a", MD5).claims) is None
