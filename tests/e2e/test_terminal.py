"""What stands on a terminal: as wide as it is, in colours only where they are wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.terminal import on_a_terminal

if TYPE_CHECKING:
    from pathlib import Path

    from tests.command import Command

LONG = "renmada/distilbert-base-multilingual-cased"


@pytest.fixture
def there(command: Command, tmp_path: Path) -> Path:
    """The folder of an empty mirror."""
    command("init", "mirror")
    return tmp_path / "mirror"


def test_other_programs_get_names_that_are_selectors(command: Command, there: Path) -> None:
    listed = command.at(there)("catalog", "list").out.splitlines()
    names = [line.split()[0] for line in listed[1:]]
    assert LONG in names
    command.at(there)("catalog", "show", *names)


def test_a_terminal_that_is_wide_enough_shows_whole_names(there: Path) -> None:
    assert LONG in on_a_terminal("catalog", "list", cwd=there, columns=200)[1]
    assert LONG in on_a_terminal("catalog", "list", cwd=there, env={"COLUMNS": "200"})[1]


def test_a_narrow_terminal_shows_what_fits(there: Path) -> None:
    _, shown = on_a_terminal("catalog", "list", cwd=there, env={"NO_COLOR": "1"}, columns=100)
    assert LONG not in shown
    assert "renmada/disti" in shown
    assert max(map(len, shown.splitlines())) <= 100
