"""Selectors: what they name, and what they say when they name nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mirror.catalog import builtin_catalog_text, parse, select
from mirror.errors import SelectorError, UsageError

CATALOG = parse(builtin_catalog_text())
TINY = ("huggingface", "google", "baidu-pytorch", "baidu-tensorflow", "paddle", "huggingface-prajjwal1",
        "huggingface-gaunernst")  # fmt: skip


def names(*selectors: str, everything: bool = False) -> list[str]:
    return [artifact.name for artifact in select(CATALOG, selectors, everything=everything)]


@pytest.mark.parametrize(
    "name", ["bert-tiny", "BERT-Tiny", "2/128", "bert_uncased_L-2_H-128_A-2", "GOOGLE/bert_uncased_L-2_H-128_A-2"]
)
def test_every_name_of_a_model_is_all_its_artifacts(name: str) -> None:
    assert names(name) == [f"bert-tiny@{source}" for source in TINY]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("bert-tiny@google", ["bert-tiny@google"]),
        ("2/128@GOOGLE", ["bert-tiny@google"]),
        ("bert-tiny@huggingface", ["bert-tiny@huggingface"]),
        ("bert-tiny@huggingface*", [f"bert-tiny@huggingface{suffix}" for suffix in ("", "-prajjwal1", "-gaunernst")]),
        ("bert-tiny@baidu", ["bert-tiny@baidu-pytorch", "bert-tiny@baidu-tensorflow"]),
        ("bert-[tm]i*@google", ["bert-tiny@google", "bert-mini@google"]),
        ("google-all", ["google-all@google"]),
        ("little-berts-tensorflow-all@baidu", ["little-berts-tensorflow-all@baidu-tensorflow"]),
    ],
)
def test_a_name_and_a_source_name_an_artifact(selector: str, expected: list[str]) -> None:
    assert names(selector) == expected


def test_a_source_alone_is_that_source_of_every_model() -> None:
    assert len(names("@google")) == 24 + 8
    assert names("@google") == names("*@google")


def test_names_are_united_in_the_catalogs_order_each_once() -> None:
    assert names("albert-base-v1@paddle", "bert-tiny@google", "2/128@google") == [
        "bert-tiny@google",
        "albert-base-v1@paddle",
    ]


@pytest.mark.parametrize(
    ("selectors", "count"),
    [
        (["family=albert", "source=paddle"], 14),
        (["family=ALBERT", "lang=zh", "source=huggingface"], 6),
        (["family=tinybert,distilbert", "source=paddle"], 11),
        (["layers=2", "source=google"], 4),
        (["layers=2,4", "source=google"], 8),
        (["layers!=2,4", "family=bert-miniature", "source=google"], 16),
        (["hidden<=256", "source=google"], 12),
        (["hidden<256", "source=google"], 6),
        (["hidden>512", "hidden<1024", "source=google"], 6 + 2),
        (["hidden>=4096", "format=tensorflow"], 2),
        (["heads=64", "kind=http"], 4),
        (["vocab=21128", "format=paddle"], 8),
        (["source=baidu"], 48),
        (["source=baidu-pytorch"], 24),
        (["source=huggingface", "bert-tiny"], 3),
        (["kind=baidu-pan", "family=bert-miniature"], 48),
        (["role=third-party*"], 14),
        (["licence=apache-2.0", "source=google"], 24 + 8),
        (["license=unknown", "source=paddle"], 6 + 1 + 6),
        (["vocab=unknown"], 2),
        (["vocab!=unknown", "family=distilbert", "source=paddle"], 4),
        (["model=*-v2", "source=paddle"], 2 + 4),
        (["language=multilingual"], 3),
        (["format=unknown", "family=tinybert"], 2),
        (["kind=bundle"], 3),
        (["kind=bundle,hub", "source=google,huggingface"], 1 + 58),
        (["kind=bundle", "format=tensorflow"], 2),
        (["google-all", "bert-tiny@google"], 2),
    ],
)
def test_predicates_narrow(selectors: list[str], count: int) -> None:
    assert len(names(*selectors)) == count


def test_the_documented_selectors_select_something() -> None:
    page = (Path(__file__).parents[2] / "docs" / "catalog.md").read_text(encoding="utf-8")
    table = page.partition("| selector | what it names |")[2].partition("\n\n")[0]
    selectors = [
        word.strip("'") for row in table.splitlines()[2:] for word in re.findall("`([^`]+)`", row.split(" | ")[0])
    ]
    assert len(selectors) >= 12
    for selector in selectors:
        assert names(selector), selector


def test_everything_is_every_artifact_of_every_model_and_no_bundle() -> None:
    assert len(names(everything=True)) == 168
    assert names("layers=2", everything=True) == names("layers=2")
    assert len(names("google-all", everything=True)) == 169


@pytest.mark.parametrize("name", ["bert-tiny", "bert-tiny@google", "@google", "*"])
def test_everything_takes_no_name_but_a_bundles(name: str) -> None:
    with pytest.raises(UsageError, match="give names or --all, not both") as caught:
        names("google-all", name, everything=True)
    assert "source=" in caught.value.hint


def test_a_glob_never_takes_a_bundle_since_it_repeats_the_same_bytes() -> None:
    assert not any(artifact.bundle for artifact in select(CATALOG, ["*"]))
    with pytest.raises(SelectorError):
        names("google-a*")


@pytest.mark.parametrize(
    ("selectors", "said", "nearest"),
    [
        (["bert-tny"], "no model 'bert-tny'", "bert-tiny"),
        (["albert"], "no model 'albert'", "family=albert"),
        (["Google"], "no model 'Google'", "source=google"),
        (["zzz*"], "no model 'zzz*'", None),
        (["2/129"], "no model '2/129'", "2/128"),
        (["bert-tiny@googel"], "no source 'googel' of 'bert-tiny'", "google"),
        (["bert-tiny@"], "no source '' of 'bert-tiny'", "huggingface"),
        (["famly=albert"], "no predicate 'famly'", "family"),
        (["family=albrt"], "nothing in the catalog has family 'albrt'", "albert"),
        (["family="], "nothing in the catalog has family ''", None),
        (["source=goggle"], "nothing in the catalog has source 'goggle'", "google"),
        (["lang=fr"], "nothing in the catalog has lang 'fr'", None),
        (["model=bert-tny"], "nothing in the catalog has model 'bert-tny'", "bert-tiny"),
    ],
)
def test_an_unknown_word_answers_with_the_nearest(selectors: list[str], said: str, nearest: str | None) -> None:
    with pytest.raises(SelectorError) as caught:
        names(*selectors)
    assert said in str(caught.value)
    assert nearest is None or nearest in caught.value.nearest


@pytest.mark.parametrize(
    ("selectors", "said"),
    [
        ([], "nothing is selected"),
        (["layers=two"], "'two' is not a number"),
        (["layers<=2,4"], "'2,4' is not a number"),
        (["layers="], "'' is not a number"),
        (["hidden<-1"], "'-1' is not a number"),
        (["family<albert"], "family is compared with = or != only"),
    ],
)
def test_a_malformed_selector_says_why(selectors: list[str], said: str) -> None:
    with pytest.raises(SelectorError) as caught:
        names(*selectors)
    assert said in str(caught.value)


def test_an_empty_result_says_which_predicate_left_nothing() -> None:
    with pytest.raises(SelectorError, match=r"`lang=zh` fits none of the 2 artifacts before it"):
        names("layers=2", "source=paddle", "lang=zh")


def test_a_bundle_is_not_reached_by_predicates_alone() -> None:
    assert "google-all@google" not in names("source=google")
    with pytest.raises(SelectorError):
        names("model=google-all")
