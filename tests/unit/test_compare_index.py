"""Tensors of every format against nothing but an index: proved, refuted by name, or not spoken of."""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mirror.compare.index_proof import IndexProof, outline, prove
from mirror.compare.names import Canonical, canonical
from mirror.compare.sizes import Sizes
from mirror.errors import FormatError
from mirror.formats import flax, paddle, safetensors, torch_legacy, torch_zip
from mirror.formats.tf_index import Index, IndexEntry, read_index
from mirror.upstream.containers import safetensors as writer
from mirror.upstream.containers import tf_bundle
from mirror.upstream.containers.tensors import Named, arrays
from mirror.upstream.modelfiles import ModelFiles
from mirror.upstream.naming import hugging_face
from mirror.upstream.stock import shipped_catalog

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

REAL = read_index((Path(__file__).parents[1] / "data" / "bert-mini" / "bert_model.ckpt.index").read_bytes())
MODELS: Mapping[str, Any] = {entry["id"]: entry for entry in shipped_catalog()["models"]}
#: BERT-Mini with its own shapes, and numbers that nobody trained.
MINI = ModelFiles.of(MODELS["bert_uncased_L-4_H-256_A-4"], seed=0, scale=1)
ALBERT = ModelFiles.of(MODELS["albert-base-v2"], seed=0, scale=32)
QUERY = "encoder.layer.3.attention.self.query.weight"


def index_of(files: ModelFiles) -> Index:
    return read_index(files.checkpoint("bert_model.ckpt")["bert_model.ckpt.index"])


@pytest.fixture(scope="module")
def mini() -> Index:
    return index_of(MINI)


@cache
def mini_arrays() -> list[Named]:
    return [one for one in arrays(hugging_face("bert", MINI.specs), seed=0, model=MINI.id) if one.of is None]


def conversion(change: Callable[[dict[str, NDArray[Any]]], object] | None = None) -> Canonical:
    """Return BERT-Mini as a safetensors file has it, after a change."""
    held = {one.name: one.array.copy() for one in mini_arrays()}
    if change is not None:
        change(held)
    return canonical(safetensors.read(writer.write([Named(name, array) for name, array in held.items()])))


@pytest.mark.parametrize(
    ("reader", "write"),
    [
        pytest.param(safetensors, MINI.safetensors, marks=pytest.mark.slow),
        pytest.param(torch_zip, MINI.torch, marks=pytest.mark.slow),
        (torch_zip, lambda: MINI.torch(converted=True)),
        pytest.param(torch_legacy, lambda: MINI.torch(legacy=True, converted=True), marks=pytest.mark.slow),
        pytest.param(paddle, MINI.paddle, marks=pytest.mark.slow),
        pytest.param(flax, MINI.flax, marks=pytest.mark.slow),
    ],
    ids=["safetensors", "torch", "torch-strided", "torch-legacy", "paddle", "flax"],
)
def test_a_faithful_conversion_is_proved_whatever_its_format(
    mini: Index, reader: Any, write: Callable[[], bytes]
) -> None:
    proof = prove(canonical(reader.read(write())), mini)
    assert proof.holds
    assert (len(proof.proved), proof.refuted, proof.missing, proof.uncovered) == (78, (), (), ())


@pytest.mark.parametrize(
    "name", ["bert.encoder.layer.3.attention.self.query.weight", "cls.seq_relationship.weight", "cls.predictions.bias"]
)
def test_one_step_of_one_element_refutes_its_tensor_by_name(mini: Index, name: str) -> None:
    def change(held: dict[str, NDArray[Any]]) -> None:
        flat = held[name].reshape(-1)
        flat[-1] = np.nextafter(flat[-1], np.float32(9))

    proof = prove(conversion(change), mini)
    assert not proof.holds
    (refuted,) = proof.refuted
    assert refuted.name == name.removeprefix("bert.")
    assert refuted.why.startswith("CRC-32C ")
    assert len(proof.proved) == 77


def test_the_real_index_knows_every_name_and_shape_of_a_synthetic_conversion_and_refutes_its_numbers() -> None:
    proof = prove(conversion(), REAL)
    assert (proof.proved, proof.missing, proof.uncovered) == ((), (), ())
    assert len(proof.refuted) == 78
    assert all(one.why.startswith("CRC-32C ") for one in proof.refuted)
    assert not proof.holds


def test_a_square_matrix_that_was_not_turned_is_refuted(mini: Index) -> None:
    def change(held: dict[str, NDArray[Any]]) -> None:
        held[f"bert.{QUERY}"] = held[f"bert.{QUERY}"].T.copy()

    assert [one.name for one in prove(conversion(change), mini).refuted] == [QUERY]


