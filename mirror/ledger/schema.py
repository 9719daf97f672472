"""The tables of ``ledger.db``, as the steps that make them.

A step is never changed once a ledger may have been made by it: a new one is added, and
``PRAGMA user_version`` counts the steps that a database has. Only SQL that SQLite 3.24
knows, so that clusters' old libraries will do.
"""

from __future__ import annotations

_EVENTS = """
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL,
    prev TEXT NOT NULL,
    hash TEXT NOT NULL
)
"""

# The triggers keep honest programs honest; the chain finds the others.
_NEVER_UPDATE = """
CREATE TRIGGER events_are_never_changed BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'events are never changed'); END
"""
_NEVER_DELETE = """
CREATE TRIGGER events_are_never_deleted BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'events are never deleted'); END
"""

_LISTINGS = """
CREATE TABLE listings (
    artifact TEXT PRIMARY KEY,
    revision TEXT,
    narrowed TEXT,
    listed_at TEXT NOT NULL,
    event INTEGER NOT NULL
) WITHOUT ROWID
"""

_FILES = """
CREATE TABLE files (
    artifact TEXT NOT NULL,
    path TEXT NOT NULL,
    position INTEGER,
    size INTEGER,
    urls TEXT NOT NULL,
    claims TEXT NOT NULL,
    revision TEXT,
    state TEXT NOT NULL,
    sha256 TEXT,
    level TEXT,
    error TEXT,
    event INTEGER NOT NULL,
    PRIMARY KEY (artifact, path)
) WITHOUT ROWID
"""

# sha256 is the key in all but name. A unique index on 64 random digits rewrites most of its pages
# with every thousand blobs, twice the bytes of one on the first six, and a file took 37 µs to record
# instead of 30 µs (10^5 files, two Xeon cores). The projection keeps it unique, and `verify` would see.
_BLOBS = """
CREATE TABLE blobs (
    sha256 TEXT NOT NULL,
    size INTEGER,
    git_sha1 TEXT,
    md5 TEXT,
    crc32 TEXT,
    crc32c TEXT,
    blocks BLOB,
    first_event INTEGER NOT NULL,
    verified_at TEXT,
    verdict TEXT,
    present INTEGER NOT NULL
)
"""
_BLOBS_BY_SHA256 = "CREATE INDEX blobs_by_sha256 ON blobs (substr(sha256, 1, 6))"
_BLOBS_BY_GIT_SHA1 = "CREATE INDEX blobs_by_git_sha1 ON blobs (substr(git_sha1, 1, 6)) WHERE git_sha1 IS NOT NULL"
_BLOBS_DAMAGED = "CREATE INDEX blobs_damaged ON blobs (sha256, verdict) WHERE verdict <> 'intact'"

_MEMBERS = """
CREATE TABLE members (
    blob TEXT NOT NULL,
    path TEXT NOT NULL,
    size INTEGER,
    crc32 TEXT,
    sha256 TEXT,
    PRIMARY KEY (blob, path)
) WITHOUT ROWID
"""

# What one weight file, or one checkpoint in an archive, holds. ``member`` is the checkpoint's prefix
# in the archive, and empty for a file that is weights itself.
_WEIGHTS = """
CREATE TABLE weights (
    blob TEXT NOT NULL,
    member TEXT NOT NULL,
    format TEXT,
    family TEXT,
    verdict TEXT NOT NULL,
    parameters INTEGER,
    roots TEXT NOT NULL,
    findings TEXT NOT NULL,
    checked_at TEXT NOT NULL,
    event INTEGER NOT NULL,
    PRIMARY KEY (blob, member)
) WITHOUT ROWID
"""
_TENSORS = """
CREATE TABLE tensors (
    blob TEXT NOT NULL,
    member TEXT NOT NULL,
    name TEXT NOT NULL,
    dtype TEXT NOT NULL,
    dims TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    PRIMARY KEY (blob, member, name)
) WITHOUT ROWID
"""
_TENSORS_BY_SHA256 = "CREATE INDEX tensors_by_sha256 ON tensors (sha256)"

# What weights said when they were first run: to the input and with the settings in ``asked``. The numbers
# of the two groups decide it, whatever file they are in.
_ANSWERS = """
CREATE TABLE answers (
    core TEXT NOT NULL,
    mlm TEXT NOT NULL,
    asked TEXT NOT NULL,
    top TEXT NOT NULL,
    at TEXT NOT NULL,
    event INTEGER NOT NULL,
    PRIMARY KEY (core, mlm, asked)
) WITHOUT ROWID
"""

_META = "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"

#: Name of each step and its statements, oldest first.
STEPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "0001_events_and_state",
        (
            _EVENTS,
            _NEVER_UPDATE,
            _NEVER_DELETE,
            _LISTINGS,
            _FILES,
            _BLOBS,
            _BLOBS_BY_SHA256,
            _BLOBS_BY_GIT_SHA1,
            _BLOBS_DAMAGED,
            _MEMBERS,
            _META,
        ),
    ),
    ("0002_weights", (_WEIGHTS, _TENSORS, _TENSORS_BY_SHA256)),
    ("0003_answers", (_ANSWERS,)),
)

#: What ``PRAGMA user_version`` says of a ledger that has every step.
VERSION = len(STEPS)

#: The tables that are projections of the events, with the columns that tell their rows apart.
STATE_KEYS: dict[str, tuple[str, ...]] = {
    "listings": ("artifact",),
    "files": ("artifact", "path"),
    "blobs": ("sha256",),
    "members": ("blob", "path"),
    "weights": ("blob", "member"),
    "tensors": ("blob", "member", "name"),
    "answers": ("core", "mlm", "asked"),
}
