"""What we export against the libraries that have to read it: safetensors itself, and transformers.

Only where torch, safetensors and transformers are installed (`make oracles`).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest

from mirror.api import Mirror
from mirror.compare.families import ALIASES, WORDS
from mirror.formats import safetensors as reader
from mirror.formats.checkpoint import LAYOUT, Tensor
from mirror.formats.safetensors_writer import pieces
from mirror.upstream.containers import safetensors as other_writer
from mirror.upstream.containers.tensors import Named
from mirror.upstream.modelfiles import ModelFiles
from mirror.upstream.stock import shipped_catalog
from tests import catalogs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore")]

MODELS: dict[str, dict[str, Any]] = {entry["id"]: entry for entry in shipped_catalog()["models"]}
#: numpy has no bfloat16, and its library no bool that torch would write otherwise.
NUMPY = [dtype for dtype in LAYOUT if dtype != "BF16"]


def files_of(identifier: str, scale: int) -> ModelFiles:
    return ModelFiles.of(MODELS[identifier], seed=0, scale=scale)


TINY = files_of("bert_uncased_L-2_H-128_A-2", 16)
TRUE_SIZE = files_of("bert_uncased_L-2_H-128_A-2", 1)
TINYBERT = files_of("tinybert-4l-312d", 16)
DISTILBERT = files_of("distilbert-base-uncased", 32)
ALBERT = files_of("albert-base-v1", 32)


@pytest.fixture(scope="module")
def safetensors() -> Any:
    """Return the library, which whoever only collects these tests does not wait for."""
    return pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")


@pytest.fixture(scope="module")
def transformers() -> Any:
    pytest.importorskip("torch", reason="torch is not installed")
    return pytest.importorskip("transformers", reason="transformers is not installed")


def test_the_reference_writes_the_same_bytes(safetensors: Any) -> None:
    random = np.random.default_rng(3)
    arrays = {
        f"{place}.{dtype}": random.integers(0, 2, (3, 5)).astype(LAYOUT[dtype]) for dtype in NUMPY for place in "ba"
    }
    ours = b"".join(
        map(bytes, pieces([Tensor(k, k.partition(".")[2], v) for k, v in arrays.items()], {"format": "pt"}))
    )
    assert ours == safetensors.save(arrays, metadata={"format": "pt"})


def test_the_reference_reads_what_we_write(safetensors: Any, tmp_path: Path) -> None:
    done = exported(tmp_path, {"uncased.zip": TINY.google_archive()}, "bert-miniature")
    found = safetensors.load_file(done / "model.safetensors")
    expected = {one.name: one.array for one in reader.read(TINY.safetensors()).tensors}
    expected = {name: array for name, array in expected.items() if name not in ALIASES}
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], expected[name]) for name in expected)
    assert safetensors.save(found, metadata={"format": "pt"}) == (done / "model.safetensors").read_bytes()


def exported(root: Path, files: dict[str, bytes], family: str, **known: Any) -> Path:
    """Hold the files, export what they are, and return the folder."""
    outside, place = root / "outside", root / "mirror"
    outside.mkdir()
    for name, data in files.items():
        (outside / name).write_bytes(data)
    promised = [catalogs.file(name, (outside / name).as_uri()) for name in sorted(files)]
    (place / "cache").mkdir(parents=True)
    text = catalogs.text(catalogs.model("bert", catalogs.http(*promised, id="files"), family=family, **known))
    (place / "catalog.json").write_text(text, encoding="utf-8")
    mirror = Mirror.open(place, environ={})
    assert mirror.sync(everything=True).problems == []
    return mirror.export_safetensors("bert", root / "exported").path.parent


def bare(model: ModelFiles, heads: tuple[str, ...]) -> bytes:
    """Return a model's safetensors without its heads."""
    held = [one for one in reader.read(model.safetensors()).tensors if not one.name.startswith(heads)]
    return other_writer.write([Named(one.name, one.array) for one in held])


