"""Everything that a person's files and folders hold, archives in any nesting opened: named, hashed, only read.

What is in an archive lies in a file without a name until nobody uses it. A file of its own
is not kept open, so that a folder of a hundred thousand needs no more than one of ten.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISREG
from typing import IO, TYPE_CHECKING, cast

from mirror.digests import MultiDigest
from mirror.errors import (
    FORBIDDEN,
    FULL,
    ArchiveError,
    ArchiveMethodError,
    DiskFullError,
    FormatError,
    StoreError,
    UsageError,
)
from mirror.formats.archive import is_packed_file
from mirror.formats.reader import ViewReader
from mirror.formats.sniff import ARCHIVES, HEAD, PACKED, TAIL, kind_of
from mirror.ingest.leftovers import NOTICE, stand_in, unfinished
from mirror.ingest.tree import ALWAYS_TOLD, UNREAD, below
from mirror.load.opening import mapped, mapped_file
from mirror.load.unpacking import unpacked
from mirror.model import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mirror.model import Digest

#: Archives within archives; what is deeper is named and left.
_DEEPEST = 4
#: Files up to this size may be what git calls a blob; larger ones are never asked for by that name.
_GIT = 32 << 20
#: Seconds for which a file has to stand still before it is mapped: one that is cut short under a mapping ends us.
_SETTLED = 60.0
#: One read, and the most that is kept of a file to see what lies in its place.
_PIECE = 2 << 20
#: What people would call weights, or an archive of some: said to be unknown, where other files are only counted.
_LIKE_WEIGHTS = re.compile(
    r"\.(bin|pt|pth|ckpt|safetensors|pdparams|msgpack|h5|index|data-[0-9]{5}-of-[0-9]{5}|zip|t[gbx]z2?|tar|gz|bz2|xz|7z|rar|zst)$",
    re.IGNORECASE,
)
#: How ``wrong`` begins where a find is damaged, or built to harm.
REFUSED = "refused: "
_CHANGING = "it changes while it is read: run the command again when nobody writes it"


@dataclass(eq=False)
class Find:
    """One file, or one member of an archive.

    Attributes:
        name: For people: the path, in archives with the member's behind ``!``; what cannot be printed is escaped.
        folder: What it stands in; what stands beside it has the same.
        path: Its own name, without what it stands in.
        source: A file's path; the bytes of a member.
        size: Of its bytes; 0 where ``wrong`` says why they are not looked at.
        kind: Of its content, as ``sniff.kind_of`` calls it; empty for what is neither weights nor an archive.
        digests: sha256 and, of small files, git's blob id.
        asked: Whether a person named it, or its name promises weights: it is told even when it is unknown.
        wrong: Why it is not taken, whatever it is; empty where that is open.
        aside: Where a copy is looked at, of a file that may still change; None where the file itself is.
        outer: sha256 of the archives that it was found in, the outermost first.
        changed: When the file was written last, in seconds since the epoch; 0 for a member.
        came: What else the ledger should know of how it came, where a program fetched it.
    """

    name: str
    folder: str
    path: str
    source: Path | memoryview
    asked: bool
    size: int
    kind: str
    digests: Mapping[str, Digest]
    wrong: str = ""
    aside: Path | None = None
    outer: tuple[str, ...] = ()
    changed: float = 0.0
    came: Mapping[str, str] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """Of its bytes, hex; empty where they were not read."""
        return self.digests["sha256"].hex if self.digests else ""

    @property
    def view(self) -> memoryview:
        """Its bytes, for as long as somebody uses them; a file is opened again.

        Raises:
            DiskFullError: There is no room for a copy.
            StoreError: It cannot be read any more, or has changed.
        """
        if not isinstance(self.source, Path):
            return self.source
        return mapped(self.source) if self.aside is None else _copied(self.source, self.sha256, self.aside)


def finds(
    paths: list[Path], is_known: Callable[[str], bool], scratch: Path, *, now: Callable[[], float] = time.time
) -> Iterator[Find]:
    """Yield every file of ``paths`` and below, by path; archives whose bytes nobody knows are opened.

    Args:
        paths: Files and folders; only read.
        is_known: Whether the bytes with this sha256 are known as a file of their own.
        scratch: A directory with room for the content of an archive.
        now: The time, in seconds since the epoch.

    Raises:
        UsageError: One of them is neither a file nor a folder.
        StoreError: There is no room to unpack an archive.
    """
    within = [os.path.realpath(path) for path in paths]
    for path in paths:
        if not (path.is_file() or path.is_dir()):
            raise UsageError(f"{printable(str(path))} is neither a file nor a folder")
    for path in paths:
        there = below(path, within) if path.is_dir() else iter(((path, ""),))
        for file, wrong in there:
            find = _found(file, asked=file is path, wrong=wrong)
            if find.changed > now() - _SETTLED:
                find.aside = scratch
            yield from _opened(find, is_known, scratch, 1)


def finds_of(files: Mapping[str, Path], is_known: Callable[[str], bool], scratch: Path) -> Iterator[Find]:
    """Yield files that a program fetched, under the names that they had where they came from; see ``finds``.

    Raises:
        StoreError: There is no room to unpack an archive.
    """
    for name, path in sorted(files.items()):
        folder, _, last = name.rpartition("/")
        yield from _opened(_seen(Find(printable(name), folder, last, path, True, 0, "", {})), is_known, scratch, 1)


def _found(path: Path, *, asked: bool = False, wrong: str = "") -> Find:
    asked = asked or _LIKE_WEIGHTS.search(path.name) is not None
    name, folder = printable(str(path)), str(path.parent)
    if wrong:
        asked = asked or wrong.startswith(ALWAYS_TOLD)
        return Find(name, folder, path.name, path, asked, 0, "", {}, wrong=printable(wrong))
    if said := unfinished(path):
        return Find(name, folder, path.name, path, True, 0, "", {}, wrong=said)
    return _seen(Find(name, folder, path.name, path, asked, 0, "", {}))


def _seen(find: Find) -> Find:
    """Look at a file; what cannot be read is told."""
    assert isinstance(find.source, Path)
    try:
        stat = find.source.stat()
        find.size, find.changed = stat.st_size, stat.st_mtime
        return _looked_at(find)
    except OSError as error:
        find.asked, find.size, find.wrong = True, 0, f"{UNREAD}: {error.strerror or error}"
        return find


def _member(outer: Find, path: str, view: memoryview) -> Find:
    folder = f"{outer.folder}/{outer.path}!{posixpath.dirname(path)}"
    asked = _LIKE_WEIGHTS.search(path) is not None
    name = f"{outer.name}!{printable(path)}"
    found = Find(name, folder, posixpath.basename(path), view, asked, len(view), "", {})
    found.outer = (*outer.outer, outer.sha256)
    return _looked_at(found)


def _looked_at(find: Find) -> Find:
    """Read a find once, for its digests and what it is; OSError when that cannot be."""
    digest = MultiDigest({"sha256", "git-sha1"} if find.size <= _GIT else {"sha256"}, size=find.size)
    first, tail, size = b"", b"", 0
    for piece in pieces(find.source):
        digest.update(piece)
        size += len(piece)
        first = first or bytes(piece)
        tail = (tail + bytes(piece[-TAIL:]))[-TAIL:]
        if size > find.size:
            break
    if size != find.size:
        find.size, find.wrong = 0, _CHANGING
        return find
    find.digests = digest.result()
    try:
        find.kind = kind_of(first[:HEAD], tail, size)
    except FormatError:
        find.wrong = printable(stand_in(first, size))
        find.asked |= find.wrong == NOTICE
    return find


def pieces(source: Path | memoryview) -> Iterator[bytes | memoryview]:
    """Yield the bytes of a find; the first piece has all that a stand-in may have. OSError when it cannot be read."""
    if not isinstance(source, Path):
        yield from (source[at : at + _PIECE] for at in range(0, len(source), _PIECE))
        return
    # A pipe that has taken the file's name meanwhile must not keep us waiting.
    with open(os.open(source, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:  # noqa: PTH123 -- pathlib opens no descriptors
        if not S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError("no longer a file")
        while piece := file.read(_PIECE):
            yield piece


def _copied(path: Path, sha256: str, folder: Path) -> memoryview:
    """Return the bytes of a file, of which nothing changes any more, if they are what they were."""
    digest = hashlib.sha256()
    try:
        with tempfile.TemporaryFile(dir=folder) as copy:
            for piece in pieces(path):
                digest.update(piece)
                copy.write(piece)
            copy.flush()
            view = mapped_file(copy)
    except OSError as error:
        if error.errno in FORBIDDEN:  # somebody else's mirror may still say what a file is
            return mapped(path)
        kind = DiskFullError if error.errno in FULL else StoreError
        raise kind(f"{printable(str(path))}, copied into {folder}: {error.strerror or error}") from error
    if digest.hexdigest() != sha256:
        raise StoreError(_CHANGING)
    return view


def _opened(find: Find, is_known: Callable[[str], bool], scratch: Path, depth: int) -> Iterator[Find]:
    """Yield a find, and before it what it holds, if it is an archive that has to be opened."""
    if find.kind in ARCHIVES and not find.wrong and not is_known(find.sha256):
        if depth > _DEEPEST:
            find.wrong = f"an archive within {_DEEPEST} others: unpack it first"
        else:
            for path, view in sorted(_members(find, scratch).items()):
                yield from _opened(_member(find, path, view), is_known, scratch, depth + 1)
    yield find


def _members(find: Find, scratch: Path) -> dict[str, memoryview]:
    """Return what an archive holds; nothing where it says afterwards what is wrong with it."""
    try:
        view = find.view
        if find.kind in PACKED and is_packed_file(cast("IO[bytes]", ViewReader(view))):
            find.wrong = f"one file that {find.kind} packed, and no archive: unpack it first"
            return {}
        return unpacked(Path(find.name), _is_of_use, scratch, data=view)
    except DiskFullError:
        raise
    except StoreError as error:
        find.wrong = f"{UNREAD}: {error}"
        return {}
    except ArchiveMethodError as error:
        find.wrong = f"an archive that is not opened here: {printable(str(error))}: unpack it first"
        return {}
    except ArchiveError as error:
        find.wrong = f"{REFUSED}{printable(str(error))}"
        return {}


def _is_of_use(path: str) -> bool:
    """Whether a member may be part of a model; a small one always may."""
    return not path.endswith((".DS_Store", "Thumbs.db")) and not path.startswith("__MACOSX/")
