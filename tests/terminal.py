"""A terminal for a command, so that a test sees what a person would."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def on_a_terminal(
    *words: str, cwd: Path, env: Mapping[str, str] | None = None, columns: int = 80, program: str = ""
) -> tuple[int, str]:
    """Run the command, or another ``program`` of Python's, on a terminal; return its exit code and what appears."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    script = program or "from mirror.__main__ import main; main()"
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}
    process = subprocess.Popen(
        [sys.executable, "-c", script, *words],
        cwd=cwd,
        env={**kept, "TERM": "xterm", "PYTHONPATH": os.getcwd(), **(env or {})},  # noqa: PTH109
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    text = b""
    with contextlib.suppress(OSError):  # EIO: nobody has the other end any more
        while piece := os.read(ours, 1 << 16):
            text += piece
    os.close(ours)
    return process.wait(30), text.decode().replace("\r\n", "\n")
