"""A part of what is held judged at a time, what was read longest ago first; and faults that go away."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path, PosixPath
from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner

from mirror.api import Mirror
from mirror.cli import cli
from mirror.cli.verify import parse_duration, parse_sample
from mirror.cli.verify_report import Report
from mirror.ledger import Ledger
from mirror.recheck import WHOLE, Portion, Rechecked, due, recheck
from mirror.store import Store
from mirror.upstream.modelfiles import ModelFiles
from mirror.upstream.stock import shipped_catalog
from mirror.verify import Status, Subject, VerifyLevel, judge, verify
from tests import catalogs
from tests.ledger_events import ARTIFACT, clock, file, listed, open_ledger, sha256, stored, verified

if TYPE_CHECKING:
    from collections.abc import Iterator

    from click.testing import Result

DATA = b"weights" * 1000
NAME = hashlib.sha256(DATA).hexdigest()
#: What the clock of the ledgers below says first.
FIRST = datetime(2025, 1, 31, 12, tzinfo=UTC)
TINY = ModelFiles.of(shipped_catalog()["models"][0], seed=0, scale=32)


class Flaky(PosixPath):
    """A file of which the first reads give something else than the later ones."""

    lies: list[bytes]

    def open(self, *args: Any, **options: Any) -> Any:
        if self.lies:
            return io.BytesIO(self.lies.pop(0))
        return Path(self).open(*args, **options)


def flaky(path: Path, *lies: bytes) -> Flaky:
    made = Flaky(path)
    made.lies = list(lies)
    return made


@pytest.fixture
def blob(tmp_path: Path) -> Path:
    path = tmp_path / "blob"
    path.write_bytes(DATA)
    return path


def test_bytes_that_only_a_first_read_finds_wrong_are_intact_and_said_to_be_transient(blob: Path) -> None:
    wrong = DATA[:-1] + b"?"
    verdict = judge(Subject(NAME, len(DATA), flaky(blob, wrong)), VerifyLevel.DIGEST)
    assert (verdict.status, verdict.actual) == (Status.INTACT, NAME)
    assert verdict.transient == hashlib.sha256(wrong).hexdigest()


def test_bytes_that_two_reads_find_wrong_are_altered(blob: Path) -> None:
    blob.write_bytes(b"?" + DATA[1:])
    verdict = judge(Subject(NAME, len(DATA), blob), VerifyLevel.DIGEST)
    assert (verdict.status, verdict.transient) == (Status.ALTERED, None)


class Fleeting(Flaky):
    """A flaky file that somebody deletes as soon as it was read."""

    def open(self, *args: Any, **options: Any) -> Any:
        opened = super().open(*args, **options)
        self.unlink(missing_ok=True)
        return opened


def test_a_file_that_goes_between_two_reads_is_missing(blob: Path) -> None:
    path = Fleeting(blob)
    path.lies = [b"?" * len(DATA)]
    assert judge(Subject(NAME, len(DATA), path), VerifyLevel.DIGEST).status is Status.MISSING


class Failing(Flaky):
    """A file on a disk that fails."""

    def open(self, *args: Any, **options: Any) -> Any:
        raise OSError(errno.EIO, "Input/output error")


def test_a_file_that_cannot_be_read_is_said_to_be_unreadable_and_why(blob: Path) -> None:
    verdict = judge(Subject(NAME, len(DATA), Failing(blob)), VerifyLevel.DIGEST)
    assert (verdict.status, verdict.why, verdict.ok) == (Status.UNREADABLE, "Input/output error", False)


def test_the_command_names_a_transient_fault_and_counts_the_blob_as_intact(
    blob: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verdict = judge(Subject(NAME, len(DATA), flaky(blob, b"?")), VerifyLevel.DIGEST)
    report = Report("digest", as_json=False)
    report.tell_bytes(Rechecked(verdict, ("bert@files/x",)))
    assert (report.good, report.bad) == (1, 0)
    assert capsys.readouterr().out.startswith("transient  bert@files/x: the first read gave other bytes")
    Report("digest", as_json=True).tell_bytes(Rechecked(verdict, ("bert@files/x",)))
    assert json.loads(capsys.readouterr().out)["transient"] == hashlib.sha256(b"?").hexdigest()


@pytest.mark.parametrize("level", VerifyLevel)
def test_no_blob_is_begun_once_the_time_is_over(blob: Path, level: VerifyLevel) -> None:
    asked: list[int] = []

    def over() -> bool:
        asked.append(1)
        return len(asked) > 3

    subjects = [Subject(NAME, len(DATA), blob)] * 100
    assert 1 <= len(list(verify(subjects, level, stop=threading.Event(), over=over))) <= 3
    assert len(asked) < 12


@pytest.mark.parametrize("level", VerifyLevel)
def test_a_stop_ends_it(blob: Path, level: VerifyLevel) -> None:
    stop = threading.Event()
    found = []
    for verdict in verify([Subject(NAME, len(DATA), blob)] * 100, level, stop=stop):
        found.append(verdict)
        stop.set()
    assert len(found) < 8


PATHS = tuple("abcdefgh")
#: Seconds after ``FIRST`` at which each was read last: all came at once, and some were judged since.
READ = {"d": 10, "b": 20, "a": 30}


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Ledger]:
    """Eight files; ``h`` was never read here."""
    with open_ledger(tmp_path / "ledger.db", now=lambda: FIRST) as ledger:
        ledger.record([listed(*map(file, PATHS))])
        ledger.record([stored(path, how="held" if path == "h" else "fetched") for path in PATHS])
    for path, seconds in READ.items():
        with open_ledger(tmp_path / "ledger.db", now=clock(FIRST + timedelta(seconds=seconds))) as ledger:
            ledger.record([verified(sha256(path))])
    with open_ledger(tmp_path / "ledger.db") as ledger:
        yield ledger


def chosen(ledger: Ledger, **portion: Any) -> str:
    found = due(ledger, None, Portion(**portion), now=FIRST + timedelta(seconds=31))
    names = {sha256(path): path for path in PATHS}
    return "".join(names[digest] for digest in found)


BY_DIGEST = "".join(sorted("cefg", key=sha256))


def test_everything_comes_in_the_order_of_the_files(held: Ledger) -> None:
    assert chosen(held) == "abcdefgh"
    assert due(held, None)[sha256("a")] == [f"{ARTIFACT}/a"]
    assert due(held, {"another@one"}) == {}


def test_a_portion_begins_with_what_was_never_read_and_goes_on_with_the_oldest(held: Ledger) -> None:
    assert chosen(held, seconds=9.0) == f"h{BY_DIGEST}dba"


@pytest.mark.parametrize(("age", "found"), [(5, f"h{BY_DIGEST}db"), (11, f"h{BY_DIGEST}d"), (32, "h")])
def test_only_what_was_read_long_enough_ago(held: Ledger, age: int, found: str) -> None:
    assert chosen(held, older_than=timedelta(seconds=age)) == found


def test_a_sample_is_what_was_read_longest_ago(held: Ledger) -> None:
    assert chosen(held, most=2) == f"h{BY_DIGEST}"[:2]
    assert chosen(held, most=99) == f"h{BY_DIGEST}dba"
    assert chosen(held, share=0.25) == f"h{BY_DIGEST}"[:2]
    assert chosen(held, share=0.01) == "h"


def test_a_part_is_one_of_everything_whatever_its_age(held: Ledger) -> None:
    assert chosen(held, share=0.5, older_than=timedelta(seconds=5)) == f"h{BY_DIGEST}"[:4]
    assert chosen(held, share=1.0, older_than=timedelta(seconds=32)) == "h"


def test_some_days_of_samples_read_everything_once(held: Ledger, tmp_path: Path) -> None:
    seen: list[str] = []
    for day in range(1, 5):
        today = due(held, None, Portion(share=0.25))
        seen += today
        with open_ledger(held.path, now=clock(FIRST + timedelta(days=day))) as ledger:
            ledger.record([verified(digest) for digest in today])
    assert sorted(seen) == sorted(map(sha256, PATHS))


def test_a_transient_fault_is_recorded_and_nothing_is_moved(tmp_path: Path) -> None:
    store = Store(tmp_path / "cache")
    (published,) = store.publish([(NAME, DATA)])
    path = tmp_path / "cache" / "ledger.db"
    with open_ledger(path) as ledger:
        ledger.record([listed(file("x")), stored("x", NAME, size=len(DATA))])

    class Lying(Store):
        def blob_path(self, sha256: str) -> Path:
            return flaky(super().blob_path(sha256), b"?" * len(DATA))

    with Ledger.reader(path) as reader:
        (found,) = recheck(
            reader,
            Lying(store.root),
            due(reader, None),
            VerifyLevel.DIGEST,
            lambda: open_ledger(path),
            threading.Event(),
        )
        (event,) = reader.events(kind="verified")
        assert reader.held(ARTIFACT) == {"x": NAME}
        reader.verify()
    assert found.verdict.ok
    assert event.detail == {
        "sha256": NAME,
        "level": "digest",
        "verdict": "intact",
        "transient": hashlib.sha256(b"?" * len(DATA)).hexdigest(),
    }
    assert list(store.iter_quarantine()) == []
    assert published.path.exists()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("10m", 600), ("12h", 43200), ("1.5D", 129600), ("2w", 1209600), ("0s", 0)],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(CONTEXT, OPTION, text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1y", "1e3d", "30 d", "9999999999w", "٣d", "1.d"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no duration"):
        parse_duration(CONTEXT, OPTION, text)


@pytest.mark.parametrize(("text", "sample"), [("7", (7, None)), ("10%", (None, 0.1)), ("100%", (None, 1.0))])
def test_samples_are_read(text: str, sample: tuple[int | None, float | None]) -> None:
    assert parse_sample(CONTEXT, OPTION, text) == sample


@pytest.mark.parametrize("text", ["", "0", "0%", "101%", "-1", "ten", "5.5", "%", "1e2"])
def test_what_is_no_sample_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no sample"):
        parse_sample(CONTEXT, OPTION, text)


OPTION = click.Option(["--x"])
CONTEXT = click.Context(click.Command("verify"))


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A mirror of two models, pulled from a folder."""
    outside, root = tmp_path / "outside", tmp_path / "mirror"
    models = []
    for name in ("one", "two"):
        (outside / name).mkdir(parents=True)
        (outside / name / "model.safetensors").write_bytes(TINY.safetensors()[:-4] + name.encode().ljust(4, b"\0"))
        (outside / name / "config.json").write_bytes(TINY.config_json())
        files = [catalogs.file(path.name, path.as_uri()) for path in sorted((outside / name).iterdir())]
        models.append(catalogs.model(name, catalogs.http(*files, id="files"), family="bert-miniature"))
    (root / "cache").mkdir(parents=True)
    (root / "catalog.json").write_text(catalogs.text(*models), encoding="utf-8")
    assert Mirror.open(root, environ={}).sync(everything=True, no_verify=True).problems == []
    return root


