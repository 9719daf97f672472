"""From entries of a file to arrays: what every container's writer starts with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

    from mirror.upstream.naming import Stored


@dataclass(frozen=True, slots=True)
class Named:
    """One array under its name in a file; ``of`` is the entry whose numbers an alias repeats."""

    name: str
    array: NDArray[Any]
    of: str | None = None


def arrays(entries: Iterable[Stored], *, seed: int, model: str) -> list[Named]:
    """Return the entries' numbers, as they lie in the file, in the entries' order."""
    from mirror.upstream.weights import values

    made: dict[str, tuple[str, NDArray[np.float32]]] = {}
    found: list[Named] = []
    for entry in entries:
        first, numbers = made.setdefault(entry.spec.name, (entry.name, values(entry.spec, seed=seed, model=model)))
        lying = numbers.T if entry.transposed else numbers
        found.append(Named(entry.name, lying, first if entry.alias else None))
    return found
