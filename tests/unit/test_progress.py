"""What transfers tell, added up and shown."""

from __future__ import annotations

import io

from mirror.errors import SourceError
from mirror.model import RemoteFile
from mirror.progress import watching
from mirror.progress.tally import SILENCE, Tally
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
    tally(Waiting(FILE, 30.0, "status 429"))
    assert row.note(0) == "waits 30 s: status 429"
    clock.now = 40.0
    tally(Advanced(FILE, 1))
    assert row.note(40.0) == ""


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
        import time

        time.sleep(0.5)
        watch(Done(big, 8 << 20))
    assert "0/2 files" in stream.getvalue()
    assert "m@s/big.bin" in stream.getvalue()
