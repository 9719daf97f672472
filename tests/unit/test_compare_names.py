"""Canonical names: one model in every format and family, and what no format may hold."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.compare.dialects import dialect
from mirror.compare.digest import digests, roots
from mirror.compare.families import FAMILIES, TEMPLATES, is_known
from mirror.compare.names import canonical, have_same_bits
from mirror.errors import FormatError
from mirror.formats import safetensors
from mirror.formats.checkpoint import LAYOUT, Checkpoint, Tensor
from mirror.upstream import naming, weights
from mirror.upstream.containers import safetensors as writer
from mirror.upstream.containers.tensors import arrays

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mirror.compare.names import Canonical

SHAPE = weights.Shape(
    layers=3, hidden=8, heads=2, embedding=4, intermediate=12, vocab_size=20, max_position=9, teacher=6
)
FORMATS = ("torch-zip", "torch-legacy", "safetensors", "tensorflow", "flax", "paddle", "hdf5")
DTYPE_OF = {layout: name for name, layout in LAYOUT.items() if name != "BF16"}
WORDS = "embeddings.word_embeddings.weight"


def checkpoint(container: str, /, **named: NDArray[Any]) -> Checkpoint:
    return Checkpoint(container, tuple(Tensor(name, DTYPE_OF[array.dtype], array) for name, array in named.items()))


def shape_of(architecture: str) -> weights.Shape:
    narrow = SHAPE.embedding if architecture == "albert" else SHAPE.hidden
    return weights.Shape(**{**{name: getattr(SHAPE, name) for name in SHAPE.__slots__}, "embedding": narrow})


def numbers(architecture: str) -> dict[str, NDArray[np.float32]]:
    """Return the model's own numbers, by canonical name."""
    made = weights.specs(architecture, shape_of(architecture))
    return {spec.name: weights.values(spec, seed=1, model="m") for spec in made}


def written(architecture: str, container: str) -> Checkpoint:
    """Return a model as a framework writes it, by the demo's own statement of the names."""
    specs = weights.specs(architecture, shape_of(architecture))
    namers = {"tensorflow": naming.tensorflow, "paddle": naming.paddle}
    entries = namers.get(container, naming.hugging_face)(architecture, specs)
    named = arrays(entries, seed=1, model="m")
    if container == "safetensors":
        return safetensors.read(writer.write(named))
    return Checkpoint(container, tuple(Tensor(one.name, "F32", one.array) for one in named))


def without_aliases(architecture: str) -> list[naming.Stored]:
    entries = naming.hugging_face(architecture, weights.specs(architecture, shape_of(architecture)))
    return [entry for entry in entries if not entry.alias]


def flax_name(name: str) -> str:
    name = re.sub(r"_embeddings\.weight$", "_embeddings.embedding", name)
    name = re.sub(r"((?i:layer_?norm))\.weight$", r"\1.scale", name)
    return re.sub(r"\.weight$", ".kernel", name).replace(".", "/")


def keras_name(name: str) -> str:
    """Return the path below the model's scope, as ``transformers`` 4.57 writes it."""
    name = re.sub(r"((?i:layer_?norm))\.weight$", r"\1.gamma", name)
    name = re.sub(r"((?i:layer_?norm))\.bias$", r"\1.beta", name)
    name = re.sub(r"(position|token_type)_embeddings\.weight$", r"\1_embeddings.embeddings", name)
    if "word_embeddings" not in name:
        name = re.sub(r"\.weight$", ".kernel", name)
    return re.sub(r"/([0-9]+)/", r"_._\1/", name.replace(".", "/"))


def flax(architecture: str) -> Checkpoint:
    held = numbers(architecture)
    named = ((flax_name(entry.name), held[entry.spec.name]) for entry in without_aliases(architecture))
    return checkpoint("flax", **{name: array.T if name.endswith("/kernel") else array for name, array in named})


