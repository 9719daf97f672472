"""``export``: what is held, in forms that other programs take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mirror.cli import complete
from mirror.cli.output import emit, json_option, many, quiet_option, remark, size

if TYPE_CHECKING:
    from mirror.cli import Workspace


@click.group()
def export() -> None:
    """Write what is held in a form that other programs take.

    \b
    minibert-mirror export safetensors bert-tiny
    """


@export.command()
@click.argument("name", metavar="MODEL", shell_complete=complete.selectors)
@click.option(
    "-o",
    "--out",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="A file *.safetensors, or a folder, which gets configuration and tokenizer too. Default: a folder of "
    "the model's name.",
)
@click.option("-f", "--force", is_flag=True, help="Replace files that are there.")
@json_option
@quiet_option
@click.pass_obj
def safetensors(workspace: Workspace, name: str, *, out: Path | None, force: bool, as_json: bool, quiet: bool) -> None:
    """Write the weights of MODEL, or of one artifact, as safetensors.

    The best weights that are held are judged first. The same tensors give the same
    bytes, whichever format and source they come from; transformers loads them with
    no key missing and none too many.

    \b
    minibert-mirror export safetensors bert-tiny                        the folder bert-tiny
    minibert-mirror export safetensors bert-tiny@google --out tiny.safetensors
    """
    done = workspace.mirror.export_safetensors(name, out, force=force)
    if as_json:
        emit({**done._asdict(), "path": str(done.path)})
    else:
        click.echo(str(done.path))
    remark(f"{size(done.size)} from {done.source}, sha256 {done.sha256}", quiet=quiet or as_json)
    if done.left_out:
        remark(f"left out, since transformers has no place for them: {many(len(done.left_out), 'tensor')}", quiet=quiet)
