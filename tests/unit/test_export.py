"""One model, one file: the same safetensors from every format, whole or not at all; and its tensors as arrays."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner

from mirror.api import Mirror
from mirror.cli import cli
from mirror.compare.digest import digests, roots
from mirror.compare.families import WORDS
from mirror.compare.names import Canonical, CanonicalTensor, canonical
from mirror.errors import (
    DiskFullError,
    IntegrityError,
    SelectorError,
    StoreError,
    UnsoundError,
    UsageError,
)
from mirror.export import hugging_face
from mirror.export.hugging_face import names
from mirror.formats import safetensors
from mirror.formats.checkpoint import LAYOUT, Tensor
from mirror.formats.safetensors_writer import pieces
from mirror.upstream.containers import safetensors as other_writer
from mirror.upstream.containers.tensors import Named
from mirror.upstream.modelfiles import ModelFiles
from mirror.upstream.stock import shipped_catalog
from mirror.writing import replace_bytes, write_files
from tests import catalogs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

MODELS: dict[str, dict[str, Any]] = {entry["id"]: entry for entry in shipped_catalog()["models"]}
TINY = ModelFiles.of(MODELS["bert_uncased_L-2_H-128_A-2"], seed=0, scale=32)
TINYBERT = ModelFiles.of(MODELS["tinybert-4l-312d"], seed=0, scale=32)
DISTILBERT = ModelFiles.of(MODELS["distilbert-base-cased"], seed=0, scale=64)
ALBERT = ModelFiles.of(MODELS["albert-base-v1"], seed=0, scale=64)
Files = dict[str, bytes]


def artifacts(model: ModelFiles) -> dict[str, Files]:
    """Return everything that publishers might release of one model, by the source's slug."""
    config = {"config.json": model.config_json()}
    found: dict[str, Files] = {
        "safetensors": {"model.safetensors": model.safetensors(), **config, "vocab.txt": model.vocab()},
        "torch": {"pytorch_model.bin": model.torch(), **config},
        "converted": {"pytorch_model.bin": model.torch(converted=True), **config},
        "legacy": {"pytorch_model.bin": model.torch(legacy=True, converted=True), **config},
        "flax": {"flax_model.msgpack": model.flax(), **config},
        "paddle": {"model_state.pdparams": model.paddle(), "model_config.json": model.model_config_json()},
        "paddle4": {"model_state.pdparams": model.paddle(protocol=4), "model_config.json": model.model_config_json()},
    }
    if model.architecture == "bert":
        found["google"] = {"uncased.zip": model.google_archive()}
    if model.architecture == "albert":
        found["google"] = {"albert.tar.gz": model.albert_archive("albert_base")}
    return found


def holding(root: Path, sources: Mapping[str, Files], family: str | None = "bert-miniature", **known: Any) -> Mirror:
    """Return a mirror that holds one model from every source."""
    entries = []
    for source, files in sources.items():
        folder = root / "outside" / source
        folder.mkdir(parents=True)
        for name, data in files.items():
            (folder / name).write_bytes(data)
        promised = [catalogs.file(name, (folder / name).as_uri()) for name in sorted(files)]
        entries.append(catalogs.http(*promised, id=source))
    (root / "mirror" / "cache").mkdir(parents=True)
    text = catalogs.text(catalogs.model("bert", *entries, family=family, **known))
    (root / "mirror" / "catalog.json").write_text(text, encoding="utf-8")
    mirror = Mirror.open(root / "mirror", environ={})
    assert mirror.sync(everything=True, no_verify=True).problems == []
    return mirror


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Mirror:
    return holding(tmp_path_factory.mktemp("tiny"), artifacts(TINY))


@pytest.mark.parametrize(
    ("model", "family"),
    [(TINY, "bert-miniature"), (TINYBERT, "tinybert"), (DISTILBERT, "distilbert"), (ALBERT, "albert")],
    ids=["bert", "tinybert", "distilbert", "albert"],
)
def test_every_format_gives_the_same_bytes(tmp_path: Path, model: ModelFiles, family: str) -> None:
    sources = artifacts(model)
    mirror = holding(tmp_path, sources, family)
    written = {
        source: mirror.export_safetensors(f"bert@{source}", tmp_path / f"{source}.safetensors") for source in sources
    }
    assert len({one.sha256 for one in written.values()}) == 1
    data = {one.path.read_bytes() for one in written.values()}
    assert {hashlib.sha256(one).hexdigest() for one in data} == {one.sha256 for one in written.values()}
    assert {one.source.partition("/")[0].removeprefix("bert@") for one in written.values()} == set(sources)
    (held,) = data
    before, after = (
        roots(digests(canonical(safetensors.read(one), "tinybert" if family == "tinybert" else None)))
        for one in (model.safetensors(), held)
    )
    assert after == before


