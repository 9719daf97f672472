"""What an artifact offers, how its weights are judged, and what is said of them."""

from __future__ import annotations

import hashlib
import io
import json
import os
import resource
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mirror.compare.finding import Severity, Soundness
from mirror.errors import ArchiveError, DiskFullError, StoreError
from mirror.load.judging import Loaded, judge
from mirror.load.known import Known
from mirror.load.material import HeldFile, archives, beside, inside
from mirror.load.opening import mapped
from mirror.upstream.containers import safetensors as writer
from mirror.upstream.containers.tensors import Named, arrays
from mirror.upstream.modelfiles import ModelFiles
from mirror.upstream.naming import hugging_face
from mirror.upstream.stock import shipped_catalog
from tests import hostile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MODELS: dict[str, dict[str, Any]] = {entry["id"]: entry for entry in shipped_catalog()["models"]}
RANDOM = np.random.default_rng(1)
TINY = ModelFiles.of(MODELS["bert_uncased_L-2_H-128_A-2"], seed=0, scale=32)
TINYBERT = ModelFiles.of(MODELS["tinybert-4l-312d"], seed=0, scale=32)


class Shelf:
    """Held files of one artifact."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files: list[HeldFile] = []

    def put(self, path: str, data: bytes) -> HeldFile:
        """Hold ``data`` as ``path``."""
        sha256 = hashlib.sha256(data).hexdigest()
        where = self.root / sha256
        where.write_bytes(data)
        self.files.append(HeldFile(path, sha256, where))
        return self.files[-1]

    def judged(self, known: Known | None = None) -> list[Loaded]:
        """Judge everything, archives included."""
        material = [beside(self.files), *[inside(one, self.root) for one in archives(self.files)]]
        return [judge(one, each.texts, known or Known("bert")) for each in material for one in each.weights]


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def tensors(change: Callable[[dict[str, np.ndarray[Any, Any]]], object] | None = None) -> bytes:
    """Return BERT-Tiny's safetensors, after ``change``."""
    held = {
        one.name: one.array.copy()
        for one in arrays(hugging_face("bert", TINY.specs), seed=0, model=TINY.id)
        if one.of is None
    }
    if change is not None:
        change(held)
    return writer.write([Named(name, array) for name, array in held.items()])


def said(loaded: Loaded, severity: Severity = Severity.ERROR) -> list[str]:
    return [str(one) for one in loaded.findings if one.severity is severity]


def test_nothing_is_empty_and_what_is_missing_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert bytes(mapped(tmp_path / "empty")) == b""
    with pytest.raises(StoreError, match="gone: No such file"):
        mapped(tmp_path / "gone")


@pytest.mark.parametrize(
    ("path", "make", "kind"),
    [
        ("model.safetensors", TINY.safetensors, "safetensors"),
        ("pytorch_model.bin", TINY.torch, "torch-zip"),
        ("model_state.pdparams", TINY.paddle, "paddle"),
    ],
)
def test_weights_of_any_format_are_sound_and_known_by_their_content(
    shelf: Shelf, path: str, make: Callable[[], bytes], kind: str
) -> None:
    shelf.put(path, make())
    shelf.put("config.json", TINY.config_json())
    shelf.put("vocab.txt", TINY.vocab())
    (loaded,) = shelf.judged()
    assert (loaded.format, loaded.family, loaded.sound, said(loaded)) == (kind, "bert", True, [])
    assert loaded.weights.blob == shelf.files[0].sha256
    assert {"core", "pooler", "mlm", "nsp", "all"} == set(loaded.roots)


def test_a_checkpoint_in_an_archive_is_judged_with_what_stands_beside_it(shelf: Shelf) -> None:
    archive = shelf.put("uncased_L-2_H-128_A-2.zip", TINY.google_archive())
    shelf.put("config.json", b'{"hidden_size": 1}')  # of another place
    (loaded,) = shelf.judged()
    assert (loaded.format, loaded.sound) == ("tensorflow", True)
    assert (loaded.weights.blob, loaded.weights.member) == (archive.sha256, "bert_model.ckpt")
    assert loaded.weights.name == "uncased_L-2_H-128_A-2.zip!bert_model.ckpt.index"
    assert not [path for path in shelf.root.iterdir() if path.name not in {one.sha256 for one in shelf.files}]


