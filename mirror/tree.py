"""Held files under their own names: ``cache/trees/<model>/<source>/<path>``, links to the blobs.

A tree is made when somebody asks for it, in a directory aside that takes its place
whole. It holds nothing: without it not a byte is lost.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from mirror.errors import ReadOnlyStoreError, StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mirror.catalog import Artifact
    from mirror.store import Store

TREES = "trees"


def lay_out(
    store: Store, held: Sequence[tuple[Artifact, Mapping[str, str]]], *, one_model: bool, one_artifact: bool
) -> Path:
    """Make the trees of artifacts and return the folder that holds them all.

    Args:
        store: Has the blobs.
        held: Each artifact, with the sha256 of its held files by path; not empty.
        one_model: Whether they are all of one model.
        one_artifact: Whether it is one only.

    Raises:
        ReadOnlyStoreError: The store belongs to somebody else, and the tree is not there yet.
        StoreError: It cannot be written.
    """
    for artifact, files in held:
        _tree(store, store.root / TREES / artifact.model.name / artifact.source, files)
    artifact = held[0][0]
    folder = store.root / TREES
    if one_model:
        folder /= artifact.model.name
    return folder / artifact.source if one_artifact else folder


def _tree(store: Store, folder: Path, files: Mapping[str, str]) -> None:
    if _stands(store, folder, files):
        return
    aside = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        shutil.rmtree(aside, ignore_errors=True)
        for path, sha256 in files.items():
            link = aside / path
            link.parent.mkdir(parents=True, exist_ok=True)
            _link(store.blob_path(sha256), link, folder / path)
        old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
        if folder.exists():
            folder.rename(old)
        aside.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    except PermissionError as error:
        raise ReadOnlyStoreError(f"{folder}: {error.strerror}") from error
    except OSError as error:
        raise StoreError(f"{folder}: {error.strerror}") from error


def _stands(store: Store, folder: Path, files: Mapping[str, str]) -> bool:
    """Whether the tree is there and as it should be."""
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    return found == set(files) and all(
        (folder / path).exists() and (folder / path).samefile(store.blob_path(sha256)) for path, sha256 in files.items()
    )


def _link(blob: Path, link: Path, later: Path) -> None:
    """Link to a blob, relative to where the link will be; hard where links need a privilege (Windows)."""
    try:
        link.symlink_to(os.path.relpath(blob, later.parent))
    except OSError:
        os.link(blob, link)
