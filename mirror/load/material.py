"""What the held files of one artifact offer to a reader: weights, and the texts that describe them.

Which files may be weights follows from their names, what they are from their content.
Archives are unpacked into files without a name, which are gone when nobody uses them.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, NamedTuple

from mirror.formats.sniff import TAIL, is_table
from mirror.load.naming import INDEX, SHARD, is_archive, is_single, may_hold_weights
from mirror.load.opening import mapped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

#: Names that only a model's weights have; what else ends like them may be something else.
_SURELY = re.compile(r"(^|/)((pytorch_model|flax_model|tf_model)[^/]*|[^/]*\.(safetensors|pdparams))$", re.IGNORECASE)
_TEXT = re.compile(r"(config\.json|vocab\.txt|tokenizer\.json|spiece\.model|30k-clean\.model)$", re.IGNORECASE)
#: Bytes of the largest text that is looked at.
_MAX_TEXT = 32 << 20


class HeldFile(NamedTuple):
    """A file of an artifact whose bytes are here.

    Attributes:
        path: Where it stands in the artifact.
        sha256: Of its bytes.
        where: The file that has them.
    """

    path: str
    sha256: str
    where: Path


class Weights(NamedTuple):
    """What one reader takes: a file, or the index of a checkpoint and its data.

    Attributes:
        name: For people: the path, in an archive behind the archive's and ``!``.
        blob: sha256 of the file, of the index, or of the archive.
        member: Prefix of a checkpoint in an archive, or a member's path; empty otherwise.
        parts: The file, or the index and its shards in their order.
        surely: Whether its name says that it must be weights.
    """

    name: str
    blob: str
    member: str
    parts: tuple[memoryview, ...]
    surely: bool


class Material(NamedTuple):
    """What stands together, in an artifact or in one of its archives.

    Attributes:
        weights: Every file that may be weights.
        texts: Configurations, vocabularies and the like, by path; those in an archive behind its path and ``!``.
    """

    weights: tuple[Weights, ...]
    texts: Mapping[str, memoryview]


def concerns(path: str) -> bool:
    """Whether a file of that name is read where weights are judged."""
    return _is_wanted(path) or may_hold_weights(path)


def whole(files: Iterable[HeldFile], paths: Iterable[str]) -> list[HeldFile]:
    """Return files but for what is left of a checkpoint of which some is not here: nothing can be said of it.

    Args:
        files: Files of an artifact that are here.
        paths: Of everything that the artifact has.
    """
    held = list(files)
    absent = set(paths) - {file.path for file in held}
    broken = {prefix for path in absent if (prefix := _checkpoint(path))}
    return [file for file in held if _checkpoint(file.path) not in broken]


def _checkpoint(path: str) -> str:
    """Return the prefix of the checkpoint that a file is of, by its name; empty where it is of none."""
    if path.endswith(INDEX):
        return path.removesuffix(INDEX)
    match = SHARD.search(path)
    return path[: match.start()] if match else ""


def archives(files: Iterable[HeldFile]) -> list[HeldFile]:
    """Return those of an artifact's files that are archives."""
    return [file for file in files if is_archive(file.path)]


def beside(files: Iterable[HeldFile]) -> Material:
    """Return what an artifact's files offer, but for its archives.

    Raises:
        StoreError: A file cannot be read.
    """
    wanted = [file for file in files if _is_wanted(file.path)]
    return _material({file.path: mapped(file.where) for file in wanted}, {file.path: file.sha256 for file in wanted})


def is_index(file: HeldFile) -> bool:
    """Whether a file is the index of a checkpoint, wherever its data are.

    Raises:
        StoreError: It cannot be read.
    """
    return file.path.endswith(INDEX) and is_table(bytes(mapped(file.where)[-TAIL:]))


def inside(archive: HeldFile, scratch: Path) -> Material:
    """Return what one archive offers.

    Args:
        archive: A zip or gzipped tar.
        scratch: A directory with room for its content.

    Raises:
        ArchiveError: It is damaged, or built to harm.
        StoreError: It cannot be read, or there is no room to unpack it.
    """
    from mirror.load.unpacking import unpacked  # zip, tar and temporary files: 20 ms

    return _material(unpacked(archive.where, _is_wanted, scratch), {}, archive)


def texts_beside(texts: Mapping[str, memoryview], name: str) -> dict[str, memoryview]:
    """Return the texts that stand in the folder, of the same archive, where the weights ``name`` do."""

    def place(path: str) -> tuple[str, str]:
        archive, _, inner = path.rpartition("!")
        return archive, posixpath.dirname(inner)

    return {path: text for path, text in texts.items() if place(path) == place(name)}


def _is_wanted(path: str) -> bool:
    return any(pattern.search(path) for pattern in (SHARD, _TEXT)) or is_single(path) or path.endswith(INDEX)


def _material(data: Mapping[str, memoryview], blobs: Mapping[str, str], archive: HeldFile | None = None) -> Material:
    outer = f"{archive.path}!" if archive is not None else ""

    def weights(path: str, parts: tuple[memoryview, ...], *, surely: bool) -> Weights:
        if archive is None:
            return Weights(path, blobs[path], "", parts, surely)
        return Weights(outer + path, archive.sha256, path.removesuffix(INDEX), parts, surely)

    found = [
        weights(path, (view,), surely=bool(_SURELY.search(path))) for path, view in data.items() if is_single(path)
    ]
    found += [weights(path, parts, surely=True) for path, parts in _checkpoints(data)]
    texts = {outer + path: view for path, view in data.items() if _TEXT.search(path) and len(view) <= _MAX_TEXT}
    return Material(tuple(found), texts)


def _checkpoints(data: Mapping[str, memoryview]) -> Iterator[tuple[str, tuple[memoryview, ...]]]:
    """Yield each index of a checkpoint, followed by the shards of its data in their order; and what lost the other."""
    shards: dict[str, list[str]] = {}
    for path in sorted(data):
        if match := SHARD.search(path):
            shards.setdefault(path[: match.start()], []).append(path)
    for path, view in data.items():
        names = shards.pop(path.removesuffix(INDEX), []) if path.endswith(INDEX) else []
        # Others call files so as well: search engines do.
        if names or (path.endswith(INDEX) and is_table(bytes(view[-TAIL:]))):
            yield path, (view, *(data[name] for name in names))
    yield from ((path, (data[path],)) for names in shards.values() for path in names)
