"""``lock``: what was pulled, as pins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mirror.cli import complete
from mirror.cli.output import emit, json_option, many, quiet_option, remark, say

if TYPE_CHECKING:
    from mirror.cli import Workspace


@click.command()
@click.argument("selectors", metavar="[SELECTOR]...", nargs=-1, shell_complete=complete.selectors)
@click.option("-n", "--dry-run", is_flag=True, help="Print what would be pinned, change nothing.")
@json_option
@quiet_option
@click.pass_obj
def lock(workspace: Workspace, selectors: tuple[str, ...], *, dry_run: bool, as_json: bool, quiet: bool) -> None:
    """Write what was pulled as pins into catalog.lock.json.

    Everything held, or only what SELECTORS name; other pins of the file stay. A
    later `pull --locked` takes nothing else, here or on another machine.

    \b
    minibert-mirror pull bert-tiny && minibert-mirror lock
    minibert-mirror lock source=google --dry-run
    """
    if dry_run:
        written = {one.artifact: one.held for one in workspace.mirror.status(*selectors) if one.held}
    else:
        written = workspace.mirror.lock_held(*selectors)
    for name, count in written.items():
        if as_json:
            emit({"artifact": name, "files": count})
        elif dry_run:
            say(f"{name}: {many(count, 'file')}")
    files, artifacts = many(sum(written.values()), "file"), many(len(written), "artifact")
    done = "would pin" if dry_run else "pinned"
    remark(f"{done} {files} of {artifacts} in {workspace.mirror.place.lock}", quiet=quiet or as_json)
