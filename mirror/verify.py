"""Promise and blob to a verdict: is what is held still what was recorded?

``stat`` asks whether the blob is there with its size, ``digest`` reads every byte. What
does not fit is read once more, from the disk: memory and cables fail too, and a blob that
is right after all must not be thrown away. The store is only read here; what to do about
a bad blob is the caller's decision.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from mirror.digests import BLOCK, digest_file

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

#: Threads that read; hashing leaves the interpreter, so two use two cores.
THREADS = 2


class VerifyLevel(StrEnum):
    """How hard to look; each level does all that the one before it does."""

    STAT = "stat"
    DIGEST = "digest"


class Status(StrEnum):
    """What is the matter with a blob; ``intact`` when nothing is."""

    INTACT = "intact"
    MISSING = "missing"
    RESIZED = "resized"
    ALTERED = "altered"
    UNREADABLE = "unreadable"  # nothing is known of its bytes


class Subject(NamedTuple):
    """One blob to judge.

    Attributes:
        sha256: Its name.
        size: Bytes it was recorded with.
        path: Where it should be.
        blocks: CRC-32 of every 1 MiB block, where they were kept.
    """

    sha256: str
    size: int
    path: Path
    blocks: Sequence[int] = ()


class Verdict(NamedTuple):
    """What one look at a blob found.

    Attributes:
        subject: The blob.
        level: How hard it was looked at.
        status: What was found.
        actual: The sha256 of the bytes, when they were read.
        damage: Half-open spans of bytes whose block CRC-32 differs; empty when blocks were not kept.
        transient: The sha256 that a first read gave where a second one, from the disk, was right; None otherwise.
        why: What the system said of a blob that is unreadable; empty otherwise.
    """

    subject: Subject
    level: VerifyLevel
    status: Status
    actual: str | None = None
    damage: tuple[tuple[int, int], ...] = ()
    transient: str | None = None
    why: str = ""

    @property
    def ok(self) -> bool:
        """Whether the blob is what was recorded."""
        return self.status is Status.INTACT


def _never() -> bool:
    return False


def verify(
    subjects: Iterable[Subject], level: VerifyLevel, *, stop: threading.Event, over: Callable[[], bool] = _never
) -> Iterator[Verdict]:
    """Judge every subject, a few at a time, in their order.

    Args:
        subjects: The blobs.
        level: How hard to look.
        stop: Ends it when set.
        over: Asked before each blob from several threads; once it says so, no further one is begun.
    """
    rest = iter(subjects)

    def begin(subject: Subject) -> Verdict | None:
        return None if stop.is_set() or over() else judge(subject, level)

    if level is VerifyLevel.STAT:
        for subject in rest:
            if (verdict := begin(subject)) is None:
                return
            yield verdict
        return
    with ThreadPoolExecutor(THREADS) as pool:
        waiting = [pool.submit(begin, subject) for subject in islice(rest, 2 * THREADS)]
        while waiting and (verdict := waiting.pop(0).result()) is not None:
            yield verdict
            waiting += [pool.submit(begin, subject) for subject in islice(rest, 1)]


def judge(subject: Subject, level: VerifyLevel) -> Verdict:
    """Judge one blob; bytes that are not the recorded ones are read a second time."""
    try:
        size = subject.path.stat().st_size
        if size != subject.size:
            return Verdict(subject, level, Status.RESIZED)
        if level is VerifyLevel.STAT:
            return Verdict(subject, level, Status.INTACT)
        first, blocks = _read(subject)
        if first == subject.sha256:
            return Verdict(subject, level, Status.INTACT, first)
        _forget_pages(subject.path)
        actual, blocks = _read(subject)
    except FileNotFoundError:
        return Verdict(subject, level, Status.MISSING)
    except OSError as error:
        return Verdict(subject, level, Status.UNREADABLE, why=error.strerror or repr(error))
    if actual == subject.sha256:
        return Verdict(subject, level, Status.INTACT, actual, transient=first)
    return Verdict(subject, level, Status.ALTERED, actual, _damage(subject, blocks))


def _read(subject: Subject) -> tuple[str, Sequence[int]]:
    digests, blocks = digest_file(subject.path, {"sha256"}, blocks=bool(subject.blocks))
    return digests["sha256"].hex, blocks


def _forget_pages(path: Path) -> None:
    """Have the system drop what it holds of a file in memory, where it can; what others have mapped stays.

    Source: posix_fadvise(2), POSIX_FADV_DONTNEED.
    """
    if hasattr(os, "posix_fadvise"):
        with path.open("rb", buffering=0) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _damage(subject: Subject, blocks: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Return the spans of the blocks whose CRC-32 is not the one that was kept."""
    return tuple(
        (number * BLOCK, min((number + 1) * BLOCK, subject.size))
        for number, (kept, found) in enumerate(zip(subject.blocks, blocks, strict=False))
        if kept != found
    )
