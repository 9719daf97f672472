"""Is the catalog what it should be? Every problem is named, none is mended.

The schema says what a catalog looks like; this, with ``entries``, says what it must mean.
The text is judged as plain JSON values, so that a catalog that cannot even be read is
explained; and whatever the schema finds nothing wrong with is judged further, so that no
problem hides another.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mirror.catalog.entries import Entry, problems_of
from mirror.catalog.places import HALF, WHOLE, Problem, Steps, half_characters, place, printable, walk
from mirror.catalog.read import parse
from mirror.catalog.schema import violations
from mirror.errors import CatalogError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+")


def check(text: str) -> list[Problem]:
    """Return everything that is wrong with the catalog written as ``text``; empty when nothing is."""
    try:
        problems = list(_problems(text))
    except RecursionError:
        problems = [Problem(WHOLE, "nested too deeply")]
    if not problems:
        try:
            parse(text)
        except CatalogError as error:  # the reader's word is the last one
            problems = [Problem(WHOLE, str(error).removeprefix("catalog.json: "))]
    return [Problem(printable(problem.where), printable(problem.what)) for problem in problems]


def _problems(text: str) -> Iterator[Problem]:
    try:
        data, repeated = _load(text)
    except ValueError as error:
        yield Problem(WHOLE, f"not JSON: {error}")
        return
    for path, value in walk(data):
        for key, times in repeated.get(id(value), {}).items():
            often = "twice" if times == 2 else f"{times} times"
            yield Problem(place(data, path), f"the key {key!r} stands there {often}")
    yield from (Problem(place(data, path), HALF) for path in half_characters(data))
    broken = list(violations(data))
    yield from (Problem(place(data, path), message) for path, message in broken)
    if isinstance(data, dict):
        yield from _meaning(data, {path for path, _ in broken})


def _load(text: str) -> tuple[Any, dict[int, Mapping[str, int]]]:
    """Return the JSON values, and by the identity of an object how often each key that is repeated stands there."""
    repeated: dict[int, Mapping[str, int]] = {}
    dropped: list[Entry] = []

    def pairs(items: list[tuple[str, Any]]) -> Entry:
        entry = dict(items)
        if len(entry) < len(items):
            repeated[id(entry)] = {key: times for key, times in Counter(key for key, _ in items).items() if times > 1}
            dropped.append(entry)  # kept, or the value of a repeated key might leave its identity to another
        return entry

    return json.loads(text, object_pairs_hook=pairs), repeated


def _meaning(data: Entry, broken: Collection[Steps]) -> Iterator[Problem]:
    """Yield what is wrong although, where it stands, the schema is kept."""
    table = data.get("provenance")
    for path, key in _provenance_keys(data):
        if isinstance(table, dict) and key not in table:
            yield Problem(place(data, path), f"no {key!r} in the provenance table")
    for path, url in _addresses(data):
        if path not in broken and (fault := address_fault(url)) is not None:
            yield Problem(place(data, path), fault)
    entries = [
        ((group, number), entry)
        for group in ("models", "bundles")
        for number, entry in enumerate(data[group] if isinstance(data.get(group), list) else ())
        if isinstance(entry, dict)
    ]
    yield from _names(data, entries)
    unsound = {path[:2] for path in broken}
    tops = {path[:1] for path in broken}
    citations = data.get("citations", {}) if ("citations",) not in tops else {}
    shared = {known["sha256"] for known in data.get("well_known", ())} if ("well_known",) not in tops else set()
    for path, entry in entries:
        if path not in unsound:
            yield from problems_of(entry, place(data, path), citations=citations, shared=shared)


def _names(data: Entry, entries: list[tuple[tuple[str, int], Entry]]) -> Iterator[Problem]:
    """Yield every name that two entries share, ignoring case."""
    first: dict[str, Steps] = {}
    for path, entry in entries:
        aliases = entry.get("aliases")
        words = [entry.get("name"), entry.get("id"), *(aliases if isinstance(aliases, list) else ())]
        for word in dict.fromkeys(word.casefold() for word in words if isinstance(word, str)):
            other = first.setdefault(word, path)
            if other != path:
                yield Problem(place(data, path), f"{word!r} names {place(data, other)} too")


def _provenance_keys(data: Entry) -> Iterator[tuple[Steps, str]]:
    """Yield every use of a key of the provenance table."""
    for path, value in walk(data):
        if path and str(path[-1]).endswith("provenance") and isinstance(value, list):
            yield from ((path, key) for key in value if isinstance(key, str))


def _addresses(data: Entry) -> Iterator[tuple[Steps, str]]:
    """Yield every address."""
    for path, value in walk(data):
        name = path[-2] if path and isinstance(path[-1], int) and len(path) > 1 else (path or [""])[-1]
        if name in {"url", "urls"} and isinstance(value, str):
            yield path, value


def address_fault(url: str) -> str | None:
    """Return why no client could open, or nobody should share, an address; None when there is nothing wrong."""
    bad = f"{url!r} is not a well-formed address"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return bad
    if parts.username is not None:
        shown = re.sub(r"//[^/?#]*@", "//…@", url)
        return f"{shown!r} has a user name: an address is logged and shared"
    if parts.scheme == "file":
        return None if parts.path.startswith("/") and host in {"", "localhost"} else bad
    fine = _HOST.fullmatch(host) and port != 0 and not parts.fragment and url.isascii() and url.isprintable()
    return None if fine else bad
