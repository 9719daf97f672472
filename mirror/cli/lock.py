"""``lock``: what was pulled, as pins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mirror.cli.output import emit, json_option, many, remark

if TYPE_CHECKING:
    from mirror.cli import Workspace


@click.command()
@click.argument("selectors", metavar="[SELECTOR]...", nargs=-1)
@json_option
@click.pass_obj
def lock(workspace: Workspace, selectors: tuple[str, ...], *, as_json: bool) -> None:
    """Write what was pulled as pins into catalog.lock.json.

    Everything held, or only what SELECTORS name; other pins of the file stay. A
    later `pull --locked` takes nothing else, here or on another machine.

    \b
    minibert-mirror pull bert-tiny && minibert-mirror lock
    minibert-mirror lock source=google
    """
    written = workspace.mirror.lock_held(*selectors)
    for name, count in written.items():
        if as_json:
            emit({"artifact": name, "files": count})
    files, artifacts = many(sum(written.values()), "file"), many(len(written), "artifact")
    remark(f"pinned {files} of {artifacts} in {workspace.mirror.place.lock}", quiet=as_json)