def test_every_format_of_one_model_gives_one_root(shelf: Shelf) -> None:
    for path, data in {
        "a/model.safetensors": TINY.safetensors(),
        "b/pytorch_model.bin": TINY.torch(converted=True),
        "c/model_state.pdparams": TINY.paddle(),
        "d.zip": TINY.google_archive(),
    }.items():
        shelf.put(path, data)
    assert len({loaded.roots["all"] for loaded in shelf.judged()}) == 1


def test_missing_and_misshapen_tensors_are_named(shelf: Shelf) -> None:
    def change(held: dict[str, np.ndarray[Any, Any]]) -> None:
        del held["bert.encoder.layer.1.output.dense.bias"]
        held["bert.pooler.dense.weight"] = held["bert.pooler.dense.weight"][:-1].copy()

    shelf.put("model.safetensors", tensors(change))
    shelf.put("config.json", TINY.config_json())
    (loaded,) = shelf.judged()
    found = said(loaded)
    assert not loaded.sound
    assert "structure: error: encoder.layer.1.output.dense.bias: missing" in found
    assert any(one.startswith("structure: error: pooler.dense.weight: shape") for one in found)


def test_numbers_that_are_none_are_named(shelf: Shelf) -> None:
    def change(held: dict[str, np.ndarray[Any, Any]]) -> None:
        held["bert.pooler.dense.bias"][1] = np.nan

    shelf.put("model.safetensors", tensors(change))
    (loaded,) = shelf.judged()
    assert any("pooler.dense.bias: 1 of" in one for one in said(loaded))


def test_configurations_that_contradict_each_other_are_named(shelf: Shelf) -> None:
    config = json.loads(TINY.config_json())
    shelf.put("model.safetensors", TINY.safetensors())
    shelf.put("config.json", TINY.config_json())
    shelf.put("bert_config.json", json.dumps({**config, "num_attention_heads": 1}).encode())
    (loaded,) = shelf.judged(Known("bert", {**config, "vocab_size": 30522}))
    assert said(loaded) == [
        "configuration: error: num_attention_heads is 2 in config.json and 1 in bert_config.json",
        f"configuration: error: vocab_size is {config['vocab_size']} in config.json and 30522 in the catalog",
    ]


@pytest.mark.parametrize(
    "text", [b"{", b"[]", b"\xff", b"[" * 9_000, b"[" * 100_000, b" " * (5 << 20), b'{"hidden_size": "x"}', b"{}"]
)
def test_a_configuration_that_is_none_is_named(shelf: Shelf, text: bytes) -> None:
    shelf.put("model.safetensors", TINY.safetensors())
    shelf.put("config.json", text)
    (loaded,) = shelf.judged()
    assert [one.partition(":")[0] for one in said(loaded)] == ["configuration"]


def test_a_vocabulary_of_another_length_is_named(shelf: Shelf) -> None:
    shelf.put("model.safetensors", TINY.safetensors())
    shelf.put("vocab.txt", TINY.vocab() + b"more\n")
    shelf.put("tokenizer.json", TINY.tokenizer_json())
    (loaded,) = shelf.judged()
    rows = TINY.shape.vocab_size
    assert said(loaded) == [
        f"tokenizer: error: vocab.txt: {rows + 1} tokens, where the word table says {rows}",
        f"tokenizer: error: vocab.txt has {rows + 1} tokens, tokenizer.json {rows}",
    ]


def test_a_vocabulary_that_is_none_is_named(shelf: Shelf) -> None:
    shelf.put("model.safetensors", TINY.safetensors())
    shelf.put("vocab.txt", b"a\r\nb\r\n")
    (loaded,) = shelf.judged()
    assert said(loaded) == ["tokenizer: error: vocab.txt: byte 1: a carriage return"]


