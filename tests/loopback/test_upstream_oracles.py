"""The containers as the frameworks themselves read and write them.

Only where a framework is installed (`make oracles`): none of them is needed to make the files.
"""

from __future__ import annotations

import collections
import importlib.util
import io
import os
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mirror.upstream import naming
from mirror.upstream.containers.tensors import Named, arrays
from mirror.upstream.modelfiles import ModelFiles
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
def test_torch_loads_every_tensor(model: str, converted: bool) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    made = files(model)
    state = torch.load(io.BytesIO(made.torch(converted=converted)), weights_only=True)
    named = hub_tensors(made)
    assert list(state) == [one.name for one in named]
    for one in named:
        assert np.array_equal(state[one.name].numpy(), one.array)
        if one.of is not None:
            assert state[one.name].data_ptr() == state[one.of].data_ptr()


@pytest.mark.parametrize("model", FAMILIES)
def test_the_pickle_is_byte_for_byte_what_torch_saves(model: str) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    made = files(model)
    data = made.torch()
    state: Any = collections.OrderedDict()
    for one in hub_tensors(made):
        held = torch.from_numpy(one.array.copy()) if one.of is None else state[one.of].detach()
        state[one.name] = held
    state._metadata = torch.load(io.BytesIO(data), weights_only=True)._metadata
    saved = io.BytesIO()
    torch.save(state, saved)
    with zipfile.ZipFile(saved) as theirs, zipfile.ZipFile(io.BytesIO(data)) as ours:
        assert ours.read("archive/data.pkl") == theirs.read("archive/data.pkl")


@pytest.mark.parametrize("model", FAMILIES)
def test_safetensors_loads_every_tensor(model: str) -> None:
    library = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
    made = files(model)
    state = library.load(made.safetensors())
    held = {one.name: one.array for one in hub_tensors(made) if one.of is None}
    assert state.keys() == held.keys()
    assert all(np.array_equal(state[name], array) for name, array in held.items())


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


@pytest.mark.parametrize("model", FAMILIES)
def test_paddle_loads_every_tensor(model: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("paddle") is None:
        pytest.skip("paddlepaddle is not installed")
    made = files(model)
    saved, read = tmp_path / "model_state.pdparams", tmp_path / "read.npz"
    saved.write_bytes(made.paddle())
    subprocess.run([sys.executable, "-c", PADDLE, str(saved), str(read)], check=True, capture_output=True, timeout=120)
    named = arrays(naming.paddle(made.architecture, made.specs), seed=made.seed, model=made.id)
    positions = {"transformer.embeddings.position_ids"} if made.architecture == "albert" else set()
    with np.load(read) as state:
        assert set(state) == {one.name for one in named} | positions
        assert all(np.array_equal(state[one.name], one.array) for one in named)


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
