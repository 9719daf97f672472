"""What the ledger answers with: values, no SQL.

Rows that come by the hundred thousand are named tuples: a frozen dataclass of ten fields
takes 1.6 µs to make, a named tuple 0.3 µs.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from mirror.model import Digest, Event

if TYPE_CHECKING:
    from collections.abc import Mapping


class State(StrEnum):
    """What the ledger knows of one file; compares equal to its word."""

    LISTED = "listed"  # promised; nothing came yet, or what came is no longer there
    HELD = "held"
    FAILED = "failed"
    DISPUTED = "disputed"


class FileState(NamedTuple):
    """One file of one artifact, and what became of it.

    Attributes:
        artifact: Name of the artifact.
        path: Where the file stands in it.
        size: Bytes, where known.
        state: A word of ``State``. A held file whose blob was found damaged or gone is ``listed``.
        sha256: What was held last under this name and promise; it binds the next transfer.
        level: Evidence level of those bytes.
        revision: Full commit that the file belongs to.
        error: Why the last transfer failed or was disputed.
        damage: ``missing``, ``altered``, ``resized`` or ``removed``; None while the blob is not known to be bad.
        event: Number of the event that made the state; 0 where the artifact has no file.
    """

    artifact: str
    path: str
    size: int | None
    state: str
    sha256: str | None
    level: str | None
    revision: str | None
    error: str | None
    damage: str | None
    event: int


class Holding(NamedTuple):
    """One artifact as it was listed last, with all its files.

    Attributes:
        artifact: Name of the artifact.
        revision: Full commit that was listed; None where there are no revisions.
        narrowed: Formats that the listing was narrowed to; None for the whole artifact.
        listed_at: When, ISO 8601, UTC.
        files: Its files, by path.
    """

    artifact: str
    revision: str | None
    narrowed: tuple[str, ...] | None
    listed_at: str
    files: tuple[FileState, ...]


class BlobRow(NamedTuple):
    """What was recorded of one blob.

    Attributes:
        sha256: Its name.
        size: Bytes; None when only a verdict was ever recorded.
        digests: Every digest that was computed, by algorithm.
        blocks: CRC-32 of every 1 MiB block; empty for small blobs.
        first_event: Number of the first event about it.
        verified_at: When every byte was last read; None for never.
        verdict: What was found last: ``intact``, ``missing``, ``altered``, ``resized``, ``removed``; None when
            it came back and was not read since.
        present: Whether the store should have it.
    """

    sha256: str
    size: int | None
    digests: Mapping[str, Digest]
    blocks: tuple[int, ...]
    first_event: int
    verified_at: str | None
    verdict: str | None
    present: bool


class MemberRow(NamedTuple):
    """One member of an archive: its path, size, and digests as hex."""

    path: str
    size: int | None
    crc32: str | None
    sha256: str | None


class WeightsRow(NamedTuple):
    """What was found in one weight file, or in one checkpoint inside an archive.

    Attributes:
        blob: sha256 of the file, or of the archive.
        member: Prefix of the checkpoint in the archive; empty for a file that is weights itself.
        format: Of ``formats.Checkpoint``; None when it could not be read.
        family: ``bert``, ``albert`` …; None when it could not be told.
        verdict: ``sound``, ``unsound`` or ``unread``.
        parameters: Elements of its tensors, tied ones once; None when it could not be read.
        roots: Canonical digest of each group of tensors, hex.
        findings: What there was to say: step, severity, tensor, text.
        checked_at: When it was read last.
    """

    blob: str
    member: str
    format: str | None
    family: str | None
    verdict: str
    parameters: int | None
    roots: Mapping[str, str]
    findings: tuple[tuple[str, str, str, str], ...]
    checked_at: str


class TensorRow(NamedTuple):
    """One canonical tensor: its name, dtype, dims joined by ``x``, and the sha256 of its elements."""

    name: str
    dtype: str
    dims: str
    sha256: str


class Entry(NamedTuple):
    """One row of the events: an event, its number, and its links in the chain."""

    seq: int
    at: str
    kind: str
    subject: str
    detail: dict[str, Any]
    prev: str
    hash: str

    @property
    def event(self) -> Event:
        """The event without its place in the chain."""
        return Event(self.kind, self.subject, self.detail, self.at)


class Counts(NamedTuple):
    """How much the ledger knows.

    Attributes:
        events: Rows of the chain.
        artifacts: Artifacts that were listed.
        files: Files by state.
        blobs: Blobs that the store should have.
        bytes: Their sizes, added up.
    """

    events: int
    artifacts: int
    files: Mapping[str, int]
    blobs: int
    bytes: int


class Audit(NamedTuple):
    """The ledger is what was written.

    Attributes:
        events: Rows that were checked.
        head: Hash of the last of them.
        anchored: Number of the event that ``ledger.head`` names; None when there is no such file.
    """

    events: int
    head: str
    anchored: int | None
