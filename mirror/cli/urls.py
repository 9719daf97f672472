"""``urls``: every address, for people and for other download programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mirror.catalog.select import HELP
from mirror.catalog.values import HUB
from mirror.cli.output import remark

if TYPE_CHECKING:
    from mirror.catalog import Artifact
    from mirror.cli import Workspace

_EXAMPLES = """\b
minibert-mirror urls bert-tiny
minibert-mirror urls --all source=google --as aria2 --out list.txt
aria2c --input-file=list.txt
minibert-mirror urls family=tinybert --as metalink | aria2c --metalink-file=-"""


@click.command(
    help="Print every address that the catalog knows, all or of what is selected.\n\n"
    "aria2 and Metalink carry the pinned digests, and the other program checks them. Cloud-drive shares "
    f"are in the plain list only, with their code as a comment.\n\n{_EXAMPLES}\n\n{HELP}"
)
@click.argument("selectors", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every artifact of every model.")
@click.option(
    "--as",
    "form",
    type=click.Choice(["plain", "aria2", "metalink"]),
    default="plain",
    show_default=True,
    help="A list, an input file of aria2, or Metalink 4 (RFC 5854).",
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write to FILE.")
@click.option(
    "--endpoint",
    envvar="HF_ENDPOINT",
    default=HUB,
    show_default=True,
    metavar="URL",
    help="The hub, or a mirror of it; also by HF_ENDPOINT.",
)
@click.pass_obj
def urls(
    here: Workspace, selectors: tuple[str, ...], everything: bool, form: str, out: Path | None, endpoint: str
) -> None:
    """Print every address that the catalog knows."""
    from mirror.catalog import addresses
    from mirror.catalog.select import select
    from mirror.writing import replace_text

    artifacts = select(here.catalog, selectors, everything=everything)
    lines = {"plain": addresses.plain, "aria2": addresses.aria2, "metalink": addresses.metalink}[form]
    if out is None:
        for line in lines(artifacts, endpoint=endpoint):
            click.echo(line)
    else:
        replace_text(out, "".join(f"{line}\n" for line in lines(artifacts, endpoint=endpoint)))
    _remarks(artifacts, form)


def _remarks(artifacts: tuple[Artifact, ...], form: str) -> None:
    """Say on stderr what is not among the addresses."""
    partial = sum(artifact.kind == "hub" and not artifact.complete for artifact in artifacts)
    if partial:
        remark(f"{partial} Hub repositories: only files that the catalog knows; a pull lists the rest")
    waiting = sum(artifact.waits_for_person and artifact.published for artifact in artifacts)
    if waiting and form != "plain":
        remark(f"{waiting} cloud-drive shares are left out: only a person can fetch them (--as plain lists them)")
