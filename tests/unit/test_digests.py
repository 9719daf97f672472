"""Every digest in one pass, against other implementations of the same."""

from __future__ import annotations

import hashlib
import subprocess
import zlib
from typing import TYPE_CHECKING

import pytest

from mirror.digests import BLOCK, MultiDigest, algorithms_for, digest_file
from mirror.model import HEX_LENGTH, Authority, Claim, Digest

if TYPE_CHECKING:
    from pathlib import Path

TEXT = b"123456789"
#: The check values of the catalogue of parametrised CRC algorithms, and of FIPS 180 and RFC 1321.
KNOWN = {
    "crc32": "cbf43926",
    "crc32c": "e3069283",
    "md5": "25f9e794323b453885f5181f1b624d0b",
    "sha256": "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
    "git-sha1": hashlib.sha1(b"blob 9\0" + TEXT).hexdigest(),
}


def test_every_known_algorithm_gives_its_published_check_value() -> None:
    digest = MultiDigest(HEX_LENGTH, size=len(TEXT))
    digest.update(TEXT)
    assert {name: each.hex for name, each in digest.result().items()} == KNOWN


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_will_do(kind: type[bytes | bytearray | memoryview]) -> None:
    digest = MultiDigest(HEX_LENGTH, size=len(TEXT))
    digest.update(kind(TEXT[:4]))
    digest.update(kind(TEXT[4:]))
    assert {name: each.hex for name, each in digest.result().items()} == KNOWN


def test_git_agrees_on_the_object_id(tmp_path: Path) -> None:
    file = tmp_path / "vocab.txt"
    file.write_bytes(b"[PAD]\n[UNK]\n" * 1000)
    theirs = subprocess.run(["git", "hash-object", file], capture_output=True, check=True, text=True).stdout.strip()
    assert digest_file(file, {"git-sha1"})[0]["git-sha1"].hex == theirs


def test_git_sha1_without_a_size_is_a_bug_of_the_caller() -> None:
    with pytest.raises(ValueError, match="starts with the size"):
        MultiDigest({"git-sha1"})


def test_an_unknown_algorithm_is_a_bug_of_the_caller() -> None:
    with pytest.raises(ValueError, match="unknown digest algorithm 'sha3'"):
        MultiDigest({"sha3"})


@pytest.mark.parametrize("step", [1000, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK])
@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 17])
def test_block_crcs_do_not_depend_on_how_the_bytes_come(size: int, step: int) -> None:
    data = bytes(range(251)) * (size // 251 + 1)
    data = data[:size]
    digest = MultiDigest({"sha256"}, blocks=True)
    for at in range(0, size, step):
        digest.update(data[at : at + step])
    assert digest.block_crcs() == tuple(zlib.crc32(data[at : at + BLOCK]) for at in range(0, size, BLOCK))


def test_without_being_asked_for_there_are_no_block_crcs() -> None:
    digest = MultiDigest({"sha256"})
    digest.update(TEXT)
    assert digest.block_crcs() == ()


def test_a_file_is_hashed_as_its_bytes_are(tmp_path: Path) -> None:
    data = bytes(range(256)) * 9000
    file = tmp_path / "weights"
    file.write_bytes(data)
    digests, blocks = digest_file(file, HEX_LENGTH, blocks=True)
    straight = MultiDigest(HEX_LENGTH, size=len(data), blocks=True)
    straight.update(data)
    assert (digests, blocks) == (straight.result(), straight.block_crcs())


def test_the_beginning_of_a_file_is_hashed_when_only_that_counts(tmp_path: Path) -> None:
    file = tmp_path / "partial"
    file.write_bytes(TEXT + b"not yet judged")
    digests, blocks = digest_file(file, HEX_LENGTH, blocks=True, size=len(TEXT))
    assert {name: each.hex for name, each in digests.items()} == KNOWN
    assert blocks == (zlib.crc32(TEXT),)


def test_the_sha256_is_always_computed_and_what_is_claimed_besides() -> None:
    claim = Claim(Digest("md5", "0" * 32), Authority.PUBLISHER, "storage")
    assert algorithms_for([]) == {"sha256"}
    assert algorithms_for([claim]) == {"sha256", "md5"}