def test_a_file_is_sorted_aligned_and_says_what_it_is(tiny: Mirror, tmp_path: Path) -> None:
    done = tiny.export_safetensors("bert", tmp_path / "a.safetensors")
    data = done.path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    assert header.pop("__metadata__") == {"format": "pt"}
    assert list(header) == sorted(header)
    assert (8 + length) % 8 == 0
    assert (
        data[8 : 8 + length].rstrip(b" ")
        == json.dumps({"__metadata__": {"format": "pt"}, **header}, separators=(",", ":")).encode()
    )
    assert "bert.embeddings.word_embeddings.weight" in header
    assert "cls.predictions.bias" in header
    assert "cls.predictions.decoder.weight" not in header
    assert done.size == len(data)
    assert tuple(path.name for path in tmp_path.iterdir()) == ("a.safetensors",)
    assert done.path.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


def test_a_folder_gets_what_transformers_needs_beside_the_weights(tiny: Mirror, tmp_path: Path) -> None:
    done = tiny.export_safetensors("bert@safetensors", tmp_path / "new" / "folder")
    assert done.path == tmp_path / "new" / "folder" / "model.safetensors"
    assert set(done.beside) == {"config.json", "vocab.txt"}
    assert (done.path.parent / "config.json").read_bytes() == TINY.config_json()
    assert (done.path.parent / "vocab.txt").read_bytes() == TINY.vocab()
    assert [path.name for path in done.path.parent.parent.iterdir()] == ["folder"]
    assert done.path.parent.stat().st_mode & 0o777 == 0o777 & ~_umask()


def test_a_configuration_of_googles_is_put_into_the_words_of_transformers(tiny: Mirror, tmp_path: Path) -> None:
    done = tiny.export_safetensors("bert@google", tmp_path / "folder")
    assert set(done.beside) == {"config.json", "vocab.txt"}
    config = json.loads((tmp_path / "folder" / "config.json").read_bytes())
    theirs = json.loads(TINY.config_json())
    del theirs["pad_token_id"]  # Google does not say it
    assert config == theirs


def test_a_configuration_of_paddles_is_put_into_the_words_of_transformers(tmp_path: Path) -> None:
    mirror = holding(tmp_path, {"paddle": artifacts(DISTILBERT)["paddle"]}, "distilbert", cased=True)
    done = mirror.export_safetensors("bert", tmp_path / "folder")
    config = json.loads((tmp_path / "folder" / "config.json").read_bytes())
    theirs = json.loads(DISTILBERT.config_json())
    same = ("dim", "n_heads", "n_layers", "hidden_dim", "vocab_size", "max_position_embeddings", "model_type")
    assert {key: config[key] for key in same} == {key: theirs[key] for key in same}
    assert config["architectures"] == ["DistilBertForMaskedLM"]
    assert config["activation"] == "gelu"
    assert done.beside == ("config.json",)


def test_sizes_that_only_the_catalog_knows_make_a_configuration(tmp_path: Path) -> None:
    shape = {**MODELS[ALBERT.id]["shape"], **{key: getattr(ALBERT.shape, key) for key in catalogs.SIZES}}
    mirror = holding(tmp_path, {"paddle": {"model_state.pdparams": ALBERT.paddle()}}, "albert", shape=shape)
    mirror.export_safetensors("bert", tmp_path / "folder")
    config = json.loads((tmp_path / "folder" / "config.json").read_bytes())
    assert (config["embedding_size"], config["num_hidden_groups"]) == (ALBERT.shape.embedding, 1)
    assert (config["architectures"], config["layer_norm_eps"]) == (["AlbertForPreTraining"], 1e-12)


