"""``handoff``: what waits for a person."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mirror.cli import complete
from mirror.cli.output import emit, for_a_person, json_option, many, paint, quiet_option, remark, say, size, table
from mirror.cli.probe import holds, probed_object
from mirror.errors import WaitingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mirror.cli import Workspace
    from mirror.handoffs import Waiting

#: Shares that a pull tells in full, before they are only counted.
_SHARES = 6


@click.command()
@click.argument("selectors", metavar="[SELECTOR]...", nargs=-1, shell_complete=complete.selectors)
@click.option("--all", "everything", is_flag=True, help="Also what has arrived, and bundles of the same.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a page with links and QR codes.")
@click.option("--open", "browse", is_flag=True, help="Open each link in the browser; nothing opens by itself.")
@click.option("--strict", is_flag=True, help="End with 8 while anything waits.")
@json_option
@quiet_option
@click.pass_obj
def handoff(
    workspace: Workspace,
    selectors: tuple[str, ...],
    *,
    everything: bool,
    html: Path | None,
    browse: bool,
    strict: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Show what only a person can fetch: link, code, what should come, and whether it has.

    Baidu Pan gives files only to people who are logged in. Open a link, fetch with
    the browser or the official client, then: minibert-mirror ingest ~/Downloads. This
    sends no request to Baidu; where minibert-mirror probe was run, its answers are shown.

    \b
    minibert-mirror handoff
    minibert-mirror handoff bert-tiny --open
    minibert-mirror handoff --html handoff.html
    """
    found = workspace.mirror.handoffs(*selectors)
    shown = [one for one in found if everything or selectors or one.is_needed]
    still = [one for one in found if one.is_needed]
    if as_json:
        for one in shown:
            emit(handoff_object(one))
    elif shown:
        head, rows = ["artifact", "link", "code", "should come", "here"], [_row(one) for one in shown]
        if any(one.probed for one in shown):
            head.append("probed")
            rows = [(*row, _found(one)) for row, one in zip(rows, shown, strict=True)]
        table(head, rows)
    if html is not None:
        from mirror.cli.handoff_page import page
        from mirror.writing import replace_text

        listed = [one for one in found if one.url and (everything or selectors or not one.bundle)]
        replace_text(html, page(listed), hint="choose another place with --html")
        remark(f"written: {html}", quiet=quiet or as_json)
    if browse:
        for one in still:
            click.launch(one.url or "")
    if still:
        remark(
            f"{many(len(still), 'share')} to fetch by hand; then: {still[0].command}",
            quiet=quiet or as_json,
        )
        if strict:
            raise WaitingError(
                f"{many(len(still), 'share')} still {'waits' if len(still) == 1 else 'wait'} for a person"
            )
    elif not as_json:
        remark("nothing waits for a person", quiet=quiet)


def tell_waiting(waiting: Sequence[Waiting]) -> None:
    """Say what a person has to fetch of what a pull was told: few shares in full, many by their number."""
    if len(waiting) > _SHARES:
        has = "has links, codes, and what should come"
        say(f"{for_a_person(len(waiting))}: `minibert-mirror handoff` {has}; then: {waiting[0].command}")
    elif waiting:
        for one in waiting:
            say(f"{paint('waiting for you', fg='yellow')}: {one.artifact}")
            say(f"    {one.url}" + (f"  code {one.code}" if one.code else ""))
            say(f"    should come: {should_come(one)}")
        say(f"when {'they have' if waiting[1:] else 'it has'} come: {waiting[0].command}")


def handoff_object(one: Waiting) -> dict[str, Any]:
    """Return what ``--json`` says of a share, here and of a pull."""
    return {
        **one._asdict(),
        "expected": one.expected._asdict(),
        "probed": None if one.probed is None else probed_object(one.probed),
        "corroboration": [said._asdict() for said in one.corroboration],
        "open": one.is_open,
        "command": one.command,
    }


def _row(one: Waiting) -> tuple[str, ...]:
    here = paint(f"✓ {one.arrived}", fg="green") if one.arrived else "-"
    if one.differs_from:
        here += paint(f", differs from {one.differs_from}", fg="yellow")
    return (one.artifact, one.url or "never published", one.code or "none", should_come(one), here)


def should_come(one: Waiting) -> str:
    """Return what a share should bring: format, tensors, and its files where a probe saw them, else how large."""
    come = one.expected
    told = ["/".join(come.formats)]
    if come.tensors is not None:
        told.append(f"{come.tensors[0]} to {come.tensors[1]} tensors")
    if one.bundle:
        told.append("what other shares have")
    if listed := holds(one.probed) if one.probed is not None else "":
        return f"{', '.join(told)}: {listed}"
    if come.smallest is not None:
        told.append(f"{size(come.smallest)} to {size(come.largest)}")
    return ", ".join(told)


def _found(one: Waiting) -> str:
    """Return whether the share lives, and since when that is known."""
    return "-" if one.probed is None else f"{one.probed.outcome.value} {one.probed.at:%Y-%m-%d}"
