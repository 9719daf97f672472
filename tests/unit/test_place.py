"""Where the mirror is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mirror import place
from mirror.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def mirror_at(folder: Path) -> Path:
    (folder / "cache").mkdir(parents=True)
    (folder / "catalog.json").write_text("{}", encoding="utf-8")
    return folder


def test_a_mirror_is_found_by_walking_up(tmp_path: Path) -> None:
    root = mirror_at(tmp_path / "m")
    below = root / "a" / "b"
    below.mkdir(parents=True)
    assert place.find(None, environ={}, cwd=lambda: below).root == root


def test_a_named_one_wins_over_the_environment_and_that_over_the_working_directory(tmp_path: Path) -> None:
    here, named, other = (mirror_at(tmp_path / name) for name in ("here", "named", "other"))
    environ = {place.VARIABLE: str(other)}
    assert place.find(named, environ=environ, cwd=lambda: here).root == named
    assert place.find(None, environ=environ, cwd=lambda: here).root == other
    assert place.find(None, environ={}, cwd=lambda: here).root == here


def test_a_named_folder_that_is_no_mirror_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        place.find(tmp_path / "nothing", environ={}, cwd=lambda: tmp_path)
    assert "minibert-mirror init" in caught.value.hint


def test_without_any_mirror_it_is_the_users_own(tmp_path: Path) -> None:
    found = place.find(None, environ={"XDG_DATA_HOME": str(tmp_path / "data")}, cwd=lambda: tmp_path)
    assert found.root == tmp_path / "data" / "minibert-mirror"
    assert "your own" in found.how
    assert not found.root.exists()


def test_making_one_keeps_a_catalog_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "catalog.json").write_text("mine", encoding="utf-8")
    assert place.make(tmp_path, "built-in").catalog.read_text(encoding="utf-8") == "mine"
    with pytest.raises(UsageError, match="already"):
        place.make(tmp_path, "built-in")
