"""What a shell may complete: names of the mirror's catalog, and values of options.

Nothing is completed where the mirror or its catalog cannot be read: the command itself says why.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mirror.errors import MirrorError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import click

    from mirror.catalog import Catalog


def selectors(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return names of models, ``model@source`` once the model is there, and predicates with their values."""
    from mirror.catalog.select import KEYS, words

    catalog = _catalog(context)
    if catalog is None:
        return []
    name, at, _ = incomplete.partition("@")
    if at:
        model = catalog.model(name)
        found = catalog.artifacts() if not name else catalog.artifacts_of(model) if model is not None else ()
        return _beginning(incomplete, (f"{name}@{artifact.source}" for artifact in found))
    key, equals, value = incomplete.partition("=")
    if equals:
        before, comma, last = value.rpartition(",")
        return [f"{key}={before}{comma}{word}" for word in _beginning(last, words(catalog, key.lower()))]
    names = [name for model in (*catalog.models, *catalog.bundles) for name in model.names]
    return _beginning(incomplete, [*names, *(f"{key}=" for key in KEYS)] if incomplete else names)


def source_names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return names of sources, after those that stand there already."""
    from mirror.catalog.select import words

    catalog = _catalog(context)
    return [] if catalog is None else _listed(incomplete, words(catalog, "source"))


def format_names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return names of weight formats, after those that stand there already."""
    from mirror.sources.narrow import FORMATS

    return _listed(incomplete, FORMATS)


def event_kinds(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the kinds of events that a ledger holds."""
    from mirror.cli.ledger import KINDS

    return _beginning(incomplete, KINDS)


def _catalog(context: click.Context) -> Catalog | None:
    from mirror.cli import Workspace

    try:
        return Workspace(context.find_root().params.get("named"), dict(os.environ)).catalog
    except (MirrorError, OSError):
        return None


def _listed(incomplete: str, known: Iterable[str]) -> list[str]:
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{word}" for word in _beginning(last, known)]


def _beginning(begin: str, known: Iterable[str]) -> list[str]:
    """Return what begins so, each once; ignoring case where nothing does, for a shell goes on with what all share."""
    words = list(dict.fromkeys(known))
    exact = [word for word in words if word.startswith(begin)]
    return exact or [word for word in words if word.casefold().startswith(begin.casefold())]
