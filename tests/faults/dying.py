"""The command line, killed before the n-th change it would make to a file system: run as a script.

Python tells an audit hook of every file that is made, renamed or removed before it
happens; nothing of the program is replaced. ``DIE_AT`` says which one is the last.
Without it the number of all is written to stderr at the end.
"""

from __future__ import annotations

import os
import signal
import sys

_CHANGES = {"os.chmod", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate", "os.utime"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class _Hook:
    def __init__(self, last: int) -> None:
        self.seen = 0
        self._last = last

    def __call__(self, event: str, args: tuple[object, ...]) -> None:
        if event not in _CHANGES and not (event == "open" and isinstance(args[2], int) and args[2] & _WRITES):
            return
        self.seen += 1
        if self.seen == self._last:
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Run the program under the hook."""
    from mirror.cli import cli
    from mirror.cli import main as program

    hook = _Hook(int(os.environ.get("DIE_AT", "0")))
    sys.addaudithook(hook)
    if "DIE_AT" in os.environ:
        program()
    cli.main(standalone_mode=False)  # which, unlike the program, comes back
    print(f"changes: {hook.seen}", file=sys.stderr)


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    main()
