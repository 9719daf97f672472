"""Places in the JSON values of a catalog, and what is wrong at one.

A place is a path of keys and numbers. For people, names, ids and paths stand in place of
the numbers: ``models/bert-tiny/sources/google/files/x.zip/size``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: What stands for the place that is everything.
WHOLE = "the whole file"
HALF = "holds half a character (a lone surrogate), which no text can"

Steps = tuple[str | int, ...]


class Problem(NamedTuple):
    """One thing that is wrong: where in the file, and what."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def place(data: Any, path: Sequence[str | int]) -> str:
    """Return a path into ``data`` for people."""
    words: list[str] = []
    for step in path:
        data = data[step]
        name = None
        if isinstance(step, int) and isinstance(data, dict):
            name = next((data[key] for key in ("name", "id", "path", "what") if isinstance(data.get(key), str)), None)
        words.append(str(step if name is None else name))
    return "/".join(words) or WHOLE


def walk(value: Any, path: Steps = ()) -> Iterator[tuple[Steps, Any]]:
    """Yield every value in ``value``, itself first, with its place."""
    yield path, value
    if isinstance(value, dict):
        for key, item in value.items():
            yield from walk(item, (*path, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from walk(item, (*path, number))


def half_characters(data: Any) -> Iterator[Steps]:
    """Yield the places of texts, keys among them, that cannot be written: half of a pair of JSON's escapes is none."""
    for path, value in walk(data):
        texts = [value, path[-1] if path else None]
        if any(isinstance(text, str) and text != printable(text) for text in texts):
            yield path


def printable(text: str) -> str:
    """Return ``text`` with half characters as they stand in JSON, so that it can be printed."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
