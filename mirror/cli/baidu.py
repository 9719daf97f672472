"""``baidu``: the user's own disk at Baidu Pan, by the official interface."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from mirror.cli.output import emit, json_option, many, paint, quiet_option, remark, say, size, table

if TYPE_CHECKING:
    from mirror.cli import Workspace
    from mirror.drive.bring import Brought
    from mirror.errors import MirrorError
    from mirror.sources.baidu_open.files import Entry
    from mirror.sources.baidu_open.oauth import DeviceCode

_REVOKE = "at Baidu it stays allowed until you take it back: 设置 → 账号管理 → 授权管理"


@click.group()
def baidu() -> None:
    """Fetch from your own disk at Baidu Pan, with an app of your own.

    Nothing of this runs unless you set it up. Baidu's official interface shows an app the
    folder /apps/NAME of your disk (我的应用数据), and no shares: first save a share there, with
    the browser or the client. Register an app (pan.baidu.com/union, type software, personal
    use), then set MINIBERT_MIRROR_BAIDU_APP_KEY, MINIBERT_MIRROR_BAIDU_SECRET_KEY and
    MINIBERT_MIRROR_BAIDU_APP_NAME, or write app_key, secret_key and app_name into
    ~/.config/minibert-mirror/baidu-openapi/config.json, which nobody else may read. Such an
    app may ask ten times an hour. Not affiliated with Baidu.

    \b
    minibert-mirror baidu login       once
    minibert-mirror baidu ls          what is in the folder
    minibert-mirror baidu pull        fetch it, and take it in by content
    """


@baidu.command()
@json_option
@click.pass_obj
def login(workspace: Workspace, *, as_json: bool) -> None:
    """Let your app read its folder: type a code at Baidu's page, or scan it.

    Tokens are kept in your configuration folder, readable by you alone. The password stays
    between you and Baidu.

    \b
    minibert-mirror baidu login
    """

    def show(device: DeviceCode) -> None:
        if as_json:
            emit({"user_code": device.user_code, "page": device.page, "expires_in": device.expires_in})
            sys.stdout.flush()
            return
        _show_code(device)

    workspace.mirror.baidu_login(show)
    standing = workspace.mirror.baidu_status()
    if as_json:
        emit({"logged_in": True, "folder": standing.folder, "expires": _when(standing.expires)})
    else:
        say(f"logged in; the app sees {standing.folder}")


def _show_code(device: DeviceCode) -> None:
    import segno

    say(f"open {device.page} and type the code  {paint(device.user_code, bold=True)}")
    if sys.stdout.isatty():
        segno.make(device.link, micro=False).terminal(compact=True)
    say(f"waiting for {device.expires_in / 60:.0f} min at the most; Ctrl-C ends it", err=True)
    sys.stdout.flush()


@baidu.command()
@json_option
@click.pass_obj
def logout(workspace: Workspace, *, as_json: bool) -> None:
    """Delete the tokens, the count of calls and the listing from this machine.

    \b
    minibert-mirror baidu logout
    """
    there = workspace.mirror.baidu_logout()
    if as_json:
        emit({"logged_in": False, "deleted": there})
    else:
        say(f"logged out; {_REVOKE}" if there else "nobody was logged in")


@baidu.command()
@json_option
@click.pass_obj
def status(workspace: Workspace, *, as_json: bool) -> None:
    """Say whether you are logged in, and how many calls are left this hour. Baidu is not asked.

    \b
    minibert-mirror baidu status
    """
    found = workspace.mirror.baidu_status()
    if as_json:
        values = {**found._asdict(), "expires": _when(found.expires), "listed_at": _when(found.listed_at)}
        emit({**values, "logged_in": found.expires is not None, "kept_in": str(found.kept_in)})
        return
    login = "nobody is logged in"
    if found.expired:
        login = f"the token ended at {_when(found.expires)}: the next ls or pull renews it, or says to log in again"
    elif found.expires is not None:
        login = f"the token is good until {_when(found.expires)}"
    say(f"app {found.app}: it sees {found.folder}")
    say(f"{login}; kept in {found.kept_in}")
    listed = f"; listed at {_when(found.listed_at)}: {many(found.files, 'file')}" if found.listed_at else ""
    say(f"{many(found.calls_left, 'call')} left this hour{listed}")


@baidu.command()
@click.option("--update", is_flag=True, help="Ask Baidu again, which costs one of the hour's calls.")
@json_option
@quiet_option
@click.pass_obj
def ls(workspace: Workspace, *, update: bool, as_json: bool, quiet: bool) -> None:
    """List the app's folder, as Baidu said within the last hour or says now.

    \b
    minibert-mirror baidu ls
    """
    found = workspace.mirror.baidu_files(update=update)
    if as_json:
        for entry in found.entries:
            emit(_entry(entry))
    else:
        rows = [(entry.path, size(entry.size), str(_when(float(entry.mtime)))) for entry in found.entries]
        if rows:
            table(("path", "size", "saved"), rows, right=(1,))
    aged = f", as of {found.age / 60:.0f} min ago (--update asks again)" if found.age >= 1 else ""
    left = f"{many(found.calls_left, 'call')} left this hour"
    remark(f"{many(len(found.entries), 'file')} in {found.folder}{aged}; {left}", quiet=quiet or as_json)


@baidu.command()
@click.argument("patterns", metavar="[PATTERN]...", nargs=-1)
@click.option("--update", is_flag=True, help="List the folder again, which costs one of the hour's calls.")
@click.option("--again", is_flag=True, help="Fetch also what came before and was of no use.")
@click.option("-n", "--dry-run", is_flag=True, help="Print what would be fetched; at most a listing is asked.")
@json_option
@quiet_option
@click.pass_obj
def pull(
    workspace: Workspace,
    patterns: tuple[str, ...],
    *,
    update: bool,
    again: bool,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Fetch what is in the app's folder and not here yet, and take it in by its content.

    PATTERN is a path below the folder, with * and ?; everything without one. What a file is, its
    content says, as with `ingest`; names decide nothing. Files come one after the other, in
    small ranges, as fast as Baidu gives them to your account. A pull that was stopped goes on
    where it was, whatever became of its links.

    \b
    minibert-mirror baidu pull
    minibert-mirror baidu pull "uncased_L-2_*" --dry-run
    """
    from mirror.progress import watching

    mirror = workspace.mirror
    remark(f"mirror: {mirror.place.root} ({mirror.place.how})", quiet=quiet or as_json)
    with nullcontext() if dry_run else watching(quiet=quiet or as_json) as watch:
        done = mirror.baidu_pull(*patterns, update=update, again=again, dry_run=dry_run, watch=watch)
    if dry_run:
        for entry in done.wanted:
            if as_json:
                emit({"fetch": entry.path, **_entry(entry)})
            else:
                say(f"fetch  {size(entry.size):>10}  {entry.path}")
        _sum_up(done, quiet=quiet or as_json)
        return
    _report(workspace, done, as_json=as_json, quiet=quiet)


