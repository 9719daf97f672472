"""What belongs to weights of what stands beside them: texts by their names, a checkpoint's data by its index."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mirror.errors import FormatError
from mirror.formats.tf_index import read_index
from mirror.ingest.leftovers import without_copy
from mirror.load.naming import INDEX, SHARD

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mirror.ingest.finds import Find

#: What may stand beside weights, by what it is called, whatever a download program made of that: ``vocab (1).txt``.
_TEXTS = tuple(
    (
        re.compile(rf"{stem}(?:[ _-]?\(\d+\)|[ _-]\d+)?{suffix}", re.IGNORECASE),
        stem.replace("\\", "") + suffix.replace("\\", ""),
    )
    for stem, suffix in (
        ("tokenizer_config", r"\.json"),
        ("bert_config", r"\.json"),
        ("albert_config", r"\.json"),
        ("model_config", r"\.json"),
        ("special_tokens_map", r"\.json"),
        ("tokenizer", r"\.json"),
        ("config", r"\.json"),
        ("vocab", r"\.txt"),
        ("spiece", r"\.model"),
    )
)
_MOST_TEXT = 32 << 20
#: How publishers call the data of a checkpoint, by number and count.
SHARD_NAME = "bert_model.ckpt.data-{:05d}-of-{:05d}"


def named_texts(beside: Sequence[Find]) -> Iterator[tuple[str, Find]]:
    """Yield what may describe weights, under the names that publishers give; of several the first."""
    seen: set[str] = set()
    for find in beside:
        name = _text(find)
        if name is not None and name not in seen and not find.wrong and not find.kind and find.size <= _MOST_TEXT:
            seen.add(name)
            yield name, find


def is_text(find: Find) -> bool:
    """Whether a find is called like what describes weights."""
    return _text(find) is not None


def _text(find: Find) -> str | None:
    return next((name for pattern, name in _TEXTS if pattern.fullmatch(without_copy(find.path))), None)


def broken_index(find: Find, beside: Sequence[Find]) -> list[Find]:
    """Return the data that stand beside what is called like their index, and is none; nothing of anything else."""
    if find.kind or find.wrong or not find.path.endswith(INDEX):
        return []
    stem = find.path.removesuffix(INDEX)
    return [one for one in beside if SHARD.search(one.path) and SHARD.sub("", one.path) == stem]


def misfit(index: Find, beside: Sequence[Find]) -> tuple[Find, int] | None:
    """Return data that have a checkpoint's name and not the size that its index says, and that size; None without."""
    try:
        sizes = read_index(index.view).sizes
    except FormatError:
        return None
    stem = index.path.removesuffix(".index")
    wanted = {f"{stem}.data-{number:05d}-of-{len(sizes):05d}": size for number, size in enumerate(sizes)}
    wrong = ((find, wanted[find.path]) for find in beside if find.path in wanted and not find.wrong)
    return next(((find, size) for find, size in wrong if find.size != size), None)


def shards_of(index: Find, beside: Sequence[Find]) -> tuple[Find, ...]:
    """Return the data of a checkpoint, by their names or, where these were lost, by their sizes; all or nothing."""
    try:
        sizes = read_index(index.view).sizes
    except FormatError:
        return ()
    stem = index.path.removesuffix(".index")
    named = {find.path: find for find in beside}
    found = []
    for number, size in enumerate(sizes):
        one = named.get(f"{stem}.data-{number:05d}-of-{len(sizes):05d}")
        if one is None or one.size != size:
            fits = [find for find in beside if find.size == size and find is not index]
            one = fits[0] if len(fits) == 1 else None
        if one is None:
            return ()
        found.append(one)
    return tuple(found)
