"""What a person fetched by hand, under any name and in any nesting, taken in by its content; and what is not."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pickle
import queue
import random
import re
import signal
import tarfile
import threading
import time
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from mirror.api import Mirror
from mirror.catalog import parse
from mirror.upstream.modelfiles import ModelFiles
from mirror.upstream.server import Server
from mirror.upstream.stock import share_id, shipped_catalog
from mirror.upstream.world import World, build_world
from tests.command import Command, fresh_command, in_mirror
from tests.hostile import BOMB
from tests.seven_zip import COPY, LZMA, LZMA2, Writer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

pytestmark = pytest.mark.slow  # whole commands, one after the other: seconds each

#: What the demo's shares give, by artifact: name of each file to its bytes.
Shares = dict[str, dict[str, bytes]]


@pytest.fixture(scope="module")
def world() -> World:
    return build_world()


@pytest.fixture(scope="module")
def upstream(world: World) -> Iterator[Server]:
    with Server(world) as server:
        yield server


@pytest.fixture(scope="module")
def catalog(world: World, upstream: Server) -> dict[str, Any]:
    return world.catalog(upstream)


@pytest.fixture(scope="module")
def shares(world: World, catalog: dict[str, Any]) -> Shares:
    known = parse(json.dumps(catalog), where="the upstream's catalog")
    return {
        artifact.name: {name: bytes(one.data) for name, one in world.handoffs[share_id(artifact.url or "")].items()}
        for artifact in known.artifacts()
        if artifact.waits_for_person and not artifact.bundle
    }


@pytest.fixture
def here(tmp_path: Path, upstream: Server, catalog: dict[str, Any]) -> Command:
    """The command in a mirror that holds nothing."""
    return in_mirror(fresh_command(tmp_path), tmp_path / "mirror", upstream, catalog)


def zipped(files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


def unzipped(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}


def tarred(files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def put(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def renamed(files: Mapping[str, bytes], chance: random.Random) -> dict[str, bytes]:
    """Return files as browsers, people and clients leave them: other names, deeper, packed once or twice."""
    kind = chance.randrange(5)
    changed: dict[str, bytes] = {}
    for name, data in files.items():
        stem, dot, suffix = name.partition(".")
        if name.endswith(".zip") and kind in {1, 3}:  # unpacked by hand
            changed |= {f"新建文件夹/{inner.rpartition('/')[2]}": held for inner, held in unzipped(data).items()}
        else:
            changed[chance.choice([f"{stem}(3){dot}{suffix}", f"{stem} (1){dot}{suffix}", name])] = data
    if kind == 1:
        for name in [name for name in changed if name.endswith((".index", ".bin"))]:
            above, slash, _ = name.rpartition("/")
            changed[f"{above}{slash}{chance.randrange(10**6)}.dat"] = changed.pop(name)
    if kind == 2:
        return {"下载.zip": zipped({f"a/b/{name}": data for name, data in changed.items()})}
    if kind == 3:
        return {"outer.tar.gz": tarred({"inner(2).zip": zipped(changed)})}
    folder = f"download {chance.randrange(99)}"
    return {f"{folder}/{name}": data for name, data in changed.items()}


def everything(shares: Shares, folder: Path, seed: int = 0) -> Path:
    chance = random.Random(seed)
    for number, (_, files) in enumerate(sorted(shares.items(), key=lambda item: chance.random())):
        put(folder / f"{number:02}", renamed(files, chance))
    return folder


def held(command: Command) -> dict[str, int]:
    return {row["artifact"]: row["held"] for row in command("status", "--json").rows if row["held"]}


def untouched(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


# --- what is taken -----------------------------------------------------------------------


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.slow), 7])
def test_all_48_shares_are_recognised_whatever_they_are_called(
    here: Command, shares: Shares, tmp_path: Path, every: int
) -> None:
    assert len(shares) == 48
    shares = {name: shares[name] for name in sorted(shares)[::every]}
    folder = everything(shares, tmp_path / "downloads")
    before = untouched(folder)
    planned = here("ingest", str(folder), "--dry-run", "--json").rows
    assert {row["artifact"] for row in planned if row["status"] == "would be taken"} == set(shares)
    assert held(here) == {}
    taken = here("ingest", str(folder), "--json").rows
    assert {row["artifact"] for row in taken if row["status"] == "taken"} == set(shares)
    assert {row["level"] for row in taken if row["status"] == "taken"} == {"first-seen"}
    assert set(held(here)) == set(shares)
    assert untouched(folder) == before
    assert {row["artifact"] for row in here("handoff", "--json").rows if row["open"]}.isdisjoint(shares)
    here("ledger", "verify")
    assert f"{len(shares)} weight files sound, 0 not" in here("verify", "--level", "load").err
    # A second run finds nothing to do, and asks nobody.
    events = here("ledger", "head").out
    again = here("ingest", str(folder), "--json").rows
    assert {row["status"] for row in again} == {"held"}
    assert here("ledger", "head").out == events


@pytest.mark.slow
def test_the_true_size_of_bert_tiny_is_taken_too(tmp_path: Path) -> None:
    entry = shipped_catalog()["models"][0]
    files = ModelFiles.of(entry, seed=0, scale=1)
    here = fresh_command(tmp_path)
    here("init", "mirror")
    there = here.at(tmp_path / "mirror")
    folder = put(tmp_path / "x", {"a(1).bin": files.torch(legacy=True, converted=True), "vocab.txt": files.vocab()})
    rows = there("ingest", str(folder), "--json").rows
    assert {(row["artifact"], row["path"]) for row in rows if row["status"] == "taken"} == {
        ("bert-tiny@baidu-pytorch", "pytorch_model.bin"),
        ("bert-tiny@baidu-pytorch", "vocab.txt"),
    }
    (row,) = there("handoff", "bert-tiny@baidu-pytorch", "--json").rows
    assert (row["open"], row["arrived"]) == (False, 2)
    assert row["expected"]["smallest"] < len(files.torch()) < row["expected"]["largest"]


def test_what_came_is_recorded_with_who_brought_it_and_which_share_it_answers(
    here: Command, shares: Shares, tmp_path: Path
) -> None:
    packed = zipped({"deep/model.zip": zipped(shares["bert-mini@baidu-pytorch"])})
    folder = put(tmp_path / "x", {"whatever.zip": packed})
    here("ingest", str(folder))
    mirror = Mirror.open(tmp_path / "mirror")
    events = {event.detail["path"]: event.detail for event in mirror.events(kind="stored")}
    assert set(events) == {"pytorch_model.bin", "config.json", "vocab.txt"}
    origin = events["pytorch_model.bin"]["origin"]
    assert origin["name"] == f"{folder}/whatever.zip!deep/model.zip!pytorch_model.bin"
    assert len(origin["inside"]) == 2
    assert "/s/1" in origin["share"]
    assert "?pwd=" not in origin["share"]
    assert origin["by"]
    told = here("why", "bert-mini@baidu-pytorch/pytorch_model.bin").out
    assert f"ingested from {origin['name']}" in told


def test_tensors_of_a_better_known_copy_corroborate_and_others_do_not(
    here: Command, shares: Shares, tmp_path: Path
) -> None:
    here("pull", "bert-tiny@google", "bert-small@google", "--quiet")
    folder = everything({name: shares[name] for name in shares if name.startswith("bert-tiny@")}, tmp_path / "x")
    here("ingest", str(folder))
    status = {row["artifact"]: row["tensors"] for row in here("status", "--json").rows}
    for share in ("bert-tiny@baidu-pytorch", "bert-tiny@baidu-tensorflow"):
        (said,) = status[share]
        assert said.startswith("corroborated by tensors of bert-tiny@google/")
        assert said in here("why", f"{share}").out
    # BERT-Small's numbers, said to be what they are not, stay what a person says and are told to differ.
    other = ModelFiles.of(shipped_catalog()["models"][6], seed=7, scale=32)
    put(tmp_path / "y", {"odd.bin": other.torch()})
    refused = here("ingest", str(tmp_path / "y"), "--json").rows
    assert [row["status"] for row in refused] == ["unknown"]
    assert "none of its numbers" in refused[0]["why"]
    here("ingest", str(tmp_path / "y"), "--as", "bert-small@baidu-pytorch")
    (said,) = next(
        row["tensors"] for row in here("status", "--json").rows if row["artifact"] == "bert-small@baidu-pytorch"
    )
    assert said.startswith("differs from bert-small@google/")


def test_a_copy_that_differs_from_a_better_known_one_says_so(here: Command, shares: Shares, tmp_path: Path) -> None:
    weights = bytearray(shares["bert-tiny@baidu-pytorch"]["pytorch_model.bin"])
    weights[-40] ^= 1
    here("ingest", str(put(tmp_path / "x", {"tiny.bin": bytes(weights)})))  # by its shape: nothing is here yet
    here("pull", "bert-tiny@google", "--quiet")
    (status,) = here("status", "bert-tiny@baidu-pytorch", "--json").rows
    assert re.fullmatch(r"differs from bert-tiny@google/\S+ in 1 tensor", status["tensors"][0])
    assert re.search(r"  ✓ 1, differs from bert-tiny@google$", here("handoff", "bert-tiny@baidu-pytorch").out, re.M)
    (row,) = here("handoff", "bert-tiny@baidu-pytorch", "--json").rows
    ((said, known),) = ((one["how"], one["by"]) for one in row["corroboration"])
    assert (said, known.partition("/")[0]) == ("none", "bert-tiny@google")
    here("handoff", "--html", str(tmp_path / "page.html"))
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert re.findall("<p>✓.*?</p>", text) == ["<p>✓ 1 here · 已收到<br>differs from · 不同于 bert-tiny@google</p>"]
    assert '<li class="differs">' in text
    # One that does not differ needs no word.
    here("ingest", str(put(tmp_path / "y", shares["bert-tiny@baidu-tensorflow"])))
    assert re.search(r"  ✓ [0-9]+$", here("handoff", "bert-tiny@baidu-tensorflow").out, re.M)
    (row,) = here("handoff", "bert-tiny@baidu-tensorflow", "--json").rows
    assert [one["how"] for one in row["corroboration"]] == ["tensors"]


def test_a_file_that_was_promised_is_that_file_and_a_hub_s_cache_needs_no_download(
    here: Command, upstream: Server, catalog: dict[str, Any], tmp_path: Path
) -> None:
    here("pull", "bert-tiny@huggingface", "--quiet")
    here("lock")
    first = Mirror.open(tmp_path / "mirror")
    hub = tmp_path / "hub/models--google--bert/snapshots/abc"
    blobs = tmp_path / "hub/models--google--bert/blobs"
    hub.mkdir(parents=True)
    blobs.mkdir()
    for state in first.files("bert-tiny@huggingface"):
        assert state.sha256 is not None
        (blobs / state.sha256).write_bytes(first.store.blob_path(state.sha256).read_bytes())
        (hub / state.path).symlink_to(f"../../blobs/{state.sha256}")
    second = in_mirror(here, tmp_path / "second", upstream, catalog)
    (tmp_path / "second/catalog.lock.json").write_text((tmp_path / "mirror/catalog.lock.json").read_text())
    asked = len(upstream.requests())
    rows = second("ingest", str(tmp_path / "hub"), "--json").rows
    taken = {row["path"] for row in rows if row["status"] == "taken" and row["artifact"] == "bert-tiny@huggingface"}
    assert taken == {state.path for state in first.files("bert-tiny@huggingface")}
    assert {row["level"] for row in rows if row["status"] == "taken"} == {"pinned"}
    assert "nothing to do" in second("pull", "bert-tiny@huggingface").out
    assert len(upstream.requests()) == asked


# --- what is not taken -------------------------------------------------------------------


class Payload:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return exec, ("open('ran', 'w')",)


def test_what_is_damaged_altered_hostile_or_another_s_is_refused_with_its_reason(
    here: Command, shares: Shares, tmp_path: Path
) -> None:
    here("pull", "bert-tiny@google", "--quiet")
    tiny = shares["bert-tiny@baidu-pytorch"]
    weights = bytearray(tiny["pytorch_model.bin"])
    weights[-40] ^= 1
    small = shares["bert-small@baidu-pytorch"]
    archive = shares["bert-tiny@baidu-tensorflow"]
    (name,) = (name for name in archive if name.endswith(".zip"))
    folder = put(
        tmp_path / "x",
        {
            "altered/pytorch_model.bin": bytes(weights),
            "truncated/pytorch_model.bin": tiny["pytorch_model.bin"][:-1000],
            "truncated too/t.zip": archive[name][:-1000],
            "another/pytorch_model.bin": small["pytorch_model.bin"],
            "another/config.json": tiny["config.json"],
            "evil/pytorch_model.bin": pickle.dumps({"a": Payload()}),
            "a hash bomb/pytorch_model.bin": b"\x80\x02" + BOMB + b".",
            "bomb/b.zip": bomb(),
            "slip/s.zip": zipped({"../../pytorch_model.bin": tiny["pytorch_model.bin"]}),
        },
    )
    before = untouched(folder)
    done = here("ingest", str(folder), "--json", code=4)
    told = {row["name"].removeprefix(f"{folder}/").partition("/")[0]: row for row in done.rows}
    assert {row["status"] for row in done.rows} == {"disputed", "refused"}
    for place, why in {
        "altered": "altered: ",
        "truncated": "",
        "truncated too": "cut off at byte",
        "another": "unsound: ",
        "evil": "exec",
        "a hash bomb": "",
        "bomb": "unpacks from",
        "slip": "a path that would not stay where it is put",
    }.items():
        assert told[place]["status"] == ("disputed" if place == "altered" else "refused"), told[place]
        assert why in told[place]["why"], told[place]
    assert untouched(folder) == before
    assert not (tmp_path / "ran").exists()
    assert held(here) == {"bert-tiny@google": 1}
    (case,) = (tmp_path / "mirror/cache/quarantine").iterdir()
    assert bytes(weights) in {path.read_bytes() for path in case.iterdir()}
    here("ledger", "verify")


def bomb() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("pytorch_model.bin", bytes(64 << 20))
    return stream.getvalue()


def test_what_downloads_leave_behind_is_named_and_other_files_are_only_counted(here: Command, tmp_path: Path) -> None:
    folder = put(
        tmp_path / "x",
        {
            "model.zip.baiduyun.p.downloading": b"half",
            "weights.bin.crdownload": b"half",
            "a.bin": b"half",
            "a.bin.aria2": b"control",
            "page.bin": b"<!DOCTYPE html><html><body>login</body></html>",
            "error.bin": b'{"error_code": 31326, "error_msg": "user is not authorized"}',
            "pointer.bin": b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 9\n",
            "old.rar": b"Rar!\x1a\x07\x01\x00",
            "secret.7z": encrypted(),
            "notes.txt.xz": lzma.compress(b"hello"),
            "zeros.bin": bytes(9000),
            "song.mp3": b"ID3",
            "notes.txt": b"hello",
        },
    )
    done = here("ingest", str(folder))
    for text in (
        "an unfinished download of Baidu's client",
        "an unfinished download of Chrome",
        "an unfinished download of aria2",
        "an HTML page",
        "an error message saved as a file: 31326",
        "a Git LFS pointer",
        "a RAR archive: unpack it first",
        "an archive that is not opened here: encrypted: unpack it first",
        "one file that xz packed, and no archive: unpack it first",
        "zeros, 4096 bytes at least",
    ):
        assert text in done.out, text
    assert "song.mp3" not in done.out
    assert "2 other files left alone" in done.err
    assert "nothing new to take in" in done.err


def encrypted() -> bytes:
    """Return a 7z whose files are encrypted, as far as anybody can tell without the password."""
    return Writer({"a.bin": b"?"}, COPY, named=(bytes.fromhex("06f10701"), b"\x13")).data()


@pytest.mark.parametrize("packing", ["tar", "tar.bz2", "tar.xz", "7z", "7z of LZMA", "7z in a tar"])
def test_a_share_is_taken_out_of_any_archive_and_one_that_harms_is_refused(
    here: Command, shares: Shares, tmp_path: Path, packing: str
) -> None:
    def pack(files: dict[str, bytes]) -> bytes:
        if packing.startswith("7z"):
            whole = Writer(files, LZMA if packing == "7z of LZMA" else LZMA2).data()
            return gzip.decompress(tarred({"inner.7z": whole})) if packing == "7z in a tar" else whole
        plain = gzip.decompress(tarred(files))
        return {"tar": plain, "tar.bz2": bz2.compress(plain), "tar.xz": lzma.compress(plain)}[packing]

    files = shares["bert-mini@baidu-pytorch"]
    folder = put(tmp_path / "x", {"good.zip": pack({f"a/b/{name}": data for name, data in files.items()})})
    put(folder, {"slip.zip": pack({"../../up.bin": b"up"})})
    rows = here("ingest", str(folder), "--json", code=4).rows
    assert {row["path"] for row in rows if row["status"] == "taken"} == set(files)
    (slip,) = (row for row in rows if row["status"] == "refused")
    assert slip["name"].startswith(f"{folder}/slip.zip")
    assert "a path that would not stay where it is put" in slip["why"]
    assert {row["status"] for row in here("ingest", str(folder), "--json", code=4).rows} == {"held", "refused"}


def test_what_a_person_says_is_held_against_the_content(here: Command, shares: Shares, tmp_path: Path) -> None:
    folder = put(tmp_path / "x", {"m.bin": shares["bert-mini@baidu-pytorch"]["pytorch_model.bin"]})
    done = here("ingest", str(folder), "--as", "bert-tiny@baidu-pytorch", code=4)
    assert "not BERT-Tiny" in done.out
    assert held(here) == {}
    assert here("ingest", str(folder), "--as", "bert-tiny", code=2)
    assert here("ingest", str(tmp_path / "nowhere"), code=2)


# --- the list ----------------------------------------------------------------------------


def test_the_list_has_links_codes_and_what_should_come(here: Command, tmp_path: Path) -> None:
    rows = here("handoff", "--json").rows
    assert len(rows) == 48
    assert all(row["url"].endswith(f"?pwd={row['code']}") and row["open"] for row in rows)
    assert all(row["steps"][-1].startswith("minibert-mirror ingest") for row in rows)
    assert all(len(row["expected"]["tensors"]) == 2 for row in rows)
    assert "48 shares to fetch by hand" in here("handoff").err
    assert ", 39 to 46 tensors, " in here("handoff", "bert-tiny").out
    here("handoff", "--strict", code=8)
    page = tmp_path / "page.html"
    here("handoff", "--html", str(page))
    text = page.read_text(encoding="utf-8")
    assert text.count("<svg") == text.count("<li") == 48
    assert all(row["url"] in text for row in rows)
    assert "39 – 46 tensors · 张量" in text
    assert "<script" not in text
    assert json.dumps("http://") not in text


def test_what_was_never_published_and_what_repeats_others_is_said_in_its_row(here: Command) -> None:
    never, bundle = here("handoff", "kind=bundle").out.splitlines()[1:]
    assert re.split("  +", never)[1:] == ["never published", "none", "pytorch, what other shares have", "-"]
    assert re.split("  +", bundle)[2:] == ["uyul", "tensorflow, what other shares have", "-"]


def test_the_page_counts_what_a_person_needs_and_a_bundle_is_not_of_it(
    here: Command, shares: Shares, tmp_path: Path
) -> None:
    folder = put(tmp_path / "x", {"m.bin": shares["bert-mini@baidu-pytorch"]["pytorch_model.bin"]})
    here("ingest", str(folder))
    for words in ((), ("--all",)):
        here("handoff", "--html", str(tmp_path / "page.html"), *words)
        text = (tmp_path / "page.html").read_text(encoding="utf-8")
        assert text.count("<li") == 48 + len(words)  # all links that were ever published are 49, with the bundle's
        assert "<strong>1 / 48</strong>" in text
        assert "<title>minibert-mirror: 47 to fetch by hand</title>" in text
    assert "47 shares to fetch by hand" in here("handoff").err


# --- a folder that is watched ------------------------------------------------------------


@pytest.mark.slow
def test_a_watched_folder_s_downloads_are_taken_when_they_have_stopped_growing(
    upstream: Server, catalog: dict[str, Any], shares: Shares, tmp_path: Path
) -> None:
    in_mirror(fresh_command(tmp_path), tmp_path / "mirror", upstream, catalog)
    mirror = Mirror.open(tmp_path / "mirror", environ={})
    downloads = put(tmp_path / "downloads", {"old.txt": b"nothing of ours"})
    stop = threading.Event()
    taken: queue.Queue[list[str]] = queue.Queue()

    def watch() -> None:
        for done in mirror.watch(downloads, settle=0.4, stop=stop):
            taken.put([str(one.judged.file) for one in done.taken])

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        assert taken.get(timeout=30) == []  # what was there already
        weights = shares["bert-tiny@baidu-pytorch"]["pytorch_model.bin"]
        with (downloads / "model.bin").open("wb") as growing:
            for at in range(0, len(weights), len(weights) // 8):
                growing.write(weights[at : at + len(weights) // 8])
                growing.flush()
                time.sleep(0.1)
        assert taken.get(timeout=30) == ["bert-tiny@baidu-pytorch/pytorch_model.bin"]
        # A client's unfinished file is named, and taken when it has its own name.
        (downloads / "a.zip.baiduyun.p.downloading").write_bytes(b"half")
        assert taken.get(timeout=30) == []
        (downloads / "a.zip.baiduyun.p.downloading").unlink()
        put(downloads, {"a.zip": zipped(shares["bert-mini@baidu-pytorch"])})
        assert sorted(taken.get(timeout=30)) == [
            f"bert-mini@baidu-pytorch/{name}" for name in ("config.json", "pytorch_model.bin", "vocab.txt")
        ]
    finally:
        stop.set()
        thread.join(30)
    assert not thread.is_alive()


def test_a_watch_is_ended_by_ctrl_c_within_two_seconds(here: Command, shares: Shares, tmp_path: Path) -> None:
    downloads = put(tmp_path / "downloads", shares["bert-tiny@baidu-pytorch"])
    process = here.start("ingest", str(downloads), "--watch")
    assert process.stderr is not None
    assert "watching" in process.stderr.readline()
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    begun = time.monotonic()
    process.communicate(timeout=30)
    assert time.monotonic() - begun < 2
    assert process.returncode == 130
    assert "takes one folder" in here("ingest", str(downloads / "vocab.txt"), "--watch", code=2).err


@pytest.mark.parametrize("gone", [True, False])
def test_a_watch_of_a_folder_that_goes_away_ends_and_says_so(here: Command, tmp_path: Path, *, gone: bool) -> None:
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    process = here.start("ingest", str(downloads), "--watch")
    assert process.stderr is not None
    assert "watching" in process.stderr.readline()
    time.sleep(1)
    if gone:
        downloads.rmdir()
    else:
        downloads.rename(tmp_path / "elsewhere")
    _, err = process.communicate(timeout=30)
    assert process.returncode == 6
    assert err.startswith(f"error: {downloads} cannot be watched any more: No such file or directory\n  hint: ")
    assert len(err.splitlines()) == 2


# --- sizes that somebody lists -----------------------------------------------------------


@pytest.fixture
def listing(upstream: Server, catalog: dict[str, Any], shares: Shares, tmp_path: Path) -> Command:
    """The command in a mirror whose catalog says how many bytes the files of one share have."""
    changed = json.loads(json.dumps(catalog))
    (share,) = (one for one in changed["models"][0]["sources"] if one["id"] == "baidu-pytorch")
    facts = {"urls": [share["url"]], "sha256": None, "git_sha1": None, "md5": None, "provenance": share["provenance"]}
    held = shares["bert-tiny@baidu-pytorch"]
    share["files"] = [{"path": f"bert/{name}", "size": len(data), **facts} for name, data in held.items()]
    return in_mirror(fresh_command(tmp_path), tmp_path / "mirror", upstream, changed)


def test_a_file_of_another_size_than_listed_is_refused_and_both_are_said(
    listing: Command, shares: Shares, tmp_path: Path
) -> None:
    held = shares["bert-tiny@baidu-pytorch"]
    size = len(held["pytorch_model.bin"])
    cut = put(tmp_path / "cut", {"pytorch_model(1).bin": held["pytorch_model.bin"][:-1000]})
    (row,) = listing("ingest", str(cut), "--json", code=4).rows
    assert row["status"] == "refused"
    assert row["why"].endswith(f"; {size - 1000} bytes, where bert-tiny@baidu-pytorch lists {size}: fetch it again")
    # Good weights of another size are not what was listed, either; a page in the place of a file has its size said.
    other = ModelFiles.of(shipped_catalog()["models"][0], seed=3, scale=32).torch()
    put(tmp_path / "other", {"pytorch_model.bin": other, "vocab.txt": b"<!DOCTYPE html><html>"})
    rows = listing("ingest", str(tmp_path / "other"), "--json", code=4).rows
    told = {row["name"].rpartition("/")[2]: row["why"] for row in rows}
    assert f"{len(other)} bytes, where bert-tiny@baidu-pytorch lists {size}" in told["pytorch_model.bin"]
    assert "an HTML page" in told["vocab.txt"]
    assert "where bert-tiny@baidu-pytorch lists" in told["vocab.txt"]
    # And what has the listed size is taken.
    good = put(
        tmp_path / "good", {f"{name.partition('.')[0]}(2).{name.partition('.')[2]}": held[name] for name in held}
    )
    assert {row["status"] for row in listing("ingest", str(good), "--json").rows} == {"taken"}


def test_what_a_probe_saw_in_a_share_is_compared_and_is_no_promise(
    here: Command, shares: Shares, tmp_path: Path
) -> None:
    here("probe", "bert-tiny@baidu-pytorch")
    held = shares["bert-tiny@baidu-pytorch"]
    size = len(held["pytorch_model.bin"])
    # A damaged file is told what it should have been; weights with the right tensors are right, whatever their size.
    cut = put(tmp_path / "cut", {"pytorch_model(1).bin": held["pytorch_model.bin"][:-1000]})
    (row,) = here("ingest", str(cut), "--json", code=4).rows
    assert row["why"].endswith(f"; {size - 1000} bytes, where bert-tiny@baidu-pytorch lists {size}: fetch it again")
    other = ModelFiles.of(shipped_catalog()["models"][0], seed=3, scale=32).torch()
    trees = {
        "plain": {"odd.bin": held["pytorch_model.bin"]},
        "zip": {"odd.zip": zipped({"odd.bin": held["pytorch_model.bin"]})},
        "other": {"odd.bin": other},
    }
    told = {}
    for name, files in trees.items():
        (row,) = here("ingest", str(put(tmp_path / name, files)), "--dry-run", "--json").rows
        assert row["status"] == "would be taken"
        told[name] = row["why"].rpartition("; ")[2]
    listed = "its share lists uncased_L-2_H-128_A-2/pytorch_model.bin of this size"
    assert told == {"plain": listed, "zip": listed, "other": "its share lists no file of this size"}
