"""The demo's world, read by the product's own readers: one model is one model in every format and at every place.

But for the two files that are planted: one that went through float16, and one that holds another model.
"""

from __future__ import annotations

import io
import tarfile
import zipfile
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np
import pytest

from mirror.compare.digest import digests, roots
from mirror.compare.names import Canonical, canonical
from mirror.formats import tf_checkpoint
from mirror.formats.sniff import HEAD, TAIL, kind_of
from mirror.upstream.host import ROLE_OF
from mirror.upstream.stock import share_id, shipped_catalog
from mirror.upstream.world import World, build_world

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mirror.formats.checkpoint import Checkpoint

CATALOG = shipped_catalog()
MODELS: dict[str, dict[str, Any]] = {entry["id"]: entry for entry in CATALOG["models"]}
MINIATURES = [name for name, entry in MODELS.items() if entry["family"] == "bert-miniature"]
OTHERS = [name for name, entry in MODELS.items() if entry["family"] != "bert-miniature"]
TINY = "bert_uncased_L-2_H-128_A-2"

LOSSY = ("bert_uncased_L-4_H-512_A-8", "paddle")
MISTAKEN, MISTAKEN_FOR = ("albert-large-v2", "paddle"), "albert-large-v1"
PLANTED = (LOSSY, MISTAKEN)


class Weights(NamedTuple):
    """One weight file of the world.

    Attributes:
        source: Id of the source that offers it.
        path: What the source calls it; of an archive, the archive.
        data: The file's bytes; of an archive, the index.
        found: What the product's reader makes of it.
        whole: The same, under canonical names.
    """

    source: str
    path: str
    data: bytes
    found: Checkpoint
    whole: Canonical

    @property
    def roots(self) -> dict[str, str]:
        return dict(roots(digests(self.whole)))

    @property
    def strided(self) -> bool:
        return any(not one.array.flags.c_contiguous for one in self.found.tensors)


@cache
def world() -> World:
    return build_world(catalog=CATALOG)


