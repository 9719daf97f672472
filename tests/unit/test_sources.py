"""Sources without a socket: folders, peers, shares, formats, proxies, the hub's address."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from mirror.errors import (
    AccessError,
    CatalogError,
    ChangedError,
    ConnectionDroppedError,
    MirrorError,
    NotFoundError,
    OversizeError,
    SourceError,
    UsageError,
    WaitingError,
)
from mirror.ledger import FileState, Holding
from mirror.model import Authority, Claim, Digest, Listing, Refused, RemoteFile
from mirror.sources.access import HubAccess
from mirror.sources.baidu_pan import hand_off
from mirror.sources.folder import list_folder
from mirror.sources.listing import list_artifact
from mirror.sources.narrow import keeps, known_formats, narrow, weight_format
from mirror.sources.opener import Openers
from mirror.sources.peer import index_lines, list_peer, peer_base, peer_url, read_index, with_peers
from mirror.sources.proxies import proxies
from mirror.wire import BodySpan, Validator
from tests.artifacts import Artifact, File

if TYPE_CHECKING:
    from pathlib import Path

PIN = Claim(Digest("sha256", "a" * 64), Authority.CATALOG, "catalog.json")


def promised(**facts: Any) -> Artifact:
    return Artifact(**{"name": "m@s", "kind": "http", "repo": None, **facts})


def no_client() -> httpx2.Client:
    raise AssertionError("a folder needs no network")


def listed(artifact: Artifact, *formats: str) -> Listing:
    with httpx2.Client(transport=httpx2.MockTransport(lambda _: httpx2.Response(500))) as client:
        return list_artifact(artifact, Openers(lambda: client), formats=formats)


# --- local files


def read(
    url: str, start: int = 0, stop: int | None = None, validator: Validator | None = None, size: int | None = None
) -> tuple[BodySpan, bytes, Validator]:
    got, buffer = bytearray(), memoryview(bytearray(3))
    with Openers(no_client).open(url, start=start, stop=stop, validator=validator, size=size) as reply:
        while count := reply.readinto(buffer):
            got += buffer[:count]
        return reply.span, bytes(got), reply.validator


def test_a_file_address_gives_whole_files_and_ranges(tmp_path: Path) -> None:
    path = tmp_path / "a b.bin"
    path.write_bytes(b"0123456789")
    url = path.as_uri()
    assert read(url)[:2] == (BodySpan(0, 10, 10), b"0123456789")
    assert read(url, start=4, stop=7, size=10)[:2] == (BodySpan(4, 7, 10), b"456")
    assert read(url, start=10)[:2] == (BodySpan(10, 10, 10), b"")


def test_a_file_that_changed_starts_over(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old bytes")
    validator = read(path.as_uri())[2]
    assert validator.strong
    assert read(path.as_uri(), start=4, validator=validator)[1] == b"bytes"
    path.write_bytes(b"new bytes!")
    assert read(path.as_uri(), start=4, validator=validator)[:2] == (BodySpan(0, 10, 10), b"new bytes!")


def test_a_file_of_another_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"0123456789")
    with pytest.raises(OversizeError):
        read(path.as_uri(), size=9)
    with pytest.raises(ChangedError):
        read(path.as_uri(), size=11)
    with pytest.raises(ChangedError):
        read(path.as_uri(), start=11)


def test_a_file_that_is_cut_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"0123456789")
    with Openers(no_client).open(path.as_uri()) as reply:
        reply.readinto(memoryview(bytearray(4)))
        os.truncate(path, 5)
        reply.readinto(memoryview(bytearray(4)))
        with pytest.raises(ConnectionDroppedError):
            reply.readinto(memoryview(bytearray(4)))


def test_an_aborted_file_gives_nothing_more(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"0123456789")
    with Openers(no_client).open(path.as_uri()) as reply:
        reply.abort()
        with pytest.raises(ConnectionDroppedError):
            reply.readinto(memoryview(bytearray(4)))


def test_what_is_no_plain_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, error in (("pipe", SourceError), ("gone", NotFoundError), (".", SourceError)):
        with pytest.raises(error):
            read(f"file://{tmp_path}/{name}")
    (tmp_path / "f").write_bytes(b"")
    with pytest.raises(AccessError):
        read(f"file://{tmp_path}/f/below")
    for url in ("file://other.example/etc/passwd", "file:relative", "file:///a%00b"):
        with pytest.raises(SourceError):
            read(url)


# --- folders


def test_a_folder_lists_its_files_with_the_promised_digests(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b.txt").write_bytes(b"bb")
    (tmp_path / "a.txt").write_bytes(b"a")
    (tmp_path / "same.txt").symlink_to("a.txt")
    artifact = promised(kind="folder", url=str(tmp_path), files=(File("a.txt", pins=(PIN,)),))
    files = listed(artifact).files
    assert [(file.path, file.size) for file in files] == [("a.txt", 1), ("deep/b.txt", 2), ("same.txt", 1)]
    assert [file.claims for file in files] == [(PIN,), (), ()]
    assert read(files[1].urls[0])[1] == b"bb"
    assert listed(artifact._replace(url=tmp_path.as_uri())).files == files


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"secret")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to("../outside")
    (folder / "circle").symlink_to("circle")
    (folder / "plain").write_bytes(b"x")
    found = list_folder("m@s", folder)
    assert [file.path for file in found.files] == ["plain"]
    assert [one.path for one in found.refused] == ["circle", "link"]
    assert "leaves the folder" in found.refused[1].why


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        list_folder("m@s", tmp_path / "gone")


def test_a_name_that_cannot_be_held_is_said(tmp_path: Path) -> None:
    for name in ("a:b", "c\\d", "e"):
        (tmp_path / name).write_bytes(b"")
    found = list_folder("m@s", tmp_path)
    assert [file.path for file in found.files] == ["a:b", "e"]
    assert found.refused == (Refused("c\\d", "its path holds a backslash"),)


# --- catalog lists and shares


def test_a_catalog_list_becomes_files() -> None:
    artifact = promised(
        files=(File("b.zip", ("https://h/b.zip", "https://g/b.zip"), 5, (PIN,)), File("a", ("https://h/a",)))
    )
    found = listed(artifact)
    assert found == Listing(
        "m@s",
        None,
        (RemoteFile("m@s", "a", ("https://h/a",)), RemoteFile("m@s", "b.zip", artifact.files[0].urls, 5, (PIN,))),
    )


@pytest.mark.parametrize(
    ("artifact", "error"),
    [
        (promised(), CatalogError),
        (promised(files=(File("x"),)), CatalogError),
        (promised(kind="folder"), CatalogError),
        (promised(kind="carrier-pigeon", url="x"), CatalogError),
        (promised(kind="baidu-pan", url="https://pan.baidu.com/s/1abc", code="wxyz"), WaitingError),
    ],
)
def test_what_cannot_be_listed_says_why(artifact: Artifact, error: type[MirrorError]) -> None:
    with pytest.raises(error, match="m@s"):
        listed(artifact)


def test_a_share_is_handed_to_a_person_with_its_code() -> None:
    share = hand_off(promised(kind="baidu-pan", url="https://pan.baidu.com/s/1MjugY49rz51VN6PO2_LRyQ ", code="uyul"))
    assert share.url == "https://pan.baidu.com/s/1MjugY49rz51VN6PO2_LRyQ?pwd=uyul"
    assert "save the files" in share.steps[-1]
    assert any("uyul" in step for step in share.steps)
    assert hand_off(promised(kind="baidu-pan")).url is None


# --- formats


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("model.safetensors", "safetensors"),
        ("model-00001-of-00002.safetensors", "safetensors"),
        ("model.safetensors.index.json", "safetensors"),
        ("pytorch_model.bin", "pytorch"),
        ("pytorch_model-00001-of-00002.bin", "pytorch"),
        ("pytorch_model.bin.index.json", "pytorch"),
        ("tf_model.h5", "h5"),
        ("bert_model.ckpt.index", "tensorflow"),
        ("bert_model.ckpt.data-00000-of-00001", "tensorflow"),
        ("flax_model.msgpack", "flax"),
        ("onnx/model.onnx", "onnx"),
        ("model.onnx_data", "onnx"),
        ("rust_model.ot", "rust"),
        ("model_state.pdparams", "paddle"),
        ("openvino_model.bin", "openvino"),
        ("openvino/openvino_model.xml", "openvino"),
        ("coreml/fill-mask/float32_model.mlpackage/Data/com.apple.CoreML/weights/weight.bin", "coreml"),
        ("config.json", None),
        ("tokenizer.json", None),
        ("vocab.txt", None),
        ("LICENSE", None),
        ("README.md", None),
        (".gitattributes", None),
        ("adapter_model.bin", "pytorch"),
        ("adapter_model.safetensors", "safetensors"),
        ("diffusion_pytorch_model.bin", "pytorch"),
        ("variables/variables.data-00000-of-00001", "tensorflow"),
        ("deep/variables/variables.index", "tensorflow"),
        ("deep/saved_model/1/assets/vocab.txt", "tensorflow"),
        ("saved_model/1/keras_metadata.pb", "tensorflow"),
        ("model.mlmodelc/weights/weight.bin", "coreml"),
        ("training_args.bin", None),
        ("optimizer.pt", None),
        ("vocab.bin", None),
        ("1_Pooling/config.json", None),
        ("onnx/config.json", None),
    ],
)
def test_a_name_tells_the_format_of_weights(path: str, expected: str | None) -> None:
    assert weight_format(path) == expected


def test_narrowing_keeps_what_is_no_weight() -> None:
    names = ["config.json", "model.safetensors", "pytorch_model.bin", "tf_model.h5", "vocab.txt"]
    files = [RemoteFile("m@s", name, ("https://h/x",)) for name in names]
    assert [file.path for file in narrow(files, ["safetensors"])] == ["config.json", "model.safetensors", "vocab.txt"]
    assert [file.path for file in narrow(files, ["tensorflow"])] == ["config.json", "tf_model.h5", "vocab.txt"]
    assert [file.path for file in narrow(files, [])] == names


@pytest.mark.parametrize(
    "path",
    [
        "config.json", "generation_config.json", "1_Pooling/config.json", "modules.json", "sentence_bert_config.json",
        "vocab.txt", "vocab.json", "merges.txt", "vocab", "vocab.bin", "vocab.pkl", "spiece.model", "tokenizer.model",
        "source.spm", "sentencepiece.bpe.model", "tokenizer.tiktoken", "tokenizer.pickle", "special_tokens_map.json",
        "chat_template.jinja", "modeling_mine.py", "README.md", "LICENSE", "LICENSE.txt", "LICENCE-MODEL", "NOTICE",
        "COPYING.LESSER", ".gitattributes", "params.yaml",
    ],
)  # fmt: skip
def test_configuration_tokenizer_and_licence_stay_whatever_is_asked_for(path: str) -> None:
    assert keeps(path, ["safetensors"])
    assert keeps(f"sub/{path}", ["paddle"])


@pytest.mark.parametrize(
    "path",
    [
        "optimizer.pt", "optimizer.bin", "scheduler.pt", "scaler.pt", "rng_state.pth", "rng_state_0.pth",
        "training_args.bin", "checkpoint-500/optimizer.pt", "random_states_0.pkl", "adapter_model.bin",
        "variables/variables.data-00000-of-00001", "variables/variables.index", "events.out.tfevents.1.host",
        "model.gguf", "banner.png",
    ],
)  # fmt: skip
def test_what_is_neither_a_wanted_weight_nor_a_companion_goes(path: str) -> None:
    assert not keeps(path, ["safetensors"])
    assert keeps(path, [])


def test_the_state_of_a_training_is_no_weight_of_its_format() -> None:
    assert keeps("adapter_model.bin", ["pytorch"])
    assert not keeps("optimizer.pt", ["pytorch"])
    assert not keeps("checkpoint-500/training_args.bin", ["pytorch"])
    assert keeps("tokenizer_of_mine/pytorch_model.bin", ["pytorch"])


def test_an_archive_stays_since_its_name_does_not_tell_what_is_inside() -> None:
    assert keeps("uncased_L-2_H-128_A-2.zip", ["safetensors"])
    assert keeps("albert_base_v1.tar.gz", ["pytorch"])


def test_an_unknown_format_answers_with_the_nearest() -> None:
    assert known_formats(["PyTorch", "h5", "pytorch"]) == ("pytorch", "h5")
    with pytest.raises(UsageError, match="no weight format 'safetensor'; nearest: safetensors") as caught:
        known_formats(["pytorch", "safetensor"])
    assert "onnx" in caught.value.hint


# --- peers


def test_a_peer_is_asked_for_a_known_digest_only() -> None:
    file = RemoteFile("m@s", "a", ("https://h/a",), 1, (PIN,))
    base = "https://peer.example/cache"
    at = f"{base}/blobs/sha256/aa/{'a' * 64}"
    assert peer_url(base, "a" * 64) == at
    assert with_peers(file, [base]).urls == (at, "https://h/a")
    assert with_peers(file, [base], first=False).urls == ("https://h/a", at)
    assert with_peers(replace(file, claims=()), [base]).urls == ("https://h/a",)


def test_a_peer_may_be_a_mirror_s_folder(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    (cache / "blobs").mkdir(parents=True)
    assert peer_base(str(tmp_path)) == peer_base(str(cache)) == peer_base(tmp_path.as_uri()) == cache.as_uri()
    assert peer_base("https://peer.example/cache/") == "https://peer.example/cache"
    with pytest.raises(NotFoundError):
        peer_base(str(tmp_path / "gone"))


def test_a_peer_s_index_comes_back_as_its_word(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    held = FileState("m@s", "a", 1, "held", "b" * 64, "pinned", "c" * 40, None, None, 1)
    gone = FileState("m@s", "b", 2, "listed", "d" * 64, "pinned", "c" * 40, None, "missing", 2)
    holding = Holding("m@s", "c" * 40, ("safetensors",), "2025-01-01", (held, gone))
    (tmp_path / "index.json").write_text("".join(index_lines([holding, replace_artifact(holding, "n@s")], 7)))
    offer = list_peer(peer_base(str(tmp_path)), Openers(no_client))[0]
    assert (offer.listing.artifact, offer.listing.revision, offer.narrowed) == ("m@s", "c" * 40, ("safetensors",))
    file, missing = offer.listing.files
    assert offer.held == (file,)
    assert file.urls == (f"{tmp_path.as_uri()}/blobs/sha256/bb/{'b' * 64}",)
    assert (file.path, file.size, file.sha256, file.claims[0].authority) == ("a", 1, "b" * 64, Authority.PEER)
    assert (missing.path, missing.size, missing.urls, missing.claims) == ("b", 2, (), ())
    # An artifact of the catalog that is a peer: what the peer has under that name, else all that it has.
    artifact = promised(kind="peer", url=str(tmp_path))
    assert listed(artifact).files == offer.held
    everything = listed(artifact._replace(name="head@peer"))
    assert [(f.artifact, f.path) for f in everything.files] == [("head@peer", "m@s/a"), ("head@peer", "n@s/a")]
    (tmp_path / "index.json").write_text("".join(index_lines([], 0)))
    with pytest.raises(NotFoundError):
        listed(artifact)


def test_a_peer_s_artifact_whose_name_is_no_path_is_refused(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    held = FileState("../m@s", "a", 1, "held", "b" * 64, "pinned", None, None, None, 1)
    (tmp_path / "index.json").write_text("".join(index_lines([Holding("../m@s", None, None, "", (held,))], 7)))
    found = listed(promised(kind="peer", url=str(tmp_path)))
    assert (found.files, found.refused) == ((), (Refused("../m@s/a", "its path leads elsewhere"),))


def replace_artifact(holding: Holding, name: str) -> Holding:
    files = tuple(file._replace(artifact=name) for file in holding.files)
    return holding._replace(artifact=name, files=files)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b'{"schema":"minibert-mirror/peer/2","listings":[]}',
        b'{"schema":"minibert-mirror/peer/1","listings":[{}]}',
        b'{"schema":"minibert-mirror/peer/1","listings":[{"artifact":"a","revision":3,"narrowed":null,"files":[]}]}',
        b'{"schema":"minibert-mirror/peer/1","listings":[{"artifact":"a","revision":null,"narrowed":null,"files":'
        b'[{"path":"x","size":true,"sha256":"' + b"a" * 64 + b'"}]}]}',
        (
            b'{"schema":"minibert-mirror/peer/1","listings":[{"artifact":"a","revision":null,"narrowed":null,"files":'
            b'[{"path":"x","size":1,"sha256":"a"}]}]}'
        ),
        (
            b'{"schema":"minibert-mirror/peer/1","listings":[{"artifact":"a","revision":null,"narrowed":null,"files":'
            b'[{"path":"x","size":99999999999999999999,"sha256":null}]}]}'
        ),
        b'{"schema":"minibert-mirror/peer/1","listings":[{"artifact":"a","revision":null,"narrowed":"x","files":[]}]}',
        b"[" * 100000,
    ],
)
def test_an_index_that_makes_no_sense_is_refused(text: bytes) -> None:
    with pytest.raises(SourceError, match=r"not the index of a mirror: (it|its|a|what) ") as caught:
        read_index(text, "https://peer.example")
    assert "Error" not in str(caught.value)


# --- the environment


def test_lower_case_wins_and_a_bare_host_is_http() -> None:
    found = proxies({"http_proxy": "a:1", "HTTP_PROXY": "b:2", "HTTPS_PROXY": "https://c:3"})
    assert found["http://"] == "http://a:1"
    assert found["https://"] == "https://c:3"
    assert found["all://localhost"] is None


def test_no_proxy_is_read_as_curl_reads_it() -> None:
    entries = ".in.example,out.example,*.sub.example,10.0.0.0/8,::1,[fe80::1],h:8080,192.168.1.1,bad entry,a/b"
    found = proxies({"all_proxy": "p:1", "NO_PROXY": entries})
    assert {key for key, value in found.items() if value is None} >= {
        "all://*in.example", "all://*out.example", "all://*.sub.example", "all://10.0.0.0/8", "all://[::1]",
        "all://[fe80::1]", "all://*h:8080", "all://192.168.1.1",
    }  # fmt: skip
    assert not any("bad" in key or "a/b" in key for key in found)
    httpx2.Client(mounts=dict.fromkeys(found), trust_env=False, verify=False).close()


def test_without_a_proxy_or_with_a_star_everything_is_direct() -> None:
    assert proxies({}) == {}
    assert proxies({"NO_PROXY": "x"}) == {}
    assert proxies({"all_proxy": "p:1", "no_proxy": "x, *"}) == {}


def test_the_hub_s_address_and_token_come_from_the_environment() -> None:
    assert HubAccess.of({}) == HubAccess("https://huggingface.co", None)
    access = HubAccess.of({"HF_ENDPOINT": "https://hf-mirror.com/", "HF_TOKEN": " hf_x\n"})
    assert (access.endpoint, access.token) == ("https://hf-mirror.com", "hf_x")


@pytest.mark.parametrize(
    "environ", [{"HF_ENDPOINT": "hf-mirror.com"}, {"HF_ENDPOINT": "ftp://x"}, {"HF_TOKEN": "a\nb"}, {"HF_TOKEN": "é"}]
)
def test_an_environment_that_makes_no_sense_is_said(environ: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        HubAccess.of(environ)
