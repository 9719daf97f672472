"""``ledger …``: what it prints, for people and for programs."""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

import mirror
from mirror.cli.ledger import KINDS
from mirror.cli.ledger import ledger as group
from mirror.errors import LedgerError, StoreError, TamperedError, UsageError
from mirror.ledger import Ledger
from mirror.ledger.canonical import canonical, event_hash
from mirror.model import Event
from mirror.probe import memory as probed
from tests.ledger_events import (
    disputed,
    failed,
    file,
    listed,
    members,
    open_ledger,
    removed,
    sha256,
    stored,
    verified,
)

if TYPE_CHECKING:
    import click


@dataclass(frozen=True)
class Here:
    """A mirror's ledger, as commands get it."""

    ledger_path: Path


@pytest.fixture
def here(tmp_path: Path) -> Here:
    with open_ledger(tmp_path / "ledger.db") as ledger:
        ledger.record([listed(file("config.json"), file("b")), stored("config.json"), failed("b"), disputed("b")])
        ledger.record([members(sha256("b"), "x"), verified(sha256("config.json")), removed(sha256("b"))])
    return Here(tmp_path / "ledger.db")


def run(here: Here, *words: str) -> Result:
    return CliRunner().invoke(group, words, obj=here, catch_exceptions=True)


def good(here: Here, *words: str) -> str:
    result = run(here, *words)
    assert result.exit_code == 0, result.output
    return result.stdout


def last(here: Here) -> str:
    with Ledger.reader(here.ledger_path) as reader:
        return reader.head().hash


def test_verify_says_how_much_is_sound(here: Here) -> None:
    assert good(here, "verify") == f"sound: 8 events, head {last(here)}\n"
    assert json.loads(good(here, "verify", "--json")) == {
        "sound": True, "events": 8, "head": last(here), "anchored": 8,
    }  # fmt: skip


def test_verify_says_on_stderr_that_nothing_was_kept_beside_it(here: Here) -> None:
    here.ledger_path.with_suffix(".head").unlink()
    result = run(here, "verify")
    assert "ledger.head" in result.stderr
    assert "ledger.head" not in result.stdout


def test_verify_takes_what_head_printed(here: Here) -> None:
    kept = good(here, "head")
    assert kept == f"8 {last(here)}\n"
    good(here, "verify", "--head", kept)
    good(here, "verify", "--head", last(here).upper())
    assert json.loads(good(here, "head", "--json")) == {"seq": 8, "hash": last(here)}


def test_verify_fails_on_a_head_that_is_not_in_the_chain(here: Here) -> None:
    result = run(here, "verify", "--head", "f" * 64)
    assert isinstance(result.exception, TamperedError)
    assert result.exception.exit_code == 7


def test_verify_lists_every_problem_as_json_and_still_fails(here: Here) -> None:
    with open_ledger(here.ledger_path) as ledger:
        ledger.record([stored(f"file-{number}") for number in range(30)])
    with sqlite3.connect(here.ledger_path) as connection:
        connection.execute("UPDATE files SET level = 'pinned' WHERE path LIKE 'file-%'")
    connection.close()
    result = run(here, "verify", "--json")
    assert isinstance(result.exception, TamperedError)
    said = json.loads(result.stdout)
    assert (said["sound"], len(said["problems"])) == (False, 30)
    assert run(here, "verify").stdout == ""


@pytest.mark.parametrize("words", [["verify"], ["verify", "--json"], ["head"], ["log"], ["export"]])
def test_a_ledger_that_is_gone_is_not_one_that_never_was(here: Here, words: list[str]) -> None:
    here.ledger_path.unlink()
    result = run(here, *words)
    assert isinstance(result.exception, TamperedError)
    assert "the ledger is gone, though ledger.head names 8 events" in str(result.exception)
    if words == ["verify", "--json"]:
        assert json.loads(result.stdout)["sound"] is False


def test_a_head_that_is_no_hash_is_a_usage_error(here: Here) -> None:
    result = run(here, "verify", "--head", "abc")
    assert result.exit_code == 2
    assert "64 hexadecimal digits" in result.stderr


def test_log_prints_a_line_an_event(here: Here) -> None:
    lines = good(here, "log").splitlines()
    assert [line.split()[2] for line in lines] == [
        "opened", "listed", "stored", "failed", "disputed", "members", "verified", "removed",
    ]  # fmt: skip
    assert lines[1].endswith("listed    bert-tiny@huggingface  2 files at 30b0a37ccaaa")
    assert lines[2].endswith("stored    bert-tiny@huggingface/config.json  fetched, attested, 285 B")
    assert lines[3].endswith("StalledError: no byte for 60 s")
    assert lines[7].endswith("no artifact needs it")


