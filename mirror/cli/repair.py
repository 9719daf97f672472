"""``repair``: mend what was found bad."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mirror.cli import complete
from mirror.cli.output import emit, json_option, many, paint, quiet_option, remark, say, size
from mirror.cli.pull import parse_rate

if TYPE_CHECKING:
    from mirror.cli import Workspace
    from mirror.repair import Mended, Repaired


@click.command()
@click.argument("selectors", metavar="[SELECTOR]...", nargs=-1, shell_complete=complete.selectors)
@click.option("-j", "--jobs", type=click.IntRange(1, 64), default=48, show_default=True, help="Most transfers at once.")
@click.option("--limit-rate", callback=parse_rate, metavar="RATE", help="Bytes a second over all: 500k, 2M.")
@json_option
@quiet_option
@click.pass_obj
def repair(workspace: Workspace, /, selectors: tuple[str, ...], *, as_json: bool, quiet: bool, **options: Any) -> None:
    """Fetch again what verify found bad, and only that.

    Of a large file only the damaged blocks come over the wire: the others are taken from
    its copy in the quarantine. The whole is judged by its sha256 before it is offered
    again. A repair that was stopped goes on where it was.

    \b
    minibert-mirror verify ; minibert-mirror repair      everything
    minibert-mirror repair bert-tiny
    """
    from mirror.progress import watching

    with watching(quiet=quiet or as_json) as watch:
        outcome = workspace.mirror.repair(*selectors, watch=watch, **options)
    for mended in outcome.mended:
        _tell(mended, as_json=as_json)
    if outcome.problems:
        _tell_problems(outcome, as_json=as_json)
    remark(_summary(outcome), quiet=quiet or as_json)
    if (gravest := outcome.gravest()) is not None:
        # Every problem is told above: the error's own text would say one of them twice.
        click.get_current_context().exit(gravest.exit_code)


def _tell(mended: Mended, *, as_json: bool) -> None:
    if as_json:
        emit(
            {
                "mended": str(mended.file),
                "sha256": mended.sha256,
                "size": mended.size,
                "kept": mended.kept,
                "fetched": mended.fetched,
            }
        )
        return
    kept = f", {size(mended.kept)} kept of a damaged copy" if mended.kept else ""
    say(f"{paint('mended', fg='green')}  {mended.file}: {size(mended.fetched)} fetched{kept}")


def _tell_problems(outcome: Repaired, *, as_json: bool) -> None:
    if not as_json:
        from mirror.cli.problems import show

        show(outcome.problems)
        return
    for subject, error in outcome.problems:
        told = {"message": str(error), "hint": error.hint, "exit_code": error.exit_code}
        emit({"problem": subject, "error": type(error).__name__, **told})


def _summary(outcome: Repaired) -> str:
    again = f"; {many(outcome.adopted, 'blob')} intact after all" if outcome.adopted else ""
    if not (outcome.mended or outcome.problems or outcome.adopted):
        return "nothing is known to be bad; `minibert-mirror verify` reads every byte"
    whole = size(sum(mended.size for mended in outcome.mended))
    return f"{many(len(outcome.mended), 'blob')} mended: {size(outcome.wire_bytes)} of {whole} fetched{again}"
