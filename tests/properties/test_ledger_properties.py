"""Any events replay to the same state; any tampering is found; one value has one text."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from mirror.errors import LedgerError
from mirror.ledger import Ledger
from mirror.ledger.canonical import canonical
from mirror.ledger.projections import apply, apply_all
from mirror.ledger.schema import STATE_KEYS, STEPS
from mirror.model import Event
from tests.ledger_events import (
    claim,
    disputed,
    failed,
    file,
    listed,
    loaded,
    members,
    open_ledger,
    removed,
    sha256,
    stored,
    verified,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

# Few names, so that events meet: the same paths in the same artifacts with the same blobs.
ARTIFACTS = st.sampled_from(["bert-tiny@huggingface", "bert-tiny@google"])
PATHS = st.sampled_from(["a", "b", "c/ü"])
BLOBS = st.sampled_from([sha256("one"), sha256("two"), sha256("one")[:6] + sha256("three")[6:]])
SIZES = st.sampled_from([None, 285, 286])
REVISIONS = st.sampled_from([None, "a" * 40, "b" * 40])
CLAIMS = st.lists(
    st.builds(claim, st.sampled_from([f"sha256:{sha256('one')}", f"git-sha1:{'1' * 40}", f"md5:{'2' * 32}"])),
    max_size=2,
)
FILES = st.builds(lambda path, claims, size, revision: file(path, *claims, size=size, revision=revision),
                  PATHS, CLAIMS, SIZES, REVISIONS)  # fmt: skip
VERDICTS = st.sampled_from(["intact", "missing", "altered", "resized"])
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(
        lambda files, artifact, revision, narrowed: listed(
            *files, artifact=artifact, revision=revision, narrowed=narrowed
        ),
        st.lists(FILES, max_size=3, unique_by=lambda one: str(one["path"])),
        ARTIFACTS,
        REVISIONS,
        st.none() | st.just(["safetensors"]),
    ),
    st.builds(
        stored,
        PATHS,
        BLOBS,
        artifact=ARTIFACTS,
        size=st.sampled_from([285, 286]),
        how=st.sampled_from(["fetched", "held", "healed"]),
        digests=st.sampled_from([{}, {"git-sha1": "1" * 40}, {"md5": "2" * 32, "crc32c": "33333333"}]),
        blocks=st.sampled_from([(), (1, 2)]),
    ),
    st.builds(failed, PATHS | st.none(), artifact=ARTIFACTS),
    st.builds(disputed, PATHS, artifact=ARTIFACTS),
    st.builds(lambda blob, paths: members(blob, *paths), BLOBS, st.lists(PATHS, max_size=3)),
    st.builds(verified, BLOBS, VERDICTS, st.sampled_from(["stat", "digest"])),
    st.builds(
        loaded,
        BLOBS,
        st.sampled_from(["", "bert_model.ckpt"]),
        verdict=st.sampled_from(["sound", "unsound"]),
        tensors=st.none()
        | st.lists(st.tuples(PATHS, st.just("F32"), st.just("2x3"), BLOBS), unique_by=lambda one: one[0]),
    ),
    st.builds(removed, BLOBS),
    st.builds(Event, st.just("pulled"), st.text(st.characters(exclude_categories=["Cs"])), st.just({"ü": [1, 0.5]})),
)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


def memory() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for _, statements in STEPS:
        for statement in statements:
            connection.execute(statement)
    return connection


def state(connection: sqlite3.Connection) -> dict[str, list[Any]]:
    return {
        table: connection.execute(f"SELECT * FROM {table} ORDER BY {', '.join(keys)}").fetchall()
        for table, keys in STATE_KEYS.items()
    }


@settings(deadline=None)
@given(st.lists(EVENTS, max_size=25), st.lists(st.integers(1, 5), min_size=25, max_size=25))
def test_the_state_does_not_depend_on_the_batches_nor_on_the_way_through_json(
    events: Sequence[Event], cuts: Sequence[int]
) -> None:
    one_by_one, batched = memory(), memory()
    for seq, event in enumerate(events, start=1):
        apply(one_by_one, seq, Event(event.kind, event.subject, json.loads(canonical(event.detail)), "2025"))
    rest = [(seq, "2025", event.kind, event.detail) for seq, event in enumerate(events, start=1)]
    for cut in cuts:
        apply_all(batched, rest[:cut])
        rest = rest[cut:]
    assert state(one_by_one) == state(batched)
    one_by_one.close()
    batched.close()


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(EVENTS, max_size=6), max_size=4))
def test_any_events_make_a_ledger_that_is_sound(batches: Sequence[Sequence[Event]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for batch in batches:
            with open_ledger(Path(folder) / "ledger.db") as ledger:
                ledger.record(batch)
                assert ledger.verify().events == ledger.head().seq
                for holding in ledger.holdings(["bert-tiny@google", "bert-tiny@huggingface"]):
                    held = {one.path: one.sha256 for one in holding.files if one.state == "held"}
                    assert held == ledger.held(holding.artifact)
                    assert set(held.values()) <= ledger.needed()
                    assert ledger.listing(holding.artifact) is not None


@pytest.fixture(scope="module")
def ledger_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("ledger") / "ledger.db"
    with open_ledger(path) as ledger:
        ledger.record([listed(file("a", claim(f"md5:{'2' * 32}")), file("b"), file("c"), narrowed=["safetensors"])])
        ledger.record([stored("a", digests={"git-sha1": "1" * 40}, blocks=(1, 2)), stored("b"), failed("c")])
        ledger.record([members(sha256("a"), "x", "y"), verified(sha256("b"), "altered"), removed(sha256("a"))])
    return path.read_bytes()


TABLES = ["events", "listings", "files", "blobs", "members", "meta"]


@settings(deadline=None, max_examples=150)
@given(table=st.sampled_from(TABLES), data=st.data())
def test_one_changed_byte_in_any_column_of_any_row_is_found(
    ledger_bytes: bytes, table: str, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        path.write_bytes(ledger_bytes)
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            change_a_byte(connection, table, data)
        with pytest.raises(LedgerError), Ledger.reader(path) as reader:
            reader.verify()


def change_a_byte(connection: sqlite3.Connection, table: str, data: st.DataObject) -> None:
    """Change one value of one row, past the triggers, which are put back."""
    connection.text_factory = bytes
    cursor = connection.execute(f"SELECT * FROM {table}")
    columns = [column[0] for column in cursor.description]
    row = data.draw(st.sampled_from(cursor.fetchall()), label="row")
    column = data.draw(st.integers(0, len(columns) - 1), label="column")
    replacement = changed(row[column], columns[column], data)
    triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for name, _ in triggers:
        connection.execute(f"DROP TRIGGER {name.decode()}")
    where = " AND ".join(f"CAST({name} AS BLOB) IS CAST(? AS BLOB)" for name in columns)
    try:
        done = connection.execute(f"UPDATE {table} SET {columns[column]} = {replacement} WHERE {where}", row)
    except sqlite3.IntegrityError:
        reject()  # another row has that key
    assert done.rowcount == 1
    for _, sql in triggers:
        connection.execute(sql.decode())


def changed(value: bytes | int | None, column: str, data: st.DataObject) -> str:
    """Return another value, one bit or one step away, as SQL that keeps its type."""
    if value is None:
        return "''"
    if isinstance(value, int):
        return str(value + data.draw(st.sampled_from([-1, 1, 256]), label="step"))
    place = data.draw(st.integers(0, len(value) - 1), label="place")
    bit = 1 << data.draw(st.integers(0, 7), label="bit")
    other = bytearray(value)
    other[place] ^= bit
    return f"x'{other.hex()}'" if column == "blocks" else f"CAST(x'{other.hex()}' AS TEXT)"


@given(JSON)
def test_canonical_json_is_stable(value: Any) -> None:
    text = canonical(value)
    assert canonical(json.loads(text)) == text
    assert json.loads(text) == value


@given(st.dictionaries(st.text(st.characters(codec="ascii"), max_size=4), JSON, max_size=6), st.randoms())
def test_canonical_json_does_not_depend_on_the_order_of_keys(value: dict[str, Any], random: Any) -> None:
    keys = list(value)
    random.shuffle(keys)
    assert canonical({key: value[key] for key in keys}) == canonical(value)
