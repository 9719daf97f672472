"""Whatever the catalog, it comes back whole; whatever the selector, it answers or says why not."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.catalog import builtin_catalog_text, parse, select, to_text
from mirror.catalog.changes import diff
from mirror.catalog.check import check
from mirror.catalog.edit import add
from mirror.catalog.places import walk
from mirror.errors import CatalogError, SelectorError, UsageError
from mirror.model import safe_path
from tests.catalogs import catalog, file, http, hub, model, pan

SHIPPED = parse(builtin_catalog_text())
ORDER = {artifact.name: number for number, artifact in enumerate(SHIPPED.artifacts())}

hexes = st.text("0123456789abcdef", min_size=64, max_size=64)
words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30)
paths = st.text("abcXYZ019._- /é中", min_size=1, max_size=20).filter(safe_path)
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._/+-]{0,12}", fullmatch=True).filter(safe_path)


@st.composite
def files(draw: st.DrawFn, *urls: str) -> list[dict[str, Any]]:
    """Draw the files of one source; with the optional words in the order in which they are written."""
    found = []
    for path in draw(st.lists(paths, unique=True, max_size=4)):
        entry = file(path, *urls)
        entry |= {"size": draw(st.none() | st.integers(0, 2**50)), "sha256": draw(st.none() | hexes)}
        if draw(st.booleans()):
            entry |= {"note": draw(words)}
        entry |= {"provenance": entry.pop("provenance")}
        found.append(entry)
    return found


@st.composite
def catalogs(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a small catalog that is good."""
    models = []
    for name in draw(st.lists(names, unique_by=str.casefold, max_size=4)):
        sources = [hub("o/r", *draw(files())), http(*draw(files("https://host/x", "http://other/x"))), pan()]
        models.append(model(name, *draw(st.permutations(sources)), notes=draw(st.lists(words, max_size=2))))
    return catalog(*models)


@given(catalogs())
def test_a_catalog_comes_back_whole_and_then_byte_for_byte(data: dict[str, Any]) -> None:
    written = to_text(parse(json.dumps(data)))
    assert json.loads(written) == data
    assert to_text(parse(written)) == written


@given(catalogs(), catalogs())
def test_a_difference_is_none_exactly_when_nothing_differs(one: dict[str, Any], other: dict[str, Any]) -> None:
    old, new = parse(json.dumps(one)), parse(json.dumps(other))
    assert diff(old, old) == []
    if {entry["id"] for entry in one["models"]} != {entry["id"] for entry in other["models"]}:
        assert diff(old, new)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(
    st.text(max_size=60) | json_values.map(json.dumps),
    st.sampled_from(["schema", "models", "provenance", "bundles"]),
    json_values,
)
def test_any_text_is_a_catalog_or_a_catalog_error(text: str, key: str, value: object) -> None:
    for candidate in (text, json.dumps({**catalog(model("a")), key: value})):
        with contextlib.suppress(CatalogError):
            parse(candidate)
        check(candidate)


@given(st.sampled_from(["name", "aliases", "shape", "licence", "sources", "id"]), json_values)
def test_any_value_in_a_model_is_read_or_refused(key: str, value: object) -> None:
    candidate = json.dumps(catalog({**model("a"), key: value}))
    with contextlib.suppress(CatalogError):
        parse(candidate)
    check(candidate)


@given(st.sampled_from(["path", "urls", "size", "sha256", "provenance", "members", "revision"]), json_values)
def test_any_value_in_a_file_is_read_or_refused(key: str, value: object) -> None:
    candidate = json.dumps(catalog(model("a", hub("o/a", {**file("x"), key: value}))))
    with contextlib.suppress(CatalogError):
        parse(candidate)
    check(candidate)


_TINY: dict[str, Any] = json.loads(builtin_catalog_text())
_TINY |= {"models": _TINY["models"][:2], "bundles": _TINY["bundles"][:1]}
_TINY |= {"provenance": {key: _TINY["provenance"][key] for key in sorted(_TINY["provenance"])}}


@given(st.data())
def test_whatever_stands_anywhere_check_names_the_problem_in_words_that_can_be_printed(data: st.DataObject) -> None:
    found = json.loads(json.dumps(_TINY))
    places = [path for path, _ in walk(found) if path and path[0] != "provenance"]
    path = data.draw(st.sampled_from(places))
    target = found
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = data.draw(json_values | st.sampled_from(["\ud800", "a\n", "../x", "bert-mini", 1.0, {}, None]))
    problems = check(json.dumps(found))
    "\n".join(map(str, problems)).encode()
    if not problems:
        parse(json.dumps(found))


keys = st.sampled_from(["family", "layers", "hidden", "heads", "vocab", "lang", "source", "format", "licence", "kind",
                        "role", "model", "nonsense"])  # fmt: skip
values = st.sampled_from(["albert", "2", "256", "zh", "google", "paddle", "*", "unknown", "2,4", "bundle", "a?[", ""])
selectors = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["bert-tiny", "BERT-*", "2/128@google", "@baidu", "*@*", "google-all", "albert-base-v2@paddle"]),
    st.builds("{}{}{}".format, keys, st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "=="]), values),
)


@given(st.lists(selectors, max_size=4), st.booleans())
def test_a_selector_selects_or_says_why_not(chosen: list[str], everything: bool) -> None:
    try:
        found = select(SHIPPED, chosen, everything=everything)
    except SelectorError as error:
        assert str(error)
        return
    except UsageError as error:
        assert everything
        assert "not both" in str(error)
        return
    assert found
    positions = [ORDER[artifact.name] for artifact in found]
    assert positions == sorted(set(positions)), "the catalog's order, each once"


@given(st.lists(selectors, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_selecting_what_was_selected_changes_nothing(chosen: list[str], random: Any) -> None:
    try:
        found = select(SHIPPED, chosen)
    except SelectorError:
        return
    again = [artifact.name for artifact in found]
    random.shuffle(again)
    assert select(SHIPPED, again) == found


@given(
    st.text(max_size=40)
    | st.builds("{}{}".format, st.sampled_from(["hf:", "https://", "peer:", "file://"]), st.text(max_size=30))
)
def test_any_address_is_added_or_refused(address: str) -> None:
    try:
        changed = add(parse(json.dumps(catalog())), [address])
    except UsageError:
        return
    assert len(changed.models) == 1
    assert check(to_text(changed)) == []


@pytest.mark.parametrize("text", ["[", '{"a":', "\x00", "NaN"])
def test_broken_json_is_a_catalog_error(text: str) -> None:
    with pytest.raises(CatalogError):
        parse(text)
