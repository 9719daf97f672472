"""Promise and blob to a verdict: is what is held still what was recorded?

``stat`` asks whether the blob is there with its size, ``digest`` reads every byte.
The store is only read here; what to do about a bad blob is the caller's decision.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from mirror.digests import BLOCK, digest_file
from mirror.errors import StoreError

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Iterator, Sequence
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
    """

    subject: Subject
    level: VerifyLevel
    status: Status
    actual: str | None = None
    damage: tuple[tuple[int, int], ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the blob is what was recorded."""
        return self.status is Status.INTACT


def verify(subjects: Iterable[Subject], level: VerifyLevel, *, stop: threading.Event) -> Iterator[Verdict]:
    """Judge every subject, a few at a time, in their order.

    Raises:
        StoreError: A blob is there and cannot be read.
    """
    if level is VerifyLevel.STAT:
        yield from (judge(subject, level) for subject in subjects)
        return
    rest = iter(subjects)
    with ThreadPoolExecutor(THREADS) as pool:
        waiting = [pool.submit(judge, subject, level) for subject in islice(rest, 2 * THREADS)]
        while waiting and not stop.is_set():
            yield waiting.pop(0).result()
            waiting += [pool.submit(judge, subject, level) for subject in islice(rest, 1)]


def judge(subject: Subject, level: VerifyLevel) -> Verdict:
    """Judge one blob.

    Raises:
        StoreError: It is there and cannot be read.
    """
    try:
        size = subject.path.stat().st_size
        if size != subject.size:
            return Verdict(subject, level, Status.RESIZED)
        if level is VerifyLevel.STAT:
            return Verdict(subject, level, Status.INTACT)
        digests, blocks = digest_file(subject.path, {"sha256"}, blocks=bool(subject.blocks))
    except FileNotFoundError:
        return Verdict(subject, level, Status.MISSING)
    except OSError as error:
        raise StoreError(f"{subject.path}: {error.strerror}") from error
    actual = digests["sha256"].hex
    if actual == subject.sha256:
        return Verdict(subject, level, Status.INTACT, actual)
    return Verdict(subject, level, Status.ALTERED, actual, _damage(subject, blocks))


def _damage(subject: Subject, blocks: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Return the spans of the blocks whose CRC-32 is not the one that was kept."""
    return tuple(
        (number * BLOCK, min((number + 1) * BLOCK, subject.size))
        for number, (kept, found) in enumerate(zip(subject.blocks, blocks, strict=False))
        if kept != found
    )
