"""What download programs leave, and what lies in the place of a file: every one of them by its name."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from mirror.ingest.leftovers import NOTICE, REMOVED, stand_in, unfinished, without_copy

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("name", "whose"),
    [
        ("model.zip.baiduyun.p.downloading", "Baidu's client"),
        ("model.zip.baiduyun.downloading", "Baidu's client"),
        ("model.zip.bdyun.downloading", "Baidu's client"),
        ("MODEL.ZIP.BAIDUYUN.P.DOWNLOADING", "Baidu's client"),
        ("model.zip.downloading", "a download program"),
        ("Unconfirmed 1234.crdownload", "Chrome"),
        ("model.zip.opdownload", "Opera"),
        ("model.zip.partial", "a browser"),
        ("model.zip.download", "Safari"),
        ("model.zip.part", "a download program"),
        ("model.zip.aria2", "aria2"),
        ("model.zip.td", "Thunder"),
        ("model.zip.xltd", "Thunder"),
        ("model.zip.!ut", "µTorrent"),
        ("0123abcd.incomplete", "huggingface_hub"),
    ],
)
def test_an_unfinished_download_is_known_by_its_ending(tmp_path: Path, name: str, whose: str) -> None:
    said = unfinished(tmp_path / name)
    assert whose in said
    assert "let it finish" in said


def test_what_has_a_control_file_of_aria2_beside_it_is_not_finished(tmp_path: Path) -> None:
    assert unfinished(tmp_path / "model.zip") == ""
    (tmp_path / "model.zip.aria2").touch()
    assert "aria2" in unfinished(tmp_path / "model.zip")


def test_a_notice_is_known_by_size_and_digest_and_by_nothing_less() -> None:
    notice = b"This file was removed. " * 5 + b"....."
    removed = {(len(notice), hashlib.md5(notice).hexdigest())}
    assert stand_in(notice, len(notice), removed) == NOTICE
    assert stand_in(notice[::-1], len(notice), removed) == ""
    assert stand_in(notice, len(notice)) == ""
    # Those of the clients' own tables: a film and a text. Nobody has their bytes here.
    assert {(1_749_504, "48bb9b0361dc9c672f3dc7b3ffcfde97"), (120, "6c1b84914588d09a6e5ec43605557457")} == REMOVED


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "an HTML page"),
        ("\ufeff<html><head><title>百度网盘-链接不存在</title>".encode(), "an HTML page"),
        (b'{"errno":-9,"request_id":1}', "an error message saved as a file: -9"),
        (b'{"error_code":31326,"error_msg":"user is not authorized, hitcode:120"}', "saved as a file: 31326"),
        (b'{"error":"Repository not found"}', "saved as a file: Repository not found"),
        (b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>", "an XML document"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "a Git LFS pointer"),
        (b"", "an empty file"),
        (bytes(5000), "zeros"),
        (b'{"hidden_size": 128}', ""),
        (b'{"errors": 0, "hidden_size": 128}', "a JSON error message"),
        (b'{"errno": ' + b"[" * 3000, ""),
        (b"[PAD]\n[UNK]\n", ""),
    ],
)
def test_what_lies_in_the_place_of_a_file_is_called_by_its_name(text: bytes, said: str) -> None:
    found = stand_in(text, len(text))
    assert said in found
    assert bool(said) == bool(found)


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("name(1).zip", "name.zip"),
        ("name (12).tar", "name.tar"),
        ("name（2）.zip", "name.zip"),
        ("name - Copy.zip", "name.zip"),
        ("name - 副本 (3).zip", "name.zip"),
        ("vocab_(1).txt", "vocab.txt"),
        ("uncased_L-2_H-128_A-2.zip", "uncased_L-2_H-128_A-2.zip"),
        ("name(1)", "name"),
    ],
)
def test_a_name_that_a_program_made_room_for_is_known_again(name: str, plain: str) -> None:
    assert without_copy(name) == plain
