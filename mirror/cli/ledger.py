"""``ledger``: verify, read and export the record of everything that happened."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mirror.cli import complete
from mirror.cli.output import emit, json_option, quiet_option, remark, say, size
from mirror.errors import NoLedgerError, TamperedError, UsageError

if TYPE_CHECKING:
    from mirror.cli import Workspace
    from mirror.ledger import Entry, Reader

#: Lines that ``log`` prints when nobody says how many.
_LAST = 50
_TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S%z"]


#: Kinds of the events that this program writes; a ledger may hold others, of later versions.
KINDS = (
    "listed", "stored", "failed", "disputed", "members", "verified", "loaded", "removed",
    "updated", "refused", "pulled", "opinion", "opened", "probed",
)  # fmt: skip
_HINT = f"kinds are {', '.join(KINDS)}"


def _utc(context: click.Context, parameter: click.Parameter, value: datetime | None) -> datetime | None:
    """Take a time without a zone as UTC, as the ledger writes it."""
    return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


def _event_hash(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Take what ``ledger head`` printed: a hash, or a number and a hash."""
    found = None if value is None else re.fullmatch(r"(?:\d+ )?([0-9a-fA-F]{64})", value.strip())
    if value is not None and found is None:
        raise click.BadParameter("64 hexadecimal digits, as `minibert-mirror ledger head` prints them")
    return found[1].lower() if found else None


@click.group()
def ledger() -> None:
    """Verify, read and export the record of everything that happened.

    Every event is chained to the one before by a hash, and the tables that say what
    is held follow from the events. docs/ledger.md says how to recompute it all.

    \b
    minibert-mirror ledger verify
    minibert-mirror ledger log --subject bert-tiny@huggingface
    minibert-mirror ledger head > head-of-today.txt
    minibert-mirror ledger export --as csv --out events.csv
    """


@ledger.command()
@click.option("--head", callback=_event_hash, metavar="HASH", help="The hash of an event, kept elsewhere before.")
@json_option
@quiet_option
@click.pass_obj
def verify(workspace: Workspace, *, head: str | None, as_json: bool, quiet: bool) -> None:
    """Check every hash, replay every event, and compare every row of state.

    Names each row that is not what was written, and a tail that was cut; --json lists
    all of them, a thousand at the most. With --head, also a history that was written
    anew from end to end.

    \b
    minibert-mirror ledger verify
    minibert-mirror ledger verify --head "$(cat head-of-last-month.txt)"
    """
    try:
        with _reader(workspace.ledger_path) as reader:
            audit = reader.verify(head)
    except TamperedError as error:
        if as_json:
            emit({"sound": False, "problems": list(error.problems)})
        raise
    if as_json:
        emit({"sound": True, "events": audit.events, "head": audit.head, "anchored": audit.anchored})
        return
    say(f"sound: {audit.events} events, head {audit.head}")
    if audit.anchored is None and audit.events:
        remark(f"there is no {workspace.ledger_path.with_suffix('.head').name} to compare with", quiet=quiet)


