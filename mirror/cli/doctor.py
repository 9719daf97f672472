"""``doctor``: is this machine fit to mirror?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mirror.cli.output import emit, json_option, paint, say

if TYPE_CHECKING:
    from mirror.cli import Workspace

_SIGNS = {"ok": ("ok  ", "green"), "note": ("note", "yellow"), "bad": ("bad ", "red")}


@click.command()
@click.option("--offline", is_flag=True, help="Ask no host.")
@json_option
@click.option("-q", "--quiet", is_flag=True, help="Only what is not well.")
@click.pass_obj
def doctor(workspace: Workspace, *, offline: bool, as_json: bool, quiet: bool) -> None:
    """Check disk, file system, hosts, proxies and clocks.

    \b
    minibert-mirror doctor             also tries every host of the catalog
    minibert-mirror doctor --offline   opens no socket
    """
    bad = 0
    for finding in workspace.mirror.examine(offline=offline):
        bad += finding.health.value == "bad"
        if quiet and finding.health.value == "ok":
            continue
        if as_json:
            emit(
                {"topic": finding.topic, "health": finding.health.value, "text": finding.text, "advice": finding.advice}
            )
            continue
        sign, colour = _SIGNS[finding.health.value]
        say(f"{paint(sign, fg=colour)}  {finding.topic}: {finding.text}")
        if finding.advice:
            say(f"      {finding.advice}")
    if bad:
        click.get_current_context().exit(5)
