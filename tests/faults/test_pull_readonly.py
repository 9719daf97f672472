"""A mirror that belongs to somebody else: everything that only looks works, and a pull says what to do."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.fleet import Fleet, sailing
from tests.faults.processes import PROGRAM, Running, environment

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

_NOBODY = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
#: Lets a user read, and only read, an interpreter below somebody's home.
_READING = ("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search")


@cache
def another_user() -> tuple[str, ...]:
    """Return what runs the program as a user who owns nothing here."""
    for powers in ((), _READING):
        command = (*_NOBODY, *powers, *PROGRAM)
        try:
            done = subprocess.run([*command, "--version"], env=environment(), capture_output=True, check=False)
        except FileNotFoundError:
            break
        if done.returncode == 0:
            return command
    pytest.skip("setpriv cannot make us another user who can run this interpreter")


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    """A mirror that root has pulled one artifact into; pytest's own folders are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="shared-"))
    try:
        folder.chmod(0o755)
        with sailing(folder / "mirror", copies=1, parts=2) as fleet:
            fleet.mirror.sync("bert-0@huggingface")
            yield fleet
    finally:
        shutil.rmtree(folder)


def as_nobody(fleet: Fleet, *words: str) -> tuple[int, str, str]:
    """Run a command as another user, who has a home; return exit code, stdout and stderr."""
    home = fleet.root.parent / "home"
    home.mkdir(exist_ok=True)
    os.chown(home, 65534, 65534)
    environ = {**fleet.environ, "PYTHONDONTWRITEBYTECODE": "1", "XDG_CACHE_HOME": str(home)}
    with Running(fleet.root, *words, environ=environ, program=another_user()) as process:
        return process.end(), process.out, process.err


def contents(root: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of everything below ``root``."""
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(root.rglob("*"))}


def slow(*values: object) -> Any:
    """Return the values of a test that the default run leaves out."""
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("words", "word"),
    [
        (("status",), "bert-0@huggingface"),
        slow(("ls",), "config.json"),
        slow(("why", "bert-0@huggingface/config.json"), "config.json"),
        (("verify",), ""),
        slow(("ledger", "verify"), ""),
        slow(("du",), "blobs"),
        slow(("gc",), ""),
        (("pull", "bert-0@huggingface"), "nothing to do"),
        slow(("pull", "--all", "--dry-run"), "bert-0.zip"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_another_users_mirror_can_be_looked_at(fleet: Fleet, words: tuple[str, ...], word: str) -> None:
    before = contents(fleet.root)
    code, out, said = as_nobody(fleet, *words)
    assert code == 0, said
    assert word in out
    assert "Traceback" not in said
    assert contents(fleet.root) == before


def test_the_files_of_another_users_mirror_can_be_used_where_its_owner_laid_them_out(fleet: Fleet) -> None:
    laid = fleet.mirror.path("bert-0@huggingface")
    code, out, said = as_nobody(fleet, "path", "bert-0@huggingface")
    assert (code, Path(out.strip())) == (0, laid), said


def test_the_files_of_another_users_mirror_can_be_used_though_nobody_laid_them_out(fleet: Fleet) -> None:
    before = contents(fleet.root)
    code, out, said = as_nobody(fleet, "path", "bert-0@huggingface")
    assert code == 0, said
    assert contents(fleet.root) == before
    folder = Path(out.strip())
    held = {f.path: f.sha256 for f in fleet.mirror.files("bert-0@huggingface")}
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == set(held)
    for path, sha256 in held.items():
        assert (folder / path).samefile(fleet.mirror.store.blob_path(sha256 or ""))
    assert as_nobody(fleet, "path", "bert-0@huggingface")[1] == out


@pytest.mark.parametrize(
    "words",
    [("pull", "--all"), *map(slow, [("gc", "--yes"), ("lock",)])],
    ids=" ".join,
)
def test_what_has_to_write_says_that_the_mirror_is_somebody_elses(fleet: Fleet, words: tuple[str, ...]) -> None:
    if words == ("gc", "--yes"):
        fleet.mirror.store.publish([("ab" * 32, b"nobody needs this")])
        blob = fleet.mirror.store.blob_path("ab" * 32)
        os.utime(blob, (0, 0))
    before = contents(fleet.root)
    code, _, said = as_nobody(fleet, *words)
    assert code == 6, said
    assert "hint" in said
    assert "Traceback" not in said
    assert contents(fleet.root) == before