def said(here: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, ["--mirror", str(here), "verify", *words])


def test_the_command_says_what_is_left(here: Path) -> None:
    assert "3 blobs intact, 0 not" in said(here).stderr
    assert "1 blob intact, 0 not" in said(here, "--sample", "1").stderr
    assert "2 blobs intact, 0 not" in said(here, "--sample", "50%").stderr
    assert "0 blobs intact, 0 not" in said(here, "--older-than", "30d").stderr
    assert "3 blobs intact, 0 not" in said(here, "--older-than", "0s", "--time-budget", "1m").stderr
    assert "left" not in said(here, "--time-budget", "1m").stderr


def test_the_weights_of_a_portion_are_those_of_its_artifacts(here: Path) -> None:
    rows = [json.loads(line) for line in said(here, "--level", "load", "--sample", "1", "--json").stdout.splitlines()]
    blobs, weights = [row for row in rows if "files" in row], [row for row in rows if "weights" in row]
    assert len(blobs) == 1
    touched = {name.partition("/")[0] for name in blobs[0]["files"]}
    assert {row["weights"].partition("/")[0] for row in weights} == touched
    assert "1 weight file sound" in said(here, "--level", "load", "--older-than", "30d").stderr
    assert "0 weight files sound" in said(here, "--level", "load", "--older-than", "30d").stderr
    assert "2 weight files sound" in said(here, "--level", "load").stderr
    assert "0 weight files sound" in said(here, "--level", "load", "--time-budget", "0s").stderr


def test_a_duration_that_is_none_is_a_usage_error(here: Path) -> None:
    done = said(here, "--older-than", "soon")
    assert done.exit_code == 2
    assert "is no duration" in done.stderr


def test_the_default_portion_is_everything() -> None:
    assert Portion() == WHOLE