def keras(architecture: str) -> Checkpoint:
    """Return a model as Keras writes it: scopes before every name, embeddings again below a head."""
    held = numbers(architecture)
    found: dict[str, NDArray[Any]] = {}
    for entry in without_aliases(architecture):
        path = keras_name(entry.name)
        top = path.partition("/")[0]
        top = {"cls": "nsp___cls" if "seq_relationship" in path else "mlm___cls"}.get(top, top)
        path = re.sub(r"^cls/", f"{top}/", path)
        array = held[entry.spec.name]
        found[f"{top}/tf_some_bert_1/{path}:0"] = array.T if path.endswith("/kernel") else array
        if "/embeddings/" in path:
            found[f"mlm___cls/tf_some_bert_1/{path}:0"] = array.copy()
    return checkpoint("hdf5", **found)


def roots_of(found: Canonical) -> dict[str, str]:
    return dict(roots(digests(found)))


CASES = [
    *((kind, container) for kind in weights.ARCHITECTURES for container in ("torch-zip", "safetensors", "paddle")),
    *((kind, "tensorflow") for kind in ("bert", "tinybert", "albert")),
]


@pytest.mark.parametrize(("architecture", "container"), CASES)
def test_every_framework_tells_of_the_same_tensors(architecture: str, container: str) -> None:
    found = canonical(written(architecture, container))
    held = numbers(architecture)
    if architecture == "tinybert" and container in {"torch-zip", "safetensors"}:
        # The demo's PyTorch files lack the distillation layers, and nothing else then shows the family.
        held = {name: array for name, array in held.items() if not name.startswith("fit_")}
        assert found.family == "bert"
    else:
        assert found.family == architecture.partition("-")[0]
    assert found.tensors.keys() == held.keys()
    assert all(have_same_bits(found.tensors[name].array, array) for name, array in held.items())
    assert (found.untied, found.unknown) == ((), ())


@pytest.mark.parametrize("architecture", weights.ARCHITECTURES)
def test_one_model_has_one_root_in_every_format(architecture: str) -> None:
    files = [written(architecture, container) for kind, container in CASES if kind == architecture]
    files += [flax(architecture), keras(architecture)]
    assert {file.format for file in files} >= {"torch-zip", "safetensors", "paddle", "flax", "hdf5"}
    found = [roots_of(canonical(file)) for file in files]
    whole = [one for one in found if one.keys() == found[0].keys()]
    assert all(one == whole[0] for one in whole)
    assert len({one["core"] for one in found}) == 1
    # Only Paddle and Google's names hold the distillation layers here.
    assert len(found) - len(whole) == (2 if architecture == "tinybert" else 0)


@pytest.mark.parametrize("architecture", weights.ARCHITECTURES)
@pytest.mark.parametrize("make", [flax, keras])
def test_flax_and_keras_leave_nothing_unknown(architecture: str, make: Callable[[str], Checkpoint]) -> None:
    found = canonical(make(architecture))
    assert found.tensors.keys() == {entry.spec.name for entry in without_aliases(architecture)}
    assert (found.untied, found.unknown) == ((), ())
    assert all(one.startswith("mlm___cls/") for one in found.tied)


def test_nothing_is_copied() -> None:
    file = written("bert", "paddle")
    given_arrays = {tensor.name: tensor.array for tensor in file.tensors}
    for one in canonical(file).tensors.values():
        assert np.shares_memory(one.array, given_arrays[one.file_name])


def test_the_prefix_of_parallel_training_and_old_words_for_a_norm_are_no_difference() -> None:
    ones, zeros = np.ones(2, "f4"), np.zeros(2, "f4")
    file = checkpoint(
        "torch-legacy",
        **{"module.bert.embeddings.LayerNorm.gamma": ones, "module.bert.embeddings.LayerNorm.beta": zeros},
    )
    found = canonical(file)
    assert list(found.tensors) == ["embeddings.LayerNorm.weight", "embeddings.LayerNorm.bias"]
    assert found.tensors["embeddings.LayerNorm.weight"].file_name == "module.bert.embeddings.LayerNorm.gamma"
    assert (found.family, found.unknown) == ("bert", ())


