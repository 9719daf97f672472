"""Whatever Baidu answers is a value or one of our errors, and a link reaches its host as it was given."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mirror.drive.memory import State
from mirror.errors import SourceError
from mirror.sources.baidu_open.asking import Bases
from mirror.sources.baidu_open.files import links_of, page_of
from mirror.sources.baidu_open.node import claims_of, tag_of
from mirror.sources.baidu_open.words import Said, node_error, platform_error, said, said_in
from mirror.upstream.pan_open_links import disguised
from mirror.wire import Fields, redact

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
values = scalars | st.lists(scalars, max_size=3) | st.dictionaries(st.text(max_size=4), scalars, max_size=3)
items = st.fixed_dictionaries(
    {},
    optional={
        "fs_id": st.integers() | st.text("0123456789", max_size=20) | values,
        "size": st.integers() | values,
        "isdir": st.sampled_from([0, 1, "0", "1"]) | values,
        "path": st.text(max_size=30).map(lambda text: f"/apps/demo/{text}") | values,
        "md5": st.text(max_size=40) | values,
        "dlink": st.text(max_size=60) | values,
    },
)


@given(st.binary(max_size=200))
def test_any_body_holds_an_error_or_none(body: bytes) -> None:
    assert said(body) is None or isinstance(said(body), Said)


@given(st.dictionaries(st.sampled_from(["errno", "error_code", "error", "errmsg", "error_msg"]), values))
def test_any_object_holds_an_error_that_has_its_words(got: dict[str, Any]) -> None:
    told = said_in(got)
    if told is not None:
        for error in (platform_error(told, "x"), node_error(told, "x")):
            assert str(error).isprintable()


@given(st.lists(items, max_size=5), values)
def test_any_listing_is_entries_or_an_error(listed: list[dict[str, Any]], more: Any) -> None:
    try:
        page = page_of({"list": listed, "has_more": more, "cursor": more}, "/apps/demo", 3)
        links = list(links_of({"list": listed}))
    except SourceError:
        return
    assert all(entry.path.isprintable() and entry.fs_id > 0 <= entry.size for entry in page.entries)
    assert all("\n" not in link and link.isascii() for _, link in links)
    assert page.following is None or page.following > 3


@given(st.dictionaries(st.sampled_from(["content-md5", "etag", "x-bs-meta-crc32"]), st.text(max_size=40)))
def test_any_header_is_a_digest_or_nothing(headers: dict[str, str]) -> None:
    got = Fields(headers)
    assert tag_of(got) == "" or len(tag_of(got)) == 32
    assert all(claim.digest.algorithm in {"md5", "crc32"} for claim in claims_of(got, "https://a.baidupcs.com"))


@given(st.text(max_size=60))
def test_no_text_makes_a_stranger_trusted(text: str) -> None:
    assert not Bases().trust(f"https://evil.example/{text}")
    assert "access_token" not in redact(f"https://d.pcs.baidu.com/file/x?{text}&access_token=1")


@given(st.binary(min_size=16, max_size=16))
def test_a_disguise_keeps_its_shape(md5: bytes) -> None:
    shown = disguised(md5.hex())
    assert len(shown) == 32
    assert "g" <= shown[9] <= "v"


@given(st.lists(st.floats(min_value=0, max_value=1e9), max_size=30), st.floats(min_value=0, max_value=1e9))
def test_never_more_calls_are_left_than_there_are(calls: list[float], now: float) -> None:
    assert 0 <= State(calls=calls).left(10, now) <= 10
