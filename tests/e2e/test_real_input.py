"""The shipped catalog, with true names, against the true bytes of its small files.

The command believes that it talks to huggingface.co, storage.googleapis.com and
bj.bcebos.com: HTTPS goes through a ``CONNECT`` proxy to the embedded upstream, whose
certificate a CA signs that ``SSL_CERT_FILE`` names; plain HTTP through a proxy as well.
Nothing of the catalog is changed. Weights are not to be had: their addresses answer 404.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from mirror.catalog import Catalog, read
from mirror.upstream.server import Server
from mirror.upstream.world import World
from tests.command import DATA, ROOT, Command, Done
from tests.tunnel import Tunnel
from tests.upstream_world import self_signed

if TYPE_CHECKING:
    from pathlib import Path
from typing import Any

TINY, DISTIL = "google/bert_uncased_L-2_H-128_A-2", "distilbert/distilbert-base-uncased"
REVISION = {TINY: "30b0a37ccaaa32f332884b96992754e246e48c5f", DISTIL: "12040accade4e8a0f71eabdb258fecc2e7e948be"}
ZIP_URL = "https://storage.googleapis.com/bert_models/2020_02_20/uncased_L-4_H-256_A-4.zip"
VOCAB_URL = "https://bj.bcebos.com/paddlenlp/models/transformers/distilbert/distilbert-base-uncased-vocab.txt"
ARTIFACTS = ("bert-tiny@huggingface", "distilbert-base-uncased@huggingface", "bert-mini@google")
ZIP = "bert-mini@google/uncased_L-4_H-256_A-4.zip"

#: Every true file of the Hub by artifact and path, with where its bytes are.
FILES = {
    "bert-tiny@huggingface/config.json": DATA / "bert-tiny" / "config.json",
    "bert-tiny@huggingface/vocab.txt": DATA / "vocab.txt",
    "distilbert-base-uncased@huggingface/LICENSE": DATA / "distilbert" / "LICENSE",
    "distilbert-base-uncased@huggingface/config.json": DATA / "distilbert" / "config.json",
    "distilbert-base-uncased@huggingface/tokenizer.json": DATA / "distilbert" / "tokenizer.json",
    "distilbert-base-uncased@huggingface/tokenizer_config.json": DATA / "distilbert" / "tokenizer_config.json",
    "distilbert-base-uncased@huggingface/vocab.txt": DATA / "vocab.txt",
}
#: What Google's zip of BERT-Mini holds, but for the weights.
MEMBERS = {
    "bert_config.json": DATA / "bert-mini" / "bert_config.json",
    "bert_model.ckpt.index": DATA / "bert-mini" / "bert_model.ckpt.index",
    "vocab.txt": DATA / "vocab.txt",
}

Change = Callable[[str, bytes], bytes]


def true_bytes(name: str, data: bytes) -> bytes:
    return data


def one_bit_off(data: bytes) -> bytes:
    return data[:7] + bytes([data[7] ^ 1]) + data[8:]


def world_of(change: Change = true_bytes) -> World:
    """Return a world with the true files, each as ``change`` makes it."""
    world = World()
    for name, path in FILES.items():
        repo = TINY if name.startswith("bert-tiny") else DISTIL
        world.add_hub_file(repo, REVISION[repo], name.partition("/")[2], change(name, path.read_bytes()))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        for member, path in MEMBERS.items():
            out.writestr(zipfile.ZipInfo(member, (2020, 2, 20, 0, 0, 0)), change(f"{ZIP}!{member}", path.read_bytes()))
    world.add_url(ZIP_URL, archive.getvalue())
    world.add_url(VOCAB_URL, (DATA / "vocab.txt").read_bytes())
    return world


class Outside:
    """The outside world as the command reaches it, and the command."""

    def __init__(self, command: Command, server: Server, tunnel: Tunnel, folder: Path) -> None:
        self.server, self.tunnel = server, tunnel
        self.pull = command.at(folder / "mirror")
        (folder / "mirror" / "cache").mkdir(parents=True)
        shutil.copy(ROOT / "catalog.json", folder / "mirror")


@contextmanager
def outside(command: Command, folder: Path, world: World) -> Iterator[Outside]:
    """Run ``world`` behind the real names; the command's environment leads there."""
    context, ca = self_signed()
    (folder / "ca.pem").write_bytes(ca)
    with Server(world, tls=context) as server, Server(world) as plain, Tunnel(server.host_map) as tunnel:
        env = {
            "HTTPS_PROXY": tunnel.url,
            "HTTP_PROXY": plain.url("plain"),
            "SSL_CERT_FILE": str(folder / "ca.pem"),
        }
        yield Outside(command.at(folder, **env), server, tunnel, folder)


