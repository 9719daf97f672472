"""What the ledger remembers of tensors, and ledgers that were made before it did."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from mirror.errors import LedgerError
from mirror.ledger import Ledger, connection
from mirror.ledger.canonical import canonical
from mirror.ledger.schema import STEPS
from mirror.model import Event
from tests.ledger_events import loaded, open_ledger, sha256, stored

if TYPE_CHECKING:
    from pathlib import Path

ONE, TWO = sha256("one"), sha256("two")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def test_what_was_found_in_a_file_is_answered(path: Path) -> None:
    with open_ledger(path) as ledger:
        ledger.record([loaded(ONE)])
    with Ledger.reader(path) as reader:
        (row,) = reader.loaded.of(ONE)
        assert (row.format, row.family, row.verdict, row.parameters) == ("torch-zip", "bert", "sound", 128)
        assert row.roots == {"pooler": sha256("root"), "all": sha256("root")}
        assert row.findings == (("values", "warning", "pooler.dense.bias", "all zero"),)
        assert [one.name for one in reader.loaded.tensors(ONE, "")] == ["pooler.dense.bias"]
        assert reader.loaded.of(TWO) == ()


def test_tensors_stay_when_a_later_look_finds_the_same_ones(path: Path) -> None:
    with open_ledger(path) as ledger:
        ledger.record([loaded(ONE), loaded(ONE, verdict="unsound", tensors=None)])
    with Ledger.reader(path) as reader:
        assert [row.verdict for row in reader.loaded.all()] == ["unsound"]
        assert len(reader.loaded.tensors(ONE, "")) == 1
        assert reader.verify().events == 3


def test_tensors_vote_for_the_files_that_hold_them(path: Path) -> None:
    shared, own = ("a", "F32", "1", sha256("shared")), ("b", "F32", "1", sha256("own"))
    with open_ledger(path) as ledger:
        ledger.record([loaded(ONE, tensors=[shared, own]), loaded(TWO, "bert_model.ckpt", tensors=[shared])])
    with Ledger.reader(path) as reader:
        votes = reader.loaded.votes([sha256("shared"), sha256("own"), sha256("nobody's")])
    assert votes.most_common() == [((ONE, ""), 2), ((TWO, "bert_model.ckpt"), 1)]


def test_a_changed_tensor_row_is_named(path: Path) -> None:
    with open_ledger(path) as ledger:
        ledger.record([loaded(ONE)])
    with closing(sqlite3.connect(path)) as forged:
        forged.execute("UPDATE tensors SET sha256 = ?", (TWO,))
        forged.commit()
    with Ledger.reader(path) as reader, pytest.raises(LedgerError, match="tensors"):
        reader.verify()


ASKED = {"ids": [1, 2, 3], "position": 1, "heads": 2, "activation": "gelu", "eps": 1e-12}


def test_what_numbers_said_first_is_remembered_whatever_file_they_are_in(path: Path) -> None:
    def answered(blob: str, *top: tuple[int, float]) -> Event:
        more = {"roots": {"core": "c0", "mlm": "d0"}, "answer": {"asked": ASKED, "top": top}}
        return Event("loaded", f"sha256:{blob}", loaded(blob).detail | more)

    with open_ledger(path) as ledger:
        assert ledger.loaded.answer("c0", "d0", ASKED) is None
        ledger.record([answered(ONE, (7, 2.5), (3, 0.1)), loaded(ONE), answered(TWO, (8, 1.0))])
    with Ledger.reader(path) as reader:
        assert reader.loaded.answer("c0", "d0", ASKED) == ((7, 2.5), (3, 0.1))
        assert reader.loaded.answer("c0", "d0", ASKED | {"heads": 4}) is None
        assert reader.loaded.answer("c0", "d1", ASKED) is None
        reader.verify()


def older_ledger(path: Path) -> None:
    """Make a ledger as the first version of the schema had it, with one event in it."""
    with open_ledger(path) as ledger:
        ledger.record([stored("vocab.txt")])
    with closing(sqlite3.connect(path)) as old:
        for table in ("weights", "tensors", "answers"):
            old.execute(f"DROP TABLE {table}")
        old.execute("DELETE FROM _sqlite_migrations WHERE name <> ?", (STEPS[0][0],))
        old.execute("PRAGMA user_version = 1")
        old.commit()


def test_a_reader_brings_an_older_ledger_up_to_date(path: Path) -> None:
    older_ledger(path)
    with Ledger.reader(path) as reader:
        assert reader.loaded.of(ONE) == ()
        assert [entry.kind for entry in reader.events()] == ["opened", "stored"]
        assert reader.verify().events == 2


def test_a_reader_who_may_not_write_is_told_who_can(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    older_ledger(path)
    # The tests may run as root, who may write everything.
    monkeypatch.setattr(connection, "_may_write", lambda _: False)
    with pytest.raises(LedgerError, match="made by an earlier") as caught:
        Ledger.reader(path)
    assert "let the owner run" in caught.value.hint


def test_the_detail_of_a_loaded_event_is_canonical_json() -> None:
    assert canonical(loaded(ONE).detail).startswith('{"family":"bert","findings":[["values",')
