"""From events to the state tables: the one place that writes them.

The same events in the same order give the same rows, however they are batched: ``record``
runs this on the ledger, ``verify`` on an empty copy, and the results must agree. So nothing
here reads a clock, and a run of events of one kind is written statement by statement only
because those statements touch different tables.
"""

from __future__ import annotations

import binascii
import json
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from mirror.ledger import bulk
from mirror.ledger.canonical import canonical
from mirror.model import STRONG, Event

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Sequence

#: What a projection needs of an event: its number, time, kind and detail. A plain tuple: an
#: ``Event`` with its time filled in takes 1.5 µs to make, a sixth of what a row may cost.
Fact = tuple[int, str, str, dict[str, Any]]

_STORED = """
INSERT INTO files (artifact, path, size, urls, claims, state, sha256, level, event)
VALUES (?, ?, ?, '[]', '[]', 'held', ?, ?, ?)
ON CONFLICT (artifact, path) DO UPDATE SET
    size = excluded.size, state = excluded.state, sha256 = excluded.sha256,
    level = excluded.level, error = NULL, event = excluded.event
"""
# The row is there, from the listing, and an update takes half the time of an upsert.
_STORED_LISTED = """
UPDATE files SET size = new.column3, state = 'held', sha256 = new.column4, level = new.column5, error = NULL,
    event = new.column6
FROM (VALUES) AS new WHERE files.artifact = new.column1 AND files.path = new.column2
"""
_FAILED = """
INSERT INTO files (artifact, path, urls, claims, state, error, event)
VALUES (?, ?, '[]', '[]', 'failed', ?, ?)
ON CONFLICT (artifact, path) DO UPDATE SET
    state = excluded.state, error = excluded.error, event = excluded.event
"""
_DISPUTED = """
INSERT INTO files (artifact, path, urls, claims, state, level, error, event)
VALUES (?, ?, '[]', '[]', 'disputed', 'disputed', ?, ?)
ON CONFLICT (artifact, path) DO UPDATE SET
    state = excluded.state, level = excluded.level, error = excluded.error, event = excluded.event
"""
_OLD_FILES = """
SELECT path, size, claims, revision, state, sha256, level, error, event FROM files WHERE artifact = ?
"""
_LISTED = """
INSERT INTO listings (artifact, revision, narrowed, listed_at, event) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (artifact) DO UPDATE SET
    revision = excluded.revision, narrowed = excluded.narrowed,
    listed_at = excluded.listed_at, event = excluded.event
"""
_FILE = "INSERT INTO files VALUES"

_KNOWN = """
SELECT asked.value FROM json_each(?) AS asked
CROSS JOIN blobs ON substr(blobs.sha256, 1, 6) = substr(asked.value, 1, 6) AND blobs.sha256 = asked.value
"""
_NEW_BLOB = "INSERT INTO blobs VALUES"
_THIS_BLOB = "WHERE substr(sha256, 1, 6) = substr(?1, 1, 6) AND sha256 = ?1"
# Bytes that were only found again, not read, take back `missing` and `removed` and prove nothing.
_BLOB_AGAIN = f"""
UPDATE blobs SET size = ?2,
    git_sha1 = coalesce(?3, git_sha1), md5 = coalesce(?4, md5), crc32 = coalesce(?5, crc32),
    crc32c = coalesce(?6, crc32c), blocks = coalesce(?7, blocks), verified_at = coalesce(?9, verified_at),
    verdict = CASE WHEN ?10 IS NOT NULL THEN ?10 WHEN verdict IN ('missing', 'removed') THEN NULL ELSE verdict END,
    present = ?11, first_event = min(first_event, ?8)
{_THIS_BLOB}
"""  # noqa: S608 - constants only
_JUDGED = f"UPDATE blobs SET verified_at = ?2, verdict = ?3, present = (?3 <> 'missing') {_THIS_BLOB}"  # noqa: S608
# A look at the size sees what is gone; it cannot see that altered bytes are right again.
_LOOKED_AT = f"""
UPDATE blobs SET present = (?3 <> 'missing'), verdict = CASE
    WHEN ?3 <> 'intact' THEN ?3
    WHEN verdict IN ('missing', 'resized', 'removed') THEN NULL
    ELSE verdict END
{_THIS_BLOB}
"""  # noqa: S608
_REMOVED = f"UPDATE blobs SET present = 0, verdict = 'removed' {_THIS_BLOB}"  # noqa: S608


