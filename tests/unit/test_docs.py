"""The documentation says what the program does."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

import mirror
from mirror import errors
from mirror.cli import COMMANDS, cli

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]


def test_the_page_of_the_command_line_is_not_stale() -> None:
    done = subprocess.run([sys.executable, "tools/write_cli_docs.py", "--check"], cwd=ROOT, check=False)
    assert done.returncode == 0, "run `make docs`"


def test_the_page_of_the_command_line_shows_both_ways_to_ask_for_help() -> None:
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert page.count("\n  -h, --help ") == page.count("\nUsage: minibert-mirror")
    assert "Usage: " in CliRunner().invoke(cli, ["-h"]).output


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_of_commands_has_each_command_and_its_short_help(name: str) -> None:
    module, text = COMMANDS[name]
    command = getattr(importlib.import_module(f"mirror.cli.{module}"), name)
    assert isinstance(command, click.Command)
    assert command.get_short_help_str(200).rstrip(".") == text.rstrip(".")


def commands(group: click.Group = cli, path: str = "minibert-mirror") -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, with the words that call it."""
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        elif command is not None:
            yield f"{path} {name}", command


@pytest.mark.parametrize(("words", "command"), [*commands()])
def test_every_command_has_what_the_readme_says(words: str, command: click.Command) -> None:
    assert words in (command.help or ""), "an example of its own"
    options = {option for parameter in command.params for option in parameter.opts}
    assert ("--json" in options) == (words != "minibert-mirror completion")


def test_every_exit_code_is_on_the_page() -> None:
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    families = {
        value.exit_code
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.MirrorError)
    }
    for code in families | {0, 130}:
        assert f"| {code} |" in page


def test_every_failure_of_a_source_says_what_to_do() -> None:
    for error in [*errors.SourceError.__subclasses__(), *errors.StatusError.__subclasses__()]:
        assert error.hint, error
    assert "minibert-mirror handoff" in errors.WaitingError.hint
    assert "--size" in errors.OversizeError.hint


def test_every_link_between_pages_leads_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_version_in_the_changelog_is_not_behind() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## Unreleased" in changelog or f"## {mirror.__version__}" in changelog
