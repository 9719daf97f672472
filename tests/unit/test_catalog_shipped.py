"""The catalog that comes with the program."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from pathlib import Path

import pytest

from mirror.catalog import Artifact, Catalog, builtin_catalog_text, parse, to_text
from mirror.catalog.check import check
from mirror.catalog.counts import compute
from mirror.catalog.entries import MINIATURE_SOURCES
from mirror.evidence import conflicts
from mirror.model import Authority
from mirror.wire import resolve_url

TEXT = builtin_catalog_text()
CATALOG = parse(TEXT)
ARTIFACTS = list(CATALOG.artifacts())


def test_it_is_the_file_at_the_top_level() -> None:
    assert (Path(__file__).parents[2] / "catalog.json").read_text(encoding="utf-8") == TEXT


def test_nothing_is_wrong_with_it() -> None:
    assert check(TEXT) == []


def test_it_stands_in_the_stable_layout() -> None:
    assert to_text(CATALOG) == TEXT


def test_it_has_the_48_models_and_the_3_bundles() -> None:
    families = Counter(model.family for model in CATALOG.models)
    assert families == {"bert-miniature": 24, "tinybert": 6, "distilbert": 4, "albert": 14}
    assert [bundle.id for bundle in CATALOG.bundles] == [
        "little-berts-pytorch-all",
        "little-berts-tensorflow-all",
        "google-all",
    ]


def test_the_miniatures_are_every_combination_of_the_grid() -> None:
    grid = {(m.shape.layers, m.shape.hidden) for m in CATALOG.models if m.family == "bert-miniature"}
    assert grid == {(layers, hidden) for layers in (2, 4, 6, 8, 10, 12) for hidden in (128, 256, 512, 768)}
    for model in CATALOG.models:
        if model.family == "bert-miniature":
            assert model.shape.hidden and model.shape.heads == model.shape.hidden // 64
            assert model.id.endswith(f"L-{model.shape.layers}_H-{model.shape.hidden}_A-{model.shape.heads}")


def test_every_miniature_has_its_four_sources() -> None:
    for model in CATALOG.models:
        if model.family == "bert-miniature":
            assert {artifact.source for artifact in CATALOG.artifacts_of(model)} >= set(MINIATURE_SOURCES)


def test_every_share_has_its_own_link_and_a_code_of_four() -> None:
    shares = [artifact for artifact in ARTIFACTS if artifact.waits_for_person]
    published = [artifact for artifact in shares if artifact.published]
    assert (len(shares), len(published), len({artifact.url for artifact in published})) == (50, 49, 49)
    assert all(re.fullmatch("[a-z0-9]{4}", artifact.code or "") for artifact in published)
    (missing,) = set(shares) - set(published)
    assert (missing.name, missing.url, missing.code) == ("little-berts-pytorch-all@baidu-pytorch", None, None)


@pytest.mark.parametrize(
    ("name", "nickname", "label"),
    [("2/128", "bert-tiny", "BERT-Tiny"), ("4/256", "bert-mini", "BERT-Mini"), ("4/512", "bert-small", "BERT-Small"),
     ("8/512", "bert-medium", "BERT-Medium"), ("12/768", "bert-base", "BERT-Base")],
)  # fmt: skip
def test_the_named_miniatures_are_found_by_every_name(name: str, nickname: str, label: str) -> None:
    model = CATALOG.model(name)
    assert model is not None
    assert (model.name, model.label) == (nickname, label)
    assert all(CATALOG.model(other.upper()) is model for other in model.names)


def test_counts_follow_from_the_shapes() -> None:
    known = [model for model in CATALOG.models if model.parameters]
    assert len(known) == 47
    assert all(compute(model.family, model.shape) == dict(model.parameters) for model in known)


@pytest.mark.parametrize(
    ("name", "way", "count"),
    [
        ("bert-tiny", "encoder_with_pooler", 4_385_920),
        ("bert-mini", "pretraining_checkpoint", 11_267_900),
        ("bert-base", "pretraining_checkpoint", 110_106_428),
        ("tinybert-4l-312d-zh", "encoder_with_pooler", 11_419_320),
        ("distilbert-base-uncased", "masked_lm", 66_985_530),
        ("renmada/distilbert-base-multilingual-cased", "encoder_without_pooler", 134_734_080),
        ("albert-chinese-xxlarge", "encoder_with_pooler", 221_459_968),
        ("albert-base-v2", "masked_lm_tied_decoder", 11_812_272),
    ],
)
def test_counts_equal_figures_worked_out_apart(name: str, way: str, count: int) -> None:
    model = CATALOG.model(name)
    assert model is not None
    assert model.parameters[way] == count


def test_printed_figures_are_kept_even_where_they_are_wrong() -> None:
    model = CATALOG.model("albert-chinese-small")
    assert model is not None
    assert model.entry["parameters"]["printed"] == "_M"
    multilingual = CATALOG.model("distilbert-base-multilingual-cased")
    assert multilingual is not None
    assert (multilingual.language, multilingual.entry["language_as_printed"]) == ("multilingual", "English")


def test_the_four_scored_miniatures_have_their_glue_scores() -> None:
    scored = {model.name: model.entry["glue"]["test"]["Score"] for model in CATALOG.models if model.entry["glue"]}
    assert scored == {"bert-tiny": "64.2", "bert-mini": "65.8", "bert-small": "71.2", "bert-medium": "73.5"}


def test_the_pins_of_bert_tiny_are_claims_of_unnamed_readers() -> None:
    config = CATALOG.artifact("bert-tiny@huggingface").files[0]
    claims = config.claims()
    assert [str(claim.digest) for claim in claims] == [
        "sha256:508e1f01aae55d73355cbdd82609be2f43ba5a0d3428837adbe56cf8391f8b39",
        "git-sha1:333ec19609b98a6cd11b79a5770a163a2f0464c8",
    ]
    assert all(claim.authority is Authority.CATALOG for claim in claims)
    assert claims[0].where == (
        "catalog.json: public records 69480406098, 70318009907, 66569826144, 60269820228, unconfirmed"
    )
    assert config.pinned


def test_the_archive_of_bert_mini_promises_its_members() -> None:
    members = CATALOG.artifact("bert-mini@google").members["uncased_L-4_H-256_A-4.zip"]
    assert {member.path: (member.size, member.pinned) for member in members} == {
        "bert_config.json": (310, True),
        "bert_model.ckpt.index": (3257, True),
        "bert_model.ckpt.data-00000-of-00001": (45_071_600, False),
        "vocab.txt": (231_508, True),
    }
    assert all(claim.where == "catalog.json: varun646/NLP_for_Recommender_Systems uncased_L-4_H-256_A-4/"
               for member in members for claim in member.claims())  # fmt: skip


def test_what_was_read_at_another_revision_promises_nothing() -> None:
    spiece = next(f for f in CATALOG.artifact("albert-base-v2@huggingface").files if f.path == "spiece.model")
    assert spiece.sha256 is not None
    assert (spiece.elsewhere, spiece.claims(), spiece.pinned) == ("main", (), False)


def test_candidates_are_never_promises() -> None:
    vocab = next(f for f in CATALOG.artifact("bert-mini@huggingface").files if f.path == "vocab.txt")
    assert vocab.extra["candidate_sha256"]
    assert vocab.claims() == ()


def test_the_2018_bert_base_is_refused_but_not_its_vocabulary() -> None:
    base = CATALOG.model("bert-base")
    assert base is not None
    refused = CATALOG.refused(base)
    assert "58580dc5e0bf0ae0d2efd51d0e8272b2f808857f0a43a88aaf7549da6d7a8a84" in refused
    assert "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3" not in refused
    assert len(refused) == 4


@pytest.mark.parametrize("artifact", ARTIFACTS, ids=str)
def test_an_artifacts_promises_do_not_contradict_each_other(artifact: Artifact) -> None:
    for file in artifact.files:
        assert conflicts(file.claims()) == ()


def test_addresses_on_the_hub_are_the_ones_of_the_wire() -> None:
    hub = [artifact for artifact in ARTIFACTS if artifact.kind == "hub"]
    assert len(hub) == 58
    for artifact in hub:
        for file in artifact.files:
            ref = file.elsewhere or artifact.ref
            assert file.urls == (resolve_url("https://huggingface.co", artifact.repo or "", ref, file.path),)


def test_loading_it_takes_a_few_milliseconds() -> None:
    best = min(_seconds_to_parse() for _ in range(5))
    assert best < 0.05  # 4 ms on an idle core; the bound forgives a busy one


def _seconds_to_parse() -> float:
    begin = time.perf_counter()
    parse(TEXT)
    return time.perf_counter() - begin


def test_every_provenance_key_is_used() -> None:
    table = json.loads(TEXT)["provenance"]
    assert [key for key in table if TEXT.count(f'"{key}"') < 2] == []


def test_names_of_artifacts_are_unique(catalog: Catalog = CATALOG) -> None:
    assert len({artifact.name for artifact in catalog.artifacts()}) == 171
