"""``python -m mirror``, and the installed command: answers Ctrl-C before anything else is loaded."""

from __future__ import annotations

from mirror.interrupt import answer_signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    answer_signals()
    from mirror.cli import main as run

    run()


if __name__ == "__main__":
    main()