def _report(workspace: Workspace, done: Brought, *, as_json: bool, quiet: bool) -> None:
    """Print what came of a pull, and end with the code of what went wrong."""
    from mirror.cli.ingest import tell, verdict

    unsound: list[str] = []
    if done.ingested.plan.takes or done.ingested.plan.left:
        unsound, _ = tell(workspace, done.ingested, as_json=as_json, quiet=quiet)
    for path, error in done.problems:
        if as_json:
            emit({"path": path, "status": "failed", "error": type(error).__name__, "why": str(error)})
        elif error is not done.ended:
            say(f"{paint('failed    ', fg='red')}  {error}", err=True)
    if as_json:
        emit({"listed": done.listed, "known": done.known, "wire_bytes": done.wire_bytes, "calls_left": done.calls_left})
    _sum_up(done, quiet=quiet or as_json)
    verdict(done.ingested.plan, done.ingested.problems, unsound)
    if (gravest := _gravest(done)) is not None:
        raise gravest


def _gravest(done: Brought) -> MirrorError | None:
    """Return why the run ended early, or else the first thing that is neither ours nor passing."""
    errors = [error for _, error in done.problems]
    return done.ended or min(errors, key=lambda error: error.exit_code, default=None)


def _sum_up(done: Brought, *, quiet: bool) -> None:
    known = f", {many(done.known, 'file')} known from before" if done.known else ""
    left = f"{many(done.calls_left, 'call')} left this hour"
    remark(f"{many(done.listed, 'file')} in {done.folder}{known}, {size(done.wire_bytes)} came; {left}", quiet=quiet)


def _entry(entry: Entry) -> dict[str, object]:
    return {"path": entry.path, "fs_id": str(entry.fs_id), "size": entry.size, "saved": _when(float(entry.mtime))}


def _when(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
