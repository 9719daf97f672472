"""Canonical digests: the published vectors, and that neither layout nor threads matter."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.compare.digest import TensorDigest, data_digest, digests, group_of, leaf, root, roots
from mirror.compare.names import Canonical, CanonicalTensor, canonical
from mirror.formats import in_order
from mirror.formats.checkpoint import LAYOUT, Checkpoint, Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

RANDOM = np.random.default_rng(0)


def made(**arrays: NDArray[Any]) -> Canonical:
    return Canonical("bert", {name: CanonicalTensor(name, "F32", array, name) for name, array in arrays.items()})


def straight(array: NDArray[Any]) -> str:
    """Return the digest by way of a whole copy."""
    return hashlib.sha256(array.tobytes("C")).hexdigest()


def test_the_vector_of_the_definition() -> None:
    file = Checkpoint(
        "torch-zip",
        (
            Tensor("bert.embeddings.LayerNorm.gamma", "F32", np.array([1, 1], "<f4")),
            Tensor("bert.pooler.dense.weight", "F32", np.array([[1, 2], [3, 4]], "<f4").T),
            Tensor("cls.seq_relationship.bias", "F32", np.array([-0.0, 0.5], "<f4")),
        ),
    )
    found = digests(canonical(file))
    assert found[2].leaf == (
        b"pooler.dense.weight F32 2x2 e3016490e6a9ec8d5797c7b5ec17a4746720e71e73e9b14b0b705307e13275c1\n"
    )
    assert roots(found) == {
        "core": "1fdd2ec5ec7f49b4344355a16b1b2e8ed7337c7a0e34c2aaee655289dc219952",
        "pooler": "a2a4507c66171bd4ed779046efde90ca90433d6f01910bdb3b51311a2965e187",
        "nsp": "f819ca742159b149b2c735c8b0374f1137f399d9b8ce00dbba085bbcd808e870",
        "all": "b6402a8b748486ccd41db6e2400c07d43a31d307436ebccadfcaf8c1d6996be0",
    }


#: The entries of the test tree of Certificate Transparency's own implementation, and its roots.
ENTRIES = [
    bytes.fromhex(one)
    for one in (
        *("", "00", "10", "2021", "3031", "40414243"),
        *("5051525354555657", "606162636465666768696a6b6c6d6e6f"),
    )
]
ROOTS = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)


@pytest.mark.parametrize("count", range(9))
def test_the_roots_of_certificate_transparency(count: int) -> None:
    assert root(ENTRIES[:count]) == ROOTS[count]


def test_a_leaf_says_name_dtype_shape_and_digest() -> None:
    assert leaf("a.b", "BF16", (), "00") == b"a.b BF16 - 00\n"
    assert leaf("ä", "I64", (3,), "00") == "ä I64 3 00\n".encode()
    assert leaf("a", "F32", (0, 4), "00") == b"a F32 0x4 00\n"
    assert TensorDigest("a", "F32", (2, 3), "00").dims == "2x3"


@pytest.mark.parametrize(
    ("group", "names"),
    [
        (
            "core",
            ["embeddings.LayerNorm.bias", "encoder.layer.0.output.dense.bias", "transformer.layer.0.ffn.lin1.bias"],
        ),
        (
            "core",
            ["encoder.albert_layer_groups.0.albert_layers.0.ffn.bias", "encoder.embedding_hidden_mapping_in.bias"],
        ),
        ("pooler", ["pooler.dense.weight", "pooler.bias"]),
        ("mlm", ["cls.predictions.bias", "predictions.dense.weight", "vocab_transform.bias", "vocab_layer_norm.bias"]),
        ("mlm", ["vocab_projector.weight", "cls.predictions.decoder.weight"]),
        ("nsp", ["cls.seq_relationship.weight", "sop_classifier.classifier.bias"]),
        ("fit", ["fit_dense.weight", "fit_denses.0.bias"]),
        ("other", ["classifier.weight", "pre_classifier.bias", "fit_denser.x", "encoders.x", ""]),
    ],
)
def test_groups(group: str, names: list[str]) -> None:
    assert {group_of(name) for name in names} == {group}


def test_a_group_without_tensors_has_no_root_and_nothing_has_the_empty_one() -> None:
    assert roots(()) == {"all": hashlib.sha256().hexdigest()}
    assert list(roots(digests(made(**{"pooler.bias": np.ones(1, "f4")})))) == ["pooler", "all"]


def test_leaves_are_sorted_by_the_bytes_of_their_names() -> None:
    names = ["encoder.layer.10.x", "encoder.layer.2.x", "encoder.Z", "encoder.ä"]
    found = digests(made(**{name: np.ones(1, "f4") for name in names}))
    assert [one.name for one in found] == ["encoder.Z", "encoder.layer.10.x", "encoder.layer.2.x", "encoder.ä"]
    assert roots(found) == roots(reversed(found))


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_do_not_matter(threads: int) -> None:
    arrays = {f"encoder.{number}": RANDOM.standard_normal((number, 70)).astype("f4") for number in range(1, 40)}
    arrays |= {f"pooler.{name}": array.T for name, array in arrays.items()}
    expected = [
        TensorDigest(name, "F32", array.shape, straight(array))
        for name, array in sorted(arrays.items(), key=lambda item: item[0].encode())
    ]
    assert list(digests(made(**arrays), threads=threads)) == expected


@pytest.mark.parametrize(
    "array",
    [
        np.array([0.0, -0.0], "f4"),
        np.array([0x7F800001, 0xFFC00000, 1], "<u4").view("<f4"),
        np.array(3.5, "f4"),
        np.zeros((0, 4), "f4"),
        np.array([True, False]),
        np.arange(6, dtype="<u2").reshape(2, 3).T,
    ],
)
def test_bits_count_as_they_are(array: NDArray[Any]) -> None:
    assert data_digest(array) == straight(array)


def test_minus_zero_is_not_zero() -> None:
    assert data_digest(np.array([-0.0], "f4")) != data_digest(np.array([0.0], "f4"))


def test_the_order_of_bytes_is_little_endian_on_every_machine() -> None:
    array = np.arange(600, dtype="f4").reshape(20, 30)
    assert data_digest(array.astype(">f4")) == data_digest(array) == data_digest(array.T.astype(">f4").T)


@pytest.mark.parametrize("shape", [(1, 1), (63, 65), (64, 64), (65, 63), (200, 130), (2, 5000), (5000, 2), (130, 1)])
def test_tiles_fit_every_shape(shape: tuple[int, int]) -> None:
    array = RANDOM.standard_normal(shape).astype("f4")
    assert data_digest(array.T) == straight(array.T)


@pytest.mark.parametrize("panel", [8, 64, 1000, 5000])
def test_a_small_panel_gives_the_same_digest(panel: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_order, "_PIECE", panel)
    cube = RANDOM.standard_normal((6, 70, 9)).astype("f4")
    for array in (cube.T, cube[:, ::2], cube[::-1, :, 1], cube[0].T, cube[0, :, 0], cube.transpose(0, 2, 1)):
        assert data_digest(array) == straight(array)


@st.composite
def strided(draw: st.DrawFn) -> NDArray[Any]:
    """Return an array of any dtype that lies anyhow: transposed, in steps, backwards."""
    layout = LAYOUT[draw(st.sampled_from(sorted(LAYOUT)))]
    shape = draw(st.lists(st.integers(0, 9), max_size=4))
    count = int(np.prod(shape, dtype=int))
    bits = draw(st.binary(min_size=count * layout.itemsize, max_size=count * layout.itemsize))
    array = np.frombuffer(bits, layout).reshape(shape).transpose(draw(st.permutations(range(len(shape)))))
    steps = tuple(slice(None, None, draw(st.sampled_from([1, 1, 2, -1]))) for _ in shape)
    return array[steps] if shape else array


@given(strided())
def test_only_the_elements_and_their_order_count(array: NDArray[Any]) -> None:
    assert data_digest(array) == data_digest(np.ascontiguousarray(array)) == straight(array)


@given(st.lists(st.binary(max_size=4), max_size=40))
def test_a_root_is_what_the_definition_says(lines: list[bytes]) -> None:
    def tree(part: list[bytes]) -> bytes:
        if len(part) < 2:
            return hashlib.sha256(b"\0" + part[0] if part else b"").digest()
        split = max(1 << power for power in range(8) if 1 << power < len(part))
        return hashlib.sha256(b"\1" + tree(part[:split]) + tree(part[split:])).digest()

    assert root(lines) == tree(lines).hex()
