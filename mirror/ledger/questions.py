"""The SQL of the questions that ``Reader`` answers; constants only, so nothing is ever pasted in."""

from __future__ import annotations

DAMAGE = "LEFT JOIN blobs AS d INDEXED BY blobs_damaged ON d.sha256 = f.sha256 AND d.verdict <> 'intact'"
STATE = "CASE WHEN f.state = 'held' AND d.verdict IS NOT NULL THEN 'listed' ELSE f.state END"
FILE = f"f.path, f.size, {STATE}, f.sha256, f.level, f.revision, f.error, d.verdict, f.event"

FILES = f"SELECT f.artifact, {FILE} FROM files AS f {DAMAGE}"  # noqa: S608 - constants only, here and below
# CROSS JOIN keeps the order of the loops, so rows come by artifact and path without being sorted.
HOLDINGS = f"""
SELECT l.artifact, l.revision, l.narrowed, l.listed_at, {FILE}
FROM json_each(?) AS asked
CROSS JOIN listings AS l ON l.artifact = asked.value
LEFT JOIN files AS f ON f.artifact = l.artifact
{DAMAGE}
"""  # noqa: S608
HELD = f"""
SELECT f.path, f.sha256 FROM files AS f {DAMAGE}
WHERE f.artifact = ? AND f.state = 'held' AND d.sha256 IS NULL
"""  # noqa: S608
COUNT_FILES = f"SELECT {STATE}, count(*) FROM files AS f {DAMAGE} GROUP BY 1"  # noqa: S608
BLOB = (
    "SELECT sha256, size, git_sha1, md5, crc32, crc32c, blocks, first_event, verified_at, verdict, present FROM blobs"
)
# The plus keeps SQLite from putting the constant into substr() as well, and so from using the index.
WITH_DIGEST = {
    "sha256": f"{BLOB} INDEXED BY blobs_by_sha256 WHERE substr(sha256, 1, 6) = substr(?1, 1, 6) AND +sha256 = ?1",
    "git-sha1": f"{BLOB} INDEXED BY blobs_by_git_sha1 WHERE git_sha1 IS NOT NULL"
    " AND substr(git_sha1, 1, 6) = substr(?1, 1, 6) AND +git_sha1 = ?1 ORDER BY present DESC, sha256 LIMIT 1",
}
EVENTS = "SELECT seq, at, kind, subject, detail, prev, hash FROM events"
WHERE = {
    "subject": "(subject = ?{0} OR substr(subject, 1, length(?{0}) + 1) = ?{0} || '/')",
    "kind": "kind = ?{0}",
    "since": "at >= ?{0}",
}
