"""What a comparison of all that is held of a model comes to."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mirror.compare.verdict import Relation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mirror.compare.difference import Difference
    from mirror.compare.verdict import Verdict


class Weighed(NamedTuple):
    """One weight file of one artifact, as it was loaded.

    Attributes:
        artifact: Name of the artifact.
        path: Of the file in the artifact.
        blob: Its sha256.
        member: Prefix of the checkpoint in an archive; empty otherwise.
        format: Of the checkpoint; None when it could not be read.
        roots: Digest of each group of its tensors; empty when it could not be read.
        problem: Why it could not be read; empty when it was.
        lost: What became of the bytes that were recorded: ``missing``, ``resized``, ``altered``, or ``unreadable``
            where nobody knows; empty while they are what they were.
    """

    artifact: str
    path: str
    blob: str
    member: str
    format: str | None
    roots: Mapping[str, str]
    problem: str = ""
    lost: str = ""

    @property
    def name(self) -> str:
        """Artifact and file."""
        return f"{self.artifact}/{self.path}" + (f"!{self.member}" if self.member else "")


class Compared(NamedTuple):
    """One weight file against the reference.

    Attributes:
        file: Which one.
        verdict: What it is to the reference; None when it could not be read, or is lost.
        differences: Every tensor that both have and that differs.
        absent: Canonical names of tensors that only the reference has.
        extra: Those that only this file has.
        whose: Files of other models whose encoder this is, bit by bit, where it is not the reference's.
    """

    file: Weighed
    verdict: Verdict | None
    differences: tuple[Difference, ...] = ()
    absent: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    whose: tuple[str, ...] = ()

    @property
    def differs(self) -> bool:
        """Whether it was read, or refused, and is neither the reference's encoder nor within what was let pass."""
        return not self.file.lost and (self.verdict is None or self.verdict.relation is Relation.DIFFERENT)


class Crosscheck(NamedTuple):
    """All that is held of one model.

    Attributes:
        model: Its name.
        reference: What the others are compared with; None when nothing could be read.
        others: Every other weight file, in the catalog's order.
    """

    model: str
    reference: Weighed | None
    others: tuple[Compared, ...]
