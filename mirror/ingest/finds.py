"""Everything that a person's files and folders hold, archives in any nesting opened: named, hashed, only read.

What is in an archive lies in a file without a name until nobody uses it.
"""

from __future__ import annotations

import os
import posixpath
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mirror.digests import MultiDigest
from mirror.errors import ArchiveError, FormatError, StoreError, UsageError
from mirror.formats.sniff import HEAD, TAIL, kind_of
from mirror.ingest.leftovers import stand_in, unfinished
from mirror.load.opening import mapped
from mirror.load.unpacking import unpacked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mirror.model import Digest

ARCHIVES = frozenset({"zip", "gzip"})
#: Archives within archives; what is deeper is named and left.
_DEEPEST = 4
#: Files up to this size may be what git calls a blob; larger ones are never asked for by that name.
_GIT = 32 << 20
#: What people would call weights, or an archive of some: said to be unknown, where other files are only counted.
_LIKE_WEIGHTS = re.compile(
    r"\.(bin|pt|pth|ckpt|safetensors|pdparams|msgpack|h5|index|data-[0-9]{5}-of-[0-9]{5}|zip|tgz|tar|gz|7z|rar)$",
    re.IGNORECASE,
)


@dataclass(eq=False)
class Find:
    """One file, or one member of an archive.

    Attributes:
        name: For people: the path, in archives with the member's behind ``!``.
        view: Its bytes; empty where ``wrong`` says why they are not looked at.
        kind: Of its content, as ``sniff.kind_of`` calls it; empty for what is neither weights nor an archive.
        digests: sha256 and, of small files, git's blob id.
        asked: Whether a person named it, or its name promises weights: it is told even when it is unknown.
        wrong: Why it is not taken, whatever it is; empty where that is open.
        outer: sha256 of the archives that it was found in, the outermost first.
        came: What else the ledger should know of how it came, where a program fetched it.
    """

    name: str
    view: memoryview
    kind: str
    digests: Mapping[str, Digest]
    asked: bool
    wrong: str = ""
    outer: tuple[str, ...] = ()
    came: Mapping[str, str] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """Of its bytes, hex; empty where they were not read."""
        return self.digests["sha256"].hex if self.digests else ""

    @property
    def folder(self) -> str:
        """What it stands in; what stands beside it has the same."""
        outer, mark, inner = self.name.rpartition("!")
        return outer + mark + posixpath.dirname(inner)

    @property
    def path(self) -> str:
        """Its own name, without what it stands in."""
        return posixpath.basename(self.name.rpartition("!")[2])


def finds(paths: list[Path], is_known: Callable[[str], bool], scratch: Path) -> Iterator[Find]:
    """Yield every file of ``paths`` and below, by path; archives whose bytes nobody knows are opened.

    Args:
        paths: Files and folders; only read.
        is_known: Whether the bytes with this sha256 are known as a file of their own.
        scratch: A directory with room for the content of an archive.

    Raises:
        UsageError: One of them is neither a file nor a folder.
        StoreError: There is no room to unpack an archive.
    """
    for path in paths:
        if not (path.is_file() or path.is_dir()):
            raise UsageError(f"{path} is neither a file nor a folder")
        for file in _below(path) if path.is_dir() else (path,):
            yield from _opened(_found(file, asked=file == path), file, is_known, scratch, 1)


def finds_of(files: Mapping[str, Path], is_known: Callable[[str], bool], scratch: Path) -> Iterator[Find]:
    """Yield files that a program fetched, under the names that they had where they came from; see ``finds``.

    Raises:
        StoreError: One cannot be read, or there is no room to unpack an archive.
    """
    for name, path in sorted(files.items()):
        yield from _opened(_looked_at(name, mapped(path), asked=True), path, is_known, scratch, 1)


def _below(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder; of several names of one file, links before the file itself.

    A hub's cache has its files under their digests, and links to them under their names.
    """
    found: dict[str, Path] = {}
    for top, folders, names in os.walk(folder):
        folders.sort()
        for path in sorted(Path(top, name) for name in names):
            if path.is_file() and (path.is_symlink() or os.path.realpath(path) not in found):
                found[os.path.realpath(path)] = path
    yield from sorted(found.values())


def _found(path: Path, *, asked: bool) -> Find:
    asked = asked or _LIKE_WEIGHTS.search(path.name) is not None
    try:
        if said := unfinished(path, _names(path.parent)):
            return Find(str(path), memoryview(b""), "", {}, asked=True, wrong=said)
        return _looked_at(str(path), mapped(path), asked=asked)
    except (OSError, StoreError) as error:
        return Find(str(path), memoryview(b""), "", {}, asked=True, wrong=f"cannot be read: {error}")


def _names(folder: Path) -> frozenset[str]:
    return frozenset(entry.name for entry in folder.iterdir() if entry.name.endswith(".aria2"))


def _looked_at(name: str, view: memoryview, *, asked: bool, outer: tuple[str, ...] = ()) -> Find:
    digest = MultiDigest({"sha256", "git-sha1"} if len(view) <= _GIT else {"sha256"}, size=len(view))
    digest.update(view)
    found = Find(name, view, "", digest.result(), asked, outer=outer)
    try:
        found.kind = kind_of(bytes(view[:HEAD]), bytes(view[-TAIL:]), len(view))
    except FormatError:
        found.wrong = stand_in(view)
    return found


def _opened(find: Find, archive: Path, is_known: Callable[[str], bool], scratch: Path, depth: int) -> Iterator[Find]:
    """Yield a find, and before it what it holds, if it is an archive that has to be opened."""
    if find.kind in ARCHIVES and not find.wrong and not is_known(find.sha256):
        if depth > _DEEPEST:
            find.wrong = f"an archive within {_DEEPEST} others: unpack it first"
        else:
            try:
                members = unpacked(archive, _is_of_use, scratch, data=find.view)
            except ArchiveError as error:
                find.wrong = f"refused: {error}"
                members = {}
            for path, view in sorted(members.items()):
                inner = _looked_at(
                    f"{find.name}!{path}",
                    view,
                    asked=_LIKE_WEIGHTS.search(path) is not None,
                    outer=(*find.outer, find.sha256),
                )
                yield from _opened(inner, archive, is_known, scratch, depth + 1)
    yield find


def _is_of_use(path: str) -> bool:
    """Whether a member may be part of a model; a small one always may."""
    return not path.endswith((".DS_Store", "Thumbs.db")) and not path.startswith("__MACOSX/")
