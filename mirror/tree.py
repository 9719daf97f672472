"""Held files under their own names: ``<trees>/<model>/<source>/<path>``, links to the blobs.

A tree is made when somebody asks for it, in a directory aside that takes its place
whole. It holds nothing: without it not a byte is lost. Where the store belongs to somebody
else, the trees are the user's own.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from mirror.errors import FORBIDDEN, ReadOnlyStoreError, StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mirror.catalog import Artifact
    from mirror.store import Store

TREES = "trees"
_Held = tuple["Artifact", "Mapping[str, str]"]


def lay_out(store: Store, held: Sequence[_Held], own: Path, *, one_model: bool, one_artifact: bool) -> Path:
    """Make the trees of artifacts and return the folder that holds them all.

    Args:
        store: Has the blobs.
        held: Each artifact, with the sha256 of its held files by path; not empty.
        own: Where the user's own trees of this store are, for a store that cannot be written.
        one_model: Whether they are all of one model.
        one_artifact: Whether it is one only.

    Raises:
        ReadOnlyStoreError: Neither place can be written, and the trees are not there yet.
        StoreError: They cannot be written, for another reason.
    """
    trees = store.root / TREES
    if not os.access(store.root, os.W_OK) and not all(_stands(store, _place(trees, a), files) for a, files in held):
        trees = own
    for artifact, files in held:
        _tree(store, _place(trees, artifact), files)
    artifact = held[0][0]
    folder = trees / artifact.model.name if one_model else trees
    return folder / artifact.source if one_artifact else folder


def _place(trees: Path, artifact: Artifact) -> Path:
    return trees / artifact.model.name / artifact.source


def _tree(store: Store, folder: Path, files: Mapping[str, str]) -> None:
    aside = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        if _stands(store, folder, files):
            return
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
    except OSError as error:
        kind = ReadOnlyStoreError if error.errno in FORBIDDEN else StoreError
        raise kind(f"{folder}: {error.strerror}") from error


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
