"""What a model of given sizes must hold, and what a file holds instead.

The core must be whole; pooler, heads and TinyBERT's distillation layers are each whole or
absent, since publishers keep or drop them. A tied weight is no tensor of its own.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mirror.compare.digest import GROUPS, group_of
from mirror.compare.families import ALIASES, FINE_TUNED, TEMPLATES
from mirror.compare.finding import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from mirror.compare.names import Canonical, CanonicalTensor
    from mirror.compare.sizes import Sizes

_STEP = "structure"
_FLOATS = frozenset({"F32", "F16", "BF16", "F64"})
#: Tensors of another precision that are named.
_NAMED = 3
_MODEL = frozenset({"core", "pooler"})
_FULL = _MODEL | {"mlm", "nsp"}
#: Width of TinyBERT's teachers: BERT-Base, where nothing says otherwise.
_TEACHER = 768


def expected(family: str, sizes: Sizes, *, groups: Collection[str] = GROUPS) -> Mapping[str, tuple[int, ...]]:
    """Return names and shapes of every tensor, in the module's order, without aliases and buffers.

    Args:
        family: One of ``families.FAMILIES``.
        sizes: The sizes of the model.
        groups: The groups that are wanted, of ``digest.GROUPS``.

    Raises:
        ValueError: The number of layers is needed, and the sizes do not have it.
    """
    lengths = {
        "V": sizes.vocab,
        "P": sizes.positions,
        "T": sizes.types,
        "E": sizes.embedding,
        "H": sizes.hidden,
        "I": sizes.intermediate,
        "F": _TEACHER if sizes.teacher is None else sizes.teacher,
        "2": 2,
    }
    found: dict[str, tuple[int, ...]] = {}
    for template in TEMPLATES[family]:
        if group_of(template.name) in groups:
            shape = tuple(lengths[axis] for axis in template.axes)
            found |= dict.fromkeys(_numbered(template.name, sizes.layers), shape)
    return found


def _numbered(name: str, layers: int | None) -> Iterator[str]:
    for number in range(_times(name, layers)):
        yield name.format(number)


def _times(name: str, layers: int | None) -> int:
    """Return how many tensors a template stands for."""
    if "{}" not in name:
        return 1
    if layers is None:
        raise ValueError("the number of layers is not known")
    # A distillation layer for the output of every layer, and of the embeddings.
    return layers + name.startswith("fit_denses")


def counts(family: str, sizes: Sizes) -> Mapping[str, int]:
    """Return how many parameters a model has: ``model`` without heads, ``full`` with those of pre-training, tied."""
    return {
        "model": sum(map(math.prod, expected(family, sizes, groups=_MODEL).values())),
        "full": sum(map(math.prod, expected(family, sizes, groups=_FULL).values())),
    }


def tensor_counts(family: str, layers: int | None) -> Mapping[str, int]:
    """Return how many tensors a model has, by the names of ``counts``; one that is tied to another is none.

    Raises:
        ValueError: The number of layers is needed, and not known.
    """
    found = [(group_of(one.name), _times(one.name, layers)) for one in TEMPLATES[family]]
    return {
        "model": sum(times for group, times in found if group in _MODEL),
        "full": sum(times for group, times in found if group in _FULL),
    }


def judge(canonical: Canonical, family: str, sizes: Sizes) -> tuple[Finding, ...]:
    """Return everything in which a file is not what its configuration leads one to expect.

    An absent part, one other precision of all and the head of a fine-tuned model are notes; a
    tied weight that is none and several precisions are warnings; all else is an error.
    """
    wanted = expected(family, _with_teacher(canonical, sizes))
    return (
        *_missing(canonical.tensors, wanted),
        *_extra(canonical, wanted),
        *_shapes(canonical.tensors, wanted),
        *_dtypes(canonical.tensors),
    )


def _with_teacher(canonical: Canonical, sizes: Sizes) -> Sizes:
    """Return sizes with the teacher's width that a distillation layer shows, where no configuration states it."""
    found = next((one for name, one in canonical.tensors.items() if _part(name).startswith("fit_")), None)
    if sizes.teacher is not None or found is None or not found.shape:
        return sizes
    return sizes._replace(teacher=found.shape[0])


def _part(name: str) -> str:
    """Return the part of a model that is whole or absent; the two kinds of distillation layers come one by one."""
    group = group_of(name)
    return name.partition(".")[0] if group == "fit" else group


def _missing(tensors: Mapping[str, CanonicalTensor], wanted: Collection[str]) -> Iterator[Finding]:
    present = {_part(name) for name in tensors if name in wanted}
    for part in dict.fromkeys(map(_part, wanted)):
        if part != "core" and part not in present:
            yield Finding(_STEP, Severity.NOTE, f"no {part}: this file does not hold that part")
    for name in wanted:
        if name not in tensors and (_part(name) == "core" or _part(name) in present):
            yield Finding(_STEP, Severity.ERROR, "missing", name)


def _extra(canonical: Canonical, wanted: Collection[str]) -> Iterator[Finding]:
    for name in canonical.tensors:
        if name in canonical.untied:
            yield Finding(_STEP, Severity.WARNING, f"is not tied: its numbers are not those of {ALIASES[name]}", name)
        elif name in FINE_TUNED:
            yield Finding(_STEP, Severity.NOTE, "the head of a fine-tuned model", name)
        elif name not in wanted:
            yield Finding(_STEP, Severity.ERROR, "extra: the configuration knows no such tensor", name)


def _shapes(tensors: Mapping[str, CanonicalTensor], wanted: Mapping[str, tuple[int, ...]]) -> Iterator[Finding]:
    for name, one in tensors.items():
        shape = wanted.get(ALIASES.get(name, name))
        if shape is not None and one.shape != shape:
            text = f"shape {_dims(one.shape)}, where the configuration leads to {_dims(shape)}"
            yield Finding(_STEP, Severity.ERROR, text, name)


def _dims(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "of a scalar"


def _dtypes(tensors: Mapping[str, CanonicalTensor]) -> Iterator[Finding]:
    """Yield what is no float, and which floats are not of the precision that most are, or all of another than F32."""
    kinds: dict[str, list[str]] = {}
    for name, one in tensors.items():
        kinds.setdefault(one.dtype, []).append(name)
    floats = {dtype: names for dtype, names in kinds.items() if dtype in _FLOATS}
    for dtype in kinds.keys() - floats.keys():
        for name in kinds[dtype]:
            yield Finding(_STEP, Severity.ERROR, f"dtype {dtype}, where F32 should be", name)
    main = max(floats, key=lambda dtype: len(floats[dtype]), default="F32")
    if floats.keys() == {main} != {"F32"}:
        yield Finding(_STEP, Severity.NOTE, f"all tensors are {main}, not F32")
    for dtype in floats.keys() - {main}:
        names = floats[dtype]
        said = f"{len(names)} of {len(tensors)} tensors {'is' if len(names) == 1 else 'are'} {dtype}"
        some = ", ".join(names[:_NAMED]) + (", …" if names[_NAMED:] else "")
        yield Finding(_STEP, Severity.WARNING, f"{said}, where the others are {main}: {some}")
