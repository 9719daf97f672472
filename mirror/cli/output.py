"""What commands print: lines for people, or one JSON object a line."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

from mirror.compare.finding import Soundness
from mirror.model import printable

F = TypeVar("F", bound=Callable[..., Any])

#: What JSON may hold as it is, and a terminal would obey or turn round; and half characters, which are no UTF-8.
_ESCAPED = re.compile(r"[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
#: Stands for ESC in our own styling until it is printed: nobody else's text can hold it.
_ESC = f"␛{os.urandom(8).hex()}␛"

#: ``--json``, the same for every command.
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
#: ``--quiet``, the same for every command that talks while it works.
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Only errors and results: no bars, no remarks.")


def emit(value: Mapping[str, Any]) -> None:
    """Print one JSON object as one line of UTF-8."""
    click.echo(json_line(value))


def json_line(value: Mapping[str, Any]) -> str:
    """Return one JSON object as a line that UTF-8 can write and a terminal only shows.

    A byte ``0xNN`` of a file's name that is no UTF-8 stands there as ``\\udcNN``: ``os.fsencode`` gives it back.
    """
    text = json.dumps(value, ensure_ascii=False)
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def say(text: str = "", *, err: bool = False) -> None:
    """Print one line for people, whoever its words are from: a terminal obeys only what ``paint`` has styled."""
    click.echo(printable(text).replace(_ESC, "\x1b"), err=err)


def paint(text: str, *, fg: str | None = None, bold: bool | None = None) -> str:
    """Return ``text`` in a colour, for ``say`` and ``table``; what it holds of its own is escaped."""
    return click.style(printable(text), fg=fg, bold=bold).replace("\x1b", _ESC)


def remark(text: str, *, quiet: bool = False) -> None:
    """Say something on stderr that is not a result."""
    if not quiet:
        say(text, err=True)


def brief(text: str) -> str:
    """Return ``text`` with digests and commits cut to twelve digits; those in addresses stay whole."""
    text = re.sub(r"\b((?:sha256|git-sha1|md5):[0-9a-f]{12})[0-9a-f]+", r"\1…", text)
    return re.sub(r"(?<![/:\w])([0-9a-f]{12})[0-9a-f]{28}(?![/\w])", r"\1…", text)


def many(count: int, thing: str) -> str:
    """Return a number of things: ``1 file``, ``2 files``."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def judged(weights: Mapping[Soundness, int]) -> str:
    """Return how many weight files are sound, and how many are not."""
    unread = weights.get(Soundness.UNREAD, 0)
    more = f", {unread} not read" if unread else ""
    return (
        f"{many(weights.get(Soundness.SOUND, 0), 'weight file')} sound, {weights.get(Soundness.UNSOUND, 0)} not{more}"
    )


def and_more(names: Sequence[str]) -> str:
    """Return the first of several names, and how many others there are."""
    return f"{names[0]} and {len(names) - 1} more" if names[1:] else names[0]


def for_a_person(count: int) -> str:
    """Return how many artifacts wait for a person, as a clause."""
    return f"{many(count, 'artifact')} {'waits' if count == 1 else 'wait'} for a person"


def size(count: float | None) -> str:
    """Return bytes for people, in powers of 1024: ``16.9 MiB``; ``?`` for None."""
    if count is None:
        return "?"
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def fitted(rows: Sequence[Sequence[str]], least: int) -> list[Sequence[str]]:
    """Return the rows of a table with the first column as wide as the terminal allows, and ``least`` at least.

    Another program, or a file, gets whole names: they are selectors.
    """
    if not sys.stdout.isatty():
        return list(rows)
    import shutil

    others = sum(max(_width(row[column]) + 2 for row in rows) for column in range(1, len(rows[0])))
    width = max(least, shutil.get_terminal_size().columns - others)
    return [(_shortened(row[0], width), *row[1:]) for row in rows]


def _shortened(name: str, width: int) -> str:
    """Return a name of at most ``width`` columns; long ones lose their middle."""
    if len(name) <= width:
        return name
    half = (width - 1) // 2
    return f"{name[:half]}…{name[-half:]}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> None:
    """Print a table; columns listed in ``right`` are aligned to the right."""
    head, rows = _printable(head), [_printable(row) for row in rows]
    widths = [max(_width(row[i]) for row in (head, *rows)) for i in range(len(head))]
    for number, row in enumerate((head, *rows)):
        cells = [_pad(text, widths[i], right=i in right) for i, text in enumerate(row)]
        line = "  ".join(cells).rstrip()
        say(paint(line, bold=True) if number == 0 else line)


def _printable(row: Sequence[str]) -> tuple[str, ...]:
    return tuple(map(printable, row))


def _width(text: str) -> int:
    """Return the columns of a terminal that ``text`` takes: Chinese signs take two, colours none."""
    import unicodedata

    bare = click.unstyle(text.replace(_ESC, "\x1b"))
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in bare)


def _pad(text: str, width: int, *, right: bool) -> str:
    fill = " " * (width - _width(text))
    return fill + text if right else text + fill
