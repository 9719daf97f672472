"""Links to shares in every spelling; the catalog's own, and what people paste."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.catalog import builtin_catalog_text
from mirror.catalog import parse as parse_catalog
from mirror.errors import UsageError
from mirror.sources.baidu_links import Share, parse
from mirror.sources.baidu_pan import hand_off

SURL = "9b1x0yJafaTcLa5qBysjEQ"
SHARE = Share(SURL, "lnyy")
SIGNS = string.ascii_letters + string.digits


def test_every_link_of_the_catalog_parses_with_its_code() -> None:
    catalog = parse_catalog(builtin_catalog_text(), where="built in")
    shares = [artifact for artifact in catalog.artifacts() if artifact.waits_for_person]
    found = {artifact.name: parse(artifact.url or "") for artifact in shares}
    assert sum(share is not None for share in found.values()) == 49
    assert [name for name, share in found.items() if share is None] == ["little-berts-pytorch-all@baidu-pytorch"]
    ids = [share.surl for share in found.values() if share is not None]
    assert len(set(ids)) == 49
    assert {surl[0] for surl in ids} >= {"-", "_"}
    assert all(len(surl) == 22 for surl in ids)
    for artifact in shares:
        share = found[artifact.name]
        assert hand_off(artifact).url == (None if share is None else share._replace(code=artifact.code).url)


@pytest.mark.parametrize(
    "text",
    [
        f"https://pan.baidu.com/s/1{SURL}?pwd=lnyy",
        f"http://yun.baidu.com/s/1{SURL}?pwd=lnyy#list/path=%2F",
        f"pan.baidu.com/s/1{SURL}?from=init&pwd=lnyy",
        f"https://pan.baidu.com/share/init?surl={SURL}&pwd=lnyy",
        f"https://pan.baidu.com/wap/init?x=1&surl={SURL}&pwd=lnyy",
        f"链接: https://pan.baidu.com/s/1{SURL} 提取码: lnyy",
        f"链接：https://pan.baidu.com/s/1{SURL} 提取码：lnyy 复制这段内容后打开百度网盘手机App",
        f"链接：https://pan.baidu.com/s/1{SURL}　提取码：ｌｎｙｙ",
        f"https://pan.baidu.com/s/1{SURL}--来自百度网盘超级会员V5的分享 密码 lnyy",
        f"https://pan.baidu.com/s/1{SURL} 访问码:lnyy",
        f"[x](https://pan.baidu.com/s/1{SURL} ) code: lnyy",
        f"https://pan.baidu.com/s/1{SURL} pwd=lnyy",
    ],
)
def test_what_people_paste_is_understood(text: str) -> None:
    assert parse(text) == SHARE


def test_without_a_code_there_is_none_and_case_is_kept() -> None:
    assert parse(f"https://pan.baidu.com/s/1{SURL}") == Share(SURL, None)
    assert parse(f"https://pan.baidu.com/s/1{SURL}?pwd=LnYy") == Share(SURL, "LnYy")
    assert parse(f"https://pan.baidu.com/s/1{SURL}?pwd=toolong") == Share(SURL, None)
    assert parse("") is None
    assert parse("提取码: abcd") is None
    assert parse("https://example.org/s/1abc") is None
    assert parse("https://pan.baidu.com/s/1--来自百度网盘") is None


@pytest.mark.parametrize(
    ("link", "what"),
    [
        ("https://pan.baidu.com/e/1abcdef", "enterprise"),
        ("https://pan.baidu.com/share/link?shareid=1&uk=2", "by numbers"),
        ("https://pan.baidu.com/s/2abcdef", "another kind"),
    ],
)
def test_other_kinds_of_shares_are_refused_by_their_name(link: str, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        parse(link)


@given(
    st.text(SIGNS + "-_", min_size=1, max_size=30),
    st.none() | st.text(SIGNS, min_size=4, max_size=4),
    st.sampled_from(["", " ", "链接：", "看 "]),
    st.sampled_from(["", " ", "\n", "#x"]),
)
def test_any_id_and_code_come_back(surl: str, code: str | None, before: str, after: str) -> None:
    share = Share(surl, code)
    assert parse(before + share.url + after) == share


@given(st.text())
def test_any_text_has_a_share_or_none(text: str) -> None:
    try:
        found = parse(text)
    except UsageError:
        return
    assert found is None or re.fullmatch("[A-Za-z0-9_-]+", found.surl)