def levels(command: Command) -> dict[str, str]:
    rows = command("ls", "--missing", "--json").rows
    return {
        f"{row['artifact']}/{row['path']}": row["level"] if row["state"] == "held" else row["state"] for row in rows
    }


def blobs(command: Command) -> set[str]:
    return {path.name for path in (command.cwd / "cache" / "blobs").rglob("*") if path.is_file()}


def problems(done: Done) -> dict[str, dict[str, object]]:
    return {row["problem"]: row for row in done.rows if "problem" in row}


def test_the_true_files_reach_pinned_through_proxy_and_tls(command: Command, tmp_path: Path) -> None:
    with outside(command, tmp_path, world_of()) as there:
        done = there.pull("pull", *ARTIFACTS, "distilbert-base-uncased@paddle", "--json", code=4)
        known = levels(there.pull)
        assert {name: known[name] for name in FILES} == dict.fromkeys(FILES, "pinned")
        # Google gives md5 and crc32c of the archive, and the catalog nothing.
        assert known[ZIP] == "checked"
        assert known["distilbert-base-uncased@paddle/distilbert-base-uncased-vocab.txt"] == "checked"

        # What the catalog knows and the source lacks fails as the source's error, and stops nothing.
        missing = problems(done)
        # An index is no checkpoint: the archive came as it is, and is not what the model needs.
        unsound = missing.pop(f"{ZIP}!bert_model.ckpt.index")
        assert (unsound["error"], unsound["exit_code"]) == ("UnsoundError", 4)
        assert "data are not beside it" in str(unsound["message"])
        assert {
            "bert-tiny@huggingface/model.safetensors",
            "distilbert-base-uncased@huggingface/model.safetensors",
            "distilbert-base-uncased@paddle/distilbert-base-uncased.pdparams",
        } <= set(missing)
        assert {(row["error"], row["exit_code"]) for row in missing.values()} == {("NotFoundError", 5)}

        why = [row for name in ARTIFACTS[:2] for row in there.pull("why", name, "--json").rows]
        told = {f"{row['artifact']}/{row['path']}": row for row in why}
        for name, path in FILES.items():
            assert told[name]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
            assert told[name]["promised"]["urls"][0].startswith("https://huggingface.co/")
        (row,) = there.pull("why", f"{ZIP}!bert_model.ckpt.index", "--json").rows
        (member,) = row["members"]
        assert (member["path"], member["level"]) == ("bert_model.ckpt.index", "pinned")
        assert member["sha256"] == hashlib.sha256(MEMBERS["bert_model.ckpt.index"].read_bytes()).hexdigest()

        # All of it went through the proxies, under the real names.
        assert {"huggingface.co:443", "storage.googleapis.com:443", "bj.bcebos.com:443"} == set(there.tunnel.asked)
        asked = len(there.server.requests())
        there.pull("pull", "bert-mini@google", code=4)  # what is wrong is known, and said again
        assert len(there.server.requests()) == asked


def test_files_changed_at_the_publisher_are_disputed_with_both_values(command: Command, tmp_path: Path) -> None:
    def changed(name: str, data: bytes) -> bytes:
        # The archive has one changed member: its own md5 and crc32c are right all the same.
        return data if "!" in name and not name.endswith(".index") else one_bit_off(data)

    with outside(command, tmp_path, world_of(changed)) as there:
        found = problems(there.pull("pull", *ARTIFACTS, "--json", code=4))
        cases = quarantined(there.pull)
        for name, path in FILES.items():
            true, other = (hashlib.sha1(b"blob %d\0" % len(d) + d).hexdigest() for d in _pair(path.read_bytes()))
            assert found[name]["error"] == "DisputedError"
            assert "catalog" in str(found[name]["message"]) and f"git-sha1:{true}" in str(found[name]["message"])
            evidence, kept = cases[name]
            assert kept == one_bit_off(path.read_bytes())
            assert f"git-sha1:{true}" in {claim["digest"] for claim in evidence["against"]}
            assert ("publisher", f"git-sha1:{other}") in {(c["authority"], c["digest"]) for c in evidence["agreeing"]}
        assert "member bert_model.ckpt.index" in str(found[ZIP]["message"])
        known = levels(there.pull)
        assert {known[name] for name in (ZIP, *FILES)} == {"disputed"}
        assert not blobs(there.pull)


