"""A catalog's text against its JSON Schema, ``schema.json`` beside this module."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError

    from mirror.catalog.places import Steps


def violations(data: Any) -> Iterator[tuple[Steps, str]]:
    """Yield where and how ``data`` breaks the schema, in the order of the places.

    Args:
        data: The JSON values as ``json.loads`` gives them.
    """
    errors = sorted(_validator().iter_errors(data), key=lambda error: [str(part) for part in error.absolute_path])
    for error in errors:
        for cause in _causes(error):
            yield tuple(cause.absolute_path), cause.message


def _causes(error: ValidationError) -> Iterator[ValidationError]:
    """Yield what is behind an error that only says that no branch fits."""
    if not error.context:
        yield error
        return
    for inner in error.context:
        yield from _causes(inner)


def _is_integer(checker: Any, value: object) -> bool:
    """Whether ``value`` is a whole number as the reader takes it: of 1.0, JSON Schema says so too."""
    return isinstance(value, int) and not isinstance(value, bool)


def _matches(validator: Any, pattern: str, value: Any, schema: Any) -> Iterator[ValidationError]:
    """Yield a text that does not match; ECMA's ``$`` is the very end, Python's lets a line break follow."""
    from jsonschema.exceptions import ValidationError

    if isinstance(value, str) and not re.search(re.sub(r"\$\Z", r"\\Z", pattern), value):
        yield ValidationError(f"{value!r} does not match {pattern!r}")


@cache
def _validator() -> Draft202012Validator:
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    schema = json.loads(Path(__file__).with_name("schema.json").read_text(encoding="utf-8"))
    types = Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer)
    strict: type[Draft202012Validator] = extend(  # type: ignore[no-untyped-call] # jsonschema's stubs leave it bare
        Draft202012Validator, {"pattern": _matches}, type_checker=types
    )
    return strict(schema)
