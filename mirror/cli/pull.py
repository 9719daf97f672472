"""``pull``: fetch, verify and record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mirror.cli import complete
from mirror.cli.output import (
    and_more,
    brief,
    emit,
    json_option,
    many,
    paint,
    quiet_option,
    remark,
    say,
    size,
)
from mirror.errors import UnsoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mirror.cli import Workspace
    from mirror.handoffs import Waiting
    from mirror.model import RemoteFile
    from mirror.plan import Plan
    from mirror.sync.outcome import Outcome, Problem

#: Lines of a dry run before the rest is only counted.
_LINES = 40
#: Warnings about weights before the rest is only counted.
_FINDINGS = 5


def parse_rate(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """Return ``2M`` or ``500k`` as bytes per second (powers of 1024, as curl and wget have it)."""
    if value is None:
        return None
    scale = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}.get(value[-1:].lower())
    try:
        rate = float(value[:-1]) * scale if scale else float(value)
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise click.BadParameter(f"{value!r} is no rate; write 500k, 2M or 1.5G")
    return rate


def split_names(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[str, ...]:
    """Return the names of a comma-separated list."""
    return tuple(name.strip() for name in (value or "").split(",") if name.strip())


@click.command()
@click.argument("selectors", metavar="[SELECTOR]...", nargs=-1, shell_complete=complete.selectors)
@click.option("--all", "everything", is_flag=True, help="Every artifact of every model.")
@click.option(
    "--source",
    callback=split_names,
    shell_complete=complete.source_names,
    metavar="NAMES",
    help="Only from these: huggingface,google,paddle.",
)
@click.option(
    "--format",
    "formats",
    callback=split_names,
    shell_complete=complete.format_names,
    metavar="NAMES",
    help="Only these weight formats of a repository, with config, tokenizer and licence.",
)
@click.option("-n", "--dry-run", is_flag=True, help="Print what would be done, and do nothing.")
@click.option("--update", is_flag=True, help="Ask the sources again what they have; show what changed.")
@click.option("--offline", is_flag=True, help="Open no socket: fail for what is not held.")
@click.option("--locked", is_flag=True, help="Take nothing that is not pinned.")
@click.option(
    "--from",
    "peer",
    metavar="PEER",
    help="Another mirror, asked first: the http(s) address or the folder of its cache/.",
)
@click.option("-j", "--jobs", type=click.IntRange(1, 64), default=48, show_default=True, help="Most transfers at once.")
@click.option("--limit-rate", callback=parse_rate, metavar="RATE", help="Bytes a second over all: 500k, 2M.")
@click.option(
    "--stall",
    type=click.FloatRange(min=0.1),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Drop a connection that brings nothing for so long, and ask again.",
)
@click.option(
    "--retries",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    metavar="N",
    help="Tries in a row that may bring a file no new byte before it is given up.",
)
@click.option(
    "--retry-pause",
    type=click.FloatRange(min=0.0),
    default=0.5,
    show_default=True,
    metavar="SECONDS",
    help="Pause before the first retry; each further one is twice as long.",
)
@click.option("--no-verify", is_flag=True, help="Do not look inside archives and weights.")
@click.option("--strict", is_flag=True, help="Exit with 8 when something waits for a person.")
@json_option
@quiet_option
@click.pass_obj
def pull(
    workspace: Workspace,
    /,
    selectors: tuple[str, ...],
    *,
    everything: bool,
    source: tuple[str, ...],
    strict: bool,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Fetch, verify and record what SELECTORS name.

    What is held is not asked for again; a pull that was stopped goes on where it
    was. One bad file never stops the rest.

    \b
    minibert-mirror pull bert-tiny                    from every source that has it
    minibert-mirror pull bert-tiny@google 2/256       one artifact, one whole model
    minibert-mirror pull family=albert lang=zh        Chinese ALBERT
    minibert-mirror pull --all --format safetensors   narrow repositories to one format
    minibert-mirror pull --all --dry-run              what would be done
    """
    if not selectors and not everything and not source:
        raise click.UsageError("name what to pull, or say --all; `minibert-mirror catalog list` has the names")
    from mirror.progress import watching

    mirror = workspace.mirror
    if source:
        selectors = (*selectors, f"source={','.join(source)}")
    remark(f"mirror: {mirror.place.root} ({mirror.place.how})", quiet=quiet or as_json)
    with watching(quiet=quiet or as_json) as watch:
        outcome = mirror.sync(*selectors, everything=everything, watch=watch, **options)
    for note in outcome.notes:
        _tell_note(note, as_json=as_json, quiet=quiet)
    if outcome.problems:
        _tell_problems(outcome, as_json=as_json)
    names = outcome.plan.waiting if outcome.plan is not None else ()
    waiting = mirror.handoffs(*names) if names else []
    if options["dry_run"] and outcome.plan is not None:
        _print_plan(outcome.plan, waiting, as_json=as_json)
    elif as_json:
        _print_json(outcome, waiting)
    else:
        _print_summary(outcome, waiting, quiet=quiet)
    if (gravest := outcome.gravest()) is not None:
        # Every problem is told above: the error's own text would say one of them twice.
        click.get_current_context().exit(gravest.exit_code)
    outcome.raise_for_problems(strict=strict)


def _tell_note(note: str, *, as_json: bool, quiet: bool) -> None:
    if as_json:
        emit({"note": note})
    else:
        remark(f"{paint('note', fg='yellow')}: {brief(note)}", quiet=quiet)