def offered(source: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the files that a source has, as somebody has them who downloaded everything."""
    if source["kind"] == "hub":
        repository = world().hub.repositories[source["repo"]]
        held = repository.revisions[repository.refs["main"]]
        return {path: bytes(file.content.data) for path, file in held.items()}
    if source["kind"] == "baidu-pan":
        return {path: bytes(one.data) for path, one in world().handoffs[share_id(source["url"])].items()}
    found = {}
    for file in source["files"]:
        parts = urlsplit(file["urls"][0])
        store = world().stores[ROLE_OF[parts.hostname or ""]]
        found[file["path"]] = bytes(store.objects[store.prefix + parts.path].content.data)
    return found


def members(path: str, data: bytes) -> dict[str, bytes]:
    if path.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        opened = {info.name: archive.extractfile(info) for info in archive if info.isfile()}
        return {name: file.read() for name, file in opened.items() if file is not None}


def read(path: str, data: bytes) -> tuple[bytes, Checkpoint]:
    if not path.endswith((".zip", ".tar.gz")):
        reader = import_module("mirror.formats." + kind_of(data[:HEAD], data[-TAIL:], len(data)).replace("-", "_"))
        found: Checkpoint = reader.read(data)
        return data, found
    inside = members(path, data)
    (index,) = (name for name in inside if name.endswith(".index"))
    found = tf_checkpoint.read(inside[index], [inside[index.replace(".index", ".data-00000-of-00001")]])
    tf_checkpoint.check_crcs(found)
    return inside[index], found


@cache
def weights_of(model: str) -> tuple[Weights, ...]:
    return tuple(_weights_of(model))


def _weights_of(model: str) -> Iterator[Weights]:
    for source in MODELS[model]["sources"]:
        for path, data in offered(source).items():
            if path.endswith((".bin", ".safetensors", ".msgpack", ".pdparams", ".zip", ".tar.gz")):
                body, found = read(path, data)
                yield Weights(source["id"], path, body, found, canonical(found))


def sound(model: str) -> list[Weights]:
    return [one for one in weights_of(model) if (model, one.source) not in PLANTED]


def few(models: Sequence[str], every: int) -> list[Any]:
    """Return the models as parameters; the default run takes one of ``every``."""
    marks = [[] if number % every == 0 else [pytest.mark.slow] for number in range(len(models))]
    return [pytest.param(model, marks=some) for model, some in zip(models, marks, strict=True)]


def one_of(model: str, source: str) -> Weights:
    (found,) = (one for one in weights_of(model) if one.source == source)
    return found


@pytest.mark.parametrize("model", few(MINIATURES, 6))
def test_a_miniature_is_the_same_at_every_place_and_in_every_format(model: str) -> None:
    files = sound(model)
    assert {one.source for one in files} >= {"huggingface", "google", "baidu-pytorch", "baidu-tensorflow"}
    assert {one.found.format for one in files} >= {"torch-zip", "torch-legacy", "safetensors", "tensorflow"}
    assert len({(one.roots["core"], one.roots["pooler"]) for one in files}) == 1
    # Paddle's converter leaves the heads random; nobody else's does.
    assert len({one.roots["all"] for one in files if one.found.format != "paddle"}) == 1
    (whole,) = {one.roots["mlm"] for one in files if one.found.format != "paddle"}
    assert all(one.roots["mlm"] != whole for one in files if one.found.format == "paddle")


def test_bert_tiny_shows_every_format() -> None:
    assert {one.found.format for one in weights_of(TINY)} == {
        "torch-zip",
        "torch-legacy",
        "safetensors",
        "tensorflow",
        "flax",
        "paddle",
    }
    hub = {one.path: one.found.format for one in weights_of(TINY) if one.source == "huggingface"}
    assert hub == {
        "pytorch_model.bin": "torch-zip",
        "model.safetensors": "safetensors",
        "flax_model.msgpack": "flax",
    }


@pytest.mark.parametrize("model", few(OTHERS, 6))
def test_another_model_is_the_same_at_every_place_and_in_every_format(model: str) -> None:
    files = sound(model)
    assert len({one.roots["core"] for one in files}) == 1
    for group in ("pooler", "mlm", "nsp"):
        assert len({one.roots[group] for one in files if group in one.roots}) <= 1
    # TinyBERT's distillation layers are Paddle's alone; the others are whole everywhere.
    if MODELS[model]["family"] != "tinybert":
        assert len({one.roots["all"] for one in files}) == 1


@pytest.mark.slow
def test_models_of_other_families_have_more_than_one_place_to_compare() -> None:
    compared = {model for model in OTHERS if len({one.source for one in sound(model)}) > 1}
    assert {MODELS[model]["family"] for model in compared} == {"tinybert", "distilbert", "albert"}
    assert len(compared) >= 18


@pytest.mark.parametrize("model", few(list(MODELS), 6))
def test_every_name_is_known_and_every_tied_weight_is_tied(model: str) -> None:
    for one in weights_of(model):
        assert (one.whole.unknown, one.whole.untied, one.found.skipped) == ((), (), ())


def test_one_conversion_went_through_half_precision() -> None:
    model, source = LOSSY
    lossy, true = one_of(model, source), one_of(model, "google")
    assert lossy.roots["core"] != true.roots["core"]
    for name, one in true.whole.tensors.items():
        if not name.startswith("cls."):
            rounded = one.array.astype(np.float16).astype(np.float32)
            found = lossy.whole.tensors[name].array
            assert np.array_equal(found, rounded)
            assert found.dtype == np.float32
            assert not np.array_equal(rounded, one.array)


def test_one_file_holds_another_model_under_the_right_name() -> None:
    model, source = MISTAKEN
    mistaken, true, other = one_of(model, source), one_of(model, "google"), one_of(MISTAKEN_FOR, source)
    assert {name: one.shape for name, one in mistaken.whole.tensors.items()} == {
        name: one.shape for name, one in true.whole.tensors.items()
    }
    assert mistaken.roots != true.roots
    assert mistaken.roots == other.roots == one_of(MISTAKEN_FOR, "google").roots
    # Not the same file, so no digest of a file gives it away.
    assert mistaken.data != other.data


@pytest.mark.slow
def test_no_two_models_share_their_numbers_but_by_that_mistake() -> None:
    models: dict[str, set[str]] = {}
    for model in MODELS:
        for one in weights_of(model):
            models.setdefault(one.roots["core"], set()).add(model)
    assert [held for held in models.values() if len(held) > 1] == [{MISTAKEN[0], MISTAKEN_FOR}]


def test_both_containers_of_pytorch_occur_with_and_without_strides() -> None:
    wanted = {(kind, strided) for kind in ("torch-zip", "torch-legacy") for strided in (False, True)}
    for model in (OTHERS[0], *MODELS):
        wanted -= {(one.found.format, one.strided) for one in weights_of(model)}
        if not wanted:
            return
    assert not wanted


def test_google_and_the_share_have_different_containers_of_each_miniature() -> None:
    hub = {}
    for model in MINIATURES:
        bins = {one.source: one for one in weights_of(model) if one.path == "pytorch_model.bin"}
        google, share = bins["huggingface"], bins["baidu-pytorch"]
        assert google.strided
        assert share.strided
        assert {google.found.format, share.found.format} == {"torch-zip", "torch-legacy"}
        hub[MODELS[model]["shape"]["layers"]] = google.found.format
    assert hub == {layers: "torch-legacy" if layers % 4 == 0 else "torch-zip" for layers in (2, 4, 6, 8, 10, 12)}


def test_pickles_of_paddle_are_of_two_protocols() -> None:
    protocols = {
        (model, one.source): one.data[1]
        for model in MODELS
        for one in weights_of(model)
        if one.found.format == "paddle"
    }
    newer = {key for key, protocol in protocols.items() if protocol == 4}
    assert set(protocols.values()) == {2, 4}
    assert newer == {
        key for key in protocols if key[0].endswith("-v2") or (key[0].startswith("renmada/") and key[1] == "paddle")
    }
    # One model, from two places, in both: other files, the same tensors.
    multilingual = "renmada/distilbert-base-multilingual-cased"
    assert protocols[multilingual, "paddle-official"] == 2
    assert one_of(multilingual, "paddle").roots == one_of(multilingual, "paddle-official").roots


def test_flax_files_are_in_stock_for_every_family_that_flax_has() -> None:
    with_flax = {model for model in MODELS if any(one.found.format == "flax" for one in weights_of(model))}
    assert {MODELS[model]["family"] for model in with_flax} == {"bert-miniature", "distilbert", "albert"}
    assert len(with_flax) < len(MODELS) / 2
