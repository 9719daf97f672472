"""The one way to write an event, and its hash."""

from __future__ import annotations

import hashlib
import json

import pytest

from mirror.ledger.canonical import GENESIS, canonical, event_hash


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [True, None, "x"]}, '{"a":[true,null,"x"],"b":1}'),
        ('\u20ac$\u000f\u000aA\'B"\\\\"/', '"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"'),  # RFC 8785 §3.2.2
        ("\x7f\u2028 中文 😀", '"\x7f\u2028 中文 😀"'),
        ([333333333.3333333, 4.5, 2e-3, 0.000123], "[333333333.3333333,4.5,0.002,0.000123]"),
        (2**64, "18446744073709551616"),
        ({}, "{}"),
        ((), "[]"),
    ],
)
def test_values_have_one_text(value: object, text: str) -> None:
    assert canonical(value) == text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [float("-inf")]])
def test_numbers_that_json_lacks_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical(value)


def test_values_that_json_lacks_are_refused() -> None:
    with pytest.raises(TypeError):
        canonical({"x": b"bytes"})


def test_a_lone_surrogate_has_no_hash() -> None:
    with pytest.raises(UnicodeEncodeError):
        event_hash(1, "", "k", "\ud800", "{}", GENESIS)


def test_the_hash_is_that_of_the_canonical_json_of_the_row() -> None:
    detail = {"z": "ü", "a": [1, 0.5]}
    row = [7, "2025-01-31T12:00:00.000000Z", 'a "kind"', "x\ny", detail, GENESIS]
    text = json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert event_hash(7, str(row[1]), str(row[2]), str(row[3]), canonical(detail), GENESIS) == (
        hashlib.sha256(text.encode()).hexdigest()
    )