def test_without_any_sizes_there_is_no_configuration(tmp_path: Path) -> None:
    mirror = holding(tmp_path, {"one": {"model.safetensors": TINY.safetensors()}})
    assert mirror.export_safetensors("bert", tmp_path / "folder").beside == ()


def test_what_a_publishers_configuration_leaves_out_is_added(tmp_path: Path) -> None:
    bare = json.loads(TINY.config_json())
    del bare["architectures"], bare["model_type"]
    files = {"model.safetensors": TINY.safetensors(), "config.json": json.dumps(bare).encode()}
    holding(tmp_path, {"one": files}).export_safetensors("bert", tmp_path / "folder")
    config = json.loads((tmp_path / "folder" / "config.json").read_bytes())
    assert config == {**bare, "architectures": ["BertForPreTraining"], "model_type": "bert"}


def test_a_vocabulary_that_keeps_capitals_says_so(tmp_path: Path) -> None:
    files = {"model.safetensors": DISTILBERT.safetensors(), "vocab.txt": DISTILBERT.vocab()}
    mirror = holding(tmp_path, {"one": files}, "distilbert", cased=True)
    assert set(mirror.export_safetensors("bert", tmp_path / "folder").beside) == {"vocab.txt", "tokenizer_config.json"}
    assert json.loads((tmp_path / "folder" / "tokenizer_config.json").read_bytes()) == {"do_lower_case": False}


def test_sentence_pieces_get_the_name_that_transformers_looks_for(tmp_path: Path) -> None:
    mirror = holding(tmp_path, {"google": artifacts(ALBERT)["google"]}, "albert")
    assert "spiece.model" in mirror.export_safetensors("bert", tmp_path / "folder").beside
    assert (tmp_path / "folder" / "spiece.model").read_bytes() == ALBERT.spiece()


def held_as(model: ModelFiles, change: Callable[[dict[str, np.ndarray[Any, Any]]], object]) -> bytes:
    """Return a model's safetensors with other tensors, by the names in the file."""
    held = {one.name: one.array.copy() for one in safetensors.read(model.safetensors()).tensors}
    change(held)
    return other_writer.write([Named(name, array) for name, array in held.items()])


def test_tied_weights_that_are_none_stay_and_are_said_not_to_be_tied(tmp_path: Path) -> None:
    data = held_as(TINY, lambda held: held.update({"cls.predictions.decoder.weight": held[f"bert.{WORDS}"] + 1}))
    files = {"model.safetensors": data, "config.json": TINY.config_json()}
    done = holding(tmp_path, {"one": files}).export_safetensors("bert", tmp_path / "folder")
    written = {one.name: one.array for one in safetensors.read(done.path.read_bytes()).tensors}
    assert not np.array_equal(written["cls.predictions.decoder.weight"], written[f"bert.{WORDS}"])
    assert np.array_equal(written["cls.predictions.decoder.bias"], written["cls.predictions.bias"])
    assert json.loads((tmp_path / "folder" / "config.json").read_bytes())["tie_word_embeddings"] is False


def test_layers_that_transformers_has_no_place_for_are_left_out(tmp_path: Path) -> None:
    wide = TINYBERT.shape.hidden
    extra = {"fit_dense.weight": np.eye(768, wide, dtype="f4"), "fit_dense.bias": np.arange(768, dtype="f4")}
    data = held_as(TINYBERT, lambda held: held.update(extra))
    mirror = holding(tmp_path, {"one": {"model.safetensors": data, "config.json": TINYBERT.config_json()}}, "tinybert")
    done = mirror.export_safetensors("bert", tmp_path / "folder")
    assert done.left_out == ("fit_dense.bias", "fit_dense.weight")
    said = CliRunner().invoke(
        cli,
        ["--mirror", str(mirror.place.root), "export", "safetensors", "bert", "-o", str(tmp_path / "x.safetensors")],
    )
    assert "left out, since transformers has no place for them: 2 tensors" in said.stderr


