"""Write tests/data/flax/*.json: what flax.serialization makes of small arrays, and what must be read of it.

Wants flax and jax, which nothing else here does: ``pip install flax``. Every file is a
few kB of text, so that the ordinary tests hold the reader against real bytes without them.
The same versions write the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import json
from importlib.metadata import version
from pathlib import Path

import flax.serialization
import jax.numpy as jnp
import numpy as np

FOLDER = Path(__file__).parents[1] / "tests/data/flax"
#: Bytes above which an array of the "chunked" file is cut; a 7 × 5 array of float32 has 140.
CHUNK = 64


def numbers(*shape: int) -> np.ndarray:
    """Return different numbers that no text formatting rounds."""
    return (np.arange(np.prod(shape, dtype=int), dtype=np.float32) / 8 - 3).reshape(shape)


PLAIN = {
    "bert": {
        "embeddings": {
            "word_embeddings": {"embedding": jnp.asarray(numbers(16, 8))},
            "LayerNorm": {"scale": np.ones(8, np.float32), "bias": -np.zeros(8, np.float32)},
        },
        "encoder": {"layer": {"0": {"query": {"kernel": np.asfortranarray(numbers(8, 4))}}}},
    },
    "kinds": {
        "f64": numbers(3).astype(np.float64),
        "f16": numbers(3).astype(np.float16),
        "i64": np.array([-1, 1 << 62]),
        "i32": np.array([[7]], np.int32),
        "u8": np.arange(20, dtype=np.uint8),
        "bool": np.array([True, False]),
        "empty": np.zeros((0, 4), np.float32),
        "scalar array": np.array(2.5, np.float32),
        "numpy scalar": np.float32(-0.0),
    },
    "no arrays": {},
}
BFLOAT16 = {"pooler": {"kernel": jnp.asarray(numbers(5, 3), jnp.bfloat16), "bias": jnp.zeros(3, jnp.bfloat16)}}
CHUNKED = {"a": {"cut": numbers(7, 5), "cut half": numbers(3, 3, 5).astype(np.float16), "whole": numbers(4, 4)}}


def leaves(tree: object, name: str = "") -> list[tuple[str, np.ndarray]]:
    """Return the arrays of a tree, in its order, by their paths."""
    if not isinstance(tree, dict):
        return [(name, np.asarray(tree))]
    return [leaf for key, below in tree.items() for leaf in leaves(below, f"{name}/{key}" if name else key)]


def line(name: str, array: np.ndarray) -> str:
    """Return what must be read of one array."""
    shape = "x".join(map(str, array.shape)) or "-"
    return f"{array.dtype.name} {shape} {hashlib.sha256(array.tobytes()).hexdigest()} {name}"


def write(name: str, tree: dict[str, object]) -> None:
    """Write one file."""
    data = flax.serialization.msgpack_serialize(tree)
    text = base64.b64encode(data).decode()
    fixture = {
        "made by": f"tools/make_flax_fixture.py, flax {version('flax')}, msgpack {version('msgpack')}",
        "sha256": hashlib.sha256(data).hexdigest(),
        "columns": "dtype, shape, sha256 of the elements, name",
        "tensors": [line(name, array) for name, array in leaves(tree)],
        "base64": [text[at : at + 100] for at in range(0, len(text), 100)],
    }
    (FOLDER / f"{name}.json").write_text(json.dumps(fixture, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    write("plain", PLAIN)
    write("bfloat16", BFLOAT16)
    flax.serialization.MAX_CHUNK_SIZE = CHUNK
    write("chunked", CHUNKED)