@ledger.command()
@click.option(
    "--kind",
    metavar="KIND",
    shell_complete=complete.event_kinds,
    help="Only events of this kind: listed, stored, failed, disputed …",
)
@click.option("--subject", metavar="NAME", help="Only those about this artifact, artifact/path or sha256:….")
@click.option("--since", type=click.DateTime(_TIMES), callback=_utc, help="Only those at this time (UTC) or later.")
@click.option(
    "--limit", type=click.IntRange(min=0), metavar="N", help=f"Only the last N; {_LAST} when nothing narrows."
)
@json_option
@click.pass_obj
def log(
    workspace: Workspace,
    *,
    kind: str | None,
    subject: str | None,
    since: datetime | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """Print events, the oldest first.

    \b
    minibert-mirror ledger log
    minibert-mirror ledger log --kind failed --since 2025-01-31
    minibert-mirror ledger log --subject bert-tiny@google --json
    """
    if limit is None and not (kind or subject or since):
        limit = _LAST
    with _reader(workspace.ledger_path) as reader:
        there = False
        for entry in reader.events(subject, kind, since, limit):
            there = True
            if as_json:
                emit(entry._asdict())
            else:
                say(_line(entry))
    if not there and kind is not None and kind not in KINDS:
        raise _unknown(kind)


def _unknown(kind: str) -> UsageError:
    import difflib

    near = difflib.get_close_matches(kind.casefold(), KINDS, n=3)
    return UsageError(f"no events of kind {kind!r}" + (f"; nearest: {', '.join(near)}" if near else ""), hint=_HINT)


@ledger.command()
@json_option
@click.pass_obj
def head(workspace: Workspace, *, as_json: bool) -> None:
    """Print the number and the hash of the last event.

    Keep it where nobody who can write the mirror can write: printed, mailed, signed,
    in another repository. It binds every event so far.

    \b
    minibert-mirror ledger head > head-of-today.txt
    """
    with _reader(workspace.ledger_path) as reader:
        last = reader.head()
    if as_json:
        emit(last._asdict())
    else:
        say(str(last))


@ledger.command()
@click.option("--as", "form", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True, help="The form.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Where to write. Default: stdout.")
@click.option("--json", "as_json", is_flag=True, help="The same as --as jsonl.")
@quiet_option
@click.pass_obj
def export(workspace: Workspace, *, form: str, out: Path | None, as_json: bool, quiet: bool) -> None:
    """Print every event with its hash, for other programs and for safe keeping.

    \b
    minibert-mirror ledger export > events.jsonl
    minibert-mirror ledger export --as csv --out events.csv
    """
    from mirror.ledger.export import lines
    from mirror.writing import replace_bytes

    with _reader(workspace.ledger_path) as reader:
        text = lines(reader.events(), "jsonl" if as_json else form)
        if out is not None:
            rows = (line.encode() for line in text)
            replace_bytes(out, rows, follow=True, hint="choose another place with --out")
            remark(f"wrote {out}", quiet=quiet)
            return
        for line in text:
            click.echo(line, nl=False)


def _reader(path: Path) -> Reader:
    """Open the ledger for reading.

    Raises:
        TamperedError: There is none, and there was one.
        LedgerError: There is none yet, or it cannot be read.
    """
    from mirror.ledger import Ledger

    try:
        return Ledger.reader(path)
    except NoLedgerError as error:
        from mirror.ledger.audit import gone

        raise gone(path) or error from None


def _line(entry: Entry) -> str:
    """Return one event as a line for people."""
    gist = _gist(entry.kind, entry.detail)
    return f"{entry.seq:>7}  {entry.at[:19]}Z  {entry.kind:<9} {entry.subject}  {gist}".rstrip()


def _gist(kind: str, detail: dict[str, Any]) -> str:
    """Return the one thing that a person wants to know of an event."""
    if kind == "listed":
        count, revision = len(detail["files"]), detail["revision"]
        return f"{count} file{'s' if count != 1 else ''}" + (f" at {revision[:12]}" if revision else "")
    if kind == "stored":
        return f"{detail['how']}, {detail['level']}, {size(detail['size'])}"
    if kind == "failed":
        return f"{detail['error']}: {detail['message']}"
    if kind == "disputed":
        where = f", in quarantine as {detail['quarantine']}" if detail["quarantine"] else ""
        return f"against {len(detail['against'])} claims{where}"
    if kind == "members":
        return f"{len(detail['members'])} members"
    if kind == "verified":
        return f"{detail['verdict']} at level {detail['level']}"
    if kind == "pulled":
        return f"{detail['stored']} fetched, {detail['adopted']} here already, {len(detail['problems'])} did not come"
    return str(detail.get("why") or detail.get("tool") or "")
