"""``init``: make a folder a mirror."""

from __future__ import annotations

from pathlib import Path

import click

from mirror.cli.output import emit, json_option, quiet_option, remark


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@json_option
@quiet_option
def init(directory: Path, *, as_json: bool, quiet: bool) -> None:
    """Make DIR a new mirror with the built-in catalog.

    \b
    minibert-mirror init /srv/weights
    cd /srv/weights && minibert-mirror pull bert-tiny
    """
    from mirror import Mirror, place
    from mirror.catalog import builtin_catalog_text

    made = place.make(directory.absolute(), builtin_catalog_text())
    Mirror.open(made.root).found()
    if as_json:
        emit({"mirror": str(made.root), "catalog": str(made.catalog), "cache": str(made.cache)})
    silent = quiet or as_json
    remark(f"made a mirror in {made.root}: {place.CATALOG} (edit it freely) and {place.CACHE}/", quiet=silent)
    remark(f"next: cd {made.root} && minibert-mirror pull bert-tiny", quiet=silent)
