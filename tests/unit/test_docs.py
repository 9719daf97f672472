"""The documentation says what the program does."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

import mirror
from mirror import errors
from mirror.cli import COMMANDS, cli

ROOT = Path(__file__).parents[2]


def test_the_page_of_the_command_line_is_not_stale() -> None:
    done = subprocess.run([sys.executable, "tools/write_cli_docs.py", "--check"], cwd=ROOT, check=False)
    assert done.returncode == 0, "run `make docs`"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_of_commands_has_each_command_and_its_short_help(name: str) -> None:
    module, text = COMMANDS[name]
    command = getattr(importlib.import_module(f"mirror.cli.{module}"), name)
    assert isinstance(command, click.Command)
    assert command.get_short_help_str(200).rstrip(".") == text.rstrip(".")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_examples(name: str) -> None:
    context = click.Context(cli, info_name="minibert-mirror")
    command = cli.get_command(context, name)
    assert command is not None
    assert "minibert-mirror" in (command.help or "")


def test_every_exit_code_is_on_the_page() -> None:
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    families = {
        value.exit_code
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.MirrorError)
    }
    for code in families | {0, 130}:
        assert f"| {code} |" in page


def test_every_link_between_pages_leads_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_version_in_the_changelog_is_not_behind() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## Unreleased" in changelog or f"## {mirror.__version__}" in changelog
