"""What other programs fetched, taken from where they keep it: a hub's cache, a PaddleNLP home, a colleague's folder."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mirror.api import Mirror
from mirror.upstream.server import Server
from mirror.upstream.world import build_world
from tests.command import Command, fresh_command, in_mirror

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow  # whole commands, one after the other: seconds each

_BESIDE = Path(sys.executable).with_name("hf")
HF = str(_BESIDE) if _BESIDE.exists() else shutil.which("hf")
REPOS = {
    "bert-tiny@huggingface": "google/bert_uncased_L-2_H-128_A-2",
    "albert-base-v1@huggingface": "albert/albert-base-v1",
}
PADDLE, GOOGLE = "bert-tiny@paddle", "bert-tiny@google"


@pytest.fixture(scope="module")
def upstream() -> Iterator[Server]:
    with Server(build_world()) as server:
        yield server


@pytest.fixture
def here(tmp_path: Path, upstream: Server) -> Command:
    """The command in a mirror that holds nothing, and has the lock of one that held everything."""
    first = in_mirror(fresh_command(tmp_path), tmp_path / "first", upstream)
    first("pull", *REPOS, PADDLE, GOOGLE, "--quiet")
    first("lock")
    second = in_mirror(first, tmp_path / "second", upstream)
    shutil.copy(tmp_path / "first/catalog.lock.json", tmp_path / "second/catalog.lock.json")
    return second


def copied(tmp_path: Path, artifact: str, folder: Path) -> Path:
    """Copy the files that the first mirror holds of an artifact."""
    mirror = Mirror.open(tmp_path / "first", environ={})
    for state in mirror.files(artifact):
        if state.sha256 is not None:
            (folder / state.path).parent.mkdir(parents=True, exist_ok=True)
            (folder / state.path).write_bytes(mirror.store.blob_path(state.sha256).read_bytes())
    return folder


def blobs(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "cache/blobs").rglob("*") if path.is_file())


@pytest.mark.slow
@pytest.mark.skipif(HF is None, reason="hf is not installed")
def test_a_cache_of_the_real_hf_is_taken_whole_without_a_download(
    here: Command, upstream: Server, tmp_path: Path
) -> None:
    env = {**here.env, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_XET": "1", "PYTHONWARNINGS": "default"}
    env |= {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_UPDATE_CHECK": "1"}
    for repo in REPOS.values():
        assert HF is not None
        done = subprocess.run([HF, "download", repo], env=env, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
    hub = tmp_path / "hf/hub"
    before = {path: path.stat().st_mtime_ns for path in hub.rglob("*") if path.is_file()}
    asked = len(upstream.requests())
    rows = here("ingest", str(hub), "--json").rows
    assert {row["status"] for row in rows} == {"taken"}
    assert {row["level"] for row in rows} == {"pinned"}
    assert {row["artifact"] for row in rows} == set(REPOS)
    for name in REPOS:
        (status,) = here("status", name, "--json").rows
        assert status["held"] == status["files"], status
        assert "nothing to do" in here("pull", name).out
    assert len(upstream.requests()) == asked
    here("verify")
    # Each of the cache's blobs once: its links are other names of them.
    theirs = {path.resolve() for path in hub.glob("models--*/snapshots/*/*")}
    assert len(blobs(here.cwd)) == len({path.read_bytes() for path in theirs})
    assert {path: path.stat().st_mtime_ns for path in hub.rglob("*") if path.is_file()} == before
    again = here("ingest", str(hub), "--json")
    assert {row["status"] for row in again.rows} == {"held"}, again.out


def test_what_nobody_promised_in_a_hub_s_cache_answers_no_share(here: Command, tmp_path: Path) -> None:
    (here.cwd / "catalog.lock.json").unlink()
    snapshot = tmp_path / "hub/models--google--bert_uncased_L-2_H-128_A-2/snapshots" / ("0" * 40)
    copied(tmp_path, "bert-tiny@huggingface", snapshot)
    rows = {Path(row["name"]).name: row for row in here("ingest", str(tmp_path / "hub"), "--json").rows}
    assert rows["model.safetensors"]["artifact"] == "bert-tiny@huggingface"  # the catalog has its digest
    assert rows["pytorch_model.bin"]["status"] == "unknown"
    assert "of google/bert_uncased_L-2_H-128_A-2, as a hub's cache has it" in rows["pytorch_model.bin"]["why"]


def test_a_paddlenlp_home_is_taken_by_its_bytes(here: Command, upstream: Server, tmp_path: Path) -> None:
    copied(tmp_path, PADDLE, tmp_path / "home/.paddlenlp/models/community/google/bert_uncased_L-2_H-128_A-2")
    asked = len(upstream.requests())
    rows = here("ingest", str(tmp_path / "home/.paddlenlp"), "--json").rows
    assert {(row["status"], row["artifact"], row["level"]) for row in rows} == {("taken", PADDLE, "pinned")}
    assert "nothing to do" in here("pull", PADDLE).out
    assert len(upstream.requests()) == asked
    assert here("verify", "--level", "load").code == 0


def test_a_paddlenlp_home_that_nobody_knows_is_taken_where_a_person_says_what_it_is(
    here: Command, tmp_path: Path
) -> None:
    (here.cwd / "catalog.lock.json").unlink()
    folder = copied(tmp_path, PADDLE, tmp_path / "home/models")
    (row,) = here("ingest", str(folder), "--json").rows
    assert row["status"] == "unknown"
    rows = here("ingest", str(folder), "--as", PADDLE, "--json").rows
    assert {row["path"] for row in rows} == {path.name for path in folder.iterdir()}
    assert {row["level"] for row in rows} == {"first-seen"}
    (status,) = here("status", PADDLE, "--json").rows
    assert status["held"] == status["files"]


def test_a_colleague_s_archive_is_the_promised_one_whatever_its_name(here: Command, tmp_path: Path) -> None:
    (archive,) = copied(tmp_path, GOOGLE, tmp_path / "x/google").iterdir()
    archive.rename(archive.with_name("bert (2).zip"))
    rows = here("ingest", str(tmp_path / "x"), "--json").rows
    assert [(row["status"], row["artifact"], row["level"]) for row in rows] == [("taken", GOOGLE, "pinned")]


def test_an_archive_that_a_person_names_is_taken_as_it_is_and_not_in_pieces(here: Command, tmp_path: Path) -> None:
    (here.cwd / "catalog.lock.json").unlink()
    (archive,) = copied(tmp_path, GOOGLE, tmp_path / "x").iterdir()
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(tmp_path / "unpacked")
    (row,) = here("ingest", str(tmp_path / "unpacked"), "--as", GOOGLE, "--json").rows
    assert row["why"] == f"{GOOGLE} is {archive.name}: give that, not what it unpacks to"
    rows = here("ingest", str(archive), "--as", GOOGLE, "--json").rows
    assert [(row["path"], row["level"]) for row in rows] == [(archive.name, "first-seen")]
    assert "nothing to do" in here("pull", GOOGLE).out
    assert here("verify", "--level", "load").code == 0


def test_an_unpacked_archive_is_recognised_by_its_numbers_where_the_archive_is_held(
    here: Command, tmp_path: Path
) -> None:
    (archive,) = copied(tmp_path, GOOGLE, tmp_path / "x").iterdir()
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(tmp_path / "unpacked")
    here("ingest", str(archive))
    rows = here("ingest", str(tmp_path / "unpacked"), "--json").rows
    (index,) = (row for row in rows if row["name"].endswith(".index"))
    assert "as in bert-tiny@google" in index["why"]


def test_a_file_that_is_found_again_is_held_and_answers_nothing_else(here: Command, tmp_path: Path) -> None:
    folder = copied(tmp_path, "bert-tiny@huggingface", tmp_path / "x")
    here("ingest", str(folder))
    head = here("ledger", "head").out
    assert {row["status"] for row in here("ingest", str(folder), "--json").rows} == {"held"}
    assert here("ledger", "head").out == head
    # Whoever knows better may say so.
    rows = here("ingest", str(folder / "pytorch_model.bin"), "--as", "bert-tiny@baidu-pytorch", "--json").rows
    assert [(row["status"], row["artifact"]) for row in rows] == [("taken", "bert-tiny@baidu-pytorch")]
