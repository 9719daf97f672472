"""What a reply of the share interfaces means: three envelopes, many numbers, five meanings.

Failures come with status 200 more often than not. A number that nobody here knows is trouble,
never a verdict on the share. No text of the host's own is repeated: it may hold anything.

Source: sources disagree on some numbers; where two meanings are known, the milder one counts.
"""

from __future__ import annotations

import json
import re
from enum import StrEnum
from typing import Any, NamedTuple

from mirror.errors import CaptchaError, DeadShareError, MirrorError, SourceError, WrongCodeError

#: Digits of the longest number that a reply may hold; 64 bits take twenty.
_DIGITS = 20
_ENDS_IN = re.compile(r"mis[a-z]{0,8}[_-]([0-9]{1,6})", re.ASCII)
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,40}", re.ASCII)


class Meaning(StrEnum):
    """What a reply says."""

    FINE = "fine"
    DEAD = "dead"
    CODE = "wrong code"
    CAPTCHA = "captcha"
    TROUBLE = "trouble"


class Said(NamedTuple):
    """A reply's verdict: its meaning, and why in our own words."""

    meaning: Meaning
    why: str

    def error(self, where: str) -> MirrorError:
        """Return what to raise; ``where`` is the share, without a code."""
        kinds: dict[Meaning, type[MirrorError]] = {
            Meaning.DEAD: DeadShareError,
            Meaning.CODE: WrongCodeError,
            Meaning.CAPTCHA: CaptchaError,
        }
        text = f"{where}: {self.why}"
        if kind := kinds.get(self.meaning):
            return kind(text)
        return SourceError(text, hint="unofficial, and it may have changed: `minibert-mirror handoff` always works")


_DEAD = {
    -1: "blocked for its content, or sharing is disabled",
    -3: "the files are gone",
    -7: "deleted or cancelled",
    -8: "expired",
    -21: "cancelled",
    -70: "held for a virus",
    10: "expired",
    105: "no such share",
    115: "may not be shared",
    116: "no such share",
    117: "gone",
    145: "gone",
}
_CODE = {-9: "wrong extraction code", -12: "wrong extraction code", 5: "wrong link or extraction code"}
_CAPTCHA = {
    **dict.fromkeys((-19, -20), "a captcha is wanted"),
    **dict.fromkeys((-62, -63), "a captcha is wanted after too many tries"),
    110: "this address is refused",
    132: "a security check is wanted",
    **dict.fromkeys((8001, 8002, 9013, 9019), "this address is restricted"),
    **dict.fromkeys((9100, 9200, 9300, 9400, 9500), "somebody must prove who they are"),
    **dict.fromkeys((42000, 42001, 42999), "asked too often, or a check failed"),
}
_TROUBLE = {
    -4: "a login is wanted",
    -6: "a login is wanted",
    -130: "the listing is refused",
    2: "the request is not understood any more",
    3: "a login is wanted",
    112: "the page is too old",
    118: "the proof of the code is not accepted",
    200025: "the proof of the code is not accepted",
}
#: Numbers by which a page says why it has nothing to show.
_ERRORTYPES = {
    **dict.fromkeys((-1, 0, 1), (Meaning.DEAD, "deleted or cancelled")),
    2: (Meaning.TROUBLE, "not available now"),
    3: (Meaning.DEAD, "blocked for its content"),
    5: (Meaning.DEAD, "no such share"),
    10: (Meaning.DEAD, "expired"),
    11: (Meaning.CAPTCHA, "visited too often"),
    12: (Meaning.DEAD, "it holds what may not be shared"),
    15: (Meaning.TROUBLE, "an upgrade is in progress"),
    17: (Meaning.CAPTCHA, "access is restricted"),
    123: (Meaning.CAPTCHA, "too many visitors"),
    124: (Meaning.DEAD, "frozen"),
}
#: What ``wxlist`` calls its errors: a state's number, or a word that ends in the number of the others.
_ERRTYPES = {
    "0": (Meaning.DEAD, "deleted"),
    "3": (Meaning.DEAD, "blocked for its content"),
    "5": (Meaning.CODE, "wrong link or extraction code"),
    "10": (Meaning.DEAD, "expired"),
    "mis_105": (Meaning.DEAD, "no such share"),
    "mis_2": (Meaning.TROUBLE, "no such folder"),
    "mis_4": (Meaning.TROUBLE, "no such folder"),
    **dict.fromkeys(("mispw_9", "mispwd-9"), (Meaning.CODE, "wrong extraction code")),
}


def as_object(body: bytes) -> dict[str, Any] | None:
    """Return the JSON object that a body is; None when it is none, or built to harm its reader."""
    try:
        found = json.loads(body.decode("utf-8"), parse_constant=_refused, parse_int=_whole)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _refused(text: str) -> float:
    raise ValueError(f"{text} is no number here")


def _whole(text: str) -> int:
    if len(text) > _DIGITS:
        raise ValueError("a number of too many digits")
    return int(text)


def number(value: object) -> int | None:
    """Return a whole number that came as one or as text; None for anything else, fractions too."""
    if isinstance(value, str) and re.fullmatch(rf"-?[0-9]{{1,{_DIGITS}}}", value, re.ASCII):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 64:
        return value
    return None


def said(reply: dict[str, Any], *, opened: bool = False) -> Said:
    """Return what a reply says: ``errno``, ``error_code`` or ``error``, and ``errtype`` where that says more.

    Args:
        reply: The reply's JSON.
        opened: Whether the code was accepted before: then a wrong code means that the proof of it got lost.
    """
    errtype = str(reply.get("errtype", ""))
    if errtype in _ERRTYPES:
        return _when(opened, *_ERRTYPES[errtype], errtype)
    if (ends := _ENDS_IN.fullmatch(errtype)) and (why := _CAPTCHA.get(-int(ends[1]), _CAPTCHA.get(int(ends[1])))):
        return Said(Meaning.CAPTCHA, f"{why} ({errtype})")
    for key in ("errno", "error_code"):
        if key in reply:
            code = number(reply[key])
            return Said(Meaning.TROUBLE, "a reply that makes no sense") if code is None else _by_number(code, opened)
    word = reply.get("error")
    shown = f" ({word})" if isinstance(word, str) and _WORD.fullmatch(word) else ""
    return Said(Meaning.TROUBLE, f"a reply without a verdict{shown}")


def _by_number(code: int, opened: bool) -> Said:
    if code == 0:
        return Said(Meaning.FINE, "")
    tables = (Meaning.DEAD, _DEAD), (Meaning.CODE, _CODE), (Meaning.CAPTCHA, _CAPTCHA), (Meaning.TROUBLE, _TROUBLE)
    for meaning, table in tables:
        if code in table:
            return _when(opened, meaning, table[code], str(code))
    return Said(Meaning.TROUBLE, f"an answer that nobody knows ({code})")


def _when(opened: bool, meaning: Meaning, why: str, code: str) -> Said:
    if opened and (meaning is Meaning.CODE or code == "115"):
        return Said(Meaning.TROUBLE, f"the listing is refused ({code})")
    return Said(meaning, f"{why} ({code})")


def page_said(values: dict[str, Any]) -> Said:
    """Return what the data of a share's page say of it."""
    verdict = said(values) if "errno" in values else Said(Meaning.FINE, "")
    kind = number(values.get("errortype"))
    if kind in _ERRORTYPES and (verdict.meaning is not Meaning.FINE or "shareid" not in values):
        meaning, why = _ERRORTYPES[kind]
        return Said(meaning, f"{why} (page, {kind})")
    return verdict
