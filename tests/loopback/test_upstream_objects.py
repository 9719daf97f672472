"""The embedded object stores say of the bytes what the real ones say."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from email.utils import parsedate_to_datetime

import google_crc32c
import pytest

from mirror.upstream.objects import Validators
from mirror.upstream.pan_tree import PanShare
from mirror.upstream.world import World
from tests.upstream_world import WEIGHTS, exchange, serving, small_world

ZIP = "/bert_models/2020_02_20/tiny.zip"
MD5 = hashlib.md5(WEIGHTS)


def test_google_gives_crc32c_md5_and_generation() -> None:
    with serving() as server:
        got = exchange(server.url("google", ZIP), method="HEAD")
        hashes = [value for name, value in got.headers if name == "x-goog-hash"]
        crc = google_crc32c.value(WEIGHTS).to_bytes(4, "big")
        assert hashes == [
            f"crc32c={base64.b64encode(crc).decode()}",
            f"md5={base64.b64encode(MD5.digest()).decode()}",
        ]
        assert got.header("etag") == f'"{MD5.hexdigest()}"'
        assert got.header("x-goog-stored-content-length") == str(len(WEIGHTS))
        assert (got.header("x-goog-generation") or "").isdecimal()


def test_baidu_gives_md5_and_crc32() -> None:
    with serving() as server:
        got = exchange(server.url("baidu", "/paddlenlp/models/tiny.pdparams"), method="HEAD")
        assert got.header("etag") == f'"{MD5.hexdigest()}"'
        assert got.header("content-md5") == base64.b64encode(MD5.digest()).decode()
        assert got.header("x-bce-content-crc32") == str(zlib.crc32(WEIGHTS))
        assert got.header("x-bce-storage-class") == "STANDARD"


def test_a_bucket_in_the_path_and_one_in_the_hosts_name_are_the_same() -> None:
    with serving() as server:
        by_path = exchange(server.url("baidu", "/paddlenlp/models/tiny.pdparams"))
        by_host = exchange(server.url("paddlenlp", "/models/tiny.pdparams"))
        assert by_path.body == by_host.body == WEIGHTS
        assert by_path.header("etag") == by_host.header("etag")


@pytest.mark.parametrize(
    ("private", "status", "google", "baidu"),
    [(False, 404, b"<Code>NoSuchKey</Code>", "NoSuchKey"), (True, 403, b"<Code>AccessDenied</Code>", "AccessDenied")],
)
def test_what_may_not_be_read_has_each_stores_own_words(private: bool, status: int, google: bytes, baidu: str) -> None:
    world = World()
    if private:
        world.add_object("google", "/b/k", b"x", private=True)
        world.add_object("baidu", "/b/k", b"x", private=True)
    with serving(world) as server:
        xml = exchange(server.url("google", "/b/k"))
        assert (xml.status, google in xml.body) == (status, True)
        said = exchange(server.url("baidu", "/b/k"))
        assert (said.status, json.loads(said.body)["code"]) == (status, baidu)


@pytest.mark.parametrize(
    ("validators", "etag", "dated"),
    [
        (Validators.STRONG, '"', True),
        (Validators.WEAK, "W/", True),
        (Validators.DATE, None, True),
        (Validators.NONE, None, False),
    ],
)
def test_a_plain_host_validates_as_much_as_it_is_told(validators: Validators, etag: str | None, dated: bool) -> None:
    world = World()
    world.add_object("plain", "/x", b"x", validators=validators)
    with serving(world) as server:
        got = exchange(server.url("plain", "/x"))
        assert (got.header("etag") or "").startswith(etag or "")
        assert (got.header("etag") is None) == (etag is None)
        assert (got.header("last-modified") is not None) == dated


def test_other_bytes_under_the_same_key_have_another_etag() -> None:
    world = small_world()
    with serving(world) as server:
        before = exchange(server.url("google", ZIP), method="HEAD")
        world.add_object("google", ZIP, b"later")
        after = exchange(server.url("google", ZIP))
        assert after.body == b"later"
        for name in ("etag", "x-goog-generation"):
            assert before.header(name) != after.header(name)
        parsedate_to_datetime(after.header("last-modified") or "")


def test_a_share_page_asks_for_the_code_and_offers_nothing() -> None:
    world = World()
    world.pan.shares.add(PanShare("abcde", "a1b2"))
    with serving(world) as server:
        got = exchange(server.url("pan", "/s/1abcde"))
        assert got.status == 302
        page = exchange(got.header("location") or "")
        assert "提取码" in page.body.decode()
        gone = exchange(server.url("pan", "/share/init?surl=other"))
        assert (gone.status, "不存在" in gone.body.decode()) == (200, True)
