"""Flax: files written by ``flax.serialization`` here and now are read bit for bit as Flax reads them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mirror.formats import flax

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.oracle
pytest.importorskip("flax", reason="flax is not installed")

serialization = importlib.import_module("flax.serialization")
bfloat16 = importlib.import_module("jax.numpy").bfloat16

FLOATS = ["float64", "float32", "float16"]
DTYPES = FLOATS + [f"{sign}int{bits}" for sign in ("", "u") for bits in (64, 32, 16, 8)] + ["bool"]


def leaves(tree: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(tree, dict):
        yield name, np.asarray(tree)
        return
    for key, below in tree.items():
        yield from leaves(below, f"{name}/{key}" if name else key)


def assert_read_as_flax_does(data: bytes) -> None:
    expected = dict(leaves(serialization.msgpack_restore(data)))
    found = {one.name: one for one in flax.read(data).tensors}
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].shape == array.shape
        assert found[name].array.tobytes() == array.tobytes()
        kept = "uint16" if array.dtype.name == "bfloat16" else array.dtype.name
        assert found[name].array.dtype == kept
        assert (found[name].dtype == "BF16") == (array.dtype.name == "bfloat16")


def bert(layers: int, hidden: int, vocabulary: int) -> dict[str, Any]:
    """Nested maps as a Flax BERT has them; widths that need every length of msgpack's headers."""
    random = np.random.default_rng(7)

    def dense(inner: int, outer: int) -> dict[str, Any]:
        return {"kernel": random.standard_normal((inner, outer), np.float32), "bias": np.zeros(outer, np.float32)}

    layer = {"attention": {"self": {part: dense(hidden, hidden) for part in ("query", "key", "value")}}}
    embeddings = {"word_embeddings": {"embedding": random.standard_normal((vocabulary, hidden), np.float32)}}
    encoder = {"layer": {str(at): layer for at in range(layers)}}
    return {"bert": {"embeddings": embeddings, "encoder": encoder, "pooler": {"dense": dense(hidden, hidden)}}}


def test_a_bert_is_read_as_flax_reads_it() -> None:
    assert_read_as_flax_does(serialization.to_bytes(bert(layers=17, hidden=32, vocabulary=1000)))


@pytest.mark.parametrize("dtype", [*DTYPES, bfloat16], ids=str)
def test_every_dtype_is_read_as_flax_reads_it(dtype: Any) -> None:
    arrays = {
        str(shape): np.arange(np.prod(shape)).reshape(shape).astype(dtype) for shape in [(), (3,), (2, 0), (2, 3)]
    }
    assert_read_as_flax_does(serialization.msgpack_serialize(arrays))


def test_numpy_scalars_and_fortran_order_are_read_as_flax_reads_them() -> None:
    tree = {"scalar": np.float32(2.5), "fortran": np.asfortranarray(np.arange(6, dtype="f4").reshape(2, 3))}
    assert_read_as_flax_does(serialization.msgpack_serialize(tree))


@pytest.mark.parametrize("most", [1, 7, 64, 100, 4096])
@pytest.mark.parametrize("dtype", ["float32", "float16", bfloat16], ids=str)
def test_cut_arrays_are_read_as_flax_reads_them(monkeypatch: pytest.MonkeyPatch, most: int, dtype: Any) -> None:
    monkeypatch.setattr(serialization, "MAX_CHUNK_SIZE", most)
    tree = {"a": {"b": np.arange(105).reshape(5, 3, 7).astype(dtype), "c": np.ones(40, dtype), "d": np.array(7, dtype)}}
    assert_read_as_flax_does(serialization.msgpack_serialize(tree))