@pytest.mark.parametrize(
    ("family", "present", "architecture"),
    [
        ("bert", ["pooler.dense.bias"], "BertModel"),
        ("bert", ["cls.predictions.bias"], "BertForMaskedLM"),
        ("bert", ["cls.predictions.bias", "cls.seq_relationship.bias"], "BertForPreTraining"),
        ("bert", ["cls.seq_relationship.bias"], "BertForNextSentencePrediction"),
        ("tinybert", ["classifier.weight", "classifier.bias"], "BertForSequenceClassification"),
        ("distilbert", ["qa_outputs.weight"], "DistilBertForQuestionAnswering"),
        ("albert", ["predictions.bias", "sop_classifier.classifier.bias"], "AlbertForPreTraining"),
    ],
)
def test_the_class_follows_from_the_tensors(family: str, present: list[str], architecture: str) -> None:
    array = np.ones(2, "<f4")
    found = Canonical(family, {name: CanonicalTensor(name, "F32", array, name) for name in (WORDS, *present)})
    assert hugging_face.architecture(found) == architecture
    prefix = {"tinybert": "bert"}.get(family, family)
    given = names(found)
    assert given[f"{prefix}.{WORDS}"] == WORDS
    heads = [name for name in present if not name.startswith("pooler")]
    assert [given[name] for name in heads] == heads


def test_nothing_is_replaced_unasked(tiny: Mirror, tmp_path: Path) -> None:
    place = tmp_path / "a.safetensors"
    place.write_bytes(b"mine")
    with pytest.raises(UsageError, match="there already") as error:
        tiny.export_safetensors("bert", place)
    assert "--force" in error.value.hint
    assert place.read_bytes() == b"mine"
    tiny.export_safetensors("bert", place, force=True)
    assert safetensors.read(place.read_bytes()).tensors
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "vocab.txt").write_bytes(b"mine")
    with pytest.raises(UsageError, match=r"vocab\.txt: there already"):
        tiny.export_safetensors("bert", folder)
    assert [path.name for path in folder.iterdir()] == ["vocab.txt"]
    tiny.export_safetensors("bert", folder, force=True)
    assert (folder / "vocab.txt").read_bytes() == TINY.vocab()
    with pytest.raises(UsageError, match="is no folder"):
        tiny.export_safetensors("bert", folder / "vocab.txt")


def test_what_fails_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    def failing() -> Iterator[bytes]:
        yield b"half"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replace_bytes(tmp_path / "file", failing())
    with pytest.raises(KeyboardInterrupt):
        write_files(tmp_path / "folder", {"config.json": [b"{}"], "model": failing()})
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_an_error_of_the_store(tiny: Mirror, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError) as caught:
        tiny.export_safetensors("bert", tmp_path / "file" / "below")
    assert caught.value.hint == "choose another place with --out"


def test_a_full_disk_leaves_nothing(tiny: Mirror, tmp_path: Path) -> None:
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(DiskFullError):
            tiny.export_safetensors("bert", tmp_path / "folder")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert list(tmp_path.iterdir()) == []


def test_an_architecture_that_is_not_known_is_not_exported(tmp_path: Path) -> None:
    data = other_writer.write([Named("wte.weight", np.ones((2, 3), "f4"))])
    mirror = holding(tmp_path, {"one": {"model.safetensors": data}}, None)
    with pytest.raises(UsageError, match="not known here"):
        mirror.export_safetensors("bert", tmp_path / "folder")
    assert list(mirror.load("bert")) == ["wte.weight"]


