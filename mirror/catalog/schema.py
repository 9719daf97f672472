"""A catalog's text against its JSON Schema, ``schema.json`` beside this module."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError


def violations(data: Any) -> Iterator[tuple[str, str]]:
    """Yield where and how ``data`` breaks the schema, in the order of the file.

    Args:
        data: The JSON values as ``json.loads`` gives them.
    """
    errors = sorted(_validator().iter_errors(data), key=lambda error: [str(part) for part in error.absolute_path])
    for error in errors:
        for cause in _causes(error):
            yield place(data, list(cause.absolute_path)), cause.message


def place(data: Any, path: Sequence[str | int]) -> str:
    """Return a path into ``data`` for people: ids and paths in place of numbers.

    ``models/bert-tiny/sources/google/files/x.zip/size``
    """
    words: list[str] = []
    for step in path:
        data = data[step]
        name = None
        if isinstance(step, int) and isinstance(data, dict):
            name = next((data[key] for key in ("name", "id", "path", "what") if isinstance(data.get(key), str)), None)
        words.append(str(step if name is None else name))
    return "/".join(words) or "the whole file"


def _causes(error: ValidationError) -> Iterator[ValidationError]:
    """Yield what is behind an error that only says that no branch fits."""
    if not error.context:
        yield error
        return
    for inner in error.context:
        yield from _causes(inner)


@cache
def _validator() -> Draft202012Validator:
    from jsonschema import Draft202012Validator

    schema = json.loads(Path(__file__).with_name("schema.json").read_text(encoding="utf-8"))
    return Draft202012Validator(schema)
