"""A mirror that holds what a test says: pulled from a folder, so that no socket is opened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner

from mirror.api import Mirror
from mirror.cli import cli
from tests import catalogs

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


Files = Mapping[str, Mapping[str, Mapping[str, bytes]]]


def prepared(root: Path, models: Files, **known: Any) -> Mirror:
    """Return the mirror ``root / "mirror"`` that has still to pull files, given by model, source and path.

    ``known`` is said of every model.
    """
    entries = []
    for model, sources in models.items():
        listed = []
        for source, files in sources.items():
            for path, data in files.items():
                place = root / "outside" / model / source / path
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(data)
            folder = root / "outside" / model / source
            promised = [catalogs.file(path, (folder / path).as_uri()) for path in files]
            listed.append(catalogs.http(*promised, id=source, url=folder.as_uri()))
        entries.append(catalogs.model(model, *listed, **{"family": "bert-miniature", **known}))
    (root / "mirror" / "cache").mkdir(parents=True)
    (root / "mirror" / "catalog.json").write_text(catalogs.text(*entries), encoding="utf-8")
    return Mirror.open(root / "mirror", environ={})


def holding(root: Path, models: Files, *, no_verify: bool = False, **known: Any) -> Mirror:
    """Return a mirror that has pulled them."""
    mirror = prepared(root, models, **known)
    mirror.sync(everything=True, no_verify=no_verify)
    return mirror


def command(mirror: Mirror, *words: str) -> Result:
    """Call the command in this process."""
    return CliRunner().invoke(cli, ["--mirror", str(mirror.place.root), *words])


def blob_of(mirror: Mirror, artifact: str, path: str) -> Path:
    """Return where the bytes of a held file are."""
    with mirror.reader() as reader:
        assert reader is not None
        return mirror.store.blob_path(reader.held(artifact)[path])


def overwrite(blob: Path, data: bytes) -> None:
    """Give a blob other bytes, as a person or a program that does not know better would."""
    blob.chmod(0o644)
    blob.write_bytes(data)
    blob.chmod(0o444)
