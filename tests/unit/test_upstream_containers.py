"""The containers' bytes against readers and writers that are not ours."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import pickle
import struct
import tarfile
import zipfile
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Any

import google_crc32c
import numpy as np
import pytest

from mirror.upstream import naming
from mirror.upstream.containers import flax_msgpack, paddle_pickle, safetensors, tf_bundle, torch_legacy, torch_zip
from mirror.upstream.containers.archives import tar_gz, zipped
from mirror.upstream.containers.pickling import Pickle
from mirror.upstream.containers.tensors import Named, arrays
from mirror.upstream.modelfiles import ModelFiles
from mirror.upstream.stock import shipped_catalog
from mirror.upstream.vocabulary import sentencepiece_model, sentencepieces, text, wordpiece

if TYPE_CHECKING:
    from numpy.typing import NDArray

MODELS: dict[str, dict[str, Any]] = {entry["id"]: entry for entry in shipped_catalog()["models"]}
FAMILIES = ("bert_uncased_L-2_H-128_A-2", "tinybert-4l-312d", "distilbert-base-uncased", "albert-base-v1")

#: CRC-32C of BERT-Mini's tensors, in the order of their names, as its index holds them.
#: Source: google-research/bert, uncased_L-4_H-256_A-4/bert_model.ckpt.index, Apache-2.0.
MINI_CRCS = """
    f7de6374 690cf732 9edccc2d 61900013 0b2213ec 4eae89f3 220fab9e a4f74c2f 06eb44b5 2329ffbf 97ff19b4 4360eb76
    66dbad7d 205edafe 702120a1 d99a0d9a 482db1ef cea70846 0ebcdb67 25195524 8af11af2 a680d422 efb107fa 0eb704c0
    e8e66d7a 19acaeed d26fa944 38083136 57862021 8622fbe3 4d4509b6 5f254543 0bff95b6 812eae03 a7601208 507ece7c
    cf1c5513 6086f504 239d1d22 1d758615 40e36986 8a2e32ae c498d6a5 493e6b54 00d498d1 5a1ad3cd e23f9d92 dc9abee7
    33069c9d 476cdd19 9282cd5e fb8ca4eb ae033ab2 7f0ccd0d 8e8555aa ef634edd 7eecd340 0af92c11 2a2bd9f7 56f6f0bf
    8b602f4b 46c24bdf 589b11a4 76a4c235 f7db2a96 ce788770 971fb18d 64fcdd9a d3ab5777 b4241c55 d18df5fa 26a4c590
    f5a50531 cb57accd a2757f48 dbf35bbe ac0804a4 94374350
