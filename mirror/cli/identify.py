"""``identify``: what is this file?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mirror.cli.output import emit, json_option, many, paint, quiet_option, remark, say
from mirror.errors import IntegrityError, StoreError

if TYPE_CHECKING:
    from mirror.cli import Workspace

_COLOURS = {"unknown": "yellow", "refused": "red", "unreadable": "red", "partly": "yellow", "shape": "cyan"}


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@json_option
@quiet_option
@click.pass_obj
def identify(workspace: Workspace, files: tuple[Path, ...], *, as_json: bool, quiet: bool) -> None:
    """Say which model and source each FILE is, by its content.

    FILE is a weight file of any format, an archive of them, a TensorFlow index, or a folder.
    The answer is the strongest that fits: known (the very bytes), identical (every
    tensor), encoder-identical, partly (so many tensors are that model's), shape (of that
    shape, by numbers that were never loaded here), or unknown, and why. Nothing of a file
    is run. Ends with 4 when a file is refused, because it is damaged or built to harm, with
    6 when one cannot be read; else with 0, also when it is unknown: --json has the answer
    as `likely`.

    \b
    minibert-mirror identify pytorch_model.bin
    minibert-mirror identify ~/Downloads/uncased_L-2_H-128_A-2.zip
    minibert-mirror identify ~/.cache/huggingface/hub --json
    """
    refused: list[str] = []
    unreadable: list[str] = []
    count = 0
    for found in workspace.mirror.identify(*files):
        count += 1
        refused += [found.name] if found.likely.value == "refused" else []
        unreadable += [found.name] if found.likely.value == "unreadable" else []
        if as_json:
            emit({**found._asdict(), "sizes": dict(found.sizes), "roots": dict(found.roots)})
            continue
        likely = paint(f"{found.likely.value:<17}", fg=_COLOURS.get(found.likely.value, "green"))
        say(f"{likely}  {found.name}")
        say(f"    {found.text}")
    if not count:
        remark("there are no weights", quiet=quiet or as_json)
    if refused:
        raise IntegrityError(
            f"{many(len(refused), 'file')} refused: {', '.join(refused)}",
            hint="damaged, or built to harm: nothing of it was run; fetch it again from its publisher",
        )
    if unreadable:
        raise StoreError(f"{many(len(unreadable), 'file')} cannot be read: {', '.join(unreadable)}")
