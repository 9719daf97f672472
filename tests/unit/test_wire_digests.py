"""The digests that publishers state in headers."""

from __future__ import annotations

import pytest

from mirror.model import Authority
from mirror.wire import published_digests

GCS = "https://storage.googleapis.com/bert_models/x.zip"
BOS = "https://bj.bcebos.com/paddlenlp/x.pdparams"
HUB = "https://huggingface.co/a/b/resolve/main/x"
COMMIT = ("X-Repo-Commit", "c" * 40)
MD5 = "1B2M2Y8AsgTpgAmY7PhCfg=="  # of no bytes
MD5_HEX = "d41d8cd98f00b204e9800998ecf8427e"
SHA256 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
SHA256_HEX = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def said(headers: list[tuple[str, str]], url: str) -> list[str]:
    return [str(claim.digest) for claim in published_digests(headers, url)]


@pytest.mark.parametrize(
    "headers",
    [
        [("x-goog-hash", f"crc32c=AAAAAA==,md5={MD5}")],
        [("x-goog-hash", "crc32c=AAAAAA=="), ("x-goog-hash", f"md5={MD5}")],
        [("X-Goog-Hash", f"crc32c=AAAAAA==, md5={MD5}, sha9=AAAA")],
    ],
)
def test_google_s_hashes_are_read_joined_or_apart(headers: list[tuple[str, str]]) -> None:
    assert said(headers, GCS) == ["crc32c:00000000", f"md5:{MD5_HEX}"]


def test_a_claim_names_host_and_header_and_whether_it_came_safely() -> None:
    (claim,) = published_digests({"Content-MD5": MD5}, "http://host.example/x?sig=1")
    assert (claim.authority, claim.where, claim.secure) == (Authority.PUBLISHER, "host.example content-md5", False)
    assert published_digests({"Content-MD5": MD5}, "https://host.example/x")[0].secure


def test_content_md5_of_a_part_is_no_claim_on_the_file() -> None:
    assert said([("Content-MD5", MD5), ("Content-Range", "bytes 0-1/9")], BOS) == []


@pytest.mark.parametrize(
    ("headers", "digests"),
    [
        ([COMMIT, ("X-Linked-Etag", f'"{"a" * 64}"')], ["sha256:" + "a" * 64]),
        ([COMMIT, ("X-Linked-Etag", "b" * 40)], ["git-sha1:" + "b" * 40]),
        ([COMMIT, ("ETag", f'W/"{"B" * 40}"')], ["git-sha1:" + "b" * 40]),
        ([COMMIT, ("X-Linked-Etag", f'"{"a" * 64}"'), ("ETag", f'"{"b" * 40}"')], ["sha256:" + "a" * 64]),
        ([COMMIT, ("ETag", '"65b-1000"')], []),
        ([COMMIT, ("ETag", f'"{"b" * 39}"')], []),
        ([("X-Linked-Etag", f'"{"a" * 64}"')], []),
        ([("ETag", f'"{"b" * 40}"')], []),
    ],
)
def test_a_hub_s_tag_is_a_digest_only_beside_its_commit(headers: list[tuple[str, str]], digests: list[str]) -> None:
    assert said(headers, HUB) == digests


def test_baidu_states_md5_and_checksums() -> None:
    headers = [("ETag", f'"{MD5_HEX}"'), ("x-bce-content-crc32", "4294967295"), ("x-bce-content-crc32c", "1")]
    assert said(headers, BOS) == ["crc32:ffffffff", "crc32c:00000001", f"md5:{MD5_HEX}"]
    assert said([("ETag", f'"-{MD5_HEX}"')], BOS) == []  # uploaded in parts: not of its bytes
    assert said([("x-bce-content-crc32", "4294967296")], BOS) == []


def test_another_host_s_32_digits_are_no_md5() -> None:
    assert said([("ETag", f'"{MD5_HEX}"')], "https://cdn.example/x") == []
    assert said([("ETag", f'"{MD5_HEX}"')], "https://notbcebos.com/x") == []
    assert said([("ETag", f'"{MD5_HEX}"'), ("x-bce-request-id", "1")], "https://own.example/x") == [f"md5:{MD5_HEX}"]


@pytest.mark.parametrize(
    "header", [("Digest", f"md5=x, SHA-256={SHA256}"), ("Repr-Digest", f"sha-256=:{SHA256}:, sha-512=:AA==:")]
)
def test_digest_fields_are_read(header: tuple[str, str]) -> None:
    assert said([header], "https://host.example/x") == [f"sha256:{SHA256_HEX}"]


@pytest.mark.parametrize(
    "headers",
    [
        [("x-goog-hash", "md5=")],
        [("x-goog-hash", "md5=!!!!")],
        [("x-goog-hash", "crc32c=AAAA")],
        [("Content-MD5", "é")],
        [("Digest", "SHA-256=short")],
        [("x-bce-request-id", "1"), ("x-bce-content-crc32", "-1")],
    ],
)
def test_a_malformed_value_is_no_claim(headers: list[tuple[str, str]]) -> None:
    assert said(headers, GCS) == []


def test_the_same_digest_twice_is_one_claim() -> None:
    assert said([COMMIT, ("X-Linked-Etag", f'"{SHA256_HEX}"'), ("Digest", f"SHA-256={SHA256}")], HUB) == [
        f"sha256:{SHA256_HEX}"
    ]