def test_log_narrows_by_kind_subject_time_and_number(here: Here) -> None:
    def kinds(*words: str) -> list[str]:
        return [json.loads(line)["kind"] for line in good(here, "log", "--json", *words).splitlines()]

    assert kinds("--kind", "stored") == ["stored"]
    assert kinds("--subject", "bert-tiny@huggingface/b") == ["failed", "disputed"]
    assert kinds("--limit", "1") == ["removed"]
    assert kinds("--since", "2025-01-31T12:00:01Z") == ["members", "verified", "removed"]
    assert kinds("--since", "2025-01-31T13:00:01+0100") == ["members", "verified", "removed"]
    assert len(kinds("--since", "2025-01-31")) == 8
    assert kinds("--since", "2025-02-01") == []


def test_a_kind_that_nobody_writes_is_a_usage_error_with_the_nearest_name(here: Here) -> None:
    error = run(here, "log", "--kind", "strored").exception
    assert isinstance(error, UsageError)
    assert "nearest: stored" in str(error)
    assert good(here, "log", "--kind", "probed") == ""


def test_a_kind_of_a_later_version_can_be_asked_for(here: Here) -> None:
    with open_ledger(here.ledger_path) as ledger:
        ledger.record([Event("novel", "x")])
    assert "novel" in good(here, "log", "--kind", "novel")


def test_every_kind_that_is_written_is_known() -> None:
    package = Path(mirror.__file__).parent
    written = {kind for path in package.rglob("*.py") for kind in re.findall(r'\bEvent\(\s*"(\w+)"', path.read_text())}
    assert written | {probed.KIND} == set(KINDS)


def test_log_shows_the_last_fifty_when_nothing_narrows(here: Here) -> None:
    with open_ledger(here.ledger_path) as ledger:
        ledger.record([stored(str(number)) for number in range(100)])
    assert len(good(here, "log").splitlines()) == 50
    assert len(good(here, "log", "--kind", "stored").splitlines()) == 101


def test_log_shows_no_control_characters(here: Here) -> None:
    with open_ledger(here.ledger_path) as ledger:
        ledger.record([stored("\x1b[2J", artifact="evil\x07")])
    assert "\x1b" not in good(here, "log")


@pytest.mark.parametrize("words", [["export"], ["export", "--as", "jsonl"], ["export", "--json"]])
def test_an_export_can_be_checked_without_us(here: Here, words: list[str]) -> None:
    prev = "0" * 64
    for number, line in enumerate(good(here, *words).splitlines(), start=1):
        row = json.loads(line)
        detail = canonical(row["detail"])
        assert (row["seq"], row["prev"]) == (number, prev)
        assert row["hash"] == event_hash(number, row["at"], row["kind"], row["subject"], detail, prev)
        prev = row["hash"]
    assert prev == last(here)


def test_an_export_as_csv_has_a_head_and_every_event(here: Here) -> None:
    rows = list(csv.DictReader(io.StringIO(good(here, "export", "--as", "csv"))))
    assert [row["seq"] for row in rows] == list("12345678")
    assert rows[-1]["hash"] == last(here)
    assert json.loads(rows[2]["detail"])["path"] == "config.json"


def test_an_export_of_an_empty_ledger_as_csv_is_its_head(tmp_path: Path) -> None:
    open_ledger(tmp_path / "ledger.db").close()
    result = run(Here(tmp_path / "ledger.db"), "export", "--as", "csv")
    assert result.stdout_bytes == b"seq,at,kind,subject,detail,prev,hash\r\n"


def test_an_export_to_a_file_is_the_same_bytes(here: Here, tmp_path: Path) -> None:
    out = tmp_path / "events.jsonl"
    assert good(here, "export", "--out", str(out)) == ""
    assert out.read_text() == good(here, "export")
    assert [p.name for p in tmp_path.glob(".*")] == []


def test_an_export_to_where_nothing_can_be_written_is_an_error(here: Here, tmp_path: Path) -> None:
    result = run(here, "export", "--out", str(tmp_path / "nowhere" / "x"))
    assert isinstance(result.exception, StoreError)
    assert result.exception.hint == "choose another place with --out"


def test_an_export_to_a_link_leaves_the_link(here: Here, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("events.jsonl")
    good(here, "export", "--out", str(tmp_path / "link"))
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "events.jsonl").read_text() == good(here, "export")


@pytest.mark.parametrize("words", [["verify"], ["log"], ["head"], ["export"]])
def test_without_a_ledger_every_command_says_what_makes_one(tmp_path: Path, words: list[str]) -> None:
    result = run(Here(tmp_path / "ledger.db"), *words)
    assert isinstance(result.exception, LedgerError)
    assert "pull" in result.exception.hint


@pytest.mark.parametrize("command", list(group.commands.values()), ids=str)
def test_every_command_shows_an_example(command: click.Command) -> None:
    assert f"minibert-mirror ledger {command.name}" in (command.help or "")
