"""Which files may be weights, by their names; nothing is opened.

A pull that finds everything held asks it of every file, so nothing is imported here but ``re``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_SINGLES = (".bin", ".pt", ".pth", ".safetensors", ".pdparams", ".msgpack", ".h5")
_ARCHIVES = (".zip", ".tar.gz", ".tgz")
#: How the index of a TensorFlow checkpoint ends; others call files so as well.
INDEX = ".index"
#: How a shard of a TensorFlow checkpoint's data ends; the index beside it has the same name before that.
SHARD = re.compile(r"\.data-[0-9]{5}-of-[0-9]{5}$")
_ENDS = (*_SINGLES, *_ARCHIVES, INDEX)


def is_single(path: str) -> bool:
    """Whether a file of that name may be weights by itself."""
    return path.lower().endswith(_SINGLES)


def is_archive(path: str) -> bool:
    """Whether a file of that name is an archive."""
    return path.lower().endswith(_ARCHIVES)


def may_hold_weights(path: str) -> bool:
    """Whether a file of that name is worth a look."""
    return path.lower().endswith(_ENDS) or SHARD.search(path) is not None


def brings_weights(paths: Iterable[str]) -> bool:
    """Whether any of the files of these names may be weights: a configuration alone is nothing of a model."""
    return any(map(may_hold_weights, paths))


def loadable(paths: Collection[str]) -> list[str]:
    """Return those of an artifact's, or an archive's, paths that are weights by their names: no archives."""
    lone = {path for path in paths if SHARD.search(path) and SHARD.sub(INDEX, path) not in paths}
    return [path for path in paths if is_single(path) or path.endswith(INDEX) or path in lone]


def judged(paths: Collection[str]) -> set[str]:
    """Return those of an artifact's paths of which the ledger has a word on weights, once they were opened."""
    return {*loadable(paths), *filter(is_archive, paths)}
