"""What transfers tell, added up and shown."""

from __future__ import annotations

import fcntl
import io
import os
import re
import struct
import termios
import time

import pytest

from mirror.errors import SourceError
from mirror.model import RemoteFile
from mirror.progress import watching
from mirror.progress.draw import shown
from mirror.progress.lines import Pace, file_line, total_line
from mirror.progress.tally import SILENCE, Row, Tally
from mirror.sync.outcome import Planned
from mirror.transfer.events import Advanced, Done, Failed, Restarted, Started, Waiting

FILE = RemoteFile("m@s", "big.bin", (), 100)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_bytes_add_up_over_a_resume_and_a_restart() -> None:
    tally = Tally(Clock())
    tally(Planned(1, 100))
    tally(Started(FILE, 100, 40))
    tally(Advanced(FILE, 10))
    assert (tally.done, tally.total) == (50, 100)
    tally(Restarted(FILE, "the file changed"))
    assert tally.done == 0
    tally(Advanced(FILE, 100))
    tally(Done(FILE, 100))
    assert (tally.done, tally.finished, tally.failed, tally.rows) == (100, 1, 0, {})


def test_a_failure_counts_as_finished_and_failed() -> None:
    tally = Tally(Clock())
    tally(Started(FILE, 100, 0))
    tally(Failed(FILE, SourceError("gone")))
    assert (tally.finished, tally.failed) == (1, 1)


def test_silence_is_said_after_a_while_and_a_pause_at_once() -> None:
    clock = Clock()
    tally = Tally(clock)
    tally(Started(FILE, 100, 0))
    row = tally.rows[str(FILE)]
    assert row.note(SILENCE - 1) == ""
    assert row.note(SILENCE + 4) == f"no data for {SILENCE + 4:.0f} s"
    tally(Waiting(FILE, 30.0, "https://host/big.bin: status 429"))
    assert row.note(0) == "waits 30 s: status 429"
    assert row.note(28.5) == "waits 2 s: status 429"
    assert row.note(31.0) == "no data for 31 s"
    clock.now = 40.0
    tally(Advanced(FILE, 1))
    assert row.note(40.0) == ""


def test_a_file_that_waits_before_its_first_byte_is_known() -> None:
    tally = Tally(Clock())
    tally(Waiting(FILE, 30.0, "status 429"))
    assert tally.rows[str(FILE)].note(0) == "waits 30 s: status 429"
    tally(Started(FILE, 100, 0))
    assert tally.rows[str(FILE)].note(0) == ""


LONG = RemoteFile("bert-medium@huggingface", "model.safetensors", (), 420 << 20)


@pytest.mark.parametrize("columns", [60, 80, 100, 120, 200])
def test_a_line_has_room_for_what_a_person_looks_for(columns: int) -> None:
    row = Row(str(LONG), LONG.size, 123 << 20, 100.0)
    moving = file_line(row, 189 << 10, 101.0, columns)
    assert len(moving) < columns
    for word in ("bert-me", "ensors ", " 29% ", "123M/420M", "189kB/s", "ETA 26:49"):
        assert word in moving
    silent = file_line(row, 189 << 10, 112.0, columns)
    assert silent.rstrip().endswith("no data for 12 s")
    assert silent.index("123M/420M") == moving.index("123M/420M")
    tally = Tally()
    tally(Planned(1234, 420 << 20))
    everything = total_line(tally, 0.0, "", columns)
    assert everything.startswith("0/1234 files  ")
    assert "ETA" not in everything


@pytest.mark.parametrize("columns", range(1, 60))
def test_a_narrow_terminal_is_told_what_fits(columns: int) -> None:
    row = Row(str(LONG), LONG.size, 0, 0.0)
    row.why, row.until, row.waits = "an explanation that goes on and on " * 9, 99.0, True
    assert len(file_line(row, 0.0, 1.0, columns)) < max(2, columns)
    if columns >= 36:
        assert "waits 98 s: " in file_line(row, 0.0, 1.0, columns)


def test_the_pace_is_that_of_late() -> None:
    pace = Pace()
    assert pace.at(0.0, 500) == 0.0
    assert [pace.at(float(second), 500 + 100 * second) for second in range(1, 60)][-1] == pytest.approx(100)
    assert pace.at(90.0, 500 + 5900) < 1
    assert pace.at(91.0, 0) == 0.0  # started over
    assert pace.at(92.0, 70) == pytest.approx(70)


def test_a_silent_file_is_among_those_that_get_a_line() -> None:
    rows = [Row(f"m@s/{number}", 8 << 20, 0, 100.0) for number in range(9)]
    rows[7].heard = 50.0
    rows.append(Row("m@s/small", 10, 0, 50.0))
    assert [row.name for row in shown(rows, 101.0)] == [
        "m@s/0", "m@s/1", "m@s/2", "m@s/3", "m@s/7", "m@s/small",
    ]  # fmt: skip


def test_nothing_is_shown_when_nothing_moves_or_nobody_wants_it() -> None:
    stream = io.StringIO()
    with watching(quiet=False, stream=stream):
        pass
    with watching(quiet=True, stream=stream) as watch:
        watch(Planned(1, 1))
    assert stream.getvalue() == ""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_bars() -> None:
    stream = Terminal()
    big = RemoteFile("m@s", "big.bin", (), 8 << 20)
    with watching(quiet=False, stream=stream) as watch:
        watch(Planned(2, 8 << 20))
        watch(Started(big, 8 << 20, 0))
        watch(Advanced(big, 4 << 20))
        time.sleep(0.5)
        watch(Done(big, 8 << 20))
    assert "0/2 files" in stream.getvalue()
    assert "m@s/big.bin" in stream.getvalue()


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_no_line_is_cut_by_a_real_terminal(columns: int) -> None:
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    small = RemoteFile("bert-tiny@huggingface", "vocab.txt", (), 1000)
    with os.fdopen(slave, "w") as stream:
        with watching(quiet=False, stream=stream) as watch:
            watch(Planned(2, 420 << 20))
            watch(Started(LONG, 420 << 20, 0))
            watch(Advanced(LONG, 4 << 20))
            watch(Waiting(small, 25.0, "https://host/vocab.txt: status 429"))
            time.sleep(0.5)
        seen = os.read(master, 1 << 16).decode()
    os.close(master)
    lines = [line.rstrip() for line in re.split(r"\r|\n|\x1b\[A", seen) if line.strip()]
    assert max(map(len, lines)) <= columns
    assert any("waits 25 s: status 429" in line and "txt " in line for line in lines)
    assert any("ensors " in line and "4.00M/420M" in line for line in lines)
