"""A share's page: which state it is in, and the data in it.

The data are a JSON object somewhere in the HTML, in one of three wrappings; whatever the
wrapping, it is found by what it holds and read by a real decoder. A page without data tells
its state by the names of its boxes.
"""

from __future__ import annotations

import json
import re
from enum import StrEnum
from typing import Any, NamedTuple

from mirror.errors import SourceError
from mirror.sources.shares.answers import Meaning, Said, as_object, number, page_said, said
from mirror.sources.shares.entries import Entry, entries

#: Where an object may begin.
_OBJECT = re.compile(r'\{\s*"')
#: Beginnings that are tried; pages have a dozen.
_TRIES = 100
_GONE = {"platform-non-found": "the page says that it is gone", "error-404": "no such page"}


class PageState(StrEnum):
    """How far a page lets a visitor."""

    OPEN = "open"
    LOCKED = "locked"
    CLOSED = "closed"


class SharePage(NamedTuple):
    """What a page says.

    Attributes:
        state: How far it lets us.
        said: Why, of a closed page.
        ids: Numbers of the sharer and of the share; None where the page has none.
        shown: Entries of the root that the page shows.
    """

    state: PageState
    said: Said
    ids: tuple[int, int] | None = None
    shown: tuple[Entry, ...] = ()


def parse_page(body: bytes, path: str) -> SharePage:
    """Return what a share's page says.

    Args:
        body: Its HTML.
        path: Path of the address that it came from in the end.

    Raises:
        SourceError: The list in it makes no sense.
    """
    reply = as_object(body)
    if reply is not None and "shareid" not in reply:
        verdict = page_said(reply) if "errortype" in reply else said(reply)  # an error may come without a page
        if verdict.meaning is not Meaning.FINE:
            return SharePage(PageState.CLOSED, verdict)
    text = body.decode("utf-8", "replace")
    values = _values(text)
    locked = path.startswith("/share/init")
    if values is not None and not locked:
        return _with_data(values)
    for mark, why in _GONE.items():
        if mark in text:
            return SharePage(PageState.CLOSED, Said(Meaning.DEAD, why))
    if "verify-form" in text or (locked and "change-code" not in text):
        return SharePage(PageState.LOCKED, Said(Meaning.FINE, ""))
    if "change-code" in text:
        return SharePage(PageState.CLOSED, Said(Meaning.CAPTCHA, "the page wants a captcha"))
    if "passport.baidu.com" in text and "loginstate" not in text:
        return SharePage(PageState.CLOSED, Said(Meaning.CAPTCHA, "the page wants a login, as it does of robots"))
    return SharePage(PageState.CLOSED, Said(Meaning.TROUBLE, "a page that is no share's"))


def _with_data(values: dict[str, Any]) -> SharePage:
    verdict = page_said(values)
    if verdict.meaning is not Meaning.FINE:
        return SharePage(PageState.CLOSED, verdict)
    # `uk` alone is the visitor; the sharer has a name of their own where both are there.
    uk, shareid = number(values.get("share_uk", values.get("uk"))), number(values.get("shareid"))
    if uk is None or shareid is None:
        raise SourceError("the page has no numbers of its share")
    shown = entries(values["file_list"]) if values.get("file_list") else ()
    return SharePage(PageState.OPEN, verdict, (uk, shareid), shown)


def _values(text: str) -> dict[str, Any] | None:
    """Return the first object that is about a share; one that only has an error's kind comes second."""
    if '"shareid"' not in text and '"errortype"' not in text:
        return None
    decoder, second, end = json.JSONDecoder(), None, 0
    for tries, match in enumerate(_OBJECT.finditer(text)):
        if tries >= _TRIES:
            break
        if match.start() < end:
            continue
        try:
            found, end = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            continue
        if "shareid" in found:
            return dict(found)
        if "errortype" in found:
            second = second or dict(found)
        elif '"shareid"' in text[match.start() : end]:
            end = match.end()  # it is further in
    return second