def test_paddles_first_names_of_the_decoder_are_known() -> None:
    table, bias = np.arange(8, dtype="f4").reshape(4, 2), np.arange(4, dtype="f4")
    found = canonical(
        checkpoint(
            "paddle",
            **{
                f"bert.{WORDS}": table,
                "cls.predictions.decoder_weight": table.copy(),
                "cls.predictions.decoder_bias": bias,
            },
        )
    )
    assert found.tied == ("cls.predictions.decoder_weight",)
    assert list(found.tensors) == [WORDS, "cls.predictions.bias"]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("family", ["bert", "albert", "distilbert"])
def test_a_tied_decoder_is_dropped_whichever_way_it_lies(family: str, turned: bool) -> None:
    alias = {"bert": "cls.predictions.decoder.weight", "albert": "predictions.decoder.weight"}.get(
        family, "vocab_projector.weight"
    )
    table = np.arange(8, dtype="f4").reshape(4, 2)
    copy = np.ascontiguousarray(table.T if turned else table)
    found = canonical(checkpoint("paddle", **{WORDS: table, alias: copy}), family)
    assert (found.tied, found.untied, list(found.tensors)) == ((alias,), (), [WORDS])


def test_a_square_decoder_is_looked_at_both_ways() -> None:
    table = np.arange(16, dtype="f4").reshape(4, 4)
    for copy in (table.copy(), np.ascontiguousarray(table.T)):
        found = canonical(checkpoint("paddle", **{WORDS: table, "predictions.decoder.weight": copy}), "albert")
        assert found.tied == ("predictions.decoder.weight",)


@pytest.mark.parametrize("lies", [(2, 4), (4, 2)])
def test_a_decoder_of_its_own_stays_and_lies_like_the_table(lies: tuple[int, int]) -> None:
    decoder = np.arange(8, dtype="f4").reshape(lies) + 1
    found = canonical(checkpoint("paddle", **{WORDS: np.zeros((4, 2), "f4"), "vocab_projector.weight": decoder}))
    assert found.untied == ("vocab_projector.weight",)
    assert found.tensors["vocab_projector.weight"].shape == (4, 2)


def test_an_alias_without_what_it_repeats_stays_under_its_own_name() -> None:
    found = canonical(checkpoint("safetensors", **{"cls.predictions.decoder.bias": np.ones(2, "f4")}))
    assert list(found.tensors) == ["cls.predictions.decoder.bias"]
    assert (found.tied, found.untied, found.unknown) == ((), (), ())


def test_bits_are_compared_not_numbers() -> None:
    nan = np.array([[np.nan, 1]], "f4")
    zero, minus = np.array([[0.0, 1]], "f4"), np.array([[-0.0, 1]], "f4")
    assert have_same_bits(nan, nan.copy())
    assert not have_same_bits(zero, minus)
    assert not have_same_bits(zero, zero.astype("f8"))
    assert not have_same_bits(zero, zero[0])
    assert have_same_bits(np.array(1.0), np.array(1.0))
    large = np.arange(1 << 20, dtype="i4").reshape(4, -1)
    assert have_same_bits(large.T, np.ascontiguousarray(large.T))
    other = large.copy()
    other[3, -1] += 1
    assert not have_same_bits(large, other)


@pytest.mark.parametrize("shape", [(5,), (1, 5)])
@pytest.mark.parametrize("dtype", ["i8", "i4"])
def test_buffers_are_checked_and_dropped(shape: tuple[int, ...], dtype: str) -> None:
    names = ("bert.embeddings.position_ids", "bert.embeddings.token_type_ids")
    found = canonical(
        checkpoint("torch-zip", **{names[0]: np.arange(5, dtype=dtype).reshape(shape), names[1]: np.zeros(shape, "i8")})
    )
    assert (found.buffers, dict(found.tensors)) == (names, {})


