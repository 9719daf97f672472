"""Write ``docs/cli.md`` from the help texts; a test fails when the page is stale.

Usage: python tools/write_cli_docs.py [--check]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mirror import errors
from mirror.cli import cli

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).parents[1] / "docs" / "cli.md"

_HEAD = """# The command line

Made from `--help` by `make docs`; do not edit.

Results go to stdout, everything else to stderr. `--json` prints one object a line, in UTF-8; of a file's name that is
none, a byte `0xNN` stands there as `\\udcNN`, which Python's `os.fsencode` turns back. Ctrl-C answers at once and keeps
every partial.

## Exit codes

| code | meaning |
|---:|---|
"""

_CODES = {
    0: "done, and verified",
    errors.MirrorError.exit_code: "a bug of ours",
    errors.UsageError.exit_code: "usage: the command line asks for something that makes no sense",
    errors.CatalogError.exit_code: "the catalog, or the lock, is not what its schema says",
    errors.IntegrityError.exit_code: "integrity: bytes are here, and they are not the ones somebody promised",
    errors.SourceError.exit_code: "a source does not give what was asked for",
    errors.StoreError.exit_code: "the store cannot be read or written: disk full, read-only",
    errors.LedgerError.exit_code: "the ledger cannot be read, written or believed",
    errors.WaitingError.exit_code: "done, but something waits for a person (only with `--strict`)",
    130: "stopped by Ctrl-C or SIGTERM; every partial is kept",
}


_PROBE = """
`probe` ends with 3, 4, 5 or 8 by what it found of shares; [its page](probe.md) has the table.
"""


def page() -> str:
    """Return the text of the page."""
    codes = "".join(f"| {code} | {text} |\n" for code, text in _CODES.items())
    context = click.Context(cli, info_name="minibert-mirror", **cli.context_settings)
    return _HEAD + codes + _PROBE + "\n" + "\n".join(_sections(cli, context))


def _sections(command: click.Command, context: click.Context) -> Iterator[str]:
    context.terminal_width = context.max_content_width = 100
    level = "##" if context.parent is None or context.parent.parent is None else "###"
    yield f"{level} {context.command_path}\n\n```text\n{command.get_help(context).rstrip()}\n```\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None:
                yield from _sections(below, click.Context(below, info_name=name, parent=context))


def main() -> int:
    """Write the page, or with --check say whether it is stale."""
    text = page()
    if "--check" in sys.argv:
        return int(not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text)
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
