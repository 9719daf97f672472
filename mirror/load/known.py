"""What is known of a model before its weights are opened: from its files and from the catalog."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from mirror.bounds import Bounds
from mirror.compare.finding import Finding, Severity
from mirror.errors import FormatError
from mirror.formats.strict_json import parse_object
from mirror.load.material import texts_beside

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Configurations, the one that speaks for the weights beside it first.
_CONFIGS = (r"config\.json", r"bert_config\.json", r"albert_config\.json", r"model_config\.json")
#: Those with the names of ten thousand classes, there and back, have a few hundred kB.
_BOUNDS = Bounds(4 << 20, objects=10_000, lists=10_000, values=200_000)
_UNITS = {"K": 10**3, "M": 10**6, "B": 10**9}
#: Part by which a printed figure may miss the exact one; publishers round and cut.
_ROUNDED = 0.04


class Known(NamedTuple):
    """What the catalog says of a model.

    Attributes:
        family: One of ``compare.families.FAMILIES``; None where it says none of them.
        config: A configuration for weights that have none beside them; empty where nothing is known.
        printed: The publisher's figure, as printed.
        cased: Whether the vocabulary keeps capitals; None where nobody says.
    """

    family: str | None = None
    config: Mapping[str, Any] = {}
    printed: str | None = None
    cased: bool | None = None


def configurations(texts: Mapping[str, memoryview], name: str) -> dict[str, memoryview]:
    """Return the configurations that stand beside the weights ``name``, the most telling first."""
    beside = texts_beside(texts, name)
    return {path: beside[path] for wanted in _CONFIGS for path in beside if re.search(rf"(^|[/!.-]){wanted}$", path)}


def parsed(path: str, text: memoryview) -> dict[str, Any]:
    """Return a configuration as JSON values.

    Raises:
        FormatError: It is none.
    """
    try:
        return parse_object(bytes(text[: _BOUNDS.size + 1]), _BOUNDS)
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error


def contradictions(one: Mapping[str, Any], other: Mapping[str, Any], names: tuple[str, str]) -> Iterator[Finding]:
    """Yield the sizes that two configurations state differently."""
    for key in sorted(one.keys() & other.keys()):
        if type(one[key]) is int and type(other[key]) is int and one[key] != other[key]:
            text = f"{key} is {one[key]} in {names[0]} and {other[key]} in {names[1]}"
            yield Finding("configuration", Severity.ERROR, text)


def misprinted(known: Known, counts: Mapping[str, int]) -> str | None:
    """Say how far the publisher's figure is from the exact counts; None when it is one of them, rounded."""
    match = re.fullmatch(r"([0-9.]+)\s*([KMB])", known.printed or "")
    if match is None:
        return None
    figure = float(match[1]) * _UNITS[match[2]]
    nearest = min(counts.values(), key=lambda count: abs(count - figure))
    if abs(nearest - figure) <= _ROUNDED * nearest:
        return None
    exact = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    return f"printed as {known.printed}, which is {figure / nearest - 1:+.0%} off; exact: {exact}"
