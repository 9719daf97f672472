"""``gc`` and ``du``: room."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mirror.cli.output import emit, json_option, many, quiet_option, remark, say, size

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from mirror.cli import Workspace
    from mirror.store import GcItem, GcPlan


@click.command()
@click.option("--yes", is_flag=True, help="Delete; without it nothing is touched.")
@click.option("-n", "--dry-run", is_flag=True, help="Only show what would go, as without --yes.")
@click.option("--quarantine", is_flag=True, help="Also the evidence of disputed files.")
@click.option("--partials", type=click.FloatRange(min=0), metavar="DAYS", help="Also partials untouched for DAYS.")
@json_option
@quiet_option
@click.pass_obj
def gc(
    workspace: Workspace,
    *,
    yes: bool,
    dry_run: bool,
    quarantine: bool,
    partials: float | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Show, and with --yes delete, what no artifact needs.

    A blob that any recorded artifact or the lock needs is never deleted, nor one
    of the last minute, nor a partial that a living process writes.

    \b
    minibert-mirror gc                    what would go
    minibert-mirror gc --yes              delete it
    minibert-mirror gc --partials 30      also unfinished files of a month ago
    """
    if yes and dry_run:
        raise click.UsageError("--yes deletes and --dry-run does not: say one of them")
    plan = workspace.mirror.plan_gc(quarantine=quarantine, partial_days=partials)
    gone = set(workspace.mirror.run_gc(plan)) if yes else set()
    for item in plan.items:
        if as_json:
            deleted = item in gone
            emit({"kind": item.kind, "path": str(item.path), "size": item.size, "why": item.why, "deleted": deleted})
        else:
            say(f"{item.kind:<10} {size(item.size):>10}  {item.path}  ({item.why})")
    remark(_summary(plan, gone, yes=yes), quiet=quiet or as_json)
    if plan.new:
        words = "is kept for now: it is" if plan.new == 1 else "are kept for now: they are"
        remark(f"{many(plan.new, 'blob')} that nothing needs {words} less than a minute old", quiet=quiet or as_json)


def _summary(plan: GcPlan, gone: AbstractSet[GcItem], *, yes: bool) -> str:
    """Return what was done, or what could be."""
    if yes and plan.items:
        return f"deleted {many(len(gone), 'thing')}, {size(sum(item.size for item in gone))}"
    if plan.items:
        return f"{many(len(plan.items), 'thing')}, {size(plan.size)}, could go: minibert-mirror gc --yes"
    return "nothing to delete" if plan.new else "nothing to delete: every blob is needed"


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
        say(f"{size(count):>10}  {name.replace('_', ' ')}")
