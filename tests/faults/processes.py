"""The command line as a process of its own, so that it can be stopped, killed or starved."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Mapping, Sequence

ROOT = Path(__file__).parents[2]
#: Runs the program as its console script does.
PROGRAM = (sys.executable, "-c", "from mirror.__main__ import main; main()")
#: Seconds after which a process that should have ended is a failure.
PATIENCE = 60.0


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment without proxies, tokens or another mirror's name."""
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "TMPDIR", "LANG"}}
    return {**kept, "PYTHONPATH": str(ROOT), **(more or {})}


class Running:
    """One ``minibert-mirror`` at work; killed at the end of the ``with`` block if it still is.

    Args:
        mirror: The mirror's folder.
        words: Command and options.
        environ: Variables to add.
        program: What to run in place of the plain program.
    """

    def __init__(
        self,
        mirror: Path,
        *words: str,
        environ: Mapping[str, str] | None = None,
        program: Sequence[str] = PROGRAM,
    ) -> None:
        self.process = subprocess.Popen(
            [*program, "--mirror", str(mirror), *words],
            env=environment(environ),
            cwd=mirror,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.out = self.err = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.communicate()

    def end(self, within: float = PATIENCE) -> int:
        """Wait for the end and return the exit code."""
        self.out, self.err = self.process.communicate(timeout=within)
        return self.process.returncode

    def until(self, reached: Callable[[], bool], *, within: float = PATIENCE) -> None:
        """Wait until something is so; fail when the process ends before, or it takes too long."""
        deadline = time.monotonic() + within
        while not reached():
            assert self.process.poll() is None, f"ended early: {self.end()} {self.out} {self.err}"
            assert time.monotonic() < deadline, "it never came to that"
            time.sleep(0.005)


def run(mirror: Path, *words: str, environ: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """Run a command to its end; return exit code, stdout and stderr."""
    with Running(mirror, *words, environ=environ) as process:
        code = process.end()
        return code, process.out, process.err
