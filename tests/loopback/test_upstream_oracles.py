"""The containers as the frameworks themselves read and write them.

Only where a framework is installed (`make oracles`): none of them is needed to make the files.
"""

from __future__ import annotations

import collections
import importlib.util
import io
import json
import os
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mirror.upstream import naming
from mirror.upstream.containers import flax_msgpack, paddle_pickle, torch_legacy
from mirror.upstream.containers.tensors import Named, arrays
from mirror.upstream.modelfiles import ModelFiles, _as_converted
from mirror.upstream.stock import shipped_catalog

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.oracle

MODELS: dict[str, dict[str, Any]] = {entry["id"]: entry for entry in shipped_catalog()["models"]}
FAMILIES = ("bert_uncased_L-2_H-128_A-2", "tinybert-4l-312d", "distilbert-base-uncased", "albert-base-v1")


def files(model: str) -> ModelFiles:
    return ModelFiles.of(MODELS[model], seed=0, scale=32)


def hub_tensors(made: ModelFiles) -> list[Named]:
    return arrays(naming.hugging_face(made.architecture, made.specs), seed=made.seed, model=made.id)


@pytest.mark.parametrize("model", FAMILIES)
@pytest.mark.parametrize("converted", [False, True])
@pytest.mark.parametrize("legacy", [False, True])
def test_torch_loads_every_tensor(model: str, converted: bool, legacy: bool) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    made = files(model)
    state = torch.load(io.BytesIO(made.torch(legacy=legacy, converted=converted)), weights_only=True)
    named = hub_tensors(made)
    assert list(state) == [one.name for one in named]
    for one in named:
        assert np.array_equal(state[one.name].numpy(), one.array)
        if one.of is not None:
            assert state[one.name].data_ptr() == state[one.of].data_ptr()


def torch_state(torch: Any, named: list[Named], metadata_of: bytes) -> Any:
    """Return a state dict of torch's own, strides and all, with the versions that a file of ours names."""
    state: Any = collections.OrderedDict()
    for one in named:
        copied = np.array(one.array, order="K")
        state[one.name] = torch.from_numpy(copied) if one.of is None else state[one.of].detach()
    state._metadata = torch.load(io.BytesIO(metadata_of), weights_only=True)._metadata
    return state


@pytest.mark.parametrize("model", FAMILIES)
@pytest.mark.parametrize("converted", [False, True])
def test_the_pickle_is_byte_for_byte_what_torch_saves(model: str, converted: bool) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    made = files(model)
    data = made.torch(converted=converted)
    named = _as_converted(hub_tensors(made)) if converted else hub_tensors(made)
    saved = io.BytesIO()
    torch.save(torch_state(torch, named, data), saved)
    with zipfile.ZipFile(saved) as theirs, zipfile.ZipFile(io.BytesIO(data)) as ours:
        # Newer ones have entries besides: the alignment, an id of what was saved.
        assert set(ours.namelist()) <= set(theirs.namelist())
        assert all(ours.read(name) == theirs.read(name) for name in ours.namelist())


@pytest.mark.parametrize("model", FAMILIES)
@pytest.mark.parametrize("converted", [False, True])
def test_the_old_container_is_byte_for_byte_what_torch_saves(model: str, converted: bool) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    made = files(model)
    named = _as_converted(hub_tensors(made)) if converted else hub_tensors(made)
    state = torch_state(torch, named, made.torch(legacy=True, converted=converted))
    saved = io.BytesIO()
    torch.save(state, saved, _use_new_zipfile_serialization=False)
    # The keys are addresses of its memory, which no two saves share.
    addresses = [state[one.name].untyped_storage()._cdata for one in named if one.of is None]
    assert torch_legacy.write(named, addresses=addresses) == saved.getvalue()


@pytest.mark.parametrize("model", FAMILIES)
def test_safetensors_loads_every_tensor(model: str) -> None:
    library = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
    made = files(model)
    state = library.load(made.safetensors())
    held = {one.name: one.array for one in hub_tensors(made) if one.of is None}
    assert state.keys() == held.keys()
    assert all(np.array_equal(state[name], array) for name, array in held.items())


@pytest.mark.parametrize("model", FAMILIES)
def test_a_safetensors_file_is_what_the_library_writes(model: str) -> None:
    library = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
    made = files(model)
    ours = made.safetensors()
    length = int.from_bytes(ours[:8], "little")
    head = json.loads(ours[8 : 8 + length])
    held = {one.name: one.array for one in hub_tensors(made) if one.of is None}
    theirs = library.save(held, metadata=head["__metadata__"])
    # The library leaves the order of the metadata to chance, and nothing else.
    assert theirs[:8] == ours[:8]
    assert list(json.loads(theirs[8 : 8 + length]).items()) == list(head.items())
    assert theirs[8 + length :] == ours[8 + length :]


@pytest.mark.parametrize("model", ["bert_uncased_L-2_H-128_A-2", "albert-base-v1"])
def test_tensorflow_writes_and_reads_the_same_checkpoint(model: str, tmp_path: Path) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    tf = pytest.importorskip("tensorflow", reason="tensorflow is not installed")
    made = files(model)
    for name, data in made.checkpoint("ours").items():
        (tmp_path / name).write_bytes(data)
    named = arrays(naming.tensorflow(made.architecture, made.specs), seed=made.seed, model=made.id)
    named.sort(key=lambda one: one.name)
    reader = tf.train.load_checkpoint(str(tmp_path / "ours"))
    assert set(reader.get_variable_to_shape_map()) == {one.name for one in named}
    assert all(np.array_equal(reader.get_tensor(one.name), one.array) for one in named)
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "theirs"),
        tensor_names=[one.name for one in named],
        shape_and_slices=[""] * len(named),
        tensors=[tf.constant(np.ascontiguousarray(one.array)) for one in named],
    )
    for end in ("index", "data-00000-of-00001"):
        assert (tmp_path / f"ours.{end}").read_bytes() == (tmp_path / f"theirs.{end}").read_bytes()


