"""What Baidu's answers say when they say no: three envelopes, their codes, and what helps.

A failure often comes with status 200. No error repeats Baidu's own words, which may hold
the request: only its code, and a number that it calls hitcode.

Source: Baidu open platform, "错误码"; the tables of several public clients where it is silent.
"""

from __future__ import annotations

import json
import re
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from mirror.errors import BaiduError, LoginNeededError, MirrorError, QuotaError, RemovedError

if TYPE_CHECKING:
    from collections.abc import Mapping

_HOUR = 3600.0
_WORD = re.compile(r"[A-Za-z_]{1,40}")
_HITCODE = re.compile(r"hitcode:\s*([0-9]{1,6})")
_NUMBER = re.compile(r"-?[0-9]{1,19}", re.ASCII)


class Remedy(StrEnum):
    """What to do about an error."""

    LOGIN = "login"  # a fresh token, or else a fresh login
    FIX = "fix"  # the user must change something
    STOP = "stop"  # this file is settled
    STOP_RUN = "stop-run"  # ask nothing more
    RELINK = "relink"  # a fresh link
    RETRY = "retry"  # soon again, not often
    QUOTA = "quota"  # in an hour
    REMOVED = "removed"  # Baidu has taken the file away
    BUG = "bug"  # our request is wrong


class Said(NamedTuple):
    """An error as Baidu says it.

    Attributes:
        code: Its number, or the word of the login's errors.
        hitcode: A further number that nobody outside knows the meaning of; empty without one.
    """

    code: int | str
    hitcode: str = ""

    def __str__(self) -> str:
        return f"{self.code} (hitcode {self.hitcode})" if self.hitcode else str(self.code)


_Table = dict[int, tuple[Remedy, str]]


def _table(*rows: tuple[Remedy, str, tuple[int, ...]]) -> _Table:
    return {code: (remedy, text) for remedy, text, codes in rows for code in codes}


_PLATFORM = _table(
    (Remedy.LOGIN, "the token is not valid any more", (-6, 110, 111, 20016, 20017)),
    (Remedy.LOGIN, "the app may not read the user's data", (6,)),
    (Remedy.FIX, "the path is outside of what the app may see, /apps/<its name>", (-7, 31064, 20020, 20022, 20023)),
    (Remedy.FIX, "no such file or folder", (-9, -3, 31066)),
    (Remedy.BUG, "the request has bad parameters", (2, 31023)),
    (Remedy.FIX, "the app lacks this permission", (31024, 20013)),
    (Remedy.QUOTA, "the app's calls are used up", (31034, 20012, 9013, -55)),
    (Remedy.FIX, "the app is not reviewed: only its first ten users may use it", (20011,)),
    (Remedy.FIX, "the app is disabled, or its name unknown", (20015, 20021)),
    (Remedy.RETRY, "Baidu has trouble of its own", (31021, 31212, 42212, 42905)),
    (Remedy.FIX, "the file could not be looked up", (42213, 42214)),
)
_NODE = _table(
    (Remedy.LOGIN, "the token is not accepted", (31045,)),
    (Remedy.STOP, "no access, or the file is gone", (31064, 31066, 31202, 31297)),
    (Remedy.STOP_RUN, "refused as if by a leech: agent, range or account", (31326, 31626)),
    (Remedy.STOP_RUN, "the account is on a black list", (31329, 31119)),
    (Remedy.RELINK, "the link has expired", (31360,)),
    (Remedy.RELINK, "the link's signature is wrong", (31362,)),
    (Remedy.REMOVED, "the file is blocked", (31390, 100001)),
    (Remedy.RELINK, "the node refuses and does not say why", (403,)),
    (Remedy.BUG, "the range is beyond the file", (416,)),
)
_HINTS = {
    Remedy.STOP_RUN: "do not repeat it now, which can cost the account: wait a day, or fetch with Baidu's client",
    Remedy.FIX: "check MINIBERT_MIRROR_BAIDU_APP_NAME, the app's page at pan.baidu.com/union, what is in its folder",
}


def said(body: bytes) -> Said | None:
    """Return the error in the body of an answer, in any envelope; None where it holds none."""
    return said_in(decoded(body))


def decoded(body: bytes) -> Mapping[str, Any] | None:
    """Return a body that is a JSON object; None for any other."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def said_in(values: Mapping[str, Any] | None) -> Said | None:
    """Return the error among the values of a JSON object; None where there is none."""
    if values is None:
        return None
    words = [values.get(name) for name in ("errmsg", "err_msg", "error_msg", "show_msg")]
    hit = _HITCODE.search(" ".join(word for word in words if isinstance(word, str)))
    for name in ("errno", "error_code"):
        code = number(values.get(name))
        if code:
            return Said(code, hit[1] if hit is not None else "")
    word = values.get("error")
    if isinstance(word, str) and word:
        return Said(word if _WORD.fullmatch(word) else "unknown")
    return None


def number(value: object) -> int | None:
    """Return a whole number that may be written as text; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else None


def platform_error(told: Said, what: str) -> MirrorError:
    """Return our error for one of the platform's; ``what`` was asked for."""
    return _error(told, what, _PLATFORM)


def node_error(told: Said, what: str) -> MirrorError:
    """Return our error for one of a storage node's; ``what`` was asked for."""
    return _error(told, what, _NODE)


def _error(told: Said, what: str, table: _Table) -> MirrorError:
    known = table.get(told.code) if isinstance(told.code, int) else None
    remedy, text = known or (Remedy.STOP, "an error that is not in its documents")
    message = f"{what}: Baidu says {told}, {text}"
    if remedy is Remedy.QUOTA:
        return QuotaError(message, code=told.code, remedy=remedy, retry_after=_HOUR)
    if remedy is Remedy.REMOVED:
        return RemovedError(message, code=told.code, remedy=remedy)
    return BaiduError(message, code=told.code, remedy=remedy, hint=_HINTS.get(remedy))


def login_error(told: Said, what: str) -> MirrorError:
    """Return our error for one of the login's: a person has to do something about any of them."""
    if told.code == "invalid_client":
        return LoginNeededError(
            f"{what}: Baidu does not know the app, or its secret key",
            hint="check MINIBERT_MIRROR_BAIDU_APP_KEY and …_SECRET_KEY, then: minibert-mirror baidu login",
        )
    return LoginNeededError(f"{what}: Baidu says {told}")
