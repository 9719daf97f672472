"""``verify``: judge again what is held."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mirror.cli.output import emit, json_option, many, quiet_option, remark, size
from mirror.errors import IntegrityError

if TYPE_CHECKING:
    from mirror.cli import Workspace


@click.command()
@click.argument("selectors", metavar="[SELECTOR]...", nargs=-1)
@click.option(
    "--level",
    type=click.Choice(["stat", "digest"]),
    default="digest",
    show_default=True,
    help="stat: there, with its size. digest: every byte is read.",
)
@json_option
@quiet_option
@click.pass_obj
def verify(workspace: Workspace, selectors: tuple[str, ...], *, level: str, as_json: bool, quiet: bool) -> None:
    """Read held files again and compare them with what was recorded.

    Opens no socket. A blob whose bytes changed goes to the quarantine, so that no
    program takes it for the real one; the next pull fetches it again.

    \b
    minibert-mirror verify                    everything, every byte
    minibert-mirror verify --level stat       quick: is all there?
    minibert-mirror verify bert-tiny
    """
    bad = good = 0
    read = 0
    for finding in workspace.mirror.verify(*selectors, level=level):
        verdict = finding.verdict
        good += verdict.ok
        bad += not verdict.ok
        read += verdict.subject.size
        if as_json:
            emit(
                {
                    "sha256": verdict.subject.sha256,
                    "status": verdict.status.value,
                    "level": level,
                    "actual": verdict.actual,
                    "damage": [list(span) for span in verdict.damage],
                    "files": list(finding.files),
                }
            )
        elif not verdict.ok:
            where = f", damaged bytes {', '.join(f'{a}–{b}' for a, b in verdict.damage[:5])}" if verdict.damage else ""
            click.echo(f"{click.style(verdict.status.value, fg='red')}  {', '.join(finding.files)}{where}")
    remark(f"{many(good, 'blob')} intact, {bad} not; {size(read)} at level {level}", quiet=quiet or as_json)
    if bad:
        raise IntegrityError(
            f"{many(bad, 'blob')} {'is' if bad == 1 else 'are'} not what was recorded",
            hint="`minibert-mirror pull` of the same names fetches them again",
        )
