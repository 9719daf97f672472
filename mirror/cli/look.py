"""``status``, ``ls`` and ``path``: what is held."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mirror.cli import complete
from mirror.cli.output import emit, for_a_person, json_option, many, paint, quiet_option, remark, say, size, table

if TYPE_CHECKING:
    from pathlib import Path

    from mirror.cli import Workspace
    from mirror.status import ArtifactStatus

_COLOURS = {"pinned": "green", "attested": "green", "checked": "cyan", "first-seen": "yellow", "disputed": "red"}


@click.command()
@click.argument("selectors", metavar="[SELECTOR]...", nargs=-1, shell_complete=complete.selectors)
@click.option("--all", "everything", is_flag=True, help="Also artifacts of which nothing is held yet.")
@json_option
@quiet_option
@click.pass_obj
def status(workspace: Workspace, selectors: tuple[str, ...], *, everything: bool, as_json: bool, quiet: bool) -> None:
    """Show what is held, at which evidence level, and what waits for a person.

    \b
    minibert-mirror status                    everything that was pulled
    minibert-mirror status family=albert      one family
    """
    found = list(workspace.mirror.status(*selectors))
    if lost := _lost(workspace.ledger_path):
        remark(f"{paint('note', fg='yellow')}: {lost}; see `minibert-mirror ledger verify`", quiet=quiet)
    shown = [one for one in found if everything or selectors or one.files]
    if as_json:
        for one in shown:
            emit(one.as_json())
        return
    if shown:
        table(("artifact", "held", "size", "evidence", "revision"), [_row(one) for one in shown], right=(1, 2))
    held = sum(one.held for one in found)
    remark(f"{many(held, 'file')} held, {size(sum(one.size for one in found))}, in {workspace.root}", quiet=quiet)
    if not shown and not lost:
        remark("nothing is held yet: minibert-mirror pull bert-tiny", quiet=quiet)
    if waits := _waits(found):
        remark(f"{waits}: minibert-mirror handoff", quiet=quiet)


def _lost(ledger: Path) -> str:
    """Say that there was a ledger and is none; empty when there is one, or never was."""
    if ledger.exists():
        return ""
    from mirror.ledger.audit import gone

    return str(gone(ledger) or "")


def _waits(found: list[ArtifactStatus]) -> str:
    """Say how many wait for a person; bundles apart, since they bring nothing new and a pull of everything has none."""
    bundles = sum(one.waits and one.bundle for one in found)
    others = sum(one.waits and not one.bundle for one in found)
    if not others:
        return ""
    also = f", and so {'does' if bundles == 1 else 'do'} {many(bundles, 'bundle')} of the same" if bundles else ""
    return for_a_person(others) + also


def _row(one: ArtifactStatus) -> tuple[str, ...]:
    levels = ", ".join(paint(f"{count} {level}", fg=_COLOURS.get(level)) for level, count in sorted(one.levels.items()))
    for count, word in ((one.unsound, "unsound"), (one.disputed, "disputed"), (one.failed, "failed")):
        if count:
            levels += (", " if levels else "") + paint(f"{count} {word}", fg="red")
    for said in one.tensors[:1]:
        levels += f", {said.partition('/')[0]}"
    if one.waits:
        levels = "waits for a person" if one.url else "was never published"
    held = f"{one.held}/{one.files}" if one.files else "-"
    return (one.artifact, held, size(one.size) if one.held else "-", levels or "-", (one.revision or "-")[:12])


@click.command("ls")
@click.argument("selectors", metavar="[SELECTOR]...", nargs=-1, shell_complete=complete.selectors)
@click.option("--missing", is_flag=True, help="Also files that are known and not held.")
@click.option("--paths", is_flag=True, help="Print where each blob is, for other programs.")
@json_option
@click.pass_obj
def ls(workspace: Workspace, selectors: tuple[str, ...], *, missing: bool, paths: bool, as_json: bool) -> None:
    """List held files with their level, size and digest.

    \b
    minibert-mirror ls bert-tiny
    minibert-mirror ls source=google --paths
    """
    unsound = workspace.mirror.unsound()
    for file in workspace.mirror.files(*selectors):
        if file.state != "held" and not missing:
            continue
        where = str(workspace.mirror.store.blob_path(file.sha256)) if file.sha256 else None
        if as_json:
            emit(
                {
                    "artifact": file.artifact,
                    "path": file.path,
                    "state": file.state,
                    "size": file.size,
                    "sha256": file.sha256,
                    "level": file.level,
                    "unsound": file.sha256 in unsound,
                    "revision": file.revision,
                    "blob": where,
                }
            )
        elif paths:
            click.echo(where or f"({file.state})")
        else:
            level = paint(f"{file.level or file.state:<10}", fg=_COLOURS.get(file.level or ""))
            bad = paint("  unsound", fg="red") if file.sha256 in unsound else ""
            name = f"{file.artifact}/{file.path}{bad}"
            say(f"{level} {size(file.size):>10}  {(file.sha256 or '-')[:16]:<16}  {name}")


@click.command()
@click.argument("selector", shell_complete=complete.selectors)
@json_option
@click.pass_obj
def path(workspace: Workspace, selector: str, *, as_json: bool) -> None:
    """Print the folder of a held model or artifact, for other programs.

    \b
    minibert-mirror path bert-tiny
    ls "$(minibert-mirror path bert-tiny@huggingface)"
    """
    folder = workspace.mirror.path(selector)
    if as_json:
        emit({"selector": selector, "path": str(folder)})
    else:
        click.echo(folder)
