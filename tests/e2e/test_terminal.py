"""What stands on a terminal: as wide as it is, in colours only where they are wanted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.terminal import on_a_terminal

if TYPE_CHECKING:
    from tests.command import Command

pytestmark = pytest.mark.slow  # whole commands, one after the other: seconds each

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


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
@pytest.mark.parametrize("words", ["catalog list", "status --all", "pull bert-tiny --offline", "doctor --offline"])
def test_colours_are_left_out_where_they_are_not_wanted(there: Path, env: dict[str, str], words: str) -> None:
    assert "\x1b" in on_a_terminal(*words.split(), cwd=there, env={"NO_COLOR": ""})[1]
    assert "\x1b" not in on_a_terminal(*words.split(), cwd=there, env=env)[1]


_WATCHED = """
import sys, time
from mirror.model import RemoteFile
from mirror.progress import draw, watching
from mirror.sync.outcome import Planned
from mirror.transfer.events import Started
draw._LINE_EVERY = 0.3
file = RemoteFile("a@b", "f.bin", ("https://h/f",), 100 << 20)
with watching(quiet=False) as watch:
    watch(Planned(1, 100 << 20))
    watch(Started(file, 100 << 20, 0))
    time.sleep(1.0)
"""


def test_a_dumb_terminal_gets_lines_for_bars(tmp_path: Path) -> None:
    assert "\r" in on_a_terminal(cwd=tmp_path, program=_WATCHED)[1]
    _, shown = on_a_terminal(cwd=tmp_path, program=_WATCHED, env={"TERM": "dumb"})
    assert "0/1 files, 0.0/100.0 MiB\n" in shown
    assert not {"\r", "\x1b"} & set(shown)


@pytest.mark.parametrize("name", ["HF_HOME", "HF_TOKEN_PATH", ""])
def test_doctor_says_that_the_token_of_another_program_is_not_read(command: Command, there: Path, name: str) -> None:
    home = Path(command.env["HOME"])
    kept = home / ("elsewhere" if name else ".cache/huggingface") / "token"
    kept.parent.mkdir(parents=True)
    kept.write_text("hf_secret")
    env = {name: str(kept if name == "HF_TOKEN_PATH" else kept.parent)} if name else {}
    out = command.at(there, **env)("doctor", "--offline", code=None).out
    assert "no token" in out
    assert 'export HF_TOKEN="$(hf auth token)"' in out
    assert "hf_secret" not in out
    given = command.at(there, **env, HF_TOKEN="hf_other")("doctor", "--offline", code=None).out
    assert "a token is set" in given
    assert "hf auth token" not in given