def test_an_uncased_vocabulary_with_capitals_is_told(shelf: Shelf) -> None:
    shelf.put("model.safetensors", TINY.safetensors())
    vocab = TINY.vocab().split(b"\n")
    vocab[-2] = b"Berlin"
    shelf.put("vocab.txt", b"\n".join(vocab))
    (loaded,) = shelf.judged(Known("bert", cased=False))
    assert loaded.sound
    assert any("upper case" in one for one in said(loaded, Severity.NOTE))


def test_the_weights_of_another_family_are_refused(shelf: Shelf) -> None:
    shelf.put("model.safetensors", TINY.safetensors())
    (loaded,) = shelf.judged(Known("albert"))
    assert said(loaded) == ["structure: error: the tensors of bert, where albert should be"]


def test_tinybert_without_its_distillation_layers_passes_for_itself(shelf: Shelf) -> None:
    shelf.put("pytorch_model.bin", TINYBERT.torch())
    shelf.put("config.json", TINYBERT.config_json())
    (loaded,) = shelf.judged(Known("tinybert"))
    assert (loaded.family, loaded.sound) == ("tinybert", True)


def test_a_printed_figure_that_is_wrong_is_told(shelf: Shelf) -> None:
    shelf.put("model.safetensors", TINY.safetensors())
    shelf.put("config.json", TINY.config_json())
    (loaded,) = shelf.judged(Known("bert", printed="12K"))
    (note,) = [one for one in said(loaded, Severity.NOTE) if "printed" in one]
    assert "printed as 12K, which is +" in note
    (right,) = shelf.judged(Known("bert", printed=f"{sum(s.count for s in TINY.specs) / 1000:.1f}K"))
    assert not [one for one in said(right, Severity.NOTE) if "printed" in one]


