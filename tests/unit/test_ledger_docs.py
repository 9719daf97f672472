"""``docs/ledger.md`` says what the ledger does, to the byte."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mirror.ledger import Ledger
from mirror.ledger.canonical import canonical, event_hash
from mirror.ledger.export import lines
from mirror.ledger.projections import PROJECTIONS
from tests.ledger_events import file, listed, open_ledger, stored

PAGE = (Path(__file__).parents[2] / "docs" / "ledger.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    found = re.findall(rf"```{language}\n(.*?)\n```", PAGE, re.DOTALL)
    assert len(found) == 1
    return str(found[0])


def rows(head: str) -> dict[str, list[str]]:
    """Return the cells of a table of the page, by the first cell of each row."""
    table = PAGE.partition(f"| {head} |")[2].partition("\n\n")[0].splitlines()[2:]
    split = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table]
    return {cells[0].strip("` "): cells[1:] for cells in split}


def test_the_test_vector_is_right() -> None:
    text, digest = block("json"), block("text")
    assert hashlib.sha256(text.encode()).hexdigest() == digest
    seq, at, kind, subject, detail, prev = json.loads(text)
    assert event_hash(seq, at, kind, subject, canonical(detail), prev) == digest


def test_the_check_of_an_export_works_and_finds_a_changed_event(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "ledger.db") as ledger:
        ledger.record([listed(file("ü", size=3)), stored("ü"), stored("b")])
        export = "".join(lines(ledger.events(), "jsonl"))
        head = ledger.head().hash

    def check(text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", block("python")], input=text, capture_output=True, text=True, check=False
        )

    assert check(export).stdout.strip() == head
    assert "event 3 was changed" in check(export.replace('"how":"fetched"', '"how":"held"', 1)).stderr
    assert "event 2 does not follow" in check("".join(export.splitlines(keepends=True)[::2])).stderr


def test_every_state_table_and_column_is_documented(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "ledger.db") as ledger:
        tables = [
            name
            for (name,) in ledger._connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            if name not in {"events", "_sqlite_migrations"}
        ]
        columns = {
            table: [column[1] for column in ledger._connection.execute(f"PRAGMA table_info({table})")]
            for table in tables
        }
    documented = {
        name: re.findall(r"`(\w+)`", cells[1]) for name, cells in rows("table | one row for each | columns").items()
    }
    assert documented == columns


def test_every_kind_that_changes_a_table_is_documented() -> None:
    documented = set(rows("kind | subject | detail"))
    assert documented == PROJECTIONS.keys() | {"opened"}


@pytest.mark.parametrize(("kind", "event"), [("listed", listed(file("a"))), ("stored", stored("a"))])
def test_the_details_of_events_are_documented(kind: str, event: object) -> None:
    words = set(re.findall(r"`(\w+)`", rows("kind | subject | detail")[kind][1]))
    assert set(event.detail) <= words  # type: ignore[attr-defined]


def test_a_writer_introduces_itself_as_documented(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "ledger.db") as ledger:
        ledger.record([stored("a")])
    with Ledger.reader(tmp_path / "ledger.db") as reader:
        opened = next(reader.events(kind="opened"))
    assert set(opened.detail) == set(re.findall(r"`(\w+)`", rows("kind | subject | detail")["opened"][1]))
