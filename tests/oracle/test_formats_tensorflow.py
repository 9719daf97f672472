"""Our reader against TensorFlow itself: the same tensors, bit for bit, or the same refusal.

Only where TensorFlow is installed (`make oracles`).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mirror.errors import FormatError
from mirror.formats import protobuf, snappy, sstable, tf_checkpoint
from mirror.formats.tf_index import read_index
from mirror.upstream.containers import tf_bundle

if TYPE_CHECKING:
    from mirror.formats.checkpoint import Checkpoint

pytestmark = pytest.mark.oracle

KERAS = Path(__file__).parents[1] / "data/tf/keras-bert/bert_model.ckpt"
DTYPES = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8")
UNSIGNED = ("uint64", "uint32", "uint16", "uint8", "bool")


@pytest.fixture(scope="module")
def tf() -> Any:
    """Return TensorFlow, which whoever only collects these tests does not wait for."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return pytest.importorskip("tensorflow", reason="tensorflow is not installed")


def save(tf: Any, prefix: Path, tensors: dict[str, Any], slices: dict[str, str] | None = None) -> Path:
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=list(tensors),
        shape_and_slices=[(slices or {}).get(name, "") for name in tensors],
        tensors=list(tensors.values()),
    )
    return prefix


def ours(prefix: Path) -> Checkpoint:
    index = prefix.with_name(prefix.name + ".index").read_bytes()
    shards = sorted(prefix.parent.glob(f"{prefix.name}.data-*"))
    found = tf_checkpoint.read(index, [shard.read_bytes() for shard in shards])
    tf_checkpoint.check_crcs(found)
    return found


def check_equal(tf: Any, prefix: Path) -> Checkpoint:
    """Refuse any difference between our reading of a checkpoint and TensorFlow's."""
    found, reader = ours(prefix), tf.train.load_checkpoint(str(prefix))
    shapes = reader.get_variable_to_shape_map()
    assert {one.name: list(one.shape) for one in found.tensors} | dict.fromkeys(found.skipped) == {
        name: None if name in found.skipped else shape for name, shape in shapes.items()
    }
    for one in found.tensors:
        theirs = np.asarray(reader.get_tensor(one.name))
        assert theirs.tobytes() == one.array.tobytes()
        assert theirs.dtype == one.array.dtype or one.dtype == "BF16"
    return found


def compressed(tf: Any, data: bytes) -> bytes:
    """Return ``data`` as the snappy library that TensorFlow brings packs it.

    A ``CompressedElement`` holds it, in a variant, in a TensorProto; the variant's length goes before it.
    """
    element = tf.raw_ops.CompressElement(components=[tf.constant(np.frombuffer(data, "u1"))])
    whole = memoryview(tf.io.serialize_tensor(element).numpy())
    content = next(each.content for each in protobuf.fields(whole, at=0) if each.number == 4)
    _, start = protobuf.varint(content, 0, at=0)
    metadata = next(each.content for each in protobuf.fields(content[start:], at=0) if each.number == 2)
    return bytes(next(each.content for each in protobuf.fields(metadata, at=0) if each.number == 1))


def test_every_dtype_and_shape_equals_what_tensorflow_loads(tf: Any, tmp_path: Path) -> None:
    bits = np.random.default_rng(0).integers(0, 256, 48, "u1")
    tensors: dict[str, Any] = {}
    for name in DTYPES + UNSIGNED:
        whole = tf.constant((bits & 1 if name == "bool" else bits).view(tf.dtypes.as_dtype(name).as_numpy_dtype))
        tensors[f"{name}/vector"] = whole
        tensors[f"{name}/scalar"] = whole[0]
        tensors[f"{name}/empty"] = tf.reshape(whole[:0], (3, 0, 2))
        tensors[f"{name}/cube"] = tf.reshape(whole, (1, 2, 1, -1))
    found = check_equal(tf, save(tf, tmp_path / "ckpt", tensors))
    assert len(found.tensors) == 4 * 13
    assert len({one.dtype for one in found.tensors}) == 13


def test_the_real_checkpoint_equals_what_tensorflow_loads(tf: Any) -> None:
    found = check_equal(tf, KERAS)
    assert (len(found.tensors), len(found.skipped)) == (46, 93)


