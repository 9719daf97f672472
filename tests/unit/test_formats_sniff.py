"""What a file is follows from its bytes, and what is no weight file is called by its name."""

from __future__ import annotations

import base64
import gzip
import io
import json
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.errors import FormatError
from mirror.formats.sniff import HEAD, TAIL, impostor, kind_of
from mirror.upstream.containers import paddle_pickle, safetensors, tf_bundle, torch_zip
from mirror.upstream.containers.archives import tar_gz, zipped
from mirror.upstream.containers.tensors import Named

DATA = Path(__file__).parents[1] / "data"
TENSORS = [Named(f"bert.layer.{at}.weight", np.full((3, 5), at, "<f4")) for at in range(9)]
LEGACY = 0x1950A86A20F9469CFC6C
PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body></body></html>\n"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 267954768\n"


def kind(data: bytes) -> str:
    return kind_of(data[:HEAD], data[-TAIL:], len(data))


def flax() -> bytes:
    return base64.b64decode("".join(json.loads((DATA / "flax/plain.json").read_text(encoding="utf-8"))["base64"]))


def tar() -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("vocab.txt"))
    return target.getvalue()


KINDS: dict[str, tuple[bytes, str]] = {
    "PyTorch's zip": (torch_zip.write(TENSORS), "torch-zip"),
    "PyTorch's zip in another folder": (zipped({"bert/data.pkl": b"", "bert/version": b"3\n"}), "torch-zip"),
    "PyTorch's zip, newer": (zipped({"bert/.data/serialization_id": b"1"}), "torch-zip"),
    "Google's zip": (zipped({"bert_config.json": b"{}"}, folder="uncased_L-2_H-128_A-2"), "zip"),
    "a flat zip": (zipped({"data.pkl": b"{}"}), "zip"),
    "an empty zip": (zipped({}), "zip"),
    "PyTorch's old format": (pickle.dumps(LEGACY, 2) + pickle.dumps(1001, 2), "torch-legacy"),
    "PyTorch's old format, protocol 4": (pickle.dumps(LEGACY, 4), "torch-legacy"),
    "Paddle": (paddle_pickle.write(TENSORS), "paddle"),
    "Paddle, protocol 2": (pickle.dumps({"a": 1}, 2), "paddle"),
    "Paddle, protocol 4": (pickle.dumps({"a": 1}, 4), "paddle"),
    "safetensors": (safetensors.write(TENSORS), "safetensors"),
    "Flax": (flax(), "flax"),
    "Flax, one map": (b"\x81\xa1a\x80", "flax"),
    "Flax, 16 to 65535 keys": (b"\xde\x00\x10\xd9\x01a", "flax"),
    "Flax, more": (b"\xdf\x00\x01\x00\x00\xd9\x01a", "flax"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(88), "hdf5"),
    "a TensorFlow index": (tf_bundle.write(TENSORS)[0], "tensorflow"),
    "Google's own index": ((DATA / "bert-mini/bert_model.ckpt.index").read_bytes(), "tensorflow"),
    "a gzipped tar": (tar_gz({"vocab.txt": b"[PAD]"}, "bert"), "gzip"),
    "gzip": (gzip.compress(PAGE), "gzip"),
    "7z": (b"7z\xbc\xaf\x27\x1c\x00\x04", "7z"),
    "xz": (b"\xfd7zXZ\x00\x00\x04", "xz"),
    "bzip2": (b"BZh91AY&SY", "bzip2"),
    "bzip2 of nothing": (b"BZh9\x17rE8P\x90\0\0\0\0", "bzip2"),
    "a tar": (tar(), "tar"),
}


@pytest.mark.parametrize("case", KINDS)
def test_a_kind_is_known_by_content(case: str) -> None:
    data, expected = KINDS[case]
    assert kind(data) == expected


IMPOSTORS: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "an empty file"),
    "a page": (PAGE, "an HTML page"),
    "a page in capitals, after a comment": (b"\xef\xbb\xbf\n<!-- a > b -->\n<HTML>", "an HTML page"),
    "XHTML": (b'<?xml version="1.0"?>\n<!DOCTYPE html><html>', "an HTML page"),
    "a store's error": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "an XML document"),
    "an API's error": (b'{"error":"Repository not found"}', "a JSON error message"),
    "a cloud drive's error": (b'\n{\n  "errno": -9,\n  "request_id": 1\n}', "a JSON error message"),
    "a configuration": (b'{\n  "vocab_size": 30522\n}', "a JSON document"),
    "a list": (b'[{"path": "vocab.txt"}]', "a JSON document"),
    "a pointer": (POINTER, "a Git LFS pointer"),
    "RAR": (b"Rar!\x1a\x07\x01\x00", "a RAR archive"),
    "Zstandard": (b"\x28\xb5\x2f\xfd\x04", "a Zstandard file"),
    "zeros": (bytes(10_000), "zeros, 4096 bytes at least"),
    "one zero": (b"\0", "zeros, 1 bytes at least"),
}


@pytest.mark.parametrize("case", IMPOSTORS)
def test_an_impostor_is_called_by_its_name(case: str) -> None:
    data, said = IMPOSTORS[case]
    found = impostor(data[:HEAD], len(data))
    assert found is not None
    assert found.startswith(said)
    with pytest.raises(FormatError) as caught:
        kind(data)
    assert str(caught.value) == found


UNKNOWN: dict[str, bytes] = {
    "words": (DATA / "vocab.txt").read_bytes(),
    "numbers": np.arange(1, 99, dtype="<f4").tobytes(),
    "a pickle of protocol 0": pickle.dumps({"a": 1}, 0),
    "a pickle of protocol 6": b"\x80\x06}.",
    "a header of 2^63": (1 << 63).to_bytes(8, "little") + b'{"a":1}',
    "a map without text": b"\x81\x01\x02",
    "an empty map": b"\x80",
    "one byte": b"P",
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_what_is_not_known_is_said_with_its_bytes(case: str) -> None:
    data = UNKNOWN[case]
    assert impostor(data[:HEAD], len(data)) is None
    with pytest.raises(FormatError) as caught:
        kind(data)
    assert str(caught.value).startswith(f"unknown: begins with {data[:8].hex(' ')}, which")


def test_a_page_of_comments_comes_to_an_end() -> None:
    # Cut up in every way, it would take longer than anybody waits.
    assert impostor(b"<!---->" * 585 + b"x", HEAD) is None


@given(st.binary(max_size=300))
def test_any_bytes_are_known_or_refused(data: bytes) -> None:
    try:
        assert kind(data)
    except FormatError as error:
        assert str(error)
