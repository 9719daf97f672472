"""``probe``: whether shares live, as an undocumented page says."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from mirror.cli import complete
from mirror.cli.output import emit, json_option, many, paint, quiet_option, remark, size, table
from mirror.errors import CaptchaError, DeadShareError, MirrorError, SourceError, WaitingError, WrongCodeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mirror.cli import Workspace
    from mirror.probe import Probed

_COLOURS = {"alive": "green", "dead": "red", "wrong code": "red", "captcha": "yellow", "network": "yellow"}
#: What each outcome ends with, what is settled before what may be another time.
_ENDS: tuple[tuple[str, str, type[MirrorError]], ...] = (
    ("dead", "dead", DeadShareError),
    ("wrong code", "with a wrong code", WrongCodeError),
    ("captcha", "behind a captcha", CaptchaError),
    ("network", "without an answer that can be understood", SourceError),
    ("not asked", "not asked", WaitingError),
)
#: Names of a share's files in one row of a table.
_NAMES = 4


@click.command()
@click.argument("selectors", metavar="[SELECTOR]...", nargs=-1, shell_complete=complete.selectors)
@click.option("--again", is_flag=True, help="Ask also who was asked within the last day, or soon after a captcha.")
@click.option("-n", "--dry-run", is_flag=True, help="Print who would be asked and what is known, ask nobody.")
@json_option
@quiet_option
@click.pass_obj
def probe(
    workspace: Workspace, selectors: tuple[str, ...], *, again: bool, dry_run: bool, as_json: bool, quiet: bool
) -> None:
    """Unofficial: ask Baidu Pan's share pages whether links live, and what is in them.

    It asks a page that nobody documents, without a login, under this program's own name;
    it may stop working on any day, and Baidu has no part in it. It downloads nothing, and
    no other command ever asks a share's page. One request a second, never two at once; a
    settled answer holds for a day; at most 60 shares a run; the first captcha ends the run.
    All shares take some minutes. The supported way is: minibert-mirror handoff

    Ends with 0 when every share is alive; 4 when one is dead, 3 when a code is wrong, 8 at a
    captcha or when a share was not asked, 5 when the network or an answer fails; with the
    first of these that happened, in this order.

    \b
    minibert-mirror probe bert-tiny
    minibert-mirror probe --dry-run
    minibert-mirror probe --json > shares.jsonl
    """
    mirror, silent = workspace.mirror, quiet or as_json
    if dry_run:
        _show(mirror.plan_probe(*selectors, again=again), as_json=as_json)
        return
    asked = mirror.probe(*selectors, again=again)
    remark("unofficial: asks pages that nobody documents, one request a second; it downloads nothing", quiet=silent)
    found = []
    for one in asked:
        found.append(one)
        if as_json:
            emit(probed_object(one))
        elif not one.cached and one.at is not None:
            remark(f"{len(found)}: {one.artifact}: {one.outcome.value}", quiet=quiet)
    if not as_json:
        _show(found, as_json=False)
    counts = Counter(one.outcome.value for one in found)
    remark(", ".join(f"{count} {outcome}" for outcome, count in counts.items()), quiet=silent)
    _end(found)


def probed_object(one: Probed) -> dict[str, Any]:
    """Return what ``--json`` says of a share: no code, and large ids as text."""
    files = one.files
    return {
        **one._asdict(),
        "outcome": one.outcome.value,
        "at": None if one.at is None else one.at.isoformat(),
        "files": None if files is None else [{**file._asdict(), "fs_id": str(file.fs_id)} for file in files],
    }


def holds(one: Probed) -> str:
    """Return the names and sizes of a share's files, the first of them."""
    files = one.files or ()
    tops = {file.path.partition("/")[0] if "/" in file.path else "" for file in files}
    skip = len(tops.pop()) + 1 if len(tops) == 1 and "" not in tops else 0  # one folder around everything says nothing
    told = ", ".join(f"{file.path[skip:]} {size(file.size)}" for file in files[:_NAMES])
    return f"{told}, {len(files) - _NAMES} more" if len(files) > _NAMES else told


def _show(found: Sequence[Probed], *, as_json: bool) -> None:
    if as_json:
        for one in found:
            emit(probed_object(one))
        return
    rows = []
    for one in found:
        word = paint(one.outcome.value, fg=_COLOURS.get(one.outcome.value))
        when = "-" if one.at is None else f"{one.at:%Y-%m-%d %H:%M}" + (" (known)" if one.cached else "")
        rows.append((one.artifact, f"{one.host}/s/1{one.share}", word, when, holds(one) or one.why))
    table(("artifact", "share", "outcome", "asked (UTC)", "holds"), rows)


def _end(found: Sequence[Probed]) -> None:
    for outcome, text, kind in _ENDS:
        names = [one.artifact for one in found if one.outcome == outcome]
        if names:
            first = next(one.why for one in found if one.outcome == outcome)
            raise kind(f"{many(len(names), 'share')} {text}: {', '.join(names[:3])} ({first})", hint=_hint(kind))


def _hint(kind: type[MirrorError]) -> str:
    if kind is WaitingError:
        return "run the same command again later; open links yourself at any time: `minibert-mirror handoff`"
    return kind.hint or "try again later; `minibert-mirror handoff` always works"