#: In a process of its own: Paddle and TensorFlow do not bear each other in one.
PADDLE = """
import sys, numpy, paddle
numpy.savez(sys.argv[2], **paddle.load(sys.argv[1], return_numpy=True))
"""


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("model", FAMILIES)
def test_paddle_loads_every_tensor(model: str, protocol: int, tmp_path: Path) -> None:
    if importlib.util.find_spec("paddle") is None:
        pytest.skip("paddlepaddle is not installed")
    made = files(model)
    saved, read = tmp_path / "model_state.pdparams", tmp_path / "read.npz"
    saved.write_bytes(made.paddle(protocol=protocol))
    subprocess.run([sys.executable, "-c", PADDLE, str(saved), str(read)], check=True, capture_output=True, timeout=120)
    named = arrays(naming.paddle(made.architecture, made.specs), seed=made.seed, model=made.id)
    positions = {"transformer.embeddings.position_ids"} if made.architecture == "albert" else set()
    with np.load(read) as state:
        assert set(state) == {one.name for one in named} | positions
        assert all(np.array_equal(state[one.name], one.array) for one in named)


#: Tensors of Paddle's own, named as ours, saved by itself.
PADDLE_SAVES = """
import sys, numpy, paddle
state = {}
with numpy.load(sys.argv[1]) as arrays:
    for number, name in enumerate(arrays.files):
        state[name] = paddle.to_tensor(arrays[name])
        state[name].name = f"parameter_{number}"
for protocol in (2, 4):
    paddle.save(state, f"{sys.argv[2]}.{protocol}", protocol=protocol)
"""


@pytest.mark.parametrize("model", FAMILIES)
def test_a_pdparams_is_byte_for_byte_what_paddle_saves(model: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("paddle") is None:
        pytest.skip("paddlepaddle is not installed")
    made = files(model)
    named = arrays(naming.paddle(made.architecture, made.specs), seed=made.seed, model=made.id)
    given, saved = tmp_path / "given.npz", tmp_path / "saved"
    state: dict[str, Any] = {one.name: one.array for one in named}
    np.savez(given, **state)
    run = [sys.executable, "-c", PADDLE_SAVES, str(given), str(saved)]
    subprocess.run(run, check=True, capture_output=True, timeout=120)
    rebuild: Any = np.array(0).__reduce__()[0]
    core = rebuild.__module__.removesuffix(".multiarray")
    for protocol in (2, 4):
        ours = paddle_pickle.write(named, protocol=protocol, numpy_core=core)
        assert ours == saved.with_suffix(f".{protocol}").read_bytes()


def flax_tree(named: list[Named]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for one in named:
        *above, last = one.name.split("/")
        place = tree
        for key in above:
            place = place.setdefault(key, {})
        place[last] = one.array
    return tree


@pytest.mark.parametrize("model", FAMILIES)
def test_a_flax_file_is_byte_for_byte_what_flax_writes(model: str) -> None:
    serialization = pytest.importorskip("flax.serialization", reason="flax is not installed")
    made = files(model)
    named = arrays(naming.flax(made.architecture, made.specs), seed=made.seed, model=made.id)
    data = made.flax()
    assert data == serialization.to_bytes(flax_tree(named))
    restored = serialization.msgpack_restore(data)
    for one in named:
        found = restored
        for key in one.name.split("/"):
            found = found[key]
        assert found.dtype == np.float32
        assert np.array_equal(found, one.array)


def test_every_length_of_a_flax_file_is_written_as_flax_does() -> None:
    serialization = pytest.importorskip("flax.serialization", reason="flax is not installed")
    # On both sides of where msgpack takes the next longer form, for names, axes, bytes and maps.
    named = [Named("n" * length, np.zeros(length, "<f4")) for length in (1, 31, 32, 63, 64, 127, 128, 255, 256, 300)]
    named += [Named(f"axes/{length}", np.zeros((length, 1), "<f4")) for length in (16383, 16384, 65535, 65536, 70000)]
    named += [Named(f"bytes/{length}", np.zeros(length, "u1")) for length in (235, 236, 237, 238, 255, 256)]
    named += [Named(f"bytes/{length}", np.zeros(length, "u1")) for length in (65510, 65513, 65514, 65535, 65536)]
    named += [Named(f"{size}/{at}", np.zeros(1, "<f4")) for size in (15, 16, 17, 65536) for at in range(size)]
    assert flax_msgpack.write(named) == serialization.to_bytes(flax_tree(named))


@pytest.mark.parametrize("model", ["albert-base-v1", "albert-chinese-tiny"])
def test_sentencepiece_loads_the_model(model: str) -> None:
    library = pytest.importorskip("sentencepiece", reason="sentencepiece is not installed")
    made = files(model)
    processor = library.SentencePieceProcessor(model_proto=made.spiece())
    assert processor.get_piece_size() == made.shape.vocab_size
    assert [processor.id_to_piece(at) for at in range(5)] == ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]


@pytest.mark.parametrize("model", ["bert_uncased_L-2_H-128_A-2", "tinybert-4l-312d-zh", "distilbert-base-cased"])
def test_tokenizers_loads_the_tokenizer(model: str) -> None:
    library = pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    made = files(model)
    tokenizer = library.Tokenizer.from_str(made.tokenizer_json().decode())
    assert tokenizer.get_vocab_size() == made.shape.vocab_size
    assert tokenizer.encode("a").tokens[::2] == ["[CLS]", "[SEP]"]