"""


def files(model: str) -> ModelFiles:
    return ModelFiles.of(MODELS[model], seed=0, scale=32)


def stored(model: str) -> list[Named]:
    made = files(model)
    return arrays(naming.paddle(made.architecture, made.specs), seed=0, model=made.id)


def pickled_by_python(tensors: list[Named], protocol: int) -> bytes:
    # A copy in C order: numpy would note Fortran order, which Paddle's own arrays never have.
    state: dict[str, Any] = {one.name: np.array(one.array, order="C") for one in tensors}
    state[paddle_pickle.NAME_TABLE] = {one.name: f"parameter_{at}" for at, one in enumerate(tensors)}
    return pickle.dumps(state, protocol=protocol)


def numpys_core() -> str:
    rebuild: Any = np.array(0).__reduce__()[0]
    core: str = rebuild.__module__.removesuffix(".multiarray")
    return core


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("model", FAMILIES)
def test_a_pdparams_is_byte_for_byte_what_pickle_writes(model: str, protocol: int) -> None:
    tensors = [*stored(model), Named("positions", np.arange(9, dtype=np.int64)[None])]
    written = paddle_pickle.write(tensors, protocol=protocol, numpy_core=numpys_core())
    assert written == pickled_by_python(tensors, protocol)


@pytest.mark.parametrize("protocol", [2, 4])
def test_frames_end_where_pickles_do(protocol: int) -> None:
    # Around the sizes at which bytes change their opcode, leave their frame, and a frame ends.
    sizes = [1, 63, 64, 16383, 16384, 16385, *range(16300, 16384, 7), 1, 16384, 2, 3]
    tensors = [Named(f"{'n' * (at % 3 * 150)}{at}", np.full(size, 7, "<f4")) for at, size in enumerate(sizes)]
    written = paddle_pickle.write(tensors, protocol=protocol, numpy_core=numpys_core())
    assert written == pickled_by_python(tensors, protocol)


def test_many_small_objects_are_framed_as_pickle_does() -> None:
    numbers = {f"name-{at:050}": at for at in range(2345)}
    one = Pickle(4)
    one.mapping((name, partial(one.number, value)) for name, value in numbers.items())
    assert one.finish() == pickle.dumps(numbers, protocol=4)


def test_the_shortest_pickles_have_no_frame() -> None:
    for value in ([], ["a"], ["a", "b"]):
        for protocol in (2, 4):
            one = Pickle(protocol)
            one.texts(value)
            assert one.finish() == pickle.dumps(value, protocol=protocol)
    one = Pickle(4)
    one.number(7)
    assert one.finish() == pickle.dumps(7, protocol=4)


def test_a_pickled_number_has_its_shortest_form() -> None:
    for value in (0, 255, 256, 65535, 65536, -1, 2**31 - 1, -(2**31), 2**31, 2**40, -(2**40)):
        one = Pickle()
        one.number(value)
        assert one.finish() == pickle.dumps(value, protocol=2)


def test_more_items_than_a_batch_and_more_memos_than_a_byte_are_written_as_pickle_does() -> None:
    numbers = {f"name-{at}": at for at in range(2345)}
    one = Pickle()
    one.mapping((name, partial(one.number, value)) for name, value in numbers.items())
    assert one.finish() == pickle.dumps(numbers, protocol=2)


@pytest.mark.parametrize("converted", [False, True])
def test_a_torch_zip_is_stored_aligned_and_complete(converted: bool) -> None:
    data = files("bert_uncased_L-2_H-128_A-2").torch(converted=converted)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert names[:2] == ["archive/data.pkl", "archive/byteorder"]
        assert {name for name in names if "/data/" in name} == {f"archive/data/{at}" for at in range(46)}
        for info in archive.infolist():
            name, extra = struct.unpack("<HH", data[info.header_offset + 26 : info.header_offset + 30])
            assert (info.header_offset + 30 + name + extra) % 64 == 0
            assert info.compress_type == zipfile.ZIP_STORED
        assert archive.read("archive/version") == b"3\n"
        assert archive.read("archive/data.pkl").startswith(b"\x80\x02ccollections\nOrderedDict\n")


def test_tied_weights_of_a_torch_zip_share_a_storage() -> None:
    numbers = np.arange(6, dtype=np.float32).reshape(2, 3)
    data = torch_zip.write([Named("a", numbers), Named("b", numbers, "a")])
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert [name for name in archive.namelist() if "/data/" in name] == ["archive/data/0"]


def test_a_transposed_weight_is_stored_as_it_lies() -> None:
    numbers = np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3))
    data = torch_zip.write([Named("a", numbers)])
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.read("archive/data/0") == np.array([0, 3, 1, 4, 2, 5], dtype="<f4").tobytes()


class Referring(pickle.Unpickler):
    """Python's own reader, in whose dicts a storage is its persistent id."""

    def persistent_load(self, pid: Any) -> Any:
        return pid

    def find_class(self, module: str, name: str) -> Any:
        known: dict[str, Any] = {"OrderedDict": OrderedDict, "_rebuild_tensor_v2": lambda *fields: fields}
        return known.get(name, f"{module}.{name}")


def old_parts(data: bytes) -> tuple[list[Any], dict[str, NDArray[np.float32]]]:
    """Return the five pickles of an old PyTorch file, and its storages by key."""
    stream = io.BytesIO(data)
    pickles = [Referring(stream).load() for _ in range(5)]
    held = {}
    for key in pickles[4]:
        (count,) = struct.unpack("<q", stream.read(8))
        held[key] = np.frombuffer(stream.read(4 * count), "<f4")
    assert stream.read() == b""
    return pickles, held


