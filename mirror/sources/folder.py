"""Files of this machine: ``file://`` addresses and plain folders."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from mirror.errors import AccessError, ChangedError, ConnectionDroppedError, NotFoundError, OversizeError, SourceError
from mirror.model import Listing, Refused, RemoteFile, path_fault, safe_path
from mirror.sources.reply import Hop, SpannedBody
from mirror.wire import BodySpan, Validator, redact

if TYPE_CHECKING:
    from mirror.model import Claim

_FILE_HINT = "check the path and its permissions"


class FileReply(SpannedBody):
    """One open local file; see ``Reply``."""

    def __init__(self, file: io.FileIO, url: str, span: BodySpan, validator: Validator) -> None:
        self.validator = validator
        self.claims: tuple[Claim, ...] = ()
        self.url = redact(url)
        self.hops: tuple[Hop, ...] = (Hop(self.url, 0, (("content-length", str(span.size)),)),)
        self.content_type: str | None = None
        self.encoding: str | None = None
        super().__init__(_Stretch(file, (span.stop or 0) - span.start, self.url), span, self.url)


class _Stretch:
    """So many bytes of an open file."""

    def __init__(self, file: io.FileIO, size: int, url: str) -> None:
        self._file = file
        self._left = size
        self._url = url
        self._aborted = False

    def readinto(self, buffer: memoryview) -> int:
        """Read some bytes; ConnectionDroppedError when the file cannot be read on, or after ``abort``."""
        if not self._left:
            return 0
        if self._aborted:
            raise ConnectionDroppedError(f"{self._url}: stopped")
        try:
            count = self._file.readinto(buffer[: self._left]) or 0
        except OSError as error:
            raise ConnectionDroppedError(f"{self._url}: {error.strerror}", hint=_FILE_HINT) from error
        self._left -= count
        return count

    def abort(self) -> None:
        """Let the next ``readinto`` fail."""
        self._aborted = True

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class FileOpener:
    """Opens ``file://`` addresses with the same meaning of ranges and validators as HTTP."""

    def open(
        self,
        url: str,
        *,
        start: int = 0,
        stop: int | None = None,
        validator: Validator | None = None,
        size: int | None = None,
    ) -> FileReply:
        """Open the bytes ``[start, stop)`` of a local file; the whole of it when it is another version.

        Raises:
            NotFoundError, AccessError: It is not there, or not for us.
            ChangedError, OversizeError: It is not as long as promised.
            SourceError: It is not a plain file.
        """
        file, facts = _opened(file_path(url), redact(url))
        # Inode, size and time to the nanosecond: what rsync and git take for the same version.
        mine = Validator(f'"{facts.st_ino:x}-{facts.st_size:x}-{facts.st_mtime_ns:x}"')
        if validator is not None and validator.contradicts(mine):
            start, stop = 0, None
        try:
            span = _span(facts.st_size, redact(url), (start, stop), size)
            file.seek(span.start)
        except BaseException:
            file.close()
            raise
        return FileReply(file, url, span, mine)


def _span(found: int, where: str, asked: tuple[int, int | None], size: int | None) -> BodySpan:
    if size is not None and found > size:
        raise OversizeError(f"{where}: has {found} B, promised are {size} B")
    if size is not None and found < size:
        raise ChangedError(f"{where}: has {found} B, promised are {size} B")
    start, stop = asked
    if start > found:
        raise ChangedError(f"{where}: has {found} B, asked for were bytes from {start}")
    return BodySpan(start, found if stop is None else min(stop, found), found)


def _opened(path: Path, where: str) -> tuple[io.FileIO, os.stat_result]:
    try:
        # Without O_NONBLOCK, opening a named pipe waits for a writer, for ever.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotFoundError(f"{where}: no such file", hint=_FILE_HINT) from error
    except (PermissionError, NotADirectoryError) as error:
        raise AccessError(f"{where}: {error.strerror}", hint=_FILE_HINT) from error
    except OSError as error:
        raise SourceError(f"{where}: {error.strerror}", hint=_FILE_HINT) from error
    facts = os.fstat(handle)
    if not stat.S_ISREG(facts.st_mode):
        os.close(handle)
        raise SourceError(f"{where}: not a plain file", hint=_FILE_HINT)
    return io.FileIO(handle), facts


def file_path(url: str) -> Path:
    """Return the path that a ``file://`` address names, or a plain path as it is.

    Raises:
        SourceError: The address names another host, or no absolute path.

    Source: RFC 8089 §2.
    """
    if not url.lower().startswith("file:"):
        return Path(url)
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise SourceError("a file address that makes no sense") from error
    path = unquote(parts.path)
    if parts.netloc.lower() not in {"", "localhost"} or not path.startswith("/") or "\0" in path:
        raise SourceError(f"{redact(url)}: not a file of this machine")
    return Path(path)


def list_folder(artifact: str, folder: Path, claims: dict[str, tuple[Claim, ...]] | None = None) -> Listing:
    """Return the plain files under ``folder``, by path.

    Args:
        artifact: Name of the artifact.
        folder: Where the files are.
        claims: What is promised beforehand, by path.

    Raises:
        NotFoundError: There is no such folder.
        AccessError: A part of it cannot be read.
        SourceError: The system says something else.
    """
    root = folder.resolve()
    if not root.is_dir():
        raise NotFoundError(f"{folder}: no such folder", hint=_FILE_HINT)
    files: list[RemoteFile] = []
    refused: list[Refused] = []
    try:
        for path in sorted(root.rglob("*")):
            name = path.relative_to(root).as_posix()
            if why := _fault(path, name, root):
                refused.append(Refused(name, why))
            elif path.is_file():
                files.append(
                    RemoteFile(artifact, name, (path.as_uri(),), path.stat().st_size, (claims or {}).get(name, ()))
                )
    except PermissionError as error:
        raise AccessError(f"{folder}: {error.strerror}", hint=_FILE_HINT) from error
    except OSError as error:
        raise SourceError(f"{folder}: {error.strerror}", hint=_FILE_HINT) from error
    return Listing(artifact, None, tuple(sorted(files, key=lambda file: file.path)), tuple(refused))


def _fault(path: Path, name: str, root: Path) -> str:
    """Return why a path of a folder cannot be taken; empty when it can, or is no file."""
    if path.is_symlink():
        try:
            inside = path.resolve().is_relative_to(root)
        except RuntimeError:  # what Python 3.11 says of a circle
            inside = False
        # A link out of the folder would let whoever filled it have any file of the reader's copied.
        if not inside:
            return "a symbolic link that leaves the folder; copy the folder with `cp -rL`"
    return path_fault(name) if not safe_path(name) and path.is_file() else ""
