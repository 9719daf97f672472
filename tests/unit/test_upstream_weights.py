"""Shapes, names and numbers of the synthetic weights against what is known of the real ones."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest

from mirror.compare.names import CanonicalTensor
from mirror.compare.values import look
from mirror.upstream import naming
from mirror.upstream.containers import safetensors
from mirror.upstream.modelfiles import ModelFiles
from mirror.upstream.stock import shipped_catalog
from mirror.upstream.weights import Shape, TensorSpec, specs, values

MODELS: dict[str, dict[str, Any]] = {entry["id"]: entry for entry in shipped_catalog()["models"]}

FIXED = "61f1a68f8f96b2c1f1a94fb07e4bf5e2afdb8e37d96e9110420d0c3bf24d3eff"


def true_size(model: str) -> ModelFiles:
    return ModelFiles.of(MODELS[model], seed=0, scale=1)


@pytest.mark.parametrize(("layers", "hidden"), [(n, h) for n in (2, 4, 6, 8, 10, 12) for h in (128, 256, 512, 768)])
def test_a_miniature_of_true_size_has_the_published_count(layers: int, hidden: int) -> None:
    files = true_size(f"bert_uncased_L-{layers}_H-{hidden}_A-{hidden // 64}")
    counted = MODELS[files.id]["parameters"]["computed"]
    assert len(files.specs) == 16 * layers + 14
    assert sum(spec.count for spec in files.specs) == counted["pretraining_checkpoint"]


def test_tiny_of_true_size_has_the_hubs_safetensors_size_to_the_byte() -> None:
    files = true_size("bert_uncased_L-2_H-128_A-2")
    entries = naming.hugging_face(files.architecture, files.specs)
    name_of = {entry.spec.name: entry.name for entry in entries if not entry.alias}
    head = safetensors.header(
        [(entry.name, entry.spec.shape) for entry in entries if not entry.alias],
        [(entry.name, name_of[entry.spec.name]) for entry in entries if entry.alias],
    )
    assert len(head) + 4 * sum(spec.count for spec in files.specs) == 17_739_144


@pytest.mark.parametrize(
    ("model", "elements"),
    [
        ("tinybert-4l-312d", 15_792_552),
        ("tinybert-6l-768d", 71_679_744),
        ("tinybert-6l-768d-zh", 64_465_152),
        ("distilbert-base-uncased", 90_426_426),
        ("distilbert-base-cased", 88_080_964),
        ("albert-base-v1", 15_684_322),
        ("albert-large-v2", 21_717_986),
        ("albert-xxlarge-v1", 227_028_962),
        ("albert-chinese-tiny", 6_868_618),
        ("bert_uncased_L-2_H-128_A-2", 8_370_806),
    ],
)
def test_a_paddle_dict_of_true_size_holds_as_many_elements_as_paddles_own(model: str, elements: int) -> None:
    # PaddleNLP 2.8.1's classes, counted; ALBERT has a buffer of 512 positions besides.
    files = true_size(model)
    stored = sum(entry.spec.count for entry in naming.paddle(files.architecture, files.specs))
    assert stored + 512 * (files.architecture == "albert") == elements


def test_demo_shapes_keep_layers_and_heads() -> None:
    for entry in MODELS.values():
        shape, known = Shape.of(entry["shape"], 32), entry["shape"]
        assert (shape.layers, shape.heads) == (known["layers"], known["heads"])
        assert shape.hidden % shape.heads == 0
        assert shape.hidden <= known["hidden"]


@pytest.mark.parametrize("frame", [naming.hugging_face, naming.tensorflow, naming.paddle, naming.flax])
def test_no_two_entries_of_a_file_share_a_name(frame: Any) -> None:
    for entry in MODELS.values():
        files = ModelFiles.of(entry, seed=0, scale=32)
        names = [stored.name for stored in frame(files.architecture, files.specs)]
        assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("model", "hub", "paddle", "google", "flax"),
    [
        (
            "bert_uncased_L-2_H-128_A-2",
            "bert.encoder.layer.1.attention.output.LayerNorm.weight",
            "bert.encoder.layers.1.norm1.weight",
            "bert/encoder/layer_1/attention/output/LayerNorm/gamma",
            "bert/encoder/layer/1/attention/output/LayerNorm/scale",
        ),
        (
            "bert_uncased_L-2_H-128_A-2",
            "bert.embeddings.word_embeddings.weight",
            "bert.embeddings.word_embeddings.weight",
            "bert/embeddings/word_embeddings",
            "bert/embeddings/word_embeddings/embedding",
        ),
        (
            "bert_uncased_L-2_H-128_A-2",
            "cls.seq_relationship.weight",
            "cls.seq_relationship.weight",
            "cls/seq_relationship/output_weights",
            "cls/seq_relationship/kernel",
        ),
        (
            "albert-base-v1",
            "albert.encoder.albert_layer_groups.0.albert_layers.0.ffn_output.weight",
            "transformer.encoder.albert_layer_groups.0.albert_layers.0.ffn_output.weight",
            "bert/encoder/transformer/group_0/inner_group_0/ffn_1/intermediate/output/dense/kernel",
            "albert/encoder/albert_layer_groups/0/albert_layers/0/ffn_output/kernel",
        ),
        (
            "albert-base-v1",
            "albert.encoder.albert_layer_groups.0.albert_layers.0.full_layer_layer_norm.bias",
            "transformer.encoder.albert_layer_groups.0.albert_layers.0.full_layer_layer_norm.bias",
            "bert/encoder/transformer/group_0/inner_group_0/LayerNorm_1/beta",
            "albert/encoder/albert_layer_groups/0/albert_layers/0/full_layer_layer_norm/bias",
        ),
        (
            "distilbert-base-uncased",
            "distilbert.transformer.layer.0.sa_layer_norm.weight",
            "distilbert.encoder.layers.0.norm1.weight",
            None,
            "distilbert/transformer/layer/0/sa_layer_norm/scale",
        ),
    ],
)
def test_one_tensor_has_the_name_that_each_framework_gives_it(
    model: str, hub: str, paddle: str, google: str | None, flax: str
) -> None:
    files = ModelFiles.of(MODELS[model], seed=0, scale=32)
    spec = {entry.name: entry.spec for entry in naming.hugging_face(files.architecture, files.specs)}[hub]
    assert paddle in {entry.name for entry in naming.paddle(files.architecture, files.specs) if entry.spec == spec}
    assert [entry.name for entry in naming.flax(files.architecture, files.specs) if entry.spec == spec] == [flax]
    if google is not None:
        assert google in {e.name for e in naming.tensorflow(files.architecture, files.specs) if e.spec == spec}


def test_flax_turns_every_kernel_and_nothing_else() -> None:
    for entry in MODELS.values():
        files = ModelFiles.of(entry, seed=0, scale=32)
        for stored in naming.flax(files.architecture, files.specs):
            assert stored.transposed == stored.name.endswith("/kernel")
            assert not stored.alias


def test_numbers_never_change() -> None:
    spec = TensorSpec("encoder.layer.0.output.dense.weight", (7, 5))
    numbers = values(spec, seed=0, model="some-model")
    assert hashlib.sha256(numbers.tobytes()).hexdigest() == FIXED
    assert not np.array_equal(numbers, values(spec, seed=1, model="some-model"))
    assert not np.array_equal(numbers, values(spec, seed=0, model="other-model"))


def test_numbers_look_like_trained_weights() -> None:
    weight = values(TensorSpec("x.weight", (400, 400)), seed=0, model="m")
    norm = values(TensorSpec("x.LayerNorm.weight", (4000,)), seed=0, model="m")
    assert weight.dtype == np.float32
    assert abs(float(weight.std()) - 0.03) < 0.001
    assert float(np.abs(weight).max()) > 0.04  # a truncated normal initialiser would stop there
    few = values(TensorSpec("x.weight", (50, 50)), seed=0, model="m")
    assert abs(float(few.std()) - 0.02) < 0.001
    assert abs(float(norm.mean()) - 1) < 0.01
    assert float(norm.std()) > 0.01


def test_nothing_about_the_numbers_of_any_model_is_strange() -> None:
    for entry in MODELS.values():
        files = ModelFiles.of(entry, seed=0, scale=32)
        made = {spec.name: values(spec, seed=0, model=files.id) for spec in files.specs}
        found = look(CanonicalTensor(name, "F32", array, name) for name, array in made.items())
        assert list(found) == [], files.id


@pytest.mark.parametrize("architecture", ["bert", "tinybert", "distilbert", "distilbert-classifier", "albert"])
def test_every_architecture_has_weights_and_biases_in_pairs(architecture: str) -> None:
    names = {spec.name for spec in specs(architecture, Shape(2, 8, 2, 4, 16, 160))}
    linear = {name for name in names if name.endswith(".weight") and "embeddings.w" not in name}
    lone = {n for n in linear if n.replace(".weight", ".bias") not in names and "_embeddings" not in n}
    assert lone == set()