def test_the_command_writes_into_the_working_directory(
    tiny: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--mirror", str(tiny.place.root), "export", "safetensors", "bert"]
    done = CliRunner().invoke(cli, words)
    assert (done.exit_code, done.stdout) == (0, "bert/model.safetensors\n")
    assert "from bert@safetensors/model.safetensors, sha256 " in done.stderr
    assert CliRunner().invoke(cli, words).exit_code == 2
    row = json.loads(CliRunner().invoke(cli, [*words, "--force", "--json"]).stdout)
    assert (row["path"], row["left_out"]) == ("bert/model.safetensors", [])
    assert row["sha256"] == hashlib.sha256(Path("bert/model.safetensors").read_bytes()).hexdigest()


@pytest.mark.parametrize("dtype", LAYOUT)
def test_every_dtype_and_shape_comes_back(dtype: str) -> None:
    numbers = np.random.default_rng(1).integers(0, 2, 24).astype(LAYOUT[dtype])
    arrays = {
        "scalar": numbers[:1].reshape(()),
        "empty": numbers[:0].reshape(0, 3),
        "plain": numbers.reshape(2, 3, 4),
        "turned": numbers.reshape(4, 6).T,
        "steps": numbers[::2],
        "backwards": numbers.reshape(4, 6)[::-1],
        "cube": numbers.reshape(2, 3, 4).transpose(2, 0, 1),
        "Größe/λ": numbers,
    }
    data = b"".join(map(bytes, pieces([Tensor(name, dtype, one) for name, one in arrays.items()], {"a": "b"})))
    found = safetensors.read(data)
    assert found.metadata == {"a": "b"}
    assert {one.name for one in found.tensors} == set(arrays)
    for one in found.tensors:
        assert (one.dtype, one.shape) == (dtype, arrays[one.name].shape)
        assert one.array.tobytes() == arrays[one.name].tobytes()


def test_wide_elements_lie_first_so_that_all_are_aligned() -> None:
    tensors = [Tensor(f"{number}", dtype, np.zeros(3, LAYOUT[dtype])) for number, dtype in enumerate(LAYOUT)]
    data = b"".join(map(bytes, pieces(tensors, {})))
    for one in safetensors.read(data).tensors:
        assert (one.array.__array_interface__["data"][0] - _address(data)) % one.array.itemsize == 0


def _address(data: bytes) -> int:
    found = np.frombuffer(data, "u1").__array_interface__["data"][0]
    assert isinstance(found, int)
    return found


@pytest.mark.parametrize("array", [np.ones((3000, 4000), "f4").T, np.ones((2, 3000, 2000), "f4").transpose(0, 2, 1)])
def test_what_has_to_be_turned_takes_little_memory(array: np.ndarray[Any, Any]) -> None:
    tracemalloc.start()
    size = sum(len(memoryview(piece)) for piece in pieces([Tensor("x", "F32", array)], {}))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size > array.nbytes
    assert peak < 10 << 20


def test_every_source_gives_the_same_arrays_under_canonical_names(tiny: Mirror) -> None:
    expected = canonical(safetensors.read(TINY.safetensors())).tensors
    for source in artifacts(TINY):
        found = tiny.load("bert", source=source)
        assert dict(found).keys() == expected.keys()
        for name, array in found.items():
            assert array.tobytes() == expected[name].array.tobytes()
            assert array.shape == expected[name].shape


def test_arrays_cannot_be_written(tiny: Mirror) -> None:
    for source in artifacts(TINY):
        found = tiny.load("bert", source=source)
        for array in found.values():
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 0
            with pytest.raises(ValueError, match="WRITEABLE"):
                array.flags.writeable = True
    with pytest.raises(TypeError):
        found["x"] = np.zeros(1)  # type: ignore[index] # that is the point


def test_arrays_outlive_everything_that_gave_them(tmp_path: Path) -> None:
    mirror = holding(tmp_path, {"google": artifacts(TINY)["google"]})
    (state,) = mirror.files()
    found = mirror.load("bert")
    mirror.store.blob_path(state.sha256 or "").unlink()
    del mirror
    assert (
        roots(digests(canonical(safetensors.read(TINY.safetensors()))))["all"]
        == roots(
            digests(Canonical("bert", {name: CanonicalTensor(name, "F32", one, name) for name, one in found.items()}))
        )["all"]
    )


def test_safetensors_are_taken_before_all_others_and_conversions_last(tiny: Mirror, tmp_path: Path) -> None:
    def taken(*sources: str) -> str:
        mirror = holding(tmp_path / "-".join(sources), {source: artifacts(TINY)[source] for source in sources})
        return mirror.export_safetensors("bert", tmp_path / f"{'-'.join(sources)}.safetensors").source

    assert tiny.export_safetensors("bert", tmp_path / "x.safetensors").source == "bert@safetensors/model.safetensors"
    assert taken("paddle", "flax", "legacy", "torch") == "bert@torch/pytorch_model.bin"
    assert taken("paddle", "flax", "legacy") == "bert@legacy/pytorch_model.bin"
    assert taken("paddle", "flax") == "bert@flax/flax_model.msgpack"


def lacking(held: dict[str, np.ndarray[Any, Any]]) -> None:
    del held["bert.pooler.dense.bias"]


def test_weights_that_are_not_sound_are_refused(tmp_path: Path) -> None:
    mirror = holding(tmp_path, {"one": {"model.safetensors": held_as(TINY, lacking)}})
    with pytest.raises(UnsoundError, match=r"bert@one/model.safetensors: pooler.dense.bias: missing"):
        mirror.load("bert")
    with pytest.raises(UnsoundError):
        mirror.export_safetensors("bert", tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def test_weights_that_are_sound_are_taken_before_better_ones_that_are_not(tmp_path: Path) -> None:
    sources = {"one": {"model.safetensors": held_as(TINY, lacking)}, "two": artifacts(TINY)["paddle"]}
    mirror = holding(tmp_path, sources)
    assert len(mirror.load("bert")) == len(TINY.specs)
    with pytest.raises(UnsoundError):
        mirror.load("bert", source="one")


def test_what_only_may_be_weights_is_passed_over(tmp_path: Path) -> None:
    code = b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00id\x85R."
    optimizer = other_writer.write([Named("exp_avg", np.ones((2, 3), "f4"))])
    files = {"training_args.bin": code, "a.safetensors": optimizer, "z.bin": TINY.torch()}
    assert len(holding(tmp_path, {"one": files}).load("bert")) == len(TINY.specs)


@pytest.mark.parametrize("source", ["safetensors", "google", "torch"])
@pytest.mark.parametrize("recorded", [True, False], ids=["loaded before", "never loaded"])
def test_bytes_that_changed_since_are_refused(tmp_path: Path, source: str, recorded: bool) -> None:
    mirror = holding(tmp_path, {source: artifacts(TINY)[source]})
    if recorded:
        assert all(proof.loaded.sound for proof in mirror.prove())
    for state in mirror.files():
        blob = mirror.store.blob_path(state.sha256 or "")
        data = bytearray(blob.read_bytes())
        data[len(data) // 2] ^= 1
        if len(data) > 10_000:
            blob.chmod(0o644)
            blob.write_bytes(data)
    with pytest.raises(IntegrityError, match="not any more what was recorded") as error:
        mirror.load("bert")
    assert "repair" in error.value.hint


def test_a_checkpoint_that_lies_open_is_read_and_its_data_are_looked_at_too(tmp_path: Path) -> None:
    files = TINY.checkpoint("bert_model.ckpt") | {"bert_config.json": json.dumps(TINY.configuration()).encode()}
    mirror = holding(tmp_path, {"one": files, "two": {"pytorch_model.bin": bytes(5000)}})
    assert len(mirror.load("bert")) == len(TINY.specs)
    with pytest.raises(UnsoundError, match="zeros"):
        mirror.load("bert", source="two")
    (state,) = [state for state in mirror.files() if ".data-" in state.path]
    blob = mirror.store.blob_path(state.sha256 or "")
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.chmod(0o644)
    blob.write_bytes(data)
    with pytest.raises(IntegrityError, match=r"bert@one/bert_model.ckpt.index is not any more"):
        mirror.load("bert", source="one")


def test_an_archive_that_would_harm_is_refused(tmp_path: Path) -> None:
    mirror = holding(tmp_path, {"one": {"weights.zip": artifacts(TINY)["google"]["uncased.zip"][:-30]}})
    with pytest.raises(UnsoundError, match=r"bert@one/weights.zip"):
        mirror.load("bert")


def test_names_that_mean_nothing_held_are_usage_errors(tiny: Mirror, tmp_path: Path) -> None:
    empty = holding(tmp_path, {"one": {"config.json": TINY.config_json()}})
    with pytest.raises(UsageError, match="no weights of bert@one are held"):
        empty.load("bert")
    empty.place.ledger.unlink()
    with pytest.raises(UsageError, match="nothing of bert is held"):
        empty.load("bert")
    with pytest.raises(SelectorError):
        tiny.load("bert", source="elsewhere")
    with pytest.raises(SelectorError):
        tiny.load("gpt")


def test_more_than_one_model_at_a_time_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    models = [catalogs.model(name, catalogs.hub(f"o/{name}")) for name in ("one", "two")]
    (tmp_path / "catalog.json").write_text(catalogs.text(*models), encoding="utf-8")
    with pytest.raises(UsageError, match="is not one model"):
        Mirror.open(tmp_path, environ={}).load("*")
