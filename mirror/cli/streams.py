"""The streams that we are started with: what cannot be written to stdout is an error of ours, stderr never one.

A number of a stream that was closed would be given to the next file that is opened, such as the
ledger; so each is taken by something that only fails, or forgets.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, BinaryIO, TextIO

from mirror.errors import FULL, DiskFullError, StoreError

if TYPE_CHECKING:
    from typing import NoReturn

#: How what stands for a closed stdin, stdout and stderr is opened: results go nowhere with EBADF, remarks in silence.
_CLOSED = (os.O_WRONLY, os.O_RDONLY, os.O_WRONLY)


def take_streams() -> None:
    """Put our streams in the place of Python's; those that are closed are replaced."""
    for number, mode in enumerate(_CLOSED):
        try:
            os.fstat(number)
        except OSError:
            _open_at(number, mode)
    sys.stdout = _Results(*_settings(sys.stdout, 1))
    sys.stderr = _Remarks(*_settings(sys.stderr, 2))


def _open_at(number: int, mode: int) -> None:
    opened = os.open(os.devnull, mode)
    if opened != number:
        os.dup2(opened, number)
        os.close(opened)


def _settings(stream: TextIO | None, number: int) -> tuple[BinaryIO, str, str, None, bool]:
    """Return what makes a stream like ``stream``; None stands for a closed one of that number."""
    if isinstance(stream, io.TextIOWrapper):
        encoding, errors, lines = stream.encoding, stream.errors, stream.line_buffering
        return stream.buffer, encoding, errors or "strict", None, lines
    return io.BufferedWriter(io.FileIO(number, "w", closefd=False)), "utf-8", "backslashreplace", None, True


class _Results(io.TextIOWrapper):
    """Stdout: what cannot be written is an error of ours; that the reader has gone stays what it is."""

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError as error:
            _refused(error)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            _refused(error)


def _refused(error: OSError) -> NoReturn:
    if isinstance(error, BrokenPipeError):
        raise error
    if error.errno in FULL:
        raise DiskFullError(f"stdout: {error.strerror}", hint="free space where the output goes") from error
    raise StoreError(f"stdout: {error.strerror}", hint="give it a file, a pipe or a terminal") from error


class _Remarks(io.TextIOWrapper):
    """Stderr: that nobody can read a remark changes nothing about what is done."""

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError:
            return
