"""From digests and authorities to a level."""

from __future__ import annotations

import pytest

from mirror.evidence import conflicts, is_secure, judge
from mirror.model import Authority, Claim, Digest, Level

SHA, OTHER = Digest("sha256", "a" * 64), Digest("sha256", "b" * 64)
GIT = Digest("git-sha1", "c" * 40)
MD5, CRC = Digest("md5", "d" * 32), Digest("crc32c", "0" * 8)
ACTUAL = {"sha256": SHA, "git-sha1": GIT, "md5": MD5, "crc32c": CRC}


def claim(digest: Digest, authority: Authority, *, secure: bool = True) -> Claim:
    return Claim(digest, authority, "somewhere", secure)


@pytest.mark.parametrize(
    ("claims", "level"),
    [
        ([], Level.FIRST_SEEN),
        ([claim(SHA, Authority.LEDGER)], Level.FIRST_SEEN),
        ([claim(MD5, Authority.PUBLISHER)], Level.CHECKED),
        ([claim(CRC, Authority.PUBLISHER), claim(MD5, Authority.PUBLISHER)], Level.CHECKED),
        ([claim(SHA, Authority.PEER)], Level.CHECKED),
        ([claim(SHA, Authority.PUBLISHER, secure=False)], Level.CHECKED),
        ([claim(SHA, Authority.PUBLISHER)], Level.ATTESTED),
        ([claim(GIT, Authority.PUBLISHER)], Level.ATTESTED),
        ([claim(GIT, Authority.CATALOG)], Level.CHECKED),
        ([claim(SHA, Authority.CATALOG)], Level.PINNED),
        ([claim(SHA, Authority.LOCK), claim(MD5, Authority.PUBLISHER)], Level.PINNED),
        ([claim(SHA, Authority.CATALOG), claim(OTHER, Authority.PUBLISHER)], Level.DISPUTED),
        ([claim(SHA, Authority.PUBLISHER), claim(OTHER, Authority.LEDGER)], Level.DISPUTED),
    ],
)
def test_the_level_follows_from_who_agrees(claims: list[Claim], level: Level) -> None:
    found = judge(ACTUAL, claims)
    assert found.level is level
    assert bool(found.against) == (level is Level.DISPUTED)
    assert len(found.agreeing) + len(found.against) == len(claims)


def test_a_claim_in_an_algorithm_that_was_not_computed_is_a_bug() -> None:
    with pytest.raises(KeyError):
        judge({"sha256": SHA}, [claim(MD5, Authority.PUBLISHER)])


def test_claims_that_contradict_each_other_are_found_before_a_byte_comes() -> None:
    pin, api = claim(SHA, Authority.CATALOG), claim(OTHER, Authority.PUBLISHER)
    assert conflicts([pin, api, claim(MD5, Authority.PUBLISHER)]) == (pin, api)
    assert conflicts([pin, pin, claim(GIT, Authority.PUBLISHER)]) == ()


@pytest.mark.parametrize(
    ("url", "secure"),
    [
        ("https://huggingface.co/x", True),
        ("http://bj.bcebos.com/x", False),
        ("http://127.0.0.1:8080/x", True),
        ("http://[::1]:8080/x", True),
        ("http://localhost/x", True),
        ("http://mirror.localhost/x", True),
        ("http://localhost.example/x", False),
        ("http://10.0.0.1/x", False),
        ("file:///srv/x", True),
    ],
)
def test_only_tls_loopback_and_local_files_cannot_be_changed_on_the_way(url: str, secure: bool) -> None:
    assert is_secure(url) is secure