def apply(connection: sqlite3.Connection, seq: int, event: Event) -> None:
    """Change the state tables as one event says; see ``apply_all``."""
    apply_all(connection, [(seq, event.at, event.kind, event.detail)])


def apply_all(connection: sqlite3.Connection, facts: Iterable[Fact]) -> None:
    """Change the state tables as ``facts``, in the order of their numbers, say; the caller's transaction.

    Raises:
        ValueError: The detail of an event lacks what its kind must have.
    """
    for kind, run in groupby(facts, key=itemgetter(2)):
        project = PROJECTIONS.get(kind)
        if project is None:
            continue
        try:
            project(connection, list(run))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"the detail of a {kind!r} event lacks something: {error!r}") from error


def _listed(connection: sqlite3.Connection, run: Sequence[Fact]) -> None:
    for seq, at, _, detail in run:
        artifact, narrowed = detail["artifact"], detail["narrowed"]
        old = {row[0]: row for row in connection.execute(_OLD_FILES, (artifact,))}
        rows = [
            _file_row(artifact, position, file, seq, old.get(file["path"]))
            for position, file in enumerate(detail["files"])
        ]
        if old:
            connection.execute("DELETE FROM files WHERE artifact = ?", (artifact,))
        bulk.run(connection, _FILE, rows)
        header = (artifact, detail["revision"], None if narrowed is None else canonical(narrowed), at, seq)
        connection.execute(_LISTED, header)


def _file_row(
    artifact: str, position: int, file: dict[str, Any], seq: int, old: tuple[Any, ...] | None
) -> tuple[Any, ...]:
    """Return the row of a listed file; what is known of it stays while the promise is the same."""
    size, claims, revision = file["size"], file["claims"], file["revision"]
    outcome: tuple[Any, ...] = ("listed", None, None, None, seq)
    if old is not None:
        old_size, old_claims, old_revision = old[1:4]
        if _same_promise((old_size, json.loads(old_claims), old_revision), (size, claims, revision)):
            size, outcome = old_size, old[4:]
    return (artifact, file["path"], position, size, canonical(file["urls"]), canonical(claims), revision, *outcome)


def _same_promise(old: tuple[Any, ...], new: tuple[Any, ...]) -> bool:
    """Whether two listings of a file, as (size, claims, revision), must mean the same bytes."""
    digests, wanted = ({claim["digest"] for claim in claims} for claims in (old[1], new[1]))
    if digests != wanted or (new[0] is not None and new[0] != old[0]):
        return False
    return old[2] == new[2] or any(digest.partition(":")[0] in STRONG for digest in wanted)


def _stored(connection: sqlite3.Connection, run: Sequence[Fact]) -> None:
    files = []
    blobs = []
    for seq, at, _, detail in run:
        sha256, size, digests, blocks = detail["sha256"], detail["size"], detail["digests"], detail["blocks"]
        files.append((detail["artifact"], detail["path"], size, sha256, detail["level"], seq))
        read = detail["how"] != "held"  # else the store had the bytes, and nobody read them now
        blobs.append((
            sha256, size, digests.get("git-sha1"), digests.get("md5"), digests.get("crc32"), digests.get("crc32c"),
            None if blocks is None else binascii.a2b_base64(blocks),
            seq, at if read else None, "intact" if read else None, 1,
        ))  # fmt: skip
    if bulk.run(connection, _STORED_LISTED, files) < len(files):
        connection.executemany(_STORED, files)
    _remember(connection, blobs)


