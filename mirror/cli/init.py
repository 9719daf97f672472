"""``init``: make a folder a mirror."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
def init(directory: Path) -> None:
    """Make DIR a new mirror with the built-in catalog.

    \b
    minibert-mirror init /srv/weights
    cd /srv/weights && minibert-mirror pull bert-tiny
    """
    from mirror import Mirror, place
    from mirror.catalog import builtin_catalog_text

    made = place.make(directory.absolute(), builtin_catalog_text())
    Mirror.open(made.root).found()
    click.echo(f"made a mirror in {made.root}: {place.CATALOG} (edit it freely) and {place.CACHE}/", err=True)
    click.echo(f"next: cd {made.root} && minibert-mirror pull bert-tiny", err=True)
