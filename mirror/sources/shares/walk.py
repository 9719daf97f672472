"""Every file of a share, folder by folder and page by page: all of them, or none.

A listing ends with an empty page, or where the host says that there is no more: a short page may
only be short. Half of a listing would look like a whole one later, so whatever is odd ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

from mirror.errors import SourceError
from mirror.sources.shares.entries import Entry, Listed

#: What is listed at the most; a share of weights has a few files.
MOST_ENTRIES = 2000
MOST_PAGES = 60
MOST_DEPTH = 8


class Part(NamedTuple):
    """One page of a listing.

    Attributes:
        entries: What is on it.
        more: Whether the host says that there are further ones; None where it says nothing.
    """

    entries: tuple[Entry, ...]
    more: bool | None = None


#: Asks for page ``number``, from 1, of the folder at a path; the root has none.
AskPage: TypeAlias = Callable[[str | None, int], Part]


class TooLargeError(SourceError):
    """A share that would take too many requests to list politely; it lives, and that is all."""

    hint = "open the link to see what is in it: `minibert-mirror handoff`"


def walk(ask: AskPage) -> tuple[Listed, ...]:
    """Return every file of a share, sorted by path.

    Raises:
        TooLargeError: There is too much of it.
        SourceError: The listing repeats itself, or what ``ask`` raises.
    """
    found: list[Listed] = []
    waiting: list[tuple[str | None, str, int]] = [(None, "", 0)]
    seen: set[int] = set()
    asked = [0]
    while waiting:
        folder, above, depth = waiting.pop()
        for entry in _entries(ask, folder, asked):
            if entry.fs_id in seen:
                raise SourceError("the listing repeats itself: nobody can say whether it is whole")
            seen.add(entry.fs_id)
            if len(seen) > MOST_ENTRIES or depth > MOST_DEPTH:
                raise TooLargeError(f"more than {MOST_ENTRIES} entries, or {MOST_DEPTH} folders deep")
            path = f"{above}{entry.name}"
            if entry.folder:
                waiting.append((entry.path, f"{path}/", depth + 1))
            else:
                found.append(Listed(path, entry.size, entry.fs_id))
    return tuple(sorted(found))


def _entries(ask: AskPage, folder: str | None, asked: list[int]) -> Iterator[Entry]:
    """Yield what is in one folder; ``asked`` counts the pages of the whole walk."""
    number, more = 0, True
    while more:
        number += 1
        asked[0] += 1
        if asked[0] > MOST_PAGES:
            raise TooLargeError(f"more than {MOST_PAGES} pages")
        part = ask(folder, number)
        yield from part.entries
        # An empty page is the end whatever is said: else a host could keep us for ever.
        more = bool(part.entries) and part.more is not False
