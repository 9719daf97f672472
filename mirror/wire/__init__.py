"""What HTTP and hub messages mean: ranges, validators, lengths, digests, errors, addresses.

No I/O. Whatever a host sends, a function here returns a value or raises one of our
``SourceError`` family: headers are other people's words.
"""

from __future__ import annotations

from mirror.wire.content import check_commit, looks_like_login_page
from mirror.wire.digests import published_digests
from mirror.wire.headers import Fields, HeaderSource, fields
from mirror.wire.ranges import BodySpan, Validator, body_span, content_length, range_header
from mirror.wire.status import explain, hub_error, retry_after, status_error
from mirror.wire.urls import host, is_secure, origin, redact, resolve_url

__all__ = [
    "BodySpan",
    "Fields",
    "HeaderSource",
    "Validator",
    "body_span",
    "check_commit",
    "content_length",
    "explain",
    "fields",
    "host",
    "hub_error",
    "is_secure",
    "looks_like_login_page",
    "origin",
    "published_digests",
    "range_header",
    "redact",
    "resolve_url",
    "retry_after",
    "status_error",
]