def _tell_problems(outcome: Outcome, *, as_json: bool) -> None:
    if not as_json:
        from mirror.cli.problems import show

        show(outcome.problems)
    for problem in outcome.problems if as_json else ():
        _print_problem(problem)


def _print_plan(plan: Plan, waiting: Sequence[Waiting], *, as_json: bool) -> None:
    if as_json:
        for task in plan.fetch:
            for file in (task.file, *task.twins):
                emit({"fetch": str(file), "size": file.size, "urls": list(file.urls), "claims": _claims(file)})
        for adoption in plan.adopt:
            emit({"adopt": str(adoption.file), "sha256": adoption.sha256})
        for told in _objects(waiting):
            emit({"waiting": told})
        return
    lines = [
        f"fetch  {size(t.file.size):>10}  {t.file}" + (f" and {len(t.twins)} more" if t.twins else "")
        for t in plan.fetch
    ]
    lines += [f"record {'':>10}  {adoption.file} (its bytes are here)" for adoption in plan.adopt]
    for line in lines[:_LINES]:
        say(line)
    if len(lines) > _LINES:
        say(f"… and {len(lines) - _LINES} more; --json lists all")
    unknown = f" and {many(plan.unknown_sizes, 'file')} of unknown size" if plan.unknown_sizes else ""
    say(
        f"to fetch: {many(len(plan.fetch), 'file')}, {size(plan.bytes_to_fetch)}{unknown}; "
        f"held: {many(plan.held_files, 'file')}, {size(plan.held_bytes)}"
    )
    _tell_waiting(waiting)


def _claims(file: RemoteFile) -> list[str]:
    return [str(claim) for claim in file.claims]


def _print_problem(problem: Problem) -> None:
    error = problem.error
    emit(
        {
            "problem": problem.subject,
            "error": type(error).__name__,
            "message": str(error),
            "hint": error.hint,
            "exit_code": error.exit_code,
        }
    )


def _print_json(outcome: Outcome, waiting: Sequence[Waiting]) -> None:
    for change in outcome.changes:
        emit(
            {
                "changed": change.artifact,
                "before": change.before,
                "after": change.after,
                "added": list(change.added),
                "paths_changed": list(change.changed),
                "removed": list(change.removed),
            }
        )
    plan = outcome.plan
    emit(
        {
            "stored": outcome.stored,
            "adopted": outcome.adopted,
            "held": plan.held_files if plan else 0,
            "wire_bytes": outcome.wire_bytes,
            "levels": outcome.levels,
            "sound": outcome.sound,
            "findings": outcome.findings,
            "unchecked": outcome.unchecked,
            "problems": len(outcome.problems),
            "waiting": _objects(waiting),
            "seconds": round(outcome.seconds, 3),
        }
    )


def _print_summary(outcome: Outcome, waiting: Sequence[Waiting], *, quiet: bool) -> None:
    for change in outcome.changes:
        say(
            f"{change.artifact}: {_revisions(change.before, change.after)}"
            f"{len(change.added)} added, {len(change.changed)} changed, {len(change.removed)} removed"
        )
    plan = outcome.plan
    if plan is None or quiet:
        return
    if plan.empty and all(isinstance(problem.error, UnsoundError) for problem in outcome.problems):
        verb = "is" if plan.held_files == 1 else "are"
        nothing = "nothing to fetch" if outcome.problems or outcome.sound else "nothing to do"
        say(f"{nothing}: {many(plan.held_files, 'file')} {verb} held, {size(plan.held_bytes)}")
    else:
        levels = ", ".join(f"{count} {level}" for level, count in sorted(outcome.levels.items()))
        came = [f"{many(outcome.stored, 'file')} came"] if outcome.stored else []
        came += [f"{many(outcome.adopted, 'file')} needed no transfer"] if outcome.adopted else []
        say(
            f"{', '.join(came) or 'nothing came'}{f' ({levels})' if levels else ''}, "
            f"{size(outcome.wire_bytes)} in {outcome.seconds:.1f} s; held before: {plan.held_files}"
        )
    if outcome.sound:
        say(f"{many(outcome.sound, 'weight file')} opened and found sound")
    for finding in outcome.findings[:_FINDINGS]:
        say(f"{paint('strange', fg='yellow')} {finding}")
    if (rest := len(outcome.findings) - _FINDINGS) > 0:
        say(f"… and {rest} more; `minibert-mirror why FILE` tells everything")
    for what, names in outcome.unchecked.items():
        say(f"{paint('unchecked', fg='yellow')} {what}: {and_more(names)}")
    _tell_waiting(waiting)


def _objects(waiting: Sequence[Waiting]) -> list[dict[str, Any]]:
    if not waiting:
        return []
    from mirror.cli.handoff import handoff_object  # most pulls have nothing that waits

    return [handoff_object(one) for one in waiting]


def _tell_waiting(waiting: Sequence[Waiting]) -> None:
    if not waiting:
        return
    from mirror.cli.handoff import tell_waiting

    tell_waiting([one for one in waiting if one.url])
    for one in waiting:
        if not one.url:
            say(f"{one.artifact} was never published: there is no address to fetch it from")


def _revisions(before: str | None, after: str | None) -> str:
    if before == after:
        return ""
    return f"{(before or 'none')[:12]} → {(after or 'none')[:12]}, "
