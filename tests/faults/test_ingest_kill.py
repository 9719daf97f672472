"""``kill -9`` before each change that an ingest makes to the disk: nothing half-visible, and the next run ends it."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from mirror.api import Mirror
from mirror.catalog import builtin_catalog_text
from mirror.upstream.modelfiles import ModelFiles
from mirror.upstream.stock import shipped_catalog
from tests.faults.processes import Running, run

if TYPE_CHECKING:
    from pathlib import Path

DYING = (sys.executable, "-m", "tests.faults.dying")
#: Blobs up to a MiB are published from memory, larger ones have a partial: one of each, and texts.
FILES = {"vocab (1).txt": "vocab", "config.json": "config_json", "model(2).bin": "torch"}
WANTED = {"vocab.txt", "config.json", "pytorch_model.bin"}


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("downloads")
    model = ModelFiles.of(shipped_catalog()["models"][0], seed=0, scale=1)
    for name, make in FILES.items():
        (folder / name).write_bytes(getattr(model, make)())
        os.utime(folder / name, (0, 0))  # else a copy is looked at for a minute, and the moments are others then
    return folder


def mirror_at(root: Path) -> Path:
    shutil.rmtree(root, ignore_errors=True)
    (root / "cache").mkdir(parents=True)
    (root / "catalog.json").write_text(builtin_catalog_text(), encoding="utf-8")
    return root


def assert_nothing_is_half_visible(root: Path) -> None:
    for path in (root / "cache/blobs").rglob("*"):
        if path.is_file():
            assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    mirror = Mirror.open(root, environ={})
    held = [state for state in mirror.files("bert-tiny@baidu-pytorch") if state.state == "held"]
    for state in held:
        assert state.sha256 is not None
        assert mirror.store.find(state.sha256), f"{state.path} is recorded and not there"


def kill_at(root: Path, downloads: Path, last: int) -> bool:
    """Ingest and die before the change number ``last``; whether there was one."""
    words = ("ingest", str(downloads), "--quiet")
    with Running(mirror_at(root), *words, program=DYING, environ={"DIE_AT": str(last)}) as process:
        died = process.end() != 0
    assert_nothing_is_half_visible(root)
    code, out, err = run(root, "ingest", str(downloads))
    assert code == 0, (last, out, err)
    mirror = Mirror.open(root, environ={})
    assert {state.path for state in mirror.files("bert-tiny@baidu-pytorch") if state.state == "held"} == WANTED
    with mirror.reader() as reader:
        assert reader is not None
        reader.verify()
    run(root, "gc", "--yes", "--partials", "0")
    assert list((root / "cache/partial").glob("*")) == []
    return died


def changes(root: Path, downloads: Path, *words: str) -> int:
    with Running(mirror_at(root), "ingest", str(downloads), *words, program=DYING) as process:
        assert process.end() == 0, process.err
    return int(re.findall(r"\d+", process.err)[-1])


@pytest.mark.slow
def test_an_ingest_killed_at_some_moments_is_ended_by_the_next(tmp_path: Path, downloads: Path) -> None:
    total = changes(tmp_path / "mirror", downloads)
    assert total > 10
    for last in range(3, total, total // 2):
        assert kill_at(tmp_path / "mirror", downloads, last)


@pytest.mark.slow
def test_an_ingest_killed_at_every_moment_is_ended_by_the_next(tmp_path: Path, downloads: Path) -> None:
    total = changes(tmp_path / "mirror", downloads)
    assert all(kill_at(tmp_path / "mirror", downloads, last) for last in range(1, total + 1))


def test_a_full_disk_is_an_error_and_nothing_is_lost(tmp_path: Path, downloads: Path) -> None:
    root = mirror_at(tmp_path / "mirror")
    limited = (sys.executable, "-c", LIMITED)
    with Running(root, "ingest", str(downloads), program=limited) as process:
        assert process.end() == 6, (process.out, process.err)
    assert "hint" in process.err
    assert_nothing_is_half_visible(root)
    code, _, err = run(root, "ingest", str(downloads))
    assert code == 0, err


#: No file may grow beyond 4 MiB: what a full disk or a quota does.
LIMITED = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, resource.RLIM_INFINITY))
from mirror.cli import main
main()
"""


def test_a_link_to_nowhere_is_named_and_the_rest_is_taken(tmp_path: Path, downloads: Path) -> None:
    root = mirror_at(tmp_path / "mirror")
    folder = tmp_path / "x"
    shutil.copytree(downloads, folder)
    (folder / "dangling.bin").symlink_to("nowhere")
    code, out, err = run(root, "ingest", str(folder))
    assert code == 0, (out, err)
    assert f"leftover    {folder}/dangling.bin\n    a dangling link" in out
    assert "bert-tiny@baidu-pytorch/pytorch_model.bin" in out
