"""Toy models of PaddleNLP's own classes, as they saved themselves: every tensor, its place, and what the model says.

``tools/make_paddlenlp_fixture.py`` made the files, and wrote down what Paddle reads from them and what the models say.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mirror.compare import structure
from mirror.compare.finding import Severity
from mirror.compare.names import Canonical, canonical
from mirror.compare.sizes import Sizes
from mirror.formats import paddle
from mirror.forward.arithmetic import stated_activation
from mirror.forward.network import run

FOLDER = Path(__file__).parents[1] / "data/paddlenlp"
EXPECTED: dict[str, Any] = json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))
MODELS = [name for name in EXPECTED if name != "input"]
#: What each class gives, in its order.
GIVES = {
    "BertForPretraining": ("mlm", "nsp"),
    "BertModel": ("hidden", "pooler"),
    "TinyBertForPretraining": ("hidden",),
    "TinyBertModel": ("hidden", "pooler"),
    "DistilBertForMaskedLM": ("mlm",),
    "DistilBertModel": ("hidden",),
    "AlbertForPretraining": ("mlm", "nsp"),
    "AlbertForMaskedLM": ("mlm",),
    "AlbertModel": ("hidden", "pooler"),
}
#: As the tool that made them has it.
NUMPY = {"F32": "float32", "I64": "int64"}


def data_of(name: str) -> bytes:
    data = (FOLDER / f"{name}.pdparams").read_bytes()
    assert hashlib.sha256(data).hexdigest() == EXPECTED[name]["sha256"]
    return data


def model_of(name: str) -> tuple[Canonical, Sizes, dict[str, Any]]:
    family = name.partition("-")[0]
    found = canonical(paddle.read(data_of(name)), family)
    return found, Sizes.of(EXPECTED[name]["config"], family), EXPECTED[name]["config"]


@pytest.mark.parametrize("name", MODELS)
def test_every_tensor_is_the_one_that_paddle_reads(name: str) -> None:
    found = {
        one.name: [NUMPY[one.dtype], list(one.shape), hashlib.sha256(one.array.tobytes()).hexdigest()]
        for one in paddle.read(data_of(name)).tensors
    }
    assert found == EXPECTED[name]["tensors"]


@pytest.mark.parametrize("name", MODELS)
def test_the_family_and_every_place_of_the_model_are_found(name: str) -> None:
    family = name.partition("-")[0]
    found, sizes, _ = model_of(name)
    alone = canonical(paddle.read(data_of(name)))
    # TinyBERT's names are BERT's, but for the layers that a teacher is compared with.
    assert alone.family == family
    assert sizes.layers == 2
    findings = structure.judge(found, family, sizes._replace(teacher=12) if family == "tinybert" else sizes)
    assert [one for one in findings if one.severity is Severity.ERROR] == []


@pytest.mark.parametrize("name", MODELS)
def test_our_pass_says_what_paddlenlp_s_own_class_says(name: str) -> None:
    found, sizes, config = model_of(name)
    ids, segments = (np.array(EXPECTED["input"][one]) for one in ("ids", "segments"))
    if found.family == "distilbert":
        segments = np.zeros_like(ids)
    activation = stated_activation(config, found.family)
    ours = run(found.family, sizes, found.tensors, ids, segments, activation=activation, eps=config["layer_norm_eps"])
    told = {"mlm": ours.mlm, "nsp": ours.nsp, "hidden": ours.hidden[-1], "pooler": ours.pooled}
    theirs = [np.array(one) for one in EXPECTED[name]["outputs"]]
    for output, said in zip(GIVES[EXPECTED[name]["class"]], theirs, strict=True):
        value = told[output]
        assert value is not None, output
        assert value.shape == said.shape
        assert np.abs(value - said).max() < 2e-5, output
