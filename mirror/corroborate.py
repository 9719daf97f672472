"""What the tensors of others say of weights for which nobody offered a digest.

A share, or a file that somebody brought, is ``first-seen``: its bytes prove nothing. Where
its tensors are those of an artifact with better evidence, that publisher vouches for its
numbers; where they are not, it is said how many are others'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mirror.likeness import Likeness

if TYPE_CHECKING:
    from collections.abc import Collection

    from mirror.catalog import Catalog
    from mirror.ledger import Reader
    from mirror.likeness import Holder

_ALL, _CORE = "all", "core"


class Corroboration(NamedTuple):
    """What one weight file is to another publisher's of the same model.

    Attributes:
        artifact: Whose weights were first seen.
        path: Of the weights, in an archive with the checkpoint's behind ``!``.
        blob: sha256 of the file.
        by: Artifact and file with better evidence.
        how: ``tensors`` where all are the same, ``encoder`` where the heads are not, ``none`` where others differ.
        differ: How many tensors are not the same, or are not in both.
    """

    artifact: str
    path: str
    blob: str
    by: str
    how: str
    differ: int

    @property
    def differs_from(self) -> str | None:
        """The artifact whose numbers these should be and are not; None where at least the encoder is the same."""
        return self.by.partition("/")[0] if self.how == "none" else None

    def __str__(self) -> str:
        """What it is, as a clause."""
        if self.how == "tensors":
            return f"corroborated by tensors of {self.by}"
        one = self.differ == 1
        if self.how == "encoder":
            of_heads = "tensor of the heads differs" if one else "tensors of the heads differ"
            return f"encoder corroborated by {self.by}; {self.differ} {of_heads}"
        return f"differs from {self.by} in {self.differ} {'tensor' if one else 'tensors'}"


def corroborations(
    catalog: Catalog, reader: Reader, artifacts: Collection[str] | None = None
) -> dict[str, list[Corroboration]]:
    """Return what is known of held weights for which nobody vouches, of ``artifacts`` or all, by artifact.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    held = {(state.artifact, state.path) for state in reader.files() if state.state == "held" and state.level}
    likeness = Likeness(catalog, reader)
    vouching: dict[str, list[Holder]] = {}
    for one in likeness.holders:
        if likeness.vouches(one):
            vouching.setdefault(one.model, []).append(one)
    found: dict[str, list[Corroboration]] = {}
    for one in likeness.holders:
        wanted = _key(one) in held and (artifacts is None or one.artifact in artifacts)
        if wanted and not likeness.vouches(one) and (others := vouching.get(one.model)):
            found.setdefault(one.artifact, []).append(_judged(one, others, reader))
    return found


def _key(one: Holder) -> tuple[str, str]:
    return one.artifact, one.path.partition("!")[0]


def _judged(one: Holder, others: list[Holder], reader: Reader) -> Corroboration:
    for group, how in ((_ALL, "tensors"), (_CORE, "encoder")):
        root = one.row.roots.get(group)
        same = next((other for other in others if root and other.row.roots.get(group) == root), None)
        if same is not None:
            differ = 0 if group == _ALL else _differ(one, same, reader)
            return Corroboration(one.artifact, one.path, one.row.blob, same.name, how, differ)
    return Corroboration(one.artifact, one.path, one.row.blob, others[0].name, "none", _differ(one, others[0], reader))


def _differ(one: Holder, other: Holder, reader: Reader) -> int:
    """Return how many tensors are not the same in both, or only in one."""
    ours, theirs = (set(reader.loaded.tensors(each.row.blob, each.row.member)) for each in (one, other))
    return len({row.name for row in ours ^ theirs})
