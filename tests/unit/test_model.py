"""Values are checked once, when they are made."""

from __future__ import annotations

import pytest

from mirror.model import LARGEST, Authority, Claim, Digest, RemoteFile, path_fault, safe_path


@pytest.mark.parametrize(
    "path", ["a", "a/b.txt", "中文/模型.bin", "a b", ".gitattributes", "x" * 255, "a:b.txt", '?"*|<>', "C:x"]
)
def test_plain_relative_paths_are_safe(path: str) -> None:
    assert safe_path(path)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/a",
        "a/",
        "a//b",
        "..",
        "a/../b",
        "./a",
        "a\\b",
        "a\nb",
        "a\x00b",
        "a\u202eb",
        "x" * 256,
        "\ud800",
    ],
)
def test_paths_that_lead_elsewhere_or_hide_something_are_not(path: str) -> None:
    assert not safe_path(path)
    assert path_fault(path).startswith("its path ")
    with pytest.raises(ValueError, match="unsafe path"):
        RemoteFile("m@s", path, ())


@pytest.mark.parametrize("text", ["sha256:" + "a" * 63, "sha256:" + "g" * 64, "sha3:" + "a" * 64, "sha256", ""])
def test_what_is_no_digest_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a|unknown digest"):
        Digest.parse(text)


def test_a_digest_is_written_as_it_is_read() -> None:
    assert str(Digest.parse("git-sha1:" + "AB" * 20)) == "git-sha1:" + "ab" * 20


def test_a_file_has_a_promised_sha256_only_when_all_agree() -> None:
    one, other = (Claim(Digest("sha256", sign * 64), Authority.CATALOG, "here") for sign in "ab")
    assert RemoteFile("m@s", "x", (), claims=(one, one)).sha256 == "a" * 64
    assert RemoteFile("m@s", "x", (), claims=(one, other)).sha256 is None
    assert RemoteFile("m@s", "x", ()).sha256 is None


def test_a_size_that_no_ledger_can_hold_is_refused() -> None:
    assert RemoteFile("m@s", "x", (), LARGEST).size == LARGEST
    with pytest.raises(ValueError, match="no file is as large"):
        RemoteFile("m@s", "x", (), LARGEST + 1)


def test_a_negative_size_is_refused() -> None:
    with pytest.raises(ValueError, match="negative size"):
        RemoteFile("m@s", "x", (), size=-1)
