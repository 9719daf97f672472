"""Is the ledger what was written? Every hash again, and every row of state from the events.

Problems are collected, not raised one by one: whoever looks wants to see how far the damage
goes. Nothing here trusts a row: text may be bytes, numbers may be text.
"""

from __future__ import annotations

import json
import re
import sqlite3
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from mirror.errors import TamperedError
from mirror.ledger import connection as connections
from mirror.ledger.anchor import START, Head, anchor_path, read_anchor
from mirror.ledger.canonical import event_hash
from mirror.ledger.failures import our_errors
from mirror.ledger.projections import Fact, apply_all
from mirror.ledger.rows import Audit
from mirror.ledger.schema import STATE_KEYS, STEPS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Problems that the error's text holds; the others are counted.
SHOWN = 20
#: Problems after which looking further tells nothing new.
_ENOUGH = 1000
_BATCH = 1000

#: Decodes text that may have been damaged: other bytes give another text, never an error.
_text = partial(str, encoding="utf-8", errors="surrogateescape")

_EVENTS = "SELECT seq, at, kind, subject, detail, prev, hash FROM events ORDER BY seq"
# sqlite-utils keeps its own account of the migrations.
_OBJECTS = """
SELECT type || ' ' || name, sql FROM sqlite_master WHERE tbl_name <> '_sqlite_migrations' AND sql IS NOT NULL
"""


def audit(path: Path, *, head: str | None = None) -> Audit:
    """Check the ledger at ``path`` as of now, whatever is being written meanwhile.

    Args:
        path: The ledger.
        head: Hash of an event, kept elsewhere, that must be in the chain.

    Raises:
        LedgerError: It cannot be read.
        TamperedError: Something is not what was written; the first problems are named.
    """
    anchor = read_anchor(path)  # before the events: a writer may add some, and move the anchor, meanwhile
    connection = connections.for_reading(path)
    replay = sqlite3.connect("", isolation_level=None)  # spills to a temporary file when it grows
    replay.execute("PRAGMA cache_size = -65536")
    try:
        connection.text_factory = replay.text_factory = _text
        with our_errors(path):
            connection.execute("BEGIN")  # one snapshot for everything below
            chain = _Chain(connection, head, anchor)
            problems = list(islice(_problems(connection, replay, chain), _ENOUGH))
    finally:
        connection.close()
        replay.close()
    if problems:
        raise _tampered(path, problems)
    return Audit(chain.last.seq, chain.last.hash, None if anchor is None else anchor.seq)


def _problems(connection: sqlite3.Connection, replay: sqlite3.Connection, chain: _Chain) -> Iterator[str]:
    """Yield everything that is wrong, the gravest first."""
    try:
        for (line,) in connection.execute(f"PRAGMA integrity_check({SHOWN})"):
            if line != "ok":
                yield f"the file is damaged: {line}"
        for statement in (statement for _, statements in STEPS for statement in statements):
            replay.execute(statement)
        yield from _changed_schema(connection, replay)
        replay.execute("BEGIN")
        facts = chain.facts()
        while batch := list(islice(facts, _BATCH)):
            yield from _replayed(replay, batch, chain)
        yield from chain.problems
        yield from _meta(connection, chain.last)
        if chain.believable:
            for table, keys in STATE_KEYS.items():
                yield from _compare(connection, replay, table, keys)
        else:
            yield "the state tables were not compared: the events they follow from are not what was written"
    except sqlite3.DatabaseError as error:
        yield f"the file is damaged: {error}"


def _replayed(replay: sqlite3.Connection, batch: list[Fact], chain: _Chain) -> Iterator[str]:
    """Apply a batch; only a chain that somebody forged holds events that do not apply."""
    try:
        apply_all(replay, batch)
    except (ValueError, OverflowError, sqlite3.Error) as error:
        chain.believable = False
        yield f"events {batch[0][0]} to {batch[-1][0]}: they are not what the program writes: {error}"