def _remember(connection: sqlite3.Connection, blobs: Sequence[tuple[Any, ...]]) -> None:
    """Insert blobs that are new, update the others: one look-up for the whole run."""
    asked = json.dumps([row[0] for row in blobs])
    known = {sha256 for (sha256,) in connection.execute(_KNOWN, (asked,))}
    new = []
    again = []
    for row in blobs:
        if row[0] in known:
            again.append(row)
        else:
            known.add(row[0])
            new.append(row)
    bulk.run(connection, _NEW_BLOB, new)
    if again:
        connection.executemany(_BLOB_AGAIN, again)


def _failed(connection: sqlite3.Connection, run: Sequence[Fact]) -> None:
    # A failure of an artifact as a whole (its source would not list it) has no path, and no row.
    connection.executemany(
        _FAILED,
        [
            (detail["artifact"], detail["path"], f"{detail['error']}: {detail['message']}", seq)
            for seq, _, _, detail in run
            if detail.get("path") is not None
        ],
    )


def _disputed(connection: sqlite3.Connection, run: Sequence[Fact]) -> None:
    rows = []
    for seq, _, _, detail in run:
        against = "; ".join(f"{one['authority']} ({one['where']}) says {one['digest']}" for one in detail["against"])
        actual = ", ".join(f"{algorithm}:{digest}" for algorithm, digest in sorted(detail["actual"].items()))
        text = f"got {actual or 'nothing yet'}, but {against}"
        rows.append((detail["artifact"], detail["path"], text, seq))
    connection.executemany(_DISPUTED, rows)


def _members(connection: sqlite3.Connection, run: Sequence[Fact]) -> None:
    for _, _, _, detail in run:
        blob = detail["sha256"]
        connection.execute("DELETE FROM members WHERE blob = ?", (blob,))
        connection.executemany(
            # A zip may hold one path twice; whoever unpacks it ends up with the last.
            "INSERT OR REPLACE INTO members VALUES (?, ?, ?, ?, ?)",
            [(blob, one["path"], one["size"], one["crc32"], one["sha256"]) for one in detail["members"]],
        )


def _verified(connection: sqlite3.Connection, run: Sequence[Fact]) -> None:
    for seq, at, _, detail in run:
        judged = (detail["sha256"], at, detail["verdict"])
        looked = detail["level"] == "stat"
        if not connection.execute(_LOOKED_AT if looked else _JUDGED, judged).rowcount:
            # Bytes in the store that no row knew.
            sha256, _, verdict = judged
            nothing = (None,) * 6
            row = (sha256, *nothing, seq, None if looked else at, verdict, int(verdict != "missing"))
            bulk.run(connection, _NEW_BLOB, [row])


def _loaded(connection: sqlite3.Connection, run: Sequence[Fact]) -> None:
    for seq, at, _, detail in run:
        key = (detail["sha256"], detail["member"])
        connection.execute("DELETE FROM weights WHERE blob = ? AND member = ?", key)
        row = (
            *key, detail["format"], detail["family"], detail["verdict"], detail["parameters"],
            canonical(detail["roots"]), canonical(detail["findings"]), at, seq,
        )  # fmt: skip
        bulk.run(connection, "INSERT INTO weights VALUES", [row])
        if (answer := detail.get("answer")) is not None:
            roots = detail["roots"]
            said = (roots["core"], roots["mlm"], canonical(answer["asked"]), canonical(answer["top"]), at, seq)
            connection.execute("INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?, ?)", said)
        if detail["tensors"] is None:
            continue  # the same as before
        connection.execute("DELETE FROM tensors WHERE blob = ? AND member = ?", key)
        bulk.run(connection, "INSERT INTO tensors VALUES", [(*key, *tensor) for tensor in detail["tensors"]])


def _removed(connection: sqlite3.Connection, run: Sequence[Fact]) -> None:
    connection.executemany(_REMOVED, [(detail["sha256"],) for _, _, _, detail in run])


#: The kinds of events that change a state table; the others are history only.
PROJECTIONS: dict[str, Callable[[sqlite3.Connection, Sequence[Fact]], None]] = {
    "listed": _listed,
    "stored": _stored,
    "failed": _failed,
    "disputed": _disputed,
    "members": _members,
    "verified": _verified,
    "loaded": _loaded,
    "removed": _removed,
}
