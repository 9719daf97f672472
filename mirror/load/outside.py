"""Files that no store holds: which of a user's are weights, by their content alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mirror.errors import StoreError, UsageError
from mirror.formats.sniff import ARCHIVES, kind
from mirror.load.material import HeldFile, Weights, inside
from mirror.load.naming import SHARD
from mirror.load.opening import mapped

if TYPE_CHECKING:
    from collections.abc import Iterator

#: How the index of a TensorFlow checkpoint ends.
INDEX = ".index"


class Outside(NamedTuple):
    """A file of the user's.

    Attributes:
        path: Where it is.
        shards: Data of the checkpoint whose index it is, in their order.
        view: Its bytes.
        problem: Why it, or one of its shards, cannot be read; then there are no bytes.
    """

    path: Path
    shards: tuple[Path, ...]
    view: memoryview
    problem: str = ""

    @property
    def kind(self) -> str:
        """What it is; see ``sniff.kind_of``.

        Raises:
            FormatError: It is no weight file, and no archive that may hold one; the text says what it is.
        """
        return kind(self.view)

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
        if self.kind in ARCHIVES:
            return inside(HeldFile(str(self.path), sha256, self.path), scratch).weights
        parts = (self.view, *map(mapped, self.shards))
        return (Weights(str(self.path), sha256, "", parts, surely=True),)


def files(where: Path) -> Iterator[Outside]:
    """Yield a file, or every file below a folder by path; shards go with the index beside them.

    Links to files are followed, since a hub's cache is made of them; links to folders are not.
    What cannot be read, a folder too, has a problem instead of bytes.

    Raises:
        UsageError: It is neither: a device, a pipe, or nothing at all.
    """
    if not (os.path.isdir(where) or os.path.isfile(where)):  # noqa: PTH112, PTH113 - says no where it may not look
        raise UsageError(f"{where} is neither a file nor a folder")
    for path in _below(where) if where.is_dir() else (_spokesman(where),):
        yield path if isinstance(path, Outside) else _outside(path)


def _outside(path: Path) -> Outside:
    prefix = path.name.removesuffix(INDEX)
    shards: list[Path] = []
    try:
        if prefix != path.name:
            shards = sorted(p for p in path.parent.iterdir() if SHARD.search(p.name) and _prefix(p) == prefix)
        for shard in shards:
            mapped(shard)
        return Outside(path, tuple(shards), mapped(path))
    except OSError as error:
        return _unread(path, error.strerror or repr(error))
    except StoreError as error:
        return _unread(path, str(error).removeprefix(f"{path}: "))


def _unread(path: Path, problem: str) -> Outside:
    return Outside(path, (), memoryview(b""), problem)


def _below(folder: Path) -> Iterator[Path | Outside]:
    """Yield the files below a folder, but for shards that have their index beside them, and what cannot be seen."""
    closed: list[OSError] = []
    for top, folders, names in os.walk(folder, onerror=closed.append):
        folders.sort()
        for path in sorted(Path(top, name) for name in names):
            try:
                if path.is_file() and _spokesman(path) == path:
                    yield path
            except OSError as error:
                yield _unread(path, error.strerror or repr(error))
    for each in closed:
        yield _unread(Path(os.fsdecode(each.filename)), each.strerror or repr(each))


def _spokesman(path: Path) -> Path:
    """Return the index that speaks for a shard; any other file speaks for itself."""
    if not SHARD.search(path.name):
        return path
    index = path.with_name(_prefix(path) + INDEX)
    return index if index.is_file() else path


def _prefix(shard: Path) -> str:
    return SHARD.sub("", shard.name)
