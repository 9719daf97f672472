"""What the system takes away from any command: its folder, open files, the size of files."""

from __future__ import annotations

import resource
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests import catalogs
from tests.faults.processes import PROGRAM, environment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow  # whole commands, one after the other: seconds each


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A mirror that has nothing yet, of three files in a folder."""
    names = ["a.txt", "b.txt", "c.txt"]
    (tmp_path / "outside").mkdir()
    for name in names:
        (tmp_path / "outside" / name).write_bytes(name.encode() * 50_000)
    root = tmp_path / "mirror"
    (root / "cache").mkdir(parents=True)
    files = [catalogs.file(name, (tmp_path / "outside" / name).as_uri()) for name in names]
    source = catalogs.http(*files, url=(tmp_path / "outside").as_uri())
    (root / "catalog.json").write_text(catalogs.text(catalogs.model("x", source)), encoding="utf-8")
    return root


def call(*words: str, cwd: Path, limit: Callable[[], None] | None = None) -> tuple[int, str]:
    """Run a command; return its exit code and what it says."""
    done = subprocess.run(
        [*PROGRAM, *words],
        cwd=cwd,
        env=environment(),
        preexec_fn=limit,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stderr


@pytest.mark.parametrize("words", ["status", "ls", "pull --all", "init deeper", "demo --dir x", "verify"])
def test_a_working_directory_that_is_gone(tmp_path: Path, words: str) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    code, err = call(*words.split(), cwd=gone, limit=gone.rmdir)
    assert (code, err.splitlines()[0]) == (2, "error: the working directory is gone")


def test_a_mirror_that_is_named_in_full_needs_no_working_directory(root: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    assert call("--mirror", str(root), "pull", "--all", cwd=gone, limit=gone.rmdir)[0] == 0


@pytest.mark.parametrize("count", [6, 8, 9, 11, 12])
def test_too_few_open_files_are_said_to_be_too_few(root: Path, count: int) -> None:
    limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))  # noqa: E731
    code, err = call("pull", "--all", cwd=root, limit=limit)
    assert (code, "ulimit -n" in err) == (6, True), err
    code, err = call("pull", "--all", cwd=root)
    assert code == 0, err


@pytest.mark.parametrize("size", [0, 1 << 10, 8 << 10, 64 << 10, 128 << 10])
def test_a_limit_on_file_sizes_is_a_full_disk(root: Path, size: int) -> None:
    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    code, err = call("pull", "--all", cwd=root, limit=limit)
    assert (code, "free space" in err) == (6, True), err
    assert call("pull", "--all", cwd=root)[0] == 0