IMPOSTORS: Mapping[str, tuple[bytes, str]] = {
    "a page": (b"<!DOCTYPE html><html>", "HTML"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "Git LFS pointer"),
    "nothing": (b"", "empty"),
    "zeros": (bytes(5000), "zero"),
    "another zip": (b"PK\x05\x06" + bytes(18), "zip"),
    "code": (b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00id\x85R.", "os.system"),
}


@pytest.mark.parametrize("kind", IMPOSTORS)
def test_impostors_are_named_and_never_run(shelf: Shelf, kind: str) -> None:
    data, word = IMPOSTORS[kind]
    shelf.put("pytorch_model.bin", data)
    (loaded,) = shelf.judged()
    (error,) = said(loaded)
    assert not loaded.sound
    assert error.startswith("container: error: ")
    assert word in error


@pytest.mark.parametrize("path", ["bert.pt", "weights.pth", "model.bin"])
@pytest.mark.parametrize("kind", [*IMPOSTORS, "cut off", "legacy cut off"])
def test_what_cannot_be_read_is_not_sound_whatever_it_is_called(shelf: Shelf, path: str, kind: str) -> None:
    cut = {"cut off": TINY.torch(), "legacy cut off": TINY.torch(legacy=True)}
    shelf.put(path, cut[kind][:-1000] if kind in cut else IMPOSTORS[kind][0])
    (loaded,) = shelf.judged()
    assert loaded.verdict is Soundness.UNSOUND
    (loaded,) = shelf.judged(Known())
    assert (loaded.verdict, loaded.sound) == (Soundness.UNREAD, False)
    assert said(loaded, Severity.WARNING)


def test_bytes_that_may_be_anything_are_not_read_and_no_error(shelf: Shelf) -> None:
    shelf.put("big.bin", hashlib.sha256(b"").digest() * 100)
    (loaded,) = shelf.judged()
    assert loaded.verdict is Soundness.UNREAD
    assert "unknown: begins with" in said(loaded, Severity.NOTE)[0]


@pytest.mark.parametrize("left", ["bert_model.ckpt.index", "bert_model.ckpt.data-00000-of-00001"])
def test_half_a_checkpoint_is_no_checkpoint(shelf: Shelf, left: str) -> None:
    whole = zipfile.ZipFile(io.BytesIO(TINY.google_archive()))
    (name,) = [name for name in whole.namelist() if name.endswith(left)]
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as half:
        half.writestr(left, whole.read(name))
    shelf.put("half.zip", stream.getvalue())
    shelf.put(left, whole.read(name))
    for loaded in shelf.judged():
        assert loaded.verdict is Soundness.UNSOUND
        assert "not beside" in said(loaded)[0]
    assert len(shelf.judged()) == 2


def test_an_index_of_something_else_is_left_alone(shelf: Shelf) -> None:
    shelf.put("faiss.index", b"IxFI" + bytes(100))
    assert shelf.judged() == []


@pytest.mark.parametrize("write", [hostile.torch_zip, hostile.torch_legacy])
def test_one_storage_under_thousands_of_names_is_not_digested_thousands_of_times(
    shelf: Shelf, write: Callable[..., bytes]
) -> None:
    large = hostile.tensor(hostile.storage("0", 100_000), (100_000,), (1,))
    state = hostile.pickle(hostile.table({f"encoder.{number}": large for number in range(19_000)}))
    shelf.put("pytorch_model.bin", write(state, {"0": bytes(400_000)}))
    (loaded,) = shelf.judged()
    assert "the same numbers under many names" in said(loaded)[0]


def test_layers_that_share_their_weights_may_be_named_one_by_one(shelf: Shelf) -> None:
    one = hostile.tensor(hostile.storage("0", 10_000), (10_000,), (1,))
    state = hostile.pickle(hostile.table({f"layer.{number}": one for number in range(24)}))
    shelf.put("pytorch_model.bin", hostile.torch_zip(state, {"0": RANDOM.random(10_000, "f4").tobytes()}))
    (loaded,) = shelf.judged(Known())
    assert (loaded.sound, len(loaded.tensors)) == (True, 24)


def test_an_archive_of_more_files_than_may_be_open_is_unpacked(shelf: Shelf) -> None:
    most = max(map(int, os.listdir("/dev/fd"))) + 20  # noqa: PTH208 -- names are wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for number in range(2 * most):
            archive.writestr(f"f{number}.bin", bytes([number % 251]) * number)
    held = shelf.put("many.zip", stream.getvalue())
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    try:
        found = inside(held, shelf.root)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert [bytes(one.parts[0]) for one in found.weights] == [bytes([n % 251]) * n for n in range(2 * most)]


def test_an_archive_for_which_there_is_no_room_is_a_full_disk(shelf: Shelf) -> None:
    held = shelf.put("a.zip", TINY.google_archive())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(DiskFullError, match="unpacked in"):
            inside(held, shelf.root)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_only_may_be_weights_is_told_and_what_no_model_of_ours_is_warned_of(shelf: Shelf) -> None:
    shelf.put("training_args.bin", IMPOSTORS["code"][0])
    shelf.put("pytorch_model.bin", IMPOSTORS["code"][0])
    by_name = {loaded.weights.name: loaded for loaded in shelf.judged(Known())}
    assert [one.severity for one in by_name["training_args.bin"].findings] == [Severity.NOTE]
    assert [one.severity for one in by_name["pytorch_model.bin"].findings] == [Severity.WARNING]


def test_another_architecture_is_digested_and_said_to_be_unknown(shelf: Shelf) -> None:
    shelf.put("model.safetensors", writer.write([Named("wte.weight", np.ones((2, 3), "f4"))]))
    (loaded,) = shelf.judged(Known())
    assert (loaded.sound, loaded.family, loaded.parameters) == (True, None, 6)
    assert [one.name for one in loaded.tensors] == ["wte.weight"]
    assert any("not known here" in one for one in said(loaded, Severity.NOTE))


def test_an_archive_that_would_harm_is_refused(shelf: Shelf) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("../bert_model.ckpt.index", b"x")
    held = shelf.put("a.zip", stream.getvalue())
    with pytest.raises(ArchiveError, match="would not stay"):
        inside(held, shelf.root)
    with pytest.raises(ArchiveError, match="neither a zip, a 7z nor"):
        inside(shelf.put("b.zip", b"neither"), shelf.root)


def test_an_archive_for_which_there_is_no_place_is_an_error_of_the_store(shelf: Shelf) -> None:
    held = shelf.put("a.zip", TINY.google_archive())
    with tempfile.TemporaryDirectory() as gone:
        missing = Path(gone) / "missing"
    with pytest.raises(StoreError, match="unpacked in"):
        inside(held, missing)