def test_another_shape_and_another_dtype_are_named(mini: Index) -> None:
    def change(held: dict[str, NDArray[Any]]) -> None:
        held["cls.predictions.bias"] = held["cls.predictions.bias"][1:].copy()

    found = conversion(change)
    pooler = found.tensors["pooler.dense.bias"]
    halved = found._replace(
        tensors={**found.tensors, pooler.name: pooler._replace(dtype="F16", array=pooler.array.astype("<f2"))}
    )
    assert [tuple(one) for one in prove(halved, mini).refuted] == [
        ("pooler.dense.bias", "F16, where the index has F32"),
        ("cls.predictions.bias", "shape 30521, where the index leads to 30522"),
    ]


def test_a_file_without_heads_is_proved_and_what_it_lacks_or_adds_is_told(mini: Index) -> None:
    def change(held: dict[str, NDArray[Any]]) -> None:
        for name in [name for name in held if name.startswith("cls.")]:
            del held[name]
        held["classifier.weight"] = np.ones((2, 256), "<f4")

    proof = prove(conversion(change), mini)
    assert proof.holds
    assert len(proof.proved) == 71
    assert len(proof.missing) == 7
    assert all(name.startswith("cls.") for name in proof.missing)
    assert proof.uncovered == ("classifier.weight",)


def test_nothing_in_common_proves_nothing(mini: Index) -> None:
    proof = prove(Canonical("", {}), mini)
    assert (proof.proved, len(proof.missing), proof.holds) == ((), 78, False)
    assert not IndexProof((), (), (), ("x",)).holds


def test_albert_is_laid_back_as_google_has_it() -> None:
    proof = prove(canonical(torch_legacy.read(ALBERT.torch(legacy=True))), index_of(ALBERT))
    assert proof.holds
    assert (len(proof.proved), proof.missing, proof.uncovered) == (len(ALBERT.specs), (), ())


def test_an_index_alone_shows_family_and_sizes() -> None:
    found = outline(REAL)
    assert (found.family, len(found.tensors)) == ("bert", 78)
    sizes = Sizes.from_shapes(found, found.family)
    assert (sizes.layers, sizes.hidden, sizes.intermediate, sizes.vocab) == (4, 256, 1024, 30522)


def index(*entries: tuple[str, str, tuple[int, ...]], skipped: tuple[str, ...] = ()) -> Index:
    return Index((0,), tuple(IndexEntry(name, dtype, shape, 0, 0, 0, 0) for name, dtype, shape in entries), skipped)


def test_optimizer_slots_and_buffers_are_no_tensors_of_the_model() -> None:
    found = outline(
        index(
            ("bert/pooler/dense/bias", "F32", (4,)),
            ("bert/pooler/dense/bias/adam_m", "F32", (4,)),
            ("bert/embeddings/token_type_ids", "I64", (1 << 39,)),
            ("bert/embeddings/position_ids", "I64", (1 << 39,)),
            skipped=("bert/pooler/dense/bias/adam_m",),
        )
    )
    assert list(found.tensors) == ["pooler.dense.bias"]


def test_lengths_without_data_cost_neither_time_nor_memory() -> None:
    begun = time.monotonic()
    huge = (1 << 39, 1 << 20)
    found = outline(
        index(
            ("bert/embeddings/word_embeddings", "F32", huge),
            ("cls/predictions/decoder/kernel", "F32", huge[::-1]),
            ("cls/predictions/output_bias", "F32", (1 << 39,)),
        )
    )
    assert found.tensors["embeddings.word_embeddings.weight"].shape == huge
    assert prove(found, REAL).proved == ()
    assert time.monotonic() - begun < 1


@pytest.mark.parametrize("shape", [(1 << 39, 1 << 39), (0, 1 << 39, 1 << 39)])
def test_a_shape_that_no_array_can_have_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(FormatError, match="tensor a: shape"):
        outline(index(("a", "F32", shape)))


def test_two_names_of_one_tensor_are_refused() -> None:
    with pytest.raises(FormatError, match=r"is pooler\.dense\.bias, and so is"):
        outline(index(("bert/pooler/dense/bias", "F32", (4,)), ("pooler/dense/bias", "F32", (4,))))


def test_a_bundle_that_is_written_here_is_proved_by_itself() -> None:
    one = Named("bert/embeddings/word_embeddings", np.arange(6, dtype="<f4").reshape(3, 2))
    written, _ = tf_bundle.write([one])
    file = canonical(safetensors.read(writer.write([Named("bert.embeddings.word_embeddings.weight", one.array)])))
    assert prove(file, read_index(written)).proved == ("embeddings.word_embeddings.weight",)