class _Chain:
    """The events, read once: their hashes are checked while they pass to the replay."""

    def __init__(self, connection: sqlite3.Connection, head: str | None, anchor: Head | None) -> None:
        self._connection = connection
        self._awaited = {} if head in {None, START.hash} else {"the head that was given": head}
        self._anchor = anchor
        self.last = START
        self.problems: list[str] = []
        self.believable = True

    def facts(self) -> Iterator[Fact]:
        """Yield what the state follows from; stops at the first row that cannot be read as an event."""
        for row in self._connection.execute(_EVENTS):
            seq, _, _, _, _, prev, digest = row
            if seq < 1:
                self._distrust(f"event {seq}: no such event was ever written, they begin with 1")
                continue
            self._follow(seq, prev)
            if not all(isinstance(value, str) for value in row[1:]) or event_hash(*row[:6]) != digest:
                self._distrust(f"event {seq}: hash does not match")
            self._meet(seq, digest)
            self.last = Head(seq, digest)
            if self.believable and (detail := self._detail(seq, row[4])) is not None:
                yield seq, row[1], row[2], detail
        self._never_met()

    def _detail(self, seq: int, text: str) -> dict[str, Any] | None:
        try:
            detail = json.loads(text)
        except (ValueError, RecursionError):
            detail = None
        if not isinstance(detail, dict):
            self._distrust(f"event {seq}: its detail is not a JSON object")
            return None
        return detail

    def _follow(self, seq: int, prev: object) -> None:
        expected = self.last.seq + 1
        if seq != expected:
            missing = f"event {expected} is" if seq == expected + 1 else f"events {expected} to {seq - 1} are"
            self._distrust(f"{missing} missing")
        elif prev != self.last.hash:
            self._distrust(f"event {seq}: prev is not the hash of event {seq - 1}")

    def _meet(self, seq: int, digest: object) -> None:
        self._awaited = {name: value for name, value in self._awaited.items() if value != digest}
        if self._anchor is not None and seq == self._anchor.seq and digest != self._anchor.hash:
            self._distrust(f"event {seq}: ledger.head holds another hash of it")

    def _never_met(self) -> None:
        if self._anchor is not None and self.last.seq < self._anchor.seq:
            text = f"ledger.head says {self._anchor.seq} events, {self.last.seq} are there"
            self.problems.append(f"the tail is cut: {text}")
        for name, value in self._awaited.items():
            self.problems.append(f"{name}, {value}, is no event's hash: what came before it was cut or changed")

    def _distrust(self, problem: str) -> None:
        self.believable = False
        if len(self.problems) < _ENOUGH:
            self.problems.append(problem)


def _meta(connection: sqlite3.Connection, last: Head) -> Iterator[str]:
    """Compare the head in ``meta`` with the last event, and the highest event that state rows name."""
    rows = dict(connection.execute("SELECT key, value FROM meta"))
    value = rows.pop("head", str(START))
    head = Head.parse(value) if isinstance(value, str) else None
    if head is None:
        yield "meta row head: it is not the number and hash of an event"
    elif head.seq > last.seq:
        yield f"the tail is cut: head says {head.seq} events, {last.seq} are there"
    elif head.seq < last.seq:
        yield f"meta row head: it says {head.seq} events, {last.seq} are there"
    elif head.hash != last.hash:
        yield f"meta row head: its hash is not that of event {last.seq}"
    for key in rows:
        yield f"meta row {key}: no such row was ever written"
    for table, column in (("listings", "event"), ("files", "event"), ("blobs", "first_event")):
        (named,) = connection.execute(f"SELECT max({column}) FROM {table}").fetchone()  # noqa: S608 - constants
        if isinstance(named, int) and named > last.seq:
            yield f"the tail is cut: table {table} names event {named}, {last.seq} are there"


