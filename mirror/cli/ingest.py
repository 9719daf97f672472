"""``ingest``: take in what a person fetched."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mirror.cli.output import emit, json_option, judged, many, paint, quiet_option, remark, say, size
from mirror.compare.finding import Soundness
from mirror.errors import DisputedError, IntegrityError, WaitingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mirror.cli import Workspace
    from mirror.errors import MirrorError
    from mirror.ingest import Ingested, Left, Plan, Take

_COLOURS = {"held": "green", "unknown": "yellow", "leftover": "yellow", "refused": "red", "disputed": "red"}

_WAYS = {
    "reflink": "reflinked",
    "hardlink": "hard-linked: your copy is read-only now",
    "copy": "copied",
    "held": "held already",
}


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--as", "named", metavar="ARTIFACT", help="All of it is this artifact's: bert-tiny@baidu-pytorch.")
@click.option(
    "--watch",
    is_flag=True,
    help="Keep looking at PATH, one folder, and take what comes when it has stopped growing; Ctrl-C ends it.",
)
@click.option(
    "--link-mode",
    "link",
    type=click.Choice(["auto", "reflink", "hardlink", "copy"]),
    default="auto",
    show_default=True,
    help="How bytes get into the store. auto: a reflink where the file system can, else a copy. hardlink: only your "
    "own files, on the store's file system; YOUR COPY BECOMES READ-ONLY, and whoever changes it damages the store. "
    "What is in archives, or up to 1 MiB, is copied in any mode.",
)
@click.option("-n", "--dry-run", is_flag=True, help="Print what each file is and what would be done, change nothing.")
@click.option("--strict", is_flag=True, help="End with 8 while shares still wait for a person.")
@json_option
@quiet_option
@click.pass_obj
def ingest(
    workspace: Workspace,
    paths: tuple[Path, ...],
    *,
    named: str | None,
    watch: bool,
    link: str,
    dry_run: bool,
    strict: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Take in what you fetched by hand, recognised by its content, whatever it is called.

    PATH is a file, a folder or an archive, in any nesting: a browser's downloads, a colleague's
    copy, an old Hugging Face cache. What has the bytes of a file that somebody promised is that
    file; of other weights the tensors say which model they are, and which share they answer.
    Weights are judged before they are taken. Your files are only read (but for
    --link-mode hardlink): what is unknown or damaged stays where it is, and is named. A second run finds nothing to do.

    \b
    minibert-mirror ingest ~/Downloads
    minibert-mirror ingest "uncased_L-2_H-128_A-2 (1).zip" --dry-run
    minibert-mirror ingest ~/.cache/huggingface/hub
    minibert-mirror ingest ~/Downloads --watch
    minibert-mirror ingest odd.bin --as bert-tiny@baidu-pytorch
    """
    mirror = workspace.mirror
    if watch:
        if dry_run or len(paths) != 1 or not paths[0].is_dir():
            raise click.UsageError("--watch takes one folder, and no --dry-run")
        remark(f"watching {paths[0]}; Ctrl-C ends it", quiet=quiet or as_json)
        for done in mirror.watch(paths[0], named=named, link=link):
            tell(workspace, done, as_json=as_json, quiet=quiet or not done.taken)
        return
    if dry_run:
        plan = mirror.look_through(*paths, named=named)
        for one in plan.takes:
            _tell_take(one, None, None, as_json=as_json)
        _tell_left(plan, as_json=as_json, quiet=quiet)
        _sum_up(plan.takes, quiet=quiet or as_json)
        verdict(plan, [], dry_run=True)
        return
    done = mirror.ingest(*paths, named=named, link=link)
    unsound, still = tell(workspace, done, as_json=as_json, quiet=quiet)
    verdict(done.plan, done.problems, unsound)
    if strict and still:
        raise WaitingError(f"{many(still, 'share')} still {'waits' if still == 1 else 'wait'} for a person")