REFUSED: dict[str, tuple[Checkpoint, str]] = {
    "other positions": (
        checkpoint("torch-zip", **{"bert.embeddings.position_ids": np.array([[0, 2, 1]])}),
        "tensor bert.embeddings.position_ids: positions that are not 0, 1, 2",
    ),
    "positions in floats": (
        checkpoint("paddle", **{"transformer.embeddings.position_ids": np.arange(3, dtype="f4")}),
        "tensor transformer.embeddings.position_ids: positions of shape [3] and dtype F32",
    ),
    "positions in a table": (
        checkpoint("torch-zip", **{"embeddings.position_ids": np.arange(4).reshape(2, 2)}),
        "positions of shape [2, 2]",
    ),
    "one position without an axis": (
        checkpoint("torch-zip", **{"embeddings.position_ids": np.array(0)}),
        "positions of shape []",
    ),
    "a million positions": (
        checkpoint("torch-zip", **{"embeddings.position_ids": np.zeros((1 << 20) + 1, "i1")}),
        "positions of shape [1048577]",
    ),
    "other segments": (
        checkpoint("torch-zip", **{"bert.embeddings.token_type_ids": np.array([[0, 1]])}),
        "tensor bert.embeddings.token_type_ids: segments that are not all 0",
    ),
    "segments in floats": (
        checkpoint("torch-zip", **{"embeddings.token_type_ids": np.zeros(2, "f4")}),
        "segments that are not all 0",
    ),
    "one tensor with and without a prefix": (
        checkpoint("safetensors", **{f"bert.{WORDS}": np.ones((2, 2), "f4"), WORDS: np.ones((2, 2), "f4")}),
        f"tensor {WORDS}: is {WORDS}, and so is bert.{WORDS}",
    ),
    "old and new words for a norm": (
        checkpoint("torch-zip", **{"x.LayerNorm.gamma": np.ones(2, "f4"), "x.LayerNorm.weight": np.ones(2, "f4")}),
        "tensor x.LayerNorm.weight: is x.LayerNorm.weight, and so is x.LayerNorm.gamma",
    ),
    "a repetition with other numbers": (
        checkpoint(
            "hdf5",
            **{
                "bert/tf_bert_model/bert/embeddings/word_embeddings/weight:0": np.ones((2, 2), "f4"),
                "mlm___cls/tf_bert_model/bert/embeddings/word_embeddings/weight:0": np.zeros((2, 2), "f4"),
            },
        ),
        "repeats bert/tf_bert_model/bert/embeddings/word_embeddings/weight:0 with other numbers",
    ),
    "a repetition that is no embedding": (
        checkpoint(
            "hdf5",
            **{
                "bert/tf_bert_model/bert/pooler/dense/kernel:0": np.ones((2, 2), "f4"),
                "mlm___cls/tf_bert_model/bert/pooler/dense/kernel:0": np.ones((2, 2), "f4"),
            },
        ),
        "is pooler.dense.weight, and so is bert/tf_bert_model/bert/pooler/dense/kernel:0",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_no_model_holds_is_refused(case: str) -> None:
    file, said = REFUSED[case]
    with pytest.raises(FormatError) as caught:
        canonical(file)
    assert said in str(caught.value)


def test_names_that_no_rule_knows_stay_and_are_named() -> None:
    file = checkpoint(
        "tensorflow",
        **{
            "bert/embeddings/word_embeddings": np.ones((2, 2), "f4"),
            "bert/adapter/down/kernel": np.arange(6, dtype="f4").reshape(2, 3),
            "classifier/kernel": np.ones((2, 2), "f4"),
        },
    )
    found = canonical(file)
    assert list(found.tensors) == [WORDS, "adapter.down.weight", "classifier.weight"]
    assert found.tensors["adapter.down.weight"].shape == (3, 2)
    assert found.unknown == ("bert/adapter/down/kernel",)


def test_a_layer_has_one_spelling() -> None:
    name = "encoder.layer.{}.output.dense.bias"
    assert is_known(name.format(0), "bert")
    assert is_known(name.format(11), "bert")
    assert not any(is_known(name.format(number), "bert") for number in ("01", "", "-1", "1.1", "٣"))
    assert is_known("fit_denses.4.bias", "tinybert")
    assert not is_known("fit_denses.4.bias", "bert")
    assert is_known("fit_denses.4.bias", "")


@pytest.mark.parametrize(
    ("names", "family"),
    [
        (["bert.encoder.layer.0.output.dense.bias"], "bert"),
        (["encoder.layer.0.output.dense.bias", "pooler.dense.bias"], "bert"),
        (["bert.embeddings.LayerNorm.weight"], "bert"),
        (["bert.encoder.layer.0.output.dense.bias", "fit_dense.weight"], "tinybert"),
        (["tinybert.embeddings.layer_norm.bias"], "tinybert"),
        (["distilbert.encoder.layers.0.norm1.bias"], "distilbert"),
        (["transformer.layer.0.sa_layer_norm.bias"], "distilbert"),
        (["embeddings.word_embeddings.weight", "encoder.layers.0.norm1.bias"], "distilbert"),
        (["embeddings.token_type_embeddings.weight", "encoder.layers.0.norm1.bias"], "bert"),
        (["bert.encoder.transformer.group_0.inner_group_0.LayerNorm.weight"], "albert"),
        (["transformer.encoder.albert_layer_groups.0.albert_layers.0.ffn.bias"], "albert"),
        (["albert.embeddings.LayerNorm.weight"], "albert"),
        (["embeddings.word_embeddings.weight"], ""),
        (["model.layers.0.mlp.gate_proj.weight"], ""),
        ([], ""),
    ],
)
def test_the_names_show_the_family(names: list[str], family: str) -> None:
    file = Checkpoint("paddle", tuple(Tensor(name, "F32", np.ones(1, "f4")) for name in names))
    assert canonical(file).family == family


def test_a_family_that_is_given_goes_before_what_the_names_show() -> None:
    file = checkpoint("paddle", **{"encoder.layers.0.norm1.bias": np.ones(1, "f4")})
    assert list(canonical(file, "bert").tensors) == ["encoder.layer.0.attention.output.LayerNorm.bias"]
    assert list(canonical(file, "distilbert").tensors) == ["transformer.layer.0.sa_layer_norm.bias"]
    with pytest.raises(ValueError, match="no family 'gpt'"):
        canonical(file, "gpt")


def test_a_canonical_name_is_its_own_in_pytorch() -> None:
    rules = dialect("safetensors")
    for family in FAMILIES:
        for template in TEMPLATES[family]:
            name = template.name.format(0)
            assert rules.own(rules.plain(name), family) == name
            assert is_known(name, family)


PARTS = """
bert albert distilbert tinybert transformer module cls embeddings word_embeddings encoder layer layers layer_0 layer_._0
0 1 self_attn q_proj norm1 LayerNorm predictions decoder decoder_weight position_ids kernel kernel:0 weight bias gamma
group_0 inner_group_0 attention_1 self query output dense tf_bert_model mlm___cls
"""
NAME = st.builds(
    str.join, st.sampled_from([".", "/"]), st.lists(st.sampled_from(PARTS.split()), min_size=1, max_size=8)
) | st.text(min_size=1, max_size=12)
ARRAY = st.builds(
    lambda dtype, shape: np.ones(shape, LAYOUT[dtype]),
    st.sampled_from(["F32", "I64", "BOOL"]),
    st.lists(st.integers(0, 3), max_size=3),
)


@given(st.sampled_from(FORMATS), st.dictionaries(NAME, ARRAY, max_size=6), st.sampled_from([None, *FAMILIES]))
def test_any_names_are_told_or_refused_and_none_gets_lost(
    container: str, named: dict[str, NDArray[Any]], family: str | None
) -> None:
    file = checkpoint(container, **named)
    try:
        found = canonical(file, family)
    except FormatError:
        return
    kept = {one.file_name for one in found.tensors.values()}
    assert kept | set(found.tied) | set(found.buffers) == named.keys()
    assert len(kept) + len(found.tied) + len(found.buffers) == len(named)
    assert kept >= set(found.unknown)
    assert found.tensors.keys() >= set(found.untied)
    assert all(name == one.name for name, one in found.tensors.items())