def _changed_schema(connection: sqlite3.Connection, replay: sqlite3.Connection) -> Iterator[str]:
    """Compare tables, indexes and triggers: without the triggers, rows could be changed by mistake."""
    there, wanted = dict(connection.execute(_OBJECTS)), dict(replay.execute(_OBJECTS))
    for name in sorted(there.keys() | wanted.keys()):
        if name not in there:
            yield f"{name}: is missing"
        elif name not in wanted and not name.startswith("table sqlite_"):
            yield f"{name}: was added"
        elif name in wanted and there[name] != wanted[name]:
            yield f"{name}: is not what the schema says"


def _compare(
    connection: sqlite3.Connection, replay: sqlite3.Connection, table: str, keys: tuple[str, ...]
) -> Iterator[str]:
    """Walk through a table and its replay side by side, in the order of their keys."""
    sql = f"SELECT * FROM {table} ORDER BY {', '.join(keys)}"  # noqa: S608 - constants
    there, wanted = connection.execute(sql), replay.execute(sql)
    columns = [column[0] for column in wanted.description]
    places = [columns.index(key) for key in keys]
    row, model = there.fetchone(), wanted.fetchone()
    while row is not None or model is not None:
        if row == model and list(map(type, row)) == list(map(type, model)):
            row, model = there.fetchone(), wanted.fetchone()
            continue
        mine = None if row is None else _order(row, places)
        its = None if model is None else _order(model, places)
        if mine is None or (its is not None and its < mine):
            yield f"{table} row {_name(model, places)}: is missing"
            model = wanted.fetchone()
        elif its is None or mine < its:
            yield f"{table} row {_name(row, places)}: no event made it"
            row = there.fetchone()
        else:
            for column, value, should in zip(columns, row, model, strict=True):
                if type(value) is not type(should) or value != should:
                    name = _name(row, places)
                    yield f"{table} row {name}: {column} is {_short(value)}, the events say {_short(should)}"
            row, model = there.fetchone(), wanted.fetchone()


def _order(row: tuple[Any, ...], places: list[int]) -> list[tuple[int, Any]]:
    """Return a key that sorts as SQLite does: NULL, numbers, text by its bytes, then bytes."""
    key: list[tuple[int, Any]] = []
    for value in (row[place] for place in places):
        if value is None:
            key.append((0, 0))
        elif isinstance(value, int | float):
            key.append((1, value))
        elif isinstance(value, str):
            key.append((2, value.encode("utf-8", "surrogateescape")))
        else:
            key.append((3, value))
    return key


def _name(row: tuple[Any, ...], places: list[int]) -> str:
    return "/".join(value if isinstance(value, str) else _short(value) for value in (row[place] for place in places))


def _short(value: object) -> str:
    text = value if isinstance(value, str) else "nothing" if value is None else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


def gone(path: Path) -> TamperedError | None:
    """Return what is wrong when there is no ledger at ``path``: its head may say that there was one.

    Raises:
        LedgerError: The head cannot be read.
        TamperedError: The head is not what we write.
    """
    kept = read_anchor(path)
    if kept is None or not kept.seq:
        return None
    head = anchor_path(path).name
    said = f"the ledger is gone, though {head} names {kept.seq} events"
    hint = f"put a copy of {path.name} back; or move {head} away, as evidence, and a pull begins a new ledger"
    return TamperedError(f"{path}: {said}", problems=(said,), hint=hint)


def _tampered(path: Path, problems: list[str]) -> TamperedError:
    problems = [re.sub(r"[^\x20-\U0010ffff]|[\ud800-\udfff]", "\ufffd", problem) for problem in problems]
    shown = problems[:SHOWN]
    more = len(problems) - len(shown)
    if more:
        count = f"{more} more" if len(problems) < _ENOUGH else f"at least {more} more"
        shown.append(f"and {count} problems")
    return TamperedError("\n  ".join([f"{path} is not what was written:", *shown]), problems=tuple(problems))
