"""What a status other than success means, when to come back, and a hub's own errors."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from mirror.errors import HF_LOGIN, AccessError, NotFoundError, RateLimitedError, SourceError, StatusError
from mirror.wire.headers import HeaderSource, fields
from mirror.wire.urls import redact

if TYPE_CHECKING:
    from datetime import datetime

#: Longest pause that a source can ask for, in seconds; a host that says a day is not waited for.
LONGEST_WAIT = 3600.0
#: Characters of a source's own explanation that are kept.
_EXPLANATION = 200
_RATELIMIT = re.compile(r";\s*r=0\s*;\s*t=([0-9]{1,18})", re.ASCII)
#: A client error that another try may well not see: RFC 9110 §15.5.9, RFC 8470 §5.2.
_TRANSIENT = frozenset({408, 425})
#: A server error that another try will see again: not implemented, HTTP version, loop, network login.
_LASTING = frozenset({501, 505, 508, 511})
_NO_LOGIN = "the host refuses: it wants a login, or does not serve this network"


def retry_after(headers: HeaderSource, *, now: datetime | None) -> float:
    """Return the seconds that a source asks us to wait: never negative, at most an hour, 0 when it says nothing.

    Args:
        headers: Headers of the reply.
        now: The time, aware, against which a date is held; without it a date counts as nothing.

    Source: RFC 9110 §10.2.3 (seconds or a date); draft-ietf-httpapi-ratelimit-headers (``"api";r=0;t=55``).
    """
    got = fields(headers)
    waits = [_seconds(value.strip(), now) for value in got.all("retry-after")]
    waits += [float(each) for value in got.all("ratelimit") for each in _RATELIMIT.findall(value)]
    return min(max(waits, default=0.0), LONGEST_WAIT)


def _seconds(value: str, now: datetime | None) -> float:
    if value.isascii() and value.isdigit():
        return float(value[:19])
    if now is None:
        return 0.0
    from datetime import UTC
    from email.utils import parsedate_to_datetime

    try:
        then = parsedate_to_datetime(value)
        if then.tzinfo is None:  # "-0000": no zone is known, and HTTP dates are UTC
            then = then.replace(tzinfo=UTC)
        return max(0.0, (then - now).total_seconds())
    except (ValueError, TypeError, OverflowError, IndexError):
        return 0.0


def status_error(
    status: int, headers: HeaderSource, url: str = "", *, now: datetime | None = None, explanation: str = ""
) -> SourceError:
    """Return the error that a reply's status stands for.

    Args:
        status: Status code, not one of success.
        headers: Headers of the reply.
        url: What was asked for; it is redacted here.
        now: The time, for a ``Retry-After`` that is a date.
        explanation: The source's own words, from ``explain``.
    """
    got = fields(headers)
    if (error := hub_error(status, got, url)) is not None:
        return error
    words = _clean(got.only("x-error-message") or "") or explanation
    text = f"{redact(url)}: status {status}" + (f", {words}" if words else "")
    wait = retry_after(got, now=now)
    if status in {429, 503}:
        return RateLimitedError(text, status=status, retry_after=wait)
    if status in {404, 410}:
        return NotFoundError(text, status=status)
    if status in {401, 403, 407, 451}:
        on_a_hub = "x-repo-commit" in got or "x-error-message" in got
        return AccessError(text, status=status, hint=None if on_a_hub else _NO_LOGIN)
    transient = status in _TRANSIENT or (status >= 500 and status not in _LASTING)
    return StatusError(text, status=status, retry_after=wait, transient=transient)


def hub_error(status: int, headers: HeaderSource, url: str) -> SourceError | None:
    """Return the error that a hub names itself; None when the reply names none.

    Source: ``huggingface_hub.utils._http.hf_raise_for_status`` (``X-Error-Code``, ``X-Error-Message``).
    """
    got = fields(headers)
    code, words = got.only("x-error-code"), _clean(got.only("x-error-message") or "")
    where = redact(url)
    said = f" ({words})" if words else ""
    if code == "EntryNotFound":
        return NotFoundError(
            f"{where}: the repository has no such file at this revision{said}",
            status=status,
            hint="`minibert-mirror pull --update` asks again what the repository holds",
        )
    if code == "RevisionNotFound":
        return NotFoundError(
            f"{where}: the repository has no such revision{said}",
            status=status,
            hint="name a branch, a tag or a full commit that the repository has",
        )
    if code == "RepoNotFound":
        return NotFoundError(
            f"{where}: no such repository, or it is private{said}",
            status=status,
            hint=f"check the name; for a private repository set HF_TOKEN to a token that may read it; {HF_LOGIN}",
        )
    if code == "GatedRepo":
        return AccessError(
            f"{where}: the repository is gated{said}",
            status=status,
            hint=f"accept its licence on the repository's web page, and set HF_TOKEN to your token; {HF_LOGIN}",
        )
    if words == "Access to this resource is disabled.":
        return AccessError(f"{where}: the hub has disabled this repository", status=status, hint="ask its owner")
    return None


def explain(content_type: str | None, body: bytes) -> str:
    """Return a source's own words on an error, from the first bytes of the reply's body; empty when it has none.

    JSON hubs say ``{"error": …}``, object stores ``<Message>…</Message>``; a page for people says nothing to us.
    """
    text = body.decode("utf-8", "replace")
    if "json" in (content_type or "").lower():
        try:
            said = json.loads(text)
        except (ValueError, RecursionError):
            return ""
        value = said.get("error", said.get("message")) if isinstance(said, dict) else None
        return _clean(value) if isinstance(value, str) else ""
    if match := re.search(r"<Message>([^<]{1,500})</Message>", text):
        return _clean(match[1])
    if (content_type or "").lower().startswith("text/plain"):
        return _clean(text)
    return ""


def _clean(text: str) -> str:
    words = " ".join("".join(sign if sign.isprintable() else " " for sign in text[: 4 * _EXPLANATION]).split())
    return words[:_EXPLANATION]