def tell(workspace: Workspace, done: Ingested, *, as_json: bool, quiet: bool) -> tuple[list[str], int]:
    """Print what came of an ingest; return the names of what is unsound, and how many shares still wait."""
    for one in done.taken:
        _tell_take(one.take, one.judged.evidence.level.value, one.way, as_json=as_json)
    _tell_left(done.plan, as_json=as_json, quiet=quiet)
    _tell_problems(done, as_json=as_json)
    _sum_up([one.take for one in done.taken], quiet=quiet or as_json)
    unsound = _prove(workspace, done, as_json=as_json, quiet=quiet)
    still = sum(one.is_needed for one in workspace.mirror.handoffs())
    if still:
        remark(f"{many(still, 'share')} still to fetch: minibert-mirror handoff", quiet=quiet or as_json)
    return unsound, still


def _tell_take(one: Take, level: str | None, way: str | None, *, as_json: bool) -> None:
    """Print one that is taken in; ``level`` and ``way`` are None while it is only planned."""
    if as_json:
        emit(
            {
                "name": one.find.name,
                "status": "taken" if level is not None else "would be taken",
                "artifact": one.file.artifact,
                "path": one.file.path,
                "size": one.find.size,
                "sha256": one.find.sha256,
                "level": level,
                "way": way,
                "share": one.share,
                "why": one.why,
            }
        )
        return
    how = f", {_WAYS[way]}" if way is not None else ""
    head = paint(f"{level or 'to take':<10}", fg="green")
    say(f"{head}  {one.file}  {size(one.find.size)}{how}")
    say(f"    {one.find.name}{f': {one.why}' if one.find.kind else ''}")  # texts come along with weights


def _tell_left(plan: Plan, *, as_json: bool, quiet: bool) -> None:
    for one in plan.left:
        if as_json:
            emit({"name": one.name, "status": one.status, "artifact": one.artifact, "why": one.why})
        else:
            say(f"{paint(f'{one.status:<10}', fg=_COLOURS[one.status])}  {one.name}")
            say(f"    {one.why}")
    if plan.others:
        remark(f"{many(plan.others, 'other file')} left alone", quiet=quiet or as_json)


def _sum_up(takes: list[Take], *, quiet: bool) -> None:
    if not takes:
        remark("nothing new to take in", quiet=quiet)
        return
    total, artifacts = sum(one.find.size for one in takes), len({one.file.artifact for one in takes})
    remark(f"{many(len(takes), 'file')} of {many(artifacts, 'artifact')}, {size(total)}", quiet=quiet)


def _tell_problems(done: Ingested, *, as_json: bool) -> None:
    for name, error in done.problems:
        status = "disputed" if isinstance(error, DisputedError) else "leftover"
        if as_json:
            artifact = error.path.partition("/")[0] if isinstance(error, DisputedError) else None
            emit({"name": name, "status": status, "artifact": artifact, "why": str(error)})
        else:
            say(f"{paint(f'{status:<10}', fg=_COLOURS[status])}  {name}")
            say(f"    {error}")


def _prove(workspace: Workspace, done: Ingested, *, as_json: bool, quiet: bool) -> list[str]:
    """Load what was taken in; return the names of what is unsound."""
    counts: Counter[Soundness] = Counter()
    unsound = []
    for proof in workspace.mirror.prove(*done.artifacts) if done.artifacts else ():
        counts[proof.loaded.verdict] += 1
        if proof.loaded.verdict is Soundness.UNSOUND:
            unsound.append(proof.name)
            say(f"{paint('unsound   ', fg='red')}  {proof.error}", err=as_json)
    if counts:
        remark(judged(counts), quiet=quiet or as_json)
    return unsound


def verdict(
    plan: Plan, problems: list[tuple[str, MirrorError]], unsound: Sequence[str] = (), *, dry_run: bool = False
) -> None:
    """Raise IntegrityError where something was refused or disputed, did not come whole, or is unsound."""
    bad: list[Left] = [one for one in plan.left if one.status in {"refused", "disputed"}]
    if names := [one.name for one in bad] + [name for name, _ in problems] + list(unsound):
        hint = "nothing of it was run, and your own copy is untouched"
        disputes = [one for one in bad if one.status == "disputed"]
        if not dry_run and (disputes or any(isinstance(error, DisputedError) for _, error in problems)):
            hint += "; a copy of what is disputed is in quarantine"
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        raise IntegrityError(
            f"{many(len(names), 'file')} not taken in as good: {', '.join(names[:3])}{more}", hint=hint
        )
