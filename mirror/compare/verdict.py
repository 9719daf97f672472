"""What two weight files are to each other, from their digests alone.

``identical``: the roots of ``all`` are equal. ``encoder-identical``: those of ``core`` are, and
each other group is the same, differs, or is there in one of the two only. ``different`` is
everything else. A tolerance makes a weaker verdict of its own, ``within tolerance``, which
digests cannot give.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from mirror.compare.digest import ALL, GROUPS, group_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from mirror.compare.difference import Difference

_CORE = "core"


class Relation(StrEnum):
    """What a weight file is to the reference, the strongest first."""

    IDENTICAL = "identical"
    ENCODER = "encoder-identical"
    WITHIN = "within tolerance"
    DIFFERENT = "different"


class Part(StrEnum):
    """What a group of tensors is to the reference's."""

    SAME = "same"
    WITHIN = "within tolerance"
    DIFFERS = "differs"
    ABSENT = "absent"  # the reference has it
    EXTRA = "extra"  # the reference has it not


#: Parts that are told, the one and the many.
_TOLD = (
    (Part.DIFFERS, "differs", "differ"),
    (Part.WITHIN, "within tolerance", "within tolerance"),
    (Part.ABSENT, "absent", "absent"),
    (Part.EXTRA, "only here", "only here"),
)


class Verdict(NamedTuple):
    """What one weight file is to the reference.

    Attributes:
        relation: In one word.
        parts: What each group is that one of the two has, in the order of ``digest.GROUPS``.
        tolerance: The largest difference that was let pass; None where none was.
    """

    relation: Relation
    parts: Mapping[str, Part]
    tolerance: float | None = None

    def __str__(self) -> str:
        if self.relation is Relation.IDENTICAL:
            return "identical"
        told = [
            f"{_listed(groups)} {one if len(groups) == 1 else many}"
            for part, one, many in _TOLD
            if (groups := [group for group, found in self.parts.items() if found is part])
        ]
        if self.relation is Relation.ENCODER:
            return ", ".join(["encoder identical", *told])
        if self.relation is Relation.WITHIN:
            return f"within {self.tolerance:g}, which is not identical: {', '.join(told)}"
        return f"different: {', '.join(told)}"


def _listed(groups: list[str]) -> str:
    *first, last = groups
    return f"{', '.join(first)} and {last}" if first else last


def relate(reference: Mapping[str, str], other: Mapping[str, str]) -> Verdict:
    """Return what a weight file is to the reference.

    Args:
        reference: The root of each of its groups, and of ``all``, as ``digest.roots`` gives them.
        other: Likewise, of the file in question.

    Raises:
        ValueError: One of the two has no root of ``all``: it was never digested.
    """
    if ALL not in reference or ALL not in other:
        raise ValueError("no digests to compare")
    parts = {group: _part(reference.get(group), other.get(group)) for group in GROUPS if {group} & {*reference, *other}}
    if reference[ALL] == other[ALL]:
        return Verdict(Relation.IDENTICAL, parts)
    same_core = parts.get(_CORE) is Part.SAME
    return Verdict(Relation.ENCODER if same_core else Relation.DIFFERENT, parts)


def _part(reference: str | None, other: str | None) -> Part:
    if other is None:
        return Part.ABSENT
    if reference is None:
        return Part.EXTRA
    return Part.SAME if reference == other else Part.DIFFERS


def relax(verdict: Verdict, found: Iterable[Difference], unpaired: Collection[str], tolerance: float) -> Verdict:
    """Return the weaker verdict that a tolerance gives; the strong one where it gives none.

    Args:
        verdict: What the digests say.
        found: Every tensor that both have and that differs.
        unpaired: Canonical names of tensors that one of the two has not.
        tolerance: The largest difference of two elements that is let pass.
    """
    beyond = {group_of(one.name) for one in found if not one.within(tolerance)} | set(map(group_of, unpaired))
    parts = {
        group: Part.WITHIN if part is Part.DIFFERS and group not in beyond else part
        for group, part in verdict.parts.items()
    }
    close = parts.get(_CORE) in {Part.SAME, Part.WITHIN} and Part.DIFFERS not in parts.values()
    weaker = verdict.relation is Relation.DIFFERENT and close
    return Verdict(Relation.WITHIN if weaker else verdict.relation, parts, tolerance)