@pytest.mark.parametrize("converted", [False, True])
def test_pytorchs_old_container_is_five_pickles_and_then_the_storages(converted: bool) -> None:
    made = files("bert_uncased_L-2_H-128_A-2")
    (magic, protocol, system, state, keys), held = old_parts(made.torch(legacy=True, converted=converted))
    assert (magic, protocol) == (0x1950A86A20F9469CFC6C, 1001)
    assert system == {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    named = arrays(naming.hugging_face(made.architecture, made.specs), seed=0, model=made.id)
    assert list(state) == [one.name for one in named]
    assert keys == sorted(held)
    assert len(set(keys)) == sum(one.of is None for one in named)
    turned = 0
    for one in named:
        (_, kind, key, location, count, view), offset, shape, strides, *_ = state[one.name]
        assert (kind, location, count, view, offset) == ("torch.FloatStorage", "cpu", one.array.size, None, 0)
        bytes_apart = tuple(4 * stride for stride in strides)
        assert np.array_equal(np.lib.stride_tricks.as_strided(held[key], shape, bytes_apart), one.array)
        turned += bytes_apart != one.array.strides
        if one.of is not None:
            assert key == state[one.of][0][2]
    assert (turned > 0) == converted


def test_made_up_addresses_are_always_the_same_and_in_no_order() -> None:
    tensors = [Named(str(at), np.full(1, at, "<f4")) for at in range(300)]
    data = torch_legacy.write(tensors)
    assert data == torch_legacy.write(tensors)
    (*_, keys), held = old_parts(data)
    assert len(set(keys)) == 300
    assert {len(key) for key in keys} == {14}
    order = [int(held[key][0]) for key in keys]
    assert order != sorted(order)


def test_a_flax_file_is_maps_in_maps_and_extensions() -> None:
    numbers = np.array([[1, 2]], dtype=np.float32)
    data = flax_msgpack.write([Named("a/b", numbers), Named("c", numbers.T), Named("a/d", numbers[0])])

    def array(*shape: int) -> bytes:
        inside = bytes([0x93, 0x90 + len(shape), *shape, 0xA7]) + b"float32" + b"\xc4\x08" + numbers.tobytes()
        return bytes([0xC7, len(inside), 1]) + inside

    # Maps keep the order in which their first tensors came.
    inner = b"\x82" + b"\xa1b" + array(1, 2) + b"\xa1d" + array(2)
    assert data == b"\x82" + b"\xa1a" + inner + b"\xa1c" + array(2, 1)


@pytest.mark.parametrize("model", FAMILIES)
def test_a_safetensors_header_covers_its_data_exactly(model: str) -> None:
    data = files(model).safetensors()
    length = int.from_bytes(data[:8], "little")
    head = json.loads(data[8 : 8 + length])
    spans = sorted(entry["data_offsets"] for name, entry in head.items() if name != "__metadata__")
    assert length % 8 == 0
    assert [span[0] for span in spans] == [0, *(span[1] for span in spans[:-1])]
    assert spans[-1][1] == len(data) - 8 - length
    assert head["__metadata__"]["format"] == "pt"


def test_dropped_aliases_are_named_in_the_metadata() -> None:
    numbers = np.zeros((1,), dtype=np.float32)
    data = safetensors.write([Named("a", numbers), Named("b", numbers, "a")])
    assert json.loads(data[8:].partition(b"\0")[0])["__metadata__"] == {"b": "a", "format": "pt"}


def blocks(index: bytes) -> list[tuple[int, bytes]]:
    """Return every block of a table with its stored CRC; a reader made for this test alone."""
    position, footer = 0, index[-48:]

    def varint() -> int:
        nonlocal position
        value = shift = 0
        while True:
            byte = footer[position]
            position += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    handles = [(varint(), varint()) for _ in range(2)]
    first = (0, handles[0][0] - 5)
    return [
        (int.from_bytes(index[at + size + 1 : at + size + 5], "little"), index[at : at + size + 1])
        for at, size in (first, *handles)
    ]


def test_a_tensorflow_index_has_its_magic_and_right_crcs() -> None:
    index = files("bert_uncased_L-2_H-128_A-2").checkpoint("x")["x.index"]
    assert index[-8:] == bytes.fromhex("57fb808b247547db")
    for stored_crc, block in blocks(index):
        assert stored_crc == tf_bundle.mask(google_crc32c.value(block))


def test_googles_own_index_of_bert_mini_comes_out_byte_for_byte() -> None:
    # Names, shapes, order and offsets are ours, only the numbers' CRCs are Google's.
    made = ModelFiles.of(MODELS["bert_uncased_L-4_H-256_A-4"], seed=0, scale=1)
    variables = sorted(naming.tensorflow(made.architecture, made.specs), key=lambda one: one.name)
    entries, offset = [], 0
    for variable, crc in zip(variables, MINI_CRCS.split(), strict=True):
        shape = variable.spec.shape[::-1] if variable.transposed else variable.spec.shape
        entries.append(tf_bundle.Entry(variable.name, shape, offset, 4 * variable.spec.count, int(crc, 16)))
        offset += 4 * variable.spec.count
    google = next(source for source in made.entry["sources"] if source["id"] == "google")
    pins = {member["path"]: member for member in google["files"][0]["members"]}
    index = tf_bundle.index(entries)
    assert hashlib.sha256(index).hexdigest() == pins["bert_model.ckpt.index"]["sha256"]
    assert offset == pins["bert_model.ckpt.data-00000-of-00001"]["size"]


def test_a_mask_is_the_published_rotation() -> None:
    # LevelDB's own test vector: masking is not the identity and differs when repeated.
    crc = google_crc32c.value(b"foo")
    assert tf_bundle.mask(crc) == (((crc >> 15) | (crc << 17)) + 0xA282EAD8) % 2**32


def test_an_index_of_many_blocks_keeps_its_order() -> None:
    entries = [tf_bundle.Entry(f"layer/{at:05}/{'x' * 60}", (2, 3), at * 24, 24, at) for at in range(9000)]
    index = tf_bundle.index(entries)
    assert len(index) > 262144
    assert index == tf_bundle.index(entries)
    # The index block has one separator for each data block, each not less than the block's last key.
    _, separators = blocks(index)[-1]
    assert separators.count(b"layer/") >= 1


def test_googles_archive_has_the_members_that_the_real_one_has() -> None:
    made = files("bert_uncased_L-4_H-256_A-4")
    with zipfile.ZipFile(io.BytesIO(made.google_archive())) as archive:
        assert archive.testzip() is None
        assert set(archive.namelist()) == {
            "bert_config.json",
            "bert_model.ckpt.data-00000-of-00001",
            "bert_model.ckpt.index",
            "vocab.txt",
        }
        size = archive.getinfo("bert_model.ckpt.data-00000-of-00001").file_size
        assert size == 4 * sum(spec.count for spec in made.specs)


def test_alberts_archive_is_one_folder() -> None:
    with tarfile.open(fileobj=io.BytesIO(files("albert-base-v1").albert_archive("albert_base"))) as archive:
        names = archive.getnames()
    assert names[0] == "albert_base"
    assert {name.partition("/")[2] for name in names[1:]} >= {
        "albert_config.json",
        "model.ckpt-best.index",
        "30k-clean.model",
    }


def test_archives_do_not_depend_on_the_clock() -> None:
    members = {"a": b"1" * 1000, "b/c": b"2"}
    assert zipped(members, folder="top") == zipped(members, folder="top")
    packed = tar_gz(members, "top")
    assert packed == tar_gz(members, "top")
    assert gzip.decompress(packed)[:3] == b"top"


@pytest.mark.parametrize("language", ["en", "zh", "multilingual", None])
@pytest.mark.parametrize("size", [160, 953, 30522])
def test_a_vocabulary_has_its_size_no_duplicates_and_its_specials(language: str | None, size: int) -> None:
    tokens = wordpiece(size, language=language, cased=language == "multilingual")
    assert len(tokens) == len(set(tokens)) == size
    assert [tokens[at] for at in (0, 100, 101, 102, 103)] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert all(token and token == token.strip() for token in tokens)
    assert text(tokens).count(b"\n") == size


def test_an_uncased_vocabulary_is_lower_case() -> None:
    tokens = wordpiece(2000, language="en", cased=False)
    assert all(token == token.lower() for token in tokens if not token.startswith("["))


@pytest.mark.parametrize("size", [160, 937, 30000])
def test_a_sentencepiece_model_has_as_many_pieces_as_rows(size: int) -> None:
    pieces = sentencepieces(size)
    assert len(pieces) == len(set(pieces)) == size
    assert sentencepiece_model(pieces).startswith(b"\x0a")
