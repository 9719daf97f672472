"""Streams that are closed or full: the exit code says what was done, in one line and without a traceback."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.command import Command, program

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow  # whole commands, one after the other: seconds each


@pytest.fixture
def there(command: Command, tmp_path: Path) -> Command:
    """The command in an empty mirror."""
    command("init", "mirror")
    return command.at(tmp_path / "mirror")


def shell(here: Command, line: str) -> tuple[int, str, str]:
    """Run a line of a shell, in which ``m`` is the command."""
    script = f'm() {{ {program()} "$@"; }}; {line}'
    done = subprocess.run(
        ["bash", "-c", script], cwd=here.cwd, env=here.env, capture_output=True, text=True, timeout=60, check=False
    )
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("closing", ["2>&-", "2>/dev/full", "<&- 2>&-"])
def test_remarks_that_nobody_can_read_change_nothing(there: Command, closing: str) -> None:
    assert shell(there, f"m status {closing}")[0] == 0
    assert shell(there, f"m ls nothing-of-that-name {closing}")[0] == 2
    code, out, _ = shell(there, f"m catalog list bert-tiny {closing}")
    assert (code, "bert-tiny" in out) == (0, True)
    assert shell(there, f"m pull bert-tiny --offline {closing}")[0] == 5
    assert shell(there, f"m no-such-command {closing}")[0] == 2


@pytest.mark.parametrize(
    ("closing", "why"), [(">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")]
)
@pytest.mark.parametrize(
    "words", ["catalog list", "catalog show bert-tiny --json", "--help", "pull --help", "--version"]
)
def test_results_that_cannot_be_written_are_an_error(there: Command, words: str, closing: str, why: str) -> None:
    code, _, err = shell(there, f"m {words} {closing}")
    assert (code, err.splitlines()[0]) == (6, f"error: stdout: {why}")
    assert len(err.splitlines()) == 2


def test_a_closed_stdout_is_no_error_of_a_command_without_results(there: Command) -> None:
    assert shell(there, "m status >&-")[0] == 0


def test_all_closed(there: Command) -> None:
    assert shell(there, "m status <&- >&- 2>&-")[0] == 0
    assert shell(there, "m catalog list <&- >&- 2>&-")[0] == 6


def test_a_reader_that_has_read_enough(there: Command) -> None:
    code, out, err = shell(there, "set -o pipefail; m catalog list | head -1")
    assert (code, len(out.splitlines()), err) == (0, 1, "")