def untied(model: ModelFiles) -> bytes:
    """Return a model's safetensors with a decoder of its own."""
    held = {one.name: one.array for one in reader.read(model.safetensors()).tensors}
    held["cls.predictions.decoder.weight"] = held[f"bert.{WORDS}"] * np.float32(2)
    return other_writer.write([Named(name, array) for name, array in held.items()])


class Case(NamedTuple):
    files: Callable[[], dict[str, bytes]]
    family: str
    built: str


def paddle(model: ModelFiles) -> dict[str, bytes]:
    return {"model_state.pdparams": model.paddle(), "model_config.json": model.model_config_json()}


CASES = {
    "bert from google": Case(lambda: {"a.zip": TINY.google_archive()}, "bert-miniature", "BertForPreTraining"),
    "bert of true size": Case(lambda: {"a.zip": TRUE_SIZE.google_archive()}, "bert-miniature", "BertForPreTraining"),
    "bert from paddle": Case(lambda: paddle(TINY), "bert-miniature", "BertForPreTraining"),
    "bert from torch": Case(
        lambda: {"pytorch_model.bin": TINY.torch(legacy=True, converted=True), "config.json": TINY.config_json()},
        "bert-miniature",
        "BertForPreTraining",
    ),
    "bert without heads": Case(
        lambda: {
            "model.safetensors": bare(TINY, ("cls.",)),
            "bert_config.json": json.dumps(TINY.configuration()).encode(),
        },
        "bert-miniature",
        "BertModel",
    ),
    "bert with one head": Case(
        lambda: {
            "model.safetensors": bare(TINY, ("cls.seq_relationship", "bert.pooler")),
            "bert_config.json": json.dumps(TINY.configuration()).encode(),
        },
        "bert-miniature",
        "BertForMaskedLM",
    ),
    "bert that is not tied": Case(
        lambda: {"model.safetensors": untied(TINY), "config.json": TINY.config_json()},
        "bert-miniature",
        "BertForPreTraining",
    ),
    "tinybert from paddle": Case(lambda: paddle(TINYBERT), "tinybert", "BertModel"),
    "distilbert from paddle": Case(lambda: paddle(DISTILBERT), "distilbert", "DistilBertForMaskedLM"),
    "albert from google": Case(
        lambda: {"a.tar.gz": ALBERT.albert_archive("albert_base")}, "albert", "AlbertForPreTraining"
    ),
    "albert from paddle": Case(lambda: paddle(ALBERT), "albert", "AlbertForPreTraining"),
}


@pytest.mark.parametrize("name", CASES)
def test_transformers_loads_it_with_no_key_missing_and_none_too_many(
    transformers: Any, tmp_path: Path, name: str
) -> None:
    case = CASES[name]
    folder = exported(tmp_path, case.files(), case.family)
    config = transformers.AutoConfig.from_pretrained(folder)
    assert config.architectures == [case.built]
    model, info = getattr(transformers, case.built).from_pretrained(folder, output_loading_info=True)
    assert {key: list(found) for key, found in info.items() if found} == {}
    state = {key: value.numpy() for key, value in model.state_dict().items()}
    written = {one.name: one.array for one in reader.read((folder / "model.safetensors").read_bytes()).tensors}
    for key, array in written.items():
        mine = key if key in state else key.removeprefix(f"{model.base_model_prefix}.")
        assert np.array_equal(state[mine], array), key
    assert model.config.vocab_size == written[next(key for key in written if key.endswith(WORDS))].shape[0]


def test_transformers_finds_the_tokenizer(transformers: Any, tmp_path: Path) -> None:
    folder = exported(tmp_path, {"a.zip": TINY.google_archive()}, "bert-miniature")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    assert len(tokenizer) == transformers.AutoConfig.from_pretrained(folder).vocab_size
    assert tokenizer.convert_ids_to_tokens([0])[0] == "[PAD]"
