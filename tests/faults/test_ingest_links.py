"""Reflink, hard link or copy: what each shares, what it refuses, and what a kill leaves of it."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest

from mirror.api import Mirror
from mirror.errors import LinkError
from mirror.store import Store
from mirror.store.sharing import Way
from mirror.upstream.modelfiles import ModelFiles
from mirror.upstream.stock import shipped_catalog
from tests.faults.processes import Running, run
from tests.faults.test_ingest_kill import DYING, assert_nothing_is_half_visible, changes, mirror_at

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow  # whole commands, one after the other: seconds each

MIB = 1 << 20
WANTED = {"vocab.txt", "config.json", "pytorch_model.bin"}


@pytest.fixture(scope="module")
def weights() -> dict[str, bytes]:
    model = ModelFiles.of(shipped_catalog()["models"][0], seed=0, scale=1)
    return {"model(2).bin": model.torch(), "config.json": model.config_json(), "vocab (1).txt": model.vocab()}


def put(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
        os.utime(folder / name, (0, 0))  # else a copy is looked at for a minute, and the moments are others then
    return folder


@pytest.fixture
def xfs(tmp_path: Path) -> Iterator[Path]:
    """A file system that can reflink; only root has one to give."""
    make = shutil.which("mkfs.xfs", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    image, place = tmp_path / "image", tmp_path / "xfs"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(320 * MIB)
    if make is None or subprocess.run([make, "-q", "-m", "reflink=1", image], check=False).returncode:
        pytest.skip("no mkfs.xfs")
    done = subprocess.run(["mount", "-o", "loop", image, place], capture_output=True, check=False)
    if os.geteuid() != 0 or done.returncode:
        pytest.skip("only root may mount")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def free(place: Path) -> int:
    os.sync()
    found = os.statvfs(place)
    return found.f_bavail * found.f_frsize


def ways(out: str) -> set[str]:
    return {word for word in ("reflinked", "hard-linked", "copied", "held already") if word in out}


# --- reflinks ----------------------------------------------------------------------------


def test_where_the_file_system_can_a_large_file_shares_its_bytes(xfs: Path, weights: dict[str, bytes]) -> None:
    downloads = put(xfs / "downloads", weights)
    root = mirror_at(xfs / "mirror")
    before = free(xfs)
    code, out, err = run(root, "ingest", str(downloads))
    assert code == 0, (out, err)
    assert "model(2).bin" in out
    assert f"{len(weights['model(2).bin']) / MIB:.1f} MiB, reflinked" in out
    assert "KiB, copied" in out  # what is small
    assert before - free(xfs) < len(weights["model(2).bin"]) / 2
    # The two have a life of their own: what is written to one is not in the other.
    with (downloads / "model(2).bin").open("r+b") as file:
        file.write(b"changed!")
    assert_nothing_is_half_visible(root)
    assert run(root, "verify")[0] == 0


def test_reflinks_are_not_made_between_file_systems_and_auto_copies(
    xfs: Path, tmp_path: Path, weights: dict[str, bytes]
) -> None:
    downloads = put(xfs / "downloads", weights)
    root = mirror_at(tmp_path / "mirror")
    code, _, err = run(root, "ingest", str(downloads), "--link-mode", "reflink")
    assert code == 6
    assert "cannot be reflinked into this store" in err
    assert "--link-mode auto" in err
    code, out, _ = run(root, "ingest", str(downloads))
    assert code == 0
    assert ways(out) == {"copied"}


def test_where_the_file_system_cannot_reflink_auto_copies_and_reflink_says_so(
    tmp_path: Path, weights: dict[str, bytes]
) -> None:
    source = tmp_path / "a"
    source.write_bytes(bytes(2 * MIB))
    try:
        with Store(tmp_path / "cache").shared(source, Way.REFLINK):
            pytest.skip("this file system can")
    except LinkError:
        pass
    downloads = put(tmp_path / "downloads", weights)
    root = mirror_at(tmp_path / "mirror")
    code, _, err = run(root, "ingest", str(downloads), "--link-mode", "reflink")
    assert code == 6
    assert "cannot be reflinked" in err
    code, out, _ = run(root, "ingest", str(downloads), "--link-mode", "auto")
    assert code == 0
    assert ways(out) == {"copied"}


# --- hard links --------------------------------------------------------------------------


def test_a_hard_link_is_one_file_read_only_and_recorded_as_one(tmp_path: Path, weights: dict[str, bytes]) -> None:
    downloads = put(tmp_path / "downloads", weights)
    root = mirror_at(tmp_path / "mirror")
    code, out, err = run(root, "ingest", str(downloads), "--link-mode", "hardlink")
    assert code == 0, err
    assert "hard-linked: your copy is read-only now" in out
    mirror = Mirror.open(root, environ={})
    sha256 = hashlib.sha256(weights["model(2).bin"]).hexdigest()
    blob = mirror.store.blob_path(sha256)
    assert blob.samefile(downloads / "model(2).bin")
    assert stat.S_IMODE(blob.stat().st_mode) & 0o222 == 0
    assert stat.S_IMODE((downloads / "config.json").stat().st_mode) & 0o200  # small: a copy, and as it was
    (event,) = (event for event in mirror.events(kind="stored") if event.detail["path"] == "pytorch_model.bin")
    assert event.detail["origin"]["way"] == "hardlink"
    assert run(root, "verify")[0] == 0
    assert "nothing new to take in" in run(root, "ingest", str(downloads), "--link-mode", "hardlink")[2]


def test_a_file_that_somebody_is_writing_is_not_hard_linked_and_keeps_its_rights(
    tmp_path: Path, weights: dict[str, bytes]
) -> None:
    downloads = put(tmp_path / "downloads", weights)
    growing = downloads / "model(2).bin"
    growing.chmod(0o640)
    root = mirror_at(tmp_path / "mirror")
    with growing.open("r+b"):
        code, _, err = run(root, "ingest", str(downloads), "--link-mode", "hardlink")
    assert code == 6
    assert "is open for writing" in err
    assert stat.S_IMODE(growing.stat().st_mode) == 0o640
    assert growing.stat().st_nlink == 1
    assert_nothing_is_half_visible(root)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_another_users_file_is_not_hard_linked(tmp_path: Path, weights: dict[str, bytes]) -> None:
    downloads = put(tmp_path / "downloads", weights)
    os.chown(downloads / "model(2).bin", 60001, -1)
    code, _, err = run(mirror_at(tmp_path / "mirror"), "ingest", str(downloads), "--link-mode", "hardlink")
    assert code == 6
    assert "another user's" in err


def test_what_is_not_committed_leaves_the_other_file_as_it_was(tmp_path: Path) -> None:
    source = tmp_path / "a"
    source.write_bytes(b"x" * MIB)
    source.chmod(0o664)
    store = Store(tmp_path / "cache")
    with store.shared(source, Way.HARDLINK) as shared:
        assert shared.path.samefile(source)
        assert stat.S_IMODE(source.stat().st_mode) == 0o444
    assert stat.S_IMODE(source.stat().st_mode) == 0o664
    assert source.read_bytes() == b"x" * MIB
    assert source.stat().st_nlink == 1
    assert list((tmp_path / "cache/partial").iterdir()) == []


# --- kill -9 -----------------------------------------------------------------------------


def kill_at(root: Path, downloads: Path, last: int, mode: str) -> bool:
    """Ingest by links and die before the change number ``last``; whether there was one."""
    before = {path.name: path.read_bytes() for path in downloads.iterdir()}
    words = ("ingest", str(downloads), "--quiet", "--link-mode", mode)
    with Running(mirror_at(root), *words, program=DYING, environ={"DIE_AT": str(last)}) as process:
        died = process.end() != 0
    assert_nothing_is_half_visible(root)
    code, out, err = run(root, "ingest", str(downloads), "--link-mode", mode)
    assert code == 0, (last, out, err)
    mirror = Mirror.open(root, environ={})
    assert {state.path for state in mirror.files("bert-tiny@baidu-pytorch") if state.state == "held"} == WANTED
    run(root, "gc", "--yes", "--partials", "0")
    assert list((root / "cache/partial").glob("*")) == []
    assert {path.name: path.read_bytes() for path in downloads.iterdir()} == before
    return died


@pytest.mark.slow
def test_hard_links_killed_at_every_moment_leave_the_persons_file_whole(
    tmp_path: Path, weights: dict[str, bytes]
) -> None:
    downloads = put(tmp_path / "downloads", weights)
    total = changes(tmp_path / "mirror", downloads, "--link-mode", "hardlink")
    assert all(kill_at(tmp_path / "mirror", downloads, last, "hardlink") for last in range(1, total + 1))


@pytest.mark.slow
def test_reflinks_killed_at_every_moment_are_ended_by_the_next(xfs: Path, weights: dict[str, bytes]) -> None:
    downloads = put(xfs / "downloads", weights)
    total = changes(xfs / "mirror", downloads, "--link-mode", "reflink")
    assert all(kill_at(xfs / "mirror", downloads, last, "reflink") for last in range(1, total + 1))


def test_links_killed_at_some_moments_leave_the_persons_file_whole(tmp_path: Path, weights: dict[str, bytes]) -> None:
    downloads = put(tmp_path / "downloads", weights)
    total = changes(tmp_path / "mirror", downloads, "--link-mode", "hardlink")
    for last in range(5, total, total // 3):
        assert kill_at(tmp_path / "mirror", downloads, last, "hardlink")
