"""Any file of the user's against the bare index of a TensorFlow checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mirror.compare import index_proof
from mirror.compare.names import canonical
from mirror.errors import StoreError, UsageError
from mirror.formats.tf_index import read_index
from mirror.load import outside
from mirror.load.opening import mapped
from mirror.load.reading import read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mirror.compare.index_proof import IndexProof


def against_index(file: Path, index: Path, scratch: Path) -> Iterator[tuple[str, IndexProof]]:
    """Yield what a bare TensorFlow index says of each of the weights that a file is, or has inside.

    Raises:
        FormatError: One of the two is not exactly what its format says.
        ArchiveError: The file is a damaged archive, or one that is built to harm.
        UsageError: There are no weights.
        StoreError: One of the two cannot be read, or there is no room to unpack.
    """
    wanted = read_index(mapped(index))
    found = False
    for one in outside.files(file):
        if one.problem:
            raise StoreError(f"{one.path}: {one.problem}")
        for weights in one.weights("", scratch):
            found = True
            yield weights.name, index_proof.prove(canonical(read(weights)), wanted)
    if not found:
        raise UsageError(f"{file} holds no weights")
