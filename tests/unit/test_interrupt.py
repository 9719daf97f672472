"""Ctrl-C where Python would swallow it, where it would leave a module locked, and where nothing is open yet."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time

import pytest

from mirror.interrupt import FAREWELL, STOPPED

_FRAME = """
import os, signal, sys, threading, time, weakref
from mirror.interrupt import answer_signals

def interrupt():
    os.kill(os.getpid(), signal.SIGINT)

def work():
    try:
{body}
        time.sleep(30)
        print("was never told")
    except KeyboardInterrupt:
        print("tidied up")
        raise

answer_signals(work.__code__)
try:
    work()
except KeyboardInterrupt:
    print("stopped")
"""

_IN_AN_IMPORT = """
class Finder:
    def find_spec(self, name, path, target=None):
        if name == "plistlib":
            interrupt()
            print("import goes on")

sys.meta_path.insert(0, Finder())
import plistlib
sys.stdout.write("imported\\n")
"""
_IN_A_DESTRUCTOR = """
class Thing:
    def __del__(self):
        interrupt()
        time.sleep(0.001)

thing = Thing()
del thing
"""


def run(body: str) -> tuple[int, list[str], str]:
    script = _FRAME.format(body=textwrap.indent(body, " " * 8))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=20, check=False)
    return done.returncode, done.stdout.splitlines(), done.stderr


def test_an_import_is_not_interrupted_and_what_comes_after_it_is() -> None:
    code, said, err = run(_IN_AN_IMPORT)
    assert (code, err) == (0, "")
    assert said[0] == "import goes on"
    assert said[-2:] == ["tidied up", "stopped"]


def test_an_interrupt_that_python_swallows_comes_again() -> None:
    assert run(_IN_A_DESTRUCTOR) == (0, ["tidied up", "stopped"], "")


def test_before_the_work_the_process_ends_at_once() -> None:
    script = "import os, signal\nfrom mirror.interrupt import answer_signals\nanswer_signals()\n"
    script += "os.kill(os.getpid(), signal.SIGINT)\nprint('goes on')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (STOPPED, "", f"{FAREWELL}\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_is_ignored_stays_ignored(number: signal.Signals) -> None:
    script = f"import os, signal\nsignal.signal({number:d}, signal.SIG_IGN)\n"
    script += f"from mirror.interrupt import answer_signals\nanswer_signals()\nos.kill(os.getpid(), {number:d})"
    assert subprocess.run([sys.executable, "-c", script], timeout=20, check=False).returncode == 0


def test_an_import_that_takes_too_long_is_given_up() -> None:
    begun = time.monotonic()
    code, said, err = run(_IN_AN_IMPORT.replace('print("import goes on")', "time.sleep(30)"))
    assert (code, said, err) == (STOPPED, [], f"{FAREWELL}\n")
    assert time.monotonic() - begun < 2.0 + 1.0
