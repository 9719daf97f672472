"""Ctrl-C, and SIGTERM, a batch system's way of saying stop: one KeyboardInterrupt, at a moment that bears it.

Both signals often come several times, from a person or through ``make`` and a scheduler. What is
tidied up must not be interrupted by the second, unless that takes longer than it may. While nothing
is open the process ends at once. Within an import the interrupt waits: Python would swallow it where a
module's lock is given back, and every thread that wants the module would then wait for ever.

Imports almost nothing, for it comes before everything else.
"""

from __future__ import annotations

import os
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, FrameType
    from typing import NoReturn

#: Exit code of a process that was told to stop.
STOPPED = 130
#: What is said then.
FAREWELL = "stopped; every partial is kept, the same command goes on"
#: Seconds after which a second Ctrl-C is obeyed at once.
_PATIENCE = 2.0
#: Seconds that an import may take until it is given up.
_IMPORT = 1.5
#: Seconds until the moment is looked at again.
_AGAIN = 0.01


def answer_signals(work: CodeType | None = None) -> None:
    """Let Ctrl-C and SIGTERM end everything, once.

    Args:
        work: The code of the function that tidies up after a KeyboardInterrupt, and whose caller expects
            one; outside of it, and without it, there is nothing to tidy up.
    """
    asked: list[float] = []

    def stop(signum: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if signum != signal.SIGALRM:
            if asked and now - asked[0] > _PATIENCE:
                os._exit(STOPPED)
            if asked:
                return
            asked.append(now)
            signal.signal(signal.SIGALRM, stop)
            sys.unraisablehook = swallowed
        at_work, importing = _where(frame, work)
        if not at_work or (importing and now - asked[0] > _IMPORT):
            _end()
        if importing:
            signal.setitimer(signal.ITIMER_REAL, _AGAIN)
            return
        raise KeyboardInterrupt

    def swallowed(unraisable: sys.UnraisableHookArgs) -> None:
        """Raise again what came in a destructor, where Python only reports it."""
        if unraisable.exc_type is KeyboardInterrupt:
            signal.setitimer(signal.ITIMER_REAL, _AGAIN)
        else:
            sys.__unraisablehook__(unraisable)

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, or a shell's background job
            signal.signal(number, stop)


def _where(frame: FrameType | None, work: CodeType | None) -> tuple[bool, bool]:
    """Return whether ``frame`` is within ``work``, and whether it is within an import there."""
    importing = False
    while frame is not None:
        if frame.f_code is work:
            return True, importing
        importing = importing or frame.f_code.co_filename.startswith("<frozen importlib")
        frame = frame.f_back
    return False, False


def _end() -> NoReturn:
    try:
        os.write(2, f"{FAREWELL}\n".encode())
    finally:
        os._exit(STOPPED)