def test_an_index_of_many_blocks_equals_what_tensorflow_loads(tf: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tensors = {f"{rng.bytes(60).hex()}/{at}": tf.constant([at], tf.int32) for at in range(4000)}
    check_equal(tf, save(tf, tmp_path / "ckpt", tensors))
    assert (tmp_path / "ckpt.index").stat().st_size > 2 * 262_144


def test_merged_shards_equal_what_tensorflow_loads(tf: Any, tmp_path: Path) -> None:
    parts = [save(tf, tmp_path / name, {f"{name}/{at}": tf.range(at + 1) for at in range(3)}) for name in "pqr"]
    tf.raw_ops.MergeV2Checkpoints(
        checkpoint_prefixes=[str(part) for part in parts],
        destination_prefix=str(tmp_path / "ckpt"),
        delete_old_dirs=False,
    )
    assert len(check_equal(tf, tmp_path / "ckpt").tensors) == 9
    assert read_index((tmp_path / "ckpt.index").read_bytes()).shards == 3


def test_a_compressed_index_equals_what_tensorflow_loads(
    tf: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def put(self: Any, block: bytes) -> bytes:
        packed = compressed(tf, block)
        handle = tf_bundle.varint(len(self._out)) + tf_bundle.varint(len(packed))
        self._out += packed + b"\1" + sstable.mask(sstable.crc32c(packed + b"\1")).to_bytes(4, "little")
        return handle

    entries = [
        tf_bundle.Entry(each.name, each.shape, each.offset, each.size, each.crc32c)
        for each in read_index(KERAS.with_suffix(".ckpt.index").read_bytes()).entries
        if each.name != "global_step"  # our writer writes floats only
    ]
    plain = tf_bundle.index(entries)
    monkeypatch.setattr(tf_bundle._Table, "_put", put)
    packed = tf_bundle.index(entries)
    assert len(packed) < len(plain)
    assert read_index(packed) == read_index(plain)
    (tmp_path / "ckpt.index").write_bytes(packed)
    data = KERAS.with_suffix(".ckpt.data-00000-of-00001").read_bytes()
    (tmp_path / "ckpt.data-00000-of-00001").write_bytes(data[:-8])
    assert len(check_equal(tf, tmp_path / "ckpt").tensors) == 46


@pytest.mark.parametrize("seed", range(8))
def test_what_the_snappy_library_packs_is_unpacked(tf: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    words = [rng.bytes(int(rng.integers(1, 90))) for _ in range(40)]
    data = b"".join(words[at] for at in rng.integers(0, 40, 4000))
    assert snappy.decompress(compressed(tf, data), most=len(data)) == data


def test_a_degenerate_slice_is_a_whole_variable(tf: Any, tmp_path: Path) -> None:
    check_equal(tf, save(tf, tmp_path / "ckpt", {"v": tf.ones((2, 2))}, {"v": "2 2 0,2:0,2"}))


def test_a_partitioned_variable_is_refused(tf: Any, tmp_path: Path) -> None:
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "ckpt"),
        tensor_names=["v/w", "v/w"],
        shape_and_slices=["4 2 0,2:0,2", "4 2 2,2:0,2"],
        tensors=[tf.ones((2, 2)), tf.zeros((2, 2))],
    )
    with pytest.raises(FormatError, match="a slice of the partitioned variable 'v/w' is not read"):
        ours(tmp_path / "ckpt")


def test_a_v1_checkpoint_is_refused(tf: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    tf.raw_ops.Save(filename=str(path), tensor_names=["a", "b"], data=[tf.ones((300, 300)), tf.ones(3)])
    with pytest.raises(FormatError, match="a V1 checkpoint"):
        read_index(path.read_bytes())


def test_a_checkpoint_of_objects_is_refused_for_its_graph(tf: Any, tmp_path: Path) -> None:
    tf.train.Checkpoint(v=tf.Variable([1.0, 2.0])).write(str(tmp_path / "ckpt"))
    with pytest.raises(FormatError, match=r"tensor _CHECKPOINTABLE_OBJECT_GRAPH, .*: text"):
        ours(tmp_path / "ckpt")


def test_a_flipped_bit_is_found_by_both(tf: Any, tmp_path: Path) -> None:
    prefix = save(tf, tmp_path / "ckpt", {"a": tf.ones(4), "b": tf.ones(4)})
    path = tmp_path / "ckpt.data-00000-of-00001"
    data = path.read_bytes()
    path.write_bytes(data[:20] + bytes([data[20] ^ 1]) + data[21:])
    with pytest.raises(FormatError, match="tensor b: CRC-32C"):
        ours(prefix)
    with pytest.raises(tf.errors.OpError, match="Checksum does not match"):
        tf.train.load_checkpoint(str(prefix)).get_tensor("b")


def test_whatever_we_take_of_a_changed_index_tensorflow_takes_too(tf: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    prefix = save(
        tf, tmp_path / "ckpt", {f"layer_{at}/kernel": tf.reshape(tf.range(6.0) + at, (2, 3)) for at in range(4)}
    )
    path, taken = tmp_path / "ckpt.index", 0
    whole, data = path.read_bytes(), (tmp_path / "ckpt.data-00000-of-00001").read_bytes()
    end = whole.index(b"\0" * 4 + b"\1\0\0\0\0") + 8  # the first block: its only restart point, and their count
    for _ in range(3000):
        changed = bytearray(whole)
        changed[int(rng.integers(end))] = int(rng.integers(256))
        changed[end + 1 : end + 5] = sstable.mask(sstable.crc32c(changed[: end + 1])).to_bytes(4, "little")
        try:
            tf_checkpoint.check_crcs(tf_checkpoint.read(changed, [data]))
        except FormatError:
            continue
        path.write_bytes(changed)
        check_equal(tf, prefix)
        taken += 1
    assert taken > 50
