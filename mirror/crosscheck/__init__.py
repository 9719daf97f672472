"""The held weights of one model against each other.

What was loaded is compared by its digests, as long as its bytes are those that were loaded. Only what
differs is opened again, to say by how much and why. What was not loaded yet is loaded first, and recorded
like any other. A file that is not any more what was recorded is named, and takes no part.
"""

from __future__ import annotations

import math
import threading
from itertools import groupby
from typing import TYPE_CHECKING

from mirror.crosscheck.comparison import Comparison
from mirror.crosscheck.values import Compared, Crosscheck, Weighed
from mirror.errors import UsageError
from mirror.likeness import Likeness

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mirror.catalog import Artifact, Catalog
    from mirror.prove import Shelf

__all__ = ["Compared", "Crosscheck", "Weighed", "crosscheck"]


def crosscheck(
    shelf: Shelf,
    catalog: Catalog,
    artifacts: Sequence[Artifact],
    tolerance: float | None = None,
    stop: threading.Event | None = None,
) -> Iterator[Crosscheck]:
    """Yield, for each model of ``artifacts`` of which weights are held, what they are to each other.

    The reference is Google's TensorFlow checkpoint, else the official file on the hub, else the first.

    Args:
        shelf: Where they are.
        catalog: Names the artifacts.
        artifacts: In the catalog's order.
        tolerance: The largest difference of two elements that is let pass; None for none.
        stop: Ends it between two models when it is set.

    Raises:
        UsageError: The tolerance is no number above 0.
        StoreError: There is no room to unpack an archive.
        LedgerError: The ledger cannot be read or written.
    """
    if tolerance is not None and not 0 < tolerance < math.inf:
        raise UsageError(f"a tolerance of {tolerance}: it has to be a number above 0")
    stop = stop or threading.Event()
    likeness = Likeness(catalog, shelf.reader)
    for model, group in groupby(artifacts, key=lambda one: one.model):
        if stop.is_set():
            return
        comparison = Comparison(shelf, list(group), stop)
        if comparison.files or comparison.lost:
            yield comparison.judged(model.name, likeness, tolerance)
