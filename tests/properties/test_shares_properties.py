"""Whatever a share's host sends, it becomes a value or one of our errors, and never half a listing."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from mirror.errors import SourceError, UsageError
from mirror.sources.shares.answers import Meaning, as_object, number, page_said, said
from mirror.sources.shares.entries import Entry, entries, shown_name
from mirror.sources.shares.link import Link
from mirror.sources.shares.page import PageState, parse_page
from mirror.sources.shares.walk import Part, walk
from mirror.upstream.pan_pages import data_page
from mirror.wire.pan import ShareSecret

if TYPE_CHECKING:
    from collections.abc import Mapping

leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
KEYS = ["errno", "errtype", "errortype", "error_code", "error", "shareid", "uk", "share_uk", "file_list", "list"]
replies = st.dictionaries(st.sampled_from(KEYS), values, max_size=6)
rows = st.fixed_dictionaries(
    {
        "fs_id": st.integers(1, (1 << 63) - 1),
        "isdir": st.sampled_from([0, 1]),
        "size": st.integers(0, (1 << 63) - 1),
        "server_filename": st.text(max_size=40),
        "path": st.text(max_size=40).map(lambda text: f"/{text}"),
    }
)
#: A folder: names to sizes or further folders.
trees: st.SearchStrategy[Any] = st.recursive(
    st.integers(0, 1 << 40),
    lambda inner: st.dictionaries(st.text("abc", min_size=1, max_size=3), inner, max_size=4),
    max_leaves=8,
).filter(lambda tree: isinstance(tree, dict))


@given(st.binary(min_size=3, max_size=180).map(base64.b64encode))
def test_every_spelling_of_a_secret_leads_back(text: bytes) -> None:
    secret = ShareSecret(text.decode())
    assert ShareSecret.from_randsk(secret.randsk) == secret == ShareSecret.from_seckey(secret.seckey)
    assert secret.randsk.replace("%", "").isalnum()
    assert not set(secret.seckey) & set("+/=")


@given(st.text(max_size=80))
def test_any_text_is_a_secret_or_none(text: str) -> None:
    for make in (ShareSecret, ShareSecret.from_randsk, ShareSecret.from_seckey):
        try:
            assert make(text).randsk.isprintable()
        except ValueError:
            continue


@given(st.binary(max_size=300) | replies.map(lambda reply: json.dumps(reply).encode()))
def test_any_body_is_an_object_or_none(body: bytes) -> None:
    assert isinstance(as_object(body), dict | None)


@given(replies, st.booleans())
def test_any_reply_has_a_meaning_and_only_zero_is_fine(reply: dict[str, Any], opened: bool) -> None:
    verdict = said(reply, opened=opened)
    assert verdict.why.isprintable()
    if verdict.meaning is Meaning.FINE:
        assert number(reply.get("errno", reply.get("error_code"))) == 0
    assert isinstance(page_said(reply).meaning, Meaning)


@given(st.binary(max_size=400), st.sampled_from(["/s/1abc", "/share/init"]))
def test_any_bytes_are_a_page_in_some_state(body: bytes, path: str) -> None:
    try:
        found = parse_page(body, path)
    except SourceError:
        return
    assert found.state is not PageState.OPEN or found.ids is not None


@given(replies, st.sampled_from(["mset", "script", "try"]), st.text(max_size=60))
def test_any_data_in_a_page_are_read_or_refused(reply: dict[str, Any], wrapping: str, around: str) -> None:
    body = around.encode("utf-8", "replace") + bytes(data_page(reply, wrapping).body)
    try:
        found = parse_page(body, "/s/1abc")
    except SourceError:
        return
    if found.state is PageState.OPEN:
        assert number(reply["shareid"]) == (found.ids or (0, 0))[1]


@given(st.lists(rows, max_size=6), st.sampled_from(["array", "object", "string"]), st.booleans())
def test_entries_are_the_same_in_every_shape(listed: list[dict[str, Any]], shape: str, text: bool) -> None:
    if text:
        listed = [{key: str(value) for key, value in row.items()} for row in listed]
    shapes: Mapping[str, Any] = {"array": listed, "object": {"list": listed}, "string": json.dumps(listed)}
    found = entries(shapes[shape])
    assert [entry.fs_id for entry in found] == [int(row["fs_id"]) for row in listed]
    assert all(
        entry.size == (0 if entry.folder else int(row["size"])) for entry, row in zip(found, listed, strict=True)
    )


@given(values)
def test_any_value_is_entries_or_refused(value: Any) -> None:
    try:
        found = entries(value)
    except SourceError:
        return
    assert all(entry.name and entry.fs_id > 0 for entry in found)


@given(st.text(max_size=400))
def test_any_name_is_shown_on_one_line_without_a_way_out(name: str) -> None:
    shown = shown_name(name)
    assert shown.isprintable()
    assert 0 < len(shown) <= 255
    assert not set(shown) & set("/\\")
    assert shown.strip() not in {"", ".", ".."}
    assert shown_name(shown) == shown


@given(st.text(max_size=60) | st.text(max_size=30).map(lambda text: f"https://pan.baidu.com/s/1{text}"))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        found = Link.of(text)
    except UsageError:
        return
    assert found.page.isascii()
    assert found.page.isprintable()


def files_of(tree: Mapping[str, Any], above: str = "") -> dict[str, int]:
    found: dict[str, int] = {}
    for name, what in tree.items():
        found |= files_of(what, f"{above}{name}/") if isinstance(what, dict) else {f"{above}{name}": what}
    return found


def listing_of(tree: Mapping[str, Any], cut: int) -> dict[tuple[str | None, int], list[Entry]]:
    """Return the pages of every folder, of ``cut`` entries each."""
    pages: dict[tuple[str | None, int], list[Entry]] = {}
    numbers = iter(range(1, 10**6))

    def add(folder: str | None, inside: Mapping[str, Any]) -> None:
        found = []
        for name, what in inside.items():
            fs_id = next(numbers)
            is_folder = isinstance(what, dict)
            found.append(Entry(fs_id, name, f"/{fs_id}", 0 if is_folder else what, is_folder))
            if is_folder:
                add(f"/{fs_id}", what)
        for at in range(0, len(found), cut):
            pages[folder, at // cut + 1] = found[at : at + cut]

    add(None, tree)
    return pages


@given(trees, st.integers(1, 7), st.booleans())
def test_any_cut_into_pages_gives_the_same_files(tree: dict[str, Any], cut: int, told: bool) -> None:
    pages = listing_of(tree, cut)

    def ask(folder: str | None, page: int) -> Part:
        return Part(tuple(pages.get((folder, page), ())), ((folder, page + 1) in pages) if told else None)

    assert {one.path: one.size for one in walk(ask)} == files_of(tree)


@given(trees, st.integers(1, 7), st.data())
def test_a_listing_that_breaks_off_anywhere_gives_nothing(tree: dict[str, Any], cut: int, data: st.DataObject) -> None:
    pages = listing_of(tree, cut)
    broken = data.draw(st.sampled_from(sorted(pages, key=str)) if pages else st.just((None, 1)))

    def ask(folder: str | None, page: int) -> Part:
        if (folder, page) == broken:
            raise SourceError("cut")
        return Part(tuple(pages.get((folder, page), ())))

    try:
        walk(ask)
    except SourceError:
        return
    raise AssertionError("half a listing came out whole")
