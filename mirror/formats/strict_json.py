"""JSON that nobody vouches for: one object, no name twice, and no larger in memory than its writer had a use for.

Source: RFC 8259.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mirror.errors import FormatError

if TYPE_CHECKING:
    from mirror.bounds import Bounds

#: A 64-bit number has no more.
_MAX_DIGITS = 19


def parse_object(data: bytes, bounds: Bounds, *, begins: int = 0, floats: bool = True) -> dict[str, Any]:
    """Return the object that ``data`` is.

    Args:
        data: UTF-8, without a byte order mark.
        bounds: What is too much.
        begins: Offset of ``data`` in its file, in bytes, for the errors.
        floats: Whether a number may have a fraction or an exponent.

    Raises:
        FormatError: It is no JSON, no object, or more than ``bounds`` allow; a name is there twice.
    """
    if len(data) > bounds.size:
        raise FormatError(f"JSON of {len(data)} bytes, where {bounds.size} are enough")
    if (excess := bounds.excess(data)) is not None:
        count, kind = excess
        raise FormatError(f"too many {kind}: {count}", at=begins)
    text = ""
    try:
        text = data.decode()
        found = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=None if floats else _no_number,
            parse_constant=_no_number,
        )
    except UnicodeDecodeError as error:
        raise FormatError("no UTF-8", at=begins + error.start) from error
    except RecursionError as error:
        raise FormatError("nested too deeply", at=begins) from error
    except json.JSONDecodeError as error:
        raise FormatError(f"no JSON: {error.msg}", at=begins + len(text[: error.pos].encode())) from error
    if not isinstance(found, dict):
        raise FormatError("no JSON object", at=begins)
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value] # set.add says None
        raise FormatError(f"{twice[:60]!a} is there twice")
    return found


def _integer(text: str) -> int:
    if len(text) > _MAX_DIGITS or text == "-0":
        raise FormatError(f"{text[:20]} where a whole number should be")
    return int(text)


def _no_number(text: str) -> Any:
    raise FormatError(f"{text[:20]} where a whole number, or at least a number, should be")
