"""The questions that the ledger answers; plain sqlite3, and every long answer streams.

A file counts as held when its last transfer ended well *and* its blob was not found damaged,
missing or removed since. The store may still know better: a blob can vanish unseen.
"""

from __future__ import annotations

import json
import struct
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Self, TypeVar

from mirror.errors import LedgerError
from mirror.ledger import questions
from mirror.ledger.anchor import START, Head
from mirror.ledger.failures import our_errors
from mirror.ledger.moment import moment
from mirror.ledger.rows import Audit, BlobRow, Counts, Entry, FileState, Holding, MemberRow
from mirror.ledger.weights import WeightQuestions
from mirror.model import STRONG, Authority, Claim, Digest, Listing, RemoteFile

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path
    from types import TracebackType

T = TypeVar("T")


class Reader:
    """Answers from one ledger; a context manager that closes its connection.

    Args:
        path: Where the ledger is.
        connection: An open connection to it; made by ``Ledger.reader``.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; more than once does no harm."""
        self._connection.close()

    @property
    def loaded(self) -> WeightQuestions:
        """Answers about the tensors of what was loaded."""
        return WeightQuestions(self._rows)

    def head(self) -> Head:
        """Return the last event's number and hash.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        for (value,) in self._rows(tuple, "SELECT value FROM meta WHERE key = 'head'"):
            return Head.parse(value) or START
        return START

    def listing(self, artifact: str) -> Listing | None:
        """Return what ``artifact`` consists of, as it was listed last; None when it never was.

        Raises:
            LedgerError: The ledger cannot be read.
        """

        def file(row: tuple[Any, ...]) -> RemoteFile:
            path, urls, size, claims, commit = row
            return RemoteFile(artifact, path, tuple(json.loads(urls)), size, _claims(claims), commit)

        for (revision,) in self._rows(tuple, "SELECT revision FROM listings WHERE artifact = ?", artifact):
            sql = "SELECT path, urls, size, claims, revision FROM files WHERE artifact = ? ORDER BY position, path"
            return Listing(artifact, revision, tuple(self._rows(file, sql, artifact)))
        return None

    def artifacts(self) -> list[str]:
        """Return the names of all artifacts that were ever listed, sorted.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        return [name for (name,) in self._rows(tuple, "SELECT artifact FROM listings ORDER BY artifact")]

    def files(self, artifact: str | None = None) -> Iterator[FileState]:
        """Yield the state of every file, or of one artifact's, by artifact and path.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        if artifact is None:
            return self._rows(FileState._make, f"{questions.FILES} ORDER BY f.artifact, f.path")
        return self._rows(FileState._make, f"{questions.FILES} WHERE f.artifact = ? ORDER BY f.path", artifact)

    def file(self, artifact: str, path: str) -> FileState | None:
        """Return the state of one file; None when the ledger does not know it.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        sql = f"{questions.FILES} WHERE f.artifact = ? AND f.path = ?"
        return next(self._rows(FileState._make, sql, artifact, path), None)

    def held(self, artifact: str) -> dict[str, str]:
        """Return the sha256 of every held file of ``artifact``, by path.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        return dict(self._rows(tuple, questions.HELD, artifact))

    def holdings(self, artifacts: Sequence[str]) -> Iterator[Holding]:
        """Yield the listing and the files of each of ``artifacts`` that was ever listed, in their order.

        One statement and 2 µs a file: what a pull with nothing to do asks.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        asked = json.dumps(list(dict.fromkeys(artifacts)))
        rows = self._rows(tuple, questions.HOLDINGS, asked)
        for _, group in groupby(rows, key=itemgetter(0)):
            found = list(group)
            artifact, revision, narrowed, at = found[0][:4]
            files = tuple([FileState(artifact, *row[4:]) for row in found if row[4] is not None])
            yield Holding(artifact, revision, None if narrowed is None else tuple(json.loads(narrowed)), at, files)

    def needed(self) -> set[str]:
        """Return the sha256 of every blob that an artifact needs: ``gc`` keeps these.

        Those that files hold or held under their promise, whatever happened to them since, and those that
        the promises name: pins, the lock's among them, and git blob ids of blobs that are known.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        needed = {sha256 for (sha256,) in self._rows(tuple, "SELECT sha256 FROM files WHERE sha256 IS NOT NULL")}
        promised: set[Digest] = set()
        for claims in self._rows(_claims_of, "SELECT claims FROM files WHERE claims <> '[]'"):
            promised.update(claims)
        needed.update(digest.hex for digest in promised if digest.algorithm == "sha256")
        known = self._rows(tuple, "SELECT git_sha1, sha256 FROM blobs WHERE git_sha1 IS NOT NULL")
        needed.update(sha256 for git_sha1, sha256 in known if Digest("git-sha1", git_sha1) in promised)
        return needed

    def blob(self, sha256: str) -> BlobRow | None:
        """Return what was recorded of one blob; None when nothing was.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        return next(self._rows(_blob_row, questions.WITH_DIGEST["sha256"], sha256), None)

    def blobs(self) -> Iterator[BlobRow]:
        """Yield every blob that the store should have, in the order they came.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        return self._rows(_blob_row, f"{questions.BLOB} WHERE present ORDER BY rowid")

    def blob_by_digest(self, digest: Digest) -> BlobRow | None:
        """Return the blob that has a strong digest, a present one first; None when none is known.

        Raises:
            LedgerError: The ledger cannot be read.
            ValueError: The digest is weak: it says nothing about which bytes these are.
        """
        if digest.algorithm not in STRONG:
            raise ValueError(f"{digest} is weak: other bytes may have it too")
        return next(self._rows(_blob_row, questions.WITH_DIGEST[digest.algorithm], digest.hex), None)

    def members(self, sha256: str) -> tuple[MemberRow, ...]:
        """Return the members of the archive with this sha256, by path; none for other blobs.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        sql = "SELECT path, size, crc32, sha256 FROM members WHERE blob = ? ORDER BY path"
        return tuple(self._rows(MemberRow._make, sql, sha256))

    def events(
        self,
        subject: str | None = None,
        kind: str | None = None,
        since: datetime | None = None,
        limit: int | None = None,
    ) -> Iterator[Entry]:
        """Yield events in the order they were written.

        Args:
            subject: Only those about this subject, and what is below it: an artifact's files.
            kind: Only those of this kind.
            since: Only those at this time or later; aware.
            limit: Only the last so many of them.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        asked = {"subject": subject, "kind": kind, "since": None if since is None else moment(since)}
        given = {name: value for name, value in asked.items() if value is not None}
        tests = " AND ".join(questions.WHERE[name].format(number) for number, name in enumerate(given, start=1))
        sql = f"{questions.EVENTS} WHERE {tests}" if tests else questions.EVENTS
        if limit is None:
            sql += " ORDER BY seq"
        else:
            sql = f"SELECT * FROM ({sql} ORDER BY seq DESC LIMIT {int(limit)}) ORDER BY seq"  # noqa: S608
        return self._rows(_entry, sql, *given.values())

    def history(self, artifact: str, path: str) -> list[Entry]:
        """Return every event about one file: its listings, what became of it, and the fate of its blobs.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        sql = f"{questions.EVENTS} WHERE subject IN (?, ?) ORDER BY seq"
        found = [
            entry
            for entry in self._rows(_entry, sql, artifact, f"{artifact}/{path}")
            if entry.kind != "listed" or any(file["path"] == path for file in entry.detail["files"])
        ]
        blobs = {f"sha256:{entry.detail['sha256']}" for entry in found if entry.kind == "stored"}
        sql = f"{questions.EVENTS} WHERE subject IN (SELECT value FROM json_each(?))"  # noqa: S608
        found += self._rows(_entry, sql, json.dumps(sorted(blobs)))
        return sorted(found, key=itemgetter(0))

    def counts(self) -> Counts:
        """Return how much the ledger knows.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        ((artifacts,),) = self._rows(tuple, "SELECT count(*) FROM listings")
        ((blobs, size),) = self._rows(tuple, "SELECT count(*), coalesce(sum(size), 0) FROM blobs WHERE present")
        files = dict(self._rows(tuple, questions.COUNT_FILES))
        return Counts(self.head().seq, artifacts, files, blobs, size)

    def verify(self, head: str | None = None) -> Audit:
        """Check every hash, replay every event, and compare every row of state.

        Args:
            head: Hash of an event, kept elsewhere, that must be in the chain.

        Raises:
            LedgerError: The ledger cannot be read.
            TamperedError: Something is not what was written; the text names it.
        """
        from mirror.ledger.audit import audit

        return audit(self.path, head=head)

    def _rows(self, make: Callable[[Any], T], sql: str, *values: object) -> Iterator[T]:
        """Yield what ``make`` makes of each row; every error is ours, those of reading on as well."""
        with our_errors(self.path):
            try:
                yield from map(make, self._connection.execute(sql, values))
            except (ValueError, KeyError, TypeError, AttributeError, struct.error, RecursionError) as error:
                raise LedgerError(
                    f"{self.path}: a row is not what was written: {error}",
                    hint="`minibert-mirror ledger verify` names it",
                ) from error


def _claims_of(row: tuple[str]) -> list[Digest]:
    """Return the digests that the claims of a row name."""
    return [Digest.parse(claim["digest"]) for claim in json.loads(row[0])]


def _claims(text: str) -> tuple[Claim, ...]:
    return tuple(
        Claim(Digest.parse(one["digest"]), Authority(one["authority"]), one["where"], one["secure"])
        for one in json.loads(text)
    )


def _blob_row(row: tuple[Any, ...]) -> BlobRow:
    sha256, size, git_sha1, md5, crc32, crc32c, blocks, first_event, verified_at, verdict, present = row
    hexes = {"sha256": sha256, "git-sha1": git_sha1, "md5": md5, "crc32": crc32, "crc32c": crc32c}
    digests = {algorithm: Digest(algorithm, value) for algorithm, value in hexes.items() if value is not None}
    crcs = () if blocks is None else struct.unpack(f"<{len(blocks) // 4}I", blocks)
    return BlobRow(sha256, size, digests, crcs, first_event, verified_at, verdict, bool(present))


def _entry(row: tuple[Any, ...]) -> Entry:
    seq, at, kind, subject, detail, prev, digest = row
    return Entry(seq, at, kind, subject, json.loads(detail), prev, digest)
