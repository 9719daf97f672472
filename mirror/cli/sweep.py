"""``gc`` and ``du``: room."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mirror.cli.output import emit, json_option, many, remark, size

if TYPE_CHECKING:
    from mirror.cli import Workspace


@click.command()
@click.option("--yes", is_flag=True, help="Delete; without it nothing is touched.")
@click.option("--quarantine", is_flag=True, help="Also the evidence of disputed files.")
@click.option("--partials", type=click.FloatRange(min=0), metavar="DAYS", help="Also partials untouched for DAYS.")
@json_option
@click.pass_obj
def gc(workspace: Workspace, *, yes: bool, quarantine: bool, partials: float | None, as_json: bool) -> None:
    """Show, and with --yes delete, what no artifact needs.

    A blob that any recorded artifact or the lock needs is never deleted, nor a
    partial that a living process writes.

    \b
    minibert-mirror gc                    what would go
    minibert-mirror gc --yes              delete it
    minibert-mirror gc --partials 30      also unfinished files of a month ago
    """
    plan = workspace.mirror.plan_gc(quarantine=quarantine, partial_days=partials)
    gone = set(workspace.mirror.run_gc(plan)) if yes else set()
    for item in plan.items:
        if as_json:
            deleted = item in gone
            emit({"kind": item.kind, "path": str(item.path), "size": item.size, "why": item.why, "deleted": deleted})
        else:
            click.echo(f"{item.kind:<10} {size(item.size):>10}  {item.path}  ({item.why})")
    total = sum(item.size for item in plan.items)
    if yes:
        remark(f"deleted {many(len(gone), 'thing')}, {size(sum(item.size for item in gone))}", quiet=as_json)
    elif plan.items:
        remark(f"{many(len(plan.items), 'thing')}, {size(total)}, could go: minibert-mirror gc --yes", quiet=as_json)
    else:
        remark("nothing to delete: every blob is needed", quiet=as_json)


@click.command()
@json_option
@click.pass_obj
def du(workspace: Workspace, *, as_json: bool) -> None:
    """Show how much room the mirror takes.

    \b
    minibert-mirror du
    """
    usage = workspace.mirror.du()
    rows = {
        "blobs": usage.blobs,
        "partial": usage.partial,
        "quarantine": usage.quarantine,
        "other": usage.other,
        "total": usage.total,
        "on_disk": usage.allocated,
    }
    if as_json:
        emit(rows)
        return
    for name, count in rows.items():
        click.echo(f"{size(count):>10}  {name.replace('_', ' ')}")
