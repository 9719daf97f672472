"""``urls``: every address, for people and for other download programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mirror.catalog.select import HELP
from mirror.catalog.values import HUB
from mirror.cli import complete
from mirror.cli.output import json_line, json_option, quiet_option, remark

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mirror.catalog import Artifact
    from mirror.cli import Workspace

_EXAMPLES = """\b
minibert-mirror urls bert-tiny
minibert-mirror urls --all source=google --as aria2 --out list.txt
aria2c --input-file=list.txt
minibert-mirror urls family=tinybert --as metalink | aria2c --metalink-file=-"""


@click.command(
    help="Print every address that the catalog knows, all or of what is selected.\n\n"
    "All is every artifact of every model; a bundle, which repeats their bytes, is named to have its own. aria2 and "
    "Metalink carry the pinned digests, and the other program checks them. Cloud-drive shares are in the plain list "
    f"only, with their code as a comment.\n\n{_EXAMPLES}\n\n{HELP}"
)
@click.argument("selectors", nargs=-1, shell_complete=complete.selectors)
@click.option("--all", "everything", is_flag=True, help="Every artifact of every model, as without SELECTORS.")
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
@json_option
@quiet_option
@click.pass_obj
def urls(
    here: Workspace,
    selectors: tuple[str, ...],
    *,
    everything: bool,
    form: str,
    out: Path | None,
    endpoint: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Print every address that the catalog knows."""
    from mirror.catalog import addresses
    from mirror.catalog.select import select
    from mirror.sources.access import HubAccess
    from mirror.writing import replace_text

    endpoint = HubAccess(endpoint).endpoint
    artifacts = select(here.catalog, selectors, everything=everything or not selectors)
    form = "json" if as_json else form
    forms = {"plain": addresses.plain, "aria2": addresses.aria2, "metalink": addresses.metalink, "json": _objects}
    lines = forms[form]
    if out is None:
        for line in lines(artifacts, endpoint=endpoint):
            click.echo(line)
    else:
        text = "".join(f"{line}\n" for line in lines(artifacts, endpoint=endpoint))
        replace_text(out, text, hint="choose another place with --out")
    if not quiet:
        _remarks(artifacts, form)


def _objects(artifacts: Iterable[Artifact], *, endpoint: str) -> Iterator[str]:
    """Yield one JSON object for every file, and for every share that a person must fetch."""
    from mirror.catalog.addresses import addresses

    for artifact in artifacts:
        if artifact.waits_for_person and artifact.published:
            yield json_line({"artifact": artifact.name, "urls": [artifact.url], "code": artifact.code})
        for file in addresses([artifact], endpoint=endpoint):
            digests = [str(digest) for digest in file.digests]
            path = file.out.removeprefix(f"{artifact.name}/")
            known = {"artifact": artifact.name, "path": path, "urls": file.urls, "size": file.size, "digests": digests}
            yield json_line(known)


def _remarks(artifacts: tuple[Artifact, ...], form: str) -> None:
    """Say on stderr what is not among the addresses."""
    partial = sum(artifact.kind == "hub" and not artifact.complete for artifact in artifacts)
    if partial:
        remark(f"{partial} Hub repositories: only files that the catalog knows; a pull lists the rest")
    waiting = sum(artifact.waits_for_person and artifact.published for artifact in artifacts)
    if waiting and form in {"aria2", "metalink"}:
        remark(f"{waiting} cloud-drive shares are left out: only a person can fetch them (--as plain lists them)")