def _pair(data: bytes) -> tuple[bytes, bytes]:
    return data, one_bit_off(data)


def quarantined(command: Command) -> dict[str, tuple[dict[str, Any], bytes]]:
    """Return evidence and bytes of every case in the quarantine, by artifact and path."""
    found = {}
    for case in (command.cwd / "cache" / "quarantine").iterdir():
        evidence = json.loads((case / "evidence.json").read_text())
        found[f"{evidence['artifact']}/{evidence['path']}"] = (evidence, (case / "bytes").read_bytes())
    return found


def test_one_changed_byte_on_the_way_is_quarantined_and_never_delivered(command: Command, tmp_path: Path) -> None:
    with outside(command, tmp_path, world_of()) as there:
        there.server.faults.add("*/resolve/*", [{"fault": "flip_bit", "offset": 7, "times": "always"}])
        found = problems(there.pull("pull", *ARTIFACTS, "--json", code=4))
        cases, known = quarantined(there.pull), levels(there.pull)
        for name, path in FILES.items():
            true, wrong = _pair(path.read_bytes())
            assert (found[name]["error"], known[name]) == ("DisputedError", "disputed")
            evidence, kept = cases[name]
            assert kept == wrong
            assert evidence["actual"]["sha256"] == hashlib.sha256(wrong).hexdigest()
            assert f"sha256:{hashlib.sha256(true).hexdigest()}" in {row["digest"] for row in evidence["against"]}
        # The archive was left alone: it is all that is held.
        assert blobs(there.pull) == {there.pull("ls", ZIP.partition("/")[0], "--json").rows[0]["sha256"]}


@pytest.mark.parametrize("member", MEMBERS)
def test_an_archive_with_one_changed_member_is_quarantined_whole(command: Command, tmp_path: Path, member: str) -> None:
    world = world_of(lambda name, data: one_bit_off(data) if name == f"{ZIP}!{member}" else data)
    with outside(command, tmp_path, world) as there:
        found = problems(there.pull("pull", "bert-mini@google", "--json", code=4))
        assert (found[ZIP]["error"], f"member {member}" in str(found[ZIP]["message"])) == ("DisputedError", True)
        ((evidence, kept),) = quarantined(there.pull).values()
        assert zipfile.ZipFile(io.BytesIO(kept)).read(member) == one_bit_off(MEMBERS[member].read_bytes())
        true = hashlib.sha256(MEMBERS[member].read_bytes()).hexdigest()
        assert f"sha256:{true}" in {row["digest"] for row in evidence["against"]}
        assert not blobs(there.pull)


@pytest.mark.parametrize("document", sorted((DATA / "paddle").iterdir()), ids=lambda path: path.name[:40])
def test_the_catalog_has_the_addresses_of_paddles_own_lists(document: Path) -> None:
    real: Mapping[str, str] = json.loads(document.read_text())
    catalog: Catalog = read(ROOT / "catalog.json")
    name = document.name.removesuffix(".files.json").replace("__", "/")
    model = catalog.model(name)
    assert model is not None
    urls = {url for file in catalog.by_artifact[f"{model.name}@paddle"].files for url in file.urls}
    assert urls == set(real.values())


def test_every_file_of_the_data_is_named_with_its_digest() -> None:
    table = (DATA / "SOURCES.md").read_text()
    for path in DATA.rglob("*"):
        if path.is_file() and path.name != "SOURCES.md":
            line = next(
                line for line in table.splitlines() if line.startswith(f"| `{path.relative_to(DATA).as_posix()}` |")
            )
            data = path.read_bytes()
            assert f"| {len(data)} | `{hashlib.sha256(data).hexdigest()}` |" in line
