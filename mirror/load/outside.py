"""Files that no store holds: which of a user's are weights, by their content alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mirror.errors import UsageError
from mirror.formats.sniff import HEAD, TAIL, kind_of
from mirror.load.material import SHARD, HeldFile, Weights, inside
from mirror.load.opening import mapped

if TYPE_CHECKING:
    from collections.abc import Iterator

#: How the index of a TensorFlow checkpoint ends.
INDEX = ".index"
_ARCHIVES = frozenset({"zip", "gzip"})


class Outside(NamedTuple):
    """A file of the user's.

    Attributes:
        path: Where it is.
        shards: Data of the checkpoint whose index it is, in their order.
        view: Its bytes.
    """

    path: Path
    shards: tuple[Path, ...]
    view: memoryview

    @property
    def kind(self) -> str:
        """What it is; see ``sniff.kind_of``.

        Raises:
            FormatError: It is no weight file, and no archive that may hold one; the text says what it is.
        """
        return kind_of(bytes(self.view[:HEAD]), bytes(self.view[-TAIL:]), len(self.view))

    @property
    def is_bare(self) -> bool:
        """Whether it is the index of a checkpoint whose data are not beside it."""
        return not self.shards and self.kind == "tensorflow"

    def weights(self, sha256: str, scratch: Path) -> tuple[Weights, ...]:
        """Return the weights that it is or, being an archive, has inside.

        Args:
            sha256: Of its bytes.
            scratch: A directory with room for the content of an archive.

        Raises:
            FormatError: It is neither.
            ArchiveError: It is a damaged archive, or one that is built to harm.
            StoreError: It cannot be read, or there is no room to unpack it.
        """
        if self.kind in _ARCHIVES:
            return inside(HeldFile(str(self.path), sha256, self.path), scratch).weights
        parts = (self.view, *map(mapped, self.shards))
        return (Weights(str(self.path), sha256, "", parts, surely=True),)


def files(where: Path) -> Iterator[Outside]:
    """Yield a file, or every file below a folder by path; shards go with the index beside them.

    Links to files are followed, since a hub's cache is made of them; links to folders are not.

    Raises:
        UsageError: It is neither: a device, a pipe, or nothing at all.
        StoreError: A file cannot be read.
    """
    if not (where.is_dir() or where.is_file()):
        raise UsageError(f"{where} is neither a file nor a folder")
    for path in _below(where) if where.is_dir() else (_spokesman(where),):
        prefix = path.name.removesuffix(INDEX)
        shards: list[Path] = []
        if prefix != path.name:
            shards = sorted(p for p in path.parent.iterdir() if SHARD.search(p.name) and _prefix(p) == prefix)
        yield Outside(path, tuple(shards), mapped(path))


def _below(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, but for shards that have their index beside them."""
    for top, folders, names in os.walk(folder):
        folders.sort()
        for path in sorted(Path(top, name) for name in names):
            if path.is_file() and _spokesman(path) == path:
                yield path


def _spokesman(path: Path) -> Path:
    """Return the index that speaks for a shard; any other file speaks for itself."""
    if not SHARD.search(path.name):
        return path
    index = path.with_name(_prefix(path) + INDEX)
    return index if index.is_file() else path


def _prefix(shard: Path) -> str:
    return SHARD.sub("", shard.name)
